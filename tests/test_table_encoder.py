"""The matrix that the default learner makes of a table."""

import datetime
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.pipeline import make_pipeline

from sklearn_gal import GALRegressor, default_learner
from sklearn_gal._learners.table_encoder import TableEncoder

pa = pytest.importorskip("pyarrow")

N = 300
RECENT = ("Int128", "UInt128", "Float16")


def arrow(values, dtype):
    return pd.array(pa.array(values).cast(dtype), dtype=pd.ArrowDtype(dtype))


def numbers(rng):
    """Columns of numbers by the name of their type, and the floats that they mean."""
    codes = rng.integers(0, 5, N)
    floats, flags = codes.astype(float), codes > 2
    missing = np.where(codes == 0, np.nan, floats)
    given = [None if code == 0 else int(code) for code in codes]
    frames = {
        dtype: pd.Series(codes).astype(dtype)
        for dtype in ("int8", "uint64", "float16", "float32", "longdouble", "object")
    }
    frames |= {
        "Sparse": pd.Series(pd.arrays.SparseArray(floats)),
        "decimals": pd.Series([Decimal(int(code)) for code in codes]),
        "int64[pyarrow]": pd.Series(codes).astype("int64[pyarrow]"),
        "double[pyarrow]": pd.Series(codes).astype("double[pyarrow]"),
        "halffloat[pyarrow]": pd.Series(codes).astype("halffloat[pyarrow]"),
        "decimal[pyarrow]": pd.Series(arrow(codes, pa.decimal128(30, 2))),
    }
    with_missing = {
        dtype: pd.Series(given).astype(dtype)
        for dtype in ("Int64", "Float32", "uint8[pyarrow]", "object")
    }
    series = {
        str(dtype): pl.Series(codes).cast(dtype)
        for dtype in (
            *(pl.Int8, pl.UInt64, pl.Float32, pl.Float64, pl.Decimal(20, 2)),
            *(getattr(pl, name) for name in RECENT if hasattr(pl, name)),
        )
    }
    cases = {f"pandas {name}": (column, floats) for name, column in frames.items()}
    cases |= {f"missing {name}": (each, missing) for name, each in with_missing.items()}
    cases |= {f"polars {name}": (column, floats) for name, column in series.items()}
    cases |= {
        "pandas bool": (pd.Series(flags), flags.astype(float)),
        "pandas boolean": (pd.Series(flags).astype("boolean"), flags.astype(float)),
        "pandas bool[pyarrow]": (pd.Series(flags).astype("bool[pyarrow]"), flags),
        "polars Boolean": (pl.Series(flags), flags),
        "polars Null": (pl.Series([None] * N), np.full(N, np.nan)),
        "polars missing": (pl.Series(given), missing),
    }
    return cases


def categories(rng):
    """Columns of categories by their kind."""
    codes = rng.integers(0, 5, N)
    values = {
        "str": np.array(list("edcba"), object)[codes],
        "int": codes,
        "float": codes / 2,
        "bool": codes > 2,
        "bytes": np.array([b"a", b"b", b"c", b"d", b"e"], object)[codes],
        "date": np.array([datetime.date(2020, 1, day) for day in range(1, 6)])[codes],
        "timestamp": pd.date_range("2020", periods=5)[codes],
        "timedelta": pd.timedelta_range("1D", periods=5)[codes],
        "interval": pd.interval_range(0, 5)[codes],
        "period": pd.period_range("2020", periods=5, freq="M")[codes],
        "decimal": np.array([Decimal(j) for j in range(5)], object)[codes],
        "mixed": np.array([1, "a", 2.5, b"b", None], object)[codes],
    }
    cases = {name: pd.Series(pd.Categorical(each)) for name, each in values.items()}
    strings = values["str"].astype(str)
    dictionary = pa.array(strings).dictionary_encode()
    cases["dictionary[pyarrow]"] = pd.Series(pd.arrays.ArrowExtensionArray(dictionary))
    cases["polars Categorical"] = pl.Series(strings).cast(pl.Categorical)
    cases["polars Enum"] = pl.Series(strings).cast(pl.Enum(list("edcba")))
    return cases


