"""Bishop's point: least squares learns the mean of the answers, a mixture density network learns all of them.

3,000 points of Ha's problem x = 7 sin(0.75 y) + 0.5 y + noise. Forward, from y to x, there is one answer, and least
squares finds it. Backward, from x to y, there are up to five, and their mean is where no data are. Least squares is the
mixture of one component that is trained by the squared error: the only change is `num_components=1` and `loss="mse"`.

The published network has three layers of 128 relu units and 20 isotropic components, which have one scale for all
coordinates, and is trained for 100 epochs in batches of 128 by Adam at 1e-4. Its loss is checked against SciPy's
multivariate normal, for targets of one coordinate and of two. tfmdn's way is `MDNRegressor()` with nothing set, on the
same 3,000 rows and on 40,000.

bishop.png: the forward and the backward problem with the least squares line and the exact mean E[y | x], computed from
the true density; and draws from both networks over fresh data.

    python examples/bishop.py                    # and --quick, for a look
    python examples/bishop.py --seeds 0 1 2 3 4

NLL in nats per point on 50,000 fresh points, seeds 0 to 4:

    best possible                  1.288
    published, 3,000 rows          1.852  1.993  1.898  1.996  1.952
    MDNRegressor(), 3,000 rows     1.318  1.315  1.321  1.313  1.315
    MDNRegressor(), 40,000 rows    1.297  1.294  1.295  1.292  1.295

The root mean square distance of the least squares line from E[y | x] is 0.65 +- 0.04, from the data 4.66 +- 0.01. The
loss differs from SciPy's by less than 3e-7.
"""

import argparse

import _quiet  # noqa: F401
import keras
import matplotlib.pyplot as plt
import numpy as np
from _pictures import DATA, MODEL, TRUTH, save
from _running import over_seeds, parse_arguments
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import tfmdn
from tfmdn import plots

PROBLEM = tfmdn.datasets.inverse_sinusoid()
ROBOT_ARM = tfmdn.datasets.robot_arm()
TOLERANCE = 1e-5


def network(num_components: int, coordinates: int = 1) -> keras.Model:
    hidden = [keras.layers.Dense(128, "relu", kernel_initializer="glorot_normal") for _ in range(3)]
    head = tfmdn.MDNLayer(
        num_components,
        event_shape=coordinates,
        covariance="spherical",
        kernel_initializer="glorot_normal",
        bias_initializer="zeros",
    )
    return keras.Sequential([keras.Input((coordinates,)), *hidden, head])


def train(model: keras.Model, x: np.ndarray, y: np.ndarray, loss, learning_rate: float, epochs: int) -> keras.Model:
    """Trains on rows `[n, 1]`."""
    model.compile(keras.optimizers.Adam(learning_rate), loss=loss)
    tfmdn.fit(model, x, y, batch_size=128, epochs=epochs, drop_remainder=True, verbose=0)
    return model


def scipy_nll(mixture: tfmdn.Mixture, y: np.ndarray) -> float:
    """The mean NLL of targets `[n, D]` under isotropic normals, by SciPy in float64."""
    log_weights = np.log(np.float64(mixture.mixture_distribution.probs_parameter()))  # [n, K]
    centres = np.float64(mixture.components_distribution.mean())  # [n, K, D]
    variances = np.square(np.float64(mixture.components_distribution.stddev()[..., 0]))  # [n, K]
    log_probs = [
        [multivariate_normal.logpdf(target, mean, variance) for mean, variance in zip(row_of_means, row_of_variances)]
        for target, row_of_means, row_of_variances in zip(y, centres, variances)
    ]
    return -np.mean(logsumexp(log_weights + log_probs, axis=-1))


