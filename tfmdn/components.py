"""What TFP does not answer about the components of a mixture: one distribution whose last batch axis K counts them.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def parameters(components: tfd.Distribution, batch_shape: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """The tensor parameters under TFP's names, for example `loc` and `scale_diag`, each broadcast to `[*B, K, ...]`.

    Args:
      components: the distribution. `tfd.Independent` is looked through.
      batch_shape: `B`, where it is not that of `components` itself.

    Raises:
      NotImplementedError: if the distribution is made of other distributions, or has batch axes of unknown number.
    """
    inner = _inner(components)
    if components.batch_shape.rank is None or inner.batch_shape.rank is None:
        raise NotImplementedError(f"The number of batch axes of {components} is not known.")
    inner_shape = inner.batch_shape_tensor()
    if batch_shape is not None:
        inner_shape = tf.concat([batch_shape, inner_shape[components.batch_shape.rank - 1 :]], 0)
    dtype_hint = (
        inner.dtype if inner.dtype.is_floating else tf.float32
    )  # a Bernoulli's is int32, its parameter's is not
    values = {}
    for name, properties in type(inner).parameter_properties(inner.dtype).items():
        value = inner.parameters.get(name)
        if value is None:
            continue
        if isinstance(value, tfd.Distribution) or not isinstance(properties.event_ndims, int):
            raise NotImplementedError(
                f"{type(inner).__name__} is not described by tensors alone: it has {name}={value}."
            )
        value = tf.convert_to_tensor(value, dtype_hint=dtype_hint)
        event_shape = tf.shape(value)[tf.rank(value) - properties.event_ndims :]
        values[name] = tf.broadcast_to(value, tf.concat([inner_shape, event_shape], 0))
    return values


def with_parameters(components: tfd.Distribution, values: dict[str, tf.Tensor]) -> tfd.Distribution:
    """The same kind of distribution with other parameters, named as `parameters` names them."""
    if isinstance(components, tfd.Independent):
        return components.copy(distribution=components.distribution.copy(**values))
    return components.copy(**values)


def take(components: tfd.Distribution, batch_shape: tf.Tensor, index: tf.Tensor) -> tfd.Distribution:
    """For each `index` `[S, *B]` into K, that one component: a distribution of batch shape `[S, *B]`."""
    batch_size = tf.reduce_prod(batch_shape)
    num_components = components.batch_shape_tensor()[-1]
    # One gather along a single merged [B K] axis: a gather with batch axes is several times slower.
    rows = tf.reshape(tf.range(batch_size), tf.concat([[1], batch_shape], 0))  # [1, B]
    flat_index = rows * num_components + index  # [S, B]

    def gather(value):
        flat_shape = tf.concat([[batch_size * num_components], tf.shape(value)[tf.size(batch_shape) + 1 :]], 0)
        return tf.gather(tf.reshape(value, flat_shape), flat_index)  # [S, B, ...]

    return with_parameters(components, tf.nest.map_structure(gather, parameters(components, batch_shape)))


def marginals(components: tfd.Distribution) -> tfd.Distribution:
    """The univariate distribution of each coordinate: batch shape `[B, K]` for scalar events, else `[B, K, D]`.

    Raises:
      NotImplementedError: if the kind of distribution does not tell.
    """
    if components.event_shape.rank == 0:
        return components
    if isinstance(components, tfd.Independent) and components.distribution.event_shape.rank == 0:
        return components.distribution
    if isinstance(components, tfd.MultivariateNormalLinearOperator):
        return tfd.Normal(components.mean(), components.stddev())
    raise NotImplementedError(
        f"The coordinates of {type(components).__name__} have no known distribution of their own."
    )


def log_prob(components: tfd.Distribution, y: tf.Tensor) -> tf.Tensor:
    """log density of `y` `[S, B, 1, E]` under each component: `[S, B, K]`.

    The same mathematics as `components.log_prob(y)`. Normal components keep a finite value and a finite gradient
    however far away y is: beyond `reach` standard deviations the log density stays what it is there, where its
    square would overflow and its gradient turn into NaN.
    """
    # With validate_args the checks that TFP attaches to its own log_prob must run.
    return components.log_prob(y) if components.validate_args else _log_prob(components, y)


def reach(dtype: tf.DType) -> float:
    """The number of standard deviations whose square, times any reasonable gradient, is finite: 3e15 in float32."""
    return float(np.finfo(dtype.as_numpy_dtype).max) ** 0.4


@functools.singledispatch
def _log_prob(components, y):
    return components.log_prob(y)


@_log_prob.register(tfd.Normal)
def _(components, y):
    scale = tf.convert_to_tensor(components.scale)
    z = _standardize(y - components.loc, scale)
    return -0.5 * tf.square(z) - tf.math.log(scale) - HALF_LOG_TWO_PI


@_log_prob.register(tfd.MultivariateNormalDiag)
def _(components, y):
    scale_diag = components.parameters["scale_diag"]
    if components.loc is None or scale_diag is None:
        return components.log_prob(y)
    scale_diag = tf.convert_to_tensor(scale_diag)
    z = _standardize(y - components.loc, scale_diag)
    return -tf.reduce_sum(0.5 * tf.square(z) + tf.math.log(scale_diag) + HALF_LOG_TWO_PI, -1)


@_log_prob.register(tfd.MultivariateNormalTriL)
def _(components, y):
    scale_tril = components.parameters["scale_tril"]
    if components.loc is None or scale_tril is None:
        return components.log_prob(y)
    scale_tril = tf.convert_to_tensor(scale_tril)
    diagonal = tf.linalg.diag_part(scale_tril)
    # Rows in units of their own scale: neither the difference nor the solution then leaves the range of the dtype.
    z = _standardize(y - components.loc, diagonal)  # [S, B, K, D]
    unit_tril = scale_tril / diagonal[..., tf.newaxis]
    z = tf.linalg.LinearOperatorLowerTriangular(unit_tril).solvevec(z)
    z = _standardize(z, tf.ones_like(z))
    return -tf.reduce_sum(0.5 * tf.square(z) + tf.math.log(diagonal) + HALF_LOG_TWO_PI, -1)


def _standardize(difference: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """difference / scale, held within reach. Below it, value and gradient are those of the plain quotient."""
    limit = tf.stop_gradient(reach(scale.dtype) * scale)
    # The difference is what is held: the quotient's gradient would still square the difference itself.
    return tf.grad_pass_through(lambda value: tf.clip_by_value(value, -limit, limit))(difference) / scale


def _inner(components: tfd.Distribution) -> tfd.Distribution:
    return components.distribution if isinstance(components, tfd.Independent) else components
