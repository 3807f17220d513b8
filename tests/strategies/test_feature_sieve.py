"""FeatureSieve: the three clocks, who moves, what forgetting does, and the summed loss."""

import math

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.confusion import confusion_losses
from debias.models.classifier import Classifier
from debias.models.layers import read_layer, read_until
from debias.strategies.feature_sieve import FeatureSieve
from debias.types import Batch, Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.strategies.leakage import IMAGE

PICTURE = torch.zeros(1, 3, 64, 64)
EARLY = ("backbone.conv1", "backbone.bn1", "backbone.layer1.", "backbone.layer2.")


def resnet() -> Classifier:
    torch.manual_seed(0)
    return Classifier(timm.create_model("test_resnet", num_classes=2))


def pictures(samples: int = 8) -> Batch:
    image = torch.randn(samples, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return batch_of(samples)._replace(image=image)


def sieve(model: Classifier, **options: object) -> FeatureSieve:
    torch.manual_seed(0)
    return FeatureSieve(GROUPS, model, PICTURE, layer="layer2", width=8, **options)


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module: torch.nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {
        name for name, value in module.state_dict().items() if not torch.equal(value, before[name])
    }


def take(strategy, model, batch, player, objective, *, lr=0.05) -> None:
    owned = strategy.players(model)[player]
    gradients = torch.autograd.grad(objective(model, batch).total, owned)
    with torch.no_grad():
        for parameter, gradient in zip(owned, gradients, strict=True):
            parameter -= lr * gradient


def entropy(logits: Tensor) -> float:
    log_probabilities = torch.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1).mean().item()


@pytest.fixture
def parts():
    model = resnet()
    return model, sieve(model), pictures()


def test_the_clocks():
    """Forgetting is due at step 0 and every fifth step after."""
    strategy = sieve(resnet())
    every = ["auxiliary", "model"]
    expected = [
        ["auxiliary", "early", "model"] if step in (0, 5, 10) else every for step in range(11)
    ]
    assert [[turn.player for turn in strategy.turns(step)] for step in range(11)] == expected
    assert [len(sieve(resnet(), forget_every=1).turns(step)) for step in range(3)] == [3, 3, 3]


def test_players(parts):
    """The early part is that of the model up to layer2, which the model's player owns as well."""
    model, strategy, _ = parts
    players = strategy.players(model)
    early = [parameter for name, parameter in model.named_parameters() if name.startswith(EARLY)]
    assert [id(p) for p in players["early"]] == [id(p) for p in early]
    assert [id(p) for p in players["model"]] == [id(p) for p in model.parameters()]
    assert [id(p) for p in players["auxiliary"]] == [id(p) for p in strategy.auxiliary.parameters()]
    assert strategy.requires == ()


def test_values(parts):
    model, strategy, batch = parts
    model.eval(), strategy.eval()
    outputs, activation = read_layer(model, "layer2", batch.image)
    logits = strategy.auxiliary(activation)
    uniform = -torch.log_softmax(logits, dim=1).sum(dim=1).mean() / 2
    values = [
        objective(model, batch).total.item() for objective in (strategy.identify, strategy.forget)
    ]
    assert values == pytest.approx(
        [F.cross_entropy(logits, batch.target).item(), uniform.item()], rel=1e-5
    )
    main = F.cross_entropy(outputs.logits, batch.target).item()
    assert strategy.train_model(model, batch).total.item() == pytest.approx(main, rel=1e-5)


def test_identifying_moves_the_auxiliary_head_alone(parts):
    model, strategy, batch = parts
    strategy.identify(model, batch).total.backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in strategy.auxiliary.parameters())


def test_a_forget_step(parts):
    """Auxiliary weights stay, its statistics move; the early layers move; what is above does not,
    not even buffers.
    """
    model, strategy, batch = parts
    before, auxiliary = state(model), state(strategy.auxiliary)
    take(strategy, model, batch, "early", strategy.forget)
    buffers = {name for name, _ in strategy.auxiliary.named_buffers()}
    assert moved(strategy.auxiliary, auxiliary) == buffers
    assert len(buffers) == 3 * 4  # mean, variance and count, of four batch normalisations
    changed = moved(model, before)
    assert all(name.startswith(EARLY) for name in changed)
    assert {
        "backbone.conv1.0.weight",
        "backbone.layer1.0.bn2.weight",
        "backbone.layer2.0.bn2.bias",
    } <= changed


