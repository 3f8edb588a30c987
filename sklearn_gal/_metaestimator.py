"""Parameters, tags and metadata of an estimator made of organizations' estimators."""

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

from ._learners.base import weight_parameter
from ._organizations.local import SOLE_ORGANIZATION, default_estimator

# Key of the splitter in the routing; no organization's name contains "__".
SPLITTER = "cv__splitter"


def routing_enabled():
    """Whether the user has switched metadata routing on."""
    return get_config()["enable_metadata_routing"]


class OrganizationsEstimator(BaseEstimator):
    """An estimator with a list `organizations` of (name, estimator, columns).

    The organizations' estimators are parameters under their names, and theirs are nested
    parameters, ``<name>__<parameter>``. A malformed list is `fit`'s to complain about.
    """

    def get_params(self, deep=True) -> dict[str, Any]:
        """Get parameters, those of the organizations' estimators included.

        Parameters
        ----------
        deep : bool, default=True
            If True, the estimator of every organization under the organization's name,
            and its parameters as ``<name>__<parameter>``.

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
        """Set parameters, those of the organizations' estimators included.

        Parameters
        ----------
        **params : dict
            Parameters of this estimator; ``<name>=estimator`` replaces the estimator of
            an organization, ``<name>__<parameter>=value`` sets a parameter of it.

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
                    f"estimator. Give it one first, e.g. {name}=LGBMRegressor()."
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
        """Organization name -> estimator, the default one where there is none."""
        named = self._named_estimators() or {SOLE_ORGANIZATION: None}
        return {
            name: default_estimator() if estimator is None else estimator
            for name, estimator in named.items()
        }

    def _sk_visual_block_(self):
        """The HTML diagram: the organizations side by side, as ColumnTransformer's parts.

        scikit-learn asks for this private method and for nothing public; its own class
        makes the block, so that none of its private names is imported.
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
        """Metadata routing: sample weights, and whatever the local fits request.

        Returns
        -------
        routing : MetadataRouter
            Routes `fit` to the `fit` of every organization's estimator, and to the
            `split` of `cv` if that is a splitter.
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
        """Parameters of every organization's local fits, and of the splitter's `split`."""
        if routing_enabled():
            if sample_weight is not None:
                params = {**params, "sample_weight": sample_weight}
                for organization in organizations:
                    takes_metadata = get_routing_for_object(organization.estimator)
                    if not isinstance(takes_metadata, MetadataRouter):
                        _weight_parameter(organization)
            routed = process_routing(self, "fit", **params)
            splits = params and hasattr(self.cv, "get_metadata_routing")
            split_params = routed[SPLITTER].split if splits else {}
            return [dict(routed[o.name].fit) for o in organizations], dict(split_params)
        unknown = sorted(params.keys() - {"groups"})
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.fit() got unexpected arguments {unknown}. To pass "
                "metadata on to the organizations' estimators, enable metadata routing: "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if params and not hasattr(self.cv, "split"):
            raise ValueError(
                f"groups are for a splitter given as cv, e.g. GroupKFold(), not for cv="
                f"{self.cv!r}."
            )
        if sample_weight is None:
            return [{} for _ in organizations], params
        return [{_weight_parameter(each): sample_weight} for each in organizations], params


def _weight_parameter(organization):
    """Name under which its estimator takes sample weights."""
    name = weight_parameter(organization.estimator)
    if name is None:
        raise ValueError(
            f"The estimator of organization {organization.name!r}, "
            f"{type(organization.estimator).__name__}, does not support sample weights. "
            "Give it one that does, fit without sample_weight and class_weight, or, if it "
            "passes weights on to an estimator of its own, enable metadata routing."
        )
    return name
