"""scikit-learn's own checks."""

import pytest
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
    estimator_checks_generator,
)

from sklearn_gal import GALClassifier, GALRegressor

ESTIMATORS = [GALRegressor, GALClassifier]
# in many of the checks the target is noise
pytestmark = pytest.mark.filterwarnings("ignore:The fit ended without a round")


# the checks bring X with 1 to 30 columns
def second(X):
    return [1 % X.shape[1]]


def others(X):
    return slice(min(2, X.shape[1] - 1), None)


ORGANIZATIONS = {
    "defaults": None,
    "two ridges": [("a", Ridge(), slice(0, 1)), ("b", Ridge(), slice(1, None))],
    "mixed": [
        ("a", Ridge(), [0]),
        ("b", LGBMRegressor(n_estimators=3, num_leaves=4, verbosity=-1), second),
        ("c", make_pipeline(StandardScaler(with_mean=False), SVR()), others),
    ],
}
# the defaults have the default number of rounds
MAX_ITER = {"two ridges": 8, "mixed": 2}
COUNTS_ROWS = (
    "LightGBM bins values and limits leaves by the number of rows, whatever their weights, "
    "so repeating a row is not the same to it as weighting it"
)
GATES = (
    "the thresholds of gates are quantiles of the rows, whatever their weights, so "
    "repeating a row is the same as weighting it only with interactions=False"
)
EXPECTED_FAILURES = {
    name: {
        "check_sample_weight_equivalence_on_dense_data": reason,
        "check_sample_weight_equivalence_on_sparse_data": reason,
    }
    for name, reason in (
        ("defaults", COUNTS_ROWS),
        ("two ridges", GATES),
        ("mixed", COUNTS_ROWS),
    )
}


def all_checks():
    for name, organizations in ORGANIZATIONS.items():
        for gal in ESTIMATORS:
            model = gal(organizations)
            if organizations is not None:
                model.set_params(max_iter=MAX_ITER[name])
            for number, (estimator, check) in enumerate(estimator_checks_generator(model)):
                check_name = getattr(check, "func", check).__name__
                reason = EXPECTED_FAILURES[name].get(check_name)
                marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
                label = f"{gal.__name__}-{name}-{check_name}-{number}"
                yield pytest.param(estimator, check, id=label, marks=marks)


# the checks themselves mix data frames and arrays, and bring classes with few rows
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("estimator", "check"), list(all_checks()))
def test_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("gal", ESTIMATORS)
@pytest.mark.parametrize(
    "check",
    [
        check_sample_weight_equivalence_on_dense_data,
        check_sample_weight_equivalence_on_sparse_data,
    ],
    ids=["dense", "sparse"],
)
def test_weighting_a_row_is_repeating_it(gal, check):
    check(gal.__name__, gal(ORGANIZATIONS["two ridges"], interactions=False))


@pytest.mark.parametrize("gal", ESTIMATORS)
@pytest.mark.parametrize("name", ORGANIZATIONS)
def test_column_names(gal, name):
    model = gal(ORGANIZATIONS[name], max_iter=3)
    check_dataframe_column_names_consistency(gal.__name__, model)
