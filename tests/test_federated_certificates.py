"""Certificates of start-up kits: their ends, renewal, changed addresses, revocation."""

import contextlib
import datetime
import io
import json
import logging
import pickle
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading

import pandas as pd
import pytest

from _processes import BANK, federation_settings, free_ports, kill, start, wait_until
from sklearn_gal.federated import connect
from sklearn_gal.federated._cli import main
from sklearn_gal.federated._config import read_federation
from sklearn_gal.federated._environment import Refused, Unreachable

pytest.importorskip("nvflare")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from sklearn_gal.federated._flare import certificates
from sklearn_gal.federated._flare.callers import key_of
from sklearn_gal.federated._flare.certificates import (
    CertificateError,
    ask_label_holder,
    check_certificates,
    label_holder_address,
    log_ends,
    name_of,
    warn_of_ends,
)
from sklearn_gal.federated._flare.channel import FlareChannel
from sklearn_gal.federated._flare.provision import provision


class Kits:
    """A folder with the kits of a federation."""

    def __init__(self, folder, ports):
        self.folder, (self.port, self.admin_port) = folder, ports
        self.host, self.listen = "localhost", "127.0.0.1"
        self.out, self.further = folder / "kits", []
        pd.DataFrame({"id": range(9), "x": range(9)}).to_csv(folder / "bank.csv")
        (folder / "bank.toml").write_text(BANK)

    def write_settings(self, organizations=("bank", "shop")):
        config = self.folder / "federation.toml"
        where = {"host": self.host, "listen": self.listen, "admin_port": self.admin_port}
        where["label_holders"] = self.further
        config.write_text(federation_settings(organizations, self.port, **where))
        return config

    def run(self, *arguments, organizations=("bank", "shop")):
        """Run a command about the kits, and return what became of each."""
        config = self.write_settings(organizations)
        command, *names = arguments
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            files = ["--config", str(config), "--out", str(self.out)]
            assert main([command, *files, *names]) == 0
        found = re.findall(r"^(\w+): .* \((.+)\)$", output.getvalue(), re.MULTILINE)
        return dict(found)

    def workspace(self, name):
        if name == "label_holder":
            return self.out / name / "server"
        return self.out / name / "site"

    def certificate(self, name):
        return certificates.certificates(self.workspace(name))[0]

    def set_dates(self, name, begin, end):
        """Give the certificate of a kit other dates, in days from now."""
        (path,) = self.workspace(name).glob("startup/*.crt")
        path.write_bytes(self.with_dates(self.certificate(name), begin, end))

    def set_dates_of_the_authority(self, begin, end):
        (state,) = self.out.glob("authority/*/state/cert.json")
        content = json.loads(state.read_text())
        old = certificates.read_certificate(content["root_cert"].encode())
        new = self.with_dates(old, begin, end)
        state.write_text(json.dumps(content | {"root_cert": new.decode()}))
        for path in self.out.glob("*/*/startup/rootCA.pem"):
            path.write_bytes(new)

    def with_dates(self, old, begin, end):
        """Return a certificate with other dates, in PEM."""
        (state,) = self.out.glob("authority/*/state/cert.json")
        key = json.loads(state.read_text())["root_pri_key"].encode()
        key = serialization.load_pem_private_key(key, password=None)
        now = datetime.datetime.now(datetime.UTC)
        new = x509.CertificateBuilder(
            old.issuer,
            old.subject,
            old.public_key(),
            x509.random_serial_number(),
            now + datetime.timedelta(days=begin),
            now + datetime.timedelta(days=end),
            list(old.extensions),
        ).sign(key, hashes.SHA256())
        return new.public_bytes(serialization.Encoding.PEM)


def answer_of(site):
    """What the label holder's server answers, or why it does not."""
    try:
        return ask_label_holder(site)
    except (Refused, Unreachable) as error:
        return str(error)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    kits = Kits(tmp_path_factory.mktemp("template"), free_ports(2))
    kits.run("provision")
    return kits


@pytest.fixture
def kits(template, tmp_path):
    shutil.copytree(template.out, tmp_path / "kits")
    return Kits(tmp_path, (template.port, template.admin_port))


def test_the_authority_outlasts_the_certificates(kits):
    own, root = certificates.certificates(kits.workspace("bank"))
    day = datetime.timedelta(days=1)
    assert own.not_valid_after_utc - own.not_valid_before_utc == 360 * day
    assert root.not_valid_after_utc - root.not_valid_before_utc == 3650 * day
    assert check_certificates(kits.workspace("bank"), kits.workspace("label_holder")) == []


