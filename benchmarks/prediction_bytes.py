"""Bytes of a prediction with interactions, per row and organization on another host.

    python benchmarks/prediction_bytes.py [--quick] [--output FILE]

Three organizations are services in this process; with four, the label holder has columns
too. "By chain" is what would be received if all chains of all functions that products need
were sent.
"""

from tempfile import mkdtemp

import numpy as np
import pandas as pd
from _harness import run
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from sklearn_gal.federated import (
    FederatedGALClassifier,
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    OrganizationService,
)

SECRET = "drawn at random and shared"


def products(n_rows=2000):
    """A target of products of columns of different organizations."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(n_rows, 12))
    y = np.sin(6 * X[:, 0] * X[:, 4]) + 4 * (X[:, 1] - 0.5) * (X[:, 7] - 0.5)
    return X, y + X[:, 9] * X[:, 3] + rng.normal(scale=0.1, size=n_rows)


CASES = {
    "diabetes, 4": (load_diabetes(return_X_y=True), FederatedGALRegressor, True),
    "breast cancer, 4": (load_breast_cancer(return_X_y=True), FederatedGALClassifier, True),
    "wine, 3": (load_wine(return_X_y=True), FederatedGALClassifier, False),
    "products, 4": (products(), FederatedGALRegressor, True),
    "products, 3": (products(), FederatedGALRegressor, False),
}


def measure(data, kind, has_own, max_iter):
    """Return calls, bytes sent, received and received by chain, per organization."""
    X, y = data
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    parts = [list(each) for each in np.array_split(frame.columns, 3 + has_own)]
    table = frame.assign(id=np.arange(len(X)))
    services = [
        OrganizationService(f"o{i}", table, "id", SECRET, mkdtemp(), columns=part)
        for i, part in enumerate(parts[-3:])
    ]
    federation = Federation(LocalChannel(services), SECRET)
    own = [("own", None, parts[0])] if has_own else None
    rows = table[[*(parts[0] if has_own else []), "id"]]
    settings = {"interactions": True, "max_iter": max_iter, "random_state": 0}
    model = kind(federation, own, key="id", **settings).fit(rows, y)
    n_before = len(model.communication_["call"])
    model.predict(rows)
    calls = pd.DataFrame(model.communication_)[n_before:]
    queries, _ = model._model.terms(0)
    n_functions = sum(len(each.functions) for each in queries[has_own:])
    n_values = 3 + n_functions * model._model.n_chains
    by_chain = 8 * n_values * len(model.baseline_prediction_) / 3
    sums = calls[["bytes_sent", "bytes_received"]].sum() / (3 * len(X))
    return len(calls) / 3, *sums, by_chain


def table(arguments):
    yield f"{'data, organizations':20} calls   sent  received  by chain"
    for name, case in CASES.items():
        n_calls, *sizes = measure(*case, 3 if arguments.quick else None)
        sent, received, by_chain = sizes
        yield f"{name:20} {n_calls:5.0f} {sent:6.0f} {received:9.0f} {by_chain:9.0f}"


if __name__ == "__main__":
    run(table, __doc__)
