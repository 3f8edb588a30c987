"""What an organization reveals of explanations: columns, groups of them, or a sum."""

import numpy as np

from .._contract import Entry, Explained

# What the owner can choose, in addition to groups of columns.
FEATURES, SUM = "features", "sum"
_OTHER = "other"


class Revealed:
    """What an organization reveals of explanations.

    Parameters
    ----------
    columns : list of str
        Names of its columns.
    explain : {"features", "sum"} or dict of str to list of str
        Each column, the sum over all columns, or the sums over groups of columns by name.
        Columns that are in no group are summed as "other".

    Attributes
    ----------
    entries : list of Entry
        What the label holder is told of.

    Raises
    ------
    ValueError
        If `explain` is invalid, or a group is empty, has a column that is unknown, or
        shares a column with another group.
    """

    def __init__(self, columns, explain):
        self._groups: list[np.ndarray] = []
        self.entries: list[Entry] = []
        if isinstance(explain, dict):
            self._add_groups(columns, explain)
        elif explain == FEATURES:
            for j, name in enumerate(columns):
                self._add(name, [j], is_sum=False)
        elif explain == SUM:
            self._add("all columns", range(len(columns)))
        else:
            raise ValueError(
                f"explain must be {FEATURES!r}, {SUM!r} or groups of columns, got "
                f"{explain!r}."
            )

    def _add(self, name, positions, is_sum=True):
        self.entries.append(Entry(name, is_sum))
        self._groups.append(np.array(positions, dtype=np.intp))

    def _add_groups(self, columns, groups):
        rest, group_of = list(columns), dict[str, str]()
        for name, members in groups.items():
            if not (isinstance(name, str) and name.strip() and name != _OTHER):
                raise ValueError(
                    f"A group of explain needs a name other than {_OTHER!r}, which is that "
                    f"of the columns in no group; got {name!r}."
                )
            if not isinstance(members, (list, tuple)) or not members:
                raise ValueError(
                    f"The group {name!r} of explain must be a list of columns, at least "
                    f"one; got {members!r}."
                )
            members = [str(column) for column in members]
            for column in members:
                if column in group_of:
                    raise ValueError(
                        f"explain has the column {column!r} twice, in the groups "
                        f"{group_of[column]!r} and {name!r}. Leave it in one of them."
                    )
                if column not in rest:
                    raise ValueError(
                        f"The group {name!r} of explain has the unknown column "
                        f"{column!r}. The columns are {list(columns)}."
                    )
                group_of[column] = name
                rest.remove(column)
            positions = [columns.index(column) for column in members]
            self._add(_with_size(name, members), positions)
        if rest:
            positions = [columns.index(column) for column in rest]
            self._add(_with_size(_OTHER, rest), positions)

    def __str__(self):
        return ", ".join(entry.name for entry in self.entries)

    def joined(self, blocks):
        """Return the contributions of the entries to blocks of rows, one after the other.

        The error of a sum is at most the sum of the errors. The sum over all columns has
        none.
        """
        parts = [self._of_entries(block) for block in blocks]
        values, base, errors = map(np.concatenate, zip(*parts, strict=True))
        return Explained(values, base, errors, self.entries)

    def _of_entries(self, explained):
        values, errors = (
            np.stack([of_columns[:, group].sum(axis=1) for group in self._groups], axis=1)
            for of_columns in (explained.values, explained.errors)
        )
        if len(self._groups) == 1:
            errors[:] = 0.0
        return values, explained.base, errors


def _with_size(name, members):
    """Return the name of a group with its number of columns."""
    return f"{name} ({len(members)} column{'s' * (len(members) != 1)})"
