"""What each organization adds to a score."""

import pickle
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, make_scorer, r2_score
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from _helpers import Recorder
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._method.coalitions import MAX_EXACT, Coalitions

SPANS = {"a": slice(0, 4), "b": slice(4, 7), "c": slice(7, 10)}
SETTINGS = {"missing_rows": "abstain", "max_iter": 6, "random_state": 0}


def ridges(spans=SPANS):
    return [(name, Ridge(0.1), span) for name, span in spans.items()]


def coalitions_of(names):
    for size in range(len(names) + 1):
        yield from combinations(names, size)


def masked(X, spans, coalition):
    """X as if only the organizations of a coalition had its rows."""
    X = np.array(X, dtype=float)
    for name, span in spans.items():
        if name not in coalition:
            X[:, span] = np.nan
    return X


def brute_force(scores, names):
    """Shapley values by their definition, from the scores of all coalitions."""
    values = []
    for name in names:
        others = [other for other in names if other != name]
        value = 0.0
        for coalition in coalitions_of(others):
            weight = 1 / (len(names) * comb(len(others), len(coalition)))
            joined = tuple(each for each in names if each == name or each in coalition)
            value += weight * (scores[joined] - scores[coalition])
        values.append(value)
    return values


@pytest.fixture(scope="module")
def fitted(diabetes):
    X, y = diabetes
    return GALRegressor(ridges(), **SETTINGS).fit(X[:300], y[:300])


@pytest.fixture(scope="module")
def held_out(diabetes):
    X, y = diabetes
    return X[300:], y[300:]


@pytest.fixture(scope="module")
def values(fitted, held_out):
    return fitted.organization_values(*held_out, random_state=0)


def test_values_are_printed_as_a_table(values):
    title, empty, header, *lines, blank, total = repr(values).splitlines()
    assert title == "What each organization adds to the R² (Shapley values):"
    assert not empty
    assert header.endswith("  95 % interval")
    names = ["a (label holder)", "b", "c"]
    for m, (name, line) in enumerate(zip(names, lines[:-1], strict=True)):
        low, high = values.intervals[m]
        assert line.startswith(name)
        assert f"  {values.values[m]:+.4f}  {low:+.4f} to {high:+.4f}  " in line
        low, high = values.leave_one_out_intervals[m]
        assert line.endswith(f"  {values.leave_one_out[m]:+.4f}  {low:+.4f} to {high:+.4f}")
    low, high = values.total_interval
    assert lines[-1].split() == [
        "total",
        f"{values.total:+.4f}",
        f"{low:+.4f}",
        "to",
        f"{high:+.4f}",
    ]
    assert not blank
    whole, none = values.scores["a", "b", "c"], values.scores[()]
    assert none < 0  # so the total may exceed 1
    assert total == (
        f"total: R² with all organizations, {whole:.4f}, minus that of the baseline, "
        f"{none:.4f}."
    )
    assert values.total == pytest.approx(whole - none)


# --- values -------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"interactions": False}, {"label_holder": "c"}])
def test_values_are_those_of_masked_columns(diabetes, held_out, settings):
    X, y = held_out
    model = GALRegressor(ridges(), **SETTINGS, **settings)
    model.fit(diabetes[0][:300], diabetes[1][:300])
    found = model.organization_values(X, y)
    assert list(found.scores) == list(coalitions_of(list(SPANS)))
    for coalition, score in found.scores.items():
        expected = r2_score(y, model.predict(masked(X, SPANS, coalition)))
        assert score == pytest.approx(expected, abs=1e-9)
    expected = brute_force(found.scores, list(SPANS))
    assert_allclose(found.values, expected, atol=1e-9)
    assert abs(found.values.sum() - found.total) < 1e-12
    assert found.total == pytest.approx(
        model.score(X, y) - r2_score(y, np.full(len(y), model.baseline_prediction_[0]))
    )
    lost = [
        model.score(X, y)
        - r2_score(y, model.predict(masked(X, SPANS, set(SPANS) - {name})))
        for name in SPANS
    ]
    assert_allclose(found.leave_one_out, lost, atol=1e-9)
    assert not found.sampling_errors.any()
    assert found.names == list(SPANS)
    assert found.label_holder == settings.get("label_holder", "a")
    assert found.scoring == "R²"


