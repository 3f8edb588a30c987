"""The label holder's fit on its disk, so that it can go on after the process has died."""

from pathlib import Path

import joblib

from ._service import DiskModels, write_atomically

_STATE = "fit.joblib"
# Parameters that change how a fit runs, but not what it gives.
_INCIDENTAL = ("federation", "checkpoint", "deadline", "on_failure", "n_jobs", "verbose")


class Checkpoint:
    """Where a fit stands, in a folder of the label holder.

    Parameters
    ----------
    folder : path-like
        The folder; created, readable for its owner only, if it does not exist.
    fingerprint : str
        Of the data and parameters of the fit; a fit of something else starts anew.
    """

    def __init__(self, folder, fingerprint):
        self._folder = Path(folder)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fingerprint = fingerprint

    def load(self):
        """State of the fit after its last finished round; empty if there is none."""
        path = self._folder / _STATE
        if not path.exists():
            return {}
        state = joblib.load(path)
        return state if state["fingerprint"] == self._fingerprint else {}

    def save(self, **state):
        """Replace the state."""
        state["fingerprint"] = self._fingerprint
        write_atomically(self._folder / _STATE, state)

    def models(self, fit_id, name):
        """The models of an own organization, by round."""
        return DiskModels(self._folder / fit_id / name)


def fingerprint(model, X, y, sample_weight):
    """A hash of all that the result of a fit depends on.

    Raises
    ------
    ValueError
        If the result depends on chance.
    """
    if model.random_state is None:
        raise ValueError(
            "A fit with a checkpoint must give the same when it is resumed: set "
            "random_state to an int."
        )
    params = model.get_params(deep=False)
    for name in _INCIDENTAL:
        params.pop(name, None)
    return joblib.hash((type(model).__name__, params, X, y, sample_weight))
