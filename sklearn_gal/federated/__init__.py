"""Gradient Assisted Learning between hosts: the same rounds, and no data leaves its host.

The label holder fits :class:`FederatedGALClassifier` or :class:`FederatedGALRegressor` with
a :class:`Federation`. Every other organization runs an :class:`OrganizationService`.
"""

from pathlib import Path

from ._config import read_federation
from ._display import CommunicationDisplay
from ._estimators import FederatedGALClassifier, FederatedGALRegressor
from ._federation import Federation, LocalChannel
from ._service import OrganizationService
from ._session import MissingRows, OrganizationError, OrganizationWarning


def connect(kit, organizations=None, timeout=120.0):
    """Connect to the federation of a start-up kit, over NVIDIA FLARE.

    Parameters
    ----------
    kit : path-like
        The label holder's start-up kit, made by ``sklearn-gal provision``. Its FLARE server
        must run on this host, started by ``sklearn-gal label-holder --kit``.
    organizations : list of str, default=None
        Names of the organizations to reach, in this order. If None, all that are in the
        kit.
    timeout : float, default=120.0
        Seconds to wait until all organizations can be reached. An organization that cannot
        be reached by then gives an :class:`OrganizationWarning`.

    Returns
    -------
    federation : Federation
        It keeps no connection between calls, so there is nothing to close.

    Raises
    ------
    ConnectionError
        If the label holder's FLARE server does not answer, or a certificate of the kit has
        ended. One that ends within 30 days gives a warning.
    ValueError
        If the folder is not a label holder's start-up kit, or lacks an organization.
    """
    from ._flare.certificates import warn_of_ends
    from ._flare.channel import FlareChannel

    known = read_federation(kit)
    warn_of_ends(Path(kit), known.get("certificates_end", {}))
    return Federation(FlareChannel(kit, organizations, timeout), known["secret"])


__all__ = [
    "CommunicationDisplay",
    "FederatedGALClassifier",
    "FederatedGALRegressor",
    "Federation",
    "LocalChannel",
    "MissingRows",
    "OrganizationError",
    "OrganizationService",
    "OrganizationWarning",
    "connect",
]
