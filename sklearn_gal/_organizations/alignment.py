"""Alignment of the keyed tables of several organizations."""

from itertools import chain

import numpy as np
from sklearn.utils import Bunch

from .features import data_columns, kept_keys, names_in_X
from .lookups import read_on
from .matching import ABSENT, complete_rows, distinct, take


def align_organizations(
    tables, on, how="inner", target=None, *, asof=None, keep_keys=False, prefix=False
):
    """Join the keyed tables of several organizations.

    The first table is that of the label holder. It gives the rows and their order. In each
    of the other tables, a row of the label holder has at most one row, which is found by
    its key. Many rows of the label holder may have the same key.

    Parameters
    ----------
    tables : dict of str to dataframe
        Names of the organizations and their pandas or polars dataframes. The keys are
        unique in all tables but the first.
    on : str, list of str, or dict
        The key columns. A str or a list if they have the same names in all tables, e.g.
        ``"patient"``. If tables have different keys, a dict from the name of each
        organization to its key:

        - a str or a list of str: columns of its table, which are compared with the columns
          of the same names in the first table;
        - a dict from columns of the first table to columns of its table, if the names
          differ, e.g. ``{"time_hour": "hour", "origin": "airport"}``;
        - for the first organization, None if its rows have no key that is common to all
          tables. It may also be left out. If the first organization has a str or a list,
          the columns of the others are compared with these columns, in this order.
    how : {"inner", "left"}, default="inner"
        If "inner", X has the rows of the first table that have a row in all other tables. A
        key that is missing is an error. If "left", X has all rows of the first table. The
        columns of an organization are missing in rows that its table does not have, see
        ``missing_rows="abstain"``. A row whose key is missing has no row in the other
        table, and rows without a key in the other tables are not used.
    target : str, default=None
        Name of a column of the first table that is returned as `y` instead of in X.
    asof : str, default=None
        Key column of the first table with times or numbers that need not be equal: the row
        in another table is the last one at or before this value, among the rows that are
        equal in all other key columns. It applies to each table that is compared with this
        column.
    keep_keys : bool, str or list of str, default=False
        Key columns of the first table that stay in X as columns of the label holder, e.g.
        ``["origin"]``. True keeps all of them.
    prefix : bool, default=False
        If True, columns of the same name in several tables are renamed in X to the
        organization and the column, e.g. ``"registry__year"``. If False, they are an error.

    Returns
    -------
    aligned : Bunch
        Dictionary-like object with the following attributes.

        - `X`: dataframe with one row per row of the first table, in its order, without the
          key columns. In pandas, the index has the key of the first table. If `on` does not
          name such a key, or if the key stays in X, it is the index of the first table. If
          rows are missing, integer and boolean pandas columns are converted to float, which
          supports missing values.
        - `columns`: dict from the name of each organization to the list of its columns,
          for the parameter `organizations` of an estimator.
        - `overlap`: dataframe with one row per organization. `n_rows` is the number of rows
          of its table, and `n_keys` is the number of different keys. `n_duplicates` is the
          number of rows of the first table that have the same row in this table as an
          earlier row; for the first organization, the same keys. The columns with the names
          of the organizations have the number of rows of the first table that two
          organizations have.
        - `row_keys`: dataframe of the key columns of the first table, for the rows of X. In
          pandas, it has the index of the first table.
        - `groups`: dict from the name of each organization, except the first, to an array
          of shape (n_samples,). Rows with the same row in its table have the same number,
          see the parameter `groups` of `fit`. A row that its table does not have is a group
          by itself.
        - `y`: column `target`, if it is given.

    Raises
    ------
    TypeError
        If the tables are neither all pandas nor all polars dataframes.
    ValueError
        If a key is repeated in a table other than the first, if keys differ in type, if two
        organizations have a column of the same name, or if no row is left.

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

    Flights look up the weather of their airport and hour, and their aircraft:

    >>> flights = pd.DataFrame(
    ...     {
    ...         "origin": ["JFK", "JFK", "LGA", "LGA"],
    ...         "hour": [6, 6, 6, 7],
    ...         "tail": ["N1", "N2", "N1", None],
    ...         "distance": [500, 900, 500, 200],
    ...     }
    ... )
    >>> weather = pd.DataFrame(
    ...     {"airport": ["JFK", "LGA"], "hour": [6, 6], "wind": [4.5, 8.0]}
    ... )
    >>> registry = pd.DataFrame({"tail": ["N1", "N2"], "seats": [150, 80]})
    >>> aligned = align_organizations(
    ...     {"airline": flights, "weather": weather, "registry": registry},
    ...     on={"weather": {"origin": "airport", "hour": "hour"}, "registry": "tail"},
    ...     how="left",
    ...     keep_keys="origin",
    ... )
    >>> aligned.X
      origin  distance  wind  seats
    0    JFK       500   4.5  150.0
    1    JFK       900   4.5   80.0
    2    LGA       500   8.0  150.0
    3    LGA       200   NaN    NaN
    >>> aligned.overlap
              n_rows  n_keys  n_duplicates  airline  weather  registry
    airline        4       3             0        4        3         3
    weather        2       2             1        3        3         3
    registry       2       2             1        3        3         3
    """
    _check_tables(tables)
    if how not in ("inner", "left"):
        raise ValueError(f"how must be 'inner' or 'left', got {how!r}.")
    first = next(iter(tables))
    own_key, lookups = read_on(tables, on)
    keys = {first: list(dict.fromkeys(chain(own_key, *(each.wanted for each in lookups))))}
    keys |= {lookup.name: lookup.key for lookup in lookups}
    _check_asof(asof, first, lookups)
    kept = kept_keys(keep_keys, first, keys[first])
    columns = data_columns(tables, keys, kept, target)
    shown = names_in_X(columns, prefix)
    if how == "inner":
        _check_complete(tables, keys)
    rows = {first: np.arange(len(tables[first]))}
    rows |= {lookup.name: lookup.find(tables, asof) for lookup in lookups}
    used = _rows_used(tables, lookups, rows, how)
    data: dict = {}
    for name, table in tables.items():
        data |= _select(table, columns[name], rows[name][used], shown[name])
    index = [] if set(own_key) & set(kept) else own_key
    aligned = Bunch(
        X=_make_frame(tables[first], data, used, index),
        columns=shown,
        overlap=_overlap(tables, keys, rows),
        row_keys=_make_frame(
            tables[first], _select(tables[first], keys[first], used), used
        ),
        groups={lookup.name: _groups(rows[lookup.name][used]) for lookup in lookups},
    )
    if target is not None:
        y = _select(tables[first], [target], used)
        aligned.y = _make_frame(tables[first], y, used, index)[target]
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
        is_frame = all(
            hasattr(type(table), each) for each in ("columns", "dtypes", "shape")
        )
        if kinds[name] not in ("pandas", "polars") or not is_frame:
            lazy = ": call its method collect()" if hasattr(table, "collect") else ""
            raise TypeError(
                f"The table of organization {name!r} must be a dataframe of pandas or "
                f"polars, got {type(table).__module__}.{type(table).__name__}{lazy}."
            )
        if len(set(table.columns)) < len(table.columns):
            raise ValueError(
                f"The table of organization {name!r} has several columns of the same name; "
                f"its columns are {list(table.columns)}. Rename or remove them."
            )
    if len(set(kinds.values())) > 1:
        raise TypeError(f"All tables must be of the same library, got {kinds}.")


