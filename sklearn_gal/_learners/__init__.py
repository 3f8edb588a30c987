"""Fitting one organization's estimator to one residual after the other.

`LEARNERS` is the registry. A learner for the estimators of another library is a module with
a subclass of `Learner` and its name in this tuple.
"""

from .base import IN_SAMPLE, Learner, Split, take_rows, weight_parameter
from .boosted import BoosterLearner
from .boosted_parameters import LIGHTGBM_PARAMETERS
from .composites import as_sparse_as, rows_of
from .default_learner import DefaultLearner, default_learner, suggest, with_capacity
from .explained import Background, expect_function, explain_function, explain_sum
from .explained_each import apart, bounded_function, explain_each
from .lightgbm_guard import check_readable_by_lightgbm, guard
from .lightgbm_names import NAMES as LIGHTGBM_NAMES
from .lightgbm_names import is_known as is_known_to_lightgbm
from .linear import LeastSquaresLearner, RidgeLearner
from .models import (
    FoldRegressors,
    OutputRegressors,
    as_outputs,
    chains_of,
    outputs_of,
    terms_of,
    to_estimator,
)
from .packed import pack_models, unpack_models
from .pipeline import PipelineLearner
from .seeds import SeededClones
from .spelling import did_you_mean, question
from .summed import EachPrediction, WeightedSum
from .table_encoder import is_number, to_floats, type_of_no_number
from .views import column_major, in_double_precision

__all__ = [
    "IN_SAMPLE",
    "LEARNERS",
    "LIGHTGBM_NAMES",
    "LIGHTGBM_PARAMETERS",
    "Background",
    "DefaultLearner",
    "FoldRegressors",
    "OutputRegressors",
    "SeededClones",
    "Split",
    "apart",
    "as_outputs",
    "as_sparse_as",
    "bounded_function",
    "chains_of",
    "check_readable_by_lightgbm",
    "column_major",
    "default_learner",
    "depends_on_memory_layout",
    "did_you_mean",
    "each_prediction",
    "expect_function",
    "expect_functions",
    "explain_function",
    "explain_functions",
    "explain_models",
    "guard",
    "in_double_precision",
    "is_known_to_lightgbm",
    "is_number",
    "make_learner",
    "outputs_of",
    "pack_models",
    "question",
    "suggest",
    "take_rows",
    "to_estimator",
    "to_floats",
    "type_of_no_number",
    "unpack_models",
    "weight_parameter",
    "weighted_sum",
    "with_capacity",
]

# The first that takes an estimator fits it; all merge models for prediction, in this order.
LEARNERS = (RidgeLearner, LeastSquaresLearner, BoosterLearner, PipelineLearner, Learner)


def _learner_class(estimator, view, fit_params):
    return next(each for each in LEARNERS if each.takes(estimator, view, fit_params))


def make_learner(estimator, view, fit_params):
    """The fastest learner that gives the same models as clone and fit.

    Parameters
    ----------
    estimator : estimator
        Regressor, or pipeline that ends in one.
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        The organization's columns of the training rows.
    fit_params : dict
        Parameters of `fit`.

    Returns
    -------
    learner : Learner
        Fits the estimator to residuals of these rows.

    Raises
    ------
    ValueError
        If LightGBM cannot read the columns that it receives.
    """
    learner = _learner_class(estimator, view, fit_params)
    return learner(estimator, view, fit_params, make_learner)


def depends_on_memory_layout(estimator, view, fit_params):
    """Whether a fit depends, in its last bits, on the view's memory layout."""
    return _learner_class(estimator, view, fit_params).sums_columns


def weighted_sum(models, coefficients, check):
    """A function of a view for the weighted sum of the predictions of fitted models.

    Parameters
    ----------
    models : list
        Fitted local models of one organization.
    coefficients : list of float
        One per model.
    check : callable
        Called with a prediction and its expected shape; raises an error if the prediction
        cannot be used.

    Returns
    -------
    predict : callable
        Returns the sum, (n_samples, n_outputs), for a view; 0.0 without models.
    """
    pairs = zip(models, coefficients, strict=True)
    terms = [term for pair in pairs for term in terms_of(*pair)]
    return WeightedSum(terms, LEARNERS, check)


def each_prediction(models, check):
    """A function of a view for the predictions of fitted models, each of them apart.

    Parameters
    ----------
    models : list
        Fitted local models of one organization. All of them have the same number of chains:
        a `FoldRegressors` has one for each of its estimators, another model a single one.
    check : callable
        As of `weighted_sum`.

    Returns
    -------
    predict : callable
        Returns the predictions, (n_samples, n_models, n_chains, n_outputs), for a view.
    """
    return EachPrediction(models, LEARNERS, check)


def explain_models(models, coefficients, view, background, check):
    """SHAP values of the weighted sum of the predictions of fitted models.

    Parameters
    ----------
    models, coefficients, check : see `weighted_sum`
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        Rows to explain.
    background : Background
        The background.

    Returns
    -------
    values, base, errors : ndarray
        As of `Explanation`.
    """
    total = weighted_sum(models, coefficients, check)
    return explain_sum(total, view, background, explain_function)


def explain_functions(models, bounds, view, background, check):
    """SHAP values of the predictions of fitted models, each of them apart.

    Parameters
    ----------
    models, check : see `each_prediction`
    bounds : list of callable or None
        What is applied to the predictions of each model; it takes and returns values of
        shape (n_chains, n_samples, n_outputs).
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        Rows to explain.
    background : Background
        The background.

    Returns
    -------
    values : ndarray of shape (n_samples, n_columns, n_models, n_chains, n_outputs)
        SHAP values.
    base : ndarray of shape (n_models, n_chains, n_outputs)
        What is predicted if no column is known.
    errors : ndarray
        Standard errors of `values`.
    """
    found = explain_each(
        models, bounds, view, background, LEARNERS, check, explain_function
    )
    return apart(found, len(models), len(chains_of(models[0])))


def expect_functions(models, bounds, background, check):
    """The base values of `explain_functions`, (n_models, n_chains, n_outputs).

    A learner that knows a model explains one row; all other functions only predict the
    background.
    """
    row = rows_of(background.view, [0])
    found = explain_each(models, bounds, row, background, LEARNERS, check, expect_function)
    return apart(found, len(models), len(chains_of(models[0])))[1]
