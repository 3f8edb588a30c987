"""Intervals and sets that contain the target with a probability, from held-out scores.

A score says how far a held-out prediction of a training row is from its target. A quantile
of the scores says how far to go from the prediction of a new row.
"""

import warnings
from dataclasses import dataclass

import numpy as np

# The scores of a pattern are those of the rows that all its members have, if there are at
# least this many; else of the rows that a member has.
MIN_ROWS = 50
# If held-out residuals are more than this many times as large as those of chains that have
# seen the rows, the latter say nothing about the mean of the chains.
MAX_RATIO = 10.0
# Methods for sets, in the order of the scores
SET_METHODS = ("aps", "lac")


@dataclass(frozen=True)
class Calibration:
    """Scores of the rows given to `fit`.

    Parameters
    ----------
    scores : ndarray of shape (n_patterns, n_samples, n_scores)
        Scores by every pattern, for each output or each method. NaN in rows of weight 0
        and in rows that are no scores of a pattern.
    classes : ndarray of shape (n_samples,), default=None
        Position of the class of each row; None for a regression.
    """

    scores: np.ndarray
    classes: np.ndarray | None = None

    def __len__(self):
        return self.scores.shape[1]


def scores_by_pattern(score, members, present):
    """Return scores of rows by every pattern, (n_patterns, n_samples, n_scores).

    Parameters
    ----------
    score : callable
        ``score(pattern)`` returns the scores of all rows, (n_samples, n_scores).
    members : ndarray of bool of shape (n_patterns, n_participants)
        Which participants are in each pattern.
    present : ndarray of bool of shape (n_samples, n_participants)
        Which participants have each row.
    """
    by_pattern = []
    for pattern, of_pattern in enumerate(members):
        rows = present[:, of_pattern].all(axis=1)
        if np.count_nonzero(rows) < MIN_ROWS and of_pattern.any():
            rows = present[:, of_pattern].any(axis=1)
        by_pattern.append(np.where(rows[:, None], score(pattern), np.nan))
    return np.stack(by_pattern)


def residual_scores(judged, by_chain, chain, share):
    """Return what the residuals of predictions by the mean of the chains would be.

    Parameters
    ----------
    judged : ndarray of shape (n_samples, n_outputs)
        Residuals of held-out predictions whose weights other rows have chosen.
    by_chain : ndarray of shape (n_chains, n_samples, n_outputs)
        Residuals of the predictions by each chain, whose weights all rows have chosen.
    chain : ndarray of int of shape (n_samples,)
        The chain that has not seen each row.
    share : float
        Share of the rows that have chosen the weights of `judged`.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_outputs)
        Between the residuals by both kinds of weights. The residuals of the chains that
        have seen a row are too small. They are scaled to the mean size of the held-out
        ones, and the difference that the mean of the chains makes is added.
    """
    unseen = chain == np.arange(len(by_chain))[:, None]
    held_out = by_chain[chain, np.arange(len(chain))]
    of_seen = np.abs(by_chain[~unseen]).mean(axis=0)
    of_unseen = np.abs(by_chain[unseen]).mean(axis=0)
    known = of_seen * MAX_RATIO > of_unseen
    ratio = np.maximum(of_unseen / np.where(known, of_seen, np.inf), 1.0)
    scaled = np.where(unseen[..., None], by_chain, ratio * by_chain)
    averaged = np.where(known, scaled.mean(axis=0) - held_out, 0.0)
    return share * judged + (1 - share) * held_out + averaged


def class_scores(probabilities):
    """Return the scores of all classes by each method, (n_methods, n_samples, n_classes).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Predicted probabilities.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    descending = np.take_along_axis(probabilities, order, axis=1)
    before = np.zeros_like(descending)
    np.cumsum(descending[:, :-1], axis=1, out=before[:, 1:])
    more_probable = np.empty_like(before)
    np.put_along_axis(more_probable, order, before, axis=1)
    return np.stack([more_probable, 1 - probabilities])  # as `SET_METHODS`


def ends(scores, coverage):
    """Return the lowest and the highest residual of an interval, two arrays (n_outputs,).

    Each of the tails outside has half of the probability. Infinite if there are too few
    scores.

    Parameters
    ----------
    scores : ndarray of shape (n_scores, n_outputs)
        Residuals.
    coverage : float
        Probability of the interval.
    """
    n_scores, n_outputs = scores.shape
    outside = int(np.floor(_exact((1 - coverage) / 2 * (n_scores + 1))))
    if not outside:
        return np.full(n_outputs, -np.inf), np.full(n_outputs, np.inf)
    ranked = np.partition(scores, [outside - 1, n_scores - outside], axis=0)
    return ranked[outside - 1], ranked[n_scores - outside]


def threshold(scores, coverage):
    """Return the largest score of a class in the set; infinite if there are too few.

    Parameters
    ----------
    scores : ndarray of shape (n_scores,)
        Scores of the true classes.
    coverage : float
        Probability of the set.
    """
    rank = int(np.ceil(_exact(coverage * (len(scores) + 1))))
    return np.inf if rank > len(scores) else np.partition(scores, rank - 1)[rank - 1]


def _exact(rank):
    """Return a rank without the rounding errors of its product."""
    return np.round(rank, 8)


def alike(calibration, pattern_of_row, groups, training_groups):
    """Yield rows to predict that have the same scores, with these scores.

    Parameters
    ----------
    calibration : Calibration
        Scores of the training rows.
    pattern_of_row : ndarray of int of shape (n_samples,)
        Patterns of the rows to predict.
    groups : ndarray of shape (n_samples,) or None
        Groups of the rows to predict.
    training_groups : ndarray of shape (n_training_samples,) or None
        Groups of the rows given to `fit`.

    Yields
    ------
    rows : ndarray of int
        Positions of rows to predict.
    part : Calibration
        Scores by their pattern of the training rows of their group, without NaN.
    """
    codes, names = np.zeros(len(pattern_of_row), dtype=np.intp), np.zeros(1)
    if groups is not None:
        names, codes = np.unique(groups, return_inverse=True)
    classes = calibration.classes
    for pattern in np.unique(pattern_of_row):
        scores = calibration.scores[pattern]
        scored = ~np.isnan(scores[:, 0])
        for code, name in enumerate(names):
            rows = np.flatnonzero((pattern_of_row == pattern) & (codes == code))
            counts = scored if groups is None else scored & (training_groups == name)
            if len(rows):
                of_counts = None if classes is None else classes[counts]
                yield rows, Calibration(scores[None, counts], of_counts)


def warn_of_too_few(n_scores, coverage, n_tails, effect):
    """Warn that there are too few scores for a coverage, with one tail outside or two."""
    n_needed = int(np.ceil(_exact(n_tails / (1 - coverage)))) - 1
    warnings.warn(
        f"coverage={coverage} needs at least {n_needed} held-out predictions for a row, "
        f"got {n_scores}: {effect}. Lower the coverage, or merge small groups.",
        UserWarning,
        stacklevel=3,
    )
