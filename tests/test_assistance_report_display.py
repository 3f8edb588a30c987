import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import (
    AssistanceReport,
    AssistanceReportDisplay,
    assistance_report,
)

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    held = [
        ("practice", Ridge(), slice(0, 2)),
        ("registry", Ridge(), slice(2, 4)),
        ("laboratory", Ridge(), slice(4, 10)),
    ]
    return GALRegressor(held, label_holder="registry", max_iter=3, random_state=0)


@pytest.fixture(scope="module")
def report(model, diabetes):
    return assistance_report(model, *diabetes, cv=3)


def labels(ax):
    """The labels of the vertical axis, in the order of their positions."""
    return [label.get_text() for label in ax.get_yticklabels()]


def intervals(ax):
    """The ends of the intervals that are drawn, in the order of their positions."""
    lines = [line for line in ax.lines if line.get_linewidth() == 2]
    return np.array([line.get_xdata() for line in lines])


def test_left_panel_has_the_models_that_gain_and_gap_are_about(report):
    display = AssistanceReportDisplay.from_report(report)
    ax = display.axes_[0]
    assert labels(ax) == [
        "registry alone",
        "assisted",
        "all columns in one\nplace (LightGBM)",
    ]
    models = ["Alone", "Assisted", "LightGBM joint"]
    assert [report.gain.model, report.gain_over_joint.model] == [models[0], models[2]]
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert_allclose(means, [report.scores[each].mean() for each in models])
    assert_allclose(means[1] - means[0], report.gain.mean)
    assert_allclose(intervals(ax), report.table.loc[models, ["low", "high"]])
    assert [text.get_text() for text in ax.texts] == [f"{mean:.3g}" for mean in means]
    assert ax.get_xlabel().startswith("R² on test rows")


def test_labels_name_the_strong_learner_only_if_it_is_the_better_one(rng):
    X = rng.normal(size=(300, 3))
    y = X[:, 0] + 3 * (np.abs(X[:, 0]) < 0.5) + 9 * X[:, 1] + 9 * X[:, 2]
    held = [("practice", Ridge(), [0]), ("registry", Ridge(), [1, 2])]
    model = GALRegressor(held, cv=None, max_iter=5, random_state=0)
    report = assistance_report(model, X, y - 9 * X[:, 1:].sum(axis=1), cv=2)
    assert report.gain.model == "LightGBM alone"
    assert report.gain_over_joint.model == "LightGBM joint"
    display = AssistanceReportDisplay.from_report(report)
    assert labels(display.axes_[0])[0] == "practice alone\n(LightGBM)"
    assert_allclose(display.scores[0, 0], report.scores["LightGBM alone"].mean())
    report = assistance_report(model, X, y, cv=2)
    assert report.gain_over_joint.model == "Joint"
    display = AssistanceReportDisplay.from_report(report)
    assert labels(display.axes_[0])[2] == "all columns in one\nplace"


def test_right_panel_has_what_is_lost_in_descending_order(report):
    display = AssistanceReportDisplay.from_report(report)
    ax = display.axes_[1]
    rows = report.table.loc[["without practice", "without registry", "without laboratory"]]
    rows = rows.sort_values("lost", ascending=False)
    names = [row.removeprefix("without ") for row in rows.index]
    label = "registry (label holder)\nin a new fit"
    marked = [label if name == "registry" else name for name in names]
    assert labels(ax) == marked
    assert_allclose([bar.get_width() for bar in ax.patches], rows["lost"])
    assert_allclose(intervals(ax), rows[["lost_low", "lost_high"]])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first position is at the top
    assert ax.get_xlabel().startswith("R² lost")
    assert ax.get_title(loc="left") == "What is lost if one leaves after the fit?"
    assert display.figure_ is ax.figure is display.axes_[0].figure


def test_without_joint_models_and_intervals(model, diabetes):
    X, y = diabetes
    split = [(np.arange(300), np.arange(300, len(y)))]
    report = assistance_report(model, X, y, cv=split, joint=False, reference=None)
    display = AssistanceReportDisplay.from_report(report)
    assert labels(display.axes_[0]) == ["registry alone", "assisted"]
    assert np.isnan(display.scores[:, 1:]).all()
    display.figure_.canvas.draw()


def test_a_table_that_is_a_structured_array_is_drawn(report):
    expected = AssistanceReportDisplay.from_report(report)
    plain = AssistanceReport(**report | {"table": report.table.to_records()})
    display = AssistanceReportDisplay.from_report(plain)
    assert_allclose(display.scores, expected.scores)
    assert_allclose(display.lost, expected.lost)


def test_given_axes_are_used(report):
    figure, axes = plt.subplots(2)
    display = AssistanceReportDisplay.from_report(report, ax=axes)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    with pytest.raises(ValueError, match=r"must be two Axes.*got 1"):
        display.plot(ax=axes[0])


def test_without_matplotlib_the_error_names_the_extra(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"plot.*sklearn_gal\[plot\]"):
        AssistanceReportDisplay.from_report(report)
