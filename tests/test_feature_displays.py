import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import Ridge
from sklearn.utils import Bunch

from sklearn_gal import GALClassifier, GALRegressor, make_organizations
from sklearn_gal.inspection import FeatureContributionDisplay, FeatureImportanceDisplay
from sklearn_gal.inspection._entries import entries_of
from sklearn_gal.inspection._links import ExplainedOutput
from sklearn_gal.losses import ExponentialLoss, Loss, SquaredError

matplotlib.use("agg")

BANK, TELECOM, TAX = "bank", "telecom", "tax office"
ORGANIZATIONS = {
    BANK: ["income", "balance", "age", "cards"],
    TELECOM: ["late bills"],
    TAX: ["debt", "children", "undisclosed"],
}
NAMES = [name for names in ORGANIZATIONS.values() for name in names]
OWNERS = [owner for owner, names in ORGANIZATIONS.items() for _ in names]
# income, balance, age, cards | late bills | debt, children, undisclosed
CHANGES = np.array([-0.5, 0.25, 0.125, -0.0625, 1.0, 2.0, -0.75, 0.5])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def explained(values, base=-1.0, data=None, names=NAMES, owners=OWNERS, errors=None):
    """What `feature_contributions` returns, for values of shape (rows, entries)."""
    values = np.atleast_2d(values)[:, :, None]
    return Bunch(
        values=values,
        errors=np.zeros_like(values)
        if errors is None
        else np.reshape(errors, values.shape),
        base_values=np.full((len(values), 1), base),
        feature_names=np.array(names, dtype=object),
        organization_names=np.array(owners, dtype=object),
        is_sum=np.array([name == "undisclosed" for name in names]),
        data=data,
    )


def waterfall(values=CHANGES, base=-1.0, data=None, errors=None, **params):
    contributions = explained(values, base, data, errors=errors)
    return FeatureContributionDisplay.from_contributions(contributions, **params)


def whiskers(display):
    """Ends of each whisker by the label of its line."""
    found = {}
    for lines in display.ax_.collections:
        for (low, position), (high, _) in getattr(lines, "get_segments", list)():
            found[line_labels(display)[round(position)]] = (low, high)
    return found


