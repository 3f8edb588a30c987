"""Report on what assistance is worth: the label holder alone, assisted, and joint."""

import html
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv, cross_validate
from sklearn.utils import Bunch, _safe_indexing, indexable
from sklearn.utils.parallel import Parallel, delayed

from .._organization_values import name_of_score
from .._organizations.columns import check_organizations
from .._text_table import aligned
from .._validation import check_label_holder, interactions_among
from ._common import check_model
from ._reference import (
    check_reference,
    make_reference,
    name_of_reference,
    reference_params,
)
from ._statistics import (
    gain_over_best,
    gap_to_best,
    iterate_lines,
    range_of_score,
    summary_table,
)

_ALONE = ("Alone", "Strong alone")
_JOINT = ("Joint", "Strong joint")
_ORDER = (*_ALONE, "Assisted", *_JOINT)


def assistance_report(
    model,
    X,
    y,
    *,
    groups=None,
    cv=None,
    scoring=None,
    joint=None,
    reference="lightgbm",
    params=None,
    n_jobs=None,
) -> "AssistanceReport":
    """Compare the assisted model with what is possible alone and with all columns.

    The label holder alone and a model of all columns are fitted in two ways: by Gradient
    Assisted Learning with the label holder's estimator, and by a strong learner. The report
    shows the gain over the better model of the label holder's columns, and the gap to the
    better model of all columns. It also shows the score that is lost if an organization
    leaves. All models are fitted and scored on the same cross-validation splits.

    Parameters
    ----------
    model : GALRegressor or GALClassifier
        Model with at least two organizations. It is cloned, and stays unfitted.
    X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
        The columns of all organizations.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Target.
    groups : array-like of shape (n_samples,), default=None
        Groups of the rows, for a `cv` that keeps groups together.
    cv : int, splitter or iterable, default=None
        Cross-validation splits, as in :func:`~sklearn.model_selection.cross_validate`.
        None means five folds.
    scoring : str, callable or None, default=None
        A single score. None is the score of the model: accuracy or R².
    joint : estimator, False or None, default=None
        Model that has all columns in one place. None is a clone of `model` with a single
        organization, which fits the label holder's estimator to the columns of all
        organizations. Another estimator is fitted to these columns as it is. False leaves
        both joint models out, for columns that cannot be pooled.
    reference : "lightgbm", estimator or None, default="lightgbm"
        Strong learner that is fitted to the label holder's columns (*strong alone*) and to
        the columns of all organizations (*strong joint*). "lightgbm" is LightGBM with its
        default settings: 100 trees of 31 leaves. Another estimator, for example
        :class:`~sklearn.ensemble.HistGradientBoostingClassifier` or a pipeline, is fitted
        to these columns as it is. None leaves both models out.
    params : dict or None, default=None
        Parameters passed to every `fit`, e.g. ``{"sample_weight": weights}``, as in
        :func:`~sklearn.model_selection.cross_validate`.
    n_jobs : int or None, default=None
        Number of models fitted in parallel, in processes.

    Returns
    -------
    report : AssistanceReport
        A :class:`~sklearn.utils.Bunch` with `gain`, `gap`, `table`, `scores`, `scoring`,
        `names`, `label_holder`, `reference` and `notes`.

    Raises
    ------
    TypeError
        If `model` is not an estimator of this package.
    ValueError
        If `model` has fewer than two organizations, if `reference` is invalid, for example
        a regressor for a classifier, or if a fit fails. If the strong learner cannot be
        fitted or scored, the report leaves out its model instead, and a note gives the
        reason.

    See Also
    --------
    AssistanceReportDisplay : Draws the report.
    ContributionDisplay : What each organization contributes to the predictions.

    Notes
    -----
    The intervals are 95 % t intervals of the mean over splits. Their variance is corrected
    for the overlap of the training sets (Nadeau and Bengio, 2003). The interval of a
    difference is computed from paired differences. The intervals show how much a result
    depends on the split. They are NaN for a single split, wide for a few splits, and
    unreliable if the splits have very different sizes. The interval of a score ends where
    the score does, e.g. at 1 for R² and the accuracy.

    When an assistor leaves, the models of the remaining organizations are not fitted
    again. Only the assistance weights and learning rates are chosen again, as in
    :meth:`~sklearn_gal.GALRegressor.drop_organization`. The report thus shows the score
    that is lost on the day when the assistor leaves; a new fit may recover part of it.

    New fits are needed with `params` under metadata routing, and for the line without the
    label holder's columns. In this line the first of the other organizations becomes the
    label holder, and receives the target.

    The label holder's estimator is often small, because boosting combines many of them. So
    a comparison with this estimator alone can show a gain that a stronger learner would
    find in the label holder's own columns. For this reason the gain and the gap are
    differences to the better of two models, by their mean score.

    The default reference has the `random_state` and the `class_weight` of `model`. It
    minimises the same loss if the loss of a regressor is the absolute error, the Huber,
    quantile, Poisson or gamma loss. For all other losses it minimises LightGBM's default,
    the squared error or the log loss. Columns of a dataframe that are not numbers
    (strings, categories, dates) are encoded by an
    :class:`~sklearn.preprocessing.OrdinalEncoder`. LightGBM receives missing values as NaN.
    Every reference is fitted with the sample weights in `params`.

    On the breast cancer data, with three organizations and all defaults, the reference adds
    about a tenth to the time of the report.

    References
    ----------
    C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
    2003.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import assistance_report
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GALRegressor(
    ...     [("practice", Ridge(), slice(0, 4)), ("laboratory", Ridge(), slice(4, 10))],
    ...     max_iter=10,
    ...     random_state=0,
    ... )
    >>> report = assistance_report(model, X, y, cv=3)
    >>> report.scores["Assisted"].mean() > report.scores["Alone"].mean()
    np.True_
    >>> report.gain.model, report.gap.model
    ('Alone', 'Joint')
    >>> list(report.scores)  # doctest: +NORMALIZE_WHITESPACE
    ['Alone', 'Strong alone', 'Assisted', 'Joint', 'Strong joint', 'without practice',
     'without laboratory']
    """
    check_model(model)
    check_reference(reference, model)
    names, label_holder = _organization_names(model)
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    scorer = check_scoring(model, scoring=scoring)
    cv = check_cv(cv, y, classifier=is_classifier(model))
    evaluation = _Evaluation(X, y, list(cv.split(X, y, groups)), scorer, params, n_jobs)

    alone = evaluation.score("Alone", _select_organizations(model, [label_holder]))
    assisted, fitted = evaluation.fit_and_score("Assisted", model)
    scores = {"Alone": alone, "Assisted": assisted}
    columns = {"Strong alone": fitted[0].columns_[names.index(label_holder)]}
    if joint is not False:
        pooled = np.unique(np.concatenate(fitted[0].columns_))
        scores["Joint"] = _score_joint(evaluation, joint, model, label_holder, pooled)
        columns["Strong joint"] = pooled
    strong, notes = _score_reference(evaluation, reference, model, columns)
    scores |= strong
    scores = {label: scores[label] for label in _ORDER if label in scores}
    # parameters that are routed would not reach the scorer of `score_without`
    routes = params and get_config()["enable_metadata_routing"]
    for name in names:
        label = f"without {name}"
        if name != label_holder and not routes:
            scores[label] = evaluation.score_without(name, fitted)
        else:
            others = [other for other in names if other != name]
            scores[label] = evaluation.score(label, _select_organizations(model, others))
    table = summary_table(scores, evaluation.splits, range_of_score(model, scoring))
    return AssistanceReport(
        gain=gain_over_best(table, _ALONE),
        gap=gap_to_best(table, _JOINT),
        table=table,
        scores=scores,
        scoring=name_of_score(model, scoring),
        names=names,
        label_holder=label_holder,
        reference=name_of_reference(reference),
        notes=notes,
    )


