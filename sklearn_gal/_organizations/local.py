"""An organization whose columns are in this process."""

from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import joblib
import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from .._contract import NO_FOLD, Folds
from .._learners import (
    IN_SAMPLE,
    FoldRegressors,
    Split,
    as_outputs,
    column_major,
    depends_on_memory_layout,
    each_prediction,
    make_learner,
    outputs_of,
    pack_models,
    take_rows,
    to_estimator,
    unpack_models,
    weighted_sum,
    with_capacity,
)
from .explained import ExplainedColumns
from .faults import complaint, naming_errors, naming_fold
from .missing import has_numbers, is_numeric
from .own_columns import has_objects
from .suitability import check_suits, takes_a_table

# Name of the only organization when the user names none.
SOLE_ORGANIZATION = "all"
# An organization with fewer rows outside a fold abstains from the round.
MIN_ROWS_TO_FIT = 2
# It keeps its models merged for this many sets of coefficients.
MAX_MERGED_SUMS = 16


class LocalOrganization(ExplainedColumns):
    """An organization whose columns are in this process.

    Parameters
    ----------
    name : str
        Name of the organization.
    estimator : estimator
        Its regressor, or a pipeline ending in one.
    columns : ndarray of int
        Positions of its columns in X.
    missing_rows : {"error", "abstain", "pass"}, default="error"
        What to do about rows in which all its columns are missing.
    """

    runs_in_processes = True

    def __init__(self, name, estimator, columns, missing_rows="error"):
        self.name = name
        self.estimator = estimator
        self.columns = columns
        self.missing_rows = missing_rows
        # as ColumnTransformer hands on a column of text that is selected by its name
        self.one_dimensional = len(columns) == 1 and not takes_a_table(estimator)
        self.models: Any = {}
        self._learner: Any = None
        self._rows: Any = None
        self._merged: dict = {}

    @property
    def may_abstain(self):
        """Whether it may return NaN for rows that it does not have."""
        return self.missing_rows == "abstain"

    @property
    def fits_together(self):
        """Whether several requests of a round are fitted faster together."""
        return self._learner is not None and self._learner.fits_outputs_together

    @property
    def revises(self):
        """Whether the models of earlier rounds have changed in later ones."""
        return False

    def stand_in(self):
        """Return a copy without models, to fit what the label holder would predict alone.

        The suffix ``__alone`` cannot clash with a user's name.
        """
        stand_in = copy(self)
        stand_in.name = f"{self.name}__alone"
        stand_in.models, stand_in._merged = {}, {}
        return stand_in

    def presence(self, X):
        """Return the mask of the rows of X that the organization has, (n_samples,).

        Raises
        ------
        ValueError
            If some are missing and that is an error. A single column that is missing
            cannot be told from a missing value, which the estimator deals with.
        """
        may_miss_all = self.missing_rows == "pass" or (
            self.missing_rows == "error" and len(self.columns) == 1
        )
        if may_miss_all:
            return np.ones(X.shape[0], dtype=bool)
        missing = self.missing(X)
        if self.missing_rows == "error" and missing.any():
            raise ValueError(
                f"All columns of organization {self.name!r} are missing (NaN) in "
                f"{np.count_nonzero(missing)} of {len(missing)} rows. Fit with "
                "missing_rows='abstain' to let organizations abstain where they have no "
                "row, or with missing_rows='pass' to leave such rows to their estimators."
            )
        return ~missing

    def fingerprint(self, X):
        """Return a hash of the organization's columns of X."""
        return joblib.hash(self._view(X))

    def prepare(self, X, fit_params, n_outputs=1):
        """Take the columns of the training rows that the organization has.

        Parameters
        ----------
        X : {array, sparse matrix, dataframe} of shape (n_samples, n_features)
            Training rows.
        fit_params : dict
            Parameters of the local fits. Values with one entry per row are cut alike.
        n_outputs : int, default=1
            Number of outputs of a residual.
        """
        with self._naming_errors("preparing its columns"):
            presence = self.presence(X)
            check_suits(self.name, self.estimator, len(self.columns))
            view = self._selection(X)
            self._keeps_objects = not (has_objects(view) and has_numbers(view))
            view, self._rows, self._learner = self._view(X), None, None
            self._merged = {}
            if not presence.all():
                self._rows = np.flatnonzero(presence)
                view = _safe_indexing(view, self._rows)
                fit_params = take_rows(fit_params, self._rows, len(presence))
        if np.count_nonzero(presence) >= MIN_ROWS_TO_FIT or self._rows is None:
            with self._naming_errors("preparing its columns", view):
                estimator = with_capacity(self.estimator, view, n_outputs)
                if depends_on_memory_layout(estimator, view, fit_params):
                    view = column_major(view)
                self._learner = make_learner(estimator, view, fit_params)

    def fit_round(self, request):
        """Fit a residual and return the fitted values.

        Parameters
        ----------
        request : Request
            What to fit.

        Returns
        -------
        fitted : ndarray of shape (n_chains, n_samples, n_outputs)
            Fitted values of all rows by the model of every chain. NaN in rows that the
            organization does not have, and in all rows if they are too few to fit.
        """
        residual = np.ascontiguousarray(request.residual)
        view = getattr(self._learner, "view", None)
        with self._naming_errors(f"fitting request {request.number + 1}", view):
            if self._rows is None:
                return self._fit_rows(request, request.folds, residual)
            fitted = np.full_like(residual, np.nan)
            folds = request.folds and Folds(request.folds.numbers[self._rows])
            if not self._can_fit(folds):
                self.models[request.number] = None
                return fitted
            own = residual[:, self._rows]
            fitted[:, self._rows] = self._fit_rows(request, folds, own)
            return fitted

    def fit_together(self, requests):
        """Fit the requests of a round, as outputs of a single one.

        Parameters
        ----------
        requests : list of Request
            What to fit, with the same folds.

        Returns
        -------
        fitted : list of ndarray of shape (n_chains, n_samples, n_outputs)
            What `fit_round` returns for each request.
        """
        first, n_outputs = requests[0], requests[0].residual.shape[2]
        residual = np.concatenate([request.residual for request in requests], axis=2)
        fitted = self.fit_round(replace(first, residual=residual))
        model = self.models[first.number]
        for j, request in enumerate(requests):
            outputs = slice(j * n_outputs, (j + 1) * n_outputs)
            self.models[request.number] = model and outputs_of(model, outputs)
        return np.split(fitted, len(requests), axis=2)

    def _can_fit(self, folds):
        """Whether there are rows to fit outside every fold."""
        n_inside = 0
        if folds is not None:
            n_inside = np.bincount(folds.numbers - NO_FOLD)[1:].max(initial=0)
        return len(self._rows) - n_inside >= MIN_ROWS_TO_FIT

    def _fit_rows(self, request, folds, residual):
        """Fit the rows that the organization has, and return their fitted values."""
        shape, learner = residual.shape[1:], self._learner
        if folds is None:
            model, fitted = learner.fit(residual[0], IN_SAMPLE, request.seed)
            self.models[request.number] = model
            return self._checked(fitted, shape)[None]
        models, fitted = [], np.empty_like(residual)
        for chain, seed in enumerate(derived_seeds(len(residual), request.seed)):
            key = ("chain", chain) if request.folds.stay else None
            split = Split(np.flatnonzero(folds.numbers != chain), None, key)
            with naming_fold(learner, chain, split, residual, seed):
                model, values = learner.fit(residual[chain], split, seed)
            fitted[chain] = self._checked(values, shape)
            models.append(model)
        model = models[0] if len(models) == 1 else FoldRegressors(models)
        self.models[request.number] = model
        return fitted

    def for_worker(self):
        """Return what another process needs of the organization to fit a round."""
        worker = copy(self)
        worker.models = {}
        return worker

    def predict(self, X, numbers, coefficients):
        """Return the sum of `coefficients` times the predictions of models for X.

        Parameters
        ----------
        X : {array, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict. Only the organization's own columns are read.
        numbers : sequence of int
            Numbers of the requests to which the models were fitted.
        coefficients : sequence of float
            One coefficient per model.

        Returns
        -------
        contribution : ndarray of shape (n_samples, n_outputs) or float
            The sum, in the order of `numbers`; 0.0 if all coefficients are 0. NaN in rows
            that the organization does not have.
        """
        if not np.any(coefficients):
            return 0.0
        presence = self.presence(X)
        if presence.all():
            return self._predict_rows(X, numbers, coefficients)
        rows = np.flatnonzero(presence)
        if len(rows) == 0:
            return np.nan
        known = self._predict_rows(_safe_indexing(X, rows), numbers, coefficients)
        return known if np.ndim(known) == 0 else _in_all_rows(known, presence)

    def _predict_rows(self, X, numbers, coefficients):
        with self._naming_errors("predicting", partial(self._selection, X)):
            view = self._column_major(X)
            if len(numbers) > 1:
                return self._summed(numbers, coefficients)(view)
            total = 0.0
            for model, coefficient in self._involved(numbers, coefficients):
                prediction = as_outputs(to_estimator(model).predict(view))
                self._checked(prediction, (X.shape[0], *prediction.shape[1:]))
                total = total + coefficient * prediction
            return total

    def predict_each(self, X, numbers):
        """Return the predictions of single models.

        Parameters
        ----------
        X : {array, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.
        numbers : sequence of int
            Numbers of the requests to which the models were fitted.

        Returns
        -------
        predictions : dict of int to ndarray of shape (n_chains, n_samples, n_outputs)
            By number. NaN in rows that the organization does not have. Numbers of which it
            has no model are left out; all are if it has none of the rows.
        """
        presence = self.presence(X)
        numbers = [number for number in numbers if self.models.get(number) is not None]
        if not numbers or not presence.any():
            return {}
        part = X if presence.all() else _safe_indexing(X, np.flatnonzero(presence))
        with self._naming_errors("predicting", partial(self._selection, part)):
            each = _in_all_rows(self._predict_rows_each(part, numbers), presence)
        each = np.ascontiguousarray(np.moveaxis(each, 0, 2))
        return dict(zip(numbers, each, strict=True))

    def _predict_rows_each(self, X, numbers):
        """Return (n_samples, n_models, n_chains, n_outputs) for rows that are present."""
        models = [self.models[number] for number in numbers]
        predict = self._merged_once(
            ("each", *numbers), lambda: each_prediction(models, self._checked)
        )
        return predict(self._column_major(X))

    def _merged_once(self, key, make):
        """Return what `make` returns, which is kept for many calls."""
        if key not in self._merged:
            if len(self._merged) >= MAX_MERGED_SUMS:
                self._merged = {}
            self._merged[key] = make()
        return self._merged[key]

    def numeric_columns(self, X):
        """Return the positions of the numeric columns among the organization's columns.

        There are none in a sparse matrix, which may have very many columns.
        """
        if sparse.issparse(X):
            return np.zeros(0, dtype=np.intp)
        return np.array(
            [
                position
                for position, column in enumerate(self.columns)
                if is_numeric(_safe_indexing(X, int(column), axis=1))
            ],
            dtype=np.intp,
        )

    def _summed(self, numbers, coefficients):
        """Return the weighted sum of these models, merged for many calls."""

        def merge():
            involved = self._involved(numbers, coefficients)
            models, shares = zip(*involved, strict=True) if involved else ((), ())
            return weighted_sum(models, shares, self._checked)

        return self._merged_once((tuple(numbers), tuple(coefficients)), merge)

    def _involved(self, numbers, coefficients):
        """Return the models with coefficients other than 0, of numbers with a model."""
        return [
            (self.models[number], coefficient)
            for number, coefficient in zip(numbers, coefficients, strict=True)
            if coefficient != 0 and self.models.get(number) is not None
        ]

    def __copy__(self):
        other = object.__new__(type(self))
        other.__dict__.update(self._without_derived())
        return other

    def _without_derived(self):
        """Return the state without what can be derived from the models, and from rows."""
        none = dict.fromkeys(("_remembered", "_matrices"))
        return {**self.__dict__, **none, "_merged": {}}

    def __getstate__(self):
        return self._without_derived() | {"models": pack_models(self.models)}

    def __setstate__(self, state):
        self.__dict__.update(state, models=unpack_models(*state["models"]))

    def inherit(self, other):
        """Take over the models that the organization had in the fit before."""
        self.models, self._merged = dict(other.models), {}

    def release(self, n_requests):
        """Forget the training rows, and the models of numbers from `n_requests` on."""
        self._learner = self._rows = None
        self._merged = {}
        self.models = {t: model for t, model in self.models.items() if t < n_requests}

    def _naming_errors(self, task, view=None):
        return naming_errors(self, task, view)

    def complaint(self, error, X=None):
        """Return a sentence if the organization fails for the same reason as another one.

        Parameters
        ----------
        error : Exception
            What the other organization has raised in the first round, or when it predicted.
        X : {array, sparse matrix, dataframe}, default=None
            Rows to predict; None: a fit has failed.
        """
        if X is not None:
            predict = partial(self.predict, X, list(self.models)[:1], [1.0])
            return complaint(error, self, self._selection(X), predict)
        learner = self._learner
        if learner is None or self.models:  # it has not failed
            return None
        return complaint(error, self, learner.view, learner.try_to_fit)

    def _checked(self, prediction, shape):
        """Return a prediction; refuse one that would spoil the model of all."""
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


def _in_all_rows(values, presence):
    """Return values of the rows that are present, with NaN in the others."""
    if presence.all():
        return values
    in_all_rows = np.full((len(presence), *values.shape[1:]), np.nan)
    in_all_rows[presence] = values
    return in_all_rows


def derived_seeds(count, *entropy):
    """Return integer seeds that depend on `entropy`; the first ones not on `count`."""
    return np.random.SeedSequence(entropy).generate_state(count).tolist()