def test_forgetting_raises_the_entropy_of_the_auxiliary_head(parts):
    """A head that has begun to learn the batch knows less after each forget step of 0.01."""
    model, strategy, batch = parts
    learner = torch.optim.Adam(strategy.auxiliary.parameters(), lr=1e-2)
    for _ in range(15):
        learner.zero_grad()
        strategy.identify(model, batch).total.backward()
        learner.step()
    entropies = [entropy(strategy.auxiliary(read_until(model, "layer2", batch.image)))]
    for _ in range(5):
        take(strategy, model, batch, "early", strategy.forget, lr=0.01)
        entropies.append(entropy(strategy.auxiliary(read_until(model, "layer2", batch.image))))
    assert entropies[0] < 0.5
    assert entropies == sorted(set(entropies))
    assert entropies[-1] > entropies[0] + 0.01


def test_the_main_turn_moves_all_of_the_model(parts):
    model, strategy, batch = parts
    strategy.train_model(model, batch).total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in strategy.parameters())


def test_a_later_turn_sees_what_an_earlier_one_changed(parts):
    model, strategy, batch = parts
    model.eval(), strategy.eval()
    _, (_, forget), _ = strategy.turns(0)
    still = strategy.forget(model, batch).total.item()
    take(strategy, model, batch, "auxiliary", strategy.identify)
    assert forget(model, batch).total.item() != still


@pytest.mark.parametrize("forgets", [True, False])
def test_the_summed_loss_gives_each_its_own_gradient(forgets):
    """2 main + 3 auxiliary + 5 forget: A gets 3 dCE, the early layers 2 dCE + 5 dU, the layers
    above 2 dCE.
    """
    model, batch = resnet().eval(), pictures()
    strategy = sieve(
        model, joint=True, main_weight=2.0, auxiliary_weight=3.0, forget_weight=5.0
    ).eval()
    (turn,) = strategy.turns(0 if forgets else 1)
    assert list(strategy.players(model)) == [turn.player] == ["model"]
    loss = turn.objective(model, batch)
    loss.total.backward()
    outputs, activation = read_layer(model, "layer2", batch.image)
    logits = strategy.auxiliary(activation.detach())
    main = F.cross_entropy(outputs.logits, batch.target)
    auxiliary = F.cross_entropy(logits, batch.target)
    forget = confusion_losses(strategy.auxiliary(activation)).mean()
    total = 2 * main + 3 * auxiliary + (5 * forget if forgets else 0)
    assert loss.total.item() == pytest.approx(total.item(), rel=1e-5)
    assert set(loss.terms) == {"main", "auxiliary"} | ({"forget"} if forgets else set())
    own = list(strategy.auxiliary.parameters())
    for parameter, gradient in zip(own, torch.autograd.grad(3 * auxiliary, own), strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    named = dict(model.named_parameters())
    aims = 2 * main + (5 * forget if forgets else 0)
    for (name, parameter), gradient in zip(
        named.items(), torch.autograd.grad(aims, list(named.values())), strict=True
    ):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5, msg=name)


def test_summed_statistics_of_the_auxiliary_head_move():
    model = resnet()
    strategy = sieve(model, joint=True)
    before = state(strategy.auxiliary)
    strategy.turns(0)[0].objective(model, pictures())
    assert moved(strategy.auxiliary, before) == {
        name for name, _ in strategy.auxiliary.named_buffers()
    }


