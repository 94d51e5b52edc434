"""The scores against SciPy, quadrature, scoringrules and simulation."""

import inspect
import itertools

import keras
import numpy as np
import pytest
import scipy.stats
import scoringrules
import tensorflow as tf
import tensorflow_probability as tfp
import test_house
from cases import DISTRIBUTIONS, SCALAR_COMPONENTS, SciPyMixture, case_name, mixture_of

import tfmdn
from tfmdn import losses, scores
from tfmdn.distributions import ranked_probability, tensors

tfd = tfp.distributions
VECTORS = [case for case in DISTRIBUTIONS if case[2]]
every_kind = pytest.mark.parametrize("case", DISTRIBUTIONS, ids=case_name)
every_vector = pytest.mark.parametrize("case", VECTORS, ids=case_name)
every_family = pytest.mark.parametrize("case", SCALAR_COMPONENTS, ids=case_name)
SCORES = {
    "nll": scores.negative_log_likelihood,
    "crps": scores.crps,
    "energy": lambda y, mixture: scores.energy_score(y, mixture, num_samples=10, seed=0),
    "pinball": scores.pinball_loss,
    "pit": scores.probability_integral_transform,
}
GRADED = np.concatenate([[0.0], 0.5 ** np.arange(24, 0, -1), 1 - 0.5 ** np.arange(2, 25), [1.0]])
every_score = pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)


def normal_mixture(logits, loc, scale, dtype="float64"):
    logits, loc, scale = (tf.constant(value, dtype) for value in (logits, loc, scale))
    return tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, scale))


def integral(function, edges):
    """The integral of a function that is smooth between the edges, with panels that grow away from each of them."""
    edges = np.unique(edges)
    between = [a + (b - a) * GRADED for a, b in itertools.pairwise(edges)]
    edges = np.unique(np.concatenate(between))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(edges)[:, np.newaxis]
    x = edges[:-1, np.newaxis] + half * (nodes + 1.0)
    return np.sum(half * weights * function(x.ravel()).reshape(x.shape))


# CRPS


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("num_components", [1, 2, 7, 20])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_crps_of_normal_mixtures_is_that_of_scoringrules(dtype, tolerance, num_components, offset):
    rng = np.random.default_rng(0)
    logits, loc = rng.normal(size=(2, 50, num_components)) * [[[2.0]], [[3.0]]]
    # Locations and targets that float32 holds exactly, so that both see the same numbers.
    loc = np.round(loc * 1024) / 1024 + offset
    scale = np.exp(rng.normal(size=(50, num_components)) - 1.0)
    y = np.round(rng.normal(size=50) * 5 * 1024) / 1024 + offset
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = scoringrules.crps_mixnorm(y, loc, scale, weights)
    np.testing.assert_allclose(scores.crps(y, normal_mixture(logits, loc, scale, dtype)), expected, rtol=tolerance)


@every_family
def test_crps_is_the_integral_that_defines_it(case):
    mixture = mixture_of(case, num_components=3, dtype="float64")
    truth = SciPyMixture(case, mixture)
    y = np.asarray(mixture.sample(seed=1))
    for row, score in enumerate(scores.crps(y, mixture).numpy()):
        low, high, bends = truth.span(row)

        def integrand(x, row=row):
            return (truth.cdf(row, x) - (x > y[row])) ** 2

        assert score == pytest.approx(integral(integrand, [low, *bends, y[row], high]), rel=1e-6)


SINGLE = {
    "normal": (lambda: tfd.Normal(0.3, 0.7), lambda y: scoringrules.crps_normal(y, 0.3, 0.7)),
    "laplace": (lambda: tfd.Laplace(0.3, 0.7), lambda y: scoringrules.crps_laplace(y, 0.3, 0.7)),
    "logistic": (lambda: tfd.Logistic(0.3, 0.7), lambda y: scoringrules.crps_logistic(y, 0.3, 0.7)),
    "student_t": (lambda: tfd.StudentT(3.0, 0.3, 0.7), lambda y: scoringrules.crps_t(y, 3.0, 0.3, 0.7)),
    "lognormal": (lambda: tfd.LogNormal(0.3, 0.7), lambda y: scoringrules.crps_lognormal(y, 0.3, 0.7)),
}


