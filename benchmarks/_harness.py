"""What the benchmarks share: the command line, the written table and a split problem."""

import argparse
import time
import warnings
from pathlib import Path

from _datasets import DATA_SETS
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import metrics
from sklearn.model_selection import train_test_split

import sklearn_gal
from sklearn_gal import GALClassifier, GALRegressor, make_organizations

METRICS = {
    "R2": lambda model, X, y: metrics.r2_score(y, model.predict(X)),
    "absolute error": lambda model, X, y: metrics.mean_absolute_error(y, model.predict(X)),
    "squared error": lambda model, X, y: metrics.mean_squared_error(y, model.predict(X)),
    "gamma deviance": lambda model, X, y: metrics.mean_gamma_deviance(y, model.predict(X)),
    "accuracy": lambda model, X, y: metrics.accuracy_score(y, model.predict(X)),
    "log loss": lambda model, X, y: metrics.log_loss(y, model.predict_proba(X)),
    "AUC": lambda model, X, y: metrics.roc_auc_score(y, model.predict_proba(X)[:, 1]),
}


def run(table, doc, *, splits=None, problems=(), quick=(), options=None):
    """Print the lines of a table and, with ``--output``, write them below the docstring.

    Parameters
    ----------
    table : callable
        Takes the parsed command line and yields lines.
    doc : str
        The docstring of the script.
    splits : int, default=None
        Number of splits unless ``--splits`` or ``--quick`` says otherwise. None if the
        script has no splits.
    problems, quick : iterables of str, default=()
        What ``--problems`` selects from, and the selection of ``--quick`` if it is not all.
    options : dict of dicts, default=None
        Keyword arguments of `add_argument` for each option of this script only.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="run a smoke test")
    parser.add_argument("--output", type=Path, help="write the table to this file as well")
    if splits is not None:
        parser.add_argument("--splits", type=int, help=f"default {splits}, 1 if quick")
    if problems:
        parser.add_argument("--problems", **some_of(problems))
    for option, settings in (options or {}).items():
        parser.add_argument(option, **settings)
    arguments = parser.parse_args()
    lines = []
    if splits is not None:
        arguments.splits = arguments.splits or (1 if arguments.quick else splits)
        lines = [f"Mean over {arguments.splits} splits.", ""]
    if problems and not arguments.problems:
        arguments.problems = list((arguments.quick and quick) or problems)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for line in table(arguments):
            lines.append(line.rstrip())
            print(lines[-1], flush=True)
    if arguments.output:
        arguments.output.write_text("\n".join([doc.strip(), "", *lines]) + "\n")


def some_of(names):
    """Keyword arguments of `add_argument` for an option that selects from names."""
    names = list(names)
    listed = ", ".join(map(repr, names))
    return {"nargs": "+", "choices": names, "metavar": "NAME", "help": listed}


def default_learner(**changes):
    """The default local estimator in one thread, with changes."""
    return sklearn_gal.default_learner(n_jobs=1, **changes)


def seconds(function, repeats=1, clock=time.process_time):
    """The shortest time of a few calls."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


class Problem:
    """One split of a data set, with the models and the metric that suit its target.

    Parameters
    ----------
    data : str or tuple (X, y)
        A name in `DATA_SETS` or the data. A target of floats is a regression.
    split : int
        Seed of the split, of the cut into organizations and of the models.
    n_rows : int, default=None
        Use only the first rows.
    train_size : float or int, default=0.8
        Share or number of training rows. All others are test rows.
    stratify : bool, default=True
        Whether training and test rows have the same share of each class.
    """

    def __init__(self, data, split, *, n_rows=None, train_size=0.8, stratify=True):
        X, y = DATA_SETS[data]() if isinstance(data, str) else data
        X, y = X[:n_rows], y[:n_rows]
        self.split = split
        self.regression = y.dtype.kind == "f"
        self.metric = "R2" if self.regression else "log loss"
        X, X_test, y, y_test = train_test_split(
            X,
            y,
            train_size=train_size,
            random_state=split,
            stratify=y if stratify and not self.regression else None,
        )
        self.train, self.test = (X, y), (X_test, y_test)

    def organizations(self, n_organizations=4, estimator=None):
        """The columns, cut at random."""
        X, _ = self.train
        return make_organizations(X, n_organizations, estimator, random_state=self.split)

    def gal(self, organizations, **settings):
        """The estimator of this package, with its defaults unless the settings differ."""
        estimator = GALRegressor if self.regression else GALClassifier
        return estimator(organizations, **{"random_state": self.split} | settings)

    def joint(self, **settings):
        """LightGBM, for all columns in one place."""
        estimator = LGBMRegressor if self.regression else LGBMClassifier
        return estimator(n_jobs=1, verbosity=-1, **settings)

    def score(self, model, metric=None, X=None):
        """A score on the test rows, or on `X` in place of their columns."""
        X_test, y_test = self.test
        return METRICS[metric or self.metric](model, X_test if X is None else X, y_test)
