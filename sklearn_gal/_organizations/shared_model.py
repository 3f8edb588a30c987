"""Deep model sharing: one model per organization, with a head for every round."""

import warnings
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import _safe_indexing

from .._learners import (
    SeededClones,
    apart,
    as_outputs,
    bounded_function,
    chains_of,
    expect_function,
    explain_function,
)
from .local import LocalOrganization

# The number of rows on which it is tried whether an estimator takes several outputs
PROBED_ROWS = 20


class Head(RegressorMixin, BaseEstimator):
    """The outputs that belong to one round, of a model that all rounds share.

    Parameters
    ----------
    estimator : estimator
        The fitted model that the heads share.
    position : int
        Which of the heads it is.
    scale : float
        Unit of the head: a model is fitted to residuals of comparable size.
    n_outputs : int
        Number of outputs of a head.
    """

    def __init__(self, estimator, position, scale, n_outputs):
        self.estimator = estimator
        self.position = position
        self.scale = scale
        self.n_outputs = n_outputs

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Return the predictions, of shape (n_samples,) or (n_samples, n_outputs)."""
        prediction = self.of(as_outputs(self.estimator.predict(X)))
        return prediction[:, 0] if self.n_outputs == 1 else prediction

    def of(self, outputs):
        """Return the part of the outputs of all heads that belongs to this head."""
        first = self.position * self.n_outputs
        return self.scale * outputs[..., first : first + self.n_outputs]


class SharingOrganization(LocalOrganization):
    """A local organization that refits one model to the residuals of all rounds so far.

    Parameters
    ----------
    *arguments : tuple
        Those of `LocalOrganization`.
    keeps_residuals : bool, default=False
        Whether to remember the residuals after the fit, to continue it.
    """

    runs_in_processes = False  # the residuals of all rounds are in this process

    def __init__(self, *arguments, keeps_residuals=False):
        super().__init__(*arguments)
        self._keeps_residuals = keeps_residuals
        self._residuals = {}
        self._fitted = None

    def stand_in(self):
        """Return a copy without models and residuals."""
        stand_in = super().stand_in()
        stand_in._residuals, stand_in._fitted = {}, None
        return stand_in

    def prepare(self, X, fit_params, n_outputs=1):
        """Take the organization's columns; check that its estimator takes several outputs.

        Raises
        ------
        ValueError
            If the estimator takes one output at a time.
        """
        super().prepare(X, fit_params, n_outputs)
        if self._learner is None:
            return
        # Not every regressor that takes several outputs says so in its tags. Those of a
        # pipeline say it if its last step takes them, whatever its other steps take.
        says_so = self._learner.multi_output
        parts = self.estimator.get_params(deep=True).values()
        is_certain = says_so and not any(hasattr(part, "fit") for part in parts)
        reason = None if is_certain else self._probe(2)
        if reason is not None and (not says_so or self._probe(1) is None):
            raise ValueError(
                "share_models=True fits all rounds with one model, as outputs of a "
                f"two-dimensional target, but the estimator of organization {self.name!r}, "
                f"{type(self.estimator).__name__}, takes one output at a time. Give it one "
                "that takes several, e.g. MLPRegressor, RandomForestRegressor, Ridge, "
                "KNeighborsRegressor or DecisionTreeRegressor."
            ) from reason
        self._learner.require_multi_output()

    def _probe(self, n_outputs):
        """Return why the estimator cannot be fitted to some rows, or None if it can."""
        rows = slice(0, PROBED_ROWS)
        view = _safe_indexing(self._learner.view, rows)
        target = np.eye(PROBED_ROWS, n_outputs)[: view.shape[0]]
        target = target[:, 0] if n_outputs == 1 else target
        estimator = SeededClones(self.estimator).clone(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.fit(view, target)
                answer = estimator.predict(view)
        except Exception as error:  # any error means that it does not take them
            return error
        if np.shape(answer) != target.shape:
            return ValueError(f"It predicted the shape {np.shape(answer)}.")
        return None

    def _fit_rows(self, request, folds, residual):
        self._residuals[request.number] = residual
        rounds = sorted(self._residuals)
        # without scales, earlier and larger residuals would dominate the later ones
        scales = [np.sqrt(np.mean(self._residuals[t] ** 2)) or 1.0 for t in rounds]
        target = np.concatenate(
            [self._residuals[t] / scale for t, scale in zip(rounds, scales, strict=True)],
            axis=2,
        )
        self._fitted = super()._fit_rows(request, folds, target)
        shared, n_outputs = self.models[request.number], residual.shape[2]
        for position, (t, scale) in enumerate(zip(rounds, scales, strict=True)):
            self.models[t] = Head(shared, position, scale, n_outputs)
        return self.models[request.number].of(self._fitted)

    @property
    def revises(self):
        """Whether the model has been fitted since the rows were prepared."""
        return self._fitted is not None

    def revised(self, number, shape):
        """Return the fitted values of a request by the latest model; NaN in absent rows."""
        fitted = np.full(shape, np.nan)
        head = self.models.get(number)
        if head is not None:
            rows = slice(None) if self._rows is None else self._rows
            fitted[:, rows] = head.of(self._fitted)
        return fitted

    def _predict_rows(self, X, numbers, coefficients):
        involved = self._involved(numbers, coefficients)
        if not involved:
            return 0.0
        return self._sum_of_heads(self._view(X), involved)

    def _sum_of_heads(self, view, involved):
        shared = involved[0][0].estimator
        outputs = self._outputs(view, [shared])[0]
        return sum(coefficient * head.of(outputs) for head, coefficient in involved)

    def _predict_rows_each(self, X, numbers):
        return self._heads(self._view(X), [self.models[number] for number in numbers])

    def _heads(self, view, heads):
        """Return (n_samples, n_heads, n_chains, n_outputs)."""
        outputs = np.stack(self._outputs(view, chains_of(heads[0].estimator)), axis=1)
        return np.stack([head.of(outputs) for head in heads], axis=1)

    def _outputs(self, view, models):
        """Return the outputs of all heads by shared models, a list of (n_samples, ...)."""
        with self._naming_errors("predicting"):
            outputs = [as_outputs(model.predict(view)) for model in models]
            for each in outputs:
                self._checked(each, (view.shape[0], *each.shape[1:]))
        return outputs

    def _explain_sum(self, involved, view, background):
        return explain_function(
            partial(self._sum_of_heads, involved=involved), view, background.view
        )

    def _explain_each(self, functions, view, background, of_function=explain_function):
        heads, bounds = self._models_and_bounds(functions)
        function = bounded_function(partial(self._heads, heads=heads), bounds)
        found = of_function(function, view, background.view)
        return apart(found, len(heads), len(chains_of(heads[0].estimator)))

    def _expect_each(self, functions, background):
        row = _safe_indexing(background.view, [0])
        return self._explain_each(functions, row, background, expect_function)[1]

    def inherit(self, other):
        """Take over the models and residuals that the organization had in the fit before.

        Raises
        ------
        ValueError
            If the residuals were not kept.
        """
        super().inherit(other)
        self._residuals = dict(getattr(other, "_residuals", {}))
        if other.models.keys() != self._residuals.keys():
            raise ValueError(
                f"Organization {self.name!r} has not kept the residuals of its "
                f"{len(other.models)} rounds: with share_models=True, a fit can be "
                "continued if it was made with warm_start=True."
            )

    def release(self, n_requests):
        """Forget the training rows, and the models of numbers from `n_requests` on."""
        super().release(n_requests)
        keeps = n_requests if self._keeps_residuals else 0
        self._residuals = {t: r for t, r in self._residuals.items() if t < keeps}
        self._fitted = None
