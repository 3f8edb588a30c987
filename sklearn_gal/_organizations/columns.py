"""The columns of each organization, from the user's list to local organizations."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_clusterer, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags

from .._learners import default_learner, did_you_mean
from .faults import kind, raise_together
from .local import SOLE_ORGANIZATION, LocalOrganization
from .shared_model import SharingOrganization

# Number of columns that an error lists
N_LISTED = 30


def make_organizations(
    X, n_organizations=8, estimator=None, *, random_state=None
) -> list[tuple[str, Any, list]]:
    """Distribute the columns of X among organizations at random, for simulations.

    The columns are permuted and split into parts of nearly equal size, as in the
    experiments of Diao, Ding and Tarokh (NeurIPS 2022).

    Parameters
    ----------
    X : array-like, sparse matrix or dataframe of shape (n_samples, n_features)
        Data whose columns are distributed.
    n_organizations : int, default=8
        Number of organizations M.
    estimator : estimator, list of estimators or None, default=None
        Local estimator of all organizations, or a list of estimators that are assigned to
        the organizations in cyclic order. None selects :func:`default_learner`.
    random_state : int, RandomState instance or None, default=None
        Determines which organization gets which columns.

    Returns
    -------
    organizations : list of tuples (name, estimator, columns)
        Organizations for :class:`GALRegressor` or :class:`GALClassifier`, named
        ``"organization_0"``, ``"organization_1"``, etc. The columns are names if X has
        string column names and positions otherwise, in the order of X.

    Raises
    ------
    ValueError
        If there are fewer columns than organizations.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gal import make_organizations
    >>> make_organizations(np.zeros((5, 4)), n_organizations=2, random_state=0)
    [('organization_0', None, [2, 3]), ('organization_1', None, [0, 1])]
    """
    check_not_lazy(X, "X")
    names = column_names(X)
    if len(getattr(X, "shape", np.shape(X))) != 2:
        raise ValueError(f"X must be two-dimensional, got {X!r}.")
    n_features = getattr(X, "shape", np.shape(X))[1]
    if not isinstance(n_organizations, Integral) or n_organizations < 1:
        raise ValueError(
            f"n_organizations must be a positive int, got {n_organizations!r}."
        )
    if n_features < n_organizations:
        raise ValueError(
            f"X has {n_features} columns, too few for n_organizations={n_organizations}: "
            "every organization needs at least one."
        )
    estimators = list(estimator) if isinstance(estimator, (list, tuple)) else [estimator]
    for each in estimators:
        _check_estimator("estimator", each)
    order = check_random_state(random_state).permutation(n_features)
    organizations = []
    for i, part in enumerate(np.array_split(order, n_organizations)):
        columns = [int(j) if names is None else names[j] for j in np.sort(part)]
        organizations.append(
            (f"organization_{i}", estimators[i % len(estimators)], columns)
        )
    return organizations


def check_not_lazy(table, name):
    """Refuse a table that is a query, such as a `LazyFrame` of polars.

    Raises
    ------
    TypeError
        If the table has no rows yet.
    """
    if hasattr(type(table), "collect") and not hasattr(type(table), "shape"):
        raise TypeError(
            f"{name} is a {type(table).__module__}.{type(table).__name__}, whose rows are "
            f"not computed yet: pass {name}.collect()."
        )


def column_names(X):
    """Column names of a dataframe if all of them are strings; otherwise None."""
    if not hasattr(X, "columns"):
        return None
    names = list(X.columns)
    return names if all(isinstance(name, str) for name in names) else None


def resolve_organizations(model, X):
    """Create the local organizations for the `organizations` parameter of `model`.

    Parameters
    ----------
    model : estimator
        Estimator that has validated X.
    X : array-like, sparse matrix or dataframe
        Argument of callables that select columns.

    Returns
    -------
    organizations : list of LocalOrganization

    Raises
    ------
    ValueError
        If the list is invalid. The message names the organization.
    """
    organizations, n_features = model.organizations, model.n_features_in_
    feature_names = getattr(model, "feature_names_in_", None)
    if organizations is None:
        all_columns = np.arange(n_features)
        return [_organization(model, SOLE_ORGANIZATION, default_learner(), all_columns)]
    check_organizations(organizations, reserved=model.get_params(deep=False))
    resolved, errors, unnamed = [], {}, {}
    for name, estimator, columns in organizations:
        try:
            positions = _resolve_columns(name, columns, X, feature_names, n_features)
            if len(positions) == 0:
                holds_label = name == (model.label_holder or organizations[0][0])
                raise ValueError(_no_columns(name, columns, n_features, holds_label))
        except NoColumnNames as error:
            unnamed[name] = error.column
            continue
        except ValueError as error:
            errors[name] = error
            continue
        estimator = default_learner() if estimator is None else estimator
        resolved.append(_organization(model, name, estimator, positions))
    if unnamed:
        errors[next(iter(unnamed))] = ValueError(_no_column_names(unnamed))
    raise_together(errors)
    return resolved


class NoColumnNames(ValueError):
    """An organization names a column, but X has no column names."""

    def __init__(self, column):
        super().__init__(column)
        self.column = column


def _no_column_names(unnamed):
    """Return the message about organizations that name columns of an X without names."""
    names, columns = list(unnamed), list(unnamed.values())
    if len(names) == 1:
        who = f"Organization {names[0]!r} names column {columns[0]!r}"
    else:
        listed = f"{', '.join(map(repr, names[:-1]))} and {names[-1]!r}"
        who = f"The organizations {listed} name columns, e.g. {columns[0]!r}"
    return (
        f"{who}, but X has no column names: pass a dataframe with string column names, or "
        "select by position. If a transformer makes an array of the dataframe, let it "
        "return a dataframe: set_output(transform='pandas')."
    )


def _organization(model, name, estimator, columns):
    arguments = name, estimator, columns, model.missing_rows
    if model.share_models:
        return SharingOrganization(*arguments, keeps_residuals=model.warm_start)
    return LocalOrganization(*arguments)


def check_organizations(organizations, reserved):
    """Check the names and estimators in a list of (name, estimator, columns)."""
    if not isinstance(organizations, (list, tuple)) or len(organizations) == 0:
        raise ValueError(
            "organizations must be None or a non-empty list of (name, estimator, columns) "
            f"tuples, got {organizations!r}."
        )
    names = []
    for i, entry in enumerate(organizations):
        if not isinstance(entry, (list, tuple)) or len(entry) != 3:
            raise ValueError(
                f"organizations[{i}] must be a tuple (name, estimator, columns), got "
                f"{entry!r}."
            )
        name, estimator, _ = entry
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"The name of organizations[{i}] must be a non-empty string, got {name!r}."
            )
        if "__" in name:
            raise ValueError(
                f"The name of organization {name!r} must not contain '__', which separates "
                "the name from the parameters of the estimator: rename the organization."
            )
        if name in reserved:
            raise ValueError(
                f"The name of organization {name!r} is that of a parameter: rename it."
            )
        if name in names:
            raise ValueError(
                f"Two organizations have the name {name!r}. Names must be unique: rename "
                "one of them."
            )
        names.append(name)
        _check_estimator(name, estimator)


def _check_estimator(name, estimator):
    if estimator is None:
        return
    if isinstance(estimator, type) or not (
        hasattr(estimator, "fit") and hasattr(estimator, "get_params")
    ):
        raise ValueError(
            f"The estimator of organization {name!r} must be a regressor instance or None "
            f"for the default one, got {estimator!r}."
        )
    try:
        get_tags(estimator)
    except AttributeError as error:
        raise ValueError(
            f"The estimator of organization {name!r}, {type(estimator).__name__}, has no "
            "tags: let its class inherit from sklearn.base.BaseEstimator."
        ) from error
    if is_classifier(estimator):
        raise ValueError(
            f"The estimator of organization {name!r} is a classifier, {kind(estimator)}. "
            "Organizations fit pseudo-residuals, which are real numbers, for "
            "classification as well: use a regressor, e.g. Ridge() instead of "
            f"{_classifier_in(estimator)}."
        )
    if is_clusterer(estimator) or not (
        hasattr(estimator, "predict") or is_regressor(estimator)
    ):
        raise ValueError(
            f"The estimator of organization {name!r}, {type(estimator).__name__}, is "
            "not a regressor: use a regressor or a pipeline that ends in one."
        )


def _classifier_in(estimator):
    """Return the name of the classifier in a pipeline or a search."""
    is_pipeline = isinstance(estimator, Pipeline)
    inner = estimator.steps[-1][1] if is_pipeline else getattr(estimator, "estimator", None)
    if hasattr(inner, "fit") and is_classifier(inner):
        return _classifier_in(inner)
    return type(estimator).__name__


def _resolve_columns(name, columns, X, feature_names, n_features):
    """Positions of the columns of one organization."""
    if callable(columns):
        columns = columns(X)
    if isinstance(columns, slice):
        start, stop = columns.start, columns.stop
        if isinstance(start, str):
            start = _position(name, start, feature_names, n_features)
        if isinstance(stop, str):  # a slice of names includes the last one
            stop = _position(name, stop, feature_names, n_features) + 1
        positions = np.arange(n_features)[start : stop : columns.step]
    elif isinstance(columns, (str, Integral)) and not isinstance(columns, bool):
        positions = np.array([_position(name, columns, feature_names, n_features)])
    else:
        positions = _listed_positions(name, columns, feature_names, n_features)
    listed, times = np.unique(positions, return_counts=True)
    for position in listed[times > 1].tolist():
        label = position if feature_names is None else feature_names[position]
        raise ValueError(
            f"Organization {name!r} lists column {label!r} more than once: remove the "
            "repetition."
        )
    return positions


def _no_columns(name, columns, n_features, holds_label):
    """The message about an organization without columns."""
    remedy = "Remove the organization or correct its columns."
    if holds_label:
        remedy = (
            "Correct its columns: it is the label holder, which needs a column as well, or "
            "set label_holder to the organization that holds y."
        )
    return (
        f"Organization {name!r} holds no columns: {columns!r} selects none of X with "
        f"n_features = {n_features}. {remedy}"
    )


def _listed_positions(name, columns, feature_names, n_features):
    """Positions of columns that are given as a list or a boolean mask."""
    listed = np.asarray(columns).tolist() if hasattr(columns, "dtype") else columns
    if isinstance(listed, (str, bytes)) or not hasattr(listed, "__iter__"):
        raise ValueError(
            f"The columns of organization {name!r} must be a name, a position, a list "
            "of either, a slice, a boolean mask or a callable that returns one of "
            f"them, got {columns!r}."
        )
    listed = list(listed)
    if listed and all(isinstance(entry, (bool, np.bool_)) for entry in listed):
        if len(listed) != n_features:
            raise ValueError(
                f"The boolean mask of organization {name!r} has {len(listed)} entries, "
                f"but X has {n_features} columns: the numbers must be equal."
            )
        return np.flatnonzero(listed)
    positions = [_position(name, entry, feature_names, n_features) for entry in listed]
    return np.array(positions, dtype=np.intp)


def _listed(names):
    """Return the first of some names as text, and how many more there are."""
    more = len(names) - N_LISTED
    return f"{list(names[:N_LISTED])}" + (f" and {more} more" if more > 0 else "")


def _position(name, column, feature_names, n_features):
    """Position of a column that is given by its name or position."""
    if isinstance(column, str):
        if feature_names is None:
            raise NoColumnNames(column)
        found = np.flatnonzero(feature_names == column)
        if len(found) == 0:
            raise ValueError(
                f"Organization {name!r} names column {column!r}, which X does not have. "
                f"{did_you_mean(column, feature_names)}The columns of X are "
                f"{_listed(feature_names)}."
            )
        return int(found[0])
    if not isinstance(column, Integral) or isinstance(column, bool):
        raise ValueError(
            f"Organization {name!r} lists column {column!r}, which is neither a name nor a "
            "position: use strings or integers."
        )
    if not -n_features <= column < n_features:
        raise ValueError(
            f"Organization {name!r} lists column {int(column)}, but X has only n_features "
            f"= {n_features}."
        )
    return int(column) % n_features
