"""The tables that the tests are driven by, mixtures of every kind, and what SciPy says of them."""

from __future__ import annotations

import contextlib
import functools

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.distributions import tensors
from tfmdn.export import signatures
from tfmdn.layers import families, specs

tfd = tfp.distributions

EVENT_SHAPES = [(), (1,), (3,)]
# family, covariance, event_shape, of families that share their code with others: each covariance and shape once. What
# is true of all is tested of them in test_families, and the rest in test_further_families.
FURTHER_COMPONENTS = [
    ("gamma", "diag", ()),
    ("gamma", "diag", (3,)),
    ("weibull", "diag", ()),
    ("weibull", "diag", (1,)),
    ("gumbel", "diag", ()),
    ("gumbel", "spherical", (3,)),
    ("von_mises", "diag", ()),
    ("von_mises", "diag", (3,)),
]
FURTHER = {family for family, *_ in FURTHER_COMPONENTS}
POSITIVE = [name for name, family in families.FAMILIES.items() if family.is_positive]
# All that can be combined of the others.
COMPONENTS = [
    (family, covariance, event_shape)
    for family in families.FAMILIES
    for covariance in specs.COVARIANCES
    for event_shape in EVENT_SHAPES
    if family not in FURTHER and (covariance != "full" or (family == "normal" and event_shape != ()))
]
# One of each class of distribution: for what only sees the distribution, not how a layer makes its parameters.
DISTRIBUTIONS = [case for case in COMPONENTS if case[1] != "spherical" and case[2] != (1,)]
SCALAR_COMPONENTS = [case for case in COMPONENTS if case[1:] == ("diag", ())]


def two_replicas() -> tf.distribute.Strategy:
    """A strategy over the two logical CPUs that conftest.py makes."""
    # TensorFlow's collectives on CPUs confuse one strategy's variables with those of an earlier one in the process.
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())


@contextlib.contextmanager
def serving_alone():
    """SavedModels have `serving_default` alone: each signature takes a second, and test_saved_model has them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "mixtures", lambda *_: {})
        yield


def weights_of_members(ensemble: tfmdn.Ensemble) -> list[list[np.ndarray]]:
    """The weights of each member of an ensemble."""
    weights = [[] for _ in range(ensemble.num_members)]
    for variable, members in ensemble.member_variables:
        for own, value in zip(weights[members], variable.numpy()):
            own.append(value)
    return weights


def case_name(case) -> str:
    family, covariance, event_shape = case
    return f"{family}-{covariance}-{'x'.join(map(str, event_shape)) or 'scalar'}"


def layer_of(case, num_components=4, **kwargs) -> tfmdn.MDNLayer:
    family, covariance, event_shape = case
    return tfmdn.MDNLayer(num_components, event_shape, family=family, covariance=covariance, **kwargs)


def mixture_of(case, batch_shape=(5,), num_components=4, **kwargs) -> tfmdn.Mixture:
    """The output of a layer with large random weights, so that rows and components differ."""
    features = np.random.default_rng(3).normal(size=(*batch_shape, 6)).astype("float32")
    return layer_of(case, num_components, kernel_initializer="he_normal", **kwargs)(0.5 * features)


class CutVonMises:
    """SciPy's von Mises distribution of angles between -pi and pi."""

    def __init__(self, loc, scale):
        self._periodic = scipy.stats.vonmises(scale**-2, loc)
        self._length = scipy.special.i1e(scale**-2) / scipy.special.i0e(scale**-2)

    def logpdf(self, y):
        return self._periodic.logpdf(y)

    def cdf(self, y):
        return self._periodic.cdf(y) - self._periodic.cdf(-np.pi)

    def sf(self, y):
        return self._periodic.cdf(np.pi) - self._periodic.cdf(y)

    def ppf(self, p):
        return scipy.optimize.brentq(lambda y: self.cdf(y) - p, -np.pi, np.pi)

    def std(self):
        return np.sqrt(-2 * np.log(self._length))


class SciPyMixture:
    """A `Mixture` of batch shape `[B]` by SciPy, in float64."""

    def __init__(self, case, mixture: tfmdn.Mixture):
        self.family = case[0]
        self.logits = np.asarray(mixture.mixture_distribution.logits, np.float64)
        parameters = tensors.parameters(mixture.components_distribution)
        self.parameters = {key: np.asarray(value, np.float64) for key, value in parameters.items()}
        self.event_shape = case[2]

    @functools.cached_property
    def probs(self):
        return scipy.special.softmax(self.logits, -1)

    @functools.cache  # noqa: B019 - it lives as long as a test
    def univariate(self, index):
        """The distribution of one scalar: `index` is (row, component) and, for vectors, the coordinate."""
        p = {key: value[index] for key, value in self.parameters.items()}
        scale = p.get("scale", p.get("scale_diag"))
        return {
            "normal": lambda: scipy.stats.norm(p["loc"], scale),
            "laplace": lambda: scipy.stats.laplace(p["loc"], scale),
            "logistic": lambda: scipy.stats.logistic(p["loc"], scale),
            "student_t": lambda: scipy.stats.t(p["df"], p["loc"], scale),
            "lognormal": lambda: scipy.stats.lognorm(scale, scale=np.exp(p["loc"])),
            "gamma": lambda: scipy.stats.gamma(1 + scale**-2, scale=np.exp(p["loc"]) / (1 + scale**-2)),
            "weibull": lambda: scipy.stats.weibull_min(1 + 1 / scale, scale=np.exp(p["loc"])),
            "gumbel": lambda: scipy.stats.gumbel_r(p["loc"], scale),
            "von_mises": lambda: CutVonMises(p["loc"], scale),
        }[self.family]()

    def component_log_prob(self, row, k, y):
        if "scale_tril" in self.parameters:
            scale_tril = self.parameters["scale_tril"][row, k]
            return scipy.stats.multivariate_normal(self.parameters["loc"][row, k], scale_tril @ scale_tril.T).logpdf(y)
        if not self.event_shape:
            return self.univariate((row, k)).logpdf(y)
        return sum(self.univariate((row, k, d)).logpdf(y[..., d]) for d in range(self.event_shape[0]))

    def log_prob(self, row, y):
        """log p(y) for y `[n, *E]` under row `row` of the batch."""
        y = np.asarray(y, np.float64)
        log_probs = [self.component_log_prob(row, k, y) for k in range(self.logits.shape[-1])]
        return scipy.special.logsumexp(np.stack(log_probs, -1) + scipy.special.log_softmax(self.logits[row]), -1)

    def cdf(self, row, y):
        """P(Y <= y) of scalar mixtures."""
        return sum(p * self.univariate((row, k)).cdf(y) for k, p in enumerate(self.probs[row]))

    def survival_function(self, row, y):
        """P(Y > y) of scalar mixtures."""
        return sum(p * self.univariate((row, k)).sf(y) for k, p in enumerate(self.probs[row]))

    def quantile(self, row, probability):
        """The y of scalar mixtures at which cdf is `probability`."""
        return scipy.optimize.brentq(lambda y: self.cdf(row, y) - probability, *self.span(row)[:2], xtol=1e-12)

    def span(self, row):
        """An interval of scalar mixtures outside of which the probability is 1e-9, and points where it bends."""
        tails = [
            [self.univariate((row, k)).ppf(q) for q in (1e-10, 0.25, 0.5, 0.75, 1 - 1e-10)]
            for k in range(len(self.probs[row]))
        ]
        return np.min(tails), np.max(tails), np.unique(np.array(tails)[:, 1:-1])
