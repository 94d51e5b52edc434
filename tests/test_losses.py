"""The likelihood as a function, and the scores as Keras losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import DISTRIBUTIONS, SCALAR_COMPONENTS, case_name, mixture_of

import tfmdn
from tfmdn import losses

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
every_kind = pytest.mark.parametrize("case", DISTRIBUTIONS, ids=case_name)


@every_kind
def test_is_minus_log_prob(case):
    mixture = mixture_of(case, (5, 3))
    y = mixture.sample(seed=1)
    np.testing.assert_allclose(tfmdn.negative_log_likelihood(y, mixture), -mixture.log_prob(y), rtol=1e-6)
    loss = tfmdn.NegativeLogLikelihood()(y, mixture)
    assert float(loss) == pytest.approx(-float(tf.reduce_mean(mixture.log_prob(y))), rel=1e-5)


RECONCILED = [((), (5,)), ((), (5, 1)), ((1,), (5,)), ((1,), (5, 1)), ((3,), (5, 3))]


@pytest.mark.parametrize(("event_shape", "target_shape"), RECONCILED)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_targets_are_reconciled_by_rank_and_cast(event_shape, target_shape, dtype):
    mixture = mixture_of(("normal", "diag", event_shape))
    y = np.arange(np.prod(target_shape)).reshape(target_shape).astype(dtype)
    scores = tfmdn.negative_log_likelihood(y, mixture)
    expected = -mixture.log_prob(y.reshape(5, *event_shape).astype("float32"))
    assert scores.shape == (5,)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert float(tfmdn.NegativeLogLikelihood()(y, mixture)) == pytest.approx(float(np.mean(expected)), rel=1e-6)


def test_unknown_last_axis_in_a_graph():
    mixture = mixture_of(("normal", "diag", ()))
    score = tf.function(
        lambda y: tfmdn.negative_log_likelihood(y, mixture), input_signature=[tf.TensorSpec([None, None])]
    )
    assert score(tf.zeros((5, 1))).shape == (5,)


@pytest.mark.parametrize("event_shape", [(), (1,)])
def test_targets_of_changing_rank_in_one_graph(event_shape):
    mixture = mixture_of(("normal", "diag", event_shape))
    y = np.arange(5.0, dtype="float32")
    score = tf.function(lambda y: tfmdn.negative_log_likelihood(y, mixture), input_signature=[tf.TensorSpec(None)])
    for target in (y, y[:, None]):
        np.testing.assert_allclose(score(target), tfmdn.negative_log_likelihood(y, mixture), rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError):
        score(np.zeros((5, 2), "float32"))


REFUSED = [
    ((), (5, 2), "y_true of shape (5,)", "(5, 2)"),
    ((), (4,), "y_true of shape (5,)", "(4,)"),
    ((), (5, 1, 1), "y_true of shape (5,)", "(5, 1, 1)"),
    ((), (), "y_true of shape (5,)", "()"),
    ((3,), (5, 2), "y_true of shape (5, 3)", "(5, 2)"),
    ((3,), (5,), "y_true of shape (5, 3)", "(5,)"),
    ((3,), (5, 3, 1), "y_true of shape (5, 3)", "(5, 3, 1)"),
    ((1,), (5, 3), "y_true of shape (5, 1)", "(5, 3)"),
]


@pytest.mark.parametrize(("event_shape", "target_shape", "expected", "received"), REFUSED)
def test_other_shapes_are_refused_with_both(event_shape, target_shape, expected, received):
    mixture = mixture_of(("normal", "diag", event_shape))
    for score in (tfmdn.negative_log_likelihood, tfmdn.NegativeLogLikelihood()):
        with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
            score(np.zeros(target_shape, "float32"), mixture)
        assert f"Expected: {expected}" in str(error.value)
        assert f"Received: y_true of shape {received}" in str(error.value)


@pytest.mark.parametrize("tensor", [np.zeros((5, 1), "float32"), tf.zeros((5, 1)), [[1.0]]])
def test_a_plain_tensor_is_refused(tensor):
    for score in (tfmdn.negative_log_likelihood, tfmdn.NegativeLogLikelihood()):
        with pytest.raises(TypeError, match="Expected the distribution that an MDNLayer outputs"):
            score(np.zeros(5), tensor)


def test_a_model_without_an_mdn_layer_is_refused_in_fit():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", loss=tfmdn.NegativeLogLikelihood())
    with pytest.raises(TypeError, match="Is it the last layer"):
        model.fit(np.zeros((4, 2)), np.zeros(4), verbose=0)


def test_a_model_that_returns_its_inputs_is_refused():
    model = keras.Sequential([keras.Input(()), keras.layers.Identity()])
    model.compile("adam", loss=tfmdn.NegativeLogLikelihood(), metrics=[tfmdn.metrics.CRPS()])
    with pytest.raises(TypeError, match="Is it the last layer"):
        model.evaluate(np.zeros(4), np.zeros(4), verbose=0)


@pytest.mark.parametrize("target", [np.inf, -np.inf])
@pytest.mark.parametrize("case", SCALAR_COMPONENTS, ids=case_name)
def test_infinite_targets_are_refused(case, target):
    y = np.array([1.0, 1.0, target, 1.0, 1.0], "float32")
    loss, mixture = tfmdn.NegativeLogLikelihood(), mixture_of(case)
    with pytest.raises(ValueError, match="The score of a target is infinite: the target is so itself"):
        loss(y, mixture)
    assert np.isfinite(loss(y, mixture, sample_weight=np.isfinite(y)))


def test_an_empty_batch_is_refused():
    mixture = tfmdn.MDNLayer(2)(np.zeros((0, 3)))
    for score in (tfmdn.negative_log_likelihood, tfmdn.NegativeLogLikelihood()):
        with pytest.raises(ValueError, match=r"Expected at least one row. Received: an empty batch"):
            score(np.zeros(0), mixture)


def test_other_distributions_are_scored_too():
    y = np.array([0.5, 1.0], "float32")
    distribution = tfd.Gamma([2.0, 3.0], [1.0, 1.0])
    np.testing.assert_allclose(tfmdn.negative_log_likelihood(y, distribution), -distribution.log_prob(y))


# As a Keras loss


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_reduction_is_that_of_keras(reduction, weighted):
    mixture = mixture_of(("normal", "diag", (3,)), (5, 4))
    y = mixture.sample(seed=1)
    weight = np.random.default_rng(0).uniform(size=(5, 4)).astype("float32") if weighted else None
    scores = np.asarray(-mixture.log_prob(y))
    keras_loss = keras.losses.MeanAbsoluteError
    # The same reduction of the same numbers by a loss of Keras' own: |s - 0| of one column is |s|.
    shifted = scores + 100.0
    expected = keras_loss(reduction=reduction)(np.zeros((5, 4, 1)), shifted[..., None], sample_weight=weight)
    constant = keras_loss(reduction=reduction)(np.zeros((5, 4, 1)), np.full((5, 4, 1), 100.0), sample_weight=weight)
    ours = tfmdn.NegativeLogLikelihood(reduction=reduction)(y, mixture, sample_weight=weight)
    np.testing.assert_allclose(ours, expected - constant, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 4), (5, 4, 1)])
def test_weights_of_rows_and_of_steps(shape):
    mixture = mixture_of(("normal", "diag", ()), (5, 4))
    y = mixture.sample(seed=1)
    weight = np.random.default_rng(0).uniform(size=shape).astype("float32")
    full = np.broadcast_to(weight.reshape(5, -1), (5, 4))
    expected = np.mean(full * tfmdn.negative_log_likelihood(y, mixture))
    assert float(tfmdn.NegativeLogLikelihood()(y, mixture, sample_weight=weight)) == pytest.approx(expected, rel=1e-5)


def test_rows_that_do_not_count_may_hold_anything():
    mixture = mixture_of(("normal", "diag", (3,)))
    y = np.asarray(mixture.sample(seed=1)).copy()
    weight = np.array([1.0, 0.0, 2.0, 1.0, 0.0], "float32")
    loss = tfmdn.NegativeLogLikelihood()
    expected = loss(y, mixture, sample_weight=weight)
    for junk in (np.nan, np.inf, 1e30):
        y[[1, 4]] = junk
        assert float(loss(y, mixture, sample_weight=weight)) == float(expected)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
def test_weights_that_are_none(reduction):
    mixture = mixture_of(("normal", "diag", ()))
    y, loss = mixture.sample(seed=1), tfmdn.NegativeLogLikelihood(reduction=reduction)
    graph = tf.function(lambda weight: loss(y, mixture, weight), autograph=False)
    compiled = tf.function(lambda weight: loss(y, mixture, weight), autograph=False, jit_compile=True)
    for bad in (-1.0, np.nan, np.inf):
        weight = np.array([1.0, 0.0, bad, 1.0, 0.0], "float32")
        message = r"`sample_weight` must be finite numbers, 0 or more"
        with pytest.raises(ValueError, match=rf"{message}.*from 0: 2"):
            loss(y, mixture, weight)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            graph(weight)
        assert np.isnan(compiled(weight))


def test_only_the_ratios_of_weights_matter_in_their_mean():
    mixture = mixture_of(("normal", "diag", ()))
    y, loss = mixture.sample(seed=1), tfmdn.NegativeLogLikelihood(reduction="mean_with_sample_weight")
    weight = np.array([1.0, 0.0, 2.0, 1.0, 3.0])
    expected = float(loss(y, mixture, weight))
    for scale in (1e-300, 1e300):
        assert float(loss(y, mixture, scale * weight)) == pytest.approx(expected, rel=1e-6)
    for scale in (1e-37, 1e38):
        assert float(loss(y, mixture, (scale * weight).astype("float32"))) == pytest.approx(expected, rel=1e-6)


def test_nan_in_the_target():
    mixture = mixture_of(("normal", "diag", ()))
    y = np.zeros(5, "float32")
    y[2] = np.nan
    np.testing.assert_array_equal(
        np.isnan(tfmdn.negative_log_likelihood(y, mixture)), [False, False, True, False, False]
    )
    with pytest.raises(
        ValueError, match=r"`y_true` contains NaN. Remove those rows, or give them a sample_weight of 0"
    ):
        tfmdn.NegativeLogLikelihood()(y, mixture)
    graph_loss = tf.function(lambda y: tfmdn.NegativeLogLikelihood()(y, mixture))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`y_true` contains NaN"):
        graph_loss(y)


def test_nan_in_the_whole_mixture():
    mixture = tfmdn.MDNLayer(2)(np.full((3, 4), np.nan, "float32"))
    with pytest.raises(ValueError, match="the inputs of the model are NaN, or its weights are"):
        tfmdn.NegativeLogLikelihood()(np.zeros(3), mixture)


def test_a_nan_target_leaves_the_weights_alone_where_nothing_can_raise():
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3)])
    model.compile(keras.optimizers.SGD(0.1), loss=tfmdn.NegativeLogLikelihood(), jit_compile=True)
    y = np.array([0.0, np.nan, 1.0, 2.0], "float32")
    before = [np.array(weight) for weight in model.get_weights()]
    history = model.fit(np.ones((4, 2)), y, verbose=0).history
    assert np.isnan(history["loss"][0])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_serialization():
    loss = tfmdn.NegativeLogLikelihood(reduction="sum", name="nll")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, tfmdn.NegativeLogLikelihood)
    options = {"intervals": False, "missing": "error"}
    assert again.get_config() == loss.get_config() == {"name": "nll", "reduction": "sum", **options}


def test_second_derivatives_are_those_of_tfp():
    y = tf.constant([0.3, -1.0], tf.float64)
    parameters = [
        tf.constant([0.1, -0.4], tf.float64),
        tf.constant([0.2, 1.0], tf.float64),
        tf.constant([0.5, 0.8], tf.float64),
    ]

    def hessian(kind):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([y, *parameters])
            with tf.GradientTape() as inner:
                inner.watch([y, *parameters])
                logits, loc, scale = parameters
                value = tf.reduce_sum(kind(tfd.Categorical(logits=logits), tfd.Normal(loc, scale)).log_prob(y))
            gradients = tf.concat(inner.gradient(value, [y, *parameters]), 0)
        return outer.jacobian(gradients, [y, *parameters], experimental_use_pfor=False)  # which would trace a loop

    for ours, tfps in zip(hessian(tfmdn.Mixture), hessian(tfd.MixtureSameFamily)):
        np.testing.assert_allclose(ours, tfps, rtol=1e-10, atol=1e-12)


# All of them


LOSSES = {
    "NegativeLogLikelihood": ({}, {"reduction": "sum"}),
    "CRPS": ({}, {"reduction": "sum"}),
    "EnergyScore": ({"seed": 0}, {"num_samples": 20, "seed": 3}),
    "PinballLoss": ({}, {"levels": [0.1, 0.9]}),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def test_every_loss_is_in_the_table():
    classes = [
        value for value in vars(losses).values() if isinstance(value, type) and value.__module__ == "tfmdn.losses"
    ]
    assert {kind.__name__ for kind in classes if issubclass(kind, keras.losses.Loss)} == {*LOSSES, "ScoreLoss"}


@every_loss
def test_losses_round_trip(name):
    loss = getattr(losses, name)(**LOSSES[name][1], name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert LOSSES[name][1].items() <= again.get_config().items()


@every_loss
@pytest.mark.parametrize("event_shape", [(), (2,)])
def test_losses_are_mean_scores_of_what_counts(name, event_shape):
    mixture = mixture_of(("normal", "diag", event_shape))
    y = np.asarray(mixture.sample(seed=1)).copy()
    loss = getattr(losses, name)(**LOSSES[name][0])
    scores = loss.scores(tf.constant(y), mixture)
    assert float(loss(y, mixture)) == pytest.approx(float(np.mean(scores)), rel=1e-5)
    weight = np.array([1.0, 0.0, 2.0, 1.0, 0.5], "float32")
    expected = float(np.mean(weight * scores))
    assert float(loss(y, mixture, sample_weight=weight)) == pytest.approx(expected, rel=1e-5)
    y[1] = np.nan
    assert float(loss(y, mixture, sample_weight=weight)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="`y_true` contains NaN"):
        loss(y, mixture)


@pytest.mark.by_default("CRPS", "EnergyScore")
@every_loss
def test_training_on_each_loss_lowers_it(name):
    x, y = tfmdn.datasets.inverse_sinusoid().sample(128, seed=0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "tanh"), tfmdn.MDNLayer(3)])
    model.compile(keras.optimizers.Adam(0.02), loss=getattr(losses, name)(**LOSSES[name][0]), jit_compile=False)
    history = model.fit(x, y[:, None], epochs=8, batch_size=32, verbose=0).history["loss"]
    assert history[-1] < 0.97 * history[0]
