"""One dimension: what a training NLL is worth, and draws with a bias.

1,000 points of Ha's inverse sinusoid, 32 tanh units, 20 components. The published training is 2,000 epochs in batches
of 32 by Adam at 1e-3. tfmdn's way is a tenth of that: inputs and targets in standard units, components that start on
the targets, first weights wide enough for tanh to bend all over the inputs, and a learning rate that starts higher and
decays. A training NLL can always be lowered by overfitting, so it stands beside the NLL of fresh points, and beside
what the true density gives on the same training points: what is below that has learnt noise.

Graves' bias (2013) cleans up draws without any training. A bias b on the scales is `scale_temperature=exp(-b)`: at
b = 10 the draws lie at the centres of the components. A bias b on the weights is `temperature=1 / (1 + b)`: towards 0
the heaviest component is the only one left. Both are checked.

one_dimensional.png: draws over the data for both trainings; biased draws of the second.

    python examples/one_dimensional.py                    # and --quick, for a look
    python examples/one_dimensional.py --seeds 0 1 2 3 4

NLL in nats per point. Published is 1.3907, near the end of the training. Seeds 0 to 4, mean and spread:

                                              published        tfmdn's way      true density
    training, mean over the last epoch        1.356 +- 0.017   1.298 +- 0.021
    training, when trained                    1.337 +- 0.020   1.298 +- 0.021   1.294 +- 0.021
      of each seed                            1.369 1.340      1.313 1.313      1.309 1.314
                                              1.324 1.337      1.311 1.284      1.308 1.273
                                              1.316            1.268            1.269
    test, 50,000 fresh points                 1.574 +- 0.019   1.375 +- 0.009   1.288

    farthest of 20,000 draws from a centre, in scales of the component:  3.5; with a bias of 10 on the scales 0.00017
"""

import argparse
import math

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
from _pictures import DATA, save
from _running import over_seeds, parse_arguments

import tfmdn
from tfmdn import plots

PROBLEM = tfmdn.datasets.inverse_sinusoid()
ROWS, BATCH_SIZE = 1_000, 32
BIAS = 10.0
NEARLY_ZERO = 1e-6


def published_network(x: np.ndarray, y: np.ndarray) -> keras.Model:
    hidden = keras.layers.Dense(32, "tanh")
    head = tfmdn.MDNLayer(
        num_components=20, min_scale=1e-4, kernel_initializer="glorot_uniform", bias_initializer="zeros"
    )
    return keras.Sequential([keras.Input((1,)), hidden, head])


def tfmdn_network(x: np.ndarray, y: np.ndarray) -> keras.Model:
    standardize = keras.layers.Normalization()
    standardize.adapt(x)
    hidden = keras.layers.Dense(
        32,
        "tanh",
        kernel_initializer=keras.initializers.RandomNormal(stddev=2.0),
        bias_initializer=keras.initializers.RandomUniform(-2.0, 2.0),
    )
    head = tfmdn.MDNLayer(num_components=20)
    head.adapt(y)
    return keras.Sequential([keras.Input((1,)), standardize, hidden, head])