@pytest.mark.parametrize("family", [case[0] for case in SCALAR_COMPONENTS])
def test_crps_of_one_component_is_that_of_scoringrules(family):
    build, expected = SINGLE[family]
    y = np.array([0.01, 0.3, 1.0, 4.0, 50.0])
    component = build()
    values = {name: tf.fill([5, 1], value) for name, value in tensors.parameters(component).items()}
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((5, 1))), type(component)(**values))
    np.testing.assert_allclose(scores.crps(y, mixture), expected(y), rtol=1e-5)


@every_vector
def test_crps_of_vectors_is_the_mean_over_coordinates(case):
    mixture = mixture_of(case, (5, 2), num_components=2)
    y = mixture.sample(seed=1)
    marginals = tensors.marginals(mixture.components_distribution)
    values = tensors.parameters(marginals)
    by_coordinate = [
        scores.crps(
            y[..., d],
            tfmdn.Mixture(mixture.mixture_distribution, type(marginals)(**{k: v[..., d] for k, v in values.items()})),
        )
        for d in range(mixture.event_shape[0])
    ]
    np.testing.assert_allclose(scores.crps(y, mixture), np.mean(by_coordinate, 0), rtol=1e-5)


SCALES = [1.0, 0.999, 0.5, 0.1, 0.01]
PAIRS = {
    "normal": (tfd.Normal, scipy.stats.norm, 1e-9, [((0.0, 1.0), (d, s)) for d in (0, 0.1, 5, 50) for s in SCALES]),
    "laplace": (tfd.Laplace, scipy.stats.laplace, 1e-9, [((0.0, 1.0), (d, s)) for d in (0, 1, 5, 50) for s in SCALES]),
    "logistic": (tfd.Logistic, scipy.stats.logistic, 1e-6, [((0.0, 1.0), (d, s)) for d in (0, 1, 50) for s in SCALES]),
    "student_t": (
        tfd.StudentT,
        scipy.stats.t,
        1e-6,
        [
            ((first, 0.0, 1.0), (second, d, s))
            for first, second in [(2.1, 2.1), (5.0, 5.0), (2.1, 30.0), (1000.0, 5.0)]
            for d in (0.0, 10.0, 100.0)
            for s in (1.0, 0.1)
        ],
    ),
    "lognormal": (
        tfd.LogNormal,
        lambda loc, scale: scipy.stats.lognorm(scale, scale=np.exp(loc)),
        1e-9,
        [((0.0, 1.0), (d, s)) for d in (0, 0.1, 3) for s in SCALES],
    ),
}


@pytest.mark.parametrize("family", [case[0] for case in SCALAR_COMPONENTS])
def test_half_of_the_difference_is_an_integral(family):
    """E|X - X'| / 2 of mixtures of two is the integral of F (1 - F)."""
    kind, scipy_kind, tolerance, pairs = PAIRS[family]
    mixtures = kind(*np.moveaxis(np.float64(pairs), -1, 0))
    received = ranked_probability.half_difference(mixtures, tf.fill([len(pairs), 2], np.float64(0.5)), -1)
    for value, pair in zip(received.numpy(), pairs):
        a, b = (scipy_kind(*parameters) for parameters in pair)
        edges = [x for law in (a, b) for x in law.ppf([1e-15, 1e-7, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-7, 1 - 1e-15])]

        def integrand(x, a=a, b=b):
            return 0.25 * (a.cdf(x) + b.cdf(x)) * (a.sf(x) + b.sf(x))

        assert value == pytest.approx(integral(integrand, edges), rel=tolerance), pair


def gradients(score, y, mixture):
    """The gradients of the sum of scores with respect to y, the logits and the parameters of the components."""
    values = tensors.parameters(mixture.components_distribution)
    sources = {"y": tf.convert_to_tensor(y), "logits": tf.identity(mixture.mixture_distribution.logits), **values}
    with tf.GradientTape() as tape:
        tape.watch(sources)
        components = tensors.with_parameters(mixture.components_distribution, {k: sources[k] for k in values})
        total = tf.reduce_sum(score(sources["y"], tfmdn.Mixture(tfd.Categorical(sources["logits"]), components)))
    return tape.gradient(total, sources)


