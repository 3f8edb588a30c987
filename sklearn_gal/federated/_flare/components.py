"""The components that FLARE's programs load, and the names by which these find each other.

They are strings because they are written to start-up kits, and because this module must not
import FLARE.
"""

RELAY = "sklearn_gal.federated._flare.relay.Relay"
SITE = "sklearn_gal.federated._flare.site.Site"
# Transport of the label holder's server, which `driver` registers.
SCHEME = "gal"
# Channel and topics of the messages between a relay and the organizations.
CHANNEL = "sklearn_gal"
PING, ANSWER = "ping", "answer"
# Headers of such a message.
CALL, CALLER = "gal_call", "gal_caller"
CERTIFICATE, SIGNATURE = "gal_certificate", "gal_signature"
# Seconds between two signs of life next to a call.
PING_INTERVAL = 1.0
# Seconds without a sign of life after which a process is given up.
SILENCE = 10.0
