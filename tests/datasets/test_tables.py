"""Files as people write them: each is read right, or an error says what to pass."""

import bz2
import gzip
import io
import lzma
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest

import tfmdn

NOTHING = ""


def read(folder, content, name="table.csv", **options):
    """The columns of a file: lists with None for what is missing and text for times, and what was said of it."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frame = tfmdn.read_table(path, **options)
    assert all(warning.filename == __file__ for warning in said)
    times = frame.select_dtypes(["datetime", "datetimetz", "timedelta"]).columns
    frame = frame.astype({column: "str" for column in times}).astype("object")
    columns = frame.where(frame.notna() & ~frame.isin(["NaT"]), None).to_dict("list")
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        columns = {"(index)": frame.index.tolist(), **columns}
    return columns, "\n".join(str(warning.message) for warning in said)


AB = {"a": [1, 3], "b": [2, 4]}
NUMBERED = {"column_0": [1, 3, 5], "column_1": [2.5, 4.5, 6.5]}
ROWS = "".join(f"{i},{i + 0.5}\n" for i in range(30))
# Each a text, options, columns, and a part of what must be said of it.
TEXTS = {
    "commas": ("a,b,c\n1,2.5,x\n3,4.5,y z\n", {}, {"a": [1, 3], "b": [2.5, 4.5], "c": ["x", "y z"]}, NOTHING),
    "semicolons": ("a;b;c\n1;2,5;x, y\n3;4,25;z\n", {}, {"a": [1, 3], "b": [2.5, 4.25], "c": ["x, y", "z"]}, NOTHING),
    "tabs": (
        "a\tb c\n1\tNew York, NY\n2\tBoston, MA\n",
        {},
        {"a": [1, 2], "b c": ["New York, NY", "Boston, MA"]},
        NOTHING,
    ),
    "tabs, empty": ("a\tb\tc\n1\t\t2\n\t3\t4\n", {}, {"a": [1, None], "b": [None, 3], "c": [2, 4]}, NOTHING),
    "bars": ("a|b\n1|x\n3|y\n", {}, {"a": [1, 3], "b": ["x", "y"]}, NOTHING),
    "blanks": (" a   b\n 1  2.5\n 33 -1e-3\n", {}, {"a": [1, 33], "b": [2.5, -0.001]}, NOTHING),
    "blanks and tabs": ("1 \t 2.5\n3\t4.5  \n 5 6.5\n", {}, NUMBERED, NOTHING),
    "blanks, decimal commas": ("1 2,5\n3 4,5\n5 6,5\n", {}, NUMBERED, NOTHING),
    "blanks in dates and texts": (
        "a b\tc\n2020-01-31 00:00:00\t1,5\n2020-02-01 00:00:00\t2,5\n",
        {},
        {"a b": ["2020-01-31", "2020-02-01"], "c": [1.5, 2.5]},
        NOTHING,
    ),
    "commas in all but texts": (
        "1,5|x y|2,25\n3,5|z|4,25\n",
        {},
        {"column_0": [1.5, 3.5], "column_1": ["x y", "z"], "column_2": [2.25, 4.25]},
        NOTHING,
    ),
    "another sign": ("a:b\n1:2\n3:4\n", {"separator": ":"}, AB, NOTHING),
    "one column": ("y\n1\n2\n3\n", {}, {"y": [1, 2, 3]}, NOTHING),
    "lists in cells": ("a,g,c\n1,x;y,2\n3,z;x,4\n", {}, {"a": [1, 3], "g": ["x;y", "z;x"], "c": [2, 4]}, NOTHING),
    "sep=": ("sep=;\na;b\n1;2\n3;4\n", {}, AB, NOTHING),
    "no names": ("1,2.5\n3,4.5\n5,6.5\n", {}, NUMBERED, NOTHING),
    "no names, texts": ("x,u\ny,u\nx,v\n", {}, {"column_0": ["x", "y", "x"], "column_1": ["u", "u", "v"]}, NOTHING),
    "names of texts": ("a,b\nx,u\ny,v\n", {}, {"a": ["x", "y"], "b": ["u", "v"]}, NOTHING),
    "names are numbers": ("1,2\n3,4\n5,6\n", {"header": True}, {"1": [3, 5], "2": [4, 6]}, NOTHING),
    "names are years": (
        "c,2019,2020\nA,5,6\nB,7,8\n",
        {},
        {"c": ["A", "B"], "2019": [5, 7], "2020": [6, 8]},
        "header=False",
    ),
    "names are counted": ("0,1\n0.5,0.7\n0.4,0.1\n", {}, {"0": [0.5, 0.4], "1": [0.7, 0.1]}, "header=False"),
    "no names, told": ("a,1\nx,2\n", {"header": False}, {"column_0": ["a", "x"], "column_1": [1, 2]}, NOTHING),
    "names twice": ("a,a\n1,2\n3,4\n", {}, {"a": [1, 3], "a.1": [2, 4]}, "'a.1'"),
    "R's row names": (
        '"mpg" "cyl"\n"Mazda RX4" 21 6\n"Valiant" 18 6\n',
        {},
        {"(index)": ["Mazda RX4", "Valiant"], "mpg": [21, 18], "cyl": [6, 6]},
        NOTHING,
    ),
    "pandas' index": (",x\n5,2.5\n7,3.5\n", {}, {"(index)": [5, 7], "x": [2.5, 3.5]}, NOTHING),
    "no row names": (",x\n7,2.5\n7,3.5\n", {}, {"column_0": [7, 7], "x": [2.5, 3.5]}, NOTHING),
    "dates are no row names": (
        ",x\n2020-01-01,1\n2020-01-02,2\n",
        {},
        {"column_0": ["2020-01-01", "2020-01-02"], "x": [1, 2]},
        NOTHING,
    ),
    "R's row names, texts": (
        '"","a","b"\n"1","x","u"\n"2","x","b"\n',
        {},
        {"(index)": [1, 2], "a": ["x", "x"], "b": ["u", "b"]},
        NOTHING,
    ),
    "codes": (
        f"a,b\n{ROWS}136A,2\n",
        {},
        {"a": [*map(str, range(30)), "136A"], "b": [*(i + 0.5 for i in range(30)), 2]},
        "missing=['136A']",
    ),
    "separators at ends": ("a,b\n1,2,\n3,4,\n", {}, AB, NOTHING),
    "separators at all ends": ("a,b,\n1,2,\n3,4,\n", {}, AB, NOTHING),
    "title": (
        "Prices of houses\n\na,b\n1,2\n3,4\n",
        {},
        AB,
        "Line 1 ('Prices of houses'), above the values as titles are, is left out: skip_rows=1",
    ),
    "titles": (
        "Prices, 2020\nBy us, and others, in 2021, too\na,b,c\n1,2,x\n3,4,y\n",
        {},
        {**AB, "c": ["x", "y"]},
        "and others are left out: skip_rows=2",
    ),
    "title of blanks": ("Prices of many houses\n1 2.5\n3 4.5\n5 6.5\n", {}, NUMBERED, "skip_rows=1"),
    "title, told": ("Prices, houses\na,b\n1,2\n3,4\n", {"skip_rows": 1}, AB, NOTHING),
    "units, told": ("a,b\ns,m\n1,2\n3,4\n", {"skip_rows": [2]}, AB, NOTHING),
    "spreadsheet": (
        "Prices,,\n,,\na,b,c\n1,2,x\n,,\n3,4,y\nSource: us,,\n",
        {},
        {**AB, "c": ["x", "y"]},
        "'Source: us,,'",
    ),
    "comments": ("# one\n# two\na,b\n1,2\n# three\n3,4\n", {}, AB, NOTHING),
    "names in a comment": ("# a b\n1.0 2.0\n3.0 4.0\n", {}, AB, NOTHING),
    "footers": (
        "a,b\n1,2\n3,4\nTotal rows: 2\nSource: us\n",
        {},
        AB,
        "Line 4 ('Total rows: 2') and what follows are no rows",
    ),
    "short lines": (
        "a,b\n1,2\n3\n",
        {},
        {"a": [1, 3], "b": [2, None]},
        "1 in all. Their last ones are taken for missing: line 3 ('3')",
    ),
    "rows of nothing": ("a,b\n1,2\n?,NA\n3,4\n", {}, AB, "Rows without any value are left out: 1"),
    "quotation marks": (
        'a,"b, c"\n"x, ""y""",1\n"z\nz",2\n# no\n',
        {},
        {"a": ['x, "y"', "z\nz"], "b, c": [1, 2]},
        NOTHING,
    ),
    "inches": ('a,b\n5" pipe,2\n3" pipe,4\n', {}, {"a": ['5" pipe', '3" pipe'], "b": [2, 4]}, NOTHING),
    "old Macs": ("a,b\r1,2\r3,4\r", {}, AB, NOTHING),
    "a mark": ("\ufeffa,b\n1,2\n3,4\n", {}, AB, NOTHING),
    "UTF-16": ("a;b\n1;ü\n3;é\n".encode("utf-16"), {}, {"a": [1, 3], "b": ["ü", "é"]}, NOTHING),
    "UTF-16 without a mark": ("a;b\n1;2\n3;4\n".encode("utf-16-le"), {}, AB, NOTHING),
    "Windows": (
        "ort;b\nKöln;1,5\nUlm;2,5\n".encode("cp1252"),
        {},
        {"ort": ["Köln", "Ulm"], "b": [1.5, 2.5]},
        "Pass `encoding`",
    ),
    "Japanese": (
        "a,b\n1,東京\n3,京都\n".encode("shift-jis"),
        {"encoding": "shift-jis"},
        {"a": [1, 3], "b": ["東京", "京都"]},
        NOTHING,
    ),
    "missing": (
        "a,b,c\n1,?,x\n-,2,n.a.\nNA,3, NULL \n",
        {},
        {"a": [1, None, None], "b": [None, 2, 3], "c": ["x", None, None]},
        NOTHING,
    ),
    "missing, told": (
        "a,b\n1,-999\n3,2.5\n-999,none of it\n",
        {"missing": [-999, "none of it"]},
        {"a": [1, 3], "b": [None, 2.5]},
        "left out: 1",
    ),
    "words": (
        f"a,b\n{ROWS}>30,n.v.\n",
        {},
        {"a": [*range(30), None], "b": [*(i + 0.5 for i in range(30)), None]},
        "Column 'a' has 30 numbers; 1 other values are taken for missing: '>30'.",
    ),
    "many words": (
        "a,b\n1,x\nlow,y\n2,z\n3,z\n",
        {},
        {"a": ["1", "low", "2", "3"], "b": ["x", "y", "z", "z"]},
        "missing=['low']",
    ),
    "thousands": (
        'a,b\n"1,234",x\n"12,345",y\n',
        {},
        {"a": [1234, 12345], "b": ["x", "y"]},
        "'1,234' is read as 1234",
    ),
    "thousands of points": (
        "a;b\n1.234,5;1.000\n99;12.500\n",
        {},
        {"a": [1234.5, 99], "b": [1000, 12500]},
        NOTHING,
    ),
    "thousands or thousandths": (
        "a;b\n420.000;83\n380.000;61\n",
        {},
        {"a": [420, 380], "b": [83, 61]},
        "Pass decimal=','",
    ),
    "late decimal commas": (
        "a;b\n" + "1;2\n" * 400 + "1,5;2\n" * 2,
        {},
        {"a": [1] * 400 + [1.5] * 2, "b": [2] * 402},
        NOTHING,
    ),
    "two decimal signs": (
        "a;b\n1,5;2.25\n2,5;3.75\n",
        {"decimal": ","},
        {"a": [1.5, 2.5], "b": [2.25, 3.75]},
        "'.' for a decimal sign",
    ),
    "signs of units": ("a,b\n$1,3%\n$2.5,\u22124.5%\n", {}, {"a": [1, 2.5], "b": [3, -4.5]}, "'b' is read without %"),
    "many digits": (
        "a,b\n123456789012345678901234,x\n3,y\n",
        {},
        {"a": [123456789012345678901234.0, 3], "b": ["x", "y"]},
        NOTHING,
    ),
    "all missing": ("a,b\nNA,2\n,4\n", {}, {"a": [None, None], "b": [2, 4]}, NOTHING),
    "truth": (
        "a,b,c\nTrue,,yes\nFalse,TRUE,no\n",
        {},
        {"a": [True, False], "b": [None, True], "c": ["yes", "no"]},
        NOTHING,
    ),
    "times": (
        "a,b\n10:30,1:02:03\n23:15,\n",
        {},
        {"a": ["0 days 10:30:00", "0 days 23:15:00"], "b": ["0 days 01:02:03", None]},
        NOTHING,
    ),
}
DATES = {
    "ISO": (["2020-01-31", "2020-02-01 12:30"], ["2020-01-31 00:00:00", "2020-02-01 12:30:00"]),
    "zones": (
        ["2020-01-31T10:00:00+01:00", "2020-07-01T10:00:00Z"],
        ["2020-01-31 09:00:00+00:00", "2020-07-01 10:00:00+00:00"],
    ),
    "months": (["2019-12", "2020-01"], ["2019-12-01", "2020-01-01"]),
    "days first": (["01/02/2020", "31/01/2020", ""], ["2020-02-01", "2020-01-31", None]),
    "months first": (["01/02/2020", "01/31/2020"], ["2020-01-02", "2020-01-31"]),
    "points": (["1.2.2020", "3.4.2020"], ["2020-02-01", "2020-04-03"]),
    "short years": (["31.12.99", "1.1.00"], ["1999-12-31", "2000-01-01"]),
    "words": (["Jan 5, 2020", "Feb 15, 2020"], ["2020-01-05", "2020-02-15"]),
    "afternoon": (["12/31/2019 5:30 PM", "1/1/2020 6:00 AM"], ["2019-12-31 17:30:00", "2020-01-01 06:00:00"]),
    "told": (["01/02/2020", "03/04/2020"], ["2020-02-01", "2020-04-03"], "%d/%m/%Y"),
}
TEXT_OF_DIGITS = [
    "01/02/2020 03/04/2020",
    "2020-01-31 0000-00-00",
    "1.2.3 1.2.4",
    "10-20 20-30",
    "1/2 3/4",
    "id_1 id_2",
]
# Each a text, options, and parts of the error.
ERRORS = {
    "two lines of names": (
        "a,b\ns,m\n1,2\n3,4\n",
        {},
        ["Line 1 ('a', 'b') and line 2 ('s', 'm')", "skip_rows=1 ", "skip_rows=[2]"],
    ),
    "names below": ("506,2,\nCRIM,ZN,MEDV\n1,2,3\n4,5,6\n", {}, ["Line 2 ('CRIM', 'ZN', 'MEDV')", "skip_rows=1 "]),
    "long line": (
        "a,b\n1,2\n3,4\n5,6,7\n8,9\n",
        {},
        ["Line 4 ('5', '6', '7') has 3 values, and others have 2", "`separator`"],
    ),
    "short line of blanks": (
        "a b c\n1 2 3\n3 4\n5 6 7\n8 9 0\n",
        {},
        ["Line 3 ('3', '4') has 2 values", "pandas.read_fwf"],
    ),
    "too few names": ("a,b\n1,2,3\n1,4,5\n", {}, ["Line 1 ('a', 'b') has 2 values, and others have 3"]),
    "too many names": ("a,b,c\n1,2\n3,4\n", {}, ["Line 1 ('a', 'b', 'c') has 3 values, and others have 2"]),
    "first line of values is short": ("1,2\n1,2,3\n4,5,6\n", {}, ["Line 1 ('1', '2') has 2 values"]),
    "title, told that there is none": ("Prices\na,b\n1,2\n", {"skip_rows": 0}, ["Line 1 ('Prices') has 1 values"]),
    "prose": (
        "This is a text\nwith words, and\nno table\nwhatever it is\n",
        {},
        ["cannot be parted", "by commas into 1, 2 values", "skip_rows=3"],
    ),
    "open quotation mark": ('a,b\n"1,2\n3,4\n5,6\n', {}, ["Is a quotation mark not closed?"]),
    "late quotation mark": ("a,b\n" + "1,2\n" * 400 + '"1,2\n', {}, ["Is a quotation mark not closed?"]),
    "separator of no line": ("a,b\n1,2\n", {"separator": ";"}, ["separator=';'"]),
    "names only": ("a,b\n", {}, ["no rows of values", "('a', 'b')"]),
    "nothing": ("", {}, ["It is empty"]),
    "all skipped": ("a,b\n1,2\n", {"skip_rows": 9}, ["It has no rows"]),
    "JSON": ('{"a": 1}', {}, ["pandas.read_json"]),
    "bytes": (b"a,b\n\0\0\0,2\n", {}, ["bytes that are 0"]),
    "encoding": ("a,b\né,2\n", {"encoding": "ascii"}, ["It is not ascii", "`encoding`"]),
    "damaged": (gzip.compress(b"a,b\n1,2\n" * 99)[:25], {}, ["damaged"]),
    "unknown encoding": ("a\n1\n", {"encoding": "klingon"}, ["encoding='klingon'"]),
    "two signs": ("a\n1\n", {"separator": "::"}, ["separator='::'"]),
    "decimal": ("a\n1\n", {"decimal": ";"}, ["decimal=';'"]),
    "header": ("a\n1\n", {"header": 1}, ["header=1"]),
    "skip_rows": ("a\n1\n", {"skip_rows": -1}, ["skip_rows=-1"]),
    "line 0": ("a\n1\n", {"skip_rows": [0]}, ["skip_rows=0"]),
    "missing": ("a\n1\n", {"missing": "x"}, ["missing='x'"]),
}


