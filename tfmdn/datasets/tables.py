"""Tables in files, whoever wrote them: text, compressed or not, HDF5, Parquet and Excel."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import pathlib
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, BinaryIO, Literal

from tfmdn import validation
from tfmdn.datasets.text import TextTable

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 2**20  # bytes
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
DAMAGED = (EOFError, KeyError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16"}
MARKS |= {codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_BE: "utf-16"}
# What other files are read by, known by the ends of their names.
OTHERS = {
    ".npy .npz": "numpy.load",
    ".json .jsonl .ndjson": "pandas.read_json",
    ".html .htm": "pandas.read_html",
    ".xml": "pandas.read_xml",
    ".dta": "pandas.read_stata",
    ".sav .zsav": "pandas.read_spss",
    ".sas7bdat .xpt": "pandas.read_sas",
    ".feather .arrow": "pandas.read_feather",
    ".orc": "pandas.read_orc",
    ".pkl .pickle": "pandas.read_pickle",
    ".arff": "scipy.io.arff.loadarff",
}


def read_table(
    path: str | os.PathLike,
    *,
    separator: str = "auto",
    decimal: Literal["auto", ".", ","] = "auto",
    header: Literal["auto", True, False] = "auto",
    skip_rows: int | Collection[int] | Literal["auto"] = "auto",
    missing: Collection[str | float] = (),
    date_format: str | None = None,
    encoding: str = "auto",
) -> pd.DataFrame:
    """Reads the table of a file, with nothing to set for most: a pandas frame for `MDNRegressor.fit`.

    Text is recognised as it is: separated by commas, semicolons, tabs, bars or blanks and tabs, with decimal points or
    commas, in UTF-8, Windows' cp1252 or any encoding that has a mark, compressed by gzip, bzip2, xz or zip, with or
    without a line of names, with comments (`#`, `%`, `//`, `!`) and titles above. Columns are numbers (a few words
    among them are missing values), truth values, durations such as 10:30, dates, if all are of one format and of only
    one, or texts. Row names in a column without a name, as R writes them, become the index. HDF5 (its arrays of one
    dimension), Parquet (needs pyarrow) and the first sheet of an Excel file (needs openpyxl) are read, too.

    What is left out of the frame, and what could also be read in another way, is said in a `UserWarning`. Columns are
    never left out: that is the regressor's business.

    Args:
      path: the file.
      separator: the sign between values of a line; " " for blanks and tabs. "auto" finds it.
      decimal: the decimal sign. "auto" finds it.
      header: whether a line has the names of the columns; if none has, they are `column_0` and so on. "auto": if it
        has words, and the lines below have numbers.
      skip_rows: how many lines to leave out at the beginning, or the numbers of lines to leave out, from 1: `[2]` where
        units follow the names. "auto" leaves out lines of words above the names.
      missing: what stands for a missing value besides what is usual (empty, NA, NaN, null, None, ?, -, ...): texts or
        numbers, such as `[-999]`.
      date_format: how dates are written, such as "%d/%m/%y", where it is not as in ISO 8601. None finds it.
      encoding: that of the text. "auto" finds it.

    Returns:
      A frame with a row for each line.

    Raises:
      ImportError: if pandas is not there, or what it needs for such a file.
      OSError: if the file cannot be opened.
      ValueError: if it holds no table, or one that can be read in several ways: with what was found, and what to pass.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "houses.txt")
    >>> _ = path.write_text("area; price; sold\\n83,5; 420.000; 31.12.2024\\n61; n.a.; 15.1.2025\\n")
    >>> tfmdn.read_table(path)
       area     price       sold
    0  83.5  420000.0 2024-12-31
    1  61.0       NaN 2025-01-15
    """
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise ImportError("tfmdn.read_table needs pandas: pip install 'tfmdn[tables]'.") from error
    path, notes = pathlib.Path(path), []
    skipped = _skipped(skip_rows)
    if not isinstance(separator, str) or (len(separator) != 1 and separator != "auto"):
        raise ValueError(f'`separator` must be one sign or "auto". Received: separator={separator!r}.')
    header = header if isinstance(header, str) and header == "auto" else bool(validation.boolean("header", header))
    try:
        codecs.lookup("utf-8" if encoding == "auto" else encoding)
    except LookupError as error:
        raise ValueError(f'`encoding` must be known to Python, or "auto". Received: encoding={encoding!r}.') from error
    validation.one_of("decimal", decimal, ("auto", ".", ","))
    if isinstance(missing, str):
        raise ValueError(f"`missing` must be a list of texts or numbers. Received: missing={missing!r}.")

    def text(open_file: Callable[[], BinaryIO], separator: str = separator, encoding: str = encoding) -> pd.DataFrame:
        encoding = _find_encoding(open_file, notes) if encoding == "auto" else encoding
        return TextTable(
            open=lambda: io.TextIOWrapper(open_file(), encoding),
            separator=separator,
            decimal=decimal,
            header=header,
            skipped=skipped,
            missing=missing,
            date_format=date_format,
            notes=notes,
        ).read()

    try:
        frame = _read(path, text, missing, notes)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not read. It is not {encoding}: {error}. Pass another `encoding`.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not read. {error}") from error
    except DAMAGED as error:
        raise ValueError(f"{path} is not read. It is damaged, or no such file as it seems: {error}") from error
    for note in notes:
        warnings.warn(f"{path.name}: {note}", UserWarning, stacklevel=2)
    return frame


def _skipped(skip_rows: int | Collection[int] | str) -> frozenset[int] | None:
    if isinstance(skip_rows, str) and skip_rows == "auto":
        return None
    if isinstance(skip_rows, Collection) and not isinstance(skip_rows, str):
        return frozenset(validation.positive_integer("skip_rows", line) for line in skip_rows)
    return frozenset(range(1, validation.nonnegative_integer("skip_rows", skip_rows) + 1))


def _read(path: pathlib.Path, text: Callable, missing: Collection, notes: list[str]) -> pd.DataFrame:
    """The table of a file of any format."""
    import pandas as pd

    with open(path, "rb") as file:
        beginning = file.read(8)
    for ends, function in OTHERS.items():
        if path.suffix.lower() in ends.split():
            raise ValueError(f"{path.suffix} files are read by {function}: fit takes frames and arrays.")
    if beginning == b"\x89HDF\r\n\x1a\n":
        return _replaced(_read_hdf5(path, notes), missing)
    if beginning.startswith(b"PAR1"):
        return _replaced(pd.read_parquet(path), missing)
    if beginning.startswith(b"\xd0\xcf\x11\xe0"):
        return _read_excel(path, text, notes)
    if beginning.startswith(b"PK\3\4"):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
        if any(name.startswith("xl/") or name == "content.xml" for name in names):
            return _read_excel(path, text, notes)
        if len(names) > 1:
            raise ValueError(f"It holds several files, of which one must be taken out: {', '.join(names[:5])}.")
        return text(lambda: zipfile.ZipFile(path).open(names[0]))
    opened = next((opened for mark, opened in COMPRESSED.items() if beginning.startswith(mark)), open)
    return text(lambda: opened(path, "rb"))


def _replaced(frame: pd.DataFrame, missing: Collection) -> pd.DataFrame:
    return frame.mask(frame.isin(list(missing))) if missing else frame


def _read_hdf5(path: pathlib.Path, notes: list[str]) -> pd.DataFrame:
    """The arrays of one dimension, wherever they lie in the file, as columns."""
    import h5py
    import pandas as pd

    columns, others = {}, []

    def add(name: str, item) -> None:
        if "pandas_type" in item.attrs:
            raise ValueError("pandas wrote it: it is read by pandas.read_hdf.")
        if not isinstance(item, h5py.Dataset):
            return
        if item.ndim != 1:
            others.append(f"{name} of shape {item.shape}")
            return
        values = item.asstr()[:] if h5py.check_string_dtype(item.dtype) else item[:]
        if values.dtype.names:
            columns.update({f"{name}/{part}": values[part] for part in values.dtype.names})
        else:
            columns[name] = values

    with h5py.File(path) as file:
        file.visititems(add)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name} ({length})" for name, length in lengths.items()) or "none"
        raise ValueError(f"It must hold arrays of one dimension and of one length. Received: {found}.")
    if others:
        notes.append(f"Only arrays of one dimension are columns. Left out: {', '.join(others)}.")
    short = [name.rpartition("/")[2] for name in columns]
    return pd.DataFrame(dict(zip(short if len(set(short)) == len(short) else columns, columns.values())))


def _read_excel(path: pathlib.Path, text: Callable, notes: list[str]) -> pd.DataFrame:
    """The first sheet, by way of text: it may have titles, units and notes, too."""
    import pandas as pd

    with pd.ExcelFile(path) as file:
        if len(file.sheet_names) > 1:
            notes.append(
                f"It has {len(file.sheet_names)} sheets, of which {file.sheet_names[0]!r} is read. Others are read by "
                "pandas.read_excel."
            )
        sheet = pd.read_excel(file, header=None)
    content = sheet.to_csv(header=False, index=False).encode()
    return text(lambda: io.BytesIO(content), ",", "utf-8")


def _find_encoding(open_file: Callable[[], BinaryIO], notes: list[str]) -> str:
    """By a mark at the beginning; else UTF-8, if all of it is; else what Windows writes in Western Europe."""
    with open_file() as file:
        beginning = file.read(4096)
        for mark, encoding in MARKS.items():
            if beginning.startswith(mark):
                return encoding
        if not beginning.strip():
            raise ValueError("It is empty.")
        if b"\0" in beginning:
            if beginning[1::2].count(0) > 0.9 * len(beginning[1::2]):
                return "utf-16-le"
            raise ValueError("It is not a table as text, HDF5, Parquet or Excel: it holds bytes that are 0.")
        for sign, function in {b"<": "pandas.read_html or read_xml", b"{": "pandas.read_json"}.items():
            if beginning.lstrip().startswith(sign):
                raise ValueError(f"It begins with {sign.decode()!r} and is read by {function}: fit takes frames.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while beginning:
                decoder.decode(beginning)
                beginning = file.read(CHUNK)
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            notes.append(
                f"It is not UTF-8 (byte 0x{byte:02x}), and read as Windows' cp1252. Pass `encoding` if letters are not "
                "what they should be."
            )
    with open_file() as file:
        return "cp1252" if not set(file.read()) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
