import pickle
import re

import joblib
import numpy as np
import pandas as pd
import pytest
from lightgbm import Dataset, LGBMRegressor, early_stopping, train
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone

from _helpers import covering
from sklearn_gal import GALRegressor
from sklearn_gal._learners import (
    IN_SAMPLE,
    OutputRegressors,
    SeededClones,
    Split,
    boosted,
    make_learner,
    to_estimator,
)
from sklearn_gal._learners.base import Learner
from sklearn_gal._learners.boosted import BoosterLearner
from sklearn_gal._learners.default_learner import DefaultLearner

N = 400
SPLITS = {
    "in-sample": IN_SAMPLE,
    "fold": Split(np.arange(0, N, 2), np.arange(1, N, 2), "odd"),
    "overlapping": Split(np.arange(300), np.arange(100, N), "some"),
    "chain": Split(np.flatnonzero(np.arange(N) % 3), None, ("chains", 0)),
}
SETTINGS = [
    {},
    {"random_state": 3},
    {"n_jobs": 2, "force_row_wise": True},
    {"subsample": 0.6, "subsample_freq": 1},
    {"subsample": 0.3, "subsample_freq": 2, "colsample_bytree": 0.5},
    {"feature_fraction_bynode": 0.5},
    {"extra_trees": True},
    {"objective": "mae"},
    {"objective": "huber", "alpha": 0.5},
    {"objective": "quantile", "alpha": 0.3},
    {"objective": "fair"},
    {"monotone_constraints": [1, -1, 0, 0, 0]},
    {"monotone_constraints": [1, 0, 0, 0, 0], "monotone_constraints_method": "advanced"},
    {"interaction_constraints": [[0, 1], [2, 3, 4]]},
    {"reg_alpha": 0.1, "reg_lambda": 2.0, "min_split_gain": 0.01, "max_depth": 3},
    {"min_child_samples": 1, "min_child_weight": 0.0, "num_leaves": 60},
    {"min_child_samples": 1000},
    {"max_bin": 7},
    {"min_data_in_bin": 20},
    {"subsample_for_bin": 50},
    {"path_smooth": 1.0},
    {"boost_from_average": False},
    {"max_delta_step": 0.2},
    {"use_missing": False},
    {"zero_as_missing": True},
    {"data_sample_strategy": "goss", "top_rate": 0.3, "other_rate": 0.2},
    {"deterministic": True, "force_col_wise": True},
    {"enable_bundle": False},
    {"feature_contri": [1.0, 0.5, 0.1, 1.0, 0.9]},
    {"importance_type": "gain"},
    {"reg_lambda": 3.0, "min_child_samples": 5, "min_data_per_group": 5, "cat_smooth": 2.0},
]


# Data kinds with fitted values that need no prediction
PREDICTED_FROM_BINS = {
    "dense",
    "fortran",
    "columns of a larger array",
    "float32",
    "integers",
    "a constant",
    "missing",
    "frame",
    "categories",
}


# Bundled columns that lose no value of the rows that LightGBM has seen
PREDICTED_FROM_BINS_IN_SAMPLE = {"two values", "rare values", "one-hot", "missing later"}


def views(rng):
    X = rng.normal(size=(N, 5))
    rare = X * (rng.random(X.shape) < 0.1)
    missing = np.where(rng.random(X.shape) < 0.2, np.nan, X)
    late = X.copy()
    late[1::2, :2] = np.nan  # missing only in the rows that the fold predicts
    frame = pd.DataFrame(X, columns=list("abcde"))
    return {
        "dense": X,
        "fortran": np.asfortranarray(X),
        "columns of a larger array": np.hstack([X, X])[:, 2:7],
        "float32": X.astype(np.float32),
        "integers": (X * 3).astype(int),
        "two values": (X > 0).astype(float),
        "rare values": rare,
        "one-hot": np.eye(5)[rng.integers(5, size=N)],
        "a constant": np.where(np.arange(5) == 2, 1.0, X),
        "missing": missing,
        "missing later": late,
        "sparse": sparse.csr_matrix(rare),
        "frame": frame,
        "categories": pd.DataFrame(
            {
                "a": pd.Categorical.from_codes(rng.integers(-1, 30, size=N), range(30)),
                "b": pd.Categorical.from_codes(rng.poisson(2, size=N), range(20)),
                "c": X[:, 0],
            }
        ),
        "mixed frame": frame.assign(
            a=pd.Categorical.from_codes(rng.integers(12, size=N), list("abcdefghijkl")),
            b=frame["b"] > 0,
            c=frame["c"].astype(np.float32),
            d=pd.array(np.where(X[:, 3] > 1, None, 1), dtype="Int64"),
        ),
    }


