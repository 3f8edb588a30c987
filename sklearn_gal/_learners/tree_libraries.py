"""SHAP values of trees of XGBoost and CatBoost, by these libraries."""

import numpy as np

from .explained import Explanation

# Objectives of XGBoost and losses of CatBoost whose prediction is the sum over trees
IDENTITY_OF_XGBOOST = {
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "reg:squarederror",
}
IDENTITY_OF_CATBOOST = {
    "Expectile",
    "Huber",
    "Lq",
    "MAE",
    "MAPE",
    "MultiRMSE",
    "Quantile",
    "RMSE",
}
# Rounding is at most this share of the largest prediction.
MAX_LOST = 1e-4


def explain_trees(model, view):
    """SHAP values of a fitted regressor of XGBoost or CatBoost; None of another model.

    XGBoost adds in single precision. What is lost is spread over the columns.
    """
    library = type(model).__module__.partition(".")[0]
    if library == "xgboost" and getattr(model, "objective", None) in IDENTITY_OF_XGBOOST:
        values = _of_xgboost(model, view)
    elif library == "catboost" and _loss_of(model) in IDENTITY_OF_CATBOOST:
        values = _of_catboost(model, view)
    else:
        return None
    prediction = np.asarray(model.predict(view), dtype=np.float64)
    prediction = prediction.reshape(len(prediction), -1)
    values = np.asarray(values, dtype=np.float64)
    values = values.reshape(*prediction.shape, -1)
    base, values = values[0, :, -1], values[:, :, :-1]
    lost = prediction - base - values.sum(axis=2)
    if np.abs(lost).max() > MAX_LOST * np.abs(prediction).max():
        return None  # it predicts something else
    values = values + (lost / values.shape[2])[:, :, None]
    return Explanation.exact(np.swapaxes(values, 1, 2), base)


def _of_xgboost(model, view):
    import xgboost

    matrix = xgboost.DMatrix(
        view, missing=model.missing, enable_categorical=model.enable_categorical
    )
    return model.get_booster().predict(matrix, pred_contribs=True)


def _loss_of(model):
    return str(model.get_all_params().get("loss_function", "")).partition(":")[0]


def _of_catboost(model, view):
    import catboost

    pool = catboost.Pool(view, cat_features=model.get_cat_feature_indices())
    return model.get_feature_importance(pool, type="ShapValues")
