"""Temperature: sharper or broader answers from a model that is already trained.

A mixture density network on Ha's inverse sinusoid, and two numbers that change what it answers without any training:
`temperature` divides the logits of the components, so that below 1 the likely ones gain; `scale_temperature` multiplies
their scales, so that below 1 the draws gather at their centres. At 1 and 1 the mixture is the one that was learnt; the
others are for drawing, and fit the test data worse, which the printed NLL shows. Graves' bias b (2013) is temperature
1 / (1 + b) and scale_temperature exp(-b) together.

temperature.png: above, the density at four settings, below it the cut through each at x = 0, the components dashed,
over the true density. temperature.gif: draws over data while either temperature falls and rises again.

    python examples/temperature.py                    # and --quick, for a look
    python examples/temperature.py --seeds 0 1 2 3 4

Test NLL in nats per point, on 20,000 fresh points (lower is better; 1.288 is the best possible), mean and standard
deviation of the seeds 0 to 4:

    as learnt                1.301 +- 0.005
    temperature 0.1          3.40  +- 0.17
    scale_temperature 0.3    3.02  +- 0.08
    Graves' bias 1           2.69  +- 0.04

At scale_temperature 1e-6 no draw lies more than 4e-6 from the centre of a component; at temperature 1e-6 all draws are
of the heaviest component. The script ends with an error if it finds otherwise.
"""

import argparse
import pathlib

import _quiet  # noqa: F401
import keras
import matplotlib.animation
import matplotlib.pyplot as plt
import numpy as np
from _pictures import DATA, MODEL, TRUTH, darken, save
from _running import over_seeds, parse_arguments

import tfmdn
from tfmdn import plots

PROBLEM = tfmdn.datasets.inverse_sinusoid()
NEARLY_ZERO = 1e-6
# Names, and arguments of `Mixture.temper`.
SETTINGS = {
    "as learnt": {},
    "temperature 0.1": {"temperature": 0.1},
    "scale_temperature 0.3": {"scale_temperature": 0.3},
    "Graves' bias 1": {"temperature": 1 / 2, "scale_temperature": np.exp(-1.0)},
}
FRAMES = np.concatenate([np.geomspace(2.0, 0.05, 13), np.geomspace(0.05, 2.0, 13)[1:-1]])


def train(seed: int, quick: bool) -> keras.Model:
    keras.utils.set_random_seed(seed)
    rows, epochs, batch_size = (5_000, 20, 250) if quick else (40_000, 40, 250)
    x, y = PROBLEM.sample(rows, seed=seed)
    standardize = keras.layers.Normalization()
    standardize.adapt(x)
    head = tfmdn.MDNLayer(num_components=20)
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
    schedule = keras.optimizers.schedules.CosineDecay(5e-3, epochs * rows // batch_size)
    model.compile(keras.optimizers.Adam(schedule), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, x, y, epochs=epochs, batch_size=batch_size, verbose=0)
    return model


def distance_to_a_centre(mixture: tfmdn.Mixture) -> float:
    """The largest distance of a draw from the nearest centre of a component, once the scales are nearly 0."""
    draws = mixture.temper(scale_temperature=NEARLY_ZERO).sample(100, seed=1)  # [S, B]
    centres = mixture.components_distribution.mean()  # [B, K]
    return float(np.max(np.min(np.abs(draws[..., np.newaxis] - centres), -1)))


def share_of_the_heaviest(mixture: tfmdn.Mixture) -> float:
    """The share of draws from each row's component of the largest weight, once the temperature is nearly 0.

    With scales of nearly 0 as well, a draw tells its component: it lies at its centre.
    """
    draws = mixture.temper(NEARLY_ZERO, scale_temperature=NEARLY_ZERO).sample(100, seed=1)
    return float(np.mean(np.abs(draws - mixture.most_likely_component().mean()) < 1e-3))


def run(model: keras.Model, seed: int) -> dict[str, float]:
    x, y = PROBLEM.sample(20_000, seed=seed + 10_000)
    mixture = model(x)
    figures = {f"test NLL, {name}": -np.mean(mixture.temper(**how).log_prob(y)) for name, how in SETTINGS.items()}
    distance, share = distance_to_a_centre(mixture[:2000]), share_of_the_heaviest(mixture[:2000])
    if distance > 1e-3 or share < 0.999:
        raise SystemExit(f"Draws {distance} away from all centres, or not of the heaviest component: {1 - share:.2%}.")
    return {
        **figures,
        "scale_temperature 1e-6: distance to centres": distance,
        "temperature 1e-6: share of the heaviest": share,
    }


def draw(model: keras.Model, arguments: argparse.Namespace) -> None:
    """Heat maps at each of the settings, and below each the cut through it at x = 0."""
    grid, y = np.linspace(-12, 12, 240, dtype="float32"), np.linspace(-10, 10, 1000, dtype="float32")
    truth = np.exp(PROBLEM.log_prob(np.zeros(len(y)), y))
    figure, axes = plt.subplots(2, len(SETTINGS), figsize=(12, 5.8), sharey="row")
    for (title, how), (above, below) in zip(SETTINGS.items(), axes.T):
        plots.density(lambda x, how=how: model(x).temper(**how), grid, grid, ax=above, vmax=0.8)
        above.axvline(0, color=TRUTH, linewidth=1)
        above.set_title(title)
        below.fill_between(y, truth, color=TRUTH, alpha=0.5, linewidth=0, label="true density at x = 0")
        plots.slices(model(np.zeros((1, 1))).temper(**how), [0.0], y, ax=below)
        below.get_legend().remove()
    axes[1, 0].set_ylim(0, 2)
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    figure.colorbar(axes[0, 0].collections[0], ax=axes[0], label="p(y | x)", extend="max")
    handles, _ = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, ["true density at x = 0", "mixture", "component"], loc="outside lower center", ncols=3)
    save(figure, arguments, "temperature")


def animate(model: keras.Model, path: pathlib.Path, is_dark: bool = False) -> None:
    """Draws over data, while the one temperature or the other falls and rises."""
    x, y = PROBLEM.sample(500, seed=20_000)
    mixture = model(x)
    names = ("temperature", "scale_temperature")
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), sharey=True)
    for ax in axes:
        ax.plot(x, y, ".", color=DATA, alpha=0.5, markersize=4, antialiased=False)
        ax.set(xlabel="x", ylabel="y", xlim=(-12, 12), ylim=(-12, 12))
        ax.label_outer()
    points = [ax.plot([], [], ".", color=MODEL, markersize=3, antialiased=False)[0] for ax in axes]
    if is_dark:
        darken(figure)

    def show(value: float) -> None:
        for name, line, ax in zip(names, points, axes):
            # The same seed in all frames: the draws move as little as the mixture does.
            line.set_data(x[:, 0], mixture.temper(**{name: value}).sample(seed=1))
            ax.set_title(f"{name} {value:.2f}")

    animation = matplotlib.animation.FuncAnimation(figure, show, FRAMES, init_func=lambda: None)
    animation.save(path, matplotlib.animation.PillowWriter(fps=6), dpi=80)
    plt.close(figure)
    print(f"Figure: {path}")


def main() -> None:
    arguments = parse_arguments(__doc__)

    def of_seed(seed: int) -> tuple[dict[str, float], keras.Model]:
        model = train(seed, arguments.quick)
        return run(model, seed), model

    model = over_seeds(of_seed, arguments.seeds)
    draw(model, arguments)
    animate(model, arguments.output / "temperature.gif")
    if arguments.dark:
        animate(model, arguments.output / "temperature_dark.gif", is_dark=True)


if __name__ == "__main__":
    main()