def test_certificates_that_end_within_30_days_warn(kits, capsys, caplog):
    kits.set_dates("bank", -300, 10.5)
    (sentence,) = check_certificates(kits.workspace("bank"))
    assert "The certificate of 'bank' ends on" in sentence
    assert "in 10 days. Renew it by `sklearn-gal renew`" in sentence
    # there is no server: this is an error, after all that can be said without it
    assert (
        main(["organization", "--config", str(kits.folder / "bank.toml"), "--check"]) == 69
    )
    output = capsys.readouterr()
    assert sentence in output.out
    assert "fine" not in output.out
    assert re.search("The settings are valid, but .* cannot be reached: .* Ask", output.err)
    with caplog.at_level(logging.WARNING):
        log_ends(kits.workspace("bank"))
    assert caplog.messages == [sentence]
    kits.set_dates("bank", -300, 30.5)
    assert check_certificates(kits.workspace("bank")) == []


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ((-400, -40), r"certificate of '\w+' ended on .* Renew it"),
        ((1, 9), "Set the clock"),
    ],
)
def test_certificates_out_of_date_are_one_clear_error(kits, capsys, caplog, dates, message):
    kits.set_dates("bank", *dates)
    kits.set_dates("label_holder", *dates)
    config = str(kits.folder / "bank.toml")
    for command in (
        ["organization", "--config", config],
        ["organization", "--config", config, "--check"],
        ["label-holder", "--kit", str(kits.out / "label_holder")],
    ):
        assert main(command) == 2
        assert re.search(message, capsys.readouterr().err)
    with pytest.raises(ConnectionError, match=message):
        connect(kits.out / "label_holder")
    known = {"kit": kits.out / "label_holder", "organizations": ["bank"], "_admin": "me"}
    channel = FlareChannel.__new__(FlareChannel)
    vars(channel).update(known)
    unpickled = pickle.loads(pickle.dumps(channel))
    with pytest.raises(ConnectionError, match=message):
        unpickled.call("bank", b"", 1.0)
    with caplog.at_level(logging.ERROR):
        log_ends(kits.workspace("bank"))
    assert re.search(message, caplog.messages[0])


def test_the_end_of_the_authority_needs_new_kits(kits, capsys):
    kits.set_dates_of_the_authority(-3640, 10.5)
    (sentence,) = check_certificates(kits.workspace("bank"))
    assert "in 10 days. It is the authority's" in sentence
    assert "kits for all parties in a new folder" in sentence
    kits.set_dates_of_the_authority(-3690, -40)
    with pytest.raises(CertificateError, match=r"ended on .* It is the authority's"):
        check_certificates(kits.workspace("bank"))
    config = str(kits.write_settings())
    for command in ("provision", "renew"):
        assert main([command, "--config", config, "--out", str(kits.out)]) == 2
        assert "kits for all parties in a new folder" in capsys.readouterr().err


def test_the_data_scientist_is_warned_of_certificates_of_organizations(kits):
    kit = kits.out / "label_holder"
    ends = json.loads((kit / "federation.json").read_text())["certificates_end"]
    assert ends.keys() == {"bank", "shop"}
    end = datetime.datetime.fromisoformat(ends["bank"])
    assert end == kits.certificate("bank").not_valid_after_utc
    warn_of_ends(kit, ends)
    ends["shop"] = "2020-01-01T00:00:00+00:00"
    with pytest.warns(UserWarning, match="The certificate of 'shop' ended on 2020-01-01"):
        warn_of_ends(kit, ends)


def test_renewal_changes_the_kits_that_are_named(kits):
    before = {name: kits.certificate(name) for name in ("label_holder", "bank", "shop")}
    log = kits.workspace("bank") / "log.txt"
    log.write_text("what passed")
    news = kits.run("renew", "bank")
    assert news == {"label_holder": "as before", "bank": "changed", "shop": "as before"}
    assert kits.certificate("bank") != before["bank"]
    assert kits.certificate("shop") == before["shop"]
    assert log.read_text() == "what passed"
    assert kits.run("provision") == dict.fromkeys(news, "as before")
    assert kits.run("renew") == dict.fromkeys(news, "changed")
    known = json.loads((kits.out / "label_holder" / "federation.json").read_text())
    end = datetime.datetime.fromisoformat(known["certificates_end"]["bank"])
    assert end == kits.certificate("bank").not_valid_after_utc


