"""The commands that need FLARE: they make start-up kits and run FLARE's programs."""

import json
import os
import runpy
import socket
import sys
from pathlib import Path

from .._config import federation_settings, read_federation
from .._environment import Unavailable, add_option
from .callers import RELAYS, read_callers
from .certificates import (
    ask_label_holder,
    check_certificates,
    label_holder_address,
    refuse_revoked,
    watch_certificates,
)
from .lock import hold
from .monitoring import LOOPBACK, add_monitoring_options, start_monitoring
from .provision import LABEL_HOLDER, provision, restrict_server, restrict_site, revoke

_WILDCARDS = ("", "0", "0.0.0.0", "::")


def add_commands(add_command):
    """Add the commands about kits, and `label-holder`, to the command line.

    Parameters
    ----------
    add_command : callable
        ``add_command(name, run, about)`` returns the parser of a new command, which calls
        ``run(options)``.
    """

    def add_kit_command(name, run, about):
        sub = add_command(name, run, about)
        sub.add_argument("--config", required=True, help="TOML file: host, organizations")
        sub.add_argument("--out", required=True, help="folder of the kits")
        return sub

    add_kit_command("provision", _provision, "make the start-up kits of a federation")
    sub = add_kit_command("renew", _renew, "make new certificates for kits")
    sub.add_argument("names", nargs="*", help="label_holder, or organizations; default all")
    sub = add_kit_command("revoke-kit", _revoke_kit, "refuse a kit from now on")
    sub.add_argument("name", help="name of the organization, or further label holder")
    sub = add_command("label-holder", _label_holder, "run the label holder's FLARE server")
    add_option(sub, "kit", "the label holder's start-up kit", required=True)
    add_monitoring_options(sub)


def _provision(options):
    _report(provision(options.config, options.out))


def _renew(options):
    names = options.names or [
        LABEL_HOLDER,
        *federation_settings(options.config)["organizations"],
    ]
    _report(provision(options.config, options.out, renew=names))


def _revoke_kit(options):
    further = read_callers(Path(options.out) / LABEL_HOLDER / RELAYS)
    _report(revoke(options.config, options.out, options.name))
    refuses = "The label holder's server refuses"
    if options.name not in further:
        refuses = "Start the label holder's server again: it then refuses"
    sys.stdout.write(
        f"{refuses} the old kit of {options.name!r}.\nThat kit also has the secret that "
        "all parties share: draw a new one by `sklearn-gal secret` for all kits.\n"
    )


def _report(kits):
    """Print what became of kits, and what there is to do."""
    for kit in kits:
        sys.stdout.write(f"{kit.name}: {kit.path} ({kit.state})\n")
    send = [each.name for each in kits if each.state != "as before"]
    if LABEL_HOLDER in send:
        send.remove(LABEL_HOLDER)
        sys.stdout.write(
            "Start the label holder's server with its kit, if it runs, again.\n"
        )
    if send:
        sys.stdout.write(
            f"Send the kits of {', '.join(send)} to their owners, who replace the old "
            "kits and start again.\n"
        )


def _label_holder(options):
    from .driver import register

    kit = Path(options.kit).resolve()
    federation = read_federation(kit)
    watch_certificates(
        kit / "server", kit / "admin", ends=federation.get("certificates_end", {})
    )
    hold(kit / "server")
    refuse_revoked(kit / "server")
    restrict_server(kit / "server")
    ports = (federation["port"], federation["admin_port"], federation.get("relay_port", 0))
    check_ports(federation["listen"], *ports)
    register()
    listen_only_on(federation["listen"])
    _run_flare("server", kit / "server", federation["port"], options)


def run_organization(config, settings, service, options):
    """Run FLARE's client, and answer in it for an organization.

    Parameters
    ----------
    config : path-like
        TOML file with the settings of the organization.
    settings : dict
        Its settings, which must include `kit`.
    service : OrganizationService
        What answers.
    options : Namespace
        Options of the command, see `add_monitoring_options`.

    Raises
    ------
    ValueError
        If `kit` is not the start-up kit of this organization.
    CertificateError
        If its certificate has ended.
    """
    from .driver import reconnect_soon
    from .site import Site

    site = _site(config, settings)
    watch_certificates(site)
    hold(site)
    restrict_site(site)
    Site.service = service
    reconnect_soon()
    _, port = label_holder_address(site)
    _run_flare("client", site, port, options, f"uid={settings['name']}")


def check_organization(config, settings):
    """Check the kit of an organization, and whether it can reach the label holder.

    Parameters
    ----------
    config : path-like
        TOML file with the settings of the organization.
    settings : dict
        Its settings, which must include `kit`.

    Yields
    ------
    sentence : str
        What an operator needs to know.

    Raises
    ------
    ValueError
        If `kit` is not the start-up kit of this organization.
    CertificateError
        If its certificate has ended.
    Unreachable
        If the label holder's server cannot be reached.
    Refused
        If the server refuses the kit, or the kit the server.
    """
    site = _site(config, settings)
    yield from check_certificates(site)
    yield ask_label_holder(site)


def _site(config, settings):
    """Return FLARE's workspace in the kit of an organization."""
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
    return site


def _run_flare(role, workspace, port, options, *settings):
    """Run FLARE's program for a role in this process, monitored as the options say."""
    start_monitoring(options, workspace, role, port)
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


def check_ports(address, port, admin_port, relay_port=0):
    """Raise an error if the server cannot listen on its ports; 0 is any that is free."""
    for host, each in ((address, port), (LOOPBACK, admin_port), (LOOPBACK, relay_port)):
        try:
            socket.create_server((host, each)).close()
        except OSError as error:
            raise Unavailable(
                f"The server cannot listen on port {each} of {host}: {error.strerror}. End "
                "the process that uses the port, or correct listen, port, admin_port and "
                "relay_port of the federation's settings and run `sklearn-gal provision` "
                "again."
            ) from error


def listen_only_on(address):
    """Make all sockets of this process that would listen on all addresses use this one."""
    bind = socket.socket.bind

    def bind_to_address(self, target):
        everywhere = isinstance(target, tuple) and target[0] in _WILDCARDS
        bind(self, (address, *target[1:]) if everywhere else target)

    setattr(socket.socket, "bind", bind_to_address)  # noqa: B010
