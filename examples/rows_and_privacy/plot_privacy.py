"""
What does it cost to protect the labels?
========================================

The pseudo-residual that assistors receive says much about the labels. A mechanism of
:mod:`sklearn_gal.privacy` perturbs it before it is sent. The label holder keeps the exact
residual for its own fit, its weights and its rate. How much accuracy does this cost?
"""

# %%
# What an assistor receives
# -------------------------
# For two classes the residual of the log loss lies between -1 and 1, and its sign is the
# label. In the first round it has only two values; after Laplace noise, the two overlap.

# sphinx_gallery_thumbnail_number = 2

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier
from sklearn_gal.losses import LogLoss
from sklearn_gal.privacy import LaplaceMechanism

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
ridge = make_pipeline(StandardScaler(), Ridge())
organizations = [
    ("clinic", ridge, [name for name in X if name.endswith("error")]),
    ("laboratory", ridge, [name for name in X if name.startswith("mean")]),
    ("imaging", ridge, [name for name in X if name.startswith("worst")]),
]

target = y.to_numpy(dtype=float)[:, None]
loss = LogLoss()
baseline = np.tile(loss.baseline(target), (len(target), 1))
residual = loss.pseudo_residual(target, baseline)
_, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
axes[0].set_ylabel("patients")
for ax, epsilon in zip(axes, (np.inf, 4.0, 1.0), strict=True):
    received = residual
    if np.isfinite(epsilon):
        mechanism = LaplaceMechanism(epsilon, bounds=(-1, 1))
        received = mechanism(residual, np.random.RandomState(0))
    bins = np.linspace(-4, 4, 41)
    for label, name in enumerate(("malignant", "benign")):
        ax.hist(received[y == label], bins, alpha=0.6, label=name)
    ax.set_title("exact" if np.isinf(epsilon) else f"ε = {epsilon:g}", loc="left")
    ax.set_xlabel("received residual")
axes[0].legend(frameon=False)
plt.show()

# %%
# What it costs
# -------------
# We fit at most ten rounds, with budgets per round from 0.1 to 50. The weights are chosen
# with the exact residual. An organization that received too much noise gets no weight, so
# that even with the smallest budget the clinic is no worse off than alone.

folds = StratifiedKFold(5, shuffle=True, random_state=0)


def accuracies(organizations, privacy=None):
    model = GALClassifier(organizations, privacy=privacy, max_iter=10, random_state=0)
    return cross_val_score(model, X, y, cv=folds)


epsilons = [0.1, 0.5, 2, 10, 50]
scores = np.array([accuracies(organizations, LaplaceMechanism(e)) for e in epsilons])
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.errorbar(
    epsilons,
    scores.mean(axis=1),
    yerr=scores.std(axis=1),
    marker="o",
    capsize=3,
    label="assisted, Laplace noise",
)
exact = accuracies(organizations).mean()
alone = accuracies(organizations[:1]).mean()
ax.axhline(exact, color="C2", linestyle="--", label="assisted, exact residuals")
ax.axhline(alone, color="C1", linestyle=":", label="clinic alone")
ax.set_xscale("log")
ax.set_xlabel("budget ε of a round")
ax.set_ylabel("accuracy (mean and deviation over splits)")
ax.legend(frameon=False, loc="center right")
ax.set_title("Less noise, more assistance", loc="left")
plt.show()

# %%
# What was spent
# --------------
# Budgets add up over the rounds, and a fitted model reports the sum. With two folds, the
# default with privacy, the residual of a row is sent once in a round. A budget of 10 in
# each of ten rounds is 100 in total, which guarantees very little. A total budget around 1,
# which is a real guarantee, is at the left end of this picture. The user guide says what is
# protected and what is not.

spent = []
for epsilon in (0.1, 1, 10):
    model = GALClassifier(
        organizations,
        privacy=LaplaceMechanism(epsilon),
        max_iter=10,
        random_state=0,
    )
    spent.append(model.fit(X, y).privacy_spent_)
pd.DataFrame(spent).set_index("epsilon_per_round")
