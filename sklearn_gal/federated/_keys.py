"""Keyed, salted hashes of row ids, by which the rows of organizations are matched."""

import hmac
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral, Real
from uuid import UUID

import numpy as np

# Bytes of a digest that are sent. Among a billion rows, the probability that any two have
# the same digest is 1e-21.
DIGEST_SIZE = 16
MIN_SECRET = 16
# Digests are looked up in blocks of this number, which bounds the memory it takes.
_BLOCK = 2**17


def check_secret(secret):
    """Return the shared secret as bytes.

    Raises
    ------
    ValueError
        If it is not a string or bytes, or too short to protect anything.
    """
    secret = secret.encode() if isinstance(secret, str) else secret
    if not isinstance(secret, bytes) or len(secret) < MIN_SECRET:
        raise ValueError(
            f"The shared secret must be a string or bytes of at least {MIN_SECRET} bytes. "
            "Draw it at random, for example with `sklearn-gal secret`, and give the same "
            "to the label holder and all organizations."
        )
    return secret


def digests(ids, secret, salt):
    """Compute keyed hashes of row ids under a shared secret.

    Parameters
    ----------
    ids : array-like of shape (n_samples,)
        Ids, see `as_text`.
    secret : bytes
        Secret that the label holder and all organizations share.
    salt : str
        Text that is different in each fit, so that digests of one fit cannot be linked to
        those of another.

    Returns
    -------
    digests : ndarray of shape (n_samples, 16), uint8
        First half of the HMAC-SHA256 of each id.

    Raises
    ------
    ValueError
        If an id is missing, empty, or of another type.
    """
    key = hmac.digest(secret, salt.encode(), "sha256")
    if getattr(getattr(ids, "dtype", None), "kind", None) in ("M", "m"):
        raise ValueError(  # their items would become whole numbers
            f"Row ids must not have the type {ids.dtype}. Convert times to strings in the "
            "same way in every organization."
        )
    ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    joined = b"".join(
        hmac.digest(key, as_text(each).encode(), "sha256")[:DIGEST_SIZE] for each in ids
    )
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, DIGEST_SIZE)


def check_value(secret, fit_id):
    """Return what shows, to a party with the same secret, that the sender has it."""
    return hmac.digest(secret, f"check {fit_id}".encode(), "sha256").hex()


def as_text(value):
    """Return an id as text, the same for a number and for the string that spells it.

    Parameters
    ----------
    value : str, int, float, Decimal, UUID or date
        A string loses blanks at its ends and is normalised to Unicode's form NFC; its case
        and leading zeros matter. ``7``, ``7.0`` and ``Decimal("7.0")`` are ``"7"``. A UUID
        is its 36 characters in lower case, a date is in ISO format (2026-01-31).

    Raises
    ------
    ValueError
        If it is missing, empty, or of another type.
    """
    if isinstance(value, str):
        value = value.strip()
        if value:
            return value if value.isascii() else unicodedata.normalize("NFC", value)
        raise ValueError(
            "A row id is empty. Remove the rows that have no id, in every organization."
        )
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    number = isinstance(value, (Real, Decimal)) and not isinstance(value, bool)
    if number and _is_whole(value):
        return str(int(value))
    raise ValueError(
        "A row id must be a string or a whole number, a UUID or a date, got "
        f"{value!r}. Remove rows without an id, and convert other types to strings in the "
        "same way in every organization."
    )


def _is_whole(number):
    """Whether a number is an integer; NaN and infinity are not."""
    if isinstance(number, Integral):
        return True
    if isinstance(number, Decimal):
        return number.is_finite() and number == number.to_integral_value()
    return float(number).is_integer()


def as_keys(digests):
    """Return digests as a one-dimensional array of sortable values."""
    return np.ascontiguousarray(digests).view(f"S{DIGEST_SIZE}").reshape(-1)


def repeat(digests, n_times):
    """Whether a digest is there more than `n_times`.

    It compares the first half, which is fast; that of two among five million digests is the
    same with a probability of 1e-6.
    """
    halves = np.ascontiguousarray(digests).view(np.uint64)[:, 0]
    halves = np.sort(halves)
    return bool((halves[n_times:] == halves[:-n_times]).any())


class KeyIndex:
    """Index that finds the rows of a table by the digests of their ids.

    Parameters
    ----------
    digests : ndarray of shape (n_rows, 16), uint8
        Digests of the ids of all rows; ids must be unique.
    """

    def __init__(self, digests):
        keys = as_keys(digests)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def positions(self, digests):
        """Return the positions of rows in the table, -1 for rows that it does not have."""
        keys = as_keys(digests)
        positions = np.full(len(keys), -1)
        for start in range(0, len(keys) if len(self._keys) else 0, _BLOCK):
            block = keys[start : start + _BLOCK]
            found = np.searchsorted(self._keys, block)
            found = np.minimum(found, len(self._keys) - 1)
            same = self._keys[found] == block
            positions[start : start + _BLOCK][same] = self._order[found[same]]
        return positions
