"""Alignment of the keyed tables of several organizations."""

import numpy as np
from sklearn.utils import Bunch

from .missing import is_missing


def align_organizations(tables, on, how="inner", target=None):
    """Join the keyed tables of several organizations.

    Parameters
    ----------
    tables : dict of str to dataframe
        Names of the organizations and their pandas or polars dataframes, with one row per
        key. The first table is that of the label holder.
    on : str, list of str, or dict
        Name or names of the key columns. If the names differ between the tables, a dict
        from the name of each organization to its key columns.
    how : {"inner", "left"}, default="inner"
        If "inner", X has the keys that are in all tables. If "left", X has all keys of the
        first table, and the columns of an organization are missing in rows that its table
        does not have, see ``missing_rows="abstain"``.
    target : str, default=None
        Name of a column of the first table that is returned as `y` instead of in X.

    Returns
    -------
    aligned : Bunch
        Dictionary-like object with the following attributes.

        - `X`: dataframe with one row per key, in the order of the first table, without the
          key columns. In pandas, the keys are the index. If rows are missing, integer and
          boolean pandas columns are converted to float, which supports missing values.
        - `columns`: dict from the name of each organization to the list of its columns,
          for the parameter `organizations` of an estimator.
        - `overlap`: dataframe with the number of keys that two organizations share. The
          diagonal has the number of keys of each organization.
        - `row_keys`: dataframe of the keys of X.
        - `y`: column `target`, if it is given.

    Raises
    ------
    TypeError
        If the tables are neither all pandas nor all polars dataframes.
    ValueError
        If a key is repeated or missing in a table, if keys differ in type, if two
        organizations have a column of the same name, or if no key is left.

    See Also
    --------
    GALClassifier : Its parameter `missing_rows` determines how missing rows are treated.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_gal import align_organizations
    >>> clinic = pd.DataFrame(
    ...     {"patient": [3, 1, 2], "age": [50, 60, 70], "sick": [0, 1, 1]}
    ... )
    >>> laboratory = pd.DataFrame({"patient": [1, 2, 9], "glucose": [5.5, 7.0, 6.1]})
    >>> tables = {"clinic": clinic, "laboratory": laboratory}
    >>> aligned = align_organizations(tables, on="patient", how="left", target="sick")
    >>> aligned.X.reset_index()
       patient  age  glucose
    0        3   50      NaN
    1        1   60      5.5
    2        2   70      7.0
    >>> aligned.columns
    {'clinic': ['age'], 'laboratory': ['glucose']}
    >>> aligned.overlap
                clinic  laboratory
    clinic           3           2
    laboratory       2           3
    """
    _check_tables(tables)
    if how not in ("inner", "left"):
        raise ValueError(f"how must be 'inner' or 'left', got {how!r}.")
    key_columns = {name: _key_columns(name, table, on) for name, table in tables.items()}
    keys = {name: _keys(name, tables[name], key_columns[name]) for name in tables}
    _check_comparable(keys)
    columns = _data_columns(tables, key_columns, target)
    positions = {
        name: {key: position for position, key in enumerate(keys[name])} for name in tables
    }
    aligned_keys = _aligned_keys(keys, how, on)
    rows = {name: [positions[name].get(key) for key in aligned_keys] for name in tables}
    data: dict = {}
    for name, table in tables.items():
        data |= _select(table, columns[name], rows[name])
    first = next(iter(tables))
    index = _select(tables[first], key_columns[first], rows[first])
    aligned = Bunch(
        X=_make_frame(tables[first], data, index),
        columns=columns,
        overlap=_overlap(tables[first], positions),
        row_keys=_make_frame(tables[first], index),
    )
    if target is not None:
        aligned.y = _select(tables[first], [target], rows[first])[target]
    return aligned


def _check_tables(tables):
    if not isinstance(tables, dict) or not tables:
        raise TypeError(
            "tables must be a dict of organizations' names to dataframes, got "
            f"{type(tables).__name__}."
        )
    kinds = {}
    for name, table in tables.items():
        if not isinstance(name, str):
            raise TypeError(f"The names of organizations must be strings, got {name!r}.")
        kinds[name] = type(table).__module__.partition(".")[0]
        is_frame = hasattr(table, "columns") and hasattr(table, "dtypes")
        if kinds[name] not in ("pandas", "polars") or not is_frame:
            raise TypeError(
                f"The table of organization {name!r} must be a dataframe of pandas or "
                f"polars, got {type(table).__module__}.{type(table).__name__}."
            )
    if len(set(kinds.values())) > 1:
        raise TypeError(f"All tables must be of the same library, got {kinds}.")


