"""What an organization keeps about fits on its disk: models, their owners, a log of calls.

A folder has, for each fit, a folder with the file `fit.json` and a file per model. It has
also the folder `log`, with a file of JSON lines per day, and the file `revoked.json`.
Several processes may use it at the same time.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ._calls import is_fit_id
from ._models import write_private
from ._refusals import Revoked

log = logging.getLogger("sklearn_gal.federated")

_MANIFEST = "fit.json"
_REVOKED = "revoked.json"
# Entries of the log that count against a daily limit, and the limit.
_COUNTED = {
    "fits": "fits_per_day",
    "rounds": "rounds_per_day",
    "ids": "ids_per_day",
    "seconds": "seconds_per_day",
}
WAITING, APPROVED = "waiting", "approved"


def now():
    """Return the time in UTC, in seconds, as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """The fits of an organization, and the label holders whose rights are revoked.

    Parameters
    ----------
    folder : path-like
        The folder of models. If it does not exist, it is created such that only its owner
        can read it.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = AuditLog(self.folder / "log")

    def fits(self):
        """Return the ids of all fits that have a folder, in alphabetical order."""
        paths = self.folder.iterdir()
        return sorted(path.name for path in paths if path.is_dir() and is_fit_id(path.name))

    def read(self, fit_id):
        """Return the manifest of a fit, or None if it has none."""
        try:
            return json.loads((self.folder / fit_id / _MANIFEST).read_text())
        except FileNotFoundError:
            return None

    def write(self, manifest):
        """Replace the manifest of a fit."""
        folder = self.folder / manifest["fit_id"]
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(folder / _MANIFEST, json.dumps(manifest, indent=1).encode())

    def approve(self, start):
        """Approve the fit that waits and whose id begins like this, for the rows it has.

        Raises
        ------
        ValueError
            If there is not one such fit, or it does not wait.
        """
        fit_id = self.find(start)
        manifest = self.read(fit_id) or {}
        if manifest.get("state") != WAITING:
            raise ValueError(f"The fit {fit_id} does not wait for approval.")
        approved = {"state": APPROVED, "approved_rows": manifest["rows"]}
        self.write(manifest | approved)
        return fit_id

    def find(self, start):
        """Return the only fit whose id begins like this."""
        found = [fit_id for fit_id in self.fits() if start and fit_id.startswith(start)]
        if len(found) != 1:
            raise ValueError(
                f"There must be one fit {start!r}, but {len(found)} have an id that begins "
                f"like this. The fits of {self.folder} are {self.fits()}."
            )
        return found[0]

    def forget(self, fit_id):
        """Delete a fit: its models, and what is known of it apart from the log."""
        shutil.rmtree(self.folder / fit_id)

    def size(self, fit_id=None):
        """Return the bytes of the models of a fit, or of all fits."""
        pattern = f"{fit_id or '*'}/*.joblib"
        return sum(_size(path) for path in self.folder.glob(pattern))

    def expired(self, days=None, n_bytes=None):
        """Return the fits to delete, such that the others are new enough and small enough.

        Parameters
        ----------
        days : int or None
            Fits that have not been used for as long are to be deleted.
        n_bytes : int or None
            Bytes of the fits that may be kept: those that were used last.
        """
        used = {fit_id: self._last_use(fit_id) for fit_id in self.fits()}
        oldest = (datetime.now(UTC) - timedelta(days=days)).isoformat() if days else ""
        found, total = [], 0
        for fit_id in sorted(used, key=used.__getitem__, reverse=True):
            total += self.size(fit_id)
            if used[fit_id] < oldest or (n_bytes and total > n_bytes):
                found.append(fit_id)
        return found

    def _last_use(self, fit_id):
        return (self.read(fit_id) or {}).get("last_used", "")

    def revoked(self):
        """Return the label holders whose rights are revoked, with the time of it."""
        try:
            return json.loads((self.folder / _REVOKED).read_text())
        except FileNotFoundError:
            return {}

    def revoke(self, label_holder, revoked=True):
        """Revoke the rights of a label holder, or give them back.

        Raises
        ------
        ValueError
            If rights are given back that are not revoked.
        """
        names = self.revoked()
        if revoked:
            names.setdefault(label_holder, now())
        elif names.pop(label_holder, None) is None:
            raise ValueError(
                f"The rights of {label_holder!r} are not revoked; those of "
                f"{sorted(names)} are."
            )
        write_private(self.folder / _REVOKED, json.dumps(names, indent=1).encode())

    def check_rights(self, label_holder):
        """Refuse a label holder whose rights are revoked."""
        since = self.revoked().get(label_holder)
        if since is not None:
            raise Revoked(label_holder, f"{label_holder!r} was revoked at {since}")


class AuditLog:
    """A log of calls, to which entries are only added.

    Parameters
    ----------
    folder : Path
        Folder with a file of JSON lines per day, which has the date (UTC) as its name.
    """

    def __init__(self, folder):
        self._folder = folder
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._day, self._position, self._used = "", 0, {}
        self._lock = threading.Lock()

    def append(self, **entry):
        """Add an entry, a line written at once so that processes do not mix theirs."""
        time_ = now()
        line = json.dumps({"time": time_, **entry}) + "\n"
        flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY
        file = os.open(self._folder / f"{time_[:10]}.jsonl", flags, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def entries(self, since=""):
        """Yield the entries from a day on, the oldest first."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if path.stem >= since:
                yield from _parsed(path.read_bytes())

    def entries_of_today(self):
        """Yield the entries of today (UTC)."""
        return self.entries(now()[:10])

    def used_today(self, label_holder):
        """Return what a label holder has used today of what is limited, by limit."""
        with self._lock:
            self._read_new()
            return self._used.get(label_holder, Counter())

    def _read_new(self):
        """Add up what has been logged since the last time."""
        day = now()[:10]
        if day != self._day:
            self._day, self._position, self._used = day, 0, {}
        path = self._folder / f"{day}.jsonl"
        if _size(path) <= self._position:
            return
        with open(path, "rb") as file:
            file.seek(self._position)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]  # another process may be writing the last line
        self._position += len(new)
        for entry in _parsed(new):
            used = self._used.setdefault(entry["label_holder"], Counter())
            for key, limit in _COUNTED.items():
                used[limit] += entry.get(key, 0)


def _parsed(lines):
    """Yield the entries of lines; a host that lost power can leave a part of a line."""
    for line in lines.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            log.warning("the log of calls has a line that cannot be read: %r", line[:200])


class Clock:
    """Ends a call that takes too long, when it asks for the time.

    Parameters
    ----------
    limits : Limits
        With the seconds that a call may take.
    """

    def __init__(self, limits):
        self._limits = limits
        self._begin = time.monotonic()

    def start(self):
        """Begin a call."""
        self._begin = time.monotonic()

    def check(self):
        """Refuse to go on with a call that has taken too long."""
        seconds = time.monotonic() - self._begin
        self._limits.check("max_seconds", seconds, "seconds of a call")


def _size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another process has deleted it
        return 0
