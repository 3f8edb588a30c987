"""Explanations of predictions between hosts, and what an organization reveals of them."""

import json
import pickle
import tempfile
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from _requests import SECRET, ask, exceeded, fit_request, ids, make_table, refused
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal.federated import (
    FederatedGALClassifier,
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    MissingRows,
    OrganizationError,
    OrganizationService,
    OrganizationWarning,
)
from sklearn_gal.federated import _served as served
from sklearn_gal.federated._cli import main
from sklearn_gal.federated._config import service_from_config
from sklearn_gal.federated._revealed import Revealed
from sklearn_gal.federated._wire import decode, encode

N_ROWS = 150
OWN = {"practice": ["age", "sex"]}
ELSEWHERE = {"clinic": ["bmi", "bp", "s1"], "laboratory": ["s3", "s4", "s5"]}
TREES = LGBMRegressor(n_estimators=3, min_child_samples=5, verbosity=-1)
ESTIMATORS = {"practice": Ridge(), "clinic": TREES, "laboratory": Ridge()}
GROUPS = {"clinic": {"size and pressure": ["bmi", "bp"]}, "laboratory": "sum"}


@pytest.fixture(scope="module")
def table():
    return load_diabetes(as_frame=True).frame.iloc[:N_ROWS].reset_index(names="id")


class Channel(LocalChannel):
    """Keeps replies, and fails in calls of chosen names to chosen organizations."""

    def __init__(self, services):
        super().__init__(services)
        self.replies, self.fails, self.changes = [], {}, {}

    def call(self, organization, request, timeout):
        name = decode(request)[0]
        if name in self.fails.get(organization, ()):
            raise ConnectionError
        reply = super().call(organization, request, timeout)
        if name in self.changes:
            reply = encode("ok", decode(reply)[1] | self.changes[name])
        self.replies.append((organization, name, bytes(reply)))
        return reply


def service_of(name, table, columns, folder=None, **changed):
    settings = {"columns": columns, "estimator": ESTIMATORS.get(name)} | changed
    folder = tempfile.mkdtemp() if folder is None else folder
    return OrganizationService(name, table, "id", SECRET, folder, **settings)


def federated(table, kind=FederatedGALRegressor, tables=None, reveals=None, **params):
    """A federated estimator and its channel."""
    services = []
    for name, columns in ELSEWHERE.items():
        explain = {}
        if reveals is not None:
            explain = {"explain": reveals if reveals == "features" else reveals[name]}
        own = (tables or {}).get(name, table)
        services.append(service_of(name, own, columns, **explain))
    channel = Channel(services)
    own = [(name, ESTIMATORS[name], columns) for name, columns in OWN.items()]
    settings = {"key": "id", "max_iter": 4, "random_state": 0, "grace_period": 0}
    return kind(Federation(channel, SECRET), own, **settings | params), channel


def together(kind=GALRegressor, **params):
    parts = OWN | ELSEWHERE
    organizations = [(name, ESTIMATORS[name], columns) for name, columns in parts.items()]
    return kind(organizations, **{"max_iter": 4, "random_state": 0} | params)


def own_part(table):
    return table[["id", *OWN["practice"]]]


@pytest.fixture(scope="module")
def fitted(table):
    """Models that reveal columns, groups and sums."""
    models = {}
    for key, reveals in (("features", "features"), ("sum", None), ("groups", GROUPS)):
        model, channel = federated(table, reveals=reveals)
        models[key] = model.fit(own_part(table), table["target"]), channel
    return models


def assert_sums_to_raw(model, X, explained):
    total = explained.values.sum(axis=1) + explained.base_values
    np.testing.assert_allclose(total, model._raw(X), rtol=0, atol=1e-9)


# --- the same as in one place -----------------------------------------------------------


