"""Checks of intervals, of entropy and of quantiles' scores, and that neither a graph nor what has no weight matters.

Shapes in comments: S targets, n rows, K components, E event.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from fuzz_cases import POSITIVE
from fuzz_checks import Comparison, Fuzzed, literal, log_scales
from fuzz_mixtures import PROMISED, ULPS, Truth
from fuzz_scores import NODE_WEIGHTS, NODES, interval_crps, panels, size_of_targets
from fuzz_summaries import QUERIES, by_row
from fuzz_truth import log_difference

import tfmdn

INF = math.inf
NUM_INTERVALS, NUM_DRAWS = 4, 1000
MORE_QUERIES = {
    "variance": (lambda m, y: m.variance(), 0),
    "log_cdf": (lambda m, y: m.log_cdf(y), 0),
    "decompose": (lambda m, y: tf.stack(m.decompose()), 1),
    "pinball": (lambda m, y: tfmdn.pinball_loss(y, m), 0),
}


# Intervals


def intervals(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """The log probability that a target lies between two values, wide and narrow ones, and the CRPS of such targets."""
    configuration, truth, rng = fuzzed.configuration, fuzzed.truth, fuzzed.rng
    if configuration.family == "von_mises" or configuration.covariance == "full" or configuration.coarse:
        return
    low, high = _ends(fuzzed, rng)
    at = fuzzed.shaped(low), fuzzed.shaped(high)
    with np.errstate(all="ignore"):
        expected, tolerance = truth.tolerance(log_between, np.concatenate([low, high]))
        received = fuzzed.rows(fuzzed.mixture.interval_log_prob(*at), 1, False)
        smallest = math.log(float(np.finfo("float64").tiny))  # where logarithms of differences end
        excused = (expected < smallest + 10.0) & (received < smallest + 10.0)
        tolerance = tolerance + PROMISED[fuzzed.dtype]
    ends = np.stack([low, high], -1)

    def question(index):
        pair = literal(ends[index[:2]], fuzzed.dtype)
        return f"m.interval_log_prob(*np.moveaxis({pair}, -1, 0))"

    yield Comparison("interval_log_prob", received, np.where(excused, received, expected), tolerance, 1, question)
    pairs = tf.stack(at, -1)
    received = np.stack([np.asarray(tfmdn.crps(own, fuzzed.mixture, intervals=True)).reshape(-1) for own in pairs])
    expected, distance = interval_crps(truth, low, high)
    size = sum(size_of_targets(fuzzed, np.where(np.isfinite(end), end, 0.0)) for end in (low, high))
    if configuration.event_shape:
        expected, distance, size = expected.mean(-1), distance.mean(-1), size.mean(-1)
    tolerance = (3e-6 + PROMISED[fuzzed.dtype]) * distance + ULPS * configuration.epsilon * size
    yield Comparison("crps of intervals", received, expected, tolerance, 1, lambda index: f"'{ends[index[:2]]}'")


def _ends(fuzzed: Fuzzed, rng) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends `[S, n, *E]`, of which some are next to each other, and some infinite."""
    y = fuzzed.y[np.isfinite(fuzzed.y).reshape(len(fuzzed.y), -1).all(1)]
    y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0) if len(y) < 2 else y
    first = np.clip(y[rng.integers(0, len(y), NUM_INTERVALS)], -1e36, 1e36)
    second = np.clip(y[rng.integers(0, len(y), NUM_INTERVALS)], -1e36, 1e36)
    is_narrow = rng.random(first.shape) < 0.3
    near = first + np.abs(first) * 10.0 ** rng.uniform(-6.0, -1.0, first.shape)
    second = np.where(is_narrow, near, second)
    low, high = (value.astype(fuzzed.dtype) for value in (np.minimum(first, second), np.maximum(first, second)))
    tiny = np.finfo(fuzzed.dtype).tiny  # below which a number may count as 0
    low, high = (np.where(np.abs(value) < tiny, 0.0, value).astype(fuzzed.dtype) for value in (low, high))
    next_to_low = np.maximum(np.nextafter(low, np.array(INF, fuzzed.dtype)), low + tiny)
    high = np.where(low < high, high, next_to_low)
    kind = rng.random(low.shape)
    low, high = np.where(kind < 0.15, -INF, low), np.where(kind > 0.85, INF, high)
    return low.astype(np.float64), high.astype(np.float64)


