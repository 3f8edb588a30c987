"""What every organization is worth: Shapley values of a score, with intervals."""

from copy import copy
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, _safe_indexing, check_random_state, check_scalar, indexable
from sklearn.utils.validation import check_is_fitted

from ._assembly import model_of_combinations
from ._intervals import corrected_error, half_widths, jackknife_error
from ._method.coalitions import Coalitions, coalition_predictions
from ._method.rows import Rows
from ._text_table import aligned, interval_text, name_of_score
from ._training_data import TrainingData
from ._validation import validate_weight
from ._warm_start import Previous

# Number of parts of the rows, each of which is left out once for the intervals.
N_PARTS = 10


class OrganizationValues(Bunch):
    """What each organization adds to a score, see `organization_values`."""

    @property
    def values(self) -> np.ndarray:
        """Shapley values, (n_organizations,)."""
        return self["values"]  # the attribute would be the method of a dict

    def __repr__(self):
        names = [
            f"{name} (label holder)" if name == self.label_holder else name
            for name in self.names
        ]
        lines = [("", "value", "95 % interval", "lost if only it leaves", "95 % interval")]
        for name, value, interval, lost, lost_interval in zip(
            names,
            self.values,
            self.intervals,
            self.leave_one_out,
            self.leave_one_out_intervals,
            strict=True,
        ):
            ends = [interval_text(each, "+.4f") for each in (interval, lost_interval)]
            shown = f"{value:+.4f}", ends[0], f"{lost:+.4f}", ends[1]
            lines.append((name, *shown))
        ends = interval_text(self.total_interval, "+.4f")
        lines.append(("total", f"{self.total:+.4f}", ends, "", ""))
        title = f"What each organization adds to the {self.scoring} (Shapley values):"
        whole, none = self.scores[tuple(self.names)], self.scores[()]
        with_all = f"total: {self.scoring} with all organizations, {whole:.4f}"
        total = f"{with_all}, minus that of the baseline, {none:.4f}."
        return "\n".join([title, "", *aligned(lines), "", total])


