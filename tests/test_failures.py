"""What a user is told when an organization's own estimator fails."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import StackingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

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
