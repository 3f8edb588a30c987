"""An organization answers four calls with arrays of numbers, and nothing else."""

import logging
import pickle

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils import _safe_indexing

from _helpers import Recorder
from _requests import FIT, SECRET, ask, exceeded, fit_request, ids, make_table
from sklearn_gal._contract import NO_FOLD, Folds, Request
from sklearn_gal._organizations.local import LocalOrganization
from sklearn_gal.federated import OrganizationService, _slots
from sklearn_gal.federated._calls import decode_folds, encode_folds
from sklearn_gal.federated._keys import digests
from sklearn_gal.federated._wire import decode


@pytest.fixture
def table():
    return make_table()


@pytest.fixture
def service(table, tmp_path):
    return OrganizationService("bank", table, "id", SECRET, tmp_path, estimator=Ridge())


FOLDS = {
    "none": None,
    "two": np.arange(40) % 2,
    "three": np.arange(40) % 3,
    "held out": np.where(np.arange(40) < 25, NO_FOLD, 0),
}


@pytest.mark.parametrize("folds", FOLDS.values(), ids=FOLDS)
def test_it_answers_as_the_organization_in_process_would(service, table, rng, folds):
    order = rng.permutation(60)[:40]
    request = fit_request(table[:40], rng, folds=folds)
    local = LocalOrganization("bank", Ridge(), np.arange(3))
    local.prepare(table[["a", "b", "c"]].iloc[order], {})
    divided = None if folds is None else Folds(folds)
    expected = local.fit_round(Request(0, 0, 1, divided, request["residual"]))

    name, reply = ask(service, "prepare", row_ids=ids(table, order))
    assert (name, reply["present"].all()) == ("ok", True)
    name, reply = ask(service, "fit_round", **request)
    np.testing.assert_array_equal(reply["fitted"], expected)

    rest = np.setdiff1d(np.arange(60), order)
    asked = {"row_ids": ids(table, rest), "numbers": np.array([0])}
    name, reply = ask(service, "predict", coefficients=np.array([0.3]), **asked)
    expected = local.predict(table[["a", "b", "c"]].iloc[rest], [0], [0.3])
    np.testing.assert_array_equal(reply["prediction"], expected)
    mean = ask(service, "predict", **asked)[1]["prediction"]
    np.testing.assert_array_equal(0.3 * mean[:, 0], expected)
    expected = local.predict_each(table[["a", "b", "c"]].iloc[rest], [0])[0]
    thresholds = np.median(expected, axis=1)[None]
    fields = {key: np.array([0]) for key in ("chains", "means", "signs")}
    asked |= fields | {"thresholds": thresholds, "coefficients": np.array([2.0])}
    reply = ask(service, "predict", **asked)[1]
    np.testing.assert_array_equal(reply["prediction"] * 0.15, 0.3 * mean[:, 0])
    np.testing.assert_array_equal(reply["chains"], np.moveaxis(expected, 0, 1)[:, None])
    np.testing.assert_array_equal(reply["means"], expected.mean(axis=0)[:, None])
    above = np.moveaxis(expected, 0, 1) > thresholds
    n_bits = above[0].size
    bits = np.unpackbits(reply["above"], axis=1)
    np.testing.assert_array_equal(bits[:, :n_bits], above.reshape(len(rest), -1))
    assert reply["above"].shape == (len(rest), np.ceil(n_bits / 8))


def test_a_call_reads_its_rows_once(service, table, rng, monkeypatch):
    read = []

    def reading(table, rows):
        read.append(len(rows))
        return _safe_indexing(table, rows)

    monkeypatch.setattr("sklearn_gal.federated._served._safe_indexing", reading)
    unknown = digests(["nobody"], SECRET.encode(), FIT)
    rows = np.vstack([ids(table)[:30], unknown])
    ask(service, "prepare", row_ids=rows, abstain=True)
    for number in range(3):
        request = fit_request(rows, rng, number=number, folds=np.arange(31) % 2)
        assert ask(service, "fit_round", **request)[0] == "ok"
    assert read == [30]
    asked = {"row_ids": np.vstack([unknown, ids(table)[40:]]), "abstain": True}
    asked["numbers"] = np.arange(3)
    reply = ask(service, "predict", chains=np.arange(1, 3), **asked)[1]
    assert reply["chains"].shape == (21, 2, 2, 2)
    assert read == [30, 20]
    ask(service, "predict", coefficients=np.ones(3), means=np.arange(2), **asked)
    assert read == [30, 20, 20]  # they are not kept