def _key_columns(name, table, on):
    """Names of the key columns in the table of one organization."""
    if isinstance(on, dict):
        if name not in on:
            raise ValueError(
                f"on={on!r} does not name the key of organization {name!r}: add its key "
                "columns."
            )
        on = on[name]
    on = [on] if isinstance(on, str) else list(on)
    missing = [column for column in on if column not in list(table.columns)]
    if missing or not on:
        raise ValueError(
            f"The table of organization {name!r} has no key column {missing}; its columns "
            f"are {list(table.columns)}. Pass one of them as `on`. If the keys are the "
            "index, convert it to a column with reset_index()."
        )
    return on


def _keys(name, table, key_columns):
    """Keys of a table as a list of tuples, checked to be unique and not missing."""
    for column in key_columns:
        missing = np.count_nonzero(is_missing(table[column]))
        if missing:
            raise ValueError(
                f"The key {column!r} of organization {name!r} is missing in {missing} of "
                f"{table.shape[0]} rows: remove these rows or fill in their keys."
            )
    keys = list(zip(*(table[column].to_list() for column in key_columns), strict=True))
    if len(set(keys)) < len(keys):
        seen, repeated = set(), []
        for key in keys:
            if key in seen:
                repeated.append(key)
            seen.add(key)
        example = repeated[0][0] if len(key_columns) == 1 else repeated[0]
        raise ValueError(
            f"The table of organization {name!r} has {len(repeated)} rows with the key of "
            f"an earlier row, e.g. {example!r}. There must be one row per key: aggregate "
            "or remove the repeated rows."
        )
    return keys


def _check_comparable(keys):
    """Raise an error if keys cannot be equal, such as numbers and strings."""
    first, *others = [name for name in keys if keys[name]]
    for name in others:
        for one, other in zip(keys[first][0], keys[name][0], strict=False):
            if isinstance(one, str) != isinstance(other, str):
                raise ValueError(
                    f"The keys of organizations {first!r} and {name!r} differ in type, "
                    f"{type(one).__name__} and {type(other).__name__}: convert one of them."
                )
        if len(keys[first][0]) != len(keys[name][0]):
            raise ValueError(
                f"The keys of organizations {first!r} and {name!r} differ in their number "
                f"of columns, {len(keys[first][0])} and {len(keys[name][0])}: pass equally "
                "many columns for each organization in `on`."
            )


def _data_columns(tables, key_columns, target):
    """Columns of each organization without its key and the target, checked to be unique."""
    columns = {
        name: [column for column in table.columns if column not in key_columns[name]]
        for name, table in tables.items()
    }
    if target is not None:
        first = next(iter(tables))
        if target not in columns[first]:
            raise ValueError(
                f"target={target!r} is no column of the first table, of organization "
                f"{first!r}. Use one of its columns: {columns[first]}."
            )
        columns[first].remove(target)
    owner: dict[str, str] = {}
    for name, data_columns in columns.items():
        if not data_columns:
            raise ValueError(
                f"The table of organization {name!r} has no columns apart from the key and "
                "the target: add columns, or remove the table."
            )
        for column in data_columns:
            if column in owner:
                raise ValueError(
                    f"Organizations {owner[column]!r} and {name!r} both have a column "
                    f"{column!r}: rename it in one of the tables."
                )
            owner[column] = name
    return columns


def _aligned_keys(keys, how, on):
    """Keys of the rows of X, in the order of the first table."""
    first, *others = keys
    if how == "left":
        if not keys[first]:
            raise ValueError(f"The table of organization {first!r} has no rows.")
        return keys[first]
    shared = set(keys[first]).intersection(*(keys[name] for name in others))
    if not shared:
        raise ValueError(
            f"No key is in all tables of {list(keys)}: check that {on!r} means the same "
            "in all of them."
        )
    return [key for key in keys[first] if key in shared]


def _select(table, columns, positions):
    """Columns of a table by name, with rows at `positions`; None is a missing row."""
    if hasattr(table, "iloc"):
        part = table[columns].reset_index(drop=True)
        if None not in positions:
            part = part.iloc[positions].reset_index(drop=True)
        else:
            booleans = [column for column in columns if part[column].dtype == bool]
            part = part.astype(dict.fromkeys(booleans, float))
            part = part.reindex([-1 if p is None else p for p in positions])
            part = part.reset_index(drop=True)
        return {column: part[column] for column in columns}
    return {column: table[column].gather(positions) for column in columns}


def _make_frame(like, columns, index=None):
    """Create a dataframe like `like`. In pandas, the columns of `index` are its index."""
    frame = type(like)(columns)
    if index is not None and hasattr(frame, "set_index"):
        frame = type(like)({**index, **columns}).set_index(list(index))
    return frame


def _overlap(like, positions):
    """Number of keys that each pair of organizations shares, as a dataframe like `like`."""
    counts = {
        name: [len(one.keys() & other.keys()) for other in positions.values()]
        for name, one in positions.items()
    }
    if hasattr(like, "set_index"):
        frame = type(like)(counts)
        frame.index = list(positions)
        return frame
    return type(like)({"organization": list(positions), **counts})
