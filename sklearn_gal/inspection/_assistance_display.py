"""Display of the rounds of a fit: weights, learning rates and losses."""

from typing import Self

import numpy as np

from ._common import check_displayable, import_pyplot, mark_label_holder

# Above these numbers of organizations and rounds, weights are drawn as a heat map, because
# colors and bars can no longer be told apart.
_MAX_COLORS, _MAX_BARS = 10, 40


class AssistanceDisplay:
    """Assistance weights, learning rates and losses over the rounds of a fit.

    The display has three panels: the assistance weights, the assisted learning rates and
    the overarching loss. The weights are drawn as bars, or as a heat map if some of them
    are negative or if there are many rounds or organizations. It is recommended to use
    :func:`~sklearn_gal.inspection.AssistanceDisplay.from_estimator` to create a display.
    All parameters are stored as attributes.

    Parameters
    ----------
    weights : ndarray of shape (n_rounds, n_organizations)
        Assistance weights.
    learning_rates : ndarray of shape (n_rounds,)
        Assisted learning rates.
    train_loss : ndarray of shape (n_rounds + 1,)
        Overarching loss on the training rows, before the first round and after each round.
    validation_loss : ndarray of shape (n_rounds + 1,) or (0,)
        Overarching loss that early stopping monitors. Empty without early stopping.
    organization_names : list of str
        Names of the organizations.
    label_holder : str
        Name of the organization that holds y.

    Attributes
    ----------
    axes_ : ndarray of shape (3,)
        Axes of the weights, the learning rates and the losses.
    bounding_ax_ : matplotlib Axes or None
        Axes that contains the three panels. None if three Axes were given.
    figure_ : matplotlib Figure
        Figure with the panels.

    See Also
    --------
    ContributionDisplay : What each organization contributes to the predictions.
    InteractionDisplay : What organizations and pairs of organizations explain.
    assistance_report : How much each organization improves the score on new rows.

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
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : AssistanceDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not an estimator of this package.
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted.
        """
        check_displayable(cls, estimator)
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
            A single Axes is divided into the three panels. Of three Axes, each receives
            one panel. With None, a new figure is created.

        Returns
        -------
        display : AssistanceDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is neither a single Axes of a subplot grid nor three Axes.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            _, ax = plt.subplots(figsize=(7.5, 7.5), layout="constrained")
        self._set_axes(ax)
        weights_ax, rates_ax, loss_ax = self.axes_
        rounds = np.arange(1, len(self.learning_rates) + 1)
        self._plot_weights(weights_ax, rounds)
        self._plot_learning_rates(rates_ax, rounds)
        self._plot_losses(loss_ax)
        for panel in self.axes_:
            panel.set_xlim(-0.5, len(rounds) + 0.5)
            panel.xaxis.get_major_locator().set_params(integer=True)
        return self

    def _set_axes(self, ax):
        """Set the Axes of the panels, and divide `ax` if it is a single Axes."""
        if not hasattr(ax, "plot"):
            axes = np.asarray(ax, dtype=object).ravel()
            if len(axes) != 3:
                raise ValueError(f"ax must be one Axes or three, got {len(axes)}.")
            self.axes_, self.bounding_ax_, self.figure_ = axes, None, axes[0].figure
            return
        if ax.get_subplotspec() is None:
            raise ValueError(
                "ax cannot be divided into three panels because it is not part of a "
                "subplot grid. Create it with plt.subplots(), or pass three Axes instead."
            )
        ax.set_axis_off()
        grid = ax.get_subplotspec().subgridspec(3, 1, height_ratios=[3, 1.5, 2])
        self.axes_, self.bounding_ax_, self.figure_ = grid.subplots(), ax, ax.figure

    def _plot_weights(self, ax, rounds):
        names = mark_label_holder(self.organization_names, self.label_holder)
        too_many = len(names) > _MAX_COLORS or len(rounds) > _MAX_BARS
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
        # The entries are reversed because the bars are stacked from the bottom up.
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, reverse=True)

    def _plot_learning_rates(self, ax, rounds):
        ax.plot(rounds, self.learning_rates, marker=".", color="0.3")
        ax.set_ylabel("assisted\nlearning rate")
        ax.set_ylim(bottom=0)

    def _plot_losses(self, ax):
        train_loss, validation_loss = self.train_loss, self.validation_loss
        ax.plot(np.arange(len(train_loss)), train_loss, label="training")
        if len(validation_loss) > 0 and not np.array_equal(validation_loss, train_loss):
            ax.plot(
                np.arange(len(validation_loss)),
                validation_loss,
                linestyle="--",
                label="validation",
            )
        ax.legend(frameon=False)
        ax.set_ylabel("overarching loss")
        ax.set_xlabel("assistance round")
