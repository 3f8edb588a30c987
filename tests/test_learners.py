import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Lasso, Ridge, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal._learners import (
    FoldRegressors,
    Learner,
    OutputRegressors,
    RidgeLearner,
    make_learner,
    take_rows,
    weight_parameter,
    with_seed,
)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(80, 6)) + [0, 1, 2, 3, 40, 5]
    residual = X[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(80, 3))
    return X, residual, rng.gamma(1, size=80)


@pytest.mark.parametrize("alpha", [0, 1.0, 100.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("rows", [None, np.arange(10, 60)])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("kind", ["array", "sparse", "frame"])
def test_ridge_learner_equals_ridge(
    data, alpha, fit_intercept, weighted, rows, n_outputs, kind
):
    X, residual, weight = data
    residual = residual[:, :n_outputs]
    estimator = Ridge(alpha=alpha, fit_intercept=fit_intercept)
    params = {"sample_weight": weight} if weighted else {}
    view = {
        "array": X,
        "sparse": sparse.csr_array(X),
        "frame": pd.DataFrame(X).add_prefix("c"),
    }
    learner = make_learner(estimator, view[kind], params)
    assert isinstance(learner, RidgeLearner)
    model = learner.fit(residual, rows, 0)
    some = slice(None) if rows is None else rows
    target = residual[some, 0] if n_outputs == 1 else residual[some]
    expected = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd")
    expected.fit(X[some], target, **take_rows(params, np.arange(80)[some], 80))
    assert model.coef_.shape == expected.coef_.shape
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-9)
    assert_allclose(
        learner.predict(model, rows)[:, 0],
        np.reshape(expected.predict(X[some]), (-1, n_outputs))[:, 0],
    )
    assert_allclose(model.predict(view[kind]), expected.predict(X))


def test_ridge_learner_of_collinear_columns(rng):
    X = rng.normal(size=(30, 2))[:, [0, 0, 1]]
    residual = rng.normal(size=(30, 1))
    model = make_learner(Ridge(alpha=0), X, {}).fit(residual, None, 0)
    expected = Ridge(alpha=0, solver="svd").fit(X, residual[:, 0])
    assert_allclose(model.predict(X), expected.predict(X))


def test_ridge_learner_factors_all_rows_once(data, monkeypatch):
    X, residual, _ = data
    learner = make_learner(Ridge(), X, {})
    first = learner.fit(residual, None, 0)
    monkeypatch.setattr(learner, "_factor", None)
    assert_array_equal(learner.fit(residual, None, 0).coef_, first.coef_)


@pytest.mark.parametrize(
    "estimator",
    [Ridge(positive=True), Ridge(alpha=[1, 2, 3]), Ridge(solver="sag"), Lasso()],
)
def test_other_settings_are_cloned_and_fitted(data, estimator):
    assert type(make_learner(estimator, data[0], {})) is Learner


def test_wide_views_are_left_to_ridge(rng):
    assert type(make_learner(Ridge(), rng.normal(size=(5, 6)), {})) is Learner


@pytest.mark.parametrize(
    ("estimator", "whole"),
    [(DecisionTreeRegressor(max_depth=2), True), (SVR(), False)],
)
def test_outputs(data, estimator, whole):
    X, residual, _ = data
    learner = make_learner(estimator, X, {})
    model = learner.fit(residual, None, 0)
    assert isinstance(model, OutputRegressors) != whole
    assert learner.predict(model, None).shape == residual.shape
    assert learner.predict(learner.fit(residual[:, :1], None, 0), None).shape == (80, 1)
    if not whole:
        expected = [SVR().fit(X, r).predict(X) for r in residual.T]
        assert_array_equal(model.predict(X).T, expected)


def test_fold_regressors_average(data):
    X, residual, _ = data
    parts = [Ridge().fit(X[:40], residual[:40]), Ridge().fit(X[40:], residual[40:])]
    assert_allclose(
        FoldRegressors(parts).predict(X), (parts[0].predict(X) + parts[1].predict(X)) / 2
    )


def test_seeds_fill_only_what_is_unset():
    pipeline = make_pipeline(StandardScaler(), RandomForestRegressor())
    seeded = with_seed(pipeline, 3)
    assert isinstance(seeded[-1].random_state, int)
    assert seeded[-1].n_jobs == 1
    assert pipeline[-1].random_state is None
    assert with_seed(pipeline, 3)[-1].random_state == seeded[-1].random_state
    assert with_seed(pipeline, 4)[-1].random_state != seeded[-1].random_state
    own = with_seed(RandomForestRegressor(random_state=7, n_jobs=2), 3)
    assert (own.random_state, own.n_jobs) == (7, 2)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (SGDRegressor(), "sample_weight"),
        (make_pipeline(StandardScaler(), SVR()), "svr__sample_weight"),
        (
            make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), SVR())),
            "pipeline__svr__sample_weight",
        ),
    ],
)
def test_weight_parameter(data, estimator, name):
    X, residual, weight = data
    assert weight_parameter(estimator) == name
    make_learner(estimator, X, {name: weight}).fit(residual, np.arange(50), 0)


def test_no_weight_parameter():
    from sklearn.neighbors import KNeighborsRegressor

    assert weight_parameter(KNeighborsRegressor()) is None
    assert weight_parameter(make_pipeline(StandardScaler(), KNeighborsRegressor())) is None


def test_take_rows_cuts_only_what_has_a_row_each():
    params = {"a": np.arange(4), "b": [1, 2, 3, 4], "c": "four", "d": 4, "e": {1: 2}}
    taken = take_rows(params, np.array([1, 3]), 4)
    assert_array_equal(taken.pop("a"), [1, 3])
    assert taken == {"b": [2, 4], "c": "four", "d": 4, "e": {1: 2}}
