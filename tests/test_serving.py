"""A fitted model behind HTTP answers as the model does, and outlives every request."""

import asyncio
import contextlib
import gc
import json
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import uvicorn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal._cli import main
from sklearn_gal.federated import (
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    OrganizationService,
)
from sklearn_gal.serving import _server, make_app
from sklearn_gal.serving._batches import Batches
from sklearn_gal.serving._errors import RequestError
from sklearn_gal.serving._model import ServedModel
from sklearn_gal.serving._rows import NUMBER, ParsedRows

SETTINGS = {"max_iter": 3, "random_state": 0}
SECRET = "0123456789abcdef"


@pytest.fixture(scope="module")
def regression():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X.iloc[:150, :6]
    organizations = [
        ("clinic", None, ["age", "bmi"]),
        ("laboratory", Ridge(), [1, 4, 5]),
    ]
    model = GALRegressor(organizations, missing_rows="abstain", **SETTINGS)
    return SimpleNamespace(X=X, model=model.fit(X, y.iloc[:150]))


@pytest.fixture(scope="module")
def classification():
    X, y = load_iris(return_X_y=True, as_frame=True)
    classes = np.array(["setosa", "versicolor", "virginica"])[y]
    organizations = [("sepal", Ridge(), [0, 1]), ("petal", Ridge(), [2, 3])]
    return SimpleNamespace(
        X=X, model=GALClassifier(organizations, **SETTINGS).fit(X, classes)
    )


class Client:
    """Asks an application in this process; requests may be asked at the same time."""

    def __init__(self, app):
        self.app = app

    def ask_all(self, *requests):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://model") as c:
                return await asyncio.gather(*(c.request(*a, **k) for a, k in requests))

        return asyncio.run(ask())

    def ask(self, *arguments, **settings):
        return self.ask_all((arguments, settings))[0]

    def post(self, path, rows, **options):
        content = json.dumps({"rows": rows, **options})  # NaN is a literal
        headers = {"Content-Type": "application/json"}
        return self.ask("POST", path, content=content, headers=headers)


@pytest.fixture(scope="module")
def client(regression):
    return Client(make_app(regression.model))


def records(X):
    return X.to_dict("records")


# --- answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("as_rows", [records, lambda X: X.to_numpy().tolist()])
def test_predictions_of_numbers(regression, client, as_rows):
    X = regression.X.iloc[:7]
    response = client.post("/predict", as_rows(X))
    assert response.status_code == 200
    assert list(response.json()) == ["predictions"]
    assert_array_equal(response.json()["predictions"], regression.model.predict(X))


def test_many_rows(regression, client):
    answer = client.post("/predict", records(regression.X)).json()
    assert_array_equal(answer["predictions"], regression.model.predict(regression.X))


def test_columns_of_objects_may_be_in_any_order(regression, client):
    X = regression.X.iloc[:3]
    rows = records(X[X.columns[::-1]])
    predictions = client.post("/predict", rows).json()["predictions"]
    assert_array_equal(predictions, regression.model.predict(X))


def test_predictions_of_classes(classification):
    X, model = classification.X.iloc[::20], classification.model
    answer = Client(make_app(model)).post("/predict", records(X)).json()
    assert answer["classes"] == ["setosa", "versicolor", "virginica"]
    assert answer["predictions"] == model.predict(X).tolist()
    assert_array_equal(answer["probabilities"], model.predict_proba(X))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_null_and_nan_are_missing(regression, client, missing):
    X = regression.X.iloc[:4].copy()
    X.loc[1, ["age", "bmi"]] = np.nan
    rows = records(X)
    rows[1] |= {"age": missing, "bmi": missing}
    predictions = client.post("/predict", rows).json()["predictions"]
    assert_array_equal(predictions, regression.model.predict(X))


def test_a_model_without_column_names(regression):
    X = regression.X.to_numpy()
    model = GALRegressor([("a", Ridge(), [0, 1]), ("b", Ridge(), [2])], **SETTINGS)
    client = Client(make_app(model.fit(X, X[:, 3])))
    predictions = client.post("/predict", X[:3].tolist()).json()["predictions"]
    assert_array_equal(predictions, model.predict(X[:3]))
    response = client.post("/predict", records(regression.X.iloc[:1]))
    assert response.status_code == 400
    assert "fitted without column names" in response.json()["error"]


