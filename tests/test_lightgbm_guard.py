"""LightGBM at any depth of an organization's estimator."""

import pickle
from copy import copy, deepcopy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_gal import GALRegressor, default_learner
from sklearn_gal._learners.lightgbm_guard import (
    check_readable_by_lightgbm,
    guard,
    guarded_type,
)

pa = pytest.importorskip("pyarrow")

N = 120


class Own(LGBMRegressor):
    pass


class Holder(RegressorMixin, BaseEstimator):
    """Keeps estimators where scikit-learn does not look for them."""

    def __init__(self, parts):
        self.parts = parts

    def fit(self, X, y):
        parts = self.parts.values() if isinstance(self.parts, dict) else self.parts
        self.fitted_ = [clone(each).fit(X, y) for each in parts]
        return self

    def predict(self, X):
        return np.mean([each.predict(X) for each in self.fitted_], axis=0)


def lightgbm(kind=LGBMRegressor):
    return kind(n_estimators=2, verbosity=-1)


AT_ANY_DEPTH = {
    "bare": lightgbm(),
    "subclass": lightgbm(Own),
    "passthrough": make_pipeline("passthrough", lightgbm()),
    "function": make_pipeline(FunctionTransformer(), lightgbm()),
    "polars inside": make_pipeline(
        ColumnTransformer(
            [("scale", StandardScaler(), ["b"])], remainder="passthrough"
        ).set_output(transform="polars"),
        lightgbm(),
    ),
    "voting": VotingRegressor([("l", lightgbm()), ("r", lightgbm(Own))]),
    "stacking": StackingRegressor([("l", lightgbm())], Ridge(), cv=2),
    "search": GridSearchCV(lightgbm(), {"num_leaves": [3]}, cv=2),
    "target": TransformedTargetRegressor(lightgbm()),
    "list": Holder([lightgbm()]),
    "dict": Holder({"one": lightgbm()}),
    "nested": VotingRegressor([("p", make_pipeline(FunctionTransformer(), lightgbm()))]),
}


def unreadable(rng):
    values = rng.integers(0, 3, N)
    columns = {
        "String": pl.Series(values).cast(pl.String),
        "Decimal": pl.Series(values).cast(pl.Decimal(10, 2)),
        "Categorical": pl.Series(values).cast(pl.String).cast(pl.Categorical),
        "Date": pl.Series(values).cast(pl.Int32).cast(pl.Date),
        "List": pl.Series([[1]] * N),
        "Null": pl.Series([None] * N),
    }
    if hasattr(pl, "Int128"):
        columns["Int128"] = pl.Series(values).cast(pl.Int128)
    return columns


@pytest.mark.parametrize("name", AT_ANY_DEPTH)
def test_what_would_end_the_interpreter_is_an_error(rng, name):
    other, y = rng.normal(size=N), rng.normal(size=N)
    held = [("p", AT_ANY_DEPTH[name], ["a", "b"]), ("q", Ridge(), ["c"])]
    for column in unreadable(rng).values():
        X = pl.DataFrame({"a": column, "b": other, "c": other**2})
        model = GALRegressor(held, max_iter=2, cv=None, random_state=0)
        with pytest.raises(ValueError, match=r"cannot read the columns '.*a' \(") as info:
            model.fit(X, y)
        assert "'p'" in "".join(info.value.__notes__)


@pytest.mark.parametrize("name", AT_ANY_DEPTH)
def test_nothing_else_changes(rng, name):
    X = pl.DataFrame(rng.normal(size=(N, 3)), schema=["a", "b", "c"])
    y = X["a"].to_numpy() + X["c"].to_numpy()
    estimator = AT_ANY_DEPTH[name]
    before = repr(vars(estimator))
    held = [("p", estimator, ["a", "b"]), ("q", Ridge(), ["c"])]
    model = GALRegressor(held, max_iter=2, cv=None, random_state=0).fit(X, y)
    assert repr(vars(estimator)) == before
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(X), model.predict(X))
    bad = X.with_columns(pl.col("a").cast(pl.String))
    for each in (model, again):
        with pytest.raises(ValueError, match=r"cannot read the columns '.*a'|float|type"):
            each.predict(bad)


