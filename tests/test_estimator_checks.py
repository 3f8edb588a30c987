"""scikit-learn's own checks."""

import pytest
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from sklearn_gal import GALClassifier, GALRegressor

ESTIMATORS = [GALRegressor, GALClassifier]


# the checks bring X with 1 to 30 columns
def first(X):
    return [0]


def second(X):
    return [1 % X.shape[1]]


def others(X):
    return slice(min(2, X.shape[1] - 1), None)


def defaults():
    return None


def two_ridges():
    return [("a", Ridge(), slice(0, 1)), ("b", Ridge(), slice(1, None))]


def mixed():
    return [
        ("a", Ridge(), first),
        ("b", LGBMRegressor(n_estimators=3, num_leaves=4, verbosity=-1), second),
        ("c", make_pipeline(StandardScaler(with_mean=False), SVR()), others),
    ]


def expected_failures(estimator):
    if not estimator.organizations or len(estimator.organizations) < 3:
        return {}
    reason = (
        "LightGBM bins values and limits leaves by the number of rows, whatever their "
        "weights, so repeating a row is not the same to it as weighting it"
    )
    return {
        "check_sample_weight_equivalence_on_dense_data": reason,
        "check_sample_weight_equivalence_on_sparse_data": reason,
    }


@parametrize_with_checks(
    [gal(organizations()) for gal in ESTIMATORS for organizations in (defaults, two_ridges)]
)
# the checks' own: data frames with mixed column types, few rows for a class
@pytest.mark.filterwarnings("default")
def test_checks(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [gal(mixed(), max_iter=5) for gal in ESTIMATORS],
    expected_failed_checks=expected_failures,
)
@pytest.mark.filterwarnings("default")
def test_checks_of_mixed_organizations(estimator, check):
    check(estimator)


@pytest.mark.parametrize("gal", ESTIMATORS)
@pytest.mark.parametrize("organizations", [defaults, two_ridges, mixed])
def test_column_names(gal, organizations):
    check_dataframe_column_names_consistency(gal.__name__, gal(organizations()))
