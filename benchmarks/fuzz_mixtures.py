"""What a case's mixtures are by SciPy, and how far an answer may be from it.

An answer is right if it is that of inputs which differ from the given ones by a few units in their last place, but for
an error of a few units in its own: tolerances are how much the truth changes if the target, the centres, scales and
logits are moved by so much, one after the other. So they are narrow where a question is well conditioned, and wide
where no arithmetic in the dtype could do better.

Shapes in comments: S targets, n rows, K components, E event.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable

import fuzz_families
import fuzz_limits
import numpy as np
import scipy.special as sp
from fuzz_cases import Case

INF = math.inf
ULPS = 32.0
# What is promised of series, searches and quadratures, whatever the dtype could do.
PROMISED = {"float32": 32.0 * 2.0**-23, "float64": 1e-9}
LIMITS = ("low", "high", "mirror_low", "mirror_high")
MOVED = ("loc", "scale", "df", "scale_tril")


@dataclasses.dataclass
class Truth:
    """The mixtures of a case: functions of y `[S, n, *E]`."""

    case: Case

    def __post_init__(self):
        self.configuration = self.case.configuration
        self.parameters = {key.replace("scale_diag", "scale"): value for key, value in self.case.items()}
        self.log_weights = self.case.log_weights()

    @property
    def event_rank(self) -> int:
        return len(self.configuration.event_shape)

    def marginals(self):
        """The components of each coordinate, of parameters `[n, K, *E]`."""
        p = dict(self.parameters)
        if "scale_tril" in p:
            stddev = np.sqrt(np.square(p.pop("scale_tril")).sum(-1))
            if "low" in p:
                stddev = np.minimum(stddev, fuzz_limits.WIDEST_CORRELATED * (p["high"] - p["low"]))
            p["scale"] = stddev
        if self.configuration.coarse:
            zeros = np.zeros_like(p["loc"])
            missing = {"resolution": zeros, "origin": zeros, "mirror_low": zeros - INF, "mirror_high": zeros + INF}
            return fuzz_limits.Coarsened(**{**missing, **p})
        if self.configuration.limits:
            return fuzz_limits.Reflected(**p)
        return fuzz_families.FAMILIES[self.configuration.family](**p)

    def weights(self) -> np.ndarray:
        """`[n, K, *E]` of size 1 along E."""
        return np.exp(self.log_weights).reshape(*self.log_weights.shape, *[1] * self.event_rank)

    def _summed(self, values: np.ndarray, axis: int) -> np.ndarray:
        """The logarithm of the mixture's probability, of those of the components."""
        log_weights = self.log_weights.reshape(*self.log_weights.shape, *[1] * (-1 - axis))
        with np.errstate(invalid="ignore"):
            # Of weight 0 a component does not matter, whatever it is.
            values = np.where(log_weights == -INF, -INF, values + log_weights)
            return sp.logsumexp(values, axis=axis)

    def _snapped(self, y: np.ndarray) -> np.ndarray:
        """What is an atom but for rounding errors is one."""
        for name in ("low", "high") if self.configuration.coarse else ():
            limit = self.parameters[name][:, 0] + np.zeros_like(y)
            slack = 8.0 * self.configuration.epsilon * np.abs(limit)
            if "resolution" in self.parameters:  # of which the next value is another one
                slack = np.minimum(slack, 0.25 * self.parameters["resolution"][:, 0])
            with np.errstate(invalid="ignore"):
                y = np.where(np.isfinite(limit) & (np.abs(y - limit) <= slack), limit, y)
        if "resolution" in self.parameters:
            step, origin = (self.parameters[name][:, 0] for name in ("resolution", "origin"))
            index = (y - origin) / step
            slack = np.minimum(4.0 * self.configuration.epsilon * np.abs(index), 0.25) + 1e-3
            with np.errstate(invalid="ignore"):
                y = np.where(np.abs(index - np.round(index)) <= slack, origin + np.round(index) * step, y)
        return y

    def _along_components(self, y: np.ndarray) -> np.ndarray:
        return np.expand_dims(y, -1 - self.event_rank)

    def log_pdf(self, y: np.ndarray) -> np.ndarray:
        """`[S, n]`."""
        y, p = self._along_components(self._snapped(y)), self.parameters
        if "scale_tril" not in p:
            values = self.marginals().log_pdf(y)
            return self._summed(values.sum(-1) if self.event_rank else values, -1)
        if "low" in p:
            return self._summed(fuzz_limits.joint_log_pdf(y, **p), -1)
        return self._summed(fuzz_limits.normal_joint_log_pdf(y, **p), -1)

    def log_cdf(self, y: np.ndarray) -> np.ndarray:
        """Of each coordinate by itself, `[S, n, *E]`."""
        return self._summed(self.marginals().log_cdf(self._along_components(self._snapped(y))), -1 - self.event_rank)

    def log_sf(self, y: np.ndarray) -> np.ndarray:
        return self._summed(self.marginals().log_sf(self._along_components(self._snapped(y))), -1 - self.event_rank)

    def marginal_log_pdf(self, y: np.ndarray) -> np.ndarray:
        return self._summed(self.marginals().log_pdf(self._along_components(self._snapped(y))), -1 - self.event_rank)

    def mean(self) -> np.ndarray:
        return self.moments()[0]

    def stddev(self) -> np.ndarray:
        return self.moments()[1]

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation `[n, *E]`; of angles their direction and circular standard deviation."""
        mean, stddev = self.marginals().moments()
        weights, axis = self.weights(), -1 - self.event_rank
        if self.configuration.family == "von_mises":
            length = weights * np.exp(-0.5 * np.square(stddev))
            x, y = (length * np.cos(mean)).sum(axis), (length * np.sin(mean)).sum(axis)
            # 1 - R^2 as a sum of what is not negative, which keeps the digits of narrow ones.
            less = (weights * -np.expm1(-0.5 * np.square(stddev))).sum(axis)
            pairs = (
                weights[:, :, np.newaxis]
                * weights[:, np.newaxis]
                * np.exp(-0.5 * np.square(stddev)[:, :, np.newaxis] - 0.5 * np.square(stddev)[:, np.newaxis])
            )
            turned = np.square(np.sin(0.5 * (mean[:, :, np.newaxis] - mean[:, np.newaxis])))
            square = np.square(1.0 - less) - 2.0 * (pairs * turned).sum((1, 2))
            shortfall = 2.0 * less - np.square(less) + 2.0 * (pairs * turned).sum((1, 2))
            with np.errstate(divide="ignore", invalid="ignore"):
                log = np.where(square > 0.5, np.log1p(-np.minimum(shortfall, 0.9)), np.log(np.maximum(square, 1e-300)))
            return np.arctan2(y, x), np.sqrt(np.maximum(-log, 0.0))
        mean, stddev = (np.where(weights > 0.0, value, 0.0) for value in (mean, stddev))
        unit = np.maximum(np.abs(mean).max(axis), stddev.max(axis))
        unit = np.where(unit > 0.0, unit, 1.0)
        mean, stddev = mean / np.expand_dims(unit, axis), stddev / np.expand_dims(unit, axis)
        overall = (weights * mean).sum(axis)
        variance = (weights * (np.square(stddev) + np.square(mean - np.expand_dims(overall, axis)))).sum(axis)
        return unit * overall, unit * np.sqrt(variance)

    # How far an answer may be from it

    def moved(self, name: str, change: float) -> Truth:
        """The same, with one of the parameters, or the weights, changed by a relative amount."""
        other = copy.copy(self)
        if name == "logits":
            with np.errstate(invalid="ignore"):
                other.log_weights = np.where(self.log_weights == -INF, -INF, self.log_weights * (1.0 + change))
        else:
            other.parameters = {**self.parameters, name: self.parameters[name] * (1.0 + change)}
        if name == "loc":  # the distance from a limit has the digits of the limit
            limits = [self.parameters[key] for key in LIMITS if key in self.parameters]
            sizes = [np.where(np.isfinite(limit), np.abs(limit), 0.0) for limit in limits]
            other.parameters["loc"] = other.parameters["loc"] + change * sum(sizes)
        return other

    def tolerance(self, query: Callable[[Truth, np.ndarray | None], np.ndarray], y=None, ulps: float = ULPS):
        """How much a query's answer changes if its inputs are moved by `ulps` units in their last place.

        Args:
          query: of a truth and y.
          y: `[S, n, *E]`, or None if the query has none.
          ulps: so many.
        """
        change, base = ulps * self.configuration.epsilon, query(self, y)
        total = PROMISED[self.configuration.dtype] * np.abs(base)
        names = [name for name in (*MOVED, "logits") if name in self.parameters or name == "logits"]
        for name in names:
            total = total + np.maximum(*(_gap(query(self.moved(name, own), y), base) for own in (change, -change)))
        if y is not None:
            total = total + np.maximum(*(_gap(query(self, self._beside(y, own)), base) for own in (change, -change)))
        return base, np.where(np.isnan(total), INF, total)

    def _beside(self, y, change):
        """Targets nearby, on the same side of limits; those that have a probability stay where they are."""
        p, axis = self.parameters, 1
        if "resolution" in p:  # next to a value, as far as digits tell, what is asked may be that value
            step, origin = p["resolution"][:, 0], p["origin"][:, 0]
            index = (y - origin) / step
            with np.errstate(invalid="ignore"):
                is_close = np.abs(index - np.round(index)) <= 8.0 * self.configuration.epsilon * np.abs(index)
            return np.where(is_close, origin + np.round(index) * step, y)
        beside = y * (1.0 + change)
        for low, high in (("low", "high"), ("mirror_low", "mirror_high")):
            if low not in p:
                continue
            lowest, highest = p[low].min(axis), p[high].max(axis)
            with np.errstate(invalid="ignore"):
                at_end = [
                    np.isfinite(end) & (np.abs(y - end) <= abs(change) * np.abs(end)) for end in (lowest, highest)
                ]
            inside = (y >= lowest) & (y <= highest) | at_end[0] | at_end[1]
            beside = np.where(inside, np.clip(beside, lowest, highest), beside)
            if self.configuration.coarse:
                beside = np.where((y == lowest) | (y == highest), y, beside)
        if self.configuration.family == "von_mises":
            beside = np.where(np.abs(y) <= math.pi + 1e-6, np.clip(beside, -math.pi, math.pi), beside)
        return beside


def _gap(first, second):
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, np.abs(first - second))
