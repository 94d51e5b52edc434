"""Four data sets, five pictures of each, and what to do about two weaknesses of mixture density networks.

A network of 25 and 10 tanh units and a mixture of 10 normals learns four odd relations: a fork, a ring, a wave that
folds back, and a curve whose noise changes. Two things go wrong in such networks:

1. Where a component has next to no weight, the data says nothing of its scale, which then drifts, often to absurd
   sizes. `scale_regularizer` keeps it at what is usual for the component.
2. The weights sum to 1 at every x, also where there was no data, so that the model draws with confidence what nobody
   has ever seen. Behind `tfmdn.MarginalFallback` it answers with the target's marginal there.

four_datasets.png: for each data set (rows) the data, draws, and every component's centre, weight and scale against x,
with the centres of the truth; lines fade where a component has little weight. four_datasets_weaknesses.png: both
weaknesses before and after.

    python examples/four_datasets.py                    # and --quick, for a look
    python examples/four_datasets.py --seeds 0 1 2 3 4

Mean and standard deviation of the seeds 0 to 4, 2,000 rows. A scale is idle where the weight of its component is below
1 %; its largest is in units of the component's usual one. The distance is that of Kolmogorov and Smirnov between draws
and the targets, one standard deviation of x beyond the data.

                                    fork             ring             wave             trumpet
    test NLL, as published          1.094 +- .014    1.721 +- .047    1.760 +- .36     1.491 +- .007
      with scale_regularizer        1.080 +- .012    1.687 +- .022    1.659 +- .29     1.492 +- .009
    test NLL, by tfmdn              1.066 +- .009    1.657 +- .006    1.338 +- .008    1.479 +- .013
      with MarginalFallback         1.066 +- .009    1.657 +- .006    1.338 +- .008    1.479 +- .013
    largest idle scale, published   1.8 +- 0.7       14 +- 8          45 +- 51         5.6 +- 1.7
      with scale_regularizer        1.4 +- 0.2       1.4 +- 0.1       12 +- 15         2.6 +- 0.5
    distance beyond the edges       0.53 +- .05      0.38 +- .04      0.95 +- .01      0.27 +- .10
      with MarginalFallback         0.030 +- .005    0.025 +- .007    0.022 +- .006    0.028 +- .004
"""

import argparse
from collections.abc import Callable

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
from _pictures import TRUTH, save
from _running import over_seeds, parse_arguments

import tfmdn
from tfmdn import plots

REGULARIZER = keras.regularizers.L2(1e-3)


def fork(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One branch that becomes two."""
    x = rng.uniform(-10, 10, n)
    return x, 0.8 * np.maximum(x, 0) * rng.choice([-1, 1], n) + rng.normal(0, 0.5, n)


def ring(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two answers that meet at both ends."""
    angle, radius = rng.uniform(0, 2 * np.pi, n), rng.normal(8, 0.4, n)
    return radius * np.cos(angle), radius * np.sin(angle)


def wave(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A curve on its side, with up to five answers."""
    y = rng.uniform(-10.5, 10.5, n)
    return 7 * np.sin(0.75 * y) + 0.5 * y + rng.normal(0, 1, n), y


def trumpet(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One answer, with noise that shrinks and grows again."""
    x = rng.uniform(-10, 10, n)
    return x, 3 * np.sin(0.6 * x) + rng.normal(0, 0.2 + 0.2 * np.abs(x), n)


DATASETS = (fork, ring, wave, trumpet)


def centres(dataset: Callable) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lines (x, y) that the data are scattered about."""
    t = np.linspace(-10.5, 10.5, 400)
    x, right = t.clip(-10, 10), np.linspace(0, 10, 2)
    return {
        fork: [(np.array([-10.0, 0.0]), np.zeros(2)), (right, 0.8 * right), (right, -0.8 * right)],
        ring: [(8 * np.cos(t), 8 * np.sin(t))],
        wave: [(7 * np.sin(0.75 * t) + 0.5 * t, t)],
        trumpet: [(x, 3 * np.sin(0.6 * x))],
    }[dataset]


def sample(dataset: Callable, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = dataset(n, np.random.default_rng(seed))
    return x[:, np.newaxis].astype("float32"), y.astype("float32")


def as_published(x, y, epochs: int, seed: int, scale_regularizer=None) -> keras.Model:
    """25 and 10 tanh units, 10 components, RMSProp at 0.01; nothing is standardised."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(25, "tanh"),
            keras.layers.Dense(10, "tanh"),
            tfmdn.MDNLayer(10, scale_regularizer=scale_regularizer),
        ]
    )
    model.compile(keras.optimizers.RMSprop(0.01), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, x, y, epochs=epochs, batch_size=250, verbose=0)
    return model


