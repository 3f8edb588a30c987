"""Validation of parameters, X and sample weights."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import sklearn
from scipy import sparse
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, check_scalar
from sklearn.utils.validation import validate_data

from ._contract import NO_FOLD
from ._method.weights import WEIGHTS
from ._organizations.columns import check_not_lazy
from ._organizations.faults import add_to_message
from ._organizations.missing import has_numbers, has_text

MISSING_ROWS = ("error", "abstain", "pass")
# Before version 1.9, scikit-learn reads column names with an interchange protocol that
# polars 2 does not support.
_READS_EVERY_FRAME = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)


def check_parameters(model):
    """Check the parameters that are not checked where they are used.

    Raises
    ------
    TypeError, ValueError
        If a parameter has an invalid type or value.
    """
    if model.max_iter is not None:
        _check_type(model.max_iter, "max_iter", Integral, "an int or None")
        check_scalar(model.max_iter, "max_iter", Integral, min_val=1)
    check_scalar(model.n_iter_no_change, "n_iter_no_change", Integral, min_val=1)
    check_scalar(model.tol, "tol", Real, min_val=0)
    check_scalar(model.verbose, "verbose", Integral, min_val=0)
    for name in ("line_search", "share_models", "warm_start"):
        check_scalar(getattr(model, name), name, (bool, np.bool_))
    if not _is_one_of(model.learning_rate, ["auto"]):
        _check_type(model.learning_rate, "learning_rate", Real, "a float or 'auto'")
        _check_positive(model, "learning_rate", max_val=None)
    _check_positive(model, "subsample", include_boundaries="right")
    if isinstance(model.validation_fraction, Integral):
        check_scalar(model.validation_fraction, "validation_fraction", Integral, min_val=1)
    else:
        fraction = model.validation_fraction
        _check_type(fraction, "validation_fraction", Real, "a float or an int")
        _check_positive(model, "validation_fraction")
    early_stopping, weights = model.early_stopping, model.weights
    is_bool = isinstance(early_stopping, (bool, np.bool_))
    if not (_is_one_of(early_stopping, ["auto"]) or is_bool):
        raise ValueError(
            f"early_stopping must be True, False or 'auto', got {early_stopping!r}."
        )
    if not (_is_one_of(weights, WEIGHTS) or callable(weights)):
        raise ValueError(
            f"weights must be one of {sorted(WEIGHTS)} or a callable (residual, fitted, "
            f"sample_weight) -> weights, got {weights!r}."
        )
    if not _is_one_of(model.missing_rows, MISSING_ROWS):
        raise ValueError(
            f"missing_rows must be one of {list(MISSING_ROWS)}, got {model.missing_rows!r}."
        )
    _check_privacy(model.privacy, getattr(model, "class_weight", None))
    _check_cv(model.cv, model.subsample)


def _check_type(value, name, numbers, expected):
    if not isinstance(value, numbers):
        raise TypeError(f"{name} must be {expected}, got {value!r}.")


def _check_positive(model, name, max_val=1, include_boundaries="neither"):
    value = getattr(model, name)
    check_scalar(
        value, name, Real, min_val=0, max_val=max_val, include_boundaries=include_boundaries
    )


def _is_one_of(value, names):
    return isinstance(value, str) and value in names


def _check_privacy(privacy, class_weight):
    if privacy is None:
        return
    if isinstance(privacy, type) or not callable(privacy):
        raise ValueError(
            "privacy must be None, a mechanism from sklearn_gal.privacy or a callable "
            f"(residual, random_state) -> residual, got {privacy!r}."
        )
    if class_weight is not None:
        raise ValueError(
            f"class_weight={class_weight!r} cannot be combined with privacy, because it "
            "would tell the assistors the class of every row through the weights of their "
            "local fits. Use class_weight=None."
        )


def _check_cv(cv, subsample):
    too_few = isinstance(cv, (Integral, np.bool_)) and (isinstance(cv, bool) or cv < 2)
    splits = hasattr(cv, "split") or hasattr(cv, "__iter__")
    known = cv is None or isinstance(cv, Integral) or splits
    if too_few or not known or (isinstance(cv, str) and cv != "auto"):
        raise ValueError(
            "cv must be 'auto', None, an int of at least 2, a splitter or an iterable of "
            f"splits, got {cv!r}."
        )
    if subsample < 1 and not (cv is None or isinstance(cv, str)):
        raise ValueError(
            f"subsample={subsample} cannot be combined with cv={cv!r}, because each of "
            "them holds out rows to choose weights and rate. Use subsample=1.0 or cv=None."
        )


def validate_X(model, X, reset):
    """Validate X without converting dataframes.

    NaN is allowed here. The estimator of each organization decides whether it supports NaN.
    """
    try:
        return _validated(model, X, reset)
    except ValueError as error:
        if not reset:
            _explain_columns(error, model, X)
        raise


def _explain_columns(error, model, X):
    """Have an error tell which organizations lack columns, or how to select columns."""
    names = getattr(model, "feature_names_in_", None)
    if names is None or not hasattr(X, "columns"):
        return
    given = set(X.columns)
    is_unique = len(given) == len(X.columns)
    if is_unique and given.issuperset(names) and list(X.columns) != list(names):
        add_to_message(
            error,
            "Select the columns of the fit in their order: "
            "X[list(model.feature_names_in_)], where model is the fitted estimator.",
        )
    missing = [j for j, name in enumerate(names) if name not in given]
    for organization, columns in zip(
        model.organization_names_, model.columns_, strict=True
    ):
        held = [str(names[j]) for j in missing if j in columns]
        if held:
            text = f"Missing columns of organization {organization!r}: {held}."
            add_to_message(error, text)
    unused = [str(names[j]) for j in missing if all(j not in c for c in model.columns_)]
    if unused:
        add_to_message(
            error,
            f"Missing columns that no organization holds: {unused}. They are not used, but "
            "rows to predict must have them.",
        )


def _validated(model, X, reset):
    _refuse_tables(X)
    check_not_lazy(X, "X")
    if not hasattr(X, "columns"):
        objects = _objects_with_strings(X, reset)
        return validate_data(
            model,
            X if objects is None else objects,
            dtype="numeric" if objects is None else None,
            accept_sparse=["csr", "csc"],
            ensure_all_finite="allow-nan",
            reset=reset,
        )
    if not hasattr(X, "dtypes"):
        raise TypeError(
            f"X is a {type(X).__module__}.{type(X).__name__}, which is not supported: pass "
            "a pandas or polars dataframe, an array or a sparse matrix."
        )
    readable = hasattr(X, "__dataframe__") or _READS_EVERY_FRAME
    header = X if readable else _Header(X)
    validate_data(model, header, skip_check_array=True, reset=reset)
    if 0 in X.shape:
        raise ValueError(
            f"Found an empty dataframe (shape={X.shape}) while a minimum of 1 row and 1 "
            "column is required."
        )
    return X


def _refuse_tables(X):
    if isinstance(X, dict) and not sparse.issparse(X):  # a dok_matrix is a dict
        found = f"with the entries {list(X)}"
    elif isinstance(X, (list, tuple)) and X and all(map(_is_table, X)):
        found = f"of {len(X)} tables"
    else:
        return
    raise TypeError(
        f"X is a {type(X).__name__} {found}, but the columns of all organizations must be "
        "in one table. Join the tables with aligned = align_organizations(tables, on=...), "
        "where tables is a dict, and pass aligned.X. aligned.columns has the columns of "
        "each organization."
    )


def _is_table(entry):
    return len(getattr(entry, "shape", ())) == 2


def _objects_with_strings(X, reset):
    """Return X as an array of objects if it has strings that are no numbers; else None.

    Among rows to predict, a text may be a number by chance.
    """
    values = np.array(X, dtype=object) if isinstance(X, (list, tuple)) else X
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "OU":
        return None
    if values.ndim != 2 or not has_text(values):
        return None
    may_be_numbers = reset or values.dtype.kind == "U"
    return None if may_be_numbers and has_numbers(values) else values.astype(object)


class _Header:
    """Shape and column names of a dataframe, in the form that scikit-learn < 1.9 reads."""

    def __init__(self, frame):
        self.shape = frame.shape
        self._names = list(frame.columns)

    def __dataframe__(self):
        return self

    def column_names(self):
        return self._names


def validate_weight(sample_weight, n_samples):
    """Return sample weights as a float array of shape (n_samples,), or None."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_samples, float(sample_weight))
    sample_weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if sample_weight.ndim != 1:
        raise ValueError("Sample weights must be 1D array or scalar")
    if len(sample_weight) != n_samples:
        raise ValueError(
            f"sample_weight.shape == {sample_weight.shape}, expected {(n_samples,)}!"
        )
    if (sample_weight < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`.")
    if not sample_weight.any():
        raise ValueError("Sample weights must not all be zero.")
    return sample_weight


def given_folds(cv, X, y, **split_params):
    """Return fold numbers of a splitter or an iterable of splits; None for any other `cv`.

    Raises
    ------
    ValueError
        If the splits do not put every row into exactly one test set, or train on
        something else than all rows outside it.
    """
    if cv is None or isinstance(cv, (str, Integral)):
        return None
    folds = np.full(len(y), NO_FOLD)
    times_held_out = np.zeros(len(y), dtype=np.intp)
    shown = cv if hasattr(cv, "split") else "the iterable"
    for fold, (train, test) in enumerate(check_cv(cv).split(X, y, **split_params)):
        if max(np.max(train, initial=0), np.max(test, initial=0)) >= len(y):
            raise ValueError(f"cv={shown!r} splits more than the {len(y)} rows of X.")
        outside = np.ones(len(y), dtype=bool)
        outside[test] = False
        if not np.array_equal(np.flatnonzero(outside), np.unique(train)):
            raise ValueError(
                f"cv={shown!r} does not train split {fold} on all rows outside its test "
                "set. Cross-fitting needs folds that divide the rows, as those of KFold."
            )
        times_held_out[test] += 1
        folds[test] = fold
    if (times_held_out != 1).any():
        raise ValueError(
            f"cv={shown!r} must put every row into exactly one test set, but "
            f"{np.count_nonzero(times_held_out != 1)} of {len(y)} rows are in none or in "
            "several. Use folds that divide the rows, as those of KFold."
        )
    return folds


def check_groups(groups, training_groups, n_samples, n_training_samples):
    """Return the groups of rows to predict and of training rows as arrays, or None.

    Raises
    ------
    ValueError
        If only one of them is given, or if one has another length than its rows.
    """
    if groups is None and training_groups is None:
        return None, None
    if groups is None or training_groups is None:
        given = "training_groups" if groups is None else "groups"
        raise ValueError(
            f"Only {given} was given. Pass groups, the group of each row to predict, "
            "together with training_groups, the group of each row given to fit."
        )
    checked = []
    for name, values, n_rows, rows in (
        ("groups", groups, n_samples, "rows to predict"),
        ("training_groups", training_groups, n_training_samples, "rows given to fit"),
    ):
        values = np.asarray(values)
        if values.shape != (n_rows,):
            raise ValueError(
                f"{name} must have one entry for each of the {n_rows} {rows}, got an "
                f"array of shape {values.shape}."
            )
        checked.append(values)
    return tuple(checked)


def check_label_holder(label_holder, names):
    """Return the position of the label holder; None is the first organization."""
    if label_holder is None:
        return 0
    if label_holder not in names:
        raise ValueError(
            f"label_holder={label_holder!r} is not one of the organizations {names}."
        )
    return names.index(label_holder)


def interacting_pairs(interactions, names):
    """Return the pairs of names that may interact, a set of frozensets; None is all.

    Raises
    ------
    ValueError
        If `interactions` is not a bool, "auto" or a list of pairs of names.
    """
    if _is_one_of(interactions, ["auto"]) or isinstance(interactions, (bool, np.bool_)):
        return None
    listed = isinstance(interactions, (list, tuple, set))
    pairs: list[Any] = list(interactions) if listed else [None]
    for pair in pairs:
        is_pair = isinstance(pair, (list, tuple, set, frozenset)) and len(set(pair)) == 2
        if not is_pair or not set(pair) <= set(names):
            raise ValueError(
                "interactions must be 'auto', True, False or a list of pairs of different "
                f"organizations, e.g. [({names[0]!r}, {names[-1]!r})]; got "
                f"{interactions!r}. The organizations are {names}."
            )
    return {frozenset(pair) for pair in pairs}


def interactions_among(interactions, names):
    """Return `interactions` for some of the organizations: the pairs that are left."""
    if isinstance(interactions, (str, bool, np.bool_)):
        return interactions
    return [pair for pair in interactions if set(pair) <= set(names)]
