"""What requests to explain ask for, and the replies to them, as fields of messages.

Functions are given by the numbers of requests. `bounds` has a code per function, and
`bound_values` the values, (n_functions, n_chains, n_outputs). `entries` are a JSON list of
the names as bytes, and `sums` whether each one is a sum over columns.
"""

import json
from typing import Any

import numpy as np

from .._contract import Bound, Entry, Explained, Query
from ._predictions import fields_of, needed
from ._refusals import RequestRefused
from ._session import MissingRows, OrganizationError, array_of, finite

_UNBOUNDED, _THRESHOLD, _SCALE = range(3)
# The names of entries that a label holder reads have at most this number of characters.
_MAX_NAME = 200


def fields_of_functions(functions):
    """Return functions, tuples of a number and a `Bound`, as fields of a request."""
    numbers = np.array([number for number, _ in functions], dtype=np.int64)
    bounds = [bound for _, bound in functions]
    given = [_values_of(bound) for bound in bounds if bound is not None]
    if not given:
        return {"functions": numbers}
    values = np.zeros((len(bounds), *given[0].shape))
    codes = np.full(len(bounds), _UNBOUNDED, dtype=np.uint8)
    for j, bound in enumerate(bounds):
        if bound is not None:
            codes[j] = _SCALE if bound.threshold is None else _THRESHOLD
            values[j] = _values_of(bound)
    return {"functions": numbers, "bounds": codes, "bound_values": values}


def _values_of(bound):
    values = bound.scale if bound.threshold is None else bound.threshold
    return values[:, 0]


def functions_of(numbers, bounds=None, bound_values=None):
    """Return the functions of a request, tuples of a number and a `Bound` or None."""
    if bounds is None:
        bounds, bound_values = np.full(len(numbers), _UNBOUNDED), [None] * len(numbers)
    lengths = {len(numbers), len(bounds), -1 if bound_values is None else len(bound_values)}
    if len(lengths) > 1 or bounds.max(initial=0) > _SCALE:
        raise RequestRefused("bounds must have a code and values for each function")
    functions = []
    for number, code, values in zip(numbers.tolist(), bounds, bound_values, strict=True):
        bound = None
        if code == _THRESHOLD:
            bound = Bound(threshold=values[:, None])
        elif code == _SCALE:
            bound = Bound(scale=values[:, None])
        functions.append((number, bound))
    return functions


def reply_of_explained(explained):
    """Return what entries contribute as fields of the reply; errors only if there are."""
    names = json.dumps([entry.name for entry in explained.entries]).encode()
    fields = {
        "entries": np.frombuffer(names, dtype=np.uint8),
        "sums": np.array([entry.is_sum for entry in explained.entries], dtype=bool),
        "values": explained.values,
        "base": explained.base,
    }
    return fields | ({"errors": explained.errors} if explained.errors.any() else {})


def explained_of(reply, n_samples, n_outputs):
    """Return the contributions in a reply.

    Raises
    ------
    OrganizationError
        If an array has the wrong type or shape, or is not finite, or if the entries have no
        names.
    """
    sums = reply.get("sums")
    if not isinstance(sums, np.ndarray) or sums.dtype != np.bool_ or sums.ndim != 1:
        raise OrganizationError("a reply of the wrong shape")
    names = _names(reply.get("entries"), len(sums))
    shape = n_samples, len(sums), n_outputs
    values = finite(array_of(reply, "values", np.float64, shape))
    base = finite(array_of(reply, "base", np.float64, shape[::2]))
    errors = np.zeros(shape)
    if "errors" in reply:
        errors = finite(array_of(reply, "errors", np.float64, shape))
    return Explained(values, base, errors, list(map(Entry, names, sums.tolist())))


