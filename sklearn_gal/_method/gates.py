"""Gates: functions of one organization that multiply what another one fits.

In a gated round an organization fits the residual times a gate, and what it fits is
multiplied by the same gate: the term is a product of functions of two organizations. A gate
has values between -1 and 1. It is 0 where the organization that it belongs to has no row.
"""

from dataclasses import dataclass

import numpy as np

from .disclosure import Disclosure
from .folds import GATES

# Share of the requests that are gated.
GATED_SHARE = 0.5
# Share of the label holder's gates that are a stump of one of its columns. Share of the
# other gates that continue a pair: they are what the partner has fitted with a gate of the
# organization itself, as in alternating least squares.
STUMP_SHARE, PAIR_SHARE = 0.5, 0.5
# A stump splits a column between these quantiles.
STUMP_QUANTILES = (0.2, 0.8)


@dataclass(frozen=True)
class FunctionGate:
    """What a participant has fitted in an earlier round, scaled and clipped.

    Parameters
    ----------
    partner : str
        Name of the participant.
    number : int
        The round.
    scale : tuple of float
        One factor per output.
    """

    partner: str
    number: int
    scale: tuple

    def is_known(self, raw):
        """Whether the function is known: its organization may have left."""
        return (self.partner, self.number) in raw.functions

    def __call__(self, raw):
        """Return the values for some rows, (n_samples, n_outputs); 0 if not known."""
        function = raw.functions.get((self.partner, self.number))
        if function is None:
            return np.zeros((len(raw.rows), 1))
        return np.clip(function * np.array(self.scale), -1.0, 1.0)


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
    """

    partner: str
    column: int
    threshold: float

    def __call__(self, raw):
        """Return the values for some rows, (n_samples, 1)."""
        column = raw.participants.holder_column(raw.rows.X, self.column)
        gate = np.where(column > self.threshold, 1.0, -1.0)
        gate[np.isnan(column)] = 0.0
        return gate[:, None]


class GatedDisclosure(Disclosure):
    """Shows participants the residual, in some rounds multiplied by a gate.

    Parameters
    ----------
    train, participants, seeds : see `Disclosure`
    pairs : set of frozenset of str or None
        Pairs of names that may interact; None is all.
    seed : int
        Seed of the draws.
    """

    def __init__(self, train, participants, seeds, pairs, seed):
        super().__init__(train, participants, seeds)
        self._seed = seed
        self._partners = {
            name: [
                other
                for other in participants.names
                if other != name and (pairs is None or frozenset((name, other)) in pairs)
            ]
            for name in participants.names
        }
        self._columns = participants.numeric_holder_columns(train.rows.X)

    def gate(self, number, participant):
        """Draw the gate of a participant in a round, or None."""
        name = self.participants.participant_names[participant]
        rng = np.random.default_rng([self._seed, GATES, number, participant])
        partners = self._partners.get(name)  # a stand-in has none
        if not partners or rng.random() >= GATED_SHARE:
            return None
        partner = partners[rng.integers(len(partners))]
        is_holder = partner == self.participants.holder_name
        if is_holder and len(self._columns) and rng.random() < STUMP_SHARE:
            return self._stump(partner, rng)
        latest = self.train.latest
        source = latest.get((partner, name)) if rng.random() < PAIR_SHARE else None
        source = latest.get((partner, None)) if source is None else source
        if source is None:
            return None
        size = np.sqrt(np.mean(self.train.functions[partner, source] ** 2, axis=0))
        scale = np.divide(0.5, size, out=np.zeros_like(size), where=size > 0)
        return FunctionGate(partner, source, tuple(scale.tolist()))

    def _stump(self, partner, rng):
        column = int(self._columns[rng.integers(len(self._columns))])
        values = self.participants.holder_column(self.train.rows.X, column)
        quantile = rng.uniform(*STUMP_QUANTILES)
        threshold = np.quantile(values[~np.isnan(values)], quantile)
        return StumpGate(partner, column, float(threshold))
