"""Fits that continue, and organizations that join and leave."""

import pickle

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, train_test_split

from _helpers import raw_prediction
from sklearn_gal import GALClassifier, GALRegressor


def held(*spans, estimator=None):
    estimator = Ridge() if estimator is None else estimator
    return [(f"o{i}", clone(estimator), span) for i, span in enumerate(spans)]


FOUR = held(slice(0, 3), slice(3, 5), slice(5, 8), slice(8, 10))
TWO = held([0, 1], [2, 3])


class FitsOnce(RegressorMixin, BaseEstimator):
    """A ridge that can be told to refuse any further fit."""

    refuses = False

    def fit(self, X, y):
        if FitsOnce.refuses:
            raise RuntimeError("fitted again")
        self.model_ = Ridge().fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)


# --- continuing ---------------------------------------------------------------------------


def test_warm_start_refuses_another_order(linear):
    model = GALRegressor(TWO, max_iter=3, warm_start=True).fit(*linear)
    for changed in (TWO[::-1], TWO[:1], [("first", Ridge(), [0]), *TWO]):
        with pytest.raises(ValueError, match="same organizations"):
            model.set_params(organizations=changed).fit(*linear)


@pytest.mark.parametrize("change", [{"early_stopping": True}, {"loss": "huber"}])
def test_warm_start_refuses_another_objective(linear, change):
    settings = {"max_iter": 2, "warm_start": True, "random_state": 0}
    model = GALRegressor(TWO, early_stopping=False, **settings).fit(*linear)
    expected = model.predict(linear[0])
    with pytest.raises(ValueError, match="continues with the same"):
        model.set_params(max_iter=4, **change).fit(*linear)
    assert_array_equal(model.predict(linear[0]), expected)


def test_a_failed_continuation_keeps_no_rows(linear):
    model = GALRegressor(TWO, max_iter=2, warm_start=True).fit(*linear)
    size = len(pickle.dumps(model))
    with pytest.raises(ValueError, match="alpha"):
        model.set_params(o1=Ridge(-1), max_iter=4).fit(*linear)
    assert len(pickle.dumps(model)) < size + 200


def test_a_cold_fit_forgets_where_a_warm_one_was(linear):
    model = GALRegressor(TWO, max_iter=8, warm_start=True, random_state=0).fit(*linear)
    model.set_params(warm_start=False, max_iter=3, random_state=1).fit(*linear)
    model.set_params(warm_start=True, max_iter=8).fit(*linear)
    assert (np.diff(model.train_loss_) <= 0).all()
    fresh = GALRegressor(TWO, max_iter=8, random_state=1).fit(*linear)
    assert model.score(*linear) > fresh.score(*linear) - 0.02


# --- joining ------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"cv": None}, {"missing_rows": "abstain"}])
@pytest.mark.parametrize("frame", [False, True])
def test_a_late_joiner_continues_the_rounds(diabetes, settings, frame):
    X, y = diabetes
    if frame:
        X = pd.DataFrame(X, columns=list("abcdefghij"))
    before = X.iloc[:, :8] if frame else X[:, :8]
    model = GALRegressor(
        FOUR[:3], max_iter=5, warm_start=True, random_state=0, **settings
    ).fit(before, y)
    losses, weights = model.train_loss_, model.weights_
    predictions = list(model.staged_predict(before))
    model.set_params(organizations=FOUR, max_iter=15).fit(X, y)
    assert model.organization_names_ == ["o0", "o1", "o2", "o3"]
    assert_array_equal(model.train_loss_[:6], losses)
    assert_array_equal(model.weights_[:5, :3], weights)
    assert (model.weights_[:5, 3] == 0).all()
    assert model.weights_[5:, 3].max() > 0.1
    assert model.n_iter_ > 7
    assert all(models[3] is None for models in model.estimators_[:5])
    assert all(models[3] is not None for models in model.estimators_[5:])
    assert_allclose(list(model.staged_predict(X))[4], predictions[-1])
    assert_allclose(model.predict(X), raw_prediction(model, X)[:, 0])
    stayed = GALRegressor(FOUR[:3], max_iter=15, random_state=0, **settings).fit(before, y)
    assert model.train_loss_[-1] < stayed.train_loss_[-1]


