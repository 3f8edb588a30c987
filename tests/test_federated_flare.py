"""Label holder and organizations in separate processes, over FLARE on loopback."""

import importlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

import sklearn_gal
from _helpers import Halting, assert_same_model
from _processes import (
    command,
    descendants,
    federation_settings,
    free_ports,
    kill,
    start,
    wait_until,
)
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal.federated import (
    FederatedGALClassifier,
    FederatedGALRegressor,
    Federation,
    OrganizationError,
    OrganizationWarning,
    connect,
)
from sklearn_gal.federated._cli import main
from sklearn_gal.federated._flare.components import ANSWER, PING, RELAY, SITE

pytest.importorskip("nvflare")
# these modules need FLARE
from cryptography.exceptions import InvalidSignature
from nvflare.fuel.f3.drivers.connector_info import Mode
from nvflare.fuel.f3.sfm import conn_manager

from sklearn_gal.federated._flare import relay
from sklearn_gal.federated._flare import site as answering
from sklearn_gal.federated._flare.components import (
    CALL,
    CERTIFICATE,
    SIGNATURE,
)
from sklearn_gal.federated._flare.driver import reconnect_soon
from sklearn_gal.federated._flare.lock import hold
from sklearn_gal.federated._flare.signing import Signer, Verifier

# FLARE leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

SOURCE = Path(sklearn_gal.__file__).parents[1]
ESTIMATORS = """
    import time
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    bank = RandomForestRegressor(n_estimators=3, max_depth=3)
    clinic = make_pipeline(StandardScaler(), SVR())
    shop = Ridge()
"""
# estimators in the order of the federation; "hospital" is the label holder
LOCAL = {
    "hospital": Ridge(alpha=0.5),
    "bank": RandomForestRegressor(n_estimators=3, max_depth=3),
    "clinic": make_pipeline(StandardScaler(), SVR()),
    "shop": Ridge(),
}
TASKS = {
    "classifier": (load_wine, GALClassifier, FederatedGALClassifier),
    "regressor": (load_diabetes, GALRegressor, FederatedGALRegressor),
}


def task(name):
    """Columns of all organizations under common names, target, and row ids."""
    X, y = TASKS[name][0](return_X_y=True)
    X = pd.DataFrame(X[:, :8], columns=[f"x{j}" for j in range(8)])
    return X, y, np.array([f"{name} {i}" for i in range(len(y))])


def columns(name):
    start = 2 * list(LOCAL).index(name)
    return [f"x{start}", f"x{start + 1}"]


class Hosts:
    """A label holder's server and organizations, as processes on this machine."""

    def __init__(self, folder, organizations):
        self.folder, self.organizations = folder, organizations
        self.port, self.admin_port, self.relay_port = free_ports(3)
        self.kit = folder / "kits" / "label_holder"
        self.processes = {}
        known = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
        self.environment = os.environ | known
        self.write_settings()
        self.run(
            "provision", "--config", folder / "federation.toml", "--out", folder / "kits"
        )

    def write_settings(self):
        self.folder.joinpath("federation.toml").write_text(
            federation_settings(
                self.organizations,
                self.port,
                admin_port=self.admin_port,
                label_holders=["research"],
                relay_port=self.relay_port,
            )
        )
        self.folder.joinpath("estimators.py").write_text(textwrap.dedent(ESTIMATORS))
        for name in self.organizations:
            tables = []
            for each in TASKS:
                X, _, ids = task(each)
                tables.append(X[columns(name)].assign(key=ids))
            table = pd.concat(tables).sample(frac=1, random_state=0)
            table.to_csv(self.folder / f"{name}.csv", index=False)
            self.folder.joinpath(f"{name}.toml").write_text(
                f'name = "{name}"\nkit = "kits/{name}"\nkey = "key"\n'
                f'models = "models/{name}"\nsecret_file = "kits/{name}/secret"\n'
                f'estimator = "estimators.py:{name}"\n[table]\ncsv = "{name}.csv"\n'
                "[label_holders.research]\ncalls = ['predict']\n"
            )

    def run(self, *arguments):
        done = subprocess.run(
            command(*arguments),
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=120,
        )
        return done.stdout.decode()

    def start(self, name, *arguments):
        log = self.folder / f"{name}.log"
        self.processes[name] = start(arguments, log, **self.environment)

    def start_server(self):
        self.start("server", "label-holder", "--kit", self.kit)

    def start_organization(self, name):
        self.start(name, "organization", "--config", self.folder / f"{name}.toml")

    def end(self):
        for process in self.processes.values():
            kill(process)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    hosts = Hosts(tmp_path_factory.mktemp("hosts"), ["bank", "clinic", "shop"])
    try:
        hosts.start_server()
        for name in hosts.organizations:
            hosts.start_organization(name)
        yield hosts
    finally:
        hosts.end()


