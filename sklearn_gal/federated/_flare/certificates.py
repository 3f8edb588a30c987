"""Certificates of start-up kits: when they end, and which ones are revoked."""

import datetime
import json
import logging
import socket
import ssl
import threading
import time
import warnings
from pathlib import Path

from .._environment import Refused, Unreachable

log = logging.getLogger("sklearn_gal.federated")

# Days before the end of a certificate from which on its user is warned.
WARN_DAYS = 30
REVOKED = "revoked.pem"
_DAY = 24 * 3600
# Seconds that FLARE's programs need until they write logs.
_LOGS_ARE_SET_UP = 10
_RENEWAL = (
    "Renew it by `sklearn-gal renew` where the kits are made, put the new kit in place and "
    "start again"
)
_NEW_KITS = (
    "It is the authority's, which signs all others: make kits for all parties in a new "
    "folder, put them in place and start again"
)


class CertificateError(ConnectionError):
    """A certificate of a start-up kit has ended, or is not valid yet."""


def certificates(workspace):
    """Return the certificates of a workspace: its party's, and the authority's.

    Parameters
    ----------
    workspace : path-like
        Folder with a folder ``startup``, such as ``site`` of an organization's kit.

    Returns
    -------
    certificates : list of Certificate
    """
    startup = Path(workspace) / "startup"
    paths = [*sorted(startup.glob("*.crt")), startup / "rootCA.pem"]
    return [read_certificate(path.read_bytes()) for path in paths]


def read_certificate(pem):
    """Return the certificate that a text in PEM has."""
    from cryptography import x509  # comes with FLARE, without which this must be importable

    return x509.load_pem_x509_certificate(pem)


