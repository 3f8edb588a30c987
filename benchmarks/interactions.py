"""Interactions between organizations: how much of the gap to joint training is closed.

    python benchmarks/interactions.py [--splits 8] [--quick] [--output FILE]

Plain GAL is a sum over organizations and cannot see a product of two organizations'
columns. With ``stack_contributions=True`` ("stacked") the label holder's own estimator sees
what the assistors have sent so far, with ``"all"`` everybody sees what the others sent. All
use the same learner; joint is LightGBM on all columns in one place. The share closed is
(stacked - plain) / (joint - plain), in brackets its standard error over splits. Time is the
processor's for a fit of 20 rounds, where that of an in-sample fit of as many rounds with
the same learners is 1.

What limits it: with two folds every model is fitted to half of the rows, and the two models
of a round differ, which blurs what assistors send. Five folds close more, for the time of
five fits of four fifths of the rows. An assistor's fitted values are functions of its
columns that predict the residual: if the interacting column is alone in its organization,
the sum of them tells the column; if it is mixed with others, it has to be unmixed from a
few different sums. XOR is the honest limit: neither column alone predicts anything, so what
the assistor sends is noise that it fitted to the residual. It is still a function of its
columns, from which the label holder's trees recover a part; more if assistors see the label
holder's contributions.

What limits the cost: an in-sample fit bins its columns once for all rounds, and each tree
costs something whatever the number of its rows. Two folds are two fits of half the rows;
the rows held out have to be predicted, and what the assistors sent must be binned anew
every few rounds. Of XOR the times count rounds that are kept: most of its plain rounds lead
nowhere, take as long and are not kept.
"""

import argparse
import time

import numpy as np
from _datasets import make_adult_like
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.datasets import make_classification, make_friedman1
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier, GALRegressor


def friedman(n, seed):
    """Friedman-1; the pair of sin(pi x0 x1) is in two organizations."""
    X, y = make_friedman1(n, n_features=10, noise=1.0, random_state=seed)
    return X, y, [[0, 2, 3, 4], [1], [5, 6, 7, 8, 9]]


def friedman_mixed(n, seed):
    """The same; x1 is mixed with x3 and others."""
    X, y = make_friedman1(n, n_features=10, noise=1.0, random_state=seed)
    return X, y, [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


def products(n, seed):
    """Three products of positive columns of two organizations."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 6))
    return (
        X,
        (X[:, :3] * X[:, 3:]).sum(axis=1) + 0.1 * rng.normal(size=n),
        [[0, 1, 2], [3, 4, 5]],
    )


def xor(n, seed):
    """The sign of a product of centred columns: no column tells anything alone."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 4))
    return X, (X[:, 0] * X[:, 2] > 0).astype(int), [[0, 1], [2, 3]]


def multiclass(n, seed):
    """Five classes of two clusters each, twenty columns in four organizations."""
    X, y = make_classification(
        n,
        20,
        n_informative=12,
        n_redundant=4,
        n_classes=5,
        shuffle=False,
        random_state=seed,
    )
    order = np.random.default_rng(seed).permutation(20)
    return X, y, np.array_split(order, 4)


def adult_like(n, seed):
    """Nearly additive."""
    X, y = make_adult_like(n, seed)
    order = np.random.default_rng(seed).permutation(X.shape[1])
    return X, y, np.array_split(order, 4)


# name -> data, rows, score, folds
CASES = {
    "Friedman-1, x1 alone": (friedman, 4000, "R2", "auto"),
    "x1 alone, five folds": (friedman, 4000, "R2", 5),
    "Friedman-1, x1 mixed": (friedman_mixed, 4000, "R2", "auto"),
    "products": (products, 4000, "R2", "auto"),
    "XOR": (xor, 4000, "accuracy", "auto"),
    "5 classes": (multiclass, 10_000, "accuracy", "auto"),
    "adult-like": (adult_like, 20_000, "AUC", "auto"),
}


# Rounds of the fits whose time is taken
TIMED_ROUNDS = 20


def learner():
    return LGBMRegressor(
        n_estimators=10, learning_rate=0.2, num_leaves=8, min_child_samples=24, verbosity=-1
    )


def models_of(case, parts, split, max_iter):
    """The models to compare, and those whose time is taken."""
    _, _, score, folds = CASES[case]
    regression = score == "R2"
    gal = GALRegressor if regression else GALClassifier
    joint = LGBMRegressor if regression else LGBMClassifier
    held = [(f"organization {m}", learner(), part) for m, part in enumerate(parts)]
    ways = {"plain": False, "stacked": True, "all": "all"}
    scored = {
        "joint": joint(
            n_estimators=200, learning_rate=0.1, num_leaves=15, n_jobs=1, verbosity=-1
        )
    }
    timed = {"in-sample": gal(held, max_iter=TIMED_ROUNDS, cv=None, early_stopping=False)}
    for name, stacks in ways.items():
        settings = {"stack_contributions": stacks, "random_state": split, "cv": folds}
        scored[name] = gal(held, max_iter=max_iter, **settings)
        timed[name] = gal(held, max_iter=TIMED_ROUNDS, early_stopping=False, **settings)
    return scored, timed


def seconds(model, X, y):
    """The shortest processor time of two fits, for each round."""
    times = []
    for _ in range(2):
        start = time.process_time()
        model.fit(X, y)
        times.append(time.process_time() - start)
    return min(times) / max(model.n_iter_, 1)


def measure(case, split, quick):
    """Scores of all ways, rounds of the stacked one, and times of a round."""
    make, n, score, _ = CASES[case]
    X, y, parts = make(n // 4 if quick else n, split)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=split)
    scored, timed = models_of(case, parts, split, 20 if quick else 100)
    scores = []
    for model in scored.values():
        model.fit(X, y)
        if score == "AUC":
            scores.append(roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]))
        else:
            scores.append(model.score(X_test, y_test))
    times = [seconds(model, X, y) for model in timed.values()]
    return [*scores, scored["stacked"].n_iter_, *times]


def share_closed(joint, plain, assisted):
    """Share of the gap that is closed, with its standard error over splits."""
    gap = (joint - plain).mean()
    if gap <= 0.005:
        return "-"
    closed = (assisted - plain) / gap
    error = closed.std(ddof=min(1, len(closed) - 1)) / np.sqrt(len(closed))
    return f"{closed.mean():.0%}({error:.0%})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    lines = [
        f"{'case':24}{'score':>10}{'joint':>9}{'plain':>9}{'stacked':>9}{'all':>9}"
        f"{'closed':>12}{'all':>12}{'rounds':>8}{'time: plain, stacked, all':>28}"
    ]
    print(lines[0], flush=True)
    for case in arguments.cases:
        runs = np.array(
            [measure(case, split, arguments.quick) for split in range(arguments.splits)]
        )
        joint, plain, stacked, everybody, rounds, *times = runs.mean(axis=0)
        closed = [share_closed(*runs[:, [0, 1, way]].T) for way in (2, 3)]
        lines.append(
            f"{case:24}{CASES[case][2]:>10}{joint:9.4f}{plain:9.4f}{stacked:9.4f}"
            f"{everybody:9.4f}{closed[0]:>12}{closed[1]:>12}{rounds:8.0f}"
            + "".join(
                f"{each / times[0]:{width}.2f}"
                for each, width in zip(times[1:], (14, 7, 7), strict=True)
            )
        )
        print(lines[-1], flush=True)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write("\n".join([__doc__.strip(), "", *lines]) + "\n")


if __name__ == "__main__":
    main()
