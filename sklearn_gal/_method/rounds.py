"""The step of a round, and its record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Candidate(NamedTuple):
    """A function that may become a part of the raw prediction.

    Parameters
    ----------
    participant : int
        Position of the participant that has fitted the function.
    number : int
        Number of the request to the participant.
    gate : callable or None
        Function of `RawPredictions` that multiplies the function; None is 1.
    """

    participant: int
    number: int
    gate: Callable | None = None

    def partner(self, names):
        """Return the position of the participant whose function is the gate.

        Without such a gate, it is the participant itself.

        Parameters
        ----------
        names : list of str
            Names of the participants.
        """
        name = getattr(self.gate, "partner", None)
        return names.index(name) if name in names else self.participant


@dataclass(frozen=True)
class Proposal:
    """What a round proposes: candidates with their values on the training rows.

    Parameters
    ----------
    candidates : tuple of Candidate
        The candidates.
    fitted : ndarray of shape (n_candidates, n_samples, n_outputs)
        Their held-out values, multiplied by the gates.
    took_part : ndarray of bool of shape (n_candidates,)
        Whether there is a model for a candidate.
    folds : Folds or None
        Folds of the round.
    """

    candidates: tuple[Candidate, ...]
    fitted: np.ndarray
    took_part: np.ndarray
    folds: Any


@dataclass(frozen=True)
class Step:
    """Weights and rates of the candidates of a round, for every pattern.

    Parameters
    ----------
    candidates : tuple of Candidate
        What the participants have fitted.
    weights : ndarray of shape (n_patterns, n_candidates)
        Assistance weights.
    rates : ndarray of shape (n_patterns,)
        Assisted learning rates.
    """

    candidates: tuple[Candidate, ...]
    weights: np.ndarray
    rates: np.ndarray

    @classmethod
    def zero(cls, patterns, candidates):
        """Return a step that moves nothing."""
        candidates = tuple(candidates)
        return cls(
            candidates, np.zeros((len(patterns), len(candidates))), np.zeros(len(patterns))
        )

    @property
    def gates(self):
        """The gate of every candidate."""
        return [candidate.gate for candidate in self.candidates]

    @property
    def participants(self):
        """Position of the participant of every candidate, (n_candidates,)."""
        return np.array([each.participant for each in self.candidates], dtype=np.intp)

    def coefficients(self, pattern):
        """Return what the function of every candidate counts, (n_candidates,)."""
        return self.rates[pattern] * self.weights[pattern]

    def direction(self, pattern, fitted):
        """Return the weighted sum of values of shape (n_candidates, ...)."""
        return np.tensordot(self.weights[pattern], fitted, (0, 0))

    def moved(self, values, fitted):
        """Return values of all patterns, moved by the step.

        Parameters
        ----------
        values : list of ndarray
            Values before the step.
        fitted : ndarray of shape (n_candidates, ...)
            Fitted values or predictions, multiplied by the gates.
        """
        values = list(values)
        for pattern in np.flatnonzero(self.rates):
            direction = self.direction(pattern, fitted)
            values[pattern] = values[pattern] + self.rates[pattern] * direction
        return values


@dataclass(frozen=True)
class Round(Step):
    """What the label holder keeps of a round; the organizations keep the models.

    Parameters
    ----------
    explained : ndarray of shape (n_candidates,)
        Share of the squared residual that every candidate has explained, by the weights
        and the rate of the first pattern.
    train_loss, validation_loss : float or None
        Losses after the round.
    """

    explained: np.ndarray
    train_loss: float
    validation_loss: float | None