def test_texts_and_several_outputs(rng):
    X = pd.DataFrame({"size": rng.normal(size=60), "kind": ["a", "b", "c"] * 20})
    y = np.column_stack([X["size"], X["kind"] == "b"]) + rng.normal(size=(60, 2))
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = GALRegressor(
        [("own", None, ["size"]), ("other", make_pipeline(encoder, Ridge()), ["kind"])],
        **SETTINGS,
    ).fit(X, y)
    answer = Client(make_app(model)).post("/predict", records(X.iloc[:5])).json()
    assert_array_equal(answer["predictions"], model.predict(X.iloc[:5]))


def test_texts_that_are_missing(rng):
    X = pd.DataFrame({"size": rng.normal(size=60), "kind": ["a", "b", np.nan] * 20})
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = GALRegressor(
        [("own", None, ["size"]), ("other", make_pipeline(encoder, Ridge()), ["kind"])],
        **SETTINGS,
    ).fit(X, X["size"])
    client = Client(make_app(model, text_columns=["kind"]))
    (row,) = records(X.iloc[2:3])
    answer = client.post("/predict", [row | {"kind": None}]).json()
    assert_array_equal(answer["predictions"], model.predict(X.iloc[2:3]))
    response = client.post("/predict", [row | {"kind": 3}])
    assert response.status_code == 400
    expected = "Row 0, column 'kind', is 3; expected a text, or null where it is missing."
    assert response.json()["error"] == expected
    response = client.post("/predict", [row | {"size": "large"}])
    assert "column 'size', is \"large\"; expected a number" in response.json()["error"]
    with pytest.raises(
        ValueError, match=r"text_columns has \['Kind'\], which are no columns"
    ):
        make_app(model, text_columns=["Kind"])


def test_a_pipeline(regression, client):
    X, y = regression.X, regression.X["bp"]
    organizations = [("clinic", Ridge(), [0, 1]), ("laboratory", Ridge(), [2])]
    model = make_pipeline(StandardScaler(), GALRegressor(organizations, **SETTINGS))
    client = Client(make_app(model.fit(X, y)))
    predictions = client.post("/predict", records(X.iloc[:3])).json()["predictions"]
    assert_array_equal(predictions, model.predict(X.iloc[:3]))
    response = client.post("/interval", records(X.iloc[:3]))
    assert response.status_code == 501
    assert "`predict_interval`, which a pipeline" in response.json()["error"]


@pytest.mark.skipif(
    not hasattr(GALRegressor, "predict_interval"), reason="no intervals in this release"
)
def test_intervals_and_sets(regression, classification):
    X = regression.X.iloc[:4]
    answer = Client(make_app(regression.model)).post("/interval", records(X), coverage=0.8)
    expected = regression.model.predict_interval(X, coverage=0.8)
    assert answer.json()["coverage"] == 0.8
    assert_array_equal(np.array(answer.json()["intervals"], dtype=float), expected)
    X, model = classification.X.iloc[::30], classification.model
    sets = Client(make_app(model)).post("/interval", records(X)).json()["sets"]
    expected = model.predict_set(X, coverage=0.9)
    assert sets == [model.classes_[each].tolist() for each in expected]


@pytest.mark.skipif(
    not hasattr(GALRegressor, "feature_contributions"),
    reason="no contributions of columns in this release",
)
def test_explanations(classification):
    X, model = classification.X.iloc[::30], classification.model
    answer = Client(make_app(model)).post("/explain", records(X)).json()
    assert answer["feature_names"] == list(X.columns)
    assert answer["organization_names"] == ["sepal"] * 2 + ["petal"] * 2
    assert answer["classes"] == list(model.classes_)
    raw = np.sum(answer["values"], axis=1) + answer["base_values"]
    assert_allclose(raw, model.decision_function(X), atol=1e-8)


def test_the_description_of_the_model(regression, client):
    described = client.ask("GET", "/model").json()
    assert described["model"] == "GALRegressor"
    assert described["organizations"] == ["clinic", "laboratory"]
    assert [column["name"] for column in described["columns"]] == list(regression.X)
    owners = [column["organization"] for column in described["columns"]]
    assert owners == ["clinic", "laboratory", "clinic", None, "laboratory", "laboratory"]
    assert "predict" in described["endpoints"]


# --- requests that cannot be answered ---------------------------------------------------

ROW = {"age": 0.1, "sex": 0.1, "bmi": 0.1, "bp": 0.1, "s1": 0.1, "s2": 0.1}


