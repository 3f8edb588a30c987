"""
Can an organization that memorises its rows spoil the model?
============================================================

The method as published chooses the weights and the rate of a round on the rows that the
local models were fitted to. An organization that memorises these rows then seems to help
most. By default, this package chooses them on rows that the local models have not seen.
"""

# %%
# One organization knows something and fits a cautious model. The other holds only noise,
# and fits a decision tree that memorises it.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeRegressor

from sklearn_gal import GALRegressor

X, y = load_diabetes(return_X_y=True)
noise = np.random.default_rng(0).normal(size=(len(X), 5))
X = np.hstack([X, noise])
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
organizations = [
    ("practice", Ridge(alpha=0.1), slice(0, 10)),
    ("memoriser", DecisionTreeRegressor(max_depth=6), slice(10, 15)),
]
settings = {"in-sample (cv=None)": None, "cross-fitted (the default)": "auto"}
models = {
    label: GALRegressor(organizations, cv=cv, max_iter=30, random_state=0)
    for label, cv in settings.items()
}

_, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for color, (label, model) in zip(("C1", "C0"), models.items(), strict=True):
    model.fit(X_train, y_train)
    scores = [r2_score(y_test, staged) for staged in model.staged_predict(X_test)]
    ax.plot(range(1, model.n_iter_ + 1), scores, marker=".", color=color, label=label)
ax.set_xlabel("assistance round")
ax.set_ylabel("R² on test rows")
ax.set_title("Without cross-fitting, the model learns the noise", loc="left")
ax.legend(frameon=False)
plt.show()

# %%
# Without cross-fitting, most of the steps go to the memoriser, and the test score soon
# falls again. With cross-fitting it gets little, and the fit ends when the loss of the
# held-out predictions no longer falls. The numbers show which share of all steps the
# memoriser has: its weights times the rates.

for label, model in models.items():
    steps = model.weights_ * model.learning_rates_[:, None]
    share = steps[:, 1].sum() / steps.sum()
    score = model.score(X_test, y_test)
    print(f"{label:28} {share:4.0%} of the steps, R² {score:.3f}")
