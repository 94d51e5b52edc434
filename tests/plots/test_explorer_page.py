"""Pages that play, in headless Chromium: their numbers are Python's, sliders and keys move them, and one learns."""

import base64
import functools
import json
import pathlib
import re
import runpy
import shutil

import numpy as np
import pytest
import scipy.stats
import tensorflow_probability as tfp

import tfmdn
from tfmdn.plots import bundle, exploring

pytestmark = pytest.mark.usefixtures("quick_graphs")
tfd = tfp.distributions
ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(0)
TEMPERATURES = 2.0**-1, 2.0**0.5  # where the sliders stand that are moved
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync"
WIDTHS = (390, 1280)
DATA = re.compile(r'id="data">(.*?)</script>')
LOGITS, CENTRES = np.array([1.0, 0.0]), np.array([-2.2, 3.0])

needs_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="There is no Chromium with its driver: apt install chromium chromium-driver."
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: the extra `test` has it.")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def normal(x):
    """Two answers, of which one wins to the right; correlated with nothing else."""
    x = np.asarray(x, np.float64)[:, :1]
    logits, locs = np.concatenate([x, -x, 0.0 * x], 1), np.concatenate([x - 2.0, x + 2.0, 0.0 * x], 1)
    return tfmdn.Mixture(tfd.Categorical(logits=logits), tfd.Normal(locs, [[0.5, 0.8, 2.0]]))


