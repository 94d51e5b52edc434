"""What figures take for x: frames, several features, images, dates; and what stands on the axis."""

import datetime
import sys

import keras
import matplotlib
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats
import tensorflow_probability as tfp

import tfmdn
from tfmdn import plots
from tfmdn.plots import columns, reading
from tfmdn.plots import data as data_lib

matplotlib.use("Agg")
import matplotlib.dates

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
GRID = np.linspace(-4.0, 9.0, 27)
N = 9
CITIES = ["Rome", "Bonn", "Rome", "Oslo", "Rome", "Bonn", "Rome", "Oslo", "Bonn"]
AGES = [31.5, np.nan, 12.25, 45.0, 70.5, 22.0, 58.0, 64.0, 39.0]
DAYS = pd.date_range("2024-02-27", periods=N, freq="D", tz="Europe/Berlin")
FRAME = pd.DataFrame(
    {
        "age": AGES,
        "city": CITIES,
        "day": DAYS[::-1],
        "member": np.arange(N) % 3 == 0,
        "size": pd.Categorical(["S", "L", "M"] * 3, ["S", "M", "L"], ordered=True),
        "visits": pd.array([3, 1, None, 4, 1, 5, 9, 2, 6], "Int64"),
        "wait": pd.to_timedelta(np.arange(N), "h"),
        "constant": 1,
    }
)
TARGETS = pd.Series(np.linspace(0.0, 1.0, N), name="rain")
SIZES = ["S", "M", "L"]
POLARS = pl.from_pandas(FRAME).with_columns(pl.col("size").cast(pl.Enum(SIZES)))
FRAMES = {"pandas": FRAME, "polars": POLARS, "pyarrow": POLARS.to_arrow()}
CITY_EFFECT = {"Rome": 0.0, "Bonn": 1.0, "Oslo": 3.0}


class Regressor:
    """As an `MDNRegressor` that was fitted to a frame: y ~ N(age / 10 + city's effect, 1); with two outputs also -y."""

    def __init__(self, num_outputs=1):
        self.num_outputs = num_outputs
        self.seen = []

    def predict_dist(self, X):
        self.seen.append(X)
        names = X.column_names if hasattr(X, "column_names") else list(X.columns)
        assert names == list(FRAME.columns)
        ages, cities = (
            X[name].to_pylist() if hasattr(X[name], "to_pylist") else X[name].to_list() for name in ("age", "city")
        )
        loc = np.array([expected_loc(age, city) for age, city in zip(ages, cities)])[:, np.newaxis]
        components = tfd.Normal(loc, np.float64(1.0))
        if self.num_outputs == 2:
            components = tfd.MultivariateNormalDiag(np.stack([loc, -loc], -1), np.ones(2))
        return tfmdn.Mixture(tfd.Categorical(logits=0.0 * loc), components)


def expected_loc(age, city):
    return (0.0 if age is None or np.isnan(age) else age / 10.0) + CITY_EFFECT[city]


def mesh_of(ax):
    return np.asarray(ax.collections[0].get_array())


def ticks_of(ax):
    return {label.get_text(): place for label, place in zip(ax.get_xticklabels(), ax.get_xticks())}


