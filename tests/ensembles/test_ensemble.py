"""Ensembles, against what their networks do alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import SCALAR_COMPONENTS, case_name, layer_of, two_replicas, weights_of_members

import tfmdn

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
NORMAL = ("normal", "diag", ())
rng = np.random.default_rng(0)
X = rng.normal(size=(32, 2)).astype("float32")
Y = (X[:, 0] + rng.normal(size=32)).astype("float32")
ROW_WEIGHTS = rng.random(32).astype("float32")
MEMBER_WEIGHTS = (rng.random((32, 2)) * (rng.random((32, 2)) > 0.3)).astype("float32")


def network(units=6, between=(), case=NORMAL, scale_regularizer=None, **dense):
    hidden = [keras.layers.Dense(units, "tanh", **dense), *(layer() for layer in between)]
    return keras.Sequential([keras.Input((2,)), *hidden, layer_of(case, 3, scale_regularizer=scale_regularizer)])


def two_inputs():
    inputs = {"left": keras.Input((1,), name="left"), "right": keras.Input((1,), name="right")}
    return keras.Model(inputs, tfmdn.MDNLayer(2)(keras.layers.Concatenate()(list(inputs.values()))))


def sequences():
    """Of steps that are masked where all features are 0."""
    layers = [keras.layers.Masking(), keras.layers.Dense(4, "tanh"), tfmdn.MDNLayer(2)]
    return keras.Sequential([keras.Input((None, 2)), *layers])


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(4, "tanh")
        self.head = tfmdn.MDNLayer(3)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def compiled(model, **arguments):
    arguments = {"optimizer": "sgd", "loss": tfmdn.NegativeLogLikelihood(), "jit_compile": False, **arguments}
    model.compile(**arguments)
    return model


def assert_same_weights(weights, expected, rtol=1e-4, atol=1e-5):
    for own, alone in zip(weights, expected):
        assert len(own) == len(alone)
        for value, other in zip(own, alone):
            np.testing.assert_allclose(value, other, rtol=rtol, atol=atol)


def assert_same_density(mixture, expected, rtol=1e-5):
    np.testing.assert_allclose(mixture.log_prob(Y), expected.log_prob(Y), rtol=rtol)


# The mixture

CASES = [*SCALAR_COMPONENTS, ("normal", "full", (3,)), ("student_t", "spherical", (3,))]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_mixture_is_that_of_the_networks(case):
    networks = [network(case=case) for _ in range(3)]
    mixture, expected = tfmdn.Ensemble(networks)(X), tfmdn.merge([alone(X) for alone in networks])
    y = expected.sample(seed=0)
    np.testing.assert_allclose(mixture.log_prob(y), expected.log_prob(y), rtol=1e-5)
    np.testing.assert_allclose(mixture.stddev(), expected.stddev(), rtol=1e-5)
    assert mixture.member_sizes == (3, 3, 3)


@pytest.mark.parametrize("units", [(6, 6, 6), (6, 6, 4)], ids=["one architecture", "two"])
def test_members_have_weights_and_factors_of_their_own(units, tmp_path):
    networks = [network(size) for size in units]
    ensemble, weights, factors = tfmdn.Ensemble(networks), [0.5, 0.2, 0.3], [1.0, 2.0, 0.5]
    ensemble.member_log_weights.assign(np.log(weights))
    ensemble.scale_temperature.assign(factors)
    broadened = [alone(X).temper(scale_temperature=factor) for alone, factor in zip(networks, factors)]
    expected = tfmdn.merge(broadened, weights)
    assert_same_density(ensemble(X), expected)
    assert_same_density(ensemble.predict_in_graph(tf.constant(X)), expected)
    np.testing.assert_allclose(ensemble(X).decompose().epistemic, expected.decompose().epistemic, rtol=1e-4)
    ensemble.save(tmp_path / "weighted.keras")
    assert_same_density(keras.models.load_model(tmp_path / "weighted.keras")(X), expected)


DIFFERENT = {
    "units": (lambda: network(4), lambda: network(6)),
    "activation, of which each layer has the name": (
        lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(6, "tanh", name="tanh"), tfmdn.MDNLayer(3)]),
        lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(6, "relu", name="relu"), tfmdn.MDNLayer(3)]),
    ),
    "dtype policy": (lambda: network(), lambda: network(dtype="mixed_bfloat16")),
    "what is trained": (lambda: network(), lambda: network(trainable=False)),
}


@pytest.mark.parametrize("builders", DIFFERENT.values(), ids=DIFFERENT)
def test_different_networks_are_told_apart(builders):
    networks = [build() for build in builders]
    ensemble = tfmdn.Ensemble(networks)
    assert len(ensemble.member_variables) == sum(len(alone.variables) for alone in networks)
    # bfloat16 has three digits, and rounds otherwise within a graph.
    assert_same_density(ensemble(X), tfmdn.merge([alone(X) for alone in networks]), rtol=1e-3)


ALIKE = {
    "sequential": network,
    "nested": lambda: network(between=[lambda: keras.Sequential([keras.layers.Dense(3)])]),
    "functional": two_inputs,
    "subclassed": Subclassed,
}


@pytest.mark.parametrize("build", ALIKE.values(), ids=ALIKE)
def test_networks_of_one_architecture_are_computed_together(build):
    networks = [build() for _ in range(3)]
    x = {"left": X[:, :1], "right": X[:, 1:]} if build is two_inputs else X
    mixtures = [alone(x) for alone in networks]
    ensemble = tfmdn.Ensemble(networks)
    assert len(ensemble.member_variables) == len(networks[0].variables)
    assert_same_density(ensemble(x), tfmdn.merge(mixtures))


def test_inputs_keep_their_digits(tmp_path):
    """Seconds since 1970: float32 knows them to two minutes."""

    def of_seconds():
        inputs = keras.Input((2,), dtype="float64")
        standardized = keras.layers.Normalization(mean=1.7e9, variance=1.0, dtype="float64")(inputs)
        return keras.Model(inputs, tfmdn.MDNLayer(3)(keras.layers.Dense(4, "tanh")(standardized)))

    networks = [of_seconds(), of_seconds()]
    ensemble = tfmdn.Ensemble(networks)
    x = 1.7e9 + np.float64(X)
    expected = tfmdn.merge([alone(x) for alone in networks])
    assert_same_density(ensemble(x), expected)
    assert_same_density(tfmdn.merge(ensemble.members(x)), expected)
    ensemble.save(tmp_path / "ensemble.keras")
    assert_same_density(keras.models.load_model(tmp_path / "ensemble.keras")(x), expected)


@keras.saving.register_keras_serializable(package="tests")
class InPart(keras.layers.Layer):
    """A mixture of which one part is the same for all rows, and has no axis for them."""

    def __init__(self, constant, **kwargs):
        super().__init__(**kwargs)
        self.constant = constant
        self.value = self.add_weight(shape=(2,), initializer="random_normal")
        self.dense = keras.layers.Dense(2)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape[:1])

    def call(self, inputs):
        logits, loc = tf.convert_to_tensor(self.value), self.dense(inputs)
        if self.constant == "components":
            logits, loc = loc, logits
        return tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, tf.ones_like(loc)))

    def get_config(self):
        return {**super().get_config(), "constant": self.constant}


@pytest.mark.covering(1)
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("constant", ["weights", "components"])
def test_what_is_the_same_for_all_rows_needs_no_axis(constant, size):
    networks = [keras.Sequential([keras.Input((2,)), InPart(constant)]) for _ in range(size)]
    ensemble = tfmdn.Ensemble(networks)
    mixtures = [alone(X[:5]) for alone in networks]
    expected = tfmdn.merge(mixtures)
    np.testing.assert_allclose(ensemble(X[:5]).log_prob(Y[:5]), expected.log_prob(Y[:5]), rtol=1e-5)
    for mixture, alone in zip(ensemble.members(X[:5]), mixtures):
        np.testing.assert_allclose(mixture.log_prob(Y[:5]), alone.log_prob(Y[:5]), rtol=1e-5)
    # As many rows as members: a mistaken axis would fit.
    rows = np.tile(np.arange(5), (size, 1))
    scores = ensemble.member_scores(X[rows], Y[rows], np.ones((size, 5)))
    np.testing.assert_allclose(scores, [-np.sum(mixture.log_prob(Y[:5])) for mixture in mixtures], rtol=1e-5)
    np.testing.assert_allclose(ensemble.predict(X[:5], verbose=0), expected.mean(), rtol=1e-4, atol=1e-5)
    assert 0.5 <= ensemble.calibrate(X[:5], Y[:5]) <= 4.0


def test_disagreement_is_epistemic():
    alone = network()
    assert np.all(tfmdn.Ensemble([network(), network()])(X).decompose().epistemic > 0)
    np.testing.assert_allclose(tfmdn.Ensemble([alone, alone])(X).decompose().epistemic, 0, atol=1e-12)


def test_queries_of_members():
    networks = [network(), network(), network(4)]
    ensemble = tfmdn.Ensemble(networks)
    for mixture, alone in zip(ensemble.members(X), networks):
        assert_same_density(mixture, alone(X))
    rows = np.array([[0, 1], [2, 3], [4, 5]])
    weights = np.array([[0.5, 0.5], [1.0, 0.0], [0.2, 0.3]])
    broad = [alone(X[own]).temper(scale_temperature=2.0) for alone, own in zip(networks, rows)]
    expected = [-np.sum(own * mixture.log_prob(Y[row])) for mixture, row, own in zip(broad, rows, weights)]
    np.testing.assert_allclose(ensemble.member_scores(X[rows], Y[rows], weights, 2.0), expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"`scale_temperature` must be .* Received: scale_temperature=-1.0"):
        ensemble.member_scores(X[rows], Y[rows], weights, -1.0)


def test_one_value_for_all_members():
    networks = [network(), network(), network(4)]
    ensemble = tfmdn.Ensemble(networks)
    ensemble.set_in_all_members(lambda alone: alone.layers[-1].target_location, 5.0)
    for mixture, alone in zip(ensemble.members(X), networks):
        np.testing.assert_allclose(mixture.mean(), alone(X).mean() + 5.0, rtol=1e-5)
    with pytest.raises(ValueError, match="`variable_of` must return a variable"):
        ensemble.set_in_all_members(lambda alone: networks[1].layers[0].bias, 5.0)


# Training

BATCH_NORMALIZATION, DROPOUT = keras.layers.BatchNormalization, lambda: keras.layers.Dropout(0.4)
PENALTIES = {"kernel_regularizer": keras.regularizers.L2(0.3), "activity_regularizer": keras.regularizers.L1(0.2)}
TRAININGS = {
    "sgd": {},
    "adam, two architectures": {"optimizer": keras.optimizers.Adam, "builders": [network, lambda: network(4)]},
    "weights": {"sample_weight": ROW_WEIGHTS},
    "weights by member, clipped": {"sample_weight": MEMBER_WEIGHTS, "max_gradient_norm": 0.05},
    "regularized": {"builders": [lambda: network(**PENALTIES)] * 2},
    "regularized scales": {"builders": [lambda: network(scale_regularizer="l2")] * 2},
    "batch normalization": {"builders": [lambda: network(between=[BATCH_NORMALIZATION])] * 2},
    "dropout": {"builders": [lambda: network(between=[DROPOUT])] * 2},
}


@pytest.mark.by_default("adam, two architectures", "weights by member, clipped", "regularized scales")
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
def test_members_learn_what_each_network_learns_alone(training):
    networks = [build() for build in training.get("builders", [network, network])]
    optimizer, limit = training.get("optimizer", keras.optimizers.SGD), training.get("max_gradient_norm")
    weights = training.get("sample_weight")
    by_member = weights is not None and weights.ndim == 2
    ensemble = compiled(tfmdn.Ensemble(networks, by_member, limit), optimizer=optimizer(0.02))
    fit_arguments = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
    losses = ensemble.fit(X, Y, sample_weight=weights, **fit_arguments).history["loss"]
    alone = []
    for member, model in enumerate(networks):
        compiled(model, optimizer=optimizer(0.02, global_clipnorm=limit), run_eagerly=True)
        own = weights[:, member] if by_member else weights
        alone.append(model.fit(X, Y, sample_weight=own, **fit_arguments).history["loss"])
    assert_same_weights(weights_of_members(ensemble), [[v.numpy() for v in model.variables] for model in networks])
    np.testing.assert_allclose(losses, np.mean(alone, 0), rtol=1e-4)


@pytest.mark.by_default("{'jit_compile': True}")
@pytest.mark.parametrize("arguments", [{"run_eagerly": True}, {"jit_compile": True}], ids=str)
def test_ways_to_execute_give_the_same_weights(arguments):
    networks, weights = [network(between=[BATCH_NORMALIZATION]) for _ in range(2)], []
    for extra in ({}, arguments):
        model = compiled(tfmdn.Ensemble(networks, max_gradient_norm=0.1), **extra)
        model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
        weights.append(weights_of_members(model))
    assert_same_weights(*weights, rtol=1e-3, atol=1e-4)


def test_mixed_precision_scales_the_loss_and_clips_all_the_same():
    moves = []
    for policy in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(1)
        keras.config.set_dtype_policy(policy)
        ensemble = compiled(tfmdn.Ensemble([network(), network()], max_gradient_norm=0.1))
        before = np.concatenate([np.ravel(weight) for weight in ensemble.get_weights()])
        ensemble.fit(X, Y, epochs=4, batch_size=32, shuffle=False, verbose=0)
        moves.append(np.concatenate([np.ravel(weight) for weight in ensemble.get_weights()]) - before)
    assert isinstance(ensemble.optimizer, keras.optimizers.LossScaleOptimizer)
    assert ensemble(X).dtype == "float32"
    np.testing.assert_allclose(moves[1], moves[0], atol=0.02 * np.abs(moves[0]).max())


def test_dropout_differs_between_members():
    first, second = network(between=[DROPOUT]), network(between=[DROPOUT])
    second.set_weights(first.get_weights())
    ensemble = tfmdn.Ensemble([first, second])
    calm, dropped = ensemble.members(X), ensemble.members(X, training=True)
    np.testing.assert_array_equal(calm[0].mean(), calm[1].mean())
    assert np.mean(np.abs(dropped[0].mean() - dropped[1].mean()) > 1e-5) > 0.9


def test_metrics_are_of_the_merged_mixture():
    ensemble = tfmdn.Ensemble([network(), network(4)], weights_by_member=True)
    nll = tfmdn.metrics.NegativeLogLikelihood
    compiled(ensemble, metrics=["mae", nll("nll")], weighted_metrics=[nll("weighted")])
    weights, scores = MEMBER_WEIGHTS.mean(1), -ensemble(X).log_prob(Y)
    expected = {
        "mae": np.mean(np.abs(ensemble(X).mean() - Y)),
        "nll": np.mean(scores),
        "weighted": np.average(scores, weights=weights),
    }
    history = ensemble.fit(X, Y, sample_weight=MEMBER_WEIGHTS, batch_size=32, verbose=0).history
    assert {name: history[name][0] for name in expected} == pytest.approx(expected, rel=1e-4)
    scores = -ensemble(X).log_prob(Y)
    results = ensemble.evaluate(X, Y, sample_weight=MEMBER_WEIGHTS, batch_size=32, verbose=0, return_dict=True)
    expected = {"loss": np.mean(weights * scores), "weighted": np.average(scores, weights=weights)}
    assert {name: results[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(ensemble.predict(X, verbose=0), ensemble(X).mean(), rtol=1e-4, atol=1e-5)


def test_masked_steps_do_not_count():
    x, y = rng.normal(size=(8, 5, 2)).astype("float32"), rng.normal(size=(8, 5)).astype("float32")
    x[:, 3:] = 0.0
    junk = y.copy()
    junk[:, 3:] = 1e3
    networks = [sequences(), sequences()]
    expected = -np.mean(tfmdn.merge([alone(x[:, :3]) for alone in networks]).log_prob(y[:, :3]))
    ensemble = tfmdn.Ensemble(networks)
    assert float(tfmdn.NegativeLogLikelihood()(junk, ensemble(x))) == pytest.approx(expected, rel=1e-5)
    compiled(ensemble, metrics=[tfmdn.metrics.NegativeLogLikelihood()])
    assert ensemble.evaluate(x, junk, verbose=0) == pytest.approx([expected] * 2, rel=1e-5)
    history = ensemble.fit(x, junk, verbose=0).history
    assert history["negative_log_likelihood"][0] == pytest.approx(expected, rel=1e-5)
    assert history["loss"][0] < 10
    scores = [ensemble.member_scores(x[None].repeat(2, 0), y_[None].repeat(2, 0), np.ones((2, 8))) for y_ in (y, junk)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5)


@pytest.mark.by_default("regularized")
@pytest.mark.parametrize("penalties", [{}, {**PENALTIES, "scale_regularizer": "l2"}], ids=["", "regularized"])
def test_mirrored_strategy_trains_as_one_replica_does(penalties):
    weights, losses = [], []
    for strategy in (tf.distribute.get_strategy(), two_replicas()):
        with strategy.scope():
            keras.utils.set_random_seed(1)
            networks = [network(**penalties), network(**penalties)]
            ensemble = compiled(tfmdn.Ensemble(networks, weights_by_member=True))
        fit_arguments = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
        losses.append(ensemble.fit(X, Y, sample_weight=MEMBER_WEIGHTS, **fit_arguments).history["loss"])
        weights.append(weights_of_members(ensemble))
    assert_same_weights(*weights)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


# Saving


def test_keras_files_go_on_where_they_were(tmp_path):
    networks = [network(), network(), network(4)]
    ensemble = compiled(tfmdn.Ensemble(networks, max_gradient_norm=0.5), optimizer="adam")
    ensemble.fit(X, Y, verbose=0)
    ensemble.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X).log_prob(Y), ensemble(X).log_prob(Y))
    assert (loaded.num_members, loaded.max_gradient_norm, loaded.weights_by_member) == (3, 0.5, False)
    loaded.jit_compile = False
    for model in (ensemble, loaded):
        model.fit(X, Y, shuffle=False, verbose=0)
    assert_same_weights(weights_of_members(loaded), weights_of_members(ensemble))


def test_saved_models_with_named_tensors(tmp_path):
    ensemble = tfmdn.Ensemble([two_inputs(), two_inputs()])
    tfmdn.export_saved_model(ensemble, tmp_path / "model")
    x = {"left": tf.constant(X[:, :1]), "right": tf.constant(X[:, 1:])}
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    served = loaded.signatures["log_prob"](y=tf.constant(Y), **x)
    np.testing.assert_allclose(served["log_prob"], ensemble(x).log_prob(Y), rtol=1e-5)


@pytest.mark.by_default("subclassed")
@pytest.mark.parametrize("build", [network, Subclassed], ids=["sequential", "subclassed"])
def test_exported_by_keras(build, tmp_path):
    networks = [build(), build()]
    for alone in networks:
        alone(X)
    ensemble = tfmdn.Ensemble(networks)
    expected = ensemble(X)
    ensemble.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert_same_density(loaded.serve(X), expected)


def test_exported_by_keras_to_litert_without_having_been_called(tmp_path):
    ensemble = tfmdn.Ensemble([network(), network()])
    ensemble.export(tmp_path / "model.tflite", format="litert", verbose=False)
    runner = tf.lite.Interpreter(str(tmp_path / "model.tflite")).get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    mixture = ensemble(X)
    for answer, value in runner(**{name: X}).items():
        np.testing.assert_allclose(value, mixture._asdict()[answer], rtol=1e-5, atol=1e-5, err_msg=answer)
    with pytest.raises(ValueError, match=r"Use tfmdn.export_onnx.*Received: format='onnx'"):
        ensemble.export(tmp_path / "model.onnx", format="onnx")


# Errors

REFUSED = {
    "no models": (lambda: tfmdn.Ensemble([]), ValueError, "`models` must hold at least one model"),
    "not built": (lambda: tfmdn.Ensemble([Subclassed(name="mine")]), ValueError, r"Received: \['mine'\], not built"),
    "clipping": (lambda: tfmdn.Ensemble([network()], max_gradient_norm=0), ValueError, "`max_gradient_norm` must be"),
    "no mixture": (
        lambda: tfmdn.Ensemble([keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])])(X),
        TypeError,
        "must output a mixture. Received: ",
    ),
    "components of two kinds": (
        lambda: tfmdn.Ensemble([network(), network(case=("laplace", "diag", ()))])(X),
        ValueError,
        "the same kind of components",
    ),
}


@pytest.mark.parametrize(("cause", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(cause, error, message):
    with pytest.raises(error, match=message):
        cause()


@pytest.mark.parametrize("shape", [(32,), (32, 3)])
def test_weights_without_a_column_for_each_member_are_refused(shape):
    ensemble = compiled(tfmdn.Ensemble([network(), network()], weights_by_member=True))
    with pytest.raises(ValueError, match=r"a column for each of the 2 members\. Received: sample_weight of"):
        ensemble.fit(X, Y, sample_weight=np.ones(shape), batch_size=2, verbose=0)
