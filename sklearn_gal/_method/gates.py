"""Gates: functions of one organization that multiply what another one fits.

To a gated request an organization fits the residual times a gate, and what it fits is
multiplied by the same gate: the term is a product of functions of two organizations. A gate
has values between -1 and 1. It is 0 where the organization that it belongs to has no row.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .._contract import Bound, stacked
from .disclosure import Disclosure
from .folds import GATES

# Number of gated requests to an organization in a round: for one output, for several, and
# for several outputs of two organizations
GATED_REQUESTS, GATED_REQUESTS_OF_CLASSES, GATED_REQUESTS_OF_TWO = 1, 2, 3
# Share of the partners that are drawn uniformly. The others are drawn in proportion to what
# the products of the pair have explained in the latest rounds, a decaying mean.
UNIFORM_SHARE, DECAY = 0.25, 0.9
# Share of the label holder's gates that are a stump of one of its columns. Share of the
# other gates that continue a pair: they are what the partner has fitted with a gate of the
# organization itself, as in alternating least squares. Share of the functions of a single
# output whose sign is the gate; with several outputs all are signs.
STUMP_SHARE, PAIR_SHARE, SIGN_SHARE = 0.5, 0.5, 0.5
# A stump or a sign is a threshold between these quantiles.
QUANTILES = (0.3, 0.7)
# Quantiles and sizes are those of about this number of rows.
QUANTILE_ROWS = 2_000


@dataclass(frozen=True, eq=False)
class FunctionGate:
    """What a participant has fitted to an earlier request, as a sign or clipped.

    Parameters
    ----------
    partner : str
        Name of the participant.
    number : int
        Number of the request.
    bound : Bound
        Makes a sign of the function, or clips it.
    """

    partner: str
    number: int
    bound: Bound
    by_chain: ClassVar[bool] = True

    def is_known(self, raw):
        """Whether the function is known: its organization may have left."""
        return (self.partner, self.number) in raw.functions

    def __call__(self, raw):
        """Return the values for some rows, (n_chains, n_samples, n_outputs)."""
        above = raw.above.get(self)
        function = raw.functions.get((self.partner, self.number))
        if above is None and function is None:  # it has left, or has none of the rows
            return np.zeros((1, len(raw.rows), 1))
        gate = self.bound(function) if above is None else np.where(above, 1.0, -1.0)
        gate[:, ~raw.present(self.partner)] = 0.0
        return gate

    @property
    def kind(self):
        """Which gates can be computed together with this one."""
        return type(self), self.bound.threshold is None

    @staticmethod
    def together(gates, raw):
        """Return the values of gates of a kind, (n_gates, n_chains, n_samples, n_outputs).

        None if only signs are known of some functions, or nothing.
        """
        keys = [(gate.partner, gate.number) for gate in gates]
        if raw.above or not all(key in raw.functions for key in keys):
            return None
        bound = Bound.stacked([gate.bound for gate in gates])
        # no row lacks the gate's organization: all rows of a pattern have its organizations
        return bound(stacked([raw.functions[key] for key in keys]))


@dataclass(frozen=True)
class StumpGate:
    """A column of the label holder, above a threshold or not.

    Parameters
    ----------
    partner : str
        Name of the label holder.
    column : int
        Position among the label holder's columns.
    threshold : float
        The gate is 1 above, and -1 elsewhere.
    mean : float, default=0.0
        Mean of the gate over the training rows.
    """

    partner: str
    column: int
    threshold: float
    mean: float = 0.0
    by_chain: ClassVar[bool] = False

    def __call__(self, raw):
        """Return the values for some rows, (1, n_samples, 1)."""
        column = raw.participants.holder_column(raw.rows.X, self.column)
        return self.of(column)[:, None][None]

    @staticmethod
    def together(gates, raw):
        """Return the values of several gates, (n_gates, 1, n_samples, 1)."""
        X = raw.rows.X
        columns = [raw.participants.holder_column(X, gate.column) for gate in gates]
        thresholds = np.array([gate.threshold for gate in gates])
        return _above(np.stack(columns), thresholds[:, None])[:, None, :, None]

    def of(self, column):
        """Return the values for values of the column, which may be NaN."""
        return _above(column, self.threshold)


def _above(values, threshold):
    """1 for values above a threshold, -1 for others, and 0 for missing ones."""
    return np.where(np.isnan(values), 0.0, np.where(values > threshold, 1.0, -1.0))


class GatedDisclosure(Disclosure):
    """Shows every participant the residual, and the residual multiplied by gates.

    Parameters
    ----------
    model, train, seeds : see `Disclosure`
    pairs : set of frozenset of str or None
        Pairs of names that may interact; None is all.
    seed : int
        Seed of the draws.
    """

    def __init__(self, model, train, seeds, pairs, seed):
        super().__init__(model, train, seeds)
        self._seed = seed
        self._names = self.participants.participant_names
        self._owner = model.patterns.owner
        self._partners = {
            name: [
                other
                for other in self.participants.names
                if other != name and (pairs is None or frozenset((name, other)) in pairs)
            ]
            for name in self.participants.names
        }
        self._columns = self.participants.numeric_holder_columns(train.rows.X)
        single = len(model.baseline) == 1
        self._n_gated = GATED_REQUESTS
        if not single:
            of_two = len(self.participants.organizations) == 2
            self._n_gated = GATED_REQUESTS_OF_TWO if of_two else GATED_REQUESTS_OF_CLASSES
        self._strengths: tuple[int, dict] = -1, {}  # of the latest round
        self._sign_share = SIGN_SHARE if single else 1.0

    def gates(self, number, participant):
        """Draw the gates of a participant's requests in a round, after a plain one."""
        name = self._names[participant]
        partners = self._partners.get(name)  # a stand-in has none
        if not partners:
            return [None]
        organization = self._owner[participant]  # a stand-in shifts the positions
        rng = np.random.default_rng([self._seed, GATES, number, organization])
        if self._strengths[0] != number:
            self._strengths = number, strength(self.model.rounds, self._names)
        strengths = self._strengths[1]
        likely = np.array([strengths.get((name, partner), 0.0) for partner in partners])
        uniform = np.full(len(partners), 1 / len(partners))
        if likely.any():
            likely *= (1 - UNIFORM_SHARE) / likely.sum()
            likely += UNIFORM_SHARE * uniform
        else:
            likely = uniform
        drawn = rng.choice(len(partners), self._n_gated, p=likely)
        gates = [self._gate(name, partners[each], rng) for each in drawn]
        return [None, *(gate for gate in gates if gate is not None)]

    def _gate(self, name, partner, rng):
        """Return a gate that belongs to a partner; None if it has not fitted anything."""
        is_holder = partner == self.participants.holder_name
        latest = self.train.latest
        answers = {about: at for (of, about), at in latest.items() if of == partner}
        if is_holder and len(self._columns):
            if not answers or rng.random() < STUMP_SHARE:
                return self._stump(partner, rng)
        if not answers:
            return None
        number = answers.get(name) if rng.random() < PAIR_SHARE else None
        if number is None:
            number = list(answers.values())[rng.integers(len(answers))]
        present = np.flatnonzero(self.train.present(partner))
        some = present[:: 1 + len(present) // QUANTILE_ROWS]
        function = self.train.functions[partner, number][:, some]
        if rng.random() < self._sign_share:
            quantile = rng.uniform(*QUANTILES)
            threshold = np.quantile(function, quantile, axis=1, keepdims=True)
            return FunctionGate(partner, number, Bound(threshold=threshold))
        size = np.sqrt(np.mean(function**2, axis=1, keepdims=True))
        scale = np.divide(0.5, size, out=np.zeros_like(size), where=size > 0)
        return FunctionGate(partner, number, Bound(scale=scale))

    def _stump(self, partner, rng):
        column = int(self._columns[rng.integers(len(self._columns))])
        values = self.participants.holder_column(self.train.rows.X, column)
        quantile = rng.uniform(*QUANTILES)
        threshold = np.quantile(values[~np.isnan(values)], quantile)
        if np.mean(values > threshold) < 0.01:  # most rows have the largest value
            threshold = np.nextafter(threshold, -np.inf)
        gate = StumpGate(partner, column, float(threshold))
        return replace(gate, mean=float(gate.of(values).mean()))


def strength(rounds, names):
    """Return what products have explained lately, by names of participant and partner.

    Parameters
    ----------
    rounds : list of Round
        The rounds so far.
    names : list of str
        Names of the participants.

    Returns
    -------
    strength : dict of (str, str) to float
        Mean share of the squared residual, where the latest rounds count most.
    """
    strengths: dict = {}
    for each in rounds:
        for candidate, explained in zip(each.candidates, each.explained, strict=True):
            if candidate.gate is None:
                continue
            pair = names[candidate.participant], candidate.gate.partner
            before = strengths.get(pair, 0.0)
            strengths[pair] = DECAY * before + (1 - DECAY) * max(0.0, explained)
            other = pair[::-1]
            strengths[other] = max(strengths.get(other, 0.0), 0.5 * strengths[pair])
    return strengths
