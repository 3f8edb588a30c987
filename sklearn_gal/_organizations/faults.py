"""What is told about an error inside an organization."""

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from .._learners import IN_SAMPLE, is_number, to_floats, type_of_no_number
from .missing import has_text, is_missing
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
        What is wrong, with places for the columns and the organization.
    remedy : str
        What to do.
    """

    pattern: Any
    has: Any
    sentence: str
    remedy: str


def _has_infinity(column):
    return is_number(column) and bool(np.isinf(to_floats(column)).any())


def _has_other_values(column):
    return type_of_no_number(column) not in (None, str, bytes)


FAULTS = (
    Fault(
        re.compile(
            r"\bnans?\b|\bnulls?\b|NoneType|\bNA\b"
            r"|(?<!columns are )missing(?! \d+ required)",
            re.IGNORECASE,
        ),
        lambda column: bool(is_missing(column).any()),
        "Missing values are in the columns {columns} of organization {name!r}, whose "
        "estimator {estimator} does not take them.",
        "Impute them in its pipeline, e.g. make_pipeline(SimpleImputer(), Ridge()), or use "
        "an estimator that takes them, such as None, the default learner.",
    ),
    Fault(
        re.compile(r"\binf(inity|inite|s)?\b|too large", re.IGNORECASE),
        _has_infinity,
        "Infinite values are in the columns {columns} of organization {name!r}, whose "
        "estimator {estimator} does not take them.",
        "Replace them.",
    ),
    Fault(
        re.compile(
            r"could not convert|(?<!columns using )string|\bstr\b|dtype|ufunc",
            re.IGNORECASE,
        ),
        has_text,
        "Strings are in the columns {columns} of organization {name!r}, whose estimator "
        "{estimator} does not take them.",
        "Encode them in its pipeline, e.g. "
        "make_pipeline(OneHotEncoder(handle_unknown='ignore'), Ridge()).",
    ),
    Fault(
        re.compile(r"float\(\)|convert|complex|sequence|dtype|promoted", re.IGNORECASE),
        _has_other_values,
        "Values that are neither numbers nor strings are in the columns {columns} of "
        "organization {name!r}, whose estimator {estimator} does not take them.",
        "Convert dates to numbers, e.g. to days since a date, and give each part of "
        "complex numbers, dicts and lists a column.",
    ),
)
# Instead of the remedy, if an estimator takes a single column of text
TEXT_REMEDY = "Replace them by text, or let it abstain with missing_rows='abstain'."


def add_to_message(error, text):
    """Add a line to the message of an error, so that logs and ``str(error)`` have it.

    Parameters
    ----------
    error : Exception
        The error. If its class makes the message of something else than a single string,
        the line is added to its notes.
    text : str
        The line.
    """
    message = str(error)
    if text in message:  # the same object may be raised more than once
        return
    separator = "" if message.endswith("\n") else "\n"
    if not _reword(error, f"{message}{separator}{text}"):
        error.add_note(text)


def _reword(error, message):
    """Give an error another message; return whether its class takes it."""
    before = error.args
    if before != (str(error),):
        return False
    try:
        error.args = (message,)
    except (AttributeError, TypeError):  # a property of the class
        return False
    if str(error) == message:
        return True
    error.args = before
    return False


@contextmanager
def naming_errors(organization, task, view=None):
    """Have an error name the organization, and columns with a fault.

    Parameters
    ----------
    organization : LocalOrganization
        Where the error may be.
    task : str
        What it is doing.
    view : array-like, sparse matrix, dataframe or callable, default=None
        The columns that the estimator receives, if it is about to receive them, or what
        returns them.
    """
    try:
        yield
    except Exception as error:
        view = view() if callable(view) else view
        reason = view is not None and explain(error, organization, view)
        if reason:
            add_to_message(error, reason)
        if not (_names(error, organization) or str(error).startswith("Organization ")):
            _reword(error, f"Organization {organization.name!r}: {error}")
        error.add_note(f"while organization {organization.name!r} was {task}")
        raise


@contextmanager
def naming_fold(learner, chain, split, residual, seed):
    """Have an error tell which rows were fitted, if a fit to all rows works.

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
            add_to_message(
                error,
                f"The error occurred in the {len(split.rows)} of {n_rows} rows outside "
                f"fold {chain + 1} of {n_chains}. A fit to all {n_rows} rows works: fit "
                "with cv=None, with other folds, or with an estimator that also copes with "
                "fewer rows and with values that they lack, e.g. "
                "OneHotEncoder(handle_unknown='ignore').",
            )
        raise


