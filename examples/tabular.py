"""A mixture density network on anybody's table: held-out scores, calibration, and a model that takes raw rows.

    python examples/tabular.py                                              # the diabetes data of scikit-learn
    python examples/tabular.py --csv trips.csv --target dropoff_lon,dropoff_lat --drop trip_id,duration
    python examples/tabular.py --csv data.txt --target=-1                   # no header: a column by its number

`tfmdn.read_table` reads the file, whoever wrote it. `tfmdn.MDNRegressor` takes its columns as they are, learns from
80 % of the rows and is scored on the rest; what a prediction must not know is for --drop. Into --output go
`report.html`, `tabular.png`, `model.keras`, and `saved_model`, which takes raw columns where neither tfmdn nor
Keras is: both must give the same densities again, the second in a fresh process without these.

For 89 of the 442 patients of the diabetes data, the CRPS is 20 % less than that of a prediction that sees nothing.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import _quiet  # noqa: F401
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _pictures import add_options, save
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import tfmdn
from tfmdn import plots

# All that a server needs: TensorFlow and raw rows.
SERVER = """
import json, sys
for name in ("tfmdn", "tensorflow_probability", "keras", "tf_keras"):
    sys.modules[name] = None  # importing it fails
import numpy as np, tensorflow as tf
x, y = json.load(sys.stdin)
x = {name: tf.constant(np.array(values)) for name, values in x.items()}
model = tf.saved_model.load(sys.argv[1])
print(json.dumps(model.log_prob(x, tf.constant(np.array(y)))["log_prob"].numpy().tolist()))
"""


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)  # before the training, which would be lost
    frame, targets = read(args.csv, args.target, args.drop) if args.csv else diabetes()
    rows = frame.dropna(subset=targets)
    print(f"{len(rows)} rows with {', '.join(targets)}; {len(frame) - len(rows)} without are left out")
    train, test = train_test_split(rows[:1000] if args.quick else rows, test_size=0.2, random_state=0)
    x, y = test.drop(columns=targets), test[targets]
    training = {"n_estimators": 2, "max_steps": 100} if args.quick else {}
    regressor = tfmdn.MDNRegressor(random_state=0, verbose=1, **training)
    regressor.fit(train.drop(columns=targets), train[targets])
    print(f"\n{regressor.evaluate(x, y)}\n")
    regressor.report(x, y, args.output / "report.html")
    plot(regressor, x, y, args)
    regressor.save(args.output / "model.keras")
    tfmdn.export_saved_model(regressor.model_, args.output / "saved_model", verbose=True)
    check(regressor, x[:1000], y[:1000], args.output)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    option = parser.add_argument
    option("--csv", type=pathlib.Path, metavar="FILE", help="a table; default: scikit-learn's diabetes data")
    option("--target", metavar="COLUMNS", default="-1", help="by name, or by number from 0 (default: -1, the last one)")
    option("--drop", metavar="COLUMNS", default="", help="columns that the model must not see")
    option("--output", type=pathlib.Path, metavar="FOLDER", default=pathlib.Path("outputs/tabular"))
    option("--quick", action="store_true", help="few rows and little training: shows that it runs, with poor scores")
    add_options(parser)
    return parser.parse_args(argv)


def diabetes() -> tuple[pd.DataFrame, list[str]]:
    """442 patients; the target measures how far the disease went on in a year."""
    frame = load_diabetes(as_frame=True, scaled=False).frame.replace({"sex": {1.0: "code 1", 2.0: "code 2"}})
    return frame.rename(columns={"target": "progression"}), ["progression"]


def read(path: pathlib.Path, target: str, drop: str) -> tuple[pd.DataFrame, list[str]]:
    try:
        frame = tfmdn.read_table(path)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")

    places = {str(place): name for i, name in enumerate(frame) for place in (i, i - frame.shape[1])}
    targets, dropped = ([places.get(name, name) for name in text.split(",") if name] for text in (target, drop))
    if unknown := {*targets, *dropped} - {*frame}:
        sys.exit(f"error: no columns {', '.join(unknown)}. There are {', '.join(frame)}.")
    return frame.drop(columns=dropped), targets


def plot(regressor: tfmdn.MDNRegressor, x: pd.DataFrame, y: pd.DataFrame, args: argparse.Namespace) -> None:
    figure, axes = plt.subplots(1, 1 + y.shape[1], figsize=(4 + 5 * y.shape[1], 4.2))
    plots.reliability(regressor, x, y, ax=axes[0])
    axes[0].set_title("calibration on held-out rows")
    mixture = regressor.predict_dist(x[:100])
    for i, (ax, name) in enumerate(zip(axes[1:], y)):
        target = mixture.marginal(i) if mixture.event_shape.rank else mixture
        plots.fan(target, np.argsort(np.argsort(target.quantile(0.5))), y=y[name][:100], ax=ax)
        ax.set(title="intervals and what came", xlabel="held-out rows, sorted by the median", ylabel=name)
    save(figure, args, "tabular")


def check(regressor: tfmdn.MDNRegressor, x: pd.DataFrame, y: pd.DataFrame, folder: pathlib.Path) -> None:
    mixture, loaded = (model.predict_dist(x) for model in (regressor, regressor.load(folder / "model.keras")))
    y = y.to_numpy("float64").reshape(mixture.shape)  # of one target [B]
    rows = json.dumps([{name: column.tolist() for name, column in regressor.model_inputs(x).items()}, y.tolist()])
    command = [sys.executable, "-c", SERVER, folder / "saved_model"]
    served = subprocess.run(command, input=rows, capture_output=True, text=True)
    again = {"model.keras": loaded.log_prob(y), "saved_model": json.loads(served.stdout or sys.exit(served.stderr))}
    for name, log_prob in again.items():
        error = np.max(np.abs(log_prob - mixture.log_prob(y)))
        print(f"{name}, loaded again: log_prob differs by at most {error:.1g}")
        assert error < 1e-3


if __name__ == "__main__":
    main()
