"""Fitting one organization's estimator to one residual after the other.

A learner has an estimator and a view, the organization's columns of the training rows. It
knows no rounds, no weights and no target.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import has_fit_parameter

from .lightgbm_guard import guard
from .models import OutputRegressors, as_outputs, to_estimator
from .seeds import SeededClones
from .tree_libraries import explain_trees
from .views import column_major
from .worker_cache import cached_learner


@dataclass(frozen=True)
class Split:
    """The rows of one local fit.

    Parameters
    ----------
    rows : ndarray of int or None
        Rows to fit to; None: all of them.
    predict_rows : ndarray of int or None
        Rows to predict by the fitted model; None: all of them.
    key : hashable or None
        The same for all splits with the same rows, e.g. ``("chain", 2)``. None: these rows
        are used once, so that nothing is cached for them.
    """

    rows: np.ndarray | None = None
    predict_rows: np.ndarray | None = None
    key: Hashable = None

    @property
    def predicts_nothing(self):
        """Whether there are no rows to predict."""
        return self.predict_rows is not None and len(self.predict_rows) == 0


IN_SAMPLE = Split(key="all rows")


class Learner:
    """Fits clones of an estimator to one residual after the other, on the same view.

    This class clones and fits in every round. A subclass fits some estimators faster. It
    overrides `takes` and `fit`, and `merge` if its models can be predicted together. It
    must be listed in `sklearn_gal._learners.LEARNERS`.

    Parameters
    ----------
    estimator : estimator
        Regressor, or pipeline that ends in one.
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        The organization's columns of the training rows.
    fit_params : dict
        Parameters of `fit`; values with one entry per row are cut to the rows fitted.
    make_learner : callable, default=None
        Makes a learner of an estimator, a view and `fit_params`. A learner of estimators
        that contain others uses it.
    """

    # Whether a fit depends, in its last bits, on the view's memory layout. It does if it
    # sums over columns; trees on unchanged columns do not.
    sums_columns = True
    # Whether several outputs are fitted faster together, each with an estimator that does
    # not depend on the others or on the seed.
    fits_outputs_together = False

    @classmethod
    def takes(cls, estimator, view, fit_params):
        """Whether this learner can fit `estimator` to `view`."""
        return True

    @staticmethod
    def merge(terms, sum_terms):
        """Merge models, so that their weighted sum is predicted in fewer passes.

        Parameters
        ----------
        terms : list of Term
            Fitted models of one organization, not only of this learner.
        sum_terms : callable
            Called with a list of terms; returns a function of a view for their sum. A
            learner of estimators that contain others uses it.

        Returns
        -------
        terms : list of Term
            Terms with the same sum: the given terms that this learner cannot merge, in the
            same order, then merged ones, whose models have `predict`.
        """
        merged: dict = {}  # a frozen estimator is the same object in all rounds
        for term in terms:
            key = id(term.model), str(term.output)
            before = merged[key].coefficient if key in merged else 0.0
            merged[key] = term._replace(coefficient=before + term.coefficient)
        return list(merged.values())

    @staticmethod
    def merge_outputs(terms):
        """Merge models, so that predictions of different outputs need fewer passes.

        `merge` follows, and is given terms of different outputs only.

        Parameters
        ----------
        terms : list of Term
            Fitted models of one organization. Each has different outputs, which are known.

        Returns
        -------
        terms : list of Term
            Terms with the same outputs.
        """
        return terms

    @staticmethod
    def n_outputs(model, n_outputs):
        """The number of outputs that a fitted model predicts; None if that is unknown.

        Parameters
        ----------
        model : object
            Fitted model, not only of this learner.
        n_outputs : callable
            The same for a model that this model contains.

        Returns
        -------
        number : int or None
            Number of outputs.
        """
        return None

    @staticmethod
    def explain(model, view, background):
        """SHAP values of a fitted or merged model.

        Parameters
        ----------
        model : object
            Has `predict`; not only of this learner.
        view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
            Rows to explain.
        background : Background
            The background.

        Returns
        -------
        explanation : Explanation or None
            Exact values; None if the learner does not know the model. It is then explained
            by its predictions, see `explain_function`.
        """
        return explain_trees(model, view) if not background.for_trees else None

    def __init__(self, estimator, view, fit_params, make_learner=None):
        self.estimator = estimator
        self.view = view
        self.fit_params = fit_params
        self.make_learner = make_learner
        self.seeds = SeededClones(estimator)
        self.multi_output = takes_several_outputs(estimator)
        self._multi_output_is_certain = False
        self._takes_single_output = get_tags(last_step(estimator)).target_tags.single_output
        self.cache_key = uuid4().hex

    def fit(self, residual, split, seed):
        """Fit to a residual.

        Parameters
        ----------
        residual : ndarray of shape (n_samples, n_outputs)
            Target of the fit, for all rows of the view.
        split : Split
            Rows to fit to and rows to predict.
        seed : int
            Seed of all random numbers of the fit.

        Returns
        -------
        model : object
            The fitted model. `to_estimator` makes it an estimator.
        fitted : ndarray of shape (n_predict_rows, n_outputs)
            Its predictions for the rows to predict.
        """
        model = self._clone_and_fit(residual, split.rows, seed)
        return model, self._predict_split(model, split, residual.shape[1])

    def _predict_split(self, model, split, n_outputs):
        if split.predicts_nothing:
            return np.empty((0, n_outputs))
        return self.predict(model, split.predict_rows)

    def _clone_and_fit(self, residual, rows, seed):
        view, fit_params = self.view, self.fit_params
        if rows is not None:
            view = self._cut(rows)
            fit_params = take_rows(fit_params, rows, len(residual))
            residual = residual[rows]
        estimator = guard(self.seeds.clone(seed))
        if residual.shape[1] == 1 and self._takes_single_output:
            return _fitted(estimator, view, residual[:, 0], fit_params)
        if self.multi_output:
            try:
                model = _fitted(estimator, view, residual, fit_params)
            except Exception:
                # The tags of a pipeline are those of its last step; another step may take
                # a single output. If not, fitting the outputs apart fails as well.
                if self._multi_output_is_certain:
                    raise
            else:
                self._multi_output_is_certain = True
                return model
        models = [_fitted(clone(estimator), view, r, fit_params) for r in residual.T]
        self.multi_output = False
        return OutputRegressors(models)

    def require_multi_output(self):
        """Fit several outputs with one estimator, whatever its tags say."""
        self.multi_output = self._multi_output_is_certain = True

    def predict(self, model, rows):
        """Predictions of `model` for `rows` (None: all of them) of the view."""
        view = self.view if rows is None else self._cut(rows)
        return as_outputs(to_estimator(model).predict(view))

    def try_to_fit(self):
        """Fit a copy of the learner to a ramp, to see whether that fails."""
        learner = type(self)(self.estimator, self.view, self.fit_params, self.make_learner)
        ramp = np.linspace(-1.0, 1.0, self.view.shape[0])
        learner.fit(ramp[:, None], IN_SAMPLE, 0)

    def __reduce__(self):
        # What is cached between rounds is not sent to another process, where the first
        # copy of a learner replaces the copies that come later.
        arguments = self.estimator, self.view, self.fit_params, self.make_learner
        return cached_learner, (self.cache_key, type(self), arguments)

    def _cut(self, rows):
        return column_major(_safe_indexing(self.view, rows))


def _fitted(estimator, view, target, fit_params):
    """The estimator, fitted. What its `fit` returns does not matter."""
    estimator.fit(view, target, **fit_params)
    return estimator


def last_step(estimator):
    """The last step of a pipeline, also of a pipeline in a pipeline."""
    while type(estimator) is Pipeline and estimator.steps:
        estimator = estimator.steps[-1][1]
    return estimator


def takes_several_outputs(estimator):
    """Whether an estimator says that it takes several outputs.

    A frozen estimator predicts what it predicts, whatever target it is given.
    """
    frozen = isinstance(last_step(estimator), FrozenEstimator)
    return frozen or get_tags(estimator).target_tags.multi_output


def weight_parameter(estimator):
    """Name under which `estimator.fit` takes sample weights; None if it takes none.

    A pipeline passes the weights to its last step, the regressor. A frozen estimator takes
    and ignores them.
    """
    if isinstance(estimator, FrozenEstimator):
        return "sample_weight"
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if isinstance(estimator, Pipeline) and hasattr(estimator.steps[-1][1], "fit"):
        step, regressor = estimator.steps[-1]
        name = weight_parameter(regressor)
        return name and f"{step}__{name}"
    return None


def take_rows(params, rows, n_samples):
    """Cut to `rows` the values of `params` that have one entry per row."""
    return {
        name: _safe_indexing(value, rows)
        if hasattr(value, "__len__")
        and not isinstance(value, (str, dict))
        and len(value) == n_samples
        else value
        for name, value in params.items()
    }
