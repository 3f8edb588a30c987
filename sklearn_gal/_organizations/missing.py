"""Rows in which all columns of an organization are missing."""

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from .._learners import is_number, to_floats


def missing_rows(X, columns):
    """Mask of the rows of X in which all of `columns` are missing, (n_samples,).

    NaN is missing, and so are None, NA and null in dataframes. The implicit zeros of a
    sparse matrix are not missing.
    """
    if sparse.issparse(X):
        missing = sparse.csr_matrix(X)[:, columns]
        missing.data = np.isnan(missing.data)
        return np.asarray(missing.sum(axis=1)).ravel() == len(columns)
    rows = None
    for column in columns:  # the first ones rule out most rows
        absent = is_missing(_safe_indexing(X, int(column), axis=1))
        rows = np.flatnonzero(absent) if rows is None else rows[absent[rows]]
        if len(rows) == 0:
            break
    missing = np.zeros(X.shape[0], dtype=bool)
    missing[rows] = True
    return missing


def is_missing(column):
    """Mask of the missing values of a one-dimensional array or a dataframe column."""
    if hasattr(column, "isna"):  # pandas
        return column.isna().to_numpy()
    if hasattr(column, "is_null"):  # polars
        missing = column.is_null().to_numpy()
        if column.dtype.is_float():
            missing = missing | column.is_nan().fill_null(True).to_numpy()
        return missing
    column = np.asarray(column)
    if column.dtype.kind == "O":
        return np.array([_is_missing_value(value) for value in column], bool)
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)


def _is_missing_value(value):
    """Whether an object is None, NaN, or one of the two constants of pandas."""
    if isinstance(value, (float, np.floating)):
        return value != value
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def has_text(values):
    """Whether an array or a column has strings among its values."""
    dtype = values.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        may_have = not dtype.is_numeric()
    else:
        may_have = dtype.kind in "OUT"
    return may_have and any(isinstance(value, str) for value in np.ravel(values))


def has_numbers(view):
    """Whether all values of an array are numbers, or strings that can be read as such."""
    try:
        np.asarray(view, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True


def is_numeric(column):
    """Whether a column of an array or of a frame has numbers and at least two values."""
    if not is_number(column):
        return False
    values = to_floats(column)
    return np.nanmin(values, initial=np.inf) < np.nanmax(values, initial=-np.inf)
