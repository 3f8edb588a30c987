"""What a user is told when an organization's own estimator fails."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMRegressor
from lightgbm.basic import LightGBMError
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR
from sklearn.utils.validation import check_is_fitted

from _helpers import equal_parts
from sklearn_gal import GALClassifier, GALRegressor, losses


class Returns(RegressorMixin, BaseEstimator):
    """Predicts whatever `answer(X)` gives."""

    def __init__(self, answer):
        self.answer = answer

    def fit(self, X, y):
        self.model_ = Ridge().fit(X, y)
        return self

    def predict(self, X):
        return self.answer(X)


class Raises(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("out of paper")

    def predict(self, X):
        raise NotImplementedError


class RaisesLater(Raises):
    def fit(self, X, y):
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        if len(X) == 3:
            raise RuntimeError("out of paper")
        return X[:, 0] + self.mean_


def held_by(estimator):
    return [("bank", Ridge(), [0, 1, 2]), ("shop", estimator, [3, 4])]


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity(diabetes, value, cv):
    estimator = Returns(lambda X: np.full(len(X), value))
    with pytest.raises(ValueError, match="'shop' returned NaN or infinite predictions"):
        GALRegressor(held_by(estimator), cv=cv).fit(*diabetes)


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize(
    "answer", [lambda X: np.ones(len(X) + 1), lambda X: np.ones((len(X), 2)), lambda X: 1.0]
)
def test_wrong_shape(diabetes, answer, cv):
    with pytest.raises(ValueError, match="'shop' returned predictions of shape"):
        GALRegressor(held_by(Returns(answer)), cv=cv).fit(*diabetes)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_local_fit_that_raises(diabetes, n_jobs):
    model = GALRegressor(held_by(Raises()), n_jobs=n_jobs)
    with pytest.raises(RuntimeError, match="out of paper") as info:
        model.fit(*diabetes)
    assert str(info.value) == "Organization 'shop': out of paper"
    assert info.value.__notes__ == ["while organization 'shop' was fitting request 1"]
    with pytest.raises(NotFittedError):
        model.predict(diabetes[0])


def test_a_local_prediction_that_raises(diabetes):
    X, y = diabetes
    model = GALRegressor(
        held_by(RaisesLater()), max_iter=2, weights="uniform", line_search=False
    ).fit(X, y)
    with pytest.raises(RuntimeError, match="out of paper") as info:
        model.predict(X[:3])
    assert str(info.value) == "Organization 'shop': out of paper"
    assert info.value.__notes__ == ["while organization 'shop' was predicting"]


def test_a_prediction_with_missing_rows(diabetes):
    X, y = diabetes
    estimator = Returns(lambda X: X[: 440 if len(X) == 441 else None, 0])
    model = GALRegressor(
        held_by(estimator), max_iter=1, cv=None, weights="uniform", line_search=False
    ).fit(X, y)
    with pytest.raises(ValueError, match="'shop' returned predictions of shape"):
        model.predict(X[:441])


def test_a_fit_that_fails_leaves_no_old_model(diabetes):
    X, y = diabetes
    model = GALRegressor(held_by(Ridge()), max_iter=2).fit(X, y)
    model.set_params(shop=Raises())
    with pytest.raises(RuntimeError):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert not hasattr(model, "weights_")


def test_a_continuation_that_fails_keeps_the_rounds_before(diabetes):
    X, y = diabetes
    model = GALRegressor(held_by(Ridge()), max_iter=2, warm_start=True).fit(X, y)
    expected = model.predict(X)
    model.set_params(shop=Raises(), max_iter=4)
    with pytest.raises(RuntimeError):
        model.fit(X, y)
    assert model.n_iter_ == 2
    np.testing.assert_array_equal(model.predict(X), expected)


def test_weights_of_rows_that_an_estimator_cannot_take(diabetes):
    X, y = diabetes
    model = GALRegressor(held_by(KNeighborsRegressor()), max_iter=1).fit(X, y)
    with pytest.raises(
        ValueError, match="'shop', KNeighborsRegressor, does not support sample"
    ):
        model.fit(X, y, np.ones(len(y)))
    with pytest.raises(
        ValueError, match="'shop', KNeighborsRegressor, does not support sample"
    ):
        GALClassifier(held_by(KNeighborsRegressor()), class_weight="balanced").fit(
            X, y > 100
        )


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(442), "Negative"),
        (np.zeros(442), "all be zero"),
        (np.ones(5), "sample_weight.shape"),
        (np.ones((442, 1)), "1D array"),
        (np.full(442, np.nan), "NaN"),
    ],
)
def test_bad_sample_weight(diabetes, weight, message):
    with pytest.raises(ValueError, match=message):
        GALRegressor(max_iter=1).fit(*diabetes, sample_weight=weight)


def test_negative_and_zero_weights(linear):
    X, y = linear
    ridges = equal_parts(4, Ridge(), Ridge())
    for weight in (-1.0, 0.0):
        with pytest.raises(ValueError, match="weight"):
            GALRegressor(ridges).fit(X, y, sample_weight=weight)
    for weight in ({0: -1, 1: 1}, {0: 0, 1: 0}):
        with pytest.raises(ValueError, match="class_weight must not be negative"):
            GALClassifier(ridges, class_weight=weight).fit(X, y > 0)


def test_scalar_sample_weight(diabetes):
    X, y = diabetes
    held = [("a", LinearRegression(), [0, 1]), ("b", LinearRegression(), [2])]
    model = GALRegressor(held, cv=None, max_iter=2)
    expected = model.fit(X, y).predict(X)
    np.testing.assert_allclose(model.fit(X, y, 3.0).predict(X), expected)


def test_unexpected_metadata(diabetes):
    with pytest.raises(TypeError, match=r"\['age'\].*enable metadata routing"):
        GALRegressor().fit(*diabetes, age=3)


@pytest.mark.parametrize(
    ("gal", "y", "message"),
    [
        (GALClassifier, np.ones(442), "only one class"),
        (GALClassifier, np.linspace(0, 1, 442), "Unknown label type"),
        (GALClassifier, np.ones((442, 2)), "1d array"),
        (GALRegressor, np.array(["a"] * 442), "could not convert string"),
        (GALRegressor, np.full(442, np.nan), "y contains NaN"),
        (GALRegressor, None, "requires y to be passed"),
        (GALRegressor, np.ones(3), "inconsistent numbers of samples"),
    ],
)
def test_bad_targets(diabetes, gal, y, message):
    with pytest.raises(ValueError, match=message):
        gal(held_by(Ridge())).fit(diabetes[0], y)


def test_strings_as_target_of_a_regressor(diabetes):
    for y in (["a"] * 442, pd.Series(["a"] * 442), ["nan", *["1"] * 441]):
        with pytest.raises(ValueError, match=r"could not convert|NaN") as raised:
            GALRegressor().fit(diabetes[0], y)
        advice = "y has strings. For classes, use GALClassifier."
        assert str(raised.value).splitlines()[-1] == advice
    with pytest.raises(ValueError, match="NaN") as raised:
        GALRegressor().fit(diabetes[0], np.full(442, np.nan))
    assert "GALClassifier" not in str(raised.value)


@pytest.mark.parametrize("container", [list, np.array, pd.Series])
def test_strings_of_numbers_are_numbers_as_for_regressors_of_scikit_learn(
    diabetes, container
):
    X, y = diabetes
    strings = container([str(value) for value in y])
    for model in (Ridge(), GALRegressor(held_by(Ridge()), max_iter=2, random_state=0)):
        expected = model.fit(X, y).predict(X)
        np.testing.assert_array_equal(model.fit(X, strings).predict(X), expected)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize(
    "table", [np.ones((9, 2)), pd.DataFrame(np.ones((9, 2)))], ids=type
)
def test_tables_in_a_list(kind, table):
    message = f"X is a {kind.__name__} of 2 tables, but .* in one table. Join the tables"
    with pytest.raises(TypeError, match=message):
        GALRegressor().fit(kind([table, table.copy()]), np.arange(9))


def test_target_outside_the_loss(diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match="loss='poisson' requires"):
        GALRegressor(loss="poisson").fit(X, y - 200)


@pytest.mark.parametrize(
    "parameters", [{"alpha": -1}, {"alpha": "a"}, {"fit_intercept": "no"}]
)
def test_bad_parameters_of_a_fast_learner(diabetes, parameters):
    with pytest.raises(ValueError, match="parameter of Ridge must be") as info:
        GALRegressor([("bank", Ridge(**parameters), [0, 2])]).fit(*diabetes)
    assert "organization 'bank'" in info.value.__notes__[0]


@pytest.mark.parametrize("loss", [losses.LogLoss(), losses.ExponentialLoss()])
def test_class_losses_are_not_for_regressors(diabetes, loss):
    X, y = diabetes
    with pytest.raises(ValueError, match="cannot be used for regression"):
        GALRegressor(loss=loss).fit(X, y > 100)


def test_regression_losses_have_no_probabilities(cancer):
    model = GALClassifier(loss=losses.SquaredError(), max_iter=2).fit(*cancer)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(ValueError, match="probabilities of 2 classes"):
        GALClassifier(loss=losses.PoissonLoss()).fit(*cancer)


@pytest.mark.parametrize("value", [np.nan, "flat"])
def test_what_a_custom_loss_returns_is_checked(diabetes, value):
    class Wrong(losses.SquaredError):
        def pseudo_residual(self, y, raw_prediction):
            return y[:, 0] if value == "flat" else y * value

    with pytest.raises(ValueError, match="'pseudo_residual' of the overarching loss must"):
        GALRegressor(loss=Wrong()).fit(*diabetes)


def test_nothing_left_to_fit(diabetes):
    model = GALRegressor(cv=None, early_stopping=True, validation_fraction=442)
    with pytest.raises(ValueError, match="leaves too few rows"):
        model.fit(*diabetes)


@pytest.mark.parametrize("cv", [3, "auto", None])
def test_groups_without_a_splitter(diabetes, cv):
    with pytest.raises(ValueError, match=f"groups require a splitter as cv.*got cv={cv!r}"):
        GALRegressor(cv=cv).fit(*diabetes, groups=np.arange(442))


def test_warm_start_with_fewer_rounds(diabetes):
    model = GALRegressor(max_iter=3, warm_start=True).fit(*diabetes)
    with pytest.raises(ValueError, match="max_iter=2 must be at least n_iter_=3"):
        model.set_params(max_iter=2).fit(*diabetes)


def test_clusterers_are_no_regressors(diabetes):
    with pytest.raises(ValueError, match="'shop', KMeans, is not a regressor"):
        GALRegressor(held_by(KMeans(3))).fit(*diabetes)


def test_regressors_that_show_it_only_once_fitted(diabetes):
    estimator = StackingRegressor([("ridge", Ridge())])
    GALRegressor(held_by(estimator), max_iter=1).fit(*diabetes)


def test_unfitted_attributes():
    model = GALRegressor()
    for name in ("weights_", "n_iter_", "columns_", "train_loss_", "label_holder_"):
        assert not hasattr(model, name)
        with pytest.raises(NotFittedError):
            getattr(model, name)


def test_splits_of_other_data(diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match=r"split.* more than the 442 rows"):
        GALRegressor(cv=[(np.arange(400), np.arange(400, 500))]).fit(X, y)


# --- faults of columns ---


def notes_of(error):
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


LEARNERS = {
    "fast": Ridge(),
    "plain": Lasso(alpha=0.1),
    "pipeline": make_pipeline(StandardScaler(), SVR()),
    "wrapper": TransformedTargetRegressor(SVR()),
}
FAULTS = {
    "missing": (np.nan, "Missing values are in the columns"),
    "infinite": (np.inf, "Infinite values are in the columns"),
    "strings": ("rain", "Strings are in the columns"),
}


def with_fault(value, *names, row=None):
    """Columns of which some have a value, in different rows or in the same row."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 6)), columns=list("uvwxyz"))
    target = frame.u + frame.x
    for position, name in enumerate(names):
        column = frame[name].astype(object if isinstance(value, str) else float)
        column.iloc[position if row is None else row] = value
        frame[name] = column
    return frame, target.to_numpy()


