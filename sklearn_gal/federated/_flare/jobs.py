"""The FLARE job of an organization, and the names by which its parts find each other."""

import json

# Environment variables from which the processes that FLARE starts read their settings.
CONFIG_VARIABLE = "SKLEARN_GAL_ORGANIZATION"
RELAYS_VARIABLE = "SKLEARN_GAL_RELAYS"

# Paths of the classes that a job builds. They are strings because they are written to jobs
# and start-up kits, and because this module must not import FLARE.
CONTROLLER = "nvflare.collab.runtime.controller.CollabController"
EXECUTOR = "nvflare.collab.runtime.executor.CollabExecutor"
RELAY = "sklearn_gal.federated._flare.relay.Relay"
SITE = "sklearn_gal.federated._flare.site.Site"
# The kits of both sides permit these classes and no others.
ALLOWED_CLASSES = [CONTROLLER, EXECUTOR, RELAY, SITE]

_THREADS = {"max_inbound_call_threads": 16, "max_outbound_call_threads": 16}


def write_job(folder, organization):
    """Write the job of an organization, which is configuration only and ships no code.

    Parameters
    ----------
    folder : Path
        Folder to write the job to.
    organization : str
        Name of the organization.

    Returns
    -------
    job : Path
        Folder to submit.
    """
    server = {
        "format_version": 2,
        "workflows": [
            {
                "id": "controller",
                "path": CONTROLLER,
                "args": {"server_obj_id": "relay", "collab_obj_ids": [], **_THREADS},
            }
        ],
        "components": [{"id": "relay", "path": RELAY, "args": {}}],
    }
    client = {
        "format_version": 2,
        "executors": [
            {
                "tasks": ["*"],
                "executor": {
                    "path": EXECUTOR,
                    "args": {"client_obj_id": "site", "collab_obj_ids": [], **_THREADS},
                },
            }
        ],
        "components": [{"id": "site", "path": SITE, "args": {}}],
    }
    meta = {
        "name": "sklearn_gal",
        "resource_spec": {},
        "min_clients": 1,
        "deploy_map": {"relay": ["server"], "site": [organization]},
    }
    job = folder / "sklearn_gal"
    for app, name, config in (("relay", "server", server), ("site", "client", client)):
        path = job / app / "config" / f"config_fed_{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(config))
    (job / "meta.json").write_text(json.dumps(meta))
    return job
