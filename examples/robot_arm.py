"""Inverse kinematics: which joint angles put the end of a robot arm there? Mostly two pairs: elbow up, elbow down.

Bishop's arm (1994) has two links, of lengths 0.8 and 0.2. A mixture density network with K = 2 learns the angles from
the position of the end effector. To see how good they are, they are mapped forward again, to where the arm then is.

Three ways of training. "published": the common setting of 128-128-128 relu units, isotropic components, batches of 128,
Adam at a rate of 1e-4, 200 epochs on 5,000 points. "adapted": the same, in the units of x and y, which are learned
first. "tfmdn": also silu in place of relu, a scale for each angle, and a larger rate that decays. An answer is a draw,
a draw at scale_temperature 0.3, the centre of the likeliest component, or the highest peak of the density.

In robot_arm.png: the two postures for one target, from `mixture.modes(2)`; draws of the joint angles for the same
target, and the exact solutions; where the arm is after draws for test targets, as arrows from the targets.

    python examples/robot_arm.py                    # and --quick, for a look
    python examples/robot_arm.py --seeds 0 1 2 3 4

Mean square error of the position, of both coordinates, on 5,000 fresh targets; mean and standard deviation of the seeds
0 to 4. The figure to beat with a draw is 2.91e-4.

                                             published            adapted              tfmdn
    a draw                                   2.8e-3 +- 3.8e-3     3.6e-5 +- 2.9e-5     3.0e-6 +- 6e-7
    a draw at scale_temperature 0.3          5.3e-4 +- 4.4e-4     6.3e-6 +- 3.8e-6     4.1e-7 +- 1.0e-7
    the centre of the likeliest component    9.1e-5 +- 1.2e-4     1.6e-6 +- 1.0e-6     1.3e-7 +- 6e-8
    the highest peak                         3.9e-4 +- 7.5e-4     1.2e-6 +- 8e-7       8.4e-8 +- 1.8e-8

Two of the five trainings of "published" end in a poorer optimum; the other three reach 5.4e-4 to 9.2e-4 with a draw.
"""

from __future__ import annotations

import argparse

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
from _pictures import DATA, MODEL, TRUTH, save
from _running import over_seeds, parse_arguments

import tfmdn
from tfmdn import plots

LENGTHS = (0.8, 0.2)
ARM = tfmdn.datasets.robot_arm(noise_scale=0.0, lengths=LENGTHS)
TARGET = np.array([[0.65, 0.6]], "float32")


def hidden_layers(activation: str, **start) -> list[keras.Layer]:
    return [keras.layers.Dense(128, activation, **start) for _ in range(3)]


def head(covariance: str, y: np.ndarray | None = None, **start) -> tfmdn.MDNLayer:
    layer = tfmdn.MDNLayer(num_components=2, event_shape=2, covariance=covariance, **start)
    if y is not None:
        layer.adapt(y)
    return layer


def settings(x: np.ndarray, y: np.ndarray, steps: int) -> dict[str, tuple]:
    """The layers and the learning rate of each way of training."""
    standardize = keras.layers.Normalization()
    standardize.adapt(x)
    # As PyTorch does, with Glorot's weights.
    biases = keras.initializers.RandomUniform(-(128**-0.5), 128**-0.5)
    start = {"kernel_initializer": "glorot_normal", "bias_initializer": biases}
    wide = {"bias_initializer": keras.initializers.RandomUniform(-1, 1)}
    return {
        "published": ([*hidden_layers("relu", **start), head("spherical", **start)], 1e-4),
        "adapted": ([standardize, *hidden_layers("relu", **start), head("spherical", y)], 1e-4),
        # Not "full": one correlated component can lie across both elbows, and there training often ends.
        "tfmdn": (
            [standardize, *hidden_layers("silu", **wide), head("diag", y)],
            keras.optimizers.schedules.CosineDecay(2e-3, steps),
        ),
    }


