"""What the networks of a table learn from, how, and as what kind of members.

Shapes in comments: n rows, F features, M members, T predictions of trees, E event.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmdn.scores.targets import TargetFormat

# The default of early stopping, in which all kinds are compared.
JUDGED_SCALES = 1.25


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What is learnt from.

    Attributes:
      x: features `[n, F]`.
      y: targets `[n, *E]`, or as `form` says.
      form: what is said of them.
      typical: targets `[n, *E]`, each as often as it counts.
      weights: of the rows, `[n]`.
      held_out: which rows each member is judged by, booleans `[n, M]`.
      first_half: which of these are in the first half of a member's, booleans `[n, M]`.
      seed: what all random numbers follow from.
    """

    x: np.ndarray
    y: np.ndarray
    form: TargetFormat
    typical: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    first_half: np.ndarray
    seed: int


@dataclasses.dataclass(frozen=True)
class Kind:
    """What sets members apart from others of the same architecture.

    Attributes:
      hidden: which of the predictions of trees each does not see, booleans `[M, T]`. None: there are none.
      as_joint: whether they start as a Gaussian mixture of features and targets says.
    """

    hidden: np.ndarray | None = None
    as_joint: bool = False

    @property
    def sees_trees(self) -> bool:
        """Whether any of them sees the predictions of trees."""
        return self.hidden is not None and not self.hidden.all()

    @property
    def judged_scales(self) -> float:
        """What members' scales are multiplied by when they are judged."""
        # Those that start alike disagree little, and do not broaden each other. In several dimensions the factor would
        # let them learn far beyond their best.
        return 1.0 if self.as_joint else JUDGED_SCALES

    @property
    def name(self) -> str:
        """What members of the kind do that others do not."""
        return "see trees" if self.sees_trees else "start as a joint mixture" if self.as_joint else ""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How it is learnt.

    Attributes:
      batch_size: rows in a batch.
      max_steps: the largest number of batches.
      patience: how many of them without an improvement end the training.
      calibrate: whether the held-out rows say how broad predictions are.
    """

    batch_size: int
    max_steps: int
    patience: int
    calibrate: bool
