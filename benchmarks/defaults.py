"""Measure the defaults: one setting changed at a time.

    python benchmarks/defaults.py [--splits 4] [--quick] [--output FILE]
        [--problems NAME ...] [--models NAME ...]

Every data set is cut into four organizations at random. 80 % of the rows train the models
and 20 % test them. "diabetes 60" has 60 training rows. Each split has other rows and
another cut. Regressions show R2 (higher is better). Classes show log loss (lower is better)
and, in brackets, accuracy in %.

The line "defaults" has all defaults, and each other line changes what it says.
"""

import time
from functools import partial

import numpy as np
from _datasets import DATA_SETS
from _harness import Problem, default_learner, run, seconds, some_of
from joblib import Parallel, delayed
from sklearn.linear_model import Ridge


def gal(estimator=None, **settings):
    """Four organizations with this local estimator."""
    return lambda problem: problem.gal(problem.organizations(4, estimator), **settings)


def trees(**changes):
    """Four organizations with a changed default estimator."""
    return gal(default_learner(**changes))


# A problem is a function of the split.
PROBLEMS = {
    "diabetes 60": partial(Problem, "diabetes", train_size=60),
    **{name: partial(Problem, name) for name in DATA_SETS},
}
# A model is a function of the problem.
MODELS = {
    "defaults": gal(),
    "interactions=False": gal(interactions=False),
    "interactions=False, cv=None": gal(interactions=False, cv=None),
    "cv=2": gal(cv=2),
    "cv=3": gal(cv=3),
    "cv=5": gal(cv=5),
    "cv=10": gal(cv=10),
    "subsample=0.7": gal(cv=None, subsample=0.7),
    "learning_rate=0.1": gal(learning_rate=0.1),
    "learning_rate=0.5": gal(learning_rate=0.5),
    "learning_rate=1": gal(learning_rate=1.0),
    "max_iter=30": gal(max_iter=30),
    "max_iter=300": gal(max_iter=300),
    "early_stopping=False": gal(early_stopping=False),
    "n_iter_no_change=20": gal(n_iter_no_change=20),
    "weights='nonnegative'": gal(weights="nonnegative"),
    "weights='uniform'": gal(weights="uniform"),
    "line_search=False": gal(line_search=False),
    "4 leaves": trees(num_leaves=4),
    "8 leaves": trees(num_leaves=8),
    "15 leaves": trees(num_leaves=15),
    "31 leaves": trees(num_leaves=31),
    "10 trees of 4 leaves": trees(n_estimators=10, learning_rate=0.3, num_leaves=4),
    "reg_lambda=0": trees(reg_lambda=0.0),
    "min_child_samples=5": trees(min_child_samples=5),
    "min_child_samples=50": trees(min_child_samples=50),
    "Ridge": gal(Ridge()),
    "Ridge, interactions=False": gal(Ridge(), interactions=False),
    "Ridge, cv=None": gal(Ridge(), cv=None),
    "joint LightGBM": lambda problem: problem.joint(num_leaves=15),
}


def measure(name, model, split):
    """Score, accuracy, rounds and seconds of one fit."""
    problem = PROBLEMS[name](split)
    model = MODELS[model](problem)
    spent = seconds(lambda: model.fit(*problem.train), clock=time.perf_counter)
    accuracy = np.nan if problem.regression else 100 * problem.score(model, "accuracy")
    return problem.score(model), accuracy, getattr(model, "n_iter_", np.nan), spent


def table(arguments):
    for name in arguments.problems:
        results = Parallel(n_jobs=2)(
            delayed(measure)(name, model, split)
            for model in arguments.models
            for split in range(arguments.splits)
        )
        results = np.reshape(results, (len(arguments.models), arguments.splits, 4))
        score = "R2" if np.isnan(results[0, 0, 1]) else "log loss (accuracy %)"
        if name != arguments.problems[0]:
            yield ""
        yield name
        yield f"{'setting':30}{score:>24}{'rounds':>8}{'seconds':>9}"
        for model, row in zip(arguments.models, results.mean(axis=1), strict=True):
            value, accuracy, rounds, spent = row
            shown = f"{value:.4f}" + ("" if np.isnan(accuracy) else f" ({accuracy:.1f})")
            yield f"{model:30}{shown:>24}{rounds:>8.0f}{spent:>9.2f}"


if __name__ == "__main__":
    quick = ["diabetes 60", "wine"]
    options = {"--models": some_of(MODELS) | {"default": list(MODELS)}}
    run(table, __doc__, splits=4, problems=PROBLEMS, quick=quick, options=options)
