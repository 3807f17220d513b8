"""Patches of a grid: their number and places, the targets of mixed images, and one class alone."""

import pytest
import torch

from debias.augment.panoptic_patches import PanopticPatches
from debias.augment.patch_mixing import PatchMixing, outside_patches
from debias.types import Batch, Groups

GROUPS = Groups(("real", "drawn", "synthetic"), ("a", "b"))
IMAGE = torch.zeros(1, 3, 6, 9)
SAMPLES = 12


def numbered(target: torch.Tensor) -> Batch:
    """Image i has the value i everywhere."""
    number = torch.arange(SAMPLES)
    image = number.float().view(-1, 1, 1, 1).expand(-1, 3, 6, 9).contiguous()
    return Batch(image, target, number % 2, number)


BATCH = numbered(torch.arange(SAMPLES) % 3)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 1), (0.5, 4), (0.94, 8), (1.0, 9)])
def test_a_share_is_a_number_of_whole_patches(share, count):
    torch.manual_seed(0)
    outside = outside_patches(torch.full((5,), share), 3, height=6, width=9)
    grid = outside.view(5, 3, 2, 3, 3).permute(0, 1, 3, 2, 4).flatten(3)
    assert grid.eq(grid[..., :1]).all()
    assert (1 - grid[..., 0]).sum(dim=(1, 2)).tolist() == [count] * 5


def test_every_patch_is_drawn_equally_often():
    """Each of 9 patches in a third of 3,000 draws, within 4 standard errors of 0.0086."""
    torch.manual_seed(0)
    outside = outside_patches(torch.full((3000,), 1 / 3), 3, height=3, width=3)
    assert (1 - outside).mean(dim=0).flatten().tolist() == pytest.approx([1 / 3] * 9, abs=0.035)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_targets_are_the_shares_of_the_classes_then_smoothed(smoothing):
    torch.manual_seed(0)
    mixed = PatchMixing(GROUPS, IMAGE, patches=3, smoothing=smoothing)(BATCH)
    counts = [torch.bincount(each[0].flatten().long() % 3, minlength=3) for each in mixed.image]
    shares = torch.stack(counts) / 54
    torch.testing.assert_close(mixed.target, (1 - smoothing) * shares + smoothing / 3)
    assert all(len(each.unique()) <= 2 for each in mixed.image)
    assert any(len(each.unique()) == 2 for each in mixed.image)
    torch.testing.assert_close(mixed.target.sum(dim=1), torch.ones(SAMPLES))
    assert mixed._replace(image=BATCH.image, target=BATCH.target) == BATCH


def test_one_class_gets_patches_of_the_others_and_keeps_its_class_and_a_patch():
    torch.manual_seed(0)
    augment = PanopticPatches(GROUPS, IMAGE, of_class="drawn", patches=3, most=1.0)
    shares = []
    for _ in range(100):
        changed = augment(BATCH)
        assert torch.equal(changed.target, BATCH.target)
        own = changed.image == BATCH.image
        other = BATCH.target != 1
        assert own[other].all()
        assert (changed.image[~own].long() % 3 != 1).all()
        shares.append(own[~other].float().mean(dim=(1, 2, 3)))
    assert torch.cat(shares).min() == pytest.approx(1 / 9)
    assert torch.cat(shares).mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_batch_of_one_class_stays():
    for target in (0, 2):
        batch = numbered(torch.full((SAMPLES,), target))
        assert torch.equal(PanopticPatches(GROUPS, IMAGE, patches=3)(batch).image, batch.image)


@pytest.mark.parametrize("kind", [PatchMixing, PanopticPatches])
def test_refuses_a_grid_that_does_not_fit(kind):
    message = (
        rf"patches must divide the sides of the images for {kind.__name__}; got patches=7 for "
        r"images of 6 x 9 pixels\. These do: 3"
    )
    with pytest.raises(ValueError, match=message):
        kind(GROUPS, IMAGE)
    with pytest.raises(ValueError, match=r"of 5 x 7 pixels\. Set preprocessing\.size"):
        kind(GROUPS, torch.zeros(1, 3, 5, 7), patches=3)


@pytest.mark.parametrize(("kind", "least"), [(PatchMixing, 1), (PanopticPatches, 2)])
def test_refuses_a_grid_without_patches_to_replace(kind, least):
    """Of a grid of one patch, panoptic patches would keep that one."""
    with pytest.raises(ValueError, match=f"patches must be at least {least}"):
        kind(GROUPS, IMAGE, patches=least - 1)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PatchMixing, {"alpha": 0.0}, "alpha must be positive for PatchMixing"),
        (PatchMixing, {"smoothing": 1.0}, r"smoothing must lie in \[0, 1\)"),
        (PanopticPatches, {"most": 0.0}, r"most must lie in \(0, 1\]"),
        (PanopticPatches, {"of_class": "fake"}, "of_class"),
    ],
)
def test_refuses(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(GROUPS, IMAGE, **({"patches": 3} | options))
