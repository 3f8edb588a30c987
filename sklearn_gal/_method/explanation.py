"""What each column of each participant contributes to a raw prediction."""

from dataclasses import dataclass

import numpy as np

from .gates import StumpGate


@dataclass
class Shares:
    """Contributions of the columns of the participants.

    The raw prediction is a game with coalition structure, whose unions are the
    organizations. The value of a set of columns is the sum over the terms of what their
    functions predict if these columns are known; a product is that of both factors. The
    contributions are the Owen values of this game: SHAP values of each function, those of a
    factor of a product multiplied by the mean of the other factor and its value without
    any column.

    Parameters
    ----------
    values, errors : list of ndarray of shape (n_samples, n_columns, n_outputs)
        Contributions of the columns of each participant, and their standard errors.
    base : ndarray of shape (n_samples, n_outputs)
        Raw prediction without any column, by the pattern of each row.
    entries : list of dict
        What the values of each participant are of, with their positions: its columns, by
        number, or `Entry`.
    """

    values: list
    errors: list
    base: np.ndarray
    entries: list

    @classmethod
    def none(cls, n_participants, base):
        """Return shares without any column."""
        empty = [np.zeros((len(base), 0, base.shape[1]))] * n_participants
        return cls(empty, list(empty), base, [{} for _ in empty])

    def add(self, participant, rows, explained):
        """Add what a participant contributes in some rows."""
        entries = explained.entries
        if entries is None:
            entries = range(explained.values.shape[1])
        positions = self.entries[participant]
        n_before = len(positions)
        for entry in entries:
            positions.setdefault(entry, len(positions))
        for arrays in (self.values, self.errors):
            before = arrays[participant]
            shape = len(before), len(positions) - n_before, before.shape[2]
            if shape[1]:
                arrays[participant] = np.concatenate([before, np.zeros(shape)], axis=1)
        self.base[rows] += explained.base
        for j, entry in enumerate(entries):
            position = positions[entry]
            self.values[participant][rows, position] += explained.values[:, j]
            self.errors[participant][rows, position] += explained.errors[:, j]


def explain(model, X, background, n_jobs=None):
    """Return the contributions of all columns to the raw predictions of a table.

    Parameters
    ----------
    model : AdditiveModel
        The fitted model.
    X : table
        Rows to explain.
    background : tuple (table, bool)
        Rows that provide the columns that are not known, and whether to trees as well.
    n_jobs : int, default=None
        Number of participants that explain in parallel.

    Returns
    -------
    shares : Shares
        The contributions.
    """
    expected: dict = {}  # the same in all rows
    base = np.tile(model.baseline, (X.shape[0], 1))
    shares = Shares.none(len(model.participants), base)
    for rows, part, (queries, products) in model.parts(X):
        factors = Factors(model, part, products, background, expected, n_jobs)
        shares.base[rows] += factors.base
        explained = model.participants.explain(
            part.X, background, queries, factors.of_participants(), n_jobs
        )
        for participant, each in enumerate(explained):
            shares.add(participant, rows, each)
        for participant, column, values in factors.stumps:
            shares.values[participant][rows, column] += values
    return shares


class Factors:
    """What multiplies each function of the products in the rows of a pattern.

    Parameters
    ----------
    model : AdditiveModel
        The fitted model.
    rows : Rows
        Rows of a pattern.
    products : list of tuple (Candidate, float)
        The products of the pattern, with their coefficients.
    background, n_jobs : see `explain`
    expected : dict
        Values of functions and gates without any column known, which is filled.

    Attributes
    ----------
    stumps : list of tuple (int, int, ndarray)
        Participant, column, and contributions (n_samples, n_outputs) of the stumps.
    base : ndarray of shape (n_samples, n_outputs)
        Sum of the products without any column known.
    """

    def __init__(self, model, rows, products, background, expected, n_jobs):
        self._names = model.participants.participant_names
        self._of_participant: list = [([], []) for _ in self._names]
        self.stumps: list = []
        self.base = np.zeros((len(rows), len(model.baseline)))
        self._raw = model.start(rows)
        candidates = [each for each, _ in products]
        self._raw.functions = model.functions_of(rows.X, candidates, n_jobs)
        products = [each for each in products if self._is_known(each[0])]
        self._expect(model.participants, products, background, expected, n_jobs)
        for each, coefficient in products:
            self._add(each, coefficient, expected)

    def of_participants(self):
        """Return the functions of each participant and their factors, a list of tuples.

        A function is a tuple (number, bound). The shape of the factors is (n_functions,
        n_chains, n_samples, n_outputs).
        """
        none = np.zeros((0, 1, *self.base.shape))
        return [
            (functions, np.array(factors) if factors else none)
            for functions, factors in self._of_participant
        ]

    def _is_known(self, candidate):
        """Whether both factors of a product have a model for these rows."""
        gate = candidate.gate
        known = getattr(gate, "is_known", lambda raw: gate.partner in self._names)
        name = self._names[candidate.participant]
        return (name, candidate.number) in self._raw.functions and known(self._raw)

    def _expect(self, participants, products, background, expected, n_jobs):
        """Add the values of functions and gates without any column known to `expected`.

        The shape of a value is (n_chains, n_outputs), as far as it is not the same for all.
        """
        wanted: dict = {}
        for each, _ in products:
            gate, partner = each.gate, each.partner(self._names)
            wanted[each.participant, each.number, None] = None
            if not isinstance(gate, StumpGate):
                wanted[partner, gate.number, id(gate)] = gate.bound
            elif (partner, None, id(gate)) not in expected:
                mean = self._mean_of(gate, participants, background)
                expected[partner, None, id(gate)] = np.array([[mean]])
        wanted = {key: bound for key, bound in wanted.items() if key not in expected}
        asked: list = [[] for _ in self._names]
        for (participant, number, _), bound in wanted.items():
            asked[participant].append((number, bound))
        answers = participants.expect(asked, background, n_jobs)
        keys = sorted(wanted, key=lambda key: key[0])  # stable: in the order of asking
        values = [value for answer in answers for value in answer]
        expected.update(zip(keys, values, strict=True))

    @staticmethod
    def _mean_of(gate, participants, background):
        """Return the mean of a stump, which is a tree."""
        table, for_trees = background
        if not for_trees:
            return gate.mean
        return gate.of(participants.holder_column(table, gate.column)).mean()

    def _add(self, each, coefficient, expected):
        """Add a product."""
        raw, partner, gate = self._raw, each.partner(self._names), each.gate
        own = self._names[each.participant]
        function = raw.functions[own, each.number]
        values = np.broadcast_to(gate(raw), function.shape)
        share = coefficient / len(function)
        here = raw.present(own)[:, None]
        there = raw.present(gate.partner)[:, None]
        function_0 = expected[each.participant, each.number, None][:, None] * here
        gate_0 = expected[partner, getattr(gate, "number", None), id(gate)][:, None] * there
        self.base += share * (function_0 * gate_0).sum(axis=0)
        functions, factors = self._of_participant[each.participant]
        functions.append((each.number, None))
        factors.append(0.5 * share * (values + gate_0))
        factor = 0.5 * share * (function + function_0)
        if isinstance(gate, StumpGate):
            contribution = (factor * (values - gate_0)).sum(axis=0)
            self.stumps.append((partner, gate.column, contribution))
        else:
            functions, factors = self._of_participant[partner]
            functions.append((gate.number, gate.bound))
            factors.append(factor)
