"""What a report says in words: figures, and what to think of them."""

from __future__ import annotations

import math

import numpy as np

from tfmdn.plots.columns import Column
from tfmdn.plots.effects import Effect, is_missing
from tfmdn.scores.transform import has_jumps

COVERAGES = (50, 80, 90)  # those that `evaluate` gives


def number(value: float) -> str:
    """A number of four digits, and no more zeros than it takes to read it."""
    value = float(value)
    if value != 0.0 and math.isfinite(value) and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.3g}"
    digits = 3 - math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    text = f"{value:,.{min(max(digits, 0), 7)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def value(column: Column, row: int) -> str:
    """What stands in a row of a column."""
    one = column.values[row]
    if column.categories:
        return one or "(empty)"
    if is_missing(column)[row]:
        return "missing"
    return date(one) if column.values.dtype.kind == "M" else f"{number(one)} {column.unit}".rstrip()


def date(when: np.datetime64) -> str:
    """A date, with the time of day unless it is midnight."""
    text = str(when.astype("datetime64[m]")).replace("T", " ")
    return text.removesuffix(" 00:00")


def target(output, row: int) -> str:
    """The target of a row, or between what it lies."""
    low, high = output.ends()[:, row]
    if low == high:
        return number(low)
    if np.isinf(high):
        return f"{number(low)} or more"
    return f"{number(high)} or less" if np.isinf(low) else f"{number(low)} to {number(high)}"


def least(output) -> str:
    """What is said before how much an interval covers: more, where it ends at a value with a probability of its own."""
    return "at least " if has_jumps(output.mixture) else ""


def most(output) -> str:
    """What is said before how much it leaves out."""
    return "at most " if has_jumps(output.mixture) else ""


def facts(output, quantiles: np.ndarray) -> list[tuple[str, str]]:
    """What is seen first, each a figure and what it is."""
    count, figures = int(output.is_known.sum()), output.figures
    inside = {level: round(count * figures[f"coverage_{level}"]) for level in COVERAGES}
    found = [
        (
            f"{inside[90]:,} of {count:,}",
            f"targets lay within the 90 % intervals; {least(output)}{round(0.9 * count):,} should. "
            f"Of the 80 % intervals: {inside[80]:,}, of the 50 % intervals: {inside[50]:,}.",
        ),
        (number(figures["width_90"]), f"is how wide the 90 % intervals of {output.name} are on average."),
    ]
    low, high = output.ends()
    if (low == high)[output.is_known].all():
        off = np.median(np.abs(low - quantiles[:, 2])[output.is_known])
        found.append((number(off), "or less is what half of the predicted medians are off by."))
    if math.isfinite(figures["skill"]):
        found.append(_skill(figures["skill"]))
    return found


def _skill(saved: float) -> tuple[str, str]:
    than = "error (CRPS) than without looking at the features."
    if saved > 0:
        return f"{100 * saved:.0f} %", f"less {than}"
    why = "They are of no use here, or these rows are unlike those that the model was fitted to."
    return f"{-100 * saved:.0f} %", f"more {than} {why}"


def calibration(output) -> str:
    """Whether probabilities are right, as far as so many targets tell."""
    count, error = int(output.is_known.sum()), output.figures["calibration_error"]
    chance = 0.4 / math.sqrt(count)
    said = f"Predicted probabilities are off by {100 * error:.1f} percentage points on average. A perfect model would "
    said += f"have about {100 * chance:.1f} by chance, of {count:,} targets. "
    if error < 2.0 * chance:
        return f"{said}That is as good as one can tell: intervals can be taken at their word."
    excess = output.figures["coverage_80"] - 0.8
    if abs(excess) < 2.0 * math.sqrt(0.16 / count):
        return (
            f"{said}Intervals are about as wide as they should be, but predictions lean to one side or are misshapen."
        )
    return f"{said}Intervals are too {'wide' if excess > 0 else 'narrow'}."


def figures(output) -> list[list[str]]:
    """The rows of the table of figures, each with what it says."""
    own = output.figures
    rows = [
        ("negative log-likelihood", own["nll"], "nats; how surprising targets were. Less is better, for one data set."),
        ("CRPS", own["crps"], f"in units of {output.name}; the error of the whole distribution. Less is better."),
        ("root mean square error", own["rmse"], "of the predicted means, in the same units."),
        *((f"width of {level} % intervals", own[f"width_{level}"], "on average.") for level in COVERAGES),
    ]
    shares = [
        ("skill", own["skill"], "the part of the CRPS that the features save. 100 % is perfect, 0 % is of no use."),
        *(
            (f"targets in {level} % intervals", own[f"coverage_{level}"], f"should be {least(output)}{level} %.")
            for level in COVERAGES
        ),
        ("calibration error", own["calibration_error"], "how far probabilities are off. Less is better."),
    ]
    cells = [[name, number(figure), what] for name, figure, what in rows]
    cells += [[name, f"{100 * figure:.1f} %", what] for name, figure, what in shares]
    known = {name for name, figure, _ in [*rows, *shares] if math.isfinite(figure)}
    return [cell if cell[0] in known else [cell[0], "unknown", cell[2]] for cell in cells]


def effect(effect: Effect, output) -> str:
    """How far a feature moves the median, and between what."""
    medians = effect.quantiles[:, output.number, 1]
    said = f"Moves the median by {number(np.ptp(medians))}, from {number(medians.min())} to {number(medians.max())}."
    return f"{said} {effect.num_more:,} rarer values are not shown." if effect.num_more else said
