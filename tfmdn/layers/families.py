"""What one component of a mixture is: its parameters, what makes them valid, the distribution built of them.

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

from tfmdn import validation
from tfmdn.distributions import reflected, rescaled, tensors, univariate
from tfmdn.layers import links

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
    """One kind of component.

    Attributes:
      distribution: a univariate tfd distribution with arguments `loc`, `scale` and those named in `shape_parameters`.
      shape_parameters: further parameters by name, one for each scale.
      max_scale: the default ceiling of the scale, in units of the target's scale.
      standardize: the function of the target that `loc` and `scale` are the location and scale of.
      restore: its inverse.
      of_moments: the parameters of the distribution that has a mean and a standard deviation.
    """

    distribution: type[tfd.Distribution]
    shape_parameters: dict[str, ShapeParameter] = dataclasses.field(default_factory=dict)
    max_scale: float = 1e3
    standardize: Callable[[np.ndarray], np.ndarray] = lambda y: y
    restore: Callable[[np.ndarray], np.ndarray] = lambda standardized: standardized
    of_moments: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]] = lambda mean, stddev: {
        "loc": mean,
        "scale": stddev,
    }


def _log_of_positive(y: np.ndarray) -> np.ndarray:
    if np.any(y <= 0):
        raise ValueError(f"family='lognormal' needs targets greater than 0. Received a smallest target of {y.min()}.")
    return np.log(y)


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
        univariate.LogNormal,
        max_scale=5.0,
        standardize=_log_of_positive,
        restore=np.exp,
        of_moments=_lognormal_of_moments,
    ),
}

COVARIANCES = ("diag", "spherical", "full")
MAX_CORRELATED_WITH_LIMITS = 3


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a component: its shape, what makes raw outputs valid, and the raw values a component starts at.

    Attributes:
      name: the name of the parameter.
      shape: its shape for one component.
      constrain: maps raw outputs to valid values, of standardised targets.
      initial_raw: maps the components' start in standard units, centres `[K, *E]` and scales `[K]`, to raw values that
        broadcast to `[K, *shape]`.
    """

    name: str
    shape: tuple[int, ...]
    constrain: Callable[[tf.Tensor], tf.Tensor]
    initial_raw: Callable[[np.ndarray, np.ndarray], np.ndarray | float]


@dataclasses.dataclass(frozen=True)
class ComponentSpec:
    """A family with everything settled: event shape, covariance, the bounds of the scale, and whether it has limits."""

    family: str
    covariance: str
    event_shape: tuple[int, ...]
    link: links.ScaleLink
    bounds: links.ScaleBounds
    has_limits: bool

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters of one component, in the order in which the network outputs them."""
        scale_shape = () if self.covariance == "spherical" else self.event_shape

        def initial_scale(_, scales):
            return self.link.raw(scales.reshape(-1, *[1] * len(scale_shape)), self.bounds)

        parameters = [
            Parameter("loc", self.event_shape, lambda raw: raw, lambda centre, _: centre),
            Parameter("log_scale", scale_shape, lambda raw: self.link.log_scale(raw, self.bounds), initial_scale),
        ]
        for name, shape_parameter in FAMILIES[self.family].shape_parameters.items():
            parameters.append(
                Parameter(
                    name,
                    scale_shape,
                    shape_parameter.link,
                    lambda *_, start=shape_parameter.initial_raw: start,
                )
            )
        if self.covariance == "full":
            (size,) = self.event_shape
            parameters.append(Parameter("correlation", (size * (size - 1) // 2,), lambda raw: raw, lambda *_: 0.0))
        return parameters

    def log_unit(self, scale: tf.Tensor) -> tf.Tensor:
        """The logarithm of what the scales of components are relative to, of the target's scale `[*E, 1]`."""
        log_unit = tf.math.log(scale)
        # A spherical component has one scale in all coordinates, so it is relative to their geometric mean.
        return tf.reduce_mean(log_unit) if self.covariance == "spherical" else log_unit

    def distribution(
        self, location: tf.Tensor, scale: tf.Tensor, limits: dict[str, tf.Tensor], **parameters: tf.Tensor
    ) -> tfd.Distribution:
        """The components `[B, K]` as one distribution.

        Args:
          location: of the target, `[*E, 1]`.
          scale: of the target, `[*E, 1]`.
          limits: where the components end, `low` and `high` `[*E, K]`, if the spec has limits; else empty.
          **parameters: of the components of the standardised target, `[B, *shape, K]`.
        """
        if self.covariance == "spherical" and self.event_shape:  # [B, K] -> [B, D, K]
            parameters = {
                name: value if name == "loc" else value[..., tf.newaxis, :] + tf.zeros_like(parameters["loc"])
                for name, value in parameters.items()
            }
        if self.family == "normal" and self.covariance != "full" and not self.has_limits:
            return self._normal(location, scale, **parameters)
        log_scale = parameters.pop("log_scale") + self.log_unit(scale)
        parameters = {**parameters, **limits, "loc": location + scale * parameters["loc"], "scale": tf.exp(log_scale)}
        if self.event_shape:
            parameters = {name: tf.linalg.matrix_transpose(value) for name, value in parameters.items()}  # [B, K, D]
        if self.covariance == "full":
            scale_tril = _scale_tril(parameters["scale"], parameters["correlation"])
            joint = reflected.ReflectedMultivariateNormal if self.has_limits else tfd.MultivariateNormalTriL
            return joint(parameters["loc"], scale_tril, *(parameters[name] for name in limits))
        kind = reflected.ReflectedNormal if self.has_limits else FAMILIES[self.family].distribution
        distribution = kind(**parameters)
        return tfd.Independent(distribution, 1) if self.event_shape else distribution

    def _normal(self, location: tf.Tensor, scale: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor) -> tfd.Distribution:
        """Normal components of independent coordinates: of centres and log scales `[B, *E, K]` in standard units."""
        if self.covariance == "spherical" and self.event_shape:  # one unit for all coordinates, as there is one scale
            unit = tf.exp(self.log_unit(scale))
            loc, scale = loc * (scale / unit), unit * tf.ones_like(scale)
        parameters = loc, log_scale, location, scale
        if not self.event_shape:
            return rescaled.RescaledNormal(*parameters)
        return rescaled.RescaledMultivariateNormalDiag(*map(tf.linalg.matrix_transpose, parameters))  # [B, K, D]


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


