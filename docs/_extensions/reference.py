"""The reference: a page for each group of public names, made of the package when the site is built."""

from __future__ import annotations

import importlib
import pathlib
import re
from typing import Any

import generated
import names
import prose
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import inspect

FOLDER = "reference"


def title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def introduction(group: str) -> str:
    """What the docstring of a module says before it lists its files."""
    docstring = (names.groups().get(group) or importlib.import_module(f"tfmdn.{group}")).__doc__ or ""
    docstring = re.split(r"\n\n(?=Shapes in comments|Nothing is imported here)", docstring)[0]
    return prose.document(re.split(r"\n\n(?=- `|What these two are made of)", docstring)[0].strip())


def summary(docstring: str) -> str:
    """The first sentence of a docstring."""
    return prose.text(re.split(r"(?<=[.!?]) (?=[A-Z`])", " ".join(docstring.partition("\n\n")[0].split()))[0])


def table(rows: list[tuple[str, str]]) -> str:
    body = "".join(f"   * - {first}\n     - {second}\n" for first, second in rows)
    return f".. list-table::\n   :class: names\n   :widths: 44 56\n\n{body}"


def entries(listed: list[names.Name]) -> str:
    """A table of names."""
    return table([(f":py:obj:`{name.path}`", summary(name.docstring)) for name in listed])


def entry(name: names.Name) -> str:
    """What autodoc makes of one name."""
    lines = [f".. auto{'class' if name.is_class else 'function'}:: {name.path}"]
    if isinstance(name.value, type) and (members := names.members(name.value)):
        lines.append(f"   :members: {', '.join(members)}")
    if name.others:
        lines.append(f"\n   Also {', '.join(f'``{other}``' for other in name.others)}.")
    return "\n".join([*lines, ""])


def page(group: str, listed: list[names.Name]) -> str:
    parts = [title(f"tfmdn.{group}"), f".. module:: tfmdn.{group}\n", introduction(group), "", entries(listed)]
    return "\n".join([*parts, *map(entry, listed)])


def front_page() -> str:
    top = sorted((name for name in names.public() if name.path.count(".") == 1), key=lambda name: name.path.lower())
    groups = [(f":doc:`tfmdn.{group} <{group}>`", summary(introduction(group))) for group in names.pages()]
    return "\n".join(
        [
            title("Reference"),
            "Every public name, as the package is grouped.\n",
            table(groups),
            title("tfmdn", "-"),
            "What is needed every day stands in ``tfmdn`` itself, and in its group as well.\n",
            entries(top),
            ".. toctree::\n   :hidden:\n",
            *(f"   tfmdn.{group} <{group}>" for group in names.pages()),
            "",
        ]
    )


def write(app: Sphinx) -> None:
    texts = {"index": front_page(), **{group: page(group, listed) for group, listed in names.pages().items()}}
    generated.write(pathlib.Path(app.srcdir) / FOLDER, texts)


def as_restructured_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = prose.google(lines)
    if what in ("attribute", "property"):
        lines.insert(0, "\\")  # nothing, but napoleon takes what stands in the first line before a colon for a type


def plain_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Signatures in which `ArrayLike` is called so; of a class that of `__init__`, not `__new__` of Keras or TFP."""
    if what == "class" and re.match(r"\(\*args\b.*\*\*kwargs\b.*\)$", signature or "") and callable(obj.__init__):
        found = inspect.signature(obj.__init__, bound_method=True, type_aliases=app.config.autodoc_type_aliases)
        signature = inspect.stringify_signature(found, unqualified_typehints=True)
    return tuple(text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text) for text in (signature, returned))


def resolve(app: Sphinx, env: Any, node: Any, contnode: nodes.Element) -> nodes.Element | None:
    """References to a public object by another of its names, and to what of tfmdn is not public, as in annotations."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    path = names.paths().get(target)
    if path is None or path == target:
        return contnode if names.exists(target) else None
    return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", path, node, contnode)


def setup(app: Sphinx) -> dict:
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
