"""How a table is written as text: its separator and decimal sign, where its rows begin, what its columns are called.

Its first lines tell. Where they allow two readings, an error says which, and what to pass.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from tfmdn.datasets.headers import find_names
from tfmdn.datasets.rows import BLANKS, NUMBER, VALUE, Row, is_data, is_remark, rows_of

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", BLANKS: "blanks and tabs"}
COMMENT = re.compile(r"\s*(#|%|//|!)+\s*")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What pandas must know.

    Attributes:
      separator: one sign, or BLANKS.
      decimal: "." or ",".
      start: how many lines lie before the first row of values.
      names: one for each column, "" where it has none, and None where separators end the lines, and there is nothing.
      header: whether the names are those of a line.
    """

    separator: str
    decimal: str
    start: int
    names: list[str | None]
    header: bool


def recognise(
    lines: Sequence[str], separator: str, decimal: str, header: bool | str, titles: bool, notes: list[str]
) -> Dialect:
    """The dialect of a table.

    Args:
      lines: the first lines of its file. Those to be skipped are empty.
      separator: one sign, or "auto".
      decimal: ".", "," or "auto".
      header: True, False or "auto".
      titles: whether lines above the names may be left out.
      notes: to which is added what was left out.

    Raises:
      ValueError: if they allow no reading, or several.
    """
    lines, comments = _without_comments(lines)
    if len(separator) == 1 and not separator.isspace() and not any(separator in line for line in lines):
        raise ValueError(f"No line has the separator. Received: separator={separator!r}.")
    separator = _find_separator(lines) if separator == "auto" else BLANKS if separator == " " else separator
    rows = list(rows_of(lines, separator))
    if not rows:
        raise ValueError("It has no rows.")
    body = _body(rows)
    width = len(body[0])
    first, names = find_names(rows, body, header, titles, separator, notes)
    last_comment = next(rows_of([comments[-1]], separator)).cells if comments else []
    if names is None and header is not False and len(last_comment) == width and not is_data(last_comment):
        names = last_comment  # as NumPy's savetxt writes them
    if any(len(row.cells) == width and is_data(row.cells) for row in rows_of(comments, separator)):
        notes.append(f"Lines at its beginning look like rows, and are left out as comments: {comments[0].strip()!r}.")
    header, names = names is not None, names or [""] * width
    is_empty = [not (names[i] or any(cells[i] for cells in body)) for i in range(1, width)]
    num_empty = sum(itertools.takewhile(bool, reversed(is_empty)))  # separators at the ends of lines
    return Dialect(
        separator=separator,
        decimal=_find_decimal(body, separator, notes) if decimal == "auto" else decimal,
        start=rows[first].line - 1,
        names=[*names[: width - num_empty], *[None] * num_empty],
        header=header,
    )


def _without_comments(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines, those of comments at the beginning empty, and the texts of these."""
    lines, comments = list(lines), []
    for i, line in enumerate(lines):
        mark = COMMENT.match(line)
        if line.strip() and not mark:
            break
        if mark:
            comments.append(line[mark.end() :])
        lines[i] = ""
    return lines, [text for text in comments if text.strip()]


def _body(rows: Sequence[Row]) -> list[list[str]]:
    """Cells of rows that are neither titles nor names: the lower half of those of the usual width."""
    widths = Counter(len(row.cells) for row in rows[len(rows) // 3 :])
    width = max(widths, key=lambda width: (widths[width], width))
    cells = [row.cells for row in rows if not is_remark(row.cells, width)] or [rows[-1].cells]
    return cells[len(cells) // 2 :]


def _find_separator(lines: Sequence[str]) -> str:
    """The one that parts lines equally often, and best into numbers and dates."""
    fitting = {}
    for separator in SEPARATORS:
        try:
            rows = list(rows_of(lines, separator))
        except csv.Error:  # a value too long to be one
            continue
        body = _body(rows) if rows else [[]]
        fits = [len(row.cells) == len(body[0]) for row in rows]
        share = np.mean(fits[len(rows) // 3 :]) if rows else 0.0
        if len(body[0]) > 1 and share >= (0.75 if separator == BLANKS else 0.5):  # prose has blanks
            cells = [cell for cells in body for cell in cells if cell]
            is_value = [VALUE.fullmatch(cell) is not None for cell in cells]
            is_whole = [value or not re.search(r"[,;\t|]", cell) for value, cell in zip(is_value, cells)]
            fitting[separator] = (share >= 0.95, np.mean(is_value) + np.mean(is_whole), np.mean(fits))
    if "\t" in fitting and BLANKS in fitting:  # blanks are in dates and texts, too
        cells = [cell.split() for row in rows_of(lines, "\t") for cell in row.cells]
        parted = [all(map(NUMBER.fullmatch, words)) for words in cells if len(words) > 1]
        del fitting[BLANKS if sum(parted) <= 0.5 * len(parted) else "\t"]
    if fitting:
        return max(fitting, key=fitting.get)  # at a tie the first
    texts = [line.strip() for line in lines if line.strip()]
    if not any(re.search(r"[\s,;|]", text) for text in texts[len(texts) // 3 :]):
        return ","  # one column
    found = []
    for separator, word in SEPARATORS.items():
        widths = sorted({len(row.cells) for row in rows_of(lines, separator)})
        if widths != [1]:
            found.append(f"by {word} into {', '.join(map(str, widths[:4]))}{' ...' * (len(widths) > 4)} values")
    odd = [i for i, line in enumerate(lines, 1) if line.count('"') % 2]
    raise ValueError(
        f"Its lines cannot be parted into columns: {'; '.join(found)}. "
        + (f"Is a quotation mark on line {odd[0]} not closed? " if odd else "")
        + "Pass `separator` if it is another sign, or how many lines to skip at the beginning, as in skip_rows=3. "
        "Columns of fixed width are read by pandas.read_fwf."
    )


def _find_decimal(body: Sequence[Sequence[str]], separator: str, notes: list[str]) -> str:
    cells = [cell for cells in body for cell in cells]
    commas = [cell for cell in cells if re.fullmatch(r"[+-]?\d*,\d+(e[+-]?\d+)?", cell, re.IGNORECASE)]
    points = [cell for cell in cells if re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", cell, re.IGNORECASE)]
    if any(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+", cell) for cell in cells):
        return ","
    if not commas and points and separator == ";" and are_grouped(points):
        notes.append(
            f"{points[0]!r} and the like are read with a decimal point. Pass decimal=',' if their thousands are apart."
        )
    if not commas or (are_grouped(commas) and (separator == "," or points)):
        return "."
    return "," if not points or are_grouped(points) else "."


def are_grouped(cells: Iterable[str]) -> bool:
    """Whether all may have their thousands apart, as 12,345 has."""
    return all(re.fullmatch(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", cell) for cell in cells)
