"""Organizations elsewhere give the same model, and their faults stay theirs."""

import itertools
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from numpy.random import RandomState
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from _helpers import Patient, assert_same_model
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._organizations.own_columns import OwnColumns
from sklearn_gal.federated import (
    FederatedGALClassifier,
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    MissingRows,
    OrganizationError,
    OrganizationService,
    OrganizationWarning,
    _federation,
    _remote,
    _slots,
)
from sklearn_gal.federated._calls import CALLS
from sklearn_gal.federated._wire import decode, encode
from sklearn_gal.privacy import LaplaceMechanism

SECRET = "0123456789abcdef"
N_ROWS = 150
# without interactions a request is a round
SETTINGS = {"max_iter": 5, "cv": 2, "random_state": 0, "interactions": False}
# the label holder's own organization, and those elsewhere
HOSPITAL = Ridge(alpha=0.5)
ELSEWHERE = {
    "bank": LGBMRegressor(n_estimators=3, min_child_samples=5, verbosity=-1),
    "clinic": make_pipeline(StandardScaler(), SVR()),
    "shop": RandomForestRegressor(n_estimators=2, max_depth=3),
}


class Case:
    """A data set cut into organizations, in one place and elsewhere."""

    def __init__(self, load, estimators, folder):
        data = load(as_frame=True)
        self.X, self.y = data.data.iloc[:N_ROWS], data.target.to_numpy()[:N_ROWS]
        self.ids = np.array([f"p{i:04d}" for i in range(len(self.y))])
        cuts = np.array_split(np.array(self.X.columns), 4)
        self.parts = dict(zip(["hospital", *ELSEWHERE], map(list, cuts), strict=True))
        self.together, self.apart = estimators
        self.folder = folder

    def services(self, **changed):
        """The organizations elsewhere, each with its rows in a different order."""
        services = []
        for seed, (name, estimator) in enumerate(ELSEWHERE.items()):
            table = self.X[self.parts[name]].assign(pid=self.ids)
            table = table.sample(frac=1, random_state=seed).reset_index(drop=True)
            settings = {"estimator": estimator} | changed.get(name, {})
            folder = self.folder / name
            service = OrganizationService(name, table, "pid", SECRET, folder, **settings)
            services.append(service)
        return services

    def federation(self, wrap=lambda channel: channel, **changed):
        return Federation(wrap(LocalChannel(self.services(**changed))), SECRET)

    def joint(self, names=("hospital", *ELSEWHERE), **params):
        estimators = {"hospital": HOSPITAL} | ELSEWHERE
        organizations = [(name, estimators[name], self.parts[name]) for name in names]
        return self.together(organizations, **SETTINGS | params)

    def federated(self, federation=None, own=True, **params):
        organizations = [("hospital", HOSPITAL, self.parts["hospital"])] if own else None
        federation = self.federation() if federation is None else federation
        # an organization that cannot be reached is left out at once
        settings = {"key": "pid", "grace_period": 0} | SETTINGS | params
        return self.apart(federation, organizations, **settings)

    @property
    def frame(self):
        """What the label holder passes: ids and its own columns."""
        return self.X[self.parts["hospital"]].assign(pid=self.ids)