@pytest.fixture(scope="module")
def federation(hosts):
    federation = connect(hosts.kit, timeout=240)
    yield federation
    federation.channel.close()


def joint(name, **params):
    organizations = [(each, LOCAL[each], columns(each)) for each in LOCAL]
    return TASKS[name][1](organizations, random_state=0, **params)


def federated(name, federation, **params):
    own = [("hospital", LOCAL["hospital"], columns("hospital"))]
    params = {"deadline": 300, "on_failure": "fail"} | params
    return TASKS[name][2](federation, own, key="key", random_state=0, **params)


@pytest.fixture(scope="module", params=TASKS)
def fitted(request, federation):
    """A model of one place and the same between hosts, with rows for each."""
    name = request.param
    X, y, ids = task(name)
    frame = X[columns("hospital")].assign(key=ids)
    train = np.arange(len(y)) % 5 > 0
    params = {"max_iter": 4, "cv": 2}
    one = joint(name, **params).fit(X[train], y[train])
    other = federated(name, federation, **params).fit(frame[train], y[train])
    return one, other, X, frame


def test_the_same_model_to_the_last_bit(fitted):
    one, other, X, frame = fitted
    assert_same_model(one, other, X, frame)
    if hasattr(one, "predict_proba"):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(frame))
    assert (other.communication_["error"] == "").all()


def test_the_same_explanations(fitted):
    one, other, X, frame = fitted
    assert not hasattr(other, "feature_importances_")
    expected = one.feature_contributions(X[:20])
    explained = other.feature_contributions(frame[:20])
    assert explained.feature_names.tolist()[2:] == [
        f"{name}: all columns" for name in ("bank", "clinic", "shop")
    ]
    assert explained.is_sum.tolist() == [False, False, True, True, True]
    np.testing.assert_allclose(
        explained.values[:, :2], expected.values[:, :2], rtol=0, atol=1e-12
    )
    sums = expected.values[:, 2:].reshape(20, 3, 2, -1).sum(axis=2)
    np.testing.assert_allclose(explained.values[:, 2:], sums, rtol=0, atol=1e-9)
    np.testing.assert_allclose(explained.base_values, expected.base_values, atol=1e-9)
    asked = other.communication_["call"]
    assert {"expect", "explain"} <= set(asked)


def test_an_organization_logs_who_asks(hosts, federation):
    _, _, ids = task("regressor")
    federation.overlap(ids)
    (log,) = (hosts.folder / "models" / "bank" / "log").glob("*.jsonl")
    entry = json.loads(log.read_text().splitlines()[-1])
    known = {"label_holder": "sklearn_gal", "call": "predict", "decision": "answered"}
    assert known.items() <= entry.items()
    assert entry["ids"] <= len(ids) == entry["rows"]


def test_a_further_label_holder_has_a_name_and_rights(hosts, federation, tmp_path):
    kit = shutil.copytree(hosts.folder / "kits" / "research", tmp_path / "research")
    _, y, ids = task("regressor")
    further = connect(kit, organizations=["bank"], timeout=240)
    expected = federation.without("clinic").without("shop").overlap(ids)
    np.testing.assert_array_equal(further.overlap(ids)["bank"], expected["bank"])
    (log,) = (hosts.folder / "models" / "bank" / "log").glob("*.jsonl")
    entries = [json.loads(line) for line in log.read_text().splitlines()[-2:]]
    assert [each["label_holder"] for each in entries] == ["sklearn_gal", "research"]
    model = FederatedGALRegressor(further, on_failure="fail", max_iter=2)
    with pytest.raises(OrganizationError, match="not permit this label holder to fit"):
        model.fit(ids, y)
    # a kit of a name must have its key, and that of the server another one
    described = json.loads((kit / "federation.json").read_text())
    for name in ("billing", None):
        described["label_holder"] = name or ""
        (kit / "federation.json").write_text(json.dumps(described))
        message = "refuses the start-up kit" if name else "does not answer"
        with pytest.raises(ConnectionError, match=message):
            connect(kit, timeout=0)


