"""Several networks as one.

- `ensemble`: the model.
- `learning`: its steps of training, and the scores of its members.
- `networks`: its structure, and what TensorFlow traces of it, which ensembles of the same networks share.
- `vectorized`: networks of one architecture, computed together.
- `calibrated`: how the model is calibrated, by rows that its members have not learnt from.
- `judgement`: what these say.
- `calibration`: how broad predictions should be by that.
- `stacking`: how much each kind of members counts.
"""

from tfmdn.ensembles.ensemble import Ensemble as Ensemble