def _names(encoded, n_entries):
    """Return the names of entries, as text that can be printed."""
    try:
        names = json.loads(bytes(encoded))
    except (TypeError, ValueError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise OrganizationError("a reply without names of entries")
    names = ["".join(filter(str.isprintable, name))[:_MAX_NAME] for name in names]
    if len(names) != n_entries or len(set(names)) < n_entries:
        raise OrganizationError("a reply with other names of entries than values")
    return names


class ExplainsElsewhere:
    """The calls about explanations to an organization on another host.

    A mixin of `RemoteOrganization`.
    """

    is_here = False
    name: str
    columns: np.ndarray
    session: Any
    policy: Any
    abstains: bool
    n_chains: dict
    n_outputs: Any
    reason: str
    entries: list
    warn: Any
    _attempt: Any
    _check_present: Any
    _has_none_of: Any

    def expect(self, functions, background):
        """Return what functions predict without any column, as `LocalOrganization` does.

        Raises
        ------
        OrganizationError
            If it does not answer: its functions have been asked for already.
        """
        fields = self._fields_of_background(background) | fields_of_functions(functions)

        def check(reply):
            self._check_background(reply, fields["background"])
            n_chains = max(self.n_chains[number] for number, _ in functions)
            shape = len(functions), n_chains, self.n_outputs
            return finite(array_of(reply, "expected", np.float64, shape))

        return self._explaining("expect", check, fields, needs_answer=True)

    def explain(self, X, background, sums, functions, factors):
        """Return what its entries contribute, as `LocalOrganization` does for columns.

        0 with a warning if it does not answer and `on_failure` is ``"continue"``.

        Raises
        ------
        OrganizationError
            If it does not answer, but has done so for the other parts of its products.
        """
        n_samples, n_outputs = factors.shape[2:]
        shape = n_samples, len(self.entries), n_outputs
        nothing = Explained(
            np.zeros(shape), np.zeros(shape[::2]), np.zeros(shape), self.entries
        )
        query = needed(Query(0, list(sums[0]), list(sums[1])), self.n_chains)
        known = [j for j, (number, _) in enumerate(functions) if number in self.n_chains]
        if self._has_none_of(X) or not (query.numbers or known):
            return nothing
        row_ids = self.session.keys(X, self.columns[0])
        fields = self._fields_of_background(background) | fields_of(query)
        fields |= fields_of_functions([functions[j] for j in known])
        fields |= {"row_ids": row_ids, "factors": factors[known]}

        def check(reply):
            self._check_present(array_of(reply, "present", np.bool_, (n_samples,)))
            self._check_background(reply, fields["background"])
            return explained_of(reply, n_samples, n_outputs)

        explained = self._explaining("explain", check, fields, needs_answer=bool(known))
        if explained is None:
            self.warn("continuing")
            return nothing
        self.entries = explained.entries
        return explained

    def _fields_of_background(self, background):
        table, for_trees = background
        return {
            "background": self.session.keys(table, self.columns[0]),
            "for_trees": for_trees,
            "abstain": self.abstains,
        }

    def _check_background(self, reply, background):
        """Refuse background rows that it does not have, unless it may abstain."""
        key, shape = "background_present", (len(background),)
        present = array_of(reply, key, np.bool_, shape)
        if not (present.any() if self.abstains else present.all()):
            missing = np.flatnonzero(~present)
            raise MissingRows(
                f"Organization {self.name!r} does not have {len(missing)} of the "
                f"{len(present)} background rows, the first at position {missing[0]}. Pass "
                "a `background` of rows that all organizations have, which "
                "Federation.overlap(ids) tells."
            )

    def _explaining(self, call, check, fields, needs_answer):
        """Return what it answers to a call; None if the others go on without it."""

        def ask():
            deadline = self.policy.deadline
            return self.session.call(self.name, call, deadline, check, **fields)

        result = self._attempt(ask)
        if result is None and needs_answer:
            raise OrganizationError(
                f"Organization {self.name!r} {self.reason}, after it had answered a part "
                "of this explanation. Explain the rows again."
            )
        return result
