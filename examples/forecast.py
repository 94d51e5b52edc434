"""Forecasting: a time series that turns at random, and paths of its future drawn step by step.

The series is pulled up towards 5 or down towards -5, and at each step the pull turns around with probability 0.05:
y' = 0.9 y + 0.5 s + 0.1 e, with s = 1 or -1 and normal noise e. The next value is near one of two points, and in 20
steps the series is most likely near one of two levels, seldom where its mean is. A recurrent network with a mixture of
5 normals learns that from whole series; single normals, the usual head, cannot say it. From the state in which the
network is after it has read a series, `tfmdn.generate` draws all paths of all series in one graph.

In forecast.png, after a history of 60 steps: sampled paths and the fan of central intervals; the density by horizon,
which is the mixture of the one-step mixtures along the paths, beside the true one, of 100,000 paths of the series
itself; and on 200 other series, how often the truth lies in the intervals, by horizon.

    python examples/forecast.py                    # and --quick, for a look
    python examples/forecast.py --seeds 0 1 2 3 4

NLL in nats per step, and the share of the truth in 80 % intervals 1, 10 and 40 steps ahead, on 200 series (seed 0):

    best possible    -0.686
    mixture of 5     -0.673    0.81  0.80  0.76
    single normal     0.025    0.94  0.57  0.54
"""

import argparse

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from _pictures import MODEL, OTHER, TRUTH, save
from _running import over_seeds, parse_arguments

import tfmdn
from tfmdn import plots

tfd = tfp.distributions
UNITS = 32
HISTORY, HORIZON = 60, 40
COVERAGES = (0.5, 0.8, 0.95)
TURN, NOISE = 0.05, 0.1
HORIZONS = np.arange(1, HORIZON + 1)


def series(count: int, seed: int) -> np.ndarray:
    """`[count, HISTORY + HORIZON]`."""
    rng = np.random.default_rng(seed)
    return continued(10 * rng.random(count) - 5, rng.choice([-1, 1], count), HISTORY + HORIZON, rng).astype("float32")


