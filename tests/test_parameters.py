import re

import lightgbm
import numpy as np
import pytest
from lightgbm import LGBMRegressor
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_gal import GALClassifier, GALRegressor, default_learner
from sklearn_gal._learners import LIGHTGBM_PARAMETERS, is_known_to_lightgbm
from sklearn_gal._organizations.suitability import check_suits
from sklearn_gal.privacy import LaplaceMechanism


def two():
    return [
        ("bank", Ridge(alpha=2), slice(0, 5)),
        ("shop", make_pipeline(StandardScaler(), Ridge()), slice(5, 10)),
    ]


def test_nested_parameters():
    model = GALRegressor(two())
    params = model.get_params()
    assert params["bank"].alpha == params["bank__alpha"] == 2
    assert params["shop__ridge__alpha"] == 1
    assert not {"bank", "bank__alpha"} & model.get_params(deep=False).keys()
    model.set_params(bank__alpha=5, shop__ridge__alpha=6, max_iter=3)
    assert model.organizations[0][1].alpha == 5
    assert model.organizations[1][1][-1].alpha == 6
    assert model.max_iter == 3


def test_whole_estimators_are_replaced_without_touching_the_list_given():
    given = two()
    model = GALRegressor(given).set_params(bank=Lasso(), bank__alpha=0.5)
    assert isinstance(model.organizations[0][1], Lasso)
    assert model.organizations[0][1].alpha == 0.5
    assert isinstance(given[0][1], Ridge)
    assert model.set_params(bank=None).organizations[0][1] is None
    assert model.set_params(bank=Ridge()).get_params()["bank__alpha"] == 1


def test_list_and_estimator_in_one_call():
    model = GALRegressor().set_params(organizations=two(), bank=Lasso())
    assert isinstance(model.get_params()["bank"], Lasso)


def test_unknown_parameters():
    with pytest.raises(ValueError, match="Invalid parameter 'mint'"):
        GALRegressor(two()).set_params(mint=Ridge())
    with pytest.raises(ValueError, match="Invalid parameter 'gamma'"):
        GALRegressor(two()).set_params(bank__gamma=1)
    with pytest.raises(ValueError, match="organization 'bank' has no parameter 'gamma'"):
        GALRegressor([("bank", None, 0)]).set_params(bank__gamma=1)


DEFAULTS = default_learner().get_params()
# The learner has "verbosity", of which "verbose" is an alias.
SETTINGS = sorted(LIGHTGBM_PARAMETERS - {"verbose", "verbosity"})


def with_none():
    return [("bank", Ridge(alpha=2), slice(0, 5)), ("weather", None, slice(5, 10))]


def with_weather(estimator):
    return GALRegressor([*with_none()[:1], ("weather", estimator, slice(5, 10))])


@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_none_is_the_default_learner(cancer, gal):
    X, y = cancer
    given = [
        (name, estimator or default_learner(), c) for name, estimator, c in with_none()
    ]
    fits = [
        gal(held, max_iter=3, random_state=0).fit(X, y) for held in (with_none(), given)
    ]
    np.testing.assert_array_equal(*(fit.predict(X) for fit in fits))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_overrides_one_default(name):
    value = object()
    learner = default_learner(**{name: value})
    assert isinstance(learner, LGBMRegressor)
    assert learner.get_params() == DEFAULTS | {name: value}
    model = GALRegressor(with_none()).set_params(**{f"weather__{name}": value})
    assert model.get_params()["weather"].get_params() == learner.get_params()


def test_the_verbosity_can_be_set_by_both_names():
    assert default_learner(verbosity=1).get_params() == DEFAULTS | {"verbosity": 1}
    alias = default_learner(verbose=1).get_params()
    assert alias["verbose"] == 1
    assert "verbosity" not in alias


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("num_leafs", r"Did you mean 'num_leaves'\?"),
        ("max_bins", r"Did you mean 'max_bin'\?"),
        ("linear_tree", "use an LGBMRegressor whose constructor receives it"),
        ("", "The known parameters are"),
    ],
)
def test_unknown_settings_of_the_default_learner(name, hint):
    with pytest.raises(TypeError, match=f"unknown setting '{name}'.*{hint}") as raised:
        default_learner(num_leaves=8, **{name: 1})
    assert str(sorted(LIGHTGBM_PARAMETERS)) in str(raised.value)


