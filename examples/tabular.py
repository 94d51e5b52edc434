"""A mixture density network on anybody's table: held-out scores, calibration, and a model that takes raw rows.

Usage:

    python examples/tabular.py                                              # the diabetes data of scikit-learn
    python examples/tabular.py --csv houses.csv --target price
    python examples/tabular.py --csv trips.csv --target dropoff_lon,dropoff_lat --drop trip_id,duration
    python examples/tabular.py --csv data.txt --target=-1                   # no header: a column by its number

The file may be separated by commas, semicolons, tabs or blanks, with or without a header, or be HDF5 with an array for
each column. Columns are numbers or categories, and both may have missing values: filling those in and encoding are
layers of the model. Columns that do not vary, or of which every row has another value, are left out; what a prediction
must not know is for --drop.

`tfmdn.MDNRegressor` learns from 80 % of the rows and is scored on the rest, beside one that differs in that each of its
networks predicts a single normal. Into --output go `model.keras`, `saved_model`, which needs neither tfmdn nor Keras,
and `calibration.png`. Both models are loaded again, the second in a fresh process, and must give the same densities.

The diabetes data (442 rows, so 89 held out) give:

                                          K = 12  K = 1
    NLL in nats                            5.425  5.502
    progression: MAE of the mean           49.32  48.95
    progression: CRPS                      34.00  34.77
    progression: 90 % interval, coverage  0.8539 0.8090
    progression: 90 % interval, width      186.1  170.1
    The mixture gains 0.077 +- 0.055 nats a row (standard error)
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import keyword
import pathlib
import re
import subprocess
import sys
from collections import Counter
from typing import NoReturn

import _quiet  # noqa: F401
import h5py
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _running import save
from pandas.api.types import infer_dtype, is_numeric_dtype
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import tfmdn
from tfmdn import plots

MIN_ROWS = 50
MIN_CATEGORY_COUNT, MAX_CATEGORIES = 3, 200
MISSING = ["?", "-", "."]  # besides what pandas takes as missing
COVERAGE = 0.9
CRPS_ROWS = 250  # at once: it takes K x K terms for each
SHOWN_ROWS, SHOWN_TARGETS, CHECKED_ROWS = 100, 2, 1000
QUICK_ROWS, QUICK_TRAINING = 1000, {"n_estimators": 2, "max_steps": 100}

# All that a server needs: TensorFlow and raw rows.
FRESH_PROCESS = """
import json, sys
for name in ("tfmdn", "tensorflow_probability", "keras", "tf_keras"):
    sys.modules[name] = None  # importing it fails
