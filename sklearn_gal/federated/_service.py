"""The organization's side: it answers the calls of the contract, and nothing else.

The table, the estimator and the fitted models stay here. The label holder sends seven calls
with arrays of numbers. It receives fitted values, predictions and explanations of these as
far as the owner reveals them, or the type of an error.
If a rule of the organization forbids the call, the label holder is told which one; the text
of an error stays in the log of the organization.
"""

import hmac
import logging
import threading
import time
from collections import OrderedDict
from functools import partial

from .._learners import default_learner
from .._organizations.columns import check_organizations
from . import _wire
from ._about_rows import AnswersAboutRows
from ._calls import IDS, check_header, check_values, n_models, needs_handshake
from ._keys import KeyIndex, check_secret, check_value, digests
from ._ledger import WAITING, Ledger
from ._limits import Limits
from ._manifest import Manifests
from ._refusals import (
    ApprovalPending,
    NotPrepared,
    OtherSecret,
    RequestRefused,
    describe,
)
from ._revealed import SUM, Revealed
from ._rights import RightsByName
from ._rules import Rules
from ._served import ServedFit
from ._slots import Busy, CallerGone, Slots, asked_by
from ._table import key_shapes, kinds_of, own_table
from ._versions import HANDSHAKE, check_handshake

log = logging.getLogger("sklearn_gal.federated")

# Who asks, if the channel does not tell.
LABEL_HOLDER = "label holder"
# What the log of calls says of a request: scalars; lengths of arrays along an axis.
_LOGGED_SCALARS = ("number", "n_requests")
_LOGGED_LENGTHS = (
    ("rows", "row_ids", 0),
    ("background", "background", 0),
    ("rows", "residual", 1),
    ("folds", "residual", 0),
    ("outputs", "residual", 2),
)


