"""
How often will an insured person see a doctor?
==============================================

An insurer counts how often its customers see a doctor. It knows their plans. A clinic knows
their chronic diseases, and a survey asked them how they feel. What do the clinic and the
survey add, and which of the two matters more?
"""

# %%
# The table is that of the RAND Health Insurance Experiment, part of the package
# ``statsmodels``: 20,190 rows, each about one person in one year.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import d2_tweedie_score, make_scorer
from sklearn.model_selection import GroupKFold
from statsmodels.datasets import randhie

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import AssistanceReportDisplay, assistance_report

table = randhie.load_pandas().data
columns = {
    "insurer": ["lncoins", "idp", "lpi", "fmde"],  # coinsurance, deductible, incentive
    "clinic": ["physlm", "disea"],  # physical limitation, chronic diseases
    "survey": ["hlthg", "hlthf", "hlthp"],  # health is good, fair, poor
}
X = table[[name for held in columns.values() for name in held]]
visits = table["mdvis"].to_numpy(float)
X.head()

# %%
# The same person is in the table for several years, and members of a family have the same
# plan. If a person were in the training set and in the test set, the scores would be too
# good. The table has no names, but rows of a family are next to each other. So we take
# successive rows with the same plan as one group, and keep groups together.

family = (X[columns["insurer"]].diff().abs().sum(axis=1) > 0).cumsum().to_numpy()
print(f"{len(X)} rows, {family.max() + 1} groups")

# %%
# Visits are counts, so the insurer chooses the Poisson loss. The others do not notice: they
# fit residuals as with every other loss. The score is the share of the Poisson deviance
# that a model explains.

model = GALRegressor(
    [(name, None, held) for name, held in columns.items()],
    loss="poisson",
    cv=GroupKFold(3),
    random_state=0,
)
report = assistance_report(
    model,
    X,
    visits,
    groups=family,
    cv=GroupKFold(5, shuffle=True, random_state=0),
    scoring=make_scorer(d2_tweedie_score, power=1),
    params={"groups": family},
)
_, axes = plt.subplots(2, 1, figsize=(6, 5), layout="constrained")
AssistanceReportDisplay.from_report(report, ax=axes)
axes[0].set_xlabel("explained share of the deviance (lines: 95 % intervals)")
axes[1].set_xlabel("lost share of the deviance (lines: 95 % intervals)")
plt.show()

# %%
# None of the models foresees most of the visits. Of the part that the assisted model
# explains, the plan alone explains a fifth. The clinic matters most. The interval of what
# is lost without the survey contains 0, so these data do not show that the survey tells the
# insurer anything that the clinic does not.
#
# What is the model good for? The insurer sorts the persons of a test set by the predicted
# number of visits, and divides them into five groups of the same size. With assistance,
# their mean numbers of visits are further apart, and in the right order.

train, test = next(GroupKFold(5, shuffle=True, random_state=0).split(X, groups=family))
alone = GALRegressor(
    [("insurer", None, columns["insurer"])],
    loss="poisson",
    cv=GroupKFold(3),
    random_state=0,
)
means = {}
for label, each in {"alone": alone, "assisted": model}.items():
    each.fit(X.iloc[train], visits[train], groups=family[train])
    rank = np.argsort(np.argsort(each.predict(X.iloc[test]), kind="stable"))
    fifth = rank * 5 // len(test)
    means[label] = [visits[test][fifth == number].mean() for number in range(5)]
pd.DataFrame(
    means, index=["fewest predicted", "second", "third", "fourth", "most predicted"]
).round(2)
