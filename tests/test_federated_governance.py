"""What the owner of an organization sees of fits, and decides about them."""

import itertools
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from _helpers import Patient
from _requests import (
    FIT,
    SECRET,
    ask,
    exceeded,
    fit_request,
    ids,
    make_table,
    refused,
)
from sklearn_gal.federated import (
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    OrganizationError,
    OrganizationService,
    OrganizationWarning,
)
from sklearn_gal.federated import _versions as versions
from sklearn_gal.federated._cli import main
from sklearn_gal.federated._ledger import AuditLog, Clock
from sklearn_gal.federated._refusals import LimitExceeded
from sklearn_gal.federated._rules import Rules
from sklearn_gal.federated._table import kinds_of
from sklearn_gal.federated._versions import can_work_with
from sklearn_gal.federated._wire import decode, encode

OTHER = "f" * 32


@pytest.fixture
def table():
    return make_table()


@pytest.fixture
def serve(table, tmp_path):
    """Make the service of the same organization, with other settings."""

    def make(**changed):
        settings = {
            "name": "bank",
            "table": table,
            "key": "id",
            "secret": SECRET,
            "folder": tmp_path / "models",
            "estimator": Ridge(),
        }
        return OrganizationService(**settings | changed)

    return make


def fit(service, table, rng, fit_id=FIT, n_rounds=2, **who):
    """Have a service take part in a fit."""
    row_ids = ids(table, fit_id=fit_id)
    replies = [ask(service, "prepare", fit_id, row_ids=row_ids, n_outputs=2, **who)]
    for number in range(n_rounds):
        request = fit_request(table, rng, number=number)
        replies.append(ask(service, "fit_round", fit_id, **request, **who))
    return replies


def prediction(service, table, fit_id=FIT, **who):
    fields = {"row_ids": ids(table, fit_id=fit_id), "numbers": np.arange(2)}
    return ask(service, "predict", fit_id, coefficients=np.ones(2), **fields, **who)


# --- the log ----------------------------------------------------------------------------


def test_each_call_is_logged(serve, table, rng):
    service = serve()
    fit(service, table, rng)
    prediction(service, table)
    ask(service, "fit_round", **fit_request(table, rng, number=10**6))
    service.answer(b"garbage", label_holder="Mallory")
    prepared, first, _, predicted, late, garbage = service._ledger.log.entries()
    assert prepared["call"] == "prepare"
    known = {"label_holder": "Ada", "fit": FIT, "rows": 60, "fits": 1, "ids": 60}
    assert prepared | known == prepared
    assert (first["call"], first["rows"], first["outputs"]) == ("fit_round", 60, 2)
    assert (predicted["call"], predicted["models"]) == ("predict", 2)
    for entry in (prepared, first, predicted):
        assert entry["decision"] == "answered"
        assert entry["seconds"] > 0
        assert entry["bytes_in"] > 100
        assert entry["bytes_out"] > 50
    assert late["decision"].startswith("refused: LimitExceeded: ")
    assert garbage["label_holder"] == "Mallory"
    assert garbage["decision"].startswith("refused: MessageError: ")


def test_the_log_is_only_added_to_and_private(serve, table, rng, tmp_path):
    fit(serve(), table, rng)
    (path,) = (tmp_path / "models" / "log").iterdir()
    before = path.read_text()
    fit(serve(), table, rng)
    assert path.read_text().startswith(before)
    assert len(path.read_text()) > len(before)
    for each in (tmp_path / "models").rglob("*"):
        assert each.stat().st_mode & 0o077 == 0, each


def test_a_call_that_cannot_be_logged_is_not_answered(serve, table, tmp_path):
    service = serve()
    (tmp_path / "models" / "log").rmdir()
    reply = ask(service, "prepare", row_ids=ids(table))
    assert reply == ("error", {"type": "FileNotFoundError"})


def test_a_part_of_a_line_spoils_no_other(serve, table, tmp_path, caplog):
    service = serve(fits_per_day=1)
    ask(service, "prepare", row_ids=ids(table))
    (path,) = (tmp_path / "models" / "log").iterdir()
    with path.open("a") as file:
        file.write('{"label_holder": "Ada", "fi\n')
    reply = ask(service, "prepare", OTHER, row_ids=ids(table, fit_id=OTHER))
    assert reply == exceeded("fits_per_day")
    assert len(list(service._ledger.log.entries())) == 2
    assert "has a line that cannot be read" in caplog.text


