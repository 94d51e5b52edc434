"""Several networks as one.

- `ensemble`: the model.
- `learning`: its steps of training, and the scores of its members.
- `networks`: its structure, and what TensorFlow traces of it, which ensembles of the same networks share.
- `vectorized`: networks of one architecture, computed together.
- `calibration`: how broad their predictions should be, by rows that they have not learnt from.
"""

from tfmdn.ensembles.ensemble import Ensemble as Ensemble
