import pickle

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import default_learner
from sklearn_gal._learners import (
    IN_SAMPLE,
    Split,
    as_outputs,
    make_learner,
    to_estimator,
    with_capacity,
)
from sklearn_gal._learners.boosted import BoosterLearner
from sklearn_gal._learners.default_learner import bundling
from sklearn_gal._learners.table_encoder import TableEncoder

CHOSEN = ("num_leaves", "reg_lambda", "min_child_samples")


def chosen(estimator):
    params = estimator.get_params()
    return tuple(params[name] for name in CHOSEN)


@pytest.mark.parametrize(
    ("n_rows", "expected"),
    [
        (2, (4, 0.05, 1)),
        (40, (4, 1.0, 8)),
        (400, (4, 10.0, 20)),
        (3_000, (4, 75.0, 20)),
        (45_000, (28, 4_500 / 28, 20)),
        (13_000, (11, 1_300 / 11, 20)),
        (1_000_000, (31, 100_000 / 31, 20)),
    ],
)
def test_capacity_follows_the_rows(n_rows, expected):
    learner, rows = default_learner(), np.zeros((n_rows, 1))
    assert chosen(learner) == (None, None, None)
    assert chosen(with_capacity(learner, rows)) == pytest.approx(expected)
    assert chosen(learner) == (None, None, None)
    pipeline = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), learner))
    assert chosen(with_capacity(pipeline, rows)[-1][-1]) == pytest.approx(expected)
    assert pipeline[-1][-1] is learner


def test_trees_of_several_outputs_are_smaller():
    rows = np.zeros((45_000, 1))
    assert with_capacity(default_learner(), rows, 3).num_leaves == 19


def test_what_is_given_stays():
    some = with_capacity(default_learner(num_leaves=10), np.zeros((400, 1)))
    assert chosen(some) == pytest.approx((10, 4.0, 20))
    some = with_capacity(LGBMRegressor(reg_lambda=None, max_depth=3), np.zeros((400, 1)))
    assert chosen(some) == pytest.approx((31, 40 / 31, 20))
    assert some.max_depth == 3
    everything = default_learner(
        num_leaves=10, reg_lambda=0.5, min_child_samples=3, enable_bundle=True
    )
    for estimator in (
        everything,
        LGBMRegressor(),
        Ridge(),
        make_pipeline(StandardScaler(), Ridge()),
        make_pipeline(StandardScaler(), everything),
        make_pipeline(StandardScaler(), "passthrough"),
    ):
        assert with_capacity(estimator, np.zeros((400, 1))) is estimator


def test_columns_are_bundled_where_no_value_is_lost(rng):
    n_rows = 10_001
    one_hot = np.eye(12)[rng.integers(12, size=n_rows)]
    rare = one_hot * (rng.random(one_hot.shape) < 0.01) + np.eye(12)[0]
    frame = pd.DataFrame(one_hot)
    views = [
        (one_hot, True),
        (frame, True),
        (frame.assign(a=True, b=one_hot[:, 0] > 0), False),
        (frame.assign(a=pd.Categorical(one_hot[:, 0])), False),
        (one_hot[:100] + one_hot[-100:], True),  # with few rows LightGBM loses no value
        (frame[:100].assign(a=pd.Categorical(one_hot[:100, 0])), False),
        (rare, False),
        (np.hstack([rare] * 4), True),  # many columns
        (1 - one_hot, False),
        (sparse.csr_matrix(rare), True),
    ]
    learner = default_learner()
    for view, bundles in views:
        encoder = TableEncoder().fit(view)
        matrix = encoder.transform(view)
        chosen = bundling(learner.get_params(), matrix, encoder.categorical)
        assert chosen == {"enable_bundle": bundles}
        given = default_learner(enable_bundle=not bundles)
        assert bundling(given.get_params(), matrix, encoder.categorical) == {}


