import builtins
import html
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from scipy import sparse, stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_regression
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from _helpers import Recorder
from sklearn_gal import GALClassifier, GALRegressor, make_organizations
from sklearn_gal.inspection import (
    AssistanceDisplay,
    ContributionDisplay,
    FeatureContributionDisplay,
    FeatureImportanceDisplay,
    assistance_report,
)
from sklearn_gal.inspection._statistics import range_of_score
from sklearn_gal.losses import HuberLoss, QuantileLoss, SquaredError

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def halves():
    return [("practice", Ridge(), slice(0, 4)), ("laboratory", None, slice(4, 10))]


@pytest.fixture(scope="module")
def fitted(diabetes):
    return GALRegressor(halves(), max_iter=5, random_state=0).fit(*diabetes)


@pytest.fixture(scope="module")
def fitted_wine(wine):
    organizations = make_organizations(wine[0], 3, Ridge(), random_state=0)
    organizations = [
        (name, make_pipeline(StandardScaler(), estimator), columns)
        for name, estimator, columns in organizations
    ]
    return GALClassifier(organizations, max_iter=5, random_state=0).fit(*wine)


# --- AssistanceDisplay --------------------------------------------------------------------


def test_assistance_display_draws_what_the_fit_reports(fitted):
    display = AssistanceDisplay.from_estimator(fitted)
    weights_ax, rates_ax, loss_ax = display.axes_
    heights = np.array(
        [[bar.get_height() for bar in each] for each in weights_ax.containers]
    )
    np.testing.assert_allclose(heights.T, fitted.weights_)
    tops = [bar.get_y() + bar.get_height() for bar in weights_ax.containers[-1]]
    np.testing.assert_allclose(tops, 1)
    legend = [text.get_text() for text in weights_ax.get_legend().get_texts()]
    assert legend == ["laboratory", "practice (label holder)"]  # in the order of the bars
    np.testing.assert_array_equal(rates_ax.lines[0].get_ydata(), fitted.learning_rates_)
    np.testing.assert_array_equal(rates_ax.lines[0].get_xdata(), np.arange(1, 6))
    np.testing.assert_array_equal(loss_ax.lines[0].get_ydata(), fitted.train_loss_)
    np.testing.assert_array_equal(loss_ax.lines[0].get_xdata(), np.arange(6))
    np.testing.assert_array_equal(loss_ax.lines[1].get_ydata(), fitted.validation_loss_)
    assert len(loss_ax.lines) == 2
    assert display.figure_ is weights_ax.figure is display.bounding_ax_.figure


def test_assistance_display_shows_the_loss_of_rows_set_aside(diabetes):
    model = GALRegressor(halves(), cv=None, early_stopping=True, max_iter=5, random_state=0)
    display = AssistanceDisplay.from_estimator(model.fit(*diabetes))
    training, validation = display.axes_[2].lines
    np.testing.assert_array_equal(training.get_ydata(), model.train_loss_)
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_loss_)


