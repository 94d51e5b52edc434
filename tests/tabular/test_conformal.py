"""Conformal intervals: the arithmetic against plain NumPy and by simulation, and what a regressor makes of it."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import univariate, von_mises
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import conformal
from tfmdn.tabular.conformal import Conformal, Count

tfd = tfp.distributions
pytestmark = pytest.mark.usefixtures("quick_graphs")
PLAIN = TargetFormat()
ROWS, MEMBERS = 40, 5


def of_normals(num_rows, rng):
    """A mixture of members of one normal each, their centres and scales."""
    loc, scale = rng.normal(size=(num_rows, MEMBERS)), rng.uniform(0.5, 2.0, size=(num_rows, MEMBERS))
    return (
        tfmdn.Mixture(tfd.Categorical(np.zeros_like(loc)), tfd.Normal(loc, scale), member_sizes=(1,) * MEMBERS),
        loc,
        scale,
    )


def of_parts(num_rows, per_part=1):
    """Which members have not learnt from rows: `per_part` neighbours for each of 5 parts."""
    first = np.arange(num_rows)[:, np.newaxis] % MEMBERS
    return ((np.arange(MEMBERS) - first) % MEMBERS) < per_part


# The arithmetic


@pytest.mark.parametrize("num_rows", [1, 18, 19, 20, 39, 100])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.1, 0.5, 0.51, 0.9, 0.95, 0.99])
def test_a_count_is_an_order_statistic_that_covers(num_rows, level):
    scores = np.random.default_rng(0).permutation(num_rows) / num_rows
    count = Count.of([scores[::2], scores[1::2]], [np.ones(len(scores[::2])), np.ones(len(scores[1::2]))], level)
    # The rank of one of n + 1 rows that are alike is 1 to n + 1: how many ranks lie beyond the end?
    own = (np.arange(num_rows + 1) - 0.5) / num_rows
    reached = (
        np.full(num_rows + 1, count.end < 0) if not np.isnan(count.end) else count.is_reached(np.stack([own, own]))
    )
    share = reached.mean() if level > 0.5 else 1.0 - reached.mean()
    wanted = 1.0 - level if level > 0.5 else level
    assert wanted - 1.0 / (num_rows + 1) - 1e-9 < share <= wanted + 1e-9


@pytest.mark.parametrize("level", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_ends_are_those_of_cv_plus(level):
    """Barber et al. (2021): order statistics of what each row's score says of the new row, by its part's model."""
    rng = np.random.default_rng(1)
    mixture, loc, scale = of_normals(ROWS, rng)
    y = 2.0 * rng.standard_t(3, size=ROWS)
    found = Conformal.learned([mixture[:25], mixture[25:]], y, PLAIN, of_parts(ROWS), np.ones(ROWS))
    rows, part = np.arange(ROWS), np.arange(ROWS) % MEMBERS
    scores = scipy.stats.norm.cdf(y, loc[rows, part], scale[rows, part])
    np.testing.assert_allclose(found.low[:, 0], scores, atol=1e-11)
    new, loc, scale = of_normals(7, rng)
    said = np.sort(scipy.stats.norm.ppf(scores, loc[:, part], scale[:, part]), 1)
    rank = int(np.ceil(level * (ROWS + 1)) if level > 0.5 else np.floor(level * (ROWS + 1)))
    expected = np.pad(said, ((0, 0), (1, 1)), constant_values=(-np.inf, np.inf))[:, rank]
    np.testing.assert_allclose(found.quantiles(new, [level])[:, 0], expected, rtol=1e-6, atol=1e-7)


def test_each_part_has_the_mixture_of_its_members():
    rng = np.random.default_rng(2)
    mixture, loc, scale = of_normals(ROWS, rng)
    logits = np.log([0.1, 0.3, 0.2, 0.1, 0.3]) + np.zeros((ROWS, 1))
    mixture = mixture.copy(mixture_distribution=tfd.Categorical(logits))
    y, held_out = rng.normal(size=ROWS), of_parts(ROWS, per_part=2)
    weights = held_out * np.exp(logits)
    expected = (weights * scipy.stats.norm.cdf(y[:, np.newaxis], loc, scale)).sum(1) / weights.sum(1)
    found = Conformal.learned([mixture], y, PLAIN, held_out, np.ones(ROWS))
    np.testing.assert_allclose(found.low[:, 0], expected, atol=1e-11)
    # A fifth member that is judged by no row, as what a model falls back on, has its weight in each part.
    found = Conformal.learned([mixture], y, PLAIN, held_out[:, :4], np.ones(ROWS))
    weights = weights[:, :4]
    among = (weights * scipy.stats.norm.cdf(y[:, np.newaxis], loc, scale)[:, :4]).sum(1) / weights.sum(1)
    expected = 0.7 * among + 0.3 * scipy.stats.norm.cdf(y, loc[:, 4], scale[:, 4])
    np.testing.assert_allclose(found.low[:, 0], expected, atol=1e-11)


@pytest.mark.parametrize("num_rows", [10, 30])
@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, np.random.Generator.standard_cauchy])
def test_coverage_of_models_that_have_learnt_from_the_other_parts(num_rows, draw):
    """Of small samples, normals as each fold's model: on average at least what is asked for, and not much more."""
    rng, times, coverage = np.random.default_rng(3), 1_000, 0.8
    y, part = draw(rng, (times, num_rows + 1)), np.arange(num_rows) % MEMBERS
    others = part != np.arange(MEMBERS)[:, np.newaxis]
    fitted = [(y[:, :-1][:, rows].mean(1, keepdims=True), y[:, :-1][:, rows].std(1, keepdims=True)) for rows in others]
    values = np.stack([scipy.stats.norm.cdf(y, *model) for model in fitted])  # [P, times, n + 1]
    inside = np.ones(times, bool)
    for time in range(times):
        scores = [values[number, time, :-1][part == number] for number in range(MEMBERS)]
        for level in (0.1, 0.9):
            count = Count.of(scores, [np.ones(len(own)) for own in scores], level)
            if np.isnan(count.end):
                inside[time] &= count.is_reached(values[:, time, -1:])[0] == (level < 0.5)
    assert coverage - 0.03 < inside.mean() < coverage + 0.1


