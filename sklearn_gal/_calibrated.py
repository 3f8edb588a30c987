"""How sure predictions are: scores at the end of a fit, and rows that share them."""

from collections.abc import Callable
from functools import wraps
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from ._conformal import Calibration, alike, scores_by_pattern
from ._method.folds import check_cross_fitted, why_in_sample
from ._method.model import AdditiveModel
from ._validation import check_groups
from ._warm_start import FitState


def check_held_out_scores(estimator):
    """Check that there are scores for intervals and sets, or may be after `fit`.

    Raises
    ------
    AttributeError
        If there are none. It says why, and what to do.
    """
    state = getattr(estimator, "_state", None)
    if state is None:
        check_cross_fitted(why_in_sample(estimator.cv, estimator.subsample))
    else:
        state.check_held_out()


def check_coverage(coverage):
    """Check the probability of intervals or sets.

    Raises
    ------
    TypeError, ValueError
        If it is not a number between 0 and 1.
    """
    check_scalar(coverage, "coverage", Real)
    if not 0 < coverage < 1:
        raise ValueError(
            "coverage must be a probability between 0 and 1, both excluded, e.g. "
            f"coverage=0.9; got coverage={coverage!r}."
        )


class available_unless_refused:
    """Decorator of a method that an estimator has unless a check raises an error.

    In contrast to :func:`~sklearn.utils.metaestimators.available_if`, the AttributeError
    itself gives the reason, so that it is in the last line of a traceback.

    Parameters
    ----------
    check : callable
        ``check(estimator)`` raises an error if the estimator does not have the method.
    """

    def __init__(self, check):
        self.check = check

    def __call__(self, method):
        """Keep the method, and return this descriptor of it."""

        @wraps(method)
        def checked(estimator, *args, **kwargs):
            self._refuse(estimator)
            return method(estimator, *args, **kwargs)

        self.method: Any = checked
        self.__doc__ = method.__doc__
        return self

    def __get__(self, estimator, owner=None):
        """Return the method of an estimator; of a class, the function."""
        if estimator is None:
            return self.method
        self._refuse(estimator)
        return self.method.__get__(estimator, owner)

    def _refuse(self, estimator):
        try:
            self.check(estimator)
        except Exception as error:
            raise AttributeError(
                f"This {type(estimator).__name__!r} has no attribute "
                f"{self.method.__name__!r}. {error}"
            ) from error


class CalibratedPredictions:
    """What intervals and sets have in common.

    A subclass compares held-out predictions with the target in `_scores`.
    """

    n_jobs: int | None
    _validate_X: Callable
    _model: AdditiveModel
    _state: FitState
    # a method that only the other estimator has, and the advice about it
    _elsewhere: tuple[str, str]

    if not TYPE_CHECKING:  # attributes would no longer be checked

        def __getattr__(self, name):
            """Raise an error, with advice about the method of the other estimator."""
            method, advice = type(self)._elsewhere
            if name == method:
                raise AttributeError(
                    f"{type(self).__name__!r} object has no attribute {name!r}. {advice}"
                )
            return object.__getattribute__(self, name)  # raises the error once more

    def _calibration(self, data, train):
        """Return scores of the held-out predictions of the rows given to `fit`.

        None without cross-fitting, or if the loss has no scores.
        """
        if train.judged is None or not self._has_scores():
            return None
        scores = scores_by_pattern(
            lambda pattern: self._scores(train, pattern),
            self._model.patterns.members,
            train.rows.present,
        )
        scores = np.stack([data.in_rows_given(each) for each in scores])
        return Calibration(scores, self._class_of_rows(data))

    def _has_scores(self):
        return True

    def _scores(self, train, pattern):
        """Return scores of the held-out predictions by a pattern, (n_samples, n_scores)."""
        raise NotImplementedError

    def _class_of_rows(self, data):
        """Return the position of the class of each row given to `fit`, if it has one."""

    def _raw_and_scores(self, X, coverage, groups, training_groups):
        """Return raw predictions, and the rows with the same scores, as `alike` does."""
        check_is_fitted(self)
        check_coverage(coverage)
        X = self._validate_X(X, reset=False)
        calibration: Any = self._state.calibration
        groups = check_groups(groups, training_groups, X.shape[0], len(calibration))
        with self._model.participants.asking():
            pattern_of_row = self._model.pattern_of_rows(X)
            raw = self._model.raw(X, self.n_jobs)
        return raw, alike(calibration, pattern_of_row, *groups)
