"""The tables and pictures of the quality benchmark, from its file of results."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable, Iterable

import numpy as np
from tables import print_table

BASELINE = "tfmdn"
LABELS = {
    "tfmdn": "tfmdn",
    "tfmdn-k1": "tfmdn, K = 1",
    "deep-ensemble": "Deep Ensemble",
    "gaussian-mixture": "joint GaussianMixture",
    "ngboost": "NGBoost",
    "keras-mdn-layer": "keras-mdn-layer",
    "keras-mdn-layer-stopped": "keras-mdn-layer, stopped early",
    "skpro": "skpro MDNRegressor",
    "zuko-nsf": "zuko NSF",
    "zuko-gmm": "zuko GMM",
}
TABLE_SCORES = {
    "nll": "NLL",
    "excess": "excess NLL",
    "coverage": "coverage of 90 % intervals",
    "inner": "of inner values",
}
UCI_SCORES = {"nll": "Test NLL", "rmse": "RMSE", "crps": "CRPS", "coverage": "Coverage of 90 % intervals"}
OFF_DATA = {"gap": "Gaps", "tail": "Tails"}
# The features by which published results do not split.
UNPUBLISHED = {"boston-housing": {3}, "energy": {4, 5, 7}, "wine-quality-red": {7}, "wine-quality-red-dequantized": {7}}
# A table's cell: the scores of one method in one column, by split.
Scores = dict[int, float]


def read(path: pathlib.Path, failures: bool = False) -> list[dict]:
    """The records at `path`, the last one of each cell, from the oldest to the newest.

    Args:
      path: the file. One that does not exist holds none.
      failures: whether cells that failed are among them.
    """
    latest = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # half a line, of a process that was killed
            continue
        key = tuple(record[field] for field in ("suite", "dataset", "split", "n", "method", "config"))
        if "error" not in record or key not in latest:  # a failure does not undo a success
            latest.pop(key, None)  # a key that is assigned again would keep its old place
            latest[key] = record
    return [record for record in latest.values() if failures or "error" not in record]


def line_of(record: dict) -> str:
    """What is printed when a cell is done."""
    cell = f"{record['suite']} {record['dataset']} split {record['split']} n {record['n']} {record['method']}:"
    if "error" in record:
        return f"{cell} failed, {record['error']}"
    fields = ("nll", "excess", "rmse", "coverage", "inner", "crps", "seconds")
    return " ".join([cell, *(f"{field} {record[field]:.4g}" for field in fields if field in record)])


def report(path: pathlib.Path, figures: pathlib.Path | None = None) -> None:
    """Prints the tables of the results at `path`, and draws the pictures into the folder `figures`."""
    records = current(read(path))
    for warning in mixtures_of_versions(records):
        print(f"\nNote: {warning}")
    known, of_coarse, tables, uci = (of_suite(records, suite) for suite in ("known", "coarse", "tables", "uci"))
    for dataset in [*unique(known, "dataset"), *unique(of_coarse, "dataset")]:
        rows = [record for record in known + of_coarse if record["dataset"] == dataset]
        print_tables(f"{dataset}: excess NLL", rows, "n", "excess", 3)
        print_scores(f"{dataset}: seconds of training", rows, "n", "seconds", 1)
    print_by_dataset(tables)
    for score, title in UCI_SCORES.items():
        print_tables(title, uci, "dataset", score, 3, paired=score != "coverage")
    print_scores("Seconds of training", uci, "dataset", "seconds", 1)
    for suite, title in OFF_DATA.items():
        print_off_data(title, of_suite(records, suite))
    failures = [record for record in read(path, failures=True) if "error" in record]
    for record in failures:
        print(line_of(record))
    if figures:
        figures.mkdir(parents=True, exist_ok=True)
        draw_known(known, figures / "known.png")
        draw_uci(uci, figures / "uci.png")


def current(records: Iterable[dict]) -> list[dict]:
    """The last record of each method on each split: a method whose configuration changed has several."""
    latest = {
        tuple(record[field] for field in ("suite", "dataset", "split", "n", "method")): record for record in records
    }
    return list(latest.values())


def mixtures_of_versions(records: Iterable[dict]) -> list[str]:
    """A sentence about each method whose cells do not all come from one configuration and one state of its code."""
    states = {}
    for record in records:
        states.setdefault(record["method"], set()).add((record["config"], json.dumps(record["versions"])))
    return [
        f"the cells of {method} come from {len(found)} configurations or versions."
        for method, found in states.items()
        if len(found) > 1
    ]


def of_suite(records: Iterable[dict], suite: str) -> list[dict]:
    return [record for record in records if record["suite"] == suite]


def unique(records: Iterable[dict], field: str) -> list:
    """The values of a field, sorted; methods in the order of `LABELS`."""
    values = {record[field] for record in records}
    return [name for name in LABELS if name in values] if field == "method" else sorted(values)


def by_split(records: Iterable[dict], score: str, **where) -> Scores:
    chosen = (record for record in records if all(record[field] == value for field, value in where.items()))
    return {record["split"]: record[score] for record in chosen}


def paired(scores: Scores, baseline: Scores) -> Scores:
    """The differences on the splits that both have."""
    return {split: scores[split] - baseline[split] for split in scores if split in baseline}


def summary(scores: Scores) -> tuple[float, float, int]:
    """Mean, its standard error (NaN for one split) and number of splits."""
    values = np.array(list(scores.values()), float)
    if not len(values):
        return math.nan, math.nan, 0
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error), len(values)


def text_of(scores: Scores, digits: int, splits: int) -> str:
    """Mean +- standard error, and the number of splits where some of them are missing."""
    mean, error, count = summary(scores)
    if not count:
        return ""
    text = f"{mean:.{digits}f}" + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")
    return text if count == splits else f"{text} ({count})"


def print_tables(title: str, records: list[dict], column: str, score: str, digits: int, paired: bool = True) -> None:
    """The table of a score and, where there is something to compare, that of the differences to tfmdn."""
    print_scores(title, records, column, score, digits)
    if paired and BASELINE in unique(records, "method") and len(unique(records, "method")) > 1:
        print_scores(f"{title}, paired difference to {BASELINE}", records, column, score, digits, against=BASELINE)


def print_scores(
    title: str, records: list[dict], column: str, score: str, digits: int, against: str | None = None
) -> None:
    columns = unique(records, column)
    splits = {value: len(unique((r for r in records if r[column] == value), "split")) for value in columns}
    rows = []
    for method in unique(records, "method"):
        if method == against:
            continue
        cells = [
            text_of(cell_of(records, score, method, against, **{column: value}), digits, splits[value])
            for value in columns
        ]
        rows.append([LABELS[method], *cells])
    print_table(title, ["", *(f"{column} = {value:,}" if column == "n" else value for value in columns)], rows)


def print_by_dataset(records: list[dict]) -> None:
    """The tables of coarse.py, one a line. Coverage is followed by that of the true intervals."""
    for method in unique(records, "method"):
        rows = []
        for dataset in unique(records, "dataset"):
            chosen = [record for record in records if (record["dataset"], record["method"]) == (dataset, method)]
            row = [dataset]
            for score in TABLE_SCORES:
                row.append(text_of(by_split(chosen, score), 3, len(chosen)))
                if f"true_{score}" in chosen[0]:
                    row[-1] += f" (true: {summary(by_split(chosen, f'true_{score}'))[0]:.3f})"
            rows.append(row)
        print_table(f"Tables, {LABELS[method]}", ["", *TABLE_SCORES.values()], rows)


def print_off_data(title: str, records: list[dict]) -> None:
    """Means over features, for each of which a third of the rows is left out. NLL by features published, too."""
    published = [record for record in records if record["split"] not in UNPUBLISHED.get(record["dataset"], ())]
    print_scores(f"{title}: test NLL, mean over all features", records, "dataset", "nll", 3)
    print_scores(f"{title}: test NLL, mean over the features of published results", published, "dataset", "nll", 3)
    for score in ("rmse", "coverage"):
        print_scores(f"{title}: {UCI_SCORES[score]}", records, "dataset", score, 3)


def cell_of(records: list[dict], score: str, method: str, against: str | None, **where) -> Scores:
    scores = by_split(records, score, method=method, **where)
    return scores if against is None else paired(scores, by_split(records, score, method=against, **where))


def draw_known(records: list[dict], path: pathlib.Path) -> None:
    """Excess NLL against the number of training rows, one panel for each problem."""

    def draw(ax, dataset, colors):
        for method in unique(records, "method"):
            cells = [(n, *summary(by_split(records, "excess", dataset=dataset, method=method, n=n))) for n in sizes]
            n, mean, error, count = np.array(cells).T
            ax.errorbar(
                n[count > 0], mean[count > 0], np.nan_to_num(error[count > 0]), **style(method, colors), capsize=2
            )
        ax.set(title=dataset, xlabel="training rows", xscale="log", yscale="log")
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.minorticks_off()

    sizes = unique(records, "n")
    draw_panels(records, path, "excess NLL, nats", draw)


def draw_uci(records: list[dict], path: pathlib.Path) -> None:
    """Each method's NLL minus tfmdn's on the same split, one panel for each data set."""

    def draw(ax, dataset, colors):
        for row, method in enumerate(methods):
            mean, error, count = summary(cell_of(records, "nll", method, BASELINE, dataset=dataset))
            if count:
                ax.errorbar(mean, row, xerr=np.nan_to_num(error), **style(method, colors), capsize=3)
        ax.axvline(0.0, color="0.5", lw=1, zorder=0)
        ax.set(title=dataset, xlabel=f"NLL minus {BASELINE}'s, nats", ylim=(len(methods) - 0.5, -0.5))
        ax.set_xscale("symlog", linthresh=0.1)
        ax.margins(x=0.1)
        ax.set_yticks(range(len(methods)), [LABELS[method] for method in methods])

    methods = [method for method in unique(records, "method") if method != BASELINE]
    if methods and len(methods) < len(unique(records, "method")):
        draw_panels(records, path, "", draw, legend=False)


def draw_panels(records: list[dict], path: pathlib.Path, ylabel: str, draw: Callable, legend: bool = True) -> None:
    if not records:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    datasets = unique(records, "dataset")
    figure, axes = plt.subplots(
        1, len(datasets), figsize=(3.6 * len(datasets) + 1.5, 4), layout="constrained", squeeze=False, sharey=not legend
    )
    colors = dict(zip(LABELS, plt.get_cmap("tab10").colors))
    for ax, dataset in zip(axes[0], datasets):
        draw(ax, dataset, colors)
    axes[0, 0].set_ylabel(ylabel)
    if legend:
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def style(method: str, colors: dict) -> dict:
    return {"label": LABELS[method], "color": colors[method], "marker": "o", "lw": 2.5 if method == BASELINE else 1.2}
