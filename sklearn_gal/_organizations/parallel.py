"""Organizations side by side: in threads, or where the user's joblib backend works."""

import sys
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from joblib import parallel_config
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
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
        if self._travels:
            self._pool = Parallel(n_jobs=n_jobs, prefer="threads")
        else:
            self._pool = Threads(n_jobs)
        self._fitted: Any = None

    def __enter__(self):
        self._pool.__enter__()
        return self

    def __exit__(self, *error):
        self._pool.__exit__(*error)

    def fit_round(self, calls):
        """Fitted values (n_samples, M, n_outputs) of organizations, given their arguments.

        The array is the same in every round: memory that is had anew is slower to write.
        """
        if self._fitted is None:
            _, (*_, residual, _) = calls[0]
            self._fitted = np.empty((len(calls), *residual.shape))
        (self._fit_elsewhere if self._travels else self._fit_here)(calls)
        return np.moveaxis(self._fitted, 0, 1)

    def _fit_here(self, calls):
        def fit(call, fitted):
            organization, arguments = call
            fitted[...] = organization.fit_round(*arguments)

        self._pool.map(fit, calls, self._fitted)

    def _fit_elsewhere(self, calls):
        answers = self._pool(
            delayed(_fit_there)(each.travelling(args[2]), *args) for each, args in calls
        )
        for m, (models, fitted) in enumerate(answers):
            organization, _ = calls[m]
            organization.models.update(models)
            self._fitted[m] = fitted


class Threads:
    """As many threads as joblib would have, in which estimators find the same settings.

    joblib's own are asked every 10 ms whether they are done, which is as long as a round of
    small models takes. One after the other takes no thread at all.
    """

    def __init__(self, n_jobs):
        backend, default = get_active_backend(require="sharedmem")
        n_threads = backend.effective_n_jobs(default if n_jobs is None else n_jobs)
        self._executor = None if n_threads == 1 else ThreadPoolExecutor(n_threads)
        self._nested = dict(
            zip(("backend", "n_jobs"), backend.get_nested_backend(), strict=True)
        )

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if self._executor is not None:  # after an error nobody waits for the others
            self._executor.shutdown(wait=error is None, cancel_futures=True)

    def map(self, function, *arguments):
        """What the function returns for each of the arguments, as a list."""
        if self._executor is None:
            return list(map(function, *arguments))
        config = get_config()

        def in_thread(*arguments):
            with config_context(**config), parallel_config(**self._nested):
                return function(*arguments)

        futures = [
            self._executor.submit(in_thread, *each) for each in zip(*arguments, strict=True)
        ]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in filter(Future.done, futures):
            future.result()  # raises its error, while others may still work
        return [future.result() for future in futures]


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