def body(**changed):
    return json.dumps({"rows": [ROW, ROW | changed]}).encode()


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "not valid JSON"),
        (b'{"rows": [', 400, "not valid JSON"),
        (b"\xff\xfe", 400, "not valid JSON"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"rows": [' + b"9" * 5_000 + b"]}", 400, "not valid JSON"),
        (b"[]", 400, 'object with the field "rows"; got a list of length 0'),
        (b'{"row": []}', 400, 'object with the field "rows"'),
        (b'{"rows": []}', 400, "at least one row, got a list of length 0"),
        (b'{"rows": {}}', 400, "at least one row, got an object of length 0"),
        (b'{"rows": ["a"]}', 400, 'Row 0 is "a"; expected a list or an object'),
        (b'{"rows": [[1, 2]]}', 400, "Row 0 has 2 values, but the model takes 6 columns"),
        (b'{"rows": [[1]], "coverage": 2}', 400, "does not know the fields ['coverage']"),
        (body(height=1), 400, r"Row 1 has the unknown columns ['height']; the model"),
        (b'{"rows": [{"age": 1, "Bmi": 1}]}', 400, "lacks the columns ['sex', 'bmi', 'bp'"),
        (b'{"rows": [{"age": 1, "Bmi": 1}]}', 400, "and has the unknown columns ['Bmi']"),
        (
            body(bmi=[1]),
            400,
            "Row 1, column 'bmi', is a list of length 1; expected a number",
        ),
        (body(bmi={}), 400, "Row 1, column 'bmi', is an object of length 0"),
        (body(bmi="tall"), 400, "column 'bmi' are both numbers and texts, first in row 1"),
        (body(bmi=float("inf")), 400, "Row 1, column 'bmi', is infinite or too large"),
        (body(bmi=10**400), 400, "Row 1, column 'bmi', is infinite or too large"),
        (json.dumps({"rows": [ROW | {"bmi": "tall"}]}).encode(), 400, "'bmi'"),
        (json.dumps({"rows": [ROW] * 1001}).encode(), 413, "1001 rows, but at most 1000"),
    ],
)
def test_a_wrong_request_is_told_and_the_service_goes_on(client, content, status, message):
    headers = {"Content-Type": "application/json"}
    response = client.ask("POST", "/predict", content=content, headers=headers)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert message in response.json()["error"]
    assert client.post("/predict", [ROW]).status_code == 200


@pytest.mark.parametrize("coverage", [0, 1, "0.9", None, True])
def test_a_wrong_coverage(client, coverage):
    if not hasattr(GALRegressor, "predict_interval"):
        pytest.skip("no intervals in this release")
    response = client.post("/interval", [ROW], coverage=coverage)
    assert response.status_code == 400
    assert "must be a number between 0 and 1" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "There is no /nothing."),
        ("POST", "/predict/", 404, "There is no /predict/."),
        ("GET", "/predict", 405, "/predict does not answer to GET. Use POST."),
        ("DELETE", "/health", 405, "/health does not answer to DELETE."),
        ("POST", "/predict", 415, "Send Content-Type: application/json, not text/plain."),
    ],
)
def test_wrong_paths_methods_and_types(client, method, path, status, message):
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    response = client.ask(method, path, headers=headers)
    assert response.status_code == status
    assert message in response.json()["error"]


class Fragile(Ridge):
    """A ridge that fails for large values."""

    def __init__(self, highest=100.0):
        super().__init__()
        self.highest = highest

    def predict(self, X):
        if np.max(X) > self.highest:
            raise RuntimeError("a fault of the model")
        return super().predict(X)


def test_a_fault_of_the_model_is_told_and_logged(regression, caplog):
    model = GALRegressor([("a", Fragile(), [0]), ("b", Ridge(), [1])], **SETTINGS)
    client = Client(make_app(model.fit(regression.X, regression.X["bp"])))
    response = client.post("/predict", [ROW | {"age": 101}])
    assert response.status_code == 500
    assert response.json() == {"error": "The model failed with RuntimeError."}
    assert "a fault of the model" in caplog.text
    assert client.post("/predict", [ROW]).status_code == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_rows": 0}, "max_rows == 0, must be >= 1"),
        ({"max_bytes": 0}, "max_bytes == 0, must be >= 1"),
        ({"body_timeout": 0.0}, "body_timeout == 0.0, must be > 0"),
        ({"deadline": 0.0}, "deadline == 0.0, must be > 0"),
    ],
)
def test_limits_are_checked(regression, settings, message):
    with pytest.raises(ValueError, match=message):
        make_app(regression.model, **settings)


