"""The account of what passed between hosts, as a picture."""

import matplotlib
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_gal.federated import CommunicationDisplay, FederatedGALRegressor

matplotlib.use("agg")


@pytest.fixture
def account():
    return {
        "organization": np.array(["bank", "shop", "bank", "shop", "bank", "shop", "shop"]),
        "call": np.array(["prepare"] * 2 + ["fit_round"] * 5),
        "round": np.array([-1, -1, 0, 0, 1, 1, 1]),
        "bytes_sent": np.array([90, 90, 10, 20, 30, 40, 50]),
        "bytes_received": np.array([9, 9, 1, 2, 3, 0, 5]),
        "seconds": np.array([1.0, 1.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        "error": np.array(["", "", "", "", "", "NotPrepared", ""]),
    }


def test_totals_per_round(account):
    display = CommunicationDisplay(communication=account)
    sent = display.per_round("bytes_sent")
    assert {name: totals.tolist() for name, totals in sent.items()} == {
        "bank": [10, 30],
        "shop": [20, 90],
    }


def test_the_order_of_the_answers_does_not_change_the_colors(account):
    reverse = {name: entries[::-1] for name, entries in account.items()}
    display = CommunicationDisplay(communication=reverse)
    assert list(display.per_round("seconds")) == ["bank", "shop"]


def test_the_picture_shows_the_account(account):
    display = CommunicationDisplay(communication=account).plot()
    upper, lower = display.axes_
    lines = {line.get_label(): line.get_ydata() for line in upper.lines}
    np.testing.assert_allclose(lines["to shop"], [0.02, 0.09])
    np.testing.assert_allclose(lines["from bank"], [0.001, 0.003])
    crosses = [line for line in lower.lines if line.get_marker() == "x"]
    (cross,) = [line for line in crosses if len(line.get_xdata())]
    assert cross.get_xdata().tolist() == [2]
    matplotlib.pyplot.close(display.figure_)


def test_given_axes_are_used(account):
    figure, axes = matplotlib.pyplot.subplots(1, 2)
    display = CommunicationDisplay(communication=account).plot(axes=axes)
    assert display.figure_ is figure
    matplotlib.pyplot.close(figure)


def test_an_unfitted_model_has_no_account():
    with pytest.raises(NotFittedError):
        CommunicationDisplay.from_estimator(FederatedGALRegressor())
