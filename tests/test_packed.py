"""Files of fitted models: what pickle and skops write, and what is loaded."""

import io
import pickle
from copy import copy
from zipfile import ZipFile

import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._learners import boosted_models

TREES = LGBMRegressor(n_estimators=3, subsample=0.6, subsample_freq=1, verbosity=-1)


def with_skops(model):
    sio = pytest.importorskip("skops.io")
    data = sio.dumps(model)
    return sio.loads(data, trusted=sio.get_untrusted_types(data=data))


def with_pickle(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("again", [with_pickle, with_skops])
@pytest.mark.parametrize("cv", [2, None])
def test_all_kinds_of_models_are_the_same_again(again, cv, wine):
    X, y = wine
    knn = KNeighborsRegressor()
    estimators = {"default": None, "trees": TREES, "ridge": Ridge(), "knn": knn}
    organizations = [
        (name, estimator, slice(3 * j, 3 * j + 3))
        for j, (name, estimator) in enumerate(estimators.items())
    ]
    model = GALClassifier(organizations, cv=cv, max_iter=3, random_state=0).fit(X, y)
    before = again(model)
    for each in (before, again(before)):
        assert_array_equal(each.predict_proba(X), model.predict_proba(X))
    models = model.estimators_  # some are now estimators, others still text
    for each in (before, again(model)):
        assert_array_equal(each.predict_proba(X), model.predict_proba(X))
        for ours, theirs in zip(models, each.estimators_, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                assert type(one) is type(other)
    assert_array_equal(
        before.estimators_[0][0].predict(X[:, :3]), models[0][0].predict(X[:, :3])
    )


def test_an_organization_without_a_model_in_some_rounds(diabetes):
    X, y = diabetes
    X = X.copy()
    X[3:, 4:] = float("nan")
    model = GALRegressor(
        [("a", None, [0, 1, 2, 3]), ("b", Ridge(), [4, 5])],
        missing_rows="abstain",
        cv=2,
        max_iter=2,
        random_state=0,
    ).fit(X, y)
    assert_array_equal(with_pickle(model).predict(X), model.predict(X))


def test_a_file_has_as_many_boosters_as_organizations(diabetes):
    sio = pytest.importorskip("skops.io")
    X, y = diabetes
    organizations = [("a", None, [0, 1, 2, 3]), ("b", TREES, [4, 5, 6, 7])]
    model = GALRegressor(organizations, cv=3, max_iter=4, random_state=0).fit(X, y)
    schema = ZipFile(io.BytesIO(sio.dumps(model))).read("schema.json").decode()
    assert schema.count('"__class__": "Booster"') == 2
    assert "LazyBooster" not in schema


def test_a_copy_of_an_organization_has_the_same_models(diabetes):
    X, y = diabetes
    model = GALRegressor([("a", None, slice(0, 4))], max_iter=2, random_state=0).fit(X, y)
    model.predict(X)
    (organization,) = model._model.participants.organizations
    assert organization._merged
    other = copy(organization)
    assert type(other) is type(organization)
    assert other.models is organization.models
    assert not other._merged
    (fitted, *_) = other.models.values()
    assert type(fitted.estimators[0]) is boosted_models.LazyBooster
