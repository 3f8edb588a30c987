"""The commands that need FLARE: they make start-up kits and run FLARE's programs."""

import json
import os
import runpy
import socket
import sys
from pathlib import Path

from .._config import read_federation
from .lock import hold
from .provision import provision, restrict_server, restrict_site

_WILDCARDS = ("", "0", "0.0.0.0", "::")


def add_commands(add_command):
    """Add `provision` and `label-holder` to the command line.

    Parameters
    ----------
    add_command : callable
        ``add_command(name, run, about)`` returns the parser of a new command, which calls
        ``run(options)``.
    """
    sub = add_command("provision", _provision, "make the start-up kits of a federation")
    sub.add_argument("--config", required=True, help="TOML file: host, organizations")
    sub.add_argument("--out", required=True, help="folder for the kits")
    sub = add_command("label-holder", _label_holder, "run the label holder's FLARE server")
    sub.add_argument("--kit", required=True, help="the label holder's start-up kit")


def _provision(options):
    for name, kit in provision(options.config, options.out).items():
        sys.stdout.write(f"{name}: {kit}\n")


def _label_holder(options):
    from .driver import register

    kit = Path(options.kit).resolve()
    federation = read_federation(kit)
    hold(kit / "server")
    restrict_server(kit / "server")
    register()
    listen_only_on(federation["listen"])
    _run_flare("server", kit / "server", [])


def run_organization(config, settings, service):
    """Run FLARE's client, and answer in it for an organization.

    Parameters
    ----------
    config : path-like
        TOML file with the settings of the organization.
    settings : dict
        Its settings, which must include `kit`.
    service : OrganizationService
        What answers.

    Raises
    ------
    ValueError
        If `kit` is not the start-up kit of this organization.
    """
    name, kit = settings["name"], settings["kit"]
    site = kit / "site"
    client = site / "startup" / "fed_client.json"
    if not client.is_file():
        raise ValueError(
            f"{kit} is not an organization's start-up kit. Set kit in {config} to the "
            f"folder that `sklearn-gal provision` made for {name!r}."
        )
    certified = json.loads(client.read_text())["client"]["fqsn"]
    if certified != name:
        raise ValueError(
            f"The start-up kit {kit} was made for {certified!r}, but {config} has the name "
            f"{name!r}. Set kit to the folder that was made for {name!r}, or correct name."
        )
    from .site import Site

    hold(site)
    restrict_site(site)
    Site.service = service
    _run_flare("client", site, [f"uid={name}"])


def _run_flare(role, workspace, settings):
    """Run FLARE's program for a role in this process."""
    (workspace / "transfer").mkdir(exist_ok=True)
    python_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # FLARE's processes run in other folders, where relative paths would be wrong
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(each).resolve()) for each in python_path if each]
    )
    module = f"nvflare.private.fed.app.{role}.{role}_train"
    sys.argv = [module, "-m", str(workspace), "-s", f"fed_{role}.json"]
    sys.argv += ["--set", "secure_train=true", "config_folder=config", *settings]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def listen_only_on(address):
    """Make all sockets of this process that would listen on all addresses use this one."""
    bind = socket.socket.bind

    def bind_to_address(self, target):
        everywhere = isinstance(target, tuple) and target[0] in _WILDCARDS
        bind(self, (address, *target[1:]) if everywhere else target)

    setattr(socket.socket, "bind", bind_to_address)  # noqa: B010
