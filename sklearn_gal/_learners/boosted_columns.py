"""Binned columns, and how LightGBM bundles them."""

from dataclasses import dataclass

import numpy as np
from lightgbm import Booster, Dataset
from scipy import sparse

# LightGBM bundles columns if at most this share of the rows loses a value.
_MAX_CONFLICTS = 1e-4


@dataclass
class Binned:
    """Binned rows of one fit.

    Parameters
    ----------
    train : Dataset
        Rows to fit to.
    others : ndarray of int
        Rows to predict that are not fitted to.
    predict : Dataset or None, default=None
        These other rows; None: there are none, or they cannot be predicted from bins.
    predicts_from_bins : bool, default=False
        Whether binned rows reach the same leaves as the rows themselves, so that fitted
        values need no prediction.
    booster : Booster or None, default=None
        The booster of these rows before its first trees, if it can be rewound.
    weight : ndarray of shape (n_rows,) or None, default=None
        Sample weights of the rows to fit to.
    """

    train: Dataset
    others: np.ndarray
    predict: Dataset | None = None
    predicts_from_bins: bool = False
    booster: Booster | None = None
    weight: np.ndarray | None = None


def bundles_keep_values(view, categorical=()):
    """Whether LightGBM's bundles of columns lose no value of these rows.

    With fewer than 10,000 rows it bundles columns only if none loses a value. Nor does a
    bundle lose any if a row has at most one value other than 0, the most frequent value of
    each column. LightGBM does not count all conflicts of categories.
    """
    if categorical or not is_numeric(view):
        return False
    if view.shape[0] * _MAX_CONFLICTS < 1:
        return True
    others = np.asarray(view, dtype=np.float64) != 0
    return bool(others.sum(axis=1).max() <= 1 and others.mean(axis=0).max() < 0.5)


def mode_counts(view, categorical=()):
    """Count the most frequent value of each column; infinite if that is unknown.

    Columns with a single value are left out, as LightGBM leaves them out. It may put rare
    categories into one bin: those of at most a hundredth of the rows in all, and those of
    fewer than three rows. They count with the most frequent category. The columns of an
    array at the positions `categorical` have codes of categories.
    """
    unknown = np.array([np.inf, np.inf])
    if sparse.issparse(view):
        return unknown
    counts = []
    for j in range(view.shape[1]):
        column = view.iloc[:, j] if _is_pandas(view) else view[:, j]
        codes = column.cat.codes if hasattr(column, "cat") else None
        if j in categorical:
            codes = np.nan_to_num(column, nan=-1.0).astype(np.intp)
        if codes is not None:
            each = np.bincount(np.asarray(codes) + 1)
            rare = len(column) / 100 + each[each < 3].sum()
            if each.max() < len(column):
                counts.append(each.max() + rare)
            continue
        if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "fiub":
            return unknown
        column = np.sort(np.asarray(column))
        starts = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
        n_missing = np.count_nonzero(np.isnan(column))
        most = max(n_missing, np.diff(starts, append=len(column)).max())
        if most < len(column):
            counts.append(most)
    return np.array(counts, dtype=float)


def is_numeric(view):
    """Whether all columns are dense numbers or booleans of NumPy's types."""
    if _is_pandas(view):
        return all(
            isinstance(each, np.dtype) and each.kind in "fiub" for each in view.dtypes
        )
    return isinstance(view, np.ndarray)


def never_bundled(counts, n_rows):
    """Whether LightGBM cannot bundle any two columns of `n_rows` with these mode counts.

    It bundles two columns only if the rows outside their most frequent bins are at most as
    many as all rows. A bin holds a single value, or about a 255th of the rows and at most
    twice that.
    """
    shares = np.sort(counts / n_rows)[-2:] + 2 * max(1 / 255, 3 / n_rows)
    return len(shares) < 2 or shares.sum() < 0.9


def is_plain(view):
    """Whether LightGBM reads the columns without converting them."""
    if isinstance(view, np.ndarray):
        return view.dtype.kind in "fiub"
    return sparse.isspmatrix_csr(view) or _is_pandas(view)


def _is_pandas(view):
    return type(view).__module__.partition(".")[0] == "pandas"


def has_columns(train):
    """Whether LightGBM can split any column of binned rows."""
    return any(train.feature_num_bin(j) > 0 for j in range(train.num_feature()))
