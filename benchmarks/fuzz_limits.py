"""Normal components with limits, atoms and grids by SciPy, in float64 and in logarithms: the definitions, written down.

They have what the components of `fuzz_truth` have. Of what is coarse, `log_pdf` is the logarithm of a probability where
single values have one.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import scipy.special as sp
from fuzz_truth import HALF_LOG_TWO_PI, INF, log_normal_between

WIDEST, WIDEST_CORRELATED = 8.0, 0.25  # in widths of the interval, as tfmdn says


def folded(z, low, high):
    """z, reflected at the limits until it lies between them."""
    has_low, has_high = np.isfinite(low), np.isfinite(high)
    safe_low, safe_high = np.where(has_low, low, 0.0), np.where(has_high, high, 0.0)
    width = np.where(has_low & has_high, safe_high - safe_low, 1.0)
    phase = np.mod(z - safe_low, 2.0 * width)
    wave = safe_low + np.minimum(phase, 2.0 * width - phase)
    one_low, one_high = safe_low + np.abs(z - safe_low), safe_high - np.abs(safe_high - z)
    inside = np.where(has_low & has_high, wave, np.where(has_low, one_low, np.where(has_high, one_high, z)))
    return np.where((z >= low) & (z <= high), z, np.clip(inside, low, high))


@dataclasses.dataclass
class Reflected:
    """A normal distribution, cut one width beyond two limits, and folded into them."""

    loc: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __post_init__(self):
        self.width = np.where(np.isfinite(self.low) & np.isfinite(self.high), self.high - self.low, INF)
        self.centre = folded(self.loc, self.low, self.high)
        self.sigma = np.minimum(self.scale, WIDEST * self.width)

    def _between(self, start, end, width=None):
        """The log probability of the normal between two points, neither of which may be infinitely far from itself."""
        with np.errstate(invalid="ignore"):
            width = None if width is None else width / self.sigma
            return log_normal_between((start - self.centre) / self.sigma, (end - self.centre) / self.sigma, width)

    def _total(self):
        return self._between(self.low - self.width, self.high + self.width)

    def log_pdf(self, y):
        with np.errstate(invalid="ignore"):
            images = [y, 2.0 * self.low - y, 2.0 * self.high - y]
            z = [np.where(np.isfinite(image), (image - self.centre) / self.sigma, INF) for image in images]
            images = np.stack(np.broadcast_arrays(*[-0.5 * np.square(each) for each in z]))
        value = sp.logsumexp(images, axis=0) - HALF_LOG_TWO_PI - np.log(self.sigma) - self._total()
        outside = np.where(np.isnan(y), np.nan, -INF)
        return np.where((y >= self.low) & (y <= self.high), value, outside)

    def log_cdf(self, y):
        # Widths are those from the limit itself: of a point next to it reflections at the other one have no digits.
        inside = np.clip(y, self.low, self.high)
        below = self._between(2.0 * self.low - inside, inside, 2.0 * (inside - self.low))
        above = self._between(2.0 * self.high - inside, self.high + self.width, inside - self.low)
        above = np.where(np.isfinite(self.high), above, -INF)
        value = np.minimum(np.logaddexp(below, above) - self._total(), 0.0)
        value = np.where(y >= self.high, 0.0, np.where(y <= self.low, -INF, value))
        return np.where(np.isnan(y), np.nan, value)

    def log_sf(self, y):
        inside = np.clip(y, self.low, self.high)
        above = self._between(inside, 2.0 * self.high - inside, 2.0 * (self.high - inside))
        below = self._between(self.low - self.width, 2.0 * self.low - inside, self.high - inside)
        below = np.where(np.isfinite(self.low), below, -INF)
        value = np.minimum(np.logaddexp(above, below) - self._total(), 0.0)
        value = np.where(y >= self.high, -INF, np.where(y < self.low, 0.0, value))
        return np.where(np.isnan(y), np.nan, value)

    def moments(self):
        """By Gauss and Legendre's rule in panels, and the square root of the variance about the mean."""
        nodes, weights = np.polynomial.legendre.leggauss(20)
        edges = np.linspace(-10.0, 10.0, 41)
        start = np.clip(self.centre[..., np.newaxis] + self.sigma[..., np.newaxis] * edges, None, None)
        low, high = (np.broadcast_to(end, self.centre.shape)[..., np.newaxis] for end in (self.low, self.high))
        start = np.clip(start, low, high)
        ends = np.sort(np.concatenate([start, np.where(np.isfinite(low), low, start[..., :1])], -1), -1)
        half = 0.5 * np.diff(ends)[..., np.newaxis]  # [..., panels, 1]
        y = ends[..., :-1, np.newaxis] + half * (1.0 + nodes)
        own = Reflected(*(np.asarray(v)[..., np.newaxis, np.newaxis] + np.zeros_like(y) for v in self._values()))
        mass = half * weights * np.exp(own.log_pdf(y))
        offset = y - self.centre[..., np.newaxis, np.newaxis]
        total = mass.sum((-1, -2))
        shift = (mass * offset).sum((-1, -2)) / total
        variance = (mass * np.square(offset - shift[..., np.newaxis, np.newaxis])).sum((-1, -2)) / total
        return self.centre + shift, np.sqrt(variance)

    def _values(self):
        return self.loc, self.scale, self.low, self.high

    def points(self, z):
        return np.clip(self.centre + self.sigma * z, self.low, self.high)


