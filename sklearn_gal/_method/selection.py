"""Choosing the weights and the rate of a round on held-out values, and judging the round."""

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

    def step(self, proposal, values, among=None):
        """Return the step that lowers the loss most.

        Parameters
        ----------
        proposal : Proposal
            The candidates and what they have fitted.
        values : list of ndarray of shape (n_samples, n_outputs)
            Held-out raw predictions of every pattern.
        among : ndarray of bool of shape (n_samples,), default=None
            Rows that may choose; None is all.
        """
        rows, patterns = self.train.rows, self.patterns
        step = Step.zero(patterns, proposal.candidates)
        participants = step.participants
        for pattern, selected in patterns.selection_rows(rows.present, proposal.folds):
            if among is not None:
                selected = np.arange(len(rows))[selected]
                selected = selected[among[selected]]
            y, raw = rows.y[selected], values[pattern][selected]
            fitted, sample_weight = proposal.fitted[:, selected], rows.weight_of(selected)
            residual = self.loss.pseudo_residual(y, raw)
            members = patterns.members[pattern][participants] & proposal.took_part
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
            rate = self.search(self.loss, y, raw, direction, sample_weight, residual)
            step.rates[pattern] = self.learning_rate * rate  # (4) rate
        return step

    def lowers_loss(self, proposal, values, number):
        """Tell whether a step lowers the loss on rows that have not chosen it.

        One half of the rows chooses weights and rates, and the change of the loss of the
        other half is measured, in both directions.

        Parameters
        ----------
        proposal, values : see `step`
        number : int
            The round. Every round has other halves.
        """
        train = self.train
        rng = np.random.default_rng([self.seed, JUDGES, number])
        half = rng.random(len(train.rows)) < 0.5
        before, change = train.of_own_pattern(values), 0.0
        for judges in (half, ~half):
            step = self.step(proposal, values, ~judges)
            after = train.of_own_pattern(step.moved(values, proposal.fitted))
            change += self._total_loss(after, judges) - self._total_loss(before, judges)
        return change < 0

    def _total_loss(self, raw, judges):
        rows = self.train.rows
        if not judges.any():
            return 0.0
        weight = rows.weight_of(judges)
        total = judges.sum() if weight is None else weight.sum()
        return total * self.loss.value(rows.y[judges], raw[judges], weight)
