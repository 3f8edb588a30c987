"""Gradient Assisted Learning with organizations on other hosts, as estimators."""

import secrets
import warnings
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import BaseGAL
from .._classifier import GALClassifier
from .._method.observers import STOP_REASONS, Observer
from .._organizations.columns import resolve_organizations
from .._regressor import GALRegressor
from .._validation import check_label_holder, validate_X
from ._checkpoint import Checkpoint, SavesRounds, fingerprint
from ._federation import Federation
from ._participants import FederatedParticipants, NumbersRounds
from ._remote import ON_FAILURE, Policy, RemoteOrganization
from ._session import CallRecord, FitSession, OrganizationWarning, new_fit_id

WIRE_DTYPES = {"float64": np.float64, "float32": np.float32}


class FederatedGAL(BaseGAL):
    """What both estimators share: the same rounds, with organizations on other hosts."""

    federation: Any
    key: str | None
    on_failure: str
    deadline: float
    grace_period: float
    max_missed_rounds: int | None
    checkpoint: Any
    wire_dtype: str

    def fit(self, X, y, sample_weight=None):
        """Fit together with the organizations of the federation.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or dataframe
            Row ids, strings or whole numbers; or a pandas or polars dataframe with the
            column `key` of row ids and the label holder's columns.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target, which stays in this process.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. They are sent to the organizations, whose estimators must
            support them. A row of weight 0 is left out.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an organization, X, y or the weights are unusable, or if an
            organization does not have all rows.
        OrganizationError
            If an organization does not answer and ``on_failure="fail"``, or if the fit has
            to end before its first round, because no organization can be reached.
        """
        check_federation(self)
        saved, observers = {}, list[Observer]()
        if self.checkpoint is not None:
            identity = fingerprint(self, X, y, sample_weight)
            checkpoint = Checkpoint(self.checkpoint, identity)
            saved = checkpoint.load()
            observers = [SavesRounds(checkpoint, saved)]
        if self.warm_start and hasattr(self, "_model"):
            session = self._model.participants.session
        else:
            session = FitSession(self.federation, saved.get("fit_id") or new_fit_id())
            session.calls = list(saved.get("calls", []))
        session.wire_dtype = WIRE_DTYPES[self.wire_dtype]
        try:
            participants_of = partial(self._federated_participants, session=session)
            observers.append(NumbersRounds())
            self._fit(X, y, sample_weight, participants_of, observers)
        finally:
            session.forget_rows()
        if self.stop_reason_ in ("organizations_away", "missed_rounds", "refused"):
            warnings.warn(
                f"The fit ended after {self.n_iter_} rounds, because "
                f"{STOP_REASONS[self.stop_reason_]}. It has the rounds before; fit again "
                "when the organizations are back or permit it, with a checkpoint to "
                "continue from here.",
                OrganizationWarning,
                stacklevel=2,
            )
        return self

    @property
    def _policy(self):
        return Policy(
            self.deadline, self.on_failure, self.grace_period, self.max_missed_rounds
        )

    def _validate_X(self, X, reset):
        if hasattr(self, "_model"):
            self._model.participants.ask_with(self.federation, self._policy)
        if hasattr(X, "columns"):
            X = validate_X(self, X, reset)
            position_of_key(self, X)
            return X
        X = np.asarray(X)
        X = X.reshape(-1, 1) if X.ndim == 1 else X
        if X.ndim != 2 or X.shape[1] != 1 or not len(X):
            raise ValueError(
                "X must be a one-dimensional array of row ids, or a dataframe with the "
                f"row ids and own columns; got an array of shape {X.shape}."
            )
        validate_data(self, X, skip_check_array=True, reset=reset)
        return X

    def _federated_participants(self, X, sample_weight, previous, session):
        """Return the participants, and parameters for their fits and for the splitter."""
        own = resolve_organizations(self, X) if self.organizations else []
        key, names = position_of_key(self, X), [each.name for each in own]
        check_own_organizations(self, own, key)
        holder = check_label_holder(self.label_holder, names) if own else None
        abstains = self.missing_rows == "abstain"
        settings = np.array([key]), abstains, self._policy
        remote = [
            RemoteOrganization(name, session, *settings)
            for name in self.federation.organizations
        ]
        before = previous and previous.model.participants
        participants = FederatedParticipants.of_fit(own + remote, holder, abstains, before)
        fit_params, split_params = self._route(own, sample_weight, {})
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        return participants, fit_params + [weight] * len(remote), split_params

    def _noise_entropy(self, drawn):
        """Return a seed from the operating system, which no one can find by trial.

        Organizations on other hosts receive seeds that derive from `random_state`. If it is
        an int, they could find it by trial, and subtract noise that derives from it.
        """
        return [secrets.randbits(128)]

    def _parameters_without(self, name):
        federation = self.federation.without(name)
        if not federation.organizations:
            raise ValueError(
                f"Organization {name!r} is the only one of the federation: without it, fit "
                "GALRegressor or GALClassifier."
            )
        return super()._parameters_without(name) | {"federation": federation}

    @property
    def communication_(self):
        """What passed between hosts: a dict of arrays with an entry per call."""
        check_is_fitted(self)
        columns = zip(*self._model.participants.session.calls, strict=True)
        return Bunch(**dict(zip(CallRecord._fields, map(np.array, columns), strict=True)))


