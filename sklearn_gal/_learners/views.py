"""An organization's columns in one memory layout and one precision."""

import numpy as np
from scipy import sparse

# Types of short floats, and the pandas types with as many values and float64
_IN_DOUBLE = {
    "Float16": "Float64",
    "Float32": "Float64",
    "float16": "float64",
    "float32": "float64",
    "float[pyarrow]": "double[pyarrow]",
    "halffloat[pyarrow]": "double[pyarrow]",
}


def column_major(view):
    """The view in column-major order.

    Floating-point sums then do not depend on the memory layout of the input.
    """
    if isinstance(view, np.ndarray):
        return np.asfortranarray(view)
    if not hasattr(view, "iloc") or view.ndim == 1 or len(view) == 1:
        return view  # a single row is in both orders
    columns = [column for _, column in view.items()]  # names may occur twice
    frame = type(view)(dict(enumerate(columns)), copy=True)
    frame.columns = view.columns
    return frame


def in_double_precision(view):
    """The view with float64 in place of shorter floats, and of integers in sparse matrices.

    Sums of float32 depend on the number of rows, so that a row would have one prediction
    alone and another one among others. LightGBM does not read sparse integers.
    """
    if sparse.issparse(view):
        return view.astype(np.float64) if view.dtype != np.float64 else view
    if isinstance(view, np.ndarray):
        return view.astype(np.float64) if str(view.dtype) in _IN_DOUBLE else view
    short = [j for j, dtype in enumerate(view.dtypes) if str(dtype) in _IN_DOUBLE]
    if not short:
        return view
    if not hasattr(view, "iloc"):  # polars
        return view.with_columns([view.to_series(j).cast(float) for j in short])
    view = view.copy()
    for j in short:
        column = view.iloc[:, j]
        view.isetitem(j, column.astype(_IN_DOUBLE[str(column.dtype)]))
    return view
