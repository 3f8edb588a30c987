"""Intervals of what organizations are worth: how often they hold what they should.

    python benchmarks/organization_values.py [--quick] [--splits N] [--problems NAME ...]
        [--output FILE]

A population with four organizations is drawn again for each split: the label holder, a
partner, a twin with the columns of the partner, and a dummy with noise. 400 rows are
known. In the lines "fitted", the model is fitted to 320 of them, and its Shapley values are
computed on 80. In the lines "refit", the 400 rows are divided by cross-validation instead.

fitted, jackknife    the values without each of ten parts of the rows
fitted, parts        t interval over the values of five parts
fitted, halves       standard deviation of the values of 20 random halves
refit, 5 folds       corrected resampled t interval over five folds
refit, 2 x 5 folds   the same over ten folds

"dummy" is how often the interval of the dummy contains 0. "model" is how often an interval
contains the value of the same fitted model on 5,000 other rows, and "expected" how often it
contains the mean of these values over all draws, both over the four organizations. "twins"
is how often the partner and its twin differ by less than half the width of the narrower of
their intervals. "width" is the mean width of the intervals. Rates are in percent, and all
intervals are to hold 95 %.
"""

import numpy as np
from _harness import run
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, RepeatedKFold

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._intervals import corrected_error, half_widths, jackknife_error
from sklearn_gal._method.coalitions import Coalitions, coalition_predictions

PROBLEMS = {"regression, R2": GALRegressor, "two classes, log loss": GALClassifier}
N_ROWS, N_TRAIN, N_OTHERS = 400, 320, 5_000
SETTINGS = {"missing_rows": "abstain", "interactions": False, "cv": 3, "max_iter": 8}
COLUMNS = {"holder": [0, 1], "partner": [2, 3], "twin": [2, 3], "dummy": [4, 5]}
DUMMY, TWINS = 3, [1, 2]
COALITIONS = Coalitions(len(COLUMNS), 2, None)


def draw(rng, n_samples, is_regression):
    """Rows of the population."""
    X = rng.normal(size=(n_samples, 6))
    f = X[:, 0] + 0.5 * X[:, 1] + X[:, 2] - 0.5 * X[:, 3] + 0.5 * X[:, 0] * X[:, 2]
    if is_regression:
        return X, f + 1.5 * rng.normal(size=n_samples)
    return X, (f + rng.logistic(size=n_samples) > 0).astype(int)


class Game:
    """Raw predictions of rows by all coalitions, to be scored on some of the rows."""

    def __init__(self, model, X, y):
        self.raw = coalition_predictions(model._model, X, COALITIONS.members)[..., 0]
        self.y = y
        self.is_regression = isinstance(model, GALRegressor)

    def values(self, rows=slice(None)):
        """Shapley values of R2, or of the negative log loss."""
        y, raw = self.y[rows], self.raw[:, rows]
        if self.is_regression:
            scores = 1 - np.mean((y - raw) ** 2, axis=1) / np.var(y)
        else:
            scores = -np.logaddexp(0, np.where(y == 1, -raw, raw)).mean(axis=1)
        return COALITIONS.shapley_values(scores)


def intervals(model, X, y, seed):
    """Intervals by several methods."""
    game = Game(model.fit(X[:N_TRAIN], y[:N_TRAIN]), X[N_TRAIN:], y[N_TRAIN:])
    rows, values = np.zeros(N_ROWS - N_TRAIN), game.values()
    splits = KFold(10, shuffle=True, random_state=seed).split(rows)
    without = np.array([game.values(kept) for kept, _ in splits])
    found = {"fitted, jackknife": around(values, jackknife_error(without), 10)}
    splits = KFold(5, shuffle=True, random_state=seed).split(rows)
    parts = np.array([game.values(part) for _, part in splits])
    found["fitted, parts"] = around(parts.mean(axis=0), corrected_error(parts, 0.0), 5)
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(len(rows))[: len(rows) // 2] for _ in range(20)]
    halves = np.array([game.values(half) for half in halves])
    found["fitted, halves"] = around(values, halves.std(axis=0, ddof=1), 20)
    refits = []
    for train, test in RepeatedKFold(n_splits=5, n_repeats=2, random_state=seed).split(X):
        refits.append(Game(model.fit(X[train], y[train]), X[test], y[test]).values())
    for label, n_splits in (("refit, 5 folds", 5), ("refit, 2 x 5 folds", 10)):
        of_splits = np.array(refits[:n_splits])
        error = corrected_error(of_splits, 1 / 4)
        found[label] = around(of_splits.mean(axis=0), error, n_splits)
    return found


def around(values, error, n_values):
    """Intervals around values."""
    half_width = half_widths(error, n_values)
    return np.stack([values - half_width, values + half_width], axis=-1)


def contain(intervals, values):
    """How often intervals contain values, in percent."""
    low, high = intervals[..., 0], intervals[..., 1]
    return 100 * np.mean((low <= values) & (values <= high))


def table(arguments):
    """Lines of the table."""
    for problem in arguments.problems:
        estimator = PROBLEMS[problem]
        is_regression = estimator is GALRegressor
        of_models, found = [], {}
        for split in range(arguments.splits):
            rng = np.random.default_rng(split)
            X, y = draw(rng, N_ROWS, is_regression)
            held = [(name, Ridge(), columns) for name, columns in COLUMNS.items()]
            model = estimator(held, random_state=split, **SETTINGS)
            for label, each in intervals(model, X, y, split).items():
                found.setdefault(label, []).append(each)
            model.fit(X[:N_TRAIN], y[:N_TRAIN])
            others = draw(rng, N_OTHERS, is_regression)
            of_models.append(Game(model, *others).values())
        yield from lines(problem, np.array(of_models), found)


def lines(problem, of_models, found):
    """Lines of a problem."""
    expected = of_models.mean(axis=0)
    known = zip(COLUMNS, expected, strict=True)
    yield problem + ": " + ", ".join(f"{name} {value:.4f}" for name, value in known)
    yield f"{'':24}{'dummy':>8}{'model':>8}{'expected':>10}{'twins':>8}{'width':>8}"
    for label, each in found.items():
        each = np.array(each)
        width, middle = np.diff(each)[..., 0], each.mean(axis=-1)
        apart = np.abs(middle[:, TWINS[0]] - middle[:, TWINS[1]])
        twins = 100 * np.mean(apart < width[:, TWINS].min(axis=1) / 2)
        is_fitted = label.startswith("fitted")
        of_model = f"{contain(each, of_models):8.0f}" if is_fitted else f"{'':8}"
        yield (
            f"{label:24}{contain(each[:, DUMMY], 0.0):8.0f}{of_model}"
            f"{contain(each, expected):10.0f}{twins:8.0f}{width.mean():8.3f}"
        )
    yield ""


if __name__ == "__main__":
    run(table, __doc__, splits=60, problems=PROBLEMS)
