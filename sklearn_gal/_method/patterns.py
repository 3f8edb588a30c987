"""Patterns of present organizations, each with weights and rates of its own."""

from itertools import combinations

import numpy as np

# As many combinations of organizations have weights and a rate of their own at most.
MAX_PATHS = 64
# Weights and rate of a combination are chosen on the rows that all of it have, if they are
# so many; else on all rows, where those who are absent contribute zero.
MIN_ROWS = 50


class Paths:
    """Combinations of organizations with assistance weights and rates of their own.

    Where somebody is absent, the others' models have to explain more, so that each
    combination takes its own way down the loss, along the same local models. A row is
    predicted on the path of those who have it.

    Parameters
    ----------
    members : ndarray of bool, (n_paths, n_organizations)
        Who takes part in each path: everybody in the first.
    holder : int or None, default=None
        The label holder, if it has an understudy, which is the first of the organizations:
        models fitted as if nobody else were there. They are the path of the label holder
        alone, and may take part in all paths of the label holder where somebody is absent.
    """

    def __init__(self, members, holder=None):
        self.members = members
        self.holder = holder

    def __len__(self):
        return len(self.members)

    @classmethod
    def of_everybody(cls, n_organizations):
        """The single path on which nobody is ever absent."""
        return cls(np.ones((1, n_organizations), dtype=bool))

    @property
    def alone(self):
        """The path of the understudy."""
        return int(np.flatnonzero(self.members[:, 0] & (self.members.sum(axis=1) == 1))[0])

    def shared_out(self, values):
        """`values` (n_paths, n_organizations), the understudy's with the label holder's."""
        if self.holder is None:
            return values
        shared = values[..., 1:].copy()
        shared[..., self.holder - 1] += values[..., 0]
        return shared

    @property
    def patterns(self):
        """Who is there in each path: `members` as they are known to the user."""
        return self.shared_out(self.members)

    @classmethod
    def with_understudy(cls, present, holder, helps):
        """As `among`, where the first organization is the label holder's understudy.

        `helps` says whether it takes part in paths of others as well.
        """
        members = cls.among(present[:, 1:], holder - 1).members
        alone = members[:, holder - 1] & (members.sum(axis=1) == 1)
        understudy = members[:, holder - 1] & ~members.all(axis=1) & helps | alone
        members = np.where(alone[:, None], False, members)
        return cls(np.column_stack([understudy, members]), holder)

    @classmethod
    def among(cls, present, holder):
        """Paths for rows of which `present` (n_samples, n_organizations) says who has them.

        All combinations of a few organizations; of many, everybody, the label holder
        alone, everybody but one, and those that most rows have.
        """
        n_organizations = present.shape[1]
        everybody = frozenset(range(n_organizations))
        wanted = [everybody, frozenset([holder])]
        wanted += [everybody - {m} for m in range(n_organizations)]
        patterns, counts = np.unique(present, axis=0, return_counts=True)
        frequent = patterns[np.argsort(-counts, kind="stable")]
        wanted += [frozenset(np.flatnonzero(pattern).tolist()) for pattern in frequent]
        if 2**n_organizations <= MAX_PATHS:
            for size in range(n_organizations, 0, -1):
                wanted += map(frozenset, combinations(range(n_organizations), size))
        nobody: frozenset[int] = frozenset()
        chosen = [path for path in dict.fromkeys(wanted) if path != nobody][: MAX_PATHS - 1]
        members = [[m in path for m in range(n_organizations)] for path in chosen]
        return cls(np.array([*members, [False] * n_organizations]))

    def serving(self, present):
        """The path of every row: of those who have it, or else of most of them."""
        if len(self) == 1:
            return np.zeros(len(present), dtype=np.intp)
        patterns, row_pattern = np.unique(present, axis=0, return_inverse=True)
        within = ~(self.members[None] & ~patterns[:, None]).any(axis=2)
        sizes = np.where(within, self.members.sum(axis=1), -1)
        return sizes.argmax(axis=1)[row_pattern.ravel()]

    def standstill(self):
        """Weights (n_paths, n_organizations) and rates (n_paths,) that lead nowhere."""
        return np.zeros(self.members.shape), np.zeros(len(self))

    def judged(self, present, judging_rows):
        """Every path, with the rows on which its weights and rate are chosen."""
        if len(self) == 1:
            yield 0, judging_rows
            return
        judging = np.zeros(len(present), dtype=bool)
        judging[judging_rows] = True
        for path, members in enumerate(self.members):
            rows = judging & present[:, members].all(axis=1)
            if np.count_nonzero(rows) < MIN_ROWS:
                rows = judging & present[:, members].any(axis=1)
            if members.any() and rows.any():
                yield path, np.flatnonzero(rows)


def shared_among(members, weights):
    """Weights of `members` alone, who share what the others have."""
    if members.all():
        return weights
    own = np.where(members, weights, 0.0)
    return own * (weights.sum() / own.sum()) if own.sum() else own
