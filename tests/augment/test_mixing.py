"""Mixup, CutMix and LISA: pixels, targets and partners by hand, draws by their statistics."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor

from debias.augment.lisa import LISA, selected_pairs
from debias.augment.mixing import CutMix, Mixup, beta, blend, mixup_weights, outside_box
from debias.types import Batch, Groups
from tests.fakes import GROUPS

THREE = Groups(("a", "b", "c"), ("x", "y", "z"))
LABELS = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)
CPU = torch.device("cpu")


def flat_batch(target: list[int], bias: list[int], side: int = 4) -> Batch:
    """Sample i is i everywhere in its picture, i / 10 in its mask, -i in its background."""
    number = torch.arange(len(target))
    image = number.float().reshape(-1, 1, 1, 1).expand(-1, 3, side, side).clone()
    mask = image[:, :1] / 10
    return Batch(
        image, torch.tensor(target), torch.tensor(bias), number, mask, number.float(), -image
    )


def filled(column: Tensor | None) -> Tensor:
    assert column is not None
    return column


def test_blended_by_hand():
    """Sample 1 by 1/4 with sample 3: 0.25 * 1 + 0.75 * 3 = 2.5; classes 2, 0: (0.75, 0, 0.25)."""
    batch = flat_batch([0, 2, 1, 0], [0, 1, 2, 0])
    own = mixup_weights(torch.tensor([1.0, 0.25, 0.5, 0.0]), batch.image)
    mixed = blend(batch, torch.tensor([3, 3, 2, 1]), own, classes=3)
    assert mixed.image[:, 0, 0, 0].tolist() == [0.0, 2.5, 2.0, 1.0]
    torch.testing.assert_close(filled(mixed.mask)[:, 0, 0, 0], torch.tensor([0.0, 0.25, 0.2, 0.1]))
    assert filled(mixed.background)[:, 0, 0, 0].tolist() == [0.0, -2.5, -2.0, -1.0]
    expected = [[1.0, 0.0, 0.0], [0.75, 0.0, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert mixed.target.tolist() == expected
    for kept, before in (
        (mixed.bias, batch.bias),
        (mixed.index, batch.index),
        (mixed.weight, batch.weight),
    ):
        assert kept is before
    plain = blend(
        batch._replace(mask=None, background=None), torch.tensor([3, 3, 2, 1]), own, classes=3
    )
    assert (plain.mask, plain.background) == (None, None)


def test_a_weight_of_one_leaves_a_sample_to_the_last_bit():
    image = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    batch = Batch(image, torch.zeros(8).long(), torch.zeros(8).long(), torch.arange(8))
    mixed = blend(batch, torch.arange(8).roll(1), torch.ones(8, 1, 1, 1), classes=2)
    assert torch.equal(mixed.image, image)


def test_a_box_by_hand():
    """Frame 8 x 4, lambda 3/4: half of each side, 4 x 2. Centre row 4, column 2: rows 2 to 5,
    columns 1 and 2. Centre at the origin: only rows 0 and 1 of column 0 are left of it, 2 of 32
    pixels."""
    outside = outside_box(
        torch.full((2,), 0.75), torch.tensor([[0.5, 0.5], [0.0, 0.0]]), height=8, width=4
    )
    inside = torch.zeros(2, 1, 8, 4)
    inside[0, 0, 2:6, 1:3] = 1
    inside[1, 0, :2, :1] = 1
    assert torch.equal(outside, 1 - inside)


def test_the_target_follows_the_area_that_the_frame_leaves():
    """lambda is 3/4; the box at the corner has 2/32 of the frame: the target is (30/32, 2/32)."""
    batch = flat_batch([0, 1], [0, 1], side=8)
    batch = Batch(
        *(
            None if column is None else column[..., :4] if column.ndim == 4 else column
            for column in batch
        )
    )
    outside = outside_box(torch.full((2,), 0.75), torch.zeros(2, 2), height=8, width=4)
    mixed = blend(batch, torch.tensor([1, 0]), outside, classes=2)
    assert mixed.target.tolist() == [[30 / 32, 2 / 32], [2 / 32, 30 / 32]]
    assert torch.equal(mixed.image[0], (1 - outside[0]).expand(3, -1, -1))


def test_the_whole_frame_and_nothing_are_boxes():
    outside = outside_box(torch.tensor([1.0, 0.0]), torch.full((2, 2), 0.5), height=6, width=6)
    assert outside[0].eq(1).all()
    assert outside[1].eq(0).all()


@pytest.mark.parametrize("make", [Mixup, CutMix, LISA])
def test_a_mixed_batch_is_a_mixture(make):
    """The mean pixel of a flat sample i mixed with j is w i + (1 - w) j, as is its target."""
    torch.manual_seed(0)
    batch = flat_batch([0, 1, 2] * 20, [0, 0, 1, 1, 2, 2] * 10, side=16)
    before = copy.deepcopy(batch)
    mixed = make(THREE, alpha=1.0)(batch, 0.5)
    columns = zip(batch[:-1], before[:-1], strict=True)  # without views, which are made later
    assert all(torch.equal(filled(kept), filled(old)) for kept, old in columns)
    assert mixed.target.shape == (60, 3)
    torch.testing.assert_close(mixed.target.sum(dim=1), torch.ones(60))
    assert mixed.bias is batch.bias
    changed = (mixed.image != batch.image).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.7
    own = mixed.target.gather(1, batch.target[:, None]).squeeze(1)
    two = (mixed.target > 0).sum(dim=1) == 2
    other = mixed.target.scatter(1, batch.target[:, None], 0).argmax(dim=1)
    # the partner's number, solved from the mean pixel, must be a whole one of the other class
    number = torch.arange(60.0)
    partner = ((mixed.image.mean(dim=(1, 2, 3)) - own * number) / (1 - own))[two]
    sure = (1 - own[two]) > 0.05
    assert sure.sum() > 10
    torch.testing.assert_close(partner[sure], partner[sure].round(), atol=0.02, rtol=0)
    assert torch.equal(batch.target[partner[sure].round().long()], other[two][sure])


def test_cutmix_pastes_pixels():
    torch.manual_seed(0)
    batch = flat_batch([0, 1] * 8, [0, 1] * 8, side=8)
    mixed = CutMix(GROUPS)(batch)
    assert torch.equal(mixed.image, mixed.image.round())
    assert (mixed.image != batch.image).any()


def test_selected_pairs_by_enumeration():
    target, bias = torch.tensor([0, 0, 1, 1, 0, 2]), torch.tensor([0, 1, 0, 1, -1, 1])
    intra_label = selected_pairs(target, bias, torch.ones(6, dtype=torch.bool))
    assert intra_label.nonzero().tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    intra_domain = selected_pairs(target, bias, torch.zeros(6, dtype=torch.bool))
    assert intra_domain.nonzero().tolist() == [
        [0, 2],
        [1, 3],
        [1, 5],
        [2, 0],
        [3, 1],
        [3, 5],
        [5, 1],
        [5, 3],
    ]
    rows = selected_pairs(target, bias, torch.tensor([True, False] * 3))
    expected = torch.where(torch.tensor([[True], [False]] * 3), intra_label, intra_domain)
    assert torch.equal(rows, expected)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_intra_label_pairs_keep_the_target(mix):
    """selection 1: pictures change, and targets stay the very class."""
    torch.manual_seed(0)
    batch = flat_batch([0, 0, 1, 1] * 4, [0, 1, 0, 1] * 4, side=16)
    mixed = LISA(GROUPS, selection=1.0, mix=mix, alpha=1.0)(batch)
    torch.testing.assert_close(mixed.target, torch.nn.functional.one_hot(batch.target).float())
    assert (mixed.image != batch.image).flatten(1).any(dim=1).float().mean() > 0.8


def test_a_sample_without_partner_stays():
    """Sample 0 is the only one of its class; no other class has its bias; sample 5's is unknown."""
    torch.manual_seed(0)
    batch = flat_batch([0, 1, 1, 2, 2, 2], [0, 1, 2, 1, 2, -1])
    for selection in (0.0, 1.0):
        mixed = LISA(THREE, selection=selection)(batch)
        stays = (mixed.image == batch.image).flatten(1).all(dim=1)
        assert stays.tolist() == [True, False, False, False, False, True]
        assert mixed.target[[0, 5]].tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_selection_is_the_share_of_intra_label_pairs():
    """All four groups 100 times, selection 0.25: all have both kinds of partner; 3 sigma: 0.065."""
    torch.manual_seed(0)
    batch = flat_batch([0, 0, 1, 1] * 100, [0, 1, 0, 1] * 100)
    mixed = LISA(GROUPS, selection=0.25)(batch)
    share = (mixed.target.max(dim=1).values > 1 - 1e-6).float().mean().item()
    assert abs(share - 0.25) < 0.065


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_coefficients_are_beta(alpha):
    """Mean 1/2, variance 1 / (4 (2 alpha + 1))."""
    torch.manual_seed(0)
    draws = beta(20000, alpha, CPU)
    assert draws.mean().item() == pytest.approx(0.5, abs=0.01)
    assert draws.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


