"""Which columns of a table's features are what."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which columns of features `[n, F]` are what. They stand in this order.

    Attributes:
      numbers: how many are numbers, which networks standardise and embed.
      trees: how many of these, the last ones, are predictions of trees.
      indicators: how many are of order 1 as they are.
      indicated: of each column that holds numbers of a few categories, how many these are.
      embedded: likewise, of many categories.
    """

    numbers: int
    indicators: int = 0
    indicated: tuple[int, ...] = ()
    embedded: tuple[int, ...] = ()
    trees: int = 0

    def with_trees(self, trees: int) -> Layout:
        """The layout with so many predictions of trees after the other numbers."""
        return dataclasses.replace(self, numbers=self.numbers + trees, trees=trees)

    @property
    def num_features(self) -> int:
        """The number of columns F."""
        return self.numbers + self.indicators + len(self.indicated) + len(self.embedded)

    @property
    def measured(self) -> Layout:
        """The layout of the features without predictions of trees."""
        return dataclasses.replace(self, numbers=self.numbers - self.trees, trees=0)

    @property
    def is_plain(self) -> bool:
        """Whether all are numbers."""
        return self.num_features == self.numbers

    def parts(self, features):
        """The columns `[n, ...]` of each kind, as a tuple."""
        ends = [self.numbers, self.numbers + self.indicators]
        ends.append(ends[-1] + len(self.indicated))
        return tuple(features[:, start:end] for start, end in zip([0, *ends], [*ends, self.num_features]))
