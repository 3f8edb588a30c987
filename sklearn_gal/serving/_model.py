"""A fitted model, as the service asks it."""

import logging
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .._base import BaseGAL
from .._version import __version__
from ._errors import RequestError
from ._rows import Columns

log = logging.getLogger("sklearn_gal.serving")


class Answer(NamedTuple):
    """What the model has answered about some rows.

    Parameters
    ----------
    by_row : dict of str to sequence
        Fields with an entry per row.
    shared : dict
        Fields that are the same for all rows.
    """

    by_row: dict
    shared: dict

    def rows(self, begin, end):
        """Return the answer about a part of the rows."""
        return Answer({k: v[begin:end] for k, v in self.by_row.items()}, self.shared)

    def as_json(self):
        """Return the fields as lists; numbers that are not finite become None."""
        return {name: _as_list(value) for name, value in self.by_row.items()} | self.shared


class ServedModel:
    """A fitted model, as the service asks it.

    Parameters
    ----------
    model : estimator
        Fitted estimator of this package, or a pipeline that ends in one.
    deadline : float
        Seconds that an organization on another host has for each answer.
    text_columns : list of str, default=None
        As of `Columns`.

    Attributes
    ----------
    columns : Columns
        The columns that the model takes.
    """

    def __init__(self, model, deadline, text_columns=None):
        check_scalar(deadline, "deadline", Real, min_val=0, include_boundaries="neither")
        is_pipeline = isinstance(model, Pipeline)
        final: Any = model[-1] if is_pipeline else model
        self.asks_hosts = hasattr(final, "federation")
        if not isinstance(final, BaseGAL) or (is_pipeline and self.asks_hosts):
            raise TypeError(
                "model must be a GALRegressor, GALClassifier, FederatedGALRegressor or "
                "FederatedGALClassifier, or a pipeline that ends in one of the first two; "
                f"got {_described(model)}."
            )
        check_is_fitted(model)
        key = None
        if self.asks_hosts:
            from ..federated._absences import with_deadline

            model = final = with_deadline(model, deadline)
            key = int(final._model.participants.remote[0].columns[0])
        self.model = model
        self._final = final
        names = getattr(model, "feature_names_in_", None)
        names = None if names is None else names.tolist()
        self.columns = Columns(names, model.n_features_in_, key, text_columns)

    # --- what it answers ----------------------------------------------------------------

    def answer(self, question, rows):
        """Answer about rows.

        Parameters
        ----------
        question : tuple of (str, float or None)
            An endpoint, and the coverage of an interval.
        rows : ParsedRows
            The rows.

        Returns
        -------
        answer : Answer

        Raises
        ------
        RequestError
            If an organization on another host does not answer, and cannot abstain.
        """
        endpoint, coverage = question
        X = self.columns.table(rows)
        if not self.asks_hosts:
            return self._answer(endpoint, coverage, X)
        from ..federated import OrganizationError
        from ..federated._absences import absences

        try:
            with absences(self.model) as absent:
                answer = self._answer(endpoint, coverage, X)
        except OrganizationError as error:
            raise RequestError(
                503,
                f"{error} Fit with missing_rows='abstain' to have predictions without it.",
            ) from error
        if absent:
            log.warning("%s did not answer and abstained", ", ".join(absent))
        return answer._replace(shared=answer.shared | {"absent": absent})

    def _answer(self, endpoint, coverage, X):
        if endpoint == "predict":
            return self._predict(X)
        return self._interval(X, coverage) if endpoint == "interval" else self._explain(X)

    def _predict(self, X):
        if not is_classifier(self._final):
            return Answer({"predictions": self.model.predict(X)}, {})
        decision = self.model.decision_function(X)
        by_row = {"predictions": self._final._to_classes(decision)}
        if hasattr(self._final, "predict_proba"):
            raw = decision.reshape(len(decision), -1)
            by_row["probabilities"] = self._final._model.loss.inverse_link(raw)
        return Answer(by_row, {"classes": self._final.classes_.tolist()})

    def _interval(self, X, coverage):
        shared = {"coverage": coverage}
        if not is_classifier(self._final):
            intervals = self.model.predict_interval(X, coverage=coverage)
            return Answer({"intervals": intervals}, shared)
        classes = self._final.classes_
        sets = self.model.predict_set(X, coverage=coverage)
        return Answer({"sets": [classes[each].tolist() for each in sets]}, shared)

    def _explain(self, X):
        explained = self.model.feature_contributions(X)
        shared = {
            "feature_names": [str(name) for name in explained.feature_names],
            "organization_names": [str(name) for name in explained.organization_names],
        }
        by_row = {"values": explained.values, "base_values": explained.base_values}
        if is_classifier(self._final):
            shared["classes"] = self._final.classes_.tolist()
        return Answer(by_row, shared)

    # --- what is known of it ------------------------------------------------------------

    def method_of(self, endpoint):
        """Return the name of the method that an endpoint needs."""
        interval = "predict_set" if is_classifier(self._final) else "predict_interval"
        return {"interval": interval, "explain": "feature_contributions"}.get(
            endpoint, "predict"
        )

    def has(self, endpoint):
        """Tell whether the model has what an endpoint needs."""
        return hasattr(self.model, self.method_of(endpoint))

    def check_has(self, endpoint):
        """Raise an error if the model lacks what an endpoint needs."""
        if not self.has(endpoint):
            raise RequestError(
                501,
                f"/{endpoint} needs a model with the method "
                f"`{self.method_of(endpoint)}`, which {_described(self.model)} lacks.",
            )

    def describe(self):
        """Return what a client may want to know of the model, a dict."""
        names = self.columns.names or [f"column {j}" for j in range(self.columns.number)]
        owners = self._owners()
        is_class = is_classifier(self._final)
        return {
            "model": type(self._final).__name__,
            "version": __version__,
            "named": self.columns.names is not None,
            "columns": [
                {
                    "name": name,
                    "organization": owners.get(j),
                    "is_text": self.columns.is_text(j),
                }
                for j, name in enumerate(names)
            ],
            "organizations": list(self._final.organization_names_),
            "classes": self._final.classes_.tolist() if is_class else None,
            "endpoints": [
                each for each in ("predict", "interval", "explain") if self.has(each)
            ],
        }

    def _owners(self):
        """Return the organization of each column in this process, by position."""
        owners: dict = {}
        if self.model is self._final:
            for each in self._final._model.participants.organizations:
                for column in each.columns:
                    if column != self.columns.key:
                        owners.setdefault(int(column), each.name)
        return owners

    def warm_up(self):
        """Predict a row of zeros, so that the first request does not merge the models."""
        if self.asks_hosts:
            return
        try:
            self.answer(("predict", None), self.columns.example())
        except Exception:  # of a model that takes texts, for instance
            about = (
                "The model cannot predict a row of zeros: the first request takes longer."
            )
            log.info(about, exc_info=True)


def _described(model):
    if not isinstance(model, Pipeline):
        return type(model).__name__
    return f"a pipeline that ends in {type(model[-1]).__name__}"


def _as_list(value):
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        is_finite, value = np.isfinite(value), value.astype(object)
        value[~is_finite] = None
    return value.tolist()
