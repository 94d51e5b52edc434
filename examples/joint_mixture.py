"""A joint Gaussian mixture asked what a mixture density network is asked, and the other way round.

scikit-learn fits 40 normal components to pairs (x, y), quickly and without a network. As a `tfmdn.Mixture` the fit
answers three questions: `joint.condition(0, x)` is p(y | x), `joint.condition(1, y)` is p(x | y), and `joint.log_prob`
is the density of a pair. A mixture density network answers the first one; the second takes another network; and the
third a density of x, here a mixture in one dimension: log p(x, y) = log p(x) + log p(y | x). Without that a network is
as sure of y where no data were as elsewhere.

The pairs: x ~ U(-3, 3), y = +-(1.2 + sin 2x) + (0.05 + 0.05 |x|) N(0, 1), either sign as often. All their densities are
known. In joint_mixture.png: on the left the pairs, and the search over the number of components; on the right slices of
p(y | x), above, and of p(x | y). The script ends with an error unless `condition` agrees with the joint density divided
by its integral.

    python examples/joint_mixture.py                    # and --quick, for a look
    python examples/joint_mixture.py --seeds 0 1 2 3 4

Mean log-likelihood in nats of 10,000 fresh pairs (higher is better), mean and standard deviation of the seeds 0 to 4:

                               y given x           x given y           pairs (x, y)
    joint mixture, 40          0.039 +- 0.009      -0.233 +- 0.012     -1.764 +- 0.011
    network                    0.044 +- 0.010      -0.252 +- 0.012     -1.772 +- 0.011 (with the density of x)
    truth                      0.056 +- 0.010                          -1.736 +- 0.010

The spread is mostly that of the fresh pairs, which are the same for all three: the network is better at y given x and
the joint mixture at the other two for each of the seeds. The search finds 40 components for four seeds, 80 for one. At
x = 8, where no data were, and the y that the network thinks likeliest, its log density is 1.2 on average; with the
density of x it is -420, under the joint mixture -1301.
"""

import argparse
import dataclasses
from collections.abc import Callable

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.integrate
import scipy.stats
from _pictures import DATA, MODEL, OTHER, TRUTH, save
from _running import over_seeds, parse_arguments
from sklearn.mixture import GaussianMixture

import tfmdn

LOW, HIGH = -3.0, 3.0
FAR_X = 8.0
GRID = np.linspace(-5.0, 5.0, 20_001)
NUMBERS = (5, 10, 20, 40, 80, 160)
BATCH_SIZE = 250
# The number of a coordinate of the pairs, and where the density of the other is shown.
X, Y = 0, 1
SLICES = {X: np.array([-2.4, -0.8, 1.5]), Y: np.array([-1.8, 0.3, 1.2])}


def sample(n: int, seed: int) -> np.ndarray:
    """Draws pairs `[n, 2]`."""
    rng = np.random.default_rng(seed)
    x, sign = rng.uniform(LOW, HIGH, n), rng.choice([-1.0, 1.0], n)
    return np.stack([x, sign * wave(x) + spread(x) * rng.normal(size=n)], -1)


def wave(x):
    return 1.2 + np.sin(2.0 * x)


def spread(x):
    return 0.05 + 0.05 * np.abs(x)


def true_density(pairs: np.ndarray) -> np.ndarray:
    """The density p(x, y) that `sample` draws from: `[n]`."""
    x, y = pairs.T
    branches = [scipy.stats.norm(sign * wave(x), spread(x)).pdf(y) for sign in (-1.0, 1.0)]
    return scipy.stats.uniform(LOW, HIGH - LOW).pdf(x) * np.mean(branches, 0)


def slice_of(density: Callable[[np.ndarray], np.ndarray], axis: int, value: float) -> np.ndarray:
    """The density of the other coordinate on GRID where that of `axis` is known, by quadrature of the joint density."""
    joint = density(np.insert(GRID[:, None], axis, value, axis=-1))
    return joint / scipy.integrate.trapezoid(joint, GRID)


def fit_joint(pairs: np.ndarray, num_components: int, seed: int) -> tfmdn.Mixture:
    mixture = GaussianMixture(num_components, covariance_type="full", random_state=seed)
    return tfmdn.Mixture.from_sklearn(mixture.fit(pairs))


def fit_density(values: np.ndarray, seed: int) -> tfmdn.Mixture:
    """A mixture of one variable, of as many components as the Bayesian information criterion says."""
    fits = [GaussianMixture(k, random_state=seed).fit(values[:, None]) for k in range(1, 11)]
    return tfmdn.Mixture.from_sklearn(min(fits, key=lambda fit: fit.bic(values[:, None]))).marginal(0)


