"""
How are the estimators of the organizations tuned?
==================================================

The estimators of the organizations are parameters of the model. A whole estimator is
``<name>``, and a parameter of it is ``<name>__<parameter>``. So every search of
scikit-learn can choose them. Here the model of a winery, a laboratory and a sommelier
learns to tell three wines apart.
"""

# %%
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALClassifier

X, y = load_wine(return_X_y=True, as_frame=True)


def scaled(regressor):
    return make_pipeline(StandardScaler(), regressor)


model = GALClassifier(
    [
        ("winery", scaled(Ridge()), ["alcohol", "malic_acid", "ash"]),
        ("laboratory", scaled(Ridge()), slice("alcalinity_of_ash", "proanthocyanins")),
        ("sommelier", scaled(Ridge()), ["color_intensity", "hue"]),
    ],
    max_iter=10,
    cv=2,
    random_state=0,
)
model

# %%
# The search tries three penalties for the ridge regression of the winery, and three
# learners for the laboratory.

grid = {
    "winery__ridge__alpha": [1, 30, 1000],
    "laboratory": [
        scaled(Ridge()),
        scaled(SVR()),
        scaled(KNeighborsRegressor(15)),
    ],
}
folds = StratifiedKFold(3, shuffle=True, random_state=0)
search = GridSearchCV(model, grid, cv=folds, scoring="neg_log_loss").fit(X, y)
print(f"best log loss {-search.best_score_:.3f}")
for name, value in search.best_params_.items():
    print(f"  {name} = {value}")

# %%
# The picture has a line for each learner of the laboratory:

results = pd.DataFrame(search.cv_results_)
results["learner"] = [type(p[-1]).__name__ for p in results["param_laboratory"]]
_, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for learner, line in results.groupby("learner"):
    alphas = line["param_winery__ridge__alpha"].astype(float)
    ax.plot(alphas, -line["mean_test_score"], marker="o", label=learner)
ax.set_xscale("log")
ax.set_xlabel("ridge penalty of the winery")
ax.set_ylabel("log loss (three folds)")
ax.legend(title="laboratory's learner", frameon=False)
plt.show()

# %%
# What the laboratory fits matters much more than the penalty of the winery.
#
# Organizations on separate hosts cannot be tuned like this, because none of them can try
# the estimators of all of them. There each organization tunes its estimator on its own
# columns.
