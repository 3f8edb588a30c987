"""The weighted sum of many fitted models, merged for prediction where possible."""

from typing import Any

import numpy as np

from .models import as_outputs, to_estimator


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
        outputs = [term.output for term in terms if term.output is not None]
        self._n_outputs: Any = n_outputs or (max(outputs) + 1 if outputs else None)
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
            total[:, output] += coefficient * prediction[:, 0]
        return total
