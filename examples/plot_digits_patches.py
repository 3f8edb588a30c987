"""
Handwritten digits in four pieces
=================================

Four organizations hold a quarter of each image, the upper left one also the labels. A
quarter of a digit does not say much; together they can read. The images are the 8 x 8
digits that come with scikit-learn.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from sklearn_gal import GALClassifier

digits = load_digits()
positions = np.arange(64).reshape(8, 8)
patches = {
    "upper left": positions[:4, :4].ravel(),
    "upper right": positions[:4, 4:].ravel(),
    "lower left": positions[4:, :4].ravel(),
    "lower right": positions[4:, 4:].ravel(),
}
X_train, X_test, y_train, y_test = train_test_split(
    digits.data / 16, digits.target, stratify=digits.target, random_state=0
)

_, axes = plt.subplots(1, 5, figsize=(8, 2.2), layout="constrained")
image = X_test[0].reshape(8, 8)
axes[0].imshow(image, cmap="gray_r", vmin=0, vmax=1)
axes[0].set_title("the digit")
for ax, (name, patch) in zip(axes[1:], patches.items(), strict=True):
    piece = np.full(64, np.nan)
    piece[patch] = X_test[0, patch]
    ax.imshow(piece.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set_facecolor("0.9")
    ax.set_title(name)
for ax in axes:
    ax.set_xticks([])
    ax.set_yticks([])
plt.show()

# %%
# Each one fits a kernel ridge regression to the pseudo-residuals of all ten classes at
# once. More organizations join from left to right:

learner = KernelRidge(alpha=1.0, kernel="rbf", gamma=0.3)
accuracy, models = {}, []
for count in range(1, 5):
    organizations = [(name, learner, patches[name]) for name in list(patches)[:count]]
    model = GALClassifier(organizations, max_iter=10, random_state=0)
    models.append(model.fit(X_train, y_train))
    label = "alone" if count == 1 else f"+ {list(patches)[count - 1]}"
    accuracy[label] = model.score(X_test, y_test)
joint = GALClassifier([("all", learner, slice(None))], max_iter=10, random_state=0)
accuracy["all pixels\nin one place"] = joint.fit(X_train, y_train).score(X_test, y_test)

_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
bars = ax.bar(list(accuracy), list(accuracy.values()), color=["C0"] * 4 + ["0.6"])
ax.bar_label(bars, fmt="{:.3f}")
ax.set_ylabel("accuracy on test images")
ax.set_ylim(0, 1.1)
ax.set_title("Accuracy as organizations join", loc="left")
plt.show()

# %%
# Who speaks for which digit
# --------------------------
# The contributions to each class, averaged over the images of that class: where a quarter
# has the strokes that tell the digit, its organization says most.

model = models[-1]
contributions = model.contributions(X_test)
table = np.array(
    [contributions[y_test == digit, :, digit].mean(axis=0) for digit in model.classes_]
)
_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
image = ax.imshow(table.T, cmap="Blues", vmin=0)
ax.set_xticks(range(10))
ax.set_yticks(range(4), list(patches))
ax.set_xlabel("digit")
ax.figure.colorbar(image, label="mean contribution")
ax.set_title("Contribution to the raw prediction of the right digit", loc="left")
plt.show()

# %%
# One network instead of one per round
# ------------------------------------
# A fit of T rounds keeps T models per organization. With ``share_models=True`` each keeps
# one, a network here, that has a head for every round (deep model sharing).

network = MLPRegressor(
    hidden_layer_sizes=32, max_iter=30, batch_size=100, learning_rate_init=0.01
)
organizations = [(name, network, patch) for name, patch in patches.items()]
for share in (False, True):
    model = GALClassifier(
        organizations, share_models=share, max_iter=5, cv=None, random_state=0
    )
    with warnings.catch_warnings():  # thirty epochs a round are few, and meant to be
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X_train, y_train)
    score = model.score(X_test, y_test)
    label = "one network each" if share else "a network each per round"
    print(f"{label:25} accuracy {score:.3f} after {model.n_iter_} rounds")

# %%
# A fifth of the networks to keep, for two points of accuracy.
