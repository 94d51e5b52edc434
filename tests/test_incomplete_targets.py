"""Scores, losses and metrics of targets that are intervals, or of which coordinates are missing."""

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import SciPyMixture, mixture_of, two_replicas

import tfmdn
from tfmdn import keras_internals, losses, metrics, scores

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
NAN, INF = np.nan, np.inf
NLL = tfmdn.NegativeLogLikelihood
PAIRS = [[0.3, 0.3], [-1.0, 0.5], [-INF, 0.2], [0.7, INF], [NAN, NAN], [-INF, INF]]
BOTH = {"intervals": True, "missing": "ignore"}


def normals(loc, scale=1.0, dtype="float64"):
    """One normal component in each row."""
    loc = np.asarray(loc, dtype)[..., np.newaxis]
    return tfmdn.Mixture(tfd.Categorical(logits=np.zeros_like(loc)), tfd.Normal(loc, np.full_like(loc, scale)))


def expected_of_pairs(loc, scale=1.0):
    law = scipy.stats.norm(loc, scale)
    return -np.array([law.logpdf(0.3), np.log(law.cdf(0.5) - law.cdf(-1.0)), law.logcdf(0.2), law.logsf(0.7), 0.0, 0.0])


# The likelihood, and its loss


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_likelihood_of_pairs_and_its_mean(dtype):
    expected = expected_of_pairs(0.1, 2.0)
    weight = np.array([1.0, 2.0, 0.0, 0.5, 1.0, 1.0])
    mixture = normals(np.full(6, 0.1), 2.0, dtype)
    for y in (np.array(PAIRS, dtype), np.array(PAIRS)[:, np.newaxis, :], PAIRS):
        found = tfmdn.negative_log_likelihood(y, mixture, **BOTH)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
        # Of the rows of which nothing is known no mean takes note.
        assert float(NLL(**BOTH)(y, mixture)) == pytest.approx(expected[:4].mean(), rel=1e-5)
        assert float(metrics.NegativeLogLikelihood(**BOTH)(y, mixture)) == pytest.approx(expected[:4].mean(), rel=1e-5)
        weighted = weight[:4] @ expected[:4]
        assert float(NLL(**BOTH)(y, mixture, sample_weight=weight)) == pytest.approx(weighted / 4, rel=1e-5)
        metric = metrics.NegativeLogLikelihood(**BOTH)
        assert float(metric(y, mixture, sample_weight=weight)) == pytest.approx(weighted / weight[:4].sum(), rel=1e-5)
    # Where there is a value, the score is the plain one, to the last bit.
    y = np.linspace(-3.0, 3.0, 6).astype(dtype)
    plain = tfmdn.negative_log_likelihood(y, mixture)
    np.testing.assert_array_equal(tfmdn.negative_log_likelihood(np.stack([y, y], -1), mixture, intervals=True), plain)


def test_the_loss_in_graphs_and_its_gradient():
    def value_and_gradient(y, loc):
        with tf.GradientTape() as tape:
            tape.watch(loc)
            components = tfd.Normal(loc[:, tf.newaxis], tf.ones([6, 1], tf.float64))
            mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([6, 1], tf.float64)), components)
            value = NLL(reduction="sum", **BOTH)(y, mixture)
        return value, tape.gradient(value, loc)

    loc = tf.fill([6], tf.constant(0.1, tf.float64))
    expected = value_and_gradient(np.array(PAIRS), loc)
    graph, compiled = (tf.function(value_and_gradient, jit_compile=xla, autograph=False) for xla in (False, True))
    for function in (graph, compiled):
        np.testing.assert_allclose(function(np.array(PAIRS), loc)[1], expected[1], rtol=1e-9)
    step = 1e-5
    slopes = (expected_of_pairs(0.1 + step) - expected_of_pairs(0.1 - step)) / (2 * step)
    np.testing.assert_allclose(expected[1], slopes, rtol=1e-6, atol=1e-12)
    with pytest.raises(tf.errors.InvalidArgumentError, match="The lower end of an interval"):
        graph(np.array(PAIRS)[:, ::-1], loc)


def test_masks_and_weights_of_sequences():
    mixture = normals(np.full((2, 3), 0.1))
    y = np.array([PAIRS[:3], PAIRS[3:]])
    y[0, 2] = [2.0, 1.0]  # the end before the start, at a step that Keras has masked
    mask = np.array([[True, True, False], [True, True, True]])
    masked = keras_internals.masked(mixture, tf.constant(mask))
    expected, weight = expected_of_pairs(0.1), np.array([2.0, 1.0])
    assert float(NLL(**BOTH)(y, masked)) == pytest.approx(expected[[0, 1, 3]].mean(), rel=1e-5)
    weighted = weight[[0, 0, 1]] @ expected[[0, 1, 3]]
    assert float(NLL(**BOTH)(y, masked, sample_weight=weight)) == pytest.approx(weighted / 3, rel=1e-5)
    metric = metrics.NegativeLogLikelihood(**BOTH)
    assert float(metric(y, masked, sample_weight=weight)) == pytest.approx(weighted / 5, rel=1e-5)


