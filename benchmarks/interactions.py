"""Interactions between organizations: how much of the gap to joint training is closed.

    python benchmarks/interactions.py [--splits 8] [--quick] [--output FILE]
        [--problems NAME ...]

The additive model ("plain") is a sum over organizations and cannot represent a product of
columns of two organizations. With ``interactions=True`` ("interactions"), an organization
fits, in about half of the rounds, the residual multiplied by a gate, a function of another
organization's columns. All use the same learner. Joint is LightGBM on all columns in one
place. The share closed is (interactions - plain) / (joint - plain), followed by its
standard error over splits in brackets. Times are processor times of a fit of 20 rounds,
relative to an in-sample fit of the additive model with the same number of rounds and the
same learners.

What limits the accuracy: with two folds, every model is fitted to half of the rows, and the
two models of a round differ. Five folds take the time of five fits of four fifths of the
rows. XOR is the hardest case: neither column alone predicts anything.

What limits the speed: an in-sample fit bins its columns once for all rounds, and part of
the cost of a tree does not depend on the number of rows. Two folds are two fits of half the
rows. The rows that are held out have to be predicted. The times of XOR are per round that
is kept: most of its plain rounds do not lower the loss. They take as long, but are not
kept.
"""

import numpy as np
from _datasets import make_adult_like
from _harness import Problem, run, seconds
from lightgbm import LGBMRegressor
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


def at_random(X, y, seed):
    """A random cut of the columns into four organizations."""
    order = np.random.default_rng(seed).permutation(X.shape[1])
    return X, y, np.array_split(order, 4)


def multiclass(n, seed):
    """Five classes of two clusters each, twenty columns in four organizations."""
    informative = {"n_informative": 12, "n_redundant": 4, "n_classes": 5}
    X, y = make_classification(n, 20, **informative, shuffle=False, random_state=seed)
    return at_random(X, y, seed)


def adult_like(n, seed):
    """Nearly additive."""
    return at_random(*make_adult_like(n, seed), seed)


# Function of n_rows and a seed; n_rows; metric; settings of all models
CASES = {
    "Friedman-1, x1 alone": (friedman, 4000, "R2", {}),
    "x1 alone, five folds": (friedman, 4000, "R2", {"cv": 5}),
    "Friedman-1, x1 mixed": (friedman_mixed, 4000, "R2", {}),
    "products": (products, 4000, "R2", {}),
    "XOR": (xor, 4000, "accuracy", {}),
    "5 classes": (multiclass, 10_000, "accuracy", {}),
    "adult-like": (adult_like, 20_000, "AUC", {}),
}
# Settings of each model. The others close the gap of the first. The table shows the rounds
# of the second.
MODELS = {
    "plain": {"interactions": False},
    "interactions": {"interactions": True},
}
TIMED_ROUNDS = 20
LEARNER = LGBMRegressor(
    n_estimators=10, learning_rate=0.2, num_leaves=8, min_child_samples=24, verbosity=-1
)


def measure(case, split, quick):
    """Scores of joint and of all models, rounds of the second, and times of a round."""
    make, n_rows, metric, settings = CASES[case]
    X, y, parts = make(n_rows // 4 if quick else n_rows, split)
    problem = Problem((X, y), split, train_size=0.75, stratify=False)
    held = [(f"organization {m}", LEARNER, part) for m, part in enumerate(parts)]

    def time_per_round(**changes):
        model = problem.gal(held, max_iter=TIMED_ROUNDS, early_stopping=False, **changes)
        return seconds(lambda: model.fit(*problem.train), 2) / max(model.n_iter_, 1)

    models = [problem.joint(n_estimators=200, learning_rate=0.1, num_leaves=15)]
    for changes in MODELS.values():
        models.append(
            problem.gal(held, max_iter=20 if quick else 100, **settings, **changes)
        )
    scores = [problem.score(model.fit(*problem.train), metric) for model in models]
    times = [time_per_round(cv=None, interactions=False)]
    times += [time_per_round(**settings, **changes) for changes in MODELS.values()]
    return [*scores, models[2].n_iter_, *times]


def share_closed(joint, plain, assisted):
    """Share of the gap that is closed, with its standard error over splits."""
    gap = (joint - plain).mean()
    if gap <= 0.005:
        return "-"
    closed = (assisted - plain) / gap
    error = closed.std(ddof=min(1, len(closed) - 1)) / np.sqrt(len(closed))
    return f"{closed.mean():.0%}({error:.0%})"


def table(arguments):
    n_scores, closing = 1 + len(MODELS), ["closed", *list(MODELS)[2:]]
    times = f"time: {', '.join(MODELS)}"
    yield (
        f"{'case':24}{'score':>10}"
        + "".join(f"{name:>14}" for name in ["joint", *MODELS])
        + "".join(f"{name:>12}" for name in closing)
        + f"{'rounds':>8}{times:>{13 + 7 * len(MODELS)}}"
    )
    for case in arguments.problems:
        runs = np.array(
            [measure(case, split, arguments.quick) for split in range(arguments.splits)]
        )
        means = runs.mean(axis=0)
        rounds, in_sample, *times = means[n_scores:]
        joint, plain, *others = runs.T[:n_scores]
        yield (
            f"{case:24}{CASES[case][2]:>10}"
            + "".join(f"{score:14.4f}" for score in means[:n_scores])
            + "".join(f"{share_closed(joint, plain, other):>12}" for other in others)
            + f"{rounds:8.0f}{'':13}"
            + "".join(f"{each / in_sample:7.2f}" for each in times)
        )


if __name__ == "__main__":
    run(table, __doc__, splits=8, problems=CASES)
