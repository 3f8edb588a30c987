import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from _helpers import equal_parts
from sklearn_gal import GALRegressor
from sklearn_gal._learners import (
    IN_SAMPLE,
    OutputRegressors,
    Split,
    as_outputs,
    make_learner,
)
from sklearn_gal._learners import pipeline as module
from sklearn_gal._learners.base import Learner
from sklearn_gal._learners.pipeline import PipelineLearner

N = 120
SPLITS = {
    "in-sample": IN_SAMPLE,
    "fold": Split(np.arange(0, N, 2), np.arange(1, N, 2), "odd"),
}
encoder = OneHotEncoder(handle_unknown="ignore")
BOOSTER = LGBMRegressor(n_estimators=2, min_child_samples=5, verbosity=-1)
PIPELINES = {
    "scaled ridge": make_pipeline(StandardScaler(), Ridge()),
    "scaled SVR": make_pipeline(MinMaxScaler(), SVR()),
    "in place": make_pipeline(StandardScaler(copy=False), Ridge()),
    "polynomial": make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge()),
    "splines": make_pipeline(SplineTransformer(), Ridge()),
    "booster": make_pipeline(StandardScaler(), BOOSTER),
    "random tree": make_pipeline(
        StandardScaler(), DecisionTreeRegressor(max_features=1, max_depth=3)
    ),
    "seeded": make_pipeline(Nystroem(n_components=5, random_state=0), Ridge()),
    "seeded bins": make_pipeline(
        KBinsDiscretizer(encode="onehot-dense", strategy="uniform", random_state=0),
        Ridge(),
    ),
    "components": make_pipeline(PCA(2), Ridge()),
    "quantiles": make_pipeline(QuantileTransformer(n_quantiles=10), Ridge()),
    "nested": make_pipeline(
        make_pipeline(SimpleImputer(), StandardScaler()), "passthrough", Ridge()
    ),
    "union": make_pipeline(
        FeatureUnion([("a", StandardScaler()), ("b", PolynomialFeatures(2))]), Ridge()
    ),
}
MIXED = {
    "columns": make_pipeline(
        make_column_transformer((encoder, ["a"]), remainder=StandardScaler()), Ridge()
    ),
    "codes": make_pipeline(
        make_column_transformer((OrdinalEncoder(), ["a"]), remainder="passthrough"), BOOSTER
    ),
    "as frame": make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(), ["a"]), remainder="passthrough"
        ).set_output(transform="pandas"),
        BOOSTER,
    ),
}


def models_of(model):
    return model.estimators if isinstance(model, OutputRegressors) else [model]


def last_step(estimator, view, params):
    """A learner that clones and fits the last step, and a function of its views."""
    transformers = clone(estimator[:-1]).fit(_copy(view))
    params = dict(zip(["sample_weight"], params.values(), strict=False))
    learner = Learner(estimator[-1], transformers.transform(_copy(view)), params)
    return learner, lambda view: transformers.transform(_copy(view))


def _copy(view):
    return view.copy()  # some transformers work in place


def assert_same(estimator, view, residual, split, params):
    learner = make_learner(estimator, view, params)
    plain, transform = last_step(estimator, view, params)
    assert isinstance(learner, PipelineLearner)
    for seed in range(2):
        target = residual ** (seed + 1)
        model, fitted = learner.fit(target, split, seed)
        other, predicted = plain.fit(target, split, seed)
        assert_allclose(fitted, predicted, rtol=1e-8, atol=1e-10)
        expected = other.predict(transform(view))
        assert_allclose(model.predict(_copy(view)), expected, rtol=1e-8, atol=1e-10)
        for one, two in zip(models_of(model), models_of(other), strict=True):
            assert type(one) is Pipeline
            names = [name for name, _ in estimator.steps]
            assert [name for name, _ in one.steps] == names
            assert type(one[-1]).__name__ == type(two).__name__
            if "lgbm" in one.steps[-1][0]:
                last = [each.booster_.model_to_string() for each in (one[-1], two)]
                assert last[0] == last[1]


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_equals_clone_and_fit(rng, name, split, weighted, n_outputs):
    estimator = PIPELINES[name]
    params = {}
    if weighted:
        params[f"{estimator.steps[-1][0]}__sample_weight"] = rng.gamma(1, size=N)
    view = rng.normal(size=(N, 4)) * [1, 10, 1, 1]
    assert_same(estimator, view, rng.normal(size=(N, n_outputs)), SPLITS[split], params)


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("split", SPLITS)
def test_mixed_frames(rng, name, split):
    letters = np.array(list("abcd"))[rng.integers(4, size=N)]
    view = pd.DataFrame({"a": letters, "b": rng.normal(size=N), "c": rng.normal(size=N)})
    assert_same(MIXED[name], view, rng.normal(size=(N, 1)), SPLITS[split], {})


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(SelectKBest(k=1), Ridge()),
        make_pipeline(TargetEncoder(), Ridge()),
        make_pipeline(FunctionTransformer(np.abs), Ridge()),
        make_pipeline(Nystroem(), Ridge()),
        make_pipeline(Nystroem(random_state=np.random.RandomState(0)), Ridge()),
        make_pipeline(make_column_transformer((SelectKBest(k=1), [0])), Ridge()),
        make_pipeline(StandardScaler(), Ridge(), memory="cache"),
        make_pipeline(Ridge()),
        Pipeline([("scale", type("Own", (StandardScaler,), {})()), ("fit", Ridge())]),
    ],
)
def test_what_may_differ_between_rounds_is_cloned_and_fitted(rng, estimator):
    assert type(make_learner(estimator, rng.normal(size=(N, 2)), {})) is Learner