@dataclasses.dataclass
class Coarsened:
    """What is observed of a normal: moved to `low` and `high` where `is_moved`, rounded to steps of `resolution`.

    Without a grid the resolution is 0. Where there are mirrors the normal is reflected there before.
    """

    loc: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_moved: np.ndarray
    resolution: np.ndarray
    origin: np.ndarray
    mirror_low: np.ndarray
    mirror_high: np.ndarray

    def __post_init__(self):
        self.latent = Reflected(self.loc, self.scale, self.mirror_low, self.mirror_high)
        self.moves, self.has_grid = self.is_moved > 0.5, self.resolution > 0.0
        self.lowest, self.highest = self.nearest(self.low), self.nearest(self.high)

    def _index(self, y):
        return (y - self.origin) / np.where(self.has_grid, self.resolution, 1.0)

    def _value(self, index, y):
        return np.where(self.has_grid & np.isfinite(y), self.origin + index * self.resolution, y)

    def nearest(self, y):
        return self._value(np.round(self._index(y)), y)

    def last_up_to(self, y):
        return self._value(np.floor(self._index(y) + 1e-3), y)

    def _is(self, y, limit):
        with np.errstate(invalid="ignore"):
            slack = 1e-3 * self.resolution + 1e-14 * np.abs(limit)
            return np.isfinite(limit) & (np.abs(y - limit) <= slack)

    def log_pdf(self, y):
        y = self.nearest(y)
        at_low, at_high = self._is(y, self.lowest) & self.moves, self._is(y, self.highest) & self.moves
        half = 0.5 * self.resolution
        with np.errstate(invalid="ignore"):
            start = np.where(at_low, -INF, np.where(self.has_grid, y - half, y))
            end = np.where(at_high, INF, np.where(self.has_grid, y + half, y))
            probability = self._of_interval(start, end)
        value = np.where(self.has_grid | at_low | at_high, probability, self.latent.log_pdf(y))
        beyond = self.moves & ((y < self.lowest) & ~at_low | (y > self.highest) & ~at_high)
        at_atom = ~self.moves & ~self.has_grid & (self._is(y, self.lowest) | self._is(y, self.highest))
        value = np.where(beyond | at_atom, -INF, value)
        return np.where(np.isnan(y), np.nan, value)

    def _of_interval(self, start, end):
        """Of the latent value, whose reflections count, too."""
        latent = self.latent
        low, high = np.maximum(start, latent.low), np.minimum(end, latent.high)
        with np.errstate(invalid="ignore"):
            parts = [latent._between(low, high)]
            for limit in (latent.low, latent.high):
                part = latent._between(2.0 * limit - high, 2.0 * limit - low)
                parts.append(np.where(np.isfinite(limit), part, -INF))
        value = sp.logsumexp(np.stack(np.broadcast_arrays(*parts)), axis=0) - latent._total()
        return np.where(low < high, np.minimum(value, 0.0), -INF)

    def log_cdf(self, y):
        at = self.last_up_to(y)
        below, all_ = self._tails(at)
        value = self.latent.log_cdf(np.where(self.has_grid, at + 0.5 * self.resolution, at))
        return np.where(np.isnan(y), np.nan, np.where(all_, 0.0, np.where(below, -INF, value)))

    def log_sf(self, y):
        at = self.last_up_to(y)
        below, all_ = self._tails(at)
        value = self.latent.log_sf(np.where(self.has_grid, at + 0.5 * self.resolution, at))
        return np.where(np.isnan(y), np.nan, np.where(all_, -INF, np.where(below, 0.0, value)))

    def _tails(self, y):
        at_low, at_high = self._is(y, self.lowest), self._is(y, self.highest)
        return self.moves & (y < self.lowest) & ~at_low, self.moves & ((y >= self.highest) | at_high)

    def points(self, z):
        points = self.latent.points(z)
        return np.where(self.moves, np.clip(points, self.low, self.high), points)


