"""
Why was this loan rejected?
===========================

A bank decides on loans with the help of a telecom company and the tax office. It rejects an
application, and has to tell the applicant why. The reasons are in columns of three
organizations, and the picture shows what each column contributes.

The applicants are made up, so that we know what the model should find.
"""

# %%
# Each organization knows some columns about the same people. The bank also knows who has
# not repaid an earlier loan.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier
from sklearn_gal.inspection import FeatureContributionDisplay, FeatureImportanceDisplay

rng = np.random.default_rng(0)
n = 4000
table = pd.DataFrame(
    {
        "income": rng.lognormal(7.8, 0.4, n).round(-1),
        "loan": rng.gamma(4, 3000, n).round(-2),
        "years at the bank": rng.integers(0, 25, n),
        "overdrafts": rng.poisson(0.7, n),
        "late bills": rng.poisson(0.7, n),
        "years of contract": rng.gamma(2, 2, n).round(1),
        "tax arrears": np.where(rng.random(n) < 0.2, rng.gamma(2, 1500, n), 0).round(-1),
        "self-employed": rng.random(n) < 0.25,
    }
)
log_odds = (
    -2.5
    - 1.2 * (np.log(table["income"]) - 7.8)
    + (table["loan"] - 12_000) / 10_000
    - 0.05 * (table["years at the bank"] - 12)
    + 0.3 * table["overdrafts"]
    + 0.6 * table["late bills"]
    + table["tax arrears"] / 2500
    + 0.4 * table["self-employed"]
)
defaulted = rng.random(n) < 1 / (1 + np.exp(-log_odds))
outcome = np.where(defaulted, "default", "repaid")
columns = list(table.columns)
organizations = [
    ("bank", None, columns[:4]),
    ("telecom", None, columns[4:6]),
    ("tax office", None, columns[6:]),
]
X_train, X_test, y_train, y_test = train_test_split(table, outcome, random_state=0)
model = GALClassifier(organizations, random_state=0).fit(X_train, y_train)
risk = model.predict_proba(X_test)[:, 0]
print(f"AUC on new applicants: {roc_auc_score(y_test == 'default', risk):.3f}")

# %%
# An applicant
# ------------
#
# The bank's own columns look good: a decent income, a loan of usual size, eleven years
# without an overdraft. The bank rejects applications with a risk above 30 %.

applicant = pd.DataFrame(
    [[2900.0, 12_000.0, 11, 0, 3, 1.5, 3400.0, True]], columns=columns
).astype(table.dtypes)
print(f"risk of the applicant: {model.predict_proba(applicant)[0, 0]:.0%}")

display = FeatureContributionDisplay.from_estimator(
    model, applicant, target="default", prediction_name="risk of a default"
)
plt.show()

# %%
# Read it from the top. Without knowledge of this applicant, the model starts at the first
# diamond. Each band is an organization: the pale bar is what all of its columns contribute
# together, and the bars below are its columns. A bar to the right raises the risk, a bar to
# the left lowers it. The axis shows the risk. The label of a bar is the factor by which it
# multiplies the odds of a default, which are the probability of a default divided by that
# of a repayment.
#
# The bank's columns alone would not have led to a rejection. The reasons are tax arrears
# and late bills.

# %%
# What the clerk says
# -------------------
#
# The display has the numbers of the picture. These are the columns that raised the risk
# most:

order = np.argsort(-display.contributions)
for entry in order[:3]:
    factor = np.exp(display.contributions[entry])
    print(
        f"{display.feature_names[entry]} = {display.feature_values[entry]} "
        f"({display.organization_names[entry]}): odds of a default x {factor:.1f}"
    )

# %%
# "We would like to have lent you the money, and your account with us was no reason against
# it. We had to reject your application mainly for two reasons: you have not paid 3,400
# euros of taxes, and three bills of your telecom company were late."
#
# The applicant asks what would help. A contribution does not answer this, because it
# divides one prediction and compares no two. A second prediction does:

paid = applicant.assign(**{"tax arrears": 0.0})
both = paid.assign(**{"late bills": 0})
for label, changed in {"no arrears": paid, "nor late bills": both}.items():
    print(f"{label}: risk {model.predict_proba(changed)[0, 0]:.0%}")

# %%
# "If you pay your taxes and apply again, the model would calculate a lower risk."
#
# This is what the model would do. Whether the payment would also make a default less likely
# is another question, which a model of past loans cannot answer.

# %%
# All applicants
# --------------
#
# Is this applicant a special case? Each point is an applicant, and the color is the value
# of the column: arrears are rare, but raise the risk by much.

FeatureImportanceDisplay.from_estimator(
    model, X_test, target="default", kind="points", prediction_name="risk of a default"
)
plt.show()
