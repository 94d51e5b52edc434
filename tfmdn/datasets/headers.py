"""The line of a table that has the names of its columns, and the lines above the values that are something else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tfmdn.datasets.rows import AMOUNT, BLANKS, MISSING, VALUE, Row, is_data, is_remark, ragged

USUALLY = 0.8


def find_names(
    rows: Sequence[Row],
    body: Sequence[Sequence[str]],
    header: bool | str,
    titles: bool,
    separator: str,
    notes: list[str],
) -> tuple[int, list[str] | None]:
    """The position of the first row of values, and the names of the columns or None."""
    width = len(body[0])
    of_values = [i for i in range(width) if _holds_values([cells[i] for cells in body])]
    rest = {cell for cells in body for cell in cells}

    def is_names(row: Row) -> bool:
        if is_remark(row.cells, width):
            return False
        if row is rows[0] and _is_above_row_names(row.cells, [other.cells for other in rows[1:]], of_values):
            return True
        if of_values:
            return not is_data(row.cells, of_values) or _counts_columns(row.cells, body)
        return row is rows[0] and len({*row.cells} - {""}) == width and not rest & {*row.cells}

    wide = [i for i, row in enumerate(rows) if len(row.cells) == width and not is_remark(row.cells, width)]
    first = next((i for i in wide if header is False or not is_names(rows[i])), None)
    if header is True:
        first = next((i for i in wide if i > 0 and not is_names(rows[i])), None)
    if first is None or (header == "auto" and len(rows) == 1 and not is_data(rows[0].cells)):
        raise ValueError(f"It has a line of names and no rows of values. Received: {rows[0]}.")
    above = list(rows[:first])
    candidates = [row for row in above if is_names(row)]
    if header is True and above and not candidates:
        candidates = [above[-1]]
    if not candidates and header is not False:
        candidates = [
            row
            for row in above[-1:]
            if _names_all_but_rows(row, rows[first:], width)
            or (len(row.cells) > 1 and not is_data(row.cells) and _are_empty(body, len(row.cells)))
            or (len(row.cells) > width and not is_data(row.cells) and not any(row.cells[width:]))
        ]
    if len(candidates) > 1:
        raise ValueError(
            f"{candidates[0].begin_sentence()} and {candidates[1]} have words where the others have numbers. Pass "
            f"skip_rows={candidates[1].line - 1} if the names of the columns are on line {candidates[1].line}, or "
            f"skip_rows=[{candidates[1].line}] if they are on line {candidates[0].line}."
        )
    _leave_out([row for row in above if row not in candidates], candidates, width, titles, separator, notes)
    if not candidates:
        for row in rows[first + 1 : first + 3] if titles else ():
            if len(of_values) > 1 and all(_is_word(row.cells[i]) for i in of_values if len(row.cells) == width):
                raise ValueError(
                    f"{row.begin_sentence()} has words where others have numbers. Pass skip_rows={row.line - 1} if "
                    f"these are the names of the columns, or skip_rows=[{row.line}] to leave it out."
                )
        return first, None
    names = candidates[0].cells
    if header == "auto" and len(names) == width and any(AMOUNT.fullmatch(names[i]) for i in of_values):
        notes.append(
            f"{candidates[0].begin_sentence()} is taken for the names of the columns. Pass header=False if it is a row."
        )
    while len(names) > width and not names[-1]:
        names = names[:-1]
    if len(names) < width and _are_empty(body, len(names)):
        names = names + [""] * (width - len(names))  # separators at the ends of lines
    elif _names_all_but_rows(candidates[0], rows[first:], width):
        names = ["", *names]
    if len(names) != width:
        raise ValueError(ragged(candidates[0], width))
    return first, names


def _leave_out(
    rows: Sequence[Row], names: Sequence[Row], width: int, titles: bool, separator: str, notes: list[str]
) -> None:
    """Says that rows above the values, which are not the names, are left out; or that they must not be."""
    for row in rows:
        cells = [cell for cell in row.cells if cell]
        values = sum(AMOUNT.fullmatch(cell) is not None for cell in cells)
        above_names = bool(names) and row.line < names[0].line
        # Blanks part words of a title, too.
        almost = len(cells) > 1 and (separator != BLANKS or abs(len(cells) - width) == 1)
        if not titles or values == len(cells) or (not above_names and (almost or values)):
            raise ValueError(ragged(row, width))
    if rows:
        numbers = [row.line for row in rows]
        skip = numbers[-1] if not names or numbers[-1] < names[0].line else numbers
        left_out = "is left out" if len(rows) == 1 else "and others are left out"
        notes.append(
            f"{rows[0].begin_sentence()}, above the values as titles are, {left_out}: skip_rows={skip} says the same."
        )


def _is_word(cell: str) -> bool:
    return cell not in MISSING and not AMOUNT.fullmatch(cell)


def _holds_values(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if cell not in MISSING]
    return bool(known) and sum(AMOUNT.fullmatch(cell) is not None for cell in known) >= USUALLY * len(known)


def _are_empty(body: Sequence[Sequence[str]], first: int) -> bool:
    """Whether rows have cells from the first on, and nothing in them: separators end their lines."""
    return first < len(body[0]) and not any(cell for cells in body for cell in cells[first:])


def _counts_columns(cells: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether a row numbers the columns, 0, 1, 2 or by years, above numbers of another kind."""
    places = [i for i, cell in enumerate(cells) if cell]
    numbers = {i: int(cells[i]) for i in places if re.fullmatch(r"\d{1,4}", cells[i])}
    values = list(numbers.values())
    if len(values) < 2 or values != list(range(values[0], values[0] + len(values))):
        return False
    below = [cells[i] for cells in body for i in numbers if cells[i] not in MISSING]
    if values[0] in (0, 1):
        return len(numbers) == len(places) and all(re.search(r"\.\d|\de", cell) for cell in below)
    return values[0] > 1800 and values[-1] < 2100 and not any(re.fullmatch(r"(18|19|20)\d\d", cell) for cell in below)


def _is_above_row_names(cells: Sequence[str], below: Sequence[Sequence[str]], of_values: Sequence[int]) -> bool:
    """Whether names are those of all columns but the first, which names the rows: words, or rising numbers."""
    if cells[0] or not all(cells[1:]) or len(set(cells)) < len(cells) or not all(other[0] for other in below):
        return False
    numbers = [int(cells[i]) for i in of_values if re.fullmatch(r"\d+", cells[i])]
    has_values = any(AMOUNT.fullmatch(cells[i]) for i in of_values)
    return not has_values or (len(numbers) == len({*of_values} - {0}) > 1 and numbers == sorted(numbers))


def _names_all_but_rows(row: Row, below: Sequence[Row], width: int) -> bool:
    """Whether there is a name for each column but the first, which is that of R's row names."""
    fits = len(row.cells) == width - 1 and all(row.cells) and not is_data(row.cells)
    return fits and all(len(other.cells) == width for other in below) and are_row_names([o.cells[0] for o in below])


def are_row_names(cells: Sequence[str]) -> bool:
    """Whether cells, each other than the rest, are words or rising numbers."""
    if len(set(cells)) < len(cells):
        return False
    numbers = [int(cell) for cell in cells if re.fullmatch(r"\d{1,18}", cell)]
    return numbers == sorted(numbers) if len(numbers) == len(cells) else not any(map(VALUE.fullmatch, cells))
