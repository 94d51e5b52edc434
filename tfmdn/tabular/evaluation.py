"""How good predictions are: a few figures, for each output.

Shapes in comments: n rows, d outputs, B rows at a time, Q values.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfmdn.distributions import kinds
from tfmdn.distributions.mixture import Mixture
from tfmdn.metrics import scoring
from tfmdn.metrics.base import ScoreMetric
from tfmdn.scores import calibration
from tfmdn.scores.targets import TargetFormat
from tfmdn.scores.transform import probabilities

tfd = tfp.distributions

COVERAGES = (50, 80, 90)  # in per cent
# The targets that the regressor was fitted to are remembered by so many of their quantiles.
MOST_VALUES = 1_000
NUM_BINS, FLOAT = 20, "float64"


def _number(value: float) -> str:
    return f"{value:,.4g}"


def _percent(value: float) -> str:
    return f"{100.0 * value:.1f} %"


# What each figure is called in a table, and how it is written.
LABELS: dict[str, tuple[str, Callable[[float], str]]] = {
    "nll": ("negative log-likelihood, nats", _number),
    "crps": ("CRPS, in units of the target", _number),
    "rmse": ("root mean square error of the mean, in units of the target", _number),
    "skill": ("skill: how much of the CRPS the features save", _percent),
    "calibration_error": ("calibration error of probabilities", _percent),
    **{f"coverage_{level}": (f"targets inside the {level} % interval", _percent) for level in COVERAGES},
    **{f"width_{level}": (f"width of the {level} % interval, in units of the target", _number) for level in COVERAGES},
    "joint_nll": ("negative log-likelihood of all outputs together, nats", _number),
}


def _aligned(cells: Sequence[str], justify: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, cells))
    return [justify(cell, width) for cell in cells]


class Evaluation(Mapping):
    """How good predictions were: the figures of `tfmdn.MDNRegressor.evaluate`, which says what they mean, by name.

    A figure is a number, or an array `[d]` of d outputs. Printed, it is a table.

    Args:
      figures: the figures by name.
      num_rows: the number of rows that counted.
      names: the names of the outputs.

    Example:

    >>> x, y = tfmdn.datasets.inverse_sinusoid().sample(300, seed=0)
    >>> regressor = tfmdn.MDNRegressor(n_estimators=2, max_steps=200, random_state=0).fit(x, y)
    >>> evaluation = regressor.evaluate(*tfmdn.datasets.inverse_sinusoid().sample(200, seed=1))
    >>> 0.8 < evaluation["coverage_90"] < 1.0
    True
    >>> str(evaluation).splitlines()[0].split()
    ['200', 'rows', 'target']
    """

    def __init__(self, figures: Mapping[str, float | np.ndarray], num_rows: int, names: Sequence[str]):
        self._figures = dict(figures)
        self.num_rows = num_rows
        self.names = tuple(names)

    def __getitem__(self, name: str) -> float | np.ndarray:
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def table(self) -> list[list[str]]:
        """The cells of the table by row, the first of which is its head."""
        rows = [[f"{self.num_rows:,} row{'s' * (self.num_rows != 1)}", *self.names]]
        for name, value in self.items():
            label, write = LABELS[name]
            cells = ["unknown" if math.isnan(number) else write(number) for number in np.ravel(value)]
            rows.append([label, *cells, *[""] * (len(self.names) - len(cells))])
        return rows

    def __str__(self) -> str:
        first, *others = zip(*self.table())
        columns = [_aligned(first, str.ljust), *(_aligned(column, str.rjust) for column in others)]
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = (
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for tag, cell in zip(["th", *["td"] * len(row)], row))
            for row in self.table()
        )
        rows = "".join(f"<tr>{row}</tr>" for row in body)
        return f"<table><thead><tr>{head.replace('td>', 'th>')}</tr></thead><tbody>{rows}</tbody></table>"


class _SquaredError(ScoreMetric):
    """The squared distance of targets from the mean, by the shorter way round of angles. NaN for intervals."""

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        value = _value(*self.target_format.ends(y_true))
        return tf.square(kinds.difference(mixture.components_distribution, value, mixture.mean()))


class _Intervals(ScoreMetric):
    """Of each target its share of bins, whether it is inside intervals, and how wide these are: of one search."""

    def __init__(self, **options):
        super().__init__((NUM_BINS + 2 * len(COVERAGES),), **options)

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        tails = np.array([0.5 - level / 200.0 for level in COVERAGES])
        low, high = tf.split(mixture.quantile([*tails, *(1.0 - tails)]), 2)
        below, up_to = probabilities(y_true, mixture, self.target_format)
        y_low, y_high = self.target_format.ends(y_true)
        is_interval = y_low < y_high if self.intervals else None
        inside = [
            calibration.share_inside(
                below, up_to, level / 100, mixture, lambda ends=ends: tf.stack(ends, -1), is_interval
            )
            for level, *ends in zip(COVERAGES, tf.unstack(low), tf.unstack(high))
        ]
        bins = calibration.shares_of_bins(below, up_to, NUM_BINS)
        return tf.transpose(tf.concat([bins, inside, high - low], 0))

    def results(self) -> dict[str, float]:
        """The figures by name."""
        bins, inside, widths = tf.split(self.mean(), [NUM_BINS, len(COVERAGES), len(COVERAGES)])
        return {
            "calibration_error": calibration.error_of_bins(bins),
            **{f"coverage_{level}": share for level, share in zip(COVERAGES, inside)},
            **{f"width_{level}": width for level, width in zip(COVERAGES, widths)},
        }


class _CRPSOfValues(ScoreMetric):
    """The CRPS of equally probable values `[Q]`, the same for all rows: E|X - y| - E|X - X'| / 2. NaN for intervals."""

    def __init__(self, values: np.ndarray, **options):
        super().__init__(**options)
        self._values = values

    def statistics(self, y_true: tf.Tensor, mixture: tfd.Distribution) -> tf.Tensor:
        def mean_distance(y):  # [B] -> [B]
            return tf.reduce_mean(tf.abs(kinds.difference(mixture.components_distribution, y[:, None], values)), 1)

        y = _value(*self.target_format.ends(y_true))
        values = tf.constant(self._values, y.dtype)
        return mean_distance(y) - 0.5 * tf.reduce_mean(mean_distance(values))


