"""The losses of prototypes against values by hand."""

import math

import pytest
import torch

from debias.losses.prototypes import isomax_losses, prototype_similarity


def test_the_loss_scales_the_logits() -> None:
    """At distances 0 and sqrt(2) with E = 10: log(1 + exp(-10 sqrt(2))) = 7.2e-7."""
    logits = torch.tensor([[[0.0, -math.sqrt(2)]], [[-math.sqrt(2), 0.0]]], dtype=torch.float64)
    found = isomax_losses(logits, torch.tensor([0]), entropic_scale=10.0)
    least = math.log1p(math.exp(-10 * math.sqrt(2)))
    assert found[:, 0].tolist() == pytest.approx([least, least + 10 * math.sqrt(2)], rel=1e-9)
    assert least == pytest.approx(7.2e-7, rel=2e-3)


def test_each_head_has_its_own_scale() -> None:
    logits = torch.tensor([[[0.0, -1.0]]], dtype=torch.float64).expand(2, 1, 2)
    found = isomax_losses(logits, torch.tensor([0]), entropic_scale=torch.tensor([1.0, 3.0]))
    assert found[:, 0].tolist() == pytest.approx([math.log1p(math.exp(-scale)) for scale in (1, 3)])


def test_an_equal_earlier_prototype_costs_an_eighth() -> None:
    """Unit norm, two members, five features: 1 / 2 / (5 - 1). Classes of opposite sign cancel."""
    prototypes = torch.eye(5)[None, :2]
    assert prototype_similarity(prototypes, prototypes, members=2).tolist() == [0.125]
    opposite = prototypes * torch.tensor([1.0, -1.0])[:, None]
    assert prototype_similarity(prototypes, opposite, members=2).tolist() == [0.0]
    assert prototype_similarity(prototypes, -2 * prototypes, members=3).tolist() == pytest.approx(
        [1 / 6]
    )
