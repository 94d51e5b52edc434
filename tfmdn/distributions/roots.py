"""The search for the quantiles of mixtures, of whatever kind and shape: one graph for each kind of components.

Shapes in comments: n rows, K components, Q probabilities of each row.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn import numerics
from tfmdn.distributions import compiled, kinds, tensors
from tfmdn.distributions.folding import normal_density

tfd = tfp.distributions

# So many numbers are looked at together: they stay near the processor.
BLOCK = 100_000
MAX_STEPS, MAX_ROUGH_STEPS = 100, 12
# In standard deviations of the narrowest component. Newton's method squares what is left: after a step of less than
# `SMALL` it is below the rounding errors, after one of less than `ROUGH` below those of float32.
SMALL, ROUGH, NARROW = 1e-6, 1e-3, 1e-9


_shares_graphs = contextvars.ContextVar("shares_graphs", default=False)


@contextlib.contextmanager
def shared_graphs() -> Iterator[None]:
    """A context in which graphs call that of the search, which is traced once, rather than have it as a part of them.

    It looks at blocks of rows, which XLA could not compile.
    """
    token = _shares_graphs.set(True)
    try:
        yield
    finally:
        _shares_graphs.reset(token)


def search(
    marginals: tfd.Distribution, values: dict[str, tf.Tensor], logits: tf.Tensor, probability: tf.Tensor
) -> tf.Tensor:
    """Where the weighted sums of cumulative probabilities have values: `[n, Q]` in float64, without a gradient.

    Args:
      marginals: univariate, of finite variance. What is searched are others of their kind.
      values: the tensors that describe these, `[n, K]`.
      logits: of the components, `[n, K]`.
      probability: `[n, Q]`.
    """
    # Tapes would make a graph of the gradient of the search, which nobody asks for.
    arguments = [tf.stop_gradient(tf.cast(value, tf.float64)) for value in (probability, logits, *values.values())]
    if 0 in logits.shape[:1]:
        return arguments[0]
    if not (tf.executing_eagerly() or _shares_graphs.get()):
        return _search(marginals, list(values), *arguments)
    try:
        kept = compiled.Kept(marginals, _first_component)
    except NotImplementedError:
        return _search(marginals, list(values), *arguments)
    return _traced(kept, tuple(values))(*arguments)


def _first_component(marginals: tfd.Distribution) -> tfd.Distribution:
    return tensors.map(lambda value: tf.cast(tf.reshape(value, [-1])[:1], tf.float64), marginals)


@functools.lru_cache(maxsize=compiled.CACHE_SIZE)
def _traced(kept: compiled.Kept, names: tuple[str, ...]) -> Callable:
    """The search as a graph for any number of rows, components and probabilities."""
    first = kept.like

    @functools.partial(tf.function, input_signature=[tf.TensorSpec([None, None], tf.float64)] * (2 + len(names)))
    @numerics.unconverted
    def in_blocks(probability, logits, *values):
        rows = probability, logits, *values
        work = tf.maximum(tf.shape(probability)[1] * tf.shape(logits)[1], 1)
        num_rows = tf.shape(probability)[0]
        size = tf.maximum(tf.minimum(BLOCK // work, num_rows), 1)

        def of_block(start):
            numbers = tf.minimum(start + tf.range(size), num_rows - 1)  # the last repeats the last row
            return _search(first, names, *(tf.gather(value, numbers) for value in rows))

        starts = tf.range(0, num_rows, size)
        found = tf.map_fn(of_block, starts, fn_output_signature=tf.float64, parallel_iterations=os.cpu_count() or 1)
        return tf.reshape(found, [-1, tf.shape(probability)[1]])[:num_rows]

    return in_blocks.get_concrete_function()  # of which TensorFlow does not say that it is traced too often


def _search(like: tfd.Distribution, names: list[str], probability: tf.Tensor, logits: tf.Tensor, *values: tf.Tensor):
    """The roots `[n, Q]`, by Newton's method within bounds: in float32 as far as that goes, and then in float64."""
    values = [value[:, tf.newaxis] for value in (logits, *values)]  # [n, 1, K]
    marginals = tensors.with_parameters(like, dict(zip(names, values[1:])))
    weights = tf.nn.softmax(values[0])  # float32 weights would sum to 1 only within 1e-7
    bounds = _cantelli_bounds if kinds.period(marginals) is None else _cut
    mean, variance = marginals.mean(), marginals.variance()
    centre, width, low, high = bounds(marginals, mean, variance, weights, probability)
    narrowest = tf.sqrt(tf.reduce_min(variance, -1))  # [n, 1]
    is_finite = tf.math.is_finite(low) & tf.math.is_finite(high)
    known = low + high  # at 0 and 1 one bound is infinite, and the answer
    limits, ends = kinds.limits(marginals), ()
    if limits is not None:  # or the limit is
        lowest, highest = (limit + tf.zeros_like(weights) for limit in limits)
        lowest, highest = tf.reduce_min(lowest, -1), tf.reduce_max(highest, -1)
        low, high, known = (tf.maximum(tf.minimum(value, highest), lowest) for value in (low, high, known))
        ends = lowest, highest
    low, high = (tf.where(is_finite, bound, tf.zeros_like(bound)) for bound in (low, high))

    def within(value, other):
        return tf.maximum(tf.minimum(tf.where(tf.math.is_finite(value), value, other), high), low)

    start = within(centre + width * tf.math.ndtri(probability), low)
    # The smaller of both tails, of which close to 0 or 1 no digits are lost.
    side = tf.where(probability > 0.5, -tf.ones_like(probability), tf.ones_like(probability))
    target = tf.where(probability > 0.5, 1.0 - probability, probability)
    # Graphs of which the batch is not known forget the number of axes.
    low, high, start, known, *ends = (tf.ensure_shape(each, [None, None]) for each in (low, high, start, known, *ends))
    problem = marginals, weights, mean, side, target, narrowest, low, high
    in_single = [tensors.map(_single, marginals), *map(_single, problem[1:])]
    near = _newton(*in_single, _single(start), ~is_finite, ROUGH, MAX_ROUGH_STEPS, *map(_single, ends))
    start = within(tf.cast(near, tf.float64), start)
    return tf.where(is_finite, _newton(*problem, start, ~is_finite, SMALL, MAX_STEPS, *ends), known)


