"""The method and what a fit leaves, on both estimators."""

import pickle
from contextlib import nullcontext

import joblib
import numpy as np
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_linnerud, make_friedman1
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from _helpers import Recorder, Zero, equal_parts, raw_prediction
from sklearn_gal import GALClassifier, GALRegressor, make_organizations
from sklearn_gal._base import IDLE_ROUNDS
from sklearn_gal._method.observers import STOP_REASONS
from sklearn_gal.losses import QuantileLoss, SquaredError


def mixed(n_features):
    third = n_features // 3
    return [
        ("bank", Ridge(), slice(0, third)),
        ("shop", LGBMRegressor(n_estimators=3, verbosity=-1), slice(third, 2 * third)),
        ("lab", make_pipeline(StandardScaler(), SVR()), slice(2 * third, None)),
    ]


# --- oracle 1: one organization is ordinary gradient boosting ------------------------


def boosting(gal, **settings):
    tree = DecisionTreeRegressor(max_depth=3, random_state=0)
    return gal(
        [("all", tree, slice(None))],
        weights="uniform",
        line_search=False,
        learning_rate=0.1,
        cv=None,
        early_stopping=False,
        **settings,
    )


def test_one_organization_is_gradient_boosting(diabetes):
    X, y = diabetes
    ours = boosting(GALRegressor, max_iter=100).fit(X, y)
    theirs = GradientBoostingRegressor(random_state=0)
    if theirs.criterion == "friedman_mse":  # deprecated, without effect, from 1.9 on
        theirs.set_params(criterion="squared_error")
    theirs.fit(X, y)
    assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-10, rtol=0)
    for a, b in zip(ours.staged_predict(X), theirs.staged_predict(X), strict=True):
        assert_allclose(a, b, atol=1e-10, rtol=0)


def test_one_round_is_that_of_gradient_boosting_before_its_leaf_update(cancer):
    # scikit-learn replaces the leaf values by Newton steps; the baseline and the
    # residual it fits are the same
    X, y = cancer
    ours = boosting(GALClassifier, max_iter=1).fit(X, y)
    theirs = GradientBoostingClassifier(n_estimators=1).fit(X, y)
    prior = theirs.init_.class_prior_[1]
    assert_allclose(ours.baseline_prediction_, np.log(prior / (1 - prior)))
    tree = DecisionTreeRegressor(max_depth=3, random_state=0).fit(X, y - prior)
    assert_allclose(
        ours.decision_function(X), ours.baseline_prediction_ + 0.1 * tree.predict(X)
    )


def test_one_linear_organization_is_linear_regression(diabetes):
    X, y = diabetes
    model = GALRegressor(
        [("all", LinearRegression(), slice(None))], cv=None, learning_rate=1.0
    ).fit(X, y)
    assert_allclose(model.predict(X), LinearRegression().fit(X, y).predict(X))
    assert model.n_iter_ == 1
    assert_allclose(model.learning_rates_, 1)


def test_linear_organizations_together_reach_the_joint_fit(diabetes):
    X, y = diabetes
    organizations = make_organizations(X, 4, LinearRegression(), random_state=0)
    model = GALRegressor(organizations, cv=None, learning_rate=1.0, max_iter=3000).fit(X, y)
    joint = LinearRegression().fit(X, y)
    assert joint.score(X, y) - model.score(X, y) < 1e-3


# --- oracle 2: the sum of its parts ---------------------------------------------------


@pytest.mark.parametrize("cv", [None, 3, KFold(4)])
def test_raw_prediction_is_baseline_and_contributions(wine, diabetes, cv):
    X, y = wine
    model = GALClassifier(mixed(13), cv=cv, max_iter=5, random_state=0).fit(X, y)
    assert model.contributions(X).shape == (178, 3, 3)
    assert_allclose(model.decision_function(X), raw_prediction(model, X), atol=1e-10)
    X, y = diabetes
    model = GALRegressor(mixed(10), cv=cv, max_iter=5, random_state=0).fit(X, y)
    assert_allclose(model.predict(X), raw_prediction(model, X)[:, 0], atol=1e-10)


def test_prediction_is_the_formula_over_fitted_models(diabetes):
    X, y = diabetes
    settings = {"interactions": False, "max_iter": 4, "random_state": 0}
    model = GALRegressor(mixed(10), **settings).fit(X, y)
    raw = np.full(len(X), model.baseline_prediction_[0])
    for models, weights, rate in zip(
        model.estimators_, model.weights_, model.learning_rates_, strict=True
    ):
        for local, weight, columns in zip(models, weights, model.columns_, strict=True):
            raw += rate * weight * local.predict(X[:, columns])
    assert_allclose(model.predict(X), raw)