def test_rows_that_organizations_lack(diabetes, rng):
    X, y = diabetes
    X = X.copy()
    for name in ("b", "c"):
        X[np.flatnonzero(rng.random(len(X)) < 0.4), SPANS[name]] = np.nan
    model = GALRegressor(ridges(), **SETTINGS).fit(X[:300], y[:300])
    found = model.organization_values(X[300:], y[300:])
    for coalition, score in found.scores.items():
        expected = model.score(masked(X[300:], SPANS, coalition), y[300:])
        assert score == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scoring", [None, "neg_log_loss", "roc_auc_ovr"])
def test_classes(wine, scoring):
    X, y = wine
    spans = {"a": slice(0, 5), "b": slice(5, 9), "c": slice(9, 13)}
    held = [(name, None, span) for name, span in spans.items()]
    model = GALClassifier(held, **SETTINGS).fit(X[::2], y[::2])
    X, y = X[1::2], y[1::2]
    weight = np.linspace(1, 2, len(y))
    found = model.organization_values(X, y, scoring=scoring, sample_weight=weight)
    assert found.scoring == (scoring or "accuracy")
    assert abs(found.values.sum() - found.total) < 1e-12
    assert_allclose(found.values, brute_force(found.scores, list(spans)), atol=1e-9)
    for coalition, score in found.scores.items():
        absent = masked(X, spans, coalition)
        if scoring is None:
            assert score == model.score(absent, y, weight)
        elif scoring == "neg_log_loss":
            probabilities = model.predict_proba(absent)
            expected = -log_loss(y, probabilities, sample_weight=weight)
            assert score == pytest.approx(expected, abs=1e-9)


def test_several_outputs(diabetes):
    X, y = diabetes
    y = np.column_stack([y, y[::-1]])
    model = GALRegressor(ridges(), **SETTINGS).fit(X[:300], y[:300])
    found = model.organization_values(X[300:], y[300:], scoring="r2")
    for coalition, score in found.scores.items():
        expected = model.score(masked(X[300:], SPANS, coalition), y[300:])
        assert score == pytest.approx(expected, abs=1e-9)


def test_lists_sparse_matrices_and_frames(fitted, held_out, values):
    X, y = held_out
    found = fitted.organization_values(X.tolist(), y.tolist(), random_state=0)
    assert_allclose(found.values, values.values)
    assert_allclose(found.intervals, values.intervals)
    for container in (sparse.csr_matrix, sparse.csc_array):
        model = clone(fitted).fit(container(X), y)
        found = model.organization_values(container(X), y)
        for coalition, score in found.scores.items():
            absent = container(masked(X, SPANS, coalition))
            assert score == pytest.approx(model.score(absent, y), abs=1e-9)
    frame = pd.DataFrame(X).add_prefix("column_")
    model = clone(fitted).fit(frame, y)
    found = model.organization_values(frame, pd.Series(y, index=range(9, 9 + len(y))))
    assert_allclose(found.values.sum(), found.total)


def test_organizations_with_the_same_column_are_masked_apart(linear):
    # NaN in the column would make both organizations absent
    X, y = linear
    held = [("a", Ridge(), [0, 1]), ("b", Ridge(), [2, 3]), ("twin", Ridge(), [2, 3])]
    model = GALRegressor(held, interactions=False, **SETTINGS).fit(X[:200], y[:200])
    found = model.organization_values(X[200:], y[200:])
    with_b, with_twin = found.scores["a", "b"], found.scores["a", "twin"]
    assert with_b == pytest.approx(with_twin)
    assert with_b > found.scores["a",] + 0.3
    assert found.values[1] == pytest.approx(found.values[2])


