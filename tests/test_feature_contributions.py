"""Contributions of single columns to predictions."""

import pickle
from functools import cache
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, make_friedman1
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.svm import SVR

from sklearn_gal import GALClassifier, GALRegressor, _method
from sklearn_gal._contract import Bound
from sklearn_gal._kept_rows import KeptRows
from sklearn_gal._method.gates import StumpGate
from sklearn_gal._organizations.local import LocalOrganization

COLUMNS = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}


def friedman(n_samples=300, random_state=0):
    X, y = make_friedman1(n_samples, noise=0.1, random_state=random_state)
    return X[:, :6], y


def organizations(*estimators):
    estimators = estimators * 3 if len(estimators) == 1 else estimators
    names = COLUMNS.items()
    return [(n, e, c) for (n, c), e in zip(names, estimators, strict=True)]


def assert_sums_to_raw(model, X, **params):
    explained = model.feature_contributions(X, **params)
    total = explained.values.sum(axis=1) + explained.base_values
    np.testing.assert_allclose(total, model._raw(X), rtol=0, atol=1e-9)
    return explained


def owen_values(value, columns):
    """Mean marginal contributions over all orders that keep organizations together.

    `value` takes a frozenset of columns.
    """
    orders = [
        [column for part in inner for column in part]
        for outer in permutations(columns)
        for inner in product(*(list(permutations(part)) for part in outer))
    ]
    values = np.zeros((sum(map(len, columns)), *np.shape(value(frozenset()))))
    for order in orders:
        known = frozenset()
        for column in order:
            values[column] += value(known | {column}) - value(known)
            known |= {column}
    return values / len(orders)


def expected_leaf(node, x, known):
    """What a tree predicts if only some columns are known (path-dependent)."""
    if "leaf_value" in node:
        return node["leaf_value"]
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        is_left = x[node["split_feature"]] <= node["threshold"]
        return expected_leaf(left if is_left else right, x, known)
    n_left, n_right = (
        each.get("internal_count", each.get("leaf_count")) for each in (left, right)
    )
    total = n_left * expected_leaf(left, x, known) + n_right * expected_leaf(
        right, x, known
    )
    return total / (n_left + n_right)


def with_bound(node, bound):
    """A tree with bounded leaves."""
    if "leaf_value" in node:
        return node | {"leaf_value": bound(node["leaf_value"])}
    children = {
        name: with_bound(node[name], bound) for name in ("left_child", "right_child")
    }
    return node | children


class BruteForce:
    """The value of a set of columns, from the definition, for one row."""

    def __init__(self, model, x):
        self.model, self.x = model, x
        self.kept = model._state.kept_rows.table

    def function(self, name, number, bound, known):
        """What the chains of an organization predict, (n_chains,)."""
        columns = COLUMNS[name]
        own = {j for j, column in enumerate(columns) if column in known}
        position = self.model.organization_names_.index(name)
        organization = self.model._model.participants.organizations[position]
        chains = organization.models[number].estimators
        return np.array(
            [self.chain(c, chain, columns, own, bound) for c, chain in enumerate(chains)]
        )

    def chain(self, c, fitted, columns, own, bound):
        def bounded(value):
            if bound is None:
                return value
            if bound.threshold is not None:
                return 1.0 if value > bound.threshold[c, 0, 0] else -1.0
            return float(np.clip(value * bound.scale[c, 0, 0], -1.0, 1.0))

        x = self.x[columns]
        if isinstance(fitted, Ridge):
            rows = self.kept[:, columns].copy()
            rows[:, list(own)] = x[list(own)]
            return np.mean([bounded(value) for value in fitted.predict(rows)])
        fitted = fitted.to_estimator() if hasattr(fitted, "to_estimator") else fitted
        (tree,) = fitted.booster_.dump_model()["tree_info"]
        return expected_leaf(with_bound(tree["tree_structure"], bounded), x, own)

    def gate(self, gate, known):
        if hasattr(gate, "column"):
            column = COLUMNS[gate.partner][gate.column]
            if column in known:
                return 1.0 if self.x[column] > gate.threshold else -1.0
            return gate.mean
        return self.function(gate.partner, gate.number, gate.bound, known)

    def __call__(self, known):
        model = self.model._model
        names, total = model.participants.participant_names, model.baseline[0]
        for each in model.rounds:
            coefficients = each.coefficients(0)
            for candidate, coefficient in zip(each.candidates, coefficients, strict=True):
                if coefficient == 0:
                    continue
                name = names[candidate.participant]
                values = self.function(name, candidate.number, None, known)
                if candidate.gate is not None:
                    values = values * self.gate(candidate.gate, known)
                total += coefficient * values.mean()
        return total


