"""What does not count may hold anything, in x too, wherever a model trains; and what counts and is bad is named."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmdn
from tfmdn import numerics
from tfmdn.training import uncounted

pytestmark = [
    pytest.mark.usefixtures("quick_graphs"),
    pytest.mark.filterwarnings("ignore:overflow encountered in cast"),  # by Keras, of 1e300
]

N = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2)).astype("float32")
Y = X[:, 0].copy()
WEIGHTS = np.ones(N, "float32")
WEIGHTS[[0, 5, 8, 9]] = 0.0
JUNK = np.resize(np.array([np.nan, np.inf, 1e300, -np.inf, 1e30], "float64"), (4, 2))
FIT = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}


def bare(y, mixture):
    return -mixture.log_prob(y)


def plain(loss=None, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "silu"), tfmdn.MDNLayer(2)])
    arguments = {"metrics": ["mae"], "weighted_metrics": [tfmdn.metrics.CRPS()], "jit_compile": False, **arguments}
    model.compile(keras.optimizers.Adam(0.01), loss or tfmdn.NegativeLogLikelihood(), **arguments)
    return model


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = keras.layers.Dense(4), tfmdn.MDNLayer(2)

    def call(self, inputs):
        return self.head(self.hidden(inputs))

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(weights * bare(y, self(x, training=True)))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return {"loss": loss}


def own():
    keras.utils.set_random_seed(0)
    model = Own()
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model


def ensemble():
    keras.utils.set_random_seed(0)
    networks = [keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), tfmdn.MDNLayer(2)]) for _ in range(2)]
    model = tfmdn.Ensemble(networks, weights_by_member=True)
    model.compile(keras.optimizers.Adam(0.01), tfmdn.NegativeLogLikelihood(), jit_compile=False)
    return model


WAYS = {
    "graph": plain,
    "XLA": lambda: plain(jit_compile=True),
    "eagerly": lambda: plain(run_eagerly=True),
    "several steps": lambda: plain(steps_per_execution=3),
    "bare lambda": lambda: plain(bare),
    "mean of weights": lambda: plain(tfmdn.CRPS(reduction="mean_with_sample_weight")),
    "train_step": own,
    "ensemble": ensemble,
}


def junk_in(x, y):
    x, y = x.astype("float64"), y.astype("float64")
    x[WEIGHTS == 0], y[WEIGHTS == 0] = JUNK, JUNK[:, 0]
    return x, y


def weights_of(way):
    return np.stack([WEIGHTS, WEIGHTS], 1) if way == "ensemble" else WEIGHTS


def state_of(model):
    """All that a training changes, as arrays."""
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def set_state(model, state):
    for variable, value in zip([*model.variables, *model.optimizer.variables], state, strict=True):
        variable.assign(value)


def same(found, expected, **tolerances):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerances)


@pytest.mark.parametrize("fit", [keras.Model.fit, tfmdn.fit], ids=["model.fit", "tfmdn.fit"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.by_default("bare lambda-model.fit", "bare lambda-tfmdn.fit")
def test_rows_that_do_not_count_may_hold_anything(way, fit):
    if fit is tfmdn.fit and way == "eagerly":
        return
    model, weights = WAYS[way](), weights_of(way)
    model(X[:1])
    model.optimizer.build(model.trainable_variables)
    start = state_of(model)
    expected = fit(model, X, Y, sample_weight=weights, **FIT).history
    learnt = state_of(model)
    set_state(model, start)
    held_out = None if way in ("train_step", "bare lambda") else (*junk_in(X, Y), weights)
    found = fit(model, *junk_in(X, Y), sample_weight=weights, validation_data=held_out, **FIT).history
    same(found["loss"], expected["loss"], rtol=1e-5)
    assert all(np.isfinite(values).all() for values in found.values())
    same(state_of(model), learnt, rtol=1e-4, atol=1e-6)


@pytest.mark.exhaustive
def test_single_batches():
    expected, found = plain(), plain()
    for model, data in ((expected, (X[:8], Y[:8])), (found, [part[:8] for part in junk_in(X, Y)])):
        model.train_on_batch(*data, sample_weight=WEIGHTS[:8])
        model.score = model.test_on_batch(*data, sample_weight=WEIGHTS[:8], return_dict=True)
    assert found.score["crps"] == pytest.approx(expected.score["crps"], rel=1e-5)
    same(found.get_weights(), expected.get_weights(), rtol=1e-5, atol=1e-7)


def data_of(x, y, sample_weight, by_member=False):
    """What is left of a batch in a graph and eagerly, of shapes that are known and that are not."""
    model = ensemble() if by_member else plain()
    batch = keras.tree.map_structure(tf.constant, (x, y, sample_weight))
    found = uncounted.without_junk(model, batch)
    step = tf.function(lambda *data: uncounted.without_junk(model, data), autograph=False)
    unknown = keras.tree.map_structure(lambda part: tf.TensorSpec([None] * part.shape.rank, part.dtype), batch)
    for graph in (step.get_concrete_function(*batch), step.get_concrete_function(*unknown)):
        other = graph(*keras.tree.flatten(batch))
        for one, two in zip(keras.tree.flatten(found), keras.tree.flatten(other), strict=True):
            np.testing.assert_array_equal(one, two)
    return keras.tree.map_structure(lambda part: part.numpy(), found)


def test_steps_of_weight_0():
    x, y, weights = RNG.normal(size=(2, 3, 2)), RNG.normal(size=(2, 3)), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    x[0, 1:], x[1, 0], y[1] = np.nan, np.inf, np.nan
    found, targets, _ = data_of(x, y, weights)
    expected = x.copy()
    expected[0, 1:], expected[1, 0] = x[0, 0], x[0, 0]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(targets, [y[0], [y[0, 0]] * 3])
    found, _, _ = data_of(x, y, np.array([1.0, 0.0]))  # rows: steps of the one that counts do count
    np.testing.assert_array_equal(found[0], x[0])
    assert np.isfinite(found[1]).all()


def test_features_are_no_steps():
    x = np.array([[np.nan, 1.0], [2.0, np.nan], [1.0, 2.0]])
    found, _, _ = data_of(x, np.zeros((3, 2)), np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_array_equal(found, [x[0], x[2], x[2]])
    found, _, _ = data_of(x, np.zeros(3), np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]), by_member=True)
    np.testing.assert_array_equal(found, [x[0], x[2], x[2]])


def test_several_inputs_and_outputs():
    x = {"a": np.array([[1.0], [np.nan], [np.inf]]), "b": np.array([[1], [2], [3]]), "c": np.array([["x"]] * 3)}
    y = {"p": np.array([np.nan, 1.0, 2.0]), "q": np.array([3.0, np.nan, np.nan])}
    weights = {"p": np.array([0.0, 1.0, 0.0]), "q": np.array([1.0, 0.0, 0.0])}
    found, targets, _ = data_of(x, y, weights)
    np.testing.assert_array_equal(found["a"], [[1.0], [np.nan], [1.0]])  # the second row counts for one of them
    np.testing.assert_array_equal(found["b"], x["b"])
    np.testing.assert_array_equal(targets["p"], [1.0, 1.0, 2.0])
    np.testing.assert_array_equal(targets["q"], [3.0, 3.0, 3.0])


def test_nothing_is_done_without_weights_and_of_other_models():
    data = (tf.constant(X), tf.constant(Y))
    assert uncounted.without_junk(plain(), data) is data
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.compile("sgd", "mse")
    assert not uncounted.concerns(other)
    junk, targets = junk_in(X, Y)
    other.fit(junk, targets, sample_weight=WEIGHTS, verbose=0)  # as Keras has it
    assert np.isnan(other.get_weights()[0]).all()


def test_nothing_counts():
    found, targets, _ = data_of(np.full((2, 1), np.nan), np.full(2, np.inf), np.zeros(2))
    assert not found.any()
    assert not targets.any()
    data_of(np.zeros((0, 1)), np.zeros(0), np.zeros(0))


BAD = {
    "x": (lambda x, y, w: x.__setitem__((13, 0), np.nan), "The density of a target is NaN"),
    "y": (lambda x, y, w: y.__setitem__(13, np.nan), "`y_true` contains NaN"),
    "far": (lambda x, y, w: y.__setitem__(13, np.inf), "The score of a target is infinite"),
    "negative": (lambda x, y, w: w.__setitem__(13, -1.0), "`sample_weight` must be finite numbers, 0 or more"),
    "no weight": (lambda x, y, w: w.__setitem__(13, np.nan), "`sample_weight` must be finite numbers, 0 or more"),
}


@functools.cache
def fitted_model():
    """One that has learnt from some rows, with what each step of it changes besides."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "silu"), tfmdn.MDNLayer(2)])
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True)
    model.compile(optimizer, tfmdn.NegativeLogLikelihood(), jit_compile=False)
    model.fit(X, Y, sample_weight=np.ones(N), **FIT)
    return model, state_of(model)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("fit", [keras.Model.fit, tfmdn.fit], ids=["model.fit", "tfmdn.fit"])