def test_models_outlive_the_process(service, table, tmp_path, rng):
    ask(service, "prepare", row_ids=ids(table))
    for number in range(3):
        ask(service, "fit_round", **fit_request(table, rng, number=number))
    asked = {
        "row_ids": ids(table),
        "numbers": np.arange(3),
        "coefficients": np.array([1.0, 0.5, 2.0]),
    }
    expected = ask(service, "predict", **asked)[1]["prediction"]
    again = OrganizationService("bank", table, "id", SECRET, tmp_path, estimator=Ridge())
    np.testing.assert_array_equal(ask(again, "predict", **asked)[1]["prediction"], expected)
    assert again.fits() == [FIT]
    assert oct(tmp_path.joinpath(FIT).stat().st_mode)[-3:] == "700"
    again.forget(FIT)
    assert again.fits() == []
    assert ask(again, "predict", **asked) == ("error", {"type": "RequestRefused"})
    with pytest.raises(ValueError, match="no fit"):
        again.forget("../..")


def test_a_round_asked_for_twice_is_fitted_once(table, tmp_path, rng):
    Recorder.calls.clear()
    service = OrganizationService(
        "bank", table, "id", SECRET, tmp_path, estimator=Recorder()
    )
    ask(service, "prepare", row_ids=ids(table))
    request = fit_request(table, rng)
    first = ask(service, "fit_round", **request)[1]["fitted"]
    so_far = len(Recorder.fits())
    assert so_far > 0
    np.testing.assert_array_equal(ask(service, "fit_round", **request)[1]["fitted"], first)
    assert len(Recorder.fits()) == so_far
    ask(service, "fit_round", **request | {"seed": 2})
    assert len(Recorder.fits()) == so_far + 1


def test_release_frees_rows_and_deletes_late_rounds(service, table, rng):
    ask(service, "prepare", row_ids=ids(table))
    for number in range(3):
        ask(service, "fit_round", **fit_request(table, rng, number=number))
    assert ask(service, "release", n_requests=2)[0] == "ok"
    asked = {"row_ids": ids(table), "coefficients": np.ones(1)}
    assert ask(service, "predict", numbers=np.array([1]), **asked)[0] == "ok"
    assert ask(service, "predict", numbers=np.array([2]), **asked)[0] == "error"
    request = fit_request(table, rng)
    assert ask(service, "fit_round", **request) == ("error", {"type": "NotPrepared"})


def test_it_abstains_where_asked_to(table, tmp_path, rng):
    table.loc[3, ["a", "b", "c"]] = np.nan  # a row with nothing in it
    service = OrganizationService("bank", table, "id", SECRET, tmp_path, estimator=Ridge())
    order = np.append(np.arange(40), [-1, -1])
    asked = np.where(order < 0, "nobody", table["id"].to_numpy()[order])
    asked[-1] = "no one"
    rows = digests(asked, SECRET.encode(), FIT)
    present = (order >= 0) & (order != 3)
    folds = np.arange(42) % 3
    residual = rng.normal(size=(3, 42, 2))
    X = table[["a", "b", "c"]].iloc[np.maximum(order, 0)].to_numpy(copy=True)
    X[~present] = np.nan
    local = LocalOrganization("bank", Ridge(), np.arange(3), missing_rows="abstain")
    local.prepare(X, {})
    expected = local.fit_round(Request(0, 0, 1, Folds(folds), residual))
    reply = ask(service, "prepare", row_ids=rows, abstain=True)[1]
    np.testing.assert_array_equal(reply["present"], present)
    request = {"number": 0, "seed": 1, "residual": residual}
    request["folds"] = encode_folds(folds)
    fitted = ask(service, "fit_round", **request)[1]["fitted"]
    np.testing.assert_array_equal(fitted, expected)
    assert np.isnan(fitted[:, ~present]).all()
    asked = {"row_ids": rows, "numbers": np.array([0]), "abstain": True}
    reply = ask(service, "predict", coefficients=np.array([2.0]), **asked)[1]
    np.testing.assert_array_equal(reply["prediction"], local.predict(X, [0], [2.0]))
    chains = asked | {"numbers": np.zeros(0, int), "chains": np.array([0])}
    each = ask(service, "predict", **chains)[1]["chains"]
    assert each.shape == (42, 1, 3, 2)
    np.testing.assert_array_equal(np.isnan(each).all(axis=(1, 2, 3)), ~present)


