"""Which rows of a batch an index chooses: as NumPy has it, of integers, slices, masks, lists, arrays and tensors.

Shapes in comments: B batch, N = prod(B) rows, I what an index makes of B, J what its arrays broadcast to, K components.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics
from tfmdn.distributions import tensors

tfd = tfp.distributions

# What an index is made of: None for a new axis, `...`, slices, and integers or truth values as arrays of any number of
# axes, or as tensors if only the run of a graph will tell them.
Parts = tuple[Any, ...]


def parts_of(mixture: tfd.Distribution, index: Any) -> Parts:
    """What an index `mixture[index]` is made of.

    Raises:
      IndexError: if it is no index, or the batch has no such rows, as far as they are known.
    """
    try:
        parts = tuple(_part(part) for part in (index if isinstance(index, tuple) else (index,)))
        _check_axes(parts, mixture.batch_shape)
        if _is_known(parts, mixture.batch_shape):
            np.broadcast_to(0, mixture.batch_shape)[parts]
        return parts
    except (IndexError, TypeError, ValueError, NotImplementedError) as error:
        raise IndexError(
            f"{error}\nA mixture is indexed as NumPy indexes arrays, along its batch: `marginal` takes coordinates of "
            "vectors, and `tf.gather` rows of an answer, as in tf.gather(mixture.mean(), rows). "
            f"Received: index {index!r} of a mixture of batch shape {mixture.batch_shape}."
        ) from error


def is_basic(parts: Parts) -> bool:
    """Whether it is one of integers, slices, `...` and new axes alone."""
    return all(_is_whole(part) or (part.shape == () and not _is_mask(part)) for part in parts)


def take(mixture: tfd.MixtureSameFamily, parts: Parts) -> tfd.MixtureSameFamily | None:
    """The mixture of batch shape I of the rows that an index chooses, with its mask; None if its tensors are not known.

    Raises:
      tf.errors.InvalidArgumentError: in the run of a graph, if there are no such rows.
    """
    components, rank, known = mixture.components_distribution, mixture.batch_shape.rank, _values(mixture)
    if known is None:
        return None
    values, batch_ndims = known
    # What is the same in each row stays as it is.
    own = [name for name, ndims in batch_ndims.items() if ndims >= min(rank, 1) or name == "logits"]
    of_rows = tensors.broadcast_batch({name: values[name] for name in own}, batch_ndims)
    rows, exists = _rows(parts, tf.shape(next(iter(of_rows.values())))[:rank], mixture.batch_shape)

    def taken(value):  # [*B, ...] to [*I, ...]
        shape, rest = tf.shape(value), value.shape[rank:]
        flat = tf.reshape(value, tf.concat([[tf.reduce_prod(shape[:rank])], shape[rank:]], 0))
        chosen = tf.gather(tf.ensure_shape(flat, [None, *rest]), rows)
        if exists is None or not value.dtype.is_floating:
            return chosen
        # XLA leaves assertions out.
        return tf.where(numerics.with_trailing_axes(exists, len(rest)), chosen, tf.constant(np.nan, value.dtype))

    values.update({name: taken(value) for name, value in of_rows.items()})
    mask, logits = values.pop("mask", None), values.pop("logits")
    copy = mixture.copy(
        mixture_distribution=tfd.Categorical(logits=logits),
        components_distribution=tensors.with_parameters(components, values),
    )
    return keras_internals.masked(copy, mask)


def _values(mixture: tfd.MixtureSameFamily) -> tuple[dict[str, tf.Tensor], dict[str, int]] | None:
    """What a mixture is made of, by name, and how many axes of the batch each has, or fewer than 1; None if unknown."""
    components = mixture.components_distribution
    try:
        values, batch_ndims = tensors.parameters_as_given(components, of_own_kind=True)
    except NotImplementedError:
        return None
    event_rank = tensors.under_independent(components).batch_shape.rank - components.batch_shape.rank
    batch_ndims = {name: ndims - event_rank - 1 for name, ndims in batch_ndims.items()}  # but for K
    values["logits"], mask = mixture.mixture_distribution.logits_parameter(), tensors.mask(mixture)
    batch_ndims["logits"] = values["logits"].shape.rank - 1
    if mask is not None:
        values["mask"], batch_ndims["mask"] = mask, mask.shape.rank
    return values, batch_ndims


def _is_whole(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, slice)


def _is_mask(part: np.ndarray | tf.Tensor) -> bool:
    return tf.as_dtype(part.dtype) == tf.bool


def _part(part: Any) -> Any:
    if isinstance(part, slice):
        return slice(*map(_bound, (part.start, part.stop, part.step)))
    if _is_whole(part):
        return part
    if isinstance(part, (tf.RaggedTensor, tf.SparseTensor)) or np.ma.is_masked(part):
        raise IndexError(f"{type(part).__name__} is no index.")
    if tf.is_tensor(part) or isinstance(part, tf.Variable):
        part = tf.convert_to_tensor(part)
    elif not tf.executing_eagerly() and isinstance(part, list) and any(map(tf.is_tensor, part)):
        part = tf.stack(part)
    if not tf.is_tensor(part) or hasattr(part, "numpy"):
        part = np.asarray(part)
        part = part.astype(np.int64) if part.size == 0 and part.dtype != bool else part
    if not (_is_mask(part) or tf.as_dtype(part.dtype).is_integer):
        raise IndexError("Only integers, slices, `...`, new axes (None), and arrays of integers or truth values index.")
    if tf.is_tensor(part) and (part.shape.rank is None or (part.shape.rank == 0 and _is_mask(part))):
        raise IndexError("In a graph an index needs a known number of axes, and a mask at least one.")
    return part


def _bound(bound: Any) -> Any:
    return bound if bound is None or (tf.is_tensor(bound) and not hasattr(bound, "numpy")) else operator.index(bound)


def _num_axes(part: Any) -> int:
    """How many axes of the batch a part is about."""
    if part is None or part is Ellipsis:
        return 0
    return 1 if isinstance(part, slice) or not _is_mask(part) else len(part.shape)


def _check_axes(parts: Parts, batch_shape: tf.TensorShape) -> None:
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexError("An index has at most one `...`.")
    if batch_shape.rank is not None and sum(map(_num_axes, parts)) > batch_shape.rank:
        raise IndexError("The index has more axes than the batch.")


def _is_known(parts: Parts, batch_shape: tf.TensorShape) -> bool:
    """Whether the numbers of the rows are known before a graph runs."""
    bounds = [bound for part in parts if isinstance(part, slice) for bound in (part.start, part.stop, part.step)]
    return batch_shape.is_fully_defined() and not any(map(tf.is_tensor, [*parts, *bounds]))


def _rows(parts: Parts, shape: tf.Tensor, batch_shape: tf.TensorShape) -> tuple[tf.Tensor, tf.Tensor | None]:
    """The numbers `[*I]` of the rows among all N; and whether there are such rows, if that is not known, else None."""
    if _is_known(parts, batch_shape):
        rows = np.arange(batch_shape.num_elements(), dtype=np.int32).reshape(batch_shape)[parts]
        return tf.constant(rows, tf.int32), None
    rows = tf.reshape(tf.range(tf.reduce_prod(shape)), shape)
    rows.set_shape(batch_shape)
    if all(map(_is_whole, parts)):
        return rows[parts], None
    at = [number for number, part in enumerate(parts) if not _is_whole(part)]
    are_side_by_side = at == list(range(at[0], at[0] + len(at)))
    parts = _without_ellipsis_and_masks(parts, rows)
    # First slices and new axes, with all of an axis in the place of an array; then the arrays.
    rows = rows[tuple(part if _is_whole(part) else slice(None) for part in parts)]
    return _take_along(rows, {axis: part for axis, part in enumerate(parts) if not _is_whole(part)}, are_side_by_side)


def _without_ellipsis_and_masks(parts: Parts, rows: tf.Tensor) -> list[Any]:
    """The parts with slices in the place of `...`, and the numbers of what they choose in that of masks."""
    num_left = rows.shape.rank - sum(map(_num_axes, parts))
    at = next((number for number, part in enumerate(parts) if part is Ellipsis), len(parts))
    flat, axis = [], 0
    for part in (*parts[:at], *[slice(None)] * num_left, *parts[at + 1 :]):
        count = _num_axes(part)
        if _is_whole(part) or not _is_mask(part):
            flat.append(part)
        else:
            fits = tf.reduce_all(tf.shape(part) == tf.shape(rows)[axis : axis + count])
            check = tf.debugging.Assert(fits, ["A mask must have the shape of the axes that it indexes."])
            with tf.control_dependencies([check]):
                flat.extend(tf.unstack(tf.where(part), count, axis=1))
        axis += count
    return flat


def _take_along(rows: tf.Tensor, arrays: dict[int, Any], are_side_by_side: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """The rows that several arrays choose, each along an axis, and whether they exist.

    Where arrays stand side by side, the axes J of what they broadcast to are where theirs were; else they come first.
    """
    axes = list(arrays)
    others = [axis for axis in range(rows.shape.rank) if axis not in arrays]
    indices = [tf.cast(array, tf.int32) for array in arrays.values()]
    zeros = functools.reduce(tf.add, [tf.zeros_like(index) for index in indices])  # [*J]
    sizes = [tf.shape(rows)[axis] for axis in axes]
    indices = [tf.where(index < 0, index + size, index) + zeros for index, size in zip(indices, sizes)]
    exists = tf.reduce_all([(index >= 0) & (index < size) for index, size in zip(indices, sizes)], 0)
    check = tf.debugging.Assert(
        tf.reduce_all(exists), ["An index is out of the bounds of the batch.", *arrays.values()]
    )
    with tf.control_dependencies([check]):
        index = tf.where(exists[..., tf.newaxis], tf.stack(indices, -1), 0)
    chosen = tf.gather_nd(tf.transpose(rows, axes + others), index)  # [*J, *others]
    exists = tf.broadcast_to(numerics.with_trailing_axes(exists, len(others)), tf.shape(chosen))
    count, before = zeros.shape.rank, axes[0] if are_side_by_side else 0
    order = [*range(count, count + before), *range(count), *range(count + before, count + len(others))]
    return tf.transpose(chosen, order), tf.transpose(exists, order)
