"""Fits between hosts while processes are killed and started again.

    python benchmarks/kills.py [--quick] [--n N] [--seed SEED] [--output FILE]

In each trial, one of the processes of a federation on this host is killed at a random
moment of a fit of 60 rounds, and started again at once: an organization, the label holder's
FLARE server, which relays all calls, or the label holder's own process, which fits with a
checkpoint. "later" is by how many seconds the fit ends later than the median of undisturbed
fits. Under on_failure="wait" the predictions must be those of an undisturbed fit, to the
last bit. Under "continue", with a grace period of only 1 second, rounds may go on without
the organization for as long as it is away, and each of them is named in a warning. If all
organizations are away, the fit ends, and the label holder calls `fit` again.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _harness import run
from sklearn.datasets import load_diabetes

from sklearn_gal.federated import connect

ORGANIZATIONS = ["bank", "clinic", "shop"]
VICTIMS = [*ORGANIZATIONS, "server", "label holder"]
# At least, because the label holder's estimator sleeps in both chains.
SECONDS_PER_ROUND = 0.1
ESTIMATOR = """
from sklearn.linear_model import Ridge
estimator = Ridge()
"""
PROGRAM = """
import json, sys, time, warnings
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn_gal.federated import FederatedGALRegressor, connect

class Slow(Ridge):
    def fit(self, X, y):
        time.sleep(0.05)
        return super().fit(X, y)

settings = json.loads(sys.argv[1])
frame = pd.read_parquet("hospital.parquet")
model = FederatedGALRegressor(
    connect("kits/label_holder"),
    [("hospital", Slow(), ["x0", "x1"])],
    key="id",
    max_iter=60,
    early_stopping=False,
    cv=2,
    weights="uniform",
    line_search=False,
    interactions=False,
    learning_rate=0.1,
    random_state=0,
    checkpoint=settings["checkpoint"],
    on_failure=settings["on_failure"],
    grace_period=settings["grace_period"],
    max_missed_rounds=60,
)
X = frame.drop(columns="target")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(X, frame["target"])
    while model.stop_reason_ == "organizations_away":
        model.fit(X, frame["target"])