def test_assistance_display_uses_the_given_axes(fitted):
    figure, ax = plt.subplots(1, 2)
    display = AssistanceDisplay.from_estimator(fitted, ax=ax[1])
    assert display.figure_ is figure
    assert display.bounding_ax_ is ax[1]
    left, right = (each.get_position() for each in ax)
    for each in display.axes_:
        assert left.x1 < each.get_position().x0 <= right.x1

    figure, axes = plt.subplots(3)
    assert display.plot(ax=axes) is display
    assert list(display.axes_) == list(axes)
    assert display.bounding_ax_ is None
    with pytest.raises(ValueError, match="one Axes or three, got 2"):
        display.plot(ax=ax)
    with pytest.raises(ValueError, match="pass three Axes instead"):
        display.plot(ax=figure.add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize("reason", ["many organizations", "many rounds", "negative"])
def test_assistance_display_of_many_or_negative_weights_is_a_map(reason):
    weights = {
        "many organizations": np.full((3, 30), 1 / 30),
        "many rounds": np.full((100, 2), 1 / 2),
        "negative": np.array([[1.5, -0.5]] * 3),
    }[reason]
    n_rounds = len(weights)
    names = [f"organization_{m}" for m in range(weights.shape[1])]
    display = AssistanceDisplay(
        weights=weights,
        learning_rates=np.ones(n_rounds),
        train_loss=np.ones(n_rounds + 1),
        validation_loss=np.array([]),
        organization_names=names,
        label_holder=names[1],
    ).plot()
    ax = display.axes_[0]
    np.testing.assert_array_equal(ax.collections[0].get_array(), weights.T)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[:2] == ["organization_0", "organization_1 (label holder)"]


def test_displays_of_a_fit_without_rounds():
    X = np.zeros((30, 2))
    organizations = [("a", Ridge(), [0]), ("b", Ridge(), [1])]
    with pytest.warns(ConvergenceWarning):
        model = GALRegressor(organizations).fit(X, np.arange(30.0))
    assert model.n_iter_ == 0
    assert len(AssistanceDisplay.from_estimator(model).axes_) == 3
    display = ContributionDisplay.from_estimator(model, X)
    np.testing.assert_array_equal(display.shares, 0)
    display.plot(row=0)


# --- ContributionDisplay ------------------------------------------------------------------


def test_contributions_over_rows(fitted, diabetes):
    X = diabetes[0]
    display = ContributionDisplay.from_estimator(fitted, X)
    np.testing.assert_array_equal(display.contributions, fitted.contributions(X)[:, :, 0])
    deviation = np.abs(display.contributions - display.contributions.mean(axis=0))
    expected = deviation.mean(axis=0) / deviation.mean(axis=0).sum()
    np.testing.assert_allclose(display.shares, expected)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    percents = {label.partition("\n")[0]: label.partition("\n")[2] for label in labels}
    assert percents == {
        "practice (label holder)": f"{expected[0]:.0%}",
        "laboratory": f"{expected[1]:.0%}",
    }
    assert display.shares[np.argsort(expected)[-1]] == expected.max()
    assert display.figure_ is display.ax_.figure


def test_contributions_to_one_prediction_add_up(fitted, diabetes):
    X = diabetes[0]
    _, ax = plt.subplots()
    display = ContributionDisplay.from_estimator(fitted, X, row=7, ax=ax)
    assert display.ax_ is ax
    widths = [bar.get_width() for bar in ax.patches]
    expected = fitted.contributions(X[7:8])[0, :, 0]
    np.testing.assert_allclose(sorted(widths), sorted(expected))
    markers = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(
        markers, [fitted.baseline_prediction_[0], fitted.predict(X[7:8])[0]]
    )
    for row in (len(X), -len(X) - 1):
        with pytest.raises(IndexError, match=f"row={row} is not one of the 442"):
            display.plot(row=row)


def test_contributions_of_many_rows_are_thinned_but_not_their_boxes(fitted, diabetes):
    X = np.tile(diabetes[0], (4, 1))
    display = ContributionDisplay.from_estimator(fitted, X)
    assert len(display.contributions) == len(X)
    assert {len(line.get_xdata()) for line in display.ax_.lines} >= {1000}
    assert len(X) not in {len(line.get_xdata()) for line in display.ax_.lines}


def test_contributions_to_classes(fitted_wine, wine, cancer):
    X, y = wine
    for position, target in enumerate(fitted_wine.classes_):
        display = ContributionDisplay.from_estimator(fitted_wine, X, target=target)
        expected = fitted_wine.contributions(X)[:, :, position]
        np.testing.assert_array_equal(display.contributions, expected)
        assert f"class {target}" in display.ax_.get_xlabel()
    for target in (None, 9):
        with pytest.raises(ValueError, match=r"one of the classes \[0, 1, 2\].*target=2"):
            ContributionDisplay.from_estimator(fitted_wine, X, target=target)

    X, y = cancer
    names = np.array(["malignant", "benign"])[y]
    model = GALClassifier(make_organizations(X, 2), max_iter=2, random_state=0)
    model.fit(X, names)
    second = ContributionDisplay.from_estimator(model, X)
    assert "class malignant" in second.ax_.get_xlabel()
    first = ContributionDisplay.from_estimator(model, X, target="benign")
    np.testing.assert_array_equal(first.contributions, -second.contributions)
    assert first.baseline == -second.baseline


def test_contributions_to_several_numbers(diabetes):
    X = diabetes[0]
    Y = np.column_stack([diabetes[1], -diabetes[1]])
    model = GALRegressor(halves(), max_iter=2, random_state=0).fit(X, Y)
    display = ContributionDisplay.from_estimator(model, X, target=1)
    np.testing.assert_array_equal(display.contributions, model.contributions(X)[:, :, 1])
    for target in (None, 2, -1, "a"):
        with pytest.raises(ValueError, match=r"position of an output, 0 to 1.*target=0"):
            ContributionDisplay.from_estimator(model, X, target=target)


# --- errors of the displays ---------------------------------------------------------------

CALLS = [
    AssistanceDisplay.from_estimator,
    lambda model: ContributionDisplay.from_estimator(model, np.zeros((3, 10))),
    lambda model: FeatureContributionDisplay.from_estimator(model, np.zeros((1, 10))),
    lambda model: FeatureImportanceDisplay.from_estimator(model, np.zeros((3, 10))),
]


@pytest.mark.parametrize("call", CALLS)
def test_displays_need_a_fitted_model_of_this_package(call):
    with pytest.raises(NotFittedError):
        call(GALRegressor(halves()))
    with pytest.raises(TypeError, match=r"GALClassifier, got Pipeline.*its last step"):
        call(make_pipeline(GALRegressor(halves())))


@pytest.mark.parametrize("call", CALLS)
def test_without_matplotlib_the_error_names_the_extra(call, fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"from_estimator.*sklearn_gal\[plot\]"):
        call(fitted)


# --- assistance_report --------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(diabetes):
    model = GALRegressor(halves(), max_iter=5, random_state=0)
    return assistance_report(model, *diabetes, cv=KFold(4, shuffle=True, random_state=0))


def test_report_compares_on_the_same_splits(report, diabetes):
    assert list(report.scores) == [
        "Alone",
        "LightGBM alone",
        "Assisted",
        "Joint",
        "LightGBM joint",
        "without practice",
        "without laboratory",
    ]
    cv = KFold(4, shuffle=True, random_state=0)
    models = {
        "Alone": halves()[:1],
        "Assisted": halves(),
        "Joint": [("all", Ridge(), slice(None))],
    }
    for label, organizations in models.items():
        model = GALRegressor(organizations, max_iter=5, random_state=0)
        expected = cross_val_score(model, *diabetes, cv=cv)
        np.testing.assert_allclose(report.scores[label], expected)
    X, y = diabetes
    for label, columns in {"LightGBM alone": X[:, :4], "LightGBM joint": X}.items():
        expected = cross_val_score(LGBMRegressor(n_jobs=1, verbosity=-1), columns, y, cv=cv)
        np.testing.assert_allclose(report.scores[label], expected)
    assert report.notes == []


def test_an_assistor_leaves_without_a_refit_and_the_label_holders_columns_with_one(
    diabetes,
):
    X, y = diabetes
    Recorder.calls.clear()
    organizations = [
        ("practice", Recorder(), slice(0, 3)),
        ("laboratory", Recorder(), slice(3, 7)),
        ("insurer", Recorder(), slice(7, 10)),
    ]
    settings = {"max_iter": 4, "cv": 2, "early_stopping": False, "random_state": 0}
    model = GALRegressor(organizations, **settings)
    weight = 1.0 + (np.arange(len(y)) % 2)
    cv = KFold(3, shuffle=True, random_state=0)
    params = {"sample_weight": weight}
    report = assistance_report(model, X, y, cv=cv, params=params, joint=False)
    n_fits = len(Recorder.fits())
    rest = GALRegressor([organizations[0], organizations[2]], **settings)
    refitted = cross_val_score(rest, X, y, cv=cv, params=params)
    for split, (train, test) in enumerate(cv.split(X)):
        whole = clone(model).fit(X[train], y[train], sample_weight=weight[train])
        left = whole.drop_organization("laboratory", X[train], y[train], weight[train])
        score = left.score(X[test], y[test])
        assert report.scores["without laboratory"][split] == pytest.approx(score)
    # leaving is no refit: the others keep the models that they fitted with the assistor
    assert (report.scores["without laboratory"] != refitted).any()
    Recorder.calls.clear()
    for label, kept in {
        "Alone": organizations[:1],
        "Assisted": organizations,
        "without practice": organizations[1:],
    }.items():
        fitted = clone(model).set_params(organizations=kept)
        expected = cross_val_score(fitted, X, y, cv=cv, params=params)
        np.testing.assert_allclose(report.scores[label], expected)
    assert len(Recorder.fits()) == n_fits


def test_report_under_metadata_routing_scores_all_models_alike(diabetes):
    X, y = diabetes
    weight = 1.0 + (np.arange(len(y)) % 3)
    with config_context(enable_metadata_routing=True):
        model = GALRegressor(
            [
                ("practice", Ridge().set_fit_request(sample_weight=True), slice(0, 4)),
                ("laboratory", Ridge().set_fit_request(sample_weight=True), slice(4, 10)),
            ],
            max_iter=3,
            random_state=0,
        )
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        params = {"sample_weight": weight}
        report = assistance_report(model, X, y, cv=2, params=params)
        alone = clone(model).set_params(organizations=model.organizations[:1])
        expected = cross_val_score(alone, X, y, cv=2, params=params)
        strong = LGBMRegressor(n_jobs=1, verbosity=-1).set_fit_request(sample_weight=True)
        strong.set_score_request(sample_weight=True)
        strong_scores = cross_val_score(strong, X, y, cv=2, params=params)
    np.testing.assert_allclose(report.scores["without laboratory"], expected)
    assert report.refitted == report.names
    assert "a new fit without the columns of the organization." in repr(report)
    np.testing.assert_allclose(report.scores["Alone"], expected)
    np.testing.assert_allclose(report.scores["LightGBM joint"], strong_scores)


def test_report_summarises_with_corrected_intervals(report):
    table = report.table
    assert isinstance(table, pd.DataFrame)
    assert list(table.index) == list(report.scores)
    for label, scores in report.scores.items():
        line = table.loc[label]
        assert line["score"] == pytest.approx(scores.mean())
        lost = report.scores["Assisted"] - scores
        assert line["lost"] == pytest.approx(lost.mean())
        # 442 rows in four folds: a test set is a third of its training set
        half = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 1 / 3) * lost.var(ddof=1))
        assert line["lost_high"] - line["lost"] == pytest.approx(half, rel=1e-3)
        assert line["lost"] - line["lost_low"] == pytest.approx(half, rel=1e-3)
        assert line["low"] <= line["score"] <= line["high"]


