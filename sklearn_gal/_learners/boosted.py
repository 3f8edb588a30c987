"""LightGBM fitted to one residual after the other on columns that are binned once."""

import re
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from lightgbm import Booster, Dataset, LGBMRegressor
from scipy import sparse
from sklearn.pipeline import Pipeline

from .base import IN_SAMPLE, Learner, OutputRegressors
from .models import WrittenBooster
from .views import append_columns

# What the constructor sets where nothing is said
DEFAULTS = LGBMRegressor().get_params()
# Objectives that take any real number for a label. The others refuse most residuals, in
# LightGBM's own words when it is called the plain way.
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
# Parameters beside those of the constructor with which the trees are known to be the same.
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
# From so many rows on, part of them is cut from columns that are binned with all rows.
BINNED_ONCE_FROM = 1_000
# Parts that come again are kept up to so many bytes, or half of what the columns take.
KEPT_BYTES = 16 * 2**20
# Columns that assistors have sent have so many bins at most.
ASSISTANCE_BINS = 31
# Up to so many rows a booster of a single tree is rewound, and not made anew.
REWOUND_UP_TO = 5_000
# Objectives whose gradients LightGBM takes from the labels as they are now.
SQUARED_ERROR = {None, "l2", "mean_squared_error", "mse", "regression", "regression_l2"}
# Parameters that leave no trace of a tree in a booster that is rewound.
WITHOUT_TRACE = {"data_random_seed", "max_bin", "min_data_in_bin", "verbose", "verbosity"}
# From few rows no bag can be drawn.
_TEMPLATE_ROWS = 1000
# What training is done with and a model need not show: see `BoosterLearner._train`.
_RECORDED = re.compile(r"\[(metric|force_col_wise): [^]]*]")


@dataclass
class Binned:
    """Binned rows of one fit.

    Parameters
    ----------
    train : Dataset
        Rows to fit to.
    judged : Dataset or None, default=None
        Rows whose fitted values are wanted; None: the rows of `train`.
    reads_off : bool, default=False
        Whether binned rows go to the same leaves as the rows themselves.
    booster : Booster or None, default=None
        The booster of these rows before its first tree, if it can be rewound.
    """

    train: Dataset
    judged: Dataset | None = None
    reads_off: bool = False
    booster: Booster | None = None


