"""The local learner of organizations without an estimator."""

import numpy as np
from lightgbm import LGBMRegressor
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from .boosted_columns import bundles_keep_values
from .boosted_parameters import LIGHTGBM_PARAMETERS
from .spelling import did_you_mean
from .table_encoder import TableEncoder

# Numbers of leaves that are chosen by the number of rows
MIN_LEAVES, MAX_LEAVES = 4, 31
# The number of leaves is a power of the number of rows, divided by this number for one
# output, and by this number for several
LEAF_POWER, LEAF_DIVISOR, LEAF_DIVISOR_OF_CLASSES = 0.75, 110, 165
# L2 penalty of a leaf, as a share of the mean number of rows in a leaf
PENALTY_SHARE = 0.1
# Least rows of a leaf: this number, or this share of all rows if that is less
MAX_ROWS_IN_LEAF, MAX_SHARE_IN_LEAF = 20, 0.2

# Up to this number of columns, trees on columns that are not bundled take less time than
# to predict all rows by trees on bundled columns
MAX_SEPARATE_COLUMNS = 40
# Parameters that have an entry for each column, or that name columns
PER_COLUMN = ("feature_contri", "interaction_constraints", "monotone_constraints")
# Labels are float32. Those whose greatest exponent of 2 is beyond this are scaled.
MAX_LABEL_EXPONENT = 40


class DefaultLearner(LGBMRegressor):
    """LightGBM regressor that makes its own matrix of a table's columns.

    LightGBM receives float64 numbers, with codes for categories, instead of a table. The
    labels are multiplied by a power of two if they are beyond the range in which float32
    is safe, and the sample weights have the mean 1. Parameters that are None are chosen
    when the training rows are known, see `default_learner`.
    """

    def fit(self, X, y, sample_weight=None):  # type: ignore[override]
        """Fit to the rows of a table.

        Parameters
        ----------
        X : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
            Training rows. Columns are numbers, booleans or categories.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : DefaultLearner
            The fitted estimator.
        """
        encoder = encoder_for(self.get_params()).fit(X)
        return self.fit_matrix(encoder, encoder.transform(X), y, sample_weight)

    def fit_matrix(self, encoder, matrix, y, sample_weight=None):
        """Fit to a matrix that an encoder has made.

        Parameters
        ----------
        encoder : TableEncoder
            Encodes the rows to predict.
        matrix : ndarray or csr_matrix of shape (n_samples, n_columns)
            Training rows.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : DefaultLearner
            The fitted estimator.
        """
        self.encoder_ = encoder
        y = np.asarray(y, dtype=np.float64)
        unit = label_unit(y)
        given = self.get_params()
        self.set_params(**capacity(given, matrix.shape[0]))
        self.set_params(**bundling(given, matrix, encoder.categorical))
        if given.get("feature_contri") is None:
            self.set_params(feature_contri=encoder.gain_factors(matrix.shape[1]))
        try:
            super().fit(
                matrix,
                y / unit,
                sample_weight=mean_one(sample_weight),
                categorical_feature=encoder.categorical or "auto",
            )
        finally:
            self.set_params(**{"feature_contri": None} | given)
        if unit != 1.0:
            self._multiply_leaves(unit)
        return self

    def _multiply_leaves(self, unit):
        booster = self.booster_
        for number, tree in enumerate(booster.dump_model()["tree_info"]):
            for leaf in range(tree["num_leaves"]):
                value = booster.get_leaf_output(number, leaf)
                booster.set_leaf_output(number, leaf, unit * value)

    def predict(self, X, **params):  # type: ignore[override]
        """Predict the rows of a table.

        Parameters
        ----------
        X : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
            Rows with the columns of `fit`. Categories that `fit` has not seen are missing.
        **params : dict
            Parameters of :meth:`lightgbm.LGBMRegressor.predict`.

        Returns
        -------
        prediction : ndarray of shape (n_samples,)
            Predictions.
        """
        if not hasattr(self, "encoder_"):
            return super().predict(X, **params)  # raises an error
        return super().predict(self.encoder_.transform(X), **params)


def default_learner(**settings) -> DefaultLearner:
    """Create the local estimator of an organization whose estimator is None.

    It is a LightGBM regressor with a single tree, a subclass of
    :class:`lightgbm.LGBMRegressor` that takes numbers, booleans and categories of all
    types of NumPy, pandas and polars. Parameters that are None are chosen when
    the organization has its training rows: with `n` rows, `num_leaves` is
    ``n**0.75 / 110``, or ``n**0.75 / 165`` with several outputs, but at least 4 and at most
    31 (11 leaves with 13,000 rows, 28 with 45,000); `reg_lambda` is a tenth of
    ``n / num_leaves``; `min_child_samples` is 20, or a fifth of `n` if that is less;
    `enable_bundle` is False if bundles could lose a value, unless the columns are many.
    Columns of unordered categories with K > 2 levels are read as categories and as numbers,
    and `feature_contri` multiplies the gain of splits of the former by ``sqrt(2 / K)``.

    Parameters
    ----------
    **settings : dict
        LightGBM parameters to override: those of the constructor of
        :class:`lightgbm.LGBMRegressor`, e.g. `num_leaves`, and some others, e.g. `max_bin`.
        The penalty `reg_lambda` follows the `num_leaves` given here, unless it is given.

    Returns
    -------
    learner : DefaultLearner
        The unfitted estimator.

    Raises
    ------
    TypeError
        If a setting is unknown. The message lists the known ones.

    See Also
    --------
    GALClassifier : Classification by Gradient Assisted Learning.
    GALRegressor : Regression by Gradient Assisted Learning.
    make_organizations : Distribute the columns of X among organizations.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_gal import GALRegressor, default_learner
    >>> learner = default_learner(num_leaves=8)
    >>> learner.n_estimators, learner.num_leaves
    (1, 8)

    Setting a parameter of an organization without an estimator has the same effect:

    >>> model = GALRegressor([("station", Ridge(), [0]), ("weather", None, [1, 2])])
    >>> model.set_params(weather__num_leaves=8).get_params()["weather"].num_leaves
    8
    """
    for name in settings:
        if name not in LIGHTGBM_PARAMETERS:
            raise TypeError(
                f"default_learner() got an unknown setting {name!r}. "
                f"{suggest(name, LIGHTGBM_PARAMETERS)}"
            )
    defaults = {
        "n_estimators": 1,
        "learning_rate": 1.0,  # the method finds the length of the step
        "boost_from_average": False,  # the penalty is towards a residual of 0
        "num_leaves": None,
        "reg_lambda": None,
        "min_child_samples": None,
        "enable_bundle": None,
        # with LightGBM's 100 and 10, categories do not count in a few hundred rows
        "min_data_per_group": 20,
        "cat_smooth": 3.0,
        "feature_contri": None,
        "verbosity": -1,
    }
    if "verbose" in settings:  # LightGBM ignores this alias if `verbosity` is set
        del defaults["verbosity"]
    return DefaultLearner(**defaults | settings)


