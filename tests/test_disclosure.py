import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._method.disclosure import Disclosure
from sklearn_gal.privacy import LaplaceMechanism

# Two organizations; the target is a product of their columns.
ORGANIZATIONS = [("holder", Ridge(1e-3), [0, 1]), ("assistor", Ridge(1e-3), [2, 3])]


def clipped(X):
    return np.clip(X[:, 0], -1, 1)


def holders_column(raw):
    return clipped(raw.rows.X)[:, None]


class Modulated(Disclosure):
    """An experiment: the assistor also sees the residual times a function of the label
    holder's columns, and what it fits is multiplied by the same function."""

    def gates(self, number, participant):
        is_assistor = self.participants.owner[participant] != self.participants.holder
        return [None, holders_column] if is_assistor else [None]


@pytest.fixture
def product(rng):
    X = rng.uniform(-1, 1, size=(600, 4))
    return X, X[:, 0] * X[:, 2] + 0.5 * X[:, 1]


def modulated(estimator):
    estimator._disclosure = Modulated
    return estimator


def test_an_experiment_is_one_class_and_one_line(product):
    X, y = product
    settings = {"max_iter": 30, "random_state": 0}
    additive = GALRegressor(ORGANIZATIONS, interactions=False, **settings).fit(X, y)
    model = modulated(GALRegressor(ORGANIZATIONS, **settings)).fit(X, y)
    assert additive.score(X, y) < 0.6
    assert model.score(X, y) > 0.95
    # what is predicted is what the training loss has seen, up to the folds
    assert np.mean((y - model.predict(X)) ** 2) / 2 < 1.1 * model.train_loss_[-1] + 1e-3


@pytest.mark.parametrize("cv", [None, "auto"])
def test_predictions_multiply_as_well(product, cv):
    X, y = product
    model = modulated(GALRegressor(ORGANIZATIONS, cv=cv, max_iter=7, random_state=0))
    model.fit(X, y)
    staged = np.array(list(model.staged_predict(X)))
    assert_allclose(staged[-1], model.predict(X), atol=1e-12)
    raw = model.baseline_prediction_ + model.contributions(X).sum(axis=1)
    assert_allclose(raw[:, 0], model.predict(X), atol=1e-12)
    by_hand = np.tile(model.baseline_prediction_[0], len(X))
    holder, assistor = model._model.participants
    columns = {0: (holder, X[:, :2]), 1: (assistor, X[:, 2:])}
    for step in model._model.rounds:
        assert [each.gate for each in step.candidates] == [None, None, holders_column]
        coefficients = step.coefficients(0)
        for (participant, number, gate), each in zip(
            step.candidates, coefficients, strict=True
        ):
            organization, own = columns[participant]
            values = organization.models[number].predict(own).ravel()
            by_hand += each * values * (1.0 if gate is None else clipped(X))
    assert_allclose(by_hand, model.predict(X), atol=1e-10)


def test_warm_start_early_stopping_and_leaving(product):
    X, y = product
    settings = {"random_state": 0, "max_iter": 8}
    whole = modulated(GALRegressor(ORGANIZATIONS, **settings)).fit(X, y)
    model = modulated(GALRegressor(ORGANIZATIONS, warm_start=True, random_state=0))
    for max_iter in (3, 8):
        model.set_params(max_iter=max_iter).fit(X, y)
    assert_array_equal(model.predict(X), whole.predict(X))
    stopped = GALRegressor(ORGANIZATIONS, cv=None, early_stopping=True, **settings)
    modulated(stopped).fit(X, y)
    assert len(stopped.validation_loss_) == stopped.n_iter_ + 1
    assert stopped.score(X, y) > 0.8
    third = [*ORGANIZATIONS, ("third", Ridge(), [1, 3])]
    model = modulated(GALRegressor(third, **settings)).fit(X, y)
    without = model.drop_organization("third", X, y)
    assert without.score(X, y) > 0.8


def test_each_assistor_receives_what_it_is_shown_with_noise(product):
    X, y = product
    received = []

    class Recording(LaplaceMechanism):
        def __call__(self, residual, random_state):
            received.append(residual)
            return super().__call__(residual, random_state)

    model = GALClassifier(ORGANIZATIONS, max_iter=2, privacy=Recording(5.0), random_state=0)
    modulated(model).fit(X, y > 0)
    plain = GALClassifier(ORGANIZATIONS, max_iter=1, random_state=0).fit(X, y > 0)
    first = (y > 0) - 1 / (1 + np.exp(-plain.baseline_prediction_[0]))
    by_chain = np.reshape(received, (-1, 2, len(y)))  # a row is in one of two chains
    assert (np.count_nonzero(by_chain, axis=1) <= 1).all()
    shown = by_chain.sum(axis=1)
    assert_allclose(shown[0], first)
    assert_allclose(shown[1], first * clipped(X))
    assert model.privacy_spent_.n_rounds == len(shown)
