"""What both estimators share: validate, encode, run a `Descent`, keep the model."""

import secrets
import warnings
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ._assembly import (
    descent_of,
    model_to_extend,
    nothing_to_fit,
    patterns_of,
    rounds_of,
)
from ._calibrated import CalibratedPredictions
from ._callbacks import CallbackSupportMixin, FitReport, with_callbacks
from ._feature_contributions import FeatureContributionsMixin
from ._fitted_attributes import FittedAttributes
from ._kept_rows import KeptRows
from ._metaestimator import OrganizationsEstimator
from ._method.descent import in_sample
from ._method.disclosure import Disclosure
from ._method.folds import FoldPlan, RoundFolds, number_of_folds, why_in_sample
from ._method.observers import ADVICE, STOP_REASONS, EarlyStopping, Observer, Progress
from ._method.rows import Rows
from ._organization_values import OrganizationValuesMixin
from ._organizations.columns import check_not_lazy, resolve_organizations
from ._organizations.participants import Participants
from ._training_data import TrainingData
from ._validation import (
    check_label_holder,
    check_parameters,
    given_folds,
    interacting_pairs,
    interactions_among,
    validate_weight,
    validate_X,
)
from ._warm_start import (
    FitState,
    Previous,
    Snapshot,
    brings_columns,
    check_may_leave,
    check_same_settings,
    fit_to_continue,
    reset_unless_warm,
    restore,
    unchanged_on_failure,
)
from .losses import check_link, get_loss, loss_for_target
from .privacy import Broadcast

# With early_stopping="auto": from how many rows on a fit is stopped early.
STOP_EARLY_FROM = 10_000
# Where the next round may propose something else, or is judged by other rows, this many
# successive rounds without descent do not end a fit; fewer where the assistors receive
# noise and every round costs budget (docs/decisions.rst).
IDLE_ROUNDS, IDLE_ROUNDS_WITH_PRIVACY = 10, 2


