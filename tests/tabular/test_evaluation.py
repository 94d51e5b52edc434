"""`MDNRegressor.evaluate`: its figures are NumPy's and SciPy's."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import von_mises
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import evaluation

tfd = tfp.distributions
PLAIN = TargetFormat()
RNG = np.random.default_rng(0)
N = 50
WEIGHTS = RNG.uniform(0.5, 2.0, N)
LOC, SCALE = RNG.normal(size=(N, 3)), RNG.uniform(0.5, 2.0, (N, 3))
Y = LOC + SCALE * RNG.normal(size=(N, 3))
FITTED = RNG.normal(size=(3 * evaluation.MOST_VALUES, 3))


def mixtures(loc=LOC, scale=SCALE, parts=(0, 25, N)):
    """One normal component for each row, of three outputs or one, some rows at a time."""
    for start, end in itertools.pairwise(parts):
        components = tfd.Normal(loc[start:end, np.newaxis], scale[start:end, np.newaxis])
        components = tfd.Independent(components, loc.ndim - 1) if loc.ndim > 1 else components
        yield tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([end - start, 1], tf.float64)), components)


def evaluated(y, form=PLAIN, weights=WEIGHTS, fitted=FITTED, names=("rain", "wind", "sun"), **arguments):
    values = evaluation.typical_values(fitted, form if form.intervals else PLAIN, np.ones(len(fitted)))
    return evaluation.evaluation(mixtures(**arguments), y, form, weights, values, names)


def expected(y, loc, scale, weights, fitted):
    def mean(values):
        return np.average(values, weights=weights)

    z, normal = (y - loc) / scale, scipy.stats.norm
    crps = mean(scale * (z * (2.0 * normal.cdf(z) - 1.0) + 2.0 * normal.pdf(z) - np.pi**-0.5))
    between_draws = np.abs(fitted[:, np.newaxis] - fitted).mean()
    reference = mean(np.abs(y[:, np.newaxis] - fitted).mean(1)) - 0.5 * between_draws
    probability = scipy.stats.norm.cdf(y, loc, scale)
    edges = np.arange(1, 20) / 20
    below = np.array([mean(probability < edge) for edge in edges])
    half = {level: scipy.stats.norm.ppf(0.5 + level / 200) * scale for level in (50, 80, 90)}
    return {
        "nll": mean(-scipy.stats.norm.logpdf(y, loc, scale)),
        "crps": crps,
        "rmse": np.sqrt(mean((y - loc) ** 2)),
        "skill": 1.0 - crps / reference,
        "calibration_error": np.sqrt(np.mean((below - edges) ** 2)),
        **{f"coverage_{level}": mean(np.abs(y - loc) <= width) for level, width in half.items()},
        **{f"width_{level}": mean(2.0 * width) for level, width in half.items()},
    }


def test_one_output():
    figures = evaluated(Y[:, 0], fitted=FITTED[:, :1], names=["rain"], loc=LOC[:, 0], scale=SCALE[:, 0])
    truth = expected(Y[:, 0], LOC[:, 0], SCALE[:, 0], WEIGHTS, FITTED[:, 0])
    assert list(figures) == list(truth)
    assert {type(value) for value in figures.values()} == {float}
    # The last digits of the skill: a thousand quantiles stand for three thousand targets.
    assert dict(figures) == pytest.approx(truth, rel=1e-4)


def test_several_outputs_of_which_some_were_not_observed():
    y = Y.copy()
    y[:30:2, 0] = y[:, 2] = np.nan
    weights = np.where(np.arange(N) == 1, 0.0, WEIGHTS)
    figures = evaluated(y, TargetFormat(missing="ignore"), weights)
    each = []
    for number in range(2):
        rows = ~np.isnan(y[:, number])
        each.append(
            expected(y[rows, number], *(p[rows, number] for p in (LOC, SCALE)), weights[rows], FITTED[:, number])
        )
        assert {name: figures[name][number] for name in each[-1]} == pytest.approx(each[-1], rel=1e-4)
    joint = np.average(np.nansum(-scipy.stats.norm.logpdf(y, LOC, SCALE), 1), weights=weights)
    assert figures["joint_nll"] == pytest.approx(joint)
    lines = str(figures).splitlines()
    assert lines[0].split() == ["49", "rows", "rain", "wind", "sun"]
    assert len({len(line) for line in lines[:-1]}) == 1
    assert f"<td>{lines[1].split()[-2]}</td>" in figures._repr_html_()
    # Of what was never observed nothing can be said.
    assert np.isnan([figures[name][2] for name in each[1]]).all()
    assert lines[1].endswith("unknown")


def test_intervals():
    low, high = Y[:, 0], np.where(np.arange(N) % 2, Y[:, 0], np.inf)
    pairs = np.stack([low, high], -1)
    arguments = {"fitted": pairs, "names": ["rain"], "loc": LOC[:, 0], "scale": SCALE[:, 0]}
    figures = evaluated(pairs, TargetFormat(intervals=True), **arguments)
    normal = scipy.stats.norm(LOC[:, 0], SCALE[:, 0])
    likelihood = np.where(low < high, normal.logsf(low), normal.logpdf(low))
    assert figures["nll"] == pytest.approx(-np.average(likelihood, weights=WEIGHTS))
    assert np.isnan([figures["rmse"], figures["skill"]]).all()
    assert np.isfinite([value for name, value in figures.items() if name not in ("rmse", "skill")]).all()
    assert evaluation.typical_values(pairs, TargetFormat(intervals=True), low == pairs[:, 1]) == [sorted(low[1::2])]


def test_typical_values_are_quantiles_of_rows_that_count():
    y, weights = RNG.permutation(5.0 * np.arange(8)), np.ones(8)
    assert evaluation.typical_values(y, PLAIN, weights) == [sorted(y)]
    assert evaluation.typical_values(y, PLAIN, 3.0 * (y > 12)) == [[15.0, 20.0, 25.0, 30.0, 35.0]]
    # 10 counts as often as all others together.
    values = evaluation.typical_values(y, PLAIN, np.where(y == 10.0, 7.0, 1.0))[0]
    assert values.count(10.0) == 4


def test_angles_are_compared_the_shorter_way_round():
    angle, y = np.full((4, 1), 3.1), np.full(4, -3.1)
    components = von_mises.VonMises(tf.constant(angle), tf.constant(100.0, tf.float64))
    mixture = tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([4, 1], tf.float64)), components)
    figures = evaluation._figures(np.array([-3.1, 0.0]), {"dtype": "float64"})
    assert float(figures["squared_error"](y, mixture)) == pytest.approx((2.0 * np.pi - 6.2) ** 2)
    # Of -3.1 and 0: half of 3.1, less half of the mean distance of two of them.
    assert float(figures["crps_of_values"](y, mixture)) == pytest.approx(0.5 * 3.1 - 0.25 * 3.1)
