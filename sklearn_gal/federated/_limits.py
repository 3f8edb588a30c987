"""What an organization answers at most: bounds of a request, of a fit and of a day."""

from dataclasses import dataclass, fields

from ._refusals import LimitExceeded


@dataclass(frozen=True)
class Limits:
    """What an organization answers at most.

    Parameters
    ----------
    max_rows : int, default=5_000_000
        Rows in a request.
    max_outputs : int, default=1000
        Values per row of a residual, which has values for every fold and output.
    max_bytes : int, default=2**30
        Bytes of a request that is read, and of a reply to `predict`.
    max_fits : int, default=4
        Fits whose training rows are in memory at the same time. Further fits wait until
        one of them has ended, or was not continued for 20 seconds.
    min_rows : int, default=10
        Rows that each model of the organization is fitted to, at least. Rows with unequal
        weights count as Kish's effective number, ``sum(w) ** 2 / sum(w ** 2)``.
    max_repeats : int, default=1
        How often a request may have the same row.
    max_folds : int, default=20
        Folds of a fit, which are as many models in a round.
    max_rounds : int, default=10_000
        Requests to fit a residual, in a fit.
    max_rounds_predicted : int, default=10_000
        Models by which a request asks for predictions. All must be different.
    max_seconds : int, default=600
        Seconds that a call may take. A longer call ends after the model that it is at.
    max_disk : int, default=2**35
        Bytes of all models on the disk.
    ids_per_day : int or None, default=None
        Row ids per label holder and day of which the label holder learns whether the table
        has them. Rows that it has already asked for on that day, and that the table has, do
        not count again. If None, ten times the rows of the table, and at least 100,000.
    fits_per_day, rounds_per_day, seconds_per_day : int or None, default=None
        New fits, fitted residuals and seconds of work per label holder and day (UTC). If
        None, there is no such limit.

    Raises
    ------
    ValueError
        If a limit is not a positive integer.
    """

    max_rows: int = 5_000_000
    max_outputs: int = 1000
    max_bytes: int = 2**30
    max_fits: int = 4
    min_rows: int = 10
    max_repeats: int = 1
    max_folds: int = 20
    max_rounds: int = 10_000
    max_rounds_predicted: int = 10_000
    max_seconds: int = 600
    max_disk: int = 2**35
    ids_per_day: int | None = None
    fits_per_day: int | None = None
    rounds_per_day: int | None = None
    seconds_per_day: int | None = None

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            optional = value is None and field.default is None
            if not optional and (type(value) is not int or value < 1):
                raise ValueError(
                    f"The limit {field.name} must be a positive integer, got {value!r}."
                )

    def check(self, name, value, what):
        """Refuse a request for more than a limit allows.

        Parameters
        ----------
        name : str
            Name of the limit; a limit that is None allows everything.
        value : int or float
            What is asked for.
        what : str
            What the value counts, for the log.
        """
        limit = getattr(self, name)
        if limit is not None and value > limit:
            raise LimitExceeded(name, f"{what}: {value}, but {name} is {limit}")