def test_a_late_joiner_on_columns_that_were_there_and_on_other_rows(diabetes):
    X, y = diabetes
    model = GALRegressor(FOUR[:3], max_iter=3, warm_start=True, random_state=0)
    model.fit(X[:300], y[:300])
    before = model.predict(X)
    model.set_params(organizations=FOUR, max_iter=6).fit(X[300:], y[300:])
    assert_allclose(list(model.staged_predict(X))[2], before)


def test_a_late_joiner_that_fails_leaves_the_model_as_it_was(diabetes):
    X, y = diabetes
    model = GALRegressor(FOUR[:3], max_iter=3, warm_start=True).fit(X[:, :8], y)
    before = model.predict(X[:, :8])
    broken = X.copy()
    broken[:, 8] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.set_params(organizations=FOUR, max_iter=6).fit(broken, y)
    assert model.n_features_in_ == 8
    assert model.n_iter_ == 3
    assert_array_equal(model.predict(X[:, :8]), before)


def test_columns_of_a_late_joiner_stand_behind(diabetes):
    X, y = diabetes
    X = pd.DataFrame(X, columns=list("abcdefghij"))
    model = GALRegressor(FOUR[:3], max_iter=2, warm_start=True).fit(X.iloc[:, :8], y)
    with pytest.raises(ValueError, match="must stand behind those of before"):
        model.set_params(organizations=FOUR, max_iter=3).fit(X.iloc[:, ::-1], y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.set_params(organizations=FOUR[:3]).fit(X, y)


def test_continuing_with_other_rows_missing(diabetes):
    X, y = diabetes
    model = GALRegressor(
        FOUR, max_iter=3, warm_start=True, missing_rows="abstain", random_state=0
    ).fit(X, y)
    gone = X.copy()
    gone[::2, 3:5] = np.nan
    gone[1::2, 5:8] = np.nan
    model.set_params(max_iter=6).fit(gone, y)
    assert model.n_iter_ == 6
    assert np.isfinite(model.predict(gone)).all()


# --- leaving ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{}, {"cv": None}, {"cv": KFold(3)}, {"cv": None, "subsample": 0.7}]
)
def test_leaving_refits_no_model(diabetes, settings):
    X, y = diabetes
    organizations = [(name, FitsOnce(), columns) for name, _, columns in FOUR]
    FitsOnce.refuses = False
    model = GALRegressor(organizations, max_iter=12, random_state=0, **settings).fit(X, y)
    before = model.predict(X)
    FitsOnce.refuses = True
    gone = X.copy()
    gone[:, 3:5] = np.nan  # these columns are not read
    smaller = model.drop_organization("o1", gone, y)
    FitsOnce.refuses = False
    assert smaller.organization_names_ == ["o0", "o2", "o3"]
    assert [name for name, *_ in smaller.organizations] == ["o0", "o2", "o3"]
    assert smaller.weights_.shape == (model.n_iter_, 3)
    assert_allclose(smaller.weights_.sum(axis=1), smaller.learning_rates_ > 0)
    assert (np.diff(smaller.train_loss_) <= 1e-9).all() or settings.get("subsample")
    assert_allclose(smaller.predict(gone), raw_prediction(smaller, gone)[:, 0])
    assert_array_equal(model.predict(X), before)
    assert model.organization_names_ == ["o0", "o1", "o2", "o3"]


def test_leaving_after_a_fit_of_one_round_is_never_having_been_there(diabetes):
    # the first round's local models do not depend on who else is there
    X, y = diabetes
    for cv in (None, 3):
        settings = {"max_iter": 1, "random_state": 0, "cv": cv}
        smaller = GALRegressor(FOUR, **settings).fit(X, y).drop_organization("o3", X, y)
        fresh = GALRegressor(FOUR[:3], **settings).fit(X, y)
        assert_allclose(smaller.weights_, fresh.weights_, atol=1e-8)
        assert_allclose(smaller.predict(X), fresh.predict(X))
        assert_allclose(smaller.train_loss_, fresh.train_loss_)