class AssistanceReport(Bunch):
    """Scores of a model with and without assistance. Notebooks show them as a table.

    See :func:`~sklearn_gal.inspection.assistance_report`, which creates it, and
    :class:`~sklearn_gal.inspection.AssistanceReportDisplay`, which draws it.

    Parameters
    ----------
    **kwargs : dict
        The attributes.

    Attributes
    ----------
    gain : named tuple (model, mean, low, high)
        Mean score of the assisted model minus that of the better of ``"Alone"`` and
        ``"Strong alone"``, with its interval. `model` is the name of the better one, by the
        mean score over splits. `mean` is positive if the assisted model is better.
    gap : named tuple (model, mean, low, high) or None
        Mean score of the better of ``"Joint"`` and ``"Strong joint"`` minus that of the
        assisted model, with its interval. `mean` is positive if the joint model is better.
        None without joint models.
    table : pandas.DataFrame or structured ndarray
        One line for each of the models ``"Alone"``, ``"Strong alone"``, ``"Assisted"``,
        ``"Joint"`` and ``"Strong joint"``, and one line ``"without"`` each organization.
        The names of the models are the index.
        The columns are `score`, the mean over splits, with its interval from `low` to
        `high`, and `lost`, the mean of the assisted model's score minus the score of this
        model, with its interval from `lost_low` to `lost_high`. `lost` is positive if the
        assisted model is better. If its interval contains 0, the data do not show which
        model is better. Without pandas the table is a structured array, and the names of
        the models are its field `model`.
    scores : dict of str to ndarray of shape (n_splits,)
        Score of each model on each split.
    scoring : str
        Name of the score. Greater is better.
    names : list of str
        Names of the organizations.
    label_holder : str
        Name of the organization that holds y.
    reference : str or None
        Name of the strong learner, "LightGBM" or the class of another one.
    notes : list of str
        One note for each model that is left out because the strong learner could not be
        fitted or scored, with the reason.
    """

    def _headlines(self):
        """Iterate over the gain and the gap, as text."""
        titles = "Gain over the best model alone", "Gap to the best joint model"
        for title, difference in zip(titles, (self.gain, self.gap), strict=True):
            if difference is not None:
                model, mean, low, high = difference
                interval = f"95 % interval {low:+.4f} to {high:+.4f}"
                yield f"{title} ({model}): {mean:+.4f}, {interval}"

    def _legend(self):
        """Iterate over what the labels of the table mean, as text."""
        strong = "" if self.reference is None else f" Strong: {self.reference}."
        yield f"lost: {self.scoring} of Assisted minus that of the line.{strong}"
        yield f"without {self.label_holder}: without its columns, but with y."

    def _text_lines(self):
        """Iterate over the header and the lines of the table, as tuples of text."""
        yield "", self.scoring, "95 % interval", "lost", "95 % interval"
        for line in iterate_lines(self.table):
            label, score, low, high, lost, lost_low, lost_high = line
            if label == "Assisted":
                yield label, f"{score:.4f}", f"{low:.4f} to {high:.4f}", "", ""
                continue
            change = f"{lost_low:+.4f} to {lost_high:+.4f}"
            yield label, f"{score:.4f}", f"{low:.4f} to {high:.4f}", f"{lost:+.4f}", change

    def __repr__(self):
        table = aligned(list(self._text_lines()))
        return "\n".join([*self._headlines(), "", *table, "", *self._legend(), *self.notes])

    def _repr_html_(self):
        header, *body = self._text_lines()

        def cells(tag, line):
            return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in line)

        def paragraphs(texts):
            return "".join(f"<p>{html.escape(text)}</p>" for text in texts)

        rows = "".join(f"<tr>{cells('td', line)}</tr>" for line in body)
        return (
            f"{paragraphs(self._headlines())}"
            f"<table><thead><tr>{cells('th', header)}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            f"{paragraphs([*self._legend(), *self.notes])}"
        )


