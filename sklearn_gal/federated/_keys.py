"""Rows are matched by keyed, salted hashes of their ids."""

import hmac
from numbers import Integral, Real

import numpy as np

# Bytes of a digest that travel: two of a billion rows collide with probability 1e-21.
DIGEST_SIZE = 16
MIN_SECRET = 16


def check_secret(secret):
    """The shared secret as bytes.

    Raises
    ------
    ValueError
        If it is too short to protect anything.
    """
    secret = secret.encode() if isinstance(secret, str) else secret
    if not isinstance(secret, bytes) or len(secret) < MIN_SECRET:
        raise ValueError(
            f"The shared secret must be a string or bytes of at least {MIN_SECRET} bytes, "
            "drawn at random, e.g. by `sklearn-gal secret`; all organizations and the "
            "label holder have the same."
        )
    return secret


def digests(ids, secret, salt):
    """Keyed hashes of row ids under a shared secret.

    Parameters
    ----------
    ids : array-like of shape (n_samples,)
        Strings or whole numbers; ``7``, ``7.0`` and ``"7"`` are the same id.
    secret : bytes
        Shared by all organizations.
    salt : str
        Other digests for each fit, so that rows cannot be followed from fit to fit.

    Returns
    -------
    digests : ndarray of shape (n_samples, 16), uint8
        The first half of HMAC-SHA256.

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
    """The id as text, the same for a number and for the string that spells it."""
    if isinstance(value, str):
        return value.strip()
    number = isinstance(value, Real) and not isinstance(value, bool)
    if number and (isinstance(value, Integral) or float(value).is_integer()):
        return str(int(value))
    raise ValueError(
        f"A row id must be a string or a whole number, got {value!r}. Remove rows without "
        "an id; turn other types into strings, the same in every organization."
    )


def as_keys(digests):
    """One sortable value per digest."""
    return np.ascontiguousarray(digests).view(f"S{DIGEST_SIZE}").reshape(-1)


class KeyIndex:
    """Where the rows of a table are, by their digests.

    Parameters
    ----------
    digests : ndarray of shape (n_rows, 16), uint8
        Of the ids of the table's rows, which are unique.
    """

    def __init__(self, digests):
        keys = as_keys(digests)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def positions(self, digests):
        """Positions of rows in the table, -1 for those that it does not have."""
        keys = as_keys(digests)
        if not len(self._keys):
            return np.full(len(keys), -1)
        found = np.searchsorted(self._keys, keys)
        found = np.minimum(found, len(self._keys) - 1)
        return np.where(self._keys[found] == keys, self._order[found], -1)