def three(one, two, other):
    return [
        ("bank", one, ["u", "v"]),
        ("shop", two, ["w", "x"]),
        ("lab", other, ["y", "z"]),
    ]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("first", LEARNERS)
@pytest.mark.parametrize("second", LEARNERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_all_organizations_with_a_fault_are_named(fault, first, second, n_jobs):
    value, sentence = FAULTS[fault]
    X, y = with_fault(value, "v", "w", "x")
    held = three(LEARNERS[first], LEARNERS[second], Ridge())
    model = GALRegressor(held, max_iter=2, n_jobs=n_jobs)
    with pytest.raises(ValueError, match="organization 'bank'") as raised:
        model.fit(X, y)
    told = notes_of(raised.value)
    assert f"{sentence} 'v' of organization 'bank'" in told
    assert f"{sentence} 'w', 'x' of organization 'shop'" in told
    assert told.count(sentence) == 2
    assert "'lab'" not in told


@pytest.mark.parametrize("container", [pd.DataFrame, pl.from_pandas, np.asarray])
def test_columns_are_named_as_they_are_in_X(container):
    X, y = with_fault(np.nan, "x")
    held = [("bank", Ridge(), [0, 1]), ("shop", SVR(), [5, 3])]
    with pytest.raises(ValueError, match="NaN") as raised:
        GALRegressor(held, max_iter=2).fit(container(X), y)
    name = 3 if container is np.asarray else "x"
    assert f"columns {name!r} of organization 'shop'" in notes_of(raised.value)


@pytest.mark.parametrize("fault", ["missing", "infinite"])
def test_an_organization_that_takes_the_fault_is_not_named(fault):
    X, y = with_fault(FAULTS[fault][0], "v", "w")
    replace = FunctionTransformer(np.nan_to_num)
    held = three(SVR(), make_pipeline(replace, Ridge()), Ridge())
    with pytest.raises(ValueError, match="organization 'bank'") as raised:
        GALRegressor(held, max_iter=2).fit(X, y)
    assert "'shop'" not in notes_of(raised.value)


def test_the_estimator_is_named_with_its_steps():
    X, y = with_fault(np.nan, "v")
    held = three(make_pipeline("passthrough", SVR()), Ridge(), Ridge())
    with pytest.raises(ValueError, match=r"estimator Pipeline\(passthrough, SVR\) does"):
        GALRegressor(held, max_iter=2).fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_faults_in_rows_to_predict(n_jobs):
    X, y = with_fault(0.0, "v")
    model = GALRegressor(three(Ridge(), SVR(), SVR()), max_iter=2, n_jobs=n_jobs).fit(X, y)
    X, _ = with_fault(np.nan, "v", "y")
    with pytest.raises(ValueError, match="NaN") as raised:
        model.predict(X)
    told = notes_of(raised.value)
    assert "'v' of organization 'bank'" in told
    assert "'y' of organization 'lab'" in told
    assert "'shop'" not in told


def test_all_organizations_with_missing_rows_are_named():
    X, y = with_fault(np.nan, "u", "v", "y", "z", row=7)
    held = three(Ridge(), Ridge(), Ridge())
    model = GALRegressor(held, max_iter=2)
    together = r"'bank' are missing.* 1 of 60 rows(.|\n)*'lab' are missing.* 1 of 60 rows"
    with pytest.raises(ValueError, match=together):
        model.fit(X, y)
    model.fit(with_fault(0.0, "u")[0], y)
    with pytest.raises(ValueError, match=together):
        model.predict(X)


def test_all_organizations_with_columns_that_do_not_exist_are_named():
    X, y = with_fault(0.0, "u")
    held = [("bank", Ridge(), ["u", "q"]), ("shop", Ridge(), 9), ("lab", Ridge(), [])]
    with pytest.raises(ValueError, match=r"'bank'.*'q'.*\n.*'shop'.*9.*\n.*'lab' holds no"):
        GALRegressor(held).fit(X, y)


def test_all_organizations_that_take_no_weights_are_named():
    X, y = with_fault(0.0, "u")
    held = three(KNeighborsRegressor(), Ridge(), KNeighborsRegressor())
    takes_none = r"'bank', KNeighbors.*does not support(.|\n)*'lab', .*does not support"
    with pytest.raises(ValueError, match=takes_none):
        GALRegressor(held).fit(X, y, np.ones(60))


def test_all_organizations_whose_strings_would_reach_lightgbm_are_named():
    X, y = with_fault("rain", "v", "w")
    held = three(None, LGBMRegressor(), Ridge())
    with pytest.raises(ValueError, match=r"'bank'.*'v'(.|\n)*'shop'.*'w'"):
        GALRegressor(held).fit(X, y)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_message_itself_has_the_reason(fault, learner):
    value, sentence = FAULTS[fault]
    X, y = with_fault(value, "v")
    with pytest.raises(ValueError, match="organization 'bank'") as raised:
        GALRegressor(three(LEARNERS[learner], Ridge(), Ridge()), max_iter=2).fit(X, y)
    first, *_, last = str(raised.value).splitlines()
    assert last.startswith(f"{sentence} 'v' of organization 'bank'")
    assert re.match("Input.* contains|could not convert string to float", first)
    # the traceback is that of the estimator, not of an error that replaces it
    assert "sklearn_gal" not in str(raised.traceback[-1].path)
    assert raised.value.__cause__ is None


def test_a_search_warns_with_the_reason():
    X, y = with_fault(np.nan, "v")
    X.loc[59, "v"] = np.nan
    search = GridSearchCV(
        GALRegressor(three(Ridge(), Ridge(), Ridge())), {"max_iter": [1]}, cv=2
    )
    with pytest.raises(ValueError, match="All the 2 fits failed") as raised:
        search.fit(X, y)
    assert "Missing values are in the columns 'v'" in str(raised.value)


class Fails(RegressorMixin, BaseEstimator):
    """Raises the same object in each fit of fewer than `n_rows` rows."""

    def __init__(self, error, n_rows=np.inf):
        self.error = error
        self.n_rows = n_rows

    def __sklearn_clone__(self):
        return Fails(self.error, self.n_rows)

    def fit(self, X, y):
        if len(X) < self.n_rows:
            raise self.error
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("error", [RuntimeError("out of paper"), StopIteration("paper")])
def test_an_error_that_is_raised_again_is_told_once(diabetes, error, n_jobs):
    held = [("a", Ridge(), [0]), ("b", Fails(error), [1]), ("c", Ridge(), [2])]
    for _ in range(2):
        with pytest.raises(type(error), match="paper"):
            GALRegressor(held, n_jobs=n_jobs).fit(*diabetes)
    assert str(error).count("'b'") == 1


def test_a_fold_is_told_once(diabetes):
    error = RuntimeError("out of paper")
    held = [("a", Ridge(), [0]), ("b", Fails(error, len(diabetes[1])), [1])]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of paper"):
            GALRegressor(held, cv=3, random_state=0).fit(*diabetes)
    assert str(error).count("rows outside fold 1 of 3") == 1


@pytest.mark.parametrize(
    "message",
    [
        "fit() missing 1 required keyword-only argument: 'groups'",
        "columns are missing: {'dose'}",
        "Specifying the columns using strings is only supported for dataframes.",
    ],
)
def test_messages_about_something_else_are_not_explained_by_values(message):
    X = pd.DataFrame({"a": [0.5, np.nan] * 20, "b": ["x", "y"] * 20, "c": range(40)})
    held = [("known", Ridge(), ["c"]), ("b", Fails(TypeError(message)), ["a", "b"])]
    with pytest.raises(TypeError) as caught:
        GALRegressor(held).fit(X, range(40))
    assert str(caught.value) == f"Organization 'b': {message}"


class Unusual(ValueError):
    """An error that makes its message itself."""

    def __str__(self):
        return f"NaN at {self.args}"


class RaisesUnusual(Raises):
    def fit(self, X, y):
        raise Unusual("u")


def test_errors_with_other_messages_have_notes():
    X, y = with_fault(np.nan, "v")
    with pytest.raises(Unusual, match="NaN") as raised:
        GALRegressor(three(RaisesUnusual(), Ridge(), Ridge())).fit(X, y)
    assert str(raised.value) == "NaN at ('u',)"
    reason, place = raised.value.__notes__
    assert reason.startswith("Missing values are in the columns 'v' of organization 'bank'")
    assert place == "while organization 'bank' was fitting request 1"


OTHER_VALUES = {
    "period": pd.period_range("2020", periods=60, freq="D"),
    "date": [pd.Timestamp("2020").date()] * 60,
    "timedelta": pd.to_timedelta(np.arange(60), unit="D"),
    "complex": np.arange(60) * 1j,
    "complex object": pd.Series([None, *[1j] * 59], dtype=object),
    "dict": [{"a": 1}] * 60,
    "list": [[1]] * 60,
}


@pytest.mark.parametrize("kind", OTHER_VALUES)
def test_columns_of_neither_numbers_nor_strings_are_named(kind):
    X, y = with_fault(0.0, "u")
    X["v"] = OTHER_VALUES[kind]
    with pytest.raises((ValueError, TypeError), match="organization 'bank'") as raised:
        GALRegressor(three(Ridge(), Ridge(), Ridge()), max_iter=2).fit(X, y)
    last = str(raised.value).splitlines()[-1]
    assert last.startswith("Values that are neither numbers nor strings are in the")
    assert "the columns 'v' of organization 'bank', whose estimator Ridge" in last
    assert "'u'" not in last


# --- settings per column ---

PER_COLUMN = {
    "monotone_constraints": (LGBMRegressor, [1, 0], [1, 0, 1], [1]),
    "mc": (LGBMRegressor, "1,0", "1,0,1", "1"),
    "feature_contri": (LGBMRegressor, [0.5, 0.5], [0.5] * 3, [0.5]),
    "interaction_constraints": (LGBMRegressor, [[0], [1]], [[0, 1], [2]], "[0,1],[2]"),
    "categorical_feature": (LGBMRegressor, None, [2], [0, 4]),
    "monotonic_cst": (HistGradientBoostingRegressor, [1, 0], [1, 0, 1], [1]),
    "interaction_cst": (HistGradientBoostingRegressor, [{0}, {1}], [{0, 2}], [{0}, {5}]),
    "categorical_features": (
        HistGradientBoostingRegressor,
        [False, False],
        [True, False, False],
        [2],
    ),
}


def small(kind, **settings):
    if kind is LGBMRegressor:
        return kind(n_estimators=2, verbosity=-1, min_child_samples=5, **settings)
    return kind(max_iter=2, **settings)


@pytest.mark.parametrize(
    "around",
    [
        lambda model: model,
        lambda model: make_pipeline("passthrough", model),
        TransformedTargetRegressor,
        lambda model: VotingRegressor([("one", model)]),
    ],
)
@pytest.mark.parametrize("parameter", PER_COLUMN)
def test_settings_for_other_columns(parameter, around):
    kind, right, *wrong = PER_COLUMN[parameter]
    X, y = with_fault(0.0, "u")
    for value in wrong:
        model = around(small(kind, **{parameter: value}))
        message = f"'shop' has 2 columns, but {parameter}="
        with pytest.raises(ValueError, match=message) as raised:
            GALRegressor(three(Ridge(), model, Ridge()), max_iter=2).fit(X, y)
        assert kind.__name__ in str(raised.value)
    model = around(small(kind, **({} if right is None else {parameter: right})))
    GALRegressor(three(Ridge(), model, Ridge()), max_iter=2).fit(X, y)


@pytest.mark.parametrize("scaler", [StandardScaler(), FunctionTransformer(np.abs)])
def test_settings_for_other_columns_behind_a_transformer(scaler):
    X, y = with_fault(0.0, "u")
    model = make_pipeline(scaler, small(LGBMRegressor, monotone_constraints=[1, 0, 1]))
    with pytest.raises(LightGBMError) as raised:
        GALRegressor(three(Ridge(), model, Ridge()), max_iter=2).fit(X, y)
    told = notes_of(raised.value)
    assert "monotone_constraints in the estimator of organization 'shop' must have" in told


# --- failures in a fold ---


class Strict(TransformerMixin, BaseEstimator):
    """Refuses values that it has not been fitted to, as an encoder may do."""

    def fit(self, X, y=None):
        self.values_ = set(np.ravel(X))
        return self

    def transform(self, X):
        if unknown := set(np.ravel(X)) - self.values_:
            raise ValueError(f"Found unknown categories {unknown}")
        return X


IN_A_FOLD = {
    "unknown category": make_pipeline(Strict(), Ridge()),
    "too few rows": KNeighborsRegressor(41),
    "too few rows for inner folds": GridSearchCV(
        Ridge(), {"alpha": [1, 2]}, cv=41, scoring="neg_mean_squared_error"
    ),
}


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", IN_A_FOLD)
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_failure_in_a_fold_names_the_fold(kind, n_outputs, n_jobs):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(60) // 2 % 2, rng.normal(size=60)])
    X[17, 0] = 9.0  # in one row only
    y = rng.normal(size=(60, n_outputs))
    held = [("bank", Ridge(), [1]), ("shop", IN_A_FOLD[kind], [0])]
    model = GALRegressor(held, max_iter=2, cv=KFold(3), n_jobs=n_jobs)
    with pytest.raises(ValueError, match="organization 'shop'") as raised:
        model.fit(X, y)
    told = notes_of(raised.value)
    assert "in the 40 of 60 rows outside fold 1 of 3" in told
    assert "A fit to all 60 rows works: fit with cv=None" in told
    model.set_params(cv=None).fit(X, y)


def test_a_failure_that_has_nothing_to_do_with_folds_names_none(diabetes):
    with pytest.raises(RuntimeError) as raised:
        GALRegressor(held_by(Raises()), cv=3).fit(*diabetes)
    assert raised.value.__notes__ == ["while organization 'shop' was fitting request 1"]


# --- nothing is half-fitted ---

BREAKS = {
    "parameter": {"tol": -1.0},
    "splitter": {"cv": [(np.arange(5), np.arange(9))]},
    "columns": {"organizations": [("bank", Ridge(), [99])]},
    "list": {"organizations": []},
    "fit": {"shop": Raises()},
    "prediction": {"shop": Returns(lambda X: np.full(len(X), np.nan))},
    "loss": {"loss": "no such loss"},
    "privacy": {"privacy": 3},
}


@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
@pytest.mark.parametrize("reason", BREAKS)
def test_a_fit_that_fails_leaves_nothing(cancer, gal, reason):
    X, y = cancer
    model = gal(held_by(Ridge()), max_iter=2).fit(pd.DataFrame(X).add_prefix("x"), y)
    assert {"n_features_in_", "feature_names_in_", "stop_reason_"} <= vars(model).keys()
    model.set_params(**BREAKS[reason])
    parameters = model.get_params(deep=False)
    with pytest.raises((ValueError, RuntimeError)):
        model.fit(X, y)
    assert vars(model).keys() == parameters.keys()
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


@pytest.mark.parametrize("reason", BREAKS)
def test_a_continuation_that_fails_leaves_everything(cancer, reason):
    X, y = cancer
    model = GALClassifier(held_by(Ridge()), max_iter=2, warm_start=True).fit(X, y)
    model.set_params(max_iter=3, **BREAKS[reason])
    before = dict(vars(model))
    with pytest.raises((ValueError, RuntimeError)):
        model.fit(X, y)
    assert vars(model) == before
    assert model.predict(X).shape == y.shape
