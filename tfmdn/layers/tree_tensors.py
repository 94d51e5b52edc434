"""Trees as arrays of their nodes, and what they add up to for rows, in TensorFlow.

Shapes in comments: n rows, F features, G groups of trees, each with a sum of its own, I trees of each group, N nodes of
all trees, S steps in which trees are summed, C trees of each group in a step.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# So many trees are looked at side by side: more take more memory, fewer more time for few rows.
TREES_PER_STEP = 64
# Of these there may be any number in a graph, so that it serves the trees of other tables, too.
ANY_NUMBER = ("roots", "left", "features", "numbers", "x")


class Tree(NamedTuple):
    """A regression tree: arrays of one entry for each of its nodes, of which the first is the root.

    Where a node has children, rows with `x[feature] <= threshold` go left, as do those without a number if
    `missing_left`. Where it has none, `left` is not above 0, and `value` is the tree's prediction.
    """

    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


NOTHING = Tree(*(np.zeros(1, dtype) for dtype in (int, float, bool, int, int, float)))


class Forest(NamedTuple):
    """Groups of trees, each group with a sum of its own. Arrays, variables, or tensors.

    A node's right child stands behind its left one. A leaf is a node that is its own left child.
    """

    baseline: Any  # [G], float64: what a group's trees are added to
    roots: Any  # [S, C, G], int32: where the nodes of each tree begin
    left: Any  # [N], int32
    features: Any  # [N], int16 if they are few: f, or -1 - f where what is missing goes right
    numbers: Any  # [N], float64: thresholds, or the predictions of leaves
    depth: Any  # (), int32: so many steps down lead to each leaf


def forest_of(groups: Sequence[tuple[float, Sequence[Tree]]]) -> Forest:
    """The arrays of groups of trees, each with the number that its trees are added to."""
    size = max(len(trees) for _, trees in groups)
    # A tree that adds nothing stands in for those that a group lacks.
    by_number = itertools.zip_longest(*(trees for _, trees in groups), fillvalue=NOTHING)
    trees = list(itertools.chain.from_iterable(by_number))
    num_parallel = max(1, TREES_PER_STEP // len(groups))
    num_steps = -(-size // num_parallel)
    # One more, which adds nothing, makes up for the last step.
    counts = np.array([len(tree.feature) for tree in trees] + [1])
    starts = np.cumsum(counts) - counts
    roots = np.full(num_steps * num_parallel * len(groups), starts[-1])
    roots[: len(trees)] = starts[:-1]
    parts = [_in_order(tree, start) for tree, start in zip(trees, starts)]
    parts.append((starts[-1:], np.zeros(1, int), np.zeros(1)))
    left, features, numbers = map(np.concatenate, zip(*parts))
    small = np.iinfo(np.int16)
    return Forest(
        np.array([baseline for baseline, _ in groups], np.float64),
        roots.reshape(num_steps, num_parallel, len(groups)).astype(np.int32),
        left.astype(np.int32),
        features.astype(np.int16 if features.min() >= small.min and features.max() <= small.max else np.int32),
        numbers.astype(np.float64),
        np.int32(max(map(_depth, trees))),
    )


def _in_order(tree: Tree, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The left children, features and numbers of nodes, in an order in which siblings are neighbours."""
    splits = np.flatnonzero(tree.left > 0)
    place = np.zeros(len(tree.left), int)
    place[tree.left[splits]] = 1 + 2 * np.arange(len(splits))
    place[tree.right[splits]] = 2 + 2 * np.arange(len(splits))
    order = np.argsort(place)
    is_split = tree.left[order] > 0
    left = np.where(is_split, place[np.where(is_split, tree.left[order], 0)], np.arange(len(order)))
    features = np.where(tree.missing_left[order].astype(bool), tree.feature[order], -1 - tree.feature[order])
    numbers = np.where(is_split, tree.threshold[order], tree.value[order])
    return start + left, np.where(is_split, features, 0), numbers


