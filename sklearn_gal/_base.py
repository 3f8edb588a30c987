"""Gradient Assisted Learning: what both estimators share.

The method is `BaseGAL._fit_round`; `fit` validates and encodes, `_fit` loops.
"""

import secrets
from copy import copy
from typing import Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from ._callbacks import CallbackSupportMixin, FitReport, with_callbacks
from ._fitted_attributes import FittedRounds, Round
from ._metaestimator import OrganizationsEstimator
from ._method.line_search import line_search
from ._method.patterns import Paths, shared_among
from ._method.rows import (
    FittedTo,
    Rows,
    given_folds,
    judging_rows,
    number_of_folds,
)
from ._method.weights import WEIGHTS, WEIGHTS_OUT_OF_FOLD
from ._organizations.columns import resolve_organizations
from ._organizations.local import derived_seeds
from ._organizations.parallel import SideBySide
from ._prediction import AdditivePrediction
from ._validation import check_parameters, validate_weight
from ._warm_start import (
    brings_columns,
    check_may_leave,
    check_same_setting,
    continues,
    fingerprint,
    hand_over_models,
    inherited_rounds,
    unchanged_on_failure,
)
from .losses import check_link, check_output, get_loss, loss_for_target
from .privacy import Broadcast

# With early_stopping="auto": from how many rows on a fit is stopped early.
STOP_EARLY_FROM = 10_000
# Where the folds of the next round are others, so many rounds that lead nowhere do not end
# a fit (docs/design.rst).
IDLE_ROUNDS = 2
# Nothing is left to fit when all residuals are below this share of the first ones.
_FITTED = 1e-10