LOSSES = [
    (GALRegressor, "squared_error"),
    (GALRegressor, "absolute_error"),
    (GALRegressor, "huber"),
    (GALRegressor, QuantileLoss(0.8)),
    (GALRegressor, "poisson"),
    (GALRegressor, "gamma"),
    (GALClassifier, "log_loss"),
    (GALClassifier, "exponential"),
]


@pytest.mark.parametrize(("gal", "loss"), LOSSES)
@pytest.mark.parametrize("learning_rate", [0.5, 1.0])
def test_training_loss_never_rises(diabetes, cancer, gal, loss, learning_rate):
    X, y = cancer if gal is GALClassifier else diabetes
    organizations = make_organizations(X, 3, random_state=0)
    model = gal(organizations, loss=loss, cv=None, learning_rate=learning_rate, max_iter=15)
    model.fit(X, y)
    assert model.n_iter_ > 5
    assert (np.diff(model.train_loss_) <= 0).all()
    assert model.train_loss_[-1] < model.train_loss_[0]


@pytest.mark.parametrize(("gal", "loss"), LOSSES)
def test_recorded_loss_is_that_of_the_predictions(diabetes, cancer, gal, loss):
    X, y = cancer if gal is GALClassifier else diabetes
    model = gal(mixed(X.shape[1]), loss=loss, cv=None, max_iter=3).fit(X, y)
    target = y.astype(float)[:, None]
    objective = model._model.loss
    assert_allclose(
        model.train_loss_[-1], objective.value(target, raw_prediction(model, X))
    )
    assert_allclose(
        model.train_loss_[0],
        objective.value(target, np.tile(model.baseline_prediction_, (len(y), 1))),
    )


@pytest.mark.parametrize("cv", [None, 3])
def test_n_jobs_changes_nothing(wine, cv):
    X, y = wine
    results = []
    for n_jobs in (1, 2, -1):
        model = GALClassifier(mixed(13), cv=cv, max_iter=5, n_jobs=n_jobs, random_state=0)
        results.append(model.fit(X, y).decision_function(X))
    assert_array_equal(results[0], results[1])
    assert_array_equal(results[0], results[2])


def test_random_state(wine):
    X, y = wine

    def fit(random_state):
        model = GALClassifier(mixed(13), max_iter=2, random_state=random_state)
        return model.fit(X, y).decision_function(X)

    assert_array_equal(fit(0), fit(0))
    assert_array_equal(fit(np.random.RandomState(5)), fit(np.random.RandomState(5)))
    assert (fit(0) != fit(1)).any()


