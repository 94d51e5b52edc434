"""The search for quantiles where it is hard, by SciPy's components; and searches as graphs, of which there are few."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import compiled, roots

tfd = tfp.distributions
LEVELS = np.array([1e-9, 1e-5, 0.02, 0.25, 0.5, 0.75, 0.98, 1 - 1e-5, 1 - 1e-9])
# kind, weights, locations, scales
HARD = {
    "far apart": ("normal", [0.3, 0.3, 0.4], [-1e6, 0.0, 1e6], [1.0, 1.0, 1.0]),
    "narrow and light": ("normal", [0.9, 0.09, 0.01], [0.0, 3.0, -2.0], [1.0, 1e-6, 1e-4]),
    "a gap at a level": ("normal", [0.25, 0.25, 0.5], [-100.0, 0.0, 100.0], [1.0, 1.0, 1.0]),
    "far from 0": ("normal", [0.5, 0.5], [1e8, 1e8 + 3.0], [1.0, 0.1]),
    "tiny": ("normal", [0.5, 0.5], [1e-30, 3e-30], [1e-30, 1e-31]),
    "huge": ("normal", [0.5, 0.5], [1e30, 3e30], [1e30, 1e29]),
    "cusps": ("laplace", [0.02, 0.98], [-5.0, 5.0], [3.0, 0.2]),
    "logistic": ("logistic", [0.6, 0.4], [-5.0, 5.0], [0.3, 2.0]),
    "heavy tails": ("student_t", [0.6, 0.4], [-5.0, 5.0], [0.3, 2.0]),
}
KINDS = {
    "normal": (tfd.Normal, scipy.stats.norm),
    "laplace": (tfd.Laplace, scipy.stats.laplace),
    "logistic": (tfd.Logistic, scipy.stats.logistic),
    "student_t": (
        lambda loc, scale: tfd.StudentT(np.full(len(loc), 3.0), loc, scale),
        lambda loc, scale: scipy.stats.t(3.0, loc, scale),
    ),
}


@pytest.mark.parametrize("case", HARD)
def test_hard_mixtures(case):
    """Of the probability below, or above, not more is off than the last digits of the quantile can tell."""
    kind, weights, loc, scale = HARD[case]
    ours, truth = KINDS[kind]
    mixture = tfmdn.Mixture(tfd.Categorical(probs=np.array(weights)), ours(np.array(loc), np.array(scale)))
    found = mixture.quantile(LEVELS).numpy()
    assert np.all(np.diff(found) > 0)
    parts = [truth(*part) for part in zip(loc, scale)]
    for level, y in zip(LEVELS, found):
        step = 1e-8 * min(scale) + 8 * np.spacing(abs(y))  # the root lies within
        below, above = (sum(w * part.cdf(end) for w, part in zip(weights, parts)) for end in (y - step, y + step))
        if level > 0.5:
            above, below = (
                1 - sum(w * part.sf(end) for w, part in zip(weights, parts)) for end in (y + step, y - step)
            )
        # In a gap every point is right, and TFP's lower tail of a Laplace has an absolute error.
        slack = 1e-13 if level > 1e-3 else 1e-17
        assert below - slack <= level <= above + slack


@pytest.mark.parametrize("low", [0.0, -np.inf])
def test_limits_that_differ_between_components(low):
    """A background goes on beyond the limits of the others."""
    limits = np.array([low, low, -np.inf]), np.array([4.0, 4.0, np.inf])
    loc, scale = np.array([0.3, 3.0, 2.0]), np.array([0.5, 2.0, 3.0])
    components = tfmdn.distributions.ReflectedNormal(loc, scale, *limits)
    mixture = tfmdn.Mixture(tfd.Categorical(probs=np.array([0.5, 0.4, 0.1])), components)
    found = mixture.quantile(LEVELS)
    tails = np.where(LEVELS < 0.5, mixture.cdf(found), mixture.survival_function(found))
    np.testing.assert_allclose(tails, np.minimum(LEVELS, 1 - LEVELS), rtol=1e-7)


def random_mixture(rows=50, num_components=6, seed=0):
    rng = np.random.default_rng(seed)
    logits, loc = rng.normal(size=(2, rows, num_components))
    return tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, np.exp(rng.normal(size=loc.shape))))


def test_blocks_of_rows(monkeypatch):
    mixture = random_mixture()
    expected = mixture.quantile([0.1, 0.6]).numpy()
    monkeypatch.setattr(roots, "BLOCK", 100)
    roots._traced.cache_clear()
    np.testing.assert_allclose(mixture.quantile([0.1, 0.6]), expected, rtol=1e-12)
    roots._traced.cache_clear()


def test_one_graph_serves_all_numbers_of_rows_components_and_levels():
    roots._traced.cache_clear()
    for rows, num_components, levels in ((1, 2, [0.5]), (7, 3, [0.1, 0.9]), (2, 5, np.linspace(0.1, 0.9, 5))):
        mixture = random_mixture(rows, num_components)
        np.testing.assert_allclose(mixture.cdf(mixture.quantile(levels)).numpy().T, [levels] * rows, rtol=1e-10)
    random_mixture()[tf.newaxis].quantile(0.5), random_mixture()[0].quantile(0.5)
    assert roots._traced.cache_info().currsize == 1


def test_a_row_of_nan_leaves_the_others_alone():
    mixture = random_mixture(3)
    loc = mixture.components_distribution.loc.numpy()
    loc[1, 2] = np.nan
    broken = mixture.copy(components_distribution=tfd.Normal(loc, mixture.components_distribution.scale))
    found, expected = broken.quantile([0.1, 0.9]).numpy(), mixture.quantile([0.1, 0.9]).numpy()
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(found[:, ::2], expected[:, ::2], rtol=1e-12)


def test_in_a_graph_and_under_xla_it_is_the_same():
    mixture = random_mixture(4)
    loc = mixture.components_distribution.loc

    def ask(loc):
        with tf.GradientTape() as tape:
            tape.watch(loc)
            components = tfd.Normal(loc, mixture.components_distribution.scale)
            found = mixture.copy(components_distribution=components).quantile([1e-6, 0.3, 0.99])
        return found, tape.gradient(found, loc)

    expected = ask(loc)
    for options in ({}, {"jit_compile": True}):
        for value, truth in zip(tf.function(ask, **options)(loc), expected):
            np.testing.assert_allclose(value, truth, rtol=1e-9)
    np.testing.assert_allclose(tf.reduce_sum(expected[1]), 3 * 4, rtol=1e-9)  # all centres move, and quantiles do


# Searches as graphs


class Doubled(tfd.Normal):
    """A kind that more than tensors describes."""

    def __init__(self, loc, scale, times=2):
        parameters = dict(locals())
        super().__init__(loc, scale * times)
        self._parameters = {name: parameters[name] for name in ("loc", "scale", "times")}


def test_modes_of_all_batches_are_one_graphs():
    compiled._traced.cache_clear()
    mixture = random_mixture(6)
    expected = mixture.mode().numpy()
    np.testing.assert_allclose(mixture[2].mode(), expected[2], rtol=1e-6)
    np.testing.assert_allclose(mixture[:4].mode(), expected[:4], rtol=1e-6)
    square = tfmdn.Mixture(
        tfd.Categorical(logits=tf.reshape(mixture.mixture_distribution.logits, [2, 3, -1])),
        tfd.Normal(*(tf.reshape(getattr(mixture.components_distribution, n), [2, 3, -1]) for n in ("loc", "scale"))),
    )
    np.testing.assert_allclose(square.mode(), expected.reshape(2, 3), rtol=1e-6)
    np.testing.assert_allclose(tfmdn.merge([mixture, mixture]).mode(), expected, rtol=1e-6)  # of more components
    assert compiled._traced.cache_info().currsize == 1
    assert square.modes(2).points.shape == (2, 2, 3)
    assert square.highest_density_region(0.5).shape == (6, 2, 3, 2)
    np.testing.assert_allclose(square.modes(2).points[0], square.mode(), rtol=1e-6)


@pytest.mark.parametrize("times", [2, 3])
def test_what_more_than_tensors_describes_is_searched_without_a_graph(times):
    with pytest.raises(NotImplementedError, match="Doubled"):
        compiled.Kept(Doubled(np.zeros(2), np.ones(2), times), lambda _: None)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros(2)), Doubled(np.array([0.0, 1.0]), np.ones(2), times))
    normals = tfmdn.Mixture(tfd.Categorical(logits=np.zeros(2)), tfd.Normal(np.array([0.0, 1.0]), [1.0 * times] * 2))
    np.testing.assert_allclose(mixture.mode(), normals.mode(), rtol=1e-6)


def test_climbs_end_where_slower_ones_do():
    """The plain mean shift, of very many steps."""
    rng = np.random.default_rng(0)
    loc, scale = rng.normal(size=(20, 8)), np.full((20, 8), 0.7)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=rng.normal(size=(20, 8))), tfd.Normal(loc, scale))
    y = loc.copy()
    for _ in range(20_000):
        z = (y[:, :, np.newaxis] - loc[:, np.newaxis]) / scale[:, np.newaxis]
        shares = np.exp(mixture.mixture_distribution.logits.numpy()[:, np.newaxis] - 0.5 * z**2)
        moved = (shares / shares.sum(-1, keepdims=True) * loc[:, np.newaxis]).sum(-1)
        if np.abs(moved - y).max() < 1e-13:
            break
        y = moved
    heights = mixture.log_prob(y.T).numpy()
    best = y.T[np.argmax(heights, 0), np.arange(20)]
    np.testing.assert_allclose(mixture.log_prob(mixture.mode()), heights.max(0), rtol=1e-10)
    np.testing.assert_allclose(mixture.mode(), best, atol=1e-4)


def test_of_variables():
    loc = tf.Variable([0.0, 1.0])
    with tf.GradientTape() as tape:
        median = tfmdn.Mixture(tfd.Categorical(logits=[0.0, 0.0]), tfd.Normal(loc, 1.0)).quantile(0.5)
    np.testing.assert_allclose(median, 0.5, 1e-6)
    np.testing.assert_allclose(tape.gradient(median, loc), [0.5, 0.5], 1e-5)


def test_of_no_rows():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([0, 2])), tfd.Normal(tf.zeros([0, 2]), 1.0))
    assert mixture.quantile([0.1, 0.9]).shape == (2, 0)
