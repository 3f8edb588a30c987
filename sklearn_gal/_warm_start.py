"""Continuing a fit: what is kept for it, what may change between two fits, what may not.

Organizations may join; none may leave or change its columns.
"""

from collections.abc import Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._conformal import Calibration
from ._kept_rows import KeptRows
from ._method.folds import FoldPlan, RoundFolds, check_cross_fitted
from ._method.model import AdditiveModel
from ._organizations.columns import column_names
from .privacy import Broadcast


@dataclass(frozen=True)
class Snapshot:
    """Raw predictions at the end of a fit, and what tells that rows are the same.

    Parameters
    ----------
    fingerprints : dict
        As of `TrainingData.fingerprints`.
    values : object
        As of `RawPredictions.snapshot`.
    """

    fingerprints: Any
    values: Any

    def is_of(self, fingerprints):
        """Tell whether these are the rows; organizations may have joined."""
        return self.fingerprints.items() <= fingerprints.items()


@dataclass(frozen=True)
class FitState:
    """What a later call needs to know of a fit, in addition to the model.

    Parameters
    ----------
    seed : int
        From which folds and seeds of the local fits derive.
    settings : dict
        Parameters that may not change when the fit is continued.
    broadcast : Broadcast
        What the assistors received, and the position of the noise.
    plan : FoldPlan, default=None
        How folds were made.
    identity : str, default=None
        As of `TrainingData.identity`.
    snapshots : list of Snapshot, default=()
        Of the training rows and the validation rows, with ``warm_start=True``.
    held_out : ndarray of shape (n_samples, n_outputs), default=None
        Raw predictions of the rows given to `fit` by models and weights that have not seen
        them. None without cross-fitting.
    kept_rows : KeptRows, default=None
        Some training rows, to explain predictions.
    calibration : Calibration, default=None
        Scores of these rows, by every pattern. None without cross-fitting.
    """

    seed: int
    settings: dict
    broadcast: Broadcast
    plan: FoldPlan | None = None
    identity: str | None = None
    snapshots: Sequence[Snapshot] = ()
    held_out: np.ndarray | None = None
    kept_rows: KeptRows | None = None
    calibration: Calibration | None = None

    def folds(self, data):
        """Return the folds of the rounds, for the training data."""
        return RoundFolds(self.plan, data.strata)

    def check_held_out(self):
        """Check that there are held-out predictions of the training rows.

        Raises
        ------
        AttributeError
            If there are none. It says why, and what to do.
        """
        plan: Any = self.plan
        check_cross_fitted(plan.in_sample)
        if self.held_out is None:
            raise AttributeError(
                "There are no held-out predictions of the training rows, because an "
                "organization has left on other rows. Call drop_organization with the "
                "training rows, in the same order."
            )


@dataclass(frozen=True)
class Previous:
    """The fit that is continued."""

    model: AdditiveModel
    state: FitState


def reset_unless_warm(estimator):
    """Remove what an earlier fit has left, unless it is to be continued.

    So an estimator whose fit fails is not fitted at all.
    """
    if estimator.warm_start:
        return
    for name in list(vars(estimator)):
        fitted = name.endswith("_") and not name.startswith("_")
        if fitted or name in ("_model", "_state", "_target_shape"):
            delattr(estimator, name)


def fit_to_continue(estimator):
    """Return the fit to continue, or None.

    Raises
    ------
    ValueError
        If there are more rounds already than `max_iter`.
    """
    if not (estimator.warm_start and hasattr(estimator, "_model")):
        return None
    if (estimator.max_iter or np.inf) < estimator.n_iter_:
        raise ValueError(
            f"max_iter={estimator.max_iter} must be at least n_iter_={estimator.n_iter_} "
            "when warm_start=True."
        )
    return Previous(estimator._model, estimator._state)


@contextmanager
def unchanged_on_failure(estimator):
    """Give the estimator back the attributes that it had, if fitting it raises."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_same_settings(previous, settings):
    """Refuse to continue with other settings than before."""
    before = previous.state.settings
    for name, value in settings.items():
        if value is not before[name] and value != before[name]:
            raise ValueError(
                f"warm_start=True continues with the same {name}, {before[name]!r}, got "
                f"{value!r}. Fit with warm_start=False first."
            )


def brings_columns(estimator, X):
    """Whether organizations that join have columns behind those of X before.

    Raises
    ------
    ValueError
        If the columns before are not the first ones of X.
    """
    names_before = estimator._model.participants.names
    joins = len(estimator.organizations or ()) > len(names_before)
    if not joins or np.shape(X)[1:] <= (estimator.n_features_in_,):
        return False
    known, names = getattr(estimator, "feature_names_in_", None), column_names(X)
    if known is not None and (names is None or names[: len(known)] != list(known)):
        raise ValueError(
            "The columns of organizations that join must stand behind those of before, "
            f"{list(known)}, got {names}."
        )
    return True


def continued_model(model, participants, patterns, gated, n_chains):
    """Return the model with the participants and patterns of the fit that continues it.

    A new pattern has followed the one of those of its members that were there. An
    organization that joins has fitted nothing in the rounds before.

    Raises
    ------
    ValueError
        If gates need functions of another number of chains.
    """
    if (gated or model.gated) and n_chains != model.n_chains:
        raise ValueError(
            "With interactions, warm_start=True continues with the same number of folds, "
            f"{model.n_chains}, got {n_chains}. Fit with warm_start=False first."
        )
    before = model.patterns
    origin = patterns.previous(before)
    n_joined = int(patterns.owner.max() - before.owner.max())
    first = len(patterns.owner) - len(before.owner) - n_joined  # a new stand-in
    continued = copy(model)
    continued.participants, continued.patterns = participants, patterns
    continued.gated, continued.n_chains = gated or model.gated, n_chains
    continued.rounds = [
        replace(
            each,
            candidates=tuple(
                candidate._replace(participant=candidate.participant + first)
                for candidate in each.candidates
            ),
            weights=each.weights[origin],
            rates=each.rates[origin],
        )
        for each in model.rounds
    ]
    return continued


def restore(descent, raws, fingerprints, previous, share_models):
    """Put rows where the rounds so far have moved them.

    The same rows as before continue with their out-of-fold values. Others go through the
    rounds by predictions.

    Raises
    ------
    ValueError
        If early stopping or, with shared models, the rows are not the same.
    """
    model = descent.model
    if (descent.validation is None) != (model.baseline_losses[1] is None):
        raise ValueError("warm_start=True continues with the same early_stopping.")
    previous_pattern = model.patterns.previous(previous.model.patterns)
    snapshots = previous.state.snapshots
    if len(snapshots) != len(raws):
        snapshots = [None] * len(raws)
    for raw, known, snapshot in zip(raws, fingerprints, snapshots, strict=True):
        if snapshot is not None and snapshot.is_of(known):
            raw.restore(snapshot.values, previous_pattern)
            continue
        if share_models:
            raise ValueError(
                "With share_models=True, warm_start requires the same training rows as "
                "the previous fit."
            )
        walking = model.start(raw.rows)
        for _ in model.walk(walking):
            pass
        raw.continue_from(walking)


def check_may_leave(estimator, name):
    """Refuse to go on without an organization that cannot leave."""
    names = estimator.organization_names_
    if name not in names:
        raise ValueError(f"{name!r} is none of the organizations {names}.")
    if name == estimator.label_holder_:
        raise ValueError(
            f"Organization {name!r} holds y: the label holder cannot leave. Fit without it."
        )
