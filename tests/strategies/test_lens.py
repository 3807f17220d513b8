"""Lens: its losses by definition, who moves, and that it removes what the model reads."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.strategies.erm import ERM
from debias.strategies.lens import Lens
from debias.types import Batch, Outputs
from tests.fakes import GROUPS, TinyClassifier, batch_of

IMAGE = torch.zeros(1, 3, 8, 8)


def lens(*, moved: bool = False, **options) -> Lens:
    torch.manual_seed(0)
    strategy = Lens(GROUPS, IMAGE, width=2, depth=2, **options)
    if moved:
        nn.init.normal_(strategy.lens.last[1].weight, std=0.3)
    return strategy


@pytest.fixture
def case() -> tuple[nn.Module, Batch]:
    torch.manual_seed(1)
    return TinyClassifier(192), batch_of(8, side=8)


def test_the_first_turn_is_erm_twice(case):
    model, batch = case
    weights = list(model.parameters())
    found = torch.autograd.grad(lens().model_loss(model, batch).total, weights)
    expected = torch.autograd.grad(ERM().loss(model, batch).total, weights)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, 2 * two)


@pytest.mark.parametrize("adversary", ["least_likely", "full"])
def test_losses_by_their_definitions(case, adversary):
    model, batch = case
    strategy = lens(moved=True, adversary=adversary, closeness=4.0)
    changed = strategy.lens(batch.image)
    logits = model(changed).logits
    task = F.cross_entropy(logits, batch.target)
    least = F.cross_entropy(logits, logits.argmin(dim=1))
    square = (changed - batch.image).square().sum() / batch.image.numel()
    found = strategy.lens_loss(model, batch)
    expected = {"least_likely": least, "full": -task}[adversary] + 2 * square
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert found.terms["lens_change"].item() == pytest.approx(square.item(), rel=1e-5)
    weighted = strategy.lens_loss(model, batch._replace(weight=torch.full((8,), 3.0)))
    assert (weighted.total - 2 * square).item() == pytest.approx(
        3 * (expected - 2 * square).item(), rel=1e-4
    )
    both = strategy.model_loss(model, batch)
    plain = F.cross_entropy(model(batch.image).logits, batch.target)
    assert both.total.item() == pytest.approx((task + plain).item(), rel=1e-5)


def test_the_turn_of_the_model_has_no_gradient_of_the_lens(case):
    model, batch = case
    strategy = lens(moved=True)
    assert [turn.player for turn in strategy.turns(0)] == ["model", "lens"]
    strategy.model_loss(model, batch).total.backward()
    assert all(parameter.grad is None for parameter in strategy.players(model)["lens"])
    owned = {id(p) for each in strategy.players(model).values() for p in each}
    assert owned == {id(p) for module in (model, strategy) for p in module.parameters()}


class Corner(nn.Module):
    """Two logits from the mean of the first four by four pixels."""

    def forward(self, image: Tensor) -> Outputs:
        mean = image[:, :, :4, :4].mean(dim=(1, 2, 3))
        features = torch.stack([-4 * mean, 4 * mean], dim=1)
        return Outputs(features, features)


def test_the_lens_removes_what_the_model_reads():
    """The corner shows the class. Then the model errs, and other places change little."""
    target = torch.arange(16) % 2
    image = 0.1 * torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    image[:, :, :4, :4] += (2 * target - 1).view(-1, 1, 1, 1)
    batch, model, strategy = Batch(image, target, target, target), Corner(), lens(closeness=5.0)
    optimizer = torch.optim.Adam(strategy.players(model)["lens"], lr=0.02)
    before = F.cross_entropy(model(image).logits, target)
    for _ in range(60):
        optimizer.zero_grad()
        strategy.lens_loss(model, batch).total.backward()
        optimizer.step()
    changed = strategy.lens(image).detach()
    change = (changed - image).abs().mean(dim=(0, 1))
    assert change[:3, :3].mean() > 3 * change[5:, 5:].mean()
    assert F.cross_entropy(model(changed).logits, target) > 5 * before


def test_impossible_options_are_refused():
    for options in ({"closeness": -1.0}, {"adversary": "none"}, {"depth": 1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Lens(GROUPS, IMAGE, **options)
    with pytest.raises(ValueError, match="a lens needs images with sides of at least 16 pixels"):
        Lens(GROUPS, IMAGE)