def test_weights_scale_the_turns(parts):
    model, strategy, batch = parts
    model.eval(), strategy.eval()
    objectives = (strategy.identify, strategy.forget, strategy.train_model)
    plain = [objective(model, batch).total.item() for objective in objectives]
    strategy.auxiliary_weight, strategy.forget_weight, strategy.main_weight = 2.0, 3.0, 4.0
    scaled = [objective(model, batch).total.item() for objective in objectives]
    assert scaled == pytest.approx([2 * plain[0], 3 * plain[1], 4 * plain[2]])


def buffers(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.named_buffers()}


@pytest.mark.parametrize("joint", [False, True])
def test_frozen_statistics(joint):
    """No statistic of the model moves: outputs are of evaluation mode; the auxiliary's move."""
    model, batch = resnet(), pictures()
    strategy = sieve(model, joint=joint, frozen_statistics=True)
    before, auxiliary = buffers(model), buffers(strategy.auxiliary)
    losses = [turn.objective(model, batch) for turn in strategy.turns(0)]
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert all(
        not torch.equal(value, auxiliary[name])
        for name, value in strategy.auxiliary.named_buffers()
    )
    assert all(module.training for module in model.modules())
    main = F.cross_entropy(model.eval()(batch.image).logits, batch.target).item()
    assert losses[-1].terms["main"].item() == pytest.approx(main, rel=1e-5)


def test_frozen_statistics_leave_the_weights_of_batch_normalisation_to_train():
    """The gradient of the main turn is that of evaluation mode, without batch statistics."""
    model, batch = resnet(), pictures()
    sieve(model, frozen_statistics=True).train_model(model, batch).total.backward()
    loss = F.cross_entropy(model.eval()(batch.image).logits, batch.target)
    named = dict(model.named_parameters())
    for (name, p), wanted in zip(
        named.items(), torch.autograd.grad(loss, list(named.values())), strict=True
    ):
        torch.testing.assert_close(p.grad, wanted, rtol=1e-4, atol=1e-6, msg=name)
    assert model.backbone.bn1.weight.grad.abs().max() > 0


def test_tokens_of_a_vit():
    torch.manual_seed(0)
    model = Classifier(timm.create_model("test_vit", num_classes=2, img_size=64))
    strategy = FeatureSieve(GROUPS, model, PICTURE, layer="blocks.1", width=8)
    assert {"backbone.pos_embed", "backbone.cls_token", "backbone.patch_embed.proj.weight"} <= set(
        strategy.early
    )
    assert not any(
        name.startswith(("backbone.blocks.2", "backbone.norm", "head")) for name in strategy.early
    )
    before, batch = state(model), pictures()
    take(strategy, model, batch, "early", strategy.forget)
    assert moved(model, before) <= set(strategy.early)
    assert "backbone.pos_embed" in moved(model, before)


def test_several_labels_are_forgotten_label_by_label():
    """An auxiliary head of zeros has a loss of log 2 a label, in both turns."""
    labels = Groups(
        ("no", "yes", "no hat", "hat", "no tie", "tie"), ("land", "water"), multi_label=True
    )
    model = TinyClassifier(outputs=3)
    strategy = FeatureSieve(labels, model, IMAGE, layer="body", width=8)
    torch.nn.init.zeros_(strategy.auxiliary.head.weight)
    torch.nn.init.zeros_(strategy.auxiliary.head.bias)
    batch = batch_of(4)._replace(target=torch.tensor([[0, 1, 1]] * 4))
    assert strategy.identify(model, batch).total.item() == pytest.approx(math.log(2))
    assert strategy.forget(model, batch).total.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forget_every": 0}, "forget_every must be at least 1 for FeatureSieve; got 0"),
        ({"main_weight": 0.0}, r"main_weight must be positive for FeatureSieve; got 0\.0"),
        ({"auxiliary_weight": 0.0}, r"auxiliary_weight must be positive .*; got 0\.0"),
        ({"forget_weight": -1.0}, r"forget_weight must be at least 0 .*; got -1\.0"),
        ({"layer": "layer9"}, "'layer9'; did you mean 'layer4'"),
        ({"depth": 0}, "depth must be at least 1 for an auxiliary head; got 0"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureSieve(GROUPS, resnet(), PICTURE, **options)