def test_round_trips(wine, tmp_path):
    X, y = wine
    model = GALClassifier(mixed(13), max_iter=3, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    joblib.dump(model, tmp_path / "model.joblib")
    assert_array_equal(joblib.load(tmp_path / "model.joblib").predict_proba(X), expected)
    assert_array_equal(clone(model).fit(X, y).predict_proba(X), expected)


def test_a_pickle_holds_no_training_rows(diabetes):
    X, y = diabetes
    few, many = (
        len(pickle.dumps(GALRegressor(mixed(10), max_iter=2, cv=None).fit(X[:n], y[:n])))
        for n in (400, 442)
    )
    svr_rows = 2 * 42 * 9 * 8  # the support vectors are the lab's own model
    assert many - few < svr_rows


# --- what organizations see ---------------------------------------------------------------


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_organizations_see_only_their_columns_and_residuals(rng, cv, gal):
    Recorder.calls.clear()
    X = rng.normal(size=(120, 6))
    y = X.sum(axis=1) + 10 + rng.normal(size=120)
    if gal is GALClassifier:
        y = (y > 10) + 5
    columns = {"a": [0, 3], "b": [1, 2], "c": [4, 5]}
    organizations = [(name, Recorder(name), held) for name, held in columns.items()]
    model = gal(organizations, cv=cv, max_iter=4, random_state=0).fit(X, y)
    model.predict(X)
    model.contributions(X)
    list(model.staged_predict(X))
    assert {call[:2] for call in Recorder.calls} == {
        (name, method) for name in columns for method in ("fit", "predict")
    }
    for name, _, view, target, params in Recorder.calls:
        assert view.shape[1] == 2
        assert np.isin(view, X[:, columns[name]]).all()
        assert not params
        if target is not None:
            assert not np.isin(target, y).any()
            assert abs(target.mean()) < 1


# --- organizations without information ----------------------------------------------------


class Noise(RegressorMixin, BaseEstimator):
    """Predicts noise, for training rows too."""

    def fit(self, X, y):
        self.rng_ = np.random.default_rng(0)
        return self

    def predict(self, X):
        return self.rng_.normal(size=len(X))


@pytest.mark.parametrize("cv", ["auto", None])
def test_pure_noise_gets_no_weight(cancer, cv):
    X, y = cancer
    organizations = make_organizations(X, 4, random_state=0)
    name, _, columns = organizations[2]
    organizations[2] = (name, Noise(), columns)
    model = GALClassifier(organizations, cv=cv, max_iter=30, random_state=0).fit(X, y)
    assert model.weights_.mean(axis=0)[2] < 0.05


@pytest.mark.parametrize("cv", ["auto", None])
@pytest.mark.parametrize("weights", ["optimal", "optimal_absolute"])
def test_constant_zero_changes_nothing(cancer, cv, weights):
    X, y = cancer
    organizations = make_organizations(X, 4, random_state=0)
    settings = {"cv": cv, "weights": weights, "max_iter": 3, "random_state": 0}
    settings["interactions"] = False  # another organization would mean other gates
    without = GALClassifier(organizations, **settings).fit(X, y)
    with_zero = GALClassifier([*organizations, ("zero", Zero(), [0])], **settings).fit(X, y)
    assert_array_equal(with_zero.weights_[:, 4], 0)
    assert_allclose(
        with_zero.decision_function(X), without.decision_function(X), rtol=1e-12
    )


# --- targets ------------------------------------------------------------------------------


def test_multi_output_regression():
    X, y = load_linnerud(return_X_y=True)
    organizations = [("a", Ridge(), [0]), ("b", SVR(), [1]), ("c", None, [2])]
    model = GALRegressor(organizations, cv=None, max_iter=5, random_state=0).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.baseline_prediction_.shape == (3,)
    assert_allclose(model.baseline_prediction_, y.mean(axis=0))
    assert model.contributions(X).shape == (20, 3, 3)


def test_a_column_vector_target_keeps_its_shape(diabetes):
    X, y = diabetes
    flat = GALRegressor(max_iter=2, random_state=0).fit(X, y).predict(X)
    column = GALRegressor(max_iter=2, random_state=0).fit(X, y[:, None]).predict(X)
    assert_array_equal(column, flat[:, None])


@pytest.mark.parametrize(
    "labels", [[3, -1], ["no", "yes"], ["a", "b", "c"], [2.0, 1.0, 7.0]]
)
def test_any_labels(wine, labels):
    X, y = wine
    X, y = X[y < len(labels)], y[y < len(labels)]
    named = np.array(labels)[y]
    model = GALClassifier(max_iter=5, random_state=0).fit(X, named)
    assert_array_equal(model.classes_, np.unique(labels))
    assert model.predict_proba(X).shape == (len(X), len(labels))
    assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    assert_array_equal(
        model.predict(X), model.classes_[model.predict_proba(X).argmax(axis=1)]
    )
    assert model.score(X, named) > 0.9


def test_staged_results_end_in_the_final_ones(wine):
    X, y = wine
    model = GALClassifier(mixed(13), max_iter=4, random_state=0).fit(X, y)
    for stages, final in [
        (model.staged_decision_function(X), model.decision_function(X)),
        (model.staged_predict_proba(X), model.predict_proba(X)),
        (model.staged_predict(X), model.predict(X)),
    ]:
        stages = list(stages)
        assert len(stages) == model.n_iter_
        if final.dtype.kind == "f":
            assert_allclose(stages[-1], final)
        else:
            assert_array_equal(stages[-1], final)
    binary = GALClassifier(max_iter=2).fit(X, y == 1)
    assert next(binary.staged_decision_function(X)).shape == (178,)


def test_a_stage_is_a_shorter_fit(diabetes):
    X, y = diabetes
    long = GALRegressor(mixed(10), max_iter=3, random_state=0).fit(X, y)
    short = GALRegressor(mixed(10), max_iter=2, random_state=0).fit(X, y)
    assert_allclose(list(long.staged_predict(X))[1], short.predict(X))


def test_constant_target_needs_no_round(diabetes):
    X, _ = diabetes
    with pytest.warns(ConvergenceWarning, match="without a round, because y is constant"):
        model = GALRegressor(mixed(10)).fit(X, np.full(len(X), 7.0))
    assert model.n_iter_ == 0
    assert model.stop_reason_ == "constant_target"
    assert_array_equal(model.predict(X), 7)
    assert model.weights_.shape == (0, 3)
    assert list(model.staged_predict(X)) == []
    assert model.contributions(X).shape == (442, 3, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cv": None},
        {"subsample": 0.5},
        {"cv": None, "early_stopping": True},
        {"loss": "huber"},
        {"loss": "absolute_error"},
        {"loss": "poisson"},
        {"loss": "gamma"},
    ],
    ids=str,
)
@pytest.mark.parametrize("value", [0, 0.1, -7, 3, 1e9 / 3, 1e40, 1e-40])
def test_no_organization_is_asked_to_fit_a_constant_target(linear, value, settings):
    X, _ = linear
    if settings.get("loss") in ("poisson", "gamma") and value <= 0:
        return
    weight = np.random.default_rng(0).gamma(1, size=len(X))
    weight[::3] = 0
    for y, each in [
        (np.full(300, value), None),
        (np.where(weight, value, value + 1), weight),
        (np.full((300, 2), value), None),
    ]:
        Recorder.calls.clear()
        model = GALRegressor(equal_parts(4, Recorder(), Recorder()), **settings)
        with pytest.warns(ConvergenceWarning, match="y is constant") as told:
            model.fit(X, y, each)
        assert len(told) == 1
        assert Recorder.calls == []
        assert model.n_iter_ == 0
        assert model.stop_reason_ == "constant_target"
        expected = np.full(y.shape, value, dtype=float)
        assert_allclose(model.predict(X), expected, rtol=1e-13)


