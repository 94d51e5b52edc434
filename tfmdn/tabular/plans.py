"""What a network is like by default, and for how long it learns: by how many rows and features there are."""

from __future__ import annotations

import dataclasses

# With one or two features the bins made the known densities worse, and the periodic embedding alone is enough.
MIN_BINNED_FEATURES = 3
# One or two features, which have no bins, gain by more layers if there are so many rows. Fewer rows lose by them.
MIN_DEEP_ROWS = 5_000
# The longest training on more rows: so many passes over them, and on very many only as long as one cares to wait.
PASSES, MOST_STEPS = 60, 12_000
LARGEST_BATCH = 128
# Members are judged after so many steps, or up to so many if they are judged by many rows: a row that judges takes
# about a third of the time of one that is learnt from. In any case so often in the longest training.
STEPS_PER_EPOCH, MOST_STEPS_PER_EPOCH, FEWEST_EPOCHS = 25, 100, 80
LEARNT_PER_JUDGED = 8


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a network is like by default, and how it is trained.

    Attributes:
      hidden_units: the sizes of its dense layers.
      longest: the longest training on few rows, in steps.
      averaged: over about how many steps its weights are averaged.
    """

    hidden_units: tuple[int, ...]
    longest: int
    averaged: int


SHALLOW = Plan((128, 128), longest=4_000, averaged=50)
# Deep networks go on learning for longer, and their weights then move less from step to step.
DEEP = Plan((96, 96, 96, 96), longest=6_000, averaged=100)


def batch_size(num_rows: int) -> int:
    # The noise of small batches keeps networks from overfitting few rows.
    return 32 if num_rows < 2_000 else 64 if num_rows < 5_000 else LARGEST_BATCH


def max_steps(plan: Plan, num_rows: int, batch_size: int) -> int:
    return min(max(plan.longest, PASSES * num_rows // batch_size), MOST_STEPS)


def steps_per_epoch(max_steps: int, batch_size: int, num_held_out: int) -> int:
    """After how many steps each member is judged by so many rows: a multiple of 25, or all steps if there are fewer."""
    wanted = min(LEARNT_PER_JUDGED * num_held_out // batch_size, max_steps // FEWEST_EPOCHS, MOST_STEPS_PER_EPOCH)
    return min(max(wanted // STEPS_PER_EPOCH, 1) * STEPS_PER_EPOCH, max_steps)


def most_rows(batch_size: int | str, max_steps: int | str) -> int:
    """The largest number of rows that a training with these settings, which may be "auto", learns from."""
    steps = MOST_STEPS if isinstance(max_steps, str) else max_steps
    return steps * (LARGEST_BATCH if isinstance(batch_size, str) else batch_size)


def plan(num_rows: int, num_features: int) -> Plan:
    return DEEP if num_features < MIN_BINNED_FEATURES and num_rows >= MIN_DEEP_ROWS else SHALLOW
