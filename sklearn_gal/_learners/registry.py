"""The registry of learners: which estimators are fitted in a faster way than the plain."""

from .base import Learner
from .boosted import (
    BoosterLearner,
    check_readable_by_lightgbm,
    hands_frame_to_lightgbm,
)
from .linear import LeastSquaresLearner, RidgeLearner
from .pipeline import PipelineLearner

FAST_LEARNERS = (BoosterLearner, RidgeLearner, LeastSquaresLearner)


def minds_layout(estimator, view, fit_params):
    """Whether a fit depends, in its last bits, on how the view lies in memory.

    Whatever sums over columns does; trees on columns as they are do not.
    """
    return not BoosterLearner.takes(estimator, view, fit_params)


def make_learner(estimator, view, fit_params):
    """The fastest learner that gives what clone-and-fit would give."""
    if hasattr(view, "columns") and hands_frame_to_lightgbm(estimator):
        check_readable_by_lightgbm(view)
    for learner in FAST_LEARNERS:
        if learner.takes(estimator, view, fit_params):
            return learner(estimator, view, fit_params)
    if PipelineLearner.takes(estimator, view, fit_params):
        return PipelineLearner(estimator, view, fit_params, make_learner)
    return Learner(estimator, view, fit_params)
