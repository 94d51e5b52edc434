"""Mixture as a tensor, and the questions that TFP does not answer."""

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import COMPONENTS, SCALAR_COMPONENTS, SciPyMixture, case_name, layer_of, mixture_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tfmdn
from tfmdn.distributions import tensors

tfd = tfp.distributions
every_kind = pytest.mark.parametrize("case", COMPONENTS, ids=case_name)
every_scalar_kind = pytest.mark.parametrize("case", SCALAR_COMPONENTS, ids=case_name)


def two_normals(**kwargs):
    return tfmdn.Mixture(tfd.Categorical(probs=[0.25, 0.75]), tfd.Normal([-1.0, 1.0], [0.1, 0.2]), **kwargs)


# A tensor wherever one is needed


def test_is_a_tensor_for_tensorflow_keras_and_numpy():
    mixture = mixture_of(("normal", "diag", (3,)))
    mean = mixture.mean().numpy()
    assert tf.is_tensor(mixture)
    assert keras.ops.is_tensor(mixture)
    assert mixture.shape == (5, 3)
    assert keras.ops.shape(mixture) == (5, 3)
    np.testing.assert_array_equal(tf.convert_to_tensor(mixture), mean)
    np.testing.assert_array_equal(np.asarray(mixture), mean)
    np.testing.assert_array_equal(mixture.numpy(), mean)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mixture), mean)
    np.testing.assert_array_equal(tf.reduce_max(mixture), mean.max())
    np.testing.assert_array_equal(keras.ops.square(mixture), mean**2)
    np.testing.assert_array_equal(tf.stack([mixture, mixture]), [mean, mean])
    np.testing.assert_array_equal(np.float64(np.asarray(mixture, np.float64)), np.float64(mean))
    assert tf.convert_to_tensor(mixture, tf.float64).dtype == tf.float64
    assert keras.ops.cast(mixture, "float16").dtype == tf.float16
    assert keras.ops.cast(mixture, "int32").dtype == tf.int32


@pytest.mark.parametrize(
    "expression",
    [
        lambda d: d + 1,
        lambda d: 1 - d,
        lambda d: -d,
        lambda d: abs(d),
        lambda d: 2 * d,
        lambda d: d / 4,
        lambda d: d**2,
        lambda d: d > 0,
        lambda d: d - np.ones((5, 3), np.float32),
        lambda d: tf.ones((5, 3)) - d,
        lambda d: d @ tf.ones((3, 2)),
    ],
)
def test_operators_are_the_mean_tensors(expression):
    mixture = mixture_of(("normal", "diag", (3,)))
    np.testing.assert_array_equal(expression(mixture), expression(mixture.mean()))


def test_indexing_slices_the_batch_as_in_tfp():
    mixture = mixture_of(("normal", "full", (3,)))
    assert isinstance(mixture[1], tfmdn.Mixture)
    np.testing.assert_allclose(mixture[1].mean(), mixture.mean()[1])
    np.testing.assert_allclose(mixture[1:3].covariance(), mixture.covariance()[1:3], rtol=1e-6)


def test_what_stands_for_the_distribution_survives_copies_slices_and_functions():
    mixture = two_normals(convert_to_tensor="mode")
    for same in (mixture.copy(), mixture[tf.newaxis], tf.function(lambda d: d)(mixture)):
        assert float(tf.reshape(tf.convert_to_tensor(same), [])) == pytest.approx(1.0, abs=1e-4)
    assert float(tf.function(lambda d: d + 0.0)(mixture)) == pytest.approx(1.0, abs=1e-4)


@keras.saving.register_keras_serializable(package="tests")
def lower_decile(mixture):
    return mixture.quantile(0.1)


def test_a_registered_function_stands_for_the_distribution(tmp_path):
    mixture = two_normals(convert_to_tensor=lower_decile)
    for same in (mixture, mixture.copy(), tf.function(lambda d: d)(mixture)):
        np.testing.assert_array_equal(tf.convert_to_tensor(same), mixture.quantile(0.1))
    model = keras.Sequential([keras.Input((2,)), tfmdn.MDNLayer(3, convert_to_tensor=lower_decile)])
    model.export(str(tmp_path), verbose=False)
    x, loaded = tf.ones((4, 2)), tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.serve(x) + 0.0, model(x).quantile(0.1), rtol=1e-5)