def test_parameters_of_none_are_those_of_the_default_learner():
    model = GALRegressor(with_none())
    params = model.get_params()
    assert params["weather"] is None
    nested = {f"weather__{name}": value for name, value in DEFAULTS.items()}
    assert {k: v for k, v in params.items() if k.startswith("weather__")} == nested
    assert not nested.keys() & model.get_params(deep=False).keys()


def test_setting_parameters_of_none_touches_neither_the_list_nor_other_settings():
    given = with_none()
    model = GALRegressor(given)
    model.set_params(weather__num_leaves=8, bank__alpha=3).set_params(weather__max_bin=31)
    learner = model.get_params()["weather"]
    assert learner.get_params() == DEFAULTS | {"num_leaves": 8, "max_bin": 31}
    assert given[1][1] is None
    assert model.organizations[0] == given[0]
    assert clone(model).get_params()["weather__num_leaves"] == 8
    assert GALRegressor(given).get_params()["weather__num_leaves"] is None


def test_settings_equal_to_the_defaults_change_no_bit(diabetes):
    X, y = diabetes
    model = GALRegressor(with_none(), max_iter=3, random_state=0)
    params = model.get_params()
    explicit = clone(model).set_params(**params)
    assert isinstance(explicit.get_params()["weather"], LGBMRegressor)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), explicit.fit(X, y).predict(X))


def test_none_stays_where_nothing_is_set():
    model = GALRegressor(with_none()).set_params(bank__alpha=3, max_iter=4)
    for copy in (model, clone(model), clone(make_pipeline(model))[0]):
        assert copy.organizations[1][1] is None
    assert repr(clone(model)) == repr(model)
    assert model.set_params(weather=None).organizations[1][1] is None
    assert model.set_params().organizations[1][1] is None


def test_whole_estimators_and_their_parameters_in_one_call():
    model = GALRegressor(with_none())
    model.set_params(weather__alpha=3, weather=Ridge())
    assert repr(model.get_params()["weather"]) == "Ridge(alpha=3)"
    model.set_params(weather__num_leaves=8, weather=None)
    assert model.get_params()["weather"].get_params() == DEFAULTS | {"num_leaves": 8}
    assert model.set_params(weather=None).get_params()["weather"] is None


def test_parameters_of_none_inside_a_pipeline():
    pipeline = make_pipeline(GALRegressor(with_none()))
    pipeline.set_params(galregressor__weather__num_leaves=8)
    assert pipeline.get_params()["galregressor__weather"].num_leaves == 8


