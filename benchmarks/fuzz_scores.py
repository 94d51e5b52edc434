"""Checks of scores against quadrature, and of gradients against differences of what SciPy says.

Shapes in comments: S targets, n rows, K components, E event, P points of a quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from fuzz_cases import POSITIVE
from fuzz_checks import Comparison, Fuzzed, is_beyond_reach, is_plain_normal, literal
from fuzz_mixtures import PROMISED, ULPS, Truth

import tfmdn

INF = math.inf
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)
# In what is like standard deviations: denser where distribution functions bend.
EDGES = np.unique(
    np.concatenate([np.linspace(-8.0, 8.0, 33), np.linspace(-40.0, 40.0, 17), [-0.25, 0.25, -0.75, 0.75]])
)
NUM_SCORED = 3
MOST_CELLS = 500


def scores(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """The CRPS: integrals of F^2 to the left of a target, and of (1 - F)^2 to its right."""
    configuration = fuzzed.configuration
    if configuration.family == "von_mises" or configuration.covariance == "full":
        return  # of angles the score is another one; of correlated coordinates it is that of the marginals
    y = _targets(fuzzed)
    expected, distance = crps(fuzzed.truth, y)
    size = size_of_targets(fuzzed, y)
    if configuration.event_shape:
        expected, distance, size = expected.mean(-1), distance.mean(-1), size.mean(-1)
    received = np.stack([np.asarray(tfmdn.crps(fuzzed.shaped(own), fuzzed.mixture)).reshape(-1) for own in y])
    tolerance = (3e-6 + PROMISED[fuzzed.dtype]) * distance + ULPS * configuration.epsilon * size
    tolerance = np.where(np.isnan(expected), INF, tolerance)  # of grids with too many values
    expected = np.where(np.isnan(expected) & ~np.isnan(received), received, expected)
    yield Comparison("crps", received, expected, tolerance, 1, lambda index: _crps_question(y[index[:2]], fuzzed.dtype))


def _crps_question(y, dtype: str) -> str:
    alone = "tfmdn.Mixture(tfd.Categorical(logits=m.mixture_distribution.logits[None]), m.components_distribution)"
    return f"tfmdn.crps({literal(y, dtype)}[None], {alone})"


def _targets(fuzzed: Fuzzed) -> np.ndarray:
    y = fuzzed.y[np.isfinite(fuzzed.y).reshape(len(fuzzed.y), -1).all(1)][:NUM_SCORED]
    if len(y) < NUM_SCORED:
        y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[:NUM_SCORED]
    return np.clip(y, -1e36, 1e36)


def size_of_targets(fuzzed: Fuzzed, y: np.ndarray) -> np.ndarray:
    """How large targets and means are, of which scores are differences."""
    return np.abs(y) + np.abs(fuzzed.truth.mean() if fuzzed.configuration.family in POSITIVE else _size(fuzzed))


def _size(fuzzed: Fuzzed) -> np.ndarray:
    """How large the centres are, of which distances are differences, `[n, *E]`."""
    p = fuzzed.truth.parameters
    sizes = np.abs(p["loc"]).max(1)
    for name in ("low", "high", "mirror_low", "mirror_high"):
        if name in p:
            limit = p[name].max(1)
            sizes = np.maximum(sizes, np.where(np.isfinite(limit), np.abs(limit), 0.0))
    return sizes


def crps(truth: Truth, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score of each coordinate `[S, n, *E]`, and the mean distance E|X - y|, of which it is a difference.

    NaN for grids of more than `MOST_CELLS` values.
    """
    return interval_crps(truth, y, y)