CASES = {
    "regressor": (load_diabetes, (GALRegressor, FederatedGALRegressor)),
    "classifier": (load_wine, (GALClassifier, FederatedGALClassifier)),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    return Case(*CASES[request.param], tmp_path)


@pytest.fixture
def regression(tmp_path):
    return Case(*CASES["regressor"], tmp_path)


@pytest.fixture(scope="module")
def whole_fits(tmp_path_factory):
    """Fits that are not killed, each made once; the system draws the number 1."""
    fits = {}

    def fit(name, params):
        if (name, str(params)) not in fits:
            case = Case(*CASES[name], tmp_path_factory.mktemp("whole"))
            with pytest.MonkeyPatch.context() as patch:
                system = SimpleNamespace(randbits=lambda n: 1)
                patch.setattr("sklearn_gal.federated._estimators.secrets", system)
                fits[name, str(params)] = case.federated(**params).fit(case.frame, case.y)
        return fits[name, str(params)]

    return fit


def assert_same(one, other, X, frame):
    assert_same_model(one, other, X, frame)
    stages = zip(one.staged_predict(X), other.staged_predict(frame), strict=True)
    for stage, same_stage in stages:
        np.testing.assert_array_equal(stage, same_stage)


@pytest.mark.parametrize(
    "params",
    [
        {"cv": "auto", "max_iter": 3},
        {"cv": None},
        {"cv": KFold(3)},
        {"cv": "auto", "subsample": 0.7},
        {"cv": None, "early_stopping": True, "max_iter": 8, "n_iter_no_change": 2},
        {"early_stopping": True, "n_iter_no_change": 2},
        {"weights": "uniform", "line_search": False},
    ],
    ids=str,
)
def test_the_same_model_to_the_last_bit(case, params):
    one = case.joint(**params).fit(case.X, case.y)
    other = case.federated(**params).fit(case.frame, case.y)
    assert_same(one, other, case.X, case.frame)
    part = np.arange(0, len(case.y), 7)[::-1]
    np.testing.assert_array_equal(
        one.contributions(case.X.iloc[part]), other.contributions(case.frame.iloc[part])
    )
    if hasattr(one, "predict_proba"):
        np.testing.assert_array_equal(
            one.predict_proba(case.X), other.predict_proba(case.frame)
        )


def test_an_array_in_one_place_gives_the_same(case):
    one = case.joint()
    one.organizations = [
        (name, estimator, [case.X.columns.get_loc(each) for each in columns])
        for name, estimator, columns in one.organizations
    ]
    X = case.X.to_numpy()
    other = case.federated().fit(case.frame, case.y)
    assert_same(one.fit(X, case.y), other, X, case.frame)


def test_weights_of_rows(case, tmp_path):
    weight = np.random.default_rng(0).integers(0, 3, size=len(case.y)).astype(float)
    one = case.joint().fit(case.X, case.y, sample_weight=weight)
    other = case.federated().fit(case.frame, case.y, sample_weight=weight)
    assert_same(one, other, case.X, case.frame)


@pytest.mark.parametrize(
    ("case", "as_ids"),
    [
        ("regressor", np.asarray),
        ("classifier", list),
        ("regressor", pd.Series),
        ("regressor", pd.Index),
    ],
    indirect=["case"],
)
def test_a_label_holder_without_columns(case, as_ids):
    one = case.joint(ELSEWHERE).fit(case.X, case.y)
    ids = as_ids(case.ids)
    other = case.federated(own=False, key=None).fit(ids, case.y)
    assert_same(one, other, case.X, ids)
    assert other.label_holder_ is None
    assert other.organization_names_ == list(ELSEWHERE)


@pytest.mark.parametrize("own", [False, True])
def test_rows_that_some_organizations_lack(case, own):
    X, rng = case.X.astype(float), np.random.default_rng(0)
    services = case.services()
    names = ["hospital", *ELSEWHERE] if own else list(ELSEWHERE)
    federation = Federation(LocalChannel(services), SECRET)
    for service in services:
        lacks = rng.random(len(X)) < 0.3
        X.loc[lacks, case.parts[service.name]] = np.nan
        kept = ~np.isin(service._ids, case.ids[lacks])
        service._table = service._table[kept].reset_index(drop=True)
        service._ids = [each for each, keep in zip(service._ids, kept, strict=True) if keep]
    params = {"missing_rows": "abstain", "cv": 2}
    one = case.joint(names, **params).fit(X, case.y)
    rows = case.frame if own else case.ids
    other = case.federated(federation, own=own, **params).fit(rows, case.y)
    np.testing.assert_array_equal(one.pattern_weights_[0, 0], other.pattern_weights_[0, 0])
    if own:  # else there is no stand-in where others are absent
        np.testing.assert_array_equal(one.pattern_weights_, other.pattern_weights_)
        assert_same(one, other, X, rows)
    unknown = np.array([*case.ids[:5], "nobody"])
    if not own:
        raw = other.contributions(unknown)
        np.testing.assert_array_equal(raw[-1], 0)
        np.testing.assert_array_equal(raw[:5], other.contributions(rows)[:5])


@pytest.mark.parametrize("missing_rows", ["error", "abstain"])
def test_intervals_and_sets_are_those_of_one_place(case, missing_rows):
    """They take as many calls as predictions."""
    params = {"missing_rows": missing_rows, "cv": 3}
    X = case.X.astype(float)
    one = case.joint(**params).fit(X, case.y)
    other = case.federated(**params).fit(case.frame, case.y)
    name = "predict_set" if hasattr(one, "predict_proba") else "predict_interval"
    expected = getattr(one, name)(X, 0.8)
    n_before = len(other.communication_.call)
    np.testing.assert_array_equal(getattr(other, name)(case.frame, 0.8), expected)
    n_calls = len(other.communication_.call) - n_before
    other.predict(case.frame)
    assert len(other.communication_.call) == n_before + 2 * n_calls


def test_an_absent_host_widens_intervals(regression):
    federation = regression.federation(Leaving)
    params = {"missing_rows": "abstain", "cv": "auto", "max_iter": 10}
    model = regression.federated(federation, **params)
    model.fit(regression.frame, regression.y)
    complete = np.diff(model.predict_interval(regression.frame, 0.8))
    federation.channel.absent = ("bank", "clinic", "shop")
    with pytest.warns(OrganizationWarning, match="did not answer"):
        absent = np.diff(model.predict_interval(regression.frame, 0.8))
    assert (absent > 1.1 * complete).all()


def test_abstaining_when_absent_is_better_than_silence(regression):
    federation = regression.federation(Leaving)
    model = regression.federated(federation, missing_rows="abstain", max_iter=10)
    model.fit(regression.frame, regression.y)
    federation.channel.absent = ("bank",)
    with pytest.warns(OrganizationWarning, match="'bank' did not answer"):
        alone = model.predict(regression.frame)
    X = regression.X.astype(float)
    one = regression.joint(missing_rows="abstain", max_iter=10).fit(X, regression.y)
    X[regression.parts["bank"]] = np.nan
    np.testing.assert_array_equal(alone, one.predict(X))


def test_dropping_an_organization(case):
    one = case.joint(cv=2).fit(case.X, case.y).drop_organization("bank", case.X, case.y)
    model = case.federated(cv=2).fit(case.frame, case.y)
    other = model.drop_organization("bank", case.frame, case.y)
    assert other.organization_names_ == ["hospital", "clinic", "shop"]
    assert_same(one, other, case.X, case.frame)
    assert model.organization_names_ == ["hospital", *ELSEWHERE]
    again = clone(other).fit(case.frame, case.y)
    assert again.organization_names_ == other.organization_names_


def test_organization_values(case):
    settings = {"missing_rows": "abstain", "cv": 2}
    one = case.joint(**settings).fit(case.X, case.y)
    expected = one.organization_values(case.X, case.y, random_state=0)
    other = case.federated(**settings).fit(case.frame, case.y)
    n_calls = len(other.communication_.call)
    found = other.organization_values(case.frame, case.y, random_state=0)
    assert found.names == expected.names
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.intervals, expected.intervals)
    # each organization is asked for its rows, and once for all of its functions that count
    calls = other.communication_.organization[n_calls:].tolist()
    assert set(calls) == set(ELSEWHERE)
    assert max(map(calls.count, calls)) == 2


def test_values_of_many_organizations(tmp_path, rng):
    X = pd.DataFrame(rng.normal(size=(150, 7)), columns=list("abcdefg"))
    y = X.to_numpy() @ np.arange(7.0)
    settings = SETTINGS | {"missing_rows": "abstain", "max_iter": 2}
    held = [(f"organization_{name}", Ridge(), [name]) for name in X]
    rows = X.assign(pid=np.arange(150))
    services = [
        OrganizationService(
            name, rows, "pid", SECRET, tmp_path / name, columns=columns, estimator=estimator
        )
        for name, estimator, columns in held[1:]
    ]
    federation = Federation(LocalChannel(services), SECRET)
    one = GALRegressor(held, **settings).fit(X, y)
    other = FederatedGALRegressor(federation, held[:1], key="pid", **settings)
    own = rows[["a", "pid"]]
    expected, found = (
        model.organization_values(table, y, n_permutations=8, random_state=0)
        for model, table in ((one, X), (other.fit(own, y), own))
    )
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.sampling_errors, expected.sampling_errors)


