"""What the owner of an organization decides about fits: approval and retention."""

from dataclasses import dataclass

from ._refusals import NotPermitted

# What label holders can be permitted, and what each call needs. All may have rows and
# models of their fits deleted.
CALLS = ("fit", "predict")
_NEEDED = {"prepare": "fit", "fit_round": "fit"}
_NEEDED |= dict.fromkeys(("predict", "expect", "explain"), "predict")


@dataclass(frozen=True)
class Rules:
    """What the owner of an organization decides about fits.

    Parameters
    ----------
    calls : sequence of {"fit", "predict"}, default=("fit", "predict")
        What label holders may do; the right to predict includes explanations. With either
        of them, they may ask which rows the table has.
    approve : {"always", "ask"}, default="always"
        Whether a fit waits until ``sklearn-gal approve`` approves it.
    approve_label_holders : sequence of str, default=()
        Label holders whose fits need no approval. If empty, `approve_rows` alone decides.
    approve_rows : int or None, default=None
        Fits of at most this number of rows need no approval. If None, only
        `approve_label_holders` decides. If both are given, a fit must meet both.
    retention_days : int or None, default=None
        Fits that have not been used for as many days are forgotten. None: never.
    retention_bytes : int or None, default=None
        When the models of all fits have more bytes, the fits that have not been used for
        the longest time are forgotten. None: never.

    Raises
    ------
    ValueError
        If a value is invalid.
    """

    calls: tuple[str, ...] = CALLS
    approve: str = "always"
    approve_label_holders: tuple[str, ...] = ()
    approve_rows: int | None = None
    retention_days: int | None = None
    retention_bytes: int | None = None

    def __post_init__(self):
        if isinstance(self.calls, str) or not set(self.calls) <= set(CALLS):
            raise ValueError(
                f"calls must be a list of some of {CALLS}, got {self.calls!r}."
            )
        if self.approve not in ("always", "ask"):
            raise ValueError(f"approve must be 'always' or 'ask', got {self.approve!r}.")
        names = self.approve_label_holders
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"approve_label_holders must be a list of names, got {names!r}."
            )
        for name in ("approve_rows", "retention_days", "retention_bytes"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name} must be a positive integer, got {value!r}.")

    def approves(self, label_holder, n_rows):
        """Whether a fit of a number of rows needs no approval by the owner."""
        conditions = []
        if self.approve_label_holders:
            conditions.append(label_holder in self.approve_label_holders)
        if self.approve_rows is not None:
            conditions.append(n_rows <= self.approve_rows)
        return self.approve == "always" or (bool(conditions) and all(conditions))

    def check_call(self, call, n_models):
        """Refuse a call that the label holder may not make.

        Parameters
        ----------
        call : str
            Name of the call.
        n_models : int
            By how many models it asks to predict; 0 if it asks which rows there are.
        """
        needed = _NEEDED.get(call)
        if needed is None or needed in self.calls:
            return
        if call != "predict" or n_models or not self.calls:
            raise NotPermitted(needed, f"it may make the calls {list(self.calls)}")
