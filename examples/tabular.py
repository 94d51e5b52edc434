"""A mixture density network on anybody's table: held-out scores, calibration, and a model that takes raw rows.

Usage:

    python examples/tabular.py                                              # the diabetes data of scikit-learn
    python examples/tabular.py --csv houses.csv --target price
    python examples/tabular.py --csv trips.csv --target dropoff_lon,dropoff_lat --drop trip_id,duration
    python examples/tabular.py --csv data.txt --target=-1                   # no header: a column by its number

The file may be separated by commas, semicolons, tabs or blanks, with or without a header. Columns are numbers or
categories, and both may have missing values: filling those in, scaling and encoding are layers of the model. Columns
that do not vary, or of which every row has another value, are left out; what a prediction must not know is for --drop.

A mixture of K normals and a single one (K = 1) are trained in the same way on 80 % of the rows and scored on the others.
Into --output go `model.keras`, `saved_model`, which needs neither tfmdn nor Keras, and `calibration.png`. The SavedModel
is loaded in a fresh process and must give the same densities there.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import keyword
import os
import pathlib
import re
import subprocess
import sys
from collections import Counter

import keras
import matplotlib
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import tfmdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MIN_ROWS = 50
MIN_CATEGORY_COUNT, MAX_CATEGORIES = 3, 200
MISSING = ["?", "-", "."]  # besides what pandas takes as missing
QUICK_ROWS, QUICK_EPOCHS = 1000, 20
LEVELS = [0.05, 0.95]
LEARNING_RATE = float(os.environ.get("LR","3e-3"))
WEIGHT_DECAY = float(os.environ.get("WD","0.01"))
PATIENCE = int(os.environ.get("PAT","30"))

# All that a server needs: TensorFlow and raw rows.
FRESH_PROCESS = """
import json, sys
for name in ("tfmdn", "tensorflow_probability", "keras", "tf_keras"):
    sys.modules[name] = None  # importing it fails
