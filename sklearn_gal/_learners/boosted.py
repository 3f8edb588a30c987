"""LightGBM fitted to one residual after the other on columns that are binned once."""

import re
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from lightgbm import Booster, Dataset, LGBMRegressor
from scipy import sparse

from .base import IN_SAMPLE, Learner
from .boosted_columns import is_plain, mode_counts, never_bundled
from .boosted_models import (
    LazyBooster,
    is_booster,
    merge_boosters,
    merge_boosters_of_outputs,
)
from .models import OutputRegressors

# Defaults of the constructor
DEFAULTS = LGBMRegressor().get_params()
# Objectives that take any real number for a label. The others refuse most residuals; clone
# and fit shows LightGBM's error message.
OBJECTIVES = {
    None,
    "fair",
    "huber",
    "l1",
    "l2",
    "mae",
    "mean_absolute_error",
    "mean_squared_error",
    "mse",
    "quantile",
    "regression",
    "regression_l1",
    "regression_l2",
    "rmse",
}
# Parameters in addition to those of the constructor, for which a test shows that the trees
# are the same.
OTHER_PARAMETERS = {
    "alpha",
    "bagging_seed",
    "boost_from_average",
    "cat_l2",
    "cat_smooth",
    "data_random_seed",
    "data_sample_strategy",
    "deterministic",
    "enable_bundle",
    "extra_seed",
    "extra_trees",
    "fair_c",
    "feature_fraction_bynode",
    "feature_fraction_seed",
    "force_col_wise",
    "force_row_wise",
    "interaction_constraints",
    "max_bin",
    "max_cat_threshold",
    "max_cat_to_onehot",
    "max_delta_step",
    "min_data_in_bin",
    "min_data_per_group",
    "monotone_constraints",
    "monotone_constraints_method",
    "monotone_penalty",
    "other_rate",
    "path_smooth",
    "top_rate",
    "use_missing",
    "verbose",
    "verbosity",
    "zero_as_missing",
}
# All parameters that an estimator of `BoosterLearner` may have
LIGHTGBM_PARAMETERS = DEFAULTS.keys() | OTHER_PARAMETERS
# From this number of rows on, parts are cut from columns that are binned with all rows.
MIN_ROWS_SHARED_BINS = 1_000
# Cut parts that are used again are cached up to this size, or half the size of the columns.
MAX_CACHED_BYTES = 16 * 2**20
# Up to this number of rows, a booster of a single tree is rewound instead of replaced.
MAX_REWOUND_ROWS = 5_000
# Objectives whose gradients LightGBM computes from the present labels
SQUARED_ERROR = {None, "l2", "mean_squared_error", "mse", "regression", "regression_l2"}
# Parameters with which rewinding removes all effects of a tree from a booster
REWINDABLE_PARAMETERS = {
    "data_random_seed",
    "max_bin",
    "min_data_in_bin",
    "verbose",
    "verbosity",
}
# With fewer rows, LightGBM may be unable to draw a bag.
_TEMPLATE_ROWS = 1000
# Parameters that training sets, and that the text of a model shows as the user gave them
_SET_BY_TRAINING = re.compile(r"\[(metric|force_col_wise): [^]]*]")


@dataclass
class Binned:
    """Binned rows of one fit.

    Parameters
    ----------
    train : Dataset
        Rows to fit to.
    predict : Dataset or None, default=None
        Rows to predict; None: the rows of `train`.
    predicts_from_bins : bool, default=False
        Whether binned rows reach the same leaves as the rows themselves, so that fitted
        values need no prediction.
    booster : Booster or None, default=None
        The booster of these rows before its first tree, if it can be rewound.
    """

    train: Dataset
    predict: Dataset | None = None
    predicts_from_bins: bool = False
    booster: Booster | None = None


