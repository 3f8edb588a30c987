"""Predictions that do not wait for organizations that are away."""

import warnings
from contextlib import contextmanager
from copy import copy

from ._session import OrganizationWarning

# Errors of calls that have an answer in the end: a busy organization is asked again.
_ANSWERED = ("", "Busy")


def with_deadline(model, deadline):
    """Return a fitted estimator that asks organizations once, within a deadline.

    Organizations that do not answer abstain if the estimator was fitted with
    ``missing_rows="abstain"``; else they are an error.

    Parameters
    ----------
    model : estimator
        Fitted federated estimator, which stays as it is.
    deadline : float
        Seconds that an organization has for each answer.
    """
    model = copy(model)
    model.deadline = deadline
    model.grace_period = 0.0
    model.on_failure = "continue" if model.missing_rows == "abstain" else "fail"
    return model


@contextmanager
def absences(model):
    """Surround a prediction, and tell afterwards which organizations did not answer.

    The calls are not kept in ``communication_``, which would grow with each prediction.

    Parameters
    ----------
    model : estimator
        Fitted federated estimator.

    Yields
    ------
    absent : list of str
        Names of organizations, filled when the context ends.
    """
    calls, absent = model._model.participants.session.calls, list[str]()
    n_before = len(calls)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OrganizationWarning)
            yield absent
    finally:
        made = calls[n_before:]
        absent += sorted(
            {each.organization for each in made if each.error not in _ANSWERED}
        )
        del calls[n_before:]
