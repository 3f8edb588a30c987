import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_gal import GALRegressor
from sklearn_gal.inspection import InteractionDisplay

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def organizations():
    return [
        ("practice", Ridge(), slice(0, 4)),
        ("laboratory", Ridge(), slice(4, 8)),
        ("registry", Ridge(), slice(8, 10)),
    ]


@pytest.fixture(scope="module")
def fitted(diabetes):
    return GALRegressor(organizations(), max_iter=5, random_state=0).fit(*diabetes)


def test_cells_show_the_shares_of_organizations_and_pairs(fitted):
    display = InteractionDisplay.from_estimator(fitted)
    strength = fitted.interaction_strength_
    whole = strength.sum()
    assert len(display.ax_.texts) == 6
    for text in display.ax_.texts:
        column, row = map(int, text.get_position())
        assert column <= row
        share = strength[row, column] / whole
        if row != column:  # the two halves of a pair
            share += strength[column, row] / whole
        assert text.get_text() == f"{share:.1%}"
    assert np.nansum(display.shares) == pytest.approx(1.0)
    assert np.isnan(display.shares[np.triu_indices(3, k=1)]).all()


def test_both_axes_have_names_and_there_is_a_title(fitted):
    display = InteractionDisplay.from_estimator(fitted)
    names = ["practice (label holder)", "laboratory", "registry"]
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == names
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == names
    title = display.ax_.get_title().replace("\n", " ")
    assert title == "Share of the fall in loss by organization and pair"
    assert display.figure_ is display.ax_.figure


def test_ax_and_cmap_are_those_given(fitted):
    _, ax = plt.subplots(1, 2)
    display = InteractionDisplay.from_estimator(fitted, ax=ax[1], cmap="Greens")
    assert display.ax_ is ax[1]
    assert display.ax_.images[0].get_cmap().name == "Greens"


def test_values_of_the_constructor_are_drawn():
    display = InteractionDisplay(np.array([[6.0, 1.0], [1.0, 2.0]]), ["a", "b"]).plot()
    assert {text.get_text() for text in display.ax_.texts} == {"60.0%", "20.0%"}
    np.testing.assert_array_equal(display.shares, [[0.6, np.nan], [0.2, 0.2]])


def test_a_loss_that_has_not_changed_has_shares_of_zero():
    display = InteractionDisplay(np.zeros((2, 2)), ["a", "b"]).plot()
    assert {text.get_text() for text in display.ax_.texts} == {"0.0%"}


def test_display_needs_a_fitted_model_of_this_package():
    with pytest.raises(NotFittedError):
        InteractionDisplay.from_estimator(GALRegressor(organizations()))
    with pytest.raises(TypeError, match=r"GALClassifier, got Pipeline.*its last step"):
        InteractionDisplay.from_estimator(make_pipeline(GALRegressor(organizations())))


def test_without_matplotlib_the_error_names_the_extra(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"from_estimator.*sklearn_gal\[plot\]"):
        InteractionDisplay.from_estimator(fitted)
