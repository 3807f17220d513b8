"""Drawn sets of cues: which combinations each split has, and what the pictures show."""

import numpy as np
import pytest
import torch

from debias.components import construct
from debias.data.made.colours import COLOURS
from debias.errors import InputError
from debias.metrics.shortcuts.cue_preference import cues_of
from tests.data.made.small_files import write_digits


def cells(examples, split):
    """``(N, K)`` values of the cues of a split."""
    rows = examples.rows(split)
    return cues_of(examples.target[rows], examples.bias[rows], examples.groups)[0]


def made(root, name="wcst_sprites", **options):
    return construct("data", {"name": name, "root": str(root), **options}, {})


def test_training_agrees_and_the_test_has_every_conflict(tmp_path):
    """Five cues of three values: 3 ** 5 - 3 = 240 combinations, each twice."""
    examples = made(tmp_path, train=30, val=6, each=2)
    for split, count in (("train", 30), ("val", 6)):
        found = cells(examples, split)
        assert (found == found[:, :1]).all()
        assert found[:, 0].bincount().tolist() == [count // 3] * 3
    found = cells(examples, "test")
    combinations, counts = found.unique(dim=0, return_counts=True)
    assert (len(combinations), set(counts.tolist())) == (240, {2})
    assert not (found == found[:, :1]).all(dim=1).any()
    assert [one.name for one in examples.groups.attributes] == [
        *("scale", "orientation", "place", "colour")
    ]


def test_other_factors_are_independent(tmp_path):
    """With the cues colour and shape, the colour is the target; places differ within a class. With
    one cue, there is no conflict, and the test has each value.
    """
    two = made(tmp_path, cues=["colour", "shape"], train=60, val=3, each=5)
    assert two.groups.target_names == ("red", "green", "blue")
    assert two.groups.bias_names == ("square", "ellipse", "heart")
    assert len(two.rows("test")) == 6 * 5
    across = [np.argwhere(two.store.read(row).any(axis=2))[:, 1].mean() for row in range(60)]
    assert np.ptp(across[::3]) > 20
    one = made(tmp_path, cues=["colour"], train=3, val=3, each=4)
    assert one.target[one.rows("test")].bincount().tolist() == [4, 4, 4]


def test_sprites_show_their_values(tmp_path):
    """Colour is a channel; a larger scale has more pixels; places lie from left to right. A square
    covers its bounding box, an ellipse less, at 0 degrees.
    """
    examples = made(tmp_path, train=3, val=3, each=1)
    rows = examples.rows("test")
    found = cells(examples, "test")
    pictures = [examples.store.read(row) for row in rows.tolist()]
    areas, across, fill = [], [], []
    for picture, (*_, colour) in zip(pictures, found.tolist(), strict=True):
        assert picture.max(axis=(0, 1)).argmax() == colour
        places = np.argwhere(picture[..., colour] > 100)
        areas.append(len(places))
        across.append(places[:, 1].mean())
        fill.append(len(places) / np.prod(np.ptp(places, axis=0) + 1))
    table = torch.tensor([areas, across, fill], dtype=torch.float64)
    for factor, column in ((1, 0), (3, 1)):
        means = [table[column][found[:, factor] == value].mean() for value in range(3)]
        assert means[0] < 0.8 * means[1] < 0.8 * 0.8 * means[2]
    flat = (found[:, 2] == 0) & (found[:, 1] == 2)
    square, ellipse = (table[2][flat & (found[:, 0] == shape)].mean() for shape in (0, 1))
    assert square > 0.85 > ellipse


def test_digits_lie_on_a_circle_over_their_colour(tmp_path):
    """Ten digits, the row of a digit's white stroke, in test digits over all places."""
    examples = made(write_digits(tmp_path), "wcst_mnist", train=20, val=10, each=1)
    assert len(examples.rows("test")) == 990
    row = int(examples.rows("train")[3])
    picture = examples.store.read(row)
    colour = np.array(COLOURS[3][1])
    assert np.array_equal(picture[0, 0], colour)
    angle = 2 * np.pi * 3 / 10
    top = round(32 - 18 * np.cos(angle) - 14)
    left = round(32 + 18 * np.sin(angle) - 14)
    assert picture[top + 3, left].tolist() == [255, 255, 255]  # column 0 of the row of digit 3
    changed = np.argwhere((picture != colour).any(axis=2))
    assert set(changed[:, 0]) == {top + 3}
    assert changed[:, 1].max() <= left + 27


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cues": ["color"]}, "cues names 'color'; did you mean 'colour'"),
        ({"cues": ["shape", "shape"]}, "cues must be different, at least one"),
        ({"cues": []}, "cues must be different, at least one"),
        ({"train": 2}, "train must be at least 3; got 2"),
        ({"each": 0}, "each must be at least 1"),
    ],
)
def test_mistakes_draw_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        made(tmp_path / "x", **options)
    assert not list(tmp_path.iterdir())
