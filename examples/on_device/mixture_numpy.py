"""The mixture that an exported tfmdn model predicts, with NumPy alone: copy this file to where TensorFlow is too large.

    mixture = Mixture(tensors)  # what a LiteRT, ONNX or SavedModel model answers, by name
    mixture.log_prob(y), mixture.quantile([0.05, 0.95]), mixture.sample(100, seed=1), mixture.mean()

It computes in float64, both tails exact to 1e-15. In comments: S samples, Q levels, B batch, K components, E event, D
coordinates (1 of a scalar).
"""

import math
import statistics
import types

import numpy as np

LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)
ERFC = np.vectorize(math.erfc, otypes=[float])
NORMAL_QUANTILE = np.vectorize(statistics.NormalDist().inv_cdf, otypes=[float])
# Of a standard component: the log density, the distribution function and its inverse.
NORMAL = (lambda z: -0.5 * z**2 - LOG_ROOT_TWO_PI, lambda z: 0.5 * ERFC(-math.sqrt(0.5) * z), NORMAL_QUANTILE)
LAPLACE = (
    lambda z: -np.abs(z) - math.log(2.0),
    lambda z: np.where(z < 0.0, 0.5 * np.exp(-np.abs(z)), 1.0 - 0.5 * np.exp(-np.abs(z))),
    lambda p: np.where(p < 0.5, np.log(2.0 * p), -np.log(2.0 - 2.0 * p)),
)
LOGISTIC = (
    lambda z: -np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z))),
    lambda z: np.exp(-np.logaddexp(0.0, -z)),
    lambda p: np.log(p) - np.log1p(-p),
)
GUMBEL = (lambda z: -z - np.exp(-z), lambda z: np.exp(-np.exp(-z)), lambda p: -np.log(-np.log(p)))
FAMILIES = {"normal": NORMAL, "lognormal": NORMAL, "laplace": LAPLACE, "logistic": LOGISTIC, "gumbel": GUMBEL}
SCALES = ("scale", "scale_diag", "scale_tril")
# At the mirrors components are reflected; what is moved is observed as `low` or `high` if it would lie beyond.
ENDS = dict(low=-np.inf, high=np.inf, is_moved=0.0, mirror_low=-np.inf, mirror_high=np.inf, resolution=0.0, origin=0.0)


