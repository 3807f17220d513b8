"""InputAdversary: its value, who receives which gradient, and that it hides what gives the bias away."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.models import Classifier
from debias.strategies.input_adversary import InputAdversary
from debias.types import Batch, Groups, Outputs
from tests.fakes import GROUPS, batch_of

SMALL = torch.zeros(1, 3, 16, 16)


class Means(nn.Module):
    """Logits and features from the mean colour of the left half and of the right half of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.Tanh()), nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.body(torch.cat([image[..., :8].mean(dim=(2, 3)), image[..., 8:].mean(dim=(2, 3))], dim=1))
        return Outputs(self.head(features), features)


def pictures(samples: int = 64, seed: int = 0) -> Batch:
    """The target is the sign of the left half's red, the bias that of the right half's green; both are independent."""
    batch = batch_of(samples)
    image = torch.randn(samples, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 0.3
    image[:, 0, :, :8] += (2 * batch.target - 1).view(-1, 1, 1)
    image[:, 1, :, 8:] += (2 * batch.bias - 1).view(-1, 1, 1)
    return batch._replace(image=image)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    model = Means()
    return model, InputAdversary(GROUPS, model, SMALL, strength=2.0, closeness=0.5, width=4), pictures()


def test_value(parts):
    model, strategy, batch = parts
    loss = strategy.loss(model, batch)
    masked = strategy.mask(batch.image) * batch.image
    task = F.cross_entropy(model(masked).logits, batch.target)
    adversary = F.cross_entropy(strategy.adversary(masked).logits, batch.bias)
    closeness = (masked - batch.image).abs().sum() / batch.image.numel()
    assert loss.total.item() == pytest.approx((task + adversary + 0.5 * closeness).item(), rel=1e-5)
    assert loss.terms["closeness"].item() == pytest.approx(closeness.item(), rel=1e-5)


def test_who_receives_which_gradient(parts):
    """Model: the task. Adversary: its cross-entropy. Mask: task - strength * adversary + closeness."""
    model, strategy, batch = parts
    strategy.loss(model, batch).total.backward()
    masked = strategy.masked(batch.image)
    task = F.cross_entropy(model(masked).logits, batch.target)
    adversary = F.cross_entropy(strategy.adversary(masked).logits, batch.bias)
    mask_aim = task - 2.0 * adversary + 0.5 * (masked - batch.image).abs().mean()
    for module, aim in ((model, task), (strategy.adversary, adversary), (strategy.mask, mask_aim)):
        gradients = torch.autograd.grad(aim, list(module.parameters()), retain_graph=True)
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_adversary_is_a_copy_with_a_head_for_the_bias():
    torch.manual_seed(0)
    groups = Groups(("landbird", "waterbird"), ("land", "sea", "lake"))
    model = Classifier(timm.create_model("test_resnet", num_classes=2))
    strategy = InputAdversary(groups, model, torch.zeros(1, 3, 64, 64), width=4)
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(strategy.adversary.eval()(image).features, model.eval()(image).features)
    assert strategy.adversary(image).logits.shape == (2, 3)
    assert not {id(p) for p in strategy.adversary.parameters()} & {id(p) for p in model.parameters()}


def test_unknown_biases_are_ignored(parts):
    model, strategy, batch = parts
    nothing = strategy.loss(model, batch._replace(bias=torch.full_like(batch.bias, -1)))
    assert nothing.terms["adversary"].item() == 0.0


def test_state_survives(parts):
    model, strategy, batch = parts
    strategy.loss(model, batch)
    restored = InputAdversary(GROUPS, model, SMALL, strength=2.0, closeness=0.5, width=4)
    restored.load_state_dict(strategy.state_dict())
    assert restored.loss(model, batch).total.item() == strategy.loss(model, batch).total.item()


def test_it_hides_the_half_that_gives_the_bias_away(parts):
    """The mask lets 0.82 of the left half through and 0.0001 of the right, and the task is still learnt."""
    model, strategy, batch = parts
    strategy.closeness = 0.1
    optimizer = torch.optim.Adam([*model.parameters(), *strategy.parameters()], lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        strategy.loss(model, batch).total.backward()
        optimizer.step()
    strategy.eval()
    fresh = pictures(seed=1)
    mask = strategy.mask(fresh.image)
    accuracy = (model(strategy.masked(fresh.image)).logits.argmax(dim=1) == fresh.target).float().mean()
    assert mask[..., :8].mean().item() > mask[..., 8:].mean().item() + 0.3
    assert accuracy.item() > 0.95


@pytest.mark.parametrize("options", [{"strength": -1.0}, {"closeness": -0.5}, {"width": 0}])
def test_refuses(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        InputAdversary(GROUPS, Means(), SMALL, **options)


def test_refuses_pictures_that_are_too_small():
    with pytest.raises(ValueError, match="sides of 16 pixels"):
        InputAdversary(GROUPS, Means(), torch.zeros(1, 3, 12, 12))
