"""
What if organizations know only some of the rows?
=================================================

Of the patients of a clinic only some have been to the laboratory, and only some to the
imaging centre. With ``missing_rows="abstain"`` an organization takes no part in the rows
that it does not have, when fitting and when predicting. All rows are used.
"""

# %%
# Each assistor knows a random half of the patients. In the other rows its columns are
# missing.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
ridge = make_pipeline(StandardScaler(), Ridge())
organizations = [
    ("clinic", ridge, [name for name in X if name.endswith("error")]),
    ("laboratory", ridge, [name for name in X if name.startswith("mean")]),
    ("imaging", ridge, [name for name in X if name.startswith("worst")]),
]


def with_overlap(share, rng):
    """The table in which each assistor has only a share of the rows."""
    table = X.copy()
    for _, _, columns in organizations[1:]:
        table.loc[rng.random(len(X)) >= share, columns] = np.nan
    return table


table = with_overlap(0.5, np.random.default_rng(0))
model = GALClassifier(organizations, missing_rows="abstain", random_state=0)
model.fit(table, y)

# %%
# Every combination of organizations that has rows gets separate weights and rates. The
# means of the weights over the rounds:

weights = pd.DataFrame(
    model.pattern_weights_.mean(axis=0).round(2),
    columns=model.organization_names_,
    index=[
        " + ".join(np.array(model.organization_names_)[members]) or "none"
        for members in model.patterns_
    ],
)
weights

# %%
# What the missing rows cost
# --------------------------
# There are two simpler ways. *Complete cases* is a model of the rows that all organizations
# have; the clinic alone predicts the other rows. *Alone* is the clinic without assistors.
# The picture shows the log loss on the same test rows, which have gaps as well. It is the
# mean over three splits.

settings = {"max_iter": 15, "random_state": 0}
shares = [0.2, 0.4, 0.6, 0.8, 0.95]
losses = {"alone": [], "complete cases": [], "abstain": []}
for share in shares:
    per_split = {name: [] for name in losses}
    for seed in range(3):
        table = with_overlap(share, np.random.default_rng(seed))
        train, test, y_train, y_test = train_test_split(
            table, y, stratify=y, random_state=seed
        )
        alone = GALClassifier(organizations[:1], **settings).fit(train, y_train)
        probability = {"alone": alone.predict_proba(test)}

        complete = train.notna().all(axis=1)
        together = GALClassifier(organizations, **settings)
        together.fit(train[complete], y_train[complete])
        can_ask = test.notna().all(axis=1).to_numpy()
        probability["complete cases"] = probability["alone"].copy()
        if can_ask.any():
            probability["complete cases"][can_ask] = together.predict_proba(test[can_ask])

        abstain = GALClassifier(organizations, missing_rows="abstain", **settings)
        probability["abstain"] = abstain.fit(train, y_train).predict_proba(test)
        for name, each in probability.items():
            per_split[name].append(log_loss(y_test, each))
    for name, each in per_split.items():
        losses[name].append(np.mean(each))

_, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, line in losses.items():
    ax.plot(shares, line, marker="o", label=name)
ax.set_xlabel("share of the rows that each assistor has")
ax.set_ylabel("log loss on test rows")
ax.set_ylim(bottom=0)
ax.legend(frameon=False)
ax.set_title("Abstaining uses every row", loc="left")
plt.show()
