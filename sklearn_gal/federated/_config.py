"""The settings that operators write in TOML: of an organization, and of a federation."""

import importlib.util
import json
import re
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

from ._database import read_query
from ._environment import PREFIX, update_from_environment
from ._ledger import Ledger
from ._limits import Limits
from ._revealed import SUM
from ._rights import LIMITS_OF_ONE, RULES_OF_ONE, changed
from ._rules import Rules
from ._service import OrganizationService

_ORGANIZATION = {
    "name": str,
    "key": str,
    "table": dict,
    "secret_file": str,
    "models": str,
    "columns": list,
    "estimator": str,
    "kit": str,
    "limits": dict,
    "rules": dict,
    "label_holders": dict,
    "explain": str,
    "explain_groups": dict,
}
_REQUIRED = ("name", "key", "table", "secret_file", "models")
_TABLE = {"csv": str, "parquet": str, "url": str, "query": str, "password_file": str}
_FILES = ("csv", "parquet", "password_file")
_LIMITS = {field.name: int for field in fields(Limits)}
_RULES = {
    "calls": list,
    "approve": str,
    "approve_label_holders": list,
    "approve_rows": int,
    "retention_days": int,
    "retention_bytes": int,
}
_OF_LABEL_HOLDER = {
    name: (_LIMITS | _RULES)[name] for name in (*RULES_OF_ONE, *LIMITS_OF_ONE)
}
_FEDERATION = {
    "name": str,
    "host": str,
    "port": int,
    "admin_port": int,
    "listen": str,
    "organizations": list,
    "label_holders": list,
    "relay_port": int,
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def read_toml(path, types, required, update=None):
    """Read and check the settings of a TOML file; `update` changes them before the check.

    Raises
    ------
    ValueError
        If the file is not TOML, or a setting is missing, unknown or of the wrong type.
    """
    path = Path(path)
    try:
        settings = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from error
    if update is not None:
        update(settings)
    check_settings(path, settings, types, required)
    return settings


def check_settings(source, settings, types, required=()):
    """Raise an error if settings are unknown, missing or of the wrong type."""
    unknown = sorted(settings.keys() - types.keys())
    if unknown:
        raise ValueError(
            f"{source} has unknown settings {unknown}. The allowed settings are "
            f"{sorted(types)}."
        )
    missing = [name for name in required if name not in settings]
    if missing:
        raise ValueError(f"{source} lacks the required settings {missing}.")
    for name, value in settings.items():
        if type(value) is not types[name]:
            raise ValueError(
                f"{name} of {source} must be of type {types[name].__name__}, got {value!r}."
            )


def check_names(names):
    """Raise an error unless names of organizations are usable for hosts and files."""
    if not names:
        raise ValueError("A federation needs at least one organization, got none.")
    bad = [name for name in names if not isinstance(name, str) or not _NAME.fullmatch(name)]
    if bad or len(set(names)) < len(names):
        raise ValueError(
            "Organization names must be unique and consist of at most 63 letters, digits, "
            f"'-' and '_' (starting with a letter); got {bad or names}."
        )


def organization_settings(path):
    """Read the settings of an organization; paths are relative to the settings file.

    Environment variables win over the file.
    """
    path = Path(path).resolve()
    settings = read_toml(path, _ORGANIZATION, _REQUIRED, _update_organization)
    check_names([settings["name"]])
    check_settings(f"[table] of {path}", settings["table"], _TABLE)
    check_settings(f"[limits] of {path}", settings["limits"], _LIMITS)
    check_settings(f"[rules] of {path}", settings["rules"], _RULES)
    limits, rules = Limits(**settings["limits"]), Rules(**settings["rules"])
    for name, changes in settings.setdefault("label_holders", {}).items():
        source = f"[label_holders.{name}] of {path}"
        if not isinstance(changes, dict):
            raise ValueError(f"{source} must be a table of settings, got {changes!r}.")
        check_settings(source, changes, _OF_LABEL_HOLDER)
        changed(limits, rules, name, changes)  # it checks the values
    if "explain" in settings and "explain_groups" in settings:
        raise ValueError(
            f"{path} has explain and [explain_groups], which cannot be combined. Leave one "
            "of them out."
        )
    settings["explain"] = settings.pop("explain_groups", settings.get("explain", SUM))
    sources = sorted(settings["table"].keys() - {"password_file"})
    if sources not in (["csv"], ["parquet"], ["query", "url"]):
        raise ValueError(
            f"[table] of {path} must have `csv`, or `parquet`, or `url` and `query`; got "
            f"{sources}."
        )
    for name in ("secret_file", "models", "kit"):
        if name in settings:
            settings[name] = path.parent / settings[name]
    for name in _FILES:
        if name in settings["table"]:
            settings["table"][name] = path.parent / settings["table"][name]
    return settings


def _update_organization(settings):
    """Set what environment variables say of an organization."""
    update_from_environment(settings, _ORGANIZATION)
    for name, types in (("table", _TABLE), ("limits", _LIMITS), ("rules", _RULES)):
        part = settings.setdefault(name, {})
        if isinstance(part, dict):
            update_from_environment(part, types, f"{PREFIX}{name.upper()}_")


def ledger_from_config(path):
    """Return what an organization keeps about fits, without its table and estimator.

    Raises
    ------
    ValueError
        If a setting is invalid, or the organization has not been started yet.
    """
    folder = organization_settings(path)["models"]
    if not folder.is_dir():
        raise ValueError(
            f"There is no folder {folder}, which `models` of {path} names. It is made when "
            "the organization starts."
        )
    return Ledger(folder)


def service_from_config(path):
    """Make the service of an organization from its settings.

    Parameters
    ----------
    path : path-like
        TOML file with the settings, which the documentation for operators describes.

    Returns
    -------
    service : OrganizationService

    Raises
    ------
    ValueError
        If a setting, the table, its key or the estimator is invalid.
    """
    settings = organization_settings(path)
    _check_files(path, settings)
    estimator = settings.get("estimator")
    if estimator is not None:
        estimator = load_estimator(estimator, Path(path).resolve().parent)
    return OrganizationService(
        settings["name"],
        _own_table(path, settings),
        settings["key"],
        Path(settings["secret_file"]).read_text().strip(),
        settings["models"],
        columns=settings.get("columns"),
        estimator=estimator,
        rules=settings["rules"],
        label_holders=settings["label_holders"],
        explain=settings["explain"],
        **settings["limits"],
    )


def _check_files(path, settings):
    """Raise an error if a file that the settings name does not exist."""
    table = settings["table"]
    named = {f"{each} of [table]": table.get(each) for each in _FILES}
    for setting, file in (named | {"secret_file": settings["secret_file"]}).items():
        if file is not None and not file.exists():
            raise ValueError(
                f"Organization {settings['name']!r} needs the file {file}, which {setting} "
                f"in {path} or its environment variable names, but there is none. Make the "
                "file, or correct the setting."
            )


def _own_table(path, settings):
    """Read the table of an organization."""
    try:
        return read_table(**settings["table"], key=settings["key"])
    except (OSError, ValueError) as error:
        source = next((each for each in _FILES[:2] if each in settings["table"]), None)
        if source is None:
            raise  # the database has said what is wrong
        raise ValueError(
            f"The table of organization {settings['name']!r} cannot be read from "
            f"{settings['table'][source]}, which {source} of [table] in {path} names: "
            f"{error}. Write the table to this file again, or correct the setting."
        ) from error


def read_table(csv=None, parquet=None, url=None, query=None, password_file=None, key=None):
    """Read a table from a file or a database.

    Numbers keep all their digits. The ids in the column `key` of a CSV file are read as
    text, so that they keep leading zeros.
    """
    import pandas as pd

    if csv is not None:
        # pandas 3.1 reads all digits by default, and deprecates the parameter
        older = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
        options = {"float_precision": "round_trip"} if older else {}
        # wrapped, as pandas would take some texts for missing values, such as "NA"
        table = pd.read_csv(csv, converters={key: lambda text: (text,)}, **options)
        if key in table:
            table[key] = [text for (text,) in table[key]]
        return table
    if parquet is not None:
        return pd.read_parquet(parquet)
    return read_query(url, query, password_file)


def load_estimator(reference, folder):
    """Load the estimator that ``file.py:name`` refers to, from the organization's file."""
    file, _, name = reference.rpartition(":")
    path = folder / file
    if not file.endswith(".py") or not name:
        raise ValueError(
            "estimator must be 'file.py:name', the path of a Python file relative to the "
            f"settings file and the name of an estimator in it; got {reference!r}."
        )
    if not path.is_file():
        raise ValueError(f"estimator is {reference!r}, but there is no file {path}.")
    # a fixed name, because pickled models refer to the classes of the module by it
    module_name = f"_sklearn_gal_organization_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[module_name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ValueError(
            f"estimator is {reference!r}, but {path} does not define {name!r}."
        )
    return getattr(module, name)


def federation_settings(path):
    """Read the settings of a federation; settings left out get their defaults."""
    settings = read_toml(path, _FEDERATION, ("host", "organizations"))
    check_names(settings["organizations"])
    defaults = {"name": "sklearn_gal", "port": 8002, "listen": settings["host"]}
    settings = defaults | {"label_holders": []} | settings
    if settings["name"] in settings["label_holders"]:
        raise ValueError(
            f"label_holders of {path} must not have the name {settings['name']!r} of the "
            "federation, which is that of the label holder with the server."
        )
    # further label holders must know the port; the one with the server finds it in its kit
    relay_port = settings["port"] + 2 if settings["label_holders"] else 0
    ports = {"admin_port": settings["port"] + 1, "relay_port": relay_port}
    return ports | settings


def read_federation(kit):
    """Read the description of the federation and the secret from the label holder's kit."""
    path = Path(kit) / "federation.json"
    if not path.is_file():
        raise ValueError(
            f"{kit} is not a label holder's start-up kit: it has no file {path.name}. Make "
            "one with `sklearn-gal provision`."
        )
    secret = (path.parent / "secret").read_text().strip()
    return json.loads(path.read_text()) | {"secret": secret}
