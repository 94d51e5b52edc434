"""What TFP does not answer about the components of a mixture: one distribution whose last batch axis K counts them.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import reflected
from tfmdn.numerics import HALF_LOG_TWO_PI, reach

tfd = tfp.distributions


def parameters(components: tfd.Distribution) -> dict[str, tf.Tensor]:
    """The tensor parameters under TFP's names, for example `loc` and `scale_diag`, each broadcast to `[*B, K, ...]`.

    Each is read once, and shapes are taken from what was read: TFP's shape methods would read parameters again.

    Args:
      components: the distribution. `tfd.Independent` is looked through.

    Raises:
      NotImplementedError: if the distribution is made of other distributions, or has batch axes of unknown number.
    """
    inner = under_independent(components)
    if components.batch_shape.rank is None or inner.batch_shape.rank is None:
        raise NotImplementedError(f"The number of batch axes of {components} is not known.")
    # The dtype of a Bernoulli is int32, that of its parameter is not.
    dtype_hint = inner.dtype if inner.dtype.is_floating else tf.float32
    values, batch_ndims = {}, {}
    for name, properties in type(inner).parameter_properties(inner.dtype).items():
        value = inner.parameters.get(name)
        if value is None:
            continue
        if not properties.is_tensor or not isinstance(properties.event_ndims, int):
            raise NotImplementedError(
                f"{type(inner).__name__} is not described by tensors alone: it has {name}={value}."
            )
        values[name] = tf.convert_to_tensor(value, dtype_hint=dtype_hint)
        batch_ndims[name] = values[name].shape.rank - properties.event_ndims
    return broadcast_batch(values, batch_ndims)


def broadcast_batch(values: dict[str, tf.Tensor], batch_ndims: dict[str, int]) -> dict[str, tf.Tensor]:
    """Tensors of which the first so many axes are those of a batch, broadcast to one batch shape."""
    static_shapes = [value.shape[: batch_ndims[name]] for name, value in values.items()]
    static_batch_shape = functools.reduce(tf.broadcast_static_shape, static_shapes)
    if static_batch_shape.is_fully_defined() and all(shape == static_batch_shape for shape in static_shapes):
        return values
    shapes = {name: tf.shape(value) for name, value in values.items()}
    batch_shape = functools.reduce(
        tf.broadcast_dynamic_shape, [shape[: batch_ndims[name]] for name, shape in shapes.items()]
    )
    broadcast = {}
    for name, value in values.items():
        broadcast[name] = tf.broadcast_to(value, tf.concat([batch_shape, shapes[name][batch_ndims[name] :]], 0))
        # TensorFlow forgets in a graph what is known of the shapes.
        broadcast[name].set_shape(static_batch_shape.concatenate(value.shape[batch_ndims[name] :]))
    return broadcast


def with_parameters(components: tfd.Distribution, values: dict[str, tf.Tensor]) -> tfd.Distribution:
    """The same kind of distribution with other parameters, named as `parameters` names them."""
    if isinstance(components, tfd.Independent):
        return components.copy(distribution=components.distribution.copy(**values))
    return components.copy(**values)


def with_scales(values: dict[str, tf.Tensor], factor) -> dict[str, tf.Tensor]:
    """The parameters, named as `parameters` names them, with every scale multiplied."""
    return {name: factor * value if name.startswith("scale") else value for name, value in values.items()}


def mixture_with_parameters(
    mixture: tfd.MixtureSameFamily, logits: tf.Tensor, values: dict[str, tf.Tensor]
) -> tfd.MixtureSameFamily:
    """The same kind of mixture of other logits and component parameters."""
    return mixture.copy(
        mixture_distribution=tfd.Categorical(logits=logits),
        components_distribution=with_parameters(mixture.components_distribution, values),
    )


def take(
    components: tfd.Distribution, values: dict[str, tf.Tensor], batch_shape: tf.Tensor, index: tf.Tensor
) -> tfd.Distribution:
    """For each `index` `[S, *B]` into K, that one component: a distribution of batch shape `[S, *B]`.

    Args:
      components: of batch shape `[*B, K]` or broadcastable with it.
      values: their `parameters`.
      batch_shape: `B`.
      index: component numbers.
    """
    batch_size = tf.reduce_prod(batch_shape)
    # One gather along a single merged [B K] axis: a gather with batch axes is several times slower.
    rows = tf.reshape(tf.range(batch_size), tf.concat([[1], batch_shape], 0))  # [1, B]

    def gather(value):
        trailing = tf.shape(value)[components.batch_shape.rank - 1 :]  # [K, ...]
        value = tf.broadcast_to(value, tf.concat([batch_shape, trailing], 0))
        flat = tf.reshape(value, tf.concat([[batch_size * trailing[0]], trailing[1:]], 0))
        return tf.gather(flat, rows * trailing[0] + index)  # [S, B, ...]

    return with_parameters(components, tf.nest.map_structure(gather, values))


def is_factorized(components: tfd.Distribution) -> bool:
    """Whether the coordinates of the event are univariate distributions side by side."""
    return isinstance(components, tfd.Independent) and components.distribution.event_shape.rank == 0


def marginals(components: tfd.Distribution) -> tfd.Distribution:
    """The univariate distribution of each coordinate: batch shape `[B, K]` for scalar events, else `[B, K, D]`.

    Raises:
      NotImplementedError: if the kind of distribution does not tell.
    """
    if components.event_shape.rank == 0:
        return components
    if is_factorized(components):
        return components.distribution
    if isinstance(components, tfd.MultivariateNormalLinearOperator):
        return tfd.Normal(components.mean(), components.stddev())
    if isinstance(components, reflected.ReflectedMultivariateNormal):
        return components.marginals()
    raise NotImplementedError(
        f"The coordinates of {type(components).__name__} have no known distribution of their own."
    )


def remember_parameters(
    components: tfd.Distribution, loc: tf.Tensor, log_scale: tf.Tensor, location: tf.Tensor, scale: tf.Tensor
) -> tfd.Distribution:
    """Lets the density of normal components be computed of what they were made of.

    The logarithm of the scale saves another logarithm, and the gradient's way through it and back. To standardise y
    takes K times less than to bring K components to its units. With the components on the last axis, the sum over the
    coordinates is vectorised. The same components with other parameters, and those that TensorFlow rebuilds, do not
    have it and do without.

    Args:
      components: of batch shape `[*B, K]`.
      loc: their centres in standard units, `[*B, *E, K]`.
      log_scale: the logarithms of their scales in standard units, of the same shape.
      location: of the standard units, `[*E, 1]`.
      scale: of the standard units, `[*E, 1]`.
    """
    components._made_of = loc, log_scale, location, scale
    return components


def log_prob(components: tfd.Distribution, y: tf.Tensor) -> tf.Tensor:
    """log density of `y` `[S, B, 1, E]` under each component: `[S, B, K]`.

    The same mathematics as `components.log_prob(y)`. Normal components keep a finite value and a finite gradient
    however far away y is: beyond `reach` standard deviations the log density stays what it is there, where its
    square would overflow and its gradient turn into NaN.
    """
    # With validate_args TFP's own checks must run; a subclass may have a density of its own.
    stable = None if components.validate_args else STABLE_LOG_PROBS.get(type(components))
    return components.log_prob(y) if stable is None else stable(components, y)


def _normal_log_prob(components, y):
    if hasattr(components, "_made_of"):
        loc, log_scale, location, scale = components._made_of
        log_prob = _standard_normal_log_prob((y - location) / scale, loc, log_scale) - tf.math.log(scale)
    else:
        log_prob = _standard_normal_log_prob(y, components.loc, _log_of(components.scale))
    return log_prob - HALF_LOG_TWO_PI


def _diag_log_prob(components, y):
    size = tf.cast(components.event_shape[0] or tf.shape(y)[-1], components.dtype)
    if hasattr(components, "_made_of"):
        loc, log_scale, location, scale = components._made_of
        y = (tf.linalg.matrix_transpose(y) - location) / scale  # [S, B, D, 1]
        log_prob = _standard_normal_log_prob(y, loc, log_scale, axis=-2) - tf.reduce_sum(tf.math.log(scale))
    else:
        scale_diag = components.parameters["scale_diag"]
        if components.loc is None or scale_diag is None:
            return components.log_prob(y)
        log_scale = _log_of(tf.convert_to_tensor(scale_diag, components.dtype))
        log_prob = _standard_normal_log_prob(y, components.loc, log_scale, axis=-1)
    return log_prob - size * HALF_LOG_TWO_PI


def _log_of(scale):
    return tf.math.log(tf.abs(scale))  # TFP allows any scale but 0


def _standard_normal_log_prob(y, loc, log_scale, axis: int | None = None) -> tf.Tensor:
    """-z^2 / 2 - log_scale for z = (y - loc) / scale, summed over `axis` if there is one.

    The gradient of its own saves operations and arrays as large as z, which has as many elements as there are
    components times coordinates for each y.
    """

    @tf.custom_gradient
    def of_tensors(y, loc, log_scale):
        def gradient(upstream):
            upstream = upstream if axis is None else tf.expand_dims(upstream, axis)
            z, inverse_scale = _residuals(y, loc, log_scale)
            pull = upstream * z
            slope = pull * inverse_scale
            return _sum_to(-slope, y), _sum_to(slope, loc), _sum_to(pull * z - upstream, log_scale)

        # A graph overwrites arrays that it no longer needs. Eagerly, three times as many would be held at once.
        log_prob = _summed_log_prob_in_graph if tf.executing_eagerly() else _summed_log_prob
        return log_prob(y, loc, log_scale, axis), gradient

    return of_tensors(*map(tf.convert_to_tensor, (y, loc, log_scale)))


def _summed_log_prob(y, loc, log_scale, axis):
    z, _ = _residuals(y, loc, log_scale)
    half_square = 0.5 * tf.square(z)
    if axis is None:
        return -half_square - log_scale
    return -tf.reduce_sum(half_square, axis) - tf.reduce_sum(log_scale, axis)


_summed_log_prob_in_graph = tf.function(_summed_log_prob, autograph=False, reduce_retracing=True)


def _residuals(y, loc, log_scale) -> tuple[tf.Tensor, tf.Tensor]:
    """(y - loc) / scale, held within reach, and 1 / scale."""
    inverse_scale, limit = tf.exp(-log_scale), reach(log_scale.dtype)
    return tf.clip_by_value((y - loc) * inverse_scale, -limit, limit), inverse_scale


def _sum_to(gradient: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The gradient of `value`, which was broadcast to the shape of `gradient`."""
    if gradient.shape.is_fully_defined() and gradient.shape == value.shape:
        return gradient
    shape = tf.shape(value)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=shape, s1=tf.shape(gradient))
    return tf.reshape(tf.reduce_sum(gradient, axes), shape)


