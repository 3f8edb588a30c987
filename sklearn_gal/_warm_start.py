"""Continuing a fit: what may change between two calls, and what may not.

Whoever holds no rows yet may join; nobody may leave or change columns.
"""

from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest

import joblib
import numpy as np

from ._organizations.columns import column_names


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
    known = {None: joblib.hash((rows.y, rows.sample_weight, rows.strata, rows.folds))}
    return known | {each.name: each.fingerprint(rows.X) for each in organizations}


def check_same_setting(before, setting):
    """Refuse to continue with another setting than before."""
    for name, value in setting.items():
        if value is not before[name] and value != before[name]:
            raise ValueError(
                f"warm_start=True continues with the same {name}, {before[name]!r}, got "
                f"{value!r}. Fit with warm_start=False first."
            )


def brings_columns(model, X):
    """Whether organizations that join have columns behind those of X before.

    Raises
    ------
    ValueError
        If the columns before are not the first ones of X.
    """
    joins = len(model.organizations or ()) > len(model._known)
    if not joins or np.shape(X)[1:] <= (model.n_features_in_,):
        return False
    known, names = getattr(model, "feature_names_in_", None), column_names(X)
    if known is not None and (names is None or names[: len(known)] != list(known)):
        raise ValueError(
            "The columns of organizations that join must stand behind those of before, "
            f"{list(known)}, got {names}."
        )
    return True


def hand_over_models(before, organizations):
    """Give organizations resolved anew the models of the rounds so far."""
    pairs = list(zip_longest(before, organizations))
    for old, new in pairs:
        if old is None:
            continue  # joins
        if (
            new is None
            or new.name != old.name
            or not np.array_equal(new.columns, old.columns)
        ):
            raise ValueError(
                "warm_start=True continues with the same organizations and columns in "
                f"the same order, new ones behind them; organization {old.name!r} has "
                "changed or is gone. See drop_organization, or fit with warm_start=False."
            )
        new.take_over(old)


def inherited_rounds(rounds, before, paths):
    """The rounds on the paths `before`, as rounds on `paths`.

    A new path has gone the way of those on it who were there; who joins has weight 0.
    """
    present, n_before = paths.patterns, before.patterns.shape[1]
    if before.holder is not None:
        present = np.column_stack([present[:, before.holder - 1], present])
    origin = before.serving(present[:, : before.members.shape[1]])
    first = (paths.holder is not None) - (before.holder is not None)
    joined = [(0, 0), (int(first), paths.patterns.shape[1] - n_before)]
    return origin, [
        replace(
            each,
            weights=np.pad(each.weights[origin], joined),
            learning_rates=each.learning_rates[origin],
        )
        for each in rounds
    ]


def check_may_leave(model, name):
    """Refuse to go on without an organization that cannot leave."""
    names = model.organization_names_
    if name not in names:
        raise ValueError(f"{name!r} is none of the organizations {names}.")
    if name == model.label_holder_:
        raise ValueError(
            f"Organization {name!r} holds y: the label holder cannot leave. Fit without it."
        )
    if model._stacks:
        raise ValueError(
            "With stack_contributions nobody can leave: models take columns of the others. "
            "Fit again without the organization."
        )