def interval_crps(truth: Truth, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of targets in intervals, between whose ends nothing counts; either end may be infinite."""
    y, flats = low, [end.reshape(*low.shape[:2], -1) for end in (low, high)]  # [S, n, D]
    with np.errstate(all="ignore"):
        centre = truth.parameters["loc"][:, 0].reshape(flats[0].shape[1:])
        ends, is_covered = panels(truth, np.concatenate([np.where(np.isfinite(flat), flat, centre) for flat in flats]))
        nodes, weights = (NODES, NODE_WEIGHTS) if is_covered is None else (np.zeros(1), np.array([2.0]))
        half = 0.5 * np.diff(ends, axis=0)
        at = ends[:-1, np.newaxis] + half[:, np.newaxis] * (1.0 + nodes.reshape(-1, 1, 1))  # [P, nodes, n, D]
        if is_covered is not None:  # of what is next to a value of the grid the probability is that of the value
            step = truth.parameters["resolution"].reshape(*centre.shape[:1], -1, centre.shape[1])[:, 0]
            points = (np.floor(at / step) * step).reshape(-1, *y.shape[1:])
        else:
            points = at.reshape(-1, *y.shape[1:])
        below, above = np.exp(truth.log_cdf(points)).reshape(at.shape), np.exp(truth.log_sf(points)).reshape(at.shape)
        mass = half[:, np.newaxis] * weights.reshape(-1, 1, 1)
        of_all = []
        for first, last in zip(*flats):
            outside = np.where(at < first, below, np.where(at >= last, above, 0.0))
            of_all.append([(mass * outside**n).sum((0, 1)) for n in (2, 1)])
        score, distance = np.moveaxis(np.array(of_all), 1, 0)
        if is_covered is not None:
            score = np.where(is_covered, score, np.nan)
    return score.reshape(y.shape), distance.reshape(y.shape)


def panels(truth: Truth, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The ends `[P, n, D]` of panels between which the distribution functions are smooth; of grids the values."""
    p, shape = truth.parameters, flat.shape[1:]
    limits = [p[name][:, 0].reshape(shape) for name in ("low", "high", "mirror_low", "mirror_high") if name in p]
    limits = [np.where(np.isfinite(limit), limit, flat[0])[np.newaxis] for limit in limits]
    if "resolution" not in p:
        points = truth.marginals().points(EDGES.reshape(-1, 1, 1, *[1] * truth.event_rank))  # [P, n, K, E]
        points = np.moveaxis(points, 2, 1).reshape(-1, *shape)
        return np.sort(np.concatenate([points, flat, *limits]), 0), None
    latent, step = truth.marginals().latent, p["resolution"].reshape(len(p["loc"]), -1, shape[1])
    loc, scale = (value.reshape(step.shape) for value in (latent.centre, latent.sigma))
    first = np.floor((loc - 9.0 * scale).min(1) / step[:, 0])
    last = np.ceil((loc + 9.0 * scale).max(1) / step[:, 0])
    values = (first + np.arange(MOST_CELLS).reshape(-1, 1, 1)) * step[:, 0]
    is_covered = (last - first < MOST_CELLS) & (np.abs(first) < 1e6)
    return np.sort(np.concatenate([values, flat, *limits]), 0), is_covered


# Gradients

QUERIES = {
    "log_prob": Truth.log_pdf,
    "log_cdf": Truth.log_cdf,
    "log_survival_function": Truth.log_sf,
}


def gradients(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """By the target: those of logarithms against differences, all of them finite where values are."""
    configuration, dtype, y = fuzzed.configuration, fuzzed.dtype, fuzzed.y[:4]
    at, largest = fuzzed.shaped(y), float(np.finfo(dtype).max)
    for name in ("log_prob", "cdf", "log_cdf", "log_survival_function"):
        with tf.GradientTape() as tape:
            tape.watch(at)
            value = getattr(fuzzed.mixture, name)(at)
        slope = fuzzed.rows(tape.gradient(value, at), 1, True).astype(np.float64)
        value = fuzzed.rows(value, 1, name != "log_prob").astype(np.float64)
        if name == "log_prob" and configuration.event_shape:
            value = np.broadcast_to(value[..., np.newaxis], slope.shape)
        is_finite = np.isfinite(value) & np.isfinite(y)
        is_wrong = is_finite & ~np.isfinite(slope)

        def question(index, name=name):
            return f"m.{name}({literal(y[index[0], index[1]], dtype)}))  # gradient by y"

        if name in QUERIES and not configuration.coarse:
            with np.errstate(all="ignore"):
                expected, tolerance = _slope(fuzzed, QUERIES[name], y)
                # What the difference does not resolve beside a huge value may overflow, too.
                unknown = np.where(np.isfinite(tolerance), tolerance, 0.0)
                is_moderate = ~(np.abs(expected) + unknown > 0.01 * largest)
                is_known = is_finite & np.isfinite(slope) & np.isfinite(tolerance) & is_moderate
                # Further out densities are held, and logarithms those of what vanishes.
                is_known &= (
                    (np.abs(value) < min(largest**0.3, 1e10)) & _is_smooth(fuzzed, y) & ~is_beyond_reach(fuzzed, y)
                )
                is_known &= (
                    (value > np.log(np.finfo(dtype).tiny)) | (name == "log_prob") | is_plain_normal(configuration)
                )
                if name != "log_prob":  # a density that vanishes in the dtype leaves a gradient of 0, as is promised
                    density = value + np.log(np.abs(expected) * fuzzed.truth.marginals().scale.min(1))
                    is_known &= (density > np.log(np.finfo(dtype).tiny)) | is_plain_normal(configuration)
            received, expected = np.where(is_known, slope, 0.0), np.where(is_known, expected, 0.0)
            yield Comparison(f"gradient of {name}", received, expected, tolerance, 1, question)
            is_wrong &= is_moderate & ~_overflows(fuzzed)
        yield Comparison(f"gradient of {name} is finite", is_wrong * 1.0, np.zeros(slope.shape), 0.0, 1, question)


def _overflows(fuzzed: Fuzzed) -> np.ndarray:
    """Whether the straight line as which exponential tails go on is too steep for the dtype in these units."""
    if fuzzed.configuration.family != "gumbel":
        return np.zeros(fuzzed.y[:4].shape, bool)
    with np.errstate(over="ignore"):
        slope = math.exp(40.0) / fuzzed.truth.parameters["scale"].min(1)
    return np.broadcast_to(slope > 0.01 * float(np.finfo(fuzzed.dtype).max), fuzzed.y[:4].shape)


def _is_smooth(fuzzed: Fuzzed, y: np.ndarray) -> np.ndarray:
    """Where there is no limit next to the target, and not the peak of a Laplace."""
    p, is_smooth = fuzzed.truth.parameters, np.ones(y.shape, bool)
    for name in ("low", "high"):
        if name in p:
            limit = p[name][:, 0]
            is_smooth &= ~(np.abs(y - limit) <= 1e-3 * p["loc"].std(1) + 1e-5 * np.abs(limit))
    if fuzzed.configuration.family == "laplace":
        is_smooth &= (np.abs(y[:, :, np.newaxis] - p["loc"]) > 1e-2 * p["scale"]).all(2)
    return is_smooth


def _slope(fuzzed: Fuzzed, query, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences at two distances, and how far apart they are: `[S, n, *E]`."""
    truth, configuration = fuzzed.truth, fuzzed.configuration
    scale = truth.marginals().scale.min(1)
    if configuration.family in POSITIVE:
        scale = np.abs(y) * np.minimum(scale, 1.0)
    step = 1e-4 * scale + 0.0 * y
    centres = np.abs(truth.parameters["loc"]).max(1)
    size = np.abs(y) + (centres if configuration.family not in POSITIVE else 0.0)
    step = np.maximum(step, 1e-9 * size)
    if configuration.family in POSITIVE:  # of which the distribution is that of log y, whose last place is that of loc
        size = np.abs(y) * (1.0 + centres)

    base, wide = (difference(query, truth, y, own) for own in (step, 2.0 * step))
    value = query(truth, y)
    if query is Truth.log_pdf and configuration.event_shape:
        value = value[..., np.newaxis]
    change = ULPS * configuration.epsilon
    # The slope at targets and centres that are moved by a few ulps, and the rounding of the difference itself.
    shift = np.maximum(change * size, 2.0 * step)
    beside = [difference(query, truth, y + own, step) for own in (shift, -shift)]
    bend = np.maximum(*(np.abs(own - base) for own in beside))
    rounding = 1e-13 * (1.0 + np.abs(value)) / step
    tolerance = (
        4.0 * np.abs(base - wide)
        + bend
        + rounding
        + (1e-3 if configuration.dtype == "float32" else 1e-5) * np.abs(base)
    )
    # So far from 0 that the digits of a target leave no step within a component, a difference says nothing.
    return base, np.where(np.isnan(tolerance) | (step > 1e-2 * scale), INF, tolerance)


def difference(query, truth: Truth, y: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The central difference by each coordinate, `[S, n, *E]`."""
    if query is not Truth.log_pdf or not truth.event_rank:
        return (query(truth, y + step) - query(truth, y - step)) / (2.0 * step)
    moved = []
    for axis in range(y.shape[-1]):
        own = np.zeros_like(y)
        own[..., axis] = step[..., axis]
        moved.append((query(truth, y + own) - query(truth, y - own)) / (2.0 * step[..., axis]))
    return np.stack(moved, -1)
