"""Angles by SciPy, as in `fuzz_truth`, and what the truth of each family is."""

from __future__ import annotations

import math

import numpy as np
import scipy.special as sp
from fuzz_positive import Gamma, LogNormal, Weibull
from fuzz_truth import INF, NODE_WEIGHTS, NODES, PANELS, Gumbel, Laplace, Logistic, Normal, StudentT


class VonMises(Normal):
    """Of angles, cut at -pi and pi."""

    def _inverse(self):
        return 1.0 / np.maximum(self.scale, 1e-6)

    def log_pdf(self, y):
        # At infinity there is no density, as of any other family, and all of the probability lies before it.
        return np.where(np.isinf(y), -INF, self._log_density(np.where(np.isinf(y), 0.0, y)))

    def _log_density(self, y):
        inverse = self._inverse()
        norm = math.log(2 * math.pi) + np.log(sp.i0e(np.square(inverse)))
        return -2.0 * np.square(np.sin(0.5 * (y - self.loc)) * inverse) - norm

    def log_cdf(self, y):
        value = self._log_between(-math.pi, wrapped(np.where(np.isinf(y), 0.0, y)))
        return np.where(np.isinf(y), np.where(y > 0.0, 0.0, -INF), value)

    def log_sf(self, y):
        value = self._log_between(wrapped(np.where(np.isinf(y), 0.0, y)), math.pi)
        return np.where(np.isinf(y), np.where(y > 0.0, -INF, 0.0), value)

    def _log_between(self, start, end):
        """By quadrature in panels from the peak outwards, on the shorter ways round."""
        start, end, loc, scale = np.broadcast_arrays(start, end, wrapped(self.loc), 1.0 / self._inverse())
        total = np.full(start.shape, -INF)
        for turn in (-2.0 * math.pi, 0.0, 2.0 * math.pi):  # the peaks to the left, in between and to the right
            low = np.maximum(start, loc + turn - math.pi)
            high = np.minimum(end, loc + turn + math.pi)
            for sign in (-1.0, 1.0):
                near, far = (low, high) if sign > 0 else (-high, -low)
                near, far = near - sign * (loc + turn), far - sign * (loc + turn)
                first = np.maximum(near, 0.0)
                for inner, outer in zip(PANELS, [*PANELS[1:], INF]):
                    # From the point of departure, too: beyond it the density falls by itself.
                    left = np.maximum(first, 0.0) + inner * np.minimum(scale, scale**2 / np.maximum(first, scale))
                    right = np.maximum(first, 0.0) + outer * np.minimum(scale, scale**2 / np.maximum(first, scale))
                    left, right = np.minimum(left, far), np.minimum(right, far)
                    half = 0.5 * np.maximum(right - left, 0.0)
                    at = left[..., np.newaxis] + half[..., np.newaxis] * (1.0 + NODES)
                    exponent = -2.0 * np.square(np.sin(0.5 * at) / scale[..., np.newaxis])
                    with np.errstate(divide="ignore"):
                        part = sp.logsumexp(exponent, b=NODE_WEIGHTS, axis=-1) + np.log(half)
                    total = np.logaddexp(total, part)
        norm = math.log(2 * math.pi) + np.log(sp.i0e(1.0 / np.square(scale)))
        return np.where(np.isnan(start + end), np.nan, np.minimum(total - norm, 0.0))

    def points(self, z):
        return np.clip(self.loc + self.scale * z, -math.pi, math.pi)

    def moments(self):
        """The direction, and the circular standard deviation."""
        square = np.square(self._inverse())
        direct = -2.0 * np.log(sp.i1e(square) / sp.i0e(square))
        series = 1.0 / square + 0.5 / square**2 + 13.0 / 24.0 / square**3
        return wrapped(self.loc + 0.0 * self.scale), np.sqrt(np.where(square > 1e4, series, direct)) + 0.0 * self.loc


def wrapped(angle):
    turned = angle - 2 * math.pi * np.round(angle / (2 * math.pi))
    # The nearest float32 to pi lies beyond it.
    return np.where(np.abs(angle) > math.pi + 1e-6, turned, np.clip(angle, -math.pi, math.pi))


FAMILIES = {
    "normal": Normal,
    "laplace": Laplace,
    "logistic": Logistic,
    "student_t": StudentT,
    "lognormal": LogNormal,
    "gamma": Gamma,
    "weibull": Weibull,
    "gumbel": Gumbel,
    "von_mises": VonMises,
}
