"""What do the others add, and which of them? Three organizations, three learners.

A clinic knows which tumours are malignant and holds ten columns about them; a laboratory
and an imaging centre hold ten others each. Prints the accuracy of the clinic alone, with
assistance, and with all columns in one place (with the clinic's learner and with LightGBM),
and what is lost if one of the three leaves; draws both in assistance.png.
"""

from lightgbm import LGBMRegressor
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALClassifier
from sklearn_gal.inspection import AssistanceReportDisplay, assistance_report

X, y = load_breast_cancer(return_X_y=True)
print(f"Breast cancer, {len(y)} patients: which tumours are malignant?\n")
model = GALClassifier(
    organizations=[  # (name, estimator, columns); with a data frame also column names
        ("clinic", make_pipeline(StandardScaler(), Ridge()), slice(10, 20)),
        ("laboratory", LGBMRegressor(n_estimators=10, verbosity=-1), slice(0, 10)),
        ("imaging", make_pipeline(StandardScaler(), SVR()), slice(20, 30)),
    ],
    max_iter=10,  # rounds
    random_state=0,
)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
report = assistance_report(model, X, y, cv=folds)
print(report)

display = AssistanceReportDisplay.from_report(report)
display.figure_.savefig("assistance.png", dpi=150)
print("\nSaved the picture of both as assistance.png.")
