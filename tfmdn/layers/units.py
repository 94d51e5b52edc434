"""The units of targets: what `MDNLayer.adapt` learns of them, and targets brought to them.

Shapes in comments: n rows, E event.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmdn.layers import adaptation, families
from tfmdn.layers.ends import Ends
from tfmdn.reading import containers, weighted

# Of the numbers in `Units.ends`, those that are targets, and those that are differences of targets.
MOVED = ("target_low", "target_high", "target_origin")
SCALED = ("target_resolution",)
# How far targets must stay from the largest and the smallest numbers of their dtype: scales are far smaller than the
# targets' standard deviation, and also far larger.
MARGIN = 1e6
# The standard deviation of numbers, relative to their size, that is more than rounding in float64.
TRULY_VARIES = 1e-12
OTHER_UNITS = "Expected: targets in other units, such as `y / np.std(y)`, or an `MDNLayer` of dtype='float64'."


@dataclasses.dataclass(frozen=True)
class Units:
    """The units of targets, and the limits in them.

    Attributes:
      family: the kind of component, which may put the targets on another scale first: their logarithms if positive.
      location: of the targets on that scale, `[*E]`.
      scale: of the targets on that scale, `[*E]`.
      ends: where and how the targets themselves end and to what they are rounded, by the names of `ends`, `[*E]` each.
    """

    family: families.Family
    location: np.ndarray
    scale: np.ndarray
    ends: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def learned(
        cls, y, family: families.Family, event_shape: tuple[int, ...], ends: Ends, dtype: str, sample_weight=None
    ) -> tuple[Units, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """The units of targets, and a sample of the targets.

        Args:
          y: targets `[*B, *E]`, or a dataset of them, as in `MDNLayer.adapt`.
          family: the kind of component.
          event_shape: E.
          ends: how components end, as far as that is given.
          dtype: what the units will be kept in.
          sample_weight: the weights of targets that are no dataset, or None.

        Returns:
          The units; rows `[n, *E]` of mean 0 and standard deviation 1, whose outliers have come nearer, each about as
          often as it weighs; and what these are in the units, `[*E]` each, which are others for some families.
        """
        extremes = adaptation.Extremes(event_shape)
        batches = (_rows(batch, event_shape) for batch in containers.read(y, containers.Y, sample_weight=sample_weight))
        rows, weights = adaptation.sample_rows(extremes.recorded(batches), event_shape)
        if not len(rows):
            raise ValueError("`adapt` needs at least one row of finite targets and of a weight above 0. Received none.")
        typical = slice(None) if weights is None else weighted.by_weight(weights)
        found = ends.found_in(rows[typical], extremes.lowest, extremes.highest)
        _check_size(extremes, family, dtype)
        rows = adaptation.within_fences(family.standardize(rows), weights)
        centre, spread = adaptation.location_and_scale(rows, dtype, weights)
        if not family.is_positive:
            _check_spread(rows, dtype)
        location, scale = (centre, spread) if family.units is None else family.units(centre)
        place = (centre - location) / scale, spread / scale
        return cls(family, location, scale, found), (rows[typical] - centre) / spread, place

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """The numbers by the names of the variables that an `MDNLayer` keeps them in."""
        return {"target_location": self.location, "target_scale": self.scale, **self.ends}

    def standardize(self, y: np.ndarray) -> np.ndarray:
        """What components of location 0 and scale 1 are of: the targets on the family's scale, in units of it."""
        return (self.family.standardize(y) - self.location) / self.scale

    def to_standard_units(self, y: np.ndarray) -> np.ndarray:
        """Targets whose units have the location 0 and the scale 1, and which are of the same family."""
        # Rounding errors grow in training. Without those of the units, the units do not matter to the last digit.
        return self.family.restore(self.standardize(y).astype(np.float32).astype(np.float64))

    def in_standard_units(self) -> Units:
        """The units of what `to_standard_units` gives."""
        moved = {name: self.to_standard_units(value) for name, value in self.ends.items() if name in MOVED}
        scaled = {name: value / self.scale for name, value in self.ends.items() if name in SCALED}
        location, scale = np.zeros_like(self.location), np.ones_like(self.scale)
        return Units(self.family, location, scale, {**self.ends, **moved, **scaled})


def _check_size(extremes: adaptation.Extremes, family: families.Family, dtype: str) -> None:
    """Raises a ValueError for targets that are too large or too small for a dtype."""
    largest = np.maximum(np.abs(extremes.lowest), np.abs(extremes.highest))
    smallest = extremes.lowest if family.is_positive else np.where(largest > 0.0, largest, 1.0)
    limits = np.finfo(dtype)
    is_held = (largest < float(limits.max) / MARGIN) & ((smallest > float(limits.tiny) * MARGIN) | (smallest <= 0.0))
    if not is_held.all():
        raise ValueError(
            f"Targets so large or so small leave no room in {dtype}. {OTHER_UNITS} "
            f"Received: targets from {extremes.lowest.min():.3g} to {extremes.highest.max():.3g}."
        )


def _check_spread(rows: np.ndarray, dtype: str) -> None:
    """Raises a ValueError for targets `[n, *E]` that differ by so little that a dtype cannot hold that."""
    limits, size, stddev = np.finfo(dtype), np.abs(rows.mean(0)), rows.std(0)
    varies = stddev > TRULY_VARIES * size
    if (varies & (stddev <= limits.eps * size)).any():
        raise ValueError(
            f"{dtype} cannot tell these targets apart, so small are their differences beside their size. Expected: "
            "targets from which a constant is subtracted, or an `MDNLayer` of dtype='float64'. Received: a standard "
            f"deviation of {stddev[varies].min():.3g} of targets of the size {size[varies].max():.3g}."
        )
    if (varies & (stddev < float(limits.tiny) * MARGIN)).any():
        raise ValueError(
            f"Targets that differ by so little leave no room in {dtype}. {OTHER_UNITS} "
            f"Received: a standard deviation of {stddev[varies].min():.3g}."
        )


def _rows(batch, event_shape: tuple[int, ...]) -> adaptation.WeightedRows:
    (y,) = batch.parts
    if event_shape not in ((), (1,)) and y.shape[-1:] != event_shape:
        raise ValueError(
            f"`adapt` needs targets whose last axis is the event shape {event_shape}. Received: y of shape {y.shape}."
        )
    rows = y.reshape(-1, *event_shape)
    batch_shape = y.shape[: y.ndim - (y.shape[-1:] == event_shape)]
    return rows, weighted.of_rows(batch.sample_weight, batch_shape)
