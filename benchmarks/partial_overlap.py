"""Rows that not everyone has: how to assemble a step from those who are present.

    python benchmarks/partial_overlap.py [--splits 3] [--max-iter 50] [--output FILE]

Four organizations, columns cut at random, the default local estimator. The label holder
has every row, each assistor a random share of them, the overlap: independently, or
all of them the same rows ("together"). Test rows are complete, or missing like the training
rows ("partial"). Regression sets show R2 (higher is better), classification sets log loss
(lower is better).

alone           the label holder's columns only
complete case   fitted to the rows that everybody has
zero            one weight vector and one rate; who is absent contributes zero
renormalised    one weight vector and one rate; the weights of those present sum to one
own rows        weights and rate of their own for every combination of organizations, chosen
                on the rows that exactly these have
abstain         missing_rows="abstain": weights and rate of their own for every combination,
                chosen on the rows that at least these have, or on all if those are few
nothing missing fitted to all rows of everybody, for reference

The second table is fitted to complete rows, with missing_rows="abstain", and predicts test
rows of which assistors are absent, all choices of so many. "zero" takes the contributions
of those present as they are in the complete model.
"""

import argparse
import time
import warnings
from functools import cache
from itertools import combinations

import numpy as np
from _datasets import DATA_SETS
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier, GALRegressor, make_organizations
from sklearn_gal._method.line_search import line_search
from sklearn_gal._method.patterns import MIN_ROWS, Paths, shared_among

REGRESSION = ("diabetes",)
ROWS = {"adult-like": 8000}
OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9)
OVERLAPS_OF = {"adult-like": (0.5,)}  # takes its time
WAYS = ["alone", "complete case", "zero", "renormalised", "own rows", "abstain"]
WAYS += ["nothing missing"]


class NoUnderstudy:
    """The label holder has the models of the rounds only."""

    def _understudies(self, holder, continued):
        return []


class Zero(NoUnderstudy):
    """One weight vector and rate for all rows."""

    def _paths_for(self, present):
        return Paths.of_everybody(present.shape[1])


class Renormalised(NoUnderstudy):
    """One weight vector, scaled to those present, and one rate."""

    def _assemble(self, train, fitted, residuals, folds):
        weights, rates = self._paths.standstill()
        complete = train.present.all(axis=1)
        rows = complete if np.count_nonzero(complete) >= MIN_ROWS else slice(None)
        residual = train.on_own_path(residuals)
        vector = self._assistance_weights(
            residual[rows], fitted[rows], None, out_of_fold=folds is not None
        )
        for path, members in enumerate(self._paths.members):
            weights[path] = shared_among(members, vector)
        direction = np.einsum("nm,nmk->nk", weights[train.path], fitted)
        rates[:] = self.learning_rate * line_search(
            self._loss, train.y, train.raw_prediction, direction
        )
        train.move(fitted, weights, rates)
        return weights, rates


class OwnRows(NoUnderstudy):
    """Every combination by itself."""

    def _paths_for(self, present):
        paths = Paths.among(present, self._holder)
        paths.judged = lambda present, judging_rows: (
            (path, rows)
            for path in range(len(paths) - 1)
            if len(rows := np.flatnonzero(paths.serving(present) == path))
        )
        return paths


def with_missing_rows(X, organizations, overlap, together, seed):
    """X of which the assistors hold a share only."""
    rng = np.random.default_rng(seed)
    X = X.copy()
    absent = rng.random((len(X), len(organizations))) >= overlap
    for m, (_, _, columns) in enumerate(organizations[1:], start=1):
        X[np.ix_(absent[:, 1 if together else m], columns)] = np.nan
    return X


def split_of(name, split):
    """Estimator, organizations, training and test rows."""
    X, y = DATA_SETS[name]()
    X, y = X[: ROWS.get(name)], y[: ROWS.get(name)]
    regression = name in REGRESSION
    parts = train_test_split(
        X, y, train_size=0.8, random_state=split, stratify=None if regression else y
    )
    organizations = make_organizations(X, 4, random_state=split)
    return GALRegressor if regression else GALClassifier, organizations, *parts


def score(model, X, y):
    """R2 or log loss."""
    if isinstance(model, GALRegressor):
        return r2_score(y, model.predict(X))
    return log_loss(y, model.predict_proba(X))


