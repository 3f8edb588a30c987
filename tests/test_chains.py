"""Every fold has a descent of the rows outside it, and rounds are judged."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.tree import DecisionTreeRegressor

from _helpers import Zero, assert_same_model
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._learners import to_estimator
from sklearn_gal._method.selection import Selection
from sklearn_gal._organizations.local import LocalOrganization

COLUMNS = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}


def held(*estimators):
    estimators = estimators or [Ridge(), None, Ridge()]
    return [
        (name, estimator, columns)
        for estimator, (name, columns) in zip(estimators, COLUMNS.items(), strict=True)
    ]


def task(n=400, seed=0, noise=0.5):
    """Parts of three organizations, and a product of columns of two of them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 6))
    y = X[:, 0] + X[:, 2] + X[:, 4] + 2 * X[:, 1] * X[:, 3]
    return X, y + noise * rng.normal(size=n)


def fitted(X, y, gal=GALRegressor, **settings):
    fit_params = settings.pop("fit_params", {})
    settings = {"organizations": held(), "max_iter": 8, "random_state": 0, **settings}
    return gal(**settings).fit(X, y, **fit_params)


def observed(monkeypatch, *arguments, **settings):
    """A fitted model, and what organizations were asked for and have fitted."""
    seen, fit_round = [], LocalOrganization.fit_round

    def observing(self, request):
        seen.append((request, fit_round(self, request)))
        return seen[-1][1]

    with monkeypatch.context() as patch:
        patch.setattr(LocalOrganization, "fit_round", observing)
        return fitted(*arguments, **settings), seen


def reject(monkeypatch, rejected):
    """Have rounds of some numbers rejected, in addition to those that are judged so."""
    lowers_loss = Selection.lowers_loss

    def judge(self, proposal, values, residuals, number, before):
        if number in rejected:
            return False
        return lowers_loss(self, proposal, values, residuals, number, before)

    monkeypatch.setattr(Selection, "lowers_loss", judge)


def with_gaps(X):
    X = X.copy()
    X[::4, 2:4] = np.nan
    X[1::5, 4:] = np.nan
    return X


WEIGHT = np.random.default_rng(5).integers(0, 4, 400).astype(float)
GROUPS = np.arange(400) // 8
SETTINGS = {
    "folds": {"interactions": False},
    "splitter": {
        "interactions": False,
        "cv": GroupKFold(3),
        "fit_params": {"groups": GROUPS},
    },
    "interactions": {"interactions": True, "max_iter": 15},
    "weights": {"interactions": True, "fit_params": {"sample_weight": WEIGHT + 1}},
    "uniform": {"weights": "uniform", "interactions": True},
    "shared": {"share_models": True, "organizations": held(*[Ridge()] * 3)},
    "abstain": {"missing_rows": "abstain", "interactions": False},
    "abstain, interactions": {"missing_rows": "abstain", "interactions": True},
}
each_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def table_of(X, settings):
    return with_gaps(X) if "missing_rows" in settings else X


# --- what a chain sees --------------------------------------------------------------------


@pytest.mark.parametrize("cv", [KFold(4), KFold(2)], ids=str)
def test_a_chain_does_not_depend_on_the_target_of_its_fold(monkeypatch, cv):
    # with constant weights and rates, chains have nothing in common but the baseline
    X, y = task()
    monkeypatch.setattr(Selection, "lowers_loss", lambda *arguments: True)
    settings = {"cv": cv, "max_iter": 4, "weights": "uniform", "line_search": False}
    settings["interactions"] = False
    _, requests = observed(monkeypatch, X, y, **settings)
    assert len(requests) == 12
    for fold, (_, inside) in enumerate(cv.split(X)):
        other = y.copy()
        other[inside] = np.random.default_rng(0).permutation(y[inside])
        _, others = observed(monkeypatch, X, other, **settings)
        for (one, values), (another, other_values) in zip(requests, others, strict=True):
            assert_allclose(one.residual[fold], another.residual[fold], atol=1e-9)
            assert_allclose(values[fold], other_values[fold], atol=1e-9)
            away = (fold + 1) % cv.n_splits
            assert np.abs(values[away] - other_values[away]).max() > 1e-3


