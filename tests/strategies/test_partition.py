"""PnD: the whole loss by definition, who learns from which term, swaps, gate, and evaluation."""

import math
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError
from debias.losses.classification import classification_losses
from debias.losses.experts import successive_similarity
from debias.models.classifier import Classifier
from debias.models.experts import Gate, StageExperts, stage_layers
from debias.strategies.objectives import step_key
from debias.strategies.partition import PartitionAndDebias, Swaps, draw_swaps
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import constant, sgd
from debias.types import Batch
from tests.fakes import GROUPS, BackboneNetwork, TinyData, batch_of
from tests.two_ranks import found_by_both

IMAGE = torch.zeros(1, 3, 4, 4)
LAYERS = ("first", "second")
BATCH = batch_of(6, side=4)


class Stages(nn.Module):
    """Two stages of maps, another layer, and the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU())
        self.last = nn.Conv2d(5, 6, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.second(self.first(image))).mean((2, 3))


class Network(BackboneNetwork):
    """The stages with a head."""

    def __init__(self) -> None:
        super().__init__(Stages(), nn.Linear(6, 2))
        self.feature_size = 6


def made(seed: int = 0, **options: object) -> tuple[Network, PartitionAndDebias]:
    torch.manual_seed(seed)
    model = Network()
    given = {"layers": LAYERS, "width": 8, "anchors": 3, **options}
    return model, PartitionAndDebias(GROUPS, 48, model, IMAGE, **given)  # type: ignore[arg-type]


def maps_of(network: nn.Module, image: Tensor) -> list[Tensor]:
    stages = network.backbone
    first = stages.first(image)
    return [first, stages.second(first)]


def reads(expert: nn.Module, class_maps: Tensor, bias_maps: Tensor) -> Tensor:
    """The expert on the concatenated maps, which are then averaged."""
    return expert(torch.cat([class_maps, bias_maps], dim=1).mean((2, 3)))


def definition(
    model: Network, strategy: PartitionAndDebias, key: int, q: float = 0.7, sharpness: float = 0.1
) -> Tensor:
    """The loss of a first step, from concatenated maps and sums in a loop over stages."""
    y, total, outputs, biased = BATCH.target, torch.zeros(()), [], []
    image = BATCH.image.double()
    trunks = zip(maps_of(model, image), maps_of(strategy.network, image), strict=True)
    for stage, (own, other) in enumerate(trunks):
        experts = strategy.experts[stage]
        c, b = experts.class_maps(own), experts.bias_maps(other)
        outputs.append(reads(experts.debiased_expert, c, b.detach()))
        biased.append(reads(experts.biased_expert, c.detach(), b))
        d_losses = F.cross_entropy(outputs[-1], y, reduction="none")
        b_losses = F.cross_entropy(biased[-1], y, reduction="none")
        d, h = relative(d_losses, y), relative(b_losses, y)
        probability = biased[-1].softmax(1)[range(6), y].detach()
        total = total + strategy.debiased_weight * (h / (h + d + 1e-8) * d_losses).mean()
        total = total + (q * probability**q * b_losses).mean()
        swaps = draw_swaps(6, strategy.anchors, key=2 * key + stage)
        contrast = contrast_of(experts, c, b, outputs[-1], swaps, sharpness)
        total = total + strategy.contrast_weight / 2 * contrast
    weights = F.linear(
        torch.cat(outputs, 1), strategy.gate.linear.weight, strategy.gate.linear.bias
    ).softmax(1)
    mixture = sum(weights[:, [e]] * outputs[e].detach() for e in range(2))
    divergence = F.kl_div(biased[1].log_softmax(1), biased[0].detach().softmax(1), reduction="none")
    return total + (-divergence).exp().mean() + F.cross_entropy(mixture, y)


def contrast_of(
    experts: nn.Module, c: Tensor, b: Tensor, outputs: Tensor, swaps: Swaps, sharpness: float
) -> Tensor:
    """From the maps of each pair: one pass of all positives, and one of all negatives."""
    anchors, partners, negatives = (rows.tolist() for rows in swaps)
    plus = reads(experts.debiased_expert, c[anchors], b[partners].detach())
    pairs = [(n, a) for a, rows in zip(anchors, negatives, strict=True) for n in rows]
    others, own = zip(*pairs, strict=True)
    minus = reads(experts.biased_expert, c[[*others]].detach(), b[[*own]])
    every = torch.cat([plus[:, None], minus.view(len(anchors), -1, 2)], dim=1)
    distances = (outputs[anchors][:, None] - every).square().mean(2)
    return -(-sharpness * distances).log_softmax(1)[:, 0].mean()


def relative(losses: Tensor, target: Tensor) -> Tensor:
    losses = losses.detach()
    return losses / torch.stack([losses[target == label].max() for label in target.tolist()])


@pytest.mark.parametrize("more", [{}, {"q": 0.5, "sharpness": 2.0}])
@pytest.mark.parametrize(("weights", "squash"), [((2.0, 4.0), True), ((0.2, 0.5), False)])
def test_the_loss_and_its_gradients_by_definition(
    weights: tuple[float, float], squash: bool, more: dict[str, float]
) -> None:
    alpha, beta = weights
    model, strategy = made(debiased_weight=alpha, contrast_weight=beta, squash=squash, **more)
    model.double(), strategy.double()
    loss = strategy.objective(model, BATCH._replace(image=BATCH.image.double()), key=7)
    expected = definition(model, strategy, 7, **more)
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-7)
    owned = strategy.players(model)["model"]
    found = torch.autograd.grad(loss.total, owned)
    for mine, theirs in zip(found, torch.autograd.grad(expected, owned), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)  # W is kept in float32


def test_the_terms_that_are_logged() -> None:
    model, strategy = made()
    loss = strategy.objective(model, BATCH, key=7)
    features = strategy._features(model, BATCH.image)
    debiased, biased = strategy._debiased(features), strategy._biased(features)
    y, mixture = BATCH.target, strategy.gate(debiased, debiased)
    of_class, of_bias = (
        [F.cross_entropy(each, y, reduction="none") for each in outputs]
        for outputs in (debiased, biased)
    )
    weights = [
        relative(b, y) / (relative(b, y) + relative(d, y))
        for d, b in zip(of_class, of_bias, strict=True)
    ]
    expected = {
        "debiased_cross_entropy": torch.stack(of_class).mean(),
        "biased_cross_entropy": torch.stack(of_bias).mean(),
        "sample_weight": torch.stack(weights).mean(),
        "cross_entropy": F.cross_entropy(mixture, y),
        "similarity": successive_similarity(biased),
    }
    rest = made(contrast_weight=0.0)[1].objective(model, BATCH, key=7).total
    expected["contrast"] = (loss.total - rest) / 4
    assert loss.weights == {"contrast": 4.0}
    assert {name: term.item() for name, term in loss.terms.items()} == pytest.approx(
        {name: term.item() for name, term in expected.items()}, rel=1e-5
    )
    assert not any(term.requires_grad for term in loss.terms.values())


def test_the_sizes_of_the_authors() -> None:
    """After a stage of 64 channels, with 10 classes."""
    experts = StageExperts(64, 10, width=512, squash=True)
    for maps in (experts.class_maps, experts.bias_maps):
        shapes = [tuple(maps[place].weight.shape) for place in (0, 3)]
        assert shapes == [(128, 64, 3, 3), (512, 128, 3, 3)]
        assert maps(torch.randn(2, 64, 4, 4)).min() == 0
    for expert in (experts.debiased_expert, experts.biased_expert):
        assert [tuple(expert[place].weight.shape) for place in (0, 3)] == [(16, 1024), (10, 16)]


def test_experts_and_gate_compute_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    experts, gate = StageExperts(2, 3, width=4, squash=False), Gate(2, 3)
    features, outputs = torch.randn(2, 5, 4), torch.randn(2, 5, 3)

    def found() -> list[Tensor]:
        return [experts.debiased(*features), experts.biased(*features), gate.weights(outputs)]

    expected = found()
    with torch.autocast("cpu", torch.bfloat16):
        low = found()
    assert all(map(torch.equal, low, expected))


def test_the_options_of_memories_and_experts() -> None:
    _, strategy = made(momentum=0.3, squash=False)
    assert {memory.biased.momentum for memory in strategy.difficulty} == {0.3}
    assert isinstance(strategy.experts[1].biased_expert[-1], nn.Identity)
    assert isinstance(made()[1].experts[1].biased_expert[-1], nn.Sigmoid)


def test_the_default_layers_are_the_last_four_stages() -> None:
    model = Classifier(timm.create_model("test_resnet", num_classes=2))
    found = stage_layers(model, None, torch.zeros(1, 3, 32, 32))
    assert found == {"layer1": 32, "layer2": 48, "layer3": 192, "layer4": 96}


def test_without_contrast_no_swap_is_seen() -> None:
    model, strategy = made(contrast_weight=0.0)
    first, second = (strategy.objective(model, BATCH, key=key) for key in (1, 2))
    assert "contrast" not in first.terms
    assert first.total.item() == pytest.approx(second.total.item(), rel=1e-6)
    assert strategy.experts[0].debiased_expert[1].num_batches_tracked == 2


def test_one_player_owns_what_the_loss_trains() -> None:
    """Not the head, nor the layer after the last stage. Both trunks start alike."""
    model, strategy = made()
    trunks = (each.backbone.state_dict().values() for each in (model, strategy.network))
    assert all(map(torch.equal, *trunks))
    assert strategy.layer == "second"  # what refuses compile=true reads it
    assert strategy.hard_targets
    ((name, owned),) = strategy.players(model).items()
    loss = strategy.turns(0)[0].objective(model, BATCH).total
    assert name == strategy.turns(0)[0].player == "model"
    assert all(slope.abs().sum() > 0 for slope in torch.autograd.grad(loss, owned))
    everything = {id(p) for module in (model, strategy) for p in module.parameters()}
    unused = [network.backbone.last for network in (model, strategy.network)]
    unused += [network.head for network in (model, strategy.network)]
    left = {id(p) for module in unused for p in module.parameters()}
    assert {id(p) for p in owned} == everything - left


def norm_of(value: Tensor, module: nn.Module) -> float:
    slopes = torch.autograd.grad(
        value,
        list(module.parameters()),
        retain_graph=True,
        materialize_grads=True,
        allow_unused=True,
    )
    return sum(slope.abs().sum().item() for slope in slopes)


def test_each_kind_of_expert_trains_its_own_trunk() -> None:
    model, strategy = made()
    features = strategy._features(model, BATCH.image)
    debiased, biased = strategy._debiased(features), strategy._biased(features)
    assert norm_of(debiased.square().sum(), model.backbone) > 0
    assert norm_of(debiased.square().sum(), strategy.network) == 0
    assert norm_of(biased.square().sum(), strategy.network) > 0
    assert norm_of(biased.square().sum(), model.backbone) == 0


def test_the_gate_mixes_and_trains_experts_only_through_its_input() -> None:
    """With weights of zero in the gate, no gradient of the mixture reaches an expert."""
    torch.manual_seed(0)
    gate, outputs = Gate(3, 2), torch.randn(3, 5, 2).requires_grad_()
    weights = gate.weights(outputs)
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    mixture = gate(outputs, outputs.detach())
    expected = torch.stack([(weights[i, :, None] * outputs[:, i]).sum(0) for i in range(5)])
    torch.testing.assert_close(mixture, expected)
    (through,) = torch.autograd.grad(mixture.square().sum(), outputs)
    assert through.any()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gate(outputs, outputs.detach()), mixture)
    nn.init.zeros_(gate.linear.weight)
    (none,) = torch.autograd.grad(gate(outputs, outputs.detach()).square().sum(), outputs)
    assert not none.any()


def test_the_mixture_trains_the_debiased_experts_through_the_gate() -> None:
    model, strategy = made(debiased_weight=0.0, contrast_weight=0.0)
    loss = strategy.objective(model, BATCH, key=0).total
    assert norm_of(loss, strategy.experts[0].debiased_expert) > 0
    nn.init.zeros_(strategy.gate.linear.weight)
    loss = strategy.objective(model, BATCH, key=0).total
    assert norm_of(loss, strategy.experts[0].debiased_expert) == 0
    assert norm_of(loss, strategy.gate) > 0


def test_squashed_outputs_bound_the_cross_entropy() -> None:
    """Ten outputs in (0, 1): at least log(1 + 9 / e) = 1.461."""
    for squash in (True, False):
        experts = StageExperts(2, 10, width=4, squash=squash)
        nn.init.zeros_(experts.debiased_expert[3].weight)
        with torch.no_grad():
            experts.debiased_expert[3].bias.copy_(torch.tensor([1e3] + [-1e3] * 9))
        outputs = experts.debiased(torch.randn(3, 4), torch.randn(3, 4))
        losses = classification_losses(outputs, torch.zeros(3, dtype=torch.int64))
        expected = math.log(1 + 9 / math.e) if squash else 0
        assert losses.tolist() == pytest.approx([expected] * 3)


@pytest.mark.parametrize(("count", "anchors", "each"), [(128, 16, 8), (7, 3, 2), (5, 16, 1)])
def test_the_rows_of_swaps(count: int, anchors: int, each: int) -> None:
    swaps = draw_swaps(count, anchors, key=3)
    chosen = swaps.anchors.tolist()
    assert len(set(chosen)) == len(chosen) == min(anchors, count)
    assert sorted(swaps.partners.tolist()) == sorted(chosen)
    assert swaps.partners.tolist() != chosen
    assert swaps.negatives.shape == (len(chosen), each)
    assert len(set(swaps.negatives.flatten().tolist())) == len(chosen) * each
    assert not torch.equal(swaps.anchors, draw_swaps(count, anchors, key=4).anchors)


def test_stages_and_steps_draw_their_own_swaps(monkeypatch) -> None:
    keys: list[int] = []

    def noted(count: int, anchors: int, *, key: int) -> object:
        keys.append(key)
        return draw_swaps(count, anchors, key=key)

    monkeypatch.setattr("debias.strategies.partition.draw_swaps", noted)
    model, strategy = made()
    for step in range(3):
        strategy.turns(step)[0].objective(model, BATCH)
    assert keys == [*range(6)]
    seeded = PartitionAndDebias(GROUPS, 48, model, IMAGE, 2, layers=LAYERS, width=8)
    seeded.turns(5)[0].objective(model, BATCH)
    assert keys[6:] == [2 * step_key(2, 5), 2 * step_key(2, 5) + 1]


def test_evaluation_uses_the_mixture_of_debiased_experts() -> None:
    model, strategy = made()
    model.eval(), strategy.eval()
    found = strategy.classify(model, BATCH.image[:1])
    features = strategy._features(model, BATCH.image[:1])
    outputs = strategy._debiased(features)
    weights = strategy.gate.weights(outputs)
    torch.testing.assert_close(
        found.logits, weights[:, 0] * outputs[0] + weights[:, 1:] * outputs[1]
    )
    assert found.features.shape == (1, 2 * 2 * 8)
    pooled = (
        strategy.experts[0].bias_maps(maps_of(strategy.network, BATCH.image[:1])[0]).mean((2, 3))
    )
    torch.testing.assert_close(found.features[:, 8:16], pooled)


def test_a_stage_continues_with_all_that_an_earlier_one_learnt() -> None:
    model, strategy = made(1)
    strategy.objective(model, BATCH, key=0)
    _, later = made(2)
    later.begin(model, nn.Linear(1, 1))
    assert later.difficulty[0].biased.values.sum() == 0
    later.begin(model, strategy)
    for name, value in strategy.state_dict().items():
        assert torch.equal(later.state_dict()[name], value), name
    assert later.difficulty[1].biased.values.sum() > 0


def module_of() -> DebiasModule:
    model, strategy = made(5)
    return DebiasModule(
        model,
        strategy,
        GROUPS,
        torch.tensor([30, 6, 2, 10]),
        optimizer=lambda player, parameters: sgd(parameters, lr=0.1),
        scheduler=partial(constant, epochs=2),
    )


def test_lightning_equals_the_plain_loop(tmp_path: Path) -> None:
    data = TinyData(side=4)
    model, strategy = made(5)
    optimizer = sgd(strategy.players(model)["model"], lr=0.1)
    for step, batch in enumerate([*data.batches(), *data.batches()]):
        (turn,) = strategy.turns(step)
        optimizer.zero_grad()
        turn.objective(model, batch).total.backward()
        optimizer.step()
    seed_all(0)
    module = module_of()
    fit(module, data, trainer(tmp_path, epochs=2, seed=0, accelerator="cpu", progress=False))
    for mine, plain in ((module.model, model), (module.strategy, strategy)):
        for name, value in plain.state_dict().items():
            assert torch.equal(mine.state_dict()[name], value), name


def first_step(part: slice) -> dict[str, Tensor]:
    """Gradients and memories, without contrast and with fixed batch normalisation: what remains
    of a batch does not depend on the process.
    """
    model, strategy = made(contrast_weight=0.0)
    for layer in (*model.modules(), *strategy.modules()):
        layer.train(not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d))
    batch = Batch(*(column[part] for column in BATCH[:4]))
    owned = strategy.players(model)["model"]
    slopes = torch.autograd.grad(strategy.objective(model, batch, key=0).total, owned)
    memories = {f"memory {name}": value for name, value in strategy.difficulty.state_dict().items()}
    return memories | {f"slope {number}": slope for number, slope in enumerate(slopes)}


def on_rank(rank: int) -> dict[str, Tensor]:
    return first_step(slice(0, 3) if rank == 0 else slice(3, 6))


@pytest.mark.slow
def test_two_ranks_learn_and_remember_what_one_process_does(tmp_path: Path) -> None:
    ranks = found_by_both(on_rank, tmp_path)
    for name, value in first_step(slice(0, 6)).items():
        found = [rank[name] for rank in ranks]
        if name.startswith("memory"):
            assert torch.equal(found[0], found[1])
        mean = found[0] if name.startswith("memory") else (found[0] + found[1]) / 2
        torch.testing.assert_close(mean, value, rtol=1e-4, atol=1e-6, msg=name)


def test_batches_of_two() -> None:
    """The smallest batch: two anchors with one negative each."""
    model, strategy = made(anchors=16)
    two = Batch(*(column[:2] for column in BATCH[:4]))
    assert strategy.smallest_batch == 2
    assert torch.isfinite(strategy.objective(model, two, key=0).total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"debiased_weight": -1}, "debiased_weight must be at least 0 for PartitionAndDebias"),
        ({"contrast_weight": -1}, "contrast_weight must be at least 0 for PartitionAndDebias"),
        ({"anchors": 1}, "anchors must be at least 2 for PartitionAndDebias"),
        ({"width": 3}, "width must be at least 4 for PartitionAndDebias"),
        ({"sharpness": 0}, "sharpness must be positive for PartitionAndDebias"),
        ({"q": 0}, r"q must lie in \(0, 1\]"),
        ({"layers": None}, r"name the layers that experts follow, as in strategy.layers=\["),
        ({"layers": ()}, "the number of strategy.layers must be at least 1"),
        ({"layers": ("first", "first")}, "strategy.layers names a layer twice: first, first"),
        ({"layers": ("third",)}, "Network has no layer 'third'"),
        ({"layers": ("backbone",)}, r"experts read maps; layer 'backbone' gives \(6,\)"),
    ],
)
def test_what_it_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(**options)
