"""Tutorials are notebooks in Markdown, which are executed when the site is built. Here is seen how they are written."""

import ast
import pathlib
import re
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "index")
CELL = re.compile(
    r"^```\{code-cell\} ipython3\n(---\n.*?^---\n|(?::\w+:[^\n]*\n)*)(.*?)^```$", re.DOTALL | re.MULTILINE
)
# What the first cell of a notebook installs: tfmdn with its extra `examples`, and with those of formats that it names.
INSTALLED = {
    "keras",
    "matplotlib",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "tensorflow",
    "tensorflow_probability",
    "tfmdn",
}
INSTALLED |= {"ai_edge_litert", "onnxruntime", *sys.stdlib_module_names}


def cells(page):
    """The options and the code of each cell."""
    return CELL.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
class TestTutorial:
    def test_is_a_notebook(self, page):
        header = page.read_text().split("---\n")[1]
        assert "format_name: myst" in header
        assert "name: python3" in header

    def test_is_listed(self, page):
        listed = (FOLDER / "index.md").read_text()
        assert f"({page.name})" in listed
        assert re.search(rf"^{page.stem}$", listed, re.MULTILINE)

    def test_ends_with_what_to_try_next(self, page):
        assert re.findall("^## (.*)$", page.read_text(), re.MULTILINE)[-1] == "What to try next"

    def test_draws_in_the_page_from_the_first_cell_on(self, page):
        assert cells(page)[0][1].lstrip().startswith("%matplotlib inline\n")

    def test_code_is_python(self, page):
        assert len(cells(page)) == page.read_text().count("```{code-cell}")
        for _, code in cells(page):
            ast.parse(code.replace("%matplotlib inline", ""))

    def test_its_notebook_has_what_it_needs(self, page):
        """Alone, a notebook has the packages that its first cell installs, and the files that the page links to."""
        code = "\n".join(code for _, code in cells(page)).replace("%matplotlib inline", "")
        linked = [(FOLDER / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", page.read_text())]
        imported, files = set(), set()
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
                files |= {node.value} if (FOLDER / node.value).is_file() else set()
        assert {name.partition(".")[0] for name in imported} <= INSTALLED | {file.stem for file in linked}
        for file in files:
            assert (FOLDER / file).resolve() in linked
            assert "/" not in file or f'.exists() else "{file.rpartition("/")[2]}"' in code

    def test_figures_have_a_text_in_their_place(self, page):
        for options, code in cells(page):
            if "plt.subplots(" in code or "plt.figure(" in code:
                assert re.search('alt: ".+"', options), code
