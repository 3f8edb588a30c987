"""GALRegressor: shape of the target."""

from collections.abc import Iterator

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from ._base import BaseGAL
from ._calibrated import available_unless_refused, check_held_out_scores
from ._conformal import ends, residual_scores, warn_of_too_few
from ._organizations.faults import add_to_message
from ._organizations.missing import has_text
from .losses import REGRESSION_LOSSES

# Relative rounding error of an end of an interval, at most
_ROUNDING = 16 * np.finfo(np.float64).eps


class GALRegressor(RegressorMixin, BaseGAL):
    """Regression by Gradient Assisted Learning.

    Several organizations hold different columns of the same rows, and one of them, the
    label holder, also holds the target. In each round, the label holder sends the
    pseudo-residual of its overarching loss to all organizations. Each organization fits it
    with its own estimator on its own columns and returns the fitted values. The label
    holder weights these and updates its raw prediction. Columns, estimators and local
    objectives are not shared. The user guide describes what the residuals reveal about the
    target.

    Begin with `organizations` and the defaults. The parameters under "Other Parameters" are
    rarely changed. The user guide has a table of situations and settings.

    Parameters
    ----------
    organizations : list of tuples (name, estimator, columns) or None, default=None
        Organizations in the format of :class:`~sklearn.compose.ColumnTransformer`.

        - *name*: a unique string without ``"__"``. The estimator is available as the
          parameter ``<name>``, and its parameters as ``<name>__<parameter>``.
        - *estimator*: a regressor, a pipeline that ends in one, or None for the default, a
          :class:`lightgbm.LGBMRegressor` with a single tree whose size follows the number
          of rows, see :func:`default_learner`. A :class:`~sklearn.frozen.FrozenEstimator`
          is a fixed function, whose weight is chosen in every round.
        - *columns*: a name, a position, a list of either, a slice, a boolean mask, or a
          callable that takes X and returns one of these. The estimator receives a table,
          also of a single column. If the first step of the estimator takes no tables by
          its tags, such as :class:`~sklearn.feature_extraction.text.TfidfVectorizer`, it
          receives its only column one-dimensional, however it is selected.

        If None, a single organization holds all columns, which is ordinary gradient
        boosting.
    label_holder : str or None, default=None
        Name of the organization that holds y. None selects the first one. The label holder
        holds at least one column, and receives the residual without noise if there is
        `privacy`, so name it if it is not the first one.
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"} \
            or loss object, default="squared_error"
        Overarching loss. "quantile" predicts the median. It can also be an object from
        :mod:`sklearn_gal.losses`, e.g. ``QuantileLoss(0.9)``, or any object with the
        methods `value`, `pseudo_residual` and `baseline`.
    max_iter : int or None, default=None
        Maximum number of rounds. None is 100. With cross-fitting, it is 45 from 5,000 rows
        on, 60 from 30,000 rows on, and 90 with several outputs.
    learning_rate : float or "auto", default="auto"
        Factor by which the assisted learning rate of each round is multiplied. With
        ``line_search=False``, it is the rate of all rounds. "auto" is 0.3. With
        cross-fitting, it is 0.5 from 5,000 rows on; with several outputs it is 0.4, and 0.5
        from 10,000 rows on.
    cv : "auto", None, int, splitter or iterable, default="auto"
        Cross-fitting strategy for the fitted values, from which weights and rate are
        computed.

        - None: no cross-fitting. The models predict the rows they were fitted to, as in
          the paper.
        - int: number of folds, drawn at random before the first round. Each fold has a
          *chain*: a descent of the rows outside the fold, with residuals and local models
          of its own. All chains have the same weights and rate, which are chosen on
          predictions of each row by the chain that has not seen it. Predictions average the
          chains.
        - splitter or iterable of (train, test) splits: the folds. Each row must be in
          exactly one test set.
        - "auto": five folds, or three from 5,000 rows on; two with `privacy`. None if there
          are fewer than 20 rows, or with ``subsample < 1``.
    interactions : {"auto", True, False} or list of tuples of two names, default="auto"
        Whether to model products of functions of two organizations. In each round, an
        organization fits the residual, and also the residual multiplied by a gate, a
        function of another organization's columns with values between -1 and 1. What it
        fits to this product is multiplied by the same gate. With several outputs,
        there are up to two gates for each organization in a round.

        - False: no gates, which gives the additive model of the paper.
        - True: gates between all organizations.
        - "auto": True with cross-fitting, unless `privacy` perturbs the residual.
        - list of pairs of names, e.g. ``[("bank", "shop")]``: gates between these
          organizations only.
    missing_rows : {"error", "abstain", "pass"}, default="error"
        Treatment of rows in which all columns of an organization are missing (NaN, or
        None, NA and null in dataframes), in `fit` and in predictions.

        - "error": raise an error. If an organization has a single column, missing values
          are passed to its estimator instead.
        - "abstain": the organization abstains from the row. Its estimator does not receive
          the row, and the other organizations predict it with separate weights and rates,
          see `patterns_`.
        - "pass": pass the row to the estimator of the organization.
    privacy : mechanism, callable or None, default=None
        Perturbation of the pseudo-residual that the assistors receive in each round:
        ``LaplaceMechanism(epsilon)`` or ``IntervalMechanism(n_thresholds)`` from
        :mod:`sklearn_gal.privacy`, or a callable ``(residual, random_state) -> residual``.
        A single organization is the label holder, to which nothing is sent.
        In production leave `random_state` at None: anyone who knows the seed can reproduce
        the noise and subtract it. The user guide describes what is protected.
    n_jobs : int or None, default=None
        Number of organizations that fit or predict in parallel threads. None means 1
        unless in a :obj:`joblib.parallel_backend` context, and -1 means all processors.
        The results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of folds, subsamples, validation rows and noise, and of the local estimators
        whose own `random_state` is None. Pass an int for reproducible results.

    Attributes
    ----------
    estimators_ : list of lists
        Local models fitted to the residual itself, ``estimators_[round][organization]``.
        With cross-fitting, each entry averages the models of the chains, available as
        `.estimators`. An entry is None if the organization did not take part in that round,
        because it had too few rows or joined later. Models whose predictions are multiplied
        by a gate are not listed.
    weights_ : ndarray of shape (n_rounds, n_organizations)
        Assistance weights, with interactions the sum over an organization's functions. All
        are 0 in a round without a step.
    learning_rates_ : ndarray of shape (n_rounds,)
        Assisted learning rates, multiplied by `learning_rate`.
    baseline_prediction_ : ndarray of shape (n_outputs,)
        Raw prediction before the first round, in link space.
    train_loss_ : ndarray of shape (n_rounds + 1,)
        Overarching loss on the training rows, before the first round and after each round.
        With cross-fitting, it is the loss of the out-of-fold predictions on which weights
        and rates were chosen.
    validation_loss_ : ndarray of shape (n_rounds + 1,) or (0,)
        Overarching loss that early stopping monitors, before the first round and after each
        round. With cross-fitting, it is the loss of out-of-fold predictions of the training
        rows whose weights and rates were chosen on other folds; the last entry is that of
        `oof_prediction_`. It is empty without early stopping.
    interaction_strength_ : ndarray of shape (n_organizations, n_organizations)
        By how much each organization (diagonal) and each pair has decreased `train_loss_`,
        in proportion to what their functions explained of the pseudo-residuals. Each pair
        has half of its decrease in either of its places, so that the sum over all is the
        decrease from the first to the last entry of `train_loss_`.
    oof_prediction_ : ndarray, shaped like y
        Out-of-fold predictions of the training rows. No model, weight or rate that predicts
        a row was fitted to it or chosen on it. NaN for rows of weight 0. Defined only with
        cross-fitting.
    stop_reason_ : str
        Why the fit ended: "max_iter", "no_descent" (no step along the assisted direction
        lowers the loss), "constant_target" (y is constant), "early_stopping" (the
        validation loss no longer improves), or "callback" (a callback asked for it).
    patterns_ : ndarray of bool of shape (n_patterns, n_organizations)
        Combinations of organizations that have separate weights and rates. The first one
        consists of all organizations, and there are others only with
        ``missing_rows="abstain"``. A row is predicted by the largest combination of
        organizations that have the row.
    pattern_weights_ : ndarray of shape (n_rounds, n_patterns, n_organizations)
        Assistance weights of each pattern. Those of the first one are `weights_`.
    pattern_learning_rates_ : ndarray of shape (n_rounds, n_patterns)
        Assisted learning rates of each pattern, multiplied by `learning_rate`. Those of the
        first one are `learning_rates_`.
    organization_names_ : list of str
        Names of the organizations.
    columns_ : list of ndarray of int
        Positions of the columns of each organization.
    label_holder_ : str
        Name of the organization that holds y.
    privacy_spent_ : Bunch
        Privacy budget that each row has spent, with `privacy` only: the number of perturbed
        residuals of the row that assistors received (`n_rounds`), the budget of each
        (`epsilon_per_round`), and the total by basic composition (`epsilon`) and by
        advanced composition (`epsilon_advanced`), which holds up to a probability of
        `delta` = 1e-6. With two folds or ``cv=None``, a row's residual is sent once in a
        round. With K folds it is sent K - 1 times, and with ``interactions=True`` again for
        each gate. Budgets are infinite if the mechanism guarantees none.
    n_iter_ : int
        Number of rounds. If it is 0, no step lowered the loss, and the model predicts the
        baseline.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X. Defined only if all of them are strings.

    Other Parameters
    ----------------
    early_stopping : bool or "auto", default="auto"
        Whether to stop when the validation loss no longer improves. With cross-fitting,
        this is the loss of out-of-fold predictions of the training rows, see
        `validation_loss_`. Otherwise, some rows are held out to compute it. "auto" enables
        early stopping with cross-fitting, and without it from 10,000 rows on.
    n_iter_no_change : int, default=10
        Number of rounds without improvement after which early stopping ends the fit.
    tol : float, default=1e-7
        Decrease of the validation loss that counts as an improvement, as a fraction of the
        loss before the first round.
    validation_fraction : int or float, default=0.1
        Number or fraction of rows to hold out for early stopping without cross-fitting.
    weights : {"optimal", "nonnegative", "optimal_absolute", "uniform"} or callable, \
            default="optimal"
        Method to choose the assistance weights of the functions that the organizations have
        fitted in a round.

        - "optimal": without held-out rows, non-negative weights that sum to one and
          minimise the squared error to the pseudo-residual, as in the paper. With
          cross-fitting or ``subsample < 1``, the weights of "nonnegative" among the
          functions that are descent directions. The others get weight 0.
        - "nonnegative": non-negative least squares without the constraint on the sum. The
          solution is divided by its sum. The weights are more even if each organization
          explains another part of the residual.
        - "optimal_absolute": weights that sum to one and minimise the absolute error. This
          is a linear programme whose size grows with the number of rows. With held-out rows
          it is restricted to descent directions.
        - "uniform": equal weights.
        - callable ``(residual, fitted, sample_weight) -> weights``: receives arrays of
          shapes (n_samples, n_outputs), (n_samples, n_functions, n_outputs) and
          (n_samples,) or None, and returns an array of shape (n_functions,). Without
          interactions, there is one function per organization.
    line_search : bool, default=True
        Whether to search the rate with the smallest overarching loss in each round. Fitting
        stops when no step lowers the loss. With cross-fitting, with interactions, or if
        each round draws a new subsample, it stops after eleven such rounds in a row, with
        `privacy` after three.
    subsample : float, default=1.0
        Fraction of the rows that is drawn at random to fit each round. If it is less than
        1, weights and rate are chosen on the other rows, and `cv` must be "auto" or None.
    share_models : bool, default=False
        Whether each organization keeps a single model instead of one per round ("deep
        model sharing"). The model is refitted in each round, to the residuals of all rounds
        so far. Its estimator must support two-dimensional targets.
    warm_start : bool, default=False
        If True, `fit` continues the previous fit up to `max_iter` rounds in total. New
        organizations can be appended, with columns that follow those of the previous fit.
    verbose : int, default=0
        If positive, print a line per round.

    See Also
    --------
    GALClassifier : Gradient Assisted Learning for classification.
    make_organizations : Distribute columns among organizations at random.

    Notes
    -----
    The raw prediction is ``F(x) = F0 + sum_t rate_t sum_m w_tm f_tm(x_m)``, see
    equations 1 to 4 of the paper. With cross-fitting, ``f_tm`` is the mean over the chains.
    With interactions, a round has several functions of an organization, and some of them
    are multiplied by a gate. Several outputs share weights and rates, so their
    targets should have similar scales.

    An estimator always receives its columns as a table, even a single column. Organizations
    can have columns in common, and columns of X that are not listed are not used. With
    several outputs, an estimator that supports two-dimensional targets is fitted once, and
    any other estimator is cloned for each output. The seed of a local fit depends only on
    `random_state`, the organization and the number of the request to it, which is the round
    if there are no interactions.

    With cross-fitting or ``subsample < 1``, "optimal" and "optimal_absolute" weights are
    restricted to the functions whose inner product with the pseudo-residual exceeds one
    standard error. If there are none, they are restricted to those with a positive inner
    product. With several outputs, there is no restriction.

    With cross-fitting, each round is judged. Each half of the rows is moved by weights and
    a rate that the other half chooses. If this does not lower the loss, the round makes no
    step: its weights and its rate are 0. Early stopping does not remove the latest rounds.

    With ``missing_rows="abstain"``, the label holder fits an additional model in each round
    to its residual without assistance, for rows that assistors do not have. The label
    holder's entries of `pattern_weights_` include the weights of these models.

    With `privacy`, all assistors receive the same perturbed residual, and the label holder
    uses the exact one for its own model, the weights and the rate. With
    ``interactions=True``, each product of the residual and a gate has separate noise.

    Estimators that work with ``share_models=True`` are neural networks, forests, trees,
    nearest neighbours and linear models. A subsample is then the same in all rounds. After
    the last round, weights and rates are chosen again for the final models.

    The method of the paper itself is that of ``interactions=False, cv=None``.

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
    _target_shape: tuple[int, ...]
    _elsewhere = "predict_set", "A regressor predicts intervals: call predict_interval."

    def __init__(
        self,
        organizations=None,
        *,
        label_holder=None,
        loss="squared_error",
        max_iter=None,
        learning_rate="auto",
        cv="auto",
        interactions="auto",
        missing_rows="error",
        privacy=None,
        n_jobs=None,
        random_state=None,
        early_stopping="auto",
        n_iter_no_change=10,
        tol=1e-7,
        validation_fraction=0.1,
        weights="optimal",
        line_search=True,
        subsample=1.0,
        share_models=False,
        warm_start=False,
        verbose=0,
    ):
        self.organizations = organizations
        self.label_holder = label_holder
        self.loss = loss
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.cv = cv
        self.interactions = interactions
        self.missing_rows = missing_rows
        self.privacy = privacy
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.validation_fraction = validation_fraction
        self.weights = weights
        self.line_search = line_search
        self.subsample = subsample
        self.share_models = share_models
        self.warm_start = warm_start
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _validate_target(self, y):
        try:
            return check_array(
                y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self
            )
        except ValueError as error:
            if has_text(np.asarray(y)):
                add_to_message(error, "y has strings. For classes, use GALClassifier.")
            raise

    def _encode_target(self, y, sample_weight, continued):
        """Target (n_samples, n_outputs), strata and weights of the rows."""
        shape = y.shape[1:]
        if continued and shape != self._target_shape:
            raise ValueError(
                "y must have the shape of the previous fit, "
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
            Predicted target, in the units of y.
        """
        check_is_fitted(self)
        return self._to_predictions(self._raw(X))

    @available_unless_refused(check_held_out_scores)
    def predict_interval(
        self, X, coverage=0.9, *, groups=None, training_groups=None
    ) -> np.ndarray:
        """Predict intervals that contain the target with a given probability.

        The probability is that of new rows that come from where the training rows come
        from. It holds on average over such rows, or over those of each group. Only fits
        with cross-fitting have intervals, because their width follows from out-of-fold
        predictions of the training rows. The user guide describes the method.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Rows to predict.
        coverage : float, default=0.9
            Probability with which an interval contains the target, between 0 and 1. The
            target is below and above the interval with half of the remaining probability.
        groups : array-like of shape (n_samples,), default=None
            Group of each row to predict. Intervals are then computed for each group from
            its training rows, and have the probability in each group.
        training_groups : array-like of shape (n_training_samples,), default=None
            Group of each row that was given to `fit`, in the same order. Required with
            `groups`.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2) or (n_samples, 2, n_outputs)
            Lower and upper ends, in the units of y. With a two-dimensional target, each
            output has an interval with this probability. Infinite, with a warning, if
            there are too few training rows for the coverage.

        Raises
        ------
        AttributeError
            If the fit has no out-of-fold predictions.
        ValueError
            If `coverage` or the groups are invalid.

        Notes
        -----
        With ``missing_rows="abstain"``, a row that organizations do not have gets the
        interval of its pattern, which is computed from predictions without these
        organizations. Each training row counts once, whatever its weight, and rows of
        weight 0 do not count. After a warm start with other rows or folds than before,
        models may have seen some of the rows, and intervals can be too narrow.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_gal import GALRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> organizations = [("practice", None, [0, 1, 2, 3]), ("lab", None, [4, 5, 6, 7])]
        >>> model = GALRegressor(organizations, random_state=0).fit(X[:400], y[:400])
        >>> model.predict_interval(X[400:], coverage=0.8).shape
        (42, 2)
        """
        raw, alike = self._raw_and_scores(X, coverage, groups, training_groups)
        prediction, scale = self._inverse_link(raw), self._error_scale(raw)
        interval = np.empty((len(raw), 2, raw.shape[1]))
        for rows, part in alike:
            scores = part.scores[0]
            offsets = np.stack(ends(scores, coverage))
            if np.isinf(offsets).any():
                effect = "the ends of its interval are infinite"
                warn_of_too_few(len(scores), coverage, 2, effect)
            offsets = scale[rows, None] * offsets
            # targets with this very residual are inside in spite of rounding
            margin = _ROUNDING * (np.abs(prediction[rows, None]) + np.abs(offsets))
            margin[:, 0] *= -1
            interval[rows] = prediction[rows, None] + offsets + margin
        if hasattr(self._model.loss, "error_scale"):  # targets are not negative
            interval = np.maximum(interval, 0.0)
        return interval.reshape(len(raw), 2, *self._target_shape)

    def _scores(self, train, pattern):
        """Return scores in units of the expected error, as `residual_scores` does."""

        def residual(raw):
            return (train.rows.y - self._inverse_link(raw)) / self._error_scale(raw)

        n_parts = len(train.judged.values)
        return residual_scores(
            residual(train.judged.of_pattern(pattern)),
            np.stack([residual(raw) for raw in train.values[pattern]]),
            train.chains.numbers,
            1 - 1 / n_parts,
        )

    def _error_scale(self, raw):
        loss = self._model.loss
        return loss.error_scale(raw) if hasattr(loss, "error_scale") else np.ones_like(raw)

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
            yield self._to_predictions(raw)

    @property
    def oof_prediction_(self) -> np.ndarray:
        """Out-of-fold predictions of the training rows, shaped like y."""
        return self._to_predictions(self._held_out_raw())

    def _to_predictions(self, raw):
        return self._inverse_link(raw).reshape(len(raw), *self._target_shape)

    def _inverse_link(self, raw):
        loss = self._model.loss
        return loss.inverse_link(raw) if hasattr(loss, "inverse_link") else raw
