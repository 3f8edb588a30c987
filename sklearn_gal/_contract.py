"""The contract between the rounds and an organization.

The rounds speak to an organization through six calls: `presence`, `prepare`, `fit_round`,
`predict`, `predict_each` and `release`. Explanations of predictions use two more, `expect`
and `explain`. The arguments are arrays of floats, row identifiers, request numbers, fold
numbers and seeds: no estimator, no column and no y.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

# Fold number of a row that every model of the round is fitted to.
NO_FOLD = -1


@dataclass(frozen=True)
class Folds:
    """How the training rows are divided into folds.

    With several folds, every row is in one of them, and the folds stay the same in all
    rounds. There is a chain for every fold, a descent of the rows outside the fold. With a
    single fold, the rows in it are held out, and the others have the number `NO_FOLD`.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,)
        Fold number of every row.
    """

    numbers: np.ndarray

    @cached_property
    def n_chains(self):
        """Number of chains, which is the number of folds."""
        return int(self.numbers.max()) + 1

    @property
    def stay(self):
        """Whether all rounds have these folds."""
        return self.n_chains > 1

    @cached_property
    def selection_rows(self):
        """Rows whose fitted values choose weights and rate: the held-out ones."""
        if self.stay:
            return slice(None)
        return np.flatnonzero(self.numbers != NO_FOLD)

    def pick(self, values):
        """Return the values of every row by the chain that has not seen the row.

        Parameters
        ----------
        values : ndarray of shape (..., n_chains, n_samples, n_outputs)
            Values by all chains.

        Returns
        -------
        values : ndarray of shape (..., n_samples, n_outputs)
            The values of the rows in a fold. A single chain gives those of all rows.
        """
        if self.n_chains == 1:
            return values[..., 0, :, :]
        return values[..., self.numbers, self._positions, :]

    @cached_property
    def _positions(self):
        return np.arange(len(self.numbers))


@dataclass(frozen=True)
class Request:
    """What a participant is asked to fit.

    Parameters
    ----------
    participant : int
        Position of the participant. Like the gate, the label holder keeps it to itself.
    number : int
        Which of the requests to the participant it is. Fitting the same number again
        replaces the model that was fitted before.
    seed : int
        Seed of everything random in the fit.
    folds : Folds or None
        There is one model per chain, fitted to the rows outside its fold. None: a single
        model, fitted to all rows.
    residual : ndarray of shape (n_chains, n_samples, n_outputs)
        What to fit; 0 in rows that a chain does not see.
    gate : callable, default=None
        Function of `RawPredictions` that has multiplied the residual and will multiply the
        fitted values.
    """

    participant: int
    number: int
    seed: int
    folds: Folds | None
    residual: np.ndarray
    gate: Callable | None = None


def mean_of_chains(values):
    """The mean over chains, the first axis, which are added in their order.

    So the last bits do not depend on the number of rows.
    """
    return sum(values) / len(values)


def stacked(arrays):
    """Arrays of one shape along a new first axis, faster than by `np.stack`."""
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)


@dataclass(frozen=True, eq=False)
class Bound:
    """Bounds the values of a function by -1 and 1, which makes it a gate.

    Parameters
    ----------
    threshold : ndarray of shape (n_chains, 1, n_outputs) or None
        The values are 1 above, and -1 elsewhere. None: the function is scaled and clipped.
    scale : ndarray of shape (n_chains, 1, n_outputs) or None
        Factor of a function that is clipped.
    """

    threshold: np.ndarray | None = None
    scale: np.ndarray | None = None

    def __call__(self, values):
        """Return the bounded values, (n_chains, n_samples, n_outputs)."""
        if self.threshold is None:
            return np.clip(values * self.scale, -1.0, 1.0)
        return np.where(values > self.threshold, 1.0, -1.0)

    @classmethod
    def stacked(cls, bounds):
        """Return a bound of stacked values, (n_bounds, n_chains, n_samples, n_outputs).

        All bounds have a threshold, or all have a scale.
        """
        field = "scale" if bounds[0].threshold is None else "threshold"
        return cls(**{field: stacked([getattr(bound, field) for bound in bounds])})


@dataclass(frozen=True)
class Explained:
    """What the columns of an organization contribute to predictions.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns, n_outputs)
        SHAP values; 0 in rows that the organization does not have.
    base : ndarray of shape (n_samples, n_outputs)
        What is predicted without any column of the organization.
    errors : ndarray of shape (n_samples, n_columns, n_outputs)
        Standard errors of `values`, 0 where they are exact.
    entries : sequence of Entry or None, default=None
        What the values are of, in place of columns, if these are not columns of X.
    """

    values: np.ndarray
    base: np.ndarray
    errors: np.ndarray
    entries: Sequence | None = None


class Entry(NamedTuple):
    """A column of an organization on another host, or the sum over several of them.

    Parameters
    ----------
    name : str
        Its name, in the words of the organization.
    is_sum : bool
        Whether it is a sum over columns.
    """

    name: str
    is_sum: bool


@dataclass(frozen=True)
class Fitted:
    """What the participants have fitted to the requests of a round.

    Parameters
    ----------
    values : ndarray of shape (n_requests, n_chains, n_samples, n_outputs)
        Fitted values; 0 in rows that a participant does not have.
    took_part : ndarray of bool of shape (n_requests,)
        Whether there is a model for the request.
    """

    values: np.ndarray
    took_part: np.ndarray


@dataclass
class Query:
    """What a participant is asked for about rows to predict, in one answer.

    Parameters
    ----------
    participant : int
        Position of the participant.
    numbers : list of int
        Numbers of the requests to which it has fitted the functions of a weighted sum.
    coefficients : list of float or None
        What each function of the sum counts. None: they are wanted one by one, each as the
        mean over its chains.
    chains : list of int
        Numbers of the functions that are wanted by chain.
    means : list of int
        Numbers of the functions of which the mean over the chains is wanted.
    signs : dict of object to tuple of (int, ndarray of shape (n_chains, n_outputs))
        Functions of which it is wanted where they are above thresholds, and nothing else:
        number and thresholds, under keys of the caller's choice.
    """

    participant: int
    numbers: list = field(default_factory=list)
    coefficients: list | None = field(default_factory=list)
    chains: list = field(default_factory=list)
    means: list = field(default_factory=list)
    signs: dict = field(default_factory=dict)

    @property
    def functions(self):
        """Numbers of the functions outside the sum, each once, in ascending order."""
        signs = (number for number, _ in self.signs.values())
        return sorted({*self.chains, *self.means, *signs})


@dataclass
class Answer:
    """What a participant predicts.

    Parameters
    ----------
    total : ndarray of shape (n_samples, n_outputs) or float
        The weighted sum.
    functions : dict of int to ndarray of shape (n_chains, n_samples, n_outputs)
        Functions by number. The only chain is the mean if no more was wanted. There may be
        more functions than were wanted, and none if the participant has none of the rows.
    above : dict of object to ndarray of bool of shape (n_chains, n_samples, n_outputs)
        Where functions are above thresholds, for the keys of the query. A key may be
        missing if `functions` has its function.
    """

    total: Any
    functions: dict = field(default_factory=dict)
    above: dict = field(default_factory=dict)


class Organization(Protocol):
    """What the rounds need of an organization, in this process or on another host.

    Fitted values and predictions are NaN in rows that the organization does not have. An
    organization that does not take part in a round returns NaN for all rows.
    """

    name: str
    columns: np.ndarray
    models: Any  # fitted local models by request number, where they are in this process
    may_abstain: bool  # whether it may return NaN
    runs_in_processes: bool  # whether its fits may take place in another process
    revises: bool  # whether the models of earlier rounds have changed in later ones
    is_here: bool  # whether its columns are columns of X

    def presence(self, X) -> np.ndarray:
        """Return the mask of the rows of X that the organization has, (n_samples,)."""

    def prepare(self, X, fit_params, n_outputs) -> None:
        """Take the organization's columns of the training rows, before the first round."""

    def fit_round(self, request: Request) -> np.ndarray:
        """Fit the residual; return fitted values, (n_chains, n_samples, n_outputs)."""

    def predict(self, X, numbers, coefficients) -> Any:
        """Return the sum of `coefficients` times the predictions of models for X.

        A model that has chains predicts their mean.
        """

    def predict_each(self, X, numbers) -> dict[int, np.ndarray]:
        """Return the predictions of single models by number.

        The shape is (n_chains, n_samples, n_outputs). Numbers of which the organization has
        no model are left out; all are if it has none of the rows.
        """

    def expect(self, functions, background) -> np.ndarray:
        """Return what functions predict without any column known.

        Parameters
        ----------
        functions : list of tuple (int, Bound or None)
            Numbers of requests, and what bounds the functions that were fitted to them.
        background : tuple (table, bool)
            Rows that provide the columns that are not known, and whether to trees as well.

        Returns
        -------
        expected : ndarray of shape (n_functions, n_chains, n_outputs)
            NaN for a function without a model.
        """

    def explain(self, X, background, sums, functions, factors) -> Explained:
        """Return SHAP values of a sum of functions, and of functions times factors.

        Parameters
        ----------
        X : table
            Rows to explain.
        background, functions : see `expect`
        sums : tuple (sequence of int, sequence of float)
            Numbers of requests, and coefficients of the functions without a factor.
        factors : ndarray of shape (n_functions, n_chains, n_samples, n_outputs)
            What multiplies the functions in each row. The other organization's part of a
            product counts as known.
        """

    def release(self, n_requests) -> None:
        """Forget the training rows, and the models of numbers from `n_requests` on."""