def test_threads_count_each_call_once(tmp_path):
    log = AuditLog(tmp_path / "log")

    def use(number):
        log.append(label_holder="Ada", rounds=1)
        return log.used_today("Ada")["rounds_per_day"]

    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(use, range(200)))
    assert log.used_today("Ada")["rounds_per_day"] == 200
    assert max(counts) == 200


def test_a_fit_that_waits_for_a_place_learns_nothing_and_is_logged(serve, table, rng):
    service = serve(max_fits=1, ids_per_day=120)
    fit(service, table, rng)
    busy = "error", {"type": "Busy"}
    assert fit(service, table, rng, OTHER, n_rounds=0) == [busy]
    assert fit(service, table, rng, OTHER, n_rounds=0) == [busy]
    entry = list(service._ledger.log.entries())[-1]
    assert (entry["fit"], entry["decision"]) == (OTHER, "not finished: Busy")
    assert not {"ids", "fits"} & entry.keys()
    assert service.fits() == [FIT]
    ask(service, "release", n_requests=2)
    assert fit(service, table, rng, OTHER)[-1][0] == "ok"


def test_a_fit_that_waits_for_approval_takes_no_place(serve, table, rng):
    service = serve(max_fits=1, rules={"approve": "ask", "approve_label_holders": ["Ada"]})
    waiting = fit(service, table, rng, OTHER, n_rounds=0, label_holder="Grace")
    assert waiting == [refused("ApprovalPending", OTHER)]
    assert fit(service, table, rng)[-1][0] == "ok"
    waiting = fit(service, table, rng, OTHER, n_rounds=0, label_holder="Grace")
    assert waiting == [refused("ApprovalPending", OTHER)]


def test_work_for_a_caller_that_has_gone_counts(serve, table, rng):
    service = serve()
    fit(service, table, rng)
    request = encode("fit_round", {"fit_id": FIT, **fit_request(table, rng, number=2)})
    reply = service.answer(request, lambda: True, label_holder="Ada")
    assert decode(reply) == ("error", {"type": "CallerGone"})
    entry = list(service._ledger.log.entries())[-1]
    assert entry["decision"] == "not finished: CallerGone"
    assert entry["seconds"] > 0
    assert ask(service, "fit_round", **fit_request(table, rng, number=2))[0] == "ok"


# --- manifests --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"columns": ["b", "a", "c"]},
        {"columns": ["a", "b"]},
        {"table": make_table().assign(b="text")},
    ],
    ids=["order", "one less", "kind"],
)
def test_models_are_used_with_the_columns_that_they_were_fitted_to(
    serve, table, rng, change
):
    fit(serve(), table, rng)
    before = prediction(serve(), table)
    changed = serve(**change)
    assert prediction(changed, table) == refused("FitChanged", "columns")
    assert ask(changed, "prepare", row_ids=ids(table)) == refused("FitChanged", "columns")
    np.testing.assert_array_equal(
        prediction(serve(), table)[1]["prediction"], before[1]["prediction"]
    )


def test_numbers_of_another_width_are_the_same_columns(serve, table, rng):
    whole = table.assign(a=np.arange(60))
    fit(serve(table=whole), whole, rng)
    floats = whole.assign(a=np.arange(60.0))
    assert prediction(serve(table=floats), table)[0] == "ok"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(3), "number"),
        (np.array([True, False, True]), "number"),
        (pd.array([1, None, 3], dtype="Int64"), "number"),
        (["a", "b", None], "text"),
        (pd.Categorical(["a", "b", "a"]), "category"),
        (pd.to_datetime(["2026-01-31"] * 3), "date"),
    ],
)
def test_kinds_of_columns(values, kind):
    assert kinds_of(pd.DataFrame({"x": values})) == {"x": kind}


def test_kinds_of_columns_in_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x": [1.5], "y": [True], "z": ["a"]})
    assert kinds_of(frame) == {"x": "number", "y": "number", "z": "text"}


def test_a_fit_goes_on_with_the_same_estimator_only(serve, table, rng):
    fit(serve(), table, rng)
    other = serve(estimator=Ridge(alpha=2.0))
    reply = ask(other, "prepare", row_ids=ids(table))
    assert reply == refused("FitChanged", "estimator")
    assert prediction(other, table)[0] == "ok"  # the fitted models are what they were
    assert ask(serve(), "prepare", row_ids=ids(table))[0] == "ok"


