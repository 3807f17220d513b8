"""Random convolutions: linear filters of each side, drawn once per batch, with unit gain."""

import pytest
import torch
from torch import Tensor

from debias.augment.random_convolution import RandomConvolution, random_filters
from tests.fakes import batch_of

BATCH = batch_of(4, side=9)


def filtered(image: Tensor, *, seed: int = 0, **options) -> Tensor:
    """The images of a batch after the filters of a seed."""
    torch.manual_seed(seed)
    augment = RandomConvolution(**({"identity": 0.0, "sizes": (3,)} | options))
    return augment(BATCH._replace(image=image)).image


def test_filters_of_side_1_multiply_every_pixel_by_one_matrix():
    torch.manual_seed(0)
    torch.rand(2), torch.randint(1, ())
    matrix = random_filters(1, BATCH.image)[:, :, 0, 0]
    expected = torch.einsum("oc,nchw->nohw", matrix, BATCH.image)
    torch.testing.assert_close(filtered(BATCH.image, sizes=(1,)), expected)


def test_the_batch_has_one_linear_filter():
    """f(2 x + 3 y) = 2 f(x) + 3 f(y), and the order of the samples does not matter."""
    x, y = torch.randn(2, 4, 3, 9, 9)
    torch.testing.assert_close(filtered(2 * x + 3 * y), 2 * filtered(x) + 3 * filtered(y))
    torch.testing.assert_close(filtered(x.flip(0)), filtered(x).flip(0))


@pytest.mark.parametrize("side", [1, 3, 5, 7])
def test_a_point_reaches_as_far_as_the_filter(side):
    point = torch.zeros(4, 3, 9, 9)
    point[..., 4, 4] = 1
    reached = filtered(point, sizes=(side,)).ne(0).any(dim=1)
    assert reached.sum(dim=(1, 2)).tolist() == [side**2] * 4


@pytest.mark.parametrize("side", [1, 5])
def test_white_noise_keeps_its_variance_on_average(side):
    """The gain is the sum of the squares of a filter: on average 1."""
    torch.manual_seed(0)
    filters = torch.cat([random_filters(side, BATCH.image) for _ in range(300)])
    assert filters.square().sum(dim=(1, 2, 3)).mean().item() == pytest.approx(1, abs=0.1)
    assert filters.mean().item() == pytest.approx(0, abs=0.03)


def test_a_blend_lies_on_the_way_to_the_filtered_image():
    plain, mixed = filtered(BATCH.image), filtered(BATCH.image, mix=True)
    torch.manual_seed(0)
    share = torch.rand(2)[1]
    torch.testing.assert_close(mixed, share * plain + (1 - share) * BATCH.image)


def test_the_share_of_unchanged_batches_is_the_probability_and_the_rest_of_the_batch_stays():
    torch.manual_seed(0)
    augment = RandomConvolution(identity=0.3)
    changed = [augment(BATCH) for _ in range(200)]
    same = [batch.image is BATCH.image for batch in changed]
    assert sum(same) / 200 == pytest.approx(0.3, abs=0.1)
    assert all(batch._replace(image=BATCH.image) == BATCH for batch in changed)


def test_every_side_is_drawn():
    point = torch.zeros(4, 3, 9, 9)
    point[..., 4, 4] = 1
    images = [filtered(point, seed=seed, sizes=(1, 5)) for seed in range(12)]
    assert {int(image[0, 0].ne(0).sum()) for image in images} == {1, 25}


@pytest.mark.parametrize("sizes", [(), (2,), (3, 0)])
def test_refuses_sides_without_a_centre(sizes):
    with pytest.raises(ValueError, match=r"sizes must be odd numbers from 1 on .*; got \["):
        RandomConvolution(sizes=sizes)


def test_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"identity must lie in \[0, 1\] for RandomConvolution"):
        RandomConvolution(identity=1.5)
