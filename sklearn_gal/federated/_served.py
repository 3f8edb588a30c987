"""A fit in which an organization takes part, with its models on the disk."""

import hashlib
import threading
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from .._contract import NO_FOLD, Folds, Request
from .._learners import take_rows, weight_parameter
from .._organizations.local import MIN_ROWS_TO_FIT, LocalOrganization
from ._calls import decode_folds, effective_size
from ._ledger import Clock
from ._models import DiskModels
from ._predictions import reply_of
from ._refusals import LimitExceeded, NotPrepared, RequestRefused
from ._slots import check_caller

# Contributions of single columns are computed in blocks of about this number of values.
MAX_BLOCK_VALUES = 2**23


class ServedOrganization(LocalOrganization):
    """A local organization with a table and models on disk.

    In place of X it receives the positions of the rows in the table, -1 for rows that it
    does not have.
    """

    def __init__(self, name, estimator, table, models, clock):
        super().__init__(name, estimator, np.arange(table.shape[1]))
        self.table = table
        self.models = self._disk = models
        self._clock = clock
        self._read: Any = None  # rows of the table that were read last, and their values

    def presence(self, X):
        """Return the mask of the rows of X that the organization has, (n_samples,)."""
        return X >= 0

    def prepare(self, X, fit_params, n_outputs=1):
        """Take the training rows that the organization has."""
        present = self.presence(X)
        if present.all():
            super().prepare(X, fit_params, n_outputs)
            return
        rows = np.flatnonzero(present)
        self._learner, self._merged = None, {}
        if len(rows) >= MIN_ROWS_TO_FIT:
            own = take_rows(fit_params, rows, len(present))
            super().prepare(X[rows], own, n_outputs)
        self._rows = rows

    def release(self, n_requests):
        """Forget the training rows, and the models of numbers from `n_requests` on."""
        self.models = {}
        super().release(0)
        self.models = self._disk
        self._disk.cut(n_requests)

    @contextmanager
    def reading_once(self):
        """Keep the rows that are read until the call has been answered."""
        try:
            yield
        finally:
            self._read = None

    def _selection(self, X):
        if self._read is None or not np.array_equal(self._read[0], X):
            self._read = X, super()._selection(_safe_indexing(self.table, X))
        return self._read[1]

    def _checked(self, prediction, shape):
        check_caller()  # between folds and models
        self._clock.check()
        return super()._checked(prediction, shape)


