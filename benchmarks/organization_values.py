"""Intervals of what organizations are worth: how often they hold what they should.

    python benchmarks/organization_values.py [--quick] [--splits N] [--problems NAME ...]
        [--output FILE]

A population with four organizations is drawn again for each split: the label holder, a
partner, a twin with the columns of the partner, and a dummy with noise. 400 rows are known,
of which the fitted model has 320 and its score 80. In the lines "refit", the 400 rows are
divided by cross-validation instead. "dummy" is how often the interval of the dummy contains
0. "model" is how often an interval contains the value of the same fitted model on 5,000
other rows, and "expected" how often it contains the mean of these values over all draws,
both over the four organizations. "twins" is how often the partner and its twin differ by
less than half the width of their intervals. "width" is the mean width of the intervals of
the four organizations. All intervals are to hold 95 %.
"""

import numpy as np
from _harness import run
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, RepeatedKFold

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._intervals import half_widths

PROBLEMS = {
    "regression, R2": (GALRegressor, None),
    "two classes, log loss": (GALClassifier, "neg_log_loss"),
}
N_ROWS, N_TRAIN, N_OTHERS = 400, 320, 5_000
SETTINGS = {"missing_rows": "abstain", "interactions": False, "cv": 3, "max_iter": 12}
COLUMNS = {"holder": [0, 1], "partner": [2, 3], "twin": [2, 3], "dummy": [4, 5]}
DUMMY, TWINS = 3, [1, 2]
N_PARTS = 5  # with ten parts, some would have rows of a single class


def draw(rng, n_samples, is_regression):
    """Rows of the population."""
    X = rng.normal(size=(n_samples, 6))
    f = X[:, 0] + 0.5 * X[:, 1] + X[:, 2] - 0.5 * X[:, 3] + 0.5 * X[:, 0] * X[:, 2]
    if is_regression:
        return X, f + 1.5 * rng.normal(size=n_samples)
    return X, (f + rng.logistic(size=n_samples) > 0).astype(int)


def values_on(model, X, y, scoring, rows):
    """Values of a fitted model on some of the rows."""
    return model.organization_values(X[rows], y[rows], scoring=scoring)["shapley_values"]


def intervals(model, X, y, scoring, seed):
    """Intervals by several methods, with the values in their middle."""
    train, test = np.arange(N_TRAIN), np.arange(N_TRAIN, N_ROWS)
    model.fit(X[train], y[train])
    known = {"scoring": scoring, "random_state": seed}
    of_fitted = model.organization_values(X[test], y[test], **known)
    found = {"fitted, jackknife": of_fitted["shapley_intervals"]}
    folds = KFold(N_PARTS, shuffle=True, random_state=seed)
    parts = [test[part] for _, part in folds.split(test)]
    apart = np.array([values_on(model, X, y, scoring, part) for part in parts])
    error = apart.std(axis=0, ddof=1) / np.sqrt(len(parts))
    found["fitted, parts apart"] = around(apart.mean(axis=0), half_widths(error, N_PARTS))
    rng = np.random.default_rng(seed)
    some = [rng.permutation(test)[: len(test) // 2] for _ in range(20)]
    halves = np.array([values_on(model, X, y, scoring, half) for half in some])
    width = half_widths(halves.std(axis=0, ddof=1), 20)
    found["fitted, halves"] = around(of_fitted["shapley_values"], width)
    for label, cv in {
        "refit, 5 folds": KFold(5, shuffle=True, random_state=seed),
        "refit, 2 x 5 folds": RepeatedKFold(n_splits=5, n_repeats=2, random_state=seed),
    }.items():
        refits = model.organization_values(X, y, cv=cv, **known)
        found[label] = refits["shapley_intervals"]
    return found


def around(values, half_width):
    """Intervals around values."""
    return np.stack([values - half_width, values + half_width], axis=-1)


def contain(intervals, values):
    """Whether intervals contain values, in percent."""
    low, high = intervals[..., 0], intervals[..., 1]
    return 100 * np.mean((low <= values) & (values <= high))


def table(arguments):
    """Lines of the table."""
    head = f"{'dummy':>8}{'model':>8}{'expected':>10}{'twins':>8}{'width':>8}"
    for problem in arguments.problems:
        estimator, scoring = PROBLEMS[problem]
        of_models, found = [], {}
        for split in range(arguments.splits):
            rng = np.random.default_rng(split)
            X, y = draw(rng, N_ROWS, estimator is GALRegressor)
            held = [(name, Ridge(), columns) for name, columns in COLUMNS.items()]
            model = estimator(held, random_state=split, **SETTINGS)
            for label, each in intervals(model, X, y, scoring, split).items():
                found.setdefault(label, []).append(each)
            others = draw(rng, N_OTHERS, estimator is GALRegressor)
            of_models.append(values_on(model, *others, scoring, slice(None)))
        of_models = np.array(of_models)
        expected = of_models.mean(axis=0)
        values = "  ".join(
            f"{name} {value:.4f}" for name, value in zip(COLUMNS, expected, strict=True)
        )
        yield f"{problem}: {values}"
        yield f"{'':24}{head}"
        for label, each in found.items():
            each = np.array(each)
            middle, width = each.mean(axis=-1), np.diff(each)[..., 0]
            apart = np.abs(np.diff(middle[:, TWINS], axis=1))
            of_model = contain(each, of_models) if label.startswith("fitted") else np.nan
            rates = contain(each[:, DUMMY], 0.0), of_model, contain(each, expected)
            twins = 100 * np.mean(apart < width[:, TWINS].min(axis=1, keepdims=True) / 2)
            line = f"{label:24}{rates[0]:8.0f}{rates[1]:8.0f}{rates[2]:10.0f}"
            yield line + f"{twins:8.0f}{width.mean():8.3f}"
        yield ""


if __name__ == "__main__":
    run(table, __doc__, splits=100, problems=PROBLEMS)
