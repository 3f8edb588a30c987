"""GALClassifier: class encoding, probabilities."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._gal import BaseGAL
from .losses import CLASSIFICATION_LOSSES, get_loss


def _has_probabilities(self):
    loss = self._loss if hasattr(self, "_loss") else get_loss(self.loss, self._losses)
    return hasattr(loss, "inverse_link")


class GALClassifier(ClassifierMixin, BaseGAL):
    """TODO."""

    _losses = CLASSIFICATION_LOSSES

    def __init__(
        self,
        organizations=None,
        *,
        loss="log_loss",
        max_iter=100,
        learning_rate=0.3,
        line_search=True,
        weights="optimal",
        cv="auto",
        subsample=1.0,
        label_holder=None,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-7,
        class_weight=None,
        warm_start=False,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.organizations = organizations
        self.loss = loss
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.line_search = line_search
        self.weights = weights
        self.cv = cv
        self.subsample = subsample
        self.label_holder = label_holder
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _validate_target(self, y):
        y = column_or_1d(y, warn=True)
        check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=self)
        check_classification_targets(y)
        return y

    def _encode_target(self, y, sample_weight, continued):
        """Target as 0/1 or one-hot columns, class codes and effective weights."""
        weighted = slice(None) if sample_weight is None else sample_weight > 0
        classes = np.unique(y[weighted])
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in y, but the "
                f"data contains only one class: {classes[0]!r}."
            )
        if continued and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True continues with the classes {self.classes_}, got {classes}."
            )
        self.classes_ = classes
        if self.class_weight is not None:
            class_weight = np.zeros(len(y))
            class_weight[weighted] = compute_sample_weight(self.class_weight, y[weighted])
            given = 1.0 if sample_weight is None else sample_weight
            sample_weight = class_weight * given
        # rows of weight 0 may be of other classes; they are left out
        codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
        if len(classes) == 2:
            return codes[:, None].astype(np.float64), codes, sample_weight
        return np.eye(len(classes))[codes], codes, sample_weight

    def decision_function(self, X):
        """Raw predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        raw_prediction : ndarray of shape (n_samples,) or (n_samples, n_classes)
            In link space; for two classes that of the second class.
        """
        check_is_fitted(self)
        raw = self._raw(self._validate_X(X, reset=False))
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict(self, X):
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predicted classes.
        """
        return self._decide(self.decision_function(X))

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Classes in the order of `classes_`.
        """
        check_is_fitted(self)
        return self._loss.inverse_link(self._raw(self._validate_X(X, reset=False)))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Classes in the order of `classes_`.
        """
        return np.log(self.predict_proba(X))

    def staged_decision_function(self, X):
        """Raw predictions after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        raw_prediction : ndarray of shape (n_samples,) or (n_samples, n_classes)
            As of `decision_function`.
        """
        for raw in self._staged_raw(X):
            yield raw[:, 0] if raw.shape[1] == 1 else raw

    def staged_predict(self, X):
        """Predict classes after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        y : ndarray of shape (n_samples,)
            As of `predict`.
        """
        for decision in self.staged_decision_function(X):
            yield self._decide(decision)

    @available_if(_has_probabilities)
    def staged_predict_proba(self, X):
        """Predict class probabilities after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        probabilities : ndarray of shape (n_samples, n_classes)
            As of `predict_proba`.
        """
        for raw in self._staged_raw(X):
            yield self._loss.inverse_link(raw)

    def _decide(self, decision):
        codes = (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)
        return self.classes_[codes]
