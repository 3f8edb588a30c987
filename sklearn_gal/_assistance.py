"""The label holder's two optimisations: assistance weights and assisted learning rate."""

import numpy as np
from scipy import linalg, optimize, sparse

# An organization whose fitted values are smaller than this share of the residual offers
# nothing but rounding.
_NOTHING = 1e-12
# A round whose slope is smaller than this share of what the Cauchy-Schwarz inequality
# allows leads nowhere.
_FLAT = 1e-10
# Where the loss falls for ever (separable classes), stop when its slope has fallen to this
# share of the slope at rate 0.
_SLOPE_AT_BOUND = 1e-2
# A slope below this share of the slope at rate 0 counts as level.
_LEVEL = 1e-6
_MAX_EXPANSIONS = 200


def uniform_weights(residual, fitted, sample_weight=None):
    """The same weight for every organization (an ablation of the paper)."""
    n_organizations = fitted.shape[1]
    return np.full(n_organizations, 1 / n_organizations)


def optimal_weights(residual, fitted, sample_weight=None):
    """Weights on the simplex that minimise the squared error to the residual.

    Solves min_w ||r - sum_m w_m f_m||^2 subject to w >= 0, sum(w) = 1 exactly, from the
    M x M Gram matrix of the errors f_m - r. With sum(w) = 1 the objective is ||E w||^2,
    E the errors, i.e. the point of a convex hull nearest to the origin. Along a ray
    w = u / s, s = sum(u), the least ||E u||^2 + (s - 1)^2 is a rising function of
    ||E w||^2, so non-negative least squares on that augmented problem has the same w.

    An organization that fitted nothing but zeros takes no part and gets weight 0.
    """
    residual, fitted = _as_rows(residual, fitted, sample_weight)
    involved = _fitted_something(residual, fitted)
    if not involved.any():
        return uniform_weights(residual, fitted)
    weights = np.zeros(len(involved))
    error = fitted[:, involved] - residual[:, None]
    gram = error.T @ error
    eigenvalues, eigenvectors = linalg.eigh(gram / (np.trace(gram) or 1.0))
    root = np.sqrt(np.maximum(eigenvalues, 0))[:, None] * eigenvectors.T
    n_involved = len(gram)
    solution, _ = optimize.nnls(
        np.vstack([root, np.ones(n_involved)]), np.append(np.zeros(n_involved), 1.0)
    )
    weights[involved] = solution / solution.sum()
    return weights


def optimal_absolute_weights(residual, fitted, sample_weight=None):
    """Weights on the simplex that minimise the absolute error to the residual.

    A linear programme: min sum_i s_i (p_i + q_i) with r_i - sum_m w_m f_im = p_i - q_i.
    Its size grows with the number of rows, unlike `optimal_weights`.
    """
    scale = None if sample_weight is None else np.repeat(sample_weight, residual.shape[1])
    residual, fitted = _as_rows(residual, fitted)
    involved = _fitted_something(residual, fitted)
    if not involved.any():
        return uniform_weights(residual, fitted)
    weights = np.zeros(len(involved))
    n_rows, n_involved = len(residual), np.count_nonzero(involved)
    cost = np.ones(n_rows) if scale is None else scale / scale.mean()
    unit = np.abs(residual).max() or 1.0  # the solver's tolerances are absolute
    identity = sparse.eye_array(n_rows)
    result = optimize.linprog(
        np.concatenate([np.zeros(n_involved), cost, cost]),
        A_eq=sparse.vstack(
            [
                sparse.hstack([fitted[:, involved] / unit, identity, -identity]),
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


WEIGHTS = {
    "optimal": optimal_weights,
    "optimal_absolute": optimal_absolute_weights,
    "uniform": uniform_weights,
}


def _as_rows(residual, fitted, sample_weight=None):
    """Outputs stacked as rows: residual (n * K,), fitted values (n * K, M), weighted."""
    n_samples, n_organizations, n_outputs = fitted.shape
    if sample_weight is not None:
        root = np.sqrt(sample_weight / sample_weight.mean())
        residual = residual * root[:, None]
        fitted = fitted * root[:, None, None]
    stacked = fitted.transpose(0, 2, 1).reshape(n_samples * n_outputs, n_organizations)
    return residual.ravel(), stacked


def _fitted_something(residual, fitted):
    return np.abs(fitted).max(axis=0) > _NOTHING * np.abs(residual).max()


def line_search(loss, y, raw_prediction, direction, sample_weight=None, start=1.0):
    """Assisted learning rate: the rate >= 0 along `direction` with the least loss.

    The root of the slope of a convex loss, bracketed from `start` and found by Brent's
    method (exact in two steps for the squared error). 0 if `direction` is not one of
    descent. Where the loss falls for ever, as for separable classes, the rate at which
    its slope has fallen to a hundredth. Never a rate with a larger loss than rate 0.
    """

    def slope(rate):
        residual = loss.pseudo_residual(y, raw_prediction + rate * direction)
        per_row = np.einsum("ij,ij->i", residual, direction)
        return -float(np.average(per_row, weights=sample_weight))

    residual = loss.pseudo_residual(y, raw_prediction)
    largest_slope = np.sqrt(np.mean(residual**2) * np.mean(direction**2))
    slope_at_0 = slope(0.0)
    if not slope_at_0 < -_FLAT * largest_slope:
        return 0.0

    high, rises = _bracket(slope, slope_at_0, start)
    target = 0.0 if rises else _SLOPE_AT_BOUND * slope_at_0
    rate = optimize.brentq(
        lambda rate: slope(rate) - target, 0.0, high, xtol=1e-14 * high, rtol=1e-12
    )
    before = loss.value(y, raw_prediction, sample_weight)
    after = loss.value(y, raw_prediction + rate * direction, sample_weight)
    return rate if after < before else 0.0


def _bracket(slope, slope_at_0, high):
    """A rate where the loss rises again, or else beyond which it stays level."""
    level = _LEVEL * abs(slope_at_0)
    was_level = False
    for _ in range(_MAX_EXPANSIONS):
        slope_at_high = slope(high)
        if not np.isfinite(slope_at_high):
            raise ValueError(
                f"The slope of the overarching loss is {slope_at_high} at learning rate "
                f"{high:.3g}: its 'pseudo_residual' must be finite."
            )
        if slope_at_high > level:
            return _lowered(slope, high), True
        is_level = slope_at_high >= -level
        if is_level and was_level:
            return high, False
        was_level = is_level
        high *= 4
    if slope_at_high > _SLOPE_AT_BOUND * slope_at_0:
        return high, False
    raise ValueError(
        "The overarching loss falls without bound along the assisted direction: its "
        "'pseudo_residual' must be the negative gradient of a loss bounded from below."
    )


def _lowered(slope, high):
    """`high`, lowered while the loss still rises there: rates have the scale of y."""
    for _ in range(_MAX_EXPANSIONS):
        if not slope(high / 4) > 0:
            break
        high /= 4
    return high