class OrganizationValuesMixin:
    """The method `organization_values` of both estimators."""

    def organization_values(
        self,
        X,
        y,
        *,
        scoring=None,
        sample_weight=None,
        groups=None,
        cv=None,
        n_permutations=64,
        random_state=None,
    ) -> "OrganizationValues":
        """Return what each organization adds to a score, its Shapley value.

        A coalition consists of some of the organizations. Its score is that of the
        predictions that the model makes when all other organizations are absent. The
        Shapley value of an organization is the mean, over all orders in which the
        organizations could join, of what it adds to the score of those before it. The model
        must be fitted with ``missing_rows="abstain"``, so that it has separate weights for
        coalitions. No local model is fitted again, unless `cv` is given.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to score, which the model was not fitted to. With `cv`, all rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their target.
        scoring : str, callable or None, default=None
            A single score, e.g. ``"neg_log_loss"``, of which greater is better. None is the
            method `score`: accuracy or R².
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the score. With `cv`, also in the fits.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows that are not independent, e.g. rows that share a key. The
            intervals without `cv` leave out whole groups. With `cv`, the groups are passed
            to the splitter, and to `fit` if the parameter `cv` of the estimator is a
            splitter as well.
        cv : int, splitter or iterable, default=None
            Splits on which clones of the estimator are fitted and scored. The intervals
            then also cover what depends on the training rows, and the estimator itself need
            not be fitted. None scores the fitted model on all rows of X.
        n_permutations : int, default=64
            With more than six organizations, the number of orders that are drawn. An odd
            number is rounded down. Up to six organizations have exact values.
        random_state : int, RandomState instance or None, default=None
            Divides the rows into parts, and draws orders.

        Returns
        -------
        values : OrganizationValues
            Organizations are in the order of `organization_names_`.

            - `values`: ndarray of shape (n_organizations,), in units of the score.
              Their sum is `total`.
            - `intervals`: ndarray of shape (n_organizations, 2), their 95 %
              intervals.
            - `leave_one_out`: ndarray of shape (n_organizations,), the score that is lost
              if only this organization is absent.
            - `leave_one_out_intervals`: ndarray of shape (n_organizations, 2).
            - `total`, `total_interval`: the score with all organizations minus that with
              none, which is the score of the baseline, and its interval of shape (2,).
            - `scores`: dict of tuple of str to float, the score of each coalition by the
              names of its organizations. The key of the baseline is ``()``.
            - `sampling_errors`: ndarray of shape (n_organizations,), standard errors of
              `values` that are due to the drawn orders. 0 if values are exact.
            - `names`, `label_holder`, `scoring`: names of the organizations, of the label
              holder and of the score.

        Raises
        ------
        ValueError
            If the model was not fitted with ``missing_rows="abstain"``, if `scoring` is not
            a single score, or if X, y or the weights are unusable.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted, and `cv` is None.

        See Also
        --------
        sklearn_gal.inspection.OrganizationValuesDisplay : Draws the values.
        sklearn_gal.inspection.assistance_report : Compares with joint models.

        Notes
        -----
        The label holder counts as an organization with its columns. It holds y in all
        coalitions, also in those without its columns. A product of functions of two
        organizations counts in coalitions that have both.

        Without `cv`, the score is computed again without each of ten parts of the rows, and
        the intervals are those of the jackknife. They say how much the values of this model
        depend on the rows that are scored, and nothing about another fit. With `cv`, values
        are means over the splits, with corrected resampled t intervals (Nadeau and Bengio,
        2003). All intervals also include the sampling errors. They do not end where the
        score does, e.g. at 1 for R², because values and `total` are differences of scores:
        the R² of the baseline can be below 0.

        A model of more than six organizations has separate weights for some coalitions
        only. For each of the others, one half of the rows chooses weights and rates for the
        other half, along the fitted local models, as in `drop_organization`. Then, y must
        have all classes of the fit.

        References
        ----------
        L. S. Shapley, "A Value for n-Person Games", Contributions to the Theory of Games
        II, 1953.

        C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning
        52, 2003.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.model_selection import train_test_split
        >>> from sklearn_gal import GALRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
        >>> model = GALRegressor(
        ...     [("practice", None, slice(0, 4)), ("laboratory", None, slice(4, 10))],
        ...     missing_rows="abstain",
        ...     random_state=0,
        ... ).fit(X, y)
        >>> values = model.organization_values(X_test, y_test, random_state=0)
        >>> values.values.shape, values.intervals.shape
        ((2,), (2, 2))
        >>> bool(abs(values.values.sum() - values.total) < 1e-12)
        True
        """
        check_scalar(n_permutations, "n_permutations", Integral, min_val=4)
        _check_abstains(self, refits=cv is not None)
        scorer = _single_scorer(self, scoring)
        X, y, groups = indexable(X, y, groups)
        rows = _Rows(X, y, None, groups)
        weight = validate_weight(sample_weight, rows.n_samples)
        rows = rows._replace(sample_weight=weight)
        random_state = check_random_state(random_state)
        draw = partial(Coalitions, n_permutations=n_permutations, random_state=random_state)
        if cv is None:
            found = _score_fitted(self, rows, scorer, draw, random_state)
        else:
            found = _score_refits(self, rows, scorer, draw, random_state, cv)
        names, coalitions = found.model.organization_names_, found.coalitions
        errors = coalitions.sampling_errors(found.scores)
        values, intervals = found.estimate(coalitions.shapley_values, errors)
        lost, lost_intervals = found.estimate(coalitions.leave_one_out)
        total, total_interval = found.estimate(
            lambda scores: scores[..., -1] - scores[..., 0]
        )
        return OrganizationValues(
            values=values,
            intervals=intervals,
            leave_one_out=lost,
            leave_one_out_intervals=lost_intervals,
            total=float(total),
            total_interval=total_interval,
            scores={
                tuple(name for name, is_in in zip(names, each, strict=True) if is_in): score
                for each, score in zip(
                    coalitions.members, found.scores.tolist(), strict=True
                )
            },
            sampling_errors=errors,
            names=names,
            label_holder=found.model.label_holder_,
            scoring=name_of_score(self, scoring),
        )


