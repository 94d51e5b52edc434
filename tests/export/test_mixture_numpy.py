"""`examples/on_device/mixture_numpy.py`, a mixture in NumPy alone, says what `Mixture` says of the same tensors."""

import importlib.util
import math
import pathlib

import numpy as np
import pytest
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions.gumbel import Gumbel
from tfmdn.distributions.named import named_tensors

tfd = tfp.distributions
FILE = pathlib.Path(__file__).parents[2] / "examples" / "on_device" / "mixture_numpy.py"
SPEC = importlib.util.spec_from_file_location("mixture_numpy", FILE)
mixture_numpy = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mixture_numpy)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 3))
LOC, SCALE = RNG.normal(size=(2, 3)), RNG.uniform(0.2, 0.8, (2, 3))
LOCS, SCALES = RNG.normal(size=(2, 3, 2)), RNG.uniform(0.2, 0.8, (2, 3, 2))
TRIL = np.tril(RNG.normal(size=(2, 3, 2, 2)), -1) + SCALES[..., np.newaxis] * np.eye(2)
INF = math.inf
ONES = np.ones((2, 3))
IS_MOVED = np.array([1.0, 1.0, 0.0]) * ONES  # the last one is a background's


def limited(low, high):
    return tfmdn.distributions.ReflectedNormal(LOC, SCALE, low * ONES, high * ONES)


def coarsened(low, high, **kwargs):
    kwargs = {name: value * ONES for name, value in kwargs.items()}
    return tfmdn.distributions.CoarsenedNormal(LOC, SCALE, low * ONES, high * ONES, **kwargs)


# How far from the median is judged, too.
FARTHEST = 30.0
LARGEST = -float(np.finfo("float32").max), float(np.finfo("float32").max)
LEAST = -1e6  # of a Gumbel far below, where tfmdn holds what would be infinite
COMPONENTS = {
    "normal": tfd.Normal(LOC, SCALE),
    "laplace": tfd.Laplace(LOC, SCALE),
    "logistic": tfd.Logistic(LOC, SCALE),
    "gumbel": Gumbel(LOC, SCALE),
    "lognormal": tfmdn.distributions.univariate.LogNormal(LOC, SCALE),
    "normal, vector": tfd.MultivariateNormalDiag(LOCS, SCALES),
    "laplace, vector": tfd.Independent(tfd.Laplace(LOCS, SCALES), 1),
    "normal, full covariance": tfd.MultivariateNormalTriL(LOCS, TRIL),
    "normal, a limit": limited(0.1, INF),
    "normal, an upper limit": limited(-INF, 0.1),
    "normal, limits": limited(-0.5, 0.3),
    "normal, vector with a limit": tfd.Independent(
        tfmdn.distributions.ReflectedNormal(LOCS, SCALES, LOCS * 0.0, LOCS * 0.0 + [1.0, INF]), 1
    ),
    "normal, an atom": coarsened(0.1, INF),
    "normal, atoms, and a background": coarsened(-0.3, 0.5, is_moved=IS_MOVED),
    "normal, an atom and a mirror": coarsened(0.0, INF, mirror_high=1.0),
    "normal, a grid": coarsened(-INF, INF, resolution=0.25, origin=0.1),
    "normal, a grid with limits": coarsened(0.0, 1.0, resolution=0.1, is_moved=IS_MOVED),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_it_says_what_the_mixture_says(name):
    components = COMPONENTS[name]
    mixture = tfmdn.Mixture(tfd.Categorical(logits=LOGITS), components)
    # LiteRT writes the largest float32 for infinity.
    tensors = {key: np.clip(value.numpy(), *LARGEST) for key, value in named_tensors(mixture).items()}
    ours = mixture_numpy.Mixture(tensors, family=name.split(",")[0])

    levels = [1e-9, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0 - 1e-9]
    quantiles = mixture.quantile(levels).numpy()
    np.testing.assert_allclose(ours.quantile(levels), quantiles, rtol=1e-6, atol=1e-7)
    steps = FARTHEST * np.linspace(-1.0, 1.0, 7).reshape(-1, *[1] * (quantiles.ndim - 1))
    y = np.concatenate([quantiles[1:-1], quantiles[4] + steps, quantiles[4] + 0.07 * steps])
    log_prob = np.maximum(mixture.log_prob(y).numpy(), LEAST)
    np.testing.assert_allclose(np.maximum(ours.log_prob(y), LEAST), log_prob, rtol=1e-8, atol=1e-8)
    assert np.sum(log_prob > LEAST) >= 18
    np.testing.assert_allclose(ours.cdf(y), mixture.cdf(y), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.mean(), mixture.mean())
    np.testing.assert_allclose(ours.stddev(), mixture.stddev())

    draws = ours.sample(4000, seed=1)
    assert draws.shape == (4000, *quantiles.shape[1:])
    for value in quantiles[2:7]:
        share = np.mean(draws <= value + 1e-9, 0)
        np.testing.assert_allclose(share, ours.cdf(value), atol=5.0 * 0.5 / math.sqrt(4000))
    if name == "normal, full covariance":
        covariance = [np.cov(draws[:, row].T) for row in range(2)]
        np.testing.assert_allclose(covariance, mixture.covariance(), atol=0.1)


def test_values_of_atoms_are_exact_and_a_generator_goes_on():
    mixture = tfmdn.Mixture(tfd.Categorical(logits=LOGITS), COMPONENTS["normal, an atom"])
    ours = mixture_numpy.Mixture({key: value.numpy() for key, value in named_tensors(mixture).items()})
    assert np.all(ours.quantile([1e-6]) == 0.1)
    np.testing.assert_allclose(ours.log_prob(np.full(2, np.float32(0.1))), mixture.log_prob(0.1), rtol=1e-8)
    draws = ours.sample(2000, seed=np.random.default_rng(3))
    np.testing.assert_allclose(np.mean(draws == 0.1, 0), mixture.prob(0.1), atol=0.06)


def test_one_of_several_heads():
    tensors = {"pen": np.zeros((2, 1)), "offset_logits": LOGITS, "offset_loc": LOC, "offset_scale": SCALE}
    tensors |= {"offset_mean": LOC[:, 0], "offset_stddev": SCALE[:, 0]}
    ours = mixture_numpy.Mixture(tensors, prefix="offset_")
    expected = tfmdn.Mixture(tfd.Categorical(logits=LOGITS), tfd.Normal(LOC, SCALE)).log_prob([0.1, 0.2])
    np.testing.assert_allclose(ours.log_prob([0.1, 0.2]), expected)


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        ({"df": LOC}, {}),
        ({}, {"family": "gamma"}),
        ({}, {"prefix": "offset_"}),
        ({"scale": None}, {}),
        ({"mean": None}, {}),
    ],
)
def test_it_says_what_it_does_not_know(change, arguments):
    tensors = {"logits": LOGITS, "loc": LOC, "scale": SCALE, "mean": LOC[:, 0], "stddev": LOC[:, 0], **change}
    tensors = {name: value for name, value in tensors.items() if value is not None}
    with pytest.raises(ValueError, match=r"Known are the families.*Received: family="):
        mixture_numpy.Mixture(tensors, **arguments)


def test_levels_are_probabilities():
    ours = mixture_numpy.Mixture({"logits": LOGITS, "loc": LOC, "scale": SCALE, "mean": LOC, "stddev": LOC})
    with pytest.raises(ValueError, match=r"between 0 and 1\. Received: \[1\.0\]"):
        ours.quantile([1.0])