def by_tfmdn(x, y, epochs: int, seed: int) -> keras.Model:
    """The same sizes, in the data's own units, with a learning rate that falls."""
    keras.utils.set_random_seed(seed)
    standardize, head = keras.layers.Normalization(), tfmdn.MDNLayer(10, scale_regularizer=REGULARIZER)
    standardize.adapt(x)
    head.adapt(y)
    # With Keras' biases of zero all units would bend at the same x.
    hidden = [keras.layers.Dense(n, "tanh", bias_initializer=keras.initializers.RandomUniform(-1, 1)) for n in (25, 10)]
    model = keras.Sequential([keras.Input((1,)), standardize, *hidden, head])
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, epochs * len(x) // 250)
    model.compile(keras.optimizers.Adam(schedule), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, x, y, epochs=epochs, batch_size=250, verbose=0)
    return model


def with_fallback(model: keras.Model, x, y) -> keras.Model:
    """The same model, which off the data says that it does not know."""
    fallback = tfmdn.MarginalFallback()
    fallback.adapt(x, y)
    inputs = keras.Input((1,))
    return keras.Model(inputs, fallback(model(inputs), inputs))


def nll(model: keras.Model, x, y) -> float:
    return -float(np.mean(model(x).log_prob(y)))


def largest_idle_scale(model: keras.Model, x) -> float:
    """How many times its usual size a component's scale becomes where its weight is below 1 %."""
    mixture = model(x)
    weight, scale = (
        mixture.mixture_distribution.probs_parameter().numpy(),
        mixture.components_distribution.scale.numpy(),
    )
    usual = np.exp(np.average(np.log(scale), 0, weight))
    return float(np.max((scale / usual)[weight < 0.01], initial=1.0))


def distance_beyond_the_edges(model: keras.Model, x, y) -> float:
    """The Kolmogorov-Smirnov distance of draws to the targets, one standard deviation of x beyond either end."""
    edges = np.stack([x.min(0) - x.std(0), x.max(0) + x.std(0)])
    draws = model(edges).sample(5_000, seed=1).numpy().T
    return float(max(scipy.stats.ks_2samp(own, y).statistic for own in draws))


def run(seed: int, quick: bool) -> tuple[dict[str, float], dict]:
    rows, epochs = (500, 30) if quick else (2_000, 300)
    figures, models = {}, {}
    for dataset in DATASETS:
        x, y = sample(dataset, rows, seed)
        x_test, y_test = sample(dataset, 20_000, seed + 10_000)
        published = as_published(x, y, epochs, seed)
        regularized = as_published(x, y, epochs, seed, REGULARIZER)
        ours = by_tfmdn(x, y, epochs, seed)
        honest = with_fallback(ours, x, y)
        models[dataset] = published, regularized, ours, honest
        name = dataset.__name__
        figures |= {
            f"{name}: test NLL, as published": nll(published, x_test, y_test),
            f"{name}: test NLL, with scale_regularizer": nll(regularized, x_test, y_test),
            f"{name}: test NLL, by tfmdn": nll(ours, x_test, y_test),
            f"{name}: test NLL, with MarginalFallback": nll(honest, x_test, y_test),
            f"{name}: largest idle scale, as published": largest_idle_scale(published, x_test),
            f"{name}: largest idle scale, with scale_regularizer": largest_idle_scale(regularized, x_test),
            f"{name}: distance beyond the edges": distance_beyond_the_edges(ours, x, y_test),
            f"{name}: distance beyond the edges, with MarginalFallback": distance_beyond_the_edges(honest, x, y_test),
        }
    return figures, models


