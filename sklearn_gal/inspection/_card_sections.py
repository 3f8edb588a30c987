"""The sections of a model card."""

import inspect
import sys
from datetime import UTC, datetime

import lightgbm
import numpy as np
import scipy
import sklearn
from sklearn.base import is_classifier

from .._method.observers import STOP_REASONS
from .._text_table import interval_text
from .._version import __version__
from ._card_scores import (
    COVERAGE,
    N_PARTS,
    coverage_of,
    held_out_predictions,
    predictions_of,
    scores_of,
)
from ._common import mark_label_holder

# Parameters that have other places in the card, or say nothing about the model.
_NOT_SETTINGS = ("organizations", "federation", "checkpoint", "n_jobs", "verbose")
# The card lists at most this number of classes, and of columns by importance.
_MAX_CLASSES, _MAX_COLUMNS = 20, 25
_MAX_TEXT = 200
_INTERVALS = (
    "Intervals are 95 % intervals of the jackknife: the score is computed again without "
    f"each of {N_PARTS} parts of the rows. They tell how much a score depends on the rows "
    "that are scored, not on the rows of the fit."
)


def n_training_rows(estimator):
    """Return the number of rows given to `fit`, None without cross-fitting."""
    name = "oof_decision_function_" if is_classifier(estimator) else "oof_prediction_"
    held_out = getattr(estimator, name, None)
    return None if held_out is None else len(held_out)


