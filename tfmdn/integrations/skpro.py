"""tfmdn as a part of skpro: an estimator, and the distribution that it predicts.

It is imported when it is asked for, by `from tfmdn.integrations.skpro import MDNProbaRegressor` (extra `skpro`).

Shapes in comments: S samples, n rows, K components, d outputs.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import sklearn
import tensorflow as tf
import tensorflow_probability as tfp

try:
    from skpro.distributions.base import BaseDistribution
    from skpro.regression.base import BaseProbaRegressor
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "skpro":
        raise
    raise ImportError("tfmdn.integrations.skpro needs skpro: pip install 'tfmdn[skpro]'.") from error

from tfmdn import numerics
from tfmdn.distributions import kinds, ranked_probability, tensors
from tfmdn.distributions.mixture import Mixture
from tfmdn.tabular.regressor import MDNRegressor

tfd = tfp.distributions


class MixtureDistribution(BaseDistribution):
    """A `tfmdn.Mixture` as a distribution of skpro: a table of n rows and d columns.

    `pdf`, `log_pdf`, `cdf`, `ppf`, `mean` and `var` are of each entry by itself, as everywhere in skpro, and as exact
    as the mixture's own; so is `energy`, from which skpro computes the CRPS. `sample` draws the columns of a row
    together. Where single values have a probability, as limits and counts may, they have a `pmf`, and no `pdf`.

    Args:
      mixture: a mixture of batch shape `(n,)`, and of event shape `()` for one column or `(d,)` for several; or one of
        a single number, of batch and event shape `()`.
      index: the labels of the rows; None means 0, 1, and so on.
      columns: the labels of the columns; None means 0, 1, and so on.

    Raises:
      ValueError: if the mixture has another shape.

    Example:

    >>> import tensorflow_probability as tfp
    >>> import tfmdn
    >>> from tfmdn.integrations.skpro import MixtureDistribution
    >>> mixture = tfmdn.Mixture(
    ...     tfp.distributions.Categorical(probs=[[0.25, 0.75], [0.5, 0.5]]),
    ...     tfp.distributions.Normal([[-1.0, 1.0], [0.0, 4.0]], 1.0),
    ... )
    >>> MixtureDistribution(mixture, columns=["y"]).mean()
         y
    0  0.5
    1  2.0
    """

    _tags: ClassVar[dict] = {
        "capabilities:exact": ["mean", "var", "energy", "pdf", "log_pdf", "pmf", "log_pmf", "cdf", "ppf"],
        "capabilities:approx": ["pdfnorm"],
        "distr:measuretype": "mixed",
        "distr:paramtype": "composite",
        "broadcast_init": "off",
    }

    def __init__(self, mixture: Mixture, index: Any = None, columns: Any = None):
        self.mixture = mixture
        shape = mixture.batch_shape + mixture.event_shape
        if mixture.batch_shape.rank > 1 or mixture.event_shape.rank > mixture.batch_shape.rank:
            raise ValueError(
                "`mixture` must have batch shape (n,) and event shape () or (d,), or be of a single number. "
                f"Received: batch shape {mixture.batch_shape}, event shape {mixture.event_shape}."
            )
        if shape.rank:
            index = pd.RangeIndex(shape[0]) if index is None else index
            columns = pd.RangeIndex(1 if shape.rank == 1 else shape[1]) if columns is None else columns
        super().__init__(index=index, columns=columns)
        if not kinds.has_jumps(tensors.marginals(mixture.components_distribution)):
            self.set_tags(**{"distr:measuretype": "continuous"})

    # Of each entry by itself. What comes and goes is [n, d], or () of a single number.

    def _mean(self):
        return self._table(self.mixture.mean())

    def _var(self):
        return self._table(self.mixture.variance())

    def _cdf(self, x):
        return self._table(self.mixture.cdf(self._events(x)))

    def _surv(self, x):
        return self._table(self.mixture.survival_function(self._events(x)))

    def _ppf(self, p):
        return self._table(self.mixture.quantile(self._events(p)))

    def _pmf(self, x):
        return self._table(self.mixture.prob_of(self._events(x)))

    def _log_pmf(self, x):
        with np.errstate(divide="ignore"):
            return np.log(self._pmf(x))

    def _pdf(self, x):
        return np.exp(self._log_pdf(x))

    def _log_pdf(self, x):
        log_density = self._table(self._log_density(self._events(x)))
        return np.where(self._pmf(x) > 0.0, -np.inf, log_density)[()]

    def _log_density(self, y: tf.Tensor) -> tf.Tensor:
        if self.mixture.event_shape.rank == 0:
            return self.mixture.log_prob(y)
        columns = range(self.mixture.event_shape[0])
        return tf.stack([self.mixture.marginal(column).log_prob(y[..., column]) for column in columns], -1)

    def pdfnorm(self, a: float = 2) -> pd.DataFrame | float:
        """As skpro's: from draws, but from all of them at once."""
        if a == 1:
            return super().pdfnorm(a)
        draws = self._draws(self.get_tag("approx_spl"))  # [S, n, d]
        is_density = self.mixture.prob_of(draws) == 0.0
        powers = tf.exp((a - 1) * self._log_density(draws))
        norms = self._table(tf.reduce_mean(tf.where(is_density, powers, tf.zeros_like(powers)), 0))
        return pd.DataFrame(norms, self.index, self.columns) if self.ndim else norms

    # Of all entries of a row

    def _energy_self(self):
        return self._sum_of_row(2.0 * ranked_probability.half_difference(*self._marginals))

    def _energy_x(self, x):
        marginals, weights, axis = self._marginals
        score = ranked_probability.crps(marginals, weights, self._events(x), axis)
        return self._sum_of_row(score + ranked_probability.half_difference(marginals, weights, axis))

    @property
    def _marginals(self) -> tuple[tfd.Distribution, tf.Tensor, int]:
        """The components of each entry and their weights `[n, K, d]`, and where K is."""
        rank = self.mixture.event_shape.rank
        weights = self.mixture.mixture_distribution.probs_parameter()
        marginals = tensors.marginals(self.mixture.components_distribution)
        return marginals, numerics.with_trailing_axes(weights, rank), -1 - rank

    def _sample(self, n_samples=None):
        draws = self._draws(1 if n_samples is None else n_samples).numpy()
        if not self.ndim:
            return draws[0] if n_samples is None else pd.DataFrame(draws)
        index = self.index
        if n_samples is not None:
            index = pd.concat([pd.DataFrame(index=index)] * n_samples, keys=range(n_samples)).index
        return pd.DataFrame(draws.reshape(-1, self.shape[1]), index=index, columns=self.columns)

    def _draws(self, n: int) -> tf.Tensor:
        """`[n, *B, *E]`, by the global seed of NumPy, as skpro draws."""
        return self.mixture.sample(n, seed=int(np.random.randint(np.iinfo(np.int32).max)))  # noqa: NPY002

    # Parts

    def _iloc(self, rowidx=None, colidx=None):
        if np.isscalar(rowidx) and np.isscalar(colidx):
            return self._iat(rowidx, colidx)
        rows, columns = (
            np.arange(size)[slice(None) if own is None else own].reshape(-1)
            for size, own in zip(self.shape, (rowidx, colidx))
        )
        part = tensors.map(lambda value, axis: tf.gather(value, rows, axis=axis), self.mixture, axis=0)
        if self.mixture.event_shape.rank:
            part = part.marginal(columns.tolist())
        return type(self)(part, self.index.take(rows), self.columns.take(columns))

    def _iat(self, rowidx=None, colidx=None):
        part = self._iloc([rowidx], [colidx]).mixture
        return type(self)((part.marginal(0) if part.event_shape.rank else part)[0])

    # Between tables and the mixture

    def _events(self, table) -> tf.Tensor:
        return tf.reshape(tf.cast(table, self.mixture.dtype), self.mixture.shape)

    def _table(self, events: tf.Tensor) -> np.ndarray:
        return events.numpy().reshape(self.shape)[()]

    def _sum_of_row(self, events: tf.Tensor) -> np.ndarray:
        table = self._table(events)
        return table.sum(1, keepdims=True) if self.ndim else table

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict]:
        """What skpro's tests make instances of: one column, two columns, and a single number."""
        logits, loc = (
            tf.constant([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]),
            tf.constant([[0.0, 3.0], [1.0, 4.0], [2.0, 9.0]]),
        )
        one = Mixture(tfd.Categorical(logits=logits), tfd.Normal(loc, 1.0))
        two = Mixture(tfd.Categorical(logits=logits), tfd.MultivariateNormalDiag(tf.stack([loc, -loc], -1), [1.0, 2.0]))
        single = Mixture(tfd.Categorical(logits=[0.0, 1.0]), tfd.Laplace([0.0, 3.0], [1.0, 2.0]))
        return [{"mixture": one}, {"mixture": two, "index": [1, 2, 5], "columns": ["a", "b"]}, {"mixture": single}]


