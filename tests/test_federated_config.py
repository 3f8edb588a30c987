"""The settings that operators write, and the command that reads them."""

import re
import sqlite3
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from _processes import no_postgresql, postgresql
from sklearn_gal.federated import Federation, LocalChannel, OrganizationError
from sklearn_gal.federated._cli import main
from sklearn_gal.federated._config import (
    federation_settings,
    organization_settings,
    read_federation,
    service_from_config,
)
from sklearn_gal.federated._database import is_refusal
from sklearn_gal.federated._limits import Limits
from sklearn_gal.federated._rules import Rules

CSV = "[table]\ncsv = 'bank.csv'\n"
SETTINGS = """
name = "bank"
key = "id"
models = "models"
secret_file = "secret"
"""


@pytest.fixture
def folder(tmp_path, rng):
    table = pd.DataFrame(
        {"id": np.arange(20), "x": rng.normal(size=20), "y": np.arange(20)}
    )
    table.to_csv(tmp_path / "bank.csv", index=False)
    table.to_parquet(tmp_path / "bank.parquet")
    connection = sqlite3.connect(tmp_path / "bank.db")
    table.to_sql("customers", connection, index=False)
    connection.close()
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    (tmp_path / "bank.py").write_text(
        "from sklearn.linear_model import Ridge\n\n\nclass Mine(Ridge):\n    pass\n\n\n"
        "estimator = Mine(alpha=3.0)\n"
    )
    return tmp_path


def write(folder, text):
    path = folder / "bank.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("table", ['csv = "bank.csv"', 'parquet = "bank.parquet"'])
def test_a_table_from_a_file(folder, table):
    service = service_from_config(write(folder, f"{SETTINGS}[table]\n{table}\n"))
    original = pd.read_parquet(folder / "bank.parquet")
    pd.testing.assert_frame_equal(service._table, original[["x", "y"]])


def test_a_table_from_a_data_base(folder):
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{folder / 'bank.db'}"
    query = "SELECT id, x FROM customers WHERE y > 4"
    text = f'{SETTINGS}[table]\nurl = "{url}"\nquery = "{query}"\n'
    service = service_from_config(write(folder, text))
    assert list(service._table.columns) == ["x"]
    assert len(service._table) == 15