def test_kits_of_further_label_holders(kits, capsys):
    kits.further = ["research", "billing"]
    news = kits.run("provision")
    assert news["research"] == news["billing"] == "new"
    kit, relays = kits.out / "research", kits.out / "label_holder" / "relays"
    assert (kit / "secret").read_text() == (kits.out / "bank" / "secret").read_text()
    assert (kit / "relays" / "port").read_text() == str(kits.port + 2)
    for path in (kit, kit / "secret", kit / "relays" / "key", relays / "callers.json"):
        assert path.stat().st_mode & 0o077 == 0
    old = {name: key_of(relays, name) for name in ("", "research", "billing", "other")}
    assert len(set(old.values())) == 4
    assert read_federation(kit)["organizations"] == ["bank", "shop"]
    with pytest.raises(ConnectionError, match="server does not answer 'research'"):
        connect(kit, timeout=0)
    # of a kit that is revoked, the server no longer has the key
    config = kits.write_settings()
    files = ["--config", str(config), "--out", str(kits.out)]
    assert main(["revoke-kit", *files, "research"]) == 0
    output = capsys.readouterr().out
    assert "The label holder's server refuses the old kit of 'research'" in output
    assert "Send the kits of research to" in output
    key = key_of(relays, "research")
    assert key == (kit / "relays" / "key").read_bytes() != old["research"]
    assert key_of(relays, "billing") == old["billing"]
    kits.further = ["research"]
    assert kits.run("provision")["research"] == "as before"
    assert key_of(relays, "billing") != old["billing"]


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (["bank"], "names must be unique"),
        (["label_holder"], "names must be unique"),
        (["sklearn_gal"], "must not have the name 'sklearn_gal' of the federation"),
    ],
)
def test_names_of_further_label_holders_are_checked(tmp_path, further, message):
    kits = Kits(tmp_path, (8002, 8003))
    kits.further = further
    with pytest.raises(ValueError, match=message):
        provision(kits.write_settings(), kits.out)


def test_kits_that_are_deleted_are_made_again_and_need_not_be_sent(kits):
    before = kits.certificate("bank")
    shutil.rmtree(kits.out / "bank")
    news = kits.run("provision", organizations=("bank", "shop", "clinic"))
    assert news.pop("label_holder") == "changed"
    assert news == {"bank": "as before", "shop": "as before", "clinic": "new"}
    assert kits.certificate("bank") == before


def test_kits_are_not_replaced_where_the_authority_is_kept_elsewhere(kits, capsys):
    before = kits.certificate("bank")
    (kits.out / "authority").rename(kits.folder / "offline")
    arguments = ["--config", str(kits.write_settings()), "--out", str(kits.out)]
    assert main(["provision", *arguments]) == 2
    assert "but not the folder 'authority'" in capsys.readouterr().err
    assert kits.certificate("bank") == before
    (kits.folder / "offline").rename(kits.out / "authority")
    assert set(kits.run("provision").values()) == {"as before"}


def test_a_changed_port_changes_all_kits(kits):
    before = kits.certificate("bank")
    (kits.port,) = free_ports(1)
    assert set(kits.run("provision").values()) == {"changed"}
    client = kits.workspace("bank") / "startup" / "fed_client.json"
    service = json.loads(client.read_text())["servers"][0]["service"]
    assert service["target"] == f"localhost:{kits.port}"
    server = json.loads(
        (kits.workspace("label_holder") / "startup" / "fed_server.json").read_text()
    )
    assert server["servers"][0]["service"]["target"] == f"localhost:{kits.port}"
    assert server["servers"][0]["admin_host"] == "127.0.0.1"
    assert kits.certificate("bank") == before


def test_a_changed_host_changes_all_kits(kits):
    before = kits.certificate("label_holder")
    kits.host = "gal.hospital.example"
    assert set(kits.run("provision").values()) == {"changed"}
    assert name_of(kits.certificate("label_holder")) == kits.host
    assert kits.certificate("label_holder") != before
    for site in (kits.workspace("bank"), kits.workspace("shop")):
        assert label_holder_address(site) == (kits.host, kits.port)


@pytest.mark.parametrize("which", ["port", "admin_port"])
def test_a_port_in_use_is_one_clear_error(kits, capsys, which):
    port = getattr(kits, which)
    with socket.create_server(("127.0.0.1", port)):
        assert main(["label-holder", "--kit", str(kits.out / "label_holder")]) == 75
    assert f"cannot listen on port {port} of 127.0.0.1: Address" in capsys.readouterr().err


def test_an_address_of_another_host_is_one_clear_error(kits, capsys):
    kits.listen = "192.0.2.7"
    assert kits.run("provision")["label_holder"] == "changed"
    assert main(["label-holder", "--kit", str(kits.out / "label_holder")]) == 75
    assert "cannot listen on port" in capsys.readouterr().err