@pytest.mark.parametrize(
    ("estimator", "prefix"),
    [
        (None, ""),
        (LGBMRegressor(), ""),
        (LGBMRegressor(max_bin=31), ""),
        (make_pipeline(StandardScaler(), LGBMRegressor()), "lgbmregressor__"),
        (
            TransformedTargetRegressor(make_pipeline(LGBMRegressor())),
            "regressor__lgbmregressor__",
        ),
    ],
)
@pytest.mark.parametrize(
    ("misspelt", "close"), [("num_leafs", "num_leaves"), ("learning_rat", "learning_rate")]
)
def test_misspelt_parameters_of_lightgbm(estimator, prefix, misspelt, close):
    model = with_weather(estimator)
    organizations = model.organizations
    key = f"weather__{prefix}{misspelt}"
    kind = "DefaultLearner" if estimator is None else "LGBMRegressor"
    message = (
        f"Cannot set '{key}': the {kind} of organization 'weather' has no parameter "
        f"'{misspelt}'. Did you mean '{close}'"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        model.set_params(bank=Lasso(), **{key: 8})
    assert model.organizations is organizations
    if estimator is not None:
        assert f"{prefix}{misspelt}" not in estimator.get_params()
    search = GridSearchCV(model, {key: [8]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=re.escape(message)):
        search.fit(np.zeros((9, 10)), np.arange(9))


@pytest.mark.parametrize("parameter", ["num_leaves__x", "x__num_leaves", ""])
@pytest.mark.parametrize("estimator", [None, LGBMRegressor()])
def test_parameters_that_lightgbm_cannot_have(estimator, parameter):
    message = f"organization 'weather' has no parameter '{parameter}'"
    with pytest.raises(ValueError, match=message):
        with_weather(estimator).set_params(**{f"weather__{parameter}": 8})


def test_a_misspelt_parameter_of_a_replacement():
    model = GALRegressor(two())
    with pytest.raises(ValueError, match="Did you mean 'num_leaves'"):
        model.set_params(shop__ridge=LGBMRegressor(), shop__ridge__num_leafs=8)
    with pytest.raises(ValueError, match="Did you mean 'num_leaves'"):
        model.set_params(shop=LGBMRegressor(), shop__num_leafs=8)


def test_misspelt_parameters_of_other_estimators_name_the_organization():
    for key in ("bank__alhpa", "shop__ridge__alhpa"):
        with pytest.raises(ValueError, match="Invalid parameter 'alhpa'") as raised:
            GALRegressor(two()).set_params(**{key: 1})
        added = str(raised.value).splitlines()[-1]
        assert f"organization {key.partition('__')[0]!r}" in added
        assert f"Did you mean '{key.replace('alhpa', 'alpha')}'" in added


def test_parameters_without_their_step_name_the_step():
    with pytest.raises(ValueError, match="Invalid parameter 'alpha'") as raised:
        GALRegressor(two()).set_params(shop__alpha=1)
    assert "Did you mean 'shop__ridge__alpha'?" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("learning_rate", "constant", "a float or 'auto'"),
        ("max_iter", "auto", "an int or None"),
        ("validation_fraction", "auto", "a float or an int"),
    ],
)
def test_parameters_of_two_types(name, value, expected):
    message = f"^{name} must be {expected}, got '{value}'.$"
    with pytest.raises(TypeError, match=message):
        GALRegressor(**{name: value}).fit(np.ones((9, 1)), np.arange(9))


@pytest.mark.parametrize(
    ("key", "close"), [("bnak__alpha", "bank"), ("shpo", "shop"), ("max_itre", "max_iter")]
)
def test_unknown_names_list_the_organizations(key, close):
    model = GALRegressor(two())
    organizations = model.organizations
    message = (
        f"Invalid parameter '{key.partition('__')[0]}' for GALRegressor. Did you mean "
        f"'{close}'.*organizations are ['bank', 'shop'].*'cv', 'early_stopping'"
    )
    pattern = re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=pattern):
        model.set_params(bank=Lasso(), max_iter=7, **{key: 1})
    assert model.organizations is organizations
    assert model.max_iter is None


# --- parameters that LightGBM does not know ---

POSITIONS = {
    "alone": lambda model: model,
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "target": TransformedTargetRegressor,
    "voting": lambda model: VotingRegressor([("one", Ridge()), ("two", model)]),
    "nested": lambda model: make_pipeline(MultiOutputRegressor(make_pipeline(model))),
    "search": lambda model: GridSearchCV(model, {"n_estimators": [1, 2]}, cv=2),
}


@pytest.mark.parametrize("position", POSITIONS)
def test_misspelt_parameters_given_to_lightgbm(linear, position):
    X, y = linear
    around = POSITIONS[position]
    held = [
        ("bank", around(LGBMRegressor(num_leafs=8)), [0, 1]),
        ("shop", around(LGBMRegressor(linear_tree=False, gamma_ray=8)), [2, 3]),
    ]
    message = (
        "LGBMRegressor of organization 'bank' has the parameter 'num_leafs', which "
        r"LightGBM does not know. Did you mean .*'num_leaves'.*\n.*'shop' has "
        "the parameter 'gamma_ray', which"
    )
    with pytest.raises(ValueError, match=message):
        GALRegressor(held).fit(X, y)


@pytest.mark.parametrize("position", ["alone", "pipeline"])
def test_parameters_and_aliases_that_lightgbm_knows(linear, position):
    X, y = linear
    known = {"eta": 0.1, "min_data": 5, "feature_fraction_bynode": 0.5, "path_smooth": 1.0}
    model = LGBMRegressor(n_estimators=2, verbosity=-1, **known)
    held = [("bank", POSITIONS[position](model), [0, 1, 2, 3])]
    assert GALRegressor(held, max_iter=2).fit(X, y).n_iter_ == 2


