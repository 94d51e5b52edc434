"""In half precision, too, layers behind a head get its mixture, and others what they can use of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
BEHIND = {
    "lambda": lambda: keras.layers.Lambda(lambda mixture: mixture.quantile([0.5])[0], output_shape=(2,)),
    "activation": lambda: keras.layers.Activation("relu"),
    "dense": lambda: keras.layers.Dense(2, "silu"),
    "normalization": lambda: keras.layers.LayerNormalization(),
}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("name", BEHIND)
def test_layers_behind_a_head(policy, name):
    keras.config.set_dtype_policy(policy)
    head, behind = tfmdn.MDNLayer(2, 2, kernel_initializer="ones"), BEHIND[name]()
    mixture = head(X)
    assert mixture.dtype == "float32"
    output = np.asarray(behind(mixture), "float32")
    inputs = keras.Input((3,))
    np.testing.assert_allclose(keras.Model(inputs, behind(head(inputs)))(X), output, atol=0.02)
    if name == "lambda":
        np.testing.assert_array_equal(output, mixture.quantile([0.5])[0])


def test_nothing_is_lost_on_the_way():
    keras.config.set_dtype_policy("mixed_float16")
    received = []

    class Behind(keras.layers.Layer):
        def call(self, inputs):
            received.append(inputs)
            return inputs

    mixture = tfmdn.MDNLayer(2)(X)
    nested = keras.Sequential([Behind(), keras.Sequential([keras.layers.Identity()]), keras.layers.Dropout(0.5)])
    assert nested(mixture).log_prob(0.0).dtype == "float32"
    assert received[-1] is mixture
    assert tf.cast(mixture, tf.float16).dtype == tf.float16