@each_setting
def test_a_residual_is_0_where_the_chain_does_not_see_the_row(monkeypatch, settings):
    X, y = task()
    _, seen = observed(monkeypatch, table_of(X, settings), y, **settings)
    assert len(seen) > 10
    for request, values in seen:
        assert len(request.residual) == len(values) == request.folds.n_chains
        for chain, residual in enumerate(request.residual):
            inside = request.folds.numbers == chain
            assert (residual[inside] == 0).all()
            assert np.count_nonzero(residual) > 0.7 * np.count_nonzero(~inside)


def test_groups_are_not_divided_among_chains(monkeypatch):
    _, seen = observed(monkeypatch, *task(), **SETTINGS["splitter"])
    numbers = seen[0][0].folds.numbers
    assert len(set(zip(numbers.tolist(), GROUPS.tolist(), strict=True))) == 50
    assert all(request.folds.numbers is numbers for request, _ in seen)


# --- predictions by hand ------------------------------------------------------------------


def by_hand(model, X):
    """Raw predictions of complete rows by every chain, (n_chains, n_samples, n_outputs)."""
    participants = {each.name: each for each in model._model.participants}
    names = model._model.participants.participant_names

    def function(name, number):
        chains = to_estimator(participants[name].models[number]).estimators
        own = X[:, participants[name].columns]
        return np.stack([each.predict(own).reshape(len(X), -1) for each in chains])

    total = model.baseline_prediction_
    for step in model._model.rounds:
        for candidate, coefficient in zip(
            step.candidates, step.coefficients(0), strict=True
        ):
            gate, gated = candidate.gate, 1.0
            if hasattr(gate, "column"):
                column = X[:, COLUMNS[gate.partner][gate.column]]
                gated = np.where(column > gate.threshold, 1.0, -1.0)[:, None]
            elif gate is not None and gate.bound.threshold is not None:
                above = function(gate.partner, gate.number) > gate.bound.threshold
                gated = np.where(above, 1.0, -1.0)
            elif gate is not None:
                gated = np.clip(
                    function(gate.partner, gate.number) * gate.bound.scale, -1, 1
                )
            values = function(names[candidate.participant], candidate.number)
            total = total + coefficient * gated * values
    return total


@pytest.mark.parametrize("name", ["folds", "splitter", "interactions", "weights"])
def test_raw_predictions_are_those_of_the_chains(monkeypatch, name):
    X, y = task()
    settings = {"warm_start": True, **SETTINGS[name]}
    model, seen = observed(monkeypatch, X, y, **settings)
    chains = by_hand(model, X)
    # of new rows: the mean over the chains of products of gate and function
    X_new, _ = task(seed=1)
    assert_allclose(model.predict(X_new), by_hand(model, X_new).mean(axis=0)[:, 0])
    # of training rows: each by the chain that has not seen it
    numbers = seen[0][0].folds.numbers
    held_out = chains[numbers, np.arange(len(X)), 0]
    weight = SETTINGS[name].get("fit_params", {}).get("sample_weight")
    loss = np.average((y - held_out) ** 2, weights=weight) / 2
    assert_allclose(model.train_loss_[-1], loss)
    (snapshot,) = model._state.snapshots
    (kept, _, _), _ = snapshot.values
    assert_allclose(kept[0], chains, atol=1e-10)


@each_setting
def test_all_ways_to_predict_agree(settings):
    X, y = task()
    model = fitted(table_of(X, settings), y, **settings)
    for rows in (X, with_gaps(X)) if "missing_rows" in settings else (X,):
        predicted = model.predict(rows)
        assert_allclose(list(model.staged_predict(rows))[-1], predicted, atol=1e-11)
        raw = model.baseline_prediction_ + model.contributions(rows).sum(axis=1)
        assert_allclose(raw[:, 0], predicted, atol=1e-11)


# --- judging ------------------------------------------------------------------------------


