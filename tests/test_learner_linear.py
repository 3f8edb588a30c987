import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from sklearn_gal import GALRegressor
from sklearn_gal._learners import (
    IN_SAMPLE,
    Split,
    make_learner,
    take_rows,
)
from sklearn_gal._learners.base import Learner
from sklearn_gal._learners.linear import LeastSquaresLearner, RidgeLearner

SOME = Split(np.arange(10, 60), np.arange(60, 80), "some")


@pytest.mark.parametrize("alpha", [0, 1.0, 100.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("split", [IN_SAMPLE, SOME])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("kind", ["array", "sparse", "frame"])
def test_ridge_learner_equals_ridge(
    data, alpha, fit_intercept, weighted, split, n_outputs, kind
):
    X, residual, weight = data
    residual = residual[:, :n_outputs]
    estimator = Ridge(alpha=alpha, fit_intercept=fit_intercept)
    params = {"sample_weight": weight} if weighted else {}
    view = {
        "array": X,
        "sparse": sparse.csr_matrix(X),  # as an organization has it
        "frame": pd.DataFrame(X).add_prefix("c"),
    }
    learner = make_learner(estimator, view[kind], params)
    assert isinstance(learner, RidgeLearner)
    rows = slice(None) if split.rows is None else split.rows
    predicted = slice(None) if split.predict_rows is None else split.predict_rows
    for target in (residual, residual**2):  # the second finds the columns factored
        model, fitted = learner.fit(target, split, 0)
        expected = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd")
        some = take_rows(params, np.arange(80)[rows], 80)
        expected.fit(X[rows], target[rows, 0] if n_outputs == 1 else target[rows], **some)
        assert model.coef_.shape == expected.coef_.shape
        assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)
        assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-9)
        assert_allclose(model.predict(view[kind]), expected.predict(X))
        assert_allclose(fitted, np.reshape(expected.predict(X[predicted]), fitted.shape))
        assert fitted.shape == target[predicted].shape


def test_ridge_learner_of_collinear_columns(rng):
    X = rng.normal(size=(30, 2))[:, [0, 0, 1]]
    residual = rng.normal(size=(30, 1))
    model, _ = make_learner(Ridge(alpha=0), X, {}).fit(residual, IN_SAMPLE, 0)
    expected = Ridge(alpha=0, solver="svd").fit(X, residual[:, 0])
    assert_allclose(model.predict(X), expected.predict(X))


def test_columns_are_factored_once_for_a_key(data, monkeypatch):
    X, residual, _ = data
    learner = make_learner(Ridge(), X, {})
    first = [learner.fit(residual, split, 0)[0] for split in (IN_SAMPLE, SOME)]
    with monkeypatch.context() as patch:
        patch.setattr(learner, "_factor", None)
        for split, model in zip((IN_SAMPLE, SOME), first, strict=True):
            assert_array_equal(learner.fit(residual, split, 0)[0].coef_, model.coef_)


def test_splits_without_a_key_are_not_kept(data):
    X, residual, _ = data
    learner = make_learner(Ridge(), X, {})
    learner.fit(residual, Split(np.arange(40)), 0)
    assert not learner._solvers


@pytest.mark.parametrize(
    "estimator",
    [Ridge(positive=True), Ridge(alpha=[1, 2, 3]), Ridge(solver="sag"), Lasso()],
)
def test_other_settings_are_cloned_and_fitted(data, estimator):
    assert type(make_learner(estimator, data[0], {})) is Learner


def test_wide_views_are_left_to_ridge(rng):
    assert type(make_learner(Ridge(), rng.normal(size=(5, 6)), {})) is Learner


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("split", [IN_SAMPLE, SOME])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_least_squares_learner_equals_linear_regression(
    data, fit_intercept, weighted, split, n_outputs
):
    X, residual, weight = data
    view = pd.DataFrame(X).add_prefix("c")
    estimator = LinearRegression(fit_intercept=fit_intercept)
    params = {"sample_weight": weight} if weighted else {}
    learner = make_learner(estimator, view, params)
    assert isinstance(learner, LeastSquaresLearner)
    plain = Learner(estimator, view, params)
    for target in (residual[:, :n_outputs], residual[:, :n_outputs] ** 2):
        model, fitted = learner.fit(target, split, 0)
        expected, predicted = plain.fit(target, split, 0)
        assert vars(model).keys() == vars(expected).keys()
        assert_allclose(model.coef_, expected.coef_, rtol=1e-8)
        assert_allclose(model.intercept_, expected.intercept_, rtol=1e-8)
        assert_allclose(model.singular_, expected.singular_, rtol=1e-8)
        assert model.rank_ == expected.rank_
        assert_allclose(fitted, predicted, rtol=1e-8)


def test_ill_conditioned_columns_are_cloned_and_fitted(rng):
    X = rng.normal(size=(30, 2))[:, [0, 0, 1]] + 1e-7 * rng.normal(size=(30, 3))
    residual = rng.normal(size=(30, 1))
    model, fitted = make_learner(LinearRegression(), X, {}).fit(residual, IN_SAMPLE, 0)
    expected = LinearRegression().fit(X, residual[:, 0])
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(fitted[:, 0], expected.predict(X))


@pytest.mark.parametrize(
    "estimator", [LinearRegression(positive=True), LinearRegression(fit_intercept=2)]
)
def test_least_squares_of_other_settings(data, estimator):
    if estimator.positive:
        assert type(make_learner(estimator, data[0], {})) is Learner
    else:
        with pytest.raises(ValueError, match="parameter of LinearRegression must be"):
            make_learner(estimator, data[0], {})


def test_sparse_least_squares_are_cloned_and_fitted(data):
    view = sparse.csr_matrix(data[0])
    assert type(make_learner(LinearRegression(), view, {})) is Learner


@pytest.mark.parametrize("cv", [None, 2])
def test_ridge_of_columns_with_large_means(linear, cv):
    X, y = linear
    ridge = [("a", Ridge(), slice(None))]
    settings = {"cv": cv, "max_iter": 3, "random_state": 0}
    expected = GALRegressor(ridge, **settings).fit(X, y).score(X, y)
    model = GALRegressor(ridge, **settings).fit(X + 1e8, y)
    assert model.score(X + 1e8, y) == pytest.approx(expected, abs=1e-4)


def test_each_chain_has_its_singular_values(rng):
    view, residual = rng.normal(size=(90, 3)), rng.normal(size=(90, 1))
    learner = make_learner(LinearRegression(), view, {})
    chains = [
        Split(np.flatnonzero(np.arange(90) % 3 != c), None, ("key", c)) for c in range(3)
    ]
    for _ in range(2):
        for chain in chains:
            model, fitted = learner.fit(residual, chain, 0)
            rows = chain.rows
            expected = LinearRegression().fit(view[rows], residual[rows, 0])
            assert_allclose(model.singular_, expected.singular_)
            assert_allclose(fitted[:, 0], expected.predict(view))
