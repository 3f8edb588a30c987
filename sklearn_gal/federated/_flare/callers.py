"""Who may ask through a label holder's server: callers on its host, each with a key.

The kit of the server has the key of the label holder itself. Further label holders of the
federation have kits with another key each, by which the server knows their names.
"""

import json
import secrets

from .files import private_file, write_private

# Folder of a kit with the port of the relay and the key, and the file with all keys.
RELAYS, CALLERS = "relays", "callers.json"


def make_kit(kit, settings, secret, ends, renew):
    """Make the kit of a further label holder, and return its essential content.

    Parameters
    ----------
    kit : Path
        Its folder, which has the name of the label holder.
    settings : dict
        Settings of the federation.
    secret : str
        The secret that all parties share.
    ends : dict of str to str
        For each organization, the time at which its certificate ends.
    renew : bool
        Whether it gets another key, so that the server refuses the old one.
    """
    relays = kit / RELAYS
    for folder in (kit, relays):
        folder.mkdir(mode=0o700, exist_ok=True)
    private_file(kit / "secret", secret)
    if renew:
        (relays / "key").unlink(missing_ok=True)
    key = private_file(relays / "key", secrets.token_hex(32))
    (relays / "port").write_text(str(settings["relay_port"]))
    description = {"organizations": settings["organizations"], "label_holder": kit.name}
    text = json.dumps(description | {"certificates_end": ends})
    (kit / "federation.json").write_text(text)
    return json.dumps([description, settings["relay_port"], key]).encode()


def write_callers(server_kit, kits):
    """Tell the server the keys of the further label holders, and of no others."""
    relays = server_kit / RELAYS
    relays.mkdir(mode=0o700, exist_ok=True)
    keys = {kit.name: (kit / RELAYS / "key").read_text() for kit in kits}
    write_private(relays / CALLERS, json.dumps(keys))


def read_callers(relays):
    """Return the keys of the further label holders by name."""
    try:
        return json.loads((relays / CALLERS).read_text())
    except FileNotFoundError:
        return {}


def key_of(relays, name):
    """Return the key that a caller of this name must have.

    For an unknown name it is a random one, so that the caller is refused.
    """
    if not name:
        return relay_key(relays)
    return read_callers(relays).get(name, secrets.token_hex(32)).encode()


def relay_key(relays):
    """Return the key of the label holder itself; make it if there is none yet."""
    relays.mkdir(mode=0o700, exist_ok=True)
    return private_file(relays / "key", secrets.token_hex(32)).encode()
