"""What Keras users do with a model, on each kind of model: compile, fit, evaluate, predict, save, clone, distribute."""

import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import two_replicas

import tfmdn

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions


def negative_log_prob(y, mixture):
    return -mixture.log_prob(y)


def mean_width():
    """A streaming mean of something that only a distribution has."""
    return keras.metrics.MeanMetricWrapper(lambda y, mixture: mixture.stddev(), name="width")


@keras.saving.register_keras_serializable(package="tests")
class SubclassedModel(keras.Model):
    def __init__(self, event_shape=(), **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(8, "tanh")
        self.head = tfmdn.MDNLayer(3, event_shape)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def sequential(event_shape=()):
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "tanh"), tfmdn.MDNLayer(3, event_shape)])


def functional(event_shape=()):
    inputs = keras.Input((1,))
    return keras.Model(inputs, tfmdn.MDNLayer(3, event_shape)(keras.layers.Dense(8, "tanh")(inputs)))


MODELS = {"sequential": sequential, "functional": functional, "subclassed": SubclassedModel}
every_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
X, Y = tfmdn.datasets.inverse_sinusoid().sample(96, seed=0)


def compiled(model, **arguments):
    arguments = {"optimizer": keras.optimizers.Adam(0.01), "loss": tfmdn.NegativeLogLikelihood(), **arguments}
    model.compile(**arguments)
    return model


def weights_of(model):
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


# Not every kind of model with every pair of shapes and every loss: they do not meet in the code.
SHAPES = {"n-scalar": (Y, ()), "n1-scalar": (Y[:, None], ()), "n-vector": (Y, (1,)), "n1-vector": (Y[:, None], (1,))}
LOSSES = {"class": tfmdn.NegativeLogLikelihood(), "lambda": lambda y, d: -d.log_prob(y)}
FITTED = [("sequential", shapes, loss) for shapes in SHAPES for loss in LOSSES]
FITTED += [("functional", "n1-scalar", "lambda"), ("subclassed", "n1-vector", "lambda")]


@pytest.mark.by_default("subclassed-n1-vector-lambda")
@pytest.mark.parametrize(("model", "shapes", "loss"), FITTED)
def test_fit_lowers_the_loss(model, shapes, loss):
    target, event_shape = SHAPES[shapes]
    loss = LOSSES[loss]
    model = compiled(MODELS[model](event_shape), loss=loss, metrics=["mae", mean_width()])
    losses = model.fit(X, target, epochs=12, batch_size=32, validation_split=0.25, verbose=0).history
    assert losses["loss"][-1] < losses["loss"][0] - 0.1
    assert {"mae", "width", "val_loss", "val_mae"} <= set(losses)
    results = model.evaluate(X, target, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(-float(np.mean(model(X).log_prob(Y.reshape(-1, *event_shape)))), rel=1e-4)
    mean = np.asarray(model(X)).reshape(-1)
    assert results["mae"] == pytest.approx(np.mean(np.abs(mean - Y)), rel=1e-4)
    assert results["width"] == pytest.approx(float(np.mean(model(X).stddev())), rel=1e-4)


@pytest.mark.by_default("functional")
@every_model
def test_class_and_lambda_give_the_same_weights(build):
    weights = []
    for loss in (tfmdn.NegativeLogLikelihood(), negative_log_prob, tfmdn.negative_log_likelihood):
        keras.utils.set_random_seed(1)
        model = compiled(build(), loss=loss)
        model.fit(X, Y, epochs=2, batch_size=32, shuffle=False, verbose=0)
        weights.append(weights_of(model))
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights[2], weights[0], rtol=1e-5, atol=1e-6)


@pytest.mark.by_default("sequential")
@every_model
def test_a_sample_weight_is_a_repeated_row(build):
    repeats = np.random.default_rng(0).integers(0, 4, len(X))
    weights = []
    for x, y, weight in ((X, Y, repeats), (np.repeat(X, repeats, 0), np.repeat(Y, repeats), None)):
        keras.utils.set_random_seed(1)
        model = compiled(
            build(), loss=tfmdn.NegativeLogLikelihood(reduction="sum"), optimizer=keras.optimizers.SGD(1e-4)
        )
        model.fit(x, y, sample_weight=weight, batch_size=len(x), epochs=3, verbose=0)
        weights.append(weights_of(model))
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-5)


