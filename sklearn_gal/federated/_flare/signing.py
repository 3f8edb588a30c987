"""Signatures of the label holder's server, by which organizations know who asks.

FLARE's server also passes on messages that clients send each other. An organization
therefore answers only what the server has signed with the key of its certificate.
"""

import hashlib
import json

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

_SCHEME = padding.PKCS1v15(), hashes.SHA256()


class Signer:
    """Signs for the server.

    Parameters
    ----------
    startup : Path
        Folder of the server's kit with its key and its certificate.
    """

    def __init__(self, startup):
        key = (startup / "server.key").read_bytes()
        self._key = serialization.load_pem_private_key(key, password=None)
        self.certificate = (startup / "server.crt").read_bytes()

    def sign(self, topic, organization, call, content, caller=""):
        """Return the signature of a message; `caller` is a further label holder."""
        return self._key.sign(_signed(topic, organization, call, content, caller), *_SCHEME)


class Verifier:
    """Verifies that the server has signed a message to an organization.

    Parameters
    ----------
    startup : Path
        Folder of the organization's kit with the authority's certificate.
    organization : str
        Name of the organization.
    """

    def __init__(self, startup, organization):
        root = (startup / "rootCA.pem").read_bytes()
        self._root = x509.load_pem_x509_certificate(root)
        # the name of the authority, which stays if the address of the label holder changes
        self.federation = _common_names(self._root)[0]
        settings = json.loads((startup / "fed_client.json").read_text())
        self._server = settings["servers"][0]["identity"]
        self._organization = organization
        self._known = {}  # public keys of certificates that were verified

    def verify(self, topic, call, content, certificate, signature, caller=""):
        """Raise ``InvalidSignature`` unless the server has signed the message."""
        if not (isinstance(certificate, bytes) and isinstance(signature, bytes)):
            raise InvalidSignature
        signed = _signed(topic, self._organization, str(call), content, caller)
        self._public_key(certificate).verify(signature, signed, *_SCHEME)

    def _public_key(self, text):
        if text not in self._known:
            certificate = x509.load_pem_x509_certificate(text)
            if certificate.issuer != self._root.subject:
                raise InvalidSignature
            certificate.verify_directly_issued_by(self._root)
            if _common_names(certificate) != [self._server]:
                raise InvalidSignature
            self._known = {text: certificate.public_key()}
        return self._known[text]


def _common_names(certificate):
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return [each.value for each in names]


def _signed(topic, organization, call, content, caller):
    about = f"{topic} {organization} {call} {caller}"
    return b"\n".join([about.encode(), hashlib.sha256(content).digest()])
