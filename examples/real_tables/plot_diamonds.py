"""
What is a diamond worth?
========================

A jeweller knows the weight and the price of the diamonds that it has sold. A workshop has
cut them and knows their measures. A laboratory has graded their color and clarity. How much
better does the jeweller predict a price with the help of the other two?
"""

# %%
# The table has 53,940 diamonds. It is part of the package ``plotnine``. We fit to three
# quarters of them, and predict the others. The model predicts the logarithm of the price,
# because errors in percent matter here.

import matplotlib.pyplot as plt
import numpy as np
from lightgbm import LGBMRegressor
from plotnine.data import diamonds
from sklearn.model_selection import train_test_split

from sklearn_gal import GALRegressor

columns = {
    "jeweller": ["carat"],
    "workshop": ["cut", "x", "y", "z", "depth", "table"],
    "laboratory": ["color", "clarity"],
}
X = diamonds[[name for held in columns.values() for name in held]]
price = diamonds["price"].to_numpy(float)
X_train, X_test, price_train, price_test = train_test_split(X, price, random_state=0)
X_train.head()

# %%
# No organization names an estimator, so all of them use the default: small trees of
# LightGBM, which accept the categories of the table.

model = GALRegressor([(name, None, held) for name, held in columns.items()], random_state=0)
model.fit(X_train, np.log(price_train))

# %%
# For comparison we fit LightGBM with its default settings to the jeweller's column, and to
# all columns in one place. The picture shows 3,000 of the test diamonds.

predicted = {"jeweller alone": None, "assisted": np.exp(model.predict(X_test))}
references = {"jeweller alone": columns["jeweller"], "all columns in one place": list(X)}
for label, held in references.items():
    lightgbm = LGBMRegressor(verbosity=-1, random_state=0)
    lightgbm.fit(X_train[held], np.log(price_train))
    predicted[label] = np.exp(lightgbm.predict(X_test[held]))

_, axes = plt.subplots(
    1, 3, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained"
)
for ax, (label, each) in zip(axes, predicted.items(), strict=True):
    error = np.median(np.abs(each / price_test - 1))
    color = "C0" if label == "assisted" else "0.45"
    ax.loglog(each[:3000], price_test[:3000], ".", markersize=2, alpha=0.5, color=color)
    ax.axline((1000, 1000), (10_000, 10_000), color="0.2", linewidth=0.8)
    ax.set_title(f"{label}\nmedian error {error:.1%}")
    ax.set_xlabel("predicted price in dollars")
    ax.set_xticks([1000, 10_000], ["1,000", "10,000"])
    ax.set_yticks([1000, 10_000], ["1,000", "10,000"])
    ax.set_aspect("equal")
axes[0].set_ylabel("price in dollars")
plt.show()

# %%
# Stones of the same weight have very different prices. With assistance the error is about a
# quarter of what it was, and no larger than that of a model of all columns in one place,
# although the jeweller has not seen a single grade.
#
# How much color and clarity matter depends on the weight. The model can represent this,
# because it has products of functions of two organizations. Without them, it is a sum of
# functions of each organization:

additive = model.set_params(interactions=False).fit(X_train, np.log(price_train))
error = np.median(np.abs(np.exp(additive.predict(X_test)) / price_test - 1))
print(f"median error without products: {error:.1%}")
