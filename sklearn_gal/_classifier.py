"""GALClassifier: class encoding, probabilities."""

from collections.abc import Iterator

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ._base import BaseGAL
from .losses import CLASSIFICATION_LOSSES, get_loss


def _has_probabilities(self):
    loss = self._loss if hasattr(self, "_loss") else get_loss(self.loss, self._losses)
    return hasattr(loss, "inverse_link")


class GALClassifier(ClassifierMixin, BaseGAL):
    """Classification by Gradient Assisted Learning.

    Several organizations hold different columns about the same rows. In each round the
    label holder sends the pseudo-residual of its overarching loss to all of them, every
    organization fits it with its own estimator on its own columns, and the label holder
    weights the fitted values and moves its raw prediction along them. No organization
    sees another's columns, estimator or objective; what the residual tells about the
    labels is in the user guide.

    Parameters
    ----------
    organizations : list of tuples (name, estimator, columns) or None, default=None
        Who holds which columns and fits them with what, as in
        :class:`~sklearn.compose.ColumnTransformer`:

        - *name*: a string, unique, without ``"__"``. The estimator is a parameter under
          this name and its parameters are ``<name>__<parameter>``.
        - *estimator*: any regressor, or a pipeline that ends in one, or None for the
          default, a small :class:`lightgbm.LGBMRegressor` of ten trees of four leaves.
          Local estimators fit pseudo-residuals, hence regressors here
          too. Where there are
          several outputs, an estimator that takes a two-dimensional target receives it
          whole; any other is cloned for each output.
        - *columns*: a name, a position, a list of either, a slice, a boolean mask, or a
          callable that is called with X and returns one of them. An estimator receives
          its columns as a table, a single one too. Organizations may hold the same column;
          a column that nobody lists is not used.

        None means a single organization that holds all columns, which is ordinary
        gradient boosting.
    loss : str or loss object, default="log_loss"
        Overarching loss: ``"log_loss"`` (binary or multinomial), ``"exponential"``
        (binary), an object from :mod:`sklearn_gal.losses`, or one of your own with the
        methods `value`, `pseudo_residual` and `baseline`, and `inverse_link` for
        probabilities.
    max_iter : int, default=100
        Largest number of assistance rounds T.
    learning_rate : float, default=0.3
        Factor of every assisted learning rate, which shrinks the steps. With
        ``line_search=False`` it is itself the constant rate.
    line_search : bool, default=True
        Whether to search, in each round, the rate with the least overarching loss. A rate
        of 0, where no step along the assisted direction lowers the loss, ends the fit; the
        third in a row if the rounds have folds of their own, and nothing is perturbed.
    weights : {"optimal", "nonnegative", "optimal_absolute", "uniform"} or callable, \
            default="optimal"
        Assistance weights of the organizations in a round.

        - "optimal": on the simplex with the least squared error to the pseudo-residual,
          as in the paper; 0 where out-of-fold values do not lead downhill, by more than
          a standard error if anybody's do.
        - "nonnegative": of the direction along which that error falls most, whatever its
          length (non-negative least squares, divided by the sum). More even where each
          organization knows another part of the residual.
        - "optimal_absolute": on the simplex with the least absolute error (a linear
          programme that grows with the number of rows).
        - "uniform": all the same.
        - a callable ``(residual, fitted, sample_weight) -> weights``, which receives
          arrays of shapes (n_samples, n_outputs), (n_samples, n_organizations, n_outputs)
          and (n_samples,) or None and returns one weight per organization.
    cv : "auto", None, int, splitter or iterable, default="auto"
        How the fitted values are made that choose weights, rate and next residual.

        - None: by the models that were fitted to the same rows, as in the paper.
        - int: cross-fitted. In each round the rows are cut at random into so many folds
          (of the same class proportions, for a classifier); every organization fits one
          model per fold to the other rows, and fitted values are out-of-fold.
          Predictions are the mean over the fold models.
        - a scikit-learn splitter or an iterable of (train, test) splits: cross-fitted on
          these folds, the same in every round. They must partition the rows.
        - ``"auto"``: two folds; five below 200 rows; None below 20 rows and with
          ``subsample < 1``.
    subsample : float, default=1.0
        If below 1, each round is fitted to this random share of the rows and weights and
        rate are chosen on the rest. Only without cross-fitting.
    stack_contributions : {False, True, "all"}, default=False
        Whose own estimators also see what the others have sent: their contributions so far
        and their fitted values of the latest rounds, as extra columns behind one's own (in
        a pipeline, behind what its last step receives). They can then model interactions
        between their columns and the others'. Use it with cross-fitting, without which it
        overfits.

        - ``False``: nobody's.
        - ``True``: the label holder's. Reveals nothing that it does not receive anyway.
        - ``"all"``: everybody's. Every organization receives, for every row, functions of
          the columns of every other one, the label holder included, that predict y. Choose
          it only where all have agreed to that. It reaches interactions between two
          assistors, and some in which no column tells anything by itself.
    label_holder : str or None, default=None
        Name of the organization that holds y; None is the first.
    missing_rows : {"error", "abstain", "pass"}, default="error"
        What to do, in `fit` and when predicting, about rows in which all columns of an
        organization are missing (NaN; None, NA and null in data frames).

        - ``"error"``: raise an error. A single column that is missing cannot be told from
          a missing value, so that an organization with one column passes it on.
        - ``"abstain"``: the organization does not have the row. Its estimator never sees
          it, and the row is predicted from those who have it, with weights and rates of
          their own, see `patterns_`. For rows that assistors lack the label holder fits one
          more model in each round, as if it were alone.
        - ``"pass"``: leave such rows to its estimator, as any other missing value.
    privacy : mechanism, callable or None, default=None
        What perturbs the pseudo-residual that assistors receive, once per round:
        ``LaplaceMechanism(epsilon)`` or ``IntervalMechanism(n_thresholds)`` of
        :mod:`sklearn_gal.privacy`, or a callable ``(residual, random_state) -> residual``.
        The label holder itself uses the exact one. Folds then do not depend on y. With a
        fixed `random_state` whoever guesses it can subtract the noise: leave it at None in
        earnest. The user guide says what is and is not covered.
    share_models : bool, default=False
        Whether every organization keeps one model instead of one per round ("deep model
        sharing"). In each round it is fitted again, to the residuals of all rounds so far
        as one two-dimensional target, on folds that stay the same; weights and rates are
        chosen again for the last models. For estimators that take several outputs:
        neural networks, forests, trees, neighbours, linear models.
    early_stopping : bool or "auto", default="auto"
        Whether to stop when the validation loss no longer improves. Cross-fitted values
        validate by themselves; else a part of the rows is set aside. ``"auto"``: from
        10,000 rows on.
    validation_fraction : int or float, default=0.1
        Number or share of rows to set aside for early stopping without cross-fitting.
    n_iter_no_change : int, default=10
        Number of rounds without improvement after which to stop early.
    tol : float, default=1e-7
        Improvement that counts, as a share of the loss before the first round.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with the sample weights.
    warm_start : bool, default=False
        If True, `fit` continues from the rounds of the previous call up to `max_iter`.
        Organizations may join, behind those before and with columns behind theirs.
    n_jobs : int or None, default=None
        Number of organizations that fit or predict at once, in threads; None is 1 (or
        that of a :obj:`joblib.parallel_backend` context), -1 all processors. Results do
        not depend on it.
    verbose : int, default=0
        If positive, print a line per round.
    random_state : int, RandomState instance or None, default=None
        Seed of folds, bags and validation rows, and of every local estimator whose own
        `random_state` is None. The seed of a local fit depends on this seed, the round
        and the organization alone.

    Attributes
    ----------
    estimators_ : list of lists
        Fitted local models, ``estimators_[round][organization]``. Of a cross-fitted round
        each predicts the mean of its fold models, its `estimators`. None in rounds that an
        organization was not in: it had too few rows, or joined later.
    weights_ : ndarray of shape (n_rounds, n_organizations)
        Assistance weights.
    learning_rates_ : ndarray of shape (n_rounds,)
        Assisted learning rates, shrunken.
    baseline_prediction_ : ndarray of shape (n_outputs,)
        Raw prediction before the first round, in link space.
    train_loss_ : ndarray of shape (n_rounds + 1,)
        Overarching loss (lower is better) on the training rows before the first round and
        after each, out-of-fold if cross-fitted.
    validation_loss_ : ndarray of shape (n_rounds + 1,) or (0,)
        The same on the rows that early stopping looks at; empty without early stopping.
    patterns_ : ndarray of bool of shape (n_patterns, n_organizations)
        Combinations of organizations that have assistance weights and rates of their own:
        everybody first, whose weights and rates are `weights_` and `learning_rates_`. Only
        that one, unless ``missing_rows="abstain"``. A row is predicted by the combination
        of all that have it, or else by the largest of some of them.
    pattern_weights_ : ndarray of shape (n_rounds, n_patterns, n_organizations)
        Assistance weights of every combination. Those of the label holder include the
        models that it fits as if it were alone.
    pattern_learning_rates_ : ndarray of shape (n_rounds, n_patterns)
        Assisted learning rates of every combination, shrunken.
    organization_names_ : list of str
        Names of the organizations.
    columns_ : list of ndarray of int
        Positions of every organization's columns.
    label_holder_ : str
        Name of the organization that holds y.
    privacy_spent_ : Bunch
        With `privacy` only: `n_rounds` in which assistors received something,
        `epsilon_per_round`, `epsilon` of all rounds by basic composition, and
        `epsilon_advanced` which holds up to a probability of `delta` = 1e-6. Per row, and
        infinite where the mechanism promises none.
    n_iter_ : int
        Number of rounds; 0 if not even the first lowered the loss, and the baseline is all
        there is.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names of X, where all of them are strings.

    See Also
    --------
    GALRegressor : The same for numbers.
    make_organizations : Cut columns into organizations at random.

    Notes
    -----
    The raw prediction is ``F(x) = F0 + sum_t rate_t sum_m w_tm f_tm(x_m)``, see
    equations 1 to 4 of the paper; one output for two classes, else one per class.

    References
    ----------
    E. Diao, J. Ding, V. Tarokh, "GAL: Gradient Assisted Learning for Decentralized
    Multi-Organization Collaborations", NeurIPS 2022, :arxiv:`2106.01425`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_gal import GALClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GALClassifier(
    ...     [
    ...         ("hospital", None, slice(0, 10)),
    ...         ("laboratory", None, slice(10, 20)),
    ...         ("registry", None, slice(20, 30)),
    ...     ],
    ...     random_state=0,
    ... )
    >>> model.fit(X, y).predict_proba(X).shape
    (569, 2)
    >>> model.contributions(X).shape
    (569, 3, 1)
    """

    _losses = CLASSIFICATION_LOSSES

    def __init__(
        self,
        organizations=None,
        *,
        loss="log_loss",
        max_iter=100,
        learning_rate=0.3,
        line_search=True,
        weights="optimal",
        cv="auto",
        subsample=1.0,
        stack_contributions=False,
        label_holder=None,
        missing_rows="error",
        privacy=None,
        share_models=False,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-7,
        class_weight=None,
        warm_start=False,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.organizations = organizations
        self.loss = loss
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.line_search = line_search
        self.weights = weights
        self.cv = cv
        self.subsample = subsample
        self.stack_contributions = stack_contributions
        self.label_holder = label_holder
        self.missing_rows = missing_rows
        self.privacy = privacy
        self.share_models = share_models
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _validate_target(self, y):
        y = column_or_1d(y, warn=True)
        check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=self)
        check_classification_targets(y)
        return y

    def _encode_target(self, y, sample_weight, continued):
        """Target as 0/1 or one-hot columns, class codes and effective weights."""
        weighted = slice(None) if sample_weight is None else sample_weight > 0
        classes = np.unique(y[weighted])
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in y, but the "
                f"data contains only one class, {classes[0]}."
            )
        if continued and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"The rounds so far are for the classes {self.classes_}, got {classes}."
            )
        self.classes_ = classes
        if self.class_weight is not None:
            class_weight = np.zeros(len(y))
            class_weight[weighted] = compute_sample_weight(self.class_weight, y[weighted])
            given = 1.0 if sample_weight is None else sample_weight
            sample_weight = class_weight * given
            if (sample_weight < 0).any() or not sample_weight.any():
                raise ValueError(
                    f"class_weight={self.class_weight!r} must not be negative, nor 0 for "
                    "all classes."
                )
        # rows of weight 0 may be of other classes; they are left out
        codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
        if len(classes) == 2:
            return codes[:, None].astype(np.float64), codes, sample_weight
        return np.eye(len(classes))[codes], codes, sample_weight

    def decision_function(self, X) -> np.ndarray:
        """Raw predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        raw_prediction : ndarray of shape (n_samples,) or (n_samples, n_classes)
            In link space; for two classes that of the second class.
        """
        check_is_fitted(self)
        raw = self._raw(self._validate_X(X, reset=False))
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict(self, X) -> np.ndarray:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predicted classes.
        """
        return self._decide(self.decision_function(X))

    @available_if(_has_probabilities)
    def predict_proba(self, X) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Classes in the order of `classes_`.
        """
        check_is_fitted(self)
        return self._loss.inverse_link(self._raw(self._validate_X(X, reset=False)))

    @available_if(_has_probabilities)
    def predict_log_proba(self, X) -> np.ndarray:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Classes in the order of `classes_`.
        """
        return np.log(self.predict_proba(X))

    def staged_decision_function(self, X) -> Iterator[np.ndarray]:
        """Raw predictions after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        raw_prediction : ndarray of shape (n_samples,) or (n_samples, n_classes)
            As of `decision_function`.
        """
        for raw in self._staged_raw(X):
            yield raw[:, 0] if raw.shape[1] == 1 else raw

    def staged_predict(self, X) -> Iterator[np.ndarray]:
        """Predict classes after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        y : ndarray of shape (n_samples,)
            As of `predict`.
        """
        for decision in self.staged_decision_function(X):
            yield self._decide(decision)

    @available_if(_has_probabilities)
    def staged_predict_proba(self, X) -> Iterator[np.ndarray]:
        """Predict class probabilities after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        probabilities : ndarray of shape (n_samples, n_classes)
            As of `predict_proba`.
        """
        for raw in self._staged_raw(X):
            yield self._loss.inverse_link(raw)

    def _decide(self, decision):
        codes = (
            (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)
        )
        return self.classes_[codes]