@each_setting
def test_a_rejected_round_moves_nothing(monkeypatch, settings):
    X, y = task()
    X = table_of(X, settings)
    reject(monkeypatch, {1, 3})
    model = fitted(X, y, **settings)
    stages = [np.full(len(X), model.baseline_prediction_[0]), *model.staged_predict(X)]
    assert (model.learning_rates_[[0, 2]] > 0).all()
    for number in (1, 3):
        assert not model.pattern_learning_rates_[number].any()
        assert not model.pattern_weights_[number].any()
        assert_array_equal(stages[number + 1], stages[number])
        for losses in (model.train_loss_, model.validation_loss_):
            assert losses[number + 1] == losses[number]


def test_rejected_rounds_at_the_end_are_forgotten(monkeypatch):
    X, y = task()
    settings = {"interactions": True, "warm_start": True}
    short = fitted(X, y, max_iter=3, **settings)
    reject(monkeypatch, range(3, 100))
    model = fitted(X, y, max_iter=50, **settings)
    assert model.stop_reason_ == "no_descent"
    assert_same_model(model, short, X, X)
    for one, other in zip(
        model._model.participants, short._model.participants, strict=True
    ):
        assert one.models.keys() == other.models.keys()


def test_a_round_that_raises_the_loss_of_other_rows_is_rejected():
    X, y = task()
    honest = held(*[Ridge()] * 3)
    noise = [(f"noise_{m}", DecisionTreeRegressor(), [6, 7]) for m in range(3)]
    X = np.hstack([X, np.random.default_rng(0).normal(size=(400, 2))])
    settings = {"weights": "uniform", "line_search": False, "learning_rate": 0.9}
    good = fitted(X, y, organizations=honest, max_iter=1, **settings)
    assert good.n_iter_ == 1
    with pytest.warns(ConvergenceWarning, match="without a round"):
        bad = fitted(X, y, organizations=noise, **settings)
    assert bad.stop_reason_ == "no_descent"


@pytest.mark.slow
@pytest.mark.parametrize("interactions", [False, "auto"])
def test_of_noise_little_is_learnt(interactions):
    rng = np.random.default_rng(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings = {"interactions": interactions, "max_iter": 50}
        models = [
            fitted(rng.normal(size=(200, 6)), rng.normal(size=200), **settings)
            for _ in range(20)
        ]
    assert max(np.count_nonzero(model.learning_rates_) for model in models) < 15
    n_rounds = [model.n_iter_ for model in models]
    assert len(caught) == n_rounds.count(0)
    assert interactions or len(caught) > 2
    assert all("without a round" in str(each.message) for each in caught)
    X = rng.normal(size=(5_000, 6))
    assert np.mean([np.mean(np.square(model.predict(X))) for model in models]) < 0.03


@pytest.mark.slow
def test_the_judged_loss_is_that_of_new_rows():
    garbage = np.random.default_rng(1).normal(size=(2_400, 24))
    organizations = [
        *held(),
        *((f"noise_{m}", Ridge(), np.arange(6 + 4 * m, 10 + 4 * m)) for m in range(6)),
    ]
    n, excess, optimism = 200, [], []
    for seed in range(12):
        X, y = task(2_400, seed, noise=2.0)
        X = np.hstack([X, garbage])
        model = fitted(
            X[:n], y[:n], organizations=organizations, max_iter=30, random_state=seed
        )
        new = np.mean((y[n:] - model.predict(X[n:])) ** 2) / 2
        # the noise of the training rows is known: what is compared is free of it
        base = [np.mean((part - y[:n].mean()) ** 2) / 2 for part in (y[:n], y[n:])]
        excess.append((model.validation_loss_[-1] - base[0]) - (new - base[1]))
        optimism.append((model.train_loss_[-1] - base[0]) - (new - base[1]))
    error = np.std(excess, ddof=1) / np.sqrt(len(excess))
    assert abs(np.mean(excess)) < 2 * error
    assert np.mean(optimism) < np.mean(excess)


def test_in_sample_there_is_one_chain_that_is_not_judged(monkeypatch):
    X, y = task()
    reject(monkeypatch, range(100))  # would reject whatever is judged
    settings = {"cv": None, "interactions": False}
    model, seen = observed(monkeypatch, X, y, **settings)
    assert model.n_iter_ == 8
    assert (model.learning_rates_ > 0).all()
    assert model.validation_loss_.shape == (0,)
    for request, values in seen:
        assert request.folds is None
        assert request.residual.shape == values.shape == (1, 400, 1)
    loss = np.mean((y - model.predict(X)) ** 2) / 2
    assert_allclose(model.train_loss_[-1], loss)


@pytest.mark.parametrize("interactions", [False, True])
def test_a_subsample_is_one_chain_that_does_not_see_the_rest(monkeypatch, interactions):
    X, y = task()
    reject(monkeypatch, range(100))
    settings = {"subsample": 0.6, "interactions": interactions}
    model, seen = observed(monkeypatch, X, y, **settings)
    assert model.n_iter_ > 3
    parts = {request.number: request.folds.numbers for request, _ in seen}
    assert len({each.tobytes() for each in parts.values()}) >= model.n_iter_
    for request, values in seen:
        assert len(values) == 1
        inside = request.folds.numbers == 0
        assert np.count_nonzero(inside) == 160
        assert (request.residual[0, inside] == 0).all()
        assert (request.residual[0, ~inside] != 0).all() or interactions


def test_a_row_of_weight_0_is_no_row():
    X, y = task()
    X_more, y_more = np.vstack([X, -X[:50]]), np.append(y, 9 * y[:50])
    weight = np.append(np.ones(400), np.zeros(50))
    settings = {"interactions": True}
    model = fitted(X_more, y_more, fit_params={"sample_weight": weight}, **settings)
    without = fitted(X, y, fit_params={"sample_weight": np.ones(400)}, **settings)
    assert_same_model(model, without, X, X)


# --- continuing and leaving ---------------------------------------------------------------


@pytest.mark.parametrize("rejected", [(), (1, 2, 4)], ids=str)
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "shared"])
def test_warm_start_is_the_undisturbed_fit(monkeypatch, name, rejected):
    X, y = task()
    settings = SETTINGS[name]
    X = table_of(X, settings)
    reject(monkeypatch, rejected)
    settings = {"interactions": False, **settings, "max_iter": 9}
    whole = fitted(X, y, **settings)
    parts = fitted(X, y, warm_start=True, **settings | {"max_iter": 2})
    for max_iter in (5, 9):
        parts.set_params(max_iter=max_iter).fit(X, y, **settings.get("fit_params", {}))
    assert_same_model(whole, parts, X, X)


