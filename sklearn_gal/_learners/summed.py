"""Many fitted models summed in one pass: linear models and boosters merge into one."""

from collections import defaultdict
from typing import Any

import joblib
import numpy as np
from lightgbm import Booster, LGBMRegressor
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    QuantileRegressor,
    Ridge,
    RidgeCV,
    SGDRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVR

from .base import FoldRegressors, OutputRegressors, as_outputs, read
from .models import WrittenBooster
from .pipeline import recurs

# Their prediction is X @ coef_ + intercept_.
LINEAR = {
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LinearSVR,
    QuantileRegressor,
    Ridge,
    RidgeCV,
    SGDRegressor,
}
# Objectives of LightGBM whose prediction is the sum over trees
IDENTITY = {"fair", "huber", "mape", "quantile", "regression", "regression_l1"}


def weighted_sum(models, coefficients, check):
    """A function for the sum of `coefficients` times the predictions of fitted `models`.

    Parameters
    ----------
    models : list
        Fitted local models of one organization.
    coefficients : list of float
        One per model.
    check : callable
        Called with a prediction and its expected shape; returns the prediction.
    """
    pairs = zip(models, coefficients, strict=True)
    return WeightedSum([term for pair in pairs for term in _terms(*pair)], check)


class WeightedSum:
    """The weighted sum of the predictions of fitted estimators.

    Linear models are merged into one, the trees of all boosters into one booster per
    output, pipelines with the same fitted transformers into one pipeline; the others are
    asked one by one.

    Parameters
    ----------
    terms : list of tuples (output, estimator, coefficient)
        Output None: all of them.
    check : callable
        As of `weighted_sum`.
    n_outputs : int, default=None
        Number of outputs, if the terms may be of some of them only.
    """

    def __init__(self, terms, check, n_outputs=None):
        outputs = [output for output, _, _ in terms if output is not None]
        self._n_outputs: Any = n_outputs or (max(outputs) + 1 if outputs else None)
        self._check = check
        self._parts = []
        linear, boosted, piped = [], defaultdict(list), defaultdict(list)
        known: dict = {}
        for output, each, share in terms:
            if output is None and type(each) in LINEAR:
                linear.append((each, share))
            elif _is_booster(each):
                boosted[output].append((each, share))
            elif type(each) is Pipeline and all(recurs(s) for _, s in each.steps[:-1]):
                piped[_transformers_of(each, known)].append((output, each, share))
            else:
                self._parts.append((output, each.predict, share))
        if linear:
            self._parts.append((None, _merged_linear(linear).predict, 1.0))
        for output, pairs in boosted.items():
            self._parts += [(output, part, 1.0) for part in _merged_boosters(pairs)]
        for group in piped.values():
            merged = _merged_pipelines(group, check, self._n_outputs)
            self._parts.append((None, merged, 1.0))

    def __call__(self, view):
        """The sum, (n_samples, n_outputs), for the rows of a view."""
        n_samples = view.shape[0]
        total: Any = 0.0
        for output, predict, share in self._parts:
            prediction = as_outputs(predict(view))
            self._check(prediction, (n_samples, *prediction.shape[1:]))
            if output is None:
                total = total + share * prediction
                continue
            if np.ndim(total) == 0:
                total = np.zeros((n_samples, self._n_outputs))
            total[:, output] += share * prediction[:, 0]
        return total


def _terms(model, coefficient, output=None):
    """Output (None: all), estimator and coefficient of all that a model is made of."""
    if type(model) is FoldRegressors:
        share = coefficient / len(model.estimators)
        for each in model.estimators:
            yield from _terms(each, share, output)
    elif type(model) is OutputRegressors:
        for k, each in enumerate(model.estimators):
            yield k, each, coefficient
    else:
        yield output, model, coefficient


