"""An organization on another host, as the rounds see it."""

import threading
import time
import warnings
from typing import Any

import joblib
import numpy as np

from ._session import (
    MissingRows,
    OrganizationError,
    OrganizationWarning,
    array_of,
    finite,
)

ON_FAILURE = ("continue", "wait", "fail")
# Seconds between two tries to reach an organization that did not answer.
_RETRY_AFTER = 1.0
# Predictions of single rounds are fetched in blocks of at most this many bytes.
_FETCH_BYTES = 2**26


class RemoteOrganization:
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
    deadline : float
        Seconds that it has for each answer.
    on_failure : {"continue", "wait", "fail"}
        What to do when it does not answer.
    """

    estimator = None
    may_abstain = True
    revises = False
    runs_in_processes = False  # its state is in this process

    def __init__(self, name, session, columns, abstains, deadline, on_failure):
        self.name = name
        self.columns = columns
        self.models = {}  # they are on the organization's own disk
        self.session = session
        self.abstains = abstains
        self.deadline = deadline
        self.on_failure = on_failure
        self.answered = False  # whether it took part in the latest round
        self.left_out = set()  # rounds that it took no part in
        self.n_outputs = None
        self._unreachable = False
        self._reconnecting = None
        self._training: Any = None
        self._training_present: Any = None
        self.forget_rows()

    def __getstate__(self):
        dropped = {"_training": None, "_training_present": None, "_reconnecting": None}
        return self.__dict__ | dropped | {"_present": (None, None), "_fetched": (None, {})}

    def joins(self, n_rounds, n_outputs):
        """Note that it took no part in the first rounds of a fit."""
        self.left_out, self.n_outputs = set(range(n_rounds)), n_outputs

    def inherit(self, other):
        """Take over what is known of the organization in the fit before."""
        self.left_out, self.n_outputs = set(other.left_out), other.n_outputs

    def fingerprint(self, X):
        """Return a hash of the row ids of X."""
        return joblib.hash(self.session.keys(X, self.columns[0]))

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
            self._ask(X, (), None, None)
        return self._present[1]

    def prepare(self, X, fit_params):
        """Send it the ids of the training rows, before the first round."""
        if self._training is not None and self._training[0] is X:
            return
        row_ids = self.session.keys(X, self.columns[0])
        self._training = X, {"row_ids": row_ids, "abstain": self.abstains, **fit_params}
        present = self._attempt(self._call_prepare)
        self._unreachable = present is None
        if self._unreachable:
            present = np.full(len(row_ids), not self.abstains)
        self._training_present = present

    def _call_prepare(self):
        training = self._training[1]

        def check(reply):
            expected = (len(training["row_ids"]),)
            present = array_of(reply, "present", np.bool_, expected)
            self._check_present(present)
            return present

        return self.session.call(self.name, "prepare", self.deadline, check, **training)

    def _prepare_again(self):
        """Prepare it again after it was unreachable; it must have the same rows."""
        try:
            present = self._call_prepare()
        except MissingRows:
            raise OrganizationError("not all rows") from None
        if not np.array_equal(present, self._training_present):
            raise OrganizationError("other rows than when the fit began")

    def fit_round(self, request):
        """Have the organization fit a round.

        Parameters
        ----------
        request : Request
            What to fit.

        Returns
        -------
        fitted : ndarray of shape (n_samples, n_outputs)
            Fitted values. All are NaN if the organization does not answer; whether it did
            is in `answered`.
        """
        if self._unreachable and self._has_reconnected():
            self._unreachable = False
        self.n_outputs = request.residual.shape[1]
        fitted = None
        if not self._unreachable:
            fitted = self._attempt(lambda: self._call_fit(request))
        self.answered = fitted is not None
        if fitted is not None:
            self.left_out.discard(request.number)
            return fitted
        self._unreachable = True
        self.left_out.add(request.number)
        self._reconnect()
        return np.full_like(request.residual, np.nan)

    def _call_fit(self, request):
        folds, residual = request.folds, request.residual
        fields = {
            "round": request.number,
            "seed": request.seed,
            "folds": None if folds is None else folds.numbers.astype(np.int64),
            "residual": residual,
        }

        def check(reply):
            fitted = array_of(reply, "fitted", np.float64, residual.shape)
            if self.abstains and np.isnan(fitted).all():
                return fitted  # too few rows to fit in this round
            finite(fitted[self._training_present])
            return fitted

        call = (self.name, "fit_round", self.deadline, check, request.number)
        try:
            return self.session.call(*call, **fields)
        except OrganizationError as error:
            if str(error) != "NotPrepared":
                raise
        self._prepare_again()  # it has been restarted in the meantime
        return self.session.call(*call, **fields)

    def _attempt(self, call):
        """Return the result of a call; if it fails, wait, return None or raise an error."""
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
                    + ("waiting for it." if waits else "continuing without it."),
                    OrganizationWarning,
                    stacklevel=2,
                )
                if not waits:
                    return None
                time.sleep(_RETRY_AFTER)

    def _reconnect(self):
        """Prepare it again as soon as it answers, in a thread next to the rounds."""
        if self._reconnecting is not None and self._reconnecting.is_alive():
            return
        self._reconnecting = threading.Thread(target=self._reconnect_loop, daemon=True)
        self._reconnecting.start()

    def _reconnect_loop(self):
        while self._training is not None:
            try:
                self._prepare_again()
                return
            except OrganizationError:
                time.sleep(_RETRY_AFTER)

    def _has_reconnected(self):
        returned = self._reconnecting is not None and not self._reconnecting.is_alive()
        if returned:
            self._reconnecting = None
        return returned

    def predict(self, X, rounds, coefficients, folds=None):
        """Return the sum of its predictions for X, as `LocalOrganization` does.

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

    def predict_each(self, X, rounds):
        """Return the predictions of single rounds, as `LocalOrganization` does."""
        asked = [number for number in rounds if number not in self.left_out]
        each = self._ask(X, asked, None, None) if asked else None
        if each is None:
            return 0.0
        predictions = np.zeros((len(each), len(rounds), each.shape[2]))
        predictions[:, [number not in self.left_out for number in rounds]] = each
        return predictions

    def has_fetched(self, X, round_number):
        """Tell whether the predictions of a round have been fetched."""
        known = round_number in self.left_out or round_number in self._fetched[1]
        return self._fetched[0] is X and known

    def fetch(self, X, rounds):
        """Fetch the predictions of single rounds, which `predict` then returns."""
        at_once = max(1, _FETCH_BYTES // (8 * X.shape[0] * self.n_outputs))
        rounds = list(rounds)[:at_once]
        asked = [number for number in rounds if number not in self.left_out]
        each = self._ask(X, asked, None, None) if asked else None
        if each is None:
            self._fetched = X, dict.fromkeys(rounds, 0.0)
        else:
            self._fetched = X, {n: each[:, i] for i, n in enumerate(asked)}

    def _ask(self, X, rounds, coefficients, folds):
        """Return predictions, (n, K), or (n, R, K) without coefficients; None without any.

        Stores which of the rows it has.
        """
        row_ids = self.session.keys(X, self.columns[0])
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
            shape = (len(row_ids), *each_round, self.n_outputs)
            prediction = array_of(reply, "prediction", np.float64, shape)
            finite(prediction[present])
            return present, prediction

        def call():
            return self.session.call(self.name, "predict", self.deadline, check, **fields)

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
            "rows that all have, which Federation.overlap(ids) tells, or fit with "
            "missing_rows='abstain'."
        )

    def release(self, n_rounds):
        """Have it forget the training rows, and rounds from `n_rounds` on."""
        self._training = self._training_present = None
        self.left_out = {number for number in self.left_out if number < n_rounds}
        self.forget_rows()
        if self._unreachable:
            return
        call = (self.name, "release", self.deadline, lambda reply: reply)
        try:
            self.session.call(*call, n_rounds=n_rounds)
        except OrganizationError as error:
            warnings.warn(
                f"Organization {self.name!r} did not answer ({error}) when the fit ended; "
                "it will forget the rows of this fit when other fits need the space.",
                OrganizationWarning,
                stacklevel=2,
            )
