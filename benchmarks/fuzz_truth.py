"""What univariate components are by SciPy, in float64 and in logarithms, so that no tail is rounded to 0 or 1.

A kind of components is a class of three functions of y: `log_pdf`, `log_cdf` and `log_sf`, and of its `moments`. Its
parameters are arrays, which broadcast with y.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import scipy.special as sp

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
EULER = 0.57721566490153286
INF = math.inf


def log_difference(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    """log(exp(larger) - exp(smaller)); -inf where that is not above 0."""
    gap = np.minimum(np.where(smaller == -INF, INF, larger - smaller), 1e4)
    gap = np.where(larger == -INF, 0.0, gap)
    log_complement = np.where(gap < 0.7, np.log(-np.expm1(-np.maximum(gap, 0.0))), np.log1p(-np.exp(-gap)))
    return np.where(gap > 0.0, larger + log_complement, -INF)


def log_normal_between(start: np.ndarray, end: np.ndarray, width: np.ndarray | None = None) -> np.ndarray:
    """The log probability of a standard normal between two points, exact in both tails and where they are close.

    `width` is how far they are apart, where more digits of it are known.
    """
    is_right = start + end > 0.0
    low, high = np.where(is_right, -end, start), np.where(is_right, -start, end)
    wide = log_difference(sp.log_ndtr(high), sp.log_ndtr(low))
    width, middle = high - low if width is None else width, 0.5 * (high + low)
    width, middle = np.where(np.isfinite(width), width, INF), np.where(np.isfinite(middle), middle, 0.0)
    # The density is a parabola in the logarithm: its mean over a narrow interval is that in the middle, but for the
    # second derivative.
    curved = np.log1p((np.square(middle) - 1.0) * np.square(np.minimum(width, 1.0)) / 24.0)
    narrow = np.log(np.maximum(width, 0.0)) - 0.5 * np.square(middle) - HALF_LOG_TWO_PI + curved
    is_narrow = (width < 1e-3) & (np.abs(middle) * width < 1e-3)
    return np.where(width <= 0.0, -INF, np.where(is_narrow, narrow, wide))


@dataclasses.dataclass
class Normal:
    loc: np.ndarray
    scale: np.ndarray

    def z(self, y):
        return (y - self.loc) / self.scale

    def log_pdf(self, y):
        return -0.5 * np.square(self.z(y)) - np.log(self.scale) - HALF_LOG_TWO_PI

    def log_cdf(self, y):
        return sp.log_ndtr(self.z(y))

    def log_sf(self, y):
        return sp.log_ndtr(-self.z(y))

    def moments(self):
        return self.loc + 0.0 * self.scale, self.scale + 0.0 * self.loc

    def points(self, z):
        """Where panels of integrals can end, for z from -40 to 40 standard deviations or what is like them."""
        return self.loc + self.scale * z


class Laplace(Normal):
    def log_pdf(self, y):
        return -np.abs(self.z(y)) - np.log(2.0 * self.scale)

    def log_cdf(self, y):
        z = self.z(y)
        return np.where(z < 0, z - math.log(2.0), np.log1p(-0.5 * np.exp(-np.abs(z))))

    def log_sf(self, y):
        z = self.z(y)
        return np.where(z > 0, -z - math.log(2.0), np.log1p(-0.5 * np.exp(-np.abs(z))))

    def moments(self):
        return self.loc + 0.0 * self.scale, math.sqrt(2.0) * self.scale + 0.0 * self.loc


class Logistic(Normal):
    def log_pdf(self, y):
        z = np.abs(self.z(y))
        return -z - 2.0 * np.log1p(np.exp(-z)) - np.log(self.scale)

    def log_cdf(self, y):
        return sp.log_expit(self.z(y))

    def log_sf(self, y):
        return sp.log_expit(-self.z(y))

    def moments(self):
        return self.loc + 0.0 * self.scale, math.pi / math.sqrt(3.0) * self.scale + 0.0 * self.loc


class Gumbel(Normal):
    def log_pdf(self, y):
        z = self.z(y)
        return np.where(np.isinf(z), -INF, -z - np.exp(-z) - np.log(self.scale))

    def log_cdf(self, y):
        return -np.exp(-self.z(y))

    def log_sf(self, y):
        return np.log(-np.expm1(-np.exp(-self.z(y))), where=self.z(y) < 700, out=-self.z(y) + 0.0 * self.loc)

    def moments(self):
        return self.loc + EULER * self.scale, math.pi / math.sqrt(6.0) * self.scale + 0.0 * self.loc

    def points(self, z):
        return self.loc + self.scale * np.where(z < 0, -np.log1p(np.maximum(-z, 0.0)), z)


@dataclasses.dataclass
class StudentT(Normal):
    df: np.ndarray

    def log_pdf(self, y):
        z, half = self.z(y), 0.5 * self.df
        # For many degrees of freedom the difference of two logarithms of gamma functions has few digits.
        ratio = np.where(
            half > 50.0, _log_gamma_ratio(np.maximum(half, 50.0)), sp.gammaln(half + 0.5) - sp.gammaln(half)
        )
        log_norm = ratio - 0.5 * np.log(self.df * math.pi) - np.log(self.scale)
        root = np.abs(z) / np.sqrt(self.df)
        log_square = np.where(
            root < 1e8, np.log1p(np.square(np.minimum(root, 1e8))), 2.0 * np.log(np.maximum(root, 1.0))
        )
        return log_norm - (half + 0.5) * log_square

    def log_tail(self, z):
        """log P(T > z) for z > 0."""
        half = 0.5 * self.df
        root = z / np.sqrt(self.df)
        x = 1.0 / (1.0 + np.square(np.minimum(root, 1e100)))
        with np.errstate(divide="ignore"):
            moderate = np.log(0.5 * sp.betainc(half, 0.5, x))
        # I_x(a, b) = x^a (1 + a (1 - b) x / (a + 1) + ...) / (a B(a, b)) for a small x.
        log_x = -2.0 * np.log(np.maximum(root, 1.0))
        far = half * log_x - np.log(half) - sp.betaln(half, 0.5) - math.log(2.0)
        # Close to the centre x is 1 but for its rounding, of which the function makes the square root.
        rest = np.where(z < 1.0, np.square(np.minimum(root, 1.0)) * x, 0.0)
        near = np.log1p(-sp.betainc(0.5, half, rest)) - math.log(2.0)
        return np.where(z < 1.0, near, np.where(root > 1e9, far, moderate))

    def log_cdf(self, y):
        return self._log_above(-self.z(y))

    def log_sf(self, y):
        return self._log_above(self.z(y))

    def _log_above(self, z):
        tail = self.log_tail(np.abs(z))
        return np.where(z > 0, tail, np.log1p(-np.exp(tail)))

    def moments(self):
        return self.loc + 0.0 * self.scale, self.scale * np.sqrt(self.df / (self.df - 2.0)) + 0.0 * self.loc

    def points(self, z):
        return self.loc + self.scale * np.sinh(z)


def _log_gamma_ratio(a):
    """log(gamma(a + 1/2) / gamma(a)) for a large a."""
    return 0.5 * np.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


# The rule of integrals from a point outwards, and the ends of panels in standard deviations from it.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)
PANELS = np.array([0.0, 1.0, 2.5, 5.0, 9.0, 16.0, 40.0])
