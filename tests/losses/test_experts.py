"""Similarity of successive experts and the contrast of swapped features: values and gradients."""

import math

import pytest
import torch
from torch.nn import functional as F

from debias.losses.experts import successive_similarity, swap_contrast
from tests.properties import assert_differentiable, assert_read_in_float32


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_equal_experts_add_one_each() -> None:
    same = drawn(1, 5, 3).expand(4, 5, 3)
    assert successive_similarity(same).item() == pytest.approx(3)
    assert successive_similarity(same[:1]).item() == 0


def test_the_similarity_by_hand() -> None:
    """From (1/2, 1/2) to (3/4, 1/4) the entries are 1/2 log(2/3) and 1/2 log 2: their exponentials
    with a minus are sqrt(3/2) and sqrt(1/2), and the loss is their mean.
    """
    logits = torch.tensor([[[0.5, 0.5]], [[0.75, 0.25]]], dtype=torch.float64).log()
    expected = (math.sqrt(1.5) + math.sqrt(0.5)) / 2
    assert successive_similarity(logits).item() == pytest.approx(expected, rel=1e-12)


def test_the_similarity_by_definition() -> None:
    logits, expected = drawn(3, 4, 5), 0.0
    for before, after in ((0, 1), (1, 2)):
        divergence = F.kl_div(
            logits[after].log_softmax(1), logits[before].softmax(1), reduction="none"
        )
        expected += (-divergence).exp().mean().item()
    assert successive_similarity(logits).item() == pytest.approx(expected, rel=1e-12)


def test_an_expert_moves_away_from_the_one_before_it() -> None:
    """The first gets no gradient, and a step against its own raises the divergence."""
    logits = drawn(2, 6, 3).requires_grad_()
    (slope,) = torch.autograd.grad(successive_similarity(logits), logits)
    assert not slope[0].any()

    def divergence(second: torch.Tensor) -> float:
        return F.kl_div(second.log_softmax(1), logits[0].softmax(1), reduction="batchmean").item()

    assert divergence(logits[1] - 0.1 * slope[1]) > divergence(logits[1])


def test_the_contrast_by_hand() -> None:
    """Distances 1 of the positive, 0 and 4 of the negatives, with s = 1/2: probabilities in
    proportion to exp(-1/2), 1 and exp(-2).
    """
    anchors, positives = torch.zeros(1, 2), torch.ones(1, 2)
    negatives = torch.tensor([[[0.0, 0.0], [2.0, 2.0]]])
    found = swap_contrast(anchors, positives, negatives, sharpness=0.5).item()
    own = math.exp(-0.5)
    assert found == pytest.approx(-math.log(own / (own + 1 + math.exp(-2))), rel=1e-6)


def test_the_contrast_of_equal_outputs() -> None:
    one = torch.ones(3, 2)
    assert swap_contrast(one, one, one[:, None].expand(3, 8, 2)).item() == pytest.approx(
        math.log(9)
    )


def test_the_contrast_pulls_the_positive_and_pushes_negatives() -> None:
    anchors, positives, negatives = (
        value.requires_grad_() for value in (drawn(4, 3), drawn(4, 3) + 1, drawn(4, 2, 3) - 1)
    )
    slopes = torch.autograd.grad(
        swap_contrast(anchors, positives, negatives), (anchors, positives, negatives)
    )
    assert ((positives - anchors) * slopes[1]).sum(1).min() > 0
    assert ((negatives - anchors[:, None]) * slopes[2]).sum(2).max() < 0
    assert slopes[0].abs().min() > 0


def test_gradients_and_precision() -> None:
    fixed = drawn(1, 4, 3)
    assert_differentiable(
        lambda last: successive_similarity(torch.cat([fixed, last])), drawn(1, 4, 3)
    )
    others = drawn(4, 3) + 1, drawn(4, 2, 3) - 1
    assert_differentiable(swap_contrast, drawn(4, 3), *others)
    assert_read_in_float32(successive_similarity, drawn(3, 4, 5).float())


def test_the_sharpness_is_positive() -> None:
    with pytest.raises(ValueError, match="sharpness must be positive"):
        swap_contrast(drawn(1, 2), drawn(1, 2), drawn(1, 1, 2), sharpness=0)
