"""Fuzz over frames: columns that a learner may be unable to read.

    python benchmarks/frames.py [--n 2000] [--seed 0] [--quick] [--output FILE]
        [--case NUMBER]

A clinic holds three columns, the first of which has an unusual type, values or name. A bank
holds two columns. In a matrix of a single type, all columns are unusual. Every case draws
the table, the clinic's estimator, what wraps the estimator, and whether the model is fitted
to the table, or is fitted to floats and predicts with the table. Cases run in forked
processes, so that a case that ends the interpreter is an outcome. ``--case`` runs a single
case in this process, and shows its traceback.

works         predictions are finite
names both    an error names an organization and the column
organization  an error names an organization only
column        an error names the column only
unclear       an error names neither, or predictions are not finite
ended         the interpreter ended, or the case took longer than a minute

A line below the tables shows how many cases have the same message, and the first of them.
"""

import faulthandler
import multiprocessing
import os
import re
import tempfile
from collections import Counter, defaultdict

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", POLARS_MAX_THREADS="1")

import numpy as np
from _frames import tables, usual
from _harness import run
from catboost import CatBoostRegressor
from lightgbm import LGBMRegressor
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingRegressor,
    HistGradientBoostingRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from xgboost import XGBRegressor

from sklearn_gal import GALClassifier, GALRegressor, default_learner

SECONDS = 60


class Wrapper(RegressorMixin, BaseEstimator):
    """A user's meta-estimator: the mean of estimators in a parameter of any form."""

    def __init__(self, held=None):
        self.held = held

    def _unfitted(self):
        held = self.held.values() if isinstance(self.held, dict) else self.held
        return held if isinstance(self.held, (list, dict)) else [held]

    def fit(self, X, y):
        self.fitted_ = [clone(each).fit(X, y) for each in self._unfitted()]
        return self

    def predict(self, X):
        return np.mean([each.predict(X) for each in self.fitted_], axis=0)


def hidden(learner):
    """A user's estimator that has a learner in an attribute, not in a parameter."""

    class Hidden(Wrapper):
        def _unfitted(self):
            return [learner]

    return Hidden()


def transformed(frame):
    """A wrapper that passes all columns through a transformer that returns frames."""

    def wrap(learner):
        passing = ColumnTransformer([("nothing", "drop", [])], remainder="passthrough")
        return make_pipeline(passing.set_output(transform=frame), learner)

    return wrap


LEARNERS = {
    "None": lambda: None,
    "default_learner()": lambda: default_learner(n_jobs=1),
    "LGBMRegressor": lambda: LGBMRegressor(n_estimators=2, n_jobs=1, verbosity=-1),
    "HistGradientBoosting": lambda: HistGradientBoostingRegressor(max_iter=2),
    "Ridge": Ridge,
    "XGBRegressor": lambda: XGBRegressor(n_estimators=2, n_jobs=1),
    "CatBoostRegressor": lambda: CatBoostRegressor(
        iterations=2, thread_count=1, verbose=False, allow_writing_files=False
    ),
}
WRAPPERS = {
    "bare": lambda learner: learner,
    "after passthrough": lambda learner: make_pipeline("passthrough", learner),
    "FunctionTransformer": lambda learner: make_pipeline(FunctionTransformer(), learner),
    "ColumnTransformer, pandas": transformed("pandas"),
    "ColumnTransformer, polars": transformed("polars"),
    "StandardScaler": lambda learner: make_pipeline(StandardScaler(), learner),
    "Voting": lambda learner: VotingRegressor([("one", learner)]),
    "Stacking": lambda learner: StackingRegressor([("one", learner)], cv=2),
    "Bagging": lambda learner: BaggingRegressor(learner, n_estimators=2),
    "TransformedTarget": lambda learner: TransformedTargetRegressor(learner),
    "MultiOutput": MultiOutputRegressor,
    "GridSearchCV": lambda learner: GridSearchCV(learner, {}, cv=2),
    "user's parameter": Wrapper,
    "user's list": lambda learner: Wrapper([learner]),
    "user's dict": lambda learner: Wrapper({"one": learner}),
    "user's attribute": hidden,
    "Frozen": FrozenEstimator,
}
TABLES = defaultdict(list)
for container, *table_of_kind in tables():
    TABLES[container].append(table_of_kind)
SHARES = {"NumPy": 0.15, "pandas": 0.45, "polars": 0.3, "SciPy": 0.1}
OUTCOMES = ["works", "names both", "organization", "column", "unclear", "ended"]


