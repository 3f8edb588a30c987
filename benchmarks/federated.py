"""Round trips, memory and start of organizations on this host, over FLARE with mutual TLS.

    python benchmarks/federated.py [--quick] [--output FILE]

The label holder's server and one organization run in separate processes. The estimator
predicts a constant, so that transport is measured and not the fit.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _harness import run
from _hosts import Hosts

from sklearn_gal.federated import connect
from sklearn_gal.federated._keys import digests
from sklearn_gal.federated._session import FitSession, new_fit_id

SIZES = [(10_000, 3), (100_000, 10), (1_000_000, 10)]


def prepare(folder, n_rows):
    """Write the table and the estimator of the organization."""
    table = pd.DataFrame({"id": np.arange(n_rows), "x": np.zeros(n_rows)})
    table.to_parquet(folder / "bank.parquet")
    (folder / "bank.py").write_text(
        "from sklearn.dummy import DummyRegressor\nestimator = DummyRegressor()\n"
    )


def measure(federation, hosts, sizes, n_memory):
    """Round trips for the sizes, and memory over many rounds."""
    for n_rows, n_outputs in sizes:
        link = FitSession(federation, new_fit_id())
        keys = digests(np.arange(n_rows), federation._secret, link.fit_id)
        residual = np.random.default_rng(0).normal(size=(1, n_rows, n_outputs))
        begin = time.perf_counter()
        link.call("bank", "prepare", 600, dict, row_ids=keys, abstain=False)
        prepared = time.perf_counter() - begin
        seconds = []
        for number in range(5):
            begin = time.perf_counter()
            fields = {"number": number, "seed": 0, "residual": residual}
            link.call("bank", "fit_round", 600, dict, **fields)
            seconds.append(time.perf_counter() - begin)
        yield (
            f"{n_rows:>9} x {n_outputs:<3} prepare {prepared:6.2f} s   round trip "
            f"{np.median(seconds):6.3f} s   worst of 5 {max(seconds):6.3f} s"
        )
        link.call("bank", "release", 600, dict, n_requests=0)
    residual = np.random.default_rng(0).normal(size=(1, 10_000, 3))
    link = FitSession(federation, new_fit_id())
    keys = digests(np.arange(10_000), federation._secret, link.fit_id)
    link.call("bank", "prepare", 600, dict, row_ids=keys, abstain=False)
    for number in range(n_memory + 1):
        fields = {"number": number, "seed": 0, "residual": residual + number}
        link.call("bank", "fit_round", 600, dict, **fields)
        if number % (n_memory // 4) == 0:
            server, organization = (hosts.memory(name) for name in ("server", "bank"))
            yield (
                f"memory after {number:>4} rounds of 10000 x 3:   server {server:6.0f} MB"
                f"   organization {organization:6.0f} MB"
            )


def table(arguments):
    sizes, n_memory = (SIZES[:1], 20) if arguments.quick else (SIZES, 200)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(folder, max(n for n, _ in sizes))
        hosts = Hosts(folder, ["bank"], 18302)
        begin = time.perf_counter()
        with hosts:
            federation = connect(hosts.kit, timeout=300)
            yield f"two processes and a channel: {time.perf_counter() - begin:.0f} s"
            yield from measure(federation, hosts, sizes, n_memory)


if __name__ == "__main__":
    run(table, __doc__)
