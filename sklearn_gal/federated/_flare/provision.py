"""Start-up kits: certificates, addresses, and what each host permits."""

import contextlib
import hashlib
import io
import json
import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

from .._config import check_names, federation_settings
from .callers import RELAYS, make_kit, read_callers, write_callers
from .certificates import REVOKED, check_dates, read_certificate, revocation_list
from .components import RELAY, SCHEME, SITE
from .files import private_file, write_private

LABEL_HOLDER = "label_holder"
_ADMIN = "label-holder@sklearn-gal.local"
# The authority outlasts the certificates that it signs, so that these can be renewed one by
# one. FLARE makes them for 360 days.
AUTHORITY_DAYS = 3650
# Files of a workspace that have the address of the label holder and certificates.
_ESSENTIAL = ("fed_client.json", "client.crt", "server.crt", "rootCA.pem")
# Seconds for which FLARE tries to send a reply again. A lost one is asked for again anyway.
STREAM_SECONDS = 10.0
NO_RIGHTS = dict.fromkeys(
    (
        "submit_job",
        "clone_job",
        "manage_job",
        "download_job",
        "view",
        "operate",
        "shell_commands",
        "byoc",
        "server-predeployed-flwr",
    ),
    "none",
)


class Kit(NamedTuple):
    """A start-up kit, and what became of it: "new", "changed" or "as before"."""

    name: str
    path: Path
    state: str


def provision(config, folder, renew=()):
    """Make the start-up kits of a federation, or add kits signed by the same authority.

    A kit that is there already stays as it is, unless its address or certificate differs. A
    kit that was deleted is made again, with the same certificate.

    Parameters
    ----------
    config : path-like
        TOML file with `host`, the name under which the organizations reach the label
        holder, and `organizations`, a list of names. Optional are `name`, `port` (8002),
        `admin_port` (`port` plus one), `listen`, the address to listen on (`host`), and
        `label_holders`, names of further label holders, whose processes reach the server
        on `relay_port` of this host (`port` plus two).
    folder : path-like
        Folder for the kits: ``label_holder``, one per organization under its name, and
        ``authority``. The authority has the keys of all kits and the key that signs
        certificates; it must not be given away.
    renew : iterable of str, default=()
        Names of the kits that receive new certificates. The old ones are valid until they
        end.

    Returns
    -------
    kits : list of Kit
        Kit of ``"label_holder"``, of each organization and of each further label holder.

    Raises
    ------
    ValueError
        If a setting is invalid.
    CertificateError
        If the certificate of the authority has ended.
    """
    settings = federation_settings(config)
    folder = Path(folder).resolve()
    organizations, further = settings["organizations"], settings["label_holders"]
    check_names([*organizations, *further, LABEL_HOLDER, "authority"])
    unknown = sorted(set(renew) - {LABEL_HOLDER, *organizations, *further})
    if unknown:
        raise ValueError(
            f"{config} has the organizations {organizations}, but not {unknown}. Choose "
            f"among {[LABEL_HOLDER, *organizations, *further]}."
        )
    _check_authority(folder, [LABEL_HOLDER, *organizations, *further])
    authority = Authority(folder / "authority", settings["name"])
    authority.check()
    for name in renew:
        authority.forget(*([] if name in further else _subjects(settings, name)))
    made = _make_workspaces(settings, authority)
    authority.record()

    secret = private_file(authority.folder / "secret", secrets.token_hex(32))
    kits = []
    for name in (LABEL_HOLDER, *organizations):
        kit = folder / name
        kit.mkdir(mode=0o700, exist_ok=True)
        private_file(kit / "secret", secret)
        if name == LABEL_HOLDER:
            content = _place(made / _ADMIN, kit / "admin")
            content += _place(made / settings["host"], kit / "server")
            content += _describe(kit, settings, authority)
            restrict_server(kit / "server")
            (kit / "server" / "startup" / REVOKED).write_text(authority.revocation_list())
        else:
            content = _place(made / name, kit / "site")
            restrict_site(kit / "site")
        kits.append(Kit(name, kit, authority.compare(name, content)))
    for name in further:
        ends = _ends(settings, authority)
        content = make_kit(folder / name, settings, secret, ends, renew=name in renew)
        kits.append(Kit(name, folder / name, authority.compare(name, content)))
    write_callers(folder / LABEL_HOLDER, [folder / name for name in further])
    shutil.rmtree(made)
    return kits


