import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine


@pytest.fixture(scope="session")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="session")
def cancer():
    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="session")
def wine():
    return load_wine(return_X_y=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def linear(rng):
    """Four columns, and a target that depends on the first and the third."""
    X = rng.normal(size=(300, 4))
    return X, X[:, 0] + 2 * X[:, 2] + 0.1 * rng.normal(size=300)


@pytest.fixture
def data(rng):
    """Columns, a residual of three outputs, and row weights, for the local learners."""
    X = rng.normal(size=(80, 6)) + [0, 1, 2, 3, 40, 5]
    residual = X[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(80, 3))
    return X, residual, rng.gamma(1, size=80)
