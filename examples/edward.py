"""Maximum a posteriori: a small network, priors on its weights, and how many epochs it needs.

Ha's inverse sinusoid, 5,000 points of it, a quarter of them for testing. Two layers of 15 units and 20 components,
trained on all points at once by Adam. The weights have normal priors N(0, 3^2), and what is maximised is likelihood
times prior. Minus its logarithm, divided by n, is the mean NLL plus w^2 / (2 3^2 n) for each weight w: Keras' L2
regularizer. No component can collapse to a point, for `min_scale` is a floor under its scale.

Three settings: the published one, with plain relu layers and Adam at 5e-3; tfmdn's network in the same training, with
inputs and targets in standard units, components that start on the targets, smooth units with biases of their own;
and the same with a learning rate that starts higher and decays, for which 400 epochs are enough.

The test log-likelihood has levelled off at the first epoch at which it is within 0.02 nats of its best, both as means
over the 21 epochs around it.

edward.png: the log-likelihood per point by epoch, training and test, of the first setting and the last, with the epoch
at which it has levelled off; the density at three test points beside the true one; a draw for every test x beside the
test data.

    python examples/edward.py                    # and --quick, for a look
    python examples/edward.py --seeds 0 1 2 3 4

Log-likelihood in nats per point, seeds 0 to 4. The best possible is -1.288; most of the spread is the test data's:

                                    published         same training     tfmdn's way
    levels off at epoch             520 +- 120        322 +- 57         166 +- 16
      of each seed                  363 622 431       312 384 376       138 175 177
                                    633 552           257 279           169 173
    test log-likelihood             -1.358 +- 0.026   -1.347 +- 0.029   -1.339 +- 0.029
    training log-likelihood         -1.312 +- 0.010   -1.269 +- 0.012   -1.292 +- 0.013
"""

import argparse

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
from _pictures import TRUTH, save
from _running import over_seeds, parse_arguments
from scipy.ndimage import uniform_filter1d
from sklearn.model_selection import train_test_split

import tfmdn
from tfmdn import plots

PROBLEM = tfmdn.datasets.inverse_sinusoid()
PRIOR_SCALE = 3.0
MIN_SCALE = 0.01
WINDOW, TOLERANCE = 21, 0.02


def prior(rows: int) -> keras.Regularizer:
    """Minus the logarithm of N(w; 0, PRIOR_SCALE^2), but for its constant, per row."""
    return keras.regularizers.L2(1 / (2 * PRIOR_SCALE**2 * rows))


def published_network(x: np.ndarray, y: np.ndarray) -> keras.Model:
    regularizer = prior(len(x))
    hidden = [keras.layers.Dense(15, "relu", kernel_regularizer=regularizer) for _ in range(2)]
    head = tfmdn.MDNLayer(
        num_components=20,
        min_scale=MIN_SCALE,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=regularizer,
    )
    return keras.Sequential([keras.Input((1,)), *hidden, head])


def tfmdn_network(x: np.ndarray, y: np.ndarray) -> keras.Model:
    standardize = keras.layers.Normalization()
    standardize.adapt(x)
    regularizer = prior(len(x))
    hidden = [
        keras.layers.Dense(
            15,
            "silu",
            kernel_regularizer=regularizer,
            # With Keras' biases of zero all units would bend at the same x.
            bias_initializer=keras.initializers.RandomUniform(-1, 1),
        )
        for _ in range(2)
    ]
    head = tfmdn.MDNLayer(num_components=20, min_scale=MIN_SCALE, kernel_regularizer=regularizer)
    head.adapt(y)
    return keras.Sequential([keras.Input((1,)), standardize, *hidden, head])


# The network, the learning rate, the epochs. A step is an epoch.
SETTINGS = {
    "published": (published_network, 5e-3, 1_000),
    "same training": (tfmdn_network, 5e-3, 1_000),
    "tfmdn's way": (tfmdn_network, keras.optimizers.schedules.CosineDecay(3e-2, 400), 400),
}


def split_data(seed: int, quick: bool) -> list[np.ndarray]:
    x, y = PROBLEM.sample(1_000 if quick else 5_000, seed=seed)
    return train_test_split(x, y, test_size=0.25, random_state=seed)


def train(setting: str, data: list[np.ndarray], seed: int, quick: bool) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """The model, and the log-likelihood per point of training and test data by epoch."""
    keras.utils.set_random_seed(seed)
    build, learning_rate, epochs = SETTINGS[setting]
    x, x_test, y, y_test = data
    model = build(x, y)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=tfmdn.NegativeLogLikelihood(),
        metrics=[tfmdn.metrics.NegativeLogLikelihood(name="nll")],  # the loss without the priors
    )
    history = tfmdn.fit(
        model,
        x,
        y,
        batch_size=len(x),
        epochs=min(epochs, 100) if quick else epochs,
        validation_data=(x_test, y_test),
        validation_batch_size=len(x_test),
        verbose=0,
    ).history
    return model, {"training": -np.array(history["nll"]), "test": -np.array(history["val_nll"])}