class BaseGAL(
    CallbackSupportMixin,
    CalibratedPredictions,
    FeatureContributionsMixin,
    OrganizationValuesMixin,
    FittedAttributes,
    OrganizationsEstimator,
):
    """Base class of the two estimators.

    A subclass names its losses in `_losses`, checks its target in `_validate_target` and
    encodes it in `_encode_target`.
    """

    # An experiment may put a subclass of `Disclosure` here; None: the parameters decide.
    _disclosure: type[Disclosure] | None = None

    organizations: Any
    loss: Any
    max_iter: int | None
    learning_rate: Any
    line_search: bool
    weights: Any
    cv: Any
    subsample: float
    interactions: Any
    label_holder: str | None
    missing_rows: str
    privacy: Any
    share_models: bool
    early_stopping: Any
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    warm_start: bool
    n_jobs: int | None
    verbose: int
    random_state: Any
    _losses: dict

    @with_callbacks
    def fit(self, X, y, sample_weight=None, **params) -> Self:
        """Fit by rounds of Gradient Assisted Learning.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            The columns of all organizations. A pandas or polars dataframe keeps its
            column types for the organizations' estimators.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target, held by the label holder alone.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the overarching loss and in every local fit. A row of
            weight 0 is left out.
        **params : dict
            `groups` for a splitter given as `cv` and, with metadata routing enabled,
            what the organizations' estimators request.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, an organization, X, y or the weights are unusable.
        """
        return self._fit(X, y, sample_weight, partial(self._participants, params=params))

    def _fit(self, X, y, sample_weight, participants_of, observers=()):
        """Validate, encode, and run a fit.

        ``participants_of(X, sample_weight, previous)`` returns the participants, the
        parameters of their fits and those of the splitter. `observers` are told of the
        rounds, in addition to those that the parameters ask for.
        """
        reset_unless_warm(self)
        check_parameters(self)
        report = FitReport(self, X, y, sample_weight, self.max_iter)
        previous = fit_to_continue(self)
        with unchanged_on_failure(self):
            X, target, sample_weight = self._validate(X, y, sample_weight, previous)
            y, strata, sample_weight = self._encode(target, sample_weight, previous)
            participants, fit_params, split_params = participants_of(
                X, sample_weight, previous
            )
            folds = given_folds(self.cv, X, target, **split_params)
            data = TrainingData(X, y, sample_weight, strata, folds, tuple(fit_params))
            data = data.of_any_weight()
            loss, state = self._start_or_check(data, participants, previous)
            report.begin_fit()
            self._run(data, participants, loss, state, previous, report, observers)
            report.end_fit()
        return self

    def _validate(self, X, y, sample_weight, previous):
        """Return X, target and weights of the rows, checked."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the "
                "target y is None."
            )
        check_not_lazy(y, "y")
        target = self._validate_target(y)
        X = self._validate_X(X, reset=previous is None or brings_columns(self, X))
        check_consistent_length(X, target)
        return X, target, validate_weight(sample_weight, len(target))

    def _validate_X(self, X, reset):
        X = validate_X(self, X, reset)
        state: Any = getattr(self, "_state", None)  # None within the first fit
        return X if reset or state is None else state.kept_rows.named(X)

    def _validate_target(self, y):
        raise NotImplementedError

    def _encode(self, target, sample_weight, previous):
        """Return the target as the loss takes it, strata of the folds, and weights."""
        y, strata, sample_weight = self._encode_target(
            target, sample_weight, continued=previous is not None
        )
        if self.privacy is not None:
            strata = np.zeros_like(strata)  # fold numbers would tell the class
        return y, strata, sample_weight

    def _encode_target(self, y, sample_weight, continued):
        raise NotImplementedError

    def _participants(self, X, sample_weight, previous, params):
        """Return the participants, and parameters for their fits and for the splitter."""
        organizations = resolve_organizations(self, X)
        names = [each.name for each in organizations]
        holder = check_label_holder(self.label_holder, names)
        before = previous and previous.model.participants
        participants = Participants.of_fit(
            organizations, holder, self.missing_rows == "abstain", before
        )
        return participants, *self._route(organizations, sample_weight, params)

    # --- one fit ------------------------------------------------------------------------

    def _start_or_check(self, data, participants, previous):
        """Return what stays the same in all rounds; refuse to continue with other settings.

        Returns
        -------
        loss : loss object
            The overarching loss, with constants that depend on the target.
        state : FitState
            Of a fit that is continued, what it was before.
        """
        loss = get_loss(self.loss, self._losses)
        interacting_pairs(self.interactions, participants.names)  # tells what is wrong
        settings = {
            "loss": loss,
            "label_holder": participants.holder_name,
            "interactions": self.interactions,
            "missing_rows": self.missing_rows,
            "privacy": self.privacy,
            "share_models": bool(self.share_models),
        }
        if previous is not None:
            check_same_settings(previous, settings)
            return previous.model.loss, replace(previous.state, settings=settings)
        random_state = check_random_state(self.random_state)
        seed = int(random_state.randint(2**31 - 1))
        entropy = self._noise_entropy(random_state.randint(2**31 - 1, size=4))
        broadcast = Broadcast(self.privacy, loss, data.y.shape[1], entropy)
        loss = loss_for_target(loss, data.y, data.sample_weight)
        check_link(loss, data.y.shape[1], getattr(self, "classes_", None))
        return loss, FitState(seed, settings, broadcast)

    def _noise_entropy(self, drawn):
        """Return the seed of the noise, which the assistors' seeds must not tell.

        Parameters
        ----------
        drawn : ndarray of int
            What `random_state` gives.
        """
        return drawn if self.random_state is not None else [secrets.randbits(128)]

    def _run(self, data, participants, loss, state, previous, report, observers):
        """Fit rounds until the fit ends, and keep the model."""
        plan = self._fold_plan(data, state, previous)
        stops_early = self._stops_early(plan, len(data), previous)
        parts = [data]
        if stops_early and not plan.cross_fits:
            parts = data.split(self.validation_fraction, state.seed)
        folds = RoundFolds(plan, parts[0].strata)
        n_chains = 1 if folds.chains is None else folds.chains.n_chains
        model = previous and previous.model
        try:
            rows = self._prepare(parts, participants)
            model = model_to_extend(self, loss, rows[0], participants, previous, n_chains)
            raws = [
                model.start_training(rows[0], folds.chains),
                *(model.start(each) for each in rows[1:]),
            ]
            validation = raws[-1] if stops_early else None
            with participants.fitting(self.n_jobs) as fit:
                descent = descent_of(self, model, raws[0], validation, folds, state, fit)
                prints = [
                    self.warm_start and each.fingerprints(participants, folds.chains)
                    for each in parts
                ]
                self._begin(descent, raws, prints, previous)
                self.stop_reason_ = self._iterate(descent, plan, report, observers)
                descent.revise()
        finally:
            participants.release(model.n_requests if model else 0)
        snapshots = [
            Snapshot(known, raw.snapshot()) for known, raw in zip(prints, raws, strict=True)
        ]
        self._model = model
        self._state = replace(
            state,
            plan=plan,
            identity=parts[0].identity,
            snapshots=snapshots if self.warm_start else [],
            held_out=data.held_out(raws[0]),
            kept_rows=KeptRows.of(parts[0].X, rows[0].present, state.seed),
            calibration=self._calibration(data, raws[0]),
        )

    def _fold_plan(self, data, state, previous):
        """Return how the folds of the rounds are made."""
        private = self.privacy is not None
        n_folds = number_of_folds(self.cv, self.subsample, len(data), private)
        reason = why_in_sample(self.cv, self.subsample, len(data))
        if previous is not None and previous.model.gated and isinstance(self.cv, str):
            # gates need functions of all chains
            n_folds, reason = previous.state.plan.n_folds, previous.state.plan.in_sample
        return FoldPlan(
            n_folds, self.subsample, self.share_models, data.folds, state.seed, reason
        )

    def _stops_early(self, plan, n_samples, previous):
        """Tell whether the fit ends when the validation loss no longer improves."""
        if not isinstance(self.early_stopping, str):
            return self.early_stopping
        if previous is not None:
            return previous.model.baseline_losses[1] is not None
        return plan.cross_fits or n_samples >= STOP_EARLY_FROM

    def _prepare(self, parts, participants):
        """Have the participants take their columns; return which rows they have."""
        participants.prepare(parts[0].X, parts[0].fit_params, parts[0].y.shape[1])
        return [
            Rows(each.X, participants.presence(each.X), each.y, each.sample_weight)
            for each in parts
        ]

    def _begin(self, descent, raws, fingerprints, previous):
        """Start from the baseline, or where the fit before has ended."""
        if previous is None:
            descent.model.baseline_losses = descent.losses()
        else:
            restore(descent, raws, fingerprints, previous, self.share_models)

    def _iterate(self, descent, plan, report, observers):
        """Fit rounds until the fit ends; return a key of `STOP_REASONS`."""
        title, model = type(self).__name__, descent.model
        n_samples, n_outputs = descent.train.own.shape
        max_iter, _ = rounds_of(self, n_samples, n_outputs, plan.cross_fits)
        listed: list[Observer] = [report]
        if self.verbose:
            listed.insert(0, Progress(title, model.participants.names, max_iter))
        if descent.validation is not None:
            listed.append(EarlyStopping(self.n_iter_no_change, self.tol))
        patience = 0
        if plan.redraws or plan.cross_fits or model.gated:
            patience = IDLE_ROUNDS if self.privacy is None else IDLE_ROUNDS_WITH_PRIVACY
        if nothing_to_fit(model, descent.train.rows):
            reason = "constant_target"
        else:
            reason = descent.run(max_iter, patience, [*listed, *observers])
        if self.verbose:
            n_rounds = len(model.rounds)
            print(f"[{title}] ends after {n_rounds} rounds: {STOP_REASONS[reason]}")
        if not model.rounds:
            warnings.warn(
                f"The fit ended without a round, because {STOP_REASONS[reason]}: every row "
                f"is predicted by the baseline. {ADVICE.get(reason, '')}".strip(),
                ConvergenceWarning,
                stacklevel=5,
            )
        return reason

    # --- the fitted model ---------------------------------------------------------------

    def contributions(self, X) -> np.ndarray:
        """Return the exact additive share of each organization in the raw prediction.

        With interactions, a product of functions of two organizations is divided evenly
        between the two.

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
        return self._model.contributions(self._validate_X(X, reset=False), self.n_jobs)

    def interaction_contributions(self, X) -> np.ndarray:
        """Return the exact additive share of each pair of organizations.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_organizations, n_organizations, \
                n_outputs)
            In link space. The diagonal has what each organization adds by itself. A
            product of functions of two organizations is divided evenly between the two
            places that belong to the pair. The sum over one of the two axes is
            `contributions`.
        """
        check_is_fitted(self)
        X = self._validate_X(X, reset=False)
        return self._model.interaction_contributions(X, self.n_jobs)

    def _raw(self, X):
        """Return raw predictions, (n_samples, n_outputs)."""
        check_is_fitted(self)
        return self._model.raw(self._validate_X(X, reset=False), self.n_jobs)

    def _staged_raw(self, X):
        """Yield raw predictions after each round."""
        check_is_fitted(self)
        yield from self._model.stages(self._validate_X(X, reset=False))

    def drop_organization(self, name, X, y, sample_weight=None) -> Self:
        """Return what remains when an organization leaves, without a refit.

        Goes through the rounds again with the local models of the others as they are, and
        chooses assistance weights and rates again, on the rows given. Organizations are
        asked for predictions only.

        Parameters
        ----------
        name : str
            The organization that leaves; not the label holder.
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to choose weights and rates on. On the training rows, in the same order,
            each is predicted by models that have not seen it, if the fit was cross-fitted.
            The columns are those of the fit; those of the organization that leaves are not
            read and may be NaN.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their target.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.

        Returns
        -------
        model : estimator
            A fitted estimator of the others; this one stays as it is.

        Raises
        ------
        ValueError
            If there is no such organization, or if it is the label holder.
        """
        check_is_fitted(self)
        check_may_leave(self, name)
        before = Previous(self._model, self._state)
        estimator = copy(self)
        for parameter, value in self._parameters_without(name).items():
            setattr(estimator, parameter, value)
        model = estimator._model = self._model.without(name)
        X, target, sample_weight = estimator._validate(X, y, sample_weight, before)
        y, strata, sample_weight = estimator._encode(target, sample_weight, before)
        data = TrainingData(X, y, sample_weight, strata).of_any_weight()
        present = model.participants.presence(data.X)
        model.patterns = patterns_of(estimator, present, model.participants)
        is_training_data = data.identity == self._state.identity
        folds, chains = in_sample, None
        if is_training_data:
            folds = self._state.folds(data)
            chains = folds.chains
        rows = Rows(data.X, present, data.y, data.sample_weight)
        train = model.start_training(rows, chains)
        validation = None if before.model.baseline_losses[1] is None else train
        descent = descent_of(estimator, model, train, validation, folds, self._state)
        descent.replay(lambda candidates: model.values(train, candidates))
        snapshots = []
        if self.warm_start and is_training_data:
            fingerprints = data.fingerprints(model.participants, chains)
            snapshots = [Snapshot(fingerprints, train.snapshot())]
        estimator._state = replace(
            self._state,
            snapshots=snapshots,
            settings=self._state.settings | {"interactions": estimator.interactions},
            held_out=data.held_out(train),
            kept_rows=KeptRows.of(data.X, present, self._state.seed),
            calibration=estimator._calibration(data, train),
        )
        return estimator

    def _parameters_without(self, name):
        """Return the parameters that change when an organization leaves."""
        names = [other for other in self.organization_names_ if other != name]
        organizations = self.organizations and [
            entry for entry in self.organizations if entry[0] != name
        ]
        return {
            "organizations": organizations,
            "interactions": interactions_among(self.interactions, names),
        }
