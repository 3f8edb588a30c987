"""Numbers, factors and probabilities as text, and an axis in these units."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from sklearn.base import is_classifier

from ..losses import (
    CLASSIFICATION_LOSSES,
    REGRESSION_LOSSES,
    ExponentialLoss,
    GammaLoss,
    LogLoss,
    PoissonLoss,
    get_loss,
)
from ._common import find_output

_MINUS, _TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
# The exponential function of larger numbers would overflow.
_MAX_EXPONENT = 500.0
# Probabilities that are nearer to 0 or 1 than this are not told apart.
_MIN_PROBABILITY = 1e-4
# About this number of ticks are written on an axis.
_N_TICKS = 5
# The smallest and largest distance of ticks, as a fraction of the axis.
_MIN_GAP, _MAX_GAP = 0.08, 0.35
# A tick is moved to a round number by at most this fraction of the distance of ticks.
_MAX_SHIFT = 0.35


def number_text(value, decimals):
    """Return a number with separators of thousands."""
    text = f"{abs(value):,.{decimals}f}"
    return f"{_MINUS}{text}" if value < 0 and text.strip("0.") else text


def decimals_for(values):
    """Return the number of decimals that gives the largest value three digits."""
    largest = np.max(np.abs(values), initial=0.0)
    if largest == 0:
        return 0
    return int(np.clip(2 - np.floor(np.log10(largest)), 0, 12))


def significant_text(value):
    """Return a number with about three digits."""
    if value == 0 or 1e-4 <= abs(value) < 1e12:
        text = number_text(value, decimals_for(value))
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}".replace("-", _MINUS)


def change_text(change, decimals):
    """Return a number with its sign."""
    text = number_text(change, decimals)
    return text if text.startswith(_MINUS) else f"+{text}"


def factor_text(log_factor, decimals=None):
    """Return a factor, given its logarithm. The number of decimals is fixed."""
    factor = _exp(log_factor)
    if 0.095 <= factor < 10:
        return _TIMES + f"{factor:.2f}".rstrip("0").rstrip(".")
    return _TIMES + (significant_text(factor) if factor < 1e5 else f"{factor:.0e}")


def percent_text(probability, decimals=None):
    """Return a probability in percent, with two digits of it or of its complement."""
    rest = min(probability, 1 - probability)
    if rest < _MIN_PROBABILITY:
        return ">99.99%" if probability > 0.5 else "<0.01%"
    decimals = max(0, int(-np.floor(np.log10(rest))) - 1)
    return f"{probability:.{decimals}%}"


def _positive_text(value, decimals=None):
    return significant_text(value)


def _positive_tick(value):
    return f"{value:,.6g}"


def _percent_tick(probability):
    if min(probability, 1 - probability) < _MIN_PROBABILITY:
        return percent_text(probability)
    return f"{100 * probability:.6g}%"


def _exp(value):
    return np.exp(np.clip(value, -_MAX_EXPONENT, _MAX_EXPONENT))


def _round(value, digits):
    """Round a positive number to significant digits; to 1, 2 or 5 with 0 digits."""
    if digits == 0:
        candidates = np.array([1, 2, 5, 10]) * 10.0 ** np.floor(np.log10(value))
        return float(candidates[np.argmin(np.abs(np.log(candidates / value)))])
    return float(f"{value:.{digits - 1}e}")


def _round_exp(raw, digits):
    """Round the exponential of a number, and return its logarithm."""
    return np.log(_round(_exp(raw), digits))


def _round_expit(raw, digits):
    """Round the probability of log odds or its complement, and return the log odds."""
    smaller = expit(-min(abs(raw), _MAX_EXPONENT))
    return np.copysign(logit(_round(smaller, digits)), raw)


class Link(NamedTuple):
    """How raw predictions and contributions to them are shown.

    `inverse` maps a raw prediction to the prediction that is shown. `prediction_text` and
    `change_text` write a prediction and a contribution. The number of decimals matters only
    where contributions add up to the prediction. Otherwise, `multiplies` names what a
    contribution multiplies, `forward` maps a prediction back, `rounded` returns the raw
    prediction next to another one whose prediction has few digits, and `tick_text` writes
    this prediction. `note` is part of an axis label.
    """

    inverse: Callable[[float], float]
    prediction_text: Callable[[float, int], str]
    change_text: Callable[[float, int], str]
    multiplies: str = ""
    forward: Callable[[float], float] = float
    rounded: Callable[[float, int], float] = _round
    tick_text: Callable[[float], str] = str
    note: str = ""


_IDENTITY = Link(float, number_text, change_text)
LINKS = {
    "identity": _IDENTITY,
    "softmax": _IDENTITY._replace(note="The class with the highest score is predicted."),
    "log": Link(
        inverse=_exp,
        prediction_text=_positive_text,
        change_text=factor_text,
        forward=np.log,
        rounded=_round_exp,
        tick_text=_positive_tick,
        multiplies="prediction",
        note=f"A bar of {_TIMES}2 doubles the prediction.",
    ),
    "logit": Link(
        inverse=expit,
        prediction_text=percent_text,
        change_text=factor_text,
        forward=logit,
        rounded=_round_expit,
        tick_text=_percent_tick,
        multiplies="odds",
        note=f"A bar of {_TIMES}2 doubles the odds: 50% becomes 67%.",
    ),
}


def get_link(name):
    """Return the link with a name, or raise a ValueError."""
    if name not in LINKS:
        raise ValueError(f"link must be one of {sorted(LINKS)}, got {name!r}.")
    return LINKS[name]


class ExplainedOutput(NamedTuple):
    """Which output is explained, and how it is shown.

    Contributions are multiplied by `scale`. It is -1 for the first of two classes, and 2 if
    raw predictions are half the log odds.
    """

    position: int
    scale: float
    link: str
    prediction_name: str


def find_explained_output(estimator, target, prediction_name=None):
    """Return the output that `target` selects. `prediction_name` replaces the default."""
    position, scale, output_name = find_output(estimator, target)
    registry = CLASSIFICATION_LOSSES if is_classifier(estimator) else REGRESSION_LOSSES
    loss = get_loss(estimator.loss, registry)
    inverse_link = getattr(type(loss), "inverse_link", None)
    link, quantity = "identity", "raw prediction"
    if inverse_link is LogLoss.inverse_link and len(estimator.baseline_prediction_) > 1:
        link, quantity = "softmax", "score"
    elif inverse_link in (LogLoss.inverse_link, ExponentialLoss.inverse_link):
        link, quantity = "logit", "probability"
        scale *= 2.0 if inverse_link is ExponentialLoss.inverse_link else 1.0
    elif inverse_link in (PoissonLoss.inverse_link, GammaLoss.inverse_link):
        link, quantity = "log", "prediction"
    elif not is_classifier(estimator) and not hasattr(loss, "inverse_link"):
        quantity = "prediction"
    default = f"{quantity} of {output_name}" if output_name else quantity
    return ExplainedOutput(position, scale, link, prediction_name or default)


def set_prediction_ticks(axis, link):
    """Write the ticks of an axis of raw predictions as predictions."""
    _set_ticks(axis, link, lambda tick: link.tick_text(link.inverse(tick)))


def set_change_ticks(axis, link):
    """Write the ticks of an axis of contributions as what a contribution changes."""
    _set_ticks(axis, LINKS["log"] if link.multiplies else link, factor_text, [0.0])


def _set_ticks(axis, link, text_of, required=()):
    """Set ticks at round predictions, and at required positions that are on the axis."""
    if not link.multiplies:
        axis.set_major_formatter("{x:,.10g}")
        return
    low, high = axis.get_view_interval()
    found = _equal_steps(low, high, link)
    gaps = np.diff([low, *found, high]) / (high - low)
    is_uneven = gaps.max() > _MAX_GAP or gaps[1:-1].min(initial=1.0) < _MIN_GAP
    if is_uneven or any(low <= tick <= high and tick not in found for tick in required):
        found = _round_places(low, high, link)
    # A text that occurs again belongs to predictions that are not told apart.
    ticks = {text_of(tick): tick for tick in found}
    axis.set_ticks(list(ticks.values()), list(ticks))


def _equal_steps(low, high, link):
    """Return ticks whose predictions have equal distances, such as 20%, 30%, 40%."""
    from matplotlib.ticker import MaxNLocator

    limits = link.inverse(low), link.inverse(high)
    shown = MaxNLocator(_N_TICKS + 1, steps=[1, 2, 5, 10]).tick_values(*limits)
    return [link.forward(value) for value in shown if limits[0] <= value <= limits[1]]


def _round_places(low, high, link):
    """Return ticks that are about evenly spaced, such as 1%, 5%, 20%, 50%."""
    spacing = (high - low) / _N_TICKS
    steps = np.arange(np.ceil(low / spacing), np.floor(high / spacing) + 1)
    ticks = []
    for place in steps * spacing:
        candidates = [link.rounded(place, digits) for digits in range(6)]
        near = [tick for tick in candidates if abs(tick - place) <= _MAX_SHIFT * spacing]
        ticks += [tick for tick in near[:1] if low <= tick <= high]
    return ticks
