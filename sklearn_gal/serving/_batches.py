"""Requests that wait at the same time are answered together."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

from ._errors import RequestError
from ._rows import ParsedRows


class Batches:
    """Answers requests one batch after the other, in a thread.

    A request that arrives while the model works waits. All that wait for the same are then
    answered by one call of the model, because a call for a few rows takes as long as one
    for a single row, and organizations on other hosts are asked once for all.

    Parameters
    ----------
    answer : callable
        ``answer(key, rows)`` returns an `Answer`, which can be cut by rows.
    max_rows : int
        Largest number of rows that are answered together.
    max_waiting : int
        Largest number of rows that wait.
    """

    def __init__(self, answer, max_rows, max_waiting):
        self._answer = answer
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._n_waiting = 0
        self._waiting: dict = {}  # by key, those first that have waited longest
        self._task: asyncio.Task | None = None
        # a single thread, because calls of the model would share the interpreter's lock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def close(self):
        """End the thread."""
        self._thread.shutdown()

    async def __call__(self, key, rows):
        """Return the answer to a request.

        Parameters
        ----------
        key : hashable
            What is asked. Only rows with the same key are answered together.
        rows : ParsedRows
            The rows.

        Returns
        -------
        answer : Answer
        """
        if self._n_waiting + len(rows.values) > self._max_waiting:
            raise RequestError(
                503, f"{self._n_waiting} rows wait for an answer. Try again later."
            )
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((key, rows.kinds), []).append((rows.values, future))
        self._n_waiting += len(rows.values)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self):
        while self._waiting:
            (key, kinds), requests = self._take()
            await self._answer_together(key, kinds, requests)

    def _take(self):
        """Remove the next requests from those that wait."""
        group = next(iter(self._waiting))
        waiting = self._waiting.pop(group)
        n_rows, n_taken = len(waiting[0][0]), 1
        for values, _ in waiting[1:]:
            n_rows += len(values)
            if n_rows > self._max_rows:
                break
            n_taken += 1
        if waiting[n_taken:]:
            self._waiting[group] = waiting[n_taken:]  # behind the other groups
        requests = waiting[:n_taken]
        self._n_waiting -= sum(len(values) for values, _ in requests)
        return group, requests

    async def _answer_together(self, key, kinds, requests):
        """Answer requests by one call; each by itself if the rows of one are to blame."""
        together = [row for values, _ in requests for row in values]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._ask, key, ParsedRows(together, kinds), requests
            )
        except Exception as error:
            if len(requests) > 1 and not isinstance(error, RequestError):
                for request in requests:
                    await self._answer_together(key, kinds, [request])
            else:
                for _, future in requests:
                    _settle(future, error=error)
        else:
            for (_, future), answer in zip(requests, answers, strict=True):
                _settle(future, answer)

    def _ask(self, key, rows, requests):
        """Return the answers to requests."""
        answer = self._answer(key, rows)
        ends = list(accumulate(len(values) for values, _ in requests))
        return [answer.rows(*each) for each in zip([0, *ends[:-1]], ends, strict=True)]


def _settle(future, result=None, error=None):
    if future.done():  # the request was cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
