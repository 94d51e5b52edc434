"""What makes a mixture distribution a tensor for TensorFlow, Keras and NumPy."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import keras_internals, numerics
from tfmdn.distributions import autocast, indexing, numpy_like, tensors

tfd = tfp.distributions

TENSOR_CONVERSIONS = ("mean", "mode", "sample")


class TensorLike(numpy_like.NumPyLike):
    """A base class, before `tfd.MixtureSameFamily`, of mixtures that stand for a tensor where one is needed.

    `tf.is_tensor` asks for `is_tensor_like`; Keras then reads `shape` and `dtype`. A subclass sets `_convert_to_tensor`
    to a `conversion_name`.
    """

    _convert_to_tensor: str

    def is_tensor_like(self) -> bool:
        return True

    @property
    def shape(self) -> tf.TensorShape:
        """The shape of the tensor that the mixture stands for: batch shape, then event shape."""
        return self.batch_shape + self.event_shape

    @numerics.with_infinities
    def __tf_tensor__(self, dtype=None, name=None) -> tf.Tensor:
        stand_in = self._convert_to_tensor
        if stand_in in TENSOR_CONVERSIONS:
            tensor = getattr(self, stand_in)()
        else:
            tensor = keras.saving.get_registered_object(stand_in)(self)
        return tf.convert_to_tensor(tensor) if dtype is None else tf.cast(tensor, dtype)

    @numerics.with_infinities
    def copy(self, **overrides) -> tfd.Distribution:
        """As TFP's. The mask that Keras gave the mixture goes along, unless the copy is of another batch shape."""
        copy, mask = super().copy(**overrides), keras_internals.mask_of(self)
        is_kept = mask is not None and copy.batch_shape == self.batch_shape
        return keras_internals.masked(copy, mask if is_kept else None)

    @numerics.with_infinities
    def __getitem__(self, index) -> tfd.Distribution:
        """A part of the batch, as NumPy would choose it. The mask that Keras gave the mixture goes along."""
        parts = indexing.parts_of(self, index)
        taken = indexing.take(self, parts)
        if taken is not None:
            return taken
        if indexing.is_basic(parts):
            parts = tuple(int(part) if isinstance(part, np.ndarray) else part for part in parts)
            return super().__getitem__(parts)
        raise IndexError(
            "Integers and slices alone index a mixture of such components; `tf.gather` takes rows of its answers. "
            f"Received: index {index!r} of a mixture of {self.components_distribution}."
        )

    @numerics.with_infinities
    def _asdict(self) -> dict[str, tf.Tensor]:
        """What a SavedModel signature returns in place of the distribution: named tensors."""
        try:
            return {
                "logits": self.mixture_distribution.logits_parameter(),
                **tensors.parameters(self.components_distribution),
                "mean": self.mean(),
            }
        except TypeError as error:
            # TensorFlow also asks after the trace, when no operation can be added, whether a function that returns a
            # Mixture could be a signature. It takes a ValueError for a no.
            raise ValueError("The tensors of this mixture belong to a graph that is complete.") from error


def _install_operators() -> None:
    """Adds the arithmetic and comparison operators of a tensor. Slicing stays TFP's: it slices the batch."""
    for operator in tf.Tensor.OVERLOADABLE_OPERATORS - {"__getitem__", "__eq__", "__ne__"}:

        def apply(self, *others, operator=operator):
            return getattr(tf.convert_to_tensor(self), operator)(*others)

        setattr(TensorLike, operator, apply)


_install_operators()


@numerics.with_infinities
def expand_dims(input: TensorLike, axis=None, name=None):
    """`tf.expand_dims` that leaves a scalar mixture a distribution where Keras adds a last axis.

    Keras does so to match targets of shape `(n, 1)`.
    """
    if input.event_shape.rank != 0 or axis not in (-1, input.shape.rank):
        return tf.expand_dims(tf.convert_to_tensor(input), axis, name=name)
    components = tensors.map(lambda value: value[..., tf.newaxis], input.components_distribution)
    return input.copy(components_distribution=tfd.Independent(components, 1))


@numerics.with_infinities
def cast(x: TensorLike, dtype, name=None):
    """`tf.cast` that leaves a mixture a distribution where Keras casts it to the dtype of a loss.

    In half precision there is no distribution.
    """
    dtype = tf.as_dtype(dtype)
    if dtype == x.dtype or autocast.keeps_density(dtype):
        return x
    if dtype not in (tf.float32, tf.float64):
        return tf.cast(tf.convert_to_tensor(x), dtype, name=name)
    return tensors.map(lambda value: tf.cast(value, dtype), x)


def conversion_name(convert_to_tensor: str | Callable[[tfd.Distribution], tf.Tensor]) -> str:
    """The name of what stands for a mixture. Configs and SavedModels can hold a name, and no function."""
    name = keras.saving.get_registered_name(convert_to_tensor) if callable(convert_to_tensor) else convert_to_tensor
    if name in TENSOR_CONVERSIONS or (isinstance(name, str) and keras.saving.get_registered_object(name)):
        return name
    raise ValueError(
        f"`convert_to_tensor` must be one of {', '.join(map(repr, TENSOR_CONVERSIONS))}, or a function that is "
        "registered with keras.saving.register_keras_serializable so that it can be saved. "
        f"Received: convert_to_tensor={convert_to_tensor!r}."
    )
