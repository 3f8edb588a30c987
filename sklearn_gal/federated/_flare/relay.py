"""The label holder's end: a component of FLARE's server, which passes requests on."""

import json
import logging
import os
import threading
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message

from .callers import key_of, relay_key
from .components import (
    ANSWER,
    CALL,
    CALLER,
    CERTIFICATE,
    CHANNEL,
    PING,
    PING_INTERVAL,
    SIGNATURE,
    SILENCE,
)
from .signing import Signer

log = logging.getLogger("sklearn_gal.federated")

LOOPBACK = "127.0.0.1"
# Bytes of the largest request or reply.
MAX_CALL = 2**32
# Seconds that an organization has to answer a ping.
_PING_LIMIT = 3.0
# How often an organization that is silent is asked for a sign of life before a call.
_N_PINGS = 3
# What the caller is told if there is no reply in time, or no connection.
_UNANSWERED = {None: "late", b"": "lost"}


class Relay(FLComponent):
    """Pass requests that arrive over loopback on to organizations, and replies back.

    Parameters
    ----------
    folder : str
        Folder for the keys that callers need, and for the address.
    startup : str
        Folder of the server's kit with its key and its certificate.
    port : int, default=0
        Port to listen on; 0 is any that is free.
    """

    def __init__(self, folder, startup, port=0):
        super().__init__()
        self._folder, self._port = Path(folder), port
        self._signer = Signer(Path(startup))
        self._cell: Any = None
        self._boots = {}  # starts of the process of each organization, in their order

    def handle_event(self, event_type, fl_ctx):
        """Listen as soon as FLARE's server runs."""
        if event_type == EventType.SYSTEM_START:
            self._cell = fl_ctx.get_engine().get_cell()
            listener = Listener((LOOPBACK, self._port), backlog=64)
            relay_key(self._folder)
            write_address(self._folder, listener.address[1])
            _in_thread(self._accept, listener)

    def _accept(self, listener):
        while True:
            _in_thread(self._serve, listener.accept())

    def _serve(self, connection):
        """Serve a caller with a key; it hears a status, and the reply if there is one."""
        with connection:
            try:
                caller = connection.recv_bytes(100).decode()
                key = key_of(self._folder, caller)
                deliver_challenge(connection, key)
                answer_challenge(connection, key)
                asked = json.loads(connection.recv_bytes(4096))
                name, timeout = asked["organization"], asked["timeout"]
                request = None if timeout is None else connection.recv_bytes(MAX_CALL)
                boot, reply = self._find(name), None
                status = "connected" if boot else "not connected"
                if boot and request is not None:
                    asked_for = name, timeout, request, boot, caller
                    status, reply = self._ask(connection, *asked_for)
                connection.send_bytes(status.encode())
                if reply is not None:
                    connection.send_bytes(reply)
            except AuthenticationError:
                log.warning("refused a caller without the key")
            except (OSError, EOFError):
                log.info("a caller has hung up")
            except Exception:
                log.exception("could not relay a request")

    def _find(self, name):
        """Return what `_ping` does, and ask again while the organization is silent.

        FLARE drops what an organization replies before it is registered.
        """
        asked: list[Future] = []
        for _ in range(_N_PINGS):
            asked.append(_in_thread(self._ping, name, ""))
            done, _ = wait(asked, PING_INTERVAL, FIRST_COMPLETED)
            if done:
                return done.pop().result()
        return None

    def _ask(self, connection, name, timeout, request, boot, caller):
        """Ask an organization, with a sign of life to both ends until it has answered.

        An error is raised if the caller has hung up. The organization then hears no more
        pings and stops.
        """
        call = str(uuid.uuid4())
        answer = _in_thread(self._send, ANSWER, name, call, request, timeout, caller)
        heard = time.monotonic()
        ping: Future | None = None
        while True:
            done, _ = wait({answer, ping} - {None}, PING_INTERVAL, FIRST_COMPLETED)
            if answer in done:
                reply = answer.result()
                return ("answered", reply) if reply else (_UNANSWERED[reply], None)
            connection.send_bytes(b"")
            if connection.poll():  # a caller sends nothing more
                raise EOFError
            if ping is not None and ping in done:
                now, ping = ping.result(), None
                if now == boot:
                    heard = time.monotonic()
                elif now is not None:
                    return "restarted" if now else "lost", None
                wait({answer}, PING_INTERVAL)
            if time.monotonic() - heard > SILENCE:
                return "silent", None
            if ping is None:
                ping = _in_thread(self._ping, name, call)

    def _ping(self, name, call):
        """Return by which name an organization calls this start of its process."""
        boot = self._send(PING, name, call, b"?", _PING_LIMIT)
        known = self._boots.setdefault(name, [])
        if boot and boot not in known[-1:]:
            if boot in known:
                log.error(
                    "Two processes use the kit of %r and push each other off. End one of "
                    "them, or make another kit.",
                    name,
                )
            known.append(boot)
        return boot

    def _send(self, topic, name, call, content, timeout, caller=""):
        """Send a message to an organization and return the reply.

        It is None if there is none in time, and empty if the organization is not connected.
        """
        headers = {
            CALL: call,
            CALLER: caller,
            CERTIFICATE: self._signer.certificate,
            SIGNATURE: self._signer.sign(topic, name, call, content, caller),
        }
        # a ping is no stream, for whose replies FLARE keeps a thread for a while
        cell = self._cell.core_cell if topic == PING else self._cell
        reply = cell.send_request(
            channel=CHANNEL,
            topic=topic,
            target=name,
            request=Message(headers, content),
            timeout=timeout,
            optional=True,
        )
        code = reply.get_header(MessageHeaderKey.RETURN_CODE, ReturnCode.OK)
        if code == ReturnCode.OK:
            return bytes(reply.payload)
        log.info("no reply of %s to %s: %s", name, topic, code)
        return None if code == ReturnCode.TIMEOUT else b""


def _in_thread(function, *arguments):
    """Return the future result of a function in a thread that does not hinder an exit."""
    result: Future = Future()

    def run():
        try:
            result.set_result(function(*arguments))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result


def write_address(folder, port):
    """Tell callers the port of the relay."""
    partial = folder / ".port.part"
    partial.write_text(str(port))
    os.replace(partial, folder / "port")  # so that readers never see a part of the file
