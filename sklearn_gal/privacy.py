"""Perturbations of the pseudo-residual that assistors receive.

A mechanism is passed to an estimator as the parameter `privacy`. It perturbs the
pseudo-residual of each chain in each round, and all assistors receive the same perturbed
values. With two folds, the default with privacy, a row has one residual in a round. The
label holder uses the exact values to fit its own model and to choose weights and rate. A
mechanism can also be any callable ``(residual, random_state) -> residual``, which receives
an array of shape (n_samples, n_outputs) and a :class:`numpy.random.RandomState`.

The section "Privacy" of the user guide describes what is protected and what is not.
"""

from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np

__all__ = ["IntervalMechanism", "LaplaceMechanism", "composed_epsilon"]


@dataclass(frozen=True)
class LaplaceMechanism:
    """Laplace noise, for differential privacy of a row's residual.

    The residuals are clipped to `bounds`, and independent Laplace noise with scale
    ``diameter / epsilon`` is added to each value. For any two residuals of a row within
    the bounds, the likelihoods of what the assistors receive in a round differ by a factor
    of at most ``exp(epsilon)``.

    Parameters
    ----------
    epsilon : float
        Privacy budget of a row for one residual that is sent, which is one in a round with
        the default of `cv`. Smaller values give more privacy and more noise. The budgets
        add up, see :func:`composed_epsilon`.
    bounds : tuple of float (low, high), default=None
        Smallest and largest residual of each output. Values outside are clipped. The
        bounds must not be computed from the data. If None, the bounds of the overarching
        loss are used: [-1, 1] for ``"log_loss"`` and ``"absolute_error"``,
        [quantile - 1, quantile] for ``QuantileLoss``, [-delta, delta] for ``HuberLoss``
        with a given delta, and `residual_bounds` for a custom loss.
    diameter : float, default=None
        Largest L1 distance between two residuals of a row, over all outputs. If None, it
        is the smaller of the diameter of the `bounds` and the one that the overarching
        loss specifies (4 for three or more classes).

    References
    ----------
    C. Dwork, F. McSherry, K. Nissim, A. Smith, Calibrating Noise to Sensitivity in
    Private Data Analysis, TCC 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_gal.privacy import LaplaceMechanism
    >>> noisy = LaplaceMechanism(epsilon=1, bounds=(-1, 1))
    >>> noisy(np.zeros((2, 1)), np.random.RandomState(0)).round(1)
    array([[0.2],
           [1.1]])
    """

    epsilon: float
    bounds: tuple | None = None
    diameter: float | None = None

    def __post_init__(self):
        _check_positive("epsilon", self.epsilon)
        _check_bounds(self.bounds)
        if self.diameter is not None:
            _check_positive("diameter", self.diameter)

    def for_loss(self, loss, n_outputs):
        """Return the mechanism with the bounds and the diameter for a loss.

        Parameters
        ----------
        loss : loss object
            Overarching loss, as passed by the user.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        mechanism : LaplaceMechanism
            Mechanism with `bounds` and `diameter`.

        Raises
        ------
        ValueError
            If `bounds` is None and the loss has no bounds either.
        """
        bounds = _bounds_for(self, loss)
        diameter = self.diameter
        if diameter is None:
            of_loss = getattr(loss, "residual_diameter", lambda n_outputs: np.inf)
            diameter = min(_diameter(bounds, n_outputs), of_loss(n_outputs))
        return replace(self, bounds=bounds, diameter=diameter)

    def __call__(self, residual, random_state):
        """Perturb residuals.

        Parameters
        ----------
        residual : ndarray of shape (n_samples, n_outputs)
            Exact residuals.
        random_state : RandomState
            Random number generator for the noise.

        Returns
        -------
        residual : ndarray of shape (n_samples, n_outputs)
            Perturbed residuals.
        """
        bounds = _bounds_for(self)
        diameter = self.diameter
        if diameter is None:
            diameter = _diameter(bounds, residual.shape[1])
        noise = random_state.laplace(scale=diameter / self.epsilon, size=residual.shape)
        return np.clip(residual, *bounds) + noise


