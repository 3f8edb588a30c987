"""Columns of keyed tables that are features, and their names in one table."""

import numpy as np


def kept_keys(keep_keys, first, keys):
    """Key columns of the first table that are columns of the label holder."""
    if isinstance(keep_keys, (bool, np.bool_)):
        return keys if keep_keys else []
    kept = [keep_keys] if isinstance(keep_keys, str) else list(keep_keys)
    unknown = [column for column in kept if column not in keys]
    if unknown:
        raise ValueError(
            f"keep_keys={keep_keys!r} must have key columns of organization {first!r}, "
            f"which are {keys}, but {unknown} are not."
        )
    return kept


def data_columns(tables, keys, kept, target):
    """Columns of each organization in its table, without its keys and the target."""
    first = next(iter(tables))
    dropped = keys | {first: set(keys[first]).difference(kept)}
    columns = {
        name: [column for column in table.columns if column not in dropped[name]]
        for name, table in tables.items()
    }
    if target is not None:
        if target not in columns[first]:
            raise ValueError(
                f"target={target!r} is no column of the first table, of organization "
                f"{first!r}. Use one of its columns: {columns[first]}."
            )
        columns[first].remove(target)
    for name, held in columns.items():
        if not held:
            raise ValueError(
                f"The table of organization {name!r} has no columns apart from the key and "
                "the target: add columns, or remove the table."
            )
    return columns


def names_in_X(columns, prefix):
    """Names of these columns in X, which are unique."""
    owners: dict = {}
    for name, held in columns.items():
        for column in held:
            owners.setdefault(column, []).append(name)
    shared = {column: names for column, names in owners.items() if len(names) > 1}
    if shared and not prefix:
        column, (first, second, *_) = next(iter(shared.items()))
        raise ValueError(
            f"Organizations {first!r} and {second!r} both have a column {column!r}: rename "
            "it in one of the tables, or pass prefix=True, which renames it in X to "
            f"{f'{first}__{column}'!r} and {f'{second}__{column}'!r}."
        )
    shown = {
        name: [f"{name}__{column}" if column in shared else column for column in held]
        for name, held in columns.items()
    }
    names = [column for held in shown.values() for column in held]
    twice = [column for column in names if names.count(column) > 1] if shared else []
    if twice:
        raise ValueError(
            f"With prefix=True, X would have several columns {twice[0]!r}: rename this "
            "column in its table."
        )
    return shown
