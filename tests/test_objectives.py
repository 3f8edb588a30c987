"""Every organization has its own local objective, the label holder one for the weights."""

import numpy as np
import pytest
from lightgbm import LGBMRegressor
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.linear_model import HuberRegressor, LinearRegression, QuantileRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from _helpers import equal_parts
from sklearn_gal import GALRegressor
from sklearn_gal._method.weights import WEIGHTS

ORGANIZATIONS = equal_parts(
    8,
    LGBMRegressor(objective="mae", n_estimators=10, verbosity=-1),
    HuberRegressor(max_iter=1000),
    QuantileRegressor(quantile=0.5, alpha=0.0),
    make_pipeline(StandardScaler(), SVR(kernel="linear")),
)


@pytest.fixture
def contaminated(rng):
    """Four parts; a tenth of the training targets is far off."""
    X = rng.normal(size=(800, 8))
    signal = X @ np.array([1.0, -2, 3, 1, -1, 2, 1, 2])
    y = signal + 0.1 * rng.normal(size=800)
    X, X_test, y, _, _, signal = train_test_split(X, y, signal, random_state=0)
    y[rng.random(len(y)) < 0.1] += 200
    return X, X_test, y, signal


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["optimal", "optimal_absolute"])
def test_mixed_objectives_assist_each_other(contaminated, weights):
    X, X_test, y, signal = contaminated
    settings = {"loss": "huber", "weights": weights, "max_iter": 8, "cv": 2}
    settings |= {"random_state": 0, "interactions": False}
    mixed = GALRegressor(ORGANIZATIONS, **settings).fit(X, y)
    alone = GALRegressor(ORGANIZATIONS[:1], **settings).fit(X, y)
    errors = [mean_absolute_error(signal, m.predict(X_test)) for m in (mixed, alone)]
    assert errors[0] < 0.5 * errors[1]
    assert (mixed.weights_.sum(axis=0) > 0.1).all()


def test_local_objectives_are_used_as_they_are(contaminated):
    # in the first round every model is what its own objective makes of the residual
    X, _, y, _ = contaminated
    X, y = X[:200], y[:200]
    model = GALRegressor(ORGANIZATIONS, cv=None, max_iter=1).fit(X, y)
    residual = y - y.mean()
    for (_, estimator, columns), local in zip(
        ORGANIZATIONS, model.estimators_[0], strict=True
    ):
        expected = clone(estimator).fit(X[:, columns], residual).predict(X[:, columns])
        assert_allclose(local.predict(X[:, columns]), expected, rtol=1e-6, atol=1e-6)


def test_the_weights_have_a_separate_objective(rng):
    # one organization fits the bulk, the other the outliers
    residual = np.append(np.ones(90), np.full(10, 100.0))[:, None]
    X = np.column_stack([np.ones(100), residual[:, 0]])
    bulk, mean = np.ones(100), np.full(100, residual.mean())
    seen = {}

    def squares(residual, fitted, sample_weight):
        seen.setdefault("shapes", (residual.shape, fitted.shape))  # parts of them later
        return [0.0, 1.0]

    for weights, expected in (("optimal", 1), ("optimal_absolute", 0)):
        fitted = np.stack([bulk[:, None], mean[:, None]], axis=1)
        assert WEIGHTS[weights](residual, fitted, None).argmax() == expected
    model = GALRegressor(
        [("a", LinearRegression(), [0]), ("b", LinearRegression(), [1])],
        weights=squares,
        max_iter=1,
        interactions=False,
    ).fit(X + rng.normal(size=X.shape), residual[:, 0])
    assert_allclose(model.weights_, [[0, 1]])
    assert seen["shapes"] == ((100, 1), (100, 2, 1))
