"""LightGBM fitted to one residual after the other on columns that are binned once."""

import re
from numbers import Integral
from typing import Any

import numpy as np
from lightgbm import Booster, Dataset, LGBMRegressor
from scipy import sparse
from sklearn.utils import _safe_indexing

from .base import IN_SAMPLE, Learner
from .boosted_columns import (
    Binned,
    bundles_keep_values,
    has_columns,
    is_plain,
    mode_counts,
    never_bundled,
)
from .boosted_models import (
    NO_SPLIT,
    LazyBooster,
    MergedBooster,
    OutputTrees,
    is_booster,
    merge_boosters,
    merge_boosters_of_outputs,
)
from .boosted_parameters import (
    DEFAULTS,
    LIGHTGBM_PARAMETERS,
    OBJECTIVES,
    SINGLE_TREE_PARAMETERS,
    SQUARED_ERROR,
)
from .default_learner import DefaultLearner, bundling, encoder_for, label_unit, mean_one
from .lightgbm_guard import check_readable_by_lightgbm
from .models import OutputRegressors, Term
from .views import column_major

# From this number of rows on, parts are cut from columns that are binned with all rows.
MIN_ROWS_SHARED_BINS = 1_000
# A booster of single trees is rewound instead of replaced up to this number of rows times
# outputs, and this number more for each column: rewinding visits all rows for each output,
# a new booster all columns.
MIN_REWOUND_ROWS, REWOUND_ROWS_PER_COLUMN = 4_000, 400
# A booster with larger histograms is replaced as well, because it would be kept.
MAX_HISTOGRAM_BYTES = 2**25
# With fewer rows, LightGBM may be unable to draw a bag.
_TEMPLATE_ROWS = 1000
# Parameters that training sets, and that the text of a model shows as the user gave them
_SET_BY_TRAINING = re.compile(r"\[(metric|force_col_wise): [^]]*]")


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
        makes_matrix = type(estimator) is DefaultLearner
        if not (makes_matrix or type(estimator) is LGBMRegressor):
            return False
        params = estimator.get_params()
        objective, seed = params["objective"], params["random_state"]
        return (
            (makes_matrix or is_plain(view))
            and fit_params.keys() <= {"sample_weight"}
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
    def explain(model, view, background):
        """SHAP values of merged trees, by LightGBM."""
        if not isinstance(model, MergedBooster) or background.for_trees:
            return None
        return model.explain(view)

    @staticmethod
    def n_outputs(model, n_outputs):
        """One, if a fitted model is a booster."""
        return 1 if is_booster(model) else None

    def __init__(self, estimator, view, fit_params, make_learner=None):
        super().__init__(estimator, view, fit_params, make_learner)
        self._matrix, self._encoder, self._categorical = view, None, []
        settings = self.seeds.estimator.get_params()
        if type(estimator) is LGBMRegressor:
            check_readable_by_lightgbm(view)
        else:
            self._encoder = encoder_for(settings).fit(view)
            self._matrix = self._encoder.transform(view)
            self._categorical = self._encoder.categorical
            settings |= bundling(settings, self._matrix, self._categorical)
            self.seeds.estimator.set_params(enable_bundle=settings["enable_bundle"])
        if settings["subsample_for_bin"] < view.shape[0] and self.seeds.names:
            # the bins come from a sample of the rows, which must be the same in all rounds
            settings.setdefault("data_random_seed", 1)
            self.seeds.estimator.set_params(data_random_seed=settings["data_random_seed"])
        self._settings = settings
        # what a tree adds can then be subtracted to the last bit
        self._rewinds = (
            settings["n_estimators"] == 1
            and settings["objective"] in SQUARED_ERROR
            and settings["colsample_bytree"] == 1
            and settings["subsample_freq"] == 0
            and settings.keys() - DEFAULTS.keys() <= SINGLE_TREE_PARAMETERS
        )
        # the gradient is then known
        starts_at_0 = settings.get("boost_from_average") is False
        self.fits_outputs_together = self._rewinds and starts_at_0
        self._template: Any = None
        self._user_parameters: dict = {}
        self._binned: dict = {}

    def fit(self, residual, split, seed):
        """Fit to a residual; see `Learner.fit`."""
        labels = residual if split.rows is None else residual[split.rows]
        shares_bins = split.rows is not None and len(residual) >= MIN_ROWS_SHARED_BINS
        used_once = split.key is None and not shares_bins
        if used_once or len(labels) < 2 or not _are_safe_in_float32(labels):
            return super().fit(residual, split, seed)
        labels = np.ascontiguousarray(labels.T, dtype=np.float32)
        if self._template is None:
            self._make_template()
        binned = self._binned_rows(split, shares_bins)
        models, fitted = self._train_outputs(binned, labels, split, seed)
        model = models[0] if len(models) == 1 else OutputRegressors(models)
        fitted = fitted.T
        return model, fitted if split.predict_rows is None else fitted[split.predict_rows]

    def _train_outputs(self, binned, labels, split, seed):
        """The models of all outputs, and their values of the rows to predict.

        The values have the shape (n_outputs, n_samples).
        """
        fitted = np.empty((len(labels), self.view.shape[0]))
        models: list = [None] * len(labels)
        # without random numbers the seeds can stay, so that the booster can be rewound
        settings = self._fixed_seeds if self._rewinds else self.seeds.settings(seed)
        if self.fits_outputs_together and has_columns(binned.train):
            models = self._grow(binned, labels, split, fitted)
        terms = []
        for output, label in enumerate(labels):
            if models[output] is None:
                values = fitted[output : output + 1]
                model, has_values = self._train(binned, label, settings, split, values)
                models[output] = model
                terms += [] if has_values else [Term(output, model, 1.0)]
        self._predict_outputs(terms, split, fitted)
        return models, fitted

    def _grow(self, binned, labels, split, fitted):
        """The models of all outputs, grown by one booster; None if a tree has no split.

        The trees are those of a booster for each output, if they have a split. Values of
        the rows to predict are written to `fitted`.
        """
        booster = self._booster_of_outputs(binned, len(labels))
        gradient, hessian = -labels, np.ones_like(labels)
        if binned.weight is not None:
            gradient, hessian = gradient * binned.weight, hessian * binned.weight
        derivatives = gradient.T, hessian.T
        if len(labels) == 1:
            derivatives = gradient[0], hessian[0]
        ended = booster.update(fobj=lambda *_: derivatives)
        trees = OutputTrees(booster.model_to_string(), self._frame)
        if binned.predicts_from_bins:
            _copy_values(booster, binned, split, fitted)
        else:
            outputs, n_threads = list(range(len(labels))), self._training["num_threads"]
            model = MergedBooster(booster, n_threads, self._encoder)
            term = Term(outputs, model, 1.0)
            self._predict_outputs([term], split, fitted)
        if binned.booster is not None:
            booster.rollback_one_iter()
            if ended:  # trees without a split stay
                binned.booster = None
        return [
            LazyBooster((trees, output), self._fixed_seeds, self._template)
            if grown
            else None
            for output, grown in enumerate(trees.have_splits())
        ]

    def _predict_outputs(self, terms, split, fitted):
        """Write predictions of models to `fitted`, (n_outputs, n_samples)."""
        if split.predicts_nothing or not terms:
            return
        rows = slice(None) if split.predict_rows is None else split.predict_rows
        matrix = self._matrix if split.predict_rows is None else self._rows(rows)
        for outputs, model, _ in merge_boosters_of_outputs(terms):
            if isinstance(model, MergedBooster):
                values = model.predict_matrix(matrix)
            else:
                values = self.predict(model, split.predict_rows)
            values = values.reshape(matrix.shape[0], -1)
            for output, each in zip(np.atleast_1d(outputs), values.T, strict=True):
                fitted[output, rows] = each

    def _make_template(self):
        """Fit the model that every round copies, and find the training parameters."""
        some = np.arange(min(_TEMPLATE_ROWS, self.view.shape[0]))
        template, no_labels = self.seeds.clone(0), np.zeros(len(some))
        if self._encoder is None:
            template.fit(self._rows(some), no_labels)
        else:
            template.fit_matrix(self._encoder, self._rows(some), no_labels)
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
        is_dense = not sparse.issparse(self._matrix)
        if not user_chose and params["num_threads"] == 1 and is_dense:
            # With one thread both ways add the same numbers in the same order. By default
            # LightGBM tries both, which takes longer than growing a tree.
            self._training["force_col_wise"] = True
        self._template = template
        self._fixed_seeds = self.seeds.settings(0)
        if self._rewinds:
            template.set_params(**self._fixed_seeds)
        if self.fits_outputs_together:
            self._frame = OutputTrees.frame_of(booster.model_to_string())

    def _binned_rows(self, split, shares_bins):
        """The binned rows of a split, with bins of all rows if it shares them."""
        if split.key in self._binned:
            return self._binned[split.key]
        if shares_bins and IN_SAMPLE.key not in self._binned:
            self._binned[IN_SAMPLE.key] = self._bin(IN_SAMPLE)
        binned = self._cut_binned(split) if shares_bins else self._bin(split)
        if split.key is not None:
            self._binned[split.key] = binned
        return binned

    def _bin(self, split):
        """Bin the rows to fit to and, in the same bins, the other rows to predict."""
        view = self._matrix if split.rows is None else self._rows(split.rows)
        weight = self._weight(split)
        params = dict(self._training)
        categorical: Any = self._categorical or "auto"
        train = Dataset(view, weight=weight, params=params, categorical_feature=categorical)
        train.construct()  # labels are zeros
        train.label = train.weight = None  # LightGBM has copied them
        binned = Binned(train, self._other_rows(split), weight=weight)
        binned.predicts_from_bins = self._predicts_from_bins(view, len(binned.others))
        if binned.predicts_from_bins and len(binned.others):
            view = self._rows(binned.others)
            binned.predict = Dataset(view, reference=train, params=dict(params)).construct()
            binned.predict.label = None
        return binned

    def _cut_binned(self, split):
        """Cut the rows to fit to and the other rows to predict from all binned rows."""
        everything = self._binned[IN_SAMPLE.key]
        train, others = self._part(everything.train, split.rows), self._other_rows(split)
        binned = Binned(train, others, weight=self._weight(split))
        binned.predicts_from_bins = everything.predicts_from_bins
        if binned.predicts_from_bins and len(binned.others):
            binned.predict = self._part(everything.train, binned.others)
        return binned

    def _weight(self, split):
        """The sample weights of the rows to fit to; None without sample weights."""
        weight = self.fit_params.get("sample_weight")
        if weight is None:
            return None
        weight = np.asarray(weight)
        weight = weight if split.rows is None else weight[split.rows]
        return weight.astype(np.float32) if self._encoder is None else mean_one(weight)

    def _rows(self, rows):
        """Rows of the matrix that LightGBM receives."""
        return column_major(_safe_indexing(self._matrix, rows))

    def _other_rows(self, split):
        """Rows to predict that are not fitted to."""
        predicted = np.ones(self.view.shape[0], dtype=bool)
        if split.predict_rows is not None:
            predicted[:] = False
            predicted[split.predict_rows] = True
        predicted[slice(None) if split.rows is None else split.rows] = False
        return np.flatnonzero(predicted)

    def _part(self, everything, rows):
        """Cut binned rows, whose numbers ascend."""
        part = everything.subset([], params=dict(self._training))
        # `subset` would sort a list of them, which takes longer than to cut the rows
        part.used_indices = np.ascontiguousarray(rows, dtype=np.int32)
        part.construct()
        part.label = part.weight = part.used_indices = None
        return part

    def _predicts_from_bins(self, view, n_others):
        """Whether binned rows reach the same leaves as the rows themselves.

        They may not where LightGBM bundles columns, which may change a value in ten
        thousand of the rows that it has seen, and any value of other rows.
        """
        settings = self._settings
        if settings.get("enable_bundle") is False and "zero_as_missing" not in settings:
            return True
        unusual = {"max_bin", "min_data_in_bin", "zero_as_missing"} & settings.keys()
        if unusual or settings["subsample_for_bin"] < 10_000:
            return False
        if n_others == 0 and bundles_keep_values(view, self._categorical):
            return True
        return never_bundled(mode_counts(view, self._categorical), view.shape[0])

    def _train(self, binned, label, settings, split, fitted):
        """A model of one output, trained as by `LGBMRegressor`.

        Returns it, and whether its values of the rows to predict are in `fitted`,
        (1, n_samples). Otherwise it must predict them.
        """
        binned.train.set_field("label", label)
        booster = self._booster_of(binned, settings)
        rewinds = booster is binned.booster
        for _ in range(self._settings["n_estimators"]):
            ended = booster.update()
        text = booster.model_to_string()
        # LightGBM's own values may be wrong if the first tree has no split
        has_values = binned.predicts_from_bins and NO_SPLIT not in text
        if has_values:
            if not (rewinds or ended):  # an objective would make LightGBM convert values
                booster.reset_parameter({"objective": "none"})
            _copy_values(booster, binned, split, fitted)
        if rewinds:
            booster.rollback_one_iter()
            if ended:  # a tree without a split stays
                binned.booster = None
        trees, mark, parameters = text.partition("\nparameters:")
        text = trees + mark + self._with_user_parameters(parameters)
        return LazyBooster(text, settings, self._template), has_values

    def _with_user_parameters(self, parameters):
        """The parameters at the end of a text, as the organization gave them."""
        if parameters not in self._user_parameters:
            given = _SET_BY_TRAINING.sub(lambda match: self._shown[match[1]], parameters)
            self._user_parameters = {parameters: given}
        return self._user_parameters[parameters]

    def _booster_of(self, binned, settings):
        """A booster without trees, which is kept if it can be rewound."""
        rewinds = self._rewinds and not self.fits_outputs_together
        if rewinds and binned.booster is not None:
            return binned.booster
        booster = Booster({**self._training, **settings}, binned.train)
        if binned.predict is not None:
            booster.add_valid(binned.predict, "predict")
        if rewinds and self._keeps_booster(1):
            binned.booster = booster
        return booster

    def _booster_of_outputs(self, binned, n_outputs):
        """A booster without trees that grows one for each output."""
        booster = binned.booster
        if booster is not None and booster.num_model_per_iteration() == n_outputs:
            return booster
        params = {**self._training, "objective": "none", "num_class": n_outputs}
        booster = Booster(params, binned.train)
        if binned.predict is not None:
            booster.add_valid(binned.predict, "predict")
        keeps = self._keeps_booster(n_outputs)
        binned.booster = booster if keeps else None
        return booster

    def _keeps_booster(self, n_outputs):
        """Whether to rewind a booster is faster than to replace it."""
        n_rows, n_columns = self._matrix.shape
        n_bins = n_columns * min(self._settings.get("max_bin") or 255, n_rows)
        n_leaves = self._settings["num_leaves"] or DEFAULTS["num_leaves"]
        return (
            n_rows * n_outputs <= MIN_REWOUND_ROWS + REWOUND_ROWS_PER_COLUMN * n_columns
            and 16 * n_bins * n_leaves <= MAX_HISTOGRAM_BYTES
        )


def _copy_values(booster, binned, split, fitted):
    """Copy values of the rows to predict into `fitted`, (n_outputs, n_samples)."""
    rows = slice(None) if split.rows is None else split.rows

    def copy_to(rows, values):
        for each, copied in zip(fitted, values.reshape(len(values), -1).T, strict=True):
            each[rows] = copied
        return "values", 0.0, False

    if split.predict_rows is None or len(binned.others) < len(split.predict_rows):
        booster.eval_train(lambda values, _: copy_to(rows, values))
    if binned.predict is not None:
        booster.eval_valid(lambda values, _: copy_to(binned.others, values))


def _are_safe_in_float32(labels):
    """Whether labels need neither an error message nor another unit."""
    largest = np.max(np.abs(labels))
    return bool(largest <= np.finfo(np.float32).max) and label_unit(labels) == 1.0