def test_report_is_shown_as_text_and_as_a_table(report):
    text, page = repr(report), report._repr_html_()
    lines = text.splitlines()
    assert lines[0].startswith("Gain over the best model alone (Alone): +")
    assert f"{report.gain.mean:+.4f}, 95 % interval {report.gain.low:+.4f} to" in lines[0]
    assert lines[1].startswith("Gain over the best joint model (Joint): ")
    gain = report.gain_over_joint
    assert f"{gain.mean:+.4f}, 95 % interval {gain.low:+.4f} to" in lines[1]
    for line in lines[:2]:
        assert f"<p>{line}</p>" in page
    assert lines[2] == ""
    lines = lines[3:]
    assert len(lines) == 14
    legend = [
        "Means and 95 % intervals over 4 cross-validation splits of 442 rows.",
        "Gain, lost: R² of Assisted minus that of the other model. "
        "Joint: all columns in one place.",
        "Alone: only the columns of practice. "
        "LightGBM: instead of the estimator of practice.",
        "without ...: the organization leaves after the fit; no model is fitted again.",
        "without practice: a new fit without its columns, but with y.",
    ]
    assert lines[8:] == ["", *legend]
    assert page.endswith("".join(f"<p>{line}</p>" for line in legend))
    for label, line in zip(report.scores, lines[1:8], strict=True):
        assert line.startswith(label)
        assert f"{report.scores[label].mean():.4f}" in line
        assert f"<td>{label}</td><td>{report.scores[label].mean():.4f}</td>" in page
    assert "R²" in text
    assert "R²" in page


