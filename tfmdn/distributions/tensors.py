"""What TFP does not answer about the components of a mixture: one distribution whose last batch axis K counts them.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import reflected, rescaled

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
    inner = inner.plain() if isinstance(inner, rescaled.Rescaled) else inner
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


def under_independent(components: tfd.Distribution) -> tfd.Distribution:
    return components.distribution if isinstance(components, tfd.Independent) else components