def with_capacity(estimator, view, n_outputs=1):
    """Choose the parameters of a LightGBM regressor that are None by its training rows.

    Parameters
    ----------
    estimator : estimator
        Local estimator. It is changed only if it is an `LGBMRegressor`, or a pipeline that
        ends in one, and a parameter that this function chooses is None.
    view : array-like, sparse matrix or dataframe of shape (n_rows, n_columns)
        Training rows of the organization.
    n_outputs : int, default=1
        Number of outputs, each of which has a tree.

    Returns
    -------
    estimator : estimator
        The same object if nothing is chosen, else a clone with these parameters.
    """
    prefix, regressor = "", estimator
    while isinstance(regressor, Pipeline) and regressor.steps:
        name, regressor = regressor.steps[-1]
        prefix += f"{name}__"
    if not isinstance(regressor, LGBMRegressor):
        return estimator
    chosen = capacity(regressor.get_params(), view.shape[0], n_outputs)
    if not chosen:
        return estimator
    prefixed = {prefix + name: value for name, value in chosen.items()}
    return clone(estimator).set_params(**prefixed)


def capacity(params, n_rows, n_outputs=1):
    """Choose the parameters that follow the number of rows, where they are None.

    Parameters
    ----------
    params : dict
        Parameters of an `LGBMRegressor`.
    n_rows : int
        Number of training rows.
    n_outputs : int, default=1
        Number of outputs.

    Returns
    -------
    chosen : dict
        Values of parameters that are None in `params`.
    """
    chosen, n_leaves = {}, params["num_leaves"]
    if n_leaves is None:
        divisor = LEAF_DIVISOR if n_outputs == 1 else LEAF_DIVISOR_OF_CLASSES
        n_leaves = np.clip(n_rows**LEAF_POWER / divisor, MIN_LEAVES, MAX_LEAVES)
        n_leaves = round(float(n_leaves))
        chosen["num_leaves"] = n_leaves
    if params["reg_lambda"] is None:
        chosen["reg_lambda"] = PENALTY_SHARE * n_rows / n_leaves
    if params["min_child_samples"] is None:
        rows = min(MAX_ROWS_IN_LEAF, int(MAX_SHARE_IN_LEAF * n_rows))
        chosen["min_child_samples"] = max(1, rows)
    return chosen


def bundling(params, matrix, categorical):
    """Choose whether LightGBM may bundle the columns of a matrix, if that is None.

    Parameters
    ----------
    params : dict
        Parameters of an `LGBMRegressor`.
    matrix : ndarray or csr_matrix of shape (n_samples, n_columns)
        Training rows.
    categorical : list of int
        Positions of the columns that have codes of categories.

    Returns
    -------
    chosen : dict
        Empty, or the value of `enable_bundle`.
    """
    if params.get("enable_bundle", True) is not None:
        return {}
    bundles = sparse.issparse(matrix) or matrix.shape[1] > MAX_SEPARATE_COLUMNS
    return {"enable_bundle": bundles or bundles_keep_values(matrix, categorical)}


def encoder_for(params):
    """The encoder of a default learner with these parameters, which is not fitted.

    Columns are in its matrix once if a parameter has an entry for each column.
    """
    once = any(params.get(name) is not None for name in PER_COLUMN)
    return TableEncoder(twice=not once)


def label_unit(labels):
    """A power of two by which to divide labels for float32; 1 for labels of usual size."""
    exponent = int(np.frexp(np.max(np.abs(labels), initial=0.0))[1])
    return 1.0 if abs(exponent) <= MAX_LABEL_EXPONENT else 2.0**exponent


def mean_one(weight):
    """Sample weights as float32 with the mean 1; None without weights."""
    if weight is None:
        return None
    weight = np.asarray(weight, dtype=np.float64)
    return (weight / np.mean(weight)).astype(np.float32)


def suggest(name, known):
    """Sentences for an error about an unknown LightGBM parameter.

    Parameters
    ----------
    name : str
        The unknown name.
    known : set of str
        The known names.

    Returns
    -------
    sentences : str
        Known names that are close to `name`, all known names, and what to do about others.
    """
    return (
        f"{did_you_mean(name, sorted(known))}The known parameters are {sorted(known)}. For "
        "another LightGBM parameter, use an LGBMRegressor whose constructor receives it."
    )