def test_columns_have_the_contributions_of_one_place(table, fitted):
    one = together().fit(table, table["target"])
    assert one.interaction_strength_.sum() > 0  # there are products
    other, _ = fitted["features"]
    rows = slice(0, 40)
    expected = one.feature_contributions(table[rows])
    explained = other.feature_contributions(own_part(table)[rows])
    names = ["age", "sex", *ELSEWHERE["clinic"], *ELSEWHERE["laboratory"]]
    positions = [table.columns.get_loc(name) for name in names]
    for field in ("values", "errors"):
        np.testing.assert_array_equal(explained[field], expected[field][:, positions])
    np.testing.assert_array_equal(explained.base_values, expected.base_values)
    assert explained.feature_names.tolist() == [
        *["age", "sex", "clinic: bmi", "clinic: bp", "clinic: s1"],
        *["laboratory: s3", "laboratory: s4", "laboratory: s5"],
    ]
    assert explained.organization_names.tolist() == (
        ["practice"] * 2 + ["clinic"] * 3 + ["laboratory"] * 3
    )
    assert not explained.is_sum.any()
    assert explained.columns.tolist() == [1, 2] + [-1] * 6
    assert_sums_to_raw(other, own_part(table)[rows], explained)


def test_classes_in_rows_that_organizations_lack():
    table = load_wine(as_frame=True).frame.iloc[::2].reset_index(drop=True)
    names = ["age", "sex", *ELSEWHERE["clinic"], *ELSEWHERE["laboratory"]]
    columns = dict(zip(table.columns, names, strict=False))
    table = table.rename(columns=columns).assign(id=np.arange(len(table)))
    rng = np.random.default_rng(0)
    tables, whole = {}, table.copy()
    for name, own in ELSEWHERE.items():
        absent = rng.random(len(table)) < 0.3
        tables[name] = table[~absent]
        whole.loc[absent, own] = np.nan
    params = {"missing_rows": "abstain", "max_iter": 3, "cv": 2}
    one = together(GALClassifier, **params).fit(whole, table["target"])
    other, _ = federated(table, FederatedGALClassifier, tables, "features", **params)
    other.fit(own_part(table), table["target"])
    expected = one.feature_contributions(whole[:30])
    explained = other.feature_contributions(own_part(table)[:30])
    names = ["age", "sex", *ELSEWHERE["clinic"], *ELSEWHERE["laboratory"]]
    positions = [whole.columns.get_loc(name) for name in names]
    np.testing.assert_allclose(
        explained.values, expected.values[:, positions], rtol=0, atol=1e-12
    )
    assert_sums_to_raw(other, own_part(table)[:30], explained)


def test_a_background_of_the_user(table, fitted):
    one = together().fit(table, table["target"])
    expected = one.feature_contributions(table[:5], background=table[5:25])
    own, (model, _) = own_part(table), fitted["sum"]
    explained = model.feature_contributions(own[:5], background=own[5:25])
    np.testing.assert_allclose(explained.base_values, expected.base_values, atol=1e-9)
    clinic = [table.columns.get_loc(name) for name in ELSEWHERE["clinic"]]
    np.testing.assert_allclose(
        explained.values[:, 2], expected.values[:, clinic].sum(axis=1), atol=1e-9
    )


def test_row_ids_alone_and_a_copy_from_a_pickle(table):
    model, _ = federated(table, reveals="features")
    model.set_params(organizations=None, key=None)
    model.fit(table["id"].to_numpy(), table["target"])
    copy = pickle.loads(pickle.dumps(model.feature_contributions(table["id"].to_numpy())))
    assert copy.feature_names[0] == "clinic: bmi"
    assert copy.values.shape == (N_ROWS, 6, 1)
    assert_sums_to_raw(model, table["id"].to_numpy(), copy)
    model.feature_contributions()
    assert model.feature_importances_.sum() == pytest.approx(1.0)
    assert model.feature_importances_.shape == (6,)


def test_importances_are_read_without_messages(table, fitted):
    model = copy(fitted["sum"][0])
    model._state = replace(model._state, kept_rows=copy(model._state.kept_rows))
    n_calls = len(model.communication_.seconds)
    assert not hasattr(model, "feature_importances_")
    with pytest.raises(
        AttributeError, match=r"Call feature_contributions\(\) without rows"
    ):
        _ = model.feature_importances_
    assert "feature_importances_" not in model._repr_html_()  # it reads all attributes
    assert len(model.communication_.seconds) == n_calls
    explained = model.feature_contributions()
    n_calls = len(model.communication_.seconds)
    expected = explained.importances / explained.importances.sum()
    np.testing.assert_array_equal(model.feature_importances_, expected)
    assert len(model.communication_.seconds) == n_calls
    loaded = pickle.loads(pickle.dumps(model._state.kept_rows))
    np.testing.assert_array_equal(loaded.importances, expected)


