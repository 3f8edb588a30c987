"""What it costs an organization to refuse requests that would cost it much to answer.

    python benchmarks/refusals.py [--quick] [--output FILE]

A label holder asks one organization of 200,000 rows and 100 columns, in this process. The
memory is what Python and NumPy allocate in the call, in addition to the request itself. An
AssertionError is raised if a request is not refused within a second and 50 MB, or if the
organization does not log the refusal.
"""

import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
from _harness import run
from sklearn.neighbors import KNeighborsRegressor

from sklearn_gal.federated import OrganizationService
from sklearn_gal.federated._calls import encode_folds
from sklearn_gal.federated._keys import check_value, digests
from sklearn_gal.federated._ledger import AuditLog
from sklearn_gal.federated._versions import HANDSHAKE
from sklearn_gal.federated._wire import decode, encode

MAX_SECONDS, MAX_MEGABYTES = 1.0, 50.0
SECRET, FIT = "0123456789abcdef", "0123456789abcdef" * 2


def request(call, **fields):
    """Return a request as a label holder with the secret would send it."""
    if call in ("prepare", "predict"):
        check = check_value(SECRET.encode(), FIT)
        fields = {"abstain": True, "check": check, "versions": HANDSHAKE} | fields
    return encode(call, {"fit_id": FIT, **fields})


def requests(ids):
    """Yield what is asked for, and the request."""
    every, none = np.arange(238), np.zeros(0, dtype=np.int64)
    folds = {"folds": encode_folds(every), "residual": np.zeros((238, 238, 1))}
    yield "a model per row, 238 rows", request("fit_round", number=0, seed=0, **folds)
    again = np.repeat(ids[:1], 1_000_000, axis=0)
    yield "a row a million times", request("prepare", row_ids=again)
    numbers, coefficients = np.zeros(300, dtype=np.int64), np.ones(300)
    fields = {"numbers": numbers, "coefficients": coefficients}
    yield "a model 300 times", request("predict", row_ids=ids[:1], **fields)
    candidates = np.random.default_rng(0).integers(0, 256, (5_000_000, 16), dtype=np.uint8)
    yield (
        "5,000,000 candidates for members",
        request("predict", row_ids=candidates, numbers=none),
    )
    yield "a fit to two rows", request("prepare", row_ids=ids[:2])


def cost(service, message):
    """Return reply, seconds and megabytes that a call allocates."""
    begin = time.perf_counter()
    reply = decode(service.answer(message))
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    service.answer(message)
    megabytes = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return reply, seconds, megabytes


def table(arguments):
    n_rows = 20_000 if arguments.quick else 200_000
    frame = pd.DataFrame(np.zeros((n_rows, 100)), columns=[f"x{j}" for j in range(100)])
    frame = frame.assign(id=np.arange(n_rows))
    with tempfile.TemporaryDirectory() as folder:
        service = OrganizationService(
            "bank", frame, "id", SECRET, folder, estimator=KNeighborsRegressor()
        )
        ids = digests(np.arange(n_rows), SECRET.encode(), FIT)
        begin = time.perf_counter()
        service.answer(request("prepare", row_ids=ids[:238]))
        seconds = time.perf_counter() - begin
        yield f"the first call of a fit, which hashes all ids of the table: {seconds:.2f} s"
        service.answer(
            request("fit_round", number=0, seed=0, residual=np.zeros((1, 238, 1)))
        )
        before = sum(path.stat().st_size for path in Path(folder).rglob("*"))
        for what, message in requests(ids):
            (name, reply), seconds, megabytes = cost(service, message)
            assert name == "error"
            assert seconds < MAX_SECONDS
            assert megabytes < MAX_MEGABYTES
            *_, logged = AuditLog(Path(folder) / "log").entries()
            assert logged["decision"].startswith(f"refused: {reply['type']}")
            reason = reply.get("detail") or reply["type"]
            yield (
                f"{what:<33} {len(message) / 2**20:5.1f} MB sent   refused by {reason:<15}"
                f" {seconds:5.2f} s  {megabytes:5.1f} MB"
            )
        after = sum(path.stat().st_size for path in Path(folder).rglob("*"))
        yield f"bytes on the disk for all of them, in the log: {after - before}"


if __name__ == "__main__":
    run(table, __doc__)
