"""TensorFlow still has the private names that tfmdn needs, and does what they are for."""

import gc
import weakref

import pytest
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


@tf.custom_gradient
def cubed(x):
    return x**3, lambda upstream: 10.0 * x * upstream  # not that of a cube: it is seen whose is taken


@pytest.fixture
def young_objects():
    """What a test makes stays in the youngest generation: to look for garbage in that alone takes no time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("young_objects")
def test_gradients_are_forgotten_with_their_graphs():
    @tf.function(autograph=False)
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, y = tf.while_loop(lambda i, _: i < 1, lambda i, y: (i + 1, cubed(y)), [0, x])
        return tape.gradient(y, x), tf.gradients(cubed(x), x)[0], tf.nn.silu(x)

    before = set(tensorflow_internals.gradient_registry().list())
    concrete = slope.get_concrete_function(tf.TensorSpec([]))
    assert [float(each) for each in concrete(tf.constant(3.0))[:2]] == [30.0, 30.0]
    assert len(set(tensorflow_internals.gradient_registry().list()) - before) == 3
    graph = weakref.ref(concrete.graph)
    del concrete, slope
    gc.collect(0)
    assert graph() is None
    assert set(tensorflow_internals.gradient_registry().list()) <= before


def test_gradients_are_there_eagerly_and_once_loaded(tmp_path):
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = cubed(x)
    assert (float(y), float(tape.gradient(y, x))) == (27.0, 30.0)
    module = tf.Module()
    module.cubed = tf.function(cubed, input_signature=[tf.TensorSpec([])], autograph=False)
    tf.saved_model.save(module, str(tmp_path), options=tf.saved_model.SaveOptions(experimental_custom_gradients=True))
    loaded = tf.saved_model.load(str(tmp_path))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loaded.cubed(x)
    assert (float(y), float(tape.gradient(y, x))) == (27.0, 30.0)
