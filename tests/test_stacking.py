import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from _helpers import Recorder, equal_parts, raw_prediction
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._learners import (
    IN_SAMPLE,
    Split,
    StackedView,
    make_learner,
    to_estimator,
    with_columns,
)
from sklearn_gal._learners.views import StackedPipeline, append_columns
from sklearn_gal._method.stacked import RECENT_COLUMNS, StackedColumns
from sklearn_gal.privacy import LaplaceMechanism


def product(rng, n=600):
    X = rng.uniform(size=(n, 4))
    return X, 4 * X[:, 0] * X[:, 2] + 0.1 * rng.normal(size=n)


def halves(estimator=None):
    return [("holder", estimator, [0, 1]), ("partner", None, [2, 3])]


def stacked(organizations, gal=GALRegressor, **settings):
    settings = {"max_iter": 12, "random_state": 0, **settings}
    return gal(organizations, **{"stack_contributions": True, **settings})


def test_interactions_between_organizations(rng):
    X, y = product(rng, 1600)
    plain = GALRegressor(halves(), random_state=0).fit(X[:1000], y[:1000])
    model = stacked(halves(), max_iter=100).fit(X[:1000], y[:1000])
    lost = 1 - plain.score(X[1000:], y[1000:])
    assert 1 - model.score(X[1000:], y[1000:]) < 0.8 * lost


@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(),
        None,
        DecisionTreeRegressor(max_depth=3),
        make_pipeline(StandardScaler(), SVR()),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), Ridge())),
        make_pipeline("passthrough", Ridge()),
    ],
)
@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("stacks", [True, "all"])
def test_all_predictions_agree(rng, estimator, cv, stacks):
    X, y = product(rng, 150)
    model = stacked(halves(estimator), cv=cv, max_iter=5, stack_contributions=stacks)
    model.fit(X, y)
    assert_allclose(model.predict(X), raw_prediction(model, X)[:, 0], atol=1e-10)
    stages = list(model.staged_predict(X))
    assert len(stages) == model.n_iter_
    assert_allclose(stages[-1], model.predict(X), atol=1e-10)
    assert_allclose(model.predict(X[:7]), model.predict(X)[:7])
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    if cv is None:
        assert_allclose(model.train_loss_[-1], np.mean((y - model.predict(X)) ** 2) / 2)


def test_classes(wine):
    X, y = wine
    organizations = [("a", None, slice(0, 6)), ("b", Ridge(), slice(6, 13))]
    model = stacked(organizations, GALClassifier).fit(X, y)
    assert model.contributions(X).shape == (178, 2, 3)
    assert_allclose(list(model.staged_predict_proba(X))[-1], model.predict_proba(X))
    assert model.score(X, y) > 0.95


def test_another_label_holder(rng):
    X, y = product(rng, 200)
    model = stacked(halves(Ridge()), label_holder="partner", max_iter=2).fit(X, y)
    first, second = model.estimators_[1]
    assert first.estimators[0].n_features_in_ == 2
    # its own two, the contribution and the fitted values of the latest rounds
    assert second.estimators[0].n_features_in_ == 2 + 1 + RECENT_COLUMNS


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_column_selections_survive(rng, frame):
    X, y = product(rng, 300)
    table = {"x": X[:, 0], "town": np.where(X[:, 1] > 0.5, "here", "there"), "z": X[:, 2]}
    by_name = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["town"]), ("passthrough", ["x"])
    )
    by_type = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=float)), remainder="drop"
    )
    transformers = [by_name, by_type] if frame is pd.DataFrame else [by_name]
    for transformer in transformers:
        own = make_pipeline(transformer, DecisionTreeRegressor(max_depth=3, random_state=0))
        organizations = [("holder", own, ["x", "town"]), ("partner", None, ["z"])]
        model = stacked(organizations, max_iter=4).fit(frame(table), y)
        last = model.estimators_[-1][0].estimators[0].pipeline_[-1]
        assert last.n_features_in_ > transformer.fit_transform(frame(table)).shape[1]
        plain = GALRegressor(organizations, max_iter=4, random_state=0).fit(frame(table), y)
        assert model.train_loss_[-1] < plain.train_loss_[-1]


def test_categories_of_a_bare_lightgbm(rng):
    X, y = product(rng, 300)
    table = pd.DataFrame(X, columns=list("abcd"))
    table["b"] = pd.Categorical(np.where(X[:, 1] > 0.5, "here", "there"))
    own = LGBMRegressor(n_estimators=3, verbosity=-1)
    organizations = [("holder", own, ["a", "b"]), ("partner", None, ["c", "d"])]
    model = stacked(organizations, max_iter=3).fit(table, y)
    assert model.predict(table).shape == (300,)


def test_sparse(rng):
    X, y = product(rng, 200)
    for estimator in (Ridge(), None):
        dense = stacked(halves(estimator), max_iter=3).fit(X, y).predict(X)
        model = stacked(halves(estimator), max_iter=3).fit(sparse.csr_array(X), y)
        assert_allclose(model.predict(sparse.csr_array(X)), dense)


