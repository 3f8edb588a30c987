"""The strong learner that a report compares with, fitted to columns in one place."""

from numbers import Number

import numpy as np
from lightgbm import LGBMClassifier, LGBMModel, LGBMRegressor
from scipy import sparse
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.utils import _safe_indexing, check_array

from .._learners import check_readable_by_lightgbm, guard, weight_parameter
from .._organizations.missing import is_missing
from ..losses import (
    REGRESSION_LOSSES,
    AbsoluteError,
    GammaLoss,
    HuberLoss,
    PoissonLoss,
    QuantileLoss,
    get_loss,
)

_OBJECTIVES = {AbsoluteError: "l1", PoissonLoss: "poisson", GammaLoss: "gamma"}


def check_reference(reference, model):
    """Raise a ValueError unless `reference` can be compared with `model`."""
    if reference is None or (isinstance(reference, str) and reference == "lightgbm"):
        return
    is_instance = not isinstance(reference, type)
    if not (is_instance and hasattr(reference, "fit") and hasattr(reference, "get_params")):
        raise ValueError(
            "reference must be 'lightgbm', an estimator instance or None, got "
            f"{reference!r}."
        )
    if is_classifier(reference) != is_classifier(model):
        kind = "classifier" if is_classifier(model) else "regressor"
        raise ValueError(
            f"reference must be a {kind}, because it is compared with a "
            f"{type(model).__name__}, got {reference!r}."
        )


def name_of_reference(reference):
    """Return what the strong learner is called; None without one."""
    if isinstance(reference, str):
        return "LightGBM"
    return None if reference is None else type(reference).__name__


def make_reference(reference, model, y, sample_weight):
    """Return the strong learner: the user's estimator, or LightGBM for this model."""
    if not isinstance(reference, str):
        return guard(reference)
    learner = _lightgbm(model, y, sample_weight)
    if get_config()["enable_metadata_routing"]:
        learner.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    if np.ndim(y) == 2 and not is_classifier(model):
        learner = MultiOutputRegressor(learner)
    # the encoder returns no column names, because LightGBM refuses some
    return make_pipeline(_encoder().set_output(transform="default"), learner)


def reference_params(reference, X, sample_weight):
    """Return the parameters of `fit`; raise a ValueError if it cannot take X or weights."""
    if isinstance(reference, LGBMModel):
        check_readable_by_lightgbm(X)
    if sample_weight is None:
        return None
    if get_config()["enable_metadata_routing"]:
        return {"sample_weight": sample_weight}
    name = weight_parameter(reference)
    if name is None:
        raise ValueError(
            f"{type(reference).__name__} does not support sample weights. Use an estimator "
            "that does as reference."
        )
    return {name: sample_weight}


def _lightgbm(model, y, sample_weight):
    """Return LightGBM with its defaults, for the classes or the loss of the model."""
    settings = {"random_state": model.random_state, "n_jobs": 1, "verbosity": -1}
    if is_classifier(model):
        return LGBMClassifier(class_weight=model.class_weight, **settings)
    loss = get_loss(model.loss, REGRESSION_LOSSES)
    return LGBMRegressor(**_objective(loss, y, sample_weight), **settings)


def _objective(loss, y, sample_weight):
    """Return the parameters of LightGBM's objective that is nearest to a loss, if any."""
    if type(loss) is QuantileLoss:
        return {"objective": "quantile", "alpha": loss.quantile}
    if type(loss) is HuberLoss:
        y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        delta = loss.for_target(y, weight).delta  # a number, or one for each output
        return {"objective": "huber", "alpha": float(np.mean(delta))}
    return {"objective": _OBJECTIVES[type(loss)]} if type(loss) in _OBJECTIVES else {}


def _encoder():
    """Return a transformer to numbers. Values that are missing or unknown become NaN."""
    encode = make_pipeline(
        FunctionTransformer(_to_objects),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    )
    return make_column_transformer(
        (encode, _columns_to_encode),
        remainder=FunctionTransformer(_to_numbers),
        sparse_threshold=1.0,
    )


def _columns_to_encode(X):
    """Return the positions of a dataframe's columns that are not numbers."""
    if not hasattr(X, "columns"):
        return []
    columns = [_safe_indexing(X, j, axis=1) for j in range(X.shape[1])]
    return [j for j, column in enumerate(columns) if not _has_numbers(column)]


def _has_numbers(column):
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        return dtype.is_numeric() or str(dtype) == "Boolean"
    if dtype.name == "object":
        return all(isinstance(value, Number) for value in column[~is_missing(column)])
    return dtype.kind in "biuf"


def _to_objects(X):
    """Return the columns of a dataframe as objects, with NaN for each missing value."""
    columns = []
    for j in range(X.shape[1]):
        column = _safe_indexing(X, j, axis=1)
        values = np.array(column, dtype=object)
        values[is_missing(column)] = np.nan
        columns.append(values)
    return np.column_stack(columns)


def _to_numbers(X):
    """Return X as floats, in an array or a sparse matrix."""
    X = check_array(X, accept_sparse="csr", dtype=np.float64, ensure_all_finite=False)
    # LightGBM 4.7 does not predict from a csr_array
    return sparse.csr_matrix(X) if sparse.issparse(X) else X
