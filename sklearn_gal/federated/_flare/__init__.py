"""NVIDIA FLARE as the engine: it carries requests and replies as bytes over mutual TLS.

There is one FLARE job per organization. A job is configuration only and names two classes
of this package, which is installed on both sides: `Site` answers requests in a process of
the organization, and `Relay` runs on the label holder's host, where the fit reaches it over
the loopback interface.
"""

# No imports here: `sklearn-gal` must read and check settings where FLARE is not installed.