def test_sample_weights_reach_the_last_step(rng):
    X, y = product(rng, 200)
    own = make_pipeline(StandardScaler(), Ridge())
    weight = rng.integers(0, 2, 200)
    model = stacked(halves(own), max_iter=3).fit(X, y, weight)
    removed = stacked(halves(own), max_iter=3).fit(
        X[weight > 0], y[weight > 0], weight[weight > 0]
    )
    assert_allclose(model.predict(X), removed.predict(X))


def test_early_stopping_on_rows_set_aside(rng):
    X, y = product(rng, 300)
    model = stacked(halves(), cv=None, early_stopping=True, n_iter_no_change=3).fit(X, y)
    assert np.isfinite(model.validation_loss_).all()
    assert model.validation_loss_[-1] < model.validation_loss_[0]


@pytest.mark.parametrize("cv", [None, 3])
def test_warm_start_is_one_longer_fit(rng, cv):
    X, y = product(rng, 200)
    once = stacked(halves(), cv=cv, max_iter=6).fit(X, y)
    twice = stacked(halves(), cv=cv, max_iter=3, warm_start=True).fit(X, y)
    twice.set_params(max_iter=6).fit(X, y)
    assert_array_equal(once.predict(X), twice.predict(X))
    other = twice.set_params(max_iter=8).fit(X[:150], y[:150])
    assert other.n_iter_ > 6


def test_warm_start_keeps_to_stacking_and_label_holder(rng):
    X, y = product(rng, 100)
    model = stacked(halves(), max_iter=2, warm_start=True).fit(X, y)
    for change in ({"stack_contributions": False}, {"label_holder": "partner"}):
        other = pickle.loads(pickle.dumps(model)).set_params(**change)
        with pytest.raises(
            ValueError, match=f"continues with the same {next(iter(change))}"
        ):
            other.fit(X, y)


def test_one_organization_has_nothing_to_stack(diabetes):
    X, y = diabetes
    plain = GALRegressor(max_iter=3, random_state=0).fit(X, y).predict(X)
    assert_array_equal(stacked(None, max_iter=3).fit(X, y).predict(X), plain)


def test_assistors_see_nothing_more(rng):
    Recorder.calls.clear()
    X, y = product(rng, 200)
    model = stacked([("holder", None, [0, 1]), ("partner", Recorder(), [2, 3])], max_iter=3)
    model.fit(X, y).predict(X)
    assert all(np.isin(call.X, X[:, 2:]).all() for call in Recorder.calls)


