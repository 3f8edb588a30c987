"""Which rows a round is fitted to, and which rows choose its weights and rate."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from .._contract import NO_FOLD, Folds

# With cv="auto": from how many rows on a fit is cross-fitted, and from how many rows on
# with two folds instead of five (benchmarks/defaults.py).
CROSS_FIT_FROM = 20
TWO_FOLDS_FROM = 200
# Divisions into folds recur. Together they have about this number of rows, within bounds.
# What an organization computes from its columns for a division, it uses again when the
# division recurs. Fewer divisions select worse on few rows (docs/decisions.rst).
DIVIDED_ROWS = 30_000
MIN_DIVISIONS, MAX_DIVISIONS = 10, 16
# What the seed of a draw is for
_FOLDS, VALIDATION, GATES = 1, 2, 3


def number_of_folds(cv, subsample, n_samples):
    """Number of folds to draw; None if the fit is in-sample or the folds are given."""
    if isinstance(cv, str):
        if subsample < 1 or n_samples < CROSS_FIT_FROM:
            return None
        return 5 if n_samples < TWO_FOLDS_FROM else 2
    if not isinstance(cv, Integral):
        return None
    if cv > n_samples:
        raise ValueError(
            f"cv={cv} folds are more than the {n_samples} rows of the fit: lower cv."
        )
    return int(cv)


def number_of_divisions(n_samples):
    """Return after how many rounds a division into folds recurs."""
    return int(np.clip(DIVIDED_ROWS // n_samples, MIN_DIVISIONS, MAX_DIVISIONS))


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
        Whether all rounds have the folds of the first.
    given : ndarray of int of shape (n_samples,) or None
        Fold numbers of the user's splitter.
    seed : int
        Seed of the draws.
    """

    n_folds: int | None
    subsample: float
    fixed: bool
    given: np.ndarray | None
    seed: int

    @property
    def cross_fits(self):
        """Whether fitted values are out-of-fold for all rows."""
        return self.n_folds is not None or self.given is not None

    @property
    def redraws(self):
        """Whether the folds of the next round are different ones."""
        drawn = self.n_folds is not None or self.subsample < 1
        return drawn and self.given is None and not self.fixed


class RoundFolds:
    """Returns the folds of the rounds.

    Parameters
    ----------
    plan : FoldPlan
        How they are made.
    strata : ndarray of int of shape (n_samples,)
        Class of every training row; every fold has the same share of each class.
    """

    def __init__(self, plan, strata):
        self._plan = plan
        self._strata = strata
        self._given = None if plan.given is None else Folds(plan.given, 0)
        self._divisions: dict[int, Folds] = {}

    def __call__(self, number):
        """Return the folds of a round, or None if the round is in-sample."""
        plan = self._plan
        if plan.fixed:
            number = 0
        if self._given is not None:
            return self._given
        if plan.n_folds is not None:
            division = number % number_of_divisions(len(self._strata))
            if division not in self._divisions:
                rng = np.random.default_rng([plan.seed, _FOLDS, division])
                folds = draw_folds(self._strata, plan.n_folds, rng)
                self._divisions[division] = Folds(folds, division)
            return self._divisions[division]
        if plan.subsample < 1:
            # a single model, which leaves fold 0 out
            rng = np.random.default_rng([plan.seed, _FOLDS, number])
            n_out = max(1, round((1 - plan.subsample) * len(self._strata)))
            return Folds(np.where(draw_part(self._strata, n_out, rng), 0, NO_FOLD))
        return None


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
