"""Intervals and sets contain the target as often as they say."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._conformal import class_scores, ends, residual_scores, threshold
from sklearn_gal.losses import LogLoss

ORGANIZATIONS = [
    ("a", Ridge(), [0, 1]),
    ("b", DecisionTreeRegressor(max_depth=3), [2, 3]),
    ("c", Ridge(), [4, 5]),
]
SETTINGS = {"organizations": ORGANIZATIONS, "max_iter": 8, "random_state": 0}


def task(n_rows, seed=0):
    """Columns of three organizations, and a target with skewed noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 6))
    y = X[:, 0] + 2 * (X[:, 2] > 0) + X[:, 4] + X[:, 1] * X[:, 3]
    return X, y + rng.gamma(2, size=n_rows)


def classes(n_rows, seed=0):
    """The same with three classes, of which the last is rare."""
    X, y = task(n_rows, seed)
    return X, np.array(["no", "perhaps", "yes"])[np.digitize(y, [3.5, 7])]


def without(X, *columns):
    X = X.copy()
    X[:, columns] = np.nan
    return X


def inside(interval, y):
    return (interval[:, 0] <= y) & (y <= interval[:, 1])


def in_set(model, sets, y):
    return sets[np.arange(len(y)), np.searchsorted(model.classes_, y)]


X, Y = task(600)
X_NEW, Y_NEW = task(2000, seed=1)
_, NAMES = classes(600)
_, NAMES_NEW = classes(2000, seed=1)


@pytest.fixture(scope="module")
def regressor():
    return GALRegressor(**SETTINGS, missing_rows="abstain").fit(X, Y)


@pytest.fixture(scope="module")
def classifier():
    return GALClassifier(**SETTINGS, missing_rows="abstain").fit(X, NAMES)


# --- from scores to ends and thresholds ---------------------------------------------------


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n_scores", [39, 40, 57, 200])
def test_ends_leave_out_the_extreme_ranks(n_scores, coverage):
    """A value is inside unless it is among the extreme ones of the scores and itself."""
    scores = np.random.default_rng(0).normal(size=(n_scores, 2))
    low, high = ends(scores, coverage)
    outside = int((1 - coverage) / 2 * (n_scores + 1) + 1e-9)
    for value in np.linspace(-4, 4, 101):
        not_above, not_below = (scores <= value).sum(axis=0), (scores >= value).sum(axis=0)
        expected = (not_above >= outside) & (not_below >= outside)
        assert_array_equal((low <= value) & (value <= high), expected)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n_scores", [19, 20, 57, 200])
def test_threshold_keeps_out_the_highest_ranks(n_scores, coverage):
    scores = np.random.default_rng(0).normal(size=n_scores)
    limit = threshold(scores, coverage)
    for value in np.linspace(-4, 4, 101):
        share_below = np.count_nonzero(scores < value) / (n_scores + 1)
        assert (value <= limit) == (share_below < coverage - 1e-9)


def test_fewest_scores_for_a_coverage():
    scores = np.arange(40.0)[:, None]
    assert_array_equal(np.ravel(ends(scores[:19], 0.9)), [0, 18])
    assert_array_equal(np.ravel(ends(scores[:18], 0.9)), [-np.inf, np.inf])
    assert threshold(scores[:9, 0], 0.9) == 8
    assert threshold(scores[:8, 0], 0.9) == np.inf


def test_residuals_are_those_of_the_mean_of_the_chains():
    """Chains have errors in common and others; they see all rows but those of a fold."""
    rng = np.random.default_rng(0)
    errors = 1 + rng.normal(size=(5, 2000, 2)) + rng.standard_t(5, size=(1, 2000, 2))
    chain = rng.integers(5, size=2000)
    unseen = (chain == np.arange(5)[:, None])[..., None]
    by_chain = np.where(unseen, errors, 0.3 * errors)
    judged = errors[chain, np.arange(2000)]
    scores = residual_scores(judged, by_chain, chain, 0.8)
    expected = errors.mean(axis=0)
    assert_allclose(scores, expected, atol=0.2)
    assert_allclose(scores.std(axis=0), expected.std(axis=0), rtol=0.02)
    assert (scores.std(axis=0) < 0.9 * judged.std(axis=0)).all()


