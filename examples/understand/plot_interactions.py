"""
Can the model learn a product of columns of two organizations?
==============================================================

A model that is a sum over organizations cannot represent a product of columns of two
organizations. So by default, an organization fits the residual in each round, and also the
residual multiplied by a gate, a function of the columns of another organization. What it
fits to this product is multiplied by the same gate.
"""

# %%
# Friedman's first problem is ``10 sin(π x0 x1) + 20 (x2 - 0.5)² + 10 x3 + 5 x4`` plus
# noise. The product is split: the label holder has x0, an assistor has x1.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import InteractionDisplay

X, y = make_friedman1(n_samples=3000, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
organizations = [  # None: the default local estimator
    ("first half", None, [0, 2, 5, 6]),
    ("second half", None, [1]),
    ("third", None, [3, 4, 7, 8, 9]),
]
models = {
    "additive": GALRegressor(organizations, interactions=False, random_state=0),
    "interactions": GALRegressor(organizations, random_state=0),
    "all in one place": GALRegressor([("all", None, slice(None))], random_state=0),
}
scores = {}
for label, model in models.items():
    scores[label] = model.fit(X_train, y_train).score(X_test, y_test)
    print(f"{label:18} R² {scores[label]:.3f}")

# %%
# The picture shows what the models have learned of the product: the prediction over x0 and
# x1, with all other columns at 0.5. The additive model is a sum of a function of x0 and a
# function of x1, and cannot bend the ridge. The model with interactions can.

grid = np.linspace(0.02, 0.98, 40)
first, second = np.meshgrid(grid, grid, indexing="ij")
rows = np.full((first.size, 10), 0.5)
rows[:, 0], rows[:, 1] = first.ravel(), second.ravel()
truth = 10 * np.sin(np.pi * first * second)
surfaces = {"truth": truth}
for label, model in models.items():
    surfaces[label] = model.predict(rows).reshape(first.shape)

_, axes = plt.subplots(
    1, 4, figsize=(10, 3), sharex=True, sharey=True, layout="constrained"
)
for ax, (label, surface) in zip(axes, surfaces.items(), strict=True):
    centred = surface - surface.mean()
    image = ax.pcolormesh(grid, grid, centred.T, vmin=-6, vmax=6, cmap="RdBu_r")
    ax.set_title(label)
    ax.set_xlabel("x0 (label holder)")
axes[0].set_ylabel("x1 (second half)")
axes[0].figure.colorbar(image, ax=axes, label="prediction, centred")
plt.show()

# %%
# What has each organization explained? A cell of the diagonal is the share of an
# organization alone in the decrease of the training loss, and a cell below it the share of
# the products of two organizations. The label holder and the organization that has the
# other half of the product share a part of it. Products of other pairs can have a share as
# well, because a product of two functions can fit a part of what one of them explains
# alone.

InteractionDisplay.from_estimator(models["interactions"])
plt.show()
