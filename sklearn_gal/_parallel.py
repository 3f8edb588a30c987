"""Organizations side by side: in threads, or where the user's joblib backend works."""

import sys

from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed


class SideBySide:
    """Has all organizations fit a round at once.

    Parameters
    ----------
    n_jobs : int or None
        How many at once.
    organizations : list
        Who they are. If all of them may, their fits take place in other processes where
        the joblib backend that the user chose has processes or a cluster.
    """

    def __init__(self, n_jobs, organizations):
        may_travel = all(getattr(each, "may_travel", False) for each in organizations)
        backend, _ = get_active_backend(prefer="threads")
        shares_memory = getattr(backend, "supports_sharedmem", False)
        self._travels = may_travel and not shares_memory and not _within_a_worker(backend)
        where = {"prefer": "threads"} if self._travels else {"require": "sharedmem"}
        # one after the other needs no machinery, which small fits would notice
        alone = not self._travels and effective_n_jobs(n_jobs) == 1
        self._parallel = None if alone else Parallel(n_jobs=n_jobs, **where)

    def __enter__(self):
        if self._parallel is not None:
            self._parallel.__enter__()
        return self

    def __exit__(self, *error):
        if self._parallel is not None:
            self._parallel.__exit__(*error)

    def fit_round(self, calls):
        """Fitted values, a list, of pairs of an organization and its arguments."""
        if self._parallel is None:
            return [organization.fit_round(*args) for organization, args in calls]
        if not self._travels:
            return self._parallel(delayed(each.fit_round)(*args) for each, args in calls)
        answers = self._parallel(
            delayed(_fit_there)(each.travelling(args[2]), *args) for each, args in calls
        )
        for (organization, _), (models, _) in zip(calls, answers, strict=True):
            organization.models.update(models)
        return [fitted for _, fitted in answers]


def _fit_there(organization, *arguments):
    """The models of a round, which have to go back, and the fitted values."""
    fitted = organization.fit_round(*arguments)
    return organization.models, fitted


def _within_a_worker(backend):
    """Whether this is a fit among others, of a search for instance, that backend makes."""
    if getattr(backend, "nesting_level", 0):
        return True
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
