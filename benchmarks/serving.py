"""How fast a service answers: `sklearn-gal serve` under requests of one row.

A model of the default settings, fitted to 20 columns of three organizations, answers
``POST /predict`` in a process of its own. Another process sends requests at fixed times
over connections that stay open, whether or not earlier ones have been answered, and counts
the seconds from the time at which a request was due to the last byte of its answer.

``--quick`` sends for a second at each rate.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import make_classification, make_regression

from sklearn_gal import GALClassifier, GALRegressor

RATES = [50, 100, 200, 300]
N_ROWS, N_COLUMNS = 2_500, 20
N_CONNECTIONS = 16


def fitted_models():
    """Yield titles and models of the default settings, with a row to predict."""
    names = [f"column_{j}" for j in range(N_COLUMNS)]
    organizations = [
        ("bank", None, names[:7]),
        ("clinic", None, names[7:14]),
        ("shop", None, names[14:]),
    ]
    X, y = make_classification(N_ROWS, N_COLUMNS, n_informative=10, random_state=0)
    X = pd.DataFrame(X, columns=names)
    yield "two classes", GALClassifier(organizations, random_state=0).fit(X, y), X
    X, y = make_regression(N_ROWS, N_COLUMNS, noise=10.0, random_state=0)
    X = pd.DataFrame(X, columns=names)
    yield "numbers", GALRegressor(organizations, random_state=0).fit(X, y), X


async def load(port, rate, seconds, bodies):
    """Send requests at a rate; return the seconds of each, and the CPU time spent here."""
    free: asyncio.Queue = asyncio.Queue()
    for _ in range(N_CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    loop, taken, statuses = asyncio.get_running_loop(), [], []

    async def ask(due, body):
        reader, writer = connection = await free.get()
        head = (
            "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            f"\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        taken.append(loop.time() - due)
        statuses.append(int(answer.split()[1]))
        free.put_nowait(connection)

    begin, tasks = loop.time() + 0.1, []
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.create_task(ask(due, bodies[number % len(bodies)])))
    await asyncio.gather(*tasks)
    if set(statuses) != {200}:
        raise RuntimeError(f"The service answered {sorted(set(statuses))}.")
    return taken, loop.time() - begin


def main():
    """Start the service for each model, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a second at each rate")
    options = parser.parse_args()
    seconds = 1 if options.quick else 20
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"{N_ROWS} training rows, {N_COLUMNS} columns, {os.cpu_count()} cores; ms")
    print(f"{'model':12} {'sent/s':>7} {'answered/s':>10} {'p50':>6} {'p99':>6} {'max':>6}")
    for title, model, X in fitted_models():
        rows = X.iloc[:200].to_dict("records")
        bodies = [json.dumps({"rows": [row]}).encode() for row in rows]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.joblib")
            joblib.dump(model, path)
            command = "import sys; from sklearn_gal._cli import main; sys.exit(main())"
            arguments = ["serve", "--model", str(path), "--trust", "--port", "0"]
            service = subprocess.Popen(
                [sys.executable, "-c", command, *arguments],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            try:
                port = int(service.stdout.readline().rpartition(":")[2])
                time.sleep(1.0)
                for rate in RATES:
                    taken, total = asyncio.run(load(port, rate, seconds, bodies))
                    p50, p99 = 1e3 * np.quantile(taken, [0.5, 0.99])
                    print(
                        f"{title:12} {rate:7} {len(taken) / total:10.1f} {p50:6.1f} "
                        f"{p99:6.1f} {1e3 * max(taken):6.1f}",
                        flush=True,
                    )
            finally:
                service.terminate()
                service.wait()


if __name__ == "__main__":
    main()