REFUSED = [
    ({"intervals": True}, [[1.0, 0.0]], ValueError, r"lower end .* must not be above .* Received: low=1.0, high=0.0"),
    ({"intervals": True}, [[NAN, NAN]], ValueError, r"`y_true` contains NaN. .* say missing='ignore'"),
    (BOTH, [[0.0, NAN]], ValueError, r"`y_true` contains NaN. .* is -inf or inf"),
    ({"intervals": True}, [[INF, INF]], ValueError, "score of a target is infinite"),
    (
        {"intervals": True},
        [1.0],
        ValueError,
        r"Expected: y_true of shape \(1, 2\).*and pairs.*Received: .* shape \(1,\)",
    ),
    ({"intervals": True}, [[1.0, 2.0, 3.0]], ValueError, r"Received: y_true of shape \(1, 3\)"),
    ({}, [[1.0, 2.0]], ValueError, r"Expected: y_true of shape \(1,\).*Received: y_true of shape \(1, 2\)"),
]


@pytest.mark.parametrize(("options", "y", "error", "message"), REFUSED)
def test_refused(options, y, error, message):
    with pytest.raises(error, match=message):
        NLL(**options)(np.array(y), normals([0.0]))
    if options:  # a row that does not count may hold anything of that shape
        rows = np.array([[0.0, 0.0], *y]) if np.shape(y) == (1, 2) else None
        if rows is not None:
            expected = 0.5 * scipy.stats.norm.logpdf(0.0)
            loss = NLL(**options)(rows, normals([0.0, 0.0]), sample_weight=[1.0, 0.0])
            assert float(loss) in (pytest.approx(-expected), pytest.approx(-2 * expected))


def test_options_are_checked_and_kept():
    for build in (NLL, metrics.IntervalCoverage, metrics.CalibrationError, metrics.IntervalWidth):
        with pytest.raises(ValueError, match=r"`intervals` must be True or False. Received: intervals='yes'"):
            build(intervals="yes")
    kinds = [losses.CRPS, losses.EnergyScore, losses.PinballLoss, metrics.CRPS, metrics.EnergyScore, metrics.SkillScore]
    for build in (NLL, metrics.NegativeLogLikelihood, metrics.PinballLoss, *kinds):
        with pytest.raises(ValueError, match=r"`missing` must be one of 'error', 'ignore'. Received: missing=None"):
            build(missing=None)
        assert build.from_config(build(missing="ignore").get_config()).missing == "ignore"
    assert NLL.from_config(NLL(intervals=True).get_config()).intervals is True


# Other scores, of the coordinates that are known


def test_scores_of_missing_coordinates_are_those_of_the_others():
    mixture = mixture_of(("normal", "full", (3,)), (4,))
    y = np.array(mixture.sample(seed=1))
    for row, missing in enumerate([[], [0], [1, 2], [0, 1, 2]]):
        y[row, missing] = NAN
    for score, options in [(scores.crps, {}), (scores.pinball_loss, {"levels": [0.1, 0.6]})]:
        found = score(y, mixture, missing="ignore", **options).numpy()
        single = np.stack([score(np.nan_to_num(y[:, d]), mixture.marginal(d), **options) for d in range(3)], -1)
        single[np.isnan(y)] = NAN
        np.testing.assert_allclose(found[:3], np.nanmean(single[:3], -1), rtol=1e-5)
        assert found[3] == 0.0
        assert np.isnan(score(y, mixture, **options)[1:]).all()
    found = scores.energy_score(y, mixture, 50, seed=0, missing="ignore").numpy()
    assert found[0] == pytest.approx(float(scores.energy_score(y, mixture, 50, seed=0)[0]), rel=1e-6)
    assert found[3] == 0.0
    # A coordinate that never varies, and is known, adds to no distance.
    components = tfd.MultivariateNormalDiag(np.zeros((1, 1, 3), "float32"), np.array([1e-30, 0.5, 2.0], "float32"))
    vectors = tfmdn.Mixture(tfd.Categorical(logits=[[0.0]]), components)
    with_missing, without = [[NAN, 1.0, -1.0]], [[0.0, 1.0, -1.0]]
    expected = scores.energy_score(without, vectors, seed=0)
    np.testing.assert_allclose(
        scores.energy_score(with_missing, vectors, seed=0, missing="ignore"), expected, rtol=1e-5
    )