def test_texts(tmp_path):
    for name, (text, options, columns, note) in TEXTS.items():
        received, said = read(tmp_path, text, **options)
        assert received == columns, name
        assert list(received) == list(columns), name
        assert note in said, name
        assert bool(note) == bool(said), (name, said)


def test_dates(tmp_path):
    for name, (texts, dates, *date_format) in DATES.items():
        cells = "".join(f'"{text}",{i}\n' for i, text in enumerate(texts))
        columns, said = read(tmp_path, f"d,y\n{cells}", date_format=date_format[0] if date_format else None)
        assert columns["d"] == dates, name
        assert ("two digits" in said) if name == "short years" else not said
    for texts in map(str.split, TEXT_OF_DIGITS):
        columns, said = read(tmp_path, f"d,y\n{texts[0]},1\n{texts[1]},2\n")
        assert columns["d"] == texts
        assert ("date" in said) == ("2020" in texts[0])
    assert "missing=['0000-00-00']" in read(tmp_path, "d,y\n2020-01-31,1\n0000-00-00,2\n")[1]
    assert "formats %d/%m/%Y and %m/%d/%Y" in read(tmp_path, "d,y\n01/02/2020,1\n03/04/2020,2\n")[1]


@pytest.mark.parametrize("name", ERRORS)
def test_errors(tmp_path, name):
    text, options, parts = ERRORS[name]
    with pytest.raises(ValueError) as error:  # noqa: PT011, the message is compared below
        read(tmp_path, text, **options)
    assert [part for part in parts if part not in str(error.value)] == []


