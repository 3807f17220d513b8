"""ExMap: clusters of made maps, of two and of three kinds, and what does not change them."""

import pytest
import torch
from torch import Tensor

from debias.group_inference.heatmap_clusters import clustered_groups, heatmap_clusters

KINDS = ((slice(0, 2), slice(0, 4)), (slice(2, 4), slice(0, 4)), (slice(0, 4), slice(3, 4)))


def made(counts: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy maps that are hot above, below, or at the right, and the kind of each."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    kind = kind[torch.randperm(len(kind), generator=generator)]
    maps = 0.1 * torch.rand(len(kind), 4, 4, generator=generator)
    for row, one in enumerate(kind.tolist()):
        maps[row][KINDS[one]] += 1
    return maps, kind


@pytest.mark.parametrize("counts", [(250, 150), (160, 140, 120)])
def test_the_gap_finds_the_number_of_kinds_and_the_kinds(counts):
    """The largest kind is cluster 0, and so on."""
    maps, kind = made(counts)
    target = torch.zeros(len(kind), dtype=torch.int64)
    assert torch.equal(heatmap_clusters(maps, target, seed=0), kind)


def test_classes_are_clustered_alone_or_together():
    """Class 1 has the kinds above and below in other shares, so that its largest is below. Of all
    images, the most are above.
    """
    (first, kind), (second, other) = made((90, 60)), made((50, 70), seed=1)
    maps, target = (
        torch.cat([first, second]),
        torch.arange(2).repeat_interleave(torch.tensor([150, 120])),
    )
    within = heatmap_clusters(maps, target, seed=0, clusters=2)
    assert torch.equal(within, torch.cat([kind, 1 - other]))
    together = heatmap_clusters(maps, target, seed=0, clusters=2, within="all")
    assert torch.equal(together, torch.cat([kind, other]))


def test_the_scale_of_a_map_and_the_order_of_maps_change_nothing():
    maps, _ = made((30, 18))
    target = torch.arange(48) % 2
    found = heatmap_clusters(maps, target, seed=0)
    scales = 4.0 ** torch.randint(-3, 4, (48, 1, 1), generator=torch.Generator().manual_seed(2))
    assert torch.equal(heatmap_clusters(scales * maps, target, seed=0), found)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(3))
    assert torch.equal(heatmap_clusters(maps[order], target[order], seed=0), found[order])


def test_small_groups_join_the_largest_of_their_class():
    """Clusters 0, 1, 2 have 1, 3 and 2 images in class 0; and 2, 0, 1 in class 1."""
    clusters = torch.tensor([0, 1, 1, 1, 2, 2, 0, 0, 2])
    target = torch.tensor([0] * 6 + [1] * 3)
    assert clustered_groups(clusters, target).tolist() == [0, 1, 1, 1, 2, 2, 3, 3, 5]
    assert clustered_groups(clusters, target, least=2).tolist() == [1, 1, 1, 1, 2, 2, 3, 3, 3]
    assert clustered_groups(clusters, target, least=9).tolist() == [1] * 6 + [3] * 3


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (48, {"within": "group"}, "within must be one of class, all for ExMap; got 'group'"),
        (48, {"clusters": 1}, "clusters must be at least 2 for ExMap; got 1"),
        (
            12,
            {},
            "ExMap clusters the maps of 13 to 5,000 images together; got 12 images of class 0",
        ),
        (48, {"clusters": 48}, "of 49 to 5,000 images together; got 48"),
    ],
)
def test_what_it_refuses(images, options, message):
    maps, target = torch.rand(images, 2, 2), torch.zeros(images, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        heatmap_clusters(maps, target, seed=0, **options)
