"""The label holder's channel to the organizations, through its FLARE server."""

import json
import socket
import struct
import time
import warnings
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path

from .._config import read_federation
from .._session import OrganizationWarning
from .certificates import check_certificates_of
from .components import SILENCE

_LOOPBACK = "127.0.0.1"
# Seconds that the label holder's FLARE server may take to start.
_SERVER_START = 30.0
# Seconds between two looks at which organizations are connected.
_POLL_INTERVAL = 0.2
# Seconds by which an organization may exceed its time before the caller no longer listens.
_MARGIN = 5.0


class FlareChannel:
    """Organizations over NVIDIA FLARE, for a :class:`Federation`.

    Every call goes to the relay in the label holder's FLARE server. The relay passes it on
    and tells from second to second whether the organization still lives. Several channels
    can use the same kit at the same time, and nothing is left of a channel that ends.

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
        self._name = federation.get("label_holder", "")
        self.organizations = list(organizations or federation["organizations"])
        unknown = sorted(set(self.organizations) - set(federation["organizations"]))
        if unknown:
            raise ValueError(
                f"The start-up kit {self.kit} has the organizations "
                f"{federation['organizations']}, but not {unknown}. Choose among these, or "
                "add organizations by `sklearn-gal provision`."
            )
        begin = time.monotonic()
        for name in self.organizations:
            while not self._has_connected(name, begin + min(timeout, _SERVER_START)):
                if time.monotonic() >= begin + timeout:
                    warnings.warn(
                        f"Organization {name!r} is not connected after {timeout:g} "
                        "seconds.",
                        OrganizationWarning,
                        stacklevel=2,
                    )
                    break
                time.sleep(_POLL_INTERVAL)

    def _has_connected(self, organization, server_deadline):
        """Return whether an organization answers; the server may just have been started."""
        try:
            return self.is_connected(organization)
        except ConnectionError:
            if time.monotonic() >= server_deadline:
                raise
            return False

    def is_connected(self, organization):
        """Return whether an organization answers.

        Parameters
        ----------
        organization : str
            Its name.

        Returns
        -------
        connected : bool

        Raises
        ------
        ConnectionError
            If the label holder's FLARE server does not answer.
        """
        with self._relay(organization, None) as relay:
            return _status(relay, time.monotonic() + SILENCE) == "connected"

    def call(self, organization, request, timeout):
        """Return the reply of an organization, within `timeout` seconds.

        Parameters
        ----------
        organization : str
            Its name.
        request : bytes
            The message.
        timeout : float
            Seconds that the organization has for its answer.

        Returns
        -------
        reply : bytes
            A message.

        Raises
        ------
        ConnectionError
            If the organization, or the label holder's FLARE server, is not there, or is
            lost while the organization works.
        TimeoutError
            If the organization is there, and does not answer in time.
        """
        deadline = time.monotonic() + timeout + _MARGIN
        with self._relay(organization, timeout) as relay:
            relay.send_bytes(request)
            status = _status(relay, deadline)
            if status == "answered":
                return relay.recv_bytes()
        if status == "late":
            raise TimeoutError(f"{organization} did not answer in time")
        raise ConnectionError(f"{organization}: {status}")

    def close(self):
        """Do nothing: a channel keeps no connection, and ends nothing at other hosts."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _why_not(self, error):
        """Return why the relay cannot be used."""
        if not self._name:
            return (
                f"The FLARE server of {self.kit} does not answer. Start it on this host by "
                f"`sklearn-gal label-holder --kit {self.kit}`."
            )
        if isinstance(error, AuthenticationError):
            return (
                f"The label holder's FLARE server refuses the start-up kit {self.kit}, "
                "which was revoked or replaced. Use the newest kit."
            )
        return (
            f"The label holder's FLARE server does not answer {self._name!r}. Start it on "
            "this host by `sklearn-gal label-holder` with the kit label_holder."
        )

    @contextmanager
    def _relay(self, organization, timeout):
        """Connect to the relay and tell it whom to ask."""
        try:
            folder = self.kit / "relays"
            port, key = int((folder / "port").read_text()), (folder / "key").read_bytes()
            relay = _connect(port, key, self._name)
        except (OSError, EOFError, AuthenticationError) as error:
            check_certificates_of(self.kit)
            raise ConnectionError(self._why_not(error)) from error
        with relay:
            try:
                asked = {"organization": organization, "timeout": timeout}
                relay.send_bytes(json.dumps(asked).encode())
                yield relay
            except (OSError, EOFError) as error:
                if isinstance(error, (ConnectionError, TimeoutError)):
                    raise
                raise ConnectionError("the label holder's FLARE server was lost") from error


def _connect(port, key, name):
    """Return a connection to a relay, on which no read waits for longer than SILENCE."""
    with socket.create_connection((_LOOPBACK, port), timeout=SILENCE) as plain:
        plain.settimeout(None)
        limit = struct.pack("ll", int(SILENCE), 0)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        relay = Connection(plain.detach())
    relay.send_bytes(name.encode())
    answer_challenge(relay, key)
    deliver_challenge(relay, key)
    return relay


def _status(relay, deadline):
    """Return how a call has ended; until then the relay gives signs of life."""
    while not (frame := relay.recv_bytes(4096)):
        if time.monotonic() > deadline:
            raise TimeoutError("the relay has not ended a call in time")
    return frame.decode()