def _depth(tree: Tree) -> int:
    """The number of steps from the root to the farthest leaf."""
    depth, level = 0, np.zeros(1, int)
    while len(level := level[tree.left[level] > 0]):
        depth, level = depth + 1, np.concatenate([tree.left[level], tree.right[level]])
    return depth


def sums(forest: Forest, x: tf.Tensor, centres: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor | None]:
    """What the trees of each group add up to, one by one in their order.

    Args:
      forest: the trees.
      x: rows `[n, F]` of float64.
      centres: numbers `[G]`.

    Returns:
      The sums `[G, n]`; and the sums of the squares of how far each tree's number is from its group's centre `[G, n]`,
      None without centres.
    """
    arguments = [*map(tf.convert_to_tensor, forest), x, *([] if centres is None else [tf.convert_to_tensor(centres)])]
    if not tf.executing_eagerly():
        return _sums(*arguments)
    specs = {
        name: tf.TensorSpec([None, *value.shape[1:]] if name in ANY_NUMBER else value.shape, value.dtype)
        for name, value in zip((*Forest._fields, "x", "centres"), arguments)
    }
    return _traced(tuple(specs.values()))(*arguments)


@functools.lru_cache(maxsize=32)
def _traced(signature: tuple[tf.TensorSpec, ...]) -> Callable:
    """A graph for what would take seconds step by step in Python."""
    return tf.function(_sums, input_signature=signature, autograph=False)


def _sums(baseline, roots, left, features, numbers, depth, x, centres=None) -> tuple[tf.Tensor, tf.Tensor | None]:
    num_rows, num_features = tf.shape(x)[0], x.shape[-1]
    # Before a row's features, where f is found at f, stand the same in the reverse order, where it is at -1 - f: there
    # what is missing is less than no threshold and goes right, at f it is less than each.
    at_f = tf.where(tf.math.is_nan(x), tf.constant(-np.inf, x.dtype), x)
    x = tf.reshape(tf.concat([tf.reverse(x, [1]), at_f], 1), [-1])
    rows = (2 * tf.range(num_rows) + 1) * num_features
    num_steps, num_parallel, num_groups = roots.shape
    num_steps = tf.shape(roots)[0] if num_steps is None else num_steps

    def down(level, nodes):  # [C, G, n]
        value = tf.gather(x, rows + tf.cast(tf.gather(features, nodes), tf.int32))
        goes_left = value <= tf.gather(numbers, nodes)
        child = tf.gather(left, nodes)
        # Not by `~goes_left`, of which TensorFlow makes `value > threshold`: that is not so either of what is missing.
        return level + 1, child + tf.where((child == nodes) | goes_left, 0, 1)

    def step(index, total, *squares):  # [G, n]
        nodes = tf.broadcast_to(roots[index][..., tf.newaxis], [num_parallel, num_groups, num_rows])
        shapes = tf.TensorShape([]), tf.TensorShape([num_parallel, num_groups, None])
        _, nodes = tf.while_loop(lambda level, _: level < depth, down, (0, nodes), shape_invariants=shapes)
        values = tf.gather(numbers, nodes)
        for own in tf.unstack(values):
            total += own
        if squares:
            # Without what only fills up the last step: the one tree after all others.
            is_tree = tf.cast(roots[index] < tf.size(numbers) - 1, values.dtype)[..., tf.newaxis]
            squares = [squares[0] + tf.reduce_sum(is_tree * tf.square(values - centres[:, tf.newaxis]), 0)]
        return index + 1, total, *squares

    total = tf.broadcast_to(baseline[:, tf.newaxis], [num_groups, num_rows])
    start = (0, total) if centres is None else (0, total, tf.zeros_like(total))
    shapes = tf.TensorShape([]), *[tf.TensorShape([num_groups, None]) for _ in start[1:]]
    _, *found = tf.while_loop(lambda index, *_: index < num_steps, step, start, shape_invariants=shapes)
    return found[0], None if centres is None else found[1]
