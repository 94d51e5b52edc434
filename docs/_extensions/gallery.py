"""The gallery: a card for each example, and a page with its docstring, its pictures, its command and its source.

An example is a program of examples/, as .ci/run runs them: what begins with a letter. The pictures are those of
examples/figures/ that bear its name. Each is made when the site is built.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import pathlib
import re
import textwrap
from typing import TYPE_CHECKING

import generated
import prose

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FOLDER = "gallery"
# Of the folders of examples/. One that is not here has its own name.
TITLES = {
    ".": "Programs",
    "recipes": "In the format of keras.io",
    "clusters": "A million rows on an engine",
    "migration": "Before and after",
    "on_device": "Without TensorFlow",
}
# Of programs in pairs.
SIDES = {"before": "with another package", "after": "with tfmdn"}


@dataclasses.dataclass(frozen=True)
class Example:
    """A program of examples/, whose path is relative to that folder."""

    path: pathlib.PurePosixPath

    @property
    def page(self) -> str:
        """Its document's name, in the folder of the gallery."""
        return "-".join(self.path.with_suffix("").parts)

    @property
    def docstring(self) -> str:
        text = ast.get_docstring(ast.parse((EXAMPLES / self.path).read_text())) or ""
        # Of a sentence and a command the latter has lost its indentation.
        return re.sub(r"^(?=(?:pip|python) )", "    ", text, flags=re.MULTILINE)

    def field(self, name: str) -> str | None:
        """What the docstring says behind a word, as recipes of keras.io have it: `Title: ...`."""
        match = re.search(rf"^{name}: (.*)$", self.docstring, re.MULTILINE)
        return match[1] if match else None

    @property
    def title(self) -> str:
        name = self.path.stem.replace("_", " ").capitalize()
        said = in_short().get(str(self.path)) or SIDES.get(self.path.stem.rpartition("_")[2], name)
        says_more = name.lower() not in said.lower()
        return self.field("Title") or (f"{name}: {said[0].lower()}{said[1:]}" if says_more else name)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, or of what it describes."""
        if description := self.field("Description"):
            return description
        paragraph = " ".join(self.docstring.partition("\n\n")[0].split())
        return re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph)[0]

    @property
    def command(self) -> str:
        """The first command that the docstring gives, without what it says of it."""
        commands = re.findall(r"^ +((?:[A-Z_]+=\S+ )*python .*?)(?:  +#.*)?$", self.docstring, re.MULTILINE)
        return commands[0] if commands else f"python examples/{self.path}"

    @property
    def pictures(self) -> list[pathlib.Path]:
        """Its pictures, and not those of an example whose name begins with this one's."""
        return self.figures(".png")

    @property
    def animations(self) -> list[pathlib.Path]:
        return self.figures(".gif")

    def figures(self, suffix: str) -> list[pathlib.Path]:
        name = self.path.stem
        others = [other.path.stem for other in examples() if other.path.stem.startswith(f"{name}_")]
        files = sorted((EXAMPLES / "figures").glob(f"{name}*{suffix}"))
        return [
            file
            for file in files
            if re.fullmatch(rf"{name}(_\w+)?", file.stem)
            and not file.stem.endswith("_dark")
            and not any(file.stem.startswith(other) for other in others)
        ]


@functools.cache
def in_short() -> dict[str, str]:
    """What examples/README.md says of programs in a few words, by their paths."""
    rows = re.findall(r"\*\*([^*\n]+?)\.?\*\*.*`python examples/(\w+\.py)", (EXAMPLES / "README.md").read_text())
    return {path: said for said, path in reversed(rows)}


def examples() -> list[Example]:
    """All of them, in order of their paths."""
    return [
        Example(pathlib.PurePosixPath(path.relative_to(EXAMPLES)))
        for path in sorted(EXAMPLES.rglob("[a-z]*.py"))
        if "outputs" not in path.parts
    ]


def shelves() -> dict[str, list[Example]]:
    """The examples of each folder: where one starts, those with pictures, and the others."""
    found: dict[str, list[Example]] = {folder: [] for folder in TITLES}
    for example in examples():
        found.setdefault(str(example.path.parent), []).append(example)
    order = lambda example: (example.path.stem != "quickstart", not example.pictures, example.path)  # noqa: E731
    return {folder: sorted(shelf, key=order) for folder, shelf in found.items() if shelf}


def source_path(file: pathlib.Path) -> str:
    """A file of the repository, as pages name it that lie in docs/."""
    return f"/../{file.relative_to(ROOT).as_posix()}"


def card(example: Example) -> str:
    lines = []
    if example.pictures:
        picture = source_path(example.pictures[0])
        lines += [f".. image:: {picture}", f"   :target: {example.page}.html", f"   :alt: {example.title}", ""]
    lines += [f":doc:`{example.title} <{example.page}>`", "", prose.text(example.summary), ""]
    lines += [f"``{example.command}``", ""]
    return ".. container:: card\n\n" + textwrap.indent("\n".join(lines), "   ")


def front_page() -> str:
    parts = ["Gallery\n=======\n"]
    parts += [
        "Each is one program to read and to run, after ``pip install -e '.[examples]'``. ``--quick`` is a look "
        "of a few seconds.\n"
    ]
    for folder, shelf in shelves().items():
        title = TITLES.get(folder, folder.replace("_", " ").capitalize())
        parts += [f"{title}\n{'-' * len(title)}\n", ".. container:: cards\n"]
        parts += [textwrap.indent(card(example), "   ") for example in shelf]
    pages = [f"   {example.page}" for shelf in shelves().values() for example in shelf]
    return "\n".join([*parts, ".. toctree::\n   :hidden:\n", *pages, ""])


def page(example: Example) -> str:
    """What an example says of itself, its pictures, and its source."""
    parts = [f"{example.title}\n{'=' * len(example.title)}\n", f".. code-block:: bash\n\n   {example.command}\n"]
    for picture in [*example.pictures, *example.animations]:
        parts += [f".. container:: picture\n\n   .. image:: {source_path(picture)}\n      :alt: {example.title}\n"]
    text = prose.text(example.summary) if example.field("Description") else prose.document(example.docstring)
    parts += [text, "", f"Source\n------\n\n``examples/{example.path}``\n"]
    parts += [f".. literalinclude:: {source_path(EXAMPLES / example.path)}\n   :language: python\n"]
    return "\n".join(parts)


def write(app: Sphinx) -> None:
    texts = {"index": front_page(), **{example.page: page(example) for example in examples()}}
    generated.write(pathlib.Path(app.srcdir) / FOLDER, texts)


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