def unreadable(rng):
    """Columns that are neither numbers nor categories, by the name of their type."""
    codes = rng.integers(1, 5, N)
    days = pd.Series(pd.date_range("2020", periods=N))
    strings = [str(code) for code in codes]
    series = {
        "String": pl.Series(strings),
        "Date": pl.Series(days).cast(pl.Date),
        "Datetime": pl.Series(days),
        "Duration": pl.Series(days - days[0]),
        "Time": pl.Series(days).dt.time(),
        "Binary": pl.Series(strings).cast(pl.Binary),
        "List": pl.Series([[1]] * N),
        "Struct": pl.Series([{"x": 1}] * N),
    }
    frames = {
        "str": pd.Series(strings),
        "string": pd.Series(strings, dtype="string"),
        "string[pyarrow]": pd.Series(strings, dtype="string[pyarrow]"),
        "objects": pd.Series(strings, dtype=object),
        "some objects": pd.Series([1.0, "a"] * (N // 2), dtype=object),
        "datetime": days,
        "datetime with a zone": days.dt.tz_localize("UTC"),
        "timedelta": days - days[0],
        "period": days.dt.to_period("M"),
        "interval": pd.Series(pd.interval_range(0, N)),
        "date32[pyarrow]": pd.Series(arrow(list(days.dt.date), pa.date32())),
        "complex": pd.Series(codes * 1j),
    }
    return {f"pandas {name}": each for name, each in frames.items()} | {
        f"polars {name}": each for name, each in series.items()
    }


def names_of(make):
    return sorted(make(np.random.default_rng(0)))


def frame_of(column, other):
    if isinstance(column, pl.Series):
        return pl.DataFrame({"a [1]": column, "b": other})
    return pd.DataFrame({"a [1]": column, "b": other})


@pytest.mark.parametrize("name", names_of(numbers))
def test_numbers_become_floats(rng, name):
    column, expected = numbers(rng)[name]
    other = rng.normal(size=N)
    frame = frame_of(column, other)
    encoder = TableEncoder().fit(frame)
    assert encoder.categorical == []
    matrix = encoder.transform(frame)
    assert matrix.dtype == np.float64
    assert_array_equal(matrix, np.column_stack([expected, other]))


@pytest.mark.parametrize("name", names_of(categories))
def test_categories_become_codes(rng, name):
    column = categories(rng)[name]
    frame = frame_of(column, rng.normal(size=N))
    encoder = TableEncoder().fit(frame)
    matrix = encoder.transform(frame)
    codes = matrix[:, 0]
    if name == "bool":  # two levels are a number
        assert encoder.categorical == []
        assert matrix.shape == (N, 2)
    else:
        assert encoder.categorical == [0]
        assert_array_equal(matrix[:, 2], codes)
        assert_array_equal(
            TableEncoder(twice=False).fit(frame).transform(frame), matrix[:, :2]
        )
    values = column.to_list()
    for value in set(values) - {None, np.nan}:
        positions = [j for j, each in enumerate(values) if each == value]
        assert len(np.unique(codes[positions])) == 1
    known = codes[~np.isnan(codes)]
    assert len(np.unique(known)) == len({v for v in values if v == v and v is not None})
    # the codes belong to the values, whatever is in a frame
    some = encoder.transform(frame[7:60])[:, 0]
    assert_array_equal(some, codes[7:60])
    assert pickle.loads(pickle.dumps(encoder)) == encoder


def test_ordered_categories_are_numbers(rng):
    levels = ["low", "middle", "high"]
    column = pd.Categorical(rng.choice(levels, N), categories=levels, ordered=True)
    encoder = TableEncoder().fit(pd.DataFrame({"g": column}))
    assert encoder.categorical == []
    assert encoder.gain_factors(1) is None
    matrix = encoder.transform(pd.DataFrame({"g": column}))
    assert_array_equal(matrix, column.codes[:, None])


def test_splits_of_many_levels_need_a_larger_gain(rng):
    levels = [f"level {j}" for j in range(50)]
    column = pd.Categorical(rng.choice(levels[:8], N), categories=levels)
    frame = pd.DataFrame({"u": rng.normal(size=N), "g": column})
    encoder = TableEncoder().fit(frame)
    assert encoder.gain_factors(3) == [1.0, 0.5, 1.0]
    learner = default_learner(random_state=0).fit(frame, rng.normal(size=N))
    assert learner.booster_.params["feature_contri"] == [1.0, 0.5, 1.0]
    assert learner.get_params()["feature_contri"] is None


def test_settings_per_column_mean_the_columns_of_the_table(rng):
    codes, y = rng.integers(0, 5, N), rng.normal(size=N)
    frame = pd.DataFrame({"u": codes + rng.normal(size=N), "g": pd.Categorical(codes)})
    for settings in (
        {"monotone_constraints": [1, 0]},
        {"interaction_constraints": [[0], [1]]},
        {"feature_contri": [1.0, 0.9]},
    ):
        learner = default_learner(random_state=0, **settings).fit(frame, y + frame.u)
        assert learner.booster_.num_feature() == 2
        model = GALRegressor([("p", learner, ["u", "g"])], max_iter=2, random_state=0)
        assert model.fit(frame, y + frame.u).score(frame, y + frame.u) > 0.2


def test_other_categories_are_missing(rng):
    frame = pd.DataFrame({"g": pd.Categorical(list("abcab"))})
    encoder = TableEncoder().fit(frame)
    for new in (
        pd.DataFrame({"g": pd.Categorical(["c", "z", None, "a"])}),
        pd.DataFrame({"g": pd.Series(["c", "z", None, "a"], dtype=object)}),
        pl.DataFrame({"g": ["c", "z", None, "a"]}),
        pl.DataFrame({"g": pl.Series(["c", "z", None, "a"]).cast(pl.Categorical)}),
        np.array([["c"], ["z"], [None], ["a"]], dtype=object),
    ):
        assert_array_equal(encoder.transform(new)[:, 0], [2, np.nan, np.nan, 0])


@pytest.mark.parametrize("name", names_of(unreadable))
def test_other_columns_are_named(rng, name):
    column = unreadable(rng)[name]
    frame = frame_of(column, rng.normal(size=N))
    with pytest.raises(ValueError, match=r"'a \[1\]' .*neither|cannot read the columns 'a"):
        TableEncoder().fit(frame)
    model = GALRegressor([("p", None, [0]), ("q", None, [1])], max_iter=2)
    with pytest.raises(ValueError, match=r"'a \[1\]'|Complex data") as info:
        model.fit(frame, rng.normal(size=N))
    assert "'p'" in str(info.value.__notes__) or "Complex" in str(info.value)
    fitted = TableEncoder().fit(pd.DataFrame({"a [1]": [1.0, 2], "b": [1.0, 2]}))
    with pytest.raises(ValueError, match="cannot read the columns 'a"):
        fitted.transform(frame)


OBJECTS = pd.Series([None, 1j], dtype=object)


@pytest.mark.parametrize("estimator", [None, LGBMRegressor(verbosity=-1)])
@pytest.mark.parametrize(
    ("values", "shown", "advice"),
    [
        ([1j, 2.0], "complex128", "Give the real and the imaginary part"),
        (OBJECTS, "object of type complex", "Give the real and the imaginary part"),
        ([{"x": 1}, None], "object of type dict", "Give each entry of dicts"),
        ([[1], [2]], "object of type list", "Give each entry of dicts"),
        ([datetime.date(2020, 1, 1)] * 2, "object of type date", "Convert dates and times"),
        ([pd.Period("2020")] * 2, "period[Y-DEC]", "Convert dates and times"),
        ([1.0, b"x"], "object of type bytes", "Convert strings to categories"),
    ],
)
def test_each_kind_of_column_has_its_advice(values, shown, advice, estimator):
    frame = pd.DataFrame(
        {"a": pd.concat([pd.Series(values)] * 15).array, "b": np.arange(30.0)}
    )
    model = GALRegressor([("p", estimator, [0]), ("q", None, [1])], max_iter=2)
    with pytest.raises(ValueError, match=r"^Organization 'p': LightGBM cannot") as raised:
        model.fit(frame, np.arange(30.0))
    told = str(raised.value)
    assert f"columns 'a' ({shown}). It reads" in told
    assert told.partition("and categories. ")[2].startswith(advice)
    known = ("Give the real", "Give each", "Convert dates", "Convert strings")
    assert sum(start in told for start in known) == 1


def test_all_offenders_are_named():
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": ["x", "y"]})
    with pytest.raises(ValueError, match=r"columns 'a' \(.*\), 'c' \("):
        TableEncoder().fit(frame)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[1, 2.5], [None, True]], dtype=object), [[1, 2.5], [np.nan, 1]]),
        (np.array([[1, 2], [3, 4]], dtype=np.longdouble), [[1, 2], [3, 4]]),
        (np.array([[True, False]]), [[1, 0]]),
    ],
)
def test_arrays(array, expected):
    assert_array_equal(TableEncoder().fit(array).transform(array), expected)