def test_intervals_of_scores_end_where_the_score_does(cancer):
    X, y = cancer
    model = GALClassifier(
        [("one", Ridge(), slice(0, 15)), ("other", Ridge(), slice(15, 30))], max_iter=2
    )
    rows = np.r_[:60, 300:360]
    X, y = X[rows], y[rows]
    greatest = {None: 1, "roc_auc": 1, "neg_log_loss": 0}
    for scoring, limit in greatest.items():
        options = {"scoring": scoring, "cv": 2, "reference": None, "joint": False}
        table = assistance_report(model, X, y, **options).table
        assert table["high"].max() == limit
        assert (table["low"] <= table["score"]).all()
        assert table["lost_low"].min() < 0
    options["scoring"] = lambda *args: accuracy_score(args[2], args[0].predict(args[1]))
    table = assistance_report(model, X, y, **options).table
    assert table["high"].max() > 1
    assert range_of_score(model, "max_error") == (-np.inf, np.inf)
    assert range_of_score(GALRegressor(), None) == (-np.inf, 1)


def test_report_escapes_names(diabetes):
    organizations = [("<b>", Ridge(), slice(0, 4)), ("lab", Ridge(), slice(4, 10))]
    report = assistance_report(GALRegressor(organizations, max_iter=1), *diabetes, cv=2)
    assert "<b>" not in report._repr_html_()
    assert "without &lt;b&gt;" in report._repr_html_()


def test_report_without_pandas_is_a_structured_array(diabetes, monkeypatch):
    original = builtins.__import__

    def without_pandas(name, context=None, *args, **kwargs):
        if name == "pandas" and context["__name__"].startswith("sklearn_gal.inspection"):
            raise ImportError(name)
        return original(name, context, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    report = assistance_report(model, *diabetes, cv=2)
    assert list(report.table["model"]) == list(report.scores)
    means = [scores.mean() for scores in report.scores.values()]
    np.testing.assert_allclose(report.table["score"], means)
    assert (
        report.gain.mean
        == report.table["lost"][list(report.scores).index("LightGBM alone")]
    )
    assert len(repr(report).splitlines()) == 17


def test_an_organization_of_noise_is_worth_nothing_and_the_others_something():
    X, y = make_regression(400, 8, n_informative=8, noise=5, random_state=0)
    noise = np.random.default_rng(0).normal(size=(400, 4))
    organizations = [
        ("holder", Ridge(), slice(0, 4)),
        ("helper", Ridge(), slice(4, 8)),
        ("noise", Ridge(), slice(8, 12)),
    ]
    model = GALRegressor(organizations, max_iter=30, cv=2, random_state=0)
    table = assistance_report(model, np.hstack([X, noise]), y, cv=3).table
    for label in ("Alone", "without holder", "without helper"):
        assert table.loc[label, "lost_low"] > 0.1
    assert abs(table.loc["without noise", "lost"]) < 0.01
    assert abs(table.loc["Joint", "lost"]) < 0.05


def test_report_of_a_classifier_with_a_given_score_and_joint_model(cancer):
    X, y = cancer
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(30)])
    organizations = make_organizations(frame, 3, random_state=0)
    organizations = organizations[:2]  # no organization holds the columns of the third
    model = GALClassifier(
        organizations, label_holder="organization_1", max_iter=5, random_state=0
    )
    joint = make_pipeline(StandardScaler(), LogisticRegression())
    report = assistance_report(model, frame, y, cv=3, scoring="neg_log_loss", joint=joint)
    held = sorted(organizations[0][2] + organizations[1][2], key=list(frame).index)
    expected = cross_val_score(joint, frame[held], y, cv=3, scoring="neg_log_loss")
    np.testing.assert_allclose(report.scores["Joint"], expected)
    alone = GALClassifier(organizations[1:], max_iter=5, random_state=0)
    expected = cross_val_score(alone, frame, y, cv=3, scoring="neg_log_loss")
    np.testing.assert_allclose(report.scores["Alone"], expected)
    assert report.scoring == "neg_log_loss"
    strong = LGBMClassifier(n_jobs=1, verbosity=-1)
    for label, columns in {
        "LightGBM alone": organizations[1][2],
        "LightGBM joint": held,
    }.items():
        values = frame[columns].to_numpy()
        expected = cross_val_score(strong, values, y, cv=3, scoring="neg_log_loss")
        np.testing.assert_allclose(report.scores[label], expected)
    report = assistance_report(model, frame, y, cv=2, joint=False)
    assert not {"Joint", "LightGBM joint"} & set(report.scores)
    assert report.gain_over_joint is None
    assert "joint" not in repr(report).lower()


