"""Scores of a mixture, example by example.

Each is proper: on average over the targets no prediction scores lower than their true distribution. Lower is better.

- `likelihood`: the negative log-likelihood.
- `ranked`: the continuous ranked probability score, and the loss of quantiles, of which it is made.
- `energy`: the same of vectors as a whole, from draws.
- `transform`: the probability integral transform, which is no score but shows what is wrong.
- `calibration`: how often targets lie where they were predicted.
- `targets`: what targets a mixture takes, and what becomes of those that are not known.
- `components`: what scores read of a mixture's components.
- `weighting`: how much each score counts.
- `saved`: what of them is in the files of models.
"""

from tfmdn.scores.energy import energy_score as energy_score
from tfmdn.scores.likelihood import negative_log_likelihood as negative_log_likelihood
from tfmdn.scores.ranked import crps as crps
from tfmdn.scores.ranked import pinball_loss as pinball_loss
from tfmdn.scores.transform import probability_integral_transform as probability_integral_transform