def test_rows_set_aside_forget_rounds_at_the_end_as_well():
    X, y = task()
    n_calls = iter(range(100))

    def no_weights_later(residual, fitted, sample_weight):
        return np.full(fitted.shape[1], next(n_calls) < 4) / fitted.shape[1]

    settings = {"cv": None, "early_stopping": True, "interactions": True, "max_iter": 8}
    model = fitted(X, y, warm_start=True, weights=no_weights_later, **settings)
    assert model.n_iter_ == 4
    training, aside = model._state.snapshots
    (_, functions, latest), _ = training.values
    assert aside.values[1].keys() == functions.keys()
    assert aside.values[2] == latest


@pytest.mark.parametrize("early_stopping", ["auto", True])
@pytest.mark.parametrize(("before", "after"), [(5, None), (None, 5), (5, 3)])
def test_early_stopping_continues_with_other_folds(before, after, early_stopping):
    X, y = task()
    settings = {"early_stopping": early_stopping, "warm_start": True}
    settings["interactions"] = False  # with them, folds stay the same
    model = fitted(X, y, max_iter=3, cv=before, **settings)
    had_loss = len(model.validation_loss_) > 0
    model.set_params(max_iter=6, cv=after).fit(X, y)
    assert model.n_iter_ > 3
    assert len(model.validation_loss_) == had_loss * (model.n_iter_ + 1)