import tensorflow as tf
model, rows = tf.saved_model.load(sys.argv[1]), json.load(sys.stdin)
x, y = {name: tf.constant(values) for name, values in rows["x"].items()}, tf.constant(rows["y"])
log_prob, mean = model.log_prob(x, y)["log_prob"], model.serving_default(x)["mean"]
print(json.dumps({"log_prob": log_prob.numpy().tolist(), "mean": mean.numpy().tolist()}))
"""


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    frame, targets = diabetes() if args.csv is None else read_file(args.csv, args.target, args.drop)
    frame = usable_rows(frame, targets, QUICK_ROWS if args.quick else None, args.seed)
    train, test = train_test_split(frame, test_size=0.2, random_state=args.seed)
    columns = useful_columns(train.drop(columns=targets))
    preprocessing = preprocessing_model(train[columns])
    x_train, x_test = (np.asarray(preprocessing(raw_inputs(rows[columns]))) for rows in (train, test))
    y_train, y_test = (rows[targets].to_numpy("float32") for rows in (train, test))
    networks = {k: fit(x_train, y_train, k, args.epochs, args.seed) for k in dict.fromkeys([args.components, 1])}
    mixtures = {f"K = {k}": network(x_test) for k, network in networks.items()}
    print_scores(mixtures, y_test, targets)
    args.output.mkdir(parents=True, exist_ok=True)
    plot(mixtures, y_test, targets, args.output / "calibration.png")
    model = keras.Model(preprocessing.input, networks[args.components](preprocessing.output))
    save_and_check(model, raw_inputs(test[columns]), y_test, args.output)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    option = parser.add_argument
    option("--csv", type=pathlib.Path, metavar="FILE", help="a table as text; default: scikit-learn's diabetes data")
    option("--target", metavar="COLUMNS", help="by name, or by number from 0, negative from the end (--target=-1)")
    option("--drop", metavar="COLUMNS", default="", help="columns that the model must not see")
    option("--epochs", type=positive, default=300, help="at most; early stopping ends before (default 300)")
    option("--components", type=positive, default=5, metavar="K", help="components of the mixture (default 5)")
    option("--seed", type=int, default=0)
    option("--output", type=pathlib.Path, metavar="FOLDER", default=pathlib.Path("outputs/tabular"))
    option("--quick", action="store_true", help="few rows and epochs: shows that it runs, with poor scores")
    args = parser.parse_args(argv)
    if args.csv is None and (args.target or args.drop):
        parser.error("--target and --drop name columns of --csv FILE, which is missing")
    args.epochs = min(args.epochs, QUICK_EPOCHS) if args.quick else args.epochs
    return args


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return int(text)


def fail(message: str) -> None:
    raise SystemExit(f"error: {message}")


# From a file to a frame: numbers are numeric columns, everything else is text.


def diabetes() -> tuple[pd.DataFrame, list[str]]:
    """442 patients; the target measures how far the disease went on in a year."""
    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    frame["sex"] = frame["sex"].map("code {:.0f}".format)  # the source does not say which is which
    return frame, ["progression"]


def read_file(path: pathlib.Path, target: str | None, drop: str) -> tuple[pd.DataFrame, list[str]]:
    frame = read_table(path)
    if target is None:
        fail(f"--target is missing. The columns are {', '.join(frame.columns)}.")
    targets = find_columns(target, frame.columns)
    for name in targets:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            values = ", ".join(map(repr, frame[name].dropna().unique()[:3]))
            fail(f"a target must be numeric. Column {name!r} holds {values}.")
    features = frame.drop(columns=targets + find_columns(drop, frame.columns), errors="ignore")
    return pd.concat([features.set_axis(input_names(features.columns, targets), axis=1), frame[targets]], axis=1), targets


def read_table(path: pathlib.Path) -> pd.DataFrame:
    separator, decimal = dialect(first_lines(path))
    options = dict(sep=separator, decimal=decimal, na_values=MISSING, skipinitialspace=True, encoding_errors="replace")
    try:
        frame = pd.read_csv(path, low_memory=False, **options)
        header = is_header(frame)
        frame = frame if header else pd.read_csv(path, header=None, low_memory=False, **options)
    except (ValueError, pd.errors.ParserError) as error:
        fail(f"{path} is not a table that pandas can read: {error}")
    # R gives its row names no name, and pandas makes an index of them. A separator at the lines' ends is no index.
    if not isinstance(frame.index, pd.RangeIndex) and frame.iloc[:, -1].isna().all():
        fail(f"the lines of {path} have more values than the header has names.")
    frame.columns = [str(name).strip() if header else f"column_{name}" for name in frame.columns]
    return frame.apply(parse_numbers).replace([np.inf, -np.inf], np.nan).reset_index(drop=True)


def first_lines(path: pathlib.Path, count: int = 200) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            lines = [line.rstrip("\r\n") for line in itertools.islice(file, count) if line.strip()]
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}.")
    if len(lines) < 2 or any("\0" in line for line in lines):
        fail(f"{path} is not a table as text, separated by commas, semicolons, tabs or blanks.")
    return lines


def dialect(lines: list[str]) -> tuple[str, str]:
    """The separator for pandas, and the decimal sign: commas are decimal signs only where they separate nothing."""
    for sign, separator in ((";", ";"), ("\t", "\t"), (",", ","), (" ", r"\s+")):
        tidy = [" ".join(line.split()) for line in lines] if sign == " " else lines
        rows = list(csv.reader(tidy, delimiter=sign, skipinitialspace=True))
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width > 1 and count >= 0.8 * len(rows):
            cells = itertools.chain.from_iterable(rows)
            return separator, "," if sign != "," and any(re.fullmatch(r"-?\d+,\d+", cell) for cell in cells) else "."
    fail("the file has one column only. Columns are separated by commas, semicolons, tabs or blanks.")


def is_header(frame: pd.DataFrame) -> bool:
    """Whether the first line, which pandas took for names, has a word above a column of numbers."""
    names = pd.Series(frame.columns).astype(str).str.replace(r"\.\d+$|^Unnamed: \d+$", "", regex=True)
    words = pd.to_numeric(names, errors="coerce").isna() & ~names.isin(["", "NA", "nan", "NaN", *MISSING])
    return any(word and pd.api.types.is_numeric_dtype(parse_numbers(frame.iloc[:, i])) for i, word in enumerate(words))


def parse_numbers(column: pd.Series) -> pd.Series:
    """Numbers with a few words among them ("n.a.", "no answer") are numbers, and the words are missing values."""
    if pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return column.map(str, na_action="ignore")
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().sum() >= 0.9 * column.notna().sum() else column


def find_columns(text: str, columns: pd.Index) -> list[str]:
    """The columns that a list of names or numbers stands for."""
    names = [text] if text in columns else [name.strip() for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(name if name in columns else column_by_number(name, columns) for name in names))


def column_by_number(text: str, columns: pd.Index) -> str:
    try:
        return columns[int(text)]
    except (ValueError, IndexError):
        fail(f"there is no column {text!r}. The columns are {', '.join(columns)}.")


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
    print(f"{len(known)} rows; {len(frame) - len(known)} more have no {' or '.join(targets)} and are left out")
    if len(known) < MIN_ROWS:
        fail(f"at least {MIN_ROWS} rows with a target are needed.")
    for name in targets:
        if known[name].nunique() == 1:
            fail(f"the target must vary. Column {name!r} is {known[name].iloc[0]} in every row.")
        if known[name].nunique() < 20:
            print(f"{name} has {known[name].nunique()} values only: a density rises without bound there, read the MAE")
    return known if limit is None or len(known) <= limit else known.sample(limit, random_state=seed)


# From a frame to features: everything here becomes part of the model.


def useful_columns(features: pd.DataFrame) -> list[str]:
    reasons = {name: why_useless(features[name]) for name in features}
    for name, reason in reasons.items():
        if reason:
            print(f"  left out: {name} ({reason})")
    columns = [name for name, reason in reasons.items() if not reason]
    if not columns:
        fail("no column is left to predict from.")
    kinds = {name: "number" if pd.api.types.is_numeric_dtype(features[name]) else "category" for name in columns}
    print("  inputs:", ", ".join(f"{name} ({kind})" for name, kind in kinds.items()))
    return columns


def why_useless(column: pd.Series) -> str | None:
    count = column.nunique(dropna=False)
    if count == 1:
        return "does not vary"
    if not pd.api.types.is_numeric_dtype(column):
        covered = column.fillna("").isin(categories(column)).mean()
        return None if covered > 0.5 else f"{count} different texts in {len(column)} rows"
    whole = (column % 1 == 0).all()
    return "numbers the rows" if whole and count == len(column) and 0 <= column.min() <= column.max() < 2 * count else None


def categories(column: pd.Series) -> list[str]:
    """The frequent ones; missing is one as well. All others share one feature, which so is trained too."""
    counts = column.fillna("").value_counts()
    return counts[counts >= MIN_CATEGORY_COUNT].index[:MAX_CATEGORIES].tolist()


def preprocessing_model(table: pd.DataFrame) -> keras.Model:
    """Raw columns by name, each `[B, 1]` of float32 or string, to features `[B, F]` of about unit scale."""
    numeric = table.select_dtypes("number")
    inputs = {
        name: keras.Input((1,), name=name, dtype="float32" if name in numeric else "string") for name in table.columns
    }
    features = numeric_features([inputs[name] for name in numeric], numeric.to_numpy("float64"))
    for name in table.columns.difference(numeric.columns, sort=False):
        # The dense layer that follows makes an embedding of it, however many categories there are.
        lookup = keras.layers.StringLookup(vocabulary=categories(table[name]), output_mode="one_hot")
        features.append(lookup(inputs[name]))
    return keras.Model(inputs, keras.ops.concatenate(features, -1))


def numeric_features(inputs: list[keras.KerasTensor], table: np.ndarray) -> list[keras.KerasTensor]:
    """Standardised, missing values replaced by the mean, and for each column with gaps whether the value is missing."""
    if not inputs:
        return []
    mean, deviation = np.nanmean(table, 0), np.nanstd(table, 0)
    low, high = np.nanmin(table, 0) - deviation, np.nanmax(table, 0) + deviation
    # Far outside of what was seen a network extrapolates wildly.
    x = keras.ops.clip(keras.ops.concatenate(inputs, -1), low.tolist(), high.tolist())
    x = keras.layers.Normalization(mean=mean, variance=deviation**2)(x)
    missing = keras.ops.isnan(x)
    gaps = np.flatnonzero(np.isnan(table).any(0)).tolist()
    features = [keras.ops.where(missing, 0.0, x)]
    return [*features, keras.ops.cast(keras.ops.take(missing, gaps, -1), "float32")] if gaps else features


def raw_inputs(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the model takes: columns `[B, 1]`, of numbers where NaN is missing or of strings where "" is."""
    numeric = table.select_dtypes("number").columns
    columns = {name: table[name].astype("float32") if name in numeric else table[name].fillna("") for name in table}
    return {name: column.to_numpy()[:, np.newaxis] for name, column in columns.items()}


