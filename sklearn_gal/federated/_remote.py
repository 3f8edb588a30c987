"""The label holder's side: organizations on other hosts, as the rounds loop sees them."""

import secrets
import threading
import time
import warnings
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np

from . import _wire
from ._keys import check_secret, digests

ON_FAILURE = ("continue", "wait", "fail")
# Seconds between two tries to reach an organization that did not answer.
_RETRY_AFTER = 1.0
# Predictions of single rounds are asked for so many bytes at a time.
_FETCH_BYTES = 2**26

Exchange = namedtuple(
    "Exchange", "organization call round bytes_sent bytes_received seconds error"
)


class OrganizationError(RuntimeError):
    """An organization did not answer, or not with what the contract asks for."""


class OrganizationWarning(UserWarning):
    """An organization did not answer and is left out."""


class Federation:
    """The organizations that a label holder can reach, and how.

    Parameters
    ----------
    channel : object
        Moves bytes: `organizations`, a list of names, and
        ``call(organization, request, timeout)``, which returns the reply within `timeout`
        seconds or raises. :class:`LocalChannel` for services in this process,
        that of :func:`connect` for NVIDIA FLARE, or one of your own.
    secret : str or bytes
        The secret that all organizations share, at least 16 bytes.
    organizations : list of str, default=None
        Whom to ask, in this order; None is everybody whom the channel reaches.

    Attributes
    ----------
    organizations : list of str
        Names of the organizations.

    Raises
    ------
    ValueError
        If the secret is too short, or the channel does not reach an organization.
    """

    def __init__(self, channel, secret, organizations=None):
        self.channel = channel
        self._secret = check_secret(secret)
        known = list(channel.organizations)
        self.organizations = known if organizations is None else list(organizations)
        unknown = sorted(set(self.organizations) - set(known))
        if unknown:
            raise ValueError(f"The channel does not reach {unknown}, only {known}.")

    def __sklearn_clone__(self):
        return self  # connections are shared between an estimator and its clones

    def __repr__(self):
        return f"Federation({self.organizations})"

    def without(self, organization):
        """The federation without one of its organizations.

        Parameters
        ----------
        organization : str
            Who is left out.

        Returns
        -------
        federation : Federation
            The others.
        """
        rest = [name for name in self.organizations if name != organization]
        return Federation(self.channel, self._secret, rest)

    def overlap(self, ids, timeout=60.0):
        """Which rows every organization has.

        Parameters
        ----------
        ids : array-like of shape (n_samples,)
            Row ids, strings or whole numbers.
        timeout : float, default=60.0
            Seconds to wait for each organization.

        Returns
        -------
        present : dict of str to ndarray of shape (n_samples,), bool
            For every organization, whether it has the row.

        Raises
        ------
        OrganizationError
            If an organization does not answer.
        """
        link = Link(self, new_fit_id())
        keys = digests(np.asarray(ids), self._secret, link.fit_id)

        def ask(name):
            def present(reply):
                return array_of(reply, "present", np.bool_, (len(keys),))

            rounds = np.empty(0, dtype=np.int64)
            fields = {"row_ids": keys, "rounds": rounds, "abstain": True}
            return link.call(name, "predict", timeout, present, **fields)

        with ThreadPoolExecutor(len(self.organizations) or 1) as pool:
            answers = list(pool.map(ask, self.organizations))
        return dict(zip(self.organizations, answers, strict=True))


class LocalChannel:
    """Organizations in this process: for tests, and to try a federation out.

    Parameters
    ----------
    services : list of OrganizationService
        The organizations.
    """

    def __init__(self, services):
        self._services = {service.name: service for service in services}
        self._threads = ThreadPoolExecutor(4 * len(self._services))

    @property
    def organizations(self):
        """Names of the organizations."""
        return list(self._services)

    def call(self, organization, request, timeout):
        """Ask an organization.

        Parameters
        ----------
        organization : str
            Its name.
        request : bytes
            The message.
        timeout : float
            Seconds to wait for the reply.

        Returns
        -------
        reply : bytes
            A message.
        """
        answer = self._services[organization].answer
        return self._threads.submit(answer, request).result(timeout)