@dataclass(frozen=True)
class IntervalMechanism:
    """Interval privacy, which compares each value with random thresholds.

    Each value is clipped to `bounds` = [a, b] and compared with thresholds t that are
    drawn uniformly from this interval. The assistors receive the mean over the thresholds
    of ``2 t - b`` if the value is below t, and ``2 t - a`` otherwise. This mean is an
    unbiased estimate of the value and depends only on the outcomes of the comparisons.
    It is not differentially private for any number of thresholds. If there are few of
    them, an assistor can often tell on which side of a threshold the value was.

    Parameters
    ----------
    n_thresholds : int
        Number of thresholds per value and round. The variance of the error is at most
        ``(b - a)**2 / (3 * n_thresholds)``.
    bounds : tuple of float (low, high), default=None
        Smallest and largest residual of each output, as in :class:`LaplaceMechanism`.

    References
    ----------
    J. Ding, B. Ding, Interval Privacy: A Framework for Privacy-Preserving Data Collection,
    IEEE Transactions on Signal Processing 70 (2022).
    """

    n_thresholds: int
    bounds: tuple | None = None

    def __post_init__(self):
        if not isinstance(self.n_thresholds, Integral) or self.n_thresholds < 1:
            raise ValueError(
                f"n_thresholds must be a positive int, got {self.n_thresholds!r}."
            )
        _check_bounds(self.bounds)

    def for_loss(self, loss, n_outputs):
        """Return the mechanism with the bounds for a loss.

        Parameters
        ----------
        loss : loss object
            Overarching loss, as passed by the user.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        mechanism : IntervalMechanism
            Mechanism with `bounds`.

        Raises
        ------
        ValueError
            If `bounds` is None and the loss has no bounds either.
        """
        return replace(self, bounds=_bounds_for(self, loss))

    def __call__(self, residual, random_state):
        """Perturb residuals.

        Parameters
        ----------
        residual : ndarray of shape (n_samples, n_outputs)
            Exact residuals.
        random_state : RandomState
            Random number generator for the thresholds.

        Returns
        -------
        residual : ndarray of shape (n_samples, n_outputs)
            Perturbed residuals.
        """
        low, high = _bounds_for(self)
        residual, total = np.clip(residual, low, high), 0.0
        for _ in range(self.n_thresholds):
            threshold = random_state.uniform(low, high, size=residual.shape)
            total = total + 2 * threshold - np.where(residual < threshold, high, low)
        return total / self.n_thresholds


def composed_epsilon(epsilon, n_rounds, delta=0.0):
    """Total privacy budget of several rounds.

    Parameters
    ----------
    epsilon : float
        Budget of one round.
    n_rounds : int
        Number of rounds, or of residuals of a row that were sent.
    delta : float, default=0.0
        Probability with which the bound may fail. If 0, the total is that of basic
        composition, ``n_rounds * epsilon``. Otherwise it is the smaller of basic and
        advanced composition,
        ``epsilon * (sqrt(2 n_rounds log(1 / delta)) + n_rounds * (e**epsilon - 1))``.

    Returns
    -------
    epsilon : float
        Total budget of all rounds.

    References
    ----------
    C. Dwork, A. Roth, The Algorithmic Foundations of Differential Privacy, 2014,
    theorems 3.14 and 3.20.

    Examples
    --------
    >>> from sklearn_gal.privacy import composed_epsilon
    >>> composed_epsilon(0.25, 100)
    25.0
    >>> round(composed_epsilon(0.1, 100, delta=1e-6), 2)
    6.31
    """
    _check_positive("epsilon", epsilon)
    if not isinstance(n_rounds, Integral) or n_rounds < 0:
        raise ValueError(f"n_rounds must be a non-negative int, got {n_rounds!r}.")
    if not isinstance(delta, Real) or not 0 <= float(delta) < 1:
        raise ValueError(f"delta must be a number in [0, 1), got {delta!r}.")
    basic = float(n_rounds * epsilon)
    if delta == 0:
        return basic
    with np.errstate(over="ignore"):
        advanced = epsilon * np.sqrt(-2 * n_rounds * np.log(float(delta)))
        advanced += n_rounds * epsilon * np.expm1(epsilon)
    return float(min(basic, advanced))


