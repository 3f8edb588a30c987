"""Rows that some organizations do not have: what abstaining gains.

    python benchmarks/partial_overlap.py [--splits 3] [--quick] [--output FILE]

Four organizations with a random cut of the columns and the default local estimator, fitted
in at most 50 rounds. The label holder has every row. Each assistor has a random share of
the rows, the overlap. The assistors miss rows independently of each other, or all miss the
same rows ("together"). Test rows are complete, or missing like the training rows
("partial"). Regressions show R2 (higher is better), classes show log loss (lower is
better).

alone            the columns of the label holder only
complete case    fitted to the rows that all organizations have
zero             one weight vector and one rate per round for all rows; an organization
                 contributes zero to the rows that it does not have
abstain          missing_rows="abstain": each combination of organizations has its own
                 weights and rate, chosen on the rows that at least these organizations
                 have, or on all rows if those are few
nothing missing  fitted to all rows of all organizations, for reference

From 1,000 rows on, the package bins the columns once for all chains. "zero" fits LightGBM
within another estimator, which bins them for each chain. On the adult-like set, this alone
changes log losses by up to 0.001.

The models of the second table are fitted to complete rows and predict test rows that 0 to 3
assistors do not have: the mean over all choices of these assistors, and the worst choice.

The design decisions in docs/ give the figures of two rejected alternatives: weights that
are scaled to the organizations present, and combinations that are fitted only to the rows
of exactly their organizations.
"""

from functools import cache
from itertools import combinations

import numpy as np
from _harness import Problem, default_learner, run
from sklearn.base import BaseEstimator, RegressorMixin, clone

NAMES = ["breast cancer", "diabetes", "adult-like"]
ROWS = {"adult-like": 8000}
OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9)
OVERLAPS_OF = {"adult-like": (0.5,)}  # a large data set
MODELS = ["alone", "complete case", "zero", "abstain", "nothing missing"]


class ZeroWhereMissing(RegressorMixin, BaseEstimator):
    """Fits the rows that are not missing and predicts zero for all others."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        present = ~np.isnan(X).all(axis=1)
        self.estimator_ = None
        if np.count_nonzero(present) >= 2:
            self.estimator_ = clone(self.estimator).fit(X[present], y[present])
        return self

    def predict(self, X):
        present = ~np.isnan(X).all(axis=1)
        predicted = np.zeros(len(X))
        if self.estimator_ is not None and present.any():
            predicted[present] = self.estimator_.predict(X[present])
        return predicted


def with_missing_rows(X, organizations, overlap, together, seed):
    """X, of which each assistor has only a share of the rows."""
    rng = np.random.default_rng(seed)
    X = X.copy()
    absent = rng.random((len(X), len(organizations))) >= overlap
    for m, (_, _, columns) in enumerate(organizations[1:], start=1):
        X[np.ix_(absent[:, 1 if together else m], columns)] = np.nan
    return X


@cache
def problem_of(name, split):
    return Problem(name, split, n_rows=ROWS.get(name))


@cache
def fitted(name, split, label, max_iter, overlap=1.0, together=False):
    """The fitted model, or None if there are too few rows."""
    problem = problem_of(name, split)
    organizations, (X, y) = problem.organizations(), problem.train
    X = with_missing_rows(X, organizations, overlap, together, split)
    missing_rows = "abstain"
    if label == "alone":
        organizations = organizations[:1]
    if label == "complete case":
        complete = ~np.isnan(X).any(axis=1)
        X, y = X[complete], y[complete]
    if label == "zero":
        missing_rows = "pass"
        organizations = problem.organizations(4, ZeroWhereMissing(default_learner()))
    if len(y) < 5 or len(np.unique(y)) < 2:
        return None
    return problem.gal(organizations, missing_rows=missing_rows, max_iter=max_iter).fit(
        X, y
    )


def overlapping(name, split, max_iter, overlap, together):
    """Scores of all models on complete and on partial test rows."""
    problem = problem_of(name, split)
    complete, _ = problem.test
    organizations = problem.organizations()
    partial = with_missing_rows(complete, organizations, overlap, together, split + 1000)
    scores = []
    for label in MODELS:
        rows = () if label in ("alone", "nothing missing") else (overlap, together)
        model = fitted(name, split, label, max_iter, *rows)
        scores.append(
            [
                np.nan if model is None else problem.score(model, X=X)
                for X in (complete, partial)
            ]
        )
    return scores


def absent(name, split, label, max_iter):
    """Mean and worst score with 0 to 3 assistors absent when predicting."""
    problem = problem_of(name, split)
    X, _ = problem.test
    organizations = problem.organizations()
    model = fitted(name, split, label, max_iter)
    worst = min if problem.regression else max
    scores = []
    for n_absent in range(4):
        each = []
        for gone in combinations(range(1, 4), n_absent):
            X_absent = X.copy()
            for m in gone:
                X_absent[:, organizations[m][2]] = np.nan
            each.append(problem.score(model, X=X_absent))
        scores.append((np.mean(each), worst(each)))
    return scores


def overlap_table(name, together, overlaps, splits, max_iter):
    layout = "together" if together else "independently"
    yield f"{name}, {problem_of(name, 0).metric}, rows missing {layout}"
    means = [
        np.mean(
            [overlapping(name, s, max_iter, overlap, together) for s in range(splits)],
            axis=0,
        )
        for overlap in overlaps
    ]
    for rows, scores in zip(("complete", "partial"), np.transpose(means), strict=True):
        yield f"{rows + ' test rows':22}" + "".join(f"{each:>9.0%}" for each in overlaps)
        for label, cells in zip(MODELS, scores, strict=True):
            yield f"  {label:20}" + "".join(f"{cell:>9.4f}" for cell in cells)
    yield ""


def table(arguments):
    splits, max_iter = arguments.splits, 10 if arguments.quick else 50
    for name in arguments.problems:
        overlaps = (0.5,) if arguments.quick else OVERLAPS_OF.get(name, OVERLAPS)
        for together in (False, True):
            yield from overlap_table(name, together, overlaps, splits, max_iter)
    yield "Absent when predicting, fitted to complete rows (mean; worst choice)"
    for name in arguments.problems:
        problems = [problem_of(name, split) for split in range(splits)]
        title = f"{name}, {problems[0].metric}"
        yield f"{title:24}" + "".join(f"{n:>18}" for n in range(4))
        for label, key in (("abstain", "nothing missing"), ("zero", "zero")):
            scores = [absent(name, split, key, max_iter) for split in range(splits)]
            cells = "".join(f"{m:>9.4f}; {w:.4f}" for m, w in np.mean(scores, axis=0))
            yield f"  {label:22}{cells}"
        alone = [
            problem.score(fitted(name, problem.split, "alone", max_iter))
            for problem in problems
        ]
        yield f"  {'alone':22}{np.mean(alone):>9.4f}"


if __name__ == "__main__":
    run(table, __doc__, splits=3, problems=NAMES, quick=NAMES[:2])