def test_rounding_is_not_fitted(linear):
    X, _ = linear
    y = 0.1 + np.spacing(0.1) * (X[:, 0] > 0)
    assert len(np.unique(y)) == 2
    with pytest.warns(ConvergenceWarning, match="y is constant"):
        model = GALRegressor(equal_parts(4, Ridge(), Ridge()), cv=None).fit(X, y)
    assert model.n_iter_ == 0


def test_a_constant_output_next_to_another_one(linear):
    X, y = linear
    for constant in (0.0, 0.1, 1e9 / 3):
        target = np.column_stack([np.full(300, constant), y])
        model = GALRegressor(mixed(4), max_iter=4, cv=2, random_state=0).fit(X, target)
        assert_allclose(model.predict(X)[:, 0], constant, rtol=1e-14)
        assert model.score(X, target) > 0.3


def test_a_baseline_of_a_user_that_does_not_predict_a_constant(linear):
    class FromZero(SquaredError):
        def baseline(self, y, sample_weight=None):
            return np.zeros(y.shape[1])

    X, _ = linear
    model = GALRegressor(equal_parts(4, Ridge()), loss=FromZero(), cv=None, max_iter=50)
    assert_allclose(model.fit(X, np.full(300, 0.1)).predict(X), 0.1)


@pytest.mark.parametrize("size", [1e40, 1e-40, 1e65, 1e-65])
def test_large_and_small_targets(linear, size):
    X, y = linear
    for settings in ({}, {"cv": None}, {"weights": "optimal", "interactions": False}):
        model = GALRegressor(
            equal_parts(4, Ridge(), Ridge()), max_iter=5, random_state=0, **settings
        )
        expected = model.fit(X, y).predict(X)
        assert_allclose(model.fit(X, size * y).predict(X), size * expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1e80, 1e-80, 1e150, 1e-150, 1e300, 1e-300])
def test_targets_whose_squares_are_no_numbers(linear, size):
    X, y = linear
    Recorder.calls.clear()
    model = GALRegressor(equal_parts(4, Recorder(), Recorder()))
    with pytest.raises(ValueError, match=r"largest residual of y is .*: divide y by a"):
        model.fit(X, size * y)
    assert Recorder.calls == []
    scaled = TransformedTargetRegressor(
        GALRegressor(equal_parts(4, Ridge(), Ridge()), max_iter=5, random_state=0),
        func=lambda y: y / size,
        inverse_func=lambda y: y * size,
        check_inverse=False,
    )
    assert (scaled.fit(X, size * y).predict(X) / size).std() > 0.1


def test_organizations_that_all_fit_exactly(linear):
    X, y = linear
    tree = DecisionTreeRegressor()
    model = GALRegressor(equal_parts(4, tree), cv=None, max_iter=3, learning_rate=1.0)
    assert_allclose(model.fit(X, y).predict(X), y)
    two = equal_parts(4, tree, tree)
    GALRegressor(two, loss="absolute_error", cv=None, max_iter=3).fit(X, y)


