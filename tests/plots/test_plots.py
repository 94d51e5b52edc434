"""The figures: what they draw is what SciPy says of the mixture, on the axes that they were given."""

import inspect
import sys

import keras
import matplotlib
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from cases import SCALAR_COMPONENTS, SciPyMixture, case_name, mixture_of

import tfmdn
from tfmdn import plots
from tfmdn.plots import conditional, diagnostics, points, single_rows
from tfmdn.plots import data as data_lib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
N = 7
X = np.random.default_rng(0).permutation(np.linspace(-3.0, 4.0, N))
GRID = np.linspace(-4.0, 4.0, 41)
# Full covariance stands for events of shape (1,): all that is drawn is of the one coordinate.
CASES = [*SCALAR_COMPONENTS, ("normal", "full", (1,))]
every_family = pytest.mark.parametrize("case", CASES, ids=map(case_name, CASES))


def of_a_plane(x):
    """y ~ N((x, -x), 1)."""
    components = tfd.MultivariateNormalDiag(tf.stack([x, -x], -1), tf.ones([2]))
    return tfmdn.Mixture(tfd.Categorical(logits=0.0 * x), components)


# What each function draws by default, of a model and rows x with targets y.
PLOTS = {
    "density": lambda model, x, y, **kwargs: plots.density(model, x, GRID, **kwargs),
    "slices": lambda model, x, y, **kwargs: plots.slices(model, x, GRID, y, **kwargs),
    "components": lambda model, x, y, **kwargs: plots.components(model, x, **kwargs),
    "draws": lambda model, x, y, **kwargs: plots.draws(model, x, y, seed=1, **kwargs),
    "hexbin": lambda model, x, y, **kwargs: plots.hexbin(model, x, seed=1, **kwargs),
    "fan": lambda model, x, y, **kwargs: plots.fan(model, x, y=y, **kwargs),
    "joint_density": lambda model, x, y, **kwargs: plots.joint_density(of_a_plane, x[:1], GRID, GRID, **kwargs),
    "error_vectors": lambda model, x, y, **kwargs: plots.error_vectors(np.c_[x, y], np.c_[x, y + 1.0], **kwargs),
    "pit_histogram": plots.pit_histogram,
    "reliability": plots.reliability,
    "training_curves": lambda model, x, y, **kwargs: plots.training_curves({"loss": y}, **kwargs),
}
every_plot = pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
OF_MODELS = {name: PLOTS[name] for name in PLOTS if name not in ("joint_density", "error_vectors", "training_curves")}
PLANE = {name: PLOTS[name] for name in ("density", "slices", "components", "draws", "hexbin", "fan")}
every_plot_against_x = pytest.mark.parametrize("plot", PLANE.values(), ids=PLANE)
every_calibration_plot = pytest.mark.parametrize("plot", [plots.pit_histogram, plots.reliability])


@pytest.fixture(autouse=True)
def figures():
    yield
    plt.close("all")


def scipy_mixture(case, mixture):
    """By SciPy what is drawn of the mixture: of its only coordinate, if it is of vectors."""
    return SciPyMixture((case[0], case[1], ()), mixture.marginal(0) if case[2] else mixture)


def normal_model(scale=1.0):
    """y ~ N(x, scale), in two components of unequal weight."""
    return lambda x: tfmdn.Mixture(
        tfd.Categorical(probs=tf.ones_like(x) * [0.2, 0.8]), tfd.Normal(x * tf.ones([2]), scale)
    )


def drawn(ax):
    """All that is drawn: the points, areas, colours and widths of every artist."""
    parts = [line.get_xydata() for line in ax.lines]
    parts += [patch.get_path().vertices @ patch.get_transform().get_matrix()[:2, :2] for patch in ax.patches]
    for collection in ax.collections:
        parts += [path.vertices for path in collection.get_paths()]
        parts += [collection.get_offsets(), collection.get_array(), collection.get_linewidths()]
    return [np.asarray(part, np.float64) for part in parts if part is not None]