def test_residuals_are_between_those_of_both_kinds_of_weights():
    """Chains that have memorised the rows tell nothing about their mean."""
    rng = np.random.default_rng(0)
    chain = np.arange(30) % 3
    unseen = (chain == np.arange(3)[:, None])[..., None]
    by_chain = np.where(unseen, rng.normal(size=(3, 30, 1)), 0.0)
    judged = rng.normal(size=(30, 1))
    scores = residual_scores(judged, by_chain, chain, 0.75)
    assert_allclose(scores, 0.75 * judged + 0.25 * by_chain.sum(axis=0))


def test_scores_of_classes():
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1, 1], size=20)
    before, other = class_scores(probabilities)
    assert_array_equal(other, 1 - probabilities)
    for row, scores in zip(probabilities, before, strict=True):
        expected = [row[row > probability].sum() for probability in row]
        assert_allclose(scores, expected, atol=1e-15)
        assert scores[row.argmax()] == 0


# --- intervals ----------------------------------------------------------------------------


@pytest.mark.parametrize("absent", [(), (2, 3), (2, 3, 4, 5), (0, 1)], ids=str)
def test_intervals_have_their_coverage(regressor, absent):
    """Also of rows that organizations do not have. Five standard errors of both samples."""
    for coverage in (0.5, 0.8, 0.9, 0.95):
        found = inside(regressor.predict_interval(without(X_NEW, *absent), coverage), Y_NEW)
        variance = coverage * (1 - coverage) * (1 / len(X) + 1 / len(X_NEW))
        assert abs(found.mean() - coverage) < 5 * np.sqrt(variance)


def test_intervals_are_nested_and_contain_the_prediction(regressor):
    before = regressor.predict(X_NEW)[:, None] + np.zeros(2)
    for coverage in (0.3, 0.5, 0.8, 0.9, 0.99):
        interval = regressor.predict_interval(X_NEW, coverage)
        assert interval.shape == (len(X_NEW), 2)
        assert (interval[:, 0] < before[:, 0]).all()
        assert (before[:, 1] < interval[:, 1]).all()
        before = interval


def test_skewed_errors_have_skewed_intervals(regressor):
    below, above = np.abs(
        regressor.predict_interval(X_NEW[:1]) - regressor.predict(X_NEW[:1])
    )[0]
    assert above > 1.2 * below


def test_an_absence_widens_intervals(regressor):
    absences = [(), (2, 3), (2, 3, 4, 5), (0, 1, 2, 3, 4, 5)]
    widths = [
        np.diff(regressor.predict_interval(without(X_NEW[:1], *absent))).item()
        for absent in absences
    ]
    assert_array_equal(widths, np.sort(widths))
    assert widths[0] < 0.9 * widths[1] < 0.8 * widths[-1]
    rows = np.vstack([without(X_NEW[:1], *absent) for absent in absences])
    assert_allclose(np.diff(regressor.predict_interval(rows)).ravel(), widths)


def test_without_organizations_the_interval_is_that_of_the_target(regressor):
    interval = regressor.predict_interval(np.full((1, 6), np.nan), 0.8)
    assert_allclose(interval[0], np.quantile(Y, [0.1, 0.9]), atol=0.1)
    assert_allclose(inside(interval, Y).mean(), 0.8, atol=0.005)


def test_training_rows_with_gaps():
    """The scores of a pattern are those of the rows that its members have."""
    X_gaps = X.copy()
    X_gaps[:300, 2:4] = np.nan
    noisy = Y + 10 * np.random.default_rng(0).normal(size=600) * (np.arange(600) < 300)
    model = GALRegressor(**SETTINGS, missing_rows="abstain").fit(X_gaps, noisy)
    complete = np.diff(model.predict_interval(X_NEW[:1])).item()
    absent = np.diff(model.predict_interval(without(X_NEW[:1], 2, 3))).item()
    assert absent > 2 * complete


