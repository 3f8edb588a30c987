"""An organization on another host, as the rounds see it."""

import threading
import time
import warnings
from typing import Any, NamedTuple

import joblib
import numpy as np

from .._contract import Answer, Query
from ._calls import encode_folds
from ._explanations import ExplainsElsewhere
from ._predictions import answer_of, fields_of, needed
from ._session import (
    MissingRows,
    OrganizationAway,
    OrganizationError,
    OrganizationWarning,
    Refused,
    array_of,
    finite,
)

ON_FAILURE = ("continue", "wait", "fail")
# Seconds between two tries to reach an organization that did not answer.
_RETRY_AFTER = 1.0
# An organization that has a smaller share of the rows probably has ids of another form.
_FEW_ROWS = 0.01
# Of fewer rows to predict it may well have none.
_MANY_ROWS = 100
# Largest number of seconds between two tries while an organization is busy.
_MAX_PAUSE = 5.0
# Predictions of single functions are fetched in blocks of at most this many bytes.
_FETCH_BYTES = 2**26


class Policy(NamedTuple):
    """How long to wait for organizations, and what to do when they do not answer.

    Parameters
    ----------
    deadline : float
        Seconds that an organization has for each answer.
    on_failure : {"continue", "wait", "fail"}
        What to do when it does not answer.
    grace_period : float
        Seconds to wait for an organization that cannot be reached.
    max_missed_rounds : int or None
        Number of rounds that may go on without an organization.
    """

    deadline: float
    on_failure: str
    grace_period: float
    max_missed_rounds: int | None