class MDNProbaRegressor(BaseProbaRegressor):
    """`tfmdn.MDNRegressor` as an estimator of skpro: what it predicts is a `MixtureDistribution`.

    It goes into skpro's pipelines, searches, metrics and ensembles. Of several outputs the distribution is a joint one.
    Targets that are censored, as the 1 in `C` of `fit(X, y, C)` say, are known to be no less than they are.

    Args:
      regressor: the settings, an `MDNRegressor` without `intervals`, which is cloned and stays as it is. None means the
        default ones. Their names for searches begin with `regressor__`.

    Attributes:
      regressor_: the fitted `MDNRegressor`.

    Example:

    >>> import pandas as pd
    >>> import tfmdn
    >>> from tfmdn.integrations.skpro import MDNProbaRegressor
    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(200, seed=0)
    >>> X, y = pd.DataFrame(x, columns=["x"]), pd.DataFrame(y, columns=["y"])
    >>> settings = tfmdn.MDNRegressor(n_estimators=2, max_steps=100, random_state=0)
    >>> predicted = MDNProbaRegressor(settings).fit(X, y).predict_proba(X)
    >>> predicted.cdf(y).shape
    (200, 1)
    """

    _tags: ClassVar[dict] = {
        "capability:multioutput": True,
        "capability:missing": True,
        "capability:survival": True,
        "X_inner_mtype": "pd_DataFrame_Table",
        "y_inner_mtype": "pd_DataFrame_Table",
    }

    def __init__(self, regressor: MDNRegressor | None = None):
        self.regressor = regressor
        super().__init__()

    def _fit(self, X, y, C=None):
        settings = MDNRegressor() if self.regressor is None else sklearn.base.clone(self.regressor)
        self._names = y.columns
        if C is not None and (C.to_numpy() != 0).any():
            low = y.to_numpy(float)  # [n, d]
            y = np.stack([low, np.where(C.to_numpy() != 0, np.inf, low)], -1)
            settings.set_params(intervals=True)
        self.regressor_ = settings.fit(X, y)
        return self

    def _predict(self, X):
        mean = np.reshape(self.regressor_.predict(X), (len(X), -1))
        return pd.DataFrame(mean, index=X.index, columns=self._names)

    def _predict_proba(self, X):
        return MixtureDistribution(self.regressor_.predict_dist(X), X.index, self._names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict]:
        """What skpro's tests make instances of: small ones, which learn little."""
        small = {"num_components": 2, "max_steps": 20, "hidden_units": (8,), "random_state": 0}
        return [
            {"regressor": MDNRegressor(n_estimators=1, **small)},
            {"regressor": MDNRegressor(n_estimators=2, family="laplace", **small)},
        ]