import numpy as np, tensorflow as tf
model, rows = tf.saved_model.load(sys.argv[1]), json.load(sys.stdin)
x, y = {name: tf.constant(np.array(values)) for name, values in rows["x"].items()}, tf.constant(np.array(rows["y"]))
log_prob, mean = model.log_prob(x, y)["log_prob"], model.serving_default(x)["mean"]
print(json.dumps({"log_prob": log_prob.numpy().tolist(), "mean": mean.numpy().tolist()}))
"""


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    make_folder(args.output)  # before the training, which would be lost
    frame, targets = diabetes() if args.csv is None else read_file(args.csv, args.target, args.drop)
    frame = usable_rows(frame, targets, QUICK_ROWS if args.quick else None, args.seed)
    frame = dequantize(frame, targets, args.seed) if args.dequantize else frame
    train, test = train_test_split(frame, test_size=0.2, random_state=args.seed)
    columns = useful_columns(train.drop(columns=targets))
    preprocessing = preprocessing_model(train[columns])
    x_train, x_test = (np.asarray(preprocessing(raw_inputs(rows[columns]))) for rows in (train, test))
    y_train, y_test = (rows[targets].to_numpy("float64") for rows in (train, test))
    regressors = {k: regressor(k, args).fit(x_train, y_train) for k in dict.fromkeys([args.components, 1])}
    mixtures = {f"K = {k}": fitted.predict_dist(x_test) for k, fitted in regressors.items()}
    print_scores(mixtures, y_test, targets)
    plot(mixtures[f"K = {args.components}"], y_test, targets, args.output / "calibration.png")
    model = keras.Model(preprocessing.input, regressors[args.components].model_(preprocessing.output))
    save_and_check(model, raw_inputs(test[columns][:CHECKED_ROWS]), y_test[:CHECKED_ROWS], args.output)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    option = parser.add_argument
    option(
        "--csv",
        type=pathlib.Path,
        metavar="FILE",
        help="a table as text or HDF5; default: scikit-learn's diabetes data",
    )
    option("--target", metavar="COLUMNS", help="by name, or by number from 0, negative from the end (--target=-1)")
    option("--drop", metavar="COLUMNS", default="", help="columns that the model must not see")
    option("--dequantize", action="store_true", help="spread a target with few values evenly between them")
    option(
        "--components",
        type=int,
        default=tfmdn.MDNRegressor().num_components,
        metavar="K",
        help="components of each network's mixture (default: that of MDNRegressor, %(default)s)",
    )
    option("--seed", type=int, default=0)
    option("--output", type=pathlib.Path, metavar="FOLDER", default=pathlib.Path("outputs/tabular"))
    option("--quick", action="store_true", help="few rows and little training: shows that it runs, with poor scores")
    args = parser.parse_args(argv)
    if args.components < 1:
        parser.error("--components must be at least 1")
    if args.csv is None and (args.target or args.drop):
        parser.error("--target and --drop name columns of --csv FILE, which is missing")
    return args


def fail(message: str) -> NoReturn:
    raise SystemExit(f"error: {message}")


def make_folder(path: pathlib.Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot write to {path}: {error.strerror}.")


# From a file to a frame: numbers are numeric columns, everything else is text.


def diabetes() -> tuple[pd.DataFrame, list[str]]:
    """442 patients; the target measures how far the disease went on in a year."""
    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    frame["sex"] = frame["sex"].map("code {:.0f}".format)  # the source does not say which is which
    return frame, ["progression"]


def read_file(path: pathlib.Path, target: str | None, drop: str) -> tuple[pd.DataFrame, list[str]]:
    """The features, under names fit for inputs, and the targets' names."""
    frame = read_table(path)
    if target is None:
        fail(f"--target is missing. The columns are {', '.join(frame.columns)}.")
    targets = find_columns(target, frame.columns)
    for name in targets:
        if not is_numeric_dtype(frame[name]):
            values = ", ".join(map(repr, frame[name].dropna().unique()[:3]))
            fail(f"a target must be numeric. Column {name!r} holds {values}.")
    features = frame.drop(columns={*targets, *find_columns(drop, frame.columns)})
    names = input_names(features.columns, targets)
    renamed = [f"{column} -> {name}" for column, name in zip(features.columns, names) if column != name]
    if renamed:
        print("Inputs of the model are named", ", ".join(renamed))
    features.columns = names
    return features.join(frame[targets]), targets


def read_table(path: pathlib.Path) -> pd.DataFrame:
    if path.suffix in (".h5", ".hdf5"):
        return read_hdf5(path)
    separator, decimal, width = dialect(first_lines(path))
    options = {"sep": separator, "decimal": decimal, "na_values": MISSING, "skipinitialspace": True}
    options |= {"encoding_errors": "replace", "low_memory": False}
    try:
        frame = pd.read_csv(path, **options)
        header = is_header(frame)
        frame = frame if header else pd.read_csv(path, header=None, **options)
    except ValueError as error:
        fail(f"{path} is not a table that pandas can read. {str(error).strip()}.")
    # R gives its row names no name, and pandas makes an index of them. After separators at lines' ends it does so, too.
    if frame.index.nlevels > 1 or (frame.shape[1] < width and frame.iloc[:, -1].isna().all()):
        fail(f"the lines of {path} have more values than its header has names.")
    frame.columns = [str(name).strip() if header else f"column_{name}" for name in frame.columns]
    return frame.apply(parse_numbers).replace([np.inf, -np.inf], np.nan).reset_index(drop=True)


