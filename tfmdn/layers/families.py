"""Kinds of components: one record for each, in which everything stands that a head needs to know of it.

Shapes in comments: B batch, K components, E event. E is `()` or `(D,)`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import (
    coarse_moments,
    coarsened,
    gamma,
    gumbel,
    reflected,
    reflected_joint,
    tensors,
    univariate,
    von_mises,
    weibull,
)

tfd = tfp.distributions

# Below 2 degrees of freedom a Student-t has no variance. The margin keeps df / (df - 2) moderate.
MIN_DEGREES_OF_FREEDOM = 2.1


@dataclasses.dataclass(frozen=True)
class ShapeParameter:
    """A parameter beside location and scale, such as degrees of freedom: its link, and the raw value it starts at."""

    link: Callable[[tf.Tensor], tf.Tensor]
    initial_raw: float


@dataclasses.dataclass(frozen=True)
class Family:
    """One kind of component: all that a head needs to know of it. A new one is a record here.

    What mixtures ask of its distribution (a CRPS, limits, a logarithm) is answered beside that, see
    `tfmdn.distributions.kinds`.

    Attributes:
      distribution: a univariate tfd distribution with arguments `loc`, `scale` and those named in `shape_parameters`.
      shape_parameters: further parameters by name, one for each scale.
      max_scale: the default ceiling of the scale, in units of the target's scale.
      standardize: the function of the target that `loc` and `scale` are the location and scale of.
      restore: its inverse.
      units: what a head takes for the location and the scale of the standardized target, of its mean. None means its
        mean and its standard deviation.
      is_positive: whether targets must be greater than 0.
      of_moments: the parameters of the distribution that has a mean and a standard deviation.
    """

    distribution: type[tfd.Distribution]
    shape_parameters: dict[str, ShapeParameter] = dataclasses.field(default_factory=dict)
    max_scale: float = 1e3
    standardize: Callable[[np.ndarray], np.ndarray] = lambda y: y
    restore: Callable[[np.ndarray], np.ndarray] = lambda standardized: standardized
    units: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    is_positive: bool = False
    of_moments: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]] = lambda mean, stddev: {
        "loc": mean,
        "scale": stddev,
    }


def _positive(name: str) -> dict:
    """What families of positive targets share, whose parameters are of the logarithm."""

    def standardize(y: np.ndarray) -> np.ndarray:
        if np.any(y <= 0):
            raise ValueError(f"family={name!r} needs targets greater than 0. Received a smallest target of {y.min()}.")
        return np.log(y)

    return {"standardize": standardize, "restore": np.exp, "is_positive": True}


def _location_alone(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a logarithm that cannot be divided by a scale: the power of y would be of another family."""
    return mean, np.ones_like(mean)


