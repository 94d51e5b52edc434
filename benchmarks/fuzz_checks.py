"""The checks: each asks the mixtures of a case a question, and says what the answers were to be.

Shapes in comments: S targets, n rows, K components, E event.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from fuzz_cases import POSITIVE, Case
from fuzz_mixtures import PROMISED, ULPS, Truth

INF = math.inf


@dataclasses.dataclass
class Comparison:
    """Numbers that were received, beside those that are true.

    Attributes:
      check: its name.
      received: of any shape.
      expected: of the same shape, or what broadcasts with it.
      tolerance: likewise.
      row_axis: which axis is that of the rows.
      question: what makes the question of an index of the arrays again.
      case: whose mixtures were asked, None for those that are fuzzed.
    """

    check: str
    received: np.ndarray
    expected: np.ndarray
    tolerance: np.ndarray | float
    row_axis: int
    question: Callable[[tuple[int, ...]], str]
    case: Case | None = None

    def wrong(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            distance = np.abs(np.asarray(self.received, np.float64) - self.expected)
            is_right = (self.received == self.expected) | (distance <= self.tolerance)
        return ~(is_right | (np.isnan(self.received) & np.isnan(self.expected)))


@dataclasses.dataclass
class Fuzzed:
    """One case with its mixture, truth and targets `[S, n, *E]`."""

    case: Case
    rng: np.random.Generator
    num_targets: int

    def __post_init__(self):
        self.configuration = self.case.configuration
        self.truth = Truth(self.case)
        self.mixture = self.case.mixture()
        self.y = targets(self.case, self.rng, self.num_targets)
        self.dtype = self.configuration.dtype
        self.num_rows = len(self.case.logits)

    def shaped(self, values: np.ndarray) -> tf.Tensor:
        """Of rows `[..., n, *E]` a tensor of the mixture's batch shape."""
        rank = len(self.configuration.event_shape)
        leading = values.shape[: values.ndim - 1 - rank]
        return tf.constant(
            values.reshape(*leading, *self.mixture.batch_shape, *values.shape[values.ndim - rank :]), self.dtype
        )

    def rows(self, values: tf.Tensor, num_leading: int, event: bool) -> np.ndarray:
        """The reverse."""
        values = np.asarray(values)
        trailing = self.configuration.event_shape if event else ()
        return values.reshape(*values.shape[:num_leading], self.num_rows, *trailing)


def targets(case: Case, rng: np.random.Generator, number: int) -> np.ndarray:
    """Targets `[S, n, *E]` of every kind: likely ones, tails, centres, limits, nothing, and what is no number."""
    p, n = dict(case.items()), len(case.logits)
    loc, event = p["loc"], case.configuration.event_shape
    scale = p.get("scale", p.get("scale_diag"))
    if scale is None:
        scale = np.sqrt(np.square(p["scale_tril"]).sum(-1))
    shape = (number, n, *event)
    component = rng.integers(0, loc.shape[1], (number, n))
    centre, width = (value[np.arange(n), component] for value in (loc, scale))  # [S, n, E]
    steep = rng.choice([0.0, 1e-3, 1.0, 3.0, 30.0, 1e3], (number, n, *[1] * len(event)))
    y = centre + width * rng.standard_t(4, shape) * steep
    if case.configuration.family in POSITIVE:
        y = np.exp(np.clip(y, -85.0, 85.0))
    if case.configuration.family == "von_mises":
        y = np.where(rng.random(shape) < 0.8, y - 2 * math.pi * np.round(y / (2 * math.pi)), y)
    special = rng.random((number, n, *[1] * len(event)))
    unit = np.broadcast_to(case.unit, shape)
    if case.configuration.family == "von_mises":  # of which too many turns leave no digits
        special = np.maximum(special, 0.06)
    extremes = rng.choice([0.0, 1e-40, -1e-40, 1e30, -1e30, 1.0, -1.0], shape) * np.where(special < 0.05, 1.0, unit)
    y = np.where(special < 0.06, np.clip(extremes, -1e37, 1e37), y)
    for name, chance in (("low", 0.15), ("high", 0.25), ("mirror_low", 0.3), ("mirror_high", 0.35)):
        if name in p:
            limit = np.broadcast_to(p[name][:, 0], shape)
            side = np.nextafter(
                limit.astype(case.configuration.dtype), rng.choice([-INF, INF], shape).astype(case.configuration.dtype)
            )
            at = np.where(rng.random(shape) < 0.7, limit, side)
            y = np.where((special > chance - 0.1) & (special < chance) & np.isfinite(limit), at, y)
    if "low" in p and not case.configuration.coarse:  # most of them where there is a density
        low, high = p["low"][:, 0], p["high"][:, 0]
        y = np.where(rng.random(shape) < 0.8, np.clip(y, low, high), y)
    if "resolution" in p:
        step = p["resolution"][:, 0]
        y = np.where(rng.random(shape) < 0.7, step * np.round(y / step), y)
    for value, (start, end) in {INF: (0.985, 0.99), -INF: (0.99, 0.995), math.nan: (0.995, 1.0)}.items():
        y = np.where((special > start) & (special < end), value, y)
    with np.errstate(over="ignore"):
        return y.astype(case.configuration.dtype).astype(np.float64)


