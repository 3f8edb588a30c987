"""Fitted LightGBM models as text: made an estimator on first use, merged for prediction."""

from collections import OrderedDict, defaultdict
from copy import copy
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from lightgbm import Booster, LGBMRegressor
from scipy import sparse

from .default_learner import DefaultLearner
from .explained import Explanation
from .models import LazyModel, Term

# Objectives of LightGBM whose prediction is the sum over trees
IDENTITY = {"fair", "huber", "mape", "quantile", "regression", "regression_l1"}
# The line of a tree without a split, which only the first tree of an output can be
NO_SPLIT = "\nnum_leaves=1\n"
# A tree that predicts 0
_NO_TREE = """num_leaves=1
num_cat=0
split_feature=
split_gain=
threshold=
decision_type=
left_child=
right_child=
leaf_value=0
leaf_weight=
leaf_count=1
internal_value=
internal_weight=
internal_count=
is_linear=0
shrinkage=1"""


class OutputTrees:
    """The text of a booster that has a single tree for each output.

    Parameters
    ----------
    text : str
        The booster as `Booster.model_to_string` gives it.
    frame : tuple of (str, str)
        `frame_of` the text of a booster with one output.
    """

    def __init__(self, text, frame):
        head, _, trees = text.partition("\n\nTree=")
        self._about_rows = "\nfeature_infos=" + _line(head, "feature_infos")
        self._trees = trees.partition("\nend of trees")[0]
        self._frame = frame

    @classmethod
    def of_parts(cls, about_rows, trees, frame):
        """The same again, of the lines about the rows, the trees and the frame."""
        parts = cls.__new__(cls)
        parts._about_rows, parts._trees, parts._frame = about_rows, trees, frame
        return parts

    @staticmethod
    def frame_of(text):
        """What precedes and follows the lines that depend on rows and trees."""
        before, _, after = text.partition("\nfeature_infos=")
        parameters = after.partition("\nparameters:")[2]
        return before, "end of trees\n\n\nparameters:" + parameters

    def have_splits(self):
        """Whether the tree of each output has a split, a list."""
        if NO_SPLIT not in self._trees:
            return [True] * (self._trees.count("\nTree=") + 1)
        return [NO_SPLIT not in tree for tree in self._trees.split("\nTree=")]

    def text_of(self, output):
        """The text of a booster with one output, without the importances of columns."""
        before, after = self._frame
        tree = self._trees.split("\nTree=")[output].partition("\n")[2]
        tree = "Tree=0\n" + tree.rstrip("\n") + "\n\n\n"
        sizes = f"\ntree_sizes={len(tree)}\n\n"
        return before + self._about_rows + sizes + tree + after


class LazyBooster(LazyModel):
    """A fitted `LGBMRegressor`, kept as the text of its trees.

    A round fits one for each organization, output and fold. Predictions merge the texts,
    so that most models are never made an estimator, which would take a third of the time
    of growing a small tree.

    Parameters
    ----------
    text : str or (OutputTrees, int)
        The model as `Booster.model_to_string` gives it, or the trees of all outputs and the
        position of the model's output.
    settings : dict
        Parameters that differ from those of `template`: seeds.
    template : LGBMRegressor or DefaultLearner
        Fitted to the same columns with the same parameters.
    """

    def __init__(self, text, settings, template):
        self._text = text
        self._settings = settings
        self._template = template
        self._estimator: Any = None

    def model_to_string(self):
        """The model as text, which a `Booster` can be made of."""
        text = self._text
        if isinstance(text, tuple):
            trees, output = text
            return trees.text_of(output)
        return self._estimator.booster_.model_to_string() if text is None else text

    @property
    def params(self):
        """The booster's training parameters."""
        return {**self._template.booster_.params, **self._settings}

    @property
    def encoder(self):
        """What makes a matrix of the rows to predict; None if LightGBM receives them."""
        return encoder_of(self._template)

    def to_estimator(self):
        """The fitted estimator, the same object in every call, which replaces the text."""
        if self._text is not None:
            self._estimator = self._estimator_from(self.model_to_string())
            self._text = None  # last, because another thread may have found no text
        return self._estimator

    def _estimator_from(self, text):
        template = self._template
        state = {**vars(template.booster_), "_handle": text}
        booster = Booster.__new__(Booster)  # unpickling makes a booster in this way
        booster.__setstate__(state)
        booster.params = self.params
        booster.best_score = defaultdict(OrderedDict)
        estimator = copy(template)
        estimator._other_params = dict(estimator._other_params)
        estimator._Booster = booster
        return estimator.set_params(**self._settings)