def test_only_fitted_models_of_this_package_are_served(regression):
    with pytest.raises(TypeError, match="got Ridge"):
        make_app(Ridge())
    with pytest.raises(TypeError, match="got a pipeline that ends in Ridge"):
        make_app(make_pipeline(StandardScaler(), Ridge()))
    with pytest.raises(NotFittedError):
        make_app(GALRegressor())


# --- health and metrics -----------------------------------------------------------------


def test_health_and_metrics(regression):
    client = Client(make_app(regression.model))
    assert client.ask("GET", "/health").json() == {"status": "ok"}
    client.post("/predict", [ROW, ROW])
    client.post("/predict", [ROW])
    client.post("/predict", [])
    client.ask("GET", "/one")
    client.ask("GET", "/two")
    response = client.ask("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in (
        'sklearn_gal_requests_total{endpoint="/predict",status="200"} 2',
        'sklearn_gal_requests_total{endpoint="/predict",status="400"} 1',
        'sklearn_gal_requests_total{endpoint="other",status="404"} 2',
        'sklearn_gal_rows_total{endpoint="/predict"} 3',
        'sklearn_gal_request_seconds_bucket{endpoint="/predict",le="+Inf"} 3',
        'sklearn_gal_request_seconds_count{endpoint="/predict"} 3',
    ):
        assert line in lines
    buckets = [
        int(line.split()[-1]) for line in lines if 'bucket{endpoint="/predict"' in line
    ]
    assert buckets == sorted(buckets)
    names = {line.split("{")[0] for line in lines if not line.startswith("#")}
    declared = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    suffixes = ("_bucket", "_sum", "_count")
    assert {
        name.removesuffix(next((s for s in suffixes if name.endswith(s)), ""))
        for name in names
    } <= declared


def test_the_models_are_merged_before_the_first_request(regression, caplog):
    served = ServedModel(pickle.loads(pickle.dumps(regression.model)), 1.0)
    organizations = served.model._model.participants.organizations
    assert not any(each._merged for each in organizations)
    served.warm_up()
    assert any(each._merged for each in organizations)
    assert caplog.text == ""


def test_a_model_that_cannot_be_warmed_up(regression, caplog):
    caplog.set_level("INFO")
    model = GALRegressor([("a", Fragile(-1.0), [0]), ("b", Ridge(), [1])], **SETTINGS)
    ServedModel(model.fit(regression.X - 2, regression.X["bp"]), 1.0).warm_up()
    assert "cannot predict a row of zeros" in caplog.text
    assert "a fault of the model" in caplog.text


# --- requests at the same time ----------------------------------------------------------


class Rows(list):
    """What is answered about rows, which can be cut."""

    def rows(self, begin, end):
        return self[begin:end]


def parsed(*values, kinds=(NUMBER,)):
    return ParsedRows([[value] for value in values], kinds)


class Batched:
    """Batches of a function that waits until it may answer the first time."""

    def __init__(self, answer, max_rows=5, max_waiting=6):
        self.calls, self.may_answer = [], threading.Event()
        self.answer = answer
        self.batches = Batches(self.wait_and_answer, max_rows, max_waiting)

    def wait_and_answer(self, key, rows):
        assert self.may_answer.wait(60)
        self.calls.append((key, [value for (value,) in rows.values]))
        return Rows(self.answer(value) for (value,) in rows.values)

    def ask(self, *requests):
        async def ask_all():
            tasks = []
            for each in requests:
                tasks.append(asyncio.create_task(self.batches(*each)))
                await asyncio.sleep(0)  # in this order
            self.may_answer.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

        try:
            return asyncio.run(ask_all())
        finally:
            self.batches.close()


def test_requests_that_wait_are_answered_together():
    batched = Batched(lambda value: -value)
    requests = [parsed(1), parsed(2, 3), parsed(4), parsed(5, kinds=("text",))]
    answers = batched.ask(*(("predict", each) for each in requests), ("explain", parsed(6)))
    assert answers == [[-1], [-2, -3], [-4], [-5], [-6]]
    assert batched.calls == [
        ("predict", [1]),
        ("predict", [2, 3, 4]),
        ("predict", [5]),
        ("explain", [6]),
    ]