@_parameters_of_moments.register
def _(inner: tfd.MultivariateNormalDiag, mean, stddev):
    return {"loc": mean, "scale_diag": stddev}


@_parameters_of_moments.register
def _(inner: tfd.MultivariateNormalTriL, mean, stddev):
    return {"loc": mean, "scale_tril": tf.linalg.diag(stddev)}


@_parameters_of_moments.register
def _(inner: reflected.ReflectedNormal, mean, stddev):
    return {"loc": mean, "scale": stddev, **_no_limits(mean)}


@_parameters_of_moments.register
def _(inner: reflected.ReflectedMultivariateNormal, mean, stddev):
    return {"loc": mean, "scale_tril": tf.linalg.diag(stddev), **_no_limits(mean)}


def _no_limits(mean: tf.Tensor) -> dict[str, tf.Tensor]:
    high = tf.fill(tf.shape(mean), tf.cast(math.inf, mean.dtype))
    return {"low": -high, "high": high}  # limits would change the moments


def component_spec(
    family: str,
    covariance: str,
    event_shape: tuple[int, ...],
    scale_activation: str,
    min_scale: float,
    max_scale: float | None,
    has_limits: bool,
) -> ComponentSpec:
    """Checks the arguments that describe a component and puts them together."""
    validation.one_of("family", family, FAMILIES)
    validation.one_of("covariance", covariance, COVARIANCES)
    validation.one_of("scale_activation", scale_activation, links.SCALE_LINKS)
    minimum = validation.positive_number("min_scale", min_scale)
    maximum = FAMILIES[family].max_scale if max_scale is None else validation.positive_number("max_scale", max_scale)
    if maximum <= minimum:
        raise ValueError(
            "`max_scale` must be greater than `min_scale`. "
            f"Received: min_scale={minimum}, max_scale={maximum}{' (the default)' if max_scale is None else ''}."
        )
    if covariance == "full" and family != "normal":
        raise ValueError(
            "covariance='full' is defined for family='normal' only. "
            f"Received: family={family!r}, covariance='full'. Use covariance='diag'."
        )
    if covariance == "full" and not event_shape:
        raise ValueError(
            "covariance='full' needs a vector target, and a scalar has no correlations. "
            "Received: event_shape=(), covariance='full'. Use covariance='diag', or an event_shape of (n,)."
        )
    if has_limits and family != "normal":
        raise ValueError(
            "`support` is defined for family='normal' only, whose tails are then reflected at the limits. "
            f"Received: family={family!r}. Use support=None."
        )
    if has_limits and covariance == "full" and event_shape[0] > MAX_CORRELATED_WITH_LIMITS:
        raise ValueError(
            f"covariance='full' with `support` takes 3^n reflections of n coordinates, at most "
            f"{MAX_CORRELATED_WITH_LIMITS}. Received: event_shape={event_shape}. Use covariance='diag'."
        )
    return ComponentSpec(
        family,
        covariance,
        event_shape,
        links.SCALE_LINKS[scale_activation],
        links.ScaleBounds(minimum, maximum),
        has_limits,
    )


def _scale_tril(scale: tf.Tensor, correlation: tf.Tensor) -> tf.Tensor:
    """The Cholesky factor with diagonal `scale` [..., D] and rows proportional to it.

    A row's entries left of the diagonal are `correlation` times that row's scale, so that they have no unit and the
    factor of a rescaled target is the rescaled factor. `scale` is each coordinate's standard deviation given the
    coordinates before it.
    """
    size = scale.shape[-1]
    rows, columns = np.tril_indices(size, -1)
    position = np.zeros((size, size), np.int32)
    position[rows, columns] = np.arange(len(rows)) + 1
    unit = tf.concat([tf.zeros_like(scale[..., :1]), correlation], -1)  # [..., 1 + D (D - 1) / 2]
    unit_tril = tf.gather(unit, position, axis=-1) + tf.eye(size, dtype=scale.dtype)  # [..., D, D]
    return scale[..., tf.newaxis] * unit_tril
