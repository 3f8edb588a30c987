"""Fits between hosts while processes are killed and started again.

    python benchmarks/kills.py [--quick] [--n N] [--seed SEED] [--output FILE]

In each trial, one of the processes of a federation on this host is killed at one of 40
random moments of a fit of 60 rounds, and started again at once: an organization, the label
holder's FLARE server, or the label holder's own process, which fits with a checkpoint. The
relay is a component of the server and dies with it. Both policies and all five processes
have the same number of trials.

"away" is how long it takes until all organizations are connected again, and "later" by how
many seconds the fit ends later than the median of undisturbed fits. A trial is WRONG unless
the fit has all 60 rounds, ends less than 30 seconds later, and

- under on_failure="wait" predicts the same as an undisturbed fit, to the last bit;
- under "continue", with a grace period of only 1 second, loses no round but those that end
  while an organization is away. The label holder asks for it once a second, so that it
  counts as away for 3 seconds more. A warning names each of the rounds, and no other.
  Without a lost round the predictions are the same, to the last bit.

If all organizations are away, the fit ends, or fails if it has no round yet, and the label
holder calls `fit` again.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _harness import run
from _hosts import Hosts
from sklearn.datasets import load_diabetes

from sklearn_gal.federated import connect

ORGANIZATIONS = ["bank", "clinic", "shop"]
VICTIMS = [*ORGANIZATIONS, "server", "label holder"]
POLICIES = ["wait", "continue"]
N_ROUNDS, N_MOMENTS = 60, 40
# The label holder's estimator sleeps so long in each of the two chains of a round.
PAUSE = 0.05
# Seconds by which a fit may end later, and until the return of an organization is noticed.
MAX_LATER, NOTICED = 30.0, 3.0
ESTIMATOR = """
from sklearn.linear_model import Ridge
estimator = Ridge()
"""
PROGRAM = """
import json, re, sys, time, warnings
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn_gal.federated import FederatedGALRegressor, OrganizationError, connect

settings = json.loads(sys.argv[1])

class Slow(Ridge):
    def fit(self, X, y):
        with open(settings["progress"], "a") as progress:
            progress.write(".")
        time.sleep(settings["pause"])
        return super().fit(X, y)

told = []

def tell(message, *where):
    found = re.search(r"'(\\w+)'.*round (\\d+) goes on without it", str(message))
    if found:
        told.append([found[1], int(found[2]), time.monotonic()])

frame = pd.read_parquet("hospital.parquet")
model = FederatedGALRegressor(
    connect("kits/label_holder"),
    [("hospital", Slow(), ["x0", "x1"])],
    key="id",
    max_iter=settings["max_iter"],
    early_stopping=False,
    cv=2,
    weights="uniform",
    line_search=False,
    interactions=False,
    learning_rate=0.1,
    random_state=0,
    checkpoint=settings["checkpoint"],
    on_failure=settings["on_failure"],
    grace_period=1.0,
    max_missed_rounds=settings["max_iter"],
)
X = frame.drop(columns="target")
warnings.simplefilter("always")
warnings.showwarning = tell

def fit():
    try:
        model.fit(X, frame["target"])
    except OrganizationError:  # all were away before the first round
        if settings["on_failure"] == "wait":
            raise
        return False
    return model.stop_reason_ != "organizations_away"

while not fit():
    pass
model.set_params(on_failure="wait")
result = {
    "prediction": model.predict(X).tolist(),
    "weights": model.weights_.tolist(),
    "names": list(model.organization_names_),
    "told": told,
    "stop_reason": model.stop_reason_,
}
with open(settings["result"], "w") as file:
    json.dump(result, file)