class BoosterLearner(Learner):
    """`LGBMRegressor` on columns that are binned once for all fits to the same rows.

    The trees are bit-identical to those of clone and fit, and fitted values are read off
    the trained booster where they are those that `predict` would give. Of many rows, a fit
    to part of them takes its bins from all of them, as `lightgbm.cv` does: its trees are
    those of `lightgbm.train` on a `Dataset.subset`.
    """

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
            _is_plain(view)
            and params.keys() - DEFAULTS.keys() <= OTHER_PARAMETERS
            and params["boosting_type"] == "gbdt"
            and (objective is None or isinstance(objective, str))
            and objective in OBJECTIVES
            and params["class_weight"] is None
            and (seed is None or isinstance(seed, Integral))
            and isinstance(params["n_estimators"], Integral)
        )

    def __init__(self, estimator, view, fit_params):
        super().__init__(estimator, view, fit_params)
        settings = self.seeds.estimator.get_params()
        if settings["subsample_for_bin"] < view.shape[0] and self.seeds.names:
            # bins come from a sample of the rows, which shall not change with the round
            settings.setdefault("data_random_seed", 1)
            self.seeds.estimator.set_params(data_random_seed=settings["data_random_seed"])
        self._settings = settings
        self._template: Any = None
        self._parameters: dict = {}
        self._repeats: Any = None
        self._binned: dict = {}
        self._parts: dict = {}
        self._binned_once_from = BINNED_ONCE_FROM
        self._binning: dict = {}

    def fit(self, residual, split, seed):
        """Fit to `residual` (n_samples, n_outputs) as `split` says.

        Returns the fitted model and its predictions for the rows to be judged.
        """
        labels = residual if split.rows is None else residual[split.rows]
        labels = np.ascontiguousarray(labels.T, dtype=np.float32)
        cut = split.rows is not None and len(residual) >= self._binned_once_from
        lone = split.key is None and not cut
        if lone or labels.shape[1] < 2 or not np.isfinite(labels).all():
            return super().fit(residual, split, seed)
        if self._template is None:
            self._make_template()
        key = IN_SAMPLE.key if cut else split.key
        if key not in self._binned:
            self._binned[key] = self._bin(IN_SAMPLE if cut else split)
        binned = self._binned[key]
        if cut:
            binned = self._cut_binned(binned, split)
        # where nothing is random a booster can be rewound if its seeds stay
        settings = self._seeds_of_all if self._rewinds else self.seeds.settings(seed)
        models, fitted = [], []
        for label in labels:
            text, values = self._train(binned, label, settings)
            models.append(WrittenBooster(text, settings, self._template))
            fitted.append(values)
        model = models[0] if len(models) == 1 else OutputRegressors(models)
        if any(values is None for values in fitted):
            return model, self._judge(model, split, len(models))
        return model, np.stack(fitted, axis=1) if len(fitted) > 1 else fitted[0][:, None]

    def _assisted_by(self, columns):
        """Of however many rows, the columns are binned once for all folds."""
        learner = self._assistance and self._assistance[1]
        if learner is None:
            learner = BoosterLearner(self.estimator, self.view, self.fit_params)
            if self._repeats is None:
                self._repeats = _most_repeated(self.view)
            learner._repeats, learner._binned_once_from = self._repeats, 0
            n_own, most = self.view.shape[1], self._settings.get("max_bin", 255)
            bins = [most] * n_own + [min(most, ASSISTANCE_BINS)] * columns.shape[1]
            # without bundles every binned row goes to the leaf of the row itself
            learner._binning = {"enable_bundle": False, "max_bin_by_feature": bins}
        learner.view = append_columns(self.view, columns)
        learner._binned, learner._parts = {}, {}
        return learner

    def forget(self, key):
        """Let go of the binned columns of the splits with this key."""
        self._binned.pop(key, None)
        self._parts.pop(_partition_of(key), None)

    def _make_template(self):
        """What a fit leaves beside its trees, and the parameters of training."""
        some = np.arange(min(_TEMPLATE_ROWS, self.view.shape[0]))
        template = self.seeds.clone(0).fit(self._cut(some), np.zeros(len(some)))
        booster = template.booster_
        params = booster.params
        recorded = booster.model_to_string().partition("\nparameters:")[2]
        self._recorded = {m[1]: m[0] for m in _RECORDED.finditer(recorded)}
        # defaults are LightGBM's own, and passed on for nothing
        self._training = {
            name: value
            for name, value in params.items()
            if name == "num_leaves"  # if it is not given, `max_depth` changes it
            or name not in DEFAULTS
            or value != DEFAULTS[name]
        }
        self._training["metric"] = "None"
        own_choice = {"force_col_wise", "force_row_wise"} & params.keys()
        if not own_choice and params["num_threads"] == 1 and _is_dense(self.view):
            # With one thread both ways add the same numbers in the same order; without
            # being told LightGBM tries both, which takes longer than growing a tree.
            self._training["force_col_wise"] = True
        self._template = template
        self._seeds_of_all = self.seeds.settings(0)
        # what one tree adds to the values can be taken away again to the last bit
        self._rewinds = (
            self._settings["n_estimators"] == 1
            and self._settings["objective"] in SQUARED_ERROR
            and self._settings["colsample_bytree"] == 1
            and self._settings["subsample_freq"] == 0
            and self._settings.keys() - DEFAULTS.keys() <= WITHOUT_TRACE
        )
        if self._rewinds:
            template.set_params(**self._seeds_of_all)

    def _bin(self, split):
        """The columns binned: of the rows to fit to and, in these bins, those to judge."""
        view = self.view if split.rows is None else self._cut(split.rows)
        weight = self.fit_params.get("sample_weight")
        if weight is not None and split.rows is not None:
            weight = np.asarray(weight)[split.rows]
        params = {**self._training, **self._binning}
        train = Dataset(view, weight=weight, params=params).construct()  # labels are zeros
        train.label = train.weight = None  # LightGBM has its own
        if _judges_nobody(split) or not self._reads_off(view):
            return Binned(train)
        judged = None
        if split.rows is not None or split.judged is not None:
            view = self.view if split.judged is None else self._cut(split.judged)
            judged = Dataset(view, reference=train, params=dict(params)).construct()
            judged.label = None
        return Binned(train, judged, True)

    def _cut_binned(self, binned, split):
        """Of all rows binned, those to fit to and those to judge."""
        partition = _partition_of(split.key)
        train = self._part(binned.train, split.rows, partition)
        if _judges_nobody(split) or not binned.reads_off:
            return Binned(train)
        judged = binned.train
        if split.judged is not None:
            judged = self._part(binned.train, split.judged, partition)
        return Binned(train, judged, True)

    def _part(self, everything, rows, partition):
        """Of binned rows a selection, whose numbers ascend.

        The rows that one fold of two is fitted to are those that the other is judged on.
        """
        rows = np.ascontiguousarray(rows, dtype=np.int32)
        known = self._parts.get(partition, [])
        for part in known:
            if np.array_equal(part.used_indices, rows):
                return part
        part = everything.subset([], params={**self._training, **self._binning})
        # `subset` would sort a list of them, which takes longer than to cut the rows
        part.used_indices = rows
        part.construct()
        part.label = part.weight = None
        if partition is not None and self._may_keep(len(rows)):
            self._parts[partition] = [*known, part]
        return part

    def _may_keep(self, n_more):
        """Whether so many more binned rows, with number and label, are within bounds."""
        n_rows, n_columns = self.view.shape
        kept = [len(part.used_indices) for parts in self._parts.values() for part in parts]
        size = (sum(kept) + n_more) * (n_columns + 8)
        return size <= max(KEPT_BYTES, 4 * n_rows * n_columns)

    def _reads_off(self, view):
        """Whether binned rows go to the same leaves as the rows themselves.

        Not so where categories are grouped, or where LightGBM bundles columns, which may
        lose a value in ten thousand. It bundles two columns only if the rows outside their
        most frequent bins are no more than all rows. A bin holds a single value, or about
        a 255th of the rows and at most twice that.
        """
        settings = self._settings
        unusual = {"max_bin", "min_data_in_bin", "zero_as_missing"} & settings.keys()
        if unusual or settings["subsample_for_bin"] < 10_000:
            return False
        if self._repeats is None:
            self._repeats = _most_repeated(self.view)
        if self._binning:
            return bool(np.isfinite(self._repeats).all())
        # a value is no more frequent among some rows than among all
        if _keeps_apart(self._repeats, view.shape[0]):
            return True
        return view is not self.view and _keeps_apart(_most_repeated(view), view.shape[0])

    def _train(self, binned, label, settings):
        """The text of a booster trained as by `LGBMRegressor`, and its fitted values."""
        binned.train.set_field("label", label)
        booster = self._untrained(binned, settings)
        for _ in range(self._settings["n_estimators"]):
            ended = booster.update()
        text = booster.model_to_string()
        rewinds = binned.booster is not None
        fitted = None
        if binned.reads_off:
            if not (rewinds or ended):  # without an objective values are copied as they are
                booster.reset_parameter({"objective": "none"})
            fitted = _values_of(booster, binned.judged)
        if rewinds:
            booster.rollback_one_iter()
            if ended:  # a tree without a split stays
                binned.booster = None
        trees, mark, parameters = text.partition("\nparameters:")
        return trees + mark + self._as_given(parameters), fitted

    def _as_given(self, parameters):
        """The parameters at the end of a text, as the organization gave them."""
        if parameters not in self._parameters:
            given = _RECORDED.sub(lambda match: self._recorded[match[1]], parameters)
            self._parameters = {parameters: given}
        return self._parameters[parameters]

    def _untrained(self, binned, settings):
        """A booster without trees for binned rows."""
        if binned.booster is not None:
            return binned.booster
        booster = Booster({**self._training, **settings}, binned.train)
        if binned.judged is not None:
            booster.add_valid(binned.judged, "judged")
        if self._rewinds and binned.train.num_data() <= REWOUND_UP_TO:
            binned.booster = booster
        return booster


