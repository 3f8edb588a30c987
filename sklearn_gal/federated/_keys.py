"""Keyed, salted hashes of row ids, by which the rows of organizations are matched."""

import hmac
from numbers import Integral, Real

import numpy as np

# Bytes of a digest that are sent. Among a billion rows, the probability that any two have
# the same digest is 1e-21.
DIGEST_SIZE = 16
MIN_SECRET = 16


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
        Strings or whole numbers; ``7``, ``7.0`` and ``"7"`` are the same id.
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
        If an id is missing, or neither a string nor a whole number.
    """
    key = hmac.digest(secret, salt.encode(), "sha256")
    ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    joined = b"".join(
        hmac.digest(key, as_text(each).encode(), "sha256")[:DIGEST_SIZE] for each in ids
    )
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, DIGEST_SIZE)


def as_text(value):
    """Return an id as text, the same for a number and for the string that spells it."""
    if isinstance(value, str):
        return value.strip()
    number = isinstance(value, Real) and not isinstance(value, bool)
    if number and (isinstance(value, Integral) or float(value).is_integer()):
        return str(int(value))
    raise ValueError(
        f"A row id must be a string or a whole number, got {value!r}. Remove rows without "
        "an id, and convert other types to strings in the same way in every organization."
    )


def as_keys(digests):
    """Return digests as a one-dimensional array of sortable values."""
    return np.ascontiguousarray(digests).view(f"S{DIGEST_SIZE}").reshape(-1)


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
        if not len(self._keys):
            return np.full(len(keys), -1)
        found = np.searchsorted(self._keys, keys)
        found = np.minimum(found, len(self._keys) - 1)
        return np.where(self._keys[found] == keys, self._order[found], -1)