def fit(learner, residual, split, seed):
    """The fitted estimator and its fitted values."""
    model, fitted = learner.fit(residual, split, seed)
    return to_estimator(model), fitted


def expected(estimator, view, residual, split, seed, params):
    """What clone and fit gives."""
    learner = Learner(estimator, view, params)
    learner.seeds = SeededClones(estimator)
    return fit(learner, residual, split, seed)


def boosters(model, with_seeds=True):
    models = model.estimators if isinstance(model, OutputRegressors) else [model]
    texts = [each.booster_.model_to_string() for each in models]
    return texts if with_seeds else [re.sub(r"seed: \d+]", "]", each) for each in texts]


def assert_same(learner, estimator, view, residual, split, params):
    for seed, target in enumerate([residual, np.abs(residual)[::-1], residual**2]):
        model, fitted = fit(learner, target, split, seed)
        other, predicted = expected(estimator, view, target, split, seed, params)
        # the booster of single trees keeps its seeds, which nothing depends on
        with_seeds = not getattr(learner, "_rewinds", False)
        assert boosters(model, with_seeds) == boosters(other, with_seeds)
        assert_array_equal(fitted, predicted)
        assert_array_equal(learner.predict(model, split.predict_rows), predicted)


def single_tree(**settings):
    """An estimator whose outputs are grown by one booster."""
    return LGBMRegressor(n_estimators=1, boost_from_average=False, verbosity=-1, **settings)


@pytest.mark.parametrize(
    ("settings", "split", "weighted", "n_estimators"),
    covering([SETTINGS, SPLITS], [[False, True], [1, 3]]),
    ids=str,
)
def test_settings(rng, settings, split, weighted, n_estimators):
    view = views(rng)["missing"]
    residual = np.nan_to_num(view[:, :2]) @ [[1.0], [2.0]] + rng.normal(size=(N, 1))
    params = {"sample_weight": rng.gamma(1, size=N)} if weighted else {}
    estimator = LGBMRegressor(n_estimators=n_estimators, verbosity=-1, **settings)
    learner = make_learner(estimator, view, params)
    assert isinstance(learner, BoosterLearner)
    if "subsample_for_bin" in settings:  # the rows that bins are made of do not change
        estimator.set_params(data_random_seed=1)
    assert_same(learner, estimator, view, residual, SPLITS[split], params)


@pytest.mark.parametrize(
    ("kind", "split", "weighted", "n_outputs"),
    covering([views(np.random.default_rng(0)), SPLITS], [[False, True], [1, 3]]),
    ids=str,
)
def test_data_kinds(rng, kind, split, weighted, n_outputs):
    view = views(rng)[kind]
    residual = rng.normal(size=(N, n_outputs))
    params = {"sample_weight": rng.gamma(1, size=N)} if weighted else {}
    estimator = LGBMRegressor(n_estimators=3, min_child_samples=5, verbosity=-1)
    learner = make_learner(estimator, view, params)
    assert isinstance(learner, BoosterLearner)
    assert_same(learner, estimator, view, residual, SPLITS[split], params)
    from_bins = kind in PREDICTED_FROM_BINS or (
        (kind, split) == ("missing later", "fold")
        if split != "in-sample"
        else kind in PREDICTED_FROM_BINS_IN_SAMPLE
    )
    assert learner._binned[SPLITS[split].key].predicts_from_bins == from_bins