def test_intervals_of_groups():
    rng = np.random.default_rng(0)
    group, group_new = rng.integers(2, size=600), rng.integers(2, size=2000)
    model = GALRegressor(**SETTINGS).fit(X, Y + 5 * group * rng.normal(size=600))
    y_new = Y_NEW + 5 * group_new * rng.normal(size=2000)
    groups = {
        "groups": np.array(["quiet", "noisy"])[group_new],
        "training_groups": np.array(["quiet", "noisy"])[group].tolist(),
    }
    of_groups = inside(model.predict_interval(X_NEW, 0.8, **groups), y_new)
    of_all = inside(model.predict_interval(X_NEW, 0.8), y_new)
    for each in (0, 1):
        assert abs(of_groups[group_new == each].mean() - 0.8) < 0.06
    assert of_all[group_new == 0].mean() > 0.9 > 0.7 > of_all[group_new == 1].mean()


def test_several_outputs():
    both, both_new = np.column_stack([Y, -3 * Y]), np.column_stack([Y_NEW, -3 * Y_NEW])
    model = GALRegressor(**SETTINGS).fit(X, both)
    interval = model.predict_interval(X_NEW, 0.9)
    assert interval.shape == (2000, 2, 2)
    covered = (interval[:, 0] <= both_new) & (both_new <= interval[:, 1])
    assert_allclose(covered.mean(axis=0), 0.9, atol=0.04)
    width = np.diff(interval, axis=1)[0, 0]
    assert_allclose(width[1] / width[0], 3, rtol=0.1)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_intervals_of_counts_and_amounts(loss):
    rng = np.random.default_rng(0)
    mean = np.exp(X[:, 0] + 0.5 * X[:, 2])
    y = rng.poisson(mean) if loss == "poisson" else rng.gamma(2, mean / 2) + 1e-3
    settings = {"loss": loss, "missing_rows": "abstain"}
    model = GALRegressor(**SETTINGS, **settings).fit(X[:400], y[:400])
    interval = model.predict_interval(X[400:])
    assert (interval >= 0).all()
    assert abs(inside(interval, y[400:]).mean() - 0.9) < 0.07
    width, prediction = np.diff(interval).ravel(), model.predict(X[400:])
    few, many = prediction < np.quantile(prediction, [[0.2], [0.8]])
    assert width[few].max() < width[~many].min()
    # the target often has the very value of an end
    absent = model.predict_interval(np.full((1, 6), np.nan), 0.8)
    assert inside(absent, y[:400]).mean() > 0.79


def test_a_row_of_weight_0_has_no_score():
    weight = np.ones(600)
    weight[::3] = 0
    wrong = np.where(weight, Y, 1e3)
    group = np.arange(600) % 2
    numbers = np.arange(600) % 5
    splits = [
        (np.flatnonzero(numbers != k), np.flatnonzero(numbers == k)) for k in range(5)
    ]
    weighted = GALRegressor(**SETTINGS, cv=splits).fit(X, wrong, sample_weight=weight)
    kept = weight > 0
    position = np.cumsum(kept) - 1
    splits = [tuple(position[rows[kept[rows]]] for rows in split) for split in splits]
    left = GALRegressor(**SETTINGS, cv=splits).fit(X[kept], Y[kept])
    assert_array_equal(weighted.predict_interval(X_NEW), left.predict_interval(X_NEW))
    groups = {"groups": np.zeros(2000)}
    assert_array_equal(
        weighted.predict_interval(X_NEW, training_groups=group, **groups),
        left.predict_interval(X_NEW, training_groups=group[kept], **groups),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"cv": 2},
        {"share_models": True, "interactions": False},
        {"interactions": False},
        {"weights": "uniform"},
        {"early_stopping": False},
    ],
    ids=str,
)
def test_other_fits(settings):
    organizations = ORGANIZATIONS[:1] + [("d", KNeighborsRegressor(), [2, 3, 4, 5])]
    model = GALRegressor(**SETTINGS | {"organizations": organizations} | settings)
    found = inside(model.fit(X, Y).predict_interval(X_NEW, 0.8), Y_NEW)
    assert abs(found.mean() - 0.8) < 0.07


