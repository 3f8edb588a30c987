"""One model per organization instead of one per round ("deep model sharing").

    python benchmarks/sharing.py [--splits 2] [--output FILE]

The digits, cut into patches, of which every organization holds one. Accuracy in % on test
rows, with a model per round and with ``share_models=True``; the number of fitted estimators
behind ``estimators_``, those of folds and of single outputs included. (The tags of the MLP
do not say that it takes several outputs: a model per round means one for each class.)
"""

import argparse
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

from sklearn_gal import GALClassifier

LEARNERS = {
    "MLP": MLPRegressor(
        hidden_layer_sizes=32, max_iter=30, batch_size=100, learning_rate_init=0.01
    ),
    "extra trees": ExtraTreesRegressor(30, min_samples_leaf=2),
    "neighbours": KNeighborsRegressor(10),
}
ROUNDS = (5,)
PATCHES = ((2, 2),)


def patches(n_rows, n_columns):
    """The pixels of an image cut into so many rows and columns of patches."""
    pixels = np.arange(64).reshape(8, 8)
    return [
        patch.ravel()
        for rows in np.split(pixels, n_rows)
        for patch in np.split(rows, n_columns, axis=1)
    ]


def n_models(estimator):
    """Fitted estimators behind one."""
    if hasattr(estimator, "position"):
        return n_models(estimator.estimator)
    if type(estimator).__module__.startswith("sklearn_gal"):
        return sum(n_models(each) for each in estimator.estimators)
    return 1


def measure(learner, held, max_iter, share, split):
    """Accuracy and number of models."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=split, stratify=y)
    organizations = [
        (f"patch_{i}", LEARNERS[learner], patch) for i, patch in enumerate(held)
    ]
    model = GALClassifier(
        organizations, share_models=share, max_iter=max_iter, cv=2, random_state=split
    )
    model.fit(X, y)
    rounds = model.estimators_[-1:] if share else model.estimators_
    models = sum(n_models(each) for local in rounds for each in local)
    return 100 * model.score(X_test, y_test), models


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    lines = [
        f"Mean over {arguments.splits} splits.",
        "",
        f"{'':34}{'a model per round':>18}{'shared':>18}",
        f"{'learner':14}{'patches':>10}{'rounds':>10}"
        + 2 * f"{'accuracy':>10}{'models':>8}"
        + f"{'kept':>8}",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for learner in LEARNERS:
            for held in (patches(*cuts) for cuts in PATCHES):
                for max_iter in ROUNDS:
                    line = f"{learner:14}{len(held):>10}{max_iter:>10}"
                    accuracies = []
                    for share in (False, True):
                        accuracy, models = np.mean(
                            [
                                measure(learner, held, max_iter, share, split)
                                for split in range(arguments.splits)
                            ],
                            axis=0,
                        )
                        accuracies.append(accuracy)
                        line += f"{accuracy:>10.1f}{models:>8.0f}"
                    lines.append(line + f"{accuracies[1] / accuracies[0]:>8.1%}")
                    print(lines[-1], flush=True)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
