"""Scores of several models on the same cross-validation splits."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.model_selection import cross_validate
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from .._organizations.faults import FAULTS

# Number of columns of an organization that a note lists
_N_LISTED = 5


@dataclass(frozen=True)
class Evaluation:
    """The rows, splits and score on which all models are compared."""

    X: Any
    y: Any
    splits: list
    scorer: Any
    params: dict | None
    n_jobs: int | None

    def score(self, label, estimator):
        """Return the scores of an estimator on the splits."""
        return self.fit_and_score(label, estimator)[0]

    def fit_and_score(self, label, estimator):
        """Return the scores of an estimator on the splits, and its fitted clones."""
        try:
            result = cross_validate(
                estimator,
                self.X,
                self.y,
                cv=self.splits,
                scoring=self.scorer,
                params=self.params,
                n_jobs=self.n_jobs,
                return_estimator=True,
                error_score="raise",
            )
        except Exception as error:
            error.add_note(
                f"The error occurred when the report fitted or scored the model {label!r}."
            )
            raise
        return result["test_score"], result["estimator"]

    def ignores(self, model, columns):
        """Whether a model, fitted on the first split, predicts without some columns.

        They are exchanged between test rows, in arrays and dataframes of pandas. False for
        other tables.
        """
        X = _safe_indexing(self.X, self.splits[0][1])
        if not len(columns) or not (hasattr(X, "isetitem") or isinstance(X, np.ndarray)):
            return False
        exchanged = X.copy()
        if isinstance(X, np.ndarray):
            exchanged[:, columns] = X[::-1, columns]
        else:
            for j in columns:
                exchanged.isetitem(j, X.iloc[::-1, j].array)
        predict = getattr(model, "decision_function", model.predict)
        return np.array_equal(predict(X), predict(exchanged))

    def score_without(self, name, fitted):
        """Return the scores of the fitted models after an organization has left."""
        weight = (self.params or {}).get("sample_weight")
        return np.array(
            Parallel(n_jobs=self.n_jobs)(
                delayed(_drop_and_score)(
                    name, model, self.X, self.y, weight, split, self.scorer
                )
                for model, split in zip(fitted, self.splits, strict=True)
            )
        )


def _drop_and_score(name, model, X, y, sample_weight, split, scorer):
    """Return the score of a fitted model after an organization has left."""
    train, test = split
    remaining = model.drop_organization(
        name,
        _safe_indexing(X, train),
        _safe_indexing(y, train),
        None if sample_weight is None else _safe_indexing(sample_weight, train),
    )
    return scorer(remaining, _safe_indexing(X, test), _safe_indexing(y, test))


@dataclass(frozen=True)
class LeftOut:
    """The models that cannot be fitted or scored, and why.

    Parameters
    ----------
    X : array-like, sparse matrix or dataframe
        The columns of all organizations.
    holders : dict of str to ndarray of int
        Positions of the columns of each organization.
    notes : list of str
        One note for each model that is left out.
    """

    X: Any
    holders: dict
    notes: list = field(default_factory=list)

    @contextmanager
    def noting(self, label, parameter, columns):
        """Write a note about an error, instead of raising it.

        Parameters
        ----------
        label : str
            Name of the model that is fitted and scored.
        parameter : str
            Parameter of the report with which the user chooses its estimator.
        columns : ndarray of int
            Positions of the columns that may be the reason of an error.
        """
        try:
            yield
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
            advice = f"Another estimator can be passed as {parameter}."
            at_fault = self._at_fault(str(error), columns)
            if at_fault:
                advice = (
                    f"The reason is in the columns {at_fault}. Pass as {parameter} an "
                    "estimator that takes these columns, e.g. a pipeline."
                )
            self.notes.append(
                f"{label} is left out, because its estimator could not be fitted or "
                f"scored: {reason}. {advice}"
            )

    def _at_fault(self, message, columns):
        """Return the columns that an error is about, and who holds them, as text."""
        names = list(getattr(self.X, "columns", range(self.X.shape[1])))
        for fault in FAULTS:
            if sparse.issparse(self.X) or not fault.pattern.search(message):
                continue
            found = []
            for holder, held in self.holders.items():
                listed = [
                    repr(names[j])
                    for j in np.intersect1d(held, columns).tolist()
                    if fault.has(_safe_indexing(self.X, j, axis=1))
                ]
                if listed:
                    more = listed[_N_LISTED:] and [f"{len(listed) - _N_LISTED} more"]
                    found.append(f"{', '.join(listed[:_N_LISTED] + more)} of {holder!r}")
            if found:
                return " and ".join(found)
        return ""
