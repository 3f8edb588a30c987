"""What an organization does not answer, or not more often, and what a refusal costs."""

import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from _helpers import Recorder
from _requests import FIT, SECRET, ask, exceeded, fit_request, ids, make_table
from sklearn_gal._contract import NO_FOLD
from sklearn_gal.federated import OrganizationService
from sklearn_gal.federated._ids import IdBudget
from sklearn_gal.federated._keys import check_value
from sklearn_gal.federated._ledger import AuditLog, Clock, Ledger
from sklearn_gal.federated._limits import Limits
from sklearn_gal.federated._refusals import LimitExceeded
from sklearn_gal.federated._versions import HANDSHAKE
from sklearn_gal.federated._wire import decode, encode

MEGABYTE = 2**20


@pytest.fixture
def table():
    return make_table()


@pytest.fixture
def serve(table, tmp_path):
    """Make the service of the same organization, with limits."""

    def make(table=table, estimator=None, **limits):
        estimator = Ridge() if estimator is None else estimator
        return OrganizationService(
            "bank", table, "id", SECRET, tmp_path, estimator=estimator, **limits
        )

    return make


def fit_number(n):
    return f"{n:032x}"


def refused_cheaply(service, request, limit):
    """Check that a request is refused with one error, which is logged, at little cost."""
    bytes_before = sum(path.stat().st_size for path in service._ledger.folder.rglob("*"))
    tracemalloc.start()
    try:
        reply = service.answer(request, label_holder="Mallory")
        assert tracemalloc.get_traced_memory()[1] < 50 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert decode(reply) == exceeded(limit)
    entry = list(service._ledger.log.entries())[-1]
    assert entry["label_holder"] == "Mallory"
    assert re.match(f"refused: LimitExceeded: .*{limit} is", entry["decision"])
    bytes_after = sum(path.stat().st_size for path in service._ledger.folder.rglob("*"))
    assert bytes_after - bytes_before < 10_000  # the log


def message(call, fit_id=FIT, **fields):
    if call in ("prepare", "predict"):
        check = check_value(SECRET.encode(), fit_id)
        fields = {"check": check, "versions": HANDSHAKE, "abstain": True} | fields
    return encode(call, {"fit_id": fit_id, **fields})


def test_a_model_per_row_is_refused(serve):
    table = make_table(238)
    service = serve(table, KNeighborsRegressor())
    prepared = service.answer(
        message("prepare", row_ids=ids(table)), label_holder="Mallory"
    )
    assert decode(prepared)[0] == "ok"
    every = message(
        "fit_round",
        number=0,
        seed=0,
        folds=np.arange(1, 239).astype(np.uint8),
        residual=np.zeros((238, 238, 1)),
    )
    refused_cheaply(service, every, "max_folds")


def test_a_row_a_million_times_is_refused(serve, table):
    service = serve(ids_per_day=2_000_000)
    row_ids = np.repeat(ids(table)[:1], 1_000_000, axis=0)
    refused_cheaply(service, message("prepare", row_ids=row_ids), "max_repeats")
    refused_cheaply(
        service,
        message("predict", row_ids=row_ids, numbers=np.zeros(0, int)),
        "max_repeats",
    )


def test_some_repeats_can_be_allowed(serve, table, rng):
    twice = np.repeat(np.arange(60), 2)
    assert ask(serve(), "prepare", row_ids=ids(table, twice)) == exceeded("max_repeats")
    service = serve(max_repeats=2)
    assert ask(service, "prepare", row_ids=ids(table, twice))[0] == "ok"
    request = fit_request(table.iloc[twice], rng)
    assert ask(service, "fit_round", **request)[0] == "ok"


def test_a_million_unknown_rows_take_no_memory(serve, table):
    table = make_table(2000)
    columns = [f"x{i}" for i in range(100)]
    table = table[["id"]].join(pd.DataFrame(np.zeros((2000, 100)), columns=columns))
    service = serve(table)
    row_ids = np.random.default_rng(0).integers(0, 256, (90_000, 16)).astype(np.uint8)
    request = message("prepare", row_ids=np.vstack([ids(table, slice(20)), row_ids]))
    tracemalloc.start()
    reply = service.answer(request)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decode(reply)[1]["present"].sum() == 20
    assert peak < 10 * MEGABYTE  # the unknown rows with all columns are 74


