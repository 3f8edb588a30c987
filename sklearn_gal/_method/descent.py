"""Gradient Assisted Learning: a round, the loop over rounds, and the replay of rounds."""

import numpy as np

from .disclosure import times_gates
from .observers import EndsFit
from .rounds import Candidate, Proposal, Round, Step

# Nothing is left to fit when all residuals are below this share of the first ones.
_RESIDUAL_TOL = 1e-10


class Descent:
    """Gradient Assisted Learning on the training rows (Diao et al. 2022, Algorithm 1).

    Parameters
    ----------
    model : AdditiveModel
        The model to extend by rounds; its loss is the one that descends.
    train : TrainingPredictions
        Training rows.
    validation : RawPredictions or None
        Rows whose loss is the validation loss: `train` itself, where the loss of its judged
        predictions is, or other rows. None: there is no validation loss.
    disclosure : Disclosure
        Decides what each participant is shown.
    fit : callable
        ``fit(requests)`` has the participants fit and returns `Fitted`.
    selection : Selection
        Chooses weights and rates.
    folds : callable
        ``folds(number)`` returns the `Folds` of a round, or None.
    """

    def __init__(self, model, train, validation, *, disclosure, fit, selection, folds):
        self.model = model
        self.loss = model.loss
        self.patterns = model.patterns
        self.train = train
        self.validation = validation
        self.disclosure = disclosure
        self.fit = fit
        self.selection = selection
        self.folds = folds
        self._other_rows = [validation] if validation not in (None, train) else []

    @property
    def raws(self):
        """Raw predictions of the training rows, and of other rows to validate on."""
        return [self.train, *self._other_rows]

    def fit_round(self, number):
        """Fit a round; return its record, and move all rows."""
        folds = self.folds(number)
        residuals = self.train.residuals(self.loss, folds)  # (1) r = -dL/dF
        if residuals.negligible(_RESIDUAL_TOL * self.model.first_residual):
            return self._record(Step.zero(self.patterns, []), np.zeros(0))
        requests = self.disclosure.requests(number, residuals, folds)  # what each one sees
        functions = self.fit(requests)  # (2) f_m
        candidates = [Candidate(r.participant, r.number, r.gate) for r in requests]
        return self.solve(number, candidates, functions, folds)

    def solve(self, number, candidates, functions, folds):
        """Choose weights and rates, move all rows by them, and return the record."""
        train, selection = self.train, self.selection
        fitted = times_gates(functions, candidates, train)
        held_out = train.pick(fitted.values)
        proposal = Proposal(tuple(candidates), held_out, fitted.took_part, folds)
        values = train.held_out
        residuals = selection.residuals(values)
        step = selection.step(proposal, values, residuals)  # (3) w, (4) rate
        moves = step.rates[train.patterns_in_use].any()
        if moves and train.judged is not None:
            before = train.loss(self.loss)
            moves = selection.lowers_loss(proposal, values, residuals, number, before)
            if moves:
                train.judged.advance(selection, proposal)
        if not moves:
            step = Step.zero(self.patterns, candidates)
        explained = self._explained(step, proposal, residuals[0])
        train.advance(fitted.values, step)  # (5) F <- F + rate * sum_m w_m f_m
        train.remember(candidates, functions)
        return self._record(step, explained)

    def run(self, max_iter, patience, observers):
        """Fit rounds until the fit ends.

        Parameters
        ----------
        max_iter : int
            Largest number of rounds.
        patience : int
            Number of successive rounds without descent that do not end the fit. They are
            kept only if a later round descends.
        observers : list of Observer
            What is told of every round that is kept.

        Returns
        -------
        stop_reason : str
            A key of `STOP_REASONS`.

        Raises
        ------
        EndsFit
            If the fit is ended in its first rounds, and there is none to keep.
        """
        for observer in observers:
            observer.begin(self)
        rounds, reason = self.model.rounds, None
        n_kept, kept = len(rounds), [raw.snapshot() for raw in self.raws]
        while reason is None and len(rounds) < max_iter:
            try:
                rounds.append(self.fit_round(len(rounds)))
            except EndsFit as interruption:
                if not n_kept:
                    raise
                reason = interruption.reason
                break
            if not rounds[-1].rates.any():
                reason = "no_descent" if len(rounds) - n_kept > patience else None
                continue
            n_kept, kept = len(rounds), [raw.snapshot() for raw in self.raws]
            reasons = (observer.after_round(self) for observer in observers)
            reason = next(filter(None, reasons), None)
        if len(rounds) > n_kept:
            del rounds[n_kept:]
            for raw, snapshot in zip(self.raws, kept, strict=True):
                raw.restore(snapshot)
        return reason or ("max_iter" if rounds else "no_descent")

    def replay(self, fitted_of):
        """Solve all rounds again from the baseline, for fitted values that are known.

        Parameters
        ----------
        fitted_of : callable
            ``fitted_of(candidates)`` returns the `Fitted` functions of a round.
        """
        for raw in self.raws:
            raw.restart()
        self.model.baseline_losses = self.losses()
        rounds, self.model.rounds = self.model.rounds, []
        for number, before in enumerate(rounds):
            functions = fitted_of(before.candidates)
            record = self.solve(number, before.candidates, functions, self.folds(number))
            self.model.rounds.append(record)

    def revise(self):
        """Solve all rounds again, if organizations have revised what they had fitted."""
        participants = self.model.participants
        if any(each.revises for each in participants):
            shape = self.train.values[0].shape
            self.replay(lambda candidates: participants.revised(candidates, shape))

    def losses(self):
        """Return the training loss and the validation loss, which may be None."""
        train_loss = self.train.loss(self.loss)
        if self.validation is None:
            return train_loss, None
        return train_loss, self.validation.validation_loss(self.loss)

    def _explained(self, step, proposal, residual):
        """Return the share of the squared residual that every candidate explains."""
        explained = step.coefficients(0)
        for j in np.flatnonzero(explained):
            explained[j] *= np.vdot(proposal.fitted[j], residual)
        return explained / np.vdot(residual, residual)

    def _record(self, step, explained):
        """Move the other rows by a step, and return the record of the round."""
        for rows in self._other_rows:
            self.model.advance(rows, step)
        parts = step.candidates, step.weights, step.rates
        return Round(*parts, explained, *self.losses())


def in_sample(number):
    """Return the folds of rounds in which every row chooses weights and rates: none."""
    return None
