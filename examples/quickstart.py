"""Quickstart: train a mixture density network, see why the mean is not the answer, export it, load it again.

Ha's inverse sinusoid asks for y given x = 7 sin(0.75 y) + 0.5 y + noise: up to five answers for one x. The script
trains a mixture of 20 normals and, as the baseline, a single one (K = 1: least squares with a learned spread), prints
the test NLL of both beside the best that any model can reach, and draws both beside the true density.

    python examples/quickstart.py                # about 40 s on two cores
    python examples/quickstart.py --quick        # a few seconds, for a look

Test NLL in nats per point, on 50,000 fresh points (lower is better), for the seeds 0 to 4:

    best possible           1.288
    mixture, K = 20         1.301  1.301  1.303  1.299  1.303
    single normal, K = 1    2.783  2.815  2.781  2.784  2.787
"""

import argparse
import pathlib
import subprocess
import sys
import time

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
from _pictures import TRUTH, add_options, save

import tfmdn

ROOT = pathlib.Path(__file__).resolve().parents[1]

# The exported model is asked by a process that knows TensorFlow only.
FRESH_PROCESS = """
import sys
for name in ("tfmdn", "tensorflow_probability", "keras", "tf_keras"):
    sys.modules[name] = None  # importing it fails
import numpy as np, tensorflow as tf
data = np.load(sys.argv[2])
log_prob = tf.saved_model.load(sys.argv[1]).signatures["log_prob"]
np.save(sys.argv[3], log_prob(x=tf.constant(data["x"]), y=tf.constant(data["y"]))["log_prob"])
"""


def train(num_components: int, x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    standardize = keras.layers.Normalization()
    standardize.adapt(x)
    head = tfmdn.MDNLayer(num_components, name="mixture")
    head.adapt(y)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            standardize,
            # With Keras' biases of zero all units would bend at the same x.
            keras.layers.Dense(64, "silu", bias_initializer=keras.initializers.RandomUniform(-1, 1)),
            keras.layers.Dense(64, "silu", bias_initializer=keras.initializers.RandomUniform(-1, 1)),
            head,
        ]
    )
    batch_size = 256
    steps = epochs * -(-len(x) // batch_size)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        loss=tfmdn.NegativeLogLikelihood(),
        steps_per_execution=20,
    )
    print(f"\nTraining with K = {num_components}")
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[EpochBar(epochs)])
    return model


class EpochBar(keras.callbacks.Callback):
    """One progress bar for the whole training: Keras' own starts a new line for every epoch."""

    def __init__(self, epochs: int):
        super().__init__()
        self.bar = keras.utils.Progbar(epochs, stateful_metrics=["loss"], unit_name="epoch")

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update(epoch + 1, [("loss", logs["loss"])])


def score(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """The test NLL in nats per point."""
    return model.evaluate(x, y, batch_size=10_000, verbose=0)


def reload_and_compare(model: keras.Model, path: pathlib.Path, x: np.ndarray, y: np.ndarray) -> float:
    """The largest difference between the model's log density and that of its export, loaded in a fresh process."""
    tfmdn.export_saved_model(model, path)
    question, answer = path.with_suffix(".question.npz"), path.with_suffix(".answer.npy")
    try:
        np.savez(question, x=x, y=y)
        command = [sys.executable, "-c", FRESH_PROCESS, str(path), str(question), str(answer)]
        result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            raise SystemExit(f"{result.stderr}\nThe exported model does not run in a fresh process.")
        return float(np.max(np.abs(np.load(answer) - model(x).log_prob(y))))
    finally:
        question.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)


def draw(
    problem: tfmdn.datasets.InverseProblem,
    mixture_model: keras.Model,
    single_model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    arguments: argparse.Namespace,
) -> None:
    """The true density with data, and the network's with the least squares line."""
    grid = np.linspace(-12, 12, 400, dtype="float32")
    pairs = np.tile(grid, len(grid)), np.repeat(grid, len(grid))
    true_density = np.exp(problem.log_prob(*pairs)).reshape(len(grid), len(grid))  # [y, x]
    density = mixture_model(grid[:, None]).prob(grid[:, None])  # [y, x]
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.8), sharex=True, sharey=True)
    for ax, values in zip(axes, (true_density, density)):
        image = ax.pcolormesh(grid, grid, values, cmap="Greys", vmin=0, vmax=0.8, rasterized=True)
        ax.set(xlabel="x", xlim=(-12, 12), ylim=(-12, 14))
    axes[0].plot(x[:300, 0], y[:300], ".", color=TRUTH, markersize=3, label="data")
    axes[0].set(title="the truth", ylabel="y")
    axes[1].plot(grid, single_model(grid[:, None]).mean(), color="tab:red", lw=2, label="least squares: the mean of y")
    axes[1].set_title("what the network has learnt")
    for ax in axes:
        ax.legend(loc="upper left", markerscale=2)
    figure.colorbar(image, ax=axes, label="p(y | x)", extend="max")
    save(figure, arguments, "quickstart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less data and fewer epochs")
    parser.add_argument("--seed", type=int, default=0)
    add_options(parser)
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--output", type=pathlib.Path, default=ROOT / "outputs", help="of the export and the figure")
    folder.add_argument("--tracked", action="store_true", help="make the export and the figure anew that git holds")
    arguments = parser.parse_args()
    rows, epochs = (5_000, 8) if arguments.quick else (40_000, 40)

    start = time.perf_counter()
    problem = tfmdn.datasets.inverse_sinusoid()
    x, y = problem.sample(rows, seed=arguments.seed)
    x_test, y_test = problem.sample(50_000, seed=arguments.seed + 10_000)
    mixture = train(20, x, y, epochs, arguments.seed)
    single = train(1, x, y, epochs, arguments.seed)

    print(f"\nTest NLL in nats per point, {len(x_test):,} fresh points:")
    print(f"  best possible           {problem.best_nll:.3f}")
    print(f"  mixture, K = 20         {score(mixture, x_test, y_test):.3f}")
    print(f"  single normal, K = 1    {score(single, x_test, y_test):.3f}")

    export = (ROOT / "saved_models" if arguments.tracked else arguments.output) / "inverse_sinusoid"
    if arguments.tracked:
        arguments.output, arguments.dark = ROOT / "examples" / "figures", True
    arguments.output.mkdir(parents=True, exist_ok=True)
    draw(problem, mixture, single, x_test, y_test, arguments)
    difference = reload_and_compare(mixture, export, x_test[:1000], y_test[:1000])
    print(f"\nExported to {export}; loaded in a fresh process without tfmdn, TFP and Keras.")
    print(f"Largest difference of log p(y | x) on 1,000 points: {difference:.1e}")
    print(f"All of it took {time.perf_counter() - start:.0f} s.")
    if difference > 1e-3:
        raise SystemExit("The exported model does not agree with the trained one.")


if __name__ == "__main__":
    main()
