import os

# Before OpenMP is loaded: threads that have nothing to do then leave the core to the other
# process of the tests. They would wait in a busy loop, longer than the many small fits of
# LightGBM take.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest

# How long all tests take on two cores that do nothing else: on 2026-11-26 they used 620
# seconds of processor time in two processes.
MINUTES = 5


def pytest_report_header():
    return f"all tests take about {MINUTES} minutes on two cores"


class FailuresAtOnce:
    """Names each test that fails when it fails; pytest does so at the end.

    Parameters
    ----------
    reporter : TerminalReporter
        Where to write. The processes of pytest-xdist report to it as well.
    """

    def __init__(self, reporter):
        self._reporter = reporter

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._reporter.ensure_newline()
            self._reporter.write_line(f"\nFAILED {report.nodeid} ({report.when})", red=True)


@pytest.hookimpl(trylast=True)  # after the reporter is registered
def pytest_configure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(reporter))


# imported where it is used: the process that only distributes the tests starts at once
@pytest.fixture(scope="session")
def diabetes():
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="session")
def cancer():
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="session")
def wine():
    from sklearn.datasets import load_wine

    return load_wine(return_X_y=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def linear(rng):
    """Four columns, and a target that depends on the first and the third."""
    X = rng.normal(size=(300, 4))
    return X, X[:, 0] + 2 * X[:, 2] + 0.1 * rng.normal(size=300)


@pytest.fixture
def data(rng):
    """Columns, a residual of three outputs, and row weights, for the local learners."""
    X = rng.normal(size=(80, 6)) + [0, 1, 2, 3, 40, 5]
    residual = X[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(80, 3))
    return X, residual, rng.gamma(1, size=80)