@dataclass(frozen=True)
class _Evaluation:
    """The rows, splits and score on which all models are compared."""

    X: Any
    y: Any
    splits: list
    scorer: Any
    params: dict | None
    n_jobs: int | None

    def score(self, label, estimator):
        """Return the scores of an estimator on the splits."""
        return self.fit_and_score(label, estimator)[0]

    def fit_and_score(self, label, estimator):
        """Return the scores of an estimator on the splits, and its fitted clones."""
        try:
            result = cross_validate(
                estimator,
                self.X,
                self.y,
                cv=self.splits,
                scoring=self.scorer,
                params=self.params,
                n_jobs=self.n_jobs,
                return_estimator=True,
                error_score="raise",
            )
        except Exception as error:
            error.add_note(
                f"The error occurred when the report fitted or scored the model {label!r}."
            )
            raise
        return result["test_score"], result["estimator"]

    def score_without(self, name, fitted):
        """Return the scores of the fitted models after an organization has left."""
        weight = (self.params or {}).get("sample_weight")
        return np.array(
            Parallel(n_jobs=self.n_jobs)(
                delayed(_drop_and_score)(
                    name, model, self.X, self.y, weight, split, self.scorer
                )
                for model, split in zip(fitted, self.splits, strict=True)
            )
        )


