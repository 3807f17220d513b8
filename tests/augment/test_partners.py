"""Partners of images: from the batch or a folder, how often, and what is left alone."""

import pytest
import torch

from debias.augment.partners import PartnerAugmentation
from debias.pixels import PixelSpace
from debias.types import Batch

MEAN, STD = (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)
SPACE = PixelSpace(MEAN, STD)
FOLDER = torch.arange(0, 250, 10, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


class TakePartner(PartnerAugmentation):
    def mixed(self, pixels, partner):
        return partner


def taker(partner="batch", probability=1.0, read=FOLDER.clone):
    return TakePartner(MEAN, STD, lambda place: read(), partner=partner, probability=probability)


def batch_of(count=64):
    pixels = (torch.arange(count) / count).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    number = torch.arange(count)
    return Batch(SPACE.normalised(pixels), number, number, number)


def taken(batch, changed):
    """The brightness of each changed image."""
    return SPACE.pixels(changed.image)[:, 0, 0, 0]


def test_partners_of_the_batch_are_a_permutation_of_it():
    batch = batch_of()
    torch.manual_seed(0)
    changed = taker()(batch, progress=0.5)
    brightness = taken(batch, changed)
    torch.testing.assert_close(brightness.sort().values, torch.arange(64) / 64)
    assert int((brightness == torch.arange(64) / 64).sum()) < 8
    assert changed._replace(image=batch.image) == batch


def test_partners_of_a_folder_are_its_pictures_each_drawn_by_itself():
    torch.manual_seed(0)
    brightness = taken(batch_of(), taker("paintings")(batch_of()))
    numbers = (brightness * 25.5).round()
    torch.testing.assert_close(brightness, numbers / 25.5)
    assert 10 < len(set(numbers.tolist())) <= 25


def test_the_others_stay_to_the_last_bit():
    batch = batch_of(2000)
    before = batch.image.clone()
    torch.manual_seed(0)
    changed = taker(probability=0.25)(batch)
    same = (changed.image == batch.image).flatten(1).all(1)
    assert 440 <= int((~same).sum()) <= 560
    assert torch.equal(batch.image, before)
    assert taker(probability=0.0)(batch) is batch


def test_checkpoints_know_the_pictures_of_a_folder_and_nothing_of_a_batch():
    assert taker().state_dict() == {}
    other = FOLDER.clone()
    other[3, 1, 2, 0] += 1
    states = [taker("paintings", read=make.clone).state_dict() for make in (FOLDER, FOLDER, other)]
    first, second, third = (state["pictures_digest"].tolist() for state in states)
    assert first == second != third


def test_pictures_may_be_a_view():
    """Such as channels that were last in the files."""
    last = FOLDER.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    view, copied = taker("paintings", read=lambda: last), taker("paintings")
    assert torch.equal(view.pictures_digest, copied.pictures_digest)


def test_refuses():
    with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\] .*; got 1\.5"):
        taker(probability=1.5)
    with pytest.raises(NotImplementedError, match="PartnerAugmentation does not define mixed"):
        PartnerAugmentation(MEAN, STD, FOLDER.clone, partner="batch", probability=1.0).mixed(0, 0)
