"""What one component of a head is, with everything settled: its parameters, and the distribution built of them.

Shapes in comments: B batch, K components, E event. E is `()` or `(D,)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import validation
from tfmdn.distributions import coarsened, reflected, reflected_joint, rescaled
from tfmdn.layers import families, links
from tfmdn.layers.ends import Ends

tfd = tfp.distributions

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
    """A family with everything settled: event shape, covariance, the bounds of the scale, and how it ends."""

    family: str
    covariance: str
    event_shape: tuple[int, ...]
    link: links.ScaleLink
    bounds: links.ScaleBounds
    ends: Ends

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
        for name, shape_parameter in families.FAMILIES[self.family].shape_parameters.items():
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

    @property
    def has_factors(self) -> bool:
        """Whether each component is in units of a Cholesky factor of its own."""
        return self.covariance == "full" and not self.ends.names

    def distribution(
        self, location: tf.Tensor, scale: tf.Tensor, limits: dict[str, tf.Tensor], **parameters: tf.Tensor
    ) -> tfd.Distribution:
        """The components `[B, K]` as one distribution.

        Args:
          location: of the target, `[*E, 1]`.
          scale: of the target, `[*E, 1]`.
          limits: where the components end, `low` and `high` `[*E, K]`, if the spec has limits, and if it is coarse what
            else a `CoarsenedNormal` is made of; else empty.
          **parameters: of the components of the standardised target, `[B, *shape, K]`; if the spec has factors, in
            units of those `[K, D, D]` that are the parameter `factors`.
        """
        if self.has_factors:
            return self._factored(location, scale, **parameters)
        if self.covariance == "spherical" and self.event_shape:  # [B, K] -> [B, D, K]
            parameters = {
                name: value if name == "loc" else value[..., tf.newaxis, :] + tf.zeros_like(parameters["loc"])
                for name, value in parameters.items()
            }
        if self.family == "normal" and self.covariance != "full" and not self.ends.names:
            return self._normal(location, scale, **parameters)
        log_scale = parameters.pop("log_scale") + self.log_unit(scale)
        parameters = {**parameters, **limits, "loc": location + scale * parameters["loc"], "scale": tf.exp(log_scale)}
        if self.event_shape:
            parameters = {name: tf.linalg.matrix_transpose(value) for name, value in parameters.items()}  # [B, K, D]
        if self.covariance == "full":
            scale_tril = _scale_tril(parameters["scale"], parameters["correlation"])
            return reflected_joint.ReflectedMultivariateNormal(
                parameters["loc"], scale_tril, *(parameters[name] for name in limits)
            )
        kind = reflected.ReflectedNormal if self.ends.names else families.FAMILIES[self.family].distribution
        kind = coarsened.CoarsenedNormal if self.ends.is_coarse else kind
        distribution = kind(**parameters)
        return tfd.Independent(distribution, 1) if self.event_shape else distribution

    def _factored(self, location, scale, factors, loc, log_scale, correlation) -> tfd.Distribution:
        """Correlated normal components, in units in which each of them started with the scale 1."""
        loc, log_scale, correlation = map(tf.linalg.matrix_transpose, (loc, log_scale, correlation))  # [B, K, D]
        factors = scale * factors  # [K, D, D]
        scale_tril = tf.linalg.matmul(factors, _scale_tril(tf.exp(log_scale), correlation))
        return tfd.MultivariateNormalTriL(location[:, 0] + tf.linalg.matvec(factors, loc), scale_tril)

    def _normal(self, location: tf.Tensor, scale: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor) -> tfd.Distribution:
        """Normal components of independent coordinates: of centres and log scales `[B, *E, K]` in standard units."""
        if self.covariance == "spherical" and self.event_shape:  # one unit for all coordinates, as there is one scale
            unit = tf.exp(self.log_unit(scale))
            loc, scale = loc * (scale / unit), unit * tf.ones_like(scale)
        parameters = loc, log_scale, location, scale
        if not self.event_shape:
            return rescaled.RescaledNormal(*parameters)
        return rescaled.RescaledMultivariateNormalDiag(*map(tf.linalg.matrix_transpose, parameters))  # [B, K, D]


def component_spec(
    family: str,
    covariance: str,
    event_shape: tuple[int, ...],
    scale_activation: str,
    min_scale: float,
    max_scale: float | None,
    ends: Ends,
) -> ComponentSpec:
    """Checks the arguments that describe a component and puts them together."""
    validation.one_of("family", family, families.FAMILIES)
    validation.one_of("covariance", covariance, COVARIANCES)
    validation.one_of("scale_activation", scale_activation, links.SCALE_LINKS)
    minimum = validation.positive_number("min_scale", min_scale)
    default = families.FAMILIES[family].max_scale
    maximum = default if max_scale is None else validation.positive_number("max_scale", max_scale)
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
    if ends.is_coarse and (family != "normal" or covariance == "full"):
        raise ValueError(
            "`atoms` and `resolution` are defined for family='normal' and covariance 'diag' or 'spherical' only. "
            f"Received: family={family!r}, covariance={covariance!r}. Use atoms=None and resolution=None."
        )
    if ends.names and family != "normal":
        raise ValueError(
            "`support` is defined for family='normal' only, whose tails are then reflected at the limits. "
            f"Received: family={family!r}. Use support=None."
        )
    if ends.names and covariance == "full" and event_shape[0] > MAX_CORRELATED_WITH_LIMITS:
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
        ends,
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
