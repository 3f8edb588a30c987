import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal import GALRegressor, _learners
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
