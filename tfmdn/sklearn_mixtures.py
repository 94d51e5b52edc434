"""scikit-learn's Gaussian mixtures as TFP's normal components.

Shapes in comments: K components, D coordinates.
"""

from __future__ import annotations

import numpy as np
import tensorflow_probability as tfp

tfd = tfp.distributions


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


# By scikit-learn's covariance_type.
COMPONENTS = {"full": _full, "tied": _full, "diag": _diag, "spherical": _spherical}
