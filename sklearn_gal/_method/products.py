"""Products: functions of participants, multiplied by gates and added up many at a time."""

from typing import Any, NamedTuple

import numpy as np

from .._contract import mean_of_chains, stacked

# Products are computed together as long as their functions have at most this many values.
MAX_VALUES = 2**14


class Product(NamedTuple):
    """A function with a gate.

    Parameters
    ----------
    key : tuple of (str, int)
        The participant of the function, by its name, and the number of the request.
    gate : callable
        The gate.
    coefficient : float
        What the product counts.
    pair : tuple of (int, int)
        Positions of the participant and of its partner.
    """

    key: tuple
    gate: Any
    coefficient: float
    pair: tuple


class Products:
    """All products of a pattern.

    Iterating over it yields each candidate and what it counts.

    Parameters
    ----------
    listed : list of tuple of (Candidate, float)
        The candidates with a gate, and what they count.
    names : list of str
        Names of the participants.
    """

    def __init__(self, listed, names):
        self._listed = listed
        self._names = names
        groups: dict = {}
        for each, coefficient in listed:
            key = names[each.participant], each.number
            pair = each.participant, each.partner(names)
            product = Product(key, each.gate, coefficient, pair)
            kind = getattr(each.gate, "kind", type(each.gate))
            groups.setdefault(kind, []).append(product)
        self._groups = list(groups.values())

    def __len__(self):
        return len(self._listed)

    def __iter__(self):
        return iter(self._listed)

    def ask_for(self, queries):
        """Add to queries what is needed: functions, and those that are gates.

        Parameters
        ----------
        queries : list of Query
            One for each participant.
        """
        by_sign = []
        for each, _ in self:
            query = queries[each.participant]
            (query.chains if _by_chain(each.gate) else query.means).append(each.number)
        for gate in (each.gate for each, _ in self):
            if not hasattr(gate, "number") or gate.partner not in self._names:
                continue
            query = queries[self._names.index(gate.partner)]
            if gate.bound.threshold is not None:
                by_sign.append((query, gate))
            elif gate.number not in query.chains:
                query.chains.append(gate.number)
        for query, gate in by_sign:
            if gate.number not in query.chains:
                query.signs[gate] = gate.number, gate.bound.threshold[:, 0]
        for query in queries:
            query.means = [each for each in query.means if each not in query.chains]

    def of_pairs(self, raw):
        """Yield participant, partner and the sum of their products, (n_samples, n_outputs).

        Parameters
        ----------
        raw : RawPredictions
            The rows, with the functions of the products and those that are gates. A
            function is left out if its participant has none of the rows.
        """
        sums: dict = {}
        for group in self._groups:
            known = [each for each in group if each.key in raw.functions]
            size = raw.functions[known[0].key].size if known else 1
            at_once = max(1, MAX_VALUES // size)
            for first in range(0, len(known), at_once):
                some = known[first : first + at_once]
                for each, value in zip(some, _values(some, raw), strict=True):
                    sums[each.pair] = sums.get(each.pair, 0.0) + value
        for pair, total in sums.items():
            yield *pair, total


def _values(products, raw):
    """Values of products whose gates are of the same kind, times their coefficients."""
    functions = [raw.functions[each.key] for each in products]
    gates = [each.gate for each in products]
    if not _by_chain(gates[0]):  # the organization may have sent no more than the mean
        functions = [mean_of_chains(function)[None] for function in functions]
    # `kind` and `together` are for speed: a gate needs a partner and its values only
    of_gates = getattr(type(gates[0]), "together", _not_together)(gates, raw)
    if of_gates is None:
        pairs = zip(functions, gates, strict=True)
        values = np.stack([function * gate(raw) for function, gate in pairs])
    else:
        values = stacked(functions) * of_gates
    coefficients = np.array([each.coefficient for each in products])
    return coefficients[:, None, None] * mean_of_chains(np.swapaxes(values, 0, 1))


def _not_together(gates, raw):
    return None


def _by_chain(gate):
    """Whether a gate may have other values for another chain."""
    return getattr(gate, "by_chain", True)
