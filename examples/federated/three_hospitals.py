"""Three organizations as three processes on this machine, with mutual TLS.

    python -m pip install ".[federated,plot]"
    python examples/federated/three_hospitals.py

A hospital wants to tell malignant from benign tumours. It holds the diagnoses and the first
ten measurements of the breast-cancer data; a laboratory and a registry hold ten others
each, about most of the same patients and in another order. The script makes
start-up kits, starts the hospital's server and the two other organizations, fits, and ends
everything again. Everything listens on the loopback interface only. Takes about a minute;
the folder, which is printed first, holds what each party would have.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier
from sklearn_gal.federated import (
    CommunicationDisplay,
    FederatedGALClassifier,
    connect,
)

GAL = [sys.executable, "-m", "sklearn_gal.federated"]  # or the command sklearn-gal
OTHERS = ["laboratory", "registry"]


def deal_out(folder):
    """Write a table for each organization, which in a real deployment has its own."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    ids = np.array([f"patient {i:03d}" for i in range(len(X))])
    for name, columns in zip(OTHERS, (X.columns[10:20], X.columns[20:]), strict=True):
        table = X[columns].assign(patient=ids).sample(frac=0.97, random_state=len(name))
        (folder / name).mkdir()
        table.to_csv(folder / name / f"{name}.csv", index=False)
    return X[X.columns[:10]].assign(patient=ids), y.to_numpy()


def set_up(folder):
    """What the parties do once: start-up kits, and a file of settings each."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        with socket.create_server(("127.0.0.1", 0)) as other:
            ports = one.getsockname()[1], other.getsockname()[1]
    (folder / "federation.toml").write_text(
        f'host = "localhost"\nlisten = "127.0.0.1"\nport = {ports[0]}\n'
        f"admin_port = {ports[1]}\norganizations = {json.dumps(OTHERS)}\n"
    )
    files = ["--config", folder / "federation.toml", "--out", folder / "kits"]
    subprocess.run([*GAL, "provision", *files], check=True)
    for name in OTHERS:
        (folder / name / "settings.toml").write_text(
            f'name = "{name}"\nkit = "../kits/{name}"\nkey = "patient"\n'
            f'models = "models"\nsecret_file = "../kits/{name}/secret"\n'
            f'[table]\ncsv = "{name}.csv"\n'
        )
    (folder / "registry" / "learner.py").write_text(
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from sklearn.svm import SVR\n\n"
        "learner = make_pipeline(StandardScaler(), SVR())\n"
    )
    settings = folder / "registry" / "settings.toml"
    settings.write_text('estimator = "learner.py:learner"\n' + settings.read_text())


def start(folder, name, *arguments):
    """Start the process that stands for the host of an organization."""
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(
            [*GAL, *arguments], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def end(process):
    """End a process and those that it started, by their ids."""
    for children in Path(f"/proc/{process.pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            os.kill(child, signal.SIGKILL)
    process.kill()
    process.wait()


def main():
    """Run the example."""
    begin = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="three_hospitals_"))
    print(f"What each party has is in {folder}")
    frame, y = deal_out(folder)
    set_up(folder)
    kit = folder / "kits" / "label_holder"
    processes = []
    try:
        processes.append(start(folder, "hospital", "label-holder", "--kit", kit))
        for name in OTHERS:
            settings = folder / name / "settings.toml"
            processes.append(start(folder, name, "organization", "--config", settings))

        # from here on: what the data scientist of the hospital writes
        federation = connect(kit, timeout=240)
        overlap = federation.overlap(frame["patient"])
        for name, present in overlap.items():
            print(f"The {name} has {present.sum()} of our {len(present)} patients.")
        train, test = train_test_split(np.arange(len(y)), random_state=0, stratify=y)
        own = [
            ("hospital", make_pipeline(StandardScaler(), Ridge()), list(frame.columns[:10]))
        ]
        alone = GALClassifier(own, max_iter=30, random_state=0)
        alone.fit(frame.iloc[train, :10], y[train])
        model = FederatedGALClassifier(
            federation,
            own,
            key="patient",
            missing_rows="abstain",
            max_iter=30,
            random_state=0,
        )
        model.fit(frame.iloc[train], y[train])
        print(f"accuracy alone     {alone.score(frame.iloc[test, :10], y[test]):.3f}")
        print(f"accuracy assisted  {model.score(frame.iloc[test], y[test]):.3f}")
        weights = model.weights_.mean(axis=0)
        for name, weight in zip(model.organization_names_, weights, strict=True):
            print(f"mean assistance weight of the {name}: {weight:.2f}")
        account = model.communication_
        megabytes = (account["bytes_sent"].sum() + account["bytes_received"].sum()) / 1e6
        print(f"{len(account['call'])} calls, {megabytes:.1f} MB")
        try:
            display = CommunicationDisplay.from_estimator(model)
            display.figure_.savefig("communication.png")
            print("communication.png shows what passed, round by round")
        except ImportError as error:
            print(error)
        federation.channel.close()
    finally:
        for process in processes:
            end(process)
    print(f"{time.monotonic() - begin:.0f} seconds")


if __name__ == "__main__":
    main()
