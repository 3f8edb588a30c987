"""Metadata routing, in and through the estimators."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_validate
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier, GALRegressor


@pytest.fixture(autouse=True)
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class Dated(RegressorMixin, BaseEstimator):
    """A regressor that wants a date per row."""

    def fit(self, X, y, date=None):
        self.seen_ = date
        self.model_ = Ridge().fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_weights_go_to_the_estimators_that_request_them(diabetes, rng):
    X, y = diabetes
    weight = rng.gamma(1, size=len(y))
    scaled = make_pipeline(StandardScaler(), Ridge().set_fit_request(sample_weight=True))
    scaled[0].set_fit_request(sample_weight=False)
    held = [
        ("a", Ridge().set_fit_request(sample_weight=True), [0, 1, 2]),
        ("b", Ridge().set_fit_request(sample_weight=False), [3, 4]),
        ("c", None, [5, 6]),
        ("d", scaled, [7, 8, 9]),
    ]
    model = GALRegressor(held, cv=None, max_iter=1).fit(X, y, sample_weight=weight)
    residual = y - np.average(y, weights=weight)
    fitted = model.estimators_[0]
    weighted = Ridge().fit(X[:, :3], residual, weight)
    np.testing.assert_allclose(fitted[0].coef_, weighted.coef_)
    np.testing.assert_allclose(fitted[1].coef_, Ridge().fit(X[:, 3:5], residual).coef_)
    columns = StandardScaler().fit_transform(X[:, 7:])
    np.testing.assert_allclose(
        fitted[3][-1].coef_, Ridge().fit(columns, residual, weight).coef_
    )


def test_weights_without_a_request_are_an_error(diabetes):
    X, y = diabetes
    model = GALRegressor([("a", Ridge(), [0])])
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        model.fit(X, y, sample_weight=np.ones(len(y)))
    balanced = GALClassifier([("a", Ridge(), [0])], class_weight="balanced")
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        balanced.fit(X, y > 100)


@pytest.mark.parametrize("cv", [None, 4])
def test_other_metadata_is_cut_to_the_rows_of_a_fit(diabetes, cv):
    X, y = diabetes
    held = [("a", Dated().set_fit_request(date=True), [0]), ("b", Ridge(), [1])]
    model = GALRegressor(held, cv=cv, max_iter=1, random_state=0)
    model.fit(X, y, date=np.arange(len(y)))
    local = model.estimators_[0][0]
    if cv is None:
        np.testing.assert_array_equal(local.seen_, np.arange(len(y)))
    else:
        seen = np.concatenate([fold.seen_ for fold in local.estimators])
        np.testing.assert_array_equal(np.sort(seen), np.repeat(np.arange(len(y)), 3))


def test_groups_reach_the_splitter_and_through_cross_validate(diabetes, rng):
    X, y = diabetes
    held = [("a", Ridge().set_fit_request(sample_weight=True), slice(None))]
    model = GALRegressor(held, cv=GroupKFold(2), max_iter=2)
    model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    params = {
        "groups": rng.integers(0, 9, len(y)),
        "sample_weight": rng.gamma(1, size=len(y)),
    }
    result = cross_validate(model, X, y, cv=GroupKFold(3), params=params)
    assert np.isfinite(result["test_score"]).all()


@pytest.mark.parametrize("cv", [2, KFold(3)])
def test_fits_without_metadata_and_an_organization_named_splitter(linear, cv):
    GALRegressor(max_iter=1, cv=cv).fit(*linear)
    named = [("splitter", Ridge().set_fit_request(sample_weight=True), [0])]
    GALRegressor(named, max_iter=1, cv=cv).fit(*linear, sample_weight=np.ones(300))


def test_default_learner_takes_weights(diabetes):
    X, y = diabetes
    GALRegressor(max_iter=1).fit(X, y, sample_weight=np.ones(len(y)))


def test_estimators_that_take_no_weights_are_an_error(diabetes):
    X, y = diabetes
    held = [("a", None, [0]), ("b", KNeighborsRegressor(), [1])]
    with pytest.raises(ValueError, match="'b', KNeighborsRegressor, does not support"):
        GALRegressor(held).fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(ValueError, match="'b', KNeighborsRegressor, does not support"):
        GALClassifier(held, class_weight="balanced").fit(X, y > 100)


def test_weights_pass_through_meta_estimators(diabetes):
    X, y = diabetes
    inner = Ridge().set_fit_request(sample_weight=True)
    held = [("a", TransformedTargetRegressor(inner), slice(None))]
    weight = np.arange(len(y)) + 1.0
    model = GALRegressor(held, cv=None, max_iter=1).fit(X, y, sample_weight=weight)
    residual = y - np.average(y, weights=weight)
    expected = Ridge().fit(X, residual, weight).coef_
    np.testing.assert_allclose(model.estimators_[0][0].regressor_.coef_.ravel(), expected)
