"""
What do two partners add to the model of a clinic?
==================================================

A clinic knows which tumours are malignant, and holds ten columns about them. A laboratory
and an imaging centre hold ten other columns each, about the same patients. None of them
shows its columns to the others, and each chooses its own kind of model. What do the
partners add, and which of them adds most?
"""

# %%
# The columns are those of the Wisconsin breast cancer data. They describe ten properties of
# cell nuclei: the mean of each property, its standard error, and the mean of the three
# worst cells.

import matplotlib.pyplot as plt
from lightgbm import LGBMRegressor
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALClassifier
from sklearn_gal.inspection import (
    AssistanceReportDisplay,
    ContributionDisplay,
    assistance_report,
)

X, y = load_breast_cancer(return_X_y=True, as_frame=True)  # 0 is malignant, 1 benign

# %%
# An organization is a name, an estimator and columns, as in
# :class:`~sklearn.compose.ColumnTransformer`. The first one holds the labels.

model = GALClassifier(
    organizations=[
        (
            "clinic",
            make_pipeline(StandardScaler(), Ridge()),
            [name for name in X if name.endswith("error")],
        ),
        (
            "laboratory",
            LGBMRegressor(n_estimators=10, verbosity=-1),
            [name for name in X if name.startswith("mean")],
        ),
        (
            "imaging",
            make_pipeline(StandardScaler(), SVR()),
            [name for name in X if name.startswith("worst")],
        ),
    ],
    max_iter=10,  # rounds
    random_state=0,
)
model

# %%
# What do the partners add?
# -------------------------
# The report fits and scores three models on the same splits: of the clinic alone, with
# assistance, and with all columns in one place. A line is a 95 % interval over the splits.

folds = StratifiedKFold(5, shuffle=True, random_state=0)
report = assistance_report(model, X, y, cv=folds)
_, axes = plt.subplots(2, 1, figsize=(6, 5), layout="constrained")
AssistanceReportDisplay.from_report(report, ax=axes)
plt.show()

# %%
# Alone, the clinic is far behind. With assistance it does at least as well as with all
# columns in one place. The imaging centre is the partner to keep: its interval lies
# furthest above zero. An interval that contains zero leaves open whether anything is lost.
#
# The report as a table has more: alone and with all columns, it fits the learner of the
# clinic and also LightGBM. The picture shows the better of the two.

report

# %%
# What do they say about a patient?
# ---------------------------------
# The prediction is a sum. Each organization contributes an exact part of the raw
# prediction, which is the log odds of a malignant tumour. For this patient, all three speak
# against it:

X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model.fit(X_train, y_train)
ContributionDisplay.from_estimator(model, X_test, target=0, row=3)
plt.show()
