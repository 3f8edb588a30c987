"""Start-up kits: certificates, addresses, and what each host permits."""

import contextlib
import io
import json
import os
import secrets
import shutil
from pathlib import Path

from ._config import check_names, federation_settings

_ADMIN = "label-holder@sklearn-gal.local"
# All that a job may build at either end.
ALLOWED_CLASSES = [
    "nvflare.collab.runtime.controller.CollabController",
    "nvflare.collab.runtime.executor.CollabExecutor",
    "sklearn_gal.federated._flare.Relay",
    "sklearn_gal.federated._flare.Site",
]
_NOTHING = dict.fromkeys(
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
    """Make the start-up kits of a federation, or further ones of the same authority.

    Parameters
    ----------
    config : path-like
        TOML file with `host`, under which the organizations reach the label holder,
        `organizations`, a list of names, and optionally `name`, `port` (8002),
        `admin_port` (the next), `listen`, the address to listen on (that of `host`).
    folder : path-like
        Where the kits go: ``label_holder``, one per organization under its name, and
        ``authority`` with the keys of all kits and the one that signs certificates, which
        is never given away.

    Returns
    -------
    kits : dict of str to Path
        Kit of ``"label_holder"`` and of each organization.

    Raises
    ------
    ValueError
        If a setting is unusable.
    """
    from nvflare.lighter.prov_utils import prepare_builders
    from nvflare.lighter.provision import prepare_project
    from nvflare.lighter.provisioner import Provisioner

    settings = federation_settings(config)
    folder = Path(folder).resolve()
    check_names([*settings["organizations"], "label_holder", "authority"])
    authority = folder / "authority"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority.mkdir(mode=0o700, exist_ok=True)
    project = project_of(settings)
    with contextlib.redirect_stdout(io.StringIO()):  # FLARE's tool reports to the terminal
        context = Provisioner(str(authority), prepare_builders(project)).provision(
            prepare_project(project)
        )
    made = Path(context.get("current_prod_dir"))

    kits = {"label_holder": folder / "label_holder"}
    kits |= {name: folder / name for name in settings["organizations"]}
    secret = _own_file(authority / "secret", secrets.token_hex(32))
    for name, kit in kits.items():
        if kit.exists() and name != "label_holder":
            continue  # in use, with a certificate of its own
        kit.mkdir(mode=0o700, exist_ok=True)
        _own_file(kit / "secret", secret)
        if name == "label_holder":
            _replace(made / settings["host"], kit / "server")
            _replace(made / _ADMIN, kit / "admin")
            known = {"organizations": settings["organizations"], "admin": _ADMIN}
            known["listen"] = settings["listen"]
            (kit / "federation.json").write_text(json.dumps(known))
            restrict_server(kit / "server", len(settings["organizations"]))
        else:
            _replace(made / name, kit / "site")
            restrict_site(kit / "site")
    shutil.rmtree(made)
    return kits


def project_of(settings):
    """The project file of FLARE's provisioning tool."""
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
    """Let an organization's host run our job and refuse everything else."""
    rights = _NOTHING | {"submit_job": "any", "manage_job": "any", "view": "any"}
    _write_rights(site, rights)
    resources = _default_resources(site)
    resources["class_allow_list"] = ALLOWED_CLASSES
    resources["class_list_enforcement_mode"] = "enforce"
    # its log stays with the organization
    resources["allow_log_streaming"] = False
    resources["components"] = [
        each for each in resources["components"] if "streamer" not in each["id"]
    ]
    _write_json(site / "local" / "resources.json", resources)


def restrict_server(server, n_organizations):
    """Let the label holder's server run our jobs, and store them in its own folder."""
    rights = _NOTHING | dict.fromkeys(
        ("submit_job", "manage_job", "view", "operate"), "any"
    )
    _write_rights(server, rights)
    resources = _default_resources(server)
    resources["class_allow_list"] = ALLOWED_CLASSES
    resources["class_list_enforcement_mode"] = "enforce"
    storage = resources["snapshot_persistor"]["args"]["storage"]["args"]
    storage["root_dir"] = str(server / "snapshots")
    for component in resources["components"]:
        if component["id"] == "job_manager":
            component["args"]["uri_root"] = str(server / "jobs")
        if component["id"] == "job_scheduler":
            component["args"]["max_jobs"] = 2 * n_organizations + 4
    _write_json(server / "local" / "resources.json", resources)
    start = server / "startup" / "fed_server.json"
    settings = json.loads(start.read_text())
    settings["servers"][0]["admin_host"] = "127.0.0.1"
    _write_json(start, settings)


def _default_resources(site):
    return json.loads((site / "local" / "resources.json.default").read_text())


def _write_rights(site, rights):
    content = {"format_version": "1.0", "permissions": {"project_admin": rights}}
    _write_json(site / "local" / "authorization.json", content)


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2))


def _own_file(path, text):
    """Text of a file that only its owner reads; written if it is not there yet."""
    if not path.exists():
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
    return path.read_text()


def _replace(source, target):
    if target.exists():
        shutil.rmtree(target)
    shutil.move(source, target)
