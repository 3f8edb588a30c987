"""A matrix of floats from the columns of a table, with codes for categories."""

from typing import Any

import numpy as np
from scipy import sparse

# How the names of types begin that hold neither numbers nor strings
_STARTS = {
    "dates": ("date", "time", "duration", "period"),
    "complex": ("complex",),
    "containers": (
        *("dict", "list", "tuple", "set", "frozenset", "ndarray"),
        *("struct", "array", "map", "large_list", "fixed_size_list"),
    ),
}
# What to do about them
_ADVICE = {
    "dates": "Convert dates and times to numbers, e.g. to days since a date.",
    "complex": "Give the real and the imaginary part of complex numbers a column each.",
    "containers": "Give each entry of dicts, lists and other containers a column.",
    "strings": (
        "Convert strings to categories, e.g. with astype('category') in pandas or "
        "cast(pl.Categorical) in polars, or encode the columns in a pipeline, e.g. with "
        "make_pipeline(OrdinalEncoder(), LGBMRegressor())."
    ),
}


class TableEncoder:
    """Makes a float64 matrix of a table's columns.

    Numbers and booleans of all types become floats. Categories become codes: the position
    of a value among the categories of `fit`, and NaN for other values. Missing values
    become NaN. Sparse matrices stay sparse.

    Codes of categories that are ordered, or of which there are two, are numbers. Other
    columns of codes can be in the matrix twice: as categories, and once more as numbers in
    columns at its end.

    Parameters
    ----------
    twice : bool, default=True
        Whether columns of codes are in the matrix twice.
    """

    def __init__(self, twice=True):
        self.twice = twice

    def fit(self, view):
        """Find the categories.

        Parameters
        ----------
        view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
            Training rows.

        Returns
        -------
        self : TableEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If columns are neither numbers nor categories. The message names all of them.
        """
        self.codes: dict[int, dict[Any, float]] = {}
        self.n_levels: dict[int, int] = {}
        unreadable = []
        for j, (name, column) in enumerate(_columns(view)):
            categories, ordered = _categories(column)
            if categories is not None:
                codes = {value: float(code) for code, value in enumerate(categories)}
                self.codes[j] = codes
                known = _encode(column, codes)
                n_levels = len(np.unique(known[~np.isnan(known)]))
                if n_levels > 2 and not ordered:
                    self.n_levels[j] = n_levels
            elif not is_number(column):
                unreadable.append((name, type_of(column)))
        if unreadable:
            raise ValueError(describe_unreadable(unreadable))
        return self

    @property
    def categorical(self):
        """The positions of the columns of categories in the matrix, a list."""
        return list(self.n_levels)

    def gain_factors(self, n_columns):
        """Factors of the gain of a split, one per column of a matrix; None if all are 1.

        A split of K levels into two sets is the best of many, so that it gains by chance.
        """
        if not self.n_levels:
            return None
        factors = np.ones(n_columns)
        factors[self.categorical] = np.sqrt(2 / np.array(list(self.n_levels.values())))
        return factors.tolist()

    def transform(self, view):
        """Make the matrix.

        Parameters
        ----------
        view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
            Rows with the columns of `fit`.

        Returns
        -------
        matrix : ndarray or csr_matrix of shape (n_samples, n_columns + n_twice)
            In column-major order, unless it is sparse.

        Raises
        ------
        ValueError
            If columns that were numbers in `fit` are none. The message names all of them.
        """
        if sparse.issparse(view):
            return sparse.csr_matrix(view, dtype=np.float64)
        if isinstance(view, np.ndarray) and view.dtype.kind in "fiub" and not self.codes:
            return np.asfortranarray(view, dtype=np.float64)
        n_samples, n_columns = view.shape
        copied = self.categorical if self.twice else []
        matrix = np.empty((n_samples, n_columns + len(copied)), order="F")
        unreadable = []
        for j, (name, column) in enumerate(_columns(view)):
            if j in self.codes:
                matrix[:, j] = _encode(column, self.codes[j])
            elif is_number(column):
                matrix[:, j] = to_floats(column)
            else:
                unreadable.append((name, type_of(column)))
        if unreadable:
            raise ValueError(describe_unreadable(unreadable))
        matrix[:, n_columns:] = matrix[:, copied]
        return matrix

    def __eq__(self, other):
        return isinstance(other, TableEncoder) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def describe_unreadable(columns):
    """An error message about columns that are neither numbers nor categories.

    Parameters
    ----------
    columns : list of (object, str)
        Names or positions of the columns, and their types, as `type_of` names them.

    Returns
    -------
    message : str
        The message, with what to do about them.
    """
    listed = ", ".join(f"{name!r} ({type_name})" for name, type_name in columns)
    kinds = {_kind(type_name) for _, type_name in columns}
    advice = [sentence for kind, sentence in _ADVICE.items() if kind in kinds]
    return (
        f"LightGBM cannot read the columns {listed}. It reads numbers, booleans and "
        f"categories. {' '.join(advice)}"
    )


