"""Organizations side by side, in threads and in other processes."""

import threading
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from joblib import parallel_config
from joblib.parallel import get_active_backend
from lightgbm import LGBMRegressor
from numpy.testing import assert_array_equal
from sklearn import config_context, get_config
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from _helpers import equal_parts
from sklearn_gal import GALClassifier, GALRegressor, default_learner
from sklearn_gal._contract import Folds, Request
from sklearn_gal._learners import IN_SAMPLE, make_learner
from sklearn_gal._learners.worker_cache import _WORKER_CACHE
from sklearn_gal._organizations.local import LocalOrganization
from sklearn_gal._organizations.parallel import LocalFits, Threads, _fit_requests
from sklearn_gal._organizations.shared_model import SharingOrganization

HELD = [
    ("a", LGBMRegressor(n_estimators=2, verbosity=-1), slice(0, 3)),
    ("b", Ridge(), slice(3, 6)),
    ("c", make_pipeline(StandardScaler(), SVR()), slice(6, 8)),
    ("d", None, slice(8, 10)),
]
SETTINGS = [
    {},
    {"cv": None},
    {"cv": None, "subsample": 0.7},
    {"cv": 3},
    {"share_models": True},
]


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


def fitted_here_and_there(X, y, settings, **backend):
    held = HELD
    if "share_models" in settings:
        held = [("a", Ridge(), slice(0, 5)), ("b", Ridge(alpha=9.0), slice(5, 10))]
    model = GALRegressor(held, max_iter=4, random_state=0, n_jobs=2, **settings)
    here = model.fit(X, y).predict(X)
    losses = model.train_loss_
    with parallel_config(**backend):
        there = model.fit(X, y)
    assert_array_equal(there.train_loss_, losses)
    assert_array_equal(there.predict(X), here)
    return there


@pytest.mark.filterwarnings("default")  # of the cluster
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_dask_cluster_gives_the_same_numbers(cluster, diabetes, settings):
    fitted_here_and_there(*diabetes, settings, backend="dask")


@pytest.mark.filterwarnings("default")
def test_fits_take_place_on_the_cluster(cluster, wine):
    X, y = wine
    held = [("a", None, slice(0, 6)), ("b", Ridge(), slice(6, 13))]
    with parallel_config(backend="dask"):
        GALClassifier(held, max_iter=3, random_state=0).fit(X, y)
    n_cached = cluster.run(
        lambda: len(__import__("sklearn_gal")._learners.worker_cache._WORKER_CACHE)
    )
    assert sum(n_cached.values()) > 0


@pytest.mark.filterwarnings("default")
def test_a_search_on_the_cluster_fits_each_model_in_one_place(cluster, diabetes):
    X, y = diabetes
    search = GridSearchCV(GALRegressor(HELD, max_iter=2, random_state=0), {}, cv=2)
    here = search.fit(X, y).cv_results_["split0_test_score"]
    with parallel_config(backend="dask"):
        there = search.fit(X, y).cv_results_["split0_test_score"]
    assert_array_equal(there, here)


@pytest.mark.parametrize("settings", SETTINGS[:2], ids=str)
def test_processes_give_the_same_numbers(diabetes, settings):
    fitted_here_and_there(*diabetes, settings, backend="loky", n_jobs=2)


def test_a_process_backend_around_the_fit(linear):
    ridges = equal_parts(4, Ridge(), Ridge())
    expected = GALRegressor(ridges, max_iter=2, random_state=0).fit(*linear)
    with parallel_config("loky", n_jobs=2):
        model = GALRegressor(ridges, max_iter=2, random_state=0).fit(*linear)
        assert_array_equal(model.predict(linear[0]), expected.predict(linear[0]))


def test_threads_unless_the_user_chose_otherwise():
    local = LocalOrganization("a", Ridge(), np.arange(2))
    sharing = SharingOrganization("b", Ridge(), np.arange(2))
    assert not LocalFits([local], 2).uses_processes
    with parallel_config(backend="threading"):
        assert not LocalFits([local], 2).uses_processes
    with parallel_config(backend="loky"):
        assert LocalFits([local], 2).uses_processes
        assert not LocalFits([local, sharing], 2).uses_processes


ASKED = []


class Asks(Ridge):
    """Asks in `fit` and `predict` what joblib and scikit-learn would have it do."""

    def fit(self, X, y, sample_weight=None):
        self.ask()
        return super().fit(X, y, sample_weight)

    def predict(self, X):
        self.ask()
        return super().predict(X)

    def ask(self):
        backend, _ = get_active_backend()
        setting = get_config()["assume_finite"]
        ASKED.append((backend.nesting_level, setting, threading.get_ident()))


