"""Rows of a table, and the raw predictions that the rounds give them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

# Largest number of parts of the training rows, each judged by weights of the others, on few
# rows and on many
MAX_PARTS, MAX_PARTS_OF_MANY = 5, 2
MANY_ROWS_FROM = 5_000


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
    """Pseudo-residuals of the training rows.

    Parameters
    ----------
    of_pattern : list of ndarray of shape (n_chains, n_samples, n_outputs)
        Of the raw predictions of every pattern. Those of rows that a chain does not see
        are 0.
    own : ndarray of shape (n_chains, n_samples, n_outputs)
        Of every row's own pattern: what the participants are to fit.
    """

    of_pattern: list
    own: np.ndarray

    def negligible(self, bound):
        """Tell whether all absolute values are at most `bound`.

        The first row is checked first because it usually decides.
        """
        return np.abs(self.own[0, 0]).max() <= bound and np.abs(self.own).max() <= bound


class RawPredictions:
    """Raw predictions of some rows by every pattern.

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
    n_chains : int, default=1
        Number of chains that are kept apart.

    Attributes
    ----------
    values : list of ndarray of shape (n_chains, n_samples, n_outputs)
        Raw predictions of every pattern.
    functions : dict of (str, int) to ndarray of shape (n_chains, n_samples, n_outputs)
        What a participant has fitted to a request, by its name and the number: the latest
        ones.
    above : dict of gate to ndarray of bool of shape (n_chains, n_samples, n_outputs)
        Where a function is above the threshold of a gate, if the function is not known.
    latest : dict of (str, str or None) to int
        The latest request to a participant with a gate of a partner, or without a gate.
    """

    def __init__(self, rows, patterns, baseline, participants, gated=False, n_chains=1):
        self.rows = rows
        self.participants = participants
        self._gated = gated
        self.pattern_of_row = patterns.assign(rows.present)
        self.patterns_in_use = np.flatnonzero(np.bincount(self.pattern_of_row))
        first = np.tile(baseline, (n_chains, len(rows), 1))
        self._first_values = [first] * len(patterns)
        self.restart()

    def restart(self):
        """Go back to the baseline."""
        self.values = self._first_values
        self.functions: dict = {}
        self.above: dict = {}
        self.latest: dict = {}

    def remember(self, candidates, functions):
        """Keep the functions of a round for gates.

        Parameters
        ----------
        candidates : sequence of Candidate
            The candidates of the round.
        functions : Fitted
            Their functions. Those without a model are not kept.
        """
        if not self._gated:
            return
        names = self.participants.participant_names
        for j in np.flatnonzero(functions.took_part):
            candidate = candidates[j]
            name = names[candidate.participant]
            key = name, getattr(candidate.gate, "partner", None)
            self.functions.pop((name, self.latest.get(key)), None)
            self.latest[key] = candidate.number
            self.functions[name, candidate.number] = functions.values[j].copy()

    @property
    def held_out(self):
        """Raw predictions of every pattern, a list of arrays (n_samples, n_outputs)."""
        return [values[0] for values in self.values]

    @property
    def own(self):
        """Raw predictions of the rows, each by its own pattern, (n_samples, n_outputs)."""
        return self.of_own_pattern(self.held_out)

    def of_own_pattern(self, values):
        """Return the values of the rows, each by its own pattern.

        Parameters
        ----------
        values : list of ndarray of shape (..., n_samples, n_outputs)
            Values of every pattern.
        """
        if len(values) == 1:
            return values[0]
        own = np.empty_like(values[0])
        for pattern in self.patterns_in_use:
            rows = self.pattern_of_row == pattern
            own[..., rows, :] = values[pattern][..., rows, :]
        return own

    def loss(self, loss):
        """Return the overarching loss."""
        return loss.value(self.rows.y, self.own, self.rows.sample_weight)

    def present(self, name):
        """Return the mask of the rows that a participant has, (n_samples,)."""
        return self.rows.present[:, self.participants.participant_names.index(name)]

    def validation_loss(self, loss):
        """Return the overarching loss that early stopping looks at."""
        return self.loss(loss)

    def advance(self, fitted, step):
        """Move by a step.

        Parameters
        ----------
        fitted : ndarray of shape (n_candidates, n_chains, n_samples, n_outputs)
            What the participants fitted or predict, multiplied by their gates.
        step : Step
            Weights and rates.
        """
        self.values = step.moved(self.values, fitted)

    def continue_from(self, raw):
        """Take over what `raw` has of the same rows, in all chains."""
        n_chains = len(self.values[0])
        self.values = [np.repeat(values, n_chains, axis=0) for values in raw.values]
        self.functions, self.latest = dict(raw.functions), dict(raw.latest)

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


class TrainingPredictions(RawPredictions):
    """Raw predictions of the training rows.

    Parameters
    ----------
    rows, patterns, baseline, participants, gated : see `RawPredictions`
    chains : Folds or None
        The folds that all rounds have; each of the chains does not see one. None: there is
        a single chain.

    Attributes
    ----------
    judged : JudgedPredictions or None
        Held-out predictions whose weights were chosen on other rows. None without folds.
    """

    def __init__(self, rows, patterns, baseline, participants, gated, chains):
        self.chains = chains
        n_chains = 1 if chains is None else chains.n_chains
        self.judged = None
        if chains is not None:
            self.judged = JudgedPredictions(chains)
        super().__init__(rows, patterns, baseline, participants, gated, n_chains)

    def restart(self):
        """Go back to the baseline."""
        super().restart()
        if self.judged is not None:
            self.judged.start(self.held_out)

    def pick(self, values):
        """Return the values of every row by the chain that has not seen the row.

        Parameters
        ----------
        values : ndarray of shape (..., n_chains, n_samples, n_outputs)
            Values by all chains.
        """
        return values[..., 0, :, :] if self.chains is None else self.chains.pick(values)

    @property
    def held_out(self):
        """Raw predictions of every pattern, each row by the chain that has not seen it."""
        return [self.pick(values) for values in self.values]

    def validation_loss(self, loss):
        """Return the overarching loss of the judged predictions, if there are any."""
        if self.judged is None:
            return self.loss(loss)
        rows = self.rows
        return loss.value(rows.y, self.judged.own(self), rows.sample_weight)

    def residuals(self, loss, folds):
        """Return the pseudo-residuals, the negative gradients of the loss.

        Parameters
        ----------
        loss : loss object
            The overarching loss.
        folds : Folds or None
            Folds of the round.
        """
        y = self.rows.y
        residuals = [
            np.stack([loss.pseudo_residual(y, raw) for raw in values])
            for values in self.values
        ]
        if folds is not None:
            for chain in range(folds.n_chains):
                unseen = folds.numbers == chain
                for residual in residuals:
                    residual[chain, unseen] = 0.0
        return Residuals(residuals, self.of_own_pattern(residuals))

    def continue_from(self, raw):
        """Take over what `raw` has of the same rows, in all chains."""
        super().continue_from(raw)
        if self.judged is not None:
            self.judged.start(self.held_out)

    def snapshot(self):
        """Return the raw predictions and functions as they are now, for `restore`."""
        return super().snapshot(), self.judged and list(self.judged.values)

    def restore(self, snapshot, previous_pattern=None):
        """Go back to a snapshot, see `RawPredictions.restore`."""
        raw, judged = snapshot
        super().restore(raw, previous_pattern)
        if self.judged is not None:
            self.judged.restore(judged, previous_pattern)


class JudgedPredictions:
    """Held-out predictions of the training rows that have not chosen a weight or a rate.

    For every fold, or for some folds together, there are held-out raw predictions by the
    functions of all chains, but with weights and rates that are chosen on the rows of the
    other folds. So a row neither takes part in the fit of the functions that predict it,
    nor in the choice of their weights.

    Parameters
    ----------
    chains : Folds
        The folds.

    Attributes
    ----------
    part : ndarray of int of shape (n_samples,)
        Which of the values belong to a row.
    values : list of list of ndarray of shape (n_samples, n_outputs)
        Raw predictions by part and pattern.
    """

    def __init__(self, chains):
        many = len(chains.numbers) >= MANY_ROWS_FROM
        n_parts = min(MAX_PARTS_OF_MANY if many else MAX_PARTS, chains.n_chains)
        self.part = chains.numbers % n_parts
        self.values: list = [[]] * n_parts

    def start(self, values):
        """Start all parts from the same values."""
        self.values = [values] * len(self.values)

    def restore(self, values, previous_pattern):
        """Go back to `values` of before."""
        if previous_pattern is not None:
            values = [[each[pattern] for pattern in previous_pattern] for each in values]
        self.values = list(values)

    def advance(self, selection, proposal):
        """Move every part by weights and rates that are chosen on the others.

        Parameters
        ----------
        selection : Selection
            Chooses them.
        proposal : Proposal
            The candidates of the round.
        """
        for part, values in enumerate(self.values):
            residuals = selection.residuals(values)
            step = selection.step(proposal, values, residuals, self.part != part)
            self.values[part] = step.moved(values, proposal.fitted)

    def own(self, raw):
        """Return the values of the rows, each by its own part and pattern."""
        return self._of_own_part([raw.of_own_pattern(values) for values in self.values])

    def of_pattern(self, pattern):
        """Return the values of the rows by a pattern, each by its own part."""
        return self._of_own_part([values[pattern] for values in self.values])

    def _of_own_part(self, values):
        own = np.empty_like(values[0])
        for part, of_part in enumerate(values):
            rows = self.part == part
            own[rows] = of_part[rows]
        return own
