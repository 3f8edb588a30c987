"""What one organization does with its columns.

The rounds loop speaks to an organization through five calls: `presence`, `prepare`,
`fit_round`, `predict` and `release`. What passes is arrays of floats, row identifiers,
round numbers, fold numbers and seeds: no estimator, no column, no y. Fitted values and
predictions are NaN in the rows that an organization does not have.
"""

from contextlib import contextmanager
from copy import copy
from typing import Any

import joblib
import numpy as np
from lightgbm import LGBMRegressor
from scipy import sparse
from sklearn.utils import _safe_indexing

from .._learners.base import (
    IN_SAMPLE,
    FoldRegressors,
    Split,
    column_major,
    predict_held_out,
    take_rows,
)
from .._learners.registry import make_learner, minds_layout
from .._learners.summed import weighted_sum
from .._learners.views import AssistedView, with_columns
from .missing import missing_rows

# Fold number of a row that every model of the round is fitted to.
NO_FOLD = -1
# Name of the only organization when the user names none.
SOLE_ORGANIZATION = "all"
# An organization with fewer rows outside a fold abstains from the round.
FEWEST_ROWS = 2
# Of so many latest partitions into folds an organization keeps what it can use again.
KNOWN_PARTITIONS = 16
# It keeps its models merged for so many sets of coefficients.
MERGED_SUMS = 16


def default_estimator():
    """The local estimator of an organization that brings none."""
    return LGBMRegressor(
        n_estimators=10,
        learning_rate=0.3,
        num_leaves=4,
        min_child_samples=24,
        verbosity=-1,
    )


