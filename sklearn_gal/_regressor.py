"""GALRegressor: target in and out."""

from collections.abc import Iterator

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from ._base import BaseGAL
from .losses import REGRESSION_LOSSES


class GALRegressor(RegressorMixin, BaseGAL):
    """Regression by Gradient Assisted Learning.

    Several organizations hold different columns about the same rows. In each round the
    label holder sends the pseudo-residual of its overarching loss to all of them, every
    organization fits it with its own estimator on its own columns, and the label holder
    weights the fitted values and moves its prediction along them. No organization sees
    another's columns, estimator or objective; what the residual tells about the target is
    in the user guide.

    Parameters
    ----------
    organizations : list of tuples (name, estimator, columns) or None, default=None
        Who holds which columns and fits them with what, as in
        :class:`~sklearn.compose.ColumnTransformer`:

        - *name*: a string, unique, without ``"__"``. The estimator is a parameter under
          this name and its parameters are ``<name>__<parameter>``.
        - *estimator*: any regressor, or a pipeline that ends in one, or None for the
          default, a small :class:`lightgbm.LGBMRegressor` of ten trees of four leaves.
          Local estimators fit pseudo-residuals, hence regressors. Where there are
          several outputs, an estimator that takes a two-dimensional target receives it
          whole; any other is cloned for each output.
        - *columns*: a name, a position, a list of either, a slice, a boolean mask, or a
          callable that is called with X and returns one of them. An estimator receives
          its columns as a table, a single one too. Organizations may hold the same column;
          a column that nobody lists is not used.

        None means a single organization that holds all columns, which is ordinary
        gradient boosting.
    loss : str or loss object, default="squared_error"
        Overarching loss: ``"squared_error"``, ``"absolute_error"``, ``"huber"``,
        ``"quantile"`` (the median), ``"poisson"``, ``"gamma"``, an object from
        :mod:`sklearn_gal.losses`, e.g. ``QuantileLoss(0.9)``, or one of your own with the
        methods `value`, `pseudo_residual` and `baseline`.
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
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names of X, where all of them are strings.

    See Also
    --------
    GALClassifier : The same for classes.
    make_organizations : Cut columns into organizations at random.

    Notes
    -----
    The raw prediction is ``F(x) = F0 + sum_t rate_t sum_m w_tm f_tm(x_m)``, see
    equations 1 to 4 of the paper. Several outputs share weights and rate, so bring them
    to similar scales.

    References
    ----------
    E. Diao, J. Ding, V. Tarokh, "GAL: Gradient Assisted Learning for Decentralized
    Multi-Organization Collaborations", NeurIPS 2022, :arxiv:`2106.01425`.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_gal import GALRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = GALRegressor(
    ...     [
    ...         ("practice", Ridge(alpha=0.1), ["age", "sex", "bmi", "bp"]),
    ...         ("laboratory", None, ["s1", "s2", "s3", "s4", "s5", "s6"]),
    ...     ],
    ...     random_state=0,
    ... )
    >>> model.fit(X, y).predict(X).shape
    (442,)
    >>> model.weights_.shape == (model.n_iter_, 2)
    True
    """

    _losses = REGRESSION_LOSSES

    def __init__(
        self,
        organizations=None,
        *,
        loss="squared_error",
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
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _validate_target(self, y):
        return check_array(
            y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self
        )

    def _encode_target(self, y, sample_weight, continued):
        """Target (n_samples, n_outputs), strata and effective weights of the rows."""
        shape = y.shape[1:]
        if continued and shape != self._target_shape:
            raise ValueError(
                "The rounds so far are for targets of shape "
                f"{('n_samples', *self._target_shape)}, got {y.shape}."
            )
        self._target_shape = shape
        return y.reshape(len(y), -1), np.zeros(len(y), dtype=np.intp), sample_weight

    def predict(self, X) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted target, in its own units.
        """
        check_is_fitted(self)
        return self._decode(self._raw(self._validate_X(X, reset=False)))

    def staged_predict(self, X) -> Iterator[np.ndarray]:
        """Predict the target after each round.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.

        Yields
        ------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted target after each round.
        """
        for raw in self._staged_raw(X):
            yield self._decode(raw)

    def _decode(self, raw):
        if hasattr(self._loss, "inverse_link"):
            raw = self._loss.inverse_link(raw)
        return raw.reshape(len(raw), *self._target_shape)