@pytest.mark.parametrize("dtype", [object, str, bytes, "datetime64[D]"])
def test_arrays_without_numbers(dtype):
    array = np.array([["2020-01-01", "2020-01-02"]]).astype(dtype)
    with pytest.raises(ValueError, match=r"cannot read the columns 0 \(.*\), 1 \("):
        TableEncoder().fit(array)


def test_sparse_matrices_stay_sparse():
    matrix = sparse.coo_array(np.eye(3, dtype=np.int8))
    made = TableEncoder().fit(matrix).transform(matrix)
    assert sparse.isspmatrix_csr(made)
    assert made.dtype == np.float64


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize(
    "name", ["a[b]", 'a"b{}:,', "line\nbreak", "2020-01-01", "", "ä 漢", "Column_1"]
)
def test_names_do_not_matter(rng, name, kind):
    X, y = rng.normal(size=(N, 2)), rng.normal(size=N)
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[kind](
        {name: X[:, 0], "c": X[:, 1]}
    )
    expected = default_learner(random_state=0).fit(X, y).predict(X)
    assert_array_equal(
        default_learner(random_state=0).fit(frame, y).predict(frame), expected
    )
    model = GALRegressor([("p", None, [name]), ("q", None, ["c"])], max_iter=2, cv=None)
    assert np.isfinite(model.fit(frame, y).predict(frame)).all()


