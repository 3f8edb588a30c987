import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from sklearn_gal import GALClassifier, GALRegressor

callback = pytest.importorskip(
    "sklearn.callback", reason="scikit-learn >= 1.9 has callbacks"
)


def test_scoring_monitor_scores_every_round(diabetes):
    X, y = diabetes
    monitor = callback.ScoringMonitor(scoring="r2")
    model = GALRegressor([("a", Ridge(), slice(None))], max_iter=4, random_state=0)
    model.set_callbacks(monitor).fit(X, y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "round"]
    assert len(log) == 4
    expected = model.score(X, y)
    assert log[-1]["r2"] == pytest.approx(expected)
    assert log[0]["r2"] < log[-1]["r2"]


def test_scoring_monitor_scores_rounds_with_more_columns(linear):
    X, y = linear
    held = [("a", Ridge(), [0]), ("b", Ridge(), [1])]
    model = GALRegressor(held, max_iter=2, warm_start=True, random_state=0)
    model.fit(pd.DataFrame(X[:, :2]), y)
    monitor = callback.ScoringMonitor(scoring="r2")
    model.set_params(organizations=[*held, ("c", Ridge(), [2, 3])], max_iter=4)
    model.set_callbacks(monitor).fit(X, y)
    log = [row for row in monitor.get_logs().data if row["task_name"] == "round"]
    assert log[-1]["r2"] == pytest.approx(model.score(X, y))


def test_progress_bar(wine, capsys):
    pytest.importorskip("rich")
    model = GALClassifier(max_iter=3).set_callbacks(callback.ProgressBar())
    model.fit(*wine)
    assert "GALClassifier" in capsys.readouterr().out


def test_a_callback_may_stop_the_fit(wine):
    class Stop:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context): ...
        def on_fit_task_end(self, estimator, context):
            return context.task_name == "round" and context.task_id == 1

    model = GALClassifier(max_iter=5).set_callbacks(Stop()).fit(*wine)
    assert (model.n_iter_, model.stop_reason_) == (2, "callback")


def test_callbacks_see_the_weights_of_the_user(wine):
    X, y = wine
    monitor = callback.ScoringMonitor(scoring="accuracy")
    weight = (y > 0) + 0.5
    model = GALClassifier(max_iter=2, random_state=0).set_callbacks(monitor)
    model.fit(X, y, sample_weight=weight)
    last = [row for row in monitor.get_logs().data if row["task_name"] == "round"][-1]
    assert last["accuracy"] == pytest.approx(model.score(X, y, sample_weight=weight))
