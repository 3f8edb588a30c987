"""Ridge by the normal equations, factored once for all residuals."""

from numbers import Real

import numpy as np
from scipy import linalg, sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.utils import check_array

from ._learners import Learner


class RidgeLearner(Learner):
    """`Ridge` by the normal equations of centred columns: exact, on sparse views too.

    All outputs are solved at once; fits to all rows share one Cholesky factor.
    """

    # Beyond, the Gram matrix costs more than Ridge's own solvers.
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
        weight = fit_params.get("sample_weight")
        self._weight = None if weight is None else np.asarray(weight, dtype=np.float64)
        self._solvers = {}

    def fit(self, residual, split, seed):
        """Fit to `residual` (n_samples, n_outputs) as `split` says.

        Returns the fitted model and its predictions for the rows to be judged.
        """
        # Rows outside the fit weigh nothing: a product with all rows is cheaper than a copy
        weight = np.zeros(len(residual))
        rows = slice(None) if split.rows is None else split.rows
        weight[rows] = 1.0 if self._weight is None else self._weight[rows]
        if split.key not in self._solvers:
            centre = np.zeros(self.matrix.shape[1])
            if self.estimator.fit_intercept:
                centre = (weight @ self.matrix) / weight.sum()
            solver = centre, self._factor(weight, centre)
            if split.key is not None:
                self._solvers[split.key] = solver
        else:
            solver = self._solvers[split.key]
        centre, solve = solver
        offset = np.zeros(residual.shape[1])
        if self.estimator.fit_intercept:
            offset = (weight @ residual) / weight.sum()
        weighted = weight[:, None] * (residual - offset)
        right = self.matrix.T @ weighted - np.outer(centre, weighted.sum(axis=0))
        coefficients = solve(right)
        intercept = offset - (centre + self.shift) @ coefficients
        fitted = self.matrix @ coefficients + (intercept + self.shift @ coefficients)
        judged = fitted if split.judged is None else fitted[split.judged]
        return self._model(coefficients, intercept), judged

    def forget(self, key):
        """Let go of what is kept for the splits with this key."""
        self._solvers.pop(key, None)

    def _factor(self, weight, centre):
        """The function that solves (G + alpha I) b = right."""
        matrix = self.matrix
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
