"""LightGBM models that check the tables they receive, at any depth of an estimator.

LightGBM reads dataframes of polars and pyarrow through the Arrow C interface. A column of a
type that it does not know ends the interpreter there.
"""

from copy import copy
from functools import cache, wraps
from typing import Any

import numpy as np
from lightgbm import LGBMModel

from .default_learner import DefaultLearner
from .table_encoder import describe_unreadable, type_of

# What LightGBM reads through the Arrow C interface, by the names of polars and pyarrow
READABLE = {
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Boolean"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float", "double", "bool"),
}

# What LightGBM can write as JSON, by the names of pandas
READABLE_CATEGORIES = {
    *("string", "integer", "floating", "boolean", "empty"),
    *("mixed-integer", "mixed-integer-float"),
}
# Characters in names of columns at which LightGBM fails
REFUSED_IN_NAMES = set('"{}[]:,\n\r')
# The attribute of the types that check what they receive
_MARK = "_checks_tables"


def check_readable_by_lightgbm(table):
    """Refuse a table with columns of types that LightGBM cannot read.

    Parameters
    ----------
    table : object
        Array, sparse matrix, dataframe or column that LightGBM would receive.

    Raises
    ------
    ValueError
        If it is a dataframe or column with types that LightGBM cannot read. The message
        names all of these columns.
    """
    if type(table).__name__ == "LazyFrame":
        raise ValueError(
            "LightGBM received a LazyFrame, which has no rows yet: call collect() first."
        )
    library = type(table).__module__.partition(".")[0]
    columns: Any
    if library == "pandas":
        is_frame = hasattr(table, "dtypes") and hasattr(table, "columns")
        columns = zip(table.columns, table.dtypes, strict=True) if is_frame else ()
        readable = _is_readable_in_pandas
    elif hasattr(table, "dtypes") or hasattr(table, "schema"):
        columns, readable = _schema(table), _is_readable_in_arrow
    elif hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        type_ = getattr(table, "dtype", getattr(table, "type", type(table)))
        columns, readable = [(getattr(table, "name", ""), type_)], _is_readable_in_arrow
    else:
        return
    columns = list(columns)
    unreadable = [
        (name, type_of(table.iloc[:, j]) if library == "pandas" else str(dtype))
        for j, (name, dtype) in enumerate(columns)
        if not readable(dtype)
    ]
    if unreadable:
        raise ValueError(describe_unreadable(unreadable))
    names = [name for name, _ in columns if set(str(name)) & REFUSED_IN_NAMES]
    if names:
        raise ValueError(
            f"LightGBM cannot read columns with the names {', '.join(map(repr, names))}, "
            f"which have one of the characters {sorted(REFUSED_IN_NAMES)}: rename them, or "
            "use default_learner(), which reads all names."
        )


def _schema(table):
    """The names and types of the columns of a dataframe of polars or pyarrow."""
    schema = table.schema
    if hasattr(schema, "items"):  # polars
        return schema.items()
    return [(field.name, field.type) for field in schema]


def _is_readable_in_arrow(dtype):
    return str(dtype) in READABLE


def _is_readable_in_pandas(dtype):
    if hasattr(dtype, "categories"):
        # LightGBM writes the categories as JSON
        return dtype.categories.inferred_type in READABLE_CATEGORIES
    if hasattr(dtype, "pyarrow_dtype") or dtype == np.longdouble:
        return False
    return dtype.kind in "biuf"


@cache
def guarded_type(model_type):
    """A subclass of a LightGBM model's type that checks what it receives.

    It has the name of its base. Its instances are pickled as such.
    """

    def check_first(method):
        @wraps(method)
        def checked(self, *tables, **params):
            for table in (*tables, *params.values()):
                check_readable_by_lightgbm(table)
            return method(self, *tables, **params)

        return checked

    def reduce(self, protocol):
        return _new_guarded, (model_type,), self.__getstate__()

    methods = ("fit", "predict", "predict_proba")
    namespace = {
        name: check_first(getattr(model_type, name))
        for name in methods
        if hasattr(model_type, name)
    }
    namespace |= {
        "__module__": model_type.__module__,
        "__qualname__": model_type.__qualname__,
        "__doc__": model_type.__doc__,
        "__reduce_ex__": reduce,
        _MARK: True,
    }
    return type(model_type.__name__, (model_type,), namespace)


def _new_guarded(model_type):
    guarded = guarded_type(model_type)
    return guarded.__new__(guarded)


def guard(value, _above=()):
    """Replace the LightGBM models in an estimator by those that check their tables.

    Parameters
    ----------
    value : object
        Estimator, or anything that an attribute of an estimator can be.

    Returns
    -------
    value : object
        The same object if it contains no such model, else a copy: the given object stays
        as it is.
    """
    if isinstance(value, type) or id(value) in _above:
        return value
    above = (*_above, id(value))
    if isinstance(value, LGBMModel):
        if isinstance(value, DefaultLearner) or hasattr(value, _MARK):
            return value
        copied = _new_guarded(type(value))
        vars(copied).update(vars(value))
        return copied
    if type(value) in (list, tuple):
        parts = [guard(each, above) for each in value]
        changed = any(new is not old for new, old in zip(parts, value, strict=True))
        return type(value)(parts) if changed else value
    if type(value) is dict:
        changes = _guarded_items(value, above)
        return value | changes if changes else value
    if hasattr(value, "get_params") and hasattr(value, "__dict__"):
        changes = _guarded_items(vars(value), above)
        if changes:
            value = copy(value)
            vars(value).update(changes)
    return value


def _guarded_items(items, above):
    """The items of a dict that change when they are guarded."""
    pairs = ((name, old, guard(old, above)) for name, old in items.items())
    return {name: new for name, old, new in pairs if new is not old}