def line_labels(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def bars(display):
    """Start, width and opacity of each bar by the label of its line."""
    found = {}
    for bar in display.ax_.patches:
        position = bar.get_y() + bar.get_height() / 2
        if bar.get_height() < 0.9:  # the other patches are bands
            label = line_labels(display)[round(position)]
            found[label] = (bar.get_x(), bar.get_width(), bar.get_alpha())
    return found


def texts(display):
    """Text in the plot by the label of its line."""
    labels = line_labels(display)
    return {labels[round(text.xy[1])]: text.get_text() for text in display.ax_.texts}


def ticks(display):
    """Positions and texts of the ticks of the horizontal axis."""
    axis = display.ax_.xaxis
    return axis.get_ticklocs(), [text.get_text() for text in axis.get_ticklabels()]


# --- one prediction -----------------------------------------------------------------------


def test_lines_are_grouped_by_organization_and_the_largest_are_first():
    assert line_labels(waterfall()) == [
        "starting point",
        TAX,  # 2 - 0.75 + 0.5
        "debt",
        "children",
        "undisclosed",  # sums are last
        f"{TELECOM}: late bills",  # 1
        BANK,  # -0.1875
        "income",
        "balance",
        "age",
        "cards",
        "prediction",
    ]


def test_bars_lead_from_the_base_value_to_the_prediction():
    display = waterfall()
    drawn = bars(display)
    level = -1.0
    for label in ("debt", "children", "undisclosed", f"{TELECOM}: late bills", "income"):
        change = CHANGES[NAMES.index(label.rpartition(": ")[2])]
        assert drawn[label] == (pytest.approx(level), pytest.approx(change), 1.0)
        level += change
    assert drawn[TAX][:2] == (-1.0, pytest.approx(1.75))
    assert drawn[BANK][:2] == (pytest.approx(1.75), pytest.approx(-0.1875))
    assert drawn[TAX][2] < 1  # subtotals are pale, because their lines follow
    diamonds = [line for line in display.ax_.lines if line.get_marker() == "D"]
    positions = [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds]
    assert positions == [(-1.0, 0), (pytest.approx(-1 + CHANGES.sum()), 11)]
    assert display.prediction == pytest.approx(-1 + CHANGES.sum())
    assert display.subtotals == {BANK: -0.1875, TELECOM: 1.0, TAX: 1.75}


def test_sampled_contributions_have_whiskers_of_one_standard_error():
    errors = np.array([0.125, 0, 0.25, 0, 0, 0.5, 0.25, 0.125])
    display = waterfall(errors=errors, max_features=5)
    drawn, found = bars(display), whiskers(display)
    # exact contributions have none, nor has a sum of several columns
    assert found.keys() == {"income", "debt", "children", "undisclosed"}
    for label, (low, high) in found.items():
        end = sum(drawn[label][:2])
        error = errors[NAMES.index(label)]
        assert (low, high) == (pytest.approx(end - error), pytest.approx(end + error))
    assert "Whiskers: one standard error" in display.ax_.get_xlabel()
    (text,) = (each for each in display.ax_.texts if each.xy[1] == 2)
    assert text.xy[0] == pytest.approx(found["debt"][1])  # to the right of the whisker
    np.testing.assert_array_equal(display.errors, errors)
    display = waterfall()
    assert not whiskers(display)
    assert "Whiskers" not in display.ax_.get_xlabel()


def test_whiskers_are_inside_the_axes():
    display = waterfall(errors=np.full(8, 20.0))
    low, high = display.ax_.get_xlim()
    ends = np.array(list(whiskers(display).values()))
    assert low < ends.min() < ends.max() < high


def test_whiskers_have_the_scale_of_the_contributions(fitted_cancer, cancer):
    X, _ = cancer
    explained = fitted_cancer.feature_contributions(X[:1])
    errors = explained.errors[0, :, 0]
    assert errors.max() > 0  # products of functions of ten columns
    for scale in (-1.0, 2.0):
        entries = entries_of(explained, ExplainedOutput(0, scale, "logit", "probability"))
        np.testing.assert_array_equal(entries["errors"], [abs(scale) * errors])
    display = FeatureContributionDisplay.from_estimator(fitted_cancer, X[:1])
    np.testing.assert_array_equal(display.errors, errors)
    assert whiskers(display)


def test_each_organization_has_a_band_and_a_heading():
    display = waterfall()
    shaded = [bar for bar in display.ax_.patches if bar.get_height() == 1]
    assert [bar.get_y() + 0.5 for bar in shaded] == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    bold = [
        label.get_text()
        for label in display.ax_.get_yticklabels()
        if label.get_fontweight() == "bold"
    ]
    expected = ["starting point", TAX, f"{TELECOM}: late bills", BANK, "prediction"]
    assert bold == expected


@pytest.mark.parametrize(
    ("max_features", "expected"),
    [
        (1, [TAX, "debt", "children", "undisclosed", f"{TELECOM}: late bills"]),
        (4, [TAX, "debt", "children", "undisclosed", f"{TELECOM}: late bills", BANK]),
    ],
)
def test_other_columns_of_an_organization_share_a_line(max_features, expected):
    display = waterfall(max_features=max_features)
    labels = line_labels(display)
    assert labels[1 : 1 + len(expected)] == expected
    others = {1: [f"{BANK}: 4 columns"], 4: ["income", "3 other columns"]}[max_features]
    assert labels[1 + len(expected) : -1] == others
    width = bars(display)[others[-1]][1]
    assert width == pytest.approx(CHANGES[:4].sum() if max_features == 1 else 0.3125)


def test_contributions_in_the_unit_of_y_add_up_as_they_are_written():
    display = waterfall(1234.5 * CHANGES, base=10_000.25, prediction_name="rent in euros")
    written = texts(display)
    assert written["starting point"] == "10,000"
    assert written["debt"] == "+2,469"
    assert written["children"] == "\N{MINUS SIGN}926"
    assert written[TAX] == "+2,160"
    assert written["cards"] == "\N{MINUS SIGN}77"
    assert written["prediction"] == "13,164"
    assert display.ax_.get_title(loc="left") == "Why the rent in euros is 13,164"
    assert display.ax_.get_xlabel() == "rent in euros"
    small = texts(waterfall(CHANGES / 10))  # all have the decimals of the largest
    assert (small["debt"], small["cards"]) == ("+0.200", "\N{MINUS SIGN}0.006")


def test_probabilities_on_the_axis_and_factors_of_the_odds_at_the_bars():
    display = waterfall(link="logit", prediction_name="probability of a default")
    prediction = expit(-1 + CHANGES.sum())
    assert display.prediction == pytest.approx(prediction)
    written = texts(display)
    assert written["starting point"] == "27%"
    assert written["prediction"] == f"{prediction:.0%}"
    assert written["debt"] == "\N{MULTIPLICATION SIGN}7.39"
    assert written["children"] == "\N{MULTIPLICATION SIGN}0.47"
    assert written[TAX] == "\N{MULTIPLICATION SIGN}5.75"
    title = display.ax_.get_title(loc="left")
    assert title == f"Why the probability of a default is {prediction:.0%}"
    assert "\N{MULTIPLICATION SIGN}2 doubles the odds" in display.ax_.get_xlabel()
    locations, names = ticks(display)
    assert {"40%", "60%", "80%"} <= set(names)
    shown = [float(name.removesuffix("%")) / 100 for name in names]
    np.testing.assert_allclose(expit(locations), shown)
    # the ticks are inside the limits, which they would change otherwise
    assert display.ax_.get_xlim() == waterfall().ax_.get_xlim()


@pytest.mark.parametrize(
    ("base", "scale", "known"),
    [
        (0.0, 1e-3, "50%"),
        (-6.0, 0.5, "0.4%"),
        (6.0, -0.5, "99.5%"),
        (0.0, 10.0, ">99.99%"),
        (40.0, 0.1, ">99.99%"),
    ],
)
def test_ticks_of_any_probabilities_are_exact_and_different(base, scale, known):
    display = waterfall(scale * CHANGES, base=base, link="logit")
    locations, names = ticks(display)
    assert known in names
    assert len(set(names)) == len(names)
    for location, name in zip(locations, names, strict=True):
        if name == ">99.99%":
            assert expit(-location) < 1e-4
        else:
            assert expit(location) == pytest.approx(float(name[:-1]) / 100, rel=1e-4)


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (-1.0, "27%"),
        (-4.0, "1.8%"),
        (7.0, "99.909%"),
        (12.0, ">99.99%"),
        (-800.0, "<0.01%"),
    ],
)
def test_probabilities_have_two_digits_next_to_0_and_1(base, text):
    display = waterfall(0 * CHANGES, base=base, link="logit")
    assert texts(display)["starting point"] == text
    assert texts(display)["debt"] == "\N{MULTIPLICATION SIGN}1"


