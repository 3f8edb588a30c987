"""What is told about an error inside an organization."""

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from .._learners import IN_SAMPLE
from .missing import as_floats, has_text, is_missing
from .suitability import PER_COLUMN


@dataclass(frozen=True)
class Fault:
    """A fault of columns that estimators complain about.

    Parameters
    ----------
    pattern : Pattern
        What the messages of such errors contain.
    has : callable
        ``has(column)`` tells whether a column has the fault.
    sentence : str
        What is wrong and what to do, with places for the columns and the organization.
    """

    pattern: Any
    has: Any
    sentence: str


def _has_infinity(column):
    dtype = column.dtype
    numeric = dtype.is_numeric() if hasattr(dtype, "is_numeric") else dtype.kind in "fiub"
    return numeric and bool(np.isinf(as_floats(column)).any())


FAULTS = (
    Fault(
        re.compile(r"\bnans?\b|missing|\bnulls?\b|NoneType|\bNA\b", re.IGNORECASE),
        lambda column: bool(is_missing(column).any()),
        "Missing values are in the columns {columns} of organization {name!r}, whose "
        "estimator {estimator} does not take them. Impute them in its pipeline, e.g. "
        "make_pipeline(SimpleImputer(), Ridge()), or use an estimator that takes them, "
        "such as None, the default learner.",
    ),
    Fault(
        re.compile(r"\binf(inity|inite|s)?\b|too large", re.IGNORECASE),
        _has_infinity,
        "Infinite values are in the columns {columns} of organization {name!r}, whose "
        "estimator {estimator} does not take them. Replace them.",
    ),
    Fault(
        re.compile(r"could not convert|string|\bstr\b|dtype|ufunc", re.IGNORECASE),
        has_text,
        "Strings are in the columns {columns} of organization {name!r}, whose estimator "
        "{estimator} does not take them. Encode them in its pipeline, e.g. "
        "make_pipeline(OneHotEncoder(handle_unknown='ignore'), Ridge()).",
    ),
)


@contextmanager
def naming_errors(name, estimator, task, view=None):
    """Add to the notes of an error the organization's name, and columns with a fault.

    Parameters
    ----------
    name : str
        Name of the organization.
    estimator : estimator
        Its estimator.
    task : str
        What it is doing.
    view : array-like, sparse matrix or dataframe, default=None
        The columns that the estimator receives, if it is about to receive them.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"while organization {name!r} was {task}")
        reason = view is not None and explain(error, name, estimator, view)
        if reason:
            error.add_note(reason)
        raise


@contextmanager
def naming_fold(learner, chain, split, residual, seed):
    """Add to the notes of an error which rows were fitted, if a fit to all rows works.

    Parameters
    ----------
    learner : Learner
        What fits.
    chain : int
        The chain of the fit.
    split : Split
        Its rows.
    residual : ndarray of shape (n_chains, n_samples, n_outputs)
        The residual of all chains.
    seed : int
        Seed of the fit.
    """
    try:
        yield
    except Exception as error:
        n_chains, n_rows = residual.shape[:2]
        if _fits(learner, residual[chain], seed):
            error.add_note(
                f"in the {len(split.rows)} of {n_rows} rows outside fold {chain + 1} of "
                f"{n_chains}. A fit to all {n_rows} rows works: fit with cv=None, with "
                "other folds, or with an estimator that also copes with fewer rows and "
                "with values that they lack, e.g. OneHotEncoder(handle_unknown='ignore')."
            )
        raise


def _fits(learner, residual, seed):
    """Whether a learner can fit all rows."""
    try:
        learner.fit(residual, IN_SAMPLE, seed)
    except Exception:  # the rows are not the reason
        return False
    return True


def explain(error, name, estimator, view):
    """Return a sentence on the columns that an error is about; None if there are none.

    Parameters
    ----------
    error : Exception
        Error of an estimator.
    name : str
        Name of the organization.
    estimator : estimator
        Its estimator.
    view : array-like, sparse matrix or dataframe
        The columns that the estimator received.
    """
    for parameter in PER_COLUMN:
        if f"{parameter}.size()" in str(error):
            return (
                f"{parameter} in the estimator of organization {name!r} must have one "
                "entry for each of the columns that LightGBM receives from the steps "
                "before it."
            )
    for fault in FAULTS:
        if fault.pattern.search(str(error)):
            columns = faulty_columns(fault, view)
            if columns:
                listed = ", ".join(map(repr, columns))
                kind = type(estimator).__name__
                return fault.sentence.format(columns=listed, name=name, estimator=kind)
    return None


def complaint(error, name, estimator, learner):
    """Return what `explain` returns if a fit fails for the same reason as another one.

    Parameters
    ----------
    error : Exception
        What another organization has raised.
    name : str
        Name of the organization.
    estimator : estimator
        Its estimator.
    learner : Learner
        What would fit it.
    """
    reason = explain(error, name, estimator, learner.view)
    if reason is None:
        return None
    target = np.linspace(-1.0, 1.0, learner.view.shape[0])[:, None]
    try:
        learner.copy().fit(target, IN_SAMPLE, 0)
    except Exception as own:
        return reason if explain(own, name, estimator, learner.view) == reason else None
    return None


def is_about(error, name):
    """Whether an error names an organization."""
    return any(repr(name) in text for text in [str(error), *error.__notes__])


def faulty_columns(fault, view):
    """Return the names, or the positions, of the columns of a view with a fault."""
    if sparse.issparse(view):
        has = fault.has(view.data)
        return ["of the sparse matrix"] if has else []
    if len(view.shape) == 1:
        return [getattr(view, "name", 0)] if fault.has(view) else []
    names = getattr(view, "columns", range(view.shape[1]))
    return [
        name
        for position, name in enumerate(names)
        if fault.has(_safe_indexing(view, position, axis=1))
    ]


def raise_together(errors):
    """Raise the errors of several organizations as one; do nothing if there are none.

    Parameters
    ----------
    errors : dict of str to ValueError
        Error of each organization, by its name.

    Raises
    ------
    ValueError
        The only one of the errors, or one with the messages of all.
    """
    if not errors:
        return
    first = next(iter(errors.values()))
    if len(errors) == 1:
        raise first
    messages = {
        name: str(error) if repr(name) in str(error) else f"Organization {name!r}: {error}"
        for name, error in errors.items()
    }
    raise ValueError("\n".join(messages.values())) from first