class Case:
    """A case, drawn by its number."""

    def __init__(self, seed, number):
        self.number, self._rng = number, np.random.default_rng([seed, number])
        self.container = self._pick(SHARES, p=list(SHARES.values()))
        kinds = TABLES[self.container]
        self.column, self._make = kinds[self._rng.integers(len(kinds))]
        self.learner, self.wrapper = self._pick(LEARNERS), self._pick(WRAPPERS)
        self.method, self.target = (
            self._pick(["fit", "predict"]),
            self._pick("number classes"),
        )
        self.holder = self._pick(["clinic", "bank"])
        if self.wrapper == "MultiOutput":  # it does not take a single output
            self.target = "classes"

    def _pick(self, among, p=None):
        among = among.split() if isinstance(among, str) else list(among)
        return among[self._rng.choice(len(among), p=p)]

    def __str__(self):
        return (
            f"{self.number}: {self.container} {self.column}; {self.learner}, "
            f"{self.wrapper}; {self.method}, {self.target}, {self.holder} first"
        )

    def run(self):
        """Fit and predict, and return whether the predictions are finite."""
        rng, n = self._rng, int(self._rng.integers(120, 301))
        X = self._make(rng, n)
        signal = rng.normal(size=n)
        learner = LEARNERS[self.learner]()
        if self.wrapper != "bare" and learner is None:
            learner = default_learner(n_jobs=1)
        if self.wrapper == "Frozen" and learner is not None:
            learner.fit(rng.normal(size=(n, 3)), signal)
        held = [
            ("clinic", WRAPPERS[self.wrapper](learner), [0, 1, 2]),
            ("bank", None, [3, 4]),
        ]
        if self.holder == "bank":
            held.reverse()
        gal, y = GALRegressor, signal
        if self.target == "classes":
            gal, y = GALClassifier, np.digitize(signal, [-0.5, 0.5])
        model = gal(held, cv=2, max_iter=2, random_state=0)
        model.fit(X if self.method == "fit" else usual(X, rng), y)
        predict = getattr(model, "predict_proba", model.predict)
        return bool(np.isfinite(predict(X)).all())

    def outcome(self):
        """Return the outcome, and a message."""
        try:
            return ("works", "") if self.run() else ("unclear", "not finite")
        except BaseException as error:  # a panic of polars is no Exception
            text = "\n".join([str(error), *getattr(error, "__notes__", [])])
            organization = "'clinic'" in text or "'bank'" in text
            column = self._names_column(text)
            outcome = ["unclear", "column", "organization", "names both"]
            message = f"{type(error).__name__}: {text}"
            return outcome[2 * organization + column], message

    def _names_column(self, text):
        if self.column.startswith("name "):
            return self.column.removeprefix("name ") in text
        return "odd" in text or "column 0" in text


def work(cases, sender, log):
    """Run cases in this process and send the outcomes."""
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    for case in cases:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        sender.send(case.outcome())


def outcomes(cases):
    """Yield the outcome and a message of each case."""
    fork = multiprocessing.get_context("fork")
    while cases:
        receiver, sender = fork.Pipe(duplex=False)
        with tempfile.TemporaryFile() as log:
            process = fork.Process(target=work, args=(cases, sender, log))
            process.start()
            sender.close()
            n_done = 0
            try:
                while n_done < len(cases):
                    yield receiver.recv()
                    n_done += 1
            except EOFError:  # the process has ended
                n_done += 1
                process.join()
                log.seek(0)
                words = log.read().decode(errors="replace").strip()
                yield "ended", f"exit code {process.exitcode}: {words[-300:]}"
            process.join()
        cases = cases[n_done:]


def counts(title, results, key):
    """Lines of a table: how many cases have each outcome."""
    table = defaultdict(Counter)
    for case, outcome, _ in results:
        table[key(case)][outcome] += 1
    yield ""
    yield f"{title:24}" + "".join(f"{outcome:>14}" for outcome in OUTCOMES)
    for name in sorted(table):
        yield f"{name:24}" + "".join(f"{table[name][each]:>14}" for each in OUTCOMES)


def listed(outcome, results):
    """Lines about all cases with an outcome: how often a message comes, and one case."""
    groups = defaultdict(list)
    for case, found, message in results:
        if found == outcome:
            message = re.sub(r"\d+", "0", " ".join(message.split()))
            if outcome != "ended":
                message = re.split(r" [<[]", message)[0]
            groups[message[:130]].append(case)
    yield from ("", f"{outcome}: {sum(map(len, groups.values()))} cases")
    for message, cases in sorted(groups.items(), key=lambda group: -len(group[1])):
        yield f"{len(cases):5}  {message}"
        yield f"       {cases[0]}"


def table(arguments):
    if arguments.case is not None:
        case = Case(arguments.seed, arguments.case)
        yield str(case)
        yield "works" if case.run() else "not finite"
        return
    n = 40 if arguments.quick else arguments.n
    cases = [Case(arguments.seed, number) for number in range(n)]
    results = [
        (case, *outcome) for case, outcome in zip(cases, outcomes(cases), strict=True)
    ]
    yield f"{n} cases with seed {arguments.seed}"
    for title in ("container", "learner", "wrapper", "method", "target"):
        yield from counts(title, results, lambda case, title=title: getattr(case, title))
    for outcome in ("ended", "unclear", "column", "organization"):
        yield from listed(outcome, results)


if __name__ == "__main__":
    options = {
        "--n": {"type": int, "default": 2000, "help": "number of cases, default 2000"},
        "--seed": {"type": int, "default": 0},
        "--case": {"type": int, "help": "run this case only, with its traceback"},
    }
    run(table, __doc__, options=options)