LOCKS_A_KIT = """
import sys
from pathlib import Path
from sklearn_gal.federated._flare.lock import hold

hold(Path(sys.argv[1]))
try:
    hold(Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""


def test_a_kit_is_locked_until_its_process_ends(tmp_path):
    program = [sys.executable, "-X", "dev", "-c", LOCKS_A_KIT, str(tmp_path)]
    for _ in range(2):
        done = subprocess.run(program, capture_output=True, text=True, timeout=120)
        assert "is used by another process of this host" in done.stdout
        assert "ResourceWarning" not in done.stderr


def test_what_the_authority_has_can_be_read_by_its_owner_only(kits):
    kits.run("renew", "bank")
    files = [path for path in kits.out.glob("authority/**/*") if path.is_file()]
    assert len(files) >= 4
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


@pytest.fixture
def server(kits):
    """Start the label holder's server; return a function that starts it again."""
    processes = []

    def start_again():
        for process in processes:
            kill(process)
        processes.append(start(["label-holder", "--kit", kits.out / "label_holder"]))
        site = kits.workspace("shop")
        assert wait_until(lambda: "accepts this kit" in answer_of(site))

    yield start_again
    for process in processes:
        kill(process)


def wait_for_log(kits):
    """Return the log of the server once it has a line about certificates."""
    path = kits.workspace("label_holder") / "log.txt"
    assert wait_until(lambda: "sklearn-gal renew" in path.read_text())
    return path.read_text()


def test_old_and_new_certificates_are_accepted_until_the_old_is_revoked(
    kits, server, capsys
):
    old = kits.folder / "old"
    shutil.copytree(kits.workspace("bank"), old)
    kits.set_dates("label_holder", -300, 10.5)
    server()
    assert "accepts this kit" in answer_of(old)
    assert "The certificate of 'localhost' ends on" in wait_for_log(kits)
    stranger = kits.folder / "stranger"
    stranger.mkdir()
    other = Kits(stranger, (kits.port, kits.admin_port))
    other.run("provision")
    assert "server at localhost" in (answer := answer_of(other.workspace("bank")))
    assert "is not accepted: " in answer
    kits.run("renew", "bank")
    for site in (old, kits.workspace("bank")):
        assert "accepts this kit" in answer_of(site)
    news = kits.run("revoke-kit", "bank")
    assert news == {"label_holder": "as before", "bank": "changed", "shop": "as before"}
    server()
    assert re.search("refuses the certificate of this kit.*REVOKED", answer_of(old))
    config = str(kits.folder / "bank.toml")
    assert main(["organization", "--config", config, "--check"]) == 0
    output = capsys.readouterr().out
    assert "accepts this kit" in output
    assert output.endswith("bank.toml: fine\n")
    assert "accepts this kit" in answer_of(kits.workspace("bank"))
    shutil.rmtree(kits.workspace("bank"))
    shutil.copytree(old, kits.workspace("bank"))
    assert main(["organization", "--config", config, "--check"]) == 78
    assert "Use the newest kit" in capsys.readouterr().err


def test_kits_that_were_never_made_are_neither_renewed_nor_revoked(kits, capsys):
    kits.write_settings()
    files = ["--config", str(kits.folder / "federation.toml"), "--out", str(kits.out)]
    assert main(["renew", *files, "clinic"]) == 2
    assert "but not ['clinic']" in capsys.readouterr().err
    assert main(["revoke-kit", *files, "clinic"]) == 2
    assert "no certificate for 'clinic'" in capsys.readouterr().err
    assert main(["revoke-kit", *files, "label_holder"]) == 2
    assert "Make kits for all parties in a new folder" in capsys.readouterr().err


def test_an_organization_is_told_that_the_certificate_of_the_server_has_ended(kits):
    kits.set_dates("label_holder", -400, -40)
    startup = kits.workspace("label_holder") / "startup"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(startup / "server.crt", startup / "server.key")

    def serve(listener):
        plain, _ = listener.accept()
        with plain, pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_side=True)

    with socket.create_server(("127.0.0.1", kits.port)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        answer = answer_of(kits.workspace("bank"))
        thread.join()
    assert re.search("server at .* is not accepted: certificate has expired", answer)
    assert "cannot be reached" in answer_of(kits.workspace("bank"))


@pytest.mark.parametrize("tls", [False, True])
def test_an_organization_is_told_that_another_server_listens(kits, tls):
    startup = kits.workspace("label_holder") / "startup"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(startup / "server.crt", startup / "server.key")

    def serve(listener):
        plain, _ = listener.accept()
        with plain:
            if tls:
                context.wrap_socket(plain, server_side=True).close()
            else:
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", kits.port)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        told = "closes the connection at once" if tls else "does not answer as the label"
        with pytest.raises(Unreachable, match=told):
            ask_label_holder(kits.workspace("bank"))
        thread.join()