def test_importances_without_an_organization_are_not_kept(table):
    model, channel = federated(table)
    model.fit(own_part(table), table["target"])
    channel.fails["clinic"] = ("predict", "expect", "explain")
    with pytest.warns(OrganizationWarning, match="continuing without it"):
        model.feature_contributions()
    channel.fails.clear()
    assert not hasattr(model, "feature_importances_")
    model.feature_contributions()
    assert (model.feature_importances_ > 0).all()


# --- what is revealed -------------------------------------------------------------------


def test_the_default_is_the_sum(table, fitted):
    model, _ = fitted["sum"]
    own = own_part(table)[:20]
    by_column = fitted["features"][0].feature_contributions(own).values
    explained = model.feature_contributions(own)
    assert explained.feature_names.tolist() == [
        *["age", "sex", "clinic: all columns", "laboratory: all columns"]
    ]
    assert explained.is_sum.tolist() == [False, False, True, True]
    np.testing.assert_allclose(
        explained.values[:, 2:],
        np.stack([by_column[:, 2:5].sum(axis=1), by_column[:, 5:].sum(axis=1)], axis=1),
        rtol=0,
        atol=1e-9,
    )
    assert_sums_to_raw(model, own, explained)


def test_groups_and_the_columns_in_none(table):
    revealed = GROUPS | {"laboratory": {"first": ["s3"], "two": ["s5", "s4"]}}
    services = [
        service_of(name, table, columns, explain=revealed[name])
        for name, columns in ELSEWHERE.items()
    ]
    model = FederatedGALRegressor(
        Federation(LocalChannel(services), SECRET), max_iter=3, random_state=0
    )
    model.fit(table["id"], table["target"])
    explained = model.feature_contributions(table["id"][:20])
    assert explained.feature_names.tolist() == [
        "clinic: size and pressure (2 columns)",
        "clinic: other (1 column)",
        "laboratory: first (1 column)",
        "laboratory: two (2 columns)",
    ]
    assert explained.is_sum.all()
    assert_sums_to_raw(model, table["id"][:20], explained)


def test_nothing_that_is_not_revealed_crosses(table, fitted):
    own = own_part(table)[:20]
    hidden = fitted["features"][0].feature_contributions(own).values[:, 2:]
    for key, positions in (("sum", range(6)), ("groups", (0, 1, 3, 4, 5))):
        model, channel = fitted[key]
        channel.replies.clear()
        model.feature_contributions(own)
        replies = [reply for *_, reply in channel.replies]
        assert {name for _, name, _ in channel.replies} >= {"predict", "expect", "explain"}
        crossed = b"".join(replies)
        for name in ("bmi", "bp"):
            assert f'"{name}"'.encode() not in crossed
        values = hidden[:, list(positions)]
        assert not any(each.tobytes() in crossed for each in values[values != 0])
    _, channel = fitted["features"]
    channel.replies.clear()
    fitted["features"][0].feature_contributions(own)
    crossed = b"".join(reply for *_, reply in channel.replies)
    assert b'"bmi"' in crossed  # the test would see it
    assert hidden[3, 0].tobytes() in crossed


def test_the_error_of_a_sum(table):
    columns = ["bmi", "bp", "s1", "s2", "s3", "s4", "s5"]  # too many for all subsets
    explained = {}
    groups = {"most": columns[:5]}
    for key, explain in (("features", "features"), ("sum", "sum"), ("groups", groups)):
        settings = {"explain": explain, "estimator": KNeighborsRegressor(20)}
        service = service_of("clinic", table[:60], columns, **settings)
        model = FederatedGALRegressor(
            Federation(LocalChannel([service]), SECRET),
            **{"max_iter": 1, "cv": 2, "random_state": 0, "interactions": False},
        )
        model.fit(table["id"][:60], table["target"][:60])
        explained[key] = model.feature_contributions(table["id"][:3])
    by_column = explained["features"].errors
    assert by_column.max() > 0
    assert explained["sum"].errors.max() == 0.0
    np.testing.assert_allclose(
        explained["groups"].errors[:, 0], by_column[:, :5].sum(axis=1), rtol=1e-12
    )