def log_between(truth: Truth, both: np.ndarray) -> np.ndarray:
    """Of lower ends and then upper ones `[2 S, n, *E]`: `[S, n]`."""
    low, high = (truth._along_components(end) for end in np.split(both, 2))
    components = truth.marginals()
    below, above = ([method(end) for end in (low, high)] for method in (components.log_cdf, components.log_sf))
    is_left = below[1] <= above[0]
    larger, smaller = np.where(is_left, below[1], above[0]), np.where(is_left, below[0], above[1])
    value = log_difference(larger, smaller)
    middle = np.where(np.isfinite(low) & np.isfinite(high), 0.5 * low + 0.5 * high, 0.0)
    narrow = components.log_pdf(middle) + np.log(high - low)
    is_narrow = (larger - smaller < 1e-7) & np.isfinite(low) & np.isfinite(high) & np.isfinite(narrow)
    value = np.where(is_narrow, narrow, value)
    return truth._summed(value.sum(-1) if truth.event_rank else value, -1)


# Scores that are sums of what has been checked


def entropy(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """That of scalars, from draws: within six of their standard errors of what a quadrature says."""
    configuration, truth = fuzzed.configuration, fuzzed.truth
    if configuration.event_shape or configuration.coarse or configuration.family == "von_mises":
        return
    with np.errstate(all="ignore"):
        ends = panels(truth, truth.parameters["loc"][np.newaxis, :, 0, np.newaxis])[0][..., 0]  # [P, n]
        half = 0.5 * np.diff(ends, axis=0)[:, np.newaxis]
        at = ends[:-1, np.newaxis] + half * (1.0 + NODES.reshape(-1, 1))  # [P, nodes, n]
        log_pdf = truth.log_pdf(at.reshape(-1, fuzzed.num_rows)).reshape(at.shape)
        mass = np.where(np.isfinite(log_pdf), half * NODE_WEIGHTS.reshape(-1, 1) * np.exp(log_pdf), 0.0)
        log_pdf = np.where(np.isfinite(log_pdf), log_pdf, 0.0)
        total = mass.sum((0, 1))
        expected = -(mass * log_pdf).sum((0, 1)) / total
        squares = np.where(mass > 0.0, mass * np.square(log_pdf + expected), 0.0)  # infinite ones count nothing
        spread = np.sqrt(squares.sum((0, 1)) / total)
    # Of draws whose digits do not tell components apart nothing is known.
    is_known = (np.abs(total - 1.0) < 1e-6) & (_resolution(fuzzed) < 1e-3)
    received = fuzzed.rows(fuzzed.mixture.entropy(NUM_DRAWS, seed=int(fuzzed.rng.integers(1 << 30))), 0, False)
    tolerance = np.where(is_known, 6.0 * spread / math.sqrt(NUM_DRAWS) + 2e-2, INF)
    yield Comparison("entropy", received, expected, tolerance, 0, lambda index: "m.entropy(1000)")


def _resolution(fuzzed: Fuzzed) -> np.ndarray:
    """How many of the narrowest component's scales one digit of its values is, `[n]`."""
    p = fuzzed.truth.parameters
    size = np.maximum(np.abs(p["loc"]), p["scale"]).max(1)
    for name in ("low", "high"):
        if name in p:
            size = np.maximum(size, np.where(np.isfinite(p[name]), np.abs(p[name]), 0.0).max(1))
    return fuzzed.configuration.epsilon * size / p["scale"].min(1)


def pinball(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """The pinball loss at some levels, of the quantiles that the mixture has."""
    if fuzzed.configuration.family == "von_mises":
        return
    levels = (0.01, 0.3, 0.5, 0.975)
    y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[0]
    quantiles = fuzzed.rows(fuzzed.mixture.quantile(list(levels)), 1, True).astype(np.float64)
    share = np.reshape(levels, (-1, *[1] * y.ndim))
    with np.errstate(all="ignore"):
        losses = np.maximum(share * (y - quantiles), (share - 1.0) * (y - quantiles)).mean(0)
        size = (np.abs(y) + np.abs(quantiles).max(0)) * ULPS * fuzzed.configuration.epsilon
    rank = len(fuzzed.configuration.event_shape)
    losses, size = (value.mean(-1) if rank else value for value in (losses, size))
    received = fuzzed.rows(tfmdn.pinball_loss(fuzzed.shaped(y), fuzzed.mixture, levels), 0, False)
    question = f"tfmdn.pinball_loss(y, m, {levels})"
    yield Comparison("pinball_loss", received, losses, size, 0, lambda index: f"{question!r}")


def energy(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """The energy score, within nine of their standard errors of what other draws of each component say."""
    configuration, seeds = fuzzed.configuration, fuzzed.rng.integers(1 << 30, size=2).tolist()
    if configuration.family == "von_mises":
        return  # whose distances are those on a circle
    y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[0]
    received = fuzzed.rows(tfmdn.energy_score(fuzzed.shaped(y), fuzzed.mixture, NUM_DRAWS, seeds[0]), 0, False)
    n = fuzzed.num_rows
    logits = np.asarray(fuzzed.mixture.mixture_distribution.logits_parameter(), np.float64).reshape(n, -1)
    weights = np.exp(logits - np.logaddexp.reduce(logits, -1, keepdims=True))  # [n, K]
    drawn = fuzzed.mixture.components_distribution.sample(NUM_DRAWS, seed=seeds[1])
    drawn = np.asarray(drawn, np.float64).reshape(NUM_DRAWS, *weights.shape, -1)  # [draws, n, K, E or 1]
    y = y.reshape(n, 1, -1)
    counts = weights > 1e-6 / NUM_DRAWS  # what is rarer is not among the draws
    weights = np.where(counts, weights, 0.0)
    drawn = np.where(counts[..., np.newaxis], drawn, y)
    unit = np.maximum(np.abs(drawn - y).max((0, 2, 3)), 1e-300)  # [n]; squares of distances overflow

    def distance(*pair):
        return np.sqrt(np.square(np.subtract(*pair) / unit.reshape(-1, *[1] * (pair[0].ndim - 2))).sum(-1))

    others = np.roll(drawn, 1, 0)
    to_target, apart = distance(drawn, y), distance(drawn[:, :, :, np.newaxis], others[:, :, np.newaxis])
    both = weights[:, :, np.newaxis] * weights[:, np.newaxis]
    expected = (weights * to_target.mean(0)).sum(-1) - 0.5 * (both * apart.mean(0)).sum((-1, -2))
    spread = ((weights * to_target.std(0)).sum(-1) + (both * apart.std(0)).sum((-1, -2))) / math.sqrt(NUM_DRAWS)
    rounding = 4.0 * ULPS * configuration.epsilon  # of a thousand terms
    tolerance = (9.0 * (spread + apart.max((0, 2, 3)) / NUM_DRAWS) + rounding) * unit + _slack(fuzzed)
    if configuration.family in POSITIVE:  # of whose wide components single draws decide
        is_wide = (fuzzed.truth.parameters["scale"].reshape(n, -1) > 1.0).any(-1)
        tolerance = np.where(is_wide & np.isfinite(received), INF, tolerance)
    question = f"tfmdn.energy_score(y, m, {NUM_DRAWS}, {seeds[0]})"
    yield Comparison("energy_score", received, expected * unit, tolerance, 0, lambda index: f"{question!r}")


# What must not matter


def nothing(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """Components of weight 0 do not count, whatever they are."""
    case, rng = fuzzed.case, fuzzed.rng
    logits = np.array(case.logits)
    logits[:, 1::2] = -INF  # in each half, which may be merged, there is one that is possible
    spoilt = {key: np.array(value) for key, value in case.items()}
    for name in ("loc", "scale", "scale_diag", "scale_tril", "df"):
        if name in spoilt:
            junk = rng.choice([INF, math.nan, 1e30] + [-INF] * (name == "loc"), spoilt[name][:, 1::2].shape)
            junk = np.tril(junk) if name == "scale_tril" else junk
            spoilt[name][:, 1::2] = junk
    plain = dataclasses.replace(case, logits=logits)
    y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[0]
    mixtures = plain.mixture(), dataclasses.replace(plain, parameters=spoilt).mixture()
    for name, (query, axis) in (QUERIES | MORE_QUERIES).items():
        if name in ("sample", "decompose", "pinball") and case.configuration.family == "von_mises":
            continue
        message = ""
        try:
            answers = [np.asarray(query(mixture, fuzzed.shaped(y)), np.float64) for mixture in mixtures]
            answers = [by_row(values, axis, fuzzed.mixture.batch_shape, fuzzed.num_rows) for values in answers]
        except Exception as error:
            answers, message = [np.zeros(fuzzed.num_rows), np.full(fuzzed.num_rows, np.nan)], str(error)[:200]
        whole, disturbed = answers
        scale = ULPS * fuzzed.configuration.epsilon * (1e3 if name in ("mode", "modes", "crps") else 1.0)
        with np.errstate(invalid="ignore"):
            tolerance = np.abs(whole) * scale + (_slack(fuzzed) if name == "crps" else 0.0)
        yield Comparison(
            f"{name} beside nothing", disturbed, whole, tolerance, 0, lambda index, own=message: f"{own!r}"
        )


def _slack(fuzzed: Fuzzed) -> np.ndarray:
    """What a score may differ by that is a difference of numbers as large as the targets."""
    y = np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[0]
    size = size_of_targets(fuzzed, y)
    size = size.mean(-1) if fuzzed.configuration.event_shape else size
    return ULPS * fuzzed.configuration.epsilon * size


def graphs(fuzzed: Fuzzed) -> Iterator[Comparison]:
    """A graph says what is said without it. Of peaks, of which several may be the highest, it is how high they are."""
    y = fuzzed.shaped(np.where(np.isfinite(fuzzed.y), fuzzed.y, 0.0)[0])
    queries = {name: own for name, own in (QUERIES | MORE_QUERIES).items() if name not in ("sample", "mode", "modes")}
    queries["height"] = (lambda m, y: m.log_prob(m.mode()), 0)
    if fuzzed.configuration.family == "von_mises":
        queries = {name: own for name, own in queries.items() if name not in ("decompose", "pinball")}

    @tf.function(autograph=False)
    def asked(y):
        return {name: query(fuzzed.mixture, y) for name, (query, _) in queries.items()}

    answers = asked(y)
    for name, (query, axis) in queries.items():
        whole, own = (
            by_row(np.asarray(value, np.float64), axis, fuzzed.mixture.batch_shape, fuzzed.num_rows)
            for value in (query(fuzzed.mixture, y), answers[name])
        )
        scale = ULPS * fuzzed.configuration.epsilon * (1e2 if name == "crps" else 1.0)
        tolerance = np.abs(whole) * scale
        with np.errstate(all="ignore"):
            if name in ("crps", "quantile", "interval", "decompose"):  # of the digits of the centres, or their squares
                slack = _slack(fuzzed)
                slack = np.square(slack) if name == "decompose" else slack
                tolerance = tolerance + slack.reshape(*slack.shape, *[1] * (whole.ndim - slack.ndim))
            if name in ("quantile", "interval"):  # Newton's last step is short, and not 0
                tolerance = tolerance + 1e-11 * np.ptp(whole, 1 if name == "quantile" else -1, keepdims=True)
            if name in ("log_prob", "height"):  # sums of logarithms that are larger
                tolerance = tolerance + scale * log_scales(fuzzed.truth)
            if name == "pinball":
                tolerance = tolerance + 1e-11 * whole
            if name == "cdf":  # whose far tails hang on the last digits of what is asked
                at = fuzzed.rows(y, 0, True).astype(np.float64)[np.newaxis]
                tolerance = np.maximum(tolerance, whole * fuzzed.truth.tolerance(Truth.log_cdf, at)[1][0])
        yield Comparison(
            f"{name} in a graph", own, whole, tolerance, 0, lambda index, own=name: _in_a_graph(own, index)
        )


def _in_a_graph(name: str, index: tuple[int, ...]) -> str:
    return f"'{name} in a graph, of row {index[0]}'"
