"""Gradient Assisted Learning: what both estimators share.

The method is `BaseGAL._fit_round`; `fit` validates and encodes, `_fit` loops.
"""

from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest

import joblib
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    get_routing_for_object,
    process_routing,
)
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ._assistance import WEIGHTS, line_search
from ._callbacks import CallbackSupportMixin, FitReport, with_callbacks
from ._composition import SPLITTER, OrganizationsEstimator, routing_enabled
from ._learners import weight_parameter
from ._organizations import derived_seed
from ._partition import resolve_organizations
from ._sampling import Rows, given_folds, judging_rows, number_of_folds, round_folds
from ._stacking import Assistance
from ._validation import check_parameters, validate_weight, validate_X
from .losses import check_link, check_output, get_loss, settled

# With early_stopping="auto": from how many rows on a fit is stopped early.
STOP_EARLY_FROM = 10_000
# Nothing is left to fit when all residuals are below this share of the first ones.
_FITTED = 1e-10


@dataclass(frozen=True)
class Round:
    """What the label holder keeps of one round; the organizations keep the models."""

    weights: np.ndarray
    learning_rate: float
    train_loss: float
    validation_loss: float


class BaseGAL(CallbackSupportMixin, OrganizationsEstimator):
    """Base class of the two estimators.

    A subclass names its losses in `_losses`, checks its target in `_validate_target` and
    encodes it in `_encode_target`.
    """

    @with_callbacks
    def fit(self, X, y, sample_weight=None, **params):
        """Fit by rounds of Gradient Assisted Learning.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            The columns of all organizations. A pandas or polars dataframe keeps its
            column types for the organizations' own estimators.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target, held by the label holder alone.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the overarching loss and in every local fit. A row of
            weight 0 is left out altogether.
        **params : dict
            `groups` for a splitter given as `cv` and, with metadata routing enabled,
            whatever the organizations' estimators request.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an organization, X, y or the weights are unusable.
        """
        check_parameters(self)
        report = FitReport(self, X, y, sample_weight, self.max_iter)
        continued = self.warm_start and hasattr(self, "_rounds")
        if continued and self.max_iter < self.n_iter_:
            raise ValueError(
                f"max_iter={self.max_iter} must be at least n_iter_={self.n_iter_} when "
                "warm_start=True."
            )
        if not continued:
            for name in ("_rounds", "_progress"):  # a fit that fails leaves no old model
                self.__dict__.pop(name, None)

        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the "
                "target y is None."
            )
        target = self._validate_target(y)
        X = validate_X(self, X, reset=not continued)
        check_consistent_length(X, target)
        sample_weight = validate_weight(sample_weight, len(target))
        y, strata, sample_weight = self._encode_target(target, sample_weight, continued)
        organizations = resolve_organizations(self, X)
        local_params, split_params = self._route(organizations, sample_weight, params)
        folds = given_folds(self.cv, X, target, **split_params)
        train = Rows(X, y, sample_weight, strata, folds, local_params)
        if sample_weight is not None and not sample_weight.all():
            train = train.take(np.flatnonzero(sample_weight))

        names = [organization.name for organization in organizations]
        holder = names[0] if self.label_holder is None else self.label_holder
        if holder not in names:
            raise ValueError(
                f"label_holder={holder!r} is none of the organizations {names}."
            )
        holder = names.index(holder)
        stacks = bool(self.stack_contributions) and len(organizations) > 1
        if continued:
            self._hand_over_models(organizations)
            if (holder, stacks) != (self._holder, self._stacks):
                raise ValueError(
                    "warm_start=True continues with the same label_holder and "
                    "stack_contributions."
                )
        else:
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        loss = get_loss(self.loss, self._losses)
        if continued and loss is not self._given_loss and loss != self._given_loss:
            raise ValueError("warm_start=True continues with the same loss.")
        if not continued:
            settled_loss = settled(loss, train.y, train.sample_weight)
            check_link(settled_loss, train.y.shape[1], getattr(self, "classes_", None))
            self._given_loss, self._loss = loss, settled_loss
        self._organizations = organizations
        self._holder, self._stacks = holder, stacks
        report.begin()
        self._fit(train, report, continued)
        report.end()
        return self

    def _fit(self, train, report, continued):
        """Loop over the rounds."""
        organizations = self._organizations
        n_folds = number_of_folds(self.cv, self.subsample, len(train))
        stops_early = self.early_stopping
        if isinstance(stops_early, str):
            stops_early = len(train) >= STOP_EARLY_FROM
        validation = None
        if stops_early and n_folds is None and train.folds is None:
            train, validation = train.split(self.validation_fraction, self._seed)

        fingerprint = joblib.hash((train, validation)) if self.warm_start else None
        if continued and stops_early != (self._baseline_losses[1] is not None):
            raise ValueError("warm_start=True continues with the same early_stopping.")
        begin = self._continue if continued else self._begin
        rounds = begin(train, validation, stops_early, fingerprint)
        try:
            for organization, params in zip(organizations, train.local_params, strict=True):
                organization.prepare(train.X, params)
            with Parallel(n_jobs=self.n_jobs, require="sharedmem") as parallel:
                ended = "max_iter is reached"
                while len(rounds) < self.max_iter:
                    number = len(rounds)
                    folds = round_folds(train, n_folds, self.subsample, self._seed, number)
                    weights, rate = self._fit_round(number, train, folds, parallel)
                    if rate == 0:
                        ended = "no step along the assisted direction lowers the loss"
                        break
                    if validation is not None:
                        self._advance(validation, number, weights, rate)
                    losses = self._losses_of(train, validation, stops_early)
                    rounds.append(Round(weights, rate, *losses))
                    self._print_progress(rounds)
                    if report.round(lambda: {"_rounds": list(rounds)}):
                        ended = "a callback asked for it"
                        break
                    if stops_early and self._has_converged(rounds):
                        ended = "the validation loss no longer improves"
                        break
        finally:
            for organization in organizations:
                organization.release(len(rounds))
        self._rounds = rounds
        if self.verbose:
            print(f"[{type(self).__name__}] ends after {len(rounds)} rounds: {ended}")
        if self.warm_start:
            reached = [
                rows and (rows.raw_prediction, rows.assistance)
                for rows in (train, validation)
            ]
            self._progress = (fingerprint, *reached)

    def _fit_round(self, number, train, folds, parallel):
        """One round of the method: weights and rate; `train` moves on by them."""
        loss, y, raw_prediction = self._loss, train.y, train.raw_prediction
        residual = loss.pseudo_residual(y, raw_prediction)
        if np.abs(residual).max() <= _FITTED * self._first_residual:
            return None, 0.0
        fitted = parallel(
            delayed(organization.fit_round)(
                number, derived_seed(self._seed, number, m), folds, residual, columns
            )
            for m, (organization, columns) in enumerate(self._with_assistance(train))
        )
        fitted = np.stack(fitted, axis=1)  # (n_samples, n_organizations, n_outputs)

        # the rows that choose: held out where some are and others are not
        rows = judging_rows(folds)
        sample_weight = None if train.sample_weight is None else train.sample_weight[rows]
        weights = self._assistance_weights(residual[rows], fitted[rows], sample_weight)
        direction = np.einsum("m,nmk->nk", weights, fitted)
        rate = self.learning_rate
        if self.line_search:
            rate *= line_search(
                loss, y[rows], raw_prediction[rows], direction[rows], sample_weight
            )
        if rate == 0:
            return weights, rate
        train.raw_prediction = raw_prediction + rate * direction
        if train.assistance is not None:
            train.assistance.add(fitted, rate * weights)
        return weights, rate

    def _assistance_weights(self, residual, fitted, sample_weight):
        solve = WEIGHTS[self.weights] if isinstance(self.weights, str) else self.weights
        weights = np.asarray(solve(residual, fitted, sample_weight), dtype=np.float64)
        if weights.shape != fitted.shape[1:2] or not np.isfinite(weights).all():
            raise ValueError(
                f"weights={self.weights!r} must return {fitted.shape[1]} finite weights, "
                f"one per organization, but returned {weights!r}."
            )
        return weights

    def _losses_of(self, train, validation, stops_early):
        """Training and validation loss; out-of-fold values are their own validation."""
        train_loss = train.loss(self._loss)
        if not stops_early:
            return train_loss, None
        return train_loss, train_loss if validation is None else validation.loss(self._loss)

    def _has_converged(self, rounds):
        """Whether the validation loss has not improved for `n_iter_no_change` rounds."""
        first = self._baseline_losses[1]
        losses = [first, *(r.validation_loss for r in rounds)]
        if len(losses) <= self.n_iter_no_change:
            return False
        before, recent = losses[: -self.n_iter_no_change], losses[-self.n_iter_no_change :]
        return not min(recent) < before[-1] - self.tol * abs(first)

    def _print_progress(self, rounds):
        if not self.verbose:
            return
        new = rounds[-1]
        line = f"[{type(self).__name__}] round {len(rounds)}/{self.max_iter}"
        line += f", training loss {new.train_loss:.6g}"
        if new.validation_loss not in (None, new.train_loss):
            line += f", validation loss {new.validation_loss:.6g}"
        line += f", learning rate {new.learning_rate:.4g}, weights"
        for organization, weight in zip(self._organizations, new.weights, strict=True):
            line += f" {organization.name} {weight:.3f}"
        print(line)

    # --- the first round and the next ---------------------------------------------------

    def _begin(self, train, validation, stops_early, fingerprint):
        """Start from the baseline."""
        baseline = self._loss.baseline(train.y, train.sample_weight)
        self.baseline_prediction_ = np.asarray(baseline, dtype=np.float64)
        check_output(self.baseline_prediction_, train.y.shape[1:], "baseline")
        raw_prediction = np.tile(self.baseline_prediction_, (len(train), 1))
        residual = self._loss.pseudo_residual(train.y, raw_prediction)
        check_output(residual, train.y.shape, "pseudo_residual")
        self._first_residual = np.abs(residual).max()
        for rows in filter(None, (train, validation)):
            self._at_baseline(rows)
        self._baseline_losses = self._losses_of(train, validation, stops_early)
        return []

    def _continue(self, train, validation, stops_early, fingerprint):
        """Start from the rounds so far; the same data continues out-of-fold."""
        known_fingerprint, *reached = getattr(self, "_progress", (None, None, None))
        same = fingerprint == known_fingerprint
        for rows, known in zip((train, validation), reached, strict=True):
            if rows is not None and same and known is not None:
                rows.raw_prediction, rows.assistance = deepcopy(known)
            elif rows is not None:
                self._at_baseline(rows)
                for number, new in enumerate(self._rounds):
                    self._advance(rows, number, new.weights, new.learning_rate)
        return list(self._rounds)

    def _hand_over_models(self, organizations):
        """Give organizations resolved anew the models of the rounds so far."""
        pairs = list(zip_longest(self._organizations, organizations))
        for old, new in pairs:
            same = old is not None and new is not None and old.name == new.name
            if not same or not np.array_equal(old.columns, new.columns):
                raise ValueError(
                    "warm_start=True continues with the same organizations and columns in "
                    f"the same order; organization {(new or old).name!r} is new, has "
                    "changed or is gone. Fit with warm_start=False first."
                )
        for old, new in pairs:
            new.models = dict(old.models)

    # --- predicting -------------------------------------------------------------------

    def contributions(self, X):
        """Each organization's exact additive share of the raw prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_organizations, n_outputs)
            In link space, organizations in the order of `organization_names_`. Summed
            over organizations and added to `baseline_prediction_` they are the raw
            prediction.
        """
        check_is_fitted(self)
        X = validate_X(self, X, reset=False)
        return self._contributions(X)

    def _contributions(self, X):
        if self._stacks:
            rows = self._at_baseline(Rows.to_predict(X))
            for number, new in enumerate(self._rounds):
                self._advance(rows, number, new.weights, new.learning_rate)
            return rows.assistance.contributions
        rates, weights = self.learning_rates_, self.weights_
        shares = Parallel(n_jobs=self.n_jobs, require="sharedmem")(
            delayed(organization.predict)(X, range(self.n_iter_), rates * weights[:, m])
            for m, organization in enumerate(self._organizations)
        )
        shape = (X.shape[0], len(self.baseline_prediction_))
        return np.stack([np.broadcast_to(share, shape) for share in shares], axis=1)

    def _raw(self, X):
        """Raw predictions (n_samples, n_outputs) of validated X."""
        return self.baseline_prediction_ + self._contributions(X).sum(axis=1)

    def _staged_raw(self, X):
        """Raw predictions after each round."""
        check_is_fitted(self)
        rows = self._at_baseline(Rows.to_predict(validate_X(self, X, reset=False)))
        for number, new in enumerate(self._rounds):
            self._advance(rows, number, new.weights, new.learning_rate)
            yield rows.raw_prediction

    def _at_baseline(self, rows):
        """Put the rows where they are before the first round."""
        n_samples, n_outputs = rows.X.shape[0], len(self.baseline_prediction_)
        rows.raw_prediction = np.tile(self.baseline_prediction_, (n_samples, 1))
        if self._stacks:
            shape = (n_samples, len(self._organizations), n_outputs)
            unit = self._first_residual or 1.0
            rows.assistance = Assistance(shape, self._holder, unit)
        return rows

    def _advance(self, rows, number, weights, rate):
        """Move rows that were not fitted to on by one round."""
        fitted = np.zeros((rows.X.shape[0], len(weights), len(self.baseline_prediction_)))
        for m, (organization, columns) in enumerate(self._with_assistance(rows)):
            if weights[m] != 0 or rows.assistance is not None:
                fitted[:, m] = organization.predict(rows.X, [number], [1.0], columns)
        direction = np.einsum("m,nmk->nk", weights, fitted)
        rows.raw_prediction = rows.raw_prediction + rate * direction
        if rows.assistance is not None:
            rows.assistance.add(fitted, rate * weights)

    def _with_assistance(self, rows):
        """Every organization, with the columns of the assistors if it shall see them."""
        for m, organization in enumerate(self._organizations):
            stacked = rows.assistance is not None and m == self._holder
            yield organization, rows.assistance.columns() if stacked else None

    # --- what a fit leaves --------------------------------------------------------------

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_rounds")

    @property
    def n_iter_(self):
        """Number of rounds."""
        check_is_fitted(self)
        return len(self._rounds)

    @property
    def weights_(self):
        """Assistance weights, (n_rounds, n_organizations)."""
        shape = (self.n_iter_, len(self._organizations))
        return np.array([r.weights for r in self._rounds]).reshape(shape)

    @property
    def learning_rates_(self):
        """Assisted learning rates, (n_rounds,)."""
        check_is_fitted(self)
        return np.array([r.learning_rate for r in self._rounds])

    @property
    def train_loss_(self):
        """Overarching loss on the training rows, (n_rounds + 1,)."""
        check_is_fitted(self)
        return np.array([self._baseline_losses[0], *(r.train_loss for r in self._rounds)])

    @property
    def validation_loss_(self):
        """Overarching loss that early stopping looks at, (n_rounds + 1,); else empty."""
        check_is_fitted(self)
        losses = [self._baseline_losses[1], *(r.validation_loss for r in self._rounds)]
        return np.array([loss for loss in losses if loss is not None])

    @property
    def estimators_(self):
        """Fitted local models, ``[round][organization]``."""
        return [
            [organization.models[number] for organization in self._organizations]
            for number in range(self.n_iter_)
        ]

    @property
    def organization_names_(self):
        """Names of the organizations."""
        check_is_fitted(self)
        return [organization.name for organization in self._organizations]

    @property
    def columns_(self):
        """Positions of every organization's columns, a list of arrays."""
        check_is_fitted(self)
        return [organization.columns for organization in self._organizations]

    @property
    def label_holder_(self):
        """Name of the organization that holds y."""
        return self.organization_names_[self._holder]

    def _route(self, organizations, sample_weight, params):
        """Parameters of every organization's local fits, and of the splitter's `split`."""
        if routing_enabled():
            if sample_weight is not None:
                params = {**params, "sample_weight": sample_weight}
                for organization in organizations:
                    takes_metadata = get_routing_for_object(organization.estimator)
                    if not isinstance(takes_metadata, MetadataRouter):
                        _weight_parameter(organization)
            routed = process_routing(self, "fit", **params)
            splits = params and hasattr(self.cv, "get_metadata_routing")
            split_params = routed[SPLITTER].split if splits else {}
            return [dict(routed[o.name].fit) for o in organizations], dict(split_params)
        unknown = sorted(params.keys() - {"groups"})
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.fit() got unexpected arguments {unknown}. To pass "
                "metadata on to the organizations' estimators, enable metadata routing: "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if params and not hasattr(self.cv, "split"):
            raise ValueError(
                f"groups are for a splitter given as cv, e.g. GroupKFold(), not for cv="
                f"{self.cv!r}."
            )
        if sample_weight is None:
            return [{} for _ in organizations], params
        return [{_weight_parameter(each): sample_weight} for each in organizations], params


def _weight_parameter(organization):
    """Name under which its estimator takes sample weights."""
    name = weight_parameter(organization.estimator)
    if name is None:
        raise ValueError(
            f"The estimator of organization {organization.name!r}, "
            f"{type(organization.estimator).__name__}, does not support sample weights. "
            "Give it one that does, fit without sample_weight and class_weight, or, if it "
            "passes weights on to an estimator of its own, enable metadata routing."
        )
    return name
