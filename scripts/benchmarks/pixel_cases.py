"""Augmentations of pixels, whose bare passes change the images by a plain reference.

The references are the shortest code for the same change of as many images: PyTorch for transforms
of whole tensors, and Pillow for the operations of AugMix, one image after the other, as their
authors apply them. Used by ``scripts/bench strategies``.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from bare_passes import GROUPS, Case, Move
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from debias.augment.augmentation import Augmentation
from debias.augment.companions import Companions
from debias.augment.efdm import ExactHistogramMatching
from debias.augment.panoptic_patches import PanopticPatches
from debias.augment.patch_mixing import PatchMixing
from debias.augment.pixmix import PixMix
from debias.augment.random_convolution import RandomConvolution, random_filters
from debias.augment.spectrum import (
    AmplitudePhasePair,
    AmplitudePhaseSingle,
    FourierDomainAdaptation,
)
from debias.models.classifier import Classifier
from debias.strategies.erm import ERM
from debias.strategies.strategy import Strategy
from debias.types import Batch

HALF, PATCHES = (0.5, 0.5, 0.5), 8

#: A plain reference: the images of a batch after the change.
Change = Callable[[Batch], Tensor]


def pixels_of(image: Tensor) -> Tensor:
    return (image * 0.5 + 0.5).clamp(0, 1)


def of_some(share: float, change: Callable[[Tensor, Tensor], Tensor]) -> Change:
    """Change a share of the images by another image of the batch, as pixels in [0, 1]."""

    def changed(batch: Batch) -> Tensor:
        rows = (torch.rand(len(batch.image)) < share).nonzero().flatten()
        pixels, partner = (pixels_of(batch.image[each]) for each in (rows, rows.flip(0)))
        image = batch.image.clone()
        image[rows] = (change(pixels, partner) - 0.5) / 0.5
        return image

    return changed


def swapped(pixels: Tensor, partner: Tensor) -> Tensor:
    own, other = (torch.fft.rfftn(each, dim=(1, 2, 3)) for each in (pixels, partner))
    spectrum = torch.polar(other.abs(), own.angle())
    return torch.fft.irfftn(spectrum, s=pixels.shape[1:], dim=(1, 2, 3))


def low_swapped(pixels: Tensor, partner: Tensor) -> Tensor:
    own, other = torch.fft.rfft2(pixels), torch.fft.rfft2(partner)
    amplitude = own.abs()
    amplitude[:, :, 0, 0] = other.abs()[:, :, 0, 0]  # the default window at 64 pixels
    return torch.fft.irfft2(torch.polar(amplitude, own.angle()))


def matched(pixels: Tensor, partner: Tensor) -> Tensor:
    order = pixels.flatten(2).argsort(dim=2)
    values = partner.flatten(2).sort(dim=2).values
    return torch.empty_like(values).scatter_(2, order, values).view_as(pixels)


OPERATIONS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    ImageOps.autocontrast,
    ImageOps.equalize,
    lambda picture: ImageOps.posterize(picture, 4),
    lambda picture: ImageOps.solarize(picture, 200),
    lambda picture: picture.rotate(5, Image.Resampling.BILINEAR),
    *(
        lambda picture, matrix=matrix: picture.transform(  # type: ignore[misc]
            picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        for matrix in (
            (1, 0.1, 0, 0, 1, 0),
            (1, 0, 0, 0.1, 1, 0),
            (1, 0, 3, 0, 1, 0),
            (1, 0, 0, 0, 1, 3),
        )
    ),
)


def operated(picture: Tensor) -> Tensor:
    given: Any = to_pil_image(picture)
    return pil_to_tensor(random.choice(OPERATIONS)(given)).float() / 255


def single(batch: Batch) -> Tensor:
    def changed(picture: Tensor) -> Tensor:
        first = operated(picture)
        if random.random() < 0.5:
            return first
        return swapped(first[None], operated(first)[None])[0].clamp(0, 1)

    pictures = [changed(picture) for picture in pixels_of(batch.image)]
    return (torch.stack(pictures) - 0.5) / 0.5


def mixed(pixels: Tensor, partner: Tensor) -> Tensor:
    def changed(picture: Tensor, other: Tensor) -> Tensor:
        result = operated(picture) if random.random() < 0.5 else picture
        for _ in range(random.randint(0, 4)):
            given = operated(picture) if random.random() < 0.5 else other
            a, b = random.random(), random.random()
            if random.random() < 0.5:
                result = (2 * result) ** a * (2 * given).clamp(min=1e-37) ** b / 2
            else:
                result = (a * (2 * result - 1) + b * (2 * given - 1) + 1) / 2
            result = result.clamp(0, 1)
        return result

    return torch.stack([changed(*each) for each in zip(pixels, partner, strict=True)])


def convolved(batch: Batch) -> Tensor:
    keep, _ = torch.rand(2).tolist()
    if keep < 0.5:
        return batch.image
    size = (1, 3, 5, 7)[int(torch.randint(4, ()))]
    return F.conv2d(batch.image, random_filters(size, batch.image), padding=size // 2)


def patched(batch: Batch) -> Tensor:
    grid = torch.rand(len(batch.image), 1, PATCHES, PATCHES) < 0.5
    mask = F.interpolate(grid.float(), size=batch.image.shape[2:])
    return torch.where(mask > 0, batch.image, batch.image.flip(0))


def blended(batch: Batch) -> Tensor:
    assert batch.mask is not None
    assert batch.background is not None
    changed = torch.rand(len(batch.image), 1, 1, 1) < 0.5
    return torch.lerp(batch.image, batch.background, batch.mask * changed)


def trained_on(change: Change) -> Callable[[Strategy, Classifier, Batch, Move, int], None]:
    """The bare passes of ERM on images that a plain reference changes."""

    def passes(strategy: Strategy, model: Classifier, batch: Batch, move: Move, step: int) -> None:
        move("model", F.cross_entropy(model(change(batch)).logits, batch.target))

    return passes


def pixel_cases(model: Classifier, batch: Batch) -> dict[str, Case]:
    """Every augmentation at its defaults, except for the grid. The mean of four steps."""
    image = torch.zeros_like(batch.image[:1])
    made: dict[str, tuple[Augmentation, Change]] = {
        "apr_p": (AmplitudePhasePair(HALF, HALF, _no_folder), of_some(0.3, swapped)),
        "apr_s": (AmplitudePhaseSingle(HALF, HALF), single),
        "fda": (FourierDomainAdaptation(HALF, HALF, _no_folder), of_some(1.0, low_swapped)),
        "efdm": (ExactHistogramMatching(HALF, HALF, _no_folder), of_some(0.5, matched)),
        "pixmix": (PixMix(HALF, HALF, _no_folder), of_some(1.0, mixed)),
        "random_convolution": (RandomConvolution(), convolved),
        "patch_mixing": (PatchMixing(GROUPS, image, patches=PATCHES), patched),
        "panoptic_patches": (PanopticPatches(GROUPS, image, patches=PATCHES), patched),
        "companions": (Companions(), blended),
    }
    return {
        name: Case(ERM(), trained_on(change), "time", cycle=4, augment=augment)
        for name, (augment, change) in made.items()
    }


def _no_folder(folder: str) -> Tensor:
    raise ValueError(f"the partners come from the batch; got {folder}")
