"""SHAP values of what an organization has fitted.

A game has the columns of the view as players. The value of a set of columns is what a
function predicts if only these columns are known: `Learner.explain` of a tree follows both
branches of a split on another column, in proportion to the training rows, and all other
functions are averaged over background rows that provide the other columns.
"""

from copy import copy
from math import factorial
from typing import Any, NamedTuple

import numpy as np

from .composites import mixed, n_columns_of, rows_of

# Up to this number of columns, all their subsets are evaluated.
MAX_ENUMERATED = 6
# With more columns, this number of random orders and their reverses are, each with some of
# the background rows.
N_ORDERS = 10
# Composite rows are predicted in blocks of at most this number of values.
MAX_BLOCK_VALUES = 2**23


class Explanation(NamedTuple):
    """SHAP values of the outputs of a function.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns, n_outputs)
        SHAP values. With `base`, they sum to the predictions.
    base : ndarray of shape (n_outputs,)
        Value of the empty set of columns.
    errors : ndarray of shape (n_samples, n_columns, n_outputs)
        Standard errors of `values`; 0 where they are exact.
    """

    values: np.ndarray
    base: np.ndarray
    errors: np.ndarray

    @classmethod
    def exact(cls, values, base):
        """An explanation without errors."""
        return cls(values, base, np.broadcast_to(0.0, values.shape))


class Background(NamedTuple):
    """What takes the place of columns that are not known.

    Parameters
    ----------
    view : array-like, sparse matrix or dataframe of shape (n_rows, n_columns)
        Rows that provide the columns.
    for_trees : bool
        Whether trees are averaged over these rows as well.
    """

    view: Any
    for_trees: bool = False


def explain_sum(total, view, background, of_function):
    """SHAP values of a weighted sum of fitted models.

    Parameters
    ----------
    total : WeightedSum
        The sum.
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        Rows to explain.
    background : Background
        The background.
    of_function : callable
        Explains the models that no learner knows, `explain_function` for example.

    Returns
    -------
    explanation : Explanation
        SHAP values of the outputs of the sum.
    """
    explained, rest = explain_terms(total, view, background)
    if rest:
        others = copy(total)
        others.terms = rest
        explained.append(of_function(others, view, background.view))
    return add_explanations(explained)


def explain_terms(total, view, background):
    """Explain the models of a sum that its learners know.

    Returns
    -------
    explained : list of Explanation
        Of all outputs of the sum, for each model that is explained.
    rest : list of Term
        The other models.
    """
    explained, rest = [], []
    for term in total.terms:
        known = _explain(term.model, view, background, total.learners)
        if known is None:
            rest.append(term)
            continue
        values, base, errors = known
        explained.append(
            Explanation(
                total.in_outputs(term, values),
                total.in_outputs(term, base),
                np.abs(total.in_outputs(term, errors)),
            )
        )
    return explained, rest


def _explain(model, view, background, learners):
    """SHAP values by the first learner that knows a model; None if none does."""
    for learner in learners:
        explanation = learner.explain(model, view, background)
        if explanation is not None:
            return explanation
    return None


def add_explanations(explained):
    """The explanation of a sum of functions, of which there is at least one."""
    first, *others = explained
    for each in others:
        first = Explanation(*(a + b for a, b in zip(first, each, strict=True)))
    return first


def explain_function(function, view, background):
    """SHAP values of any function, by its values for composite rows.

    Parameters
    ----------
    function : callable
        Returns predictions (n_samples, n_outputs) for the rows of a view.
    view, background : array-like, sparse matrix or dataframe
        Rows to explain, and rows that provide the columns that are not known.

    Returns
    -------
    explanation : Explanation
        Exact for up to `MAX_ENUMERATED` columns; else estimated from random orders of the
        columns. They sum to the predictions in both cases.
    """
    n_columns, whole = n_columns_of(view), function(view)
    at_background = function(background)
    base = at_background.mean(axis=0)
    if n_columns == 1:
        return Explanation.exact((whole - base)[:, None], base)
    estimate = _by_subsets if n_columns <= MAX_ENUMERATED else _by_orders
    size = max(1, MAX_BLOCK_VALUES // (background.shape[0] * whole.shape[1]))
    n_blocks = -(-view.shape[0] // size)
    blocks = [
        estimate(function, rows_of(view, rows), whole[rows], background, at_background)
        for rows in np.array_split(np.arange(view.shape[0]), n_blocks)
    ]
    values, errors = (np.concatenate(each) for each in zip(*blocks, strict=True))
    return Explanation(values, base, errors)


def expect_function(function, view, background):
    """The base values of `explain_function` alone; the other values are 0."""
    base = function(background).mean(axis=0)
    shape = view.shape[0], n_columns_of(view), len(base)
    return Explanation.exact(np.zeros(shape), base)


def _by_subsets(function, view, whole, background, at_background):
    """SHAP values from the values of all sets of columns, and errors of 0."""
    n_columns = n_columns_of(view)
    values = np.zeros((view.shape[0], n_columns, whole.shape[1]))
    for number in range(2**n_columns):
        mask = (number >> np.arange(n_columns)) % 2 == 1
        if mask.all():
            of_set = whole
        elif not mask.any():
            of_set = at_background.mean(axis=0)
        else:
            of_set = _mean_over(function, view, background, mask)
        size = np.count_nonzero(mask)
        for column in range(n_columns):
            n_others = size - mask[column]  # in the set, without the column
            weight = factorial(n_others) * factorial(n_columns - n_others - 1)
            share = weight / factorial(n_columns)
            values[:, column] += (share if mask[column] else -share) * of_set
    return values, np.broadcast_to(0.0, values.shape)


def _by_orders(function, view, whole, background, at_background):
    """SHAP values from random orders of the columns, and their standard errors."""
    n_columns, n_background = n_columns_of(view), background.shape[0]
    rng = np.random.default_rng(0)
    parts = [np.arange(n_background)] * N_ORDERS
    if n_background >= N_ORDERS:
        parts = np.array_split(rng.permutation(n_background), N_ORDERS)
    shares = np.array([len(part) for part in parts]) / sum(map(len, parts))
    of_order = np.zeros((N_ORDERS, len(whole), n_columns, whole.shape[1]))
    for part, values in zip(parts, of_order, strict=True):
        rows, start = rows_of(background, part), at_background[part].mean(axis=0)
        order = rng.permutation(n_columns)
        for each in (order, order[::-1]):
            mask, before = np.zeros(n_columns, dtype=bool), start
            for column in each:
                mask[column] = True
                after = whole if mask.all() else _mean_over(function, view, rows, mask)
                values[:, column] += 0.5 * (after - before)
                before = after
    values = np.tensordot(shares, of_order, 1)
    variance = np.tensordot(shares, (of_order - values) ** 2, 1) / (N_ORDERS - 1)
    return values, np.sqrt(variance)


def _mean_over(function, view, background, mask):
    """What a function predicts with some columns, a mean over the background rows."""
    n_samples, n_background = view.shape[0], background.shape[0]
    repeated = rows_of(view, np.repeat(np.arange(n_samples), n_background))
    others = rows_of(background, np.tile(np.arange(n_background), n_samples))
    values = function(mixed(repeated, others, mask))
    return values.reshape(n_samples, n_background, -1).mean(axis=1)