def test_the_same_model_again_and_again_is_refused(serve, table, rng):
    Recorder.calls.clear()
    service = serve(estimator=Recorder())
    ask(service, "prepare", row_ids=ids(table))
    assert ask(service, "fit_round", **fit_request(table, rng))[0] == "ok"
    so_far = len(Recorder.calls)
    asked = {"row_ids": ids(table, slice(1)), "coefficients": np.ones(300)}
    reply = ask(service, "predict", numbers=np.zeros(300, dtype=int), **asked)
    assert reply == ("error", {"type": "RequestRefused"})
    assert len(Recorder.calls) == so_far
    service = serve(max_rounds_predicted=2)
    reply = ask(service, "predict", numbers=np.arange(300), **asked)
    assert reply == exceeded("max_rounds_predicted")


def test_members_cannot_be_enumerated(serve):
    table = make_table(1000)
    service = serve(table)
    candidates = np.zeros((5_000_000, 16), dtype=np.uint8)
    request = message("predict", row_ids=candidates, numbers=np.zeros(0, int))
    refused_cheaply(service, request, "ids_per_day")


def test_ids_are_counted_over_calls_and_processes(serve, table, rng):
    service = serve(ids_per_day=100)
    unknown = rng.integers(0, 256, (30, 16)).astype(np.uint8)

    def overlap(service, row_ids, **who):
        fields = {"row_ids": row_ids, "numbers": np.zeros(0, int), "abstain": True}
        return ask(service, "predict", **fields, **who)

    assert overlap(service, ids(table))[0] == "ok"
    for _ in range(3):  # members of which it was told today do not count again
        assert overlap(service, ids(table))[0] == "ok"
    assert overlap(service, unknown)[0] == "ok"
    assert overlap(service, unknown) == exceeded("ids_per_day")
    assert ask(service, "prepare", row_ids=unknown) == exceeded("ids_per_day")
    assert overlap(serve(ids_per_day=100), unknown) == exceeded("ids_per_day")
    assert overlap(service, unknown, label_holder="Grace")[0] == "ok"


def test_ids_of_calls_that_run_at_the_same_time_are_counted(tmp_path):
    log = AuditLog(tmp_path / "log")
    budget = IdBudget(100, 60, log)
    unknown = np.full(30, -1)
    assert budget.charge("Ada", np.arange(60)) == 60  # nothing of it is in the log yet
    assert budget.charge("Ada", unknown) == 30
    with pytest.raises(LimitExceeded, match="90 ids today and 30 more, but ids_per_day is"):
        budget.charge("Ada", unknown)
    assert budget.charge("Ada", np.arange(60)) == 0
    log.append(label_holder="Ada", ids=99)  # by another process
    with pytest.raises(LimitExceeded, match="99 ids today and 30 more"):
        budget.charge("Ada", unknown)


def test_few_rows_are_not_fitted(serve, table, rng):
    service = serve(min_rows=20)
    assert ask(service, "prepare", row_ids=ids(table, slice(19))) == exceeded("min_rows")
    assert ask(service, "prepare", row_ids=ids(table))[0] == "ok"
    lone = np.full(60, NO_FOLD)
    lone[19:] = 0  # held out
    reply = ask(service, "fit_round", **fit_request(table, rng, folds=lone))
    assert reply == exceeded("min_rows")
    in_pairs = np.where(np.arange(60) < 55, 0, 1)  # the rows outside fold 0 are 5
    reply = ask(service, "fit_round", **fit_request(table, rng, folds=in_pairs))
    assert reply == exceeded("min_rows")
    halves = np.arange(60) % 2
    reply = ask(service, "fit_round", **fit_request(table, rng, folds=halves))
    assert reply[0] == "ok"


@pytest.mark.parametrize("rest", [1e-12, 1e-300])
def test_weights_do_not_hide_that_rows_are_few(serve, table, rng, rest):
    service = serve()
    weight = np.full(60, rest)
    weight[:2] = 1
    reply = ask(service, "prepare", row_ids=ids(table), sample_weight=weight)
    assert reply == exceeded("min_rows")
    heavy = np.ones(60)
    heavy[:2] = rest
    reply = ask(service, "prepare", row_ids=ids(table), sample_weight=heavy)
    assert reply[0] == "ok"
    folds = np.where(np.arange(60) < 2, NO_FOLD, 0)  # a fit to the two light rows
    reply = ask(service, "fit_round", **fit_request(table, rng, folds=folds))
    assert reply == exceeded("min_rows")
    for wrong in (-1.0, 0.0):
        weight[0] = wrong
        reply = ask(service, "prepare", row_ids=ids(table), sample_weight=weight)
        assert reply == ("error", {"type": "RequestRefused"})


