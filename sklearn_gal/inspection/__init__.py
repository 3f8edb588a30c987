"""Displays of a fitted model, and a report on what the other organizations add.

The displays draw a fitted model with matplotlib, which the extra ``plot`` installs.
`AssistanceDisplay`, `ContributionDisplay`, `InteractionDisplay` and
`OrganizationValuesDisplay` are about organizations, `FeatureContributionDisplay` and
`FeatureImportanceDisplay` about columns. `assistance_report` compares the assisted model
with the label holder alone and with a model that has all columns in one place. Both are
fitted with the label holder's estimator and with a strong learner.
`AssistanceReportDisplay` draws the report. `model_card` writes a description of a fitted
model.
"""

from ._assistance_display import AssistanceDisplay
from ._contribution_display import ContributionDisplay
from ._feature_contribution_display import FeatureContributionDisplay
from ._feature_importance_display import FeatureImportanceDisplay
from ._interaction_display import InteractionDisplay
from ._model_card import model_card
from ._report import AssistanceReport, assistance_report
from ._report_display import AssistanceReportDisplay
from ._values_display import OrganizationValuesDisplay

__all__ = [
    "AssistanceDisplay",
    "AssistanceReport",
    "AssistanceReportDisplay",
    "ContributionDisplay",
    "FeatureContributionDisplay",
    "FeatureImportanceDisplay",
    "InteractionDisplay",
    "OrganizationValuesDisplay",
    "assistance_report",
    "model_card",
]