def test_a_function_that_returns_a_mixture_can_be_saved(tmp_path):
    module = tf.Module()
    module.shift = tf.function(
        lambda x: tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Normal(x + tf.constant([0.0, 1.0]), 1.0)),
        input_signature=[tf.TensorSpec([])],
    )
    tf.saved_model.save(module, str(tmp_path / "plain"))
    loaded = tf.saved_model.load(str(tmp_path / "plain"))
    assert float(loaded.shift(3.0).mean()) == pytest.approx(3.5)
    tf.saved_model.save(module, str(tmp_path / "signed"), signatures=module.shift)
    served = tf.saved_model.load(str(tmp_path / "signed")).signatures["serving_default"](tf.constant(3.0))
    assert float(served["mean"]) == pytest.approx(3.5)


def test_expand_dims_and_cast_keep_the_distribution_where_keras_needs_it():
    mixture = mixture_of(("student_t", "diag", ()))
    y = mixture.sample(seed=0)
    widened = tf.expand_dims(mixture, -1)
    assert widened.event_shape == (1,)
    np.testing.assert_allclose(widened.log_prob(y[:, None]), mixture.log_prob(y), rtol=1e-6)
    assert tf.expand_dims(mixture, 0).shape == (1, 5)
    double = tf.cast(mixture, tf.float64)
    np.testing.assert_allclose(double.log_prob(tf.cast(y, tf.float64)), mixture.log_prob(y), rtol=1e-5)


def test_unknown_conversion():
    with pytest.raises(ValueError, match="Received: convert_to_tensor='median'"):
        two_normals(convert_to_tensor="median")


# Draws


def test_draws_in_a_graph_are_those_of_eager():
    mixture = mixture_of(("normal", "full", (3,)))
    draw = tf.function(lambda d: (d.sample(5, seed=1), d.entropy(20, seed=1)))
    for ours, eager in zip(draw(mixture), (mixture.sample(5, seed=1), mixture.entropy(20, seed=1))):
        np.testing.assert_allclose(ours, eager, rtol=1e-5, atol=1e-5)


@pytest.mark.covering(1)
@every_kind
def test_draws_are_those_of_tfp_in_distribution(case):
    mixture = mixture_of(case, batch_shape=(2,))
    tfps = tfd.MixtureSameFamily(mixture.mixture_distribution, mixture.components_distribution)
    ours = np.asarray(mixture.sample(20_000, seed=1)).reshape(20_000, -1)
    theirs = np.asarray(tfps.sample(20_000, seed=2)).reshape(20_000, -1)
    for column in range(ours.shape[1]):
        assert scipy.stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-5


def test_a_seed_means_the_same_draws_at_each_call():
    mixture = two_normals()
    np.testing.assert_array_equal(mixture.sample(9, seed=3), mixture.sample(9, seed=3))
    np.testing.assert_array_equal(mixture.sample(9, seed=3), tf.function(lambda: mixture.sample(9, seed=3))())
    np.testing.assert_array_equal(mixture.sample(9, seed=3), mixture.sample(9, seed=[0, 3]))
    assert not np.array_equal(mixture.sample(9, seed=3), mixture.sample(9, seed=4))
    assert not np.array_equal(mixture.sample(9, seed=3), mixture.sample(9, seed=3 + 2**31))
    assert not np.array_equal(mixture.sample(9), mixture.sample(9))


def test_a_component_of_weight_zero_is_never_drawn():
    for logits in ([0.0, -np.inf, 0.0], [-np.inf, 0.0, 0.0], [0.0, 0.0, -np.inf]):
        mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal([-100.0, 0.0, 100.0], 1.0))
        draws = np.asarray(mixture.sample(50_000, seed=0))
        counts = [np.mean(np.abs(draws - centre) < 20) for centre in (-100.0, 0.0, 100.0)]
        assert counts[int(np.argmin(logits))] == 0.0
        np.testing.assert_allclose(np.sort(counts)[1:], [0.5, 0.5], atol=0.02)


