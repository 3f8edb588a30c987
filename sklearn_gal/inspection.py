"""Looking at a fit: what the others add, which of them, and when.

`AssistanceDisplay` and `ContributionDisplay` draw a fitted model with matplotlib (the extra
``plot``); `assistance_report` compares the label holder alone, assisted, and with all
columns in one place.
"""

import html
from numbers import Integral
from typing import Self

import numpy as np
from scipy import stats
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv, cross_validate
from sklearn.utils import Bunch, _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ._base import BaseGAL
from ._organizations.columns import check_organizations

__all__ = [
    "AssistanceDisplay",
    "AssistanceReport",
    "ContributionDisplay",
    "assistance_report",
]

# With more organizations than a legend tells apart, or more rounds than bars can be seen,
# weights are drawn as a map.
_MOST_COLORS, _MOST_BARS = 10, 40
# Points of a strip are thinned to so many rows.
_MOST_POINTS = 1000


class AssistanceDisplay:
    """Who assisted how much, at which rate, and what became of the loss.

    Three panels over the rounds: assistance weights (as bars, or as a map where there are
    many rounds or organizations), assisted learning rates, and the overarching loss. It is
    recommended to use
    :func:`~sklearn_gal.inspection.AssistanceDisplay.from_estimator` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    weights : ndarray of shape (n_rounds, n_organizations)
        Assistance weights.
    learning_rates : ndarray of shape (n_rounds,)
        Assisted learning rates.
    train_loss : ndarray of shape (n_rounds + 1,)
        Overarching loss on the training rows, before the first round and after each.
    validation_loss : ndarray of shape (n_rounds + 1,) or (0,)
        The same on the rows that early stopping looks at, if there are any.
    organization_names : list of str
        Names of the organizations.
    label_holder : str
        Name of the organization that holds y.

    Attributes
    ----------
    axes_ : ndarray of shape (3,)
        Axes of the weights, the learning rates and the losses.
    bounding_ax_ : matplotlib Axes or None
        Axes that the panels lie in, if one was given or made.
    figure_ : matplotlib Figure
        Figure with the panels.

    See Also
    --------
    ContributionDisplay : What the organizations contribute to predictions.
    assistance_report : What they are worth, on rows not fitted to.

    References
    ----------
    E. Diao, J. Ding, V. Tarokh, "GAL: Gradient Assisted Learning for Decentralized
    Multi-Organization Collaborations", NeurIPS 2022, :arxiv:`2106.01425`, Figure 4.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import AssistanceDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GALRegressor(
    ...     [("practice", None, slice(0, 4)), ("laboratory", None, slice(4, 10))],
    ...     max_iter=10,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> display = AssistanceDisplay.from_estimator(model)  # doctest: +SKIP
    >>> display.figure_.savefig("assistance.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        weights,
        learning_rates,
        train_loss,
        validation_loss,
        organization_names,
        label_holder,
    ):
        self.weights = weights
        self.learning_rates = learning_rates
        self.train_loss = train_loss
        self.validation_loss = validation_loss
        self.organization_names = organization_names
        self.label_holder = label_holder

    @classmethod
    def from_estimator(cls, estimator, *, ax=None) -> Self:
        """Create the display of a fitted model and plot it.

        Parameters
        ----------
        estimator : GALRegressor or GALClassifier
            Fitted model.
        ax : matplotlib Axes or array-like of three Axes, default=None
            See :meth:`plot`.

        Returns
        -------
        display : AssistanceDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is no model of this package.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        _pyplot(f"{cls.__name__}.from_estimator")
        _check_model(estimator)
        check_is_fitted(estimator)
        display = cls(
            weights=estimator.weights_,
            learning_rates=estimator.learning_rates_,
            train_loss=estimator.train_loss_,
            validation_loss=estimator.validation_loss_,
            organization_names=list(estimator.organization_names_),
            label_holder=estimator.label_holder_,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Plot the three panels.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of three Axes, default=None
            A single Axes is the area that the three panels are put into; of three, each
            takes one panel. None makes a figure.

        Returns
        -------
        display : AssistanceDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is neither one Axes of a grid nor three Axes.
        """
        plt = _pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(7.5, 7.5), layout="constrained")
        if hasattr(ax, "plot"):
            if ax.get_subplotspec() is None:
                raise ValueError(
                    "ax is not one of a grid, as of plt.subplots(), and cannot be divided: "
                    "pass three Axes instead."
                )
            self.bounding_ax_, self.figure_ = ax, ax.figure
            ax.set_axis_off()
            grid = ax.get_subplotspec().subgridspec(3, 1, height_ratios=[3, 1.5, 2])
            self.axes_ = grid.subplots()
        else:
            self.axes_ = np.asarray(ax, dtype=object).ravel()
            if len(self.axes_) != 3:
                raise ValueError(f"ax must be one Axes or three, got {len(self.axes_)}.")
            self.bounding_ax_, self.figure_ = None, self.axes_[0].figure
        weights_ax, rates_ax, loss_ax = self.axes_
        rounds = np.arange(1, len(self.learning_rates) + 1)
        self._plot_weights(weights_ax, rounds)

        rates_ax.plot(rounds, self.learning_rates, marker=".", color="0.3")
        rates_ax.set_ylabel("assisted\nlearning rate")
        rates_ax.set_ylim(bottom=0)

        loss_ax.plot(np.arange(len(self.train_loss)), self.train_loss, label="training")
        shown = len(self.validation_loss) > 0
        if shown and not np.array_equal(self.validation_loss, self.train_loss):
            loss_ax.plot(
                np.arange(len(self.validation_loss)),
                self.validation_loss,
                linestyle="--",
                label="validation",
            )
        loss_ax.legend(frameon=False)
        loss_ax.set_ylabel("overarching loss")
        loss_ax.set_xlabel("assistance round")
        for each in self.axes_:
            each.set_xlim(-0.5, len(rounds) + 0.5)
            each.xaxis.get_major_locator().set_params(integer=True)
        return self

    def _plot_weights(self, ax, rounds):
        names = _marked(self.organization_names, self.label_holder)
        too_many = len(names) > _MOST_COLORS or len(rounds) > _MOST_BARS
        if too_many or (self.weights < 0).any():
            edges = np.arange(len(rounds) + 1) + 0.5, np.arange(len(names) + 1) - 0.5
            mesh = ax.pcolormesh(*edges, self.weights.T, cmap="Blues")
            ax.set_yticks(range(len(names)), names)
            ax.invert_yaxis()
            ax.figure.colorbar(mesh, ax=ax, label="assistance weight")
            return
        bottom = np.zeros(len(rounds))
        for m, name in enumerate(names):
            weights = self.weights[:, m]
            ax.bar(rounds, weights, 0.9, bottom, color=f"C{m}", label=name, linewidth=0)
            bottom = bottom + weights
        ax.set_ylabel("assistance weight")
        # in the order of the bars, from the top down
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, reverse=True)


class ContributionDisplay:
    """What each organization contributes to the raw predictions.

    Over rows, a strip and a box per organization with its share of the whole; for one row,
    the steps from the baseline to the prediction. It is recommended to use
    :func:`~sklearn_gal.inspection.ContributionDisplay.from_estimator` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    contributions : ndarray of shape (n_samples, n_organizations)
        Contributions to one output, in link space.
    baseline : float
        Raw prediction before the first round.
    organization_names : list of str
        Names of the organizations.
    label_holder : str
        Name of the organization that holds y.
    output_name : str
        What the raw prediction is of.

    Attributes
    ----------
    shares : ndarray of shape (n_organizations,)
        Mean absolute deviation of each organization's contributions from their mean, as a
        share of the sum over organizations.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the picture.

    See Also
    --------
    AssistanceDisplay : Weights, rates and losses over the rounds.
    assistance_report : What the organizations are worth, on rows not fitted to.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import ContributionDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GALRegressor(
    ...     [("practice", None, slice(0, 4)), ("laboratory", None, slice(4, 10))],
    ...     max_iter=10,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> display = ContributionDisplay.from_estimator(model, X)  # doctest: +SKIP
    >>> display.plot(row=0)  # doctest: +SKIP
    """

    def __init__(
        self, *, contributions, baseline, organization_names, label_holder, output_name
    ):
        self.contributions = contributions
        self.baseline = baseline
        self.organization_names = organization_names
        self.label_holder = label_holder
        self.output_name = output_name

    @property
    def shares(self) -> np.ndarray:
        """Share of each organization in the variation of the raw prediction."""
        deviation = self.contributions - self.contributions.mean(axis=0)
        size = np.abs(deviation).mean(axis=0)
        return size / (size.sum() or 1.0)

    @classmethod
    def from_estimator(cls, estimator, X, *, row=None, target=None, ax=None) -> Self:
        """Create the display of a fitted model for rows of X and plot it.

        Parameters
        ----------
        estimator : GALRegressor or GALClassifier
            Fitted model.
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to look at.
        row : int, default=None
            Position of a single row to look at; see :meth:`plot`.
        target : object, default=None
            With several classes, the class whose raw prediction to look at; with two, None
            is the second. With several numbers to predict, the position of one.
        ax : matplotlib Axes, default=None
            See :meth:`plot`.

        Returns
        -------
        display : ContributionDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is no model of this package.
        ValueError
            If `target` is unknown, or needed and missing.
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        """
        _pyplot(f"{cls.__name__}.from_estimator")
        _check_model(estimator)
        check_is_fitted(estimator)
        output, sign, output_name = _find_output(estimator, target)
        display = cls(
            contributions=sign * estimator.contributions(X)[:, :, output],
            baseline=sign * float(estimator.baseline_prediction_[output]),
            organization_names=list(estimator.organization_names_),
            label_holder=estimator.label_holder_,
            output_name=output_name,
        )
        return display.plot(ax=ax, row=row)

    def plot(self, ax=None, *, row=None) -> Self:
        """Plot contributions over rows, or to the prediction for one row.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into. None makes a figure.
        row : int, default=None
            Position of a single row; None is all of them.

        Returns
        -------
        display : ContributionDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If there is no such row.
        """
        plt = _pyplot(f"{type(self).__name__}.plot")
        n_samples, n_organizations = self.contributions.shape
        if row is not None and not -n_samples <= row < n_samples:
            raise IndexError(f"row={row} is not one of the {n_samples} rows of X.")
        if ax is None:
            height = 1.2 + 0.55 * (n_organizations + (0 if row is None else 2))
            _, ax = plt.subplots(figsize=(7.5, height), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        if row is None:
            self._plot_rows(ax)
        else:
            self._plot_row(ax, row)
        return self

    def _plot_rows(self, ax):
        order = np.argsort(self.shares)
        names = _marked(self.organization_names, self.label_holder)
        rng = np.random.default_rng(0)
        rows = np.arange(len(self.contributions))
        if len(rows) > _MOST_POINTS:
            rows = rng.choice(rows, _MOST_POINTS, replace=False)
        for position, m in enumerate(order):
            jitter = position + rng.uniform(-0.22, 0.22, len(rows))
            ax.plot(
                self.contributions[rows, m], jitter, ".", color="C0", alpha=0.3, ms=4, mew=0
            )
        ax.boxplot(
            self.contributions[:, order],
            orientation="horizontal",
            positions=range(len(order)),
            widths=0.6,
            whis=(5, 95),
            showfliers=False,
            medianprops={"color": "C1", "linewidth": 2},
        )
        labels = [f"{names[m]}\n{self.shares[m]:.0%}" for m in order]
        ax.set_yticks(range(len(order)), labels)
        ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xlabel(f"contribution to the raw prediction{self._of()}")
        ax.set_title("Share of each organization", loc="left")

    def _plot_row(self, ax, row):
        steps = self.contributions[row]
        order = np.argsort(-np.abs(steps), kind="stable")
        names = _marked(self.organization_names, self.label_holder)
        ends = self.baseline + np.cumsum(steps[order])
        starts = np.append(self.baseline, ends[:-1])
        for position, (m, start) in enumerate(zip(order, starts, strict=True), start=1):
            color = "C0" if steps[m] >= 0 else "C1"
            ax.barh(position, steps[m], left=start, color=color, height=0.6)
            ax.annotate(
                f"{steps[m]:+.3g}",
                (max(start, start + steps[m]), position),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
            )
        path = np.concatenate([[self.baseline], ends])
        for position, reached in enumerate(path):
            ends_at = position + 1
            ax.plot([reached, reached], [position, ends_at], color="0.5", linewidth=0.8)
        for position, value in ((0, path[0]), (len(order) + 1, path[-1])):
            ax.plot(value, position, "D", color="0.2")
            ax.annotate(
                f"{value:.3g}",
                (value, position),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
            )
        labels = ["baseline", *(names[m] for m in order), "raw prediction"]
        ax.set_yticks(range(len(labels)), labels)
        ax.invert_yaxis()
        ax.use_sticky_edges = False
        ax.margins(x=0.15)
        ax.set_xlabel(f"raw prediction{self._of()}")
        ax.set_title(f"From the baseline to the prediction for row {row}", loc="left")

    def _of(self):
        return f" of {self.output_name}" if self.output_name else ""


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
    """Compare the label holder alone, assisted, and with all columns in one place.

    Also the score that is lost if each organization left. All are fitted and scored on the
    same cross-validation splits.

    Parameters
    ----------
    model : GALRegressor or GALClassifier
        Model to report on, with two organizations or more. It is cloned, not fitted.
    X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
        The columns of all organizations.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Target.
    groups : array-like of shape (n_samples,), default=None
        Groups of the rows, for a `cv` that keeps groups together.
    cv : int, splitter or iterable, default=None
        Splits to fit and score on, as in
        :func:`~sklearn.model_selection.cross_validate`; None is five folds.
    scoring : str, callable or None, default=None
        A single score; None is the model's own, accuracy or R².
    joint : estimator, False or None, default=None
        What is fitted where all columns are in one place. None is this model with a
        single organization that holds the columns of all and fits them with the label
        holder's own estimator; another estimator is fitted to these columns as it is;
        False leaves this line out, where nobody has all columns.
    params : dict or None, default=None
        Passed to every `fit`, e.g. ``{"sample_weight": weights}``, as in
        :func:`~sklearn.model_selection.cross_validate`.
    n_jobs : int or None, default=None
        Number of fits at once, in processes.

    Returns
    -------
    report : AssistanceReport
        A :class:`~sklearn.utils.Bunch` with `table`, `scores` and `scoring`.

    Raises
    ------
    TypeError
        If `model` is no model of this package.
    ValueError
        If it has fewer than two organizations, or a fit fails.

    See Also
    --------
    AssistanceDisplay : Weights, rates and losses of a fitted model.
    ContributionDisplay : What the organizations contribute to predictions.

    Notes
    -----
    The intervals are 95 % t intervals of the mean over splits, with the variance corrected
    for the overlap of training sets (Nadeau and Bengio, 2003); those of a difference are
    of the paired differences. They tell how much a result depends on the split, and are
    missing with a single split. Splits of very unequal size make them unreliable.

    Where an assistor leaves, nothing is fitted again: weights and rates are chosen anew
    for the models that the others have, as by
    :meth:`~sklearn_gal.GALRegressor.drop_organization`. That is what is lost on the day it
    leaves; a new fit may win a part of it back. New fits are needed with
    `stack_contributions`, with `params` under metadata routing, and where the label
    holder's own columns are left out: the target then goes to the first of the others, and
    with it what a label holder sees.

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
    _check_model(model)
    if model.organizations is not None:
        check_organizations(model.organizations, reserved=model.get_params(deep=False))
    names = [name for name, _, _ in model.organizations or []]
    if len(names) < 2:
        raise ValueError(
            "A report compares two organizations or more, but the model has "
            f"{len(names)}: list them in its parameter 'organizations'."
        )
    holder = names[0] if model.label_holder is None else model.label_holder
    if holder not in names:
        raise ValueError(f"label_holder={holder!r} is none of the organizations {names}.")
    X = np.asarray(X) if isinstance(X, (list, tuple)) else X
    scorer = check_scoring(model, scoring=scoring)
    cv = check_cv(cv, y, classifier=is_classifier(model))
    splits = list(cv.split(X, y, groups))

    def scores_of(label, estimator, X=X):
        """Scores on the splits, and the fitted estimators."""
        try:
            result = cross_validate(
                estimator,
                X,
                y,
                cv=splits,
                scoring=scorer,
                params=params,
                n_jobs=n_jobs,
                return_estimator=True,
                error_score="raise",
            )
        except Exception as error:
            error.add_note(f"while {label!r} was fitted and scored for the report")
            if label == "Joint":
                error.add_note(
                    "It fits the label holder's own estimator to the columns of all: if "
                    "it cannot take them, pass another as 'joint', or joint=False."
                )
            raise
        return result["test_score"], result["estimator"]

    scores = {"Alone": scores_of("Alone", _with_only(model, [holder]))[0]}
    scores["Assisted"], fitted = scores_of("Assisted", model)
    columns = np.unique(np.concatenate(fitted[0].columns_))
    if joint is None:
        own = {name: estimator for name, estimator, _ in model.organizations}[holder]
        pooled = clone(model).set_params(
            organizations=[(holder, own, columns)], label_holder=None
        )
        scores["Joint"] = scores_of("Joint", pooled)[0]
    elif joint is not False:
        everything = _safe_indexing(X, columns, axis=1)
        scores["Joint"] = scores_of("Joint", joint, everything)[0]
    for name in names:
        label = f"without {name}"
        if name == holder or not _can_solve_again(model, params):
            rest = _with_only(model, [each for each in names if each != name])
            scores[label] = scores_of(label, rest)[0]
        else:
            scores[label] = np.array(
                Parallel(n_jobs=n_jobs)(
                    delayed(_score_without)(name, each, X, y, split, scorer, params)
                    for each, split in zip(fitted, splits, strict=True)
                )
            )
    return AssistanceReport(
        scores=scores,
        table=_as_frame(_summary(scores, splits)),
        scoring=_scoring_name(model, scoring),
    )


class AssistanceReport(Bunch):
    """What a report returns; notebooks show it as a table.

    See :func:`~sklearn_gal.inspection.assistance_report`.

    Parameters
    ----------
    **kwargs : dict
        The attributes.

    Attributes
    ----------
    table : pandas.DataFrame or structured ndarray
        A line per model: ``"Alone"``, ``"Assisted"``, ``"Joint"`` and ``"without"`` each
        organization, the frame's index. Its columns are the mean `score` over splits with
        its interval `low` to `high`, and what is `lost` of the assisted model's score
        with its interval `lost_low` to `lost_high`, positive where the assisted model is
        better. An interval of `lost` that contains 0 leaves open whether anything is. A
        structured array with a field `model` where pandas is not installed.
    scores : dict of str to ndarray of shape (n_splits,)
        The score of every line on every split.
    scoring : str
        Name of the score; greater is better.
    """

    def _lines(self):
        """Header and lines of the table, as text."""
        yield "", f"{self.scoring}", "95 % interval", "lost", "95 % interval"
        for line in _summary_records(self.table):
            label, score, low, high, lost, lost_low, lost_high = line
            if label == "Assisted":
                yield label, f"{score:.4f}", f"{low:.4f} to {high:.4f}", "", ""
                continue
            change = f"{lost_low:+.4f} to {lost_high:+.4f}"
            yield label, f"{score:.4f}", f"{low:.4f} to {high:.4f}", f"{lost:+.4f}", change

    def __repr__(self):
        lines = list(self._lines())
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self):
        head, *body = self._lines()

        def cells(tag, line):
            return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in line)

        rows = "".join(f"<tr>{cells('td', line)}</tr>" for line in body)
        return (
            f"<table><thead><tr>{cells('th', head)}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


_FIELDS = ("score", "low", "high", "lost", "lost_low", "lost_high")


def _summary(scores, splits):
    """One record per model: mean score and mean loss against assisted, with intervals."""
    ratio = np.mean([len(test) / len(train) for train, test in splits])
    dtype = [("model", object), *((field, np.float64) for field in _FIELDS)]
    records = []
    for label, values in scores.items():
        lost = scores["Assisted"] - values
        records.append((label, *_interval(values, ratio), *_interval(lost, ratio)))
    return np.array(records, dtype=dtype)


def _interval(values, ratio):
    """Mean and corrected resampled t interval of cross-validated values."""
    mean, n_splits = float(np.mean(values)), len(values)
    if n_splits < 2:
        return mean, np.nan, np.nan
    error = np.sqrt((1 / n_splits + ratio) * np.var(values, ddof=1))
    half = float(stats.t.ppf(0.975, n_splits - 1) * error)
    return mean, mean - half, mean + half


def _as_frame(records):
    """The records as a pandas frame where pandas is installed."""
    try:
        import pandas as pd
    except ImportError:
        return records
    return pd.DataFrame(
        {field: records[field] for field in _FIELDS}, index=list(records["model"])
    )


def _summary_records(table):
    """The lines of a table, a frame or records."""
    return table.itertuples() if hasattr(table, "itertuples") else table


def _scoring_name(model, scoring):
    if scoring is None:
        return "accuracy" if is_classifier(model) else "R²"
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")


def _with_only(model, names):
    """An unfitted model with these organizations alone."""
    kept = [each for each in model.organizations if each[0] in names]
    holder = model.label_holder if model.label_holder in names else None
    return clone(model).set_params(organizations=kept, label_holder=holder)


def _can_solve_again(model, params):
    """Whether an assistor can leave without a refit, and be scored as the others are."""
    plain = not params or not get_config()["enable_metadata_routing"]
    return plain and not model.stack_contributions


def _score_without(name, fitted, X, y, split, scorer, params):
    """Score of a fitted model that an organization leaves."""
    train, test = split
    weight = (params or {}).get("sample_weight")
    rest = fitted.drop_organization(
        name,
        _safe_indexing(X, train),
        _safe_indexing(y, train),
        None if weight is None else _safe_indexing(weight, train),
    )
    return scorer(rest, _safe_indexing(X, test), _safe_indexing(y, test))


def _check_model(model):
    if not isinstance(model, BaseGAL):
        raise TypeError(
            "Expected a GALRegressor or a GALClassifier, got "
            f"{type(model).__name__}: of a pipeline pass its last step, of a search its "
            "best_estimator_."
        )


def _find_output(model, target):
    """Position, sign and name of the output that `target` means."""
    n_outputs = len(model.baseline_prediction_)
    if not is_classifier(model):
        if n_outputs == 1 and target is None:
            return 0, 1.0, ""
        if not isinstance(target, Integral) or not 0 <= int(target) < n_outputs:
            raise ValueError(
                f"target must be the position of an output, 0 to {n_outputs - 1}, got "
                f"{target!r}."
            )
        return int(target), 1.0, f"output {target}"
    classes = model.classes_.tolist()
    if target is None and n_outputs == 1:
        target = classes[1]
    if target not in classes:
        raise ValueError(f"target must be one of the classes {classes}, got {target!r}.")
    position = classes.index(target)
    if n_outputs == 1:
        return 0, (-1.0, 1.0)[position], f"class {target}"
    return position, 1.0, f"class {target}"


def _marked(names, label_holder):
    """Names, that of the label holder marked."""
    return [f"{name} (label holder)" if name == label_holder else name for name in names]


def _pyplot(caller):
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib: pip install 'sklearn_gal[plot]'."
        ) from error
    return plt