# --- sets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("absent", [(), (2, 3), (0, 1)], ids=str)
@pytest.mark.parametrize("method", ["aps", "lac"])
def test_sets_have_their_coverage(classifier, method, absent):
    X_absent = without(X_NEW, *absent)
    accuracy = (classifier.predict(X_absent) == NAMES_NEW).mean()
    for coverage in (0.5, 0.9, 0.95):
        sets = classifier.predict_set(X_absent, coverage, method=method)
        assert sets.shape == (2000, 3)
        assert sets.dtype == bool
        expected = max(coverage, accuracy) if method == "aps" else coverage
        variance = coverage * (1 - coverage) * (1 / len(X) + 1 / len(X_NEW))
        found = in_set(classifier, sets, NAMES_NEW).mean()
        assert abs(found - expected) < 5 * np.sqrt(variance)


def test_sets_are_nested_and_contain_the_prediction(classifier):
    predicted = classifier.predict(X_NEW)
    for method in ("aps", "lac"):
        before = np.zeros((2000, 3), dtype=bool)
        for coverage in (0.3, 0.8, 0.9, 0.99):
            sets = classifier.predict_set(X_NEW, coverage, method=method)
            assert not (before & ~sets).any()
            assert in_set(classifier, sets, predicted).all() or method == "lac"
            before = sets
    assert not classifier.predict_set(X_NEW, 0.3, method="lac").any(axis=1).all()


def test_an_absence_enlarges_sets(classifier):
    complete = classifier.predict_set(X_NEW).sum()
    assert classifier.predict_set(without(X_NEW, 0, 1)).sum() > 1.05 * complete


def test_sets_per_class(classifier):
    rare = NAMES_NEW == "yes"
    of_all = classifier.predict_set(X_NEW)
    per_class = classifier.predict_set(X_NEW, per_class=True)
    assert in_set(classifier, of_all, NAMES_NEW)[rare].mean() < 0.8
    for name in classifier.classes_:
        of_name = NAMES_NEW == name
        assert in_set(classifier, per_class, NAMES_NEW)[of_name].mean() > 0.83


def test_two_classes_and_groups():
    names = NAMES == "no"
    model = GALClassifier(**SETTINGS).fit(X, names)
    group = np.arange(600) % 2
    groups = {"groups": np.arange(2000) % 2, "training_groups": group}
    sets = model.predict_set(X_NEW, 0.95, **groups)
    assert sets.shape == (2000, 2)
    expected = [
        class_scores(model.predict_proba(X_NEW))[0][each::2]
        <= threshold(model._state.calibration.scores[0, each::2, 0], 0.95)
        for each in (0, 1)
    ]
    assert_array_equal(sets[::2], expected[0])
    assert_array_equal(sets[1::2], expected[1])


# --- when there are none, and what becomes of them ----------------------------------------