class OrganizationService(AnswersAboutRows):
    """Columns and estimator of an organization, which answers requests of label holders.

    Parameters
    ----------
    name : str
        Name of the organization.
    table : dataframe
        Rows of the organization, a pandas or polars dataframe.
    key : str
        Column of `table` with the ids of the rows; ids must be unique.
    secret : str or bytes
        Secret that the label holder and all organizations share, at least 16 bytes.
    folder : path-like
        Folder for fitted models, with a folder per fit and a file per request, and for the
        log of calls. If it does not exist, it is created such that only its owner can read
        it.
    columns : list of str, default=None
        Columns of `table` that the estimator receives. If None, all but `key`.
    estimator : estimator or None, default=None
        Regressor, or pipeline that ends with one, which is fitted to the residuals. If
        None, the default local estimator.
    rules : dict or None, default=None
        What the owner decides about fits: `calls`, `approve`, `approve_label_holders`,
        `approve_rows`, `retention_days` and `retention_bytes`, as in the settings of an
        organization. If None, every fit is approved, and none is forgotten.
    label_holders : dict of str to dict or None, default=None
        What differs for single label holders, by their names: `calls`, `approve`,
        `approve_rows` and limits other than `max_fits` and `max_disk`. If None, all have
        the same rights.
    explain : {"features", "sum"} or dict of str to list of str, default="sum"
        What label holders learn from explanations of predictions: the contribution of each
        column of the estimator, only their sum, or the sums over groups of columns by name.
        Columns in no group are summed as "other".
    **limits : int
        What is answered at most: `max_rows`, `max_outputs`, `max_bytes`, `max_fits`,
        `min_rows`, `max_repeats`, `max_folds`, `max_rounds`, `max_rounds_predicted`,
        `max_seconds`, `max_disk`, `ids_per_day`, `fits_per_day`, `rounds_per_day` and
        `seconds_per_day`. The page for operators says what each of them limits.

    Raises
    ------
    ValueError
        If the key, a column, the estimator, the secret, a rule or a limit is invalid, or an
        id is missing or not unique.
    """

    def __init__(
        self,
        name,
        table,
        key,
        secret,
        folder,
        *,
        columns=None,
        estimator=None,
        rules=None,
        label_holders=None,
        explain=SUM,
        **limits,
    ):
        check_organizations([(name, estimator, None)], reserved=())
        self.name = name
        self.estimator = default_learner() if estimator is None else estimator
        self.limits = Limits(**limits)
        self.rules = Rules(**(rules or {}))
        self._secret = check_secret(secret)
        self._table, self._ids = own_table(name, table, key, columns)
        self.revealed = Revealed([str(each) for each in self._table.columns], explain)
        self._ledger = Ledger(folder)
        self._manifests = Manifests(self._ledger, self._table, self.estimator)
        self._fits = OrderedDict()
        self._slots = Slots(self.limits.max_fits)
        self._lock = threading.Lock()
        self.rights = RightsByName(
            self.limits,
            self.rules,
            label_holders or {},
            len(self._table),
            self._ledger.log,
        )
        self._expire()
        self._n_bytes = self._ledger.size()

    def answer(self, request, is_gone=None, *, label_holder=LABEL_HOLDER):
        """Answer a request; an error gives a reply, not an exception.

        Parameters
        ----------
        request : bytes
            Message with the name of a call and its fields.
        is_gone : callable, default=None
            ``is_gone()`` returns whether the caller no longer waits for the reply. The
            organization then stops before the next fold or model.
        label_holder : str, default="label holder"
            Who asks, as the channel has authenticated it.

        Returns
        -------
        reply : bytes
            Message ``"ok"`` with the result; or ``"error"`` with the type of the error and,
            if a rule of the organization forbids the call, which one.
        """
        begin = time.perf_counter()
        entry = {"label_holder": label_holder[:200], "fit": "", "call": ""}
        is_news = True
        try:
            check = partial(self._check_header, entry)
            call, fields = _wire.decode(request, self._limits(entry).max_bytes, check)
            check_values(call, fields)
            for key in ("check", "versions"):
                fields.pop(key, None)
            with asked_by(is_gone):
                result = getattr(self, f"_{call}")(entry, **fields)
            reply, decision = _wire.encode("ok", result), "answered"
        except (RequestRefused, _wire.MessageError) as error:
            is_news = getattr(error, "is_news", True)
            decision = f"refused: {type(error).__name__}: {error}"
            if is_news:  # a fit that waits asks again and again
                self._warn(entry, error)
            reply = _wire.encode("error", describe(error))
        except (Busy, CallerGone) as error:
            is_news = getattr(error, "is_news", True)
            if is_news:
                log.info("organization %r did not finish a call: %s", self.name, error)
            decision = f"not finished: {type(error).__name__}"
            reply = _wire.encode("error", describe(error))
        except Exception as error:
            log.exception("organization %r could not answer %r", self.name, entry["call"])
            decision = f"failed: {type(error).__name__}"
            reply = _wire.encode("error", describe(error))
        if is_news:
            entry |= {"bytes_in": _size(request), "bytes_out": len(reply)}
            entry["seconds"] = round(time.perf_counter() - begin, 6)
            reply = self._logged(reply, entry | {"decision": decision})
        return reply

    def _logged(self, reply, entry):
        """Return a reply after it has been logged; else an error in its place."""
        try:
            self._ledger.log.append(**entry)
        except OSError as error:
            log.exception("organization %r cannot write its log of calls", self.name)
            return _wire.encode("error", describe(error))
        return reply

    def _warn(self, entry, error):
        log.warning(
            "organization %r refused %r of %r: %s: %s",
            self.name,
            entry["call"],
            entry["label_holder"],
            type(error).__name__,
            error,
        )

    def _check_header(self, entry, call, scalars, shapes):
        """Refuse a request before its arrays are read."""
        entry["call"] = str(call)[:40]
        label_holder, rights = entry["label_holder"], self._rights(entry)
        check_header(call, scalars, shapes, rights.limits)
        entry["fit"] = fit_id = scalars["fit_id"]
        entry |= {key: scalars[key] for key in _LOGGED_SCALARS if key in scalars}
        entry |= {
            name: shapes[key][axis] for name, key, axis in _LOGGED_LENGTHS if key in shapes
        }
        if call in ("predict", "expect", "explain"):
            entry["models"] = n_models(shapes)
        self._ledger.check_rights(label_holder)
        rights.rules.check_call(call, n_models(shapes))
        if needs_handshake(call):
            check_handshake(scalars["versions"])
            check = check_value(self._secret, fit_id)
            if not hmac.compare_digest(scalars["check"].encode(), check.encode()):
                raise OtherSecret("", "the label holder has another secret")
        self._manifests.check_owner(fit_id, label_holder)
        used = self._ledger.log.used_today(label_holder)
        limits = rights.limits
        limits.check("seconds_per_day", used["seconds_per_day"], "seconds today")
        if call == "fit_round":
            limits.check("rounds_per_day", used["rounds_per_day"] + 1, "rounds today")
        if IDS & shapes.keys():
            n_different = max(shapes[key][0] for key in IDS & shapes.keys())
            rights.id_budget.check(label_holder, n_different // limits.max_repeats)

    def _rights(self, entry):
        return self.rights[entry["label_holder"]]

    def _limits(self, entry):
        return self._rights(entry).limits

    def _prepare(self, entry, fit_id, row_ids, abstain, n_outputs=1, sample_weight=None):
        manifest = self._approved(entry, fit_id, len(row_ids))
        with self._lock:
            self._fits.pop(self._slots.claim(fit_id), None)
        is_prepared = False
        try:
            with self._slots.in_use(fit_id):
                positions, present = self._rows(entry, fit_id, row_ids, abstain)
                if sample_weight is not None and sample_weight.shape != present.shape:
                    raise RequestRefused("sample_weight must have one value per row")
                if len(present) and (abstain or present.all()):
                    fit = self._fit(entry, fit_id)
                    with fit.lock:
                        fit.prepare(positions, sample_weight, n_outputs)
                        self._manifests.begin(manifest, len(present), n_outputs)
                    entry["fits"] = int("rows" not in manifest)
                    is_prepared = True
        finally:
            if not is_prepared:
                self._slots.free(fit_id)
        return {"present": present, "versions": HANDSHAKE}

    def _approved(self, entry, fit_id, n_rows):
        """Return the manifest of a fit; refuse one that is not approved or has changed."""
        known, label_holder = self._ledger.read(fit_id), entry["label_holder"]
        if known is None:
            used = self._ledger.log.used_today(label_holder)["fits_per_day"]
            self._limits(entry).check("fits_per_day", used + 1, "fits today")
            self._expire()
        manifest = known or self._manifests.new(fit_id, label_holder)
        approved = n_rows <= manifest["approved_rows"]
        if not approved and not self._rights(entry).rules.approves(label_holder, n_rows):
            waiting = manifest | {"state": WAITING, "rows": n_rows}
            if waiting != known:
                self._ledger.write(waiting)
                entry["fits"] = int(known is None)
            raise ApprovalPending(fit_id, is_news=waiting != known)
        self._manifests.check_continued(manifest)
        return manifest

    def _fit_round(self, entry, fit_id, number, seed, residual, folds=None):
        fit = self._fit(entry, fit_id)
        with self._slots.in_use(fit_id), fit.lock:
            manifest = self._ledger.read(fit_id)
            if manifest is None:
                raise NotPrepared("prepare must be called before fit_round")
            rounds = manifest["rounds"] + 1
            limits = self._limits(entry)
            limits.check("max_rounds", rounds, "residuals fitted in this fit")
            if self._n_bytes >= self.limits.max_disk:
                self._n_bytes = self._ledger.size()  # the owner may have made room
            self.limits.check("max_disk", self._n_bytes + 1, "bytes on the disk")
            before = fit.models.size(number)
            fitted, is_new = fit.fit_round(number, seed, folds, residual)
            if is_new:
                entry["rounds"] = 1
                self._n_bytes += fit.models.size(number) - before
                self._manifests.use(fit_id, rounds=rounds)
                if self._n_bytes > self.limits.max_disk:
                    self._n_bytes = self._ledger.size()
                if self._n_bytes > self.limits.max_disk:
                    self._n_bytes -= fit.models.size(number)
                    fit.drop(number)
                    self.limits.check("max_disk", self.limits.max_disk + 1, "bytes needed")
            return {"fitted": fitted}

    def _release(self, entry, fit_id, n_requests):
        fit, before = self._fit(entry, fit_id), self._ledger.size(fit_id)
        with fit.lock:
            fit.release(n_requests)
        self._n_bytes += self._ledger.size(fit_id) - before
        self._slots.free(fit_id)
        manifest = self._ledger.read(fit_id)
        if manifest and manifest["state"] != WAITING and not len(fit.models):
            self.forget(fit_id)  # nothing of it can be used
        return {}

    def _forget(self, entry, fit_id):
        if fit_id in self.fits():
            self.forget(fit_id)
        return {}

    def _index(self, entry, fit_id):
        """Return the index of the table by the digests of this fit."""
        fit = self._fit(entry, fit_id)
        with fit.lock:
            if fit.index is None:
                fit.index = KeyIndex(digests(self._ids, self._secret, fit_id))
            return fit.index

    def _fit(self, entry, fit_id):
        """Return the fit with this id, created if it is not in memory."""
        limits = self._limits(entry)
        with self._lock:
            known = self._fits.get(fit_id)
            if known is None or known.limits != limits:  # of another label holder
                folder = self._ledger.folder / fit_id
                self._fits[fit_id] = ServedFit(
                    self.name, self.estimator, self._table, folder, limits
                )
            self._fits.move_to_end(fit_id)
            without_rows = [each for each in self._fits if each not in self._slots]
            for each in without_rows[: -self.limits.max_fits]:
                del self._fits[each]
            return self._fits[fit_id]

    def describe(self):
        """Describe the table as the organization reads it, for its owner.

        Returns
        -------
        description : dict
            `rows`, the number of rows; `columns`, the kind of each column by name;
            `key_shapes`, what the ids of the rows look like and how many look like this;
            `explain`, what explanations reveal.
        """
        return {
            "rows": len(self._ids),
            "columns": kinds_of(self._table),
            "key_shapes": key_shapes(self._ids),
            "explain": str(self.revealed),
        }

    def fits(self):
        """List the fits that have a folder on the disk.

        Returns
        -------
        fit_ids : list of str
            Ids of the fits, in alphabetical order.
        """
        return self._ledger.fits()

    def forget(self, fit_id):
        """Delete the models of a fit, which can then no longer be used to predict.

        Parameters
        ----------
        fit_id : str
            Id of the fit, one of those that `fits` returns.

        Raises
        ------
        ValueError
            If there is no such fit.
        """
        if fit_id not in self.fits():
            raise ValueError(f"There is no fit {fit_id!r}; there are {self.fits()}.")
        self._slots.free(fit_id)
        with self._lock:
            self._fits.pop(fit_id, None)
        self._ledger.forget(fit_id)
        self._n_bytes = self._ledger.size()

    def _expire(self):
        """Forget the fits that are too old or too large to be kept."""
        days, n_bytes = self.rules.retention_days, self.rules.retention_bytes
        if days or n_bytes:
            running = {key for key, fit in self._fits.items() if fit.is_prepared}
            for fit_id in set(self._ledger.expired(days, n_bytes)) - running:
                self.forget(fit_id)
                self._ledger.log.append(
                    label_holder="", fit=fit_id, call="forget", decision="retention"
                )


def _size(request):
    return len(request) if isinstance(request, (bytes, bytearray, memoryview)) else 0
