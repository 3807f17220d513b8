"""The operations of AugMix, each with its own strength per image, on batches of pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

#: Largest value of an operation's severity.
HIGHEST = 10


def augmented(pixels: Tensor, *, severity: float = 3.0) -> Tensor:
    """Apply one random operation of random strength to each image.

    Source: the operations of Hendrycks et al., "AugMix", ICLR 2020, as in andyzoujm/pixmix. Those
    that overlap with the corruptions of ImageNet-C are left out there by default.

    Args:
        pixels: ``(N, 3, H, W)`` float in [0, 1].
        severity: greatest strength, in [0.1, 10]. Rotations reach 3 degrees, and translations a
            thirtieth of the side, per unit. What is moved in is black.

    Differs from the reference: the pixels of shears and rotations are not rounded to bytes.
    """
    count = len(pixels)
    operation = torch.randint(len(OPERATIONS), (count,))
    level = 0.1 + (severity - 0.1) * torch.rand(count)
    return operated(pixels, operation, level * torch.where(torch.rand(count) < 0.5, -1, 1))


def operated(pixels: Tensor, operation: Tensor, level: Tensor) -> Tensor:
    """Apply a given operation of a given strength to each image.

    Args:
        pixels: ``(N, 3, H, W)`` float in [0, 1].
        operation: ``(N,)`` int64 on the CPU, positions in :data:`OPERATIONS`.
        level: ``(N,)`` float on the CPU, strength up to 10. The sign is the direction of geometric
            operations, and has no effect on others.
    """
    result = torch.empty_like(pixels)
    for number, apply in enumerate(OPERATIONS.values()):
        rows = (operation == number).nonzero().flatten()
        if len(rows):
            strength = level[rows].to(pixels)
            rows = rows.to(pixels.device)
            result[rows] = apply(pixels[rows], strength)
    return result


def _autocontrast(pixels: Tensor, level: Tensor) -> Tensor:
    low, high = pixels.amin(dim=(2, 3), keepdim=True), pixels.amax(dim=(2, 3), keepdim=True)
    stretched = (pixels - low) / torch.where(high > low, high - low, 1)
    return torch.where(high > low, stretched, pixels)


def _equalize(pixels: Tensor, level: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional  # takes a second, only needed here

    equalized: Tensor = functional.equalize(_bytes(pixels).to(torch.uint8))
    return equalized.to(pixels) / 255


def _posterize(pixels: Tensor, level: Tensor) -> Tensor:
    step = 2 ** (4 + (level.abs() * 4 / HIGHEST).floor()).view(-1, 1, 1, 1)
    return (_bytes(pixels) / step).floor() * step / 255


def _solarize(pixels: Tensor, level: Tensor) -> Tensor:
    threshold = 256 - (level.abs() * 256 / HIGHEST).floor().view(-1, 1, 1, 1)
    return torch.where(_bytes(pixels) < threshold, pixels, 1 - pixels)


def _rotate(pixels: Tensor, level: Tensor) -> Tensor:
    angle = torch.deg2rad((level * 30 / HIGHEST).trunc())
    return _warped(pixels, (angle.cos(), -angle.sin()), (angle.sin(), angle.cos()))


def _shear_x(pixels: Tensor, level: Tensor) -> Tensor:
    slope, one, zero = _slope(level)
    return _warped(pixels, (one, slope), (zero, one), shift=(slope * pixels.shape[2] / 2, zero))


def _shear_y(pixels: Tensor, level: Tensor) -> Tensor:
    slope, one, zero = _slope(level)
    return _warped(pixels, (one, zero), (slope, one), shift=(zero, slope * pixels.shape[3] / 2))


def _translate_x(pixels: Tensor, level: Tensor) -> Tensor:
    _, one, zero = _slope(level)
    return _warped(pixels, (one, zero), (zero, one), shift=(_shift(level, pixels.shape[3]), zero))


def _translate_y(pixels: Tensor, level: Tensor) -> Tensor:
    _, one, zero = _slope(level)
    return _warped(pixels, (one, zero), (zero, one), shift=(zero, _shift(level, pixels.shape[2])))


#: Operations by name: functions of pixels ``(N, 3, H, W)`` in [0, 1] and signed levels ``(N,)``.
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "posterize": _posterize,
    "rotate": _rotate,
    "solarize": _solarize,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}


def _slope(level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The slope of a shear, ones and zeros."""
    return level * 0.3 / HIGHEST, torch.ones_like(level), torch.zeros_like(level)


def _shift(level: Tensor, side: int) -> Tensor:
    return (level * side / 3 / HIGHEST).trunc()


def _bytes(pixels: Tensor) -> Tensor:
    """Pixels as whole numbers from 0 to 255."""
    return (255 * pixels).round()


def _warped(
    pixels: Tensor,
    across: tuple[Tensor, Tensor],
    down: tuple[Tensor, Tensor],
    *,
    shift: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Sample images at linear functions of the pixel's place, measured from the centre.

    Args:
        pixels: ``(N, 3, H, W)``.
        across: two ``(N,)`` coefficients, of column and row, that give the column to read.
        down: the same for the row to read.
        shift: ``(N,)`` columns and ``(N,)`` rows to add; 0 if ``None``.
    """
    height, width = pixels.shape[2:]
    row = (torch.arange(height, device=pixels.device) - (height - 1) / 2)[:, None]
    column = (torch.arange(width, device=pixels.device) - (width - 1) / 2)[None]
    added = shift or (torch.zeros_like(across[0]), torch.zeros_like(across[0]))
    places = [
        _each(first) * column + _each(second) * row + _each(more)
        for (first, second), more in zip((across, down), added, strict=True)
    ]
    grid = torch.stack([2 * places[0] / width, 2 * places[1] / height], dim=3)
    inside = (grid.abs() <= 1).all(dim=3)[:, None]  # the rest is black, without a soft edge
    sampled = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return sampled * inside


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)
