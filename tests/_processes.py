"""Processes of tests that run several hosts on this machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

# settings of an organization whose kit is next to them
BANK = """
name = "bank"
kit = "kits/bank"
secret_file = "kits/bank/secret"
models = "models"
key = "id"

[table]
csv = "bank.csv"
"""


def federation_settings(organizations, port, **others):
    """Settings of a federation on this machine, in TOML."""
    settings = {"host": "localhost", "listen": "127.0.0.1", "port": port, **others}
    settings["organizations"] = organizations
    # JSON strings, numbers and lists are TOML
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def command(*arguments):
    """A command of the package, for a process."""
    return [sys.executable, "-m", "sklearn_gal.federated", *map(str, arguments)]


def start(arguments, log=os.devnull, **variables):
    """Start a command of the package that logs to a file, with environment variables."""
    with open(log, "ab") as file:
        return subprocess.Popen(
            command(*arguments),
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until(condition, seconds=300):
    """Return what a condition returns once that is true; what it is at the end if never."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def descendants(pid):
    """The process and all that it started."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += descendants(int(child))
    return found


def kill(process):
    """End a process and all that it started, by their ids."""
    for pid in descendants(process.pid) if process.poll() is None else []:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


def postgresql_programs():
    """Folder with the programs of the newest PostgreSQL here, or None."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3])
    )
    found = shutil.which("initdb") or (debian and debian[-1])
    return Path(found).resolve().parent if found else None


@contextmanager
def postgresql():
    """Run PostgreSQL on a loopback port; give the environment of its superuser's clients.

    PostgreSQL refuses to run as root; root therefore starts it as the user `postgres`.
    """
    programs, (port,) = postgresql_programs(), free_ports(1)
    account = {}
    if os.geteuid() == 0:
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="postgresql_", dir="/tmp"))
    password = "of the superuser"
    try:
        folder.joinpath("password").write_text(password)
        if account:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        settings = ["-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8", "--locale=C"]
        settings += ["--pwfile", folder / "password", "-D", folder / "data", "--no-sync"]
        run = {"cwd": folder, "stdin": subprocess.DEVNULL, **account}
        subprocess.run(
            [programs / "initdb", *settings], check=True, capture_output=True, **run
        )
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", "-p", str(port)]
                + ["-c", "listen_addresses=127.0.0.1", "-k", folder, "-F"],
                stdout=log,
                stderr=subprocess.STDOUT,
                **run,
            )
        try:
            _wait_until_ready(programs, server, port, folder / "log")
            yield {
                "PGHOST": "127.0.0.1",
                "PGPORT": str(port),
                "PGUSER": "postgres",
                "PGPASSWORD": password,
            }
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def _wait_until_ready(programs, server, port, log):
    ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    end = time.monotonic() + 60
    while subprocess.run(ready).returncode:
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}")
        time.sleep(0.1)


def no_postgresql():
    """Why PostgreSQL cannot be started here, or None if it can."""
    if postgresql_programs() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0:
        import pwd

        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL refuses to run as root, and there is no user postgres"
    return None