def fit_network(given: np.ndarray, asked: np.ndarray, seed: int, epochs: int) -> keras.Model:
    """A mixture density network for p(asked | given)."""
    keras.utils.set_random_seed(seed)
    standardize, head = keras.layers.Normalization(), tfmdn.MDNLayer(num_components=20)
    standardize.adapt(given[:, None])
    head.adapt(asked)
    biases = keras.initializers.RandomUniform(-1, 1)
    hidden = [keras.layers.Dense(64, "silu", bias_initializer=biases) for _ in range(2)]
    model = keras.Sequential([keras.Input((1,)), standardize, *hidden, head])
    schedule = keras.optimizers.schedules.CosineDecay(5e-3, epochs * len(given) // BATCH_SIZE)
    model.compile(keras.optimizers.Adam(schedule), loss=tfmdn.NegativeLogLikelihood())
    tfmdn.fit(model, given[:, None], asked, epochs=epochs, batch_size=BATCH_SIZE, verbose=0)
    return model


@dataclasses.dataclass
class Fits:
    """All that is fitted to one sample of pairs."""

    joint: tfmdn.Mixture  # of 40 components
    search: dict[int, float]  # held-out NLL by number of components
    density_of_x: tfmdn.Mixture
    networks: dict[int, keras.Model]  # p(y | x) and p(x | y), by the coordinate that is known


def fit_all(seed: int, quick: bool) -> Fits:
    rows, epochs = (3_000, 40) if quick else (10_000, 100)
    pairs = sample(rows, seed)
    learned, held_out = np.split(pairs, [rows * 4 // 5])
    numbers = NUMBERS[:4] if quick else NUMBERS
    search = {k: -float(np.mean(fit_joint(learned, k, seed).log_prob(held_out))) for k in numbers}
    return Fits(
        joint=fit_joint(pairs, 40, seed),
        search=search,
        density_of_x=fit_density(pairs[:, X], seed),
        networks={axis: fit_network(pairs[:, axis], pairs[:, 1 - axis], seed, epochs) for axis in (X, Y)},
    )


def largest_difference(joint: tfmdn.Mixture) -> float:
    """The largest difference of `condition` from the joint density divided by its integral."""
    return max(
        np.max(np.abs(joint.condition(axis, value).marginal(0).prob(GRID) - slice_of(joint.prob, axis, value)))
        for axis, values in SLICES.items()
        for value in values
    )


def log_probs(fits: Fits, pairs: np.ndarray) -> dict[str, np.ndarray]:
    """What the fits say of pairs: the log density of one coordinate given the other, and of both."""
    results = {}
    for axis, name in {X: "y given x", Y: "x given y"}.items():
        known, asked = pairs[:, axis], pairs[:, 1 - axis]
        results[f"{name}: joint mixture"] = fits.joint.condition(axis, known).marginal(0).log_prob(asked).numpy()
        results[f"{name}: network"] = fits.networks[axis](known[:, None]).log_prob(asked).numpy()
    results["pairs: joint mixture"] = fits.joint.log_prob(pairs).numpy()
    density_of_x = fits.density_of_x.log_prob(pairs[:, X]).numpy()
    results["pairs: network and density of x"] = results["y given x: network"] + density_of_x
    return results


def run(fits: Fits, seed: int) -> dict[str, float]:
    """Mean log-likelihoods of fresh pairs, log densities far from all x at the network's peak, and the check."""
    pairs = sample(10_000, seed + 10_000)
    difference = largest_difference(fits.joint)
    if difference > 1e-5:
        raise SystemExit(f"`condition` differs from the quadrature by {difference}.")
    truth = np.log(true_density(pairs)).mean()
    peak = fits.networks[X](np.full((1, 1), FAR_X)).mode().numpy().item()
    far = log_probs(fits, np.array([[FAR_X, peak]]))
    names = ("y given x: network", "pairs: network and density of x", "pairs: joint mixture")
    return {
        **{name: values.mean() for name, values in log_probs(fits, pairs).items()},
        "y given x: truth": truth + np.log(HIGH - LOW),
        "pairs: truth": truth,
        **{f"far away, {name}": far[name].item() for name in names},
        "number of components that the search finds": min(fits.search, key=fits.search.get),
        "condition and quadrature: largest difference": difference,
    }


def draw(fits: Fits, arguments: argparse.Namespace) -> None:
    figure, axes = plt.subplots(2, 4, figsize=(12, 6))
    draw_pairs(axes[0, 0])
    draw_search(fits.search, axes[1, 0])
    for axis, row in zip((X, Y), axes[:, 1:]):
        for value, ax in zip(SLICES[axis], row):
            draw_slice(fits, axis, value, ax)
        row[0].set_ylabel("density")
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    save(figure, arguments, "joint_mixture")


def draw_pairs(ax: plt.Axes) -> None:
    ax.plot(*sample(1_000, 20_000).T, ".", color=DATA, markersize=2)
    for x, y in zip(SLICES[X], SLICES[Y]):
        ax.axvline(x, color="0.2", linewidth=1, linestyle="--")
        ax.axhline(y, color="0.2", linewidth=1, linestyle="--")
    ax.set(xlabel="x", ylabel="y", title="pairs, and where to cut")


def draw_search(search: dict[int, float], ax: plt.Axes) -> None:
    ax.semilogx(list(search), list(search.values()), "o-", color=MODEL)
    ax.set_xticks(list(search), list(search))
    ax.minorticks_off()
    ax.set(xlabel="components of the joint", ylabel="held-out NLL of a pair (nats)")


def draw_slice(fits: Fits, axis: int, value: float, ax: plt.Axes) -> None:
    network = fits.networks[axis](np.full((1, 1), value))
    ax.plot(GRID, slice_of(true_density, axis, value), color=TRUTH, alpha=0.5, linewidth=4, label="truth")
    ax.plot(GRID, fits.joint.condition(axis, value).marginal(0).prob(GRID), color=MODEL, label="joint mixture")
    ax.plot(GRID, network.prob(GRID.astype("float32")), "--", color=OTHER, label="network")
    known, asked = "xy"[axis], "xy"[1 - axis]
    ax.set(xlabel=asked, title=f"p({asked} | {known} = {value})".replace("-", "\u2212"), xlim=(-4, 4), ylim=(0, None))


def main() -> None:
    arguments = parse_arguments(__doc__)

    def of_seed(seed: int) -> tuple[dict[str, float], Fits]:
        fits = fit_all(seed, arguments.quick)
        return run(fits, seed), fits

    draw(over_seeds(of_seed, arguments.seeds), arguments)


if __name__ == "__main__":
    main()
