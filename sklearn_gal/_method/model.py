"""The fitted model: a baseline and a sum of terms, which are functions of participants."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._contract import Fitted
from .disclosure import times_gates
from .rows import RawPredictions, Rows

# Functions of single rounds are asked for in blocks of rows of about this size.
MAX_BLOCK_BYTES = 2**27


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
        Function of `RawPredictions` that multiplies them; None is 1.
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
    gated : bool, default=False
        Whether terms may have gates that need functions of earlier rounds.

    Attributes
    ----------
    rounds : list of Round
        The record of the fit; weights, rates and losses are views of it.
    baseline_losses : tuple of float
        Training and validation loss before the first round.
    """

    def __init__(self, loss, baseline, participants, patterns, first_residual, gated=False):
        self.loss = loss
        self.baseline = baseline
        self.participants = participants
        self.patterns = patterns
        self.first_residual = first_residual
        self.gated = gated
        self.rounds: list = []
        self.baseline_losses: tuple = (np.nan, None)

    def start(self, rows):
        """Return the raw predictions of rows before the first round."""
        return RawPredictions(
            rows, self.patterns, self.baseline, self.participants, self.gated
        )

    def raw(self, X, n_jobs=None):
        """Return the raw predictions of a table, (n_samples, n_outputs)."""
        return self.baseline + self.contributions(X, n_jobs).sum(axis=1)

    def contributions(self, X, n_jobs=None):
        """Return the shares of the organizations, (n_samples, n_organizations, K).

        A product belongs to its two organizations in equal parts.
        """
        shape = (X.shape[0], len(self.participants), len(self.baseline))
        shares = np.zeros(shape)
        for rows, participant, partner, values in self._summands(X, n_jobs):
            shares[rows, participant] += 0.5 * values if partner != participant else values
            if partner != participant:
                shares[rows, partner] += 0.5 * values
        return self.patterns.per_organization(shares, axis=1)

    def interaction_contributions(self, X, n_jobs=None):
        """Return the shares of the pairs of organizations, (n_samples, M, M, K)."""
        n_participants = len(self.participants)
        shape = (X.shape[0], n_participants, n_participants, len(self.baseline))
        shares = np.zeros(shape)
        for rows, participant, partner, values in self._summands(X, n_jobs):
            shares[rows, participant, partner] += 0.5 * values
            shares[rows, partner, participant] += 0.5 * values
        shares = self.patterns.per_organization(shares, axis=1)
        return self.patterns.per_organization(shares, axis=2)

    def _summands(self, X, n_jobs):
        """Yield rows, participant, partner and the values of a term.

        The partner of a term without a gate is the participant itself.
        """
        with self.participants.asking():
            present = self.participants.presence(X)
            pattern_of_row = self.patterns.assign(present)
            for pattern in np.unique(pattern_of_row):
                terms = self.terms(pattern)
                gated = [term for term in terms if term.gate is not None]
                of_pattern: Any = slice(None)
                if len(self.patterns) > 1:
                    of_pattern = np.flatnonzero(pattern_of_row == pattern)
                for rows in self._blocks(of_pattern, X.shape[0], gated):
                    is_whole = isinstance(rows, slice) and rows == slice(None)
                    part = X if is_whole else self.participants.take(X, rows)
                    of_part = Rows(part, present[rows])
                    for summand in self._summands_of_rows(of_part, terms, gated, n_jobs):
                        yield rows, *summand

    def _blocks(self, rows, n_samples, gated):
        """Return parts of the rows, for which all functions fit into memory."""
        size = 16 * (len(gated) + 1) * len(self.baseline)
        if not gated or size * n_samples <= MAX_BLOCK_BYTES:
            return [rows]
        rows = np.arange(n_samples)[rows]
        return np.array_split(rows, 1 + size * len(rows) // MAX_BLOCK_BYTES)

    def _summands_of_rows(self, rows, terms, gated, n_jobs):
        plain = [term for term in terms if term.gate is None]
        shape = (len(rows), len(self.baseline))
        values = self.participants.sums(rows.X, plain, n_jobs)
        for term, value in zip(plain, values, strict=True):
            value = np.nan_to_num(np.broadcast_to(value, shape))
            yield term.participant, term.participant, value
        if not gated:
            return
        names = self.participants.participant_names
        wanted = {
            (names[term.participant], int(number))
            for term in gated
            for number in np.flatnonzero(term.coefficients)
        }
        wanted |= {
            (term.gate.partner, term.gate.number)
            for term in gated
            if hasattr(term.gate, "number") and term.gate.partner in names
        }
        raw = self.start(rows)
        raw.functions = self.participants.functions(rows.X, wanted, n_jobs)
        for term in gated:
            name = names[term.participant]
            value = sum(
                term.coefficients[number] * raw.functions[name, number]
                for number in np.flatnonzero(term.coefficients).tolist()
            )
            partner = getattr(term.gate, "partner", name)
            position = names.index(partner) if partner in names else term.participant
            yield term.participant, position, value * term.gate(raw)

    def terms(self, pattern):
        """Return the terms of a pattern; functions with the same gate are one term."""
        shape = (len(self.rounds), len(self.participants))
        coefficients = [each.rates[pattern] * each.weights[pattern] for each in self.rounds]
        columns = np.array(coefficients).reshape(shape).T
        if not any(any(each.gates) for each in self.rounds):
            return [Term(participant, own) for participant, own in enumerate(columns)]
        terms = []
        for participant, own in enumerate(columns):
            parts: dict = {None: np.zeros(len(own))}
            for number, each in enumerate(self.rounds):
                gate = each.gates[participant]
                parts.setdefault(gate, np.zeros(len(own)))[number] = own[number]
            terms += [
                Term(participant, part, gate)
                for gate, part in parts.items()
                if gate is None or part.any()
            ]
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
            functions = self.values(raw, number, asked=raw.asks_for(step))
            raw.advance(times_gates(functions, step.gates, raw).values, step)
            raw.remember(number, functions.values, step)

    def values(self, raw, number, asked=None, folds=None):
        """Return the functions of a round, as `Fitted`.

        Parameters
        ----------
        raw : RawPredictions
            The rows.
        number : int
            The round.
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
            folds and folds.numbers,
        )
        took_part = np.zeros(shape[1], dtype=bool)
        for participant, prediction in predictions:
            values[:, participant] = prediction
            took_part[participant] = np.ndim(prediction) > 0  # a number: it has no model
        np.nan_to_num(values, copy=False)
        return Fitted(values, took_part)

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