def test_blocks_of_rows_change_nothing(table, fitted, monkeypatch):
    model, _ = fitted["sum"]
    whole = model.feature_contributions(own_part(table)[:20]).values
    monkeypatch.setattr(served, "MAX_BLOCK_VALUES", 10)
    parts = model.feature_contributions(own_part(table)[:20]).values
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("explain", "message"),
    [
        ("all", "must be 'features', 'sum' or groups of columns, got 'all'"),
        ({"other": ["a"]}, "needs a name other than 'other'"),
        ({" ": ["a"]}, "needs a name other than 'other'"),
        ({"one": []}, "group 'one' of explain must be a list of columns, at least one"),
        ({"one": "a"}, "group 'one' of explain must be a list of columns, at least one"),
        ({"one": ["z"]}, "group 'one' of explain has the unknown column 'z'"),
        ({"one": ["a"], "two": ["b", "a"]}, "column 'a' twice, in the groups 'one' and"),
    ],
    ids=str,
)
def test_unusable_settings(explain, message):
    with pytest.raises(ValueError, match=message):
        Revealed(["a", "b", "c"], explain)


# --- limits, rights, log and commands ---------------------------------------------------


def test_explained_rows_count_like_predicted_ones(tmp_path):
    table = make_table()
    service = OrganizationService(
        *("bank", table, "id", SECRET, tmp_path), estimator=Ridge(), ids_per_day=40
    )
    rng = np.random.default_rng(0)
    part = table[:20]
    ask(service, "prepare", row_ids=ids(part), n_outputs=2)
    ask(service, "fit_round", **fit_request(part, rng))
    assert explanation(service, table, range(20, 30), range(20))[0] == "ok"
    assert explanation(service, table, range(20, 30), range(20))[0] == "ok"  # known rows
    assert explanation(service, table, range(30, 41)) == exceeded("ids_per_day")
    assert expectation(service, table, range(20, 41)) == exceeded("ids_per_day")
    assert explanation(service, table, range(30, 40))[0] == "ok"
    entry = next(e for e in service._ledger.log.entries() if e["call"] == "explain")
    known = {"rows": 10, "background": 20, "models": 1, "ids": 10, "label_holder": "Ada"}
    assert entry | known == entry


def explanation(service, table, rows=range(10), background=range(20), **changed):
    """The reply to a request to explain the sum of the only model."""
    fields = {
        "row_ids": ids(table.iloc[list(rows)]),
        "numbers": np.array([0]),
        "coefficients": np.ones(1),
        "factors": np.zeros((0, 1, len(rows), 2)),
        "functions": np.zeros(0, dtype=np.int64),
    }
    return expectation(service, table, background, "explain", **fields | changed)


def expectation(service, table, background=range(20), call="expect", **changed):
    fields = {
        "background": ids(table.iloc[list(background)]),
        "functions": np.array([0]),
        "for_trees": False,
        "abstain": False,
    }
    return ask(service, call, **fields | changed)


@pytest.fixture
def bank(tmp_path):
    """An organization with a table of three columns, and a model in which it took part."""
    table = make_table()

    def make(**settings):
        service = OrganizationService(
            *("bank", table, "id", SECRET, tmp_path / "models"),
            **{"estimator": Ridge()} | settings,
        )
        rng = np.random.default_rng(0)
        ask(service, "prepare", row_ids=ids(table), n_outputs=2)
        ask(service, "fit_round", **fit_request(table, rng))
        return service, table

    return make


@pytest.mark.parametrize(
    ("settings", "reply"),
    [
        ({"rules": {"calls": ["fit"]}}, refused("NotPermitted", "predict")),
        ({"max_rows": 60}, exceeded("max_rows")),
        ({"max_bytes": 2800}, exceeded("max_bytes")),
    ],
    ids=str,
)
def test_a_refused_explanation(bank, settings, reply):
    service, table = bank(**settings)
    assert explanation(service, table, range(60)) == reply


@pytest.mark.parametrize(
    "changed",
    [
        {"functions": np.array([0, 0])},
        {"numbers": np.array([0, 0]), "coefficients": np.ones(2)},
        {"numbers": np.array([1])},
        {"coefficients": np.ones(3)},
        {"factors": np.zeros((0, 1, 9, 2))},
        {"factors": np.zeros((0, 0, 10, 2))},
        {"factors": np.full((0, 1, 10), 1.0)},
        {"functions": np.array([0]), "factors": np.full((1, 1, 10, 2), np.nan)},
        {"bounds": np.ones(1, dtype=np.uint8)},
        {"bounds": np.ones(1, dtype=np.uint8), "bound_values": np.ones((2, 1, 2))},
    ],
    ids=lambda changed: ", ".join(changed),
)
def test_requests_that_make_no_sense(bank, changed):
    service, table = bank()
    assert explanation(service, table, **changed) == ("error", {"type": "RequestRefused"})
    assert explanation(service, table)[0] == "ok"