@pytest.mark.parametrize("settings", [{"cv": None}, {"subsample": 0.7}], ids=str)
@pytest.mark.parametrize(
    ("estimator", "method", "y"),
    [(GALRegressor, "predict_interval", Y), (GALClassifier, "predict_set", NAMES)],
)
def test_without_cross_fitting_there_are_none(estimator, method, y, settings):
    assert hasattr(estimator(**SETTINGS), method)
    model = estimator(**SETTINGS, **settings)
    assert not hasattr(model, method)
    model.fit(X, y)
    assert not hasattr(model, method)
    with pytest.raises(AttributeError, match=method) as raised:
        getattr(model, method)
    assert "Fit with an int as cv, e.g. cv=5" in str(raised.value.__cause__)
    assert str(raised.value).endswith(str(raised.value.__cause__))
    with pytest.raises(AttributeError, match="Fit with an int as cv"):
        getattr(estimator, method)(model, X)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"cv": None}, "cv=None. Fit with an int as cv"),
        (
            {"subsample": 0.7},
            "subsample=0.7 is below 1. Fit with an int as cv, e.g. cv=5, ",
        ),
        ({}, "there are 8 rows, and cv='auto' needs at least 20. Fit with an int as cv"),
    ],
    ids=str,
)
def test_the_reason_why_there_are_none_is_that_of_the_fit(settings, reason):
    model = GALRegressor(**SETTINGS, **settings).fit(X[:8], Y[:8])
    model.set_params(cv=5, subsample=1.0)  # for a later fit
    for attribute in ("predict_interval", "oof_prediction_"):
        assert not hasattr(model, attribute)
        with pytest.raises(AttributeError, match=f"not cross-fitted: {reason}"):
            getattr(model, attribute)
    assert model.fit(X[:8], Y[:8]).oof_prediction_.shape == (8,)


def test_the_other_estimator_has_the_method(regressor, classifier):
    for model, absent, other in (
        (regressor, "predict_set", "predict_interval"),
        (classifier, "predict_interval", "predict_set"),
    ):
        assert not hasattr(model, absent)
        assert not hasattr(type(model), absent)
        with pytest.raises(AttributeError, match=f"no attribute '{absent}'.*call {other}"):
            getattr(model, absent)


def test_without_probabilities_there_are_no_sets():
    class Scores(LogLoss):
        inverse_link = property()

    model = GALClassifier(**SETTINGS, loss=Scores())
    assert not hasattr(model, "predict_set")
    assert not hasattr(model.fit(X, NAMES), "predict_set")
    with pytest.raises(AttributeError, match=r"'predict_set'.*has no probabilities"):
        _ = model.predict_set


def test_when_an_organization_leaves(regressor):
    dropped = regressor.drop_organization("b", X, Y)
    X_gone = without(X_NEW, 2, 3)
    found = inside(dropped.predict_interval(X_gone, 0.8), Y_NEW)
    assert abs(found.mean() - 0.8) < 0.05
    elsewhere = regressor.drop_organization("b", X_NEW[:200], Y_NEW[:200])
    assert not hasattr(elsewhere, "predict_interval")
    with pytest.raises(AttributeError, match="predict_interval") as raised:
        _ = elsewhere.predict_interval
    assert "Call drop_organization with the training rows" in str(raised.value.__cause__)


def test_intervals_after_pickling_and_a_warm_start(regressor, classifier):
    for model, method in ((regressor, "predict_interval"), (classifier, "predict_set")):
        again = pickle.loads(pickle.dumps(model))
        assert_array_equal(getattr(again, method)(X_NEW), getattr(model, method)(X_NEW))
    warm = clone(regressor).set_params(max_iter=4, warm_start=True).fit(X, Y)
    warm.set_params(max_iter=8).fit(X, Y)
    assert_array_equal(warm.predict_interval(X_NEW), regressor.predict_interval(X_NEW))


def test_a_row_has_the_same_interval_among_others_and_alone(regressor):
    together = regressor.predict_interval(X_NEW[:5])
    alone = [regressor.predict_interval(X_NEW[i : i + 1])[0] for i in range(5)]
    assert_allclose(together, alone, rtol=1e-12)


def test_too_few_rows_for_the_coverage():
    model = GALRegressor(**SETTINGS).fit(X[:100], Y[:100])
    with pytest.warns(UserWarning, match=r"needs at least 199 held-out .* got 100"):
        interval = model.predict_interval(X_NEW, 0.99)
    assert_array_equal(interval, np.tile([-np.inf, np.inf], (2000, 1)))
    groups = {"groups": [0, 1], "training_groups": np.arange(100) < 10}
    with pytest.warns(UserWarning, match=r"needs at least 19 held-out .* got 10"):
        interval = model.predict_interval(X_NEW[:2], **groups)
    assert_array_equal(np.isinf(interval), [[False] * 2, [True] * 2])


