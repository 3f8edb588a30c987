"""The organization's side: it answers the calls of the contract, and nothing else.

The table, the estimator and the fitted models stay here. The label holder sends four calls
with arrays of numbers. It receives fitted values and predictions, or the type of an error;
the text of the error stays in the log of the organization.
"""

import hashlib
import logging
import re
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from sklearn.utils import _safe_indexing

from .._contract import NO_FOLD, Folds, Request
from .._learners import default_learner, weight_parameter
from .._organizations.columns import check_organizations
from .._organizations.local import LocalOrganization
from .._organizations.missing import missing_rows
from . import _wire
from ._keys import DIGEST_SIZE, KeyIndex, as_text, check_secret, digests
from ._models import DiskModels

log = logging.getLogger("sklearn_gal.federated")

_FIT_ID = re.compile(r"[0-9a-f]{32}")
MAX_REQUESTS = 100_000


class RequestRefused(ValueError):
    """Raised for a request that the organization does not answer."""


class NotPrepared(RuntimeError):
    """Raised if the training rows of a fit have not been received, or were released."""


class Field:
    """Type and shape that a field of a request must have.

    Parameters
    ----------
    dtype : type
        Type of the scalar, or dtype of the array.
    ndim : int
        Number of dimensions of the array, 0 for a scalar.
    required : bool
        Whether the call needs the field.
    """

    def __init__(self, dtype, ndim=0, required=True):
        self.dtype, self.ndim, self.required = dtype, ndim, required

    def takes(self, value):
        """Whether a value has this type and shape; arrays of floats must be finite."""
        if self.ndim == 0:
            return type(value) is self.dtype
        return (
            isinstance(value, np.ndarray)
            and value.dtype == self.dtype
            and value.ndim == self.ndim
            and (self.dtype is not np.float64 or bool(np.isfinite(value).all()))
        )


# The contract: all calls that an organization answers, with their fields.
CALLS = {
    "prepare": {
        "fit_id": Field(str),
        "row_ids": Field(np.uint8, 2),
        "abstain": Field(bool),
        "n_outputs": Field(int, required=False),
        "sample_weight": Field(np.float64, 1, required=False),
    },
    "fit_round": {
        "fit_id": Field(str),
        "number": Field(int),
        "seed": Field(int),
        "folds": Field(np.int64, 1, required=False),
        "residual": Field(np.float64, 3),
    },
    "predict": {
        "fit_id": Field(str),
        "row_ids": Field(np.uint8, 2),
        "numbers": Field(np.int64, 1),
        "coefficients": Field(np.float64, 1, required=False),
        "apart": Field(bool, required=False),
        "abstain": Field(bool),
    },
    "release": {"fit_id": Field(str), "n_requests": Field(int)},
}


