"""What each participant is shown in a round."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .._contract import Fitted, Request


class Disclosure:
    """Shows every participant the exact residual of the rows' own patterns.

    A subclass may give a participant a gate: a function that multiplies the residual before
    the participant sees it, and what it fits afterwards. The wrappers of this module change
    what some of the participants see.

    Parameters
    ----------
    train : RawPredictions
        Training rows.
    participants : Participants
        Whom to show it.
    seeds : callable
        ``seeds(number)`` returns the seeds of the participants in a round.
    """

    def __init__(self, train, participants, seeds):
        self.train = train
        self.participants = participants
        self.seeds = seeds

    def gate(self, number, participant) -> Callable | None:
        """Return the gate of a participant in a round, or None.

        A gate is a function of `RawPredictions` with values of shape (n_samples, 1) or
        (n_samples, n_outputs). Its optional method `is_known` says whether the gate can be
        computed for some rows; if not, the participant takes no part in the round.
        """
        return None

    def requests(self, number, residuals, folds) -> list[Request]:
        """Return what every participant is asked to fit.

        Parameters
        ----------
        number : int
            The round.
        residuals : Residuals
            Pseudo-residuals of the training rows.
        folds : Folds or None
            Folds of the round.
        """
        requests = []
        for participant, seed in enumerate(self.seeds(number)):
            gate = self.gate(number, participant)
            residual = residuals.own
            if gate is not None:
                residual = residual * gate(self.train)
            requests.append(Request(number, seed, folds, residual, gate=gate))
        return requests

    def snapshot(self):
        """Return what has changed since the first round, for `restore`; here nothing."""

    def restore(self, snapshot):
        """Go back to a snapshot."""


class DisclosureWrapper:
    """Changes what another disclosure shows.

    Parameters
    ----------
    inner : Disclosure or DisclosureWrapper
        What is shown otherwise.
    """

    def __init__(self, inner):
        self._inner = inner

    def snapshot(self):
        """Return what has changed since the first round, for `restore`."""
        return self._inner.snapshot()

    def restore(self, snapshot):
        """Go back to a snapshot."""
        self._inner.restore(snapshot)


class Perturbed(DisclosureWrapper):
    """Shows the assistors a perturbed residual, and the label holder the exact one.

    Parameters
    ----------
    inner : Disclosure
        What is shown otherwise.
    broadcast : Broadcast
        ``broadcast(residual)`` returns what the assistors receive. Assistors that are to be
        shown the same residual receive the same perturbed one.
    assists : ndarray of bool of shape (n_participants,)
        Which participants are assistors.
    """

    def __init__(self, inner, broadcast, assists):
        super().__init__(inner)
        self._broadcast = broadcast
        self._assists = assists

    def requests(self, number, residuals, folds):
        """Return what every participant is asked to fit."""
        requests = self._inner.requests(number, residuals, folds)
        perturbed: dict = {}
        for participant in np.flatnonzero(self._assists):
            request = requests[participant]
            if id(request.residual) not in perturbed:
                perturbed[id(request.residual)] = self._broadcast(request.residual)
            shown = perturbed[id(request.residual)]
            requests[participant] = replace(request, residual=shown)
        return requests

    def snapshot(self):
        """Return the position of the noise, with what the inner disclosure returns."""
        return self._broadcast.n_rounds, super().snapshot()

    def restore(self, snapshot):
        """Go back to a snapshot."""
        self._broadcast.n_rounds, inner = snapshot
        super().restore(inner)


class Alone(DisclosureWrapper):
    """Shows the label holder's stand-in the residual that the label holder alone has left.

    Parameters
    ----------
    inner : Disclosure
        What is shown otherwise.
    pattern : int
        Position of the pattern of the stand-in, which is the first participant.
    """

    def __init__(self, inner, pattern):
        super().__init__(inner)
        self._pattern = pattern

    def requests(self, number, residuals, folds):
        """Return what every participant is asked to fit."""
        stand_in, *others = self._inner.requests(number, residuals, folds)
        return [replace(stand_in, residual=residuals.of_pattern[self._pattern]), *others]


def times_gates(fitted, gates, raw):
    """Return what participants have fitted, multiplied by their gates.

    Parameters
    ----------
    fitted : Fitted
        The functions that were fitted.
    gates : sequence of callable or None
        The gate of every participant.
    raw : RawPredictions
        The rows.
    """
    if not any(gates):
        return fitted
    values, took_part = fitted.values.copy(), fitted.took_part.copy()
    for participant, gate in enumerate(gates):
        if gate is not None:
            values[:, participant] *= gate(raw)
            took_part[participant] &= getattr(gate, "is_known", lambda raw: True)(raw)
    return Fitted(values, took_part)
