"""Rows that some organizations do not have."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from _helpers import Recorder, raw_prediction
from sklearn_gal import GALClassifier, GALRegressor, make_organizations
from sklearn_gal._method.patterns import MAX_PATTERNS, MIN_ROWS, Patterns
from sklearn_gal._organizations.missing import missing_rows

SPANS = {"a": slice(0, 4), "b": slice(4, 7), "c": slice(7, 10)}


def ridges():
    return [(name, Ridge(), span) for name, span in SPANS.items()]


def without(X, rows, *names):
    X = X.copy()
    for name in names:
        X[rows, SPANS[name]] = np.nan
    return X


@pytest.fixture
def partial(diabetes, rng):
    """Diabetes, of which b and c hold different halves of the rows."""
    X, y = diabetes
    X = without(X, rng.random(len(X)) < 0.5, "b")
    return without(X, rng.random(len(X)) < 0.5, "c"), y


# --- which rows are missing ---------------------------------------------------------------


def test_missing_rows_of_arrays_and_sparse_matrices():
    X = np.array([[np.nan, np.nan, 1], [np.nan, 2, 1], [0, 0, np.nan], [1, 1, 1]])
    assert_array_equal(missing_rows(X, [0, 1]), [True, False, False, False])
    assert_array_equal(missing_rows(X, [0]), [True, True, False, False])
    assert_array_equal(missing_rows(X, [2]), [False, False, True, False])
    for container in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        for columns in ([0, 1], [0], [2]):
            assert_array_equal(
                missing_rows(container(X), columns), missing_rows(X, columns)
            )
    assert not missing_rows(np.ones((3, 2), dtype=int), [0, 1]).any()


def test_missing_rows_of_frames():
    table = {
        "number": [np.nan, 1.0, np.nan, None],
        "whole": [None, 1, 2, None],
        "text": [None, None, "x", None],
        "date": [None, None, None, pd.Timestamp(2020, 1, 1)],
    }
    expected = {
        (0, 1): [True, False, False, True],
        (0, 2): [True, False, False, True],
        (2, 3): [True, True, False, False],
        (0, 1, 2, 3): [True, False, False, False],
    }
    frame = pd.DataFrame(table)
    frame["text"] = frame["text"].astype("category")
    nullable = pd.DataFrame(table).convert_dtypes()
    for kind in (pd.DataFrame(table), frame, nullable, pl.DataFrame(table)):
        for columns, missing in expected.items():
            assert_array_equal(missing_rows(kind, columns), missing)


# --- the default: an error ----------------------------------------------------------------


def test_missing_rows_are_an_error_by_default(partial):
    X, y = partial
    n_missing = np.isnan(X[:, 4]).sum()
    message = f"'b' are missing .NaN. in {n_missing} of 442 rows.*missing_rows='abstain'"
    with pytest.raises(ValueError, match=message):
        GALRegressor(ridges()).fit(X, y)
    organizations = [(name, None, span) for name, span in SPANS.items()]
    with pytest.raises(ValueError, match=message):
        GALRegressor(organizations).fit(X, y)
    complete = ~np.isnan(X).any(axis=1)
    model = GALRegressor(organizations, max_iter=3).fit(X[complete], y[complete])
    for predict in (
        model.predict,
        model.contributions,
        lambda X: list(model.staged_predict(X)),
    ):
        with pytest.raises(ValueError, match=message):
            predict(X)


def test_single_missing_values_are_no_missing_rows(diabetes, rng):
    X, y = diabetes
    X = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    X[:, [4, 5, 6]] = np.where(
        np.isnan(X[:, [4]]) & ~np.isnan(X[:, [5]]), 0, X[:, [4, 5, 6]]
    )
    X[np.isnan(X[:, 4:7]).all(axis=1), 4] = 0
    X[np.isnan(X[:, 7:]).all(axis=1), 7] = 0
    X[np.isnan(X[:, :4]).all(axis=1), 0] = 0
    organizations = [(name, None, span) for name, span in SPANS.items()]
    settings = {"max_iter": 3, "random_state": 0}
    expected = GALRegressor(organizations, **settings).fit(X, y).predict(X)
    for policy in ("abstain", "pass"):
        model = GALRegressor(organizations, missing_rows=policy, **settings).fit(X, y)
        assert_allclose(model.predict(X), expected)


def test_a_single_column_is_its_estimators_business(diabetes):
    X, y = diabetes
    X = X.copy()
    X[:100, 2] = np.nan
    imputed = make_pipeline(SimpleImputer(), Ridge())
    for estimator in (None, imputed):
        held = [("a", Ridge(), [0, 1]), ("b", estimator, [2])]
        model = GALRegressor(held, max_iter=2).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="contains NaN"):
        GALRegressor([("a", Ridge(), [0, 1]), ("b", Ridge(), [2])]).fit(X, y)


def test_pass_leaves_missing_rows_to_the_estimators(partial):
    X, y = partial
    organizations = [("a", None, slice(0, 4)), ("b", None, slice(4, 7))]
    model = GALRegressor(organizations, missing_rows="pass", max_iter=3).fit(X, y)
    assert np.isfinite(model.predict(X)).all()


# --- abstaining ---------------------------------------------------------------------------


@pytest.mark.parametrize("cv", [None, 3, KFold(4)])
def test_an_estimator_never_sees_a_row_that_its_organization_lacks(partial, cv):
    X, y = partial
    Recorder.calls.clear()
    organizations = [("a", Recorder(), slice(0, 4)), ("b", Recorder(), slice(4, 7))]
    organizations += [("c", Recorder(), slice(7, 10))]
    weight = np.linspace(1, 2, len(y))
    model = GALRegressor(organizations, cv=cv, missing_rows="abstain", max_iter=2)
    model.fit(X, y, weight).predict(X)
    list(model.staged_predict(X))
    assert Recorder.calls
    for _, _, view, target, params in Recorder.calls:
        assert np.isfinite(view).all()
        if target is not None:
            assert len(view) == len(target) == len(params["sample_weight"])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cv": None},
        {"subsample": 0.7, "cv": None},
        {"weights": "uniform"},
        {"weights": "optimal_absolute"},
        {"line_search": False},
        {"cv": None, "early_stopping": True},
        {"early_stopping": True},
        {"loss": "absolute_error"},
    ],
)
def test_contributions_sum_to_the_prediction(partial, settings):
    X, y = partial
    model = GALRegressor(
        ridges(), missing_rows="abstain", max_iter=6, random_state=0, **settings
    ).fit(X, y)
    shares = model.contributions(X)
    assert_allclose(model.predict(X), raw_prediction(model, X)[:, 0], rtol=1e-12)
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X))
    for m, name in enumerate(SPANS):
        absent = np.isnan(X[:, SPANS[name]]).all(axis=1)
        assert (shares[absent, m] == 0).all()
        if name != "a":
            assert (shares[~absent, m] != 0).any()
    assert model.n_iter_ > 0


def test_several_classes_and_a_frame(wine, rng):
    X, y = wine
    X = X.copy()
    X[np.ix_(rng.random(len(X)) < 0.4, np.arange(5, 13))] = np.nan
    organizations = [("a", None, slice(0, 5)), ("b", Ridge(), slice(5, 13))]
    settings = {"missing_rows": "abstain", "max_iter": 5, "random_state": 0}
    model = GALClassifier(organizations, **settings).fit(X, y)
    assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    for frame in (pd.DataFrame(X), pl.DataFrame(X, nan_to_null=True)):
        again = GALClassifier(organizations, **settings).fit(frame, y)
        assert_allclose(again.predict_proba(frame), model.predict_proba(X))


def test_text_columns(rng):
    n = 200
    x = rng.normal(size=n)
    text = np.where(rng.random(n) < 0.5, "yes", "no").astype(object)
    y = x + (text == "yes")
    absent = rng.random(n) < 0.3
    table = {"x": x, "text": np.where(absent, None, text)}
    held = [
        ("a", Ridge(), ["x"]),
        ("b", make_pipeline(OrdinalEncoder(), Ridge()), ["text"]),
    ]
    predictions = []
    for frame in (
        pd.DataFrame(table),
        pl.DataFrame({"x": x, "text": table["text"].tolist()}),
    ):
        model = GALRegressor(held, missing_rows="abstain", max_iter=30, random_state=0)
        predictions.append(model.fit(frame, y).predict(frame))
    assert_allclose(*predictions)
    assert np.corrcoef(predictions[0][~absent], y[~absent])[0, 1] > 0.99


def test_complete_rows_change_nothing(diabetes):
    X, y = diabetes
    settings = {"max_iter": 5, "random_state": 0}
    plain = GALRegressor(ridges(), **settings).fit(X, y)
    model = GALRegressor(ridges(), missing_rows="abstain", **settings).fit(X, y)
    # to the last bit where the arithmetic of NumPy does not depend on how arrays lie
    assert_allclose(model.weights_, plain.weights_, rtol=1e-9)
    assert_allclose(model.predict(X), plain.predict(X), rtol=1e-9)
    assert plain.patterns_.tolist() == [[True, True, True]]
    assert model.patterns_.tolist()[0] == [True, True, True]
    assert len(model.patterns_) == 8
    assert model.pattern_weights_.shape == (5, 8, 3)
    assert_array_equal(model.pattern_weights_[:, 0], model.weights_)
    assert_array_equal(model.pattern_learning_rates_[:, 0], model.learning_rates_)


def test_weights_go_to_those_present(partial):
    X, y = partial
    settings = {"missing_rows": "abstain", "interactions": False, "max_iter": 4}
    for weights in ("optimal", "uniform", lambda *_: [0.2, 0.3, 0.5]):
        model = GALRegressor(ridges(), weights=weights, **settings)
        model.fit(X, y)
        given = model.pattern_weights_
        assert (given[:, ~model.patterns_] == 0).all()
        any_present = model.patterns_.any(axis=1)
        assert_allclose(given[:, any_present].sum(axis=2), 1)
        assert (given[:, ~any_present] == 0).all()


def test_a_row_that_no_organization_has_is_the_baseline(partial):
    X, y = partial
    model = GALRegressor(ridges(), missing_rows="abstain", max_iter=5).fit(X, y)
    nothing = np.full((2, 10), np.nan)
    assert_allclose(model.predict(nothing), model.baseline_prediction_[0])
    assert (model.contributions(nothing) == 0).all()


def test_training_rows_that_no_organization_has(diabetes):
    X, y = diabetes
    X = without(X, slice(0, 50), *SPANS)
    model = GALRegressor(ridges(), missing_rows="abstain", max_iter=5, random_state=0)
    assert model.fit(X, y).n_iter_ > 1
    sole = GALRegressor(missing_rows="abstain", max_iter=5).fit(X, y)
    assert_allclose(sole.predict(X[:50]), sole.baseline_prediction_[0])


def test_linear_organizations_reach_the_joint_fit_from_different_rows(rng):
    # exact oracle: y is a sum of parts, noise-free, and every pattern of rows shows it
    X = rng.normal(size=(600, 10))
    y = X @ rng.normal(size=10)
    partial = without(without(X, rng.random(600) < 0.3, "b"), rng.random(600) < 0.3, "c")
    held = [(name, LinearRegression(), span) for name, span in SPANS.items()]
    model = GALRegressor(held, missing_rows="abstain", cv=None, max_iter=300)
    model.fit(partial, y)
    assert model.score(X, y) > 0.99


@pytest.mark.parametrize("n_present", [0, 1, 2, 5])
@pytest.mark.parametrize("cv", [None, 2, 5])
def test_an_organization_with_few_rows_abstains_where_it_cannot_fit(
    diabetes, n_present, cv
):
    X, y = diabetes
    X = without(X, slice(n_present, None), "b")
    held = [*ridges()[:1], ("b", LGBMRegressor(verbosity=-1), slice(4, 7)), ridges()[2]]
    model = GALRegressor(held, missing_rows="abstain", cv=cv, max_iter=4, random_state=0)
    model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    abstained = [models[1] is None for models in model.estimators_]
    if n_present < 2:
        assert all(abstained)
        assert (model.weights_[:, 1] == 0).all()
    if n_present == 5:
        assert not all(abstained)


def one_per_organization(residual, fitted, sample_weight):
    return np.arange(1, fitted.shape[1] + 1) / 10


@pytest.mark.parametrize("weights", ["uniform", one_per_organization])
def test_who_stays_away_for_a_round_has_weight_0(diabetes, weights):
    X, y = diabetes
    X = without(X, slice(1, None), "b")  # a single row is too few to fit
    settings = {"missing_rows": "abstain", "max_iter": 2, "random_state": 0}
    model = GALRegressor(ridges(), weights=weights, interactions=False, **settings)
    model.fit(X, y)
    assert all(models[1] is None for models in model.estimators_)
    assert (model.pattern_weights_[:, :, 1] == 0).all()
    # the others share what it would have had
    total = model.weights_.sum(axis=1)
    assert_allclose(total, 1 if weights == "uniform" else 0.6)


def test_groups_that_only_one_fold_has(diabetes):
    X, y = diabetes
    X = without(X, slice(100, None), "b")
    splits = [(np.arange(200, 442), np.arange(200)), (np.arange(200), np.arange(200, 442))]
    model = GALRegressor(ridges(), cv=splits, missing_rows="abstain", max_iter=3).fit(X, y)
    assert all(models[1] is None for models in model.estimators_)


def test_n_jobs_and_pickles(partial):
    X, y = partial
    settings = {"missing_rows": "abstain", "max_iter": 4, "random_state": 0}
    model = GALRegressor(ridges(), **settings).fit(X, y)
    threaded = GALRegressor(ridges(), n_jobs=2, **settings).fit(X, y)
    assert_array_equal(threaded.predict(X), model.predict(X))
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def patterns_for(present, holder):
    return Patterns.for_rows(present, np.arange(present.shape[1]), holder, False)


def test_without_a_label_holder_no_pattern_is_that_of_one(rng):
    present = rng.random((50, 3)) < 0.7
    members = patterns_for(present, holder=None).members
    assert len(members) == len(np.unique(members, axis=0)) == 2**3


def test_many_organizations_have_a_limited_number_of_paths(rng):
    present = rng.random((500, 12)) < 0.5
    patterns = patterns_for(present, holder=3)
    assert len(patterns) == MAX_PATTERNS
    assert patterns.members[0].all()
    assert not patterns.members[-1].any()
    assigned = patterns.members[patterns.assign(present)]
    assert not (assigned & ~present).any()
    alone = np.arange(12) == 3
    assert (patterns.members == alone).all(axis=1).any()
    for m in range(12):
        assert (patterns.members == (np.arange(12) != m)).all(axis=1).any()
    exact = (present[:, None] == patterns.members[None]).all(axis=2).any(axis=1)
    assert_array_equal(assigned[exact], present[exact])


def test_few_rows_are_helped_out_by_all():
    present = np.ones((100, 2), dtype=bool)
    present[MIN_ROWS - 1 :, 1] = False
    selected = dict(patterns_for(present, 0).selection_rows(present, None))
    assert len(selected[0]) == 100
    present[MIN_ROWS - 1, 1] = True
    selected = dict(patterns_for(present, 0).selection_rows(present, None))
    assert len(selected[0]) == MIN_ROWS


# --- the label holder's understudy --------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"cv": None}, {"weights": "uniform"}])
@pytest.mark.parametrize("holder", ["a", "b"])
def test_with_all_others_absent_it_is_the_fit_alone(diabetes, settings, holder):
    X, y = diabetes
    settings = {"max_iter": 6, "random_state": 0, "missing_rows": "abstain"} | settings
    model = GALRegressor(ridges(), label_holder=holder, **settings).fit(X, y)
    others = [name for name in SPANS if name != holder]
    absent = without(X, slice(None), *others)
    held = sorted(ridges(), key=lambda each: each[0] != holder)
    alone = GALRegressor(held[:1], **settings)
    if holder == "a":  # elsewhere in the list it would have other seeds
        alone.fit(X, y)
        rounds = min(alone.n_iter_, model.n_iter_)
        staged = [list(each.staged_predict(absent)) for each in (model, alone)]
        assert_allclose(staged[0][:rounds], staged[1][:rounds])
    shares = model.contributions(absent)
    assert (shares[:, [list(SPANS).index(name) for name in others]] == 0).all()
    assert shares.any()
    assert_allclose(model.predict(absent), raw_prediction(model, absent)[:, 0])


def test_the_understudy_is_not_reported(partial):
    X, y = partial
    model = GALRegressor(ridges(), missing_rows="abstain", max_iter=4, verbose=1)
    model.fit(X, y)
    assert model.organization_names_ == list(SPANS)
    assert model.label_holder_ == "a"
    assert len(model.columns_) == 3
    assert model.weights_.shape == (model.n_iter_, 3)
    assert model.patterns_.shape == (8, 3)
    assert len(np.unique(model.patterns_, axis=0)) == 8
    assert model.pattern_weights_.shape == (model.n_iter_, 8, 3)
    assert {len(models) for models in model.estimators_} == {3}
    assert model.contributions(X).shape == (len(X), 3, 1)


def test_a_callable_is_asked_about_organizations_only(partial):
    X, y = partial
    asked = []

    def weights(residual, fitted, sample_weight):
        asked.append(fitted.shape[1])
        return [0.2, 0.3, 0.5]

    settings = {"missing_rows": "abstain", "interactions": False, "max_iter": 3}
    GALRegressor(ridges(), weights=weights, **settings).fit(X, y)
    assert set(asked) == {3}


def test_the_understudy_continues_and_stays(diabetes):
    X, y = diabetes
    settings = {"missing_rows": "abstain", "random_state": 0}
    at_once = GALRegressor(ridges(), max_iter=6, **settings).fit(X, y)
    model = GALRegressor(ridges(), max_iter=3, warm_start=True, **settings).fit(X, y)
    model.set_params(max_iter=6).fit(X, y)
    absent = without(X, slice(None), "b", "c")
    assert_allclose(model.predict(absent), at_once.predict(absent))
    assert_allclose(model.predict(X), at_once.predict(X))
    left = model.drop_organization("b", X, y).drop_organization("c", X, y)
    assert left.patterns_.tolist() == [[True], [False]]
    assert_allclose(left.weights_, 1)
    assert_allclose(left.predict(absent), model.predict(absent))
    left.set_params(max_iter=8).fit(X[:, :10], y)
    assert left.n_iter_ >= 6


def test_others_join_a_label_holder_that_began_alone(diabetes):
    X, y = diabetes
    settings = {"missing_rows": "abstain", "random_state": 0, "warm_start": True}
    model = GALRegressor(ridges()[:1], max_iter=3, **settings).fit(X[:, :4], y)
    before = list(model.staged_predict(X[:, :4]))
    model.set_params(organizations=ridges(), max_iter=6).fit(X, y)
    for rows in (X, without(X, slice(None), "b", "c")):
        assert_allclose(list(model.staged_predict(rows))[2], before[-1])
    assert_allclose(model.pattern_weights_[:3, 0], [[1, 0, 0]] * 3)


@pytest.mark.slow
def test_noise_that_stays_is_no_worse_than_alone(cancer, rng):
    # the informative organization is absent, and the others hold noise
    X, y = cancer
    X = np.hstack([X, rng.normal(size=(len(X), 20))])
    held = [("a", None, slice(0, 5)), ("b", None, slice(5, 30))]
    held += [("c", None, slice(30, 40)), ("d", None, slice(40, 50))]
    losses = []
    for split in range(8):  # of three, the mean is uncertain by more than 5%
        parts = train_test_split(X, y, random_state=split, stratify=y)
        known, X_test, target, y_test = parts
        settings = {"random_state": split, "missing_rows": "abstain"}
        settings |= {"max_iter": 12, "cv": 3}
        model = GALClassifier(held, **settings).fit(known, target)
        alone = GALClassifier(held[:1], **settings).fit(known, target)
        absent = X_test.copy()
        absent[:, 5:30] = np.nan
        losses.append(
            [log_loss(y_test, each.predict_proba(absent)) for each in (model, alone)]
        )
    absent, alone = np.mean(losses, axis=0)
    assert absent < 1.05 * alone


def test_bad_value(diabetes):
    for value in ("ignore", None, True):
        with pytest.raises(ValueError, match="missing_rows must be one of"):
            GALRegressor(missing_rows=value).fit(*diabetes)


def test_searchable(partial):
    X, y = partial
    organizations = [(name, None, span) for name, span in SPANS.items()]
    search = GridSearchCV(
        GALRegressor(organizations, max_iter=3), {"missing_rows": ["abstain", "pass"]}, cv=2
    )
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


# --- what it is good for ------------------------------------------------------------------


def test_absent_at_prediction_is_no_worse_than_alone():
    X, y = load_breast_cancer(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    organizations = make_organizations(X, 4, random_state=0)
    settings = {"random_state": 0, "max_iter": 40, "missing_rows": "abstain"}
    model = GALClassifier(organizations, **settings).fit(X, y)
    alone = GALClassifier(organizations[:1], **settings).fit(X, y)
    for _, _, columns in organizations[1:]:
        absent = X_test.copy()
        absent[:, columns] = np.nan
        assert model.score(absent, y_test) >= alone.score(X_test, y_test)


def test_a_redundant_organization_may_leave(rng):
    # the copy has taken the weight of the label holder's own column, or half of it
    X = rng.normal(size=(400, 1)) @ np.ones((1, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=400)
    held = [("a", Ridge(), [0]), ("b", Ridge(), [1])]
    model = GALRegressor(held, missing_rows="abstain", random_state=0).fit(X, y)
    X[:, 1] = np.nan
    assert model.score(X, y) > 0.98
