"""The page of a regressor: what it says is NumPy's, whatever stands in the data is text, and a browser shows it."""

import base64
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmdn
from tfmdn.plots import effects as effects_lib
from tfmdn.plots import reading, report
from tfmdn.scores.targets import TargetFormat
from tfmdn.tabular import evaluation

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
RNG = np.random.default_rng(0)
N = 60
EVIL, TAG = "<script>console.log('evil')</script>", "cost in <b>$</b> & $"
CITIES = {EVIL: 0.0, "Bonn": 2.0, None: 5.0}
CITY = RNG.permutation([EVIL, "Bonn", None] * (N // 3))
FRAME = pd.DataFrame(
    {
        "city": CITY,
        "day": pd.date_range("2024-01-30", periods=N).strftime("%Y-%m-%d"),
        TAG: np.where(np.arange(N) % 9, np.linspace(-1.0, 1.0, N), np.nan),
        "noise": RNG.integers(0, 2, N) == 1,
    },
    index=range(1000, 1000 + N),
)
EFFECT = pd.Series(FRAME["city"]).map(lambda city: CITIES.get(city, 5.0)).to_numpy()
LOC = EFFECT + np.nan_to_num(FRAME[TAG].to_numpy(), nan=3.0)
Y = LOC + RNG.normal(size=N)
Y[7] = LOC[7] + 9.0
PLAIN = TargetFormat()


class Regressor:
    """As an `MDNRegressor` of a frame: y ~ N(city's effect + cost, 1), and of two outputs also -y."""

    def __init__(self, num_outputs=1, form=PLAIN):
        self.num_outputs, self.form = num_outputs, form

    def predict(self, X):
        cost = np.nan_to_num(X[TAG].to_numpy().astype(float), nan=3.0)
        loc = np.array([CITIES.get(city, 5.0) for city in X["city"]]) + cost
        return loc if self.num_outputs == 1 else np.stack([loc, -loc], -1)

    def predict_dist(self, X):
        components = tfd.Normal(self.predict(X)[:, np.newaxis], tf.constant(1.0, tf.float64))
        components = components if self.num_outputs == 1 else tfd.Independent(components, 1)
        return tfmdn.Mixture(tfd.Categorical(logits=tf.zeros([len(X), 1], tf.float64)), components)

    def predict_quantiles(self, X, quantiles):
        return np.moveaxis(self.predict_dist(X).quantile(quantiles).numpy(), 0, -1)

    def evaluate(self, X, y):
        values = [[-5.0, 0.0, 5.0]] * self.num_outputs
        names = ["visits"] if self.num_outputs == 1 else ["visits", "sales"]
        return evaluation.evaluation([self.predict_dist(X)], y, self.form, np.ones(len(y)), values, names)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.write(Regressor(), FRAME, Y, PLAIN, path)
    return path


@pytest.fixture(scope="module")
def content(path):
    return path.read_text(encoding="utf-8")


def headings(content):
    return re.findall(r"<h\d[^>]*>(.*?)</h\d>", content)


def pictures(content):
    return [
        base64.b64decode(data).decode() for data in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', content)
    ]


SECTIONS = ["In short", "Are the probabilities right?", "Predictions and targets", "What each feature does"]


def test_what_it_says(content):
    # The features of no effect are left out, and the strongest comes first.
    escaped = "cost in &lt;b&gt;$&lt;/b&gt; &amp; $"
    expected = ["How good are the predictions of visits?", *SECTIONS, "city", escaped, "The worst rows"]
    assert headings(content) == expected
    inside = int((np.abs(Y - LOC) < 1.6449).sum())
    assert f"<strong>{inside} of 60</strong> targets lay within the 90&nbsp;% intervals; 54 should." in content
    assert f"<strong>{np.median(np.abs(Y - LOC)):.4g}</strong> or less is what half" in content
    assert "The other 2 move it less" in content
    assert "Moves the median by 5, from " in content
    first = re.findall(r"<tr>.*</tr>", content[content.index("The worst rows") :])[1]
    cells = re.findall(r">([^<>]+)</t[dh]>", first)
    assert cells[0] == "1007"
    assert [float(cell) for cell in cells[1:3]] == pytest.approx([Y[7], LOC[7]], rel=1e-3)
    assert float(cells[4]) == pytest.approx(40.5 + 0.5 * np.log(2.0 * np.pi), rel=1e-3)
    assert {"2024-02-06", str(FRAME["noise"].iloc[7])} <= set(cells)


def test_data_are_text(content):
    assert "<script" not in content
    assert "<b>" not in content
    assert "&lt;script&gt;" in content
    drawn = pictures(content)
    assert len(drawn) == content.count("<img") == 5
    assert "<script" not in "".join(drawn)
    assert any("&lt;script&gt;" in picture for picture in drawn)


def test_the_page_stands_alone(content):
    assert set(re.findall(r'\b(?:src|href)="([^#]\w*:)', content)) == {"data:"}
    assert not re.search(r"@import|url\(|https?://", content)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
# What a reader would see, for the test to read: how wide each figure is, and whether the page is wider than the window.
PROBE = """<script>onload = () => {
  const widths = [...document.images].map(image => image.naturalWidth > 0 && image.clientWidth);
  document.body.dataset.seen = [document.documentElement.scrollWidth <= innerWidth, ...widths].join();
}</script>"""


@pytest.mark.skipif(BROWSER is None, reason="There is no Chromium or Chrome to open the page with.")
def test_in_a_browser(content, tmp_path):
    (tmp_path / "report.html").write_text(content + PROBE, encoding="utf-8")
    options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    options += " --disable-component-update --enable-logging=stderr --hide-scrollbars --window-size=500,900"
    command = [BROWSER, *options.split(), f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom"]
    command.append((tmp_path / "report.html").as_uri())
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in result.stderr
    assert headings(result.stdout) == headings(content)
    fits, *widths = re.search(r'data-seen="([^"]*)"', result.stdout)[1].split(",")
    assert fits == "true"
    assert len(widths) == 5
    assert all(int(width) > 300 for width in widths)


def test_several_outputs_of_which_some_are_intervals(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "SHOWN_EFFECTS", 1)
    y = np.stack([Y, -Y], 1)
    pairs = np.stack([y, np.where(np.arange(N)[:, np.newaxis] % 3, y, np.inf)], -1)
    pairs[0, 1] = np.nan
    form = TargetFormat(intervals=True, missing="ignore")
    report.write(Regressor(2, form), FRAME, pairs, form, tmp_path / "report.html")
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = headings(content)
    assert found.count("What each feature does") == 2
    assert found[1:3] == ["visits", "In short"]
    assert "sales" in found
    assert '<a href="#section-1">sales</a>' in content
    assert " or more</td>" in content
    assert "of 59</strong>" in content
    assert "unknown" in content
    assert len(pictures(content)) == 8


def test_a_failure_leaves_the_earlier_file(tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("earlier")
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'tfmdn\[plots\]'"):
        report.write(None, FRAME, Y, PLAIN, tmp_path / "report.html")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["earlier"]


# What features do


def test_an_effect_is_the_mean_over_the_rows(monkeypatch):
    monkeypatch.setattr(effects_lib, "MOST_ROWS", N)
    monkeypatch.setattr(effects_lib, "MOST_PREDICTIONS", 10**5)
    regressor = Regressor()
    city, day, cost, noise = effects_lib.effects(
        reading.rows_of(FRAME), regressor.predict, regressor.predict_quantiles, np.random.default_rng(1)
    )
    effect = {value: median for value, (_, median, _) in zip(city.column.values, city.quantiles[:, 0])}
    other = np.nan_to_num(FRAME[TAG].to_numpy(), nan=3.0).mean()
    assert effect == pytest.approx({EVIL: other, "Bonn": 2.0 + other, "missing": 5.0 + other})
    known = np.sort(FRAME[TAG].dropna())
    values = cost.column.values
    assert len(values) == effects_lib.MOST_VALUES + 1
    assert set(values[:-1]) <= set(known)
    assert np.isnan(values[-1])
    expected = EFFECT.mean() + np.array([*values[:-1], 3.0])
    shifts = 1.2815515655446004 * np.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(cost.quantiles[:, 0], expected[:, np.newaxis] + shifts, rtol=1e-6)
    assert (day.range(0), noise.range(0)) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert day.column.values.dtype.kind == "M"


def test_of_many_features_the_strongest_are_looked_at():
    X = RNG.normal(size=(40, 150))
    quantiles = lambda X, levels: np.repeat(X[:, 140:141] + 2.0 * X[:, 3:4], 3, 1)  # noqa: E731
    found = effects_lib.effects(reading.rows_of(X), lambda X: X[:, 140] + 2.0 * X[:, 3], quantiles, RNG)
    assert len(found) == effects_lib.MOST_CANDIDATES
    strongest = sorted(found, key=lambda effect: -effect.range(0))[:2]
    assert [effect.name for effect in strongest] == ["x[3]", "x[140]"]


def test_rare_categories_are_counted():
    X = np.array([[str(min(number, 13))] for number in range(40)], object)
    quantiles = lambda X, levels: np.zeros((len(X), 3))  # noqa: E731
    (effect,) = effects_lib.effects(reading.rows_of(X), None, quantiles, RNG)
    assert effect.num_more == 4
    assert effect.column.values[0] == "13"


def test_rows_of_every_kind_of_table_with_columns_of_others():
    polars = pl.from_pandas(FRAME)
    structure = {name: FRAME[name].to_numpy() for name in FRAME}
    rows, others = np.array([3, 1, 1]), {TAG: np.array([1, 2, 5])}
    expected = FRAME.iloc[rows].assign(**{TAG: FRAME[TAG].iloc[others[TAG]].to_numpy()}).reset_index(drop=True)
    for table in (FRAME, polars, polars.to_arrow(), structure):
        taken = reading.rows_of(table).taken(rows, others)
        assert type(taken) is type(table)
        found = taken.to_pandas() if hasattr(taken, "to_pandas") else pd.DataFrame(taken)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    numbers = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(
        reading.rows_of(numbers).taken(rows, {1: np.array([0, 0, 5])}), [[6, 1], [2, 1], [2, 11]]
    )
