"""The pictures in git, and how the examples write theirs."""

import argparse
import contextlib
import itertools
import pathlib
import re
import runpy
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

import tfmdn

ROOT = pathlib.Path(tfmdn.__file__).parents[1]
FOLDERS = [ROOT / "examples" / "figures", ROOT / "docs" / "figures"]
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*") if path.suffix in (".png", ".gif", ".svg"))
LIGHT = [path for path in FILES if not path.stem.endswith("_dark")]


@contextlib.contextmanager
def run(script):
    """What a script defines; it leaves paths and matplotlib's settings as they were."""
    path, backend = list(sys.path), matplotlib.get_backend()
    with matplotlib.rc_context():
        yield runpy.run_path(str(script))
    plt.close("all")
    matplotlib.use(backend)
    sys.path[:] = path
    sys.modules.pop("_pictures", None)


def name(path):
    return f"{path.parent.parent.name}-{path.name}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_pictures_are_small(path):
    assert path.stat().st_size <= 150_000


@pytest.mark.parametrize("path", LIGHT, ids=name)
def test_pictures_are_light_and_dark(path):
    dark = path.with_stem(f"{path.stem}_dark")
    assert dark in FILES
    if path.suffix != ".svg":
        assert PIL.Image.open(dark).size == PIL.Image.open(path).size
        assert brightness(dark) < 0.4 < 0.8 < brightness(path)


def test_no_dark_picture_is_alone():
    assert {path.with_stem(path.stem.removesuffix("_dark")) for path in FILES} == set(LIGHT)


@pytest.mark.parametrize("page", ["examples/README.md", "docs"])
def test_pictures_are_shown(page):
    pages = [ROOT / page] if page.endswith(".md") else (ROOT / page).rglob("*.md")
    text = "".join(path.read_text() for path in pages)
    folder = FOLDERS[page == "docs"]
    assert [path.name for path in LIGHT if path.parent == folder and f"figures/{path.name}" not in text] == []


def brightness(path):
    return np.asarray(PIL.Image.open(path).convert("L")).mean() / 255


# Those of docs/explanation

OF_PAGES = [path.stem for path in LIGHT if path.parent.parent.name == "docs"]


@pytest.fixture(scope="module")
def explanation():
    with run(ROOT / "docs" / "figures" / "make.py") as names:
        yield names["FIGURES"]


def test_each_page_of_the_explanation_shows_a_figure(explanation):
    pages = sorted(set((ROOT / "docs" / "explanation").glob("*.md")) - {ROOT / "docs" / "explanation" / "README.md"})
    pattern = r"^!\[[^]]{40,}\]\(\.\./figures/(\w+)\.svg\)$"
    shown = [re.findall(pattern, page.read_text(), re.MULTILINE) for page in pages]
    assert [page.name for page, figures in zip(pages, shown) if not figures] == []
    assert sorted(itertools.chain.from_iterable(shown)) == sorted(explanation) == sorted(OF_PAGES)


@pytest.mark.parametrize("name", OF_PAGES)
def test_no_text_runs_into_another(explanation, name):
    figure = explanation[name]()
    figure.canvas.draw()
    texts = {text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text.get_visible()}
    for axis in itertools.chain.from_iterable((ax.xaxis, ax.yaxis) for ax in figure.axes):
        low, high = sorted(axis.get_view_interval())
        beyond = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]  # which are not drawn
        texts -= {label for tick in beyond for label in (tick.label1, tick.label2)}
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    assert [text for text, box in boxes if box.x0 < 0 or box.x1 > figure.bbox.x1] == []
    assert [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)] == []


# How they are written


@pytest.fixture(scope="module")
def pictures():
    with run(ROOT / "examples" / "_pictures.py") as names:
        yield argparse.Namespace(**names)


def drawn(x=(0, 1, 2)):
    figure = Figure((2, 1.5))
    ax = figure.subplots()
    ax.plot(x, x, color="tab:blue", marker="o", label="line")
    ax.fill_between(x, x, color="0.8")
    ax.scatter(x, x[::-1], color="tab:red")
    ax.pcolormesh([0, 1], [0, 1], [[0, 1], [1, 0]], cmap="Greys")
    ax.set_title("title")
    ax.legend()
    return figure


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_formats(pictures, suffix, tmp_path):
    written = []
    for _ in range(2):
        pictures.save(drawn(), argparse.Namespace(output=tmp_path, format=suffix, dark=True), "name")
        written.append([(tmp_path / name).read_bytes() for name in (f"name.{suffix}", f"name_dark.{suffix}")])
    assert written[0] == written[1]
    light, dark = written[0]
    assert light != dark
    if suffix == "pdf":  # a TrueType font
        assert b"/FontFile2" in light
    elif suffix == "svg":  # outlines
        assert b"<text" not in light
        assert b"<path id=" in light


def test_darken_turns_lightness_and_keeps_hues(pictures):
    figure = drawn()
    pictures.darken(figure)
    (ax,) = figure.axes
    (line,) = ax.lines
    hues = [matplotlib.colors.rgb_to_hsv(matplotlib.colors.to_rgb(c))[0] for c in (line.get_color(), "tab:blue")]
    assert hues[0] == pytest.approx(hues[1], abs=1e-6)
    assert max(figure.get_facecolor()[:3]) < 0.1
    assert min(matplotlib.colors.to_rgb(ax.title.get_color())) > 0.9
    assert min(matplotlib.colors.to_rgb(ax.get_legend().get_texts()[0].get_color())) > 0.9
    assert min(matplotlib.colors.to_rgb(ax.xaxis.get_ticklabels()[0].get_color())) > 0.9
    area, points, mesh = ax.collections
    assert area.get_facecolor()[0, 0] < 0.3
    assert points.get_facecolor()[0, 0] > points.get_facecolor()[0, 2]
    np.testing.assert_allclose(mesh.cmap([0.0, 1.0])[:, 0], [0.08, 0.92], atol=0.01)


def test_colour_maps_that_begin_dark_stay(pictures):
    figure = Figure()
    mesh = figure.subplots().pcolormesh([0, 1], [0, 1], [[0, 1], [1, 0]], cmap="viridis")
    pictures.darken(figure)
    assert mesh.cmap.name == "viridis"
