"""Pipelines whose transformers ignore the target, so that they are fitted once."""

from collections import defaultdict
from copy import copy
from typing import Any

import joblib
import numpy as np
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
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

from .base import Learner
from .composites import n_columns_of, origin_of_columns
from .explained import Explanation, add_explanations, explain_terms
from .lightgbm_guard import guard
from .models import OutputRegressors, Term, to_estimator

# Transformers that ignore the target, whatever their parameters are, and that transform the
# rows they are fitted to in the same way as other rows
UNSUPERVISED = {
    Binarizer,
    CountVectorizer,
    DictVectorizer,
    FeatureHasher,
    HashingVectorizer,
    KBinsDiscretizer,
    KNNImputer,
    MaxAbsScaler,
    MinMaxScaler,
    MissingIndicator,
    Normalizer,
    Nystroem,
    OneHotEncoder,
    OrdinalEncoder,
    PCA,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RBFSampler,
    RobustScaler,
    SimpleImputer,
    SplineTransformer,
    StandardScaler,
    TfidfTransformer,
    TfidfVectorizer,
    TruncatedSVD,
    VarianceThreshold,
}
# Those whose random numbers only draw rows or start a decomposition
SEEDED = {KBinsDiscretizer, PCA, QuantileTransformer, TruncatedSVD}
# Transformed columns are cached for the next round up to this size in all.
MAX_CACHED_BYTES = 2**28


class PipelineLearner(Learner):
    """A `Pipeline` whose transformers are fitted once, to all rows of the organization.

    They ignore the target, so that a transformer that knows the rows of a fold tells
    nothing of their residuals. The last step is fitted to the transformed columns by a
    learner for that step.
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
            and all(refits_identically(step) for _, step in estimator.steps[:-1])
        )

    @staticmethod
    def merge(terms, sum_terms):
        """Merge pipelines with the same fitted transformers into one."""
        others, groups = [], defaultdict(list)
        hashes: dict = {}
        for term in terms:
            if type(term.model) is Pipeline and all(
                refits_identically(step) for _, step in term.model.steps[:-1]
            ):
                groups[_transformers_hash(term.model, hashes)].append(term)
            else:
                others.append(term)
        merged = [MergedPipeline(group, sum_terms) for group in groups.values()]
        return others + [Term(None, model, 1.0) for model in merged]

    @staticmethod
    def explain(model, view, background):
        """SHAP values of the last steps, mapped back to the columns that went in."""
        return model.explain(view, background) if type(model) is MergedPipeline else None

    @staticmethod
    def n_outputs(model, n_outputs):
        """The number of outputs of a pipeline's last step."""
        return n_outputs(model.steps[-1][1]) if type(model) is Pipeline else None

    def __init__(self, estimator, view, fit_params, make_learner):
        super().__init__(estimator, view, fit_params, make_learner)
        self._transformers: Any = None
        self._learner: Any = None

    def fit(self, residual, split, seed):
        """Fit to a residual; see `Learner.fit`."""
        transformers, learner = self._prepare()
        model, fitted = learner.fit(residual, split, seed)
        model = to_estimator(model)
        if isinstance(model, OutputRegressors):
            each = [self._from_fitted_steps(transformers, one) for one in model.estimators]
            return OutputRegressors(each), fitted
        return self._from_fitted_steps(transformers, model), fitted

    def _prepare(self):
        """Fitted transformers, and the last step's learner on the transformed columns."""
        if self._transformers is None:
            self._transformers = guard(self.seeds.clone(0)[:-1]).fit(self.view)
        if self._learner is not None:
            return self._transformers.steps, self._learner
        view = _transform(self._transformers.steps, self.view)
        weights = self.fit_params.values()
        params = dict(zip(["sample_weight"], weights, strict=False))
        learner = self.make_learner(self.seeds.estimator.steps[-1][1], view, params)
        learner.multi_output = self.multi_output
        if _size(view) <= MAX_CACHED_BYTES:
            self._learner = learner
        return self._transformers.steps, learner

    def _from_fitted_steps(self, transformers, model):
        """The fitted pipeline that clone and fit would have returned."""
        pipeline = copy(self.seeds.estimator)
        pipeline.steps = [*transformers, (pipeline.steps[-1][0], model)]
        return pipeline


class MergedPipeline:
    """The sum of pipelines that have the same fitted transformers.

    Parameters
    ----------
    terms : list of Term
        Fitted pipelines with their coefficients.
    sum_terms : callable
        Makes a function of a view for the sum of terms.
    """

    def __init__(self, terms, sum_terms):
        self._transformers = terms[0].model.steps[:-1]
        last = [term._replace(model=term.model.steps[-1][1]) for term in terms]
        self._sum_of_last_steps = sum_terms(last)

    def predict(self, view):
        """The sum, (n_samples, n_outputs), for the rows of a view."""
        return self._sum_of_last_steps(self.transform(view))

    def transform(self, view):
        """The rows of a view, transformed."""
        return _transform(self._transformers, view)

    def explain(self, view, background):
        """SHAP values of the columns of a view.

        Those of transformed columns are added up, if each of these is a function of a
        single column of the view.

        Returns
        -------
        explanation : Explanation or None
            None if a transformed column depends on several columns, or if the models of
            the last steps are not known.
        """
        others = background.view
        origin = origin_of_columns(self.transform, view, others)
        if origin is None:
            return None
        transformed = background._replace(view=self.transform(others))
        explained, rest = explain_terms(
            self._sum_of_last_steps, self.transform(view), transformed
        )
        if rest:
            return None
        values, base, _ = add_explanations(explained)
        of_columns = np.zeros((len(values), n_columns_of(view), values.shape[2]))
        for column in range(of_columns.shape[1]):
            of_columns[:, column] = values[:, origin == column].sum(axis=1)
        return Explanation.exact(of_columns, base)


def _transform(steps, view):
    """The view, transformed by fitted steps, some of which may have no state."""
    for _, transformer in steps:
        if transformer not in (None, "passthrough"):
            view = transformer.transform(view)
    return view


def _transformers_hash(pipeline, hashes):
    """The same for pipelines that transform in the same way.

    A continued fit has fitted equal transformers again, which are other objects. `hashes`
    are those of the objects seen so far.
    """
    steps = [step for _, step in pipeline.steps[:-1]]
    ids = tuple(map(id, steps))
    if ids not in hashes:
        hashes[ids] = joblib.hash(steps)
    return hashes[ids]


def refits_identically(step):
    """Whether a transformer is the same whenever it is fitted to the same rows."""
    if step in (None, "passthrough", "drop"):
        return True
    if type(step) is ColumnTransformer:
        return all(
            refits_identically(each) for _, each, _ in step.transformers
        ) and refits_identically(step.remainder)
    if type(step) is FeatureUnion:
        return all(refits_identically(each) for _, each in step.transformer_list)
    if type(step) is Pipeline:
        return step.memory is None and all(
            refits_identically(each) for _, each in step.steps
        )
    seed = getattr(step, "random_state", 0)
    has_seed = isinstance(seed, int) or (seed is None and type(step) in SEEDED)
    return type(step) in UNSUPERVISED and has_seed


def _size(view):
    """Bytes of an array, a sparse matrix or a dataframe."""
    if sparse.issparse(view):
        return view.data.nbytes + view.indices.nbytes
    if hasattr(view, "estimated_size"):  # polars
        return view.estimated_size()
    if hasattr(view, "memory_usage"):
        return int(view.memory_usage().sum())
    return view.nbytes
