"""Explanations of predictions by columns."""

from typing import Any

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._contract import Entry
from ._method.explanation import explain
from ._text_table import aligned

# Number of columns that are printed
N_SHOWN = 10


class FeatureContributions(Bunch):
    """What each column contributes to raw predictions, see `feature_contributions`.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features, n_outputs)
        Contributions in link space. The features are the columns of X and, between hosts,
        the entries of the organizations on other hosts behind them.
    base_values : ndarray of shape (n_samples, n_outputs)
        What is predicted if no column is known. With the sum of `values` over the features
        it is the raw prediction.
    errors : ndarray of shape (n_samples, n_features, n_outputs)
        Standard errors of `values`; 0 where they are exact.
    feature_names : ndarray of str of shape (n_features,)
        Names of the columns; ``"x0"``, ``"x1"``... if X has none. Those of other hosts
        begin with the name of the organization, as in ``"clinic: all columns"``.
    organization_names : ndarray of str of shape (n_features,)
        Name of the organization that holds each column. Several are separated by
        ``" + "``; empty for a column of which no organization makes use.
    is_sum : ndarray of bool of shape (n_features,)
        Whether an entry is not a column but the sum over columns that an organization does
        not show one by one.
    columns : ndarray of int of shape (n_features,)
        Position of each column in `data`; -1 for an entry of another host.
    data : {array, sparse matrix, dataframe} of shape (n_samples, n_columns)
        The rows that are explained.
    """

    @property
    def values(self) -> np.ndarray:
        """Contributions in link space, (n_samples, n_features, n_outputs)."""
        return self["values"]  # the attribute would be the method of a dict

    @property
    def importances(self) -> np.ndarray:
        """Mean absolute contribution of each column, (n_features,).

        With several outputs, it is the sum over them.
        """
        return np.abs(self.values).mean(axis=0).sum(axis=1)

    def __dir__(self):
        return [*super().__dir__(), "importances", "to_shap"]

    def __repr__(self):
        n_samples, _, n_outputs = self.values.shape
        importances = self.importances
        order = np.argsort(-importances, kind="stable")
        used = order[self.organization_names[order] != ""]
        largest = used[:N_SHOWN]
        lines = [("column", "organization", "mean absolute contribution")]
        for j in largest:
            lines.append(
                (
                    str(self.feature_names[j]),
                    str(self.organization_names[j]),
                    f"{importances[j]:.4g}",
                )
            )
        title = (
            f"Contributions of {len(used)} columns to the raw predictions of {n_samples} "
            "rows:"
        )
        others = len(used) - len(largest)
        rest = [f"and {others} more, with smaller contributions"] if others else []
        if n_outputs > 1:
            rest.append(
                "The means are over the rows. Those of the "
                f"{n_outputs} outputs, e.g. classes, are added up."
            )
        return "\n".join([title, "", *aligned(lines, n_left=2), *rest])

    def to_shap(self, output=None):
        """Convert to an explanation of the package shap, to use its plots.

        Parameters
        ----------
        output : int, default=None
            Position of the output. None is all outputs, or the only one.

        Returns
        -------
        explanation : shap.Explanation
            With `values` of shape (n_samples, n_features), or (n_samples, n_features,
            n_outputs) for all of several outputs.

        Raises
        ------
        ImportError
            If the package shap is not installed.
        """
        import shap

        if output is None and self.values.shape[2] == 1:
            output = 0
        which = slice(None) if output is None else output
        return shap.Explanation(
            values=self.values[:, :, which],
            base_values=self.base_values[:, which],
            data=_of_features(_as_array(self.data), self.columns),
            feature_names=list(self.feature_names),
        )


def _as_array(table):
    if hasattr(table, "to_numpy"):
        return table.to_numpy()
    return table.toarray() if hasattr(table, "toarray") else np.asarray(table)


def _of_features(table, columns):
    """Return the columns of a table at some positions, NaN for -1."""
    if (columns >= 0).all():
        return table[:, columns]
    missing = np.full((len(table), 1), np.nan, dtype=object)
    return np.column_stack([table.astype(object), missing])[:, columns]