def test_predictions_scale_with_the_target(diabetes):
    X, y = diabetes
    for loss in ("squared_error", "absolute_error", "huber"):
        small, large = (
            GALRegressor(
                make_organizations(
                    X, 3, DecisionTreeRegressor(max_depth=2, random_state=0), random_state=0
                ),
                loss=loss,
                max_iter=4,
                cv=2,
                random_state=0,
            )
            .fit(X, y * scale)
            .predict(X)
            for scale in (1, 1024)
        )
        assert_allclose(large, small * 1024, rtol=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
@pytest.mark.parametrize("scale", [2.0**-70, 2.0**70])
def test_targets_of_any_unit(linear, loss, scale):
    X, y = linear
    organizations = equal_parts(4, LinearRegression(), LinearRegression())
    model = GALRegressor(organizations, loss=loss, max_iter=10, random_state=0)
    expected = model.fit(X, y).predict(X)
    assert_allclose(
        model.fit(X, y * scale).predict(X) / scale, expected, rtol=1e-3, atol=1e-3
    )


class OneSided:
    """A loss with the three required methods and no link."""

    def value(self, y, raw_prediction, sample_weight=None):
        error = np.where(y > raw_prediction, 3, 1) * (y - raw_prediction) ** 2
        return np.average(error.sum(axis=1), weights=sample_weight)

    def pseudo_residual(self, y, raw_prediction):
        return np.where(y > raw_prediction, 6, 2) * (y - raw_prediction)

    def baseline(self, y, sample_weight=None):
        return np.average(y, axis=0, weights=sample_weight)


def test_a_custom_loss(diabetes, cancer):
    X, y = diabetes
    model = GALRegressor(loss=OneSided(), max_iter=10, random_state=0).fit(X, y)
    plain = GALRegressor(loss=SquaredError(), max_iter=10, random_state=0).fit(X, y)
    assert model.predict(X).mean() > plain.predict(X).mean() + 5
    X, y = cancer
    model = GALClassifier(loss=OneSided(), max_iter=5, random_state=0)
    assert not hasattr(model, "predict_proba")
    model.fit(X, y)
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model, "staged_predict_proba")
    assert model.decision_function(X).shape == (569,)


# --- weights of rows and classes -----------------------------------------------------


