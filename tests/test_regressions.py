"""Defects that were found once, and should not come back."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal import GALClassifier, GALRegressor

TREES = [("a", None, [0, 1]), ("b", None, [2, 3])]
RIDGES = [("a", Ridge(), [0, 1]), ("b", Ridge(), [2, 3])]


@pytest.fixture
def data(rng):
    X = rng.normal(size=(300, 4))
    return X, X[:, 0] + 2 * X[:, 2] + 0.1 * rng.normal(size=300)


@pytest.mark.parametrize("cv", [2, KFold(3)])
def test_routing_without_metadata(data, cv):
    with sklearn.config_context(enable_metadata_routing=True):
        GALRegressor(max_iter=1, cv=cv).fit(*data)
        named = [("splitter", Ridge().set_fit_request(sample_weight=True), [0])]
        GALRegressor(named, max_iter=1, cv=cv).fit(*data, sample_weight=np.ones(300))


def test_warm_start_refuses_another_order(data):
    model = GALRegressor(RIDGES, max_iter=3, warm_start=True).fit(*data)
    for changed in (RIDGES[::-1], RIDGES[:1], [("c", Ridge(), [0]), *RIDGES]):
        with pytest.raises(ValueError, match="same organizations"):
            model.set_params(organizations=changed).fit(*data)


def test_a_cold_fit_forgets_where_a_warm_one_was(data):
    model = GALRegressor(RIDGES, max_iter=8, warm_start=True, random_state=0).fit(*data)
    model.set_params(warm_start=False, max_iter=3, random_state=1).fit(*data)
    model.set_params(warm_start=True, max_iter=8).fit(*data)
    assert (np.diff(model.train_loss_) <= 0).all()
    fresh = GALRegressor(RIDGES, max_iter=8, random_state=1).fit(*data)
    assert model.score(*data) > fresh.score(*data) - 0.02


@pytest.mark.parametrize("cv", [None, 2])
def test_steps_that_work_in_place(data, cv):
    X, y = data
    results = []
    for copy in (True, False):
        own = make_pipeline(StandardScaler(copy=copy), LinearRegression(copy_X=copy))
        held = [("a", own, [0, 1]), ("b", own, [2, 3])]
        model = GALRegressor(held, cv=cv, max_iter=5, random_state=0).fit(5 * X + 3, y)
        results.append(model.predict(5 * X + 3))
    assert_allclose(results[0], results[1])


def test_a_round_that_was_dropped_leaves_no_columns(rng):
    X = rng.normal(size=(120, 4))
    y = X[:, 0] + 2 * rng.normal(size=120)
    model = GALRegressor(
        TREES, max_iter=60, warm_start=True, stack_contributions=True, random_state=0
    ).fit(X, y)
    ended = model.n_iter_
    assert ended < 60
    model.set_params(max_iter=120).fit(X, y)
    assert model.n_iter_ == ended
    assert model.predict(X).shape == (120,)


def test_organizations_that_all_fit_exactly(data):
    X, y = data
    one = [("a", DecisionTreeRegressor(), slice(None))]
    model = GALRegressor(one, cv=None, max_iter=3, learning_rate=1.0).fit(X, y)
    assert_allclose(model.predict(X), y)
    two = [("a", DecisionTreeRegressor(), [0, 1]), ("b", DecisionTreeRegressor(), [2, 3])]
    GALRegressor(two, loss="absolute_error", cv=None, max_iter=3).fit(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
@pytest.mark.parametrize("scale", [2.0**-70, 2.0**70])
def test_targets_of_any_unit(data, loss, scale):
    X, y = data
    held = [("a", LinearRegression(), [0, 1]), ("b", LinearRegression(), [2, 3])]
    model = GALRegressor(held, loss=loss, max_iter=10, random_state=0)
    expected = model.fit(X, y).predict(X)
    assert_allclose(
        model.fit(X, y * scale).predict(X) / scale, expected, rtol=1e-3, atol=1e-3
    )


def test_a_process_backend_around_the_fit(data):
    expected = GALRegressor(RIDGES, max_iter=2, random_state=0).fit(*data).predict(data[0])
    with joblib.parallel_config("loky", n_jobs=2):
        model = GALRegressor(RIDGES, max_iter=2, random_state=0).fit(*data)
        assert_array_equal(model.predict(data[0]), expected)


@pytest.mark.parametrize("change", [{"early_stopping": True}, {"loss": "huber"}])
def test_warm_start_refuses_another_objective(data, change):
    settings = {"max_iter": 2, "warm_start": True, "random_state": 0}
    model = GALRegressor(RIDGES, early_stopping=False, **settings).fit(*data)
    expected = model.predict(data[0])
    with pytest.raises(ValueError, match="continues with the same"):
        model.set_params(max_iter=4, **change).fit(*data)
    assert_array_equal(model.predict(data[0]), expected)


def test_a_failed_continuation_keeps_no_rows(data):
    model = GALRegressor(RIDGES, max_iter=2, warm_start=True).fit(*data)
    size = len(pickle.dumps(model))
    with pytest.raises(ValueError, match="alpha"):
        model.set_params(b=Ridge(-1), max_iter=4).fit(*data)
    assert len(pickle.dumps(model)) < size + 200


def test_a_fold_without_weight(data):
    weight = np.ones(300)
    weight[:100] = 0
    model = GALRegressor(TREES, cv=KFold(3), max_iter=2).fit(*data, sample_weight=weight)
    assert len(model.estimators_[0][0].estimators) == 2


def test_weights_that_are_none(data):
    X, y = data
    for weight in (-1.0, 0.0):
        with pytest.raises(ValueError, match="weight"):
            GALRegressor(RIDGES).fit(X, y, sample_weight=weight)
    for weight in ({0: -1, 1: 1}, {0: 0, 1: 0}):
        with pytest.raises(
            ValueError, match="class_weight must not be negative and must be positive"
        ):
            GALClassifier(RIDGES, class_weight=weight).fit(X, y > 0)


@pytest.mark.parametrize("cv", [None, 2])
def test_ridge_of_columns_with_large_means(data, cv):
    X, y = data
    held = [("a", Ridge(), slice(None))]
    settings = {"cv": cv, "max_iter": 3, "random_state": 0}
    expected = GALRegressor(held, **settings).fit(X, y).score(X, y)
    model = GALRegressor(held, **settings).fit(X + 1e8, y)
    assert model.score(X + 1e8, y) == pytest.approx(expected, abs=1e-4)


def test_stacking_keeps_the_columns_of_the_user(data):
    X, y = data
    settings = {"max_iter": 5, "stack_contributions": True, "random_state": 0}
    expected = GALRegressor(RIDGES, **settings).fit(X, y).predict(X)
    clash = pd.DataFrame(X, columns=["assistance_0", "p", "q", "r"])
    for table in (clash, pd.DataFrame(X)):
        model = GALRegressor(RIDGES, **settings).fit(table, y)
        assert_allclose(model.predict(table), expected)
    own = Pipeline([("assistance", StandardScaler()), ("ridge", Ridge())])
    GALRegressor([("a", own, [0, 1]), TREES[1]], **settings).fit(X, y).predict(X)
