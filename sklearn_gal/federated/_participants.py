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
        if not any(not is_remote(each) or each.answered for each in self):
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

    def predict_round(self, X, asked, number, n_rounds, folds):
        """Yield a participant and what it predicts in a round, for those that are asked.

        Organizations on other hosts are asked for several rounds at once.
        """
        if folds is None:
            participants, rounds = list(self), range(number, max(number + 1, n_rounds))
            missing = [
                participants[j]
                for j in asked
                if is_remote(participants[j]) and not participants[j].has_fetched(X, number)
            ]
            with Threads(self.n_at_once(None)) as threads:
                threads.map(lambda each: each.fetch(X, rounds), missing)
        yield from super().predict_round(X, asked, number, n_rounds, folds)


def is_remote(organization):
    """Whether an organization is on another host."""
    return isinstance(organization, RemoteOrganization)
