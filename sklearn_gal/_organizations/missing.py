"""Which rows of a table an organization does not have."""

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing


def missing_rows(X, columns):
    """Mask of the rows of X in which all of `columns` are missing, (n_samples,).

    Missing are NaN, and None, NA and null in data frames; nothing that a sparse matrix
    does not store.
    """
    if sparse.issparse(X):
        missing = sparse.csr_matrix(X)[:, columns]
        missing.data = np.isnan(missing.data)
        return np.asarray(missing.sum(axis=1)).ravel() == len(columns)
    rows = None
    for column in columns:  # few rows are left after the first one
        absent = is_missing(_safe_indexing(X, int(column), axis=1))
        rows = np.flatnonzero(absent) if rows is None else rows[absent[rows]]
        if len(rows) == 0:
            break
    missing = np.zeros(X.shape[0], dtype=bool)
    missing[rows] = True
    return missing


def is_missing(column):
    """Mask of the values of an array or a column of a frame that are missing."""
    if hasattr(column, "isna"):  # pandas
        return column.isna().to_numpy()
    if hasattr(column, "is_null"):  # polars
        missing = column.is_null().to_numpy()
        if column.dtype.is_float():
            missing = missing | column.is_nan().fill_null(True).to_numpy()
        return missing
    column = np.asarray(column)
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)
