"""The organization's end: a component of FLARE's client."""

import secrets
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.fuel.f3.message import Message

from .components import (
    ANSWER,
    CALL,
    CALLER,
    CERTIFICATE,
    CHANNEL,
    PING,
    SIGNATURE,
    SILENCE,
)
from .signing import Verifier


class Site(FLComponent):
    """Answer requests that the label holder's server has signed.

    Parameters
    ----------
    startup : str
        Folder of the kit with the certificates.
    """

    service: ClassVar[Any] = None  # of this process; set before FLARE's client starts

    def __init__(self, startup):
        super().__init__()
        self._verifier = Verifier(Path(startup), self.service.name)
        # it tells one start of the process from another
        self._sign_of_life = secrets.token_hex(8).encode()
        self._heard = {}  # time of the last sign of life of the caller, by call

    def handle_event(self, event_type, fl_ctx):
        """Take messages as soon as FLARE's client has its connection."""
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            cell = fl_ctx.get_engine().get_cell()
            cell.register_request_cb(channel=CHANNEL, topic=PING, cb=self._ping)
            cell.register_request_cb(channel=CHANNEL, topic=ANSWER, cb=self._answer)

    def _ping(self, message):
        call, _ = self._checked(PING, message)
        if call in self._heard:
            self._heard[call] = time.monotonic()
        return Message(payload=self._sign_of_life)

    def _answer(self, message):
        """Answer in another thread, so that FLARE's threads stay free for pings."""
        (call, caller), request = self._checked(ANSWER, message), bytes(message.payload)
        self._heard[call] = time.monotonic()
        reply: Future = Future()

        def answer():
            try:
                answered = self.service.answer(
                    request,
                    lambda: self._is_gone(call),
                    label_holder=caller or self._verifier.federation,
                )
                reply.set_result(Message(payload=answered))
            except BaseException as error:
                reply.set_exception(error)
                raise
            finally:
                del self._heard[call]

        threading.Thread(target=answer, daemon=True).start()
        return reply

    def _is_gone(self, call):
        """Whether there was no sign of life of the caller for long."""
        return time.monotonic() - self._heard[call] > SILENCE

    def _checked(self, topic, message):
        """Return the call and the caller of a message, after its signature was verified."""
        call, caller = message.get_header(CALL), str(message.get_header(CALLER, ""))
        certificate, signature = map(message.get_header, (CERTIFICATE, SIGNATURE))
        self._verifier.verify(topic, call, message.payload, certificate, signature, caller)
        return call, caller
