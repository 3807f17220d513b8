"""Recombination does its work: a model that trains on it stops reading the background."""

import pytest
import torch
from torch import Tensor, nn

from debias.augment.recombination import Recombination
from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.strategies.strategy import Strategy
from debias.types import Batch, Outputs
from tests.fakes import GROUPS, take_turns, worst_group


class MeanColour(nn.Module):
    """Logistic regression on the picture's mean colour: of the object, the ground, or both."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> Outputs:
        features = image.mean(dim=(2, 3))
        return Outputs(self.head(features), features)


def scenes(samples: int, aligned: float, generator: torch.Generator) -> Batch:
    """12 x 12 pictures: a 4 x 4 object, red or green by its target (noisy), on a ground, blue or
    not by its bias.
    """
    target = torch.arange(samples) % 2
    bias = torch.where(torch.rand(samples, generator=generator) < aligned, target, 1 - target)
    mask = torch.zeros(samples, 1, 12, 12)
    mask[:, :, 4:8, 4:8] = 1
    colour = nn.functional.one_hot(target, 3) + 0.4 * torch.randn(samples, 3, generator=generator)
    colour[:, 2] = 0
    ground = torch.zeros(samples, 3, 12, 12)
    ground[:, 2] = bias[:, None, None] + 0.1 * torch.randn(samples, 12, 12, generator=generator)
    image = torch.where(mask > 0, colour[:, :, None, None], ground)
    return Batch(image, target, bias, torch.arange(samples), mask, None, ground)


def trained(
    strategy: Strategy, augment: nn.Module | None, seed: int, *, batch_size: int = 64
) -> float:
    """Worst-group accuracy on balanced scenes, after 150 steps on scenes, 95 % of them aligned."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model, test = MeanColour(), scenes(2000, 0.5, generator)
    optimizers = {"model": torch.optim.SGD(model.parameters(), lr=2.0)}
    for step in range(150):
        batch = scenes(batch_size, 0.95, generator)
        batch = batch if augment is None else augment(batch, step / 150)
        take_turns(strategy, model, batch, step, optimizers)
    return worst_group(model(test.image).logits, test)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_worst_group_is_saved(seed):
    """The best that can be done is Phi(1 / (0.4 sqrt 2)) = 0.962, by red against green alone.

    Worst group, seeds 0, 1, 2: ERM 0.00 0.00 0.00; recombined 0.94 0.95 0.92; with Group DRO on top
    0.96 0.95 0.93. Backgrounds of the same class leave the shortcut where it was: 0.00 0.00 0.00.
    """
    assert trained(ERM(), None, seed) < 0.1
    assert trained(ERM(), Recombination(background="same"), seed) < 0.1
    assert trained(ERM(), Recombination(), seed) > 0.85
    assert trained(GroupDRO(GROUPS, torch.ones(4)), Recombination(), seed) > 0.85
