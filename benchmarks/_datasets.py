"""Data sets of the benchmarks: bundled with scikit-learn or generated here."""

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_friedman1,
)


def make_adult_like(n_samples=20_000, random_state=0):
    """A binary target, 24 % positive, from 14 skewed, discrete and continuous columns.

    Thresholds, saturating effects and a few products, as in census data: additive models
    come close, but not quite.
    """
    rng = np.random.default_rng(random_state)
    age = rng.gamma(9, 4.3, n_samples).clip(17, 90)
    education = rng.binomial(15, 0.6, n_samples).astype(float)
    hours = np.where(rng.random(n_samples) < 0.5, 40, rng.normal(40, 13, n_samples)).clip(
        1, 99
    )
    married = (rng.random(n_samples) < 1 / (1 + np.exp(-(age - 32) / 8))).astype(float)
    gain = np.where(rng.random(n_samples) < 0.08, rng.lognormal(8, 1.2, n_samples), 0)
    loss = np.where(rng.random(n_samples) < 0.05, rng.normal(1870, 350, n_samples), 0)
    occupation = rng.integers(0, 14, n_samples).astype(float)
    employer = rng.integers(0, 7, n_samples).astype(float)
    sex = (rng.random(n_samples) < 0.67).astype(float)
    others = rng.normal(size=(n_samples, 5))
    effect = np.array(
        [0, 1, 0.8, -0.4, -0.9, -0.2, 0.3, -0.7, 0.5, 0.9, -0.1, -0.5, 0.2, 0.4]
    )
    logit = (
        -5.2
        + 0.32 * (education - 9)
        + 2.1 * married
        + 0.9 * np.tanh((age - 37) / 12)
        - 1.2 * (age > 65)
        + 0.03 * (hours - 40).clip(-25, 25)
        + 2.5 * (gain > 5000)
        + 0.8 * (loss > 1800)
        + effect[occupation.astype(int)]
        + 0.3 * sex
        + 0.15 * married * (education - 9)
        + 0.02 * sex * (hours - 40)
        + 0.3 * others[:, 0] * (others[:, 1] > 0)
        + 2.0
    )
    y = (rng.random(n_samples) < 1 / (1 + np.exp(-logit))).astype(int)
    columns = [age, education, hours, married, gain, loss, occupation, employer, sex]
    return np.column_stack([*columns, others]), y


DATA_SETS = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "friedman1": lambda: make_friedman1(n_samples=2000, noise=1.0, random_state=0),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "adult-like": make_adult_like,
}
