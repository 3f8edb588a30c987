"""Which rows a round is fitted to and which it is judged on: folds, bags, validation."""

from copy import deepcopy
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import joblib
import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing

from .._learners.base import take_rows
from .._organizations.local import KNOWN_PARTITIONS, NO_FOLD

# With cv="auto": from how many rows on a fit is cross-fitted, and from how many rows on two
# folds do instead of five (benchmarks/defaults.py).
CROSS_FIT_FROM = 20
TWO_FOLDS_FROM = 200
# Partitions into folds take turns, so many of them that they have this many rows in all,
# within bounds; what an organization computes of its columns for one of them, it can use
# again when its turn comes. Fewer are worse judges of few rows (docs/design.rst).
PARTITIONED_ROWS = 30_000
FEWEST_PARTITIONS, MOST_PARTITIONS = 10, KNOWN_PARTITIONS
# What the seed of a draw is for
_FOLDS, _VALIDATION = 1, 2


@dataclass
class Rows:
    """Training or validation rows, with all that has one entry per row.

    `strata` are class codes, or zeros; `folds` are fold numbers if the user gave a
    splitter; `local_params` are the parameters of the local fits, a dict per organization;
    `present` says which organizations have the row, `path` whose weights predict it;
    `paths` are all of these.
    """

    X: Any
    y: Any
    sample_weight: np.ndarray | None
    strata: Any
    folds: np.ndarray | None
    local_params: list[dict]
    present: np.ndarray | None = None
    path: np.ndarray | None = None
    paths: np.ndarray | None = None
    raw_predictions: Any = None  # per path, (n_samples, n_outputs)
    assistance: Any = None
    fingerprint: Any = None

    @classmethod
    def to_predict(cls, X):
        """Rows of which nothing but X is known."""
        return cls(X, None, None, None, None, [])

    def __len__(self):
        return self.X.shape[0]

    @property
    def raw_prediction(self):
        """Raw predictions of the rows, each on its own path."""
        return self.on_own_path(self.raw_predictions)

    def on_own_path(self, values):
        """Of values (n_paths, n_samples, ...) those of every row's own path."""
        if len(values) == 1:
            return values[0]
        return np.stack(values)[self.path, np.arange(len(self))]

    def of_any_weight(self):
        """The rows without those of weight 0."""
        if self.sample_weight is None or self.sample_weight.all():
            return self
        return self.take(np.flatnonzero(self.sample_weight))

    def residuals(self, loss):
        """Pseudo-residuals on every path."""
        return [loss.pseudo_residual(self.y, raw) for raw in self.raw_predictions]

    def weight_of(self, rows):
        """Weights of some of the rows, or None."""
        return None if self.sample_weight is None else self.sample_weight[rows]

    def move(self, fitted, weights, rates, directions=None):
        """Move raw predictions on by a round, on every path by its weights and rate.

        `directions` are the weighted sums of the fitted values, if they are known.
        """
        raw_predictions = list(self.raw_predictions)
        for path in np.flatnonzero(rates):
            direction = directions and directions[path]
            if direction is None:
                direction = np.tensordot(weights[path], fitted, (0, 1))
            direction *= rates[path]  # nobody else has it
            direction += raw_predictions[path]
            raw_predictions[path] = direction
        self.raw_predictions = raw_predictions
        if self.assistance is not None:
            self.assistance.add(fitted, rates[0] * weights[0])

    @property
    def reached(self):
        """Where the rounds have led these rows, and what tells that they are the same."""
        return self.fingerprint, self.raw_predictions, deepcopy(self.assistance)

    def resume(self, reached, origin):
        """Go where `reached` is, if that is of the same rows; whether it is.

        `origin` says on which path of before each path has been.
        """
        if reached is None or not reached[0].items() <= self.fingerprint.items():
            return False
        _, raw_predictions, self.assistance = deepcopy(reached)
        self.raw_predictions = [raw_predictions[path] for path in origin]
        return True

    def take(self, rows):
        """A selection of the rows."""

        def cut(array):
            return None if array is None else array[rows]

        return replace(
            self,
            X=_safe_indexing(self.X, rows),
            y=self.y[rows],
            sample_weight=cut(self.sample_weight),
            strata=self.strata[rows],
            folds=_renumbered(cut(self.folds)),
            local_params=[take_rows(each, rows, len(self)) for each in self.local_params],
            present=cut(self.present),
        )

    def loss(self, loss):
        """Overarching loss of the raw predictions."""
        return loss.value(self.y, self.raw_prediction, self.sample_weight)

    def split(self, fraction, seed):
        """Training rows and a random part to validate on."""
        counted = isinstance(fraction, Integral)
        size = int(fraction) if counted else round(fraction * len(self))
        if size > len(self) - len(np.unique(self.strata)):
            raise ValueError(
                f"validation_fraction={fraction} of {len(self)} rows leaves too few rows "
                "to fit: lower it, or set early_stopping=False."
            )
        rng = np.random.default_rng([seed, _VALIDATION])
        part = draw_part(self.strata, max(1, size), rng)
        return self.take(np.flatnonzero(~part)), self.take(np.flatnonzero(part))


