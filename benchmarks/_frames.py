"""Tables with a column of an unusual type, of unusual values or with an unusual name."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from scipy import sparse

DAY = datetime.date(2024, 2, 28)
NOON = datetime.datetime(2024, 2, 28, 12)
WORDS = ["ape", "bee", "cat", "dog"]


def repeated(*values):
    """A function of the random numbers and their number: draws from these values."""
    return lambda rng, n: [values[i] for i in rng.integers(len(values), size=n)]


def normal(rng, n):
    return rng.normal(size=n).tolist()


def one_is(value):
    """Floats, some of which are this value."""
    return lambda rng, n: [value if rng.random() < 0.1 else x for x in normal(rng, n)]


NUMBERS, BITS, TEXTS = repeated(*range(7)), repeated(True, False), repeated(*WORDS)
DATES = repeated(*(DAY + datetime.timedelta(days) for days in range(5)))
MOMENTS = repeated(*(NOON + datetime.timedelta(hours=h) for h in range(5)))
SPANS = repeated(*(datetime.timedelta(hours=h) for h in range(5)))
TIMES = repeated(*(datetime.time(h) for h in range(5)))
DECIMALS = repeated(*(decimal.Decimal(f"{h}.25") for h in range(5)))
LISTS, STRUCTS = repeated([1, 2], [3, 4]), repeated({"a": 1}, {"a": 2})
BYTES, MIXED = repeated(b"ape", b"bee"), repeated(1, 2.5, "ape", None)
INTERVALS = repeated(*pd.interval_range(0, 4))
PERIODS = repeated(*pd.period_range("2024-01", periods=4, freq="M"))

# NumPy: the type of the whole matrix
NUMPY = dict.fromkeys("int8 int16 int32 int64 uint8 uint16 uint32 uint64".split(), NUMBERS)
NUMPY |= dict.fromkeys("float16 float32 float64 longdouble complex128".split(), normal)
NUMPY |= {"bool": BITS, "str": TEXTS, "bytes": BYTES, "datetime64[s]": MOMENTS}
NUMPY |= {"timedelta64[s]": SPANS, "f8,i4": repeated((0.5, 1), (1.5, 2))}
OBJECTS = {"numbers": normal, "texts": TEXTS, "mixed": MIXED, "None": one_is(None)}
OBJECTS |= {"decimals": DECIMALS, "dates": DATES, "moments": MOMENTS, "lists": LISTS}
# pandas: a dtype and its values
PANDAS = dict.fromkeys("Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64".split(), NUMBERS)
PANDAS |= dict.fromkeys("Float32 Float64 float16 float32 float64".split(), normal)
PANDAS |= {"bool": BITS, "boolean": BITS, "string": TEXTS, "str": TEXTS}
PANDAS |= {"Sparse[float]": normal, "complex128": normal}
PANDAS |= {"datetime64[ns]": MOMENTS, "datetime64[ns, Europe/Paris]": MOMENTS}
PANDAS |= {"timedelta64[ns]": SPANS, "period[M]": PERIODS, "interval": INTERVALS}
PANDAS_INTEGERS = ["int8", "int64", "uint64", "Sparse[int]"]
CATEGORIES = {"texts": TEXTS, "integers": NUMBERS, "floats": repeated(0.5, 1.5, 2.5)}
CATEGORIES |= {"booleans": BITS, "intervals": INTERVALS, "periods": PERIODS}
CATEGORIES |= {"dates": DATES, "moments": MOMENTS, "many levels": normal}
CATEGORIES |= {"many texts": lambda rng, n: [f"level {i}" for i in range(n)]}
ARROW = {
    **dict.fromkeys([pa.int8(), pa.int64(), pa.uint32(), pa.uint64()], NUMBERS),
    **dict.fromkeys([pa.float32(), pa.float64()], normal),
    pa.float16(): lambda rng, n: list(np.float16(normal(rng, n))),
    pa.bool_(): BITS,
    **dict.fromkeys([pa.string(), pa.large_string(), pa.string_view()], TEXTS),
    pa.dictionary(pa.int32(), pa.string()): TEXTS,
    **dict.fromkeys([pa.binary(), pa.large_binary()], BYTES),
    **dict.fromkeys([pa.decimal128(9, 2), pa.decimal256(50, 2)], DECIMALS),
    **dict.fromkeys([pa.date32(), pa.date64()], DATES),
    **dict.fromkeys([pa.timestamp("us"), pa.timestamp("ns", "UTC")], MOMENTS),
    **dict.fromkeys([pa.time64("us")], TIMES),
    pa.duration("us"): SPANS,
    pa.list_(pa.int64()): LISTS,
    pa.struct({"a": pa.int64()}): STRUCTS,
    pa.null(): repeated(None),
}
# polars: a dtype and its values
INTEGERS = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128]
INTEGERS += [pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.UInt128]
POLARS = {
    **dict.fromkeys(INTEGERS, NUMBERS),
    **dict.fromkeys([pl.Float16, pl.Float32, pl.Float64], normal),
    pl.Boolean: BITS,
    **dict.fromkeys([pl.String, pl.Categorical, pl.Enum(WORDS)], TEXTS),
    **dict.fromkeys([pl.Decimal(9, 2), pl.Decimal(38, 10)], DECIMALS),
    pl.Binary: BYTES,
    pl.Date: DATES,
    **dict.fromkeys([pl.Datetime("us"), pl.Datetime("ns", "UTC")], MOMENTS),
    pl.Duration("us"): SPANS,
    pl.Time: TIMES,
    **dict.fromkeys([pl.List(pl.Int64), pl.Array(pl.Int64, 2)], LISTS),
    pl.Struct({"a": pl.Int64}): STRUCTS,
    pl.Null: repeated(None),
    pl.Object: repeated(WORDS, DAY),
}
# Floats with unusual values, in any container
VALUES = {f"with {x}": one_is(x) for x in (np.nan, np.inf, -np.inf, 1e38, -1e300, 1e-320)}
VALUES |= {"empty": repeated(np.nan), "constant": repeated(1.0)}
VALUES["ten digits"] = lambda rng, n: (10**9 + rng.integers(9 * 10**9, size=n)).tolist()
# Names of a column of floats in pandas
NAMES = ["a[0]", "a]<b", 'say "x"', "it's", "two\nlines", "{a: 1, b}", "a,b:c", "", " "]
NAMES += ["naïve 列", DAY, pd.Timestamp(NOON), 7, 2.5, True, None, ("a", "b"), "good 0"]
SPARSE = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]
SPARSE_TYPES = ["bool", "int8", "int32", "int64", "uint64", "float32", "float64"]
SPARSE_TYPES += ["longdouble", "complex128"]
# How some of the values are replaced
GAPS = {"": 0, ", some missing": 0.1, ", all missing": 1}


def tables():
    """Yield all kinds of tables: container, words about the column, and a function.

    The function takes a random generator and a number of rows. It returns five columns, the
    first of which is the unusual one; in a matrix of a single type, all are.
    """
    for dtype, draw in NUMPY.items():
        yield "NumPy", dtype, numpy_matrix(dtype, draw)
    for what, draw in OBJECTS.items():
        yield "NumPy", f"object of {what}", numpy_objects(draw)
        yield "pandas", f"object of {what}", pandas_frame(object, draw)
    for dtype in PANDAS_INTEGERS:
        yield "pandas", dtype, pandas_frame(dtype, NUMBERS)
    for gap, share in GAPS.items():
        for dtype, draw in PANDAS.items():
            yield "pandas", f"{dtype}{gap}", pandas_frame(dtype, draw, share)
        for dtype, draw in ARROW.items():
            yield "pandas", f"arrow {dtype}{gap}", pandas_frame(dtype, draw, share)
        for what, draw in CATEGORIES.items():
            made = pandas_frame("category", draw, share)
            yield "pandas", f"categories of {what}{gap}", made
        for dtype, draw in POLARS.items():
            yield "polars", f"{dtype}{gap}", polars_frame(dtype, draw, share)
    for what, draw in VALUES.items():
        yield "NumPy", what, numpy_matrix("float64", draw)
        yield "pandas", what, pandas_frame(None, draw)
        yield "polars", what, polars_frame(None, draw)
    for name in NAMES:
        yield "pandas", f"name {name!r}", pandas_frame("float64", normal, name=name)
    yield "pandas", "two levels of names", two_levels_of_names
    for layout in SPARSE:
        for dtype in SPARSE_TYPES:
            yield "SciPy", f"{layout} {dtype}", sparse_matrix(layout, dtype)


def usual(X, rng):
    """Floats in the same container and with the same names as X."""
    floats = rng.normal(size=(X.shape[0], 5))
    if isinstance(X, np.ndarray):
        return floats
    if isinstance(X, pl.DataFrame):
        return pl.DataFrame(floats, schema=X.columns)
    if sparse.issparse(X):
        return sparse.csr_array(floats)
    return pd.DataFrame(floats, columns=X.columns)


def numpy_matrix(dtype, draw):
    return lambda rng, n: np.array([draw(rng, n) for _ in range(5)], dtype=dtype).T


def numpy_objects(draw):
    def make(rng, n):
        X = rng.normal(size=(n, 5)).astype(object)
        X[:, 0] = pd.Series(draw(rng, n), dtype=object)
        return X

    return make


def drawn(draw, share, rng, n):
    """Values, a share of which is missing."""
    return [None if rng.random() < share else value for value in draw(rng, n)]


def usual_columns(rng, n):
    return {f"usual {j}": rng.normal(size=n) for j in range(4)}


def pandas_frame(dtype, draw, share=0, name="odd"):
    def make(rng, n):
        values = drawn(draw, share, rng, n)
        if isinstance(dtype, pa.DataType):
            odd = pd.arrays.ArrowExtensionArray(pa.array(values, dtype))
        else:
            odd = pd.array(values, dtype=None if dtype == "interval" else dtype)
        X = pd.concat([pd.Series(odd), pd.DataFrame(usual_columns(rng, n))], axis=1)
        X.columns = pd.Index([name, *X.columns[1:]], dtype=object)
        return X

    return make


def two_levels_of_names(rng, n):
    X = pandas_frame("float64", normal)(rng, n)
    X.columns = pd.MultiIndex.from_product([["odd"], X.columns])
    return X


def polars_frame(dtype, draw, share=0):
    def make(rng, n):
        odd = pl.Series(drawn(draw, share, rng, n), dtype=dtype, strict=False)
        return pl.DataFrame({"odd": odd, **usual_columns(rng, n)})

    return make


def sparse_matrix(layout, dtype):
    """Make a sparse array, or a sparse matrix in half of the cases."""

    def make(rng, n):
        X = rng.integers(1, 9, size=(n, 5)) * (rng.random((n, 5)) < 0.3)
        kind = rng.choice(["array", "matrix"])
        return getattr(sparse, f"{layout}_{kind}")(X.astype(dtype))

    return make
