"""Half of the organizations hold noise (the paper's figure 5).

    python benchmarks/noise_organizations.py [--splits 4] [--output FILE]

Four organizations share the columns; four more hold as many columns of noise. The gain is
what the loss on test rows falls from the label holder alone; the share kept is that with
the noise organizations over that of optimal weights without them. Regression sets show the
mean squared error over the variance of y, classification sets log loss.
"""

import argparse
import warnings

import numpy as np
from _datasets import DATA_SETS
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier, GALRegressor, make_organizations

REGRESSION = ("diabetes", "friedman1")
NAMES = ("diabetes", "friedman1", "breast cancer", "wine")
WEIGHTS = ("optimal", "nonnegative", "uniform")
LEARNERS = {"default": None, "Ridge": make_pipeline(StandardScaler(), Ridge())}


def measure(name, learner, split):
    """Losses of the label holder alone, without noise, and with noise by weights."""
    X, y = DATA_SETS[name]()
    X, y = X[:4000], y[:4000]
    rng = np.random.default_rng(split)
    X = np.hstack([X, rng.normal(size=X.shape)])
    n_columns = X.shape[1] // 2
    regression = name in REGRESSION
    X, X_test, y, y_test = train_test_split(
        X, y, train_size=0.8, random_state=split, stratify=None if regression else y
    )
    held = make_organizations(X[:, :n_columns], 4, LEARNERS[learner], random_state=split)
    noise = [
        (f"noise_{m}", estimator, [column + n_columns for column in columns])
        for m, (_, estimator, columns) in enumerate(held)
    ]
    gal = GALRegressor if regression else GALClassifier

    def loss(organizations, weights="optimal"):
        model = gal(organizations, weights=weights, max_iter=50, random_state=split)
        model.fit(X, y)
        share = model.weights_[:, 4:].sum(axis=1).mean() if model.n_iter_ else 0.0
        if regression:
            return np.mean((y_test - model.predict(X_test)) ** 2) / np.var(y_test), share
        return log_loss(y_test, model.predict_proba(X_test)), share

    return [
        loss(held[:1])[0],
        *(
            number
            for weights in WEIGHTS
            for number in (loss(held, weights)[0], *loss([*held, *noise], weights))
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    lines = [
        f"Mean over {arguments.splits} splits, 50 rounds; (weight) of the noise.",
        "",
        f"{'':25}{'':>8}" + "".join(f"{f'{w} weights':^37}" for w in WEIGHTS),
        f"{'':25}{'alone':>8}"
        + len(WEIGHTS) * f"{'no noise':>10}{'noise (weight)':>17}{'kept':>8}  ",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in NAMES:
            for learner in LEARNERS:
                results = [measure(name, learner, s) for s in range(arguments.splits)]
                alone, *rest = np.mean(results, axis=0)
                line = f"{name + ', ' + learner:25}{alone:>8.4f}"
                for clean, noisy, share in np.reshape(rest, (len(WEIGHTS), 3)):
                    kept = (alone - noisy) / (alone - rest[0])
                    line += (
                        f"{clean:>10.4f}{f'{noisy:.4f} ({share:.2f})':>17}{kept:>8.0%}  "
                    )
                lines.append(line.rstrip())
                print(line, flush=True)
    if arguments.output:
        with open(arguments.output, "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
