"""Parameters, tags and metadata routing of an estimator with local estimators."""

from typing import Any, Self

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

from ._learners import weight_parameter
from ._organizations.local import SOLE_ORGANIZATION, default_estimator

# Key of the splitter in the routing. Names of organizations do not contain "__".
SPLITTER = "cv__splitter"


def routing_enabled():
    """Whether metadata routing is enabled in scikit-learn's configuration."""
    return get_config()["enable_metadata_routing"]


class OrganizationsEstimator(BaseEstimator):
    """Base class of estimators with a list `organizations` of (name, estimator, columns).

    The estimators of the organizations are parameters under the organizations' names, and
    their parameters are nested parameters, ``<name>__<parameter>``. These methods ignore a
    malformed list, so that `fit` can report it.
    """

    def get_params(self, deep=True) -> dict[str, Any]:
        """Get the parameters, including those of the organizations' estimators.

        Parameters
        ----------
        deep : bool, default=True
            If True, also return the estimator of each organization as ``<name>`` and its
            parameters as ``<name>__<parameter>``.

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
            estimator's parameters.

        Returns
        -------
        self : estimator
            This estimator.
        """
        if "organizations" in params:
            self.organizations = params.pop("organizations")
        own = self.get_params(deep=False)
        replaced = {
            name: params.pop(name)
            for name in self._named_estimators()
            if name in params and name not in own
        }
        if replaced:
            self.organizations = [
                (name, replaced.get(name, estimator), columns)
                for name, estimator, columns in self.organizations
            ]
        named = self._named_estimators()
        for key in params:
            name, _, parameter = key.partition("__")
            if parameter and name in named and named[name] is None:
                raise ValueError(
                    f"Cannot set {key!r}: organization {name!r} has the default local "
                    f"estimator. Set an estimator first, e.g. {name}=LGBMRegressor()."
                )
        return super().set_params(**params)

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
            name: default_estimator() if estimator is None else estimator
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
        local = []
        for estimator in self._local_estimators().values():
            if isinstance(estimator, BaseEstimator):
                local.append(get_tags(estimator).input_tags)
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
        named = self._named_estimators()
        for name, estimator in self._local_estimators().items():
            if named.get(name) is None and routing_enabled():
                estimator.set_fit_request(**{weight_parameter(estimator): True})
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
        if params and not hasattr(self.cv, "split"):
            raise ValueError(
                f"groups require a splitter as cv, e.g. GroupKFold(), got cv={self.cv!r}. "
                "Fit without groups or pass a splitter."
            )
        if sample_weight is None:
            return [{} for _ in organizations], params
        names = [_require_weight_parameter(each) for each in organizations]
        return [{name: sample_weight} for name in names], params


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
