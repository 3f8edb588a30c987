"""Gradient Assisted Learning between hosts: the same rounds, with nobody's data moved.

The label holder fits :class:`FederatedGALClassifier` or :class:`FederatedGALRegressor` with
a :class:`Federation`; every other organization runs an :class:`OrganizationService`.
"""

from ._estimators import FederatedGALClassifier, FederatedGALRegressor
from ._remote import (
    Federation,
    LocalChannel,
    MissingRows,
    OrganizationError,
    OrganizationWarning,
)
from ._service import OrganizationService

__all__ = [
    "FederatedGALClassifier",
    "FederatedGALRegressor",
    "Federation",
    "LocalChannel",
    "MissingRows",
    "OrganizationError",
    "OrganizationService",
    "OrganizationWarning",
]
