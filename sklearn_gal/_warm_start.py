"""Continuing a fit: what may change between two calls, and what may not."""

from contextlib import contextmanager
from itertools import zip_longest

import joblib
import numpy as np


def continues(model):
    """Whether `fit` continues the rounds so far; else they are forgotten.

    Raises
    ------
    ValueError
        If there are more rounds already than `max_iter`.
    """
    if not (model.warm_start and hasattr(model, "_rounds")):
        for name in ("_rounds", "_reached"):  # a fit that fails leaves no old model
            vars(model).pop(name, None)
        return False
    if model.max_iter < model.n_iter_:
        raise ValueError(
            f"max_iter={model.max_iter} must be at least n_iter_={model.n_iter_} when "
            "warm_start=True."
        )
    return True


@contextmanager
def unchanged_on_failure(model):
    """Give the model back the attributes that it had, if fitting it raises."""
    before = dict(vars(model))
    try:
        yield
    except BaseException:
        vars(model).clear()
        vars(model).update(before)
        raise


def fingerprint(rows, organizations):
    """What tells whether `rows` are the same, for y and for each organization."""
    known = {"y": joblib.hash((rows.y, rows.sample_weight, rows.strata, rows.folds))}
    return known | {each.name: each.fingerprint(rows.X) for each in organizations}


def check_same_setting(before, setting):
    """Refuse to continue with another setting than before."""
    for name, value in setting.items():
        if value is not before[name] and value != before[name]:
            raise ValueError(
                f"warm_start=True continues with the same {name}, {before[name]!r}, got "
                f"{value!r}. Fit with warm_start=False first."
            )


def hand_over_models(before, organizations):
    """Give organizations resolved anew the models of the rounds so far."""
    pairs = list(zip_longest(before, organizations))
    for old, new in pairs:
        same = old is not None and new is not None and old.name == new.name
        if not same or not np.array_equal(old.columns, new.columns):
            raise ValueError(
                "warm_start=True continues with the same organizations and columns in "
                f"the same order; organization {(new or old).name!r} is new, has "
                "changed or is gone. Fit with warm_start=False first."
            )
    for old, new in pairs:
        new.models = dict(old.models)
