"""Handwriting: a recurrent network that has learnt where the pen goes next, and writes by itself (Graves 2013).

A drawing is a sequence of points: the offset (dx, dy) from the point before, whether the pen is lifted then, and
whether the drawing ends. The network reads it point by point, and has two heads. Of the next offset it predicts a
mixture of 20 normals with correlation: the pen goes straight on, turns, or leaps to another stroke, and no single
normal says that. Of the next point's two bits it predicts the logits. The same layers, as a model of one step, write
drawings: 64 at a time in one graph, the tidier the lower the temperature.

The drawings are signs made by code. With `--data` they are those of a file of arrays `train` and `test`, rows of (dx,
dy, pen lifted) one drawing after the other, and `train_offsets` and `test_offsets`, which tell where each begins and
where the last ends. To integers a uniform number between -1/2 and 1/2 is added: without it, a mixture could put a spike
on each. Padding is masked, and changes nothing.

In handwriting.png the first row is real, the others are generated; at the bottom, along held-out drawings, where the
network expected each next point.

    python examples/handwriting.py                    # and --quick, for a look
    python examples/handwriting.py --data FILE.npz

NLL of offset and pen together, in nats per point of 500 held-out drawings (seed 0). The kanji are 10,000 others, given
by `--data`:

                               signs    kanji
    mixture of 20               4.715    7.668
    single normal               5.255    8.970
    mixture without history    10.682   11.732
"""

import argparse

import _drawings
import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from _pictures import TRUTH, save
from _running import over_seeds, parse_arguments
from sklearn.mixture import GaussianMixture

import tfmdn

tfd = tfp.distributions
PADDING = -1e4  # no offset is that
UNITS = 256
# Graves' bias b is a temperature of 1 / (1 + b) and a scale temperature of exp(-b).
BIASES = (0.0, 1.0, 3.0)


