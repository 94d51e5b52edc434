"""Scores and calibration as streaming `keras.metrics.Metric`s.

What they keep are sums and counts, so that the result does not depend on the batch size or the number of replicas. Each
takes the targets and the `Mixture`, in `model.compile(metrics=[...])` or by hand, and counts neither masked steps nor
rows whose `sample_weight` is 0.

- `base`: the sums, and what counts in them.
- `scoring`: the means of scores.
- `calibration`: whether predicted probabilities are those observed, and how narrow predictions are.
- `skill`: the comparison with a distribution that does not look at the inputs.
"""

from tfmdn.metrics.calibration import CalibrationError as CalibrationError
from tfmdn.metrics.calibration import IntervalCoverage as IntervalCoverage
from tfmdn.metrics.calibration import IntervalWidth as IntervalWidth
from tfmdn.metrics.scoring import CRPS as CRPS
from tfmdn.metrics.scoring import EnergyScore as EnergyScore
from tfmdn.metrics.scoring import NegativeLogLikelihood as NegativeLogLikelihood
from tfmdn.metrics.scoring import PinballLoss as PinballLoss
from tfmdn.metrics.skill import SkillScore as SkillScore
