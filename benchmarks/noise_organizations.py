"""Half of the organizations hold noise (figure 5 of the paper), or return garbage.

    python benchmarks/noise_organizations.py [--splits 4] [--quick] [--output FILE]
        [--problems NAME ...]

First table: four organizations share the columns. Four more hold the same number of columns
of noise. Each model is fitted in at most 50 rounds, and "(weight)" is the total weight of
the noise. The gain is the decrease of the loss on test rows from that of the label holder
alone. "kept" is the gain with the noise organizations, relative to the gain with optimal
weights without them. The loss is the log loss for classes, and the mean squared error over
the variance of y for regressions.

Second table: two honest organizations share the columns, and two more return garbage. It is
Gaussian with the given standard deviation and ignores the target, or comes from an
estimator that is fitted to as many columns of noise as the honest organizations have. "same
rows" means that a row always has the same value, "same sets of rows" that all values are
the same if the same set of rows is predicted, and "fresh" that each fit has new values. The
table shows the loss on test rows with the honest organizations alone, with the garbage, and
the difference with its standard error over splits in brackets. Honest organizations have
the default local estimator, and all models have optimal weights.
"""

import joblib
import numpy as np
from _datasets import DATA_SETS
from _harness import Problem, default_learner, run
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal import make_organizations

NAMES = ("diabetes", "friedman1", "breast cancer", "wine")
WEIGHTS = ("optimal", "nonnegative", "uniform")
LEARNERS = {"default": None, "Ridge": make_pipeline(StandardScaler(), Ridge())}


class Garbage(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Gaussian values whatever the target is.

    Parameters
    ----------
    same : {"rows", "sets", None}, default=None
        Whether a row always has the same value, whether all values are the same if the
        same set of rows is predicted, or whether each fit has new values.
    scale : float, default=1
        Standard deviation.
    random_state : int, default=None
        Seed of new values.
    """

    def __init__(self, same=None, scale=1, random_state=None):
        self.same = same
        self.scale = scale
        self.random_state = random_state

    def fit(self, X, y):
        self.shape_ = y.shape[1:]
        return self

    def predict(self, X):
        shape = (len(X), *self.shape_)
        if self.same == "rows":  # the columns are Gaussian noise
            return self.scale * X[:, : np.prod(self.shape_, dtype=int)].reshape(shape)
        seed = int(joblib.hash(X), 16) if self.same == "sets" else self.random_state
        return self.scale * np.random.default_rng(seed).normal(size=shape)


KINDS = {"rows": "same rows", "sets": "same sets of rows", None: "fresh"}
GARBAGE = {
    f"{name}, {scale:g}": Garbage(same, scale)
    for same, name in KINDS.items()
    for scale in (0.2, 1.0, 30.0)
}
GARBAGE |= {
    "full tree": DecisionTreeRegressor(),
    "1-nearest neighbour": KNeighborsRegressor(1),
    "Ridge": Ridge(),
    "deep boosting": default_learner(n_estimators=30, num_leaves=63, min_child_samples=1),
}


def with_noise(name, split, n_organizations, estimator=None):
    """A problem with as many columns of noise, the organizations, and columns of noise."""
    X, y = DATA_SETS[name]()
    X, y = X[:4000], y[:4000]
    held = make_organizations(X, n_organizations, estimator, random_state=split)
    noise = [[column + X.shape[1] for column in columns] for _, _, columns in held]
    X = np.hstack([X, np.random.default_rng(split).normal(size=X.shape)])
    return Problem((X, y), split), held, noise


def loss_and_weight(problem, organizations, n_honest, weights="optimal"):
    """Loss on test rows, and the total weight of the organizations that are not honest."""
    model = problem.gal(organizations, weights=weights, max_iter=50)
    model.fit(*problem.train)
    weight = model.weights_[:, n_honest:].sum(axis=1).mean() if model.n_iter_ else 0.0
    score = problem.score(model)
    return 1 - score if problem.regression else score, weight


def measure_noise(name, learner, split):
    """Losses of the label holder alone, without noise, and with noise by weights."""
    problem, held, noise = with_noise(name, split, 4, LEARNERS[learner])
    noise = [(f"noise_{m}", LEARNERS[learner], each) for m, each in enumerate(noise)]
    results = [loss_and_weight(problem, held[:1], 1)[0]]
    for weights in WEIGHTS:
        results.append(loss_and_weight(problem, held, 4, weights)[0])
        results += loss_and_weight(problem, [*held, *noise], 4, weights)
    return results


def measure_garbage(name, split):
    """Loss of two honest organizations, and losses with two more by kind of garbage."""
    problem, held, noise = with_noise(name, split, 2)
    losses = [loss_and_weight(problem, held, 2)[0]]
    for estimator in GARBAGE.values():
        garbage = [(f"garbage_{m}", estimator, each) for m, each in enumerate(noise)]
        losses.append(loss_and_weight(problem, [*held, *garbage], 2)[0])
    return losses


def noise_lines(problems, n_splits):
    """As many organizations of noise as of data."""
    yield f"{'':33}" + "".join(f"{f'{w} weights':^37}" for w in WEIGHTS)
    columns = f"{'no noise':>10}{'noise (weight)':>17}{'kept':>8}  "
    yield f"{'':25}{'alone':>8}" + len(WEIGHTS) * columns
    for name in problems:
        for learner in LEARNERS:
            results = [measure_noise(name, learner, split) for split in range(n_splits)]
            alone, *rest = np.mean(results, axis=0)
            line = f"{name + ', ' + learner:25}{alone:>8.4f}"
            for clean, noisy, share in np.reshape(rest, (len(WEIGHTS), 3)):
                kept = (alone - noisy) / (alone - rest[0])
                line += f"{clean:>10.4f}{f'{noisy:.4f} ({share:.2f})':>17}{kept:>8.0%}  "
            yield line


def garbage_lines(problems, n_splits):
    """Two organizations that return garbage."""
    yield f"{'':17}{'garbage':23}{'honest alone':>14}{'with garbage':>14}{'difference':>18}"
    for name in problems:
        losses = np.array([measure_garbage(name, split) for split in range(n_splits)])
        honest, *garbage = losses.T
        for kind, each in zip(GARBAGE, garbage, strict=True):
            added = each - honest
            error = added.std(ddof=min(1, n_splits - 1)) / np.sqrt(n_splits)
            yield (
                f"{name:17}{kind:23}{honest.mean():14.4f}{each.mean():14.4f}"
                f"{f'{added.mean():+.4f}({error:.4f})':>18}"
            )


def table(arguments):
    yield from noise_lines(arguments.problems, arguments.splits)
    yield ""
    yield from garbage_lines(arguments.problems, arguments.splits)


if __name__ == "__main__":
    run(table, __doc__, splits=4, problems=NAMES, quick=["wine"])
