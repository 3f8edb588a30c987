"""The participants of a fit between hosts."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .._method.observers import EndsFit, Observer
from .._organizations.parallel import Threads
from .._organizations.participants import Participants
from ._remote import RemoteOrganization
from ._session import OrganizationError


class FitInterrupted(OrganizationError, EndsFit):
    """Organizations are missing for so long that the fit ends.

    Parameters
    ----------
    reason : str
        A key of `STOP_REASONS`.
    message : str
        What has happened, for the case that there is no round to keep.
    """

    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason


class NumbersRounds(Observer):
    """Tells the participants how many rounds there are when the rounds begin."""

    def begin(self, descent):
        """Count the rounds of a fit that is continued."""
        descent.model.participants.n_rounds = len(descent.model.rounds)


class FederatedParticipants(Participants):
    """The label holder's organizations, and those on other hosts behind them."""

    n_rounds = 0  # that have been fitted

    @property
    def remote(self):
        """The organizations on other hosts."""
        return [each for each in self.organizations if is_remote(each)]

    @property
    def session(self):
        """The `FitSession` of the organizations on other hosts."""
        return self.remote[0].session

    def n_at_once(self, n_jobs):
        """Return how many participants are called at the same time.

        All of them, because hosts do not share cores.
        """
        return len(self)

    def prepare(self, X, fit_params, n_outputs):
        """Have the participants take their columns, those on other hosts side by side."""
        params = fit_params[len(self.organizations) - len(self.remote) :]
        with Threads(self.n_at_once(None)) as threads:
            threads.map(
                lambda each, own: each.prepare(X, own, n_outputs), self.remote, params
            )
        super().prepare(
            X, fit_params, n_outputs
        )  # of those on other hosts it asks nothing more

    def check_answers(self):
        """Tell which organizations a round goes on without.

        Raises
        ------
        FitInterrupted
            If no organization has answered, if all on other hosts cannot be reached or
            refuse, or if one of them has missed too many rounds. Rounds after a refusal do
            not count: it would be refused again.
        """
        self.n_rounds += 1
        left_out = [each for each in self.remote if each.left_out]
        self._check_not_alone(left_out)
        for each in left_out:
            if not each.refuses:
                self._check_missed(each)
                each.warn(f"round {self.n_rounds} goes on")
            elif not each.is_told:
                each.is_told = True
                each.warn(f"from round {self.n_rounds} on, the fit goes on")
        for each in self.remote:
            each.forget_answers()

    def _check_not_alone(self, left_out):
        """End the fit if the label holder would go on alone."""
        n_answered = sum(each.answered for each in self.remote)
        stay_out = all(each.is_away or each.refuses for each in left_out)
        if not left_out or n_answered or (self._has_own and not stay_out):
            return
        refuse = all(each.refuses for each in left_out)
        reasons = "; ".join(f"{each.name!r} {each.reason}" for each in left_out)
        raise FitInterrupted(
            "refused" if refuse else "organizations_away",
            f"No organization answered in this round: {reasons}. Resume the fit when "
            f"they {'permit it' if refuse else 'are back'}; with a checkpoint it continues "
            "where it stopped.",
        )

    def _check_missed(self, organization):
        """End the fit if an organization has missed too many rounds."""
        organization.n_missed += 1
        at_most = organization.policy.max_missed_rounds
        if at_most is not None and organization.n_missed > at_most:
            raise FitInterrupted(
                "missed_rounds",
                f"Organization {organization.name!r} has missed more than {at_most} "
                f"rounds: it {organization.reason}. Resume the fit when it is back, or fit "
                "without it.",
            )

    @property
    def _has_own(self):
        return len(self.remote) < len(self.organizations)

    def ask_with(self, federation, policy):
        """Ask with the parameters of the estimator as they are now."""
        self.session.federation = federation
        for each in self.remote:
            each.policy = policy

    @contextmanager
    def asking(self):
        """Forget the rows to predict when all calls about them have been made."""
        try:
            with super().asking():
                yield
        finally:
            self.session.forget_rows()
            for each in self.remote:
                each.forget_rows()

    def _answer(self, participant, X, query):
        if not is_remote(participant):
            return super()._answer(participant, X, query)
        answer = participant.answer(X, query)
        each = {
            number: np.nan_to_num(values) for number, values in answer.functions.items()
        }
        return replace(answer, functions=each)

    def predict_candidates(self, X, candidates, n_requests, apart):
        """Yield what participants predict by the functions of a round.

        Organizations on other hosts are asked for the functions of several rounds at once.
        If the chains are wanted apart, they are asked round by round: linear models are
        merged into a matrix product, and another width may round its sums differently.
        """
        if not apart:
            participants = list(self)
            asked = [(participants[each.participant], each.number) for each in candidates]
            missing = [
                (each, number)
                for each, number in asked
                if is_remote(each) and not each.has_fetched(X, number)
            ]

            def fetch(missing):
                participant, number = missing
                participant.fetch(X, range(number, max(number + 1, n_requests)))

            with Threads(self.n_at_once(None)) as threads:
                threads.map(fetch, missing)
        yield from super().predict_candidates(X, candidates, n_requests, apart)


def is_remote(organization):
    """Whether an organization is on another host."""
    return isinstance(organization, RemoteOrganization)