def test_compressed(tmp_path):
    text, archive = b"a,b\n1,2\n3,4\n", io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("folder/table.csv", text)
    for content in (gzip.compress(text), bz2.compress(text), lzma.compress(text), archive.getvalue()):
        assert read(tmp_path, content) == (AB, "")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("other.csv", text)
    with pytest.raises(ValueError, match=r"several files.*folder/table.csv, other.csv"):
        read(tmp_path, archive.getvalue())


def test_hdf5(tmp_path):
    def content(**arrays):
        with io.BytesIO() as stream:
            with h5py.File(stream, "w") as file:
                for name, array in arrays.items():
                    file[f"group/{name}"] = array
            return stream.getvalue()

    columns, said = read(
        tmp_path, content(x=np.array([1.5, 99.0]), s=["u", "v"], b=[b"w", b"z"], m=np.eye(3)), missing=[99]
    )
    assert columns == {"x": [1.5, None], "s": ["u", "v"], "b": ["w", "z"]}
    assert "group/m of shape (3, 3)" in said
    pairs = np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", "f8")])
    assert read(tmp_path, content(pairs=pairs))[0] == {"a": [1, 3], "b": [2.5, 4.5]}
    with pytest.raises(ValueError, match=r"of one length. Received: group/x \(3\), group/y \(4\)"):
        read(tmp_path, content(x=np.zeros(3), y=np.zeros(4)))


