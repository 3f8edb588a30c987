import pickle

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor, early_stopping
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    QuantileRegressor,
    Ridge,
    RidgeCV,
    SGDRegressor,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVR

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._learners import (
    FoldRegressors,
    OutputRegressors,
    as_outputs,
    each_prediction,
    weighted_sum,
)
from sklearn_gal._learners.linear import LINEAR
from sklearn_gal._organizations import own_columns
from sklearn_gal._organizations.own_columns import OwnColumns

N = 120
COEFFICIENTS = [0.5, -2.0, 1e-3, 3.0]
TREES = {
    "trees": {},
    "stumps": {"min_child_samples": 1000},
    "no average": {"boost_from_average": False},
    "mae": {"objective": "mae"},
    "quantile": {"objective": "quantile", "alpha": 0.3},
    "linear trees": {"linear_tree": True},
    "random forest": {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
    "dart": {"boosting_type": "dart"},
    "poisson": {"objective": "poisson"},
    "reg_sqrt": {"reg_sqrt": True},
    "own objective": {"objective": lambda y, p: (p - y, np.ones_like(y))},
}


def shapes(rng):
    X = rng.normal(size=(N, 3))
    frame = pd.DataFrame(X, columns=list("abc"))
    return {
        "array": X,
        "integers": (3 * X).astype(int),
        "missing": np.where(rng.random(X.shape) < 0.2, np.nan, X),
        "sparse": sparse.csr_matrix(X * (X > 0.5)),
        "frame": frame,
        "categories": frame.assign(a=pd.Categorical(rng.choice(list("xyz"), N))),
    }


def same(prediction, shape):
    assert prediction.shape == shape
    return prediction


def expected(models, coefficients, view):
    total = 0
    for model, coefficient in zip(models, coefficients, strict=True):
        prediction = model.predict(view)
        total = total + coefficient * prediction.reshape(len(prediction), -1)
    return total


def boosters(view, y, **settings):
    settings = {"n_estimators": 4, "min_child_samples": 5, "verbosity": -1, **settings}
    return [
        LGBMRegressor(random_state=seed, num_leaves=3 + seed, **settings).fit(view, each)
        for seed, each in enumerate(y.T)
    ]


@pytest.mark.parametrize("kind", shapes(np.random.default_rng(0)))
@pytest.mark.parametrize("wrapped", ["alone", "folds", "outputs", "folds of outputs"])
def test_boosters_become_one(rng, kind, wrapped):
    view = shapes(rng)[kind]
    models = boosters(view, rng.normal(size=(N, 8)))
    if "outputs" in wrapped:
        models = [OutputRegressors(models[i : i + 2]) for i in range(0, 8, 2)]
    if "folds" in wrapped:
        models = [FoldRegressors(models[i : i + 2]) for i in range(0, len(models), 2)]
    coefficients = COEFFICIENTS[: len(models)] * (len(models) // 4 or 1)
    merged = weighted_sum(models, coefficients, same)
    assert len(merged.terms) == (2 if "outputs" in wrapped else 1)
    assert_allclose(merged(view), expected(models, coefficients, view), atol=1e-13)
    assert_allclose(merged(view[:1]), expected(models, coefficients, view[:1]), atol=1e-13)


@pytest.mark.parametrize("kind", TREES)
def test_settings_of_boosters(rng, kind):
    view = rng.normal(size=(N, 3))
    models = boosters(view, rng.gamma(1, size=(N, 4)) + view[:, :1] ** 2, **TREES[kind])
    merged = weighted_sum(models, COEFFICIENTS, same)
    assert_allclose(merged(view), expected(models, COEFFICIENTS, view), atol=1e-12)
    one = kind in {"trees", "stumps", "no average", "mae", "quantile", "dart"}
    assert len(merged.terms) == (1 if one else 4)


def test_boosters_that_stopped_early(rng):
    view, y = rng.normal(size=(2, N, 1))
    models = [
        LGBMRegressor(verbosity=-1).fit(
            view,
            sign * y[:, 0],
            eval_X=view[:40],
            eval_y=-sign * y[:40, 0],
            callbacks=[early_stopping(2, verbose=False)],
        )
        for sign in (1, -1)
    ]
    merged = weighted_sum(models, [1.0, 2.0], same)
    assert_allclose(merged(view), expected(models, [1.0, 2.0], view))


def test_boosters_of_different_categories_stay_apart(rng):
    y = rng.normal(size=N)
    frames = [
        pd.DataFrame({"a": pd.Categorical(rng.choice(list(letters), N))})
        for letters in ("xyz", "zyxw")
    ]
    models = [boosters(frame, y[:, None])[0] for frame in frames]
    merged = weighted_sum(models, [1.0, 2.0], same)
    assert_allclose(merged(frames[0]), expected(models, [1.0, 2.0], frames[0]))


@pytest.mark.parametrize(
    "estimator",
    [
        BayesianRidge(),
        ElasticNet(alpha=0.1),
        HuberRegressor(),
        Lasso(alpha=0.1),
        LinearRegression(),
        LinearRegression(fit_intercept=False),
        LinearSVR(random_state=0, max_iter=100_000),
        QuantileRegressor(alpha=0.1),
        Ridge(),
        RidgeCV(),
        SGDRegressor(random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.parametrize("kind", ["array", "sparse", "frame"])
def test_linear_models_become_one(rng, estimator, kind):
    view = shapes(rng)[kind]
    if kind == "sparse" and isinstance(estimator, BayesianRidge):
        view = view.toarray()
    models = [clone(estimator).fit(view, y) for y in rng.normal(size=(4, N))]
    merged = weighted_sum([FoldRegressors(models[:2]), *models[2:]], COEFFICIENTS[:3], same)
    assert type(estimator) in LINEAR
    assert len(merged.terms) == 1
    shares = [0.25, 0.25, -2.0, 1e-3]
    assert_allclose(merged(view), expected(models, shares, view), atol=1e-12)


def test_linear_models_of_several_outputs(rng):
    view = rng.normal(size=(N, 3))
    models = [Ridge(a).fit(view, rng.normal(size=(N, 2))) for a in (0.1, 1.0, 10.0, 100.0)]
    merged = weighted_sum(models, COEFFICIENTS, same)
    assert_allclose(merged(view), expected(models, COEFFICIENTS, view))


def test_any_mixture(rng):
    view, y = rng.normal(size=(N, 3)), rng.normal(size=(N, 2))
    knn = KNeighborsRegressor().fit(view, y)
    scaled = make_pipeline(StandardScaler(), Ridge()).fit(view, y)
    trees = OutputRegressors(boosters(view, y))
    models = [trees, knn, Ridge().fit(view, y), scaled, trees]
    shares = [1.0, 2.0, 3.0, 4.0, 5.0]
    merged = weighted_sum(models, shares, same)
    assert_allclose(merged(view), expected(models, shares, view))


def test_pipelines_share_their_transformers(rng, monkeypatch):
    view, y = rng.normal(size=(N, 3)) * 5, rng.normal(size=(N, 4))
    scaler = StandardScaler().fit(view)
    scaled = scaler.transform(view)
    models = [
        Pipeline(
            [("scale", scaler), ("no", "passthrough"), ("fit", Ridge().fit(scaled, t))]
        )
        for t in y.T
    ]
    models[1] = OutputRegressors([models[1]])
    wanted = expected(models, COEFFICIENTS, view)
    merged = weighted_sum(models, COEFFICIENTS, same)
    calls = []
    transform = StandardScaler.transform
    monkeypatch.setattr(
        StandardScaler,
        "transform",
        lambda self, X: (calls.append(1), transform(self, X))[1],
    )
    assert_allclose(merged(view), wanted)
    assert len(calls) == 1


def test_other_pipelines_predict_one_by_one(rng):
    class Scaler(StandardScaler):
        pass

    view, y = rng.normal(size=(N, 3)), rng.normal(size=(N, 4))
    models = [make_pipeline(Scaler(), Ridge()).fit(view, t) for t in y.T]
    merged = weighted_sum(models, COEFFICIENTS, same)
    assert len(merged.terms) == 4
    assert_allclose(merged(view), expected(models, COEFFICIENTS, view))


def test_pipelines_that_transform_alike_are_one(rng):
    view, y = rng.normal(size=(N, 3)) * 5, rng.normal(size=(N, 2))
    models = [
        OutputRegressors(
            [make_pipeline(StandardScaler(), Ridge(a)).fit(view, t) for t in y.T]
        )
        for a in (1.0, 2.0)
    ]
    other = [make_pipeline(StandardScaler(), Ridge()).fit(view[:9], t[:9]) for t in y.T]
    models.append(OutputRegressors(other))
    merged = weighted_sum(models, [1.0, 2.0, 3.0], same)
    assert len(merged.terms) == 2
    assert_allclose(merged(view), expected(models, [1.0, 2.0, 3.0], view))
    # one output alone
    alone = weighted_sum(
        [*models, OutputRegressors([other[0], Ridge().fit(view, y[:, 1])])],
        [1.0, 2.0, 3.0, 4.0],
        same,
    )
    assert alone(view).shape == (N, 2)


def test_nothing_to_sum(rng):
    assert weighted_sum([], [], same)(rng.normal(size=(4, 2))) == 0.0


def test_wrong_shapes_are_noticed(rng):
    class Short(Ridge):
        def predict(self, X):
            return super().predict(X)[1:]

    view, y = rng.normal(size=(N, 2)), rng.normal(size=N)
    with pytest.raises(AssertionError):
        weighted_sum([Short().fit(view, y)] * 2, [1.0, 1.0], same)(view)


@pytest.mark.parametrize("cv", [None, 2])
@pytest.mark.parametrize("estimator", [None, Ridge()])
def test_predictions_are_those_of_the_last_stage(wine, cv, estimator):
    X, y = wine
    held = [("a", estimator, slice(0, 6)), ("b", estimator, slice(6, 13))]
    model = GALClassifier(held, cv=cv, max_iter=6, random_state=0).fit(X, y)
    assert_allclose(
        model.predict_proba(X), list(model.staged_predict_proba(X))[-1], rtol=1e-10
    )


class Single(KNeighborsRegressor):
    """Predicts float32, as the boosted trees of some libraries do."""

    def predict(self, X):
        return super().predict(X).astype(np.float32)


NETWORK = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3)
FROM_FLOAT32 = [
    None,
    LGBMRegressor(n_estimators=2, verbosity=-1),
    Ridge(),
    Lasso(0.01),
    Single(),
    make_pipeline(StandardScaler(), SVR()),
    make_pipeline(StandardScaler(), NETWORK),
]


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [
        *((each, dtype) for each in FROM_FLOAT32 for dtype in ("float32", "Float32 frame")),
        (None, "float64"),
        (Single(), "float64"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_row_has_one_prediction(wine, estimator, dtype):
    X, y = wine
    X = X.astype(dtype.partition(" ")[0].lower())
    if dtype.endswith("frame"):
        names = [f"x{j}" for j in range(X.shape[1])]
        X = pd.DataFrame(X, columns=names).astype(dtype.partition(" ")[0])
    held = [("a", estimator, slice(0, 6)), ("b", estimator, slice(6, 13))]
    model = GALClassifier(held, max_iter=2, cv=2, random_state=0).fit(X, y)
    values = model.decision_function(X)
    assert values.dtype == np.float64
    unit = np.abs(values).max()
    rows = [model.decision_function(X[j : j + 1]) for j in range(0, len(X), 20)]
    others = {
        "staged": list(model.staged_decision_function(X))[-1],
        "stored": pickle.loads(pickle.dumps(model)).decision_function(X),
    }
    assert_allclose(np.vstack(rows), values[::20], rtol=0, atol=1e-12 * unit)
    for each in others.values():
        assert_allclose(each, values, rtol=0, atol=1e-12 * unit)


def test_merged_models_are_made_once_and_never_saved(diabetes, monkeypatch):
    X, y = diabetes
    held = [("a", None, slice(0, 5)), ("b", Ridge(), slice(5, 10))]
    model = GALRegressor(held, max_iter=5, warm_start=True, random_state=0).fit(X, y)
    size = len(pickle.dumps(model))
    predicted = model.predict(X)
    assert len(pickle.dumps(model)) == size
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), predicted)
    with monkeypatch.context() as patch:
        patch.setattr("sklearn_gal._organizations.local.weighted_sum", None)
        assert_array_equal(model.predict(X), predicted)
    model.set_params(max_iter=8).fit(X, y)
    assert_allclose(model.predict(X), list(model.staged_predict(X))[-1])
    assert (model.predict(X) != predicted).any()
    model.set_params(warm_start=False, loss="absolute_error").fit(X, y)
    assert_allclose(model.predict(X), list(model.staged_predict(X))[-1])


def each_apart(models, view):
    """The predictions of models, chains and outputs, one after the other."""
    chains = [m.estimators if isinstance(m, FoldRegressors) else [m] for m in models]
    return np.stack(
        [
            np.stack([as_outputs(each.predict(view)) for each in listed], axis=1)
            for listed in chains
        ],
        axis=1,
    )


@pytest.mark.parametrize("wrapped", ["alone", "outputs", "chains", "chains of outputs"])
@pytest.mark.parametrize("lengths", ["same", "different"])
@pytest.mark.parametrize("kind", ["array", "categories"])
def test_predictions_of_each_model(rng, wrapped, lengths, kind):
    view, residuals = shapes(rng)[kind], rng.normal(size=(N, 12))
    models = boosters(view, residuals)
    if lengths == "different":
        models[1::2] = boosters(view, residuals[:, 1::2], n_estimators=1)
    if "outputs" in wrapped:
        models = [OutputRegressors(models[i : i + 2]) for i in range(0, 12, 2)]
    if "chains" in wrapped:
        models = [FoldRegressors(models[i : i + 3]) for i in range(0, len(models), 3)]
    predict = each_prediction(models, same)
    assert len(predict.sum.terms) == 1
    n_chains = 3 if "chains" in wrapped else 1
    n_outputs = 2 if "outputs" in wrapped else 1
    for some in (view, view[:1]):
        each = predict(some)
        assert each.shape == (len(some), len(models), n_chains, n_outputs)
        assert_allclose(each, each_apart(models, some), atol=1e-14)
    assert predict(view[:1])[0, 0, 0, 0] != 0


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("n_chains", [1, 2])
@pytest.mark.parametrize(
    ("estimator", "n_terms"),
    [
        (Ridge(), 1),
        (LinearRegression(fit_intercept=False), 1),
        (make_pipeline(StandardScaler(), Ridge()), 1),
        (make_pipeline(StandardScaler(), LGBMRegressor(verbosity=-1, n_estimators=2)), 1),
        (KNeighborsRegressor(), None),
    ],
)
def test_predictions_of_each_estimator(rng, estimator, n_terms, n_outputs, n_chains):
    view = 5 * rng.normal(size=(N, 3))
    models = [clone(estimator) for _ in range(4)]
    for i, model in enumerate(models):
        residual = rng.normal(size=(N, n_outputs))
        if isinstance(model, Pipeline) and isinstance(model[-1], LGBMRegressor):
            each = [clone(model).fit(view, r) for r in residual.T]
            models[i] = OutputRegressors(each)
        else:
            model.fit(view, residual[:, 0] if n_outputs == 1 else residual)
    if n_chains > 1:
        models = [FoldRegressors(models[i : i + 2]) for i in (0, 2)]
    predict = each_prediction(models, same)
    assert (predict.sum and len(predict.sum.terms)) == n_terms
    assert_allclose(predict(view), each_apart(models, view), atol=1e-12)
    assert predict(view).shape == (N, 4 // n_chains, n_chains, n_outputs)


def test_wrong_shapes_of_each_are_noticed(rng):
    class Short(KNeighborsRegressor):
        def predict(self, X):
            return super().predict(X)[1:]

    view, y = rng.normal(size=(N, 2)), rng.normal(size=N)
    with pytest.raises(AssertionError):
        each_prediction([Short().fit(view, y)] * 2, same)(view)


@pytest.mark.parametrize(("max_rows", "times"), [(N, 1), (N - 1, 2)])
def test_columns_are_cut_out_once_for_a_prediction(rng, monkeypatch, max_rows, times):
    X = pd.DataFrame(rng.normal(size=(N, 3)), columns=list("abc"))
    organizations = [("one", Ridge(), ["a", "b"]), ("two", Ridge(), ["c"])]
    model = GALRegressor(organizations, interactions=True, max_iter=3, random_state=0)
    model.fit(X, X["a"] * X["c"] + X["c"])
    expected, cut_out = model.predict(X), []
    select = OwnColumns._select

    def noted(self, X):
        cut_out.append(self.name)
        return select(self, X)

    monkeypatch.setattr(OwnColumns, "_select", noted)
    monkeypatch.setattr(own_columns, "MAX_REMEMBERED_ROWS", max_rows)
    assert_array_equal(model.predict(X), expected)
    assert cut_out.count("two") == times
    for each in model._model.participants.organizations:
        assert each._remembered is None


@pytest.mark.parametrize("missing_rows", ["error", "abstain"])
def test_a_dataframe_of_numbers_is_read_as_one_matrix(rng, monkeypatch, missing_rows):
    X = pd.DataFrame(rng.normal(size=(N, 5)), columns=list("abcde"))
    X["b"], X["c"] = (10 * X["b"]).astype(int), X["c"] > 0
    X["d"], y = X["d"].astype(np.float32), X["a"] * X["d"] + X["b"]
    if missing_rows == "abstain":
        X.loc[: N // 4, ["d", "e"]] = np.nan
    organizations = [("one", None, list("abc")), ("two", None, ["d", "e"])]
    settings = {"interactions": True, "missing_rows": missing_rows, "max_iter": 8}
    model = GALRegressor(organizations, random_state=0, **settings).fit(X, y)
    monkeypatch.setattr(own_columns, "MAX_VALUES_OF_MATRIX", 5 * N - 1)
    expected = model.predict(X)
    monkeypatch.setattr(own_columns, "MAX_VALUES_OF_MATRIX", 5 * N)

    def select(self, X):
        raise AssertionError("columns were selected")

    monkeypatch.setattr(OwnColumns, "_select", select)
    with_text = X.assign(c=X["c"].map({True: "yes", False: "no"}).astype("category"))
    with pytest.raises(AssertionError, match="columns were selected"):
        model.predict(with_text)
    if missing_rows == "error":  # else the rows that are there are another table
        assert_array_equal(model.predict(X), expected)
    assert_array_equal(model.predict(X[N // 4 + 1 :]), expected[N // 4 + 1 :])
    for each in model._model.participants.organizations:
        assert each._matrices is None


def test_categories_that_are_large_integers(rng):
    accounts = 2**53 + rng.integers(0, 6, N)
    X = pd.DataFrame({"a": rng.normal(size=N), "account": pd.Categorical(accounts)})
    organizations = [("one", None, ["a"]), ("two", None, ["account"])]
    model = GALRegressor(organizations, max_iter=5, random_state=0)
    expected = model.fit(X, X["a"] + 2 * (accounts % 2)).predict(X)
    assert_array_equal(model.predict(X.assign(account=accounts)), expected)
