"""
How much better does it get as organizations join?
==================================================

Four organizations hold a quarter of each image of a handwritten digit. The one with the
upper left quarter also knows the digits. A quarter does not tell much. How many
organizations are needed to read the digits?
"""

# %%
# The images are the 8 x 8 digits that come with scikit-learn. Each organization fits a
# kernel ridge regression to the residuals of all ten classes at once. They join one after
# the other.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import train_test_split

from sklearn_gal import GALClassifier

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.data / 16,
    digits.target,
    stratify=digits.target,
    test_size=0.5,
    random_state=0,
)
pixels = np.arange(64).reshape(8, 8)
quarters = {
    "upper left": pixels[:4, :4].ravel(),
    "upper right": pixels[:4, 4:].ravel(),
    "lower left": pixels[4:, :4].ravel(),
    "lower right": pixels[4:, 4:].ravel(),
}
learner = KernelRidge(alpha=1.0, kernel="rbf", gamma=0.3)
organizations = [(name, learner, quarter) for name, quarter in quarters.items()]


def accuracy(organizations):
    model = GALClassifier(organizations, max_iter=5, random_state=0)
    return model.fit(X_train, y_train).score(X_test, y_test)


accuracies = [accuracy(organizations[:count]) for count in range(1, 5)]
joint = accuracy([("all", learner, slice(None))])

# %%
# The upper row shows which part of an image the organizations know together.

_, axes = plt.subplot_mosaic(
    [["0", "1", "2", "3"], ["bars"] * 4],
    figsize=(7, 4.5),
    height_ratios=[1, 1.6],
    layout="constrained",
)
known = np.full(64, np.nan)
for count, (name, quarter) in enumerate(quarters.items()):
    known[quarter] = X_test[0, quarter]
    ax = axes[str(count)]
    ax.imshow(known.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set_facecolor("#cfe2f3")
    ax.set(xticks=[], yticks=[])
    ax.set_title(name if count == 0 else f"+ {name}")
ax = axes["bars"]
bars = ax.bar(range(4), accuracies, 0.6)
ax.bar_label(bars, fmt="{:.0%}", label_type="center", color="w")
ax.axhline(joint, color="0.4", linestyle="--", label="all pixels in one place")
ax.set(xticks=range(4), xticklabels=["1", "2", "3", "4"], ylim=(0, 1.25))
ax.set(xlabel="organizations", ylabel="accuracy on test images")
ax.legend(frameon=False, loc="upper left")
plt.show()

# %%
# Each organization that joins helps, and all four read nearly as well as a model that has
# all pixels in one place.

print(f"four organizations {accuracies[-1]:.3f}, all pixels in one place {joint:.3f}")
