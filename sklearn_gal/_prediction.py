"""Raw predictions: what the organizations send, assembled by the label holder."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from ._learners.views import Assistance
from ._method.rows import Rows
from ._organizations.parallel import Threads
from ._validation import validate_X


class AdditivePrediction:
    """Raw predictions of a fitted estimator, sums over rounds and organizations."""

    _first: int
    _holder: int

    def contributions(self, X) -> np.ndarray:
        """Each organization's exact additive share of the raw prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_organizations, n_outputs)
            In link space, organizations in the order of `organization_names_`. Summed
            over organizations and added to `baseline_prediction_` they are the raw
            prediction.
        """
        check_is_fitted(self)
        X = self._validate_X(X, reset=False)
        return self._contributions(X)

    def _contributions(self, X):
        if self._stacks:
            rows = self._at_baseline(Rows.to_predict(X))
            for number, new in enumerate(self._rounds):
                self._advance(rows, number, new.weights, new.learning_rates)
            return rows.assistance.contributions
        path_of_row = self._paths.serving(self._presence(X))
        paths = np.unique(path_of_row)
        shape = (X.shape[0], len(self._organizations), len(self.baseline_prediction_))
        contributions = np.zeros(shape)
        for path in paths:
            rows, part = slice(None), X
            if len(paths) > 1:
                rows = np.flatnonzero(path_of_row == path)
                part = _safe_indexing(X, rows)
            contributions[rows] = self._contributions_on(path, part)
        if self._first:  # the understudy's are its organization's
            contributions[:, self._holder] += contributions[:, 0]
        return contributions[:, self._first :]

    def _contributions_on(self, path, X):
        coefficients = np.array(
            [r.learning_rates[path] * r.weights[path] for r in self._rounds]
        )
        coefficients = coefficients.reshape(self.n_iter_, len(self._organizations))
        with Threads(self._n_at_once()) as threads:
            shares = threads.map(
                lambda each, own: each.predict(X, range(self.n_iter_), own),
                self._organizations,
                coefficients.T,
            )
        shape = (X.shape[0], len(self.baseline_prediction_))
        shares = np.stack([np.broadcast_to(share, shape) for share in shares], axis=1)
        return np.nan_to_num(shares, copy=False)

    def _validate_X(self, X, reset):
        return validate_X(self, X, reset)

    def _n_at_once(self):
        """Number of organizations that are called at once."""
        return self.n_jobs

    def _presence(self, X):
        """Which organizations have which rows, (n_samples, n_organizations)."""
        return np.column_stack([each.presence(X) for each in self._organizations])

    def _raw(self, X):
        """Raw predictions (n_samples, n_outputs) of validated X."""
        return self.baseline_prediction_ + self._contributions(X).sum(axis=1)

    def _staged_raw(self, X):
        """Raw predictions after each round."""
        check_is_fitted(self)
        rows = self._at_baseline(Rows.to_predict(self._validate_X(X, reset=False)))
        for number, new in enumerate(self._rounds):
            self._advance(rows, number, new.weights, new.learning_rates)
            yield rows.raw_prediction

    def _at_baseline(self, rows):
        """Put the rows where they are before the first round."""
        if rows.present is None:
            rows.present = self._presence(rows.X)
        rows.path = self._paths.serving(rows.present)
        rows.paths = np.flatnonzero(np.bincount(rows.path))
        n_samples, n_outputs = len(rows), len(self.baseline_prediction_)
        raw_prediction = np.tile(self.baseline_prediction_, (n_samples, 1))
        rows.raw_predictions = [raw_prediction] * len(self._paths)
        if self._stacks:
            shape = (n_samples, len(self._organizations), n_outputs)
            unit = self._first_residual or 1.0
            everybody = self._setting["stack_contributions"] == "all"
            receivers = range(shape[1]) if everybody else [self._holder]
            rows.assistance = Assistance(shape, receivers, unit)
        return rows

    def _advance(self, rows, number, weights, rates):
        """Move rows that were not fitted to on by one round."""
        if not rates.any():
            return
        asked = weights.any(axis=0) | (rows.assistance is not None)
        rows.move(self._fitted_values(rows, number, asked=asked), weights, rates)

    def _fitted_values(self, rows, number, folds=None, asked=None):
        """Predictions of a round, (n_samples, n_organizations, n_outputs); 0 for absent."""
        n_organizations = len(self._organizations)
        fitted = np.zeros((len(rows), n_organizations, len(self.baseline_prediction_)))
        for m, (organization, columns) in enumerate(self._with_assistance(rows)):
            if asked is None or asked[m]:
                fitted[:, m] = organization.predict(rows.X, [number], [1.0], columns, folds)
        return np.nan_to_num(fitted, copy=False)

    def _with_assistance(self, rows):
        """Every organization, with the columns of the others if it shall see them."""
        for m, organization in enumerate(self._organizations):
            yield organization, rows.assistance and rows.assistance.columns(m)