class RemoteOrganization(ExplainsElsewhere):
    """An organization on another host, with the calls of a `LocalOrganization`.

    Parameters
    ----------
    name : str
        Name of the organization in the federation.
    session : FitSession
        The fit it takes part in.
    columns : ndarray of int
        Position of the row ids in X.
    abstains : bool
        Whether it abstains in rows that it does not have; else they are an error.
    policy : Policy
        How long to wait for it, and what to do when it does not answer.
    """

    estimator = None
    may_abstain = True
    revises = False
    runs_in_processes = False  # its state is in this process

    def __init__(self, name, session, columns, abstains, policy):
        self.name = name
        self.columns = columns
        self.models = {}  # they are on the organization's own disk
        self.session = session
        self.abstains = abstains
        self.policy = policy
        self.forget_answers()
        self.n_missed = 0  # rounds of the fit that went on without it
        self.n_absences = 0  # how often others went on without it
        self.reason = ""  # how the last call failed
        self.is_away = False  # whether that was because it could not be reached
        self.refuses = False  # whether it does not take part in the rest of the fit
        self.is_told = False  # whether the user has been warned that it refuses
        self.n_chains = {}  # number of chains of its models, by request number
        self.n_outputs = None
        self.entries = []  # what it has revealed in the latest explanation
        self._unreachable = False
        self._ends_fit = False  # whether the last call that failed was refused for good
        self._away_since = None
        self._reconnecting = None
        self._training: Any = None
        self._training_present: Any = None
        self.forget_rows()

    def __getstate__(self):
        dropped = dict.fromkeys(
            ("_training", "_training_present", "_reconnecting", "_away_since")
        )
        return self.__dict__ | dropped | {"_present": (None, None), "_fetched": (None, {})}

    def inherit(self, other):
        """Take over what is known of the organization in the fit before."""
        self.n_chains = dict(other.n_chains)

    def fingerprint(self, X):
        """Return a hash of the row ids of X."""
        return joblib.hash(self.session.keys(X, self.columns[0]))

    def forget_answers(self):
        """Forget whether it has answered in the latest round, or was left out of it."""
        self.answered = self.left_out = False

    def forget_rows(self):
        """Forget what is known of rows to predict."""
        self._present: Any = (None, None)
        self._fetched: Any = (None, {})

    def presence(self, X):
        """Return the mask of the rows of X that it has; all if others are an error."""
        if not self.abstains:
            return np.ones(X.shape[0], dtype=bool)
        if self._training is not None and self._training[0] is X:
            return self._training_present
        if self._present[0] is not X:
            self._ask(X, Query(0))
        return self._present[1]

    def prepare(self, X, fit_params, n_outputs):
        """Send it the ids of the training rows, before the first round."""
        if self._training is not None and self._training[0] is X:
            return
        row_ids = self.session.keys(X, self.columns[0])
        self.n_outputs = n_outputs
        fields = {"row_ids": row_ids, "abstain": self.abstains, "n_outputs": n_outputs}
        self._training = X, fields | fit_params
        present = self._attempt(self._call_prepare)
        self._unreachable = present is None
        if self._unreachable:
            self.refuses = self.is_told = self._ends_fit
            self.warn("the fit goes on" if self.refuses else "continuing")
            present = np.full(len(row_ids), not self.abstains)
        else:
            self._warn_of_few(present)
        self._training_present = present

    def _warn_of_few(self, present):
        """Warn if it has hardly any of the rows."""
        if present.mean() < _FEW_ROWS:
            warnings.warn(
                f"Organization {self.name!r} has {np.count_nonzero(present)} of the "
                f"{len(present)} rows. Check that its key has the same ids in the same "
                "form, such as with leading zeros: `sklearn-gal organization --check` "
                "shows the form there.",
                OrganizationWarning,
                stacklevel=2,
            )

    def _call_prepare(self):
        training = self._training[1]

        def check(reply):
            expected = (len(training["row_ids"]),)
            present = array_of(reply, "present", np.bool_, expected)
            self._check_present(present)
            return present

        deadline = self.policy.deadline
        return self.session.call(self.name, "prepare", deadline, check, **training)

    def _prepare_again(self):
        """Prepare it again after it was unreachable; it must have the same rows."""
        try:
            present = self._call_prepare()
        except MissingRows:
            raise OrganizationError("not all rows") from None
        if not np.array_equal(present, self._training_present):
            raise OrganizationError("other rows than when the fit began")

    def fit_round(self, request):
        """Have the organization fit a residual.

        Parameters
        ----------
        request : Request
            What to fit.

        Returns
        -------
        fitted : ndarray of shape (n_chains, n_samples, n_outputs)
            Fitted values. All are NaN if the organization does not answer, or has too few
            rows to fit.
        """
        if self._unreachable and self._has_reconnected():
            self._unreachable, self._away_since = False, None
        fitted = None
        if not self._unreachable:
            fitted = self._attempt(lambda: self._call_fit(request))
            self.refuses = fitted is None and self._ends_fit
        # a round may have several requests
        self.answered = self.answered or fitted is not None
        self.left_out = self.left_out or fitted is None
        if fitted is None:
            self._unreachable = True
            self._reconnect()
            fitted = np.full_like(request.residual, np.nan)
        self.n_chains.pop(request.number, None)
        if not np.isnan(fitted).all():
            self.n_chains[request.number] = len(request.residual)
        return fitted

    def _call_fit(self, request):
        folds, dtype = request.folds, self.session.wire_dtype
        residual = request.residual.astype(dtype, copy=False)
        fields = {
            "number": request.number,
            "seed": request.seed,
            "folds": None if folds is None else encode_folds(folds.numbers),
            "residual": residual,
        }

        def check(reply):
            fitted = array_of(reply, "fitted", dtype, residual.shape)
            fitted = fitted.astype(np.float64, copy=False)
            if self.abstains and np.isnan(fitted).all():
                return fitted  # too few rows to fit
            finite(fitted[:, self._training_present])
            return fitted

        deadline = self.policy.deadline
        call = (self.name, "fit_round", deadline, check, request.number)
        begin = time.monotonic()
        while True:
            try:
                return self.session.call(*call, **fields)
            except OrganizationError as error:
                late = time.monotonic() - begin > deadline
                if error.problem != "NotPrepared" or late:
                    raise
            self._prepare_again()  # it was restarted, or other fits needed the space

    def _attempt(self, call):
        """Return the result of a call; None if it fails and the others go on without it."""
        told, pause, training = False, _RETRY_AFTER, self._training
        while True:
            try:
                result = call()
            except OrganizationError as error:
                self._note(error)
                waits, at_most = self._waits(error)
                if isinstance(error, Refused) and error.is_final:
                    if self.policy.on_failure != "continue":
                        raise
                    return None
                if not waits and self.policy.on_failure == "fail":
                    raise
                if not waits:
                    return None
                if not told:
                    self.warn(f"waiting for it{at_most}", "")
                    told = True
                time.sleep(pause)
                if self._training is not training:
                    raise  # an error elsewhere has ended the fit
                if error.problem == "Busy":
                    pause = min(2 * pause, _MAX_PAUSE)
            else:
                self.is_away, self._away_since = False, None
                return result

    def _note(self, error):
        self.reason, self.is_away = error.predicate, isinstance(error, OrganizationAway)
        self._ends_fit = isinstance(error, Refused) and error.ends_fit

    def _waits(self, error):
        """Return whether to wait for it, and how long at most in words."""
        if self.policy.on_failure == "wait" or error.problem == "Busy":
            return True, ""
        if not self.is_away:
            return False, ""
        now = time.monotonic()
        self._away_since = self._away_since or now
        limit = self.policy.grace_period
        return now - self._away_since < limit, f" for at most {limit:g} seconds"

    def warn(self, consequence, without=" without it"):
        """Warn that it did not answer, and tell the consequence."""
        self.n_absences += 1
        warnings.warn(
            f"Organization {self.name!r} {self.reason}: {consequence}{without}.",
            OrganizationWarning,
            stacklevel=2,
        )

    def _reconnect(self):
        """Prepare it again as soon as it answers, in a thread next to the rounds."""
        connecting = self._reconnecting is not None and self._reconnecting.is_alive()
        if connecting or self.refuses:
            return
        self._reconnecting = threading.Thread(target=self._reconnect_loop, daemon=True)
        self._reconnecting.start()

    def _reconnect_loop(self):
        while self._training is not None:
            try:
                self._prepare_again()
                return
            except OrganizationError as error:
                if isinstance(error, Refused) and error.is_final:
                    self._note(error)
                    self.refuses = True
                    return
                time.sleep(_RETRY_AFTER)

    def _has_reconnected(self):
        returned = self._reconnecting is not None and not self._reconnecting.is_alive()
        returned = returned and not self.refuses
        if returned:
            self._reconnecting = None
        return returned

    def predict(self, X, numbers, coefficients):
        """Return the sum of its predictions for X, as `LocalOrganization` does.

        0.0 with a warning if it does not answer and `on_failure` is ``"continue"``.
        """
        fetched = self._fetched[1] if self._fetched[0] is X else {}
        asked = [number for number in numbers if number in self.n_chains]
        if any(number not in fetched for number in asked) or self._has_none_of(X):
            return self.answer(X, Query(0, list(numbers), list(coefficients))).total
        total: Any = 0.0
        for number, coefficient in zip(numbers, coefficients, strict=True):
            total = total + coefficient * fetched.get(number, 0.0)
        return total

    def predict_each(self, X, numbers):
        """Return the predictions of single models, as `LocalOrganization` does.

        Empty with a warning if it does not answer and `on_failure` is ``"continue"``.
        """
        return self.answer(X, Query(0, chains=list(numbers))).functions

    def answer(self, X, query):
        """Return what a query asks for, in one call.

        Empty with a warning if it does not answer and `on_failure` is ``"continue"``.
        """
        query = needed(query, self.n_chains)
        if self._has_none_of(X) or not (query.numbers or query.functions):
            return Answer(0.0)
        return self._ask(X, query)

    def has_fetched(self, X, number):
        """Tell whether the predictions of a model have been fetched."""
        known = number not in self.n_chains or number in self._fetched[1]
        return self._fetched[0] is X and known

    def fetch(self, X, numbers):
        """Fetch the predictions of single models, which `predict` then returns."""
        at_once = max(1, _FETCH_BYTES // (8 * X.shape[0] * self.n_outputs))
        numbers = list(numbers)[:at_once]
        fetched: dict = dict.fromkeys(numbers, 0.0)
        answer = self.answer(X, Query(0, numbers, None))
        self._fetched = X, fetched | {n: each[0] for n, each in answer.functions.items()}

    def _has_none_of(self, X):
        """Whether it is known to have none of the rows."""
        return self._present[0] is X and not self._present[1].any()

    def _ask(self, X, query):
        """Return its answer to a query. Stores which of the rows it has."""
        row_ids = self.session.keys(X, self.columns[0])
        fields = {"row_ids": row_ids, "abstain": self.abstains, **fields_of(query)}

        def check(reply):
            present = array_of(reply, "present", np.bool_, (len(row_ids),))
            self._check_present(present)
            n_chains = max((self.n_chains[n] for n in query.functions), default=1)
            return present, answer_of(reply, query, present, n_chains, self.n_outputs)

        def call():
            deadline = self.policy.deadline
            return self.session.call(self.name, "predict", deadline, check, **fields)

        result = self._attempt(call)
        if result is not None and len(row_ids) >= _MANY_ROWS:
            self._warn_of_few(result[0])
        if result is None:
            self.warn("continuing")
            result = np.full(len(row_ids), not self.abstains), Answer(0.0)
        self._present = X, result[0]
        return result[1]

    def _check_present(self, present):
        if self.abstains or present.all():
            return
        missing = np.flatnonzero(~present)
        raise MissingRows(
            f"Organization {self.name!r} does not have {len(missing)} of the "
            f"{len(present)} rows, the first at position {missing[0]}. Fit and predict "
            "rows that all have, which Federation.overlap(ids) tells, or fit with "
            "missing_rows='abstain'."
        )

    def release(self, n_requests):
        """Have it forget the training rows, and models of numbers from `n_requests` on."""
        self._training = self._training_present = None
        self.n_chains = {n: chains for n, chains in self.n_chains.items() if n < n_requests}
        self.forget_rows()
        if self._unreachable:
            return
        call = (self.name, "release", self.policy.deadline, lambda reply: reply)
        try:
            self.session.call(*call, n_requests=n_requests)
        except OrganizationError as error:
            warnings.warn(
                f"Organization {self.name!r} did not answer ({error.problem}) when the fit "
                "ended; it will forget the rows of this fit when others need the space.",
                OrganizationWarning,
                stacklevel=2,
            )
