"""Links of pages: what is code and a public name leads to the reference, and examples to their pages of the gallery."""

from __future__ import annotations

import re

import gallery
import names
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

# What pages call the objects that they ask.
CALLED = {
    "mixture": "tfmdn.Mixture",
    "regressor": "tfmdn.MDNRegressor",
    "ensemble": "tfmdn.Ensemble",
    "head": "tfmdn.MDNLayer",
    "fallback": "tfmdn.MarginalFallback",
}


def path_of(code: str) -> str | None:
    """The public name that a piece of code is or calls: `tfmdn.crps`, `Ensemble(models)`, `mixture.mode()`."""
    match = re.fullmatch(r"([A-Za-z_][\w.]*)(\(.*)?", code)
    if match is None:
        return None
    first, _, rest = match[1].partition(".")
    if first in CALLED:
        return names.paths().get(f"{CALLED[first]}.{rest}")
    if first != "tfmdn":
        is_no_word = first[0].isupper() or "_" in first
        return names.paths().get(f"tfmdn.{match[1]}") if is_no_word else None
    return names.paths().get(match[1])


class NamesInCode(SphinxTransform):
    """Makes a link of code that is a public name, but in headings and in links."""

    default_priority = 600
    within = (nodes.reference, nodes.title, addnodes.pending_xref, addnodes.desc_signature, addnodes.download_reference)

    def apply(self, **kwargs) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            parent = literal.parent
            while parent is not None and not isinstance(parent, self.within):
                parent = parent.parent
            path = path_of(literal.astext())
            if parent is None and path is not None:
                reference = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=path, refexplicit=True, refwarn=False
                )
                reference["refdoc"] = self.env.docname
                literal.replace_self(reference)
                reference += literal


def to_the_gallery(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to programs of examples/, which lie beside docs/, become links to their pages."""
    depth = "../" * docname.count("/")
    pages = {str(example.path): example.page for example in gallery.examples()}

    def replaced(match: re.Match) -> str:
        page = "index" if match[1].endswith("/") or not match[1] else pages.get(match[1])
        return f"]({depth}gallery/{page}.rst)" if page else match[0]

    source[0] = re.sub(r"\]\((?:\.\./)+examples/([\w./]*?)(?:README\.md)?\)", replaced, source[0])


def setup(app: Sphinx) -> dict:
    app.add_transform(NamesInCode)
    app.connect("source-read", to_the_gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
