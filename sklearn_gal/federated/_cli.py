"""The command `sklearn-gal`: start-up kits, hosts, fits of an organization, services."""

import argparse
import secrets
import sys

from ._cli_fits import add_fit_commands
from ._config import organization_settings, service_from_config
from ._environment import add_option
from ._flare.command import add_commands, check_organization, run_organization
from ._flare.monitoring import add_monitoring_options


def main(arguments=None, more=()):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, default=None
        Arguments of the command. If None, those of the command line.
    more : sequence of callable, default=()
        Each adds commands of other parts of the package: ``add(add_command)``.

    Returns
    -------
    status : int
        Exit status: 0; 2 if a setting is invalid or a certificate has ended; 69 if
        ``--check`` cannot reach the label holder's server; 75 if something is not available
        now, so that it makes sense to try again; 78 if a password or a certificate is
        refused.
    """
    options = _parser(more).parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"sklearn-gal: {error}\n")
        return getattr(error, "exit_status", 2)
    return 0


def _parser(more=()):
    parser = argparse.ArgumentParser(prog="sklearn-gal", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add_command(name, run, about):
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        return sub

    add_commands(add_command)
    sub = add_command("organization", _organization, "answer a label holder's requests")
    add_option(sub, "config", "TOML file: name, key, table, ...", required=True)
    add_monitoring_options(sub)
    sub.add_argument("--check", action="store_true", help="check the settings and end")
    add_fit_commands(add_command)
    add_command("secret", _secret, "draw a secret to be shared")
    for add in more:
        add(add_command)
    return parser


def _organization(options):
    settings = organization_settings(options.config)
    service = service_from_config(options.config)
    if options.check:
        _write_description(settings, service.describe())
        kit = "kit" in settings
        for sentence in check_organization(options.config, settings) if kit else ():
            sys.stdout.write(f"{options.config}: {sentence}\n")
        sys.stdout.write(f"{options.config}: fine\n")
        return
    if "kit" not in settings:
        raise ValueError(
            f"{options.config} lacks the setting kit. Set it to the start-up kit of "
            f"{settings['name']!r}, which `sklearn-gal provision` makes."
        )
    run_organization(options.config, settings, service, options)


def _write_description(settings, description):
    """Write how the table is read, so that wrong columns and ids are seen."""
    shapes = [f"{shape!r} ({n})" for shape, n in description["key_shapes"]]
    columns = [f"{name} ({kind})" for name, kind in description["columns"].items()]
    sys.stdout.write(
        f"{description['rows']} rows\n"
        f"key {settings['key']!r}, with ids of the form (9 a digit, A a letter): "
        f"{', '.join(shapes)}\n"
        f"columns: {', '.join(columns)}\n"
        f"explanations reveal the contributions of: {description['explain']}\n"
    )
    for name, changes in settings["label_holders"].items():
        differs = ", ".join(f"{key} = {value}" for key, value in changes.items())
        sys.stdout.write(f"label holder {name!r}: {differs or 'the rights of all'}\n")


def _secret(options):
    sys.stdout.write(secrets.token_hex(32) + "\n")
