"""TensorFlow still has the private names that tfmdn needs, and does what they are for."""

import tensorflow as tf

from tfmdn import tensorflow_internals

VARIABLE = tf.Variable(2.0)


@tf.function(input_signature=[tf.TensorSpec([None], tf.float64)])
def doubled(x):
    return x * tf.cast(VARIABLE, x.dtype)


def test_weights_become_constants():
    constant = tensorflow_internals.with_constant_weights(doubled.get_concrete_function())
    assert not constant.graph.captures
    assert tf.nest.flatten(constant(tf.constant([3.0], tf.float64)))[0].numpy() == [6.0]


def test_what_is_in_litert_files():
    converter = tf.lite.TFLiteConverter.from_concrete_functions([doubled.get_concrete_function()], doubled)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    contents = tensorflow_internals.contents_of_litert(converter.convert())
    assert contents.double
    assert any(name.startswith("Flex") for name in contents.custom)
