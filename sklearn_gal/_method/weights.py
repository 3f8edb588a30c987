"""Assistance weights of the organizations in a round."""

import numpy as np
from scipy import optimize, sparse

# Fitted values below this fraction of the residual, in the Euclidean norm, are rounding
# errors and count as zero.
_ZERO_FIT_TOL = 1e-12
# If a squared error is below this fraction of the squared residual, differences of inner
# products cancel, and the errors themselves are multiplied instead.
_CANCELLATION_TOL = 1e-6
# For few organizations, single inner products are faster than a matrix product, and from
# many rows on, single calls are faster than einsum. Neither depends on the other
# organizations to the last bit.
_FEW_ORGANIZATIONS, _MANY_ROWS = 8, 3_000


def uniform_weights(residual, fitted, sample_weight=None):
    """Return the same weight for every organization (an ablation of the paper)."""
    n_organizations = fitted.shape[1]
    return np.full(n_organizations, 1 / n_organizations)


def optimal_weights(residual, fitted, sample_weight=None):
    """Return weights on the simplex that minimise the squared error to the residual.

    Solves min_w ||r - sum_m w_m f_m||^2 subject to w >= 0, sum(w) = 1 exactly, from the
    M x M Gram matrix of the errors f_m - r.

    An organization whose fitted values are all zero gets weight 0.
    """
    residual, fitted, scale = _flatten_outputs(residual, fitted, sample_weight)
    gram, moments, square = _inner_products(residual, fitted, scale)
    involved = _is_nonzero(gram, square)
    if not involved.any():
        return np.full(len(fitted), 1 / len(fitted))
    errors = gram - moments[:, None] - moments + square
    if errors.diagonal().min() < _CANCELLATION_TOL * square:
        errors = _inner_products(residual, fitted - residual, scale)[0]
    if involved.all():
        return _min_norm_on_simplex(errors)
    weights = np.zeros(len(involved))
    weights[involved] = _min_norm_on_simplex(errors[np.ix_(involved, involved)])
    return weights


def _min_norm_on_simplex(gram):
    """Minimise ||E w||^2 subject to w >= 0 and sum(w) = 1, given the Gram matrix of E.

    Let u = s w with s = sum(u). The minimum of ||E u||^2 + (s - 1)^2 over s is an
    increasing function of ||E w||^2. Non-negative least squares for this augmented problem
    therefore gives the same w.
    """
    n_involved = len(gram)
    augmented, target = np.ones((n_involved + 1, n_involved)), np.zeros(n_involved + 1)
    augmented[:-1], target[-1] = _root(gram / (gram.trace() or 1.0)), 1.0
    solution, _ = optimize.nnls(augmented, target)
    return solution / solution.sum()


def nonnegative_weights(residual, fitted, sample_weight=None):
    """Return the weights of the direction that reduces the squared error most.

    Solves min_u ||r - sum_m u_m f_m||^2 subject to u >= 0 and returns u / sum(u). The line
    search determines the length of the step, so only the direction matters.
    `optimal_weights` also restricts the length to that of a mean of the f_m. If each
    organization explains another part of the residual, it therefore prefers the strongest
    organization, whereas these weights select all of them.
    """
    gram, moments, square = _inner_products(
        *_flatten_outputs(residual, fitted, sample_weight)
    )
    involved = _is_nonzero(gram, square)
    n_organizations = len(gram)
    if not involved.any():
        return np.full(n_organizations, 1 / n_organizations)
    gram, moments = gram[np.ix_(involved, involved)], moments[involved]
    gram = np.block([[gram, moments[:, None]], [moments, square]])
    norms = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
    root = _root(gram / np.outer(norms, norms))
    solution, _ = optimize.nnls(root[:, :-1], root[:, -1])
    if not solution.any():  # no organization gives a descent direction
        return np.full(n_organizations, 1 / n_organizations)
    weights = np.zeros(n_organizations)
    weights[involved] = solution / norms[:-1]
    return weights / weights.sum()