def test_the_manifest_says_what_a_fit_depends_on(serve, table, rng, tmp_path):
    fit(serve(), table, rng)
    manifest = json.loads((tmp_path / "models" / FIT / "fit.json").read_text())
    assert manifest["columns"] == [["a", "number"], ["b", "number"], ["c", "number"]]
    assert "Ridge" in manifest["estimator"]
    assert "('alpha', 1.0)" in manifest["estimator"]
    assert manifest["versions"]["lightgbm"]
    assert (manifest["rows"], manifest["outputs"], manifest["rounds"]) == (60, 2, 2)
    assert manifest["first_used"] <= manifest["last_used"]
    (tmp_path / "models" / FIT / "fit.json").unlink()
    assert prediction(serve(), table) == refused("FitChanged", "manifest")


@pytest.mark.parametrize(
    ("release", "predicts"),
    [
        ("1.1.0rc1, LightGBM 4.9.0", True),
        ("1.2.0, LightGBM 4.7.0", False),
        ("2.0.0, LightGBM 4.7.0", False),
    ],
)
def test_models_of_the_release_before_predict(
    serve, table, rng, monkeypatch, release, predicts
):
    fit(serve(), table, rng)
    later = f"sklearn_gal {release}"
    monkeypatch.setattr(versions.can_work_with, "__defaults__", (later,))
    name, reply = prediction(serve(), table, versions=later)
    assert (name == "ok") == predicts
    assert predicts or reply == {"type": "FitChanged", "detail": "software"}


def test_which_releases_work_with_each_other():
    ours = "sklearn_gal 0.4.1, LightGBM 4.7.0"
    for other in ("0.3.0, LightGBM 4.7.0", "0.5.2.dev0, LightGBM 4.6.0"):
        assert can_work_with(f"sklearn_gal {other}", ours)
        assert can_work_with(ours, f"sklearn_gal {other}")
    for other in (
        "0.2.9, LightGBM 4.7.0",
        "1.4.1, LightGBM 4.7.0",
        "0.4.1, LightGBM 5.0.0",
    ):
        assert not can_work_with(f"sklearn_gal {other}", ours)
    for other in ("1.0.0rc1", "1.0.0", "1.0.0.post1", "1.1.0.dev0+g1f2e3d", "1.1.0b2"):
        other = f"sklearn_gal {other}, LightGBM 4.7.0.99"
        assert can_work_with(other, "sklearn_gal 1.0.0rc1, LightGBM 4.7.0")
    assert not can_work_with(
        "sklearn_gal 1.2.0rc1, LightGBM 4.7.0", "sklearn_gal 1.0.0, LightGBM 4.7.0"
    )
    assert can_work_with(versions.HANDSHAKE)
    assert not can_work_with("", ours)
    assert not can_work_with(ours + "\n", ours)


def test_another_secret_or_release_is_told(serve, table):
    service = serve()
    reply = ask(service, "prepare", row_ids=ids(table), check="0" * 64)
    assert reply == refused("OtherSecret")
    reply = ask(service, "prepare", row_ids=ids(table), check="ä")
    assert reply == refused("OtherSecret")
    old = "sklearn_gal 9.0.0, LightGBM 4.7.0"
    reply = ask(service, "prepare", row_ids=ids(table), versions=old)
    assert reply == refused("OtherVersion", versions.HANDSHAKE)


# --- decisions --------------------------------------------------------------------------


def test_a_fit_waits_for_approval(serve, table, rng, config, capsys, caplog):
    service = serve(rules={"approve": "ask"})
    for _ in range(3):
        reply = ask(service, "prepare", row_ids=ids(table))
        assert reply == refused("ApprovalPending", FIT)
    assert len(list(service._ledger.log.entries())) == 1  # asking again is no news
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert ask(service, "fit_round", **fit_request(table, rng))[1] == {
        "type": "NotPrepared"
    }
    assert main(["status", "--config", config]) == 0
    assert f"waiting for approval: {FIT}" in capsys.readouterr().out
    assert main(["approve", FIT[:6], "--config", config]) == 0
    assert [name for name, _ in fit(service, table, rng)] == ["ok"] * 3
    assert ask(service, "prepare", OTHER, row_ids=ids(table)) == refused(
        "ApprovalPending", OTHER
    )


