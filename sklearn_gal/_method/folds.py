"""Which rows a round is fitted to, and which rows choose its weights and rate."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .._contract import NO_FOLD, Folds

# With cv="auto": from how many rows on a fit is cross-fitted, with five folds, and from
# how many rows on with three (docs/decisions.rst).
CROSS_FIT_FROM = 20
THREE_FOLDS_FROM = 5_000
# With privacy there are two folds, so that every residual is sent once in a round.
PRIVATE_FOLDS = 2
# What the seed of a draw is for
_FOLDS, VALIDATION, GATES, JUDGES = 1, 2, 3, 4


def number_of_folds(cv, subsample, n_samples, private):
    """Number of folds to draw; None if the fit is in-sample or the folds are given."""
    if isinstance(cv, str):
        if subsample < 1 or n_samples < CROSS_FIT_FROM:
            return None
        if private:
            return PRIVATE_FOLDS
        return 5 if n_samples < THREE_FOLDS_FROM else 3
    if not isinstance(cv, Integral):
        return None
    if cv > n_samples:
        raise ValueError(
            f"cv={cv} folds are more than the {n_samples} rows of the fit: lower cv."
        )
    return int(cv)


def why_in_sample(cv, subsample, n_samples=None):
    """Return why a fit with these parameters is not cross-fitted, and what to do.

    Parameters
    ----------
    cv, subsample : see the estimators
    n_samples : int, default=None
        Number of rows of the fit; None before a fit.

    Returns
    -------
    reason : str
        Empty if the fit is cross-fitted.
    """
    remedy = "Fit with an int as cv, e.g. cv=5"
    if subsample < 1:
        return f"subsample={subsample} is below 1. {remedy}, and with subsample=1.0."
    if cv is None:
        return f"cv=None. {remedy}."
    if isinstance(cv, str) and n_samples is not None and n_samples < CROSS_FIT_FROM:
        needed = f"cv={cv!r} needs at least {CROSS_FIT_FROM}"
        return f"there are {n_samples} rows, and {needed}. {remedy}, or with more rows."
    return ""


def check_cross_fitted(reason):
    """Raise an error if there is a reason why a fit is not cross-fitted.

    Raises
    ------
    AttributeError
        With the reason, as `why_in_sample` returns it.
    """
    if reason:
        raise AttributeError(
            "There are no held-out predictions of the training rows, because the fit is "
            f"not cross-fitted: {reason}"
        )


@dataclass(frozen=True)
class FoldPlan:
    """How the folds of the rounds are made.

    Parameters
    ----------
    n_folds : int or None
        Number of folds to draw; None if the fit is in-sample or the folds are given.
    subsample : float
        Share of the rows that a round is fitted to, where there are no folds.
    fixed : bool
        Whether all rounds have the subsample of the first.
    given : ndarray of int of shape (n_samples,) or None
        Fold numbers of the user's splitter.
    seed : int
        Seed of the draws.
    in_sample : str, default=""
        Why the fit is not cross-fitted, as `why_in_sample` returns it.
    """

    n_folds: int | None
    subsample: float
    fixed: bool
    given: np.ndarray | None
    seed: int
    in_sample: str = ""

    @property
    def cross_fits(self):
        """Whether fitted values are out-of-fold for all rows."""
        return self.n_folds is not None or self.given is not None

    @property
    def redraws(self):
        """Whether every round draws another subsample."""
        return self.subsample < 1 and not self.cross_fits and not self.fixed


class RoundFolds:
    """Returns the folds of the rounds.

    Parameters
    ----------
    plan : FoldPlan
        How they are made.
    strata : ndarray of int of shape (n_samples,)
        Class of every training row; every fold has the same share of each class.

    Attributes
    ----------
    chains : Folds or None
        The folds of all rounds; None if the rounds have a single chain.
    """

    def __init__(self, plan, strata):
        self._plan = plan
        self._strata = strata
        self.chains = None
        if plan.given is not None:
            self.chains = Folds(plan.given)
        elif plan.n_folds is not None:
            rng = np.random.default_rng([plan.seed, _FOLDS])
            self.chains = Folds(draw_folds(strata, plan.n_folds, rng))

    def __call__(self, number):
        """Return the folds of a round, or None if the round is in-sample."""
        plan = self._plan
        if self.chains is not None or plan.subsample == 1:
            return self.chains
        # a single model, which leaves fold 0 out
        rng = np.random.default_rng([plan.seed, _FOLDS, 0 if plan.fixed else number])
        n_out = max(1, round((1 - plan.subsample) * len(self._strata)))
        return Folds(np.where(draw_part(self._strata, n_out, rng), 0, NO_FOLD))


def draw_folds(strata, n_folds, rng):
    """Draw fold numbers at random; every fold has the same share of every stratum."""
    folds = np.empty(len(strata), dtype=np.int32)
    folds[_shuffled_by_stratum(strata, rng)] = np.arange(len(strata)) % n_folds
    return folds


def draw_part(strata, size, rng):
    """Draw the mask of a part of `size` rows; a row of every stratum stays outside."""
    order = _shuffled_by_stratum(strata, rng)
    first = np.diff(strata[order], prepend=-1) != 0
    order = order[~first]
    size = min(size, len(order))
    part = np.zeros(len(strata), dtype=bool)
    part[order[np.linspace(0, len(order), size, endpoint=False).astype(np.intp)]] = True
    return part


def _shuffled_by_stratum(strata, rng):
    order = rng.permutation(len(strata))
    return order[np.argsort(strata[order], kind="stable")]
