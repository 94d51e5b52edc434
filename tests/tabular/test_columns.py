"""Tables of pandas, Polars, PyArrow and others, read as raw columns."""

import datetime
import decimal
import fractions
import json
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import tensorflow as tf

from tfmdn.layers.dates import DateParsing
from tfmdn.tabular import dates, tables
from tfmdn.tabular.columns import Columns, input_names

NAN = np.nan
DAY = 86_400.0
NEW_YEAR = 18_262 * DAY  # 2020-01-01
DATE, MOMENT = datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 6)
BERLIN = pd.Timestamp("2020-01-01 06:00", tz="Europe/Berlin").to_pydatetime()
AHEAD = datetime.timezone(datetime.timedelta(hours=2))
INTERVALS = pd.arrays.IntervalArray.from_breaks([0, 1, 2])
NUMBER, CATEGORY, TIME = ("number", "numbers", None), ("category", "text", None), ("number", "times of day", None)
DURATION = ("number", "durations", None)
NO_TEXT = ("category", "categories that are no text", None)

# Values, and what is expected of a column of them: kind, values, time zone and raw values.
SHARED = {
    "integers": (pa.array([2**60, None], pa.int64()), NUMBER, [2.0**60, NAN]),
    "unsigned": (pa.array([1, 2], pa.uint8()), NUMBER, [1, 2]),
    "floats": (pa.array([0.1, None], pa.float32()), NUMBER, [np.float32(0.1), NAN]),
    "booleans": (pa.array([True, None]), NUMBER, [1, NAN]),
    "decimals": (pa.array([decimal.Decimal("1.50"), None]), NUMBER, [1.5, NAN]),
    "text": (pa.array(["a", None]), CATEGORY, ["a", ""]),
    "dictionary": (pa.array([None, "a"]).dictionary_encode(), CATEGORY, ["", "a"]),
    "iso": (pa.array(["2020-01-01T10:00Z", None]), ("date_text", "text", None), ["2020-01-01T10:00Z", ""]),
    "dates": (pa.array([DATE, None]), ("date", "dates", None), [NEW_YEAR, NAN]),
    "moments": (pa.array([MOMENT, None], pa.timestamp("ns")), ("date", "dates", None), [NEW_YEAR + DAY / 4, NAN]),
    "zoned": (
        pa.array([BERLIN, None], pa.timestamp("us", "Europe/Berlin")),
        ("date", "dates", "Europe/Berlin"),
        [NEW_YEAR + DAY / 4, NAN],
    ),
    "durations": (pa.array([datetime.timedelta(1, 0, 1), None]), DURATION, [DAY + 1e-6, NAN]),
    "times": (pa.array([datetime.time(1, 0, 1), None]), TIME, [3601, NAN]),
    "empty": (pa.array([None, None], pa.string()), ("number", "nothing", None), [NAN, NAN]),
    "null": (pa.nulls(2), ("number", "nothing", None), [NAN, NAN]),
}
PANDAS = {
    "floats": (np.array([0.5, NAN], np.float16), NUMBER, [0.5, NAN]),
    "integers": (pd.array([1, None], "Int8"), NUMBER, [1, NAN]),
    "booleans": (pd.array([True, None], "boolean"), NUMBER, [1, NAN]),
    "text": (pd.array(["a", None], "string"), CATEGORY, ["a", ""]),
    "categories": (pd.Categorical(["b", None]), CATEGORY, ["b", ""]),
    "numbered": (pd.Categorical([1.0, 2.5]), NO_TEXT, ["1", "2.5"]),
    "truth": (pd.Categorical([True, None]), NO_TEXT, ["1", ""]),
    "dictionary": (pd.array([None, 5], pd.ArrowDtype(pa.dictionary(pa.int8(), pa.int64()))), NO_TEXT, ["", "5"]),
    "intervals": (INTERVALS, NO_TEXT, ["(0, 1]", "(1, 2]"]),
    "bins": (pd.cut([0.0, 2.0], [-1, 1, 3]), NO_TEXT, ["(-1, 1]", "(1, 3]"]),
    "months": (pd.PeriodIndex(["2020-01", None], freq="M"), ("date", "dates", None), [NEW_YEAR, NAN]),
    "ahead": (pd.to_datetime([BERLIN] * 2).tz_convert(AHEAD), ("date", "dates", "+02:00"), [NEW_YEAR + 7 * 3600] * 2),
    "durations": (pd.to_timedelta([300, None], "ns"), DURATION, [3e-7, NAN]),
    "sparse": (pd.arrays.SparseArray([0.0, 1.0]), NUMBER, [0, 1]),
}
# Objects of Python, as pandas and lists have them.
OBJECTS = [
    ([1, None, 2.5, pd.NA], NUMBER, [1, NAN, 2.5, NAN]),
    ([True, np.bool_(False), None], NUMBER, [1, 0, NAN]),
    ([decimal.Decimal("1.5"), fractions.Fraction(1, 2), decimal.Decimal("NaN")], NUMBER, [1.5, 0.5, NAN]),
    (["a", NAN, np.str_("b"), pd.NA], CATEGORY, ["a", "", "b", ""]),
    ([*INTERVALS], NO_TEXT, ["(0, 1]", "(1, 2]"]),
    (
        [DATE, pd.NaT, MOMENT, np.datetime64("2020-01-01")],
        ("date", "dates", None),
        [NEW_YEAR, NAN, NEW_YEAR + DAY / 4, NEW_YEAR],
    ),
    ([BERLIN, None], ("date", "dates", "Europe/Berlin"), [NEW_YEAR + DAY / 4, NAN]),
    ([BERLIN, BERLIN.astimezone(AHEAD)], ("date", "dates", "UTC"), [NEW_YEAR + 5 * 3600] * 2),
    ([datetime.timedelta(1), np.timedelta64(5, "s"), pd.NaT], DURATION, [DAY, 5, NAN]),
    ([datetime.time(1), None], TIME, [3600, NAN]),
    (["2020-02-29", "2020-01"], ("date_text", "text", None), ["2020-02-29", "2020-01"]),
    (["2020-02-30", "2020-01-01"], CATEGORY, ["2020-02-30", "2020-01-01"]),
    (["", ""], ("number", "nothing", None), [NAN, NAN]),
    ([None, NAN, pd.NaT], ("number", "nothing", None), [NAN] * 3),
]


