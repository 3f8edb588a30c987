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

    def prepare(self, X, fit_params):
        """Have the participants take their columns, those on other hosts side by side."""
        params = fit_params[len(self.organizations) - len(self.remote) :]
        with Threads(self.n_at_once(None)) as threads:
            threads.map(lambda each, own: each.prepare(X, own), self.remote, params)
        super().prepare(X, fit_params)  # of those on other hosts it asks nothing more

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

        Organizations on other hosts predict the means of the chains for several rounds at
        once. The chains apart they predict round by round, because the sums of a matrix
        product of another width are rounded in another way.
        """
        if not apart:
            participants = list(self)
            missing = [
                (participants[each.participant], each.number)
                for each in candidates
                if is_remote(participants[each.participant])
                and not participants[each.participant].has_fetched(X, each.number)
            ]

            def fetch(participant, number):
                participant.fetch(X, range(number, max(number + 1, n_requests)))

            with Threads(self.n_at_once(None)) as threads:
                threads.map(lambda each: fetch(*each), missing)
        yield from super().predict_candidates(X, candidates, n_requests, apart)


def is_remote(organization):
    """Whether an organization is on another host."""
    return isinstance(organization, RemoteOrganization)
