"""Training on the diagonal and a test off it: numbers of cells, equal shares, and mistakes."""

import pytest
import torch

from debias.data.diagonal import UNUSED, diagonal_splits
from debias.errors import InputError

TRAIN, VAL, TEST = range(3)


def table(cues: int, labels: int, rows: int) -> tuple[torch.Tensor, list[str]]:
    """Each combination of values ``rows`` times, and the names of the rows."""
    cells = torch.cartesian_prod(*[torch.arange(labels)] * cues)
    values = cells.repeat_interleave(rows, dim=0)
    return values, [f"{number}.png" for number in range(len(values))]


@pytest.mark.parametrize(("cues", "cells", "different"), [(2, 6, 6), (3, 24, 6)])
def test_the_cells_of_three_values(cues, cells, different):
    """Two cues: 3 cells on the diagonal and 6 others. Three: 24 others, 6 with all different."""
    values, names = table(cues, 3, 10)
    found = diagonal_splits(values, names, labels=3, val=0.2)
    assert (found.each, found.cells, found.absent) == (10, cells, [])
    sizes = [(found.split == split).sum().item() for split in (TRAIN, VAL, TEST)]
    assert sizes == [3 * 8, 3 * 2, cells * 10]
    test = values[found.split == TEST]
    assert len(test.unique(dim=0)) == cells
    assert sum(len(set(cell)) == cues for cell in test.unique(dim=0).tolist()) == different
    for split in (TRAIN, VAL):
        inside = values[found.split == split]
        assert (inside == inside[:, :1]).all()
        assert len(inside[:, 0].bincount().unique()) == 1


def test_equal_numbers_and_absent_cells():
    """Cell (0, 0) has 4 rows and (1, 1) has 6; (0, 1) has 3 and (1, 0) has 5."""
    cells = [(0, 0)] * 4 + [(1, 1)] * 6 + [(0, 1)] * 3 + [(1, 0)] * 5 + [(-1, 0), (2, 2)]
    values, names = torch.tensor(cells), [str(row) for row in range(len(cells))]
    found = diagonal_splits(values, names, labels=2, val=0.1)
    counts = [
        [int(((values == torch.tensor(cell)).all(1) & (found.split == split)).sum())
         for split in (TRAIN, VAL, TEST)]
        for cell in ((0, 0), (1, 1), (0, 1), (1, 0))
    ]  # fmt: skip
    assert counts == [[3, 1, 0], [3, 1, 0], [0, 0, 3], [0, 0, 3]]
    assert found.split[-2:].tolist() == [UNUSED, UNUSED]
    capped = diagonal_splits(values, names, labels=2, each=5)
    assert (capped.cells, capped.absent, int((capped.split == TEST).sum())) == (1, [(0, 1)], 5)


def test_the_draw_depends_on_names_and_seed_alone():
    values, names = table(2, 2, 20)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))
    first = diagonal_splits(values, names, labels=2, each=7).split
    second = diagonal_splits(values[order], [names[row] for row in order], labels=2, each=7).split
    assert torch.equal(first[order], second)
    assert not torch.equal(first, diagonal_splits(values, names, labels=2, each=7, seed=1).split)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": 1}, "values must be at least 2"),
        ({"val": 1.0}, r"val must lie in \(0, 1\)"),
        ({"each": 11}, "no conflict of the cues has 11 rows: set a lower each"),
        ({"labels": 4}, "value 3 of all cues occurs in 0 rows"),
        ({"labels": 4, "titles": ["a & x", "b & y", "c & z", "d & u"]}, "d & u occurs in 0 rows"),
        ({"labels": 400}, "2 cues of 400 values make 160,000 combinations"),
    ],
)
def test_mistakes(change, message):
    values, names = table(2, 3, 10)
    with pytest.raises(InputError, match=message):
        diagonal_splits(values, names, **{"labels": 3, **change})
