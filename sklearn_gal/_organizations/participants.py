"""The organizations of a fit, together with the label holder's stand-in."""

from contextlib import contextmanager
from copy import copy
from itertools import zip_longest

import numpy as np
from sklearn.utils import _safe_indexing

from .._contract import Fitted
from .local import derived_seeds
from .parallel import LocalFits, Threads


class Participants:
    """The organizations of a fit.

    The label holder may take part twice: its stand-in is a copy that is fitted as if the
    label holder were alone, for rows that the others do not have.

    Parameters
    ----------
    organizations : list of Organization
        In the order of the user.
    holder : int or None
        Position of the label holder among them; None if it holds no columns.
    stand_in : Organization, default=None
        The stand-in; it becomes the first participant.

    Attributes
    ----------
    owner : ndarray of int of shape (n_participants,)
        Position of the organization that each participant belongs to.
    """

    def __init__(self, organizations, holder, stand_in=None):
        self.organizations = organizations
        self.holder = holder
        self.stand_in = stand_in
        own = [] if stand_in is None else [holder]
        self.owner = np.array([*own, *range(len(organizations))])

    @classmethod
    def of_fit(cls, organizations, holder, abstains, before=None):
        """Return the participants of a fit.

        Parameters
        ----------
        organizations : list of Organization
            In the order of the user.
        holder : int or None
            Position of the label holder.
        abstains : bool
            Whether organizations may abstain: the label holder then has a stand-in.
        before : Participants, default=None
            Those of the fit to continue. The models are theirs.
        """
        if before is not None:
            inherit_models(before.organizations, organizations)
        known = before and before.stand_in
        if holder is None or not (known or (abstains and len(organizations) > 1)):
            return cls(organizations, holder)
        stand_in = organizations[holder].stand_in()
        if known:
            stand_in.inherit(known)
        return cls(organizations, holder, stand_in)

    def __iter__(self):
        if self.stand_in is not None:
            yield self.stand_in
        yield from self.organizations

    def __len__(self):
        return len(self.owner)

    @property
    def participant_names(self):
        """Names of the participants, including the stand-in."""
        return [each.name for each in self]

    @property
    def names(self):
        """Names of the organizations."""
        return [each.name for each in self.organizations]

    @property
    def holder_name(self):
        """Name of the label holder; None if it holds no columns."""
        return None if self.holder is None else self.names[self.holder]

    @property
    def assists(self):
        """Which participants do not belong to the label holder, (n_participants,)."""
        return self.owner != (-1 if self.holder is None else self.holder)

    def seeds(self, *entropy):
        """Return the seeds of the participants; a stand-in has that of its organization."""
        seeds = derived_seeds(len(self.organizations), *entropy)
        return [seeds[owner] for owner in self.owner]

    def presence(self, X):
        """Return which participants have which rows, (n_samples, n_participants)."""
        present = [each.presence(X) for each in self.organizations]
        return np.column_stack([present[owner] for owner in self.owner])

    def take(self, X, rows):
        """Return a selection of the rows of a table."""
        return _safe_indexing(X, rows)

    def prepare(self, X, fit_params):
        """Have the participants take their columns of the training rows.

        Parameters
        ----------
        X : table
            Training rows.
        fit_params : sequence of dict
            Parameters of the local fits, one dict per organization.
        """
        for participant, owner in zip(self, self.owner, strict=True):
            participant.prepare(X, fit_params[owner])

    def fitting(self, n_jobs):
        """Return `LocalFits`, a context manager that has the participants fit."""
        return LocalFits(self, self.n_at_once(n_jobs))

    def n_at_once(self, n_jobs):
        """Return how many participants are called at the same time."""
        return n_jobs

    def check_answers(self):
        """Raise an error if no organization has answered in a round."""

    @contextmanager
    def asking(self):
        """Surround all calls about the same rows to predict."""
        yield

    def sums(self, X, terms, n_jobs):
        """Return the weighted sums of predictions that terms ask for, a list.

        Parameters
        ----------
        X : table
            Rows to predict.
        terms : list of Term
            Which participant, and the coefficient of each round.
        n_jobs : int or None
            How many participants predict at the same time.
        """
        participants = list(self)

        def predict(term):
            rounds = range(len(term.coefficients))
            return participants[term.participant].predict(X, rounds, term.coefficients)

        with Threads(self.n_at_once(n_jobs)) as threads:
            return threads.map(predict, terms)

    def functions(self, X, wanted, n_jobs):
        """Return what participants predict in single rounds.

        Parameters
        ----------
        X : table
            Rows to predict.
        wanted : set of tuple (str, int)
            Names of participants, and rounds.
        n_jobs : int or None
            How many participants predict at the same time.

        Returns
        -------
        functions : dict of (str, int) to ndarray of shape (n_samples, n_outputs)
            0 in rows that a participant does not have.
        """
        rounds_of: dict = {}
        for name, number in sorted(wanted):
            rounds_of.setdefault(name, []).append(number)
        asked = [each for each in self if each.name in rounds_of]

        def predict(participant):
            each = participant.predict_each(X, rounds_of[participant.name])
            return np.nan_to_num(each)

        with Threads(self.n_at_once(n_jobs)) as threads:
            answers = threads.map(predict, asked)
        return {
            (participant.name, number): answer[:, position] if np.ndim(answer) else answer
            for participant, answer in zip(asked, answers, strict=True)
            for position, number in enumerate(rounds_of[participant.name])
        }

    def holder_column(self, X, column):
        """Return one of the label holder's columns as floats, (n_samples,)."""
        return self.organizations[self.holder].column(X, column)

    def numeric_holder_columns(self, X):
        """Return the positions of the label holder's numeric columns among its columns."""
        if self.holder is None:
            return np.zeros(0, dtype=np.intp)
        return self.organizations[self.holder].numeric_columns(X)

    def predict_round(self, X, asked, number, n_rounds, folds):
        """Yield a participant and what it predicts in a round, for those that are asked.

        Parameters
        ----------
        X : table
            Rows to predict.
        asked : sequence of int
            Positions of the participants.
        number : int
            The round.
        n_rounds : int
            Number of rounds of the model, which may all be asked for in turn.
        folds : ndarray of shape (n_samples,) or None
            Fold numbers of training rows.
        """
        participants = list(self)
        for j in asked:
            yield j, participants[j].predict(X, [number], [1.0], folds)

    def revised(self, number, shape):
        """Return what the latest models give for a round, of shared models.

        Parameters
        ----------
        number : int
            The round.
        shape : tuple (n_samples, n_outputs)
            Shape of the training rows' predictions.
        """
        values = np.stack([each.revised(number, shape) for each in self], axis=1)
        took_part = ~np.isnan(values).all(axis=(0, 2))
        return Fitted(np.nan_to_num(values, copy=False), took_part)

    def release(self, n_rounds):
        """Have the participants forget the training rows, and rounds from `n_rounds` on."""
        for participant in self:
            participant.release(n_rounds)

    def without(self, name):
        """Return copies of the organizations but one, which is not the label holder."""
        stand_in = None if self.stand_in is None else copy(self.stand_in)
        kept = [copy(each) for each in self.organizations if each.name != name]
        holder = None
        if self.holder is not None:
            holder = [each.name for each in kept].index(self.names[self.holder])
        return type(self)(kept, holder, stand_in)


def inherit_models(before, organizations):
    """Give organizations that are resolved again the models of the rounds so far.

    Raises
    ------
    ValueError
        If an organization has gone, or has other columns.
    """
    for old, new in zip_longest(before, organizations):
        if old is None:
            continue  # it joins
        if (
            new is None
            or new.name != old.name
            or not np.array_equal(new.columns, old.columns)
        ):
            raise ValueError(
                "warm_start=True continues with the same organizations and columns in "
                f"the same order, new ones behind them; organization {old.name!r} has "
                "changed or is gone. See drop_organization, or fit with warm_start=False."
            )
        new.inherit(old)
