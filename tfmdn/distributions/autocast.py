"""Under a policy of half precision Keras casts what layers take in, of which a mixture would leave its mean alone.

Layers behind a head get the mixture as it is instead, in float32, whatever their policy. What needs a tensor of it gets
its mean, in float32.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import keras
import tensorflow as tf

from tfmdn import keras_internals

_is_automatic = contextvars.ContextVar("_is_automatic", default=False)


def keeps_density(dtype: tf.DType) -> bool:
    """Whether a cast to a dtype is one of Keras' own to half precision, which mixtures are left out of."""
    return _is_automatic.get() and dtype in (tf.float16, tf.bfloat16)


@contextlib.contextmanager
def automatic_cast() -> Iterator[None]:
    """A context in which casts are Keras' own."""
    token = _is_automatic.set(True)
    try:
        yield
    finally:
        _is_automatic.reset(token)


def keep_densities(kind: type) -> None:
    """Lets layers and models of half precision take in objects of a kind as they are."""
    convert = keras.DTypePolicy.convert_input
    if hasattr(convert, "__wrapped__"):  # by an earlier import of this module
        return

    @functools.wraps(convert)
    def convert_but_densities(self, x, autocast, dtype):
        if not isinstance(x, kind):
            return convert(self, x, autocast, dtype)
        with automatic_cast():
            return convert(self, x, autocast, dtype)

    keras.DTypePolicy.convert_input = convert_but_densities
    keras_internals.convert_inputs_of_models_within(automatic_cast)
