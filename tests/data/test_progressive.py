"""Progressive data expansion: which samples each epoch may visit, and how often."""

from itertools import pairwise

import pytest
import torch

from debias.checks import check_growth
from debias.config import Config
from debias.data.orders import EpochSampler, Permuted, Scheduled, seeded_generator
from debias.data.progressive import progressive
from debias.data.subsamples import group_subsample
from tests.data.small_pictures import GROUPS

#: The training groups of Waterbirds, a tenth of each: the smallest has 6.
GROUP = torch.tensor([0] * 350 + [1] * 18 + [2] * 6 + [3] * 106)


def sets(epochs: int, **options: int) -> list[set[int]]:
    order = progressive(GROUP, GROUPS, 0, **options)
    assert isinstance(order, Scheduled)
    found = []
    for epoch in range(epochs):
        of_epoch = order.at(epoch)
        assert isinstance(of_epoch, Permuted)
        found.append(set(of_epoch.positions.tolist()))
    return found


def test_sizes_by_hand():
    """24 samples, 6 of each group, for 3 epochs; then 5 more every 2 epochs."""
    found = sets(9, warmup=3, interval=2, added=5)
    assert [len(each) for each in found] == [24] * 3 + [29] * 2 + [34] * 2 + [39] * 2
    balanced = group_subsample(GROUP, GROUPS, 0).draw(seeded_generator(0)).tolist()
    assert found[0] == set(balanced)
    assert all(earlier <= later for earlier, later in pairwise(found))


def test_all_samples_are_added_in_the_end_each_equally_likely():
    """456 samples remain after the first 24, of which 350 - 6 = 344 belong to the first group."""
    found = sets(4, warmup=1, interval=1, added=200)
    assert [len(each) for each in found] == [24, 224, 424, 480]
    added = torch.tensor(sorted(found[1] - found[0]))
    share = (GROUP[added] == 0).double().mean().item()
    assert abs(share - 344 / 456) < 4 * (0.754 * 0.246 / 200) ** 0.5


def test_without_additions_it_is_the_subsample():
    assert sets(8, warmup=0, interval=1, added=0)[7] == sets(1)[0]


def test_an_epoch_has_its_visits_and_repeats_none_before_all():
    order = progressive(GROUP, GROUPS, 0, warmup=1, interval=1, added=6, visits=50)
    sampler = EpochSampler(order, batch_size=16, seed=3)
    for epoch, size in ((0, 24), (1, 30), (7, 66)):
        sampler.set_epoch(epoch)
        visited = [row for batch in sampler for row in batch.positions.tolist()]
        assert len(visited) == len(order) == 50
        assert len(set(visited[: min(size, 50)])) == min(size, 50)
        assert set(visited) <= set(order.at(epoch).positions.tolist())
    assert len(progressive(GROUP, GROUPS, 0)) == 24


def test_a_seed_gives_the_same_sets_and_another_seed_others():
    later = [
        progressive(GROUP, GROUPS, seed, added=40).positions[24:].tolist() for seed in (0, 0, 1)
    ]
    assert later[0] == later[1]
    both = set(later[0]) & set(later[2])
    assert [row for row in later[0] if row in both] != [row for row in later[2] if row in both]


@pytest.mark.parametrize(
    ("option", "value", "bound"),
    [("warmup", -1, 0), ("added", -1, 0), ("interval", 0, 1), ("visits", -2, 1)],
)
def test_refuses(option, value, bound):
    message = rf"sampler\.{option} must be at least {bound}; got {value}"
    with pytest.raises(ValueError, match=message):
        progressive(GROUP, GROUPS, 0, **{option: value})


def test_a_set_that_never_grows_is_refused():
    def check(epochs: int, **options: int) -> None:
        check_growth(Config(epochs=epochs), progressive(GROUP, GROUPS, 0, **options))

    check(4, warmup=3)
    check(3, warmup=3, added=0)
    with pytest.raises(ValueError, match=r"got sampler\.warmup=3 and epochs=3: set a smaller"):
        check(3, warmup=3)