def amounts(frame):
    """What is 0 or more, with a probability of 0; in two sizes."""
    x = frame["size <b>"].to_numpy()[:, np.newaxis] + 2.0 * (frame["city"] == "Rome").to_numpy()[:, np.newaxis]
    components = tfmdn.distributions.CoarsenedNormal(x + CENTRES, 0.5, low=0.0)
    return tfmdn.Mixture(tfd.Categorical(logits=0.0 * x + LOGITS), components)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The paths of the playground, of a model of normal components, and of another family with two features."""
    folder = tmp_path_factory.mktemp("pages")
    runpy.run_path(str(ROOT / "docs" / "playground" / "build.py"))["build"](folder / "playground.html")
    tfmdn.plots.explorer(normal, np.linspace(-2, 2, 41), np.linspace(-6, 6, 121), folder / "normal.html")
    grid = {"size <b>": np.linspace(-1, 1, 5), "city": ["Bonn", "Rome"]}
    tfmdn.plots.explorer(amounts, grid, np.linspace(0, 8, 401), folder / "amounts.html")
    return {path.stem: path for path in folder.iterdir()}


def opened(driver, path, width=1280, scheme="light"):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.get(path.as_uri())
    settled(driver)


def settled(driver):
    driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def element(driver, selector):
    return driver.find_element("css selector", selector)


def slide(driver, slider, value):
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    driver.execute_script(script, element(driver, slider), value)
    settled(driver)


ANSWERS = """
const {mean, stddev, modes, region, quantiles} = arguments[0] ?? tfmdn.explorer.view.answers;
return {mean, stddev, quantiles, region, modes: modes.map(({y}) => y), heights: modes.map(({density}) => density)};
"""


# The largest difference between the gradient and finite differences.
GRADIENT_ERROR = """
const network = new tfmdn.Network({components: arguments[0], units: 7, seed: 3});
const {parameters} = network, pairs = tfmdn.lesson.points.slice(0, 9), gradient = new Float64Array(parameters.length);
network.loss(pairs, gradient);
const lossAt = (i, value) => { parameters[i] = value; return network.loss(pairs); };
const errors = Array.from(parameters, (value, i) => {
  const slope = (lossAt(i, value + 1e-5) - lossAt(i, value - 1e-5)) / 2e-5;
  parameters[i] = value;
  return Math.abs(slope - gradient[i]);
});
return Math.max(...errors);
"""


def agrees(found, mixture, row):
    """Whether answers of a page are those of one row of a mixture."""
    expected = expected_of(mixture)
    for name, value in found.items():
        wanted = expected[name][row]
        np.testing.assert_allclose(np.ravel(value), wanted[~np.isnan(wanted)], rtol=1e-4, atol=1e-4, err_msg=name)


@functools.cache
def expected_of(mixture):
    modes = mixture.modes(4)
    answers = {
        "mean": mixture.mean()[:, np.newaxis],
        "stddev": mixture.stddev()[:, np.newaxis],
        "quantiles": mixture.quantile([0.05, 0.5, 0.95]).numpy().T,
        "region": np.moveaxis(mixture.highest_density_region(0.8).numpy(), 0, 1).reshape(mixture.batch_shape[0], -1),
        "modes": modes.points.numpy().T,
        "heights": np.where(np.isnan(modes.points), np.nan, np.exp(modes.log_prob)).T,
    }
    return {name: np.asarray(value) for name, value in answers.items()}


def parameters(path):
    """Logits, centres and scales `[n, 3, K]`, as the page has them."""
    told = json.loads(DATA.search(path.read_text(encoding="utf-8"))[1])
    return np.frombuffer(base64.b64decode(told["data"]), "<f4").astype(np.float64).reshape(-1, 3, told["sizes"]["locs"])


def mixture_of(values):
    return tfmdn.Mixture(tfd.Categorical(logits=values[:, 0]), tfd.Normal(values[:, 1], values[:, 2]))


# In the browser


@needs_browser
@pytest.mark.parametrize("name", ["playground", "normal", "amounts"])
def test_it_loads_and_fits(driver, pages, name):
    seen = set()
    for width, scheme in zip(WIDTHS, ("light", "dark")):
        opened(driver, pages[name], width, scheme)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        seen.add(driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
        drawn = "return [...document.querySelectorAll('canvas')].map(canvas => canvas.toDataURL().length)"
        assert min(driver.execute_script(drawn)) > 3_000
        unnamed = (
            "return document.querySelectorAll('canvas:not([aria-label]), input:not([id]):not(label input)').length"
        )
        assert driver.execute_script(unnamed) == 0
    assert len(seen) == 2
    assert driver.get_log("browser") == []


@needs_browser
def test_numbers_are_those_of_python(driver, pages):
    # Rows of the playground's model, with temperatures, and mixtures of all kinds: all in one, for tracing takes long.
    opened(driver, pages["playground"])
    of_page = parameters(pages["playground"])
    chosen = [0, len(of_page) // 3, len(of_page) - 1]
    K = of_page.shape[-1]
    drawn = np.stack([RNG.normal(size=(12, K)), 4 * RNG.normal(size=(12, K)), RNG.uniform(0.2, 2, (12, K))], 1)
    tempered = of_page[chosen] / np.array([TEMPERATURES[0], 1.0, 1.0 / TEMPERATURES[1]])[:, np.newaxis]
    mixture = mixture_of(np.concatenate([drawn, of_page[chosen], tempered]))
    own = ANSWERS.replace("arguments[0] ?? tfmdn.explorer.view.answers", "tfmdn.answers(made, 0.8)")
    for row, values in enumerate(drawn):
        made = "const made = new tfmdn.NormalMixture(...arguments[0]);"
        agrees(driver.execute_script(made + own, values.tolist()), mixture, row)
    for row, at in enumerate(chosen):
        slide(driver, "#explorer input[type=range]", at)
        agrees(driver.execute_script(ANSWERS), mixture, len(drawn) + row)
    sliders = driver.find_elements("css selector", "#explorer input[type=range]")
    for slider, temperature in zip(sliders[1:3], TEMPERATURES):
        slide(driver, f"#{slider.get_attribute('id')}", np.log2(temperature))
    for row, at in enumerate(chosen):
        slide(driver, "#explorer input[type=range]", at)
        agrees(driver.execute_script(ANSWERS), mixture, len(drawn) + len(chosen) + row)


@needs_browser
def test_answers_of_other_families_are_those_of_python(driver, pages):
    import pandas as pd

    opened(driver, pages["amounts"])
    assert [label.text for label in driver.find_elements("css selector", ".slider label")] == ["size <b>", "city"]
    slide(driver, ".slider input", 3)
    slide(driver, ".slider:last-child input", 1)
    assert [output.text for output in driver.find_elements("css selector", "output")] == ["0.5", "Rome"]
    mixture = amounts(pd.DataFrame({"size <b>": [0.5], "city": ["Rome"]}))
    agrees(driver.execute_script(ANSWERS), mixture, 0)
    found = driver.execute_script("return tfmdn.explorer.view.distribution.density(1.23)")
    assert found == pytest.approx(float(mixture.prob([1.23])[0]), rel=1e-2)


@needs_browser
def test_sliders_keys_and_a_mouse_move_x(driver, pages):
    from selenium.webdriver import ActionChains, Keys

    opened(driver, pages["normal"])
    picture = "return tfmdn.explorer.view.canvas.toDataURL()"
    before, facts = driver.execute_script(picture), element(driver, ".facts").text
    slide(driver, ".slider input", 5)
    assert driver.execute_script(picture) != before
    assert element(driver, ".facts").text != facts
    drawn = "return tfmdn.explorer.canvas.toDataURL()"
    assert driver.execute_script(drawn) == driver.execute_script("tfmdn.explorer.surface.now();" + drawn)
    place = lambda: driver.execute_script("return tfmdn.explorer.indices[0]")  # noqa: E731
    canvas, slider = element(driver, "canvas.map"), element(driver, ".slider input")
    for key, expected in [(Keys.ARROW_RIGHT, 6), (Keys.END, 40), (Keys.PAGE_DOWN, 36), (Keys.HOME, 0)]:
        slider.send_keys(key)
        assert place() == expected
    settled(driver)
    assert slider.get_attribute("aria-valuetext").startswith("\N{MINUS SIGN}2: 1 mode at 0; mean")
    assert canvas.get_attribute("aria-label").endswith(
        "At x = \N{MINUS SIGN}2: " + slider.get_attribute("aria-valuetext")[4:] + "."
    )
    ActionChains(driver).move_to_element(canvas).click_and_hold().move_by_offset(60, 0).release().perform()
    assert 20 < place() < 30
    element(driver, ".toggle").click()  # no components
    settled(driver)
    assert not driver.execute_script("return tfmdn.explorer.view.shown.components")


@needs_browser
def test_the_modes_hit_and_the_mean_does_not(driver, pages):
    opened(driver, pages["playground"])
    slide(driver, "#explorer input[type=range]", 70)
    throws = element(driver, "#throws .words").text
    distance, mean = (float(re.search(text, throws)[1]) for text in (r"came down after (\S+) m", r"the mean, (\S+)°"))
    assert all(float(far) == pytest.approx(distance, abs=0.15) for far in re.findall(r"(\S+) m at", throws))
    missed = 100.0 * np.sin(np.radians(2.0 * mean)) / 9.81 - distance
    assert float(re.search(r"flies (\S+) m too far", throws)[1]) == pytest.approx(missed, abs=0.15)


@needs_browser
def test_components_by_hand(driver, pages):
    opened(driver, pages["playground"])
    before = driver.execute_script("return tfmdn.workbench.view.answers.mean")
    slide(driver, "#workbench .slider:nth-of-type(2) input", 4.0)  # the centre of the first
    weights = np.array([0.6, 0.4])
    assert driver.execute_script("return tfmdn.workbench.view.answers.mean") == pytest.approx(weights @ [4.0, 2.2])
    assert before == pytest.approx(weights @ [-2.4, 2.2])


@needs_browser
def test_the_gradient_is_that_of_the_loss(driver, pages):
    opened(driver, pages["playground"])
    assert max(driver.execute_script(GRADIENT_ERROR, components) for components in (1, 3)) < 1e-8


@needs_browser
def test_it_learns(driver, pages):
    opened(driver, pages["playground"])
    loss, learn = "return tfmdn.lesson.lossNow()", "tfmdn.lesson.learn(300, Infinity)"
    before = driver.execute_script(loss)
    driver.execute_script(learn)
    of_mixture = driver.execute_script(loss)
    element(driver, "#lesson button[aria-pressed]").click()  # the mean only
    driver.execute_script(learn)
    of_mean = driver.execute_script(loss)
    assert of_mixture < of_mean - 0.5 < before - 0.5
    element(driver, "#lesson .first").click()
    wait(driver, "return tfmdn.lesson.optimizer.steps > 300")
    element(driver, "#lesson .first").click()
    assert not driver.execute_script("return tfmdn.lesson.isRunning")
    assert "loss" in element(driver, "#lesson .status").text


def wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 20, 0.05).until(lambda driver: driver.execute_script(condition))


@needs_browser
def test_points_are_drawn_by_a_mouse_and_keys(driver, pages):
    from selenium.webdriver import ActionChains, Keys

    opened(driver, pages["playground"], width=390)
    points = lambda: driver.execute_script("return tfmdn.lesson.points")  # noqa: E731
    element(driver, "#lesson .clear").click()
    assert points() == []
    canvas = element(driver, "canvas.draw")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(driver).move_to_element(canvas).click_and_hold().move_by_offset(40, 0).release().perform()
    assert len(points()) >= 2
    assert np.ptp(np.array(points())[:, 1]) < 0.01
    element(driver, "#lesson .clear").click()
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ENTER)
    np.testing.assert_allclose(points(), [[0.05, 0.1]])
    canvas.send_keys(Keys.DELETE)
    assert points() == []


@needs_browser
def test_fingers_move_draw_and_scroll(driver, pages):
    opened(driver, pages["playground"], width=390)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    seen = "return [tfmdn.explorer.indices[0], scrollY, tfmdn.lesson.points.length]"

    def swipe(selector, right, down):
        centre = (
            "const box = arguments[0].getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]"
        )
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element(driver, selector))
        x, y = driver.execute_script(centre, element(driver, selector))
        before = driver.execute_script(seen)
        for step in range(11):
            points = [{"x": x + right * step / 10, "y": y + down * step / 10}]
            kind = "touchMove" if step else "touchStart"
            driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        settled(driver)
        return np.subtract(driver.execute_script(seen), before)

    _, scrolled, drawn = swipe("canvas.draw", 50, -50)
    assert (scrolled, drawn > 5) == (0, True)
    moved, scrolled, _ = swipe("canvas.map", -80, 0)
    assert (moved < -50, scrolled) == (True, 0)
    moved, scrolled, _ = swipe("canvas.map", 0, -150)  # which goes on for a while
    assert (moved, scrolled > 50) == (0, True)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


# Without


def test_the_page_stands_alone(pages):
    for path in pages.values():
        content = path.read_text(encoding="utf-8")
        assert not re.search(
            r'@import|url\(|https?://|\bsrc=|^import |href="(?!\.\./index\.html|data:,)', content, re.M
        )
        assert content.count("<script") == 2
    assert "size <b>" not in pages["amounts"].read_text(encoding="utf-8")


def test_scripts_become_one():
    for script in (bundle.BROWSER / "explorer_page.js", ROOT / "docs" / "playground" / "playground.js"):
        joined = bundle.joined(script)
        names = re.findall(r"^(?:class|function|const|let) (\w+)", joined, re.MULTILINE)
        assert len(names) == len(set(names))
        assert joined.index("function logSumExp") < joined.index("class Model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x_grid": [np.arange(2.0)] * 4}, "one to three features. Received: 4"),
        ({"x_grid": np.ones([2, 2, 2])}, r"the values of each feature.*Received the shapes \{'x': \(2, 2, 2\)\}"),
        ({"x_grid": [0.0, np.inf]}, "The values of `x_grid` must be finite"),
        ({"model": lambda x: normal(np.where(x > 1.0, np.nan, x))}, "Received: NaN at 1"),
        ({"x_grid": [1.0, 0.0], "model": normal(np.ones([2, 1]))}, "from the least to the greatest"),
        ({"y_grid": [1.0, 1.0]}, "two different values"),
        ({"output": 1}, "`output` must be None or 0 for scalar events"),
    ],
)
def test_errors(arguments, message, tmp_path):
    (tmp_path / "page.html").write_text("earlier")
    defaults = {"model": normal, "x_grid": np.arange(3.0), "y_grid": np.arange(3.0), "path": tmp_path / "page.html"}
    with pytest.raises(ValueError, match=message):
        tfmdn.plots.explorer(**{**defaults, **arguments})
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(exploring, "MOST_NUMBERS", 100)
    with pytest.raises(ValueError, match=r"more than 100 numbers.*Received: 20 combinations.*each needs 9 numbers"):
        exploring.described(normal, np.arange(20.0), np.arange(3.0))


def test_of_vectors_one_output_is_chosen():
    tril = np.linalg.cholesky([[4.0, 1.0], [1.0, 9.0]])
    vectors = lambda x: tfmdn.Mixture(  # noqa: E731
        tfd.Categorical(logits=np.zeros((len(x), 1))),
        tfd.MultivariateNormalTriL(np.stack([x, -x], -1).astype(np.float64), tril),
    )
    grid = np.arange(3.0)
    with pytest.raises(ValueError, match="`output` must say which coordinate"):
        exploring.described(vectors, grid, grid)
    values = np.frombuffer(base64.b64decode(exploring.described(vectors, grid, grid, 1)["data"]), "<f4")
    np.testing.assert_allclose(values.reshape(3, 3), [[0.0, -x, 3.0] for x in grid], atol=1e-6)


def test_limits_with_a_probability_and_values_of_a_grid(pages):
    told = json.loads(DATA.search(pages["amounts"].read_text(encoding="utf-8"))[1])
    assert (told["atoms"], told["isStepped"], told["sizes"]["atoms"]) == ([0.0], False, 1)
    values = np.frombuffer(base64.b64decode(told["data"]), "<f4").reshape(10, -1)
    weights = np.exp(LOGITS) / np.exp(LOGITS).sum()
    x = np.add.outer(np.linspace(-1, 1, 5), [0.0, 2.0]).reshape(-1, 1) + CENTRES
    np.testing.assert_allclose(values[:, -1], scipy.stats.norm.cdf(-x / 0.5) @ weights, atol=1e-5)

    def counts(x):
        components = tfmdn.distributions.CoarsenedNormal(x, 1.0 + 0.0 * x, low=0.0, resolution=1.0)
        return tfmdn.Mixture(tfd.Categorical(logits=np.zeros_like(x)), components)

    told = exploring.described(counts, np.array([0.0, 2.0]), np.arange(7))
    assert (told["atoms"], told["isStepped"]) == ([], True)
    values = np.frombuffer(base64.b64decode(told["data"]), "<f4").reshape(2, -1)
    expected = scipy.stats.norm.cdf(np.arange(7) + 0.5 - np.array([[0.0], [2.0]]))
    np.testing.assert_allclose(values[:, :7], np.diff(expected, prepend=0.0), atol=1e-5)