def _partition_of(key):
    """The partition that a fold belongs to; None if it will not come again."""
    return key[0] if isinstance(key, tuple) else key


def _judges_nobody(split):
    return split.judged is not None and len(split.judged) == 0


def _values_of(booster, judged):
    """Fitted values of the rows judged, or of those the booster was trained on."""
    values = []

    def read_off(fitted, _):
        values.append(fitted.copy())  # the booster will use the array again
        return "fitted values", 0.0, False

    (booster.eval_train if judged is None else booster.eval_valid)(read_off)
    return values[0]


def _most_repeated(view):
    """How often the most frequent value of each column occurs; infinite if that is unknown.

    Columns of one value are left out, as LightGBM does.
    """
    unknown = np.array([np.inf, np.inf])
    if sparse.issparse(view):
        return unknown
    repeats = []
    for j in range(view.shape[1]):
        column = view.iloc[:, j] if _is_pandas(view) else view[:, j]
        if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "fiub":
            return unknown
        column = np.sort(np.asarray(column))
        starts = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
        n_missing = np.count_nonzero(np.isnan(column))
        most = max(n_missing, np.diff(starts, append=len(column)).max())
        if most < len(column):
            repeats.append(most)
    return np.array(repeats, dtype=float)


def _keeps_apart(repeats, n_rows):
    """Whether no two columns may share a bundle."""
    shares = np.sort(repeats / n_rows)[-2:] + 2 * max(1 / 255, 3 / n_rows)
    return len(shares) < 2 or shares.sum() < 0.9


