"""How often each order visits each sample, against independent definitions."""

import pytest
import torch
from torch.utils.data import WeightedRandomSampler

from debias.data.balance import bias_balanced, class_balanced, group_balanced
from debias.data.orders import seeded_generator, shuffled, weighted
from debias.data.subsamples import class_subsample, group_subsample
from tests.data.small_pictures import GROUPS

GROUP = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3])  # counts 5, 2, 3, 4
ROW = GROUP // 2  # counts 7, 7
UNEQUAL_ROW = torch.tensor([1, 0, 0, 1, 0, 0])


def test_shuffled_visits_each_once_in_random_order() -> None:
    order = shuffled(torch.zeros(50, 3, dtype=torch.int64))
    drawn = order.draw(seeded_generator(0))
    assert drawn.sort().values.tolist() == list(range(50))
    assert drawn.tolist() != list(range(50))
    assert len(order) == 50


def test_shuffled_repeats_are_passes() -> None:
    """A batch of all rows is then one pass: this is full-batch training with few epochs."""
    drawn = shuffled(torch.zeros(50), repeats=3).draw(seeded_generator(0)).view(3, 50)
    assert all(each.sort().values.tolist() == list(range(50)) for each in drawn)
    assert drawn[0].tolist() != drawn[1].tolist()
    with pytest.raises(ValueError, match=r"repeats must be at least 1; got sampler\.repeats=0"):
        shuffled(torch.zeros(5), repeats=0)