def test_bounds_of_an_unknown_kind(bank):
    service, table = bank()
    bound = {"bounds": np.array([7], dtype=np.uint8), "bound_values": np.ones((1, 1, 2))}
    assert expectation(service, table, **bound)[1] == {"type": "RequestRefused"}
    bound["bounds"][0] = 1
    assert expectation(service, table, **bound)[0] == "ok"


def test_rows_that_the_table_does_not_have(bank):
    service, table = bank()
    other = pd.concat([table, table[:1].assign(id="nobody")])
    name, reply = explanation(service, other, range(50, 61))
    assert name == "ok"
    assert reply["present"].tolist() == [True] * 10 + [False]
    assert "values" not in reply
    name, reply = explanation(service, other, range(50, 61), abstain=True)
    assert reply["values"][-1].tolist() == [[0.0, 0.0]]
    assert json.loads(bytes(reply["entries"])) == ["all columns"]


SETTINGS = """
name = "bank"
key = "id"
models = "models"
secret_file = "secret"
{}
[table]
csv = "bank.csv"
"""


@pytest.fixture
def config(tmp_path):
    """Write the settings of an organization."""
    make_table().to_csv(tmp_path / "bank.csv", index=False)
    (tmp_path / "secret").write_text(SECRET)

    def write(setting, after=""):
        path = tmp_path / "bank.toml"
        path.write_text(SETTINGS.format(setting) + after)
        return str(path)

    return write


GROUPS_OF_BANK = "[explain_groups]\nmoney = ['a', 'c']\n"


@pytest.mark.parametrize(
    ("setting", "after", "check", "status"),
    [
        ("", "", "all columns", "sum"),
        ("explain = 'features'", "", "a, b, c", "features"),
        ("", GROUPS_OF_BANK, "money (2 columns), other (1 column)", "'money'"),
    ],
    ids=["sum", "features", "groups"],
)
def test_the_settings_and_the_commands(config, capsys, setting, after, check, status):
    path = config(setting, after)
    assert main(["organization", "--config", path, "--check"]) == 0
    output = capsys.readouterr().out
    assert f"explanations reveal the contributions of: {check}\n" in output
    service, table = service_from_config(path), make_table()
    ask(service, "prepare", row_ids=ids(table), n_outputs=2)
    ask(service, "fit_round", **fit_request(table, np.random.default_rng(0)))
    _, reply = explanation(service, table)
    assert ", ".join(json.loads(bytes(reply["entries"]))) == check
    assert main(["status", "--config", path]) == 0
    output = capsys.readouterr().out
    assert f"explanations reveal: {status}\n" in output
    assert "10 rows explained" in output


def test_two_settings_that_cannot_be_combined(config, capsys):
    path = config("explain = 'sum'", GROUPS_OF_BANK)
    assert main(["organization", "--config", path, "--check"]) == 2
    assert "explain and [explain_groups], which cannot be combined" in (
        capsys.readouterr().err
    )


# --- faults -----------------------------------------------------------------------------


@pytest.mark.parametrize("missing_rows", ["error", "abstain"])
def test_an_organization_that_is_away_contributes_0(table, missing_rows):
    model, channel = federated(table, missing_rows=missing_rows)
    own = own_part(table)
    model.fit(own, table["target"])
    channel.fails["clinic"] = ("predict", "expect", "explain")
    with pytest.warns(OrganizationWarning, match="'clinic' .*continuing without it"):
        raw = model._raw(own[:20])
    with pytest.warns(OrganizationWarning, match="'clinic' .*continuing without it"):
        explained = model.feature_contributions(own[:20])
    assert explained.feature_names[2] == "clinic: all columns"
    assert explained.values[:, 2].tolist() == [[0.0]] * 20
    total = explained.values.sum(axis=1) + explained.base_values
    np.testing.assert_allclose(total, raw, rtol=0, atol=1e-9)
    channel.fails.clear()
    assert_sums_to_raw(model, own[:20], model.feature_contributions(own[:20]))


