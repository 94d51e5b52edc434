"""Draws the figures of docs/explanation: what is shown follows from formulas, and no network is trained.

    python docs/figures/make.py                  # all of them, light and dark
    python docs/figures/make.py limits scores    # some

Shapes in comments: n points of a grid, m rows, K components.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import lognorm, norm

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "examples"))
from _pictures import DATA, FORMATS, MODEL, OTHER, TRUTH, save  # noqa: E402

WEIGHTS, CENTRES, SCALES = np.array([0.5, 0.3, 0.2]), np.array([-1.2, 0.6, 1.4]), np.array([0.45, 0.25, 0.9])
COLORS = (MODEL, OTHER, "tab:purple")
STYLES = ("-", "--", "-.")


def panels(count: int, height: float = 3.2, **kwargs) -> tuple[plt.Figure, np.ndarray]:
    return plt.subplots(1, count, figsize=(9, height), **kwargs)


def mixture() -> plt.Figure:
    """The density of three components, its logarithm, and which component answers for a target."""
    y = np.linspace(-3.5, 4.5, 400)
    parts = WEIGHTS * norm(CENTRES, SCALES).pdf(y[:, np.newaxis])  # [n, K]
    figure, (of_density, of_loss, of_shares) = panels(3)
    of_density.plot(y, parts.sum(1), color="black", linewidth=2, label="p(y | x)")
    for k, (color, style) in enumerate(zip(COLORS, STYLES)):
        of_density.fill_between(y, parts[:, k], color=color, alpha=0.25, linewidth=0)
        of_density.plot(y, parts[:, k], style, color=color, linewidth=1.2, label=f"component {k + 1}")
        of_shares.plot(y, parts[:, k] / parts.sum(1), style, color=color)
    for unit, name, style in ((1.0, "y in m", "-"), (100.0, "y in 100 m", "--")):
        of_loss.plot(y, -np.log(parts.sum(1)) - np.log(unit), style, color="black", label=name)
    of_loss.axhline(0, color=DATA, linewidth=1)
    of_density.set(title="a mixture at one x", xlabel="y (m)", ylabel="density (1/m)", ylim=(0, 0.85))
    of_loss.set(
        title="the loss, by the target", xlabel="y (m)", ylabel="\N{MINUS SIGN}log p(y | x) (nats)", ylim=(-5, 15)
    )
    of_shares.set(title="responsibilities", xlabel="y (m)", ylabel="share of the density at y", ylim=(0, 1.02))
    of_density.legend(loc="upper right", fontsize=8.5)
    of_loss.legend(loc="upper center", fontsize=8.5)
    return figure


def collapse() -> plt.Figure:
    """Two best networks and the ridge between them; and the likelihood that has no maximum."""
    y = np.linspace(-4, 4, 400)
    truth = 0.5 * norm(-1, 0.5).pdf(y) + 0.5 * norm(1, 0.5).pdf(y)
    centres = np.linspace(-2.5, 2.5, 81)
    one = norm(centres[:, np.newaxis], 0.5).logpdf(y)  # [81, n]
    both = np.logaddexp(one[:, np.newaxis], one[np.newaxis]) - np.log(2)
    mean = trapezoid(truth * both, y)  # [81, 81]
    figure, (left, right) = panels(2, 3.6)
    mesh = left.contourf(centres, centres, mean, levels=np.linspace(-7, -1, 13), cmap="Blues", extend="min")
    left.plot([-1, 1], [1, -1], "*", color=TRUTH, markersize=12, label="the same density, twice")
    left.plot([-2.5, 2.5], [-2.5, 2.5], ":", color="black", label="equal centres stay equal")
    left.set(title="two components, their centres", xlabel="centre of the first", ylabel="centre of the second")
    left.set(ylim=(-2.5, 4.2), yticks=[-2, 0, 2], xticks=[-2, 0, 2])
    left.legend(loc="upper left")
    figure.colorbar(mesh, ax=left, label="mean log-likelihood (nats)")

    rows, scales = norm.ppf((np.arange(20) + 0.5) / 20), np.geomspace(1e-12, 2, 300)
    broad = norm(0, 1).logpdf(rows)
    narrow = norm(rows[12], scales[:, np.newaxis]).logpdf(rows)
    likelihood = np.mean(np.logaddexp(np.log(0.95) + broad, np.log(0.05) + narrow), 1)
    right.semilogx(scales, likelihood, color=MODEL, linewidth=2, label="20 rows, one has a component to itself")
    right.axhline(broad.mean(), color=TRUTH, linestyle=":", label="the true density")
    right.axvline(1e-2, 0, 0.6, color="black", linestyle="--", linewidth=1, label="a floor, as min_scale is")
    right.set(title="a scale that goes to 0", xlabel="scale of that component", ylabel="mean log-likelihood (nats)")
    right.set_ylim(-1.6, 1.4)
    right.legend(loc="upper right", fontsize=8.5)
    return figure


def limits() -> plt.Figure:
    """What would lie beyond a limit comes back; and three ways to treat it, on a half-normal target."""
    y = np.linspace(-1.6, 3.2, 500)
    figure, (left, right) = panels(2)
    component = norm(0.5, 0.7)
    inside = y[y >= 0]
    left.plot(y, component.pdf(y), "--", color=MODEL, label="the normal")
    left.fill_between(y[y <= 0], component.pdf(y[y <= 0]), color=MODEL, alpha=0.25, linewidth=0)
    left.plot(inside, component.pdf(-inside), "-.", color=OTHER, label="what comes back")
    left.fill_between(inside, component.pdf(-inside), color=OTHER, alpha=0.25, linewidth=0)
    left.plot(inside, component.pdf(inside) + component.pdf(-inside), color="black", linewidth=2, label="reflected")
    left.set(title="a component at the limit 0", xlabel="y", ylabel="density", ylim=(0, 1.05))
    left.legend(loc="upper right")

    truth = 2 * norm.pdf(inside)
    right.fill_between(inside, truth, color=TRUTH, alpha=0.35, linewidth=0, label="truth, and reflected")
    right.plot(y, norm(np.sqrt(2 / np.pi), np.sqrt(1 - 2 / np.pi)).pdf(y), "--", color=MODEL, label="normal")
    # Of |Z| the logarithm has the mean -(gamma + log 2) / 2 and the variance pi^2 / 8.
    logs = lognorm(np.pi / np.sqrt(8), scale=np.exp(-(np.euler_gamma + np.log(2)) / 2))
    right.plot(inside, logs.pdf(inside), "-.", color=OTHER, label="normal in log y")
    right.set(title="one component each, fitted to |z|", xlabel="y", ylabel="density", ylim=(0, 1.45))
    right.legend(loc="upper right")
    for ax in (left, right):
        ax.axvline(0, color="black", linewidth=1)
    return figure


def coarse() -> plt.Figure:
    """The quantity behind targets with many zeros, and behind counts: areas become probabilities."""
    figure, axes = panels(2)
    z = np.linspace(-4, 7, 600)
    behind = norm(0.7, 1.5)
    axes[0].plot(z, behind.pdf(z), ":", color=TRUTH, label="the quantity behind, Z")
    axes[0].fill_between(z[z <= 0], behind.pdf(z[z <= 0]), color=MODEL, alpha=0.25, linewidth=0)
    axes[0].plot(z[z >= 0], behind.pdf(z[z >= 0]), color=MODEL, linewidth=2, label="density of y above 0")
    axes[0].plot([0, 0], [0, behind.cdf(0)], "o-", color=MODEL, markevery=[1], label=f"P(y = 0) = {behind.cdf(0):.2f}")
    axes[0].set(title="rain: a limit with a probability", xlabel="y (mm)", ylabel="density (1/mm), probability")
    axes[0].set(xlim=(-4, 7), ylim=(0, 0.5))

    z, counts, behind = np.linspace(-0.5, 8.5, 600), np.arange(9), norm(3.2, 1.4)
    share = behind.cdf(counts + 0.5) - behind.cdf(counts - 0.5)
    share[0] = behind.cdf(0.5)
    axes[1].plot(z, behind.pdf(z), ":", color=TRUTH, label="the quantity behind, Z")
    is_three = np.abs(z - 3) <= 0.5
    axes[1].fill_between(z[is_three], behind.pdf(z[is_three]), color=MODEL, alpha=0.25, linewidth=0)
    axes[1].vlines(counts, 0, share, color=MODEL)
    axes[1].plot(counts, share, "o", color=MODEL, label="P(y = m), the area of a cell")
    axes[1].set(title="counts: the values of a grid", xlabel="y", ylabel="density, probability", ylim=(0, 0.4))
    for ax in axes:
        ax.legend(loc="upper right")
    return figure


ERROR, DISAGREEMENT, VARIANCE = 1.0, 0.3, 0.8


def calibration() -> plt.Figure:
    """How broad members should be, by how many of them there are; and what the wrong breadth does."""

    def factor(members):
        return (ERROR - DISAGREEMENT + 2 * DISAGREEMENT / members) / VARIANCE

    figure, (left, right) = panels(2)
    inverse = np.linspace(0, 1, 50)
    left.plot(inverse, factor(1 / np.maximum(inverse, 1e-9)), color=MODEL, linewidth=2)
    for members, marker in ((1, "s"), (2, "D"), (10, "o")):
        label = f"{members} member{'s' * (members > 1)}"
        left.plot(1 / members, factor(members), marker, color=MODEL, markersize=8, label=label)
    left.set(title="the factor that suits r members", xlabel="1 / r", ylabel="squared factor of the scales")
    left.set(xlim=(0, 1.05), ylim=(0, 1.8))
    left.legend(loc="lower right")

    nominal = np.linspace(1e-3, 1 - 1e-3, 200)
    right.plot([0, 1], [0, 1], ":", color=TRUTH, linewidth=2, label="calibrated")
    names = ("ten with the factor of ten", "ten with the factor of one", "one with the factor of ten")
    for name, style, (members, of) in zip(names, STYLES, ((10, 10), (10, 1), (1, 10))):
        said = factor(of) * VARIANCE + DISAGREEMENT * (1 - 1 / members)
        came = ERROR + DISAGREEMENT / members
        observed = 2 * norm.cdf(norm.ppf(0.5 + nominal / 2) * np.sqrt(said / came)) - 1
        right.plot(nominal, observed, style, color=MODEL, label=name)
    right.set(title="coverage", xlabel="probability of the interval", ylabel="share of targets inside", aspect="equal")
    right.set(xlim=(0, 1), ylim=(0, 1))
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def decomposition() -> plt.Figure:
    """Members that agree where there are rows, and the two parts of their variance."""
    rng = np.random.default_rng(3)
    x = np.sort(np.concatenate([rng.uniform(-3, -0.8, 25), rng.uniform(1.2, 3, 25)]))
    grid = np.linspace(-3.5, 3.5, 300)

    def scale(x):
        return 0.12 + 0.1 * (x + 3.5) / 2

    def features(x):  # [m, 16]
        return np.exp(-0.5 * np.square((x[:, np.newaxis] - np.linspace(-4, 4, 16)) / 0.7))

    y = np.sin(1.5 * x) + scale(x) * rng.normal(size=len(x))
    weighted = features(x) / scale(x)[:, np.newaxis]
    covariance = np.linalg.inv(weighted.T @ weighted + np.eye(16))
    mean = covariance @ weighted.T @ (y / scale(x))
    members = rng.multivariate_normal(mean, covariance, 6) @ features(grid).T  # [6, n]
    between = np.einsum("ni,ij,nj->n", features(grid), covariance, features(grid))

    figure, (left, right) = panels(2)
    left.plot(grid, members.T, color=MODEL, linewidth=1)
    left.plot([], [], color=MODEL, label="means of 6 members")
    left.plot(grid, np.sin(1.5 * grid), ":", color=TRUTH, linewidth=2, label="true mean")
    left.plot(x, y, ".", color=DATA, label="rows")
    left.set(title="members", xlabel="x", ylabel="y", ylim=(-2.5, 4))
    left.legend(loc="upper left", ncols=2)
    within = np.square(scale(grid))
    right.fill_between(grid, within, color=DATA, alpha=0.5, linewidth=0, label="within: noise")
    right.fill_between(grid, within, within + between, color=MODEL, alpha=0.5, linewidth=0, label="between: ignorance")
    right.plot(grid, within, ":", color=TRUTH, linewidth=2, label="true variance of the noise")
    right.plot(x, np.full(len(x), -0.02), "|", color=DATA, markersize=5)
    right.set(title="the variance of their mixture", xlabel="x", ylabel="variance of y", ylim=(-0.04, 1.1))
    right.legend(loc="upper left")
    return figure


def scores() -> plt.Figure:
    """Two scores of one forecast, by the target; and histograms that tell what is wrong."""
    figure, (left, right) = panels(2)
    y = np.linspace(-4, 4, 300)
    left.plot(y, -norm.logpdf(y), color=MODEL, label="\N{MINUS SIGN}log p(y), in nats")
    crps = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    left.plot(y, crps, "--", color=OTHER, label="CRPS, in the unit of y")
    left.plot(y, np.abs(y), ":", color=DATA, label="|y|, the error of the median")
    left.set(title="the forecast N(0, 1)", xlabel="y, what came", ylabel="score", ylim=(0, 11), xlim=(-4, 4))
    left.legend(loc="upper center")

    u = np.linspace(1e-3, 1 - 1e-3, 400)
    for name, (centre, width), style in (
        ("as it is", (0, 1), ":"),
        ("too narrow", (0, 0.8), "-"),
        ("too broad", (0, 1.5), "--"),
        ("too high", (0.4, 1), "-."),
    ):
        quantile = norm(centre, width).ppf(u)
        color = TRUTH if name == "as it is" else MODEL
        right.plot(u, norm.pdf(quantile) / norm(centre, width).pdf(quantile), style, color=color, label=name)
    right.set(
        title="forecasts of N(0, 1)", xlabel="F(y), forecast probability of less than y", ylabel="density of F(y)"
    )
    right.set(xlim=(0, 1), ylim=(0, 3.2))
    right.legend(loc="upper center", ncols=2)
    return figure


def off_data() -> plt.Figure:
    """Quantiles of a network that goes on as it was, and with the fallback; and the weight of that."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 200)
    y = np.sin(2 * x) + 0.2 * rng.normal(size=200)
    grid, values = np.linspace(-6, 6, 240), np.linspace(-6, 6, 1_201)
    bandwidth, share = 0.25, 1e-3
    kernels = norm(x, bandwidth).logpdf(grid[:, np.newaxis])  # [n, m]
    inside = logsumexp(kernels, axis=1) - np.log(len(x)) + np.log1p(-share)
    outside = norm(x.mean(), 3 * x.std()).logpdf(grid) + np.log(share)
    weight = np.exp(outside - np.logaddexp(inside, outside))

    # Beyond the rows it goes on in a straight line, as networks do.
    edge = np.clip(grid, -2, 2)
    centre = np.sin(2 * edge) + 2 * np.cos(2 * edge) * (grid - edge)
    of_network = norm(centre[:, np.newaxis], 0.2).cdf(values)  # [n, values]
    of_targets = norm(y, 0.1).cdf(values[:, np.newaxis]).mean(1)
    honest = weight[:, np.newaxis] * of_targets + (1 - weight[:, np.newaxis]) * of_network

    figure, axes = panels(3)
    for ax, cumulative, title in zip(axes, (of_network, honest), ("the network alone", "with the fallback")):
        for low, color in ((0.025, 0.2), (0.25, 0.45)):
            ends = [values[(cumulative < level).sum(1).clip(max=1_200)] for level in (low, 1 - low)]
            color = plt.get_cmap("Blues")(color)
            ax.fill_between(grid, *ends, color=color, linewidth=0, label=f"{100 * (1 - 2 * low):.0f} %")
        ax.plot(x, y, ".", color=DATA, markersize=2.5, label="rows")
        ax.set(title=title, xlabel="x", ylabel="y", ylim=(-6, 6))
    axes[0].legend(loc="upper right", handlelength=1, markerscale=2)
    axes[2].plot(grid, weight, color=MODEL)
    axes[2].plot(x, np.full(len(x), -0.04), "|", color=DATA, markersize=4)
    axes[2].set(title="that x is none of the data's", xlabel="x", ylabel="w(x)", ylim=(-0.08, 1.04))
    return figure


FIGURES = {
    draw.__name__: draw for draw in (mixture, collapse, limits, coarse, calibration, decomposition, scores, off_data)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--output", type=pathlib.Path, default=FOLDER)
    parser.add_argument("--format", choices=FORMATS, default="svg")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FIGURES):
        parser.error(f"no figures {', '.join(sorted(unknown))}. There are {', '.join(FIGURES)}.")
    arguments.dark = True
    for name in arguments.names or FIGURES:
        save(FIGURES[name](), arguments, name)


if __name__ == "__main__":
    main()