def test_constant_residuals(rng):
    view, estimator = rng.normal(size=(N, 2)), LGBMRegressor(verbosity=-1)
    for split in SPLITS.values():
        learner = make_learner(estimator, view, {})
        assert_same(learner, estimator, view, np.ones((N, 1)), split, {})


def test_many_rows(rng, monkeypatch):
    monkeypatch.setattr(boosted, "MIN_ROWS_SHARED_BINS", np.inf)
    view = rng.normal(size=(20_000, 3))
    residual = view[:, :1] + rng.normal(size=(20_000, 1))
    estimator = LGBMRegressor(n_estimators=2, verbosity=-1)
    for split in (IN_SAMPLE, Split(np.arange(12_000), np.arange(12_000, 20_000), 0)):
        model, fitted = fit(make_learner(estimator, view, {}), residual, split, 0)
        other, predicted = expected(estimator, view, residual, split, 0, {})
        assert boosters(model) == boosters(other)
        assert_array_equal(fitted, predicted)


def test_categories_unseen_by_the_fit(rng):
    codes = np.where(np.arange(N) % 2, rng.integers(8, size=N), rng.integers(4, size=N))
    view = pd.DataFrame({"a": pd.Categorical.from_codes(codes, list("abcdefgh"))})
    residual = codes[:, None] + rng.normal(size=(N, 1))
    estimator = LGBMRegressor(n_estimators=3, verbosity=-1)
    learner = make_learner(estimator, view, {})
    assert_same(learner, estimator, view, residual, SPLITS["fold"], {})


class Subclass(LGBMRegressor):
    pass


@pytest.mark.parametrize(
    "estimator",
    [
        Subclass(),
        LGBMRegressor(boosting_type="dart"),
        LGBMRegressor(boosting="rf", bagging_fraction=0.5, bagging_freq=1),
        LGBMRegressor(linear_tree=True),
        LGBMRegressor(objective="poisson"),
        LGBMRegressor(objective="mape"),
        LGBMRegressor(objective=lambda y, p: (p - y, np.ones_like(y))),
        LGBMRegressor(random_state=np.random.RandomState(0)),
        LGBMRegressor(num_iterations=3),
        LGBMRegressor(early_stopping_round=2),
        LGBMRegressor(use_quantized_grad=True),
        LGBMRegressor(seed=3),
    ],
)
def test_what_is_not_known_to_be_equal_is_cloned_and_fitted(rng, estimator):
    assert type(make_learner(estimator, rng.normal(size=(N, 2)), {})) is Learner


def test_parameters_of_fit_are_cloned_and_fitted(rng):
    params = {"callbacks": [early_stopping(2)]}
    assert type(make_learner(LGBMRegressor(), rng.normal(size=(N, 2)), params)) is Learner


@pytest.mark.parametrize("kind", ["dense", "mixed frame"])
def test_the_model_is_an_ordinary_one(rng, kind):
    view = views(rng)[kind]
    residual = rng.normal(size=(N, 1))
    estimator = LGBMRegressor(n_estimators=3, verbosity=-1)
    learner = make_learner(estimator, view, {})
    models = [fit(learner, residual, IN_SAMPLE, seed)[0] for seed in (5, 6)]
    model = models[0]
    other, _ = expected(estimator, view, residual, IN_SAMPLE, 5, {})
    assert type(model) is LGBMRegressor
    assert model.get_params() == other.get_params()
    assert models[1].random_state != model.random_state
    assert model.booster_.params == other.booster_.params
    assert vars(model).keys() == vars(other).keys()
    assert model.n_features_in_ == other.n_features_in_
    assert_array_equal(model.feature_name_, other.feature_name_)
    assert_array_equal(model.feature_importances_, other.feature_importances_)
    if kind != "dense":
        assert_array_equal(model.feature_names_in_, other.feature_names_in_)
    predicted = model.predict(view)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(view), predicted)
    refitted = clone(model).fit(view, residual[:, 0])
    assert_array_equal(refitted.predict(view), predicted)
    models[1].set_params(num_leaves=5, max_bin=20)
    assert "max_bin" not in model.get_params()


