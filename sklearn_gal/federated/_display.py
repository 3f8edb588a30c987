"""Display of the communication between hosts."""

import numpy as np
from sklearn.utils.validation import check_is_fitted


class CommunicationDisplay:
    """Bytes and seconds per organization and request of a federated fit.

    In a round with interactions, an organization can get several requests, one after the
    other. Without interactions, it gets one request per round.

    It is recommended to use
    :func:`~sklearn_gal.federated.CommunicationDisplay.from_estimator` to create a display.
    All parameters are stored as attributes.

    Parameters
    ----------
    communication : dict of arrays
        One entry per call, as in `communication_` of a federated estimator.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (2,)
        Axes of the bytes and of the seconds.
    figure_ : matplotlib Figure
        Figure with the plots.

    See Also
    --------
    FederatedGALClassifier : Records the calls to the other organizations.
    """

    def __init__(self, *, communication):
        self.communication = communication

    @classmethod
    def from_estimator(cls, estimator, *, axes=None):
        """Create the display of a fitted model and plot it.

        Parameters
        ----------
        estimator : FederatedGALClassifier or FederatedGALRegressor
            Fitted model.
        axes : sequence of two matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.

        Returns
        -------
        display : CommunicationDisplay
            The display after plotting.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        """
        check_is_fitted(estimator)
        return cls(communication=estimator.communication_).plot(axes=axes)

    def per_round(self, quantity):
        """Sum a quantity over the calls of each request, for each organization.

        Parameters
        ----------
        quantity : {"bytes_sent", "bytes_received", "seconds"}
            Quantity to sum.

        Returns
        -------
        totals : dict of str to ndarray of shape (n_requests,)
            Totals of each organization by request number, the `round` of `communication`.
            The names are in alphabetical order.
            A total is 0 if the organization has not received that request.
        """
        calls = self.communication
        numbers, organizations = calls["round"], calls["organization"]
        n_requests = numbers.max(initial=-1) + 1
        totals = {}
        for name in sorted(set(organizations.tolist())):
            chosen = (organizations == name) & (numbers >= 0)
            amounts = calls[quantity][chosen]
            totals[name] = np.bincount(numbers[chosen], amounts, minlength=n_requests)
        return totals

    def plot(self, axes=None):
        """Plot bytes and seconds over the requests, with a cross for each failed call.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, default=None
            Axes to plot into. With None, a new figure is created.

        Returns
        -------
        display : CommunicationDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "CommunicationDisplay.plot requires matplotlib: pip install "
                "'sklearn_gal[plot]'."
            ) from error
        if axes is None:
            _, axes = plt.subplots(2, 1, sharex=True, layout="constrained")
        bytes_ax, seconds_ax = self.axes_ = np.asarray(axes)
        self.figure_ = bytes_ax.figure
        sent, received = self.per_round("bytes_sent"), self.per_round("bytes_received")
        seconds = self.per_round("seconds")
        for i, name in enumerate(seconds):
            numbers = np.arange(1, len(seconds[name]) + 1)
            style = {"color": f"C{i}"}
            bytes_ax.plot(numbers, sent[name] / 1e3, label=f"to {name}", **style)
            bytes_ax.plot(
                numbers, received[name] / 1e3, label=f"from {name}", linestyle="--", **style
            )
            seconds_ax.plot(numbers, seconds[name], label=name, **style)
            failed = self._failed_requests(name)
            seconds_ax.plot(failed + 1, seconds[name][failed], "x", **style)
        bytes_ax.set_ylabel("kilobytes")
        seconds_ax.set_ylabel("seconds")
        seconds_ax.set_xlabel("request")
        for ax in self.axes_:
            ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return self

    def _failed_requests(self, name):
        """Return the numbers of the requests for which a call to an organization failed."""
        calls = self.communication
        failed = (calls["organization"] == name) & (calls["error"] != "")
        return np.unique(calls["round"][failed & (calls["round"] >= 0)])
