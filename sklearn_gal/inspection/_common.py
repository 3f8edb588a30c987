"""Helpers of the displays and the report."""

from sklearn.utils.validation import check_is_fitted

from .._classifier import GALClassifier
from .._regressor import GALRegressor


def check_model(model):
    """Raise a TypeError unless `model` is an estimator of this package."""
    if not isinstance(model, (GALClassifier, GALRegressor)):
        raise TypeError(
            f"Expected a GALRegressor or a GALClassifier, got {type(model).__name__}. For "
            "a pipeline pass its last step, for a search its best_estimator_."
        )


def import_pyplot(caller):
    """Import matplotlib.pyplot, or raise an ImportError that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib: pip install 'sklearn_gal[plot]'."
        ) from error
    return plt


def check_displayable(display, estimator):
    """Raise an error unless a display class can draw a fitted estimator."""
    import_pyplot(f"{display.__name__}.from_estimator")
    check_model(estimator)
    check_is_fitted(estimator)


def mark_label_holder(names, label_holder):
    """Return the names with "(label holder)" after the name of the label holder."""
    return [f"{name} (label holder)" if name == label_holder else name for name in names]
