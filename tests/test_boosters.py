"""Boosters whose text is read when they are first used."""

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy

import numpy as np
import pytest
from lightgbm import Booster, LGBMRegressor
from numpy.testing import assert_array_equal

from sklearn_gal import GALRegressor
from sklearn_gal._boosters import UnreadBooster


@pytest.fixture
def data(rng):
    return rng.normal(size=(80, 3)), rng.normal(size=80)


@pytest.fixture
def booster(data):
    """An ordinary one."""
    return LGBMRegressor(n_estimators=3, verbosity=-1).fit(*data).booster_


@pytest.fixture
def unread(booster):
    return UnreadBooster(booster.__getstate__())


@pytest.fixture
def readings(monkeypatch):
    """Boosters that have read a text, as long as nothing else does."""
    read, original = [], Booster.__setstate__

    def counted(self, state):
        read.append(self)
        original(self, state)

    monkeypatch.setattr(Booster, "__setstate__", counted)
    return read


def test_becomes_an_ordinary_one_when_it_is_used(booster, unread, data, readings):
    assert unread.params == booster.params
    assert isinstance(unread, Booster)
    assert not readings
    assert_array_equal(unread.predict(data[0]), booster.predict(data[0]))
    assert unread.num_trees() == 3
    assert len(readings) == 1
    assert type(unread) is Booster
    assert vars(unread).keys() == booster.__getstate__().keys()
    with pytest.raises(AttributeError):
        unread.nothing  # noqa: B018


@pytest.mark.parametrize("again", [lambda b: pickle.loads(pickle.dumps(b)), copy, deepcopy])
def test_copies_are_ordinary(booster, unread, data, again):
    copied = again(unread)
    assert type(copied) is Booster
    assert_array_equal(copied.predict(data[0]), booster.predict(data[0]))
    assert_array_equal(unread.predict(data[0]), booster.predict(data[0]))


def test_neither_a_pickle_nor_the_end_reads_it(unread, readings):
    saved = pickle.dumps(unread)
    assert b"sklearn_gal" not in saved
    del unread
    gc.collect()
    assert not readings


def test_many_threads_read_it_once(booster, unread, data, readings):
    expected = booster.predict(data[0])
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(unread.predict, [data[0]] * 64):
            assert_array_equal(found, expected)
    assert len(readings) == 1


def test_a_fit_reads_none_of_them(data, readings):
    X = data[0]
    y = X.sum(axis=1)
    learner = LGBMRegressor(n_estimators=2, verbosity=-1)
    held = [("a", learner, slice(0, 2)), ("b", learner, slice(2, 3))]
    model = GALRegressor(held, max_iter=4, cv=2, random_state=0).fit(X, y)
    assert model.n_iter_ > 0
    assert not readings
    assert np.isfinite(model.predict(X)).all()
    assert readings