@pytest.mark.parametrize("kind", FRAMES)
def test_several_features_of_a_frame(kind):
    x, model = FRAMES[kind], Regressor()
    # A number: in even steps, while the others are the most frequent or the middle ones.
    ax = plots.density(model, x, GRID, feature="age")
    ages = np.linspace(12.25, 70.5, 200)
    np.testing.assert_allclose(mesh_of(ax), scipy.stats.norm.pdf(GRID[:, np.newaxis], ages / 10.0), atol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "y")
    assert type(model.seen[0]) is type(x)
    held = nw.from_native(model.seen[0], eager_only=True)
    assert held.schema == nw.from_native(x, eager_only=True).schema
    held = held.to_polars()
    (typical,) = held.drop("age").unique().to_dicts()
    assert typical["day"] == FRAME["day"].median()
    assert (typical["city"], typical["member"], typical["wait"]) == ("Rome", False, datetime.timedelta(hours=4))
    assert typical["visits"] == sorted(FRAME["visits"].dropna())[3]
    # A text: of each category, in order, the others as in a row; or at values.
    for at, age in ((3, 45.0), ({"age": 20.5}, 20.5), (FRAME.iloc[3][["age"]], 45.0)):
        ax = plots.density(model, x, GRID, feature="city", at=at)
        loc = [expected_loc(age, city) for city in ("Bonn", "Oslo", "Rome")]
        np.testing.assert_allclose(mesh_of(ax), scipy.stats.norm.pdf(GRID[:, np.newaxis], loc), atol=1e-6)
        assert ticks_of(ax) == {"Bonn": 0, "Oslo": 1, "Rome": 2}
    for at in ({"visits": 2.5, "city": None}, {"age": None, "day": DAYS[3], "wait": datetime.timedelta(hours=1)}):
        seen = nw.from_native(reading.rows_of(x).held("size", at).part(slice(1)), eager_only=True)
        for name, value in at.items():
            (shown,) = seen[name].to_list()
            assert pd.isna(shown) if value is None else shown == value
    in_order = SIZES if kind != "pyarrow" else sorted(SIZES)  # whose dictionaries have none
    assert list(ticks_of(plots.components(model, x, feature="size"))) == in_order
    assert list(ticks_of(plots.components(model, x, feature=3))) == ["False", "True"]
    assert list(ticks_of(plots.components(model, x, feature="city", at={"size": "L", "day": DAYS[0]}))) == [
        "Bonn",
        "Oslo",
        "Rome",
    ]
    # Dates: of the wall clock, and an axis of matplotlib's for them.
    ax = plots.fan(model, x, y=TARGETS, feature="day")
    (median,) = ax.lines
    np.testing.assert_allclose(median.get_xdata(), matplotlib.dates.date2num(DAYS.tz_localize(None)))
    np.testing.assert_allclose(median.get_ydata(), expected_loc(39.0, "Rome"), atol=1e-6)
    assert isinstance(ax.xaxis.get_major_locator(), matplotlib.dates.DateLocator)
    assert ax.get_ylabel() == "rain"
    # What the rows are, beside each other in a category; those whose feature is not known are not there.
    data, draws = (
        points.get_offsets() for points in plots.draws(model, x, TARGETS, feature="city", seed=1).collections
    )
    np.testing.assert_array_equal(np.round(data[:, 0]), [["Bonn", "Oslo", "Rome"].index(city) for city in CITIES])
    np.testing.assert_array_equal(data[:, 0], draws[:, 0])
    np.testing.assert_array_equal(data[:, 1], TARGETS)
    counts = plots.hexbin(model, x, num_samples=5, seed=1, feature="age").collections[0].get_array()
    assert counts.sum() == 5 * (N - 1)
    assert plots.hexbin(model, x, seed=1, feature="wait").get_xlabel() == "wait [hours]"


@pytest.mark.parametrize("kind", FRAMES)
def test_rows_of_a_frame_are_called_by_what_differs(kind):
    def names(x, **kwargs):
        ax = plots.slices(Regressor(), x, GRID, components=False, **kwargs)
        return [text.get_text() for text in ax.get_legend().get_texts()]

    x = FRAMES[kind][4:6]
    assert names(x) == (["row 4", "row 5"] if kind == "pandas" else ["row 0", "row 1"])
    assert names(x, feature="day") == ["day = 2024-03-02", "day = 2024-03-01"]
    assert names(x, feature="wait") == ["wait = 4 hours", "wait = 5 hours"]
    assert names(reading.rows_of(x).held("city", 0).part(slice(2))) == ["city = Bonn", "city = Rome"]


