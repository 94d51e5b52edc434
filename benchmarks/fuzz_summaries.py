"""Checks of what a mixture is asked as a whole: moments, peaks, regions, draws, and that a bad row is bad alone.

Shapes in comments: S targets, n rows, K components, E event, G points of a grid.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from fuzz_cases import POSITIVE
from fuzz_checks import Comparison, Fuzzed
from fuzz_mixtures import PROMISED, ULPS, Truth

import tfmdn

INF = math.inf
NUM_DRAWS = 400


def moments(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """`mean`, `stddev` and `variance`, and the two parts of `decompose`."""
    truth, mixture, configuration = fuzzed.truth, fuzzed.mixture, fuzzed.configuration
    if configuration.coarse:
        return
    with np.errstate(all="ignore"):
        mean, of_mean = truth.tolerance(lambda own, _: own.mean())
        stddev, of_stddev = truth.tolerance(lambda own, _: own.stddev())
        size = np.abs(truth.parameters["loc"]).max(1) if configuration.family not in POSITIVE else np.abs(mean)
        of_mean = of_mean + ULPS * configuration.epsilon * size + PROMISED[fuzzed.dtype] * stddev
        if configuration.family in POSITIVE:  # means have these digits, and so their differences
            of_stddev = of_stddev + 2.0 * configuration.epsilon * np.abs(mean)
        if configuration.family == "von_mises":  # which way is hardly known where the mean vector is short
            of_mean = np.where(stddev > 4.0, INF, of_mean)
            turned = np.abs(np.sin(0.5 * (fuzzed.rows(mixture.mean(), 0, True) - mean)))
            yield Comparison("mean", turned, 0.0 * turned, of_mean, 0, lambda index: "m.mean()")
            of_stddev = np.where(stddev > 5.0, INF, of_stddev + ULPS * configuration.epsilon)
        else:
            yield Comparison("mean", fuzzed.rows(mixture.mean(), 0, True), mean, of_mean, 0, lambda index: "m.mean()")
        received = fuzzed.rows(mixture.stddev(), 0, True)
        yield Comparison("stddev", received, stddev, of_stddev, 0, lambda index: "m.stddev()")
        received, largest = fuzzed.rows(mixture.variance(), 0, True), float(np.finfo(fuzzed.dtype).max)
        expected = np.square(stddev)
        is_known = (expected < 1e-3 * largest) & (expected > 1e3 * float(np.finfo(fuzzed.dtype).tiny))
        tolerance = np.where(is_known, 2.0 * stddev * of_stddev + PROMISED[fuzzed.dtype] * expected, INF)
        yield Comparison("variance", received, expected, tolerance, 0, lambda index: "m.variance()")
    if configuration.family != "von_mises":
        parts = sum(fuzzed.rows(part, 0, True).astype(np.float64) for part in mixture.decompose())
        yield Comparison("decompose", parts, expected, 2.0 * tolerance, 0, lambda index: "m.decompose()")


def modes(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """No point of a fine grid, or of many near the components, is higher than the mode by more than 1e-4 nats."""
    configuration, truth = fuzzed.configuration, fuzzed.truth
    if configuration.coarse:
        return
    points = _grid(fuzzed, 400 if configuration.event_shape else 2000)
    mode = fuzzed.rows(fuzzed.mixture.mode(), 0, True).astype(np.float64)
    with np.errstate(all="ignore"):
        heights, (height, tolerance) = truth.log_pdf(points), truth.tolerance(Truth.log_pdf, mode[np.newaxis])
        best = np.nan_to_num(heights, nan=-INF, posinf=-INF).max(0)
        short = np.maximum(best - height[0], 0.0)
    yield Comparison("mode", short, 0.0 * best, 1e-4 + tolerance[0], 0, lambda index: "m.mode()")


def _grid(fuzzed: Fuzzed, number: int) -> np.ndarray:
    """Points `[G, n, *E]`: along the components and around them."""
    components, rng = fuzzed.truth.marginals(), fuzzed.rng
    rank = len(fuzzed.configuration.event_shape)
    z = np.linspace(-4.0, 4.0, number // 4).reshape(-1, 1, 1, *[1] * rank)
    if rank:
        z = z * rng.choice([0.0, 0.1, 1.0], (len(z), fuzzed.num_rows, 4, *fuzzed.configuration.event_shape))
    with np.errstate(over="ignore"):
        points = components.points(z)  # [G / 4, n, K, E]
    points = np.moveaxis(points, 2, 0).reshape(-1, fuzzed.num_rows, *fuzzed.configuration.event_shape)
    p = fuzzed.truth.parameters
    ends = [np.broadcast_to(p[name][:, 0], points.shape[1:])[np.newaxis] for name in ("low", "high") if name in p]
    return np.concatenate([points, *(np.where(np.isfinite(end), end, points[:1]) for end in ends)])


def regions(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """Central intervals, and highest density regions: what probability they have, and how high their ends are."""
    configuration, truth = fuzzed.configuration, fuzzed.truth
    if configuration.event_shape:
        return
    coverage = float(fuzzed.rng.choice([0.05, 0.5, 0.9, 0.999]))
    question = f"m.highest_density_region({coverage})"
    ends = np.asarray(fuzzed.mixture.highest_density_region(coverage), np.float64)
    ends = ends.reshape(-1, fuzzed.num_rows, 2)
    is_there = ~np.isnan(ends[..., 0])
    safe = np.where(is_there[..., np.newaxis], ends, 0.0)
    y = np.moveaxis(safe, -1, 0).reshape(-1, fuzzed.num_rows)
    with np.errstate(all="ignore"):
        log_cdf, of_cdf = truth.tolerance(Truth.log_cdf, y)
        if configuration.coarse:  # of which both ends of an interval belong to it
            low, parameters = y[: len(y) // 2], truth.parameters
            beside = max(1e-13, ULPS * configuration.epsilon) * np.abs(low) + 1e-300
            step = 0.5 * parameters["resolution"][:, 0] if "resolution" in parameters else beside
            log_cdf[: len(low)] = truth.log_cdf(low - step)
        cdf = np.exp(log_cdf).reshape(2, -1, fuzzed.num_rows)
        slack = (np.exp(log_cdf) * np.minimum(of_cdf, 1e3)).reshape(2, -1, fuzzed.num_rows)
        mass = np.where(is_there, cdf[1] - cdf[0], 0.0).sum(0)
        log_pdf, of_pdf = (value.reshape(2, -1, fuzzed.num_rows) for value in truth.tolerance(Truth.log_pdf, y))
    tolerance = 1e-4 + np.where(is_there, slack, 0.0).sum((0, 1))
    if configuration.coarse:  # of values with a probability it is the smallest set that has no less
        mass = np.minimum(mass, coverage)
    yield Comparison("highest density: mass", mass, np.full(mass.shape, coverage), tolerance, 0, lambda index: question)
    if configuration.coarse:
        return
    # Ends that are no limits are equally high, of intervals that matter.
    low, high = _limits(fuzzed)
    is_inside = is_there & (cdf[1] - cdf[0] > 0.02)
    is_inside = is_inside & (y.reshape(cdf.shape) > low) & (y.reshape(cdf.shape) < high) & np.isfinite(log_pdf)
    level = np.where(is_inside, log_pdf, -INF).max((0, 1))
    gap = np.where(is_inside, level - log_pdf, 0.0)
    tolerance = 1e-2 + of_pdf + np.where(is_inside, of_pdf, 0.0).max((0, 1))
    if configuration.family != "laplace" and not configuration.limits:  # whose densities are no smooth hills
        yield Comparison("highest density: level", gap, 0.0 * gap, tolerance, 2, lambda index: question)


def _limits(fuzzed):
    p, family = fuzzed.truth.parameters, fuzzed.configuration.family
    if "low" in p:
        return p["low"][:, 0], p["high"][:, 0]
    if family == "von_mises":
        return -3.14159, 3.14159
    return (0.0 if family in POSITIVE else -INF), INF


def draws(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """How far the distribution of draws of each coordinate is from the truth (Kolmogorov and Smirnov)."""
    configuration, truth = fuzzed.configuration, fuzzed.truth
    if configuration.coarse:
        return
    seed = int(fuzzed.rng.integers(1 << 30))
    y = np.sort(fuzzed.rows(fuzzed.mixture.sample(NUM_DRAWS, seed=seed), 1, True).astype(np.float64), 0)
    step = ULPS * configuration.epsilon * (np.abs(y) + _size(truth))
    left, right = y - step, y + step
    if configuration.family == "von_mises":
        left, right = np.maximum(left, -math.pi), np.minimum(right, math.pi)
    with np.errstate(all="ignore"):
        below, above = np.exp(truth.log_cdf(left)), np.exp(truth.log_cdf(right))
    rank = np.arange(1, NUM_DRAWS + 1).reshape(-1, *[1] * (y.ndim - 1)) / NUM_DRAWS
    beyond = np.maximum(below - rank, rank - 1.0 / NUM_DRAWS - above).max(0)
    beyond = np.where(np.isnan(y).any(0), np.nan, np.maximum(beyond, 0.0))
    # Beyond this once in 1e9 times by chance: 2 exp(-2 n d^2).
    chance = math.sqrt(0.5 * math.log(2e9) / NUM_DRAWS)
    yield Comparison("sample", beyond, 0.0 * below[0], chance, 0, lambda index: f"m.sample({NUM_DRAWS}, seed={seed})")


def _size(truth):
    return np.abs(truth.parameters["loc"]).max(1) if truth.configuration.family not in POSITIVE else 0.0


# What must not matter

QUERIES: dict[str, tuple[Callable, int]] = {  # and how many axes their answers have before those of the batch
    "log_prob": (lambda m, y: m.log_prob(y), 0),
    "cdf": (lambda m, y: m.cdf(y), 0),
    "quantile": (lambda m, y: m.quantile([0.01, 0.5]), 1),
    "mean": (lambda m, y: m.mean(), 0),
    "stddev": (lambda m, y: m.stddev(), 0),
    "mode": (lambda m, y: m.mode(), 0),
    "modes": (lambda m, y: m.modes(2).points, 1),
    "interval": (lambda m, y: m.interval(0.9), 0),
    "crps": (lambda m, y: tfmdn.crps(y, m), 0),
    "sample": (lambda m, y: m.sample(2, seed=1), 1),
}


def invariants(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """A bad row is bad alone, in every query."""
    mixture, case = fuzzed.mixture, fuzzed.case
    y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[0]
    bad, is_good = fuzzed.rng.integers(0, fuzzed.num_rows, 2), np.ones(fuzzed.num_rows, bool)
    is_good[bad] = False
    parameters = {key: np.array(value) for key, value in case.items()}
    for row, name in zip(bad, ("loc", "scale" if "scale" in parameters else "loc")):
        parameters[name][row] = np.nan
    spoilt, at = dataclasses.replace(case, parameters=parameters).mixture(), fuzzed.shaped(y)
    for name, (query, axis) in QUERIES.items():
        if name == "sample" and case.configuration.family == "von_mises":
            continue  # rejected draws of one row are those of all
        try:
            answers = [np.asarray(query(own, at), np.float64) for own in (mixture, spoilt)]
        except Exception as error:
            answers = [np.zeros((fuzzed.num_rows,)), np.full((fuzzed.num_rows,), np.nan)]
            name, axis, message = f"{name} raises", 0, str(error)
        else:
            message = ""
            answers = [by_row(values, axis, mixture.batch_shape, fuzzed.num_rows) for values in answers]
        whole, disturbed = (values[is_good] for values in answers)
        tolerance = np.abs(whole) * ULPS * fuzzed.configuration.epsilon
        question = f"'rows {bad.tolist()} of NaN', {message[:200]!r}"
        yield Comparison(f"{name} beside NaN", disturbed, whole, tolerance, 0, lambda index, own=question: own)


def by_row(values, axis, batch_shape, num_rows):
    """The axes of the batch first, as one."""
    rank = len(batch_shape)
    values = np.moveaxis(values, range(axis, axis + rank), range(rank))
    return values.reshape(num_rows, *values.shape[rank:])
