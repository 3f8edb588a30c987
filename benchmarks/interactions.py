"""Interactions between organizations: how much of the gap to joint training is closed.

    python benchmarks/interactions.py [--splits 8] [--quick] [--output FILE]
        [--problems NAME ...]

The additive model ("plain") is a sum over organizations and cannot represent a product of
columns of two organizations. With ``interactions=True`` ("interactions"), an organization
fits, in each round, the residual and also the residual multiplied by a gate, a function of
another organization's columns. Both use the default learner. Joint is LightGBM on all
columns in one place, 100 trees of 31 leaves. The share closed is (interactions - plain) /
(joint - plain), followed by its standard error over splits in brackets. There are 3,000
training rows unless the case says otherwise, 3,750 of the checkerboard, 7,500 of the
classes and 15,000 of adult-like. Rounds are those of "interactions". The time is the
processor time of its fit per round, relative to that of "plain", where this takes at
least ten steps.

What limits the accuracy: a chain is fitted to the rows outside its fold. More folds are
fits of more rows, and take more time. XOR is the hardest case: neither column alone
predicts anything, and the right gate has to be drawn first.

What limits the speed: a round has a fit per chain for the residual, and another one for
each gate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from _datasets import make_adult_like
from _harness import Problem, run, seconds
from sklearn.datasets import make_classification, make_friedman1


def friedman(n, seed):
    """Friedman-1; two organizations hold the two columns of sin(pi x0 x1)."""
    X, y = make_friedman1(n, n_features=10, noise=1.0, random_state=seed)
    return X, y, [[0, 2, 3, 4], [1], [5, 6, 7, 8, 9]]


def friedman_mixed(n, seed):
    """Friedman-1; the organization of x1 also holds x3 and others."""
    X, y, _ = friedman(n, seed)
    return X, y, [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


def products(n, seed):
    """Three products of positive columns of two organizations."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 6))
    y = (X[:, :3] * X[:, 3:]).sum(axis=1) + 0.1 * rng.normal(size=n)
    return X, y, [[0, 1, 2], [3, 4, 5]]


def xor(n, seed):
    """The sign of a product of centred columns: no column alone predicts anything."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 4))
    return X, (X[:, 0] * X[:, 2] > 0).astype(int), [[0, 1], [2, 3]]


def xor_of_assistors(n, seed):
    """XOR of two assistors; the label holder has two columns of noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 6))
    return X, (X[:, 2] * X[:, 4] > 0).astype(int), [[0, 1], [2, 3], [4, 5]]


def checkerboard(n, seed):
    """A board of 4 x 4 fields; each organization knows one coordinate."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 4, size=(n, 4))
    y = (np.floor(X[:, 0]) + np.floor(X[:, 2])) % 2
    return X, y.astype(int), [[0, 1], [2, 3]]


def at_random(X, y, seed):
    """A random cut of the columns into four organizations."""
    order = np.random.default_rng(seed).permutation(X.shape[1])
    return X, y, np.array_split(order, 4)


def multiclass(n, seed, n_classes=5):
    """Classes of two clusters each, twenty columns in four organizations."""
    informative = {"n_informative": 12, "n_redundant": 4, "n_classes": n_classes}
    X, y = make_classification(n, 20, **informative, shuffle=False, random_state=seed)
    return at_random(X, y, seed)


def adult_like(n, seed):
    """Nearly additive."""
    return at_random(*make_adult_like(n, seed), seed)


@dataclass
class Case:
    """A line of the table.

    Parameters
    ----------
    make : callable
        Takes the number of rows and a seed. Returns X, y and the columns of each
        organization.
    metric : str
        A name in `METRICS`.
    n_train : int, default=3000
        Number of training rows. There are a third as many test rows, at least 1,000.
    """

    make: Callable
    metric: str
    n_train: int = 3000


CASES = {
    "Friedman-1, x1 alone": Case(friedman, "R2"),
    "x1 alone, 500 rows": Case(friedman, "R2", 500),
    "x1 alone, 20,000 rows": Case(friedman, "R2", 20_000),
    "Friedman-1, x1 mixed": Case(friedman_mixed, "R2"),
    "products": Case(products, "R2"),
    "XOR": Case(xor, "accuracy"),
    "XOR, 500 rows": Case(xor, "accuracy", 500),
    "XOR, 20,000 rows": Case(xor, "accuracy", 20_000),
    "XOR of two assistors": Case(xor_of_assistors, "accuracy"),
    "4 x 4 checkerboard": Case(checkerboard, "accuracy", 3750),
    "5 classes": Case(multiclass, "accuracy", 7500),
    "6 classes": Case(partial(multiclass, n_classes=6), "accuracy", 7500),
    "adult-like": Case(adult_like, "AUC", 15_000),
}


def measure(name, split, quick):
    """Scores of joint, plain and interactions, rounds of the last two, relative time."""
    case = CASES[name]
    n_train = case.n_train // 4 if quick else case.n_train
    X, y, parts = case.make(n_train + max(n_train // 3, 1000), split)
    problem = Problem((X, y), split, train_size=n_train, stratify=False)
    held = [(f"organization {m}", None, part) for m, part in enumerate(parts)]
    joint = problem.joint().fit(*problem.train)
    scores, rounds, times = [problem.score(joint, case.metric)], [], []
    for interactions in (False, True):
        model = problem.gal(held, max_iter=20 if quick else 100, interactions=interactions)
        spent = seconds(partial(model.fit, *problem.train))
        scores.append(problem.score(model, case.metric))
        rounds.append(model.n_iter_)
        times.append(spent / max(model.n_iter_, 1))
    return [*scores, *rounds, times[1] / times[0]]


def share_closed(joint, plain, assisted):
    """Share of the gap that is closed, with its standard error over splits."""
    gap = (joint - plain).mean()
    if gap <= 0.005:
        return "-"
    closed = (assisted - plain) / gap
    error = closed.std(ddof=min(1, len(closed) - 1)) / np.sqrt(len(closed))
    return f"{closed.mean():.0%}({error:.0%})"


def table(arguments):
    yield (
        f"{'case':24}{'score':>10}{'joint':>10}{'plain':>10}{'interactions':>14}"
        f"{'closed':>12}{'rounds':>8}{'time':>8}"
    )
    for name in arguments.problems:
        runs = np.array(
            [measure(name, split, arguments.quick) for split in range(arguments.splits)]
        )
        joint, plain, interactions, steps, rounds, time = runs.mean(axis=0)
        shown = f"{time:.2f}" if steps >= 10 else "-"
        yield (
            f"{name:24}{CASES[name].metric:>10}{joint:10.4f}{plain:10.4f}"
            f"{interactions:14.4f}{share_closed(*runs.T[:3]):>12}{rounds:8.0f}{shown:>8}"
        )


if __name__ == "__main__":
    run(table, __doc__, splits=8, problems=CASES)
