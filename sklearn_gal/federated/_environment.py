"""The environment of a process: settings in its variables, and what it needs to run."""

import os
from collections.abc import Callable

PREFIX = "SKLEARN_GAL_"


class Unavailable(OSError):
    """What a process needs is not there now, and may come without other settings."""

    exit_status = 75


class Unreachable(OSError):
    """The label holder's server cannot be reached, which `--check` finds."""

    exit_status = 69


class Refused(OSError):
    """A database or a server refuses a password or a certificate."""

    exit_status = 78


_READERS: dict[type, Callable[[str], object]] = {
    str: str,
    int: int,
    float: float,
    list: lambda text: [part.strip() for part in text.split(",")],
}


def update_from_environment(settings, types, prefix=PREFIX):
    """Set the settings that have an environment variable, ``SKLEARN_GAL_`` and the name.

    Settings of a table have both names: ``SKLEARN_GAL_TABLE_URL`` is `url` of ``[table]``.

    Parameters
    ----------
    settings : dict
        Settings of a file, which are changed in place.
    types : dict of str to type
        Types of all settings that there are. Lists are separated by commas.
    prefix : str, default="SKLEARN_GAL_"
        Beginning of the names of the variables.

    Raises
    ------
    ValueError
        If a number is expected, and the value is none.
    """
    for name, kind in types.items():
        variable = prefix + name.upper()
        text = os.environ.get(variable)
        if text is None or kind not in _READERS:
            continue
        try:
            settings[name] = _READERS[kind](text)
        except ValueError as error:
            raise ValueError(
                f"The environment variable {variable} must be of type {kind.__name__}, got "
                f"{text!r}."
            ) from error


def add_option(parser, name, about, *, required=False, kind=str, default=None):
    """Add an option that an environment variable can give.

    Parameters
    ----------
    parser : ArgumentParser
        Parser of a command.
    name : str
        Name of the option, without dashes in front.
    about : str
        Its help.
    required : bool, default=False
        Whether the command needs it.
    kind : callable, default=str
        Converts the text.
    default : object, default=None
        Value if there is neither the option nor the variable.
    """
    variable = PREFIX + name.upper().replace("-", "_")
    given = os.environ.get(variable)
    parser.add_argument(
        f"--{name}",
        help=f"{about} (or the environment variable {variable})",
        required=required and given is None,
        default=default if given is None else given,
        type=kind,
    )