def test_out_of_fold_on_the_training_rows_only(rng):
    # a partner that memorises noise: in-sample it would get the weights
    X = rng.normal(size=(400, 6))
    y = X[:, 0] + rng.normal(size=400)
    forest = LGBMRegressor(n_estimators=50, min_child_samples=1, verbosity=-1)
    organizations = [("a", Ridge(), [0]), ("noise", forest, [1, 2, 3]), ("b", Ridge(), [4])]
    model = GALRegressor(organizations, max_iter=5, random_state=0).fit(X, y)
    smaller = model.drop_organization("b", X, y)
    assert smaller.weights_[:2, 1].max() < 0.1
    weight = np.ones(400)
    weight[0] = 2
    elsewhere = model.drop_organization("b", X, y, sample_weight=weight)
    assert elsewhere.weights_[:, 1].max() > 0.5


def test_leaving_costs_less_than_a_zero_in_its_place(cancer):
    X, y = cancer
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    organizations = [(f"o{i}", None, slice(7 * i, 7 * i + 7)) for i in range(4)]
    model = GALClassifier(organizations, max_iter=40, random_state=0).fit(X, y)
    alone = GALClassifier(organizations[:1], max_iter=40, random_state=0).fit(X, y)
    for name in ("o1", "o2", "o3"):
        smaller = model.drop_organization(name, X, y)
        assert smaller.score(X_test, y_test) >= alone.score(X_test, y_test)
        assert set(smaller.classes_) == {0, 1}


def test_one_after_the_other(diabetes):
    X, y = diabetes
    model = GALRegressor(FOUR, max_iter=8, missing_rows="abstain", random_state=0).fit(X, y)
    left = model.drop_organization("o3", X, y).drop_organization("o1", X, y)
    assert left.organization_names_ == ["o0", "o2"]
    assert left.patterns_.shape == (4, 2)
    assert left.score(X, y) > 0


def test_a_smaller_model_can_be_continued(diabetes):
    X, y = diabetes
    model = GALRegressor(FOUR, max_iter=4, warm_start=True, random_state=0).fit(X, y)
    smaller = model.drop_organization("o3", X, y)
    before = smaller.predict(X)
    losses = smaller.train_loss_
    smaller.set_params(max_iter=8).fit(X, y)
    assert smaller.n_iter_ > 4
    assert_allclose(smaller.train_loss_[:5], losses)
    assert (np.diff(smaller.train_loss_) <= 1e-9).all()  # out-of-fold, as before
    assert_allclose(list(smaller.staged_predict(X))[3], before)


def test_organizations_that_cannot_leave(diabetes):
    X, y = diabetes
    with pytest.raises(NotFittedError):
        GALRegressor(FOUR).drop_organization("o1", X, y)
    model = GALRegressor(FOUR, max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="'mint' is none of the organizations"):
        model.drop_organization("mint", X, y)
    with pytest.raises(ValueError, match="'o0' holds y"):
        model.drop_organization("o0", X, y)
    with pytest.raises(ValueError, match="features"):
        model.drop_organization("o1", X[:, :8], y)


def test_linear_parts_lose_only_their_own(rng):
    # exact oracle: independent columns, so what remains is the best fit without the part
    X = rng.normal(size=(2000, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0]
    organizations = held([0], [1], [2], [3], estimator=LinearRegression())
    model = GALRegressor(organizations, cv=None, max_iter=150).fit(X, y)
    smaller = model.drop_organization("o3", X, y)
    best = LinearRegression().fit(X[:, :3], y).score(X[:, :3], y)
    assert smaller.score(X, y) == pytest.approx(best, abs=0.01)
