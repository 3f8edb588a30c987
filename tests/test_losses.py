import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime, minimize
from sklearn.metrics import log_loss

from sklearn_gal import losses

rng = np.random.default_rng(0)
N = 12
REAL = rng.normal(size=(N, 2)) * 3
POSITIVE = rng.gamma(2, size=(N, 1))
BINARY = np.arange(N)[:, None] % 2 * 1.0
ONE_HOT = np.eye(4)[rng.integers(0, 4, N)]

CASES = [
    (losses.SquaredError(), REAL),
    (losses.AbsoluteError(), REAL),
    (losses.QuantileLoss(0.8), REAL),
    (losses.HuberLoss(), REAL),
    (losses.HuberLoss(delta=0.7), REAL),
    (losses.PoissonLoss(), POSITIVE),
    (losses.GammaLoss(), POSITIVE),
    (losses.LogLoss(), BINARY),
    (losses.LogLoss(), ONE_HOT),
    (losses.ExponentialLoss(), BINARY),
]
IDS = [f"{type(loss).__name__}-{y.shape[1]}" for loss, y in CASES]


@pytest.fixture(params=CASES, ids=IDS)
def case(request):
    loss, y = request.param
    return loss.for_target(y), y


def test_pseudo_residual_is_the_negative_gradient(case):
    loss, y = case
    raw = rng.normal(size=y.shape)
    gradient = approx_fprime(
        raw.ravel(), lambda f: loss.value(y, f.reshape(y.shape)) * len(y), 1e-7
    )
    assert_allclose(loss.pseudo_residual(y, raw).ravel(), -gradient, atol=2e-5)


def test_curvature_is_the_second_derivative_along_a_direction(case):
    loss, y = case
    if not hasattr(loss, "curvature"):
        pytest.skip("kinked")
    raw, direction = rng.normal(size=(2, *y.shape))
    ahead, behind = (loss.pseudo_residual(y, raw + h * direction) for h in (1e-6, -1e-6))
    expected = ((behind - ahead) / 2e-6 * direction).sum(axis=1)
    curvature = loss.curvature(y, loss.pseudo_residual(y, raw), direction)
    assert_allclose(curvature, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_baseline_minimises_the_loss(case, weighted):
    loss, y = case
    weight = rng.integers(1, 5, len(y)).astype(float) if weighted else None
    loss = loss.for_target(y, weight)
    baseline = loss.baseline(y, weight)

    def value(constant):
        return loss.value(y, np.tile(constant, (len(y), 1)), weight)

    best = minimize(value, baseline, method="Nelder-Mead", options={"xatol": 1e-8})
    # Huber's baseline is one step towards the minimum
    slack = 0.02 if isinstance(loss, losses.HuberLoss) else 1e-7
    assert value(baseline) <= best.fun * (1 + np.sign(best.fun) * slack) + 1e-9


def test_integer_weights_count_repetitions(case):
    loss, y = case
    weight = rng.integers(1, 4, len(y))
    raw = rng.normal(size=y.shape)
    repeated = y.repeat(weight, axis=0)
    loss = loss.for_target(repeated)
    assert_allclose(
        loss.value(y, raw, weight.astype(float)),
        loss.value(repeated, raw.repeat(weight, axis=0)),
    )
    assert_allclose(loss.baseline(y, weight.astype(float)), loss.baseline(repeated))


def test_huber_delta_is_settled_once_from_the_target():
    loss = losses.HuberLoss(quantile=0.5)
    settled = loss.for_target(REAL)
    assert loss.delta is None
    assert_allclose(
        settled.delta, np.median(np.abs(REAL - np.median(REAL, axis=0)), axis=0)
    )


def test_huber_of_a_constant_target_is_finite():
    y = np.full((5, 1), 3.0)
    loss = losses.HuberLoss().for_target(y)
    assert_allclose(loss.baseline(y), 3)
    assert loss.value(y, y) == 0


def test_log_loss_is_that_of_scikit_learn():
    raw = rng.normal(size=ONE_HOT.shape)
    loss = losses.LogLoss()
    expected = log_loss(ONE_HOT.argmax(axis=1), loss.inverse_link(raw), labels=range(4))
    assert_allclose(loss.value(ONE_HOT, raw), expected)


@pytest.mark.parametrize("loss", [losses.LogLoss(), losses.ExponentialLoss()])
def test_probabilities_of_the_baseline_are_the_prior(loss):
    y = np.array([[1.0], [0], [0], [0]])
    assert_allclose(loss.inverse_link(loss.baseline(y)[None]), [[0.75, 0.25]])


def test_extreme_raw_predictions_stay_finite(case):
    loss, y = case
    for raw in (np.full(y.shape, 1e4), np.full(y.shape, -1e4)):
        assert np.isfinite(loss.value(y, raw))
        assert np.isfinite(loss.pseudo_residual(y, raw)).all()
        if hasattr(loss, "inverse_link"):
            assert np.isfinite(loss.inverse_link(raw)).all()
        if hasattr(loss, "error_scale"):
            scale = loss.error_scale(raw)
            assert (np.isfinite(scale) & (scale > 0)).all()


def test_errors_grow_as_the_standard_deviation_of_the_target():
    mean = np.array([[0.5], [2.0], [9.0]])
    for loss, variable in (
        (losses.PoissonLoss(), np.random.default_rng(0).poisson(mean, (3, 100_000))),
        (losses.GammaLoss(), np.random.default_rng(0).gamma(2, mean / 2, (3, 100_000))),
    ):
        ratio = variable.std(axis=1) / loss.error_scale(np.log(mean))[:, 0]
        assert_allclose(ratio, ratio[0], rtol=0.02)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (losses.PoissonLoss(), [-1.0, 2], "non-negative"),
        (losses.PoissonLoss(), [0.0, 0], "at least one"),
        (losses.GammaLoss(), [0.0, 2], "strictly positive"),
    ],
)
def test_target_outside_the_domain(loss, y, message):
    with pytest.raises(ValueError, match=message):
        loss.for_target(np.array(y)[:, None])


def test_exponential_loss_is_binary():
    with pytest.raises(ValueError, match="4 classes; use loss='log_loss'"):
        losses.ExponentialLoss().for_target(ONE_HOT)


@pytest.mark.parametrize(
    "make",
    [
        lambda: losses.QuantileLoss(1.0),
        lambda: losses.HuberLoss(quantile=0),
        lambda: losses.HuberLoss(delta=-1),
    ],
)
def test_bad_constants(make):
    with pytest.raises(ValueError, match="must"):
        make()


def test_unknown_losses_list_the_known_ones():
    with pytest.raises(ValueError, match="'absolute_error', 'gamma', 'huber'"):
        losses.get_loss("squared", losses.REGRESSION_LOSSES)
    with pytest.raises(ValueError, match="pass an instance"):
        losses.get_loss(losses.LogLoss, losses.CLASSIFICATION_LOSSES)
    with pytest.raises(ValueError, match="'pseudo_residual'"):
        losses.get_loss(3, losses.REGRESSION_LOSSES)


def test_base_class_leaves_three_methods_open():
    loss = losses.Loss()
    for method in (loss.pointwise, loss.pseudo_residual):
        with pytest.raises(NotImplementedError):
            method(REAL, REAL)
    with pytest.raises(NotImplementedError):
        loss.baseline(REAL)
