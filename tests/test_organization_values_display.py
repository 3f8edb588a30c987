import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import OrganizationValuesDisplay

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def values():
    return Bunch(
        values=np.array([0.1, 0.3, -0.05]),
        intervals=np.array([[0.05, 0.15], [0.1, 0.5], [-0.1, 0.0]]),
        leave_one_out=np.array([0.2, 0.02, -0.01]),
        names=["shop", "bank", "noise"],
        label_holder="shop",
        scoring="accuracy",
    )


def model():
    held = [("practice", Ridge(), slice(0, 4)), ("laboratory", Ridge(), slice(4, 10))]
    return GALRegressor(held, missing_rows="abstain", max_iter=2, random_state=0)


def test_bars_intervals_and_marks_are_in_the_order_of_the_values():
    display = OrganizationValuesDisplay.from_values(values())
    ax = display.ax_
    assert display.figure_ is ax.figure
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["noise", "shop (label holder)", "bank"]
    assert_allclose([bar.get_width() for bar in ax.patches], [-0.05, 0.1, 0.3])
    (lines,) = [c for c in ax.collections if hasattr(c, "get_segments")]
    ends = [segment[:, 0] for segment in lines.get_segments()]
    assert_allclose(ends, [[-0.1, 0.0], [0.05, 0.15], [0.1, 0.5]], atol=1e-12)
    (marks,) = [line for line in ax.lines if line.get_marker() == "D"]
    assert_allclose(marks.get_xdata(), [-0.01, 0.2, 0.02])
    assert ax.get_xlabel() == "accuracy that the organization adds"
    assert ax.get_title(loc="left") == "What each organization is worth"
    assert len(ax.get_legend().get_texts()) == 2


def test_the_legend_covers_no_bar():
    full = values() | {"values": np.full(3, 0.3), "intervals": np.tile([0.1, 0.5], (3, 1))}
    display = OrganizationValuesDisplay.from_values(full | {"leave_one_out": [0.0, 0.5, 0]})
    display.figure_.canvas.draw()
    legend = display.ax_.get_legend().get_window_extent()
    for bar in display.ax_.patches:
        assert not legend.overlaps(bar.get_window_extent())


def test_intervals_that_are_not_known_are_not_drawn():
    unknown = values() | {"intervals": np.full((3, 2), np.nan)}
    display = OrganizationValuesDisplay.from_values(unknown)
    assert len(display.ax_.patches) == 3
    display.figure_.canvas.draw()


def test_from_estimator_computes_what_the_method_does(diabetes):
    fitted = model().fit(*diabetes)
    _, ax = plt.subplots(1, 2)
    params = {"scoring": "neg_mean_absolute_error", "random_state": 0}
    display = OrganizationValuesDisplay.from_estimator(
        fitted, *diabetes, ax=ax[1], **params
    )
    assert display.ax_ is ax[1]
    expected = fitted.organization_values(*diabetes, **params)
    for name in ("values", "intervals", "leave_one_out"):
        assert_allclose(getattr(display, name), expected[name])
    assert display.scoring == "neg_mean_absolute_error"
    unfitted = OrganizationValuesDisplay.from_estimator(model(), *diabetes, cv=2)
    assert unfitted.names == ["practice", "laboratory"]


def test_display_needs_a_model_of_this_package(diabetes):
    with pytest.raises(NotFittedError):
        OrganizationValuesDisplay.from_estimator(model(), *diabetes)
    with pytest.raises(TypeError, match=r"GALClassifier, got Pipeline.*its last step"):
        OrganizationValuesDisplay.from_estimator(make_pipeline(model()), *diabetes)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"plot.*sklearn_gal\[plot\]"):
        OrganizationValuesDisplay.from_values(values())
