"""Start-up kits: certificates, addresses, and what each host permits."""

import contextlib
import io
import json
import os
import secrets
import shutil
from pathlib import Path

from .._config import check_names, federation_settings
from .components import RELAY, SCHEME, SITE

_ADMIN = "label-holder@sklearn-gal.local"
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


def provision(config, folder):
    """Make the start-up kits of a federation, or add kits signed by the same authority.

    Parameters
    ----------
    config : path-like
        TOML file with `host`, the name under which the organizations reach the label
        holder, and `organizations`, a list of names. Optional are `name`, `port` (8002),
        `admin_port` (`port` plus one) and `listen`, the address to listen on (`host`).
    folder : path-like
        Folder for the kits: ``label_holder``, one per organization under its name, and
        ``authority``. The authority has the keys of all kits and the key that signs
        certificates; it must not be given away.

    Returns
    -------
    kits : dict of str to Path
        Kit of ``"label_holder"`` and of each organization.

    Raises
    ------
    ValueError
        If a setting is invalid.
    """
    settings = federation_settings(config)
    folder = Path(folder).resolve()
    check_names([*settings["organizations"], "label_holder", "authority"])
    authority = folder / "authority"
    made = _make_workspaces(settings, authority)

    kits = {"label_holder": folder / "label_holder"}
    kits |= {name: folder / name for name in settings["organizations"]}
    secret = _private_file(authority / "secret", secrets.token_hex(32))
    for name, kit in kits.items():
        if kit.exists() and name != "label_holder":
            continue  # the organization uses it, with the certificate in it
        kit.mkdir(mode=0o700, exist_ok=True)
        _private_file(kit / "secret", secret)
        if name == "label_holder":
            _replace(made / settings["host"], kit / "server")
            _replace(made / _ADMIN, kit / "admin")
            description = {"organizations": settings["organizations"], "admin": _ADMIN}
            description["listen"] = settings["listen"]
            (kit / "federation.json").write_text(json.dumps(description))
            restrict_server(kit / "server")
        else:
            _replace(made / name, kit / "site")
            restrict_site(kit / "site")
    shutil.rmtree(made)
    return kits


def _make_workspaces(settings, authority):
    """Return a folder with the workspaces that FLARE's provisioning tool makes."""
    from nvflare.lighter.prov_utils import prepare_builders
    from nvflare.lighter.provision import prepare_project
    from nvflare.lighter.provisioner import Provisioner

    authority.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority.mkdir(mode=0o700, exist_ok=True)
    project = project_of(settings)
    with contextlib.redirect_stdout(io.StringIO()):  # FLARE's tool prints to the terminal
        context = Provisioner(str(authority), prepare_builders(project)).provision(
            prepare_project(project)
        )
    return Path(context.get("current_prod_dir"))


def project_of(settings):
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
            {"path": f"{tools}.cert.CertBuilder"},
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
    folders = {"folder": str(server.parent / "relays"), "startup": str(server / "startup")}
    resources["components"].append({"id": "relay", "path": RELAY, "args": folders})
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


def _private_file(path, text):
    """Return the text of a file, written if there is none, that its owner alone reads."""
    if not path.exists():
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
    return path.read_text()


def _replace(source, target):
    if target.exists():
        shutil.rmtree(target)
    shutil.move(source, target)
