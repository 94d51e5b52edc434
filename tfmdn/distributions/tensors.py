"""What a mixture and its components are made of, by name: read, mapped and rebuilt. A mask travels along.

Components are one distribution whose last batch axis K counts them.

Shapes in comments: S samples, B batch, K components, E event.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics, tfp_internals
from tfmdn.distributions import reflected_joint, rescaled

tfd = tfp.distributions


def parameters(components: tfd.Distribution) -> dict[str, tf.Tensor]:
    """The tensor parameters under TFP's names, for example `loc` and `scale_diag`, each broadcast to `[*B, K, ...]`.

    Each is read once, and shapes are taken from what was read: TFP's shape methods would read parameters again.

    Args:
      components: the distribution. `tfd.Independent` is looked through.

    Raises:
      NotImplementedError: if the distribution is made of other distributions, or has batch axes of unknown number.
    """
    return broadcast_batch(*parameters_as_given(components))


def parameters_as_given(
    components: tfd.Distribution, of_own_kind: bool = False
) -> tuple[dict[str, tf.Tensor], dict[str, int]]:
    """The same, not broadcast, and how many axes of each are those of a batch.

    Args:
      components: the distribution.
      of_own_kind: whether `Rescaled` normals have the parameters of their own, and not `loc` and `scale`.
    """
    inner = under_independent(components)
    is_rescaled = isinstance(inner, rescaled.Rescaled) and not of_own_kind
    kind, arguments = (inner.plain_kind, inner.plain_arguments()) if is_rescaled else (type(inner), inner.parameters)
    if components.batch_shape.rank is None or inner.batch_shape.rank is None:
        raise NotImplementedError(f"The number of batch axes of {components} is not known.")
    # The dtype of a Bernoulli is int32, that of its parameter is not.
    dtype_hint = inner.dtype if inner.dtype.is_floating else tf.float32
    values, batch_ndims = {}, {}
    for name, properties in kind.parameter_properties(inner.dtype).items():
        value = arguments.get(name)
        if value is None:
            continue
        if not properties.is_tensor or not isinstance(properties.event_ndims, int):
            raise NotImplementedError(
                f"{type(inner).__name__} is not described by tensors alone: it has {name}={value}."
            )
        values[name] = tf.convert_to_tensor(value, dtype_hint=dtype_hint)
        batch_ndims[name] = values[name].shape.rank - properties.event_ndims
    return values, batch_ndims


def logits(mixture: tfd.MixtureSameFamily) -> tf.Tensor:
    """The logits `[*B, K]`. Of a probability of 0 they are -inf, without a gradient of NaN."""
    categorical = mixture.mixture_distribution
    probs = getattr(categorical, "probs", None) if isinstance(categorical, tfd.Categorical) else None
    return categorical.logits_parameter() if probs is None else numerics.log_of_probability(probs)


def read(mixture: tfd.MixtureSameFamily) -> dict[str, tf.Tensor]:
    """All that a mixture is made of, by name, each tensor broadcast to `[*B, K, ...]`.

    That is its `logits`, the `parameters` of its components, and, if Keras has masked it, its `mask` `[*B]`.
    """
    values, steps = _read_in_full(mixture), mask(mixture)
    return values if steps is None else {**values, "mask": steps}


def rebuild(mixture: tfd.MixtureSameFamily, values: dict[str, tf.Tensor]) -> tfd.MixtureSameFamily:
    """The same kind of mixture of other tensors, named as `read` names them. Without a `mask` it keeps its own."""
    values = {"mask": keras_internals.mask_of(mixture), **values}
    logits, steps = values.pop("logits"), values.pop("mask")
    copy = tfp_internals.copied(
        mixture,
        mixture_distribution=tfd.Categorical(logits=logits),
        components_distribution=with_parameters(mixture.components_distribution, values),
    )
    return keras_internals.masked(copy, steps)


def map(function: Callable, *distributions: tfd.Distribution, axis: int | None = None) -> tfd.Distribution:
    """The distribution that is made of what a function makes of each of the tensors of one distribution, or of several.

    Args:
      function: `function(*values)` of the tensors that have one name, one of each distribution; with an `axis`
        `function(*values, axis=axis)`, with that axis in these tensors, counted from the end.
      *distributions: mixtures of one kind, or components of one kind. Of several, what is before `axis` broadcasts.
      axis: the axis of the components' batch shape `[*B, K]` that the function acts on: 0 is the first of the batch, -1
        that of K. A tensor that is the same all along it stays as it is, unless there are several. None for a function
        that acts on each number, or on events.

    Returns:
      A distribution of the kind of the first one. The mask of a mixture goes along: through the function if `axis` is
      one of the batch, else as it is; of several mixtures a step then counts that counts in all.
    """
    first, is_one = distributions[0], len(distributions) == 1
    batch_shape = _batch_shape(first)
    from_end = axis if axis is None or axis < 0 else axis - batch_shape.rank
    values, event_ndims = _read_as_it_is(first)
    sources = [values] if is_one else [_read_in_full(distribution) for distribution in distributions]

    def mapped(values, at):
        if from_end is None:
            return function(*values)
        if not is_one:
            return function(*_broadcast_before(values, at), axis=at)
        (value,) = values
        is_same = value.shape.rank < -at or (value.shape[at] == 1 and batch_shape[from_end] != 1)
        return value if is_same else function(value, axis=at)

    result = {
        name: mapped([source[name] for source in sources], from_end and from_end - event_ndims[name]) for name in values
    }
    if not isinstance(first, tfd.MixtureSameFamily):
        return with_parameters(first, result)
    masks = [mask(distribution) for distribution in distributions]
    if all(steps is None for steps in masks):
        return rebuild(first, result)
    if from_end in (None, -1):
        result["mask"] = functools.reduce(tf.logical_and, [steps for steps in masks if steps is not None])
    else:
        result["mask"] = mapped([_all_if_none(*pair) for pair in zip(masks, distributions)], from_end + 1)
    return rebuild(first, result)


def concat(mixtures: Sequence[tfd.MixtureSameFamily], axis: int) -> tfd.MixtureSameFamily:
    """Mixtures of one kind side by side, along an axis as in `map`."""
    return map(lambda *values, axis: tf.concat(values, axis), *mixtures, axis=axis)


def mask(mixture: tfd.Distribution) -> tf.Tensor | None:
    """Which steps of sequences Keras has not masked, booleans `[*B]`; None if none is masked."""
    steps, rank = keras_internals.mask_of(mixture), mixture.batch_shape.rank
    if steps is None or steps.shape.rank == rank:
        return steps
    # It may lack the last axes of the batch.
    steps = numerics.with_trailing_axes(steps, rank - steps.shape.rank)
    return tf.broadcast_to(steps, mixture.batch_shape_tensor())


def _all_if_none(steps: tf.Tensor | None, mixture: tfd.Distribution) -> tf.Tensor:
    return tf.ones(mixture.batch_shape_tensor(), tf.bool) if steps is None else steps


def _batch_shape(distribution: tfd.Distribution) -> tf.TensorShape:
    """`[*B, K]`."""
    if not isinstance(distribution, tfd.MixtureSameFamily):
        return distribution.batch_shape
    return distribution.batch_shape + distribution.components_distribution.batch_shape[-1:]


def _read_as_it_is(distribution: tfd.Distribution) -> tuple[dict[str, tf.Tensor], dict[str, int]]:
    """The tensors of a mixture, or of components, without a mask; and how many axes each has behind `[*B, K]`.

    Logits or components may be the same in each row, and then lack axes.
    """
    is_mixture = isinstance(distribution, tfd.MixtureSameFamily)
    components = distribution.components_distribution if is_mixture else distribution
    values, batch_rank = parameters(components), components.batch_shape.rank
    event_ndims = {name: value.shape.rank - batch_rank for name, value in values.items()}
    if is_mixture:
        values["logits"], event_ndims["logits"] = logits(distribution), 0
    return values, event_ndims


def _read_in_full(distribution: tfd.Distribution) -> dict[str, tf.Tensor]:
    """The same, each tensor with all axes."""
    values, event_ndims = _read_as_it_is(distribution)
    batch_ndims = {name: value.shape.rank - event_ndims[name] for name, value in values.items()}
    is_full = len({tuple(value.shape[: batch_ndims[name]]) for name, value in values.items()}) == 1
    return values if is_full else broadcast_batch(values, batch_ndims)


def beside_components(mixture: tfd.MixtureSameFamily, y: tf.Tensor) -> tf.Tensor:
    """y `[*S, *B, *E]` with an axis of size 1 for the components: `[*S, *B, 1, *E]`."""
    y, axis = tf.convert_to_tensor(y, dtype_hint=mixture.dtype), -1 - mixture.event_shape.rank
    return tf.expand_dims(y, axis if y.shape.rank is None else max(axis, -1 - y.shape.rank))


def _broadcast_before(values: list[tf.Tensor], axis: int) -> list[tf.Tensor]:
    """Tensors whose axes before one of them, counted from the end, are broadcast to those of each other."""
    if all(value.shape[:axis] == values[0].shape[:axis] for value in values):
        return values
    before = functools.reduce(numerics.broadcast_shape, [_shape_before(value, axis) for value in values])
    return [_with_axes_before(value, axis, before) for value in values]


def _shape_before(value: tf.Tensor, axis: int) -> tf.Tensor:
    """The sizes of the axes before one. In a graph a part of a shape takes six operations more than the whole."""
    shape = tf.shape(value)
    return shape if axis == value.shape.rank else shape[:axis]


def _with_axes_before(value: tf.Tensor, axis: int, shape: tf.Tensor) -> tf.Tensor:
    """A tensor whose axes before one are broadcast to a shape."""
    if axis == value.shape.rank:
        return tf.broadcast_to(value, shape)
    rest = value.shape[axis:]
    rest = rest.as_list() if rest.is_fully_defined() else tf.shape(value)[axis:]
    return tf.broadcast_to(value, tf.concat([shape, rest], 0))


def broadcast_batch(values: dict[str, tf.Tensor], batch_ndims: dict[str, int]) -> dict[str, tf.Tensor]:
    """Tensors of which the first so many axes are those of a batch, broadcast to one batch shape."""
    static_shapes = [value.shape[: batch_ndims[name]] for name, value in values.items()]
    static_batch_shape = functools.reduce(tf.broadcast_static_shape, static_shapes)
    if static_batch_shape.is_fully_defined() and all(shape == static_batch_shape for shape in static_shapes):
        return values
    shapes = [_shape_before(value, batch_ndims[name]) for name, value in values.items()]
    batch_shape = functools.reduce(numerics.broadcast_shape, shapes)
    broadcast = {}
    for name, value in values.items():
        broadcast[name] = _with_axes_before(value, batch_ndims[name], batch_shape)
        # TensorFlow forgets in a graph what is known of the shapes.
        broadcast[name].set_shape(static_batch_shape.concatenate(value.shape[batch_ndims[name] :]))
    return broadcast


def with_parameters(components: tfd.Distribution, values: dict[str, tf.Tensor]) -> tfd.Distribution:
    """The same kind of distribution with other parameters, named as `parameters` names them."""
    if isinstance(components, tfd.Independent):
        return tfp_internals.copied(components, distribution=with_parameters(components.distribution, values))
    if isinstance(components, rescaled.Rescaled):  # of another kind with another `loc` or scale
        return components.copy(**values)
    return tfp_internals.copied(components, **values)


def with_scales(values: dict[str, tf.Tensor], factor: tf.Tensor) -> dict[str, tf.Tensor]:
    """The parameters, named as `parameters` names them, with every scale multiplied.

    Args:
      values: the parameters.
      factor: a number, or one for each entry of the parameters' first axis.
    """

    def multiplied(value):
        own = tf.reshape(factor, [-1] + [1] * (value.shape.rank - 1)) if factor.shape.rank else factor
        return own * value

    return {name: multiplied(value) if name.startswith("scale") else value for name, value in values.items()}


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


def is_independent_of_scalars(components: tfd.Distribution) -> bool:
    """Whether it is a `tfd.Independent` of univariate distributions, one for each coordinate."""
    return isinstance(components, tfd.Independent) and components.distribution.event_shape.rank == 0


def has_independent_coordinates(components: tfd.Distribution) -> bool:
    """Whether events are scalars, or vectors of coordinates that are known to be independent."""
    if components.event_shape.rank == 0 or is_independent_of_scalars(components):
        return True
    return isinstance(components, tfd.MultivariateNormalDiag)


def marginals(components: tfd.Distribution) -> tfd.Distribution:
    """The univariate distribution of each coordinate: batch shape `[B, K]` for scalar events, else `[B, K, D]`.

    Raises:
      NotImplementedError: if the kind of distribution does not tell.
    """
    if components.event_shape.rank == 0:
        return components
    if is_independent_of_scalars(components):
        return components.distribution
    if isinstance(components, tfd.MultivariateNormalLinearOperator):
        return tfd.Normal(components.mean(), stddev(components))
    if isinstance(components, reflected_joint.ReflectedMultivariateNormal):
        return components.marginals()
    raise NotImplementedError(
        f"The coordinates of {type(components).__name__} have no known distribution of their own."
    )


def stddev(components: tfd.Distribution) -> tf.Tensor:
    """The standard deviation of each coordinate, without a square in the units of the target: `[*B, K, *E]`."""
    is_joint = isinstance(components, tfd.MultivariateNormalLinearOperator)
    if not is_joint or isinstance(components, tfd.MultivariateNormalDiag):
        return components.stddev()
    return numerics.norm(components.scale.to_dense(), 1) + tf.zeros_like(components.loc)


def plain(components: tfd.Distribution) -> tfd.Distribution:
    """What is under a `tfd.Independent`, of the kind that `loc` and `scale` describe if it is a `Rescaled` normal."""
    inner = under_independent(components)
    return inner.plain() if isinstance(inner, rescaled.Rescaled) else inner


def under_independent(components: tfd.Distribution) -> tfd.Distribution:
    return components.distribution if isinstance(components, tfd.Independent) else components
