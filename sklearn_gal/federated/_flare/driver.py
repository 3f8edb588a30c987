"""What this package changes in FLARE's connections, at the server and at its clients."""

from nvflare.fuel.f3.communicator import driver_mgr
from nvflare.fuel.f3.drivers.socket_conn import ConnectionHandler
from nvflare.fuel.f3.drivers.tcp_driver import TcpDriver, TcpStreamServer
from nvflare.fuel.f3.sfm import conn_manager

from .components import SCHEME

# Seconds that a client has for the whole TLS handshake.
HANDSHAKE_LIMIT = 10.0
# Largest number of seconds between two tries of a client to reach the server. FLARE's
# number, 10, is longer than the server takes to start. Shorter ones are not logged.
_MAX_PAUSE = 5


class TimedHandler(ConnectionHandler):
    """Shakes hands in the thread of the connection, within a time limit."""

    def handle(self):
        """Serve a connection whose client has a certificate."""
        try:
            self.request.settimeout(HANDSHAKE_LIMIT)
            self.request.do_handshake()
            self.request.settimeout(None)
        except OSError:  # no certificate, too slow, or closed
            return
        super().handle()


class TimedServer(TcpStreamServer):
    """FLARE's server without handshakes in its loop that accepts connections."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, driver, connector):
        super().__init__(driver, connector)
        self.RequestHandlerClass = TimedHandler
        self.socket.do_handshake_on_connect = False


class TimedDriver(TcpDriver):
    """FLARE's TCP transport, which accepts connections while others shake hands."""

    @staticmethod
    def supported_transports():
        """Return the names under which FLARE finds the transport."""
        return [SCHEME]

    def listen(self, connector):
        """Accept connections until the transport is shut down."""
        self.connector = connector
        self.server = TimedServer(self, connector)
        self.server.serve_forever()


def register():
    """Make FLARE know the transport of the server."""
    driver_mgr.register(TimedDriver)


def reconnect_soon():
    """Make FLARE's client find a server that was started again within a few seconds."""
    conn_manager.MAX_WAIT = _MAX_PAUSE
