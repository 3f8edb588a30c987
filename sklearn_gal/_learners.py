"""Fitting one organization's estimator to a residual, and what a fit leaves behind.

Nothing here knows of rounds, weights or y: an estimator, a view, a residual.
"""

from numbers import Real

import numpy as np
from scipy import linalg, sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_array, get_tags
from sklearn.utils.validation import has_fit_parameter

from ._stacking import AssistedView, with_columns


class OutputRegressors(RegressorMixin, BaseEstimator):
    """One fitted estimator per output, for estimators that take one output at a time.

    Parameters
    ----------
    estimators : list
        Fitted estimators, one per output.
    """

    def __init__(self, estimators):
        self.estimators = estimators

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Predictions of shape (n_samples, n_outputs)."""
        return np.column_stack([estimator.predict(X) for estimator in self.estimators])


class FoldRegressors(RegressorMixin, BaseEstimator):
    """Fitted estimators of the folds of one cross-fitted round; predicts their mean.

    Parameters
    ----------
    estimators : list
        Fitted estimators, one per fold: the one at position k has not seen fold k.
    """

    def __init__(self, estimators):
        self.estimators = estimators

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Mean prediction over folds."""
        total = sum(estimator.predict(X) for estimator in self.estimators)
        return total / len(self.estimators)


def as_outputs(prediction):
    """A local prediction as float array of shape (n_samples, n_outputs)."""
    prediction = np.asarray(prediction, dtype=np.float64)
    return prediction.reshape(-1, 1) if prediction.ndim == 1 else prediction


def predict_held_out(model, view, folds):
    """Predictions as outputs; of rows with a fold number by the model that left it out."""
    prediction = as_outputs(model.predict(view))
    if folds is None or not isinstance(model, FoldRegressors):
        return prediction
    for fold, estimator in enumerate(model.estimators):
        rows = np.flatnonzero(folds == fold)
        if len(rows):
            prediction[rows] = as_outputs(estimator.predict(_safe_indexing(view, rows)))
    return prediction


def with_seed(estimator, seed):
    """A clone whose unset `random_state` parameters derive from `seed`.

    An estimator's own fixed seeds are its organization's business and stay. `n_jobs` left
    open becomes 1, because organizations already run side by side, and because sums over
    a varying number of threads are not reproducible to the last bit.
    """
    estimator = clone(estimator)
    settings = {}
    rng = np.random.RandomState(seed)
    for name, value in sorted(estimator.get_params(deep=True).items()):
        key = name.rpartition("__")[2]
        if value is None and key == "random_state":
            settings[name] = rng.randint(np.iinfo(np.int32).max)
        elif value is None and key == "n_jobs":
            settings[name] = 1
        elif value is False and key in ("copy", "copy_X"):
            settings[name] = True  # the next round needs the view as it is
    return estimator.set_params(**settings)


def weight_parameter(estimator):
    """Name under which `estimator.fit` takes sample weights; None if it takes none.

    The last step of a pipeline is the regressor, which the weights are for.
    """
    if has_fit_parameter(estimator, "sample_weight"):
        return "sample_weight"
    if isinstance(estimator, Pipeline) and hasattr(estimator.steps[-1][1], "fit"):
        step, regressor = estimator.steps[-1]
        name = weight_parameter(regressor)
        return name and f"{step}__{name}"
    return None


class Learner:
    """Fits clones of an estimator to one residual after the other, on the same view.

    Parameters
    ----------
    estimator : estimator
        Regressor or pipeline ending in one.
    view : array-like, sparse matrix or dataframe of shape (n_samples, n_columns)
        The organization's columns of the training rows.
    fit_params : dict
        Parameters of `fit`; values with one entry per row are cut to the rows fitted.
    """

    def __init__(self, estimator, view, fit_params):
        self.estimator = estimator
        self.view = view
        self.fit_params = fit_params
        self.multi_output = get_tags(estimator).target_tags.multi_output

    def fit(self, residual, rows, seed):
        """Fit to `residual` (n_samples, n_outputs) on `rows` (None: all of them)."""
        view, fit_params = self.view, self.fit_params
        if rows is not None:
            n_samples = len(residual)
            view = self._cut(rows)
            residual = residual[rows]
            fit_params = take_rows(fit_params, rows, n_samples)
        estimator = with_seed(self.estimator, seed)
        n_outputs = residual.shape[1]
        if n_outputs == 1:
            return estimator.fit(view, residual[:, 0], **fit_params)
        if self.multi_output:
            return estimator.fit(view, residual, **fit_params)
        return OutputRegressors(
            [clone(estimator).fit(view, r, **fit_params) for r in residual.T]
        )

    def predict(self, model, rows):
        """Predictions of `model` for `rows` (None: all of them) of the view."""
        view = self.view if rows is None else self._cut(rows)
        return as_outputs(model.predict(view))

    def with_assistance(self, columns):
        """The learner that sees `columns` of the assistors beside its own."""
        estimator, view = with_columns(self.estimator, AssistedView(self.view, columns))
        return Learner(estimator, view, self.fit_params)

    def _cut(self, rows):
        if isinstance(self.view, AssistedView):
            return self.view.take(rows)
        return _safe_indexing(self.view, rows)


