"""The toy problems: their densities against simulation, their limits against the figures of the literature."""

import numpy as np
import pytest
import scipy.integrate

from tfmdn import datasets

# Best possible test NLL, computed independently.
LIMITS = [
    (datasets.inverse_sinusoid(), 1.288),
    (datasets.bishop_inverse(), -1.282),
    (datasets.bishop_inverse("normal", 0.08), -0.858),
    (datasets.robot_arm(), -2.495),
]
problems = pytest.mark.parametrize(("problem", "limit"), LIMITS, ids=["sinusoid", "bishop", "bishop-normal", "arm"])


@problems
def test_best_nll(problem, limit):
    assert problem.best_nll == pytest.approx(limit, abs=1e-3)


@pytest.mark.by_default("bishop", "bishop-normal", "sinusoid")
@problems
def test_best_nll_is_the_mean_of_log_prob(problem, limit):
    x, y = problem.sample(3000, seed=5)
    scores = -problem.log_prob(x, y)
    assert np.all(np.isfinite(scores))
    assert scores.mean() == pytest.approx(limit, abs=5.0 * scores.std() / np.sqrt(3000))


@problems
def test_the_conditional_integrates_to_one(problem, limit):
    x, _ = problem.sample(3, seed=1)
    axes = [
        np.linspace(low, high, 4001 if len(problem.low) == 1 else 501) for low, high in zip(problem.low, problem.high)
    ]
    y = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    for row in x:
        density = np.exp(problem.log_prob(np.tile(row, (len(y), 1)), y)).reshape([len(axis) for axis in axes])
        for axis in reversed(axes):
            density = scipy.integrate.trapezoid(density, axis)
        assert density == pytest.approx(1.0, abs=0.01)


@problems
def test_samples_are_seeded_and_shaped(problem, limit):
    x, y = problem.sample(10, seed=3)
    dimensions = len(problem.low)
    assert x.shape == (10, dimensions)
    assert y.shape == ((10,) if dimensions == 1 else (10, dimensions))
    assert x.dtype == y.dtype == np.float32
    again, other = problem.sample(10, seed=3)[0], problem.sample(10, seed=4)[0]
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, other)


@problems
def test_an_impossible_answer_has_no_density(problem, limit):
    x, y = problem.sample(4, seed=0)
    assert np.all(problem.log_prob(x, y + 100.0) == -np.inf)


def test_missing_angles_are_integrated_out():
    arm, whole = datasets.robot_arm(missing=0.3), datasets.robot_arm()
    x, y = arm.sample(400, seed=1)
    np.testing.assert_array_equal(arm.log_prob(x[:3], np.full((3, 2), np.nan)), 0.0)
    assert np.isnan(y).mean() == pytest.approx(0.3, abs=0.07)
    row = x[:1]
    for kept, value in ((0, 0.7), (1, 3.5)):
        grid = np.linspace(whole.low[1 - kept], whole.high[1 - kept], 501)
        y = np.stack([np.full(501, value), grid], -1)[:, :: 1 - 2 * kept]
        expected = np.log(scipy.integrate.trapezoid(np.exp(whole.log_prob(np.tile(row, (501, 1)), y)), grid))
        y = np.where(np.arange(2) == kept, value, np.nan)
        np.testing.assert_allclose(arm.log_prob(row, y), expected, atol=2e-3)


@pytest.mark.exhaustive
def test_the_limit_of_missing_angles_is_the_mean_of_log_prob():
    arm = datasets.robot_arm(missing=0.3)
    scores = -arm.log_prob(*arm.sample(20_000, seed=5))
    assert arm.best_nll == pytest.approx(-1.5544, abs=2e-4)  # by quadrature twice as fine
    assert scores.mean() == pytest.approx(arm.best_nll, abs=4.0 * scores.std() / np.sqrt(20_000))


def test_the_arm_without_noise_is_the_arm():
    x, angles = datasets.robot_arm(noise_scale=0.0).sample(100, seed=0)
    t1, t2 = angles.T
    expected = [0.8 * np.cos(t1) - 0.2 * np.cos(t1 + t2), 0.8 * np.sin(t1) - 0.2 * np.sin(t1 + t2)]
    np.testing.assert_allclose(x, np.stack(expected, -1), atol=1e-6)
    assert np.all((t1 > 0.3) & (t1 < 1.2) & (t2 > np.pi / 2) & (t2 < 3 * np.pi / 2))
    for ask in (lambda problem: problem.log_prob(x, angles), lambda problem: problem.best_nll):
        with pytest.raises(ValueError, match=r"no density. Received: noise_scale=0"):
            ask(datasets.robot_arm(noise_scale=0.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.inverse_sinusoid().sample(0, seed=0), "`n` must be a positive integer. Received: n=0"),
        (lambda: datasets.bishop_inverse("cauchy"), "`noise` must be one of 'normal', 'uniform'"),
        (lambda: datasets.bishop_inverse(noise_scale=-1.0), "Received: noise_scale=-1.0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        call()
    assert message in str(error.value)
