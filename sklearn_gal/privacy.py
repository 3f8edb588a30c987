"""Perturbations of the pseudo-residual that assistors receive.

A mechanism is given to an estimator as `privacy`. Once per round it perturbs the
pseudo-residual, and all assistors receive the same perturbed values; the label holder
fits its own model, and chooses weights and rate, with the exact ones. Any callable
``(residual, random_state) -> residual`` will do, too: it receives an array of shape
(n_samples, n_outputs) and a :class:`numpy.random.RandomState`.

What is covered, and what is not, is in the user guide under "Privacy".
"""

from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np

__all__ = ["IntervalMechanism", "LaplaceMechanism", "composed_epsilon"]


@dataclass(frozen=True)
class LaplaceMechanism:
    """Laplace noise: differential privacy of a row's residual towards the assistors.

    Values are clipped to `bounds`, and independent Laplace noise of scale ``diameter /
    epsilon`` is added to each. The outputs for any two residuals of a row, within the
    bounds, then differ in likelihood by a factor of at most ``exp(epsilon)``, in a round.

    Parameters
    ----------
    epsilon : float
        Privacy budget of a row in one round; smaller is more private and more noisy. Over
        the rounds it adds up, see :func:`composed_epsilon`.
    bounds : tuple of float (low, high), default=None
        Least and largest residual, per output: beyond, it is clipped. They must not be
        taken from the data. None: those of the overarching loss, if it has any:
        [-1, 1] for ``"log_loss"`` and ``"absolute_error"``, [quantile - 1, quantile] for
        ``QuantileLoss``, [-delta, delta] for ``HuberLoss`` with a given delta, and
        `residual_bounds` of one of your own.
    diameter : float, default=None
        Largest L1 distance between two residuals of a row, over all outputs. None: that of
        the overarching loss, where it knows (4 for three classes or more), or that of the
        box given by `bounds`, whichever is less.

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
        """The mechanism with bounds and diameter settled for a loss.

        Parameters
        ----------
        loss : loss object
            Overarching loss, as the user gave it.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        mechanism : LaplaceMechanism
            With `bounds` and `diameter`.

        Raises
        ------
        ValueError
            If the bounds are neither given nor known without the data.
        """
        bounds = _bounds_for(self, loss)
        diameter = self.diameter
        if diameter is None:
            known = getattr(loss, "residual_diameter", lambda n_outputs: np.inf)
            diameter = min(_diameter(bounds, n_outputs), known(n_outputs))
        return replace(self, bounds=bounds, diameter=diameter)

    def __call__(self, residual, random_state):
        """Perturb residuals.

        Parameters
        ----------
        residual : ndarray of shape (n_samples, n_outputs)
            Exact residuals.
        random_state : RandomState
            Where the noise is drawn from.

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
    """Interval privacy: what a value tells when it is compared with random thresholds.

    For each value, clipped to `bounds` = [a, b], thresholds t are drawn uniformly from
    them, and the mean is sent of ``2 t - b`` where the value is below t and ``2 t - a``
    where it is not: unbiased, and computed from nothing but which intervals the value is
    in. That is no differential privacy, whatever the number of thresholds: of few, the
    assistor can often tell on which side the value was.

    Parameters
    ----------
    n_thresholds : int
        Number of thresholds per value and round; the error has variance of at most
        ``(b - a)**2 / (3 * n_thresholds)``.
    bounds : tuple of float (low, high), default=None
        As of :class:`LaplaceMechanism`.

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
        """The mechanism with bounds settled for a loss.

        Parameters
        ----------
        loss : loss object
            Overarching loss, as the user gave it.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        mechanism : IntervalMechanism
            With `bounds`.

        Raises
        ------
        ValueError
            If the bounds are neither given nor known without the data.
        """
        return replace(self, bounds=_bounds_for(self, loss))

    def __call__(self, residual, random_state):
        """Perturb residuals.

        Parameters
        ----------
        residual : ndarray of shape (n_samples, n_outputs)
            Exact residuals.
        random_state : RandomState
            Where the thresholds are drawn from.

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
    """Privacy budget of several rounds together.

    Parameters
    ----------
    epsilon : float
        Budget of one round.
    n_rounds : int
        Number of rounds.
    delta : float, default=0.0
        Probability with which the bound may fail. 0 is basic composition,
        ``n_rounds * epsilon``; above, the lesser of that and advanced composition,
        ``epsilon * (sqrt(2 n_rounds log(1 / delta)) + n_rounds * (e**epsilon - 1))``.

    Returns
    -------
    epsilon : float
        Budget of all rounds.

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
        raise ValueError(f"delta must lie in [0, 1), got {delta!r}.")
    basic = float(n_rounds * epsilon)
    if delta == 0:
        return basic
    with np.errstate(over="ignore"):
        advanced = epsilon * np.sqrt(-2 * n_rounds * np.log(float(delta)))
        advanced += n_rounds * epsilon * np.expm1(epsilon)
    return float(min(basic, advanced))


class Broadcast:
    """What the assistors receive over the rounds of a fit, and how often they received it.

    Parameters
    ----------
    privacy : mechanism, callable or None
        As given by the user.
    loss : loss object
        Overarching loss, as given by the user.
    n_outputs : int
        Number of outputs.
    entropy : sequence of int
        Seed of the noise, which nobody else may be able to guess.
    """

    def __init__(self, privacy, loss, n_outputs, entropy):
        self._mechanism = privacy
        if hasattr(privacy, "for_loss"):
            self._mechanism = privacy.for_loss(loss, n_outputs)
        self._entropy = entropy
        self.n_rounds = 0

    @property
    def epsilon(self):
        """Budget of a round; infinite where the mechanism promises none."""
        return float(getattr(self._mechanism, "epsilon", np.inf))

    def __call__(self, residual):
        """The residual that assistors receive in a round, with noise of its own."""
        if self._mechanism is None:
            return residual
        seeds = np.random.SeedSequence([*self._entropy, self.n_rounds])
        random_state = np.random.RandomState(np.random.MT19937(seeds))
        self.n_rounds += 1
        sent = np.asarray(self._mechanism(residual.copy(), random_state), dtype=np.float64)
        if sent.shape != residual.shape or not np.isfinite(sent).all():
            raise ValueError(
                f"privacy={self._mechanism!r} must return finite numbers of shape "
                f"{residual.shape}, but returned an array of shape {sent.shape}"
                + (" with NaN or infinity." if sent.shape == residual.shape else ".")
            )
        return sent


def _bounds_for(mechanism, loss=None):
    """Bounds given by the user, or known from the loss without the data."""
    bounds = mechanism.bounds
    if bounds is None and hasattr(loss, "residual_bounds"):
        bounds = loss.residual_bounds()
    if bounds is None:
        of = "" if loss is None else f" of {loss!r}"
        raise ValueError(
            f"The residual{of} has no bounds that are known without the data: give "
            f"{type(mechanism).__name__} some that are not taken from the data, e.g. "
            "bounds=(-1, 1) in units of the residual; values beyond are clipped."
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
