"""Parameters of LightGBM for which tests show how a learner can train."""

from lightgbm import LGBMRegressor

# Defaults of the constructor
DEFAULTS = LGBMRegressor().get_params()
# Objectives that take any real number for a label. The others refuse most residuals; clone
# and fit shows LightGBM's error message.
OBJECTIVES = {
    None,
    "fair",
    "huber",
    "l1",
    "l2",
    "mae",
    "mean_absolute_error",
    "mean_squared_error",
    "mse",
    "quantile",
    "regression",
    "regression_l1",
    "regression_l2",
    "rmse",
}
# Parameters in addition to those of the constructor, for which a test shows that the trees
# are the same.
OTHER_PARAMETERS = {
    "alpha",
    "bagging_seed",
    "boost_from_average",
    "cat_l2",
    "cat_smooth",
    "data_random_seed",
    "data_sample_strategy",
    "deterministic",
    "enable_bundle",
    "extra_seed",
    "extra_trees",
    "fair_c",
    "feature_contri",
    "feature_fraction_bynode",
    "feature_fraction_seed",
    "force_col_wise",
    "force_row_wise",
    "interaction_constraints",
    "max_bin",
    "max_cat_threshold",
    "max_cat_to_onehot",
    "max_delta_step",
    "min_data_in_bin",
    "min_data_per_group",
    "monotone_constraints",
    "monotone_constraints_method",
    "monotone_penalty",
    "other_rate",
    "path_smooth",
    "top_rate",
    "use_missing",
    "verbose",
    "verbosity",
    "zero_as_missing",
}
# All parameters that an estimator of `BoosterLearner` may have
LIGHTGBM_PARAMETERS = DEFAULTS.keys() | OTHER_PARAMETERS
# Objectives whose gradient is the residual with reversed sign
SQUARED_ERROR = {None, "l2", "mean_squared_error", "mse", "regression", "regression_l2"}
# Parameters with which a single tree depends on nothing but the columns and the gradient
SINGLE_TREE_PARAMETERS = {
    "boost_from_average",
    "cat_l2",
    "cat_smooth",
    "data_random_seed",
    "enable_bundle",
    "feature_contri",
    "force_col_wise",
    "force_row_wise",
    "max_bin",
    "max_cat_threshold",
    "max_cat_to_onehot",
    "min_data_in_bin",
    "min_data_per_group",
    "verbose",
    "verbosity",
}
