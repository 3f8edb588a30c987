"""Overarching losses: what the label holder minimises.

A loss is any object with three methods, ``value``, ``pseudo_residual`` and ``baseline``.
Targets and raw predictions are always two-dimensional, (n_samples, n_outputs); a binary
target is one column of zeros and ones, a multiclass target is one-hot encoded.

Five further methods and a property are optional. ``inverse_link`` maps raw predictions to
predictions or class probabilities (a regressor takes the identity; a classifier without it
has no ``predict_proba``).
``for_target`` checks the target and returns the loss to use, with any constant that
depends on the target settled. ``curvature`` is the second derivative along a direction,
with which the assisted learning rate takes fewer steps; where ``is_quadratic`` says that
the Hessian is the identity, as that of the squared error, it takes one.
``residual_bounds`` and ``residual_diameter`` say how large pseudo-residuals can be,
whatever the data, for :mod:`sklearn_gal.privacy`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logsumexp, softmax

__all__ = [
    "AbsoluteError",
    "ExponentialLoss",
    "GammaLoss",
    "HuberLoss",
    "LogLoss",
    "Loss",
    "PoissonLoss",
    "QuantileLoss",
    "SquaredError",
]

# exp() beyond this overflows once it is multiplied by anything sizeable
_MAX_EXPONENT = 500.0


def _exp(raw):
    return np.exp(np.clip(raw, -_MAX_EXPONENT, _MAX_EXPONENT))


def _dot(a, b):
    """Sum over outputs of the products."""
    return np.einsum("ij,ij->i", a, b)


def _squares(a):
    """Sum over outputs of the squares."""
    return _dot(a, a)


def _prior(y, sample_weight):
    """Share of each class; away from 0 and 1, where a class weight of 0 would lead."""
    eps = np.finfo(np.float64).eps
    return np.clip(np.average(y, axis=0, weights=sample_weight), eps, 1 - eps)


def weighted_quantile(values, quantile, sample_weight=None):
    """Quantile of each column, the midpoint where an interval of values qualifies.

    An integer weight counts as that many repetitions of the row.
    """
    if sample_weight is not None:
        sample_weight = np.broadcast_to(sample_weight[:, None], values.shape)

    def lower(x, q):
        return np.quantile(x, q, axis=0, weights=sample_weight, method="inverted_cdf")

    return (lower(values, quantile) - lower(-values, 1 - quantile)) / 2


class Loss:
    """Base class of the losses of this module.

    A loss of your own need not inherit from it: an object with the methods ``value``,
    ``pseudo_residual`` and ``baseline`` will do. Inheriting saves you ``value``, if you
    give ``pointwise`` instead, and the optional methods.
    """

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        """Loss of every row.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Target.
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.

        Returns
        -------
        loss : ndarray of shape (n_samples,)
            Loss per row, summed over outputs.
        """
        raise NotImplementedError

    def value(self, y, raw_prediction, sample_weight=None) -> float:
        """Overarching loss, the weighted mean over rows.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Target.
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.
        sample_weight : ndarray of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        loss : float
            Mean loss; lower is better.
        """
        return float(np.average(self.pointwise(y, raw_prediction), weights=sample_weight))

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        """Negative gradient of each row's loss with respect to its raw prediction.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Target.
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.

        Returns
        -------
        residual : ndarray of shape (n_samples, n_outputs)
            What the organizations are asked to fit.
        """
        raise NotImplementedError

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        """Constant raw prediction that minimises the loss.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Target.
        sample_weight : ndarray of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        baseline : ndarray of shape (n_outputs,)
            Raw prediction before the first round, in link space.
        """
        raise NotImplementedError

    def for_target(self, y, sample_weight=None):
        """Check the target, and settle constants that depend on it.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Target.
        sample_weight : ndarray of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        loss : Loss
            The loss to use for this target.

        Raises
        ------
        ValueError
            If the target is outside the domain of the loss.
        """
        return self

    def residual_bounds(self):
        """Least and largest pseudo-residual, whatever the data.

        Returns
        -------
        bounds : tuple of float (low, high) or None
            For every output; None if there are none.
        """
        return None

    def residual_diameter(self, n_outputs):
        """Largest L1 distance between two pseudo-residuals of a row, whatever the data.

        Parameters
        ----------
        n_outputs : int
            Number of outputs.

        Returns
        -------
        diameter : float
            Over all outputs; infinite if there are no bounds.
        """
        if self.residual_bounds() is None:
            return np.inf
        low, high = self.residual_bounds()
        return float(np.sum(np.broadcast_to(np.subtract(high, low), n_outputs)))


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, ``(y - F)**2 / 2``."""

    @property
    def is_quadratic(self) -> bool:
        """Whether the Hessian is the identity, which a subclass may change."""
        return type(self) is SquaredError

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        return _squares(y - raw_prediction) / 2

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        return y - raw_prediction

    def value(self, y, raw_prediction, sample_weight=None) -> float:
        error = y - raw_prediction
        if sample_weight is None:
            return float(np.vdot(error, error)) / (2 * len(y))
        return float(sample_weight @ _squares(error)) / (2 * float(sample_weight.sum()))

    def curvature(self, y, residual, direction) -> np.ndarray:
        """Second derivative of each row's loss along a direction.

        Parameters
        ----------
        y : ndarray of shape (n_samples, n_outputs)
            Target.
        residual : ndarray of shape (n_samples, n_outputs)
            Pseudo-residual where the derivative is taken.
        direction : ndarray of shape (n_samples, n_outputs)
            Direction in which the raw predictions move.

        Returns
        -------
        curvature : ndarray of shape (n_samples,)
            Second derivative per row with respect to the step.
        """
        return _squares(direction)

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        return np.average(y, axis=0, weights=sample_weight)


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Absolute error, ``|y - F|``."""

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        return np.abs(y - raw_prediction).sum(axis=1)

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        return np.sign(y - raw_prediction)

    def residual_bounds(self):
        return -1.0, 1.0

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        return weighted_quantile(y, 0.5, sample_weight)


@dataclass(frozen=True)
class QuantileLoss(Loss):
    """Pinball loss, whose minimiser is a conditional quantile.

    Parameters
    ----------
    quantile : float, default=0.5
        The quantile to predict, between 0 and 1.
    """

    quantile: float = 0.5

    def __post_init__(self):
        if not 0 < self.quantile < 1:
            raise ValueError(
                f"quantile must lie strictly between 0 and 1, got {self.quantile!r}."
            )

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        error = y - raw_prediction
        return np.maximum(self.quantile * error, (self.quantile - 1) * error).sum(axis=1)

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        error = y - raw_prediction
        return np.where(
            error == 0, 0.0, np.where(error > 0, self.quantile, self.quantile - 1)
        )

    def residual_bounds(self):
        return self.quantile - 1, self.quantile

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        return weighted_quantile(y, self.quantile, sample_weight)


@dataclass(frozen=True)
class HuberLoss(Loss):
    """Squared error for small errors, absolute error for large ones.

    Parameters
    ----------
    delta : float, default=None
        Where the loss turns from quadratic to linear, in units of the target. None: the
        `quantile` of the absolute deviations from the median of each output, settled once
        before the first round, so that the loss does not change while it is minimised.
    quantile : float, default=0.9
        Share of the deviations that are treated quadratically when `delta` is None.

    References
    ----------
    J. Friedman, Greedy Function Approximation: A Gradient Boosting Machine,
    Annals of Statistics 29 (2001), section 4.4.
    """

    delta: Any = None
    quantile: float = 0.9

    def __post_init__(self):
        if self.delta is not None and not np.all(np.asarray(self.delta) > 0):
            raise ValueError(f"delta must be positive, got {self.delta!r}.")
        if not 0 < self.quantile < 1:
            raise ValueError(
                f"quantile must lie strictly between 0 and 1, got {self.quantile!r}."
            )

    def for_target(self, y, sample_weight=None):
        if self.delta is not None:
            return self
        deviation = np.abs(y - weighted_quantile(y, 0.5, sample_weight))
        delta = weighted_quantile(deviation, self.quantile, sample_weight)
        # a target that is mostly one value has no scale to take from it
        return replace(self, delta=np.where(delta > 0, delta, 1.0))

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        error = np.abs(y - raw_prediction)
        inner = np.minimum(error, self.delta)
        return (inner * (error - inner / 2)).sum(axis=1)

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        return np.clip(y - raw_prediction, -self.delta, self.delta)

    def curvature(self, y, residual, direction) -> np.ndarray:
        return _squares(direction * (np.abs(residual) < self.delta))

    def residual_bounds(self):
        return None if self.delta is None else (-self.delta, self.delta)

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        median = weighted_quantile(y, 0.5, sample_weight)
        # one step from the median towards the minimum (Friedman 2001, section 4.4)
        clipped = np.clip(y - median, -self.delta, self.delta)
        return median + np.average(clipped, axis=0, weights=sample_weight)


@dataclass(frozen=True)
class PoissonLoss(Loss):
    """Half the Poisson deviance up to a constant, with a log link, ``exp(F) - y F``."""

    def for_target(self, y, sample_weight=None):
        if np.any(y < 0) or np.any(np.average(y, axis=0, weights=sample_weight) <= 0):
            raise ValueError(
                "loss='poisson' requires non-negative values of y, at least one of "
                "them positive."
            )
        return self

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        return (_exp(raw_prediction) - y * raw_prediction).sum(axis=1)

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        return y - _exp(raw_prediction)

    def curvature(self, y, residual, direction) -> np.ndarray:
        return _dot(y - residual, direction**2)

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        return np.log(np.average(y, axis=0, weights=sample_weight))

    def inverse_link(self, raw_prediction) -> np.ndarray:
        """Map raw predictions to predictions, by the exponential function.

        Parameters
        ----------
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.

        Returns
        -------
        prediction : ndarray of shape (n_samples, n_outputs)
            Positive predictions, in the units of the target.
        """
        return _exp(raw_prediction)


@dataclass(frozen=True)
class GammaLoss(Loss):
    """Half the gamma deviance up to a constant, with a log link, ``F + y exp(-F)``."""

    def for_target(self, y, sample_weight=None):
        if np.any(y <= 0):
            raise ValueError("loss='gamma' requires strictly positive values of y.")
        return self

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        return (raw_prediction + y * _exp(-raw_prediction)).sum(axis=1)

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        return y * _exp(-raw_prediction) - 1

    def curvature(self, y, residual, direction) -> np.ndarray:
        return _dot(residual + 1, direction**2)

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        return np.log(np.average(y, axis=0, weights=sample_weight))

    def inverse_link(self, raw_prediction) -> np.ndarray:
        """Map raw predictions to predictions, by the exponential function.

        Parameters
        ----------
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.

        Returns
        -------
        prediction : ndarray of shape (n_samples, n_outputs)
            Positive predictions, in the units of the target.
        """
        return _exp(raw_prediction)


@dataclass(frozen=True)
class LogLoss(Loss):
    """Cross-entropy with a logit link: binary for one output, else multinomial."""

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        if y.shape[1] == 1:
            # log(1 + exp(F)) - y F
            return (-log_expit(-raw_prediction) - y * raw_prediction).ravel()
        return logsumexp(raw_prediction, axis=1) - (y * raw_prediction).sum(axis=1)

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        if y.shape[1] == 1:
            return y - expit(raw_prediction)
        return y - softmax(raw_prediction, axis=1)

    def curvature(self, y, residual, direction) -> np.ndarray:
        probability = y - residual
        if y.shape[1] == 1:
            return (probability * (1 - probability) * direction**2).ravel()
        mean = _dot(probability, direction)
        return _dot(probability, (direction - mean[:, None]) ** 2)

    def residual_bounds(self):
        return -1.0, 1.0

    def residual_diameter(self, n_outputs):
        # one-hot minus probabilities: the positive and the negative part are at most 1
        return 2.0 if n_outputs == 1 else 4.0

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        prior = _prior(y, sample_weight)
        if y.shape[1] == 1:
            return np.log(prior) - np.log1p(-prior)
        return np.log(prior)

    def inverse_link(self, raw_prediction) -> np.ndarray:
        """Map raw predictions to class probabilities.

        Parameters
        ----------
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space; a single output for two classes.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities, which sum to 1.
        """
        if raw_prediction.shape[1] == 1:
            return np.hstack([expit(-raw_prediction), expit(raw_prediction)])
        return softmax(raw_prediction, axis=1)


@dataclass(frozen=True)
class ExponentialLoss(Loss):
    """Exponential loss of a binary target, ``exp(-(2 y - 1) F)``, half-logit link.

    Raises
    ------
    ValueError
        From ``for_target``, if there are more than two classes.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, Additive logistic regression,
    Annals of Statistics 28 (2000).
    """

    def for_target(self, y, sample_weight=None):
        if y.shape[1] != 1:
            raise ValueError(
                f"loss='exponential' is for binary targets, got {y.shape[1]} classes; "
                "use loss='log_loss'."
            )
        return self

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        return _exp((1 - 2 * y) * raw_prediction).ravel()

    def pseudo_residual(self, y, raw_prediction) -> np.ndarray:
        return (2 * y - 1) * _exp((1 - 2 * y) * raw_prediction)

    def curvature(self, y, residual, direction) -> np.ndarray:
        return _dot(np.abs(residual), direction**2)

    def baseline(self, y, sample_weight=None) -> np.ndarray:
        prior = _prior(y, sample_weight)
        return (np.log(prior) - np.log1p(-prior)) / 2

    def inverse_link(self, raw_prediction) -> np.ndarray:
        """Map raw predictions to class probabilities.

        Parameters
        ----------
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space; a single output for two classes.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities, which sum to 1.
        """
        return np.hstack([expit(-2 * raw_prediction), expit(2 * raw_prediction)])


REGRESSION_LOSSES = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": HuberLoss,
    "quantile": QuantileLoss,
    "poisson": PoissonLoss,
    "gamma": GammaLoss,
}
CLASSIFICATION_LOSSES = {"log_loss": LogLoss, "exponential": ExponentialLoss}


def check_output(array, shape, method):
    """Refuse what a loss of the user's own should not have returned."""
    if np.shape(array) != shape or not np.isfinite(array).all():
        raise ValueError(
            f"The method {method!r} of the overarching loss must return finite numbers of "
            f"shape {shape}, but returned an array of shape {np.shape(array)}"
            + (" with NaN or infinity." if np.shape(array) == shape else ".")
        )


