"""Tables from databases: a password is in a file or the environment, never in a URL."""

import os
from pathlib import Path

from ._environment import Refused, Unavailable

# What PostgreSQL says of a connection that it refuses, without a code
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
)
PASSWORD_VARIABLE = "SKLEARN_GAL_TABLE_PASSWORD"


def read_query(url, query, password_file=None):
    """Read the result of a query.

    Parameters
    ----------
    url : str
        SQLAlchemy's URL of the database, without a password.
    query : str
        SQL of the query.
    password_file : path-like, default=None
        File with the password. If None, the password is the value of the environment
        variable ``SKLEARN_GAL_TABLE_PASSWORD``, if it is set.

    Returns
    -------
    table : DataFrame

    Raises
    ------
    ValueError
        If the URL is invalid or has a password.
    Refused
        If the database refuses the user or the password.
    Unavailable
        If the database cannot be read for another reason.
    ImportError
        If SQLAlchemy or the driver of the database is not installed.
    """
    import pandas as pd
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = _with_password(url, password_file)
        engine = sqlalchemy.create_engine(url)
    except ArgumentError as error:
        raise ValueError(
            "url of [table] must be SQLAlchemy's URL of a database, such as "
            "'postgresql+psycopg://user@host/database'."  # its text may show a password
        ) from error
    except ImportError as error:
        raise ImportError(
            f"The driver of {url} is not installed: {error}. For PostgreSQL, install the "
            "extra `postgresql` of this package."
        ) from error
    try:
        with engine.connect() as connection:
            return pd.read_sql_query(sqlalchemy.text(query), connection)
    except (SQLAlchemyError, pd.errors.DatabaseError) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        cause = getattr(cause, "orig", cause)
        if is_refusal(cause):
            raise Refused(
                f"The database {url} refuses the user or the password: "
                f"{str(cause).strip()}. Correct the user in url of [table], and the "
                "password in password_file or in the environment variable "
                f"{PASSWORD_VARIABLE}."
            ) from error
        cause = str(cause).strip()
        raise Unavailable(
            f"The database {url} cannot be read: {cause}. Check url, query and password of "
            "[table], and that the database runs."
        ) from error
    finally:
        engine.dispose()


def is_refusal(error):
    """Whether an error of a database's driver is about the user or the password."""
    code = getattr(error, "sqlstate", None) or ""  # psycopg has none before a connection
    return code.startswith("28") or any(text in str(error) for text in _REFUSALS)


def _with_password(url, password_file):
    """Return SQLAlchemy's URL object, whose text never shows the password."""
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    if parsed.password is not None or "password" in parsed.query:
        raise ValueError(
            f"url of [table] must not have a password, got {parsed.set(query={})}. Write "
            "the password to a file that only this user can read, and set password_file to "
            f"it, or set the environment variable {PASSWORD_VARIABLE}."
        )
    password = os.environ.get(PASSWORD_VARIABLE)
    if password_file is not None:
        password = Path(password_file).read_text().strip()
    return parsed.set(password=password) if password else parsed