"""


class Federation(Hosts):
    """The processes of a federation, with the label holder's program as one of them."""

    def __init__(self, folder):
        table = load_diabetes(as_frame=True).frame.iloc[:, -9:]
        table.columns = [*(f"x{j}" for j in range(8)), "target"]
        table["id"] = np.arange(len(table))
        table[["id", "x0", "x1", "target"]].to_parquet(folder / "hospital.parquet")
        (folder / "program.py").write_text(PROGRAM)
        for j, name in enumerate(ORGANIZATIONS, start=1):
            own = [f"x{2 * j}", f"x{2 * j + 1}", "id"]
            table[own].to_parquet(folder / f"{name}.parquet")
            (folder / f"{name}.py").write_text(ESTIMATOR)
        super().__init__(folder, ORGANIZATIONS, 18402)

    def fit(self, settings):
        """Start the label holder's program."""
        self.processes["label holder"] = self.open("program.py", json.dumps(settings))
        return self.processes["label holder"]


class Trials:
    """Fits, one after the other.

    Parameters
    ----------
    hosts : Federation
        The processes.
    seed : int
        Seed of victims and moments.
    """

    def __init__(self, hosts, seed):
        self._hosts = hosts
        self._random = np.random.default_rng(seed)
        self._n = 0

    def fit(self, on_failure, victim=None, moment=0.0):
        """Fit, and kill a process after some rounds.

        Returns
        -------
        seconds : float
            How long the fit has taken.
        result : dict or None
            What the program has saved; None if it failed or took minutes.
        killed : float
            Time of the kill.
        back : dict of floats
            For each organization, the time at which it was connected again.
        """
        channel = connect(self._hosts.kit, timeout=60).channel
        self._n += 1
        settings = {
            "checkpoint": f"checkpoint {self._n}",
            "progress": f"progress {self._n}",
            "result": f"result {self._n}.json",
            "on_failure": on_failure,
            "max_iter": N_ROUNDS,
            "pause": PAUSE,
        }
        folder = self._hosts.folder
        process = self._hosts.fit(settings)
        killed, back = 0.0, {}
        self._wait_until(process, (folder / settings["checkpoint"] / "fit.joblib").exists)
        begin = time.monotonic()
        if victim is not None:
            n_fits, part = divmod(2 * moment, 1)
            progress = folder / settings["progress"]
            self._wait_until(
                process, lambda: progress.exists() and progress.stat().st_size > n_fits
            )
            time.sleep(part * PAUSE)
            assert process.poll() is None, "the fit ended before the kill"
            self._hosts.kill(victim)
            killed = time.monotonic()
            if victim == "label holder":
                process = self._hosts.fit(settings)
            else:
                self._hosts.start(victim)
                back = self._when_back(channel)
        try:
            process.wait(10 * MAX_LATER)
        except subprocess.TimeoutExpired:
            self._hosts.kill("label holder")
        seconds = time.monotonic() - begin
        path = folder / settings["result"]
        result = json.loads(path.read_text()) if path.exists() else None
        return seconds, result, killed, back

    def _wait_until(self, process, condition):
        while not condition():
            assert process.poll() is None, self._hosts.errors()
            time.sleep(0.002)

    def _when_back(self, channel):
        """Return when each organization was connected, once the server has noticed."""
        time.sleep(0.5)

        def wait_for(name):
            while True:
                try:
                    if channel.is_connected(name):
                        return time.monotonic()
                except ConnectionError:
                    pass  # the server is not there yet
                time.sleep(0.1)

        with ThreadPoolExecutor(len(ORGANIZATIONS)) as threads:
            times = threads.map(wait_for, ORGANIZATIONS)
            return dict(zip(ORGANIZATIONS, times, strict=True))

    def table(self, n):
        """Yield a line for each trial, and a summary.

        Raises
        ------
        AssertionError
            After the summary, if a trial was wrong.
        """
        plain = [self.fit("wait") for _ in range(3)]
        usual = float(np.median([seconds for seconds, *_ in plain]))
        undisturbed = plain[0][1]
        assert all(fit[1] == undisturbed for fit in plain)
        yield f"undisturbed: {usual:.1f} s"
        yield f"{'policy':<10}{'killed':<14}{'in round':>9}{'away':>9}{'later':>9}   result"
        moments = np.resize(self._random.uniform(0, N_ROUNDS, N_MOMENTS), n)
        kinds = [*itertools.product(POLICIES, VICTIMS)]
        order = self._random.permutation(n) % len(kinds)
        trials = [
            (*kinds[i], float(moment)) for i, moment in zip(order, moments, strict=True)
        ]
        results = {kind: [] for kind in kinds}
        for policy, victim, moment in trials:
            seconds, result, killed, back = self.fit(policy, victim, moment)
            later = seconds - usual
            if result is None:
                sys.stderr.write(self._hosts.errors())
                result = undisturbed | {"stop_reason": "failed"}
            lost = lost_rounds(result)
            wrong = faults(policy, victim, later, result, undisturbed, killed, back)
            noticed = [
                when - back[name] for name, _, when in result["told"] if name in back
            ]
            results[policy, victim].append(
                (later, len(lost), max([0.0, *noticed]), bool(wrong))
            )
            away = f"{max(back.values()) - killed:.1f} s" if back else "-"
            same = result["prediction"] == undisturbed["prediction"]
            text = "the same" if same else f"{len(lost)} rounds lost"
            text += f", WRONG: {', '.join(wrong)}" if wrong else ""
            start = f"{policy:<10}{victim:<14}{moment + 1:>9.1f}{away:>9}"
            yield f"{start}{later:>7.1f} s   {text}"
        yield from summary(results)
        n_wrong = sum(each[-1] for kind in results.values() for each in kind)
        assert not n_wrong, f"{n_wrong} trials are wrong"