@pytest.mark.parametrize("cv", [None, KFold(3)])
def test_weight_zero_is_removal(wine, cv):
    X, y = wine
    X, y = np.vstack([X, X[:30] + 1]), np.append(y, y[:30][::-1])
    weight = np.append(np.ones(178), np.zeros(30))
    order = np.random.default_rng(0).permutation(208)
    splits = None
    if cv is not None:
        folds = order % 3
        splits = [
            (np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(3)
        ]
    weighted = GALClassifier(mixed(13), cv=splits, max_iter=4, random_state=0)
    weighted.fit(X, y, weight)
    if cv is not None:
        folds = folds[:178]
        splits = [
            (np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(3)
        ]
    removed = GALClassifier(mixed(13), cv=splits, max_iter=4, random_state=0)
    removed.fit(X[:178], y[:178], weight[:178])
    assert_allclose(weighted.predict_proba(X), removed.predict_proba(X))


def test_a_fold_without_weight(linear):
    weight = np.ones(300)
    weight[:100] = 0
    model = GALRegressor(equal_parts(4, None, None), cv=KFold(3), max_iter=2)
    model.fit(*linear, sample_weight=weight)
    assert len(model.estimators_[0][0].estimators) == 2


def test_class_of_weight_zero_is_unknown(wine):
    X, y = wine
    model = GALClassifier(max_iter=2).fit(X, y, (y > 0) * 1.0)
    assert_array_equal(model.classes_, [1, 2])
    with pytest.raises(ValueError, match="only one class, 2"):
        GALClassifier().fit(X, y, (y > 1) * 1.0)


def test_integer_weights_are_repetitions(diabetes):
    X, y = diabetes
    times = np.random.default_rng(0).integers(1, 4, len(y))
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    for loss in ("squared_error", "huber", "absolute_error"):
        settings = {"loss": loss, "cv": None, "max_iter": 5}
        weighted = GALRegressor(organizations, **settings).fit(X, y, times)
        repeated = GALRegressor(organizations, **settings)
        repeated.fit(X.repeat(times, axis=0), y.repeat(times))
        assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-7)


def test_class_weight_is_sample_weight(wine):
    X, y = wine
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    by_class = GALClassifier(organizations, class_weight={0: 3, 1: 1, 2: 1}, random_state=0)
    by_row = GALClassifier(organizations, random_state=0)
    assert_allclose(
        by_class.fit(X, y).predict_proba(X),
        by_row.fit(X, y, np.where(y == 0, 3.0, 1.0)).predict_proba(X),
    )
    balanced = GALClassifier(organizations, class_weight="balanced", random_state=0).fit(
        X, y
    )
    assert_allclose(balanced.baseline_prediction_, np.log(1 / 3), rtol=1e-6)


def test_class_weight_zero(wine):
    X, y = wine
    model = GALClassifier(class_weight={0: 0.0, 1: 1, 2: 1}, max_iter=5).fit(X, y)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.predict_proba(X)[:, 0].max() < 1e-6


# --- early stopping, bags, folds ---------------------------------------------------------


def test_early_stopping_without_cross_fitting_sets_rows_aside(rng):
    X, y = make_friedman1(600, noise=3, random_state=0)
    model = GALRegressor(
        make_organizations(X, 3, random_state=0),
        cv=None,
        early_stopping=True,
        max_iter=200,
        n_iter_no_change=5,
        validation_fraction=0.25,
        random_state=0,
    ).fit(X, y)
    assert model.n_iter_ < 200
    losses = model.validation_loss_
    assert losses.shape == (model.n_iter_ + 1,)
    assert losses[:-5].min() <= losses[-5:].min()
    assert (losses != model.train_loss_).any()


def test_early_stopping_with_cross_fitting_needs_no_rows(wine):
    X, y = wine
    model = GALClassifier(
        mixed(13), early_stopping=True, tol=0.5, n_iter_no_change=2, random_state=0
    )
    model.fit(X, y)
    assert model.validation_loss_.shape == model.train_loss_.shape
    assert_allclose(
        model.baseline_prediction_ - model.baseline_prediction_.mean(),
        np.log(np.bincount(y)) - np.log(np.bincount(y)).mean(),
    )  # of all rows
    assert 2 <= model.n_iter_ < 5
    model = GALClassifier(max_iter=2, early_stopping=False).fit(X, y)
    assert model.validation_loss_.shape == (0,)


def test_early_stopping_keeps_every_class_in_training(wine):
    X, y = wine
    rare = np.where(np.arange(178) == 100, 9, y)
    model = GALClassifier(cv=None, early_stopping=True, max_iter=2, random_state=0).fit(
        X, rare
    )
    assert_array_equal(model.classes_, [0, 1, 2, 9])
    assert np.isfinite(model.baseline_prediction_).all()


def test_cross_fitted_values_do_not_reward_memorising(rng):
    X = rng.normal(size=(300, 4))
    y = X[:, 0] + 0.5 * rng.normal(size=300)
    organizations = [
        ("honest", Ridge(), [0]),
        ("memoriser", DecisionTreeRegressor(random_state=0), [1, 2, 3]),
    ]
    plain = GALRegressor(organizations, cv=None, max_iter=5).fit(X, y)
    crossed = GALRegressor(organizations, cv=5, max_iter=5, random_state=0).fit(X, y)
    assert plain.weights_[0, 1] > 0.9
    assert crossed.weights_[0, 1] < 0.1


@pytest.mark.parametrize("settings", [{"cv": 4}, {"cv": None, "subsample": 0.6}])
def test_models_are_fitted_to_the_rows_they_should_see(rng, settings):
    Recorder.calls.clear()
    X, y = rng.normal(size=(100, 2)), rng.normal(size=100)
    model = GALRegressor(
        [("a", Recorder(), [0, 1])], max_iter=1, random_state=0, **settings
    )
    model.fit(X, y + X[:, 0])
    fits = [set(call.X[:, 0]) for call in Recorder.fits()]
    if "subsample" in settings:
        assert [len(rows) for rows in fits] == [60]
    else:
        assert [len(rows) for rows in fits] == [75] * 4
        seen = [sum(x in rows for rows in fits) for x in X[:, 0]]
        assert seen == [3] * 100
        assert len(model.estimators_[0][0].estimators) == 4


def test_splitters_see_the_target(diabetes):
    class Halves(KFold):
        def split(self, X, y, groups=None):
            order = np.argsort(y, kind="stable")
            yield order[::2], order[1::2]
            yield order[1::2], order[::2]

    X, y = diabetes
    model = GALRegressor(mixed(10), cv=Halves(), max_iter=1).fit(X, y)
    assert len(model.estimators_[0][0].estimators) == 2
    order = np.argsort(y, kind="stable")
    expected = Ridge().fit(X[order[::2], :3], y[order[::2]])
    chain = model.estimators_[0][0].estimators[0]
    assert_allclose(chain.coef_.ravel(), expected.coef_)


def test_groups_for_the_splitter(diabetes):
    X, y = diabetes
    groups = np.arange(len(y)) // 50
    model = GALRegressor(mixed(10), cv=GroupKFold(3), max_iter=2)
    model.fit(X, y, groups=groups)
    assert len(model.estimators_[0][0].estimators) == 3
    with pytest.raises(ValueError, match="groups"):
        model.fit(X, y)


# --- warm start ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"cv": None},
        {"cv": 3},
        {"cv": None, "subsample": 0.7},
        {"cv": None, "early_stopping": True, "n_iter_no_change": 50},
    ],
)
def test_warm_start_is_one_longer_fit(wine, settings):
    X, y = wine
    settings = {"random_state": 0, **settings}
    once = GALClassifier(mixed(13), max_iter=6, **settings).fit(X, y)
    twice = GALClassifier(mixed(13), max_iter=3, warm_start=True, **settings).fit(X, y)
    first = twice.estimators_[0][0]
    twice = pickle.loads(pickle.dumps(twice)) if settings["cv"] else twice
    twice.set_params(max_iter=6).fit(X, y)
    if not settings["cv"]:
        assert twice.estimators_[0][0] is first
    assert twice.n_iter_ == once.n_iter_ > 3
    assert_array_equal(twice.train_loss_, once.train_loss_)
    assert_array_equal(twice.predict_proba(X), once.predict_proba(X))


