"""What operators write: the settings of an organization, and of a federation, in TOML."""

import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path

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
}
_REQUIRED = ("name", "key", "table", "secret_file", "models")
_TABLE = {"csv": str, "parquet": str, "url": str, "query": str}
_LIMITS = {"max_rows": int, "max_outputs": int, "max_bytes": int, "max_fits": int}
_FEDERATION = {
    "name": str,
    "host": str,
    "port": int,
    "admin_port": int,
    "listen": str,
    "organizations": list,
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def read_toml(path, known, required):
    """Settings of a TOML file, checked.

    Raises
    ------
    ValueError
        If the file is not TOML, lacks a setting, or has an unknown one or one of the
        wrong type.
    """
    path = Path(path)
    try:
        settings = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}.") from error
    check_settings(path, settings, known, required)
    return settings


def check_settings(where, settings, known, required=()):
    """Refuse settings that are unknown, missing or of the wrong type."""
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise ValueError(f"{where} has unknown settings {unknown}; known: {sorted(known)}.")
    missing = [name for name in required if name not in settings]
    if missing:
        raise ValueError(f"{where} lacks the settings {missing}.")
    for name, value in settings.items():
        if type(value) is not known[name]:
            raise ValueError(
                f"{name} of {where} must be a {known[name].__name__}, got {value!r}."
            )


def check_names(names):
    """Refuse names of organizations that are no names of hosts and files."""
    bad = [name for name in names if not isinstance(name, str) or not _NAME.fullmatch(name)]
    if bad or len(set(names)) < len(names) or not names:
        raise ValueError(
            "Organizations have different names of letters, digits, '-' and '_', at least "
            f"one; got {bad or names}."
        )


def organization_settings(path):
    """The settings of an organization, paths taken relative to their file."""
    path = Path(path).resolve()
    settings = read_toml(path, _ORGANIZATION, _REQUIRED)
    check_names([settings["name"]])
    check_settings(f"[table] of {path}", settings["table"], _TABLE)
    check_settings(f"[limits] of {path}", settings.setdefault("limits", {}), _LIMITS)
    sources = sorted(settings["table"])
    if sources not in (["csv"], ["parquet"], ["query", "url"]):
        raise ValueError(
            f"[table] of {path} must have `csv`, or `parquet`, or `url` and `query`; got "
            f"{sources}."
        )
    for name in ("secret_file", "models", "kit"):
        if name in settings:
            settings[name] = path.parent / settings[name]
    for name in ("csv", "parquet"):
        if name in settings["table"]:
            settings["table"][name] = path.parent / settings["table"][name]
    if "estimator" in settings:
        settings["estimator"] = load_estimator(settings["estimator"], path.parent)
    return settings


def service_from_config(path):
    """The service of an organization.

    Parameters
    ----------
    path : path-like
        A TOML file; what it may say is in the operators' page of the documentation.

    Returns
    -------
    service : OrganizationService

    Raises
    ------
    ValueError
        If a setting, the table, its key or the estimator is unusable.
    """
    settings = organization_settings(path)
    return OrganizationService(
        settings["name"],
        read_table(**settings["table"]),
        settings["key"],
        Path(settings["secret_file"]).read_text().strip(),
        settings["models"],
        columns=settings.get("columns"),
        estimator=settings.get("estimator"),
        **settings["limits"],
    )


def read_table(csv=None, parquet=None, url=None, query=None):
    """A table from a file or a data base; numbers keep all their digits."""
    import pandas as pd

    if csv is not None:
        # from 3.1 on pandas reads all digits by default, and deprecates asking for it
        older = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
        return pd.read_csv(csv, **({"float_precision": "round_trip"} if older else {}))
    if parquet is not None:
        return pd.read_parquet(parquet)
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return pd.read_sql_query(sqlalchemy.text(query), connection)
    finally:
        engine.dispose()


def load_estimator(where, folder):
    """The estimator named by ``file.py:name``, from the organization's own file."""
    file, _, name = where.rpartition(":")
    path = folder / file
    if not file.endswith(".py") or not path.is_file() or not name:
        raise ValueError(
            f"estimator = {where!r} must be 'file.py:name', a Python file beside the "
            "settings and the name of an estimator in it."
        )
    known_as = f"_sklearn_gal_organization_{path.stem}"  # models of its classes are pickled
    spec = importlib.util.spec_from_file_location(known_as, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[known_as] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise ValueError(f"estimator = {where!r}: {path} defines no {name!r}.")
    return getattr(module, name)


def federation_settings(path):
    """The settings of a federation, with their defaults."""
    settings = read_toml(path, _FEDERATION, ("host", "organizations"))
    check_names(settings["organizations"])
    defaults = {"name": "sklearn_gal", "port": 8002, "listen": settings["host"]}
    settings = defaults | settings
    return {"admin_port": settings["port"] + 1} | settings


def read_federation(kit):
    """What the label holder's kit says of the federation, the shared secret included."""
    path = Path(kit) / "federation.json"
    if not path.is_file():
        raise ValueError(
            f"{kit} is not a label holder's start-up kit: it has no {path.name}. Make one "
            "by `sklearn-gal provision`."
        )
    secret = (path.parent / "secret").read_text().strip()
    return json.loads(path.read_text()) | {"secret": secret}