def test_with_a_log_link_bars_multiply_the_prediction():
    display = waterfall(link="log", base=4.0, prediction_name="number of claims")
    assert display.prediction == pytest.approx(np.exp(4 + CHANGES.sum()))
    written = texts(display)
    assert written["starting point"] == "54.6"
    assert written["prediction"] == f"{display.prediction:.0f}"
    assert written["debt"] == "\N{MULTIPLICATION SIGN}7.39"
    assert "doubles the prediction" in display.ax_.get_xlabel()
    locations, names = ticks(display)
    assert {"50", "100", "200"} <= set(names)
    shown = [float(name.replace(",", "")) for name in names]
    np.testing.assert_allclose(np.exp(locations), shown)


def test_factors_of_any_size_are_short():
    changes = np.array([30.0, 9.0, 4.0, -4.0, -9.0, 0.001, 600.0, -30.0])
    written = texts(waterfall(changes, link="logit"))
    factors = [written[name][1:] for name in ("income", "balance", "age", "cards")]
    assert factors == ["1e+13", "8,103", "54.6", "0.0183"]
    assert max(map(len, written.values())) < 12


def test_scores_of_classes_say_so():
    display = waterfall(link="softmax", prediction_name="score of class 2")
    assert display.ax_.get_xlabel().splitlines() == [
        "score of class 2",
        "The class with the highest score is predicted.",
    ]
    assert display.ax_.get_title(loc="left") == "Why the score of class 2 is 1.56"


