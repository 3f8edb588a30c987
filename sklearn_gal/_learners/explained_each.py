"""SHAP values of single functions, each of them apart."""

from functools import partial
from typing import Any

import numpy as np

from .boosted_models import is_booster, with_leaves
from .explained import Explanation, explain_sum
from .models import FoldRegressors, OutputRegressors, chains_of
from .summed import EachPrediction


def explain_each(models, bounds, view, background, learners, check, of_function):
    """SHAP values of the predictions of fitted models, which may be bounded.

    Parameters
    ----------
    models : list
        As of `EachPrediction`.
    bounds : list of callable or None
        What is applied to the predictions of each model; it takes values that can be
        broadcast to (n_chains, n_samples, n_outputs), and returns values of this shape.
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        Rows to explain.
    background : Background
        The background.
    learners, check : see `EachPrediction`
    of_function : callable
        Explains functions that no learner knows, `explain_function` for example.

    Returns
    -------
    explanation : Explanation
        With an output for each model, chain and output, in this order.
    """
    trees = [
        model if bound is None else bounded(model, bound)
        for model, bound in zip(models, bounds, strict=True)
    ]
    known = [j for j, tree in enumerate(trees) if tree is not None]
    others = [j for j, tree in enumerate(trees) if tree is None]
    parts = []
    if known:
        each = EachPrediction([trees[j] for j in known], learners, check)
        if each.sum is None:  # their numbers of outputs are unknown
            known, others = [], list(range(len(models)))
        else:
            parts.append((known, explain_sum(each.sum, view, background, of_function)))
    if others:
        each = EachPrediction([models[j] for j in others], learners, check)
        function = bounded_function(each, [bounds[j] for j in others])
        parts.append((others, of_function(function, view, background.view)))
    return _in_order(parts, len(models))


def apart(explanation, n_models, n_chains):
    """The arrays of such an explanation, (..., n_models, n_chains, n_outputs)."""
    parts = n_models, n_chains, -1
    return tuple(array.reshape(*array.shape[:-1], *parts) for array in explanation)


def _in_order(parts, n_models):
    """One explanation of all models, from those of some of them."""
    if len(parts) == 1:
        return parts[0][1]
    arrays: Any = []
    for of_part in zip(*(explanation for _, explanation in parts), strict=True):
        n_outputs = sum(each.shape[-1] for each in of_part) // n_models
        shape = of_part[0].shape[:-1]
        array = np.zeros((*shape, n_models, n_outputs))
        for (positions, _), values in zip(parts, of_part, strict=True):
            array[..., positions, :] = values.reshape(*shape, -1, n_outputs)
        arrays.append(array.reshape(*shape, -1))
    return Explanation(*arrays)


def bounded(model, bound):
    """A model that predicts bounded values; None unless it consists of single trees.

    Parameters
    ----------
    model : FoldRegressors, OutputRegressors or booster
        Fitted model.
    bound : callable
        As of `explain_each`.
    """
    chains: Any = []
    for c, chain in enumerate(chains_of(model)):
        several = type(chain) is OutputRegressors
        changed: Any = []
        for k, tree in enumerate(chain.estimators if several else [chain]):
            at_leaves = partial(_bound_at, bound, chain=c, output=k)
            changed.append(with_leaves(tree, at_leaves) if is_booster(tree) else None)
        if any(tree is None for tree in changed):
            return None
        chains.append(OutputRegressors(changed) if several else changed[0])
    return FoldRegressors(chains) if type(model) is FoldRegressors else chains[0]


def _bound_at(bound, leaves, chain, output):
    """Bounded values of the leaves of a chain and output."""
    return bound(leaves[None, :, None])[chain, :, output]


def bounded_function(each, bounds):
    """A function of a view for bounded predictions.

    Parameters
    ----------
    each : callable
        Predicts a view, (n_samples, n_models, n_chains, n_outputs).
    bounds : list of callable or None
        As of `explain_each`.

    Returns
    -------
    function : callable
        Predicts a view, (n_samples, n_models * n_chains * n_outputs).
    """

    def function(view):
        values = np.array(each(view))
        for j, bound in enumerate(bounds):
            if bound is not None:
                values[:, j] = np.swapaxes(bound(np.swapaxes(values[:, j], 0, 1)), 0, 1)
        return values.reshape(len(values), -1)

    return function