def test_a_label_holder_with_noise_and_a_dummy_are_worth_nothing(linear, rng):
    X, y = linear
    X = np.column_stack([X, rng.normal(size=(len(X), 4))])
    held = [("noise", Ridge(), [4, 5]), ("all", Ridge(), [0, 1, 2, 3])]
    held.append(("dummy", Ridge(), [6, 7]))
    model = GALRegressor(held, **SETTINGS).fit(X[:200], y[:200])
    found = model.organization_values(X[200:], y[200:])
    assert_allclose(found.values[[0, 2]], 0, atol=0.02)
    assert found.values[1] == pytest.approx(found.total, abs=0.04)


def test_a_single_organization(diabetes):
    X, y = diabetes
    model = GALRegressor(**SETTINGS).fit(X, y)
    found = model.organization_values(X, y)
    assert_allclose(found.values, [found.total])
    assert_allclose(found.leave_one_out, [found.total])
    assert list(found.scores) == [(), ("all",)]


def test_a_fit_without_rounds():
    X, y = np.zeros((40, 2)), np.arange(40.0)
    held = [("a", Ridge(), [0]), ("b", Ridge(), [1])]
    with pytest.warns(UserWarning, match="without a round"):
        model = GALRegressor(held, missing_rows="abstain").fit(X, y)
    assert not model.organization_values(X, y).values.any()


def test_blocks_of_rows_change_nothing(fitted, held_out, values, monkeypatch):
    monkeypatch.setattr("sklearn_gal._method.model.MAX_BLOCK_BYTES", 10_000)
    found = fitted.organization_values(*held_out, random_state=0)
    assert_allclose(found.values, values.values, atol=1e-12)


# --- many organizations -------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """Seven organizations: two have the same columns, and the last two have noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 7))
    X[:, 1] = X[:, 2]
    y = X @ [1, 0, 1, 0.7, 0.4, 0, 0] + rng.normal(size=600)
    spans = {name: [m] for m, name in enumerate("abcdefg")}
    return spans, X, y


@pytest.fixture(scope="module")
def fitted_to_many(many):
    spans, X, y = many
    model = GALRegressor(ridges(spans), interactions=False, **SETTINGS)
    return model.fit(X[:200], y[:200])


def test_more_than_six_organizations(many, fitted_to_many):
    spans, X, y = many
    X, y = X[200:], y[200:]
    found = fitted_to_many.organization_values(X, y, random_state=0)
    # the values of linear models of all coalitions, fitted on the same rows
    scores = {}
    for coalition in coalitions_of(list(spans)):
        columns = [spans[name][0] for name in coalition]
        known = np.column_stack([np.ones(len(X)), X[:, columns]])
        predicted = known @ np.linalg.lstsq(known, y, rcond=None)[0]
        scores[coalition] = r2_score(y, predicted)
    assert_allclose(found.values, brute_force(scores, list(spans)), atol=0.03)
    assert_allclose(found.values[5:], 0, atol=0.005)
    assert (found.sampling_errors < 0.01).all()
    assert found.sampling_errors[0] > 0
    assert abs(found.values.sum() - found.total) < 1e-12
    # these coalitions are patterns of the model
    score = fitted_to_many.score(X, y)
    assert found.scores[tuple(spans)] == pytest.approx(score, abs=1e-9)
    for m, name in enumerate(spans):
        without = masked(X, spans, set(spans) - {name})
        lost = score - fitted_to_many.score(without, y)
        assert found.leave_one_out[m] == pytest.approx(lost, abs=1e-9)


def test_more_orders_have_smaller_sampling_errors(many, fitted_to_many):
    _, X, y = many
    few, more = (
        fitted_to_many.organization_values(X, y, n_permutations=n, random_state=0)
        for n in (16, 200)
    )
    assert few.sampling_errors.mean() > 2 * more.sampling_errors.mean()
    assert_allclose(few.values, more.values, atol=0.02)
    width = np.diff(few.intervals)[:, 0]
    assert (width > 2 * 2.2 * few.sampling_errors).all()