def train(build, optimizer: keras.Optimizer, epochs: int, seed: int) -> tuple[keras.Model, dict[str, float]]:
    """The model, and its NLL: mean over the last epoch, and once trained on the training rows and on fresh ones."""
    keras.utils.set_random_seed(seed)
    x, y = PROBLEM.sample(ROWS, seed=seed)
    x_test, y_test = PROBLEM.sample(50_000, seed=seed + 10_000)
    model = build(x, y)
    model.compile(optimizer, loss=tfmdn.NegativeLogLikelihood())
    history = tfmdn.fit(model, x, y, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    return model, {
        "NLL of the last epoch": history.history["loss"][-1],
        "training NLL": model.evaluate(x, y, verbose=0),
        "test NLL": model.evaluate(x_test, y_test, batch_size=10_000, verbose=0),
    }


def train_as_published(seed: int, epochs: int = 2_000) -> tuple[keras.Model, dict[str, float]]:
    return train(published_network, keras.optimizers.Adam(1e-3), epochs, seed)


def train_tfmdns_way(seed: int, epochs: int = 200) -> tuple[keras.Model, dict[str, float]]:
    decay = keras.optimizers.schedules.CosineDecay(5e-3, epochs * math.ceil(ROWS / BATCH_SIZE))
    return train(tfmdn_network, keras.optimizers.Adam(decay), epochs, seed)


def distance_to_a_centre(mixture: tfmdn.Mixture, scale_bias: float) -> float:
    """The largest distance of biased draws from a centre, in units of that component's scale without the bias."""
    components = mixture.components_distribution
    draws = mixture.temper(scale_temperature=np.exp(-scale_bias)).sample(20, seed=1)  # [S, B]
    distance = np.abs(draws[..., np.newaxis] - components.mean()) / components.stddev()  # [S, B, K]
    return np.max(np.min(distance, -1))


def share_of_the_heaviest(mixture: tfmdn.Mixture) -> float:
    """The share of draws that are of the component of the largest weight, at a temperature of nearly 0.

    With scales of nearly 0 as well, a draw tells its component: it lies at its centre.
    """
    draws = mixture.temper(NEARLY_ZERO, scale_temperature=np.exp(-BIAS)).sample(20, seed=1)
    heaviest = mixture.most_likely_component()
    return np.mean(np.abs(draws - heaviest.mean()) < 1e-3 * heaviest.stddev())


def check_bias(model: keras.Model, x: np.ndarray) -> dict[str, float]:
    mixture = model(x)
    distance, share = distance_to_a_centre(mixture, BIAS), share_of_the_heaviest(mixture)
    if distance > 1e-3 or share < 1.0:
        raise SystemExit(f"Draws lie {distance} scales from all centres, or {1 - share:.2%} not at the heaviest one's.")
    return {
        f"scale bias {BIAS:g}: scales from a draw to a centre": distance,
        "without a bias": distance_to_a_centre(mixture, 0.0),
        "temperature 1e-6: share of the heaviest": share,
    }


def draw(fits: dict, seed: int, arguments: argparse.Namespace) -> None:
    x, y = PROBLEM.sample(ROWS, seed=seed)
    published, ours = (fits[name][0] for name in ("published", "tfmdn's way"))
    grid = np.linspace(-13, 13, 1_000, dtype="float32")
    mixture = ours(grid[:, np.newaxis])
    panels = {
        "as published": published(grid[:, np.newaxis]),
        "tfmdn's way": mixture,
        f"scale bias {BIAS:g}: the centres": mixture.temper(scale_temperature=np.exp(-BIAS)),
        f"bias {BIAS:g} on scales and weights": mixture.temper(1 / (1 + BIAS), np.exp(-BIAS)),
    }
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 8), sharex=True, sharey=True)
    for ax, (title, of_the_grid) in zip(axes.flat, panels.items()):
        ax.scatter(x, y, s=4, color=DATA, linewidths=0, rasterized=True, label="data")
        plots.draws(of_the_grid, grid, seed=2, ax=ax)
        ax.set(title=title, xlim=(-14, 14), ylim=(-13, 17))
        ax.legend(loc="upper left", markerscale=2)
        ax.label_outer()
    save(figure, arguments, "one_dimensional")


def main() -> None:
    arguments = parse_arguments(__doc__)

    def run(seed: int) -> tuple[dict[str, float], dict]:
        epochs = {"epochs": 20} if arguments.quick else {}
        fits = {
            "published": train_as_published(seed, **epochs),
            "tfmdn's way": train_tfmdns_way(seed, **epochs),
        }
        x, y = PROBLEM.sample(ROWS, seed=seed)
        scores = {f"{setting}: {name}": value for setting, fit in fits.items() for name, value in fit[1].items()}
        truth = {"true density: training NLL": -np.mean(PROBLEM.log_prob(x, y)), "best possible NLL": PROBLEM.best_nll}
        return {**scores, **truth, **check_bias(fits["tfmdn's way"][0], x)}, fits

    fits = over_seeds(run, arguments.seeds)
    draw(fits, arguments.seeds[0], arguments)


if __name__ == "__main__":
    main()
