"""
Must the organizations agree on a learner?
==========================================

A medical practice and a laboratory predict the progression of diabetes together. The
practice holds age, sex, body mass index and blood pressure, the laboratory six blood
values. In each round, both fit a learner to the same residual. Does it have to be the same
learner?
"""

# %%
# We fit a model for every pair of four learners, and score all of them on the same splits.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
practice, laboratory = ["age", "sex", "bmi", "bp"], ["s1", "s2", "s3", "s4", "s5", "s6"]


def scaled(regressor):
    return make_pipeline(StandardScaler(), regressor)


learners = {
    "ridge": scaled(Ridge()),
    "SVR": scaled(SVR(C=10)),
    "kernel ridge": scaled(KernelRidge(alpha=10, kernel="rbf", gamma=0.05)),
    "LightGBM": None,  # the default: a tree per round
}
folds = KFold(3, shuffle=True, random_state=0)
scores = np.empty((len(learners), len(learners)))
for i, first in enumerate(learners.values()):
    for j, second in enumerate(learners.values()):
        model = GALRegressor(
            [("practice", first, practice), ("laboratory", second, laboratory)],
            max_iter=5,
            random_state=0,
        )
        scores[i, j] = cross_val_score(model, X, y, cv=folds).mean()

_, ax = plt.subplots(figsize=(6, 5), layout="constrained")
image = ax.imshow(scores, cmap="viridis")
for (i, j), score in np.ndenumerate(scores):
    light = score < (scores.min() + scores.max()) / 2
    ax.text(j, i, f"{score:.3f}", ha="center", va="center", color="w" if light else "k")
ax.set_xticks(range(len(learners)), learners, rotation=30, ha="right")
ax.set_yticks(range(len(learners)), learners)
ax.set_xlabel("learner of the laboratory")
ax.set_ylabel("learner of the practice")
ax.figure.colorbar(image, label="R² (three folds)")
ax.set_title("Every pair of learners works", loc="left")
plt.show()

# %%
# No: every pair works, and the best pair has two different learners. The label holder does
# not even have to know which learners the others use.
