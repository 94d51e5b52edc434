"""Where and how the components of a head end, and to what they are rounded.

It is kept in variables of the head, of which there are as many as its arguments ask for.

Shapes in comments: K components, E event.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfmdn import numerics
from tfmdn.layers import coarseness
from tfmdn.layers import support as support_lib

LIMITS = ("target_low", "target_high")
ATOMS = ("low_is_atom", "high_is_atom")
GRID = ("target_resolution", "target_origin")


@dataclasses.dataclass(frozen=True)
class Ends:
    """What a head's `support`, `atoms` and `resolution` say, as a config can hold them; `settled` makes them so."""

    support: str | tuple | None = None
    atoms: str | tuple | None = None
    resolution: str | float | list | None = None

    @classmethod
    def settled(cls, support, atoms, resolution, event_shape: tuple[int, ...], background: float) -> Ends:
        """The same arguments, checked.

        Raises:
          ValueError: if one of them is not what `MDNLayer` says that it must be.
        """
        settled = cls(
            support_lib.settled(support, event_shape, background),
            coarseness.settled_atoms(atoms, event_shape),
            coarseness.settled_resolution(resolution, event_shape),
        )
        if settled.atoms is not None and not support_lib.is_auto(settled.atoms) and support is None:
            raise ValueError(
                "`atoms` are limits that have a probability of their own: they need a `support`. "
                f"Received: atoms={atoms!r}, support=None."
            )
        return settled

    @property
    def is_coarse(self) -> bool:
        """Whether components are `CoarsenedNormal`."""
        return self.resolution is not None or (self.atoms is not None and self.support is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables."""
        limits = LIMITS if self.support is not None or self.is_coarse else ()
        return limits + (ATOMS if self.is_coarse else ()) + (GRID if self.resolution is not None else ())

    def found_in(self, y: np.ndarray, lowest: np.ndarray, highest: np.ndarray) -> dict[str, np.ndarray]:
        """What the variables are for targets, each `[*E]`.

        Args:
          y: finite targets `[n, *E]`, or a sample of them.
          lowest: the smallest of all targets, `[*E]`.
          highest: the largest of all targets, `[*E]`.

        Raises:
          ValueError: if targets lie outside of a `support` that was given.
        """
        if not self.names:
            return {}
        if support_lib.is_given(self.support):
            support_lib.check_inside(lowest, highest, *support_lib.limits(self.support, y.shape[1:]), self.support)
        found = coarseness.found_in(y, lowest, highest, self.support, self.atoms, self.resolution)
        # No target that was seen lies outside: the rows are a sample, and given limits may differ by rounding.
        low, high = np.minimum(found.low, lowest), np.maximum(found.high, highest)
        return self._named(dataclasses.replace(found, low=low, high=high))

    def initial(self, event_shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """What the variables are before there are any targets: what is given, and nothing that is to be found."""
        sides = (np.zeros(event_shape, bool),) * 2 if not isinstance(self.atoms, tuple) else self.atoms
        given = support_lib.is_given(self.support)
        low, high = support_lib.limits(self.support if given else (None, None), event_shape)
        is_auto = support_lib.is_auto(self.resolution)
        steps = coarseness.steps(None if is_auto else self.resolution, event_shape)
        sides = [np.broadcast_to(side, event_shape) | (steps > 0.0) for side in sides]
        return self._named(coarseness.Coarseness(low, high, *sides, steps, np.zeros(event_shape)))

    def _named(self, found: coarseness.Coarseness) -> dict[str, np.ndarray]:
        values = (found.low, found.high, found.low_is_atom, found.high_is_atom, found.resolution, found.origin)
        named = dict(zip(LIMITS + ATOMS + GRID, values))
        return {name: np.asarray(named[name], np.float64) for name in self.names}

    def arguments(
        self, values: dict[str, tf.Tensor], num_components: int, has_background: bool
    ) -> dict[str, tf.Tensor]:
        """The arguments of the components that say where they end: `[*E, K]`, or broadcastable with it.

        What was found may be wrong for a later target, and must not make it impossible: the background of a head that
        finds its limits by itself goes on beyond them.

        Args:
          values: of the variables by name, `[*E, 1]` each.
          num_components: K, without the background.
          has_background: whether there is one more component.
        """
        is_found = support_lib.is_auto(self.support) and has_background

        def but_for_background(value, alternative):
            return numerics.append(tf.repeat(value, num_components, -1), alternative) if is_found else value

        if not self.names:
            return {}
        low, high = (values[name] for name in LIMITS)
        if not self.is_coarse:
            return {"low": but_for_background(low, -math.inf), "high": but_for_background(high, math.inf)}
        grid = dict(zip(("resolution", "origin"), (values[name] for name in GRID if name in values)))
        low_is_atom, high_is_atom = (values[name] > 0.5 for name in ATOMS)
        arguments = {
            "low": tf.where(low_is_atom, low, -math.inf),
            "high": tf.where(high_is_atom, high, math.inf),
            "is_moved": but_for_background(tf.ones_like(low), 0.0),
            **grid,
        }
        if self._may_have_mirrors:
            arguments["mirror_low"] = but_for_background(tf.where(~low_is_atom, low, -math.inf), -math.inf)
            arguments["mirror_high"] = but_for_background(tf.where(~high_is_atom, high, math.inf), math.inf)
        return arguments

    @property
    def _may_have_mirrors(self) -> bool:
        """Whether there can be a limit that is no atom."""
        if self.support is None or (isinstance(self.atoms, tuple) and np.all(self.atoms)):
            return False
        return not (self.atoms is None and isinstance(self.resolution, float))