def test_models_become_estimators_on_first_use(rng, monkeypatch):
    X = rng.normal(size=(N, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0]
    held = [("a", None, [0, 1]), ("b", None, [2, 3])]
    model = GALRegressor(held, max_iter=3, random_state=0)
    with monkeypatch.context() as patch:
        patch.setattr("sklearn_gal._learners.boosted_models.LazyBooster.to_estimator", None)
        predicted = model.fit(X, y).predict(X)
        stored = pickle.dumps(model)
    rounds = model.estimators_
    each = rounds[1][0].estimators[1]
    assert type(each) is DefaultLearner
    assert model.estimators_[1][0].estimators[1] is each
    for one in (model, pickle.loads(stored), pickle.loads(pickle.dumps(model))):
        assert_array_equal(one.predict(X), predicted)
        assert boosters(one.estimators_[1][0].estimators[1]) == boosters(each)


def test_models_hold_no_rows(rng, tmp_path):
    learner = make_learner(
        LGBMRegressor(n_estimators=1, verbosity=-1), rng.normal(size=(N, 2)), {}
    )
    model, _ = fit(learner, rng.normal(size=(N, 1)), IN_SAMPLE, 0)
    assert not hasattr(model.booster_, "train_set")
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    assert path.stat().st_size < 20_000


def test_columns_are_binned_once_for_a_key(rng, monkeypatch):
    view, residual = rng.normal(size=(N, 2)), rng.normal(size=(N, 1))
    learner = make_learner(LGBMRegressor(n_estimators=1, verbosity=-1), view, {})
    for split in SPLITS.values():
        fit(learner, residual, split, 0)
    with monkeypatch.context() as patch:
        patch.setattr("sklearn_gal._learners.boosted.Dataset", None)
        for split in SPLITS.values():
            fit(learner, residual, split, 1)
    assert learner._binned.keys() == {each.key for each in SPLITS.values()}


def test_many_categories_are_predicted_from_bins(rng):
    levels = np.array([f"level {i}" for i in range(60)])
    columns = {
        "uniform": rng.integers(60, size=N),
        "rare": np.minimum(rng.geometric(0.05, size=N), 60) - 1,
        "missing": np.where(rng.random(N) < 0.2, -1, rng.integers(9, size=N)),
    }
    residual = np.sin(sum(columns.values()))[:, None] + 0.1 * rng.normal(size=(N, 1))
    view = pd.DataFrame(
        {name: pd.Categorical.from_codes(c, levels) for name, c in columns.items()}
    )
    for settings in ({}, {"min_data_per_group": 1, "cat_smooth": 0.0}):
        for kind in ({"max_cat_to_onehot": 100}, {"max_cat_to_onehot": 1}):
            estimator = LGBMRegressor(
                n_estimators=3, min_child_samples=2, verbosity=-1, **settings, **kind
            )
            for split in SPLITS.values():
                learner = make_learner(estimator, view, {})
                assert_same(learner, estimator, view, residual, split, {})
                assert learner._binned[split.key].predicts_from_bins


@pytest.mark.parametrize("kind", ["pixels", "one-hot", "rare values"])
@pytest.mark.parametrize("n_estimators", [1, 3])
def test_bundled_columns_of_few_rows_lose_no_value(rng, kind, n_estimators):
    view = {
        "pixels": np.round(np.maximum(rng.normal(size=(2_000, 20)), 0) * 255),
        "one-hot": np.eye(20)[rng.integers(20, size=2_000)],
        "rare values": rng.normal(size=(2_000, 20)) * (rng.random((2_000, 20)) < 0.03),
    }[kind]
    residual = view @ rng.normal(size=(20, 2)) + rng.normal(size=(2_000, 2))
    estimator = LGBMRegressor(n_estimators=n_estimators, min_child_samples=5, verbosity=-1)
    learner, folds = make_learner(estimator, view, {}), rng.integers(3, size=2_000)
    for number in range(3):
        chain = Split(np.flatnonzero(folds != number), None, ("key", number))
        model, fitted = fit(learner, residual, chain, 0)
        assert learner._binned[chain.key].predicts_from_bins
        assert_array_equal(fitted, model.predict(view))


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_outputs_are_predicted_at_once_where_bins_may_differ(rng, n_outputs):
    view, residual = views(rng)["one-hot"], rng.normal(size=(N, n_outputs))
    estimator = LGBMRegressor(n_estimators=2, min_child_samples=5, verbosity=-1)
    for split in (SPLITS["chain"], SPLITS["fold"]):
        learner = make_learner(estimator, view, {})
        model, fitted = learner.fit(residual, split, 0)
        assert not learner._binned[split.key].predicts_from_bins
        rows = slice(None) if split.predict_rows is None else split.predict_rows
        predicted = to_estimator(model).predict(view)[rows]
        assert_array_equal(fitted, predicted.reshape(fitted.shape))


def test_a_single_tree_needs_no_new_booster(rng, monkeypatch):
    view, residual = rng.normal(size=(N, 3)), rng.normal(size=(N, 2))
    estimator = single_tree(num_leaves=4)
    learner = make_learner(estimator, view, {})
    models = [fit(learner, residual, SPLITS["fold"], 0)[0]]
    with monkeypatch.context() as patch:
        patch.setattr(boosted.Booster, "__init__", None)
        models += [fit(learner, each * residual, SPLITS["fold"], 0)[0] for each in (9, 1)]
    before = models[0].predict(view)
    assert not np.allclose(models[1].predict(view), before)
    assert boosters(models[2]) == boosters(models[0])
    assert_array_equal(fit(learner, 0 * residual, SPLITS["fold"], 0)[0].predict(view), 0)
    # a tree without a split cannot be taken away: the next fit makes a new booster
    assert_same(learner, estimator, view, residual, SPLITS["fold"], {})
    assert_array_equal(models[0].predict(view), before)


SINGLE_TREES = [
    {},
    {"num_leaves": 4, "learning_rate": 1.0, "reg_lambda": 50.0, "min_data_per_group": 5},
    {"objective": "l2", "reg_alpha": 0.1, "min_split_gain": 0.01, "max_depth": 3},
    {"max_bin": 7, "enable_bundle": False, "force_row_wise": True},
    {"min_child_samples": 150},
]


@pytest.mark.parametrize(
    ("settings", "split", "kind", "weighted", "n_outputs"),
    covering(
        [SINGLE_TREES, SPLITS, ["missing", "one-hot", "categories", "sparse"]],
        [[False, True], [1, 3, 11]],
    ),
    ids=str,
)
def test_single_trees_of_all_outputs(rng, settings, split, kind, weighted, n_outputs):
    view, split = views(rng)[kind], SPLITS[split]
    residual = rng.normal(size=(N, n_outputs))
    residual[:, 0] += np.arange(N) % 50 / 9
    params = {"sample_weight": rng.gamma(1, size=N)} if weighted else {}
    estimator = single_tree(**settings)
    learner = make_learner(estimator, view, params)
    assert_same(learner, estimator, view, residual, split, params)
    assert learner.fits_outputs_together


@pytest.mark.parametrize("kind", ["dense", "one-hot"])
def test_outputs_without_a_split(rng, kind, monkeypatch):
    view, residual = views(rng)[kind], rng.normal(size=(N, 4))
    residual[:, 1], residual[:, 2] = 0, 0.1
    learner = make_learner(single_tree(num_leaves=4), view, {})
    for target in (residual, residual[:, 1:3], residual):
        model, fitted = fit(learner, target, SPLITS["chain"], 0)
        single = fit(learner, target[:, -1:], SPLITS["chain"], 0)[0]
        other, predicted = expected(learner.estimator, view, target, SPLITS["chain"], 0, {})
        assert boosters(model, False) == boosters(other, False)
        assert boosters(single, False) == boosters(other, False)[-1:]
        assert_array_equal(fitted, predicted)


@pytest.mark.parametrize(
    "settings",
    [
        {"boost_from_average": True},
        {"n_estimators": 2},
        {"objective": "mae"},
        {"subsample": 0.5, "subsample_freq": 1},
        {"colsample_bytree": 0.5},
        {"extra_trees": True},
    ],
    ids=str,
)
def test_other_estimators_have_a_booster_for_each_output(rng, settings):
    view, residual = rng.normal(size=(N, 3)), rng.normal(size=(N, 2))
    estimator = single_tree().set_params(**settings)
    learner = make_learner(estimator, view, {})
    assert_same(learner, estimator, view, residual, SPLITS["chain"], {})
    assert not learner.fits_outputs_together


def test_single_trees_are_stored_before_they_are_estimators(rng, tmp_path):
    view, residual = rng.normal(size=(N, 3)), rng.normal(size=(N, 12))
    learner = make_learner(single_tree(), view, {})
    model, fitted = learner.fit(residual, IN_SAMPLE, 0)
    stored = tmp_path / "model.joblib"
    joblib.dump(model, stored)
    assert stored.stat().st_size < 40_000
    assert_array_equal(to_estimator(joblib.load(stored)).predict(view), fitted)
    estimators = to_estimator(model).estimators
    assert {type(each) for each in estimators} == {LGBMRegressor}
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(view), fitted)


