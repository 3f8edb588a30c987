"""What the columns of an organization contribute to predictions."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from .._contract import Explained
from .._learners import (
    Background,
    as_sparse_as,
    column_major,
    expect_functions,
    explain_functions,
    explain_models,
)
from .own_columns import OwnColumns

# Single functions are explained in blocks of about this number of values.
MAX_BLOCK_VALUES = 2**23


class ExplainedColumns(OwnColumns):
    """The calls of an organization that are about single columns.

    A mixin of `LocalOrganization`.
    """

    is_here = True
    n_absences = 0  # how often others went on without it
    models: Any
    presence: Any
    _involved: Any
    _checked: Any
    _naming_errors: Any

    def expect(self, functions, background):
        """Return what functions predict without any column known.

        Parameters
        ----------
        functions : list of tuple (int, Bound or None)
            Numbers of requests, and what bounds the functions.
        background : tuple (table, bool)
            Rows that provide the columns that are not known, and whether to trees as well.

        Returns
        -------
        expected : ndarray of shape (n_functions, n_chains, n_outputs)
            NaN for a function without a model; shape (n_functions, 1, 1) if none has one.
        """
        known = [j for j, (number, _) in enumerate(functions) if self._has_model(number)]
        expected = np.full((len(functions), 1, 1), np.nan)
        others = self._background(background)
        if not known or others is None:
            return expected
        with self._naming_errors("explaining", others.view):
            of_known = self._expect_each([functions[j] for j in known], others)
        of_all = np.full((len(functions), *of_known.shape[1:]), np.nan)
        of_all[known] = of_known
        return of_all

    def explain(self, X, background, sums, functions, factors):
        """Return SHAP values of a sum of functions, and of functions times factors.

        Parameters
        ----------
        X : {array, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to explain.
        background, functions : see `expect`
        sums : tuple (sequence of int, sequence of float)
            Numbers of requests, and coefficients of the functions without a factor.
        factors : ndarray of shape (n_functions, n_chains, n_samples, n_outputs)
            What multiplies the functions in each row.

        Returns
        -------
        explained : Explained
            Values, base values and errors; 0 in rows that the organization does not have.
        """
        presence = self.presence(X)
        rows, n_outputs = np.flatnonzero(presence), factors.shape[-1]
        shape = len(presence), len(self.columns), n_outputs
        explained = Explained(np.zeros(shape), np.zeros(shape[::2]), np.zeros(shape))
        others = self._background(background)
        if len(rows) == 0 or others is None:
            return explained
        involved = self._involved(*sums)
        known = [j for j, (number, _) in enumerate(functions) if self._has_model(number)]
        functions = [functions[j] for j in known]
        width = len(self.columns) * max(1, factors[known].shape[1] * n_outputs * len(known))
        for block in np.array_split(rows, -(-len(rows) * width // MAX_BLOCK_VALUES)):
            view = self._view(_safe_indexing(X, block))
            view = column_major(as_sparse_as(others.view, view))
            with self._naming_errors("explaining", view):
                if involved:
                    values, base, errors = self._explain_sum(involved, view, others)
                    explained.values[block] += values
                    explained.base[block] += base
                    explained.errors[block] += errors
                if functions:
                    each, _, errors = self._explain_each(functions, view, others)
                    own = factors[known][:, :, block]
                    explained.values[block] += np.einsum("ndfck,fcnk->ndk", each, own)
                    if errors.any():
                        own = np.abs(own)
                        explained.errors[block] += np.einsum("ndfck,fcnk->ndk", errors, own)
        return explained

    def _background(self, background):
        """Return the rows that the organization has, as `Background`; None without any."""
        table, for_trees = background
        rows = np.flatnonzero(self.presence(table))
        if len(rows) == 0:
            return None
        view = column_major(self._view(_safe_indexing(table, rows)))
        return Background(view, for_trees)

    def _has_model(self, number):
        return self.models.get(number) is not None

    def _explain_sum(self, involved, view, background):
        """Explain a sum of models, given with their coefficients."""
        models, coefficients = zip(*involved, strict=True)
        return explain_models(models, coefficients, view, background, self._checked)

    def _explain_each(self, functions, view, background):
        """Return SHAP values of functions, each of them apart.

        The values (n_samples, n_columns, n_functions, n_chains, n_outputs), the base values
        (n_functions, n_chains, n_outputs), and the errors of the values.
        """
        models, bounds = self._models_and_bounds(functions)
        return explain_functions(models, bounds, view, background, self._checked)

    def _expect_each(self, functions, background):
        """Return the base values of `_explain_each`."""
        models, bounds = self._models_and_bounds(functions)
        return expect_functions(models, bounds, background, self._checked)

    def _models_and_bounds(self, functions):
        """Return the models of functions, and what bounds them."""
        models = [self.models[number] for number, _ in functions]
        return models, [bound for _, bound in functions]