def revoke(config, folder, name):
    """Revoke all certificates of an organization made so far, and make a new kit for it.

    Parameters
    ----------
    config, folder : path-like
        As those of `provision`.
    name : str
        Name of the organization, or of a further label holder. If it is no longer in
        `config`, it gets no new kit.

    Returns
    -------
    kits : list of Kit
        Kit of ``"label_holder"`` and of each organization.

    Raises
    ------
    ValueError
        If no kit was ever made under this name, or it is the label holder's.
    """
    settings = federation_settings(config)
    if name == LABEL_HOLDER:
        raise ValueError(
            "The kit of the label holder cannot be revoked, because the organizations have "
            "no list of revoked certificates. Make kits for all parties in a new folder."
        )
    folder = Path(folder).resolve()
    if name in read_callers(folder / LABEL_HOLDER / RELAYS):
        return provision(config, folder, {name} & set(settings["label_holders"]))
    authority = Authority(folder / "authority", settings["name"])
    authority.revoke(name)
    return provision(config, folder)


class Authority:
    """Certificates that were made so far, and which ones are revoked.

    Parameters
    ----------
    folder : Path
        Folder of the authority.
    federation : str
        Name of the federation.
    """

    def __init__(self, folder, federation):
        self.folder = folder
        self._state = folder / federation / "state" / "cert.json"
        self._issued = folder / "issued.json"
        self._kits = folder / "kits.json"

    def _read(self, path):
        return json.loads(path.read_text()) if path.exists() else {}

    def certificates(self):
        """Return the certificate of every party that has one now, by its subject."""
        state = self._read(self._state)
        return {
            subject: read_certificate(content["cert"].encode())
            for subject, content in state.items()
            if isinstance(content, dict)
        }

    def root(self):
        """Return the certificate of the authority, or None if there is none yet."""
        state = self._read(self._state)
        return read_certificate(state["root_cert"].encode()) if state else None

    def check(self):
        """Raise an error if the certificate of the authority has ended."""
        root = self.root()
        if root is not None:
            check_dates(root)

    def valid_days(self):
        """Return for how many days the certificate of the authority is made."""
        root = self.root()
        if root is None:
            return AUTHORITY_DAYS
        return (root.not_valid_after_utc - root.not_valid_before_utc).days

    def forget(self, *subjects):
        """Forget current certificates, so that new ones are made."""
        state = self._read(self._state)
        kept = {name: each for name, each in state.items() if name not in subjects}
        if state:
            write_private(self._state, json.dumps(kept))

    def record(self):
        """Add the current certificates to those that were ever made."""
        issued = self._read(self._issued)
        for name, each in self.certificates().items():
            issued.setdefault(str(each.serial_number), {"name": name, "revoked": False})
        write_private(self._issued, json.dumps(issued, indent=2))
        self._state.chmod(0o600)

    def revoke(self, name):
        """Revoke all certificates that were ever made for a party."""
        issued = self._read(self._issued)
        own = [each for each in issued.values() if each["name"] == name]
        if not own:
            known = sorted({each["name"] for each in issued.values()})
            raise ValueError(
                f"{self.folder} has made no certificate for {name!r}, only for {known}."
            )
        for each in own:
            each["revoked"] = True
        write_private(self._issued, json.dumps(issued, indent=2))
        self.forget(name)

    def compare(self, name, content):
        """Return whether a kit is new or changed, and remember its content."""
        kits = self._read(self._kits)
        digest = hashlib.sha256(content).hexdigest()
        before, kits[name] = kits.get(name), digest
        write_private(self._kits, json.dumps(kits, indent=2))
        if before is None:
            return "new"
        return "as before" if before == digest else "changed"

    def revocation_list(self):
        """Return the signed list of revoked certificates, in PEM."""
        state, issued = self._read(self._state), self._read(self._issued)
        serials = [int(serial) for serial, each in issued.items() if each["revoked"]]
        return revocation_list(state["root_cert"], state["root_pri_key"], serials)


def _subjects(settings, name):
    """Return the names that the certificates of a kit are made for."""
    return (settings["host"], _ADMIN) if name == LABEL_HOLDER else (name,)


def _check_authority(folder, names):
    """Refuse to replace kits by those of another authority."""
    kits = [name for name in names if (folder / name).exists()]
    if kits and not (folder / "authority").exists():
        raise ValueError(
            f"{folder} has the kits {kits}, but not the folder 'authority', which signs "
            "kits. Put it back. To begin again with a new authority, delete the kits."
        )


def _make_workspaces(settings, authority):
    """Return a folder with the workspaces that FLARE's provisioning tool makes."""
    from nvflare.lighter.prov_utils import prepare_builders
    from nvflare.lighter.provision import prepare_project
    from nvflare.lighter.provisioner import Provisioner

    folder = authority.folder
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    project = project_of(settings, authority.valid_days())
    with contextlib.redirect_stdout(io.StringIO()):  # FLARE's tool prints to the terminal
        context = Provisioner(str(folder), prepare_builders(project)).provision(
            prepare_project(project)
        )
    return Path(context.get("current_prod_dir"))