@pytest.fixture(scope="module")
def claims():
    """PostgreSQL on loopback with a table that the role gal_reader can read."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    if reason := no_postgresql():
        pytest.skip(reason)
    with postgresql() as settings:
        address = f"{settings['PGHOST']}:{settings['PGPORT']}/postgres"
        owner = f"postgresql+psycopg://postgres:{settings['PGPASSWORD']}@{address}"
        statements = (
            "CREATE TABLE claims (patient char(20), cost numeric(12, 2), visits integer)",
            "INSERT INTO claims VALUES ('007', 12.50, 3), ('Müller', 0, NULL)",
            "CREATE ROLE gal_reader LOGIN PASSWORD 'p@ss:w/rd'",
            "GRANT SELECT ON claims TO gal_reader",
        )
        engine = sqlalchemy.create_engine(owner)
        with engine.begin() as connection:
            for each in statements:
                connection.execute(sqlalchemy.text(each))
        engine.dispose()
        yield f"postgresql+psycopg://gal_reader@{address}"


def test_a_table_from_postgresql(folder, claims, monkeypatch, capsys):
    query = "SELECT patient, cost::float8, visits FROM claims"
    table = f'[table]\nurl = "{claims}"\nquery = "{query}"\n'
    settings = SETTINGS.replace('"id"', '"patient"')
    (folder / "db_password").write_text("p@ss:w/rd\n")
    from_file = write(folder, settings + table + 'password_file = "db_password"\n')
    service = service_from_config(from_file)
    assert service._ids == ["007", "Müller"]
    np.testing.assert_array_equal(service._table["cost"], [12.5, 0])
    np.testing.assert_array_equal(service._table["visits"], [3, np.nan])
    monkeypatch.setenv("SKLEARN_GAL_TABLE_PASSWORD", "p@ss:w/rd")
    assert len(service_from_config(write(folder, settings + table))._table) == 2
    monkeypatch.setenv("SKLEARN_GAL_TABLE_PASSWORD", "another")
    with pytest.raises(OSError, match="password authentication failed") as caught:
        service_from_config(write(folder, settings + table))
    assert "another" not in str(caught.value)
    path = str(write(folder, settings + table))
    assert main(["organization", "--config", path, "--check"]) == 78
    error = capsys.readouterr().err
    assert "refuses the user or the password" in error
    assert "another" not in error
    unknown = table.replace("FROM claims", "FROM bills")
    with pytest.raises(OSError, match='cannot be read: relation "bills" does not exist'):
        service_from_config(
            write(folder, settings + unknown + "password_file = 'db_password'")
        )


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        (
            "sqlite://me:hidden@/bank.db",
            *(2, r"must not have a password, got sqlite://me:\*\*\*"),
        ),
        ("sqlite:///bank.db?password=hidden", 2, "must not have a password"),
        ("bank.db", 2, "must be SQLAlchemy's URL of a database"),
        ("sqlite://there/bank.db", 2, "must be SQLAlchemy's URL of a database"),
        ("sqlite:///", 75, "cannot be read: no such table: customers"),
    ],
)
def test_a_database_that_cannot_be_read_is_one_clear_error(
    folder, capsys, url, status, message
):
    pytest.importorskip("sqlalchemy")
    table = f'[table]\nurl = "{url}"\nquery = "SELECT id, x FROM customers"\n'
    path = write(folder, SETTINGS + table)
    # only a database that may be there later is worth another start
    assert main(["organization", "--config", str(path), "--check"]) == status
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "hidden" not in error


def test_a_refused_password_is_an_error_of_the_configuration():
    of_password = SimpleNamespace(sqlstate="28P01")
    assert is_refusal(of_password)
    assert is_refusal(OSError("FATAL: password authentication failed for user 'me'"))
    assert not is_refusal(SimpleNamespace(sqlstate="57P03"))  # the server starts up
    assert not is_refusal(OSError("connection failed: Connection refused"))


@pytest.mark.parametrize("name", ["csv", "parquet", "secret_file", "password_file"])
def test_a_file_that_is_missing_is_told_with_its_setting(folder, capsys, name):
    text = SETTINGS + "[table]\nurl = 'sqlite:///bank.db'\nquery = 'SELECT 1'\n"
    if name == "secret_file":
        text = text.replace('"secret"', '"none"')
    elif name == "password_file":
        text += "password_file = 'none'\n"
    else:
        text = f"{SETTINGS}[table]\n{name} = 'none'\n"
    path = write(folder, text)
    assert main(["organization", "--config", str(path), "--check"]) == 2
    error = capsys.readouterr().err
    assert f"Organization 'bank' needs the file {folder / 'none'}, which {name}" in error
    assert f"in {path} or its environment variable names, but there is none." in error


@pytest.mark.parametrize(("name", "content"), [("csv", b""), ("parquet", b"no Parquet")])
def test_a_file_that_is_no_table_is_told_with_its_setting(folder, name, content):
    folder.joinpath("broken").write_bytes(content)
    path = write(folder, f"{SETTINGS}[table]\n{name} = 'broken'\n")
    expected = f"organization 'bank' cannot be read from .*broken, which {name} of .table."
    with pytest.raises(ValueError, match=expected):
        service_from_config(path)


def test_ids_in_a_file_keep_their_zeros(folder):
    lines = ["id,x", "0012345,1", "NA,2", "7,3", "1e3,4"]
    (folder / "bank.csv").write_text("\n".join(lines))
    service = service_from_config(write(folder, SETTINGS + CSV))
    assert service._ids == ["0012345", "NA", "7", "1e3"]
    (folder / "bank.csv").write_text("\n".join([*lines, ",5"]))
    with pytest.raises(ValueError, match="A row id is empty"):
        service_from_config(write(folder, SETTINGS + CSV))


def test_rules(folder):
    rules = "[rules]\napprove = 'ask'\napprove_label_holders = ['Ada']\napprove_rows = 9\n"
    service = service_from_config(write(folder, SETTINGS + CSV + rules))
    assert service.rules.approves("Ada", 9)
    assert not service.rules.approves("Ada", 10)
    of_grace = "[label_holders.Grace]\napprove = 'always'\nmax_rows = 7\n"
    service = service_from_config(write(folder, SETTINGS + CSV + rules + of_grace))
    assert service.rights["Grace"].rules.approves("Grace", 7)
    assert service.rights["Grace"].limits.max_rows == 7
    assert service.rights["Ada"].limits == service.limits


def test_the_settings_in_the_documentation(folder):
    page = (Path(__file__).parents[1] / "docs" / "governance.rst").read_text()
    block = page.partition(".. code-block:: toml")[2]
    lines = block.splitlines()[2:]
    settings = list(takewhile(lambda line: not line or line[0] == " ", lines))
    text = "\n".join(line.strip() for line in settings)
    service = service_from_config(write(folder, SETTINGS + CSV + text))
    for limits in (service.limits, Limits()):
        assert (limits.max_rows, limits.min_rows, limits.max_folds) == (5_000_000, 10, 20)
        assert (limits.max_bytes, limits.max_disk) == (2**30, 2**35)
    assert service.limits.ids_per_day == 200_000
    assert service.rules.approve == "ask"
    named = {line.partition(" = ")[0] for line in text.splitlines() if " = " in line}
    assert {field.name for kind in (Limits, Rules) for field in fields(kind)} == named


def test_estimator_columns_and_limits(folder):
    text = SETTINGS + (
        'columns = ["x"]\nestimator = "bank.py:estimator"\n[table]\ncsv = "bank.csv"\n'
        "[limits]\nmax_rows = 10\nmax_fits = 2\n"
    )
    service = service_from_config(write(folder, text))
    assert isinstance(service.estimator, Ridge)
    assert service.estimator.alpha == 3.0
    assert list(service._table.columns) == ["x"]
    assert (service.limits.max_rows, service.limits.max_fits) == (10, 2)
    assert service._ledger.folder == folder / "models"


def test_each_label_holder_has_separate_settings_and_rights(folder):
    (folder / "other_secret").write_text("fedcba9876543210\n")
    other = SETTINGS.replace('"secret"', '"other_secret"').replace('"models"', '"others"')
    one = service_from_config(write(folder, SETTINGS + CSV))
    other = service_from_config(
        write(folder, other + "columns = ['x']\n" + CSV + "[limits]\nmax_rows = 5\n")
    )

    def overlap(service, secret, n_rows):
        federation = Federation(LocalChannel([service]), secret)
        return federation.overlap(np.arange(n_rows))["bank"]

    assert overlap(one, "0123456789abcdef", 9).all()
    assert overlap(other, "fedcba9876543210", 5).all()
    with pytest.raises(OrganizationError):
        overlap(other, "fedcba9876543210", 9)
    assert list(one._table.columns) == ["x", "y"]
    assert list(other._table.columns) == ["x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not valid TOML"),
        (CSV, r"lacks the required settings \['name', 'key'"),
        (SETTINGS + "sort = 1\n" + CSV, r"unknown settings \['sort'\]"),
        (
            SETTINGS + "columns = 'x'\n" + CSV,
            "columns of .* must be of type list, got 'x'",
        ),
        (SETTINGS + "[table]\n", r"must have `csv`, or `parquet`"),
        (SETTINGS + "[table]\nurl = 'sqlite://'", "must have `csv`"),
        (SETTINGS + "[table]\ncsv = 'a'\nparquet = 'b'", "must have `csv`"),
        (SETTINGS + "[table]\ncsv = 3", "csv of .* must be of type str, got 3"),
        (SETTINGS + CSV + "[limits]\nmax_rows = 'a'", "must be of type int, got 'a'"),
        (SETTINGS + CSV + "[limits]\nmin_rows = 0", "min_rows must be a positive integer"),
        (SETTINGS + CSV + "[rules]\napprove = 'no'", "must be 'always' or 'ask', got 'no'"),
        (SETTINGS + CSV + "[rules]\nask = true", r"has unknown settings \['ask'\]"),
        (SETTINGS + CSV + "[rules]\ncalls = ['all']", "calls must be a list of some of"),
        (
            SETTINGS + CSV + "[label_holders.Ada]\nmax_fits = 3",
            r"\[label_holders.Ada\] of .* has unknown settings \['max_fits'\]",
        ),
        (
            SETTINGS + CSV + "[label_holders.Ada]\nmin_rows = '3'",
            r"min_rows of \[label_holders.Ada\] of .* must be of type int",
        ),
        (SETTINGS + "label_holders.Ada = 3\n" + CSV, "must be a table of settings, got 3"),
        (
            SETTINGS + CSV + "[label_holders.Ada]\nmin_rows = 0",
            "The label holder 'Ada': The limit min_rows must be a positive",
        ),
        (
            SETTINGS.replace("bank", "../bank") + CSV,
            r"names must be unique and .* got \['../bank'\]",
        ),
        (SETTINGS + "estimator = 'Ridge()'\n" + CSV, "'file.py:name'"),
        (SETTINGS + "estimator = 'shop.py:no'\n" + CSV, "there is no file .*shop.py"),
        (SETTINGS + "estimator = 'bank.py:no'\n" + CSV, "bank.py does not define 'no'"),
        (SETTINGS.replace('"id"', '"key"') + CSV, "no key column"),
    ],
)
def test_bad_settings_are_told(folder, text, message):
    with pytest.raises(ValueError, match=message):
        service_from_config(write(folder, text))


def test_the_command_checks_settings(folder, capsys):
    rights = "[label_holders.Ada]\ncalls = ['predict']\nids_per_day = 50\n"
    rights += "[label_holders.Grace]\n"
    good = write(folder, SETTINGS + CSV + rights)
    assert main(["organization", "--config", str(good), "--check"]) == 0
    output = capsys.readouterr().out
    assert "fine" in output
    assert output.startswith("20 rows\n")
    assert (
        "key 'id', with ids of the form (9 a digit, A a letter): '9' (10), '99' (10)"
        in (output)
    )
    assert "columns: x (number), y (number)\n" in output
    assert "label holder 'Ada': calls = ['predict'], ids_per_day = 50\n" in output
    assert "label holder 'Grace': the rights of all\n" in output
    assert main(["organization", "--config", str(good)]) == 2
    assert "lacks the setting kit" in capsys.readouterr().err
    assert main(["organization", "--config", str(folder / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([])


def test_the_command_draws_secrets(capsys):
    assert main(["secret"]) == 0
    assert main(["secret"]) == 0
    one, other = capsys.readouterr().out.split()
    assert len(one) == 64
    assert one != other


def test_paths_are_relative_to_their_file(folder, monkeypatch):
    monkeypatch.chdir("/")
    path = write(folder, f'kit = "kits/bank"\n{SETTINGS}[table]\ncsv = "bank.csv"\n')
    settings = organization_settings(path)
    assert settings["kit"] == folder / "kits" / "bank"


def test_a_federation_has_defaults(folder):
    path = folder / "federation.toml"
    path.write_text('host = "gal.example.org"\norganizations = ["bank", "shop"]\n')
    defaults = {
        "name": "sklearn_gal",
        "host": "gal.example.org",
        "port": 8002,
        "admin_port": 8003,
        "listen": "gal.example.org",
        "organizations": ["bank", "shop"],
        "label_holders": [],
        "relay_port": 0,
    }
    assert federation_settings(path) == defaults
    path.write_text(path.read_text() + 'label_holders = ["research"]\nport = 9000\n')
    ports = {"port": 9000, "admin_port": 9001, "relay_port": 9002}
    further = {"label_holders": ["research"]}
    assert federation_settings(path) == defaults | ports | further
    path.write_text('host = "gal.example.org"\norganizations = ["bank", "bank"]\n')
    with pytest.raises(ValueError, match=r"must be unique and .* got \['bank', 'bank'\]"):
        federation_settings(path)
    path.write_text('host = "gal.example.org"\norganizations = []\n')
    with pytest.raises(ValueError, match="at least one organization"):
        federation_settings(path)
    with pytest.raises(ValueError, match="not a label holder's start-up kit"):
        read_federation(folder)
