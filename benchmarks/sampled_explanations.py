"""Errors of sampled SHAP values at similar numbers of evaluations, with and without shap.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    python benchmarks/sampled_explanations.py [--quick] [--output FILE]

An SVR and a neural network of 10 and 20 columns are explained as functions, for 20 rows and
100 background rows. "error" is the root mean squared error of the values, divided by the
root mean square of the exact values. For 10 columns, the exact values are those of all
subsets. For 20 columns of an SVR, they are an integral over the product of its kernel, and
for a neural network, the mean over 400 orders and their reverses with all background rows.
"stated" is the root mean square of the standard errors, divided in the same way, and
"within" is the share of values within two of them. "rows" is how many rows the model
predicts to explain one. PermutationExplainer and KernelExplainer of the package shap are
given as many sets of columns as there are in an order and its reverse, and five times as
many. Each figure is a mean over three seeds. Requires shap.
"""

import sys
from functools import partial

import numpy as np
from _harness import run
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR

from sklearn_gal._learners import explained

sys.modules["coverage"] = None  # type: ignore[assignment]  # shap would get coverage.py
import shap  # noqa: E402

N_ROWS, N_BACKGROUND = 20, 100
MODELS = {
    "SVR": SVR(C=10),
    "neural network": MLPRegressor(hidden_layer_sizes=(30,), max_iter=400, random_state=0),
}


def data(n_columns):
    """Correlated columns, and a target with products of up to three of them."""
    rng = np.random.default_rng(0)
    mixing = np.eye(n_columns) + 0.4 * rng.normal(size=(n_columns, n_columns))
    X = rng.normal(size=(600, n_columns)) @ mixing
    X /= X.std(axis=0)
    y = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + 0.5 * X[:, 3] ** 2
    y += 0.5 * X[:, 5] * X[:, 6] * X[:, 7] + 0.3 * X[:, 4:] @ rng.normal(size=n_columns - 4)
    return X, y + 0.1 * rng.normal(size=600)


class Counted:
    """The predictions of a model, and how many rows it has predicted."""

    def __init__(self, model):
        self.model, self.n_rows = model, 0

    def __call__(self, rows):
        self.n_rows += len(rows)
        return self.model.predict(rows)[:, None]

    def of_one_output(self, rows):
        return self(rows)[:, 0]


def integrated(model, rows, background):
    """Exact values of an SVR: its kernel is a product over the columns.

    Each column is known with the same probability, over which the marginal contributions
    are integrated.
    """
    support, coefficients = model.support_vectors_, model.dual_coef_[0]
    points, weights = np.polynomial.legendre.leggauss(12)  # exact up to degree 23
    unknown = np.exp(-model._gamma * (background[:, None] - support) ** 2)
    values = np.zeros(rows.shape)
    for value, row in zip(values, rows, strict=True):
        known = np.exp(-model._gamma * (row - support) ** 2)
        for probability, weight in zip((points + 1) / 2, weights / 2, strict=True):
            mixed = probability * known + (1 - probability) * unknown
            others = mixed.prod(axis=-1, keepdims=True) / mixed
            marginal = others * (known - unknown)
            value += weight * np.einsum("s,bsd->d", coefficients, marginal) / len(unknown)
    return values


def of_many_orders(function, rows, background, n_orders):
    """Means over random orders and their reverses, with all background rows."""
    rng = np.random.default_rng(5)
    values, n_columns = np.zeros(rows.shape), rows.shape[1]
    base, whole = function(background).mean(), function(rows)[:, 0]
    for _ in range(n_orders):
        order = rng.permutation(n_columns)
        for each in (order, order[::-1]):
            known, before = np.zeros(n_columns, dtype=bool), base
            for column in each:
                known[column] = True
                after = whole
                if not known.all():
                    after = explained._mean_over(function, rows, background, known)[:, 0]
                values[:, column] += 0.5 * (after - before)
                before = after
    return values / n_orders


def exact(model, function, rows, background, n_orders):
    """The values with which others are compared."""
    if rows.shape[1] <= 10:
        args = rows, function(rows), background, function(background)
        return explained._by_subsets(function, *args)[0][:, :, 0]
    if isinstance(model, SVR):
        return integrated(model, rows, background)
    return of_many_orders(function, rows, background, n_orders)


def of_package(function, rows, background, seed):
    """Values of the package, and their standard errors."""
    # another permutation of the columns is another draw of their orders
    order = np.random.default_rng(seed).permutation(rows.shape[1])

    def permuted(view):
        return function(view[:, np.argsort(order)])

    values, _, errors = explained.explain_function(
        permuted, rows[:, order], background[:, order]
    )
    back = np.argsort(order)
    return values[:, back, 0], errors[:, back, 0]


def of_permutations(function, rows, background, seed, times=1):
    """Values of PermutationExplainer."""
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.PermutationExplainer(function.of_one_output, masker, seed=seed)
    n_sets = 2 * rows.shape[1] * times + 1
    return explainer(rows, max_evals=n_sets, silent=True).values, None


def of_kernel(function, rows, background, seed, times=1):
    """Values of KernelExplainer."""
    np.random.seed(seed)  # noqa: NPY002  (it has no other seed)
    explainer = shap.KernelExplainer(function.of_one_output, background)
    n_sets = 2 * rows.shape[1] * times
    return explainer.shap_values(rows, nsamples=n_sets, silent=True, l1_reg=0), None


METHODS = {
    "sklearn_gal": of_package,
    "PermutationExplainer": of_permutations,
    "PermutationExplainer, x5": partial(of_permutations, times=5),
    "KernelExplainer": of_kernel,
    "KernelExplainer, x5": partial(of_kernel, times=5),
}


def table(arguments):
    sizes, n_seeds, n_orders = ([8], 1, 4) if arguments.quick else ([10, 20], 3, 400)
    yield f"shap {shap.__version__}"
    titles = f"{'rows':>7}{'error':>8}{'stated':>8}{'within':>8}"
    yield f"{'model, columns':>20}  {'':24}{titles}"
    for name, model in MODELS.items():
        for n_columns in sizes:
            X, y = data(n_columns)
            function = Counted(model.fit(X[:400], y[:400]))
            background, rows = X[:N_BACKGROUND], X[400 : 400 + N_ROWS]
            known = exact(model, function, rows, background, n_orders)
            for method, explain in METHODS.items():
                function.n_rows = 0
                runs = [explain(function, rows, background, s) for s in range(n_seeds)]
                n_rows = function.n_rows / n_seeds / N_ROWS
                line = f"{name + ', ' + str(n_columns):>20}  {method:24}{n_rows:>7.0f}"
                yield line + summary(known, *zip(*runs, strict=True))


def summary(known, values, errors):
    """Mean over the seeds of the error, of the stated one, and of what is within two."""
    scale = np.sqrt((known**2).mean())
    differences = np.abs(np.array(values) - known)
    text = f"{rms(differences) / scale:>8.3f}"
    if errors[0] is None:
        return text
    within = (differences <= 2 * np.array(errors)).mean()
    return text + f"{rms(np.array(errors)) / scale:>8.3f}{within:>8.1%}"


def rms(array):
    """Root mean square over rows and columns, and its mean over seeds."""
    return np.sqrt((array**2).mean(axis=(1, 2))).mean()


if __name__ == "__main__":
    run(table, __doc__)
