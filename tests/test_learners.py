"""The learners of `sklearn_gal._learners`: clone and fit, and what all of them share."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import BaggingRegressor, RandomForestRegressor, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    f_regression,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import MultiTaskLasso, Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import Binarizer, StandardScaler, TargetEncoder
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal import GALClassifier, GALRegressor, _learners
from sklearn_gal._learners import (
    IN_SAMPLE,
    FoldRegressors,
    OutputRegressors,
    SeededClones,
    Split,
    depends_on_memory_layout,
    make_learner,
    take_rows,
    weight_parameter,
    weighted_sum,
)
from sklearn_gal._learners.base import Learner
from sklearn_gal._learners.models import Term


@pytest.mark.parametrize(
    ("estimator", "whole"),
    [(DecisionTreeRegressor(max_depth=2), True), (SVR(), False)],
)
def test_outputs(data, estimator, whole):
    X, residual, _ = data
    learner = make_learner(estimator, X, {})
    model, fitted = learner.fit(residual, IN_SAMPLE, 0)
    assert isinstance(model, OutputRegressors) != whole
    assert fitted.shape == residual.shape
    assert learner.fit(residual[:, :1], IN_SAMPLE, 0)[1].shape == (80, 1)
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
    pipeline = make_pipeline(StandardScaler(copy=False), RandomForestRegressor())
    seeds = SeededClones(pipeline)
    seeded = seeds.clone(3)
    assert isinstance(seeded[-1].random_state, int)
    assert seeded[-1].n_jobs == 1
    assert seeded[0].copy
    assert pipeline[-1].random_state is None
    assert seeds.clone(3)[-1].random_state == seeded[-1].random_state
    assert seeds.clone(4)[-1].random_state != seeded[-1].random_state
    own = SeededClones(RandomForestRegressor(random_state=7, n_jobs=2)).clone(3)
    assert (own.random_state, own.n_jobs) == (7, 2)


def test_rows_to_predict(data):
    X, residual, _ = data
    some = Split(np.arange(50), np.arange(40, 80))
    model, fitted = make_learner(SVR(), X, {}).fit(residual[:, :1], some, 0)
    expected = SVR().fit(X[:50], residual[:50, 0])
    assert_array_equal(model.dual_coef_, expected.dual_coef_)
    assert_array_equal(fitted[:, 0], expected.predict(X[40:]))


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
    make_learner(estimator, X, {name: weight}).fit(residual, Split(np.arange(50)), 0)


def test_no_weight_parameter():
    from sklearn.neighbors import KNeighborsRegressor

    assert weight_parameter(KNeighborsRegressor()) is None
    assert weight_parameter(make_pipeline(StandardScaler(), KNeighborsRegressor())) is None


def test_take_rows_cuts_only_what_has_a_row_each():
    params = {"a": np.arange(4), "b": [1, 2, 3, 4], "c": "four", "d": 4, "e": {1: 2}}
    taken = take_rows(params, np.array([1, 3]), 4)
    assert_array_equal(taken.pop("a"), [1, 3])
    assert taken == {"b": [2, 4], "c": "four", "d": 4, "e": {1: 2}}


class MeansBySign(RegressorMixin, BaseEstimator):
    """Predicts the mean target of rows with the same sign of the first column."""

    def fit(self, X, y):
        positive = X[:, 0] > 0
        self.means_ = np.array([y[~positive].mean(), y[positive].mean()])
        return self

    def predict(self, X):
        return self.means_[(X[:, 0] > 0).astype(int)]


class MeansBySignLearner(Learner):
    """What another package, or another module of this one, would add for its estimator."""

    sums_columns = False

    @classmethod
    def takes(cls, estimator, view, fit_params):
        return type(estimator) is MeansBySign and not fit_params

    @staticmethod
    def merge(terms, sum_terms):
        mine = [term for term in terms if type(term.model) is MeansBySign]
        if not mine:
            return terms
        merged = MeansBySign()
        merged.means_ = sum(share * model.means_ for _, model, share in mine)
        others = [term for term in terms if type(term.model) is not MeansBySign]
        return [*others, Term(None, merged, 1.0)]


def test_a_learner_for_another_estimator_is_one_class_and_one_line(data, monkeypatch):
    X, residual, _ = data
    estimator, y = MeansBySign(), residual[:, 0]
    held = [("a", estimator, [0, 1]), ("b", Ridge(), [2, 3])]
    model = GALRegressor(held, max_iter=4, random_state=0)
    expected = model.fit(X, y).predict(X)
    assert type(make_learner(estimator, X, {})) is Learner
    assert depends_on_memory_layout(estimator, X, {})

    monkeypatch.setattr(_learners, "LEARNERS", (MeansBySignLearner, *_learners.LEARNERS))

    assert type(make_learner(estimator, X, {})) is MeansBySignLearner
    assert not depends_on_memory_layout(estimator, X, {})
    scaled = make_pipeline(StandardScaler(), estimator)
    learner = make_learner(scaled, X, {})
    learner.fit(residual[:, :1], IN_SAMPLE, 0)
    assert type(learner._learner) is MeansBySignLearner
    assert_allclose(model.fit(X, y).predict(X), expected)

    models = [MeansBySign().fit(X, each) for each in residual.T]
    mixed = [FoldRegressors(models[:2]), Ridge().fit(X, y), models[2]]
    merged = weighted_sum(mixed, [2.0, 3.0, 4.0], lambda prediction, shape: prediction)
    assert len(merged.terms) == 2
    shares = zip(mixed, [2.0, 3.0, 4.0], strict=True)
    wanted = sum(share * each.predict(X) for each, share in shares)
    assert_allclose(merged(X)[:, 0], wanted)
    pipelines = [make_pipeline(StandardScaler(), estimator).fit(X, y) for _ in range(2)]
    (term,) = weighted_sum(pipelines, [1.0, 2.0], lambda prediction, shape: None).terms
    assert len(term.model._sum_of_last_steps.terms) == 1
    assert_allclose(term.model.predict(X)[:, 0], 3 * pipelines[0].predict(X))


# --- several outputs --------------------------------------------------------------------


class OneTarget(TransformerMixin, BaseEstimator):
    """Multiplies columns by their correlation with a single target, which no tag tells."""

    def fit(self, X, y):
        self.scale_ = [np.corrcoef(column, y)[0, 1] for column in X.T]

    def fit_transform(self, X, y):
        self.fit(X, y)
        return self.transform(X)

    def transform(self, X):
        return X * self.scale_


def best():
    return SelectKBest(f_regression, k=2)


# the way to say it has changed in scikit-learn 1.9
NOT_SHUFFLED = {"cv": 3, "shuffle": False}
if TargetEncoder().shuffle == "deprecated":
    NOT_SHUFFLED = {"cv": KFold(3)}
ONE_TARGET = {
    "filter": best(),
    "percentile": SelectPercentile(f_regression, percentile=50),
    "model": SelectFromModel(SVR(kernel="linear")),
    "sequential": SequentialFeatureSelector(
        SVR(kernel="linear"), n_features_to_select=2, cv=2
    ),
    "encoder": make_pipeline(Binarizer(), TargetEncoder(**NOT_SHUFFLED)),
    "no tag": OneTarget(),
}
INSIDE = {
    "step": lambda step: step,
    "nested": lambda step: make_pipeline(StandardScaler(), step),
    "columns": lambda step: make_column_transformer((step, [0, 1, 2, 3])),
    "union": lambda step: make_union(step, StandardScaler()),
}
WRAPPERS = {
    "target": TransformedTargetRegressor,
    "search": lambda model: GridSearchCV(model, {"ridge__alpha": [1.0, 9.0]}, cv=2),
    "bagging": lambda model: BaggingRegressor(model, 2, random_state=0),
    "voting": lambda model: VotingRegressor([("one", model), ("other", Ridge())]),
    "last step": lambda model: make_pipeline(StandardScaler(), model),
}


def assert_one_clone_per_output(estimator, X, residual, in_sample=False):
    splits = [IN_SAMPLE, Split(np.arange(50), None, ("chain", 0))]
    for split in splits[: 1 if in_sample else 2]:
        learner = make_learner(estimator, X, {})
        model, fitted = learner.fit(residual, split, 0)
        assert type(model) is OutputRegressors
        rows = slice(None) if split.rows is None else split.rows
        for k, y in enumerate(residual.T):
            expected = clone(estimator).set_params(**learner.seeds.settings(0))
            expected.fit(X[rows], y[rows])
            assert_allclose(fitted[:, k], expected.predict(X))
        assert learner.fit(residual[:, :1], split, 0)[1].shape == (80, 1)


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("step", ONE_TARGET)
def test_a_step_that_takes_one_target(data, step, inside):
    X, residual, _ = data
    estimator = make_pipeline(INSIDE[inside](clone(ONE_TARGET[step])), Ridge())
    assert_one_clone_per_output(estimator, X, residual)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_of_a_step_that_takes_one_target(data, wrapper):
    X, residual, _ = data
    estimator = WRAPPERS[wrapper](make_pipeline(best(), Ridge()))
    # a scaler before the last step is fitted to all rows, also in a chain
    assert_one_clone_per_output(estimator, X, residual, in_sample=wrapper == "last step")


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(RFE(Ridge(), n_features_to_select=2), Ridge()),
        make_pipeline(SelectFromModel(Ridge()), Ridge()),
        make_pipeline(SelectKBest(lambda X, y: abs(X.T @ y).sum(axis=1), k=2), Ridge()),
        RegressorChain(SVR()),
        MultiOutputRegressor(SVR()),
        PLSRegression(1),
        TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_takes_several_outputs_is_fitted_once(data, estimator):
    X, residual, _ = data
    model, fitted = make_learner(estimator, X, {}).fit(residual, IN_SAMPLE, 0)
    assert type(model) is type(estimator)
    assert_array_equal(fitted, clone(estimator).fit(X, residual).predict(X))


@pytest.mark.parametrize(
    "estimator",
    [
        MultiOutputRegressor(SVR()),
        RegressorChain(SVR()),
        MultiTaskLasso(),
        make_pipeline(StandardScaler(), MultiTaskLasso()),
    ],
)
def test_what_takes_several_outputs_only(data, estimator):
    X, residual, _ = data
    _, fitted = make_learner(estimator, X, {}).fit(residual[:, :1], IN_SAMPLE, 0)
    expected = clone(estimator).fit(X, residual[:, :1]).predict(X)
    assert_array_equal(fitted, expected.reshape(-1, 1))


class FailsLater(Ridge):
    """Fails in its second fit."""

    fits = 0

    def fit(self, X, y):
        FailsLater.fits += 1
        if FailsLater.fits > 1:
            raise RuntimeError(f"{np.ndim(y)} dimensions")
        return super().fit(X, y)


def test_an_estimator_that_has_taken_several_outputs_is_not_fitted_apart(data):
    X, residual, _ = data
    FailsLater.fits = 0
    learner = make_learner(FailsLater(), X, {})
    learner.fit(residual, IN_SAMPLE, 0)
    with pytest.raises(RuntimeError, match="2 dimensions"):
        learner.fit(residual, IN_SAMPLE, 0)
    assert FailsLater.fits == 2


def test_the_error_of_one_output_is_shown_if_both_ways_fail(data):
    X, residual, _ = data
    FailsLater.fits = 1
    with pytest.raises(RuntimeError, match="1 dimensions"):
        make_learner(FailsLater(), X, {}).fit(residual, IN_SAMPLE, 0)


# --- conventions that not every estimator keeps -----------------------------------------


class FitReturns(RegressorMixin, BaseEstimator):
    """Its `fit` returns something else than itself."""

    def __init__(self, answer=None):
        self.answer = answer

    def fit(self, X, y):
        self.ridge_ = Ridge().fit(X, y)
        return self.answer

    def predict(self, X):
        return self.ridge_.predict(X)


@pytest.mark.parametrize("answer", [None, 0, "fitted", Ridge()])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(
    "around", [lambda e: e, lambda e: make_pipeline(StandardScaler(with_std=False), e)]
)
def test_what_fit_returns_does_not_matter(data, answer, n_outputs, around):
    X, residual, _ = data
    X = X - X.mean(axis=0)
    y = residual[:, :n_outputs]
    _, fitted = make_learner(around(FitReturns(answer)), X, {}).fit(y, IN_SAMPLE, 0)
    assert_allclose(fitted, Ridge().fit(X, y).predict(X).reshape(y.shape))


class Counted(Ridge):
    predictions = 0

    def predict(self, X):
        Counted.predictions += 1
        return super().predict(X)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("around", "is_merged"),
    [
        (lambda model, scaler: FrozenEstimator(model), True),
        (lambda model, _: make_pipeline(StandardScaler(), FrozenEstimator(model)), True),
        (lambda model, _: FrozenEstimator(make_pipeline("passthrough", model)), True),
        (
            lambda model, scaler: make_pipeline(
                FrozenEstimator(scaler), FrozenEstimator(model)
            ),
            False,
        ),
    ],
)
def test_a_frozen_estimator_is_a_fixed_function(linear, around, is_merged, weighted):
    X, y = linear
    old, model = X[:, :2] + 3, Counted().fit(X[:, :2] + 3, y)
    X = np.hstack([old, X[:, 2:]])
    estimator = around(model, StandardScaler().fit(old))
    expected = clone(estimator).fit(old, y).predict(old)
    held = [("old", estimator, [0, 1]), ("new", Ridge(), [2, 3])]
    weight = np.ones(len(y)) if weighted else None
    for settings in ({"cv": None}, {"cv": 3}):
        gal = GALRegressor(held, max_iter=4, interactions=False, random_state=0, **settings)
        gal.fit(X, y, weight)
        Counted.predictions = 0
        contribution = gal.contributions(X)[:, 0, 0]
        n_scalers = settings["cv"] or 1
        assert Counted.predictions <= n_scalers or not is_merged
        coefficient = gal.learning_rates_ @ gal.weights_[:, 0]
        assert coefficient > 0
        if settings["cv"] is None or isinstance(estimator, FrozenEstimator):
            assert_allclose(contribution, coefficient * expected)


def test_a_frozen_estimator_with_the_wrong_number_of_outputs(wine):
    X, y = wine
    for regressor in (Ridge(), SVR()):
        frozen = FrozenEstimator(regressor.fit(X[:, :6], y))
        held = [("old", frozen, range(6)), ("new", None, range(6, 13))]
        with pytest.raises(ValueError, match=r"'old' returned predictions of shape.*, 1\)"):
            GALClassifier(held).fit(X, y)


def test_a_frozen_estimator_that_is_not_fitted(linear):
    with pytest.raises(NotFittedError) as raised:
        GALRegressor([("old", FrozenEstimator(Ridge()), [0, 1, 2, 3])]).fit(*linear)
    assert "organization 'old'" in raised.value.__notes__[0]
