"""How much accuracy the privacy of the broadcast residual costs.

    python benchmarks/privacy_accuracy.py [--splits 3] [--quick] [--output FILE]

Four organizations with a random cut of the columns and the default local estimator. Log
loss (lower is better) and, in brackets, accuracy in %. For diabetes, the absolute error. At
most the first 4,000 rows of a data set are used.

The first table is of at most ten rounds. With the two folds of ``cv="auto"``, epsilon is
per row and round, so that up to ten times as much is spent. The second table spends an
epsilon of at most 30 in total, in few rounds or in many, with two learning rates.
"""

import numpy as np
from _harness import Problem, run

from sklearn_gal.privacy import IntervalMechanism, LaplaceMechanism

NAMES = ("breast cancer", "wine", "diabetes", "adult-like")
TOTAL = 30
ROUNDS = (3, 10, 30)
LEARNING_RATES = (0.3, 1.0)
MODELS = {
    "alone": "alone",
    **{f"Laplace, epsilon {e:g}": LaplaceMechanism(e) for e in (0.1, 0.3, 1, 3, 10, 100)},
    **{f"interval, {n} thresholds": IntervalMechanism(n) for n in (1, 10, 100)},
    "no noise": None,
}


def measure(name, split, privacy, max_iter=10, learning_rate=0.3):
    """Loss and accuracy on test rows."""
    problem = Problem(name, split, n_rows=4000)
    organizations = problem.organizations()
    if privacy == "alone":
        organizations, privacy = organizations[:1], None
    settings = {"max_iter": max_iter, "learning_rate": learning_rate, "privacy": privacy}
    if problem.regression:
        settings["loss"] = "absolute_error"
    model = problem.gal(organizations, **settings).fit(*problem.train)
    if problem.regression:
        return problem.score(model, "absolute error"), np.nan
    return problem.score(model), 100 * problem.score(model, "accuracy")


def row(label, arguments, *settings):
    """A line of the table: one model of all data sets."""
    cells = ""
    for name in arguments.problems:
        results = [measure(name, split, *settings) for split in range(arguments.splits)]
        loss, accuracy = np.mean(results, axis=0)
        cell = f"{loss:.2f}" if np.isnan(accuracy) else f"{loss:.3f} ({accuracy:.1f})"
        cells += f"{cell:>17}"
    return f"{label:25}{cells}"


def table(arguments):
    header = "".join(f"{name:>17}" for name in arguments.problems)
    yield f"{'10 rounds':25}{header}"
    for label, privacy in MODELS.items():
        yield row(label, arguments, privacy)
    yield ""
    yield f"{f'epsilon {TOTAL} in all':25}{header}"
    for rate in LEARNING_RATES:
        for rounds in ROUNDS:
            label, privacy = (
                f"{rounds} rounds, rate {rate:g}",
                LaplaceMechanism(TOTAL / rounds),
            )
            yield row(label, arguments, privacy, rounds, rate)


if __name__ == "__main__":
    run(table, __doc__, splits=3, problems=NAMES, quick=["wine", "diabetes"])
