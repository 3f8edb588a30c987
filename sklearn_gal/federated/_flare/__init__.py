"""NVIDIA FLARE as the engine: it carries requests and replies as bytes over mutual TLS.

FLARE's programs load two components of this package, which is installed on both sides.
`Site` answers requests in FLARE's client at the organization. `Relay` runs in FLARE's
server on the label holder's host, where the fit reaches it over the loopback interface.
"""

# No imports here: `sklearn-gal` must read and check settings where FLARE is not installed.
