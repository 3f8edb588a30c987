"""Deep model sharing: one model per organization, with a head for every round."""

import pickle

import numpy as np
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_digits, load_linnerud
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from _helpers import Recorder, equal_parts, raw_prediction
from sklearn_gal import GALClassifier, GALRegressor

TREE = DecisionTreeRegressor(max_depth=4)
MLP = MLPRegressor(hidden_layer_sizes=10, max_iter=30, solver="lbfgs", alpha=1.0)
SETTINGS = {"random_state": 0, "max_iter": 4}


def held(estimator, n_columns=10):
    return equal_parts(n_columns, estimator, estimator, estimator)


def shared_models(model):
    return {id(head.estimator) for heads in model.estimators_ for head in heads if head}


# --- oracle: where heads do not disturb each other, nothing changes ----------------------


@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(),
        LinearRegression(),
        KNeighborsRegressor(),
        make_pipeline(StandardScaler(), Ridge()),
    ],
)
@pytest.mark.parametrize("cv", [None, KFold(4)])
def test_independent_heads_are_separate_models(diabetes, estimator, cv):
    X, y = diabetes
    own = GALRegressor(held(estimator), cv=cv, **SETTINGS).fit(X, y)
    model = GALRegressor(held(estimator), cv=cv, share_models=True, **SETTINGS).fit(X, y)
    assert_allclose(model.weights_, own.weights_, atol=1e-6)
    assert_allclose(model.train_loss_, own.train_loss_)
    assert_allclose(model.predict(X), own.predict(X))
    assert len(shared_models(model)) == 3
    assert [len(heads) for heads in model.estimators_] == [3] * model.n_iter_


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("cv", "estimator"),
    [
        ("auto", TREE),
        ("auto", MLP),
        (None, TREE),
        (None, RandomForestRegressor(4, max_depth=4)),
        (None, ExtraTreesRegressor(4, max_depth=4)),
        (None, MLP),
        (2, RandomForestRegressor(4, max_depth=4)),
        (2, ExtraTreesRegressor(4, max_depth=4)),
    ],
)
def test_the_recorded_loss_is_that_of_the_last_models(diabetes, estimator, cv):
    X, y = diabetes
    X = StandardScaler().fit_transform(X)
    estimator = make_pipeline(estimator) if cv == 2 else estimator
    model = GALRegressor(held(estimator), cv=cv, share_models=True, **SETTINGS).fit(X, y)
    assert len(shared_models(model)) == 3
    assert (np.diff(model.train_loss_) <= 1e-9).all()
    assert model.train_loss_[-1] < 0.9 * model.train_loss_[0]
    staged = list(model.staged_predict(X))
    assert_allclose(staged[-1], model.predict(X))
    if cv is None:
        losses = [np.mean((y - stage) ** 2) / 2 for stage in staged]
        assert_allclose(model.train_loss_[1:], losses)
    assert_allclose(model.predict(X), raw_prediction(model, X)[:, 0])
    # every head is what the formula says
    first = model.estimators_[0][1].predict(X[:, model.columns_[1]])
    assert first.shape == (len(X),)


def test_several_outputs():
    X, y = load_linnerud(return_X_y=True)
    model = GALRegressor(held(Ridge(), 3), share_models=True, **SETTINGS).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.estimators_[0][0].predict(X[:, :1]).shape == y.shape


def test_classes_weights_of_rows_and_early_stopping(wine):
    X, y = wine
    weight = np.linspace(1, 2, len(y))
    forest = RandomForestRegressor(5)
    for settings in (
        {"early_stopping": True, "cv": 2},
        {"early_stopping": True, "cv": None},
    ):
        model = GALClassifier(held(forest, 13), share_models=True, **SETTINGS, **settings)
        model.fit(X, y, weight)
        assert model.score(X, y) > 0.95
        assert len(model.validation_loss_) == len(model.train_loss_) == model.n_iter_ + 1


def test_out_of_bag_rounds(diabetes):
    X, y = diabetes
    model = GALRegressor(
        held(Ridge()), share_models=True, cv=None, subsample=0.7, **SETTINGS
    ).fit(X, y)
    assert model.n_iter_ > 0
    assert model.score(X, y) > 0.3


def test_memory_is_that_of_one_round(diabetes):
    X, y = diabetes
    sizes = []
    for max_iter in (1, 12):
        model = GALRegressor(
            held(DecisionTreeRegressor(max_depth=5)),
            share_models=True,
            max_iter=max_iter,
            random_state=0,
        ).fit(X, y)
        assert max_iter - 3 <= model.n_iter_  # up to rejected rounds at the end
        sizes.append(sum(tree.tree_.node_count for tree in trees(model)))
    assert sizes[1] < 2 * sizes[0]
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    assert len(shared_models(copy)) == 3


def trees(model):
    return [tree for head in model.estimators_[-1] for tree in head.estimator.estimators]


def test_a_model_sees_the_residuals_of_all_rounds_so_far(diabetes):
    X, y = diabetes
    Recorder.calls.clear()
    organizations = [("a", Recorder(), [0, 1]), ("b", Ridge(), [2, 3])]
    GALRegressor(organizations, share_models=True, cv=None, max_iter=3).fit(X, y)
    assert [call.y.shape[1:] for call in Recorder.fits()] == [(), (2,), (3,)]


@pytest.mark.parametrize("estimator", [None, LGBMRegressor(), SVR(), make_pipeline(SVR())])
def test_estimators_of_one_output_are_refused(diabetes, estimator):
    organizations = [("a", Ridge(), [0]), ("b", estimator, [1, 2])]
    model = GALRegressor(organizations, share_models=True)
    with pytest.raises(ValueError, match=r"organization 'b'.*takes one output at a time"):
        model.fit(*diabetes)


