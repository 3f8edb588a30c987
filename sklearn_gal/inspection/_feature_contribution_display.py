"""Display of what each column contributes to one prediction."""

from typing import Self

import numpy as np
from sklearn.utils import _safe_indexing

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
    set_prediction_ticks,
)


class FeatureContributionDisplay:
    """What each column contributes to one prediction, by organization.

    The display shows the steps from a starting point, the base value, to the prediction of
    a row. Each organization has a band, with the sum of its steps in the first line and a
    line for each of its columns. The largest contributions are first. The columns with
    small contributions share a line.

    The length of a bar is a contribution to the raw prediction, because these contributions
    add up. The ticks and labels are in units for people:

    - For two classes, the axis shows probabilities. The label of a bar is the factor by
      which the contribution multiplies the odds, which are the probability divided by that
      of the other class.
    - For more than two classes, the axis shows the raw score of one class. The class with
      the highest score is predicted.
    - With a log link, as for counts, the axis shows the prediction in the unit of y. The
      label of a bar is the factor by which the contribution multiplies the prediction.
    - Otherwise, the axis and the labels have the unit of y.

    Where contributions are estimated from random orders of the columns, a whisker has the
    length of one standard error to each side. Lines of several columns have none, because
    errors cancel out in part.

    The texts are exact for the given contributions, except for rounding. They describe the
    model: a contribution is not an effect that a change of the column would have in the
    world.

    It is recommended to use
    :func:`~sklearn_gal.inspection.FeatureContributionDisplay.from_estimator` or
    :func:`~sklearn_gal.inspection.FeatureContributionDisplay.from_contributions` to create
    a display. All parameters are stored as attributes.

    Parameters
    ----------
    contributions : ndarray of shape (n_entries,)
        Contributions to one raw prediction. An entry is a column of an organization, or the
        sum of several columns that it does not reveal. With `link="logit"`, these are
        contributions to the log odds.
    base_value : float
        Raw prediction without the contributions.
    feature_names : list of str
        Name of each entry.
    organization_names : list of str
        Name of the organization of each entry.
    feature_values : list of object, default=None
        Value of each entry, None if it is unknown. With None, no values are shown.
    is_sum : array-like of bool of shape (n_entries,), default=None
        Whether an entry is the sum of columns that an organization does not reveal. With
        None, no entry is.
    link : {"identity", "log", "logit", "softmax"}, default="identity"
        How raw predictions become predictions: not at all, by the exponential function, as
        log odds of a probability, or as scores of more than two classes.
    prediction_name : str, default="prediction"
        Words for what is predicted, for the title and the axis.
    errors : array-like of shape (n_entries,), default=None
        Standard errors of the contributions, 0 where they are exact. With None, all are.

    Attributes
    ----------
    prediction : float
        The prediction that is shown.
    subtotals : dict of str to float
        Sum of the contributions of each organization.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the plot.

    See Also
    --------
    FeatureImportanceDisplay : Which columns contribute most to many predictions.
    ContributionDisplay : What each organization contributes to the predictions.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import FeatureContributionDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = GALRegressor(
    ...     [
    ...         ("practice", None, ["age", "sex", "bmi", "bp"]),
    ...         ("laboratory", None, ["s1", "s2", "s3", "s4", "s5", "s6"]),
    ...     ],
    ...     max_iter=10,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> display = FeatureContributionDisplay.from_estimator(
    ...     model, X.iloc[[0]], prediction_name="progression of the disease"
    ... )  # doctest: +SKIP
    >>> display.figure_.savefig("why.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        contributions,
        base_value,
        feature_names,
        organization_names,
        feature_values=None,
        is_sum=None,
        link="identity",
        prediction_name="prediction",
        errors=None,
    ):
        self.contributions = contributions
        self.base_value = base_value
        self.feature_names = feature_names
        self.organization_names = organization_names
        self.feature_values = feature_values
        self.is_sum = is_sum
        self.link = link
        self.prediction_name = prediction_name
        self.errors = errors

    @property
    def prediction(self) -> float:
        """The prediction that is shown, e.g. a probability."""
        return float(get_link(self.link).inverse(self._raw_prediction))

    @property
    def subtotals(self) -> dict[str, float]:
        """Sum of the contributions of each organization."""
        totals = dict.fromkeys(self.organization_names, 0.0)
        for name, change in zip(self.organization_names, self.contributions, strict=True):
            totals[name] += float(change)
        return totals

    @property
    def _raw_prediction(self):
        return self.base_value + np.sum(self.contributions)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        row=None,
        target=None,
        prediction_name=None,
        max_features=10,
        ax=None,
    ) -> Self:
        """Create the display of a fitted model for one row of X and plot it.

        Parameters
        ----------
        estimator : GALRegressor or GALClassifier
            Fitted model.
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Table with the row whose prediction is explained.
        row : int, default=None
            Position of this row. With None, X must have a single row.
        target : object, default=None
            For a classifier, the class whose prediction is explained. With two classes,
            None means the second class. For a regressor with several outputs, the position
            of an output.
        prediction_name : str, default=None
            Words for what is predicted, such as "risk of a default" or "rent in euros".
            With None, they are for example "probability of class 1" or "prediction".
        max_features : int, default=10
            Number of columns with a separate line. See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : FeatureContributionDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If X has no row at this position.
        TypeError
            If `estimator` is not an estimator of this package.
        ValueError
            If X has several rows and `row` is None, if `target` is unknown or is required
            but None, or if `max_features` is not a positive integer.
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        """
        check_displayable(cls, estimator)
        output = find_explained_output(estimator, target, prediction_name)
        contributions = estimator.feature_contributions(_single_row(X, row))
        display = cls._from_output(contributions, 0, output)
        return display.plot(ax=ax, max_features=max_features)

    @classmethod
    def from_contributions(
        cls,
        contributions,
        *,
        row=0,
        output=0,
        link="identity",
        prediction_name="prediction",
        max_features=10,
        ax=None,
    ) -> Self:
        """Create the display of contributions that are computed already and plot it.

        Parameters
        ----------
        contributions : Bunch
            What `feature_contributions` of a model returns.
        row : int, default=0
            Position of the row whose prediction is explained.
        output : int, default=0
            Position of the output.
        link : {"identity", "log", "logit", "softmax"}, default="identity"
            How raw predictions become predictions. See the parameter of the class.
        prediction_name : str, default="prediction"
            Words for what is predicted, for the title and the axis.
        max_features : int, default=10
            Number of columns with a separate line. See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : FeatureContributionDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If there is no row or no output at this position.
        ValueError
            If `link` is unknown or `max_features` is not a positive integer.
        """
        n_samples, _, n_outputs = contributions["values"].shape
        check_position("row", row, n_samples, "rows")
        check_position("output", output, n_outputs, "outputs")
        chosen = ExplainedOutput(output, 1.0, link, prediction_name)
        display = cls._from_output(contributions, row, chosen)
        return display.plot(ax=ax, max_features=max_features)

    @classmethod
    def _from_output(cls, contributions, row, output):
        entries = entries_of(contributions, output)
        columns = entries["feature_values"]
        entries["feature_values"] = [
            None if each is None else each[row] for each in columns
        ]
        entries["contributions"] = entries["contributions"][row]
        entries["errors"] = entries["errors"][row]
        base_value = output.scale * contributions["base_values"][row, output.position]
        return cls(base_value=float(base_value), **entries)

    def plot(self, ax=None, *, max_features=10) -> Self:
        """Plot the steps from the base value to the prediction.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.
        max_features : int, default=10
            Number of columns with a separate line, those with the largest absolute
            contributions. The other columns of each organization share a line.

        Returns
        -------
        display : FeatureContributionDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `link` is unknown or `max_features` is not a positive integer.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        link = get_link(self.link)
        lines = self._lines(max_features)
        if ax is None:
            _, ax = plt.subplots(figsize=figure_size(lines), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        label_lines(ax, lines, before=["starting point"], after=["prediction"])
        ax.set_xlabel("\n".join(filter(None, [self.prediction_name, link.note])))
        self._plot_bars(ax, lines, link)
        decimals = decimals_for(self.contributions)
        texts = []
        for position, raw in ((0, self.base_value), (len(lines) + 1, self._raw_prediction)):
            ax.plot(raw, position, "D", color=plt.rcParams["text.color"])
            texts.append(link.prediction_text(link.inverse(raw), decimals))
            annotate(ax, texts[-1], raw, position, offset=7)
        set_prediction_ticks(ax.xaxis, link)
        ax.set_title(f"Why the {self.prediction_name} is {texts[-1]}", loc="left")
        return self

    def _lines(self, max_features):
        values = self.feature_values or [None] * len(self.feature_names)
        return group_entries(
            np.reshape(self.contributions, (1, -1)),
            list(map(entry_label, self.feature_names, values)),
            self.organization_names,
            self.is_sum,
            max_features,
        )

    def _plot_bars(self, ax, lines, link):
        """Plot a bar for each line, from the raw prediction before it to that after it."""
        decimals = decimals_for(self.contributions)
        level, above = self.base_value, 0
        starts, changes = [], []
        for position, line in enumerate(lines, 1):
            change = np.sum(np.asarray(self.contributions)[line.entries])
            starts.append(level)
            changes.append(change)
            color = "C0" if change >= 0 else "C1"
            alpha = 0.35 if line.is_subtotal else 1.0
            ax.barh(position, change, left=level, color=color, alpha=alpha, height=0.6)
            if not line.is_subtotal:
                ax.plot([level, level], [above, position], color="0.5", linewidth=0.8)
                level, above = level + change, position
        ax.plot([level, level], [above, len(lines) + 1], color="0.5", linewidth=0.8)
        low, high = plot_whiskers(ax, lines, np.add(starts, changes), self.errors, first=1)
        low, high = np.minimum(low, starts), np.maximum(high, starts)
        for position, (line, change) in enumerate(zip(lines, changes, strict=True)):
            text = link.change_text(change, decimals)
            weight = "bold" if line.is_heading else "normal"
            annotate(ax, text, high[position], position + 1, 4, weight=weight)
        # The texts are to the right of the bars.
        low, high = min(low, default=level), max(high, default=level)
        width = high - low or 1.0
        ax.set_xlim(low - 0.05 * width, high + 0.17 * width)


def _single_row(X, row):
    """Return the table with one row that is explained."""
    shape = np.shape(X)
    if len(shape) != 2:
        raise ValueError(
            "X must be a table with the row to explain, such as X.iloc[[0]] of a dataframe "
            f"or X[:1] of an array, got an object of shape {shape}."
        )
    if row is None and shape[0] != 1:
        raise ValueError(
            f"X has {shape[0]} rows, but a single prediction is explained. Pass the "
            "position of its row as `row`."
        )
    row = 0 if row is None else row
    check_position("row", row, shape[0], "rows")
    return _safe_indexing(X, [row % shape[0]])
