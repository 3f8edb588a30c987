"""One fit over a federation: keys of rows, record of calls, and errors."""

import secrets
import threading
import time
from collections import namedtuple

import numpy as np

from . import _wire
from ._calls import needs_handshake
from ._keys import check_value, digests
from ._refusals import ApprovalPending, meaning_of
from ._versions import HANDSHAKE, can_work_with

CallRecord = namedtuple(
    "CallRecord", "organization call round bytes_sent bytes_received seconds error"
)


class OrganizationError(RuntimeError):
    """An organization did not answer, or not with what the contract asks for.

    Parameters
    ----------
    problem : str
        What went wrong, or the type of the error at the organization.
    """

    def __init__(self, problem):
        super().__init__(problem)
        self.problem = problem

    @property
    def predicate(self):
        """What the organization did, the end of a sentence that begins with its name."""
        return f"did not answer ({self.problem})"


class OrganizationAway(OrganizationError):
    """An organization cannot be reached."""


class Refused(OrganizationError):
    """A rule of the organization forbids a request.

    Parameters
    ----------
    problem : str
        Which rule.
    kind : str
        The type of the error at the organization.
    detail : str
        What the refusal is about, such as the name of a limit.
    """

    def __init__(self, problem, kind="", detail=""):
        super().__init__(problem)
        self.kind = kind
        self.detail = detail

    @property
    def predicate(self):
        """What the organization did, the end of a sentence that begins with its name."""
        return f"refused the request ({self.problem})"

    @property
    def is_final(self):
        """Whether the same request will be refused again."""
        return self.kind != ApprovalPending.__name__

    @property
    def ends_fit(self):
        """Whether the organization does not take part in the rest of a fit.

        A call that took too long may be faster in a later round.
        """
        return self.is_final and self.detail != "max_seconds"


class OrganizationWarning(UserWarning):
    """An organization did not answer, or refused, or has hardly any of the rows."""


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
        self.wire_dtype = np.float64  # of the residuals and fitted values that are sent
        self._lock = threading.Lock()
        self._keyed = []

    def __getstate__(self):
        return self.__dict__ | {"_lock": None, "_keyed": []}

    def __setstate__(self, state):
        self.__dict__ |= state | {"_lock": threading.Lock()}

    def keys(self, X, column):
        """Return digests of the row ids, the same for every organization of the fit."""
        with self._lock:
            for known, found in self._keyed:
                if known is X:
                    return found
            ids = id_column(X, column)
            found = digests(ids, self.federation._secret, self.fit_id)
            # two tables: rows to explain, and those of the background
            self._keyed = [*self._keyed[-1:], (X, found)]
            return found

    def forget_rows(self):
        """Forget the rows of the last call."""
        self._keyed = []

    def call(self, organization, call, timeout, check, request_number=-1, **fields):
        """Ask an organization, and return what `check` returns for the fields of its reply.

        Raises
        ------
        OrganizationError
            If there is no reply within `timeout` seconds, or not what was asked for. It is
            an `OrganizationAway` if the organization cannot be reached.
        """
        fields = {key: value for key, value in fields.items() if value is not None}
        if needs_handshake(call):
            secret = self.federation._secret
            fields["check"] = check_value(secret, self.fit_id)
            fields["versions"] = HANDSHAKE
        request = _wire.encode(call, {"fit_id": self.fit_id, **fields})
        begin, received, result = time.perf_counter(), 0, None
        failure: OrganizationError | None = None
        try:
            reply = self.federation.channel.call(organization, request, timeout)
            received = len(reply)
            name, answer = _wire.decode(reply)
            raise_unless_ok(name, answer)
            result = check(answer)
        except OrganizationError as error:
            failure = error
        except MissingRows:
            raise
        except _wire.MessageError as error:
            failure = OrganizationError(str(error))
        except Exception as error:  # a channel may raise any error
            is_away = isinstance(error, _AWAY) and not isinstance(error, TimeoutError)
            kind = OrganizationAway if is_away else OrganizationError
            failure = kind(type(error).__name__)
            failure.__cause__ = error
        seconds = time.perf_counter() - begin
        problem = "" if failure is None else getattr(failure, "kind", failure.problem)
        record = CallRecord(
            organization, call, request_number, len(request), received, seconds, problem
        )
        with self._lock:
            self.calls.append(record)
        if failure is not None:
            raise _named(failure, organization, call)
        return result


def raise_unless_ok(name, answer):
    """Raise an error for a reply that says why there is no answer."""
    kind = str(answer.get("type"))[:80]
    if name != "ok":
        meaning = meaning_of(answer)
        detail = str(answer.get("detail"))[:80]
        raise OrganizationError(kind) if meaning is None else Refused(meaning, kind, detail)
    versions = answer.get("versions", HANDSHAKE)
    if not isinstance(versions, str) or not can_work_with(versions):
        raise OrganizationError(
            f"it runs {str(versions)[:120]}, and this host {HANDSHAKE}: install the same "
            "release on both"
        )


def _named(failure, organization, call):
    """Have an error say which organization failed, in which call, and why."""
    failure.args = (f"Organization {organization!r} {failure.predicate}.",)
    failure.add_note(f"while asking organization {organization!r} for {call!r}")
    return failure


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