def test_outputs_of_a_frame():
    model, targets = Regressor(num_outputs=2), pd.DataFrame({"up": TARGETS, "down": -TARGETS})
    ax = plots.draws(model, FRAME, targets, feature="age", output="down")
    assert ax.get_ylabel() == "down"
    np.testing.assert_array_equal(ax.collections[0].get_offsets()[:, 1], -TARGETS)
    assert plots.hexbin(model, FRAME, feature="age", output=1).get_ylabel() == "y[1]"
    model.target_names_ = ["up", "down"]
    ax = plots.density(model, FRAME, GRID, feature="city", output="down", at=3)
    expected = scipy.stats.norm.pdf(
        GRID[:, np.newaxis], [-expected_loc(45.0, city) for city in ("Bonn", "Oslo", "Rome")]
    )
    np.testing.assert_allclose(mesh_of(ax), expected, atol=1e-6)
    ax = plots.joint_density(model, FRAME[:1], GRID, GRID, ("down", 0), truth=[0.5, -0.5])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("down", "up")
    assert ax.lines[0].get_xydata().tolist() == [[-0.5, 0.5]]
    with pytest.raises(ValueError, match=r"`output` must be one of 'up', 'down'\. Received: output='left'"):
        plots.density(model, FRAME, GRID, feature="age", output="left")


@pytest.mark.parametrize("plot", [plots.pit_histogram, plots.reliability])
def test_calibration_on_a_frame_some_rows_at_a_time(plot, monkeypatch):
    def shown(ax):
        return np.concatenate(
            [np.r_[line.get_ydata()] for line in ax.lines] + [[bar.get_height() for bar in ax.patches]]
        )

    whole = plot(Regressor(), FRAME, TARGETS)
    monkeypatch.setattr(data_lib, "BATCH_SIZE", 4)
    model = Regressor()
    ax = plot(model, POLARS, TARGETS)
    assert [len(part) for part in model.seen] == [4, 4, 1]
    np.testing.assert_allclose(shown(ax), shown(whole))


def test_several_features_of_arrays():
    seen = []

    def model(x):
        seen.append(x)
        return tfmdn.Mixture(tfd.Categorical(logits=0.0 * x[:, :1]), tfd.Normal(x[:, 1:2] + 2.0 * x[:, 2:3], 1.0))

    x = np.array([[0, 1.5, 2, 0], [0, 2.5, 3, 0], [0, 7.25, 1, 1], [0, np.nan, 2, 1]])
    ax = plots.density(model, x, GRID, feature=1)
    loc = np.linspace(1.5, 7.25, 200) + 4.0
    np.testing.assert_allclose(mesh_of(ax), scipy.stats.norm.pdf(GRID[:, np.newaxis], loc), atol=1e-6)
    assert seen[0].dtype == "float32"
    assert ax.get_xlabel() == "x[1]"
    ax = plots.components(model, x, feature=-2, at={1: 0.5})  # whole numbers: as the rows have them
    np.testing.assert_allclose(ax.collections[0].get_segments(), [[[1.0, 2.5], [2.0, 4.5]], [[2.0, 4.5], [3.0, 6.5]]])
    ax = plots.components(model, np.array([[0, 1, 1], [0, 1, 2]]), feature=2, at={1: 0.5})
    np.testing.assert_allclose(ax.collections[0].get_segments(), [[[1.0, 2.5], [2.0, 4.5]]])
    regressor = type("Regressor", (), {"predict_dist": staticmethod(model)})()
    plots.components(regressor, x, feature=1)
    assert seen[-1].dtype == "float64"
    table = plots.components(keras.Sequential([keras.layers.Dense(2), tfmdn.MDNLayer(2)]), pd.DataFrame(x), feature=1)
    assert table.get_xlabel() == "1"


