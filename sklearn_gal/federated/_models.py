"""Fitted models on disk."""

import os
import secrets
from collections import OrderedDict
from collections.abc import MutableMapping
from contextlib import contextmanager

import joblib

# Number of models read from the disk that a fit keeps in memory.
_MODELS_IN_MEMORY = 256


class DiskModels(MutableMapping):
    """Models by request number, each in a file; those read last stay in memory.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    before_reading : callable, default=None
        Called before a model is read; its error ends a call that reads too many.
    """

    def __init__(self, folder, before_reading=None):
        self._folder = folder
        self._read = OrderedDict()
        self._before_reading = before_reading

    def __setitem__(self, number, model):
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._read.pop(number, None)
        write_atomically(self._path(number), model)

    def __getitem__(self, number):
        if self._before_reading is not None:
            self._before_reading()
        if number not in self._read:
            if not self._path(number).exists():
                raise KeyError(number)
            self._read[number] = joblib.load(self._path(number))
        self._read.move_to_end(number)
        while len(self._read) > _MODELS_IN_MEMORY:
            self._read.popitem(last=False)
        return self._read[number]

    def __delitem__(self, number):
        self._read.pop(number, None)
        self._path(number).unlink()

    def __iter__(self):
        paths = self._folder.glob("request-*.joblib")
        return iter(sorted(int(path.stem.removeprefix("request-")) for path in paths))

    def __len__(self):
        return sum(1 for _ in self)

    def __contains__(self, number):
        return self._path(number).exists()

    def size(self, number):
        """Return the bytes of the file of a model, 0 if there is none."""
        path = self._path(number)
        return path.stat().st_size if path.exists() else 0

    def cut(self, n_requests):
        """Delete the models of numbers from `n_requests` on."""
        for number in [number for number in self if number >= n_requests]:
            del self[number]

    def _path(self, number):
        return self._folder / f"request-{number:06d}.joblib"


def write_atomically(path, content):
    """Write an object to a file such that it never exists in part."""
    with _replacing(path) as file:
        joblib.dump(content, file)


def write_private(path, content):
    """Write bytes to a file such that it never exists in part."""
    with _replacing(path) as file:
        file.write(content)


@contextmanager
def _replacing(path):
    """Open a file that only its owner can read, and that replaces `path` at the end."""
    # a name that no other thread has, such as one whose fit has been given up
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(
            os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb"
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
