"""Cuts foregrounds out by their masks, scales and moves them, and pastes them on backgrounds."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Largest shrinking factor with full anti-aliasing. Stronger shrinking is blurred as for this one.
GREATEST_SHRINKING = 3.0


class Box(NamedTuple):
    """Bounding boxes of foregrounds, in pixels.

    Attributes:
        corner: ``(N, 2)`` row and column of the top left corner.
        size: ``(N, 2)`` height and width.
    """

    corner: Tensor
    size: Tensor


class Placement(NamedTuple):
    """Where each foreground is pasted.

    Attributes:
        box: bounding box of the foreground in its own image.
        scale: ``(N,)`` factor on the sides of the box.
        corner: ``(N, 2)`` row and column of the box's new top left corner, in pixels.
    """

    box: Box
    scale: Tensor
    corner: Tensor


class Pasted(NamedTuple):
    """Result of pasting.

    Attributes:
        image: ``(N, 3, H, W)`` images.
        mask: ``(N, 1, H, W)`` share of the pasted foreground at each pixel, in [0, 1].
    """

    image: Tensor
    mask: Tensor


def foreground_box(mask: Tensor) -> Box:
    """Bounding box of the pixels above 0 of each mask; the whole image if the mask is empty.

    Args:
        mask: ``(N, 1, H, W)`` float in [0, 1].

    Returns:
        The boxes, with the dtype of ``mask``.

    Example:
        >>> mask = torch.zeros(1, 1, 8, 8)
        >>> mask[0, 0, 2:5, 6] = 1
        >>> [part.tolist() for part in foreground_box(mask)]
        [[[2.0, 6.0]], [[3.0, 1.0]]]
    """
    ends = [_ends(mask.amax(dim=(1, dim)) > 0) for dim in (3, 2)]
    first, last = (torch.stack(part, dim=1).to(mask.dtype) for part in zip(*ends, strict=True))
    return Box(first, last - first)


def paste(
    image: Tensor,
    mask: Tensor,
    background: Tensor,
    placement: Placement,
    edge: Tensor,
    *,
    blur: float = 0.0,
) -> Pasted:
    r"""Paste the foreground of each image on a background.

    .. math:: x = \alpha \frac{T(m f)}{T(m)} + (1 - \alpha)\, b, \qquad
              \alpha = \min\bigl(T(m),\, \max(0,\, 2\, G_\sigma T(m) - 1)\bigr)

    with image f, its mask m, background b, placement T and Gaussian blur :math:`G_\sigma`. The
    division by :math:`T(m)` keeps colours of the image's own background out of the edge. The blur
    shrinks the foreground by less than sigma. Without blur, :math:`\alpha = T(m)`. If T shrinks the
    foreground, pixels are averaged.

    Args:
        image: ``(N, 3, H, W)`` float, normalised or not.
        mask: ``(N, 1, H, W)`` float foreground in [0, 1].
        background: ``(N, 3, H, W)`` float, with the same normalisation as ``image``.
        placement: where each foreground goes. Parts outside the image are cut off.
        edge: ``(N,)`` float in [0, 1], :math:`\sigma` as a share of ``blur``.
        blur: greatest :math:`\sigma`, in pixels; 0 leaves the edges sharp.

    Returns:
        The images, and the share of foreground :math:`\alpha` at each pixel.
    """
    layers = image.new_empty(len(image), 4, *image.shape[2:])
    layers[:, :3].copy_(image).mul_(mask)
    layers[:, 3:] = mask
    layers = _moved(_smoothed(layers, placement.scale), placement)
    covered = layers[:, 3:]
    alpha = covered
    if blur > 0:
        alpha = torch.minimum(covered, _softened(covered, blur * edge, math.ceil(3 * blur)))
    return Pasted(torch.lerp(background, layers[:, :3].div_(covered.clamp(min=1e-6)), alpha), alpha)


def _ends(present: Tensor) -> tuple[Tensor, Tensor]:
    """First true position, and last true position plus one, in each row of an ``(N, L)`` bool.

    Both are ``(N,)``. A row without a true value gives 0 and L.
    """
    present = present.to(torch.uint8)  # argmax returns the first of equal values
    return present.argmax(dim=1), present.shape[1] - present.flip(1).argmax(dim=1)


def _softened(covered: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """``(N, 1, H, W)`` foreground mask whose edge fades to 0 inwards.

    Args:
        covered: ``(N, 1, H, W)`` sharp mask in [0, 1].
        sigma: ``(N,)`` sigma of the blur, in pixels.
        radius: radius of the blur kernel, in pixels.
    """
    # the image border cuts a foreground off, and is not an edge that should fade
    padded = F.pad(covered, (radius,) * 4, mode="replicate")
    return (2 * _blurred(padded, sigma, radius) - 1).clamp(min=0)


def _smoothed(layers: Tensor, scale: Tensor) -> Tensor:
    """Blur layers against aliasing, before they are scaled by ``(N,)`` factors below 1."""
    shrinking = (1 / scale).clamp(1, GREATEST_SHRINKING)
    radius = math.ceil(GREATEST_SHRINKING)
    return _blurred(F.pad(layers, (radius,) * 4), 0.5 * (shrinking.square() - 1).sqrt(), radius)


def _moved(layers: Tensor, placement: Placement) -> Tensor:
    """Scale and move each sample's box to its place. Pixels from outside the image become 0."""
    sources = []
    for axis in (0, 1):
        length = layers.shape[2 + axis]
        pixel = torch.arange(length, device=layers.device) + 0.5
        moved = (pixel - placement.corner[:, axis, None]) / placement.scale[:, None]
        sources.append(2 * (moved + placement.box.corner[:, axis, None]) / length - 1)
    rows, columns = sources[0][:, :, None], sources[1][:, None, :]
    shape = len(layers), *layers.shape[2:]
    grid = torch.stack([columns.expand(shape), rows.expand(shape)], dim=3)
    return F.grid_sample(layers, grid, align_corners=False)


def _blurred(layers: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur with one sigma per sample. A sigma of 0 changes nothing.

    Args:
        layers: ``(N, C, H, W)`` with a border of ``radius`` pixels, which the blur removes. The
            caller pads, since a padding convolution takes three times as long on CPUs.
        sigma: ``(N,)`` sigma of each sample, in pixels.
        radius: radius at which the kernel is cut off.
    """
    samples, channels, height, width = layers.shape
    offset = torch.arange(-radius, radius + 1, device=layers.device)
    weights = torch.exp(-0.5 * (offset / sigma.clamp(min=1e-3)[:, None]).square())
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    # every sample has its own kernel, so samples become channels of one grouped convolution
    planes, groups = layers.reshape(1, samples * channels, height, width), samples * channels
    planes = F.conv2d(planes, weights[:, None, :, None], groups=groups)
    planes = F.conv2d(planes, weights[:, None, None, :], groups=groups)
    return planes.view(samples, channels, height - 2 * radius, width - 2 * radius)
