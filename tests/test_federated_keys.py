"""Rows are matched by hashes that need the secret."""

import numpy as np
import pandas as pd
import pytest

from sklearn_gal.federated._keys import DIGEST_SIZE, KeyIndex, check_secret, digests

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


@pytest.mark.parametrize("bad", [None, np.nan, 1.5, True, b"x", ("a",)])
def test_ids_that_could_be_mistaken_are_refused(bad):
    with pytest.raises(ValueError, match="row id must be a string or a whole number"):
        digests(["a", bad], SECRET, "fit")


@pytest.mark.parametrize("bad", ["short", b"short", 12345678901234567890, None])
def test_short_secrets_are_refused(bad):
    with pytest.raises(ValueError, match="at least 16 bytes"):
        check_secret(bad)
