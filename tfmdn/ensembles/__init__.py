"""Several networks as one.

- `ensemble`: the model.
- `vectorized`: networks of one architecture, computed together.
- `calibration`: how broad their predictions should be, by rows that they have not learnt from.
"""

from tfmdn.ensembles.ensemble import Ensemble as Ensemble
