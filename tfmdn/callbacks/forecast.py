"""What a training can still reach, by its held-out curve so far.

Shapes in comments: n times that the loss was measured.
"""

from __future__ import annotations

import math

import keras
import numpy as np
from numpy.typing import ArrayLike

# Fewer losses in a window tell nothing.
FEWEST = 4
# Standard errors that the gain may be larger than it seems.
MARGIN = 2.0


def lowest_to_come(steps: ArrayLike, losses: ArrayLike, most_steps: float) -> float:
    """The lowest loss that a training can be expected to reach, rather too low than too high.

    Losses fall like a power of the number of steps towards a limit, so that each doubling gains less than the one
    before. If it gained as much, and what noise hides, the end would be as low as is said here.

    Args:
      steps: after how many steps the loss was measured, increasing, `[n]`.
      losses: what it was, `[n]`.
      most_steps: the number of steps of the whole training.

    Returns:
      A loss; -inf as long as there is not enough to tell, that is before 16 losses or so.
    """
    steps, losses = np.asarray(steps, float), np.asarray(losses, float)
    if not len(steps):
        return -math.inf
    now = steps[-1]
    rates = []
    for ratio in (2.0, math.sqrt(2.0)):
        windows = [(steps > top / math.sqrt(2.0)) & (steps <= top) for top in (now / ratio, now)]
        if any(window.sum() < FEWEST or not np.isfinite(losses[window]).all() for window in windows):
            return -math.inf
        (early, early_error), (late, late_error) = (_mean(losses[window]) for window in windows)
        rates.append((early - late + MARGIN * math.hypot(early_error, late_error)) / math.log(ratio))
    return float(np.min(losses) - max(*rates, 0.0) * math.log(max(most_steps / now, 1.0)))


def _mean(losses: np.ndarray) -> tuple[float, float]:
    """The mean, and its standard error: the noise is that of the differences, of which a trend has little."""
    return losses.mean(), math.sqrt(0.5 * np.mean(np.square(np.diff(losses))) / len(losses))


class ForecastStopping(keras.callbacks.Callback):
    """Ends a training that cannot be expected to bring the held-out loss down to a target.

    It stands behind `EnsembleEarlyStopping`, whose log `held_out_loss` it reads.

    Args:
      target: the loss that is to be reached.
      least: the share of the epochs that are trained in any case.
    """

    def __init__(self, target: float, least: float = 0.2):
        super().__init__()
        self._target, self._least = target, least

    def on_train_begin(self, logs=None):
        self._losses = []

    def on_epoch_end(self, epoch, logs=None):
        self._losses.append(logs["held_out_loss"])
        done, most = len(self._losses), self.params["epochs"]
        if done >= self._least * most and lowest_to_come(range(1, done + 1), self._losses, most) > self._target:
            self.model.stop_training = True