@pytest.mark.parametrize("kind", ["one-hot", "rare values", "categories"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_values_of_many_rows_come_from_bins(rng, kind, n_outputs):
    n_rows = 12_000
    codes = rng.geometric(0.1, size=n_rows) % 100
    rare = rng.normal(size=(n_rows, 20)) * (rng.random((n_rows, 20)) < 0.01)
    names = {"a": pd.Categorical(codes), "b": rare[:, 0], "c": pd.Categorical(codes > 99)}
    view = {
        "one-hot": np.eye(100)[codes][:, 1:],
        "rare values": rare,
        "categories": pd.DataFrame(names),
    }[kind]
    if kind == "one-hot":
        view = view[:, :40]
    residual = rng.normal(size=(n_rows, n_outputs)) + np.sin(codes)[:, None]
    learner = make_learner(with_capacity(default_learner(n_jobs=1), view), view, {})
    chain = Split(np.flatnonzero(np.arange(n_rows) % 3), None, ("key", 0))
    for target in (residual, -residual, residual**2):
        model, fitted = learner.fit(target, chain, 0)
        assert learner._binned[chain.key].predicts_from_bins
        assert_array_equal(fitted, as_outputs(to_estimator(model).predict(view)))


def test_a_fit_chooses_what_is_not_given(rng):
    X, y = rng.normal(size=(200, 3)), rng.normal(size=200)
    learner = default_learner(random_state=0)
    plain = LGBMRegressor(
        n_estimators=1,
        learning_rate=1.0,
        boost_from_average=False,
        num_leaves=4,
        reg_lambda=5.0,
        random_state=0,
        verbosity=-1,
    )
    expected = plain.fit(X, y).predict(X)
    for each in (learner, clone(learner), pickle.loads(pickle.dumps(learner))):
        assert_array_equal(each.fit(X, y).predict(X), expected)
        assert_array_equal(pickle.loads(pickle.dumps(each)).predict(X), expected)
    fitted = make_learner(clone(learner), X, {}).fit(y[:, None], IN_SAMPLE, 0)[1]
    assert_array_equal(fitted[:, 0], expected)
    assert chosen(learner) == (None, None, None)
    learner.set_params(num_leaves=2).fit(X, y)
    assert len(np.unique(learner.predict(X))) == 2


@pytest.mark.parametrize("n_rows", [200, 2_000])
def test_categories_count_with_few_rows(rng, n_rows):
    codes, noise = rng.integers(10, size=(2, 2 * n_rows))
    view = pd.DataFrame(
        {
            "real": pd.Categorical.from_codes(codes, list("abcdefghij")),
            "noise": pd.Categorical.from_codes(noise, list("abcdefghij")),
        }
    )
    y = (codes % 4 == 0) + 0.4 * rng.normal(size=2 * n_rows)
    new = slice(n_rows, None)

    def explained(estimator):
        learner = make_learner(with_capacity(estimator, view[:n_rows]), view, {})
        assert isinstance(learner, BoosterLearner)
        chain, raw = Split(np.arange(n_rows), None, ("key", 0)), np.full(2 * n_rows, 0.5)
        for _ in range(20):
            raw += 0.3 * learner.fit((y - raw)[:, None], chain, 0)[1][:, 0]
        return 1 - np.mean((y - raw)[new] ** 2) / np.var(y[new])

    # 43 % of the variance are noise; the three categories with an effect have few rows
    assert explained(default_learner()) > (0.4 if n_rows == 200 else 0.5)
    ignoring = default_learner(min_data_per_group=100, cat_smooth=10.0)
    if n_rows == 200:
        assert explained(ignoring) < 0.3


@pytest.mark.parametrize("n_rows", [24, 60, 120])
def test_few_rows_are_learned(rng, n_rows):
    X = rng.normal(size=(1_000, 2))
    y = np.where(X[:, 0] > 0, 1.0, -1.0) + 0.3 * rng.normal(size=1_000)
    learner = make_learner(with_capacity(default_learner(), X[:n_rows]), X[:n_rows], {})
    model, _ = learner.fit(y[:n_rows, None], IN_SAMPLE, 0)
    predicted = model.to_estimator().predict(X[n_rows:])
    explained = 1 - np.mean((y[n_rows:] - predicted) ** 2) / np.var(y[n_rows:])
    assert explained > 0.5
