"""Batches in parts: the gradients of whole batches, for every strategy, in less memory."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.errors import InputError
from debias.strategies.strategy import Strategy
from debias.training.accumulation import accumulate
from debias.training.fit import seed_all
from debias.types import Outputs
from tests.strategies.test_strategies import SIDES, STRATEGIES, classifier, plain_loop


def trained(name: str, *, parts: int) -> list[torch.Tensor]:
    """The parameters of model and strategy after one epoch, by a plain loop."""
    seed_all(1)
    strategy, side = STRATEGIES[name](), SIDES.get(name, 2)
    seed_all(0)
    model = classifier(strategy, side)
    accumulate(model, parts)
    plain_loop(strategy, model, side, range(6))
    return [*model.state_dict().values(), *strategy.state_dict().values()]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_learns_the_same_from_batches_in_parts(name):
    """Batches of eight in three parts, after six steps; or it is refused, by the layer it reads."""
    if STRATEGIES[name]().layer is not None:
        with pytest.raises(InputError, match="a layer inside the model is read"):
            trained(name, parts=3)
        return
    for whole, apart in zip(trained(name, parts=1), trained(name, parts=3), strict=True):
        torch.testing.assert_close(apart, whole, rtol=1e-4, atol=1e-5)


class Normalised(nn.Module):
    """A network with batch normalisation and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, 32), nn.BatchNorm1d(32), nn.Tanh())
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(32, 2)

    def forward(self, image: torch.Tensor) -> Outputs:
        features = self.dropout(self.body(image))
        return Outputs(self.head(features), features)


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def test_batch_normalisation_sees_each_part_once():
    """Five images are parts of three and two. Gradients and running statistics are those of two
    passes in order, and both passes of a part draw the same dropout.
    """
    torch.manual_seed(0)
    image, target = torch.randn(5, 3, 2, 2), torch.tensor([0, 1, 1, 0, 1])
    model = Normalised()
    apart = copy.deepcopy(model)
    accumulate(apart, 2)
    torch.manual_seed(1)
    outputs = apart(image)
    F.cross_entropy(outputs.logits, target).backward()
    torch.manual_seed(1)
    passes = [model(part) for part in (image[:3], image[3:])]
    logits = torch.cat([each.logits for each in passes])
    assert torch.equal(outputs.logits, logits)
    F.cross_entropy(logits, target).backward()
    torch.testing.assert_close(gradients(apart), gradients(model))
    torch.testing.assert_close(apart.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert int(apart.body[2].num_batches_tracked) == 2


def test_only_a_part_s_activations_are_kept():
    """Between the passes, the graph holds the outputs and none of the activations."""
    model, image = Normalised(), torch.randn(64, 3, 2, 2)
    kept: list[int] = []

    def count(tensor: torch.Tensor) -> torch.Tensor:
        is_activation = tensor.ndim == 2 and len(tensor) in (64, 16)
        kept.append(tensor.numel() if is_activation else 0)
        return tensor

    for parts, activations in ((1, True), (4, False)):
        kept.clear()
        accumulate(model, parts)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model(image)
        assert bool(sum(kept)) is activations


def test_evaluation_is_whole_and_a_copy_is_a_copy():
    """A hook counts the images of each pass; a copy has the hook, and weights of its own."""
    model, image = Normalised(), torch.randn(8, 3, 2, 2)
    accumulate(model, 4)
    calls: list[int] = []
    model.body.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.head.bias += 1
    torch.testing.assert_close(twin.eval()(image).logits, model.eval()(image).logits + 1)
    with torch.no_grad():
        model.train()(image)
    assert calls == [8, 8, 8]
    with pytest.raises(InputError, match="set accumulate=1"):
        twin.train()(image)


def test_a_strategy_names_the_layer_that_it_reads():
    assert Strategy.layer is None
    named = {name: STRATEGIES[name]().layer for name in STRATEGIES}
    assert {name for name, layer in named.items() if layer} == {
        "feature_adversary_layer",
        "feature_sieve",
        "feature_sieve_joint",
    }