def levels_off(log_likelihood: np.ndarray) -> int:
    """The first epoch, counted from 1, at which the smoothed curve is within TOLERANCE of its highest point."""
    smooth = uniform_filter1d(log_likelihood, WINDOW, mode="nearest")
    return 1 + int(np.argmax(smooth >= smooth.max() - TOLERANCE))


def evaluate(setting: str, model: keras.Model, curves: dict[str, np.ndarray], x: np.ndarray) -> dict[str, float]:
    head = model.layers[-1]
    smallest = np.min(model(x).components_distribution.stddev() / head.target_scale)
    if smallest < MIN_SCALE:
        raise SystemExit(f"A component has collapsed: its scale is {smallest} of the target's.")
    return {
        f"{setting}: levels off at epoch": levels_off(curves["test"]),
        f"{setting}: training log-likelihood": curves["training"][-1],
        f"{setting}: test log-likelihood": curves["test"][-1],
        f"{setting}: smallest scale / the target's": smallest,
    }


def draw(fits: dict, data: list[np.ndarray], arguments: argparse.Namespace) -> None:
    _, x_test, _, y_test = data
    model, _ = fits["tfmdn's way"]
    figure = plt.figure(figsize=(10, 8))
    top, bottom = figure.subfigures(2, 1, height_ratios=(4, 5))
    draw_curves(fits, top.subplots(1, 2, sharey=True))
    of_slices, of_draws, of_data = bottom.subplots(1, 3, width_ratios=(5, 3, 3))
    of_data.sharey(of_draws)
    draw_slices(model, x_test[:3], of_slices)

    counts = {"extent": (-14, 14, -11, 11), "gridsize": 30, "vmin": 0, "vmax": 12}
    plots.hexbin(model, x_test, seed=0, ax=of_draws, **counts)
    hexagons = of_data.hexbin(x_test[:, 0], y_test, cmap="Greys", mincnt=1, linewidths=0.2, **counts)
    of_draws.set_title("a draw for every test x")
    of_data.set(title="the test data", xlabel="x")
    of_data.tick_params(labelleft=False)
    bottom.colorbar(hexagons, ax=of_data, label="points in a hexagon", extend="max")
    save(figure, arguments, "edward")


def draw_curves(fits: dict, axes: np.ndarray) -> None:
    """The log-likelihood by epoch of the first setting and the last."""
    longest = len(fits["published"][1]["test"])
    for ax, setting in zip(axes, ("published", "tfmdn's way")):
        curves = fits[setting][1]
        epoch = levels_off(curves["test"])
        plots.training_curves(curves, ax=ax)
        ax.axvline(epoch, color="0.5", linewidth=1)
        ax.annotate(f"levels off at epoch {epoch}", (epoch, -2.4), (6, 0), textcoords="offset points")
        ax.axhline(-PROBLEM.best_nll, color=TRUTH, linestyle=":", label="best possible")
        ax.set(title=setting, ylabel="log-likelihood per point (nats)", xlim=(0, longest), ylim=(-3.2, -1.2))
        ax.set_xticks(np.arange(0, longest, max(1, longest // 4)))
        ax.legend(loc="lower right")
        ax.label_outer()


def draw_slices(model: keras.Model, x: np.ndarray, ax: plt.Axes) -> None:
    """The density at each x `[3, 1]`, one above the other, with the true density."""
    grid = np.linspace(-11, 11, 600, dtype="float32")
    height = 0.75
    for place, row in enumerate(x):
        truth = np.exp(PROBLEM.log_prob(np.repeat(row, len(grid)), grid))
        ax.fill_between(grid, height * place, height * place + truth, color=TRUTH, alpha=0.35, linewidth=0)
        ax.plot(grid, height * place + model(row[np.newaxis]).prob(grid), color="tab:blue", linewidth=1.5)
        ax.text(11.5, height * place + 0.02, f"x = {row[0]:.1f}".replace("-", "\u2212"))
    ax.plot([], [], color="tab:blue", label="model")
    ax.fill_between([], [], color=TRUTH, alpha=0.35, label="truth")
    ax.set(title="p(y | x) at three test points", xlabel="y", ylabel="p(y | x), each on a base of its own")
    ax.set(xlim=(-11, 18.5), ylim=(0, 2.6), yticks=[0, 0.5])
    ax.legend(loc="upper right", ncols=2)


def main() -> None:
    arguments = parse_arguments(__doc__)

    def run(seed: int) -> tuple[dict[str, float], tuple]:
        data = split_data(seed, arguments.quick)
        fits = {setting: train(setting, data, seed, arguments.quick) for setting in SETTINGS}
        figures = [evaluate(setting, *fit, data[1]) for setting, fit in fits.items()]
        return {name: value for part in figures for name, value in part.items()}, (fits, data)

    draw(*over_seeds(run, arguments.seeds), arguments)


if __name__ == "__main__":
    main()
