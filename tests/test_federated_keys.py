"""Rows are matched by hashes that need the secret."""

import unicodedata
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from sklearn_gal.federated._keys import (
    DIGEST_SIZE,
    KeyIndex,
    as_text,
    check_secret,
    check_value,
    digests,
    repeat,
)
from sklearn_gal.federated._table import key_shapes

SECRET = b"0123456789abcdef"


def test_the_same_id_has_the_same_digest_however_it_is_stored():
    kinds = [
        np.array([1, 20, 3]),
        np.array([1.0, 20.0, 3.0]),
        np.array(["1", "20", "3"]),
        np.array(["1", " 20", "3 "], dtype=object),
        pd.Series([1, 20, 3], dtype="Int64"),
        [1, 20, 3],
    ]
    expected = digests(kinds[0], SECRET, "fit")
    assert expected.shape == (3, DIGEST_SIZE)
    for ids in kinds[1:]:
        np.testing.assert_array_equal(digests(ids, SECRET, "fit"), expected)


def test_digests_depend_on_secret_and_salt():
    ids = np.arange(50)
    one, two, three = (
        digests(ids, SECRET, "fit"),
        digests(ids, SECRET, "other fit"),
        digests(ids, b"another secret of 16 bytes", "fit"),
    )
    found = [KeyIndex(one).positions(each) for each in (two, three)]
    assert (np.array(found) == -1).all()


def test_rows_are_found_in_any_order(rng):
    ids = rng.permutation(1000)
    index = KeyIndex(digests(ids, SECRET, "fit"))
    asked = rng.integers(0, 2000, size=300)
    positions = index.positions(digests(asked, SECRET, "fit"))
    np.testing.assert_array_equal(positions >= 0, asked < 1000)
    np.testing.assert_array_equal(ids[positions[positions >= 0]], asked[asked < 1000])
    empty = KeyIndex(digests([], SECRET, "fit"))
    assert (empty.positions(digests(asked, SECRET, "fit")) == -1).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Mu\u0308ller", "M\u00fcller"),
        ("M\u00fcller", "M\u00fcller"),
        (" a\t", "a"),
        ("0012", "0012"),
        ("a", "a"),
        ("A", "A"),
        (Decimal("12"), "12"),
        (Decimal("7.0"), "7"),
        (Decimal("12345678901234567890123"), "12345678901234567890123"),
        (
            UUID("12345678-1234-5678-1234-56781234ABCD"),
            "12345678-1234-5678-1234-56781234abcd",
        ),
        (date(2026, 1, 31), "2026-01-31"),
    ],
)
def test_ids_as_text(value, text):
    assert as_text(value) == text
    assert unicodedata.is_normalized("NFC", as_text(value))


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_empty_ids_are_refused(empty):
    with pytest.raises(ValueError, match="A row id is empty"):
        digests(["a", empty], SECRET, "fit")


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "timedelta64[s]"])
def test_times_are_not_taken_for_numbers(dtype):
    with pytest.raises(ValueError, match=r"must not have the type .*64"):
        digests(np.zeros(3, dtype=dtype), SECRET, "fit")


def test_shapes_of_ids():
    texts = ["ab-1", "cd-2", "e\u00e9-3", "77", "8x"]
    assert key_shapes(texts) == [("AA-9", 3), ("99", 1), ("9A", 1)]
    assert len(key_shapes(["9" * n for n in range(20)])) == 5


def test_the_check_value_tells_secrets_and_fits_apart():
    values = {
        check_value(secret, fit)
        for secret in (SECRET, b"another secret of 16 bytes")
        for fit in ("1", "2")
    }
    assert len(values) == 4
    assert check_value(SECRET, "1") in values


@pytest.mark.parametrize("n_times", [1, 2, 3])
def test_repeats_are_found(rng, n_times):
    keys = digests(np.arange(20), SECRET, "fit")
    rows = rng.permutation(np.repeat(np.arange(20), n_times))
    assert not repeat(keys[rows], n_times)
    assert repeat(keys[np.append(rows, 7)], n_times)
    assert not repeat(keys[:0], n_times)


def test_more_rows_than_are_looked_up_at_once(monkeypatch, rng):
    monkeypatch.setattr("sklearn_gal.federated._keys._BLOCK", 7)
    keys = digests(np.arange(50), SECRET, "fit")
    asked = rng.permutation(50)
    np.testing.assert_array_equal(KeyIndex(keys).positions(keys[asked]), asked)


@pytest.mark.parametrize(
    "bad",
    [None, np.nan, 1.5, True, b"x", ("a",), Decimal("1.5"), Decimal("NaN"), pd.NaT]
    + [datetime(2026, 1, 31), pd.Timestamp("2026-01-31")],
)
def test_ids_that_could_be_mistaken_are_refused(bad):
    with pytest.raises(ValueError, match="row id must be a string or a whole number"):
        digests(["a", bad], SECRET, "fit")


@pytest.mark.parametrize("bad", ["short", b"short", 12345678901234567890, None])
def test_short_secrets_are_refused(bad):
    with pytest.raises(ValueError, match="at least 16 bytes"):
        check_secret(bad)
