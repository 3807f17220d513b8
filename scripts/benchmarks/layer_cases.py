"""Changes inside the model, whose bare passes are those of the unchanged model.

Those of InfoDrop also compare the patches and draw the positions, as its definition says. Used by
``scripts/bench strategies``.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from bare_passes import Case, Move, plain
from torch import Tensor, nn
from torch.nn import functional as F

from debias.augment.augmentation import Augmentation
from debias.augment.feature_styles import EFDMix, MixStyle, PermutedAdaIN
from debias.augment.info_drop import InfoDrop
from debias.models.classifier import Classifier
from debias.models.first_layer import TrActConvolution
from debias.strategies.erm import ERM
from debias.types import Batch


def layer_cases(model: Classifier, batch: Batch) -> dict[str, Case]:
    """Changes inside the model, at their defaults. Those of styles: the mean of eight draws."""
    image, found = torch.zeros_like(batch.image[:1]), {}
    makes: dict[str, Callable[[Classifier], Augmentation]] = {
        "mixstyle": lambda changed: MixStyle(changed, image),
        "efdmix": lambda changed: EFDMix(changed, image),
        "padain": lambda changed: PermutedAdaIN(changed, image),
    }
    for name, make in makes.items():
        changed = sharing(model)
        found[name] = Case(ERM(), plain, cycle=8, augment=make(changed), changed=changed)
    changed = sharing(model)
    drop = InfoDrop(changed, image)
    found["info_drop"] = Case(ERM(), dropping, "time", augment=drop, changed=changed)
    changed = sharing(model)
    changed.backbone.conv1 = TrActConvolution(changed.backbone.conv1)  # type: ignore[arg-type]
    return found | {"tract": Case(ERM(), plain, changed=changed)}


def dropping(strategy: ERM, model: Classifier, batch: Batch, move: Move, step: int) -> None:
    """InfoDrop at its defaults: a distance for each offset, and draws for each channel."""
    with torch.no_grad():
        distance = torch.stack([_distance(batch.image) for _ in range(9)])
        repeated = torch.exp(-distance / (2 * distance.mean())).mean(dim=0)
        least = (-F.max_pool2d(-repeated, 3, 2, 1)).flatten(1)
        powers = (least / least.amax(dim=1, keepdim=True)) ** (1 / 0.03)
        chances = (powers / powers.sum(dim=1, keepdim=True)).repeat_interleave(64, dim=0)
        draws = torch.multinomial(chances, int(1.5 * chances.shape[1]), replacement=True)
        kept = torch.ones_like(chances).scatter_(1, draws, 0.0)

    def drop(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output * kept.view_as(output)

    hook = model.backbone.get_submodule("maxpool").register_forward_hook(drop)
    move("model", F.cross_entropy(model(batch.image).logits, batch.target))
    hook.remove()


def _distance(image: Tensor) -> Tensor:
    """Squared distances of the stem's patches, 7 x 7 at a stride of 2, to a random neighbour."""
    offset = torch.randint(-3, 4, (2,)).tolist()
    squares = (image - image.roll(offset, dims=(2, 3))).square().sum(dim=1, keepdim=True)
    return F.conv2d(squares, torch.ones(1, 1, 7, 7), stride=2, padding=3)


def sharing(model: Classifier) -> Classifier:
    """A copy of the model with the same parameters."""
    return copy.deepcopy(model, {id(each): each for each in model.parameters()})