def test_the_inputs_of_a_model():
    images, dose = keras.Input((4, 4, 1), name="image"), keras.Input((1,), name="dose")
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(images), dose])
    both = keras.Model({"image": images, "dose": dose}, tfmdn.MDNLayer(2)(flat))
    rng = np.random.default_rng(0)
    x, y = {"image": rng.normal(size=(7, 4, 4, 1)), "dose": rng.normal(size=(7, 1))}, np.zeros(7)
    ax = plots.fan(both, x)  # only one of them can stand on an axis
    assert ax.get_xlabel() == "dose"
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.linspace(x["dose"].min(), x["dose"].max(), 200), rtol=1e-6)
    dose, loc = plots.components(both, x, feature="dose", at=2).collections[0].get_segments()[-1][1]
    expected = both({"image": np.float32(x["image"][[2]]), "dose": np.float32([[dose]])})
    np.testing.assert_allclose(loc, expected.components_distribution.loc[0, 0], rtol=1e-5)
    at = {"image": np.zeros((4, 4, 1)), "dose": 1.0}
    dose, loc = plots.components(both, x, at=at).collections[0].get_segments()[0][0]
    expected = both({"image": np.zeros((1, 4, 4, 1), "float32"), "dose": np.float32([[dose]])})
    np.testing.assert_allclose(loc, expected.components_distribution.loc[0, 0], rtol=1e-5)
    assert len(plots.draws(both, x, y, feature="dose", seed=1).collections[1].get_offsets()) == 7
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), tfmdn.MDNLayer(2)])
    names = [text.get_text() for text in plots.slices(model, x["image"][:2], GRID).get_legend().get_texts()]
    assert names[:2] == ["row 0", "row 1"]
    assert plots.pit_histogram(model, x["image"], y).has_data()
    with pytest.raises(ValueError, match=r"No feature of `x` can stand on an axis.*shape \(7, 4, 4, 1\)"):
        plots.density(model, x["image"], GRID)
    assert plots.density(model(x["image"]), np.arange(7.0), GRID).has_data()


def test_dates_and_texts_of_arrays():
    mixture = tfmdn.Mixture(
        tfd.Categorical(logits=np.zeros((N, 1))), tfd.Normal(np.arange(N)[:, np.newaxis] / 2.0, 1.0)
    )
    for days in (DAYS.tz_localize(None).to_numpy(), FRAME["day"][::-1], [day.date() for day in DAYS]):
        ax = plots.fan(mixture, days)
        np.testing.assert_allclose(ax.lines[0].get_xdata(), matplotlib.dates.date2num(DAYS.tz_localize(None)))
        assert isinstance(ax.xaxis.get_major_locator(), matplotlib.dates.DateLocator)
    ax = plots.density(mixture, FRAME["day"].rename("$day$"), GRID)
    assert ax.xaxis.label.get_text() == r"\$day\$"  # no formula
    ax = plots.draws(mixture, np.array(CITIES), seed=1)
    assert ticks_of(ax) == {"Bonn": 0, "Oslo": 1, "Rome": 2}


@pytest.mark.parametrize(
    ("values", "texts", "unit"),
    [
        (np.array([1.5, np.nan]), ["1.5", "nan"], ""),
        (np.array([True, False]), ["True", "False"], ""),
        (np.array(["2024-02-29T12:30", "NaT"], "datetime64[s]"), ["2024-02-29 12:30:00", "NaT"], ""),
        (np.array([90, 45], "timedelta64[s]"), ["90 seconds", "45 seconds"], "seconds"),
        (np.array([datetime.time(18), None], object), ["18 hours", "nan hours"], "hours"),
        (np.array([datetime.timedelta(days=3), datetime.timedelta(hours=12)], object), ["3 days", "0.5 days"], "days"),
        (np.array([3, None], object), ["3", "nan"], ""),
        (np.array(["a", None, pd.NA, 21 * "b"], object), ["a", "missing", "missing", 19 * "b" + "…"], ""),
    ],
    ids=["floats", "booleans", "dates", "durations", "times", "timedeltas", "numbers", "texts"],
)
def test_kinds_of_columns(values, texts, unit):
    column = columns.of_array(values)
    assert (column.texts(), column.unit) == (texts, unit)


