"""What docs/works_with.rst says: its code blocks, and what does not work.

The code blocks need packages that the tests do not ask for. The page's doctests run with
the other documentation.
"""

import doctest
import re
import textwrap
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_gal import GALClassifier


@pytest.fixture(scope="module")
def sections(pytestconfig):
    """The text of each section of the page under its title, and the introduction."""
    text = (pytestconfig.rootpath / "docs" / "works_with.rst").read_text()
    introduction, *rest = re.split(r"\n(\S[^\n]*)\n---+\n", text)
    return {"": introduction} | dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.fixture
def run(sections):
    """Runs the code blocks of a section after the setup, and returns all names."""

    def run_section(title):
        names = {}
        for example in doctest.DocTestParser().get_examples(sections[""]):
            exec(example.source, names)
        blocks = re.findall(
            r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)",
            sections[title],
            re.MULTILINE,
        )
        assert blocks
        for block in blocks:
            exec(textwrap.dedent(block), names)
        return names

    return run_section


def test_every_block_of_the_page_belongs_to_a_tested_section(sections):
    with_blocks = {title for title, text in sections.items() if "code-block" in text}
    assert with_blocks == {"MAPIE", "Optuna", "SHAP", "XGBoost and CatBoost", "skrub"}


@pytest.fixture
def model():
    return GALClassifier(
        [("a", None, ["mean area"]), ("b", None, ["worst area", "worst texture"])],
        max_iter=2,
        random_state=0,
    )


@pytest.mark.parametrize("meta", [BaggingClassifier, SelfTrainingClassifier])
def test_meta_estimators_that_pass_arrays_need_positions(meta, model):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X[["mean area", "worst area", "worst texture"]]
    labels = y.mask(y.index < 20, -1) if meta is SelfTrainingClassifier else y
    with pytest.raises(ValueError, match="X has no column names"):
        meta(model).fit(X, labels)
    model.organizations = [("a", None, [0]), ("b", None, [1, 2])]
    assert meta(model).fit(X, labels).score(X, y) > 0.9


def test_feature_selectors_remove_columns_of_organizations(model):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X[["mean area", "worst area", "worst texture"]]
    with pytest.raises(ValueError, match="has no column names"):
        SequentialFeatureSelector(model, n_features_to_select=2, cv=2).fit(X, y)
    model.organizations = [("a", None, [0]), ("b", None, [1, 2])]
    with pytest.raises(ValueError, match="X has only n_features"):
        SequentialFeatureSelector(model, n_features_to_select=2, cv=2).fit(X, y)


def test_optuna(run):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = run("Optuna")
    trials = names["study"].trials
    states = {trial.state for trial in trials}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    # A trial of several warm starts is the model that a single fit gives.
    best = names["best"]
    assert best.n_iter_ == 10
    assert best.validation_loss_[-1] == names["study"].best_value


def test_mapie(run):
    pytest.importorskip("mapie")
    names = run("MAPIE")
    y_new = names["y_new"]
    for lower, upper in (
        (names["lower"], names["upper"]),
        names["quantile_interval"][:, :, 0].T,
    ):
        assert 0.8 < np.mean((lower <= y_new) & (y_new <= upper)) < 1
    # The width of the intervals of quantile models depends on the row.
    assert np.ptp(np.diff(names["quantile_interval"][:, :, 0], axis=1)) > 10
    is_in_set = names["is_in_set"][:, :, 0]
    assert is_in_set[np.arange(len(is_in_set)), names["y_test"]].mean() > 0.9