@cache
def fitted(name, split, label, max_iter, overlap=1.0, together=False):
    """The model of one way, or None where there is too little to fit."""
    gal, organizations, X, _, y, _ = split_of(name, split)
    way = {"zero": Zero, "renormalised": Renormalised, "own rows": OwnRows}.get(label)
    if label == "alone":
        organizations = organizations[:1]
    X = with_missing_rows(X, organizations, overlap, together, split)
    if label == "complete case":
        complete = ~np.isnan(X).any(axis=1)
        X, y = X[complete], y[complete]
    if len(y) < 5 or len(np.unique(y)) < 2:
        return None
    model = (
        gal if way is None else type(way.__name__, (way, gal), {"__init__": gal.__init__})
    )
    model = model(
        organizations, missing_rows="abstain", max_iter=max_iter, random_state=split
    )
    return model.fit(X, y)


def overlapping(name, split, overlap, together, max_iter):
    """Scores of all ways on complete and on partial test rows."""
    _, organizations, _, X_test, _, y_test = split_of(name, split)
    partial = with_missing_rows(X_test, organizations, overlap, together, split + 1000)
    scores = {}
    for label in WAYS:
        on_all = label in ("alone", "nothing missing")
        rows = () if on_all else (overlap, together)
        model = fitted(name, split, label, max_iter, *rows)
        scores[label] = [
            np.nan if model is None else score(model, X, y_test) for X in (X_test, partial)
        ]
    return scores


def absent(name, split, max_iter):
    """Scores with 0 to 3 assistors absent when predicting."""
    _, organizations, _, X_test, _, y_test = split_of(name, split)
    models = {
        "abstain": fitted(name, split, "nothing missing", max_iter),
        "zero": fitted(name, split, "zero", max_iter),
    }
    scores = {"alone": [score(fitted(name, split, "alone", max_iter), X_test, y_test)]}
    for label, model in models.items():
        scores[label] = []
        for n_absent in range(4):
            each = []
            for gone in combinations(range(1, 4), n_absent):
                X_absent = X_test.copy()
                for m in gone:
                    X_absent[:, organizations[m][2]] = np.nan
                each.append(score(model, X_absent, y_test))
            scores[label].append((np.mean(each), np.min(each), np.max(each)))
    return scores


def overlap_table(names, overlaps_asked, splits, max_iter):
    lines = []
    for name in names:
        overlaps = OVERLAPS_OF.get(name, overlaps_asked)
        kind = "R2" if name in REGRESSION else "log loss"
        for together in (False, True):
            layout = "together" if together else "independently"
            lines += ["", f"{name}, {kind}, rows missing {layout}"]
            results = {
                overlap: [
                    overlapping(name, split, overlap, together, max_iter)
                    for split in range(splits)
                ]
                for overlap in overlaps
            }
            for column, test in enumerate(("complete", "partial")):
                lines.append(
                    f"{test + ' test rows':22}"
                    + "".join(f"{f'{overlap:.0%}':>9}" for overlap in overlaps)
                )
                for label in results[overlaps[0]][0]:
                    means = [
                        np.mean([result[label][column] for result in results[overlap]])
                        for overlap in overlaps
                    ]
                    lines.append(f"  {label:20}" + "".join(f"{m:>9.4f}" for m in means))
            print("\n".join(lines[-18:]), flush=True)
    return lines


def absent_table(names, splits, max_iter):
    lines = ["", "Absent when predicting, fitted to complete rows (mean; worst choice)"]
    for name in names:
        results = [absent(name, split, max_iter) for split in range(splits)]
        kind = "R2" if name in REGRESSION else "log loss"
        lines.append(f"{name + ', ' + kind:24}" + "".join(f"{n:>18}" for n in range(4)))
        worst = 1 if name in REGRESSION else 2
        for label in ("abstain", "zero"):
            each = np.mean([result[label] for result in results], axis=0)
            cells = "".join(f"{row[0]:>9.4f}; {row[worst]:.4f}" for row in each)
            lines.append(f"  {label:22}{cells}")
        alone = np.mean([result["alone"] for result in results])
        lines.append(f"  {'alone':22}{alone:>9.4f}")
    print("\n".join(lines), flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--max-iter", type=int, default=50)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("--data-sets", nargs="*")
    arguments = parser.parse_args()
    start = time.perf_counter()
    names = arguments.data_sets or ["breast cancer", "diabetes", "adult-like"]
    overlaps, splits, max_iter = OVERLAPS, arguments.splits, arguments.max_iter
    if arguments.quick:
        names, overlaps, splits, max_iter = names[:2], (0.5,), 1, 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines = overlap_table(names, overlaps, splits, max_iter)
        lines += absent_table(names, splits, max_iter)
    print(f"{time.perf_counter() - start:.0f} s")
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(
                f"Mean over {splits} splits, {max_iter} rounds.\n" + "\n".join(lines) + "\n"
            )


if __name__ == "__main__":
    main()
