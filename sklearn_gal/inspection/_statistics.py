"""Summary of cross-validated scores: means, differences and their intervals."""

from typing import NamedTuple

import numpy as np
from sklearn.base import is_classifier

from .._intervals import corrected_interval

# How the names of scikit-learn's scores begin
_AT_MOST_0 = ("neg_",)
_AT_MOST_1 = ("r2", "explained_variance", "d2_")
_FROM_0_TO_1 = (
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "f1",
    "jaccard",
    "precision",
    "recall",
    "roc_auc",
    "top_k_accuracy",
)
_FIELDS = ("score", "low", "high", "lost", "lost_low", "lost_high")


class Difference(NamedTuple):
    """Mean difference to the score of `model`, with its 95 % interval."""

    model: str
    mean: float
    low: float
    high: float


def range_of_score(model, scoring):
    """Return the least and the greatest value of a score; infinite if not known.

    Parameters
    ----------
    model : GALRegressor or GALClassifier
        The model that is scored.
    scoring : str, callable or None
        The score, as in `assistance_report`.
    """
    if scoring is None:
        return (0.0 if is_classifier(model) else -np.inf), 1.0
    name = scoring if isinstance(scoring, str) else ""
    if name.startswith(_AT_MOST_0):
        return -np.inf, 0.0
    if name.startswith(_AT_MOST_1):
        return -np.inf, 1.0
    return (0.0, 1.0) if name.startswith(_FROM_0_TO_1) else (-np.inf, np.inf)


def summary_table(scores, splits, range_of_score):
    """Compute the mean score of each model, and what it loses against the assisted model.

    Parameters
    ----------
    scores : dict of str to ndarray of shape (n_splits,)
        Scores of each model. "Assisted" is the model that the others are compared with.
    splits : list of tuples (train, test)
        Positions of the training and test rows of each split.
    range_of_score : tuple of float
        Least and greatest value of the score, at which the intervals of a score end. Those
        of differences do not.

    Returns
    -------
    table : pandas.DataFrame or structured ndarray
        One line per model. The names of the models are the index of the dataframe.
        Without pandas they are the field `model` of a structured array.
    """
    test_ratio = np.mean([len(test) / len(train) for train, test in splits])
    lines = []
    for label, values in scores.items():
        lost = scores["Assisted"] - values
        mean, *ends = corrected_interval(values, test_ratio)
        ends = np.clip(ends, *range_of_score)
        lines.append((label, mean, *ends, *corrected_interval(lost, test_ratio)))
    dtype = [("model", object), *((field, np.float64) for field in _FIELDS)]
    records = np.array(lines, dtype=dtype)
    try:
        import pandas as pd
    except ImportError:
        return records
    columns = {field: records[field] for field in _FIELDS}
    return pd.DataFrame(columns, index=list(records["model"]))


def iterate_lines(table):
    """Iterate over the lines of a `summary_table`, as (model, score, ..., lost_high)."""
    return table.itertuples() if hasattr(table, "itertuples") else table


def gain_over_best(table, labels):
    """Return the assisted model's mean score minus that of the best of some models.

    Parameters
    ----------
    table : pandas.DataFrame or structured ndarray
        A `summary_table`.
    labels : collection of str
        Models of which the one with the greatest mean score is compared.

    Returns
    -------
    difference : Difference or None
        Positive if the assisted model is better. None if the table has none of the models.
    """
    lines = [line for line in iterate_lines(table) if line[0] in labels]
    if not lines:
        return None
    label, *_, lost, low, high = max(lines, key=lambda line: line[1])
    return Difference(label, float(lost), float(low), float(high))
