"""What the models of a fit were fitted to: they must not be used with anything else."""

import re

from ._ledger import APPROVED, now
from ._refusals import FitChanged, NotTheOwner
from ._table import kinds_of
from ._versions import HANDSHAKE, VERSIONS, can_work_with

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Manifests:
    """The manifests of an organization's fits, which say what each fit depends on.

    Parameters
    ----------
    ledger : Ledger
        Where they are kept.
    table : dataframe
        The columns of the estimator.
    estimator : estimator
        The local estimator.
    """

    def __init__(self, ledger, table, estimator):
        self._ledger = ledger
        self._columns = [[name, kind] for name, kind in kinds_of(table).items()]
        self._estimator = describe_estimator(estimator)

    def new(self, fit_id, label_holder):
        """Return the manifest of a new fit."""
        return {
            "fit_id": fit_id,
            "label_holder": label_holder,
            "state": APPROVED,
            "approved_rows": 0,  # so many the owner has approved
            "first_used": now(),
            "last_used": now(),
            "columns": self._columns,
            "estimator": self._estimator,
            "versions": VERSIONS,
            "handshake": HANDSHAKE,
            "rounds": 0,
        }

    def begin(self, manifest, rows, outputs):
        """Write the manifest of a fit whose training rows have been received."""
        current = self._ledger.read(manifest["fit_id"]) or manifest
        received = {"state": APPROVED, "rows": rows, "outputs": outputs}
        self._ledger.write(current | received | {"last_used": now()})

    def use(self, fit_id, **changes):
        """Write when a fit was used last, to the minute, and what has changed."""
        manifest, time = self._ledger.read(fit_id), now()
        if manifest is not None and (changes or time[:16] != manifest["last_used"][:16]):
            self._ledger.write(manifest | {"last_used": time} | changes)

    def check_owner(self, fit_id, label_holder):
        """Refuse a label holder that did not begin the fit."""
        manifest = self._ledger.read(fit_id)
        if manifest is not None and manifest["label_holder"] != label_holder:
            owner = manifest["label_holder"]
            raise NotTheOwner(
                fit_id, f"{fit_id} belongs to {owner!r}, not to {label_holder!r}"
            )

    def check_unchanged(self, fit_id, manifest):
        """Refuse to predict with columns or releases that the models do not fit to."""
        if manifest is None:
            if self._ledger.size(fit_id):
                raise FitChanged("manifest", f"the folder of {fit_id} has no fit.json")
            return
        if manifest["columns"] != self._columns:
            raise FitChanged(
                "columns",
                f"fitted to the columns {manifest['columns']}, now they are "
                f"{self._columns}; set `columns` to the same names in the same order",
            )
        if not can_work_with(manifest["handshake"]):
            raise FitChanged(
                "software",
                f"fitted by {manifest['handshake']}, now it is {HANDSHAKE}; minor releases "
                "may differ by one",
            )

    def check_continued(self, manifest):
        """Refuse to continue a fit with another estimator or other releases."""
        self.check_unchanged(manifest["fit_id"], manifest)
        for key, now_, detail in (
            ("estimator", self._estimator, "estimator"),
            ("versions", VERSIONS, "software"),
        ):
            if manifest[key] != now_:
                raise FitChanged(
                    detail, f"fitted with the {key} {manifest[key]}, now it is {now_}"
                )


def describe_estimator(estimator):
    """Return class and parameters of an estimator as text, the same in all processes."""
    name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    params = sorted(estimator.get_params().items())
    return _ADDRESS.sub("", f"{name} {params}")
