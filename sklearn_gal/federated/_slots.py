"""Which fits may keep their training rows in memory, and which requests still matter."""

import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar

# Seconds after which the rows of an unused fit make place for those of a fit that waits.
# Without it, two fits could wait for each other at two organizations.
IDLE_AFTER = 20.0

_is_gone: ContextVar = ContextVar("is_gone", default=None)


# Largest number of fits of which it is known that they wait.
_MOST_WAITING = 1000


class Busy(RuntimeError):
    """Raised if as many fits as allowed have training rows; the label holder waits.

    Parameters
    ----------
    message : str
        Text for the log of the organization.
    is_news : bool
        Whether the fit asks for the first time; it asks again and again.
    """

    def __init__(self, message, is_news):
        super().__init__(message)
        self.is_news = is_news


class CallerGone(RuntimeError):
    """Raised to stop work on a request whose caller no longer waits for the reply."""


class Slots:
    """Places for the training rows of fits.

    Parameters
    ----------
    n_slots : int
        How many fits can have training rows at the same time.
    """

    def __init__(self, n_slots):
        self._n_slots = n_slots
        self._used = {}  # time of the last use, by fit
        self._waiting: set[str] = set()
        self._lock = threading.Lock()

    def claim(self, fit_id):
        """Take a place for a fit, unless it has one.

        Returns
        -------
        evicted : str or None
            A fit that was not used for `IDLE_AFTER` seconds and has lost its place.

        Raises
        ------
        Busy
            If all places are taken by fits that go on.
        """
        with self._lock:
            evicted = None
            if fit_id not in self._used and len(self._used) >= self._n_slots:
                oldest = min(self._used, key=self._used.__getitem__)
                if time.monotonic() - self._used[oldest] < IDLE_AFTER:
                    is_news = fit_id not in self._waiting
                    if len(self._waiting) >= _MOST_WAITING:  # most of them have given up
                        self._waiting.clear()
                    self._waiting.add(fit_id)
                    raise Busy(f"{len(self._used)} fits have training rows here", is_news)
                del self._used[oldest]
                evicted = oldest
            self._waiting.discard(fit_id)
            self._used[fit_id] = time.monotonic()
            return evicted

    @contextmanager
    def in_use(self, fit_id):
        """Keep the place of a fit, if it has one, while it is worked on."""
        self._touch(fit_id, float("inf"))
        try:
            yield
        finally:
            self._touch(fit_id, time.monotonic())

    def _touch(self, fit_id, moment):
        with self._lock:
            if fit_id in self._used:
                self._used[fit_id] = moment

    def free(self, fit_id):
        """Give back the place of a fit."""
        with self._lock:
            self._used.pop(fit_id, None)

    def __contains__(self, fit_id):
        return fit_id in self._used


@contextmanager
def asked_by(is_gone):
    """Work on a request until ``is_gone()``, as far as `check_caller` is called."""
    token = _is_gone.set(is_gone)
    try:
        yield
    finally:
        _is_gone.reset(token)


def check_caller():
    """Raise `CallerGone` if the caller of this request no longer waits for the reply."""
    is_gone = _is_gone.get()
    if is_gone is not None and is_gone():
        raise CallerGone("the caller no longer waits for the reply")