def test_warm_start_on_other_rows(diabetes):
    X, y = diabetes
    model = GALRegressor(mixed(10), max_iter=3, warm_start=True, random_state=0)
    model.fit(X[:300], y[:300])
    before = model.predict(X)
    model.set_params(max_iter=5).fit(X[300:], y[300:])
    assert model.n_iter_ == 5
    assert_allclose(list(model.staged_predict(X))[2], before)


def test_warm_start_with_something_else(wine):
    X, y = wine
    model = GALClassifier(mixed(13), max_iter=2, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="y must have the classes of the previous fit"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="'bank' has changed or is gone"):
        model.set_params(organizations=[("new", None, [0])]).fit(X, y)
    model = GALRegressor(warm_start=True, max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="y must have the shape of the previous fit"):
        model.fit(X, np.column_stack([y, y]))


def test_without_warm_start_a_fit_starts_afresh(diabetes):
    X, y = diabetes
    model = GALRegressor(mixed(10), max_iter=2, random_state=0)
    first = model.fit(X, y).predict(X)
    assert_array_equal(model.fit(X, y).predict(X), first)


# --- in the company of scikit-learn -------------------------------------------------------


def test_pipeline_and_cross_val_predict(cancer):
    X, y = cancer
    model = make_pipeline(
        StandardScaler(), GALClassifier(mixed(30), max_iter=5, random_state=0)
    )
    proba = cross_val_predict(model, X, y, cv=3, method="predict_proba")
    assert proba.shape == (569, 2)
    assert roc_auc_score(y, proba[:, 1]) > 0.97


def test_assistance_helps(cancer):
    X, y = cancer
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    organizations = make_organizations(X, 10, Ridge(), random_state=0)
    alone = GALClassifier(organizations[:1], random_state=0).fit(X, y)
    assisted = GALClassifier(organizations, random_state=0).fit(X, y)
    assert assisted.score(X_test, y_test) > alone.score(X_test, y_test) + 0.02


def test_label_holder(diabetes):
    X, y = diabetes
    assert GALRegressor(mixed(10), max_iter=1).fit(X, y).label_holder_ == "bank"
    model = GALRegressor(mixed(10), max_iter=1, label_holder="lab").fit(X, y)
    assert model.label_holder_ == "lab"
    assert model.organization_names_ == ["bank", "shop", "lab"]