@pytest.mark.covering(1)
@every_family
@pytest.mark.parametrize("score", [scores.crps, scores.pinball_loss])
def test_gradients_are_those_of_small_differences(case, score):
    mixture = mixture_of(case, (2,), num_components=2, dtype="float64")
    y = np.asarray(mixture.sample(seed=1))
    values = {"logits": mixture.mixture_distribution.logits}
    values.update(tensors.parameters(mixture.components_distribution))
    # One after another, a row of each is moved: all are asked at once.
    steps = [(name, step * np.array([1.0, 0.0])) for name in values for step in (1e-5, -1e-5)]
    moved = {
        own: tf.concat([value + (step if own == name else 0.0) for name, step in steps], 0)
        for own, value in values.items()
    }
    logits = moved.pop("logits")
    components = tensors.with_parameters(mixture.components_distribution, moved)
    totals = score(np.tile(y, len(steps)), tfmdn.Mixture(tfd.Categorical(logits=logits), components))
    totals = dict(zip(values, np.reshape(totals, (len(values), 2, len(y)))))
    for name, gradient in gradients(score, y, mixture).items():
        if name != "y":
            expected = (totals[name][0] - totals[name][1]) / 2e-5
            np.testing.assert_allclose(gradient[:, 0], expected, rtol=1e-3, atol=1e-7, err_msg=name)


@pytest.mark.by_default("normal-diag-scalar", "laplace-diag-scalar", "logistic-diag-scalar", "lognormal-diag-scalar")
@every_family
def test_gradients_are_finite_however_far_away_the_target_is(case):
    y = np.array([-1e30, -1e6, 0.0, 1e-30, 1.0, 1e6, 1e15, 1e30], "float32")
    mixture = mixture_of(case, y.shape)
    for name, gradient in gradients(scores.crps, y, mixture).items():
        assert np.isfinite(gradient).all(), name
    far = np.abs(y) >= 1e6
    np.testing.assert_allclose(scores.crps(y, mixture)[far], np.abs(y[far]), rtol=1e-2)


def test_gradients_are_finite_at_a_centre_and_for_twins():
    for dtype in ("float32", "float64"):
        mixture = normal_mixture(np.zeros((5, 2)), np.zeros((5, 2)), np.full((5, 2), 1e-3), dtype)
        for value in gradients(scores.crps, np.zeros(5, dtype), mixture).values():
            assert np.isfinite(value).all()
        np.testing.assert_array_equal(gradients(scores.crps, np.zeros(5, dtype), mixture)["y"], 0.0)


@pytest.mark.parametrize("case", [("normal", "diag", ()), ("student_t", "diag", ())])
def test_crps_in_a_graph_of_unknown_batch_size_and_under_xla(case):
    features = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    layer = tfmdn.MDNLayer(3, family=case[0])
    y = np.linspace(-1, 1, 5, dtype="float32")
    expected = scores.crps(y, layer(features))
    signature = [tf.TensorSpec([None]), tf.TensorSpec([None, 3])]
    score = tf.function(lambda y, x: scores.crps(y, layer(x)), input_signature=signature)
    np.testing.assert_allclose(score(y, features), expected, rtol=1e-5)
    if case[0] == "normal":
        compiled = tf.function(lambda y, x: scores.crps(y, layer(x)), jit_compile=True)
        np.testing.assert_allclose(compiled(y, features), expected, rtol=1e-5)


def test_an_unknown_family_is_named():
    mixture = tfd.MixtureSameFamily(tfd.Categorical(logits=[[0.0, 0.0]]), tfd.Gamma([[1.0, 2.0]], [[1.0, 1.0]]))
    with pytest.raises(NotImplementedError, match="Received: Gamma"):
        scores.crps([1.0], mixture)


# Energy score


@every_family
def test_energy_score_of_scalars_estimates_the_crps(case):
    mixture = mixture_of(case, num_components=3)
    y = mixture.sample(seed=1)
    estimate = scores.energy_score(y, mixture, num_samples=40_000, seed=2)
    np.testing.assert_allclose(estimate, scores.crps(y, mixture), rtol=0.05)


