"""What assistors receive instead of the exact residual."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold

from _helpers import Recorder, Zero, equal_parts
from sklearn_gal import GALClassifier, GALRegressor, losses, make_organizations
from sklearn_gal._base import IDLE_ROUNDS_WITH_PRIVACY
from sklearn_gal.privacy import IntervalMechanism, LaplaceMechanism, composed_epsilon


def recorded(gal, X, y, **settings):
    """The model, and what every organization was asked to fit: (n_rounds, n_samples)."""
    Recorder.calls.clear()
    organizations = equal_parts(X.shape[1], *(Recorder(name) for name in "abc"))
    model = gal(organizations, cv=None, **settings).fit(X, y)
    fits = Recorder.fits()
    return model, {
        name: np.array([call.y for call in fits if call.name == name]) for name in "abc"
    }


# --- the mechanisms ----------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.5, 2])
@pytest.mark.parametrize(("bounds", "diameter"), [((-1, 1), 2), ((0, 0.5), 0.5)])
def test_distribution_of_laplace_noise(epsilon, bounds, diameter):
    value = np.full((20_000, 1), 0.25)
    noisy = LaplaceMechanism(epsilon, bounds)(value, np.random.RandomState(0))
    expected = stats.laplace(0.25, diameter / epsilon)
    assert stats.kstest(noisy[:, 0], expected.cdf).pvalue > 0.01


def test_laplace_noise_hides_which_value_it_was_within_epsilon():
    # the definition, on bins: P(output | low) <= e^epsilon P(output | high)
    random_state, epsilon, n = np.random.RandomState(0), 1.0, 400_000
    mechanism = LaplaceMechanism(epsilon, (-1, 1))
    bins = np.linspace(-3, 3, 13)
    low, high = (
        np.histogram(mechanism(np.full((n, 1), value), random_state), bins)[0]
        for value in (-1, 1)
    )
    ratio = low / high
    tolerance = 4 * np.sqrt(1 / low.min() + 1 / high.min())
    assert ratio.max() < np.exp(epsilon) * (1 + tolerance)
    assert ratio.max() > np.exp(epsilon) * (1 - tolerance)  # and spends all of it
    assert ratio.min() > np.exp(-epsilon) * (1 - tolerance)


def test_scale_for_several_outputs():
    for loss, n_outputs, diameter in (
        (losses.LogLoss(), 1, 2),
        (losses.LogLoss(), 3, 4),
        (losses.LogLoss(), 10, 4),
        (losses.AbsoluteError(), 3, 6),
        (losses.QuantileLoss(0.9), 2, 2),
        (losses.HuberLoss(delta=2.0), 1, 4),
    ):
        settled = LaplaceMechanism(0.5).for_loss(loss, n_outputs)
        assert settled.diameter == diameter
        noise = settled(np.zeros((40_000, n_outputs)), np.random.RandomState(1))
        assert np.abs(noise).mean() == pytest.approx(diameter / 0.5, rel=0.03)
    narrow = LaplaceMechanism(1, bounds=(-0.5, 0.5)).for_loss(losses.LogLoss(), 3)
    assert narrow.diameter == 3
    assert LaplaceMechanism(1, diameter=1).for_loss(losses.LogLoss(), 3).diameter == 1


@pytest.mark.parametrize(
    "loss",
    [
        losses.LogLoss(),
        losses.AbsoluteError(),
        losses.QuantileLoss(0.3),
        losses.HuberLoss(1),
    ],
)
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_bounds_and_diameter_hold_for_all_residuals(rng, loss, n_outputs):
    y = rng.normal(size=(2000, n_outputs))
    if isinstance(loss, losses.LogLoss):
        y = np.eye(max(2, n_outputs))[rng.integers(0, max(2, n_outputs), 2000)][
            :, :n_outputs
        ]
    raw = rng.normal(scale=20, size=y.shape)
    residual = loss.pseudo_residual(y, raw)
    low, high = loss.residual_bounds()
    assert low <= residual.min()
    assert residual.max() <= high
    distance = np.abs(residual[:1000] - residual[1000:]).sum(axis=1).max()
    assert distance <= loss.residual_diameter(n_outputs) + 1e-12
    assert distance > 0.9 * loss.residual_diameter(n_outputs)


@pytest.mark.parametrize("value", [-1.0, -0.3, 0.0, 0.9, 2.0])
@pytest.mark.parametrize("n_thresholds", [1, 4])
def test_interval_mechanism_is_unbiased(value, n_thresholds):
    bounds, n = (-1.0, 2.0), 200_000
    noisy = IntervalMechanism(n_thresholds, bounds)(
        np.full((n, 1), value), np.random.RandomState(0)
    )
    variance = 9 / (3 * n_thresholds)
    assert abs(noisy.mean() - value) < 4 * np.sqrt(variance / n)
    assert noisy.var() < 1.02 * variance


def test_interval_mechanism_tells_the_intervals_only():
    # values that no threshold separates are sent as the same number
    mechanism = IntervalMechanism(3, (-1, 1))
    low, near = (
        mechanism(np.full((10_000, 1), v), np.random.RandomState(0)) for v in (0.2, 0.3)
    )
    share_separated = 1 - 0.95**3
    assert np.mean(low != near) == pytest.approx(share_separated, abs=0.015)


def test_laplace_mechanism_clips():
    noisy = LaplaceMechanism(1e9, (-1, 1))(
        np.array([[5.0], [-7.0]]), np.random.RandomState(0)
    )
    assert_allclose(noisy, [[1], [-1]], atol=1e-6)
    intervals = IntervalMechanism(2000, (-1, 1))
    noisy = intervals(np.array([[5.0], [-7.0]]), np.random.RandomState(0))
    assert_allclose(noisy, [[1], [-1]], atol=0.1)


def test_composition():
    assert composed_epsilon(0.5, 10) == 5
    assert composed_epsilon(0.5, 0, delta=1e-5) == 0
    for epsilon in (0.01, 0.1, 1, 800):
        advanced = composed_epsilon(epsilon, 100, delta=1e-6)
        assert advanced <= composed_epsilon(epsilon, 100)
        assert np.isfinite(advanced)
    exact = 0.1 * np.sqrt(200 * np.log(1e6)) + 10 * np.expm1(0.1)
    assert composed_epsilon(0.1, 100, delta=1e-6) == pytest.approx(exact)
    for bad in ((0, 1), (1, -1), (1, 1.5), (np.inf, 1)):
        with pytest.raises(ValueError, match="must be"):
            composed_epsilon(*bad)
    with pytest.raises(ValueError, match="delta"):
        composed_epsilon(1, 1, delta=1)


@pytest.mark.parametrize(
    ("mechanism", "arguments"),
    [
        (LaplaceMechanism, {"epsilon": 0}),
        (LaplaceMechanism, {"epsilon": -1}),
        (LaplaceMechanism, {"epsilon": "much"}),
        (LaplaceMechanism, {"epsilon": np.inf}),
        (LaplaceMechanism, {"epsilon": 1, "bounds": (1, -1)}),
        (LaplaceMechanism, {"epsilon": 1, "bounds": (0, np.inf)}),
        (LaplaceMechanism, {"epsilon": 1, "bounds": 3}),
        (LaplaceMechanism, {"epsilon": 1, "bounds": ("a", "b")}),
        (LaplaceMechanism, {"epsilon": 1, "diameter": 0}),
        (IntervalMechanism, {"n_thresholds": 0}),
        (IntervalMechanism, {"n_thresholds": 1.5}),
        (IntervalMechanism, {"n_thresholds": 1, "bounds": (0, 0)}),
    ],
)
def test_bad_arguments(mechanism, arguments):
    with pytest.raises(ValueError, match="must be"):
        mechanism(**arguments)


# --- in a fit ----------------------------------------------------------------------------


def test_the_label_holder_uses_the_exact_residual(diabetes):
    X, y = diabetes
    sent = []

    def noisy(residual, random_state):
        sent.append(residual)
        return residual + random_state.normal(scale=50, size=residual.shape)

    settings = {"max_iter": 4, "random_state": 0}
    model, seen = recorded(GALRegressor, X, y, privacy=noisy, **settings)
    assert_array_equal(seen["a"], [residual[:, 0] for residual in sent])
    assert_array_equal(seen["b"], seen["c"])  # all assistors get the same
    assert np.std(seen["b"] - seen["a"]) == pytest.approx(50, rel=0.1)
    # the residual moves on exactly: weights and rate are chosen with it
    raw = np.array(list(model.staged_predict(X)))
    assert_allclose(seen["a"][1:], (y - raw)[: len(seen["a"]) - 1])
    assert (np.diff(model.train_loss_) <= 0).all()


def test_noise_is_fresh_in_every_round_and_reproducible(diabetes):
    X, y = diabetes
    settings = {"max_iter": 4, "privacy": LaplaceMechanism(1), "loss": "absolute_error"}
    _, first = recorded(GALRegressor, X, y, random_state=0, **settings)
    _, again = recorded(GALRegressor, X, y, random_state=0, **settings)
    _, other = recorded(GALRegressor, X, y, random_state=1, **settings)
    assert_array_equal(first["b"], again["b"])
    assert (first["b"][0] != other["b"][0]).all()
    noise = first["b"] - first["a"]
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.2
    np.random.seed(0)  # noqa: NPY002
    _, one = recorded(GALRegressor, X, y, **settings)
    np.random.seed(0)  # noqa: NPY002
    _, two = recorded(GALRegressor, X, y, **settings)
    assert (one["b"][0] != two["b"][0]).all()  # the seed of the noise cannot be guessed


@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_large_epsilon_is_the_unperturbed_fit(wine, gal):
    X, y = wine
    settings = {
        "random_state": 0,
        "max_iter": 5,
        "cv": KFold(3, shuffle=True, random_state=0),
    }
    if gal is GALRegressor:
        settings["loss"] = "absolute_error"
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    plain = gal(organizations, interactions=False, **settings).fit(X, y)
    assert plain.n_iter_ > 2
    private = gal(organizations, privacy=LaplaceMechanism(1e9), **settings).fit(X, y)
    assert_allclose(private.contributions(X), plain.contributions(X), atol=1e-4)


def test_accuracy_approaches_that_without_noise(cancer):
    X, y = cancer
    train, test = np.arange(len(y)) % 2 == 0, np.arange(len(y)) % 2 == 1
    organizations = make_organizations(X, 4, random_state=3)

    def error(**settings):
        model = GALClassifier(organizations, max_iter=20, random_state=0, **settings)
        model.fit(X[train], y[train])
        probabilities = model.predict_proba(X[test])[:, 1]
        return np.mean((probabilities - y[test]) ** 2)

    errors = [error(privacy=LaplaceMechanism(epsilon)) for epsilon in (0.1, 3, 1000)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] == pytest.approx(error(), abs=0.01)


def test_spending_is_reported(wine):
    X, y = wine
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    model = GALClassifier(
        organizations,
        privacy=LaplaceMechanism(0.2),
        max_iter=5,
        line_search=False,
        warm_start=True,
    ).fit(X, y)
    spent = model.privacy_spent_
    assert spent.n_rounds == model.n_iter_ == 5
    assert spent.epsilon_per_round == 0.2
    assert spent.epsilon == pytest.approx(1)
    assert spent.epsilon_advanced == composed_epsilon(0.2, 5, spent.delta)
    assert model.set_params(max_iter=8).fit(X, y).privacy_spent_.n_rounds == 8
    with pytest.raises(ValueError, match="same privacy"):
        model.set_params(privacy=None, max_iter=9).fit(X, y)
    assert model.privacy_spent_.n_rounds == 8
    assert not hasattr(GALClassifier(max_iter=1).fit(X, y), "privacy_spent_")


def test_a_round_that_is_not_kept_counts_as_sent(wine):
    X, y = wine
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    quiet = GALClassifier(
        organizations, privacy=lambda r, _: r, max_iter=200, random_state=0, cv=None
    ).fit(X, y)
    dropped = GALClassifier(
        organizations, privacy=lambda r, _: 0 * r, weights="optimal", label_holder=None
    )
    with pytest.warns(ConvergenceWarning):
        dropped.set_params(organization_0=Zero()).fit(X, y)
    assert quiet.privacy_spent_.n_rounds >= quiet.n_iter_
    assert dropped.n_iter_ == 0
    # the last of the rounds without descent ends the fit; each of them was sent
    assert dropped.privacy_spent_.n_rounds == IDLE_ROUNDS_WITH_PRIVACY + 1


def test_no_promise_no_finite_budget(wine):
    X, y = wine
    organizations = make_organizations(X, 2, Ridge(), random_state=0)
    for privacy in (IntervalMechanism(3), lambda residual, random_state: residual):
        model = GALClassifier(organizations, privacy=privacy, max_iter=2).fit(X, y)
        assert model.privacy_spent_.epsilon == np.inf
    sole = GALClassifier(privacy=LaplaceMechanism(1), max_iter=2).fit(X, y)
    assert sole.privacy_spent_.n_rounds == 0  # nothing was sent
    assert sole.privacy_spent_.epsilon == 0


@pytest.mark.parametrize(
    "loss", ["squared_error", "huber", "poisson", "gamma", losses.HuberLoss()]
)
@pytest.mark.parametrize("mechanism", [LaplaceMechanism(1), IntervalMechanism(3)])
def test_bounds_that_only_the_data_know_are_the_users(diabetes, loss, mechanism):
    X, y = diabetes
    organizations = make_organizations(X, 3, random_state=0)
    model = GALRegressor(organizations, loss=loss, privacy=mechanism, max_iter=1)
    with pytest.raises(ValueError, match="no bounds that are known without the data"):
        model.fit(X, y)
    bounded = type(mechanism)(1, bounds=(-300, 300))
    assert clone(model).set_params(privacy=bounded).fit(X, y).n_iter_ >= 0


def test_exponential_loss_has_no_bounds(cancer):
    model = GALClassifier(loss="exponential", privacy=LaplaceMechanism(1))
    with pytest.raises(ValueError, match="no bounds that are known"):
        model.fit(*cancer)


def test_a_custom_loss_may_know_its_bounds(diabetes):
    X, y = diabetes

    class Smooth(losses.AbsoluteError):
        def pseudo_residual(self, y, raw_prediction):
            return np.tanh(y - raw_prediction)

    GALRegressor(loss=Smooth(), privacy=LaplaceMechanism(1), max_iter=1).fit(X, y)


def test_neither_class_weights_nor_folds_tell_the_class(cancer):
    X, y = cancer
    model = GALClassifier(class_weight="balanced", privacy=LaplaceMechanism(1))
    with pytest.raises(ValueError, match="would tell the assistors the class"):
        model.fit(X, y)
    Recorder.calls.clear()
    organizations = [("a", Ridge(), [0]), ("b", Recorder(), [1])]
    settings = {"privacy": lambda r, _: r, "max_iter": 1, "random_state": 0, "cv": 2}
    for target in (y, np.roll(y, 200)):
        GALClassifier(organizations, **settings).fit(X, target)
    folds = [call.X for call in Recorder.fits()]
    assert_array_equal(folds[0], folds[2])


@pytest.mark.parametrize(
    "answer", [lambda r: r[:-1], lambda r: r * np.nan, lambda r: r[:, 0]]
)
def test_what_a_callable_returns_is_checked(diabetes, answer):
    X, y = diabetes
    organizations = make_organizations(X, 2, random_state=0)
    model = GALRegressor(organizations, privacy=lambda residual, _: answer(residual))
    with pytest.raises(ValueError, match="must return finite numbers of shape"):
        model.fit(X, y)


def test_a_callable_cannot_change_the_label_holders_residual(diabetes):
    X, y = diabetes

    def in_place(residual, random_state):
        residual[:] = 0
        return residual

    _, seen = recorded(GALRegressor, X, y, privacy=in_place, max_iter=1)
    assert np.abs(seen["a"]).max() > 1


def test_searchable(cancer):
    X, y = cancer
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    grid = {"privacy": [None, LaplaceMechanism(1), IntervalMechanism(5)]}
    search = GridSearchCV(GALClassifier(organizations, max_iter=3), grid, cv=2)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()
