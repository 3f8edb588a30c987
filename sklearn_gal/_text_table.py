"""Lines of text in columns, intervals and names of scores, for what is printed."""

import numpy as np
from sklearn.base import is_classifier


def aligned(lines, n_left=1):
    """Align lines of text in columns.

    Parameters
    ----------
    lines : list of tuple of str
        The texts of each line, as many for all lines.
    n_left : int, default=1
        Number of columns that are aligned on the left. The others are on the right.

    Returns
    -------
    aligned : list of str
        One text for each line.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i < n_left else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def interval_text(ends, form):
    """Return both ends of an interval as text, which is empty if they are NaN."""
    low, high = ends
    return "" if np.isnan(low) else f"{low:{form}} to {high:{form}}"


def name_of_score(estimator, scoring):
    """Return what a score is called."""
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "R²"
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