# Training and scores


def fit(x: np.ndarray, y: np.ndarray, num_components: int, epochs: int, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    x_fit, x_stop, y_fit, y_stop = train_test_split(x, y, test_size=0.1, random_state=seed)
    layer = tfmdn.MDNLayer(num_components, event_shape=y.shape[1])
    layer.adapt(y_fit)
    hidden = [keras.layers.Dense(64, "silu", kernel_initializer="he_normal") for _ in range(2)]
    network = keras.Sequential([keras.Input(x.shape[1:]), *hidden, layer])
    optimizer = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, beta_2=0.99, clipnorm=1.0)
    network.compile(optimizer, loss=tfmdn.NegativeLogLikelihood(), metrics=["mae"])
    bar = keras.utils.Progbar(epochs, stateful_metrics=["loss", "mae", "val_loss", "val_mae"], unit_name="epoch")
    network.fit(
        x_fit,
        y_fit,
        validation_data=(x_stop, y_stop),
        batch_size=64 if len(x_fit) < 5000 else 128,
        epochs=epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=PATIENCE // 3),
            keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: bar.update(epoch + 1, [(k, v) for k, v in logs.items() if "l" in k]),
                on_train_end=lambda logs: bar.update(len(network.history.epoch), finalize=True),
            ),
        ],
    )
    return network