def test_rounds_of_a_fit(serve, table, rng):
    service = serve(max_rounds=2)
    ask(service, "prepare", row_ids=ids(table))
    asked = fit_request(table, rng, number=2)
    assert ask(service, "fit_round", **asked) == exceeded("max_rounds")
    for _ in range(2):  # the same number with other residuals counts as well
        assert ask(service, "fit_round", **fit_request(table, rng))[0] == "ok"
    assert ask(service, "fit_round", **fit_request(table, rng)) == exceeded("max_rounds")


def test_bytes_on_the_disk(serve, table, rng, tmp_path):
    service = serve(max_disk=3000)
    ask(service, "prepare", row_ids=ids(table))
    replies = [
        ask(service, "fit_round", **fit_request(table, rng, number=number))
        for number in range(20)
    ]
    n_fitted = [name for name, _ in replies].count("ok")
    assert 0 < n_fitted < 20
    assert replies[n_fitted:] == [exceeded("max_disk")] * (20 - n_fitted)
    last = fit_request(table, rng, number=n_fitted)
    for _ in range(2):  # the second time there is no answer in memory either
        assert ask(service, "fit_round", **last) == exceeded("max_disk")
    assert service._ledger.size() <= 3000
    again = serve(max_disk=service._ledger.size())
    ask(again, "prepare", row_ids=ids(table))
    assert ask(again, "fit_round", **fit_request(table, rng)) == exceeded("max_disk")
    Ledger(tmp_path).forget(FIT)  # as the command does, while the organization runs
    for each in (service, again):
        ask(each, "prepare", row_ids=ids(table))
        assert ask(each, "fit_round", **fit_request(table, rng))[0] == "ok"
        each.forget(FIT)


def test_a_long_call_ends_between_models(serve, table, rng, monkeypatch):
    seconds = iter(np.arange(0.0, 1000.0, 10.0))
    monkeypatch.setattr(
        "sklearn_gal.federated._ledger.time.monotonic", lambda: next(seconds)
    )
    Recorder.calls.clear()
    service = serve(estimator=Recorder(), max_seconds=15)
    ask(service, "prepare", row_ids=ids(table))
    request = fit_request(table, rng, folds=np.arange(60) % 5)
    assert ask(service, "fit_round", **request) == exceeded("max_seconds")
    assert len(Recorder.fits()) < 5


def test_the_clock_starts_again_with_each_call():
    clock = Clock(Limits(max_seconds=1))
    clock._begin -= 2
    with pytest.raises(LimitExceeded, match="max_seconds is 1"):
        clock.check()
    clock.start()
    clock.check()


def test_fits_rounds_and_seconds_of_a_day(serve, table, rng):
    service = serve(fits_per_day=2, rounds_per_day=3)

    def prepare(number, **who):
        fit_id = fit_number(number)
        return ask(service, "prepare", fit_id, row_ids=ids(table, fit_id=fit_id), **who)

    assert [prepare(number)[0] for number in (1, 1, 2)] == ["ok"] * 3
    assert prepare(3) == exceeded("fits_per_day")
    assert prepare(4, label_holder="Grace")[0] == "ok"
    replies = [
        ask(service, "fit_round", fit_number(2), **fit_request(table, rng, number=number))
        for number in range(4)
    ]
    assert [name for name, _ in replies] == ["ok", "ok", "ok", "error"]
    assert replies[3] == exceeded("rounds_per_day")
    service._ledger.log.append(label_holder="Ada", seconds=50.0, decision="answered")
    assert ask(serve(seconds_per_day=40), "release", n_requests=0) == exceeded(
        "seconds_per_day"
    )


def test_the_limits_of_a_day_end_with_the_day(tmp_path, monkeypatch):
    log = AuditLog(tmp_path / "log")
    monkeypatch.setattr("sklearn_gal.federated._ledger.now", lambda: "2026-01-31T23:59:59")
    log.append(label_holder="Ada", fits=2)
    AuditLog(tmp_path / "log").append(label_holder="Ada", fits=1)  # another process
    assert log.used_today("Ada")["fits_per_day"] == 3
    assert log.used_today("Grace")["fits_per_day"] == 0
    monkeypatch.setattr("sklearn_gal.federated._ledger.now", lambda: "2026-02-01T00:00:00")
    assert log.used_today("Ada")["fits_per_day"] == 0
    assert [entry["fits"] for entry in log.entries("2026-01-31")] == [2, 1]
    assert not list(log.entries("2026-02-01"))


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "9", None])
def test_bad_limits_are_told(serve, bad):
    with pytest.raises(ValueError, match="limit max_rows must be a positive integer"):
        serve(max_rows=bad)
