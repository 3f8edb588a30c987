"""How fast a service answers: `sklearn-gal serve` under requests of one row.

    python benchmarks/serving.py [--seconds 20] [--quick] [--output FILE]

A model with the default settings, fitted to 2,500 rows and 20 columns of three
organizations, answers ``POST /predict`` in a process of its own. This process sends
requests of one row at fixed times, over 16 connections that stay open, whether or not
earlier ones have been answered. Latencies in ms, from the time at which a request is due to
the last byte of its answer. `cpu` is the CPU time of the service for each request in ms,
and `busy` its share of a core. Before that, the CPU time of a prediction without a service,
the shortest of 20.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from _harness import run, seconds
from sklearn.datasets import make_classification, make_regression

from sklearn_gal import GALClassifier, GALRegressor

RATES = [50, 100, 200, 300]
N_ROWS, N_COLUMNS, N_CONNECTIONS = 2_500, 20, 16
COMMAND = "import sys; from sklearn_gal._cli import main; sys.exit(main())"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def models():
    """Yield names, fitted models and rows to predict."""
    names = pd.Index([f"column_{j}" for j in range(N_COLUMNS)], dtype=object)
    organizations = [
        ("bank", None, names[:7].tolist()),
        ("clinic", None, names[7:14].tolist()),
        ("shop", None, names[14:].tolist()),
    ]
    X, y = make_classification(N_ROWS, N_COLUMNS, n_informative=10, random_state=0)
    X = pd.DataFrame(X, columns=names)
    yield "two classes", GALClassifier(organizations, random_state=0).fit(X, y), X
    X, y = make_regression(N_ROWS, N_COLUMNS, noise=10.0, random_state=0)
    X = pd.DataFrame(X, columns=names)
    yield "regression", GALRegressor(organizations, random_state=0).fit(X, y), X


class Service:
    """The command `sklearn-gal serve` in another process."""

    def __init__(self, model, folder):
        path = Path(folder, "model.joblib")
        joblib.dump(model, path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "serve", "--model", path, "--trust"]
            + ["--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD,
        )

    def __enter__(self):
        self.port = int(self._process.stdout.readline().rpartition(":")[2])
        return self

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    def cpu_seconds(self):
        """CPU time of the process so far, in Linux."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2]
        ticks = sum(map(int, fields.split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


async def send(port, rate, duration, bodies):
    """Send requests at a rate; return the latency of each in seconds, and the duration."""
    free: asyncio.Queue = asyncio.Queue()
    for _ in range(N_CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    loop, latencies = asyncio.get_running_loop(), []

    async def ask(due, body):
        reader, writer = connection = await free.get()
        head = (
            "POST /predict HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        content = await reader.readexactly(length)
        latencies.append(loop.time() - due)
        if b" 200 " not in answer[:20]:
            raise RuntimeError(content.decode())
        free.put_nowait(connection)

    begin, tasks = loop.time() + 0.1, []
    for number in range(int(rate * duration)):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.create_task(ask(due, bodies[number % len(bodies)])))
    await asyncio.gather(*tasks)
    took = loop.time() - begin
    while not free.empty():
        free.get_nowait()[1].close()
    return latencies, took


def table(arguments):
    duration = 1 if arguments.quick else arguments.seconds
    rates = RATES[:1] if arguments.quick else RATES
    with tempfile.TemporaryDirectory() as folder:
        for name, model, X in models():
            yield f"{name}, ms of a prediction without a service:"
            for n in (1, 10, 100, 1000):
                alone = seconds(partial(model.predict, X.iloc[:n]), 20)
                yield f"{n:8} rows{1e3 * alone:8.1f}"
            yield (
                f"{'sent/s':>8}{'answered/s':>12}{'p50':>8}{'p99':>8}{'max':>8}{'cpu':>8}"
                f"{'busy':>8}"
            )
            rows = X.iloc[:200].to_dict("records")
            bodies = [json.dumps({"rows": [row]}).encode() for row in rows]
            with Service(model, folder) as service:
                time.sleep(1.0)  # it warms up
                for rate in rates:
                    before = service.cpu_seconds()
                    latencies, took = asyncio.run(
                        send(service.port, rate, duration, bodies)
                    )
                    spent = service.cpu_seconds() - before
                    p50, p99, highest = 1e3 * np.quantile(latencies, [0.5, 0.99, 1.0])
                    yield (
                        f"{rate:8}{len(latencies) / took:12.1f}{p50:8.1f}{p99:8.1f}"
                        f"{highest:8.1f}{1e3 * spent / len(latencies):8.2f}"
                        f"{spent / took:8.2f}"
                    )
            yield ""


if __name__ == "__main__":
    run(table, __doc__, options={"--seconds": {"type": float, "default": 20.0}})
