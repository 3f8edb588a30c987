"""The model card: what it says, and that names in it have no effect as markup."""

import re
from html.parser import HTMLParser
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from _requests import SECRET
from sklearn_gal import GALClassifier, GALRegressor
from sklearn_gal.federated import (
    FederatedGALRegressor,
    Federation,
    LocalChannel,
    OrganizationService,
)
from sklearn_gal.inspection import _card_scores as card_scores
from sklearn_gal.inspection import model_card
from sklearn_gal.privacy import LaplaceMechanism

HEADINGS = [
    "What the model predicts",
    "Data",
    "Organizations",
    "Settings that differ from the defaults",
    "Scores",
    "What each organization adds",
    "Importance of columns",
    "What was disclosed",
    "Versions",
]
CERTAINTY = "How certain predictions are"  # if the model predicts intervals or sets
PARTS = [("clinic", Ridge(), [0, 1, 2, 3]), ("laboratory", Ridge(), [4, 5, 6, 7])]
FEW = {"max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X[:200], y[:200], X[200:300], y[200:300]


@pytest.fixture(scope="module")
def regressor(diabetes):
    X, y, *_ = diabetes
    return GALRegressor(PARTS, **FEW).fit(X, y)


def table_under(card, heading, n=0):
    """The cells of a table in a section of a card in Markdown."""
    section = card.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", section + "\n", re.MULTILINE)
    lines = [line.strip("|").split(" | ") for line in tables[n].splitlines()]
    return [[cell.strip() for cell in line] for line in (lines[0], *lines[2:])]


def test_the_sections_and_scores_of_a_regressor(diabetes, regressor):
    X, y, X_test, y_test = diabetes
    card = model_card(regressor, X=X_test, y=y_test, y_train=y)
    assert card.startswith("# Model card: GALRegressor\n")
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert [each for each in headings if each != CERTAINTY] == HEADINGS
    assert "the model predicts a number" in card
    assert "- Rows of the fit: 200\n- Rows on which the model is scored: 100\n" in card
    held_out, scored = (table_under(card, "Scores", n) for n in range(2))
    assert held_out[1][:2] == ["R²", f"{r2_score(y, regressor.oof_prediction_):.4g}"]
    assert scored[1][:2] == ["R²", f"{regressor.score(X_test, y_test):.4g}"]
    low, high = map(float, scored[1][2].split(" to "))
    assert low < regressor.score(X_test, y_test) < high
    assert [line[0] for line in scored[1:]] == ["R²", "mean absolute error"]
    assert "95 % intervals of the jackknife" in card
    assert table_under(card, "Organizations")[1:] == [
        ["clinic (label holder)", "4", "Ridge()"],
        ["laboratory", "4", "Ridge()"],
    ]
    assert table_under(card, "Settings that differ from the defaults")[1:] == [
        [r"max\_iter", "3"],
        [r"random\_state", "0"],
    ]
    shares = [line[1] for line in table_under(card, "What each organization adds")[1:]]
    strength = regressor.interaction_strength_.sum(axis=1)
    assert shares == [f"{100 * each / strength.sum():.1f} %" for each in strength]
    most = np.argmax(regressor.feature_importances_)
    assert table_under(card, "Importance of columns")[1] == [
        X.columns[most],
        "clinic" if most < 4 else "laboratory",
        f"{100 * regressor.feature_importances_[most]:.1f} %",
    ]
    assert "the pseudo-residuals were not perturbed" in card.lower()
    assert "The fitted model keeps 100 rows of the fit (their columns)" in card


def test_without_rows(regressor, diabetes):
    card = model_card(regressor)
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == HEADINGS
    losses = regressor.validation_loss_
    assert f"fell from {losses[0]:.4g} before the first round to {losses[-1]:.4g}" in card
    assert "jackknife" not in card
    X, y, *_ = diabetes
    in_sample = GALRegressor(PARTS, cv=None, **FEW).fit(X, y)
    assert "No rows were held out, and none were passed" in model_card(in_sample)


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_a_classifier(load):
    X, y = load(return_X_y=True)
    y = np.array(["no", "yes", "perhaps"])[y]
    test = np.arange(len(y)) % 3 == 0
    parts = [("a", Ridge(), [0, 1]), ("b", Ridge(), [2, 3])]
    model = GALClassifier(parts, **FEW).fit(X[~test], y[~test])
    card = model_card(model, X=X[test], y=y[test], y_train=y[~test])
    assert f"one of {len(model.classes_)} classes: {', '.join(model.classes_)}" in card
    held_out, scored = (table_under(card, "Scores", n) for n in range(2))
    expected = {"accuracy": model.score(X[test], y[test])}
    if len(model.classes_) == 2:
        positive = y[test] == model.classes_[1]
        auc = roc_auc_score(positive, model.decision_function(X[test]))
        expected["area under the ROC curve"] = auc
    expected["log loss"] = log_loss(y[test], model.predict_proba(X[test]))
    assert {name: value for name, value, _ in scored[1:]} == {
        name: f"{value:.4g}" for name, value in expected.items()
    }
    raw = model.oof_decision_function_
    codes = raw.argmax(axis=1) if raw.ndim == 2 else (raw > 0).astype(int)
    accuracy = np.mean(model.classes_[codes] == y[~test])
    assert held_out[1][:2] == ["accuracy", f"{accuracy:.4g}"]
    shares = table_under(card, "Data")
    assert shares[1][1] == f"{np.sum(y[~test] == model.classes_[0])}"


def test_rows_with_weights(diabetes, regressor):
    _, _, X, y = diabetes
    weight = np.arange(len(y)) % 3
    card = model_card(regressor, X=X, y=y, sample_weight=weight)
    score = regressor.score(X, y, sample_weight=weight)
    assert table_under(card, "Scores")[1][:2] == ["R²", f"{score:.4g}"]
    assert "Rows have weights." in card


def test_rows_of_weight_0_have_no_out_of_fold_prediction(diabetes):
    X, y, *_ = diabetes
    weight = np.ones(len(y))
    weight[::4] = 0
    model = GALRegressor(PARTS, **FEW).fit(X, y, sample_weight=weight)
    card = model_card(model, y_train=y)
    counts = weight > 0
    score = r2_score(y[counts], model.oof_prediction_[counts])
    assert table_under(card, "Scores")[1][:2] == ["R²", f"{score:.4g}"]


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    rng = np.random.default_rng(0)
    n = card_scores.N_PARTS
    y, predicted = rng.normal(size=(2, 2 * n))
    predictions = card_scores.Predictions(y, predicted)
    order = np.random.default_rng(0).permutation(2 * n)
    errors = np.abs(y - predicted)[order].reshape(2, n).mean(axis=0)  # of each part
    value, low, high = card_scores._with_interval(
        lambda part: np.abs(part.y - part.predicted).mean(), predictions, (0.0, np.inf)
    )
    half = stats.t.ppf(0.975, n - 1) * errors.std(ddof=1) / np.sqrt(n)
    np.testing.assert_allclose(
        (value, low, high), errors.mean() + np.array([0, -half, half])
    )


def test_an_interval_is_within_the_limits_of_its_score(diabetes):
    y = np.r_[np.zeros(30), np.ones(30)]
    predicted = y.copy()
    predicted[::20] = 1 - predicted[::20]
    predictions = card_scores.Predictions(y, predicted)
    accuracy = card_scores._of_values(lambda y, p, sample_weight: np.mean(y == p))
    value, low, high = card_scores._with_interval(accuracy, predictions, (0.0, 0.96))
    assert (value, high) == (0.95, 0.96)
    assert low < 0.95
    few = predictions.take(np.arange(9))
    assert np.isnan(card_scores._with_interval(accuracy, few, (0.0, 1.0))[1:]).all()


# --- names, files and errors ------------------------------------------------------------


class Reader(HTMLParser):
    """Collects tags and text, and fails if tags are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], set(), []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())


@pytest.fixture(scope="module")
def hostile(diabetes):
    """A model whose names are markup."""
    X, y, *_ = diabetes
    X = X.iloc[:, :4].set_axis(
        ["<script>alert(1)</script>", "a|b", "*c* `d` [e](f)", "# g\nh"], axis=1
    )
    parts = [("<img src=x>", Ridge(), [0, 1]), ("x & y", Ridge(), [2, 3])]
    return GALRegressor(parts, **FEW).fit(X, y)


def test_names_are_text_in_html(hostile, tmp_path):
    path = tmp_path / "card.html"
    sections = {"Intended <use>": "</p><script>x</script> & more"}
    card = model_card(hostile, path, title="<h1>", sections=sections)
    assert path.read_text(encoding="utf-8") == card
    reader = Reader(card)
    assert not reader.tags & {"script", "img", "a", "b", "link"}
    for text in ("<script>alert(1)</script>", "<img src=x> (label holder)", "x & y", "a|b"):
        assert text in reader.texts
    assert "Intended <use>" in reader.texts
    assert "</p><script>x</script> & more" in reader.texts


def test_names_are_text_in_markdown(hostile):
    card = model_card(hostile, sections={"Limits": "1. first\n- second"})
    assert "<" not in card
    for text in (
        r"&lt;script&gt;alert(1)&lt;/script&gt;",
        r"a\|b",
        r"\*c\* \`d\` \[e\](f)",
        r"\# g h",
        r"&lt;img src=x&gt; (label holder)",
        "x &amp; y",
        "\n1\\. first - second\n",
    ):
        assert text in card
    for line in table_under(card, "Importance of columns"):
        assert len(line) == 3


def test_both_formats_say_the_same(regressor, diabetes, tmp_path):
    *_, X, y = diabetes
    markdown = model_card(regressor, tmp_path / "card.md", X=X, y=y)
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == markdown
    texts = Reader(model_card(regressor, str(tmp_path / "CARD.HTML"), X=X, y=y)).texts
    plain = markdown.replace("\\", "").replace("&lt;", "<").replace("&gt;", ">")
    assert all(text in plain for text in texts)
    assert len(texts) > 60


def test_many_columns_are_summed_up(diabetes):
    _, y, *_ = diabetes
    X = np.random.default_rng(0).normal(size=(len(y), 30))
    model = GALRegressor(max_iter=1, random_state=0, cv=None).fit(X, y)
    lines = table_under(model_card(model), "Importance of columns")[1:]
    assert len(lines) <= 26
    if len(lines) == 26:
        assert lines[-1][0] == "5 others"


def test_errors(regressor, diabetes, tmp_path):
    X, y, X_test, y_test = diabetes
    with pytest.raises(ValueError, match=r"path must end with .md or .html, .* 'card.pdf'"):
        model_card(regressor, "card.pdf")
    with pytest.raises(ValueError, match="Pass X and y together"):
        model_card(regressor, X=X_test)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model_card(regressor, X=X_test, y=y_test[:5])
    with pytest.raises(ValueError, match=r"y_train must be .* with 200 rows; it has 100"):
        model_card(regressor, y_train=y_test)
    in_sample = GALRegressor(PARTS, cv=None, **FEW).fit(X, y)
    with pytest.raises(ValueError, match="a fit without cross-fitting"):
        model_card(in_sample, y_train=y)
    with pytest.raises(NotFittedError):
        model_card(GALRegressor(PARTS))
    with pytest.raises(TypeError, match="Expected a GALRegressor or a GALClassifier"):
        model_card(Ridge().fit(X, y))
    assert not list(tmp_path.iterdir())


# --- what was disclosed -----------------------------------------------------------------


def test_privacy(diabetes):
    X, y, *_ = diabetes
    privacy = LaplaceMechanism(1.0, bounds=(-100.0, 100.0))
    model = GALRegressor(PARTS, privacy=privacy, **FEW).fit(X, y)
    card = model_card(model)
    spent = model.privacy_spent_
    assert f"A row has spent epsilon = {spent.epsilon:.4g} by basic composition" in card
    assert "not perturbed" not in card


def test_a_federated_model(diabetes):
    X, y, X_test, y_test = diabetes
    frame = pd.concat([X, X_test]).reset_index(names="id")
    services = [
        OrganizationService(name, frame, "id", SECRET, folder, **settings)
        for name, folder, settings in (
            ("clinic", mkdtemp(), {"columns": ["s1", "s2"], "estimator": Ridge()}),
            (
                *("laboratory", mkdtemp()),
                {"columns": ["s3", "s4"], "estimator": Ridge(), "explain": "features"},
            ),
        )
    ]
    model = FederatedGALRegressor(
        Federation(LocalChannel(services), SECRET),
        [("practice", Ridge(), ["age", "bmi"])],
        key="id",
        **FEW,
    )
    own = frame[["id", "age", "bmi"]]
    model.fit(own[:200], y)
    card = model_card(model, X=own[200:], y=y_test, y_train=y)
    assert table_under(card, "Organizations")[1:] == [
        ["practice (label holder)", "2", "Ridge()"],
        ["clinic", "on another host; it reveals: all columns", "not known here"],
        ["laboratory", "on another host; it reveals: s3, s4", "not known here"],
    ]
    columns = {line[0] for line in table_under(card, "Importance of columns")[1:]}
    assert columns == {
        *("age", "bmi", "clinic: all columns"),
        *("laboratory: s3", "laboratory: s4"),
    }
    assert SECRET not in card
    assert "(ids and own columns)" in card
    passed = {line[0]: line[1:] for line in table_under(card, "What was disclosed")[1:]}
    calls = model.communication_
    assert passed["clinic"][0] == f"{np.sum(calls.organization == 'clinic')}"
    total = calls.bytes_sent[calls.organization == "clinic"].sum()
    assert passed["clinic"][1] == f"{total:,}"


# --- what other parts of the package offer ----------------------------------------------


@pytest.mark.skipif(
    not hasattr(GALRegressor, "organization_values"), reason="there are no such values"
)
def test_what_organizations_are_worth(diabetes):
    X, y, X_test, y_test = diabetes
    model = GALRegressor(PARTS, missing_rows="abstain", **FEW).fit(X, y)
    card = model_card(model, X=X_test, y=y_test)
    values = model.organization_values(X_test, y_test, random_state=0).values
    lines = table_under(card, "What each organization adds")[1:]
    assert [line[1] for line in lines] == [f"{each:.4g}" for each in values]
    assert "Shapley values" in card


@pytest.mark.skipif(
    not hasattr(GALRegressor, "predict_interval"), reason="there are no intervals"
)
def test_how_certain_predictions_are(diabetes, regressor):
    *_, X, y = diabetes
    card = model_card(regressor, X=X, y=y)
    ends = regressor.predict_interval(X, coverage=0.9)
    share = np.mean((ends[:, 0] <= y) & (y <= ends[:, 1]))
    assert f"## {CERTAINTY}\n" in card
    assert f"In the scored rows, {100 * share:.1f} % do." in card


@pytest.mark.skipif(not hasattr(GALClassifier, "predict_set"), reason="there are no sets")
def test_how_certain_classes_are():
    X, y = load_iris(return_X_y=True)
    test = np.arange(len(y)) % 3 == 0
    parts = [("a", Ridge(), [0, 1]), ("b", Ridge(), [2, 3])]
    model = GALClassifier(parts, **FEW).fit(X[~test], y[~test])
    card = model_card(model, X=X[test], y=y[test])
    sets = model.predict_set(X[test], coverage=0.9)
    share = sets[np.arange(len(sets)), y[test]].mean()
    assert f"In the scored rows, {100 * share:.1f} % do." in card
    assert f"Sets have {sets.sum(axis=1).mean():.4g} classes on average." in card
