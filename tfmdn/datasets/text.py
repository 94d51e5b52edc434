"""Tables as text: pandas reads them, once it is known how they are written, and nothing is lost in silence."""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, TextIO

from tfmdn.datasets.dialects import COMMENT, Dialect, recognise
from tfmdn.datasets.headers import are_row_names
from tfmdn.datasets.rows import BLANKS, MISSING, is_data, is_remark, ragged, rows_of
from tfmdn.datasets.values import as_values, has_decimal_commas

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 300  # lines, by which the dialect is recognised
FOOTERS = 20  # lines at most
SHOWN = 3  # in a message


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A file of text, and what its user says of it.

    Attributes:
      open: opens it at its beginning.
      separator, decimal, header, date_format: as in `tfmdn.read_table`.
      skipped: the numbers of lines that are left out, from 1; None where titles may be.
      missing: what stands for a missing value, besides the usual.
      notes: what is to be said of it, to which reading adds.
    """

    open: Callable[[], TextIO]
    separator: str
    decimal: str
    header: bool | str
    skipped: frozenset[int] | None
    missing: Collection[str | float]
    date_format: str | None
    notes: list[str]

    def read(self) -> pd.DataFrame:
        """The table.

        Raises:
          ValueError: if it is none, or could be one of several.
        """
        try:
            return self._read()
        except csv.Error as error:
            raise ValueError(f"Is a quotation mark not closed? A value is too long to be one: {error}.") from error

    def _read(self) -> pd.DataFrame:
        lines = list(itertools.islice(self._lines(), max(self.skipped or [0]) + SAMPLE))
        separator = self.separator
        if lines and (own := re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\n"))):  # a word to spreadsheets
            separator, lines[0] = own[1] if separator == "auto" else separator, ""
        dialect = recognise(lines, separator, self.decimal, self.header, self.skipped is None, self.notes)
        remarks = self._find_remarks(dialect)
        frame = self._by_pandas(dialect, remarks)
        if self.decimal == "auto" and any(has_decimal_commas(frame[name]) for name in frame if _is_text(frame[name])):
            dialect = dataclasses.replace(dialect, decimal=",")
            frame = self._by_pandas(dialect, remarks)
        self._check_short_lines(frame, dialect, remarks)
        empty = frame.isna().all(axis=1)
        if empty.any():
            self.notes.append(f"Rows without any value are left out: {empty.sum()}.")
            frame = frame[~empty].reset_index(drop=True)
        missing = MISSING | {str(value) for value in self.missing}
        for name in frame:
            if _is_text(frame[name]):
                column = frame[name].rename(dialect.names[name] or f"column_{name}")
                frame[name] = as_values(column, dialect.decimal, missing, self.date_format, self.notes)
        return self._with_names(frame, dialect)

    def _lines(self, skipped: Collection[int] = ()) -> Iterator[str]:
        """The lines of the file, those to be skipped empty."""
        skipped = {*skipped, *(self.skipped or ())}
        with self.open() as file:
            for i, line in enumerate(file, 1):
                yield "\n" if i in skipped else line

    def _find_remarks(self, dialect: Dialect) -> set[int]:
        """The numbers of lines that are not rows: comments between rows, and words at the end."""
        width, comments, last = len(dialect.names), set(), collections.deque(maxlen=FOOTERS)

        def is_row(line: str) -> bool:
            cells = [cell for row in rows_of([line], dialect.separator) for cell in row.cells]
            return not is_remark(cells, width) or is_data(cells)

        for i, line in enumerate(self._lines(), 1):
            if i > dialect.start and not line.isspace():
                if COMMENT.match(line) and not is_row(line):
                    comments.add(i)
                else:
                    last.append((i, line))
        footers = list(itertools.takewhile(lambda numbered: not is_row(numbered[1]), reversed(last)))
        if footers:
            number, line = footers[-1]
            what = "is not a row and is left out" if len(footers) == 1 else "and what follows are no rows and left out"
            self.notes.append(f"Line {number} ({line.strip()!r}) {what}: `skip_rows` with its number says the same.")
        return comments | {number for number, _ in footers}

    def _by_pandas(self, dialect: Dialect, remarks: Collection[int]) -> pd.DataFrame:
        """The columns under their numbers, texts as they are."""
        import pandas as pd

        # pandas counts lines otherwise where quotation marks hold several.
        is_whole = not remarks and max(self.skipped or [0]) <= dialect.start
        with self.open() if is_whole else io.StringIO("".join(self._lines(remarks))) as file:
            for _ in range(dialect.start):
                file.readline()
            try:
                return pd.read_csv(
                    file,
                    sep=dialect.separator,
                    decimal=dialect.decimal,
                    header=None,
                    names=range(len(dialect.names)),
                    na_values=[*MISSING, *self.missing],
                    keep_default_na=False,
                    skipinitialspace=True,
                    low_memory=False,
                )
            except pd.errors.ParserError as error:
                width = len(dialect.names)
                for row in rows_of(self._lines(remarks), dialect.separator):
                    if row.line > dialect.start and len(row.cells) > width:
                        raise ValueError(ragged(row, width)) from error
                message = f"pandas cannot read it: {str(error).strip()}. Is a quotation mark not closed?"
                raise ValueError(message) from error

    def _check_short_lines(self, frame: pd.DataFrame, dialect: Dialect, remarks: Collection[int]) -> None:
        """Says that lines have too few values: pandas does not."""
        width = len(dialect.names)
        if width == 1 or frame[width - 1].notna().all():
            return
        rows = rows_of(self._lines(remarks), dialect.separator, fewer_than=width)
        short = [row for row in rows if row.line > dialect.start]
        if short and dialect.separator == BLANKS:
            raise ValueError(
                f"{ragged(short[0], width)} A missing value needs a word, such as NA; columns of fixed width are read "
                "by pandas.read_fwf."
            )
        if short:
            self.notes.append(
                f"Lines have fewer values than others, {len(short)} in all. Their last ones are taken for missing: "
                f"{', '.join(map(str, short[:SHOWN]))}{', ...' * (len(short) > SHOWN)}."
            )

    def _with_names(self, frame: pd.DataFrame, dialect: Dialect) -> pd.DataFrame:
        """The columns under their names; the first as the index, if it has none and names the rows."""
        names = list(dialect.names)
        while names[-1] is None and frame.iloc[:, -1].isna().all():
            names, frame = names[:-1], frame.iloc[:, :-1]
        if dialect.header and len(names) > 1 and not names[0] and are_row_names(frame[0].astype(str).tolist()):
            names, frame = names[1:], frame.set_index(0).rename_axis(None)
        names = [name or f"column_{i}" for i, name in enumerate(names)]
        taken, renamed = set(names), {}
        for i, name in enumerate(names):
            if name in names[:i]:
                names[i] = next(new for number in itertools.count(1) if (new := f"{name}.{number}") not in taken)
                taken.add(names[i])
                renamed[name] = names[i]
        if renamed:
            shown = ", ".join(f"{name!r}: {new!r}" for name, new in list(renamed.items())[:SHOWN])
            self.notes.append(f"Columns of the same name get others: {shown}{', ...' * (len(renamed) > SHOWN)}.")
        frame.columns = names
        return frame


def _is_text(column: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)
