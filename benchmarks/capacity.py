"""Bytes of rounds between hosts, and memory of the hosts, for a million rows.

    python benchmarks/capacity.py [--quick] [--output FILE]

The label holder's server and three organizations run in separate processes on this host,
over FLARE with mutual TLS. Each organization has 4 columns and the default learner. The
label holder has only the target, and fits 10 rounds without gates. Bytes are those of
`fit_round`, both ways, per row, round and organization; by default, a round has three
chains here. Memory is the peak of a process: the largest of the organizations, the server,
and the label holder's own.
"""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from _harness import run
from _hosts import Hosts, memory

from sklearn_gal.federated import FederatedGALRegressor, connect

ORGANIZATIONS = ["bank", "clinic", "shop"]
N_ROUNDS, N_COLUMNS = 10, 4


def prepare(folder, n_rows):
    """Write the tables of the organizations, and the target."""
    random = np.random.default_rng(0)
    y = random.normal(size=n_rows)
    for name in ORGANIZATIONS:
        X = random.normal(size=(n_rows, N_COLUMNS))
        y += np.sin(X).sum(axis=1)
        table = pd.DataFrame(X, columns=[f"x{j}" for j in range(N_COLUMNS)])
        table.assign(id=np.arange(n_rows)).to_parquet(folder / f"{name}.parquet")
    np.save(folder / "y.npy", y)


def fit(folder, params):
    """Fit in this process; return calls, bytes, chains and the peak of its memory."""
    y = np.load(folder / "y.npy")
    model = FederatedGALRegressor(
        connect(folder / "kits" / "label_holder", timeout=300),
        max_iter=N_ROUNDS,
        early_stopping=False,
        interactions=False,
        random_state=0,
        **params,
    )
    model.fit(np.arange(len(y)).reshape(-1, 1), y)
    calls = pd.DataFrame(dict(model.communication_)).query("call == 'fit_round'")
    n_bytes = (calls["bytes_sent"] + calls["bytes_received"]).mean() / len(y)
    n_chains = next(iter(model._model.participants)).n_chains[0]
    return len(calls), n_bytes, n_chains, memory(os.getpid(), "VmHWM")


def line(folder, what, params):
    """Fit with all processes started for it, and return a line of the table."""
    with (
        Hosts(folder, ORGANIZATIONS, 18502) as hosts,
        ProcessPoolExecutor(1, get_context("spawn")) as label_holder,
    ):
        n_calls, n_bytes, n_chains, own = label_holder.submit(fit, folder, params).result()
        server = hosts.memory("server", "VmHWM")
        organization = max(hosts.memory(name, "VmHWM") for name in ORGANIZATIONS)
    return (
        f"{what:<34}{n_calls:>6}{n_chains:>8}{n_bytes:>8.2f}{n_bytes / n_chains:>11.2f}"
        f"{organization:>11.0f} MB{server:>7.0f} MB{own:>11.0f} MB"
    )


def table(arguments):
    n_rows = 10_000 if arguments.quick else 1_000_000
    yield f"{n_rows} rows, {N_ROUNDS} rounds, {len(ORGANIZATIONS)} organizations"
    yield (
        f"{'':<34}{'calls':>6}{'chains':>8}{'bytes':>8}{'per chain':>11}"
        f"{'organization':>14}{'server':>10}{'label holder':>14}"
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(folder, n_rows)
        for chains in ({"cv": None}, {}):
            for wire in ({}, {"wire_dtype": "float32"}):
                params = chains | wire
                words = [f"{key}={value!r}" for key, value in params.items()]
                yield line(folder, ", ".join(words) or "default", params)


if __name__ == "__main__":
    run(table, __doc__)