def test_many_values_and_many_categories():
    rng = np.random.default_rng(0)
    column = columns.of_array(np.array([f"{number:02d}" for number in range(40)] + ["05", "07"]))
    assert column.steps()[1].tolist() == [*range(30)]
    fitted = column.fitted()
    assert len(fitted.categories) == columns.MOST_CATEGORIES + 1
    assert fitted.categories[-1] == columns.OTHER
    assert np.sum(fitted.values == columns.OTHER) == 10
    whole = columns.of_array(rng.permutation(5_000))
    values, rows = whole.steps()
    assert values is None
    np.testing.assert_allclose(whole.values[rows], np.linspace(0, 4_999, columns.STEPS), atol=0.5)


def test_errors_of_several_features(monkeypatch):
    model = Regressor()
    for plot in (
        lambda **kwargs: plots.density(model, FRAME, GRID, **kwargs),
        lambda **kwargs: plots.draws(model, FRAME, **kwargs),
    ):
        with pytest.raises(ValueError, match=r"`feature` must say which feature .*: one of 'age', 'city', 'day'"):
            plot()
        with pytest.raises(ValueError, match=r"`feature` must be one of 'age', .*\. Received: feature='town'"):
            plot(feature="town")
    with pytest.raises(ValueError, match=r"`at` must be one of 'age'.*Received: at='town'"):
        plots.fan(model, FRAME, feature="age", at={"town": "Rome"})
    for at in (9, FRAME[:1], "Rome"):
        with pytest.raises(ValueError, match="`at` must be None, the number of one of the 9 rows of `x`, or values by"):
            plots.fan(model, FRAME, feature="age", at=at)
    with pytest.raises(ValueError, match="Received: a `Mixture`"):
        plots.fan(model.predict_dist(FRAME), FRAME, feature="age")
    with pytest.raises(ValueError, match=r"other values in the columns \['city', 'day'"):
        plots.slices(tfmdn.MDNLayer(2), FRAME, GRID)
    for plot in (plots.fan, plots.hexbin):
        with pytest.raises(ValueError, match="all are missing"):
            plot(model, FRAME.assign(wait=np.nan), feature="wait")
    with pytest.raises(ValueError, match="`output` must be None or 0 for scalar events"):
        plots.fan(model, FRAME, feature="age", output=1)
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"pip install 'tfmdn\[plots\]'"):
        plots.fan(model, FRAME, feature="age")


# Two outputs together


def plane_model(loc, scale_tril, probs):
    components = tfd.MultivariateNormalTriL(np.asarray(loc)[np.newaxis], np.asarray(scale_tril)[np.newaxis])
    return tfmdn.Mixture(tfd.Categorical(probs=np.asarray(probs)[np.newaxis]), components)


