"""Linear models by the normal equations, factored once for all residuals."""

from copy import copy
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from scipy import linalg, sparse
from sklearn.base import clone
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
from sklearn.svm import LinearSVR
from sklearn.utils import check_array

from .base import Learner
from .explained import Explanation
from .models import Term

# Estimators that predict X @ coef_ + intercept_
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


class RidgeLearner(Learner):
    """`Ridge` by the normal equations of centred columns, which are exact.

    All outputs are solved at once; fits to the same rows share one Cholesky factor. The
    view may be sparse.
    """

    # With more columns, the Gram matrix costs more than the solvers of Ridge.
    MAX_COLUMNS = 1000

    @classmethod
    def takes(cls, estimator, view, fit_params):
        """Whether the fit of `estimator` to `view` has this closed form."""
        return (
            type(estimator) is Ridge
            and fit_params.keys() <= {"sample_weight"}
            and estimator.solver in ("auto", "cholesky")
            and not estimator.positive
            and isinstance(estimator.alpha, Real)
            and view.shape[1] <= min(cls.MAX_COLUMNS, view.shape[0])
        )

    @staticmethod
    def merge(terms, sum_terms):
        """Merge linear models that predict all outputs into one."""
        linear = [term for term in terms if _is_linear(term)]
        if not linear:
            return terms
        others = [term for term in terms if not _is_linear(term)]
        return [*others, Term(None, _merged(linear), 1.0)]

    @staticmethod
    def merge_outputs(terms):
        """Merge linear models into one that predicts the outputs of all."""
        linear = [term for term in terms if type(term.model) in LINEAR]
        if not linear:
            return terms
        merged = _without_coefficients(linear[0].model)
        merged.coef_ = np.vstack([term.coefficient * _rows_of(term) for term in linear])
        merged.intercept_ = np.concatenate([_intercepts_of(term) for term in linear])
        outputs = [each for term in linear for each in np.ravel(term.output).tolist()]
        others = [term for term in terms if type(term.model) not in LINEAR]
        return [*others, Term(outputs, merged, 1.0)]

    @staticmethod
    def explain(model, view, background):
        """SHAP values of a linear model: coefficients times differences to the mean."""
        if type(model) not in LINEAR:
            return None
        matrix, others = (_as_dense(each) for each in (view, background.view))
        coefficients = np.atleast_2d(model.coef_)
        centre = others.mean(axis=0)
        values = (matrix - centre)[:, :, None] * coefficients.T
        return Explanation.exact(values, coefficients @ centre + np.ravel(model.intercept_))

    @staticmethod
    def n_outputs(model, n_outputs):
        """The number of outputs of a linear model."""
        return len(np.atleast_2d(model.coef_)) if type(model) in LINEAR else None

    def __init__(self, estimator, view, fit_params, make_learner=None):
        super().__init__(estimator, view, fit_params, make_learner)
        self.matrix = check_array(
            view, accept_sparse="csr", dtype=np.float64, estimator=estimator
        )
        # large means would cancel in the Gram matrix; sparse columns stay sparse
        self.shift = np.zeros(self.matrix.shape[1])
        if estimator.fit_intercept is True and not sparse.issparse(self.matrix):
            self.shift = self.matrix.mean(axis=0)
            self.matrix = self.matrix - self.shift
        # if a parameter is invalid, a fit to two rows raises scikit-learn's error
        self._probe().fit(self.matrix[:2], np.zeros(min(2, self.matrix.shape[0])))
        weight = fit_params.get("sample_weight")
        self._weight = None if weight is None else np.asarray(weight, dtype=np.float64)
        self._unfitted = clone(estimator)
        self._solvers = {}

    def _probe(self):
        return clone(self.estimator).set_params(alpha=self.estimator.alpha or 1.0)

    def fit(self, residual, split, seed):
        """Fit to a residual; see `Learner.fit`."""
        if split.key in self._solvers:
            weight, centre, solve = self._solvers[split.key]
        else:
            weight = self._weight_of(split)
            centre = np.zeros(self.matrix.shape[1])
            if self.estimator.fit_intercept:
                centre = _mean(self.matrix, weight)
            solve = self._factor(weight, centre)
            if split.key is not None:
                self._solvers[split.key] = weight, centre, solve
        if solve is None:
            return super().fit(residual, split, seed)
        offset = np.zeros(residual.shape[1])
        if self.estimator.fit_intercept:
            offset = _mean(residual, weight)
        weighted = residual - offset
        if weight is not None:
            weighted *= weight[:, None]
        right = self.matrix.T @ weighted - np.outer(centre, weighted.sum(axis=0))
        coefficients = solve(right)
        intercept = offset - (centre + self.shift) @ coefficients
        fitted = self.matrix @ coefficients
        fitted += intercept + self.shift @ coefficients
        if split.predict_rows is not None:
            fitted = fitted[split.predict_rows]
        return self._model(coefficients, intercept, solve), fitted

    def _weight_of(self, split):
        """Weights of all rows, 0 outside the fit: faster than copying the rows inside."""
        if split.rows is None:
            return self._weight
        weight = np.zeros(self.matrix.shape[0])
        weight[split.rows] = 1.0 if self._weight is None else self._weight[split.rows]
        return weight

    def _factor(self, weight, centre):
        """The function that solves (G + alpha I) b = right."""
        gram = self._gram(weight, centre)
        gram[np.diag_indices_from(gram)] += self.estimator.alpha
        try:
            factor = linalg.cho_factor(gram)
        except linalg.LinAlgError:  # alpha = 0 and collinear columns
            return lambda right: linalg.lstsq(gram, right)[0]
        return lambda right: linalg.cho_solve(factor, right)

    def _gram(self, weight, centre):
        """The Gram matrix of the columns minus `centre`."""
        matrix, total = self.matrix, self.matrix.shape[0]
        weighted = matrix
        if weight is not None:
            total = weight.sum()
            rows = sparse.diags_array(weight) if sparse.issparse(matrix) else None
            weighted = weight[:, None] * matrix if rows is None else rows @ matrix
        gram = matrix.T @ weighted
        gram = gram.toarray() if sparse.issparse(gram) else gram
        return gram - total * np.outer(centre, centre)

    def _model(self, coefficients, intercept, solve):
        """The fitted `Ridge` that scikit-learn would have returned."""
        model = copy(self._unfitted)
        single = len(intercept) == 1
        model.coef_ = coefficients[:, 0] if single else coefficients.T
        model.intercept_ = 0.0
        if self.estimator.fit_intercept:
            model.intercept_ = intercept[0] if single else intercept
        model.n_features_in_ = self.matrix.shape[1]
        names = getattr(self.view, "columns", None)
        if names is not None and all(isinstance(name, str) for name in names):
            model.feature_names_in_ = np.asarray(names, dtype=object)
        self._complete(model, solve)
        return model

    def _complete(self, model, solve):
        model.n_iter_ = None
        model.solver_ = "cholesky"