def test_an_approval_is_for_the_rows_of_the_fit(serve, table, config, capsys):
    service = serve(rules={"approve": "ask", "approve_rows": 20})

    def prepare(n_rows):
        return ask(service, "prepare", row_ids=ids(table, slice(n_rows)))

    assert prepare(20)[0] == "ok"
    assert prepare(40) == refused("ApprovalPending", FIT)  # another fit under its name
    assert main(["approve", FIT, "--config", config]) == 0
    assert [prepare(n)[0] for n in (40, 20, 41)] == ["ok", "ok", "error"]
    assert main(["approve", FIT, "--config", config]) == 0
    assert prepare(41)[0] == "ok"
    assert main(["approve", FIT, "--config", config]) == 2
    assert "does not wait for approval" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rule", "approved"),
    [
        ({"approve_label_holders": ("Ada",)}, True),
        ({"approve_label_holders": ("Grace",)}, False),
        ({"approve_rows": 60}, True),
        ({"approve_rows": 59}, False),
        ({"approve_rows": 60, "approve_label_holders": ("Grace",)}, False),
        ({}, False),
    ],
)
def test_a_rule_approves_fits(serve, table, rule, approved):
    service = serve(rules={"approve": "ask"} | rule)
    assert (ask(service, "prepare", row_ids=ids(table))[0] == "ok") == approved


def test_rights_are_revoked_at_once_and_given_back(serve, table, rng, config, capsys):
    service = serve()
    fit(service, table, rng)
    assert main(["revoke", "Ada", "--config", config]) == 0
    for reply in (
        prediction(service, table),
        ask(service, "fit_round", **fit_request(table, rng)),
        ask(service, "prepare", OTHER, row_ids=ids(table, fit_id=OTHER)),
        ask(service, "release", n_requests=0),
    ):
        assert reply == refused("Revoked", "Ada")
    assert fit(service, table, rng, OTHER, label_holder="Grace")[-1][0] == "ok"
    assert main(["revoke", "--undo", "Ada", "--config", config]) == 0
    assert prediction(service, table)[0] == "ok"
    assert main(["revoke", "--undo", "Ada", "--config", config]) == 2
    assert "The rights of 'Ada' are not revoked" in capsys.readouterr().err


def test_a_fit_belongs_to_its_label_holder(serve, table, rng):
    service = serve()
    fit(service, table, rng)
    who = {"label_holder": "Mallory"}
    for reply in (
        prediction(service, table, **who),
        ask(service, "prepare", row_ids=ids(table), **who),
        ask(service, "release", n_requests=0, **who),
        ask(service, "forget", **who),
    ):
        assert reply == refused("NotTheOwner", FIT)
    assert prediction(service, table)[0] == "ok"


def replies_to(service, table, name, rng):
    """Yield the replies to what a label holder asks in two fits, until one is an error."""
    who, folds = {"label_holder": name}, np.arange(60) % 2
    rows = [0, *range(59)]
    for fit_id in (
        f"{name}1".encode().hex().zfill(32),
        f"{name}2".encode().hex().zfill(32),
    ):
        row_ids = ids(table, rows, fit_id)
        yield ask(service, "prepare", fit_id, row_ids=row_ids, **who)
        for number in range(2):
            request = fit_request(table, rng, number=number, folds=folds)
            yield ask(service, "fit_round", fit_id, **request, **who)
        wanted = {"numbers": np.arange(2), "coefficients": np.ones(2)}
        wanted["chains"] = np.arange(2)
        yield ask(service, "predict", fit_id, row_ids=row_ids, **wanted, **who)


@pytest.mark.parametrize(
    ("limit", "value", "n_answered"),
    [
        ("max_rows", 59, 0),
        ("min_rows", 61, 0),
        ("max_repeats", 1, 0),
        ("ids_per_day", 30, 0),
        ("seconds_per_day", 20, 0),
        ("max_outputs", 3, 1),
        ("max_folds", 1, 1),
        ("max_rounds", 1, 2),
        ("rounds_per_day", 1, 2),
        ("max_rounds_predicted", 3, 3),
        ("max_bytes", 4000, 3),
        ("fits_per_day", 1, 4),
    ],
)
def test_each_limit_can_differ_for_a_label_holder(
    serve, table, rng, limit, value, n_answered
):
    service = serve(max_repeats=2, label_holders={"Grace": {limit: value}})
    for name in ("Grace", "Ada"):
        service._ledger.log.append(label_holder=name, seconds=50.0, decision="answered")
        replies = list(replies_to(service, table, name, rng))
        errors = [reply for reply in replies if reply[0] != "ok"]
        if name == "Ada":
            assert not errors
            continue
        assert errors[0] == exceeded(limit)
        assert replies.index(errors[0]) == n_answered


