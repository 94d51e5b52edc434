"""How raw network outputs become scales between a floor and a ceiling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

# In the exponential link, of half the distance of the bounds: how near to one a component may start, how near a raw
# output of 0 may be, and from where on the bound holds the scale back. The slope there is 2 %, 19 % and 10 %.
NEAREST_START = 0.99
NEAREST_ZERO = 0.9
HELD = 0.95


@dataclasses.dataclass(frozen=True)
class ScaleBounds:
    """The smallest and the largest scale of a component, in units of the target's scale."""

    minimum: float
    maximum: float


class ScaleLink(Protocol):
    """A kind of link. Densities need the logarithm of a scale, and so that is what it gives."""

    def log_scale(self, raw: tf.Tensor, bounds: ScaleBounds) -> tf.Tensor:
        """Maps any real numbers to the logarithms of scales within the bounds."""

    def raw(self, scale: np.ndarray, bounds: ScaleBounds) -> np.ndarray:
        """The raw outputs that scales come from. Scales beyond the bounds count as just inside."""

    def held(self, bounds: ScaleBounds) -> tuple[float, float]:
        """The raw outputs below and above which a bound holds the scale back."""


class ExponentialLink:
    """The network predicts the logarithm of the scale, which bends smoothly towards its bounds.

    With the middle m of the logarithms of the bounds, and half of their distance h, it is m + h tanh(v / h), v being
    the raw output plus a constant that makes 0 the scale 1.
    """

    def log_scale(self, raw: tf.Tensor, bounds: ScaleBounds) -> tf.Tensor:
        middle, half_width, offset = self._constants(bounds)
        return middle + half_width * tf.tanh((raw + offset) / half_width)

    def raw(self, scale: np.ndarray, bounds: ScaleBounds) -> np.ndarray:
        middle, half_width, offset = self._constants(bounds)
        position = np.clip((np.log(scale) - middle) / half_width, -NEAREST_START, NEAREST_START)
        return half_width * np.arctanh(position) - offset

    def held(self, bounds: ScaleBounds) -> tuple[float, float]:
        _, half_width, offset = self._constants(bounds)
        return -half_width * np.arctanh(HELD) - offset, half_width * np.arctanh(HELD) - offset

    def _constants(self, bounds: ScaleBounds) -> tuple[float, float, float]:
        low, high = math.log(bounds.minimum), math.log(bounds.maximum)
        middle, half_width = (low + high) / 2.0, (high - low) / 2.0
        # Where 1 is near a bound or beyond it, a raw output of 0 is a scale that has a gradient.
        position = min(max(-middle / half_width, -NEAREST_ZERO), NEAREST_ZERO)
        return middle, half_width, half_width * np.arctanh(position)


@dataclasses.dataclass(frozen=True)
class FlooredLink:
    """The smallest scale plus a positive function of the raw output, cut at the largest scale.

    At the ceiling the gradient passes as if it were not there, so that an oversized component can still shrink.

    Attributes:
      forward: a function from any real number to a positive one.
      inverse: its inverse.
    """

    forward: Callable[[tf.Tensor], tf.Tensor]
    inverse: Callable[[np.ndarray], np.ndarray]

    def log_scale(self, raw: tf.Tensor, bounds: ScaleBounds) -> tf.Tensor:
        ceiling = self.inverse(bounds.maximum - bounds.minimum)
        bounded = tf.grad_pass_through(lambda value: tf.minimum(value, tf.cast(ceiling, value.dtype)))(raw)
        return tf.math.log(bounds.minimum + self.forward(bounded))

    def raw(self, scale: np.ndarray, bounds: ScaleBounds) -> np.ndarray:
        return self.inverse(np.clip(scale, 1.001 * bounds.minimum, bounds.maximum) - bounds.minimum)

    def held(self, bounds: ScaleBounds) -> tuple[float, float]:
        return self.inverse(0.1 * bounds.minimum), self.inverse(0.99 * bounds.maximum - bounds.minimum)


SCALE_LINKS: dict[str, ScaleLink] = {
    "exp": ExponentialLink(),
    "softplus": FlooredLink(tf.math.softplus, lambda scale: scale + np.log(-np.expm1(-scale))),
    "elu+1": FlooredLink(
        lambda raw: tf.nn.elu(raw) + 1.0, lambda scale: np.where(scale > 1.0, scale - 1.0, np.log(scale))
    ),
}
