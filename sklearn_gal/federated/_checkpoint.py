"""The label holder's fit on its disk, so that it can go on after the process has died."""

from pathlib import Path

import joblib
import numpy as np

from .._method.observers import Observer
from ._models import DiskModels, write_atomically
from ._participants import is_remote
from ._session import OrganizationError

_STATE = "fit.joblib"
# Parameters that change how a fit runs, but not what it gives.
_INCIDENTAL = (
    *("federation", "checkpoint", "n_jobs", "verbose"),
    *("on_failure", "deadline", "grace_period", "max_missed_rounds"),
)


class Checkpoint:
    """The state of a fit, in a folder of the label holder.

    Parameters
    ----------
    folder : path-like
        The folder; created, readable for its owner only, if it does not exist.
    fingerprint : str
        Of the data and parameters of the fit; another fit does not use what is saved.
    """

    def __init__(self, folder, fingerprint):
        self._folder = Path(folder)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fingerprint = fingerprint

    def load(self):
        """Return the state that was saved last; empty if there is none."""
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
        """Return the models of one of the label holder's organizations, by number."""
        return DiskModels(self._folder / fit_id / name)


class SavesRounds(Observer):
    """Saves a fit before its first round and after each round that is kept.

    A round after which another observer ends the fit is not saved: it is fitted again when
    the fit is resumed, so that the reason for the end is found again.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where to save.
    saved : dict
        What was saved by a fit that was interrupted; it is restored before the first round.
    """

    def __init__(self, checkpoint, saved):
        self._checkpoint = checkpoint
        self._saved = saved
        self._n_requests = 0  # models of smaller numbers are saved

    def begin(self, descent):
        """Continue where the fit was interrupted."""
        if self._saved:
            self._restore(descent)
        self.after_round(descent)

    def _restore(self, descent):
        saved, participants = self._saved, descent.model.participants
        descent.model.rounds.extend(saved["rounds"])
        self._n_requests = descent.model.n_requests
        for raw, (present, snapshot) in zip(descent.raws, saved["raws"], strict=True):
            if not np.array_equal(present, raw.rows.present):
                raise OrganizationError(
                    "The organizations have other rows than when the fit began: resume "
                    "when all of them answer, or fit without the checkpoint."
                )
            raw.restore(snapshot)
        descent.disclosure.restore(saved["disclosure"])
        for each in participants:
            if is_remote(each):
                each.n_chains = dict(saved["n_chains"][each.name])
            else:
                models = self._checkpoint.models(saved["fit_id"], each.name)
                each.models = {n: models[n] for n in models if n < self._n_requests}

    def after_round(self, descent):
        """Save the fit."""
        participants = descent.model.participants
        session = participants.session
        for each in participants:
            if not is_remote(each):
                models = self._checkpoint.models(session.fit_id, each.name)
                for number, model in each.models.items():
                    if number >= self._n_requests:
                        models[number] = model
        self._n_requests = descent.model.n_requests
        self._checkpoint.save(
            fit_id=session.fit_id,
            rounds=list(descent.model.rounds),
            raws=[(raw.rows.present, raw.snapshot()) for raw in descent.raws],
            disclosure=descent.disclosure.snapshot(),
            n_chains={each.name: dict(each.n_chains) for each in participants.remote},
            calls=session.calls,
        )


def fingerprint(model, X, y, sample_weight):
    """Return a hash of all that the result of a fit depends on.

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
