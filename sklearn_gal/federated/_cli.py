"""The command `sklearn-gal`: start-up kits, the label holder's server, an organization."""

import argparse
import json
import os
import runpy
import secrets
import socket
import sys
from pathlib import Path

_WILDCARDS = ("", "0", "0.0.0.0", "::")


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, default=None
        None is those of the command line.

    Returns
    -------
    status : int
        Exit status: 0, or 2 if the settings are unusable.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"sklearn-gal: {error}\n")
        return 2
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="sklearn-gal", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name, run, about):
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        return sub

    sub = command("provision", _provision, "make the start-up kits of a federation")
    sub.add_argument("--config", required=True, help="TOML file: host, organizations")
    sub.add_argument("--out", required=True, help="folder for the kits")
    sub = command("label-holder", _label_holder, "run the label holder's FLARE server")
    sub.add_argument("--kit", required=True, help="the label holder's start-up kit")
    sub = command("organization", _organization, "answer a label holder's requests")
    sub.add_argument("--config", required=True, help="TOML file: name, key, table, ...")
    sub.add_argument("--check", action="store_true", help="check the settings and end")
    command("secret", _secret, "draw a secret to be shared")
    return parser


def _provision(options):
    from ._provision import provision

    for name, kit in provision(options.config, options.out).items():
        sys.stdout.write(f"{name}: {kit}\n")


def _secret(options):
    sys.stdout.write(secrets.token_hex(32) + "\n")


def _label_holder(options):
    from ._config import read_federation
    from ._flare import RELAYS_VARIABLE, relay_key
    from ._provision import restrict_server

    kit = Path(options.kit).resolve()
    federation = read_federation(kit)
    restrict_server(kit / "server", len(federation["organizations"]))
    relays = kit / "relays"
    relay_key(relays)
    for stale in relays.glob("*.json"):
        stale.unlink()
    os.environ[RELAYS_VARIABLE] = str(relays)
    listen_only_on(federation["listen"])
    _run_flare("server", kit / "server", [])


def _organization(options):
    from ._config import organization_settings, service_from_config

    settings = organization_settings(options.config)
    service_from_config(options.config)  # tell now what is wrong, and not in the first fit
    if options.check:
        sys.stdout.write(f"{options.config}: fine\n")
        return
    if "kit" not in settings:
        raise ValueError(f"{options.config} lacks the setting kit, the start-up kit.")
    from ._flare import CONFIG_VARIABLE
    from ._provision import restrict_site

    site = settings["kit"] / "site"
    if not (site / "startup" / "fed_client.json").is_file():
        raise ValueError(f"{settings['kit']} is not an organization's start-up kit.")
    certified = json.loads((site / "startup" / "fed_client.json").read_text())
    if certified["client"]["fqsn"] != settings["name"]:
        raise ValueError(
            f"The kit {settings['kit']} is that of {certified['client']['fqsn']!r}, not of "
            f"{settings['name']!r}."
        )
    restrict_site(site)
    os.environ[CONFIG_VARIABLE] = str(Path(options.config).resolve())
    _run_flare("client", site, [f"uid={settings['name']}"])


def _run_flare(role, workspace, settings):
    """Run FLARE's own program in this process."""
    (workspace / "transfer").mkdir(exist_ok=True)
    python_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(each).resolve()) for each in python_path if each]
    )
    module = f"nvflare.private.fed.app.{role}.{role}_train"
    sys.argv = [module, "-m", str(workspace), "-s", f"fed_{role}.json"]
    sys.argv += ["--set", "secure_train=true", "config_folder=config", *settings]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def listen_only_on(address):
    """Have every socket of this process that would listen everywhere listen there."""
    bind = socket.socket.bind

    def bind_to_address(self, target):
        everywhere = isinstance(target, tuple) and target[0] in _WILDCARDS
        bind(self, (address, *target[1:]) if everywhere else target)

    setattr(socket.socket, "bind", bind_to_address)  # noqa: B010
