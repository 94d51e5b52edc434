"""Mixtures of sequences: padding changes nothing, steps one by one give what the whole sequence gives, two heads."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn

pytestmark = pytest.mark.usefixtures("quick_graphs")
LENGTHS = np.array([6, 3, 1])
VALID = np.arange(max(LENGTHS)) < LENGTHS[:, None]  # [B, T]


def attention(x):
    """Each step looks at itself and at those before it."""
    return keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)


def masked_convolution():
    """Keras' Conv1D drops masks. What follows a step changes nothing before it, so that this one may pass them on."""
    layer = keras.layers.Conv1D(5, 3, padding="causal", activation="tanh")
    layer.supports_masking = True
    return layer


LAYERS = {
    "lstm": lambda: keras.layers.LSTM(5, return_sequences=True),
    "gru": lambda: keras.layers.GRU(5, return_sequences=True),
    "causal_conv": masked_convolution,
    "attention": lambda: attention,
}
HEADS = {
    "scalar": {},
    "full": {"event_shape": 2, "covariance": "full"},
}


@pytest.fixture(autouse=True)
def _double_precision():
    keras.config.set_dtype_policy("float64")


def model_of(layer, head="full", masking=True, reduction="sum_over_batch_size", metrics=True):
    """Two heads over one layer: a mixture, and the logit of an event."""
    inputs = keras.Input((None, 2))
    hidden = LAYERS[layer]()(keras.layers.Masking(-1.0)(inputs) if masking else inputs)
    value = tfmdn.MDNLayer(3, kernel_initializer="he_normal", **HEADS[head])(hidden)
    model = keras.Model(inputs, {"value": value, "event": keras.layers.Dense(1)(hidden)})
    options = {"reduction": reduction, "dtype": "float64"}
    of_value = [tfmdn.metrics.NegativeLogLikelihood(), "mae"]
    of_event = [keras.metrics.BinaryCrossentropy(from_logits=True)]
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={
            "value": tfmdn.NegativeLogLikelihood(**options),
            "event": keras.losses.BinaryCrossentropy(from_logits=True, **options),
        },
        weighted_metrics={"value": of_value, "event": of_event} if metrics else None,
        run_eagerly=metrics,
    )
    return model


def sequences(head="full", junk=-1.0):
    """Rows of three lengths, padded with -1 in x, and with `junk` in the targets."""
    rng = np.random.default_rng(0)
    x = np.where(VALID[..., None], rng.normal(size=(3, 6, 2)), -1.0)
    value = rng.normal(size=(3, 6, *((2,) if head == "full" else ())))
    event = rng.integers(0, 2, (3, 6, 1)).astype(float)
    y = {"value": value, "event": event}
    for target in y.values():
        target[~VALID] = junk
    return x, y


def loss_and_gradients(model, x, y, sample_weight=None):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True), sample_weight)
    return [loss, *tape.gradient(loss, model.trainable_variables)]


def row_by_row(function, x, y):
    """The mean over all points of what `function` gives of each row alone, without its padding."""
    rows = [slice(row, row + 1) for row in range(len(x))]
    results = [
        function(x[row, :length], {name: target[row, :length] for name, target in y.items()})
        for row, length in zip(rows, LENGTHS)
    ]
    return [np.tensordot(LENGTHS / LENGTHS.sum(), [np.asarray(part) for part in parts], 1) for parts in zip(*results)]


def assert_all_close(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.covering(1)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_masked_batch_is_its_rows_one_by_one(layer, head):
    model = model_of(layer, head)
    x, y = sequences(head)
    assert_all_close(loss_and_gradients(model, x, y), row_by_row(lambda x, y: loss_and_gradients(model, x, y), x, y))


@pytest.mark.parametrize("layer", LAYERS)
def test_weights_of_zero_do_what_a_mask_does_where_the_loss_divides_by_their_sum(layer):
    """For layers that drop masks. Keras' default reduction divides by the number of points, padding included."""
    model = model_of(layer, masking=False, reduction="mean_with_sample_weight")
    x, y = sequences(junk=1e3)
    weights = dict.fromkeys(y, VALID.astype(float))
    assert_all_close(
        loss_and_gradients(model, x, y, weights), row_by_row(lambda x, y: loss_and_gradients(model, x, y), x, y)
    )
    by_default = model_of(layer, masking=False)
    by_default.set_weights(model.get_weights())
    whole, *_ = loss_and_gradients(model, x, y, weights)
    np.testing.assert_allclose(loss_and_gradients(by_default, x, y, weights)[0], whole * VALID.mean())


@pytest.mark.by_default("True")
@pytest.mark.parametrize("masking", [True, False])
def test_metrics_do_not_count_padding(masking):
    model = model_of("causal_conv", masking=masking, reduction="mean_with_sample_weight")
    x, y = sequences(junk=1e3)
    weights = None if masking else dict.fromkeys(y, VALID.astype(float))
    batch = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    alone = row_by_row(lambda x, y: [model.evaluate(x, y, verbose=0, return_dict=True)[name] for name in batch], x, y)
    assert len(batch) == 6
    np.testing.assert_allclose(list(batch.values()), alone, rtol=1e-6)


def test_one_fit_of_two_heads():
    """The same by Keras and by tfmdn, whatever stands in the padding."""
    histories = []
    for fit, junk in ((keras.Model.fit, 1e3), (tfmdn.fit, -1.0)):
        keras.utils.set_random_seed(0)
        model = model_of("causal_conv", metrics=False)
        options = {"dtype": "float64"} if fit is tfmdn.fit else {}
        fit(model, *sequences(junk=junk), epochs=3, batch_size=2, shuffle=False, verbose=0, **options)
        histories.append([model.history.history["loss"], *model.get_weights()])
    loss, *_ = histories[0]
    assert loss[0] > loss[1] > loss[2]
    assert_all_close(*histories)


# One step at a time


@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU])
def test_steps_one_by_one(kind):
    """By a model of one step that shares the layers, its state an argument; and by a layer that keeps its state."""
    recurrent, head = kind(5, return_sequences=True, return_state=True), tfmdn.MDNLayer(3, 2, covariance="full")
    inputs = keras.Input((None, 2))
    whole = keras.Model(inputs, head(recurrent(inputs)[0]))
    step, states = keras.Input((2,)), [keras.Input((5,)) for _ in range(2 if kind is keras.layers.LSTM else 1)]
    hidden, *next_states = recurrent(keras.ops.expand_dims(step, 1), initial_state=states)
    one = keras.Model([step, states], [head(hidden[:, 0]), next_states])
    stateful = keras.Sequential(
        [keras.Input((1, 2), batch_size=3), kind(5, return_sequences=True, stateful=True), head]
    )
    stateful.layers[0].set_weights(recurrent.get_weights())

    (x, y), state = sequences(), [tf.zeros((3, 5), "float64") for _ in states]
    expected = whole(x).log_prob(y["value"])  # [B, T]
    for t in range(x.shape[1]):
        mixture, state = one([tf.constant(x[:, t]), state])
        np.testing.assert_allclose(mixture.log_prob(y["value"][:, t]), expected[:, t], rtol=1e-9)
        np.testing.assert_allclose(
            stateful(x[:, t : t + 1]).log_prob(y["value"][:, t : t + 1])[:, 0], expected[:, t], rtol=1e-9
        )
