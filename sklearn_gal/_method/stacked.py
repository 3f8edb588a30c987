"""Stacked contributions: what the others have sent, as columns of an organization."""

from collections import deque
from copy import deepcopy
from dataclasses import replace

import numpy as np

from .disclosure import DisclosureWrapper
from .model import AdditiveModel
from .rows import RawPredictions

# In addition to their contributions, a receiver sees the others' fitted values of the
# latest rounds: different functions of the same columns, which the sum has mixed. As many
# rounds as give at most this many columns (benchmarks/interactions.py).
RECENT_COLUMNS = 2
# The columns are renewed after this many rounds, and at first sooner (docs/decisions.rst).
RENEWED_EVERY = 8


class StackedColumns:
    """What the organizations have sent the label holder about some rows.

    The columns are those after the latest of rounds 1, 2, 4, 8, 16, 24, 32, ...: what is
    computed from them once, for instance bins, serves the rounds between.

    Parameters
    ----------
    shape : tuple (n_samples, n_organizations, n_outputs)
        Rows, organizations and outputs.
    receivers : list of int
        Positions of the organizations that see what the others have sent.
    unit : float
        What counts as one in the columns, for estimators that depend on the scale.
    """

    def __init__(self, shape, receivers, unit):
        self.contributions = np.zeros(shape)
        n_columns = (shape[1] - 1) * shape[2]
        n_rounds = RECENT_COLUMNS // n_columns
        # zeros before the first round: the number of columns is the same in every round
        self._recent = deque([np.zeros(shape)] * n_rounds, maxlen=n_rounds)
        self._receivers = receivers
        self._unit = unit
        self._n_rounds = 0
        self._columns = self._sent()

    def add(self, fitted, coefficients):
        """Add the fitted values of a round, which count with `coefficients`."""
        self.contributions += coefficients[:, None] * fitted
        if self._recent.maxlen:
            self._recent.append(fitted.copy())
        self._n_rounds += 1
        if RENEWED_EVERY % self._n_rounds == 0 or self._n_rounds % RENEWED_EVERY == 0:
            self._columns = self._sent()

    def columns(self, receiver):
        """Return the columns for an organization; None if it sees nothing."""
        return self._columns.get(receiver)

    def _sent(self):
        sent = np.stack([self.contributions, *self._recent], axis=-1) / self._unit
        return {
            receiver: np.delete(sent, receiver, axis=1).reshape(len(sent), -1)
            for receiver in self._receivers
        }


class StackedRawPredictions(RawPredictions):
    """Raw predictions together with the columns that the receivers see."""

    def __init__(self, rows, patterns, baseline, receivers, unit):
        shape = (len(rows), len(patterns.owner), len(baseline))
        self._no_columns = StackedColumns(shape, receivers, unit)
        super().__init__(rows, patterns, baseline)

    def restart(self):
        """Go back to the baseline, and to columns of zeros."""
        super().restart()
        self.columns = deepcopy(self._no_columns)

    def advance(self, fitted, step, directions=None):
        """Move by a step, the columns as well."""
        super().advance(fitted, step, directions)
        if step.rates.any():
            self.columns.add(fitted, step.rates[0] * step.weights[0])

    def asks_for(self, step):
        """Tell of which participants the fitted values are needed: of all."""
        return np.ones(step.weights.shape[1], dtype=bool)

    def stacked(self, participant):
        """Return the columns that a participant sees next to its own, or None."""
        return self.columns.columns(participant)

    def snapshot(self):
        """Return the raw predictions and columns as they are now."""
        return super().snapshot(), deepcopy(self.columns)

    def restore(self, snapshot, previous_pattern=None):
        """Go back to a snapshot."""
        values, columns = snapshot
        super().restore(values, previous_pattern)
        self.columns = deepcopy(columns)


class StackedModel(AdditiveModel):
    """An additive model in which receivers see the contributions of the others."""

    def __init__(self, loss, baseline, participants, patterns, first_residual, receivers):
        super().__init__(loss, baseline, participants, patterns, first_residual)
        self._receivers = receivers

    def start(self, rows):
        """Return the raw predictions of rows before the first round."""
        unit = self.first_residual or 1.0
        return StackedRawPredictions(
            rows, self.patterns, self.baseline, self._receivers, unit
        )

    def contributions(self, X, n_jobs=None):
        """Return the share of each organization, round by round."""
        with self.participants.asking():
            raw = self.start_at(X)
            for _ in self.walk(raw):
                pass
        return raw.columns.contributions


class Stacked(DisclosureWrapper):
    """Shows the receivers the columns of the others.

    Parameters
    ----------
    inner : Disclosure
        What is shown otherwise.
    train : StackedRawPredictions
        Training rows.
    """

    def __init__(self, inner, train):
        super().__init__(inner)
        self._train = train

    def requests(self, number, residuals, folds):
        """Return what every participant is asked to fit."""
        return [
            replace(request, stacked=self._train.stacked(participant))
            for participant, request in enumerate(
                self._inner.requests(number, residuals, folds)
            )
        ]
