"""Confidence intervals of means over splits and of estimates without some rows."""

import numpy as np
from scipy import stats


def corrected_interval(values, test_ratio):
    """Compute the mean and a corrected resampled t interval (Nadeau and Bengio, 2003).

    Parameters
    ----------
    values : ndarray of shape (n_splits,)
        Scores, or differences of scores.
    test_ratio : float
        Mean ratio of the number of test rows to the number of training rows.

    Returns
    -------
    mean, low, high : float
        The mean with its 95 % interval, which is NaN for a single split.
    """
    mean, n_splits = float(np.mean(values)), len(values)
    if n_splits < 2:
        return mean, np.nan, np.nan
    half_width = float(half_widths(corrected_error(values, test_ratio), n_splits))
    return mean, mean - half_width, mean + half_width


def corrected_error(values, test_ratio):
    """Return the corrected standard error of means over splits.

    Parameters
    ----------
    values : ndarray of shape (n_splits, ...)
        Values on each split.
    test_ratio : float
        Mean ratio of the number of test rows to the number of training rows.
    """
    return np.sqrt((1 / len(values) + test_ratio) * np.var(values, axis=0, ddof=1))


def jackknife_error(values):
    """Return the standard error of an estimate by the jackknife.

    Parameters
    ----------
    values : ndarray of shape (n_parts, ...)
        The estimate without each of the parts of the rows.
    """
    n_parts = len(values)
    return (n_parts - 1) * np.sqrt(np.var(values, axis=0, ddof=1) / n_parts)


def half_widths(error, n_values):
    """Return half the width of 95 % t intervals.

    Parameters
    ----------
    error : float or ndarray
        Standard errors.
    n_values : int
        Number of splits or parts from which they were computed.
    """
    return stats.t.ppf(0.975, n_values - 1) * error