def read_hdf5(path: pathlib.Path) -> pd.DataFrame:
    """The one-dimensional arrays of a file, wherever they lie in it, as columns."""
    columns = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset) and item.ndim == 1:
            columns[name.rpartition("/")[2]] = item.asstr()[:] if item.dtype.kind == "O" else item[:]

    try:
        with h5py.File(path) as file:
            file.visititems(add)
        return pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan)
    except (OSError, ValueError) as error:
        fail(f"{path} is not an HDF5 file of columns of one length: {error}.")


def first_lines(path: pathlib.Path, count: int = 200) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            lines = [line.rstrip("\r\n") for line in itertools.islice(file, count) if line.strip()]
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}.")
    if len(lines) < 2 or any("\0" in line for line in lines):
        fail(f"{path} is not a table as text, separated by commas, semicolons, tabs or blanks.")
    return lines


def dialect(lines: list[str]) -> tuple[str, str, int]:
    """The separator for pandas, the decimal sign and the width: most lines have the right separator equally often."""
    only_numbers = np.mean([" " in line and re.fullmatch(r"[-+.\deE\s]+", line) is not None for line in lines]) > 0.8
    for sign in " " if only_numbers else ";\t, ":
        tidy = [" ".join(line.split()) for line in lines] if sign == " " else lines
        rows = list(csv.reader(tidy, delimiter=sign, skipinitialspace=True))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width > 1 and count >= 0.8 * len(rows):
            comma = sign != "," and any(re.fullmatch(r"[+-]?\d+,\d+", cell) for row in rows for cell in row)
            return r"\s+" if sign == " " else sign, "," if comma else ".", width
    fail("the file seems to have one column. Columns are separated by commas, semicolons, tabs or blanks.")


def is_header(frame: pd.DataFrame) -> bool:
    """Whether the first line, which pandas took for names, has a word above a column of numbers."""
    names = pd.Series(frame.columns).astype(str).str.replace(r"\.\d+$|^Unnamed: \d+$", "", regex=True)
    words = pd.to_numeric(names, errors="coerce").isna() & ~names.isin(["", "NA", "nan", "NaN", *MISSING])
    return any(word and is_numeric_dtype(parse_numbers(frame.iloc[:, i])) for i, word in enumerate(words))


def parse_numbers(column: pd.Series) -> pd.Series:
    """Numbers with a few words among them ("n.a.", "no answer") are numbers, and the words are missing values."""
    if infer_dtype(column, skipna=True) == "boolean":
        return column.map(str, na_action="ignore")
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().sum() >= 0.9 * column.notna().sum() else column


def find_columns(text: str, columns: pd.Index) -> list[str]:
    """The columns that a list of names and numbers stands for."""
    found = []
    for name in [text] if text in columns else filter(None, map(str.strip, text.split(","))):
        try:
            found.append(name if name in columns else columns[int(name)])
        except (ValueError, IndexError):
            fail(f"there is no column {name!r}. The columns are {', '.join(columns)}.")
    return list(dict.fromkeys(found))


def input_names(columns: pd.Index, targets: list[str]) -> list[str]:
    """Names that a SavedModel can have as arguments: letters, digits and _, and not those of its signatures."""
    names, taken = [], {"self", "x", "y", "q", "num_samples", "seed", *keyword.kwlist, *targets}
    for column in columns:
        name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
        name = name if name[:1].isalpha() else f"column_{name}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
    return names


def usable_rows(frame: pd.DataFrame, targets: list[str], limit: int | None, seed: int) -> pd.DataFrame:
    known = frame.dropna(subset=targets)
    names = ", ".join(targets)
    print(f"{len(known)} rows with a value of {names}; {len(frame) - len(known)} rows without are left out")
    if len(known) < MIN_ROWS:
        fail(f"there must be at least {MIN_ROWS} rows with a target.")
    for name, count in known[targets].nunique().items():
        if count == 1:
            fail(f"the target {name!r} has the same value in every row.")
        if count < 20:
            print(f"  {name} has only {count} values, at which a density has no upper limit: see --dequantize")
    return known.sample(min(limit or len(known), len(known)), random_state=seed)


