"""Estimators, organizations and comparisons that several test modules use."""

import itertools
import os
import threading
import time
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge


class Call(NamedTuple):
    """What a `Recorder` received in one call; `y` is None in `predict`."""

    name: str
    method: str
    X: np.ndarray
    y: np.ndarray | None
    params: dict[str, Any]


class Recorder(Ridge):
    """A ridge that keeps what it receives in `Recorder.calls`, under a name.

    The class has the list because estimators are cloned. Tests clear it first.
    """

    calls: ClassVar[list[Call]] = []

    def __init__(self, name="a"):
        super().__init__()
        self.name = name

    def fit(self, X, y, sample_weight=None, **params):
        if sample_weight is not None:
            params["sample_weight"] = sample_weight
        self.calls.append(Call(self.name, "fit", np.array(X), np.array(y), params))
        return super().fit(X, y, sample_weight)

    def predict(self, X):
        self.calls.append(Call(self.name, "predict", np.array(X), None, {}))
        return super().predict(X)

    @classmethod
    def fits(cls):
        """The calls of `fit`."""
        return [call for call in cls.calls if call.method == "fit"]


class Patient(Ridge):
    """A ridge whose fit waits until organizations that were away are prepared again."""

    def fit(self, X, y, sample_weight=None):
        for thread in threading.enumerate():
            if "_reconnect_loop" in thread.name:
                thread.join(600)
        return super().fit(X, y, sample_weight)


class Halting(Ridge):
    """A ridge that halts after some fits, while the file named by `HALTED_BY` exists."""

    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        Halting.n_fits += 1
        while Halting.n_fits > 12 and Path(os.environ.get("HALTED_BY", "")).is_file():
            time.sleep(0.05)
        return super().fit(X, y, sample_weight)


class Zero(RegressorMixin, BaseEstimator):
    """A regressor that always predicts 0."""

    def fit(self, X, y):
        self.shape_ = np.shape(y)[1:]
        return self

    def predict(self, X):
        return np.zeros((len(X), *self.shape_))


def equal_parts(n_columns, *estimators):
    """Organizations "a", "b", ... that hold consecutive columns, about as many each."""
    parts = np.array_split(np.arange(n_columns), len(estimators))
    return [
        (chr(ord("a") + m), estimator, part.tolist())
        for m, (estimator, part) in enumerate(zip(estimators, parts, strict=True))
    ]


def covering(crossed, others):
    """Cases of all levels of the crossed factors, each with one combination of the others.

    The combinations rotate along every crossed factor, so that each of its levels meets all
    of them if it has enough cases. A full cross repeats the same code for each of them.
    """
    combinations = list(itertools.product(*others))
    levels = [list(enumerate(factor)) for factor in crossed]
    return [
        (
            *(level for _, level in case),
            *combinations[sum(place for place, _ in case) % len(combinations)],
        )
        for case in itertools.product(*levels)
    ]


def raw_prediction(model, X):
    """The baseline plus the contributions of all organizations, one column per output."""
    return model.baseline_prediction_ + model.contributions(X).sum(axis=1)


def assert_same_model(one, other, X, other_X):
    """Check that two models report and predict the same to the last bit."""
    for name in ("weights_", "learning_rates_", "train_loss_", "validation_loss_"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    assert_array_equal(one.contributions(X), other.contributions(other_X))
    assert_array_equal(one.predict(X), other.predict(other_X))
