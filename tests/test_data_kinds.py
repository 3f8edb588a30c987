"""Frames, sparse matrices, missing values: what users bring as X."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from sklearn_gal import GALClassifier, GALRegressor, make_organizations


@pytest.fixture
def table(rng):
    n = 200
    frame = pd.DataFrame(
        {
            "income": rng.normal(3, 1, n),
            "balance": rng.normal(0, 1, n),
            "town": rng.choice(["here", "there", "elsewhere"], n),
            "tariff": pd.Categorical(rng.choice(["low", "high"], n)),
            "visits": rng.poisson(3, n),
        }
    )
    y = (
        frame.income + (frame.town == "here") + (frame.tariff == "low") + rng.normal(size=n)
    ) > 4
    return frame, y.to_numpy()


def organizations():
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town", "tariff"]),
        remainder="passthrough",
    )
    return [
        ("bank", Ridge(), ["income", "balance"]),
        ("shop", make_pipeline(encode, Ridge()), ["town", "tariff", "visits"]),
    ]


@pytest.mark.parametrize("cv", [None, 3])
def test_string_and_categorical_columns(table, cv):
    X, y = table
    model = GALClassifier(organizations(), cv=cv, max_iter=10, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.7
    assert list(model.feature_names_in_) == list(X.columns)
    assert (model.weights_[:, 1] > 0).any()


def test_pandas_and_polars_agree(table):
    X, y = table
    expected = GALClassifier(organizations(), random_state=0).fit(X, y).predict_proba(X)
    X = pl.from_pandas(X)
    model = GALClassifier(organizations(), random_state=0).fit(X, y)
    assert_allclose(model.predict_proba(X), expected)


def test_categories_in_lightgbm(table):
    X, y = table
    held = [("shop", LGBMRegressor(n_estimators=3, verbosity=-1), ["tariff", "visits"])]
    assert GALClassifier(held, cv=None, max_iter=2).fit(X, y).predict(X).shape == y.shape


@pytest.mark.parametrize(
    "kind", ["pandas", "polars", "polars categorical", "pandas pyarrow"]
)
@pytest.mark.parametrize(
    "estimator",
    [LGBMRegressor(verbosity=-1), make_pipeline("passthrough", LGBMRegressor()), None],
)
def test_strings_that_would_reach_lightgbm(table, kind, estimator):
    X, y = table
    X = X.drop(columns="tariff")
    if kind == "pandas pyarrow":
        X["town"] = X["town"].astype("string[pyarrow]")
    elif kind != "pandas":
        X = pl.from_pandas(X)
    if kind == "polars categorical":
        X = X.with_columns(pl.col("town").cast(pl.Categorical))
    if kind == "polars categorical" and estimator is None:
        model = GALClassifier([("shop", None, ["town", "visits"])], random_state=0)
        assert model.fit(X, y).score(X, y) > np.mean(y == np.bincount(y).argmax())
        return
    with pytest.raises(
        ValueError, match=r"cannot read the columns 'town'.*OrdinalEncoder"
    ) as info:
        GALClassifier([("shop", estimator, ["town", "visits"])]).fit(X, y)
    assert "organization 'shop' was" in info.value.__notes__[0]


def test_encoded_strings_reach_lightgbm(table):
    X, y = table
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    estimator = make_pipeline(encoder, LGBMRegressor(n_estimators=2, verbosity=-1))
    for frame in (X, pl.from_pandas(X)):
        GALClassifier([("shop", estimator, ["town", "tariff"])], max_iter=2).fit(frame, y)


@pytest.mark.parametrize(
    "container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array]
)
@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("data", ["cancer", "wine"])  # one output and several
def test_sparse(container, cv, data, request):
    X, y = request.getfixturevalue(data)
    cut = make_organizations(
        X, 3, [Ridge(), LGBMRegressor(n_estimators=2, verbosity=-1)], random_state=0
    )
    settings = {"cv": cv, "max_iter": 3, "random_state": 0}
    settings["interactions"] = False  # sparse columns are no gates
    dense = GALClassifier(cut, **settings).fit(X, y).decision_function(X)
    model = GALClassifier(cut, **settings).fit(container(X), y)
    assert_allclose(model.decision_function(container(X)), dense, rtol=1e-6, atol=1e-8)


def test_missing_values_are_each_organizations_business(diabetes):
    X, y = diabetes
    X = X.copy()
    X[::7, 0] = X[::5, 4] = X[::3, 8] = np.nan
    held = [
        ("bank", make_pipeline(SimpleImputer(), Ridge()), slice(0, 3)),
        ("shop", HistGradientBoostingRegressor(max_iter=2), slice(3, 6)),
        ("lab", None, slice(6, 10)),
    ]
    model = GALRegressor(held, max_iter=3).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="NaN") as info:
        GALRegressor([("bank", Ridge(), slice(0, 3)), *held[1:]]).fit(X, y)
    assert "organization 'bank'" in info.value.__notes__[0]


def test_permuted_columns_are_refused(table):
    X, y = table
    X = X[["income", "balance", "visits"]]
    model = GALClassifier([("bank", None, [0]), ("shop", None, ["visits"])], max_iter=1)
    model.fit(X, y)
    for frame in (X, pl.from_pandas(X)):
        with pytest.raises(ValueError, match="same order as they were in fit"):
            model.predict(frame[["visits", "income", "balance"]])
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame[["income", "balance"]])


def test_empty_and_unsupported_tables(table):
    X, y = table
    with pytest.raises(ValueError, match=r"empty dataframe \(shape=\(200, 0\)"):
        GALClassifier().fit(X[[]], y)
    with pytest.raises(ValueError, match=r"empty dataframe \(shape=\(0, 1\)"):
        GALClassifier(cv=None, max_iter=1).fit(X[["visits"]], y).predict(X[["visits"]][:0])
    with pytest.raises(TypeError, match=r"pyarrow.*is not supported: pass a pandas"):
        GALClassifier().fit(pl.from_pandas(X).to_arrow(), y)


def test_lists_of_numbers():
    X = [[0.0, 1], [1, 0], [2, 2], [3, 1]] * 10
    assert (
        GALRegressor([("a", Ridge(), [0])], cv=None)
        .fit(X, [0.0, 1, 2, 3] * 10)
        .score(X, [0.0, 1, 2, 3] * 10)
        > 0.99
    )
