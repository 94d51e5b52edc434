"""The tables and the picture of the speed benchmark, from its folder of results."""

from __future__ import annotations

import json
import math
import pathlib
import statistics

from tables import print_table

LABELS = {
    "floor": "floor: `model.fit`, mean square of the outputs",
    "tfmdn": "tfmdn, `model.fit`",
    "tfmdn.fit": "tfmdn, `tfmdn.fit`",
    "tfmdn-averaged": "tfmdn, `model.fit`, averaged weights",
    "tfmdn.fit-averaged": "tfmdn, `tfmdn.fit`, averaged weights",
    "keras-mdn-layer": "keras-mdn-layer",
    "tfp.layers": "tfp.layers on tf_keras",
    "torch": "PyTorch by hand, fused Adam",
    "torch.distributions": "torch.distributions",
    "zuko": "zuko",
    "jax": "JAX, an epoch in one scan",
    "jax-averaged": "JAX, an epoch in one scan, averaged weights",
    "floor-50": "floor, 50 steps per execution",
    "tfmdn-50": "tfmdn, `model.fit`, 50 steps per execution",
    "keras-mdn-layer-50": "keras-mdn-layer, 50 steps per execution",
    "tfp.layers-50": "tfp.layers, 50 steps per execution",
    "tfmdn-stream": "tfmdn, `model.fit`, rows from a generator",
    "tfmdn-replicas": "tfmdn, `model.fit`, MirroredStrategy",
    "tfmdn.Mixture": "tfmdn",
    "tfp.distributions": "`tfd.MixtureSameFamily`",
    "torch-sampler": "torch.distributions",
    "jax-sampler": "JAX, gather",
}
# Title, unit, how many of it are in a second, and what the others are compared with.
THROUGHPUT = {
    "small": ("Training, small", "µs/step", 1e6, "floor"),
    "wide": ("Training, wide", "ms/step", 1e3, "floor"),
    "sample": ("Drawing", "ms", 1e3, "tfmdn.Mixture"),
}
AXES = {"rows": "rows", "K": "components K", "D": "coordinates D", "replicas": "replicas"}


def read(folder: pathlib.Path, task: str) -> list[dict]:
    """The records of a task; none if it has not been run."""
    path = folder / f"{task}.json"
    return json.loads(path.read_text())["records"] if path.exists() else []


def line_of(record: dict) -> str:
    """What is printed when a record is complete."""
    cell = " ".join(str(record[field]) for field in ("method", "axis", "value") if field in record)
    if "missing" in record:
        return f'{cell}: not installed ({record["missing"]}); pip install "tfmdn[benchmarks]", or use --python'
    if "error" in record:
        return f"{cell}: failed, {record['error']}"
    seconds = record["seconds"]
    if isinstance(seconds, list):
        seconds = statistics.median(seconds)
    return f"{cell}: not reached" if seconds is None else f"{cell}: {seconds:.4g} s"


def report(folder: pathlib.Path, figures: pathlib.Path | None = None) -> None:
    """Prints the tables of the results in `folder`, and draws the picture of the growth into the folder `figures`."""
    for task in THROUGHPUT:
        print_throughput(task, measured(folder, task))
    print_quality(measured(folder, "quality"))
    growth = measured(folder, "growth")
    for axis in AXES:
        print_growth(axis, [record for record in growth if record["axis"] == axis])
    if figures and growth:
        figures.mkdir(parents=True, exist_ok=True)
        draw_growth(growth, figures / "growth.png")


def measured(folder: pathlib.Path, task: str) -> list[dict]:
    return [record for record in read(folder, task) if "seconds" in record]


def print_throughput(task: str, records: list[dict]) -> None:
    title, unit, factor, baseline = THROUGHPUT[task]
    seconds = {record["method"]: record["seconds"] for record in records}
    rows = []
    for method in ordered(seconds):
        times = [factor * value for value in seconds[method]]
        # Fewer calls of the graph make the floor lower, too.
        other = f"{baseline}-50" if method.endswith("-50") else baseline
        ratio = f"{ratio_of(seconds[method], seconds[other]):.2f}" if other in seconds else ""
        rows.append([LABELS[method], three_digits(statistics.median(times)), spread(times), ratio])
    print_table(title, ["", unit, "least to most", f"ratio to {LABELS[baseline].split(':')[0]}"], rows)


