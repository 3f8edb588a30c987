"""From the keyed tables of several organizations to one X."""

import numpy as np
from sklearn.utils import Bunch

from .missing import is_missing


def align_organizations(tables, on, how="inner", target=None):
    """Put keyed tables of several organizations side by side.

    Parameters
    ----------
    tables : dict of str to dataframe
        Name of each organization and its table, pandas or polars, with one row per key.
        The first is that of the label holder.
    on : str, list of str, or dict
        The column or columns that hold the key; as a dict, of each organization, where
        they differ in name.
    how : {"inner", "left"}, default="inner"
        ``"inner"``: the keys that all have. ``"left"``: all keys of the first table; the
        columns of those who lack a key are missing there, see ``missing_rows="abstain"``.
    target : str, default=None
        A column of the first table that is not to be in X but in `y`.

    Returns
    -------
    aligned : Bunch
        - `X`: dataframe, one row per key in the order of the first table, without the
          keys. In pandas the keys are its index. Where rows are missing, pandas columns of
          integers and of booleans turn into floats, since those can be missing.
        - `columns`: dict of each organization's name to the list of its columns, ready for
          the `organizations` of an estimator.
        - `overlap`: dataframe of the numbers of keys that each organization has, on the
          diagonal, and that two of them share.
        - `row_keys`: dataframe of the keys of X.
        - `y`: the column `target`, if there is one.

    Raises
    ------
    TypeError
        If the tables are not all of pandas or all of polars.
    ValueError
        If a key occurs twice or is missing in a table, if keys differ in type, if two
        organizations have a column of the same name, or if no key is left.

    See Also
    --------
    GALClassifier : Its parameter `missing_rows` says what to do about missing rows.

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
    columns = {
        name: [column for column in table.columns if column not in key_columns[name]]
        for name, table in tables.items()
    }
    first, *others = tables
    if target is not None:
        if target not in columns[first]:
            raise ValueError(
                f"target={target!r} is no column of the first table, of organization "
                f"{first!r}, which has {columns[first]}."
            )
        columns[first].remove(target)
    _check_columns(columns)

    positions = {
        name: {key: position for position, key in enumerate(held)}
        for name, held in keys.items()
    }
    chosen = keys[first]
    if how == "inner":
        chosen = [key for key in chosen if all(key in positions[o] for o in others)]
    if not chosen:
        raise ValueError(
            f"No key is in all tables of {list(tables)}: check that {on!r} means the same "
            "in all of them."
            if how == "inner"
            else f"The table of organization {first!r} has no rows."
        )
    parts = {
        name: _taken(table, columns[name], [positions[name].get(key) for key in chosen])
        for name, table in tables.items()
    }
    rows = [positions[first][key] for key in chosen]
    key_frame = _taken(tables[first], key_columns[first], rows)
    named = {column: part[column] for part in parts.values() for column in part}
    aligned = Bunch(
        X=_frame(tables[first], named, key_frame),
        columns=columns,
        overlap=_overlap(tables[first], positions),
        row_keys=_frame(tables[first], key_frame),
    )
    if target is not None:
        aligned.y = _taken(tables[first], [target], rows)[target]
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
            raise ValueError(f"on={on!r} does not name the key of organization {name!r}.")
        on = on[name]
    on = [on] if isinstance(on, str) else list(on)
    missing = [column for column in on if column not in list(table.columns)]
    if missing or not on:
        raise ValueError(
            f"The table of organization {name!r} has no key column {missing}; it has "
            f"{list(table.columns)}. Name an existing one in `on`; of an index make a "
            "column with reset_index()."
        )
    return on


def _keys(name, table, key_columns):
    """The keys of a table, a list of tuples, none of them missing or repeated."""
    for column in key_columns:
        missing = np.count_nonzero(is_missing(table[column]))
        if missing:
            raise ValueError(
                f"The key {column!r} of organization {name!r} is missing in {missing} of "
                f"{table.shape[0]} rows: remove them, or fill in their keys."
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
            f"The table of organization {name!r} has {len(repeated)} rows with a key that "
            f"another row has, e.g. {example!r}: there must be one row per key. Aggregate "
            "or remove them."
        )
    return keys


def _check_comparable(keys):
    """Refuse keys that can never be equal, such as numbers and their digits."""
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
                "of columns."
            )


def _check_columns(columns):
    owner: dict[str, str] = {}
    for name, held in columns.items():
        if not held:
            raise ValueError(
                f"The table of organization {name!r} has no columns but the key."
            )
        for column in held:
            if column in owner:
                raise ValueError(
                    f"Organizations {owner[column]!r} and {name!r} both have a column "
                    f"{column!r}: rename it in one of the tables."
                )
            owner[column] = name


def _taken(table, columns, positions):
    """Columns of a table by name, at positions, of which None is a missing row."""
    if hasattr(table, "iloc"):
        part = table[columns].reset_index(drop=True)
        if None not in positions:
            part = part.iloc[positions].reset_index(drop=True)
        else:
            flags = [column for column in columns if part[column].dtype == bool]
            part = part.astype(dict.fromkeys(flags, float))
            part = part.reindex([-1 if p is None else p for p in positions])
            part = part.reset_index(drop=True)
        return {column: part[column] for column in columns}
    return {column: table[column].gather(positions) for column in columns}


def _frame(like, columns, index=None):
    """A dataframe of the same library; in pandas, with the columns of `index` as index."""
    frame = type(like)(columns)
    if index is not None and hasattr(frame, "set_index"):
        frame = type(like)({**index, **columns}).set_index(list(index))
    return frame


def _overlap(like, positions):
    counts = {
        name: [len(held.keys() & other.keys()) for other in positions.values()]
        for name, held in positions.items()
    }
    if hasattr(like, "set_index"):
        frame = type(like)(counts)
        frame.index = list(positions)
        return frame
    return type(like)({"organization": list(positions), **counts})