def test_mapie_checks_a_fitted_model_without_names(run):
    pytest.importorskip("mapie")
    from mapie.classification import SplitConformalClassifier

    names = run("MAPIE")
    X_test, y_test = names["X_test"], names["y_test"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            SplitConformalClassifier(names["fitted"]).conformalize(X_test, y_test)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_mapie_checks_a_fitted_model_that_needs_names(run):
    pytest.importorskip("mapie")
    from mapie.classification import SplitConformalClassifier

    names = run("MAPIE")
    by_name = make_column_transformer((StandardScaler(), ["worst area"]))
    model = clone(names["model"]).set_params(imaging=make_pipeline(by_name, Ridge()))
    model.fit(names["X_train"], names["y_train"])
    SplitConformalClassifier(model).conformalize(names["X_test"], names["y_test"])
    X_train, X_test = (names[key].assign(site="north") for key in ("X_train", "X_test"))
    encoder = make_column_transformer((OneHotEncoder(), ["site"]))
    held = ("site", make_pipeline(encoder, Ridge()), ["site"])
    model.set_params(organizations=[*model.organizations, held])
    model.fit(X_train, names["y_train"])
    with pytest.raises(UserWarning, match="failed a minimal prediction test"):
        SplitConformalClassifier(model).conformalize(X_test, names["y_test"])


def test_shap(run):
    pytest.importorskip("shap")
    import matplotlib.pyplot as plt

    names = run("SHAP")
    fitted, X_test = names["fitted"], names["X_test"]
    values = names["values"]
    assert_allclose(
        values.values.sum(axis=1) + values.base_values, fitted.decision_function(X_test[:5])
    )
    drawn = names["by_organization"]
    assert_allclose(
        drawn.values.sum(axis=1) + drawn.base_values, fitted.decision_function(X_test)
    )
    drawn_names = {label.get_text() for label in names["axes"].get_yticklabels()}
    assert set(fitted.organization_names_) <= drawn_names
    plt.close("all")


def test_shap_needs_a_function_and_numbers(run):
    shap = pytest.importorskip("shap")
    names = run("SHAP")
    fitted, background = names["fitted"], names["background"]
    with pytest.raises(Exception, match="not yet supported by TreeExplainer"):
        shap.TreeExplainer(fitted)
    sizes = np.where(background["worst area"] > 600, "large", "small")
    mixed = background.assign(**{"mean area": pd.Categorical(sizes)})
    model = clone(names["model"]).fit(mixed, names["y_train"][mixed.index])
    with pytest.raises(TypeError):
        shap.Explainer(model.decision_function, mixed, seed=0)(mixed[:2])


def test_shap_agrees_with_the_contributions_of_an_additive_model(run):
    shap = pytest.importorskip("shap")
    names = run("SHAP")
    background, X_test = names["background"], names["X_test"][:3]
    model = clone(names["model"]).set_params(interactions=False)
    model.fit(names["X_train"], names["y_train"])
    explainer = shap.Explainer(model.decision_function, background, seed=0)
    values = explainer(X_test).values
    of_organizations = [values[:, held].sum(axis=1) for held in model.columns_]
    shares = model.contributions(X_test) - model.contributions(background).mean(axis=0)
    assert_allclose(np.transpose(of_organizations), shares[:, :, 0], atol=1e-10)


def test_skrub(run):
    pytest.importorskip("skrub")
    names = run("skrub")
    assert names["dirty"].score(names["table"], names["y"]) > 0.9
    vectorized = names["vectorized"]
    assert vectorized.score(names["table"], names["y"]) > 0.9
    held = [vectorized[:-1].get_feature_names_out()[c] for c in vectorized[-1].columns_]
    for organization, columns in zip(("clinic", "imaging"), held, strict=True):
        assert all(column.startswith(f"{organization}__") for column in columns)


def test_xgboost_and_catboost(run):
    pytest.importorskip("xgboost")
    catboost = pytest.importorskip("catboost")
    names = run("XGBoost and CatBoost")
    with_xgboost, with_catboost = names["with_xgboost"], names["with_catboost"]
    assert with_xgboost.score(names["X_test"], names["y_test"]) > 0.9
    assert with_catboost.score(names["sized"], names["y"]) > 0.9
    for model in (with_xgboost, with_catboost):
        assert model.weights_[:, 0].max() > 0
    # the reason for the tuple
    with pytest.raises(RuntimeError, match="Cannot clone"):
        clone(catboost.CatBoostRegressor(cat_features=["size"]))


def test_xgboost_does_not_stop_a_local_fit_early(run):
    xgboost = pytest.importorskip("xgboost")
    pytest.importorskip("catboost")
    names = run("XGBoost and CatBoost")
    model = clone(names["with_xgboost"]).set_params(clinic__early_stopping_rounds=2)
    assert isinstance(model.get_params()["clinic"], xgboost.XGBRegressor)
    with pytest.raises(ValueError, match="at least 1 validation dataset"):
        model.fit(names["X_train"], names["y_train"])