class MergedBooster:
    """A booster with the trees of several models, to be predicted by their sums.

    Parameters
    ----------
    booster : Booster
        All the trees, with leaves that are multiplied by the models' coefficients.
    n_threads : int
        Number of threads of a prediction.
    encoder : TableEncoder or None
        Makes the matrix that the trees were fitted to; None: they read the view itself.
    """

    def __init__(self, booster, n_threads, encoder):
        self._booster = booster
        self._n_threads = n_threads
        self._encoder = encoder

    def predict(self, view):
        """The sums of the trees, (n_samples,) or (n_samples, n_outputs)."""
        return self.predict_matrix(self._matrix(view))

    def _matrix(self, view):
        """What LightGBM reads of a view."""
        if self._encoder is not None:
            return self._encoder.transform(view)
        # LightGBM's scikit-learn interface converts arrays of objects in the same way
        if isinstance(view, np.ndarray) and view.dtype.kind == "O":
            return view.astype(np.float64)
        return view

    def predict_matrix(self, view):
        """The sums for rows that LightGBM reads as they are."""
        return self._booster.predict(view, raw_score=True, num_threads=self._n_threads)

    def explain(self, view):
        """SHAP values of the columns of a view by LightGBM (Lundberg et al., 2020).

        Those of the columns of a matrix that an encoder has made of the same column are
        added up.
        """
        n_samples, n_columns = view.shape
        matrix = self._matrix(view)
        values = self._booster.predict(
            matrix, pred_contrib=True, num_threads=self._n_threads
        )
        if isinstance(values, list):  # a matrix for each output
            values = np.stack([each.toarray() for each in values], axis=1)
        elif sparse.issparse(values):
            values = values.toarray()
        values = values.reshape(n_samples, -1, matrix.shape[1] + 1)
        of_columns = values[:, :, :n_columns]
        if matrix.shape[1] > n_columns:
            copies = values[:, :, n_columns:-1]
            of_columns[:, :, self._encoder.categorical] += copies
        return Explanation.exact(np.swapaxes(of_columns, 1, 2), values[0, :, -1].copy())


def with_leaves(model, change):
    """A fitted tree with changed leaves.

    Parameters
    ----------
    model : LazyBooster, LGBMRegressor or DefaultLearner
        A booster of `is_booster`.
    change : callable
        Takes and returns leaves, an array.

    Returns
    -------
    model : LazyBooster or None
        The tree; None unless the booster is a sum of trees that has a single one.
    """
    lazy = isinstance(model, LazyBooster)
    text = model.model_to_string() if lazy else model.booster_.model_to_string()
    single = text.count("\nTree=") == 1 and "\nis_linear=1" not in text
    if not single or not _is_sum_of_trees(_head(text)):
        return None
    before, mark, after = text.partition("\nleaf_value=")
    leaves, end, after = after.partition("\n")
    changed = change(np.array(leaves.split(), dtype=np.float64))
    line = " ".join(map(repr, changed.tolist()))
    template = model._template if lazy else model
    return LazyBooster(before + mark + line + end + after, {}, template)


def merge_boosters(terms):
    """Merge the boosters among `terms` into one per output; see `Learner.merge`."""
    others, boosters = [], defaultdict(list)
    for term in terms:
        if is_booster(term.model) and not isinstance(term.output, list):
            boosters[term.output].append(term)
        else:
            others.append(term)
    return others + [term for group in boosters.values() for term in _merge(group)]


