"""Pipelines whose transformers do not look at the target: fitted once, not each round."""

from copy import copy

from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from .base import IN_SAMPLE, Learner, OutputRegressors, read
from .views import AssistedView, with_columns

# Transformers that ignore the target, whatever their parameters, and make of the rows they
# are fitted to what they make of other rows
UNSUPERVISED = {
    Binarizer,
    KBinsDiscretizer,
    KNNImputer,
    MaxAbsScaler,
    MinMaxScaler,
    MissingIndicator,
    Normalizer,
    Nystroem,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RBFSampler,
    RobustScaler,
    SimpleImputer,
    SplineTransformer,
    StandardScaler,
    VarianceThreshold,
}
# From so many rows on, transformers are fitted to all of them, and not to those of a fold.
TRANSFORMED_ONCE_FROM = 1_000
# Transformed columns are kept for the next round up to so many bytes in all.
MAX_KEPT_BYTES = 2**28


class PipelineLearner(Learner):
    """A `Pipeline` whose transformers are fitted once for all fits to the same rows.

    Of many rows, once for all folds as well. The last step is fitted to the transformed
    columns by its own learner.
    """

    @classmethod
    def takes(cls, estimator, view, fit_params):
        """Whether the transformers are known to be the same in all rounds."""
        if type(estimator) is not Pipeline or len(estimator.steps) < 2:
            return False
        last = estimator.steps[-1][0]
        return (
            estimator.memory is None
            and not estimator.verbose
            and getattr(estimator, "transform_input", None) is None
            and hasattr(estimator.steps[-1][1], "fit")
            and fit_params.keys() <= {f"{last}__sample_weight"}
            and all(recurs(step) for _, step in estimator.steps[:-1])
            and not isinstance(view, AssistedView)
        )

    def __init__(self, estimator, view, fit_params, make_learner):
        super().__init__(estimator, view, fit_params)
        self._make_learner = make_learner
        self._transformers, self._learners = {}, {}

    def _arguments(self):
        return *super()._arguments(), self._make_learner

    def fit(self, residual, split, seed):
        """Fit to `residual` (n_samples, n_outputs) as `split` says.

        Returns the fitted model and its predictions for the rows to be judged.
        """
        if not self.recurs(split):
            return super().fit(residual, split, seed)
        return self.fit_last_step(residual, split, seed, self._pipeline)

    def recurs(self, split):
        """Whether the transformers of this split serve others."""
        return split.key is not None or self.view.shape[0] >= TRANSFORMED_ONCE_FROM

    def fit_last_step(self, residual, split, seed, pipeline_of, columns=None):
        """As `fit`, with `columns` behind the transformed ones.

        `pipeline_of` puts fitted transformers and a fitted last step together.
        """
        of_all = self.view.shape[0] >= TRANSFORMED_ONCE_FROM
        transformers, learner = self._prepare(IN_SAMPLE if of_all else split)
        if columns is not None:
            learner = learner.with_assistance(columns)
        model, fitted = learner.fit(residual, split, seed)
        model = read(model)
        if isinstance(model, OutputRegressors):
            each = [pipeline_of(transformers, one) for one in model.estimators]
            return OutputRegressors(each), fitted
        return pipeline_of(transformers, model), fitted

    def _assisted_by(self, columns):
        if type(self.estimator.steps[-1][1]) is Pipeline:  # which transforms them as well
            return super()._assisted_by(columns)
        return AssistedPipelineLearner(self, columns)

    def forget(self, key):
        """Let go of what is kept for the splits with this key."""
        self._transformers.pop(key, None)
        self._learners.pop(key, None)

    def _prepare(self, split):
        """Fitted transformers, and the last step's learner on what they make of a view."""
        if split.key not in self._transformers:
            transformers = self.seeds.clone(0)[:-1]
            transformers.fit(self.view if split.rows is None else self._cut(split.rows))
            self._transformers[split.key] = transformers
        transformers = self._transformers[split.key]
        learner = self._learners.get(split.key)
        if learner is None:
            view = transformers.transform(self.view)
            weights = self.fit_params.values()
            params = dict(zip(["sample_weight"], weights, strict=False))
            learner = self._make_learner(self.seeds.estimator.steps[-1][1], view, params)
            learner.multi_output = self.multi_output
            kept = sum(_size(each.view) for each in self._learners.values())
            if kept + _size(view) <= MAX_KEPT_BYTES:
                self._learners[split.key] = learner
        return transformers.steps, learner

    def _pipeline(self, transformers, model):
        """The fitted pipeline that clone and fit would have returned."""
        pipeline = copy(self.seeds.estimator)
        pipeline.steps = [*transformers, (pipeline.steps[-1][0], model)]
        return pipeline


class AssistedPipelineLearner(Learner):
    """A pipeline whose last step also sees what others have sent, transformed as before.

    Parameters
    ----------
    own : PipelineLearner
        What fits the pipeline without them.
    columns : ndarray of shape (n_samples, n_columns)
        What they have sent.
    """

    def __init__(self, own, columns):
        stacked, view = with_columns(own.estimator, AssistedView(own.view, columns))
        super().__init__(stacked, view, own.fit_params)
        self._own, self._columns = own, columns

    def _arguments(self):
        return self._own, self._columns

    def fit(self, residual, split, seed):
        """Fit to `residual` (n_samples, n_outputs) as `split` says.

        Returns the fitted model and its predictions for the rows to be judged.
        """
        if not self._own.recurs(split):
            return super().fit(residual, split, seed)
        return self._own.fit_last_step(
            residual, split, seed, self.seeds.estimator.of, self._columns
        )


def recurs(step):
    """Whether a transformer is the same whenever it is fitted to the same rows."""
    if step in (None, "passthrough", "drop"):
        return True
    if type(step) is ColumnTransformer:
        return all(recurs(each) for _, each, _ in step.transformers) and recurs(
            step.remainder
        )
    if type(step) is FeatureUnion:
        return all(recurs(each) for _, each in step.transformer_list)
    if type(step) is Pipeline:
        return step.memory is None and all(recurs(each) for _, each in step.steps)
    seed = getattr(step, "random_state", 0)
    return type(step) in UNSUPERVISED and isinstance(seed, int)


def _size(view):
    """Bytes of an array, a sparse matrix or a dataframe."""
    if sparse.issparse(view):
        return view.data.nbytes + view.indices.nbytes
    if hasattr(view, "estimated_size"):  # polars
        return view.estimated_size()
    if hasattr(view, "memory_usage"):
        return int(view.memory_usage().sum())
    return view.nbytes