class _Rows(NamedTuple):
    """Rows to fit or to score, as the user has passed them."""

    X: Any
    y: Any
    sample_weight: Any
    groups: Any

    @property
    def n_samples(self):
        """Number of rows."""
        return self.y.shape[0] if hasattr(self.y, "shape") else len(self.y)

    def take(self, positions):
        """Return a selection of the rows."""
        taken = [part if part is None else _safe_indexing(part, positions) for part in self]
        return _Rows(*taken)

    def fit(self, estimator):
        """Return a clone of an estimator, fitted to the rows."""
        params = {}
        if self.groups is not None and hasattr(estimator.cv, "split"):
            params["groups"] = self.groups
        return clone(estimator).fit(self.X, self.y, self.sample_weight, **params)

    def scores(self, estimator, raw, scorer):
        """Return the scores of raw predictions, (n_coalitions,).

        Parameters
        ----------
        estimator : estimator
            The fitted estimator.
        raw : ndarray of shape (n_coalitions, n_samples, n_outputs)
            Raw predictions of the rows by each coalition.
        scorer : callable
            The scorer.
        """
        weight = {}
        if self.sample_weight is not None:
            weight["sample_weight"] = self.sample_weight
        return np.array(
            [
                _number(scorer(_predicting(estimator, each), self.X, self.y, **weight))
                for each in raw
            ]
        )


@dataclass(frozen=True)
class _Scores:
    """Scores of coalitions, and what tells how much they vary.

    Parameters
    ----------
    model : estimator
        Fitted estimator with the organizations.
    coalitions : Coalitions
        Coalitions of the organizations.
    scores : ndarray of shape (n_coalitions,)
        Their scores.
    resampled : ndarray of shape (n_values, n_coalitions)
        Their scores on each split, or without each of the parts of the rows.
    error_of : callable
        Returns standard errors for values of shape (n_values, ...).
    """

    model: Any
    coalitions: Coalitions
    scores: np.ndarray
    resampled: np.ndarray
    error_of: Any

    def estimate(self, statistic, sampling_error=0.0):
        """Return a statistic of the scores, and its intervals, (..., 2)."""
        value = statistic(self.scores)
        if len(self.resampled) < 2:
            return value, np.full((*np.shape(value), 2), np.nan)
        error = self.error_of(statistic(self.resampled))
        error = np.sqrt(error**2 + sampling_error**2)
        half_width = half_widths(error, len(self.resampled))
        return value, np.stack([value - half_width, value + half_width], axis=-1)


def _score_fitted(model, rows, scorer, draw, random_state):
    """Return the scores of a fitted model, and those without each part of the rows."""
    coalitions = draw(len(model.organization_names_))
    parts = _parts(rows, random_state)
    raw = _raw_predictions(model, rows, coalitions, parts)
    scores, resampled = rows.scores(model, raw, scorer), []
    for part in np.unique(parts):
        kept = np.flatnonzero(parts != part)
        if len(kept):
            resampled.append(rows.take(kept).scores(model, raw[:, kept], scorer))
    return _Scores(model, coalitions, scores, np.array(resampled), jackknife_error)


def _score_refits(estimator, rows, scorer, draw, random_state, cv):
    """Return the mean scores of clones that are fitted on splits, and those of each."""
    splitter = check_cv(cv, rows.y, classifier=is_classifier(estimator))
    splits = list(splitter.split(rows.X, rows.y, rows.groups))
    coalitions: Any = None
    resampled = []
    for train, test in splits:
        model, held_out = rows.take(train).fit(estimator), rows.take(test)
        coalitions = coalitions or draw(len(model.organization_names_))
        parts = _parts(held_out, random_state)
        raw = _raw_predictions(model, held_out, coalitions, parts)
        resampled.append(held_out.scores(model, raw, scorer))
    test_ratio = np.mean([len(test) / len(train) for train, test in splits])
    error_of = partial(corrected_error, test_ratio=test_ratio)
    scores = np.mean(resampled, axis=0)
    return _Scores(model, coalitions, scores, np.array(resampled), error_of)


