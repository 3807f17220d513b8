"""The table of images per group stays short, whatever the number of groups."""

from pathlib import Path

import torch

from debias.commands.images import MOST_ROWS, image_lines
from debias.data.examples import Examples
from debias.types import Groups


def examples_of(classes: int) -> Examples:
    """Class ``i`` has ``i + 1`` training images and one validation image, all of one bias value."""
    train = torch.arange(classes).repeat_interleave(torch.arange(classes) + 1)
    target = torch.cat([train, torch.arange(classes)])
    split = torch.cat([torch.zeros_like(train), torch.ones(classes, dtype=torch.int64)])
    groups = Groups(tuple(f"c{number}" for number in range(classes)), ("sky",))
    images = tuple(map(str, range(len(target))))
    bias = torch.zeros_like(target)
    return Examples(Path("pictures"), images, target, bias, split, groups, Path("table.csv"))


def test_all_groups_are_listed_if_they_are_few():
    assert image_lines(examples_of(2))[1:] == [
        "group     train      val     test",
        "c0-sky        1        1        0",
        "c1-sky        2        1        0",
    ]


def test_of_many_groups_those_with_the_fewest_training_images_are_listed():
    lines = image_lines(examples_of(MOST_ROWS + 3))
    assert [line.split()[0] for line in lines[2:-1]] == [f"c{i}-sky" for i in range(MOST_ROWS)]
    assert lines[-1].startswith("... 3 more")