def _is_dense(view):
    return not sparse.issparse(view)


def _is_plain(view):
    """Whether LightGBM reads the columns as they are."""
    if isinstance(view, np.ndarray):
        return view.dtype.kind in "fiub"
    return sparse.isspmatrix_csr(view) or _is_pandas(view)


def _is_pandas(view):
    return type(view).__module__.partition(".")[0] == "pandas"


def hands_frame_to_lightgbm(estimator):
    """Whether the columns reach LightGBM as they are."""
    if isinstance(estimator, Pipeline):
        *transformers, (_, last) = estimator.steps
        untouched = all(step in (None, "passthrough") for _, step in transformers)
        return untouched and hands_frame_to_lightgbm(last)
    if type(estimator).__module__.partition(".")[0] == "lightgbm":
        return True
    inner = [getattr(estimator, name, None) for name in ("estimator", "regressor")]
    return any(hands_frame_to_lightgbm(each) for each in inner if each is not None)


def check_readable_by_lightgbm(frame):
    """Refuse column types that LightGBM does not read; from polars they abort Python."""
    unreadable = []
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if hasattr(dtype, "is_numeric"):  # polars
            readable = dtype.is_numeric() or str(dtype) == "Boolean"
        else:
            readable = dtype.kind in "biuf" or dtype.name == "category"
        if not readable:
            unreadable.append(f"{name!r} ({dtype})")
    if unreadable:
        raise ValueError(
            f"LightGBM cannot read the columns {', '.join(unreadable)}. Turn them into "
            "numbers in a pipeline, e.g. strings by make_pipeline(OrdinalEncoder(), "
            "LGBMRegressor()); categories of pandas (dtype 'category') it does read."
        )