def test_without_own_columns_all_get_the_perturbed_residual(regression):
    def constant(residual, random_state):
        return np.ones_like(residual)

    federation = regression.federation(Recording)
    federation = federation.without("bank").without("shop")
    model = regression.federated(federation, own=False, privacy=constant, max_iter=1)
    with pytest.warns(ConvergenceWarning):  # a constant is no descent direction
        model.fit(regression.ids, regression.y)
    sent = [decode(each)[1].get("residual") for each in federation.channel.messages]
    sent = [each for each in sent if each is not None]
    assert len(sent) == 1
    np.testing.assert_array_equal(sent[0], 1)


def test_what_it_reports(regression):
    model = regression.federated(weights="uniform", cv="auto")
    model.fit(regression.frame, regression.y)
    assert model.label_holder_ == "hospital"
    for own, *others in model.estimators_:
        assert hasattr(own, "predict")
        assert others == [None, None, None]
    exchanges = pd.DataFrame(model.communication_)
    rounds = exchanges[exchanges["call"] == "fit_round"]
    assert len(rounds) == model.n_iter_ * 3
    n_rows = len(regression.y)
    n_chains = 5
    sent = n_rows * (8 * n_chains + 1)  # a residual per chain, and fold numbers
    assert rounds["bytes_sent"].between(sent, sent + 500).all()
    received = 8 * n_rows * n_chains
    assert rounds["bytes_received"].between(received, received + 500).all()
    assert sorted(set(rounds["round"])) == list(range(model.n_iter_))
    assert (rounds["seconds"] > 0).all()
    assert (exchanges["error"] == "").all()
    model.predict(regression.frame)
    assert model.communication_["call"].tolist().count("predict") == 3
    list(model.staged_predict(regression.frame))  # the functions of all rounds at once
    assert model.communication_["call"].tolist().count("predict") == 6


@pytest.mark.parametrize(("wire_dtype", "n_bytes"), [("float64", 8), ("float32", 4)])
def test_bytes_per_row_and_round(regression, wire_dtype, n_bytes):
    params = {"subsample": 0.7, "cv": None, "wire_dtype": wire_dtype}
    federation = regression.federation(Recording)
    model = regression.federated(federation, **params).fit(regression.frame, regression.y)
    calls = pd.DataFrame(model.communication_).query("call == 'fit_round'")
    n_rows = len(regression.y)
    header = 200
    assert (calls["bytes_sent"] <= n_rows * (n_bytes + 1) + header).all()
    assert (calls["bytes_received"] <= n_rows * n_bytes + header).all()
    whole = regression.federated(cv=None, subsample=0.7).fit(regression.frame, regression.y)
    found, expected = model.predict(regression.frame), whole.predict(regression.frame)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert (found == expected).all() == (wire_dtype == "float64")


def test_own_columns_are_cut_out_once_for_a_prediction(regression, monkeypatch):
    model = regression.federated(interactions=True).fit(regression.frame, regression.y)
    cut, select = [], OwnColumns._select

    def counted(organization, X):
        cut.append(organization.name)
        return select(organization, X)

    monkeypatch.setattr(OwnColumns, "_select", counted)
    model.predict(regression.frame)
    assert cut.count("hospital") == 1


@pytest.mark.parametrize(
    ("case", "own"),
    [("regressor", True), ("regressor", False), ("classifier", False)],
    indirect=["case"],
)
def test_a_prediction_with_products_is_one_call_without_spare_bytes(case, own, monkeypatch):
    monkeypatch.setitem(ELSEWHERE, "clinic", DecisionTreeRegressor(max_depth=3))
    monkeypatch.setitem(ELSEWHERE, "shop", Ridge())
    names = ["hospital", *ELSEWHERE] if own else list(ELSEWHERE)
    params = {"interactions": True, "max_iter": 16, "cv": 2}
    rows, n_rows = (case.frame if own else case.ids), len(case.y)
    model = case.federated(own=own, **params).fit(rows, case.y)
    n_calls = len(model.communication_["call"])
    model.predict(rows)
    pairs = model.interaction_contributions(rows)
    calls = pd.DataFrame(model.communication_)[n_calls:]
    assert len(calls) == 2 * 3
    if own:  # else in one place an organization would be the label holder
        one = case.joint(names, **params).fit(case.X, case.y)
        assert_same_model(one, model, case.X, rows)
        np.testing.assert_array_equal(one.interaction_contributions(case.X), pairs)
    n_outputs, n_chains = len(model.baseline_prediction_), 2
    queries, products = model._model.terms(0)
    assert len(products) > 3
    for name, query in zip(names, queries, strict=True):
        n_values = any(query.coefficients) + len(query.means) + len(query.chains) * n_chains
        n_bits = len(query.signs) * n_chains * n_outputs
        received = n_rows * (8 * n_values * n_outputs + np.ceil(n_bits / 8) + 1)
        of_one = calls.query("organization == @name")
        assert of_one["bytes_received"].between(received, received + 400).all()
        sent = 16 * n_rows + 8 * (n_bits + 2 * len(query.numbers) + len(query.functions))
        assert of_one["bytes_sent"].between(sent, sent + 900).all()
        assert len(of_one) == (0 if name == "hospital" else 2)
    elsewhere = queries[own:]
    assert any(query.chains for query in elsewhere)
    assert any(query.signs for query in elsewhere)
    # only thresholds of the label holder's columns leave the means
    gated_by_thresholds = {
        (each.participant, each.number)
        for each, _ in products
        if not hasattr(each.gate, "number")
    }
    means = {(query.participant, number) for query in elsewhere for number in query.means}
    assert means <= gated_by_thresholds
    assert own or not gated_by_thresholds


