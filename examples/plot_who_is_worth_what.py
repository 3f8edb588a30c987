"""
Who is worth what
=================

Four partners offer their columns. One of them has only noise, and one has a copy of what
another has. Which partnerships are worth their cost? The report shows what all of them add,
compared with the best model without them, and the score that is lost if each of them left.
"""

# %%
# The registry knows age and sex of diabetes patients and how their illness went on. The
# *twin* has the same blood values as the laboratory, with another measurement error. The
# *noise* organization has nothing but random numbers.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import RepeatedKFold, cross_val_score

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import AssistanceDisplay, assistance_report

X, y = load_diabetes(return_X_y=True, as_frame=True)
rng = np.random.default_rng(0)
laboratory = ["s1", "s2", "s3", "s4", "s5", "s6"]
for name in laboratory:
    X[f"twin_{name}"] = X[name] + 0.2 * X[name].std() * rng.normal(size=len(X))
for j in range(6):
    X[f"noise_{j}"] = X["s1"].std() * rng.normal(size=len(X))

ridge = Ridge(alpha=0.1)
model = GALRegressor(
    [
        ("registry", ridge, ["age", "sex"]),
        ("practice", ridge, ["bmi", "bp"]),
        ("laboratory", ridge, laboratory),
        ("twin", ridge, [f"twin_{name}" for name in laboratory]),
        ("noise", ridge, [f"noise_{j}" for j in range(6)]),
    ],
    random_state=0,
)
folds = RepeatedKFold(n_splits=5, n_repeats=2, random_state=0)
report = assistance_report(model, X, y, cv=folds)
report

# %%
# The first two lines say whether assistance is worth it at all. The *gain* is the R² of the
# assisted model minus that of the better model of the registry's columns alone. There are
# two such models: one with the registry's own learner, and one with a strong learner,
# LightGBM. The effects are close to linear and the patients are few, so here the ridge
# regression is the better one. Age and sex tell little with either learner: nearly all of
# the gain is due to the partners. The *gap* compares with the better model of all columns
# in one place. Its interval contains zero, so the data do not show that pooled columns
# would be better than assistance.

# %%
# Drawn: what is lost of R² without each, with its interval.

lost = report.table.loc[[f"without {name}" for name, _, _ in model.organizations]]
lost = lost.sort_values("lost")
_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.errorbar(
    lost["lost"],
    lost.index,
    xerr=[lost["lost"] - lost["lost_low"], lost["lost_high"] - lost["lost"]],
    fmt="o",
    capsize=4,
)
ax.axvline(0, color="0.6", linewidth=0.8)
ax.set_xlabel("R² lost (95 % interval over splits)")
ax.set_title("Is this partner worth it?", loc="left")
plt.show()

# %%
# The practice is indispensable. The laboratory and its twin are each dispensable, because
# the other stays: the loss from one leaving says nothing about both leaving. The noise is
# worth nothing, although it does get weight in some rounds:

model.fit(X, y)
AssistanceDisplay.from_estimator(model)
plt.show()

# %%
# Those are late rounds, where the rate is small and the loss no longer moves. There, no
# organization can lower the loss, but the weights still add up to one. Look at weights
# together with rates, or at what is lost.

# %%
# What would the two together be worth? Fit without both of them and compare.

left = [each for each in model.organizations if each[0] not in ("laboratory", "twin")]
without_both = cross_val_score(GALRegressor(left, random_state=0), X, y, cv=folds)
both = report.scores["Assisted"].mean() - without_both.mean()
print(f"R² lost without laboratory and twin: {both:.3f}")
