"""Fitting one organization's estimator to a residual, and what a fit leaves behind.

Nothing here knows of rounds, weights or y: an estimator, a view, a residual.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import has_fit_parameter

from .models import WrittenBooster
from .views import AssistedView, with_columns


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
        total = sum(estimator.predict(X) for estimator in self.estimators)
        return total / len(self.estimators)


def read(model):
    """A local model, with all that is still written in it as estimators."""
    if isinstance(model, (OutputRegressors, FoldRegressors)):
        model.estimators = [read(each) for each in model.estimators]
    return model.read() if isinstance(model, WrittenBooster) else model


def as_outputs(prediction):
    """A local prediction as float array of shape (n_samples, n_outputs)."""
    prediction = np.asarray(prediction, dtype=np.float64)
    return prediction.reshape(-1, 1) if prediction.ndim == 1 else prediction


def predict_held_out(model, view, folds):
    """Predictions as outputs; of rows with a fold number by the model that left it out."""
    model = read(model)
    prediction = as_outputs(model.predict(view))
    if folds is None or not isinstance(model, FoldRegressors):
        return prediction
    for fold, estimator in enumerate(model.estimators):
        rows = np.flatnonzero(folds == fold)
        if len(rows):
            prediction[rows] = as_outputs(estimator.predict(_safe_indexing(view, rows)))
    return prediction


class Seeds:
    """Clones of an estimator whose unset `random_state` parameters derive from a seed.

    An estimator's own fixed seeds are its organization's business and stay. `n_jobs` left
    open becomes 1, because organizations already run side by side, and because sums over
    a varying number of threads are not reproducible to the last bit.

    Parameters
    ----------
    estimator : estimator
        What to clone. Its parameters are looked at once, not for every clone.
    """

    def __init__(self, estimator):
        self.estimator = clone(estimator)
        self.names = []
        settings = {}
        for name, value in sorted(estimator.get_params(deep=True).items()):
            key = name.rpartition("__")[2]
            if value is None and key == "random_state":
                self.names.append(name)
            elif value is None and key == "n_jobs":
                settings[name] = 1
            elif value is False and key in ("copy", "copy_X"):
                settings[name] = True  # the next round needs the view as it is
        self.estimator.set_params(**settings)

    def settings(self, seed):
        """The parameters that derive from `seed`."""
        if not self.names:
            return {}
        numbers = np.random.SeedSequence(seed).generate_state(len(self.names)) >> 1
        return dict(zip(self.names, numbers.tolist(), strict=True))

    def clone(self, seed):
        """A clone to fit."""
        estimator = clone(self.estimator)
        return estimator.set_params(**self.settings(seed))


def column_major(view):
    """The view in one memory layout: sums must not depend on how it came, nor where."""
    if isinstance(view, np.ndarray):
        return np.asfortranarray(view)
    if not hasattr(view, "iloc"):
        return view
    frame = type(view)({j: view.iloc[:, j] for j in range(view.shape[1])}, copy=True)
    frame.columns = view.columns
    return frame


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


@dataclass(frozen=True)
class Split:
    """The rows of one local fit.

    Parameters
    ----------
    rows : ndarray of int or None
        Rows to fit to; None: all of them.
    judged : ndarray of int or None
        Rows whose fitted values are wanted; None: all of them.
    key : hashable or None
        The same for all splits with the same rows; of the folds of a partition, tuples
        (partition, fold). None: these will not come again, so that nothing need be kept
        for them.
    """

    rows: np.ndarray | None = None
    judged: np.ndarray | None = None
    key: Hashable = None


IN_SAMPLE = Split(key="all rows")


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

    @classmethod
    def takes(cls, estimator, view, fit_params):
        """Whether this is a way to fit `estimator` to `view`."""
        return True

    def __init__(self, estimator, view, fit_params):
        self.estimator = estimator
        self.view = view
        self.fit_params = fit_params
        self.seeds = Seeds(estimator)
        self.multi_output = get_tags(estimator).target_tags.multi_output
        self.token = uuid4().hex
        self._assistance: Any = None

    def fit(self, residual, split, seed):
        """Fit to `residual` (n_samples, n_outputs) as `split` says.

        Returns the fitted model, which may have to be `read`, and its predictions for the
        rows to be judged.
        """
        model = self._clone_and_fit(residual, split.rows, seed)
        return model, self._judge(model, split, residual.shape[1])

    def _judge(self, model, split, n_outputs):
        if split.judged is not None and len(split.judged) == 0:
            return np.empty((0, n_outputs))
        return self.predict(model, split.judged)

    def _clone_and_fit(self, residual, rows, seed):
        view, fit_params = self.view, self.fit_params
        if rows is not None:
            view = self._cut(rows)
            fit_params = take_rows(fit_params, rows, len(residual))
            residual = residual[rows]
        estimator = self.seeds.clone(seed)
        if residual.shape[1] == 1:
            return estimator.fit(view, residual[:, 0], **fit_params)
        if self.multi_output:
            return estimator.fit(view, residual, **fit_params)
        return OutputRegressors(
            [clone(estimator).fit(view, r, **fit_params) for r in residual.T]
        )

    def predict(self, model, rows):
        """Predictions of `model` for `rows` (None: all of them) of the view."""
        view = self.view if rows is None else self._cut(rows)
        return as_outputs(read(model).predict(view))

    def forget(self, key):
        """Let go of what is kept for the splits with this key."""

    def __reduce__(self):
        # What is kept between rounds stays where it is: in another process the learner that
        # came first takes the place of its copies.
        return _here, (self.token, type(self), self._arguments())

    def _arguments(self):
        return self.estimator, self.view, self.fit_params

    def with_assistance(self, columns):
        """The learner that sees `columns` of the assistors beside its own.

        It stays the same as long as they do.
        """
        if self._assistance is None or self._assistance[0] is not columns:
            self._assistance = columns, self._assisted_by(columns)
        return self._assistance[1]

    def _assisted_by(self, columns):
        estimator, view = with_columns(self.estimator, AssistedView(self.view, columns))
        same = estimator is self.estimator
        same = same and type(self).takes(estimator, view, self.fit_params)
        return (type(self) if same else Learner)(estimator, view, self.fit_params)

    def _cut(self, rows):
        if isinstance(self.view, AssistedView):
            return self.view.take(rows)
        return column_major(_safe_indexing(self.view, rows))


# Learners that came from other processes, the latest so many
MAX_VISITORS = 32
_VISITORS: OrderedDict = OrderedDict()


def _here(token, learner, arguments):
    """The learner of this process with a token."""
    if token not in _VISITORS:
        _VISITORS[token] = learner(*arguments)
        _VISITORS[token].token = token
    _VISITORS.move_to_end(token)
    while len(_VISITORS) > MAX_VISITORS:
        _VISITORS.popitem(last=False)
    return _VISITORS[token]


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
