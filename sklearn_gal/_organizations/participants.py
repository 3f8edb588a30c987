"""The organizations of a fit, together with the label holder's stand-in."""

from contextlib import contextmanager
from copy import copy
from itertools import zip_longest

import numpy as np
from sklearn.utils import _safe_indexing

from .._contract import Answer, Fitted
from .faults import add_to_message, raise_together
from .local import LocalOrganization, derived_seeds
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
        present, errors = [], {}
        for each in self.organizations:
            try:
                present.append(each.presence(X))
            except ValueError as error:
                errors[each.name] = error
        raise_together(errors)
        return np.column_stack([present[owner] for owner in self.owner])

    def take(self, X, rows):
        """Return a selection of the rows of a table."""
        return _safe_indexing(X, rows)

    def prepare(self, X, fit_params, n_outputs):
        """Have the participants take their columns of the training rows.

        Parameters
        ----------
        X : table
            Training rows.
        fit_params : sequence of dict
            Parameters of the local fits, one dict per organization.
        n_outputs : int
            Number of outputs of a residual.
        """
        errors = {}
        for participant, owner in zip(self, self.owner, strict=True):
            try:
                participant.prepare(X, fit_params[owner], n_outputs)
            except ValueError as error:
                errors[self.names[owner]] = error
        with self.complaining():
            raise_together(errors)

    def fitting(self, n_jobs):
        """Return `LocalFits`, a context manager that has the participants fit."""
        return LocalFits(self, self.n_at_once(n_jobs))

    def n_at_once(self, n_jobs):
        """Return how many participants are called at the same time."""
        return n_jobs

    @contextmanager
    def complaining(self, X=None):
        """Have an error tell which others would have failed for its reason.

        Parameters
        ----------
        X : table, default=None
            Rows to predict; None: the participants are fitted.
        """
        try:
            yield
        except Exception as error:
            for each in self.organizations:
                reason = getattr(each, "complaint", lambda *_: None)(error, X)
                if reason:
                    add_to_message(error, reason)
            raise

    def check_answers(self):
        """Raise an error if no organization has answered in a round."""

    @contextmanager
    def asking(self):
        """Surround all calls about the same rows to predict."""
        own = [each for each in self if isinstance(each, LocalOrganization)]
        matrices: dict = {}
        for each in own:
            each.remember_rows(matrices)
        try:
            yield
        finally:
            for each in own:
                each.forget_rows()

    def answers(self, X, queries, n_jobs):
        """Return what participants predict, a list of `Answer`.

        Parameters
        ----------
        X : table
            Rows to predict.
        queries : list of Query
            What is wanted of which participant.
        n_jobs : int or None
            How many participants predict at the same time.
        """
        participants = list(self)

        def answer(query):
            return self._answer(participants[query.participant], X, query)

        with self.complaining(X), Threads(self.n_at_once(n_jobs)) as threads:
            return threads.map(answer, queries)

    def _answer(self, participant, X, query):
        total = participant.predict(X, query.numbers, query.coefficients)
        return Answer(total, self._each(participant, X, query.functions))

    def _each(self, participant, X, numbers):
        """Return functions by number, 0 in rows that the participant does not have."""
        each = participant.predict_each(X, numbers) if numbers else {}
        if not participant.may_abstain:
            return each
        return {number: np.nan_to_num(values) for number, values in each.items()}

    def functions(self, X, wanted, n_jobs):
        """Return what participants predict by single functions.

        Parameters
        ----------
        X : table
            Rows to predict.
        wanted : set of tuple (str, int)
            Names of participants, and numbers of requests.
        n_jobs : int or None
            How many participants predict at the same time.

        Returns
        -------
        functions : dict of (str, int) to ndarray of shape \
                (n_chains, n_samples, n_outputs)
            0 in rows that a participant does not have. Functions without a model are left
            out.
        """
        numbers_of: dict = {}
        for name, number in sorted(wanted):
            numbers_of.setdefault(name, []).append(number)
        asked = [each for each in self if each.name in numbers_of]

        def predict(participant):
            return self._each(participant, X, numbers_of[participant.name])

        with self.complaining(X), Threads(self.n_at_once(n_jobs)) as threads:
            answers = threads.map(predict, asked)
        return {
            (participant.name, number): values
            for participant, answer in zip(asked, answers, strict=True)
            for number, values in answer.items()
        }

    @property
    def n_absences(self):
        """How often a call went on without an organization that did not answer."""
        return sum(each.n_absences for each in self.organizations)

    def expect(self, functions, background, n_jobs):
        """Return what functions predict without any column known.

        Parameters
        ----------
        functions : list of list of tuple (int, Bound or None)
            For each participant, numbers of requests and what bounds the functions.
        background : tuple (table, bool)
            As of `Organization.expect`.
        n_jobs : int or None
            How many participants work at the same time.

        Returns
        -------
        expected : list of ndarray of shape (n_functions, n_chains, n_outputs)
            For each participant.
        """

        def expect(participant, own):
            return participant.expect(own, background) if own else []

        with Threads(self.n_at_once(n_jobs)) as threads:
            return threads.map(expect, list(self), functions)

    def explain(self, X, background, queries, factors, n_jobs):
        """Return what the columns of the participants contribute to a prediction.

        Parameters
        ----------
        X : table
            Rows to explain.
        background, n_jobs : see `expect`
        queries : list of Query
            The weighted sum of the functions without a factor, for each participant.
        factors : list of tuple (list, ndarray)
            The functions with a factor, and the factors, for each participant.

        Returns
        -------
        explained : list of Explained
            For each participant.
        """

        def explain(participant, query, with_factors):
            plain = query.numbers, query.coefficients
            return participant.explain(X, background, plain, *with_factors)

        with self.complaining(X), Threads(self.n_at_once(n_jobs)) as threads:
            return threads.map(explain, list(self), queries, factors)

    def holder_column(self, X, column):
        """Return one of the label holder's columns as floats, (n_samples,)."""
        return self.organizations[self.holder].column(X, column)

    def numeric_holder_columns(self, X):
        """Return the positions of the label holder's numeric columns among its columns."""
        if self.holder is None:
            return np.zeros(0, dtype=np.intp)
        return self.organizations[self.holder].numeric_columns(X)

    def predict_candidates(self, X, candidates, n_requests, apart):
        """Yield what participants predict by the functions of a round.

        Parameters
        ----------
        X : table
            Rows to predict.
        candidates : list of Candidate
            Whose functions.
        n_requests : int
            Number of requests of the model, which may all be asked for in turn.
        apart : bool
            Whether the chains are wanted apart, (n_chains, n_samples, n_outputs), instead
            of their mean, (n_samples, n_outputs).
        """
        participants, names = list(self), self.participant_names
        if not apart:
            for participant, number, _ in candidates:
                yield participants[participant].predict(X, [number], [1.0])
            return
        keys = [(names[each.participant], each.number) for each in candidates]
        functions = self.functions(X, set(keys), None)
        yield from (functions.get(key, 0.0) for key in keys)

    def revised(self, candidates, shape):
        """Return what the latest models give for the functions of a round, if shared.

        Parameters
        ----------
        candidates : list of Candidate
            Whose functions.
        shape : tuple (n_chains, n_samples, n_outputs)
            Shape of the training rows' predictions.
        """
        participants = list(self)
        values = np.stack(
            [
                participants[participant].revised(number, shape)
                for participant, number, _ in candidates
            ]
        )
        took_part = ~np.isnan(values).all(axis=(1, 2, 3))
        return Fitted(np.nan_to_num(values, copy=False), took_part)

    def release(self, n_requests):
        """Have participants forget the training rows, and models from `n_requests` on."""
        for participant in self:
            participant.release(n_requests)

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