def optimal_absolute_weights(residual, fitted, sample_weight=None):
    """Return weights on the simplex that minimise the absolute error to the residual.

    Solves the linear programme min sum_i s_i (p_i + q_i) subject to
    r_i - sum_m w_m f_im = p_i - q_i. Unlike that of `optimal_weights`, its size grows with
    the number of rows.
    """
    residual, fitted, scale = _flatten_outputs(residual, fitted, sample_weight)
    gram, _, square = _inner_products(residual, fitted, None)
    involved = _is_nonzero(gram, square)
    if not involved.any():
        return np.full(len(fitted), 1 / len(fitted))
    weights = np.zeros(len(involved))
    n_rows, n_involved = len(residual), np.count_nonzero(involved)
    cost = np.ones(n_rows) if scale is None else scale
    unit = np.abs(residual).max() or 1.0  # the solver's tolerances are absolute
    identity = sparse.eye_array(n_rows)
    result = optimize.linprog(
        np.concatenate([np.zeros(n_involved), cost, cost]),
        A_eq=sparse.vstack(
            [
                sparse.hstack([fitted[involved].T / unit, identity, -identity]),
                np.append(np.ones(n_involved), np.zeros(2 * n_rows))[None],
            ],
            format="csc",
        ),
        b_eq=np.append(residual / unit, 1.0),
        method="highs",
    )
    if not result.success:
        raise RuntimeError(
            "The linear programme for the assistance weights was not solved "
            f"({result.message}). Use other weights than 'optimal_absolute'."
        )
    solution = np.maximum(result.x[:n_involved], 0)
    weights[involved] = solution / solution.sum()
    return weights


def descending_only(solve):
    """Restrict `solve` to organizations whose fitted values are descent directions.

    Out-of-fold predictions can point uphill. If they are small, the simplex solution may
    still select them because they shrink the combination, which reduces its distance to
    the residual. In the end, the combination itself points uphill and the fit stops. We
    therefore keep only organizations whose inner product with the residual exceeds one
    standard error over the rows; if there are none, those with a positive one; and if
    there are none of these either, all. The others get weight 0. With several outputs all
    are kept: there are more numbers for every weight.
    """

    def solve_descending(residual, fitted, sample_weight=None):
        if residual.shape[1] > 1:
            return solve(residual, fitted, sample_weight)
        descent, error = _directional_derivatives(residual, fitted, sample_weight)
        descends = descent > error
        if not descends.any():
            descends = descent > 0
        if descends.all() or not descends.any():
            return solve(residual, fitted, sample_weight)
        weights = np.zeros(len(descends))
        weights[descends] = solve(residual, fitted[:, descends], sample_weight)
        return weights

    return solve_descending


def _directional_derivatives(residual, fitted, sample_weight):
    """Return each organization's inner product with the residual and its standard error.

    A row of weight 2 counts as two rows.
    """
    if residual.shape[1] == 1:  # einsum over a single output takes twice as long
        along = np.ascontiguousarray(fitted[..., 0].T) * residual[:, 0]
    else:
        along = np.einsum("nmk,nk->mn", fitted, residual, order="C")
    weighted = along if sample_weight is None else sample_weight * along
    squares = [one @ other for one, other in zip(weighted, along, strict=True)]
    return weighted.sum(axis=1), np.sqrt(squares)


WEIGHTS = {
    "optimal": optimal_weights,
    "nonnegative": nonnegative_weights,
    "optimal_absolute": optimal_absolute_weights,
    "uniform": uniform_weights,
}
WEIGHTS_OUT_OF_FOLD = WEIGHTS | {
    "optimal": descending_only(nonnegative_weights),
    "optimal_absolute": descending_only(optimal_absolute_weights),
}


