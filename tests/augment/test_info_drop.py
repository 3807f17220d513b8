"""InfoDrop: which positions repeat, how many are dropped, and when nothing is dropped."""

import math
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from debias.augment.info_drop import (
    InfoDrop,
    Window,
    kept_positions,
    position_chances,
    repetition,
)
from debias.errors import InputError
from debias.types import Batch

WINDOW = Window((3, 3), (1, 1), (1, 1), (1, 1))
OFFSETS = torch.tensor([[1, 0], [-1, 2], [0, 0]])
INNER = (..., slice(4, -4), slice(4, -4))


def stem(pooling: nn.Module | None = None) -> Any:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
    return nn.Sequential(OrderedDict(conv1=conv, maxpool=pooling or nn.MaxPool2d(3, 2, 1)))


def image(seed: int = 0, side: int = 32) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_repetition_by_its_definition():
    """In float64: sums over the 3 x 3 patch at every position, for three offsets."""
    maps = image(side=7).double()
    padded = torch.zeros(2, 3, 15, 15, dtype=torch.float64)
    padded[:, :, 4:11, 4:11] = maps

    def patch(row: int, column: int) -> Tensor:
        return padded[:, :, 3 + row : 6 + row, 3 + column : 6 + column]

    distance = torch.zeros(3, 2, 7, 7, dtype=torch.float64)
    for at, (down, right) in enumerate(OFFSETS.tolist()):
        for row in range(7):
            for column in range(7):
                moved = patch(row + down, column + right)
                distance[at, :, row, column] = (patch(row, column) - moved).square().sum((1, 2, 3))
    expected = torch.exp(-distance / (2 * distance.mean() * 0.25)).mean(0)
    found = repetition(maps, OFFSETS, WINDOW, bandwidth=0.5)
    torch.testing.assert_close(found, expected[:, None])


def test_a_flat_picture_repeats_everywhere_and_a_flat_half_more_than_noise():
    flat = repetition(torch.ones(1, 3, 16, 16), OFFSETS, WINDOW)
    torch.testing.assert_close(flat[INNER], torch.ones(1, 1, 8, 8))
    half = image(1)
    half[..., 16:] = 0.5
    found = repetition(half, OFFSETS, WINDOW)
    assert float(found[..., 20:28].mean()) > 0.99
    assert float(found[..., 4:12].mean()) < 0.9


def test_the_share_of_dropped_positions():
    """Of equal chances, 1.5 draws per position leave out exp(-1.5) of them; channels differ."""
    kept = kept_positions(torch.ones(2, 1, 32, 32) / 1024, torch.zeros(2, 40, 32, 32), 1.5)
    assert float(kept.float().mean()) == pytest.approx(math.exp(-1.5), abs=0.01)
    assert not torch.equal(kept[0, 0], kept[0, 1])
    assert not torch.equal(kept[0, 0], kept[1, 0])
    one = torch.zeros(1, 1, 2, 2)
    one[..., 1, 0] = 1
    assert kept_positions(one, torch.zeros(1, 3, 2, 2), 1.5)[0, 2].tolist() == [
        [True, True],
        [False, True],
    ]


def test_at_least_one_position_is_drawn():
    """0.1 draws per position of 2 x 2 are less than one."""
    kept = kept_positions(torch.ones(2, 1, 2, 2) / 4, torch.zeros(2, 3, 2, 2), 0.1)
    assert (~kept).flatten(2).sum(dim=2).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_chances_of_positions_also_where_nothing_repeats():
    """They are powers, also of values whose powers are 0 in float32, and equal for zeros."""
    q = torch.tensor([[1e-3, 2e-3, 4e-3], [0.25, 0.5, 1.0], [0.0, 0.0, 0.0]])[:, None, None]
    found = position_chances(q, 0.1)[:, 0, 0]
    powers = torch.tensor([1.0, 2**10, 2**20])
    torch.testing.assert_close(found[:2], (powers / powers.sum()).expand(2, 3))
    torch.testing.assert_close(found[2], torch.full((3,), 1 / 3))
    assert position_chances(q, 0.03).isfinite().all()


def test_pooled_positions_are_as_likely_as_the_least_of_their_window():
    """Of 4 x 4 positions pooled 2 x 2, only the last window repeats everywhere."""
    augment = InfoDrop(stem(nn.MaxPool2d(2)), image(side=8)[:1], rate=5.0)
    augment.repeated = torch.ones(1, 1, 4, 4)
    augment.repeated[..., ::3, 0] = augment.repeated[..., 0, 3] = 0.01
    dropped = augment.change(torch.ones(1, 6, 2, 2))[0] == 0
    assert dropped[:, 1, 1].all()
    assert not dropped.flatten(1)[:, :3].any()


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(3, 2, 1), nn.ReLU()])
def test_positions_are_dropped_in_training_until_the_last_part(pooling):
    """What is not dropped stays to the last bit, without rescaling."""
    model = stem(pooling)
    plain = model(image())
    augment = InfoDrop(model, image()[:1], until=0.5)
    batch = Batch(image(), *[torch.zeros(2, dtype=torch.int64)] * 3)
    assert augment(batch, 0.49) is batch
    dropped = model(image())
    kept = dropped != 0
    assert 0.05 < float(kept.float().mean()) < 0.9
    assert torch.equal(dropped[kept], plain[kept])
    assert torch.equal(model.eval()(image()), plain)
    augment(batch, 0.5)
    assert torch.equal(model.train()(image()), plain)
    assert not augment.state_dict()


def test_the_flat_half_of_a_picture_is_dropped_more():
    model, picture = stem(), image(1)
    picture[..., 16:] = 0.5
    with torch.no_grad():
        model.conv1.bias += 10  # so that no map is 0 by itself
    InfoDrop(model, picture[:1])
    kept = (model(picture) != 0).float()
    assert float(kept[..., 5:7].mean()) < float(kept[..., 1:3].mean()) - 0.2


def test_refuses():
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 6, 3, stride=2, padding=1),
            maxpool=nn.MaxPool2d(2),
            grouped=nn.Conv2d(6, 6, 3, groups=2),
            same=nn.Conv2d(6, 6, 3, padding="same"),
        )
    )
    for options, message in (
        ({"rate": 0.0}, "rate must be positive for InfoDrop; got 0.0"),
        ({"radius": 0}, "radius must be at least 1 for InfoDrop; got 0"),
        ({"until": 1.5}, r"until must lie in \[0, 1\] for InfoDrop; got 1.5"),
        ({"convolution": "maxpool"}, "convolution=maxpool is no convolution of all channels"),
        ({"convolution": "grouped"}, "convolution=grouped is no convolution of all channels"),
        ({"convolution": "same"}, "convolution=same is a Conv2d with a padding .*: name a plain"),
        ({"layer": "grouped"}, r"layer=grouped gives \(6, 6, 6\), and conv1 has \(16, 16\)"),
    ):
        with pytest.raises(InputError, match=message):
            InfoDrop(model, image()[:1], **options)  # type: ignore[arg-type]
