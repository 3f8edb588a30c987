import numpy as np
import pytest
from lightgbm import LGBMRegressor
from sklearn.base import clone
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALClassifier, GALRegressor
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
    with pytest.raises(ValueError, match="'bank' has the default local estimator"):
        GALRegressor([("bank", None, 0)]).set_params(bank__alpha=1)


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
    with pytest.raises(ValueError, match="must return 2 finite weights"):
        GALRegressor(two(), weights=lambda *arrays: answer).fit(*diabetes)


def test_html_diagram_shows_the_organizations_side_by_side():
    organizations = [*two(), ("clinic", None, [1, 2])]
    diagram = GALRegressor(organizations)._repr_html_()
    assert diagram.count('class="sk-parallel-item"') == 3
    texts = [
        "bank",
        "shop",
        "clinic",
        "StandardScaler",
        "LGBMRegressor",
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
