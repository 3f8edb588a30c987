"""What a host tells its operators: logs as JSON lines, and whether it is healthy."""

import argparse
import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .._environment import add_option
from .certificates import certificates

log = logging.getLogger("sklearn_gal.federated")

LOOPBACK = "127.0.0.1"
# FLARE's names of the formatters.
_FORMATS = {"text": "baseFormatter", "json": "jsonFormatter"}
_LOGGING = "log_config.json"


def add_monitoring_options(parser):
    """Add the options of `start_monitoring` to the parser of a command."""
    add_option(
        parser,
        "log-format",
        "text, or json for a JSON object per line",
        kind=_log_format,
        default="text",
    )
    add_option(
        parser,
        "health-port",
        "port of the loopback interface with /health; none by default",
        kind=_port,
    )


def _log_format(text):
    if text not in _FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} is no format; expected text or json")
    return text


def _port(text):
    if not (text.isdigit() and 0 < int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 1 to 65535")
    return int(text)


def start_monitoring(options, workspace, role, port):
    """Set the format of the logs, and answer questions about the health of this process.

    Parameters
    ----------
    options : Namespace
        Has `log_format` and `health_port`.
    workspace : Path
        FLARE's workspace of this process.
    role : str
        ``"server"`` or ``"client"``.
    port : int
        Port of the label holder's server.
    """
    write_log_config(workspace, options.log_format)
    if options.health_port is not None:
        serve_health(options.health_port, lambda: health(workspace, role, port))


def write_log_config(workspace, log_format):
    """Write the configuration of the logs that FLARE's processes read."""
    local = workspace / "local"
    config = json.loads((local / f"{_LOGGING}.default").read_text())
    config["handlers"]["consoleHandler"]["formatter"] = _FORMATS[log_format]
    (local / _LOGGING).write_text(json.dumps(config, indent=2))


def health(workspace, role, port):
    """Return whether this process works, and how it is known.

    A server is healthy if it listens, a client if it is connected, and both only while
    their certificates are valid.

    Returns
    -------
    state : dict
        With ``"healthy"``, a bool.
    """
    import psutil

    sockets = psutil.Process().net_connections("tcp")
    if role == "server":
        at_port = [each for each in sockets if each.laddr.port == port]
        state = {
            "listens": any(each.status == psutil.CONN_LISTEN for each in at_port),
            "connections": sum(each.status == psutil.CONN_ESTABLISHED for each in at_port),
        }
        works = state["listens"]
    else:
        works = any(
            each.raddr
            and each.raddr.port == port
            and each.status == psutil.CONN_ESTABLISHED
            for each in sockets
        )
        state = {"connected": works}
    end = min(each.not_valid_after_utc for each in certificates(workspace))
    seconds = end.timestamp() - time.time()
    return {
        "healthy": works and seconds > 0,
        "role": role,
        **state,
        "certificate_ends": end.isoformat(),
        "certificate_days": int(seconds // 86400),
    }


def serve_health(port, state):
    """Answer ``GET /health`` on the loopback interface, by a thread.

    Parameters
    ----------
    port : int
        Port to listen on.
    state : callable
        Returns a dict with ``"healthy"``. The status is 200 if it is true, else 503.

    Returns
    -------
    server : ThreadingHTTPServer
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self):
            if self.path != "/health":
                self.send_error(404)
                return
            content = state()
            body = json.dumps(content).encode() + b"\n"
            self.send_response(200 if content["healthy"] else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):
            log.debug(format, *args)

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
