"""Columns of text as numbers of categories.

Shapes in comments: n rows.
"""

from __future__ import annotations

import collections
import dataclasses

import keras
import numpy as np

# Fewer rows say nothing of a category: all of these are one.
MIN_ROWS = 3
# Only the most frequent ones count.
MAX_CATEGORIES = 2_000
# More are embedded: indicators of each would be most of what a network has to learn.
MAX_INDICATED = 20
# The entry that StringLookup has for all that it does not know, which no text should be. (NumPy takes a NUL for "".)
UNKNOWN = "\x01"


@dataclasses.dataclass(frozen=True)
class Categories:
    """A column of text.

    Attributes:
      numbers: the number of each row's category `[B, 1]` in float64, -1 for one that was not seen.
      size: how many categories there are.
    """

    numbers: keras.KerasTensor
    size: int

    @property
    def is_indicated(self) -> bool:
        """Whether there are few enough for an indicator of each."""
        return self.size <= MAX_INDICATED


def encoded(name: str, texts: keras.KerasTensor, values: np.ndarray) -> Categories | str:
    """The categories of a column, or a sentence that says why it has none.

    Args:
      name: the name of the column.
      texts: the column `[B]`; "" is no text, which may be a category like others.
      values: its values in the table that is learnt from, `[n]`.
    """
    # NumPy would give every text the room of the longest one.
    count_of = collections.Counter(values.tolist())
    distinct = sorted(count_of)
    counts = np.array([count_of[text] for text in distinct])
    if len(distinct) == 1:
        return f"Column {name} has {'the same text in every row' if distinct[0] else 'no value'} and is left out"
    by_count = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
    frequent = np.sort(by_count[counts[by_count] >= MIN_ROWS])
    vocabulary = [distinct[number] for number in frequent]
    num_others = len(values) - counts[frequent].sum()
    # What is rare is a category, which stands for what was never seen, too.
    has_others = num_others >= MIN_ROWS
    size = len(vocabulary) + has_others
    if size < 2:
        return f"Column {name} has {len(distinct)} different texts in {len(values)} rows and is left out"
    lookup = keras.layers.StringLookup(vocabulary=vocabulary, mask_token=None, oov_token=UNKNOWN)
    numbers = lookup(texts) - (0 if has_others else 1)
    return Categories(keras.ops.expand_dims(keras.ops.cast(numbers, "float64"), -1), size)