def test_a_batch_has_at_most_so_many_rows():
    batched = Batched(lambda value: value, max_rows=2, max_waiting=9)
    requests = [parsed(1), parsed(2), parsed(3, 4), parsed(5)]
    assert batched.ask(*(("predict", each) for each in requests)) == [[1], [2], [3, 4], [5]]
    assert [rows for _, rows in batched.calls] == [[1], [2], [3, 4], [5]]


def test_only_the_request_to_blame_fails():
    def answer(value):
        if value == 3:
            raise ValueError("three")
        return value

    one, two, three, four = Batched(answer).ask(
        *(("predict", parsed(value)) for value in (1, 2, 3, 4))
    )
    assert (one, two, four) == ([1], [2], [4])
    with pytest.raises(ValueError, match="three"):
        raise three


def test_too_many_rows_wait():
    batched = Batched(lambda value: value, max_waiting=3)
    requests = [parsed(1), parsed(2, 3), parsed(4, 5), parsed(6)]
    answers = batched.ask(*(("predict", each) for each in requests))
    assert isinstance(answers[2], RequestError)
    assert answers[2].status == 503
    assert "Try again later" in answers[2].message
    assert [answers[j] for j in (0, 1, 3)] == [[1], [2, 3], [6]]


def test_requests_at_the_same_time_have_their_own_answers(regression, client):
    X = regression.X.iloc[:30]
    expected = regression.model.predict(X)
    headers = {"Content-Type": "application/json"}
    responses = client.ask_all(
        *(
            (("POST", "/predict"), {"json": {"rows": [row]}, "headers": headers})
            for row in records(X)
        )
    )
    answers = [response.json()["predictions"] for response in responses]
    # sums of linear models may depend on the number of rows in the last bits
    assert_allclose(np.ravel(answers), expected, rtol=1e-12)


# --- organizations on other hosts -------------------------------------------------------


class Switchable(LocalChannel):
    """A channel to organizations that can be away, or too slow."""

    def __init__(self, services):
        super().__init__(services)
        self.away, self.slow, self.waited = set(), set(), []

    def call(self, organization, request, timeout):
        if organization in self.away:
            raise ConnectionRefusedError
        if organization in self.slow:
            self.waited.append(timeout)  # the time passes at once
            raise TimeoutError
        return super().call(organization, request, timeout)


def federated(tmp_path, missing_rows):
    table, y = load_diabetes(return_X_y=True, as_frame=True)
    table, y = table.iloc[:80].assign(pid=[f"p{j}" for j in range(80)]), y.iloc[:80]
    parts = {"bank": ["sex", "bp"], "clinic": ["s1", "s5"]}
    services = [
        OrganizationService(
            *(name, table[[*columns, "pid"]], "pid", SECRET, tmp_path / name),
            estimator=Ridge(),
        )
        for name, columns in parts.items()
    ]
    channel = Switchable(services)
    model = FederatedGALRegressor(
        Federation(channel, SECRET),
        [("hospital", Ridge(), ["bmi"])],
        key="pid",
        missing_rows=missing_rows,
        **SETTINGS,
    )
    X = table[["pid", "bmi"]]
    return SimpleNamespace(model=model.fit(X, y), X=X, channel=channel)


def test_an_organization_that_is_away_abstains(tmp_path, caplog):
    case = federated(tmp_path, "abstain")
    client, rows = Client(make_app(case.model)), records(case.X.iloc[:3])
    expected, n_calls = (
        case.model.predict(case.X.iloc[:3]),
        len(case.model.communication_.call),
    )
    answer = client.post("/predict", rows).json()
    assert_allclose(answer["predictions"], expected, rtol=1e-12)
    assert answer["absent"] == []
    case.channel.away = {"clinic"}
    answer = client.post("/predict", rows).json()
    assert answer["absent"] == ["clinic"]
    without = [[*row.values()] for row in rows]
    assert client.post("/predict", without).json() == answer
    assert not np.isclose(answer["predictions"], expected).any()
    assert 'sklearn_gal_absent_total{organization="clinic"} 2' in (
        client.ask("GET", "/metrics").text
    )
    assert "clinic did not answer and abstained" in caplog.text
    case.channel.away = set()
    assert client.post("/predict", rows).json()["absent"] == []
    # the record of calls is that of the user's predictions
    assert len(case.model.communication_.call) == n_calls
    assert case.model.deadline == 600.0


