"""Accuracy of a trained model on altered pictures, and the smoothness of its first convolution."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from debias.data.orders import seeded_generator
from debias.evaluation.looking import chosen
from debias.metrics.altered.pictures import (
    GRID,
    edges,
    filter_variation,
    greyscale,
    shuffled_patches,
    silhouettes,
    total_variation,
)
from debias.models.layers import read_until
from debias.parts import Parts
from debias.pixels import PixelSpace
from debias.types import Batch

#: Standard deviation of the noise, in units of pixels in [0, 1].
NOISE = 0.1


@torch.no_grad()
def altered_scalars(
    parts: Parts, split: str = "test", *, most: int = 1000, progress: bool = True
) -> dict[str, float]:
    """Accuracy on altered pictures, and the total variation of the first filters and maps.

    Args:
        parts: the objects of a run, with the weights to evaluate.
        split: the split whose images are altered.
        most: largest number of images; :func:`debias.evaluation.looking.chosen` chooses them.
        progress: show a progress bar.

    Returns:
        ``accuracy/clean`` and ``accuracy/ALTERATION``; silhouettes only if all images have masks.
        Also ``filter_variation`` and ``map_variation``, if the network begins with a convolution
        of more than one pixel.
    """
    space = parts.space
    name = _first_convolution(parts.ready().model)
    right: dict[str, list[Tensor]] = {}
    variation = torch.zeros(2, dtype=torch.float64)
    loader = parts.loader(chosen(parts, split, most))
    for batch in parts.batches(loader, f"altering {split}", progress=progress):
        pixels = space.pixels(batch.image)
        order, noise = _draws(batch.index.tolist(), pixels.shape[1:])
        for alteration, image in _alterations(pixels, batch, space, order):
            found = parts.decisions(batch._replace(image=image)) == batch.target
            right.setdefault(alteration, []).append(found.double().flatten())
        if name:
            for place, given in enumerate((pixels + NOISE * noise.to(pixels), pixels)):
                prepared = parts.module.strategy.prepare(space.normalised(given))
                maps = read_until(parts.module.model, name, prepared)
                variation[place] += total_variation(maps.float()).sum().double().cpu()
    scalars = {f"accuracy/{key}": torch.cat(each).mean().item() for key, each in right.items()}
    if not name:
        return scalars
    weight = parts.module.model.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    smoothness = {"filter_variation": filter_variation(weight)}
    return scalars | smoothness | {"map_variation": (variation[0] / variation[1]).item()}


def _draws(rows: list[int], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """An order of patches and noise for each row, which do not depend on the other rows."""
    generators = [seeded_generator(row) for row in rows]
    orders = [torch.randperm(GRID * GRID, generator=generator) for generator in generators]
    noise = [torch.randn(*shape, generator=generator) for generator in generators]
    return torch.stack(orders), torch.stack(noise)


def _alterations(
    pixels: Tensor, batch: Batch, space: PixelSpace, order: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """The name of each alteration, and its normalised images."""
    yield "clean", batch.image
    yield "greyscale", space.normalised(greyscale(pixels))
    yield "edges", space.normalised(edges(pixels))
    if batch.mask is not None:
        yield "silhouettes", space.normalised(silhouettes(pixels, batch.mask))
    yield "shuffled", space.normalised(shuffled_patches(pixels, order))


def _first_convolution(model: nn.Module) -> str:
    """The name of the first convolution, or an empty text if it sees single pixels or is absent."""
    found = next((item for item in model.named_modules() if isinstance(item[1], nn.Conv2d)), None)
    return found[0] if found and max(found[1].kernel_size) > 1 else ""
