"""The contract between the rounds and an organization.

The rounds speak to an organization through six calls: `presence`, `prepare`, `fit_round`,
`predict`, `predict_each` and `release`. The arguments are arrays of floats, row
identifiers, round numbers, fold numbers and seeds: no estimator, no column and no y.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

# Fold number of a row that every model of the round is fitted to.
NO_FOLD = -1


@dataclass(frozen=True)
class Folds:
    """How the training rows are divided into folds in a round.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,)
        Fold number of every row; `NO_FOLD` marks rows that every model is fitted to.
    key : hashable or None
        The same whenever the same division comes again, so that an organization can use
        again what it has computed for it. None: it does not come again.
    """

    numbers: np.ndarray
    key: Hashable = None

    @cached_property
    def selection_rows(self):
        """Rows whose fitted values choose weights and rate: the held-out ones, if any."""
        if (self.numbers != NO_FOLD).all():
            return slice(None)
        return np.flatnonzero(self.numbers != NO_FOLD)


@dataclass(frozen=True)
class Request:
    """What an organization is asked to fit in a round.

    Parameters
    ----------
    number : int
        The round. Fitting a round again replaces the model that was fitted before.
    seed : int
        Seed of everything random in the fit.
    folds : Folds or None
        There is one model per fold, fitted to the rows outside the fold. None: a single
        model, fitted to all rows.
    residual : ndarray of shape (n_samples, n_outputs)
        What to fit.
    gate : callable, default=None
        Function of `RawPredictions` that has multiplied the residual and will multiply the
        fitted values. The label holder keeps it to itself.
    """

    number: int
    seed: int
    folds: Folds | None
    residual: np.ndarray
    gate: Callable | None = None


@dataclass(frozen=True)
class Fitted:
    """What the participants of a round have fitted.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_participants, n_outputs)
        Fitted values; 0 in rows that a participant does not have.
    took_part : ndarray of bool of shape (n_participants,)
        Which participants have fitted a model in this round.
    """

    values: np.ndarray
    took_part: np.ndarray


class Organization(Protocol):
    """What the rounds need of an organization, in this process or on another host.

    Fitted values and predictions are NaN in rows that the organization does not have. An
    organization that does not take part in a round returns NaN for all rows.
    """

    name: str
    columns: np.ndarray
    models: Any  # fitted local models by round, where they are in this process
    may_abstain: bool  # whether it may return NaN
    runs_in_processes: bool  # whether its fits may take place in another process
    revises: bool  # whether the models of earlier rounds have changed in later ones

    def presence(self, X) -> np.ndarray:
        """Return the mask of the rows of X that the organization has, (n_samples,)."""

    def prepare(self, X, fit_params) -> None:
        """Take the organization's columns of the training rows, before the first round."""

    def joins(self, n_rounds, n_outputs) -> None:
        """Note that the organization took no part in the first rounds of a fit."""

    def fit_round(self, request: Request) -> np.ndarray:
        """Fit the residual and return the fitted values, (n_samples, n_outputs)."""

    def predict(self, X, rounds, coefficients, folds=None) -> Any:
        """Return the sum over `rounds` of `coefficients` times the predictions for X."""

    def predict_each(self, X, rounds) -> Any:
        """Return the predictions of single rounds, (n_samples, n_rounds, n_outputs)."""

    def release(self, n_rounds) -> None:
        """Forget the training rows, and the models of rounds from `n_rounds` on."""