def test_products_of_organizations_that_lack_rows(regression, monkeypatch):
    monkeypatch.setitem(ELSEWHERE, "clinic", DecisionTreeRegressor(max_depth=3))
    monkeypatch.setitem(ELSEWHERE, "shop", Ridge())
    X = regression.X.astype(float)
    services = regression.services()
    bank = services[0]
    lacks = np.arange(len(X)) % 4 == 0
    X.loc[lacks, regression.parts["bank"]] = np.nan
    kept = np.flatnonzero(~np.isin(bank._ids, regression.ids[lacks]))
    bank._table = bank._table.iloc[kept].reset_index(drop=True)
    bank._ids = [bank._ids[row] for row in kept]
    params = {"missing_rows": "abstain", "interactions": True, "max_iter": 6, "cv": 2}
    one = regression.joint(**params).fit(X, regression.y)
    federation = Federation(LocalChannel(services), SECRET)
    other = regression.federated(federation, **params)
    other.fit(regression.frame, regression.y)
    queries, _ = other._model.terms(0)
    assert all(each.chains or each.signs for each in queries if each.participant > 1)
    assert_same_model(one, other, X, regression.frame)


def test_warm_start_continues_elsewhere_too(case):
    whole = case.federated().fit(case.frame, case.y)
    parts = case.federated(warm_start=True, max_iter=2)
    parts.fit(case.frame, case.y).set_params(max_iter=5).fit(case.frame, case.y)
    assert_same(whole, parts, case.frame, case.frame)


def test_an_organization_leaves_a_fit_that_was_continued_with_other_folds(case):
    gone = []
    for model, X in ((case.joint(), case.X), (case.federated(), case.frame)):
        model.set_params(warm_start=True, cv=None, max_iter=2, early_stopping=False)
        model.fit(X, case.y)
        model.set_params(cv=2, max_iter=5).fit(X, case.y)
        gone.append(model.drop_organization("bank", X, case.y))
    assert_same(*gone, case.X, case.frame)


def test_search_and_clone(regression):
    model = regression.federated(max_iter=2)
    assert clone(model).federation is model.federation
    search = GridSearchCV(model, {"hospital__alpha": [0.1, 1e4]}, cv=2)
    search.fit(regression.frame, regression.y)
    assert search.best_params_ == {"hospital__alpha": 0.1}
    assert search.best_estimator_.predict(regression.frame[:3]).shape == (3,)


# --- what passes ------------------------------------------------------------------------


class Recording:
    """A channel that keeps every message."""

    def __init__(self, channel):
        self.channel, self.messages = channel, []

    @property
    def organizations(self):
        return self.channel.organizations

    def call(self, organization, request, timeout):
        reply = self.channel.call(organization, request, timeout)
        self.messages += [request, reply]
        return reply


class Leaving(Recording):
    """A channel over which the organizations in `absent` cannot be reached."""

    absent = ()

    def call(self, organization, request, timeout):
        if organization in self.absent:
            raise ConnectionRefusedError
        return super().call(organization, request, timeout)


@pytest.mark.parametrize("interactions", [False, True])
def test_no_message_holds_a_column_or_the_target_or_a_model(case, interactions):
    federation = case.federation(Recording)
    params = {"early_stopping": True, "max_iter": 3, "interactions": interactions}
    model = case.federated(federation, **params)
    model.fit(case.frame, case.y)
    model.predict(case.frame)
    list(model.staged_predict(case.frame))
    private = [case.X[name].to_numpy() for name in case.X]
    private += [case.y.astype(float), np.sort(case.y.astype(float))]
    one_hot = np.eye(len(np.unique(case.y)))[np.unique(case.y, return_inverse=True)[1]]
    private += [*one_hot.T, np.unique(case.y, return_inverse=True)[1].astype(float)]
    pieces = [
        column[start : start + 3].astype(dtype).tobytes()
        for column in private
        for start in np.flatnonzero(np.diff(column, n=2))[:5]
        for dtype in (np.float64, np.float32)
        if np.count_nonzero(column[start : start + 3].astype(dtype)) == 3
    ]
    assert len(pieces) > 50
    known = {key for fields in CALLS.values() for key in fields}
    known |= {"present", "fitted", "prediction", "above", "type"}
    texts = {"fit_id", "check", "versions"}
    for message in federation.channel.messages:
        name, fields = decode(message)  # nothing but the format of numbers
        assert name in {*CALLS, "ok", "error"}
        assert fields.keys() <= known
        for key, value in fields.items():
            if not isinstance(value, np.ndarray):
                assert key in texts or isinstance(value, int)
                continue
            if not len(value):
                assert (name, key) == ("predict", "numbers")  # single functions alone
                continue
            in_chains = key in ("residual", "fitted")
            rows_first = np.moveaxis(value, 1, 0) if in_chains else value
            flat = rows_first.reshape(len(rows_first), -1).T.astype(float)
            of_models = {"numbers", "coefficients", "signs", "thresholds"}
            if name == "predict":
                of_models |= {"chains", "means"}
            assert (flat.shape[1] == len(case.y)) == (key not in of_models)
            for column in private:
                for array in flat:
                    if len(array) == len(column):
                        close = np.isclose(np.sort(array), np.sort(column))
                        assert close.mean() < 0.9, (name, key)
        for piece in pieces:
            assert piece not in message
        for row_id in case.ids[:20]:
            assert row_id.encode() not in message
        for word in (b"sklearn.", b"lightgbm", b"Ridge", b"tree", b"coef_", b"numpy"):
            assert word not in message


# --- faults -----------------------------------------------------------------------------


class Faulty(Recording):
    """A channel over which one organization misbehaves in some calls."""

    def __init__(self, channel, organization, fault, calls):
        super().__init__(channel)
        self.organization, self.fault, self.calls = organization, fault, calls
        self.n_calls = 0

    def call(self, organization, request, timeout):
        reply = super().call(organization, request, timeout)
        name, _ = decode(request)
        if organization == self.organization and name == "fit_round":
            self.n_calls += 1
            if self.n_calls in self.calls:
                return self.fault(reply)
        return reply


def _raises(reply):
    raise ConnectionResetError("connection reset by peer")


def _hangs(reply):
    raise TimeoutError  # what a channel does at the end of the time


def _changes(change):
    return lambda reply: encode("ok", {"fitted": change(decode(reply)[1]["fitted"])})


