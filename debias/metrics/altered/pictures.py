"""Pictures without colour, without texture or without shape, and the total variation of maps."""

import torch
from torch import Tensor
from torch.nn import functional as F

#: Patches along each side that are shuffled.
GRID = 4
#: Shares of red, green and blue in the luma of Rec. 601.
LUMA = (0.299, 0.587, 0.114)


def greyscale(pixels: Tensor) -> Tensor:
    """``(N, 3, H, W)`` pictures without colour: every channel is the luma of Rec. 601.

    Args:
        pixels: ``(N, 3, H, W)`` float in [0, 1].
    """
    luma = (pixels * pixels.new_tensor(LUMA).view(3, 1, 1)).sum(dim=1, keepdim=True)
    return luma.expand_as(pixels)


def edges(pixels: Tensor) -> Tensor:
    """``(N, 3, H, W)`` dark edges on white: the Sobel gradient of the luma, 0 where it is largest.

    A picture without any edge is white.

    Source: the stimuli of Geirhos et al., ICLR 2019; there, Canny's method finds the edges.

    Args:
        pixels: as for :func:`greyscale`.
    """
    luma = F.pad(greyscale(pixels)[:, :1], (1, 1, 1, 1), mode="replicate")
    sobel = pixels.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    slopes = F.conv2d(luma, torch.stack([sobel, sobel.T])[:, None])
    strength = torch.linalg.vector_norm(slopes, dim=1, keepdim=True)
    largest = strength.amax(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    drawn: Tensor = 1 - strength / largest
    return drawn.expand_as(pixels)


def silhouettes(pixels: Tensor, mask: Tensor) -> Tensor:
    """``(N, 3, H, W)`` black foregrounds on white.

    Source: the stimuli of Geirhos et al., ICLR 2019.

    Args:
        pixels: as for :func:`greyscale`; only the shape is used.
        mask: ``(N, 1, H, W)`` float foreground in [0, 1].
    """
    return (1 - mask).expand_as(pixels)


def shuffled_patches(pixels: Tensor, order: Tensor) -> Tensor:
    """``(N, 3, H, W)`` pictures whose patches have changed places: local texture without shape.

    Pixels beyond the last whole patch stay.

    Args:
        pixels: as for :func:`greyscale`, with sides of at least ``GRID`` pixels.
        order: ``(N, GRID * GRID)`` int64: the patch that comes to each place, row by row.
    """
    count, channels, height, width = pixels.shape
    high, wide = height // GRID, width // GRID
    whole = pixels[:, :, : high * GRID, : wide * GRID]
    patches = whole.reshape(count, channels, GRID, high, GRID, wide).permute(0, 2, 4, 1, 3, 5)
    rows = torch.arange(count, device=pixels.device)[:, None]
    moved = patches.flatten(1, 2)[rows, order.to(pixels.device)].view_as(patches)
    shuffled = pixels.clone()
    shuffled[:, :, : high * GRID, : wide * GRID] = moved.permute(0, 3, 1, 4, 2, 5).reshape_as(whole)
    return shuffled


def total_variation(maps: Tensor) -> Tensor:
    r"""Anisotropic total variation of maps: the sum of differences between neighbours.

    .. math:: TV(a) = \sum_{ij} |a_{i+1,j} - a_{ij}| + \sum_{ij} |a_{i,j+1} - a_{ij}|

    Source: Chen et al., "The shape and simplicity biases of adversarially robust ImageNet-trained
    CNNs", 2020.

    Args:
        maps: ``(..., H, W)`` float, such as filters or feature maps.

    Returns:
        ``(...)`` float.

    Example:
        >>> total_variation(torch.tensor([[0.0, 1.0], [0.0, 1.0]])).item()
        2.0
    """
    return maps.diff(dim=-2).abs().sum(dim=(-2, -1)) + maps.diff(dim=-1).abs().sum(dim=(-2, -1))


def filter_variation(filters: Tensor) -> float:
    """Mean total variation of filters, each divided by the sum of its absolute weights.

    The scale of the weights then has no effect. NaN if all filters are zero.

    Args:
        filters: ``(C, K, H, W)`` float weights of a convolution.
    """
    sizes = filters.abs().sum(dim=(-2, -1))
    return (total_variation(filters)[sizes > 0] / sizes[sizes > 0]).mean().item()
