"""Local fits side by side: in threads, or where the user's joblib backend works."""

import sys
import warnings
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from joblib import parallel_config
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
from sklearn.utils.parallel import Parallel, delayed

from .._contract import Fitted


class LocalFits:
    """Has all participants fit a round, side by side.

    Parameters
    ----------
    participants : Participants
        Organizations to fit. If all of them allow it, they fit in other processes where
        the user has chosen a joblib backend with processes or a cluster.
    n_jobs : int or None
        How many fit at the same time.
    """

    def __init__(self, participants, n_jobs):
        self._participants = participants
        in_processes = all(each.runs_in_processes for each in participants)
        backend, _ = get_active_backend(prefer="threads")
        shares_memory = getattr(backend, "supports_sharedmem", False)
        self.uses_processes = (
            in_processes and not shares_memory and not _within_a_worker(backend)
        )
        if self.uses_processes:
            self._pool = Parallel(n_jobs=n_jobs, prefer="threads")
        else:
            self._pool = Threads(n_jobs)
        self._values: Any = None

    def __enter__(self):
        self._pool.__enter__()
        return self

    def __exit__(self, *error):
        self._pool.__exit__(*error)

    def __call__(self, requests):
        """Return what the participants have fitted to their requests.

        The output buffer is reused in every round because writing to freshly allocated
        memory is slower.
        """
        shape = (len(requests), *requests[0].residual.shape)
        if self._values is None or len(self._values) < len(requests):
            self._values = np.empty(shape)
        values = self._values[: len(requests)]
        of_participant: dict = {}
        for j, request in enumerate(requests):
            of_participant.setdefault(request.participant, []).append(j)
        participants = list(self._participants)
        asked = [participants[position] for position in of_participant]
        fit = self._fit_in_workers if self.uses_processes else self._fit_here
        with self._participants.complaining():
            fit(asked, list(of_participant.values()), requests, values)
        took_part = np.ones(len(requests), dtype=bool)
        for j, request in enumerate(requests):
            if participants[request.participant].may_abstain:
                took_part[j] = not np.isnan(values[j]).all()
                np.nan_to_num(values[j], copy=False)
        self._participants.check_answers()
        return Fitted(values, took_part)

    def _fit_here(self, asked, positions, requests, values):
        def fit(participant, own):
            each = _fit_requests(participant, [requests[j] for j in own])
            for j, fitted in zip(own, each, strict=True):
                values[j] = fitted

        self._pool.map(fit, asked, positions)

    def _fit_in_workers(self, asked, positions, requests, values):
        answers = self._pool(
            delayed(_fit_in_worker)(participant.for_worker(), [requests[j] for j in own])
            for participant, own in zip(asked, positions, strict=True)
        )
        for participant, own, (models, fitted) in zip(
            asked, positions, answers, strict=True
        ):
            participant.models.update(models)
            for j, each in zip(own, fitted, strict=True):
                values[j] = each


class Threads:
    """As many threads as joblib would start, with the same settings for estimators in them.

    joblib polls its threads every 10 ms, which is as long as a round of small models takes.
    A single job runs without a thread.
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
        if self._executor is not None:  # an error is raised without waiting for the others
            self._executor.shutdown(wait=error is None, cancel_futures=True)

    def map(self, function, *arguments):
        """Return what the function returns for each of the arguments, as a list."""
        if self._executor is None:
            # `map` would end at a StopIteration of the function
            return [function(*each) for each in zip(*arguments, strict=True)]
        config = get_config()

        def in_thread(*arguments):
            with config_context(**config), parallel_config(**self._nested):
                return function(*arguments)

        filters: Any = warnings.filters
        before = list(filters)
        try:
            futures = [
                self._executor.submit(in_thread, *each)
                for each in zip(*arguments, strict=True)
            ]
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in filter(Future.done, futures):
                future.result()  # raises its error, while others may still work
            return [future.result() for future in futures]
        finally:
            # catch_warnings is not made for threads. Two forests of scikit-learn, which use
            # it, can leave no filters behind, and then warn of this in each call.
            if before and not warnings.filters:
                filters[:] = before
                warnings.filters = filters


def _fit_in_worker(organization, requests):
    """Fit a round in another process; return the models and the fitted values."""
    fitted = _fit_requests(organization, requests)
    return organization.models, fitted


def _fit_requests(participant, requests):
    """Return the fitted values of each request, fitted together where that is faster."""
    if len(requests) > 1 and getattr(participant, "fits_together", False):
        return participant.fit_together(requests)
    return [participant.fit_round(request) for request in requests]


def _within_a_worker(backend):
    """Whether this fit is one of several that the backend runs, as in a search."""
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
