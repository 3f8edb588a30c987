"""Keys of pandas and polars tables, and the rows that have them."""

from numbers import Number
from typing import Any

import numpy as np

from .missing import is_missing

ABSENT = -1
NUMBERS = "numbers"


def complete_rows(columns):
    """Return the positions of the rows in which none of `columns` is missing."""
    return np.flatnonzero(~np.any([is_missing(column) for column in columns], axis=0))


def take(columns, rows):
    """Return the given rows of a list of columns; ABSENT is a missing row.

    Integer and boolean pandas columns become float if a row is missing.
    """
    if not hasattr(columns[0], "iloc"):
        series = type(columns[0])
        rows = series(rows, dtype=series([0]).dtype).replace(ABSENT, None)
        return [column.gather(rows) for column in columns]
    columns = [column.reset_index(drop=True) for column in columns]
    if (rows != ABSENT).all():
        columns = [column.iloc[rows] for column in columns]
    else:
        columns = [
            (column.astype(float) if column.dtype == bool else column).reindex(rows)
            for column in columns
        ]
    return [column.reset_index(drop=True) for column in columns]


def comparable(column, other):
    """Convert two key columns without missing values such that equal keys are equal.

    Returns
    -------
    column, other : Series
    kinds : tuple of str
        What the columns contain. Columns of different kinds cannot be compared.
    """
    of_pandas = hasattr(column, "iloc")
    plain = _plain_pandas if of_pandas else _plain_polars
    (column, kind), (other, other_kind) = plain(column), plain(other)
    if kind == other_kind and column.dtype != other.dtype:
        if not of_pandas:
            column, other = _with_one_polars_dtype(column, other)
        elif kind == NUMBERS:
            column, other = _with_one_pandas_dtype(column, other)
    return column, other, (kind, other_kind)


def _plain_pandas(column):
    """The column without categories, Arrow times and time zone, and what it contains."""
    if hasattr(column.dtype, "categories"):
        column = column.astype(column.dtype.categories.dtype)
    arrow: Any = getattr(column.dtype, "pyarrow_dtype", None)
    if hasattr(arrow, "tz"):  # a timestamp; a date has no time zone
        zone = f", {arrow.tz}" if arrow.tz else ""
        column = column.astype(f"datetime64[{arrow.unit}{zone}]")
    if hasattr(column.dtype, "tz"):
        return column.dt.tz_convert(None), "times with a time zone"
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        return column, "times without a time zone"
    first = column.iloc[0]
    if isinstance(first, str):
        return column, "text"
    # NumPy booleans are not registered as numbers.
    is_number = isinstance(first, (Number, np.bool_))
    return column, NUMBERS if is_number else type(first).__name__


def _with_one_pandas_dtype(column, other):
    kinds = {column.dtype.kind, other.dtype.kind}
    if "O" in kinds:
        return column.astype(object), other.astype(object)
    if "f" in kinds:
        return column.astype("float64"), other.astype("float64")
    return column, other


def _plain_polars(column):
    """The column without categories and time zone, and what it contains."""
    dtype = column.dtype
    kind = str(dtype.base_type()).lower()
    if kind in ("string", "categorical", "enum"):
        return column.cast(str), "text"
    if dtype.is_numeric() or kind == "boolean":
        return column, NUMBERS
    if kind != "datetime":
        return column, kind
    if dtype.time_zone is None:
        return column, "times without a time zone"
    column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column, "times with a time zone"


def _with_one_polars_dtype(column, other):
    if hasattr(column.dtype, "time_unit"):
        units = {column.dtype.time_unit, other.dtype.time_unit}
        finer = next(unit for unit in ("ns", "us", "ms") if unit in units)
        return column.dt.cast_time_unit(finer), other.dt.cast_time_unit(finer)
    whole = all(c.dtype.is_integer() or str(c.dtype) == "Boolean" for c in (column, other))
    dtype = int if whole else float  # an unsigned integer may not fit, and is null then
    return column.cast(dtype, strict=False), other.cast(dtype, strict=False)


def distinct(keys):
    """Return the different keys, as a list of columns."""
    frame = _frame(keys)
    frame = frame.drop_duplicates() if hasattr(frame, "iloc") else frame.unique()
    return [frame[name] for name in frame.columns]


def first_repeated(keys):
    """Return the values of the first key that is repeated."""
    frame = _frame(keys)
    if hasattr(frame, "iloc"):
        frame = frame[frame.duplicated()]
    else:
        frame = frame.filter(frame.is_duplicated())
    return [frame[name].head(1).to_list()[0] for name in frame.columns]


def find_rows(wanted, keys, asof=None):
    """Return the positions of the keys that equal `wanted`, ABSENT where there is none.

    Parameters
    ----------
    wanted, keys : list of Series
        Columns that are comparable. No key is missing, and none of `keys` is repeated.
    asof : int, default=None
        Number of a column. In this column, the last value that is not after the wanted one
        is found, among the keys that are equal in all other columns.

    Returns
    -------
    rows : ndarray of shape (n_wanted,)
    """
    if asof is not None:
        return _find_last_rows(wanted, keys, asof)
    names = [str(number) for number in range(len(keys))]
    left, right = _frame(wanted), _frame(keys)
    if hasattr(left, "iloc"):
        found = left.merge(right.assign(row=range(len(right))), how="left", on=names)
        return found["row"].fillna(ABSENT).to_numpy(np.intp)
    left, right = left.with_row_index("wanted"), right.with_row_index("row")
    found = left.join(right, how="left", on=names).sort("wanted")
    return found["row"].cast(int).fill_null(ABSENT).to_numpy()


def _find_last_rows(wanted, keys, asof):
    times = [columns[asof].to_numpy() for columns in (keys, wanted)]
    others = [columns[:asof] + columns[asof + 1 :] for columns in (keys, wanted)]
    if others[0]:
        different = distinct(others[0])
        groups = [find_rows(columns, different) for columns in others]
    else:
        groups = [np.zeros(len(each), dtype=np.intp) for each in times]
    # Sorted like this, the last key before a wanted row is its row if the groups are equal.
    group, time = np.concatenate(groups), np.concatenate(times)
    is_key = np.arange(len(group)) < len(times[0])
    order = np.lexsort((~is_key, time, group))
    last = np.maximum.accumulate(np.where(is_key[order], np.arange(len(order)), ABSENT))
    found = (last != ABSENT) & (group[order[last]] == group[order])
    rows = np.empty(len(order), dtype=np.intp)
    rows[order] = np.where(found, order[last], ABSENT)
    return rows[len(times[0]) :]


def _frame(columns):
    """Dataframe of columns with the names "0", "1" and so on."""
    dataframe = type(columns[0].to_frame())
    return dataframe({str(number): column for number, column in enumerate(columns)})
