"""Three organizations, three learners, one model.

A clinic knows which tumours are malignant and holds ten columns about them; a laboratory
and an imaging centre hold ten others each. How good is the clinic alone, how good with
assistance, and how good would one model on all columns in one place be, with the learner
of any of them? Assisted is as good as the best of those, and nobody had to find out which.
"""

import numpy as np
from lightgbm import LGBMRegressor
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALClassifier

data = load_breast_cancer()
X, y = data.data, data.target
columns = {  # positions; with a data frame they could be names
    "clinic": [j for j, name in enumerate(data.feature_names) if name.endswith("error")],
    "laboratory": [
        j for j, name in enumerate(data.feature_names) if name.startswith("mean")
    ],
    "imaging": [j for j, name in enumerate(data.feature_names) if name.startswith("worst")],
}
estimators = {
    "clinic": make_pipeline(StandardScaler(), Ridge()),
    "laboratory": LGBMRegressor(n_estimators=10, num_leaves=4, verbosity=-1),
    "imaging": make_pipeline(StandardScaler(), SVR()),
}
organizations = [(name, estimators[name], columns[name]) for name in columns]

models = {
    "alone": GALClassifier(organizations[:1], random_state=0),
    "assisted": GALClassifier(organizations, random_state=0),
}
for name, estimator in estimators.items():
    everything = [("all", estimator, slice(None))]
    models[f"joint, learner of {name}"] = GALClassifier(everything, random_state=0)

print("Accuracy over five folds:")
folds = StratifiedKFold(5, shuffle=True, random_state=0)
for name, model in models.items():
    scores = cross_val_score(model, X, y, cv=folds)
    print(f"  {name:28}{np.mean(scores):6.3f} +- {np.std(scores):.3f}")

model = models["assisted"].fit(X, y)
print("\nAssistance weights per round:")
print(
    "  round"
    + "".join(f"{name:>12}" for name in model.organization_names_)
    + "        rate"
)
rounds = zip(model.weights_, model.learning_rates_, strict=True)
for number, (weights, rate) in enumerate(rounds, start=1):
    print(
        f"  {number:5}" + "".join(f"{weight:12.3f}" for weight in weights) + f"{rate:12.3f}"
    )