def test_a_bad_row_is_named_and_nothing_is_learnt_from_its_batch(kind, fit):
    x, y, weights = X.copy(), Y.copy(), np.ones(N, "float32")
    change, message = BAD[kind]
    change(x, y, weights)
    model, before = fitted_model()
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)) as error:
        fit(model, x[8:16], y[8:16], sample_weight=weights[8:16], **FIT)
    assert message in str(error.value)
    assert numerics.row_of(error.value) == 5
    if fit is keras.Model.fit:
        assert "In batch 0 of this pass" in str(error.value)
    elif kind in ("x", "y", "far"):
        assert "In batch 0 of this pass, from 0, row 5 of the data" in str(error.value)
    same(state_of(model), before, rtol=0)


def test_the_batch_is_counted_within_a_pass():
    x, y, weights = X.copy(), Y.copy(), np.ones(N)
    y[20] = x[20, 1] = np.nan
    model, before = fitted_model()
    for ask, options in ((model.fit, {"shuffle": False}), (model.evaluate, {})):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"In batch 2 of this pass, from 0") as error:
            ask(x, y, sample_weight=weights, batch_size=8, verbose=0, **options)
        assert numerics.row_of(error.value) == 4
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"In batch 2 of this pass, from 0, row 20 of the data"):
        tfmdn.fit(model, x, y, sample_weight=weights, **FIT)
    assert np.isfinite(model.get_weights()[0]).all()
    set_state(model, before)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fit", [keras.Model.fit, tfmdn.fit], ids=["model.fit", "tfmdn.fit"])