def test_crps_of_intervals_counts_what_lies_outside_of_them():
    case = ("normal", "diag", ())
    mixture = mixture_of(case, (6,), num_components=2, dtype="float64")
    truth = SciPyMixture(case, mixture)
    y = np.array(mixture.sample(seed=1))
    pairs = np.stack([y, y + 0.5], -1)
    pairs[0, 1], pairs[1, 1], pairs[2, 0], pairs[4], pairs[5] = y[0], INF, -INF, NAN, [-INF, INF]
    found = scores.crps(pairs, mixture, **BOTH).numpy()
    assert found[0] == scores.crps(y, mixture).numpy()[0]
    for row in range(1, 4):
        grid = np.linspace(*truth.span(row)[:2], 20_001)
        cdf = truth.cdf(row, grid)
        outside = np.where(grid < pairs[row, 0], cdf**2, np.where(grid > pairs[row, 1], (1.0 - cdf) ** 2, 0.0))
        assert found[row] == pytest.approx(scipy.integrate.trapezoid(outside, grid), rel=1e-3)
    np.testing.assert_array_equal(found[4:], 0.0)
    np.testing.assert_allclose(scores.crps(pairs, mixture, batch_size=4, **BOTH), found, rtol=1e-9)
    assert float(losses.CRPS(**BOTH)(pairs, mixture)) == pytest.approx(found[:4].mean(), rel=1e-5)
    assert float(metrics.CRPS(**BOTH)(pairs, mixture)) == pytest.approx(found[:4].mean(), rel=1e-5)


# Calibration


def test_the_transform_of_atoms_grids_and_intervals_is_uniform():
    rng = np.random.default_rng(0)
    loc = rng.normal(size=2_000)
    logits = np.zeros((2_000, 1))
    atoms = tfmdn.distributions.CoarsenedNormal(loc[:, np.newaxis], 1.0, low=0.0)
    grid = tfmdn.distributions.CoarsenedNormal(loc[:, np.newaxis], 1.0, resolution=1.0)
    latent = loc + rng.normal(size=2_000)
    cases = [
        (tfmdn.Mixture(tfd.Categorical(logits=logits), atoms), np.maximum(latent, 0.0), {}),
        (tfmdn.Mixture(tfd.Categorical(logits=logits), grid), np.round(latent), {}),
        (
            normals(loc),
            np.stack([np.minimum(latent, 0.5), np.where(latent < 0.5, latent, INF)], -1),
            {"intervals": True},
        ),
        (normals(loc), np.stack([np.floor(latent), np.floor(latent) + 1.0], -1), {"intervals": True}),
    ]
    for mixture, y, options in cases:
        transform = tfmdn.probability_integral_transform(y, mixture, seed=1, **options).numpy()
        assert scipy.stats.kstest(transform, "uniform").pvalue > 0.01
        again = tfmdn.probability_integral_transform(y, mixture, seed=1, **options)
        np.testing.assert_array_equal(again, transform)
        assert float(metrics.CalibrationError(**options)(y, mixture)) < 0.03
        coverage = float(metrics.IntervalCoverage(0.8, **options)(y, mixture))
        inside = 0.8  # of atoms and grids the interval itself is asked, which contains all of what is at its ends
        if not options:
            low, high = np.moveaxis(np.asarray(mixture.interval(0.8)), -1, 0)
            inside = np.mean((low - 1e-6 <= y) & (y <= high + 1e-6))
        assert coverage == pytest.approx(inside, abs=0.02 if options else 0.002)
        # A model that is too sure of itself is found out.
        assert float(metrics.CalibrationError(**options)(y, normals(loc, 0.3))) > 0.05
    pair = tfmdn.probability_integral_transform(PAIRS, normals(np.zeros(6)), intervals=True, seed=0).numpy()
    np.testing.assert_array_equal(np.isnan(pair), [False] * 4 + [True] * 2)


def test_metrics_leave_out_what_is_missing():
    mixture = mixture_of(("normal", "diag", (2,)))
    y = np.array(mixture.sample(seed=1))
    y[1, 0] = y[3, 1] = NAN
    y[4] = NAN
    known = ~np.isnan(y)
    transform = np.where(known, scores.probability_integral_transform(y, mixture), NAN)
    inside = np.where(known, abs(transform - 0.5) <= 0.25, NAN)[:4]
    coverage = metrics.IntervalCoverage(0.5, missing="ignore")(y, mixture)
    assert float(coverage) == pytest.approx(np.nanmean(np.nanmean(inside, 1)), rel=1e-6)
    assert np.isnan(metrics.IntervalCoverage(0.5)(y, mixture))
    bins = metrics.CalibrationError(2, missing="ignore")
    below = np.nanmean(np.nanmean(np.where(known, transform < 0.5, NAN)[:4], 1))
    assert float(bins(y, mixture)) == pytest.approx(abs(below - 0.5), rel=1e-5)


