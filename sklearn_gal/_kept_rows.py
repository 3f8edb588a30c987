"""Some training rows that a fitted estimator keeps, to explain predictions."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

# Number of rows that each participant is to have among them
N_ROWS = 100


class KeptRows:
    """Rows of a table that can be written to a file by pickle and by skops.

    Parameters
    ----------
    table : {array, sparse matrix, dataframe} of shape (n_rows, n_features)
        The rows.

    Attributes
    ----------
    importances : ndarray of shape (n_features,) or None
        The values of ``feature_importances_``, if they have been computed.
    """

    def __init__(self, table):
        self.table = table
        self.importances = None

    @classmethod
    def of(cls, X, present, seed):
        """Draw rows, of which each participant has `N_ROWS` if it has as many.

        Parameters
        ----------
        X : {array, sparse matrix, dataframe} of shape (n_samples, n_features)
            Training rows.
        present : ndarray of bool of shape (n_samples, n_participants)
            Which participants have each row.
        seed : int
            Seed of the draw.
        """
        order = np.random.default_rng([seed, N_ROWS]).permutation(len(present))
        drawn = np.zeros(len(present), dtype=bool)
        for mask in [present.all(axis=1), *present.T]:
            n_wanted = N_ROWS - np.count_nonzero(drawn & mask)
            drawn[order[mask[order] & ~drawn[order]][: max(0, n_wanted)]] = True
        return cls(_safe_indexing(X, np.flatnonzero(drawn)))

    def named(self, X):
        """Return an array of numbers as a dataframe, if the training rows are in one.

        Estimators in the organizations would otherwise warn that it has no names.
        """
        names = getattr(self.table, "columns", None)
        is_numeric = isinstance(X, np.ndarray) and X.dtype.kind in "fiub"
        # a callback of a continued fit may predict more columns than the fit before it had
        if names is None or not is_numeric or X.shape[1] != len(names):
            return X
        if hasattr(self.table, "iloc"):
            import pandas as pd

            return pd.DataFrame(X, columns=names, copy=False)
        return type(self.table)(X, schema=list(names), orient="row")

    def __getstate__(self):
        table = self.table
        if not (hasattr(table, "iloc") and hasattr(table, "columns")):
            return {"table": table, "importances": self.importances}
        columns = [_plain(table.iloc[:, j]) for j in range(table.shape[1])]
        return {
            "names": list(table.columns),
            "columns": columns,
            "importances": self.importances,
        }

    def __setstate__(self, state):
        self.importances = state["importances"]
        if "table" in state:
            self.table = state["table"]
            return
        import pandas as pd

        columns = dict(enumerate(_column(*each) for each in state["columns"]))
        self.table = pd.DataFrame(columns)
        self.table.columns = state["names"]


def _plain(column):
    """A pandas column as plain arrays, lists and strings."""
    dtype: Any = column.dtype
    if hasattr(column, "cat"):
        categories = column.cat.categories.tolist()
        return "category", column.cat.codes.to_numpy(), categories, bool(dtype.ordered)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return str(dtype), column.to_numpy(), None, None
    values = column.astype(object).where(column.notna(), None)
    return _name_of(dtype), values.tolist(), None, None


def _name_of(dtype):
    """The name of a dtype; the dtype itself if pandas cannot make it from its name."""
    import pandas as pd

    try:
        made = pd.api.types.pandas_dtype(str(dtype))
    except (NotImplementedError, TypeError, ValueError):  # some types of pyarrow
        return dtype
    return str(dtype) if made == dtype else dtype


def _column(dtype, values, categories, ordered):
    """The pandas column that `_plain` was given."""
    import pandas as pd

    if categories is not None:
        return pd.Categorical.from_codes(values, categories, ordered=ordered)
    return pd.Series(values, dtype=dtype)