@pytest.mark.parametrize("event_shape", [(), (2,)])
def test_reparameterized_draws_have_the_gradients_of_the_mean(event_shape):
    """d E[y] / d parameters by pathwise gradients equals the gradient of the closed form, weights included."""
    logits = tf.constant([[0.3, -0.2]])
    loc = tf.constant(
        np.reshape([[0.5, -1.0], [0.1, 1.5]], (2, 2)).T.copy()[:, : max(1, len(event_shape) * 2)], tf.float32
    )
    loc = tf.reshape(loc, (1, 2, *event_shape))
    scale = tf.fill(loc.shape, 0.4)

    def mixture(logits, loc, scale):
        components = tfd.Normal(loc, scale)
        components = tfd.Independent(components, 1) if event_shape else components
        return tfmdn.Mixture(tfd.Categorical(logits=logits), components, reparameterize=True)

    for moment in (lambda y: y, tf.square):
        _, estimated = tfp.math.value_and_gradient(
            lambda *p, f=moment: tf.reduce_sum(tf.reduce_mean(f(mixture(*p).sample(40_000, seed=1)), 0)),
            [logits, loc, scale],
        )
        closed = (
            (lambda d: d.mean() + 0 * d.variance())
            if moment is not tf.square
            else (lambda d: d.variance() + d.mean() ** 2)
        )
        _, exact = tfp.math.value_and_gradient(lambda *p, f=closed: tf.reduce_sum(f(mixture(*p))), [logits, loc, scale])
        for ours, truth in zip(estimated, exact):
            np.testing.assert_allclose(ours, truth, atol=0.06)


# Quantiles


def test_quantile_gives_every_level_for_every_row():
    mixture = mixture_of(("normal", "diag", ()))
    levels = [0.05, 0.5, 0.95]
    table = mixture.quantile(levels)
    assert table.shape == (3, 5)
    np.testing.assert_array_equal(mixture.quantile(np.array(levels)), table)
    np.testing.assert_array_equal(mixture.quantile(0.5), table[1])
    np.testing.assert_allclose(mixture.cdf(table), np.broadcast_to(np.array(levels)[:, None], (3, 5)), atol=2e-6)
    vector = mixture_of(("laplace", "diag", (3,)))
    assert vector.quantile(levels).shape == (3, 5, 3)
    assert vector.quantile(0.5).shape == (5, 3)
    # As many levels as rows: a list and an array are levels, whatever the batch size.
    five = np.linspace(0.1, 0.9, 5)
    assert mixture.quantile(list(five)).shape == (5, 5)
    assert mixture.quantile(five).shape == (5, 5)


def test_quantile_of_a_tensor_of_the_mixtures_shape_is_elementwise():
    mixture = mixture_of(("normal", "diag", (3,)))
    y = mixture.sample(7, seed=0)
    assert mixture.quantile(mixture.cdf(y)).shape == (7, 5, 3)
    assert mixture.quantile(mixture.cdf(y)[0]).shape == (5, 3)
    assert mixture.quantile(mixture.cdf(y).numpy()).shape == (7, 5, 3)


@pytest.mark.parametrize("batch_size", [2, None])
def test_quantile_means_the_same_in_a_graph_that_does_not_know_the_batch(batch_size):
    def ask(x, levels):
        return layer(x).quantile(levels), layer(x).quantile([0.05, 0.95])

    layer, x, levels = layer_of(("normal", "diag", ())), tf.ones((2, 3)), tf.constant([0.05, 0.95])
    in_graph = tf.function(ask, input_signature=[tf.TensorSpec([batch_size, 3]), tf.TensorSpec([None])])
    for answer, expected in zip(in_graph(x, levels), ask(x, levels)):
        np.testing.assert_allclose(answer, expected, rtol=1e-6)
    assert [answer.shape for answer in ask(x, levels)] == [(2,), (2, 2)]


def test_quantile_of_a_tensor_that_does_not_broadcast():
    mixture = mixture_of(("normal", "diag", (3,)))
    with pytest.raises(ValueError, match=r"must broadcast with \(5, 3\).*Received: a tensor of shape \(2,\).*a list"):
        mixture.quantile(tf.constant([0.1, 0.9]))


@every_scalar_kind
def test_quantile_at_the_ends(case):
    low = 0.0 if case[0] == "lognormal" else -np.inf
    np.testing.assert_array_equal(mixture_of(case).quantile([0.0, 1.0]), [[low] * 5, [np.inf] * 5])


def test_quantile_beyond_the_ends():
    values = two_normals().quantile([0.0, 1.0, -0.1, 1.1, np.nan])
    np.testing.assert_array_equal(values, [-np.inf, np.inf, np.nan, np.nan, np.nan])