FAULTS = {
    "dies": _raises,
    "hangs": _hangs,
    "exception": lambda reply: encode("error", {"type": "ZeroDivisionError"}),
    "NaN": _changes(lambda fitted: np.where(fitted == fitted[0], np.nan, fitted)),
    "too few rows": _changes(lambda fitted: fitted[:, 1:]),
    "too few chains": _changes(lambda fitted: fitted[1:]),
    "too many outputs": _changes(lambda fitted: np.dstack([fitted, fitted])),
    "integers": _changes(lambda fitted: fitted.astype(int)),
    "nothing": lambda reply: encode("ok", {}),
    "garbage": lambda reply: b"garbage",
    "pickle": lambda reply: pickle.dumps(np.zeros(3)),
}


@pytest.mark.parametrize(
    ("fault", "weights"),
    [*((fault, "uniform") for fault in FAULTS), ("dies", "optimal"), ("NaN", "optimal")],
)
def test_a_fault_costs_a_round_and_no_more(regression, fault, weights):
    federation = regression.federation(
        lambda channel: Faulty(channel, "clinic", FAULTS[fault], calls={2})
    )
    model = regression.federated(federation, weights=weights, max_iter=4)
    with pytest.warns(OrganizationWarning, match="'clinic' did not answer"):
        model.fit(regression.frame, regression.y)
    weight = model.weights_[:, 2]
    assert weight[0] > 0 or weights == "optimal"
    assert weight[1] == 0
    assert model.learning_rates_[1] > 0  # not rejected, and fitted by the others
    np.testing.assert_allclose(model.weights_.sum(axis=1), model.learning_rates_ > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = model.contributions(regression.frame)
    assert np.isfinite(raw).all()
    errors = pd.DataFrame(model.communication_).query("error != ''")
    assert errors["organization"].tolist() == ["clinic"]
    assert errors["round"].tolist() == [1]


def test_it_comes_back(regression):
    federation = regression.federation(
        lambda channel: Faulty(channel, "clinic", FAULTS["dies"], calls={2})
    )
    model = regression.federated(federation, weights="uniform", max_iter=6)
    model.organizations = [("hospital", Patient(), regression.parts["hospital"])]
    with pytest.warns(OrganizationWarning):
        model.fit(regression.frame, regression.y)
    assert model.weights_[1, 2] == 0
    assert model.weights_[-1, 2] > 0


def test_a_fit_with_a_fault_predicts_what_was_fitted(regression):
    federation = regression.federation(
        lambda channel: Faulty(channel, "shop", FAULTS["dies"], calls={1, 2, 3})
    )
    model = regression.federated(federation, cv=None)
    with pytest.warns(OrganizationWarning):
        model.fit(regression.frame, regression.y)
    stages = list(model.staged_predict(regression.frame))
    np.testing.assert_allclose(stages[-1], model.predict(regression.frame))


def test_policy_fail(regression):
    federation = regression.federation(
        lambda channel: Faulty(channel, "clinic", FAULTS["exception"], calls={2})
    )
    model = regression.federated(federation, on_failure="fail")
    with pytest.raises(OrganizationError, match="ZeroDivisionError") as caught:
        model.fit(regression.frame, regression.y)
    assert "clinic" in "".join(caught.value.__notes__)
    assert not hasattr(model, "weights_")


def test_policy_wait(regression, whole_fits, monkeypatch):
    monkeypatch.setattr(_remote, "_RETRY_AFTER", 0.01)
    whole = whole_fits("regressor", {})
    federation = regression.federation(
        lambda channel: Faulty(channel, "clinic", FAULTS["dies"], calls={2})
    )
    model = regression.federated(federation, on_failure="wait")
    with pytest.warns(OrganizationWarning, match="waiting for it"):
        model.fit(regression.frame, regression.y)
    assert_same(whole, model, regression.frame, regression.frame)


class Restarting(Recording):
    """A channel over which an organization is restarted before a round."""

    def __init__(self, case, calls):
        super().__init__(LocalChannel(case.services()))
        self.case, self.calls, self.n_calls = case, calls, 0

    def call(self, organization, request, timeout):
        if (organization, decode(request)[0]) == ("bank", "fit_round"):
            self.n_calls += 1
            if self.n_calls in self.calls:
                self.channel = LocalChannel(self.case.services())
        return super().call(organization, request, timeout)


def test_a_restarted_organization_takes_part_at_once(regression, whole_fits):
    whole = whole_fits("regressor", {})
    federation = Federation(Restarting(regression, calls={3}), SECRET)
    model = regression.federated(federation, on_failure="fail", n_jobs=1)
    model.fit(regression.frame, regression.y)
    assert_same(whole, model, regression.frame, regression.frame)


def test_a_hanging_organization_costs_its_deadline(regression):
    class Hanging(Recording):
        """A channel over which the time of an organization passes at once."""

        waited: ClassVar[list[float]] = []

        def call(self, organization, request, timeout):
            if organization == "bank" and decode(request)[0] == "fit_round":
                self.waited.append(timeout)
                raise TimeoutError
            return super().call(organization, request, timeout)

    federation = regression.federation(Hanging)
    model = regression.federated(federation, deadline=500.0, max_iter=4)
    with pytest.warns(OrganizationWarning, match="'bank' did not answer"):
        model.fit(regression.frame, regression.y)
    # it is asked in a round at most once, and not for longer than the deadline
    assert 1 <= len(federation.channel.waited) <= 4
    assert set(federation.channel.waited) == {500.0}
    np.testing.assert_array_equal(model.weights_[:, 1], 0)


def test_no_organization_left_is_an_error(regression):
    federation = regression.federation(Leaving)
    federation.channel.absent = tuple(ELSEWHERE)
    model = regression.federated(federation, own=False)
    with (
        pytest.warns(OrganizationWarning),
        pytest.raises(OrganizationError, match="No organization answered"),
    ):
        model.fit(regression.ids, regression.y)
    # with its own columns the label holder does not continue alone either
    with (
        pytest.warns(OrganizationWarning),
        pytest.raises(OrganizationError, match="No organization answered"),
    ):
        regression.federated(federation).fit(regression.frame, regression.y)


class Away(Recording):
    """A channel over which organizations cannot be reached from a round on."""

    def __init__(self, channel, names, begin, n_tries=None):
        super().__init__(channel)
        self.names, self.begin = names, begin
        self.n_left = dict.fromkeys(names, float("inf") if n_tries is None else n_tries)

    def call(self, organization, request, timeout):
        call, fields = decode(request)
        if call == "fit_round" and fields["number"] >= self.begin:
            self.begin = 0  # nor for any other call
        if self.begin == 0 and self.n_left.get(organization, 0) > 0:
            self.n_left[organization] -= 1
            raise ConnectionRefusedError("it is away")
        return super().call(organization, request, timeout)


@pytest.mark.parametrize("on_failure", ["continue", "fail"])
def test_an_organization_that_is_back_in_time_misses_nothing(
    regression, whole_fits, on_failure, monkeypatch
):
    monkeypatch.setattr(_remote, "_RETRY_AFTER", 0.01)
    whole = whole_fits("regressor", {})
    federation = regression.federation(lambda channel: Away(channel, ["clinic"], 2, 2))
    model = regression.federated(federation, on_failure=on_failure, grace_period=600)
    with pytest.warns(OrganizationWarning, match="waiting for it for at most 600 seconds"):
        model.fit(regression.frame, regression.y)
    assert_same(whole, model, regression.frame, regression.frame)
    # in predictions too
    federation.channel.n_left["clinic"] = 1
    with pytest.warns(OrganizationWarning, match="'clinic' did not answer"):
        prediction = model.predict(regression.frame)
    np.testing.assert_array_equal(prediction, whole.predict(regression.frame))


def test_an_absence_is_waited_for_once(regression, monkeypatch):
    monkeypatch.setattr(_remote, "_RETRY_AFTER", 0.01)
    federation = regression.federation(lambda channel: Away(channel, ["clinic"], 99))
    model = regression.federated(federation, grace_period=0.2)
    model.fit(regression.frame, regression.y)
    federation.channel.begin = 0
    channel, n_tries = federation.channel, []
    for _ in range(2):
        channel.n_left["clinic"] = 1000
        with pytest.warns(OrganizationWarning, match="'clinic' did not answer"):
            model.predict(regression.frame)
        n_tries.append(1000 - channel.n_left["clinic"])
    assert n_tries[0] > 1
    assert n_tries[1] == 1


def test_missed_rounds_are_named_and_limited(regression):
    federation = regression.federation(lambda channel: Away(channel, ["clinic"], 2))
    model = regression.federated(federation, max_missed_rounds=3, max_iter=20)
    with pytest.warns(OrganizationWarning) as caught:
        model.fit(regression.frame, regression.y)
    told = [str(each.message) for each in caught]
    for number in (3, 4, 5):
        expected = f"'clinic' did not answer (ConnectionRefusedError): round {number} goes"
        assert sum(expected in each for each in told) == 1
    assert "an organization has missed more rounds than max_missed_rounds" in told[-1]
    assert model.stop_reason_ == "missed_rounds"
    assert model.n_iter_ == 5
    np.testing.assert_array_equal(model.weights_[2:, 2], 0)
    # without a limit the others go on
    federation = regression.federation(lambda channel: Away(channel, ["clinic"], 2))
    params = {"max_missed_rounds": None, "max_iter": 14, "early_stopping": False}
    model = regression.federated(federation, weights="uniform", **params)
    with pytest.warns(OrganizationWarning) as caught:
        model.fit(regression.frame, regression.y)
    assert sum("goes on without it" in str(each.message) for each in caught) == 12
    assert model.stop_reason_ == "max_iter"


@pytest.mark.parametrize("own", [False, True])
def test_a_fit_ends_when_all_are_away_and_continues_later(regression, own, tmp_path):
    rows = regression.frame if own else regression.ids
    whole = regression.federated(own=own).fit(rows, regression.y)
    federation = regression.federation(lambda channel: Away(channel, list(ELSEWHERE), 2))
    model = regression.federated(federation, own=own, checkpoint=tmp_path / "checkpoint")
    with pytest.warns(OrganizationWarning, match="no organization on another host"):
        model.fit(rows, regression.y)
    assert model.stop_reason_ == "organizations_away"
    assert model.n_iter_ == 2
    np.testing.assert_array_equal(model.weights_, whole.weights_[:2])
    model.set_params(federation=regression.federation()).fit(rows, regression.y)
    assert_same(whole, model, rows, rows)


def test_an_organization_may_forget_the_rows_again_and_again(
    regression, whole_fits, monkeypatch
):
    class Forgetful(Recording):
        """A channel over which the rows are released before each of the first requests.

        Each of these requests takes a hundred seconds by its clock.
        """

        n_times, seconds = 4, 0.0

        def call(self, organization, request, timeout):
            call, fields = decode(request)
            if (organization, call) == ("bank", "fit_round") and self.n_times:
                self.n_times -= 1
                self.seconds += 100
                fields = {"fit_id": fields["fit_id"], "n_requests": fields["number"]}
                super().call(organization, encode("release", fields), timeout)
            return super().call(organization, request, timeout)

    whole = whole_fits("regressor", {})
    federation = regression.federation(Forgetful)
    model = regression.federated(federation).fit(regression.frame, regression.y)
    assert_same(whole, model, regression.frame, regression.frame)
    channel = federation.channel
    channel.n_times = 10**6
    clock = SimpleNamespace(monotonic=lambda: channel.seconds, sleep=lambda seconds: None)
    monkeypatch.setattr(_remote, "time", clock)
    model.set_params(deadline=450.0, max_iter=1)
    with pytest.warns(OrganizationWarning, match=r"did not answer \(NotPrepared\)"):
        model.fit(regression.frame, regression.y)
    assert 10**6 - channel.n_times == 5  # the fifth request ends after the deadline


@pytest.mark.slow
@pytest.mark.parametrize("max_fits", [1, 4])
def test_concurrent_fits_wait_and_equal_their_twins(regression, max_fits, monkeypatch):
    monkeypatch.setattr(_slots, "IDLE_AFTER", 0.2)  # fits can wait for each other
    monkeypatch.setattr(_remote, "_RETRY_AFTER", 0.02)
    monkeypatch.setattr(_remote, "_MAX_PAUSE", 0.1)
    frame, y = regression.frame, regression.y
    rng = np.random.default_rng(0)
    targets = [y + rng.normal(scale=20, size=len(y)) for _ in range(5)]
    twins = [regression.federated(max_iter=2).fit(frame, target) for target in targets]
    changed = {name: {"max_fits": max_fits} for name in ELSEWHERE}
    channel = LocalChannel(regression.services(**changed))
    stop = threading.Event()

    def fit(target):
        # every fit has a federation of its own, as different label holders have
        federation = Federation(channel, SECRET)
        model = regression.federated(federation, max_missed_rounds=0, max_iter=2)
        model.fit(frame, target)
        federation.overlap(regression.ids)
        return model

    def disturb():
        while not stop.wait(0.01):
            Federation(channel, SECRET).overlap(regression.ids[:9])

    with warnings.catch_warnings(), ThreadPoolExecutor(7) as pool:
        warnings.filterwarnings("ignore", "(?s).*Busy.*", OrganizationWarning)
        disturbing = pool.submit(disturb)
        try:
            models = list(pool.map(fit, targets))
        finally:
            stop.set()
        disturbing.result()
    for twin, model in zip(twins, models, strict=True):
        assert_same_model(twin, model, frame, frame)


class Counting(Ridge):
    """A ridge that counts its fits, the second of which takes until it is told to end."""

    n_fits, begun, ended = 0, threading.Event(), threading.Event()

    def fit(self, X, y, sample_weight=None):
        Counting.n_fits += 1
        if Counting.n_fits == 2:
            Counting.begun.set()
            Counting.ended.wait(600)
        return super().fit(X, y, sample_weight)


class Impatient(ThreadPoolExecutor):
    """Threads whose callers wait for a round only until the second fit has begun."""

    def submit(self, answer, request, is_gone):
        future = super().submit(answer, request, is_gone)
        if decode(request)[0] in ("fit_round", "release"):
            future.result = self._give_up
        return future

    def _give_up(self, timeout):
        assert Counting.begun.wait(600)
        raise TimeoutError


def test_work_ends_when_the_caller_is_gone(regression, monkeypatch):
    Counting.n_fits = 0
    Counting.begun, Counting.ended = threading.Event(), threading.Event()
    monkeypatch.setattr(_federation, "ThreadPoolExecutor", Impatient)
    channel = LocalChannel(regression.services(bank={"estimator": Counting()}))
    federation = Federation(channel, SECRET).without("clinic").without("shop")
    model = regression.federated(federation, cv="auto", on_failure="fail")
    with (
        pytest.warns(OrganizationWarning, match="when the fit ended"),
        pytest.raises(OrganizationError, match=r"'bank' did not answer \(TimeoutError"),
    ):
        model.fit(regression.frame, regression.y)
    Counting.ended.set()
    channel.close()  # waits until the work has ended
    assert Counting.n_fits == 2  # of five chains


def test_overlap_names_the_organization(regression):
    federation = regression.federation(Leaving)
    federation.channel.absent = ("clinic",)
    with pytest.raises(OrganizationError, match="'clinic' did not answer"):
        federation.overlap(regression.ids)


def test_predicting_with_one_absent(case):
    federation = case.federation(Leaving)
    model = case.federated(federation, weights="uniform").fit(case.frame, case.y)
    whole = model.contributions(case.frame)
    federation.channel.absent = ("shop",)
    with pytest.warns(OrganizationWarning, match="'shop' did not answer"):
        part = model.contributions(case.frame)
    np.testing.assert_array_equal(part[:, :3], whole[:, :3])
    np.testing.assert_array_equal(part[:, 3], 0)
    model.set_params(on_failure="fail")
    with pytest.raises(OrganizationError):
        model.predict(case.frame)


# --- the label holder's own faults ------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the label holder's process."""


class Killing(Recording):
    """A channel over which the label holder dies in its n-th round."""

    def __init__(self, channel, calls):
        super().__init__(channel)
        self.calls_left = calls

    def call(self, organization, request, timeout):
        reply = super().call(organization, request, timeout)
        if decode(request)[0] in ("fit_round", "release"):
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Killed
        return reply


def test_no_thread_goes_on_waiting_when_the_fit_has_ended(regression, monkeypatch):
    monkeypatch.setattr(_remote, "_RETRY_AFTER", 0.01)

    class Dies(Recording):
        """A channel over which one organization is away, and the label holder dies."""

        threads, tries = set(), threading.Semaphore(0)

        def call(self, organization, request, timeout):
            if decode(request)[0] == "fit_round" and organization == "bank":
                self.threads.add(threading.current_thread())
                self.tries.release()
                raise ConnectionRefusedError
            if decode(request)[0] == "fit_round" and organization == "clinic":
                assert self.tries.acquire(timeout=600)
                raise Killed
            return super().call(organization, request, timeout)

    federation = regression.federation(Dies)
    with (
        pytest.warns(OrganizationWarning, match="'bank' did not answer"),
        pytest.raises(Killed),
    ):
        regression.federated(federation, on_failure="wait").fit(
            regression.frame, regression.y
        )
    (waiting,) = federation.channel.threads
    waiting.join(600)
    assert not waiting.is_alive()


LAPLACE = LaplaceMechanism(5.0, bounds=(-100, 100))
STOPS_EARLY = {
    "max_iter": 30,
    "early_stopping": True,
    "n_iter_no_change": 2,
    "learning_rate": 1,
}


def n_saved(whole, n_calls):
    """Number of rounds that are saved before a death in call `n_calls` + 1."""
    rounds = whole._model.rounds
    if whole.stop_reason_ == "early_stopping":
        rounds = rounds[:-1]  # the round that ends a fit is not saved
    n_asked = np.cumsum([np.count_nonzero(each.participants) for each in rounds])
    kept = np.flatnonzero((n_asked <= n_calls) & [bool(each.rates[0]) for each in rounds])
    return kept[-1] + 1 if len(kept) else 0


def killed(name, *n_calls, **params):
    """Fits that are killed in these calls, with the fit that is not killed."""
    return [(name, params, n) for n in n_calls]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params", "n_calls"),
    [
        *killed("regressor", 1, 7, 11),
        *killed("regressor", 1, 7, 11, cv=None, early_stopping=True),
        *killed("regressor", 1, 7, privacy=LAPLACE, cv=None),
        *killed("regressor", 4, 8, **STOPS_EARLY),
        *killed("regressor", 7, 25, interactions=True),
        *killed("classifier", 7),
        *killed("classifier", 11, privacy=LAPLACE, cv=None),
        *killed("classifier", 11, **STOPS_EARLY),
        *killed("classifier", 7, interactions=True),
    ],
    ids=str,
)
def test_resumed_after_a_kill_it_gives_the_same(
    whole_fits, name, params, n_calls, tmp_path, monkeypatch
):
    # a resumed fit has the noise of the fit that was interrupted, not what it draws itself
    drawn = itertools.count(1)
    system = SimpleNamespace(randbits=lambda n: next(drawn))
    monkeypatch.setattr("sklearn_gal.federated._estimators.secrets", system)
    case, whole = Case(*CASES[name], tmp_path), whole_fits(name, params)
    checkpoint = tmp_path / "checkpoint"
    federation = case.federation(lambda channel: Killing(channel, n_calls))
    with pytest.raises(Killed):
        case.federated(federation, checkpoint=checkpoint, **params).fit(case.frame, case.y)
    saved = joblib.load(checkpoint / "fit.joblib")["rounds"]
    assert len(saved) == n_saved(whole, n_calls)
    again = case.federation(Recording)
    model = case.federated(again, checkpoint=checkpoint, **params).fit(case.frame, case.y)
    assert_same(whole, model, case.frame, case.frame)
    if "privacy" in params:
        assert model.privacy_spent_ == whole.privacy_spent_
    numbers = [decode(each)[1].get("number") for each in again.channel.messages[::2]]
    before = [each.number for step in saved for each in step.candidates]
    assert min(each for each in numbers if each is not None) == max(before, default=-1) + 1
    # once more: no round is fitted again but one that ended the fit
    third = case.federation(Recording)
    model = case.federated(third, checkpoint=checkpoint, **params).fit(case.frame, case.y)
    assert_same(whole, model, case.frame, case.frame)


