"""The images of an audit: classes take turns, and the order of the file does not matter."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from debias.audits.drawing import check_audited, drawn_rows, taking_turns
from debias.data.examples import Examples
from tests.data.small_pictures import GROUPS


def examples(count: int = 60) -> Examples:
    number = torch.arange(count)
    return Examples(
        root=None,
        images=tuple(f"{row:03}.png" for row in range(count)),
        target=(number % 5 == 0).long(),
        bias=torch.full((count,), -1),
        split=number % 3,
        groups=GROUPS,
        source="table.csv",
    )


def test_classes_take_turns_in_every_split():
    """Of 16 and 4 images of a split, 6 are 3 and 3; of 9, all 4 of the smaller class."""
    data = examples()
    for most, counts in ((6, [3, 3]), (9, [5, 4]), (100, [16, 4])):
        rows = drawn_rows(data, images=most, seed=0)
        for split in range(3):
            members = rows[data.split.numpy()[rows] == split]
            assert np.bincount(data.target.numpy()[members]).tolist() == counts
            assert sorted(members.tolist()) == members.tolist()


def test_the_order_of_the_file_changes_nothing():
    data = examples()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(1))
    moved = replace(
        data,
        images=tuple(data.images[row] for row in order.tolist()),
        target=data.target[order],
        split=data.split[order],
    )
    paths = [data.images[row] for row in drawn_rows(data, images=6, seed=3)]
    assert paths == [moved.images[row] for row in drawn_rows(moved, images=6, seed=3)]
    assert paths != [data.images[row] for row in drawn_rows(data, images=6, seed=4)]


def test_a_draw_of_all_is_all():
    label = np.array([1, 0, 1])
    assert taking_turns(label, 3, np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_one_class_and_several_labels_are_refused():
    data = examples()
    with pytest.raises(ValueError, match="one class only"):
        check_audited(replace(data, target=torch.zeros(60, dtype=torch.int64)))
    groups = replace(GROUPS, multi_label=True)
    with pytest.raises(ValueError, match="several labels per image"):
        check_audited(replace(data, groups=groups))
