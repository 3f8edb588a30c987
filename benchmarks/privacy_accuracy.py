"""Privacy of the broadcast residual against accuracy.

    python benchmarks/privacy_accuracy.py [--splits 3] [--output FILE]

Four organizations, columns cut at random, the default local estimator. Log loss (lower is
better) and, in brackets, accuracy in %; for diabetes the absolute error. Of the adult-like
set, 4,000 rows.

First ten rounds, with epsilon per row and round, so that ten times as much is spent. Then
an epsilon of 30 in total, spent in few rounds or in many, with two learning rates.
"""

import argparse
import warnings

import numpy as np
from _datasets import DATA_SETS
from sklearn.metrics import log_loss, mean_absolute_error
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier, GALRegressor, make_organizations
from sklearn_gal.privacy import IntervalMechanism, LaplaceMechanism

NAMES = ("breast cancer", "wine", "diabetes", "adult-like")
TOTAL = 30
ROUNDS = (3, 10, 30)
LEARNING_RATES = (0.3, 1.0)
WAYS = {
    "alone": "alone",
    **{f"Laplace, epsilon {e:g}": LaplaceMechanism(e) for e in (0.1, 0.3, 1, 3, 10, 100)},
    **{f"interval, {n} thresholds": IntervalMechanism(n) for n in (1, 10, 100)},
    "no noise": None,
}


def measure(name, split, privacy, max_iter=10, learning_rate=0.3):
    """Loss and accuracy on test rows."""
    X, y = DATA_SETS[name]()
    X, y = X[:4000], y[:4000]
    regression = name == "diabetes"
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=0.8, random_state=split, stratify=None if regression else y
    )
    organizations = make_organizations(X, 4, random_state=split)
    if privacy == "alone":
        organizations, privacy = organizations[:1], None
    settings = {"max_iter": max_iter, "learning_rate": learning_rate, "privacy": privacy}
    settings["random_state"] = split
    if regression:
        model = GALRegressor(organizations, loss="absolute_error", **settings).fit(X, y)
        return mean_absolute_error(y_test, model.predict(X_test)), np.nan
    model = GALClassifier(organizations, **settings).fit(X, y)
    return log_loss(y_test, model.predict_proba(X_test)), 100 * model.score(X_test, y_test)


def row(label, splits, *arguments):
    """A line of the table: all data sets, fitted in one way."""
    cells = ""
    for name in NAMES:
        results = [measure(name, split, *arguments) for split in range(splits)]
        loss, accuracy = np.mean(results, axis=0)
        cell = f"{loss:.2f}" if np.isnan(accuracy) else f"{loss:.3f} ({accuracy:.1f})"
        cells += f"{cell:>17}"
    print(f"{label:25}{cells}", flush=True)
    return f"{label:25}{cells}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    header = "".join(f"{name:>17}" for name in NAMES)
    lines = [f"Mean over {arguments.splits} splits.", "", f"{'10 rounds':25}{header}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines += [row(way, arguments.splits, privacy) for way, privacy in WAYS.items()]
        lines += ["", f"{f'epsilon {TOTAL} in all':25}{header}"]
        for learning_rate in LEARNING_RATES:
            for rounds in ROUNDS:
                mechanism = LaplaceMechanism(TOTAL / rounds)
                label = f"{rounds} rounds, rate {learning_rate:g}"
                settings = mechanism, rounds, learning_rate
                lines.append(row(label, arguments.splits, *settings))
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
