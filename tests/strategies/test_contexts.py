"""Strategies against contextual bias: values by definition, what moves, and refusals."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.errors import InputError
from debias.losses.contexts import activation_maps
from debias.models.classifier import Classifier
from debias.strategies.attribute_decorrelation import AttributeDecorrelation
from debias.strategies.context_cam import ContextCAM
from debias.strategies.context_weighting import ContextWeighting
from debias.strategies.feature_split import FeatureSplit
from debias.types import Batch, ContextPair, Groups
from tests.fakes import GROUPS, BackboneNetwork
from tests.two_ranks import found_by_both

LABELS = Groups(
    ("no a", "a", "no b", "b", "no c", "c"),
    ("x", "y"),
    multi_label=True,
    contexts=(ContextPair(0, 1),),
)
#: With a and b, a alone (twice), b alone, neither.
TARGET = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]])
#: 8 training images with a and b, 2 with a alone, and 10 without a.
ROW = LABELS.row(torch.tensor([[1, 1, 0]] * 8 + [[1, 0, 0]] * 2 + [[0, 1, 1]] * 10))


class Average(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


class Mapped(BackboneNetwork):
    """Four maps, whose averages the head reads."""

    def __init__(self) -> None:
        backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), Average())
        super().__init__(backbone, nn.Linear(4, 3))


def batch_of(target: Tensor = TARGET) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(len(target), 3, 5, 5, generator=generator)
    return Batch(images, target, target[:, 1], torch.arange(len(target)))


@pytest.fixture
def model() -> Mapped:
    torch.manual_seed(0)
    return Mapped()


def entries(model: nn.Module, batch: Batch) -> Tensor:
    logits = model(batch.image).logits
    return F.binary_cross_entropy_with_logits(logits, batch.target.float(), reduction="none")


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("label", {(1, 0): 10.0, (2, 0): 10.0}),
        ("context", {(1, 1): 10.0, (2, 1): 10.0}),
        # beta 1/2: 8, 2 and 10 images have 128/255, 2/3 and 512/1023
        (
            "balanced",
            {
                **{(row, 0): (2 / 3) / (512 / 1023) for row in (1, 2)},
                (0, 0): (128 / 255) / (512 / 1023),
            },
        ),
    ],
)
def test_weights_by_hand(model, rule, changed):
    strategy, batch = ContextWeighting(LABELS, ROW, rule=rule, beta=0.5), batch_of()
    expected = torch.ones(5, 3)
    for place, weight in changed.items():
        expected[place] = weight
    torch.testing.assert_close(strategy.entry_weights(TARGET), expected)
    found = strategy.loss(model, batch).total
    torch.testing.assert_close(found, (expected * entries(model, batch)).mean())
    weighed = strategy.loss(model, batch._replace(weight=torch.tensor([2.0, 0, 1, 1, 1]))).total
    rows = (expected * entries(model, batch)).mean(dim=1)
    torch.testing.assert_close(weighed, (2 * rows[0] + rows[2:].sum()) / 5)


def test_overlap_of_the_maps_by_definition(model):
    """After the model moved: only the first image has both labels."""
    strategy = ContextCAM(LABELS, model, torch.zeros(1, 3, 5, 5), overlap_weight=2.0, keep_weight=3)
    assert strategy.layer == "1"
    batch, first = batch_of(), model.head.weight[None, :2].clone()
    before = activation_maps(model.backbone[:2](batch.image[:1]), first).detach()
    with torch.no_grad():
        model.head.weight.mul_(torch.tensor([1.0, 2.0, -1.0, 3.0]))
    now = activation_maps(model.backbone[:2](batch.image[:1]), model.head.weight[None, :2])
    overlap, distance = (now[0, 0] * now[0, 1]).mean(), (now - before).abs().mean()
    assert distance > 0.01
    found = strategy.loss(model, batch)
    expected = entries(model, batch).mean() + 2 * overlap + 3 * distance
    torch.testing.assert_close(found.total, expected)
    gradient = torch.autograd.grad(found.total, model.head.weight)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, model.head.weight)[0])
    assert strategy.players(model) == {"model": list(model.parameters())}
    strategy.begin(model, strategy)
    assert strategy.loss(model, batch).terms["distance"].item() < 1e-6


def test_no_pair_in_a_batch_is_the_task_alone(model):
    strategy, batch = ContextCAM(LABELS, model, torch.zeros(1, 3, 5, 5)), batch_of(TARGET[1:])
    torch.testing.assert_close(strategy.loss(model, batch).total, entries(model, batch).mean())


def test_no_pair_in_a_batch_of_a_network_that_takes_no_empty_batch():
    torch.manual_seed(0)
    network = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=3, img_size=64, window_size=2, embed_dim=12,
        depths=(1, 1), num_heads=(1, 2),
    )  # fmt: skip
    swin = Classifier(network, head="head.fc").eval()
    image = torch.randn(4, 3, 64, 64)
    strategy = ContextCAM(LABELS, swin, image[:1])
    found = strategy.loss(swin, batch_of(TARGET[1:])._replace(image=image))
    assert found.terms["overlap"] == found.terms["distance"] == 0


#: The pair is in the half of the first process alone.
HALVES = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])


def gradients(part: slice) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model, whole = Mapped(), batch_of(HALVES)
    strategy = ContextCAM(LABELS, model, torch.zeros(1, 3, 5, 5), overlap_weight=9.0, keep_weight=9)
    with torch.no_grad():
        model.head.weight.mul_(torch.tensor([1.0, 2.0, -1.0, 3.0]))
    batch = Batch(*(column[part] for column in whole[:4]))
    strategy.loss(model, batch).total.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def on_rank(rank: int) -> dict[str, Tensor]:
    return gradients(slice(0, 2) if rank == 0 else slice(2, 4))


@pytest.mark.slow
def test_pairs_count_equally_in_all_processes(tmp_path):
    """The mean of the gradients of two processes is the gradient of one."""
    first, second = found_by_both(on_rank, tmp_path)
    for name, expected in gradients(slice(0, 4)).items():
        torch.testing.assert_close((first[name] + second[name]) / 2, expected)


def test_the_hidden_half_by_definition(model):
    """The mean of the second half over images 0, 3 and 4 of both batches, without gradient.

    8 and 2 images: the weight is sqrt(4) = 2.
    """
    strategy = FeatureSplit(LABELS, ROW, model, torch.zeros(1, 3, 5, 5), least_weight=1.0)
    batch, usual = batch_of(), [0, 3, 4]
    other = batch._replace(image=batch.image.flip(0))
    strategy.loss(model, other)
    features = model.backbone(batch.image)
    seen = torch.cat([model.backbone(each.image)[usual, 2:] for each in (other, batch)])
    changed = torch.cat((features[:, :2], seen.mean(dim=0).detach().expand(5, -1)), dim=1)
    alone = torch.zeros(5, 3, dtype=torch.bool)
    alone[1:3, 0] = True
    logits = torch.where(alone, model.head(changed), model.head(features))
    losses = F.binary_cross_entropy_with_logits(logits, TARGET.float(), reduction="none")
    expected = (torch.where(alone, 2.0, 1.0) * losses).mean()
    found = strategy.loss(model, batch).total
    torch.testing.assert_close(found, expected)
    parameters = list(model.parameters())
    pairs = zip(*(torch.autograd.grad(each, parameters) for each in (found, expected)), strict=True)
    for own, theirs in pairs:
        torch.testing.assert_close(own, theirs)


def test_a_constant_half_hides_nothing(model):
    """The loss is then the weighted one; with two batches, older ones are forgotten."""
    with torch.no_grad():
        for parameter in (model.backbone[0].weight, model.backbone[0].bias):
            parameter[2:] = 0.0
        model.backbone[0].bias[2:] = 0.7
    image, batch = torch.zeros(1, 3, 5, 5), batch_of()
    strategy = FeatureSplit(LABELS, ROW, model, image, least_weight=10.0, batches=2)
    weighting = ContextWeighting(LABELS, ROW, strength=10.0)
    for _ in range(3):
        found = strategy.loss(model, batch).total
        torch.testing.assert_close(found, weighting.loss(model, batch).total)
    assert strategy.counts.tolist() == [3, 3]


def test_evaluation_leaves_the_mean_as_it_is(model):
    strategy = FeatureSplit(LABELS, ROW, model, torch.zeros(1, 3, 5, 5))
    batch = batch_of()
    strategy.loss(model, batch)
    before = {name: value.clone() for name, value in strategy.state_dict().items()}
    strategy.eval().loss(model, batch._replace(image=batch.image.flip(0)))
    torch.testing.assert_close(strategy.state_dict(), before, rtol=0, atol=0)
    assert int(strategy.seen) == 1


def test_without_images_for_the_mean_features_are_their_own(model):
    strategy = FeatureSplit(LABELS, ROW, model, torch.zeros(1, 3, 5, 5), least_weight=1.0)
    batch = batch_of(TARGET[1:3])
    expected = (torch.tensor([[2.0, 1, 1]]) * entries(model, batch)).mean()
    torch.testing.assert_close(strategy.loss(model, batch).total, expected)


def test_labels_compete_in_the_head_alone(model):
    strategy = AttributeDecorrelation(LABELS, label_groups=[["a", "c"], ["b"]], strength=0.5)
    batch = batch_of()
    norms = model.head.weight[[0, 2]].norm(dim=0).sum() + model.head.weight[1].abs().sum()
    expected = entries(model, batch).mean() + 0.5 * norms.square()
    torch.testing.assert_close(strategy.loss(model, batch).total, expected)
    assert strategy.players(model) == {"model": list(model.head.parameters())}
    assert AttributeDecorrelation(LABELS).label_groups == [[0], [1], [2]]


@pytest.mark.parametrize("kind", ["context_cam", "attribute_decorrelation"])
def test_what_is_fixed_keeps_its_statistics(kind, model):
    """The frozen copy, or the backbone, is in evaluation mode."""
    model.backbone.insert(1, nn.BatchNorm2d(4))
    cam = ContextCAM(LABELS, model, torch.zeros(1, 3, 5, 5))
    strategy, fixed = {
        "context_cam": (cam, cam.initial),
        "attribute_decorrelation": (AttributeDecorrelation(LABELS), model),
    }[kind]
    before = {name: value.clone() for name, value in fixed.state_dict().items()}
    strategy.train()
    strategy.loss(model, batch_of())
    torch.testing.assert_close(dict(fixed.state_dict()), before, rtol=0, atol=0)
    assert model.training


def test_refuses(model):
    unknown = Groups(LABELS.target_names, ("x", "y"), multi_label=True)
    image = torch.zeros(1, 3, 5, 5)
    with pytest.raises(InputError, match="needs several labels per image"):
        ContextWeighting(GROUPS, ROW)
    with pytest.raises(InputError, match=r"set strategy.pairs=\[\[label, context\]\]"):
        ContextWeighting(unknown, ROW)
    with pytest.raises(InputError, match=r"strategy\.pairs names 'd'"):
        ContextCAM(LABELS, model, image, pairs=[["a", "d"]])
    with pytest.raises(InputError, match=r"must hold pairs .*; got \['a', 'a'\]"):
        FeatureSplit(LABELS, ROW, model, image, pairs=[["a", "a"]])
    with pytest.raises(InputError, match=r"split=0\.9 leaves no feature in one part: .* has 4"):
        FeatureSplit(LABELS, ROW, model, image, split=0.9)
    with pytest.raises(InputError, match="label_groups names 'd'"):
        AttributeDecorrelation(LABELS, label_groups=[["d"]])
    model.backbone.insert(3, nn.Tanh())
    with pytest.raises(InputError, match="average of its last maps"):
        ContextCAM(LABELS, model, image)
