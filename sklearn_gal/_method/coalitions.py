"""What coalitions of organizations predict, and what each member adds to a score."""

from itertools import permutations

import numpy as np

from .rows import Rows

# Up to this number of organizations all permutations are gone through.
MAX_EXACT = 6


class Coalitions:
    """The coalitions along permutations of the organizations.

    Along a permutation, the organizations join one after the other. The Shapley value of an
    organization is the mean, over all permutations, of what it adds to the score of those
    that have joined before it. Of many organizations a sample of permutations is drawn,
    each one together with its reverse.

    Parameters
    ----------
    n_organizations : int
        Number of organizations.
    n_permutations : int
        Number of permutations to draw if there are more than `MAX_EXACT` organizations.
        It is even.
    random_state : RandomState
        Draws the permutations.

    Attributes
    ----------
    members : ndarray of bool of shape (n_coalitions, n_organizations)
        Which organizations are in each coalition. The first coalition is empty, and the
        last one has all organizations. Those of all but one are always among them.
    """

    def __init__(self, n_organizations, n_permutations, random_state):
        self._is_exact = n_organizations <= MAX_EXACT
        if self._is_exact:
            orders = list(permutations(range(n_organizations)))
        else:
            drawn = [
                random_state.permutation(n_organizations)
                for _ in range(n_permutations // 2)
            ]
            orders = [order for each in drawn for order in (each, each[::-1])]
        self._place = np.argsort(orders, axis=1)  # of an organization in a permutation
        joined = self._place[:, None] < np.arange(n_organizations + 1)[:, None]
        but_one = ~np.eye(n_organizations, dtype=bool)
        listed = np.concatenate([joined.reshape(-1, n_organizations), but_one])
        members, position = np.unique(listed, axis=0, return_inverse=True)
        order = np.lexsort((*~members.T[::-1], members.sum(axis=1)))
        rank = np.argsort(order)
        position = rank[position.ravel()]
        self.members = members[order]
        self._along = position[:-n_organizations].reshape(joined.shape[:2])
        self._but_one = position[-n_organizations:]

    def shapley_values(self, scores):
        """Return the Shapley values, (..., n_organizations).

        Their sum is the score of all organizations minus that of the empty coalition.

        Parameters
        ----------
        scores : ndarray of shape (..., n_coalitions)
            Score of each coalition.
        """
        return self._gains(scores).mean(axis=-2)

    def sampling_errors(self, scores):
        """Return standard errors of the values that are due to the drawn permutations."""
        gains = self._gains(scores)
        if self._is_exact:
            return np.zeros(gains.shape[-1])
        of_pairs = (gains[::2] + gains[1::2]) / 2
        return of_pairs.std(axis=0, ddof=1) / np.sqrt(len(of_pairs))

    def _gains(self, scores):
        """Return what organizations add, (..., n_permutations, n_organizations)."""
        gains = np.diff(scores[..., self._along], axis=-1)
        place = np.broadcast_to(self._place, gains.shape)
        return np.take_along_axis(gains, place, axis=-1)

    def leave_one_out(self, scores):
        """Return what is lost of the score if only one organization is absent."""
        return scores[..., -1:] - scores[..., self._but_one]


def coalition_predictions(model, X, members, n_jobs=None):
    """Return raw predictions of a table as if only the members of coalitions had rows.

    Parameters
    ----------
    model : AdditiveModel
        The model. A row is predicted by the pattern of the members that have it.
    X : table
        Rows to predict. Each participant is asked once for all of its functions.
    members : ndarray of bool of shape (n_coalitions, n_organizations)
        Which organizations are in each coalition.
    n_jobs : int or None, default=None
        How many participants predict at the same time.

    Returns
    -------
    raw : ndarray of shape (n_coalitions, n_samples, n_outputs)
        Raw predictions.
    """
    participants, patterns = model.participants, model.patterns
    candidates = [each for step in model.rounds for each in step.candidates]
    coefficients = np.zeros((len(patterns), len(candidates)))
    for pattern in range(len(patterns)):
        of_rounds = [step.coefficients(pattern) for step in model.rounds]
        coefficients[pattern] = np.concatenate([*of_rounds, []])
    counts = np.flatnonzero(coefficients.any(axis=0))
    candidates, coefficients = [candidates[j] for j in counts], coefficients[:, counts]
    n_samples, n_outputs = X.shape[0], len(model.baseline)
    raw = np.tile(model.baseline, (len(members), n_samples, 1))
    with participants.asking():
        present = participants.presence(X)
        for rows in model.blocks(slice(None), n_samples, len(candidates)):
            part = X if isinstance(rows, slice) else participants.take(X, rows)
            of_part = Rows(part, present[rows])
            values = np.zeros((len(candidates), len(of_part), n_outputs))
            for j, value in model.functions(of_part, candidates, n_jobs):
                values[j] = value
            having, which = np.unique(of_part.present, axis=0, return_inverse=True)
            moved = raw[:, rows]
            for k, has_row in enumerate(having):
                alike = which.ravel() == k
                pattern = patterns.assign(members[:, patterns.owner] & has_row)
                steps = np.tensordot(coefficients[pattern], values[:, alike], 1)
                moved[:, alike] += steps
            raw[:, rows] = moved
    return raw