def test_a_few_draws_are_unbiased():
    mixture = normal_mixture([[0.0, 1.0]], [[-1.0, 2.0]], [[0.5, 1.0]], "float32")
    many = tfmdn.Mixture(
        tfd.Categorical(logits=tf.repeat(mixture.mixture_distribution.logits, 20_000, 0)),
        tfd.Normal(
            *(
                tf.repeat(tensors.parameters(mixture.components_distribution)[name], 20_000, 0)
                for name in ("loc", "scale")
            )
        ),
    )
    estimates = scores.energy_score(np.full(20_000, 0.7), many, num_samples=1, seed=0).numpy()
    expected = float(scores.crps([0.7], mixture)[0])
    assert abs(estimates.mean() - expected) < 4 * estimates.std() / np.sqrt(20_000)


@every_vector
def test_energy_score_of_vectors_is_that_of_simulation(case):
    mixture = mixture_of(case, (2,), max_scale=1.0)  # no tails that a simulation would miss
    y = np.asarray(mixture.sample(seed=1))
    first, second = np.asarray(mixture.sample((2, 100_000), seed=3))
    expected = np.linalg.norm(first - y, axis=-1).mean(0) - 0.5 * np.linalg.norm(first - second, axis=-1).mean(0)
    np.testing.assert_allclose(scores.energy_score(y, mixture, 20_000, seed=4), expected, rtol=0.05)


def test_gradients_of_the_energy_score_reach_every_parameter():
    mixture = normal_mixture(np.zeros((2, 2)), [[-1.0, 2.0], [0.0, 1.0]], [[0.5, 1.0], [2.0, 0.1]])
    y = np.array([0.3, -1.0])
    expected = gradients(scores.crps, y, mixture)
    estimate = gradients(lambda y, d: scores.energy_score(y, d, num_samples=200_000, seed=0), y, mixture)
    for name in expected:
        np.testing.assert_allclose(estimate[name], expected[name], atol=0.01, err_msg=name)


def test_gradients_of_the_energy_score_at_the_draws_and_far_away():
    mixture = tfmdn.Mixture(
        tfd.Categorical(logits=np.zeros((2, 2), "float32")),
        tfd.MultivariateNormalDiag(tf.zeros((2, 2, 3)), tf.fill((2, 2, 3), 1e-30)),
    )
    for y in (0.0, 1e30):
        value = np.full((2, 3), y, "float32")
        for gradient in gradients(scores.energy_score, value, mixture).values():
            assert np.isfinite(gradient).all()
    # The sum over the draws is beyond the largest float32.
    np.testing.assert_allclose(scores.energy_score(np.full((2, 3), 1e37), mixture, 100), 3**0.5 * 1e37, rtol=1e-5)