def test_verbose_prints_a_line_per_round(wine, capsys):
    X, y = wine
    GALClassifier(mixed(13), cv=None, max_iter=3, verbose=1, early_stopping=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[3] == "[GALClassifier] ends after 3 rounds: max_iter is reached"
    assert lines[0].startswith("[GALClassifier] round 1/3, training loss ")
    for word in ("validation loss", "learning rate", "bank 0.", "shop 0.", "lab 0."):
        assert word in lines[0]
    with pytest.warns(ConvergenceWarning):
        GALRegressor(verbose=1).fit(X, np.ones(178))
    assert "ends after 0 rounds: y is constant" in capsys.readouterr().out
    GALClassifier(mixed(13), max_iter=3).fit(X, y)
    assert capsys.readouterr().out == ""


# --- rounds that lower no loss -----------------------------------------------------------


class Uphill:
    """Weights whose direction raises the loss in some rounds, counted from 0.

    A round asks for the weights of all rows first, and then for those of parts of them.
    """

    def __init__(self, *rounds):
        self.rounds, self.number, self.n_rows = rounds, -1, 0

    def __call__(self, residual, fitted, sample_weight):
        self.n_rows = self.n_rows or len(residual)
        self.number += len(residual) == self.n_rows
        sign = -1.0 if self.number in self.rounds else 1.0
        return np.full(fitted.shape[1], sign / fitted.shape[1])


@pytest.mark.parametrize("settings", [{"cv": 2}, {"cv": None, "subsample": 0.5}], ids=str)
def test_a_few_idle_rounds_do_not_end_a_fit_with_held_out_rows(diabetes, settings):
    X, y = diabetes
    settings = {"max_iter": 7, "random_state": 0, **settings}
    model = GALRegressor(mixed(10), weights=Uphill(1, 2, 4), **settings).fit(X, y)
    rates = model.learning_rates_
    assert_array_equal(rates[[1, 2, 4]], 0)
    assert (rates[[0, 3]] > 0).all()
    stages, losses = list(model.staged_predict(X)), model.train_loss_
    for idle in (1, 2, 4):
        assert_array_equal(stages[idle], stages[idle - 1])
        assert losses[idle + 1] == losses[idle]
    assert losses[4] < losses[3]
    assert_allclose(stages[-1], model.predict(X))


@pytest.mark.parametrize(
    ("settings", "rounds", "n_iter"),
    [
        ({"cv": 2}, range(2, 3 + IDLE_ROUNDS), 2),
        ({"cv": 2, "max_iter": 4}, (2, 3), 2),
        ({"cv": None}, (2,), 2),
        ({"cv": KFold(2)}, range(2, 3 + IDLE_ROUNDS), 2),
        ({"cv": 2}, range(1 + IDLE_ROUNDS), 0),
    ],
    ids=str,
)
def test_idle_rounds_at_the_end_are_not_kept(diabetes, settings, rounds, n_iter):
    X, y = diabetes
    settings = {"random_state": 0, **settings}
    model = GALRegressor(mixed(10), weights=Uphill(*rounds), **settings)
    with nullcontext() if n_iter else pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    assert model.n_iter_ == len(model.estimators_) == n_iter
    assert len(model.train_loss_) == n_iter + 1
    first = clone(model).set_params(weights="uniform", max_iter=max(1, n_iter)).fit(X, y)
    if n_iter:
        assert_array_equal(first.predict(X), model.predict(X))


def test_one_idle_round_less_does_not_end_a_fit(diabetes):
    idle = range(2, 2 + IDLE_ROUNDS)
    settings = {"max_iter": 3 + IDLE_ROUNDS, "random_state": 0}
    model = GALRegressor(mixed(10), weights=Uphill(*idle), **settings).fit(*diabetes)
    assert_array_equal(np.flatnonzero(model.learning_rates_ == 0), idle)
    assert model.n_iter_ == 3 + IDLE_ROUNDS


def test_idle_rounds_of_a_continued_fit(diabetes):
    X, y = diabetes
    settings = {"max_iter": 6, "cv": 2, "random_state": 0}
    model = GALRegressor(mixed(10), weights=Uphill(1, 4), **settings).fit(X, y)
    assert_array_equal(np.flatnonzero(model.learning_rates_ == 0), [1, 4])
    out_of_fold = model.train_loss_[-1]
    # what is continued from what the fit has reached is what one fit would have been
    parts = GALRegressor(mixed(10), weights=Uphill(1, 4), warm_start=True, **settings)
    parts.set_params(max_iter=3).fit(X, y).set_params(max_iter=6).fit(X, y)
    assert_array_equal(parts.predict(X), model.predict(X))
    assert parts.train_loss_[-1] == out_of_fold


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_iter": 2}, "max_iter"),
        ({"cv": None, "max_iter": 500, "weights": Uphill(3)}, "no_descent"),
        ({"early_stopping": True, "n_iter_no_change": 1, "tol": 10.0}, "early_stopping"),
    ],
    ids=["max_iter", "no_descent", "early_stopping"],
)
def test_why_a_fit_ended(diabetes, settings, reason, capsys):
    model = GALRegressor(mixed(10), random_state=0, verbose=1, **settings).fit(*diabetes)
    assert model.stop_reason_ == reason
    assert STOP_REASONS[reason] in capsys.readouterr().out.splitlines()[-1]


def test_few_private_attributes(diabetes, cancer):
    models = GALRegressor(warm_start=True).fit(*diabetes), GALClassifier().fit(*cancer)
    for model in models:
        private = {name for name in vars(model) if name.startswith("_")}
        assert private <= {"_model", "_state", "_target_shape"}
