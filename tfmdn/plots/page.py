"""A page of HTML in one file: its style, its tables, and its figures as SVG. All that is text is escaped here."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1d2630; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 0.5rem; border-bottom: 2px solid #31688e; padding-bottom: 0.2rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 0.3rem; }
h4 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; max-width: 46rem; }
.quiet, figcaption, footer { color: #56616d; font-size: 0.875rem; }
.facts { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 0.75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr)); }
.facts li { background: #f2f6f9; border-radius: 0.5rem; padding: 0.75rem 1rem; }
.facts strong { display: block; font-size: 1.5rem; line-height: 1.3; color: #31688e; }
.figures { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
figure { margin: 0.75rem 0; }
figure img { display: block; width: 100%; height: auto; max-width: 46rem; }
.figures { align-items: start; }
.figures figure { margin: 0; }
.figures img { max-width: 26rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #dde3e9; text-align: right; vertical-align: top; }
th { font-weight: 600; }
tbody th { font-weight: 400; }
td { white-space: nowrap; }
th:first-child, .text { text-align: left; }
td.long { white-space: normal; min-width: 12rem; overflow-wrap: break-word; }
a { color: #31688e; }
footer { margin-top: 3rem; border-top: 1px solid #dde3e9; padding-top: 0.5rem; }
@media print { body { font-size: 11pt; padding: 0; } figure, tr, .facts li { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .figures { align-items: start; }
.figures figure { margin: 0; }
.figures img { max-width: 26rem; }
.scroll { overflow: visible; } }
"""
LONGEST_LINE = 24
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def document(title: str, body: str) -> str:
    """The page. The title is text, the body is HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def text(value: str) -> str:
    """Text as HTML, in which no line ends before a per cent sign."""
    return html.escape(value).replace(" %", "&nbsp;%")


def element(tag: str, content: str, kind: str = "") -> str:
    """An element of a class that holds text."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{text(content)}</{tag}>"


def section(number: int, name: str) -> str:
    """The heading of a section, which `contents` leads to."""
    return f'<h2 id="section-{number}">{text(name)}</h2>'


def contents(names: Sequence[str]) -> str:
    """Links to the sections of these names, numbered from 0."""
    links = (f'<a href="#section-{number}">{text(name)}</a>' for number, name in enumerate(names))
    return f"<nav>{' &middot; '.join(links)}</nav>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[int] = ()) -> str:
    """A table of texts, whose first column heads the rows.

    Args:
      head: the head of each column.
      rows: the cells of each row.
      text_columns: which columns hold words, and not numbers.
    """

    def cells(row, tag):
        kinds = (_kind(cell) if number in text_columns else "" for number, cell in enumerate(row))
        return "".join(element(tag if number else "th", *cell) for number, cell in enumerate(zip(row, kinds)))

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    heads = cells(head, "th")
    return f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _kind(words: str) -> str:
    return "text long" if len(words) > LONGEST_LINE else "text"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Figures that are seen at once, each with what it is."""
    items = (f"<li><strong>{text(figure)}</strong> {text(meaning)}</li>" for figure, meaning in pairs)
    return f'<ul class="facts">{"".join(items)}</ul>'


def image(drawn, description: str) -> str:
    """A figure as an image of SVG that stands in the page, with a text for those who cannot see it."""
    file = io.StringIO()
    drawn.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", FONT, file.getvalue())
    content = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{content}" alt="{html.escape(description)}">'


def captioned(picture: str, caption: str = "", heading: str = "") -> str:
    """An image with its heading above and its caption below."""
    above = element("h4", heading) if heading else ""
    below = element("figcaption", caption) if caption else ""
    return f"<figure>{above}{picture}{below}</figure>"
