"""Half of the organizations hold noise (figure 5 of the paper).

    python benchmarks/noise_organizations.py [--splits 4] [--quick] [--output FILE]

Four organizations share the columns. Four more hold the same number of columns of noise.
Each model is fitted in 50 rounds, and "(weight)" is the total weight of the noise. The gain
is the decrease of the loss on test rows from that of the label holder alone. "kept" is the
gain with the noise organizations, relative to the gain with optimal weights without them.
The loss is the log loss for classes, and the mean squared error over the variance of y for
regressions.
"""

import numpy as np
from _datasets import DATA_SETS
from _harness import Problem, run
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import make_organizations

NAMES = ("diabetes", "friedman1", "breast cancer", "wine")
WEIGHTS = ("optimal", "nonnegative", "uniform")
LEARNERS = {"default": None, "Ridge": make_pipeline(StandardScaler(), Ridge())}


def measure(name, learner, split):
    """Losses of the label holder alone, without noise, and with noise by weights."""
    X, y = DATA_SETS[name]()
    X, y = X[:4000], y[:4000]
    n_columns = X.shape[1]
    held = make_organizations(X, 4, LEARNERS[learner], random_state=split)
    noise = [
        (f"noise_{m}", estimator, [column + n_columns for column in columns])
        for m, (_, estimator, columns) in enumerate(held)
    ]
    X = np.hstack([X, np.random.default_rng(split).normal(size=X.shape)])
    problem = Problem((X, y), split)

    def loss(organizations, weights="optimal"):
        model = problem.gal(organizations, weights=weights, max_iter=50)
        model.fit(*problem.train)
        share = model.weights_[:, 4:].sum(axis=1).mean() if model.n_iter_ else 0.0
        score = problem.score(model)
        return 1 - score if problem.regression else score, share

    results = [loss(held[:1])[0]]
    for weights in WEIGHTS:
        results += [loss(held, weights)[0], *loss([*held, *noise], weights)]
    return results


def table(arguments):
    yield f"{'':33}" + "".join(f"{f'{w} weights':^37}" for w in WEIGHTS)
    columns = f"{'no noise':>10}{'noise (weight)':>17}{'kept':>8}  "
    yield f"{'':25}{'alone':>8}" + len(WEIGHTS) * columns
    for name in arguments.problems:
        for learner in LEARNERS:
            results = [measure(name, learner, split) for split in range(arguments.splits)]
            alone, *rest = np.mean(results, axis=0)
            line = f"{name + ', ' + learner:25}{alone:>8.4f}"
            for clean, noisy, share in np.reshape(rest, (len(WEIGHTS), 3)):
                kept = (alone - noisy) / (alone - rest[0])
                line += f"{clean:>10.4f}{f'{noisy:.4f} ({share:.2f})':>17}{kept:>8.0%}  "
            yield line


if __name__ == "__main__":
    run(table, __doc__, splits=4, problems=NAMES, quick=["wine"])
