"""What passed between hosts, as a picture."""

import numpy as np
from sklearn.utils.validation import check_is_fitted


class CommunicationDisplay:
    """Bytes and seconds of every organization, round by round.

    It is recommended to use
    :func:`~sklearn_gal.federated.CommunicationDisplay.from_estimator` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    communication : dict of arrays
        As `communication_` of a federated estimator.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (2,)
        Axes with the bytes, and with the seconds.
    figure_ : matplotlib Figure
        Figure with the picture.

    See Also
    --------
    FederatedGALClassifier : Keeps the account.
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
            Where to plot; None is a new figure.

        Returns
        -------
        display : CommunicationDisplay
            The display, plotted.

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
        """Sum up a quantity per round and organization.

        Parameters
        ----------
        quantity : {"bytes_sent", "bytes_received", "seconds"}
            What to sum up.

        Returns
        -------
        totals : dict of str to ndarray of shape (n_rounds,)
            For every organization its total in each round; 0 where it was not asked.
        """
        account = self.communication
        rounds, names = account["round"], account["organization"]
        n_rounds = rounds.max(initial=-1) + 1
        totals = {}
        for name in dict.fromkeys(names.tolist()):
            chosen = (names == name) & (rounds >= 0)
            weights = account[quantity][chosen]
            totals[name] = np.bincount(rounds[chosen], weights, minlength=n_rounds)
        return totals

    def plot(self, axes=None):
        """Plot bytes and seconds over the rounds; a cross marks a call that failed.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, default=None
            Where to plot; None is a new figure.

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
        upper, lower = self.axes_ = np.asarray(axes)
        self.figure_ = upper.figure
        received, seconds = self.per_round("bytes_received"), self.per_round("seconds")
        sent = self.per_round("bytes_sent")
        account = self.communication
        for i, name in enumerate(seconds):
            rounds = np.arange(1, len(seconds[name]) + 1)
            colour = f"C{i}"
            upper.plot(rounds, sent[name] / 1e3, color=colour, label=f"to {name}")
            back = {"color": colour, "linestyle": "--"}
            upper.plot(rounds, received[name] / 1e3, label=f"from {name}", **back)
            lower.plot(rounds, seconds[name], color=colour, label=name)
            failed = (account["organization"] == name) & (account["error"] != "")
            failed = np.unique(account["round"][failed & (account["round"] >= 0)])
            lower.plot(failed + 1, seconds[name][failed], "x", color=colour)
        upper.set_ylabel("kilobytes")
        lower.set_ylabel("seconds")
        lower.set_xlabel("round")
        for ax in self.axes_:
            ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return self