class FittedTo:
    """Tells the rows of a fit, which it does not keep, and the folds of its rounds."""

    def __init__(self, rows, n_folds, subsample, same_folds):
        self._hash = joblib.hash((rows.y, rows.sample_weight))
        self._given_folds = rows.folds
        self._settings = n_folds, subsample, same_folds

    def includes(self, rows):
        """Whether these are the rows of the fit."""
        return self._hash == joblib.hash((rows.y, rows.sample_weight))

    def folds(self, rows, seed):
        """The folds of the rounds, for the rows of the fit."""
        rows = replace(rows, folds=self._given_folds)
        return RoundFolds(rows, *self._settings, seed)


def _renumbered(folds):
    """Fold numbers without gaps, where a fold has lost all its rows."""
    return None if folds is None else np.unique(folds, return_inverse=True)[1]


def number_of_folds(cv, subsample, n_samples):
    """Number of folds to draw; None if the fit is in-sample or the folds given."""
    if isinstance(cv, str):
        if subsample < 1 or n_samples < CROSS_FIT_FROM:
            return None
        return 5 if n_samples < TWO_FOLDS_FROM else 2
    if not isinstance(cv, Integral):
        return None
    if cv > n_samples:
        raise ValueError(f"cv={cv} folds are more than the {n_samples} rows of the fit.")
    return int(cv)


def number_of_partitions(n_samples):
    """After how many rounds a partition into folds comes again."""
    return int(np.clip(PARTITIONED_ROWS // n_samples, FEWEST_PARTITIONS, MOST_PARTITIONS))


class RoundFolds:
    """Draws the fold numbers of the rounds.

    Parameters
    ----------
    rows : Rows
        Training rows.
    n_folds : int or None
        Folds to draw; None if the fit is in-sample or the folds are given.
    subsample : float
        Share of the rows that a round is fitted to, where there are no folds.
    same_folds : bool
        Whether all rounds have the folds of the first.
    seed : int
        Seed of the draws.
    """

    def __init__(self, rows, n_folds, subsample, same_folds, seed):
        self.rows = rows
        self.n_folds = n_folds
        self.subsample = subsample
        self.same_folds = same_folds
        self.seed = seed
        self._partitions = {}

    @property
    def differ(self):
        """Whether the folds of the next round are others."""
        drawn = self.n_folds is not None or self.subsample < 1
        return drawn and self.rows.folds is None and not self.same_folds

    def __call__(self, round_number):
        """Fold numbers of a round, (n_samples,), or None if the round is in-sample."""
        if self.rows.folds is not None:
            return self.rows.folds
        if self.same_folds:
            round_number = 0
        if self.n_folds is not None:
            number = round_number % number_of_partitions(len(self.rows))
            if number not in self._partitions:
                rng = np.random.default_rng([self.seed, _FOLDS, number])
                folds = draw_folds(self.rows.strata, self.n_folds, rng)
                self._partitions[number] = folds
            return self._partitions[number]
        if self.subsample < 1:
            # a single model, that leaves fold 0 out
            rng = np.random.default_rng([self.seed, _FOLDS, round_number])
            n_out = max(1, round((1 - self.subsample) * len(self.rows)))
            return np.where(draw_part(self.rows.strata, n_out, rng), 0, NO_FOLD)
        return None


def judging_rows(folds):
    """Rows whose fitted values choose weights and rate: the held-out ones if any are."""
    if folds is None or (folds != NO_FOLD).all():
        return slice(None)
    return np.flatnonzero(folds != NO_FOLD)


def draw_folds(strata, n_folds, rng):
    """Random fold numbers, every fold with the same share of every stratum."""
    folds = np.empty(len(strata), dtype=np.int32)
    folds[_shuffled_by_stratum(strata, rng)] = np.arange(len(strata)) % n_folds
    return folds


def draw_part(strata, size, rng):
    """Mask of a random part of `size` rows; a row of every stratum stays outside."""
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


def given_folds(cv, X, y, **split_params):
    """Fold numbers of a splitter or an iterable of splits; None for anything else.

    Raises
    ------
    ValueError
        If the splits do not put every row into exactly one test set, or train on
        something else than all rows outside it.
    """
    if cv is None or isinstance(cv, (str, Integral)):
        return None
    folds = np.full(len(y), NO_FOLD)
    times_held_out = np.zeros(len(y), dtype=np.intp)
    shown = cv if hasattr(cv, "split") else "the iterable"
    for fold, (train, test) in enumerate(check_cv(cv).split(X, y, **split_params)):
        if max(np.max(train, initial=0), np.max(test, initial=0)) >= len(y):
            raise ValueError(f"cv={shown!r} splits more than the {len(y)} rows of X.")
        outside = np.ones(len(y), dtype=bool)
        outside[test] = False
        if not np.array_equal(np.flatnonzero(outside), np.unique(train)):
            raise ValueError(
                f"cv={shown!r} does not train split {fold} on all rows outside its test "
                "set. Cross-fitting needs a partition of the rows, like KFold's."
            )
        times_held_out[test] += 1
        folds[test] = fold
    if (times_held_out != 1).any():
        raise ValueError(
            f"cv={shown!r} must put every row into exactly one test set, but "
            f"{np.count_nonzero(times_held_out != 1)} of {len(y)} rows are in none or in "
            "several. Use a partition, like KFold's."
        )
    return folds