class FederatedGALClassifier(FederatedGAL, GALClassifier):
    """Classification by Gradient Assisted Learning with organizations on other hosts.

    The label holder runs this estimator; the columns, estimators and models of the other
    organizations stay with them, behind a :class:`Federation`. On the same rows and with
    the same local estimators it gives, to the last bit, what
    :class:`~sklearn_gal.GALClassifier` gives with all columns in one place.

    Parameters
    ----------
    federation : Federation
        The other organizations and how to reach them.
    organizations : list of tuples (name, estimator, columns) or None, default=None
        The label holder's organizations, as in :class:`~sklearn_gal.GALClassifier`. Their
        columns are in X, next to the row ids. If None, the label holder holds only the
        target. They come before those of the federation.
    key : str or None, default=None
        Column of X with the row ids, where X is a dataframe of several columns.
    label_holder : str or None, default=None
        Name of the organization in `organizations` that holds y. None selects the first.
    loss, class_weight, max_iter, learning_rate, cv, interactions : optional
        As in :class:`~sklearn_gal.GALClassifier`.
    missing_rows : {"error", "abstain"}, default="error"
        What to do about rows that an organization does not have: raise, or let it abstain
        there, in the fit and in predictions, as in
        :class:`~sklearn_gal.GALClassifier`. An organization that does not
        answer then abstains from all rows of a prediction.
    on_failure : {"continue", "wait", "fail"}, default="continue"
        What to do when an organization cannot be reached for longer than `grace_period`,
        does not answer within the deadline, or answers with an error, NaN or the wrong
        shape: continue with weight 0 for it in this round (it takes part again when it is
        back), wait for it as long as it takes, or raise an error. Predictions are made
        without its contribution, with a warning.
    deadline : float, default=600.0
        Seconds that an organization has for each answer.
    checkpoint : path-like or None, default=None
        Folder in which the fit is saved after each round. A `fit` with the same data and
        parameters continues after the last saved round and gives what it would have
        given without the interruption. It needs an int as `random_state`, from which the
        noise of `privacy` does not derive: its seed comes from the operating system and is
        in the folder, with residuals and the label holder's models. Keep it private.
    privacy, n_jobs, random_state : optional
        As in :class:`~sklearn_gal.GALClassifier`. Organizations on other hosts
        are always asked at the same time.

    Attributes
    ----------
    communication_ : Bunch of arrays
        Calls between hosts, an entry per call: `organization`, `call`, `round`,
        `bytes_sent`, `bytes_received`, `seconds` and `error`, the type of the failure,
        empty if there was none. `round` is the number of the request to the organization
        (-1 outside the rounds). It is the round unless there are interactions, with which
        an organization can get several requests in a round.
    estimators_ : list of lists
        As in :class:`~sklearn_gal.GALClassifier`; None in place of models on other
        hosts.
    label_holder_ : str or None
        Name of the own organization that holds y; None without own columns.
    stop_reason_ : str
        Why the fit ended, as in :class:`~sklearn_gal.GALClassifier`; or
        "organizations_away" (no organization on another host can be reached), "refused"
        (all of them refuse to take part) or "missed_rounds" (see `max_missed_rounds`).

    Other Parameters
    ----------------
    grace_period : float, default=60.0
        Seconds to wait for an organization that cannot be reached, once for each absence,
        before `on_failure` says what to do. A fit gives the same as without the absence if
        the organization is back by then.
    max_missed_rounds : int or None, default=10
        Number of rounds of a fit that may go on without an organization. The fit ends
        before it would miss another one, with ``stop_reason_="missed_rounds"``. If None,
        there is no such limit. An organization that refuses to take part, for example
        because of a limit, would refuse again: with ``on_failure="continue"`` a warning
        says why, and the rest of the fit goes on without it. The fit also ends when no
        organization on another host is left: with ``stop_reason_="refused"`` if all refuse,
        else with ``stop_reason_="organizations_away"``. It keeps the rounds before, and
        continues after them from a checkpoint.
    wire_dtype : {"float64", "float32"}, default="float64"
        Type of the residuals and fitted values that are sent. ``"float32"`` halves the
        bytes of a round, and the result is no longer what a fit in one place would give to
        the last bit. Predictions are always sent as float64.
    early_stopping, n_iter_no_change, tol, validation_fraction : optional
        As in :class:`~sklearn_gal.GALClassifier`.
    weights, line_search, subsample, warm_start, verbose : optional
        As in :class:`~sklearn_gal.GALClassifier`.

    See Also
    --------
    sklearn_gal.GALClassifier : The same in one place, with the other attributes.
    OrganizationService : The other side.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_gal.federated import (
    ...     FederatedGALClassifier,
    ...     Federation,
    ...     LocalChannel,
    ...     OrganizationService,
    ... )
    >>> table = load_wine(as_frame=True).frame.reset_index(names="id")
    >>> secret = "drawn at random and shared"
    >>> laboratory = OrganizationService(
    ...     "laboratory", table, "id", secret, mkdtemp(), columns=["hue", "ash"]
    ... )
    >>> federation = Federation(LocalChannel([laboratory]), secret)
    >>> model = FederatedGALClassifier(federation, random_state=0)
    >>> model.fit(table["id"], table["target"]).predict(table["id"]).shape
    (178,)
    """

    def __init__(
        self,
        federation=None,
        organizations=None,
        *,
        key=None,
        label_holder=None,
        loss="log_loss",
        class_weight=None,
        max_iter=None,
        learning_rate="auto",
        cv="auto",
        interactions="auto",
        missing_rows="error",
        on_failure="continue",
        deadline=600.0,
        checkpoint=None,
        privacy=None,
        n_jobs=None,
        random_state=None,
        grace_period=60.0,
        max_missed_rounds=10,
        wire_dtype="float64",
        early_stopping="auto",
        n_iter_no_change=10,
        tol=1e-7,
        validation_fraction=0.1,
        weights="optimal",
        line_search=True,
        subsample=1.0,
        warm_start=False,
        verbose=0,
    ):
        super().__init__(
            organizations,
            label_holder=label_holder,
            loss=loss,
            class_weight=class_weight,
            max_iter=max_iter,
            learning_rate=learning_rate,
            cv=cv,
            interactions=interactions,
            missing_rows=missing_rows,
            privacy=privacy,
            n_jobs=n_jobs,
            random_state=random_state,
            early_stopping=early_stopping,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            validation_fraction=validation_fraction,
            weights=weights,
            line_search=line_search,
            subsample=subsample,
            warm_start=warm_start,
            verbose=verbose,
        )
        self.federation = federation
        self.key = key
        self.on_failure = on_failure
        self.deadline = deadline
        self.checkpoint = checkpoint
        self.grace_period = grace_period
        self.max_missed_rounds = max_missed_rounds
        self.wire_dtype = wire_dtype