class Mixture:
    """The mixtures of a batch of rows, with limits, atoms and grids where the model has these.

    Args:
      tensors: all outputs of the exported model by name.
      family: the `family` of the head, which the tensors do not tell.
      prefix: what stands before the names of this head in a model of several, such as "offset_".
    """

    def __init__(self, tensors, family="normal", prefix=""):
        own = {name[len(prefix) :]: np.asarray(tensors[name], float) for name in tensors if name.startswith(prefix)}
        is_known = family in FAMILIES and own.keys() <= {"logits", "probs", "loc", "mean", "stddev", *SCALES, *ENDS}
        is_known &= own.keys() >= {"logits", "loc", "mean", "stddev"} and len(own.keys() & SCALES) == 1
        if not is_known or {"scale_tril", "low"} <= own.keys():
            raise ValueError(
                f"Known are the families {', '.join(FAMILIES)} by logits, loc, mean, stddev, one of {', '.join(SCALES)}"
                f" and, of limits, {', '.join(ENDS)} (but no scale_tril). Received: {family=}, {prefix=}, tensors "
                f"{', '.join(tensors)}. Of other components export the signatures log_prob, sample and quantile."
            )
        logits, self._mean, self._stddev = (own.pop(name) for name in ("logits", "mean", "stddev"))
        self._log_density, self._standard_cdf, self._standard_quantile = FAMILIES[family]
        self._is_of_log, self._tril = family == "lognormal", own.get("scale_tril")  # [B, K, D, D]
        self._log_weights = logits - np.logaddexp.reduce(logits, -1, keepdims=True)  # [B, K]
        # A scalar is a vector of one coordinate.
        self._inward, self._outward = ((..., None), (..., 0)) if own["loc"].ndim == logits.ndim else ((...,), (...,))
        if "low" in own and "is_moved" not in own:
            own["mirror_low"], own["mirror_high"] = own.pop("low"), own.pop("high")
        values = {name: own[name][self._inward] if name in own else np.array(end) for name, end in ENDS.items()}
        (scale,) = (own[name] for name in SCALES if name in own)
        scale = scale[self._inward] if self._tril is None else np.linalg.norm(scale, axis=-1)
        values |= {"loc": own["loc"][self._inward], "scale": scale}
        # Each [B, K, D]. For infinity LiteRT writes the largest float32.
        values = {k: np.where(np.abs(v) > 3e38, np.copysign(np.inf, v), v) for k, v in values.items()}
        p = self._p = types.SimpleNamespace(**{k: np.broadcast_to(v, values["loc"].shape) for k, v in values.items()})
        p.is_moved, self._is_reflected = p.is_moved > 0.5, bool(np.any(np.isfinite([p.mirror_low, p.mirror_high])))
        if self._is_reflected:  # a normal is cut off one width beyond two limits, and broader is as good as uniform
            p.loc, p.scale = _fold(p.loc, p), np.minimum(p.scale, 8.0 * (p.mirror_high - p.mirror_low))
        p.bottom = -(p.mirror_high + p.loc - 2.0 * p.mirror_low) / p.scale
        p.top = (2.0 * p.mirror_high - p.mirror_low - p.loc) / p.scale
        p.total = self._standard_cdf(p.top) - self._standard_cdf(p.bottom)
        p.least, p.most = _on_grid(p.low, p), _on_grid(p.high, p)  # as they are observed

    def mean(self):  # [B, E]
        return self._mean

    def stddev(self):  # [B, E]
        return self._stddev

    @np.errstate(all="ignore")
    def log_prob(self, y):
        """The log density at y `[*S, *B, *E]`, of a value with a probability the log of that: `[*S, *B]`."""
        y = np.asarray(y, float)[self._inward][..., np.newaxis, :]  # [S, B, 1, D]
        log_probs = self._log_probs(np.log(y) if self._is_of_log else y)
        log_probs = np.where(y > 0.0, log_probs - np.log(y), -np.inf) if self._is_of_log else log_probs
        return np.logaddexp.reduce(np.sum(log_probs, -1) + self._log_weights, -1)

    @np.errstate(all="ignore")
    def cdf(self, y):
        """The probability of y or less, `[*S, *B, *E]`: of each coordinate of a vector by itself."""
        y = np.asarray(y, float)[self._inward]
        return self._mixed_cdf(np.log(np.maximum(y, 0.0)) if self._is_of_log else y)[self._outward]

    @np.errstate(all="ignore")
    def quantile(self, levels):
        """The smallest y whose `cdf` is a level or more, by bisection: `[Q, *B, *E]` of Q levels."""
        p, level = self._p, np.asarray(levels, float).reshape(-1, *[1] * self._p.loc.ndim)  # [Q, B, K, D]
        if not np.all((level > 0.0) & (level < 1.0)):
            raise ValueError(f"Levels are probabilities between 0 and 1. Received: {levels}.")
        tail = 0.5 * np.minimum(level, 1.0 - level)  # folded around its centre, a component has both tails in one
        low = _observed(p.loc + p.scale * self._standard_quantile(tail), p).min(-2)
        high = _observed(p.loc + p.scale * self._standard_quantile(np.minimum(1.0 - tail, 1.0 - 1e-16)), p).max(-2)
        for _ in range(64):
            middle = 0.5 * (low + high)
            is_enough = self._mixed_cdf(middle) >= level[..., 0, :]
            low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
        high = _on_grid(_at_limits(high[..., np.newaxis, :], p), p)[..., 0, :]  # the same in each component
        return (np.exp(high) if self._is_of_log else high)[self._outward]

    @np.errstate(all="ignore")
    def sample(self, num_samples, seed=None):
        """Draws `[S, *B, *E]`. The seed is an integer, or a `np.random.Generator` to go on with."""
        rng, below = np.random.default_rng(seed), np.cumsum(np.exp(self._log_weights), -1)
        uniform = rng.random((num_samples, *below.shape[:-1], 1)) * below[..., -1:]
        index = np.sum(uniform >= below, -1)[..., np.newaxis, np.newaxis]  # [S, B, 1, 1]
        chosen = {k: np.take_along_axis(v[np.newaxis], index, -2)[..., 0, :] for k, v in vars(self._p).items()}
        p = types.SimpleNamespace(**chosen)  # each [S, B, D]
        uniform = self._standard_cdf(p.bottom) + rng.random(p.loc.shape) * p.total
        z = self._standard_quantile(np.clip(uniform, 1e-300, 1.0 - 1e-16))
        if self._tril is not None:
            tril = np.take_along_axis(self._tril[np.newaxis], index[..., np.newaxis], -3)[..., 0, :, :]
            z = (tril @ z[..., np.newaxis])[..., 0] / p.scale
        draws = _observed(_fold(p.loc + p.scale * z, p), p)
        return (np.exp(draws) if self._is_of_log else draws)[self._outward]

    def _log_probs(self, y):  # [S, B, K, D]
        if self._tril is not None:
            z = np.linalg.solve(self._tril, (y - self._p.loc)[..., np.newaxis])[..., 0]
            return self._log_density(z) - np.log(np.abs(np.diagonal(self._tril, axis1=-2, axis2=-1)))
        p, y = self._p, _on_grid(_at_limits(y, self._p), self._p)
        images = [y, 2.0 * p.mirror_low - y, 2.0 * p.mirror_high - y] if self._is_reflected else [y]
        density = np.logaddexp.reduce([self._log_density((image - p.loc) / p.scale) for image in images], 0)
        density = np.where((y < p.mirror_low) | (y > p.mirror_high), -np.inf, density - np.log(p.scale * p.total))
        is_first, is_last = p.is_moved & (y <= p.least), p.is_moved & (y >= p.most)
        if not np.any((p.resolution > 0.0) | np.isfinite(p.least) | np.isfinite(p.most)):
            return density
        start, end = (
            np.where(is_first, -np.inf, y - 0.5 * p.resolution),
            np.where(is_last, np.inf, y + 0.5 * p.resolution),
        )
        log_probs = np.where((p.resolution > 0.0) | is_first | is_last, self._log_between(start, end), density)
        is_nothing = ~p.is_moved & (p.resolution == 0.0) & ((y == p.least) | (y == p.most))
        return np.where(is_nothing | (p.is_moved & ((y < p.least) | (y > p.most))), -np.inf, log_probs)

    def _log_between(self, start, end):
        p, log_probs = self._p, []
        start, end = (np.clip(each, p.mirror_low, p.mirror_high) for each in (start, end))
        for low, high in ((start, end), *((2.0 * m - end, 2.0 * m - start) for m in (p.mirror_low, p.mirror_high))):
            a, b = (low - p.loc) / p.scale, (high - p.loc) / p.scale
            a, b = np.where(a > 0.0, -b, a), np.where(a > 0.0, -a, b)  # in the left tail no digits are lost
            below_a, below_b = _log_normal_cdf(a), _log_normal_cdf(b)
            log_probs.append(np.where(a < b, below_b + np.log1p(-np.exp(below_a - below_b)), -np.inf))
        return np.logaddexp.reduce(log_probs, 0) - np.log(p.total)

    def _mixed_cdf(self, y):
        p = self._p
        y = _on_grid(_at_limits(y[..., np.newaxis, :], p), p, lambda index: np.floor(index + 1e-3))
        x = np.clip(y + 0.5 * p.resolution, p.mirror_low, p.mirror_high)
        below = self._standard_cdf((x - p.loc) / p.scale)
        if self._is_reflected:
            below -= self._standard_cdf((2.0 * p.mirror_low - x - p.loc) / p.scale)
            below += self._standard_cdf((p.loc + x - 2.0 * p.mirror_high) / p.scale) - self._standard_cdf(-p.top)
        below = np.where(p.is_moved & (y < p.least), 0.0, np.where(p.is_moved & (y >= p.most), 1.0, below / p.total))
        return np.sum(np.exp(self._log_weights)[..., np.newaxis] * below, -2)