class BoosterLearner(Learner):
    """`LGBMRegressor` on columns that are binned once for all fits to the same rows.

    The trees are bit-identical to those of clone and fit. Fitted values are copied from
    the trained booster where they are equal to what `predict` would return. With many
    rows, a fit to part of them uses the bins of all rows, as `lightgbm.cv` does: its trees
    are those of `lightgbm.train` on a `Dataset.subset`.
    """

    sums_columns = False

    @classmethod
    def takes(cls, estimator, view, fit_params):
        """Whether the trees are known to be those of clone and fit."""
        if type(estimator) is not LGBMRegressor or not fit_params.keys() <= {
            "sample_weight"
        }:
            return False
        params = estimator.get_params()
        objective, seed = params["objective"], params["random_state"]
        return (
            is_plain(view)
            and params.keys() <= LIGHTGBM_PARAMETERS
            and params["boosting_type"] == "gbdt"
            and (objective is None or isinstance(objective, str))
            and objective in OBJECTIVES
            and params["class_weight"] is None
            and (seed is None or isinstance(seed, Integral))
            and isinstance(params["n_estimators"], Integral)
        )

    @staticmethod
    def merge(terms, sum_terms):
        """Merge boosters into one per output, with the trees of all."""
        return merge_boosters(terms)

    @staticmethod
    def merge_outputs(terms):
        """Merge boosters into one that has all outputs."""
        return merge_boosters_of_outputs(terms)

    @staticmethod
    def predicts_one_output(model):
        """Whether a fitted model is a booster."""
        return is_booster(model)

    def __init__(self, estimator, view, fit_params, make_learner=None):
        super().__init__(estimator, view, fit_params, make_learner)
        settings = self.seeds.estimator.get_params()
        if settings["subsample_for_bin"] < view.shape[0] and self.seeds.names:
            # the bins come from a sample of the rows, which must be the same in all rounds
            settings.setdefault("data_random_seed", 1)
            self.seeds.estimator.set_params(data_random_seed=settings["data_random_seed"])
        self._settings = settings
        self._template: Any = None
        self._user_parameters: dict = {}
        self._mode_counts: Any = None
        self._binned: dict = {}
        self._parts: dict = {}

    def fit(self, residual, split, seed):
        """Fit to a residual; see `Learner.fit`."""
        labels = residual if split.rows is None else residual[split.rows]
        labels = np.ascontiguousarray(labels.T, dtype=np.float32)
        shares_bins = split.rows is not None and len(residual) >= MIN_ROWS_SHARED_BINS
        used_once = split.key is None and not shares_bins
        if used_once or labels.shape[1] < 2 or not np.isfinite(labels).all():
            return super().fit(residual, split, seed)
        if self._template is None:
            self._make_template()
        binned = self._binned_rows(split, shares_bins)
        # without random numbers the seeds can stay, so that the booster can be rewound
        settings = self._fixed_seeds if self._rewinds else self.seeds.settings(seed)
        models, fitted = [], []
        for label in labels:
            text, values = self._train(binned, label, settings)
            models.append(LazyBooster(text, settings, self._template))
            fitted.append(values)
        model = models[0] if len(models) == 1 else OutputRegressors(models)
        if not binned.predicts_from_bins:
            return model, self._predict_split(model, split, len(models))
        return model, np.stack(fitted, axis=1) if len(fitted) > 1 else fitted[0][:, None]

    def forget(self, key):
        """Discard the binned columns of the splits with this key."""
        self._binned.pop(key, None)
        self._parts.pop(_folds_key(key), None)

    def _make_template(self):
        """Fit the model that every round copies, and find the training parameters."""
        some = np.arange(min(_TEMPLATE_ROWS, self.view.shape[0]))
        template = self.seeds.clone(0).fit(self._cut(some), np.zeros(len(some)))
        booster = template.booster_
        params = booster.params
        parameters = booster.model_to_string().partition("\nparameters:")[2]
        self._shown = {m[1]: m[0] for m in _SET_BY_TRAINING.finditer(parameters)}
        # LightGBM has the same defaults: passing them on takes time without any effect
        self._training = {
            name: value
            for name, value in params.items()
            if name == "num_leaves"  # if it is not given, `max_depth` changes it
            or name not in DEFAULTS
            or value != DEFAULTS[name]
        }
        self._training["metric"] = "None"
        user_chose = {"force_col_wise", "force_row_wise"} & params.keys()
        is_dense = not sparse.issparse(self.view)
        if not user_chose and params["num_threads"] == 1 and is_dense:
            # With one thread both ways add the same numbers in the same order. By default
            # LightGBM tries both, which takes longer than growing a tree.
            self._training["force_col_wise"] = True
        self._template = template
        self._fixed_seeds = self.seeds.settings(0)
        # the values that a single tree adds can be subtracted to the last bit
        self._rewinds = (
            self._settings["n_estimators"] == 1
            and self._settings["objective"] in SQUARED_ERROR
            and self._settings["colsample_bytree"] == 1
            and self._settings["subsample_freq"] == 0
            and self._settings.keys() - DEFAULTS.keys() <= REWINDABLE_PARAMETERS
        )
        if self._rewinds:
            template.set_params(**self._fixed_seeds)

    def _binned_rows(self, split, shares_bins):
        """The binned rows of a split, with bins of all rows if it shares them."""
        source = IN_SAMPLE if shares_bins else split
        if source.key not in self._binned:
            self._binned[source.key] = self._bin(source)
        binned = self._binned[source.key]
        return self._cut_binned(binned, split) if shares_bins else binned

    def _bin(self, split):
        """Bin the rows to fit to and, in the same bins, the rows to predict."""
        view = self.view if split.rows is None else self._cut(split.rows)
        weight = self.fit_params.get("sample_weight")
        if weight is not None and split.rows is not None:
            weight = np.asarray(weight)[split.rows]
        params = dict(self._training)
        train = Dataset(view, weight=weight, params=params).construct()  # labels are zeros
        train.label = train.weight = None  # LightGBM has copied them
        if split.predicts_nothing or not self._predicts_from_bins(view):
            return Binned(train)
        predict = None
        if split.rows is not None or split.predict_rows is not None:
            rows = split.predict_rows
            view = self.view if rows is None else self._cut(rows)
            predict = Dataset(view, reference=train, params=dict(params)).construct()
            predict.label = None
        return Binned(train, predict, True)

    def _cut_binned(self, binned, split):
        """Cut the rows to fit to and the rows to predict from all binned rows."""
        key = _folds_key(split.key)
        train = self._part(binned.train, split.rows, key)
        if split.predicts_nothing or not binned.predicts_from_bins:
            return Binned(train)
        predict = binned.train
        if split.predict_rows is not None:
            predict = self._part(binned.train, split.predict_rows, key)
        return Binned(train, predict, True)

    def _part(self, everything, rows, folds_key):
        """Cut binned rows, whose numbers ascend.

        The parts are cached for each division into folds. With two folds, the rows to fit
        for one are the rows to predict for the other.
        """
        rows = np.ascontiguousarray(rows, dtype=np.int32)
        cached = self._parts.get(folds_key, [])
        for part in cached:
            if np.array_equal(part.used_indices, rows):
                return part
        part = everything.subset([], params=dict(self._training))
        # `subset` would sort a list of them, which takes longer than to cut the rows
        part.used_indices = rows
        part.construct()
        part.label = part.weight = None
        if folds_key is not None and self._fits_in_cache(len(rows)):
            self._parts[folds_key] = [*cached, part]
        return part

    def _fits_in_cache(self, n_more):
        """Whether `n_more` binned rows, with numbers and labels, may be cached."""
        n_rows, n_columns = self.view.shape
        kept = [len(part.used_indices) for parts in self._parts.values() for part in parts]
        size = (sum(kept) + n_more) * (n_columns + 8)
        return size <= max(MAX_CACHED_BYTES, 4 * n_rows * n_columns)

    def _predicts_from_bins(self, view):
        """Whether binned rows reach the same leaves as the rows themselves.

        They may not where LightGBM groups categories, or where it bundles columns, which
        may change a value in ten thousand.
        """
        settings = self._settings
        unusual = {"max_bin", "min_data_in_bin", "zero_as_missing"} & settings.keys()
        if unusual or settings["subsample_for_bin"] < 10_000:
            return False
        if self._mode_counts is None:
            self._mode_counts = mode_counts(self.view)
        # a value is at most as frequent in some rows as in all
        if never_bundled(self._mode_counts, view.shape[0]):
            return True
        return view is not self.view and never_bundled(mode_counts(view), view.shape[0])

    def _train(self, binned, label, settings):
        """The text of a booster trained as by `LGBMRegressor`, and its fitted values."""
        binned.train.set_field("label", label)
        booster = self._booster_of(binned, settings)
        for _ in range(self._settings["n_estimators"]):
            ended = booster.update()
        text = booster.model_to_string()
        rewinds = binned.booster is not None
        fitted = None
        if binned.predicts_from_bins:
            if not (rewinds or ended):  # an objective would make LightGBM convert values
                booster.reset_parameter({"objective": "none"})
            fitted = _values_of(booster, binned.predict)
        if rewinds:
            booster.rollback_one_iter()
            if ended:  # a tree without a split stays
                binned.booster = None
        trees, mark, parameters = text.partition("\nparameters:")
        return trees + mark + self._with_user_parameters(parameters), fitted

    def _with_user_parameters(self, parameters):
        """The parameters at the end of a text, as the organization gave them."""
        if parameters not in self._user_parameters:
            given = _SET_BY_TRAINING.sub(lambda match: self._shown[match[1]], parameters)
            self._user_parameters = {parameters: given}
        return self._user_parameters[parameters]

    def _booster_of(self, binned, settings):
        """A booster without trees for binned rows."""
        if binned.booster is not None:
            return binned.booster
        booster = Booster({**self._training, **settings}, binned.train)
        if binned.predict is not None:
            booster.add_valid(binned.predict, "predict")
        if self._rewinds and binned.train.num_data() <= MAX_REWOUND_ROWS:
            binned.booster = booster
        return booster


def _folds_key(key):
    """The key of the division into folds that a fold belongs to."""
    return key[0] if isinstance(key, tuple) else key


def _values_of(booster, predict):
    """Fitted values of the rows to predict (None: of those that the booster fitted)."""
    values = []

    def copy_values(fitted, _):
        values.append(fitted.copy())  # the booster will overwrite the array
        return "fitted values", 0.0, False

    (booster.eval_train if predict is None else booster.eval_valid)(copy_values)
    return values[0]