def type_of(column):
    """Return the name of a column's type; of objects, with that of the first to convert."""
    name = str(column.dtype)
    unusual = type_of_no_number(column) if name.lower() == "object" else None
    return name if unusual is None else f"{name} of type {unusual.__name__}"


def type_of_no_number(column):
    """Return the type of the first value of a column that is no number; None without one.

    Missing values count as numbers.
    """
    dense = column.to_list() if hasattr(column, "to_list") else np.ravel(column).tolist()
    for value in dense:
        missing = value is None or type(value).__name__ in ("NAType", "NaTType")
        if not missing and not _is_read_as_float(value):
            return type(value)
    return None


def _is_read_as_float(value):
    if isinstance(value, (str, bytes)):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _kind(type_name):
    """Return what a type of pandas, polars, Arrow, numpy or Python holds."""
    name = type_name.lower().removeprefix("object of type ")
    kinds = [kind for kind, starts in _STARTS.items() if name.startswith(starts)]
    return kinds[0] if kinds else "strings"


def _columns(view):
    """The names, or else the positions, of the columns of a dense view, and the columns."""
    if sparse.issparse(view):
        return
    if hasattr(view, "items"):  # of pandas, faster than to select each column
        yield from view.items()
        return
    names = view.columns if hasattr(view, "columns") else range(view.shape[1])
    for j, name in enumerate(names):
        yield name, view[:, j]


def _categories(column):
    """The categories of a column, None if it has none, and whether their order counts."""
    dtype = column.dtype
    if _is_arrow_dictionary(dtype):
        column = column.astype("category")
    if hasattr(column, "cat") and hasattr(column.cat, "categories"):  # pandas
        return list(column.cat.categories), bool(column.cat.ordered)
    if str(dtype).startswith("Enum"):  # polars
        return dtype.categories.to_list(), False
    if str(dtype).startswith("Categorical") and hasattr(column, "to_list"):
        return sorted(column.drop_nulls().cast(str).unique().to_list()), False
    return None, False


def _is_arrow_dictionary(dtype):
    return hasattr(dtype, "pyarrow_dtype") and str(dtype).startswith("dictionary")


def _encode(column, codes):
    """The codes of a column's values; NaN for values that have none."""
    if hasattr(column, "cat") and hasattr(column.cat, "categories"):
        table = [codes.get(value, np.nan) for value in column.cat.categories]
        return np.array([*table, np.nan])[column.cat.codes.to_numpy()]  # -1 is missing
    values = column.to_list() if hasattr(column, "to_list") else column.tolist()
    return np.array([codes.get(value, np.nan) for value in values], dtype=np.float64)


def is_number(column):
    """Whether the values of a column are numbers or booleans, or missing."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return dtype.kind in "fiub" or (dtype.kind == "O" and _holds_numbers(column))
    if hasattr(dtype, "is_numeric"):  # polars
        return dtype.is_numeric() or str(dtype) in ("Boolean", "Null")
    if hasattr(column, "sparse"):
        return dtype.subtype.kind in "fiub"
    if hasattr(dtype, "pyarrow_dtype"):
        number = ("int", "uint", "float", "double", "halffloat", "decimal", "bool", "null")
        return str(dtype).startswith(number)
    return dtype.kind in "fiub"


def _holds_numbers(column):
    """Whether the objects of a column can be converted to floats; strings cannot."""
    values = np.asarray(column, dtype=object)
    if any(isinstance(value, (str, bytes)) for value in values):
        return False
    try:
        to_floats(column)
    except (TypeError, ValueError):
        return False
    return True


def to_floats(column):
    """A column of numbers as floats; NaN where a value is missing."""
    if hasattr(column, "sparse"):
        column = column.sparse.to_dense()
    if hasattr(column, "isna"):  # pandas
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if hasattr(column, "is_null"):  # polars
        return column.cast(float).to_numpy()
    return np.asarray(column, dtype=np.float64)
