"""NVIDIA FLARE as the engine: mutual TLS between hosts, and nothing but bytes in its jobs.

There is one FLARE job per organization. It is configuration only and names two classes of
this module, which are installed on both sides: `Site` answers requests in a process of the
organization, `Relay` passes them on from a process beside the label holder's, which the fit
reaches over the loopback interface.
"""

import io
import json
import logging
import os
import secrets
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager, redirect_stdout
from multiprocessing.connection import Client, Listener
from pathlib import Path

from nvflare.collab import collab
from nvflare.fuel.flare_api.flare_api import new_secure_session

from ._config import read_federation, service_from_config
from ._remote import OrganizationWarning

log = logging.getLogger("sklearn_gal.federated")

# Where the processes that FLARE starts find their settings.
CONFIG_VARIABLE = "SKLEARN_GAL_ORGANIZATION"
RELAYS_VARIABLE = "SKLEARN_GAL_RELAYS"
_LOOPBACK = "127.0.0.1"
_MAX_CALL = 2**32
_LOOK_EVERY = 0.2


class Site:
    """The organization's end of a job: answers requests by its service."""

    def __init__(self):
        self._service = service_from_config(os.environ[CONFIG_VARIABLE])

    @collab.publish
    def answer(self, request: bytes) -> bytes:
        """The reply of the organization."""
        return self._service.answer(request)


class Relay:
    """The label holder's end of a job: passes requests on that come over loopback."""

    def __init__(self):
        self._folder = Path(os.environ[RELAYS_VARIABLE])
        self._ended = False

    @collab.main
    def run(self):
        """Listen until the job is aborted."""
        (site,) = collab.clients
        listener = Listener((_LOOPBACK, 0), backlog=64, authkey=relay_key(self._folder))
        address = self._folder / f"{site.name}.json"
        content = {"port": listener.address[1], "job": collab.fl_ctx.get_job_id()}
        write_text(address, json.dumps(content))
        threading.Thread(target=self._accept, args=(listener, site), daemon=True).start()
        while not collab.is_aborted:
            time.sleep(_LOOK_EVERY)
        self._ended = True
        listener.close()

    def _accept(self, listener, site):
        while not self._ended:
            try:
                connection = listener.accept()
            except Exception as error:  # a caller without the key, or the end
                log.warning("refused a caller: %s", type(error).__name__)
                time.sleep(_LOOK_EVERY)
                continue
            threading.Thread(
                target=self._relay, args=(connection, site), daemon=True
            ).start()

    def _relay(self, connection, site):
        with connection:
            try:
                timeout = float(connection.recv_bytes(64))
                request = connection.recv_bytes(_MAX_CALL)
                reply = site(timeout=timeout).answer(request=request)
            except Exception as error:
                log.warning("no answer from %s: %s", site.name, type(error).__name__)
                connection.send_bytes(b"")
            else:
                connection.send_bytes(reply)


