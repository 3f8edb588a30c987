"""
What is each partner worth?
===========================

Four partners offer their columns to a registry. One of them has only noise, and one has a
copy of what another has. Which partnerships are worth their cost? The Shapley values divide
the whole gain among the organizations. What is lost if a single organization leaves tells
another story.
"""

# %%
# The registry knows age and sex of diabetes patients and how their illness went on. The
# *twin* has the same blood values as the laboratory, with another measurement error. The
# *noise* organization has nothing but random numbers. With ``missing_rows="abstain"``,
# every combination of organizations has separate weights, so that the model can be scored
# as if any of them were absent.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import (
    AssistanceDisplay,
    OrganizationValuesDisplay,
    assistance_report,
)

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
    missing_rows="abstain",
    max_iter=20,
    random_state=0,
)
folds = KFold(5, shuffle=True, random_state=0)
values = model.organization_values(X, y, cv=folds, random_state=0)
OrganizationValuesDisplay.from_values(values)
plt.show()

# %%
# The bars add up to the R² of the model with all organizations, minus that of the baseline.
# The practice is worth most. The laboratory and its twin are worth about the same, and the
# noise is worth nothing: its interval contains 0.
#
# The diamonds show what is lost if only this organization leaves. The laboratory and its
# twin are each dispensable, because the other one stays. This says nothing about both of
# them leaving. The scores of all coalitions are known, so no other fit is necessary to find
# out what the two are worth together:

without_both = values.scores["registry", "practice", "noise"]
with_all = values.scores[tuple(values.names)]
print(f"R² lost without laboratory and twin: {with_all - without_both:.3f}")
print(f"R² lost without the laboratory:      {values.leave_one_out[2]:.3f}")
print(f"R² lost without the twin:            {values.leave_one_out[3]:.3f}")

# %%
# Is assistance worth it at all? The report compares the assisted model with the registry
# alone and with a model that has all columns in one place.

report = assistance_report(model.set_params(missing_rows="error"), X, y, cv=folds)
report

# %%
# The first gain is the R² of the assisted model minus that of the better model of the
# columns of the registry. There are two such models: one with the learner of the registry,
# and one with a strong learner, LightGBM. The effects are close to linear and the patients
# are few, so here the ridge regression is the better one. Age and sex tell little with
# either learner: nearly all of the gain is due to the partners. The second gain is that
# over the better model of all columns in one place. Its interval contains zero, so the data
# do not show that pooled columns would be better than assistance.

# %%
# Assistance weights are no values. The noise gets weight in some rounds:

model.fit(X, y)
AssistanceDisplay.from_estimator(model)
plt.show()

# %%
# In these rounds, it happens to explain something of the residual. A weight is chosen for
# a single round, next to the functions of the other organizations, and says nothing about
# the score on new rows.
