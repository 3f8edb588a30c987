"""What a request to predict asks for, and the reply to it, as fields of messages.

A reply has the fields `prediction`, the weighted sum, (n_samples, n_outputs), or without
coefficients single functions, (n_samples, n_numbers, n_outputs); `chains`, functions by
chain, (n_samples, n_numbers, n_chains, n_outputs); `means`, as of single functions; and
`above`, whether functions are above thresholds, as the bits of (n_thresholds, n_chains,
n_outputs) for each row.
"""

from dataclasses import replace

import numpy as np

from .._contract import Answer, Query, mean_of_chains
from ._refusals import RequestRefused
from ._session import array_of, finite


def needed(query, known):
    """Return a query without functions that have no model, and without a sum that is 0.

    Parameters
    ----------
    query : Query
        What is wanted.
    known : container of int
        Numbers of the functions that have a model.
    """
    numbers, coefficients = query.numbers, query.coefficients
    kept = [i for i, number in enumerate(numbers) if number in known]
    if coefficients is not None:
        if not any(coefficients[i] for i in kept):
            kept = []
        coefficients = [coefficients[i] for i in kept]
    return replace(
        query,
        numbers=[numbers[i] for i in kept],
        coefficients=coefficients,
        chains=[number for number in query.chains if number in known],
        means=[number for number in query.means if number in known],
        signs={key: each for key, each in query.signs.items() if each[0] in known},
    )


def fields_of(query):
    """Return a query as fields of a request."""
    fields = {"numbers": np.array(query.numbers, dtype=np.int64)}
    if query.numbers and query.coefficients is not None:
        fields["coefficients"] = np.array(query.coefficients, dtype=np.float64)
    signs = list(query.signs.values())
    for key, numbers in (
        ("chains", query.chains),
        ("means", query.means),
        ("signs", [number for number, _ in signs]),
    ):
        if numbers:
            fields[key] = np.array(numbers, dtype=np.int64)
    if signs:
        fields["thresholds"] = np.stack([thresholds for _, thresholds in signs])
    return fields


def query_of(numbers, coefficients=None, chains=(), means=(), signs=(), thresholds=()):
    """Return what the fields of a request ask for, as a `Query` with positions as keys."""
    if coefficients is not None and coefficients.shape != numbers.shape:
        raise RequestRefused("coefficients must have one value per number")
    if len(signs) != len(thresholds):
        raise RequestRefused("thresholds must have values for each number of signs")
    return Query(
        0,  # it is one participant
        numbers.tolist(),
        None if coefficients is None else coefficients.tolist(),
        [int(number) for number in chains],
        [int(number) for number in means],
        {i: (int(signs[i]), thresholds[i]) for i in range(len(signs))},
    )


def reply_of(query, total, single, functions):
    """Return what an organization predicts, as fields of the reply.

    Parameters
    ----------
    query : Query
        What was asked for.
    total : ndarray of shape (n_samples, n_outputs) or float
        The weighted sum.
    single : dict of int to ndarray of shape (n_samples, n_outputs) or float
        Single functions, in place of a sum.
    functions : dict of int to ndarray of shape (n_chains, n_samples, n_outputs)
        The functions of the query.

    Returns
    -------
    fields : dict of str to ndarray
        Values are NaN for a number without a model. A field is missing if none of its
        functions has a model.
    """
    by_chain = {n: np.moveaxis(each, 0, 1) for n, each in functions.items()}
    means = {n: mean_of_chains(functions[n]) for n in query.means if n in functions}
    fields = {
        "prediction": _stacked(single, query.numbers) if single else total,
        "chains": _stacked(by_chain, query.chains),
        "means": _stacked(means, query.means),
        "above": _bits(by_chain, query.signs.values()),
    }
    return {key: value for key, value in fields.items() if np.ndim(value)}


def _stacked(predictions, numbers):
    """Return predictions of functions along axis 1; None if there is no model at all."""
    known = {n: predictions[n] for n in numbers if np.ndim(predictions.get(n, 0.0))}
    if not known:
        return None
    none = np.full_like(next(iter(known.values())), np.nan)
    return np.stack([known.get(number, none) for number in numbers], axis=1)


def _bits(by_chain, signs):
    """Return whether functions are above thresholds, 8 values in a byte of a row."""
    known = next(iter(by_chain.values()), None)
    if known is None or not signs:
        return None
    bits = []
    for number, thresholds in signs:
        function = by_chain.get(number, np.full_like(known, np.nan))
        if function.shape[1:] != thresholds.shape:
            raise RequestRefused("thresholds must have one value per chain and output")
        bits.append((function > thresholds).reshape(len(function), -1))
    return np.packbits(np.concatenate(bits, axis=1), axis=1)


def answer_of(reply, query, present, n_chains, n_outputs):
    """Return what a reply answers to a query.

    Parameters
    ----------
    reply : dict
        Fields of the reply.
    query : Query
        What was asked for.
    present : ndarray of bool of shape (n_samples,)
        Which rows the organization has.
    n_chains, n_outputs : int
        Number of chains and outputs of a function.

    Returns
    -------
    answer : Answer
        Functions are contiguous arrays, as in one process: sums over chains depend on the
        order in memory to the last bit.

    Raises
    ------
    OrganizationError
        If an array has the wrong type or shape, or is not finite in rows that are present.
    """

    def values(key, *shape):
        if key not in reply:
            return None
        array = array_of(reply, key, np.float64, (len(present), *shape, n_outputs))
        finite(array[present])
        return array

    answer, one_by_one = Answer(0.0), query.coefficients is None
    total = values("prediction", *([len(query.numbers)] if one_by_one else []))
    if one_by_one:
        answer.functions |= _by_number(query.numbers, total)
    elif total is not None:
        answer.total = total
    answer.functions |= _by_number(query.means, values("means", len(query.means)))
    chains = values("chains", len(query.chains), n_chains)
    answer.functions |= _by_number(query.chains, chains)
    if query.signs and "above" in reply:
        shape = len(query.signs), n_chains, n_outputs
        size = -(-np.prod(shape) // 8)
        bits = array_of(reply, "above", np.uint8, (len(present), size))
        bits = np.unpackbits(bits, axis=1, count=np.prod(shape)).astype(bool)
        answer.above = _by_number(query.signs, bits.reshape(len(bits), *shape))
    return answer


def _by_number(keys, values):
    """Return values (n_samples, n_keys, ...) as a dict of (n_chains, n_samples, K)."""
    if values is None or not len(keys):
        return {}
    if values.ndim == 3:  # without an axis of chains
        values = values[:, :, None]
    return dict(zip(keys, np.ascontiguousarray(np.moveaxis(values, 0, 2)), strict=True))