class FlareChannel:
    """Organizations over NVIDIA FLARE, for a :class:`Federation`.

    Starts a relay for each organization, and starts it anew when the organization was away.

    Parameters
    ----------
    kit : path-like
        The label holder's start-up kit, made by ``sklearn-gal provision``. The FLARE server
        of the kit runs on this host, by ``sklearn-gal label-holder --kit``.
    organizations : list of str, default=None
        Whom to ask, in this order; None is everybody in the kit.
    timeout : float, default=120.0
        Seconds to wait, when a channel is opened, until everybody can be reached.

    Raises
    ------
    ConnectionError
        If the label holder's FLARE server does not answer.
    """

    def __init__(self, kit, organizations=None, timeout=120.0):
        self.kit = Path(kit).resolve()
        federation = read_federation(self.kit)
        self.organizations = list(organizations or federation["organizations"])
        unknown = set(self.organizations) - set(federation["organizations"])
        if unknown:
            raise ValueError(
                f"{sorted(unknown)} are not in the kit, which has "
                f"{federation['organizations']}."
            )
        self._admin = federation["admin"]
        self._connect()
        deadline = time.monotonic() + timeout
        self._start(*(name for name in self.organizations if not self._address(name)))
        for name in self.organizations:
            if self._wait_for(name, deadline) is None:
                warnings.warn(
                    f"Organization {name!r} is not connected yet.",
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
        self._jobs = {}  # submitted, not yet seen to run
        self._suspects = set()  # who did not answer when last asked

    def call(self, organization, request, timeout):
        """Reply of an organization, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if organization in self._suspects or self._address(organization) is None:
            self._start(organization)
        address = self._wait_for(organization, deadline)
        if address is None:
            raise ConnectionError(f"{organization} is not connected")
        try:
            with Client((_LOOPBACK, address["port"]), authkey=self._key) as connection:
                remaining = max(0.0, deadline - time.monotonic())
                connection.send_bytes(f"{remaining:.3f}".encode())
                connection.send_bytes(request)
                if not connection.poll(remaining):
                    raise TimeoutError(f"{organization} did not answer in time")
                reply = connection.recv_bytes(_MAX_CALL)
        except (OSError, EOFError):
            self._suspects.add(organization)
            raise
        if not reply:
            self._suspects.add(organization)
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
        """Submit the jobs of organizations, unless they are waiting to be run."""
        with self._lock, self._server() as server:
            for name in names:
                if self._waits(name, server):
                    continue
                self._end(name, server)
                with tempfile.TemporaryDirectory() as folder:
                    job = write_job(Path(folder), name)
                    self._jobs[name] = server.submit_job(str(job))
                self._suspects.discard(name)

    def _waits(self, name, server):
        """Whether the job of an organization waits for it to connect."""
        if name not in self._jobs or self._address(name) is not None:
            return False
        # FLARE gives up a job that it could not run for long
        return not str(server.get_job_status(self._jobs[name])).startswith("FINISHED")

    def _end(self, name, server):
        """Abort the job of an organization."""
        address = self._address(name)
        for job in {self._jobs.pop(name, None), address and address["job"]} - {None}:
            try:
                server.abort_job(job)
            except Exception as error:  # FLARE's, also for a job that has ended by itself
                log.info("could not abort the job of %s: %s", name, error)
        (self._relays / f"{name}.json").unlink(missing_ok=True)

    @contextmanager
    def _server(self):
        """A session with the label holder's FLARE server; its threads end with it."""
        kit = str(self.kit / "admin")
        try:
            with redirect_stdout(io.StringIO()):  # FLARE reports to the terminal
                session = new_secure_session(self._admin, kit, timeout=30.0)
        except Exception as error:
            raise ConnectionError(
                f"The FLARE server of {self.kit} does not answer: start it by "
                f"`sklearn-gal label-holder --kit {self.kit}`."
            ) from error
        try:
            yield session
        finally:
            session.close()

    def _address(self, name):
        """Where the relay to an organization listens; None if there is none."""
        try:
            return json.loads((self._relays / f"{name}.json").read_text())
        except FileNotFoundError:
            return None

    def _wait_for(self, name, deadline):
        """The address of a relay, as soon as it is there; None if that is too late."""
        while True:
            address = self._address(name)
            if address is not None or time.monotonic() >= deadline:
                return address
            time.sleep(_LOOK_EVERY)


def write_job(folder, organization):
    """The job of an organization: configuration only, no code.

    Returns
    -------
    job : Path
        The folder to submit.
    """
    threads = {"max_inbound_call_threads": 16, "max_outbound_call_threads": 16}
    server = {
        "format_version": 2,
        "workflows": [
            {
                "id": "controller",
                "path": "nvflare.collab.runtime.controller.CollabController",
                "args": {"server_obj_id": "relay", "collab_obj_ids": [], **threads},
            }
        ],
        "components": [{"id": "relay", "path": class_path(Relay), "args": {}}],
    }
    client = {
        "format_version": 2,
        "executors": [
            {
                "tasks": ["*"],
                "executor": {
                    "path": "nvflare.collab.runtime.executor.CollabExecutor",
                    "args": {"client_obj_id": "site", "collab_obj_ids": [], **threads},
                },
            }
        ],
        "components": [{"id": "site", "path": class_path(Site), "args": {}}],
    }
    meta = {
        "name": "sklearn_gal",
        "resource_spec": {},
        "min_clients": 1,
        "deploy_map": {"relay": ["server"], "site": [organization]},
    }
    job = folder / "sklearn_gal"
    for app, name, config in (("relay", "server", server), ("site", "client", client)):
        path = job / app / "config" / f"config_fed_{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(config))
    (job / "meta.json").write_text(json.dumps(meta))
    return job


def class_path(cls):
    """The name by which FLARE builds a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def relay_key(folder):
    """The key that callers of a relay must have; made when first asked for."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "key"
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_bytes()


def write_text(path, text):
    """Write a file that is there in full or not at all."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text)
    os.replace(partial, path)