def test_joint_density():
    loc, probs = np.array([[-1.0, 0.0, 5.0], [2.0, 1.0, 7.0]]), [0.25, 0.75]
    trils = np.array([[[1.0, 0, 0], [0.8, 0.6, 0], [1.0, 1.0, 1.0]], [[0.5, 0, 0], [0, 2.0, 0], [0, 0, 1.0]]])
    y1, y2 = np.linspace(-4.0, 4.0, 21), np.linspace(-6.0, 8.0, 31)
    ax = plots.joint_density(plane_model(loc, trils, probs), np.zeros((1, 5)), y1[::-1], y2, outputs=(1, 0))
    points = np.stack(np.meshgrid(y1, y2), -1)
    expected = 0.0
    for weight, centre, tril in zip(probs, loc, trils):
        covariance = (tril @ tril.T)[np.ix_([1, 0], [1, 0])]
        expected = expected + weight * scipy.stats.multivariate_normal(centre[[1, 0]], covariance).pdf(points)
    np.testing.assert_allclose(mesh_of(ax), expected, rtol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("y[1]", "y[0]")


def test_smallest_regions_of_a_normal():
    model = plane_model([[0.0, 0.0]], [[[1.0, 0.0], [1.0, 2.0]]], [1.0])
    ax = plots.joint_density(model, [[0.0]], np.linspace(-5, 5, 40), np.linspace(-9, 9, 40), coverages=(0.5, 0.9))
    (lines,) = (one for one in ax.collections if hasattr(one, "levels"))
    peak = 1.0 / (4.0 * np.pi)  # the squared distance is exponentially distributed
    np.testing.assert_allclose(lines.levels, [0.1 * peak, 0.5 * peak], rtol=0.1)
    assert sorted(text.get_text() for text in ax.texts) == ["50 %", "90 %"]


def test_joint_density_of_values_with_a_probability():
    loc, y = np.array([[[0.5, -1.0]]]), np.linspace(-1.0, 3.0, 17)
    rain = tfmdn.distributions.CoarsenedNormal(loc, np.float64(1.0), low=0.0)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((1, 1))), tfd.Independent(rain, 1))
    ax = plots.joint_density(mixture, [[0.0]], y, y)
    mesh, vertical, horizontal = ax.collections
    inside = scipy.stats.norm.pdf(y[:, np.newaxis], -1.0) * scipy.stats.norm.pdf(y, 0.5)
    np.testing.assert_allclose(mesh_of(ax), np.where((y < 0) | (y[:, np.newaxis] < 0), 0.0, inside), atol=1e-4)
    for strip, probability, axis in (
        (vertical, scipy.stats.norm.cdf(-0.5), 0),
        (horizontal, scipy.stats.norm.cdf(1.0), 1),
    ):
        np.testing.assert_allclose(
            strip.get_colors(), np.tile(mesh.cmap(probability), (len(strip.get_colors()), 1)), atol=0.01
        )
        assert np.all(np.array(strip.get_segments())[:, :, axis] == 0.0)
    counts = tfmdn.distributions.CoarsenedNormal(loc, np.float64(1.0), resolution=1.0)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((1, 1))), tfd.Independent(counts, 1))
    ax = plots.joint_density(mixture, [[0.0]], [0.0, 1.0], [0.0, 1.0])
    of_each = [np.diff(scipy.stats.norm.cdf([-0.5, 0.5, 1.5], centre)) for centre in (0.5, -1.0)]
    np.testing.assert_allclose(mesh_of(ax), np.outer(of_each[1], of_each[0]), rtol=1e-5)
    assert len(ax.collections) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((2, 1))}, "`x` must be one row.*Received: 2 rows"),
        ({"outputs": (0, 1, 2)}, "`outputs` must be two outputs"),
        ({"outputs": (1, -1)}, "two different outputs"),
        ({"outputs": (0, 2)}, "`outputs` must be an integer from -2 to 1"),
        ({"truth": [1.0, 2.0, 3.0]}, "`truth` must have all 2 outputs"),
        ({"coverages": 90}, "`coverages` must lie between 0 and 1"),
        ({"model": tfmdn.MDNLayer(2)}, r"A joint density is of two outputs of one row.*event shape \(\)"),
    ],
)
def test_errors_of_the_joint_density(arguments, message):
    defaults = {"model": tfmdn.MDNLayer(2, event_shape=2), "x": np.zeros((1, 1)), "y1": GRID, "y2": GRID}
    with pytest.raises(ValueError, match=message):
        plots.joint_density(**{**defaults, **arguments})


def test_slices_show_the_probability_of_limits():
    components = tfmdn.distributions.CoarsenedNormal(np.array([[0.5], [-1.0]]), np.float64(1.0), low=0.0)
    mixture = tfmdn.Mixture(tfd.Categorical(logits=np.zeros((2, 1))), components)
    y = np.linspace(0.0, 4.0, 9)
    ax = plots.slices(mixture, [0.5, -1.0], y, components=False)
    for row, loc in enumerate((0.5, -1.0)):
        np.testing.assert_allclose(ax.lines[row].get_ydata(), scipy.stats.norm.pdf(y, loc), atol=1e-4)
        np.testing.assert_allclose(ax.lines[2 + row].get_xydata(), [[0.0, 0.0], [0.0, scipy.stats.norm.cdf(-loc)]])
    assert ax.get_legend().get_texts()[-1].get_text() == "P(y = 0)"