def joint_log_pdf(y, loc, scale_tril, low, high):
    """Of correlated coordinates `[..., D]` with limits: the sum over 3^D reflections."""
    stddev, width = np.sqrt(np.square(scale_tril).sum(-1)), np.where(np.isfinite(low + high), high - low, INF)
    with np.errstate(invalid="ignore"):
        held = np.minimum(1.0, np.where(np.isfinite(width), WIDEST_CORRELATED * width / stddev, 1.0))
    phase = np.where(np.isfinite(width), np.mod(loc - np.where(np.isfinite(low), low, 0.0), 2.0 * width), 0.0)
    odd = ~((loc >= low) & (loc <= high)) & (~np.isfinite(width) | (phase > width))
    factor = np.where(odd, -1.0, 1.0) * held
    scale_tril, centre = factor[..., np.newaxis] * scale_tril, folded(loc, low, high)
    values = []
    for choice in itertools.product(range(3), repeat=y.shape[-1]):
        limits = [np.stack([low, low, high])[number, ..., axis] for axis, number in enumerate(choice)]
        limits, is_own = np.stack(limits, -1), np.array(choice) == 0
        exists = (np.isfinite(limits) | is_own).all(-1)
        image = np.where(is_own, y, 2.0 * np.where(np.isfinite(limits), limits, 0.0) - y)
        values.append(np.where(exists, normal_joint_log_pdf(image, centre, scale_tril), -INF))
    inside = ((y >= low) & (y <= high)).all(-1)
    value = sp.logsumexp(np.stack(np.broadcast_arrays(*values)), axis=0)
    return np.where(np.isnan(y).any(-1), np.nan, np.where(inside, value, -INF))


def normal_joint_log_pdf(y, loc, scale_tril):
    """Of correlated coordinates, by forward substitution."""
    is_infinite = np.isinf(y).any(-1)
    y = np.where(np.isinf(y), 0.0, y)
    diagonal = np.abs(np.diagonal(scale_tril, axis1=-2, axis2=-1))
    z = []
    for axis in range(y.shape[-1]):
        shift = sum((scale_tril[..., axis, other] * own for other, own in enumerate(z)), 0.0)
        z.append((y[..., axis] - loc[..., axis] - shift) / scale_tril[..., axis, axis])
    value = -0.5 * sum(np.square(own) for own in z) - np.log(diagonal).sum(-1) - HALF_LOG_TWO_PI * y.shape[-1]
    return np.where(is_infinite, -INF, value)
