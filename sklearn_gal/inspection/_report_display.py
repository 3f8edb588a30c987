"""Display of a report: the scores with and without assistance, and what each one adds."""

from typing import Self

import numpy as np

from ._common import import_pyplot, mark_label_holder
from ._statistics import iterate_lines


class AssistanceReportDisplay:
    """What assistance adds, and what is lost if one organization leaves.

    The left panel has the score of the label holder alone, of the assisted model, and of a
    model that has all columns in one place. The right panel has one bar for each
    organization: the score that the assisted model loses if this organization leaves after
    the fit, or in a new fit without its columns where the label says so. The lines are 95 %
    intervals over the splits. It is recommended to use
    :func:`~sklearn_gal.inspection.AssistanceReportDisplay.from_report` to create a display.
    All parameters are stored as attributes.

    Parameters
    ----------
    models : list of str
        Labels of the models, from top to bottom.
    scores : ndarray of shape (n_models, 3)
        Mean score of each model, and the ends of its interval. NaN ends draw none.
    names : list of str
        Names of the organizations.
    lost : ndarray of shape (n_organizations, 3)
        Mean score that is lost if an organization leaves, and the ends of its interval.
    label_holder : str
        Name of the organization that holds y.
    scoring : str
        Name of the score. It is part of the axis labels.
    refitted : collection of str, default=()
        Names of the organizations without whose columns a new model was fitted.

    Attributes
    ----------
    axes_ : ndarray of shape (2,)
        Axes of the scores, and of what is lost.
    figure_ : matplotlib Figure
        Figure with the panels.

    See Also
    --------
    assistance_report : Computes the report.
    OrganizationValuesDisplay : Shapley values, which divide the whole gain.
    AssistanceDisplay : Weights, learning rates and losses over the rounds.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import AssistanceReportDisplay, assistance_report
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GALRegressor(
    ...     [("practice", Ridge(), slice(0, 4)), ("laboratory", Ridge(), slice(4, 10))],
    ...     max_iter=10,
    ...     random_state=0,
    ... )
    >>> report = assistance_report(model, X, y, cv=3)
    >>> display = AssistanceReportDisplay.from_report(report)  # doctest: +SKIP
    >>> display.figure_.savefig("assistance.png")  # doctest: +SKIP
    """

    def __init__(self, *, models, scores, names, lost, label_holder, scoring, refitted=()):
        self.models = models
        self.scores = scores
        self.names = names
        self.lost = lost
        self.label_holder = label_holder
        self.scoring = scoring
        self.refitted = refitted

    @classmethod
    def from_report(cls, report, *, ax=None) -> Self:
        """Create the display of a report and plot it.

        The left panel shows the better model of the label holder's columns and the better
        model of all columns: those that the report compares with in `gain` and
        `gain_over_joint`. Brackets name the strong learner if it is the better one.

        Parameters
        ----------
        report : AssistanceReport
            What :func:`~sklearn_gal.inspection.assistance_report` returns.
        ax : array-like of two matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : AssistanceReportDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        lines = {line[0]: tuple(line)[1:] for line in iterate_lines(report.table)}
        shown = [report.gain.model, "Assisted"]
        if report.gain_over_joint is not None:
            shown.append(report.gain_over_joint.model)
        alone, strong = f"{report.label_holder} alone", report.reference
        labels = {
            "Alone": alone,
            f"{strong} alone": f"{alone}\n({strong})",
            "Assisted": "assisted",
            "Joint": "all columns in one\nplace",
            f"{strong} joint": f"all columns in one\nplace ({strong})",
        }
        display = cls(
            models=[labels[model] for model in shown],
            scores=np.array([lines[model][:3] for model in shown]),
            names=report.names,
            lost=np.array([lines[f"without {name}"][3:] for name in report.names]),
            label_holder=report.label_holder,
            scoring=report.scoring,
            refitted=report.refitted,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Plot the two panels.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, default=None
            Axes of the scores, and of what is lost. With None, a new figure is created.

        Returns
        -------
        display : AssistanceReportDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is not two Axes.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            height = 1.6 + 0.45 * max(len(self.models), len(self.names))
            _, ax = plt.subplots(1, 2, figsize=(9.5, height), layout="constrained")
        axes = np.asarray(ax, dtype=object).ravel()
        if len(axes) != 2:
            raise ValueError(
                f"ax must be two Axes, for example of plt.subplots(1, 2), got {len(axes)}."
            )
        self.axes_, self.figure_ = axes, axes[0].figure
        self._plot_scores(axes[0])
        self._plot_lost(axes[1])
        return self

    def _plot_scores(self, ax):
        for position, (label, line) in enumerate(
            zip(self.models, self.scores, strict=True)
        ):
            color = "C0" if label == "assisted" else "0.45"
            _plot_interval(ax, position, line, color)
            ax.plot(line[0], position, "o", markersize=9, color=color)
            ax.annotate(
                f"{line[0]:.3g}",
                (line[0], position),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                color=color,
                weight="bold",
            )
        _set_labels(ax, self.models)
        ax.margins(x=0.12)  # the numbers are wider than the points
        ax.set_xlabel(f"{self.scoring} on test rows{_about_lines(self.scores)}")
        ax.set_title("How good is the model?", loc="left")

    def _plot_lost(self, ax):
        order = np.argsort(-self.lost[:, 0], kind="stable")
        names = mark_label_holder(self.names, self.label_holder)
        for m, name in enumerate(self.names):
            names[m] += "\nin a new fit" if name in self.refitted else ""
        for position, line in enumerate(self.lost[order]):
            ax.barh(position, line[0], 0.55, color="C1", alpha=0.7)
            _plot_interval(ax, position, line, "0.2")
        ax.axvline(0, color="0.6", linewidth=0.8)
        _set_labels(ax, [names[m] for m in order])
        ax.set_xlabel(f"{self.scoring} lost{_about_lines(self.lost)}")
        ax.set_title("What is lost if one leaves after the fit?", loc="left")


def _about_lines(values):
    """What the lines are; a single split has no intervals."""
    return "" if np.isnan(values[:, 1:]).all() else "\n(lines: 95 % intervals)"


def _plot_interval(ax, position, line, color):
    _, low, high = line
    ax.plot([low, high], [position, position], color=color, linewidth=2)


def _set_labels(ax, labels):
    """Label the positions, the first one at the top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.locator_params(axis="x", nbins=6)
    ax.spines[["top", "right"]].set_visible(False)
