"""Display of the organizations' contributions to raw predictions."""

from typing import Self

import numpy as np

from ._common import (
    annotate,
    check_displayable,
    find_output,
    import_pyplot,
    mark_label_holder,
)

# The points of a strip are a random sample of at most this many rows.
_MAX_POINTS = 1000


class ContributionDisplay:
    """Contributions of the organizations to the raw predictions.

    For many rows, the display shows a strip of points and a box for each organization,
    with its share in the variation. For a single row, it shows the steps from the baseline
    to the prediction. It is recommended to use
    :func:`~sklearn_gal.inspection.ContributionDisplay.from_estimator` to create a display.
    All parameters are stored as attributes.

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
        Name of the class or output that is predicted. It is part of the axis label.

    Attributes
    ----------
    shares : ndarray of shape (n_organizations,)
        Mean absolute deviation of each organization's contributions from their mean,
        divided by the sum over organizations.
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure with the plot.

    See Also
    --------
    AssistanceDisplay : Weights, learning rates and losses over the rounds.
    FeatureContributionDisplay : What each column contributes to one prediction.
    InteractionDisplay : What organizations and pairs of organizations explain.
    assistance_report : How much each organization improves the score on new rows.

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
            Rows whose predictions are explained.
        row : int, default=None
            Position of a single row to plot. See :meth:`plot`.
        target : object, default=None
            For a classifier, the class whose raw prediction is explained. With two
            classes, None means the second class. For a regressor with several outputs,
            the position of an output.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : ContributionDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not an estimator of this package.
        ValueError
            If `target` is unknown, or is required but None.
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        """
        check_displayable(cls, estimator)
        output, sign, output_name = find_output(estimator, target)
        display = cls(
            contributions=sign * estimator.contributions(X)[:, :, output],
            baseline=sign * float(estimator.baseline_prediction_[output]),
            organization_names=list(estimator.organization_names_),
            label_holder=estimator.label_holder_,
            output_name=output_name,
        )
        return display.plot(ax=ax, row=row)

    def plot(self, ax=None, *, row=None) -> Self:
        """Plot the contributions to the predictions of all rows, or of a single row.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.
        row : int, default=None
            Position of a single row. With None, all rows are plotted.

        Returns
        -------
        display : ContributionDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If X has no row at this position.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
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
        names = mark_label_holder(self.organization_names, self.label_holder)
        rng = np.random.default_rng(0)
        rows = np.arange(len(self.contributions))
        if len(rows) > _MAX_POINTS:
            rows = rng.choice(rows, _MAX_POINTS, replace=False)
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
        ax.set_xlabel(f"contribution to the {self._output_label()}")
        ax.set_title("Share of each organization", loc="left")

    def _plot_row(self, ax, row):
        steps = self.contributions[row]
        order = np.argsort(-np.abs(steps), kind="stable")
        names = mark_label_holder(self.organization_names, self.label_holder)
        # These are the raw predictions before the first step and after each step.
        levels = np.append(self.baseline, self.baseline + np.cumsum(steps[order]))
        for position, (m, start) in enumerate(zip(order, levels[:-1], strict=True), 1):
            color = "C0" if steps[m] >= 0 else "C1"
            ax.barh(position, steps[m], left=start, color=color, height=0.6)
            right_end = max(start, start + steps[m])
            annotate(ax, f"{steps[m]:+.3g}", right_end, position, offset=4)
        for position, level in enumerate(levels):
            ax.plot([level, level], [position, position + 1], color="0.5", linewidth=0.8)
        for position, level in ((0, levels[0]), (len(order) + 1, levels[-1])):
            ax.plot(level, position, "D", color="0.2")
            annotate(ax, f"{level:.3g}", level, position, offset=7)
        labels = ["baseline", *(names[m] for m in order), "raw prediction"]
        ax.set_yticks(range(len(labels)), labels)
        ax.invert_yaxis()
        ax.use_sticky_edges = False
        ax.margins(x=0.15)
        ax.set_xlabel(self._output_label())
        ax.set_title(f"From the baseline to the prediction for row {row}", loc="left")

    def _output_label(self):
        return (
            f"raw prediction of {self.output_name}"
            if self.output_name
            else "raw prediction"
        )
