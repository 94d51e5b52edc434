"""The likelihood of targets of which not all is known, against SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import FURTHER_COMPONENTS, SCALAR_COMPONENTS, SciPyMixture, mixture_of

import tfmdn
from tfmdn.distributions import incomplete, tensors

tfd = tfp.distributions
NAN, INF = np.nan, np.inf
SCALARS = [*SCALAR_COMPONENTS, *(case for case in FURTHER_COMPONENTS if not case[2])]
VECTORS = [("normal", "diag", (3,)), ("lognormal", "diag", (3,)), ("normal", "full", (3,))]
FLOAT32 = [("normal", "diag", ()), ("normal", "diag", (3,)), ("normal", "full", (3,))]
# What is known of a number y, by the name of what it is: the two ends.
KINDS = {
    "value": lambda y: (y, y),
    "interval": lambda y: (y - 0.1, y + 0.2),
    "left-censored": lambda y: (-INF, y),
    "right-censored": lambda y: (y, INF),
    "missing": lambda y: (NAN, NAN),
    "anything": lambda y: (-INF, INF),
}
ROWS = {
    (): [[kind] for kind in KINDS],
    (3,): [
        ["value", "value", "value"],
        ["interval", "value", "missing"],
        ["right-censored", "left-censored", "interval"],
        ["missing", "missing", "value"],
        ["missing", "anything", "missing"],
        ["anything", "interval", "value"],
    ],
}
MISSING = [[], [0], [1], [0, 2], [1, 2], [0, 1, 2]]  # coordinates, for each row


def interval_probability(distribution, low, high):
    """From the tail that has the digits."""
    if low > distribution.ppf(0.5) and high == INF:
        return distribution.sf(low)
    below = distribution.cdf(low) if low > -INF else 0.0
    return (distribution.cdf(high) if high < INF else 1.0) - below


def log_likelihood_by_scipy(case, mixture, low, high):
    truth, event_shape = SciPyMixture(case, mixture), case[2]
    totals = []
    for row in range(len(low)):
        parts = []
        for k in range(truth.logits.shape[-1]):
            total = 0.0
            for d in np.ndindex(*event_shape):
                distribution, (a, b) = truth.univariate((row, k, *d)), (float(low[(row, *d)]), float(high[(row, *d)]))
                if a == b:
                    total += distribution.logpdf(a)
                elif not np.isnan(a):
                    total += np.log(interval_probability(distribution, a, b))
            parts.append(total)
        totals.append(scipy.special.logsumexp(np.add(parts, scipy.special.log_softmax(truth.logits[row]))))
    return np.array(totals)


def marginal_by_scipy(case, mixture, y):
    truth = SciPyMixture(case, mixture)
    totals = []
    for row, target in enumerate(y):
        known = ~np.isnan(target)
        parts = []
        for loc, factor in zip(truth.parameters["loc"][row], truth.parameters["scale_tril"][row]):
            covariance = (factor @ factor.T)[np.ix_(known, known)]
            law = scipy.stats.multivariate_normal(loc[known], covariance) if known.any() else None
            parts.append(law.logpdf(target[known]) if law else 0.0)
        totals.append(scipy.special.logsumexp(np.add(parts, scipy.special.log_softmax(truth.logits[row]))))
    return np.array(totals)


def gradients(mixture, low, high=None):
    """Of the likelihood with respect to all that the mixture is made of."""
    values = tensors.read(mixture)
    with tf.GradientTape() as tape:
        tape.watch(values)
        log_likelihood = incomplete.log_likelihood(tensors.rebuild(mixture, values), low, high)
    return tape.gradient(log_likelihood, values)


@pytest.mark.parametrize(
    ("cases", "dtype", "tolerance"),
    [(SCALARS, "float64", 1e-7), (VECTORS, "float64", 1e-12), (FLOAT32, "float32", 2e-5)],
    ids=["scalars", "vectors", "float32"],
)
def test_it_is_that_of_scipy_with_finite_gradients(cases, dtype, tolerance):
    for case in cases:
        event_shape = case[2]
        mixture = mixture_of(case, (6,), num_components=2, dtype=dtype)
        y = np.array(mixture.sample(seed=1))
        if case[1] == "full":
            for row, missing in zip(y, MISSING):
                row[missing] = NAN
            low, high, expected = tf.constant(y), None, marginal_by_scipy(case, mixture, y)
        else:
            pairs = [
                [KINDS[kind](number) for kind, number in zip(kinds, np.ravel(row))]
                for kinds, row in zip(ROWS[event_shape], y)
            ]
            low, high = np.moveaxis(np.reshape(pairs, (6, *event_shape, 2)).astype(dtype), -1, 0)
            expected = log_likelihood_by_scipy(case, mixture, low, high)
        found = incomplete.log_likelihood(mixture, low, high).numpy()
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))
        # To the last bit, where there is a value for all, or none for any.
        assert found[0] == mixture.log_prob(y)[0]
        assert found[5 if case[1] == "full" else 4] == 0.0
        assert all(np.isfinite(gradient).all() for gradient in gradients(mixture, low, high).values()), case


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_missing_coordinates_of_strongly_correlated_ones(dtype):
    """What is left is the marginal, with limits and without, and no digits are lost."""
    rng = np.random.default_rng(0)
    y = rng.uniform(0.1, 0.9, (5, 3)).astype(dtype)
    narrow = 1e-6 if dtype == "float64" else 1e-3
    factor = np.array([[0.2, 0.0, 0.0], [0.2, narrow, 0.0], [-0.1, 0.2, narrow]], dtype)
    y[:, 1] = y[:, 0] + narrow * rng.normal(size=5)
    loc = np.full((5, 1, 3), 0.5, dtype)
    limits = np.array([0.0, -INF, 0.0], dtype), np.array([1.0, INF, INF], dtype)
    for components in (
        tfd.MultivariateNormalTriL(loc, factor),
        tfd.MultivariateNormalLinearOperator(loc, tf.linalg.LinearOperatorFullMatrix(factor)),
        tfmdn.distributions.ReflectedMultivariateNormal(loc, factor, *limits),
    ):
        mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((5, 1), dtype)), components)
        for missing in MISSING[1:-1]:
            known = [axis for axis in range(3) if axis not in missing]
            incomplete_y = y.copy()
            incomplete_y[:, missing] = NAN
            found = incomplete.log_likelihood(mixture, tf.constant(incomplete_y))
            expected = mixture.marginal(known).log_prob(y[:, known])
            np.testing.assert_allclose(found, expected, rtol=20 * np.finfo(dtype).eps / narrow)


def test_atoms_and_grids():
    """An interval contains its ends, also where these have a probability of their own."""
    law = scipy.stats.norm(0.3, 1.0)
    low, high = np.transpose([[0.0, 0.0], [0.0, 1.0], [-INF, 0.5], [0.5, INF], [0.7, 0.7], [-INF, INF], [0.2, 0.9]])
    loc, one, logits = np.full((7, 1), 0.3), np.ones((7, 1)), np.zeros((7, 1))
    atom = tfmdn.distributions.CoarsenedNormal(loc, one, low=np.float64(0.0))
    grid = tfmdn.distributions.CoarsenedNormal(loc, one, resolution=np.float64(1.0))
    of_atom = [law.cdf(0.0), law.cdf(1.0), law.cdf(0.5), law.sf(0.5), law.pdf(0.7), 1.0, law.cdf(0.9) - law.cdf(0.2)]
    of_grid = [law.cdf(0.5) - law.cdf(-0.5), law.cdf(1.5) - law.cdf(-0.5), law.cdf(0.5), law.sf(0.5)]
    of_grid += [law.cdf(1.5) - law.cdf(0.5), 1.0, 0.0]
    for components, expected in [(atom, of_atom), (grid, of_grid)]:
        mixture = tfmdn.Mixture(tfd.Categorical(logits=logits), components)
        found = incomplete.log_likelihood(mixture, tf.constant(low), tf.constant(high))
        np.testing.assert_allclose(tf.exp(found), expected, rtol=1e-9)


def test_distributions_that_are_no_mixtures():
    low, high = tf.constant([1.0, 0.5, NAN]), tf.constant([1.0, INF, NAN])
    gamma, truth = tfd.Gamma([2.0] * 3, 1.0), scipy.stats.gamma(2.0)
    expected = [truth.logpdf(1.0), truth.logsf(0.5), 0.0]
    np.testing.assert_allclose(incomplete.log_likelihood(gamma, low, high), expected, rtol=1e-5)


def test_what_is_wrong_is_nan_and_what_is_not_known_is_named():
    standard_normal = tfd.Normal(tf.zeros([3]), 1.0)
    wrong = incomplete.log_likelihood(standard_normal, tf.constant([1.0, NAN, 0.0]), tf.constant([0.0, 1.0, NAN]))
    assert np.isnan(wrong).all()
    pair = tf.zeros([5, 3]), tf.ones([5, 3])
    with pytest.raises(NotImplementedError, match="Received: components MultivariateNormalTriL"):
        incomplete.log_likelihood(mixture_of(("normal", "full", (3,))), *pair)
    student = tfd.MultivariateStudentTLinearOperator(3.0, tf.zeros([5, 3]), tf.linalg.LinearOperatorIdentity(3))
    with pytest.raises(NotImplementedError, match="Received: MultivariateStudentTLinearOperator"):
        incomplete.log_likelihood(student, pair[0])
