"""What the site is made of: every public name is in the reference, every example in the gallery, and links are checked.

The site itself is built by .ci/run.
"""

import pathlib
import sys

import pytest
from test_house import PUBLIC

import tfmdn

ROOT = pathlib.Path(__file__).parents[1]
SITE = ROOT / "outputs" / "site"
sys.path.insert(0, str(ROOT / "docs" / "_extensions"))
import built  # noqa: E402
import gallery  # noqa: E402
import names  # noqa: E402
import prose  # noqa: E402


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name):
    (entry,) = [entry for page in names.pages().values() for entry in page if entry.value is PUBLIC[name]]
    assert f"tfmdn.{name}" in (entry.path, *entry.others)


def test_the_reference_has_the_rest():
    paths = {entry.path for entry in names.public()}
    assert {f"tfmdn.datasets.{name}" for name in ("robot_arm", "InverseProblem")} < paths
    assert {f"tfmdn.integrations.skpro.{name}" for name in ("MDNProbaRegressor", "MixtureDistribution")} < paths
    assert names.paths()["tfmdn.distributions.mixture.Mixture.quantile"] == "tfmdn.Mixture.quantile"
    assert {"predict", "fit", "report"} < set(names.members(tfmdn.MDNRegressor))
    assert "loss" not in names.members(tfmdn.MDNRegressor)


def test_every_example_is_in_the_gallery():
    files = {path.relative_to(ROOT / "examples").as_posix() for path in (ROOT / "examples").rglob("*.py")}
    shown = [example for shelf in gallery.shelves().values() for example in shelf]
    assert {str(example.path) for example in shown} == {file for file in files if "/_" not in f"/{file}"}
    assert len({example.page for example in shown}) == len(shown)
    for example in shown:
        assert example.summary.endswith((".", ":", "?")), example
        assert example.path.name in example.command, example


def test_every_picture_is_in_the_gallery():
    pictures = {path for path in (ROOT / "examples" / "figures").iterdir() if not path.stem.endswith("_dark")}
    shown = [path for example in gallery.examples() for path in (*example.pictures, *example.animations)]
    assert sorted(shown) == sorted(pictures)


def test_docstrings_become_markup():
    assert prose.text("E|X - X'| of `a\nb`, *B, model_") == r"E\|X - X'\| of ``a b``, *B, model\_"
    assert prose.document("Run:\n\n    python a.py\n\nEnd.") == "Run:\n\n.. code-block:: none\n\n   python a.py\n\nEnd."
    example = ["A `b`.", "", ">>> `c`", "1", "", "`d`"]
    assert prose.google(example) == ["A ``b``.", "", ">>> `c`", "1", "", "``d``"]
    assert prose.google(["Returns:", "  A pair: two."]) == ["Returns:", "  \\", "  A pair: two."]


def test_a_tutorial_is_a_notebook(tmp_path):
    jupytext = pytest.importorskip("jupytext")  # as sphinx, of the extra `docs`
    import notebooks

    page = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n"
    page += "# T\n\nSee [that](../that.md) and [this](https://a.org).\n\n[a](a.py), [b](b.npz), [c](c.py)\n\n"
    page += "```{code-cell}\n'a.py', 'b.npz'\n```\n"
    (tmp_path / "a.py").write_text("1\n")
    (tmp_path / "b.npz").write_bytes(b"\xff")
    (tmp_path / "c.py").write_text("is not read")
    made = notebooks.behind_installation(jupytext.reads(page, fmt="md:myst"), tmp_path)
    assert [cell.cell_type for cell in made.cells] == ["code", "code", "code", "markdown", "code"]
    assert made.cells[0].source == '%pip install -q "tfmdn[examples]"'
    assert made.cells[1].source == "%%writefile a.py\n1"
    assert "b.npz" in made.cells[2].source
    assert made.cells[3].source.endswith("See that and [this](https://a.org).\n\na, b, c")


def test_broken_links_and_files_from_elsewhere_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="there"></p><a href="b.html#here">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
        '<a href="#there">4</a><a href="https://a.org">5</a><img src="https://a.org/b.png"><img src="data:,">'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p><link rel="stylesheet" href="s.css">')
    (tmp_path / "s.css").write_text('@import "//fonts.org/x.css";')
    assert sorted(built.problems(tmp_path)) == [
        "a.html: b.html#gone leads to no place of that page",
        "a.html: c.html leads to no file",
        "a.html: https://a.org/b.png is loaded from elsewhere",
        "s.css: //fonts.org/x.css is loaded from elsewhere",
    ]


def test_classes_that_do_not_say_what_they_take_are_found():
    text = '<dt class="sig sig-object"><b>class</b> <i>a.</i><b>{}</b>({})</dt>'
    page = text.format("B", "<em>*args</em>: Any, <em>**kwargs</em>") + text.format("C", "*args, x=1") + "<dt>D</dt>"
    assert built.unnamed(page) == ["a.B"]


def test_what_is_more_than_three_clicks_away_is_lost(tmp_path):
    pages = {"index": ["a.html"], "a": ["b.html", "#here", "https://c.org"], "b": ["c.html#there"], "c": ["d.html"]}
    for name, links in {**pages, "d": []}.items():
        text = "".join(f'<a href="{link}">1</a>' for link in links)
        (tmp_path / f"{name}.html").write_text(f'<a href="d.html">menu</a><article>word {text}</article>')
    near = {name: (name, "word") for name in ("index.html", "a.html#here", "b.html", "c.html", "c.html#there")}
    assert built.lost(tmp_path, near) == []
    far = {"a": ("d.html", "word"), "b": ("b.html#there", "word"), "c": ("c.html", "saying"), "d": ("e.html", "word")}
    assert len(built.lost(tmp_path, far)) == 4


@pytest.mark.skipif(not (SITE / "index.html").exists(), reason="The site is not built: python docs/build.py.")
def test_one_finds_an_interval_a_negative_loss_and_a_phone():
    assert built.lost(SITE) == []
