"""Correlated targets: their density against quadrature, and draws against it."""

import numpy as np
import pytest
import scipy.integrate

from tfmdn import datasets

PROBLEM = datasets.correlated_normals(3, num_features=2, num_targets=2, smallest_scale=0.2, seed=1)


def test_the_conditional_integrates_to_one():
    x, _ = PROBLEM.sample(2, seed=0)
    axis = np.linspace(-8.0, 8.0, 321)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    for row in x:
        density = np.exp(PROBLEM.log_prob(np.tile(row, (len(y), 1)), y)).reshape(len(axis), -1)
        assert scipy.integrate.trapezoid(scipy.integrate.trapezoid(density, axis), axis) == pytest.approx(1.0, abs=1e-4)


def test_draws_have_the_moments_of_the_mixture():
    x, y = PROBLEM.sample(20_000, seed=0)
    assert x.dtype == y.dtype == np.float32
    rows = np.concatenate([x, y], 1)
    mean = PROBLEM.weights @ PROBLEM.means
    centred = PROBLEM.means - mean
    covariance = np.einsum("k,kij->ij", PROBLEM.weights, PROBLEM.covariances + centred[:, :, None] * centred[:, None])
    np.testing.assert_allclose(rows.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.08)


def test_one_normal_is_a_linear_function_and_noise():
    x, y = datasets.correlated_normals(1, smallest_scale=0.1).sample(5_000, seed=0)
    design = np.column_stack([np.ones(len(x)), x])
    residuals = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    covariance = np.cov(residuals.T)
    entropy = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * covariance)[1]
    nll = -datasets.correlated_normals(1, smallest_scale=0.1).log_prob(x, y).mean()
    assert nll == pytest.approx(entropy, abs=0.1)
    assert np.abs(np.corrcoef(residuals.T))[np.tril_indices(4, -1)].max() > 0.5