def _single(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, tf.float32)


def _newton(
    marginals, weights, mean, side, target, narrowest, low, high, start, is_done, small: float, max_steps: int, *ends
) -> tf.Tensor:
    """The roots `[n, Q]` between bounds, but for those that are done, which stay where they start.

    `target` is the probability below where `side` is 1, and above where it is -1. `ends` are the limits, if there are
    any: close to one only the distance from it tells how much is how little.

    Of a single normal the probability is a straight line after the inverse of the standard normal distribution, and so
    it nearly is in the tails of a mixture: there Newton's method is right at once. Where it leaves the bounds, or does
    not come closer quickly, these are halved.
    """
    at, dtype = kinds.tail(marginals), target.dtype
    epsilon = np.finfo(dtype.as_numpy_dtype).eps
    tiny, half = np.finfo(dtype.as_numpy_dtype).tiny, tf.constant(0.5, dtype)
    side_of_components = side[..., tf.newaxis]

    def unbounded(p):
        return tf.math.ndtri(tf.maximum(tf.minimum(p, 1.0 - 0.5 * epsilon), tiny))

    unbounded_target = unbounded(target)

    def step(index, y, low, high, last, is_done):
        y_of_components = y[..., tf.newaxis]
        tail, density = at(y_of_components, side_of_components)  # [n, Q, K]
        # NaN is what some of TFP's families, such as gamma, have outside of their support.
        beyond = tf.cast(side_of_components * (y_of_components - mean) > 0.0, dtype)
        tail = tf.where(tf.math.is_nan(tail), beyond, tail)
        tail, slope = (tf.ensure_shape(tf.reduce_sum(weights * each, -1), [None, None]) for each in (tail, density))
        away = target - tail
        is_below = side * away > 0.0
        low, high = tf.where(is_below, y, low), tf.where(is_below, high, y)
        # The inverse of the normal distribution has fewer digits than the probabilities.
        is_close = tf.abs(away) < 1e-2 * target
        reached = unbounded(tail)
        away = tf.where(is_close, away, (unbounded_target - reached) * normal_density(reached))
        newton = side * away / slope
        middle = half * (low + high)
        is_known = (tail > 1e3 * tiny) & (tail < 1.0 - half * epsilon)  # and neither 0 nor 1 but for rounding
        is_good = is_known & (y + newton > low) & (y + newton < high) & (tf.abs(newton) < half * last)
        width, rounding = narrowest, 4.0 * epsilon * tf.abs(y)
        if ends:  # next to which the probability is a straight line
            lowest, highest = ends
            width = tf.minimum(width, tf.minimum(y - lowest, highest - y))
            straight = side * (target - tail) / slope
            is_straight = ~is_good & (y + straight > low) & (y + straight < high) & (tf.abs(straight) < 0.75 * last)
            newton, is_good = tf.where(is_straight, straight, newton), is_good | is_straight
        # Short steps mean nothing before: next to a limit nothing is like the tail of a normal.
        is_near = is_close & (tf.abs(newton) <= tf.maximum(small * width, rounding))
        is_found = is_near | (high - low <= (tf.maximum(NARROW * width, rounding) if ends else NARROW * width))
        moved = tf.where(is_good, y + newton, middle)
        moved = tf.where(is_near & ~is_good, tf.maximum(tf.minimum(y + newton, high), low), moved)
        y = tf.where(is_done, y, moved)
        last = tf.where(is_good, tf.abs(newton), high - low)
        return index + 1, y, low, high, last, is_done | is_found

    state = 0, start, low, high, high - low, is_done
    shapes = tf.TensorShape([]), *[tf.TensorShape([None, None])] * 5
    return tf.while_loop(
        lambda index, *state: (index < max_steps) & ~tf.reduce_all(state[-1]), step, state, shape_invariants=shapes
    )[1]


def _cantelli_bounds(marginals, mean, variance, weights, probability) -> tuple[tf.Tensor, ...]:
    """Mean and standard deviation of the mixture, and how far from it a quantile can be by Cantelli's inequality."""
    centre = tf.reduce_sum(weights * mean, -1)
    between = tf.square(mean - centre[..., tf.newaxis])
    # A little wider than the inequality, which a two-point distribution meets with equality.
    width = 1.001 * tf.sqrt(tf.reduce_sum(weights * (variance + between), -1))
    odds = probability / (1.0 - probability)
    return centre, width, centre - width / tf.sqrt(odds), centre + width * tf.sqrt(odds)


def _cut(marginals, mean, variance, weights, probability) -> tuple[tf.Tensor, ...]:
    """The same, where values that are periodic are cut."""
    low, high = kinds.limits(marginals)
    zeros = 0.0 * tf.reduce_sum(weights * mean, -1)  # NaN of NaN
    zeros += 0.0 * tf.sqrt(probability * (1.0 - probability))  # NaN outside of [0, 1]
    return zeros, zeros + 1.0, low + zeros, high + zeros
