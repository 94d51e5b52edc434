"""Tutorials as notebooks to download: the cells of the page, behind one that installs what they need."""

from __future__ import annotations

import base64
import pathlib
import re

import jupytext
import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)([^)\s]+)\)")
FORMATS = ("litert", "onnx")


def is_tutorial(source: pathlib.Path) -> bool:
    """Whether a page says in its head that it is a notebook."""
    return source.suffix == ".md" and re.match(r"---\n(?:.*\n)*?jupytext:", source.read_text()) is not None


def behind_installation(made: nbformat.NotebookNode, folder: pathlib.Path) -> nbformat.NotebookNode:
    """A page as a notebook that stands alone: behind cells that install what it needs, and write the files it reads.

    Links to other pages, which a notebook does not have, are words.

    Args:
      made: the page's cells.
      folder: where the page lies.
    """
    code = "\n".join(cell.source for cell in made.cells if cell.cell_type == "code")
    words = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    extras = ",".join(["examples", *(name for name in FORMATS if name in code)])
    linked = dict.fromkeys((folder / link).resolve() for _, link in LINK.findall(words))
    files = [file for file in linked if file.is_file() and file.name in code]
    first = [f'%pip install -q "tfmdn[{extras}]"', *map(written, files)]
    made.cells[:0] = [nbformat.v4.new_code_cell(source) for source in first]
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"\1", cell.source)
    return made


def written(file: pathlib.Path) -> str:
    """A cell that writes a file."""
    try:
        return f"%%writefile {file.name}\n{file.read_text()}".rstrip("\n")
    except UnicodeDecodeError:
        content = base64.b64encode(file.read_bytes()).decode()
        return f'import base64, pathlib\n\npathlib.Path("{file.name}").write_bytes(base64.b64decode("{content}"));'


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
            made = behind_installation(jupytext.read(source), source.parent)
            jupytext.write(made, pathlib.Path(app.outdir) / f"{docname}.ipynb")


def setup(app: Sphinx) -> dict:
    app.add_transform(DownloadLinks)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
