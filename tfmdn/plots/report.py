"""A page that says how good the predictions of a regressor are, and what they come from, for people who look.

A regressor is anything that has `evaluate`, `predict`, `predict_dist` and `predict_quantiles` as `tfmdn.MDNRegressor`.

Shapes in comments: n rows, d outputs.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from tfmdn import files
from tfmdn.distributions.mixture import Mixture
from tfmdn.plots import page, panels, reading, words
from tfmdn.plots import style as style_lib
from tfmdn.plots.effects import Effect, effects
from tfmdn.plots.rows import Rows
from tfmdn.scores.likelihood import negative_log_likelihood
from tfmdn.scores.targets import TargetFormat

# Enough to judge by, and a few seconds of work.
MOST_ROWS = 1_000
# How many there are of what is shown.
SHOWN_ROWS, SHOWN_EFFECTS, WORST_ROWS, SHOWN_COLUMNS = 120, 8, 10, 6
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclasses.dataclass(frozen=True)
class Output:
    """What is known of one output.

    Attributes:
      name: its name.
      number: which of the outputs it is.
      y: its targets `[n]`, or pairs `[n, 2]`.
      form: what they say.
      mixture: its predictions, of scalar events.
      figures: the figures of `evaluate`.
    """

    name: str
    number: int
    y: np.ndarray
    form: TargetFormat
    mixture: Mixture
    figures: dict[str, float]

    @property
    def is_known(self) -> np.ndarray:
        return self.form.rows_that_say_anything(self.y)

    def ends(self) -> np.ndarray:
        """The lower and the upper ends of the targets, `[2, n]`."""
        return np.stack(self.form.ends(self.y))


def write(regressor, X, y: np.ndarray, form: TargetFormat, path: str | os.PathLike) -> None:
    """Writes the page. An earlier file stays as it is if that fails.

    Args:
      regressor: what predicts.
      X: the rows, a frame or an array.
      y: their targets as the predictions' events are, `[n]` or `[n, d]`, or pairs of them.
      form: what the targets say.
      path: the file to write.
    """
    style_lib.require_matplotlib()
    files.require_writable(path)  # before it takes its time
    content = _page(regressor, reading.rows_of(X), y, form)
    with files.replacement(path) as draft:
        draft.write_text(content, encoding="utf-8")


def _page(regressor, given: Rows, y: np.ndarray, form: TargetFormat) -> str:
    rng = np.random.default_rng(0)
    known = np.flatnonzero(form.rows_that_say_anything(y))
    chosen = np.sort(rng.permutation(known)[:MOST_ROWS])
    numbers, X = given.numbers(), given.taken(chosen)
    labels = [str(numbers[row]) for row in chosen]
    evaluation, mixture, rows = regressor.evaluate(X, y[chosen]), regressor.predict_dist(X), reading.rows_of(X)
    outputs = _outputs(evaluation, mixture, y[chosen], form)
    found = effects(rows, regressor.predict, regressor.predict_quantiles, rng)
    names = " and ".join(output.name for output in outputs)
    sample = "" if len(chosen) == len(known) else f", {len(chosen):,} of them drawn at random"
    body = [
        page.element("h1", f"How good are the predictions of {names}?"),
        page.element("p", f"{len(known):,} rows with known targets{sample}, {len(rows.features):,} features.", "quiet"),
    ]
    if len(outputs) > 1:
        body.append(page.contents([output.name for output in outputs]))
    for output in outputs:
        body += _section(output, found, rows, labels, len(outputs) > 1)
    body.append("<footer>Written by tfmdn. The file needs nothing else, and sends nothing.</footer>")
    return page.document(f"Predictions of {names}", "\n".join(body))


def _outputs(evaluation, mixture: Mixture, y: np.ndarray, form: TargetFormat) -> list[Output]:
    is_one = mixture.event_shape.rank == 0
    return [
        Output(
            name,
            number,
            y if is_one else y[:, number],
            form,
            mixture if is_one else mixture.marginal(number),
            {key: float(np.ravel(value)[number]) for key, value in evaluation.items() if key != "joint_nll"},
        )
        for number, name in enumerate(evaluation.names)
    ]


def _section(output: Output, found: list[Effect], rows: Rows, labels: list[str], has_heading: bool) -> list[str]:
    """All that is said of an output."""
    quantiles = output.mixture.quantile(LEVELS).numpy().T  # [n, 5]
    sorted_effects = sorted(found, key=lambda effect: -effect.range(output.number))
    strongest = [effect for effect in sorted_effects[:SHOWN_EFFECTS] if effect.range(output.number) > 0]
    return [
        *([page.section(output.number, output.name)] if has_heading else []),
        *_in_short(output, quantiles),
        *_calibration(output),
        *_predictions(output, quantiles),
        *_effects(output, strongest, len(rows.features) - len(strongest)),
        *_worst(output, quantiles, rows, labels, sorted_effects),
    ]


def _in_short(output: Output, quantiles: np.ndarray) -> list[str]:
    return [
        page.element("h3", "In short"),
        page.facts(words.facts(output, quantiles)),
        page.table(["figure", output.name, "what it says"], words.figures(output), text_columns=[2]),
    ]


def _calibration(output: Output) -> list[str]:
    return [
        page.element("h3", "Are the probabilities right?"),
        page.element("p", words.calibration(output)),
        '<div class="figures">',
        page.captioned(
            panels.reliability(output),
            "How many targets lay in the predicted intervals, against how many should. A perfect model follows the "
            "diagonal, and stays in the grey band 99 times in 100.",
        ),
        page.captioned(
            panels.transform(output),
            "Where the targets lay in their predicted distributions, from the lower end to the upper. Flat is right; a "
            "hump says that intervals are too wide, high ends that they are too narrow.",
        ),
        "</div>",
    ]


def _predictions(output: Output, quantiles: np.ndarray) -> list[str]:
    known = np.flatnonzero(output.is_known)
    order = known[np.lexsort([quantiles[known].mean(1), quantiles[known, 2]])]  # medians of counts are tied
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN_ROWS, len(order))).astype(int))]
    return [
        page.element("h3", "Predictions and targets"),
        page.captioned(
            panels.predictions(output.name, quantiles[shown], output.ends()[:, shown]),
            f"{len(shown):,} rows from the lowest predicted median to the highest: the median, the 50 % and the 90 % "
            "interval, and the target as a dot. Red dots lie outside of their 90 % interval, which "
            f"{words.most(output)}one in ten should.",
        ),
    ]


def _effects(output: Output, strongest: list[Effect], num_others: int) -> list[str]:
    if not strongest:
        return []
    others = f" The other {num_others:,} move it less, and are not shown." if num_others else ""
    limits = panels.limits_of(effect.quantiles[:, output.number] for effect in strongest)
    figures = [
        page.captioned(
            panels.effect(effect, output.number, output.name, limits), words.effect(effect, output), effect.name
        )
        for effect in strongest
    ]
    return [
        page.element("h3", "What each feature does"),
        page.element(
            "p",
            "Rows are predicted again with one feature set to a value, and all others as they are: the line is the "
            "mean of their medians, the band that of their 80 % intervals. The features that move the median most come "
            f"first, on one scale.{others} This is what the model has learnt from the data; it need not be what "
            "happens if somebody changes the feature.",
        ),
        '<div class="figures">',
        *figures,
        "</div>",
    ]


def _worst(
    output: Output, quantiles: np.ndarray, rows: Rows, labels: list[str], by_strength: list[Effect]
) -> list[str]:
    scores = negative_log_likelihood(output.y, output.mixture, **dataclasses.asdict(output.form)).numpy()
    scores = np.where(output.is_known, scores, -np.inf)
    worst = np.argsort(-scores, kind="stable")[: min(WORST_ROWS, int(output.is_known.sum()))]
    shown = by_strength[:SHOWN_COLUMNS]
    columns = [rows.column(effect.feature) for effect in shown]
    head = ["row", "target", "median", "90 % interval", "surprise in nats", *(effect.name for effect in shown)]
    cells = [
        [
            labels[row],
            words.target(output, row),
            words.number(quantiles[row, 2]),
            f"{words.number(quantiles[row, 0])} to {words.number(quantiles[row, -1])}",
            words.number(scores[row]),
            *(words.value(column, row) for column in columns),
        ]
        for row in worst
    ]
    note = f" Of the features the strongest {len(shown)} are shown." if len(shown) < len(rows.features) else ""
    return [
        page.element("h3", "The worst rows"),
        page.element(
            "p",
            "Those whose targets were the least likely after their predictions: mistakes in the data, rows unlike "
            f"the others, or what the model has not learnt.{note}",
        ),
        page.table(head, cells, [len(head) - len(shown) + n for n, column in enumerate(columns) if column.categories]),
    ]