def test_splits_without_a_key_are_cloned_and_fitted(rng):
    view, residual = rng.normal(size=(N, 2)), rng.normal(size=(N, 1))
    estimator = LGBMRegressor(n_estimators=1, verbosity=-1)
    learner = make_learner(estimator, view, {})
    once = Split(np.arange(50), np.arange(20))
    assert_same(learner, estimator, view, residual, once, {})
    assert not learner._binned


@pytest.mark.parametrize("bad", [np.nan, 1e39])
def test_residuals_beyond_float32(rng, bad):
    residual = np.full((N, 1), bad)
    learner = make_learner(LGBMRegressor(verbosity=-1), rng.normal(size=(N, 2)), {})
    if np.isnan(bad):
        with pytest.raises(ValueError, match="Input y contains NaN"):
            fit(learner, residual, IN_SAMPLE, 0)


class TestManyRows:
    @pytest.fixture(autouse=True)
    def few_are_many(self, monkeypatch):
        monkeypatch.setattr(boosted, "MIN_ROWS_SHARED_BINS", N)

    @pytest.mark.parametrize(
        ("kind", "split", "weighted"),
        covering(
            [views(np.random.default_rng(0)), ["fold", "overlapping", "chain"]],
            [[False, True]],
        ),
        ids=str,
    )
    def test_bins_are_those_of_all_rows(self, rng, kind, split, weighted):
        view, split, residual = views(rng)[kind], SPLITS[split], rng.normal(size=(N, 1))
        weight = rng.gamma(1, size=N) if weighted else None
        estimator = LGBMRegressor(n_estimators=4, num_leaves=7, n_jobs=1, verbosity=-1)
        params = {} if weight is None else {"sample_weight": weight}
        model, fitted = fit(make_learner(estimator, view, params), residual, split, 0)
        everything = Dataset(view, label=residual[:, 0], weight=weight)
        settings = {"num_leaves": 7, "verbosity": -1, "num_threads": 1}
        booster = train(settings, everything.subset(split.rows), num_boost_round=4)
        assert_array_equal(model.predict(view), booster.predict(view))
        rows = slice(None) if split.predict_rows is None else split.predict_rows
        assert_array_equal(fitted[:, 0], model.predict(view)[rows])

    def test_few_values_are_binned_alike(self, rng):
        view, residual = rng.integers(9, size=(N, 4)), rng.normal(size=(N, 2))
        estimator = LGBMRegressor(n_estimators=3, n_jobs=1, verbosity=-1)
        model, fitted = fit(make_learner(estimator, view, {}), residual, SPLITS["fold"], 0)
        other, values = expected(estimator, view, residual, SPLITS["fold"], 0, {})
        assert_array_equal(fitted, values)
        assert_array_equal(model.predict(view), other.predict(view))

    def test_chains_are_cut_once(self, rng, monkeypatch):
        view, residual = rng.normal(size=(N, 4)), rng.normal(size=(N, 2))
        folds = np.arange(N) % 3
        chains = [Split(np.flatnonzero(folds != c), None, ("key", c)) for c in range(3)]
        estimator = LGBMRegressor(n_estimators=2, n_jobs=1, verbosity=-1)
        learner = make_learner(estimator, view, {})
        cuts, cut = [], Dataset.subset
        monkeypatch.setattr(
            Dataset, "subset", lambda self, *a, **k: cuts.append(1) or cut(self, *a, **k)
        )
        first = [fit(learner, residual, chain, 0)[1] for chain in chains]
        assert len(cuts) == 6  # rows to fit to and rows held out
        assert [learner._binned[c.key].predict.num_data() for c in chains] == [
            134,
            133,
            133,
        ]
        for _ in range(3):
            again = [fit(learner, residual, chain, 0)[1] for chain in chains]
            assert_array_equal(again, first)
        assert len(cuts) == 6
        fit(learner, residual, Split(np.arange(200), np.arange(200, N)), 0)
        assert len(cuts) == 8
        assert learner._binned.keys() == {IN_SAMPLE.key, *(chain.key for chain in chains)}

    @pytest.mark.parametrize("kind", ["dense", "categories", "one-hot", "mixed frame"])
    @pytest.mark.parametrize("starts_at_0", [True, False])
    def test_a_single_tree_needs_no_new_booster(self, rng, kind, starts_at_0, monkeypatch):
        view, residual = views(rng)[kind], rng.normal(size=(N, 3))
        estimator = single_tree(num_leaves=7, min_child_samples=5, n_jobs=1)
        estimator.set_params(boost_from_average=not starts_at_0)
        learner, chain = make_learner(estimator, view, {}), SPLITS["chain"]
        model, fitted = fit(learner, residual, chain, 0)
        with monkeypatch.context() as patch:
            patch.setattr(boosted, "Booster", None)
            learner.fit(9 * residual[::-1], chain, 0)
            again = learner.fit(residual, chain, 0)
        assert_array_equal(again[1], fitted)
        assert boosters(to_estimator(again[0])) == boosters(model)
        monkeypatch.setattr(boosted, "MAX_HISTOGRAM_BYTES", 0)
        replacing = make_learner(estimator, view, {})
        other, values = fit(replacing, residual, chain, 0)
        assert replacing._binned[chain.key].booster is None
        assert boosters(other) == boosters(model)
        assert_array_equal(values, fitted)
        assert_array_equal(fitted, model.predict(view))

    @pytest.mark.parametrize("predict_rows", [np.arange(0, N, 3), np.arange(0), None])
    def test_splits_without_a_key(self, rng, predict_rows):
        view, residual = rng.normal(size=(N, 4)), rng.normal(size=(N, 1))
        learner = make_learner(LGBMRegressor(n_jobs=1, verbosity=-1), view, {})
        model, fitted = fit(learner, residual, Split(np.arange(50, N), predict_rows), 0)
        rows = slice(None) if predict_rows is None else predict_rows
        assert_array_equal(fitted[:, 0], model.predict(view)[rows])
