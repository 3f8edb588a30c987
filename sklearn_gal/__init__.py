"""Gradient Assisted Learning between organizations that hold different columns."""

from . import losses, privacy
from ._classifier import GALClassifier
from ._learners import default_learner
from ._organizations.alignment import align_organizations
from ._organizations.columns import make_organizations
from ._regressor import GALRegressor
from ._version import __version__

__all__ = [
    "GALClassifier",
    "GALRegressor",
    "__version__",
    "align_organizations",
    "default_learner",
    "losses",
    "make_organizations",
    "privacy",
]