class LeastSquaresLearner(RidgeLearner):
    """`LinearRegression` by the same normal equations, if they are well conditioned.

    Otherwise, and on sparse views, where scikit-learn iterates, the estimator is cloned
    and fitted.
    """

    # The relative error of the coefficients is at most about 1e-16 times this condition.
    MAX_CONDITION = 1e6

    @classmethod
    def takes(cls, estimator, view, fit_params):
        """Whether the fit of `estimator` to `view` has this closed form."""
        return (
            type(estimator) is LinearRegression
            and fit_params.keys() <= {"sample_weight"}
            and not estimator.positive
            and not sparse.issparse(view)
            and view.shape[1] <= min(cls.MAX_COLUMNS, view.shape[0])
        )

    def _probe(self):
        return clone(self.estimator)

    def _factor(self, weight, centre):
        gram = self._gram(weight, centre)
        eigenvalues = linalg.eigvalsh(gram)
        if not eigenvalues[0] * self.MAX_CONDITION > eigenvalues[-1]:
            return None
        factor = linalg.cho_factor(gram)

        solve: Any = partial(linalg.cho_solve, factor)
        solve.singular = np.sqrt(eigenvalues[::-1])
        return solve

    def _complete(self, model, solve):
        model.rank_ = self.matrix.shape[1]
        model.singular_ = solve.singular


def _as_dense(view):
    matrix: Any = check_array(view, accept_sparse="csr", dtype=np.float64)
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def _mean(columns, weight):
    """Weighted mean over rows."""
    if weight is None:
        return np.ravel(columns.mean(axis=0))  # the mean of a sparse matrix is a matrix
    return (weight @ columns) / weight.sum()


def _is_linear(term):
    return term.output is None and type(term.model) in LINEAR


def _merged(terms):
    """A linear model whose prediction is the sum of the terms."""
    merged = _without_coefficients(terms[0].model)
    merged.coef_ = sum(share * np.atleast_2d(each.coef_) for _, each, share in terms)
    merged.intercept_ = sum(share * np.ravel(each.intercept_) for _, each, share in terms)
    return merged


def _rows_of(term):
    return np.atleast_2d(term.model.coef_)


def _intercepts_of(term):
    """Intercepts times the coefficient, for each of the outputs."""
    intercepts = np.broadcast_to(np.ravel(term.model.intercept_), len(_rows_of(term)))
    return term.coefficient * intercepts


def _without_coefficients(model):
    """A linear model of the same columns."""
    merged = Ridge()
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(model, name):
            setattr(merged, name, getattr(model, name))
    return merged