def check_loss(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """How far the loss is from what SciPy says."""
    mixture = model(x)
    difference = abs(float(tfmdn.NegativeLogLikelihood()(y, mixture)) - scipy_nll(mixture, y))
    if not difference < TOLERANCE:
        raise SystemExit(f"The loss differs from SciPy's by {difference}.")
    return difference


def exact_mean(x: np.ndarray) -> np.ndarray:
    """E[y | x] for x `[n]`, from the true density."""
    y = np.linspace(PROBLEM.low[0], PROBLEM.high[0], 1_001)
    density = np.exp(PROBLEM.log_prob(np.repeat(x, len(y)), np.tile(y, len(x)))).reshape(len(x), len(y))
    return trapezoid(density * y, y, axis=1)


def train_all(seed: int, quick: bool) -> dict:
    keras.utils.set_random_seed(seed)
    x, y = PROBLEM.sample(3_000, seed=seed)
    y = y[:, np.newaxis]
    epochs, regressor = (10, {"max_steps": 100, "n_estimators": 2}) if quick else (100, {})
    many_x, many_y = PROBLEM.sample(4_000 if quick else 40_000, seed=seed)
    return {
        "least squares, forward": train(network(1), y, x, "mse", 1e-3, epochs),
        "least squares": train(network(1), x, y, "mse", 1e-3, epochs),
        "published": train(network(20), x, y, tfmdn.NegativeLogLikelihood(), 1e-4, epochs),
        "MDNRegressor()": tfmdn.MDNRegressor(random_state=seed, **regressor).fit(x, y[:, 0]),
        "MDNRegressor(), 40,000 rows": tfmdn.MDNRegressor(random_state=seed, **regressor).fit(many_x, many_y),
    }


def evaluate(models: dict, seed: int) -> dict[str, float]:
    x, y = PROBLEM.sample(50_000, seed=seed + 10_000)
    published, least_squares = models["published"], models["least squares"]
    position, angles = ROBOT_ARM.sample(200, seed=seed)
    error = least_squares.predict(x[:2_000], verbose=0)[:, 0] - exact_mean(x[:2_000, 0])
    return {
        "difference from SciPy's loss": check_loss(published, x[:200], y[:200, np.newaxis]),
        "difference from SciPy's loss, two coordinates": check_loss(network(20, 2), position, angles),
        "least squares: rms distance to E[y | x]": np.sqrt(np.mean(np.square(error))),
        "least squares: rms distance to the data": least_squares.evaluate(x, y, 10_000, verbose=0) ** 0.5,
        "published: test NLL": published.evaluate(x, y, 10_000, verbose=0),
        "MDNRegressor(): test NLL": -models["MDNRegressor()"].score(x, y),
        "MDNRegressor(), 40,000 rows: test NLL": -models["MDNRegressor(), 40,000 rows"].score(x, y),
        "best possible NLL": PROBLEM.best_nll,
    }


def draw(models: dict, seed: int, arguments: argparse.Namespace) -> None:
    x, y = PROBLEM.sample(1_000, seed=seed + 10_000)
    grid = np.linspace(-12, 12, 200, dtype="float32")
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 8.4))
    for ax, (across, up), name in zip(axes[0], [(y, x), (x, y)], ("least squares, forward", "least squares")):
        ax.plot(across, up, ".", color=DATA, markersize=2, rasterized=True)
        ax.plot([], [], "o", color=DATA, markersize=4, label="data")
        prediction = models[name].predict(grid[:, np.newaxis], verbose=0)
        ax.plot(grid, prediction, color=MODEL, linewidth=2.5, label="least squares")
    axes[0, 1].plot(grid, exact_mean(grid), "--", color=TRUTH, label="exact mean E[y | x]")
    axes[0, 0].set(title="forward: one answer", xlabel="y", ylabel="x", xlim=(-11, 11), ylim=(-16, 20))
    axes[0, 1].set(title="backward: the mean of several answers is none", xlabel="x", ylabel="y", ylim=(-13, 17))
    plots.draws(models["published"], x, y, seed=1, ax=axes[1, 0])
    plots.draws(models["MDNRegressor()"].predict_dist, x, y, seed=1, ax=axes[1, 1])
    axes[1, 0].set_title("mixture, trained as published")
    axes[1, 1].set_title("mixture, MDNRegressor() on the same 3,000 rows")
    for ax in axes[1]:
        ax.set_ylim(-13, 17)
    for ax in axes.flat[1:]:
        ax.set_xlim(-12, 12)
    for ax in axes.flat:
        ax.legend(loc="upper left", markerscale=1.5 if ax in axes[1] else 1)
    save(figure, arguments, "bishop")


def main() -> None:
    arguments = parse_arguments(__doc__)

    def run(seed: int) -> tuple[dict[str, float], dict]:
        models = train_all(seed, arguments.quick)
        return evaluate(models, seed), models

    models = over_seeds(run, arguments.seeds)
    draw(models, arguments.seeds[0], arguments)


if __name__ == "__main__":
    main()
