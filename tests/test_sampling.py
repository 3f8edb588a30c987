import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, TimeSeriesSplit

from sklearn_gal._contract import NO_FOLD, Folds
from sklearn_gal._method.folds import (
    FoldPlan,
    RoundFolds,
    draw_folds,
    draw_part,
    number_of_folds,
)
from sklearn_gal._training_data import TrainingData
from sklearn_gal._validation import given_folds


def round_folds(n, n_folds=None, subsample=1.0, given=None, seed=0):
    plan = FoldPlan(n_folds, subsample, fixed=False, given=given, seed=seed)
    return RoundFolds(plan, np.zeros(n, dtype=int))


@pytest.mark.parametrize("n_folds", [2, 3, 7])
def test_folds_are_balanced_within_strata(rng, n_folds):
    strata = rng.choice(3, size=100, p=[0.1, 0.3, 0.6])
    folds = draw_folds(strata, n_folds, rng)
    sizes = np.bincount(folds, minlength=n_folds)
    assert sizes.max() - sizes.min() <= 1
    for stratum in range(3):
        sizes = np.bincount(folds[strata == stratum], minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1


def test_folds_stay_and_repeat_for_a_seed():
    folds = round_folds(50, 5)
    assert folds(0) is folds(1) is folds.chains
    assert folds.chains.n_chains == 5
    assert folds.chains.stay
    assert_array_equal(folds(0).numbers, round_folds(50, 5)(0).numbers)
    assert (folds(0).numbers != round_folds(50, 5, seed=1)(0).numbers).any()


def test_given_folds_are_used_in_every_round():
    folds = np.arange(10) % 2
    assert round_folds(10, given=folds)(3).numbers is folds


def test_in_sample_rounds_have_no_folds():
    assert round_folds(10)(0) is None


def test_all_rows_select_if_all_are_held_out():
    assert Folds(np.array([0, 1])).selection_rows == slice(None)


def test_bags_leave_a_part_out_to_select():
    bags = round_folds(40, subsample=0.75)
    folds = bags(0)
    assert set(folds.numbers) == {0, NO_FOLD}
    assert bags.chains is None
    assert not folds.stay
    assert folds.n_chains == 1
    assert len(folds.selection_rows) == 10
    assert_array_equal(folds.numbers[folds.selection_rows], 0)
    assert (folds.numbers != bags(1).numbers).any()


def test_a_part_leaves_a_row_of_every_stratum(rng):
    strata = np.repeat([0, 1, 2], [1, 2, 30])
    for _ in range(20):
        part = draw_part(strata, 12, rng)
        assert part.sum() == 12
        assert set(strata[~part]) == {0, 1, 2}


@pytest.mark.parametrize(("fraction", "size"), [(0.2, 8), (5, 5), (0.001, 1)])
def test_validation_split(fraction, size):
    y = np.arange(40.0)[:, None]
    data = TrainingData(y, y, None, np.zeros(40, dtype=int))
    train, validation = data.split(fraction, 0)
    assert len(validation) == size
    assert_array_equal(np.sort(np.r_[train.y, validation.y].ravel()), np.arange(40))


def test_auto_folds_depend_on_the_number_of_rows():
    sizes = (19, 20, 4999, 5000)
    folds = [number_of_folds("auto", 1.0, n, private=False) for n in sizes]
    assert folds == [None, 5, 5, 3]
    folds = [number_of_folds("auto", 1.0, n, private=True) for n in sizes]
    assert folds == [None, 2, 2, 2]
    assert number_of_folds("auto", 0.5, 5000, private=False) is None
    assert number_of_folds(None, 1.0, 5000, private=False) is None
    assert number_of_folds(4, 1.0, 10, private=True) == 4


def test_more_folds_than_rows():
    with pytest.raises(ValueError, match="cv=11 folds are more than the 10 rows"):
        number_of_folds(11, 1.0, 10, private=False)


def test_splitters_and_iterables():
    X, y = np.zeros((12, 1)), np.arange(12)
    expected = np.repeat([0, 1, 2], 4)
    assert_array_equal(given_folds(KFold(3), X, y), expected)
    assert_array_equal(given_folds(list(KFold(3).split(X)), X, y), expected)
    groups = np.arange(12) % 2
    folds = given_folds(GroupKFold(2), X, y, groups=groups)
    assert len(set(zip(folds, groups, strict=True))) == 2
    assert given_folds("auto", X, y) is None


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (TimeSeriesSplit(2), "all rows outside its test set"),
        (ShuffleSplit(3, random_state=0), "exactly one test set"),
        ([(np.arange(6), np.arange(6, 12))], "6 of 12 rows"),
    ],
)
def test_splits_must_divide_the_rows(cv, message):
    with pytest.raises(ValueError, match=message):
        given_folds(cv, np.zeros((12, 1)), np.arange(12))
