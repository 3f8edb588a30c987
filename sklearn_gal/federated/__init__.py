"""Gradient Assisted Learning between hosts: the same rounds, with nobody's data moved.

The label holder fits :class:`FederatedGALClassifier` or :class:`FederatedGALRegressor` with
a :class:`Federation`; every other organization runs an :class:`OrganizationService`.
"""

from ._config import read_federation
from ._display import CommunicationDisplay
from ._estimators import FederatedGALClassifier, FederatedGALRegressor
from ._remote import (
    Federation,
    LocalChannel,
    MissingRows,
    OrganizationError,
    OrganizationWarning,
)
from ._service import OrganizationService


def connect(kit, organizations=None, timeout=120.0):
    """The federation of a start-up kit, over NVIDIA FLARE.

    Parameters
    ----------
    kit : path-like
        The label holder's start-up kit, made by ``sklearn-gal provision``; its FLARE server
        runs on this host, by ``sklearn-gal label-holder --kit``.
    organizations : list of str, default=None
        Whom to ask, in this order; None is everybody in the kit.
    timeout : float, default=120.0
        Seconds to wait until everybody can be reached.

    Returns
    -------
    federation : Federation
        Close it by ``federation.channel.close()`` when it is no longer needed.

    Raises
    ------
    ImportError
        If NVIDIA FLARE is not installed: ``pip install "sklearn_gal[federated]"``.
    ConnectionError
        If the label holder's FLARE server does not answer.
    ValueError
        If the folder is no start-up kit, or has no such organization.
    """
    from ._flare import FlareChannel

    secret = read_federation(kit)["secret"]
    return Federation(FlareChannel(kit, organizations, timeout), secret)


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
