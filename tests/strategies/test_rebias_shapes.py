"""What ReBias is for: bars on coloured grounds are told by shape, though colour is easier."""

from collections.abc import Callable

import pytest
import torch

from debias.models.classifier import Classifier
from debias.models.small_receptive import simple_conv_net
from debias.strategies.erm import ERM
from debias.strategies.rebias import ReBias
from debias.strategies.strategy import Strategy
from debias.types import Batch
from tests.fakes import GROUPS, take_turns, worst_group

pytestmark = pytest.mark.slow


def bars(samples: int, aligned: float, generator: torch.Generator) -> Batch:
    """8 x 8 pictures of a white bar of 5 pixels, lying (0) or standing (1), on blue or red."""
    target = torch.randint(2, (samples,), generator=generator)
    bias = torch.where(torch.rand(samples, generator=generator) < aligned, target, 1 - target)
    image = torch.zeros(samples, 3, 8, 8)
    image[:, 0], image[:, 2] = bias[:, None, None].float(), 1 - bias[:, None, None].float()
    across = torch.randint(7, (samples,), generator=generator)
    along = torch.randint(4, (samples,), generator=generator)
    for picture, standing, line, start in zip(
        image, target.tolist(), across.tolist(), along.tolist(), strict=True
    ):
        (picture.mT if standing else picture)[:, line, start : start + 5] = 1.0
    image = 2 * image - 1 + 0.3 * torch.randn(image.shape, generator=generator)
    return Batch(image, target, bias, torch.arange(samples))


def worst_group_of(make: Callable[[], Strategy], seed: int) -> float:
    """Worst group, on unbiased bars, of a net of kernel 3 after 12 epochs on 98 % aligned ones."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    train, test = bars(512, 0.98, generator), bars(600, 0.5, generator)
    model = Classifier(simple_conv_net(2, kernel=3))
    strategy = make()
    players = strategy.players(model)
    optimizers = {
        player: torch.optim.Adam(owned, lr=2e-3, weight_decay=1e-4)
        for player, owned in players.items()
    }
    for step in range(48):
        if step % 4 == 0:
            shuffled = torch.randperm(512, generator=generator).split(128)
        batch = Batch(*(column[shuffled[step % 4]] for column in train[:4]))
        take_turns(strategy, model, batch, step, optimizers)
    with torch.no_grad():
        return worst_group(model.eval()(test.image).logits, test)


def test_rebias_learns_the_shape():
    """Worst group of seeds 0, 1, 2: ERM 0.89, 0.33, 0.95; ReBias by medians 1.00, 0.96, 1.00.

    Seed 1 is tested, on which ERM takes the colour. With batches of 64, and half the images or two
    thirds of the steps, ReBias was at 0.50 to 0.56 on one seed of three.

    A setting in which it helps, not a benchmark: seven others of size, noise and share were tried.
    Where the noise hides the shape (0.8 instead of 0.3), and in the one tried with bandwidths fixed
    at 1, it was no better than ERM.
    """
    erm = worst_group_of(ERM, seed=1)
    rebias = worst_group_of(lambda: ReBias(GROUPS, bandwidth="median", median_every=10), seed=1)
    assert rebias > 0.85
    assert rebias > erm + 0.1