def test_weights_of_coalitions_are_chosen_on_other_rows(many):
    # rows of one half say the opposite of those of the other half
    spans, X, _ = many
    X = X[:200]
    group = np.repeat([0, 1], 100)
    y = np.where(group == 0, 1, -1) * X[:, 0]
    model = GALRegressor(ridges(spans), cv=None, interactions=False, **SETTINGS)
    model.fit(X[group == 0], y[group == 0])
    found = model.organization_values(X, y, groups=group, random_state=0)
    assert found.scores["a", "d"] < 0.1
    with pytest.raises(ValueError, match="one half has no rows of positive weight"):
        model.organization_values(X, y, groups=np.zeros(200), random_state=0)
    weight = np.where(group == 0, 0, 1.0)
    with pytest.raises(ValueError, match="one half has no rows of positive weight"):
        model.organization_values(X, y, groups=group, sample_weight=weight)


def test_many_classes_and_organizations(wine):
    X, y = wine
    spans = {name: [m, m + 6] for m, name in enumerate("abcdefg")}
    scaled = make_pipeline(StandardScaler(), Ridge())
    held = [(name, scaled, span) for name, span in spans.items()]
    model = GALClassifier(held, **SETTINGS | {"max_iter": 2}).fit(X[::2], y[::2])
    before = pickle.dumps(model)
    found = model.organization_values(
        X[1::2], y[1::2], scoring="neg_log_loss", n_permutations=8
    )
    assert abs(found.values.sum() - found.total) < 1e-12
    assert found.total > 0.3
    assert pickle.dumps(model) == before
    with pytest.raises(ValueError, match="classes of the previous fit"):
        model.organization_values(X[y < 2], y[y < 2])


@pytest.mark.parametrize("n_organizations", [1, 3, MAX_EXACT, MAX_EXACT + 1])
def test_coalitions(n_organizations, rng):
    coalitions = Coalitions(n_organizations, 2000, np.random.RandomState(0))
    members = coalitions.members
    assert not members[0].any()
    assert members[-1].all()
    assert len(np.unique(members, axis=0)) == len(members) == 2**n_organizations
    names = list(range(n_organizations))
    scores = rng.normal(size=len(members))
    by_names = {
        tuple(np.flatnonzero(each).tolist()): score
        for each, score in zip(members, scores, strict=True)
    }
    expected = brute_force(by_names, names)
    values, errors = coalitions.shapley_values(scores), coalitions.sampling_errors(scores)
    if n_organizations <= MAX_EXACT:
        assert_allclose(values, expected, atol=1e-12)
        assert_array_equal(errors, 0)
    else:
        assert np.abs((values - expected) / errors).max() < 4
    several = coalitions.shapley_values(np.stack([scores, 2 * scores]))
    assert_allclose(several, [values, 2 * values])


# --- intervals ----------------------------------------------------------------------------


def test_intervals_are_those_of_the_jackknife(fitted, held_out):
    # of a mean over rows, the jackknife is the t interval of the means of the parts
    X, y = held_out
    X, y = X[:140], y[:140]
    groups = np.arange(140) % 10

    def scorer(model, X, y):
        return -np.mean(np.abs(y - model.predict(X)))

    found = fitted.organization_values(X, y, scoring=scorer, groups=groups)
    parts = [
        fitted.organization_values(X[groups == part], y[groups == part], scoring=scorer)
        for part in range(10)
    ]
    assert found.scoring == "scorer"
    for name, interval in (
        ("values", "intervals"),
        ("leave_one_out", "leave_one_out_intervals"),
        ("total", "total_interval"),
    ):
        each = np.array([part[name] for part in parts])
        error = each.std(axis=0, ddof=1) / np.sqrt(10)
        assert_allclose(found[interval].mean(axis=-1), each.mean(axis=0))
        half_width = np.diff(found[interval])[..., 0] / 2
        assert_allclose(half_width, 2.262157 * error, rtol=1e-6)


def test_intervals_of_a_single_group_are_nan(fitted, held_out):
    found = fitted.organization_values(*held_out, groups=np.zeros(142))
    assert np.isfinite(found.values).all()
    assert np.isnan(found.intervals).all()
    assert np.isnan(found.total_interval).all()


def test_random_state_divides_the_rows(fitted, held_out, values):
    again = fitted.organization_values(*held_out, random_state=0)
    other = fitted.organization_values(*held_out, random_state=1)
    assert_array_equal(again.intervals, values.intervals)
    assert_array_equal(other.values, values.values)
    assert (other.intervals != values.intervals).any()