def test_a_number_without_a_model_is_not_a_prediction(table, tmp_path, rng):
    service = OrganizationService(
        "bank", table, "id", SECRET, tmp_path, estimator=Ridge(), min_rows=1
    )
    asked = np.append(table["id"][:3], [f"unknown {i}" for i in range(7)])
    rows = digests(asked, SECRET.encode(), FIT)
    ask(service, "prepare", row_ids=rows, abstain=True)
    folds = np.where(np.arange(10) < 2, 0, NO_FOLD)  # one row is left to fit
    for number, held_out in enumerate((None, folds)):
        request = fit_request(rows, rng, number=number, folds=held_out)
        fitted = ask(service, "fit_round", **request)[1]["fitted"]
        assert np.isnan(fitted[0, :3]).all() == (number == 1)
    asked = {"row_ids": rows, "abstain": True}
    both = {key: np.arange(2) for key in ("numbers", "chains", "means", "signs")}
    both["thresholds"] = np.full((2, 1, 2), -np.inf).clip(-1e300)
    reply = ask(service, "predict", **asked, **both)[1]
    for key in ("prediction", "chains", "means"):
        each = reply[key].reshape(10, 2, 2)
        np.testing.assert_array_equal(np.isnan(each[:3]).all(axis=(0, 2)), [False, True])
    above = np.unpackbits(reply["above"], axis=1)[:, :4].reshape(10, 2, 2)
    assert above[:3, 0].all()
    assert not above[:3, 1].any()
    both = {key: value[1:] for key, value in both.items()}
    nothing = ask(service, "predict", **asked, **both)[1]
    assert nothing.keys() == {"present", "versions"}