def objects(values):
    return pd.DataFrame({"a": pd.Series(values, dtype=object)})


def equal(raw, expected):
    np.testing.assert_array_equal(raw, np.array(expected, object if isinstance(expected[0], str) else np.float64))
    return raw.dtype == (object if isinstance(expected[0], str) else np.float64)


def test_kinds_of_columns():
    frames = {"pyarrow": lambda column: pa.table({"a": column})}
    frames["polars"] = lambda column: pl.DataFrame({"a": pl.from_arrow(column)})
    frames["pandas"] = lambda column: frames["pyarrow"](column).to_pandas()
    frames["arrow in pandas"] = lambda column: frames["pyarrow"](column).to_pandas(types_mapper=pd.ArrowDtype)
    frames["batch"] = lambda column: pa.record_batch({"a": column})
    cases = [(frame(column), *case) for column, *case in SHARED.values() for frame in frames.values()]
    cases += [(pd.DataFrame({"a": column}), *case) for column, *case in PANDAS.values()]
    cases += [(objects(values), *case) for values, *case in OBJECTS]
    cases += [([[value] for value in values], *case) for values, *case in OBJECTS]
    cases += [({"a": np.array(["x", b"y".decode()], kind)}, CATEGORY, ["x", "y"]) for kind in "USO"]
    cases += [({"a": np.array(["2020-01", "NaT"], "M8[M]")}, ("date", "dates", None), [NEW_YEAR, NAN])]
    cases += [({"a": pl.Series(["x", None], dtype=pl.Enum(["x"]))}, CATEGORY, ["x", ""])]
    cases += [({"a": column}, CATEGORY, ["x", "y"]) for column in ([b"x", b"y"], tf.constant(["x", "y"]))]
    cases += [(np.array([(1, b"x"), (2, b"y")], [("a", int), ("b", "S1")])[["a"]], NUMBER, [1, 2])]
    for X, case, expected in cases:
        assert not tables.is_plain(X) or isinstance(X, list)
        columns, raw = Columns.learned(X)
        (column,) = columns
        assert (column.kind, column.of, column.zone) == case, X
        assert equal(raw[column.input], expected)
        restored = Columns.from_config(json.loads(json.dumps(columns.to_config())))
        assert equal(restored.read(X)[column.input], expected)