def _drop_and_score(name, model, X, y, sample_weight, split, scorer):
    """Return the score of a fitted model after an organization has left."""
    train, test = split
    remaining = model.drop_organization(
        name,
        _safe_indexing(X, train),
        _safe_indexing(y, train),
        None if sample_weight is None else _safe_indexing(sample_weight, train),
    )
    return scorer(remaining, _safe_indexing(X, test), _safe_indexing(y, test))


def _score_joint(evaluation, joint, model, label_holder, columns):
    """Return the scores of the model that has all columns in one place."""
    if joint is None:
        estimators = {name: estimator for name, estimator, _ in model.organizations}
        joint = clone(model).set_params(
            organizations=[(label_holder, estimators[label_holder], columns)],
            label_holder=None,
            interactions=False,
        )
    else:
        pooled = _safe_indexing(evaluation.X, columns, axis=1)
        evaluation = replace(evaluation, X=pooled)
    try:
        return evaluation.score("Joint", joint)
    except Exception as error:
        error.add_note(
            "By default, the joint model fits the label holder's estimator to the columns "
            "of all organizations. If this estimator cannot take them, pass another "
            "estimator as joint, or joint=False."
        )
        raise


def _score_reference(evaluation, reference, model, columns):
    """Return the scores of the strong learner on some columns each, and notes of failures.

    `columns` has the positions of the columns for the name of each model.
    """
    scores: dict = {}
    notes: list[str] = []
    if reference is None:
        return scores, notes
    weight = (evaluation.params or {}).get("sample_weight")
    for label, positions in columns.items():
        try:
            learner = make_reference(reference, model, evaluation.y, weight)
            (X,) = indexable(evaluation.X)
            X = _safe_indexing(X, positions, axis=1)
            params = reference_params(learner, X, weight)
            scores[label] = replace(evaluation, X=X, params=params).score(label, learner)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            notes.append(
                f"{label} is left out, because its learner could not be fitted or scored: "
                f"{reason}"
            )
    return scores, notes


def _organization_names(model):
    """Check and return the names of the organizations, and that of the label holder."""
    if model.organizations is not None:
        check_organizations(model.organizations, reserved=model.get_params(deep=False))
    names = [name for name, _, _ in model.organizations or []]
    if len(names) < 2:
        raise ValueError(
            "A report compares two organizations or more, but the model has "
            f"{len(names)}. List all of them in its parameter 'organizations'."
        )
    return names, names[check_label_holder(model.label_holder, names)]


def _select_organizations(model, names):
    """Return an unfitted clone of the model with some of its organizations.

    If the label holder is not among them, the first organization replaces it.
    """
    organizations = [entry for entry in model.organizations if entry[0] in names]
    label_holder = model.label_holder if model.label_holder in names else None
    interactions = interactions_among(model.interactions, names)
    return clone(model).set_params(
        organizations=organizations, label_holder=label_holder, interactions=interactions
    )
