"""Whether an estimator can have been meant for its organization."""

import re
from inspect import signature
from numbers import Integral

import numpy as np
from lightgbm import LGBMModel
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from .._learners import LIGHTGBM_NAMES, did_you_mean, is_known_to_lightgbm

# Parameters that have one entry per column, and parameters that list positions of columns
PER_COLUMN = (
    "feature_contri",
    "feature_contrib",
    "fc",
    "fp",
    "feature_penalty",
    "mc",
    "monotone_constraint",
    "monotone_constraints",
    "monotonic_cst",
)
POSITIONS = (
    "cat_column",
    "cat_feature",
    "categorical_column",
    "categorical_feature",
    "categorical_features",
    "interaction_constraints",
    "interaction_cst",
)


def takes_a_table(estimator):
    """Whether an estimator takes a table; else it takes a single column, e.g. of text.

    The first step of a pipeline decides. Tags tell it.
    """
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return not steps or takes_a_table(steps[0])
    parts = [getattr(estimator, name, None) for name in ("estimator", "regressor")]
    if isinstance(estimator, FeatureUnion):
        parts = [part for _, part in estimator.transformer_list]
    elif isinstance(estimator, (StackingRegressor, VotingRegressor)):
        parts = [part for _, part in estimator.estimators]
    parts = [part for part in parts if hasattr(part, "fit") and not isinstance(part, type)]
    if parts:
        return all(takes_a_table(part) for part in parts)
    tags = get_tags(estimator).input_tags
    return tags.two_d_array or tags.three_d_array


def check_suits(name, estimator, n_columns):
    """Check that an estimator can have been meant for an organization.

    Parameters
    ----------
    name : str
        Name of the organization.
    estimator : estimator
        Its estimator.
    n_columns : int
        Number of its columns.

    Raises
    ------
    ValueError
        If the estimator takes a single column and there are several, if a parameter has
        entries for other columns, or if LightGBM does not have a parameter.
    """
    _check_names(name, estimator)
    if n_columns > 1 and not takes_a_table(estimator):
        raise ValueError(
            f"Organization {name!r} has {n_columns} columns, but the first step of its "
            "estimator takes a single one, such as a column of text. Select one column, or "
            "give each step its column with ColumnTransformer."
        )
    for model in _receivers(estimator):
        for parameter, value in model.get_params(deep=False).items():
            wrong = None
            if parameter in PER_COLUMN:
                wrong = _wrong_number(value, n_columns)
            elif parameter in POSITIONS:
                wrong = _wrong_position(value, n_columns)
            if wrong:
                raise ValueError(
                    f"Organization {name!r} has {n_columns} columns, but {parameter}="
                    f"{value!r} of its {type(model).__name__} {wrong}. It is about the "
                    "columns of this organization only, in the order in which they are "
                    "listed."
                )


def _check_names(name, estimator):
    """Refuse misspelt parameters of LightGBM, which would ignore them."""
    for model in [estimator, *estimator.get_params(deep=True).values()]:
        if not isinstance(model, LGBMModel):
            continue
        own = signature(type(model)).parameters.keys() | LGBMModel().get_params().keys()
        for parameter in model.get_params(deep=False).keys() - own:
            if is_known_to_lightgbm(parameter):
                continue
            hint = did_you_mean(parameter, sorted(LIGHTGBM_NAMES | own))
            raise ValueError(
                f"The {type(model).__name__} of organization {name!r} has the parameter "
                f"{parameter!r}, which LightGBM does not know. {hint}Correct or remove it."
            )


def _receivers(estimator):
    """The models in an estimator that receive all columns as they are."""
    if isinstance(estimator, Pipeline):
        *before, (_, last) = estimator.steps
        if all(step in (None, "passthrough") for _, step in before):
            yield from _receivers(last)
    elif isinstance(estimator, (MultiOutputRegressor, TransformedTargetRegressor)):
        inner = [getattr(estimator, name, None) for name in ("estimator", "regressor")]
        for each in filter(None, inner):
            yield from _receivers(each)
    elif isinstance(estimator, (StackingRegressor, VotingRegressor)):
        for _, each in estimator.estimators:
            yield from _receivers(each)
    elif hasattr(estimator, "get_params") and not isinstance(estimator, type):
        yield estimator


def _wrong_number(value, n_columns):
    """What is wrong with a parameter that has one entry per column."""
    if isinstance(value, str):
        value = re.findall(r"[^\s,()\[\]]+", value)
    listed = hasattr(value, "__len__") and not isinstance(value, dict)
    if not listed or len(value) == 0:
        return None
    return (
        None
        if len(value) == n_columns
        else f"needs {n_columns} entries, but has {len(value)}"
    )


def _wrong_position(value, n_columns):
    """What is wrong with a parameter that lists positions of columns, or a mask of them."""
    if isinstance(value, str):
        value = [int(each) for each in re.findall(r"(?<![\w-])\d+(?!\w)", value)]
    entries = list(_entries(value))
    if entries and all(isinstance(entry, (bool, np.bool_)) for entry in entries):
        return _wrong_number(entries, n_columns)
    for entry in entries:
        if isinstance(entry, Integral) and not 0 <= int(entry) < n_columns:
            return f"lists column {entry}"
    return None


def _entries(value):
    """The entries of nested lists, sets or arrays."""
    if isinstance(value, (str, dict)) or not hasattr(value, "__iter__"):
        yield value
        return
    for each in value:
        yield from _entries(each)
