"""
Hospitals that share patients but no columns
============================================

A clinic knows which tumours are malignant. It holds ten columns about them; a laboratory
and an imaging centre hold ten others each, about the same patients. None of them shows its
columns to the others, and each brings its own kind of model. What do the others add for the
clinic, and which of them?
"""

# %%
# The columns are those of the Wisconsin breast cancer data: ten properties of cell nuclei,
# of each the mean, its standard error, and the mean of the three worst cells.

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
    AssistanceDisplay,
    ContributionDisplay,
    assistance_report,
)

data = load_breast_cancer(as_frame=True)
X = data.data
y = data.target_names[data.target]

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
            LGBMRegressor(n_estimators=10, num_leaves=4, verbosity=-1),
            [name for name in X if name.startswith("mean")],
        ),
        (
            "imaging",
            make_pipeline(StandardScaler(), SVR()),
            [name for name in X if name.startswith("worst")],
        ),
    ],
    random_state=0,
)
model

# %%
# What do the others add?
# -----------------------
# The report compares the clinic alone, assisted, and with all columns in one place, on the
# same cross-validation splits. Alone and with all columns, it fits the clinic's own learner
# and a strong one, LightGBM. The first two lines compare the assisted model with the better
# of the two. The last lines of the table show what is lost if one of the three left. An
# interval that contains zero leaves open whether anything is.

folds = StratifiedKFold(5, shuffle=True, random_state=0)
report = assistance_report(model, X, y, cv=folds)
report

# %%
# Alone, the clinic is far behind, also with a strong learner: of the thirteen points that
# it gains over its ridge regression, LightGBM finds three in the clinic's own columns. With
# assistance the clinic does at least as well as both learners on the columns of all three.
# The imaging centre is the partner to keep: the interval of what is lost without it lies
# furthest above zero. The laboratory adds less, and the clinic's own columns could be left
# out.

# %%
# Who assisted when?
# ------------------
# Per round, the weights on the organizations, the rate of the step, and what became of the
# loss.

X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model.fit(X_train, y_train)
AssistanceDisplay.from_estimator(model)
plt.show()

# %%
# Whose columns speak in the predictions?
# ---------------------------------------
# Each organization's contribution is an exact part of the raw prediction, here the log odds
# of a malignant tumour. Over all patients of the test set:

display = ContributionDisplay.from_estimator(model, X_test, target="malignant")
plt.show()

# %%
# And for a single patient, from the baseline to the prediction:

display.plot(row=3)
plt.show()
