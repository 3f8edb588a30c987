"""Helpers of the displays and the report."""

from numbers import Integral

from sklearn.base import is_classifier
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


def annotate(ax, text, x, y, offset, weight="normal"):
    """Write text to the right of a position, at a distance of `offset` points."""
    place = {"xytext": (offset, 0), "textcoords": "offset points", "va": "center"}
    ax.annotate(text, (x, y), weight=weight, **place)


def check_position(name, position, n, what):
    """Raise an IndexError unless there is something at a position, as in a list."""
    if not isinstance(position, Integral) or not -n <= position < n:
        raise IndexError(
            f"{name}={position!r} is not the position of one of the {n} {what}."
        )


def find_output(model, target):
    """Return position, sign and name of the output that `target` selects."""
    n_outputs = len(model.baseline_prediction_)
    if not is_classifier(model):
        if n_outputs == 1 and target is None:
            return 0, 1.0, ""
        if not isinstance(target, Integral) or not 0 <= int(target) < n_outputs:
            raise ValueError(
                f"target must be the position of an output, 0 to {n_outputs - 1}, got "
                f"{target!r}. Pass that of the output that is shown, e.g. target=0."
            )
        return int(target), 1.0, f"output {target}"
    classes = model.classes_.tolist()
    if target is None and n_outputs == 1:
        target = classes[1]
    if target not in classes:
        raise ValueError(
            f"target must be one of the classes {classes}, got {target!r}. Pass the one "
            f"whose raw predictions are shown, e.g. target={classes[-1]!r}."
        )
    position = classes.index(target)
    if n_outputs == 1:
        # The only output is the raw prediction of the second class.
        return 0, (-1.0, 1.0)[position], f"class {target}"
    return position, 1.0, f"class {target}"
