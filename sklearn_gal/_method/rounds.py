"""The step of a round, and its record."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Step:
    """Weights and rates of a round for every pattern, and the gates of the participants.

    Parameters
    ----------
    weights : ndarray of shape (n_patterns, n_participants)
        Assistance weights.
    rates : ndarray of shape (n_patterns,)
        Assisted learning rates.
    gates : tuple of callable or None
        For every participant, the function that multiplies what it fits; None is 1.
    """

    weights: np.ndarray
    rates: np.ndarray
    gates: tuple[Callable | None, ...]

    @classmethod
    def zero(cls, patterns, gates):
        """Return a step that moves nothing."""
        return cls(np.zeros(patterns.members.shape), np.zeros(len(patterns)), tuple(gates))

    def direction(self, pattern, fitted):
        """Return the weighted sum of the fitted values, (n_samples, n_outputs)."""
        return np.tensordot(self.weights[pattern], fitted, (0, 1))


@dataclass(frozen=True)
class Round(Step):
    """What the label holder keeps of a round; the organizations keep the models."""

    train_loss: float
    validation_loss: float | None
