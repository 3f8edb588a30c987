"""The command `sklearn-gal`: start-up kits, the label holder's server, an organization."""

import argparse
import secrets
import sys

from ._config import organization_settings, service_from_config
from ._flare.command import add_commands, run_organization


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, default=None
        Arguments of the command. If None, those of the command line.

    Returns
    -------
    status : int
        Exit status: 0, or 2 if a setting is invalid.
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

    def add_command(name, run, about):
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        return sub

    add_commands(add_command)
    sub = add_command("organization", _organization, "answer a label holder's requests")
    sub.add_argument("--config", required=True, help="TOML file: name, key, table, ...")
    sub.add_argument("--check", action="store_true", help="check the settings and end")
    add_command("secret", _secret, "draw a secret to be shared")
    return parser


def _organization(options):
    settings = organization_settings(options.config)
    service = service_from_config(options.config)
    if options.check:
        sys.stdout.write(f"{options.config}: fine\n")
        return
    if "kit" not in settings:
        raise ValueError(
            f"{options.config} lacks the setting kit. Set it to the start-up kit of "
            f"{settings['name']!r}, which `sklearn-gal provision` makes."
        )
    run_organization(options.config, settings, service)


def _secret(options):
    sys.stdout.write(secrets.token_hex(32) + "\n")