def test_folds_of_several_chains_stay_and_others_may_not(service, table, rng):
    ask(service, "prepare", row_ids=ids(table))
    drawn = [np.arange(60) % 3, np.arange(60) // 20]
    held_out = [np.where(each == 0, 0, NO_FOLD) for each in drawn]

    def answer(number, folds):
        return ask(
            service, "fit_round", **fit_request(table, rng, number=number, folds=folds)
        )

    assert [answer(number, each)[0] for number, each in enumerate(held_out)] == ["ok"] * 2
    assert answer(2, drawn[0])[0] == "ok"
    assert answer(3, drawn[1]) == ("error", {"type": "RequestRefused"})
    assert answer(3, drawn[0])[0] == "ok"
    ask(service, "prepare", row_ids=ids(table))  # other rows may follow
    assert answer(4, drawn[1])[0] == "ok"


def test_folds_are_a_byte_per_row():
    numbers = np.arange(NO_FOLD, 255)
    encoded = encode_folds(numbers)
    assert encoded.nbytes == 256
    np.testing.assert_array_equal(decode_folds(encoded), numbers)
    with pytest.raises(ValueError, match=r"cv gives 256 folds, but .* at most 255"):
        encode_folds(numbers + 1)


def test_rows_that_it_lacks_are_told(service, table, rng):
    other = digests(["row 1", "who?", "row 7"], SECRET.encode(), FIT)
    present = ask(service, "prepare", row_ids=other)[1]["present"]
    assert present.tolist() == [True, False, True]
    assert ask(service, "fit_round", **fit_request(table[:3], rng))[0] == "error"


ROWS = np.random.default_rng(0).integers(0, 256, (60, 16), dtype=np.uint8)
HALVES, THIRDS = (encode_folds(np.arange(60) % n) for n in (2, 3))
LATE_THIRDS = encode_folds(np.arange(60) % 3 - 1)
SIGNS = {"numbers": np.zeros(0, int), "signs": np.array([0])}


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("forget", {"check": None}),
        ("fits", {}),
        ("answer", {}),
        ("__init__", {}),
        ("_fit", {}),
        ("describe", {}),
        ("run", {"code": "import os"}),
        ("prepare", {}),
        ("prepare", {"row_ids": ROWS, "estimator": "Ridge()"}),
        ("prepare", {"row_ids": ROWS, "abstain": 1}),
        ("prepare", {"row_ids": ROWS[:, :8]}),
        ("prepare", {"row_ids": ROWS.astype(float)}),
        ("prepare", {"row_ids": np.zeros((101, 16), dtype=np.uint8)}),
        ("prepare", {"row_ids": ROWS, "sample_weight": np.ones(59)}),
        ("prepare", {"row_ids": ROWS, "sample_weight": np.full(60, np.nan)}),
        ("prepare", {"row_ids": ROWS, "fit_id": "../" + FIT[3:]}),
        ("prepare", {"row_ids": ROWS, "fit_id": FIT + "0"}),
        ("prepare", {"row_ids": ROWS, "fit_id": 1}),
        ("fit_round", {"residual": np.zeros(60)}),
        ("fit_round", {"residual": np.zeros((60, 1))}),
        ("fit_round", {"residual": np.zeros((1, 60, 1, 1))}),
        ("fit_round", {"residual": np.full((1, 60, 1), np.nan)}),
        ("fit_round", {"residual": np.full((1, 60, 1), np.inf)}),
        ("fit_round", {"residual": np.zeros((1, 59, 1))}),
        ("fit_round", {"residual": np.zeros((1, 60, 0))}),
        ("fit_round", {"residual": np.zeros((0, 60, 1))}),
        ("fit_round", {"residual": np.zeros((2, 60, 1))}),
        ("fit_round", {"residual": np.zeros((1, 60, 6))}),
        ("fit_round", {"residual": np.zeros((1, 60, 1), dtype=int)}),
        (
            "fit_round",
            {"residual": np.zeros((3, 60, 2)), "folds": THIRDS},
        ),
        (
            "fit_round",
            {"residual": np.zeros((2, 60, 1)), "folds": THIRDS},
        ),
        (
            "fit_round",
            {
                "residual": np.zeros((2, 60, 1)),
                "folds": encode_folds(np.arange(60) % 3 - 1),
            },
        ),
        (
            "fit_round",
            {"residual": np.zeros((1, 60, 1)), "folds": HALVES},
        ),
        ("fit_round", {"number": -1}),
        ("fit_round", {"number": 10**9}),
        ("fit_round", {"number": 0.0}),
        ("fit_round", {"number": True}),
        ("fit_round", {"seed": -1}),
        ("fit_round", {"seed": None}),
        ("fit_round", {"folds": encode_folds(np.full(60, 60))}),
        ("fit_round", {"folds": encode_folds(np.full(60, -2))}),
        ("fit_round", {"folds": encode_folds(np.full(60, -1))}),
        ("fit_round", {"folds": encode_folds(np.zeros(59, dtype=int))}),
        ("fit_round", {"folds": np.ones(60, dtype=int)}),
        ("fit_round", {"round": 0}),
        ("predict", {"row_ids": ROWS, "numbers": np.array([7])}),
        (
            "predict",
            {"row_ids": ROWS, "numbers": np.array([0]), "folds": np.zeros(60, int)},
        ),
        ("predict", {"row_ids": ROWS, "numbers": np.array([0]), "means": 1}),
        (
            "predict",
            {"row_ids": ROWS, "numbers": np.array([0]), "chains": np.zeros(2, int)},
        ),
        ("predict", {"row_ids": ROWS, "numbers": np.array([0]), "chains": np.array([7])}),
        ("predict", {"row_ids": ROWS, "numbers": np.array([0]), "signs": np.array([0])}),
        ("predict", {"row_ids": ROWS, **SIGNS, "thresholds": np.zeros((1, 2, 2))}),
        ("predict", {"row_ids": ROWS, **SIGNS, "thresholds": np.full((1, 1, 2), np.nan)}),
        ("predict", {"row_ids": ROWS, **SIGNS, "thresholds": np.zeros((2, 1, 2))}),
        ("predict", {"row_ids": ROWS, "numbers": np.array([[0]])}),
        ("predict", {"row_ids": ROWS, "numbers": np.arange(2), "coefficients": np.ones(1)}),
        ("release", {"n_requests": -1}),
        ("release", {}),
    ],
)
def test_everything_else_is_refused(table, tmp_path, rng, call, fields):
    service = OrganizationService(
        "bank", table, "id", SECRET, tmp_path, max_rows=100, max_outputs=5
    )
    assert ask(service, "prepare", row_ids=ids(table))[0] == "ok"
    if call == "fit_round":
        fields = fit_request(table, rng) | fields
    if call == "predict":
        assert ask(service, "fit_round", **fit_request(table, rng))[0] == "ok"
        fields = fields | {"row_ids": ids(table)}
    name, reply = ask(service, call, **fields)
    assert name == "error"
    assert set(reply) == {"type"} | (
        {"detail"} if reply["type"] == "LimitExceeded" else set()
    )
    assert ask(service, "fit_round", **fit_request(table, rng))[0] == "ok"  # as before


