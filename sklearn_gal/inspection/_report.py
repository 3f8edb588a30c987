"""Report on what assistance is worth: the label holder alone, assisted, and joint."""

import html
from dataclasses import replace

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, _safe_indexing, indexable

from .._organizations.columns import check_organizations
from .._text_table import aligned, interval_text, name_of_score
from .._validation import check_label_holder, interactions_among
from ._common import check_model
from ._evaluation import Evaluation, LeftOut
from ._reference import (
    check_reference,
    make_reference,
    name_of_reference,
    reference_params,
)
from ._statistics import (
    gain_over_best,
    iterate_lines,
    range_of_score,
    summary_table,
)


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
    shows the gain over the better model of the label holder's columns, and that over the
    better model of all columns. It also shows the score that is lost if an organization
    leaves after the fit. All models are fitted and scored on the same cross-validation
    splits.

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
        organizations. Another estimator is fitted to these columns as it is. If it cannot
        take them, e.g. because the label holder's estimator takes no strings, the report
        leaves this model out, and a note gives the reason. A pipeline that selects the
        label holder's columns ignores those of the others, which a note says: pass a
        pipeline for all columns. False leaves both joint models out, for columns that
        cannot be pooled.
    reference : "lightgbm", estimator or None, default="lightgbm"
        Strong learner that is fitted to the label holder's columns (*LightGBM alone*) and
        to the columns of all organizations (*LightGBM joint*). "lightgbm" is LightGBM with
        its default settings: 100 trees of 31 leaves. Another estimator, for example
        :class:`~sklearn.ensemble.HistGradientBoostingClassifier` or a pipeline, is fitted
        to these columns as it is, and its class replaces LightGBM in the names of the two
        models. None leaves both models out.
    params : dict or None, default=None
        Parameters passed to every `fit`, e.g. ``{"sample_weight": weights}``, as in
        :func:`~sklearn.model_selection.cross_validate`.
    n_jobs : int or None, default=None
        Number of models fitted in parallel, in processes.

    Returns
    -------
    report : AssistanceReport
        A :class:`~sklearn.utils.Bunch` with `gain`, `gain_over_joint`, `table`, `scores`,
        `scoring`, `n_samples`, `names`, `label_holder`, `refitted`, `reference` and
        `notes`.

    Raises
    ------
    TypeError
        If `model` is not an estimator of this package.
    ValueError
        If `model` has fewer than two organizations, if `reference` is invalid, for example
        a regressor for a classifier, or if a fit fails. If a joint model or a model of the
        strong learner cannot be fitted or scored, the report leaves it out instead, and a
        note gives the reason.

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
    the score does, e.g. at 1 for R² and the accuracy. That of a difference does not,
    because a difference has no such end: the other R² can be below 0.

    When an assistor leaves, the models of the remaining organizations are not fitted
    again. Only the assistance weights and learning rates are chosen again, as in
    :meth:`~sklearn_gal.GALRegressor.drop_organization`. The report thus shows the score
    that is lost on the day when the assistor leaves; a new fit may recover part of it.

    New fits are needed with `params` under metadata routing, and for the line without the
    label holder's columns. In this line the first of the other organizations becomes the
    label holder, and receives the target.

    The label holder's estimator is often small, because boosting combines many of them. So
    a comparison with this estimator alone can show a gain that a stronger learner would
    find in the label holder's own columns. For this reason both gains are differences to
    the better of two models, by their mean score.

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
    >>> report.gain.model, report.gain_over_joint.model
    ('Alone', 'Joint')
    >>> list(report.scores)  # doctest: +NORMALIZE_WHITESPACE
    ['Alone', 'LightGBM alone', 'Assisted', 'Joint', 'LightGBM joint',
     'without practice', 'without laboratory']
    """
    check_model(model)
    check_reference(reference, model)
    names, label_holder = _organization_names(model)
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    scorer = check_scoring(model, scoring=scoring)
    cv = check_cv(cv, y, classifier=is_classifier(model))
    evaluation = Evaluation(X, y, list(cv.split(X, y, groups)), scorer, params, n_jobs)
    strong = name_of_reference(reference)
    alone = ["Alone"] if strong is None else ["Alone", f"{strong} alone"]
    joint_models = ["Joint"] if strong is None else ["Joint", f"{strong} joint"]

    held_alone = _select_organizations(model, [label_holder])
    scores = {"Alone": evaluation.score("Alone", held_alone)}
    scores["Assisted"], fitted = evaluation.fit_and_score("Assisted", model)
    left_out = LeftOut(X, dict(zip(names, fitted[0].columns_, strict=True)))
    columns = dict.fromkeys(alone[1:], left_out.holders[label_holder])
    if joint is not False:
        pooled = np.unique(np.concatenate(fitted[0].columns_))
        columns |= dict.fromkeys(joint_models[1:], pooled)
        scores |= _score_joint(evaluation, joint, model, label_holder, pooled, left_out)
    scores |= _score_reference(evaluation, reference, model, columns, left_out)
    order = [*alone, "Assisted", *joint_models]
    scores = {label: scores[label] for label in order if label in scores}
    # parameters that are routed would not reach the scorer of `score_without`
    routes = bool(params) and get_config()["enable_metadata_routing"]
    refitted = names if routes else [label_holder]
    for name in names:
        label = f"without {name}"
        if name in refitted:
            others = [other for other in names if other != name]
            scores[label] = evaluation.score(label, _select_organizations(model, others))
        else:
            scores[label] = evaluation.score_without(name, fitted)
    table = summary_table(scores, evaluation.splits, range_of_score(model, scoring))
    return AssistanceReport(
        gain=gain_over_best(table, alone),
        gain_over_joint=gain_over_best(table, joint_models),
        table=table,
        scores=scores,
        scoring=name_of_score(model, scoring),
        n_samples=len(y),
        names=names,
        label_holder=label_holder,
        refitted=refitted,
        reference=strong,
        notes=left_out.notes,
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
        ``"LightGBM alone"``, with its interval. `model` is the name of the better one, by
        the mean score over splits.
    gain_over_joint : named tuple (model, mean, low, high) or None
        The same for the better of ``"Joint"`` and ``"LightGBM joint"``. `mean` is negative
        if the joint model is better. None without joint models.
    table : pandas.DataFrame or structured ndarray
        One line for each of the models ``"Alone"``, ``"LightGBM alone"``, ``"Assisted"``,
        ``"Joint"`` and ``"LightGBM joint"``, and one line ``"without"`` each organization.
        The names of the models are the index. Another strong learner has the name of its
        class instead of LightGBM.
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
    n_samples : int
        Number of rows.
    names : list of str
        Names of the organizations.
    label_holder : str
        Name of the organization that holds y.
    refitted : list of str
        Names of the organizations without whose columns a new model is fitted. The models
        of the other lines ``"without"`` are not fitted again.
    reference : str or None
        Name of the strong learner, "LightGBM" or the class of another one.
    notes : list of str
        One note for each model that is left out because its learner could not be fitted or
        scored, with the reason. One if *Joint* ignores the columns of the others.
    """

    def _headlines(self):
        """Iterate over both gains, as text."""
        titles = "Gain over the best model alone", "Gain over the best joint model"
        gains = self.gain, self.gain_over_joint
        for title, difference in zip(titles, gains, strict=True):
            if difference is not None:
                model, mean, low, high = difference
                ends = interval_text((low, high), "+.4f")
                interval = ends and f", 95 % interval {ends}"
                yield f"{title} ({model}): {mean:+.4f}{interval}"

    def _legend(self):
        """Iterate over what the labels and numbers of the report mean, as text."""
        n_splits, holder = len(self.scores["Assisted"]), self.label_holder
        what = "Means and 95 % intervals over" if n_splits > 1 else "Scores of"
        splits = f"{n_splits} cross-validation split{'s' if n_splits > 1 else ''}"
        yield f"{what} {splits} of {self.n_samples} rows."
        joint = alone = ""
        if self.gain_over_joint is not None:
            joint = " Joint: all columns in one place."
        if {f"{self.reference} alone", f"{self.reference} joint"} & set(self.scores):
            alone = f" {self.reference}: instead of the estimator of {holder}."
        other = "that of the other model"
        yield f"Gain, lost: {self.scoring} of Assisted minus {other}.{joint}"
        yield f"Alone: only the columns of {holder}.{alone}"
        leaves = "the organization leaves after the fit; no model is fitted again"
        if self.refitted == self.names:
            leaves = "a new fit without the columns of the organization"
        yield f"without ...: {leaves}."
        yield f"without {holder}: a new fit without its columns, but with y."

    def _text_lines(self):
        """Iterate over the header and the lines of the table, as tuples of text."""
        yield "", self.scoring, "95 % interval", "lost", "95 % interval"
        for line in iterate_lines(self.table):
            label, score, low, high, lost, lost_low, lost_high = line
            change = f"{lost:+.4f}", interval_text((lost_low, lost_high), "+.4f")
            change = ("", "") if label == "Assisted" else change
            yield label, f"{score:.4f}", interval_text((low, high), ".4f"), *change

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


