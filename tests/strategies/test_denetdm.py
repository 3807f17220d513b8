"""DeNetDM: both stages by definition, who is trained and what stays, and where the head starts."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.errors import InputError
from debias.strategies.denetdm import DeNetDM
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(8)
LAYERS = ("flatten", "linear 7", "batch_norm", "relu")


@pytest.fixture
def parts() -> tuple[TinyClassifier, DeNetDM]:
    torch.manual_seed(0)
    model = TinyClassifier()
    options = {"product_weight": 0.5, "distillation_weight": 2.0, "temperature": 3.0}
    return model, DeNetDM(GROUPS, model, BATCH.image[:1], shallow=LAYERS, warmup=3, **options)


def state_of(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def test_turns(parts) -> None:
    """The branches for three steps; the model's head is set in its first step alone."""
    _, strategy = parts
    turns = [turn for step in range(6) for turn in strategy.turns(step)]
    assert [turn.player for turn in turns] == ["branches"] * 3 + ["model"] * 3
    expected = [strategy.first_model_loss, strategy.model_loss, strategy.model_loss]
    assert [turn.objective for turn in turns[3:]] == expected


def test_the_deep_branch_starts_from_new_weights(parts) -> None:
    model, strategy = parts
    pairs = zip(model.parameters(), strategy.deep.parameters(), strict=True)
    assert not any(torch.equal(*pair) for pair in pairs)


def test_the_branches_are_a_product_of_experts(parts) -> None:
    """h(z_b + z_s) = h(z_b) + h(z_s) - bias, in float64."""
    model, strategy = parts
    strategy.double()
    image = BATCH.image.double()
    deep, shallow = strategy.deep(image), strategy.shallow(image)
    logits = deep.logits + strategy.deep.head(shallow) - strategy.deep.head.bias
    expected = F.cross_entropy(logits, BATCH.target).item()
    found = strategy.branches_loss(model, BATCH._replace(image=image))
    assert found.total.item() == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_the_model_by_definition(parts) -> None:
    """0.5 CE(h_f(z_f + z_b)) + 2 * 9 CE(h_f(z_f) / 3, softmax(h(z_s) / 3))."""
    model, strategy = parts
    outputs = model(BATCH.image)
    strategy.eval()
    deep = strategy.deep(BATCH.image).features
    taught = strategy.deep.head(strategy.shallow(BATCH.image)) / 3
    strategy.train()
    product = F.cross_entropy(model.head(outputs.features + deep), BATCH.target)
    distillation = -(taught.softmax(1) * (outputs.logits / 3).log_softmax(1)).sum(1).mean()
    found = strategy.model_loss(model, BATCH)
    expected = (0.5 * product + 18 * distillation).item()
    assert found.total.item() == pytest.approx(expected, rel=1e-5)
    assert found.terms["distillation"].item() == pytest.approx(9 * distillation.item(), rel=1e-5)


def test_the_gradient_of_distillation_by_the_logits(parts) -> None:
    """T (softmax(f / T) - softmax(t / T)) / N, where t are the logits of the shallow branch."""
    _, strategy = parts
    logits = torch.randn(8, 2).requires_grad_()
    (found,) = torch.autograd.grad(strategy._distillation(logits, BATCH.image), logits)
    taught = strategy.eval().deep.head(strategy.shallow(BATCH.image))
    expected = 3 * ((logits / 3).softmax(1) - (taught / 3).softmax(1)) / 8
    torch.testing.assert_close(found, expected)


def test_the_head_starts_as_that_of_the_branches_which_stay_as_they_are(parts) -> None:
    """Also their batch normalisation. The heads share no parameter."""
    model, strategy = parts
    before = state_of(strategy)
    strategy.first_model_loss(model, BATCH).total.backward()
    torch.testing.assert_close(model.head.weight, strategy.deep.head.weight, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in strategy.parameters())
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert not torch.equal(model.head.weight, strategy.deep.head.weight)
    assert all(torch.equal(*pair) for pair in zip(before, state_of(strategy), strict=True))


def test_the_branches_learn_and_the_model_does_not(parts) -> None:
    model, strategy = parts
    strategy.branches_loss(model, BATCH).total.backward()
    assert all(parameter.grad is not None for parameter in strategy.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert {name: len(owned) for name, owned in strategy.players(model).items()} == {
        "branches": 4 + 4 + 2, "model": 4,
    }  # fmt: skip


def test_without_distillation_it_is_a_product_with_a_frozen_network(parts) -> None:
    model, strategy = parts
    strategy.distillation_weight = 0.0
    loss = strategy.model_loss(model, BATCH)
    assert loss.total.item() == pytest.approx(0.5 * loss.terms["cross_entropy"].item())
    assert [*loss.terms] == ["cross_entropy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": 0}, "warmup must be at least 1 for DeNetDM"),
        ({"temperature": 0}, "temperature must be positive for DeNetDM"),
        ({"distillation_weight": -1}, "distillation_weight must be at least 0 for DeNetDM"),
        ({"shallow": ("conv 4 1",)}, "strategy.shallow end in maps of 4 x 2 x 2"),
        ({"shallow": ("convv 4 1",)}, r"strategy.shallow\[0\]='convv 4 1' is no layer; did"),
    ],
)
def test_what_it_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DeNetDM(GROUPS, TinyClassifier(), BATCH.image[:1], **{"shallow": LAYERS, **options})