def test_quantile_with_narrow_light_and_dead_components():
    logits = [0.0, -6.0, -np.inf, -3.0]
    mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal([0.0, 3.0, 1e6, 5.0], [1.0, 1e-4, 1.0, 2.0]))
    truth = SciPyMixture(("normal", "diag", ()), mixture[tf.newaxis])
    # Levels inside of the narrow component, whose weight is 0.0025.
    inside = [truth.cdf(0, y) for y in (3.0 - 1e-4, 3.0, 3.0 + 2e-4)]
    levels = np.float32([0.1, *inside, 0.99])
    expected = [scipy.optimize.brentq(lambda y, q=q: truth.cdf(0, y) - float(q), -9, 20, xtol=1e-13) for q in levels]
    np.testing.assert_allclose(mixture.quantile(levels), expected, atol=1e-6)


@pytest.mark.by_default("normal-diag-scalar", "lognormal-diag-scalar", "laplace-diag-scalar")
@every_scalar_kind
def test_quantile_gradients_are_those_of_finite_differences(case):
    logits = tf.constant([0.3, -0.5], tf.float64)
    loc = tf.constant([0.2, 1.0], tf.float64)
    scale = tf.constant([0.5, 0.3], tf.float64)
    level = tf.constant(0.7, tf.float64)
    family = tfmdn.layers.families.FAMILIES[case[0]].distribution
    extra = {"df": tf.constant([4.0, 7.0], tf.float64)} if case[0] == "student_t" else {}

    def quantile(level, logits, loc, scale):
        return tfmdn.Mixture(tfd.Categorical(logits=logits), family(loc=loc, scale=scale, **extra)).quantile(level)

    arguments = [level, logits, loc, scale]
    _, gradients = tfp.math.value_and_gradient(quantile, arguments)
    for position, argument in enumerate(arguments):
        for index in np.ndindex(*argument.shape):
            step = np.zeros(argument.shape)
            step[index] = 1e-5
            high, low = (
                quantile(*[a + (sign * step if i == position else 0.0) for i, a in enumerate(arguments)])
                for sign in (1, -1)
            )
            numeric = float(high - low) / 2e-5
            assert float(gradients[position].numpy()[index]) == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_quantile_resolves_levels_next_to_1():
    levels = [0.9999, 1 - 1e-8, 1 - 1e-12]  # of which float32 takes the last two for 1
    high, low = scipy.stats.norm(1.0, 0.2), scipy.stats.norm(-1.0, 0.1)
    expected = [
        scipy.optimize.brentq(lambda y, q=q: 0.75 * high.sf(y) + 0.25 * low.sf(y) - (1 - q), 0.0, 9.0) for q in levels
    ]
    np.testing.assert_allclose(two_normals().quantile(levels), expected, rtol=1e-5)
    np.testing.assert_allclose(two_normals().interval(1 - 2e-8)[1], expected[1], rtol=1e-5)


def test_quantile_of_components_that_tfmdn_does_not_have():
    mixture = tfmdn.Mixture(tfd.Categorical(probs=[0.3, 0.7]), tfd.Gamma([2.0, 9.0], [1.0, 2.0]))
    levels = np.float32([0.001, 0.3, 0.9])
    cdf = lambda y: 0.3 * scipy.stats.gamma(2.0).cdf(y) + 0.7 * scipy.stats.gamma(9.0, scale=0.5).cdf(y)  # noqa: E731
    expected = [scipy.optimize.brentq(lambda y, q=q: cdf(y) - float(q), 0.0, 50.0, xtol=1e-12) for q in levels]
    np.testing.assert_allclose(mixture.quantile(levels), expected, rtol=1e-5)
    discrete = tfmdn.Mixture(tfd.Categorical(probs=[0.3, 0.7]), tfd.Poisson([2.0, 9.0]))
    for ask in (lambda: discrete.quantile(0.5), discrete.mode):
        with pytest.raises(NotImplementedError, match=r"continuous components. Received: Poisson"):
            ask()