def test_values_are_part_of_the_labels():
    table = pd.DataFrame(
        {
            "income": [2300.0, 123_456.7],
            "balance": [-0.51234, np.nan],
            "age": [41, 2021],
            "cards": pd.Categorical(["gold", None]),
            "late bills": [True, False],
            "debt": [None, "a text that is much too long for a label"],
            "undisclosed": [1, 2],
        }
    )
    first, second = (
        set(line_labels(waterfall([CHANGES] * 2, data=table, row=row))) for row in (0, 1)
    )
    assert {"income = 2300", "balance = \N{MINUS SIGN}0.512", "age = 41"} <= first
    assert {"cards = gold", "telecom: late bills = yes", "debt = missing"} <= first
    assert {"children", "undisclosed"} <= first & second  # not in the table, a sum
    assert {"income = 123,457", "balance = missing", "age = 2021"} <= second
    assert {"cards = missing", "telecom: late bills = no"} <= second
    (debt,) = (label for label in second if label.startswith("debt"))
    assert debt.startswith("debt = a text that")
    assert debt.endswith(" label")
    assert len(debt) < 35


TABLES = {
    "array": np.asarray,
    "sparse": sparse.csr_array,
    "list": lambda rows: rows.tolist(),
    "pandas": lambda rows: pd.DataFrame(rows, columns=["x0", "x1", "x2"]),
    "polars": lambda rows: pl.DataFrame(rows, schema=["x0", "x1", "x2"]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_values_of_all_kinds_of_tables(kind):
    data = TABLES[kind](np.array([[1.0, 0, 2], [5, 6, 0]]))
    contributions = explained(
        np.ones((2, 3)), data=data, names=["x0", "x1", "x2"], owners=["a", "a", "b"]
    )
    display = FeatureContributionDisplay.from_contributions(contributions, row=1)
    expected = ["starting point", "a", "x0 = 5", "x1 = 6", "b: x2 = 0", "prediction"]
    assert line_labels(display) == expected


def test_long_names_are_shortened_and_the_figure_is_wide_enough():
    names = [
        f"a_very_long_name_of_a_column_number_{j}_of_the_organization" for j in range(3)
    ]
    contributions = explained(np.ones(3), names=names, owners=["a" * 80, "b", "b"])
    display = FeatureContributionDisplay.from_contributions(contributions)
    display.figure_.canvas.draw()
    assert max(map(len, line_labels(display))) < 90
    assert any(label.endswith("organization") for label in line_labels(display))
    width = display.ax_.get_window_extent().width / display.figure_.dpi
    assert width > 4.5
    for label in display.ax_.get_yticklabels():
        assert label.get_window_extent().x0 >= 0


def test_contributions_of_zero_can_be_drawn():
    display = waterfall(0 * CHANGES)
    assert texts(display)["debt"] == "+0"
    assert display.prediction == -1


def test_end_points_are_visible_in_a_dark_style():
    with plt.style.context("dark_background"):
        display = waterfall()
    diamonds = [line for line in display.ax_.lines if line.get_marker() == "D"]
    assert {line.get_color() for line in diamonds} == {"white"}


def test_columns_of_several_organizations_or_of_none():
    owners = ["a", "a + b", "b", ""]
    contributions = explained([1, 3, 2, 0], names=["u", "v", "w", "unused"], owners=owners)
    display = FeatureContributionDisplay.from_contributions(contributions)
    expected = ["starting point", "a + b: v", "b: w", "a: u", "prediction"]
    assert line_labels(display) == expected
    many = FeatureImportanceDisplay.from_contributions(contributions)
    assert many.feature_names == ["u", "v", "w"]
    np.testing.assert_array_equal(many.importances, [1, 3, 2])


# --- many rows ----------------------------------------------------------------------------


@pytest.fixture
def many(rng):
    return rng.normal(size=(1500, 8)) * CHANGES


def importance(values, data=None, errors=None, **params):
    contributions = explained(values, data=data, errors=errors)
    return FeatureImportanceDisplay.from_contributions(contributions, **params)


def test_bars_are_mean_absolute_contributions(many):
    display = importance(many)
    drawn = bars(display)
    np.testing.assert_allclose(display.importances, np.abs(many).mean(axis=0))
    for entry in (0, 5, 7):
        expected = (0, pytest.approx(display.importances[entry]), 1.0)
        assert drawn[NAMES[entry]] == expected
    whole = np.abs(many[:, 5:].sum(axis=1)).mean()
    assert drawn[TAX][1] == pytest.approx(whole)
    assert whole < display.importances[5:].sum()  # contributions of a row cancel out
    assert texts(display)[TAX] == f"{whole:.2f}"
    labels = line_labels(display)
    assert labels[:4] == [TAX, "debt", "children", "undisclosed"]
    title = display.ax_.get_title(loc="left")
    assert title == "Which columns change the prediction most"
    assert display.ax_.get_xlabel() == "mean change of the prediction, up or down"


def test_whiskers_of_bars_are_mean_standard_errors(many, rng):
    errors = rng.uniform(size=many.shape) * [0, 1, 0, 0, 0, 1, 0, 0]
    display = importance(many, errors=errors)
    found = whiskers(display)
    assert found.keys() == {"balance", "debt"}
    size, error = display.importances[5], errors[:, 5].mean()
    assert found["debt"] == (pytest.approx(size - error), pytest.approx(size + error))
    assert display.ax_.get_xlabel().startswith("mean change of the prediction, up or down")
    assert display.ax_.get_xlabel().count("Whiskers: one standard error") == 1
    display.plot(kind="points")
    assert not whiskers(display)


def test_other_columns_share_a_bar_of_their_sum(many):
    display = importance(many, max_features=3)
    assert line_labels(display)[-1] == f"{BANK}: 4 columns"
    width = bars(display)[f"{BANK}: 4 columns"][1]
    assert width == pytest.approx(np.abs(many[:, :4].sum(axis=1)).mean())


@pytest.mark.parametrize(("link", "of"), [("logit", "the odds"), ("log", "the rent")])
def test_bars_of_factors(many, link, of):
    display = importance(many, link=link, prediction_name="rent")
    size = display.importances[5]
    assert bars(display)["debt"][1] == pytest.approx(size)
    assert texts(display)["debt"] == f"\N{MULTIPLICATION SIGN}{np.exp(size):.2f}".rstrip(
        "0"
    )
    assert display.ax_.get_xlabel() == f"typical factor of {of}, up or down"
    locations, names = ticks(display)
    assert names[0] == "\N{MULTIPLICATION SIGN}1"
    np.testing.assert_allclose(np.exp(locations), [float(name[1:]) for name in names])


def test_points_are_contributions_with_the_colors_of_the_values(many):
    table = pd.DataFrame({name: np.arange(1500.0) ** 2 for name in NAMES})
    table.loc[:9, "income"] = np.nan
    table["debt"] = ["a", "b", "c"] * 500
    table["late bills"] = np.arange(1500) % 2 == 0
    display = importance(many[:900], data=table[:900], kind="points")
    labels = line_labels(display)
    found = {label: [] for label in labels}
    for points in display.ax_.collections:
        if len(points.get_offsets()) > 0:
            label = labels[round(points.get_offsets()[:, 1].mean())]
            found[label].append(points)
    (balance,) = found["balance"]
    np.testing.assert_array_equal(balance.get_offsets()[:, 0], many[:900, 1])
    np.testing.assert_allclose(balance.get_array(), np.linspace(0, 1, 900))
    gray, income = found["income"]
    np.testing.assert_array_equal(gray.get_offsets()[:, 0], many[:10, 0])
    np.testing.assert_array_equal(income.get_offsets()[:, 0], many[10:900, 0])
    (late,) = found[f"{TELECOM}: late bills"]
    np.testing.assert_array_equal(late.get_array(), np.arange(900) % 2 == 0)
    for label in ("debt", "undisclosed", BANK):  # a text, a sum, an organization
        (points,) = found[label]
        assert points.get_array() is None
    np.testing.assert_allclose(points.get_offsets()[:, 0], many[:900, :4].sum(axis=1))
    heights = np.concatenate([each.get_offsets()[:, 1] for each in found["income"]])
    assert np.abs(heights - labels.index("income")).max() < 0.5
    bar = display.figure_.axes[1]
    assert bar.get_ylabel() == "value of the column"
    assert [label.get_text() for label in bar.get_yticklabels()] == ["low", "high"]
    assert display.ax_.get_xlabel() == "change of the prediction"


def test_points_are_a_sample_and_have_no_color_bar_without_values(many):
    display = importance(many, kind="points", link="logit")
    assert {len(points.get_offsets()) for points in display.ax_.collections} == {1000}
    assert display.figure_.axes == [display.ax_]
    assert display.ax_.get_xlabel() == "factor of the odds"
    assert "\N{MULTIPLICATION SIGN}1" in ticks(display)[1]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.02, 0.2, "1 1.05 1.1 1.15 1.2"),  # equal steps
        (-2.0, 2.0, "0.2 0.5 1 2 5"),  # equal ratios, where these would be uneven
        (-6.0, 5.0, "0.01 0.1 1 10 100"),
    ],
)
def test_ticks_of_factors_are_round_and_include_1(low, high, expected):
    values = np.zeros((2, 8))
    values[:, 0] = low, high
    display = importance(values, link="logit", kind="points")
    locations, names = ticks(display)
    assert [name[1:] for name in names] == expected.split()
    np.testing.assert_allclose(np.exp(locations), [float(name[1:]) for name in names])


