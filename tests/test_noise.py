"""Half of the organizations hold noise (figure 5 of the paper)."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier, make_organizations


@pytest.fixture(scope="module")
def losses(wine):
    return mean_losses(*wine, 2, ["optimal", "nonnegative", "uniform"])


def mean_losses(X_all, y_all, n_splits, kinds, cv=2):
    """Mean test losses alone, without noise, and with as much noise by kinds of weights."""
    ways = {"alone": "optimal", "clean": "optimal"} | {kind: kind for kind in kinds}
    found = {way: [] for way in ways}
    n_columns = X_all.shape[1]
    for split in range(n_splits):
        X, y = X_all, y_all
        noise = np.random.default_rng(split).normal(size=X.shape)
        X, X_test, y, y_test = train_test_split(
            np.hstack([X, noise]), y, random_state=split, stratify=y
        )
        ridge = make_pipeline(StandardScaler(), Ridge())
        known = make_organizations(X[:, :n_columns], 4, ridge, random_state=split)
        noisy = [
            (f"noise_{m}", ridge, [n_columns + j for j in own])
            for m, (*_, own) in enumerate(known)
        ]
        for way, weights in ways.items():
            organizations = {"alone": known[:1], "clean": known}.get(way, known + noisy)
            model = GALClassifier(
                organizations, weights=weights, max_iter=30, cv=cv, random_state=split
            ).fit(X, y)
            found[way].append(log_loss(y_test, model.predict_proba(X_test)))
    return {way: np.mean(each) for way, each in found.items()}


def kept(losses, weights):
    """Share of the gain over the label holder alone that noise leaves."""
    return (losses["alone"] - losses[weights]) / (losses["alone"] - losses["clean"])


@pytest.mark.parametrize("weights", ["optimal", "nonnegative"])
def test_chosen_weights_keep_the_gain(losses, weights):
    assert kept(losses, weights) > 0.95


def test_uniform_weights_lose_it(losses):
    chosen = min(kept(losses, "optimal"), kept(losses, "nonnegative"))
    assert kept(losses, "uniform") < chosen - 0.02


@pytest.mark.slow
def test_noise_does_not_end_the_fit_early(cancer):
    # noise that takes part in the weights lowers what a round gains on other rows, and a
    # few rounds without a gain end the fit
    found = mean_losses(*cancer, 4, ["optimal"], cv="auto")
    assert kept(found, "optimal") > 0.8