def listening(pids):
    """Addresses on which processes listen, from the kernel's tables."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(link))
            except OSError:
                continue
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                addresses.add(fields[1].partition(":")[0])
    return addresses


def test_processes_listen_only_on_the_given_address(hosts, federation):
    pids = [pid for each in hosts.processes.values() for pid in descendants(each.pid)]
    assert len(pids) >= 4
    assert listening(pids) == {"0100007F"}


def test_connections_without_a_certificate_are_refused(hosts, federation, dishonest):
    other = dishonest  # the same name from another authority

    def shake_hands(site, seconds=120):
        """Connect as a site of a kit would; None without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if site is not None:
            startup = site / "startup"
            context.load_cert_chain(startup / "client.crt", startup / "client.key")
        with (
            socket.create_connection(("127.0.0.1", hosts.port), timeout=60) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.settimeout(seconds)
            try:
                data = connection.recv(1)
            except TimeoutError:
                return "accepted"  # the server waits for a message
            return "accepted" if data else "closed"

    assert shake_hands(hosts.folder / "kits" / "bank" / "site", 3) == "accepted"
    for site in (None, other.folder / "kits" / "bank" / "site"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert shake_hands(site) == "accepted"
    # the others shake hands while many connections say nothing, or begin and stop
    idle = []
    try:
        for number in range(100):
            idle.append(socket.create_connection(("127.0.0.1", hosts.port), timeout=60))
            if number % 2:
                idle[-1].sendall(b"\x16\x03\x01\x02\x00\x01")  # a part of a greeting
        assert shake_hands(hosts.folder / "kits" / "bank" / "site", 3) == "accepted"
        for each in idle[:2]:
            each.settimeout(300)
            assert each.recv(1) == b""  # the server has ended it
    finally:
        for each in idle:
            each.close()


# the classes of FLARE that a job needs at least
CONTROLLER = "nvflare.collab.runtime.controller.CollabController"
EXECUTOR = "nvflare.collab.runtime.executor.CollabExecutor"


def write_job(folder, organization):
    """A job as FLARE runs it where jobs are permitted."""
    controller = {"server_obj_id": "relay", "collab_obj_ids": []}
    executor = {"client_obj_id": "site", "collab_obj_ids": []}
    server = {
        "format_version": 2,
        "workflows": [{"id": "controller", "path": CONTROLLER, "args": controller}],
        "components": [{"id": "relay", "path": RELAY, "args": {}}],
    }
    client = {
        "format_version": 2,
        "executors": [{"tasks": ["*"], "executor": {"path": EXECUTOR, "args": executor}}],
        "components": [{"id": "site", "path": SITE, "args": {}}],
    }
    meta = {
        "name": "job",
        "resource_spec": {},
        "min_clients": 1,
        "deploy_map": {"relay": ["server"], "site": [organization]},
    }
    job = folder / "job"
    for app, name, config in (("relay", "server", server), ("site", "client", client)):
        path = job / app / "config" / f"config_fed_{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(config))
    (job / "meta.json").write_text(json.dumps(meta))
    return job


def submit(hosts, change):
    """Return the final status of the organization's job after `change` was applied."""
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    folder = hosts.folder / f"job {time.monotonic_ns()}"
    folder.mkdir()
    job = write_job(folder, "bank")
    change(job)
    session = new_secure_session(
        "label-holder@sklearn-gal.local", str(hosts.kit / "admin"), timeout=120
    )
    try:
        job_id = session.submit_job(str(job))
        for _ in range(300):
            status = str(session.get_job_status(job_id))
            if status.startswith("FINISHED") or "FAILED" in status:
                return status
            time.sleep(0.2)
        return status
    finally:
        session.close()


def ship_code(job, app="site"):
    custom = job / app / "custom"
    custom.mkdir()
    custom.joinpath("mine.py").write_text("raise SystemExit('shipped code ran')\n")


def another_class(job, app="site"):
    (config,) = job.glob(f"{app}/config/*.json")
    content = config.read_text()
    assert SITE in content
    config.write_text(content.replace(SITE, "subprocess.Popen"))


def test_kits_have_the_components_and_permit_no_class_in_jobs(hosts):
    kits = {RELAY: hosts.kit / "server", SITE: hosts.folder / "kits" / "bank" / "site"}
    for path, kit in kits.items():
        module, _, name = path.rpartition(".")
        cls = getattr(importlib.import_module(module), name)
        assert f"{cls.__module__}.{cls.__qualname__}" == path
        resources = json.loads((kit / "local" / "resources.json").read_text())
        assert path in [each.get("path") for each in resources["components"]]
        assert resources["class_allow_list"] == []
        assert resources["class_list_enforcement_mode"] == "enforce"
        rights = json.loads((kit / "local" / "authorization.json").read_text())
        for right in ("submit_job", "manage_job", "byoc", "shell_commands"):
            assert rights["permissions"]["project_admin"][right] == "none"


@pytest.fixture
def verifier(hosts):
    return Verifier(hosts.folder / "kits" / "bank" / "site" / "startup", "bank")


def test_an_organization_answers_only_what_the_server_has_signed(
    hosts, dishonest, verifier, tmp_path
):
    signer = Signer(hosts.kit / "server" / "startup")
    signature = signer.sign(ANSWER, "bank", "call", b"request")
    good = [ANSWER, "call", b"request", signer.certificate, signature]
    verifier.verify(*good)
    # another call, organization or content; the key of another organization or authority
    shop = hosts.folder / "kits" / "shop" / "site" / "startup"
    pretended = tmp_path / "pretended"
    pretended.mkdir()
    shutil.copy(shop / "client.key", pretended / "server.key")
    shutil.copy(shop / "client.crt", pretended / "server.crt")
    signers = [Signer(pretended), Signer(dishonest.kit / "server" / "startup")]
    bad = [
        [PING, *good[1:]],
        [*good, "research"],
        [ANSWER, "another call", *good[2:]],
        [ANSWER, "call", b"another request", *good[3:]],
        [*good[:4], signer.sign(ANSWER, "shop", "call", b"request")],
        [*good[:3], None, None],
        *(
            [*good[:3], each.certificate, each.sign(ANSWER, "bank", "call", b"request")]
            for each in signers
        ),
        [
            *good[:3],
            signer.certificate,
            signers[0].sign(ANSWER, "bank", "call", b"request"),
        ],
    ]
    for arguments in bad:
        with pytest.raises(InvalidSignature):
            verifier.verify(*arguments)


def test_an_organization_looks_for_the_server_every_few_seconds(monkeypatch):
    monkeypatch.setattr(conn_manager, "MAX_WAIT", conn_manager.MAX_WAIT)
    reconnect_soon()
    pauses = []

    def refuse(connector):
        raise ConnectionRefusedError

    stopped = SimpleNamespace(is_set=lambda: len(pauses) > 5, wait=pauses.append)
    connector = SimpleNamespace(
        mode=Mode.ACTIVE, driver=SimpleNamespace(connect=refuse), stopped=stopped
    )
    conn_manager.ConnManager.start_connector_task(connector)
    assert pauses == [1, 2, 4, 5, 5, 5]


def test_two_processes_with_one_kit_are_noticed(hosts, monkeypatch, caplog):
    with pytest.raises(ValueError, match="is used by another process"):
        hold(hosts.folder / "kits" / "bank" / "site")
    # on two hosts
    startup = hosts.kit / "server" / "startup"
    passes_on = relay.Relay(str(hosts.kit / "relays"), str(startup))
    boots = iter([b"first", b"first", b"second", b"second", b"first"])
    monkeypatch.setattr(passes_on, "_send", lambda *message: next(boots))
    for _ in range(4):
        passes_on._ping("bank", "")
    assert not caplog.records
    passes_on._ping("bank", "")
    assert "Two processes use the kit of 'bank'" in caplog.text


def test_work_at_an_organization_ends_without_signs_of_life(hosts, monkeypatch):
    from nvflare.fuel.f3.message import Message

    class Service:
        name = "bank"

        def answer(self, request, is_gone, *, label_holder):
            pinged.wait(600)
            return str([is_gone(), clock.sleep(11), is_gone(), label_holder]).encode()

    class Clock:
        """A clock that is advanced by hand."""

        now = 0.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    def message(topic, content):
        signature = signer.sign(topic, "bank", "call", content)
        headers = {CALL: "call", CERTIFICATE: signer.certificate, SIGNATURE: signature}
        return Message(headers, content)

    clock, pinged = Clock(), threading.Event()
    monkeypatch.setattr(answering, "time", clock)
    monkeypatch.setattr(answering.Site, "service", Service())
    signer = Signer(hosts.kit / "server" / "startup")
    site = answering.Site(str(hosts.folder / "kits" / "bank" / "site" / "startup"))
    reply = site._answer(message(ANSWER, b"request"))
    clock.sleep(9)
    site._ping(message(PING, b""))
    clock.sleep(9)
    pinged.set()
    assert reply.result(600).payload == b"[False, None, True, 'sklearn_gal']"


@pytest.mark.parametrize(
    ("kit", "message"),
    [
        ("label_holder", "is not an organization's start-up kit"),
        ("shop", "made for 'shop'"),
    ],
)
def test_the_kit_of_another_host_is_refused(hosts, capsys, kit, message):
    settings = (hosts.folder / "bank.toml").read_text()
    path = hosts.folder / f"bank_with_{kit}.toml"
    path.write_text(settings.replace('kit = "kits/bank"', f'kit = "kits/{kit}"'))
    assert main(["organization", "--config", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_an_organization_is_added_to_a_federation(tmp_path):
    hosts = Hosts(tmp_path, ["bank"])
    kits = tmp_path / "kits"

    def certificate(name):
        return (kits / name / "site" / "startup" / "client.crt").read_bytes()

    before = certificate("bank")
    hosts.organizations.append("shop")
    hosts.write_settings()
    hosts.run("provision", "--config", tmp_path / "federation.toml", "--out", kits)
    assert certificate("bank") == before
    assert certificate("shop") != before
    roots = {path.read_bytes() for path in kits.glob("*/*/startup/rootCA.pem")}
    assert len(roots) == 1
    known = json.loads((hosts.kit / "federation.json").read_text())
    assert known["organizations"] == ["bank", "shop"]
    secrets = {path.read_text() for path in kits.glob("*/secret")}
    assert len(secrets) == 1
    for path in [*kits.glob("*/secret"), *kits.glob("*/site/startup/*.key")]:
        assert path.stat().st_mode & 0o077 == 0


PERMISSIVE = """
import json, sys
from pathlib import Path
from sklearn_gal.federated import _cli
from sklearn_gal.federated._flare import command, provision

def permit_everything(server):
    local = Path(server) / "local"
    rights = {"project_admin": dict.fromkeys(provision.NO_RIGHTS, "any")}
    content = {"format_version": "1.0", "permissions": rights}
    local.joinpath("authorization.json").write_text(json.dumps(content))
    resources = json.loads(local.joinpath("resources.json").read_text())
    resources["class_allow_list"] = ["*"]
    local.joinpath("resources.json").write_text(json.dumps(resources))

command.restrict_server = permit_everything
_cli.main(["label-holder", "--kit", sys.argv[1]])
"""


@pytest.fixture(scope="module")
def dishonest(tmp_path_factory):
    """Hosts with a server that permits everything."""
    hosts = Hosts(tmp_path_factory.mktemp("dishonest"), ["bank"])
    try:
        with open(hosts.folder / "server.log", "wb") as log:
            hosts.processes["server"] = subprocess.Popen(
                [sys.executable, "-c", PERMISSIVE, str(hosts.kit)],
                env=hosts.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        hosts.start_organization("bank")
        with connect(hosts.kit, timeout=240).channel:
            yield hosts
    finally:
        hosts.end()


def as_it_is(job, app="site"):
    pass


@pytest.mark.parametrize("change", [as_it_is, ship_code, another_class])
def test_an_organization_refuses_all_jobs(dishonest, change):
    reason = (
        "bank: user 'label-holder@sklearn-gal.local' is not authorized for 'submit_job'"
    )
    status = submit(dishonest, change)
    assert "COMPLETED" not in status
    site = dishonest.folder / "kits" / "bank" / "site"
    logs = [dishonest.folder / "server.log", *site.glob("**/log.txt")]
    log = "".join(path.read_text() for path in logs)
    assert reason in log
    assert "shipped code ran" not in log


@pytest.mark.parametrize(
    ("change", "app"),
    [
        (as_it_is, "site"),
        (ship_code, "site"),
        (ship_code, "relay"),
        (another_class, "site"),
    ],
)
def test_the_server_refuses_all_jobs(hosts, federation, change, app):
    with_error = None
    try:
        status = submit(hosts, lambda job: change(job, app))
    except Exception as error:
        status, with_error = "refused", str(error)
    assert "COMPLETED" not in status, with_error


PROGRAM = """
    import sys
    sys.path.insert(0, {tests!r})
    import numpy as np
    import pandas as pd
    from _helpers import Halting
    from sklearn_gal.federated import FederatedGALRegressor, connect

    frame = pd.read_pickle({frame!r})
    federation = connect({kit!r}, timeout=240)
    print("connected", flush=True)
    own = [("hospital", Halting(alpha=0.5), ["x0", "x1"])]
    model = FederatedGALRegressor(
        federation, own, key="key", random_state=0, max_iter=8, cv=2,
        checkpoint={checkpoint!r}, on_failure="fail",
    )
    model.fit(frame[["x0", "x1", "key"]], frame["y"])
    print("fitted", len(model.communication_["call"]), flush=True)
    np.save({result!r}, model.predict(frame[["x0", "x1", "key"]]))
"""


def test_the_label_holder_is_killed_and_resumes(hosts, federation, tmp_path):
    X, y, ids = task("regressor")
    frame = X.assign(key=ids, y=y)
    frame.to_pickle(tmp_path / "frame.pkl")
    settings = {
        "tests": str(Path(__file__).parent),
        "frame": str(tmp_path / "frame.pkl"),
        "kit": str(hosts.kit),
        "checkpoint": str(tmp_path / "checkpoint"),
        "result": str(tmp_path / "result.npy"),
    }
    program = textwrap.dedent(PROGRAM).format(**settings)

    halted_by = tmp_path / "halted"
    halted_by.touch()

    def run():
        return subprocess.Popen(
            [sys.executable, "-c", program],
            env=hosts.environment | {"HALTED_BY": str(halted_by)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    process = run()
    process_output = process.stdout
    state = tmp_path / "checkpoint" / "fit.joblib"
    try:
        assert process_output.readline() == "connected\n"

        def are_saved():
            saved = tmp_path.glob("checkpoint/*/hospital/request-*.joblib")
            return len(list(saved)) >= 3

        assert wait_until(are_saved)
        assert process.poll() is None
    finally:
        kill(process)
        process_output.close()
    assert state.exists()
    assert not (tmp_path / "result.npy").exists()
    halted_by.unlink()
    process = run()
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    assert "fitted" in output
    params = {"max_iter": 8, "cv": 2}
    whole = joint("regressor", **params)
    # a subclass of Ridge is fitted by another algorithm, with other last bits
    whole.organizations[0] = ("hospital", Halting(alpha=0.5), columns("hospital"))
    whole.fit(X, y)
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), whole.predict(X))


def test_fits_of_two_label_holders_equal_their_twins(hosts, federation, rng):
    X, y, ids = task("regressor")
    frame = X[columns("hospital")].assign(key=ids)
    params = {"max_iter": 4, "cv": 2}
    targets = [y + rng.normal(scale=20, size=len(y)) for _ in range(6)]
    done = threading.Event()

    def open_and_close():
        while not done.is_set():
            with connect(hosts.kit, timeout=240).channel as channel:
                assert channel.is_connected("bank")

    def fit(target, federation):
        return federated("regressor", federation, **params).fit(frame, target)

    holders = [federation, connect(hosts.kit, timeout=240)]
    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        # more fits than an organization has places for
        warnings.filterwarnings("ignore", "(?s).*Busy.*", OrganizationWarning)
        others = [pool.submit(open_and_close) for _ in range(2)]
        try:
            models = list(pool.map(fit, targets, 3 * holders))
        finally:
            done.set()
        for each in others:
            each.result()
    for target, model in zip(targets, models, strict=True):
        assert_same_model(joint("regressor", **params).fit(X, target), model, X, frame)


# these tests come last because they restart hosts of the module
@pytest.mark.parametrize("victim", ["server", "clinic"])
def test_a_host_is_killed_and_the_fit_waits_for_it(hosts, federation, victim):
    X, y, ids = task("regressor")
    frame = X[columns("hospital")].assign(key=ids)

    class Kills:
        """A channel that kills a host in the third round, and starts it again."""

        organizations = federation.channel.organizations
        n_calls = 0

        def call(self, organization, request, timeout):
            if organization == "clinic" and b'"fit_round"' in bytes(request[:64]):
                self.n_calls += 1
                if self.n_calls == 3:
                    kill(hosts.processes[victim])
                    if victim == "server":
                        hosts.start_server()
                    else:
                        hosts.start_organization(victim)
            return federation.channel.call(organization, request, timeout)

    secret = (hosts.kit / "secret").read_text()
    params = {"max_iter": 6, "cv": 2}
    model = federated("regressor", Federation(Kills(), secret), grace_period=600, **params)
    with pytest.warns(OrganizationWarning, match="waiting for it for at most 600 seconds"):
        model.fit(frame, y)
    one = joint("regressor", **params).fit(X, y)
    assert_same_model(one, model, X, frame)


def test_an_organization_is_killed_and_comes_back(hosts, federation):
    X, y, ids = task("regressor")
    frame = X[columns("hospital")].assign(key=ids)
    params = {"max_iter": 12, "weights": "uniform", "line_search": False}
    params["grace_period"] = 0
    params["interactions"] = False  # a request is a round
    model = federated("regressor", federation, on_failure="continue", **params)

    class KillsInRound:
        """A channel that kills an organization while it fits its fourth round.

        From then on it waits for the organization for 8 seconds at most.
        """

        organizations = federation.channel.organizations
        n_calls = 0

        def call(self, organization, request, timeout):
            if organization == "clinic" and b'"fit_round"' in bytes(request[:64]):
                self.n_calls += 1
                if self.n_calls == 4:
                    kill(hosts.processes["clinic"])
            if organization == "clinic" and self.n_calls >= 4:
                timeout = min(timeout, 8)
            return federation.channel.call(organization, request, timeout)

    secret = (hosts.kit / "secret").read_text()
    channel = KillsInRound()
    model.set_params(federation=Federation(channel, secret))
    with pytest.warns(OrganizationWarning, match="'clinic' did not answer"):
        model.fit(frame, y)
    assert channel.n_calls == 4  # no later round waited for it
    assert model.n_iter_ == 12
    position = 2
    np.testing.assert_allclose(model.weights_[:3, position], 0.25)
    np.testing.assert_array_equal(model.weights_[3:, position], 0)
    others = np.delete(np.arange(4), position)
    np.testing.assert_allclose(model.weights_[3:, others], 1 / 3)
    failed = set(model.communication_["organization"][model.communication_["error"] != ""])
    assert failed == {"clinic"}

    with pytest.warns(OrganizationWarning, match="'clinic' did not answer"):
        without = model.predict(frame)
    hosts.start_organization("clinic")
    model.set_params(federation=federation, on_failure="wait")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OrganizationWarning)
        back = model.predict(frame)
    assert np.isfinite(back).all()
    assert not np.array_equal(back, without)
    again = federated("regressor", federation, max_iter=3, cv=2).fit(frame, y)
    one = joint("regressor", max_iter=3, cv=2).fit(X, y)
    assert_same_model(one, again, X, frame)
