"""Gradient Assisted Learning: a round, the loop over rounds, and the replay of rounds."""

from .disclosure import times_gates
from .rounds import Round, Step

# Nothing is left to fit when all residuals are below this share of the first ones.
_RESIDUAL_TOL = 1e-10


class Descent:
    """Gradient Assisted Learning on the training rows (Diao et al. 2022, Algorithm 1).

    Parameters
    ----------
    model : AdditiveModel
        The model to extend by rounds; its loss is the one that descends.
    train : RawPredictions
        Training rows.
    validation : RawPredictions or None
        Rows whose loss is the validation loss: `train` itself, where its fitted values are
        out-of-fold, or other rows. None: there is no validation loss.
    disclosure : Disclosure
        Decides what each participant is shown.
    fit : callable
        ``fit(requests)`` has the participants fit and returns `Fitted`.
    weigh : Weighing
        Chooses the assistance weights of a pattern.
    search : callable
        Searches the rate along a direction, as `line_search`.
    learning_rate : float
        Factor of every rate.
    folds : callable
        ``folds(number)`` returns the `Folds` of a round, or None.
    """

    def __init__(
        self,
        model,
        train,
        validation,
        *,
        disclosure,
        fit,
        weigh,
        search,
        learning_rate,
        folds,
    ):
        self.model = model
        self.loss = model.loss
        self.patterns = model.patterns
        self.train = train
        self.validation = validation
        self.disclosure = disclosure
        self.fit = fit
        self.weigh = weigh
        self.search = search
        self.learning_rate = learning_rate
        self.folds = folds
        self._other_rows = [validation] if validation not in (None, train) else []

    @property
    def raws(self):
        """Raw predictions of the training rows, and of other rows to validate on."""
        return [self.train, *self._other_rows]

    def fit_round(self, number):
        """Fit a round; return the step by which it has moved the training rows."""
        folds = self.folds(number)
        residuals = self.train.residuals(self.loss)  # (1) r = -dL/dF
        if residuals.negligible(_RESIDUAL_TOL * self.model.first_residual):
            return Step.zero(self.patterns, [None] * len(self.patterns.owner))
        requests = self.disclosure.requests(number, residuals, folds)  # what each one sees
        gates = [request.gate for request in requests]
        functions = self.fit(requests)  # (2) f_m
        return self.solve(number, residuals, functions, folds, gates)

    def solve(self, number, residuals, functions, folds, gates):
        """Choose weights and rate of every pattern, and move the training rows by them."""
        fitted = times_gates(functions, gates, self.train)
        rows, raw = self.train.rows, self.train.values
        step, directions = Step.zero(self.patterns, gates), {}
        for pattern, selected in self.patterns.selection_rows(rows.present, folds):
            residual = residuals.of_pattern[pattern][selected]
            sample_weight = rows.weight_of(selected)
            members = self.patterns.members[pattern] & fitted.took_part
            together = self.patterns.weighed_together(pattern)
            candidates = fitted.values[selected][:, together]
            step.weights[pattern] = members
            step.weights[pattern, together] = self.weigh(  # (3) w
                residual, candidates, members[together], sample_weight, folds is not None
            )
            directions[pattern] = step.direction(pattern, fitted.values)
            direction, y = directions[pattern][selected], rows.y[selected]
            rate = self.search(  # (4) rate
                self.loss, y, raw[pattern][selected], direction, sample_weight, residual
            )
            step.rates[pattern] = self.learning_rate * rate
        if not step.rates[self.train.patterns_in_use].any():
            step.rates[:] = 0.0
        # (5) F <- F + rate * sum_m w_m f_m
        self.train.advance(fitted.values, step, directions)
        self.train.remember(number, functions.values, step)
        return step

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
        """
        rounds = self.model.rounds
        for observer in observers:
            observer.begin(self)
        pending: list[Round] = []
        while len(rounds) + len(pending) < max_iter:
            number = len(rounds) + len(pending)
            step = self.fit_round(number)
            pending.append(self._record(number, step))
            if not step.rates.any():
                if len(pending) > patience:
                    return "no_descent"
                continue
            rounds += pending
            pending = []
            reasons = (observer.after_round(self) for observer in observers)
            reason = next(filter(None, reasons), None)
            if reason is not None:
                return reason
        return "max_iter"

    def replay(self, fitted_of):
        """Solve all rounds again from the baseline, for fitted values that are known.

        Parameters
        ----------
        fitted_of : callable
            ``fitted_of(number, folds)`` returns the `Fitted` functions of a round.
        """
        for raw in self.raws:
            raw.restart()
        self.model.baseline_losses = self.losses()
        rounds, self.model.rounds = self.model.rounds, []
        for number, before in enumerate(rounds):
            folds, residuals = self.folds(number), self.train.residuals(self.loss)
            functions = fitted_of(number, folds)
            step = self.solve(number, residuals, functions, folds, before.gates)
            self.model.rounds.append(self._record(number, step))

    def revise(self):
        """Solve all rounds again, if organizations have revised what they had fitted."""
        participants, shape = self.model.participants, self.train.own.shape
        if any(each.revises for each in participants):
            self.replay(lambda number, *_: participants.revised(number, shape))

    def losses(self):
        """Return the training loss and the validation loss, which may be None."""
        train_loss = self.train.loss(self.loss)
        if self.validation is self.train:
            return train_loss, train_loss
        return train_loss, self.validation and self.validation.loss(self.loss)

    def _record(self, number, step):
        """Move the other rows by a step, and return the record of the round."""
        for rows in self._other_rows:
            self.model.advance(rows, number, step)
        return Round(step.weights, step.rates, step.gates, *self.losses())


def in_sample(number):
    """Return the folds of rounds in which every row chooses weights and rates: none."""
    return None