class Broadcast:
    """The perturbed residuals that the assistors receive in the rounds of a fit.

    Parameters
    ----------
    privacy : mechanism, callable or None
        Mechanism, as passed by the user.
    loss : loss object
        Overarching loss, as passed by the user.
    n_outputs : int
        Number of outputs.
    entropy : sequence of int
        Seed of the noise. Other organizations must not be able to guess it.

    Attributes
    ----------
    n_rounds : int
        Number of perturbed residuals of a row that were sent.
    """

    def __init__(self, privacy, loss, n_outputs, entropy):
        self._mechanism = privacy
        if hasattr(privacy, "for_loss"):
            self._mechanism = privacy.for_loss(loss, n_outputs)
        self._entropy = entropy
        self.n_rounds = 0

    def snapshot(self):
        """Return the seed and the position of the noise, for `restore`."""
        return self._entropy, self.n_rounds

    def restore(self, snapshot):
        """Go back to a snapshot."""
        self._entropy, self.n_rounds = snapshot

    @property
    def epsilon(self):
        """Privacy budget of a round; infinite if the mechanism guarantees none."""
        return float(getattr(self._mechanism, "epsilon", np.inf))

    def __call__(self, residual):
        """Return the residual that the assistors receive.

        Parameters
        ----------
        residual : ndarray of shape (n_chains, n_samples, n_outputs)
            The exact residual. Every row counts in all chains but one.
        """
        if self._mechanism is None:
            return residual
        seeds = np.random.SeedSequence([*self._entropy, self.n_rounds])
        random_state = np.random.RandomState(np.random.MT19937(seeds))
        self.n_rounds += max(1, len(residual) - 1)
        return np.stack([self._perturb(each, random_state) for each in residual])

    def _perturb(self, residual, random_state):
        sent = np.asarray(self._mechanism(residual.copy(), random_state), dtype=np.float64)
        if sent.shape != residual.shape or not np.isfinite(sent).all():
            raise ValueError(
                f"privacy={self._mechanism!r} must return finite numbers of shape "
                f"{residual.shape}, but returned an array of shape {sent.shape}"
                + (" with NaN or infinity." if sent.shape == residual.shape else ".")
            )
        return sent


def _bounds_for(mechanism, loss=None):
    """Bounds of the mechanism or, if it has none, of the loss."""
    bounds = mechanism.bounds
    if bounds is None and hasattr(loss, "residual_bounds"):
        bounds = loss.residual_bounds()
    if bounds is None:
        of_loss = "" if loss is None else f" of {loss!r}"
        raise ValueError(
            f"The residual{of_loss} has no bounds that are known without the data. Pass "
            f"bounds to {type(mechanism).__name__} that are not computed from the data, "
            "e.g. bounds=(-1, 1) in units of the residual; values outside are clipped."
        )
    return bounds


def _diameter(bounds, n_outputs):
    low, high = bounds
    return float(np.sum(np.broadcast_to(np.subtract(high, low), n_outputs)))


def _check_positive(name, value):
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 < float(value) < np.inf):
        raise ValueError(f"{name} must be a positive number, got {value!r}.")


def _check_bounds(bounds):
    if bounds is None:
        return
    valid = isinstance(bounds, (tuple, list)) and len(bounds) == 2
    if not valid or not all(isinstance(bound, Real) for bound in bounds):
        raise ValueError(f"bounds must be two numbers (low, high), got {bounds!r}.")
    if not (np.isfinite(bounds).all() and bounds[0] < bounds[1]):
        raise ValueError(f"bounds must be finite and ascending, got {bounds!r}.")