def _check_asof(asof, first, lookups):
    names = list(dict.fromkeys(chain(*(lookup.wanted for lookup in lookups))))
    if asof is not None and asof not in names:
        raise ValueError(
            f"asof={asof!r} must be a column of organization {first!r} that is compared "
            f"with the key of another organization: one of {names}."
        )


def _check_complete(tables, keys):
    for name, table in tables.items():
        for column in keys[name]:
            missing = table.shape[0] - len(complete_rows([table[column]]))
            if missing:
                raise ValueError(
                    f"The key {column!r} of organization {name!r} is missing in {missing} "
                    f"of {table.shape[0]} rows: remove these rows, fill in their keys, or "
                    "pass how='left', where a row without a key has no row in other tables."
                )


def _rows_used(tables, lookups, rows, how):
    """Rows of the first table that X has."""
    first = next(iter(rows))
    if not len(rows[first]):
        raise ValueError(f"The table of organization {first!r} has no rows.")
    if how == "left":
        return rows[first]
    used = np.flatnonzero(np.all([each != ABSENT for each in rows.values()], axis=0))
    if not len(used):
        n_found = {each.name: int((rows[each.name] != ABSENT).sum()) for each in lookups}
        least = min(lookups, key=lambda lookup: n_found[lookup.name])
        raise ValueError(
            f"No key is in all tables of {list(rows)}. Of the {len(rows[first])} rows of "
            f"organization {first!r}, the other tables have {n_found}. Check that the keys "
            f"mean the same: {least.first_keys(tables)}."
        )
    return used


def _select(table, columns, rows, names=None):
    """Columns of a table with the given rows, as a dict from their new names."""
    taken = take([table[column] for column in columns], rows)
    return dict(zip(names or columns, taken, strict=True))


def _make_frame(table, data, rows, index=()):
    """Create a dataframe of `data`, which belongs to the given rows of the first table.

    In pandas, its index has the columns `index` of the table, or else the table's index.
    """
    frame = type(table)(data)
    if hasattr(frame, "set_index"):
        rows = table.iloc[rows]
        frame.index = rows.set_index(list(index)).index if index else rows.index
    return frame


def _groups(rows):
    """Numbers that are equal for equal rows. An absent row has a number by itself."""
    absent = rows == ABSENT
    groups = rows.copy()
    groups[absent] = rows.max(initial=0) + 1 + np.arange(np.count_nonzero(absent))
    return groups


def _overlap(tables, keys, rows):
    """Numbers of rows, keys and duplicates, and of rows that two organizations have."""
    counts: dict = {"n_rows": [], "n_keys": [], "n_duplicates": []}
    present = {name: each != ABSENT for name, each in rows.items()}
    for name, table in tables.items():
        columns = [table[column] for column in keys[name]]
        complete = complete_rows(columns)
        n_keys = len(distinct(take(columns, complete))[0])
        found = rows[name][present[name]]
        is_first = not counts["n_rows"]
        repeats = len(complete) - n_keys if is_first else len(found) - len(np.unique(found))
        counts["n_rows"].append(len(table))
        counts["n_keys"].append(n_keys)
        counts["n_duplicates"].append(repeats)
    counts |= {
        name: [np.count_nonzero(have & other) for other in present.values()]
        for name, have in present.items()
    }
    if hasattr(table, "set_index"):
        return type(table)(counts, index=list(tables))
    return type(table)({"organization": list(tables), **counts})
