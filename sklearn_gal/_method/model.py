"""The fitted model: a baseline and a sum of terms, which are functions of participants."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._contract import Fitted
from .disclosure import times_gates
from .rows import RawPredictions, Rows


@dataclass
class Term:
    """A summand of the raw prediction: what a participant has fitted, times a gate.

    Parameters
    ----------
    participant : int
        Position of the participant.
    coefficients : ndarray of shape (n_rounds,)
        What its function of each round counts.
    gate : callable or None
        Function of X, (n_samples,), that multiplies them; None is 1.
    """

    participant: int
    coefficients: np.ndarray
    gate: Callable | None = None


class AdditiveModel:
    """Predicts by the baseline and the sum of the terms of all rounds.

    Parameters
    ----------
    loss : loss object
        Overarching loss.
    baseline : ndarray of shape (n_outputs,)
        Raw prediction before the first round.
    participants : Participants
        Who holds the fitted local models.
    patterns : Patterns
        Which participants have weights and rates together.
    first_residual : float
        Largest absolute residual before the first round.

    Attributes
    ----------
    rounds : list of Round
        The record of the fit; weights, rates and losses are views of it.
    baseline_losses : tuple of float
        Training and validation loss before the first round.
    """

    def __init__(self, loss, baseline, participants, patterns, first_residual):
        self.loss = loss
        self.baseline = baseline
        self.participants = participants
        self.patterns = patterns
        self.first_residual = first_residual
        self.rounds: list = []
        self.baseline_losses: tuple = (np.nan, None)

    def start(self, rows):
        """Return the raw predictions of rows before the first round."""
        return RawPredictions(rows, self.patterns, self.baseline)

    def raw(self, X, n_jobs=None):
        """Return the raw predictions of a table, (n_samples, n_outputs)."""
        return self.baseline + self.contributions(X, n_jobs).sum(axis=1)

    def contributions(self, X, n_jobs=None):
        """Return the shares of the organizations, (n_samples, n_organizations, K)."""
        with self.participants.asking():
            pattern_of_row = self.patterns.assign(self.participants.presence(X))
            shape = (X.shape[0], len(self.participants), len(self.baseline))
            shares = np.zeros(shape)
            for pattern in np.unique(pattern_of_row):
                rows: Any = slice(None)
                part = X
                if len(self.patterns) > 1:
                    rows = np.flatnonzero(pattern_of_row == pattern)
                    part = self.participants.take(X, rows)
                shares[rows] = self._shares(pattern, part, n_jobs)
        return self.patterns.per_organization(shares, axis=1)

    def _shares(self, pattern, X, n_jobs):
        terms, shape = self.terms(pattern), (X.shape[0], len(self.baseline))
        values = self.participants.sums(X, terms, n_jobs)
        shares = np.zeros((X.shape[0], len(self.participants), len(self.baseline)))
        for term, value in zip(terms, values, strict=True):
            value = np.nan_to_num(np.broadcast_to(value, shape))
            gate = 1.0 if term.gate is None else term.gate(X)[:, None]
            shares[:, term.participant] += gate * value
        return shares

    def terms(self, pattern):
        """Return the terms of a pattern; functions with the same gate are one term."""
        shape = (len(self.rounds), len(self.participants))
        coefficients = [each.rates[pattern] * each.weights[pattern] for each in self.rounds]
        columns = np.array(coefficients).reshape(shape).T
        if not any(
            any(each.gates) for each in self.rounds
        ):  # one term for each participant
            return [Term(participant, own) for participant, own in enumerate(columns)]
        terms = []
        for participant, own in enumerate(columns):
            gates = [each.gates[participant] for each in self.rounds]
            for gate in dict.fromkeys(gates):
                of_gate = [other is gate for other in gates]
                terms.append(Term(participant, np.where(of_gate, own, 0.0), gate))
        return terms

    def stages(self, X):
        """Yield the raw predictions of a table after each round."""
        with self.participants.asking():
            for raw in self.walk(self.start_at(X)):
                yield raw.own

    def start_at(self, X):
        """Return the raw predictions of a table before the first round."""
        return self.start(Rows(X, self.participants.presence(X)))

    def walk(self, raw):
        """Move rows through all rounds; yield them after each."""
        for number, each in enumerate(self.rounds):
            self.advance(raw, number, each)
            yield raw

    def advance(self, raw, number, step):
        """Move rows that were not fitted to by the step of a round."""
        if step.rates.any():
            fitted = self.values(raw, number, step.gates, asked=raw.asks_for(step))
            raw.advance(fitted.values, step)

    def values(self, raw, number, gates, asked=None, folds=None):
        """Return what the participants predict in a round, multiplied by their gates.

        Parameters
        ----------
        raw : RawPredictions
            The rows.
        number : int
            The round.
        gates : sequence of callable or None
            The gates of the round.
        asked : ndarray of bool of shape (n_participants,), default=None
            Which participants to ask; None is all. The others count as 0.
        folds : Folds, default=None
            Folds of training rows: each row is predicted by a model that has not seen it.
        """
        shape = (len(raw.rows), len(self.participants), len(self.baseline))
        values, everything = np.zeros(shape), range(shape[1])
        predictions = self.participants.predict_round(
            raw.rows.X,
            everything if asked is None else np.flatnonzero(asked),
            number,
            len(self.rounds),
            raw.stacked,
            folds and folds.numbers,
        )
        took_part = np.zeros(shape[1], dtype=bool)
        for participant, prediction in predictions:
            values[:, participant] = prediction
            took_part[participant] = np.ndim(prediction) > 0  # a number: it has no model
        np.nan_to_num(values, copy=False)
        return times_gates(Fitted(values, took_part), gates, raw.rows.X)

    def copy(self):
        """Return a copy with the rounds so far."""
        model = copy(self)
        model.rounds = list(self.rounds)
        return model

    def without(self, name):
        """Return a copy without an organization, whose rounds are to be replayed."""
        model, participants = copy(self), self.participants.without(name)
        gone = self.participants.names.index(name)
        model.participants = participants
        model.rounds = [
            replace(each, gates=tuple(np.array(each.gates)[self.patterns.owner != gone]))
            for each in self.rounds
        ]
        return model