def new_fit_id():
    """A name for a fit that says nothing about it."""
    return secrets.token_hex(16)


class Link:
    """One fit over a federation: names it, keys its rows and keeps account of it."""

    def __init__(self, federation, fit_id):
        self.federation = federation
        self.fit_id = fit_id
        self.exchanges = []
        self._lock = threading.Lock()
        self._keyed = (None, None)

    def __getstate__(self):
        return self.__dict__ | {"_lock": None, "_keyed": (None, None)}

    def __setstate__(self, state):
        self.__dict__ |= state | {"_lock": threading.Lock()}

    def keys(self, X, column):
        """Digests of the row ids, the same for every organization of the fit."""
        with self._lock:
            if self._keyed[0] is not X:
                ids = id_column(X, column)
                found = digests(ids, self.federation._secret, self.fit_id)
                self._keyed = (X, found)
            return self._keyed[1]

    def forget_rows(self):
        """Let go of the rows of the last call."""
        self._keyed = (None, None)

    def call(self, organization, call, timeout, check, round_number=-1, **fields):
        """What `check` makes of the fields of an organization's reply.

        Raises
        ------
        OrganizationError
            If there is no reply within `timeout` seconds, or not what was asked for.
        """
        fields = {key: value for key, value in fields.items() if value is not None}
        request = _wire.encode(call, {"fit_id": self.fit_id, **fields})
        begin, received, problem, result = time.perf_counter(), 0, "", None
        try:
            reply = self.federation.channel.call(organization, request, timeout)
            received = len(reply)
            name, answer = _wire.decode(reply)
            if name != "ok":
                raise OrganizationError(str(answer.get("type"))[:80])
            result = check(answer)
        except OrganizationError as error:
            problem = str(error)
        except MissingRows:
            raise
        except Exception as error:  # whatever a channel raises
            problem = type(error).__name__
        seconds = time.perf_counter() - begin
        exchange = Exchange(
            organization, call, round_number, len(request), received, seconds, problem
        )
        with self._lock:
            self.exchanges.append(exchange)
        if problem:
            raise OrganizationError(problem)
        return result


