"""The keys of organizations, and the rows that other tables have for them."""

from dataclasses import dataclass

import numpy as np

from .matching import (
    ABSENT,
    comparable,
    complete_rows,
    distinct,
    find_rows,
    first_repeated,
    take,
)
from .missing import is_numeric


@dataclass(frozen=True)
class Lookup:
    """The rows of the first table find a row in the table of another organization.

    Parameters
    ----------
    holder, name : str
        Names of the organization of the first table and of the other one.
    wanted, key : list of str
        Columns of the first table, and the columns of the other one that are equal to them.
    """

    holder: str
    name: str
    wanted: list[str]
    key: list[str]

    def find(self, tables, asof):
        """Return the position of the row of the other table, for each row of the first."""
        wanted = [tables[self.holder][column] for column in self.wanted]
        keys = [tables[self.name][column] for column in self.key]
        rows = np.full(len(wanted[0]), ABSENT)
        asked, known = complete_rows(wanted), complete_rows(keys)
        wanted, keys = take(wanted, asked), take(keys, known)
        comparing = len(asked) > 0 and len(known) > 0
        if comparing:
            wanted, keys = self._comparable(wanted, keys, asof)
        self._check_unique(keys, tables[self.name])
        if comparing:
            position = self.wanted.index(asof) if asof in self.wanted else None
            found = find_rows(wanted, keys, position)
            rows[asked] = np.where(found == ABSENT, ABSENT, known[found])
        return rows

    def first_keys(self, tables):
        """Return a text with the first keys of both tables."""
        wanted = tables[self.holder][self.wanted[0]].head(3).to_list()
        key = tables[self.name][self.key[0]].head(3).to_list()
        return (
            f"the first values of {self.wanted[0]!r} of organization {self.holder!r} are "
            f"{wanted}, and those of {self.key[0]!r} of organization {self.name!r} are "
            f"{key}"
        )

    def _comparable(self, wanted, keys, asof):
        pairs = []
        for name, key, column, other in zip(
            self.wanted, self.key, wanted, keys, strict=True
        ):
            *pair, (kind, other_kind) = comparable(column, other)
            if kind != other_kind:
                raise ValueError(
                    f"The keys {name!r} of organization {self.holder!r} and {key!r} of "
                    f"organization {self.name!r} differ in type, {kind} ({column.dtype}) "
                    f"and {other_kind} ({other.dtype}): convert one of them."
                )
            if name == asof and pair[0].to_numpy().dtype.kind not in "iufmM":
                raise ValueError(
                    f"asof={asof!r} must be a column of numbers or times, but it has "
                    f"{kind} ({column.dtype}): convert it in the tables of organizations "
                    f"{self.holder!r} and {self.name!r}."
                )
            pairs.append(pair)
        return [list(columns) for columns in zip(*pairs, strict=True)]

    def _check_unique(self, keys, table):
        n_repeated = len(keys[0]) - len(distinct(keys)[0])
        if n_repeated:
            values = first_repeated(keys)
            example = values[0] if len(values) == 1 else tuple(values)
            raise ValueError(
                f"The table of organization {self.name!r} has {n_repeated} rows with the "
                f"key of an earlier row, e.g. {example!r} in {self._key_shown}. A row of "
                f"organization {self.holder!r} can have only one of them. Add a column to "
                "the key in `on` if one is left out. Otherwise, aggregate the rows of each "
                "key, for example with\n"
                f"    tables[{self.name!r}] = {self._aggregation(table)}"
            )

    @property
    def _key_shown(self):
        return repr(self.key[0]) if len(self.key) == 1 else repr(self.key)

    def _aggregation(self, table):
        """Code that aggregates the rows of a key, with some columns of the table."""
        columns = [column for column in table.columns if column not in self.key][:3]
        numeric = {column: is_numeric(table[column]) for column in columns}
        if hasattr(table, "iloc"):
            how = {column: "mean" if numeric[column] else "nunique" for column in columns}
            call = f"groupby({self._key_shown}, as_index=False).agg({how!r})"
        else:
            means = (
                f"pl.col({column!r}).{'mean' if numeric[column] else 'n_unique'}()"
                for column in columns
            )
            call = f"group_by({self._key_shown}).agg({', '.join(means)})"
        return f"tables[{self.name!r}].{call}"


def read_on(tables, on):
    """Return the key of the first organization, and a `Lookup` for each other one."""
    holder, *others = tables
    if not isinstance(on, dict):
        on = dict.fromkeys(tables, on)
    unknown = [name for name in on if name not in tables]
    if unknown:
        raise ValueError(
            f"on={on!r} names {unknown}, but the organizations are {list(tables)}."
        )
    own_key = _column_list(holder, on[holder]) if on.get(holder) is not None else []
    if not own_key and not others:
        raise ValueError(f"on={on!r} does not name the key of organization {holder!r}.")
    _check_key_columns(holder, tables[holder], own_key)
    lookups = [_lookup(holder, name, own_key, on) for name in others]
    for lookup in lookups:
        _check_key_columns(lookup.name, tables[lookup.name], lookup.key)
        _check_wanted_columns(lookup, tables[holder])
    return own_key, lookups


def _lookup(holder, name, own_key, on):
    key = on.get(name)
    if key is None:
        raise ValueError(
            f"on={on!r} does not name the key of organization {name!r}: add its key "
            "columns."
        )
    if isinstance(key, dict):
        wanted, key = list(key), _column_list(name, list(key.values()))
    else:
        key = _column_list(name, key)
        wanted = own_key or key
    if len(key) != len(wanted):
        raise ValueError(
            f"The keys of organizations {holder!r} and {name!r} differ in their number of "
            f"columns, {wanted} and {key}: pass equally many columns for each organization "
            f"in `on`. If {holder!r} has the columns {key}, leave out its key."
        )
    return Lookup(holder, name, wanted, key)


def _column_list(name, key):
    key = [key] if isinstance(key, str) else key
    if not isinstance(key, (list, tuple)) or not key:
        raise ValueError(
            f"Organization {name!r} has no key column: its key in `on` must be the name of "
            f"a column or a list of names, got {key!r}."
        )
    return list(key)


def _check_key_columns(name, table, key):
    missing = [column for column in key if column not in list(table.columns)]
    if missing:
        raise ValueError(
            f"The table of organization {name!r} has no key column {missing}; its columns "
            f"are {list(table.columns)}. Pass one of them as `on`. If the tables have "
            "different keys, pass a dict from the name of each organization to its key. If "
            "the keys are the index, convert it to a column with reset_index()."
        )


def _check_wanted_columns(lookup, table):
    missing = [column for column in lookup.wanted if column not in list(table.columns)]
    if missing:
        names = {f"column of {lookup.holder}": column for column in lookup.key}
        raise ValueError(
            f"The table of organization {lookup.holder!r} has no column {missing}, which "
            f"`on` names as the key of organization {lookup.name!r}; its columns are "
            f"{list(table.columns)}. If the names differ, pass a dict from columns of "
            f"{lookup.holder!r} to columns of {lookup.name!r}, e.g. on={{{lookup.name!r}: "
            f"{names!r}}}."
        )
