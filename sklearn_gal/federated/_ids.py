"""How many ids a label holder may learn of in a day: whether the table has them."""

import threading

import numpy as np

from ._ledger import now
from ._refusals import LimitExceeded

# Default limit: so many ids per row of the table, and at least so many.
_PER_ROW, _AT_LEAST = 10, 100_000


class IdBudget:
    """The ids of which each label holder has been told today.

    An id that the table does not have counts each time; a row of the table counts once.

    Parameters
    ----------
    limit : int or None
        Largest number of ids; None for the default.
    n_rows : int
        Number of rows of the table.
    log : AuditLog
        Where the numbers of all processes of the organization are.
    """

    def __init__(self, limit, n_rows, log):
        self._limit = max(_PER_ROW * n_rows, _AT_LEAST) if limit is None else limit
        self._n_rows = n_rows
        self._log = log
        self._told = {}  # by label holder: day, mask of the rows told, number of ids
        self._lock = threading.Lock()

    def check(self, label_holder, n_ids):
        """Refuse a request for a number of different ids that must exceed the limit."""
        with self._lock:
            told, n_told = self._today(label_holder)
            self._check(label_holder, n_told, n_ids - np.count_nonzero(told))

    def charge(self, label_holder, positions):
        """Count ids, and refuse to tell of them if they exceed the limit.

        Parameters
        ----------
        label_holder : str
            Who asks.
        positions : ndarray of int
            Positions of the ids in the table, -1 for ids that it does not have.

        Returns
        -------
        n_ids : int
            How many of the ids count.
        """
        found = positions[positions >= 0]
        asked = np.zeros(self._n_rows, dtype=bool)
        asked[found] = True
        with self._lock:
            told, n_told = self._today(label_holder)
            n_ids = len(positions) - len(found) + np.count_nonzero(asked & ~told)
            self._check(label_holder, n_told, n_ids)
            self._told[label_holder] = now()[:10], told | asked, n_told + n_ids
        return int(n_ids)

    def _today(self, label_holder):
        """Return the mask of the rows told today, and the number of ids told."""
        day, told, n_told = self._told.get(label_holder, ("", None, 0))
        if day != now()[:10]:
            told, n_told = np.zeros(self._n_rows, dtype=bool), 0
        # calls that have not ended yet are not in the log
        return told, max(n_told, self._log.used_today(label_holder)["ids_per_day"])

    def _check(self, label_holder, n_told, n_ids):
        if n_ids > 0 and n_told + n_ids > self._limit:
            raise LimitExceeded(
                "ids_per_day",
                f"{n_told} ids today and {n_ids} more, but ids_per_day is {self._limit}",
            )
