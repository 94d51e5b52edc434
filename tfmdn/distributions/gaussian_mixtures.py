"""scikit-learn's Gaussian mixtures as TFP's normal components.

Shapes in comments: K components, D coordinates.
"""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow_probability as tfp

tfd = tfp.distributions

# How many numbers of components are tried in vain, and how often EM goes over rows that hardly differ from others.
MOST_IN_VAIN, REFITTING = 2, 20


def logits_and_components(gaussian_mixture) -> tuple[np.ndarray, tfd.Distribution]:
    """The logits `[K]` and the components of batch shape `[K]` and event shape `(D,)`, in float64.

    Args:
      gaussian_mixture: a fitted `sklearn.mixture.GaussianMixture` or `BayesianGaussianMixture`.

    Raises:
      TypeError: if it is neither.
      ValueError: if it is not fitted.
    """
    covariance_type = getattr(gaussian_mixture, "covariance_type", None)
    if covariance_type not in COMPONENTS:
        raise TypeError(
            "`gaussian_mixture` must be a GaussianMixture or BayesianGaussianMixture of scikit-learn. "
            f"Received: {gaussian_mixture!r}."
        )
    if not hasattr(gaussian_mixture, "covariances_"):
        raise ValueError(f"`gaussian_mixture` must be fitted: call its `fit` first. Received: {gaussian_mixture!r}.")
    weights, means, covariances = (
        np.asarray(getattr(gaussian_mixture, name), np.float64) for name in ("weights_", "means_", "covariances_")
    )
    with np.errstate(divide="ignore"):  # a weight of 0 has the logit -inf
        return np.log(weights), COMPONENTS[covariance_type](means, covariances)


def _full(means, covariances):
    scale_tril = np.linalg.cholesky(covariances)  # [K, D, D], or [D, D] for all
    return tfd.MultivariateNormalTriL(means, scale_tril)


def _diag(means, variances):
    return tfd.MultivariateNormalDiag(means, np.sqrt(variances))


def _spherical(means, variances):
    return _diag(means, np.broadcast_to(variances[:, np.newaxis], means.shape))


def fit(rows: np.ndarray, max_components: int, covariance_type: str = "full") -> tuple[np.ndarray, ...]:
    """The unconditional mixture of rows `[n, D]`: of as many components as the BIC chooses, at most `max_components`.

    Args:
      rows: two rows or more, all finite.
      max_components: the largest number of components that is tried.
      covariance_type: "full" or "diag".

    Returns:
      The logarithms of the weights `[K]`, the means `[K, D]`, and the Cholesky factors `[K, D, D]` or, of "diag", the
      standard deviations `[K, D]`.

    Raises:
      ImportError: if scikit-learn is not installed.
    """
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise ImportError(
            "An unconditional mixture is fitted by scikit-learn: pip install 'tfmdn[sklearn]'."
        ) from error
    location, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (rows - location) / scale  # scikit-learn keeps scales above an absolute 1e-3
    most = min(max_components, len(np.unique(standard, axis=0)), len(rows) - 1)
    fits = [
        GaussianMixture(k, covariance_type=covariance_type, random_state=0).fit(standard) for k in range(1, most + 1)
    ]
    best = min(fits, key=lambda fit: fit.bic(standard))
    if covariance_type == "full":
        factors = scale[:, np.newaxis] * np.linalg.cholesky(best.covariances_)
    else:
        factors = scale * np.sqrt(best.covariances_)
    return np.log(best.weights_), location + scale * best.means_, factors


def fit_joint(rows: np.ndarray, max_components: int, min_scale: float):
    """scikit-learn's mixture with full covariances of rows `[n, D]`, of as many components as the BIC chooses.

    Args:
      rows: standardised and finite.
      max_components: the largest number of components that is tried. The search ends where two more of them in a row
        have not lowered the BIC.
      min_scale: the smallest standard deviation in any direction.
    """
    from sklearn.mixture import GaussianMixture

    best, least, since = None, np.inf, 0
    for k in range(1, min(max_components, len(rows) - 1) + 1):
        found = GaussianMixture(k, reg_covar=min_scale**2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EM that has not converged, and of rows that are alike
            bic = found.fit(rows).bic(rows)
        best, least, since = (found, bic, 0) if bic < least else (best, least, since + 1)
        if since == MOST_IN_VAIN:
            break
    return best


def refit(gaussian_mixture, rows: np.ndarray):
    """A mixture of `fit_joint` for other rows `[n, D]`, starting from what it is."""
    from sklearn.mixture import GaussianMixture

    start = {f"{name}_init": getattr(gaussian_mixture, f"{name}_") for name in ("weights", "means", "precisions")}
    found = GaussianMixture(
        gaussian_mixture.n_components, reg_covar=gaussian_mixture.reg_covar, max_iter=REFITTING, random_state=0, **start
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return found.fit(rows)


# By scikit-learn's covariance_type.
COMPONENTS = {"full": _full, "tied": _full, "diag": _diag, "spherical": _spherical}