def check_link(loss, n_outputs, classes=None):
    """Refuse a loss whose `inverse_link` does not give predictions, or probabilities."""
    if not hasattr(loss, "inverse_link"):
        return
    prediction = np.asarray(loss.inverse_link(np.zeros((1, n_outputs))))
    if classes is None and prediction.shape != (1, n_outputs):
        raise ValueError(
            f"loss={loss!r} predicts something else than a number per output: it is not "
            "for a regressor."
        )
    if classes is not None and (
        prediction.shape != (1, len(classes)) or not np.allclose(prediction.sum(), 1)
    ):
        raise ValueError(
            f"loss={loss!r} does not predict probabilities of {len(classes)} classes: it "
            "is not for this classifier."
        )


def settled(loss, y, sample_weight):
    """The loss to use for a target; `for_target` is optional."""
    return loss.for_target(y, sample_weight) if hasattr(loss, "for_target") else loss


def get_loss(loss, registry):
    """Return the loss object for a name of `registry`, or check an object of one's own."""
    if isinstance(loss, str):
        if loss not in registry:
            raise ValueError(
                f"loss={loss!r} is not known. Use one of {sorted(registry)}, an object "
                "from sklearn_gal.losses, or your own with the methods 'value', "
                "'pseudo_residual' and 'baseline'."
            )
        return registry[loss]()
    required = ("value", "pseudo_residual", "baseline")
    missing = [name for name in required if not callable(getattr(loss, name, None))]
    if isinstance(loss, type) or missing:
        raise ValueError(
            f"loss={loss!r} is neither one of {sorted(registry)} nor an object with the "
            "methods 'value', 'pseudo_residual' and 'baseline'"
            + (" (it is a class: pass an instance)." if isinstance(loss, type) else ".")
        )
    return loss
