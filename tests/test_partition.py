import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_gal import GALRegressor, make_organizations
from sklearn_gal.privacy import LaplaceMechanism

NAMES = ["age", "income", "balance", "visits"]
X = np.arange(48.0).reshape(12, 4) ** 0.5
Y = np.arange(12.0)


def resolve(columns, data=None):
    data = pd.DataFrame(X, columns=NAMES) if data is None else data
    model = GALRegressor([("bank", Ridge(), columns)], max_iter=1)
    return model.fit(data, Y).columns_[0].tolist()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("income", [1]),
        (2, [2]),
        (-1, [3]),
        (np.int64(2), [2]),
        (["visits", "age"], [3, 0]),
        ([3, 0], [3, 0]),
        (np.array([3, 0]), [3, 0]),
        (pd.Index(["visits", "age"]), [3, 0]),
        (slice(1, 3), [1, 2]),
        (slice("income", "balance"), [1, 2]),
        (slice(None, "income"), [0, 1]),
        ([True, False, False, True], [0, 3]),
        (np.array([True, False, False, True]), [0, 3]),
        (make_column_selector(pattern="^b|^v"), [2, 3]),
        (lambda X: X.columns[:2], [0, 1]),
        (("age", 2), [0, 2]),
    ],
)
def test_column_selections(columns, expected):
    assert resolve(columns) == expected


def test_polars_names():
    assert resolve(["balance"], pl.DataFrame(X, schema=NAMES)) == [2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("wage", r"'bank' names column 'wage', which X does not have.*\['age'"),
        (4, "'bank' lists column 4, but X has only n_features = 4"),
        (-5, "'bank' lists column -5"),
        ([], r"'bank' holds no columns: \[\] selects none"),
        (slice(4, None), "'bank' holds no columns"),
        ([False] * 4, "'bank' holds no columns"),
        ([True], "mask of organization 'bank' has 1 entries, but X has 4 columns"),
        ([1, 1], "'bank' lists column 'income' more than once"),
        (["age", 0], "'bank' lists column 'age' more than once"),
        ([1.5], "'bank' lists column 1.5, which is neither"),
        (1.5, "The columns of organization 'bank' must be a name"),
        (None, "The columns of organization 'bank' must be a name"),
        (True, "The columns of organization 'bank' must be a name"),
    ],
)
def test_bad_selections_name_the_organization(columns, message):
    with pytest.raises(ValueError, match=message):
        resolve(columns)


def test_a_misspelt_name_has_a_suggestion():
    with pytest.raises(ValueError, match=r"'incom', .*Did you mean 'income'\? The columns"):
        resolve(["age", "incom"])
    with pytest.raises(ValueError, match=r"which X does not have\. The columns of X are"):
        resolve("wage rise")


def test_organizations_whose_names_are_lost_are_named_in_one_sentence():
    held = [("a", Ridge(), ["age"]), ("b", Ridge(), [9]), ("c", Ridge(), "visits")]
    frame = pd.DataFrame(X, columns=NAMES)
    pipeline = make_pipeline(SimpleImputer(), GALRegressor(held))
    together = (
        r"^Organization 'b' lists column 9.*\nThe organizations 'a' and 'c' name columns, "
        r"e\.g\. 'age', but X has no column names: .* set_output\(transform='pandas'\)\.$"
    )
    with pytest.raises(ValueError, match=together):
        pipeline.fit(frame, Y)
    held[1] = ("b", Ridge(), "income")
    pipeline.set_params(galregressor__organizations=held)
    with pytest.raises(ValueError, match=r"^The organizations 'a', 'b' and 'c' name"):
        pipeline.fit(frame, Y)
    pipeline.set_output(transform="pandas").fit(frame, Y)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}),
    ],
)
def test_the_classifier_in_an_estimator_is_named(estimator):
    with pytest.raises(ValueError, match=r"a classifier, .*Ridge\(\) instead of Logistic"):
        GALRegressor([("a", estimator, [0])]).fit(X, Y)