def test_approval_can_differ_for_a_label_holder(serve, table):
    rules = {"approve": "ask", "approve_label_holders": ["Ada", "Grace", "Alan"]}
    of_some = {
        "Grace": {"approve": "ask", "approve_rows": 30},
        "Eve": {"approve": "always"},
    }
    service = serve(rules=rules, label_holders=of_some)

    def prepare(name, n_rows):
        fit_id = f"{name} {n_rows}".encode().hex().zfill(32)
        row_ids = ids(table, slice(n_rows), fit_id)
        return ask(service, "prepare", fit_id, row_ids=row_ids, label_holder=name)[0]

    assert [prepare("Ada", 60), prepare("Alan", 60)] == ["ok", "ok"]
    assert [prepare("Grace", 30), prepare("Grace", 31)] == ["ok", "error"]
    assert [prepare("Eve", 60), prepare("Mallory", 20)] == ["ok", "error"]


def test_calls_can_differ_for_a_label_holder(serve, table, rng):
    rights = {"Ada": {"calls": ["fit", "predict"]}, "Grace": {"calls": ["fit"]}}
    service = serve(rules={"calls": []}, label_holders=rights)
    nothing = {"numbers": np.zeros(0, int)}
    no = {right: refused("NotPermitted", right) for right in ("fit", "predict")}
    for name, fit_id in (("Ada", FIT), ("Grace", OTHER)):
        who = {"label_holder": name}
        assert fit(service, table, rng, fit_id, **who)[-1][0] == "ok"
        row_ids = ids(table, fit_id=fit_id)
        assert ask(service, "predict", fit_id, row_ids=row_ids, **nothing, **who)[0] == "ok"
        reply = ask(
            service, "predict", fit_id, row_ids=row_ids, numbers=np.arange(2), **who
        )
        assert reply == no["predict"] if name == "Grace" else reply[0] == "ok"
        assert ask(service, "forget", fit_id, **who)[0] == "ok"
    who = {"label_holder": "Mallory"}
    assert fit(service, table, rng, **who) == [no["fit"]] * 3
    reply = ask(service, "predict", row_ids=ids(table), **nothing, **who)
    assert reply == no["predict"]


def test_a_label_holder_without_rights_is_told(serve, table, target):
    service = serve(label_holders={"label holder": {"calls": ["predict"]}})
    message = "it does not permit this label holder to fit"
    with pytest.raises(OrganizationError, match=message):
        federated(service).fit(table["id"], target)
    entry = next(service._ledger.log.entries())
    assert entry["decision"].startswith("refused: NotPermitted")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_fits": 3}, r"'Ada' has unknown settings \['max_fits'\]\. The allowed"),
        ({"retention_days": 3}, "has unknown settings"),
        ({"min_rows": 0}, "The label holder 'Ada': The limit min_rows must be a positive"),
        ({"approve": "no"}, "The label holder 'Ada': approve must be 'always' or 'ask'"),
        ({"calls": ["all"]}, "The label holder 'Ada': calls must be a list of some of"),
    ],
)
def test_bad_rights_are_told(serve, changes, message):
    with pytest.raises(ValueError, match=message):
        serve(label_holders={"Ada": changes})


def age(service, fit_id, days):
    """Make as if a fit had not been used for some days."""
    then = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    service._ledger.write(service._ledger.read(fit_id) | {"last_used": then})


def test_old_fits_are_forgotten(serve, table, rng):
    service = serve()
    for fit_id, days in ((FIT, 9), (OTHER, 11)):
        fit(service, table, rng, fit_id)
        age(service, fit_id, days)
    assert serve(rules={"retention_days": 12}).fits() == [FIT, OTHER]
    assert serve(rules={"retention_days": 10}).fits() == [FIT]
    last = list(service._ledger.log.entries())[-1]
    assert (last["fit"], last["decision"]) == (OTHER, "retention")


def test_the_fits_that_were_used_last_are_kept(serve, table, rng):
    service = serve()
    for fit_id, days in ((OTHER, 1), (FIT, 2)):
        fit(service, table, rng, fit_id)
        age(service, fit_id, days)
    rules = {"retention_bytes": service._ledger.size(OTHER) + 10}
    ask(service, "prepare", FIT, row_ids=ids(table))  # it goes on, and is kept
    age(service, FIT, 2)
    service.rules = Rules(**rules)
    service._expire()
    assert service.fits() == sorted([FIT, OTHER])
    service = serve(rules=rules)
    assert service.fits() == [OTHER]
    fit(service, table, rng, "a" * 32)  # a new fit makes room for later ones
    fit(service, table, rng, "b" * 32)
    assert OTHER not in service.fits()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"approve": "never"}, "approve must be 'always' or 'ask', got 'never'"),
        ({"approve_label_holders": "Ada"}, "must be a list of names, got 'Ada'"),
        ({"retention_days": 0}, "retention_days must be a positive integer, got 0"),
        ({"retention_bytes": 1.5}, "retention_bytes must be a positive integer"),
    ],
)
def test_bad_rules_are_told(serve, rules, message):
    with pytest.raises(ValueError, match=message):
        serve(rules=rules)