class ServedFit:
    """A fit in which the organization takes part.

    Parameters
    ----------
    name, estimator, table
        Of the organization; the table has only the columns for the estimator.
    folder : Path
        Folder of the models of this fit.
    limits : Limits
        What the organization answers at most.
    """

    def __init__(self, name, estimator, table, folder, limits):
        self.lock = threading.RLock()
        self.index = None
        self.clock = Clock(limits)
        self.models = DiskModels(folder, self.clock.check)
        self.limits = limits
        self._local = ServedOrganization(name, estimator, table, self.models, self.clock)
        self._n_rows = None
        self._weights: Any = None  # of the training rows, 0 for those that it lacks
        self._latest: Any = None  # the request that was answered last, and the answer
        self._chains = None  # digest of the folds of several chains, which stay the same

    @property
    def is_prepared(self):
        """Whether the training rows are in memory."""
        return self._n_rows is not None

    def prepare(self, positions, sample_weight, n_outputs):
        """Receive the training rows."""
        weights = self._local.presence(positions).astype(np.float64)
        fit_params = {}
        if sample_weight is not None:
            parameter = weight_parameter(self._local.estimator)
            if parameter is None:
                raise RequestRefused("the estimator does not support sample weights")
            if sample_weight.min() <= 0:  # a label holder leaves out rows of weight 0
                raise RequestRefused("sample weights must be positive")
            fit_params[parameter] = sample_weight
            weights *= sample_weight
        self._check_enough(weights)
        self._chains = self._latest = None
        with self._local.reading_once():
            self._local.prepare(positions, fit_params, n_outputs)
        self._n_rows, self._weights = len(positions), weights

    def _check_enough(self, weights):
        """Refuse to fit a model to rows of these weights if they are few, but not none."""
        size = effective_size(weights)
        if 0 < size < self.limits.min_rows:
            raise LimitExceeded(
                "min_rows",
                f"{size:g} rows to fit a model to, but min_rows is {self.limits.min_rows}",
            )

    def fit_round(self, number, seed, folds, residual):
        """Fit a residual; a repeated request gets the same reply without another fit.

        Returns
        -------
        fitted : ndarray of shape (n_chains, n_samples, n_outputs)
            Fitted values, with the dtype of the residual.
        is_new : bool
            Whether something has been fitted.
        """
        check_caller()  # it may have gone while others were served
        if not self.is_prepared:
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
        is_new = self._latest is None or self._latest[0] != asked
        if is_new:
            exact = residual.astype(np.float64, copy=False)
            request = Request(0, number, seed, folds, exact)  # it is one participant
            self.clock.start()
            fitted = self._local.fit_round(request)
            self._latest = asked, np.asarray(fitted, dtype=residual.dtype)
        return self._latest[1], is_new

    def drop(self, number):
        """Forget the model that was fitted last, and the answer."""
        del self.models[number]
        self._latest = None

    def _checked_folds(self, encoded):
        """Return `Folds`; only with a single fold there may be rows without one."""
        numbers = decode_folds(encoded)
        if numbers.shape != (self._n_rows,) or not 0 <= numbers.max() < self._n_rows:
            raise RequestRefused("folds must have one valid number per row")
        self.limits.check("max_folds", int(numbers.max()) + 1, "folds")
        folds = Folds(numbers)
        if numbers.min() < (0 if folds.stay else NO_FOLD):
            raise RequestRefused("folds must have one valid number per row")
        if self._chains is None or self._chains != _digest(folds.numbers):
            for chain in range(folds.n_chains):
                self._check_enough(self._weights[folds.numbers != chain])
        return folds

    def predict(self, positions, query):
        """Return what a query asks for, as fields of the reply."""
        self._begin({*query.numbers, *query.functions})
        for each in (query.numbers, query.chains, query.means):
            _check_unique(each)
        with self._local.reading_once():
            return self._predictions(positions, query)

    def _begin(self, asked):
        """Begin a call about models; refuse one about numbers without a model."""
        unknown = sorted(number for number in asked if number not in self.models)
        if unknown:
            raise RequestRefused(f"numbers have no models: {unknown[:10]}")
        check_caller()
        self.clock.start()

    def _predictions(self, positions, query):
        predict, functions = self._local.predict, {}
        if query.functions:
            functions = self._local.predict_each(positions, query.functions)
        if query.coefficients is None:
            single = {n: predict(positions, [n], [1.0]) for n in query.numbers}
            return reply_of(query, 0.0, single, functions)
        total = predict(positions, query.numbers, query.coefficients)
        return reply_of(query, total, {}, functions)

    def expect(self, functions, background):
        """Return what functions predict without any column, see `LocalOrganization`."""
        self._begin({number for number, _ in functions})
        return self._local.expect(functions, background)

    def explain(self, positions, background, sums, functions, factors, revealed):
        """Return what entries contribute to predictions.

        Parameters
        ----------
        positions : ndarray of int of shape (n_samples,)
            Rows to explain.
        background, sums, functions, factors : see `LocalOrganization.explain`
        revealed : Revealed
            What the owner reveals of explanations.

        Returns
        -------
        explained : Explained
            Contributions of the entries. Single columns exist for a block of rows at a
            time.
        """
        if factors.shape[::2] != (len(functions), len(positions)):
            raise RequestRefused("factors must have values for each function and row")
        self._begin({*sums[0], *(number for number, _ in functions)})
        _check_unique(sums[0])
        size = max(1, MAX_BLOCK_VALUES // (len(self._local.columns) * factors.shape[3]))
        blocks = np.array_split(
            np.arange(len(positions)), max(1, -(-len(positions) // size))
        )
        return revealed.joined(
            self._local.explain(
                positions[rows], background, sums, functions, factors[:, :, rows]
            )
            for rows in blocks
        )

    def release(self, n_requests):
        """Forget the training rows, and the models of numbers from `n_requests` on."""
        self._local.release(n_requests)
        self._n_rows = self._chains = self._latest = self._weights = None


def _check_unique(numbers):
    if len(set(numbers)) < len(numbers):
        raise RequestRefused("the numbers of models repeat")


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).data).digest()