def test_losses_of_ones_own_leave_the_weights_alone_too(fit):
    model, x = plain(bare), X.copy()
    fit(model, X, Y, **FIT)
    before = state_of(model)
    x[3, 1] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match="The gradient of the loss is not finite"):
        fit(model, x, Y, **FIT)
    same(state_of(model)[: len(model.weights)], before[: len(model.weights)], rtol=0)


@pytest.mark.exhaustive
def test_several_steps_are_counted():
    model = plain(steps_per_execution=3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"In batches 0 to 2 of this pass"):
        model.evaluate(X, np.where(WEIGHTS, Y, np.nan), batch_size=8, verbose=0)


def test_weights_of_an_order_that_float32_does_not_hold():
    model, before = fitted_model()
    learnt = []
    for scale in (0.5, 2.0**-1000, 2.0**-70, 2.0**1000):
        set_state(model, before)
        tfmdn.fit(model, X, Y, sample_weight=WEIGHTS.astype("float64") * scale, **FIT)
        learnt.append(state_of(model))
    set_state(model, before)
    for other in learnt[1:]:
        same(other, learnt[0], rtol=0)


def test_masked_arrays_are_refused():
    with pytest.raises(TypeError, match=r"Received: a masked array.*sample_weight=~np.ma.getmaskarray\(y\)"):
        tfmdn.fit(plain(), X, np.ma.masked_array(Y, WEIGHTS == 0), verbose=0)
