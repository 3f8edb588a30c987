import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize, minimize_scalar, nnls

from sklearn_gal import losses
from sklearn_gal._method.line_search import line_search
from sklearn_gal._method.weights import (
    WEIGHTS_OUT_OF_FOLD,
    nonnegative_weights,
    optimal_absolute_weights,
    optimal_weights,
    uniform_weights,
)


def problem(seed, n=60, m=5, k=2, signal=True):
    rng = np.random.default_rng(seed)
    residual = rng.normal(size=(n, k))
    fitted = rng.normal(size=(n, m, k)) * rng.gamma(1, size=m)[:, None]
    if signal:
        fitted += rng.uniform(0, 1, m)[:, None] * residual[:, None]
    return residual, fitted, rng.gamma(1, size=n)


def squared(weights, residual, fitted, sample_weight):
    error = residual - np.einsum("m,nmk->nk", weights, fitted)
    return (sample_weight[:, None] * error**2).sum()


def absolute(weights, residual, fitted, sample_weight):
    error = residual - np.einsum("m,nmk->nk", weights, fitted)
    return (sample_weight[:, None] * np.abs(error)).sum()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("solve", "objective"),
    [(optimal_weights, squared), (optimal_absolute_weights, absolute)],
)
def test_weights_are_optimal_on_the_simplex(solve, objective, seed):
    residual, fitted, sample_weight = problem(seed, m=2 + seed % 6, signal=seed % 3 > 0)
    weights = solve(residual, fitted, sample_weight)
    assert_allclose(weights.sum(), 1)
    assert (weights >= 0).all()
    best = objective(weights, residual, fitted, sample_weight)
    m = len(weights)
    rng = np.random.default_rng(seed)
    for other in [
        *np.eye(m),
        *rng.dirichlet(np.ones(m), 300),
        *rng.dirichlet(weights + 0.01, 300),
    ]:
        assert best <= objective(other, residual, fitted, sample_weight) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_nonnegative_weights_are_the_best_direction(seed):
    residual, fitted, sample_weight = problem(seed, m=2 + seed % 6)
    root = np.sqrt(sample_weight)[:, None, None]
    stacked = (root * fitted).transpose(0, 2, 1).reshape(-1, fitted.shape[1])
    expected, _ = nnls(stacked, (root[:, 0] * residual).ravel())
    weights = nonnegative_weights(residual, fitted, sample_weight)
    assert_allclose(weights, expected / expected.sum(), atol=1e-9)


def test_nonnegative_weights_of_parts_of_the_residual_are_those_of_their_sum(rng):
    parts, _ = np.linalg.qr(rng.normal(size=(50, 3)))
    parts = parts * [1.0, 3.0, 10.0]
    fitted = 0.1 * parts[:, :, None]
    weights = nonnegative_weights(parts.sum(axis=1, keepdims=True), fitted)
    assert_allclose(weights, 1 / 3)


def test_nonnegative_weights_without_a_descent_direction(rng):
    residual = rng.normal(size=(20, 1))
    fitted = np.stack([-residual, np.zeros_like(residual)], axis=1)
    assert_allclose(nonnegative_weights(residual, fitted), 0.5)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", ["optimal", "optimal_absolute"])
def test_an_ascent_direction_gets_no_weight(name, seed):
    residual, fitted, sample_weight = problem(seed, k=1, signal=False)
    slope = np.einsum("nmk,nk->m", fitted, sample_weight[:, None] * residual)
    weights = WEIGHTS_OUT_OF_FOLD[name](residual, fitted, sample_weight)
    assert_allclose(weights.sum(), 1)
    if (slope > 0).any():
        assert weights @ slope > 0
        assert (weights[slope <= 0] == 0).all()


