"""Rows whose columns come from two tables of the same kind."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing


def n_columns_of(view):
    """The number of columns of a view; one if it is one-dimensional."""
    return 1 if len(view.shape) == 1 else view.shape[1]


def rows_of(view, rows):
    """A selection of the rows of a view, which may repeat."""
    part = _safe_indexing(view, rows)
    return part.reset_index(drop=True) if hasattr(part, "reset_index") else part


def as_sparse_as(other, view):
    """A view as a sparse matrix if another table is one, else as it is or dense."""
    if sparse.issparse(view) == sparse.issparse(other):
        return view
    return view.toarray() if sparse.issparse(view) else sparse.csr_matrix(np.asarray(view))


def mixed(view, other, mask):
    """The rows of `other`, with some columns of `view`.

    Parameters
    ----------
    view, other : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        Tables of one kind, of which dataframes have the same index.
    mask : ndarray of bool of shape (n_columns,)
        Which columns are those of `view`.

    Returns
    -------
    composite : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        A new table, or one of the two if it has all columns.
    """
    if mask.all():
        return view
    if not mask.any():
        return other
    columns = np.flatnonzero(mask)
    if sparse.issparse(view):
        return _only(view, mask) + _only(other, ~mask)
    if isinstance(view, np.ndarray):
        composite = np.array(other, order="F")
        composite[:, columns] = view[:, columns]
        return composite
    if not hasattr(view, "iloc"):  # polars
        return other.with_columns([view.to_series(int(j)) for j in columns])
    composite = other.copy()
    for j in columns:
        composite.isetitem(j, view.iloc[:, j])
    return composite


def _only(matrix, mask):
    """A sparse matrix without the entries of the other columns, which may be NaN."""
    entries: Any = matrix.tocoo()
    kept = mask[entries.col]
    places = entries.row[kept], entries.col[kept]
    return sparse.csr_matrix((entries.data[kept], places), shape=matrix.shape)


def origin_of_columns(transform, view, others):
    """Of which column of a view each transformed column is a function.

    It is found by exchanging one column after the other between rows.

    Parameters
    ----------
    transform : callable
        Transforms the rows of a view.
    view, others : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        Rows for which it is asked, and others with which they exchange columns.

    Returns
    -------
    origin : ndarray of int of shape (n_transformed_columns,) or None
        Position of the column, -1 for a transformed column that is the same in all rows.
        None if some are functions of several columns.
    """
    each, of_others = np.arange(view.shape[0]), np.arange(others.shape[0])
    pairs = [
        (rows_of(view, each), rows_of(others, each % len(of_others))),
        (rows_of(others, of_others), rows_of(others, np.roll(of_others, -1))),
    ]
    n_columns = n_columns_of(view)
    origin: Any = None
    for rows, partners in pairs:
        before, after = _dense(transform(rows)), _dense(transform(partners))
        if origin is None:
            origin = np.full(before.shape[1], -1 if n_columns > 1 else 0)
        for column in range(n_columns if n_columns > 1 else 0):
            exchanged = mixed(partners, rows, np.arange(n_columns) == column)
            changed = _dense(transform(exchanged))
            depends = ~_same(before, changed).all(axis=0)
            if (depends & (origin >= 0) & (origin != column)).any():
                return None
            if not _same(after, changed)[:, depends].all():
                return None
            origin[depends] = column
    return origin


def _dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def _same(values, others):
    return (values == others) | ((values != values) & (others != others))