def _parts(rows, random_state):
    """Divide rows at random into parts; return the part of each row.

    Rows of a group are in the same part.
    """
    each = np.arange(rows.n_samples) if rows.groups is None else rows.groups
    groups, group_of_row = np.unique(each, return_inverse=True)
    return (random_state.permutation(len(groups)) % N_PARTS)[group_of_row]


def _raw_predictions(estimator, rows, coalitions, parts):
    """Return the raw predictions of rows by each coalition.

    Of many organizations, some coalitions are no patterns of the model. Their weights and
    rates are chosen on the odd parts of the rows for the even parts, and the reverse.
    """
    X, model = estimator._validate_X(rows.X, reset=False), estimator._model
    members, n_jobs = coalitions.members, estimator.n_jobs
    raw = coalition_predictions(model, X, members, n_jobs)
    patterns = model.patterns.organizations
    unknown = ~(members[:, None] == patterns).all(axis=2).any(axis=1)
    if not unknown.any():
        return raw
    data = _encoded(estimator, rows)
    counts = (
        np.full(len(parts), True) if data.sample_weight is None else data.sample_weight > 0
    )
    is_even = parts % 2 == 0
    for predicted in (is_even, ~is_even):
        known = data.take(np.flatnonzero(counts & ~predicted))
        if not len(known):
            raise ValueError(
                f"With {members.shape[1]} organizations, one half of the rows chooses the "
                "weights of coalitions for the other half, but one half has no rows of "
                "positive weight. Pass more rows, or rows of more groups."
            )
        present = model.participants.presence(known.X)
        chosen = Rows(known.X, present, known.y, known.sample_weight)
        weighed = model_of_combinations(estimator, model, chosen, members[::-1])
        part = model.participants.take(X, np.flatnonzero(predicted))
        raw[np.ix_(unknown, predicted)] = coalition_predictions(
            weighed, part, members[unknown], n_jobs
        )
    return raw


def _encoded(estimator, rows):
    """Return rows with the target as the loss takes it, as `TrainingData`."""
    estimator, previous = copy(estimator), Previous(estimator._model, estimator._state)
    X, target, weight = estimator._validate(rows.X, rows.y, rows.sample_weight, previous)
    y, strata, weight = estimator._encode(target, weight, previous)
    return TrainingData(X, y, weight, strata)


def _predicting(estimator, raw):
    """Return a copy of a fitted estimator whose raw predictions are known."""

    def known(X):
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_samples != len(raw):
            raise ValueError(
                f"scoring asked for predictions of {n_samples} rows, but a coalition is "
                f"scored on the {len(raw)} rows that scoring was given. Pass a scoring "
                "that predicts these rows."
            )
        return raw

    predicting = copy(estimator)
    vars(predicting)["_raw"] = known
    return predicting


def _check_abstains(estimator, refits):
    """Raise an error unless every combination of organizations has its own weights."""
    missing_rows = estimator.missing_rows
    if not refits:
        check_is_fitted(estimator)
        missing_rows = estimator._state.settings["missing_rows"]
    if missing_rows != "abstain":
        raise ValueError(
            "organization_values needs predictions by every combination of organizations, "
            f"but the model has missing_rows={missing_rows!r}, with which it predicts with "
            "all organizations only. Fit it with missing_rows='abstain'."
        )


def _single_scorer(estimator, scoring):
    """Return the scorer of a single score."""
    if isinstance(scoring, (list, tuple, set, dict)):
        raise ValueError(
            f"scoring must be a single score, its name or a callable, got {scoring!r}. "
            "Call organization_values once for each score."
        )
    return check_scoring(estimator, scoring=scoring)


def _number(score):
    """Return a score as a float."""
    if not isinstance(score, Real):
        raise ValueError(f"scoring must return a number, got {score!r}.")
    return float(score)