def _score_joint(evaluation, joint, model, label_holder, columns, left_out):
    """Return the scores of the model that has all columns in one place, if it works."""
    suspects, may_ignore = columns, joint is None
    if may_ignore:
        estimators = {name: estimator for name, estimator, _ in model.organizations}
        joint = clone(model).set_params(
            organizations=[("all columns", estimators[label_holder], columns)],
            label_holder=None,
            interactions=False,
        )
        # the estimator has fitted the columns of the label holder
        suspects = np.setdiff1d(columns, left_out.holders[label_holder])
    else:
        pooled = _safe_indexing(evaluation.X, columns, axis=1)
        evaluation = replace(evaluation, X=pooled)
    scores = {}
    with left_out.noting("Joint", "joint", suspects):
        scores["Joint"], fitted = evaluation.fit_and_score("Joint", joint)
        if may_ignore and evaluation.ignores(fitted[0], suspects):
            left_out.notes.append(
                "The predictions of Joint do not depend on the columns of the others. If "
                f"the estimator of {label_holder!r} selects its columns, pass a pipeline "
                "for all columns as joint."
            )
    return scores


def _score_reference(evaluation, reference, model, columns, left_out):
    """Return the scores of the strong learner on some columns each, as far as it works.

    `columns` has the positions of the columns for the name of each model.
    """
    scores: dict = {}
    weight = (evaluation.params or {}).get("sample_weight")
    for label, positions in columns.items():
        with left_out.noting(label, "reference", positions):
            learner = make_reference(reference, model, evaluation.y, weight)
            (X,) = indexable(evaluation.X)
            X = _safe_indexing(X, positions, axis=1)
            params = reference_params(learner, X, weight)
            scores[label] = replace(evaluation, X=X, params=params).score(label, learner)
    return scores


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
