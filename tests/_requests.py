"""Requests to an organization's service, for several test modules."""

import numpy as np
import pandas as pd

from sklearn_gal.federated._calls import encode_folds
from sklearn_gal.federated._keys import check_value, digests
from sklearn_gal.federated._versions import HANDSHAKE
from sklearn_gal.federated._wire import decode, encode

SECRET = "0123456789abcdef"
FIT = "0123456789abcdef" * 2


def make_table(n_rows=60):
    """Three columns and the key "id" of an organization."""
    values = np.random.default_rng(0).normal(size=(n_rows, 3))
    table = pd.DataFrame(values, columns=["a", "b", "c"])
    return table.assign(id=[f"row {i}" for i in range(n_rows)])


def ids(table, rows=slice(None), fit_id=FIT):
    """Digests of the ids of rows of a table."""
    return digests(table["id"][rows], SECRET.encode(), fit_id)


def ask(service, call, fit_id=FIT, label_holder="Ada", **fields):
    """Return name and fields of the reply to a request."""
    if call in ("prepare", "predict", "expect", "explain", "forget"):
        check = check_value(SECRET.encode(), str(fit_id))
        fields = {"check": check, "versions": HANDSHAKE} | fields
    if call in ("prepare", "predict"):
        fields = {"abstain": False} | fields
    request = encode(call, {"fit_id": fit_id, **fields})
    return decode(service.answer(request, label_holder=label_holder))


def refused(kind, detail=""):
    """The reply to a request that a rule of the organization forbids."""
    return "error", {"type": kind, "detail": detail}


def exceeded(limit):
    """The reply to a request that exceeds a limit."""
    return refused("LimitExceeded", limit)


def fit_request(table, rng, **changed):
    """The fields of a request to fit a residual; those that are None are left out."""
    folds = changed.get("folds")
    n_chains = 1 if folds is None else folds.max() + 1
    if folds is not None:
        changed = changed | {"folds": encode_folds(folds)}
    residual = rng.normal(size=(n_chains, len(table), 2))
    fields = {"number": 0, "seed": 1, "residual": residual}
    return {key: value for key, value in (fields | changed).items() if value is not None}
