"""
Each organization chooses a learner, and the label holder an objective
======================================================================

The organizations fit whatever they like to the pseudo-residual, with whatever local
objective; the label holder alone chooses the overarching loss. Here a medical practice and
a laboratory predict the progression of diabetes.
"""

# %%
# Different learners
# ------------------
# Every pair of learners, scored on the same splits. The practice holds age, sex, body mass
# index and blood pressure, the laboratory six blood values.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALRegressor
from sklearn_gal.losses import QuantileLoss

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
practice, laboratory = ["age", "sex", "bmi", "bp"], ["s1", "s2", "s3", "s4", "s5", "s6"]


def scaled(regressor):
    return make_pipeline(StandardScaler(), regressor)


learners = {
    "ridge": scaled(Ridge()),
    "SVR": scaled(SVR(C=10)),
    "kernel ridge": scaled(KernelRidge(alpha=10, kernel="rbf", gamma=0.05)),
    "LightGBM": None,  # the default: ten small trees per round
}
folds = KFold(3, shuffle=True, random_state=0)
scores = np.empty((len(learners), len(learners)))
for i, first in enumerate(learners.values()):
    for j, second in enumerate(learners.values()):
        model = GALRegressor(
            [("practice", first, practice), ("laboratory", second, laboratory)],
            max_iter=10,
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
ax.set_title("No need to agree on a learner", loc="left")
plt.show()

# %%
# All of them work with each other, and with 442 patients not much depends on the choice:
# mind the scale.

# %%
# Different overarching losses
# ----------------------------
# The label holder can ask for something else than the mean without the others noticing:
# two quantiles give an interval for each patient. The organizations fit the same way as
# before.

X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
organizations = [
    ("practice", scaled(Ridge()), practice),
    ("laboratory", scaled(SVR(C=10)), laboratory),
]
predictions = {}
for quantile in (0.1, 0.5, 0.9):
    model = GALRegressor(organizations, loss=QuantileLoss(quantile), random_state=0)
    predictions[quantile] = model.fit(X_train, y_train).predict(X_test)

order = np.argsort(predictions[0.5])
low, median, high = (predictions[quantile][order] for quantile in (0.1, 0.5, 0.9))
actual = y_test.to_numpy()[order]
inside = ((actual >= low) & (actual <= high)).mean()

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
patients = np.arange(len(order))
ax.fill_between(patients, low, high, alpha=0.3, label="10 % to 90 % quantile")
ax.plot(patients, median, label="median")
ax.plot(patients, actual, ".", color="k", label="actual progression")
ax.set_xlabel("patients of the test set, by predicted median")
ax.set_ylabel("progression of diabetes")
ax.legend(frameon=False)
ax.set_title(f"{inside:.0%} of the patients lie in the interval for 80 %", loc="left")
plt.show()
