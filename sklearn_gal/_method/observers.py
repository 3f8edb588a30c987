"""What is told of the rounds of a fit, and may end it."""

# Why a fit ended: the code in `stop_reason_` and the sentence that `verbose` prints.
STOP_REASONS = {
    "max_iter": "max_iter is reached",
    "no_descent": "no step along the assisted direction lowers the loss",
    "constant_target": "y is constant",
    "early_stopping": "the validation loss no longer improves",
    "callback": "a callback asked for it",
    "organizations_away": "no organization on another host can be reached",
    "refused": "all organizations on other hosts refuse to take part",
    "missed_rounds": "an organization has missed more rounds than max_missed_rounds",
}
# What to do if a fit ended without a round
ADVICE = {
    "no_descent": "Check that the columns tell something about y; with few rows, try "
    "cv=None."
}


class EndsFit(Exception):
    """Raised in a round to end the fit before it; `reason` is a key of `STOP_REASONS`."""

    reason: str


class Observer:
    """Is told when the rounds of a fit begin, and after each round that is kept."""

    def begin(self, descent):
        """Note that the rounds begin."""

    def after_round(self, descent) -> str | None:
        """Return a key of `STOP_REASONS` to end the fit, or None to go on."""


class Progress(Observer):
    """Prints a line per round.

    Parameters
    ----------
    title : str
        What each line begins with.
    names : list of str
        Names of the organizations.
    max_iter : int
        Largest number of rounds.
    """

    def __init__(self, title, names, max_iter):
        self._title = title
        self._names = names
        self._max_iter = max_iter

    def after_round(self, descent):
        """Print losses, learning rate and weights of the latest round."""
        rounds = descent.model.rounds
        new = rounds[-1]
        line = f"[{self._title}] round {len(rounds)}/{self._max_iter}"
        line += f", training loss {new.train_loss:.6g}"
        if new.validation_loss not in (None, new.train_loss):
            line += f", validation loss {new.validation_loss:.6g}"
        line += f", learning rate {new.rates[0]:.4g}, weights"
        owners = descent.patterns.owner[new.participants]
        for position, name in enumerate(self._names):
            line += f" {name} {new.weights[0, owners == position].sum():.3f}"
        print(line)


class EarlyStopping(Observer):
    """Ends a fit whose validation loss no longer improves.

    Parameters
    ----------
    n_iter_no_change : int
        Number of rounds without improvement after which the fit ends.
    tol : float
        Improvement that counts, as a share of the loss before the first round.
    """

    def __init__(self, n_iter_no_change, tol):
        self._n_iter_no_change = n_iter_no_change
        self._tol = tol

    def after_round(self, descent):
        """Compare the losses of the latest rounds with those before."""
        first = descent.model.baseline_losses[1]
        losses = [first, *(each.validation_loss for each in descent.model.rounds)]
        n_recent = self._n_iter_no_change
        if len(losses) <= n_recent:
            return None
        before, recent = losses[:-n_recent], losses[-n_recent:]
        improves = min(recent) < min(before) - self._tol * abs(first)
        return None if improves else "early_stopping"