# --- of a fitted model --------------------------------------------------------------------


def divided_evenly(model, X):
    """Contributions of the organizations, divided evenly among their columns."""
    by_organization = model.contributions(X)
    owners = np.repeat(range(len(model.columns_)), [len(each) for each in model.columns_])
    sizes = np.bincount(owners)[owners]
    names = getattr(model, "feature_names_in_", [f"x{j}" for j in range(X.shape[1])])
    return Bunch(
        values=by_organization[:, owners] / sizes[None, :, None],
        errors=np.zeros((len(by_organization), len(owners), by_organization.shape[2])),
        base_values=np.tile(model.baseline_prediction_, (len(by_organization), 1)),
        feature_names=np.array(names, dtype=object)[np.concatenate(model.columns_)],
        organization_names=np.array(model.organization_names_, dtype=object)[owners],
        is_sum=np.zeros(len(owners), dtype=bool),
        data=X,
    )


@pytest.fixture
def simple_contributions(monkeypatch):
    for cls in (GALClassifier, GALRegressor):
        monkeypatch.setattr(cls, "feature_contributions", divided_evenly, raising=False)


@pytest.fixture(scope="module")
def fitted_cancer(cancer):
    X, y = cancer
    names = np.array(["malignant", "benign"])[y]
    organizations = make_organizations(X, 3, Ridge(), random_state=0)
    return GALClassifier(organizations, max_iter=3, random_state=0).fit(X, names)


