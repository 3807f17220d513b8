"""Companions: which pixels come from them, how often, and what is needed for it."""

import pytest
import torch

from debias.augment.companions import Companions, feathered
from debias.data.checks import check_requirements
from debias.types import Batch
from tests.fakes import birds

SAMPLES = 300
GENERATOR = torch.Generator().manual_seed(0)
IMAGE, COMPANION = torch.randn(2, SAMPLES, 3, 6, 6, generator=GENERATOR)
MASK = torch.zeros(SAMPLES, 1, 6, 6)
MASK[..., 1:4, 2:5] = 1
NUMBER = torch.arange(SAMPLES)
BATCH = Batch(IMAGE, NUMBER % 2, NUMBER % 3, NUMBER, MASK, background=COMPANION)


@pytest.mark.parametrize("part", ["foreground", "background", "all"])
def test_the_part_comes_from_the_companion_and_the_rest_stays_to_the_last_bit(part):
    changed = Companions(part=part, probability=1.0)(BATCH)
    inside = {"foreground": MASK > 0, "background": MASK == 0, "all": MASK >= 0}[part]
    assert torch.equal(changed.image, torch.where(inside, COMPANION, IMAGE))
    assert changed.background is None
    assert changed._replace(image=IMAGE, background=COMPANION) == BATCH


def test_images_are_changed_with_the_probability():
    torch.manual_seed(0)
    assert torch.equal(Companions(probability=0.0)(BATCH).image, IMAGE)
    changed = Companions(probability=0.3)(BATCH).image != IMAGE
    shares = changed.flatten(1).any(dim=1).float()
    assert shares.mean().item() == pytest.approx(0.3, abs=0.08)


def test_an_edge_fades_by_the_local_mean():
    """Beside the edge, 3 or 6 of the 9 pixels around lie inside; at the border all or none."""
    half = torch.zeros(1, 1, 6, 6)
    half[..., 3:] = 1
    row = torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1])
    torch.testing.assert_close(feathered(half, 1)[0, 0], row.expand(6, 6))
    assert feathered(half, 0) is half
    blended = Companions(probability=1.0, feather=1)(BATCH._replace(mask=half.expand_as(MASK)))
    torch.testing.assert_close(blended.image, IMAGE + row * (COMPANION - IMAGE))


def test_needs_a_folder_of_companions_and_masks(tmp_path):
    with pytest.raises(ValueError, match=r"no companion pictures.* set data\.fills to a folder"):
        check_requirements(birds(tmp_path), Companions.requires)
    for absent in ("mask", "background"):
        with pytest.raises(ValueError, match="companions needs the mask and the companion"):
            Companions()(BATCH._replace(**{absent: None}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "object"}, "part"),
        ({"probability": 2.0}, r"probability must lie in \[0, 1\] for Companions"),
        ({"feather": -1}, "feather must be at least 0 for Companions"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Companions(**options)