@pytest.mark.parametrize("name", ["folds", "splitter", "interactions", "abstain"])
def test_nothing_changes_when_an_organization_without_weights_leaves(name):
    # the replay on the training rows takes the values that the fit has seen
    X, y = task()
    X = np.column_stack([table_of(X, SETTINGS[name]), X[:, 0]])
    # where the label holder is alone with the idle one, its stand-in takes over
    X = np.where(np.isnan(X).sum(axis=1, keepdims=True) > 2, np.nan_to_num(X), X)
    settings = {**SETTINGS[name], "organizations": [*held(), ("idle", Zero(), [6])]}
    if settings.get("interactions"):
        settings["interactions"] = [("a", "b"), ("b", "c")]
    model = fitted(X, y, **settings)
    assert not model.pattern_weights_[:, 0, 3].any()
    params = {
        key: value
        for key, value in settings.get("fit_params", {}).items()
        if key == "sample_weight"
    }
    left = model.drop_organization("idle", X, y, **params)
    assert_allclose(left.weights_, model.weights_[:, :3], atol=1e-8)
    assert_allclose(left.train_loss_, model.train_loss_, rtol=1e-8)
    assert_allclose(left.validation_loss_, model.validation_loss_, rtol=1e-8)
    assert_allclose(left.predict(X), model.predict(X), atol=1e-8)


@pytest.mark.parametrize(("before", "after"), [(5, 3), (3, 5), (None, 3), (3, None)])
def test_an_organization_leaves_after_a_fit_with_two_kinds_of_folds(before, after):
    X, y = task()
    settings = {"cv": before, "early_stopping": False, "warm_start": True}
    model = fitted(X, y, interactions=False, max_iter=4, **settings)
    model.set_params(cv=after, max_iter=8).fit(X, y)
    left = model.drop_organization("c", X, y)
    assert 0.1 < left.score(X, y) < model.score(X, y)
    with_gates = fitted(X, y, interactions=True, max_iter=4, **settings)
    with pytest.raises(ValueError, match="continues with the same number of folds"):
        with_gates.set_params(cv=after, max_iter=8).fit(X, y)


@pytest.mark.parametrize("cv", ["auto", None])
@pytest.mark.parametrize("gone", ["a", "b"])
def test_an_organization_without_training_rows_has_no_gates(gone, cv):
    X, y = task()
    partial = X.copy()
    partial[:, COLUMNS[gone]] = np.nan
    model = fitted(partial, y, missing_rows="abstain", interactions=True, cv=cv)
    gates = [gate for step in model._model.rounds for gate in step.gates if gate]
    assert gates
    assert not any(hasattr(gate, "number") and gate.partner == gone for gate in gates)
    for rows in (partial, X):
        assert_allclose(list(model.staged_predict(rows))[-1], model.predict(rows))


def test_classes_have_chains_as_well(monkeypatch):
    X, y = task()
    labels = np.digitize(y, [-0.5, 0.5])
    model, seen = observed(
        monkeypatch, X, labels, GALClassifier, interactions=True, warm_start=True
    )
    chains = by_hand(model, X)
    assert chains.shape == (5, 400, 3)
    assert_allclose(chains.mean(axis=0), model.decision_function(X), atol=1e-10)
    numbers = seen[0][0].folds.numbers
    held_out = chains[numbers, np.arange(400)]
    shifted = held_out - np.logaddexp.reduce(held_out, axis=1, keepdims=True)
    assert_allclose(model.train_loss_[-1], -shifted[np.arange(400), labels].mean())
    sizes = [np.bincount(labels[numbers == fold], minlength=3) for fold in range(5)]
    assert np.ptp(sizes, axis=0).max() <= 1


def test_groups_keep_the_held_out_loss_that_of_new_groups():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 200, 2000)
    columns, effects = rng.normal(size=(200, 4)), rng.normal(scale=2, size=200)
    X = np.column_stack([rng.normal(size=(2000, 2)), columns[groups]])
    y = X[:, 0] + effects[groups] + rng.normal(size=2000)
    known = groups < 100  # the columns of "b" identify the group, and have no effect
    settings = {"organizations": [("a", None, [0, 1]), ("b", None, [2, 3, 4, 5])]}
    settings |= {"cv": "auto", "max_iter": None, "interactions": "auto"}
    by_row = fitted(X[known], y[known], **settings)
    settings |= {"cv": GroupKFold(5), "fit_params": {"groups": groups[known]}}
    by_group = fitted(X[known], y[known], **settings)
    errors = [
        np.mean((y - each.predict(X))[~known] ** 2) / 2 for each in (by_row, by_group)
    ]
    assert by_row.validation_loss_[-1] < 0.6 * errors[0]
    assert_allclose(by_group.validation_loss_[-1], errors[1], rtol=0.15)
    assert errors[1] < 0.9 * errors[0]
