"""Categories: a column of levels as a category, and as numbers.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/categories.py [--splits 8] [--quick] [--output FILE]
        [--problems NAME ...] [--rows N ...] [--levels N ...]

The target is the sum of the effect of a level, of functions of an organization's numbers
and of noise. An organization holds the levels and two columns of numbers, and another one
holds three. The effect of a level is

random     normal, drawn for each level
weak       the same times 0.4
none       0
monotone   linear in the code of the level
few        the same for a tenth of the levels, and 0 for the others

The splits take turns: the levels are equally frequent, or the k-th most frequent has a
share that is proportional to 1 / k; the target is a number, or one of two classes; the
label holder or the other organization holds the levels. Scores are, in %, the share of the
variance or of the log loss that a model with all defaults explains on 4,000 test rows.
"- codes" is the score of the category minus that of the codes of the levels as numbers, and
"- shuffled" the same for codes in random order, both with the standard error over splits.
"""

from itertools import product

import numpy as np
import pandas as pd
from _harness import default_learner, run
from sklearn.metrics import log_loss

from sklearn_gal import GALClassifier, GALRegressor

EFFECTS = ["random", "weak", "none", "monotone", "few"]
ROWS, LEVELS, TEST_ROWS = [150, 400, 1_000, 20_000], [2, 5, 20, 80, 200], 4_000


def effects_of(name, shares, rng):
    """The effect of each level, with a variance of 1 over the rows unless it is weaker."""
    n_levels = len(shares)
    effect = rng.normal(size=n_levels)
    if name == "monotone":
        effect = np.arange(n_levels, dtype=float)
    if name == "few":
        effect = np.zeros(n_levels)
        effect[rng.choice(n_levels, max(1, n_levels // 10), replace=False)] = 1.0
    effect -= shares @ effect
    effect /= np.sqrt(shares @ effect**2)
    return effect * {"weak": 0.4, "none": 0.0}.get(name, 1.0)


def measure(effect, n_rows, n_levels, split):
    """The score of each presentation of the levels."""
    skewed, classes, held_by_other = (split >> bit & 1 for bit in range(3))
    rng = np.random.default_rng([EFFECTS.index(effect), n_rows, n_levels, split])
    shares = 1.0 / np.arange(1, n_levels + 1) if skewed else np.ones(n_levels)
    shares = rng.permutation(shares / shares.sum())
    code = rng.choice(n_levels, n_rows + TEST_ROWS, p=shares)
    numbers = rng.normal(size=(len(code), 5))
    signal = effects_of(effect, shares, rng)[code] + 0.7 * numbers[:, 0]
    signal += 0.7 * np.sin(2 * numbers[:, 2]) + 0.5 * numbers[:, 3]
    if classes:
        y = (rng.random(len(code)) < 1 / (1 + np.exp(-1.2 * signal))).astype(int)
    else:
        y = signal + rng.normal(size=len(code))
    presentations = {
        "category": pd.Categorical(code, categories=range(n_levels)),
        "codes": code.astype(float),
        "shuffled": rng.permutation(n_levels)[code].astype(float),
    }
    scores = {}
    for name, levels in presentations.items():
        X = pd.DataFrame(numbers, columns=["a", "b", "c", "d", "e"])
        X["levels"] = levels
        held = [
            ("levels", default_learner(), ["levels", "a", "b"]),
            ("numbers", default_learner(), ["c", "d", "e"]),
        ]
        gal = GALClassifier if classes else GALRegressor
        model = gal(held[::-1] if held_by_other else held, random_state=split)
        model.fit(X[:n_rows], y[:n_rows])
        scores[name] = 100 * explained(model, X[n_rows:], y[n_rows:], y[:n_rows].mean())
    return scores


def explained(model, X, y, mean):
    """The share of the variance or of the log loss that a model explains."""
    if isinstance(model, GALRegressor):
        return 1 - np.mean((y - model.predict(X)) ** 2) / np.mean((y - mean) ** 2)
    return 1 - log_loss(y, model.predict_proba(X)) / log_loss(y, np.full(len(y), mean))


def compared(scores, other):
    """Mean of the scores of the category minus those of `other`, with standard error."""
    gain = np.array([each["category"] - each[other] for each in scores])
    if len(gain) == 1:
        return f"{gain[0]:+.1f}"
    return f"{gain.mean():+.1f} ({gain.std(ddof=1) / np.sqrt(len(gain)):.1f})"


def table(arguments):
    head = f"{'effect':10}{'rows':>7}{'levels':>8}{'category':>10}"
    yield f"{head}{'- codes':>14}{'- shuffled':>14}"
    rows, levels = (150, [20]) if arguments.quick else (arguments.rows, arguments.levels)
    for cell in product(arguments.problems, np.atleast_1d(rows), levels):
        scores = [measure(*cell, split) for split in range(arguments.splits)]
        effect, n_rows, n_levels = cell
        mean = np.mean([each["category"] for each in scores])
        line = f"{effect:10}{n_rows:>7,}{n_levels:>8}{mean:>10.1f}"
        yield line + "".join(
            f"{compared(scores, other):>14}" for other in ("codes", "shuffled")
        )


if __name__ == "__main__":
    options = {
        "--rows": {"type": int, "nargs": "+", "default": ROWS},
        "--levels": {"type": int, "nargs": "+", "default": LEVELS},
    }
    run(table, __doc__, splits=8, problems=EFFECTS, options=options)
