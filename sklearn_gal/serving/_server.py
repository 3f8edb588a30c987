"""uvicorn with the limits that it does not have, and the files that models come from."""

import gc
import socket
import sys
import zipfile
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

# Seconds in which the headers of a request must arrive
HEADERS_TIMEOUT = 10.0
# Seconds after which requests that are not answered do not delay the end of the service
_GRACE = 10
# Seconds for which a thread may keep the interpreter while another one waits for it. The
# model works in a thread next to the one that reads and writes.
_SWITCH_INTERVAL = 0.0005

# one of two classes, whichever parser is installed
_Protocol: Any = AutoHTTPProtocol


class Protocol(_Protocol):
    """Closes connections whose next request does not begin in time."""

    def connection_made(self, transport):
        """Begin to watch the connection."""
        super().connection_made(transport)
        self._watched = None
        self._watch = self.loop.call_later(HEADERS_TIMEOUT, self._check)

    def connection_lost(self, exc):
        """End to watch the connection."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _check(self):
        """Close the connection if nothing was asked since the last time."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self.cycle is self._watched:
            self.transport.close()
            return
        self._watched = self.cycle
        self._watch = self.loop.call_later(HEADERS_TIMEOUT, self._check)


def run(app, host, port):
    """Answer until the process is asked to end.

    Parameters
    ----------
    app : ASGI application
        The application.
    host : str
        Address to listen on.
    port : int
        Port to listen on; 0 is any that is free.

    Raises
    ------
    OSError
        If the address is not this host's, or the port is in use.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OSError(f"Cannot listen on {host} port {port}: {error}.") from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        # Garbage collection would stop all requests while it looks through the model and
        # the modules, which stay.
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"serving on http://{shown}:{port}\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listening])


def load_model(path, trust):
    """Load a fitted model from a file that skops, or joblib, has written.

    Parameters
    ----------
    path : path-like
        The file.
    trust : bool
        Whether to trust the types in a skops file, or the code in a file of joblib.

    Raises
    ------
    ValueError
        If the file is not trusted, or is of another kind.
    OSError
        If it cannot be read.
    """
    if zipfile.is_zipfile(path):
        return _load_skops(path, trust)
    with open(path, "rb"):  # a file that is not there is told first
        pass
    if not trust:
        raise ValueError(
            f"{path} is not a skops file. If joblib has written it, loading it runs the "
            "code in it: add --trust if the file comes from you, or write it with skops."
        )
    import joblib

    try:
        return joblib.load(path)
    except Exception as error:  # pickles raise any error
        raise ValueError(
            f"joblib cannot load {path} ({type(error).__name__}: {error}). Write the model "
            "with skops.io.dump or joblib.dump, and with the same releases."
        ) from error


def _load_skops(path, trust):
    import skops.io

    types = skops.io.get_untrusted_types(file=path)
    if types and not trust:
        listed = "\n".join(f"  {name}" for name in types)
        raise ValueError(
            f"{path} has types that skops does not trust:\n{listed}\nLoading them imports "
            "their modules. If you know all of them, add --trust."
        )
    return skops.io.load(path, trusted=types)
