"""Report on what assistance is worth: the label holder alone, assisted, and joint."""

import html
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv, cross_validate
from sklearn.utils import Bunch, _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from .._organizations.columns import check_organizations
from ._common import check_model
from ._statistics import iterate_lines, summary_table


def assistance_report(
    model,
    X,
    y,
    *,
    groups=None,
    cv=None,
    scoring=None,
    joint=None,
    params=None,
    n_jobs=None,
) -> "AssistanceReport":
    """Compare the label holder alone, the assisted model and a model of all columns.

    The report also shows the score that is lost if an organization leaves. All models are
    fitted and scored on the same cross-validation splits.

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
        the joint model out, for columns that cannot be pooled.
    params : dict or None, default=None
        Parameters passed to every `fit`, e.g. ``{"sample_weight": weights}``, as in
        :func:`~sklearn.model_selection.cross_validate`.
    n_jobs : int or None, default=None
        Number of models fitted in parallel, in processes.

    Returns
    -------
    report : AssistanceReport
        A :class:`~sklearn.utils.Bunch` with `table`, `scores` and `scoring`.

    Raises
    ------
    TypeError
        If `model` is not an estimator of this package.
    ValueError
        If `model` has fewer than two organizations, or if a fit fails.

    See Also
    --------
    AssistanceDisplay : Weights, learning rates and losses of a fitted model.
    ContributionDisplay : What each organization contributes to the predictions.

    Notes
    -----
    The intervals are 95 % t intervals of the mean over splits. Their variance is corrected
    for the overlap of the training sets (Nadeau and Bengio, 2003). The interval of a
    difference is computed from paired differences. The intervals show how much a result
    depends on the split. They are NaN for a single split, and unreliable if the splits
    have very different sizes.

    When an assistor leaves, the models of the remaining organizations are not fitted
    again. Only the assistance weights and learning rates are chosen again, as in
    :meth:`~sklearn_gal.GALRegressor.drop_organization`. The report thus shows the score
    that is lost on the day when the assistor leaves; a new fit may recover part of it.

    New fits are needed with `params` under metadata routing, and for the line without the
    label holder's columns. In this line the first of the other organizations becomes the
    label holder, and receives the target.

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
    >>> list(report.scores)
    ['Alone', 'Assisted', 'Joint', 'without practice', 'without laboratory']
    """
    check_model(model)
    names, label_holder = _organization_names(model)
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    scorer = check_scoring(model, scoring=scoring)
    cv = check_cv(cv, y, classifier=is_classifier(model))
    evaluation = _Evaluation(X, y, list(cv.split(X, y, groups)), scorer, params, n_jobs)

    alone = _select_organizations(model, [label_holder])
    scores = {"Alone": evaluation.score("Alone", alone)}
    scores["Assisted"], fitted = evaluation.fit_and_score("Assisted", model)
    if joint is not False:
        columns = np.unique(np.concatenate(fitted[0].columns_))
        scores["Joint"] = _score_joint(evaluation, joint, model, label_holder, columns)
    # parameters that are routed would not reach the scorer of `score_without`
    routes = params and get_config()["enable_metadata_routing"]
    for name in names:
        label = f"without {name}"
        if name != label_holder and not routes:
            scores[label] = evaluation.score_without(name, fitted)
        else:
            others = [other for other in names if other != name]
            scores[label] = evaluation.score(label, _select_organizations(model, others))
    return AssistanceReport(
        scores=scores,
        table=summary_table(scores, evaluation.splits),
        scoring=_scoring_name(model, scoring),
    )


class AssistanceReport(Bunch):
    """Scores of a model with and without assistance. Notebooks show them as a table.

    See :func:`~sklearn_gal.inspection.assistance_report`, which creates it.

    Parameters
    ----------
    **kwargs : dict
        The attributes.

    Attributes
    ----------
    table : pandas.DataFrame or structured ndarray
        One line for each of the models ``"Alone"``, ``"Assisted"`` and ``"Joint"``, and
        one line ``"without"`` each organization. The names of the models are the index.
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
    """

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
        lines = list(self._text_lines())
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self):
        header, *body = self._text_lines()

        def cells(tag, line):
            return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in line)

        rows = "".join(f"<tr>{cells('td', line)}</tr>" for line in body)
        return (
            f"<table><thead><tr>{cells('th', header)}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
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
    label_holder = names[0] if model.label_holder is None else model.label_holder
    if label_holder not in names:
        raise ValueError(
            f"label_holder={label_holder!r} is not one of the organizations {names}."
        )
    return names, label_holder


def _select_organizations(model, names):
    """Return an unfitted clone of the model with some of its organizations.

    If the label holder is not among them, the first organization replaces it.
    """
    organizations = [entry for entry in model.organizations if entry[0] in names]
    label_holder = model.label_holder if model.label_holder in names else None
    return clone(model).set_params(organizations=organizations, label_holder=label_holder)


def _scoring_name(model, scoring):
    if scoring is None:
        return "accuracy" if is_classifier(model) else "R²"
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
