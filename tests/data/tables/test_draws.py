"""Drawn splits: keyed on names, whole units, close to their shares in every group."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.data.tables.draws import draw_splits

SHARES = [0.8, 0.1, 0.1]


def labels(*sizes: int) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Names, classes and bias values of groups of these sizes; two groups per class."""
    group = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return [f"{row}.jpg" for row in range(len(group))], group // 2, group % 2


def counts(split: torch.Tensor, target: torch.Tensor, bias: torch.Tensor) -> list[list[int]]:
    """Rows of each split by group."""
    return [
        torch.bincount(split[2 * target + bias == group], minlength=3).tolist()
        for group in torch.unique(2 * target + bias).tolist()
    ]


def test_every_group_has_its_shares_and_small_groups_a_row_in_each_split():
    """Whole quotas are exact: 80 of 100. Of 5 rows, each split gets one, and train the rest."""
    names, target, bias = labels(100, 40, 5, 3)
    split = draw_splits(names, target, bias, shares=SHARES)
    assert counts(split, target, bias) == [[80, 10, 10], [32, 4, 4], [3, 1, 1], [1, 1, 1]]


def test_many_small_groups_do_not_change_the_sizes_by_much():
    """With 50 groups of two rows in one class, each at most once in train, only half would be."""
    names = [f"{row}.jpg" for row in range(100)]
    target, bias = torch.zeros(100, dtype=torch.int64), torch.arange(100) // 2
    sizes = torch.bincount(draw_splits(names, target, bias, shares=SHARES)).tolist()
    assert sizes == [70, 15, 15]


def test_a_share_of_zero_gets_nothing_and_another_seed_draws_others():
    names, target, bias = labels(20, 20)
    first, again = (draw_splits(names, target, bias, shares=[0.5, 0, 0.5]) for _ in range(2))
    other = draw_splits(names, target, bias, shares=[0.5, 0, 0.5], seed=1)
    assert torch.equal(first, again)
    assert torch.bincount(first).tolist() == torch.bincount(other).tolist() == [20, 0, 20]
    assert not torch.equal(first, other)


def test_the_draw_of_a_name_is_fixed():
    """Users' splits must not change with a release: these were drawn by the first one."""
    names, target, bias = labels(6, 4)
    assert draw_splits(names, target, bias, shares=SHARES).tolist() == [
        0,
        1,
        0,
        2,
        0,
        0,
        2,
        0,
        1,
        0,
    ]


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-1, 2), st.sampled_from(["", "p", "q", "r", "s"])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_units_stay_whole_and_the_order_of_rows_does_not_matter(rows, seed, random):
    def drawn(numbers: list[int]) -> dict[int, int]:
        target, bias = (torch.tensor([rows[n][place] for n in numbers]) for place in (0, 1))
        units = [rows[n][2] for n in numbers]
        names = [f"{n}.jpg" for n in numbers]
        split = draw_splits(names, target, bias, shares=SHARES, units=units, seed=seed)
        return dict(zip(numbers, split.tolist(), strict=True))

    numbers = list(range(len(rows)))
    split = drawn(numbers)
    shuffled = random.sample(numbers, len(numbers))
    assert drawn(shuffled) == split
    for unit in {"p", "q", "r", "s"}:
        assert len({split[n] for n in numbers if rows[n][2] == unit}) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=60))
def test_every_split_has_every_class_of_three_rows(rows):
    names = [f"{row}.jpg" for row in range(len(rows))]
    target, bias = (torch.tensor(column) for column in zip(*rows, strict=True))
    split = draw_splits(names, target, bias, shares=SHARES)
    for value, count in enumerate(torch.bincount(target).tolist()):
        assert len(set(split[target == value].tolist())) == min(count, 3)