def _describe(kit, settings, authority):
    """Write what the label holder knows of the federation, and return it as bytes."""
    description = {
        "organizations": settings["organizations"],
        "admin": _ADMIN,
        "listen": settings["listen"],
        "port": settings["port"],
        "admin_port": settings["admin_port"],
        "relay_port": settings["relay_port"],
    }
    text = json.dumps(description | {"certificates_end": _ends(settings, authority)})
    (kit / "federation.json").write_text(text)
    return json.dumps(description).encode()


def _ends(settings, authority):
    """Return when the certificates of the organizations end, by name."""
    return {
        name: certificate.not_valid_after_utc.isoformat()
        for name, certificate in authority.certificates().items()
        if name in settings["organizations"]
    }


def _place(made, workspace):
    """Move a workspace to its place, and return the content of its essential files.

    What FLARE has written to a workspace in use stays: its logs, jobs and snapshots.
    """

    def content(folder):
        paths = [folder / "startup" / name for name in _ESSENTIAL]
        return b"".join(path.read_bytes() for path in paths if path.exists())

    new = content(made)
    if not workspace.exists():
        shutil.move(made, workspace)
    elif content(workspace) != new or (made / "startup" / "fed_server.json").exists():
        for part in ("startup", "local"):
            _replace(made / part, workspace / part)
    return new


def project_of(settings, valid_days):
    """Return the content of the project file that FLARE's provisioning tool reads."""
    tools = "nvflare.lighter.impl"
    return {
        "api_version": 3,
        "name": settings["name"],
        "participants": [
            {
                "name": settings["host"],
                "type": "server",
                "org": "label_holder",
                "fed_learn_port": settings["port"],
                "admin_port": settings["admin_port"],
            },
            *(
                {"name": name, "type": "client", "org": name.replace("-", "_")}
                for name in settings["organizations"]
            ),
            {
                "name": _ADMIN,
                "type": "admin",
                "org": "label_holder",
                "role": "project_admin",
            },
        ],
        "builders": [
            {
                "path": f"{tools}.workspace.WorkspaceBuilder",
                "args": {"template_file": "master_template.yml"},
            },
            {
                "path": f"{tools}.static_file.StaticFileBuilder",
                "args": {"config_folder": "config", "scheme": "tcp"},
            },
            {
                "path": f"{tools}.cert.CertBuilder",
                "args": {"root_valid_days": valid_days},
            },
            {"path": f"{tools}.signature.SignatureBuilder"},
        ],
    }


def restrict_site(site):
    """Make an organization's host answer by the component `Site`, and permit no jobs."""
    _write_rights(site, NO_RIGHTS | {"view": "any"})
    _keep_streams_short(site)
    resources = _default_resources(site)
    # the log of an organization must not reach the server
    resources["allow_log_streaming"] = False
    resources["components"] = [
        *(each for each in resources["components"] if "streamer" not in each["id"]),
        {"id": "site", "path": SITE, "args": {"startup": str(site / "startup")}},
    ]
    _write_json(site / "local" / "resources.json", _without_jobs(resources))


def restrict_server(server):
    """Make the server relay by the component `Relay`, and permit no jobs."""
    _write_rights(server, NO_RIGHTS | {"view": "any", "operate": "any"})
    _keep_streams_short(server)
    resources = _default_resources(server)
    storage = resources["snapshot_persistor"]["args"]["storage"]["args"]
    storage["root_dir"] = str(server / "snapshots")
    for component in resources["components"]:
        if component["id"] == "job_manager":
            component["args"]["uri_root"] = str(server / "jobs")
    known = json.loads((server.parent / "federation.json").read_text())
    arguments = {
        "folder": str(server.parent / RELAYS),
        "startup": str(server / "startup"),
        "port": known.get("relay_port", 0),
    }
    resources["components"].append({"id": "relay", "path": RELAY, "args": arguments})
    _write_json(server / "local" / "resources.json", _without_jobs(resources))
    start = server / "startup" / "fed_server.json"
    settings = json.loads(start.read_text())
    settings["servers"][0]["admin_host"] = "127.0.0.1"
    settings["servers"][0]["service"]["scheme"] = SCHEME
    _write_json(start, settings)


def _without_jobs(resources):
    """Return the resources of a host where a job may use no class at all."""
    return resources | {"class_allow_list": [], "class_list_enforcement_mode": "enforce"}


def _keep_streams_short(workspace):
    """Make FLARE forget streams soon: it keeps a thread for each one that has ended."""
    _write_json(
        workspace / "local" / "comm_config.json",
        {"streaming_retry_timeout": STREAM_SECONDS},
    )


def _default_resources(site):
    return json.loads((site / "local" / "resources.json.default").read_text())


def _write_rights(site, rights):
    content = {"format_version": "1.0", "permissions": {"project_admin": rights}}
    _write_json(site / "local" / "authorization.json", content)


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2))


def _replace(source, target):
    if target.exists():
        shutil.rmtree(target)
    shutil.move(source, target)
