"""The weighted sum of many fitted models, merged for prediction where possible."""

from typing import Any

import numpy as np

from .models import Term, as_outputs, chains_of, terms_of, to_estimator


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
    apart : bool, default=False
        Whether all terms have different outputs, which are known.
    """

    def __init__(self, terms, learners, check, n_outputs=None, apart=False):
        outputs: list[Any] = [term.output for term in terms if term.output is not None]
        self._n_outputs: Any = n_outputs
        if outputs and n_outputs is None:
            self._n_outputs = max(outputs) + 1
        self.learners = learners
        self._check = check
        self._apart = apart
        # a learner may have inherited its `merge`, which is called once
        if apart:
            for merge in dict.fromkeys(learner.merge_outputs for learner in learners):
                terms = merge(terms)
        for merge in dict.fromkeys(learner.merge for learner in learners):
            terms = merge(terms, self._sum_terms)
        self.terms = [term._replace(model=to_estimator(term.model)) for term in terms]

    def _sum_terms(self, terms):
        return WeightedSum(terms, self.learners, self._check, self._n_outputs, self._apart)

    def in_outputs(self, term, values):
        """Values of the outputs of a term, times its coefficient, as outputs of the sum.

        Parameters
        ----------
        term : Term
            One of the terms.
        values : ndarray of shape (..., n_outputs_of_term)
            Values of its outputs.

        Returns
        -------
        values : ndarray of shape (..., n_outputs)
            0 in the outputs that the term does not have.
        """
        output, _, coefficient = term
        if output is None or output == list(range(self._n_outputs)):
            return values if coefficient == 1.0 else coefficient * values
        places = output if isinstance(output, list) else [output]
        in_all = np.zeros((*values.shape[:-1], self._n_outputs))
        in_all[..., places] = coefficient * values
        return in_all

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
                if output == list(range(self._n_outputs)) and coefficient == 1.0:
                    total = prediction  # of a merged model, which does not keep the array
                    continue
                total = np.zeros((n_samples, self._n_outputs))
            if np.ndim(output) == 0:
                prediction = prediction[:, 0]
            total[:, output] += coefficient * prediction
        return total


class EachPrediction:
    """The predictions of several models and chains, each of them apart.

    If the numbers of outputs of all models are known, the models are merged as one sum with
    an output for each model, chain and output; else they predict a view one after the
    other, and `sum` is None.

    Parameters
    ----------
    models : list
        Fitted models of one organization. A `FoldRegressors` has one chain for each of its
        estimators; another model has a single one.
    learners : tuple of type
        Learner classes, as of `WeightedSum`.
    check : callable
        As of `WeightedSum`.
    """

    def __init__(self, models, learners, check):
        chains = [chains_of(model) for model in models]
        self._n_models, self._n_chains = len(models), len(chains[0])
        self._models = [each for listed in chains for each in listed]
        self._check = check
        self._learners = learners
        self.sum = self._merge()

    def _merge(self):
        """The sum that predicts all outputs; None if their numbers are unknown."""
        terms, n_outputs = [], 0
        for model in self._models:
            for _, each, _ in terms_of(model, 1.0):
                number = self._n_outputs_of(each)
                if number is None:
                    return None
                outputs = list(range(n_outputs, n_outputs + number))
                terms.append(Term(outputs if number > 1 else outputs[0], each, 1.0))
                n_outputs += number
        return WeightedSum(terms, self._learners, self._check, n_outputs, apart=True)

    def _n_outputs_of(self, model):
        numbers = [each.n_outputs(model, self._n_outputs_of) for each in self._learners]
        return next((number for number in numbers if number is not None), None)

    def __call__(self, view):
        """The predictions of a view, (n_samples, n_models, n_chains, n_outputs)."""
        n_samples, n_parts = view.shape[0], len(self._models)
        if self.sum is not None:
            each = self.sum(view)
        else:
            each = [as_outputs(to_estimator(model).predict(view)) for model in self._models]
            for prediction in each:
                self._check(prediction, (n_samples, *prediction.shape[1:]))
            each = np.stack(each, axis=1)
        n_outputs = int(np.prod(each.shape[1:])) // n_parts
        return each.reshape(n_samples, self._n_models, self._n_chains, n_outputs)