def draw_all(models: dict, seed: int, arguments: argparse.Namespace) -> None:
    figure, axes = plt.subplots(len(DATASETS), 5, figsize=(12, 9.6), sharex="row")
    for row, (dataset, (*_, ours, _)) in zip(axes, models.items()):
        x, y = sample(dataset, 600, seed + 20_000)
        grid = np.linspace(x.min(), x.max(), 300, dtype="float32")
        row[0].scatter(x, y, s=3, color="0.3", linewidths=0)
        plots.draws(ours, x, seed=0, ax=row[1])
        row[1].get_legend().remove()
        for ax, parameter in zip(row[2:], ("loc", "prob", "scale")):
            plots.components(ours, grid, parameter, ax=ax)
        for line in centres(dataset):
            (truth,) = row[2].plot(*line, ":", color=TRUTH, linewidth=1.5)
        for ax in row[:3]:
            ax.set_ylim(1.1 * y.min(), 1.1 * y.max())
        for ax, label in zip(row, ("y", "", "", "", "")):
            ax.set(xlabel="x" if dataset is DATASETS[-1] else "", ylabel=label)
        row[0].set_title(dataset.__name__, loc="left", fontweight="bold")
    for ax, title in zip(axes[0], ("data", "draws", "centres", "weights", "scales")):
        ax.set_title(title)
    component = plt.Line2D([], [], color=plt.get_cmap("viridis")(0.4), linewidth=3)
    names = ["a component: the colour is its own, the line wide where it has weight", "centres of the truth"]
    figure.legend([component, truth], names, loc="outside lower right", ncols=2)
    save(figure, arguments, "four_datasets")


def draw_weaknesses(models: dict, seed: int, arguments: argparse.Namespace) -> None:
    """Scales as published and regularized; draws beyond the data, without and with the fallback."""
    published, regularized, ours, honest = models[ring]
    x, y = sample(ring, 1_000, seed)
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), sharey="row")
    grid = np.linspace(x.min(), x.max(), 300, dtype="float32")
    for ax, model, title in zip(axes[0], (published, regularized), ("as published", "with scale_regularizer")):
        scale = model(grid[:, np.newaxis]).components_distribution.scale
        ax.plot(grid, scale, color="0.75", linewidth=1)
        plots.components(model, grid, "scale", ax=ax)
        ax.set(title=f"Weakness 1, {title}", ylabel="scale of each component")
    axes[0, 1].plot([], [], color="0.75", linewidth=1, label="has no weight there")
    axes[0, 1].plot([], [], color=plt.get_cmap("viridis")(0.4), linewidth=2, label="has weight")
    wide = np.linspace(-25, 25, 1_500, dtype="float32")
    for ax, model, title in zip(axes[1], (ours, honest), ("without a fallback", "with MarginalFallback")):
        draws = model(wide[:, np.newaxis]).sample(seed=1)
        ax.scatter(wide, draws, s=4, color=TRUTH, linewidths=0, label="draws")
        ax.scatter(x, y, s=4, color="0.3", linewidths=0, label="data")
        ax.set(title=f"Weakness 2, {title}", xlabel="x", ylabel="y")
    axes[0, 1].legend(loc="upper right")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2, markerscale=3)
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    save(figure, arguments, "four_datasets_weaknesses")


def main() -> None:
    arguments = parse_arguments(__doc__)
    models = over_seeds(lambda seed: run(seed, arguments.quick), arguments.seeds)
    draw_all(models, arguments.seeds[0], arguments)
    draw_weaknesses(models, arguments.seeds[0], arguments)


if __name__ == "__main__":
    main()
