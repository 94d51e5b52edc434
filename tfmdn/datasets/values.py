"""What the texts of a table stand for: numbers, durations, dates, truth values, or themselves."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfmdn.datasets.dialects import are_grouped

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = 0.9  # of its values, and a column is one of numbers
GUESSED = 20  # texts, of which formats of dates are guessed
SPACE = " \t\r\n\x1a\u00a0"  # and what DOS puts at the end of a file
CODE = re.compile(r"\w*(\d[^\W\d_]|[^\W\d_]\d)\w*")  # letters and digits
LONG = 18  # digits: more may not be integers
SHOWN = 3  # words in a message
UNIT = re.compile(r"^[$€£¥]\s*|\s*[%$€£¥]$")
APART = ",.' \u00a0\u202f"  # what may stand between thousands
AMOUNT = re.compile(r"[$€£¥]?\s*[+\-\u2212]?[.,]?\d|[+-]?inf", re.IGNORECASE)
DURATION = re.compile(r"[+-]?(\d+ days?,? )?\d{1,3}:[0-5]\d(:[0-5]\d(\.\d+)?)?")


def as_values(
    column: pd.Series, decimal: str, missing: Collection[str], date_format: str | None, notes: list[str]
) -> pd.Series:
    """A column of texts as what they stand for.

    Args:
      column: of texts, or of truth values with gaps.
      decimal: the decimal sign, "." or ",".
      missing: the texts that stand for a missing value.
      date_format: how dates are written that are not as in ISO 8601, or None.
      notes: to which is added what was left out, and what else one could have read.
    """
    import pandas as pd

    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind != "string":
        return column.astype("boolean" if kind == "boolean" else "float64")  # integers of many digits
    # Each text is looked at once.
    counts = column.value_counts(sort=False)
    texts = pd.Series(counts.index.str.strip(SPACE), counts.index, dtype="object")
    known = ~texts.isin(missing)
    texts, counts = texts[known], counts[known].to_numpy()
    if not len(texts):
        return pd.Series(np.nan, column.index)
    distinct = texts.to_numpy()
    values = _numbers(distinct, counts, decimal, column.name, notes)
    values = _durations(distinct) if values is None else values
    values = _dates(distinct, date_format, column.name, notes) if values is None else values
    return column.map(texts).astype(column.dtype) if values is None else column.map(pd.Series(values, texts.index))


def has_decimal_commas(column: pd.Series) -> bool:
    """Whether texts are numbers with decimal commas, and could not be thousands set apart."""
    text = column.dropna().astype("object").astype(str).str.strip()
    commas = text.str.fullmatch(r"[+-]?\d*,\d+").astype(bool)
    whole = text.str.fullmatch(r"[+-]?\d+").astype(bool)
    return commas.any() and (commas | whole).mean() >= NUMBERS and not are_grouped(text[commas])


def _numbers(distinct: np.ndarray, counts: np.ndarray, decimal: str, name: str, notes: list[str]) -> np.ndarray | None:
    """Numbers with a few words among them are numbers, and the words missing values.

    Args:
      distinct: texts `[D]`.
      counts: how often each occurs `[D]`.
      decimal: the sign of the other columns.
      name: the column's.
      notes: to which is added what was left out.
    """
    import pandas as pd

    few = distinct[:1000]
    if sum(AMOUNT.match(value) is not None for value in few) < 0.3 * len(few):
        return None
    plain = pd.Series(distinct).str.replace("\u2212", "-").str.replace(UNIT, "", regex=True)
    parsed = {sign: _parse(plain, sign) for sign in (decimal, "," if decimal == "." else ".")}
    found = {sign: counts[numbers.notna()].sum() for sign, (numbers, _) in parsed.items()}
    sign = max(parsed, key=found.get)  # at a tie the first
    numbers, apart = parsed[sign]
    total = counts.sum()
    words = distinct[numbers.isna()]
    if found[sign] < NUMBERS * total or any(map(CODE.fullmatch, words)):  # among codes: 136A
        if found[sign] > 0.5 * total:
            notes.append(
                f"Column {name!r} is read as text: {found[sign]} of its {total} values are numbers, but not "
                f"{_list(words)}. Pass missing=[{_list(words)}] if these stand for missing values."
            )
        return None
    if len(words):
        notes.append(
            f"Column {name!r} has {found[sign]} numbers; {total - found[sign]} other values are taken for missing: "
            f"{_list(words)}."
        )
    if sign != decimal:
        notes.append(f"Column {name!r} has {sign!r} for a decimal sign where others have {decimal!r}.")
    # A decimal comma was told, or is that of other values.
    if decimal == "." and apart.any() and are_grouped(plain[apart]) and not plain.str.contains(".", regex=False).any():
        notes.append(
            f"Column {name!r} has its thousands apart: {plain[apart].iloc[0]!r} is read as "
            f"{numbers[apart].iloc[0]:.15g}. Pass `decimal` if that is not what it means."
        )
    units = {unit.strip() for value in distinct for unit in UNIT.findall(value)}
    if units:
        notes.append(f"Column {name!r} is read without {', '.join(sorted(units))}.")
    return numbers.to_numpy()


def _parse(texts: pd.Series, sign: str) -> tuple[pd.Series, pd.Series]:
    """Numbers with a decimal sign, NaN where there are none, and which have their thousands apart."""
    import pandas as pd

    others, sign = APART.replace(sign, ""), re.escape(sign)
    plain = texts.str.fullmatch(rf"[+-]?((\d+({sign}\d*)?|{sign}\d+)(e[+-]?\d+)?|inf(inity)?)", case=False)
    apart = texts.str.fullmatch(rf"[+-]?[1-9]\d{{0,2}}([{others}]\d{{3}})+({sign}\d*)?")
    tidy = texts.where(plain | apart).str.replace(rf"[{others}]", "", regex=True).str.replace(sign, ".", regex=True)
    return tidy.astype("float64") if tidy.str.len().max() > LONG else pd.to_numeric(tidy), apart


def _durations(distinct: np.ndarray) -> Sequence | None:
    """Times of day and durations: hours, minutes and perhaps seconds."""
    import pandas as pd

    if not all(map(DURATION.fullmatch, distinct)):
        return None
    return pd.to_timedelta([value if value.count(":") == 2 else f"{value}:00" for value in distinct])


def _dates(distinct: np.ndarray, date_format: str | None, name: str, notes: list[str]) -> pd.DatetimeIndex | None:
    """Dates, if all are of one format and of only one: 01/02/2020 may be a day of January or February."""
    import pandas as pd

    formats = _quietly(_date_formats, distinct) if date_format is None else [date_format]
    zones = all(re.search(r":.*(Z|[+-]\d\d(:?\d\d)?)$", value) for value in distinct)
    dates = {form: _quietly(pd.to_datetime, distinct, format=form, errors="coerce", utc=zones) for form in formats}
    count = max((values.notna().sum() for values in dates.values()), default=0)
    dates = {form: values for form, values in dates.items() if values.notna().sum() == count}
    if count < 0.5 * len(distinct):
        return None
    form, values = next(iter(dates.items()))
    if count < len(distinct):
        others = _list(distinct[values.isna()])
        notes.append(
            f"Column {name!r} is read as text: most of its values are dates, but not {others}. Pass missing=[{others}] "
            "if these stand for missing values."
        )
        return None
    if "%y" in form:
        notes.append(f"Column {name!r} has years of two digits: {distinct[0]!r} is read as {values[0]:%Y-%m-%d}.")
    if any(not values.equals(others) for others in dates.values()):
        notes.append(
            f"Column {name!r} is read as text: {distinct[0]!r} may be a date of the formats {' and '.join(dates)}. "
            f"Pass date_format={form!r} or the other."
        )
        return None
    return values


def _date_formats(distinct: np.ndarray) -> list[str]:
    """The formats that dates may have, by the first texts."""
    import pandas as pd

    few = distinct[:GUESSED]
    if sum(re.match(r"\d{4}-\d\d", value) is not None for value in few) >= 0.5 * len(few):
        return ["ISO8601"]
    guessed = set()
    for value in few:
        if match := re.fullmatch(r"\d\d?([-/.])\d\d?\1\d\d", value):  # of which pandas guesses none
            guessed |= {f"%d{match[1]}%m{match[1]}%y", f"%m{match[1]}%d{match[1]}%y"}
        elif re.search(r"\d\D+\d", value):
            guessed |= {pd.tseries.api.guess_datetime_format(value, dayfirst=dayfirst) for dayfirst in (False, True)}
    # The month is never first where points follow.
    return sorted(form for form in guessed if form and "%y" in form.lower() and "%d" in form and "%m.%d" not in form)


def _quietly(function: Callable, *args, **kwargs):
    """What a function of pandas returns, without its warnings of days before months and the like."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def _list(words: np.ndarray) -> str:
    return ", ".join(map(repr, words[:SHOWN])) + ", ..." * (len(words) > SHOWN)
