"""Draws depend on (seed, epoch) alone, and processes share an epoch out evenly."""

import pytest
from torch import arange, tensor

from debias.data.orders import EpochSampler, Permuted, seeded_generator

Draw = tuple[int, int]


def batches_of(sampler: EpochSampler, epoch: int) -> list[list[Draw]]:
    """The position and the key of each visit, batch by batch."""
    sampler.set_epoch(epoch)
    return [
        list(zip(visits.positions.tolist(), visits.keys.tolist(), strict=True))
        for visits in sampler
    ]


def epoch_of(sampler: EpochSampler, epoch: int) -> list[Draw]:
    return [draw for batch in batches_of(sampler, epoch) for draw in batch]


def sampler(
    samples: int = 10, *, batch_size: int = 1, seed: int = 0, rank: int = 0, world: int = 1
) -> EpochSampler:
    order = Permuted(arange(samples))
    return EpochSampler(order, batch_size=batch_size, seed=seed, rank=rank, world=world)


def test_an_epoch_is_the_orders_draw() -> None:
    expected = Permuted(arange(10)).draw(seeded_generator(7, 2)).tolist()
    assert [position for position, _ in epoch_of(sampler(seed=7), 2)] == expected


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4, 2]), (5, [5, 5]), (99, [10])])
def test_batches_cut_the_epoch_in_its_order(batch_size: int, sizes: list[int]) -> None:
    cut = sampler(batch_size=batch_size)
    batches = batches_of(cut, 3)
    assert [*map(len, batches)] == sizes
    assert len(cut) == len(sizes)
    assert [draw for batch in batches for draw in batch] == epoch_of(sampler(), 3)


def test_a_resumed_epoch_equals_the_uninterrupted_one() -> None:
    uninterrupted = sampler()
    epochs = [epoch_of(uninterrupted, epoch) for epoch in range(4)]
    assert epoch_of(sampler(), 3) == epochs[3]


def test_epochs_and_seeds_differ_in_order_and_keys() -> None:
    draws = [epoch_of(sampler(100, seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    orders = {tuple(position for position, _ in epoch) for epoch in draws}
    keys = {key for epoch in draws for _, key in epoch}
    assert len(orders) == 4
    assert len(keys) == 400
    assert min(keys) >= 0
    assert max(keys) < 2**31


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_one_epoch_and_visit_nothing_twice(world: int) -> None:
    """Each share is every ``world``-th draw of one process; a remainder makes some longer."""
    alone = epoch_of(sampler(), 1)
    shares = [epoch_of(sampler(rank=rank, world=world), 1) for rank in range(world)]
    assert shares == [alone[rank::world] for rank in range(world)]
    assert [len(sampler(rank=rank, world=world)) for rank in range(world)] == [*map(len, shares)]
    assert (
        len({position for share in shares for position, _ in share}) == sum(map(len, shares)) == 10
    )


def test_divisible_shares_have_the_keys_of_one_process() -> None:
    alone = epoch_of(sampler(), 0)
    assert epoch_of(sampler(rank=1, world=2), 0) == alone[1::2]


def test_more_processes_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="an epoch visits 2 images, fewer than the 5 processes"):
        EpochSampler(Permuted(tensor([4, 8])), batch_size=1, seed=0, rank=0, world=5)