@pytest.mark.parametrize("name", WEIGHTS_OUT_OF_FOLD)
@pytest.mark.parametrize("seed", range(10))
def test_a_row_of_weight_2_is_two_rows(name, seed):
    residual, fitted, _ = problem(seed, signal=False)
    count = np.random.default_rng(seed).integers(0, 4, size=len(residual))
    solve = WEIGHTS_OUT_OF_FOLD[name]
    repeated = solve(residual.repeat(count, axis=0), fitted.repeat(count, axis=0))
    assert_allclose(solve(residual, fitted, count), repeated, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "solve"),
    [("optimal", nonnegative_weights), ("optimal_absolute", optimal_absolute_weights)],
)
def test_out_of_fold_weights_are_the_optimum_over_descent_directions(name, solve):
    residual, fitted, sample_weight = problem(0, m=6, k=1)
    slope = np.einsum("nmk,nk->m", fitted, sample_weight[:, None] * residual)
    fitted = 3 * np.sign(slope)[:, None] * fitted + residual[:, None]
    chosen = WEIGHTS_OUT_OF_FOLD[name]
    expected = solve(residual, fitted, sample_weight)
    assert_array_equal(chosen(residual, fitted, sample_weight), expected)
    uphill = np.concatenate([fitted, -0.01 * residual[:, None]], axis=1)
    if name == "optimal_absolute":  # for it shortens the mean
        assert solve(residual, uphill, sample_weight)[-1] > 0
    weights = chosen(residual, uphill, sample_weight)
    assert_allclose(weights, [*expected, 0.0], atol=1e-12)
    ascending = -np.abs(fitted) * np.sign(residual)[:, None]
    expected = solve(residual, ascending, sample_weight)
    assert_array_equal(chosen(residual, ascending, sample_weight), expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "solve"),
    [("optimal", nonnegative_weights), ("optimal_absolute", optimal_absolute_weights)],
)
def test_with_several_outputs_all_take_part_out_of_fold(name, solve, seed):
    residual, fitted, sample_weight = problem(seed, signal=False)
    slope = np.einsum("nmk,nk->m", fitted, sample_weight[:, None] * residual)
    assert (slope < 0).any()
    assert_array_equal(
        WEIGHTS_OUT_OF_FOLD[name](residual, fitted, sample_weight),
        solve(residual, fitted, sample_weight),
    )