def test_tables_by_place():
    mixed = [[1, "a", "2020-01-01"], [2, None, ""]]
    expected = {"column_0": [1, 2], "column_1": ["a", ""], "column_2": ["2020-01-01", ""]}
    text = np.array([["1", "a", "2020-01-01"], ["2", "nan", ""]])
    # NumPy makes text of numbers beside text.
    for X in (mixed, np.array(mixed, object), text, text.astype("S")):
        columns, raw = Columns.learned(X)
        assert [column.name for column in columns] == list(expected)
        for name in expected:
            assert equal(raw[name], expected[name])
            assert equal(columns.read(X[:1])[name], expected[name][:1])
        # Numbers that stand where text was are text there.
        assert columns.read(np.array([["3", "4", ""]]))["column_1"].tolist() == ["4"]
    with pytest.warns(UserWarning, match="X has feature names, but MDNRegressor was fitted without"):
        assert equal(columns.read(pd.DataFrame(mixed, columns=["n", "t", "d"]))["column_0"], [1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns.read(pd.DataFrame(mixed))
        columns.read(pd.DataFrame(mixed, columns=list(expected))[["column_2", "column_0", "column_1"]])


FITTED = pd.DataFrame(
    {
        "number": [1.5, 2.0],
        "text": ["a", "b"],
        "category": pd.Categorical([1, 2]),
        "date": pd.to_datetime([DATE, None]),
        "zoned": pd.to_datetime([BERLIN, None]),
        "iso": ["2020-01-01", "2020-01-02"],
        "nothing": [None, None],
        "duration": pd.to_timedelta([1, 2], "s"),
    }
)


def test_further_tables():
    columns, raw = Columns.learned(FITTED)
    for X in (FITTED[FITTED.columns[::-1]], pl.from_pandas(FITTED.astype({"category": int})), dict(FITTED.items())):
        read = columns.read(X)
        assert list(read) == list(raw)
        assert all(equal(read[name], raw[name]) for name in raw)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MDNRegressor was fitted with"):
        read = columns.read(FITTED.to_numpy(object))
    assert all(equal(read[name], raw[name]) for name in raw)
    for name, values, expected in (
        ("number", [1, 2], [1, 2]),
        ("number", pd.Series([True, None], dtype=object), [1, NAN]),
        ("number", pd.Series([None, None], dtype="string"), [NAN, NAN]),
        ("text", [NAN, NAN], ["", ""]),
        ("text", pd.Categorical(["b", "new"]), ["b", "new"]),
        ("category", [1.0, NAN], ["1", ""]),
        ("category", ["1", "3"], ["1", "3"]),
        ("zoned", FITTED["zoned"].dt.tz_convert("UTC"), [NEW_YEAR + DAY / 4, NAN]),
        ("zoned", FITTED["zoned"].astype(object), [NEW_YEAR + DAY / 4, NAN]),
        ("date", [None, None], [NAN, NAN]),
        ("nothing", ["anything", "goes"], [NAN, NAN]),
    ):
        assert equal(columns.read(FITTED.assign(**{name: values}))[name], expected)


def test_tables_that_do_not_fit():
    columns, _ = Columns.learned(FITTED)
    for name, values, message in (
        ("number", ["1", "x"], "Column 'number' held numbers when .* Received: text, 'x' in row 1. .*to_numeric"),
        ("number", FITTED["duration"], "held numbers .* Received: durations, 1 in row 0.$"),
        ("text", [1, 2], "'text' held text .* Received: numbers, 1 in row 0. .*astype"),
        ("date", ["2020-01-01", None], "held dates .* Received: text, '2020-01-01' in row 0. .*to_datetime"),
        ("date", FITTED["zoned"], "'date' held dates with no time zone .* 'Europe/Berlin'. .*tz_localize.None"),
        ("zoned", FITTED["date"], "'zoned' held dates with time zone 'Europe/Berlin' .* no time zone"),
        ("iso", ["2020-01-03", "n.a."], "'iso' held dates as text .* Received: 'n.a.' in row 1."),
        ("iso", FITTED["date"], "'iso' held text .* Received: dates, '2020-01-01T00:00:00' in row 0."),
        ("duration", [1, 2], "held durations .* Received: numbers, 1 in row 0.$"),
    ):
        with pytest.raises(ValueError, match=message):
            columns.read(FITTED.assign(**{name: values}))
    for X, message in (
        (FITTED.rename(columns={"text": "t"}), "names should match .*unseen at fit time: 't'.*now missing: 'text'"),
        (FITTED.assign(y=1), "unseen at fit time: 'y'.\nExpected: 'number', 'text', "),
        (FITTED[[]], "now missing: 'number', 'text'"),
        (np.ones((2, 3)), "X has 3 features, but MDNRegressor is expecting 8 features as input"),
        (FITTED[:0], r"Found array with 0 sample\(s\) \(shape=\(0, 8\)\) while a minimum of 1 is required"),
    ):
        with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
            columns.read(X)


def test_what_no_model_takes():
    argument = (
        "Column 'a' as an argument must be a string, a number, a date, a time or a duration in each row. Received:"
    )
    frame = pd.DataFrame
    for X, error, message in (
        (
            objects([1, "x", 2, NAN]),
            ValueError,
            r"'a' mixes numbers \(2 rows\) and text \(1 row\). Received: 'x' in row 1",
        ),
        (objects([MOMENT, BERLIN]), ValueError, "'a' mixes dates with a time zone and dates without. .* in row 1"),
        (objects([DATE, 5]), ValueError, "'a' mixes dates"),
        (objects([0.0, 1j]), ValueError, "Complex data not supported. .* 1j in row 1"),
        (frame({"a": [0.0, 1j]}), ValueError, "Complex data not supported"),
        (objects([[1], [2]]), TypeError, f"{argument} values of type list, .1. in row 0"),
        (objects([1.0, {"b": 1}]), TypeError, f"{argument} values of type dict, .'b': 1. in row 1"),
        (objects(["x", b"y"]), TypeError, f"{argument} bytes, b'y' in row 1. Decode"),
        (pl.DataFrame({"a": [[1], [2]]}), TypeError, rf"{argument} values of type List\(Int64\)"),
        (pl.DataFrame({"a": [{"b": 1}] * 2}), TypeError, f"{argument} values of type Struct"),
        (pa.table({"a": [b"x", b"y"]}), TypeError, f"{argument} bytes, b'x' in row 0"),
        (frame({"a": [0.0, -np.inf]}), ValueError, "contains infinity. Received: -inf in column 'a', row 1. NaN"),
        (frame({"a": [0.0, 1e101]}), ValueError, r"a number beyond 1e\+100. Received: 1e\+101 in column 'a', row 1."),
        (objects([0, 10**400]), ValueError, "a number beyond .* in column 'a', row 1"),
        (frame([[1, 2]] * 2, columns=["a", "a"]), ValueError, "a name of its own. Received more than once: 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), ValueError, "a name of its own. Received more than once: 'a'"),
        (pl.LazyFrame({"a": [1]}), TypeError, r"rows are in memory. Received: polars.*LazyFrame. Give X.collect\(\)"),
        (
            {"a": [1, 2], "b": [1]},
            ValueError,
            "the same number of rows. Received: 1 in column 'b', 2 in most|2 in column",
        ),
        ({"a": np.ones((2, 1))}, ValueError, r"must be one-dimensional. Received: column 'a' of shape \(2, 1\)"),
        (pd.Series(["x", "y"]), ValueError, "Expected 2D array, got 1D array instead.*Reshape your data"),
        (frame({"a": ["x"]}), ValueError, r"Found array with 1 sample\(s\) \(shape=\(1, 1\)\) while a minimum of 2 is"),
        (frame(index=[0, 1]), ValueError, r"Found array with 0 feature\(s\)"),
        (objects([datetime.datetime(2020, 1, 1, tzinfo=Nowhere())] * 2), ValueError, "time zone that Python knows"),
    ):
        with pytest.raises(error, match=message):
            Columns.learned(X)


class Nowhere(datetime.tzinfo):
    def utcoffset(self, moment):
        return datetime.timedelta(0)


def test_plain_arrays_and_sparse_ones():
    numbers = np.ones((2, 2))
    plain = (
        numbers,
        numbers.astype(object),
        numbers.tolist(),
        [[1, None]],
        pd.DataFrame(numbers),
        [[1], [1, 2]],
        1j * numbers,
    )
    plain += (pd.DataFrame({0: pd.array([1, None], "Int64"), 1: [True, False]}), pd.Series([1.0]), None, "text")
    assert [tables.is_plain(X) for X in plain] == [True] * len(plain)
    raw = (pd.DataFrame(numbers, columns=["a", "b"]), pl.DataFrame(numbers), {"a": [1]}, [[1, "a"]], np.array([["1"]]))
    raw += (pd.DataFrame({0: ["a"]}), numbers.astype("m8[s]"), np.zeros(2, [("a", float)]), pl.LazyFrame({"a": [1]}))
    assert [hasattr(X, "collect") or tables.is_plain(X) for X in raw] == [False] * 8 + [True]
    for X in (scipy.sparse.eye(2, format="csr"), scipy.sparse.coo_array(np.eye(2)), np.eye(2)):
        np.testing.assert_array_equal(tables.dense(X), np.eye(2))
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0, 1]), "b": ["x", "y"]})
    assert "Sparse" not in " ".join(map(str, tables.dense(frame).dtypes))
    with pytest.raises(
        ValueError, match=r"more than 1 GiB\. Received: 1,000,000 rows of 1,000 features, which take 7\.45 GiB"
    ):
        tables.dense(scipy.sparse.csr_array((10**6, 1000)))