class RemoteOrganization:
    """An organization on another host, with the calls of a `LocalOrganization`.

    Parameters
    ----------
    name : str
        Name of the organization in the federation.
    link : Link
        The fit it takes part in.
    columns : ndarray of int
        Position of the row ids in X.
    abstains : bool
        Whether it abstains in rows that it does not have; else they are an error.
    deadline : float
        Seconds that it has for each answer.
    on_failure : {"continue", "wait", "fail"}
        What to do when it does not answer.
    """

    estimator = None
    may_travel = False  # its state is in this process

    def __init__(self, name, link, columns, abstains, deadline, on_failure):
        self.name = name
        self.columns = columns
        self.models = {}  # they are on the organization's own disk
        self.link = link
        self.abstains = abstains
        self.deadline = deadline
        self.on_failure = on_failure
        self.answered = False  # whether it took part in the latest round
        self.left_out = set()  # rounds that it took no part in
        self._n_outputs = None
        self._away = False
        self._returning = None
        self._training: Any = None
        self._training_present: Any = None
        self.forget_rows()

    def __getstate__(self):
        dropped = {"_training": None, "_training_present": None, "_returning": None}
        return self.__dict__ | dropped | {"_present": (None, None), "_fetched": (None, {})}

    def take_over(self, other):
        """Take part as the organization before, which is the same."""
        self.left_out, self._n_outputs = set(other.left_out), other._n_outputs

    def fingerprint(self, X):
        """A hash of the row ids of X."""
        return joblib.hash(self.link.keys(X, self.columns[0]))

    def forget_rows(self):
        """Let go of what is known of rows to predict."""
        self._present: Any = (None, None)
        self._fetched: Any = (None, {})

    def presence(self, X):
        """Mask of the rows of X that it has; all, where it is an error if it has not."""
        if not self.abstains:
            return np.ones(X.shape[0], dtype=bool)
        if self._training is not None and self._training[0] is X:
            return self._training_present
        if self._present[0] is not X:
            self._ask(X, (), None, None)
        return self._present[1]

    def prepare(self, X, fit_params):
        """Tell it the training rows, before the first round."""
        if self._training is not None and self._training[0] is X:
            return
        row_ids = self.link.keys(X, self.columns[0])
        self._training = X, {"row_ids": row_ids, "abstain": self.abstains, **fit_params}
        present = self._attempt(self._call_prepare)
        self._away = present is None
        if self._away:
            present = np.full(len(row_ids), not self.abstains)
        self._training_present = present

    def _call_prepare(self):
        training = self._training[1]

        def check(reply):
            expected = (len(training["row_ids"]),)
            present = array_of(reply, "present", np.bool_, expected)
            self._check_present(present)
            return present

        return self.link.call(self.name, "prepare", self.deadline, check, **training)

    def _prepare_again(self):
        """Prepare it after it was away; it has the rows that it had before."""
        try:
            present = self._call_prepare()
        except MissingRows:
            raise OrganizationError("not all rows") from None
        if not np.array_equal(present, self._training_present):
            raise OrganizationError("other rows than when the fit began")

    def fit_round(self, round_number, seed, folds, residual, assistance=None):
        """Have `residual` fitted as round `round_number`; zeros if it does not answer.

        Whether it did is in `answered`; the parameters are those of `LocalOrganization`.
        """
        if self._away and self._is_back():
            self._away = False
        self._n_outputs = residual.shape[1]

        def fit():
            return self._call_fit(round_number, seed, folds, residual)

        fitted = None if self._away else self._attempt(fit)
        self.answered = fitted is not None
        if self.answered:
            self.left_out.discard(round_number)
            return fitted
        self._away = True
        self.left_out.add(round_number)
        self._look_for()
        return np.zeros_like(residual)

    def _call_fit(self, round_number, seed, folds, residual):
        fields = {
            "round": round_number,
            "seed": seed,
            "folds": None if folds is None else folds.astype(np.int64),
            "residual": residual,
        }

        def check(reply):
            fitted = array_of(reply, "fitted", np.float64, residual.shape)
            if self.abstains and np.isnan(fitted).all():
                return fitted  # too few rows to fit in this round
            finite(fitted[self._training_present])
            return fitted

        call = (self.name, "fit_round", self.deadline, check, round_number)
        try:
            return self.link.call(*call, **fields)
        except OrganizationError as error:
            if str(error) != "NotPrepared":
                raise
        self._prepare_again()  # it has been started anew since
        return self.link.call(*call, **fields)

    def _attempt(self, call):
        """The result of a call, or what is to be done without: wait, continue or fail."""
        while True:
            try:
                return call()
            except OrganizationError as error:
                if self.on_failure == "fail":
                    error.add_note(f"while asking organization {self.name!r}")
                    raise
                waits = self.on_failure == "wait"
                warnings.warn(
                    f"Organization {self.name!r} did not answer ({error}): "
                    + ("waiting for it." if waits else "going on without it."),
                    OrganizationWarning,
                    stacklevel=2,
                )
                if not waits:
                    return None
                time.sleep(_RETRY_AFTER)

    def _look_for(self):
        """Prepare it again, beside the rounds, as soon as it answers."""
        if self._returning is not None and self._returning.is_alive():
            return
        self._returning = threading.Thread(target=self._return, daemon=True)
        self._returning.start()

    def _return(self):
        while self._training is not None:
            try:
                self._prepare_again()
                return
            except OrganizationError:
                time.sleep(_RETRY_AFTER)

    def _is_back(self):
        returned = self._returning is not None and not self._returning.is_alive()
        if returned:
            self._returning = None
        return returned

    def predict(self, X, rounds, coefficients, assistance=None, folds=None):
        """Sum of its predictions for the rows of X, as of `LocalOrganization`.

        0.0 with a warning if it does not answer and `on_failure` is ``"continue"``.
        """
        asked = [
            (number, coefficient)
            for number, coefficient in zip(rounds, coefficients, strict=True)
            if number not in self.left_out
        ]
        absent = self._present[0] is X and not self._present[1].any()
        if absent or not any(coefficient for _, coefficient in asked):
            return 0.0
        fetched = self._fetched[1] if self._fetched[0] is X and folds is None else {}
        if all(number in fetched for number, _ in asked):
            total = 0.0
            for number, coefficient in asked:
                total = total + coefficient * fetched[number]
            return total
        numbers, coefficients = zip(*asked, strict=True)
        coefficients = np.array(coefficients, dtype=np.float64)
        prediction = self._ask(X, numbers, coefficients, folds)
        return 0.0 if prediction is None else prediction

    def has_fetched(self, X, round_number):
        """Whether the predictions of a round are here."""
        known = round_number in self.left_out or round_number in self._fetched[1]
        return self._fetched[0] is X and known

    def fetch(self, X, rounds):
        """Get the predictions of single rounds, to be handed out by `predict`."""
        at_once = max(1, _FETCH_BYTES // (8 * X.shape[0] * self._n_outputs))
        rounds = list(rounds)[:at_once]
        asked = [number for number in rounds if number not in self.left_out]
        each = self._ask(X, asked, None, None) if asked else None
        if each is None:
            self._fetched = X, dict.fromkeys(rounds, 0.0)
        else:
            self._fetched = X, {n: each[:, i] for i, n in enumerate(asked)}

    def _ask(self, X, rounds, coefficients, folds):
        """Predictions, (n, K) or (n, R, K) without coefficients; None if there are none.

        Which of the rows it has is known afterwards.
        """
        row_ids = self.link.keys(X, self.columns[0])
        rounds = np.array(rounds, dtype=np.int64)
        fields = {
            "row_ids": row_ids,
            "rounds": rounds,
            "coefficients": coefficients,
            "folds": None if folds is None else folds.astype(np.int64),
            "abstain": self.abstains,
        }

        def check(reply):
            present = array_of(reply, "present", np.bool_, (len(row_ids),))
            self._check_present(present)
            if "prediction" not in reply:
                return present, None
            each_round = () if coefficients is not None else (len(rounds),)
            shape = (len(row_ids), *each_round, self._n_outputs)
            prediction = array_of(reply, "prediction", np.float64, shape)
            finite(prediction[present])
            return present, prediction

        def call():
            return self.link.call(self.name, "predict", self.deadline, check, **fields)

        answer = self._attempt(call)
        if answer is None:
            answer = np.full(len(row_ids), not self.abstains), None
        self._present = X, answer[0]
        return answer[1]

    def _check_present(self, present):
        if self.abstains or present.all():
            return
        missing = np.flatnonzero(~present)
        raise MissingRows(
            f"Organization {self.name!r} does not have {len(missing)} of the "
            f"{len(present)} rows, the first at position {missing[0]}. Fit and predict "
            "rows that everybody has, which Federation.overlap(ids) tells, or fit with "
            "missing_rows='abstain'."
        )

    def release(self, n_rounds):
        """Tell it to let go of the training rows, and of rounds from `n_rounds` on."""
        self._training = self._training_present = None
        self.left_out = {number for number in self.left_out if number < n_rounds}
        self.forget_rows()
        if self._away:
            return
        call = (self.name, "release", self.deadline, lambda reply: reply)
        try:
            self.link.call(*call, n_rounds=n_rounds)
        except OrganizationError as error:
            warnings.warn(
                f"Organization {self.name!r} did not answer ({error}) when the fit ended; "
                "it will let go of the rows of this fit when others need the space.",
                OrganizationWarning,
                stacklevel=2,
            )


class MissingRows(ValueError):
    """Rows that an organization does not have."""


def id_column(X, position):
    """The column of row ids of a dataframe or an array."""
    if hasattr(X, "columns"):
        name = X.columns[position]
        return X[name].to_numpy()
    return X[:, position]


def array_of(reply, key, dtype, shape):
    """An array of a reply, of just this type and shape."""
    array = reply.get(key)
    if not isinstance(array, np.ndarray) or (array.dtype, array.shape) != (dtype, shape):
        raise OrganizationError("a reply of the wrong shape")
    return array


def finite(array):
    """The array, if it would not spoil everybody's model."""
    if not np.isfinite(array).all():
        raise OrganizationError("NaN or infinite values")
    return array