def merge_boosters_of_outputs(terms):
    """Merge the boosters among `terms` into one; see `Learner.merge_outputs`."""
    others = [term for term in terms if not is_booster(term.model)]
    boosters = [term for term in terms if is_booster(term.model)]
    return others + (_merge(boosters) if boosters else [])


def is_booster(model):
    """Whether a fitted model is LightGBM's, with all of its trees in use."""
    if type(model) in (LGBMRegressor, DefaultLearner):
        return model.booster_.best_iteration <= 0
    return isinstance(model, LazyBooster)


def encoder_of(model):
    """What makes a matrix of the rows that a fitted booster predicts; None if nothing."""
    return getattr(model, "encoder" if isinstance(model, LazyBooster) else "encoder_", None)


def _merge(terms):
    """Merge boosters, if their predictions are sums of the same kind."""
    encoder, *others = [encoder_of(model) for _, model, _ in terms]
    if any(other is not encoder and other != encoder for other in others):
        return terms
    boosters = [
        model if isinstance(model, LazyBooster) else model.booster_ for _, model, _ in terms
    ]
    texts = [booster.model_to_string() for booster in boosters]
    heads = {_head(text) for text in texts}
    categories = {text.rpartition("\npandas_categorical:")[2] for text in texts}
    head = heads.pop()
    mergeable = not heads and len(categories) == 1 and _is_sum_of_trees(head)
    if not mergeable or any("\nis_linear=1" in text for text in texts):
        return terms
    trees_of: dict = {}
    for text, term in zip(texts, terms, strict=True):
        trees = trees_of.setdefault(term.output, [])
        trees += _scaled_trees(text, term.coefficient)
    outputs, n_outputs = list(trees_of), len(trees_of)
    # the trees of a booster belong to its outputs in turn
    rounds = zip_longest(*trees_of.values(), fillvalue=_NO_TREE)
    numbered = [
        f"Tree={number}\n{tree}" for number, tree in enumerate(chain.from_iterable(rounds))
    ]
    end = f"end of trees\n\npandas_categorical:{categories.pop()}"
    for name in ("num_class", "num_tree_per_iteration"):
        head = head.replace(f"\n{name}=1\n", f"\n{name}={n_outputs}\n")
    # LightGBM requires the line, but does not use it to predict
    head += "\nfeature_infos=" + _line(texts[0], "feature_infos")
    merged = Booster(model_str="\n\n".join([head, *numbered, end]))
    n_threads = boosters[0].params.get("num_threads", 1)
    output = outputs[0] if n_outputs == 1 else outputs
    return [Term(output, MergedBooster(merged, n_threads, encoder), 1.0)]


def _head(text):
    """The text of a booster before its trees, without the lines that depend on the rows."""
    head = text.partition("\n\nTree=")[0].split("\n")
    about_rows = ("feature_infos=", "tree_sizes=")
    return "\n".join(line for line in head if not line.startswith(about_rows))


def _line(text, name):
    return text.partition(f"\n{name}=")[2].partition("\n")[0]


def _is_sum_of_trees(head):
    """Whether predictions are the sum over trees, neither averaged nor transformed."""
    objective, *options = _line(head, "objective").split() or [""]
    averaged = "average_output" in head.split("\n")
    return objective in IDENTITY and "sqrt" not in options and not averaged


def _scaled_trees(text, coefficient):
    """The trees of a booster as text, their leaves multiplied by `coefficient`."""
    trees = text.partition("\n\nTree=")[2].partition("\nend of trees")[0]
    for tree in trees.split("\nTree="):
        before, mark, after = tree.partition("\n")[2].partition("\nleaf_value=")
        leaves, end, after = after.partition("\n")
        scaled = " ".join(repr(float(coefficient) * float(leaf)) for leaf in leaves.split())
        yield (before + mark + scaled + end + after).rstrip("\n")
