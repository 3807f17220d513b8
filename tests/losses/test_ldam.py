"""LDAM's margins and losses by hand and by definition."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from debias.losses.ldam import ldam_losses, ldam_margins
from tests.properties import (
    assert_differentiable,
    assert_finite_on_hard_logits,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
    assert_read_in_float32,
)

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 2, 1, 1, 0, 2])
MARGINS = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64)


def test_margins_by_hand():
    """Counts 81, 16, 1: n^-1/4 is 1/3, 1/2, 1, and the rarest gets 0.6."""
    assert ldam_margins(torch.tensor([81, 16, 1]), max_margin=0.6).tolist() == pytest.approx(
        [0.2, 0.3, 0.6]
    )


def test_margins_of_shares_are_those_of_counts():
    assert ldam_margins(torch.tensor([16 / 17, 1 / 17])).tolist() == pytest.approx([0.25, 0.5])


def test_the_largest_margin_is_the_rarest_classs_whatever_its_count():
    """Counts 81 and 16: 1/3 and 1/2, and 1/2 becomes 0.6."""
    assert ldam_margins(torch.tensor([81, 16]), max_margin=0.6).tolist() == pytest.approx(
        [0.4, 0.6]
    )


def test_an_absent_class_does_not_shrink_the_others_margins():
    assert ldam_margins(torch.tensor([16, 0, 1])).tolist() == pytest.approx([0.25, 0.0, 0.5])


def test_losses_by_hand():
    """Logits (1, 0), margin 1/4 of the true one, scale 4: log(1 + e^-(4 * 3/4)) = log(1 + e^-3)."""
    losses = ldam_losses(
        torch.tensor([[1.0, 0.0]]), torch.tensor([0]), margins=torch.tensor([0.25, 0.5]), scale=4.0
    )
    assert losses.tolist() == pytest.approx([math.log1p(math.exp(-3))])


def test_equals_the_definition():
    expected = []
    for logits, target in zip(LOGITS.tolist(), TARGET.tolist(), strict=True):
        z = [
            30 * (value - (MARGINS[target].item() if c == target else 0.0))
            for c, value in enumerate(logits)
        ]
        expected.append(max(z) + math.log(sum(math.exp(value - max(z)) for value in z)) - z[target])
    assert ldam_losses(LOGITS, TARGET, margins=MARGINS).tolist() == pytest.approx(expected)


def test_without_margins_it_is_cross_entropy_of_the_scaled_logits():
    expected = F.cross_entropy(2 * LOGITS, TARGET, reduction="none")
    torch.testing.assert_close(
        ldam_losses(LOGITS, TARGET, margins=torch.zeros(3), scale=2.0), expected
    )


def test_the_rarer_class_is_pushed_harder():
    """Equal logits: the true class's gradient is -s (1 - 1 / (1 + e^(s m))), growing with m."""
    logits = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    margins = torch.tensor([0.25, 0.5], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(
        ldam_losses(logits, torch.tensor([0, 1]), margins=margins, scale=2.0).sum(), logits
    )
    expected = [-2 * (1 - 1 / (1 + math.exp(0.5))), -2 * (1 - 1 / (1 + math.exp(1.0)))]
    assert gradient.diagonal().tolist() == pytest.approx(expected)


def test_properties():
    def mean(logits, target):
        return ldam_losses(logits, target, margins=MARGINS, scale=3.0).mean()

    assert_permutation_invariant(mean, LOGITS, TARGET)
    assert_pure(mean, LOGITS, TARGET)
    assert_differentiable(mean, LOGITS, TARGET)
    assert_one_graph(mean, LOGITS, TARGET)
    single = partial(ldam_losses, margins=MARGINS.float(), scale=3.0)
    assert_read_in_float32(single, LOGITS, TARGET)
    two = partial(ldam_losses, margins=torch.tensor([0.25, 0.5]), scale=3.0)
    assert_finite_on_hard_logits(two)


def test_computes_in_float32():
    """Logits 8 and 8 in bfloat16, margin 0.01: 8 - 0.01 would round to 8, the loss to log 2."""
    logits = torch.full((1, 2), 8.0, dtype=torch.bfloat16)
    losses = ldam_losses(logits, torch.tensor([0]), margins=torch.tensor([0.01, 0.01]))
    assert losses.dtype == torch.float32
    assert losses.item() == pytest.approx(math.log1p(math.exp(0.3)), rel=1e-4)


def test_refuses():
    with pytest.raises(ValueError, match=r"max_margin .* 0\.0"):
        ldam_margins(torch.tensor([1, 1]), max_margin=0.0)
    with pytest.raises(ValueError, match="no class has a training sample"):
        ldam_margins(torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"scale must be positive for LDAM; got 0\.0"):
        ldam_losses(torch.zeros(1, 2), torch.tensor([0]), margins=torch.ones(2), scale=0.0)