def test_parquet_and_excel(tmp_path):
    dates = pd.to_datetime(["2020-01-31", "2020-02-01"])
    frame = pd.DataFrame({"n": [1.5, np.nan], "d": dates, "c": ["x", "y"]})
    expected = {"n": [1.5, None], "d": ["2020-01-31", "2020-02-01"], "c": ["x", "y"]}
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "frame")
    assert read(tmp_path, (tmp_path / "frame").read_bytes()) == (expected, "")
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "frame.xlsx") as file:
        pd.DataFrame([["Sales"]]).to_excel(file, index=False, header=False)
        frame.to_excel(file, index=False, startrow=2)
        frame.to_excel(file, sheet_name="other")
    columns, said = read(tmp_path, (tmp_path / "frame.xlsx").read_bytes())
    assert columns == expected
    assert "It has 2 sheets, of which 'Sheet1' is read" in said
    assert "Line 1 ('Sales', '', '')" in said


def test_other_files(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"pandas\.read_stata"):
        read(tmp_path, "", name="table.dta")
    with pytest.raises(FileNotFoundError):
        tfmdn.read_table(tmp_path / "none.csv")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'tfmdn\[tables\]'"):
        tfmdn.read_table(tmp_path / "table.csv")


def test_a_table_of_pandas_is_what_pandas_reads(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=500), "n": rng.integers(0, 9, 500), "c": rng.choice(["u", "v, w", 'q"'], 500)}
    )
    frame.loc[::7, ["x", "c"]] = np.nan
    frame.to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(tfmdn.read_table(tmp_path / "a.csv"), pd.read_csv(tmp_path / "a.csv"))
    frame.to_csv(tmp_path / "b.csv", sep=";", decimal=",", encoding="utf-16")
    pd.testing.assert_frame_equal(
        tfmdn.read_table(tmp_path / "b.csv"), pd.read_csv(tmp_path / "a.csv"), check_index_type=False
    )
    np.savetxt(tmp_path / "c.txt", frame[["x", "n"]].fillna(0.0), header="x n")
    np.testing.assert_array_equal(tfmdn.read_table(tmp_path / "c.txt"), np.loadtxt(tmp_path / "c.txt"))
