"""Privacy of the broadcast residual against accuracy.

    python benchmarks/privacy_accuracy.py [--splits 3] [--output FILE]

Four organizations, columns cut at random, the default local estimator; epsilon is per row
and round, so that over ten rounds ten times as much is spent. Log loss (lower is better)
and, in brackets, accuracy in %; for diabetes the absolute error. Of the adult-like set,
4,000 rows.
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
ROUNDS = (10, 50)
WAYS = {
    "alone": "alone",
    **{f"Laplace, epsilon {e:g}": LaplaceMechanism(e) for e in (0.1, 0.3, 1, 3, 10, 100)},
    **{f"interval, {n} thresholds": IntervalMechanism(n) for n in (1, 10, 100)},
    "no noise": None,
}


def measure(name, way, max_iter, split):
    """Loss and accuracy on test rows."""
    X, y = DATA_SETS[name]()
    X, y = X[:4000], y[:4000]
    regression = name == "diabetes"
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=0.8, random_state=split, stratify=None if regression else y
    )
    organizations = make_organizations(X, 4, random_state=split)
    settings = {"max_iter": max_iter, "random_state": split, "privacy": WAYS[way]}
    if way == "alone":
        organizations, settings["privacy"] = organizations[:1], None
    if regression:
        model = GALRegressor(organizations, loss="absolute_error", **settings).fit(X, y)
        return mean_absolute_error(y_test, model.predict(X_test)), np.nan
    model = GALClassifier(organizations, **settings).fit(X, y)
    return log_loss(y_test, model.predict_proba(X_test)), 100 * model.score(X_test, y_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    lines = [f"Mean over {arguments.splits} splits."]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for max_iter in ROUNDS:
            title = f"{max_iter} rounds"
            lines += ["", f"{title:25}" + "".join(f"{name:>17}" for name in NAMES)]
            for way in WAYS:
                line = f"{way:25}"
                for name in NAMES:
                    results = [
                        measure(name, way, max_iter, split)
                        for split in range(arguments.splits)
                    ]
                    loss, accuracy = np.mean(results, axis=0)
                    cell = (
                        f"{loss:.2f}"
                        if np.isnan(accuracy)
                        else f"{loss:.3f} ({accuracy:.1f})"
                    )
                    line += f"{cell:>17}"
                lines.append(line)
                print(line, flush=True)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