@pytest.mark.parametrize("exponent", [-100, 60, 200])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_labels_of_all_sizes(rng, exponent, n_outputs):
    X = rng.normal(size=(N, 2))
    y = (X[:, [0]] > 0) * 1.0 + rng.normal(size=(N, n_outputs))
    y, scale = y.squeeze(), 2.0**exponent
    held = [("p", None, [0]), ("q", None, [1])]
    model = GALRegressor(held, random_state=0, max_iter=4, interactions=False)
    expected = model.fit(X, y).predict(X)
    scaled = model.fit(X, scale * y).predict(X)
    assert_allclose(scaled / scale, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("weight", [1e-30, 1e-6, 1e6, 1e30])
def test_the_unit_of_weights_does_not_matter(rng, weight):
    X, weights = rng.normal(size=(N, 2)), rng.uniform(0.5, 2, N)
    y = (X[:, 0] > 0) + 0.1 * rng.normal(size=N)
    held = [("p", None, [0]), ("q", None, [1])]
    predicted = [
        GALRegressor(held, random_state=0, max_iter=10)
        .fit(X, y, sample_weight=each)
        .predict(X)
        for each in (weights, weight * weights)
    ]
    assert_allclose(*predicted, rtol=1e-6)
    learner = default_learner(random_state=0).fit(X, y, sample_weight=weight * weights)
    assert np.var(learner.predict(X)) > 0.1


def test_integers_of_many_digits(rng):
    codes = rng.integers(0, 4, N)
    y = codes % 2 + 0.1 * rng.normal(size=N)
    for dtype in ("int64", "Int64", "int64[pyarrow]", "category"):
        ids = pd.Series(7_000_000_000 + codes).astype(dtype)
        frame = pd.DataFrame({"id": ids, "b": rng.normal(size=N)})
        model = GALRegressor([("p", None, ["id"]), ("q", None, ["b"])], random_state=0)
        assert model.fit(frame, y).score(frame, y) > 0.9


@pytest.mark.parametrize("name", ["pandas double[pyarrow]", "polars Boolean"])
def test_at_any_depth(rng, name):
    column, floats = numbers(rng)[name]
    frame, y = frame_of(column, rng.normal(size=N)), floats + rng.normal(size=N)
    for estimator in (
        VotingRegressor([("l", default_learner(random_state=0))]),
        make_pipeline("passthrough", default_learner(random_state=0)),
    ):
        held = [("p", estimator, [0]), ("q", None, [1])]
        model = GALRegressor(held, max_iter=10, random_state=0)
        assert model.fit(frame, y).score(frame, y) > 0.2


def test_what_scikit_learn_reads_is_read(rng):
    """Whatever HistGradientBoostingRegressor takes, or one clear error."""
    cases = {name: column for name, (column, _) in numbers(rng).items()}
    for name, column in (cases | categories(rng)).items():
        frame, y = frame_of(column, rng.normal(size=N)), rng.normal(size=N)
        try:
            HistGradientBoostingRegressor(max_iter=2).fit(frame, y)
        except Exception:
            continue
        model = GALRegressor([("p", None, [0]), ("q", None, [1])], max_iter=2, cv=None)
        assert np.isfinite(model.fit(frame, y).predict(frame)).all(), name