# --- commands ---------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    """Settings of the organization, without a table: the commands need none."""
    path = tmp_path / "bank.toml"
    path.write_text(
        'name = "bank"\nkey = "id"\nmodels = "models"\nsecret_file = "secret"\n'
        'estimator = "missing.py:estimator"\n[table]\ncsv = "missing.csv"\n'
    )
    return str(path)


def test_the_command_writes_the_log(serve, table, rng, config, capsys):
    service = serve()
    fit(service, table, rng)
    fit(service, table, rng, OTHER, label_holder="Grace")
    ask(service, "fit_round", **fit_request(table, rng, number=10**6))

    def entries(*options):
        assert main(["log", "--config", config, *options]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert entries() == list(service._ledger.log.entries())
    assert len(entries("--fit", FIT[:4])) == 3
    assert {entry["fit"] for entry in entries("--label-holder", "Grace")} == {OTHER}
    assert [entry["decision"][:7] for entry in entries("--refused")] == ["refused"]
    assert not entries("--since", "9999-01-01")


def test_the_command_lists_and_forgets_fits(serve, table, rng, config, capsys):
    service = serve()
    for fit_id in (FIT, OTHER):
        fit(service, table, rng, fit_id)
    age(service, OTHER, 100)
    assert main(["fits", "--config", config]) == 0
    title, first, second = capsys.readouterr().out.splitlines()
    names = ["fit", "state", "label holder", "rows", "rounds", "bytes", "last used"]
    assert re.split("  +", title) == names
    assert first.split()[:5] == [FIT, "approved", "Ada", "60", "2"]
    size = str(service._ledger.size(OTHER))
    assert second.index(f" {size} ") + 1 == title.index("bytes")
    assert main(["status", "--config", config]) == 0
    status = capsys.readouterr().out
    assert status.startswith(f"2 fits, {service._ledger.size()} bytes\n")
    assert "today, Ada: 6 answered" in status
    assert "rounds_per_day 4" in status
    assert main(["forget", "--config", config]) == 2
    assert "Name the fits to forget" in capsys.readouterr().err
    assert main(["forget", "abc", "--config", config]) == 2
    assert "There must be one fit 'abc', but 0 have" in capsys.readouterr().err
    assert main(["forget", "--unused-for", "99", "--config", config]) == 0
    assert service.fits() == [FIT]
    assert main(["forget", FIT[:4], "--config", config]) == 0
    assert service.fits() == []
    assert prediction(service, table) == ("error", {"type": "RequestRefused"})


def test_the_commands_need_an_organization_that_was_started(config, capsys):
    assert main(["status", "--config", config]) == 2
    assert "It is made when the organization starts" in capsys.readouterr().err


# --- what the label holder is told ------------------------------------------------------


@pytest.fixture
def target(table):
    return table["a"].to_numpy() + np.arange(60) % 3


def federated(service, secret=SECRET, **params):
    federation = Federation(LocalChannel([service]), secret)
    params = {"max_iter": 2, "random_state": 0, "on_failure": "fail"} | params
    return FederatedGALRegressor(federation, **params)


@pytest.mark.parametrize(
    ("changed", "params", "message"),
    [
        ({"min_rows": 61}, {}, "its limit min_rows does not allow this"),
        ({"max_folds": 3}, {"cv": 4}, "its limit max_folds does not allow this"),
        ({"secret": "another secret of them"}, {}, "it has another secret than this"),
        ({"rules": {"approve": "ask"}}, {}, "approve the fit by `sklearn-gal approve"),
    ],
)
def test_a_refusal_is_one_clear_error(serve, table, target, changed, params, message):
    model = federated(serve(**changed), **params)
    with pytest.raises(OrganizationError, match=message) as caught:
        model.fit(table["id"], target)
    assert "'bank'" in "".join(caught.value.__notes__)


def test_waiting_does_not_help_against_a_limit(serve, table, target):
    model = federated(serve(min_rows=61), on_failure="wait")
    with pytest.raises(OrganizationError, match="its limit min_rows"):
        model.fit(table["id"], target)


def test_a_fit_can_wait_for_its_approval(serve, table, target, monkeypatch):
    service = serve(rules={"approve": "ask"})

    def approve(seconds):
        (fit_id,) = service.fits()
        service._ledger.approve(fit_id)

    monkeypatch.setattr("sklearn_gal.federated._remote.time.sleep", approve)
    model = federated(service, on_failure="wait")
    with pytest.warns(OrganizationWarning, match="must first approve the fit by"):
        model.fit(table["id"], target)
    assert model.n_iter_ > 0


def test_an_organization_takes_part_as_soon_as_it_has_approved(
    serve, table, target, monkeypatch
):
    service = serve(rules={"approve": "ask"})

    def approve(seconds):
        (fit_id,) = service.fits()
        service._ledger.approve(fit_id)

    monkeypatch.setattr("sklearn_gal.federated._remote.time.sleep", approve)
    model = federated(service, on_failure="continue", max_iter=8, weights="uniform")
    model.set_params(organizations=[("own", Patient(), ["c"])], key="id", cv=None)
    model.set_params(interactions=False)
    with pytest.warns(OrganizationWarning, match="must first approve the fit by"):
        model.fit(table[["id", "c"]], target)
    assert model.weights_[0, 1] == 0
    assert model.weights_[-1, 1] > 0


@pytest.fixture
def shop(table, tmp_path):
    """Another organization, which refuses nothing."""
    return OrganizationService("shop", table[["id", "b"]], "id", SECRET, tmp_path / "shop")


def continuing(services, **params):
    """A fit of 15 rounds with the label holder's own columns."""
    federation = Federation(LocalChannel(services), SECRET)
    own = [("own", Ridge(), ["c"])]
    params = {"max_iter": 15, "cv": None, "weights": "uniform", "random_state": 0} | params
    return FederatedGALRegressor(federation, own, key="id", interactions=False, **params)


@pytest.mark.parametrize(
    ("limits", "first", "n_calls"),
    [
        ({"min_rows": 61}, "the fit goes on without it.", ["prepare"]),
        (
            {"rounds_per_day": 2},
            "from round 3 on, the fit goes on without it.",
            ["prepare", *["fit_round"] * 3],
        ),
    ],
)
def test_a_refusal_is_told_once_and_not_asked_for_again(
    serve, shop, table, target, limits, first, n_calls
):
    service = serve(**limits)
    model = continuing([service, shop], max_missed_rounds=1)
    with pytest.warns(OrganizationWarning) as caught:
        model.fit(table[["id", "c"]], target)
    (limit,) = limits
    assert [str(each.message) for each in caught if "'bank'" in str(each.message)] == [
        "Organization 'bank' refused the request (it refuses, because its limit "
        f"{limit} does not allow this): {first}"
    ]
    assert [entry["call"] for entry in service._ledger.log.entries()] == n_calls
    assert model.stop_reason_ == "max_iter"
    n_taken = n_calls.count("fit_round") - 1
    assert (model.weights_[:, 1] > 0).sum() == max(n_taken, 0)
    assert (model.weights_[:, 2] > 0).all()


def test_after_a_call_that_took_too_long_it_takes_part_again(
    serve, shop, table, target, monkeypatch
):
    service, check, n_checks = serve(), Clock.check, itertools.count()

    def late(clock):
        if clock is service._fits[service.fits()[0]].clock and next(n_checks) == 2:
            raise LimitExceeded("max_seconds", "too long")
        return check(clock)

    monkeypatch.setattr(Clock, "check", late)
    model = continuing([service, shop], max_missed_rounds=None, max_iter=6)
    model.set_params(organizations=[("own", Patient(), ["c"])])
    with pytest.warns(OrganizationWarning) as caught:
        model.fit(table[["id", "c"]], target)
    told = str(caught[0].message)
    assert re.search(r"max_seconds .*: round 3 goes on without", told)
    taken = model.weights_[:, 1] > 0
    assert taken[[0, 1, -1]].all()
    assert not taken[2]


def test_when_all_refuse_the_fit_ends(serve, table, target, tmp_path):
    X = table[["id", "c"]]
    with (
        pytest.warns(OrganizationWarning, match="its limit min_rows"),
        pytest.raises(OrganizationError, match=r"'bank' refused the request.*min_rows"),
    ):
        continuing([serve(min_rows=61)]).fit(X, target)
    model = continuing([serve(max_rounds=4)], checkpoint=tmp_path / "checkpoint")
    with pytest.warns(OrganizationWarning, match="4 rounds, because all .* refuse to take"):
        model.fit(X, target)
    assert (model.stop_reason_, model.n_iter_) == ("refused", 4)
    assert (model.weights_[:, 1] > 0).all()
    again = continuing([serve()], checkpoint=tmp_path / "checkpoint").fit(X, target)
    assert (again.stop_reason_, again.n_iter_) == ("max_iter", 15)
    np.testing.assert_array_equal(again.weights_[:4], model.weights_)


def test_rounds_before_the_approval_are_named_and_counted(serve, shop, table, target):
    service = serve(rules={"approve": "ask"})
    model = continuing([service, shop], max_missed_rounds=2)
    with pytest.warns(OrganizationWarning) as caught:
        model.fit(table[["id", "c"]], target)
    told = [str(each.message) for each in caught]
    (fit_id,) = service.fits()
    refused_ = f"must first approve the fit by `sklearn-gal approve {fit_id}`): "
    assert sum(f"{refused_}round 2 goes on without it." in each for each in told) == 1
    assert (model.stop_reason_, model.n_iter_) == ("missed_rounds", 2)


def test_the_label_holder_has_a_fit_forgotten(serve, table, target):
    service = serve()
    models = [federated(service).fit(table["id"], target) for _ in range(2)]
    assert len(service.fits()) == 2
    models[0].federation.forget(models[0])
    assert len(service.fits()) == 1
    models[0].federation.forget(models[0])  # again: there is nothing left
    models[1].predict(table["id"])
    with pytest.raises(OrganizationError, match="RequestRefused"):
        models[0].predict(table["id"])
    service._ledger.revoke("label holder")
    with pytest.raises(
        OrganizationError, match=r"'bank' \(it has revoked .*Call forget again"
    ):
        models[1].federation.forget(models[1])


def test_a_fit_without_models_leaves_nothing(serve, table, rng):
    service = serve()
    ask(service, "prepare", row_ids=ids(table))
    assert service.fits() == [FIT]
    ask(service, "release", n_requests=0)
    assert service.fits() == []


def test_hardly_any_rows_is_a_warning(serve, table, target):
    params = {"missing_rows": "abstain", "on_failure": "continue"}
    other_ids = [f"another {i}" for i in range(60)]
    with (
        pytest.warns(ConvergenceWarning),  # nothing can be fitted
        pytest.warns(OrganizationWarning, match=r"has 0 of the 60 rows\. Check"),
    ):
        model = federated(serve(), **params).fit(other_ids, target)
    model = federated(serve(), **params).fit(table["id"], target)
    many = [*table["id"][:1], *(f"another {i}" for i in range(200))]
    with pytest.warns(OrganizationWarning, match="has 1 of the 201 rows"):
        model.predict(many)


def test_the_secret_of_a_model_that_was_fitted_before(serve, table, target):
    model = federated(serve(), missing_rows="abstain").fit(table["id"], target)
    expected = model.predict(table["id"])
    rotated = serve(secret="a new secret of all")
    model.federation = Federation(LocalChannel([rotated]), SECRET)
    with pytest.raises(OrganizationError, match=r"another secret .* = connect\(kit\)"):
        model.predict(table["id"])
    model.federation = Federation(LocalChannel([rotated]), "a new secret of all")
    np.testing.assert_array_equal(model.predict(table["id"]), expected)


def test_another_format_of_messages_is_told(serve, table, target):
    model = federated(serve())

    class Newer(LocalChannel):
        def call(self, organization, request, timeout):
            reply = super().call(organization, request, timeout)
            return reply.replace(b"sklearn_gal 1\n", b"sklearn_gal 2\n", 1)

    model.federation = Federation(Newer([serve()]), SECRET)
    with (
        pytest.warns(OrganizationWarning, match="when the fit ended"),
        pytest.raises(OrganizationError, match="another format of messages than 1: inst"),
    ):
        model.fit(table["id"], target)


def test_a_request_that_cannot_be_read_is_told(serve, table, target):
    message = "larger than its limit max_bytes, or of another release"
    with pytest.raises(OrganizationError, match=message):
        federated(serve(max_bytes=1000)).fit(table["id"], target)


def test_an_organization_of_another_release_is_told(serve, table, target, monkeypatch):
    service = serve()
    monkeypatch.setattr(
        "sklearn_gal.federated._service.HANDSHAKE", "sklearn_gal 9.0.0, LightGBM 4.7.0"
    )
    with pytest.raises(
        OrganizationError, match=r"it runs sklearn_gal 9\.0\.0, .* same rel"
    ):
        federated(service).fit(table["id"], target)


def test_the_default_limits_allow_a_fit(serve, table, target):
    model = federated(serve(), interactions=True, max_iter=4).fit(table["id"], target)
    assert (model.communication_["error"] == "").all()