def test_the_description_of_a_model_of_several_hosts(tmp_path):
    client = Client(make_app(federated(tmp_path, "abstain").model))
    described = client.ask("GET", "/model").json()
    assert described["organizations"] == ["hospital", "bank", "clinic"]
    assert described["columns"] == [
        {"name": "pid", "organization": None, "is_text": True},
        {"name": "bmi", "organization": "hospital", "is_text": False},
    ]


def test_an_organization_that_is_too_slow_abstains(tmp_path):
    case = federated(tmp_path, "abstain")
    client = Client(make_app(case.model, deadline=45.0))
    case.channel.slow = {"bank"}
    answer = client.post("/predict", records(case.X.iloc[:1])).json()
    assert answer["absent"] == ["bank"]
    assert case.channel.waited == [45.0]


def test_organizations_that_cannot_abstain_are_an_error(tmp_path):
    case = federated(tmp_path, "error")
    client, rows = Client(make_app(case.model)), records(case.X.iloc[:1])
    case.channel.away = {"clinic"}
    response = client.post("/predict", rows)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "'clinic' did not answer (ConnectionRefusedError)" in response.json()["error"]
    assert "missing_rows='abstain'" in response.json()["error"]
    case.channel.away = set()
    response = client.post("/predict", [{"pid": "unknown", "bmi": 0.1}])
    assert response.status_code == 400
    assert "does not have 1 of the 1 rows" in response.json()["error"]
    response = client.post("/predict", [{"pid": None, "bmi": 0.1}])
    assert "Row 0 lacks its id, column 'pid'" in response.json()["error"]
    assert client.post("/predict", rows).status_code == 200


def test_rows_that_are_ids_only(tmp_path):
    table = load_diabetes(as_frame=True).frame.iloc[:60].reset_index(names="id")
    table["id"] += 2**53  # floats would not tell them apart
    service = OrganizationService(
        "clinic", table.drop(columns="target"), "id", SECRET, tmp_path, estimator=Ridge()
    )
    model = FederatedGALRegressor(Federation(LocalChannel([service]), SECRET), **SETTINGS)
    model.fit(table["id"].to_numpy(), table["target"])
    ids = table["id"].iloc[:5]
    answer = Client(make_app(model)).post("/predict", ids.tolist()).json()
    assert_array_equal(answer["predictions"], model.predict(ids.to_numpy()))


# --- the server -------------------------------------------------------------------------


@pytest.fixture
def server(regression, monkeypatch):
    """The address of uvicorn with short time limits, in a thread."""
    monkeypatch.setattr(_server, "HEADERS_TIMEOUT", 2.0)
    app = make_app(regression.model, max_bytes=2**16, body_timeout=2.0)
    config = uvicorn.Config(app, http=_server.Protocol, log_level="critical")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join(300)


HEAD = b"POST /predict HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\n"


def received(connection):
    """What a server sends until it closes the connection."""
    connection.settimeout(300)
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def assert_goes_on(address):
    host, port = address
    url = f"http://{host}:{port}/predict"
    assert httpx.post(url, json={"rows": [ROW]}, timeout=300).status_code == 200


def test_a_body_that_does_not_arrive(server):
    with socket.create_connection(server) as connection:
        connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"rows"')
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error": "The request did not arrive within 2 seconds."}' in answer
    assert_goes_on(server)


@pytest.mark.parametrize("sent", [b"", b"POST /predict HTT", HEAD])
def test_headers_that_do_not_arrive(server, sent):
    with socket.create_connection(server) as connection:
        connection.sendall(sent)
        assert received(connection) == b""
    assert_goes_on(server)