def test_report_with_weights_and_groups(diabetes):
    X, y = diabetes
    groups = np.arange(len(y)) % 20
    weight = 1.0 + (groups < 10)
    model = GALRegressor(halves(), max_iter=3, random_state=0)
    report = assistance_report(
        model, X, y, cv=GroupKFold(4), groups=groups, params={"sample_weight": weight}
    )
    expected = cross_val_score(
        model, X, y, cv=GroupKFold(4), groups=groups, params={"sample_weight": weight}
    )
    np.testing.assert_allclose(report.scores["Assisted"], expected)
    unweighted = assistance_report(model, X, y, cv=GroupKFold(4), groups=groups)
    for label in report.scores:
        assert not np.array_equal(report.scores[label], unweighted.scores[label])


def test_report_of_a_single_split_has_no_interval(diabetes):
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    report = assistance_report(model, *diabetes, cv=ShuffleSplit(1, random_state=0))
    assert report.table[["low", "high", "lost_low", "lost_high"]].isna().all(axis=None)
    assert "nan" not in repr(report)
    assert "Scores of 1 cross-validation split of 442 rows." in repr(report)


# --- the strong learner of a report -------------------------------------------------------


def test_the_gain_is_that_over_a_strong_learner_of_the_label_holders_columns(rng):
    X = rng.normal(size=(500, 4))
    y = X[:, 0] * (1 + 2 * X[:, 1]) + X[:, 2] + 0.1 * rng.normal(size=500)
    organizations = [("holder", Ridge(), [0, 1]), ("helper", None, [2, 3])]
    model = GALRegressor(organizations, max_iter=20, random_state=0)
    report = assistance_report(model, X, y, cv=KFold(4))
    assert report.scores["LightGBM alone"].mean() > report.scores["Alone"].mean() + 0.2
    assert report.gain.model == "LightGBM alone"
    assert report.gain.mean < report.table.loc["Alone", "lost"] - 0.2
    assert report.gain_over_joint.model == "LightGBM joint"
    assert report.gain_over_joint.mean < -0.2 < report.table.loc["Joint", "lost"]
    line = report.table.loc["LightGBM joint"]
    gain = line["lost"], line["lost_low"], line["lost_high"]
    assert report.gain_over_joint[1:] == gain
    line = report.table.loc["LightGBM alone"]
    assert report.gain[1:] == (line["lost"], line["lost_low"], line["lost_high"])


def test_without_a_reference_the_other_models_stay(report, diabetes):
    model = GALRegressor(halves(), max_iter=5, random_state=0)
    cv = KFold(4, shuffle=True, random_state=0)
    weak = assistance_report(model, *diabetes, cv=cv, reference=None)
    kept = [label for label in report.scores if not label.startswith("LightGBM")]
    assert list(weak.scores) == kept
    pd.testing.assert_frame_equal(weak.table, report.table.loc[kept])
    assert (weak.gain.model, weak.gain_over_joint.model) == ("Alone", "Joint")
    assert weak.notes == []


def test_report_with_an_estimator_as_reference(diabetes):
    X, y = diabetes
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    weight = 1.0 + (np.arange(len(y)) % 2)
    boosting = HistGradientBoostingRegressor(max_iter=5)
    for reference, name in [
        (boosting, "sample_weight"),
        (make_pipeline(StandardScaler(), Ridge()), "ridge__sample_weight"),
    ]:
        report = assistance_report(
            model, X, y, cv=3, reference=reference, params={"sample_weight": weight}
        )
        kind = report.reference
        for label, columns in {f"{kind} alone": X[:, :4], f"{kind} joint": X}.items():
            expected = cross_val_score(reference, columns, y, cv=3, params={name: weight})
            np.testing.assert_allclose(report.scores[label], expected)


