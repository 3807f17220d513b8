"""The bare passes of every strategy: the smallest computation that its definition allows.

Used by ``scripts/bench strategies``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.augment.random_convolution import RandomConvolution
from debias.augment.recombination import Recombination
from debias.models.classifier import Classifier
from debias.strategies.adversarial_training import AdversarialTraining, FreeAdversarialTraining
from debias.strategies.consistency import Consistency
from debias.strategies.erm import ERM
from debias.strategies.feature_adversary import FeatureAdversary
from debias.strategies.feature_sieve import FeatureSieve
from debias.strategies.gradient_projection import GradientProjection
from debias.strategies.group_dro import GroupDRO
from debias.strategies.input_adversary import InputAdversary
from debias.strategies.learned_mixin import LearnedMixin
from debias.strategies.rebias import ReBias
from debias.strategies.reweighting import ClassReweighting, GroupReweighting
from debias.strategies.rubi import RUBi
from debias.strategies.sagnet import SagNet
from debias.strategies.strategy import Strategy
from debias.strategies.uniform_confusion import UniformConfusion
from debias.types import Batch, Groups

LAYER = "layer2"
GROUPS = Groups(("landbird", "waterbird"), ("land", "water"))

#: Updates one player of a strategy by a loss, or by the gradients that its parameters have.
Move = Callable[[str, Tensor | None], None]


class Case(NamedTuple):
    """A strategy, its bare passes, the ratio that is its bar, and the steps of its cycle.

    Training passes use ``changed``, a copy of the model with its parameters, if there is one. Both
    sides use ``batch`` instead of the common batch, if there is one.
    """

    strategy: Strategy
    passes: Callable[[Any, Classifier, Batch, Move, int], None]
    bar: str = "flops"
    cycle: int = 1
    augment: Augmentation | None = None
    changed: Classifier | None = None
    batch: Batch | None = None


def plain(strategy: Strategy, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    move("model", F.cross_entropy(model(batch.image).logits, batch.target))


def three(strategy: Strategy, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    first, *others = (model(batch.image).logits for _ in range(3))
    move("model", F.cross_entropy(first, batch.target) + sum(other.mean() for other in others))


def halves(model: Classifier) -> tuple[nn.Sequential, nn.Sequential]:
    """The two parts of a ResNet: up to ``LAYER``, and from there to its features."""
    names, children = zip(*model.backbone.named_children(), strict=True)
    cut = names.index(LAYER) + 1
    return nn.Sequential(*children[:cut]), nn.Sequential(*children[cut:])


def both(
    features: Tensor, seen: Tensor, adversary: nn.Module, model: Classifier, batch: Batch
) -> Tensor:
    task = F.cross_entropy(model.head(features), batch.target)
    return task + F.cross_entropy(adversary(seen.flatten(1)), batch.bias)


def pooled_adversary(
    strategy: FeatureAdversary, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    features = model.backbone(batch.image)
    move("model", both(features, features, strategy.adversary.head, model, batch))


def flattened_adversary(
    strategy: FeatureAdversary, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    lower, upper = halves(model)
    activation = lower(batch.image)
    move("model", both(upper(activation), activation, strategy.adversary.head, model, batch))


def input_adversary(
    strategy: InputAdversary, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    masked = strategy.mask(batch.image) * batch.image
    adversary = F.cross_entropy(strategy.adversary(masked).logits, batch.bias)
    move("model", F.cross_entropy(model(masked).logits, batch.target) + adversary)


def confusion(
    strategy: UniformConfusion, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    if step % 3 == 0:
        strategy.adversary.requires_grad_(False)
        pooled_adversary(strategy, model, batch, move, step)  # type: ignore[arg-type]
        strategy.adversary.requires_grad_(True)
    else:
        with torch.no_grad():
            features = model.backbone(batch.image)
        move("adversary", F.cross_entropy(strategy.adversary.head(features), batch.bias))


def projection(
    strategy: GradientProjection, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    logits = model(batch.image).logits
    own, others = list(model.parameters()), list(strategy.adversary.parameters())
    task = F.cross_entropy(logits, batch.target)
    adversary = F.cross_entropy(strategy.adversary(logits), batch.bias)
    helping = torch.autograd.grad(task, own, retain_graph=True)
    opposing = torch.autograd.grad(adversary, [*own, *others])
    for parameter, toward, against in zip(own, helping, opposing, strict=False):
        size = torch.dot(against.flatten(), against.flatten()).clamp(min=1e-10)
        parameter.grad = torch.addcmul(
            toward, torch.dot(toward.flatten(), against.flatten()) / size + 1, against
        )
    for parameter, against in zip(others, opposing[len(own) :], strict=True):
        parameter.grad = against
    move("model", None)


def sieve(strategy: FeatureSieve, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    lower, _ = halves(model)
    with torch.no_grad():
        activation = lower(batch.image)
    move("auxiliary", F.cross_entropy(strategy.auxiliary(activation), batch.target))
    if step % 5 == 0:
        strategy.auxiliary.requires_grad_(False)
        move("early", F.cross_entropy(strategy.auxiliary(lower(batch.image)), batch.target))
        strategy.auxiliary.requires_grad_(True)
    plain(strategy, model, batch, move, step)


def joint_sieve(
    strategy: FeatureSieve, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    lower, upper = halves(model)
    activation = lower(batch.image)
    loss = F.cross_entropy(model.head(upper(activation)), batch.target)
    loss = loss + F.cross_entropy(strategy.auxiliary(activation.detach()), batch.target)
    strategy.auxiliary.requires_grad_(False)
    if step % 5 == 0:
        loss = loss + F.cross_entropy(strategy.auxiliary(activation), batch.target)
    strategy.auxiliary.requires_grad_(True)
    move("model", loss)


def sagnet(strategy: SagNet, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    lower, _ = halves(model)
    with torch.no_grad():
        activation = lower(batch.image)
    move("style", F.cross_entropy(strategy.network(activation), batch.target))
    own = strategy.players(model)
    for owned, trains in ((own["model"], False), (own["style"], False), (own["early"], True)):
        for parameter in owned:
            parameter.requires_grad_(trains)
    move("early", F.cross_entropy(strategy.network(lower(batch.image)), batch.target))
    for parameter in (*own["model"], *own["style"]):
        parameter.requires_grad_(True)
    plain(strategy, model, batch, move, step)


def rebias(strategy: ReBias, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    (network,) = strategy.networks
    with torch.no_grad():
        model(batch.image)
    move("biased", F.cross_entropy(network(batch.image).logits, batch.target))
    with torch.no_grad():
        network(batch.image)
    plain(strategy, model, batch, move, step)


def rubi(strategy: RUBi, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    move("biased", F.cross_entropy(strategy.network(batch.image).logits, batch.target))
    with torch.no_grad():
        features = strategy.network(batch.image).features
    mask = strategy.head(features)
    masked = F.cross_entropy(model(batch.image).logits * mask.sigmoid(), batch.target)
    move("model", masked + F.cross_entropy(mask, batch.target))


def mixin(strategy: LearnedMixin, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    strategy.network.eval()
    with torch.no_grad():
        biased = strategy.network(batch.image).logits
    logits, features = model(batch.image)
    move("model", F.cross_entropy(logits + strategy.trust(features) * biased, batch.target))


def attacked(
    strategy: AdversarialTraining, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    image = batch.image.clone().requires_grad_()
    # the counter of FLOPs hooks the inputs of modules, which may be no leaf of autograd.grad
    loss = F.cross_entropy(model(image.clone()).logits, batch.target)
    (gradient,) = torch.autograd.grad(loss, image)
    move("model", F.cross_entropy(model(batch.image + gradient.sign()).logits, batch.target))


def replayed(
    strategy: FreeAdversarialTraining, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    for _ in range(strategy.replays):
        image = batch.image.clone().requires_grad_()
        move("model", F.cross_entropy(model(image).logits, batch.target))


def cases(model: Classifier, batch: Batch) -> dict[str, Case]:
    """Every strategy at its defaults, except for the layer and the width of the mask network."""
    counts, image = torch.tensor([4, 1, 1, 4]), torch.zeros_like(batch.image[:1])
    flattened = FeatureAdversary(GROUPS, model, image, layer=LAYER, feed="flattened")
    half = (0.5, 0.5, 0.5)
    joint = FeatureSieve(GROUPS, model, image, layer=LAYER, joint=True)
    return {
        "group_dro": Case(GroupDRO(GROUPS, counts), plain),
        "class_reweighting": Case(ClassReweighting(GROUPS, counts), plain),
        "group_reweighting": Case(GroupReweighting(GROUPS, counts), plain),
        "feature_adversary, pooled": Case(FeatureAdversary(GROUPS, model, image), pooled_adversary),
        f"feature_adversary, {LAYER} flattened": Case(flattened, flattened_adversary),
        "input_adversary": Case(
            InputAdversary(GROUPS, model, image, width=16), input_adversary, "time"
        ),
        "adversarial_training": Case(AdversarialTraining(half, half), attacked),
        "free_adversarial_training": Case(
            FreeAdversarialTraining(half, half, image, 64, replays=2), replayed
        ),
        "uniform_confusion": Case(UniformConfusion(GROUPS, model, image), confusion, cycle=3),
        "gradient_projection": Case(GradientProjection(GROUPS), projection, "time"),
        "feature_sieve": Case(FeatureSieve(GROUPS, model, image, layer=LAYER), sieve, cycle=5),
        "feature_sieve, joint": Case(joint, joint_sieve, cycle=5),
        "sagnet": Case(SagNet(GROUPS, model, image, layer=LAYER), sagnet),
        "rebias": Case(ReBias(GROUPS), rebias, "time"),
        "rubi": Case(RUBi(GROUPS), rubi, "time"),
        "learned_mixin": Case(LearnedMixin(GROUPS, model, warmup=1), mixin, "time"),
        "recombination": Case(ERM(), plain, augment=Recombination()),
        "consistency": Case(Consistency(GROUPS), three, augment=RandomConvolution(identity=0.0)),
    }