def continued(y: np.ndarray, pull: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """The next values of series that stand at y `[n]` and are pulled one way or the other: `[n, steps]`."""
    values = []
    for _ in range(steps):
        pull = np.where(rng.random(len(y)) < TURN, -pull, pull)
        y = 0.9 * y + 0.5 * pull + rng.normal(0, NOISE, len(y))
        values.append(y)
    return np.stack(values, 1)


def true_density_by_horizon(history: np.ndarray, edges: np.ndarray, count: int = 100_000) -> np.ndarray:
    """Of true paths after a history `[T]`, whose last step tells which way the pull is: `[HORIZON, cells]`."""
    pull = np.sign(history[-1] - 0.9 * history[-2])
    paths = continued(np.full(count, history[-1]), np.full(count, pull), HORIZON, np.random.default_rng(0))
    return np.stack([np.histogram(values, edges, density=True)[0] for values in paths.T])


def next_values(y: np.ndarray) -> tfmdn.Mixture:
    """The true distribution of the value after each but the first. The last step tells which way the pull is."""
    centre = 0.9 * y[:, 1:]
    pull = np.sign(centre / 0.9 - 0.9 * y[:, :-1])
    centres = np.stack([centre + 0.5 * pull, centre - 0.5 * pull], -1)  # [B, T, K]
    return tfmdn.Mixture(tfd.Categorical(probs=tf.constant([1 - TURN, TURN])), tfd.Normal(centres, NOISE))


class Forecaster:
    """A network over whole series, and its layers as a model of one step."""

    def __init__(self, num_components: int, y: np.ndarray, epochs: int, seed: int):
        keras.utils.set_random_seed(seed)
        recurrent = keras.layers.GRU(UNITS, return_sequences=True, return_state=True)
        head = tfmdn.MDNLayer(num_components)
        head.adapt(y)
        values = keras.Input((None, 1))
        hidden, last_state = recurrent(values)
        # The head sees the value, too: that the next one is near it need not be learnt by way of the state.
        self.network = keras.Model(values, head(keras.layers.Concatenate()([hidden, values])))
        self.reader = keras.Model(values, last_state)
        value, state = keras.Input((1,)), keras.Input((UNITS,))
        hidden, next_state = recurrent(value[:, np.newaxis], initial_state=state)
        self.step = keras.Model([value, state], [head(keras.layers.Concatenate()([hidden[:, 0], value])), next_state])

        batch_size = 50
        schedule = keras.optimizers.schedules.CosineDecay(1e-2, epochs * -(-len(y) // batch_size))
        self.network.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), loss=tfmdn.NegativeLogLikelihood())
        tfmdn.fit(self.network, y[:, :-1, np.newaxis], y[:, 1:], batch_size, epochs, verbose=0, seed=seed)

    def nll(self, y: np.ndarray) -> float:
        return -float(np.mean(self.network(y[:, 1:-1, np.newaxis]).log_prob(y[:, 2:])))

    def paths(self, history: np.ndarray, count: int, seed: int) -> np.ndarray:
        """`[B, count, HORIZON]` after each history `[B, T]`."""
        state = np.repeat(self.reader(history[:, :-1, np.newaxis]), count, 0)
        last_value = np.repeat(history[:, -1:], count, 0)
        draws, _ = tfmdn.generate(self.step, last_value, state, HORIZON, next_features=as_feature, seed=seed)
        return draws.numpy().reshape(len(history), count, HORIZON)

    def density_by_horizon(self, history: np.ndarray, paths: np.ndarray) -> tfmdn.Mixture:
        """The mixture, of batch shape `[HORIZON]`, of the one-step mixtures along the paths `[n, HORIZON]`."""
        known = np.concatenate([np.tile(history, (len(paths), 1)), paths[:, :-1]], 1)
        one_step = self.network(known[..., np.newaxis])  # [n, T + HORIZON - 1]
        return tfmdn.merge([one_step[path, -HORIZON:] for path in range(len(paths))])


def as_feature(value: tf.Tensor) -> tf.Tensor:
    return value[:, tf.newaxis]


def coverage_by_horizon(paths: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How often the truth `[B, HORIZON]` lies in the central intervals of the paths `[B, n, HORIZON]`."""
    shares = []
    for coverage in COVERAGES:
        low, high = np.quantile(paths, [0.5 - coverage / 2, 0.5 + coverage / 2], axis=1)
        shares.append(np.mean((low <= truth) & (truth <= high), 0))
    return np.array(shares)


def draw(forecaster: Forecaster, y: np.ndarray, shares: np.ndarray, seed: int, arguments: argparse.Namespace) -> None:
    row = np.argmin(np.abs(y[:, HISTORY - 1]))  # between the levels, where most is open
    history, truth = y[row, :HISTORY], y[row, HISTORY:]
    paths = forecaster.paths(history[np.newaxis], 400, seed)[0]
    mixture = forecaster.density_by_horizon(history, paths)

    figure = plt.figure(figsize=(10.5, 8))
    top, bottom = figure.subfigures(2, 1)
    fan, coverage = top.subplots(1, 2)
    draw_fan(mixture, history, paths[:8], truth, fan)
    draw_coverage(shares, len(y), coverage)
    draw_densities(mixture, history, truth, bottom.subplots(1, 2, sharey=True))
    save(figure, arguments, "forecast")


def draw_fan(mixture: tfmdn.Mixture, history: np.ndarray, paths: np.ndarray, truth: np.ndarray, ax: plt.Axes) -> None:
    """Intervals, with the history before them, some paths, and what came."""
    plots.fan(mixture, HORIZONS, COVERAGES, ax=ax)
    ax.plot(np.arange(1 - HISTORY, 1), history, color="0.3", linewidth=1.2, label="history")
    lines = ax.plot(HORIZONS, paths.T, color=OTHER, linewidth=0.7)
    lines[0].set_label("8 paths")
    ax.plot(HORIZONS, truth, color=TRUTH, linewidth=2.5, linestyle=":", label="what came")
    ax.set(title="history, intervals and paths of the future", xlabel="steps ahead", ylabel="y", ylim=(-6.5, 11.5))
    ax.set_yticks([-5, 0, 5])
    ax.legend(loc="upper left", ncols=2)


def draw_coverage(shares: np.ndarray, count: int, ax: plt.Axes) -> None:
    for coverage, share, style in zip(COVERAGES, shares, ("-", "--", "-.")):
        ax.axhline(coverage, color=TRUTH, linestyle=":", linewidth=1.5)
        ax.plot(HORIZONS, share, style, color=MODEL, label=f"{100 * coverage:.0f} % intervals")
    ax.plot([], [], ":", color=TRUTH, label="as many as there should be")
    ax.set(title=f"coverage of {count} series", xlabel="steps ahead", ylabel="share of the truth inside", ylim=(0, 1))
    ax.legend(loc="lower left", ncols=2)


def draw_densities(mixture: tfmdn.Mixture, history: np.ndarray, truth: np.ndarray, axes: np.ndarray) -> None:
    """By horizon, as the model says and as it is."""
    edges = np.linspace(-6.5, 6.5, 131)
    middles = (edges[:-1] + edges[1:]) / 2
    plots.density(mixture, HORIZONS, middles, ax=axes[0], vmax=0.4)
    true_density = true_density_by_horizon(history, edges)
    mesh = axes[1].pcolormesh(HORIZONS, middles, true_density.T, cmap="Greys", vmin=0, vmax=0.4, rasterized=True)
    for ax, title in zip(axes, ("the model's density, by 400 paths", "the true density")):
        ax.plot(HORIZONS, truth, color=TRUTH, linewidth=2, linestyle=":")
        ax.set(title=title, xlabel="steps ahead", ylabel="y")
    axes[1].set_ylabel("")
    axes[0].figure.colorbar(mesh, ax=axes, label="density of y", extend="max")


def main() -> None:
    arguments = parse_arguments(__doc__)
    count, epochs, num_paths = (500, 10, 50) if arguments.quick else (4_000, 40, 200)

    def run(seed: int) -> tuple[dict[str, float], tuple]:
        y, test = series(count, seed), series(200, seed + 1_000)
        figures = {"NLL per step, best possible": -float(np.mean(next_values(test[:, :-1]).log_prob(test[:, 2:])))}
        for name, num_components in (("single normal", 1), ("mixture of 5", 5)):
            forecaster = Forecaster(num_components, y, epochs, seed)
            figures[f"NLL per step, {name}"] = forecaster.nll(test)
            shares = coverage_by_horizon(forecaster.paths(test[:, :HISTORY], num_paths, seed), test[:, HISTORY:])
            for horizon in (1, 10, 40):
                figures[f"share in 80 % intervals, {horizon} ahead, {name}"] = shares[1, horizon - 1]
        return figures, (forecaster, test, shares, seed)

    draw(*over_seeds(run, arguments.seeds), arguments)


if __name__ == "__main__":
    main()