def test_names_need_a_frame():
    with pytest.raises(
        ValueError, match="'bank' names column 'age', but X has no column names"
    ):
        resolve("age", X)


@pytest.mark.parametrize(
    ("organizations", "message"),
    [
        ([], "non-empty list"),
        ("bank", "non-empty list"),
        ([("bank", Ridge())], r"organizations\[0\] must be a tuple"),
        ([(1, Ridge(), 0)], r"name of organizations\[0\] must be a non-empty string"),
        ([("a__b", Ridge(), 0)], "'a__b' must not contain '__'"),
        ([("loss", Ridge(), 0)], "'loss' is that of a parameter: rename it"),
        ([("a", Ridge(), 0), ("a", Ridge(), 1)], "Two organizations have the name 'a'"),
        ([("a", LogisticRegression(), 0)], "'a' is a classifier, LogisticRegression"),
        ([("a", StandardScaler(), 0)], "'a', StandardScaler, is not a regressor"),
        ([("a", Ridge, 0)], "'a' must be a regressor instance or None"),
        ([("a", "ridge", 0)], "'a' must be a regressor instance or None"),
    ],
)
def test_bad_lists(organizations, message):
    with pytest.raises(ValueError, match=message):
        GALRegressor(organizations).fit(X, Y)


class WithoutTags:
    def get_params(self, deep=True):
        return {}

    def set_params(self):
        return self

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.skipif(
    sklearn.__version__.startswith("1.6"), reason="scikit-learn 1.6 has fallback tags"
)
def test_an_estimator_without_tags():
    with pytest.raises(ValueError, match="'a', WithoutTags, has no tags: let its class"):
        GALRegressor([("a", WithoutTags(), 0)]).fit(X, Y)


@pytest.mark.parametrize("label_holder", [None, "b"])
def test_an_empty_label_holder(label_holder):
    held = [("a", Ridge(), [0]), ("b", Ridge(), [])]
    held = held[::-1] if label_holder is None else held
    model = GALRegressor(held, label_holder=label_holder, privacy=LaplaceMechanism(1.0))
    with pytest.raises(ValueError, match=r"'b' holds no columns.*it is the label holder"):
        model.fit(X, Y)
    other = GALRegressor(held, label_holder="a")
    with pytest.raises(ValueError, match=r"'b' holds no columns.*Remove the organization"):
        other.fit(X, Y)


def test_organizations_may_share_a_column():
    model = GALRegressor([("a", Ridge(), [0, 1]), ("b", Ridge(), [1, 2])]).fit(X, Y)
    assert [columns.tolist() for columns in model.columns_] == [[0, 1], [1, 2]]


def test_make_organizations_partitions_the_columns():
    for kind in (X, pd.DataFrame(X), pd.DataFrame(X, columns=NAMES)):
        organizations = make_organizations(kind, 3, Ridge(), random_state=0)
        assert [len(columns) for _, _, columns in organizations] == [2, 1, 1]
        assert [name for name, _, _ in organizations][2] == "organization_2"
        model = GALRegressor(organizations, max_iter=1).fit(kind, Y)
        assert_array_equal(np.sort(np.concatenate(model.columns_)), np.arange(4))
    assert isinstance(organizations[0][2][0], str)


def test_make_organizations_deals_out_estimators():
    ridge = Ridge()
    organizations = make_organizations(X, 3, [ridge, None], random_state=0)
    assert [estimator for _, estimator, _ in organizations] == [ridge, None, ridge]


def test_make_organizations_random_state():
    first, again, other = (
        make_organizations(np.zeros((2, 30)), random_state=s) for s in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(("number", "message"), [(5, "too few"), (0, "positive int")])
def test_make_organizations_bad_number(number, message):
    with pytest.raises(ValueError, match=message):
        make_organizations(X, number)