def padded(drawings: list[np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Each point, and the one after it: the first follows a point of zeros."""
    y = keras.utils.pad_sequences(drawings, dtype="float32", padding="post", value=PADDING)  # [B, T, 4]
    x = np.concatenate([np.zeros_like(y[:, :1]), y[:, :-1]], 1)
    x[y == PADDING] = PADDING
    return x, {"offset": y[..., :2], "pen": np.maximum(y[..., 2:], 0)}


# The network, and the same layers as a model of one step


def networks(num_components: int, offsets: np.ndarray) -> tuple[keras.Model, keras.Model]:
    scale = float(np.std(offsets))
    units = keras.layers.Rescaling([1 / scale, 1 / scale, 1, 1])
    recurrent = keras.layers.GRU(UNITS, return_sequences=True, return_state=True)
    offset = tfmdn.MDNLayer(num_components, event_shape=2, covariance="full", name="offset")
    offset.adapt(offsets)
    pen = keras.layers.Dense(2, name="pen")

    points = keras.Input((None, 4))
    hidden, _ = recurrent(units(keras.layers.Masking(PADDING)(points)))
    network = keras.Model(points, {"offset": offset(hidden), "pen": pen(hidden)})

    point, state = keras.Input((4,)), keras.Input((UNITS,))
    hidden, next_state = recurrent(units(point)[:, np.newaxis], initial_state=state)
    hidden = hidden[:, 0]
    return network, keras.Model([point, state], [offset(hidden), pen(hidden), next_state])


def train(num_components: int, drawings: list[np.ndarray], epochs: int, seed: int) -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(seed)
    network, step_model = networks(num_components, np.concatenate(drawings)[:, :2])
    x, y = padded(drawings)
    batch_size = 64
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(x) // batch_size))
    network.compile(
        keras.optimizers.Adam(schedule, clipnorm=1.0),
        loss={"offset": tfmdn.NegativeLogLikelihood(), "pen": keras.losses.BinaryCrossentropy(from_logits=True)},
        loss_weights={"offset": 1.0, "pen": 2.0},  # Keras takes the mean of the two bits, their likelihood is the sum
    )
    print(f"\nTraining with K = {num_components}")
    network.fit(x, y, batch_size=batch_size, epochs=epochs)
    return network, step_model


def pen_distribution(logits: tf.Tensor) -> tfd.Distribution:
    return tfd.Independent(tfd.Bernoulli(logits, dtype=tf.float32), 1)


def nll_per_point(network: keras.Model, drawings: list[np.ndarray]) -> float:
    """Of offset and pen together, in nats, offsets in their own units."""
    total = 0.0
    for first in range(0, len(drawings), 100):
        x, y = padded(drawings[first : first + 100])
        outputs = network(x)
        log_probs = outputs["offset"].log_prob(y["offset"]) + pen_distribution(outputs["pen"]).log_prob(y["pen"])
        total -= np.sum(log_probs, where=x[..., 0] != PADDING)
    return total / sum(map(len, drawings))


def nll_per_point_without_history(drawings: list[np.ndarray], held_out: list[np.ndarray]) -> float:
    """Of a mixture of 20 normals and the shares of the bits, each the same at every point."""
    train, test = np.concatenate(drawings), np.concatenate(held_out)
    mixture = tfmdn.Mixture.from_sklearn(GaussianMixture(20, random_state=0).fit(train[:20_000, :2]))
    pen = tfd.Independent(tfd.Bernoulli(probs=train[:, 2:].mean(0)), 1)
    return -float(np.mean(mixture.log_prob(test[:, :2])) + np.mean(pen.log_prob(test[:, 2:])))


def writer(step_model: keras.Model):
    """Generates drawings at one temperature: arrays [points, 4]."""

    def step(point, state):
        offset, logits, state = step_model([point, state])
        return {"offset": offset, "pen": pen_distribution(logits)}, state

    def point_of(draws):
        return tf.concat([draws["offset"], draws["pen"]], -1)

    def ends(draws):
        return draws["pen"][:, 1] == 1

    def write(count: int, bias: float, seed: int) -> list[np.ndarray]:
        draws, lengths = tfmdn.generate(
            step,
            tf.zeros((count, 4)),
            tf.zeros((count, UNITS)),
            100,
            next_features=point_of,
            stop=ends,
            seed=seed,
            temperature=1 / (1 + bias),
            scale_temperature=np.exp(-bias),
        )
        return [points[:length] for points, length in zip(point_of(draws).numpy(), lengths)]

    return write


# The picture


def plot_drawing(ax: plt.Axes, points: np.ndarray, color: str = "black") -> None:
    place = np.cumsum(points[:, :2], 0)
    for stroke in np.split(place, np.flatnonzero(points[:, 2]) + 1):
        ax.plot(*stroke.T, color=color, lw=1.2, marker="." if len(stroke) == 1 else None, markersize=3)
    ax.set_aspect("equal", "datalim")
    ax.invert_yaxis()
    ax.axis("off")


def plot_expectation(ax: plt.Axes, network: keras.Model, points: np.ndarray, axis_length: int = 150):
    """The densities of all next points, each in parts of its peak, one over the other, and the drawing."""
    x, _ = padded([points])
    place = np.cumsum(points[:, :2], 0)
    middle, reach = (place.min(0) + place.max(0)) / 2, 0.7 * np.max(np.ptp(place, 0))
    grid = np.stack(np.meshgrid(*np.linspace(middle - reach, middle + reach, axis_length).T), -1)  # [y, x, 2]
    before = place - points[:, :2]  # [T, 2]
    density = network(x)["offset"][0].prob(grid[:, :, np.newaxis] - before)  # [y, x, T]
    brightness = np.max(density / np.max(density, (0, 1)), -1)
    mesh = ax.pcolormesh(*grid.T.swapaxes(1, 2), brightness, cmap="Blues", vmin=0, vmax=1, rasterized=True)
    plot_drawing(ax, points, TRUTH)
    ax.set_aspect("equal", "box")
    return mesh


def draw(network, step_model, held_out, seed, arguments: argparse.Namespace, columns=9) -> None:
    write = writer(step_model)
    figure = plt.figure(figsize=(10, 8.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=(5, 4))
    rows = {"of the file" if arguments.data else "made by code": held_out[:columns]}
    names = {0.0: "generated as learnt", 1.0: "tidier, bias 1", 3.0: "tidiest, bias 3"}
    rows |= {names[bias]: write(64, bias, seed)[:columns] for bias in BIASES}
    for row, (name, drawings) in zip(top.subplots(len(rows), columns), rows.items()):
        row[0].set_title(name, loc="left")
        for ax, points in zip(row, drawings):
            plot_drawing(ax, points)
    axes = bottom.subplots(1, 3)
    meshes = [plot_expectation(ax, network, points) for ax, points in zip(axes, held_out[columns:])]
    drawing = plt.Line2D([], [], color=TRUTH, label="where they went")
    bottom.suptitle("Where the next point was expected along three held-out drawings", size="medium")
    bottom.legend(handles=[drawing], loc="outside lower left")
    bottom.colorbar(meshes[0], ax=axes, label="density of the next point\nin parts of its peak")
    save(figure, arguments, "handwriting")


def main() -> None:
    arguments = parse_arguments(__doc__, data={"metavar": "FILE.npz", "help": "drawings in place of made ones"})
    count, epochs = (600, 3) if arguments.quick else (10_000, 16)

    def run(seed: int) -> tuple[dict[str, float], tuple]:
        if arguments.data:
            drawings, held_out = (_drawings.loaded(arguments.data, split, count, seed) for split in ("train", "test"))
        else:
            drawings, held_out = _drawings.made(count, seed), _drawings.made(500, seed + 1_000)
        network, step_model = train(20, drawings, epochs, seed)
        single, _ = train(1, drawings, epochs, seed)
        figures = {
            "NLL per point, mixture of 20": nll_per_point(network, held_out),
            "NLL per point, single normal": nll_per_point(single, held_out),
            "NLL per point, mixture without history": nll_per_point_without_history(drawings, held_out),
        }
        return figures, (network, step_model, held_out, seed)

    draw(*over_seeds(run, arguments.seeds), arguments)


if __name__ == "__main__":
    main()