def test_too_few_rows_of_a_class():
    rare = np.where(np.arange(600) < 5, "yes", np.where(NAMES == "no", "no", "perhaps"))
    model = GALClassifier(**SETTINGS).fit(X, rare)
    with pytest.warns(UserWarning, match="got 5: class 'yes' is in its set"):
        sets = model.predict_set(X_NEW, per_class=True)
    assert sets[:, 2].all()
    assert not sets[:, :2].all()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        everything = model.predict_set(X_NEW, 0.999)
    assert everything.all()
    assert len(caught) == 1
    assert "its set has all classes" in str(caught[0].message)


@pytest.mark.parametrize("coverage", [0, 1, -0.5, 90, np.nan])
def test_coverage_is_a_probability(regressor, classifier, coverage):
    message = rf"between 0 and 1.*e\.g\. coverage=0\.9; got coverage={coverage}\."
    for predict in (regressor.predict_interval, classifier.predict_set):
        with pytest.raises(ValueError, match=message):
            predict(X_NEW, coverage)


def test_wrong_arguments(regressor, classifier):
    with pytest.raises(ValueError, match=r"method must be one of .* got 'raps'"):
        classifier.predict_set(X_NEW, method="raps")
    with pytest.raises(ValueError, match="Only groups was given"):
        regressor.predict_interval(X_NEW, groups=np.zeros(2000))
    with pytest.raises(ValueError, match="Only training_groups was given"):
        classifier.predict_set(X_NEW, training_groups=np.zeros(600))
    with pytest.raises(ValueError, match="for each of the 600 rows given to fit"):
        regressor.predict_interval(
            X_NEW, groups=np.zeros(2000), training_groups=np.zeros(2000)
        )
    with pytest.raises(ValueError, match="for each of the 2000 rows to predict"):
        regressor.predict_interval(
            X_NEW, groups=np.zeros(600), training_groups=np.zeros(600)
        )


# --- the same scores in another package ---------------------------------------------------


class FirstColumn(RegressorMixin, BaseEstimator):
    """Predicts the first column."""

    def fit(self, X, y):
        self.n_features_in_ = 1
        return self

    def predict(self, X):
        return X[:, 0]


class ColumnsAreProbabilities(ClassifierMixin, BaseEstimator):
    """Predicts the columns as probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]

    def predict_proba(self, X):
        return X


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_intervals_are_those_of_mapie(regressor, coverage):
    """With the same predictions and residuals."""
    mapie = pytest.importorskip("mapie.regression")
    conformity_scores = pytest.importorskip("mapie.conformity_scores")
    scores = regressor._state.calibration.scores[0]
    prediction = regressor.predict(X)[:, None]
    other = mapie.SplitConformalRegressor(
        FirstColumn().fit(X, Y),
        confidence_level=coverage,
        conformity_score=conformity_scores.AbsoluteConformityScore(sym=False),
        prefit=True,
    )
    other.conformalize(prediction, (prediction + scores)[:, 0])
    _, expected = other.predict_interval(regressor.predict(X_NEW)[:, None])
    assert_allclose(regressor.predict_interval(X_NEW, coverage), expected[..., 0])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_sets_are_those_of_mapie(classifier, coverage):
    """With the same probabilities; the held-out ones have the same scores."""
    mapie = pytest.importorskip("mapie.classification")
    scores = classifier._state.calibration.scores[0, :, 1]
    codes = np.searchsorted(classifier.classes_, NAMES)
    held_out = np.repeat(scores[:, None] / 2, 3, axis=1)
    held_out[np.arange(600), codes] = 1 - scores
    other = mapie.SplitConformalClassifier(
        ColumnsAreProbabilities().fit(held_out, NAMES),
        confidence_level=coverage,
        conformity_score="lac",
        prefit=True,
    )
    other.conformalize(held_out, NAMES)
    _, expected = other.predict_set(classifier.predict_proba(X_NEW))
    found = classifier.predict_set(X_NEW, coverage, method="lac")
    assert_array_equal(found, expected[..., 0])
