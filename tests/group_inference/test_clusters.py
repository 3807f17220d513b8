"""Clusters within classes: how many, which, in which order, and the silhouette's power."""

import numpy as np
import pytest
import torch

from debias.group_inference import clusters
from debias.group_inference.clusters import class_clusters

#: Centre, sample count and class of each blob.
BLOBS = ((0.0, 4, 0), (10.0, 7, 0), (0.0, 3, 1), (20.0, 9, 1), (40.0, 5, 1))


def blobs(spread: float = 0.1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points, classes, and the blob of each."""
    generator = torch.Generator().manual_seed(0)
    points = [
        centre + spread * torch.randn(count, 2, generator=generator) for centre, count, _ in BLOBS
    ]
    blob = torch.repeat_interleave(
        torch.arange(len(BLOBS)), torch.tensor([count for _, count, _ in BLOBS])
    )
    return torch.cat(points), torch.tensor([target for *_, target in BLOBS])[blob], blob


def silhouette(points: torch.Tensor, label: torch.Tensor) -> float:
    """Mean of (b - a) / max(a, b): mean distance to the own cluster's others, to the nearest."""
    values = []
    for i in range(len(points)):
        distance = (points - points[i]).double().norm(dim=1)
        own = label == label[i]
        a = distance[own].sum() / (own.sum() - 1)
        b = min(
            distance[label == other].mean()
            for other in label.unique().tolist()
            if other != label[i]
        )
        values.append(((b - a) / max(a, b)).item())
    return sum(values) / len(values)


def test_every_class_has_its_own_number_of_clusters_the_largest_first():
    points, target, blob = blobs()
    found = class_clusters(points, target, seed=0)
    assert found.inferred.tolist() == torch.tensor([1, 0, 2, 0, 1])[blob].tolist()
    for one in (0, 1):
        assert found.silhouette[one].item() == pytest.approx(
            silhouette(points[target == one], blob[target == one]), rel=1e-5
        )
    assert found.powers() == [1, 1]
    assert found.powers(threshold=1.0) == [2, 2]


def test_clusters_that_lie_close_get_the_greater_power():
    points, target, _ = blobs(spread=2.0)
    found = class_clusters(points, target, seed=0)
    assert (found.silhouette < 0.9).all()
    assert found.powers() == [2, 2]


def test_the_order_of_samples_does_not_matter():
    points, target, _ = blobs()
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(1))
    expected = class_clusters(points, target, seed=0).inferred[order]
    assert torch.equal(class_clusters(points[order], target[order], seed=0).inferred, expected)


def test_a_cluster_that_the_silhouette_s_sample_misses_is_none(monkeypatch):
    """One sample far off is the second cluster of two; five of thirty do not show it, so that class
    is not parted.
    """
    monkeypatch.setattr(clusters, "SILHOUETTE_SAMPLES", 5)
    points = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)) / 100
    seen = np.random.RandomState(0).permutation(30)[:5]
    far = next(row for row in range(30) if row not in seen)
    points[far] = 100.0
    found = class_clusters(points, torch.zeros(30, dtype=torch.long), seed=0, largest=2)
    assert found.inferred.tolist() == [0] * 30
    assert found.silhouette.isnan().all()
    assert found.powers() == [1]


def test_no_more_clusters_than_asked_for():
    points, target, _ = blobs()
    assert class_clusters(points, target, seed=0, largest=2).inferred.unique().tolist() == [0, 1]


def test_too_few_samples_or_equal_ones_are_one_cluster():
    """Class 0 has two samples, class 1 five equal ones, class 2 none."""
    target = torch.tensor([0, 0, 1, 1, 1, 1, 1, 3, 3, 3])
    points = torch.tensor([0.0, 9, 1, 1, 1, 1, 1, 0, 0, 9])[:, None]
    found = class_clusters(points, target, seed=0)
    assert found.inferred.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found.silhouette.isnan().tolist() == [True, True, True, False]
    assert found.powers()[:3] == [1, 1, 1]


@pytest.mark.parametrize(("shape", "largest"), [((4, 2), 5), ((4,), 1)])
def test_refuses(shape, largest):
    with pytest.raises(ValueError, match="one class per sample and largest >= 2"):
        class_clusters(
            torch.zeros(4, 2), torch.zeros(shape, dtype=torch.long), seed=0, largest=largest
        )