def assert_drawn_alike(one, other):
    for a, b in zip(drawn(one), drawn(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


# All of them


def test_every_plot_is_in_the_table():
    functions = inspect.getmembers(plots, inspect.isfunction)
    modules = {module.__name__ for module in (conditional, diagnostics, points, single_rows)}
    assert {name for name, function in functions if function.__module__ in modules} == set(PLOTS)


@every_plot
def test_draws_on_the_axes_given_or_on_new_ones(plot):
    y = np.linspace(-1.0, 1.0, N)
    settings = dict(matplotlib.rcParams), matplotlib.get_backend()
    _, (left, right) = plt.subplots(1, 2)
    assert plot(normal_model(), X, y, ax=right) is right
    assert right.has_data()
    assert not left.has_data()
    assert len(right.figure.axes) == 2  # without a bar of colours
    new = plot(normal_model(), X, y)
    assert new.figure is not right.figure
    assert new.get_xlabel()
    assert new.get_ylabel()
    new.figure.canvas.draw()
    assert (dict(matplotlib.rcParams), matplotlib.get_backend()) == settings


@pytest.mark.parametrize("plot", OF_MODELS.values(), ids=OF_MODELS)
def test_mixtures_and_models_and_any_batches_draw_the_same(plot, monkeypatch):
    y = np.linspace(-1.0, 1.0, N)
    of_model = plot(normal_model(), X, y)
    mixture = normal_model()(X[:, np.newaxis].astype("float32"))
    assert_drawn_alike(of_model, plot(mixture, X[:, np.newaxis], y[:, np.newaxis] if plot in PLANE.values() else y))
    if plot in (PLOTS["draws"], PLOTS["hexbin"]):
        return  # each batch has draws of its own
    monkeypatch.setattr(data_lib, "BATCH_SIZE", 3)
    monkeypatch.setattr(data_lib, "NUMBERS", 2 * 2 * len(GRID))  # for two components, two rows of densities
    assert_drawn_alike(of_model, plot(normal_model(), X, y))
    assert_drawn_alike(of_model, plot(mixture, X, y))


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'tfmdn\[plots\]'"):
        plots.density(normal_model(), X, GRID)


# What is predicted


@every_family
def test_density(case):
    mixture = mixture_of(case, (N,))
    ax = plots.density(mixture, X, GRID[::-1])
    truth = scipy_mixture(case, mixture)
    expected = np.exp([truth.log_prob(row, GRID) for row in np.argsort(X)]).T
    (mesh,) = ax.collections
    np.testing.assert_allclose(mesh.get_array(), expected, rtol=1e-3, atol=1e-6)
    edges = mesh.get_coordinates()
    centres = 0.5 * (edges[:-1, :-1] + edges[1:, 1:])
    np.testing.assert_allclose(centres[0, :, 0], np.sort(X), atol=1e-6)
    np.testing.assert_allclose(centres[:, 0, 1], GRID, atol=1e-6)
    assert mesh.norm.vmin == 0.0
    assert mesh.norm.vmax == pytest.approx(np.quantile(expected.max(0), 0.75), rel=1e-3)


def test_options_of_the_heat_maps():
    norm = matplotlib.colors.LogNorm(1e-3, 1.0)
    mesh = plots.density(normal_model(), X, GRID, norm=norm, cmap="viridis").collections[0]
    assert mesh.norm is norm
    assert mesh.get_cmap().name == "viridis"
    assert plots.density(normal_model(), X, GRID, vmax=0.25).collections[0].norm.vmax == 0.25
    assert plots.hexbin(normal_model(), X, mincnt=0).collections[0].get_array().min() == 0


def test_a_row_of_nan_does_not_spoil_the_heat_map():
    model = normal_model()
    x = np.array([-1.0, 1.0, 0.0])
    mesh = plots.density(model(tf.constant([[-1.0], [1.0], [np.nan]])), x, GRID).collections[0]
    whole = plots.density(model, x[:2], GRID).collections[0]
    assert mesh.get_array().mask[:, 1].all()
    np.testing.assert_allclose(mesh.get_array()[:, [0, 2]], whole.get_array())
    assert mesh.norm.vmax == pytest.approx(whole.norm.vmax)


@every_family
def test_slices(case):
    mixture = mixture_of(case, (N,))
    truth = scipy_mixture(case, mixture)
    levels = np.concatenate([np.geomspace(1e-8, 0.5, 500), 1.0 - np.geomspace(1e-8, 0.5, 500)])
    y = np.unique([truth.univariate((0, k)).ppf(levels) for k in range(4)])
    ax = plots.slices(mixture[:1], X[:1], y)
    curve, *components, _ = ax.lines
    np.testing.assert_allclose(curve.get_xdata(), y)
    np.testing.assert_allclose(curve.get_ydata(), np.exp(truth.log_prob(0, y)), rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(sum(line.get_ydata() for line in components), curve.get_ydata(), rtol=1e-5)
    areas = [scipy.integrate.trapezoid(line.get_ydata(), y) for line in components]
    np.testing.assert_allclose(areas, truth.probs[0], atol=2e-3)


def test_slices_have_one_color_for_a_curve_its_components_and_its_truth():
    ax = plots.slices(normal_model(), [0.0, 1.5], GRID, truth=[0.25, 1.25])
    curves, components, truths = ax.lines[:2], ax.lines[2:6], ax.lines[7:9]
    assert [curve.get_label() for curve in curves] == ["x = 0", "x = 1.5"]
    assert len({tuple(curve.get_color()) for curve in curves}) == len({curve.get_linestyle() for curve in curves}) == 2
    for row in range(2):
        related = [*components[2 * row : 2 * row + 2], truths[row]]
        assert all(np.array_equal(line.get_color(), curves[row].get_color()) for line in related)
    assert [line.get_xdata() for line in truths] == [[0.25, 0.25], [1.25, 1.25]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x = 0", "x = 1.5", "component", "truth"]
    assert len(plots.slices(normal_model(), [0.0, 1.5], GRID, components=False).lines) == 2
    assert len(plots.slices(tfmdn.MDNLayer(21), [0.0, 1.5], GRID).lines) == 2


@every_family
def test_components(case):
    mixture = mixture_of(case, (N,))
    truth = scipy_mixture(case, mixture)
    order = np.argsort(X)
    values = {"prob": truth.probs, **truth.parameters}
    assert {"prob", "loc", "scale"} <= set(values)
    for parameter, expected in values.items():
        lines = plots.components(mixture, X, parameter).collections
        assert len(lines) == 4
        for k, line in enumerate(lines):
            segments = np.array(line.get_segments())
            np.testing.assert_allclose(segments[:, 0], np.c_[X, expected[:, k]][order][:-1], rtol=1e-5)
            np.testing.assert_allclose(segments[:, 1], np.c_[X, expected[:, k]][order][1:], rtol=1e-5)


def test_components_fade_with_their_weight():
    x = np.linspace(0.0, 1.0, 5)
    probs = np.stack([0.1 * (1 - x), 0.3 + 0.1 * x, 0.6 + 0 * x], -1)
    mixture = tfmdn.Mixture(tfd.Categorical(probs=probs), tfd.Normal(x[:, np.newaxis] * [100.0, 1.0, 2.0], 1.0))
    ax = plots.components(mixture, x)
    widths = np.array([line.get_linewidths() for line in ax.collections])
    opacity = np.array([line.get_colors()[:, 3] for line in ax.collections])
    assert np.all(np.diff(widths, axis=0) > 0)
    assert np.all(np.diff(widths[0]) < 0)
    assert np.all(np.diff(opacity[0]) < 0)
    weight = 3.0 * 0.5 * (probs[1:] + probs[:-1])
    np.testing.assert_allclose(opacity[0], weight[:, 0])
    assert np.all(opacity[2] == 1.0)
    assert 20.0 < ax.get_ylim()[1] < 90.0  # not all the way of the component that dies


@every_family
def test_draws_follow_the_mixture(case):
    mixture = mixture_of(case, (N,))
    y = np.linspace(-1.0, 1.0, N)
    ax = plots.draws(mixture, X, y, num_samples=500, seed=3)
    data, sampled = [points.get_offsets() for points in ax.collections]
    np.testing.assert_array_equal(data, np.c_[X, y])
    np.testing.assert_array_equal(sampled[:, 0], np.tile(X, 500))
    truth = scipy_mixture(case, mixture)
    draws = np.reshape(sampled[:, 1], (500, N))
    transform = np.stack([truth.cdf(row, draws[:, row]) for row in range(N)])
    assert scipy.stats.kstest(transform.ravel(), "uniform").pvalue > 1e-3


def test_seeds_of_draws(monkeypatch):
    def offsets(seed):
        return plots.draws(normal_model(), X, seed=seed).collections[0].get_offsets().data

    np.testing.assert_array_equal(offsets(1), offsets(1))
    assert not np.array_equal(offsets(1), offsets(2))
    assert not np.array_equal(offsets(None), offsets(None))
    monkeypatch.setattr(data_lib, "BATCH_SIZE", 3)
    np.testing.assert_array_equal(offsets(1), offsets(1))
    residuals = offsets(1)[:, 1] - X
    assert len(np.unique(residuals.round(5))) == N  # batches are not drawn alike
    assert not set(residuals.round(5)) & set((offsets(4)[:, 1] - X).round(5))  # nor like those of another seed


def test_hexbin_counts_the_draws():
    hexagons = plots.hexbin(normal_model(), X, num_samples=200, seed=1).collections[0]
    assert hexagons.get_array().sum() == 200 * N
    assert hexagons.get_array().min() >= 1
    points = plots.draws(normal_model(), X, num_samples=200, seed=1).collections[0].get_offsets()
    expected = plt.subplots()[1].hexbin(*points.T, gridsize=60, mincnt=1)
    np.testing.assert_array_equal(hexagons.get_array(), expected.get_array())


@pytest.mark.by_default("normal-diag-scalar", "lognormal-diag-scalar")
@every_family
def test_fan(case):
    mixture = mixture_of(case, (N,))
    truth = scipy_mixture(case, mixture)
    ax = plots.fan(mixture, X, coverages=[0.5, 0.9], y=np.zeros(N))
    rows = np.argsort(X)

    def assert_quantiles(level, values):
        np.testing.assert_allclose([truth.cdf(row, value) for row, value in zip(rows, values)], level, atol=1e-5)

    (median,) = ax.lines
    np.testing.assert_allclose(median.get_xdata(), X[rows])
    assert_quantiles(0.5, median.get_ydata())
    for area, coverage in zip(ax.collections, (0.9, 0.5)):
        vertices = area.get_paths()[0].vertices
        columns = [vertices[vertices[:, 0] == x, 1] for x in X[rows]]
        assert_quantiles(0.5 - 0.5 * coverage, map(np.min, columns))
        assert_quantiles(0.5 + 0.5 * coverage, map(np.max, columns))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["90 %", "50 %", "median", "data"]
    np.testing.assert_array_equal(ax.collections[-1].get_offsets(), np.c_[X, np.zeros(N)])
    assert len(plots.fan(mixture, X, coverages=0.5).collections) == 1


def legend_hides(ax):
    """Whether the legend lies over the top of the data, once all is where it will be."""
    ax.figure.set_layout_engine("constrained")
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    return max(map(np.max, heights(ax))) > ax.transData.inverted().transform(box.p0)[1]


def heights(ax):
    yield from (path.vertices[:, 1] for area in ax.collections for path in area.get_paths() if len(path) > 30)
    yield from (np.asarray(points.get_offsets())[:, 1] for points in ax.collections if len(points.get_offsets()) > 1)
    yield from ([bar.get_height()] for bar in ax.patches)


@pytest.mark.parametrize("name", ["fan", "draws", "pit_histogram"])
def test_a_legend_hides_no_data(name):
    # Data that leave no room for it anywhere.
    x = np.linspace(-1, 1, 400).astype("float32")
    y = np.random.default_rng(0).uniform(-4, 4, 400)
    ax = PLOTS[name](normal_model(3.0), x[:, np.newaxis], y, ax=plt.subplots(figsize=(3.6, 3.0))[1])
    assert not legend_hides(ax)
    assert ax.get_ylim()[1] < 2.6 * max(map(np.max, heights(ax)))


def test_limits_that_are_set_stay_beside_a_legend():
    axes = plt.subplots()[1]
    axes.set_ylim(-2.0, 2.0)
    assert plots.fan(normal_model(3.0), X, y=np.zeros(N), ax=axes).get_ylim() == (-2.0, 2.0)


# How good it is


def test_error_vectors():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=(2, 9, 2))
    ax = plots.error_vectors(y_true, y_pred, color="red")
    (arrows,) = ax.collections
    np.testing.assert_allclose(arrows.get_offsets(), y_true)
    np.testing.assert_allclose(np.c_[arrows.U, arrows.V], y_pred - y_true)
    assert (arrows.angles, arrows.scale_units, arrows.scale) == ("xy", "xy", 1.0)
    assert tuple(arrows.get_facecolor()[0]) == (1.0, 0.0, 0.0, 1.0)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    points = np.concatenate([y_true, y_pred])
    assert np.all((points >= [left, bottom]) & (points <= [right, top]))


def test_error_vectors_of_a_mixture_lead_to_its_mean():
    mixture = mixture_of(("normal", "full", (2,)))
    ax = plots.error_vectors(pd.DataFrame({"east": np.zeros(5), "north": np.zeros(5)}), mixture)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("east", "north")
    (arrows,) = ax.collections
    np.testing.assert_allclose(np.c_[arrows.U, arrows.V], mixture.mean(), rtol=1e-5)


@pytest.fixture(scope="module")
def rows():
    """Rows x, targets y ~ N(x, 1) and their probability integral transform under `normal_model(1.3)`."""
    x = np.random.default_rng(0).normal(size=(400, 1)).astype("float32")
    y = x[:, 0] + np.random.default_rng(1).normal(size=400)
    return x, y, scipy.stats.norm(x[:, 0], 1.3).cdf(y)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_pit_histogram(rows, shape):
    x, y, transform = rows
    ax = plots.pit_histogram(normal_model(1.3), x, y.reshape(shape), bins=8)
    heights = [bar.get_height() for bar in ax.containers[0]]
    np.testing.assert_allclose(heights, np.histogram(transform, 8, (0, 1))[0] / 50.0)
    np.testing.assert_allclose([bar.get_x() for bar in ax.containers[0]], np.arange(8) / 8)
    band = [segment[0, 1] for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(band, scipy.stats.binom(400, 1 / 8).ppf([0.005, 0.995]) / 50.0)


def test_reliability(rows):
    x, y, transform = rows
    ax = plots.reliability(normal_model(1.3), x, y)
    nominal, observed = ax.lines[-1].get_data()
    np.testing.assert_array_equal(nominal, np.linspace(0, 1, 101))
    inside = [np.mean((transform >= 0.5 - c / 2) & (transform <= 0.5 + c / 2)) for c in nominal]
    np.testing.assert_allclose(observed, inside, atol=1 / 400)
    vertices = ax.collections[0].get_paths()[0].vertices
    at_half = np.unique(vertices[np.isclose(vertices[:, 0], 0.5), 1])
    np.testing.assert_allclose(at_half, scipy.stats.binom(400, 0.5).ppf([0.005, 0.995]) / 400)
    plots.reliability(normal_model(0.7), x, y, ax=ax, label="other")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [diagnostics.BAND_LABEL, "model", "other"]
    assert ax.lines[-1].get_color() != ax.lines[-2].get_color()


@pytest.mark.parametrize("count", [1, 7, 400, 1_000_000])
def test_binomial_interval(count):
    probabilities = np.array([0.0, 1e-5, 0.05, 0.5, 0.99, 1.0])
    expected = [scipy.stats.binom(count, probabilities).ppf(level) for level in (0.005, 0.995)]
    np.testing.assert_array_equal(diagnostics._binomial_interval(count, probabilities), expected)


@every_calibration_plot
def test_calibration_counts_each_coordinate(plot):
    mixture = mixture_of(("normal", "full", (3,)), (40,))
    y = np.random.default_rng(1).normal(size=(40, 3)).astype("float32")
    features = np.zeros((40, 2, 5, 1))  # of any shape: the mixture does not need them
    columns = tfmdn.Mixture(
        tfd.Categorical(logits=tf.tile(mixture.mixture_distribution.logits, [3, 1])),
        tfd.Normal(
            *(
                tf.concat([getattr(mixture.marginal(axis).components_distribution, name) for axis in range(3)], 0)
                for name in ("loc", "scale")
            )
        ),
    )
    assert_drawn_alike(plot(mixture, features, y), plot(columns, np.zeros(120), y.T.ravel()))


@every_calibration_plot
def test_targets_of_nan_and_masked_steps_do_not_count(plot, monkeypatch):
    monkeypatch.setattr(data_lib, "BATCH_SIZE", 3)
    inputs = keras.Input((6, 2))
    sequences = keras.Model(inputs, tfmdn.MDNLayer(3)(keras.layers.Masking()(inputs)))
    x = np.random.default_rng(0).normal(size=(4, 6, 2)).astype("float32")
    y = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    x[:2, 4:] = 0.0
    y[3, 0] = np.nan
    mixture, counts = sequences(x), np.any(x != 0, -1) & ~np.isnan(y)
    counted = tfmdn.Mixture(
        tfd.Categorical(logits=mixture.mixture_distribution.logits[counts]),
        tfd.Normal(mixture.components_distribution.loc[counts], mixture.components_distribution.scale[counts]),
    )
    expected = plot(counted, np.zeros(counts.sum()), y[counts])
    assert_drawn_alike(plot(sequences, x, y), expected)
    assert_drawn_alike(plot(mixture, x, y), expected)


def test_models_of_several_inputs():
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((1,), name="b")}
    model = keras.Model(inputs, tfmdn.MDNLayer(3)(keras.layers.Concatenate()([inputs["a"], inputs["b"]])))
    rng = np.random.default_rng(0)
    x, y = {"a": rng.normal(size=(50, 2)), "b": rng.normal(size=(50, 1))}, rng.normal(size=50)
    of_mixture = plots.pit_histogram(model({key: value.astype("float32") for key, value in x.items()}), x, y)
    assert_drawn_alike(plots.pit_histogram(model, x, y), of_mixture)


def test_training_curves():
    history = {"loss": [3.0, 2.0, 1.5, 1.4], "mae": [1.0, 0.9, 0.8, 0.7], "val_loss": [2.5, 1.9]}
    ax = plots.training_curves(history)
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == set(history)
    for name, values in history.items():
        np.testing.assert_array_equal(lines[name].get_ydata(), values)
    np.testing.assert_array_equal(lines["loss"].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(lines["val_loss"].get_xdata(), [2, 4])
    assert np.array_equal(lines["loss"].get_color(), lines["val_loss"].get_color())
    assert not np.array_equal(lines["loss"].get_color(), lines["mae"].get_color())
    assert [lines[name].get_linestyle() for name in ("loss", "val_loss")] == ["-", "--"]
    assert plots.training_curves({"loss": [1.0]}).get_ylabel() == "loss"


def test_training_curves_of_a_keras_history():
    history = keras.callbacks.History()
    history.on_train_begin()
    history.set_model(keras.Sequential())
    for epoch in (5, 6, 7):  # as with initial_epoch=5
        history.on_epoch_end(epoch, {"loss": 1.0 / epoch})
    (line,) = plots.training_curves(history).lines
    np.testing.assert_array_equal(line.get_xdata(), [6, 7, 8])
    np.testing.assert_allclose(line.get_ydata(), [1 / 5, 1 / 6, 1 / 7])
    history.history["val_loss"] = [2.0]  # with validation_freq=3, at the end of epoch 6
    np.testing.assert_array_equal(plots.training_curves(history).lines[1].get_xdata(), [6])


# Errors


@every_plot_against_x
def test_vector_events_need_an_output(plot):
    layer = tfmdn.MDNLayer(3, event_shape=2)
    with pytest.raises(ValueError, match=r"`output` must say which coordinate.*shape \(2,\)"):
        plot(layer, X, np.zeros(N))
    one = plot(layer, X, np.zeros(N), output=1)
    assert_drawn_alike(one, plot(lambda x: layer(x).marginal(1), X, np.zeros(N)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((N, 2)), "`feature` must say which feature stands on the axis: one of 0, 1. Received: feature=None"),
        (np.zeros((N, 1, 1)), r"No feature of `x` can stand on an axis.*shape \(7, 1, 1\)"),
        (np.zeros(0), "`x` must have at least one row"),
        (0.0, "`x` must be rows of features. Received: x=0.0"),
    ],
)
def test_rows_of_one_feature_are_asked_for(x, message):
    for name, plot in PLANE.items():
        if name != "slices" or not np.size(x) or not np.ndim(x):  # which shows rows of any shape
            with pytest.raises(ValueError, match=message):
                plot(normal_model(), x, np.zeros(N))


@pytest.mark.parametrize("name", ["slices", "draws", "fan", "pit_histogram", "reliability"])
@pytest.mark.parametrize("y", [np.zeros(N - 1), np.zeros(N + 1), 0.0])
def test_one_target_for_each_row_is_asked_for(name, y):
    with pytest.raises(ValueError, match=r"`(y|truth)` must .*Received: (y|truth) of shape"):
        PLOTS[name](normal_model(), X, y)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda x: x, TypeError, "or return one when it is called with rows of x. Received: ndarray"),
        (None, TypeError, "Received: NoneType"),
        (tfd.Normal(np.zeros(N), 1.0), TypeError, "Received: Normal"),
        (mixture_of(("normal", "diag", ()), (3,)), ValueError, r"each of 7 rows.*batch shape \(3,\)"),
        (lambda x: mixture_of(("normal", "diag", ()), (3,)), ValueError, r"each of 7 rows.*batch shape \(3,\)"),
    ],
)
@pytest.mark.parametrize("name", ["density", "draws", "pit_histogram"])
def test_models_that_do_not_fit(name, model, error, message):
    with pytest.raises(error, match=message):
        PLOTS[name](model, X, np.zeros(N))


