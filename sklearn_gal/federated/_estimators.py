"""Gradient Assisted Learning with organizations on other hosts, as estimators."""

from contextlib import contextmanager
from copy import copy
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import BaseGAL
from .._classifier import GALClassifier
from .._organizations.columns import resolve_organizations
from .._organizations.parallel import Threads
from .._regressor import GALRegressor
from .._validation import validate_X
from ._checkpoint import Checkpoint, fingerprint
from ._remote import (
    ON_FAILURE,
    Exchange,
    Federation,
    Link,
    OrganizationError,
    RemoteOrganization,
    new_fit_id,
)

# Position of a label holder that has no columns.
_NOBODY = -1


class FederatedGAL(BaseGAL):
    """What both estimators share: the same rounds, with organizations elsewhere."""

    # set while a fit runs: where it is saved, and what of it
    _running: Any = None

    def fit(self, X, y, sample_weight=None):
        """Fit together with the organizations of the federation.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or dataframe
            Row ids, strings or whole numbers; or a pandas or polars dataframe with the
            column `key` of row ids and the label holder's own columns.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target, which stays in this process.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. They are sent to the organizations, whose estimators must
            support them. A row of weight 0 is left out altogether.

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
            If an organization does not answer and ``on_failure="fail"``, or if nobody is
            left in a round.
        """
        check_federation(self)
        saved, checkpoint = {}, None
        if self.checkpoint is not None:
            identity = fingerprint(self, X, y, sample_weight)
            checkpoint = Checkpoint(self.checkpoint, identity)
            saved = checkpoint.load()
        if not (self.warm_start and hasattr(self, "_rounds")):
            self._link = Link(self.federation, saved.get("fit_id") or new_fit_id())
            self._link.exchanges = list(saved.get("exchanges", []))
        self._running = Bunch(checkpoint=checkpoint, saved=saved)
        try:
            return super().fit(X, y, sample_weight)
        finally:
            self._link.forget_rows()
            del self._running

    def _validate_X(self, X, reset):
        if hasattr(X, "columns"):
            X = validate_X(self, X, reset)
            names = list(X.columns)
            if self.key not in names and not (self.key is None and len(names) == 1):
                raise ValueError(
                    f"key={self.key!r} must name the column of X with the row ids; the "
                    f"columns of X are {names}."
                )
            position = names.index(self.key) if self.key in names else 0
        else:
            X = np.asarray(X)
            X = X.reshape(-1, 1) if X.ndim == 1 else X
            if X.ndim != 2 or X.shape[1] != 1 or not len(X):
                raise ValueError(
                    "X must be a one-dimensional array of row ids, or a dataframe with the "
                    f"row ids and own columns; got an array of shape {X.shape}."
                )
            validate_data(self, X, skip_check_array=True, reset=reset)
            position = 0
        if reset:
            self._key_position = position
        return X

    def _resolve_organizations(self, X):
        own = resolve_organizations(self, X) if self.organizations else []
        for organization in own:
            if self._key_position in organization.columns:
                raise ValueError(
                    f"Organization {organization.name!r} lists the column of row ids among "
                    "its columns; an estimator would learn the ids by heart. Leave it out."
                )
        names = [organization.name for organization in own]
        for name in self.federation.organizations:
            if name in names:
                raise ValueError(
                    f"Organization {name!r} is in `organizations` and in `federation`: "
                    "rename your own."
                )
        remote = [
            RemoteOrganization(
                name,
                self._link,
                np.array([self._key_position]),
                self.missing_rows == "abstain",
                self.deadline,
                self.on_failure,
            )
            for name in self.federation.organizations
        ]
        return own + remote

    def _route(self, organizations, sample_weight, params):
        own = [each for each in organizations if not is_remote(each)]
        local_params, split_params = super()._route(own, sample_weight, params)
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        remote = [dict(weight) for _ in organizations[len(own) :]]
        return local_params + remote, split_params

    def _settle(self, train, organizations, continued):
        n_own = sum(not is_remote(each) for each in organizations)
        names = [each.name for each in organizations[:n_own]]
        if self.label_holder is not None and self.label_holder not in names:
            raise ValueError(
                f"label_holder={self.label_holder!r} must be one of your own organizations "
                f"{names}."
            )
        if self.stack_contributions == "all":
            raise ValueError(
                "stack_contributions='all' would send every host what the others have "
                "sent: between hosts it is True, for the label holder, or False."
            )
        super()._settle(train, organizations, continued)
        if n_own == 0:  # the label holder is none of them
            self._holder, self._has_assistors, self._stacks = _NOBODY, True, False

    def _n_at_once(self):
        """Number of organizations that are called at once: hosts do not share cores."""
        return len(self._organizations)

    def _prepare(self, train, validation):
        remote = [
            (each, params)
            for each, params in zip(self._organizations, train.local_params, strict=True)
            if is_remote(each)
        ]
        with Threads(self._n_at_once()) as threads:
            threads.map(lambda pair: pair[0].prepare(train.X, pair[1]), remote)
        super()._prepare(train, validation)

    def _begin(self, rounds, train, validation, stops_early):
        super()._begin(rounds, train, validation, stops_early)
        running = self._running
        running.update(rounds=rounds, rows=[train, validation])
        if running.saved:
            rounds.extend(running.saved["rounds"])
            for rows, reached in zip(running.rows, running.saved["reached"], strict=True):
                if rows is None:
                    continue
                present, rows.raw_predictions, rows.assistance = reached
                if not np.array_equal(present, rows.present):
                    raise OrganizationError(
                        "The organizations have other rows than when the fit began: "
                        "resume when all of them answer, or fit without the checkpoint."
                    )
            for each in self._organizations:
                if is_remote(each):
                    each.left_out = set(running.saved["left_out"].get(each.name, ()))
                else:
                    models = running.checkpoint.models(self._link.fit_id, each.name)
                    each.models = {number: models[number] for number in range(len(rounds))}
            running.saved = {}

    def _fit_round(self, number, train, folds, parallel):
        if self._running.checkpoint is not None:
            self._save(number)
        return super()._fit_round(number, train, folds, parallel)

    def _save(self, n_rounds):
        """Save the fit as it is before the next round."""
        checkpoint, left_out = self._running.checkpoint, {}
        for each in self._organizations:
            if is_remote(each):
                left_out[each.name] = sorted(each.left_out)
                continue
            models = checkpoint.models(self._link.fit_id, each.name)
            for number in range(n_rounds - 1, -1, -1):
                if number in models:
                    break
                models[number] = each.models[number]
        checkpoint.save(
            fit_id=self._link.fit_id,
            rounds=list(self._running.rounds),
            reached=[
                rows and (rows.present, rows.raw_predictions, rows.assistance)
                for rows in self._running.rows
            ],
            left_out=left_out,
            exchanges=self._link.exchanges,
        )

    def _assistance_weights(self, residual, fitted, sample_weight, out_of_fold):
        """Weight 0 for those who did not answer in this round."""
        if self._running is None:
            return super()._assistance_weights(residual, fitted, sample_weight, out_of_fold)
        answered = np.array(
            [not is_remote(each) or each.answered for each in self._organizations]
        )
        answered = answered[len(answered) - fitted.shape[1] :]
        if not answered.any():
            raise OrganizationError(
                "No organization answered in this round. Resume the fit when they are "
                "back; with a checkpoint it goes on where it stopped."
            )
        weights = np.zeros(len(answered))
        weights[answered] = super()._assistance_weights(
            residual, fitted[:, answered], sample_weight, out_of_fold
        )
        return weights

    def _advance(self, rows, number, weights, rates):
        rounds = range(number, max(number + 1, len(getattr(self, "_rounds", ()))))
        remote = [
            each
            for each, weight in zip(self._organizations, weights.T, strict=True)
            if is_remote(each) and (weight.any() or rows.assistance is not None)
        ]
        missing = [each for each in remote if not each.has_fetched(rows.X, number)]
        with Threads(self._n_at_once()) as threads:
            threads.map(lambda each: each.fetch(rows.X, rounds), missing)
        super()._advance(rows, number, weights, rates)

    def _contributions(self, X):
        with self._asking():
            return super()._contributions(X)

    def _staged_raw(self, X):
        with self._asking():
            yield from super()._staged_raw(X)

    @contextmanager
    def _asking(self):
        """Ask by the parameters as they are now, and keep no rows afterwards."""
        self._link.federation = self.federation
        remote = [each for each in self._organizations if is_remote(each)]
        for each in remote:
            each.deadline, each.on_failure = self.deadline, self.on_failure
        try:
            yield
        finally:
            self._link.forget_rows()
            for each in remote:
                each.forget_rows()

    @property
    def label_holder_(self):
        """Name of the own organization that holds y; None without own columns."""
        return None if self._holder == _NOBODY else super().label_holder_

    def _without(self, name):
        model = copy(self)
        model.federation = self.federation.without(name)
        if self.organizations:
            model.organizations = [each for each in self.organizations if each[0] != name]
        model._organizations = [
            copy(each) for each in self._organizations if each.name != name
        ]
        if self._holder != _NOBODY:
            model._holder = self._first + model.organization_names_.index(
                self.label_holder_
            )
        return model

    @property
    def communication_(self):
        """What passed between hosts: a dict of arrays with an entry per call."""
        check_is_fitted(self)
        columns = zip(*self._link.exchanges, strict=True)
        return Bunch(**dict(zip(Exchange._fields, map(np.array, columns), strict=True)))


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
        What the label holder itself brings, as of :class:`~sklearn_gal.GALClassifier`; its
        columns are in X beside the row ids. None: nothing but the target. They come
        before those of the federation.
    key : str or None, default=None
        Column of X with the row ids, where X is a dataframe of several columns.
    on_failure : {"continue", "wait", "fail"}, default="continue"
        What to do when an organization does not answer within the deadline, or answers
        with an error, NaN or the wrong shape: go on with weight 0 for it in this round
        (it takes part again as soon as it is back), wait for it, or raise. Predictions
        go on without its contribution, with a warning.
    deadline : float, default=600.0
        Seconds that an organization has for each answer.
    checkpoint : path-like or None, default=None
        Folder in which the fit is saved after each round. A `fit` with the same data and
        parameters goes on after the last finished round and gives what it would have
        given without the interruption. Holds residuals and own models: keep it to
        yourself.
    loss, max_iter, learning_rate, line_search, weights, cv, subsample : optional
        As of :class:`~sklearn_gal.GALClassifier`.
    stack_contributions, label_holder : optional
        As of :class:`~sklearn_gal.GALClassifier`; the label holder is one of the own
        organizations. Without own columns there is nobody to stack for; ``"all"`` is
        refused, since hosts receive nothing but residuals.
    missing_rows : {"error", "abstain"}, default="error"
        What to do about rows that an organization does not have: raise, or let it abstain
        there, in the fit and in predictions, as of
        :class:`~sklearn_gal.GALClassifier`. One that does not answer then
        abstains from all rows of a prediction.
    privacy, early_stopping, validation_fraction, n_iter_no_change, tol : optional
        As of :class:`~sklearn_gal.GALClassifier`.
    class_weight, warm_start, n_jobs, verbose, random_state : optional
        As of :class:`~sklearn_gal.GALClassifier`. Everybody elsewhere is
        asked at once, whatever `n_jobs` is.

    Attributes
    ----------
    communication_ : Bunch of arrays
        What passed between hosts, with an entry per call: `organization`, `call`, `round`
        (-1 outside the rounds), `bytes_sent`, `bytes_received`, `seconds` and `error`, the
        type of the failure, empty if there was none.
    estimators_ : list of lists
        As of :class:`~sklearn_gal.GALClassifier`; None in the place of models that are
        elsewhere.
    label_holder_ : str or None
        Name of the own organization that holds y; None without own columns.

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
        on_failure="continue",
        deadline=600.0,
        checkpoint=None,
        loss="log_loss",
        max_iter=100,
        learning_rate=0.3,
        line_search=True,
        weights="optimal",
        cv="auto",
        subsample=1.0,
        stack_contributions=False,
        label_holder=None,
        missing_rows="error",
        privacy=None,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-7,
        class_weight=None,
        warm_start=False,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        super().__init__(
            organizations,
            loss=loss,
            max_iter=max_iter,
            learning_rate=learning_rate,
            line_search=line_search,
            weights=weights,
            cv=cv,
            subsample=subsample,
            stack_contributions=stack_contributions,
            label_holder=label_holder,
            missing_rows=missing_rows,
            privacy=privacy,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            class_weight=class_weight,
            warm_start=warm_start,
            n_jobs=n_jobs,
            verbose=verbose,
            random_state=random_state,
        )
        self.federation = federation
        self.key = key
        self.on_failure = on_failure
        self.deadline = deadline
        self.checkpoint = checkpoint


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
        What the label holder itself brings, as of :class:`~sklearn_gal.GALRegressor`; its
        columns are in X beside the row ids. None: nothing but the target. They come
        before those of the federation.
    key : str or None, default=None
        Column of X with the row ids, where X is a dataframe of several columns.
    on_failure : {"continue", "wait", "fail"}, default="continue"
        What to do when an organization does not answer within the deadline, or answers
        with an error, NaN or the wrong shape: go on with weight 0 for it in this round
        (it takes part again as soon as it is back), wait for it, or raise. Predictions
        go on without its contribution, with a warning.
    deadline : float, default=600.0
        Seconds that an organization has for each answer.
    checkpoint : path-like or None, default=None
        Folder in which the fit is saved after each round. A `fit` with the same data and
        parameters goes on after the last finished round and gives what it would have
        given without the interruption. Holds residuals and own models: keep it to
        yourself.
    loss, max_iter, learning_rate, line_search, weights, cv, subsample : optional
        As of :class:`~sklearn_gal.GALRegressor`.
    stack_contributions, label_holder : optional
        As of :class:`~sklearn_gal.GALRegressor`; the label holder is one of the own
        organizations. Without own columns there is nobody to stack for; ``"all"`` is
        refused, since hosts receive nothing but residuals.
    missing_rows : {"error", "abstain"}, default="error"
        What to do about rows that an organization does not have: raise, or let it abstain
        there, in the fit and in predictions, as of
        :class:`~sklearn_gal.GALRegressor`. One that does not answer then
        abstains from all rows of a prediction.
    privacy, early_stopping, validation_fraction, n_iter_no_change, tol : optional
        As of :class:`~sklearn_gal.GALRegressor`.
    warm_start, n_jobs, verbose, random_state : optional
        As of :class:`~sklearn_gal.GALRegressor`. Everybody elsewhere is
        asked at once, whatever `n_jobs` is.

    Attributes
    ----------
    communication_ : Bunch of arrays
        What passed between hosts, with an entry per call: `organization`, `call`, `round`
        (-1 outside the rounds), `bytes_sent`, `bytes_received`, `seconds` and `error`, the
        type of the failure, empty if there was none.
    estimators_ : list of lists
        As of :class:`~sklearn_gal.GALRegressor`; None in the place of models that are
        elsewhere.
    label_holder_ : str or None
        Name of the own organization that holds y; None without own columns.

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
        on_failure="continue",
        deadline=600.0,
        checkpoint=None,
        loss="squared_error",
        max_iter=100,
        learning_rate=0.3,
        line_search=True,
        weights="optimal",
        cv="auto",
        subsample=1.0,
        stack_contributions=False,
        label_holder=None,
        missing_rows="error",
        privacy=None,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-7,
        warm_start=False,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        super().__init__(
            organizations,
            loss=loss,
            max_iter=max_iter,
            learning_rate=learning_rate,
            line_search=line_search,
            weights=weights,
            cv=cv,
            subsample=subsample,
            stack_contributions=stack_contributions,
            label_holder=label_holder,
            missing_rows=missing_rows,
            privacy=privacy,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            n_jobs=n_jobs,
            verbose=verbose,
            random_state=random_state,
        )
        self.federation = federation
        self.key = key
        self.on_failure = on_failure
        self.deadline = deadline
        self.checkpoint = checkpoint


def is_remote(organization):
    """Whether an organization is on another host."""
    return isinstance(organization, RemoteOrganization)


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
    check_scalar(model.deadline, "deadline", Real, min_val=0, include_boundaries="neither")
    if model.checkpoint is not None and model.warm_start:
        raise ValueError(
            "A fit with a checkpoint cannot be continued by warm_start=True: use one."
        )
