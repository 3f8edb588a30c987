"""Patterns: combinations of organizations, each with its own weights and rates."""

from itertools import combinations

import numpy as np

# The largest number of patterns.
MAX_PATTERNS = 64
# Weights and rate of a pattern are chosen on the rows that all its members have, if there
# are at least this many; else on all rows, where an absent member contributes zero.
MIN_ROWS = 50


class Patterns:
    """Combinations of participants, each with its own assistance weights and rates.

    Where an organization is absent, the models of the others have to explain more, so each
    combination descends by its own weights and rates, along the same local models. A row is
    predicted by the pattern of the organizations that have it.

    Parameters
    ----------
    members : ndarray of bool of shape (n_patterns, n_participants)
        Which participants are in each pattern; all organizations are in the first.
    owner : ndarray of int of shape (n_participants,)
        Position of the organization that each participant belongs to. Two participants
        belong to the label holder if it has a stand-in, a second model that is fitted as if
        the label holder were alone. The stand-in is the first participant. It is the
        pattern of the label holder alone, and may be in all patterns of the label holder
        from which an organization is absent.
    """

    def __init__(self, members, owner):
        self.members = members
        self.owner = owner

    def __len__(self):
        return len(self.members)

    @classmethod
    def single(cls, owner):
        """Return the only pattern where no organization is ever absent."""
        return cls(np.ones((1, len(owner)), dtype=bool), owner)

    @classmethod
    def for_rows(cls, present, owner, holder, stand_in_helps):
        """Return the patterns for some rows.

        All combinations of a few organizations. Of many: all of them together, the label
        holder alone, all but one, and the combinations that most rows have.

        Parameters
        ----------
        present : ndarray of bool of shape (n_samples, n_participants)
            Which participants have each row.
        owner : ndarray of int of shape (n_participants,)
            As of the class.
        holder : int or None
            Position of the label holder among the organizations; None if it holds none.
        stand_in_helps : bool
            Whether a stand-in is also in the patterns of the label holder with others.
        """
        n_organizations = owner.max() + 1
        has_stand_in = int(len(owner) > n_organizations)
        chosen = _combinations(present[:, has_stand_in:], holder)
        members = np.array([[m in each for m in range(n_organizations)] for each in chosen])
        return cls.of_organizations(members, owner, holder, stand_in_helps)

    @classmethod
    def of_organizations(cls, members, owner, holder, stand_in_helps):
        """Return the patterns for combinations of organizations.

        Parameters
        ----------
        members : ndarray of bool of shape (n_patterns, n_organizations)
            Which organizations are in each pattern; all are in the first.
        owner, holder, stand_in_helps : see `for_rows`
        """
        if len(owner) > owner.max() + 1:
            alone = members[:, holder] & (members.sum(axis=1) == 1)
            incomplete = members[:, holder] & ~members.all(axis=1)
            stand_in = incomplete & stand_in_helps | alone
            members = np.where(alone[:, None], False, members)
            members = np.column_stack([stand_in, members])
        return cls(members, owner)

    @property
    def alone(self):
        """Position of the pattern of the stand-in."""
        return int(np.flatnonzero(self.members[:, 0] & (self.members.sum(axis=1) == 1))[0])

    @property
    def organizations(self):
        """Which organizations are in each pattern, (n_patterns, n_organizations)."""
        return self.per_organization(self.members) > 0

    def per_organization(self, values, axis=-1):
        """Return values of the participants, summed by organization along an axis."""
        shape = list(values.shape)
        shape[axis] = self.owner.max() + 1
        total = np.zeros(shape)
        by_organization = np.moveaxis(total, axis, 0)
        for owner, value in zip(self.owner, np.moveaxis(values, axis, 0), strict=True):
            by_organization[owner] += value
        return total

    def weighed_together(self, pattern):
        """Return the mask of participants whose weights are chosen together.

        All organizations, and the stand-in where it is a member with others. An absent
        organization is a candidate that has fitted zero.
        """
        together = np.ones(len(self.owner), dtype=bool)
        has_stand_in = len(self.owner) > self.owner.max() + 1
        members = self.members[pattern]
        together[0] = not has_stand_in or (members[0] and members[1:].any())
        return together

    def assign(self, present):
        """Return the pattern of every row.

        It is the pattern of all participants that have the row, or else the largest one
        within them.
        """
        if len(self) == 1:
            return np.zeros(len(present), dtype=np.intp)
        combined, row_combined = np.unique(present, axis=0, return_inverse=True)
        within = ~(self.members[None] & ~combined[:, None]).any(axis=2)
        sizes = np.where(within, self.members.sum(axis=1), -1)
        return sizes.argmax(axis=1)[row_combined.ravel()]

    def previous(self, before):
        """Return, for every pattern, the one among `before` that its rows have followed."""
        n_before = before.owner.max() + 1
        return before.assign(self.organizations[:, :n_before][:, before.owner])

    def selection_rows(self, present, folds):
        """Yield every pattern with the rows on which its weights and rate are chosen."""
        held_out = slice(None) if folds is None else folds.selection_rows
        if len(self) == 1:
            yield 0, held_out
            return
        selected = np.zeros(len(present), dtype=bool)
        selected[held_out] = True
        for pattern, members in enumerate(self.members):
            rows = selected & present[:, members].all(axis=1)
            if np.count_nonzero(rows) < MIN_ROWS:
                rows = selected & present[:, members].any(axis=1)
            if members.any() and rows.any():
                yield pattern, np.flatnonzero(rows)


def _combinations(present, holder):
    """Return the combinations of organizations for some rows, a list of frozensets."""
    n_organizations = present.shape[1]
    everything = frozenset(range(n_organizations))
    wanted = [everything]
    if holder is not None:
        wanted.append(frozenset([holder]))
    wanted += [everything - {m} for m in range(n_organizations)]
    patterns, counts = np.unique(present, axis=0, return_counts=True)
    frequent = patterns[np.argsort(-counts, kind="stable")]
    wanted += [frozenset(np.flatnonzero(pattern).tolist()) for pattern in frequent]
    if 2**n_organizations <= MAX_PATTERNS:
        for size in range(n_organizations, 0, -1):
            wanted += map(frozenset, combinations(range(n_organizations), size))
    none: frozenset[int] = frozenset()
    chosen = [each for each in dict.fromkeys(wanted) if each != none]
    return [*chosen[: MAX_PATTERNS - 1], none]
