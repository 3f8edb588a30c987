"""The command `sklearn-gal`, with the commands of all parts of the package."""

from .federated._cli import main as run_command
from .serving._cli import add_serve_command


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, default=None
        Arguments of the command. If None, those of the command line.

    Returns
    -------
    status : int
        Exit status: 0; 2 if a setting is invalid or a certificate has ended; 69 if
        ``--check`` cannot reach the label holder's server; 75 if something is not available
        now, so that it makes sense to try again; 78 if a password or a certificate is
        refused.
    """
    return run_command(arguments, [add_serve_command])
