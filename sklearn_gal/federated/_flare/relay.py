"""The label holder's end of a job: it passes on requests that arrive over loopback."""

import json
import logging
import os
import secrets
import threading
import time
from multiprocessing.connection import Listener
from pathlib import Path

from nvflare.collab import collab

from .jobs import RELAYS_VARIABLE

log = logging.getLogger("sklearn_gal.federated")

LOOPBACK = "127.0.0.1"
# Bytes of the largest request or reply.
MAX_CALL = 2**32
# Seconds between two looks at what another process may have changed.
POLL_INTERVAL = 0.2


class Relay:
    """Pass requests of the fit on to the site of an organization, and replies back."""

    def __init__(self):
        self._folder = Path(os.environ[RELAYS_VARIABLE])
        self._ended = False

    @collab.main
    def run(self):
        """Listen until the job is aborted."""
        (site,) = collab.clients
        listener = Listener((LOOPBACK, 0), backlog=64, authkey=relay_key(self._folder))
        job = collab.fl_ctx.get_job_id()
        write_address(self._folder, site.name, listener.address[1], job)
        threading.Thread(target=self._accept, args=(listener, site), daemon=True).start()
        while not collab.is_aborted:
            time.sleep(POLL_INTERVAL)
        self._ended = True
        listener.close()

    def _accept(self, listener, site):
        while not self._ended:
            try:
                connection = listener.accept()
            except Exception as error:  # a caller without the key, or a closed listener
                log.warning("refused a caller: %s", type(error).__name__)
                time.sleep(POLL_INTERVAL)
                continue
            threading.Thread(
                target=self._relay, args=(connection, site), daemon=True
            ).start()

    def _relay(self, connection, site):
        with connection:
            try:
                timeout = float(connection.recv_bytes(64))
                request = connection.recv_bytes(MAX_CALL)
                reply = site(timeout=timeout).answer(request=request)
            except Exception as error:
                log.warning("no answer from %s: %s", site.name, type(error).__name__)
                connection.send_bytes(b"")
            else:
                connection.send_bytes(reply)


def relay_key(folder):
    """Return the key that relays ask callers for; make it if there is none yet."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "key"
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_bytes()


def address_path(folder, organization):
    """Return the file with the address of the relay to an organization."""
    return folder / f"{organization}.json"


def write_address(folder, organization, port, job):
    """Tell the fit the port of a relay and the job that it belongs to."""
    path = address_path(folder, organization)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps({"port": port, "job": job}))
    os.replace(partial, path)  # so that readers never see a part of the file


def read_address(folder, organization):
    """Return port and job of the relay to an organization, or None if there is none."""
    try:
        return json.loads(address_path(folder, organization).read_text())
    except FileNotFoundError:
        return None
