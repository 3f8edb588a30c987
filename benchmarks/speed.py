"""Speed of fit and predict, in ratios that are measured side by side in one run.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/speed.py [--quick] [--output FILE]

Naive is a loop that clones, fits and predicts every local model with uniform weights and a
constant rate, i.e. local work and nothing else. It runs for a few rounds and is scaled to
all rounds, because all cost the same. Joint is one LightGBM on all columns with the same
total number of trees and leaves. Everything runs in one thread, and times are processor
times, unless the row says otherwise. Outside is the share of a fit that is not spent in
organizations: residuals, weights, rate and bookkeeping. Memory is the growth of the process
during a fit, as a multiple of X, which exists before. Seconds and milliseconds depend on
the machine.
"""

import argparse
import importlib.util
import resource
import subprocess
import sys
import time

import numpy as np
from _harness import default_learner, run, seconds
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._organizations.local import LocalOrganization

TREE = LGBMRegressor(n_estimators=1, num_leaves=15, verbosity=-1, n_jobs=1)


def make_data(n, d, n_classes=None, seed=0):
    """Additive and a few non-linear effects of d columns, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    shape = (d, n_classes or 1)
    score = X @ rng.normal(size=shape) + np.sin(2 * X) @ rng.normal(size=shape)
    score += rng.normal(size=score.shape) * np.sqrt(d) / 2
    return X, score.argmax(axis=1) if n_classes else score[:, 0]


def held_by(estimator, d, n_organizations):
    """Equal parts of the columns."""
    parts = np.array_split(np.arange(d), n_organizations)
    return [(f"o{m}", estimator, part) for m, part in enumerate(parts)]


def model_of(estimator, d, n_organizations, n_rounds, n_classes=None, **settings):
    """GAL that does not stop before `n_rounds`."""
    gal = GALClassifier if n_classes else GALRegressor
    # With folds, a line search could end the fit early.
    settings = {"line_search": settings.get("cv") is None, **settings}
    return gal(
        held_by(estimator, d, n_organizations),
        max_iter=n_rounds,
        interactions=False,
        early_stopping=False,
        random_state=0,
        **{"cv": None, **settings},
    )


def naive(X, y, estimator, n_organizations, n_rounds, n_classes=None, cv=None):
    """Clone, fit and predict everything in every round."""
    parts = np.array_split(np.arange(X.shape[1]), n_organizations)
    target = np.eye(n_classes)[y] if n_classes else y[:, None]
    raw = np.zeros(target.shape)
    rng = np.random.default_rng(0)
    for _ in range(n_rounds):
        residual = target - raw
        if n_classes:
            exp = np.exp(raw - raw.max(axis=1, keepdims=True))
            residual = target - exp / exp.sum(axis=1, keepdims=True)
        folds = np.zeros(len(X)) if cv is None else rng.permutation(len(X)) % cv
        fitted = np.zeros(target.shape)
        for part in parts:
            for k in range(target.shape[1]):
                for fold in range(cv or 1):
                    inside = folds == fold
                    outside = inside if cv is None else ~inside
                    model = clone(estimator).fit(X[outside][:, part], residual[outside, k])
                    fitted[inside, k] += model.predict(X[inside][:, part]).ravel()
        raw += 0.3 * fitted / n_organizations


def joint_of(estimator, n_trees, n_classes=None):
    """One LightGBM with the same number of trees."""
    n_leaves, size = estimator.num_leaves, estimator.n_estimators
    lightgbm = LGBMClassifier if n_classes else LGBMRegressor
    return lightgbm(
        n_estimators=n_trees * size, num_leaves=n_leaves, verbosity=-1, n_jobs=1
    )


class Inside:
    """Adds up the time that is spent in organizations."""

    def __enter__(self):
        self.total = 0.0
        self.originals = LocalOrganization.prepare, LocalOrganization.fit_round
        LocalOrganization.prepare, LocalOrganization.fit_round = map(
            self.timed, self.originals
        )
        return self

    def __exit__(self, *_):
        LocalOrganization.prepare, LocalOrganization.fit_round = self.originals

    def timed(self, function):
        def wrapper(*args, **kwargs):
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.total += time.process_time() - start

        return wrapper


def fit_rows(quick):
    """Fits against the naive loop and joint LightGBM."""
    ten = clone(TREE).set_params(n_estimators=10)
    scaled = make_pipeline(StandardScaler(), Ridge())
    n, t = (2000, 5) if quick else (100_000, 50)
    cases = [  # name, estimator, n, d, M, T, K, cv, rounds of the naive loop
        ("a tree", TREE, n, 20, 4, t, None, None, 5),
        ("a tree, two folds", TREE, n, 20, 4, t, None, 2, 5),
        ("ten trees", ten, n, 20, 4, t, None, None, 5),
        ("default", None, n, 20, 4, t, None, None, 5),
        ("Ridge", Ridge(), n, 20, 4, t, None, None, 10),
        ("Ridge, two folds", Ridge(), n, 20, 4, t, None, 2, 10),
        ("scaled Ridge", scaled, n, 20, 4, t, None, None, 10),
        ("a tree, few rows", TREE, 500, 20, 4, 2 * t, None, None, 50),
        ("a tree, two folds, few rows", TREE, 500, 20, 4, 2 * t, None, 2, 50),
        ("a tree, 10 classes", TREE, n // 5, 20, 4, max(t // 5, 2), 10, None, 2),
    ]
    yield (
        "fit                            n   d  M   T   K  seconds"
        "  naive/fit  fit/joint  outside"
    )
    for name, estimator, n, d, m, t, k, cv, few in cases:
        X, y = make_data(n, d, k)
        few = min(few, t)
        model = model_of(estimator, d, m, t, k, cv=cv)
        own = default_learner() if estimator is None else estimator
        with Inside() as inside:
            fit = seconds(lambda model=model, X=X, y=y: model.fit(X, y))
            outside = 1 - inside.total / fit
        loop = seconds(lambda: naive(X, y, own, m, few, k, cv)) * t / few  # noqa: B023
        fit = min(fit, seconds(lambda model=model, X=X, y=y: model.fit(X, y)))
        ratio = "        -"
        if isinstance(own, LGBMRegressor):
            joint = joint_of(own, t * m * (cv or 1), k)
            ratio = f"{fit / seconds(lambda: joint.fit(X, y)):9.2f}"  # noqa: B023
        yield (
            f"{name:<27}{n:>7}{d:>4}{m:>3}{model.n_iter_:>4}{k or 1:>4}{fit:>9.2f}"
            f"{loop / fit:>11.1f}{ratio:>11}{outside:>9.1%}"
        )


def thread_rows(quick):
    """Two threads against one."""
    n, t = (2000, 3) if quick else (100_000, 50)
    X, y = make_data(n, 20)
    yield "threads, by the clock        n   n_jobs=1 / n_jobs=2"
    for name, estimator in [("a tree", TREE), ("default", None)]:
        one, two = (
            model_of(estimator, 20, 4, t, n_jobs=n_jobs).fit(X[:1000], y[:1000])
            for n_jobs in (1, 2)
        )
        times = [
            seconds(lambda each=each: each.fit(X, y), 2, time.perf_counter)
            for each in (one, two)
        ]
        yield f"{name:<25}{n:>7}{times[0] / times[1]:>11.2f}"


def scaling_rows(quick):
    """How the time of a fit grows, relative to the first of each group."""
    n, t = (500, 3) if quick else (20_000, 20)
    base = {"n": n, "d": 20, "m": 4, "k": None, "t": t}
    groups = {
        "n": [500, 1000] if quick else [1000, 10_000, 100_000, 1_000_000],
        "d": [20, 40] if quick else [20, 80, 320],
        "m": [2, 8] if quick else [2, 8, 32, 64],
        "k": [2, 3] if quick else [3, 10, 20],
        "t": [2, 4] if quick else [10, 40, 160],
    }
    yield "scaling of a fit             times as long as the first"
    for name, values in groups.items():
        for estimator in (TREE, Ridge()):
            times = []
            for value in values:
                case = {**base, name: value}
                if name == "m":
                    case["d"] = max(20, value)
                X, y = make_data(case["n"], case["d"], case["k"])
                model = model_of(estimator, case["d"], case["m"], case["t"], case["k"])
                times.append(seconds(lambda model=model, X=X, y=y: model.fit(X, y)))
            label = f"{name.upper() if name in 'mkt' else name}, {type(estimator).__name__}"
            grown = ", ".join(
                f"{value}: {spent / times[0]:.1f}"
                for value, spent in zip(values, times, strict=True)
            )
            yield f"{label:<25}    {grown}"


def prediction_rows(quick):
    """Prediction against joint LightGBM with the same number of trees."""
    n, t = (2000, 5) if quick else (100_000, 50)
    X, y = make_data(n, 20)
    yield "predict                      n  of joint  1 row: of joint       ms  ms at first"
    for name, estimator, cv in [
        ("a tree", TREE, None),
        ("a tree, two folds", TREE, 2),
        ("Ridge, two folds", Ridge(), 2),
    ]:
        model = model_of(estimator, 20, 4, t, cv=cv).fit(X, y)
        joint = joint_of(TREE, 4 * t * (cv or 1)).fit(X, y)
        first = seconds(lambda: model.predict(X[:1])) * 1e3  # noqa: B023
        times = [
            seconds(lambda each=each, part=part: each.predict(part), 10)
            for part in (X, X[:1])
            for each in (model, joint)
        ]
        yield (
            f"{name:<25}{n:>7}{times[0] / times[1]:>10.2f}{times[2] / times[3]:>17.2f}"
            f"{times[2] * 1e3:>9.2f}{first:>13.2f}"
        )


def memory_rows(quick):
    """Peak memory of a fit in a new process."""
    n, d, m, t = (20_000, 40, 8, 2) if quick else (1_000_000, 40, 8, 20)
    yield "memory                       n    d  M   T   growth / X"
    for name, cv in (("a tree", None), ("a tree, two folds", 2)):
        command = [sys.executable, __file__, "--memory", f"{n},{d},{m},{t},{cv or 0}"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        yield f"{name:<25}{n:>7}{d:>4}{m:>3}{t:>4}{float(result.stdout):>10.2f}"


def memory_of_a_fit(n, d, m, t, cv):
    """Growth of the process during a fit, as a multiple of X."""
    X, y = make_data(1000, d)
    model_of(TREE, d, m, 1).fit(X, y)
    rng = np.random.default_rng(0)
    X = np.empty((n, d))
    for j in range(d):
        X[:, j] = rng.normal(size=n)
    y = X[:, 0] + np.sin(X[:, d // 2]) + rng.normal(size=n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model_of(TREE, d, m, t, cv=cv or None).fit(X, y)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024 / X.nbytes


def other_rows(quick):
    """Other boosting libraries on all columns in one place, if they are installed."""
    n, t = (2000, 5) if quick else (100_000, 50)
    X, y = make_data(n, 20)
    fit = seconds(lambda: model_of(TREE, 20, 4, t).fit(X, y), 2)
    yield "other libraries              n  their fit / ours, as many trees in all"
    if importlib.util.find_spec("xgboost"):
        from xgboost import XGBRegressor

        other = XGBRegressor(n_estimators=4 * t, max_leaves=15, max_depth=0, n_jobs=1)
        other.set_params(grow_policy="lossguide")
        yield f"{'xgboost':<25}{n:>7}{seconds(lambda: other.fit(X, y)) / fit:>11.2f}"
    if importlib.util.find_spec("ngboost"):
        from ngboost import NGBRegressor

        few = NGBRegressor(n_estimators=max(1, t // 10), verbose=False)
        ratio = seconds(lambda: few.fit(X, y)) * 4 * t / few.n_estimators / fit
        yield f"{'ngboost (scaled)':<25}{n:>7}{ratio:>11.2f}"


def table(arguments):
    if arguments.memory:
        yield str(memory_of_a_fit(*map(int, arguments.memory.split(","))))
        return
    yield from fit_rows(arguments.quick)
    for rows in (thread_rows, prediction_rows, memory_rows, other_rows, scaling_rows):
        yield ""
        yield from rows(arguments.quick)


if __name__ == "__main__":
    run(table, __doc__, options={"--memory": {"help": argparse.SUPPRESS}})
