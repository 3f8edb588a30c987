"""LightGBM fitted to one residual after the other on columns that are binned once."""

import re
from collections import OrderedDict, defaultdict
from copy import copy
from numbers import Integral
from typing import Any

import numpy as np
from lightgbm import Booster, Dataset, LGBMRegressor
from scipy import sparse
from sklearn.pipeline import Pipeline

from ._learners import IN_SAMPLE, Learner, OutputRegressors
from ._stacking import append_columns

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
BINNED_ONCE_FROM = 2_500
# From few rows no bag can be drawn.
_TEMPLATE_ROWS = 1000
# What training is done with and a model need not show: see `BoosterLearner._train`.
_RECORDED = re.compile(r"\[(metric|force_col_wise): [^]]*]")


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
        constructor = LGBMRegressor().get_params().keys()
        objective, seed = params["objective"], params["random_state"]
        return (
            _is_plain(view)
            and params.keys() - constructor <= OTHER_PARAMETERS
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
        self._repeats: Any = None
        self._binned = {}
        self._assisted: Any = None

    def fit(self, residual, split, seed):
        """Fit to `residual` (n_samples, n_outputs) as `split` says.

        Returns the fitted model and its predictions for the rows to be judged.
        """
        labels = residual if split.rows is None else residual[split.rows]
        labels = np.ascontiguousarray(labels.T, dtype=np.float32)
        cut = split.rows is not None and len(residual) >= BINNED_ONCE_FROM
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
        settings = self.seeds.settings(seed)
        models, fitted = [], []
        for label in labels:
            booster, values = self._train(binned, label, settings)
            models.append(self._model(booster, settings))
            fitted.append(values)
        model = models[0] if len(models) == 1 else OutputRegressors(models)
        if any(values is None for values in fitted):
            return model, self._judge(model, split, len(models))
        return model, np.stack(fitted, axis=1) if len(fitted) > 1 else fitted[0][:, None]

    def with_assistance(self, columns):
        """The learner that sees `columns` of the assistors beside its own.

        The columns are new in each round: worth binning if several fits share the bins.
        """
        if len(columns) < BINNED_ONCE_FROM:
            return super().with_assistance(columns)
        if self._assisted is None:
            self._assisted = copy(self)
            self._assisted._template = None
            # to look for repeated values in new columns takes longer than to predict
            self._assisted._repeats = np.array([np.inf, np.inf])
        self._assisted.view, self._assisted._binned = append_columns(self.view, columns), {}
        return self._assisted

    def forget(self, key):
        """Let go of the binned columns of the splits with this key."""
        self._binned.pop(key, None)

    def _make_template(self):
        """What a fit leaves beside its trees, and the parameters of training."""
        some = np.arange(min(_TEMPLATE_ROWS, self.view.shape[0]))
        template = self.seeds.clone(0).fit(self._cut(some), np.zeros(len(some)))
        booster = template.booster_
        self._params = booster.params
        recorded = booster.model_to_string().partition("\nparameters:")[2]
        self._recorded = {m[1]: m[0] for m in _RECORDED.finditer(recorded)}
        defaults = LGBMRegressor().get_params()  # LightGBM's own, and passed on for nothing
        del defaults["num_leaves"]  # if it is not given, `max_depth` changes it
        self._training = {
            name: value
            for name, value in self._params.items()
            if name not in defaults or value != defaults[name]
        }
        self._training["metric"] = "None"
        own_choice = {"force_col_wise", "force_row_wise"} & self._params.keys()
        if not own_choice and self._params["num_threads"] == 1 and _is_dense(self.view):
            # With one thread both ways add the same numbers in the same order; without
            # being told LightGBM tries both, which takes longer than growing a tree.
            self._training["force_col_wise"] = True
        template._Booster = None
        self._template = template

    def _bin(self, split):
        """The columns binned: of the rows to fit to and, in these bins, those to judge."""
        view = self.view if split.rows is None else self._cut(split.rows)
        weight = self.fit_params.get("sample_weight")
        if weight is not None and split.rows is not None:
            weight = np.asarray(weight)[split.rows]
        label = np.zeros(view.shape[0], dtype=np.float32)
        params = dict(self._params)
        train = Dataset(view, label=label, weight=weight, params=params).construct()
        nobody = split.judged is not None and len(split.judged) == 0
        train.label = train.weight = None  # LightGBM has its own
        if nobody or not self._reads_off(view):
            return train, None, False
        judged = None
        if split.rows is not None or split.judged is not None:
            view = self.view if split.judged is None else self._cut(split.judged)
            label = np.zeros(view.shape[0], dtype=np.float32)
            judged = Dataset(view, label=label, reference=train, params=dict(params))
            judged.construct()
            judged.label = None
        return train, judged, True

    def _cut_binned(self, binned, split):
        """Of all rows binned, those to fit to and those to judge."""
        everything, _, reads_off = binned
        nobody = split.judged is not None and len(split.judged) == 0
        train = self._part(everything, split.rows)
        if nobody or not reads_off:
            return train, None, False
        if split.judged is None:
            return train, everything, True
        return train, self._part(everything, split.judged), True

    def _part(self, everything, rows):
        """Of binned rows a selection, whose numbers ascend."""
        part = everything.subset([], params=dict(self._params))
        # `subset` would sort a list of them, which takes longer than to cut the rows
        part.used_indices = np.ascontiguousarray(rows, dtype=np.int32)
        part.construct()
        part.label = part.weight = None
        return part

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
        # a value is no more frequent among some rows than among all
        if _keeps_apart(self._repeats, view.shape[0]):
            return True
        return view is not self.view and _keeps_apart(_most_repeated(view), view.shape[0])

    def _train(self, binned, label, settings):
        """A booster trained as `LGBMRegressor.fit` does it, and its fitted values."""
        train, judged, reads_off = binned
        train.set_field("label", label)
        booster = Booster({**self._training, **settings}, train)
        if judged is not None:
            booster.add_valid(judged, "judged")
        for _ in range(self._settings["n_estimators"]):
            booster.update()
        fitted = []
        if reads_off:
            evaluate = booster.eval_train if judged is None else booster.eval_valid

            def read_off(values, _):
                fitted.append(values)
                return "fitted values", 0.0, False

            evaluate(read_off)
        head, mark, recorded = booster.model_to_string().partition("\nparameters:")
        recorded = _RECORDED.sub(lambda match: self._recorded[match[1]], recorded)
        booster.model_from_string(head + mark + recorded).free_dataset()
        booster.params = {**self._params, **settings}
        booster.best_iteration = 0
        booster.best_score = defaultdict(OrderedDict)
        return booster, fitted[0] if fitted else None

    def _model(self, booster, settings):
        """The fitted `LGBMRegressor` that clone and fit would have returned."""
        model = copy(self._template)
        model._other_params = dict(model._other_params)
        model._Booster = booster
        return model.set_params(**settings)


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