def literal(values, dtype) -> str:
    return f"np.array({np.asarray(values, dtype).tolist()}, '{dtype}')"


# Probabilities


def probabilities(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """`log_prob`, `prob`, and of each coordinate `cdf`, `survival_function` and their logarithms."""
    truth, y, dtype = fuzzed.truth, fuzzed.y, fuzzed.dtype
    at = fuzzed.shaped(y)
    smallest = np.log(float(np.finfo(dtype).tiny))
    queries = {"log_prob": Truth.log_pdf, "log_cdf": Truth.log_cdf, "log_survival_function": Truth.log_sf}
    for name, query in queries.items():
        with np.errstate(all="ignore"):
            expected, tolerance = truth.tolerance(query, y)
            of_density = name == "log_prob"
            tolerance = tolerance + PROMISED[dtype] * (1.0 + (log_scales(truth) if of_density else 0.0))
        question = _question(name, y, dtype)
        received = fuzzed.rows(getattr(fuzzed.mixture, name)(at), 1, not of_density)
        # What is so close to 0 may count as 0.
        is_denormal = (np.abs(y) < np.finfo(dtype).tiny) & (y != 0)
        is_denormal = is_denormal.any(-1) if of_density and fuzzed.configuration.event_shape else is_denormal
        expected = np.where(is_denormal & ~np.isnan(received), received, expected)
        yield _logarithm(name, received, expected, tolerance, question, smallest, fuzzed, of_density)
        plain = {"log_prob": "prob", "log_cdf": "cdf"}.get(name, "survival_function")
        received = fuzzed.rows(getattr(fuzzed.mixture, plain)(at), 1, not of_density)
        with np.errstate(all="ignore"):
            value = np.exp(expected)
            value = np.where(value > float(np.finfo(dtype).max), INF, value)
            relative = np.where(expected == -INF, 0.0, np.expm1(np.minimum(tolerance, 700.0)))
            absolute = (value if of_density else 1.0) * PROMISED[dtype]
            own = np.where(np.isnan(value * relative), INF, value * relative) + absolute + float(np.finfo(dtype).tiny)
            own = np.where(_is_held(fuzzed, y) & of_density, INF, own) if of_density else own
        value = np.where(is_denormal & ~np.isnan(received), received, value)
        yield Comparison(plain, received, value, own, 1, _question(plain, y, dtype))
        outside = ~np.isnan(received) & ((received < 0) | ((received > 1) & (not of_density)))
        yield Comparison(
            f"{plain} in [0, 1]", outside * 1.0, np.zeros(received.shape), 0.0, 1, _question(plain, y, dtype)
        )


def _logarithm(name, received, expected, tolerance, question, smallest, fuzzed, of_density) -> Comparison:
    """Held densities, and logarithms of what is 0 in the dtype, may be what the docstrings say that they are."""
    expected = np.where(expected < -float(np.finfo(fuzzed.dtype).max), -INF, expected)
    with np.errstate(invalid="ignore"):
        vanishes = (expected < smallest + 2.0) & (received < smallest + 2.0) & ~np.isnan(received)
        excused = vanishes & (not is_plain_normal(fuzzed.configuration) and not of_density)
        # Distances are held where their squares would overflow.
        if not of_density:
            excused |= (expected < -(float(np.finfo(fuzzed.dtype).max) ** 0.7)) & (received < -1e10)
            excused |= is_beyond_reach(fuzzed, fuzzed.y) & ~np.isnan(received)
        if of_density:
            is_far = is_beyond_reach(fuzzed, fuzzed.y)
            is_far = is_far.any(-1) if fuzzed.configuration.event_shape else is_far
            excused = _is_held(fuzzed, fuzzed.y) & (received < -1e10) | is_far & ~np.isnan(received)
    return Comparison(name, received, np.where(excused, received, expected), tolerance, 1, question)


def is_plain_normal(configuration) -> bool:
    """Whether logarithms of probabilities are known where these vanish."""
    return configuration.family == "normal" and not configuration.limits and not configuration.coarse


def is_beyond_reach(fuzzed: Fuzzed, y: np.ndarray) -> np.ndarray:
    """Where a Student-t, whose tails are not 0 there, is held: so many scales from all centres, `[S, n, *E]`."""
    if fuzzed.configuration.family != "student_t":
        return np.zeros(y.shape, bool)
    p = fuzzed.truth.parameters
    z = np.abs(y[:, :, np.newaxis] - p["loc"]) / p["scale"]
    return (z > 0.1 * float(np.finfo(fuzzed.dtype).max) ** 0.4).any(2)


def _is_held(fuzzed: Fuzzed, y: np.ndarray) -> np.ndarray:
    """So far away that a square of the distance would overflow, `[S, n]`."""
    with np.errstate(all="ignore"):
        expected = fuzzed.truth.log_pdf(y)
    is_exponential = fuzzed.configuration.family in ("gumbel", "weibull", "gamma")  # whose logarithms go on as a line
    held = 1e15 if is_exponential else float(np.finfo(fuzzed.dtype).max) ** 0.35
    return (expected < -held) | (expected == -INF) & _is_infinite(fuzzed, y)


def _is_infinite(fuzzed, y):
    return np.isinf(y).any(-1) if fuzzed.configuration.event_shape else np.isinf(y)


def log_scales(truth: Truth) -> np.ndarray:
    """How large the logarithms are that a log density is the sum of, `[n]`."""
    p = truth.parameters
    scale = np.abs(np.diagonal(p["scale_tril"], axis1=-2, axis2=-1)) if "scale_tril" in p else p["scale"]
    sizes = np.abs(np.log(scale)) + (np.abs(p["loc"]) if truth.configuration.family in POSITIVE else 0.0)
    return sizes.reshape(len(scale), -1).max(-1) * max(truth.configuration.size, 1)


def _question(name: str, y: np.ndarray, dtype: str) -> Callable:
    return lambda index: f"m.{name}({literal(y[index[0], index[1]], dtype)})"


# Quantiles

LOWEST = 1e-20  # of levels, as far as quantiles are promised


def quantiles(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """Of levels down to 1e-20 and near 1, and of what `cdf` says."""
    levels = np.concatenate([10.0 ** fuzzed.rng.uniform(-20, 0, 6), 1.0 - 10.0 ** fuzzed.rng.uniform(-12, 0, 3)])
    levels = np.concatenate([levels, [0.5, 1e-20, 0.01, 0.99]])
    received = fuzzed.rows(fuzzed.mixture.quantile(levels), 1, True)
    yield from _bracketed(fuzzed, "quantile", levels.reshape(-1, *[1] * (received.ndim - 1)), received)
    y = fuzzed.shaped(np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0))
    probability = fuzzed.mixture.cdf(y)
    back = fuzzed.rows(fuzzed.mixture.quantile(probability), 1, True)
    probability = fuzzed.rows(probability, 1, True).astype(np.float64)
    is_asked = np.isfinite(fuzzed.y) & (probability >= LOWEST) & (probability < 1.0)
    yield from _bracketed(fuzzed, "quantile(cdf)", np.where(is_asked, probability, math.nan), back)
    order = np.argsort(levels)
    with np.errstate(invalid="ignore"):
        steps = np.diff(received[order].astype(np.float64), axis=0)
        slack = 4 * fuzzed.configuration.epsilon * np.abs(received[order][1:])
        falls = (steps < -slack) * 1.0
    yield Comparison(
        "quantile is monotone", falls, np.zeros(falls.shape), 0.0, 1, lambda index: f"m.quantile({sorted(levels)})"
    )


def _bracketed(fuzzed: Fuzzed, name: str, levels: np.ndarray, received: np.ndarray) -> Iterator[Comparison]:
    """Whether the level lies between the probabilities a little to the left and to the right of what was received."""
    truth, configuration = fuzzed.truth, fuzzed.configuration
    y = received.astype(np.float64)
    p = truth.parameters
    epsilon = ULPS * configuration.epsilon
    size = np.abs(p["loc"]).max(1) if configuration.family not in POSITIVE else 0.0
    # 1e-9 of the distance from the centre, in float64; of numbers far from 0 their own digits.
    precision = PROMISED[configuration.dtype]
    centre = p["loc"].mean(1) if configuration.family not in POSITIVE else 0.0
    with np.errstate(all="ignore"):
        step = epsilon * (np.abs(y) + size) + precision * np.abs(y - centre)
        step = np.where(np.isfinite(step), step, 0.0) + float(np.finfo(configuration.dtype).tiny)
        if configuration.family in POSITIVE:
            step = precision * np.abs(y) * (1.0 + np.abs(np.log(np.maximum(y, 1e-300)))) + float(
                np.finfo(configuration.dtype).tiny
            )
        left, right = y - step, y + step
        if configuration.family == "von_mises":
            left, right = np.maximum(left, -math.pi), np.minimum(right, math.pi)
        if "resolution" in p:
            left, right = y - 0.6 * p["resolution"].max(1), y
        log_level, log_rest = np.log(levels), np.log1p(-levels)
        slacks = [truth.tolerance(query, y)[1] for query in (Truth.log_cdf, Truth.log_sf)]
        slack, of_rest = (1e-9 + 0.1 * epsilon + np.where(np.isfinite(own), own, 0.0) for own in slacks)
        low_cdf, high_cdf = truth.log_cdf(left), truth.log_cdf(right)
        low_sf, high_sf = truth.log_sf(right), truth.log_sf(left)
        below = (low_cdf > log_level + slack) & (high_sf < log_rest - of_rest)
        above = (high_cdf < log_level - slack) & (low_sf > log_rest + of_rest)
        # Where the tail is exact the other one must be, too.
        below |= (levels < 0.5) & (low_cdf > log_level + slack)
        above |= (levels < 0.5) & (high_cdf < log_level - slack)
        below |= (levels > 0.5) & (high_sf < log_rest - of_rest - 1e-15 / np.maximum(1.0 - levels, 1e-300))
        above |= (levels > 0.5) & (low_sf > log_rest + of_rest + 1e-15 / np.maximum(1.0 - levels, 1e-300))
        overflows = np.isinf(y) & (np.abs(np.where(np.isinf(y), 0, y)) == 0) & (levels > 0) & (levels < 1)
    wrong = (below | above | np.isnan(y)) & ~(np.isnan(levels) & np.ones(y.shape, bool))
    wrong |= overflows & ~_may_overflow(fuzzed)
    # The quantile itself lies beyond the largest number of the dtype.
    largest = np.full_like(y, float(np.finfo(configuration.dtype).max))
    with np.errstate(all="ignore"):
        is_beyond = np.where(y > 0, truth.log_sf(largest) > log_rest, truth.log_cdf(-largest) > log_level)
    wrong &= ~(np.isinf(y) & is_beyond)
    expected = np.where(wrong, np.where(below, -INF, INF), y)
    yield Comparison(name, y, expected, 0.0, 1, lambda index: _quantile_question(name, levels, index, fuzzed))


def _may_overflow(fuzzed):
    with np.errstate(over="ignore"):
        mean, stddev = fuzzed.truth.marginals().moments() if not fuzzed.configuration.coarse else (0.0, 0.0)
        return np.any(np.abs(mean) + 40 * stddev > float(np.finfo(fuzzed.dtype).max) * 1e-3)


def _quantile_question(name, levels, index, fuzzed):
    level = np.broadcast_to(levels, (levels.shape[0], *fuzzed.y.shape[1:]))[index]
    if name == "quantile":
        return f"m.quantile([{level!r}])  # of coordinate {index[2:]}"
    return f"m.quantile(tf.fill(m.event_shape, {level!r}))  # coordinate {index[2:]}, of dtype {fuzzed.dtype}"
