"""Clones of an estimator whose random numbers derive from a seed."""

import numpy as np
from sklearn.base import clone


class SeededClones:
    """Clones of an estimator whose unset `random_state` parameters derive from a seed.

    A seed that the organization has fixed stays. `n_jobs` becomes 1 where it is not set,
    because the organizations are already fitted in parallel, and because sums over a
    varying number of threads are not reproducible to the last bit.

    Parameters
    ----------
    estimator : estimator
        Estimator to clone. Its parameters are inspected once, not for every clone.
    """

    def __init__(self, estimator):
        self.estimator = clone(estimator)
        self.names = []
        settings = {}
        params = estimator.get_params(deep=True)
        for name, value in sorted(params.items()):
            key = name.rpartition("__")[2]
            if value is None and key == "random_state":
                if not _uses_folds_in_order(params, name.removesuffix(key)):
                    self.names.append(name)
            elif value is None and key == "n_jobs":
                settings[name] = 1
            elif value is False and key in ("copy", "copy_X"):
                settings[name] = True  # the next round needs the view as it is
        if settings:
            self.estimator.set_params(**settings)

    def settings(self, seed):
        """The parameters that derive from `seed`."""
        if not self.names:
            return {}
        numbers = np.random.SeedSequence(seed).generate_state(len(self.names)) >> 1
        return dict(zip(self.names, numbers.tolist(), strict=True))

    def clone(self, seed):
        """A clone to fit."""
        estimator = clone(self.estimator)
        if self.names:
            estimator.set_params(**self.settings(seed))
        return estimator


def _uses_folds_in_order(params, prefix):
    """Whether a part has folds of its own that are not shuffled, and so refuses a seed."""
    return f"{prefix}cv" in params and params.get(f"{prefix}shuffle") is False