class Malicious:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    "request_",
    [pickle.dumps(Malicious()), b"", b"\x00" * 100, b"import os", None, [1], "prepare"],
)
def test_pickles_and_code_are_refused(service, request_, capsys):
    name, reply = decode(service.answer(request_))
    assert (name, reply) == ("error", {"type": "MessageError"})
    assert not capsys.readouterr().out


def test_oversized_requests_are_refused_before_they_are_read(table, tmp_path):
    service = OrganizationService("bank", table, "id", SECRET, tmp_path, max_bytes=10_000)
    name, reply = ask(service, "prepare", row_ids=np.zeros((1000, 16), dtype=np.uint8))
    assert (name, reply) == ("error", {"type": "MessageError"})
    ask(service, "prepare", row_ids=ids(table))
    many = {"row_ids": ids(table), "numbers": np.arange(100)}
    assert ask(service, "predict", **many) == exceeded("max_bytes")


def test_oversized_replies_are_refused(table, tmp_path, rng):
    service = OrganizationService("bank", table, "id", SECRET, tmp_path, max_bytes=12_000)
    ask(service, "prepare", row_ids=ids(table))
    request = fit_request(table, rng, folds=np.arange(60) % 5)
    for number in range(3):
        assert ask(service, "fit_round", **request | {"number": number})[0] == "ok"
    asked = {"row_ids": ids(table), "numbers": np.arange(3)}
    assert ask(service, "predict", **asked)[0] == "ok"
    asked |= {"numbers": np.zeros(0, int), "chains": np.arange(3)}
    reply = ask(service, "predict", **asked)  # 3 x 5 x 2 x 60 numbers
    assert reply == exceeded("max_bytes")
    many = {"signs": np.zeros(100, int), "thresholds": np.zeros((100, 5, 2))}
    asked = {"row_ids": ids(table), "numbers": np.zeros(0, int)}
    assert ask(service, "predict", **asked, **many) == exceeded("max_bytes")
    few = {key: values[:2] for key, values in many.items()}
    assert ask(service, "predict", **asked, **few)[0] == "ok"


def test_the_text_of_an_error_stays_in_the_log(table, tmp_path, rng, caplog):
    class Telling(Ridge):
        def fit(self, X, y, sample_weight=None):
            raise ValueError(f"cannot fit {X.iloc[0, 0]}")

    service = OrganizationService(
        "bank", table, "id", SECRET, tmp_path, estimator=Telling()
    )
    ask(service, "prepare", row_ids=ids(table))
    with caplog.at_level(logging.ERROR, logger="sklearn_gal.federated"):
        reply = ask(service, "fit_round", **fit_request(table, rng))
    assert reply == ("error", {"type": "ValueError"})
    assert f"cannot fit {table['a'][0]}" in caplog.text


