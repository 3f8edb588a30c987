"""Display of what organizations and pairs of organizations have explained."""

from typing import Self

import numpy as np

from ._common import check_displayable, import_pyplot, mark_label_holder


class InteractionDisplay:
    """Share of each organization and each pair in the decrease of the training loss.

    The display is a heat map. A cell of the diagonal shows the share that an organization
    has alone, and a cell below the diagonal the share of the products of two organizations.
    The sum over all cells is 100 %. It is recommended to use
    :func:`~sklearn_gal.inspection.InteractionDisplay.from_estimator` to create a display.
    All parameters are stored as attributes.

    Parameters
    ----------
    strength : ndarray of shape (n_organizations, n_organizations)
        Decrease of the training loss by each organization (diagonal) and each pair, whose
        decrease is divided evenly between its two places, as `interaction_strength_`.
    names : list of str
        Labels of the organizations.

    Attributes
    ----------
    shares : ndarray of shape (n_organizations, n_organizations)
        Shares that are drawn: each organization's on the diagonal and each pair's below it.
        The entries above the diagonal are NaN.
    ax_ : matplotlib Axes
        Axes with the heat map.
    figure_ : matplotlib Figure
        Figure with the heat map.

    See Also
    --------
    AssistanceDisplay : Weights, learning rates and losses over the rounds.
    ContributionDisplay : What each organization contributes to the predictions.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import InteractionDisplay
    >>> X, y = make_friedman1(n_samples=200, random_state=0)
    >>> model = GALRegressor(
    ...     [("bank", None, slice(0, 1)), ("shop", None, slice(1, 10))],
    ...     max_iter=10,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> display = InteractionDisplay.from_estimator(model)  # doctest: +SKIP
    >>> display.figure_.savefig("interactions.png")  # doctest: +SKIP
    """

    def __init__(self, strength, names):
        self.strength = strength
        self.names = names

    @property
    def shares(self) -> np.ndarray:
        """Shares of organizations (diagonal) and of pairs (below the diagonal)."""
        strength = np.asarray(self.strength)
        whole = strength + strength.T
        np.fill_diagonal(whole, strength.diagonal())
        whole = whole / (strength.sum() or 1.0)
        whole[np.triu_indices(len(whole), k=1)] = np.nan
        return whole

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, cmap="Blues") -> Self:
        """Create the display of a fitted model and plot it.

        Parameters
        ----------
        estimator : GALRegressor or GALClassifier
            Fitted model.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.
        cmap : str or matplotlib Colormap, default="Blues"
            Colors of the shares.

        Returns
        -------
        display : InteractionDisplay
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
        names = mark_label_holder(estimator.organization_names_, estimator.label_holder_)
        display = cls(strength=estimator.interaction_strength_, names=names)
        return display.plot(ax=ax, cmap=cmap)

    def plot(self, ax=None, *, cmap="Blues") -> Self:
        """Plot the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.
        cmap : str or matplotlib Colormap, default="Blues"
            Colors of the shares.

        Returns
        -------
        display : InteractionDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            side = 3 + 0.6 * len(self.names)
            _, ax = plt.subplots(figsize=(side, side), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        shares = self.shares
        largest = np.nanmax(np.abs(shares), initial=0.0) or 1.0
        image = ax.imshow(shares, cmap=cmap, vmin=0, vmax=largest)
        light, dark = image.cmap(0.0), image.cmap(1.0)
        for row, column in zip(*np.tril_indices(len(shares)), strict=True):
            share = shares[row, column]
            color = light if share > largest / 2 else dark
            ax.text(column, row, f"{share:.1%}", ha="center", va="center", color=color)
        positions = range(len(self.names))
        ax.set_xticks(
            positions, self.names, rotation=45, ha="right", rotation_mode="anchor"
        )
        ax.set_yticks(positions, self.names)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_title("Share of the fall in loss\nby organization and pair")
        return self
