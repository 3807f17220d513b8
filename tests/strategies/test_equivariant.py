"""CatHarm: the whole loss, several covariates, who learns, refusals."""

import pytest
import torch
from torch.nn import functional as F

from debias.errors import InputError
from debias.losses.equivariance import inverse_loss, morphism_loss
from debias.strategies.equivariant import Equivariant
from debias.types import Attribute, Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)._replace(weight=torch.tensor([0.5, 2.0]).repeat(4))
SEVERAL = Groups.product(
    ("landbird", "waterbird"), (Attribute("age", ("0", "1", "2")), Attribute("site", ("a", "b")))
)


def test_the_loss_is_that_of_the_task_and_both_terms() -> None:
    torch.manual_seed(0)
    model = TinyClassifier()
    strategy = Equivariant(GROUPS, model, morphism_weight=0.5, inverse_weight=3.0, deviation=0.4)
    outputs, loss = model(BATCH.image), strategy.loss(model, BATCH)
    morphism = morphism_loss(outputs.features, BATCH.bias[:, None], strategy.up, strategy.down)
    inverse = inverse_loss(strategy.up, strategy.down)
    losses = F.cross_entropy(outputs.logits, BATCH.target, reduction="none")
    expected = (losses * BATCH.weight).mean() + 0.5 * morphism + 3 * inverse
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.terms["morphism"].item() == pytest.approx(morphism.item())
    assert loss.terms["inverse"].item() == pytest.approx(inverse.item())
    assert loss.weights == {"morphism": 0.5, "inverse": 3.0}


def test_every_bias_attribute_is_a_covariate() -> None:
    torch.manual_seed(0)
    model, bias = TinyClassifier(), torch.tensor([0, 5, 1, 3, 2, 4, 0, 5])
    strategy = Equivariant(SEVERAL, model, deviation=0.4)
    assert strategy.up.shape == strategy.down.shape == (2, 5, 5)
    values = torch.stack([bias // 2, bias % 2], dim=1)
    expected = morphism_loss(model(BATCH.image).features, values, strategy.up, strategy.down)
    found = strategy.loss(model, BATCH._replace(bias=bias)).terms["morphism"]
    assert found.item() == pytest.approx(expected.item())


def test_one_player_trains_the_model_and_the_matrices() -> None:
    torch.manual_seed(0)
    model = TinyClassifier()
    strategy = Equivariant(GROUPS, model)
    owned = strategy.players(model)["model"]
    slopes = torch.autograd.grad(strategy.loss(model, BATCH).total, owned)
    assert len(owned) == 4 + 2
    assert all(slope.any() for slope in slopes)


def test_the_matrices_start_small_and_different() -> None:
    torch.manual_seed(0)
    strategy = Equivariant(GROUPS, TinyClassifier(features=64))
    assert strategy.up.std().item() == pytest.approx(0.01, rel=0.1)
    assert strategy.down.std().item() == pytest.approx(0.01, rel=0.1)
    assert not torch.equal(strategy.up, strategy.down)


def test_training_finds_the_matrices_of_a_rotation() -> None:
    """The matrices alone, on features that turn by 90 degrees per value: both terms fall to 0."""
    torch.manual_seed(0)
    groups = Groups(("no", "yes"), ("0", "1", "2", "3"))
    strategy = Equivariant(groups, TinyClassifier(features=2), deviation=0.5)
    values = torch.arange(4)
    angle = 0.3 + values * torch.pi / 2
    features = torch.stack([angle.cos(), angle.sin()], dim=1)
    optimizer = torch.optim.Adam(strategy.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = morphism_loss(features, values[:, None], strategy.up, strategy.down)
        (loss + inverse_loss(strategy.up, strategy.down)).backward()
        optimizer.step()
    assert loss.item() < 1e-3
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    torch.testing.assert_close(strategy.up[0].detach(), quarter, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"morphism_weight": -1}, "morphism_weight must be at least 0 for Equivariant"),
        ({"inverse_weight": -1}, "inverse_weight must be at least 0 for Equivariant"),
        ({"deviation": 0}, "deviation must be positive for Equivariant"),
    ],
)
def test_what_it_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Equivariant(GROUPS, TinyClassifier(), **options)
