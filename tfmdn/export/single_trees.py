"""Trees that compare in single precision, and come to the same leaves.

Shapes in comments: B rows, F features, G groups of trees, I trees of each group, N nodes, C columns.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfmdn.export.numbers import Numbers
from tfmdn.layers.tree_tensors import Forest
from tfmdn.layers.trees import TreeEmbedding

# In the place of what is missing, and beyond all thresholds: LiteRT's converter makes infinite constants finite.
MISSING, LARGEST = 3e38, 1e38


class SingleTrees(keras.layers.Layer):
    """The columns of one kind of trees of a `TreeEmbedding`, without what `offset` adds to them.

    All trees are looked at side by side, in as many steps as the deepest has. A step is a few lookups, without a branch
    or a loop: what is missing is a number beyond all others, on the side where it is to go; and a leaf asks for a
    number that leads back to it.

    Args:
      forest: arrays of trees.
      centres: numbers in the midst of each group's targets `[G]`, from which the trees' spread is wanted, too; or None.
      offset: what was subtracted from the features, `[F]`.
    """

    def __init__(self, forest: Forest, centres: np.ndarray | None, offset: np.ndarray):
        super().__init__(dtype="float32")
        size, num_features = len(forest.left), len(offset)
        roots = forest.roots.reshape(-1, forest.roots.shape[-1])  # [I, G]
        roots = roots[(roots < size - 1).any(1)]  # without what fills up the last step
        is_leaf = forest.left == np.arange(size)
        feature = np.maximum(forest.features, -1 - forest.features).astype(np.int64)
        # Rounded as the features are: a threshold often is one of the values that these have, such as 12.34.
        thresholds = np.clip(forest.numbers - offset[feature], -LARGEST, LARGEST)
        leaves = forest.numbers
        if centres is not None:
            order = np.argsort(roots, axis=None)
            group = (np.arange(roots.size) % roots.shape[1])[order]
            tree = np.searchsorted(roots.ravel()[order], np.arange(size), side="right") - 1
            leaves = leaves - centres[group[tree]]
        feature = np.where(forest.features >= 0, feature, num_features + feature)
        feature = np.where(is_leaf, 2 * num_features, feature)
        self.is_spread_wanted = centres is not None
        self.depth, self.shape_of_trees = int(forest.depth), roots.shape
        small = next(dtype for dtype in ("int8", "int16", "int32") if 2 * num_features <= np.iinfo(dtype).max)
        self.roots = self._constant("roots", roots.ravel(), "int32")
        self.left = self._constant("left", forest.left, "int32")
        self.features = self._constant("features", feature, small)
        self.numbers = self._constant("numbers", np.where(is_leaf, leaves, thresholds), "float32")

    def _constant(self, name: str, value: np.ndarray, dtype: str) -> keras.Variable:
        initializer = lambda shape, dtype: tf.constant(value, dtype)  # noqa: E731
        return self.add_weight(
            name=name, shape=value.shape, dtype=dtype, initializer=initializer, trainable=False, autocast=False
        )

    @classmethod
    def of(cls, layer: TreeEmbedding, features: Numbers) -> Numbers:
        """What a layer that has learnt says of features."""
        centres = layer.centres.numpy()
        columns = []
        for kind, variables in zip(layer.kinds, layer.forests):
            forest = Forest(*(variable.numpy() for variable in variables))
            has_spread = kind.num_columns > 1
            tensor = cls(forest, centres if has_spread else None, features.offset)(features.tensor)
            offset = np.concatenate([centres, np.zeros_like(centres)]) if has_spread else forest.baseline
            columns.append(Numbers(tensor, offset))
        return Numbers.beside(columns) if len(columns) > 1 else columns[0]

    def call(self, inputs):
        low, high = (tf.where(tf.math.is_nan(inputs), end, inputs) for end in (-MISSING, MISSING))
        x = tf.concat([low, high, tf.zeros_like(inputs[:, :1]) - MISSING], 1)  # [B, 2 F + 1]
        width = x.shape[1]
        rows = tf.range(tf.shape(x)[0]) * width
        x = tf.reshape(x, [-1])
        nodes = self.roots[:, tf.newaxis] + tf.zeros_like(rows)  # [I G, B]
        left, features, numbers = map(tf.convert_to_tensor, (self.left, self.features, self.numbers))
        for _ in range(self.depth):
            value = tf.gather(x, rows + tf.cast(tf.gather(features, nodes), tf.int32))
            goes_right = tf.cast(value > tf.gather(numbers, nodes), tf.int32)
            nodes = tf.gather(left, nodes) + goes_right
        count, groups = self.shape_of_trees
        values = tf.reshape(tf.gather(numbers, nodes), [count, groups, -1])  # [I, G, B]
        if not self.is_spread_wanted:
            return tf.transpose(tf.reduce_sum(values, 0))  # [B, G]
        mean = tf.reduce_mean(values, 0)
        spread = tf.sqrt(tf.reduce_mean(tf.square(values - mean), 0))
        return tf.transpose(tf.concat([mean, spread], 0))  # [B, 2 G]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.shape_of_trees[1] * (1 + self.is_spread_wanted))
