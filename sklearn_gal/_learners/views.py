"""An organization's columns in one memory layout."""

import numpy as np


def column_major(view):
    """The view in column-major order.

    Floating-point sums then do not depend on the memory layout of the input.
    """
    if isinstance(view, np.ndarray):
        return np.asfortranarray(view)
    if not hasattr(view, "iloc") or view.ndim == 1:
        return view
    frame = type(view)({j: view.iloc[:, j] for j in range(view.shape[1])}, copy=True)
    frame.columns = view.columns
    return frame
