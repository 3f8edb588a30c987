"""
A bank and a shop with categorical columns
==========================================

A bank wants to know who will repay. A shop knows what the same customers buy. Both have
tables with strings, categories and gaps, as tables are; each preprocesses its own columns
in its own pipeline, and the other never sees how.

No data set that comes with scikit-learn has such columns, so the customers are made up.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_gal import GALClassifier
from sklearn_gal.inspection import ContributionDisplay, assistance_report

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
# to LightGBM, which takes pandas categoricals as they are. A data frame stays a data frame
# all the way to the organizations' own estimators.

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
# The bank's pipeline cannot read the shop's columns, so for the comparison with all columns
# in one place we pass a pipeline that can.

together = make_pipeline(
    make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income", "basket"]),
        (OneHotEncoder(handle_unknown="ignore"), ["housing", "favourite"]),
    ),
    Ridge(),
)
joint = GALClassifier([("all", together, slice(None))], random_state=0)
report = assistance_report(model, customers, repaid, joint=joint, scoring="roc_auc")
report

# %%
# The shop's two columns tell more about repaying than the bank's own. Assisted, the bank is
# about as good as with one table that holds all columns, and no such table is necessary.
# The strong learner of the report, LightGBM, is weaker than the pipelines here, because the
# effects are simple. So the first two lines compare with the pipelines.

# %%
# The contributions show how much each of them moves the log odds that a customer repays.

X_train, X_test, y_train, y_test = train_test_split(customers, repaid, random_state=0)
model.fit(X_train, y_train)
ContributionDisplay.from_estimator(model, X_test, target="repaid")
plt.show()
