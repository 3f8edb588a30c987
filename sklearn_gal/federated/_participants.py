"""The participants of a fit between hosts."""

from contextlib import contextmanager

from .._organizations.parallel import Threads
from .._organizations.participants import Participants
from ._remote import RemoteOrganization
from ._session import OrganizationError


class FederatedParticipants(Participants):
    """The label holder's organizations, and those on other hosts behind them."""

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
        """Raise an error if no organization has answered in a round."""
        answered = [not is_remote(each) or each.answered for each in self]
        for each in self.remote:
            each.answered = False
        if not any(answered):
            raise OrganizationError(
                "No organization answered in this round. Resume the fit when they are "
                "back; with a checkpoint it continues where it stopped."
            )

    def ask_with(self, federation, deadline, on_failure):
        """Ask with the parameters of the estimator as they are now."""
        self.session.federation = federation
        for each in self.remote:
            each.deadline, each.on_failure = deadline, on_failure

    @contextmanager
    def asking(self):
        """Forget the rows to predict when all calls about them have been made."""
        try:
            yield
        finally:
            self.session.forget_rows()
            for each in self.remote:
                each.forget_rows()

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
