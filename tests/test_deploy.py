"""Units of systemd and the image: they fit the command, and give no more than it needs."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import sklearn_gal
from sklearn_gal.federated._cli import _parser

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = {
    "label-holder": DEPLOY / "sklearn-gal-label-holder.service",
    "organization": DEPLOY / "sklearn-gal-organization@.service",
}
HARDENED = """
    NoNewPrivileges PrivateTmp PrivateDevices ProtectHome ProtectClock ProtectControlGroups
    ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables
    RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality
"""
INSTRUCTIONS = """
    FROM COPY RUN ENV USER WORKDIR VOLUME HEALTHCHECK ENTRYPOINT CMD
"""


def service_of(unit):
    """Return the settings of the section [Service], a list of values for each name."""
    section, settings = None, {}
    for line in unit.read_text().splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = line
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            if section == "[Service]":
                settings.setdefault(name, []).append(value)
    return settings


@pytest.mark.parametrize("command", UNITS)
def test_units_run_the_command_with_settings_from_the_environment(command, monkeypatch):
    service = service_of(UNITS[command])
    (start,) = service["ExecStart"]
    program, *arguments = start.split()
    assert program == "/opt/sklearn-gal/bin/sklearn-gal"
    assert arguments == [command]
    for each in service["Environment"]:
        name, _, value = each.partition("=")
        monkeypatch.setenv(name, value.replace("%i", "hospital"))
    options = _parser().parse_args(arguments)
    state = Path("/var/lib/sklearn-gal")
    if command == "organization":
        assert Path(options.config) == state / "hospital" / "organization.toml"
    else:
        assert Path(options.kit) == state / "kits" / "label_holder"
    assert options.log_format == "json"
    assert options.health_port is None  # off unless an operator wants it
    assert service["StateDirectory"] == ["sklearn-gal"]
    # main() returns these where starting again would not help
    assert service["RestartPreventExitStatus"] == ["2 78"]


@pytest.mark.parametrize("command", UNITS)
def test_units_are_hardened(command):
    service = service_of(UNITS[command])
    assert service["User"] == ["sklearn-gal"]
    assert service["UMask"] == ["0077"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == [""]
    for name in HARDENED.split():
        assert service[name] == ["yes"], name


@pytest.mark.parametrize("command", UNITS)
def test_systemd_finds_units_little_exposed(command, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    name = UNITS[command].name.replace("@.", "@hospital.")
    shutil.copy(UNITS[command], tmp_path / name)
    judge = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=20",
        "--no-pager",
    ]
    done = subprocess.run([*judge, tmp_path / name], capture_output=True, text=True)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unknown" not in done.stderr


def instructions():
    """Return name and arguments of the instructions of the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_the_image_is_built_from_what_there_is():
    assert {name for name, _ in instructions()} == set(INSTRUCTIONS.split())
    for name, arguments in instructions():
        if name == "FROM":
            assert re.match(r"python:3\.\d+-slim-\w+\b", arguments)
        if name == "COPY" and not arguments.startswith("--from"):
            *sources, target = arguments.split()
            assert target.startswith("/source/")
            for source in sources:
                # the package is taken out of the sdist where it is tested as installed
                assert (ROOT / source).exists() or source == "sklearn_gal"
    (extras,) = re.findall(r'"/source\[(.+)\]"', (DEPLOY / "Dockerfile").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()


def test_the_image_runs_the_command_without_rights_and_secrets():
    last = dict(instructions())
    assert int(last["USER"]) > 0
    assert json.loads(last["ENTRYPOINT"])[-1] in sklearn_gal_scripts()
    assert json.loads(last["CMD"]) == ["--help"]
    _, _, check = last["HEALTHCHECK"].partition("CMD ")
    variables = dict(re.findall(r"(\w+)=(\S+)", last["ENV"]))
    assert f"127.0.0.1:{variables['SKLEARN_GAL_HEALTH_PORT']}/health" in check
    compile(json.loads(check)[-1], "HEALTHCHECK", "exec")
    text = (DEPLOY / "Dockerfile").read_text().lower()
    assert not re.search("password|secret|token|private", text)


def sklearn_gal_scripts():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def test_the_script_builds_the_image_of_this_version(tmp_path):
    version = tmp_path / "sklearn_gal" / "_version.py"
    version.parent.mkdir()
    shutil.copy(Path(sklearn_gal.__file__).parent / "_version.py", version)
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\npwd > called; echo "$@" >> called\n')
    docker.chmod(0o700)
    script = tmp_path / "deploy" / "build.sh"
    environment = os.environ | {"PATH": f"{docker.parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", script, "--pull"], env=environment, check=True)
    folder, arguments = (tmp_path / "called").read_text().splitlines()
    assert Path(folder) == tmp_path
    tag = f"--tag sklearn-gal:{sklearn_gal.__version__}"
    assert arguments == f"build --file deploy/Dockerfile {tag} --pull ."


def test_variables_of_the_page_are_read():
    text = (DEPLOY / "README.rst").read_text() + (DEPLOY / "Dockerfile").read_text()
    named = set(re.findall(r"SKLEARN_GAL_([A-Z]+_?[A-Z_]*[A-Z])", text))
    settings = {"NAME", "TABLE_URL", "TABLE_PASSWORD", "TABLE_PASSWORD_FILE"}
    options = {"KIT", "CONFIG", "LOG_FORMAT", "HEALTH_PORT"}
    assert named == settings | options | {"LIMITS_MAX_ROWS"}