@pytest.mark.usefixtures("simple_contributions")
def test_the_probability_of_either_class(fitted_cancer, cancer):
    X = cancer[0]
    second = FeatureContributionDisplay.from_estimator(fitted_cancer, X, row=-3)
    probabilities = fitted_cancer.predict_proba(X[-3:-2])[0]
    assert second.prediction == pytest.approx(probabilities[1])
    assert second.prediction_name == "probability of class malignant"
    first = FeatureContributionDisplay.from_estimator(
        fitted_cancer,
        X[-3:-2],
        target="benign",
        prediction_name="chance of no cancer",
        max_features=30,
    )
    assert first.prediction == pytest.approx(probabilities[0])
    np.testing.assert_array_equal(first.contributions, -second.contributions)
    assert first.ax_.get_title(loc="left").startswith("Why the chance of no cancer is ")
    column = fitted_cancer.columns_[0][0]
    assert f"x{column} = {X[-3, column]:.3g}" in line_labels(first)


@pytest.mark.usefixtures("simple_contributions")
def test_raw_predictions_of_the_exponential_loss_are_half_the_log_odds(cancer):
    X, y = cancer
    organizations = make_organizations(X, 2, Ridge(), random_state=0)
    for loss in ("exponential", ExponentialLoss()):
        model = GALClassifier(organizations, loss=loss, max_iter=2, random_state=0).fit(
            X, y
        )
        display = FeatureContributionDisplay.from_estimator(model, X[:1])
        assert display.prediction == pytest.approx(model.predict_proba(X[:1])[0, 1])
        assert display.link == "logit"