class OrganizationService:
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
        Folder for fitted models, with a folder per fit and a file per request. If it does
        not exist, it is created such that only its owner can read it.
    columns : list of str, default=None
        Columns of `table` that the estimator receives. If None, all but `key`.
    estimator : estimator or None, default=None
        Regressor, or pipeline that ends with one, which is fitted to the residuals. If
        None, the default local estimator.
    max_rows : int, default=5_000_000
        Largest number of rows in a request. Larger requests are refused.
    max_outputs : int, default=1000
        Largest number of values per row of a residual, which has values for every fold and
        output. Larger residuals are refused.
    max_bytes : int, default=2**30
        Largest size in bytes of a request that is read, and of a reply to `predict`.
    max_fits : int, default=4
        Number of fits whose training rows are kept in memory at the same time. When there
        are more, the rows of the least recently used fit are released.

    Raises
    ------
    ValueError
        If the key, a column, the estimator or the secret is invalid, or an id is missing or
        not unique.
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
        max_rows=5_000_000,
        max_outputs=1000,
        max_bytes=_wire.MAX_MESSAGE,
        max_fits=4,
    ):
        check_organizations([(name, estimator, None)], reserved=())
        self.name = name
        self.estimator = default_learner() if estimator is None else estimator
        self.max_rows, self.max_outputs = max_rows, max_outputs
        self.max_bytes, self.max_fits = max_bytes, max_fits
        self._secret = check_secret(secret)
        self._table, self._ids = _own_table(name, table, key, columns)
        self._folder = Path(folder)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fits = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, request):
        """Answer a request; an error gives a reply, not an exception.

        Parameters
        ----------
        request : bytes
            Message with the name of a call and its fields.

        Returns
        -------
        reply : bytes
            Message ``"ok"`` with the result, or ``"error"`` with only the type of the
            error.
        """
        call = None
        try:
            call, fields = _wire.decode(request, self.max_bytes)
            self._check(call, fields)
            return _wire.encode("ok", getattr(self, f"_{call}")(**fields))
        except Exception as error:
            log.exception("organization %r could not answer %r", self.name, call)
            return _wire.encode("error", {"type": type(error).__name__})

    def _check(self, call, fields):
        """Raise an error for a request that is not in the contract."""
        if call not in CALLS:
            raise RequestRefused(f"there is no call {call!r}")
        known = CALLS[call]
        needed = {key for key, field in known.items() if field.required}
        if not needed <= fields.keys() <= known.keys():
            raise RequestRefused(f"{call} takes {sorted(known)}, got {sorted(fields)}")
        for key, value in fields.items():
            if not known[key].takes(value):
                raise RequestRefused(f"{key} of {call} has the wrong type, shape or values")
        if not _FIT_ID.fullmatch(fields["fit_id"]):
            raise RequestRefused("fit_id must have 32 hexadecimal digits")
        for key in ("number", "n_requests"):
            if not 0 <= fields.get(key, 0) <= MAX_REQUESTS:
                raise RequestRefused(f"{key} must be between 0 and {MAX_REQUESTS}")
        if not 0 <= fields.get("seed", 0) < 2**63:
            raise RequestRefused("seed must be between 0 and 2**63 - 1")
        ids = fields.get("row_ids")
        if ids is not None and (ids.shape[1] != DIGEST_SIZE or len(ids) > self.max_rows):
            raise RequestRefused(f"row_ids has the wrong shape {ids.shape}")
        if "residual" in fields:
            n_chains, n_rows, n_outputs = fields["residual"].shape
            per_row = n_chains * n_outputs
            if not (n_rows <= self.max_rows and 1 <= per_row <= self.max_outputs):
                shape = fields["residual"].shape
                raise RequestRefused(f"residual has the wrong shape {shape}")

    def _prepare(self, fit_id, row_ids, abstain, n_outputs=1, sample_weight=None):
        view, present = self._rows(fit_id, row_ids, abstain)
        if sample_weight is not None and sample_weight.shape != present.shape:
            raise RequestRefused("sample_weight must have one value per row")
        if len(present) and (abstain or present.all()):
            fit = self._fit(fit_id)
            with fit.lock:
                fit.prepare(view, present, sample_weight, n_outputs)
        return {"present": present}

    def _fit_round(self, fit_id, number, seed, residual, folds=None):
        fit = self._fit(fit_id)
        with fit.lock:
            return {"fitted": fit.fit_round(number, seed, folds, residual)}

    def _predict(self, fit_id, row_ids, numbers, abstain, coefficients=None, apart=False):
        if coefficients is not None and coefficients.shape != numbers.shape:
            raise RequestRefused("coefficients must have one value per number")
        if coefficients is None:
            self._check_size(8 * len(row_ids) * len(numbers))
        view, present = self._rows(fit_id, row_ids, abstain)
        reply = {"present": present}
        if len(numbers) and present.any() and (abstain or present.all()):
            fit = self._fit(fit_id)
            with fit.lock:
                numbers = numbers.tolist()
                prediction = fit.predict(view, present, numbers, coefficients, apart)
            if prediction is not None:
                self._check_size(prediction.nbytes)
                reply["prediction"] = prediction
        return reply

    def _check_size(self, n_bytes):
        """Refuse to reply with more than `max_bytes`."""
        if n_bytes > self.max_bytes:
            raise RequestRefused(f"the predictions have {n_bytes} bytes")

    def _rows(self, fit_id, row_ids, abstain):
        """Return columns of the requested rows, and a mask of those that the table has."""
        positions = self._index(fit_id).positions(row_ids)
        view = _safe_indexing(self._table, np.maximum(positions, 0))
        present = positions >= 0
        if abstain or view.shape[1] > 1:  # otherwise missing values do not remove the row
            present = present & ~missing_rows(view, np.arange(view.shape[1]))
        return view, present

    def _release(self, fit_id, n_requests):
        fit = self._fit(fit_id)
        with fit.lock:
            fit.release(n_requests)
        return {}

    def _index(self, fit_id):
        """Return the index of the table by the digests of this fit."""
        fit = self._fit(fit_id)
        with fit.lock:
            if fit.index is None:
                fit.index = KeyIndex(digests(self._ids, self._secret, fit_id))
            return fit.index

    def _fit(self, fit_id):
        """Return the fit with this id, created if it is not in memory."""
        with self._lock:
            if fit_id not in self._fits:
                folder = self._folder / fit_id
                self._fits[fit_id] = ServedFit(
                    self.name, self.estimator, self._table.shape[1], folder
                )
            self._fits.move_to_end(fit_id)
            while len(self._fits) > self.max_fits:
                self._fits.popitem(last=False)
            return self._fits[fit_id]

    def fits(self):
        """List the fits that have models on the disk.

        Returns
        -------
        fit_ids : list of str
            Ids of the fits, in alphabetical order.
        """
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

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
        with self._lock:
            self._fits.pop(fit_id, None)
        shutil.rmtree(self._folder / fit_id)


