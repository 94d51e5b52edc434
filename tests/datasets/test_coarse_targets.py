"""Targets that are cut off, rounded or censored: likelihoods and limits against SciPy and simulation."""

import numpy as np
import pytest
import scipy.stats

from tfmdn import datasets

NORMALS = {
    "tobit": datasets.tobit(),
    "tobit below": datasets.tobit(-1.1),
    "rounded": datasets.rounded_normal(),
    "plain": datasets.CoarseNormal(1.3),
    "cut and rounded": datasets.CoarseNormal(0.7, -0.9, 0.3),
}
WEIBULLS = {
    "weibull": datasets.censored_weibull(),
    "exponential, exact": datasets.censored_weibull(1.0, 0.0),
    "falling hazard": datasets.censored_weibull(0.8, 0.6),
}
PROBLEMS = NORMALS | WEIBULLS
X = np.array([-2.0, 0.0, 0.3, 1.9])


@pytest.mark.parametrize("name", PROBLEMS)
def test_best_nll_is_the_mean_of_log_prob(name):
    problem = PROBLEMS[name]
    scores = -problem.log_prob(*problem.sample(200_000, seed=5))
    assert np.all(np.isfinite(scores))
    assert problem.best_nll == pytest.approx(scores.mean(), abs=4.0 * scores.std() / np.sqrt(200_000))


@pytest.mark.parametrize("name", NORMALS)
def test_what_is_seen_of_a_normal_distribution(name):
    problem = NORMALS[name]
    latent = scipy.stats.norm(X, problem.noise_scale)

    def log_prob(value):
        return problem.log_prob(X[:, np.newaxis], np.full(4, value, np.float32))

    half = 0.5 * problem.step
    for value in (0.0, 0.3, 1.5, -0.6):
        if np.float32(value) == np.float32(problem.low):
            expected = latent.logcdf(value + half)
        elif value < problem.low or (half and round(value % problem.step, 6) not in (0.0, problem.step)):
            expected = np.full(4, -np.inf)
        else:
            expected = np.log(latent.cdf(value + half) - latent.cdf(value - half)) if half else latent.logpdf(value)
        np.testing.assert_allclose(log_prob(value), expected, rtol=1e-5, err_msg=str(value))
    if np.isfinite(problem.low):
        np.testing.assert_allclose(log_prob(problem.low), latent.logcdf(problem.low + half), rtol=1e-6)
        assert np.all(log_prob(problem.low - 1.0) == -np.inf)
    if half:  # far out, where the cumulative probabilities have no digits left
        far = scipy.stats.norm.logsf((30.0 - half - X) / problem.noise_scale)
        np.testing.assert_allclose(log_prob(30.0), far, rtol=1e-3)


@pytest.mark.parametrize("name", WEIBULLS)
def test_what_is_seen_of_a_time(name):
    problem = WEIBULLS[name]
    time = scipy.stats.weibull_min(problem.shape, scale=np.exp(0.5 * X))
    for low, high, expected in [
        (1.2, 1.2, time.logpdf(1.2)),
        (1.2, np.inf, time.logsf(1.2)),
        (-np.inf, 1.2, time.logcdf(1.2)),
        (0.0, 1.2, time.logcdf(1.2)),
        (0.4, 1.2, np.log(time.cdf(1.2) - time.cdf(0.4))),
        (0.0, np.inf, np.zeros(4)),
        (-1.0, -1.0, np.full(4, -np.inf)),
        (1.2, 0.4, np.full(4, -np.inf)),
    ]:
        received = problem.log_prob(X, np.tile([low, high], (4, 1)))
        np.testing.assert_allclose(received, expected, rtol=1e-9, atol=1e-12, err_msg=f"{low} to {high}")


def test_times_and_where_they_are_cut_off():
    problem = datasets.censored_weibull()
    x, y = problem.sample(100_000, seed=0)
    is_censored = np.isinf(y[:, 1])
    np.testing.assert_array_equal(y[~is_censored, 0], y[~is_censored, 1])
    for side in (x[:, 0] < 0.0, x[:, 0] >= 0.0):
        assert is_censored[side].mean() == pytest.approx(0.3, abs=0.01)
    # Kaplan and Meier's estimate of the times in units of their scale: what is cut off says nothing about them.
    times = y[:, 0] * np.exp(-0.5 * x[:, 0])
    order = np.argsort(times)
    alive = np.cumprod(1.0 - ~is_censored[order] / np.arange(len(times), 0, -1))
    for level in (0.5, 1.0, 1.5):
        received = alive[np.searchsorted(times[order], level) - 1]
        assert received == pytest.approx(scipy.stats.weibull_min(problem.shape).sf(level), abs=0.01)


@pytest.mark.parametrize("name", PROBLEMS)
def test_samples_are_seeded_and_shaped(name):
    x, y = PROBLEMS[name].sample(10, seed=3)
    assert x.shape == (10, 1)
    assert y.shape == ((10, 2) if name in WEIBULLS else (10,))
    assert x.dtype == y.dtype == np.float32
    again, other = PROBLEMS[name].sample(10, seed=3)[1], PROBLEMS[name].sample(10, seed=4)[1]
    np.testing.assert_array_equal(y, again)
    assert not np.array_equal(y, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.rounded_normal(-0.5), "`step` must be a finite number, 0 or greater. Received: step=-0.5"),
        (lambda: datasets.CoarseNormal(low=0.2, step=0.5), "must be a multiple of `step`. Received: low=0.2, step=0.5"),
        (lambda: datasets.censored_weibull(shape=0.0), "Received: shape=0.0"),
        (lambda: datasets.censored_weibull(censored=1.0), "`censored` must be at least 0 and less than 1"),
        (lambda: datasets.robot_arm(missing=-0.1), "`missing` must be at least 0 and less than 1"),
        (lambda: datasets.tobit().sample(0, seed=0), "`n` must be a positive integer. Received: n=0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        call()
    assert message in str(error.value)