def test_quantile_of_components_without_marginals_says_so():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Dirichlet([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(NotImplementedError, match="Dirichlet"):
        mixture.quantile(0.5)


# Mode


@pytest.mark.covering(1)
@every_kind
def test_mode_is_the_highest_point(case):
    mixture = mixture_of(case, batch_shape=(3,))
    mode = mixture.mode()
    assert mode.shape == (3, *case[2])
    height = mixture.log_prob(mode)
    # No draw is higher, nor is any point of a fine neighbourhood of the best draws.
    draws = mixture.sample(20_000, seed=0)
    best = tf.gather(draws, tf.argmax(mixture.log_prob(draws), 0), axis=0)[0]
    near = best + 0.2 * mixture.stddev() * tf.random.stateless_normal((5000, 3, *case[2]), [0, 1])
    for points in (draws, near):
        assert np.all(np.max(mixture.log_prob(points), 0) <= height + 1e-4)


@every_scalar_kind
def test_mode_is_where_a_fine_grid_peaks(case):
    mixture = mixture_of(case)
    truth = SciPyMixture(case, mixture)
    for row, mode in enumerate(np.asarray(mixture.mode())):
        low, high, bends = truth.span(row)
        grid = np.concatenate([np.linspace(bends.min(), bends.max(), 20_001), bends])
        result = scipy.optimize.minimize_scalar(
            lambda y, row=row: -truth.log_prob(row, np.array([y]))[0],
            bounds=np.clip(
                grid[np.argmax(truth.log_prob(row, grid))] + np.array([-1, 1]) * 1e-3 * np.ptp(bends), low, high
            ),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert truth.log_prob(row, np.array([mode]))[0] >= -result.fun - 1e-6


def test_mode_between_two_components_and_of_many():
    # Two equal normals 1 apart, of scale 1, have one peak, in the middle.
    merged = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Normal([0.0, 1.0], 1.0))
    assert float(merged.mode()) == pytest.approx(0.5, abs=1e-3)
    correlated = tfmdn.Mixture(
        tfd.Categorical(logits=[0.0, 0.0]),
        tfd.MultivariateNormalTriL([[0.0, 0.0], [0.0, 0.0]], [[[1.0, 0.0], [0.9, 0.4]], [[1.0, 0.0], [-0.9, 0.4]]]),
    )
    np.testing.assert_allclose(correlated.mode(), [0.0, 0.0], atol=1e-5)


# Summaries


@pytest.mark.covering(1)
@every_kind
def test_entropy_is_the_mean_of_the_negative_log_density(case):
    mixture = mixture_of(case, batch_shape=(2,))
    estimate = mixture.entropy(20_000, seed=0)
    assert estimate.shape == (2,)
    other = -tf.reduce_mean(mixture.log_prob(mixture.sample(20_000, seed=1)), 0)
    np.testing.assert_allclose(estimate, other, atol=0.1)
    np.testing.assert_array_equal(mixture.entropy(50, seed=3), mixture.entropy(num_samples=50, seed=3))


@every_scalar_kind
def test_entropy_by_quadrature(case):
    mixture = mixture_of(case, batch_shape=(2,))
    truth = SciPyMixture(case, mixture)
    for row, estimate in enumerate(np.asarray(mixture.entropy(100_000, seed=0))):
        low, high, bends = truth.span(row)
        bend = bends.max()
        grid = np.unique(
            np.concatenate(
                [
                    np.linspace(bends.min() - 30 * np.ptp(bends), bend, 200_001),
                    np.geomspace(1e-3, high - bend, 50_001) + bend,
                ]
            )
        )
        grid = grid[(grid > low) & (grid < high)]
        log_prob = truth.log_prob(row, grid)
        assert estimate == pytest.approx(-scipy.integrate.trapezoid(np.exp(log_prob) * log_prob, grid), abs=0.02)


# Tempering


TEMPERED = [case for case in COMPONENTS if case[1] != "spherical" and case[2] != (1,)]


@pytest.mark.parametrize("case", TEMPERED, ids=case_name)
def test_tempered_density_by_scipy(case):
    mixture = mixture_of(case, batch_shape=(2,), dtype="float64")
    y = np.asarray(mixture.sample(2, seed=0))
    for temperature, scale_temperature in [(0.5, 1.0), (1.0, 0.3), (3.0, 2.0)]:
        truth = SciPyMixture(case, mixture)
        truth.logits = truth.logits / temperature
        for name in {"scale", "scale_diag", "scale_tril"} & set(truth.parameters):
            truth.parameters[name] = truth.parameters[name] * scale_temperature
        expected = np.stack([truth.log_prob(row, y[:, row]) for row in range(2)], -1)
        np.testing.assert_allclose(mixture.temper(temperature, scale_temperature).log_prob(y), expected, rtol=1e-8)


@pytest.mark.parametrize("case", TEMPERED, ids=case_name)
def test_limits_of_the_temperatures(case):
    mixture = mixture_of(case, batch_shape=(3,))
    centres = np.asarray(tensors.parameters(mixture.components_distribution)["loc"])  # [B, K, E]
    centres = np.exp(centres) if case[0] == "lognormal" else centres
    draws = np.asarray(mixture.temper(scale_temperature=1e-9).sample(500, seed=0))
    distances = np.abs(draws[:, :, np.newaxis] - centres).reshape(500, 3, 4, -1).max(-1)
    assert distances.min(-1).max() < 1e-4 * np.abs(centres).max()
    assert len(np.unique(distances.argmin(-1))) > 1
    heaviest = np.argmax(mixture.mixture_distribution.logits, -1)
    for temperature in (1e-4, 1e-300):
        coldest = mixture.temper(temperature)
        np.testing.assert_allclose(coldest.mixture_distribution.probs_parameter(), np.eye(4)[heaviest], atol=1e-6)
    hottest = mixture.temper(1e30)
    np.testing.assert_allclose(hottest.mixture_distribution.probs_parameter(), np.full((3, 4), 0.25), rtol=1e-5)


def test_temper_keeps_what_it_does_not_name():
    mixture = tfmdn.merge([two_normals(convert_to_tensor="mode"), two_normals()]).temper(0.5, 2.0)
    assert mixture.member_sizes == (2, 2)
    assert float(mixture + 0.0) == pytest.approx(float(mixture.mode()))
    sharp = tfmdn.Mixture(tfd.Categorical(logits=[[0.0, -np.inf]]), tfd.Normal([0.0, 1.0], 1.0)).temper(0.1)
    np.testing.assert_array_equal(sharp.mixture_distribution.probs_parameter(), [[1.0, 0.0]])
    np.testing.assert_allclose(two_normals().temper().log_prob([0.0, 1.0]), two_normals().log_prob([0.0, 1.0]))
    expected = float(two_normals().temper(0.5, 2.0).stddev())
    for temperatures in ((0.5, 2.0), (tf.constant(0.5), tf.constant(2.0, tf.float64))):
        tempered = tf.function(lambda d, *temperatures: d.temper(*temperatures).stddev())(two_normals(), *temperatures)
        assert float(tempered) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan, "cold", True])
