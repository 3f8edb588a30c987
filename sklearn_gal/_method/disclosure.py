"""What each participant is shown in a round."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from .._contract import Fitted, Request


class Disclosure:
    """Shows every participant the exact residual of the rows' own patterns.

    A subclass may ask a participant for more than one function in a round, and with a gate:
    a function that multiplies the residual before the participant sees it, and what it fits
    afterwards. The wrappers of this module change what some of the participants see.

    Parameters
    ----------
    model : AdditiveModel
        The model that is extended.
    train : TrainingPredictions
        Training rows.
    seeds : callable
        ``seeds(number)`` returns the seeds of the participants for their requests of a
        number.
    """

    def __init__(self, model, train, seeds):
        self.model = model
        self.train = train
        self.seeds = seeds
        self.participants = model.participants

    def gates(self, number, participant) -> Sequence[Callable | None]:
        """Return the gates of a participant's requests in a round; None is no gate.

        A gate is a function of `RawPredictions`. Its values have the shape (n_chains,
        n_samples, n_outputs), where the first and the last length may be 1. Its optional
        method `is_known` says whether the gate can be computed for some rows; if not, the
        function of the participant is not used.
        """
        return [None]

    def requests(self, number, residuals, folds) -> list[Request]:
        """Return what the participants are asked to fit.

        Parameters
        ----------
        number : int
            The round.
        residuals : Residuals
            Pseudo-residuals of the training rows.
        folds : Folds or None
            Folds of the round.
        """
        requests: list[Request] = []
        first, seeds = self.model.n_requests, {}
        for participant in range(len(self.participants)):
            gates = self.gates(number, participant)
            for request_number, gate in enumerate(gates, first):
                if request_number not in seeds:
                    seeds[request_number] = self.seeds(request_number)
                residual = residuals.own
                if gate is not None:
                    residual = residual * gate(self.train)
                seed = seeds[request_number][participant]
                requests.append(
                    Request(participant, request_number, seed, folds, residual, gate)
                )
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
        shown, perturbed = [], {}
        for request in self._inner.requests(number, residuals, folds):
            if self._assists[request.participant]:
                key = id(request.residual)
                if key not in perturbed:
                    perturbed[key] = self._broadcast(request.residual)
                request = replace(request, residual=perturbed[key])
            shown.append(request)
        return shown

    def snapshot(self):
        """Return the state of the noise, with what the inner disclosure returns."""
        return self._broadcast.snapshot(), super().snapshot()

    def restore(self, snapshot):
        """Go back to a snapshot."""
        noise, inner = snapshot
        self._broadcast.restore(noise)
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
        alone = residuals.of_pattern[self._pattern]
        return [
            request if request.participant else replace(request, residual=alone)
            for request in self._inner.requests(number, residuals, folds)
        ]


def times_gates(functions, candidates, raw):
    """Return functions of participants, multiplied by their gates.

    Parameters
    ----------
    functions : Fitted
        What the participants fitted or predict.
    candidates : sequence of Candidate
        Whose functions they are, with their gates.
    raw : RawPredictions
        The rows. If it does not keep the chains apart, the products are averaged.
    """
    values, took_part = functions.values, functions.took_part
    if any(candidate.gate is not None for candidate in candidates):
        values, took_part = values.copy(), took_part.copy()
        for j, (_, _, gate) in enumerate(candidates):
            if gate is not None:
                values[j] *= gate(raw)
                took_part[j] &= getattr(gate, "is_known", lambda raw: True)(raw)
    if len(raw.values[0]) < values.shape[1]:
        values = values.mean(axis=1, keepdims=True)
    return Fitted(values, took_part)