class Weighing:
    """Chooses the assistance weights of a pattern, by name or by the user's callable.

    Parameters
    ----------
    weights : str or callable
        A key of `WEIGHTS`, or ``(residual, fitted, sample_weight) -> weights``.

    Attributes
    ----------
    chooses : bool
        Whether the weights are chosen to fit the residual.
    """

    def __init__(self, weights):
        self._weights = weights
        self.chooses = isinstance(weights, str) and weights != "uniform"

    def __call__(self, residual, fitted, members, sample_weight, out_of_fold):
        """Return one weight per candidate; 0 for those of participants that are no members.

        Parameters
        ----------
        residual : ndarray of shape (n_rows, n_outputs)
            Pseudo-residual.
        fitted : ndarray of shape (n_rows, n_candidates, n_outputs)
            Fitted values. Those of participants that are not members count as 0.
        members : ndarray of bool of shape (n_candidates,)
            Candidates of members of the pattern that took part in the round.
        sample_weight : ndarray of shape (n_rows,) or None
            Weights of the rows.
        out_of_fold : bool
            Whether the fitted values are those of models that have not seen the row.
        """
        if not members.any():
            return np.zeros(len(members))
        if not members.all():
            fitted = np.where(members[:, None], fitted, 0.0)
        weights = self._solve(residual, fitted, sample_weight, out_of_fold)
        if members.all():
            return weights
        own = np.where(members, weights, 0.0)
        return own * (weights.sum() / own.sum()) if own.sum() else own

    def _solve(self, residual, fitted, sample_weight, out_of_fold):
        if isinstance(self._weights, str):
            solve = (WEIGHTS_OUT_OF_FOLD if out_of_fold else WEIGHTS)[self._weights]
        else:
            solve, fitted = self._weights, fitted.copy()  # a callable may keep or change it
        weights = np.asarray(solve(residual, fitted, sample_weight), dtype=np.float64)
        if weights.shape != fitted.shape[1:2] or not np.isfinite(weights).all():
            raise ValueError(
                f"weights={self._weights!r} must return {fitted.shape[1]} finite weights, "
                f"one per function in `fitted`, but returned {weights!r}."
            )
        return weights


def _flatten_outputs(residual, fitted, sample_weight):
    """Return residual (n * K,), fitted values (M, n * K) and weights (n * K,) of mean 1."""
    scale = None
    if sample_weight is not None:
        scale = np.repeat(sample_weight / sample_weight.mean(), residual.shape[1])
    flat = np.moveaxis(fitted, 1, 0).reshape(fitted.shape[1], -1)
    return residual.ravel(), np.ascontiguousarray(flat), scale


def _inner_products(residual, fitted, scale):
    """Return f_i . f_j (M, M), f_i . r (M,) and r . r, weighted by `scale`."""
    weighted = fitted if scale is None else fitted * scale
    square = residual @ (residual if scale is None else residual * scale)
    if len(fitted) > _FEW_ORGANIZATIONS:
        return weighted @ fitted.T, weighted @ residual, square
    if len(residual) < _MANY_ROWS:
        gram = np.einsum("in,jn->ij", weighted, fitted)
        return gram, np.einsum("in,n->i", weighted, residual), square
    gram = np.empty((len(fitted), len(fitted)))
    for i, one in enumerate(weighted):
        gram[i, i:] = gram[i:, i] = [one @ other for other in fitted[i:]]
    return gram, np.array([one @ residual for one in weighted]), square


def _root(gram):
    """Return a square matrix whose columns have the given inner products."""
    try:
        return np.linalg.cholesky(gram).T
    except np.linalg.LinAlgError:  # the matrix is singular up to rounding
        pass
    eigenvalues, eigenvectors = np.linalg.eigh(gram)
    return np.sqrt(np.maximum(eigenvalues, 0))[:, None] * eigenvectors.T


def _is_nonzero(gram, square):
    """Mask of the organizations whose fitted values are not zero up to rounding."""
    return gram.diagonal() > _ZERO_FIT_TOL**2 * square