@pytest.mark.parametrize("seed", range(5))
def test_squared_error_weights_agree_with_a_general_solver(seed):
    residual, fitted, sample_weight = problem(seed)
    found = minimize(
        squared,
        uniform_weights(residual, fitted),
        (residual, fitted, sample_weight),
        method="SLSQP",
        bounds=[(0, 1)] * fitted.shape[1],
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert_allclose(optimal_weights(residual, fitted, sample_weight), found.x, atol=2e-5)


@pytest.mark.parametrize(
    "solve", [optimal_weights, nonnegative_weights, optimal_absolute_weights]
)
class TestWeights:
    def test_zero_changes_nothing(self, solve):
        residual, fitted, _ = problem(0)
        zero = np.zeros_like(fitted[:, :1])
        weights = solve(
            residual, np.concatenate([fitted[:, :2], zero, fitted[:, 2:]], axis=1)
        )
        assert weights[2] == 0
        assert_array_equal(np.delete(weights, 2), solve(residual, fitted))

    def test_all_zero_is_uniform(self, solve):
        assert_array_equal(solve(np.ones((4, 1)), np.zeros((4, 2, 1))), [0.5, 0.5])

    def test_exact_fit_takes_all(self, solve):
        residual, fitted, _ = problem(0, signal=False)
        fitted[:, 3] = residual
        assert_allclose(solve(residual, fitted), np.eye(5)[3], atol=1e-7)

    def test_identical_organizations(self, solve):
        residual, fitted, _ = problem(1)
        weights = solve(residual, fitted[:, [0, 0, 0]])
        assert_allclose(weights.sum(), 1)

    def test_scale_of_the_problem_does_not_matter(self, solve):
        residual, fitted, _ = problem(2)
        expected = solve(residual, fitted)
        for scale in (1e-9, 1e9):
            assert_allclose(solve(scale * residual, scale * fitted), expected, atol=1e-6)

    def test_integer_weights_count_repetitions(self, solve):
        residual, fitted, _ = problem(3)
        times = np.random.default_rng(0).integers(1, 4, len(residual))
        assert_allclose(
            solve(residual, fitted, times.astype(float)),
            solve(residual.repeat(times, axis=0), fitted.repeat(times, axis=0)),
            atol=1e-7,
        )


LOSSES = [
    losses.SquaredError(),
    losses.AbsoluteError(),
    losses.QuantileLoss(0.3),
    losses.HuberLoss(delta=0.5),
    losses.PoissonLoss(),
    losses.GammaLoss(),
    losses.LogLoss(),
    losses.ExponentialLoss(),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("start", [None, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("seed", range(4))
def test_line_search_finds_the_minimum(loss, start, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random((80, 1)) < 0.5) * 1.0
    if isinstance(loss, losses.GammaLoss):
        y += 0.5
    raw = rng.normal(size=y.shape)
    direction = loss.pseudo_residual(y, raw) + rng.normal(size=y.shape)
    sample_weight = rng.gamma(1, size=len(y)) if seed % 2 else None

    def value(rate):
        return loss.value(y, raw + rate * direction, sample_weight)

    rate = line_search(loss, y, raw, direction, sample_weight, start=start)
    found = minimize_scalar(
        value, bounds=(0, 20), method="bounded", options={"xatol": 1e-9}
    )
    assert value(rate) <= value(0)
    assert value(rate) <= found.fun + 1e-9 * abs(found.fun)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_squared_error_has_a_closed_form(scale):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 3)) * scale
    direction = y + rng.normal(size=y.shape) * scale
    rate = line_search(losses.SquaredError(), y, 0 * y, direction)
    assert_allclose(rate, (y * direction).sum() / (direction**2).sum(), rtol=1e-9)


def test_a_curvature_saves_passes_over_the_rows():
    class Counted(losses.LogLoss):
        passes = 0

        def pseudo_residual(self, y, raw_prediction):
            Counted.passes += 1
            return super().pseudo_residual(y, raw_prediction)

    rng = np.random.default_rng(0)
    y = (rng.random((500, 1)) < 0.3) * 1.0
    direction = y - 0.3 + rng.normal(size=y.shape)
    rate = line_search(Counted(), y, 0 * y, direction)
    assert Counted.passes <= 7
    expected = line_search(losses.LogLoss(), y, 0 * y, direction, start=1.0)
    assert_allclose(rate, expected, rtol=1e-10)


def test_a_wrong_curvature_does_not_mislead():
    class Wrong(losses.LogLoss):
        factor = 1.0

        def curvature(self, y, residual, direction):
            return self.factor * super().curvature(y, residual, direction)

    rng = np.random.default_rng(0)
    y = (rng.random((500, 1)) < 0.3) * 1.0
    direction = y - 0.3 + rng.normal(size=y.shape)
    expected = line_search(losses.LogLoss(), y, 0 * y, direction)
    for Wrong.factor in (-1.0, 0.0, 1e-3, 0.5, 2.0):
        assert_allclose(line_search(Wrong(), y, 0 * y, direction), expected, rtol=1e-6)


def test_no_descent_is_rate_zero():
    y = np.ones((5, 1))
    loss = losses.SquaredError()
    assert line_search(loss, y, 0 * y, -y) == 0
    assert line_search(loss, y, 0 * y, 0 * y) == 0
    assert line_search(loss, y, y, y) == 0


def test_separable_classes_have_a_bounded_rate():
    y = np.array([[0.0], [0], [1], [1]])
    direction = y - 0.5
    rate = line_search(losses.LogLoss(), y, 0 * y, direction)
    # the slope has fallen to a hundredth where expit(-rate / 2) = 0.005
    assert_allclose(rate, 2 * np.log(199), rtol=1e-6)


def test_loss_without_a_minimum_is_an_error():
    class Linear(losses.SquaredError):
        def pseudo_residual(self, y, raw_prediction):
            return np.ones_like(y)

    y = np.ones((3, 1))
    with pytest.raises(ValueError, match="decreases without bound"):
        line_search(Linear(), y, y, y)


def test_loss_with_infinite_slope_is_an_error():
    class Cliff(losses.SquaredError):
        def pseudo_residual(self, y, raw_prediction):
            return np.where(raw_prediction > 2, np.nan, 1.0)

    y = np.ones((3, 1))
    with pytest.raises(ValueError, match="must be finite"):
        line_search(Cliff(), y, y, y)


def test_a_loss_that_would_rise_is_not_followed():
    class Wrong(losses.SquaredError):
        def pseudo_residual(self, y, raw_prediction):
            return raw_prediction - y + 2

    y = np.zeros((3, 1))
    assert line_search(Wrong(), y, 0 * y, np.full((3, 1), -1.0)) == 0
