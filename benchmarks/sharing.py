"""One model per organization instead of one per round ("deep model sharing").

    python benchmarks/sharing.py [--splits 2] [--quick] [--output FILE]

The digits are cut into patches, and each organization holds one patch. The table shows the
accuracy in % on test rows with one model per round and with ``share_models=True``, and the
number of fitted estimators in ``estimators_``. Models of chains and of single outputs count
separately. (The tags of the MLP do not say that it supports several outputs, so that one
model per round means one for each class.)
"""

import numpy as np
from _datasets import patches
from _harness import Problem, run
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

LEARNERS = {
    "MLP": MLPRegressor(
        hidden_layer_sizes=32, max_iter=30, batch_size=100, learning_rate_init=0.01
    ),
    "extra trees": ExtraTreesRegressor(30, min_samples_leaf=2),
    "neighbours": KNeighborsRegressor(10),
}
ROUNDS = (5,)
PATCHES = ((2, 2),)


def n_models(estimator):
    """Number of fitted estimators that an entry of `estimators_` consists of."""
    if hasattr(estimator, "position"):
        return n_models(estimator.estimator)
    if type(estimator).__module__.startswith("sklearn_gal"):
        return sum(n_models(each) for each in estimator.estimators)
    return 1


def measure(learner, held, max_iter, share, split):
    """Accuracy and number of models."""
    X, y = load_digits(return_X_y=True)
    problem = Problem((X / 16, y), split, train_size=0.75)
    organizations = [
        (f"patch_{i}", LEARNERS[learner], patch) for i, patch in enumerate(held)
    ]
    model = problem.gal(organizations, share_models=share, max_iter=max_iter, cv=2)
    model.fit(*problem.train)
    rounds = model.estimators_[-1:] if share else model.estimators_
    models = sum(n_models(each) for local in rounds for each in local)
    return 100 * problem.score(model, "accuracy"), models


def table(arguments):
    yield f"{'':34}{'a model per round':>18}{'shared':>18}"
    columns = 2 * f"{'accuracy':>10}{'models':>8}" + f"{'kept':>8}"
    yield f"{'learner':14}{'patches':>10}{'rounds':>10}{columns}"
    for learner in arguments.problems:
        for held in (patches(8, *cuts) for cuts in PATCHES):
            for max_iter in ROUNDS:
                results = [
                    [
                        measure(learner, held, max_iter, share, split)
                        for split in range(arguments.splits)
                    ]
                    for share in (False, True)
                ]
                means = np.mean(results, axis=1)
                cells = "".join(f"{accuracy:>10.1f}{n:>8.0f}" for accuracy, n in means)
                kept = means[1, 0] / means[0, 0]
                yield f"{learner:14}{len(held):>10}{max_iter:>10}{cells}{kept:>8.1%}"


if __name__ == "__main__":
    run(table, __doc__, splits=2, problems=LEARNERS, quick=["neighbours"])