def _tril_log_prob(components, y):
    scale_tril = components.parameters["scale_tril"]
    if components.loc is None or scale_tril is None:
        return components.log_prob(y)
    scale_tril = tf.convert_to_tensor(scale_tril, components.dtype)
    diagonal = tf.abs(tf.linalg.diag_part(scale_tril))  # TFP allows any diagonal but 0
    # Rows in units of their own scale: neither the difference nor the solution then leaves the range of the dtype.
    z = _divide_held(y - components.loc, diagonal)  # [S, B, K, D]
    unit_tril = scale_tril / diagonal[..., tf.newaxis]
    z = tf.linalg.LinearOperatorLowerTriangular(unit_tril).solvevec(z)
    z = _divide_held(z, tf.ones_like(z))
    return -tf.reduce_sum(0.5 * tf.square(z) + tf.math.log(diagonal) + HALF_LOG_TWO_PI, -1)


STABLE_LOG_PROBS = {
    tfd.Normal: _normal_log_prob,
    tfd.MultivariateNormalDiag: _diag_log_prob,
    tfd.MultivariateNormalTriL: _tril_log_prob,
}


def _divide_held(difference: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """difference / scale, held within reach. Below it, value and gradient are those of the plain quotient."""
    limit = tf.stop_gradient(reach(scale.dtype) * scale)
    difference += tf.zeros_like(limit)  # clip_by_value does not broadcast, and a gradient passes only to the full shape
    # The difference is what is held: the quotient's gradient would still square the difference itself.
    return tf.grad_pass_through(lambda value: tf.clip_by_value(value, -limit, limit))(difference) / scale


def under_independent(components: tfd.Distribution) -> tfd.Distribution:
    return components.distribution if isinstance(components, tfd.Independent) else components