def _no_units(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of angles, which can neither be stretched nor be moved without an end."""
    return np.zeros_like(mean), np.ones_like(mean)


def _wrapped(y: np.ndarray) -> np.ndarray:
    """The same angles between -pi and pi."""
    return y - 2.0 * np.pi * np.round(y / (2.0 * np.pi))


def _student_t_of_moments(mean, stddev):
    df = 30.0  # as good as normal
    return {
        "df": tf.fill(tf.shape(mean), tf.cast(df, mean.dtype)),
        "loc": mean,
        "scale": stddev * math.sqrt(1.0 - 2.0 / df),
    }


def _lognormal_of_moments(mean, stddev):
    mean = tf.maximum(mean, 0.01 * stddev)  # none has a mean of 0 or less
    variance = tf.math.log1p(tf.square(stddev / mean))
    return {"loc": tf.math.log(mean) - 0.5 * variance, "scale": tf.sqrt(variance)}


FAMILIES = {
    "normal": Family(tfd.Normal),
    "laplace": Family(tfd.Laplace, of_moments=lambda mean, stddev: {"loc": mean, "scale": stddev / math.sqrt(2.0)}),
    "logistic": Family(
        tfd.Logistic, of_moments=lambda mean, stddev: {"loc": mean, "scale": stddev * (math.sqrt(3.0) / math.pi)}
    ),
    "student_t": Family(
        univariate.StudentT,
        # 5 makes the components start at about 7 degrees of freedom: tails heavier than normal, a finite kurtosis.
        shape_parameters={"df": ShapeParameter(lambda raw: MIN_DEGREES_OF_FREEDOM + tf.math.softplus(raw), 5.0)},
        of_moments=_student_t_of_moments,
    ),
    # The variance grows like exp(2 scale^2): a larger scale would overflow float32.
    "lognormal": Family(
        univariate.LogNormal, max_scale=5.0, of_moments=_lognormal_of_moments, **_positive("lognormal")
    ),
    # A scale of 10 is as good as exponential, or uniform.
    "gamma": Family(
        gamma.Gamma, max_scale=10.0, units=_location_alone, of_moments=gamma.of_moments, **_positive("gamma")
    ),
    "weibull": Family(
        weibull.Weibull, max_scale=10.0, units=_location_alone, of_moments=weibull.of_moments, **_positive("weibull")
    ),
    "gumbel": Family(gumbel.Gumbel, of_moments=gumbel.of_moments),
    "von_mises": Family(
        von_mises.VonMises, max_scale=10.0, standardize=_wrapped, units=_no_units, of_moments=von_mises.of_moments
    ),
}


def components_of_moments(components: tfd.Distribution, mean: tf.Tensor, stddev: tf.Tensor) -> tfd.Distribution:
    """Components of the same kind, each with independent coordinates of that mean and standard deviation.

    Args:
      components: of one of the `FAMILIES`.
      mean: `[*B, K, *E]`.
      stddev: `[*B, K, *E]`.

    Raises:
      NotImplementedError: if they are of another kind.
    """
    return tensors.with_parameters(
        components, _parameters_of_moments(tensors.under_independent(components), mean, stddev)
    )


@functools.singledispatch
def _parameters_of_moments(inner: tfd.Distribution, mean: tf.Tensor, stddev: tf.Tensor) -> dict[str, tf.Tensor]:
    for family in FAMILIES.values():
        if isinstance(inner, family.distribution):
            return family.of_moments(mean, stddev)
    raise NotImplementedError(f"Components of a given mean and standard deviation are not known for {inner}.")


def _diagonal(values: tf.Tensor) -> tf.Tensor:
    """As `tf.linalg.diag`, which converters to ONNX get wrong."""
    is_diagonal = np.eye(values.shape[-1], dtype=bool)
    return tf.where(is_diagonal, values[..., tf.newaxis], tf.zeros([], values.dtype))


@_parameters_of_moments.register
def _(inner: tfd.MultivariateNormalDiag, mean, stddev):
    return {"loc": mean, "scale_diag": stddev}


@_parameters_of_moments.register
def _(inner: tfd.MultivariateNormalTriL, mean, stddev):
    return {"loc": mean, "scale_tril": _diagonal(stddev)}


@_parameters_of_moments.register
def _(inner: reflected.ReflectedNormal, mean, stddev):
    return {"loc": mean, "scale": stddev, **_no_limits(mean)}


@_parameters_of_moments.register
def _(inner: reflected_joint.ReflectedMultivariateNormal, mean, stddev):
    return {"loc": mean, "scale_tril": _diagonal(stddev), **_no_limits(mean)}


@_parameters_of_moments.register
def _(inner: coarsened.CoarsenedNormal, mean, stddev):
    # What is observed stays on the grid and at the limits; what would be reflected goes on, as of `ReflectedNormal`.
    shape = tf.shape(mean)
    alike = {name: _of_all(value, shape) for name, value in tensors.parameters(inner).items()}
    low, high = (
        tf.where(alike.get("resolution", 0.0) > 0.0, end, alike[name])
        for name, end in (("low", -math.inf), ("high", math.inf))
    )
    loc, scale = coarse_moments.before_limits(mean, stddev, low, high)
    infinite = _no_limits(mean)["high"]
    mirrors = {"mirror_low": -infinite, "mirror_high": infinite} if "mirror_low" in alike else {}
    return {**alike, "loc": loc, "scale": scale, "is_moved": tf.ones_like(mean), **mirrors}


def _of_all(value: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """What is the same for all components and rows, `[*B, K, *E]`, of another shape `[K', *E]`."""
    event_rank = shape.shape[0] - 1
    value = tf.reshape(value, tf.concat([[-1], tf.shape(value)[value.shape.rank - event_rank :]], 0))
    return tf.broadcast_to(value[0], shape)


def _no_limits(mean: tf.Tensor) -> dict[str, tf.Tensor]:
    high = tf.fill(tf.shape(mean), tf.cast(math.inf, mean.dtype))
    return {"low": -high, "high": high}  # limits would change the moments
