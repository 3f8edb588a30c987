import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from _helpers import covering, raw_prediction
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._method.gates import FunctionGate, StumpGate
from sklearn_gal.federated import (
    FederatedGALClassifier,
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    OrganizationService,
    OrganizationWarning,
)
from sklearn_gal.federated._wire import decode
from sklearn_gal.inspection import assistance_report
from sklearn_gal.privacy import LaplaceMechanism

NAMES = ["holder", "bank", "shop"]


def held(estimators=(None, None, None)):
    columns = [[0, 1], [2, 3], [4, 5]]
    return list(zip(NAMES, estimators, columns, strict=True))


def task(gal, n=600, seed=0):
    """Products of the label holder with an assistor, and of two assistors."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 6))
    y = 2 * X[:, 0] * X[:, 2] + 2 * X[:, 3] * X[:, 4] + X[:, 5]
    y += 0.1 * rng.normal(size=n)
    if gal is GALClassifier:
        return X, np.digitize(y, [-0.5, 0.5])
    return X, y


def fitted(gal, X, y, organizations=None, **settings):
    settings = {"interactions": True, "max_iter": 12, "random_state": 0, **settings}
    return gal(organizations or held(), **settings).fit(X, y)


def raw(model, X):
    return model.decision_function(X) if hasattr(model, "classes_") else model.predict(X)


# --- what they are for --------------------------------------------------------------------


def checkerboard(x, z):
    return (np.floor(2 * x) + np.floor(2 * z)) % 2 == 0


@pytest.mark.parametrize(
    "target",
    [
        lambda X: X[:, 0] * X[:, 2] > 0,
        lambda X: X[:, 2] * X[:, 4] > 0,
        lambda X: checkerboard(X[:, 0], X[:, 2]),
    ],
    ids=["exclusive or", "exclusive or of two assistors", "checkerboard"],
)
def test_no_column_tells_anything_by_itself(rng, target):
    X = rng.uniform(-1, 1, size=(4000, 6))
    y = target(X).astype(int)
    plain = fitted(GALClassifier, X[:3000], y[:3000], interactions=False, max_iter=40)
    model = fitted(GALClassifier, X[:3000], y[:3000], max_iter=40, interactions="auto")
    assert plain.score(X[3000:], y[3000:]) < 0.6
    assert model.score(X[3000:], y[3000:]) > 0.97


@pytest.mark.parametrize(
    ("estimator", "least"),
    [
        (None, 0.9),
        (Ridge(), 0.85),
        (make_pipeline(SplineTransformer(), Ridge()), 0.95),
    ],
    ids=["trees", "ridge", "splines"],
)
def test_any_learner_gains(estimator, least):
    X, y = task(GALRegressor, 2500)
    X_test, y_test = X[2000:], y[2000:]
    model = fitted(GALRegressor, X[:2000], y[:2000], held([estimator] * 3), max_iter=60)
    plain = fitted(
        GALRegressor, X[:2000], y[:2000], held([estimator] * 3), interactions=False
    )
    assert plain.score(X_test, y_test) < 0.4
    assert model.score(X_test, y_test) > least


# --- consistency --------------------------------------------------------------------------

MIXED = [None, Ridge(), make_pipeline(StandardScaler(), Ridge())]
SETTINGS = {
    "folds": {},
    "in-sample": {"cv": None},
    "bags": {"subsample": 0.6},
    "early stopping": {"cv": None, "early_stopping": True},
    "uniform": {"weights": "uniform"},
    "shared models": {"share_models": True, "organizations": held([Ridge()] * 3)},
    "mixed": {"organizations": held(MIXED)},
    "assistor first": {"label_holder": "bank"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_predictions_agree(gal, settings):
    X, y = task(gal, 400)
    model = fitted(gal, X, y, **{"max_iter": 6} | settings)
    assert any(any(each.gates) for each in model._model.rounds)
    whole = raw(model, X)
    staged = model.staged_predict if gal is GALRegressor else model.staged_decision_function
    assert_allclose(list(staged(X))[-1], whole, atol=1e-11)
    assert_allclose(raw_prediction(model, X).reshape(whole.shape), whole, atol=1e-11)
    assert_allclose(raw(pickle.loads(pickle.dumps(model)), X), whole, atol=1e-11)
    assert_allclose(np.concatenate([raw(model, X[[i]]) for i in range(9)]), whole[:9])
    pairs = model.interaction_contributions(X)
    assert_allclose(pairs, np.swapaxes(pairs, 1, 2), atol=1e-12)
    assert_allclose(pairs.sum(axis=2), model.contributions(X), atol=1e-11)
    off_diagonal = pairs[:, ~np.eye(3, dtype=bool)]
    assert np.abs(off_diagonal).max() > 0


def test_the_training_loss_is_that_of_the_predictions():
    X, y = task(GALRegressor)
    model = fitted(GALRegressor, X, y, cv=None)
    losses = [np.mean((y - each) ** 2) / 2 for each in model.staged_predict(X)]
    assert_allclose(losses, model.train_loss_[1:])


def test_several_outputs_and_weights(rng):
    X, y = task(GALRegressor)
    weight = rng.integers(0, 3, len(y))
    both = np.column_stack([y, X[:, 1] * X[:, 4]])
    model = GALRegressor(held(), interactions=True, max_iter=8, random_state=0)
    model.fit(X, both, sample_weight=weight)
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X), atol=1e-11)
    repeated = np.repeat(np.arange(len(y)), weight)
    assert model.score(X[repeated], both[repeated]) > 0.3


def test_threads_and_blocks_change_nothing(monkeypatch):
    X, y = task(GALRegressor)
    model = fitted(GALRegressor, X, y, max_iter=6)
    threads = fitted(GALRegressor, X, y, max_iter=6, n_jobs=2)
    assert_array_equal(model.predict(X), threads.predict(X))
    monkeypatch.setattr("sklearn_gal._method.model.MAX_BLOCK_BYTES", 10_000)
    assert_allclose(model.predict(X), threads.predict(X), atol=1e-12)


def one_by_one(monkeypatch):
    """Compute each product by itself."""
    for gate in (FunctionGate, StumpGate):
        monkeypatch.setattr(gate, "together", lambda gates, raw: None)
    monkeypatch.setattr("sklearn_gal._method.products.MAX_VALUES", 1)


@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
@pytest.mark.parametrize("missing_rows", ["error", "abstain"])
def test_products_together_are_those_one_by_one(rng, monkeypatch, gal, missing_rows):
    X, y = task(gal)
    if missing_rows == "abstain":
        X[rng.random(len(X)) < 0.3, 4:] = np.nan
    model = fitted(gal, X, y, missing_rows=missing_rows)
    gates = [each.gate for each, _ in model._model.terms(0)[1]]
    kinds = {getattr(gate, "kind", type(gate)) for gate in gates}
    assert len(kinds) == (3 if gal is GALRegressor else 2)  # signs, clipped ones, stumps
    expected = raw(model, X)
    pairs = model.interaction_contributions(X)
    one_by_one(monkeypatch)
    assert_array_equal(raw(model, X), expected)
    assert_array_equal(model.interaction_contributions(X), pairs)


@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_a_row_is_predicted_alone_as_among_others(rng, gal):
    # sums over nine chains would be added in another order if numpy.mean added them
    X, y = task(gal)
    X[rng.random(len(X)) < 0.3, 4:] = np.nan
    model = fitted(gal, X, y, missing_rows="abstain", cv=9, max_iter=6)
    some = raw(model, X[:30])
    for row in range(30):
        assert_array_equal(raw(model, X[row : row + 1])[0], some[row])


def test_what_a_pattern_needs_is_collected_once(monkeypatch):
    X, y = task(GALRegressor)
    model = fitted(GALRegressor, X, y, max_iter=4, warm_start=True)
    terms, expected = model._model.terms(0), model.predict(X)
    assert model._model.terms(0) is terms
    same = pickle.loads(pickle.dumps(model))
    assert same._model._terms == {}
    assert_array_equal(same.predict(X), expected)
    gone = model.drop_organization("shop", X, y)
    assert all(each.participant < 2 for each, _ in gone._model.terms(0)[1])
    model.set_params(max_iter=9).fit(X, y)
    assert len(model._model.terms(0)[1]) > len(terms[1])
    last = model._model.rounds.pop()  # as many rounds, but other ones
    model._model.rounds.append(replace(last, rates=2 * last.rates))
    assert not np.array_equal(model.predict(X), expected)
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X), atol=1e-11)


@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_warm_start_is_one_longer_fit(gal):
    X, y = task(gal, 300)
    whole = fitted(gal, X, y, max_iter=6)
    parts = fitted(gal, X, y, max_iter=3, warm_start=True)
    parts.set_params(max_iter=6).fit(X, y)
    assert_array_equal(raw(whole, X), raw(parts, X))


def test_who_joins_interacts():
    X, y = task(GALRegressor, 1200)
    y += X[:, 0]  # without it the label holder alone knows nothing
    model = fitted(GALRegressor, X[:, :2], y, held()[:1], warm_start=True)
    model.set_params(organizations=held(), max_iter=60).fit(X, y)
    assert np.abs(model.interaction_contributions(X)[:, 1, 2]).max() > 0
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X), atol=1e-11)


def test_who_leaves_takes_its_gates_along():
    X, y = task(GALRegressor, 1200)
    model = fitted(GALRegressor, X, y, max_iter=40)
    gone = model.drop_organization("shop", X, y)
    X_other = X.copy()
    X_other[:, 4:] = np.nan
    assert_array_equal(gone.predict(X_other), gone.predict(X))
    assert gone.interaction_contributions(X).shape == (1200, 2, 2, 1)
    assert_allclose(list(gone.staged_predict(X))[-1], gone.predict(X), atol=1e-11)
    assert 0.1 < gone.score(X, y) < model.score(X, y)


def test_where_rows_are_absent_gates_are_0(rng):
    X, y = task(GALRegressor, 1200)
    X[rng.random(1200) < 0.3, 4:] = np.nan
    model = fitted(GALRegressor, X, y, missing_rows="abstain", max_iter=20)
    assert_allclose(list(model.staged_predict(X))[-1], model.predict(X), atol=1e-11)
    pairs = model.interaction_contributions(X)
    absent = np.isnan(X[:, 4])
    assert (pairs[absent][:, 2] == 0).all()
    assert (pairs[absent][:, :, 2] == 0).all()
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize("weights", ["optimal", "uniform"])
def test_a_gate_counts_only_where_its_organization_is_present(rng, weights):
    # on the rows that choose the weights of a pattern, others may be present as well
    X, y = task(GALRegressor, 1200)
    X[rng.random(1200) < 0.3, 4:] = np.nan
    settings = {"missing_rows": "abstain", "weights": weights, "max_iter": 20}
    model = fitted(GALRegressor, X, y, **settings)
    n_gates = 0
    for step in model._model.rounds:
        for j, gate in enumerate(step.gates):
            if gate is not None:
                present = model.patterns_[:, NAMES.index(gate.partner)]
                assert (step.weights[~present, j] == 0).all()
                n_gates += step.weights[present, j].any()
    assert n_gates > 10


@pytest.mark.parametrize("weights", ["uniform", "nonnegative"])
@pytest.mark.parametrize("seed", [0, 2])
def test_replayed_rounds_agree_with_predictions(weights, seed):
    X, y = task(GALRegressor, 300)
    settings = {"weights": weights, "max_iter": 60, "random_state": seed}
    gone = fitted(GALRegressor, X, y, **settings).drop_organization("shop", X, y)
    assert_allclose(list(gone.staged_predict(X))[-1], gone.predict(X), atol=1e-11)


@pytest.mark.slow
def test_an_unlucky_gate_does_not_end_a_fit():
    X, y = task(GALRegressor)
    for seed in range(3):
        model = fitted(GALRegressor, X, y, cv=KFold(5), max_iter=40, random_state=seed)
        assert model.n_iter_ > 15


# --- which organizations interact ---------------------------------------------------------


def test_pairs():
    X, y = task(GALRegressor)
    model = fitted(GALRegressor, X, y, interactions=[("bank", "shop")], max_iter=20)
    pairs = np.abs(model.interaction_contributions(X)).max(axis=(0, 3))
    assert pairs[1, 2] > 0
    assert pairs[0, 1] == pairs[0, 2] == 0


@pytest.mark.slow
def test_pairs_when_an_organization_leaves():
    X, y = task(GALRegressor)
    y += X[:, 0]  # without it the label holder alone knows nothing
    pairs = [("holder", "bank"), ("bank", "shop")]
    model = fitted(GALRegressor, X, y, interactions=pairs, warm_start=True)
    gone = model.drop_organization("shop", X, y)
    assert gone.interactions == pairs[:1]
    n_before = gone.n_iter_
    gone.set_params(max_iter=20).fit(X, y)
    assert gone.n_iter_ > n_before
    report = assistance_report(model, X, y, cv=2, reference=None)
    assert set(report.scores) >= {"Alone", "Assisted", "Joint", "without shop"}


@pytest.mark.parametrize(
    ("n", "settings", "on"),
    [
        (60, {}, True),
        (19, {}, False),
        (60, {"cv": 3}, True),
        (60, {"cv": KFold(3)}, True),
        (60, {"cv": None}, False),
        (60, {"subsample": 0.6}, False),
        (60, {"privacy": LaplaceMechanism(2.0)}, False),
    ],
    ids=["folds", "few rows", "cv", "splitter", "in-sample", "bags", "privacy"],
)
def test_auto_is_on_where_values_are_held_out(n, settings, on):
    X, y = task(GALRegressor, n)
    y = y > 0 if "privacy" in settings else y + X[:, 0]
    gal = GALClassifier if "privacy" in settings else GALRegressor
    organizations = held([Ridge()] * 3)
    models = [
        fitted(gal, X, y, organizations, interactions=each, **settings)
        for each in ("auto", on, not on)
    ]
    for auto, same, other in np.array([raw(model, X) for model in models]).T:
        assert auto == same != other


@pytest.mark.parametrize(
    "wrong", ["all", 1, [("bank", "post")], [("bank", "bank")], ["bank"]]
)
def test_interactions_that_are_not_known(wrong):
    X, y = task(GALRegressor, 60)
    with pytest.raises(ValueError, match=r"interactions must be 'auto', True, False or"):
        fitted(GALRegressor, X, y, interactions=wrong)


def test_one_organization_does_not_interact():
    X, y = task(GALRegressor)
    one = [("holder", None, slice(None))]
    models = [fitted(GALRegressor, X, y, one, interactions=each) for each in (True, False)]
    assert_array_equal(*[model.predict(X) for model in models])


# --- what assistors receive ---------------------------------------------------------------


def test_with_privacy_every_draw_counts():
    X, y = task(GALClassifier)
    settings = {"privacy": LaplaceMechanism(1.0), "cv": None}
    model = fitted(GALClassifier, X, y > 0, **settings)
    # the plain residual once for all assistors, and that of every gate of an assistor
    n_different = sum(
        1 + sum(each.participant > 0 and each.gate is not None for each in step.candidates)
        for step in model._model.rounds
    )
    assert model.n_iter_ == 12
    assert model.privacy_spent_.n_rounds == n_different > 2 * model.n_iter_


# --- kinds of columns ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars", "sparse", "category"])
def test_kinds_of_columns(kind):
    X, y = task(GALRegressor, 900)
    names = list("abcdef")
    frame = pd.DataFrame(X, columns=names)
    organizations = held()
    if kind == "pandas":
        data = frame.astype({"a": "Float64"})
        data.loc[::50, "a"] = pd.NA
    elif kind == "polars":
        data = pl.DataFrame({name: X[:, j] for j, name in enumerate(names)})
    elif kind == "sparse":
        data = sparse.csr_matrix(X)
    else:
        data = frame.assign(b=pd.Categorical(np.where(X[:, 1] > 0, "x", "y")))
    model = fitted(GALRegressor, data, y, organizations, max_iter=25)
    assert_allclose(list(model.staged_predict(data))[-1], model.predict(data), atol=1e-11)
    assert model.score(data, y) > 0.5


def test_forests_of_several_outputs():
    X, y = task(GALClassifier)
    forest = RandomForestRegressor(2, max_depth=4, random_state=0)
    model = fitted(GALClassifier, X, y, held([forest] * 3), max_iter=3, cv=2)
    staged = list(model.staged_decision_function(X))
    assert_allclose(staged[-1], model.decision_function(X), atol=1e-11)


# --- between hosts ------------------------------------------------------------------------


def services_of(X, folder, estimator=None):
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(id=np.arange(len(X)))
    services = [
        OrganizationService(
            name,
            frame,
            "id",
            "s" * 16,
            folder / name,
            columns=columns,
            estimator=estimator,
        )
        for name, columns in (("bank", ["c", "d"]), ("shop", ["e", "f"]))
    ]
    return frame[["id", "a", "b"]], services


@pytest.mark.parametrize("interactions", [True, False])
def test_who_joins_between_hosts(tmp_path, interactions):
    X, y = task(GALRegressor, 300)
    y += X[:, 0] + X[:, 2]  # so that rounds without gates descend, too
    own, services = services_of(X, tmp_path)
    few, all_of_them = (
        Federation(LocalChannel(services), "s" * 16, names)
        for names in (["bank"], ["bank", "shop"])
    )
    settings = {"interactions": interactions, "warm_start": True, "random_state": 0}
    model = FederatedGALRegressor(few, None, key="id", **settings)
    model.set_params(organizations=[("holder", None, ["a", "b"])], max_iter=3).fit(own, y)
    local = GALRegressor(held()[:2], max_iter=3, **settings).fit(X[:, :4], y)
    model.set_params(federation=all_of_them, max_iter=7).fit(own, y)
    local.set_params(organizations=held(), max_iter=7).fit(X, y)
    assert_array_equal(model.weights_, local.weights_)
    assert_allclose(model.predict(own), local.predict(X), atol=1e-11)
    stages = list(model.staged_predict(own)), list(local.staged_predict(X))
    assert_allclose(*stages, atol=1e-11)
    model.set_params(max_iter=8).fit(own[:200], y[:200])  # walks the rounds
    local.set_params(max_iter=8).fit(X[:200], y[:200])
    assert_array_equal(model.weights_, local.weights_)
    assert_array_equal(model.train_loss_, local.train_loss_)


def test_the_only_other_host_cannot_leave(tmp_path):
    X, y = task(GALRegressor, 300)
    y += X[:, 0]
    own, services = services_of(X, tmp_path)
    federation = Federation(LocalChannel(services), "s" * 16, ["bank"])
    model = FederatedGALRegressor(
        federation, [("holder", None, ["a", "b"])], key="id", max_iter=2, random_state=0
    ).fit(own, y)
    with pytest.raises(ValueError, match="'bank' is the only one of the federation"):
        model.drop_organization("bank", own, y)


BETWEEN_HOSTS = [
    {},
    {"cv": None, "early_stopping": True},
    {"subsample": 0.6},
    {"missing_rows": "abstain"},
]


@pytest.mark.parametrize(
    ("settings", "linear", "gal"),
    covering([BETWEEN_HOSTS, [False, True]], [[GALRegressor, GALClassifier]]),
)
def test_between_hosts_to_the_last_bit(rng, gal, settings, linear, tmp_path):
    X, y = task(gal, 300)
    estimator = make_pipeline(StandardScaler(), Ridge()) if linear else None
    own, services = services_of(X, tmp_path, estimator)
    if "missing_rows" in settings:
        X[rng.random(len(X)) < 0.2, 4:] = np.nan
        services[1]._table[["e", "f"]] = X[:, 4:]
    federation = Federation(LocalChannel(services), "s" * 16)
    federated = FederatedGALRegressor if gal is GALRegressor else FederatedGALClassifier
    settings = {"interactions": True, "max_iter": 4, "random_state": 0, **settings}
    model = federated(
        federation, [("holder", estimator, ["a", "b"])], key="id", **settings
    ).fit(own, y)
    local = fitted(gal, X, y, held([estimator] * 3), **settings)
    staged = "staged_predict" if gal is GALRegressor else "staged_decision_function"
    gone = [
        (model.drop_organization("shop", own, y), local.drop_organization("shop", X, y)),
        (
            model.drop_organization("shop", own[9:], y[9:]),
            local.drop_organization("shop", X[9:], y[9:]),
        ),
    ]
    for one, other in [(model, local), *gone]:
        assert any(any(each.gates) for each in one._model.rounds)
        for name in ("weights_", "learning_rates_", "train_loss_", "validation_loss_"):
            assert_array_equal(getattr(one, name), getattr(other, name))
        assert_array_equal(raw(one, own), raw(other, X))
        stages = zip(getattr(one, staged)(own), getattr(other, staged)(X), strict=True)
        for stage, same_stage in stages:
            assert_array_equal(stage, same_stage)
    assert (model.communication_["error"] == "").all()


def test_a_row_between_hosts_to_the_last_bit(tmp_path):
    X, y = task(GALRegressor, 300)
    own, services = services_of(X, tmp_path)
    federation = Federation(LocalChannel(services), "s" * 16)
    settings = {"interactions": True, "max_iter": 10, "cv": 9, "random_state": 0}
    parts = [("holder", None, ["a", "b"])]
    model = FederatedGALRegressor(federation, parts, key="id", **settings).fit(own, y)
    local = fitted(GALRegressor, X, y, **settings)
    assert any(query.means for query in local._model.terms(0)[0])
    for row in range(5):
        here, there = X[row : row + 1], own.iloc[row : row + 1]
        assert_array_equal(model.predict(there), local.predict(here))


class Refusing:
    """A channel over which no organization answers requests of some numbers."""

    def __init__(self, channel, numbers):
        self.channel, self.numbers = channel, numbers
        self.organizations = channel.organizations

    def call(self, organization, request, timeout):
        if decode(request)[1].get("number") in self.numbers:
            raise ConnectionResetError
        return self.channel.call(organization, request, timeout)


def test_a_request_that_is_not_answered_is_not_the_round(tmp_path):
    X, y = task(GALRegressor, 300)
    own, services = services_of(X, tmp_path)
    # the first round has one request, as there is no function for gates; the next has two
    channel = Refusing(LocalChannel(services), numbers=[2])
    model = FederatedGALRegressor(
        Federation(channel, "s" * 16),
        interactions=True,
        max_iter=2,
        grace_period=0,
        random_state=0,
    )
    with pytest.warns(OrganizationWarning, match="did not answer"):
        model.fit(own["id"], y)
    assert model.n_iter_ == 2
    numbers = [[each.number for each in step.candidates] for step in model._model.rounds]
    assert numbers == [[0, 0], [1, 2, 1, 2]]
    assert model._model.rounds[1].weights[0, [1, 3]].tolist() == [0, 0]
    channel.numbers = [1, 2]  # a host may be back before the second request of a round
    with pytest.warns(OrganizationWarning, match="ended after 1 rounds"):
        model.fit(own["id"], y)
    assert model.n_iter_ == 1
    assert model.stop_reason_ == "organizations_away"