model.set_params(on_failure="wait")
told = [str(each.message) for each in caught if "goes on without" in str(each.message)]
np.savez(
    settings["result"],
    prediction=model.predict(X),
    weights=model.weights_,
    told=told,
    stop_reason=model.stop_reason_,
)
"""


class Hosts:
    """The processes of a federation on this host."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        table = load_diabetes(as_frame=True).frame.iloc[:, -9:]
        table.columns = [*(f"x{j}" for j in range(8)), "target"]
        table["id"] = np.arange(len(table))
        table[["id", "x0", "x1", "target"]].to_parquet(folder / "hospital.parquet")
        (folder / "learner.py").write_text(ESTIMATOR)
        (folder / "program.py").write_text(PROGRAM)
        for j, name in enumerate(ORGANIZATIONS, start=1):
            own = [f"x{2 * j}", f"x{2 * j + 1}", "id"]
            table[own].to_parquet(folder / f"{name}.parquet")
            (folder / f"{name}.toml").write_text(
                f'name = "{name}"\nkit = "kits/{name}"\nkey = "id"\n'
                f'models = "models/{name}"\nsecret_file = "kits/{name}/secret"\n'
                f'estimator = "learner.py:estimator"\n[table]\nparquet = "{name}.parquet"\n'
            )
        (folder / "federation.toml").write_text(
            'host = "localhost"\nport = 18402\nlisten = "127.0.0.1"\n'
            f"organizations = {json.dumps(ORGANIZATIONS)}\n"
        )
        provision = ["provision", "--config", "federation.toml", "--out", "kits"]
        self.run(*provision).wait()
        for name in ("server", *ORGANIZATIONS):
            self.start(name)

    def run(self, *arguments):
        """Start a command of the package."""
        return self._open(["-m", "sklearn_gal.federated", *arguments])

    def start(self, name):
        """Start the server or an organization."""
        if name == "server":
            self.processes[name] = self.run("label-holder", "--kit", "kits/label_holder")
        else:
            self.processes[name] = self.run("organization", "--config", f"{name}.toml")

    def fit(self, settings):
        """Start the label holder's program."""
        self.processes["label holder"] = self._open(["program.py", json.dumps(settings)])
        return self.processes["label holder"]

    def _open(self, arguments):
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "errors.log", "a"),
            start_new_session=True,
        )

    def kill(self, name):
        """Kill a process that was started, and all that it has started."""
        process = self.processes[name]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Trials:
    """Fits, one after the other.

    Parameters
    ----------
    hosts : Hosts
        The processes.
    seed : int
        Seed of victims and moments.
    """

    def __init__(self, hosts, seed):
        self._hosts = hosts
        self._random = np.random.default_rng(seed)
        self._n = 0

    def fit(self, on_failure, victim=None, moment=0.0):
        """Fit, and kill a process after some seconds.

        Returns
        -------
        seconds : float
            How long the fit has taken.
        result : mapping of arrays
            What the program has saved.
        away : float
            Seconds from the kill until all organizations were connected again.
        """
        kit, away = self._hosts.folder / "kits" / "label_holder", 0.0
        connect(kit, timeout=60)
        self._n += 1
        settings = {
            "checkpoint": f"checkpoint {self._n}",
            "result": f"result {self._n}.npz",
            "on_failure": on_failure,
            "grace_period": 1.0,
        }
        begin = time.monotonic()
        process = self._hosts.fit(settings)
        while not (self._hosts.folder / settings["checkpoint"] / "fit.joblib").exists():
            time.sleep(0.01)
        begin = time.monotonic()
        if victim is not None:
            time.sleep(moment)
            self._hosts.kill(victim)
            if victim == "label holder":
                process = self._hosts.fit(settings)
            else:
                self._hosts.start(victim)
                killed = time.monotonic()
                time.sleep(0.5)  # until the server has noticed
                connect(kit, timeout=60)
                away = time.monotonic() - killed
        process.wait()
        elapsed = time.monotonic() - begin
        return elapsed, np.load(self._hosts.folder / settings["result"]), away

    def table(self, n):
        """Yield a line for each trial and a summary."""
        plain = [self.fit("wait") for _ in range(3)]
        usual = float(np.median([seconds for seconds, *_ in plain]))
        expected = plain[0][1]["prediction"]
        yield f"undisturbed: {usual:.1f} s"
        yield f"{'policy':<10}{'killed':<14}{'after':>7}{'away':>8}{'later':>8}   result"
        worst, n_wrong = 0.0, 0
        for trial in range(n):
            policy = ("wait", "continue")[trial % 2]
            victim = VICTIMS[self._random.integers(len(VICTIMS))]
            moment = float(self._random.uniform(0, usual))
            seconds, result, away = self.fit(policy, victim, moment)
            lost = int((result["weights"] == 0).any(axis=1).sum())
            named = {
                re.findall(r"'(\w+)'.*round (\d+)", each)[0] for each in result["told"]
            }
            n_lost = int((result["weights"] == 0).sum())
            same = np.array_equal(result["prediction"], expected)
            right = result["stop_reason"] == "max_iter" and len(result["weights"]) == 60
            if policy == "wait" or not lost:
                right &= same
            elif victim != "label holder":  # what it was told before is lost with it
                right &= len(named) == n_lost and lost * SECONDS_PER_ROUND <= away + 1
            worst, n_wrong = max(worst, seconds - usual), n_wrong + (not right)
            text = "the same" if same else f"{lost} rounds lost"
            text += "" if right else ", WRONG"
            later = seconds - usual
            times = f"{moment:>5.1f} s{away:>6.1f} s{later:>6.1f} s"
            yield f"{policy:<10}{victim:<14}{times}   {text}"
        yield f"worst: {worst:.1f} s later; {n_wrong} of {n} wrong"


def table(arguments):
    with tempfile.TemporaryDirectory() as folder:
        hosts = Hosts(Path(folder))
        try:
            n = arguments.n or (2 if arguments.quick else 40)
            yield from Trials(hosts, arguments.seed).table(n)
        finally:
            for name in hosts.processes:
                hosts.kill(name)


if __name__ == "__main__":
    options = {
        "--n": {"type": int, "help": "number of trials; default 40, 2 if quick"},
        "--seed": {"type": int, "default": 0, "help": "of victims and moments"},
    }
    run(table, __doc__, options=options)
