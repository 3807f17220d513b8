"""Changes inside the model, whose bare passes are those of the unchanged model.

Used by ``scripts/bench strategies``.
"""

import copy
from collections.abc import Callable

import torch
from bare_passes import Case, plain

from debias.augment.augmentation import Augmentation
from debias.augment.feature_styles import EFDMix, MixStyle, PermutedAdaIN
from debias.augment.info_drop import InfoDrop
from debias.models.classifier import Classifier
from debias.models.first_layer import TrActConvolution
from debias.strategies.erm import ERM
from debias.types import Batch


def layer_cases(model: Classifier, batch: Batch) -> dict[str, Case]:
    """Changes inside the model, at their defaults. The mean of eight steps, as they are drawn."""
    image, found = torch.zeros_like(batch.image[:1]), {}
    makes: dict[str, Callable[[Classifier], Augmentation]] = {
        "mixstyle": lambda changed: MixStyle(changed, image),
        "efdmix": lambda changed: EFDMix(changed, image),
        "padain": lambda changed: PermutedAdaIN(changed, image),
        "info_drop": lambda changed: InfoDrop(changed, image),
    }
    for name, make in makes.items():
        changed = sharing(model)
        found[name] = Case(ERM(), plain, cycle=8, augment=make(changed), changed=changed)
    changed = sharing(model)
    changed.backbone.conv1 = TrActConvolution(changed.backbone.conv1)  # type: ignore[arg-type]
    return found | {"tract": Case(ERM(), plain, changed=changed)}


def sharing(model: Classifier) -> Classifier:
    """A copy of the model with the same parameters."""
    return copy.deepcopy(model, {id(each): each for each in model.parameters()})