def lost_rounds(result):
    """Return pairs of an organization and a round, from 1, in which it has no weight."""
    rounds, columns = np.nonzero(np.array(result["weights"]) == 0)
    return {(result["names"][m], int(t) + 1) for t, m in zip(rounds, columns, strict=True)}


def faults(policy, victim, later, result, undisturbed, killed, back):
    """Return what is wrong with a fit, as a list of words."""
    lost, told = lost_rounds(result), result["told"]
    named = [(name, number) for name, number, _ in told]
    same = result["prediction"] == undisturbed["prediction"]
    may_lose = policy == "continue" and victim != "label holder"
    found = {
        "late": later >= MAX_LATER,
        "rounds": result["stop_reason"] != "max_iter" or len(result["weights"]) != N_ROUNDS,
        "prediction": not same and not (may_lose and lost),
        "rounds lost": bool(lost) and not may_lose,
        "not named": sorted(lost) != sorted(named),
        "wrong organization": victim in ORGANIZATIONS
        and any(name != victim for name, _ in named),
        "not away": any(
            not killed <= when <= back.get(name, killed) + NOTICED for name, _, when in told
        ),
    }
    return [what for what, is_so in found.items() if is_so]


def summary(results):
    """Yield a table of the trials of each kind."""
    yield ""
    yield f"{'policy':<10}{'killed':<14}{'kills':>6}{'the same':>10}" + (
        f"{'rounds lost':>15}{'later, median':>17}{'at most':>10}{'wrong':>7}"
    )
    for (policy, victim), trials in results.items():
        if not trials:
            continue
        later, n_lost, _, wrong = (np.array(each) for each in zip(*trials, strict=True))
        most = f"at most {n_lost.max()}" if n_lost.any() else "none"
        yield f"{policy:<10}{victim:<14}{len(trials):>6}{(n_lost == 0).sum():>10}" + (
            f"{most:>15}{np.median(later):>15.1f} s{later.max():>8.1f} s{wrong.sum():>7}"
        )
    every = [each for trials in results.values() for each in trials]
    n_wrong = sum(wrong for *_, wrong in every)
    worst = max(later for later, *_ in every)
    noticed = max(seconds for _, _, seconds, _ in every)
    yield f"{len(every)} kills: at most {worst:.1f} s later; {n_wrong} wrong"
    yield f"the last round lost ended at most {noticed:.1f} s after the return"


def table(arguments):
    n = arguments.n or (2 if arguments.quick else 120)
    with tempfile.TemporaryDirectory() as folder, Federation(Path(folder)) as hosts:
        yield from Trials(hosts, arguments.seed).table(n)


if __name__ == "__main__":
    options = {
        "--n": {"type": int, "help": "number of trials; default 120, 2 if quick"},
        "--seed": {"type": int, "default": 0, "help": "of victims and moments"},
    }
    run(table, __doc__, options=options)