@pytest.mark.usefixtures("simple_contributions")
def test_scores_of_more_than_two_classes(wine):
    X, y = wine
    organizations = make_organizations(X, 2, Ridge(), random_state=0)
    model = GALClassifier(organizations, max_iter=2, random_state=0).fit(X, y)
    display = FeatureContributionDisplay.from_estimator(model, X, row=5, target=2)
    assert display.prediction == pytest.approx(model.decision_function(X[5:6])[0, 2])
    assert display.ax_.get_xlabel().startswith("score of class 2\n")
    many = FeatureImportanceDisplay.from_estimator(model, X, target=2, kind="points")
    np.testing.assert_allclose(many.contributions[5], display.contributions, rtol=1e-12)
    for cls in (FeatureContributionDisplay, FeatureImportanceDisplay):
        with pytest.raises(ValueError, match=r"one of the classes \[0, 1, 2\], got None"):
            cls.from_estimator(model, X[:1])


class SquareLink(SquaredError):
    def inverse_link(self, raw_prediction):
        return raw_prediction**2


class NoProbabilities(Loss):
    def pointwise(self, y, raw_prediction):
        return ((y - raw_prediction) ** 2).sum(axis=1) / 2

    def pseudo_residual(self, y, raw_prediction):
        return y - raw_prediction

    def baseline(self, y, sample_weight=None):
        return np.average(y, axis=0, weights=sample_weight)


@pytest.mark.usefixtures("simple_contributions")
@pytest.mark.parametrize(
    ("loss", "link", "name"),
    [
        ("squared_error", "identity", "prediction"),
        ("poisson", "log", "prediction"),
        ("gamma", "log", "prediction"),
        (SquareLink(), "identity", "raw prediction"),
    ],
)
def test_predictions_of_regressors(diabetes, loss, link, name):
    X, y = diabetes
    organizations = [("a", Ridge(), slice(0, 4)), ("b", Ridge(), slice(4, 10))]
    model = GALRegressor(organizations, loss=loss, max_iter=2, random_state=0).fit(X, y)
    display = FeatureContributionDisplay.from_estimator(model, X[:1])
    prediction = model.predict(X[:1])[0]
    if name == "raw prediction":
        prediction = np.sqrt(prediction)
    assert display.prediction == pytest.approx(prediction)
    assert (display.link, display.prediction_name) == (link, name)


@pytest.mark.usefixtures("simple_contributions")
def test_one_of_several_outputs(diabetes):
    X, y = diabetes
    organizations = [("a", Ridge(), slice(0, 4)), ("b", Ridge(), slice(4, 10))]
    model = GALRegressor(organizations, max_iter=2, random_state=0)
    model.fit(X, np.column_stack([y, -2 * y]))
    display = FeatureContributionDisplay.from_estimator(model, X[:1], target=1)
    assert display.prediction == pytest.approx(model.predict(X[:1])[0, 1])
    assert display.prediction_name == "prediction of output 1"


