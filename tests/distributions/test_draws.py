"""Draws of a seed, eagerly and compiled by XLA, and their distribution."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn import numerics
from tfmdn.distributions import coarsened, draws, gumbel, reflected, reflected_joint, univariate, weibull

tfd = tfp.distributions
LOC, SCALE = np.float32([[0.1, 1.0], [0.5, -0.3]]), np.float32([[0.5, 1.0], [2.0, 0.3]])
TRIL = np.float32([[1.0, 0.0], [0.6, 0.8]])
# Not gamma and von Mises, which are drawn and rejected.
KINDS = {
    "normal": lambda: tfd.Normal(LOC, SCALE),
    "laplace": lambda: tfd.Laplace(LOC, SCALE),
    "logistic": lambda: tfd.Logistic(LOC, SCALE),
    "student_t": lambda: univariate.StudentT(4.0, LOC, SCALE),
    "lognormal": lambda: univariate.LogNormal(LOC, SCALE),
    "weibull": lambda: weibull.Weibull(LOC, SCALE),
    "gumbel": lambda: gumbel.Gumbel(LOC, SCALE),
    "limits": lambda: reflected.ReflectedNormal(LOC, SCALE, np.float32(0.0), np.float32(2.0)),
    "atoms": lambda: coarsened.CoarsenedNormal(LOC, SCALE, np.float32(0.0), np.float32(2.0)),
    "diag": lambda: tfd.MultivariateNormalDiag(np.stack([LOC, LOC], -1), np.stack([SCALE, SCALE], -1)),
    "independent": lambda: tfd.Independent(tfd.Laplace(np.stack([LOC, LOC], -1), SCALE[..., np.newaxis]), 1),
    "full": lambda: tfd.MultivariateNormalTriL(np.stack([LOC, LOC], -1), TRIL),
    "full with limits": lambda: reflected_joint.ReflectedMultivariateNormal(
        np.stack([LOC, LOC], -1), TRIL, np.zeros(2, "float32"), np.full(2, np.inf, "float32")
    ),
}
FEW = ["normal", "student_t", "gumbel", "limits", "full"]  # each draws in a way of its own


def mixture_of(name):
    return tfmdn.Mixture(tfd.Categorical(logits=np.float32([[0.0, 1.0], [0.5, 0.0]])), KINDS[name]())


@pytest.mark.by_default("few")
@pytest.mark.parametrize("names", [FEW, list(KINDS)], ids=["few", "all"])
def test_xla_has_the_same_draws(names):
    def drawn(seed):
        found = {name: mixture_of(name).sample(20, seed=seed) for name in names}
        normal, atoms = mixture_of("normal"), mixture_of("atoms")
        found["entropy"] = normal.entropy(20, seed=seed)
        found["energy"] = tfmdn.energy_score(np.zeros(2, "float32"), normal, 20, seed=seed)
        found["transform"] = tfmdn.probability_integral_transform(np.zeros(2, "float32"), atoms, seed=seed)
        return found

    eager = drawn(3)
    # As a tensor, or TensorFlow would have drawn before XLA comes.
    compiled = tf.function(drawn, jit_compile=True, autograph=False)(numerics.stateless_seed(3))
    for name, expected in eager.items():
        np.testing.assert_allclose(compiled[name], expected, rtol=1e-3, atol=1e-5, err_msg=name)


def test_draws_of_student_t():
    found = draws.of(univariate.StudentT(np.float64(2.5), np.float64(1.0), np.float64(0.5)), [20_000], 4)
    assert scipy.stats.kstest(found, scipy.stats.t(2.5, 1.0, 0.5).cdf).pvalue > 1e-3
