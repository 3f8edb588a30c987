"""The label holder's channel to the organizations, over FLARE."""

import io
import logging
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager, redirect_stdout
from multiprocessing.connection import Client
from pathlib import Path

from nvflare.fuel.flare_api.flare_api import new_secure_session

from .._config import read_federation
from .._session import OrganizationWarning
from .certificates import check_certificates
from .jobs import write_job
from .relay import (
    LOOPBACK,
    MAX_CALL,
    POLL_INTERVAL,
    address_path,
    read_address,
    relay_key,
)

log = logging.getLogger("sklearn_gal.federated")


class FlareChannel:
    """Organizations over NVIDIA FLARE, for a :class:`Federation`.

    The channel submits a job for each organization, and a new one when an organization
    that could not be reached is back.

    Parameters
    ----------
    kit : path-like
        The label holder's start-up kit, made by ``sklearn-gal provision``. The FLARE server
        of the kit must run on this host, started by ``sklearn-gal label-holder --kit``.
    organizations : list of str, default=None
        Names of the organizations to reach, in this order. If None, all that are in the
        kit.
    timeout : float, default=120.0
        Seconds to wait until all organizations can be reached. An organization that cannot
        be reached by then gives a warning.

    Raises
    ------
    ConnectionError
        If the label holder's FLARE server does not answer.
    ValueError
        If the kit is not a label holder's start-up kit, or lacks an organization.
    """

    def __init__(self, kit, organizations=None, timeout=120.0):
        self.kit = Path(kit).resolve()
        federation = read_federation(self.kit)
        self.organizations = list(organizations or federation["organizations"])
        unknown = sorted(set(self.organizations) - set(federation["organizations"]))
        if unknown:
            raise ValueError(
                f"The start-up kit {self.kit} has the organizations "
                f"{federation['organizations']}, but not {unknown}. Choose among these, or "
                "add organizations by `sklearn-gal provision`."
            )
        self._admin = federation["admin"]
        self._connect()
        deadline = time.monotonic() + timeout
        self._start(*(name for name in self.organizations if not self._address(name)))
        for name in self.organizations:
            if self._wait_for(name, deadline) is None:
                warnings.warn(
                    f"Organization {name!r} is not connected after {timeout:g} seconds.",
                    OrganizationWarning,
                    stacklevel=2,
                )

    def __getstate__(self):
        kept = ("kit", "organizations", "_admin")
        return {name: value for name, value in vars(self).items() if name in kept}

    def __setstate__(self, state):
        vars(self).update(state)
        self._connect()

    def _connect(self):
        self._relays = self.kit / "relays"
        self._key = relay_key(self._relays)
        self._lock = threading.Lock()
        self._jobs = {}  # the job submitted last, by organization
        self._unanswered = set()  # organizations that did not answer the last request

    def call(self, organization, request, timeout):
        """Return the reply of an organization, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if organization in self._unanswered or self._address(organization) is None:
            self._start(organization)
        address = self._wait_for(organization, deadline)
        if address is None:
            raise ConnectionError(f"{organization} is not connected")
        try:
            with Client((LOOPBACK, address["port"]), authkey=self._key) as connection:
                remaining = max(0.0, deadline - time.monotonic())
                connection.send_bytes(f"{remaining:.3f}".encode())
                connection.send_bytes(request)
                if not connection.poll(remaining):
                    raise TimeoutError(f"{organization} did not answer in time")
                reply = connection.recv_bytes(MAX_CALL)
        except (OSError, EOFError):
            self._unanswered.add(organization)
            raise
        if not reply:
            self._unanswered.add(organization)
            raise ConnectionError(f"{organization} did not answer")
        return reply

    def close(self):
        """End the jobs of this channel at all organizations."""
        with self._lock, self._server() as server:
            for name in self.organizations:
                self._end(name, server)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _start(self, *names):
        """Submit new jobs for organizations whose job does not wait to be run."""
        with self._lock, self._server() as server:
            for name in names:
                if self._waits(name, server):
                    continue
                self._end(name, server)
                with tempfile.TemporaryDirectory() as folder:
                    job = write_job(Path(folder), name)
                    self._jobs[name] = server.submit_job(str(job))
                self._unanswered.discard(name)

    def _waits(self, name, server):
        """Whether the job of an organization waits for it to connect."""
        if name not in self._jobs or self._address(name) is not None:
            return False
        # FLARE gives a job up if it could not run it for a long time
        return not str(server.get_job_status(self._jobs[name])).startswith("FINISHED")

    def _end(self, name, server):
        """Abort the job of an organization."""
        address = self._address(name)
        for job in {self._jobs.pop(name, None), address and address["job"]} - {None}:
            try:
                server.abort_job(job)
            except Exception as error:  # FLARE's own, also for a job that has ended
                log.info("could not abort the job of %s: %s", name, error)
        address_path(self._relays, name).unlink(missing_ok=True)

    @contextmanager
    def _server(self):
        """Open a session with the label holder's FLARE server; closing ends its threads."""
        kit = str(self.kit / "admin")
        check_certificates(self.kit / "server", self.kit / "admin")
        try:
            with redirect_stdout(io.StringIO()):  # FLARE prints to the terminal
                session = new_secure_session(self._admin, kit, timeout=30.0)
        except Exception as error:
            raise ConnectionError(
                f"The FLARE server of {self.kit} does not answer. Start it on this host by "
                f"`sklearn-gal label-holder --kit {self.kit}`."
            ) from error
        try:
            yield session
        finally:
            session.close()

    def _address(self, name):
        """Return port and job of the relay to an organization, or None."""
        return read_address(self._relays, name)

    def _wait_for(self, name, deadline):
        """Return the address of a relay once it is there, or None after the deadline."""
        while True:
            address = self._address(name)
            if address is not None or time.monotonic() >= deadline:
                return address
            time.sleep(POLL_INTERVAL)