class RidgeLearner(Learner):
    """`Ridge` by the normal equations of centred columns: exact, on sparse views too.

    All outputs are solved at once; fits to all rows share one Cholesky factor.
    """

    # Beyond, the Gram matrix costs more than Ridge's own solvers.
    MAX_COLUMNS = 1000

    @classmethod
    def takes(cls, estimator, view):
        """Whether the fit of `estimator` to `view` has this closed form."""
        return (
            estimator.solver in ("auto", "cholesky")
            and not estimator.positive
            and isinstance(estimator.alpha, Real)
            and view.shape[1] <= min(cls.MAX_COLUMNS, view.shape[0])
        )

    def __init__(self, estimator, view, fit_params):
        super().__init__(estimator, view, fit_params)
        self.matrix = check_array(
            view, accept_sparse="csr", dtype=np.float64, estimator=estimator
        )
        # large means would cancel in the Gram matrix; sparse columns stay sparse
        self.shift = np.zeros(self.matrix.shape[1])
        if estimator.fit_intercept is True and not sparse.issparse(self.matrix):
            self.shift = self.matrix.mean(axis=0)
            self.matrix = self.matrix - self.shift
        # two rows tell whether the parameters are valid, in scikit-learn's own words
        probe = clone(estimator).set_params(alpha=estimator.alpha or 1.0)
        probe.fit(self.matrix[:2], np.zeros(min(2, self.matrix.shape[0])))
        self._factor_of_all = None

    def fit(self, residual, rows, seed):
        """Fit to `residual` (n_samples, n_outputs) on `rows` (None: all of them)."""
        everything = rows is None
        rows = slice(None) if everything else rows
        matrix, residual = self.matrix[rows], residual[rows]
        weight = self.fit_params.get("sample_weight")
        weight = np.ones(len(residual)) if weight is None else np.asarray(weight)[rows]
        centre, offset = np.zeros(matrix.shape[1]), np.zeros(residual.shape[1])
        if self.estimator.fit_intercept:
            centre = (weight @ matrix) / weight.sum()
            offset = (weight @ residual) / weight.sum()
        if everything and self._factor_of_all is not None:
            factor = self._factor_of_all
        else:
            factor = self._factor(matrix, weight, centre)
        if everything:
            self._factor_of_all = factor
        weighted = weight[:, None] * (residual - offset)
        right = matrix.T @ weighted - np.outer(centre, weighted.sum(axis=0))
        coefficients = factor(right)
        return self._model(coefficients, offset - (centre + self.shift) @ coefficients)

    def predict(self, model, rows):
        """Predictions of `model` for `rows` (None: all of them) of the view."""
        matrix = self.matrix if rows is None else self.matrix[rows]
        intercept = model.intercept_ + self.shift @ model.coef_.T
        return as_outputs(matrix @ model.coef_.T + intercept)

    def _factor(self, matrix, weight, centre):
        """The function that solves (G + alpha I) b = right."""
        if sparse.issparse(matrix):
            gram = (matrix.T @ matrix.multiply(weight[:, None]).tocsr()).toarray()
        else:
            gram = matrix.T @ (weight[:, None] * matrix)
        gram -= weight.sum() * np.outer(centre, centre)
        gram[np.diag_indices_from(gram)] += self.estimator.alpha
        try:
            factor = linalg.cho_factor(gram)
        except linalg.LinAlgError:  # alpha = 0 and collinear columns
            return lambda right: linalg.lstsq(gram, right)[0]
        return lambda right: linalg.cho_solve(factor, right)

    def _model(self, coefficients, intercept):
        """The fitted `Ridge` that scikit-learn would have returned."""
        model = clone(self.estimator)
        single = len(intercept) == 1
        model.coef_ = coefficients[:, 0] if single else coefficients.T
        model.intercept_ = 0.0
        if self.estimator.fit_intercept:
            model.intercept_ = intercept[0] if single else intercept
        model.n_features_in_ = self.matrix.shape[1]
        names = getattr(self.view, "columns", None)
        if names is not None and all(isinstance(name, str) for name in names):
            model.feature_names_in_ = np.asarray(names, dtype=object)
        model.n_iter_ = None
        model.solver_ = "cholesky"
        return model


def make_learner(estimator, view, fit_params):
    """The fastest learner that gives what clone-and-fit would give."""
    if hasattr(view, "columns") and _hands_frame_to_lightgbm(estimator):
        _check_readable_by_lightgbm(view)
    if type(estimator) is Ridge and RidgeLearner.takes(estimator, view):
        return RidgeLearner(estimator, view, fit_params)
    return Learner(estimator, view, fit_params)


def _hands_frame_to_lightgbm(estimator):
    """Whether the columns reach LightGBM as they are."""
    if isinstance(estimator, Pipeline):
        *transformers, (_, last) = estimator.steps
        untouched = all(step in (None, "passthrough") for _, step in transformers)
        return untouched and _hands_frame_to_lightgbm(last)
    if type(estimator).__module__.partition(".")[0] == "lightgbm":
        return True
    inner = [getattr(estimator, name, None) for name in ("estimator", "regressor")]
    return any(_hands_frame_to_lightgbm(each) for each in inner if each is not None)


def _check_readable_by_lightgbm(frame):
    """Refuse column types that LightGBM does not read; from polars they abort Python."""
    unreadable = []
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if hasattr(dtype, "is_numeric"):  # polars
            readable = dtype.is_numeric() or str(dtype) == "Boolean"
        else:
            readable = dtype.kind in "biuf" or dtype.name == "category"
        if not readable:
            unreadable.append(f"{name!r} ({dtype})")
    if unreadable:
        raise ValueError(
            f"LightGBM cannot read the columns {', '.join(unreadable)}. Turn them into "
            "numbers in a pipeline, e.g. strings by make_pipeline(OrdinalEncoder(), "
            "LGBMRegressor()); categories of pandas (dtype 'category') it does read."
        )


def take_rows(params, rows, n_samples):
    """Cut to `rows` the values of `params` that have one entry per row."""
    return {
        name: _safe_indexing(value, rows)
        if hasattr(value, "__len__")
        and not isinstance(value, (str, dict))
        and len(value) == n_samples
        else value
        for name, value in params.items()
    }
