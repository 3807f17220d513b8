"""Correct-n-Contrast: its loss by definition, who is compared with whom, limits and gradients."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.strategies.erm import ERM
from debias.types import Batch, Outputs
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)


class Given(nn.Module):
    """Features that are given, and logits of zero."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = nn.Parameter(features)

    def forward(self, image: torch.Tensor) -> Outputs:
        return Outputs(torch.zeros(len(image), 2), self.features)


def contrast_by_definition(features, target, bias, temperature):
    features = F.normalize(features.double(), dim=1)
    losses = []
    for i in range(len(target)):
        positives = [
            j
            for j in range(len(target))
            if target[j] == target[i] and bias[j] != bias[i] and bias[j] >= 0
        ]
        negatives = [j for j in range(len(target)) if target[j] != target[i] and bias[j] == bias[i]]
        if not positives or bias[i] < 0:
            continue
        scores = {
            j: math.exp((features[i] @ features[j]).item() / temperature)
            for j in positives + negatives
        }
        losses.append(
            -sum(math.log(scores[j] / sum(scores.values())) for j in positives) / len(positives)
        )
    return sum(losses) / max(len(losses), 1)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_value_by_definition(weight):
    model = TinyClassifier()
    strategy = CorrectNContrast(GROUPS, temperature=0.5, contrast_weight=weight)
    outputs = model(BATCH.image)
    contrast = contrast_by_definition(
        outputs.features, BATCH.target.tolist(), BATCH.bias.tolist(), 0.5
    )
    task = F.cross_entropy(outputs.logits, BATCH.target).item()
    found = strategy.loss(model, BATCH)
    assert found.total.item() == pytest.approx(weight * contrast + (1 - weight) * task, rel=1e-5)
    assert found.terms["contrast"].item() == pytest.approx(contrast, rel=1e-5)


def test_by_hand():
    """Two samples of class 0 with biases 0 and 1, one of class 1 with bias 0; cosines 1 and 0.

    The first has a positive at 1 and a negative at 0: log(1 + e^-1). The second has the first at 1
    and no negative: 0. The third has no positive, and is no anchor.
    """
    model = Given(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
    batch = Batch(
        torch.zeros(3, 3, 2, 2), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.arange(3)
    )
    found = CorrectNContrast(GROUPS, temperature=1.0, contrast_weight=1.0).loss(model, batch).total
    assert found.item() == pytest.approx(math.log(1 + math.exp(-1)) / 2, rel=1e-5)


def gradient_of(target: list[int], bias: list[int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    model = Given(torch.randn(len(target), 4, generator=generator))
    count = len(target)
    batch = Batch(
        torch.zeros(count, 3, 2, 2), torch.tensor(target), torch.tensor(bias), torch.arange(count)
    )
    loss = CorrectNContrast(GROUPS, contrast_weight=1.0).loss(model, batch).total
    loss.backward()
    assert loss.isfinite()
    return model.features.grad


def test_samples_that_differ_in_both_are_not_compared():
    """With a positive pair of class 0 and a sample of neither the class nor the bias of its anchor.

    Sample 2 (class 1, bias 2) is compared with nobody; sample 3 (class 1, bias 0) is a negative of
    sample 0.
    """
    gradient = gradient_of([0, 0, 1, 1], [0, 1, -1, 0])
    assert gradient[2].eq(0).all()
    assert gradient[[0, 1, 3]].ne(0).any(dim=1).all()


def test_a_batch_without_positives_has_no_contrast():
    assert gradient_of([0, 0, 1, 1], [0, 0, 1, 1]).eq(0).all()
    assert gradient_of([0, 1, 0, 1], [-1, -1, -1, -1]).eq(0).all()


def test_positives_attract_and_negatives_repel():
    """Down the gradient the cosine of the positive pair grows, that of the negative falls."""
    model = Given(torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]))
    batch = Batch(
        torch.zeros(3, 3, 2, 2), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.arange(3)
    )
    before = F.normalize(model.features.detach(), dim=1)
    CorrectNContrast(GROUPS, contrast_weight=1.0).loss(model, batch).total.backward()
    after = F.normalize((model.features - 0.01 * model.features.grad).detach(), dim=1)
    assert after[0] @ after[1] > before[0] @ before[1]
    assert after[0] @ after[2] < before[0] @ before[2]


def test_weight_zero_is_erm():
    model = TinyClassifier()
    CorrectNContrast(GROUPS, contrast_weight=0.0).loss(model, BATCH).total.backward()
    expected = torch.autograd.grad(ERM().loss(model, BATCH).total, list(model.parameters()))
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_the_order_of_samples_does_not_matter():
    model, strategy = TinyClassifier(), CorrectNContrast(GROUPS)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    mixed = Batch(*(None if column is None else column[order] for column in BATCH))
    torch.testing.assert_close(strategy.loss(model, mixed).total, strategy.loss(model, BATCH).total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be positive for CorrectNContrast; got 0\.0"),
        ({"contrast_weight": 1.5}, r"contrast_weight must lie in \[0, 1\] .*; got 1\.5"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        CorrectNContrast(GROUPS, **options)