def name_of(certificate):
    """Return the name of the party that a certificate was made for."""
    from cryptography import x509

    (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(name.value)


def check_certificates(*workspaces):
    """Check the dates of all certificates of workspaces.

    Returns
    -------
    warnings : list of str
        A sentence for every certificate that ends within 30 days.

    Raises
    ------
    CertificateError
        If a certificate has ended, or is not valid yet.
    """
    found = {
        each.serial_number: check_dates(each)
        for workspace in workspaces
        for each in certificates(workspace)
    }
    return [sentence for sentence in found.values() if sentence]


def check_dates(certificate):
    """Return a sentence if a certificate ends within 30 days, else an empty text.

    Raises
    ------
    CertificateError
        If it has ended, or is not valid yet.
    """
    return _soon_or_error(
        name_of(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        _NEW_KITS if certificate.issuer == certificate.subject else _RENEWAL,
    )


def check_ends(ends):
    """Return a sentence for every party whose certificate has ended, or soon does.

    Parameters
    ----------
    ends : dict of str to str
        For each party, the time at which its certificate ends, in ISO format.
    """
    sentences = []
    for name, end in ends.items():
        try:
            long_ago = datetime.datetime.min.replace(tzinfo=datetime.UTC)
            end = datetime.datetime.fromisoformat(end)
            sentences.append(_soon_or_error(name, long_ago, end))
        except CertificateError as error:
            sentences.append(str(error))
    return [sentence for sentence in sentences if sentence]


def _soon_or_error(name, begin, end, remedy=_RENEWAL):
    """Return a warning if a certificate ends soon, else an empty text."""
    now = datetime.datetime.now(datetime.UTC)
    if now >= end:
        raise CertificateError(
            f"The certificate of {name!r} ended on {end:%Y-%m-%d}, and other hosts refuse "
            f"it. {remedy}."
        )
    if now < begin:
        raise CertificateError(
            f"The certificate of {name!r} is not valid before {begin:%Y-%m-%d %H:%M} UTC, "
            f"and the clock of this host says {now:%Y-%m-%d %H:%M} UTC. Set the clock."
        )
    days = (end - now).days
    if days >= WARN_DAYS:
        return ""
    return (
        f"The certificate of {name!r} ends on {end:%Y-%m-%d}, in {days} days. {remedy} "
        "before that day. Until then the old and the new certificate are valid."
    )


def warn_of_ends(kit, ends):
    """Warn the data scientist of certificates that end.

    Parameters
    ----------
    kit : Path
        The label holder's kit.
    ends : dict of str to str
        For each organization, the time at which its certificate ends.

    Raises
    ------
    CertificateError
        If a certificate of the kit has ended.
    """
    for sentence in check_certificates_of(kit) + check_ends(ends):
        warnings.warn(sentence, UserWarning, stacklevel=3)


def check_certificates_of(kit):
    """Check a label holder's kit, as `check_certificates` does.

    Only the kit of the label holder with the server has certificates.
    """
    workspaces = [kit / "server", kit / "admin"]
    return check_certificates(*(each for each in workspaces if each.exists()))


def watch_certificates(*workspaces, ends=None):
    """Check the certificates of workspaces, and go on to do so in a thread that logs.

    Parameters
    ----------
    *workspaces : path-like
        Workspaces of this host.
    ends : dict of str to str, default=None
        For each other party, the time at which its certificate ends.

    Raises
    ------
    CertificateError
        If a certificate of this host has ended, or is not valid yet.
    """
    check_certificates(*workspaces)

    def watch():
        time.sleep(_LOGS_ARE_SET_UP)
        while True:
            log_ends(*workspaces, ends=ends)
            time.sleep(_DAY)

    threading.Thread(target=watch, name="certificates", daemon=True).start()


def log_ends(*workspaces, ends=None):
    """Log warnings and errors about the dates of certificates."""
    try:
        for sentence in check_certificates(*workspaces) + check_ends(ends or {}):
            log.warning(sentence)
    except CertificateError as error:
        log.error(str(error))


def label_holder_address(site):
    """Return host and port of the server, as the kit of an organization has them."""
    client = json.loads((Path(site) / "startup" / "fed_client.json").read_text())
    host, _, port = client["servers"][0]["service"]["target"].rpartition(":")
    return host, int(port)


def ask_label_holder(site, timeout=5.0):
    """Shake hands with the label holder's server, as an organization's client does.

    Parameters
    ----------
    site : Path
        Workspace of the organization.
    timeout : float, default=5.0
        Seconds to wait for the server.

    Returns
    -------
    sentence : str
        That the server accepts the certificate.

    Raises
    ------
    Unreachable
        If the server cannot be reached.
    Refused
        If the server refuses the certificate of the kit, or its own is not accepted.
    """
    startup = site / "startup"
    host, port = label_holder_address(site)
    target = f"{host}:{port}"
    context = ssl.create_default_context(cafile=str(startup / "rootCA.pem"))
    context.check_hostname = False  # the authority signs for this federation only
    context.load_cert_chain(startup / "client.crt", startup / "client.key")
    try:
        with socket.create_connection((host, port), timeout) as plain:
            with context.wrap_socket(plain) as connection:
                # with TLS 1.3, a refusal arrives after the handshake
                connection.settimeout(1)
                try:
                    if not connection.recv(1):
                        raise ConnectionError("it closes the connection at once")
                except TimeoutError:
                    pass
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"The certificate of the label holder's server at {target} is not accepted: "
            f"{error.verify_message}. Ask the label holder for its newest kit."
        ) from error
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            raise Unreachable(
                f"What listens at {target} does not answer as the label holder's server "
                f"does ({error.reason or error}). Ask the label holder for the port of its "
                "server."
            ) from error
        raise Refused(
            f"The label holder's server at {target} refuses the certificate of this kit: "
            f"{error.reason}. Use the newest kit that the label holder has sent."
        ) from error
    except OSError as error:
        raise Unreachable(
            f"The settings are valid, but the label holder's server at {target} cannot be "
            f"reached: {error}. Ask the label holder whether it runs, and whether the "
            f"firewalls of both let connections to port {port} pass."
        ) from error
    return f"the label holder's server at {target} accepts this kit"


def revocation_list(root_certificate, root_key, serials):
    """Return the signed list of revoked certificates, in PEM.

    Parameters
    ----------
    root_certificate : str
        Certificate of the authority, in PEM.
    root_key : str
        Its private key, in PEM.
    serials : iterable of int
        Serial numbers of the certificates.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    root = read_certificate(root_certificate.encode())
    key = serialization.load_pem_private_key(root_key.encode(), password=None)
    begin, end = root.not_valid_before_utc, root.not_valid_after_utc
    # while a list is not valid, the server refuses all certificates
    builder = x509.CertificateRevocationListBuilder(
        root.subject, last_update=begin, next_update=end
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder(serial, begin)
        builder = builder.add_revoked_certificate(revoked.build())
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def refuse_revoked(workspace):
    """Make the TLS servers of this process refuse the certificates that are revoked.

    Parameters
    ----------
    workspace : Path
        Workspace of the server. Its list of revoked certificates may not exist.
    """
    from nvflare.fuel.f3.drivers import net_utils, tcp_driver

    path = workspace / "startup" / REVOKED
    if not path.exists():
        return
    make_context = net_utils.get_ssl_context

    def make_context_with_list(params, ssl_server):
        context = make_context(params, ssl_server)
        if ssl_server and context is not None:
            context.load_verify_locations(path)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context

    for module in (net_utils, tcp_driver):
        module.get_ssl_context = make_context_with_list
