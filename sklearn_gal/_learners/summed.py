"""The weighted sum of many fitted models, merged for prediction where possible."""

from typing import Any

import numpy as np

from .models import as_outputs, terms_of, to_estimator


class WeightedSum:
    """The weighted sum of the predictions of fitted models.

    The models that a learner can merge are merged into one, so that a view is predicted
    in one pass; the others predict it one after the other.

    Parameters
    ----------
    terms : list of Term
        Models of one organization with their coefficients.
    learners : tuple of type
        Learner classes, whose `merge` is called in this order.
    check : callable
        Called with a prediction and its expected shape; raises an error if the prediction
        cannot be used.
    n_outputs : int, default=None
        Number of outputs, if every term may be of a single output; None: found from the
        terms.
    """

    def __init__(self, terms, learners, check, n_outputs=None):
        outputs: list[Any] = [term.output for term in terms if term.output is not None]
        self._n_outputs: Any = n_outputs
        if outputs and n_outputs is None:
            self._n_outputs = max(outputs) + 1
        self._learners = learners
        self._check = check
        # a learner may have inherited its `merge`, which is called once
        for merge in dict.fromkeys(learner.merge for learner in learners):
            terms = merge(terms, self._sum_terms)
        self.terms = [term._replace(model=to_estimator(term.model)) for term in terms]

    def _sum_terms(self, terms):
        return WeightedSum(terms, self._learners, self._check, self._n_outputs)

    def __call__(self, view):
        """The sum, (n_samples, n_outputs), for the rows of a view."""
        n_samples = view.shape[0]
        total: Any = 0.0
        for output, model, coefficient in self.terms:
            prediction = as_outputs(model.predict(view))
            self._check(prediction, (n_samples, *prediction.shape[1:]))
            if output is None:
                total = total + coefficient * prediction
                continue
            if np.ndim(total) == 0:
                total = np.zeros((n_samples, self._n_outputs))
            if np.ndim(output) == 0:
                prediction = prediction[:, 0]
            total[:, output] += coefficient * prediction
        return total


class EachPrediction:
    """The predictions of several models, each of them apart.

    Models that predict one output at a time are merged as one sum with an output for each
    model and output; the others predict a view one after the other.

    Parameters
    ----------
    models : list
        Fitted models of one organization.
    learners : tuple of type
        Learner classes, as of `WeightedSum`.
    check : callable
        As of `WeightedSum`.
    """

    def __init__(self, models, learners, check):
        self._models = models
        self._check = check
        listed = [list(terms_of(model, 1.0)) for model in models]
        outputs: list[Any] = [term.output or 0 for terms in listed for term in terms]
        n_outputs = max(outputs, default=0) + 1
        self._sum: Any = None
        if all(self._is_apart(term, learners) for terms in listed for term in terms):
            apart = [
                term._replace(output=position * n_outputs + (term.output or 0))
                for position, terms in enumerate(listed)
                for term in terms
            ]
            for merge in dict.fromkeys(learner.merge_outputs for learner in learners):
                apart = merge(apart)
            self._sum = WeightedSum(apart, learners, check, len(models) * n_outputs)

    @staticmethod
    def _is_apart(term, learners):
        """Whether a model predicts a single output."""
        known = (learner.predicts_one_output(term.model) for learner in learners)
        return term.output is not None or any(known)

    def __call__(self, view):
        """The predictions, (n_samples, n_models, n_outputs), for the rows of a view."""
        if self._sum is not None:
            return self._sum(view).reshape(view.shape[0], len(self._models), -1)
        each = [as_outputs(to_estimator(model).predict(view)) for model in self._models]
        for prediction in each:
            self._check(prediction, (view.shape[0], *prediction.shape[1:]))
        return np.stack(each, axis=1)