def test_the_names_of_lightgbm_are_those_of_the_installed_version():
    aliases = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    names = aliases.keys() | {name for each in aliases.values() for name in each}
    assert all(is_known_to_lightgbm(name) for name in names)
    assert not is_known_to_lightgbm("num_leafs")


class WithOwnParameter(LGBMRegressor):
    def __init__(self, num_leafs=3, **settings):
        self.num_leafs = num_leafs
        super().__init__(**settings)


def test_a_subclass_of_a_lightgbm_model_may_have_parameters(linear):
    with pytest.raises(ValueError, match="'leafs', which LightGBM does not know"):
        GALRegressor([("bank", WithOwnParameter(leafs=3), [0, 1])]).fit(*linear)
    check_suits("bank", WithOwnParameter(n_estimators=1, class_weight=None), 2)


def test_what_the_constructor_of_lightgbm_received_can_be_set():
    model = with_weather(LGBMRegressor(linear_tree=False))
    model.set_params(weather__linear_tree=True, weather__max_bin=31)
    assert model.get_params()["weather__linear_tree"] is True
    with pytest.raises(ValueError, match="no parameter 'linear_tree'"):
        with_weather(LGBMRegressor()).set_params(weather__linear_tree=True)


def test_grid_search_over_parameters_of_none(diabetes):
    X, y = diabetes
    model = GALRegressor(with_none(), max_iter=3, random_state=0)
    search = GridSearchCV(model, {"weather__num_leaves": [4, 8]}, cv=2).fit(X, y)
    given = [default_learner(num_leaves=leaves) for leaves in (4, 8)]
    expected = GridSearchCV(model, {"weather": given}, cv=2).fit(X, y)
    for result in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(
            search.cv_results_[result], expected.cv_results_[result]
        )
    assert model.organizations[1][1] is None
    assert search.best_params_ == {
        "weather__num_leaves": search.best_estimator_.get_params()["weather"].num_leaves
    }


def test_sample_weights_reach_the_default_learner_with_parameters(diabetes, rng):
    X, y = diabetes
    weight = rng.gamma(1, size=len(y))
    held = [("weather", None, slice(5, 10))]
    plain = GALRegressor(held, max_iter=2, random_state=0)
    expected = clone(plain).set_params(weather__num_leaves=8).fit(X, y, weight).predict(X)
    with config_context(enable_metadata_routing=True):
        model = clone(plain).set_params(weather__num_leaves=8)
        routed = clone(model).fit(X, y, sample_weight=weight).predict(X)
        np.testing.assert_array_equal(routed, expected)
        grid = {"weather__num_leaves": [4, 8], "weather__max_bin": [31]}
        for start in (plain, model):
            start.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            search = GridSearchCV(start, grid, cv=2, error_score="raise")
            search.fit(X, y, sample_weight=weight)


# scikit-learn's checks that read, set or copy parameters
CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check.func.__name__}")
    for gal in (GALRegressor, GALClassifier)
    for estimator, check in estimator_checks_generator(gal([("weather", None, [0])]))
    if re.search("param|clone|repr|mutable|init|html", check.func.__name__)
]


@pytest.mark.filterwarnings("ignore:The fit ended without a round")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_checks_of_parameters_with_none(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "organizations", [None, 3, "x", [1], [("a", Ridge())], [(1, 2, 3)]]
)
def test_parameters_of_malformed_organizations(organizations):
    model = GALRegressor(organizations)
    assert model.get_params()["organizations"] is organizations
    model.set_params(max_iter=2)
    repr(model)


def test_clone_is_deep():
    model = GALRegressor(two(), max_iter=4)
    copy = clone(model)
    assert copy.organizations is not model.organizations
    assert copy.get_params()["bank"] is not model.get_params()["bank"]
    assert repr(copy) == repr(model)


