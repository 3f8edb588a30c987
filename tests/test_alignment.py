"""Keyed tables of several organizations, side by side."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from pandas.testing import assert_frame_equal

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


def tables(kind, **changes):
    data = {"bank": BANK, "shop": SHOP, "lab": LAB} | changes
    return {name: kind(table) for name, table in data.items()}


def values(frame, column):
    """Values with None where they are missing."""
    return [None if v is None or v != v else v for v in frame[column].to_list()]


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
        ({"shop": SHOP | {"id": [70, 40, 10]}}, "id", "No key is in all tables"),
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