@pytest.mark.parametrize("name", ["temperature", "scale_temperature"])
def test_bad_temperatures(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number greater than 0. Received: {name}="):
        two_normals().temper(**{name: value})


def test_components_without_a_scale_cannot_be_tempered():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Poisson([2.0, 9.0]))
    with pytest.raises(ValueError, match=r"have no scale to temper\. Received: .*Poisson"):
        mixture.temper(0.5)


def test_covariance_of_a_scalar_is_left_as_tfp_has_it():
    with pytest.raises(NotImplementedError):
        two_normals().covariance()


# Every question in a graph, and under XLA

QUESTIONS = {
    "log_prob": lambda d: d.log_prob(d.mean() + 1.0),
    "cdf": lambda d: d.cdf(d.mean() + 1.0),
    "survival_function": lambda d: d.survival_function(d.mean() + 1.0),
    "quantile": lambda d: d.quantile([0.1, 0.9]),
    "mean": lambda d: d.mean(),
    "variance": lambda d: d.variance(),
    "stddev": lambda d: d.stddev(),
    "covariance": lambda d: d.covariance() if d.event_shape.rank else d.variance(),
    "mode": lambda d: d.mode(),
    "tensor": lambda d: d + 1.0,
}
GRAPH_KINDS = [
    ("normal", "diag", ()),
    ("normal", "diag", (3,)),
    ("normal", "full", (3,)),
    ("laplace", "diag", (3,)),
    ("student_t", "diag", ()),
    ("lognormal", "diag", ()),
]


# XLA, which compiles for long, is asked of one kind of each sort of computation.
EXECUTED = [(case, False) for case in GRAPH_KINDS] + [(case, True) for case in GRAPH_KINDS[:3]]


@pytest.mark.covering(1)
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("case", "jit_compile"), EXECUTED, ids=lambda value: str(value) if isinstance(value, bool) else case_name(value)
)
def test_graph_and_xla_answer_as_eager_does(case, question, jit_compile):
    mixture = mixture_of(case)
    ask = QUESTIONS[question]
    eager = ask(mixture)
    function = tf.function(ask, jit_compile=jit_compile)
    spread = float(tf.reduce_max(mixture.stddev()))
    np.testing.assert_allclose(function(mixture), eager, rtol=2e-4, atol=2e-4 * spread)