@pytest.mark.by_default("subclassed")
@every_model
def test_datasets_and_batches(build):
    model = compiled(build(), metrics=["mae"])
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(32)
    model.fit(dataset, epochs=2, validation_data=dataset, verbose=0)
    loss, mae = model.evaluate(dataset, verbose=0)
    on_batch = model.test_on_batch(X, Y)
    np.testing.assert_allclose(on_batch, [loss, mae], rtol=1e-4)
    np.testing.assert_allclose(model.train_on_batch(X, Y)[0], loss, rtol=1e-2)
    mean = model(X).mean()
    for prediction in (
        model.predict(X, verbose=0),
        model.predict(dataset.map(lambda x, y: x), verbose=0),
        model.predict_on_batch(X),
    ):
        assert isinstance(prediction, np.ndarray)
        np.testing.assert_allclose(prediction, mean, rtol=1e-4, atol=1e-5)


@pytest.mark.by_default("subclassed")
@every_model
def test_ways_to_execute_give_the_same_weights(build):
    weights = []
    # Two of three steps at once, and then one.
    for arguments in ({}, {"steps_per_execution": 2}, {"run_eagerly": True}, {"jit_compile": True}):
        keras.utils.set_random_seed(1)
        model = compiled(build(), metrics=["mae"], **arguments)
        model.fit(X, Y, epochs=2, batch_size=32, shuffle=False, verbose=0)
        model.evaluate(X, Y, verbose=0)
        weights.append(weights_of(model))
        np.testing.assert_allclose(weights[-1], weights[0], rtol=1e-3, atol=1e-3, err_msg=str(arguments))


@pytest.mark.covering(1)
@every_model
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies(build, policy):
    keras.config.set_dtype_policy(policy)
    model = compiled(build(), metrics=["mae"])
    history = model.fit(X, Y, epochs=8, batch_size=32, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert model(X).dtype == ("float64" if policy == "float64" else "float32")
    assert model.head.dense.compute_dtype == policy.removeprefix("mixed_") if build is SubclassedModel else True


def test_a_bare_lambda_with_a_layer_in_float64():
    model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3, dtype="float64")])
    compiled(model, loss=lambda y, d: -d.log_prob(y)).fit(X, Y, verbose=0)


def test_a_layer_after_the_mixture_gets_the_mean():
    model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(3, 2), keras.layers.Dense(1, use_bias=False)])
    expected = np.asarray(model.layers[0](X).mean()) @ np.asarray(model.layers[1].kernel)
    np.testing.assert_allclose(model(X), expected, rtol=1e-5)
    before = model.layers[0].dense.kernel.numpy()
    compiled(model, loss="mse").fit(X, Y, verbose=0)
    assert not np.array_equal(before, model.layers[0].dense.kernel.numpy())


@pytest.mark.by_default("dict")
@pytest.mark.parametrize("kind", [dict, list])
def test_two_heads_with_two_losses(kind):
    inputs = keras.Input((1,))
    hidden = keras.layers.Dense(8, "tanh")(inputs)
    heads = {"mixture": tfmdn.MDNLayer(3, name="mixture")(hidden), "point": keras.layers.Dense(1, name="point")(hidden)}
    losses = {"mixture": tfmdn.NegativeLogLikelihood(), "point": "mse"}
    metrics = {"mixture": ["mae"], "point": ["mae"]}
    targets = {"mixture": Y, "point": Y}
    pack = dict if kind is dict else lambda values: list(values.values())
    model = keras.Model(inputs, pack(heads))
    model.compile("adam", loss=pack(losses), metrics=pack(metrics))
    model.fit(X, pack(targets), verbose=0)
    results = model.evaluate(X, pack(targets), verbose=0, return_dict=True)
    outputs = model(X)
    mixture, point = (outputs["mixture"], outputs["point"]) if kind is dict else outputs
    assert results["mixture_loss"] == pytest.approx(-float(np.mean(mixture.log_prob(Y))), rel=1e-4)
    assert results["point_loss"] == pytest.approx(float(np.mean((point[:, 0] - Y) ** 2)), rel=1e-4)
    predicted = model.predict(X, verbose=0)
    np.testing.assert_allclose(
        predicted["mixture"] if kind is dict else predicted[0], mixture.mean(), rtol=1e-4, atol=1e-5
    )


# Sequences


def sequence_model(event_shape=(2,)):
    inputs = keras.Input((None, 2))
    hidden = keras.layers.GRU(4, return_sequences=True)(keras.layers.Masking()(inputs))
    return keras.Model(inputs, tfmdn.MDNLayer(3, event_shape)(hidden))


