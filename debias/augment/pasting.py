"""Cuts foregrounds out by masks and pastes them, scaled and moved, on other pictures."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Shrinking averages as it should down to a third of the side, and over no more pixels beyond.
GREATEST_SHRINKING = 3.0


class Box(NamedTuple):
    """Least upright boxes of all foreground, in pixels: ``(N, 2)`` top left corner, and size."""

    corner: Tensor
    size: Tensor


class Placement(NamedTuple):
    """Where foregrounds go: each one's box, ``(N,)`` factor on its sides, ``(N, 2)`` new corner."""

    box: Box
    scale: Tensor
    corner: Tensor


class Pasted(NamedTuple):
    """``(N, 3, H, W)`` pictures, ``(N, 1, H, W)`` share of foreground of each pixel, in [0, 1]."""

    image: Tensor
    mask: Tensor


def foreground_box(mask: Tensor) -> Box:
    """The box of each mask's pixels above 0; the whole frame where there is none.

    Args:
        mask: ``(N, 1, H, W)`` float in [0, 1].

    Returns:
        The boxes, of the dtype of ``mask``.

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
    r"""Paste the foreground of each picture on a background.

    .. math:: x = \alpha \frac{T(m f)}{T(m)} + (1 - \alpha)\, b, \qquad
              \alpha = \min\bigl(T(m),\, \max(0,\, 2\, G_\sigma T(m) - 1)\bigr)

    with picture f, its mask m, background b, placement T and Gaussian blur :math:`G_\sigma`. The
    colours are those of the foreground alone: nothing of the picture's own background shines
    through at its edge. The blur eats into the foreground, by less than sigma; without it
    :math:`\alpha = T(m)`. Shrinking averages.

    Args:
        image: ``(N, 3, H, W)`` float, normalised or not.
        mask: ``(N, 1, H, W)`` float foreground in [0, 1].
        background: ``(N, 3, H, W)`` float, of the same normalisation.
        placement: where the foregrounds' boxes go; what leaves the frame is cut off.
        edge: ``(N,)`` float in [0, 1], :math:`\sigma` as a share of ``blur``.
        blur: greatest :math:`\sigma`, in pixels; 0 leaves the edges as they are.

    Returns:
        The pictures, and how much of each pixel is foreground.
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
    """``(N,)`` first position that is present, and the one behind the last, of ``(N, L)`` bool."""
    present = present.to(torch.uint8)  # of equal values, argmax takes the first
    return present.argmax(dim=1), present.shape[1] - present.flip(1).argmax(dim=1)


def _softened(covered: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """What is left of ``(N, 1, H, W)`` foreground when its edge falls off softly inwards."""
    # the frame cuts a foreground off, it is no edge of it
    padded = F.pad(covered, (radius,) * 4, mode="replicate")
    return (2 * _blurred(padded, sigma, radius) - 1).clamp(min=0)


def _smoothed(layers: Tensor, scale: Tensor) -> Tensor:
    """Blurred as much as shrinking by ``(N,)`` scale needs, so that sampling loses no detail."""
    shrinking = (1 / scale).clamp(1, GREATEST_SHRINKING)
    radius = math.ceil(GREATEST_SHRINKING)
    return _blurred(F.pad(layers, (radius,) * 4), 0.5 * (shrinking.square() - 1).sqrt(), radius)


def _moved(layers: Tensor, placement: Placement) -> Tensor:
    """Each sample's box brought to its place; nothing where a pixel comes from outside."""
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
    """Blur by a Gaussian of each sample's sigma, cut off at ``radius``; sigma 0 changes nothing.

    Args:
        layers: ``(N, C, H, W)`` with a border of ``radius``, which the result lacks: a convolution
            that pads by itself takes three times as long on CPUs.
    """
    samples, channels, height, width = layers.shape
    offset = torch.arange(-radius, radius + 1, device=layers.device)
    weights = torch.exp(-0.5 * (offset / sigma.clamp(min=1e-3)[:, None]).square())
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    # every sample has its own kernel, hence samples become channels
    planes, groups = layers.reshape(1, samples * channels, height, width), samples * channels
    planes = F.conv2d(planes, weights[:, None, :, None], groups=groups)
    planes = F.conv2d(planes, weights[:, None, None, :], groups=groups)
    return planes.view(samples, channels, height - 2 * radius, width - 2 * radius)
