"""Pictures of a trained translator, and how its critic classifies them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from debias.augment.translated import translated
from debias.parts import Parts

#: Most rows of the grid of pictures, and most classes that each picture is translated to.
MOST = 10


@torch.no_grad()
def share_taken(parts: Parts) -> float:
    """Share of validation images, translated to the next class, that the critic takes for it.

    Args:
        parts: the objects of a stage that trained ``strategy.name=translation``.
    """
    strategy: Any = parts.ready().strategy
    taken: list[Tensor] = []
    for batch in parts.batches(parts.loader(parts.examples.rows("val")), "", progress=False):
        new_class = (batch.target + 1) % strategy.classes
        image = translated(strategy.translator, strategy.space, batch.image, new_class)
        taken.append(parts.module(image).logits.argmax(dim=1) == new_class)
    return torch.cat(taken).double().mean().item()


def picture_grid(parts: Parts) -> NDArray[np.uint8]:
    """One validation image of each class, beside its translations to the classes in their order.

    Args:
        parts: as for :func:`share_taken`.

    Returns:
        ``(R H, (1 + K) W, 3)`` uint8 RGB, for R classes with a validation image and K classes, at
        most :data:`MOST` of each.
    """
    strategy: Any = parts.ready().strategy
    rows = parts.examples.rows("val")
    target = parts.examples.target[rows]
    firsts = [rows[target == each][:1] for each in torch.unique(target).tolist()[:MOST]]
    batches = parts.batches(parts.loader(torch.cat(firsts)), "", progress=False)
    image = torch.cat([batch.image for batch in batches])
    columns = [image] + [
        translated(
            strategy.translator,
            strategy.space,
            image,
            torch.full((len(image),), each, device=image.device),
        )
        for each in range(min(strategy.classes, MOST))
    ]
    pixels = strategy.space.pixels(torch.stack(columns, dim=1))
    grid = pixels.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    found: NDArray[np.uint8] = (grid * 255).round().to(torch.uint8).cpu().numpy()
    return found
