"""Searches that are asked for step by step, as one graph for all mixtures of a kind.

A loop that TensorFlow runs in Python takes a hundred times as long as its arithmetic. To trace one takes about as long
as to run it once in Python.

Shapes in comments: N rows, B batch, K components, E event.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import tensors

tfd = tfp.distributions

# Graphs that are kept.
CACHE_SIZE = 64


class Kept:
    """A distribution of a few numbers, after which others of its kind are made in a graph; equal to all of that kind.

    Args:
      distribution: described by tensors.
      make: of the distribution makes one of few numbers, which alone is kept, if there is none of its kind.

    Raises:
      NotImplementedError: if more than tensors and flags describe it.
    """

    def __init__(self, distribution: tfd.Distribution, make: Callable[[tfd.Distribution], tfd.Distribution]):
        self._key, self._make = _kind(distribution), functools.partial(make, distribution)

    @functools.cached_property
    def like(self) -> tfd.Distribution:
        """The distribution of few numbers."""
        made, self._make = self._make(), None
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _kind(distribution: tfd.Distribution) -> Hashable:
    """What distributions have in common that differ in their tensors alone."""
    if isinstance(distribution, tfd.MixtureSameFamily):
        return type(distribution), _kind(distribution.components_distribution)
    inner = tensors.plain(distribution)
    values = tensors.parameters(distribution)
    others = {name: value for name, value in inner.parameters.items() if name not in values and name != "name"}
    if not all(value is None or isinstance(value, (bool, str)) for value in others.values()):
        raise NotImplementedError(f"{type(inner).__name__} is not described by tensors alone. Received: {others}.")
    return type(distribution), type(inner), inner.dtype, tuple(values), tuple(sorted(others.items(), key=str))


def by_graph(function: Callable, mixture: tfd.MixtureSameFamily, *counts: int, axis: int = 0) -> Any:
    """`function(mixture, *counts)`; eagerly by a graph that is traced once for all mixtures of a kind.

    Args:
      function: returns tensors without a gradient. It is kept.
      mixture: the mixture. In a graph, and if tensors alone do not describe it, the function is called with it.
      *counts: integers, which are tensors in the graph.
      axis: where the axes of the batch `[*B]` begin in what the function returns.
    """
    if not tf.executing_eagerly():
        return function(mixture, *counts)
    try:
        kept, values = Kept(mixture, _first_row), tensors.read(mixture)
    except NotImplementedError:
        return function(mixture, *counts)
    values.pop("mask", None)
    batch_shape = mixture.batch_shape
    # Tapes would make a graph of the gradient that there is none of.
    values = {name: tf.stop_gradient(value) for name, value in values.items()}
    rows = {name: tf.reshape(value, [-1, *value.shape[batch_shape.rank :]]) for name, value in values.items()}
    # For any number of rows and components.
    specs = tuple((name, tf.TensorSpec([None, None, *value.shape[2:]], value.dtype)) for name, value in rows.items())
    results = _traced(function, len(counts), kept, specs)(rows, *map(tf.constant, counts))
    return tf.nest.map_structure(
        lambda result: tf.reshape(result, [*result.shape[:axis], *batch_shape, *result.shape[axis + 1 :]]), results
    )


def _first_row(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """The same kind of mixture of one row, without a mask."""
    rank = mixture.batch_shape.rank
    values = {name: tf.reshape(value, [-1, *value.shape[rank:]])[:1] for name, value in tensors.read(mixture).items()}
    return tensors.rebuild(mixture, {**values, "mask": None})


@functools.lru_cache(maxsize=CACHE_SIZE)
def _traced(function: Callable, num_counts: int, kept: Kept, specs: tuple) -> Callable:
    like = kept.like
    traced = tf.function(
        lambda rows, *counts: function(tensors.rebuild(like, {**rows, "mask": None}), *counts),
        input_signature=[dict(specs), *[tf.TensorSpec([], tf.int32)] * num_counts],
        autograph=False,
    )
    return traced.get_concrete_function()  # of which TensorFlow does not say that it is traced too often