def print_scores(mixtures: dict[str, tfmdn.Mixture], y: np.ndarray, targets: list[str]) -> None:
    table = pd.DataFrame({name: scores(mixture, y, targets) for name, mixture in mixtures.items()})
    print(f"\nOn {len(y)} held-out rows:\n{table.to_string(float_format='{:.4g}'.format)}")
    log_probs = [mixture.log_prob(y).numpy() for mixture in mixtures.values()]
    gain = log_probs[0] - log_probs[-1]
    error = gain.std() / np.sqrt(len(gain))
    print(f"The mixture's log density is higher by {gain.mean():.3f} +- {error:.3f} nats a row\n")


def scores(mixture: tfmdn.Mixture, y: np.ndarray, targets: list[str]) -> dict[str, float]:
    low, high = mixture.quantile(LEVELS).numpy()  # each [B, E]
    by_target = {
        "MAE of {}": abs(mixture.mean() - y),
        "90 % interval of {}: coverage": (low <= y) & (y <= high),
        "90 % interval of {}: width": high - low,
    }
    result = {"NLL in nats": -float(np.mean(mixture.log_prob(y)))}
    for text, values in by_target.items():
        result |= {text.format(name): float(value) for name, value in zip(targets, np.mean(values, 0))}
    return result


def plot(mixtures: dict[str, tfmdn.Mixture], y: np.ndarray, targets: list[str], path: pathlib.Path) -> None:
    shown = targets[:2]
    figure, axes = plt.subplots(1, 1 + len(shown), figsize=(5 + 5 * len(shown), 4.5), layout="constrained")
    plot_reliability(axes[0], mixtures, y)
    for i, name in enumerate(shown):
        plot_intervals(axes[1 + i], next(iter(mixtures.values())), y, i, name)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Wrote {path}")


def plot_reliability(ax: plt.Axes, mixtures: dict[str, tfmdn.Mixture], y: np.ndarray) -> None:
    """Of the central intervals of each level, the share that holds the target."""
    levels = np.linspace(0, 1, 101)
    ax.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="calibrated")
    for (name, mixture), style, color in zip(mixtures.items(), ["-", "--"], ["C0", "C1"]):
        needed = abs(2 * mixture.cdf(y).numpy() - 1).ravel()  # the level from which on the interval holds the target
        ax.plot(levels, [(needed <= level).mean() for level in levels], style, color=color, label=name)
    ax.set(xlabel="nominal coverage of the central interval", ylabel="share of held-out rows within", aspect="equal")
    ax.legend()


def plot_intervals(ax: plt.Axes, mixture: tfmdn.Mixture, y: np.ndarray, i: int, name: str) -> None:
    low, median, high = mixture.quantile([LEVELS[0], 0.5, LEVELS[1]]).numpy()[..., i]
    rows = np.argsort(median)[np.linspace(0, len(y) - 1, min(len(y), 80)).astype(int)]
    place = np.arange(len(rows))
    ax.vlines(place, low[rows], high[rows], color="0.75", linewidth=3, label="90 % interval")
    ax.plot(place, median[rows], "_", color="black", label="median")
    ax.plot(place, y[rows, i], "o", color="C3", markersize=4, label="truth")
    ax.set(xlabel=f"{len(rows)} held-out rows, by their median", ylabel=name)
    ax.legend()


# Export


def save_and_check(model: keras.Model, x: dict[str, np.ndarray], y: np.ndarray, folder: pathlib.Path) -> None:
    """Saves the model in both forms, and shows that what is loaded gives the same densities."""
    model.save(folder / "model.keras")
    tfmdn.export_saved_model(model, folder / "saved_model", verbose=True)
    mixture, reloaded = model(x), keras.saving.load_model(folder / "model.keras")(x)
    rows = {"x": {name: column.tolist() for name, column in x.items()}, "y": y.tolist()}
    fresh = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(folder / "saved_model")],
        input=json.dumps(rows),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    served = json.loads(fresh.stdout)
    for name, log_prob, mean in (
        ("model.keras", reloaded.log_prob(y), reloaded.mean()),
        ("saved_model in a fresh process without tfmdn", served["log_prob"], served["mean"]),
    ):
        differences = (abs(log_prob - mixture.log_prob(y)), abs(mean - mixture.mean()))
        print(f"{name}: log_prob and mean differ by at most", *("{:.2g}".format(np.max(d)) for d in differences))


if __name__ == "__main__":
    main()