def dequantize(frame: pd.DataFrame, targets: list[str], seed: int) -> pd.DataFrame:
    """Adds uniform noise as wide as the smallest gap between two values."""
    steps = [np.diff(np.unique(frame[name])).min() for name in targets]
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (len(frame), len(targets)))
    return frame.assign(**(frame[targets] + noise * steps))


# From a frame to features. All of it becomes part of the model.


def useful_columns(features: pd.DataFrame) -> list[str]:
    reasons = {name: why_useless(features[name]) for name in features}
    for name, reason in reasons.items():
        if reason:
            print(f"  left out: {name} ({reason})")
    columns = [name for name, reason in reasons.items() if not reason]
    if not columns:
        fail("there is no column left to predict from.")
    kinds = {name: "number" if is_numeric_dtype(features[name]) else "category" for name in columns}
    print("  inputs:", ", ".join(f"{name} ({kind})" for name, kind in kinds.items()))
    return columns


def why_useless(column: pd.Series) -> str | None:
    count = column.nunique(dropna=False)
    if count == 1:
        return "does not vary"
    if not is_numeric_dtype(column):
        known = column.fillna("").isin(categories(column)).mean()
        return None if known > 0.5 else f"{count} different texts in {len(column)} rows"
    is_unique = count == len(column) and (column % 1 == 0).all()
    return "numbers the rows" if is_unique and column.min() >= 0 and column.max() < 2 * count else None


def categories(column: pd.Series) -> list[str]:
    """The frequent ones, missing among them. All others share one feature, which is trained by the rare ones."""
    counts = column.fillna("").value_counts()
    return counts[counts >= MIN_CATEGORY_COUNT].index[:MAX_CATEGORIES].tolist()


def preprocessing_model(table: pd.DataFrame) -> keras.Model:
    """From raw columns by name, each `[B, 1]` of float64 or string, to features `[B, F]` for the regressor."""
    inputs = {
        name: keras.Input((1,), name=name, dtype="float64" if is_numeric_dtype(column) else "string")
        for name, column in table.items()
    }
    features = [feature for name, column in table.items() for feature in features_of(inputs[name], column)]
    return keras.Model(inputs, keras.layers.Concatenate(dtype="float64")(features))


def features_of(values: keras.KerasTensor, column: pd.Series) -> list[keras.KerasTensor]:
    """The number, or the mean where it is missing, and in a column with gaps whether it is; of a category one-hot."""
    if not is_numeric_dtype(column):
        return [keras.layers.StringLookup(vocabulary=categories(column), output_mode="one_hot")(values)]
    filled = keras.ops.nan_to_num(values, nan=float(column.mean()))
    return [filled, keras.ops.cast(keras.ops.isnan(values), "float64")] if column.isna().any() else [filled]


