"""The local learner of organizations without an estimator."""

from difflib import get_close_matches

from lightgbm import LGBMRegressor

from .._learners import LIGHTGBM_PARAMETERS


def default_learner(**settings) -> LGBMRegressor:
    """Create the local estimator of an organization whose estimator is None.

    It is a small LightGBM regressor: ten trees of four leaves, with at least 24 rows per
    leaf.

    Parameters
    ----------
    **settings : dict
        LightGBM parameters to override: those of the constructor of
        :class:`lightgbm.LGBMRegressor`, e.g. `num_leaves`, and some others, e.g. `max_bin`.

    Returns
    -------
    learner : LGBMRegressor
        The unfitted estimator.

    Raises
    ------
    TypeError
        If a setting is unknown. The message lists the known ones.

    See Also
    --------
    GALClassifier : Classification by Gradient Assisted Learning.
    GALRegressor : Regression by Gradient Assisted Learning.
    make_organizations : Distribute the columns of X among organizations.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_gal import GALRegressor, default_learner
    >>> learner = default_learner(num_leaves=8)
    >>> learner.n_estimators, learner.num_leaves
    (10, 8)

    Setting a parameter of an organization without an estimator has the same effect:

    >>> model = GALRegressor([("station", Ridge(), [0]), ("weather", None, [1, 2])])
    >>> model.set_params(weather__num_leaves=8).get_params()["weather"].n_estimators
    10
    """
    for name in settings:
        if name not in LIGHTGBM_PARAMETERS:
            raise TypeError(
                f"default_learner() got an unknown setting {name!r}. "
                f"{suggest(name, LIGHTGBM_PARAMETERS)}"
            )
    defaults = {
        "n_estimators": 10,
        "learning_rate": 0.3,
        "num_leaves": 4,
        "min_child_samples": 24,
        "verbosity": -1,
    }
    if "verbose" in settings:  # LightGBM ignores this alias if `verbosity` is set
        del defaults["verbosity"]
    return LGBMRegressor(**defaults | settings)


def suggest(name, known):
    """Sentences for an error about an unknown LightGBM parameter.

    Parameters
    ----------
    name : str
        The unknown name.
    known : set of str
        The known names.

    Returns
    -------
    sentences : str
        Known names that are close to `name`, all known names, and what to do about others.
    """
    close = " or ".join(repr(match) for match in get_close_matches(name, sorted(known)))
    hint = f"Did you mean {close}? " if close else ""
    return (
        f"{hint}The known parameters are {sorted(known)}. For another LightGBM parameter, "
        "use an LGBMRegressor whose constructor receives it."
    )