def ratio_of(seconds: list[float], baseline: list[float]) -> float:
    """The median over the rounds, which a drift of the machine meets alike."""
    return statistics.median(value / other for value, other in zip(seconds, baseline))


def print_quality(records: list[dict]) -> None:
    rows = []
    for record in sorted(records, key=lambda record: record["seconds"] or math.inf):
        if record["seconds"] is None:
            tried = max((run["steps"] for run in record["runs"]), default=0)
            rows.append([LABELS[record["method"]], "not reached", f"more than {tried:,}", ""])
        else:
            times = [run["seconds"] for run in record["runs"] if run["learning_rate"] == record["learning_rate"]]
            rows.append(
                [
                    LABELS[record["method"]],
                    f"{record['seconds']:.1f} ({', '.join('-' if t is None else f'{t:.1f}' for t in times)})",
                    f"{record['steps']:,}",
                    f"{record['learning_rate']:g}",
                ]
            )
    print_table("Time to quality", ["", "seconds (each seed)", "steps", "learning rate"], rows)


def print_growth(axis: str, records: list[dict]) -> None:
    methods = ordered({record["method"] for record in records})
    cells = {(record["value"], record["method"]): record for record in records}
    rows = []
    for value in sorted({record["value"] for record in records}):
        found = [cells.get((value, method)) for method in methods]
        times = ["" if cell is None else three_digits(time_of(cell)) for cell in found]
        peaks = ["" if cell is None or cell["peak"] is None else f"{cell['peak']:,.0f}" for cell in found]
        rows.append([f"{value:,}", *times, *peaks])
    unit = "s" if axis == "rows" else "ms/step"
    names = [LABELS[method] for method in methods]
    headers = [AXES[axis], *(f"{name}, {unit}" for name in names), *(f"{name}, peak MiB" for name in names)]
    print_table(f"Growth with {AXES[axis]}", headers, rows)


def time_of(record: dict) -> float:
    """Seconds for all rows, or milliseconds for a step."""
    return record["seconds"] if record["axis"] == "rows" else 1e3 * record["seconds"] / record["steps"]


def ordered(methods) -> list[str]:
    return [method for method in LABELS if method in methods]


def three_digits(value: float) -> str:
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}"


def spread(values: list[float]) -> str:
    return f"{three_digits(min(values))} to {three_digits(max(values))}"


def draw_growth(records: list[dict], path: pathlib.Path) -> None:
    """Time above, peak memory below, one column for each quantity that grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = [axis for axis in AXES if any(record["axis"] == axis for record in records)]
    methods = ordered({record["method"] for record in records})
    colors = dict(zip(methods, plt.get_cmap("tab10").colors))
    figure, panels = plt.subplots(
        2, len(axes), figsize=(3.6 * len(axes), 6), layout="constrained", squeeze=False, sharex="col"
    )
    for axis, (top, bottom) in zip(axes, panels.T):
        for method in methods:
            cells = [record for record in records if (record["axis"], record["method"]) == (axis, method)]
            cells.sort(key=lambda record: record["value"])
            values = [record["value"] for record in cells]
            style = {"label": LABELS[method].split(":")[0].replace("`", ""), "color": colors[method], "marker": "o"}
            if cells:
                top.plot(values, [time_of(record) for record in cells], **style)
                bottom.plot(values, [record["peak"] or math.nan for record in cells], **style)
        top.set(xscale="log", ylabel="s for all rows" if axis == "rows" else "ms/step")
        top.set(**{"ylim": (0, None)} if axis == "replicas" else {"yscale": "log"})
        bottom.set(xscale="log", xlabel=AXES[axis], ylabel="peak memory, MiB", ylim=(0, None))
        bottom.legend(fontsize="x-small", loc="lower right")  # memory leaves room there
    figure.savefig(path, dpi=110)
    plt.close(figure)