@pytest.mark.parametrize(
    ("n_jobs", "backend", "n_threads"),
    [
        (None, {}, 0),
        (1, {}, 0),
        (2, {}, 2),
        (None, {"backend": "threading", "n_jobs": 2}, 2),
        (2, {"backend": "sequential"}, 0),
    ],
)
def test_estimators_find_the_settings_of_the_caller(diabetes, n_jobs, backend, n_threads):
    X, y = diabetes
    held = [("a", Asks(), slice(0, 5)), ("b", Asks(), slice(5, 10))]
    ASKED.clear()
    settings = parallel_config(**backend) if backend else nullcontext()
    with config_context(assume_finite=True), settings:
        GALRegressor(held, max_iter=5, n_jobs=n_jobs, random_state=0).fit(X, y).predict(X)
    levels, finite, threads = zip(*ASKED, strict=True)
    assert set(finite) == {True}
    here = threading.get_ident()
    assert set(levels) == ({1} if n_threads else {get_active_backend()[0].nesting_level})
    assert (here not in threads) if n_threads else set(threads) == {here}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_an_organization_in_a_thread_is_raised(diabetes, n_jobs):
    X, y = diabetes
    held = [("a", Ridge(), slice(0, 5)), ("b", Ridge(alpha="no"), slice(5, 10))]
    before = threading.enumerate()
    with pytest.raises(ValueError, match="alpha"):
        GALRegressor(held, n_jobs=n_jobs).fit(X, y)
    started = set(threading.enumerate()) - set(before)
    for thread in started:
        thread.join(timeout=600)
    assert not any(thread.is_alive() for thread in started)


def test_filters_of_warnings_are_as_before_threads_have_changed_them():
    before = list(warnings.filters)
    caught, cleared = threading.Barrier(2), threading.Event()

    def catch(leaves_last):
        with warnings.catch_warnings():
            warnings.resetwarnings()
            caught.wait(60)
            if leaves_last:  # it puts back the filters of the other thread
                assert cleared.wait(60)
        cleared.set()

    with Threads(2) as threads:
        threads.map(catch, [True, False])
        assert list(warnings.filters) == before
        caught.reset()
        cleared.clear()
        threads.map(catch, [False, True])
    assert list(warnings.filters) == before


def test_an_error_does_not_wait_for_calls_that_still_run():
    released, answered = threading.Event(), threading.Event()

    def work(name):
        if name == "fails":
            raise ZeroDivisionError
        released.wait(600)
        answered.set()

    with pytest.raises(ZeroDivisionError), Threads(2) as threads:
        threads.map(work, ["works", "fails"])
    assert not answered.is_set()
    released.set()
    assert answered.wait(600)


@pytest.mark.parametrize("estimator", [each for _, each, _ in HELD[:3]])
def test_a_copy_in_another_process_finds_what_is_cached(rng, estimator):
    X, residual = rng.normal(size=(60, 3)), rng.normal(size=(60, 1))
    learner = make_learner(estimator, X, {})
    model, fitted = learner.fit(residual, IN_SAMPLE, 0)
    restore, arguments = learner.__reduce__()
    there = restore(*arguments)
    assert there is not learner
    assert restore(*arguments) is there
    assert_array_equal(there.fit(residual, IN_SAMPLE, 0)[1], fitted)
    assert_array_equal(there.predict(model, None), learner.predict(model, None))
    assert list(_WORKER_CACHE)[-1] == learner.cache_key
    _WORKER_CACHE.clear()


def test_few_learners_are_cached(rng, monkeypatch):
    monkeypatch.setattr("sklearn_gal._learners.worker_cache.MAX_CACHED_LEARNERS", 2)
    for _ in range(4):
        restore, arguments = make_learner(Ridge(), np.eye(3), {}).__reduce__()
        restore(*arguments)
    assert len(_WORKER_CACHE) == 2
    _WORKER_CACHE.clear()


@pytest.mark.parametrize("estimator", [default_learner(), Ridge()])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("missing", [False, True])
def test_requests_fitted_together_are_those_fitted_one_by_one(
    rng, estimator, n_outputs, missing
):
    X = rng.normal(size=(150, 4))
    X[: 25 if missing else 0] = np.nan
    folds = Folds(rng.integers(3, size=150))
    requests = [
        Request(0, number, 10 + number, folds, rng.normal(size=(3, 150, n_outputs)))
        for number in (4, 5, 6)
    ]
    together, single = (
        LocalOrganization("a", estimator, np.arange(4), "abstain") for _ in range(2)
    )
    for organization in (together, single):
        organization.prepare(X, {})
    assert together.fits_together == isinstance(estimator, LGBMRegressor)
    fitted = _fit_requests(together, requests)
    expected = [single.fit_round(request) for request in requests]
    np.testing.assert_array_equal(fitted, expected)
    assert together.models.keys() == single.models.keys() == {4, 5, 6}
    for number in (4, 5, 6):
        one, other = (each.predict(X, [number], [1.0]) for each in (together, single))
        np.testing.assert_array_equal(one, other)
        chains = together.predict_each(X, [number])[number]
        np.testing.assert_allclose(chains, fitted[number - 4], rtol=0, atol=1e-12)
        assert type(together.models[number]) is type(single.models[number])