def test_random_state_does_not_tell_the_noise(regression):
    def sent(**params):
        federation = regression.federation(Recording)
        model = regression.federated(
            federation, privacy=LaplaceMechanism(5.0, bounds=(-100, 100)), **params
        )
        model.fit(regression.frame, regression.y)
        requests = [decode(each) for each in federation.channel.messages[::2]]
        rounds = [fields for name, fields in requests if name == "fit_round"]
        return rounds[0]["residual"], [fields["seed"] for fields in rounds[:3]]

    one, other = sent(random_state=0), sent(random_state=0)
    assert sorted(one[1]) == sorted(other[1])  # what random_state gives
    assert (one[0] != other[0]).all()
    one, other = sent(random_state=RandomState(0)), sent(random_state=RandomState(0))
    assert (one[0] != other[0]).all()


def test_what_is_saved_is_private(regression, tmp_path):
    checkpoint = tmp_path / "c"
    regression.federated(checkpoint=checkpoint).fit(regression.frame, regression.y)
    paths = [path for path in checkpoint.rglob("*") if path.is_file()]
    assert len(paths) > 1
    for path in [checkpoint, *paths]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_checkpoint_is_for_one_fit(regression, tmp_path):
    frame, y = regression.frame, regression.y
    first = regression.federated(checkpoint=tmp_path / "c").fit(frame, y)
    other = regression.federated(checkpoint=tmp_path / "c").fit(frame, -y)
    assert np.corrcoef(other.predict(frame), first.predict(frame))[0, 1] < -0.99
    with pytest.raises(ValueError, match="set random_state to an int"):
        regression.federated(checkpoint=tmp_path / "c", random_state=None).fit(frame, y)
    with pytest.raises(ValueError, match="use one"):
        regression.federated(checkpoint=tmp_path / "c", warm_start=True).fit(frame, y)


