"""The organizations that a label holder can reach, and how."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._keys import check_secret, digests
from ._session import FitSession, OrganizationError, array_of, new_fit_id


class Federation:
    """The organizations that a label holder can reach, and how.

    Parameters
    ----------
    channel : object
        Moves bytes. It has `organizations`, a list of names, and
        ``call(organization, request, timeout)``, which returns the reply within `timeout`
        seconds or raises an error. Use :class:`LocalChannel` for services in this process,
        :func:`connect` for NVIDIA FLARE, or another object with these two.
    secret : str or bytes
        The secret that all organizations share, at least 16 bytes.
    organizations : list of str, default=None
        Names of the organizations to ask, in this order. None: all that the channel
        reaches.

    Attributes
    ----------
    organizations : list of str
        Names of the organizations.

    Raises
    ------
    ValueError
        If the secret is too short, or the channel does not reach an organization.
    """

    def __init__(self, channel, secret, organizations=None):
        self.channel = channel
        self._secret = check_secret(secret)
        known = list(channel.organizations)
        self.organizations = known if organizations is None else list(organizations)
        unknown = sorted(set(self.organizations) - set(known))
        if unknown:
            raise ValueError(f"The channel does not reach {unknown}, only {known}.")

    def __sklearn_clone__(self):
        return self  # connections are shared between an estimator and its clones

    def __repr__(self):
        return f"Federation({self.organizations})"

    def without(self, organization):
        """Return the federation without one of its organizations.

        Parameters
        ----------
        organization : str
            Name of the organization to leave out.

        Returns
        -------
        federation : Federation
            The others.
        """
        rest = [name for name in self.organizations if name != organization]
        return Federation(self.channel, self._secret, rest)

    def overlap(self, ids, timeout=60.0):
        """Ask which rows every organization has.

        An organization limits of how many ids it tells this in a day.

        Parameters
        ----------
        ids : array-like of shape (n_samples,)
            Row ids, strings or whole numbers.
        timeout : float, default=60.0
            Seconds to wait for each organization.

        Returns
        -------
        present : dict of str to ndarray of shape (n_samples,), bool
            For every organization, whether it has the row.

        Raises
        ------
        OrganizationError
            If an organization does not answer.
        """
        session = FitSession(self, new_fit_id())
        keys = digests(np.asarray(ids), self._secret, session.fit_id)

        def ask(name):
            def present(reply):
                return array_of(reply, "present", np.bool_, (len(keys),))

            numbers = np.empty(0, dtype=np.int64)
            fields = {"row_ids": keys, "numbers": numbers, "abstain": True}
            return session.call(name, "predict", timeout, present, **fields)

        with ThreadPoolExecutor(len(self.organizations) or 1) as pool:
            answers = list(pool.map(ask, self.organizations))
        return dict(zip(self.organizations, answers, strict=True))

    def forget(self, model, timeout=60.0):
        """Have every organization delete its models of a fit.

        The fitted estimator can then no longer predict.

        Parameters
        ----------
        model : estimator
            A fitted federated estimator.
        timeout : float, default=60.0
            Seconds to wait for each organization.

        Raises
        ------
        OrganizationError
            If organizations do not confirm it. Call it again when they answer.
        """
        check_is_fitted(model)
        session = FitSession(self, model._model.participants.session.fit_id)

        def problem(name):
            try:
                session.call(name, "forget", timeout, dict)
            except OrganizationError as error:
                return f"{name!r} ({error.problem})"
            return None

        with ThreadPoolExecutor(len(self.organizations) or 1) as pool:
            problems = [each for each in pool.map(problem, self.organizations) if each]
        if problems:
            raise OrganizationError(
                f"Organizations did not confirm that they forgot the fit: "
                f"{', '.join(problems)}. Call forget again when they answer."
            )


class LocalChannel:
    """Organizations in this process: for tests, and to try a federation out.

    Parameters
    ----------
    services : list of OrganizationService
        The organizations.
    """

    def __init__(self, services):
        self._services = {service.name: service for service in services}
        self._threads = ThreadPoolExecutor(4 * len(self._services))

    def close(self):
        """Wait until the organizations have ended what they work on."""
        self._threads.shutdown()

    @property
    def organizations(self):
        """Names of the organizations."""
        return list(self._services)

    def call(self, organization, request, timeout):
        """Ask an organization.

        Parameters
        ----------
        organization : str
            Its name.
        request : bytes
            The message.
        timeout : float
            Seconds to wait for the reply.

        Returns
        -------
        reply : bytes
            A message.
        """
        answer, gone = self._services[organization].answer, threading.Event()
        try:
            return self._threads.submit(answer, request, gone.is_set).result(timeout)
        finally:
            gone.set()
