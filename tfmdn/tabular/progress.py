"""What a fit shows of itself, one bar for all its phases and how the training ended, and when it is to end.

Shapes in comments: M members.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
import time

import keras
import numpy as np

from tfmdn.callbacks.early_stopping import EnsembleEarlyStopping

# A bar that is redrawn more often is no easier to read.
SECONDS_BETWEEN = 0.2
# So many lines tell of a training where lines stay.
MOST_LINES = 10
WIDTH = 10  # of a terminal's 80 columns the words take up to 70


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a training ended.

    Attributes:
      num_steps: the number of batches learnt from.
      most_steps: the largest number that it could have been.
      best_steps: the step after which each member was best, `[M]`: the weights of then are kept.
      reason: "patience", "max_seconds" or "max_steps".
    """

    num_steps: int
    most_steps: int
    best_steps: np.ndarray
    reason: str

    def __str__(self) -> str:
        first, last = self.best_steps.min(), self.best_steps.max()
        steps = f"step {last:,}" if first == last else f"steps {first:,} to {last:,}"
        part = f"after {self.num_steps:,} of at most {self.most_steps:,} steps"
        endings = {
            "patience": f"Stopped early {part}",
            "max_seconds": f"Stopped by max_seconds {part}",
            "max_steps": f"Ended after all {self.num_steps:,} steps",
        }
        return f"{endings[self.reason]}; best weights of {steps} kept"


class Progress:
    """Where a fit is, on standard output: a line that is redrawn, or a few lines where it would not be.

    Args:
      shown: whether there is anything to see.
      max_seconds: how long the training may take, from now on; None for no limit.

    Attributes:
      deadline: when the training is to end, in seconds of `now`.
    """

    def __init__(self, shown: bool = False, max_seconds: float | None = None):
        self._shown = shown
        self._start = self._last = now()
        self._drawn = 0  # characters of the line that is to be redrawn
        self._end = self.deadline = math.inf if max_seconds is None else self._start + max_seconds

    def begin(self, count: int) -> None:
        """Begins the first of `count` trainings that are left: each gets an equal part of the time that is left."""
        self.deadline = now() + (self._end - now()) / count

    @property
    def is_late(self) -> bool:
        """Whether no time is left."""
        return now() >= self._end

    def say(self, sentence: str) -> None:
        """Shows a sentence that stays, in place of the line."""
        if self._shown:
            print(f"{self._erasure()}{sentence}.", flush=True)

    def show(self, words: str, share: float, is_due: bool = True) -> None:
        """Shows what is being done.

        Args:
          words: what it is.
          share: how much of the training is done, from 0 to 1.
          is_due: whether it is worth a line where lines stay.
        """
        if not self._shown:
            return
        can_redraw = _can_redraw()
        if not is_due and not (can_redraw and now() >= self._last + SECONDS_BETWEEN):
            return
        self._last = now()
        line = f"[{'=' * round(share * WIDTH):.<{WIDTH}}] {words}, {self.seconds:.0f} s"
        if can_redraw:
            line = line[: shutil.get_terminal_size().columns - 1]
        print(f"{self._erasure()}{line}", end="" if can_redraw else "\n", flush=True)
        self._drawn = len(line) if can_redraw else 0

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return now() - self._start

    def _erasure(self) -> str:
        drawn, self._drawn = self._drawn, 0
        return f"\r{' ' * drawn}\r" if drawn else ""


class TrainingProgress(keras.callbacks.Callback):
    """Shows how far a training has come, and ends it at the end of the first epoch that its deadline does not outlast.

    Args:
      progress: of the fit.
      stopping: what judges the members, and is called before.
      steps_per_epoch: the number of batches in an epoch.
    """

    def __init__(self, progress: Progress, stopping: EnsembleEarlyStopping, steps_per_epoch: int):
        super().__init__()
        self._progress, self._stopping, self._steps_per_epoch = progress, stopping, steps_per_epoch

    def on_train_begin(self, logs=None):
        self._start, self._lines = now(), 0
        self._most = self.params["epochs"] * self._steps_per_epoch

    def on_epoch_end(self, epoch, logs=None):
        self._done = (epoch + 1) * self._steps_per_epoch
        self._was_stopped, self._is_late = self.model.stop_training, now() >= self._progress.deadline
        # Whichever limit is nearer.
        allowed = max(self._progress.deadline - self._start, 1e-9)
        share = min(max(self._done / self._most, (now() - self._start) / allowed), 1.0)
        lines = int(share * MOST_LINES)
        best = self._stopping.best_scores.mean()
        words = f"{self._done:,} of at most {self._most:,} steps, best held-out loss {best:.4f}"
        self._progress.show(words, share, is_due=lines > self._lines)
        self._lines = lines
        if self._is_late:
            self.model.stop_training = True

    def ending(self) -> Ending:
        """How it ended."""
        reason = "patience" if self._was_stopped else "max_seconds" if self._is_late else "max_steps"
        if self._done == self._most:
            reason = "max_steps"
        best_steps = self._stopping.best_epochs * self._steps_per_epoch
        return Ending(self._done, self._most, best_steps, reason)


def now() -> float:
    return time.monotonic()


def _can_redraw() -> bool:
    """Whether standard output is a terminal or a notebook, which go back to the start of a line."""
    is_terminal = getattr(sys.stdout, "isatty", bool)()  # nothing, or what somebody has put there, may have none
    return is_terminal or type(sys.stdout).__module__.partition(".")[0] == "ipykernel"
