"""
How sure is the model when the imaging centre is offline?
=========================================================

A clinic predicts how long its patients stay, together with a laboratory and an imaging
centre. One night the centre is offline. The model still predicts, because it was fitted
with ``missing_rows="abstain"``, and the width of its intervals says how much less it knows.
"""

# %%
# The stay depends on what each of the three knows. The data are generated.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sklearn_gal import GALRegressor

rng = np.random.default_rng(0)
n_patients = 1_500
X = pd.DataFrame(
    {
        "age": rng.uniform(20, 90, n_patients),
        "pulse": rng.normal(75, 12, n_patients),
        "crp": rng.gamma(2, 20, n_patients),
        "sodium": rng.normal(140, 4, n_patients),
        "lesion": rng.gamma(2, 1.5, n_patients),
        "density": rng.normal(0, 1, n_patients),
    }
)
days = 4 + 0.06 * X["age"] + 0.05 * X["crp"] + 1.2 * X["lesion"] - X["density"]
days += rng.gamma(2, 0.7, n_patients)
organizations = [
    ("clinic", None, ["age", "pulse"]),
    ("laboratory", None, ["crp", "sodium"]),
    ("imaging", None, ["lesion", "density"]),
]
X_train, X_new, days_train, days_new = train_test_split(
    X, days, test_size=500, random_state=0
)
model = GALRegressor(organizations, missing_rows="abstain", random_state=0)
model.fit(X_train, days_train)

# %%
# The columns of an organization that is offline are missing. Each interval is computed from
# the errors of predictions by the organizations that are there, so that it contains nine of
# ten stays in both cases.

offline = X_new.assign(lesion=np.nan, density=np.nan)
intervals = {
    "all organizations": model.predict_interval(X_new, coverage=0.9),
    "imaging centre offline": model.predict_interval(offline, coverage=0.9),
}
pd.DataFrame(
    {
        name: {
            "stays inside": ((low <= days_new) & (days_new <= high)).mean(),
            "mean width in days": (high - low).mean(),
        }
        for name, (low, high) in ((name, ends.T) for name, ends in intervals.items())
    }
).round(2)

# %%
# Twelve patients, in the order of their stays:

shown = np.argsort(days_new.to_numpy())[20::40]
_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, ends), colour, width in zip(
    intervals.items(), ("C0", "C1"), (7, 2.5), strict=True
):
    low, high = ends[shown].T
    ax.vlines(
        range(len(shown)), low, high, colour, linewidth=width, label=name, zorder=-width
    )
ax.plot(days_new.to_numpy()[shown], "k.", markersize=8, label="stay")
ax.set_xticks([])
ax.set_xlabel("patients")
ax.set_ylabel("days in hospital")
ax.set_ylim(5, 30)
ax.legend(frameon=False, loc="upper left")
ax.set_title("Without the imaging centre the model is less sure, and says so", loc="left")
plt.show()