def test_a_large_body_that_is_announced(server):
    with socket.create_connection(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'{"error": "The request has more than 65536 bytes.' in answer
    assert_goes_on(server)


def test_a_large_body_that_is_streamed(server):
    chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    with socket.create_connection(server) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        n_sent = 0
        with contextlib.suppress(ConnectionError):
            while n_sent < 2**30:
                connection.sendall(chunk)
                n_sent += len(chunk)
        answer = received(connection)
    assert n_sent < 2**26
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert_goes_on(server)


def test_a_client_that_leaves(server):
    with socket.create_connection(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert_goes_on(server)


# --- the command ------------------------------------------------------------------------


def small_model(regression):
    organizations = [("clinic", Ridge(), [0, 1]), ("laboratory", Ridge(), [2])]
    model = GALRegressor(organizations, max_iter=1, random_state=0)
    return model.fit(regression.X, regression.X["bp"])


def test_the_command_serves_until_it_is_asked_to_end(regression, tmp_path):
    model = small_model(regression)
    skops.io.dump(model, tmp_path / "model.skops")
    arguments = [
        "serve",
        "--model",
        str(tmp_path / "model.skops"),
        "--trust",
        "--port",
        "0",
    ]
    command = "import sys; from sklearn_gal._cli import main; sys.exit(main())"
    service = subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        line = service.stdout.readline()
        assert line.startswith("serving on http://127.0.0.1:")
        url = line.split()[-1]
        answer = httpx.post(f"{url}/predict", json={"rows": [ROW]}, timeout=300).json()
        assert_array_equal(answer["predictions"], model.predict(pd.DataFrame([ROW])))
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) in (0, -signal.SIGTERM)
    finally:
        service.kill()
        service.stdout.close()
        service.wait()


def test_untrusted_files_are_refused(regression, tmp_path, capsys):
    skops.io.dump(small_model(regression), tmp_path / "model.skops")
    joblib.dump(small_model(regression), tmp_path / "model.joblib")
    (tmp_path / "text").write_text("text")
    joblib.dump({"a": 1}, tmp_path / "other")
    skops.io.dump(Ridge(), tmp_path / "ridge.skops")

    def problem(name, *options):
        assert main(["serve", "--model", str(tmp_path / name), *options]) == 2
        return capsys.readouterr().err

    error = problem("model.skops")
    assert "types that skops does not trust" in error
    assert "  sklearn_gal._regressor.GALRegressor\n" in error
    assert "add --trust" in error
    assert "loading it runs the code in it: add --trust" in problem("model.joblib")
    assert "joblib cannot load" in problem("text", "--trust")
    assert "cannot be served: model must be a GALRegressor" in problem("other", "--trust")
    assert "got Ridge" in problem("ridge.skops")
    assert "No such file" in problem("nothing")


def test_an_address_that_is_in_use(regression, tmp_path, capsys):
    joblib.dump(small_model(regression), tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        arguments = ["serve", "--model", str(tmp_path / "model"), "--trust", "--port", port]
        assert main(arguments) == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err


def test_garbage_collection_leaves_the_model_out(regression, monkeypatch):
    app, seen = make_app(regression.model), []

    def answer(self, sockets):
        seen.append(any(each is app for each in gc.get_objects()))

    monkeypatch.setattr(uvicorn.Server, "run", answer)
    assert any(each is app for each in gc.get_objects())
    try:
        _server.run(app, "127.0.0.1", 0)
    finally:
        gc.unfreeze()
    assert seen == [False]


# --- the page ---------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere(client):
    response = client.ask("GET", "/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "http://" not in response.text
    assert "https://" not in response.text


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_the_page_in_a_browser(server, regression):
    browsers = pytest.importorskip("playwright.sync_api")
    host, port = server
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page, problems = browser.new_page(), []
        page.on("pageerror", lambda error: problems.append(error))
        page.goto(f"http://{host}:{port}/")
        for name, value in ROW.items():
            page.get_by_label(name, exact=True).fill(str(value))
        page.get_by_role("button", name="Predict").click()
        (prediction,) = regression.model.predict(pd.DataFrame([ROW]))
        shown = page.locator("#prediction .value").inner_text()
        assert float(shown) == pytest.approx(prediction, rel=1e-3)
        if hasattr(GALRegressor, "predict_interval"):
            assert "coverage of 90 %" in page.locator("#interval").inner_text()
        if hasattr(GALRegressor, "feature_contributions"):
            rows = page.locator(".waterfall tr.organization th").all_inner_texts()
            assert {"clinic", "laboratory"} <= set(rows)
        if hasattr(GALRegressor, "predict_interval"):
            page.get_by_label("Coverage of the interval or set").fill("2")
            page.get_by_role("button", name="Predict").click()
            page.locator("#error", has_text="between 0 and 1, got 2").wait_for()
            assert page.locator("#prediction").count() == 1
        page.get_by_label("bmi", exact=True).fill("tall")
        page.get_by_role("button", name="Predict").click()
        page.locator("#error", has_text="'bmi'").wait_for()
        assert page.locator("#prediction").count() == 0
        browser.close()
    assert problems == []