class BaseGAL(
    CallbackSupportMixin, AdditivePrediction, FittedRounds, OrganizationsEstimator
):
    """Base class of the two estimators.

    A subclass names its losses in `_losses`, checks its target in `_validate_target` and
    encodes it in `_encode_target`.
    """

    @with_callbacks
    def fit(self, X, y, sample_weight=None, **params) -> Self:
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
        continued = continues(self)
        with unchanged_on_failure(self):
            X, target, sample_weight = self._validate(X, y, sample_weight, continued)
            y, strata, sample_weight = self._encode(target, sample_weight, continued)
            organizations = self._resolve_organizations(X)
            local_params, split_params = self._route(organizations, sample_weight, params)
            folds = given_folds(self.cv, X, target, **split_params)
            train = Rows(X, y, sample_weight, strata, folds, local_params).of_any_weight()
            self._settle(train, organizations, continued)
            report.begin()
            self._fit(train, report, continued)
            report.end()
        return self

    def _validate(self, X, y, sample_weight, continued):
        """X, target and weights of the rows, checked."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the "
                "target y is None."
            )
        target = self._validate_target(y)
        X = self._validate_X(X, reset=not continued or brings_columns(self, X))
        check_consistent_length(X, target)
        return X, target, validate_weight(sample_weight, len(target))

    def _encode(self, target, sample_weight, continued):
        """Target as the loss takes it, strata of the folds and weights of the rows."""
        y, strata, sample_weight = self._encode_target(target, sample_weight, continued)
        if self.privacy is not None:
            strata = np.zeros_like(strata)  # fold numbers would tell
        return y, strata, sample_weight

    def _resolve_organizations(self, X):
        return resolve_organizations(self, X)

    def _settle(self, train, organizations, continued):
        """Settle what stays the same in all rounds, also of a fit that is continued."""
        names = [organization.name for organization in organizations]
        holder = names[0] if self.label_holder is None else self.label_holder
        if holder not in names:
            raise ValueError(
                f"label_holder={holder!r} is none of the organizations {names}."
            )
        loss = get_loss(self.loss, self._losses)
        setting = {
            "loss": loss,
            "label_holder": holder,
            "stack_contributions": self.stack_contributions,
            "missing_rows": self.missing_rows,
            "privacy": self.privacy,
            "share_models": bool(self.share_models),
        }
        if continued:
            if setting["stack_contributions"] and len(organizations) > len(
                self._organizations
            ):
                raise ValueError(
                    f"With stack_contributions={self.stack_contributions!r} nobody can "
                    "join: models take columns of those before. Fit with warm_start=False."
                )
            hand_over_models(self._known, organizations)
            check_same_setting(self._setting, setting)
        else:
            random_state = check_random_state(self.random_state)
            self._seed = int(random_state.randint(2**31 - 1))
            # seeds that assistors receive must not tell the noise
            entropy = random_state.randint(2**31 - 1, size=4)
            if self.random_state is None:
                entropy = [secrets.randbits(128)]
            self._broadcast = Broadcast(self.privacy, loss, train.y.shape[1], entropy)
            self._loss = loss_for_target(loss, train.y, train.sample_weight)
            check_link(self._loss, train.y.shape[1], getattr(self, "classes_", None))
        self._setting = setting
        self._has_assistors = len(organizations) > 1
        self._stacks = bool(setting["stack_contributions"]) and len(organizations) > 1
        understudies = self._understudies(organizations[names.index(holder)], continued)
        self._first = len(understudies)  # of the organizations that the user knows
        self._organizations = understudies + organizations
        self._holder = self._first + names.index(holder)
        own_params = train.local_params[names.index(holder)]
        train.local_params = [own_params] * self._first + train.local_params

    def _understudies(self, holder, continued):
        """The label holder's, in a list, if somebody may be absent; else none."""
        has_one = continued and self._first
        may_miss = self.missing_rows == "abstain" and self._has_assistors
        if not (has_one or may_miss) or not hasattr(holder, "understudy"):
            return []
        understudy = holder.understudy()
        if has_one:
            understudy.take_over(self._organizations[0])
        return [understudy]

    def _fit(self, train, report, continued):
        """Prepare, loop over the rounds, and tidy up."""
        organizations = self._organizations
        n_folds = number_of_folds(self.cv, self.subsample, len(train))
        stops_early = self.early_stopping
        if isinstance(stops_early, str):
            stops_early = len(train) >= STOP_EARLY_FROM
        validation = None
        if stops_early and n_folds is None and train.folds is None:
            train, validation = train.split(self.validation_fraction, self._seed)

        self._fitted_to = FittedTo(train, n_folds, self.subsample, self.share_models)
        rounds = list(self._rounds) if continued else []
        try:
            before = self._paths if continued else None
            self._prepare(train, validation)
            if continued:
                origin, rounds = inherited_rounds(rounds, before, self._paths)
                self._continue(rounds, origin, train, validation, stops_early)
            else:
                self._begin(rounds, train, validation, stops_early)
            ended = self._iterate(rounds, train, validation, stops_early, report)
            if self.share_models and any(each.has_refitted for each in organizations):
                rounds = self._refitted_rounds(rounds, train, validation, stops_early)
        finally:
            for organization in organizations:
                organization.release(len(rounds))
        self._rounds = rounds
        if self.verbose:
            print(f"[{type(self).__name__}] ends after {len(rounds)} rounds: {ended}")
        if self.warm_start:
            self._reached = [rows and rows.reached for rows in (train, validation)]

    def _iterate(self, rounds, train, validation, stops_early, report):
        """Extend `rounds` until the fit ends; returns why it does."""
        folds = self._fitted_to.folds(train, self._seed)
        # with privacy, a round that was sent has cost its budget
        patience = IDLE_ROUNDS if folds.differ and self.privacy is None else 0
        # a round that leads on, and those before it that did not
        latest: list[Round] = []
        with SideBySide(self._n_at_once(), self._organizations) as parallel:
            while len(rounds) + len(latest) < self.max_iter:
                number = len(rounds) + len(latest)
                weights, rates = self._fit_round(number, train, folds(number), parallel)
                if validation is not None:
                    self._advance(validation, number, weights, rates)
                losses = self._losses_of(train, validation, stops_early)
                latest.append(Round(weights, rates, *losses))
                if not rates.any():
                    if len(latest) <= patience:
                        continue
                    return "no step along the assisted direction lowers the loss"
                rounds.extend(latest)
                latest = []
                self._print_progress(rounds)
                if report.round(lambda: {"_rounds": list(rounds)}):
                    return "a callback asked for it"
                if stops_early and self._has_converged(rounds):
                    return "the validation loss no longer improves"
        return "max_iter is reached"

    def _prepare(self, train, validation):
        """Let everybody prepare for the rows; who has them decides on the paths."""
        for rows in filter(None, (train, validation)):
            if self.warm_start:
                rows.fingerprint = fingerprint(rows, self._organizations)
            rows.present = self._presence(rows.X)
        for organization, params in zip(
            self._organizations, train.local_params, strict=True
        ):
            organization.prepare(train.X, params)
        self._paths = self._paths_for(train.present)

    def _paths_for(self, present):
        if self._first:
            # weights that are not chosen would count the label holder twice
            helps = isinstance(self.weights, str) and self.weights != "uniform"
            return Paths.with_understudy(present, self._holder, helps)
        if self.missing_rows == "abstain":
            return Paths.among(present, self._holder)
        return Paths.of_everybody(len(self._organizations))

    def _fit_round(self, number, train, folds, parallel):
        """One round of the method: weights and rates; `train` moves on by them."""
        residuals = train.residuals(self._loss)
        residual = train.on_own_path(residuals)
        weights, rates = self._paths.standstill()
        if _is_within(residual, _FITTED * self._first_residual):
            return weights, rates
        sent = residual
        if self._has_assistors:
            sent = self._broadcast(residual)
        everybody = range(len(self._organizations))
        shown = [residual if m == self._holder else sent for m in everybody]
        if self._first:  # the understudy fits what it has left itself
            shown[0] = residuals[self._paths.alone]
        seeds = self._local_seeds(number)
        calls = [
            (organization, (number, seeds[m], folds, shown[m], columns))
            for m, (organization, columns) in enumerate(self._with_assistance(train))
        ]
        fitted = parallel.fit_round(calls)  # (n_samples, M, n_outputs)
        if self.missing_rows == "abstain" and not train.present.all():
            # who abstains contributes nothing
            fitted = np.nan_to_num(fitted, copy=False)
        return self._assemble(train, fitted, residuals, folds)

    def _local_seeds(self, number):
        """Seeds of the organizations in a round; an understudy has its organization's."""
        number = 0 if self.share_models else number
        seeds = derived_seeds(len(self._known), self._seed, number)
        return [seeds[self._holder - self._first]] * self._first + seeds

    def _assemble(self, train, fitted, residuals, folds):
        """Weights and rates of every path, by which `train` moves on along `fitted`."""
        weights, rates = self._paths.standstill()
        directions = {}
        for path, rows in self._paths.judged(train.present, judging_rows(folds)):
            residual, weight = residuals[path][rows], train.weight_of(rows)
            weights[path] = self._weights_on(
                path, residual, fitted[rows], weight, out_of_fold=folds is not None
            )
            directions[path] = np.tensordot(weights[path], fitted, (0, 1))
            rates[path] = self.learning_rate
            if self.line_search:
                y, raw = train.y[rows], train.raw_predictions[path][rows]
                along = directions[path][rows]
                rates[path] *= line_search(
                    self._loss, y, raw, along, weight, residual=residual
                )
        if not rates[train.paths].any():
            return weights, np.zeros_like(rates)
        train.move(fitted, weights, rates, directions)
        return weights, rates

    def _weights_on(self, path, residual, fitted, sample_weight, out_of_fold):
        """Assistance weights of a path, chosen on some rows."""
        members = self._paths.members[path]
        if not members.all():
            fitted = np.where(members[:, None], fitted, 0.0)
        weights = members.astype(np.float64)
        if members[self._first :].any():  # not the understudy by itself
            first = 0 if members[0] else self._first
            chosen = self._assistance_weights(
                residual, fitted[:, first:], sample_weight, out_of_fold
            )
            weights[first:] = shared_among(members[first:], chosen)
        return weights

    def _assistance_weights(self, residual, fitted, sample_weight, out_of_fold):
        if isinstance(self.weights, str):
            solve = (WEIGHTS_OUT_OF_FOLD if out_of_fold else WEIGHTS)[self.weights]
        else:
            solve, fitted = self.weights, fitted.copy()  # which it may keep, or write to
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
        line += f", learning rate {new.learning_rates[0]:.4g}, weights"
        weights = self._paths.shared_out(new.weights)[0]
        for organization, weight in zip(self._known, weights, strict=True):
            line += f" {organization.name} {weight:.3f}"
        print(line)

    # --- the first round and the next ---------------------------------------------------

    def _begin(self, rounds, train, validation, stops_early):
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

    def _continue(self, rounds, origin, train, validation, stops_early):
        """Start from the rounds so far; the same rows continue out-of-fold."""
        if stops_early != (self._baseline_losses[1] is not None):
            raise ValueError("warm_start=True continues with the same early_stopping.")
        reached = getattr(self, "_reached", (None, None))
        for rows, known in zip((train, validation), reached, strict=True):
            if rows is not None:
                self._at_baseline(rows)
                resumes = rows.resume(known, origin)
                if self.share_models and not resumes:
                    raise ValueError(
                        "share_models=True continues on the rows of the fit before only, "
                        "which the shared models are fitted to in every round."
                    )
                if not resumes:
                    for number, new in enumerate(rounds):
                        self._advance(rows, number, new.weights, new.learning_rates)

    def drop_organization(self, name, X, y, sample_weight=None) -> Self:
        """What remains when an organization leaves: a new estimator, without a refit.

        Goes through the rounds again with the local models of the others as they are, and
        chooses assistance weights and rates anew, on the rows given. Organizations are
        asked for predictions only.

        Parameters
        ----------
        name : str
            The organization that leaves; not the label holder.
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to choose weights and rates on. On the training rows, in the same order,
            each is predicted by models that have not seen it, if the fit was cross-fitted.
            The columns are those of the fit; nobody looks at those of who leaves, which
            may be NaN.
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
            If there is no such organization, if it is the label holder, or with
            `stack_contributions`, where models take columns of those who leave.
        """
        check_is_fitted(self)
        check_may_leave(self, name)
        model = self._without(name)
        X, target, sample_weight = model._validate(X, y, sample_weight, True)
        y, strata, sample_weight = model._encode(target, sample_weight, True)
        rows = Rows(X, y, sample_weight, strata, None, []).of_any_weight()
        rows.present = model._presence(rows.X)
        model._paths = model._paths_for(rows.present)
        stops_early = self._baseline_losses[1] is not None
        same_rows = self._fitted_to.includes(rows)
        model._rounds = []
        model._at_baseline(rows)
        model._baseline_losses = model._losses_of(rows, None, stops_early)
        folds = self._fitted_to.folds(rows, self._seed)
        for number in range(self.n_iter_):
            known = folds(number) if same_rows else None
            fitted = model._fitted_values(rows, number, known)
            new = model._solved_again(rows, fitted, known)
            model._rounds.append(Round(*new, *model._losses_of(rows, None, stops_early)))
        model._reached = [None, None]
        if self.warm_start and same_rows:
            rows.fingerprint = fingerprint(rows, model._organizations)
            model._reached[0] = rows.reached
        return model

    def _without(self, name):
        """A copy that knows nothing of an organization."""
        model = copy(self)
        model.organizations = [each for each in self.organizations if each[0] != name]
        model._organizations = [
            copy(each) for each in self._organizations if each.name != name
        ]
        model._holder = self._first + model.organization_names_.index(self.label_holder_)
        return model

    def _refitted_rounds(self, rounds, train, validation, stops_early):
        """The rounds anew, with the heads of the last models, which have changed."""
        for rows in filter(None, (train, validation)):
            self._at_baseline(rows)
        refitted, folds = [], self._fitted_to.folds(train, self._seed)
        for number in range(len(rounds)):
            shape = train.raw_prediction.shape
            fitted = [each.refitted(number, shape) for each in self._organizations]
            fitted = np.nan_to_num(np.stack(fitted, axis=1), copy=False)
            new = self._solved_again(train, fitted, folds(number))
            if validation is not None:
                self._advance(validation, number, *new)
            refitted.append(Round(*new, *self._losses_of(train, validation, stops_early)))
        return refitted

    def _solved_again(self, rows, fitted, folds):
        """Weights and rates of a round whose fitted values are given."""
        return self._assemble(rows, fitted, rows.residuals(self._loss), folds)


def _is_within(values, bound):
    """Whether all values are, of which the first row tells that most often they are not."""
    return np.abs(values[0]).max() <= bound and np.abs(values).max() <= bound
