"""The parts of a fit that the parameters of an estimator ask for."""

from typing import Any

import numpy as np

from ._method.descent import Descent, in_sample
from ._method.disclosure import Alone, Disclosure, Perturbed
from ._method.gates import GatedDisclosure
from ._method.line_search import constant_rate, line_search
from ._method.model import AdditiveModel
from ._method.patterns import Patterns
from ._method.selection import Selection
from ._method.weights import Weighing
from ._validation import interacting_pairs
from ._warm_start import continued_model
from .losses import check_output

# From how many rows on there are how many rounds at most, and which learning rate, if they
# are not given: for one output, and for several (docs/decisions.rst).
ROUNDS = (0, 100, 0.3), (5_000, 45, 0.5), (30_000, 60, 0.5)
ROUNDS_OF_SEVERAL = (0, 90, 0.4), (10_000, 90, 0.5)

# A residual that is smaller than this share of another one may be a rounding error.
_ROUNDING = 1e-8
# Largest residuals for which weights and rates can be computed
_RESIDUALS = 1e-70, 1e70


def model_to_extend(estimator, loss, rows, participants, previous, n_chains):
    """Return the model before its first round, or that of the fit that is continued.

    Raises
    ------
    ValueError
        If the squares of the residuals are beyond floating-point numbers.
    """
    patterns = patterns_of(estimator, rows.present, participants)
    gated = _interacts(estimator, participants, n_chains)
    if previous is not None:
        return continued_model(previous.model, participants, patterns, gated, n_chains)
    baseline = np.asarray(loss.baseline(rows.y, rows.sample_weight), dtype=np.float64)
    check_output(baseline, rows.y.shape[1:], "baseline")
    residual = loss.pseudo_residual(rows.y, np.tile(baseline, (len(rows), 1)))
    check_output(residual, rows.y.shape, "pseudo_residual")
    first_residual = np.abs(residual).max()
    model = AdditiveModel(
        loss, baseline, participants, patterns, first_residual, gated, n_chains
    )
    least, largest = _RESIDUALS
    in_range = first_residual == 0 or least < first_residual < largest
    if not in_range and not nothing_to_fit(model, rows):
        raise ValueError(
            f"The largest residual of y is {first_residual:.3g} before the first round. It "
            f"must be between {least:g} and {largest:g}, because it is squared: divide y "
            "by a constant, e.g. with TransformedTargetRegressor."
        )
    return model


def nothing_to_fit(model, rows):
    """Tell whether y is constant and the baseline predicts it, up to rounding.

    The residuals of such a baseline are negligible next to those of another prediction. A
    loss of the user may have another baseline.
    """
    y = rows.y
    if model.rounds or (np.ptp(y, axis=0) > 4 * np.spacing(np.abs(y).max(axis=0))).any():
        return False
    baseline = model.baseline
    other = baseline + np.where(baseline == 0, 1.0, np.abs(baseline))
    with np.errstate(over="ignore"):
        first, far = (
            np.abs(model.loss.pseudo_residual(y, np.tile(raw, (len(y), 1)))).max()
            for raw in (baseline, other)
        )
    return first <= _ROUNDING * far


def rounds_of(estimator, n_samples, n_outputs, cross_fits):
    """Return the largest number of rounds and the learning rate."""
    defaults = ROUNDS[0]
    if cross_fits:
        table = ROUNDS if n_outputs == 1 else ROUNDS_OF_SEVERAL
        defaults = next(each for each in reversed(table) if each[0] <= n_samples)
    max_iter, learning_rate = estimator.max_iter, estimator.learning_rate
    return (
        defaults[1] if max_iter is None else max_iter,
        defaults[2] if isinstance(learning_rate, str) else learning_rate,
    )


def _interacts(estimator, participants, n_chains):
    """Whether terms are products of functions of two organizations."""
    if len(participants.organizations) < 2 or estimator._disclosure is not None:
        return False
    if isinstance(estimator.interactions, str):  # gates need values that are held out
        return n_chains > 1 and estimator.privacy is None
    return bool(estimator.interactions)


def patterns_of(estimator, present, participants):
    """Return the combinations of participants that have their own weights and rates."""
    if estimator.missing_rows != "abstain":
        return Patterns.single(participants.owner)
    return Patterns.for_rows(
        present, participants.owner, participants.holder, _stand_in_helps(estimator)
    )


def _stand_in_helps(estimator):
    """Tell whether the stand-in is also in patterns of the label holder with others.

    Weights that are not chosen would count the label holder twice.
    """
    return Weighing(estimator.weights).chooses


def model_of_combinations(estimator, model, rows, organizations):
    """Return a model with weights and rates for combinations of organizations.

    All rounds are replayed, and the local models stay as they are.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, whose parameters say how weights and rates are chosen.
    model : AdditiveModel
        Its model, which stays as it is.
    rows : Rows
        Rows on which weights and rates are chosen.
    organizations : ndarray of bool of shape (n_patterns, n_organizations)
        Which organizations are in each combination; all are in the first.
    """
    model, participants = model.copy(), model.participants
    model.patterns = Patterns.of_organizations(
        organizations, participants.owner, participants.holder, _stand_in_helps(estimator)
    )
    with participants.asking():
        train = model.start_training(rows, None)
        descent = descent_of(estimator, model, train, None, in_sample, estimator._state)
        descent.replay(lambda candidates: model.values(train, candidates))
    return model


def descent_of(estimator, model, train, validation, folds, state, fit=None):
    """Return the `Descent` of a fit, or one that only replays rounds."""
    n_samples, n_outputs = train.own.shape
    cross_fits = train.chains is not None
    rounds = rounds_of(estimator, n_samples, n_outputs, cross_fits)
    selection = Selection(
        model.loss,
        model.patterns,
        train,
        weigh=Weighing(estimator.weights),
        search=line_search if estimator.line_search else constant_rate,
        learning_rate=rounds[1],
        seed=state.seed,
    )
    return Descent(
        model,
        train,
        validation,
        disclosure=fit and _disclosure_of(estimator, model, train, state),
        fit=fit,
        selection=selection,
        folds=folds,
    )


def _disclosure_of(estimator, model, train, state):
    """Return what decides what each participant is shown."""
    participants = model.participants

    def seeds(number):  # a shared model has the same seed in all rounds
        return participants.seeds(state.seed, 0 if estimator.share_models else number)

    disclosure: Any = (estimator._disclosure or Disclosure)(model, train, seeds)
    if model.gated and estimator._disclosure is None:
        pairs = interacting_pairs(estimator.interactions, participants.names)
        disclosure = GatedDisclosure(model, train, seeds, pairs, state.seed)
    if estimator.privacy is not None:
        disclosure = Perturbed(disclosure, state.broadcast, participants.assists)
    if participants.stand_in is not None:
        disclosure = Alone(disclosure, model.patterns.alone)
    return disclosure