def test_guarded_models_are_what_they_were(rng):
    X, y = rng.normal(size=(N, 2)), rng.normal(size=N)
    for model in (lightgbm(), lightgbm(Own), lightgbm(LGBMClassifier)):
        target = y > 0 if isinstance(model, LGBMClassifier) else y
        expected = clone(model).fit(X, target).predict(X)
        guarded = guard(model)
        assert isinstance(guarded, type(model))
        assert type(guarded).__name__ == type(model).__name__
        assert guarded.get_params() == model.get_params()
        for make in (clone, copy, deepcopy, lambda each: pickle.loads(pickle.dumps(each))):
            made = make(guarded)
            assert type(made) is guarded_type(type(model))
            assert_array_equal(made.fit(X, target).predict(X), expected)
        assert guard(guarded) is guarded
    assert guarded_type(LGBMRegressor) is guarded_type(LGBMRegressor)


@pytest.mark.parametrize(
    "estimator",
    [Ridge(), make_pipeline(StandardScaler(), LinearRegression()), default_learner()],
)
def test_other_estimators_are_not_copied(estimator):
    assert guard(estimator) is estimator


def test_estimators_may_contain_themselves():
    holder = Holder([lightgbm()])
    holder.parts.append(holder)
    guarded = guard(holder)
    assert type(guarded.parts[0]) is guarded_type(LGBMRegressor)


def test_what_lightgbm_reads(rng):
    values = rng.integers(0, 2, N)
    frame = pd.DataFrame({"a": values, "b": pd.Categorical(values), "c": values > 0})
    numbers = frame.drop(columns="b")
    for table in (
        values,
        frame,
        frame["b"],
        frame.astype({"a": "Int64", "c": "boolean"}),
        numbers.astype("Sparse[float64]"),
        pl.from_pandas(numbers),
        pl.Series(values),
        pa.Table.from_pandas(numbers),
        None,
    ):
        check_readable_by_lightgbm(table)


def test_what_lightgbm_cannot_read(rng):
    strings = pd.DataFrame({"a": ["x", "y"]})
    days = pd.Categorical(pd.to_datetime(["2020-01-01", "2020-01-02"]))
    for table in (
        strings,
        pl.from_pandas(strings),
        pl.from_pandas(strings)["a"],
        pa.Table.from_pandas(strings),
        pa.chunked_array([["x"]]),
        strings.astype("string"),
        pd.DataFrame({"a": days}),
        pd.DataFrame({"a": [1.0]}).astype("double[pyarrow]"),
        pd.DataFrame({"a": np.array([1.0], dtype=np.longdouble)}),
    ):
        with pytest.raises(ValueError, match="LightGBM cannot read the columns"):
            check_readable_by_lightgbm(table)
    with pytest.raises(ValueError, match=r"LazyFrame.*collect\(\)"):
        check_readable_by_lightgbm(pl.from_pandas(strings).lazy())


@pytest.mark.parametrize("name", ["a[b]", "a:b", "a\nb", 'a"b'])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_names_that_lightgbm_cannot_read(rng, name, make):
    X, y = make({name: rng.normal(size=N), "b": rng.normal(size=N)}), rng.normal(size=N)
    for estimator in (lightgbm(), VotingRegressor([("l", lightgbm())])):
        with pytest.raises(ValueError, match=r"columns with the names .*default_learner"):
            GALRegressor([("p", estimator, [0]), ("q", Ridge(), [1])]).fit(X, y)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32])
@pytest.mark.parametrize("kind", ["csr", "dok"])
def test_sparse_numbers(rng, dtype, kind):
    X = sparse.random(N, 4, density=0.5, random_state=0).astype(bool).astype(dtype)
    X, y = X.asformat(kind), rng.normal(size=N)
    held = [("p", lightgbm(), [0, 1]), ("q", None, [2, 3])]
    model = GALRegressor(held, max_iter=2, cv=None, interactions=False).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
