"""Patch Mixing: replaces random patches of a grid by those of another image."""

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.augment.mixing import beta, blend
from debias.errors import InputError, check_at_least, check_between, check_positive, shown
from debias.types import Batch, Groups


def outside_patches(share: Tensor, patches: int, *, height: int, width: int) -> Tensor:
    """Indicator of the pixels outside random patches of a grid, which have given area shares.

    It is ``(N, 1, H, W)``, 1 outside and 0 inside. Each sample has ``round(share * patches ** 2)``
    patches, at random places of the grid.

    Args:
        share: ``(N,)`` float in [0, 1].
        patches: patches per side of the grid. It divides height and width.
        height: image height H in pixels.
        width: image width W in pixels.
    """
    order = torch.rand(len(share), patches**2, device=share.device).argsort(dim=1)
    outside = order >= (share * patches**2).round()[:, None]
    grid = outside.view(-1, 1, patches, patches).to(share.dtype)
    return grid.repeat_interleave(height // patches, 2).repeat_interleave(width // patches, 3)


def check_grid(patches: int, image: Tensor, *, of: str, least: int = 1) -> None:
    """Check that a grid of patches fits the images.

    Args:
        patches: patches per side.
        image: ``(1, 3, H, W)``; only the shape is used.
        of: name of the augmentation, for messages.
        least: smallest number of patches per side.

    Raises:
        ValueError: ``patches`` is below ``least``, or does not divide height and width.
    """
    check_at_least(least, {"patches": patches}, of=of)
    sides = image.shape[2:]
    if any(side % patches for side in sides):
        fitting = [each for each in range(2, min(sides)) if not any(side % each for side in sides)]
        fits = f"These do: {shown(fitting[::-1], 6)}" if fitting else "Set preprocessing.size"
        raise InputError(
            f"patches must divide the sides of the images for {of}; got patches={patches} for "
            f"images of {sides[0]} x {sides[1]} pixels. {fits}"
        )


class PatchMixing(Augmentation):
    r"""Replace random patches by those of another image, and mix the targets by the areas.

    .. math:: \tilde x = (1 - m)\, x_i + m\, x_j, \qquad
              \tilde t = (1 - s) \left( (1 - \bar m)\, t_i + \bar m\, t_j \right) + s / C, \qquad
              r \sim \mathrm{Beta}(\alpha, \alpha)

    The mask m has round(r P²) patches of a grid of P x P patches. Their share is :math:`\bar m`.
    The model learns to ignore patches that do not fit the rest of the image. A background keeps its
    share of each image, so this does not weaken a shortcut of the whole background.

    Source: Lee et al., "Hardwiring ViT Patch Selectivity into CNNs using Patch Mixing", 2023; only
    the authors' page was read, which has the equation of image and targets.

    Args:
        groups: the groups of the data; single-label.
        image: one image batch, whose sides P must divide.
        patches: P, patches per side. Patches of images of 224 pixels then have 32 pixels.
        alpha: :math:`\alpha > 0`; 1 makes all shares equally likely.
        smoothing: s in [0, 1), label smoothing.

    Raises:
        ValueError: ``patches`` is below 1 or does not divide the sides of the images, ``alpha`` is
            not positive, ``smoothing`` is outside [0, 1), or the targets are multi-label.

    Differs from the reference: grid, distribution of r and smoothing are choices of this project,
    because the page does not have them. Every batch is mixed.
    """

    single_label = True
    mixes_targets = True

    def __init__(
        self,
        groups: Groups,
        image: Tensor,
        *,
        patches: int = 7,
        alpha: float = 1.0,
        smoothing: float = 0.1,
    ) -> None:
        super().__init__(groups)
        check_positive({"alpha": alpha}, of="PatchMixing")
        check_between("[0, 1)", {"smoothing": smoothing}, of="PatchMixing")
        check_grid(patches, image, of="PatchMixing")
        self.classes, self.patches = groups.outputs, patches
        self.alpha, self.smoothing = alpha, smoothing

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Mix the samples of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``(N,)`` class indices, which is not modified.
            progress: has no effect.
        """
        count, device = len(batch.target), batch.image.device
        height, width = batch.image.shape[2:]
        share = beta(count, self.alpha, device)
        own = outside_patches(share, self.patches, height=height, width=width)
        mixed = blend(batch, torch.randperm(count, device=device), own, classes=self.classes)
        smoothed = torch.lerp(
            mixed.target, torch.full_like(mixed.target, 1 / self.classes), self.smoothing
        )
        return mixed._replace(target=smoothed)