def test_everybody_sees_what_the_others_have_sent(rng):
    X, y = product(rng, 200)
    organizations = [("a", Ridge(), [0]), ("b", Ridge(), [1, 2]), ("c", None, [3])]
    model = stacked(organizations, stack_contributions="all", cv=None, max_iter=3)
    model.fit(X, y)
    n_sent = 2 * (1 + RECENT_COLUMNS // 2)  # contributions and latest fitted values
    assert [each.n_features_in_ for each in model.estimators_[1]] == [
        1 + n_sent,
        2 + n_sent,
        1 + n_sent,
    ]
    again = clone(model).set_params(n_jobs=2).fit(X, y)
    assert_array_equal(again.predict(X), model.predict(X))


def test_an_exclusive_or_of_two_organizations(rng):
    X = rng.uniform(-1, 1, size=(3000, 2))
    y = X[:, 0] * X[:, 1] > 0
    learner = LGBMRegressor(num_leaves=8, n_estimators=10, learning_rate=0.2, verbosity=-1)
    organizations = [("a", learner, [0]), ("b", learner, [1])]
    plain, holder, everybody = (
        stacked(organizations, GALClassifier, max_iter=60, stack_contributions=stacks)
        .fit(X[:2000], y[:2000])
        .score(X[2000:], y[2000:])
        for stacks in (False, True, "all")
    )
    assert plain < 0.6
    assert holder > 0.65
    assert everybody > 0.65


@pytest.mark.parametrize("stacks", ["everybody", 2, None])
def test_bad_values(rng, stacks):
    X, y = product(rng, 50)
    with pytest.raises(ValueError, match=r"stack_contributions must be False, True or"):
        stacked(halves(), stack_contributions=stacks).fit(X, y)


def test_what_everybody_sees_is_not_perturbed(rng):
    X, y = product(rng, 50)
    mechanism = LaplaceMechanism(1.0, bounds=(-1, 1))
    model = stacked(halves(), stack_contributions="all", privacy=mechanism)
    with pytest.raises(ValueError, match="cannot be combined with privacy"):
        model.fit(X, y)


def test_no_training_rows_stay(rng):
    X = rng.normal(size=(50, 2))
    view = StackedView(X, rng.normal(size=(50, 3)))
    own = make_pipeline(StandardScaler(), Ridge())
    model = StackedPipeline(own).fit(view, X[:, 0])
    assert model.pipeline_.named_steps["assistance"].columns is None
    assert model.predict(view.take(np.arange(5))).shape == (5,)
    assert [name for name, _ in own.steps] == ["standardscaler", "ridge"]


def test_columns_of_the_assistance(rng):
    assistance = StackedColumns((5, 3, 1), [1], 2.0)
    shape = (5, 2 * (1 + RECENT_COLUMNS // 2))
    assert_array_equal(assistance.columns(1), np.zeros(shape))
    assert assistance.columns(0) is None
    many = StackedColumns((5, 9, 1), [0], 1.0)  # so many that the latest would be too many
    assert many.columns(0).shape == (5, 8)
    fitted = rng.normal(size=(5, 3, 1))
    assistance.add(fitted, np.array([0.5, 1.0, 0.0]))
    assert_allclose(assistance.contributions[:, 0], 0.5 * fitted[:, 0])
    columns = assistance.columns(1).reshape(5, 2, -1)
    assert_allclose(columns[:, 0, 0], 0.25 * fitted[:, 0, 0])
    assert_allclose(columns[:, 1, -1], 0.5 * fitted[:, 2, 0])
    assert_array_equal(columns[..., 1:-1], 0)
    for _ in range(9):
        assistance.add(fitted, np.zeros(3))
    assert assistance.columns(1).shape == shape


def test_columns_stay_for_longer_and_longer(rng):
    assistance, changed = StackedColumns((5, 2, 1), [0], 1.0), []
    for number in range(1, 41):
        before = assistance.columns(0)
        assistance.add(rng.normal(size=(5, 2, 1)), np.ones(2))
        if assistance.columns(0) is not before:
            changed.append(number)
    assert changed == [1, 2, 4, 8, 16, 24, 32, 40]


@pytest.mark.parametrize(
    "estimator",
    [
        LGBMRegressor(n_estimators=2, n_jobs=1, verbosity=-1),
        Ridge(),
        make_pipeline(StandardScaler(), Ridge()),
    ],
)
def test_the_learner_stays_with_the_columns(rng, estimator):
    view, columns = rng.normal(size=(200, 2)), rng.normal(size=(200, 3))
    residual = view[:, :1] * columns[:, :1] + rng.normal(size=(200, 1))
    learner = make_learner(estimator, view, {})
    with_stacked = learner.with_stacked(columns)
    assert learner.with_stacked(columns) is with_stacked
    own, both = with_columns(estimator, StackedView(view, columns))
    split = Split(np.arange(0, 200, 2), np.arange(1, 200, 2), (0, 0))
    for each in (IN_SAMPLE, split):
        model, fitted = with_stacked.fit(residual, each, 0)
        assert_allclose(fitted, with_stacked.predict(model, each.predict_rows))
        if each is IN_SAMPLE:
            expected = clone(own).fit(both, residual[:, 0]).predict(both)
            error = np.sqrt(np.mean((fitted[:, 0] - expected) ** 2))
            assert error < 0.1 * residual.std()  # the bins are coarser
    other = learner.with_stacked(-columns)
    model = to_estimator(other.fit(residual, IN_SAMPLE, 0)[0])
    _, both = with_columns(estimator, StackedView(view, -columns))
    assert_allclose(other.predict(model, None)[:, 0], model.predict(both))


@pytest.mark.parametrize(
    "kind", [np.asarray, sparse.csr_matrix, pd.DataFrame, pl.DataFrame]
)
def test_append_columns(rng, kind):
    X, columns = rng.normal(size=(6, 2)), rng.normal(size=(6, 3))
    result = append_columns(kind(X), columns)
    assert type(result) is type(kind(X))
    result = result.toarray() if sparse.issparse(result) else np.asarray(result)
    assert_allclose(result, np.hstack([X, columns]))


def test_a_round_that_was_dropped_leaves_no_columns(rng):
    X = rng.normal(size=(120, 4))
    y = X[:, 0] + 2 * rng.normal(size=120)
    model = stacked(halves(), max_iter=60, warm_start=True).fit(X, y)
    ended = model.n_iter_
    assert ended < 60
    model.set_params(max_iter=120).fit(X, y)
    assert model.n_iter_ == ended
    assert model.predict(X).shape == (120,)


def test_the_columns_of_the_user_may_have_the_names_of_stacked_ones(linear):
    X, y = linear
    ridges = equal_parts(4, Ridge(), Ridge())
    expected = stacked(ridges, max_iter=5).fit(X, y).predict(X)
    clash = pd.DataFrame(X, columns=["assistance_0", "p", "q", "r"])
    for table in (clash, pd.DataFrame(X)):
        model = stacked(ridges, max_iter=5).fit(table, y)
        assert_allclose(model.predict(table), expected)
    own = Pipeline([("assistance", StandardScaler()), ("ridge", Ridge())])
    stacked(equal_parts(4, own, None), max_iter=5).fit(X, y).predict(X)