# A bare function cannot know that NaN does not count.
@pytest.mark.by_default("class-nan")
@pytest.mark.parametrize(
    ("loss", "junk"),
    [(tfmdn.NegativeLogLikelihood(), 1e30), (tfmdn.NegativeLogLikelihood(), np.nan), (negative_log_prob, 1e3)],
    ids=["class-1e30", "class-nan", "function-1000"],
)
def test_masked_targets_change_nothing(loss, junk):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8, 7, 2)).astype("float32")
    x[:, 4:] = 0.0
    other = y.copy()
    other[:, 4:] = junk
    results = []
    for targets in (y, other):
        keras.utils.set_random_seed(1)
        model = compiled(sequence_model(), loss=loss)
        before = model.evaluate(x, targets, verbose=0)
        model.fit(x, targets, epochs=2, batch_size=4, shuffle=False, verbose=0)
        results.append([before, *weights_of(model)])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)


def test_a_padded_batch_scores_as_its_rows_do():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 6, 2)).astype("float32")
    lengths = [6, 3, 1]
    for row, length in enumerate(lengths):
        x[row, length:] = 0.0
    model = compiled(sequence_model(), metrics=["mae"])
    total = sum(
        length * model.evaluate(x[row : row + 1, :length], y[row : row + 1, :length], verbose=0)[0]
        for row, length in enumerate(lengths)
    )
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(total / sum(lengths), rel=1e-5)


def test_images_have_a_mixture_for_each_pixel():
    model = keras.Sequential([keras.Input((6, 5, 1)), keras.layers.Conv2D(4, 3, padding="same"), tfmdn.MDNLayer(2, 3)])
    x = np.random.default_rng(0).normal(size=(8, 6, 5, 1))
    y = np.random.default_rng(1).normal(size=(8, 6, 5, 3))
    compiled(model, metrics=["mae"]).fit(x, y, verbose=0)
    assert model(x).batch_shape == (8, 6, 5)
    assert model.predict(x, verbose=0).shape == (8, 6, 5, 3)


# tf.distribute


def test_a_replica_without_rows():
    """The last batch has one row for two replicas."""
    with two_replicas().scope():
        model = compiled(sequential(), jit_compile=False)
    history = model.fit(X[:33], Y[:33], batch_size=32, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(weights_of(model)).all()
    assert np.isfinite(model.evaluate(X[:33], Y[:33], batch_size=32, verbose=0))


# Saving, cloning, drawing

LOAD_AND_SCORE = """
import sys, keras, numpy as np, tfmdn
model = keras.saving.load_model(sys.argv[1])
x, y = tfmdn.datasets.inverse_sinusoid().sample(96, seed=0)
print(repr(float(np.mean(model(x).log_prob(y)))), repr(model.evaluate(x, y, verbose=0)))
"""


def test_keras_file_loads_in_a_fresh_process(processes, tmp_path):
    model = compiled(functional())
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    (loaded,) = processes.run(LOAD_AND_SCORE, tmp_path / "model.keras")
    assert loaded.returncode == 0, loaded.stderr
    output = loaded.stdout.split()
    assert float(output[0]) == pytest.approx(float(np.mean(model(X).log_prob(Y))), rel=1e-5)
    assert float(output[1]) == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


@pytest.mark.by_default("subclassed")
@every_model
def test_weights_and_whole_models_round_trip(build, tmp_path):
    model = compiled(build())
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    again = compiled(build())
    again(X[:1])
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again(X).log_prob(Y), model(X).log_prob(Y))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X).log_prob(Y), model(X).log_prob(Y))


@pytest.mark.parametrize("build", [sequential, functional], ids=["sequential", "functional"])
def test_clone_summary_and_plot(build, tmp_path):
    model = build()
    clone = keras.models.clone_model(model)
    assert isinstance(clone(X), tfmdn.Mixture)
    assert [weight.shape for weight in clone.weights] == [weight.shape for weight in model.weights]
    lines = []
    model.summary(print_fn=lines.append)
    assert "MDNLayer" in "\n".join(map(str, lines))
    assert "MDNLayer" in keras.utils.model_to_dot(model, show_shapes=True).to_string()
    if shutil.which("dot"):
        keras.utils.plot_model(model, tmp_path / "model.png", show_shapes=True)
        assert (tmp_path / "model.png").stat().st_size > 1000


@pytest.mark.by_default("jax")
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_another_backend_is_refused(backend):
    output = subprocess.run(
        [sys.executable, "-c", "import tfmdn"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert output.returncode != 0
    assert "ImportError: tfmdn needs the TensorFlow backend of Keras" in output.stderr
    assert f"Received: backend='{backend}'" in output.stderr