@pytest.mark.parametrize("make", [Mixup, partial(LISA, selection=0.0)])
@pytest.mark.parametrize("alpha", [0.5, 2.0, 6.0])
def test_targets_mix_by_the_beta_that_is_asked_for(make, alpha):
    """Each of 2000 samples is its own class, so that a target says what is left of it: of variance
    1 / (4 (2 a + 1)).

    The estimate's own relative standard deviation is below 0.03, and the variances are 0.125, 0.05
    and 0.019.
    """
    torch.manual_seed(0)
    count = 2000
    groups = Groups(tuple(map(str, range(count))), ("land",))
    nothing = torch.zeros(count, dtype=torch.int64)
    mixed = make(groups, alpha=alpha)(
        Batch(torch.zeros(count, 1, 1, 1), torch.arange(count), nothing, nothing)
    )
    own = mixed.target.diagonal()
    assert own.mean().item() == pytest.approx(0.5, abs=0.04)
    assert own.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.12)


@pytest.mark.parametrize("make", [Mixup, CutMix, LISA])
def test_the_global_seed_decides(make):
    batch = flat_batch([0, 0, 1, 1] * 4, [0, 1, 0, 1] * 4)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(make(GROUPS)(batch).image)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("make", [Mixup, CutMix, LISA])
def test_the_layout_of_the_picture_stays(make):
    batch = flat_batch([0, 0, 1, 1], [0, 1, 0, 1])
    image = batch.image.contiguous(memory_format=torch.channels_last)
    assert make(GROUPS)(batch._replace(image=image)).image.is_contiguous(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixup(GROUPS, alpha=0.0), r"alpha must be positive for Mixup; got 0\.0"),
        (lambda: CutMix(LABELS), "CutMix needs one class per sample: name a single target"),
        (lambda: LISA(LABELS), "LISA needs one class per sample: name a single target"),
        (lambda: LISA(GROUPS, alpha=-1.0), r"alpha must be positive for LISA; got -1\.0"),
        (lambda: LISA(GROUPS, selection=1.5), r"selection must lie in \[0, 1\] for LISA; got 1\.5"),
        (lambda: LISA(GROUPS, mix="cut"), "mix must be one of mixup, cutmix for LISA; got 'cut'"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