def test_shuffled_visits_are_passes_that_go_on() -> None:
    """Of 50 samples, passes of 48 leave out two each, which differ; 100 visits end in the third."""
    order = shuffled(torch.zeros(50), visits=100, multiple=16)
    drawn = order.draw(seeded_generator(0))
    first, second, rest = drawn[:48], drawn[48:96], drawn[96:]
    assert len(order) == len(drawn) == 100
    assert len(rest.unique()) == 4
    missing = [set(range(50)) - set(each.tolist()) for each in (first, second)]
    assert [len(each) for each in missing] == [2, 2]
    assert missing[0] != missing[1]
    assert len(shuffled(torch.zeros(50), repeats=2, multiple=16)) == 96


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"visits": 0}, r"sampler\.visits must be at least 1; got sampler\.visits=0"),
        ({"multiple": 51}, r"sampler\.multiple must be at most 50.*got sampler\.multiple=51"),
        ({"visits": 9, "repeats": 2}, r"exclude each other; got 2 and 9"),
    ],
)
def test_shuffled_refuses(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        shuffled(torch.zeros(50), **options)


def test_group_balanced_draws_what_torchs_weighted_sampler_draws() -> None:
    weights = [1 / [5, 2, 3, 4][group] for group in GROUP.tolist()]
    expected = list(
        WeightedRandomSampler(weights, 14, replacement=True, generator=seeded_generator(3))
    )
    assert group_balanced(GROUP, GROUPS).draw(seeded_generator(3)).tolist() == expected


def test_group_balanced_visits_groups_equally_often() -> None:
    """1000 epochs of 14: each group 3500 times, standard deviation sqrt(14000 * 1/4 * 3/4) = 51."""
    generator = seeded_generator(0)
    order = group_balanced(GROUP, GROUPS)
    drawn = torch.cat([order.draw(generator) for _ in range(1000)])
    visits = torch.bincount(GROUP[drawn])
    assert (visits - 3500).abs().max() < 4 * 51
    each = torch.bincount(drawn, minlength=14)
    assert (each[GROUP == 1] - 1750).abs().max() < 4 * 40
    assert len(order) == 14


def test_bias_balanced_visits_values_of_the_bias_equally_often() -> None:
    """1000 epochs of 8: each value 4000 times, standard deviation 45; within a value, each sample
    as often as another.

    Targets play no part: of the five of value 0, whatever their class, each is drawn 800 times, of
    the three of value 1 each 1333 times; standard deviations 27 and 33.
    """
    bias = torch.tensor([0, 1, 0, 0, 1, 0, 1, 0])
    generator = seeded_generator(0)
    order = bias_balanced(bias, GROUPS)
    drawn = torch.cat([order.draw(generator) for _ in range(1000)])
    assert len(order) == 8
    assert abs(int(bias[drawn].sum()) - 4000) < 4 * 45
    visits = torch.bincount(drawn, minlength=8)
    assert (visits[bias == 0] - 800).abs().max() < 4 * 27
    assert (visits[bias == 1] - 1333).abs().max() < 4 * 33


def test_class_balanced_visits_classes_equally_often() -> None:
    """3000 draws in two classes: 1500 each, standard deviation 27."""
    generator = seeded_generator(0)
    order = class_balanced(UNEQUAL_ROW, GROUPS)
    drawn = torch.cat([order.draw(generator) for _ in range(500)])
    assert abs(int(UNEQUAL_ROW[drawn].sum()) - 1500) < 4 * 28


def test_group_subsample_cuts_each_group_to_the_smallest() -> None:
    order = group_subsample(GROUP, GROUPS, 0)
    drawn = order.draw(seeded_generator(0))
    assert torch.bincount(GROUP[drawn]).tolist() == [2, 2, 2, 2]
    assert len(set(drawn.tolist())) == len(order) == 8


def test_class_subsample_cuts_each_class_to_the_smallest() -> None:
    drawn = class_subsample(UNEQUAL_ROW, GROUPS, 0).draw(seeded_generator(0))
    assert torch.bincount(UNEQUAL_ROW[drawn]).tolist() == [2, 2]
    assert len(set(drawn.tolist())) == 4


def test_subsample_is_drawn_once_a_run_and_shuffled_every_epoch() -> None:
    order, again = group_subsample(GROUP, GROUPS, 5), group_subsample(GROUP, GROUPS, 5)
    first, second = order.draw(seeded_generator(5, 0)), order.draw(seeded_generator(5, 1))
    assert first.tolist() != second.tolist()
    assert (
        sorted(first.tolist())
        == sorted(second.tolist())
        == sorted(again.draw(seeded_generator(1)).tolist())
    )


def test_subsample_keeps_every_member_of_a_group_equally_often() -> None:
    """Two of group 0's five are kept: over 500 seeds 200 times each, standard deviation sqrt(500 *
    0.4 * 0.6) = 11.
    """
    kept = torch.cat(
        [group_subsample(GROUP, GROUPS, seed).draw(seeded_generator(0)) for seed in range(500)]
    )
    visits = torch.bincount(kept, minlength=14)
    assert (visits[:5] - 200).abs().max() < 4 * 11
    assert visits[5:7].tolist() == [500, 500]


@pytest.mark.parametrize(
    ("subsample", "label"), [(group_subsample, GROUP), (class_subsample, UNEQUAL_ROW)]
)
def test_repeats_visit_the_same_rows_in_other_orders(subsample, label) -> None:
    """In one epoch, in turn: each pass holds every kept row once, no two in the same order."""
    once = sorted(subsample(label, GROUPS, 4).draw(seeded_generator(0)).tolist())
    order = subsample(label, GROUPS, 4, repeats=3)
    passes = order.draw(seeded_generator(0)).view(3, len(once)).tolist()
    assert len(order) == 3 * len(once)
    assert [sorted(rows) for rows in passes] == [once] * 3
    assert len({tuple(rows) for rows in passes}) == 3


def test_seeds_of_different_length_are_different_seeds() -> None:
    states = {
        seeded_generator(*numbers).initial_seed()
        for numbers in [(5,), (5, 0), (5, 1), (6, 0), (0, 5)]
    }
    assert len(states) == 5


def test_an_empty_group_is_named() -> None:
    with pytest.raises(ValueError, match="group dog-night has no training sample"):
        group_balanced(torch.tensor([0, 1, 2]), GROUPS)
    with pytest.raises(ValueError, match="group cat-night, dog-night has no training sample"):
        group_subsample(torch.tensor([0, 2]), GROUPS, 0)
    with pytest.raises(ValueError, match=f"bias {GROUPS.bias_names[1]} has no training sample"):
        bias_balanced(torch.tensor([0, 0]), GROUPS)
    with pytest.raises(ValueError, match="class dog has no training sample"):
        class_balanced(torch.tensor([0, 0]), GROUPS)
    with pytest.raises(ValueError, match="class cat has no training sample"):
        class_subsample(torch.tensor([1, 1]), GROUPS, 0)


def test_unknown_groups_are_counted() -> None:
    with pytest.raises(ValueError, match="2 of 5 are unknown"):
        group_balanced(torch.tensor([0, 1, -1, 2, -1]), GROUPS)
    with pytest.raises(ValueError, match=r"bias balancing needs the bias .* 1 of 3 are unknown"):
        bias_balanced(torch.tensor([0, 1, -1]), GROUPS)


def test_several_labels_have_no_one_class_to_balance() -> None:
    with pytest.raises(ValueError, match="class balancing needs one"):
        class_balanced(torch.zeros(3, 2, dtype=torch.int64), GROUPS)
    with pytest.raises(ValueError, match="group balancing needs one"):
        group_subsample(torch.zeros(3, 2, dtype=torch.int64), GROUPS, 0)


def test_importance_is_the_share_of_draws() -> None:
    """Of 4,000 draws, sample 1 gets half: 2,000, with a standard deviation of 32."""
    importance = torch.tensor([1.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    order = weighted(importance, visits=4000)
    visits = order.draw(seeded_generator(0)).bincount(minlength=4)
    assert (visits - torch.tensor([1000, 2000, 0, 1000])).abs().max() < 128
    assert visits[2] == 0
    assert len(weighted(importance)) == 4


@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf")])
def test_an_importance_that_cannot_be_drawn_by_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"got 1 others of 2\. Give them in the column importance"):
        weighted(torch.tensor([1.0, value]))
    with pytest.raises(ValueError, match="and one above 0"):
        weighted(torch.zeros(2))
    with pytest.raises(ValueError, match=r"sampler\.visits must be at least 1"):
        weighted(torch.ones(2), visits=0)
