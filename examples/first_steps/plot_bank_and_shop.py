"""
How does each organization preprocess its own columns?
======================================================

A bank wants to know which customers will repay a loan. A shop knows what the same customers
buy. Both tables have strings, categories and missing values. Each organization preprocesses
its columns in its own pipeline, which the other one does not see.

The customers are made up.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_gal import GALClassifier
from sklearn_gal.inspection import AssistanceReportDisplay, assistance_report

rng = np.random.default_rng(0)
n = 2000
income = rng.lognormal(8, 0.5, n)
housing = rng.choice(["owner", "tenant", "with parents"], n, p=[0.4, 0.5, 0.1])
basket = rng.gamma(2, 30, n)
favourite = rng.choice(["garden", "games", "gambling", "groceries"], n)
log_odds = (
    1.2 * (np.log(income) - 8)
    + pd.Series(housing).map({"owner": 0.8, "tenant": 0, "with parents": -0.5})
    - 0.01 * (basket - 60)
    + pd.Series(favourite).map(
        {"garden": 0.8, "games": 0, "gambling": -1.5, "groceries": 0.5}
    )
)
customers = pd.DataFrame(
    {
        "income": np.where(rng.random(n) < 0.1, np.nan, income),
        "housing": housing,
        "basket": basket,
        "favourite": pd.Categorical(favourite),
    }
)
repaid = np.where(rng.random(n) < 1 / (1 + np.exp(-log_odds)), "repaid", "default")
customers.head()

# %%
# The bank imputes, scales and encodes for a ridge regression. The shop leaves its category
# to LightGBM, which accepts pandas categoricals. Each estimator receives the columns of its
# organization as a data frame.

bank = make_pipeline(
    make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income"]),
        (OneHotEncoder(handle_unknown="ignore"), ["housing"]),
    ),
    Ridge(),
)
shop = LGBMRegressor(n_estimators=10, num_leaves=6, verbosity=-1)
model = GALClassifier(
    [("bank", bank, ["income", "housing"]), ("shop", shop, ["basket", "favourite"])],
    random_state=0,
)
model

# %%
# What does the shop add? The pipeline of the bank reads its own two columns only. So for
# the comparison with all columns in one place, we pass a pipeline that reads all four.

together = make_pipeline(
    make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income", "basket"]),
        (OneHotEncoder(handle_unknown="ignore"), ["housing", "favourite"]),
    ),
    Ridge(),
)
joint = GALClassifier([("all", together, slice(None))], random_state=0)
report = assistance_report(model, customers, repaid, joint=joint, scoring="roc_auc")
_, axes = plt.subplots(2, 1, figsize=(6, 4.5), layout="constrained")
AssistanceReportDisplay.from_report(report, ax=axes)
plt.show()

# %%
# The two columns of the shop tell more about repaying than those of the bank. With
# assistance, the bank is about as good as with one table that holds all columns, and no
# such table is necessary.