class LocalOrganization:
    """An organization whose columns are in this process.

    Parameters
    ----------
    name : str
        Name of the organization.
    estimator : estimator
        Its own regressor, or a pipeline ending in one.
    columns : ndarray of int
        Positions of its columns in X.
    missing_rows : {"error", "abstain", "pass"}, default="error"
        What to do about rows in which all its columns are missing.
    """

    # Whether it can be fitted in another process, to which `travelling` goes
    may_travel = True

    def __init__(self, name, estimator, columns, missing_rows="error"):
        self.name = name
        self.estimator = estimator
        self.columns = columns
        self.missing_rows = missing_rows
        self.models = {}
        self._learner: Any = None
        self._rows: Any = None
        self._partitions: dict = {}
        self._merged: dict = {}

    def understudy(self):
        """Oneself again, without models: the label holder's, for when others are absent.

        Its name is one that no user can give.
        """
        understudy = copy(self)
        understudy.name = f"{self.name}__alone"
        understudy.models, understudy._partitions, understudy._merged = {}, {}, {}
        return understudy

    def presence(self, X):
        """Mask of the rows of X that one has, (n_samples,).

        Raises
        ------
        ValueError
            If some are missing and that is an error. A single column that is missing
            cannot be told from a missing value, which is the estimator's own business.
        """
        may_miss_all = self.missing_rows == "pass" or (
            self.missing_rows == "error" and len(self.columns) == 1
        )
        if may_miss_all:
            return np.ones(X.shape[0], dtype=bool)
        missing = missing_rows(X, self.columns)
        if self.missing_rows == "error" and missing.any():
            raise ValueError(
                f"All columns of organization {self.name!r} are missing (NaN) in "
                f"{np.count_nonzero(missing)} of {len(missing)} rows. Fit with "
                "missing_rows='abstain' to let organizations abstain where they have no "
                "row, or with missing_rows='pass' to leave such rows to their estimators."
            )
        return ~missing

    def fingerprint(self, X):
        """A hash of one's own columns of X."""
        return joblib.hash(self._view(X))

    def prepare(self, X, fit_params):
        """Take one's columns of the training rows that one has, before the first round."""
        with self._naming_errors("preparing its columns"):
            presence = self.presence(X)
            view, self._rows, self._learner = self._view(X), None, None
            self._merged = {}
            if not presence.all():
                self._rows = np.flatnonzero(presence)
                view = _safe_indexing(view, self._rows)
                fit_params = take_rows(fit_params, self._rows, len(presence))
            if np.count_nonzero(presence) >= FEWEST_ROWS or self._rows is None:
                if minds_layout(self.estimator, view, fit_params):
                    view = column_major(view)
                self._learner = make_learner(self.estimator, view, fit_params)

    def fit_round(self, round_number, seed, folds, residual, assistance=None):
        """Fit `residual` as round `round_number` and return one's fitted values.

        Parameters
        ----------
        round_number : int
            The round; fitting it again replaces what was fitted before.
        seed : int
            Seed of everything random in this fit.
        folds : ndarray of shape (n_samples,) or None
            Fold number of every row. There is one model per fold, fitted to the rows
            outside the fold; `NO_FOLD` marks rows that are in every fit. None: a single
            model, fitted to all rows.
        residual : ndarray of shape (n_samples, n_outputs)
            What to fit.
        assistance : ndarray of shape (n_samples, n_columns), default=None
            For the label holder, columns of the assistors that its estimator shall see.

        Returns
        -------
        fitted : ndarray of shape (n_samples, n_outputs)
            Fitted values: of the model that did not see the row where there is one, else
            the mean over models. NaN in the rows that one does not have; in all, if there
            are too few to fit in this round.
        """
        residual = np.ascontiguousarray(residual)
        with self._naming_errors(f"fitting round {round_number + 1}"):
            partition = self._partition(folds)
            if self._rows is None:
                return self._fit_rows(
                    round_number, seed, folds, partition, residual, assistance
                )
            fitted = np.full_like(residual, np.nan)
            if assistance is not None:
                assistance = assistance[self._rows]
            if folds is not None:
                folds = folds[self._rows]
                folds = folds if (folds != NO_FOLD).any() else None
            if not self._can_fit(folds):
                self.models[round_number] = None
                return fitted
            fitted[self._rows] = self._fit_rows(
                round_number, seed, folds, partition, residual[self._rows], assistance
            )
            return fitted

    def _can_fit(self, folds):
        """Whether there are rows to fit outside every fold."""
        if folds is None:
            return len(self._rows) >= FEWEST_ROWS
        n_inside = np.bincount(folds[folds != NO_FOLD])
        return len(self._rows) - n_inside.max() >= FEWEST_ROWS

    def _fit_rows(self, round_number, seed, folds, partition, residual, assistance):
        learner = self._learner
        if assistance is not None:
            learner = learner.with_assistance(assistance)
        if folds is None:
            model, fitted = learner.fit(residual, IN_SAMPLE, seed)
            self.models[round_number] = model
            return self._checked(fitted, residual.shape)
        models, fitted = [], np.empty_like(residual)
        seeds = derived_seeds(folds.max() + 1, seed)
        for fold, seed_of_fold in enumerate(seeds):
            outside = folds != fold
            held_out = np.flatnonzero(~outside)
            key = None if partition is None else (partition, fold)
            split = Split(np.flatnonzero(outside), held_out, key)
            model, values = learner.fit(residual, split, seed_of_fold)
            fitted[held_out] = self._checked(values, (len(held_out), residual.shape[1]))
            models.append(model)
        everywhere = np.flatnonzero(folds == NO_FOLD)
        model = models[0] if len(models) == 1 else FoldRegressors(models)
        if len(everywhere):
            shape = (len(everywhere), residual.shape[1])
            fitted[everywhere] = self._checked(learner.predict(model, everywhere), shape)
        self.models[round_number] = model
        return fitted

    def travelling(self, folds):
        """What another process needs of one to fit a round."""
        traveller, number = copy(self), self._partition(folds)
        traveller.models = {}
        traveller._partitions = {} if number is None else {number: folds}
        return traveller

    def _partition(self, folds):
        """A number for these folds, the same when they come again; None for bags."""
        if folds is None or (folds == NO_FOLD).any():
            return None
        for number, known in self._partitions.items():
            if folds is known:
                return number
        for number, known in self._partitions.items():  # it came over the network
            if np.array_equal(folds, known):
                return number
        number = max(self._partitions, default=-1) + 1
        self._partitions[number] = folds
        if len(self._partitions) > KNOWN_PARTITIONS and self._learner is not None:
            oldest = min(self._partitions)
            for fold in range(self._partitions.pop(oldest).max() + 1):
                self._learner.forget((oldest, fold))
        return number

    def predict(self, X, rounds, coefficients, assistance=None, folds=None):
        """Sum over `rounds` of `coefficients` times one's predictions for the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix or dataframe
            Rows to predict; only this organization's columns are looked at.
        rounds : sequence of int
            Round numbers.
        coefficients : sequence of float
            One coefficient per round.
        assistance : ndarray of shape (n_samples, n_columns), default=None
            As in `fit_round`, for a single round.
        folds : ndarray of shape (n_samples,), default=None
            Fold numbers of training rows: predict each by the model that has not seen it.

        Returns
        -------
        contribution : ndarray of shape (n_samples, n_outputs) or float
            The sum, in the order of `rounds`; 0.0 if no coefficient differs from 0. NaN in
            the rows that one does not have.
        """
        if not np.any(coefficients):
            return 0.0
        presence = self.presence(X)
        if presence.all():
            return self._predict_rows(X, rounds, coefficients, assistance, folds)
        rows = np.flatnonzero(presence)
        if len(rows) == 0:
            return np.nan
        if assistance is not None:
            assistance = assistance[rows]
        if folds is not None:
            folds = folds[rows]
        X = _safe_indexing(X, rows)
        known = self._predict_rows(X, rounds, coefficients, assistance, folds)
        if np.ndim(known) == 0:
            return known
        contribution = np.full((len(presence), known.shape[1]), np.nan)
        contribution[rows] = known
        return contribution

    def _predict_rows(self, X, rounds, coefficients, assistance, folds):
        view = column_major(self._view(X))
        if assistance is None and folds is None and len(rounds) > 1:
            with self._naming_errors("predicting"):
                return self._summed(rounds, coefficients)(view)
        if assistance is not None:
            _, view = with_columns(self.estimator, AssistedView(view, assistance))
        total = 0.0
        for model, coefficient in self._involved(rounds, coefficients):
            with self._naming_errors("predicting"):
                prediction = predict_held_out(model, view, folds)
                self._checked(prediction, (X.shape[0], *prediction.shape[1:]))
            total = total + coefficient * prediction
        return total

    def _summed(self, rounds, coefficients):
        """The weighted sum of one's models of these rounds, merged once for many calls."""
        key = tuple(rounds), tuple(coefficients)
        if key not in self._merged:
            involved = self._involved(rounds, coefficients)
            models, shares = zip(*involved, strict=True) if involved else ((), ())
            if len(self._merged) >= MERGED_SUMS:
                self._merged = {}
            self._merged[key] = weighted_sum(models, shares, self._checked)
        return self._merged[key]

    def _involved(self, rounds, coefficients):
        """Models with coefficients other than 0, of rounds that one took part in."""
        return [
            (self.models[number], coefficient)
            for number, coefficient in zip(rounds, coefficients, strict=True)
            if coefficient != 0 and self.models.get(number) is not None
        ]

    def __getstate__(self):
        return {**self.__dict__, "_merged": {}}  # made anew of the models

    def take_over(self, other):
        """Have the models that the organization had before."""
        self.models, self._merged = dict(other.models), {}

    def release(self, n_rounds):
        """Let go of the training rows, and of rounds from `n_rounds` on."""
        self._learner = self._rows = None
        self._partitions, self._merged = {}, {}
        self.models = {t: model for t, model in self.models.items() if t < n_rounds}

    def _view(self, X):
        first, last = self.columns[0], self.columns[-1]
        if isinstance(X, np.ndarray) and np.array_equal(
            self.columns, np.arange(first, last + 1)
        ):
            view = X[:, first : last + 1]  # no copy, and so not to be written to
            view.flags.writeable = False
            return view
        view = _safe_indexing(X, self.columns, axis=1)
        # LightGBM reads sparse matrices, but not yet sparse arrays
        return sparse.csr_matrix(view) if sparse.issparse(view) else view

    @contextmanager
    def _naming_errors(self, task):
        """Say in the notes of an error whose it is."""
        try:
            yield
        except Exception as error:
            error.add_note(f"while organization {self.name!r} was {task}")
            raise

    def _checked(self, prediction, shape):
        """Refuse predictions that would spoil everybody's model."""
        if prediction.shape != shape:
            raise ValueError(
                f"Organization {self.name!r} returned predictions of shape "
                f"{prediction.shape} where {shape} was expected. Its estimator "
                f"{type(self.estimator).__name__} must predict one value per row and "
                "output."
            )
        if not np.isfinite(prediction).all():
            raise ValueError(
                f"Organization {self.name!r} returned NaN or infinite predictions. Scale "
                "its columns, impute missing values, or regularise its estimator "
                f"{type(self.estimator).__name__}."
            )
        return prediction


def derived_seeds(count, *entropy):
    """Integer seeds that depend on all of `entropy`; more of them begin with the same."""
    return np.random.SeedSequence(entropy).generate_state(count).tolist()