def _value(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.where(low == high, low, math.nan)


def typical_values(y: np.ndarray, form: TargetFormat, weights: np.ndarray) -> list[list[float]]:
    """Of each output at most `MOST_VALUES` quantiles of its targets, `[d, Q]`: what is known without any feature.

    Args:
      y: targets `[n, *E]`, or pairs.
      form: what they say.
      weights: how much each row counts, `[n]`.

    Returns:
      An empty list for outputs of which a target is only known to lie in an interval.
    """
    low, high = (end.reshape(len(y), -1).T for end in form.ends(y))
    return [_quantiles(*ends, weights) for ends in zip(low, high)]


def _quantiles(low: np.ndarray, high: np.ndarray, weights: np.ndarray) -> list[float]:
    is_known = ~(np.isnan(low) | (np.isinf(low) & np.isinf(high))) & (weights > 0)
    if not is_known.any() or (low < high)[is_known].any():
        return []
    order = np.argsort(low[is_known], kind="stable")
    values, cumulative = low[is_known][order], np.cumsum(weights[is_known][order])
    count = min(len(values), MOST_VALUES)
    places = np.searchsorted(cumulative, (np.arange(count) + 0.5) * (cumulative[-1] / count))
    return values[np.minimum(places, len(values) - 1)].tolist()


def evaluation(
    mixtures: Iterable[Mixture],
    y: np.ndarray,
    form: TargetFormat,
    weights: np.ndarray,
    values: Sequence[Sequence[float]],
    names: Sequence[str],
) -> Evaluation:
    """The figures of predictions.

    Args:
      mixtures: the predictions of the rows, some rows at a time.
      y: the targets of all rows, `[n, *E]`, or pairs.
      form: what they say.
      weights: how much each row counts, `[n]`.
      values: what `typical_values` says of the targets that the regressor was fitted to.
      names: the names of the outputs.
    """
    options = {**dataclasses.asdict(form), "dtype": FLOAT}
    outputs = [_figures(np.asarray(own), options) for own in values]
    joint, start = scoring.NegativeLogLikelihood(**options), 0
    for mixture in mixtures:
        rows = slice(start, start + mixture.batch_shape[0])
        start = rows.stop
        if mixture.event_shape.rank == 0:
            parts = [(mixture, y[rows])]
        else:
            joint.update_state(y[rows], mixture, weights[rows])
            parts = [(mixture.marginal(number), y[rows, number]) for number in range(len(outputs))]
        for figures, (part, targets) in zip(outputs, parts):
            for metric in figures.values():
                metric.update_state(targets, part, weights[rows])
    results = [_results(figures) for figures in outputs]
    figures = {name: np.array([result[name] for result in results]) for name in results[0]}
    if y.shape[1:] == ((2,) if form.intervals else ()):
        figures = {name: float(value[0]) for name, value in figures.items()}
    else:
        figures["joint_nll"] = float(joint.result())
    return Evaluation(figures, int((weights > 0).sum()), names)


def _figures(values: np.ndarray, options: dict) -> dict[str, ScoreMetric]:
    """What is summed of one output, of which these are typical values."""
    return {
        "nll": scoring.NegativeLogLikelihood(**options),
        "crps": scoring.CRPS(**options),
        "squared_error": _SquaredError(**options),
        "crps_of_values": _CRPSOfValues(values, **options),
        "intervals": _Intervals(**options),
    }


def _results(figures: dict[str, ScoreMetric]) -> dict[str, float]:
    """The figures of one output: NaN if no target of it was observed."""
    crps, reference = (float(figures[name].result()) for name in ("crps", "crps_of_values"))
    results = {
        "nll": figures["nll"].result(),
        "crps": crps,
        "rmse": math.sqrt(figures["squared_error"].result()),
        "skill": 1.0 - crps / reference if reference else math.nan,
        **figures["intervals"].results(),
    }
    is_known = not figures["nll"].is_empty
    return {name: float(value) if is_known else math.nan for name, value in results.items()}
