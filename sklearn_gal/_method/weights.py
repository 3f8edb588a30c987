"""Assistance weights: what the fitted values of each organization count in a round."""

import numpy as np
from scipy import optimize, sparse

# An organization whose fitted values are smaller than this share of the residual offers
# nothing but rounding.
_ZERO_FIT_TOL = 1e-12
# Below this share of the residual, squared errors would cancel in inner products.
_CANCELS = 1e-6
# Inner products of so few organizations are faster one by one than as a matrix product, in
# calls of their own from so many rows on; and to the last bit they depend on nobody else.
_FEW_ORGANIZATIONS, _MANY_ROWS = 8, 3_000


def uniform_weights(residual, fitted, sample_weight=None):
    """The same weight for every organization (an ablation of the paper)."""
    n_organizations = fitted.shape[1]
    return np.full(n_organizations, 1 / n_organizations)


def optimal_weights(residual, fitted, sample_weight=None):
    """Weights on the simplex that minimise the squared error to the residual.

    Solves min_w ||r - sum_m w_m f_m||^2 subject to w >= 0, sum(w) = 1 exactly, from the
    M x M Gram matrix of the errors f_m - r.

    An organization that fitted nothing but zeros takes no part and gets weight 0.
    """
    residual, fitted, scale = _flat(residual, fitted, sample_weight)
    gram, moments, square = _inner_products(residual, fitted, scale)
    involved = _fitted_something(gram, square)
    if not involved.any():
        return np.full(len(fitted), 1 / len(fitted))
    errors = gram - moments[:, None] - moments + square
    if errors.diagonal().min() < _CANCELS * square:
        errors = _inner_products(residual, fitted - residual, scale)[0]
    if involved.all():
        return _least_on_simplex(errors)
    weights = np.zeros(len(involved))
    weights[involved] = _least_on_simplex(errors[np.ix_(involved, involved)])
    return weights


def _least_on_simplex(gram):
    """The w >= 0 with sum(w) = 1 and the least ||E w||^2, from the Gram matrix of E.

    The point of a convex hull nearest to the origin. Along a ray w = u / s, s = sum(u), the
    least ||E u||^2 + (s - 1)^2 is a rising function of ||E w||^2, so that non-negative
    least squares on that augmented problem has the same w.
    """
    n_involved = len(gram)
    augmented, target = np.ones((n_involved + 1, n_involved)), np.zeros(n_involved + 1)
    augmented[:-1], target[-1] = _root(gram / (gram.trace() or 1.0)), 1.0
    solution, _ = optimize.nnls(augmented, target)
    return solution / solution.sum()


def nonnegative_weights(residual, fitted, sample_weight=None):
    """Weights of the direction along which the squared error to the residual falls most.

    Solves min_u ||r - sum_m u_m f_m||^2 subject to u >= 0, and returns u / sum(u). The rate
    is searched along the direction, so that its length is free. `optimal_weights` asks for
    a length, too, that of a mean of the f_m; of organizations that each explain another
    part of the residual, all of which a sum would take, it prefers the strongest.
    """
    gram, moments, square = _inner_products(*_flat(residual, fitted, sample_weight))
    involved = _fitted_something(gram, square)
    n_organizations = len(gram)
    if not involved.any():
        return np.full(n_organizations, 1 / n_organizations)
    gram, moments = gram[np.ix_(involved, involved)], moments[involved]
    gram = np.block([[gram, moments[:, None]], [moments, square]])
    norms = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float64).tiny))
    root = _root(gram / np.outer(norms, norms))
    solution, _ = optimize.nnls(root[:, :-1], root[:, -1])
    if not solution.any():  # no organization descends downhill
        return np.full(n_organizations, 1 / n_organizations)
    weights = np.zeros(n_organizations)
    weights[involved] = solution / norms[:-1]
    return weights / weights.sum()


def optimal_absolute_weights(residual, fitted, sample_weight=None):
    """Weights on the simplex that minimise the absolute error to the residual.

    A linear programme: min sum_i s_i (p_i + q_i) with r_i - sum_m w_m f_im = p_i - q_i.
    Its size grows with the number of rows, unlike `optimal_weights`.
    """
    residual, fitted, scale = _flat(residual, fitted, sample_weight)
    gram, _, square = _inner_products(residual, fitted, None)
    involved = _fitted_something(gram, square)
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
        raise RuntimeError(f"The assistance weights were not found: {result.message}")
    solution = np.maximum(result.x[:n_involved], 0)
    weights[involved] = solution / solution.sum()
    return weights


def descending_only(solve):
    """`solve` among the organizations whose fitted values lead downhill; 0 for the others.

    For values out of fold, which may lead uphill. Where they are small they make a mean
    shorter, and so nearer to the residual, until the mean descends uphill itself and the fit
    ends. Downhill is by more than one standard error over the rows, a row of weight 2 being
    two, or by anything if nobody descends further.
    """

    def solved(residual, fitted, sample_weight=None):
        descent, error = _directional_derivatives(residual, fitted, sample_weight)
        descends = descent > error
        if not descends.any():
            descends = descent > 0
        if descends.all() or not descends.any():
            return solve(residual, fitted, sample_weight)
        weights = np.zeros(len(descends))
        weights[descends] = solve(residual, fitted[:, descends], sample_weight)
        return weights

    return solved


def _directional_derivatives(residual, fitted, sample_weight):
    """Inner product of every organization with the residual, and its standard error."""
    if residual.shape[1] == 1:  # a sum over one output takes twice as long
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
    "optimal": descending_only(optimal_weights),
    "optimal_absolute": descending_only(optimal_absolute_weights),
}


def _flat(residual, fitted, sample_weight):
    """Outputs side by side, (n * K,) and (M, n * K), and their weights, of mean 1."""
    scale = None
    if sample_weight is not None:
        scale = np.repeat(sample_weight / sample_weight.mean(), residual.shape[1])
    flat = np.moveaxis(fitted, 1, 0).reshape(fitted.shape[1], -1)
    return residual.ravel(), np.ascontiguousarray(flat), scale


def _inner_products(residual, fitted, scale):
    """Those of the fitted values (M, M), with the residual (M,), and its square."""
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
    """A square matrix with these inner products of its columns."""
    try:
        return np.linalg.cholesky(gram).T
    except np.linalg.LinAlgError:  # somebody's column is a sum of others', up to rounding
        pass
    eigenvalues, eigenvectors = np.linalg.eigh(gram)
    return np.sqrt(np.maximum(eigenvalues, 0))[:, None] * eigenvectors.T


def _fitted_something(gram, square):
    return gram.diagonal() > _ZERO_FIT_TOL**2 * square
