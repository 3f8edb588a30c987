"""Measure the defaults: one setting changed at a time.

    python benchmarks/defaults.py [--splits 4] [--output benchmarks/defaults.txt]

Every data set is cut into four organizations at random; 80 % of the rows train, 20 % test,
other rows and another cut for every split. Regression sets show R2 (higher is better),
classification sets log loss (lower is better) and, in brackets, accuracy in %.
"""

import argparse
import time
import warnings

import numpy as np
from _datasets import DATA_SETS
from joblib import Parallel, delayed
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier, GALRegressor, make_organizations

REGRESSION = ("diabetes", "diabetes 60", "friedman1")


def boosted(**changes):
    """The default local estimator with changes."""
    settings = {
        "n_estimators": 10,
        "learning_rate": 0.3,
        "num_leaves": 4,
        "min_child_samples": 24,
        "verbosity": -1,
    }
    return LGBMRegressor(**settings | changes)


SETTINGS = {
    "defaults": {},
    "cv=None": {"cv": None},
    "cv=2": {"cv": 2},
    "cv=3": {"cv": 3},
    "cv=5": {"cv": 5},
    "subsample=0.7": {"cv": None, "subsample": 0.7},
    "stack_contributions=True": {"stack_contributions": True},
    "stack_contributions='all'": {"stack_contributions": "all"},
    "learning_rate=0.1": {"learning_rate": 0.1},
    "learning_rate=0.5": {"learning_rate": 0.5},
    "learning_rate=1": {"learning_rate": 1.0},
    "max_iter=30": {"max_iter": 30},
    "max_iter=300": {"max_iter": 300},
    "early_stopping=True": {"early_stopping": True},
    "early_stopping=False": {"early_stopping": False},
    "weights='nonnegative'": {"weights": "nonnegative"},
    "weights='uniform'": {"weights": "uniform"},
    "line_search=False": {"line_search": False},
    "1 tree of 8 leaves": {"local": boosted(n_estimators=1, learning_rate=1, num_leaves=8)},
    "1 tree of 15 leaves": {
        "local": boosted(n_estimators=1, learning_rate=1, num_leaves=15)
    },
    "5 trees of 8 leaves": {"local": boosted(n_estimators=5, num_leaves=8)},
    "10 trees of 8 leaves": {"local": boosted(num_leaves=8)},
    "30 trees of 4 leaves": {"local": boosted(n_estimators=30, learning_rate=0.1)},
    "min_child_samples=5": {"local": boosted(min_child_samples=5)},
    "min_child_samples=50": {"local": boosted(min_child_samples=50)},
    "Ridge": {"local": Ridge()},
    "Ridge, cv=None": {"local": Ridge(), "cv": None},
    "joint LightGBM": None,
}


def measure(name, split, settings):
    """Score, accuracy, rounds and seconds of one fit."""
    n_rows = None
    if name == "diabetes 60":
        X, y = DATA_SETS["diabetes"]()
        n_rows = 60
    else:
        X, y = DATA_SETS[name]()
    regression = name in REGRESSION
    X, X_test, y, y_test = train_test_split(
        X,
        y,
        train_size=n_rows or 0.8,
        random_state=split,
        stratify=None if regression else y,
    )
    if settings is None:
        joint = LGBMRegressor if regression else LGBMClassifier
        model = joint(num_leaves=15, n_jobs=1, verbosity=-1)
    else:
        settings = dict(settings)
        organizations = make_organizations(
            X, 4, settings.pop("local", None), random_state=split
        )
        gal = GALRegressor if regression else GALClassifier
        model = gal(organizations, random_state=split, **settings)
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    rounds = getattr(model, "n_iter_", np.nan)
    if regression:
        return r2_score(y_test, model.predict(X_test)), np.nan, rounds, seconds
    score = log_loss(y_test, model.predict_proba(X_test))
    return score, 100 * model.score(X_test, y_test), rounds, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--output")
    parser.add_argument("--data-sets", nargs="*")
    parser.add_argument("--settings", nargs="*")
    arguments = parser.parse_args()
    names = arguments.data_sets or ["diabetes 60", *DATA_SETS]
    settings = arguments.settings or list(SETTINGS)
    cells = [(name, setting) for name in names for setting in settings]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = Parallel(n_jobs=2)(
            delayed(measure)(name, split, SETTINGS[setting])
            for name, setting in cells
            for split in range(arguments.splits)
        )
    results = np.array(results).reshape(len(cells), arguments.splits, -1).mean(axis=1)
    lines = []
    for name in names:
        score = "R2" if name in REGRESSION else "log loss (accuracy %)"
        lines += ["", name, f"{'setting':26}{score:>24}{'rounds':>8}{'seconds':>9}"]
        for setting in settings:
            value, accuracy, rounds, seconds = results[cells.index((name, setting))]
            shown = f"{value:.4f}" + ("" if np.isnan(accuracy) else f" ({accuracy:.1f})")
            lines.append(f"{setting:26}{shown:>24}{rounds:>8.0f}{seconds:>9.2f}")
    table = "\n".join(lines).lstrip("\n") + "\n"
    print(table)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write(f"Mean over {arguments.splits} splits.\n\n{table}")


if __name__ == "__main__":
    main()
