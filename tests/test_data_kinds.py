"""Frames, sparse matrices, missing values: what users bring as X."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfVectorizer,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

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


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_dates_that_would_reach_lightgbm(kind):
    X = pd.DataFrame({"day": pd.date_range("2020", periods=9), "name": list("abcdefghi")})
    X = pl.from_pandas(X) if kind == "polars" else X
    advice = "Convert dates and times to numbers, e.g. to days since a date."
    with pytest.raises(ValueError, match=f"columns 'day'.*{advice}(?! Convert)"):
        GALRegressor([("shop", None, ["day"])]).fit(X, np.arange(9))
    with pytest.raises(ValueError, match=f"'day'.*{advice} Convert strings"):
        GALRegressor([("shop", None, ["day", "name"])]).fit(X, np.arange(9))


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


def test_rows_to_predict_without_a_column_of_the_fit(table):
    X, y = table
    X = X[["income", "balance", "visits"]]
    model = GALClassifier([("bank", None, [0]), ("shop", None, ["visits"])], max_iter=1)
    model.fit(X, y)
    for frame in (X, pl.from_pandas(X)):
        with pytest.raises(ValueError, match="feature names should match") as raised:
            model.predict(frame[["income"]])
        held, unused = str(raised.value).splitlines()[-2:]
        assert held == "Missing columns of organization 'shop': ['visits']."
        assert unused.startswith("Missing columns that no organization holds: ['balance']")


def with_another(frame):
    is_polars = isinstance(frame, pl.DataFrame)
    return frame.with_columns(other=1.0) if is_polars else frame.assign(other=1.0)


def test_permuted_columns_are_refused(table):
    X, y = table
    X = X[["income", "balance", "visits"]]
    model = GALClassifier([("bank", None, [0]), ("shop", None, ["visits"])], max_iter=1)
    model.fit(X, y)
    for frame in (X, pl.from_pandas(X)):
        for given in (frame[["visits", "income", "balance"]], with_another(frame)):
            with pytest.raises(ValueError, match=r"same order|unseen at fit") as raised:
                model.predict(given)
            assert "X[list(model.feature_names_in_)]" in str(raised.value)
            model.predict(given[list(model.feature_names_in_)])
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


@pytest.mark.parametrize("missing_rows", ["error", "abstain"])
@pytest.mark.parametrize("container", [pd.DataFrame, pl.from_pandas])
def test_an_array_after_a_table_is_a_table_with_one_warning(container, missing_rows):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 4)), columns=[*"abcd"])
    X, y = container(frame), (frame.a * frame.c).to_numpy()
    by_name = make_pipeline(make_column_transformer(("passthrough", ["c", "d"])), Ridge())
    held = [("p", Ridge(), ["a"]), ("q", by_name, ["d", "c"]), ("r", None, ["b"])]
    model = GALRegressor(held, max_iter=3, missing_rows=missing_rows, random_state=0)
    model.fit(X, y)
    for call in (
        model.predict,
        model.predict_interval,
        model.contributions,
        lambda X: list(model.staged_predict(X)),
        lambda X: model.feature_contributions(X).values,
    ):
        with pytest.warns(UserWarning, match="feature names") as caught:
            values = call(frame.to_numpy())
        assert [str(each.message) for each in caught] == [
            "X does not have valid feature names, but GALRegressor was fitted with feature "
            "names"
        ]
        assert_array_equal(values, call(X))


def test_lists_of_numbers():
    X = [[0.0, 1], [1, 0], [2, 2], [3, 1]] * 10
    assert (
        GALRegressor([("a", Ridge(), [0])], cv=None)
        .fit(X, [0.0, 1, 2, 3] * 10)
        .score(X, [0.0, 1, 2, 3] * 10)
        > 0.99
    )


# --- a column of text ---

VECTORIZERS = {
    "tfidf": TfidfVectorizer(),
    "hashing": HashingVectorizer(n_features=32),
    "union": make_union(CountVectorizer(), TfidfVectorizer()),
    "nested": make_pipeline("passthrough", TfidfVectorizer()),
    "frozen": FrozenEstimator(TfidfVectorizer().fit(["good bad so"])),
    "search": None,
}
TABLES = {
    "pandas": lambda frame: frame,
    "pandas string": lambda frame: frame.astype({"comment": "string"}),
    "polars": pl.from_pandas,
    "objects": lambda frame: frame.to_numpy(),
    "lists": lambda frame: frame.to_numpy().tolist(),
}


def commented(n=90):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, n)
    texts = np.array(["good nice", "bad awful", "so so"], dtype=object)[kind]
    frame = pd.DataFrame({"m": rng.normal(size=n), "comment": texts, "g": kind / 7})
    return frame, kind, frame.m + kind


@pytest.mark.parametrize(
    ("kind", "table", "cv"),
    [
        *[(kind, "pandas", None) for kind in VECTORIZERS],
        *[("tfidf", table, cv) for table in TABLES for cv in (None, 3)],
    ],
)
def test_text_is_one_dimensional_for_what_takes_no_table(kind, table, cv):
    frame, classes, y = commented()
    step = VECTORIZERS[kind]
    estimator = make_pipeline(step or TfidfVectorizer(), Ridge())
    if step is None:
        estimator = GridSearchCV(estimator, {"ridge__alpha": [1.0, 2.0]}, cv=2)
    X = TABLES[table](frame)
    # the text tells the class, so that products would be fitted to rounding errors
    settings = {"cv": cv, "max_iter": 3, "random_state": 0, "interactions": False}
    encoded = make_pipeline(make_column_transformer((step or TfidfVectorizer(), "comment")))
    reference = make_pipeline(encoded, Ridge())
    if step is None:
        reference = GridSearchCV(reference, {"ridge__alpha": [1.0, 2.0]}, cv=2)
    column = "comment" if hasattr(X, "columns") else 1
    for gal, target in ((GALRegressor, y), (GALClassifier, classes)):
        expected = gal([("a", reference, ["comment"]), ("b", None, ["m"])], **settings)
        expected.fit(frame, target)
        for columns in (column, [column]):
            model = gal([("a", estimator, columns), ("b", None, [0])], **settings)
            model.fit(X, target)
            assert_allclose(model.contributions(X), expected.contributions(frame))


def test_text_with_missing_rows_and_weights():
    frame, _, y = commented()
    weight = np.random.default_rng(0).gamma(1, size=90)
    weight[::5] = 0
    frame.loc[::4, "comment"] = None
    held = [("b", None, [0]), ("a", make_pipeline(TfidfVectorizer(), Ridge()), 1)]
    for table in (TABLES["pandas"], TABLES["polars"], TABLES["objects"]):
        X = table(frame)
        model = GALRegressor(held, max_iter=3, missing_rows="abstain", random_state=0)
        model.fit(X, y, weight)
        assert [True, False] in model.patterns_.tolist()
        contributions = model.contributions(X)[:, 1, 0]
        assert (contributions[::4] == 0).all()
        assert np.abs(contributions[1::4]).min() > 0
        with pytest.raises((AttributeError, ValueError), match="'a'") as raised:
            model.set_params(missing_rows="error").fit(X, y)
        told = str(raised.value).splitlines()[-1]
        assert "of organization 'a'" in told
        assert "Replace them by text" in told


def test_texts_that_look_like_numbers_among_the_rows_to_predict():
    frame, _, y = commented()
    X = frame.to_numpy()
    held = [("a", make_pipeline(CountVectorizer(), Ridge()), 1), ("b", None, [0, 2])]
    model = GALRegressor(held, max_iter=3, random_state=0).fit(X, y)
    row = np.array([[0.5, "12", 0.1]], dtype=object)
    other = np.array([[0.5, "twelve", 0.1]], dtype=object)
    assert_allclose(model.predict(row), model.predict(other))


def test_organizations_read_numbers_next_to_text():
    frame, _, y = commented()
    held = [("a", make_pipeline(TfidfVectorizer(), Ridge()), 1), ("b", Ridge(), [0, 2])]
    seen = GALRegressor(held, max_iter=2, random_state=0).fit(frame, y)
    model = GALRegressor(held, max_iter=2, random_state=0).fit(frame.to_numpy(), y)
    assert_array_equal(model.predict(frame.to_numpy()), seen.predict(frame))
    with pytest.raises(ValueError, match="could not convert string") as raised:
        model.predict(np.array([["text", "so", 1.0]], dtype=object))
    assert "organization 'b'" in raised.value.__notes__[0]


@pytest.mark.parametrize("absent", [None, np.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_missing_values_in_arrays_of_objects(absent):
    frame, _, y = commented()
    X = frame.to_numpy()
    X[3, 1:] = absent
    held = [("a", Ridge(), [0]), ("b", make_pipeline(TfidfVectorizer(), Ridge()), [1])]
    model = GALRegressor(held, missing_rows="abstain", max_iter=2).fit(X, y)
    assert model.contributions(X)[3, 1] == 0
    assert model.contributions(X)[4, 1] != 0
    with pytest.raises(ValueError, match=r"'c' are missing .* in 1 of 90 rows"):
        GALRegressor([("a", Ridge(), [0]), ("c", Ridge(), [1, 2])]).fit(X, y)


def test_several_columns_for_what_takes_a_single_one():
    frame, _, y = commented()
    held = [("a", make_pipeline(TfidfVectorizer(), Ridge()), ["comment", "m"])]
    with pytest.raises(ValueError, match="'a' has 2 columns, but the first step of its"):
        GALRegressor(held).fit(frame, y)


@pytest.mark.parametrize("first", [FunctionTransformer(np.asarray), OneHotEncoder()])
def test_a_single_column_is_a_table_for_what_takes_tables(first):
    frame, _, y = commented()
    for columns in ("g", ["g"], 2):
        model = GALRegressor([("a", make_pipeline(first, Ridge()), columns)], max_iter=2)
        assert model.fit(frame, y).predict(frame).shape == (90,)


# --- tables that are refused ---


@pytest.mark.parametrize("call", ["fit", "predict", "partition", "target"])
def test_lazy_frames_are_to_be_collected(call):
    frame, _, y = commented()
    X = pl.from_pandas(frame.drop(columns="comment"))
    model = GALRegressor([("a", Ridge(), [0, 1])], max_iter=2).fit(X, y)
    calls = {
        "fit": lambda: model.fit(X.lazy(), y),
        "predict": lambda: model.predict(X.lazy()),
        "partition": lambda: make_organizations(X.lazy(), 2),
        "target": lambda: model.fit(X, pl.DataFrame({"y": y.to_numpy()}).lazy()),
    }
    name = "y" if call == "target" else "X"
    with pytest.raises(TypeError, match=rf"{name} is a polars.*LazyFrame.*{name}.collect"):
        calls[call]()
