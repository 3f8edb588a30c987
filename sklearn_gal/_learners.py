"""Fitting one organization's estimator to a residual, and what a fit leaves behind.

Nothing here knows of rounds, weights or y: an estimator, a view, a residual.
"""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import has_fit_parameter


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
        """Mean prediction over folds."""
        total = sum(as_outputs(estimator.predict(X)) for estimator in self.estimators)
        return total / len(self.estimators)


def as_outputs(prediction):
    """A local prediction as float array of shape (n_samples, n_outputs)."""
    prediction = np.asarray(prediction, dtype=np.float64)
    return prediction.reshape(-1, 1) if prediction.ndim == 1 else prediction


def with_seed(estimator, seed):
    """A clone whose unset `random_state` parameters derive from `seed`.

    An estimator's own fixed seeds are its organization's business and stay. `n_jobs` left
    open becomes 1, because organizations already run side by side, and because sums over
    a varying number of threads are not reproducible to the last bit.
    """
    estimator = clone(estimator)
    settings = {}
    rng = np.random.RandomState(seed)
    for name, value in sorted(estimator.get_params(deep=True).items()):
        key = name.rpartition("__")[2]
        if value is None and key == "random_state":
            settings[name] = rng.randint(np.iinfo(np.int32).max)
        elif value is None and key == "n_jobs":
            settings[name] = 1
    return estimator.set_params(**settings)


def weight_parameter(estimator):
    """Name under which `estimator.fit` takes sample weights; None if it takes none.

    The last step of a pipeline is the regressor, which the weights are for.
    """
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if isinstance(estimator, Pipeline) and hasattr(estimator.steps[-1][1], "fit"):
        step, regressor = estimator.steps[-1]
        name = weight_parameter(regressor)
        return name and f"{step}__{name}"
    return None


class Learner:
    """Fits clones of an estimator to one residual after the other, on the same view.

    Parameters
    ----------
    estimator : estimator
        Regressor or pipeline ending in one.
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        The organization's columns of the training rows.
    fit_params : dict
        Parameters of `fit`; values with one entry per row are cut to the rows fitted.
    """

    def __init__(self, estimator, view, fit_params):
        self.estimator = estimator
        self.view = view
        self.fit_params = fit_params
        self.multi_output = get_tags(estimator).target_tags.multi_output

    def fit(self, residual, rows, seed):
        """Fit to `residual` (n_samples, n_outputs) on `rows` (None: all of them)."""
        view, fit_params = self.view, self.fit_params
        if rows is not None:
            n_samples = len(residual)
            view = _safe_indexing(view, rows)
            residual = residual[rows]
            fit_params = take_rows(fit_params, rows, n_samples)
        estimator = with_seed(self.estimator, seed)
        n_outputs = residual.shape[1]
        if n_outputs == 1:
            return estimator.fit(view, residual[:, 0], **fit_params)
        if self.multi_output:
            return estimator.fit(view, residual, **fit_params)
        return OutputRegressors(
            [clone(estimator).fit(view, r, **fit_params) for r in residual.T]
        )

    def predict(self, model, rows):
        """Predictions of `model` for `rows` (None: all of them) of the view."""
        view = self.view if rows is None else _safe_indexing(self.view, rows)
        return as_outputs(model.predict(view))


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