def _merged_linear(terms):
    """A linear model whose prediction is the sum of the terms."""
    model, _ = terms[0]
    merged = Ridge()
    merged.coef_ = sum(share * np.atleast_2d(each.coef_) for each, share in terms)
    merged.intercept_ = sum(share * np.ravel(each.intercept_) for each, share in terms)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(model, name):
            setattr(merged, name, getattr(model, name))
    return merged


def _transformers_of(pipeline, known):
    """What tells whether pipelines transform alike, wherever their parts are in memory.

    A continued fit has fitted the same transformers again, and shall predict the same.
    """
    steps = [step for _, step in pipeline.steps[:-1]]
    identity = tuple(map(id, steps))
    if identity not in known:
        known[identity] = joblib.hash(steps)
    return known[identity]


def _merged_pipelines(terms, check, n_outputs):
    """A function for the sum of pipelines that share their transformers."""
    steps = terms[0][1].steps[:-1]
    last = [(output, each.steps[-1][1], share) for output, each, share in terms]
    total = WeightedSum(last, check, n_outputs)

    def predict(view):
        for _, step in steps:
            if step not in (None, "passthrough"):
                view = step.transform(view)
        return total(view)

    return predict


def _is_booster(model):
    if type(model) is LGBMRegressor:
        return model.booster_.best_iteration <= 0
    return isinstance(model, WrittenBooster)


def _booster_of(model):
    """What has the trees as text, and the parameters of training."""
    return model if isinstance(model, WrittenBooster) else model.booster_


def _is_sum_of_trees(head):
    """Whether predictions are the sum over trees, neither averaged nor transformed."""
    objective, *options = _line(head, "objective").split() or [""]
    averaged = "average_output" in head.split("\n")
    return objective in IDENTITY and "sqrt" not in options and not averaged


def _merged_boosters(terms):
    """Functions whose predictions add up to the sum of the terms; one, if they can."""
    texts = [_booster_of(model).model_to_string() for model, _ in terms]
    heads = {_head(text) for text in texts}
    categories = {text.rpartition("\npandas_categorical:")[2] for text in texts}
    head = heads.pop()
    mergeable = not heads and len(categories) == 1 and _is_sum_of_trees(head)
    if not mergeable or any("\nis_linear=1" in text for text in texts):
        return [_scaled(read(model).predict, share) for model, share in terms]
    trees = [
        tree
        for text, (_, share) in zip(texts, terms, strict=True)
        for tree in _scaled_trees(text, share)
    ]
    numbered = [f"Tree={number}\n{tree}" for number, tree in enumerate(trees)]
    end = f"end of trees\n\npandas_categorical:{categories.pop()}"
    head += "\nfeature_infos=" + _line(texts[0], "feature_infos")  # of no meaning here
    booster = Booster(model_str="\n\n".join([head, *numbered, end]))
    n_threads = _booster_of(terms[0][0]).params.get("num_threads", 1)
    return [lambda view: booster.predict(_readable(view), num_threads=n_threads)]


def _head(text):
    """What the text of a booster says before its trees, but for facts about the rows."""
    head = text.partition("\n\nTree=")[0].split("\n")
    about_rows = ("feature_infos=", "tree_sizes=")
    return "\n".join(line for line in head if not line.startswith(about_rows))


def _line(text, name):
    return text.partition(f"\n{name}=")[2].partition("\n")[0]


def _scaled_trees(text, share):
    """The trees of a booster as text, their leaves multiplied by `share`."""
    trees = text.partition("\n\nTree=")[2].partition("\nend of trees")[0]
    for tree in trees.split("\nTree="):
        before, mark, after = tree.partition("\n")[2].partition("\nleaf_value=")
        leaves, end, after = after.partition("\n")
        scaled = " ".join(repr(float(share) * float(leaf)) for leaf in leaves.split())
        yield (before + mark + scaled + end + after).rstrip("\n")


def _scaled(predict, share):
    return lambda view: share * predict(view)


def _readable(view):
    """What LightGBM reads of an array of objects as its scikit-learn interface does."""
    if isinstance(view, np.ndarray) and view.dtype.kind == "O":
        return view.astype(np.float64)
    return view
