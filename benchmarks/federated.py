"""Round trips, memory and start of organizations on this host, over FLARE with mutual TLS.

    python benchmarks/federated.py [--quick] [--output FILE]

The label holder's server and one organization run in separate processes. The estimator
predicts a constant, so that transport is measured and not the fit.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _harness import run

from sklearn_gal.federated import connect
from sklearn_gal.federated._keys import digests
from sklearn_gal.federated._session import FitSession, new_fit_id

SIZES = [(10_000, 3), (100_000, 10), (1_000_000, 10)]


def prepare(folder, n_rows):
    """Write the settings and the table of the organization, and the kits."""
    table = pd.DataFrame({"id": np.arange(n_rows), "x": np.zeros(n_rows)})
    table.to_parquet(folder / "bank.parquet")
    (folder / "bank.py").write_text(
        "from sklearn.dummy import DummyRegressor\nestimator = DummyRegressor()\n"
    )
    (folder / "bank.toml").write_text(
        'name = "bank"\nkit = "kits/bank"\nkey = "id"\nmodels = "models"\n'
        'secret_file = "kits/bank/secret"\nestimator = "bank.py:estimator"\n'
        '[table]\nparquet = "bank.parquet"\n'
    )
    (folder / "federation.toml").write_text(
        'host = "localhost"\nport = 18302\norganizations = ["bank"]\n'
    )
    command = [sys.executable, "-m", "sklearn_gal.federated", "provision"]
    settings = ["--config", str(folder / "federation.toml"), "--out", str(folder / "kits")]
    subprocess.run([*command, *settings], check=True, stdout=subprocess.DEVNULL)


def start(folder, *arguments):
    """Start a command of the package as the leader of a new session."""
    return subprocess.Popen(
        [sys.executable, "-m", "sklearn_gal.federated", *arguments],
        stdout=open(folder / f"{arguments[0]}.log", "w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def descendants(pid):
    """The process and all its descendants."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += descendants(int(child))
    return found


def memory(process):
    """Resident memory in MB of a process and all its descendants."""
    pages = [
        int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        for pid in descendants(process.pid)
    ]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(federation, processes, sizes, n_memory):
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
            used = "   ".join(f"{n} {memory(p):6.0f} MB" for n, p in processes.items())
            yield f"memory after {number:>4} rounds of 10000 x 3:   {used}"


def table(arguments):
    sizes, n_memory = (SIZES[:1], 20) if arguments.quick else (SIZES, 200)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(folder, max(n for n, _ in sizes))
        kit = folder / "kits" / "label_holder"
        processes = {}
        try:
            begin = time.perf_counter()
            processes["server"] = start(folder, "label-holder", "--kit", str(kit))
            config = str(folder / "bank.toml")
            processes["organization"] = start(folder, "organization", "--config", config)
            federation = connect(kit, timeout=300)
            yield f"two processes and a channel: {time.perf_counter() - begin:.0f} s"
            yield from measure(federation, processes, sizes, n_memory)
            federation.channel.close()
        finally:
            for process in processes.values():
                for pid in descendants(process.pid):
                    os.kill(pid, signal.SIGKILL)
                process.wait()


if __name__ == "__main__":
    run(table, __doc__)
