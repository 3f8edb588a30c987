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
