"""Hosts as services: settings from the environment, logs in JSON, health."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from _processes import BANK, federation_settings, free_ports, kill, start, wait_until
from sklearn_gal.federated._cli import main
from sklearn_gal.federated._config import organization_settings, service_from_config
from sklearn_gal.federated._flare import lock
from sklearn_gal.federated._flare.monitoring import serve_health

SETTINGS = (
    BANK
    + """
[limits]
max_rows = 7
"""
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bank.toml").write_text(SETTINGS)
    (tmp_path / "bank.csv").write_text("id,x,y\n1,2.0,3.0\n2,0.5,1.0\n")
    (tmp_path / "other.csv").write_text("id,x,y\n1,2.0,3.0\n")
    return tmp_path


def test_environment_variables_win_over_the_settings(folder, monkeypatch):
    (folder / "secret").write_text("0123456789abcdef")
    for name, value in {
        "NAME": "shop",
        "SECRET_FILE": str(folder / "secret"),
        "COLUMNS": "y, x",
        "TABLE_CSV": "other.csv",
        "LIMITS_MAX_ROWS": "11",
    }.items():
        monkeypatch.setenv(f"SKLEARN_GAL_{name}", value)
    service = service_from_config(folder / "bank.toml")
    assert service.name == "shop"
    assert list(service._table.columns) == ["y", "x"]
    assert len(service._table) == 1
    settings = organization_settings(folder / "bank.toml")
    assert settings["limits"]["max_rows"] == 11
    assert settings["kit"] == folder / "kits" / "bank"
    monkeypatch.setenv("SKLEARN_GAL_LIMITS_MAX_ROWS", "many")
    with pytest.raises(ValueError, match="MAX_ROWS must be of type int, got 'many'"):
        organization_settings(folder / "bank.toml")


def test_the_environment_names_files_and_formats(folder, monkeypatch, capsys):
    monkeypatch.setenv("SKLEARN_GAL_CONFIG", str(folder / "none.toml"))
    assert main(["organization", "--check"]) == 2
    assert "none.toml" in capsys.readouterr().err
    config = ["--config", str(folder / "bank.toml")]
    monkeypatch.setenv("SKLEARN_GAL_HEALTH_PORT", "80000")
    with pytest.raises(SystemExit):
        main(["organization", *config, "--check"])
    assert "'80000' is no port" in capsys.readouterr().err
    monkeypatch.setenv("SKLEARN_GAL_HEALTH_PORT", "8080")
    monkeypatch.setenv("SKLEARN_GAL_LOG_FORMAT", "xml")
    with pytest.raises(SystemExit):
        main(["organization", *config, "--check"])
    assert "'xml' is no format" in capsys.readouterr().err


def ask(port, path="/health"):
    """Return status and content of the answer about the health of a process."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
        return error.code, json.loads(content) if error.code == 503 else None


def test_health_is_answered_on_loopback_and_nothing_else_is():
    state = {"healthy": True}
    (port,) = free_ports(1)
    server = serve_health(port, lambda: state)
    try:
        assert server.server_address == ("127.0.0.1", port)
        assert ask(port) == (200, {"healthy": True})
        state["healthy"] = False
        assert ask(port) == (503, {"healthy": False})
        assert ask(port, "/") == (404, None)
        with socket.create_connection(("127.0.0.1", port)):  # an idle one delays no other
            assert ask(port) == (503, {"healthy": False})
    finally:
        server.shutdown()
        server.server_close()


class Services:
    """A server and an organization, with logs in JSON and health, by the environment."""

    def __init__(self, folder):
        self.folder = folder
        port, *self.ports = free_ports(3)
        config = folder / "federation.toml"
        config.write_text(federation_settings(["bank"], port))
        out = folder / "kits"
        assert main(["provision", "--config", str(config), "--out", str(out)]) == 0
        self.processes = []

    def start(self, command, health_port, **variables):
        variables |= {"LOG_FORMAT": "json", "HEALTH_PORT": health_port}
        environment = {
            f"SKLEARN_GAL_{name}": str(value) for name, value in variables.items()
        }
        path = self.folder / f"{command}.log"
        process = start([command], path, **environment)
        self.processes.append(process)
        return process, path


def until(status, port):
    """Return the answer about health once it has a status."""
    answer = None

    def has_status():
        nonlocal answer
        try:
            answer = ask(port)
        except OSError:
            return False
        return answer[0] == status

    assert wait_until(has_status), answer
    return answer[1]


def test_services_tell_their_health_and_log_in_json(folder):
    pytest.importorskip("nvflare")
    services = Services(folder)
    server_port, bank_port = services.ports
    try:
        services.start("organization", bank_port, CONFIG=folder / "bank.toml")
        state = until(503, bank_port)
        assert (state["role"], state["connected"]) == ("client", False)
        kit = folder / "kits" / "label_holder"
        server, log = services.start("label-holder", server_port, KIT=kit)
        state = until(200, server_port)
        assert (state["role"], state["listens"]) == ("server", True)
        assert 358 <= state["certificate_days"] <= 360
        assert until(200, bank_port)["connected"]
        assert until(200, server_port)["connections"] >= 1
        kill(server)
        assert not until(503, bank_port)["connected"]
    finally:
        for process in services.processes:
            kill(process)
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(records) > 5
    assert records[0].keys() >= {"asctime", "levelname", "name", "message"}
    assert len(records) >= len(lines) - 2, [x for x in lines if not x.startswith("{")]


def test_a_lock_ends_with_its_process_without_a_warning(tmp_path):
    code = (
        "import runpy, sys; from pathlib import Path; hold = runpy.run_path(sys.argv[1])"
        "['hold']; hold(Path(sys.argv[2])); sys.stdin.read()"
    )
    command = [sys.executable, "-W", "always", "-c", code, lock.__file__, tmp_path]
    pipes = dict.fromkeys(("stdin", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as process:
        while not (tmp_path / "lock").exists():
            time.sleep(0.01)
            assert process.poll() is None
        _, messages = process.communicate()
    assert messages == b""
    lock.hold(tmp_path)
    assert oct((tmp_path / "lock").stat().st_mode)[-3:] == "600"
