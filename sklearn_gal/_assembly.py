"""The parts of a fit that the parameters of an estimator ask for."""

from typing import Any

import numpy as np

from ._method.descent import Descent
from ._method.disclosure import Alone, Disclosure, Perturbed
from ._method.gates import GatedDisclosure
from ._method.line_search import constant_rate, line_search
from ._method.model import AdditiveModel
from ._method.patterns import Patterns
from ._method.weights import Weighing
from ._validation import interacting_pairs
from ._warm_start import continued_model
from .losses import check_output

# With interactions="auto": from how many rows on organizations interact
# (docs/decisions.rst).
INTERACTIONS_FROM = 1_000


def model_to_extend(estimator, loss, rows, participants, previous):
    """Return the model before its first round, or that of the fit that is continued."""
    patterns = patterns_of(estimator, rows.present, participants)
    gated = _interacts(estimator, len(rows), participants)
    if previous is not None:
        return continued_model(previous.model, participants, patterns, gated)
    baseline = np.asarray(loss.baseline(rows.y, rows.sample_weight), dtype=np.float64)
    check_output(baseline, rows.y.shape[1:], "baseline")
    residual = loss.pseudo_residual(rows.y, np.tile(baseline, (len(rows), 1)))
    check_output(residual, rows.y.shape, "pseudo_residual")
    first_residual = np.abs(residual).max()
    return AdditiveModel(loss, baseline, participants, patterns, first_residual, gated)


def _interacts(estimator, n_samples, participants):
    """Whether terms are products of functions of two organizations."""
    if len(participants.organizations) < 2 or estimator._disclosure is not None:
        return False
    if isinstance(estimator.interactions, str):
        return n_samples >= INTERACTIONS_FROM and estimator.privacy is None
    return bool(estimator.interactions)


def patterns_of(estimator, present, participants):
    """Return the combinations of participants that have their own weights and rates."""
    if estimator.missing_rows != "abstain":
        return Patterns.single(participants.owner)
    # weights that are not chosen would count the label holder twice
    stand_in_helps = Weighing(estimator.weights).chooses
    return Patterns.for_rows(
        present, participants.owner, participants.holder, stand_in_helps
    )


def descent_of(estimator, model, train, validation, folds, state=None, fit=None):
    """Return the `Descent` of a fit, or one that only replays rounds."""
    return Descent(
        model,
        train,
        validation,
        disclosure=state and _disclosure_of(estimator, model, train, state),
        fit=fit,
        weigh=Weighing(estimator.weights),
        search=line_search if estimator.line_search else constant_rate,
        learning_rate=estimator.learning_rate,
        folds=folds,
    )


def _disclosure_of(estimator, model, train, state):
    """Return what decides what each participant is shown."""
    participants = model.participants

    def seeds(number):  # a shared model has the same seed in all rounds
        return participants.seeds(state.seed, 0 if estimator.share_models else number)

    disclosure: Any = (estimator._disclosure or Disclosure)(train, participants, seeds)
    if model.gated:
        pairs = interacting_pairs(estimator.interactions, participants.names)
        disclosure = GatedDisclosure(train, participants, seeds, pairs, state.seed)
    if estimator.privacy is not None:
        disclosure = Perturbed(disclosure, state.broadcast, participants.assists)
    if participants.stand_in is not None:
        disclosure = Alone(disclosure, model.patterns.alone)
    return disclosure
