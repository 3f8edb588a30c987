"""Display of the columns that contribute most to the predictions of many rows."""

from numbers import Real
from typing import Self

import numpy as np

from ._common import annotate, check_displayable, check_position, import_pyplot
from ._entries import (
    entries_of,
    entry_label,
    figure_size,
    group_entries,
    label_lines,
    plot_whiskers,
)
from ._links import (
    ExplainedOutput,
    decimals_for,
    find_explained_output,
    get_link,
    set_change_ticks,
)

# The points of a line are a random sample of at most this many rows.
_MAX_POINTS = 1000
# Points are spread by their density, which is counted in this number of intervals.
_N_INTERVALS = 60


class FeatureImportanceDisplay:
    """Which columns contribute most to the predictions of many rows, by organization.

    The importance of a column is the mean absolute value of its contributions to the raw
    predictions. Each organization has a band with a line for each of its columns. The first
    line is about the sums of the organization's contributions in each row. It can be
    smaller than the sum of its lines, because contributions of a row can cancel out.

    There are two kinds of plots. Bars show the importance. With points, there is one point
    for each row: its position is the contribution, and its color is the value of the
    column.

    Where contributions are estimated from random orders of the columns, the bar of a column
    has a whisker of one standard error to each side, which is the mean of the standard
    errors of its contributions. Points, and lines of several columns, have none.

    For two classes and for losses with a log link, ticks and labels are factors. For two
    classes, a contribution multiplies the odds, which are the probability divided by that
    of the other class. With a log link, it multiplies the prediction. A mean is then a
    geometric mean.

    It is recommended to use
    :func:`~sklearn_gal.inspection.FeatureImportanceDisplay.from_estimator` or
    :func:`~sklearn_gal.inspection.FeatureImportanceDisplay.from_contributions` to create a
    display. All parameters are stored as attributes.

    Parameters
    ----------
    contributions : ndarray of shape (n_samples, n_entries)
        Contributions to raw predictions. An entry is a column of an organization, or the
        sum of several columns that it does not reveal. With `link="logit"`, these are
        contributions to the log odds.
    feature_names : list of str
        Name of each entry.
    organization_names : list of str
        Name of the organization of each entry.
    feature_values : list of array-like of shape (n_samples,), default=None
        Values of each entry, None if they are unknown. With None, no values are shown.
    is_sum : array-like of bool of shape (n_entries,), default=None
        Whether an entry is the sum of columns that an organization does not reveal. With
        None, no entry is.
    link : {"identity", "log", "logit", "softmax"}, default="identity"
        How raw predictions become predictions: not at all, by the exponential function, as
        log odds of a probability, or as scores of more than two classes.
    prediction_name : str, default="prediction"
        Words for what is predicted, for the title and the axis.
    errors : array-like of shape (n_samples, n_entries), default=None
        Standard errors of the contributions, 0 where they are exact. With None, all are.

    Attributes
    ----------
    importances : ndarray of shape (n_entries,)
        Mean absolute contribution of each entry.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the plot.

    See Also
    --------
    FeatureContributionDisplay : What each column contributes to one prediction.
    ContributionDisplay : What each organization contributes to the predictions.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import FeatureImportanceDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = GALRegressor(
    ...     [
    ...         ("practice", None, ["age", "sex", "bmi", "bp"]),
    ...         ("laboratory", None, ["s1", "s2", "s3", "s4", "s5", "s6"]),
    ...     ],
    ...     max_iter=10,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> display = FeatureImportanceDisplay.from_estimator(model, X)  # doctest: +SKIP
    >>> display.plot(kind="points")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        contributions,
        feature_names,
        organization_names,
        feature_values=None,
        is_sum=None,
        link="identity",
        prediction_name="prediction",
        errors=None,
    ):
        self.contributions = contributions
        self.feature_names = feature_names
        self.organization_names = organization_names
        self.feature_values = feature_values
        self.is_sum = is_sum
        self.link = link
        self.prediction_name = prediction_name
        self.errors = errors

    @property
    def importances(self) -> np.ndarray:
        """Mean absolute contribution of each entry."""
        return np.abs(self.contributions).mean(axis=0)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        target=None,
        kind="bars",
        prediction_name=None,
        max_features=20,
        ax=None,
    ) -> Self:
        """Create the display of a fitted model for the rows of X and plot it.

        Parameters
        ----------
        estimator : GALRegressor or GALClassifier
            Fitted model.
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows whose predictions are explained.
        target : object, default=None
            For a classifier, the class whose prediction is explained. With two classes,
            None means the second class. For a regressor with several outputs, the position
            of an output.
        kind : {"bars", "points"}, default="bars"
            Whether to plot importances or all contributions. See :meth:`plot`.
        prediction_name : str, default=None
            Words for what is predicted, such as "risk of a default" or "rent in euros".
            With None, they are for example "probability of class 1" or "prediction".
        max_features : int, default=20
            Number of columns with a separate line. See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : FeatureImportanceDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not an estimator of this package.
        ValueError
            If `target` is unknown or is required but None, if `kind` is unknown, or if
            `max_features` is not a positive integer.
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        """
        check_displayable(cls, estimator)
        output = find_explained_output(estimator, target, prediction_name)
        display = cls(**entries_of(estimator.feature_contributions(X), output))
        return display.plot(ax=ax, kind=kind, max_features=max_features)

    @classmethod
    def from_contributions(
        cls,
        contributions,
        *,
        output=0,
        kind="bars",
        link="identity",
        prediction_name="prediction",
        max_features=20,
        ax=None,
    ) -> Self:
        """Create the display of contributions that are computed already and plot it.

        Parameters
        ----------
        contributions : Bunch
            What `feature_contributions` of a model returns.
        output : int, default=0
            Position of the output.
        kind : {"bars", "points"}, default="bars"
            Whether to plot importances or all contributions. See :meth:`plot`.
        link : {"identity", "log", "logit", "softmax"}, default="identity"
            How raw predictions become predictions. See the parameter of the class.
        prediction_name : str, default="prediction"
            Words for what is predicted, for the title and the axis.
        max_features : int, default=20
            Number of columns with a separate line. See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : FeatureImportanceDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If there is no output at this position.
        ValueError
            If `link` or `kind` is unknown or `max_features` is not a positive integer.
        """
        check_position("output", output, contributions["values"].shape[2], "outputs")
        chosen = ExplainedOutput(output, 1.0, link, prediction_name)
        display = cls(**entries_of(contributions, chosen))
        return display.plot(ax=ax, kind=kind, max_features=max_features)

    def plot(self, ax=None, *, kind="bars", max_features=20) -> Self:
        """Plot the importances, or the contributions of all rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.
        kind : {"bars", "points"}, default="bars"
            With "bars", a bar shows the mean absolute contribution. With "points", each row
            has a point, whose color is the value of the column among those of all rows.
            Gray points belong to columns without numbers, to missing and unknown values,
            and to sums. A random sample of 1,000 rows is drawn if there are more.
        max_features : int, default=20
            Number of columns with a separate line, those with the largest importances. The
            other columns of each organization share a line.

        Returns
        -------
        display : FeatureImportanceDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `link` or `kind` is unknown or `max_features` is not a positive integer.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        link = get_link(self.link)
        if kind not in ("bars", "points"):
            raise ValueError(f"kind must be 'bars' or 'points', got {kind!r}.")
        lines = group_entries(
            self.contributions,
            list(map(entry_label, self.feature_names)),
            self.organization_names,
            self.is_sum,
            max_features,
        )
        if ax is None:
            _, ax = plt.subplots(figsize=figure_size(lines), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        label_lines(ax, lines)
        name = self.prediction_name
        changed = "odds" if link.multiplies == "odds" else name
        if kind == "bars":
            ax.set_title(f"Which columns change the {name} most", loc="left")
            typical = "typical factor" if link.multiplies else "mean change"
            ax.set_xlabel(f"{typical} of the {changed}, up or down")
            self._plot_bars(ax, lines, link)
        else:
            self._plot_points(ax, lines)
            ax.set_title(f"How the columns change the {name}", loc="left")
            change = "factor" if link.multiplies else "change"
            ax.set_xlabel(f"{change} of the {changed}")
        set_change_ticks(ax.xaxis, link)
        return self

    def _plot_bars(self, ax, lines, link):
        sizes = [np.abs(self._sums(line)).mean() for line in lines]
        decimals = decimals_for(sizes)
        # the sampled orders are the same in all rows, so that errors may not cancel out
        errors = None if self.errors is None else np.mean(self.errors, axis=0)
        _, ends = plot_whiskers(ax, lines, sizes, errors)
        for position, (line, size) in enumerate(zip(lines, sizes, strict=True)):
            alpha = 0.35 if line.is_subtotal else 1.0
            ax.barh(position, size, color="C0", alpha=alpha, height=0.6)
            text = link.change_text(size, decimals).removeprefix("+")
            weight = "bold" if line.is_heading else "normal"
            annotate(ax, text, ends[position], position, offset=4, weight=weight)
        ax.set_xlim(0, 1.15 * (max(ends) or 1.0))

    def _plot_points(self, ax, lines):
        rng = np.random.default_rng(0)
        rows = np.arange(len(self.contributions))
        if len(rows) > _MAX_POINTS:
            rows = rng.choice(rows, _MAX_POINTS, replace=False)
        style = {"cmap": "viridis", "vmin": 0, "vmax": 1, "s": 9, "linewidth": 0}
        points = None
        for position, line in enumerate(lines):
            changes = self._sums(line)[rows]
            heights = position + _spread(changes, rng)
            values = self._values(line)
            colors = np.full(len(rows), np.nan) if values is None else _ranks(values)[rows]
            gray = np.isnan(colors)
            ax.scatter(changes[gray], heights[gray], color="0.5", s=9, linewidth=0)
            if not gray.all():
                points = ax.scatter(
                    changes[~gray], heights[~gray], c=colors[~gray], **style
                )
        ax.axvline(0, color="0.5", linewidth=0.8, zorder=0)
        if points is None:
            return
        bar = ax.figure.colorbar(points, ax=ax, ticks=[0, 1], aspect=40, pad=0.02)
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the column", labelpad=-15)

    def _sums(self, line):
        """Return the contributions of a line to all rows."""
        return np.asarray(self.contributions)[:, line.entries].sum(axis=1)

    def _values(self, line):
        """Return the values of the column that a line is about, or None."""
        if self.feature_values is None or len(line.entries) != 1:
            return None
        return self.feature_values[line.entries[0]]


def _spread(changes, rng):
    """Return random offsets of points, which are larger where there are more points."""
    counts, edges = np.histogram(changes, bins=_N_INTERVALS)
    interval = np.clip(
        np.searchsorted(edges, changes, side="right") - 1, 0, len(counts) - 1
    )
    return 0.35 * rng.uniform(-1, 1, len(changes)) * counts[interval] / counts.max()


def _ranks(values):
    """Return the ranks of numbers, between 0 and 1, and NaN for what is not a number."""
    numbers = np.array(
        [v if isinstance(v, Real | np.bool_) else np.nan for v in values], dtype=float
    )
    is_number = ~np.isnan(numbers)
    unique, ranks = np.unique(numbers[is_number], return_inverse=True)
    numbers[is_number] = ranks / (len(unique) - 1) if len(unique) > 1 else 0.5
    return numbers
