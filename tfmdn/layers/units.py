"""The units of targets: what `MDNLayer.adapt` learns of them, and targets brought to them.

Shapes in comments: n rows, E event.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmdn.layers import adaptation, families
from tfmdn.layers import support as support_lib


@dataclasses.dataclass(frozen=True)
class Units:
    """The units of targets, and the limits in them.

    Attributes:
      family: the kind of component, which may put the targets on another scale first: their logarithms if positive.
      location: of the targets on that scale, `[*E]`.
      scale: of the targets on that scale, `[*E]`.
      limits: the lower and the upper limit of the targets themselves, `[*E]` each; empty where there can be none.
    """

    family: families.Family
    location: np.ndarray
    scale: np.ndarray
    limits: tuple[np.ndarray, ...] = ()

    @classmethod
    def learned(
        cls, y, family: families.Family, event_shape: tuple[int, ...], support: str | tuple | None, dtype: str
    ) -> tuple[Units, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """The units of targets, and a sample of the targets.

        Args:
          y: targets `[*B, *E]`, or a dataset of them, as in `MDNLayer.adapt`.
          family: the kind of component.
          event_shape: E.
          support: the limits, "auto" or None, as `MDNLayer` has it.
          dtype: what the units will be kept in.

        Returns:
          The units; rows `[n, *E]` of mean 0 and standard deviation 1, whose outliers have come nearer; and what these
          are in the units, `[*E]` each, which are others for some families.
        """
        extremes = adaptation.Extremes(event_shape)
        batches = (_rows(batch, event_shape) for batch in adaptation.batches(y, part=1))
        rows = adaptation.sample_rows(extremes.recorded(batches), event_shape)
        if not len(rows):
            raise ValueError("`adapt` needs at least one row of finite targets. Received none.")
        limits = () if support is None else _limits(rows, extremes, support, event_shape)
        rows = adaptation.within_fences(family.standardize(rows))
        centre, spread = adaptation.location_and_scale(rows, dtype)
        location, scale = (centre, spread) if family.units is None else family.units(centre)
        place = (centre - location) / scale, spread / scale
        return cls(family, location, scale, limits), (rows - centre) / spread, place

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """The numbers by the names of the variables that an `MDNLayer` keeps them in."""
        names = ("target_location", "target_scale", "target_low", "target_high")
        return dict(zip(names, (self.location, self.scale, *self.limits)))

    def standardize(self, y: np.ndarray) -> np.ndarray:
        """What components of location 0 and scale 1 are of: the targets on the family's scale, in units of it."""
        return (self.family.standardize(y) - self.location) / self.scale

    def to_standard_units(self, y: np.ndarray) -> np.ndarray:
        """Targets whose units have the location 0 and the scale 1, and which are of the same family."""
        # Rounding errors grow in training. Without those of the units, the units do not matter to the last digit.
        return self.family.restore(self.standardize(y).astype(np.float32).astype(np.float64))

    def in_standard_units(self) -> Units:
        """The units of what `to_standard_units` gives."""
        limits = tuple(map(self.to_standard_units, self.limits))
        return Units(self.family, np.zeros_like(self.location), np.ones_like(self.scale), limits)


def _rows(batch, event_shape: tuple[int, ...]) -> np.ndarray:
    batch = np.asarray(batch, np.float64)
    if event_shape not in ((), (1,)) and batch.shape[-1:] != event_shape:
        raise ValueError(
            f"`adapt` needs targets whose last axis is the event shape {event_shape}. "
            f"Received: y of shape {batch.shape}."
        )
    return batch.reshape(-1, *event_shape)


def _limits(
    rows: np.ndarray, extremes: adaptation.Extremes, support: str | tuple, event_shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    if support_lib.is_auto(support):
        low, high = support_lib.found_in(rows)
    else:
        low, high = support_lib.limits(support, event_shape)
        support_lib.check_inside(extremes.lowest, extremes.highest, low, high, support)
    # No target that was seen lies outside: the rows are a sample, and given limits may differ by rounding.
    return np.minimum(low, extremes.lowest), np.maximum(high, extremes.highest)