def test_parameters_of_transformers_are_cloned_and_fitted(rng):
    params = {"standardscaler__sample_weight": np.ones(N)}
    learner = make_learner(PIPELINES["scaled ridge"], rng.normal(size=(N, 2)), params)
    assert type(learner) is Learner


def test_transformers_are_fitted_once(rng, monkeypatch):
    view, residual = rng.normal(size=(N, 2)), rng.normal(size=(N, 1))
    learner = make_learner(PIPELINES["scaled ridge"], view, {})
    first = learner.fit(residual, IN_SAMPLE, 0)[0]
    with monkeypatch.context() as patch:
        patch.setattr(StandardScaler, "fit", None)
        patch.setattr(StandardScaler, "transform", None)
        for split in SPLITS.values():
            assert learner.fit(residual, split, 0)[0][0] is first[0]


def test_large_transformed_columns_are_not_kept(rng, monkeypatch):
    monkeypatch.setattr(module, "MAX_CACHED_BYTES", N * 2 * 8 - 1)
    estimator, view = PIPELINES["scaled ridge"], rng.normal(size=(N, 2))
    residual = rng.normal(size=(N, 1))
    learner = make_learner(estimator, view, {})
    learner.fit(residual, SPLITS["fold"], 0)
    assert learner._learner is None
    model, fitted = learner.fit(residual, SPLITS["fold"], 1)
    other, predicted = last_step(estimator, view, {})[0].fit(residual, SPLITS["fold"], 1)
    assert_allclose(model[-1].coef_, other.coef_)
    assert_allclose(fitted, predicted)


@pytest.mark.parametrize("n_rows", [120, 442])
def test_rare_categories_do_not_depend_on_the_folds(diabetes, n_rows):
    X, y = diabetes
    X = np.column_stack([X, np.arange(len(X)) == 7])[:n_rows]
    encoder = make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough")
    held = [("a", None, [0]), ("b", make_pipeline(encoder, Ridge()), [1, 10])]
    model = GALRegressor(held, cv=3, max_iter=2, random_state=0).fit(X, y[:n_rows])
    assert np.isfinite(model.predict(X)).all()


def test_a_fit_of_the_estimator_is_the_same(diabetes):
    X, y = diabetes

    class Plain(StandardScaler):
        pass

    predicted = [
        GALRegressor(
            [
                ("a", make_pipeline(scaler, Ridge()), slice(0, 5)),
                ("b", SVR(), slice(5, 10)),
            ],
            max_iter=4,
            random_state=0,
        )
        .fit(X, y)
        .predict(X)
        for scaler in (StandardScaler(), Plain())
    ]
    # the subclass is fitted to the rows of each fold
    assert_allclose(*predicted, rtol=0.02)
    assert not np.allclose(predicted[0], y.mean())


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("key", [(0, 0), None])
def test_transformers_are_those_of_all_rows(rng, name, key):
    estimator, view = PIPELINES[name], rng.normal(size=(N, 4)) * [1, 10, 1, 1]
    residual = rng.normal(size=(N, 2))
    split = Split(SPLITS["fold"].rows, SPLITS["fold"].predict_rows, key)
    learner = make_learner(estimator, view, {})
    fits = [learner.fit(residual, split, 0) for _ in range(2)]
    model, fitted = fits[0]
    assert_allclose(fitted, as_outputs(model.predict(view[split.predict_rows])))
    assert_allclose(learner.predict(model, split.predict_rows), fitted)
    transformers = [next(iter(models_of(model)))[0] for model, _ in fits]
    assert transformers[0] is transformers[1]
    expected = clone(estimator[0]).fit(view.copy()).transform(view.copy())
    assert_allclose(transformers[0].transform(view.copy()), expected)


@pytest.mark.parametrize("cv", [None, 2])
def test_steps_that_work_in_place(linear, cv):
    X, y = linear
    results = []
    for copy in (True, False):
        own = make_pipeline(StandardScaler(copy=copy), LinearRegression(copy_X=copy))
        model = GALRegressor(equal_parts(4, own, own), cv=cv, max_iter=5, random_state=0)
        results.append(model.fit(5 * X + 3, y).predict(5 * X + 3))
    assert_allclose(results[0], results[1])
