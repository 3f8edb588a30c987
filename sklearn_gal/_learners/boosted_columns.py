"""Which columns LightGBM can read, and how it bundles them."""

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline

# LightGBM bundles two columns if they are in conflict in at most one row in this number.
ROWS_PER_CONFLICT = 10_000
# Pairs of columns are compared up to this number of columns.
MAX_COMPARED_COLUMNS = 200


def mode_counts(view):
    """Count the most frequent value of each column; infinite if that is unknown.

    Columns with a single value are left out, as LightGBM leaves them out. It may put rare
    categories into one bin: those of at most a hundredth of the rows in all, and those of
    fewer than three rows. They count with the most frequent category.
    """
    unknown = np.array([np.inf, np.inf])
    if sparse.issparse(view):
        return unknown
    counts = []
    for j in range(view.shape[1]):
        column = view.iloc[:, j] if _is_pandas(view) else view[:, j]
        if hasattr(column, "cat"):
            each = np.bincount(np.asarray(column.cat.codes) + 1)
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


def bundles_lose_nothing(view):
    """Whether the bundles of numeric columns that LightGBM may make lose no value.

    LightGBM bundles two columns if at most one row in ten thousand is outside the most
    frequent bins of both. Such rows lose a value.

    Parameters
    ----------
    view : ndarray or dataframe of shape (n_samples, n_columns)
        Numeric columns of all rows that LightGBM makes bins of.

    Returns
    -------
    harmless : bool
        False also if there are too many columns to compare.
    """
    n_rows, masks, slacks = view.shape[0], [], []
    if n_rows < ROWS_PER_CONFLICT:
        return True
    for j in range(view.shape[1]):
        column = np.asarray(view.iloc[:, j] if _is_pandas(view) else view[:, j])
        values, counts = np.unique(column, return_counts=True)
        mode = values[counts.argmax()]
        if len(values) > 1:
            masks.append(~np.isnan(column) if np.isnan(mode) else column != mode)
            # rows with other values that the most frequent bin may contain
            slacks.append(4 if len(values) < 200 else 2 * n_rows / 255)
    n_outside, slack = np.array([mask.sum() for mask in masks]), np.array(slacks)
    least = min(n_outside - slack, default=0)
    near = np.flatnonzero(n_outside - slack + least <= n_rows * (1 + 1 / ROWS_PER_CONFLICT))
    if len(near) > MAX_COMPARED_COLUMNS:
        return False
    outside = np.array([masks[j] for j in near], dtype=np.float32)
    conflicts = outside @ outside.T
    allowed = n_rows / ROWS_PER_CONFLICT + slack[near] + slack[near][:, None]
    loses = (conflicts > 0) & (conflicts <= allowed)
    return not loses[~np.eye(len(near), dtype=bool)].any()


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


def check_readable_by_lightgbm(estimator, view):
    """Refuse column types that LightGBM cannot read; some from polars abort Python.

    Parameters
    ----------
    estimator : estimator
        Local estimator; others than LightGBM's may have any columns.
    view : array-like, sparse matrix or dataframe
        The organization's columns.

    Raises
    ------
    ValueError
        If the estimator passes a dataframe to LightGBM that it cannot read.
    """
    if not hasattr(view, "columns") or not _passes_frame_to_lightgbm(estimator):
        return
    unreadable = []
    for name, dtype in zip(view.columns, view.dtypes, strict=True):
        if hasattr(dtype, "is_numeric"):  # polars
            readable = dtype.is_numeric() or str(dtype) == "Boolean"
        else:
            readable = dtype.kind in "biuf" or dtype.name == "category"
        if not readable:
            unreadable.append(f"{name!r} ({dtype})")
    if unreadable:
        raise ValueError(
            f"LightGBM cannot read the columns {', '.join(unreadable)}. It reads numbers, "
            "booleans and pandas categories (dtype 'category'). Encode other columns in a "
            "pipeline, e.g. strings with make_pipeline(OrdinalEncoder(), LGBMRegressor())."
        )


def _passes_frame_to_lightgbm(estimator):
    """Whether the columns reach LightGBM without a transformer in between."""
    if isinstance(estimator, Pipeline):
        *transformers, (_, last) = estimator.steps
        untouched = all(step in (None, "passthrough") for _, step in transformers)
        return untouched and _passes_frame_to_lightgbm(last)
    if type(estimator).__module__.partition(".")[0] == "lightgbm":
        return True
    inner = [getattr(estimator, name, None) for name in ("estimator", "regressor")]
    return any(_passes_frame_to_lightgbm(each) for each in inner if each is not None)
