"""One fit over a federation: keys of rows, record of calls, and errors."""

import secrets
import threading
import time
from collections import namedtuple

import numpy as np

from . import _wire
from ._keys import digests

CallRecord = namedtuple(
    "CallRecord", "organization call round bytes_sent bytes_received seconds error"
)


class OrganizationError(RuntimeError):
    """An organization did not answer, or not with what the contract asks for."""

    problem = ""  # what went wrong, or the type of the error at the organization


class OrganizationAway(OrganizationError):
    """An organization cannot be reached."""


class OrganizationWarning(UserWarning):
    """An organization did not answer and is left out."""


# What a channel raises if an organization cannot be reached (TimeoutError: it is late).
_AWAY = (OSError, EOFError)


class MissingRows(ValueError):
    """Rows that an organization does not have."""


def new_fit_id():
    """Return a random name for a fit."""
    return secrets.token_hex(16)


class FitSession:
    """One fit over a federation: its name, the keys of its rows and the record of calls."""

    def __init__(self, federation, fit_id):
        self.federation = federation
        self.fit_id = fit_id
        self.calls = []
        self._lock = threading.Lock()
        self._keyed = (None, None)

    def __getstate__(self):
        return self.__dict__ | {"_lock": None, "_keyed": (None, None)}

    def __setstate__(self, state):
        self.__dict__ |= state | {"_lock": threading.Lock()}

    def keys(self, X, column):
        """Return digests of the row ids, the same for every organization of the fit."""
        with self._lock:
            if self._keyed[0] is not X:
                ids = id_column(X, column)
                found = digests(ids, self.federation._secret, self.fit_id)
                self._keyed = (X, found)
            return self._keyed[1]

    def forget_rows(self):
        """Forget the rows of the last call."""
        self._keyed = (None, None)

    def call(self, organization, call, timeout, check, request_number=-1, **fields):
        """Ask an organization, and return what `check` returns for the fields of its reply.

        Raises
        ------
        OrganizationError
            If there is no reply within `timeout` seconds, or not what was asked for. It is
            an `OrganizationAway` if the organization cannot be reached.
        """
        fields = {key: value for key, value in fields.items() if value is not None}
        request = _wire.encode(call, {"fit_id": self.fit_id, **fields})
        begin, received, failure, result = time.perf_counter(), 0, None, None
        problem, cause = "", None
        try:
            reply = self.federation.channel.call(organization, request, timeout)
            received = len(reply)
            name, answer = _wire.decode(reply)
            if name != "ok":
                raise OrganizationError(str(answer.get("type"))[:80])
            result = check(answer)
        except OrganizationError as error:
            failure, problem = OrganizationError, str(error)
        except MissingRows:
            raise
        except Exception as error:  # a channel may raise any error
            late = isinstance(error, TimeoutError) or not isinstance(error, _AWAY)
            failure = OrganizationError if late else OrganizationAway
            problem = type(error).__name__
            cause = error
        seconds = time.perf_counter() - begin
        record = CallRecord(
            organization, call, request_number, len(request), received, seconds, problem
        )
        with self._lock:
            self.calls.append(record)
        if failure is not None:
            raise _named(failure, organization, call, problem) from cause
        return result


def _named(failure, organization, call, problem):
    """Return an error that says which organization failed, in which call, and why."""
    error = failure(f"Organization {organization!r} did not answer ({problem}).")
    error.problem = problem
    error.add_note(f"while asking organization {organization!r} for {call!r}")
    return error


def id_column(X, position):
    """Return the column of row ids of a dataframe or an array."""
    if hasattr(X, "columns"):
        name = X.columns[position]
        return X[name].to_numpy()
    return X[:, position]


def array_of(reply, key, dtype, shape):
    """Return an array of a reply; refuse another type or shape."""
    array = reply.get(key)
    if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (dtype, shape):
        raise OrganizationError("a reply of the wrong shape")
    return array


def finite(array):
    """Return an array; refuse NaN and infinity, which would spoil the model of all."""
    if not np.isfinite(array).all():
        raise OrganizationError("NaN or infinite values")
    return array