def test_splits_are_fitted_again(diabetes):
    X, y = diabetes
    model = GALRegressor(ridges(), **SETTINGS)
    splits = list(KFold(3, shuffle=True, random_state=0).split(X))
    found = model.organization_values(X, y, cv=splits)
    assert not hasattr(model, "_model")
    each = [
        clone(model).fit(X[train], y[train]).organization_values(X[test], y[test])
        for train, test in splits
    ]
    values = np.array([values.values for values in each])
    assert_allclose(found.values, values.mean(axis=0))
    error = np.sqrt((1 / 3 + 1 / 2) * values.var(axis=0, ddof=1))
    half_width = np.diff(found.intervals)[:, 0] / 2
    assert_allclose(half_width, 4.302653 * error, rtol=2e-3)
    assert abs(found.values.sum() - found.total) < 1e-12
    one = model.organization_values(X, y, cv=ShuffleSplit(1, random_state=0))
    assert np.isnan(one.intervals).all()


def test_groups_and_weights_reach_the_fits(diabetes):
    X, y = diabetes
    groups, weight = np.arange(len(y)) // 5, np.linspace(1, 2, len(y))
    Recorder.calls.clear()
    held = [(name, Recorder(name), span) for name, span in SPANS.items()]
    model = GALRegressor(held, **SETTINGS | {"max_iter": 1}, cv=GroupKFold(2))
    found = model.organization_values(
        X, y, cv=GroupKFold(3), groups=groups, sample_weight=weight
    )
    assert np.isfinite(found.values).all()
    fits = Recorder.fits()
    assert fits
    assert all("sample_weight" in call.params for call in fits)
    with config_context(enable_metadata_routing=True):
        held = [
            (name, Recorder(name).set_fit_request(sample_weight=True), span)
            for name, span in SPANS.items()
        ]
        routed = model.set_params(organizations=held).organization_values(
            X, y, cv=GroupKFold(3), groups=groups, sample_weight=weight
        )
    assert_array_equal(routed.values, found.values)


# --- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["error", "pass"])
def test_a_model_without_coalitions_says_what_to_do(diabetes, policy):
    X, y = diabetes
    model = GALRegressor(ridges(), missing_rows=policy, max_iter=2)
    message = f"missing_rows='{policy}'.*Fit it with missing_rows='abstain'"
    with pytest.raises(ValueError, match=message):
        model.organization_values(X, y, cv=2)
    model.fit(X, y)
    model.missing_rows = "abstain"  # the fit counts
    with pytest.raises(ValueError, match=message):
        model.organization_values(X, y)


def test_unfitted(diabetes):
    with pytest.raises(NotFittedError):
        GALRegressor(ridges(), missing_rows="abstain").organization_values(*diabetes)


def test_scorings_that_are_no_single_score(fitted, held_out):
    for scoring in (["r2", "max_error"], {"a": "r2"}):
        with pytest.raises(ValueError, match="scoring must be a single score"):
            fitted.organization_values(*held_out, scoring=scoring)
    with pytest.raises(ValueError, match=r"scoring must return a number, got \{'r2': 1\}"):
        fitted.organization_values(*held_out, scoring=lambda model, X, y: {"r2": 1})
    with pytest.raises(ValueError, match=r"asked for predictions of 10 rows, but .* 142"):
        fitted.organization_values(
            *held_out, scoring=lambda model, X, y: model.predict(X[:10]).mean()
        )
    nameless = make_scorer(r2_score)
    assert fitted.organization_values(*held_out, scoring=nameless).scoring == "score"


def test_unusable_parameters(fitted, held_out):
    X, y = held_out
    with pytest.raises(ValueError, match="n_permutations == 2, must be >= 4"):
        fitted.organization_values(X, y, n_permutations=2)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.organization_values(X, y[:-1])
    with pytest.raises(ValueError, match="Negative values"):
        fitted.organization_values(X, y, sample_weight=-np.ones(len(y)))