def _fold(z, p):
    low, width = p.mirror_low, p.mirror_high - p.mirror_low
    z = np.where(np.isfinite(width), low + np.mod(z - low, 2.0 * width), z)
    z = np.where(z < low, 2.0 * low - z, z)
    return np.where(z > p.mirror_high, 2.0 * p.mirror_high - z, z)


def _observed(y, p):
    return _on_grid(np.where(p.is_moved, np.clip(y, p.low, p.high), y), p)


def _on_grid(y, p, rounded=np.rint):
    step = np.where(p.resolution > 0.0, p.resolution, 1.0)
    return np.where((p.resolution > 0.0) & np.isfinite(y), p.origin + rounded((y - p.origin) / step) * step, y)


def _at_limits(y, p):  # which were float32
    for limit in (p.least, p.most, p.mirror_low, p.mirror_high):
        is_there = np.isfinite(limit) & (np.abs(y - limit) <= 1e-6 * np.abs(limit) + 1e-9 * p.scale)
        y = np.where(is_there, limit, y)
    return y


def _log_normal_cdf(z):
    far = np.minimum(z, -30.0)  # there by its asymptotic series
    log_far = -0.5 * far**2 - np.log(-far) - LOG_ROOT_TWO_PI + np.log1p(-1.0 / far**2 + 3.0 / far**4)
    return np.where(z < -30.0, log_far, np.log(NORMAL[1](np.maximum(z, -30.0))))