@pytest.mark.parametrize("disagreement", [0.0, 0.3, 1.0])
def test_members_who_disagree_cover_no_more_than_they_should(disagreement):
    """Truth by simulation: members' errors in units of the noise, two of ten to judge each row."""
    rng, members = np.random.default_rng(10), 10

    def rows(count):
        y, errors = rng.normal(size=count), disagreement**0.5 * rng.normal(size=(count, members))
        loc = rng.normal(0.0, 0.4, size=(count, 1)) + errors
        normals = tfd.Normal(loc, np.full_like(loc, 1.2))
        return y, tfmdn.Mixture(tfd.Categorical(np.zeros_like(loc)), normals, member_sizes=(1,) * members)

    y, mixture = rows(3_000)
    held_out = (np.arange(members) - np.arange(3_000)[:, np.newaxis]) % members < 2
    found = Conformal.learned([mixture], y, PLAIN, held_out, np.ones(3_000))
    y, mixture = rows(3_000)
    for one in (found, dataclasses.replace(found, narrowing=np.ones(1))):
        low, high = one.quantiles(mixture, [0.1, 0.9]).T
        covered = np.mean((low <= y) & (y <= high))
        assert covered == pytest.approx(0.8, abs=0.025) or (one is not found and disagreement and covered > 0.82)


def test_weights_are_shares_of_rows():
    rng = np.random.default_rng(4)
    mixture, loc, scale = of_normals(ROWS, rng)
    y, weights = rng.normal(size=ROWS), rng.integers(1, 5, ROWS).astype(float)
    found = Conformal.learned([mixture], y, PLAIN, of_parts(ROWS), weights)
    new, loc, scale = of_normals(5, rng)
    part = np.arange(ROWS) % MEMBERS
    said = scipy.stats.norm.ppf(found.low[:, 0], loc[:, part], scale[:, part])
    shares = weights * weights.sum() / np.square(weights).sum()
    for level, end in zip([0.2, 0.8], found.quantiles(new, [0.2, 0.8]).T):
        most = level * (shares.sum() + 1.0)
        for row in range(5):
            order = np.argsort(said[row])
            totals = np.cumsum(shares[order])
            first = np.flatnonzero(totals >= most if level > 0.5 else totals > most - 1.0)[0]
            assert end[row] == pytest.approx(said[row][order][first], abs=1e-7)
    alike = [Conformal.learned([mixture], y, PLAIN, of_parts(ROWS), np.full(ROWS, weight)) for weight in (1.0, 7.0)]
    np.testing.assert_array_equal(*(one.quantiles(new, [0.1, 0.9]) for one in alike))


