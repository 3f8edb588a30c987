"""Containers of fitted models, and the predictions of what they contain."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class OutputRegressors(RegressorMixin, BaseEstimator):
    """One fitted estimator per output, for estimators that take one output at a time.

    Parameters
    ----------
    estimators : list
        Fitted estimators, one per output.
    """

    def __init__(self, estimators):
        self.estimators = estimators

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Predictions of shape (n_samples, n_outputs)."""
        return np.column_stack([estimator.predict(X) for estimator in self.estimators])


class FoldRegressors(RegressorMixin, BaseEstimator):
    """Fitted estimators of the folds of one cross-fitted round; predicts their mean.

    Parameters
    ----------
    estimators : list
        Fitted estimators, one per fold: the one at position k has not seen fold k.
    """

    def __init__(self, estimators):
        self.estimators = estimators

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Mean prediction over folds, as float64 whatever the estimators return."""
        total: Any = 0.0
        for estimator in self.estimators:
            total = total + np.asarray(estimator.predict(X), dtype=np.float64)
        return total / len(self.estimators)


def chains_of(model):
    """The models of the chains that a fitted model consists of, a list."""
    return model.estimators if type(model) is FoldRegressors else [model]


def outputs_of(model, outputs):
    """The part of a fitted model that predicts some of its outputs.

    Parameters
    ----------
    model : FoldRegressors or OutputRegressors
        Fitted model that has an estimator for each output.
    outputs : slice
        The outputs.

    Returns
    -------
    part : FoldRegressors, OutputRegressors or estimator
        Predicts these outputs.
    """
    if type(model) is FoldRegressors:
        return FoldRegressors([outputs_of(each, outputs) for each in model.estimators])
    estimators = model.estimators[outputs]
    return estimators[0] if len(estimators) == 1 else OutputRegressors(estimators)


class LazyModel:
    """A fitted model that becomes an estimator on first use."""

    def to_estimator(self):
        """The fitted estimator, the same object in every call."""
        raise NotImplementedError


def to_estimator(model):
    """A local model in which every `LazyModel` is replaced by its estimator."""
    if isinstance(model, (OutputRegressors, FoldRegressors)):
        model.estimators = [to_estimator(each) for each in model.estimators]
    return model.to_estimator() if isinstance(model, LazyModel) else model


class Term(NamedTuple):
    """A model in a weighted sum of predictions.

    Parameters
    ----------
    output : int, list of int or None
        Output or outputs that the model predicts; None: it predicts all outputs.
    model : object
        Has `predict`, or is a `LazyModel`.
    coefficient : float
        Factor of its predictions.
    """

    output: int | list[int] | None
    model: Any
    coefficient: float


def terms_of(model, coefficient, output=None):
    """The terms whose sum is `coefficient` times the prediction of `model`."""
    if type(model) is FoldRegressors:
        share = coefficient / len(model.estimators)
        for each in model.estimators:
            yield from terms_of(each, share, output)
    elif type(model) is OutputRegressors:
        for k, each in enumerate(model.estimators):
            yield Term(k, each, coefficient)
    else:
        yield Term(output, model, coefficient)


def as_outputs(prediction):
    """A local prediction as float array of shape (n_samples, n_outputs)."""
    prediction = np.asarray(prediction, dtype=np.float64)
    return prediction.reshape(-1, 1) if prediction.ndim == 1 else prediction