class FederatedGALRegressor(FederatedGAL, GALRegressor):
    """Regression by Gradient Assisted Learning with organizations on other hosts.

    The label holder runs this estimator; the columns, estimators and models of the other
    organizations stay with them, behind a :class:`Federation`. On the same rows and with
    the same local estimators it gives, to the last bit, what
    :class:`~sklearn_gal.GALRegressor` gives with all columns in one place.

    Parameters
    ----------
    federation : Federation
        The other organizations and how to reach them.
    organizations : list of tuples (name, estimator, columns) or None, default=None
        The label holder's organizations, as in :class:`~sklearn_gal.GALRegressor`. Their
        columns are in X, next to the row ids. If None, the label holder holds only the
        target. They come before those of the federation.
    key : str or None, default=None
        Column of X with the row ids, where X is a dataframe of several columns.
    label_holder : str or None, default=None
        Name of the organization in `organizations` that holds y. None selects the first.
    loss, max_iter, learning_rate, cv, interactions : optional
        As in :class:`~sklearn_gal.GALRegressor`.
    missing_rows : {"error", "abstain"}, default="error"
        What to do about rows that an organization does not have: raise, or let it abstain
        there, in the fit and in predictions, as in
        :class:`~sklearn_gal.GALRegressor`. An organization that does not
        answer then abstains from all rows of a prediction.
    on_failure : {"continue", "wait", "fail"}, default="continue"
        What to do when an organization cannot be reached for longer than `grace_period`,
        does not answer within the deadline, or answers with an error, NaN or the wrong
        shape: continue with weight 0 for it in this round (it takes part again when it is
        back), wait for it as long as it takes, or raise an error. Predictions are made
        without its contribution, with a warning.
    deadline : float, default=600.0
        Seconds that an organization has for each answer.
    checkpoint : path-like or None, default=None
        Folder in which the fit is saved after each round. A `fit` with the same data and
        parameters continues after the last saved round and gives what it would have
        given without the interruption. It needs an int as `random_state`, from which the
        noise of `privacy` does not derive: its seed comes from the operating system and is
        in the folder, with residuals and the label holder's models. Keep it private.
    privacy, n_jobs, random_state : optional
        As in :class:`~sklearn_gal.GALRegressor`. Organizations on other hosts
        are always asked at the same time.

    Attributes
    ----------
    communication_ : Bunch of arrays
        Calls between hosts, an entry per call: `organization`, `call`, `round`,
        `bytes_sent`, `bytes_received`, `seconds` and `error`, the type of the failure,
        empty if there was none. `round` is the number of the request to the organization
        (-1 outside the rounds). It is the round unless there are interactions, with which
        an organization can get several requests in a round.
    estimators_ : list of lists
        As in :class:`~sklearn_gal.GALRegressor`; None in place of models on other
        hosts.
    label_holder_ : str or None
        Name of the own organization that holds y; None without own columns.
    stop_reason_ : str
        Why the fit ended, as in :class:`~sklearn_gal.GALRegressor`; or
        "organizations_away" (no organization on another host can be reached), "refused"
        (all of them refuse to take part) or "missed_rounds" (see `max_missed_rounds`).

    Other Parameters
    ----------------
    grace_period : float, default=60.0
        Seconds to wait for an organization that cannot be reached, once for each absence,
        before `on_failure` says what to do. A fit gives the same as without the absence if
        the organization is back by then.
    max_missed_rounds : int or None, default=10
        Number of rounds of a fit that may go on without an organization. The fit ends
        before it would miss another one, with ``stop_reason_="missed_rounds"``. If None,
        there is no such limit. An organization that refuses to take part, for example
        because of a limit, would refuse again: with ``on_failure="continue"`` a warning
        says why, and the rest of the fit goes on without it. The fit also ends when no
        organization on another host is left: with ``stop_reason_="refused"`` if all refuse,
        else with ``stop_reason_="organizations_away"``. It keeps the rounds before, and
        continues after them from a checkpoint.
    wire_dtype : {"float64", "float32"}, default="float64"
        Type of the residuals and fitted values that are sent. ``"float32"`` halves the
        bytes of a round, and the result is no longer what a fit in one place would give to
        the last bit. Predictions are always sent as float64.
    early_stopping, n_iter_no_change, tol, validation_fraction : optional
        As in :class:`~sklearn_gal.GALRegressor`.
    weights, line_search, subsample, warm_start, verbose : optional
        As in :class:`~sklearn_gal.GALRegressor`.

    See Also
    --------
    sklearn_gal.GALRegressor : The same in one place, with the other attributes.
    OrganizationService : The other side.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal.federated import (
    ...     FederatedGALRegressor,
    ...     Federation,
    ...     LocalChannel,
    ...     OrganizationService,
    ... )
    >>> table = load_diabetes(as_frame=True).frame.reset_index(names="id")
    >>> secret = "drawn at random and shared"
    >>> laboratory = OrganizationService(
    ...     "laboratory", table, "id", secret, mkdtemp(), columns=["s1", "s5"]
    ... )
    >>> federation = Federation(LocalChannel([laboratory]), secret)
    >>> model = FederatedGALRegressor(federation, random_state=0)
    >>> model.fit(table["id"], table["target"]).predict(table["id"]).shape
    (442,)
    """

    def __init__(
        self,
        federation=None,
        organizations=None,
        *,
        key=None,
        label_holder=None,
        loss="squared_error",
        max_iter=None,
        learning_rate="auto",
        cv="auto",
        interactions="auto",
        missing_rows="error",
        on_failure="continue",
        deadline=600.0,
        checkpoint=None,
        privacy=None,
        n_jobs=None,
        random_state=None,
        grace_period=60.0,
        max_missed_rounds=10,
        wire_dtype="float64",
        early_stopping="auto",
        n_iter_no_change=10,
        tol=1e-7,
        validation_fraction=0.1,
        weights="optimal",
        line_search=True,
        subsample=1.0,
        warm_start=False,
        verbose=0,
    ):
        super().__init__(
            organizations,
            label_holder=label_holder,
            loss=loss,
            max_iter=max_iter,
            learning_rate=learning_rate,
            cv=cv,
            interactions=interactions,
            missing_rows=missing_rows,
            privacy=privacy,
            n_jobs=n_jobs,
            random_state=random_state,
            early_stopping=early_stopping,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            validation_fraction=validation_fraction,
            weights=weights,
            line_search=line_search,
            subsample=subsample,
            warm_start=warm_start,
            verbose=verbose,
        )
        self.federation = federation
        self.key = key
        self.on_failure = on_failure
        self.deadline = deadline
        self.checkpoint = checkpoint
        self.grace_period = grace_period
        self.max_missed_rounds = max_missed_rounds
        self.wire_dtype = wire_dtype