class FeatureContributionsMixin:
    """Explanations by columns; a mixin of the estimators."""

    _model: Any
    _state: Any
    _validate_X: Any
    n_features_in_: int
    n_jobs: Any

    def feature_contributions(self, X=None, *, background=None) -> FeatureContributions:
        """Explain predictions by the contributions of single columns.

        The contributions are Owen values, with the organizations as unions. Without
        interactions, they are the SHAP values of each organization's part of the
        prediction. They are exact, except where `errors` says otherwise. A raw prediction
        is a sum of functions of single organizations, and of products of two such
        functions. If only some columns are known, a function is replaced by its
        expectation, and a product by that of both expectations:

        - trees of LightGBM, XGBoost and CatBoost follow both branches of a split on an
          unknown column, in proportion to the training rows (the path-dependent method of
          Tree SHAP);
        - other functions are averaged over background rows that provide the unknown
          columns (the interventional method). Linear models, also behind transformers of
          single columns in a pipeline, have a closed form. For others, all subsets of up to
          6 columns are evaluated. With more columns, ten random orders and their reverses
          are, and `errors` has the standard errors.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features), \
                default=None
            Rows to explain. None: the training rows that a fitted estimator keeps, whose
            importances are those of `feature_importances_`.
        background : {array-like, sparse matrix, dataframe} of shape (n_rows, n_features), \
                default=None
            Rows that provide the unknown columns, to trees as well. Rows of different
            organizations are combined at random. None: the training rows that a fitted
            estimator keeps, 100 that each organization has, and the path-dependent method
            for trees. With a background, trees take much more time.

        Returns
        -------
        contributions : FeatureContributions
            A :class:`~sklearn.utils.Bunch` with `values` (n_samples, n_features,
            n_outputs) in link space, `base_values` (n_samples, n_outputs), `errors`,
            `feature_names`, `organization_names`, `is_sum`, `columns` and `data`. Its
            attribute `importances` is the mean absolute contribution of each column, and
            its method ``to_shap()`` gives a ``shap.Explanation``.

        Raises
        ------
        ValueError
            If X or `background` are unusable, or `background` has no row of an
            organization.

        See Also
        --------
        contributions : Shares of the organizations in the prediction.

        Notes
        -----
        If an organization is absent from a row, neither its columns nor its expectation
        contribute; `base_values` of the row are those of the other organizations. Where an
        organization holds a categorical column that the default learner reads twice, or a
        transformer makes several columns of one, their contributions are added up.

        An organization on another host decides what it reveals: its columns one by one,
        sums over groups of columns, or only the sum over all of them. These entries follow
        the columns of X. The column of row ids has no entry.

        References
        ----------
        Owen (1977), Values of games with a priori unions. Lundberg and Lee (2017), A
        unified approach to interpreting model predictions. Lundberg et al. (2020), From
        local explanations to global understanding with explainable AI for trees.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_gal import GALRegressor
        >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
        >>> organizations = [("clinic", None, [0, 1, 2, 3]), ("lab", None, slice(4, 10))]
        >>> model = GALRegressor(organizations, random_state=0).fit(X, y)
        >>> explained = model.feature_contributions(X.iloc[:5])
        >>> raw = explained.values.sum(axis=1) + explained.base_values
        >>> float(abs(raw[:, 0] - model.predict(X.iloc[:5])).max()) < 1e-9
        True
        """
        check_is_fitted(self)
        kept, explains_kept = self._state.kept_rows, X is None
        X = self._validate_X(kept.table if explains_kept else X, reset=False)
        rows = kept.table, False
        if background is not None:
            rows = self._validate_X(background, reset=False), True
            _check_background(rows[0], self._model.participants)
        participants = self._model.participants
        n_absences = participants.n_absences
        shares = explain(self._model, X, rows, self.n_jobs)
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(self.n_features_in_)]
        explained = FeatureContributions(**_entries(shares, participants, names), data=X)
        all_answered = participants.n_absences == n_absences
        if explains_kept and background is None and all_answered:
            kept.importances = explained.importances / (explained.importances.sum() or 1.0)
        return explained

    @property
    def feature_importances_(self) -> np.ndarray:
        """Mean absolute contribution of each column of X, with the sum 1.

        The mean is over the training rows that a fitted estimator keeps, see
        `feature_contributions`. It is computed once. Between hosts there is a value for
        each feature of `feature_contributions`. To read this attribute there sends no
        message: it exists after ``feature_contributions()``, without rows, if all
        organizations have answered.
        """
        check_is_fitted(self)
        kept = self._state.kept_rows
        if kept.importances is None:
            if not all(each.is_here for each in self._model.participants.organizations):
                raise AttributeError(
                    "feature_importances_ has not been computed, because organizations on "
                    "other hosts must be asked to explain training rows. Call "
                    "feature_contributions() without rows, which asks them, and read it "
                    "again."
                )
            self.feature_contributions()
        return kept.importances.copy()


def _check_background(background, participants):
    """Raise an error if an organization in this process has none of the rows."""
    for each in participants.organizations:
        if each.is_here and not each.presence(background).any():
            raise ValueError(
                f"background has no row that organization {each.name!r} has. Pass rows of "
                "which each organization has some, or background=None."
            )


def _entries(shares, participants, names):
    """Return the fields of `FeatureContributions` that are about single features."""
    holders: list = [[] for _ in names]
    is_key = np.zeros(len(names), dtype=bool)
    for each in participants.organizations:
        if each.is_here:
            for column in each.columns:
                holders[column].append(each.name)
        else:
            is_key[each.columns] = True
    shape = len(shares.base), len(names), shares.base.shape[1]
    values, errors = np.zeros(shape), np.zeros(shape)
    elsewhere = []
    for j, each in enumerate(participants):
        if each.is_here:
            values[:, each.columns] += shares.values[j]
            errors[:, each.columns] += shares.errors[j]
        else:
            elsewhere.append(_elsewhere(each.name, shares, j))
    columns = np.flatnonzero(~is_key)
    parts: Any = [
        (
            values[:, columns],
            errors[:, columns],
            [names[column] for column in columns],
            [" + ".join(holders[column]) for column in columns],
            [False] * len(columns),
            columns,
        ),
        *elsewhere,
    ]
    fields: Any = list(zip(*parts, strict=True))
    of_values, of_errors = (np.concatenate(field, axis=1) for field in fields[:2])
    names, holders = ([name for part in field for name in part] for field in fields[2:4])
    return {
        "values": of_values,
        "base_values": shares.base,
        "errors": of_errors,
        "feature_names": np.array(names, dtype=object),
        "organization_names": np.array(holders, dtype=object),
        "is_sum": np.concatenate(fields[4]).astype(bool),
        "columns": np.concatenate(fields[5]).astype(np.intp),
    }


def _elsewhere(name, shares, participant):
    """Return the part of `_entries` of an organization on another host."""
    values, errors = shares.values[participant], shares.errors[participant]
    entries = list(shares.entries[participant])
    if not entries:  # it has not answered yet
        entries = [Entry("all columns", True)]
        values = errors = np.zeros((len(values), 1, values.shape[2]))
    return (
        values,
        errors,
        [f"{name}: {entry.name}" for entry in entries],
        [name] * len(entries),
        [entry.is_sum for entry in entries],
        [-1] * len(entries),
    )