# --- together with the rest --------------------------------------------------------------


def test_warm_start_is_one_longer_fit_of_independent_heads(diabetes):
    X, y = diabetes
    settings = {"share_models": True, "random_state": 0}
    model = GALRegressor(held(Ridge()), max_iter=3, warm_start=True, **settings).fit(X, y)
    model.set_params(max_iter=6).fit(X, y)
    longer = GALRegressor(held(Ridge()), max_iter=6, **settings).fit(X, y)
    assert_allclose(model.predict(X), longer.predict(X))
    assert len(shared_models(model)) == 3
    expected = model.predict(X)
    assert_allclose(model.fit(X, y).predict(X), expected)  # no round to go
    with pytest.raises(ValueError, match="warm_start requires the same training rows"):
        model.set_params(max_iter=8).fit(X[:300], y[:300])
    assert model.n_iter_ == 6


def test_warm_start_needs_it_from_the_beginning(diabetes):
    model = GALRegressor(held(Ridge()), max_iter=3, share_models=True).fit(*diabetes)
    with pytest.raises(ValueError, match="has not kept the residuals"):
        model.set_params(warm_start=True, max_iter=5).fit(*diabetes)
    unshared = GALRegressor(held(Ridge()), max_iter=2, warm_start=True).fit(*diabetes)
    with pytest.raises(ValueError, match="has not kept the residuals"):
        unshared.set_params(share_models=True, max_iter=3).fit(*diabetes)


def test_a_late_joiner_has_heads_for_its_rounds_only(diabetes):
    X, y = diabetes
    model = GALRegressor(
        held(Ridge())[:2], max_iter=3, warm_start=True, share_models=True, random_state=0
    ).fit(X, y)
    model.set_params(organizations=held(Ridge()), max_iter=6).fit(X, y)
    assert [heads[2] is None for heads in model.estimators_] == [True] * 3 + [False] * 3
    assert (model.weights_[:3, 2] == 0).all()
    assert model.weights_[3:, 2].max() > 0
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X))


def test_leaving(diabetes):
    X, y = diabetes
    forest = RandomForestRegressor(4, max_depth=4)
    model = GALRegressor(held(forest), cv=2, share_models=True, **SETTINGS).fit(X, y)
    smaller = model.drop_organization("c", X, y)
    model = GALRegressor(held(Ridge()), share_models=True, warm_start=True, **SETTINGS)
    continued = model.fit(X, y).drop_organization("c", X, y)
    n_iter = continued.n_iter_
    continued.set_params(max_iter=n_iter + 2).fit(X, y)
    assert continued.train_loss_[-1] <= continued.train_loss_[n_iter]
    assert 0 < smaller.train_loss_[-1] < smaller.train_loss_[0]
    assert_allclose(list(smaller.staged_predict(X))[-1], smaller.predict(X))


def test_missing_rows(diabetes, rng):
    X, y = diabetes
    X = X.copy()
    X[np.ix_(rng.random(len(X)) < 0.4, [4, 5, 6])] = np.nan
    forest = RandomForestRegressor(4, max_depth=4)
    model = GALRegressor(
        held(forest), share_models=True, missing_rows="abstain", cv=2, **SETTINGS
    )
    model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X))
    assert model.score(X, y) > 0.3


def test_searchable(diabetes):
    grid = {"share_models": [False, True]}
    search = GridSearchCV(GALRegressor(held(Ridge()), max_iter=3), grid, cv=2)
    assert np.isfinite(search.fit(*diabetes).cv_results_["mean_test_score"]).all()


# --- what it is good for -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_image_patches_keep_their_accuracy():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, train_size=500, random_state=0)
    pixels = np.arange(64).reshape(8, 8)
    patches = [pixels[i : i + 4, j : j + 4].ravel() for i in (0, 4) for j in (0, 4)]
    network = MLPRegressor(
        hidden_layer_sizes=16, max_iter=12, batch_size=100, learning_rate_init=0.02
    )
    organizations = [(f"patch_{i}", network, patch) for i, patch in enumerate(patches)]
    settings = {"max_iter": 3, "random_state": 0, "cv": 2, "interactions": False}
    own = GALClassifier(organizations, **settings).fit(X, y).score(X_test, y_test)
    model = GALClassifier(organizations, share_models=True, **settings).fit(X, y)
    assert own > 0.9
    assert model.score(X_test, y_test) > 0.97 * own
    assert len(shared_models(model)) == 4


@pytest.mark.parametrize(
    ("estimator", "takes"),
    [
        (make_pipeline(SelectKBest(f_regression, k=1), Ridge()), False),
        (
            TransformedTargetRegressor(
                make_pipeline(SelectKBest(f_regression, k=1), Ridge())
            ),
            False,
        ),
        (make_pipeline(StandardScaler(), Ridge()), True),
        (make_pipeline(StandardScaler(), KNeighborsRegressor(50)), True),
    ],
)
def test_pipelines_with_a_step_that_takes_one_target(diabetes, estimator, takes):
    X, y = diabetes
    held = [("bank", Ridge(), [0, 1]), ("shop", estimator, [2, 3])]
    model = GALRegressor(held, share_models=True, max_iter=2, random_state=0)
    if takes:
        assert model.fit(X, y).n_iter_ == 2
    else:
        with pytest.raises(ValueError, match=r"'shop', .*, takes one output at a time"):
            model.fit(X, y)
