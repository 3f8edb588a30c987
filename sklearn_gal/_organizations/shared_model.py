"""Deep model sharing: one model per organization, with a head for every round."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import _safe_indexing

from .._learners.base import Seeds, as_outputs, predict_held_out
from .local import LocalOrganization

# As many rows tell whether an estimator takes several outputs
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
        """Predictions of the round, of shape (n_samples,) or (n_samples, n_outputs)."""
        prediction = self.of(as_outputs(self.estimator.predict(X)))
        return prediction[:, 0] if self.n_outputs == 1 else prediction

    def of(self, outputs):
        """The part of all heads' outputs that is this one's."""
        first = self.position * self.n_outputs
        return self.scale * outputs[:, first : first + self.n_outputs]


class SharingOrganization(LocalOrganization):
    """A local organization that refits one model to the residuals of all rounds so far.

    Parameters
    ----------
    keeps_residuals : bool
        Whether to remember the residuals after the fit, to continue it.
    """

    may_travel = False  # the residuals of all rounds are here

    def __init__(self, *arguments, keeps_residuals=False):
        super().__init__(*arguments)
        self._keeps_residuals = keeps_residuals
        self._residuals = {}
        self._fitted = None

    def understudy(self):
        """Oneself again, without models and residuals."""
        understudy = super().understudy()
        understudy._residuals, understudy._fitted = {}, None
        return understudy

    def prepare(self, X, fit_params):
        """Take one's columns, and try whether the estimator takes several outputs."""
        super().prepare(X, fit_params)
        if self._learner is None or self._learner.multi_output:
            return
        # not every regressor that does says so in its tags
        rows = slice(0, PROBED_ROWS)
        view, target = _safe_indexing(self._learner.view, rows), np.eye(PROBED_ROWS, 2)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator = Seeds(self.estimator).clone(0)
                answer = estimator.fit(view, target[: view.shape[0]]).predict(view)
            reason = None
        except Exception as error:  # whatever it raises, it cannot do it
            answer, reason = None, error
        if np.shape(answer) != (view.shape[0], 2):
            raise ValueError(
                "share_models=True fits all rounds with one model, as outputs of a "
                f"two-dimensional target, but the estimator of organization {self.name!r}, "
                f"{type(self.estimator).__name__}, takes one output at a time. Give it one "
                "that takes several, e.g. MLPRegressor, RandomForestRegressor, Ridge, "
                "KNeighborsRegressor or DecisionTreeRegressor."
            ) from reason
        self._learner.multi_output = True

    def _fit_rows(self, round_number, seed, folds, partition, residual, assistance):
        self._residuals[round_number] = residual
        rounds = sorted(self._residuals)
        # the residuals of later rounds are smaller, and would not be heard
        scales = [np.sqrt(np.mean(self._residuals[t] ** 2)) or 1.0 for t in rounds]
        target = np.hstack(
            [self._residuals[t] / scale for t, scale in zip(rounds, scales, strict=True)]
        )
        arguments = round_number, seed, folds, partition, target, assistance
        self._fitted = super()._fit_rows(*arguments)
        shared, n_outputs = self.models[round_number], residual.shape[1]
        for position, (t, scale) in enumerate(zip(rounds, scales, strict=True)):
            self.models[t] = Head(shared, position, scale, n_outputs)
        return self.models[round_number].of(self._fitted)

    @property
    def has_refitted(self):
        """Whether the model has been fitted since the rows were prepared."""
        return self._fitted is not None

    def refitted(self, round_number, shape):
        """Fitted values of a round by the model of the last one; NaN in absent rows."""
        fitted = np.full(shape, np.nan)
        head = self.models.get(round_number)
        if head is not None:
            fitted[slice(None) if self._rows is None else self._rows] = head.of(
                self._fitted
            )
        return fitted

    def _predict_rows(self, X, rounds, coefficients, assistance, folds):
        heads = [self.models.get(t) for t in rounds]
        asked = [
            (head, coefficient)
            for head, coefficient in zip(heads, coefficients, strict=True)
            if head is not None and coefficient != 0
        ]
        if not asked:
            return 0.0
        with self._naming_errors("predicting"):
            shared = asked[0][0].estimator
            outputs = predict_held_out(shared, self._view(X), folds)
            self._checked(outputs, (X.shape[0], *outputs.shape[1:]))
        return sum(coefficient * head.of(outputs) for head, coefficient in asked)

    def take_over(self, other):
        """Have the models that the organization had before, and its residuals."""
        super().take_over(other)
        self._residuals = dict(getattr(other, "_residuals", {}))
        if other.models.keys() != self._residuals.keys():
            raise ValueError(
                f"Organization {self.name!r} has not kept the residuals of its "
                f"{len(other.models)} rounds: with share_models=True, a fit can be "
                "continued if it was made with warm_start=True."
            )

    def release(self, n_rounds):
        """Let go of the training rows, and of rounds from `n_rounds` on."""
        super().release(n_rounds)
        keeps = n_rounds if self._keeps_residuals else 0
        self._residuals = {t: r for t, r in self._residuals.items() if t < keeps}
        self._fitted = None
