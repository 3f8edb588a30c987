"""Rows of a table, and the raw predictions that the rounds give them."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Rows to fit, to validate on or to predict.

    Parameters
    ----------
    X : table
        Only the participants look into it.
    present : ndarray of bool of shape (n_samples, n_participants)
        Which participants have the row.
    y : ndarray of shape (n_samples, n_outputs), default=None
        Target; None for rows to predict.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights in the overarching loss.
    """

    X: Any
    present: np.ndarray
    y: Any = None
    sample_weight: np.ndarray | None = None

    def __len__(self):
        return len(self.present)

    def weight_of(self, rows):
        """Return the weights of a selection of the rows, or None."""
        return None if self.sample_weight is None else self.sample_weight[rows]


@dataclass(frozen=True)
class Residuals:
    """Pseudo-residuals of some rows.

    Parameters
    ----------
    of_pattern : list of ndarray of shape (n_samples, n_outputs)
        Of the raw predictions of every pattern.
    own : ndarray of shape (n_samples, n_outputs)
        Of every row's own pattern: what the participants are to fit.
    """

    of_pattern: list
    own: np.ndarray

    def negligible(self, bound):
        """Tell whether all absolute values are at most `bound`.

        The first row is checked first because it usually decides.
        """
        return np.abs(self.own[0]).max() <= bound and np.abs(self.own).max() <= bound


class RawPredictions:
    """Raw predictions of some rows by every pattern, (n_samples, n_outputs) each.

    Parameters
    ----------
    rows : Rows
        The rows.
    patterns : Patterns
        The patterns.
    baseline : ndarray of shape (n_outputs,)
        Raw prediction before the first round.
    participants : Participants
        Who has fitted the functions.
    gated : bool, default=False
        Whether gates may need functions of earlier rounds.

    Attributes
    ----------
    functions : dict of (str, int) to ndarray of shape (n_samples, n_outputs)
        What a participant has fitted in a round, by its name: the latest ones.
    latest : dict of (str, str or None) to int
        The latest round of a participant with a gate of a partner, or without a gate.
    """

    def __init__(self, rows, patterns, baseline, participants, gated=False):
        self.rows = rows
        self.participants = participants
        self._gated = gated
        self.pattern_of_row = patterns.assign(rows.present)
        self.patterns_in_use = np.flatnonzero(np.bincount(self.pattern_of_row))
        self._first_values = [np.tile(baseline, (len(rows), 1))] * len(patterns)
        self.restart()

    def restart(self):
        """Go back to the baseline."""
        self.values = self._first_values
        self.functions: dict = {}
        self.latest: dict = {}

    def remember(self, number, functions, step):
        """Keep the functions of a round, (n_samples, n_participants, K), for gates."""
        if not self._gated or not step.rates.any():
            return
        for name, gate, function in zip(
            self.participants.participant_names,
            step.gates,
            np.moveaxis(functions, 1, 0),
            strict=True,
        ):
            key = name, getattr(gate, "partner", None)
            self.functions.pop((name, self.latest.get(key)), None)
            self.latest[key] = number
            self.functions[name, number] = function.copy()

    @property
    def own(self):
        """Raw predictions of the rows, each by its own pattern."""
        return self._own(self.values)

    def _own(self, values):
        if len(values) == 1:
            return values[0]
        return np.stack(values)[self.pattern_of_row, np.arange(len(self.rows))]

    def residuals(self, loss):
        """Return the pseudo-residuals, the negative gradients of the loss."""
        residuals = [loss.pseudo_residual(self.rows.y, raw) for raw in self.values]
        return Residuals(residuals, self._own(residuals))

    def loss(self, loss):
        """Return the overarching loss."""
        return loss.value(self.rows.y, self.own, self.rows.sample_weight)

    def advance(self, fitted, step, directions=None):
        """Move by a step.

        Parameters
        ----------
        fitted : ndarray of shape (n_samples, n_participants, n_outputs)
            What the participants fitted or predict, multiplied by their gates.
        step : Step
            Weights and rates.
        directions : dict of int to ndarray of shape (n_samples, n_outputs), default=None
            The weighted sums of `fitted` by pattern, where they are known.
        """
        values = list(self.values)
        for pattern in np.flatnonzero(step.rates):
            known = directions is not None
            direction = directions[pattern] if known else step.direction(pattern, fitted)
            values[pattern] = values[pattern] + step.rates[pattern] * direction
        self.values = values

    def asks_for(self, step):
        """Tell of which participants the fitted values are needed to advance."""
        return step.weights.any(axis=0) | self._gated

    def snapshot(self):
        """Return the raw predictions and functions as they are now, for `restore`."""
        return self.values, dict(self.functions), dict(self.latest)

    def restore(self, snapshot, previous_pattern=None):
        """Go back to a snapshot.

        Parameters
        ----------
        snapshot : object
            What `snapshot` returned for the same rows.
        previous_pattern : ndarray of int, default=None
            For every pattern, its position among those of the snapshot; None: the same.
        """
        values, functions, latest = snapshot
        order = range(len(values)) if previous_pattern is None else previous_pattern
        self.values = [values[pattern] for pattern in order]
        self.functions, self.latest = dict(functions), dict(latest)
