"""Display of what each organization is worth."""

from typing import Self

import numpy as np

from ._common import check_model, import_pyplot, mark_label_holder


class OrganizationValuesDisplay:
    """What each organization adds to a score.

    The display has one bar for each organization, its Shapley value with its 95 % interval.
    A diamond shows the score that is lost if only this organization leaves. It is
    recommended to use
    :func:`~sklearn_gal.inspection.OrganizationValuesDisplay.from_estimator` or
    :func:`~sklearn_gal.inspection.OrganizationValuesDisplay.from_values` to create a
    display. All parameters are stored as attributes.

    Parameters
    ----------
    values : ndarray of shape (n_organizations,)
        Shapley value of each organization.
    intervals : ndarray of shape (n_organizations, 2)
        Their intervals. NaN draws none.
    leave_one_out : ndarray of shape (n_organizations,)
        Score that is lost if only this organization is absent.
    names : list of str
        Names of the organizations.
    label_holder : str or None
        Name of the organization that holds y.
    scoring : str
        Name of the score. It is part of the axis label.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the bars.
    figure_ : matplotlib Figure
        Figure with the bars.

    See Also
    --------
    sklearn_gal.GALRegressor.organization_values : Computes the values.
    ContributionDisplay : What each organization contributes to the predictions.
    assistance_report : What all organizations together add, and what each one is worth.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_gal import GALRegressor
    >>> from sklearn_gal.inspection import OrganizationValuesDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    >>> model = GALRegressor(
    ...     [("practice", None, slice(0, 4)), ("laboratory", None, slice(4, 10))],
    ...     missing_rows="abstain",
    ...     max_iter=10,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> values = model.organization_values(X_test, y_test, random_state=0)
    >>> display = OrganizationValuesDisplay.from_values(values)  # doctest: +SKIP
    >>> display.figure_.savefig("values.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        values,
        intervals,
        leave_one_out,
        names,
        label_holder,
        scoring,
    ):
        self.values = values
        self.intervals = intervals
        self.leave_one_out = leave_one_out
        self.names = names
        self.label_holder = label_holder
        self.scoring = scoring

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, **params) -> Self:
        """Compute the values of the organizations of a model and plot them.

        Parameters
        ----------
        estimator : GALRegressor or GALClassifier
            Model with ``missing_rows="abstain"``. It must be fitted, unless `cv` is among
            the parameters.
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to score, which the model was not fitted to. With `cv`, all rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their target.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.
        **params : dict
            Other parameters of `organization_values`, e.g. `scoring` and `cv`.

        Returns
        -------
        display : OrganizationValuesDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is not an estimator of this package.
        ValueError
            If the model does not have ``missing_rows="abstain"``, or if X, y or a parameter
            is unusable.
        sklearn.exceptions.NotFittedError
            If `estimator` is not fitted, and there is no `cv`.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        check_model(estimator)
        return cls.from_values(estimator.organization_values(X, y, **params), ax=ax)

    @classmethod
    def from_values(cls, values, *, ax=None) -> Self:
        """Create the display of values that are known and plot it.

        Parameters
        ----------
        values : Bunch
            What `organization_values` returns.
        ax : matplotlib Axes, default=None
            Where to plot. See :meth:`plot`.

        Returns
        -------
        display : OrganizationValuesDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        display = cls(
            values=values["values"],
            intervals=values["intervals"],
            leave_one_out=values["leave_one_out"],
            names=values["names"],
            label_holder=values["label_holder"],
            scoring=values["scoring"],
        )
        return display.plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Plot the values, the largest one at the top.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.

        Returns
        -------
        display : OrganizationValuesDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            height = 2.1 + 0.5 * len(self.names)
            _, ax = plt.subplots(figsize=(7.5, height), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        values = np.asarray(self.values)
        order = np.argsort(values, kind="stable")
        names = mark_label_holder(self.names, self.label_holder)
        positions, values = np.arange(len(order)), values[order]
        ends = np.abs(np.asarray(self.intervals)[order].T - values)
        label = "Shapley value, 95 % interval"
        ax.barh(positions, values, 0.6, color="C0", alpha=0.6, label=label)
        ax.errorbar(values, positions, xerr=ends, fmt="none", ecolor="0.2", capsize=4)
        lost = np.asarray(self.leave_one_out)[order]
        label = "lost if only this organization leaves"
        ax.plot(lost, positions, "D", color="C1", markeredgecolor="white", label=label)
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.set_yticks(positions, [names[m] for m in order])
        ax.set_xlabel(f"{self.scoring} that the organization adds")
        ax.set_ylim(-0.6, len(order) + 0.5)  # the legend is above the bars
        ax.legend(loc="best")
        ax.set_title("What each organization is worth", loc="left")
        return self
