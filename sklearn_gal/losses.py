"""Overarching losses, which the label holder minimises.

A loss is an object with the methods ``value``, ``pseudo_residual`` and ``baseline``.
Targets and raw predictions are two-dimensional, (n_samples, n_outputs). A binary target is
one column of zeros and ones; a multiclass target is one-hot encoded.

A loss can also have the following methods and one property:

- ``for_target`` checks the target and returns the loss to use, for example with constants
  that are computed from the target.
- ``inverse_link`` maps raw predictions to predictions or class probabilities. Without it, a
  regressor returns raw predictions, and a classifier has no ``predict_proba``.
- ``curvature`` returns second derivatives along a direction, which let the line search
  converge in fewer steps.
- ``is_quadratic`` states that the Hessian is the identity, as for the squared error. The
  line search then has a closed form.
- ``error_scale`` returns how large errors are at a raw prediction, up to a factor. The
  intervals of a regressor are in proportion to it. A loss with this method is for targets
  that are not negative, and the intervals do not reach below 0.
- ``residual_bounds`` and ``residual_diameter`` bound the pseudo-residuals for all possible
  data. The mechanisms of :mod:`sklearn_gal.privacy` use them.
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

# Exponents are clipped because exp of larger values, or its products, would overflow.
_MAX_EXPONENT = 500.0


def _exp(raw):
    return np.exp(np.clip(raw, -_MAX_EXPONENT, _MAX_EXPONENT))


def _dot(a, b):
    """Products of `a` and `b`, summed over outputs."""
    return np.einsum("ij,ij->i", a, b)


def _squares(a):
    """Squares of `a`, summed over outputs."""
    return _dot(a, a)


def _prior(y, sample_weight):
    """Frequencies of the classes, clipped because a class weight of 0 would give 0 or 1."""
    eps = np.finfo(np.float64).eps
    return np.clip(np.average(y, axis=0, weights=sample_weight), eps, 1 - eps)


def weighted_quantile(values, quantile, sample_weight=None):
    """Quantile of each column; if an interval of values qualifies, its midpoint.

    A row with an integer weight counts as that number of rows.
    """
    if sample_weight is not None:
        sample_weight = np.broadcast_to(sample_weight[:, None], values.shape)

    def lower(x, q):
        return np.quantile(x, q, axis=0, weights=sample_weight, method="inverted_cdf")

    return (lower(values, quantile) - lower(-values, 1 - quantile)) / 2


class Loss:
    """Base class of the losses of this module.

    A custom loss does not need to inherit from it: any object with the methods ``value``,
    ``pseudo_residual`` and ``baseline`` is a loss. A subclass can implement ``pointwise``
    instead of ``value`` and inherits defaults of the optional methods.
    """

    def pointwise(self, y, raw_prediction) -> np.ndarray:
        """Loss of each row.

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
            Values that the organizations fit.
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
        """Check the target and return the loss with all constants that depend on it.

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
        """Smallest and largest possible pseudo-residual, independently of the data.

        Returns
        -------
        bounds : tuple of float (low, high) or None
            Bounds for each output, or None if the pseudo-residuals are not bounded.
        """
        return None

    def residual_diameter(self, n_outputs):
        """Largest possible L1 distance between two pseudo-residuals of a row.

        Parameters
        ----------
        n_outputs : int
            Number of outputs.

        Returns
        -------
        diameter : float
            L1 distance over all outputs. It is infinite if there are no bounds.
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
        """Whether the Hessian is the identity. A subclass may have another one."""
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
            Direction of the step of the raw predictions.

        Returns
        -------
        curvature : ndarray of shape (n_samples,)
            Second derivative per row with respect to the step size.
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
    """Pinball loss, which is minimised by a conditional quantile.

    Parameters
    ----------
    quantile : float, default=0.5
        The quantile to predict, between 0 and 1.
    """

    quantile: float = 0.5

    def __post_init__(self):
        if not 0 < self.quantile < 1:
            raise ValueError(
                f"quantile must be strictly between 0 and 1, got {self.quantile!r}."
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
        Absolute error at which the loss changes from quadratic to linear, in units of the
        target. If None, it is the given `quantile` of the absolute deviations from the
        median of each output. It is computed once, before the first round, so that the
        loss does not change during the fit.
    quantile : float, default=0.9
        Fraction of the deviations in the quadratic part of the loss if `delta` is None.

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
                f"quantile must be strictly between 0 and 1, got {self.quantile!r}."
            )

    def for_target(self, y, sample_weight=None):
        if self.delta is not None:
            return self
        deviation = np.abs(y - weighted_quantile(y, 0.5, sample_weight))
        delta = weighted_quantile(deviation, self.quantile, sample_weight)
        # the quantile is 0 if most values of the target are equal
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
        # one step from the median to the minimum (Friedman 2001, section 4.4)
        clipped = np.clip(y - median, -self.delta, self.delta)
        return median + np.average(clipped, axis=0, weights=sample_weight)