def test_weights_for_an_estimator_that_takes_none_are_refused(table, tmp_path):
    service = OrganizationService(
        "bank", table, "id", SECRET, tmp_path, estimator=KNeighborsRegressor()
    )
    reply = ask(service, "prepare", row_ids=ids(table), sample_weight=np.ones(60))
    assert reply == ("error", {"type": "RequestRefused"})


def test_only_some_fits_have_rows_in_memory(table, tmp_path, rng, monkeypatch, caplog):
    service = OrganizationService("bank", table, "id", SECRET, tmp_path, max_fits=2)
    names = [f"{i:032x}" for i in range(4)]
    rows = {name: digests(table["id"], SECRET.encode(), name) for name in names}
    request = fit_request(table, rng)

    def prepare(name):
        return ask(service, "prepare", name, row_ids=rows[name])

    def fit(name):
        return ask(service, "fit_round", name, **request)

    busy = "error", {"type": "Busy"}
    assert [prepare(name)[0] for name in names[:2]] == ["ok", "ok"]
    with caplog.at_level(logging.INFO, logger="sklearn_gal.federated"):
        assert [prepare(names[2]) for _ in range(3)] == [busy] * 3
    assert "did not finish" in caplog.text
    assert len(caplog.records) == 1  # asking again is no news
    entries = list(service._ledger.log.entries())
    assert [each["fit"] for each in entries] == names[:3]
    assert fit(names[2]) == ("error", {"type": "NotPrepared"})
    # questions about rows displace nothing, and an impossible fit takes no place
    nothing = np.empty(0, dtype=np.int64)
    for name in names[2:]:
        reply, _ = ask(service, "predict", name, row_ids=rows[name], numbers=nothing)
        assert reply == "ok"
    assert [fit(name)[0] for name in names[:2]] == ["ok", "ok"]
    ask(service, "release", names[0], n_requests=0)
    unknown = digests(["nobody"], SECRET.encode(), names[2])
    reply, fields = ask(service, "prepare", names[2], row_ids=unknown, abstain=False)
    assert (reply, fields["present"].tolist()) == ("ok", [False])
    assert prepare(names[2])[0] == "ok"
    assert fit(names[2])[0] == "ok"
    assert prepare(names[3]) == busy
    # a fit that does not go on loses its place
    monkeypatch.setattr(_slots, "IDLE_AFTER", 0.0)
    assert prepare(names[3])[0] == "ok"
    assert [fit(name)[0] for name in names[1:]] == ["error", "ok", "ok"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "nobody"}, "no key column 'nobody'"),
        ({"columns": ["a", "z"]}, r"got \['z'\]"),
        ({"columns": ["a", "id"]}, r"got \['id'\]"),
        ({"columns": []}, "at least one"),
        ({"secret": "short"}, "at least 16 bytes"),
        ({"estimator": "Ridge"}, "must be a regressor"),
        ({"name": "a__b"}, "must not contain '__'"),
    ],
)
def test_bad_settings_are_told(table, tmp_path, change, message):
    settings = {
        "name": "bank",
        "table": table,
        "key": "id",
        "secret": SECRET,
        "folder": tmp_path,
    }
    with pytest.raises(ValueError, match=message):
        OrganizationService(**settings | change)


def test_keys_must_be_unique_and_there(table, tmp_path):
    twice = table.assign(id=["row 1"] * 60)
    with pytest.raises(ValueError, match="not unique: 60 rows, 1 different"):
        OrganizationService("bank", twice, "id", SECRET, tmp_path)
    missing = table.assign(id=[None, *table["id"][1:]])
    with pytest.raises(ValueError, match="row id must be"):
        OrganizationService("bank", missing, "id", SECRET, tmp_path)


def test_polars_tables(table, tmp_path, rng):
    polars = pytest.importorskip("polars")
    service = OrganizationService(
        "bank", polars.from_pandas(table), "id", SECRET, tmp_path, estimator=Ridge()
    )
    assert ask(service, "prepare", row_ids=ids(table))[0] == "ok"
    assert ask(service, "fit_round", **fit_request(table, rng))[0] == "ok"
