"""An organization's own estimator with the others' contributions as extra columns."""

from collections import deque
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags

# Beside their contributions, the label holder's estimator sees the others' fitted values
# of the latest rounds: different functions of the same columns, which the sum has mixed. As
# many rounds as give so many columns at most (benchmarks/interactions.py).
RECENT_COLUMNS = 2
# The columns are renewed after so many rounds, and at first sooner (docs/design.rst).
RENEWED_EVERY = 8


class Assistance:
    """What the organizations have sent the label holder about some rows.

    The columns are those after the latest of rounds 1, 2, 4, 8, 16, 24, 32, ...: what is
    computed from them once, for instance bins, serves the rounds between.

    Parameters
    ----------
    shape : tuple (n_samples, n_organizations, n_outputs)
        Rows, organizations and outputs.
    receivers : list of int
        Positions of the organizations that see what the others have sent.
    unit : float
        What counts as one in the columns, for estimators that mind the scale.
    """

    def __init__(self, shape, receivers, unit):
        self.contributions = np.zeros(shape)
        n_columns = (shape[1] - 1) * shape[2]
        n_rounds = RECENT_COLUMNS // n_columns
        # zeros before the first round: there are as many columns in every round
        self._recent = deque([np.zeros(shape)] * n_rounds, maxlen=n_rounds)
        self._receivers = receivers
        self._unit = unit
        self._n_rounds = 0
        self._columns = self._sent()

    def add(self, fitted, coefficients):
        """Add the fitted values of a round, which enter with `coefficients`."""
        self.contributions += coefficients[:, None] * fitted
        if self._recent.maxlen:
            self._recent.append(fitted.copy())
        self._n_rounds += 1
        if RENEWED_EVERY % self._n_rounds == 0 or self._n_rounds % RENEWED_EVERY == 0:
            self._columns = self._sent()

    def columns(self, receiver):
        """Columns for an organization, (n_samples, n_columns); None if it sees nothing."""
        return self._columns.get(receiver)

    def _sent(self):
        sent = np.stack([self.contributions, *self._recent], axis=-1) / self._unit
        return {
            receiver: np.delete(sent, receiver, axis=1).reshape(len(sent), -1)
            for receiver in self._receivers
        }


def with_columns(estimator, view):
    """The estimator and the view of it that `view`, an `AssistedView`, amounts to.

    A pipeline keeps its own columns apart, so that no column selection in it is disturbed.
    """
    if isinstance(estimator, Pipeline):
        return StackedPipeline(estimator), view
    return estimator, append_columns(view.own, view.columns)


@dataclass(frozen=True)
class AssistedView:
    """A view and, for the same rows, the columns that the others have sent."""

    own: Any
    columns: np.ndarray

    def take(self, rows):
        """A selection of the rows."""
        return AssistedView(_safe_indexing(self.own, rows), self.columns[rows])


class StackedPipeline(RegressorMixin, BaseEstimator):
    """A pipeline whose last step also receives the columns of an `AssistedView`.

    Parameters
    ----------
    pipeline : Pipeline
        Pipeline ending in a regressor.

    Attributes
    ----------
    pipeline_ : Pipeline
        The fitted pipeline, with an additional step ``"assistance"`` before its last.
    """

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.pipeline).target_tags
        tags.target_tags.multi_output = inner.multi_output
        return tags

    def fit(self, X, y, **fit_params):
        """Fit to X, an `AssistedView`."""
        *transformers, last = clone(self.pipeline).steps
        name = self._name_of_step()
        steps = [*transformers, (name, AppendColumns(X.columns)), last]
        self.pipeline_ = clone(self.pipeline).set_params(steps=steps)
        self.pipeline_.fit(X.own, y, **fit_params)
        self.pipeline_.set_params(**{name: AppendColumns()})  # without training rows
        return self

    def of(self, transformers, regressor):
        """One that consists of fitted steps."""
        stacked = StackedPipeline(self.pipeline)
        stacked.pipeline_ = copy(self.pipeline)
        stacked.pipeline_.steps = [
            *transformers,
            (self._name_of_step(), AppendColumns()),
            (self.pipeline.steps[-1][0], regressor),
        ]
        return stacked

    def _name_of_step(self):
        name = "assistance"
        while name in dict(self.pipeline.steps):
            name += "_"
        return name

    def predict(self, X):
        """Predict from X, an `AssistedView`."""
        *transformers, _, (_, regressor) = self.pipeline_.steps
        view = X.own
        for _, transformer in transformers:
            if transformer not in (None, "passthrough"):
                view = transformer.transform(view)
        return regressor.predict(append_columns(view, X.columns))


class AppendColumns(TransformerMixin, BaseEstimator):
    """Puts given columns behind those that it receives."""

    def __init__(self, columns=None):
        self.columns = columns

    def fit(self, X, y=None):
        """Nothing to learn."""
        return self

    def transform(self, X):
        """X and the columns."""
        return append_columns(X, self.columns)

    def __sklearn_is_fitted__(self):
        return True


def append_columns(view, columns):
    """`columns` behind those of an array, a sparse matrix or a dataframe."""
    if sparse.issparse(view):
        return sparse.csr_matrix(sparse.hstack([view, columns]))
    if not hasattr(view, "columns"):
        n_own = view.shape[1]
        dtype = np.result_type(view, columns)
        appended = np.empty((len(view), n_own + columns.shape[1]), dtype, order="F")
        appended[:, :n_own] = view
        appended[:, n_own:] = columns
        return appended
    if all(isinstance(name, str) for name in view.columns):
        prefix = "assistance_"
        while any(name.startswith(prefix) for name in view.columns):
            prefix += "_"
        names: list[Any] = [f"{prefix}{j}" for j in range(columns.shape[1])]
    else:  # positions, in pandas
        free = range(len(view.columns) + columns.shape[1])
        names = [name for name in free if name not in view.columns][: columns.shape[1]]
    named = dict(zip(names, columns.T, strict=True))
    if hasattr(view, "hstack"):  # polars
        return view.hstack(type(view)(named))
    view = view.copy()
    for name, column in named.items():
        view[name] = column
    return view