@pytest.mark.parametrize("call", ["expect", "explain"])
def test_an_organization_that_leaves_in_the_middle_is_an_error(table, call):
    model, channel = federated(table)
    model.fit(own_part(table), table["target"])
    channel.fails["clinic"] = (call,)
    with pytest.raises(OrganizationError, match=r"'clinic' .* a part of this explanation"):
        model.feature_contributions(own_part(table)[:20])


def test_a_refused_explanation_says_which_limit(table):
    service = service_of("clinic", table, ELSEWHERE["clinic"], ids_per_day=N_ROWS)
    model = FederatedGALRegressor(
        *(Federation(LocalChannel([service]), SECRET), None),
        **{"max_iter": 2, "random_state": 0, "on_failure": "fail"},
    )
    model.fit(table["id"], table["target"])
    assert model.feature_contributions(table["id"]).values.shape == (N_ROWS, 1, 1)
    service.rights._of_others = service.rights._of_others._replace(
        limits=type(service.limits)(max_rows=N_ROWS)
    )
    with pytest.raises(OrganizationError, match="its limit max_rows does not allow"):
        model.feature_contributions(table["id"])


def test_background_rows_that_an_organization_lacks(table):
    tables = {"clinic": table[:100]}
    model, _ = federated(table, tables=tables)
    own = own_part(table)
    model.fit(own[:100], table["target"][:100])
    message = (
        "'clinic' does not have 20 of the 30 background rows, the first at position 10"
    )
    with pytest.raises(MissingRows, match=message):
        model.feature_contributions(own[:5], background=own[90:120])


def test_a_background_without_any_row_of_an_organization(table):
    whole = table.copy()
    whole.loc[:40, ELSEWHERE["clinic"]] = np.nan
    model = together(missing_rows="abstain", max_iter=2).fit(whole, table["target"])
    with pytest.raises(
        ValueError, match="background has no row that organization 'clinic'"
    ):
        model.feature_contributions(whole[:5], background=whole[:10])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"values": np.zeros((20, 1, 3))}, "a reply of the wrong shape"),
        ({"values": np.full((20, 1, 1), np.nan)}, "NaN or infinite values"),
        ({"base": np.full((20, 1), np.inf)}, "NaN or infinite values"),
        ({"errors": np.full((20, 1, 1), np.nan)}, "NaN or infinite values"),
        ({"sums": np.ones(1)}, "a reply of the wrong shape"),
        ({"entries": np.frombuffer(b"[1]", np.uint8)}, "without names of entries"),
        ({"entries": np.frombuffer(b"{", np.uint8)}, "without names of entries"),
        ({"entries": np.frombuffer(b'["a", "b"]', np.uint8)}, "other names of entries"),
    ],
    ids=lambda each: each if isinstance(each, str) else ", ".join(each),
)
def test_replies_that_are_not_in_order(fitted, table, change, problem):
    model, channel = fitted["sum"]
    channel.changes["explain"] = change
    try:
        with pytest.raises(OrganizationError, match=problem):
            model.feature_contributions(own_part(table)[:20])
    finally:
        channel.changes.clear()


def test_names_are_text_that_can_be_printed(fitted, table):
    model, channel = fitted["sum"]
    name = json.dumps(["\x1b[31mred\n" + "x" * 999]).encode()
    channel.changes["explain"] = {"entries": np.frombuffer(name, np.uint8)}
    try:
        explained = model.feature_contributions(own_part(table)[:20])
    finally:
        channel.changes.clear()
        for each in model._model.participants.remote:
            each.entries = []
    assert explained.feature_names[2].startswith("clinic: [31mredxxx")
    assert len(explained.feature_names[2]) == len("clinic: ") + 200


def test_an_explanation_of_the_package_shap(fitted, table):
    shap = pytest.importorskip("shap")
    model, _ = fitted["sum"]
    explained = model.feature_contributions(own_part(table)[:5]).to_shap()
    assert isinstance(explained, shap.Explanation)
    assert explained.values.shape == explained.data.shape == (5, 4)
    np.testing.assert_array_equal(
        explained.data[:, :2].astype(float), table[["age", "sex"]][:5]
    )
    assert pd.isna(explained.data[:, 2:]).all()
