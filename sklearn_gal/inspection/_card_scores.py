"""Scores of predictions for a model card, with intervals over the rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)

from .._intervals import half_widths, jackknife_error

# Number of parts of the rows, each of which is left out once for an interval.
N_PARTS = 20
# With fewer parts, of two rows each, there is no interval.
MIN_PARTS = 5
# What the coverage of intervals and sets is asked for.
COVERAGE = 0.9


@dataclass(frozen=True)
class Predictions:
    """Predictions of some rows whose target is known.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Target and prediction.
    decision : ndarray, default=None
        Raw predictions of a classifier.
    proba : ndarray of shape (n_samples, n_classes), default=None
        Probabilities of a classifier.
    weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.
    """

    y: np.ndarray
    predicted: np.ndarray
    decision: Any = None
    proba: Any = None
    weight: Any = None

    def take(self, rows):
        """Return a selection of the rows."""
        arrays = self.y, self.predicted, self.decision, self.proba, self.weight
        taken: Any = [each if each is None else each[rows] for each in arrays]
        return Predictions(*taken)


def predictions_of(estimator, X, y, weight):
    """Return the predictions of a fitted estimator for rows."""
    y = np.asarray(y)
    if not is_classifier(estimator):
        return Predictions(y, estimator.predict(X), weight=weight)
    decision = estimator.decision_function(X)
    predicted = _classes(estimator, decision)
    return Predictions(y, predicted, decision, _proba(estimator, decision), weight)


def held_out_predictions(estimator, y):
    """Return the out-of-fold predictions of the training rows of weight other than 0."""
    y = np.asarray(y)
    if is_classifier(estimator):
        decision = estimator.oof_decision_function_
        counts = ~np.isnan(decision.reshape(len(decision), -1)).any(axis=1)
        y, decision = y[counts], decision[counts]
        proba = _proba(estimator, decision)
        return Predictions(y, _classes(estimator, decision), decision, proba)
    predicted = estimator.oof_prediction_
    counts = ~np.isnan(predicted.reshape(len(predicted), -1)).any(axis=1)
    return Predictions(y[counts], predicted[counts])


def _classes(estimator, decision):
    if decision.ndim == 1:
        return estimator.classes_[(decision > 0).astype(np.intp)]
    return estimator.classes_[decision.argmax(axis=1)]


def _proba(estimator, decision):
    if not hasattr(estimator, "predict_proba"):
        return None
    return estimator._model.loss.inverse_link(decision.reshape(len(decision), -1))


def scores_of(estimator, predictions):
    """Return scores with intervals, tuples (name, value, low, high)."""
    return [
        (name, *_with_interval(score, predictions, limits))
        for name, score, limits in _scores(estimator, predictions)
    ]


def _scores(estimator, predictions):
    """Yield name, function of predictions and limits of each score."""
    if not is_classifier(estimator):
        yield "R²", _of_values(r2_score), (-np.inf, 1.0)
        yield "mean absolute error", _of_values(mean_absolute_error), (0.0, np.inf)
        return
    yield "accuracy", _of_values(accuracy_score), (0.0, 1.0)
    classes = estimator.classes_
    counts = [np.count_nonzero(predictions.y == each) for each in classes]
    if predictions.decision.ndim == 1 and min(counts) > 1:

        def auc(part):
            positive = part.y == classes[1]
            return roc_auc_score(positive, part.decision, sample_weight=part.weight)

        yield "area under the ROC curve", auc, (0.0, 1.0)
    if predictions.proba is not None:

        def loss(part):
            return log_loss(part.y, part.proba, sample_weight=part.weight, labels=classes)

        yield "log loss", loss, (0.0, np.inf)


def _of_values(score):
    return lambda part: score(part.y, part.predicted, sample_weight=part.weight)


def _with_interval(score, predictions, limits):
    """Return a score with the 95 % interval of the delete-a-group jackknife.

    The interval is NaN if there are too few rows.
    """
    n_samples = len(predictions.y)
    value, n_parts = float(score(predictions)), min(N_PARTS, n_samples // 2)
    if n_parts < MIN_PARTS:
        return value, np.nan, np.nan
    order = np.random.default_rng(0).permutation(n_samples)
    if predictions.decision is not None:  # every part has a share of each class
        order = order[np.argsort(predictions.y[order], kind="stable")]
    without = []
    for part in range(n_parts):
        kept = np.ones(n_samples, dtype=bool)
        kept[order[part::n_parts]] = False
        without.append(score(predictions.take(kept)))
    half = float(half_widths(jackknife_error(without), n_parts))
    return value, max(value - half, limits[0]), min(value + half, limits[1])


def coverage_of(estimator, X, y):
    """Return how often intervals or sets contain the target, and their mean size.

    None if the estimator has neither.
    """
    y = np.asarray(y)
    if hasattr(estimator, "predict_interval"):
        ends = estimator.predict_interval(X, coverage=COVERAGE)
        inside = (ends[:, 0] <= y) & (y <= ends[:, 1])
        return float(inside.mean()), float((ends[:, 1] - ends[:, 0]).mean())
    if hasattr(estimator, "predict_set"):
        sets = estimator.predict_set(X, coverage=COVERAGE)
        inside = (sets & (y[:, None] == estimator.classes_)).any(axis=1)
        return float(inside.mean()), float(sets.sum(axis=1).mean())
    return None
