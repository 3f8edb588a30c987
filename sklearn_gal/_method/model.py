"""The fitted model: a baseline and a sum of terms, which are functions of participants."""

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from .._contract import Fitted, Query, mean_of_chains
from .disclosure import times_gates
from .products import Products
from .rows import RawPredictions, Rows, TrainingPredictions

# Functions of single rounds are asked for in blocks of rows of about this size.
MAX_BLOCK_BYTES = 2**27


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
    gated : bool
        Whether terms may have gates that need functions of earlier rounds.
    n_chains : int
        Number of chains of every function.

    Attributes
    ----------
    rounds : list of Round
        The record of the fit; weights, rates and losses are views of it.
    baseline_losses : tuple of float
        Training and validation loss before the first round.
    """

    def __init__(
        self, loss, baseline, participants, patterns, first_residual, gated, n_chains
    ):
        self.loss = loss
        self.baseline = baseline
        self.participants = participants
        self.patterns = patterns
        self.first_residual = first_residual
        self.gated = gated
        self.n_chains = n_chains
        self.rounds: list = []
        self.baseline_losses: tuple = (np.nan, None)
        self._terms: dict = {}  # by pattern, with the rounds that they are of

    def __getstate__(self):
        # can be derived from the rounds; a copy may get other participants
        return {**self.__dict__, "_terms": {}}

    @property
    def n_requests(self):
        """Number of requests that a participant has received so far, at most."""
        for step in reversed(self.rounds):  # numbers ascend
            if step.candidates:
                return 1 + max(candidate.number for candidate in step.candidates)
        return 0

    def start(self, rows):
        """Return the raw predictions of rows before the first round."""
        return RawPredictions(
            rows, self.patterns, self.baseline, self.participants, self.gated
        )

    def start_training(self, rows, chains):
        """Return the raw predictions of training rows before the first round."""
        return TrainingPredictions(
            rows, self.patterns, self.baseline, self.participants, self.gated, chains
        )

    def raw(self, X, n_jobs=None):
        """Return the raw predictions of a table, (n_samples, n_outputs)."""
        return self.baseline + self.contributions(X, n_jobs).sum(axis=1)

    def pattern_of_rows(self, X):
        """Return the pattern of each row of a table, (n_samples,)."""
        if len(self.patterns) == 1:
            return np.zeros(X.shape[0], dtype=np.intp)
        return self.patterns.assign(self.participants.presence(X))

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
        for rows, part, (queries, products) in self.parts(X):
            answers = self.participants.answers(part.X, queries, n_jobs)
            for query, answer in zip(queries, answers, strict=True):
                value = np.nan_to_num(answer.total)
                yield rows, query.participant, query.participant, value
            if products:
                raw = self._answered(part, queries, answers)
                for summand in products.of_pairs(raw):
                    yield rows, *summand

    def _answered(self, rows, queries, answers):
        """Return the raw predictions of rows, with the functions of the answers."""
        raw, names = self.start(rows), self.participants.participant_names
        for query, answer in zip(queries, answers, strict=True):
            name = names[query.participant]
            raw.functions |= {(name, n): each for n, each in answer.functions.items()}
            raw.above |= answer.above
        return raw

    def parts(self, X):
        """Yield rows of one pattern at a time, of which all functions fit into memory.

        Yields
        ------
        rows : slice or ndarray of int
            Which rows of the table.
        part : Rows
            These rows.
        terms : tuple
            What `terms` returns for their pattern.
        """
        with self.participants.asking():
            present = self.participants.presence(X)
            pattern_of_row = self.patterns.assign(present)
            for pattern in np.unique(pattern_of_row):
                terms = self.terms(pattern)
                of_pattern: Any = slice(None)
                if len(self.patterns) > 1:
                    of_pattern = np.flatnonzero(pattern_of_row == pattern)
                for rows in self.blocks(of_pattern, X.shape[0], len(terms[1])):
                    is_whole = isinstance(rows, slice) and rows == slice(None)
                    part = X if is_whole else self.participants.take(X, rows)
                    yield rows, Rows(part, present[rows]), terms

    def blocks(self, rows, n_samples, n_functions):
        """Return parts of the rows, for which all functions fit into memory."""
        size = 16 * (n_functions + 1) * len(self.baseline) * self.n_chains
        if not n_functions or size * n_samples <= MAX_BLOCK_BYTES:
            return [rows]
        rows = np.arange(n_samples)[rows]
        return np.array_split(rows, 1 + size * len(rows) // MAX_BLOCK_BYTES)

    def functions(self, rows, candidates, n_jobs):
        """Yield single functions, multiplied by their gates.

        Parameters
        ----------
        rows : Rows
            Rows to predict.
        candidates : list of Candidate
            Whose functions. Those of participants that have none of the rows are left out.
        n_jobs : int or None
            How many participants predict at the same time.

        Yields
        ------
        position : int
            Position among the candidates.
        values : ndarray of shape (n_samples, n_outputs)
            The mean over the chains.
        """
        names, raw = self.participants.participant_names, self.start(rows)
        raw.functions = self.functions_of(rows.X, candidates, n_jobs)
        for j, each in enumerate(candidates):
            function = raw.functions.get((names[each.participant], each.number))
            if function is not None:
                yield j, _times_gate(function, each.gate, raw)

    def functions_of(self, X, candidates, n_jobs):
        """Return the functions of candidates and gates, see `Participants.functions`."""
        names = self.participants.participant_names
        wanted = {(names[each.participant], each.number) for each in candidates}
        wanted |= {
            (each.gate.partner, each.gate.number)
            for each in candidates
            if hasattr(each.gate, "number") and each.gate.partner in names
        }
        return self.participants.functions(X, wanted, n_jobs) if wanted else {}

    def terms(self, pattern):
        """Return what the prediction of a pattern needs of the participants.

        It is kept as long as the rounds are the same, because collecting it takes as long
        as predicting a row.

        Parameters
        ----------
        pattern : int
            Position of the pattern.

        Returns
        -------
        queries : list of Query
            One for each participant.
        products : Products
            The functions with a gate that count.
        """
        rounds, terms = self._terms.get(pattern, ([], None))
        same = list(map(id, rounds)) == list(map(id, self.rounds))
        if terms is None or not same:
            terms = self._new_terms(pattern)
            self._terms[pattern] = list(self.rounds), terms
        return terms

    def _new_terms(self, pattern):
        queries = [Query(participant) for participant in range(len(self.participants))]
        listed = []
        for step in self.rounds:
            coefficients = step.coefficients(pattern).tolist()
            for each, coefficient in zip(step.candidates, coefficients, strict=True):
                if each.gate is None:
                    queries[each.participant].numbers.append(each.number)
                    queries[each.participant].coefficients.append(coefficient)
                elif coefficient:
                    listed.append((each, coefficient))
        products = Products(listed, self.participants.participant_names)
        products.ask_for(queries)
        return queries, products

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
        for each in self.rounds:
            self.advance(raw, each)
            yield raw

    def advance(self, raw, step):
        """Move rows that were not fitted to by the step of a round."""
        if self.gated or step.rates.any():
            asked = None if self.gated else step.weights.any(axis=0)
            functions = self.values(raw, step.candidates, asked)
            raw.advance(times_gates(functions, step.candidates, raw).values, step)
            raw.remember(step.candidates, functions)

    def values(self, raw, candidates, asked=None):
        """Return the functions of a round, as `Fitted`.

        Parameters
        ----------
        raw : RawPredictions
            The rows. The chains are kept apart if it does so, or if there are gates.
        candidates : sequence of Candidate
            Whose functions.
        asked : ndarray of bool of shape (n_candidates,), default=None
            Which functions to ask for; None is all. The others count as 0.
        """
        apart = self.gated or len(raw.values[0]) > 1
        n_chains = self.n_chains if apart else 1
        shape = (len(candidates), n_chains, len(raw.rows), len(self.baseline))
        values, took_part = np.zeros(shape), np.zeros(len(candidates), dtype=bool)
        positions = np.arange(len(candidates)) if asked is None else np.flatnonzero(asked)
        predictions = self.participants.predict_candidates(
            raw.rows.X, [candidates[j] for j in positions], self.n_requests, apart
        )
        for j, prediction in zip(positions, predictions, strict=True):
            if np.ndim(prediction):  # a number: it has no model
                if apart and len(prediction) != n_chains:  # fitted with other folds
                    prediction = prediction.mean(axis=0)
                values[j], took_part[j] = prediction, True
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
        gone = self.patterns.owner == self.participants.names.index(name)
        position = np.cumsum(~gone) - 1
        model.participants = participants
        model.rounds = [
            replace(
                each,
                candidates=tuple(
                    candidate._replace(participant=int(position[candidate.participant]))
                    for candidate in each.candidates
                    if not gone[candidate.participant]
                ),
            )
            for each in self.rounds
        ]
        return model


def _times_gate(function, gate, raw):
    """The mean over chains of a function, multiplied by its gate if it has one."""
    return mean_of_chains(function if gate is None else function * gate(raw))
