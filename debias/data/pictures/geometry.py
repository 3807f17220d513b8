"""Deterministic changes of size and section that bring all pictures to one shape."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Resize:
    """Resize to exactly ``height`` x ``width``: area averages to shrink, linear to enlarge."""

    height: int
    width: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """``(H, W[, 3])`` to ``(height, width[, 3])`` uint8."""
        smaller = min(self.width, pixels.shape[1]), min(self.height, pixels.shape[0])
        # cv2.INTER_AREA averages only if neither side grows, so a side that grows waits for the
        # second pass.
        pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
        if smaller == (self.width, self.height):
            return pixels
        enlarged: Pixels = cv2.resize(
            pixels, (self.width, self.height), interpolation=cv2.INTER_LINEAR
        )
        return enlarged


@dataclass(frozen=True)
class ShorterSide:
    """Resize so that the shorter side has ``size`` pixels, and keep the proportions."""

    size: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """``(H, W[, 3])`` to ``(h, w[, 3])`` uint8 with ``min(h, w) == size``."""
        height, width = pixels.shape[:2]
        shorter = min(height, width)
        return Resize(height * self.size // shorter, width * self.size // shorter)(pixels)


@dataclass(frozen=True)
class CentreCrop:
    """Cut ``height`` x ``width`` from the middle; odd margins are rounded as in torchvision."""

    height: int
    width: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """``(H, W[, 3])`` to ``(height, width[, 3])`` uint8."""
        top = round((pixels.shape[0] - self.height) / 2)
        left = round((pixels.shape[1] - self.width) / 2)
        return pixels[top : top + self.height, left : left + self.width]


@dataclass(frozen=True)
class CentreSquare:
    """Cut the largest square from the middle."""

    def __call__(self, pixels: Pixels) -> Pixels:
        """``(H, W[, 3])`` to ``(s, s[, 3])`` uint8, ``s = min(H, W)``."""
        side = min(pixels.shape[:2])
        return CentreCrop(side, side)(pixels)


@dataclass(frozen=True)
class Geometry:
    """Deterministic steps that bring all pictures to one shape; ``repr`` is in the cache's key.

    Args:
        steps: applied in order.
        height: of every result, in pixels.
        width: of every result, in pixels.
    """

    steps: tuple[Callable[[Pixels], Pixels], ...]
    height: int
    width: int

    def image(self, pixels: Pixels) -> Pixels:
        """``(H, W, 3)`` to ``(height, width, 3)`` uint8; ValueError at another shape."""
        for step in self.steps:
            pixels = step(pixels)
        if pixels.shape[:2] != (self.height, self.width):
            raise InputError(
                f"the steps {self.steps} gave {pixels.shape}, not {self.height} x {self.width}"
            )
        return pixels

    def mask(self, pixels: Pixels) -> Pixels:
        """``(H, W)`` to ``(height, width)`` uint8: 255 if half of the pixel is foreground, or 0."""
        foreground: Pixels = (self.image(pixels) >= 128) * np.uint8(255)
        return foreground