@pytest.mark.parametrize("kind", ["object", "string", "category", "polars"])
def test_the_reference_reads_columns_that_are_not_numbers(rng, kind):
    n = 300
    town = rng.choice(["here", "there", "elsewhere"], n).astype(object)
    town[::9] = None
    town[-1] = "nowhere"  # the last test set alone has this one
    visits, balance = rng.normal(size=(2, n))
    y = (town == "here") + (visits > 0) + 0.5 * balance + 0.1 * rng.normal(size=n)
    visits[::10] = np.nan
    frame = pd.DataFrame({"balance": balance, "town {1}": town, "visits": visits})
    frame["owner"] = balance > 0
    if kind == "polars":
        frame = pl.from_pandas(frame)
    else:
        frame["town {1}"] = frame["town {1}"].astype(kind)
        frame["balance"] = frame["balance"].astype(object)  # numbers nevertheless
    balance_only = make_pipeline(make_column_transformer(("passthrough", [0])), Ridge())
    organizations = [("bank", balance_only, [0, 1]), ("shop", None, ["visits", "owner"])]
    model = GALRegressor(organizations, max_iter=2, random_state=0)
    report = assistance_report(model, frame, y, cv=3, joint=balance_only)
    assert report.notes == []
    codes = pd.Series(town).map({"elsewhere": 0, "here": 1, "nowhere": 2, "there": 3})
    numbers = np.column_stack([balance, codes, visits, balance > 0])
    for label, columns in {
        "LightGBM alone": numbers[:, :2],
        "LightGBM joint": numbers,
    }.items():
        expected = cross_val_score(LGBMRegressor(n_jobs=1, verbosity=-1), columns, y, cv=3)
        np.testing.assert_allclose(report.scores[label][:2], expected[:2])
        assert report.scores[label][2] == pytest.approx(expected[2], abs=0.02)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_the_reference_reads_sparse_columns(diabetes, container):
    X, y = np.maximum(diabetes[0], 0), diabetes[1]
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    report = assistance_report(model, container(X), y, cv=2)
    for label, columns in {"LightGBM alone": X[:, :4], "LightGBM joint": X}.items():
        expected = cross_val_score(LGBMRegressor(n_jobs=1, verbosity=-1), columns, y, cv=2)
        np.testing.assert_allclose(report.scores[label], expected)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_reference_of_several_classes(wine, class_weight):
    X, y = wine[0], np.array(["red", "rose", "white"])[wine[1]]
    organizations = make_organizations(X, 2, random_state=0)
    model = GALClassifier(
        organizations, class_weight=class_weight, max_iter=2, random_state=0
    )
    report = assistance_report(model, X, y, cv=3, scoring="neg_log_loss")
    strong = LGBMClassifier(class_weight=class_weight, n_jobs=1, verbosity=-1)
    for label, columns in {
        "LightGBM alone": X[:, organizations[0][2]],
        "LightGBM joint": X,
    }.items():
        expected = cross_val_score(strong, columns, y, cv=3, scoring="neg_log_loss")
        np.testing.assert_allclose(report.scores[label], expected)


@pytest.mark.parametrize(
    ("loss", "objective"),
    [
        (SquaredError(), {}),
        ("absolute_error", {"objective": "l1"}),
        (QuantileLoss(0.8), {"objective": "quantile", "alpha": 0.8}),
        (HuberLoss(delta=7.0), {"objective": "huber", "alpha": 7.0}),
        ("poisson", {"objective": "poisson"}),
        ("gamma", {"objective": "gamma"}),
    ],
)
def test_the_reference_minimises_the_loss(diabetes, loss, objective):
    X, y = diabetes
    model = GALRegressor(halves(), loss=loss, max_iter=2, random_state=0)
    weight = 1.0 + (np.arange(len(y)) % 3)
    params = {"sample_weight": weight}
    report = assistance_report(model, X, y, cv=2, params=params)
    strong = LGBMRegressor(n_jobs=1, verbosity=-1, **objective)
    expected = cross_val_score(strong, X, y, cv=2, params=params)
    np.testing.assert_allclose(report.scores["LightGBM joint"], expected)


def test_the_huber_loss_of_the_reference_has_the_scale_of_the_target(diabetes):
    X, y = diabetes
    weight = 1.0 + (np.arange(len(y)) % 3)
    scores = []
    for scale in (1, 0.01):
        model = GALRegressor(halves(), loss="huber", max_iter=2, random_state=0)
        params = {"sample_weight": weight}
        report = assistance_report(model, X, scale * y, cv=2, params=params)
        scores.append(report.scores["LightGBM joint"])
    np.testing.assert_allclose(*scores, atol=0.01)
    delta = HuberLoss().for_target(y[:, None], weight).delta[0]
    strong = LGBMRegressor(n_jobs=1, verbosity=-1, objective="huber", alpha=delta)
    expected = cross_val_score(strong, X, y, cv=2, params=params)
    np.testing.assert_allclose(scores[0], expected)