def check_federation(model):
    """Check the parameters that only federated estimators have."""
    federation = model.federation
    if not isinstance(federation, Federation) or not federation.organizations:
        raise ValueError(
            "federation must be a Federation with at least one organization, got "
            f"{federation!r}."
        )
    if not isinstance(model.on_failure, str) or model.on_failure not in ON_FAILURE:
        raise ValueError(f"on_failure={model.on_failure!r} must be one of {ON_FAILURE}.")
    if model.missing_rows not in ("error", "abstain"):
        raise ValueError(
            f"missing_rows={model.missing_rows!r} must be 'error' or 'abstain': rows that "
            "an organization elsewhere does not have cannot be passed to its estimator."
        )
    if not isinstance(model.wire_dtype, str) or model.wire_dtype not in WIRE_DTYPES:
        raise ValueError(
            f"wire_dtype={model.wire_dtype!r} must be one of {list(WIRE_DTYPES)}."
        )
    check_scalar(model.deadline, "deadline", Real, min_val=0, include_boundaries="neither")
    check_scalar(model.grace_period, "grace_period", Real, min_val=0)
    if model.max_missed_rounds is not None:
        check_scalar(model.max_missed_rounds, "max_missed_rounds", Integral, min_val=0)
    if model.checkpoint is not None and model.warm_start:
        raise ValueError(
            "A fit with a checkpoint cannot be continued by warm_start=True: use one."
        )


def check_own_organizations(model, own, key):
    """Check the label holder's organizations against the federation and the row ids."""
    names = [each.name for each in own]
    if model.label_holder is not None and model.label_holder not in names:
        raise ValueError(
            f"label_holder={model.label_holder!r} must be one of `organizations`, {names}."
        )
    for each in own:
        if key in each.columns:
            raise ValueError(
                f"Organization {each.name!r} lists the column of row ids among its "
                "columns; an estimator could memorise the row ids. Leave it out."
            )
        if each.name in model.federation.organizations:
            raise ValueError(
                f"Organization {each.name!r} is in `organizations` and in `federation`: "
                "rename your own."
            )


def position_of_key(model, X):
    """Return the position of the column of row ids in X."""
    if not hasattr(X, "columns"):
        return 0
    names = list(X.columns)
    if model.key not in names and not (model.key is None and len(names) == 1):
        raise ValueError(
            f"key={model.key!r} must name the column of X with the row ids; the columns of "
            f"X are {names}."
        )
    return names.index(model.key) if model.key in names else 0
