"""What one organization does with its columns.

The rounds loop speaks to an organization through four calls: `prepare`, `fit_round`,
`predict` and `release`. What passes is arrays of floats, row identifiers, round numbers,
fold numbers and seeds: no estimator, no column, no y.
"""

from contextlib import contextmanager

import numpy as np
from lightgbm import LGBMRegressor
from scipy import sparse
from sklearn.utils import _safe_indexing

from ._learners import FoldRegressors, as_outputs, column_major, make_learner
from ._stacking import AssistedView, with_columns

# Fold number of a row that every model of the round is fitted to.
NO_FOLD = -1
# Name of the only organization when the user names none.
SOLE_ORGANIZATION = "all"


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
    """

    def __init__(self, name, estimator, columns):
        self.name = name
        self.estimator = estimator
        self.columns = columns
        self.models = {}
        self._learner = None

    def prepare(self, X, fit_params):
        """Take one's own columns of the training rows, before the first round."""
        with self._naming_errors("preparing its columns"):
            self._learner = make_learner(self.estimator, self._view(X), fit_params)

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
            the mean over models.
        """
        residual = np.ascontiguousarray(residual)
        with self._naming_errors(f"fitting round {round_number + 1}"):
            learner = self._learner
            if assistance is not None:
                learner = learner.with_assistance(assistance)
            return self._fit_folds(learner, round_number, seed, folds, residual)

    def _fit_folds(self, learner, round_number, seed, folds, residual):
        if folds is None:
            model = learner.fit(residual, None, seed)
            self.models[round_number] = model
            return self._checked(learner.predict(model, None), residual.shape)
        models = []
        for fold in range(folds.max() + 1):
            fold_seed = derived_seed(seed, fold)
            models.append(learner.fit(residual, np.flatnonzero(folds != fold), fold_seed))
        fitted = np.empty_like(residual)
        for fold, model in enumerate(models):
            rows = np.flatnonzero(folds == fold)
            shape = (len(rows), residual.shape[1])
            fitted[rows] = self._checked(learner.predict(model, rows), shape)
        everywhere = np.flatnonzero(folds == NO_FOLD)
        model = models[0] if len(models) == 1 else FoldRegressors(models)
        if len(everywhere):
            shape = (len(everywhere), residual.shape[1])
            fitted[everywhere] = self._checked(learner.predict(model, everywhere), shape)
        self.models[round_number] = model
        return fitted

    def predict(self, X, rounds, coefficients, assistance=None):
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

        Returns
        -------
        contribution : ndarray of shape (n_samples, n_outputs) or 0.0
            The sum, in the order of `rounds`; 0.0 if no coefficient differs from 0.
        """
        view, total = self._view(X), 0.0
        if assistance is not None:
            _, view = with_columns(self.estimator, AssistedView(view, assistance))
        for round_number, coefficient in zip(rounds, coefficients, strict=True):
            if coefficient != 0:
                with self._naming_errors("predicting"):
                    prediction = as_outputs(self.models[round_number].predict(view))
                    self._checked(prediction, (X.shape[0], *prediction.shape[1:]))
                total = total + coefficient * prediction
        return total

    def release(self, n_rounds):
        """Let go of the training rows, and of rounds from `n_rounds` on."""
        self._learner = None
        self.models = {t: self.models[t] for t in range(n_rounds)}

    def _view(self, X):
        view = _safe_indexing(X, self.columns, axis=1)
        # LightGBM reads sparse matrices, but not yet sparse arrays
        return sparse.csr_matrix(view) if sparse.issparse(view) else column_major(view)

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


def derived_seed(*entropy):
    """An integer seed that depends on all of `entropy`."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