def raw_inputs(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the model takes: columns `[B, 1]` of numbers, NaN where missing, or of strings, "" where missing."""
    columns = {
        name: column.astype("float64") if is_numeric_dtype(column) else column.fillna("")
        for name, column in table.items()
    }
    return {name: column.to_numpy()[:, np.newaxis] for name, column in columns.items()}


# Training and scores


def regressor(num_components: int, args: argparse.Namespace) -> tfmdn.MDNRegressor:
    print(f"\nTraining with K = {num_components}")
    shortened = QUICK_TRAINING if args.quick else {}
    return tfmdn.MDNRegressor(num_components, random_state=args.seed, verbose=1, **shortened)


def print_scores(mixtures: dict[str, tfmdn.Mixture], y: np.ndarray, targets: list[str]) -> None:
    table = pd.DataFrame({name: scores(mixture, y, targets) for name, mixture in mixtures.items()})
    print(f"\nOn {len(y)} held-out rows\n{table.to_string(float_format='{:.4g}'.format)}")
    if len(mixtures) > 1:
        mixture, single = (tfmdn.negative_log_likelihood(y, mixture).numpy() for mixture in mixtures.values())
        gain = single - mixture
        print(f"The mixture gains {gain.mean():.3f} +- {gain.std() / len(y) ** 0.5:.3f} nats a row (standard error)")


def scores(mixture: tfmdn.Mixture, y: np.ndarray, targets: list[str]) -> dict[str, float]:
    figures = {"NLL in nats": np.mean(tfmdn.negative_log_likelihood(y, mixture))}
    for i, name in enumerate(targets):
        marginal, truth = of_target(mixture, i), y[:, i]
        low, high = np.moveaxis(marginal.interval(COVERAGE), -1, 0)  # each [B]
        interval = f"{name}: {100 * COVERAGE:.0f} % interval"
        figures |= {
            f"{name}: MAE of the mean": np.mean(abs(marginal.mean() - truth)),
            f"{name}: CRPS": np.mean(tfmdn.crps(truth, marginal, batch_size=CRPS_ROWS)),
            f"{interval}, coverage": np.mean((low <= truth) & (truth <= high)),
            f"{interval}, width": np.mean(high - low),
        }
    return figures


def of_target(mixture: tfmdn.Mixture, i: int) -> tfmdn.Mixture:
    return mixture.marginal(i) if mixture.event_shape.rank else mixture


def plot(mixture: tfmdn.Mixture, y: np.ndarray, targets: list[str], path: pathlib.Path) -> None:
    shown = targets[:SHOWN_TARGETS]
    figure, axes = plt.subplots(1, 2 + len(shown), figsize=(8 + 5 * len(shown), 4.2), layout="constrained")
    rows = np.arange(len(y))
    plots.reliability(mixture, rows, y, ax=axes[0])
    plots.pit_histogram(mixture, rows, y, bins=10, ax=axes[1])
    every = -(-len(y) // SHOWN_ROWS)
    for i, (ax, name) in enumerate(zip(axes[2:], shown)):
        part = of_target(mixture, i)[::every]
        rank = np.argsort(np.argsort(part.quantile(0.5)))
        plots.fan(part, rank, y=y[::every, i], ax=ax)
        ax.set(xlabel=f"{len(rank)} held-out rows, sorted by the median", ylabel=name)
        ax.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, handlelength=1, columnspacing=1, frameon=False
        )
    save(figure, path)


# Export


def save_and_check(model: keras.Model, x: dict[str, np.ndarray], y: np.ndarray, folder: pathlib.Path) -> None:
    model.save(folder / "model.keras")
    tfmdn.export_saved_model(model, folder / "saved_model", verbose=True)
    mixture, reloaded = model(x), keras.saving.load_model(folder / "model.keras")(x)
    y = y.reshape(mixture.shape)  # of one target [B]
    log_prob, mean = mixture.log_prob(y), mixture.mean()
    served = serve_in_fresh_process(folder / "saved_model", x, y)
    for name, new_log_prob, new_mean in (
        ("model.keras, loaded again", reloaded.log_prob(y), reloaded.mean()),
        ("saved_model, in a fresh process without tfmdn, TFP and Keras", served["log_prob"], served["mean"]),
    ):
        by_log_prob, by_mean = abs(new_log_prob - log_prob), abs(new_mean - mean)
        print(f"{name}: log_prob differs by at most {np.max(by_log_prob):.1g}, mean by {np.max(by_mean):.1g}")
        if not (np.all(by_log_prob < 1e-3) and np.all(by_mean < 1e-3 * mixture.stddev())):
            fail(f"{name}: the densities are not the same.")


def serve_in_fresh_process(path: pathlib.Path, x: dict[str, np.ndarray], y: np.ndarray) -> dict[str, list]:
    rows = {"x": {name: column.tolist() for name, column in x.items()}, "y": y.tolist()}
    command = [sys.executable, "-c", FRESH_PROCESS, str(path)]
    result = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True)
    if result.returncode:
        fail(f"the SavedModel does not run in a fresh process.\n{result.stderr}")
    return json.loads(result.stdout)


if __name__ == "__main__":
    main()
