"""An organization's columns, and the contributions of others as additional columns."""

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags


def column_major(view):
    """The view in column-major order.

    Floating-point sums then do not depend on the memory layout of the input.
    """
    if isinstance(view, np.ndarray):
        return np.asfortranarray(view)
    if not hasattr(view, "iloc"):
        return view
    frame = type(view)({j: view.iloc[:, j] for j in range(view.shape[1])}, copy=True)
    frame.columns = view.columns
    return frame


def with_columns(estimator, view):
    """The estimator and its view that include the stacked columns of a `StackedView`.

    A pipeline receives the stacked columns after its transformers, so that they do not
    change which columns a transformer selects.
    """
    if isinstance(estimator, Pipeline):
        return StackedPipeline(estimator), view
    return estimator, append_columns(view.own, view.columns)


@dataclass(frozen=True)
class StackedView:
    """A view and, for the same rows, the columns that the others have sent."""

    own: Any
    columns: np.ndarray

    def take(self, rows):
        """A selection of the rows."""
        return StackedView(_safe_indexing(self.own, rows), self.columns[rows])


class StackedPipeline(RegressorMixin, BaseEstimator):
    """A pipeline whose last step also receives the columns of a `StackedView`.

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
        """Fit to X, a `StackedView`."""
        *transformers, last = clone(self.pipeline).steps
        name = self._name_of_step()
        steps = [*transformers, (name, AppendColumns(X.columns)), last]
        self.pipeline_ = clone(self.pipeline).set_params(steps=steps)
        self.pipeline_.fit(X.own, y, **fit_params)
        self.pipeline_.set_params(**{name: AppendColumns()})  # without training rows
        return self

    def from_fitted_steps(self, transformers, regressor):
        """A fitted copy that consists of fitted steps."""
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
        """Predict from X, a `StackedView`."""
        *transformers, _, (_, regressor) = self.pipeline_.steps
        view = X.own
        for _, transformer in transformers:
            if transformer not in (None, "passthrough"):
                view = transformer.transform(view)
        return regressor.predict(append_columns(view, X.columns))


class AppendColumns(TransformerMixin, BaseEstimator):
    """Appends given columns to those that it receives."""

    def __init__(self, columns=None):
        self.columns = columns

    def fit(self, X, y=None):
        """Return the transformer unchanged."""
        return self

    def transform(self, X):
        """X with the columns appended."""
        return append_columns(X, self.columns)

    def __sklearn_is_fitted__(self):
        return True


def append_columns(view, columns):
    """Append `columns` to an array, a sparse matrix or a dataframe."""
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