def _text(value, n_characters=_MAX_TEXT):
    """Return a value as text of limited length."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= n_characters else f"{text[: n_characters - 1]}…"


def _number(value):
    return f"{value:.4g}"


def _share(value):
    return f"{100 * value:.1f} %"


def add_prediction(document, estimator):
    """Add what the model predicts."""
    document.heading("What the model predicts")
    loss = type(estimator._model.loss).__name__
    if is_classifier(estimator):
        classes = [_text(str(each)) for each in estimator.classes_[:_MAX_CLASSES]]
        if len(estimator.classes_) > len(classes):
            classes.append("...")
        what = f"one of {len(estimator.classes_)} classes: {', '.join(classes)}"
    else:
        n_outputs = len(estimator.baseline_prediction_)
        what = "a number" if n_outputs == 1 else f"{n_outputs} numbers"
    document.paragraph(
        f"For each row, the model predicts {what}. It was fitted by Gradient Assisted "
        f"Learning ({type(estimator).__name__}) in {estimator.n_iter_} rounds, and "
        f"minimises the loss {loss}. The fit ended because "
        f"{STOP_REASONS.get(estimator.stop_reason_, estimator.stop_reason_)}."
    )


def add_data(document, estimator, X, y, y_train):
    """Add rows, columns, and the distribution of targets."""
    document.heading("Data")
    items, n_training = [], n_training_rows(estimator)
    if n_training is not None:
        items.append(f"Rows of the fit: {n_training:,}")
    if X is not None:
        items.append(f"Rows on which the model is scored: {len(y):,}")
    items.append(f"Columns of the table given to fit: {estimator.n_features_in_:,}")
    document.items(items)
    for title, target in (("rows of the fit", y_train), ("scored rows", y)):
        if target is not None:
            _add_target(document, estimator, title, np.asarray(target))


def _add_target(document, estimator, title, y):
    """Add how a target is distributed."""
    if is_classifier(estimator):
        counts = [(y == each).sum() for each in estimator.classes_]
        lines = list(zip(estimator.classes_, counts, strict=True))[:_MAX_CLASSES]
        document.table(
            [f"Class in the {title}", "Rows", "Share"],
            [(_text(str(each)), f"{n:,}", _share(n / len(y))) for each, n in lines],
        )
        return
    columns = y.reshape(len(y), -1).astype(np.float64).T
    document.table(
        [f"Target of the {title}", "Mean", "Standard deviation", "Smallest", "Largest"],
        [
            (
                f"output {j + 1}" if len(columns) > 1 else "the target",
                *map(_number, (each.mean(), each.std(), each.min(), each.max())),
            )
            for j, each in enumerate(columns)
        ],
    )


def add_partners(document, estimator, contributions):
    """Add the organizations: columns, or what they reveal, and estimators."""
    document.heading("Organizations")
    names = estimator.organization_names_
    marked = mark_label_holder(names, estimator.label_holder_)
    learners = {name: learner for name, learner, _ in estimator.organizations or []}
    lines = []
    for name, text, columns, each in zip(
        names,
        marked,
        estimator.columns_,
        estimator._model.participants.organizations,
        strict=True,
    ):
        if each.is_here:
            learner = "the default" if learners.get(name) is None else learners[name]
            lines.append((text, f"{len(columns):,}", _text(learner)))
            continue
        entries = contributions.feature_names[contributions.organization_names == name]
        revealed = ", ".join(entry.removeprefix(f"{name}: ") for entry in entries)
        lines.append(
            (text, f"on another host; it reveals: {_text(revealed)}", "not known here")
        )
    document.table(["Organization", "Columns", "Estimator"], lines)
    if estimator.label_holder_ is None:
        document.paragraph("The label holder holds the target, and no columns.")


def add_settings(document, estimator):
    """Add the parameters that differ from the defaults."""
    document.heading("Settings that differ from the defaults")
    signature = inspect.signature(type(estimator)).parameters
    lines = [
        (name, _text(value))
        for name, value in estimator.get_params(deep=False).items()
        if name not in _NOT_SETTINGS and not _is_default(value, signature[name].default)
    ]
    if lines:
        document.table(["Parameter", "Value"], lines)
    else:
        document.paragraph("None.")


def _is_default(value, default):
    return type(value) is type(default) and repr(value) == repr(default)


def add_scores(document, estimator, X, y, sample_weight, y_train):
    """Add scores of held-out rows, with intervals."""
    document.heading("Scores")
    has_scores = False
    if y_train is not None:
        predictions = held_out_predictions(estimator, y_train)
        _add_table_of_scores(
            document,
            estimator,
            predictions,
            "Out-of-fold predictions of the rows of the fit: no model, weight or rate that "
            "predicts a row was fitted to it or chosen on it.",
        )
        has_scores = True
    if X is not None:
        predictions = predictions_of(estimator, X, y, sample_weight)
        weighted = " Rows have weights." if sample_weight is not None else ""
        what = (
            "Rows that were passed to this card, to which the model should not have been "
        )
        what += f"fitted.{weighted}"
        _add_table_of_scores(document, estimator, predictions, what)
        has_scores = True
    if has_scores:
        document.paragraph(_INTERVALS)
    losses = estimator.validation_loss_
    if len(losses):
        document.paragraph(
            f"The loss of held-out rows fell from {_number(losses[0])} before the first "
            f"round to {_number(losses[-1])} after the last one."
            if losses[-1] < losses[0]
            else f"The loss of held-out rows did not fall: it was {_number(losses[0])} "
            f"before the first round and is {_number(losses[-1])} after the last one."
        )
    elif not has_scores:
        document.paragraph("No rows were held out, and none were passed to this card.")


def _add_table_of_scores(document, estimator, predictions, what):
    document.paragraph(what)
    document.table(
        ["Score", "Value", "95 % interval"],
        [
            (name, _number(value), interval_text((low, high), ".4g"))
            for name, value, low, high in scores_of(estimator, predictions)
        ],
    )


def add_certainty(document, estimator, X, y):
    """Add how often intervals or sets contain the target, if there are any."""
    found = None if X is None else coverage_of(estimator, X, y)
    if found is None:
        return
    document.heading("How certain predictions are")
    inside, size = found
    if is_classifier(estimator):
        what, of_size = "sets of classes", f"Sets have {_number(size)} classes on average."
    else:
        what, of_size = "intervals", f"Their mean length is {_number(size)}."
    document.paragraph(
        f"The model predicts {what} that are to contain the target with a probability of "
        f"{_share(COVERAGE)}. In the scored rows, {_share(inside)} do. {of_size}"
    )


def add_worth(document, estimator, X, y, sample_weight):
    """Add Shapley values if there are any, else shares in the training loss."""
    document.heading("What each organization adds")
    names = mark_label_holder(estimator.organization_names_, estimator.label_holder_)
    has_values = hasattr(estimator, "organization_values")
    if X is not None and has_values and estimator.missing_rows == "abstain":
        values = estimator.organization_values(
            X, y, sample_weight=sample_weight, random_state=0
        )
        document.paragraph(
            f"Shapley values of the {values.scoring} in the scored rows: what an "
            "organization adds on average to the organizations before it, over all orders. "
            "Intervals are 95 % intervals of the jackknife over the rows."
        )
        lines = zip(names, values.values, values.intervals, strict=True)
        document.table(
            ["Organization", f"Adds to the {values.scoring}", "95 % interval"],
            [
                (name, _number(value), interval_text(ends, ".4g"))
                for name, value, ends in lines
            ],
        )
        return
    strength = estimator.interaction_strength_.sum(axis=1)
    total = strength.sum()
    if total <= 0:
        document.paragraph("No round has lowered the loss.")
        return
    document.paragraph(
        "Shares in the decrease of the training loss. The part of two organizations that "
        "interact is divided evenly between them."
    )
    document.table(
        ["Organization", "Share"],
        [(name, _share(each / total)) for name, each in zip(names, strength, strict=True)],
    )


def add_importances(document, contributions):
    """Add the mean absolute contributions of columns."""
    document.heading("Importance of columns")
    importances = contributions.importances
    total = importances.sum()
    if total == 0:
        document.paragraph("No column changes the predictions.")
        return
    document.paragraph(
        f"Mean absolute contribution of each column to the predictions of "
        f"{len(contributions.values)} rows of the fit, as a share of the sum."
    )
    order = np.argsort(-importances, kind="stable")
    lines = [
        (
            _text(str(contributions.feature_names[j])),
            contributions.organization_names[j] or "none",
            _share(importances[j] / total),
        )
        for j in order[:_MAX_COLUMNS]
    ]
    if len(order) > _MAX_COLUMNS:
        rest = importances[order[_MAX_COLUMNS:]].sum() / total
        lines.append((f"{len(order) - _MAX_COLUMNS} others", "", _share(rest)))
    document.table(["Column", "Organization", "Share"], lines)


def add_disclosure(document, estimator):
    """Add what the parties have learnt, and what the model keeps."""
    document.heading("What was disclosed")
    model = estimator._model
    n_others = len(set(estimator.organization_names_) - {estimator.label_holder_})
    items = []
    if n_others:
        chains = f" for each of {model.n_chains} folds" if model.n_chains > 1 else ""
        items.append(
            f"In {estimator.n_iter_} rounds, each of the other organizations ({n_others}) "
            f"received pseudo-residuals of its rows{chains}, at most {model.n_requests} "
            "times. They depend on the target. It returned fitted values, which depend on "
            "its columns."
        )
    spent = getattr(estimator, "privacy_spent_", None)
    if spent is None:
        items.append("The pseudo-residuals were not perturbed (privacy=None).")
    else:
        items.append(
            f"The pseudo-residuals were perturbed. A row has spent epsilon = "
            f"{_number(spent.epsilon)} by basic composition, and "
            f"{_number(spent.epsilon_advanced)} by advanced composition with delta = "
            f"{spent.delta:g}."
        )
    here = all(each.is_here for each in model.participants.organizations)
    content = "their columns" if here else "ids and own columns"
    n_kept = estimator._state.kept_rows.table.shape[0]
    items.append(
        f"The fitted model keeps {n_kept} rows of the fit ({content}), to explain "
        "predictions. People who have the file of the model can read them."
    )
    if not here:
        items.append(
            "To explain predictions of these rows for this card, organizations on other "
            "hosts received their ids and, for products of two organizations, the other "
            "organization's part. They returned contributions, as far as they reveal them."
        )
    document.items(items)
    if not here:
        _add_communication(document, estimator)


def _add_communication(document, estimator):
    """Add what passed between hosts, by organization."""
    calls = estimator.communication_
    lines = []
    for name in dict.fromkeys(calls["organization"].tolist()):
        chosen = calls["organization"] == name
        failed = np.count_nonzero(calls["error"][chosen] != "")
        amounts = [calls[key][chosen].sum() for key in ("bytes_sent", "bytes_received")]
        lines.append(
            (name, f"{np.count_nonzero(chosen):,}", *(f"{n:,}" for n in amounts), failed)
        )
    document.paragraph("What passed between hosts, up to the date of this card:")
    header = ["Organization", "Calls", "Bytes sent", "Bytes received", "Failed calls"]
    document.table(header, lines)


def add_versions(document):
    """Add the versions of software, and the date."""
    document.heading("Versions")
    document.table(
        ["Software", "Version"],
        [
            ("sklearn_gal", __version__),
            ("scikit-learn", sklearn.__version__),
            ("LightGBM", lightgbm.__version__),
            ("NumPy", np.__version__),
            ("SciPy", scipy.__version__),
            ("Python", ".".join(map(str, sys.version_info[:3]))),
        ],
    )
    document.paragraph(f"Date of this card: {datetime.now(UTC).date().isoformat()} (UTC).")
