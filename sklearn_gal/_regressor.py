"""GALRegressor: target in and out."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from ._gal import BaseGAL
from .losses import REGRESSION_LOSSES


class GALRegressor(RegressorMixin, BaseGAL):
    """TODO."""

    _losses = REGRESSION_LOSSES

    def __init__(
        self,
        organizations=None,
        *,
        loss="squared_error",
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
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _validate_target(self, y):
        return check_array(
            y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self
        )

    def _encode_target(self, y, sample_weight, continued):
        """Target (n_samples, n_outputs), strata and effective weights of the rows."""
        shape = y.shape[1:]
        if continued and shape != self._target_shape:
            raise ValueError(
                f"warm_start=True continues with targets of shape (n_samples, "
                f"*{self._target_shape}), got {y.shape}."
            )
        self._target_shape = shape
        return y.reshape(len(y), -1), np.zeros(len(y), dtype=np.intp), sample_weight

    def predict(self, X):
        """Predict the target.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted target, in its own units.
        """
        check_is_fitted(self)
        return self._decode(self._raw(self._validate_X(X, reset=False)))

    def staged_predict(self, X):
        """Predict the target after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted target after each round.
        """
        for raw in self._staged_raw(X):
            yield self._decode(raw)

    def _decode(self, raw):
        prediction = inverse_link(self._loss)(raw)
        return prediction.reshape(len(raw), *self._target_shape)


def inverse_link(loss):
    return getattr(loss, "inverse_link", lambda raw: raw)