def _fits(learner, residual, seed):
    """Whether a learner can fit all rows."""
    try:
        learner.fit(residual, IN_SAMPLE, seed)
    except Exception:  # the rows are not the reason
        return False
    return True


def explain(error, organization, view):
    """Return a sentence on the columns that an error is about; None if there are none.

    Parameters
    ----------
    error : Exception
        Error of an estimator.
    organization : LocalOrganization
        Whose estimator it is, or another one that may have the same fault.
    view : array-like, sparse matrix or dataframe
        The columns that its estimator receives.
    """
    message = str(error)
    for columns, reason in _reasons(message, organization, view):
        if not columns or not all(column in message for column in columns):
            return reason
    return None


def _reasons(message, organization, view):
    """Yield columns of a view that a message may be about, and a sentence on them."""
    name = organization.name
    for parameter in PER_COLUMN:
        if f"{parameter}.size()" in message:
            yield (
                [],
                f"{parameter} in the estimator of organization {name!r} must have one "
                "entry for each of the columns that LightGBM receives from the steps "
                "before it.",
            )
    for fault in FAULTS:
        if not fault.pattern.search(message):
            continue
        columns = [repr(column) for column in _faulty(fault, organization.columns, view)]
        if columns:
            sentence = fault.sentence.format(
                columns=", ".join(columns),
                name=name,
                estimator=kind(organization.estimator),
            )
            remedy = TEXT_REMEDY if len(view.shape) == 1 else fault.remedy
            yield columns, f"{sentence} {remedy}"


def complaint(error, organization, view, attempt):
    """Return what `explain` returns, if the organization fails as another one has failed.

    Parameters
    ----------
    error : Exception
        What the other organization has raised.
    organization : LocalOrganization
        The organization.
    view : array-like, sparse matrix or dataframe
        The columns that its estimator receives.
    attempt : callable
        Does what the other organization was doing.
    """
    if _names(error, organization):
        return None
    reasons = [reason for _, reason in _reasons(str(error), organization, view)]
    if not reasons:
        return None
    try:
        attempt()
    except Exception as own:
        reason = explain(own, organization, view)
        named = [each for each in reasons if each == reason or each in str(own)]
        return named[0] if named else None
    return None


def _names(error, organization):
    """Whether an error names an organization."""
    texts = [str(error), *getattr(error, "__notes__", [])]
    return any(f"rganization {organization.name!r}" in text for text in texts)


def kind(estimator):
    """The class of an estimator, and those of the steps of a pipeline."""
    if not isinstance(estimator, Pipeline):
        return type(estimator).__name__
    steps = [step if isinstance(step, str) else kind(step) for _, step in estimator.steps]
    return f"Pipeline({', '.join(steps)})"


def _faulty(fault, positions, view):
    """Return the names of the columns of a view with a fault, or their positions in X."""
    if sparse.issparse(view):
        return ["of the sparse matrix"] if fault.has(view.data) else []
    if len(view.shape) == 1:
        return [getattr(view, "name", int(positions[0]))] if fault.has(view) else []
    names = getattr(view, "columns", positions.tolist())
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
    messages, reasons = [], []
    for name, error in errors.items():
        named = repr(name) in str(error)
        messages.append(str(error) if named else f"Organization {name!r}: {error}")
        reasons += [note for note in getattr(error, "__notes__", []) if _is_reason(note)]
    together = ValueError("\n".join(messages))
    for note in reasons:
        together.add_note(note)
    raise together from first


def _is_reason(note):
    return not note.startswith("while ")
