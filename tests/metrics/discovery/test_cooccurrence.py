"""Associations of concepts: against scipy, with unknown labels, and with each other."""

import pytest
import torch
from scipy.stats import contingency

from debias.metrics.discovery.cooccurrence import associations, strongest


def test_against_scipy():
    """Three values of the attribute; unknown labels of either kind are left out."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 2, (200, 4), generator=generator)
    other = (labels[:, 0].clamp(min=0) + torch.randint(-1, 3, (200,), generator=generator)) % 3
    other[::7] = -1
    for concept, found in enumerate(associations(labels, other).tolist()):
        known = (labels[:, concept] >= 0) & (other >= 0)
        table = torch.zeros(2, 3, dtype=torch.int64)
        table.index_put_((labels[known, concept], other[known]), torch.tensor(1), accumulate=True)
        assert found == pytest.approx(contingency.association(table.numpy()), rel=1e-10)


def test_a_concept_or_an_attribute_of_one_value_has_none():
    labels = torch.tensor([[1, 0], [1, 1], [-1, 1]])
    assert associations(labels, torch.tensor([0, 1, 1])).isnan().tolist() == [True, False]
    assert associations(labels, torch.full((3,), -1)).isnan().all()


def test_the_nearest_concept_is_another_one():
    """The third is the reverse of the first. The last is constant, and has no nearest one."""
    first, second = torch.arange(8) % 2, (torch.arange(8) < 3).long()
    labels = torch.stack([first, second, 1 - first, torch.ones_like(first)], dim=1)
    found, position = strongest(labels)
    assert position.tolist() == [2, 0, 0, -1]
    assert found[:3].tolist() == pytest.approx([1.0, (1 / 15) ** 0.5, 1.0])
    assert found[3].isnan()
