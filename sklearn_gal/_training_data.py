"""The rows of a fit, with all that has one entry per row."""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import joblib
import numpy as np
from sklearn.utils import _safe_indexing

from ._learners import take_rows
from ._method.folds import VALIDATION, draw_part


@dataclass(frozen=True)
class TrainingData:
    """Rows to fit to, or to validate on.

    Parameters
    ----------
    X : {array, sparse matrix, dataframe} of shape (n_samples, n_features)
        The columns of all organizations.
    y : ndarray of shape (n_samples, n_outputs)
        Target as the loss takes it.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the rows.
    strata : ndarray of int of shape (n_samples,)
        Class of each row, or zeros.
    folds : ndarray of int of shape (n_samples,), default=None
        Fold numbers of a splitter that the user gave.
    fit_params : tuple of dict
        Parameters of the local fits, one dict per organization.
    counts : ndarray of bool, default=None
        Which of the rows given to `fit` these are; None: all.
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None
    strata: np.ndarray
    folds: np.ndarray | None = None
    fit_params: tuple[dict, ...] = ()
    counts: np.ndarray | None = None

    def __len__(self):
        return len(self.y)

    def of_any_weight(self):
        """Return the rows without those of weight 0."""
        if self.sample_weight is None or self.sample_weight.all():
            return self
        counts = self.sample_weight != 0
        return replace(self.take(np.flatnonzero(counts)), counts=counts)

    def in_rows_given(self, values):
        """Return values of all rows given to `fit`; NaN where the weight is 0."""
        if self.counts is None:
            return values
        in_all = np.full((len(self.counts), *values.shape[1:]), np.nan)
        in_all[self.counts] = values
        return in_all

    def held_out(self, train):
        """Return the judged predictions of the rows given to `fit`; None without folds."""
        if train.judged is None:
            return None
        return self.in_rows_given(train.judged.own(train))

    def take(self, rows):
        """Return a selection of the rows."""

        def cut(array):
            return None if array is None else array[rows]

        folds = cut(self.folds)
        if folds is not None:  # without gaps, where a fold has lost all its rows
            folds = np.unique(folds, return_inverse=True)[1]
        return replace(
            self,
            X=_safe_indexing(self.X, rows),
            y=self.y[rows],
            sample_weight=cut(self.sample_weight),
            strata=self.strata[rows],
            folds=folds,
            fit_params=tuple(take_rows(each, rows, len(self)) for each in self.fit_params),
        )

    def split(self, fraction, seed):
        """Return training rows and a random part to validate on.

        Raises
        ------
        ValueError
            If too few rows are left to fit.
        """
        counted = isinstance(fraction, Integral)
        size = int(fraction) if counted else round(fraction * len(self))
        if size > len(self) - len(np.unique(self.strata)):
            raise ValueError(
                f"validation_fraction={fraction} of {len(self)} rows leaves too few rows "
                "to fit: lower it, or set early_stopping=False."
            )
        rng = np.random.default_rng([seed, VALIDATION])
        part = draw_part(self.strata, max(1, size), rng)
        return self.take(np.flatnonzero(~part)), self.take(np.flatnonzero(part))

    @property
    def identity(self):
        """A hash of target and weights: whether rows are those of the fit."""
        return joblib.hash((self.y, self.sample_weight))

    def fingerprints(self, participants, chains):
        """Return hashes of the target and of the columns of each participant, by name."""
        folds = chains and chains.numbers
        known = {None: joblib.hash((self.y, self.sample_weight, self.strata, folds))}
        return known | {each.name: each.fingerprint(self.X) for each in participants}
