"""Mathematics as MathML, which browsers draw by themselves: made when the site is built, without a script."""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def converted(latex: str, display: str) -> str:
    """MathML with a gap behind the name of a function, as in log 10."""
    made = convert(latex, display=display)
    return re.sub(r"(<mi>[a-z]{2,}</mi>)(?=<m[in]>)", r'\1<mspace width="0.17em"></mspace>', made)


def inline(self, node: nodes.math) -> None:
    self.body.append(converted(node.astext(), "inline"))
    raise nodes.SkipNode


def block(self, node: nodes.math_block) -> None:
    """A formula of its own, which is scrolled where it is broader than the page."""
    self.body.append(f'<div class="formula" tabindex="0">{converted(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
