"""Components of positive values by SciPy, as in `fuzz_truth`: through the distributions of their logarithms."""

from __future__ import annotations

import math

import numpy as np
import scipy.special as sp
from fuzz_truth import INF, NODE_WEIGHTS, NODES, PANELS, Gumbel, Normal


class OfLogarithm(Normal):
    """y > 0 of which the logarithm has the distribution `of_log`."""

    def of_log(self):
        raise NotImplementedError

    def _at(self, method, y, outside):
        with np.errstate(divide="ignore", invalid="ignore"):
            value = getattr(self.of_log(), method)(np.log(np.where(y > 0, y, 1.0)))
        at_infinity = 0.0 if method == "log_cdf" else -INF
        value = np.where(y == INF, at_infinity, np.where(y > 0, value, outside))
        return np.where(np.isnan(y), np.nan, value)

    def log_pdf(self, y):
        return self._at("log_pdf", y, -INF) - np.log(np.where((y > 0) & (y < INF), y, 1.0))

    def log_cdf(self, y):
        return self._at("log_cdf", y, -INF)

    def log_sf(self, y):
        return self._at("log_sf", y, 0.0)

    def points(self, z):
        return np.exp(np.clip(self.of_log().points(z), -700.0, 700.0))


class LogNormal(OfLogarithm):
    def of_log(self):
        return Normal(self.loc, self.scale)

    def moments(self):
        square = np.square(self.scale)
        mean = np.exp(self.loc + 0.5 * square)
        return mean, mean * np.sqrt(np.expm1(square))


class LogWeibull(Gumbel):
    """A Gumbel distribution of minima."""

    def log_pdf(self, y):
        z = self.z(y)
        return np.where(np.isinf(z), -INF, z - np.exp(z) - np.log(self.scale))

    def log_sf(self, y):
        return -np.exp(self.z(y))

    def log_cdf(self, y):
        z = self.z(y)
        return np.where(z < -700, z, np.log(-np.expm1(-np.exp(np.maximum(z, -700.0)))))

    def points(self, z):
        return self.loc + self.scale * np.where(z > 0, np.log1p(np.maximum(z, 0.0)), z)


class Weibull(OfLogarithm):
    def of_log(self):
        return LogWeibull(self.loc, self.scale / (1.0 + self.scale))

    def moments(self):
        inverse = self.scale / (1.0 + self.scale)
        mean = np.exp(self.loc + sp.gammaln(1.0 + inverse))
        # The logarithm of E y^2 / (E y)^2; its series for small inverses, zeta(2) x^2 - 2 zeta(3) x^3 + ...
        direct = sp.gammaln(1.0 + 2.0 * inverse) - 2.0 * sp.gammaln(1.0 + inverse)
        orders = np.arange(2, 12)
        terms = [(-1.0) ** n * sp.zeta(n) / n * (2.0**n - 2.0) * inverse**n for n in orders]
        return mean, mean * np.sqrt(np.expm1(np.where(inverse < 0.02, sum(terms), direct)))


class LogGamma(Normal):
    """log y of a gamma y of mean exp(loc) and shape 1 + 1 / scale^2."""

    def _shape(self):
        return 1.0 + 1.0 / np.square(np.maximum(self.scale, 1e-6))

    def log_pdf(self, y):
        a, d = self._shape(), y - self.loc
        # a log a - lgamma(a) - a, by Stirling's series where these are large.
        large = 0.5 * np.log(a / (2 * math.pi)) - 1 / (12 * a) + 1 / (360 * a**3) - 1 / (1260 * a**5)
        norm = np.where(a > 100.0, large, a * np.log(a) - sp.gammaln(a) - a)
        return norm - a * (_expm1_less(d))

    def log_cdf(self, y):
        return self._log_tail(y, sp.gammainc, self._log_lower)

    def log_sf(self, y):
        return self._log_tail(y, sp.gammaincc, self._log_upper)

    def _log_tail(self, y, function, far):
        a, d = np.broadcast_arrays(self._shape(), y - self.loc)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            value = np.log(function(a, a * np.exp(np.minimum(d, 700.0))))
            is_far = value < -600.0
            if is_far.any():
                value = np.array(value)
                value[is_far] = far(a[is_far], d[is_far])
            is_narrow = a > 1e4
            if is_narrow.any():
                value = np.array(value)
                sign = 1.0 if function is sp.gammaincc else -1.0
                value[is_narrow] = self._by_quadrature(a[is_narrow], d[is_narrow], sign)
        return value

    def _by_quadrature(self, a, d, sign):
        """Of a narrow one, where SciPy's functions are wrong: outwards from the point, or 1 minus the other tail."""
        width, start = 1.0 / np.sqrt(a), np.abs(d)
        unit = np.minimum(width, np.square(width) / np.maximum(start, width))
        outwards = np.where(d > 0, 1.0, -1.0)
        total = np.full(d.shape, -INF)
        for inner, outer in zip(PANELS, [*PANELS[1:], 60.0]):
            half = 0.5 * (outer - inner) * unit
            at = (start + inner * unit)[..., np.newaxis] + half[..., np.newaxis] * (1.0 + NODES)
            exponent = -a[..., np.newaxis] * _expm1_less(outwards[..., np.newaxis] * at)
            total = np.logaddexp(total, sp.logsumexp(exponent, b=NODE_WEIGHTS, axis=-1) + np.log(half))
        norm = 0.5 * np.log(a / (2 * math.pi)) - 1 / (12 * a)
        tail = np.minimum(total + norm, 0.0)
        return np.where(sign * d > 0, tail, np.log1p(-np.exp(tail)))

    def _log_lower(self, a, d):
        # x^a exp(-x) / gamma(a + 1) (1 + x / (a + 1) + ...), of x = a exp(d) well below a.
        x, term, total = a * np.exp(d), 1.0, 1.0
        for n in range(1, 400):
            term = term * x / (a + n)
            total = total + term
        return LogGamma(np.zeros_like(a), 1.0 / np.sqrt(a - 1.0)).log_pdf(d) - np.log(a) + np.log(total)

    def _log_upper(self, a, d):
        # The continued fraction of gamma(a, x), from its end.
        x = a * np.exp(np.minimum(d, 700.0))
        fraction = x + 401.0 - a
        for n in range(200, 0, -1):
            fraction = x + 2.0 * n - 1.0 - a - n * (n - a) / (x + 2.0 * n + 1.0 - a if n == 200 else fraction)
        return LogGamma(np.zeros_like(a), 1.0 / np.sqrt(a - 1.0)).log_pdf(d) - np.log(fraction)

    def points(self, z):
        width = 1.0 / np.sqrt(self._shape())
        return self.loc + width * np.where(
            z > 0, 2.0 * np.log1p(np.maximum(z, 0.0)), z * (1.0 + np.square(z) * width / 8)
        )


def _expm1_less(d):
    """exp(d) - 1 - d."""
    series = 0.5 * d * d * (1 + d / 3 * (1 + d / 4 * (1 + d / 5 * (1 + d / 6 * (1 + d / 7)))))
    with np.errstate(over="ignore"):
        return np.where(np.abs(d) < 1e-2, series, np.expm1(np.clip(d, -1e300, 709.0)) - d)


class Gamma(OfLogarithm):
    def of_log(self):
        return LogGamma(self.loc, self.scale)

    def moments(self):
        mean = np.exp(self.loc) + 0.0 * self.scale
        return mean, mean * self.scale / np.sqrt(1.0 + np.square(self.scale))
