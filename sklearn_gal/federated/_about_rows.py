"""The calls to an organization about rows of its table: predictions and explanations."""

from functools import cached_property
from typing import Any

import numpy as np

from .._organizations.missing import missing_rows
from ._explanations import functions_of, reply_of_explained
from ._keys import repeat
from ._predictions import query_of
from ._versions import HANDSHAKE


class AnswersAboutRows:
    """Predictions, explanations, and which rows the table has.

    A mixin of `OrganizationService`.
    """

    revealed: Any
    _table: Any
    _ledger: Any
    _manifests: Any
    _fit: Any
    _index: Any
    _limits: Any
    _rights: Any

    def _predict(self, entry, fit_id, row_ids, numbers, abstain, **wanted):
        query = query_of(numbers, **wanted)
        manifest = self._ledger.read(fit_id)
        if entry["models"]:
            self._manifests.check_unchanged(fit_id, manifest)
            n_summed = 0 if query.coefficients is None else len(numbers) - 1
            n_values = entry["models"] - n_summed
            n_outputs = (manifest or {}).get("outputs", 1)
            self._check_size(entry, 8 * len(row_ids) * n_values * n_outputs)
        positions, present = self._rows(entry, fit_id, row_ids, abstain)
        reply = {"present": present, "versions": HANDSHAKE}
        if entry["models"] and present.any() and (abstain or present.all()):
            fit = self._fit(entry, fit_id)
            with fit.lock:
                predictions = fit.predict(positions, query)
            self._manifests.use(fit_id)
            self._check_size(entry, sum(each.nbytes for each in predictions.values()))
            reply |= predictions
        return reply

    def _expect(self, entry, fit_id, background, for_trees, functions, abstain, **bounds):
        self._manifests.check_unchanged(fit_id, self._ledger.read(fit_id))
        functions = functions_of(functions, **bounds)
        positions, present = self._rows(entry, fit_id, background, abstain)
        reply = {"background_present": present, "versions": HANDSHAKE}
        if present.any() and (abstain or present.all()):
            fit = self._fit(entry, fit_id)
            with fit.lock:
                reply["expected"] = fit.expect(functions, (positions, for_trees))
            self._manifests.use(fit_id)
        return reply

    def _explain(
        self,
        entry,
        fit_id,
        row_ids,
        background,
        for_trees,
        functions,
        factors,
        numbers,
        abstain,
        coefficients=None,
        **bounds,
    ):
        self._manifests.check_unchanged(fit_id, self._ledger.read(fit_id))
        functions = functions_of(functions, **bounds)
        sums = query_of(numbers, np.zeros(0) if coefficients is None else coefficients)
        n_values = 2 * len(self.revealed.entries) + 1
        self._check_size(entry, 8 * len(row_ids) * n_values * factors.shape[3])
        positions, present = self._rows(entry, fit_id, row_ids, abstain)
        others, others_present = self._rows(entry, fit_id, background, abstain)
        reply = {
            "present": present,
            "background_present": others_present,
            "versions": HANDSHAKE,
        }
        if others_present.any() and (abstain or (present.all() and others_present.all())):
            fit = self._fit(entry, fit_id)
            with fit.lock:
                explained = fit.explain(
                    positions,
                    (others, for_trees),
                    (sums.numbers, sums.coefficients),
                    functions,
                    factors.astype(np.float64, copy=False),
                    self.revealed,
                )
            self._manifests.use(fit_id)
            reply |= reply_of_explained(explained)
        return reply

    def _check_size(self, entry, n_bytes):
        """Refuse to reply with more than `max_bytes`."""
        self._limits(entry).check("max_bytes", n_bytes, "bytes of the predictions")

    def _rows(self, entry, fit_id, row_ids, abstain):
        """Return positions of rows in the table, or -1, and a mask of those it has."""
        label_holder, (limits, _, id_budget) = entry["label_holder"], self._rights(entry)
        if repeat(row_ids, limits.max_repeats):
            limits.check("max_repeats", limits.max_repeats + 1, "times a row")
        positions = self._index(entry, fit_id).positions(row_ids)
        entry["ids"] = entry.get("ids", 0) + id_budget.charge(label_holder, positions)
        present = positions >= 0
        if abstain or self._table.shape[1] > 1:  # else missing values do not remove the row
            present[present] = ~self._empty_rows[positions[present]]
        return np.where(present, positions, -1), present

    @cached_property
    def _empty_rows(self):
        """Mask of the rows of the table in which all columns are missing."""
        return missing_rows(self._table, np.arange(self._table.shape[1]))