def test_names_of_inputs():
    names = ["Age", "age", "a b", "a_b", "x", "class", "température", "年", "1st", 3, ("a", DATE), "_id", "Seed"]
    expected = ["Age", "age_", "a_b_", "a_b", "x_", "class_", "temperature", "column_7", "column_1st", "column_3"]
    expected += ["a_2020_01_01", "id", "Seed_"]
    assert input_names(names) == expected
    frame = pd.DataFrame([[1.0] * len(names), [2.0] * len(names)], columns=pd.Index(names, tupleize_cols=False))
    columns, raw = Columns.learned(frame)
    restored = Columns.from_config(json.loads(json.dumps(columns.to_config())))
    assert list(raw) == expected
    assert equal(restored.read(frame[frame.columns[::-1]].assign(Age=[5.0, 6.0]))["Age"], [5, 6])


def test_dates_as_text_are_those_that_the_layer_reads():
    texts = ["2020-02-29", "2019-02-29", "0000-02-29", "2020/12/31 23:59:59.5", "2020-01", "2020", "2020-13"]
    texts += ["2020-1-1", "2020-01-01T10:00+01:00", "2020-01-01 10Z", "2020-01/01", "٢020-01-01", "2020-01-01 24:00"]
    read = ~np.isnan(DateParsing()(tf.constant(texts)).numpy())
    assert [dates.first_not_iso([text]) is None for text in texts] == read.tolist()


def test_clocks_on_the_wall():
    days = pd.date_range("1950-01-01", "2037-01-01", freq="997h", tz="UTC").append(pd.DatetimeIndex([pd.NaT], tz="UTC"))
    changes = pd.date_range("2024-03-31", periods=48, freq="30min", tz="UTC")
    for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "-03:30"):
        for moments in (days, changes):
            truth = moments.tz_convert(zone).tz_localize(None)
            wall = dates.wall_clock(dates.seconds(moments.tz_localize(None).to_numpy()), zone)
            np.testing.assert_array_equal(wall, dates.seconds(truth.to_numpy()))