def train(seed: int, quick: bool) -> dict[str, keras.Model]:
    rows, epochs, batch_size = (2_000, 20, 128) if quick else (5_000, 200, 128)
    x, y = ARM.sample(rows, seed=seed)
    keras.utils.set_random_seed(seed)
    models = {}
    for name, (layers, rate) in settings(x, y, steps=epochs * -(-rows // batch_size)).items():
        models[name] = keras.Sequential([keras.Input((2,)), *layers])
        models[name].compile(keras.optimizers.Adam(rate), loss=tfmdn.NegativeLogLikelihood())
        tfmdn.fit(models[name], x, y, batch_size=batch_size, epochs=epochs, verbose=0)
    return models


def answers(mixture: tfmdn.Mixture) -> dict[str, np.ndarray]:
    """Joint angles `[n, 2]` for each row of a mixture."""
    return {
        "draw": mixture.sample(seed=1).numpy(),
        "draw, scale_temperature 0.3": mixture.temper(scale_temperature=0.3).sample(seed=1).numpy(),
        "centre of the likeliest component": mixture.most_likely_component().mean().numpy(),
        "highest peak": mixture.mode().numpy(),
    }


def run(models: dict[str, keras.Model], seed: int) -> dict[str, float]:
    """The mean square error of the position, over test points and both coordinates."""
    x, _ = ARM.sample(5_000, seed=seed + 10_000)
    return {
        f"{name}: {how}": float(np.mean((ARM.forward(angles) - x) ** 2))
        for name, model in models.items()
        for how, angles in answers(model(x)).items()
    }


def exact_angles(target: np.ndarray) -> np.ndarray:
    """Both pairs of joint angles `[2, 2]` that put the end at a target `[2]`, by the law of cosines."""
    (upper, fore), distance = LENGTHS, np.hypot(*target)
    second = np.arccos((upper**2 + fore**2 - distance**2) / (2 * upper * fore)) * np.array([1, -1]) % (2 * np.pi)
    return np.stack(
        [np.arctan2(*target[::-1]) + np.arctan2(fore * np.sin(second), upper - fore * np.cos(second)), second], -1
    )


def draw(models: dict[str, keras.Model], arguments: argparse.Namespace) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(9, 9))
    mixture = models["tfmdn"](TARGET)
    draw_postures(mixture.modes(2).points[:, 0].numpy(), axes[0, 0])
    draw_joint_space(mixture, axes[0, 1])
    x, _ = ARM.sample(200, seed=20_000)
    for ax, name, times in zip(axes[1], ("published", "tfmdn"), (1, 10)):
        ax.plot(*x.T, ".", color=DATA, markersize=3, label="target")
        plots.error_vectors(x, ARM.forward(models[name](x).sample(seed=1).numpy()), ax=ax, scale=1 / times)
        how = f"{times} times as long" if times > 1 else "to scale"
        ax.set(title=f"{name}: errors of draws, {how}", xlabel="$x_1$ (arm lengths)", ylabel="$x_2$ (arm lengths)")
        ax.set(xlim=(0, 1.15), ylim=(0, 1.15), adjustable="box")
        ax.legend(loc="lower left")
    save(figure, arguments, "robot_arm")


def draw_postures(angles: np.ndarray, ax: plt.Axes) -> None:
    """The arm with each of some pairs of joint angles `[n, 2]`: base, elbow, end."""
    ax.plot(*ARM.sample(2_000, seed=20_000)[0].T, ".", color="0.85", markersize=3)
    ax.plot([], [], "o", color="0.85", label="where the hand can be")
    for number, ((first, second), color, style) in enumerate(zip(angles, (MODEL, TRUTH), ("-", "--"))):
        elbow = LENGTHS[0] * np.array([np.cos(first), np.sin(first)])
        end = elbow - LENGTHS[1] * np.array([np.cos(first + second), np.sin(first + second)])
        path = np.stack([[0.0, 0.0], elbow, end], -1)
        ax.plot(*path, style, color=color, marker="o", linewidth=4, label=f"peak {number + 1} of the density")
    ax.plot(*TARGET[0], "kx", markersize=12, label="target")
    ax.set(title="two postures for one target", xlabel="$x_1$ (arm lengths)", ylabel="$x_2$ (arm lengths)")
    ax.set(xlim=(-0.03, 1.15), ylim=(-0.03, 1.15), aspect="equal")
    ax.legend(loc="upper right", bbox_to_anchor=(1.0, 1.02), fontsize=9)


def draw_joint_space(mixture: tfmdn.Mixture, ax: plt.Axes) -> None:
    ax.plot(*ARM.sample(2_000, seed=20_000)[1].T, ".", color="0.85", markersize=3)
    ax.plot([], [], "o", color="0.85", label="all that can be")
    ax.plot(*mixture.sample(100, seed=1)[:, 0].numpy().T, "o", color=MODEL, markersize=8, label="100 draws")
    ax.plot(*exact_angles(TARGET[0]).T, "x", color=TRUTH, markersize=9, markeredgewidth=2, label="exact")
    ax.set(title="the same target in joint space", xlabel=r"$\theta_1$ (radians)", ylabel=r"$\theta_2$ (radians)")
    ax.set_ylim(top=5.3)
    ax.legend(loc="upper center", ncols=3, columnspacing=1.2, handletextpad=0.3)


def main() -> None:
    arguments = parse_arguments(__doc__)

    def of_seed(seed: int) -> tuple[dict[str, float], dict[str, keras.Model]]:
        models = train(seed, arguments.quick)
        return run(models, seed), models

    draw(over_seeds(of_seed, arguments.seeds), arguments)


if __name__ == "__main__":
    main()