COARSE = {"atoms": {"low": 0.0, "high": 2.0}, "grid": {"resolution": 1.0}, "both": {"low": 0.0, "resolution": 0.5}}


@pytest.mark.parametrize("coarse", COARSE.values(), ids=COARSE)
def test_values_with_a_probability_are_covered_and_ends_are_among_them(coarse):
    """The model is the truth: each end is that of the model, but for the luck of 1,000 rows, and no value is split."""
    rng = np.random.default_rng(5)
    loc = rng.normal(size=(1_000, 1))
    mixture = tfmdn.Mixture(
        tfd.Categorical(np.zeros_like(loc)), tfmdn.distributions.CoarsenedNormal(loc, np.ones_like(loc), **coarse)
    )
    y, levels = mixture.sample(seed=0).numpy(), [0.1, 0.9]
    found = Conformal.learned([mixture], y, PLAIN, np.ones((len(y), 1), bool), np.ones(len(y)))
    assert scipy.stats.kstest(found.low[:, 0], "uniform").pvalue > 1e-3
    ends, expected = found.quantiles(mixture, levels), np.moveaxis(mixture.quantile(levels).numpy(), 0, -1)
    if "resolution" in coarse:
        assert set(np.unique(ends / coarse["resolution"] % 1.0)) == {0.0}
        assert (ends == expected).mean() > 0.9
    else:
        np.testing.assert_allclose(ends, expected, atol=0.15)
        assert (ends[:, 0] == 0.0).mean() == pytest.approx((expected[:, 0] == 0.0).mean(), abs=0.03)
    inside = (ends[:, 0] <= y) & (y <= ends[:, 1])
    assert inside.mean() > 0.79


def test_of_censored_targets_the_worst_is_assumed():
    rng = np.random.default_rng(6)
    mixture, _, _ = of_normals(ROWS, rng)
    y = rng.normal(size=ROWS)
    is_censored = np.arange(ROWS) == 7
    pairs = np.stack([y, np.where(is_censored, np.inf, y)], 1)
    arguments = TargetFormat(intervals=True), of_parts(ROWS), np.ones(ROWS)
    found = Conformal.learned([mixture], pairs, *arguments)
    assert found.high[7, 0] == 1.0
    np.testing.assert_array_equal(np.flatnonzero(found.low[:, 0] != found.high[:, 0]), [7])
    largest = Conformal.learned([mixture], np.stack([np.where(is_censored, 1e9, y)] * 2, 1), *arguments)
    as_seen = Conformal.learned([mixture], np.stack([y, y], 1), *arguments)
    low, high = found.quantiles(mixture, [0.1, 0.9]).T
    np.testing.assert_array_equal(low, as_seen.quantiles(mixture, [0.1])[:, 0])
    np.testing.assert_array_equal(high, largest.quantiles(mixture, [0.9])[:, 0])


FAMILIES = {
    "gamma": lambda: tfd.Gamma([[2.0], [9.0]], [[1.0], [0.1]]),
    "lognormal": lambda: univariate.LogNormal([[0.0], [1.0]], [[3.0], [0.1]]),
    "limited": lambda: tfmdn.distributions.ReflectedNormal([[0.1], [5.0]], [[1.0], [1.0]], 0.0, np.inf),
    "angles": lambda: von_mises.VonMises([[0.0], [3.0]], [[4.0], [2.0]]),
}


@pytest.mark.parametrize("components", FAMILIES.values(), ids=FAMILIES)
def test_any_family(components):
    mixture = tfmdn.Mixture(tfd.Categorical(np.zeros((2, 1))), components())
    scores = (np.arange(19.0) + 1.0)[:, np.newaxis] / 20.0
    found = Conformal(np.ones((1, 1), bool), np.zeros(19, int), np.ones(19), scores, scores, np.ones(1))
    levels = [0.3, 0.95]
    ends = found.quantiles(mixture, levels)
    np.testing.assert_allclose(ends, np.moveaxis(mixture.quantile(levels).numpy(), 0, -1), rtol=1e-4)
    limit = {"gamma": -np.inf, "angles": -np.pi}.get(next(k for k, v in FAMILIES.items() if v is components), 0.0)
    np.testing.assert_allclose(found.quantiles(mixture, [0.01])[:, 0], limit, rtol=1e-6)