# In models


def test_a_model_finds_the_distribution_behind_censored_rounded_and_missing_targets():
    rng = np.random.default_rng(0)
    y = 3.0 + 2.0 * rng.normal(size=3_000)
    end = np.append(rng.normal(4.0, 2.0, 1_000), np.full(2_000, INF))
    low, high = np.minimum(y, end), np.where(y > end, INF, y)
    low[1_000:2_000] = np.floor(y[1_000:2_000])
    high[1_000:2_000] = low[1_000:2_000] + 1.0
    low[2_000:2_300] = high[2_000:2_300] = NAN
    pairs, x = np.stack([low, high], -1).astype("float32"), np.ones((3_000, 1), "float32")

    model = keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(1)])
    metric = metrics.NegativeLogLikelihood(**BOTH)
    model.compile(keras.optimizers.Adam(0.1), NLL(**BOTH), weighted_metrics=[metric])
    rows = {"batch_size": 3_000, "epochs": 150, "shuffle": False, "verbose": 0}
    history = tfmdn.fit(model, x, pairs, **rows).history
    law = model(x[:1])
    known = np.r_[:2_000, 2_300:3_000]
    assert float(law.mean()[0]) == pytest.approx(y[known].mean(), abs=0.1)
    assert float(law.stddev()[0]) == pytest.approx(y[known].std(), abs=0.1)
    assert history["loss"][-1] == pytest.approx(history["negative_log_likelihood"][-1], rel=1e-5)
    assert history["loss"][-1] < history["loss"][0]


def trained(keras_fit):
    """A small model after `keras_fit(model, data)`, and what that returns; the data and the weights of the rows."""
    rng = np.random.default_rng(0)
    x, low = rng.normal(size=(16, 2)).astype("float32"), rng.normal(size=16)
    pairs = np.stack([low, low + rng.choice([0.0, 0.5, INF], 16)], -1).astype("float32")
    pairs[[3, 11]] = NAN  # of each replica as many
    weight = rng.uniform(0.5, 1.0, 16).astype("float32")
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(1)])
    metric = metrics.NegativeLogLikelihood(**BOTH)
    model.compile(keras.optimizers.SGD(0.1), NLL(**BOTH), weighted_metrics=[metric], jit_compile=False)
    expected = scores.negative_log_likelihood(pairs, model(x), **BOTH).numpy()
    history = keras_fit(model, tf.data.Dataset.from_tensor_slices((x, pairs[:, np.newaxis], weight)).batch(16))
    weights = np.concatenate([np.ravel(value) for value in model.get_weights()])
    return weights, history.history, expected, weight


def test_keras_trains_on_data_sets_of_them():
    weights, history, expected, weight = trained(lambda model, data: model.fit(data, verbose=0))
    assert np.isfinite(weights).all()
    assert history["loss"][0] == pytest.approx(weight @ expected / 14, rel=1e-5)
    known = np.delete(weight, [3, 11])
    assert history["negative_log_likelihood"][0] == pytest.approx(weight @ expected / known.sum(), rel=1e-5)


@pytest.mark.exhaustive
def test_replicas_take_them():
    single, *_ = trained(lambda model, data: model.fit(data, verbose=0))
    with two_replicas().scope():
        both, *_ = trained(lambda model, data: model.fit(data, verbose=0))
    np.testing.assert_allclose(both, single, rtol=1e-4, atol=1e-5)


def test_ensembles_are_judged_and_calibrated_by_what_is_known():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1)).astype("float32")
    z = np.stack([x[:, 0], -x[:, 0]], -1) + 0.1 * rng.normal(size=(40, 2)).astype("float32")
    z[:10] = NAN
    z[10:20, 0] = NAN
    networks = [keras.Sequential([keras.Input((1,)), tfmdn.MDNLayer(2, event_shape=2)]) for _ in range(2)]
    ensemble = tfmdn.Ensemble(networks)
    stopping = tfmdn.EnsembleEarlyStopping(x, z, np.ones((40, 2), bool), missing="ignore")
    ensemble.compile(keras.optimizers.SGD(0.1), NLL(missing="ignore"), jit_compile=False)
    ensemble.fit(x, z, verbose=0, callbacks=[stopping])
    members = ensemble.members(x)
    expected = [np.mean(scores.negative_log_likelihood(z, member, missing="ignore")[10:]) for member in members]
    np.testing.assert_allclose(stopping.scores(), expected, rtol=1e-5)
    # Rows of which nothing is known change nothing.
    factor = ensemble.calibrate(x, z, missing="ignore")
    ensemble.scale_temperature.assign(tf.ones(ensemble.num_members))
    assert ensemble.calibrate(x[10:], z[10:], missing="ignore") == pytest.approx(factor, rel=1e-4)
    assert factor < 1.0
