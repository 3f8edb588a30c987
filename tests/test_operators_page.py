"""The deployment of the operators' page: its files and commands, as they stand there."""

import importlib.util
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sklearn_gal
from _processes import free_ports, kill, no_postgresql, postgresql, wait_until

SOURCE = Path(sklearn_gal.__file__).parents[1]
PAGE = Path(__file__).parents[1] / "docs" / "operators.rst"
HOSTS = ("hospital", "laboratory", "registry", "insurer")
BLOCK = re.compile(
    r"^\.\. code-block:: (?P<language>\w+)\n   :caption: (?P<caption>.+)\n\n"
    r"(?P<body>(?:(?:   .*)?\n)+)",
    re.MULTILINE,
)
STARTS = re.compile(r"sklearn-gal (label-holder|organization)(?!.*--check)")


def blocks():
    """Return language, caption and text of the blocks with a caption, in their order."""
    found = []
    for match in BLOCK.finditer(PAGE.read_text()):
        body = textwrap.dedent(match["body"]).strip() + "\n"
        found.append((match["language"], match["caption"], body))
    return found


def patients(rng):
    """Tables of the hosts, about mostly the same patients, and the patients to come."""
    ids = np.array([f"{i:05d}-{rng.integers(10**6):06d}" for i in range(600)])
    X = rng.normal(size=(600, 8)).round(6)
    signal = X @ [0.2, 0.2, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0]
    frame = pd.DataFrame(X, columns="age bmi ferritin crp smoker grade visits cost".split())
    frame.insert(0, "patient", ids)
    frame["ill"] = (signal + rng.normal(size=600) > 0).astype(int)
    return frame


def deal_out(folder, frame):
    """Give every host its table."""
    for host in HOSTS:
        (folder / host).mkdir()
    own = frame[["patient", "age", "bmi", "ill"]]
    own[:400].to_csv(folder / "hospital" / "patients.csv", index=False)
    new = own[400:].drop(columns="ill")
    new.to_csv(folder / "hospital" / "new_patients.csv", index=False)
    results = frame[["patient", "crp", "ferritin"]].sample(frac=0.95, random_state=0)
    results.to_csv(folder / "laboratory" / "results.csv", index=False)
    registry = frame[["patient", "smoker", "grade"]].sample(frac=0.95, random_state=1)
    registry.to_parquet(folder / "registry" / "registry.parquet")
    return frame[["patient", "visits", "cost"]].sample(frac=0.95, random_state=2)


@pytest.fixture
def database():
    """Environment of PostgreSQL's clients; None where SQLite has to stand for it."""
    if no_postgresql() or not importlib.util.find_spec("psycopg"):
        yield None
    else:
        with postgresql() as settings:
            yield settings


def fill(database, claims, folder):
    """Put the insurer's table into its database, and return what stands for its address."""
    if database is None:
        connection = sqlite3.connect(folder / "claims.db")
        claims.to_sql("latest_claims", connection, index=False)
        connection.close()
        return f"sqlite:///{folder}/claims.db"
    import sqlalchemy

    admin = sqlalchemy.URL.create(
        "postgresql+psycopg",
        *("postgres", database["PGPASSWORD"], database["PGHOST"], int(database["PGPORT"])),
    )
    engine = sqlalchemy.create_engine(admin, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE claims"))
    engine.dispose()
    engine = sqlalchemy.create_engine(admin.set(database="claims"))
    claims.to_sql("latest_claims", engine, index=False)
    engine.dispose()
    return f"postgresql+psycopg://gal_reader@127.0.0.1:{database['PGPORT']}/claims"


class Deployment:
    """The hosts of the page as folders of this machine."""

    def __init__(self, folder, database, url):
        self.folder = folder
        self.processes = []
        port, admin_port = free_ports(2)
        self.port = port
        # what the page says of its hosts, and what stands for it on this one
        self.stands_for = {
            "postgresql+psycopg://gal_reader@db.insurer.example/claims": url,
            "gal.hospital.example": "localhost",
            "192.0.2.7": "127.0.0.1",
            "8002": str(port),
            "8003": str(admin_port),
            "-h db.insurer.example": "",
        }
        if database is None:
            self.stands_for['password_file = "db_password"'] = ""
        programs = folder / "bin"
        programs.mkdir()
        run = f"{shlex.quote(sys.executable)} -m sklearn_gal.federated"
        for name, command in {"sklearn-gal": run, "python": sys.executable}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (programs / name).chmod(0o700)
        self.environment = os.environ | {
            "PYTHONPATH": str(SOURCE),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            **(database or {}),
        }

    def write(self, file, text):
        for name, other in self.stands_for.items():
            text = text.replace(name, other)
        (self.folder / file).write_text(text)

    def run(self, host, command):
        """Run a command at a host; a server or an organization goes on behind the test."""
        for name, other in self.stands_for.items():
            command = command.replace(name, other)
        folder = self.folder / host
        archive = self.folder / "hospital" / f"{host}.tgz"
        if archive.exists():
            shutil.move(archive, folder)  # the transport, which the page leaves open
        log = folder / "terminal.log"
        how = {"cwd": folder, "env": self.environment, "stdin": subprocess.DEVNULL}
        with open(log, "ab") as file:
            how |= {"stdout": file, "stderr": subprocess.STDOUT, "start_new_session": True}
            process = subprocess.Popen(["bash", "-c", command], **how)
        self.processes.append(process)
        if not STARTS.search(command):
            assert process.wait(300) == 0, f"{host}$ {command}\n{log.read_text()}"
        elif "label-holder" in command:  # the check of an organization needs it
            assert wait_until(self.server_listens), log.read_text()

    def server_listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def end(self):
        for process in self.processes:
            kill(process)


def test_blocks_of_the_page_are_found():
    text = PAGE.read_text()
    assert len(blocks()) == text.count(":caption:")
    commands = [caption for language, caption, _ in blocks() if language == "console"]
    at_hosts = [f"at the {host}" for host in HOSTS]
    assert commands == ["on every host", *at_hosts, "at the hospital"]


def test_the_deployment_of_the_page(tmp_path, rng, database):
    pytest.importorskip("nvflare")
    frame = patients(rng)
    claims = deal_out(tmp_path, frame)
    url = fill(database, claims, tmp_path / "insurer")
    deployment = Deployment(tmp_path, database, url)
    try:
        for language, caption, text in blocks():
            if language != "console":
                deployment.write(caption, text)
                continue
            host = caption.split()[-1]
            lines = re.findall(r"^\$ (.+)$", text, re.MULTILINE)
            assert lines
            if host == "host":
                continue  # it installs the package, which the tests have
            for line in lines:
                if database is None and line.startswith("psql"):
                    continue
                deployment.run(host, line)
        log = (tmp_path / "hospital" / "terminal.log").read_text()
        shared = {name: int(n) for name, n in re.findall(r"(\w+) has (\d+) of 400", log)}
        assert shared.keys() == set(HOSTS[1:])
        assert min(shared.values()) > 350
        risk = pd.read_csv(tmp_path / "hospital" / "risk.csv")["risk"]
        assert np.mean((risk > 0.5) == frame["ill"][400:].to_numpy()) > 0.75
        for path in (*tmp_path.glob("*/kit*"), *tmp_path.glob("*/models")):
            assert path.stat().st_mode & 0o077 == 0, path
        for path in (*tmp_path.glob("*/*/secret"), tmp_path / "insurer" / "db_password"):
            assert path.stat().st_mode & 0o077 == 0, path
    finally:
        deployment.end()