# --- bad input --------------------------------------------------------------------------


def test_unknown_rows_are_an_error(regression):
    federation = regression.federation()
    some = np.append(regression.ids[:40], ["nobody", "no one"])
    overlap = federation.overlap(some)
    assert list(overlap) == list(ELSEWHERE)
    for present in overlap.values():
        np.testing.assert_array_equal(present, np.arange(42) < 40)
    model = regression.federated(federation, own=False)
    with pytest.raises(MissingRows, match="does not have 2 of the 42 rows, the first at"):
        model.fit(some, np.arange(42.0))
    model.fit(regression.ids, regression.y)
    with pytest.raises(MissingRows, match="does not have 2 of the 42 rows"):
        model.predict(some)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"key": "who"}, "key='who' must name the column"),
        ({"key": None}, "key=None must name the column"),
        ({"on_failure": "ignore"}, "on_failure='ignore' must be one of"),
        ({"deadline": 0}, "deadline == 0, must be > 0"),
        ({"wire_dtype": "float16"}, "wire_dtype='float16' must be one of"),
        ({"grace_period": -1}, "grace_period == -1, must be >= 0"),
        ({"max_missed_rounds": -1}, "max_missed_rounds == -1, must be >= 0"),
        ({"federation": None}, "must be a Federation"),
        ({"missing_rows": "pass"}, "must be 'error' or 'abstain'"),
        ({"label_holder": "bank"}, "must be one of `organizations`"),
        ({"organizations": [("bank", None, ["age"])]}, "rename your own"),
        ({"organizations": [("own", None, slice(0, 9))]}, "lists the column of row ids"),
    ],
)
def test_bad_parameters(regression, params, message):
    model = regression.federated().set_params(**params)
    with pytest.raises(ValueError, match=message):
        model.fit(regression.frame, regression.y)


def test_own_columns_need_a_frame(regression):
    with pytest.raises(ValueError, match="one-dimensional array of row ids"):
        regression.federated().fit(regression.frame.to_numpy(), regression.y)
