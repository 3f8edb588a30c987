"""Line search for the assisted learning rate."""

import numpy as np
from scipy import optimize

# A slope smaller than this fraction of its Cauchy-Schwarz bound counts as zero.
_FLAT_SLOPE_TOL = 1e-10
# If the loss has no minimum along the direction (separable classes), the search stops where
# the slope is this fraction of the slope at rate 0.
_SLOPE_AT_BOUND = 1e-2
# A slope below this fraction of the slope at rate 0 counts as level.
_LEVEL_SLOPE_TOL = 1e-6
_MAX_EXPANSIONS = 200
# Newton's method doubles the number of correct digits with each step. After a step below
# this fraction of the rate, the next step would be rounding error.
_CONVERGED = 1e-8
_CONVERGED_COARSELY = 1e-2
_MAX_NEWTON_STEPS = 12
# A slope below this fraction of the slope at rate 0 is rounding error.
_ROUNDING = 1e-12
_EPSILON = np.finfo(np.float64).eps


def line_search(
    loss,
    y,
    raw_prediction,
    direction,
    sample_weight=None,
    residual=None,
    *,
    start=None,
    coarse=False,
):
    """Return the rate >= 0 that minimises a convex loss along `direction`.

    The rate is the root of the slope of the loss. It has a closed form if the loss
    `is_quadratic`, and is found by Newton's method if the loss has a `curvature`. If it has
    neither, or if Newton's method does not converge, the root is bracketed from `start` and
    found by Brent's method.

    The rate is 0 if `direction` is not a descent direction, or if the loss at the root is
    not lower than at rate 0, which is not checked if the rate is only needed to a percent
    (`coarse`) and Newton's method has found it. If the loss decreases without a minimum, as
    for separable classes, the rate is where the slope is a hundredth of that at rate 0.
    """
    along = _LossAlongDirection(loss, y, raw_prediction, direction, sample_weight)
    if residual is None:
        residual = along.residual(0.0)
    slope_at_0 = along.slope(residual)
    square = np.vdot(residual, residual) / len(y)
    length = np.vdot(direction, direction)
    largest_slope = np.sqrt(square * length / len(y))
    if not slope_at_0 < -_FLAT_SLOPE_TOL * largest_slope:
        return 0.0
    if getattr(loss, "is_quadratic", False) and start is None:
        if sample_weight is not None:
            length = np.vdot(direction, along.weighted)
        curvature = length / along.total
        # whether the loss decreases by more than rounding error
        decreases = slope_at_0**2 > _EPSILON * curvature * square
        return -slope_at_0 / curvature if decreases else 0.0

    rate = None
    if hasattr(loss, "curvature") and start is None:
        converged = _CONVERGED_COARSELY if coarse else _CONVERGED
        rate = _newton(along, slope_at_0, along.curvature(residual), converged)
        if coarse and rate is not None:
            return rate
    if rate is None:
        high, has_minimum = _bracket(along, slope_at_0, 1.0 if start is None else start)
        target = 0.0 if has_minimum else _SLOPE_AT_BOUND * slope_at_0
        rate = optimize.brentq(
            lambda rate: along(rate) - target, 0.0, high, xtol=1e-14 * high, rtol=1e-12
        )
    before = loss.value(y, raw_prediction, sample_weight)
    after = loss.value(y, raw_prediction + rate * direction, sample_weight)
    return rate if after < before else 0.0


def constant_rate(*arguments, **options):
    """Return the rate 1 for any direction (an ablation of the paper)."""
    return 1.0


class _LossAlongDirection:
    """The slope of a loss along a direction, as a function of the rate."""

    def __init__(self, loss, y, raw_prediction, direction, sample_weight):
        self.loss, self.y, self.raw_prediction = loss, y, raw_prediction
        self.direction = self.weighted = direction
        self.sample_weight, self.total = sample_weight, len(y)
        if sample_weight is not None:
            self.weighted = sample_weight[:, None] * direction
            self.total = sample_weight.sum()

    def residual(self, rate):
        """Pseudo-residual at a rate."""
        return self.loss.pseudo_residual(
            self.y, self.raw_prediction + rate * self.direction
        )

    def slope(self, residual):
        """Slope at the rate whose pseudo-residual is `residual`."""
        return -float(np.vdot(residual, self.weighted)) / self.total

    def curvature(self, residual):
        """Curvature at the rate whose pseudo-residual is `residual`."""
        curvature = self.loss.curvature(self.y, residual, self.direction)
        return float(np.average(curvature, weights=self.sample_weight))

    def __call__(self, rate):
        return self.slope(self.residual(rate))


def _newton(along, slope, curvature, converged):
    """Root of the slope by Newton's method from rate 0, or None if it does not converge."""
    rate = low = 0.0
    high, level = np.inf, _ROUNDING * abs(slope)
    for _ in range(_MAX_NEWTON_STEPS):
        step = -slope / curvature if curvature > 0 else np.nan
        if rate > 0 and abs(step) <= converged * rate:
            return rate + step
        rate = rate + step
        if not low < rate < high:
            return None
        residual = along.residual(rate)
        slope = along.slope(residual)
        if abs(slope) <= level:
            return rate
        curvature = along.curvature(residual)
        low, high = (rate, high) if slope < 0 else (low, rate)
    return None


def _bracket(slope, slope_at_0, high):
    """Upper bound of the search, and whether the loss has a minimum below it.

    Without a minimum, the slope at the bound is close to zero.
    """
    level = _LEVEL_SLOPE_TOL * abs(slope_at_0)
    was_level = False
    for _ in range(_MAX_EXPANSIONS):
        slope_at_high = slope(high)
        if not np.isfinite(slope_at_high):
            raise ValueError(
                f"The slope of the overarching loss is {slope_at_high} at learning rate "
                f"{high:.3g}: its 'pseudo_residual' must be finite."
            )
        if slope_at_high > level:
            return _shrink_bracket(slope, high), True
        is_level = slope_at_high >= -level
        if is_level and was_level:
            return high, False
        was_level = is_level
        high *= 4
    if slope_at_high > _SLOPE_AT_BOUND * slope_at_0:
        return high, False
    raise ValueError(
        "The overarching loss decreases without bound along the assisted direction: its "
        "'pseudo_residual' must be the negative gradient of a loss bounded from below."
    )


def _shrink_bracket(slope, high):
    """Lower `high` while the loss still rises there; rates depend on the scale of y."""
    for _ in range(_MAX_EXPANSIONS):
        if not slope(high / 4) > 0:
            break
        high /= 4
    return high
