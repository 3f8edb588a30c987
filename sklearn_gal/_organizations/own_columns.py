"""The columns of an organization, cut out of a table."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from .._learners import DefaultLearner, column_major, in_double_precision, to_floats
from .missing import missing_rows

# Parts of larger tables are not kept, because they would take more memory than time.
MAX_REMEMBERED_ROWS = 10_000
# Larger dataframes are not read as one matrix, nor those with larger values, because floats
# are not exact for integers beyond, which may be categories.
MAX_VALUES_OF_MATRIX, MAX_VALUE_OF_MATRIX = 1_000_000, 2.0**53


class OwnColumns:
    """Cuts the columns of an organization out of tables.

    A prediction asks an organization for sums, for single functions and for columns. For
    few rows, most of the time is spent on selecting columns. So what is cut out of a table
    to predict is kept until the prediction ends.
    """

    columns: Any  # positions
    estimator: Any
    one_dimensional: bool  # whether the estimator receives a one-dimensional column
    _keeps_objects = True  # whether arrays of objects stay what they are
    # by name of the part, with the table; None outside predictions
    _remembered: dict | None = None
    _matrices: dict | None = None  # the same for all organizations

    def remember_rows(self, matrices):
        """Begin to keep what is cut out of tables.

        Parameters
        ----------
        matrices : dict
            Where organizations keep the matrix of a table that they have in common.
        """
        self._remembered, self._matrices = {}, matrices

    def forget_rows(self):
        """End to keep what is cut out of tables."""
        self._remembered = self._matrices = None

    def _once(self, name, X, compute):
        """Return what `compute` returns, which is kept for the same table."""
        remembered = self._remembered  # another thread may forget it
        if remembered is None or X.shape[0] > MAX_REMEMBERED_ROWS:
            return compute()
        table, value = remembered.get(name, (None, None))
        if table is not X:
            value = compute()
            remembered[name] = X, value
        return value

    def _matrix(self, X):
        """Return a small dataframe as floats; None unless all are numbers of NumPy's types.

        Selecting columns of a dataframe takes longer than predicting a row.
        """
        matrices = self._matrices  # another thread may forget it
        if matrices is None or not hasattr(X, "iloc"):
            return None
        table, matrix = matrices.get("matrix", (None, None))
        if table is not X:
            is_small = X.shape[0] * X.shape[1] <= MAX_VALUES_OF_MATRIX
            matrix = X.to_numpy(np.float64) if is_small and _has_numbers(X) else None
            if matrix is not None and (np.abs(matrix) > MAX_VALUE_OF_MATRIX).any():
                matrix = None
            matrices["matrix"] = X, matrix
        return matrix

    def missing(self, X):
        """Return the mask of the rows in which all columns are missing, (n_samples,)."""

        def compute():
            matrix = self._matrix(X)
            if matrix is None:
                return missing_rows(X, self.columns)
            return np.isnan(matrix[:, self.columns]).all(axis=1)

        return self._once("missing", X, compute)

    def column(self, X, position):
        """Return one of the organization's columns as floats, (n_samples,)."""
        at, matrix = int(self.columns[position]), self._matrix(X)
        if matrix is not None:
            return matrix[:, at]

        def cut():
            if sparse.issparse(X):
                return to_floats(_safe_indexing(X, [at], axis=1).toarray()[:, 0])
            return to_floats(_safe_indexing(X, at, axis=1))

        return self._once(at, X, cut)

    def _column_major(self, X):
        """Return the columns as learners predict them."""

        def compute():
            reads_floats = type(self.estimator) is DefaultLearner
            matrix = self._matrix(X) if reads_floats else None
            return column_major(
                self._view(X) if matrix is None else matrix[:, self.columns]
            )

        return self._once("column_major", X, compute)

    def _view(self, X):
        """Return the columns as learners fit them."""
        view = self._selection(X)
        keeps = self._keeps_objects or self.one_dimensional or not has_objects(view)
        return view if keeps else view.astype(np.float64)

    def _selection(self, X):
        """Return the columns, with their types."""
        return self._once("selection", X, lambda: self._select(X))

    def _select(self, X):
        first, last = self.columns[0], self.columns[-1]
        if self.one_dimensional:
            return _safe_indexing(X, int(first), axis=1)
        if isinstance(X, np.ndarray) and np.array_equal(
            self.columns, np.arange(first, last + 1)
        ):
            view = X[:, first : last + 1]  # not a copy, so it must not be written to
            view.flags.writeable = False
            return in_double_precision(view)
        view = _safe_indexing(X, self.columns, axis=1)
        # LightGBM reads sparse matrices, but not yet sparse arrays
        view = sparse.csr_matrix(view) if sparse.issparse(view) else view
        return in_double_precision(view)


def _has_numbers(frame):
    """Whether all columns of a dataframe are numbers or booleans in NumPy's types."""
    return all(
        isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in frame.dtypes
    )


def has_objects(view):
    """Whether a view is an array of objects."""
    return isinstance(view, np.ndarray) and view.dtype.kind == "O"