@dataclass(frozen=True)
class PoissonLoss(Loss):
    """Half the Poisson deviance up to a constant, with a log link, ``exp(F) - y F``."""

    def for_target(self, y, sample_weight=None):
        if np.any(y < 0) or np.any(np.average(y, axis=0, weights=sample_weight) <= 0):
            raise ValueError(
                "loss='poisson' requires non-negative values of y, and at least one "
                "positive value."
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
        """Map raw predictions to predictions by the exponential function.

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

    def error_scale(self, raw_prediction) -> np.ndarray:
        """Return the size of the errors to expect, up to a factor.

        It is the standard deviation of a Poisson variable with the predicted mean.

        Parameters
        ----------
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.

        Returns
        -------
        scale : ndarray of shape (n_samples, n_outputs)
            Positive numbers.
        """
        return np.sqrt(_exp(raw_prediction))


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
        """Map raw predictions to predictions by the exponential function.

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

    def error_scale(self, raw_prediction) -> np.ndarray:
        """Return the size of the errors to expect, up to a factor.

        It is the standard deviation of a gamma variable with the predicted mean.

        Parameters
        ----------
        raw_prediction : ndarray of shape (n_samples, n_outputs)
            Raw predictions, in link space.

        Returns
        -------
        scale : ndarray of shape (n_samples, n_outputs)
            Positive numbers.
        """
        return _exp(raw_prediction)


@dataclass(frozen=True)
class LogLoss(Loss):
    """Cross-entropy with a logit link, binary for one output and multinomial otherwise."""

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
        # one-hot minus probabilities: the positive parts sum to at most 1, as do the
        # negative parts
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
            Raw predictions, in link space. There is one output for two classes.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities of the classes, which sum to 1 in each row.
        """
        if raw_prediction.shape[1] == 1:
            return np.hstack([expit(-raw_prediction), expit(raw_prediction)])
        return softmax(raw_prediction, axis=1)


@dataclass(frozen=True)
class ExponentialLoss(Loss):
    """Exponential loss, ``exp(-(2 y - 1) F)``, for binary targets, with a half-logit link.

    Raises
    ------
    ValueError
        In ``for_target``, if there are more than two classes.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, Additive logistic regression,
    Annals of Statistics 28 (2000).
    """

    def for_target(self, y, sample_weight=None):
        if y.shape[1] != 1:
            raise ValueError(
                f"loss='exponential' requires a binary target, got {y.shape[1]} classes; "
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
            Raw predictions, in link space. There is one output for two classes.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities of the classes, which sum to 1 in each row.
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
    """Raise an error if a method of a custom loss returned an invalid array."""
    if np.shape(array) != shape or not np.isfinite(array).all():
        raise ValueError(
            f"The method {method!r} of the overarching loss must return finite numbers of "
            f"shape {shape}, but returned an array of shape {np.shape(array)}"
            + (" with NaN or infinity." if np.shape(array) == shape else ".")
        )


def check_link(loss, n_outputs, classes=None):
    """Raise an error if `inverse_link` returns neither predictions nor probabilities."""
    if not hasattr(loss, "inverse_link"):
        return
    prediction = np.asarray(loss.inverse_link(np.zeros((1, n_outputs))))
    if classes is None and prediction.shape != (1, n_outputs):
        raise ValueError(
            f"loss={loss!r} cannot be used for regression: its 'inverse_link' must return "
            "an array of shape (n_samples, n_outputs), but maps an array of shape "
            f"{(1, n_outputs)} to one of shape {prediction.shape}. Use a loss for "
            "regression."
        )
    if classes is not None and (
        prediction.shape != (1, len(classes)) or not np.allclose(prediction.sum(), 1)
    ):
        raise ValueError(
            f"loss={loss!r} cannot be used for this target: its 'inverse_link' must return "
            f"probabilities of {len(classes)} classes, which sum to 1, but for one row it "
            f"returned an array of shape {prediction.shape} and sum "
            f"{prediction.sum():.3g}. Use a loss for classification."
        )


def loss_for_target(loss, y, sample_weight):
    """Return the loss to use for a target. The method `for_target` is optional."""
    return loss.for_target(y, sample_weight) if hasattr(loss, "for_target") else loss


def get_loss(loss, registry):
    """Return the loss with a name in `registry`, or check a loss object."""
    if isinstance(loss, str):
        if loss not in registry:
            raise ValueError(
                f"loss={loss!r} is not known. Use one of {sorted(registry)}, an object "
                "from sklearn_gal.losses, or an object with the methods 'value', "
                "'pseudo_residual' and 'baseline'."
            )
        return registry[loss]()
    required = ("value", "pseudo_residual", "baseline")
    missing = [name for name in required if not callable(getattr(loss, name, None))]
    if isinstance(loss, type) or missing:
        raise ValueError(
            f"loss must be one of {sorted(registry)} or an object with the methods "
            f"'value', 'pseudo_residual' and 'baseline', got {loss!r}"
            + (", which is a class: pass an instance." if isinstance(loss, type) else ".")
        )
    return loss
