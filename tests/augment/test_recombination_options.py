"""Every option of Recombination that its draws or its function read reaches them."""

import pytest
import torch

from debias.augment.recombination import Recombination
from tests.augment.test_recombination import batch_of, mask_of, square

BATCH = batch_of(
    [square(3, 1, 2, 2), square(5, 5, 2, 2), square(0, 6, 2, 2), square(4, 2, 2, 2)] * 2
)


@pytest.mark.parametrize("follows", ["background", "foreground"])
def test_the_bias_follows_whom_it_is_told_to(follows):
    """Each sample has a bias of its own, and the background of sample i is i + 1 everywhere: the
    upper left pixel, which a foreground at the centre does not cover, says whose it is."""
    torch.manual_seed(0)
    own = torch.arange(8)
    recombination = Recombination(bias_follows=follows, bates=0, size_spread=0.0, blur=0.0)
    result = recombination(BATCH._replace(bias=own))
    donor = result.image[:, 0, 0, 0].long() - 1
    assert (donor != own).any()
    assert result.bias.tolist() == (donor if follows == "background" else own).tolist()
    assert recombination.moves_bias is (follows == "background")


def test_without_spread_areas_of_one_size_stay():
    """All foregrounds have 4 of 64 pixels; with a spread of 0.9 they have between 0.4 and 7.6."""
    torch.manual_seed(0)
    areas = mask_of(Recombination(size_spread=0.0, blur=0.0)(BATCH)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(areas, torch.full((8,), 4.0))
    spread = mask_of(Recombination(size_spread=0.9, blur=0.0)(BATCH)).sum(dim=(1, 2, 3))
    assert spread.min() < 4 * 0.7
    assert spread.max() > 4 * 1.3


def test_bates_of_zero_puts_everything_at_the_centre():
    """A 2 x 2 foreground in a frame of 8: rows and columns 3 and 4."""
    torch.manual_seed(0)
    result = Recombination(bates=0, size_spread=0.0, blur=0.0)(BATCH)
    torch.testing.assert_close(
        mask_of(result), square(3, 3, 2, 2).expand(8, 1, 8, 8), rtol=0, atol=1e-5
    )


def test_more_bates_draws_come_closer_to_the_centre():
    """The variance of a mean of n uniform draws is 1 / (12 n)."""
    torch.manual_seed(0)
    batch = batch_of([square(3, 1, 2, 2)] * 800)
    for bates in (1, 4):
        place = Recombination(bates=bates).draw(batch).place
        assert place.var().item() == pytest.approx(1 / (12 * bates), rel=0.1)


def test_edges_are_drawn_from_a_tenth_of_the_blur_on():
    """Uniform in [0.1, 1]: the mean is 0.55, of 1000 draws with a standard deviation of 0.26 /
    sqrt(1000) = 0.008.
    """
    torch.manual_seed(0)
    edge = Recombination().draw(batch_of([square(3, 1, 2, 2)] * 1000)).edge
    assert 0.1 <= edge.min() < 0.11
    assert 0.99 < edge.max() <= 1
    assert edge.mean().item() == pytest.approx(0.55, abs=4 * 0.0082)
