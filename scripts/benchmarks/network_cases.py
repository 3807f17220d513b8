"""Strategies with second networks, second images or second norms, and their bare passes.

A turn computes its own forward passes in the bare passes too, because each turn has its own
parameters. Used by ``scripts/bench strategies``.
"""

from typing import Any

import torch
from bare_passes import GROUPS, Case, Move, plain
from torch import Tensor
from torch.nn import functional as F

from debias.augment.random_convolution import RandomConvolution, random_filters
from debias.models.classifier import Classifier
from debias.strategies.denetdm import DeNetDM
from debias.strategies.echoes import Echoes
from debias.strategies.lens import Lens
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment
from debias.strategies.ood_training import OODTraining
from debias.strategies.selecmix import SelecMix, SelecMixLfF
from debias.strategies.shape_texture import ShapeTexture
from debias.strategies.strategy import Strategy
from debias.types import Batch

HALF = (0.5, 0.5, 0.5)


def lens(strategy: Lens, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    with torch.no_grad():
        changed = strategy.lens(batch.image)
    both = (model(image).logits for image in (changed, batch.image))
    move("model", sum_of_losses(both, batch))
    model.requires_grad_(False)
    changed = strategy.lens(batch.image)
    change = F.mse_loss(changed, batch.image)
    move("lens", F.cross_entropy(model(changed).logits, batch.target) + change)
    model.requires_grad_(True)


def outside(strategy: OODTraining, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    drawn = strategy.pictures[torch.randint(len(strategy.pictures), (len(batch.image),))]
    both = torch.cat([batch.image, (drawn.float() / 255 - 0.5) / 0.5])
    own, other = model(both).logits.chunk(2)
    undecided = torch.full_like(other, 1 / other.shape[1])
    move("model", F.cross_entropy(own, batch.target) + F.cross_entropy(other, undecided))


def styled(strategy: ShapeTexture, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    changed = F.conv2d(batch.image, random_filters(3, batch.image), padding=1)
    both = (model(image).logits for image in (batch.image, changed))
    move("model", sum_of_losses(both, batch))


def branches(strategy: DeNetDM, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    added = strategy.deep(batch.image).features + strategy.shallow(batch.image)
    head: Any = strategy.deep.get_submodule("head")
    move("branches", F.cross_entropy(head(added), batch.target))


def deep_model(strategy: DeNetDM, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    strategy.eval()
    with torch.no_grad():
        deep = strategy.deep(batch.image).features
        taught = strategy.deep.get_submodule("head")(strategy.shallow(batch.image)).softmax(dim=1)
    logits, features = model(batch.image)
    product = F.cross_entropy(model.head(features + deep), batch.target)
    move("model", product + F.cross_entropy(logits, taught))


def contrast(strategy: SelecMix, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    embeddings = F.normalize(strategy.mixer.network(batch.image).logits)
    move("contrast", F.cross_entropy(embeddings @ embeddings.T, batch.target))


def mixed(batch: Batch) -> Tensor:
    own = torch.rand(len(batch.image), 1, 1, 1) / 2
    return torch.lerp(batch.image.flip(0), batch.image, own)


def selecmix(strategy: SelecMix, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    contrast(strategy, model, batch, move, step)
    move("model", F.cross_entropy(model(mixed(batch)).logits, batch.target))


def selecmix_lff(
    strategy: SelecMixLfF, model: Classifier, batch: Batch, move: Move, step: int
) -> None:
    contrast(strategy, model, batch, move, step)  # type: ignore[arg-type]
    images = (batch.image, mixed(batch))
    logits = (strategy.network(batch.image).logits, *(model(image).logits for image in images))
    move("model", sum_of_losses(logits, batch))


def twins(strategy: Echoes, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    both = (network(batch.image).logits for network in (model, strategy.network))
    move("model", sum_of_losses(both, batch))


def sum_of_losses(logits: Any, batch: Batch) -> Tensor:
    return torch.stack([F.cross_entropy(each, batch.target) for each in logits]).sum()


def network_cases(model: Classifier, batch: Batch) -> dict[str, Case]:
    """Every strategy at its defaults, except for the width of the lens and the warm-up."""
    image, counts = torch.zeros_like(batch.image[:1]), torch.tensor([4, 1, 1, 4])
    samples = len(batch.index)

    def pictures(folder: str) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        shape = (100, *batch.image.shape[1:])
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)

    filtered = RandomConvolution(sizes=(3,), identity=0.0)
    made: dict[str, tuple[Strategy, Any]] = {
        "selecmix": (SelecMix(GROUPS, model), selecmix),
        "selecmix_lff": (SelecMixLfF(GROUPS, samples, model), selecmix_lff),
        "echoes": (Echoes(GROUPS, samples, model), twins),
        "conditional_logit_adjustment (ula)": (ConditionalLogitAdjustment(GROUPS, counts), plain),
        "ood_training": (OODTraining(GROUPS, HALF, HALF, pictures, folder="made"), outside),
    }
    return {name: Case(*each) for name, each in made.items()} | {
        "lens": Case(Lens(GROUPS, image, width=16), lens, "time"),
        "shape_texture": Case(ShapeTexture(model), styled, "time", augment=filtered),
        "denetdm, branches": Case(DeNetDM(GROUPS, model, image), branches, "time"),
        "denetdm, model": Case(DeNetDM(GROUPS, model, image, warmup=1), deep_model, "time"),
    }