def test_grid_search_over_parameters_and_estimators(diabetes):
    X, y = diabetes
    grid = [
        {"bank__alpha": [0.01, 1]},
        {
            "bank": [Lasso(0.1), LGBMRegressor(n_estimators=3, verbosity=-1)],
            "max_iter": [2],
        },
        {"organizations": [two(), [("all", Ridge(), slice(None))]]},
    ]
    search = GridSearchCV(GALRegressor(two(), max_iter=5, random_state=0), grid, cv=2)
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 6
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_iter", 0),
        ("max_iter", 2.5),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("line_search", 1),
        ("weights", "best"),
        ("weights", 3),
        ("cv", 1),
        ("cv", True),
        ("cv", "five"),
        ("cv", 2.5),
        ("subsample", 0),
        ("subsample", 1.5),
        ("early_stopping", "yes"),
        ("early_stopping", 1),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("validation_fraction", 0),
        ("n_iter_no_change", 0),
        ("tol", -1),
        ("warm_start", "no"),
        ("verbose", -1),
        ("loss", "cross"),
        ("label_holder", "mint"),
        ("missing_rows", "drop"),
        ("privacy", "laplace"),
        ("privacy", 1.0),
        ("share_models", 1),
        ("privacy", LaplaceMechanism),
        ("random_state", "seed"),
    ],
)
@pytest.mark.parametrize("estimator", [GALRegressor, GALClassifier])
def test_bad_values_are_named(cancer, estimator, name, value):
    model = estimator(two()).set_params(**{name: value})
    with pytest.raises((ValueError, TypeError), match=f"{name}|cannot be used to seed"):
        model.fit(*cancer)
    assert not hasattr(model, "n_iter_")


def test_subsample_and_cv_exclude_each_other(diabetes):
    for cv in (3, KFold(3)):
        with pytest.raises(ValueError, match=r"subsample=0\.5 cannot be combined with cv="):
            GALRegressor(subsample=0.5, cv=cv).fit(*diabetes)


def test_bad_class_weight(cancer):
    with pytest.raises(ValueError, match="class_weight"):
        GALClassifier(class_weight="heavy").fit(*cancer)


def test_weights_callable(diabetes):
    X, y = diabetes
    seen = []

    def solve(residual, fitted, sample_weight):
        seen.append((residual.shape, fitted.shape, sample_weight))
        return [0.25, 0.75]

    model = GALRegressor(two(), weights=solve, max_iter=3, cv=None).fit(X, y)
    np.testing.assert_array_equal(model.weights_, [[0.25, 0.75]] * model.n_iter_)
    assert seen[0] == ((442, 1), (442, 2, 1), None)


def test_a_weights_callable_may_keep_what_it_is_given(diabetes):
    kept, copies = [], []

    def solve(residual, fitted, sample_weight):
        kept.append(fitted)
        copies.append(fitted.copy())
        return [0.5, 0.5]

    GALRegressor(two(), weights=solve, max_iter=3, cv=None).fit(*diabetes)
    np.testing.assert_array_equal(kept, copies)
    assert not np.array_equal(kept[0], kept[2])


@pytest.mark.parametrize("answer", [[1.0], [np.nan, 1], [[0.5, 0.5]]])
def test_weights_callable_with_a_bad_answer(diabetes, answer):
    with pytest.raises(ValueError, match="must return 2 finite weights, one per function"):
        GALRegressor(two(), weights=lambda *arrays: answer, interactions=False).fit(
            *diabetes
        )


def test_html_diagram_shows_the_organizations_side_by_side():
    organizations = [*two(), ("clinic", None, [1, 2])]
    diagram = GALRegressor(organizations)._repr_html_()
    assert diagram.count('class="sk-parallel-item"') == 3
    texts = [
        "bank",
        "shop",
        "clinic",
        "StandardScaler",
        "DefaultLearner",
        "slice(5, 10, None)",
    ]
    for text in texts:
        assert text in diagram
    assert diagram.count('class="sk-parallel-item"') > GALRegressor()._repr_html_().count(
        'class="sk-parallel-item"'
    )


def test_html_diagram_of_a_fitted_model_and_inside_a_pipeline(diabetes):
    model = GALRegressor(two(), max_iter=2, random_state=0)
    diagram = make_pipeline(StandardScaler(), model)._repr_html_()
    assert diagram.count('class="sk-parallel-item"') == 2
    assert "fitted" in model.fit(*diabetes)._repr_html_()


@pytest.mark.parametrize("organizations", [[], [("bank",)], "bank", 3, [("a", Ridge, 0)]])
def test_html_diagram_of_malformed_organizations_does_not_fail(organizations):
    assert "GALRegressor" in GALRegressor(organizations)._repr_html_()