@pytest.mark.by_default("lognormal-diag-scalar")
@pytest.mark.parametrize("case", GRAPH_KINDS, ids=case_name)
def test_draws_under_xla(case):
    """TensorFlow's generators give other numbers under XLA, from the same distribution, and the same at each call."""
    mixture = mixture_of(case)
    draw = tf.function(lambda: mixture.sample(20_000, seed=1), jit_compile=True)
    draws = np.asarray(draw())
    np.testing.assert_array_equal(draws, draw())
    eager = np.asarray(mixture.sample(20_000, seed=2))
    for index in np.ndindex(draws.shape[1:]):
        column = (slice(None), *index)
        assert scipy.stats.ks_2samp(draws[column], eager[column]).pvalue > 1e-5
    entropy = tf.function(lambda: mixture.entropy(20_000, seed=1), jit_compile=True)()
    np.testing.assert_allclose(entropy, mixture.entropy(20_000, seed=2), atol=0.1)


@pytest.mark.by_default("normal-full-3")
@pytest.mark.parametrize("case", GRAPH_KINDS, ids=case_name)
def test_unknown_batch_size_in_a_graph(case):
    layer = tfmdn.MDNLayer(4, case[2], family=case[0], covariance=case[1])
    layer.build((None, 6))

    @tf.function(input_signature=[tf.TensorSpec([None, 6])])
    def answers(x):
        mixture = layer(x)
        y = mixture.sample(3, seed=0)
        interval = mixture.interval(0.9)
        assert interval.shape.as_list() == [None, *case[2], 2]
        return mixture.quantile(mixture.cdf(y)), y, mixture.mode(), interval

    for batch in (1, 4):
        again, y, mode, interval = answers(tf.ones((batch, 6)))
        assert again.shape == y.shape == (3, batch, *case[2])
        assert mode.shape == (batch, *case[2])
        assert interval.shape == (batch, *case[2], 2)


def test_an_empty_batch_has_empty_answers():
    mixture = tfmdn.MDNLayer(3, 2)(np.zeros((0, 4)))
    assert mixture.log_prob(np.zeros((0, 2))).shape == (0,)
    assert mixture.sample(4, seed=0).shape == (4, 0, 2)
    assert np.asarray(mixture).shape == (0, 2)


# Properties, whatever the numbers

numbers_of = st.floats(-1e4, 1e4, width=32)
rows = st.integers(1, 4)


@st.composite
def scalar_mixtures(draw):
    batch, k = draw(rows), draw(st.integers(1, 6))
    shape = (batch, k)
    logits = draw(arrays(np.float32, shape, elements=st.floats(-50, 50, width=32)))
    loc = draw(arrays(np.float32, shape, elements=numbers_of))
    scale = draw(arrays(np.float32, shape, elements=st.floats(2**-10, 2**10, width=32)))
    return tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, scale))


@given(scalar_mixtures(), st.data())
def test_any_scalar_mixture(mixture, data):
    batch = mixture.batch_shape[0]
    y = data.draw(arrays(np.float32, (3, batch), elements=numbers_of))
    double = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.cast(mixture.mixture_distribution.logits, tf.float64)),
        tfd.Normal(
            *(
                tf.cast(v, tf.float64)
                for v in (mixture.components_distribution.loc, mixture.components_distribution.scale)
            )
        ),
    )
    np.testing.assert_allclose(mixture.log_prob(y), double.log_prob(tf.cast(y, tf.float64)), rtol=1e-4, atol=1e-3)
    levels = np.sort(data.draw(arrays(np.float32, 4, elements=st.floats(2**-10, 1 - 2**-10, width=32))))
    quantiles = np.asarray(mixture.quantile(levels))
    assert np.all(np.isfinite(quantiles))
    assert np.all(np.diff(quantiles, axis=0) >= -1e-6 * np.abs(quantiles).max())
    low, high = (
        np.asarray(double.cdf(tf.cast(quantiles, tf.float64) - 1e-3)),
        np.asarray(double.cdf(tf.cast(quantiles, tf.float64) + 1e-3)),
    )
    assert np.all((low <= levels[:, None] + 1e-6) & (levels[:, None] <= high + 1e-6))
    mode = mixture.mode()
    assert np.all(
        mixture.log_prob(mode) >= np.max(mixture.log_prob(np.asarray(mixture.components_distribution.loc).T), 0) - 1e-4
    )