@pytest.mark.parametrize("estimator", [None, Ridge()], ids=["trees", "Ridge"])
def test_equals_owen_values_by_brute_force(estimator):
    X, y = friedman()
    model = GALRegressor(organizations(estimator), max_iter=6, cv=2, random_state=0)
    model.fit(X, y)
    gates = [c.gate for each in model._model.rounds for c in each.candidates if c.gate]
    assert {type(gate).__name__ for gate in gates} == {"FunctionGate", "StumpGate"}
    explained = assert_sums_to_raw(model, X[:1])
    value = cache(BruteForce(model, X[0]))
    values = owen_values(value, list(COLUMNS.values()))
    np.testing.assert_allclose(explained.values[0, :, 0], values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(explained.base_values[0, 0], value(frozenset()))


@pytest.mark.parametrize("estimator", [None, Ridge()], ids=["trees", "Ridge"])
def test_with_a_background_it_needs_predictions_only(estimator):
    X, y = friedman()
    model = GALRegressor(organizations(estimator), max_iter=5, cv=3, random_state=0)
    model.fit(X, y)
    background = X[100:103]

    @cache
    def value(known):  # rows of the three organizations are combined at random
        rows = []
        for drawn in product(background, repeat=3):
            row = np.empty(6)
            for part, columns in zip(drawn, COLUMNS.values(), strict=True):
                row[columns] = part[columns]
            row[list(known)] = X[0, list(known)]
            rows.append(row)
        return model.predict(np.array(rows)).mean()

    explained = assert_sums_to_raw(model, X[:1], background=background)
    values = owen_values(value, list(COLUMNS.values()))
    np.testing.assert_allclose(explained.values[0, :, 0], values, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "estimators",
    [
        (LGBMRegressor(n_estimators=3, num_leaves=4, min_child_samples=5, verbose=-1),),
        (make_pipeline(StandardScaler(), SplineTransformer(), Ridge()),),
        (None, Ridge(), make_pipeline(StandardScaler(), KNeighborsRegressor())),
        (make_pipeline(PCA(), Lasso(alpha=0.1)), None, Lasso(alpha=0.1)),
    ],
    ids=["several trees", "pipeline", "mixed", "mixed columns"],
)
def test_sums_to_the_raw_prediction(estimators):
    X, y = friedman()
    model = GALRegressor(organizations(*estimators), max_iter=4, cv=3, random_state=0)
    explained = assert_sums_to_raw(model.fit(X, y), X[:5])
    assert not explained.errors.any()


@pytest.mark.parametrize("interactions", [True, False])
def test_classes(interactions):
    X, y = load_iris(return_X_y=True)
    model = GALClassifier(
        [("a", None, [0, 1]), ("b", Ridge(), [2, 3])],
        interactions=interactions,
        max_iter=6,
        random_state=0,
    ).fit(X, y)
    explained = assert_sums_to_raw(model, X[::10])
    assert explained.values.shape == (15, 4, 3)
    if not interactions:
        shares = model.contributions(X[::10])
        here = explained.values[:, :2].sum(axis=1)
        np.testing.assert_allclose(np.ptp(shares[:, 0] - here, axis=0), 0, atol=1e-9)


def test_abstaining_organizations():
    X, y = friedman(400)
    X[::3, 2:4] = np.nan
    X[::4, 4:] = np.nan
    model = GALRegressor(
        organizations(None, Ridge(), None),
        missing_rows="abstain",
        max_iter=20,
        random_state=0,
    ).fit(X, y)
    explained = assert_sums_to_raw(model, X)
    assert not explained.values[::3, 2:4].any()
    assert not explained.values[::4, 4:].any()
    assert explained.values[1, 2:].any()
    absent = np.isnan(X[:, [2, 4]]) @ [1, 2]
    bases = [explained.base_values[absent == pattern] for pattern in range(4)]
    assert all(np.ptp(base) < 1e-9 for base in bases)
    assert np.ptp([base[0] for base in bases]) > 0


def test_in_process_models():
    X, y = friedman()
    settings = {"cv": None, "interactions": True, "max_iter": 5, "random_state": 0}
    model = GALRegressor(organizations(None, Ridge(), None), **settings).fit(X, y)
    assert_sums_to_raw(model, X[:5])
    model = GALRegressor(
        organizations(Ridge()), share_models=True, max_iter=3, random_state=0
    ).fit(X, y)
    assert_sums_to_raw(model, X[:3])


def table():
    """A table with categories, of which one column is read twice."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.normal(size=400),
            "city": pd.Categorical(rng.choice(list("uvwxyz"), 400)),
            "sex": pd.Categorical(rng.choice(["f", "m"], 400)),
            "income": rng.gamma(2, size=400),
        }
    )
    y = X["age"] * (X["sex"] == "f") + X["city"].isin(["u", "w"]) + np.log(X["income"])
    return X, y + 0.1 * rng.normal(size=400)


def test_columns_with_categories():
    X, y = table()
    encode = make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough")
    model = GALRegressor(
        [("bank", None, ["age", "city"]), ("shop", make_pipeline(encode, Ridge()), [2, 3])],
        random_state=0,
    ).fit(X, y)
    explained = assert_sums_to_raw(model, X.iloc[:20])
    assert explained.feature_names.tolist() == ["age", "city", "sex", "income"]
    assert explained.organization_names.tolist() == ["bank", "bank", "shop", "shop"]
    assert not explained.errors.any()
    assert not explained.is_sum.any()
    importances = model.feature_importances_
    assert importances.shape == (4,)
    assert importances.sum() == pytest.approx(1.0)
    assert (importances > 0.02).all()


def test_sparse_columns():
    X, y = friedman()
    X[X < 0.3] = 0
    model = GALRegressor(
        organizations(None, Ridge(), SVR()), max_iter=3, interactions=False, random_state=0
    )
    dense, csr = (
        assert_sums_to_raw(model.fit(each, y), each[:3])
        for each in (X, sparse.csr_matrix(X))
    )
    np.testing.assert_allclose(dense.values, csr.values, atol=1e-3)  # SVR stops early


@pytest.mark.parametrize("estimator", [None, Ridge()], ids=["trees", "Ridge"])
def test_sparse_rows_of_a_model_of_dense_rows(estimator):
    X, y = friedman()
    X[X < 0.3] = 0
    model = GALRegressor(organizations(estimator), max_iter=6, cv=2, random_state=0)
    model.fit(X, y)
    gates = [c.gate for each in model._model.rounds for c in each.candidates]
    assert any(isinstance(gate, StumpGate) for gate in gates)
    for rows in (sparse.csr_matrix(X[:9]), sparse.csc_array(X[:9])):
        np.testing.assert_allclose(model.predict(rows), model.predict(X[:9]))
        explained = assert_sums_to_raw(model, rows)
        expected = model.feature_contributions(X[:9])
        np.testing.assert_allclose(explained.values, expected.values, atol=1e-9)


def test_dense_rows_of_a_model_of_sparse_rows():
    X, y = friedman(150)
    X[X < 0.3] = 0
    model = GALRegressor(organizations(SVR()), max_iter=3, cv=2, random_state=0)
    explained = assert_sums_to_raw(model.fit(sparse.csr_matrix(X), y), X[:3])
    expected = model.feature_contributions(sparse.csr_matrix(X[:3]))
    np.testing.assert_allclose(explained.values, expected.values, atol=1e-9)


def test_many_columns_are_estimated_with_errors():
    X, y = load_diabetes(return_X_y=True)
    estimator = make_pipeline(StandardScaler(), SVR(C=100))
    columns = [("a", estimator, list(range(8))), ("b", None, [8, 9])]
    model = GALRegressor(columns, max_iter=1, cv=2, interactions=False, random_state=0)
    model.fit(X[:150], y[:150])
    explained = assert_sums_to_raw(model, X[:2])
    assert (explained.errors[:, :8] > 0).any()
    assert not explained.errors[:, 8:].any()
    few = GALRegressor(
        [("a", estimator, list(range(6)))], max_iter=1, cv=2, random_state=0
    ).fit(X[:150], y[:150])
    assert not few.feature_contributions(X[:1]).errors.any()


class Counting:
    """It counts the rows that it predicts."""

    n_rows = 0

    def predict(self, X):
        type(self).n_rows += len(X)
        return super().predict(X)


class CountingSVR(Counting, SVR):
    """Of one output."""


class CountingRidge(Counting, Ridge):
    """Of several outputs."""


@pytest.mark.parametrize("share_models", [False, True])
def test_what_functions_predict_without_columns_is_a_mean(share_models, monkeypatch):
    X, y = friedman(150)
    estimator = CountingRidge() if share_models else CountingSVR()
    model = GALRegressor(
        organizations(estimator), max_iter=2, cv=2, share_models=share_models
    )
    model.set_params(random_state=0).fit(X, y)
    organization = model._model.participants.organizations[1]
    bound = Bound(threshold=np.zeros((2, 1, 1)))
    functions = [(0, None), (0, bound)]
    background = model._state.kept_rows.table, False
    monkeypatch.setattr(type(estimator), "n_rows", 0)
    expected = organization.expect(functions, background)
    n_models = 2 if share_models else 4  # one of each chain has several outputs
    assert type(estimator).n_rows == n_models * 100
    each = organization.predict_each(background[0], [0])[0]
    means = [each.mean(axis=1), bound(each).mean(axis=1)]
    np.testing.assert_allclose(expected, means, rtol=0, atol=1e-12)


def test_functions_are_expected_once_for_all_rows(monkeypatch):
    X, y = friedman()
    X[::3, 2:4] = np.nan
    model = GALRegressor(
        organizations(None, Ridge(), None),
        missing_rows="abstain",
        max_iter=8,
        random_state=0,
    ).fit(X, y)
    whole = model.feature_contributions(X)
    asked, expect = [], LocalOrganization.expect

    def recorded(self, functions, background):
        bounds = (None if bound is None else id(bound) for _, bound in functions)
        asked.extend((self.name, n, b) for (n, _), b in zip(functions, bounds, strict=True))
        return expect(self, functions, background)

    monkeypatch.setattr(LocalOrganization, "expect", recorded)
    monkeypatch.setattr(_method.model, "MAX_BLOCK_BYTES", 20_000)
    in_blocks = model.feature_contributions(X)
    assert len(asked) == len(set(asked)) > 0
    np.testing.assert_allclose(in_blocks.values, whole.values, rtol=0, atol=1e-12)


def test_importances_select_columns():
    X, y = friedman()
    model = GALRegressor(organizations(None), max_iter=10, random_state=0)
    chosen = SelectFromModel(model, threshold="mean").fit(X, y).get_support()
    assert chosen[3]
    assert not chosen[5]
    assert model.fit(X, y).feature_importances_.argmax() == 3


def test_importances_are_those_of_the_kept_rows_and_computed_once(monkeypatch):
    X, y = friedman(150)
    model = GALRegressor(organizations(None), max_iter=3, warm_start=True, random_state=0)
    model.fit(X, y)
    rows = model._state.kept_rows.table
    explained = model.feature_contributions()
    np.testing.assert_array_equal(explained.data, rows)
    importances = model.feature_importances_
    np.testing.assert_allclose(
        importances, explained.importances / explained.importances.sum()
    )
    of_all = model.set_params(max_iter=4).fit(X, y).feature_importances_
    assert np.abs(of_all - importances).max() > 1e-6  # not those of the fit before
    monkeypatch.setattr(GALRegressor, "feature_contributions", None)
    np.testing.assert_array_equal(model.feature_importances_, of_all)


def test_column_of_two_organizations_and_of_none():
    X, y = friedman()
    model = GALRegressor([("a", None, [0, 3]), ("b", None, [3, 4])], max_iter=5)
    explained = assert_sums_to_raw(model.fit(X, y), X[:5])
    assert explained.organization_names.tolist() == ["a", "", "", "a + b", "b", ""]
    assert not explained.values[:, [1, 2, 5]].any()


def test_rows_that_are_kept_are_in_the_file_of_a_model():
    X, y = table()
    model = GALRegressor([("bank", Ridge(), ["age"]), ("shop", None, [1, 2, 3])])
    model.set_params(max_iter=3, random_state=0).fit(X, y)
    before = model.feature_contributions(X.iloc[:5])
    loaded = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(
        model._state.kept_rows.table.reset_index(drop=True), loaded._state.kept_rows.table
    )
    after = loaded.feature_contributions(X.iloc[:5])
    np.testing.assert_array_equal(before.values, after.values)
    sio = pytest.importorskip("skops.io")
    data = sio.dumps(model)
    loaded = sio.loads(data, trusted=sio.get_untrusted_types(data=data))
    after = loaded.feature_contributions(X.iloc[:5])
    np.testing.assert_array_equal(before.values, after.values)


def test_rows_that_are_kept_have_their_types_in_a_file():
    pa = pytest.importorskip("pyarrow")
    days = pd.to_datetime(["2020-01-01", None, "2021-01-01"])
    words = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pd.DataFrame(
        {
            "number": pd.Series([1, None, 3], dtype="Int64"),
            "text": ["a", None, "b"],
            "day": days,
            "category": pd.Categorical(days, ordered=True),
            "arrow": pd.Series([1.5, 2, None], dtype="double[pyarrow]"),
            "words": pd.array(words, dtype=pd.ArrowDtype(words.type)),
            "price": pd.array([1, None, 2], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
            7: [True, False, True],
        }
    )
    loaded = pickle.loads(pickle.dumps(KeptRows(table))).table
    pd.testing.assert_frame_equal(loaded, table)


def test_rows_that_are_kept_are_some_of_each_organization():
    present = np.ones((5_000, 3), dtype=bool)
    present[:, 1] = False
    present[::40, 1] = True  # 125 rows
    present[1::1000, 2] = False
    X = np.arange(5_000.0)[:, None]
    rows = KeptRows.of(X, present, 0).table[:, 0].astype(int)
    assert len(rows) == len(np.unique(rows)) == 100
    assert present[rows].all()
    present[::40, 0] = False
    rows = KeptRows.of(X, present, 0).table[:, 0].astype(int)
    assert (present[rows].sum(axis=0) >= 100).all()


def test_after_an_organization_has_left():
    X, y = friedman()
    model = GALRegressor(organizations(None, Ridge(), None), max_iter=5).fit(X, y)
    gone = X.copy()
    gone[:, 4:] = np.nan
    explained = assert_sums_to_raw(model.drop_organization("c", gone, y), gone[:5])
    assert explained.organization_names.tolist() == ["a", "a", "b", "b", "", ""]


def test_to_shap():
    shap = pytest.importorskip("shap")
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = GALClassifier([("a", None, [0, 1]), ("b", None, [2, 3])], max_iter=3)
    explained = model.fit(X, y).feature_contributions(X.iloc[:4])
    of_all, of_one = explained.to_shap(), explained.to_shap(1)
    assert isinstance(of_all, shap.Explanation)
    assert of_all.values.shape == (4, 4, 3)
    np.testing.assert_array_equal(of_one.values, explained.values[:, :, 1])
    np.testing.assert_array_equal(of_one.base_values, explained.base_values[:, 1])
    assert list(of_one.feature_names) == list(X.columns)


@pytest.mark.parametrize("library", ["xgboost", "catboost"])
def test_trees_of_other_libraries(library):
    module = pytest.importorskip(library)
    quiet = {"xgboost": {}, "catboost": {"verbose": 0, "allow_writing_files": False}}
    kind = {"xgboost": "XGBRegressor", "catboost": "CatBoostRegressor"}[library]
    settings = {"n_estimators": 3, "max_depth": 2, "random_state": 0} | quiet[library]
    estimator = getattr(module, kind)(**settings)
    X, y = friedman()
    # with more than six columns, any other estimator would have errors
    X = np.hstack([X, X[:, ::-1]])
    model = GALRegressor([("a", estimator, slice(0, 8)), ("b", None, slice(8, 12))])
    model.set_params(interactions=False, cv=2, max_iter=2, random_state=0).fit(X, y)
    explained = assert_sums_to_raw(model, X[:5])
    assert not explained.errors.any()
    assert np.abs(explained.values[:, :8]).sum() > 0


def test_contributions_are_printed_with_the_largest_columns():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X.assign(more=0.0)
    held = [("clinic", Ridge(), [0, 1, 2, 3]), ("lab", Ridge(), slice(4, 11))]
    model = GALRegressor(held, max_iter=2, random_state=0).fit(X, y)
    explained = model.feature_contributions(X[:7])
    title, _, header, *lines, rest = repr(explained).splitlines()
    assert title == "Contributions of 11 columns to the raw predictions of 7 rows:"
    assert header.split()[:3] == ["column", "organization", "mean"]
    largest = np.argsort(-explained.importances)[:10]
    for j, line in zip(largest, lines, strict=True):
        holder = "clinic" if j < 4 else "lab"
        assert line.split() == [X.columns[j], holder, f"{explained.importances[j]:.4g}"]
    assert rest == "and 1 more, with smaller contributions"
    assert {"importances", "to_shap", "values", "errors"} <= set(dir(explained))


def test_columns_of_no_organization_are_not_printed():
    X, y = load_iris(return_X_y=True, as_frame=True)
    held = [("a", Ridge(), [0]), ("b", Ridge(), [2, 3])]
    model = GALClassifier(held, max_iter=2, random_state=0).fit(X, y)
    explained = model.feature_contributions(X[:7])
    title, _, _header, *lines, unit = repr(explained).splitlines()
    assert title == "Contributions of 3 columns to the raw predictions of 7 rows:"
    assert [line.split()[-2] for line in lines].count("b") == 2
    assert len(lines) == 3
    assert not any(X.columns[1] in line for line in lines)
    assert unit == (
        "The means are over the rows. Those of the 3 outputs, e.g. classes, are added up."
    )