def test_the_same_seed_gives_the_same_draws():
    mixture = mixture_of(("normal", "full", (3,)))
    y = mixture.sample(seed=1)
    first, second, other = (scores.energy_score(y, mixture, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


# Pinball loss and probability integral transform


@every_family
def test_pinball_loss_is_that_of_the_quantiles(case):
    mixture = mixture_of(case)
    y = np.asarray(mixture.sample(seed=1))
    levels = [0.05, 0.5, 0.8]
    expected = scoringrules.quantile_score(y[:, None], np.asarray(mixture.quantile(levels)).T, np.array(levels)).mean(1)
    np.testing.assert_allclose(scores.pinball_loss(y, mixture, levels), expected, rtol=1e-4)
    np.testing.assert_allclose(scores.pinball_loss(y, mixture, 0.5), 0.5 * np.abs(y - mixture.quantile(0.5)), rtol=1e-4)


def test_the_mean_pinball_loss_is_half_the_crps():
    mixture = mixture_of(("normal", "diag", (3,)))
    y = mixture.sample(seed=1)
    levels = (np.arange(2000) + 0.5) / 2000
    np.testing.assert_allclose(2 * scores.pinball_loss(y, mixture, levels), scores.crps(y, mixture), rtol=1e-3)


@pytest.mark.parametrize("levels", [0.0, 1.0, [0.5, 1.5], [], np.nan])
def test_levels_that_are_no_probabilities_are_refused(levels):
    for build in (lambda: scores.pinball_loss([0.0], None, levels), lambda: losses.PinballLoss(levels)):
        with pytest.raises(ValueError, match="`levels` must"):
            build()


@every_family
def test_probability_integral_transform_is_the_cumulative_probability(case):
    mixture = mixture_of(case)
    y = np.asarray(mixture.sample(seed=1))
    truth = SciPyMixture(case, mixture)
    expected = [truth.cdf(row, value) for row, value in enumerate(y)]
    np.testing.assert_allclose(scores.probability_integral_transform(y, mixture), expected, rtol=1e-4)


# All of them


@pytest.mark.covering(1)
@every_kind
def test_shapes(case):
    mixture = mixture_of(case, (4, 2), num_components=2)
    y = np.asarray(mixture.sample(seed=1))
    for name, score in SCORES.items():
        values = score(y, mixture)
        assert values.shape == (mixture.shape if name == "pit" else mixture.batch_shape), name
        assert np.isfinite(values).all(), name


@every_score
@pytest.mark.parametrize(("event_shape", "target_shape"), [((), (5, 1)), ((1,), (5,))])
def test_targets_are_reconciled(score, event_shape, target_shape):
    mixture = mixture_of(("normal", "diag", event_shape))
    y = np.arange(5.0)
    expected = score(y.reshape(5, *event_shape), mixture)
    np.testing.assert_allclose(score(y.reshape(target_shape), mixture), expected, rtol=1e-6)


@every_score
def test_nan_rows_and_their_gradients(score):
    mixture = mixture_of(("normal", "diag", (3,)))
    y = np.asarray(mixture.sample(seed=1)).copy()
    y[2, 1] = np.nan
    values = np.asarray(score(y, mixture)).reshape(5, -1)
    np.testing.assert_array_equal(np.isnan(values).any(1), [False, False, True, False, False])
    if score is not SCORES["pit"]:
        found = gradients(lambda y, d: score(y, d)[:2], y, mixture)
        assert all(np.isfinite(found[name]).all() for name in found if name != "y")


@every_score
def test_a_nan_in_the_mixture_is_a_nan_for_that_row(score):
    features = np.zeros((3, 4), "float32")
    features[1] = np.nan
    mixture = tfmdn.MDNLayer(2)(features)
    np.testing.assert_array_equal(np.isnan(score(np.zeros(3), mixture)), [False, True, False])


def test_models_with_scores_as_loss_and_metrics_load(tmp_path):
    """Each public function of targets and a mixture is the loss, and a metric, of a model that Keras saves."""
    functions = [
        function
        for name, function in test_house.PUBLIC.items()
        if inspect.isfunction(function) and [*inspect.signature(function).parameters][:2] == ["y_true", "mixture"]
    ]
    assert {scores.crps, scores.probability_integral_transform} < set(functions)
    for loss in set(functions):
        assert keras.losses.get(keras.losses.serialize(loss)) is loss
        assert keras.metrics.get(keras.metrics.serialize(loss)) is loss
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(2)])
    model.compile("sgd", tfmdn.crps, metrics=[tfmdn.crps])
    x, y = np.ones((3, 2)), np.arange(3.0)
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == expected
    assert expected["loss"] == expected["crps"]


@every_score
def test_what_is_no_distribution_and_what_does_not_fit(score):
    with pytest.raises(TypeError, match="Expected the distribution that an MDNLayer outputs"):
        score(np.zeros(5), np.zeros(5))
    with pytest.raises(ValueError, match="The targets do not fit the mixture"):
        score(np.zeros((5, 2)), mixture_of(("normal", "diag", ())))


def test_scores_of_components_need_a_mixture():
    for score in (scores.crps, scores.energy_score):
        with pytest.raises(TypeError, match="Received: Normal"):
            score([0.0], tfd.Normal([0.0], [1.0]))


@pytest.mark.parametrize("name", [name for name in SCORES if name != "pit"])
def test_the_truth_scores_best(name):
    y = np.random.default_rng(0).normal(size=2000)

    def mean_score(loc, scale):
        return float(
            tf.reduce_mean(
                SCORES[name](y, normal_mixture(np.zeros((2000, 1)), *np.full((2, 2000, 1), [[[loc]], [[scale]]])))
            )
        )

    others = [mean_score(loc, scale) for loc, scale in [(0.3, 1.0), (0.0, 1.4), (0.0, 0.7), (-0.3, 1.0)]]
    assert mean_score(0.0, 1.0) < min(others)
