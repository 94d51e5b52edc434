"""Rows of a table as text: cells of lines, and whether they are rather values or words."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Sequence

BLANKS = r"\s+"  # blanks and tabs, as pandas calls them
# What stands for nothing: empty cells, and the words of pandas, R, SQL and spreadsheets for it.
MISSING = frozenset(
    re.split(
        " ",
        " NA N/A n/a n.a. N.A. #N/A #NA <NA> NaN nan NAN -NaN -nan NaT NULL Null null None none ? - -- . .. * ** ***"
        " 1.#IND -1.#IND 1.#QNAN -1.#QNAN #DIV/0! #VALUE! #REF! #NAME? #NUM! #NULL!",
    )
)
TIME = r"\d\d?:\d\d[\d:.Z+-]*( ?[ap]m)?"
DATE = rf"\d{{4}}[-/.]\d\d?([-/.]\d\d?([T ]{TIME})?)?|\d\d?[-/.]\d\d?[-/.](\d\d|\d{{4}})( {TIME})?|{TIME}"
NUMBER = re.compile(
    r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|[+-]?inf(inity)?|[+-]?\d{1,3}([.,']\d{3})+([.,]\d+)?", re.IGNORECASE
)
VALUE = re.compile(f"{NUMBER.pattern}|{DATE}|true|false", re.IGNORECASE)
# Amounts, too: 1,234.5 and $12 and 35 %.
AMOUNT = re.compile(rf"{NUMBER.pattern}|{DATE}|true|false|[$€£¥]? *[+-]?\d[\d.,' ]* *[%$€£¥]?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Row:
    """The cells of a row, and the number of its first line, from 1."""

    cells: list[str]
    line: int

    def __str__(self) -> str:
        text = ", ".join(map(repr, self.cells[:6])) + (", ..." if len(self.cells) > 6 else "")
        return f"line {self.line} ({text})"

    def begin_sentence(self) -> str:
        return f"L{str(self)[1:]}"


def rows_of(lines: Iterable[str], separator: str, fewer_than: float = math.inf) -> Iterator[Row]:
    """The rows of lines, without empty ones: all, or those of few cells.

    What is in quotation marks may hold separators and ends of lines.
    """
    blanks = separator == BLANKS
    lines = (" ".join(line.split()) for line in lines) if blanks else lines
    reader, line = csv.reader(lines, delimiter=" " if blanks else separator, skipinitialspace=True), 1
    for cells in reader:
        if len(cells) < fewer_than and any(cells := [cell.strip() for cell in cells]):
            yield Row(cells, line)
        line = reader.line_num + 1


def is_data(cells: Sequence[str], columns: Sequence[int] | None = None) -> bool:
    """Whether cells are rather values than words."""
    cells = [cells[i] for i in (range(len(cells)) if columns is None else columns)]
    values = sum(AMOUNT.fullmatch(cell) is not None for cell in cells)
    return values >= sum(cell not in MISSING for cell in cells) - values


def is_remark(cells: Sequence[str], width: int) -> bool:
    """Whether a row among others of a width has not as many cells, or one only, as spreadsheets write titles."""
    return len(cells) != width or (width > 2 and not any(cells[1:]) and not is_data(cells))


def ragged(row: Row, width: int) -> str:
    return (
        f"{row.begin_sentence()} has {len(row.cells)} values, and others have {width}. Values that hold the separator "
        'must stand in quotation marks ("). Pass `skip_rows` to leave lines out, or `separator` if it is another sign.'
    )
