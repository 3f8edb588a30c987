"""Displays of a fitted model, and a report on what the other organizations add.

`AssistanceDisplay`, `ContributionDisplay` and `InteractionDisplay` draw a fitted model with
matplotlib, which the extra ``plot`` installs. `assistance_report` compares the assisted
model with the label holder alone and with a model that has all columns in one place. Both
are fitted with the label holder's estimator and with a strong learner. `model_card` writes
a description of a fitted model.
"""

from ._assistance_display import AssistanceDisplay
from ._contribution_display import ContributionDisplay
from ._interaction_display import InteractionDisplay
from ._model_card import model_card
from ._report import AssistanceReport, assistance_report

__all__ = [
    "AssistanceDisplay",
    "AssistanceReport",
    "ContributionDisplay",
    "InteractionDisplay",
    "assistance_report",
    "model_card",
]
