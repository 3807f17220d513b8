"""Recombination: pixels of hand-made 8 x 8 pictures, statistics, and what it must leave alone."""

import math

import pytest
import torch
from torch import Tensor

from debias.augment.pasting import Placement, foreground_box, paste
from debias.augment.recombination import (
    SCHEDULES,
    Recombination,
    RecombinationDraws,
    places,
    recombine,
)
from debias.types import Batch

SIDE = 8


def square(top: int, left: int, height: int, width: int, side: int = SIDE) -> Tensor:
    mask = torch.zeros(1, side, side)
    mask[:, top : top + height, left : left + width] = 1
    return mask


def batch_of(masks: list[Tensor], *, seed: int = 0) -> Batch:
    """Random pictures; the background of sample i is i + 1 everywhere, its target i % 2, its bias i
    // 2 % 2.
    """
    count, side = len(masks), masks[0].shape[-1]
    image = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    number = torch.arange(count)
    background = (number + 1.0).reshape(-1, 1, 1, 1).expand(-1, 3, side, side).clone()
    return Batch(image, number % 2, number // 2 % 2, number, torch.stack(masks), None, background)


def draws_of(donor: list[int], **changed: Tensor) -> RecombinationDraws:
    count = len(donor)
    half = torch.full((count,), 0.5)
    draws = RecombinationDraws(
        torch.tensor(donor),
        half,
        torch.full((count, 2), 0.5),
        half,
        torch.zeros(count, dtype=torch.bool),
    )
    return draws._replace(**changed)


def mask_of(batch: Batch) -> Tensor:
    assert batch.mask is not None
    return batch.mask


def test_a_foreground_is_moved_pixel_by_pixel():
    """Two 2 x 2 squares of equal area, spread 0: scale 1. Place (0, 1) is the upper right corner:
    rows 0-1, columns 6-7. There is sample 0's foreground, everywhere else the background of sample
    1, which is 2."""
    batch = batch_of([square(3, 1, 2, 2), square(5, 5, 2, 2)])
    draws = draws_of([1, 0], place=torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    result = recombine(batch, draws, size_spread=0.0)
    expected = torch.full((3, SIDE, SIDE), 2.0)
    expected[:, 0:2, 6:8] = batch.image[0, :, 3:5, 1:3]
    torch.testing.assert_close(result.image[0], expected, rtol=0, atol=1e-6)
    assert torch.equal(mask_of(result)[0], square(0, 6, 2, 2))
    assert torch.equal(mask_of(result)[1], square(6, 0, 2, 2))
    assert result.target.tolist() == [0, 1]
    assert result.index.tolist() == [0, 1]
    assert result.background is None


def test_a_foreground_twice_as_large_is_interpolated():
    """A 2 x 2 foreground of rows (0, 0) and (4, 4) at scale 2: rows 0, 1, 3, 4 by linear
    interpolation of the half pixels -1/4, 1/4, 3/4, 5/4. Beyond the square colours are those of the
    square alone, though 9 lies beside it."""
    image = torch.full((1, 3, SIDE, SIDE), 9.0)
    image[:, :, 3, 3:5], image[:, :, 4, 3:5] = 0.0, 4.0
    mask = square(3, 3, 2, 2)[None]
    placement = Placement(foreground_box(mask), torch.tensor([2.0]), torch.tensor([[2.0, 2.0]]))
    pasted = paste(image, mask, torch.full_like(image, 7.0), placement, torch.zeros(1))
    torch.testing.assert_close(
        pasted.mask[0, 0, :, 4], torch.tensor([0, 0.25, 0.75, 1, 1, 0.75, 0.25, 0.0])
    )
    colours = torch.tensor([0.0, 1.0, 3.0, 4.0])
    torch.testing.assert_close(pasted.image[0, 0, 3:5, 4], colours[1:3])
    edge = 0.75 * colours[0] + 0.25 * 7
    torch.testing.assert_close(pasted.image[0, 0, 2, 4], edge)


@pytest.mark.parametrize("blur", [0.0, 1.0])
@pytest.mark.parametrize("scale", [0.4, 0.77, 1.0, 1.6])
def test_nothing_of_the_own_background_shines_through(scale, blur):
    """The picture is 1 in its foreground, a million around it; on a ground of 0 none exceeds 1."""
    mask = square(8, 9, 13, 11, side=32)[None]
    image = torch.where(mask > 0, 1.0, 1e6).expand(1, 3, 32, 32)
    placement = Placement(foreground_box(mask), torch.tensor([scale]), torch.tensor([[4.3, 7.9]]))
    pasted = paste(image, mask, torch.zeros_like(image), placement, torch.ones(1), blur=blur)
    torch.testing.assert_close(pasted.image, pasted.mask.expand_as(image), rtol=0, atol=1e-5)
    assert pasted.mask.min() >= 0
    assert pasted.mask.max() <= 1 + 1e-6
    assert pasted.mask.sum() > (0.3 if blur else 0.95) * scale**2 * mask.sum()


def test_shrinking_averages():
    """Columns of 0 and 1 by turns, shrunk to half: 1/2 inside; plain sampling would alias."""
    mask = torch.ones(1, 1, 32, 32)
    image = (torch.arange(32) % 2).float().expand(1, 3, 32, 32)
    for shift in (0.0, 0.25, 0.5):
        placement = Placement(
            foreground_box(mask), torch.tensor([0.5]), torch.tensor([[8.0, 8.0 + shift]])
        )
        pasted = paste(image, mask, torch.zeros_like(image), placement, torch.zeros(1))
        torch.testing.assert_close(
            pasted.image[0, 0, 16, 11:21], torch.full((10,), 0.5), rtol=0, atol=0.05
        )


def test_own_background_in_the_same_place_gives_the_original():
    """Spread 0 gives scale 1; the place (top, left) / (side - box) puts the box where it was."""
    masks = [square(3, 1, 2, 4), square(4, 4, 3, 2)]
    batch = batch_of(masks)
    filled = torch.where(mask_of(batch) > 0, -1.0, batch.image)
    place = torch.tensor([[3 / 6, 1 / 4], [4 / 5, 4 / 6]])
    result = recombine(
        batch._replace(background=filled), draws_of([0, 1], place=place), size_spread=0.0
    )
    torch.testing.assert_close(result.image, batch.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(mask_of(result), mask_of(batch), rtol=0, atol=1e-5)


def test_the_blurred_edge_by_the_definition():
    """A half plane of foreground: G_sigma * step at distance d is Phi(d / sigma), so alpha is 2 Phi
    - 1 inside, 0 outside. d = 1/2, 3/2, ... from the edge to the pixel centres; the kernel is
    sampled, hence the tolerance."""
    side, sigma = 32, 2.0
    mask = square(0, 0, side, 16, side=side)[None]
    image = torch.ones(1, 3, side, side)
    placement = Placement(foreground_box(mask), torch.tensor([1.0]), torch.zeros(1, 2))
    pasted = paste(
        image, mask, torch.zeros_like(image), placement, torch.tensor([0.5]), blur=2 * sigma
    )
    distance = 16 - (torch.arange(side).double() + 0.5)
    expected = torch.erf(distance / (sigma * math.sqrt(2))).clamp(min=0)
    torch.testing.assert_close(pasted.mask[0, 0, 10].double(), expected, rtol=0, atol=0.01)


def test_areas_fill_the_range_of_the_two():
    """Shares 1/16 (8 x 8) and 1/4 (16 x 16) of 32 x 32: from 0.7 / 16 for size 0 to 1.3 / 4 for
    size 1, linear.
    """
    batch = batch_of([square(0, 0, 8, 8, side=32), square(9, 9, 16, 16, side=32)])
    for size in (0.0, 0.3, 1.0):
        result = recombine(batch, draws_of([1, 0], size=torch.full((2,), size)))
        wanted = 0.7 / 16 + size * (1.3 / 4 - 0.7 / 16)
        torch.testing.assert_close(
            mask_of(result).mean(dim=(1, 2, 3)), torch.full((2,), wanted), rtol=0.03, atol=0
        )


def test_proportions_are_kept():
    """A 4 x 8 box keeps 1 : 2, measured by its area over its width."""
    batch = batch_of([square(0, 0, 4, 8, side=32), square(9, 9, 16, 16, side=32)])
    result = recombine(batch, draws_of([1, 0], size=torch.ones(2)))
    mask = mask_of(result)[0, 0]
    torch.testing.assert_close(
        mask.amax(0).sum() / mask.amax(1).sum(), torch.tensor(2.0), rtol=0.05, atol=0
    )


def test_boxes_stay_in_the_frame_and_reach_everywhere():
    """For place 0 and 1 the box touches the frame; no area is lost, wherever it goes."""
    mask, other = square(3, 2, 3, 2), square(1, 4, 2, 3)
    batch = batch_of([mask, other] * 50)
    torch.manual_seed(0)
    place = torch.cat([torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.rand(98, 2)])
    result = recombine(batch, draws_of(list(range(100)), place=place), size_spread=0.0)
    torch.testing.assert_close(mask_of(result).sum(dim=(1, 2, 3)), torch.full((100,), 6.0))
    assert foreground_box(mask_of(result)).corner[0].tolist() == [0, 0]
    box = foreground_box(mask_of(result))
    assert (box.corner + box.size)[1].tolist() == [SIDE, SIDE]


def test_cells_and_size_factors_for_the_bias_measures():
    """A share of 1/4 (24 x 24), a ninth of it in one cell: 8 x 8 of the 16 x 16 there, centred."""
    batch = batch_of([square(0, 0, 24, 24, side=48), square(9, 9, 24, 24, side=48)])
    for cell in range(9):
        mask = mask_of(recombine(batch, draws_of([1, 0]), size_spread=0.0, cell=cell))[1]
        assert mask.sum() == pytest.approx(64, rel=0.05)
        inner = square(cell // 3 * 16 + 5, cell % 3 * 16 + 5, 6, 6, side=48)
        assert (mask[inner > 0] > 0.99).all()
    with pytest.raises(ValueError, match=r"cell must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8; got 9"):
        recombine(batch, draws_of([1, 0]), cell=9)
    for factor in (0.5, 2.0):
        mask = mask_of(recombine(batch, draws_of([1, 0]), size_spread=0.0, size_factor=factor))
        assert mask.mean(dim=(1, 2, 3)).tolist() == pytest.approx([factor / 4] * 2, rel=0.03)


def test_a_box_larger_than_the_frame_is_cut_to_it():
    """A bar of 2 x 8 to cover 5/4 of its share is 8 * sqrt(5/4) wide: it covers all columns."""
    batch = batch_of([square(2, 0, 2, 8), square(2, 0, 2, 8)])
    for end in (0.0, 0.5, 1.0):
        draws = draws_of([1, 0], size=torch.ones(2), place=torch.full((2, 2), end))
        mask = mask_of(recombine(batch, draws, size_spread=0.25))
        assert (mask[0, 0].amax(dim=0) > 0.9).all()


def test_places_are_uniform_for_one_draw():
    """10,000 places in 10 x 10 cells: chi-square of 99 degrees of freedom, below its 99.9 %
    quantile of 148.2.
    """
    torch.manual_seed(0)
    found = places(10_000, 1, torch.device("cpu"))
    cells = (found * 10).long().clamp(max=9)
    counts = torch.bincount(cells[:, 0] * 10 + cells[:, 1], minlength=100)
    assert ((counts - 100.0) ** 2 / 100).sum() < 148.2


def test_places_of_other_bates_parameters():
    """The variance of a mean of n uniform draws is 1 / (12 n); 0 is the centre; -3 swaps the centre
    with the ends, so that Bates(3) is found at distance |x + 1/2 mod 1| and its share within 1/4 of
    an end is that within of 1/2."""
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    centred, bordered = places(20_000, 3, cpu), places(20_000, -3, cpu)
    assert centred.var(dim=0).tolist() == pytest.approx([1 / 36] * 2, rel=0.05)
    assert (places(5, 0, cpu) == 0.5).all()
    assert bordered.min() >= 0
    assert bordered.max() < 1
    near_centre = ((centred - 0.5).abs() < 0.25).float().mean()
    near_ends = ((bordered - 0.5).abs() > 0.25).float().mean()
    assert near_centre.item() == pytest.approx(near_ends.item(), abs=0.01)
    assert near_centre > 0.8


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", (1, 1, 1)),
        ("linear", (0, 0.5, 1)),
        ("reverse_linear", (1, 0.5, 0)),
        ("cosine", (0, 1 - math.sqrt(0.5), 1)),
    ],
)
def test_schedules(name, values):
    recombination = Recombination(schedule=name, probability=0.8)
    for progress, value in zip((0.0, 0.5, 1.0), values, strict=True):
        assert SCHEDULES[name](progress) == pytest.approx(value)
        assert recombination.keep_probability(progress) == pytest.approx(0.8 * value)
    assert all(0 <= SCHEDULES[name](step / 100) <= 1 for step in range(101))
    with pytest.raises(ValueError, match=r"progress must lie in \[0, 1\]; got 1\.5"):
        recombination.keep_probability(1.5)


def test_the_kept_share_follows_the_schedule():
    """Cosine at progress 1/3: 1 - cos(pi/6) = 0.134; deviation sqrt(p (1 - p) / 4000) = 0.0054."""
    batch = batch_of([square(3, 1, 2, 2, side=8)] * 400)
    recombination = Recombination(schedule="cosine", probability=1.0)
    torch.manual_seed(0)
    keep = torch.cat([recombination.draw(batch, 1 / 3).keep for _ in range(10)])
    assert keep.float().mean().item() == pytest.approx(0.134, abs=4 * 0.0054)
    assert recombination.draw(batch, 1.0).keep.all()
    assert not recombination.draw(batch, 0.0).keep.any()


def test_kept_samples_are_untouched_to_the_bit():
    batch = batch_of([square(3, 1, 2, 2), square(5, 5, 2, 2)])
    result = recombine(batch, draws_of([1, 0], keep=torch.tensor([True, False])), blur=4.0)
    assert torch.equal(result.image[0], batch.image[0])
    assert torch.equal(mask_of(result)[0], mask_of(batch)[0])
    assert result.bias[0] == batch.bias[0]
    assert not torch.equal(result.image[1], batch.image[1])


def test_empty_and_full_masks_are_kept_and_give_no_background():
    """Sample 2's mask is empty, 3's full, 4's found 7/8: 0 and 1 may donate, 4 is recombined."""
    masks = [
        square(3, 1, 2, 2),
        square(5, 5, 2, 2),
        square(0, 0, 0, 0),
        square(0, 0, 8, 8),
        square(0, 0, 7, 8),
    ]
    batch = batch_of(masks)
    for seed in range(20):
        torch.manual_seed(seed)
        draws = Recombination().draw(batch)
        assert draws.keep.tolist() == [False, False, True, True, False]
        assert set(draws.donor[~draws.keep].tolist()) <= {0, 1}
        result = recombine(batch, draws)
        assert torch.equal(result.image[2:4], batch.image[2:4])
        assert result.image.isfinite().all()


def test_without_any_donor_all_are_kept():
    batch = batch_of([square(0, 0, 8, 7)] * 3)
    result = Recombination()(batch)
    assert torch.equal(result.image, batch.image)
    assert torch.equal(result.bias, batch.bias)


@pytest.mark.parametrize("several_labels", [False, True])
def test_whose_backgrounds(several_labels):
    """Targets 0 1 0 1 ..., over 50 draws of 8 samples: "all" meets every donor, "same" every one of
    the same target.
    """
    batch = batch_of([square(3, 1, 2, 2)] * 8)
    if several_labels:
        batch = batch._replace(
            target=torch.stack([batch.target, torch.ones(8, dtype=torch.long)], dim=1)
        )
    torch.manual_seed(0)
    met = {}
    for background in ("all", "same", "own"):
        recombination = Recombination(background=background)
        met[background] = [set() for _ in range(8)]
        for _ in range(80):
            for sample, donor in enumerate(recombination.draw(batch).donor.tolist()):
                met[background][sample].add(donor)
    assert met["all"] == [set(range(8))] * 8
    assert met["same"] == [set(range(sample % 2, 8, 2)) for sample in range(8)]
    assert met["own"] == [{sample} for sample in range(8)]


def test_the_class_tells_nothing_of_the_new_background():
    """95 of 100 samples are aligned before. After, P(bias 1 | target) is P(bias 1) = 1/2 for both
    targets: each share of 100 batches has a standard deviation of sqrt(0.25 / 5000) = 0.007. With
    the same class it stays at 0.05, 0.95."""
    masks = [square(3, 1, 2, 2)] * 100
    target = torch.arange(100) % 2
    # 5 of each target's 50 are not aligned
    bias = torch.where(torch.arange(100) % 20 >= 18, 1 - target, target)
    batch = batch_of(masks)._replace(target=target, bias=bias)
    torch.manual_seed(0)
    for background, shares in (("all", (0.5, 0.5)), ("same", (0.1, 0.9)), ("own", (0.1, 0.9))):
        recombination = Recombination(background=background)
        new = torch.stack([recombination(batch).bias for _ in range(100)]).double().mean(dim=0)
        for row in (0, 1):
            assert new[target == row].mean().item() == pytest.approx(shares[row], abs=0.03)


def test_whose_bias():
    batch = batch_of([square(3, 1, 2, 2)] * 4)
    draws = draws_of([3, 2, 1, 0])
    assert recombine(batch, draws).bias.tolist() == [1, 1, 0, 0]
    assert recombine(batch, draws, bias_follows="foreground").bias.tolist() == [0, 0, 1, 1]


def test_the_module_is_its_function_and_follows_the_seed():
    batch = batch_of([square(3, 1, 2, 2, side=16), square(5, 5, 4, 2, side=16)] * 4)
    before = [field.clone() for field in batch if field is not None]
    recombination = Recombination(blur=8.0)
    torch.manual_seed(3)
    first = recombination(batch)
    torch.manual_seed(3)
    second = recombine(batch, recombination.draw(batch), blur=8.0)
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, recombination(batch).image)
    after = [field for field in batch if field is not None]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_memory_layout_and_precision_are_kept(layout):
    batch = batch_of([square(3, 1, 2, 2), square(5, 5, 2, 2)])
    expected = recombine(batch, draws_of([1, 0]), blur=8.0)
    batch = batch._replace(image=batch.image.contiguous(memory_format=layout))
    with torch.autocast("cpu", torch.bfloat16):
        result = recombine(batch, draws_of([1, 0]), blur=8.0)
    assert result.image.is_contiguous(memory_format=layout)
    assert result.image.dtype == torch.float32
    torch.testing.assert_close(result.image, expected.image, rtol=0, atol=1e-6)


def test_it_is_captured_as_one_graph():
    batch, draws = batch_of([square(3, 1, 2, 2), square(5, 5, 2, 2)]), draws_of([1, 0])
    compiled = torch.compile(recombine, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        compiled(batch, draws, blur=8.0).image, recombine(batch, draws, blur=8.0).image
    )


@pytest.mark.parametrize("absent", ["mask", "background"])
def test_a_batch_without_mask_or_background_is_refused(absent):
    batch = batch_of([square(3, 1, 2, 2)] * 2)._replace(**{absent: None})
    with pytest.raises(ValueError, match=f"got no {absent}.*backgrounds=True"):
        Recombination()(batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "any"}, "background must be one of all, same, own; got 'any'"),
        ({"bias_follows": "me"}, "bias_follows must be one of background, foreground; got 'me'"),
        ({"schedule": "cos"}, "schedule must be one of constant, .*cosine; got 'cos'"),
        ({"schedule": "linear"}, "schedule=linear needs probability > 0; got probability=0"),
        ({"probability": 1.1}, r"probability must lie in \[0, 1\] for Recombination; got 1\.1"),
        ({"size_spread": 1.0}, r"size_spread must lie in \[0, 1\)"),
        ({"blur": -1.0}, "blur must be at least 0"),
        ({"prune": 0.001}, r"least must lie in \(0, 0\.001\) .*: below prune"),
        ({"prune": 1.1}, r"prune must lie in \(0, 1\]"),
        ({"least": 0.0}, r"least must lie in \(0, 0\.8\) for Recombination; got 0\.0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recombination(**options)