def test_the_reference_of_several_outputs(diabetes):
    X, y = diabetes
    Y = np.column_stack([y, X[:, 0] * y])
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    weight = 1.0 + (np.arange(len(y)) % 3)
    params = {"sample_weight": weight}
    report = assistance_report(model, X, Y, cv=2, params=params)
    strong = MultiOutputRegressor(LGBMRegressor(n_jobs=1, verbosity=-1))
    expected = cross_val_score(strong, X, Y, cv=2, params=params)
    np.testing.assert_allclose(report.scores["LightGBM joint"], expected)


class NeedsAllColumns(Ridge):
    """Refuses to fit a part of the ten columns."""

    def fit(self, X, y, sample_weight=None):
        if X.shape[1] < 10:
            raise ValueError("there is no column x<9>")
        return super().fit(X, y, sample_weight)


def test_a_note_says_why_a_model_of_the_reference_is_left_out(diabetes):
    X, y = diabetes
    frame = pd.DataFrame(X, columns=[f"x<{j}>" for j in range(10)])
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    report = assistance_report(model, frame, y, cv=2, reference=NeedsAllColumns())
    assert "NeedsAllColumns alone" not in report.scores
    assert "NeedsAllColumns joint" in report.scores
    assert report.gain.model == "Alone"
    assert "NeedsAllColumns: instead of the estimator of practice." in repr(report)
    (note,) = report.notes
    assert note.startswith("NeedsAllColumns alone is left out, because its estimator could")
    assert "x<9>" in note
    assert repr(report).splitlines()[-1] == note
    assert "x&lt;9&gt;" in report._repr_html_()

    params = {"sample_weight": np.ones(len(y))}
    for reference in (KNeighborsRegressor(), make_pipeline(KNeighborsRegressor())):
        report = assistance_report(model, X, y, cv=2, reference=reference, params=params)
        assert not [each for each in report.scores if each.startswith(report.reference)]
        assert len(report.notes) == 2
        for note in report.notes:
            assert "does not support sample weights" in note
            assert note.endswith(" Another estimator can be passed as reference.")


def test_a_reference_with_lightgbm_does_not_receive_strings_of_polars(diabetes):
    X, y = diabetes
    frame = pl.DataFrame(X, schema=[f"x{j}" for j in range(10)])
    frame = frame.with_columns(x9=pl.when(pl.col("x9") > 0).then(pl.lit("high")))
    first_only = make_pipeline(make_column_transformer(("passthrough", [0])), Ridge())
    organizations = [("practice", Ridge(), [2, 3]), ("laboratory", first_only, [8, 9])]
    model = GALRegressor(organizations, max_iter=2, random_state=0)
    reference = LGBMRegressor(n_jobs=1, verbosity=-1)
    report = assistance_report(model, frame, y, cv=2, joint=first_only, reference=reference)
    assert "LGBMRegressor alone" in report.scores
    (note,) = report.notes
    assert note.startswith("LGBMRegressor joint is left out")
    assert "LightGBM cannot read the columns 'x9'" in note


def test_errors_of_a_report(diabetes):
    X, y = diabetes
    with pytest.raises(TypeError, match="got LinearRegression"):
        assistance_report(LinearRegression(), X, y)
    for organizations in (None, halves()[:1]):
        with pytest.raises(
            ValueError, match="two organizations or more, but the model has"
        ):
            assistance_report(GALRegressor(organizations), X, y)
    with pytest.raises(ValueError, match=r"organizations\[1\] must be a tuple"):
        assistance_report(GALRegressor([*halves(), ("a",)][1:]), X, y)
    with pytest.raises(ValueError, match="label_holder='unknown' is not one of"):
        assistance_report(GALRegressor(halves(), label_holder="unknown"), X, y)
    for reference in ("lightgbn", LGBMRegressor, True):
        with pytest.raises(ValueError, match="reference must be 'lightgbm', an estimator"):
            assistance_report(GALRegressor(halves()), X, y, reference=reference)
    with pytest.raises(ValueError, match=r"reference must be a regressor.*GALRegressor"):
        assistance_report(GALRegressor(halves()), X, y, reference=LogisticRegression())
    pipeline = make_pipeline(StandardScaler(), Ridge())
    with pytest.raises(ValueError, match=r"reference must be a classifier.*GALClassifier"):
        assistance_report(GALClassifier(halves()), X, y > 150, reference=pipeline)
    with pytest.raises(ValueError, match="could not convert") as raised:
        assistance_report(GALRegressor(halves()), X, ["a"] * len(y), cv=2)
    assert "'Alone'" in raised.value.__notes__[-1]


@pytest.fixture
def mixed(rng):
    """A model of a bank with a linear model, and the columns of a shop with both faults."""
    n = 120
    region = rng.choice(["east", "north", "south"], n)
    age, income, basket = rng.normal(size=(3, n))
    y = age + 2 * (region == "south") + basket + 0.1 * rng.normal(size=n)
    basket[::7] = np.nan
    frame = pd.DataFrame(
        {"age": age, "region": pd.Categorical(region), "income": income, "basket": basket}
    )
    linear = make_pipeline(StandardScaler(), Ridge())
    held = [("bank", linear, ["age", "income"]), ("shop", None, ["region", "basket"])]
    return GALRegressor(held, max_iter=3, random_state=0), frame, y