@pytest.mark.usefixtures("simple_contributions")
def test_a_classifier_without_probabilities_has_raw_predictions(cancer):
    X, y = cancer
    organizations = make_organizations(X, 2, Ridge(), random_state=0)
    model = GALClassifier(organizations, loss=NoProbabilities(), max_iter=2).fit(X, y)
    display = FeatureImportanceDisplay.from_estimator(model, X)
    assert display.prediction_name == "raw prediction of class 1"
    assert display.link == "identity"


@pytest.mark.skipif(
    not hasattr(GALClassifier, "feature_contributions"), reason="not in this version"
)
def test_real_contributions_lead_to_the_prediction(fitted_cancer, cancer):
    X = cancer[0]
    display = FeatureContributionDisplay.from_estimator(fitted_cancer, X[:1])
    probability = fitted_cancer.predict_proba(X[:1])[0, 1]
    assert display.prediction == pytest.approx(probability)
    assert set(display.subtotals) == set(fitted_cancer.organization_names_)
    assert "=" in line_labels(display)[2]  # the value of a column
    many = FeatureImportanceDisplay.from_estimator(fitted_cancer, X, kind="points")
    np.testing.assert_allclose(many.contributions[0], display.contributions)
    assert len(many.figure_.axes) == 2  # values are known, so there is a color bar


@pytest.mark.usefixtures("simple_contributions")
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_row_of_a_dataframe(diabetes, frame):
    X, y = diabetes
    table = frame(dict(zip("abcdefghij", X.T, strict=True)))
    organizations = [("one", Ridge(), list("acegi")), ("two", Ridge(), list("bdfhj"))]
    model = GALRegressor(organizations, max_iter=2, random_state=0).fit(table, y)
    display = FeatureContributionDisplay.from_estimator(model, table, row=5)
    for name in "aj":
        value = float(X[5, "abcdefghij".index(name)])
        shown = f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
        assert f"{name} = {shown}" in line_labels(display)
    assert display.prediction == pytest.approx(model.predict(table[5:6])[0])


# --- axes and errors ----------------------------------------------------------------------


def test_the_given_axes_are_used(many):
    figure, axes = plt.subplots(3)
    for ax, create in zip(axes, (waterfall, importance, importance), strict=True):
        kind = {"kind": "points"} if ax is axes[2] else {}
        display = create(many, ax=ax, **kind)
        assert display.ax_ is ax
        assert display.figure_ is figure
        assert display.plot(ax=ax) is display


@pytest.mark.usefixtures("simple_contributions")
def test_a_single_row_is_explained(fitted_cancer, cancer):
    X = cancer[0]
    create = FeatureContributionDisplay.from_estimator
    with pytest.raises(ValueError, match=r"X has 569 rows.*Pass the position.*`row`"):
        create(fitted_cancer, X)
    with pytest.raises(ValueError, match=r"X.iloc\[\[0\]\].*an object of shape \(30,\)"):
        create(fitted_cancer, X[0])
    for row in (569, -570, 1.5):
        with pytest.raises(IndexError, match=f"row={row} is not .* the 569 rows"):
            create(fitted_cancer, X, row=row)


def test_parameters_are_checked(many):
    with pytest.raises(IndexError, match=r"row=1500 is not the position .* 1500 rows"):
        waterfall(many, row=1500)
    for create in (waterfall, importance):
        with pytest.raises(IndexError, match=r"output=1 is not the position .* 1 outputs"):
            create(many, output=1)
        with pytest.raises(ValueError, match=r"link must be one of \['identity'.*'probit'"):
            create(many, link="probit")
        for max_features in (0, 2.5, "all"):
            with pytest.raises(
                ValueError, match="positive integer, got .*" + str(max_features)
            ):
                create(many, max_features=max_features)
    with pytest.raises(ValueError, match="kind must be 'bars' or 'points', got 'bees'"):
        importance(many, kind="bees")
