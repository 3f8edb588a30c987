"""Choosing weights and rate of a round on held-out values, and judging the round."""

import numpy as np

from .folds import JUDGES
from .rounds import Step


class Selection:
    """Chooses weights and rates of all patterns on training rows.

    Parameters
    ----------
    loss : loss object
        The overarching loss.
    patterns : Patterns
        Which participants have weights and rates together.
    train : TrainingPredictions
        Training rows.
    weigh : Weighing
        Chooses the assistance weights of a pattern.
    search : callable
        Searches the rate along a direction, as `line_search`.
    learning_rate : float
        Factor of every rate.
    seed : int
        Seed of the halves by which rounds are judged.
    """

    def __init__(self, loss, patterns, train, *, weigh, search, learning_rate, seed):
        self.loss = loss
        self.patterns = patterns
        self.train = train
        self.weigh = weigh
        self.search = search
        self.learning_rate = learning_rate
        self.seed = seed

    def step(self, proposal, values, residuals, among=None):
        """Return the step that lowers the loss most.

        Parameters
        ----------
        proposal : Proposal
            The candidates and what they have fitted.
        values, residuals : list of ndarray of shape (n_samples, n_outputs)
            Held-out raw predictions of every pattern, and their pseudo-residuals.
        among : ndarray of bool of shape (n_samples,), default=None
            Rows that may choose; None is all.
        """
        rows, patterns = self.train.rows, self.patterns
        step = Step.zero(patterns, proposal.candidates)
        participants = step.participants
        names = self.train.participants.participant_names
        partners = [candidate.partner(names) for candidate in proposal.candidates]
        for pattern, selected in patterns.selection_rows(rows.present, proposal.folds):
            selected = _intersection(selected, among)
            y, raw = rows.y[selected], values[pattern][selected]
            if not len(y):
                continue
            residual = residuals[pattern][selected]
            fitted, sample_weight = proposal.fitted[:, selected], rows.weight_of(selected)
            in_pattern = patterns.members[pattern]  # without its partner, a gate is 0
            members = in_pattern[participants] & in_pattern[partners] & proposal.took_part
            together = patterns.weighed_together(pattern)[participants]
            step.weights[pattern] = members
            step.weights[pattern, together] = self.weigh(  # (3) w
                residual,
                np.moveaxis(fitted[together], 0, 1),
                members[together],
                sample_weight,
                proposal.folds is not None,
            )
            direction = step.direction(pattern, fitted)
            rate = self.search(  # (4) rate
                self.loss,
                y,
                raw,
                direction,
                sample_weight,
                residual,
                coarse=self.train.judged is not None,
            )
            step.rates[pattern] = self.learning_rate * rate
        return step

    def residuals(self, values):
        """Return the pseudo-residuals of held-out raw predictions of every pattern."""
        return [self.loss.pseudo_residual(self.train.rows.y, raw) for raw in values]

    def lowers_loss(self, proposal, values, residuals, number, before):
        """Tell whether a step lowers the loss of rows that have not chosen it.

        Each half of the rows is moved by weights and rates that the other half chooses.

        Parameters
        ----------
        proposal, values, residuals : see `step`
        number : int
            The round. Every round has other halves.
        before : float
            The loss of all rows before the round.
        """
        train, rows = self.train, self.train.rows
        half = np.random.default_rng([self.seed, JUDGES, number]).random(len(rows)) < 0.5
        after = np.empty_like(values[0])
        for judges in (half, ~half):
            step = self.step(proposal, values, residuals, ~judges)
            moved = train.of_own_pattern(step.moved(values, proposal.fitted))
            after[judges] = moved[judges]
        return self.loss.value(rows.y, after, rows.sample_weight) < before


def _intersection(selected, among):
    """Return the rows of a selection that are in a mask; None is no mask."""
    if among is None:
        return selected
    if isinstance(selected, slice):  # all rows
        return np.flatnonzero(among)
    return selected[among[selected]]