@pytest.mark.parametrize(
    ("column", "fault"),
    [("region", "could not convert string to float"), ("basket", "Input contains NaN")],
)
def test_a_joint_model_that_cannot_take_the_columns_of_others_is_left_out(
    mixed, column, fault
):
    model, frame, y = mixed
    bank, shop = model.organizations
    model.set_params(organizations=[bank, (*shop[:2], [column])])
    report = assistance_report(model, frame, y, cv=2)
    assert list(report.scores) == [
        "Alone",
        "LightGBM alone",
        "Assisted",
        "LightGBM joint",
        "without bank",
        "without shop",
    ]
    assert report.gain_over_joint.model == "LightGBM joint"
    assert "Gain over the best joint model (LightGBM joint): " in repr(report)
    (note,) = report.notes
    assert note.startswith("Joint is left out, because its estimator could not be fitted")
    assert f"ValueError: {fault}" in note
    assert note.endswith(
        f"The reason is in the columns {column!r} of 'shop'. Pass as joint an estimator "
        "that takes these columns, e.g. a pipeline."
    )
    assert repr(report).splitlines()[-1] == note
    assert html.escape(note) in report._repr_html_()
    without = assistance_report(model, frame, y, cv=2, reference=None)
    assert without.gain_over_joint is None
    assert "Joint:" not in repr(without)


@pytest.mark.parametrize("table", [pd.DataFrame, np.asarray])
@pytest.mark.parametrize("gal", [GALRegressor, GALClassifier])
def test_a_note_says_that_joint_ignores_the_columns_of_others(rng, gal, table):
    X = rng.normal(size=(90, 4))
    y = X[:, 0] + X[:, 2]
    y = y > 0 if gal is GALClassifier else y

    def notes(estimator):
        held = [("bank", estimator, [0, 1]), ("shop", Ridge(), [2, 3])]
        return assistance_report(
            gal(held, max_iter=2), table(X), y, cv=2, reference=None
        ).notes

    selects = make_column_transformer(("passthrough", [0, 1]))
    (note,) = notes(make_pipeline(selects, Ridge()))
    assert note.startswith("The predictions of Joint do not depend on the columns of the")
    assert not notes(Ridge())


def test_a_note_names_all_holders_of_columns_with_a_fault_and_a_few_columns(rng):
    X = rng.normal(size=(90, 9))
    y = X[:, 0] + X[:, 8]
    X[::5, :8] = np.nan
    imputing = make_pipeline(SimpleImputer(), Ridge())
    held = [("a", imputing, slice(1, 9)), ("b", imputing, [0])]
    model = GALRegressor(held, max_iter=2, random_state=0)
    report = assistance_report(model, X, y, cv=2, joint=Ridge(), reference=Ridge())
    joint, alone, strong_joint = report.notes
    assert joint.startswith("Joint is left out")
    columns = "1, 2, 3, 4, 5, 2 more of 'a'"
    assert f"The reason is in the columns {columns} and 0 of 'b'. Pass as joint" in joint
    assert strong_joint == joint.replace("Joint", "Ridge joint").replace(
        "as joint", "as reference"
    )
    assert alone.startswith("Ridge alone is left out")
    assert f"in the columns {columns}. Pass as reference" in alone


def test_report_takes_lists_and_groups_for_the_cross_fitting(diabetes):
    X, y = diabetes
    groups = np.arange(len(y)) % 10
    model = GALRegressor(halves(), cv=GroupKFold(2), max_iter=2, random_state=0)
    params = {"groups": groups}
    report = assistance_report(model, X, y, cv=2, params=params)
    same = assistance_report(model, X.tolist(), y.tolist(), cv=2, params=params)
    for label, scores in report.scores.items():
        np.testing.assert_allclose(same.scores[label], scores)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_report_of_rows_that_an_assistor_lacks(diabetes, n_jobs):
    X, y = diabetes
    X = X.copy()
    X[::3, 4:] = np.nan
    ridges = [("practice", Ridge(), slice(0, 4)), ("laboratory", Ridge(), slice(4, 10))]
    model = GALRegressor(ridges, missing_rows="abstain", max_iter=20, random_state=0)
    report = assistance_report(model, X, y, cv=3, joint=False, n_jobs=n_jobs)
    assert report.scores["Assisted"].mean() > report.scores["Alone"].mean() + 0.05
    assert np.isfinite(report.table.to_numpy()).all()


def test_a_report_does_not_touch_the_model(diabetes):
    model = GALRegressor(halves(), max_iter=2, random_state=0)
    assistance_report(model, *diabetes, cv=2)
    assert not model.__sklearn_is_fitted__()
    assert [name for name, _, _ in model.organizations] == ["practice", "laboratory"]
