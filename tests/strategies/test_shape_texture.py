"""Shape-texture training: both losses by definition, the second norms, and what evaluation uses."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.strategies.shape_texture import ShapeTexture
from debias.types import Batch, Outputs
from tests.fakes import TinyClassifier, batch_of


class Normed(nn.Module):
    """A small network with two batch normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.norm, self.head = nn.BatchNorm1d(16), nn.Linear(16, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.norm(self.body(image))
        return Outputs(self.head(features), features)


def batch() -> Batch:
    """A batch, and copies in other colours with mixed targets."""
    given = batch_of(8, side=4)
    target = torch.full((8, 2), 0.2)
    target[torch.arange(8), given.target] = 0.8
    copied = given._replace(image=0.5 * given.image.flip(1) + 3, target=target)
    return given._replace(views=(copied,))


def test_by_definition_with_a_network_for_each_half():
    """A twin with the same weights and its own norms sees the copies."""
    model, given = Normed(), batch()
    strategy, twin = ShapeTexture(model), copy.deepcopy(model)
    loss = strategy.loss(model, given)
    (copied,) = given.views
    own = F.cross_entropy(model(given.image).logits, given.target)
    styled = F.cross_entropy(twin(copied.image).logits, copied.target)
    torch.testing.assert_close(loss.total, (own + styled) / 2)
    torch.testing.assert_close(loss.terms["copy_loss"], styled.detach())
    for layer, seen in zip(strategy.norms.layers, (twin.body[1], twin.norm), strict=True):
        assert torch.equal(layer.running_mean, seen.running_mean)


def test_the_statistics_of_copies_stay_in_the_second_norms():
    model, given = Normed(), batch()
    strategy, twin = ShapeTexture(model), copy.deepcopy(model)
    strategy.loss(model, given)
    twin(given.image)
    assert all(map(torch.equal, model.state_dict().values(), twin.state_dict().values()))


def test_everything_gets_gradient_and_the_copies_train_only_their_norms():
    model, given = Normed(), batch()
    strategy = ShapeTexture(model)
    strategy.loss(model, given).total.backward()
    trained = [*model.parameters(), *strategy.parameters()]
    assert all(parameter.grad is not None for parameter in trained)
    model.zero_grad()
    strategy.norms(model, given.image).logits.sum().backward()
    assert model.norm.weight.grad is None
    assert model.head.weight.grad is not None


def test_without_second_norms_it_is_one_network():
    model, given = Normed().eval(), batch()
    strategy = ShapeTexture(model, second_norms=False)
    assert not list(strategy.parameters())
    (copied,) = given.views
    expected = F.cross_entropy(model(given.image).logits, given.target)
    expected = expected + F.cross_entropy(model(copied.image).logits, copied.target)
    torch.testing.assert_close(strategy.loss(model, given).total, expected / 2)


def test_second_norms_begin_with_those_of_an_earlier_stage():
    """The optimiser already has the copies, so they keep their place and take the values."""
    model = Normed()
    strategy = ShapeTexture(model)
    owned, earlier = list(strategy.parameters()), Normed()
    earlier(batch().image), torch.nn.init.normal_(earlier.norm.weight)
    model.load_state_dict(earlier.state_dict())
    strategy.begin(model, strategy)
    assert all(one is other for one, other in zip(strategy.parameters(), owned, strict=True))
    for layer, given in zip(strategy.norms.layers, (earlier.body[1], earlier.norm), strict=True):
        assert all(map(torch.equal, layer.state_dict().values(), given.state_dict().values()))


def test_a_network_without_norms_is_not_replaced():
    assert ShapeTexture(Normed()).replaces == "the batch normalisations"
    strategy = ShapeTexture(TinyClassifier())
    assert (strategy.norms, strategy.replaces) == (None, "")


def test_evaluation_uses_the_first_norms():
    model, given = Normed(), batch()
    strategy = ShapeTexture(model)
    strategy.loss(model, given)
    model.eval()
    found = strategy.classify(model, given.image).logits
    assert torch.equal(found, model(given.image).logits)
    assert not torch.allclose(found, strategy.norms(model, given.image).logits)


def test_refuses_a_batch_without_a_view():
    model = Normed()
    with pytest.raises(ValueError, match="ShapeTexture needs one view of each batch"):
        ShapeTexture(model).loss(model, batch()._replace(views=None))