def test_other_errors():
    with pytest.raises(ValueError, match=r"one distribution for each row of x.*\(7, 3\)"):
        plots.density(mixture_of(("normal", "diag", ()), (N, 3)), X, GRID)
    with pytest.raises(ValueError, match=r"`parameter` must be one of 'prob', 'loc', 'scale'\. Received"):
        plots.components(normal_model(), X, "mu")
    with pytest.raises(ValueError, match="`num_samples` must be a positive integer"):
        plots.draws(normal_model(), X, num_samples=0)
    with pytest.raises(ValueError, match="`coverages` must lie between 0 and 1"):
        plots.fan(normal_model(), X, coverages=[0.5, 95])
    with pytest.raises(ValueError, match="`bins` must be a positive integer"):
        plots.pit_histogram(normal_model(), X, X, bins=0)
    with pytest.raises(ValueError, match="There must be a target that is a number"):
        plots.reliability(normal_model(), X, np.full(N, np.nan))
    with pytest.raises(ValueError, match="`x` must have at least one row"):
        plots.pit_histogram(normal_model(), np.zeros((0, 1)), np.zeros(0))
    for y_true, y_pred in (((5, 2), (4, 2)), ((5, 3), (5, 3)), ((0, 2), (0, 2)), ((2,), (2,))):
        with pytest.raises(ValueError, match=r"of shape \[n, 2\].*Received: y_true of shape"):
            plots.error_vectors(np.zeros(y_true), np.zeros(y_pred))
    for history in ({}, {"loss": []}, None, keras.callbacks.History):
        with pytest.raises(ValueError, match=r"`history` must be what `fit` returns.*Received: history="):
            plots.training_curves(history)


def test_density_shows_the_probability_of_limits():
    def model(x):
        components = tfmdn.distributions.CoarsenedNormal(tf.cast(x, tf.float32), 1.0, low=0.0)
        return tfmdn.Mixture(tfd.Categorical(logits=tf.zeros_like(components.loc)), components)

    x = np.linspace(-2.0, 2.0, 9)
    mesh, strip = tfmdn.plots.density(model, x[::-1], np.linspace(-1.0, 4.0, 30)).collections[:2]
    probabilities = scipy.stats.norm.cdf(-x)
    expected = mesh.cmap(0.5 * (probabilities[:-1] + probabilities[1:]))
    np.testing.assert_allclose(strip.get_colors(), expected, atol=0.01)
    np.testing.assert_allclose(strip.get_segments()[0], [[-2.0, 0.0], [-1.5, 0.0]])
