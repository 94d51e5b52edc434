"""Tutorials as notebooks to download: the cells of the page, behind one that installs what they need."""

from __future__ import annotations

import pathlib
import re

import jupytext
import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

INSTALL = '%pip install -q "tfmdn[examples]"'


def is_tutorial(source: pathlib.Path) -> bool:
    """Whether a page says in its head that it is a notebook."""
    return source.suffix == ".md" and re.match(r"---\n(?:.*\n)*?jupytext:", source.read_text()) is not None


def behind_installation(made: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A page as a notebook. Links to other pages, which a notebook does not have, are words."""
    made.cells.insert(0, nbformat.v4.new_code_cell(INSTALL))
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)\s]+\)", r"\1", cell.source)
    return made


class DownloadLinks(SphinxTransform):
    """Puts a link to the notebook below the title of a tutorial."""

    default_priority = 700

    def apply(self, **kwargs) -> None:
        docname = self.env.docname
        title = next(iter(self.document.findall(nodes.title)), None)
        if title is not None and is_tutorial(pathlib.Path(self.env.doc2path(docname))):
            name = docname.rpartition("/")[2]
            html = f'<p class="notebook"><a href="{name}.ipynb" download>Download as a notebook</a></p>'
            title.parent.insert(title.parent.index(title) + 1, nodes.raw("", html, format="html"))


def write(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for docname in app.env.found_docs:
        source = pathlib.Path(app.env.doc2path(docname))
        if is_tutorial(source):
            jupytext.write(behind_installation(jupytext.read(source)), pathlib.Path(app.outdir) / f"{docname}.ipynb")


def setup(app: Sphinx) -> dict:
    app.add_transform(DownloadLinks)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
