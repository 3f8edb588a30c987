"""Fitted models on disk."""

import os
from collections import OrderedDict
from collections.abc import MutableMapping

import joblib

# Number of models read from the disk that a fit keeps in memory.
_MODELS_IN_MEMORY = 256


class DiskModels(MutableMapping):
    """Models by request number, each in a file; those read last stay in memory."""

    def __init__(self, folder):
        self._folder = folder
        self._read = OrderedDict()

    def __setitem__(self, number, model):
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._read.pop(number, None)
        write_atomically(self._path(number), model)

    def __getitem__(self, number):
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

    def cut(self, n_requests):
        """Delete the models of numbers from `n_requests` on."""
        for number in [number for number in self if number >= n_requests]:
            del self[number]

    def _path(self, number):
        return self._folder / f"request-{number:06d}.joblib"


def write_atomically(path, content):
    """Write `content` to a file such that it never exists in part."""
    partial = path.with_name(f".{path.name}.part")
    with open(partial, "wb") as file:
        joblib.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
