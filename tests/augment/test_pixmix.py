"""PixMix: mixings by hand, draws by their distributions, and rounds in a plain loop."""

import pytest
import torch

from debias.augment.pixmix import PixMix, PixMixDraws, added, multiplied, pixmix, pixmix_draws
from debias.types import Batch

GENERATOR = torch.Generator().manual_seed(0)
MEAN, STD = (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)


def test_mixings_by_hand():
    """a = 1, b = 0 keeps x. Halves give the mean and the geometric mean."""
    first, second = torch.rand(2, 2, 3, 4, 4, generator=GENERATOR, dtype=torch.float64)
    one, none, half = torch.tensor(1.0), torch.tensor(0.0), torch.tensor(0.5)
    torch.testing.assert_close(added(first, second, one, none), first)
    torch.testing.assert_close(multiplied(first, second, one, none), first)
    torch.testing.assert_close(added(first, second, half, half), (first + second) / 2)
    torch.testing.assert_close(multiplied(first, second, half, half), (first * second).sqrt())


def test_products_with_black_are_finite():
    black, b = torch.zeros(1, 3, 2, 2), torch.tensor(-0.99)
    assert multiplied(black, black, torch.tensor(1.2), b).isfinite().all()


def test_draws_have_the_distributions_of_the_paper():
    """Means of Beta(3, 1) and Beta(1, 3): 3/4 and 1/4. Half of the b are negative."""
    torch.manual_seed(0)
    draws = pixmix_draws(20000, rounds=4, beta=3.0)
    inner = draws.second >= 0
    shares = (inner, draws.operated, draws.own, draws.multiplied)
    assert [round(float(share.float().mean()), 1) for share in shares] == [0.5] * 4
    a, b = draws.first, draws.second
    means = (a[inner], b[inner], a[~inner], b[~inner])
    measured = torch.stack([mean.mean() for mean in means])
    torch.testing.assert_close(measured, torch.tensor([0.75, 0.25, 1.25, -0.25]), atol=0.01, rtol=0)
    assert float(a[inner].var()) == pytest.approx(3 / 80, abs=0.002)
    assert draws.rounds.bincount().div(20000).sub(0.2).abs().max() < 0.02


def test_rounds_are_those_of_a_plain_loop():
    pixels, partner = torch.rand(2, 6, 3, 4, 4, generator=GENERATOR)
    torch.manual_seed(0)
    draws = pixmix_draws(6, rounds=3, beta=3.0)
    draws = draws._replace(rounds=torch.tensor([0, 1, 2, 3, 3, 2]))
    result = pixmix(pixels, partner, draws, lambda image: 1 - image)
    for row in range(6):
        x = pixels[row]
        expected = 1 - x if draws.operated[row] else x
        for number in range(int(draws.rounds[row])):
            other = 1 - x if draws.own[number, row] else partner[row]
            mix = multiplied if draws.multiplied[number, row] else added
            a, b = draws.first[number, row], draws.second[number, row]
            expected = mix(expected, other, a, b).clamp(0, 1)
        torch.testing.assert_close(result[row], expected)


def test_no_round_and_no_operation_change_nothing():
    pixels = torch.rand(2, 3, 4, 4, generator=GENERATOR)
    no = torch.zeros(2, dtype=torch.bool)
    draws = PixMixDraws(no, no.long(), *[no.new_zeros(4, 2)] * 4)
    assert torch.equal(pixmix(pixels, pixels, draws, torch.zeros_like), pixels)


def test_the_augmentation_mixes_its_partners_into_pixels():
    number = torch.arange(64)
    method = PixMix(MEAN, STD, lambda place: torch.full((1, 3, 8, 8), 255, dtype=torch.uint8),
                    partner="white", rounds=9)  # fmt: skip
    pixels = torch.full((64, 3, 8, 8), 0.25)
    torch.manual_seed(0)
    changed = method.space.pixels(
        method(Batch(method.space.normalised(pixels), number, number, number)).image
    )
    assert float(changed.min()) >= 0
    assert float(changed.mean()) > 0.3
    assert len(changed.flatten(1).mean(dim=1).unique()) > 40


@pytest.mark.parametrize(
    ("option", "value", "bound"),
    [("rounds", -1, "be at least 0"), ("beta", 0.0, "be positive"), ("severity", 0.0, "lie in")],
)
def test_refuses(option, value, bound):
    with pytest.raises(ValueError, match=f"{option} must {bound}"):
        PixMix(MEAN, STD, torch.zeros, **{option: value})
