"""Which columns LightGBM can read, and how it bundles them."""

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline

# LightGBM bundles columns if at most this share of the rows loses a value.
_MAX_CONFLICTS = 1e-4


def bundles_keep_values(view):
    """Whether LightGBM's bundles of columns lose no value of these rows.

    With fewer than 10,000 rows it bundles columns only if none loses a value. Nor does a
    bundle lose any if a row has at most one value other than 0, the most frequent value of
    each column. LightGBM does not count all conflicts of categories.
    """
    if not is_numeric(view):
        return False
    if view.shape[0] * _MAX_CONFLICTS < 1:
        return True
    others = np.asarray(view, dtype=np.float64) != 0
    return bool(others.sum(axis=1).max() <= 1 and others.mean(axis=0).max() < 0.5)


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