class ServedOrganization(LocalOrganization):
    """A local organization with models on disk, which is told the rows that it has."""

    def __init__(self, name, estimator, columns, models):
        super().__init__(name, estimator, columns)
        self.models = self._disk = models
        self.present = None  # mask of the rows of X in the next call

    def presence(self, X):
        """Return the mask of the rows of X that the organization has, (n_samples,)."""
        return self.present

    def release(self, n_requests):
        """Forget the training rows, and the models of numbers from `n_requests` on."""
        self.models = {}
        super().release(0)
        self.models = self._disk
        self._disk.cut(n_requests)


class ServedFit:
    """A fit in which the organization takes part."""

    def __init__(self, name, estimator, n_columns, folder):
        self.lock = threading.RLock()
        self.index = None
        models = DiskModels(folder)
        self._local = ServedOrganization(name, estimator, np.arange(n_columns), models)
        self._n_rows = self._latest = None
        self._chains = None  # digest of the folds of several chains, which stay the same

    def prepare(self, view, present, sample_weight, n_outputs):
        """Receive the training rows."""
        fit_params = {}
        if sample_weight is not None:
            parameter = weight_parameter(self._local.estimator)
            if parameter is None:
                raise RequestRefused("the estimator does not support sample weights")
            fit_params[parameter] = sample_weight
        self._chains = self._latest = None
        self._local.present = present
        self._local.prepare(view, fit_params, n_outputs)
        self._n_rows = len(present)

    def fit_round(self, number, seed, folds, residual):
        """Fit a residual; a repeated request gets the same reply without another fit."""
        if self._n_rows is None:
            raise NotPrepared("prepare must be called before fit_round")
        n_chains, n_rows, _ = residual.shape
        if n_rows != self._n_rows:
            raise RequestRefused(f"residual has {n_rows} rows, not {self._n_rows}")
        if folds is not None:
            folds = self._checked_folds(folds)
        if n_chains != (1 if folds is None else folds.n_chains):
            raise RequestRefused("residual must have one chain per fold")
        division = b"" if folds is None else _digest(folds.numbers)
        if folds is not None and folds.stay:
            if self._chains not in (None, division):
                raise RequestRefused("folds of several chains must stay the same")
            self._chains = division
        asked = (number, seed, division, _digest(residual))
        if self._latest is None or self._latest[0] != asked:
            request = Request(0, number, seed, folds, residual)  # it is one participant
            fitted = self._local.fit_round(request)
            self._latest = asked, np.asarray(fitted, dtype=np.float64)
        return self._latest[1]

    def _checked_folds(self, numbers):
        """Return `Folds`; only with a single fold there may be rows without one."""
        if numbers.shape == (self._n_rows,) and 0 <= numbers.max() < self._n_rows:
            folds = Folds(numbers.astype(np.intp))
            if numbers.min() >= (0 if folds.stay else NO_FOLD):
                return folds
        raise RequestRefused("folds must have one valid number per row")

    def predict(self, view, present, numbers, coefficients, apart):
        """Return the weighted sum of predictions of models, (n_samples, n_outputs).

        Without coefficients, return the predictions of single models, (n_samples,
        n_numbers, n_chains, n_outputs), with the mean of the chains unless they are wanted
        apart. They are NaN for a number without a model; None if there is no model at all.
        """
        unknown = [number for number in numbers if number not in self._local.models]
        if unknown:
            raise RequestRefused(f"requests {unknown} have no models")
        self._local.present = present
        if coefficients is not None:
            total = self._local.predict(view, numbers, coefficients.tolist())
            return np.asarray(total) if np.ndim(total) else None
        if apart:
            known = self._local.predict_each(view, numbers)
        else:
            means = {n: self._local.predict(view, [n], [1.0]) for n in numbers}
            known = {n: mean[None] for n, mean in means.items() if np.ndim(mean)}
        if not known:
            return None
        none = np.full_like(next(iter(known.values())), np.nan)
        each = np.stack([known.get(number, none) for number in numbers])
        return np.moveaxis(each, 2, 0)

    def release(self, n_requests):
        """Forget the training rows, and the models of numbers from `n_requests` on."""
        self._local.release(n_requests)
        self._n_rows = self._chains = self._latest = None


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).data).digest()


def _own_table(name, table, key, columns):
    """Return the columns that the estimator receives, and the ids of the rows."""
    names = list(getattr(table, "columns", []))
    if key not in names:
        raise ValueError(
            f"The table of organization {name!r} has no key column {key!r}. Its columns "
            f"are {names}."
        )
    columns = [each for each in names if each != key] if columns is None else list(columns)
    wrong = [each for each in columns if each not in names or each == key]
    if wrong or not columns:
        raise ValueError(
            f"The columns of organization {name!r} must be columns of its table other than "
            f"the key {key!r}, at least one; got {wrong or columns}."
        )
    ids = table[key].to_list()
    texts = [as_text(each) for each in ids]  # raises an error for a missing id
    if len(set(texts)) < len(texts):
        raise ValueError(
            f"The key {key!r} of organization {name!r} is not unique: {len(texts)} rows, "
            f"{len(set(texts))} different ids. Aggregate the table to one row per id."
        )
    return table[columns], texts
