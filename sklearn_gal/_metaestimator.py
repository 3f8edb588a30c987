"""Parameters, tags and metadata routing of an estimator with local estimators."""

from difflib import get_close_matches
from functools import cache
from typing import Any, Self

from lightgbm import LGBMModel
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    get_routing_for_object,
    process_routing,
)

from ._learners import (
    LIGHTGBM_PARAMETERS,
    default_learner,
    did_you_mean,
    question,
    suggest,
    weight_parameter,
)
from ._organizations.faults import add_to_message, raise_together
from ._organizations.local import SOLE_ORGANIZATION

# Key of the splitter in the routing. Names of organizations do not contain "__".
SPLITTER = "cv__splitter"


def routing_enabled():
    """Whether metadata routing is enabled in scikit-learn's configuration."""
    return get_config()["enable_metadata_routing"]


class OrganizationsEstimator(BaseEstimator):
    """Base class of estimators with a list `organizations` of (name, estimator, columns).

    The estimators of the organizations are parameters under the organizations' names, and
    their parameters are nested parameters, ``<name>__<parameter>``. Where the estimator is
    None, the nested parameters are those of the default learner. These methods ignore a
    malformed list, so that `fit` can report it.
    """

    def get_params(self, deep=True) -> dict[str, Any]:
        """Get the parameters, including those of the organizations' estimators.

        Parameters
        ----------
        deep : bool, default=True
            If True, also return the estimator of each organization as ``<name>`` and its
            parameters as ``<name>__<parameter>``. For an estimator that is None, these are
            the parameters of :func:`~sklearn_gal.default_learner`.

        Returns
        -------
        params : dict
            Parameter names mapped to their values.
        """
        own = super().get_params(deep=False)
        if not deep:
            return own
        params = {}
        for name, estimator in self._named_estimators().items():
            params[name] = estimator
            if estimator is None:
                estimator = default_learner()
            if hasattr(estimator, "get_params") and not isinstance(estimator, type):
                for key, value in estimator.get_params(deep=True).items():
                    params[f"{name}__{key}"] = value
        return params | own

    def set_params(self, **params) -> Self:
        """Set parameters, including those of the organizations' estimators.

        Parameters
        ----------
        **params : dict
            Parameters of this estimator. In addition, ``<name>=estimator`` replaces the
            estimator of an organization, and ``<name>__<parameter>=value`` sets one of the
            estimator's parameters. If the estimator is None, it is replaced by
            :func:`~sklearn_gal.default_learner` with this setting.

        Returns
        -------
        self : estimator
            This estimator.

        Raises
        ------
        ValueError
            If a parameter is unknown.
        """
        if "organizations" in params:
            self.organizations = params.pop("organizations")
        own, named = self.get_params(deep=False), self._named_estimators()
        estimators = dict(named)
        nested: dict[str, dict] = {}
        for key in list(params):
            name, delimiter, parameter = key.partition("__")
            if name not in named or name in own:
                continue
            if delimiter:
                nested.setdefault(name, {})[parameter] = params.pop(key)
            else:
                estimators[name] = params.pop(key)
        for key in params:
            self._check_name(key.partition("__")[0], own, named)
        super().set_params(**params)
        for name, parameters in nested.items():
            estimators[name] = _with_parameters(name, estimators[name], parameters)
        if any(estimators[name] is not named[name] for name in named):
            self.organizations = [
                (name, estimators.get(name, estimator), columns)
                for name, estimator, columns in self.organizations
            ]
        return self

    def _check_name(self, name, own, named):
        """Check that a name is that of a parameter or of an organization."""
        if name not in own:
            raise ValueError(
                f"Invalid parameter {name!r} for {type(self).__name__}. "
                f"{did_you_mean(name, [*named, *own])}Its organizations are "
                f"{list(named)}, and its parameters are {sorted(own)}."
            )

    def _named_estimators(self):
        organizations = self.organizations
        if not isinstance(organizations, (list, tuple)):
            return {}
        if not all(isinstance(o, (list, tuple)) and len(o) == 3 for o in organizations):
            return {}
        return {o[0]: o[1] for o in organizations if isinstance(o[0], str)}

    def _local_estimators(self):
        """Dictionary of the local estimators, with the default one in place of None."""
        named = self._named_estimators() or {SOLE_ORGANIZATION: None}
        return {
            name: _requesting_learner() if estimator is None else estimator
            for name, estimator in named.items()
        }

    def _sk_visual_block_(self):
        """Show the organizations side by side in the HTML diagram.

        scikit-learn has no public method for this. ColumnTransformer creates the block, so
        that no private name is imported.
        """
        columns = {name: columns for name, _, columns in self.organizations or []}
        parts = []
        for name, estimator in self._local_estimators().items():
            shown = repr(estimator) if isinstance(estimator, type) else estimator
            parts.append((name, shown, columns.get(name, "all columns")))
        return ColumnTransformer(parts)._sk_visual_block_()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        named = self._named_estimators() or {SOLE_ORGANIZATION: None}
        local = [
            _default_input_tags() if estimator is None else get_tags(estimator).input_tags
            for estimator in named.values()
            if estimator is None or isinstance(estimator, BaseEstimator)
        ]
        tags.input_tags.sparse = all(each.sparse for each in local)
        tags.input_tags.allow_nan = all(each.allow_nan for each in local)
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata routing of this estimator.

        Returns
        -------
        routing : MetadataRouter
            Routes metadata of `fit` to the `fit` method of each organization's estimator
            and, if `cv` is a splitter, to its `split` method.
        """
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        for name, estimator in self._local_estimators().items():
            router.add(**{name: estimator}, method_mapping=to_fit)
        if hasattr(self.cv, "get_metadata_routing"):
            to_split = MethodMapping().add(caller="fit", callee="split")
            router.add(**{SPLITTER: self.cv}, method_mapping=to_split)
        return router

    def _route(self, organizations, sample_weight, params):
        """Parameters of the local fits, one dict per organization, and of `cv.split`."""
        if routing_enabled():
            if sample_weight is not None:
                params = {**params, "sample_weight": sample_weight}
                for organization in organizations:
                    takes_metadata = get_routing_for_object(organization.estimator)
                    if not isinstance(takes_metadata, MetadataRouter):
                        _require_weight_parameter(organization)
            routed = process_routing(self, "fit", **params)
            splits = params and hasattr(self.cv, "get_metadata_routing")
            split_params = routed[SPLITTER].split if splits else {}
            return [dict(routed[o.name].fit) for o in organizations], dict(split_params)
        unknown = sorted(params.keys() - {"groups"})
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.fit() got unexpected arguments {unknown}. To pass "
                "metadata to the organizations' estimators, enable metadata routing with "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if params and (isinstance(self.cv, str) or not hasattr(self.cv, "split")):
            raise ValueError(
                f"groups require a splitter as cv, e.g. GroupKFold(), got cv={self.cv!r}. "
                "Fit without groups or pass a splitter."
            )
        if sample_weight is None:
            return [{} for _ in organizations], params
        names, errors = [], {}
        for organization in organizations:
            try:
                names.append(_require_weight_parameter(organization))
            except ValueError as error:
                errors[organization.name] = error
        raise_together(errors)
        return [{name: sample_weight} for name in names], params


@cache
def _default_input_tags():
    """The tags of the default learner, which a prediction looks up several times."""
    return get_tags(default_learner()).input_tags


def _requesting_learner(**settings):
    """The default learner; it requests sample weights if metadata routing is enabled."""
    learner = default_learner(**settings)
    return learner.set_fit_request(sample_weight=True) if routing_enabled() else learner


def _with_parameters(name, estimator, parameters):
    """Set parameters of an organization's estimator; None is the default learner.

    Raises
    ------
    ValueError
        If a parameter is unknown. The `set_params` of LightGBM accepts every name.
    """
    current = default_learner() if estimator is None else estimator
    parts = current.get_params(deep=True) | parameters | {"": current}
    for part, model in parts.items():
        if isinstance(model, LGBMModel):
            _check_lightgbm_names(name, part, model, parameters)
    if estimator is None:
        return _requesting_learner(**parameters)
    try:
        estimator.set_params(**parameters)
    except Exception as error:
        known = sorted(estimator.get_params(deep=True))
        unknown = [key for key in parameters if key not in known]
        close = [match for key in unknown for match in _alike(key, known)]
        hint = question([f"{name}__{match}" for match in close])
        place = f"The estimator is that of organization {name!r}."
        add_to_message(error, f"{place} {hint}".rstrip())
        raise
    return estimator


def _alike(key, known):
    """Parameters of a step with the name of an unknown one; else those with alike names."""
    of_steps = [parameter for parameter in known if parameter.endswith(f"__{key}")]
    return of_steps or get_close_matches(key, known)


def _check_lightgbm_names(name, part, model, parameters):
    """Check the parameters of a LightGBM model that is `part` of a local estimator."""
    start = part and f"{part}__"
    known = LIGHTGBM_PARAMETERS | model.get_params().keys()
    for key in parameters:
        parameter = key.removeprefix(start)
        if key.startswith(start) and parameter not in known:
            raise ValueError(
                f"Cannot set '{name}__{key}': the {type(model).__name__} of "
                f"organization {name!r} has no parameter {parameter!r}. "
                f"{suggest(parameter, known)}"
            )


def _require_weight_parameter(organization):
    """Name of the `fit` parameter with which an organization's estimator takes weights.

    Raises
    ------
    ValueError
        If the estimator does not support sample weights.
    """
    name = weight_parameter(organization.estimator)
    if name is None:
        raise ValueError(
            f"The estimator of organization {organization.name!r}, "
            f"{type(organization.estimator).__name__}, does not support sample weights. "
            "Use an estimator that does, or fit without sample_weight and class_weight. "
            "If it is a meta-estimator that passes weights on, enable metadata routing."
        )
    return name