def test_what_cannot_be_said_is_infinite_or_nan():
    mixture, _, _ = of_normals(3, np.random.default_rng(7))
    unknown = mixture.copy(components_distribution=tfd.Normal(np.full((3, 5), np.nan), 1.0))
    scores = np.full((30, 1), 1.0)  # as of targets so large that the model gave them no probability
    found = Conformal(np.ones((1, 5), bool), np.zeros(30, int), np.ones(30), scores, scores, np.ones(1))
    np.testing.assert_array_equal(found.quantiles(mixture, [0.9]), np.full((3, 1), np.inf))
    np.testing.assert_array_equal(found.quantiles(unknown, [0.5]), np.full((3, 1), np.nan))


def test_outputs_by_themselves_some_of_which_are_missing():
    rng = np.random.default_rng(9)
    (first, *_), (second, *_) = (of_normals(ROWS, rng) for _ in range(2))
    loc, scale = (
        np.stack([getattr(one.components_distribution, name) for one in (first, second)], -1)
        for name in ("loc", "scale")
    )
    both = tfmdn.Mixture(
        first.mixture_distribution, tfd.MultivariateNormalDiag(loc, scale), member_sizes=(1,) * MEMBERS
    )
    y, rest = rng.normal(size=(ROWS, 2)), (of_parts(ROWS), np.ones(ROWS))
    y[::3, 1] = np.nan
    levels, known = [0.2, 0.8], ~np.isnan(y[:, 1])
    found = Conformal.learned([both], y, TargetFormat(missing="ignore"), *rest).quantiles(both, levels)
    assert found.shape == (ROWS, 2, 2)
    expected = Conformal.learned([first], y[:, 0], PLAIN, *rest).quantiles(first, levels)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-7)
    rows = np.flatnonzero(known)
    some = second.copy(
        mixture_distribution=tfd.Categorical(np.zeros((len(rows), MEMBERS))),
        components_distribution=tfd.Normal(loc[rows, :, 1], scale[rows, :, 1]),
    )
    expected = Conformal.learned([some], y[known, 1], PLAIN, *(each[known] for each in rest))
    np.testing.assert_allclose(found[:, 1], expected.quantiles(second, levels), rtol=1e-7)


def test_weights_and_intervals_survive_files():
    rng = np.random.default_rng(8)
    mixture, _, _ = of_normals(ROWS, rng)
    pairs = np.sort(rng.normal(size=(ROWS, 2)), 1)
    found = Conformal.learned(
        [mixture], pairs, TargetFormat(intervals=True), of_parts(ROWS), rng.uniform(1.0, 2.0, ROWS)
    )
    again = Conformal.from_config(found.to_config())
    for name in ("judges", "part", "weights", "low", "high", "narrowing"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_held_out_rows_are_scored_by_what_they_have_not_stopped(monkeypatch):
    monkeypatch.setattr(conformal, "MAX_ROWS", 20)
    rows = np.arange(50)
    x, y, held_out = rows[:, np.newaxis] + 0.0, rows + rows / 25.0, of_parts(50, per_part=2)
    held_out[:10] = False
    first_half = held_out & (rows % 2 == 0)[:, np.newaxis]

    def predict(x, shift):
        loc = tf.repeat(x + shift, MEMBERS, 1)
        normals, sizes = tfd.Normal(loc, tf.ones_like(loc)), (1,) * MEMBERS
        return tfmdn.Mixture(tfd.Categorical(tf.zeros_like(loc)), normals, member_sizes=sizes)

    stopped = [lambda x: predict(x, 0.0), lambda x: predict(x, 1.01)]
    found = Conformal.of_held_out(stopped, x, y, PLAIN, held_out, first_half, np.ones(50))
    assert len(found.low) == len(np.unique(found.low)) == 20
    expected = scipy.stats.norm.cdf(rows / 25.0 - 1.01 * (rows % 2 == 0))[10:]
    assert np.isin(np.round(found.low, 9), np.round(expected, 9)).all()
