"""Resizing and cropping without randomness, which bring all pictures to one shape."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.errors import InputError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Resize:
    """Resize to ``height`` x ``width``: by area averages to shrink, linearly to enlarge."""

    height: int
    width: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """Resize ``(H, W[, 3])`` uint8 pixels to ``(height, width[, 3])``."""
        smaller = min(self.width, pixels.shape[1]), min(self.height, pixels.shape[0])
        # cv2.INTER_AREA averages only if neither side grows, so a second pass enlarges.
        pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
        if smaller == (self.width, self.height):
            return pixels
        enlarged: Pixels = cv2.resize(
            pixels, (self.width, self.height), interpolation=cv2.INTER_LINEAR
        )
        return enlarged


@dataclass(frozen=True)
class ShorterSide:
    """Resize so that the shorter side has ``size`` pixels, with the same aspect ratio."""

    size: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """Resize ``(H, W[, 3])`` uint8 pixels to ``(h, w[, 3])`` with ``min(h, w) == size``."""
        height, width = pixels.shape[:2]
        shorter = min(height, width)
        return Resize(height * self.size // shorter, width * self.size // shorter)(pixels)


@dataclass(frozen=True)
class CentreCrop:
    """Crop the central ``height`` x ``width``. Odd margins are rounded as in torchvision."""

    height: int
    width: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """Crop ``(H, W[, 3])`` uint8 pixels to ``(height, width[, 3])``."""
        top = round((pixels.shape[0] - self.height) / 2)
        left = round((pixels.shape[1] - self.width) / 2)
        return pixels[top : top + self.height, left : left + self.width]


@dataclass(frozen=True)
class CentreWindow:
    """Cut out the central ``height`` x ``width``. Around a smaller picture, the result is black."""

    height: int
    width: int

    def __call__(self, pixels: Pixels) -> Pixels:
        """Crop or pad ``(H, W[, 3])`` uint8 pixels to ``(height, width[, 3])``."""
        missing = [
            max(0, side - own)
            for side, own in zip((self.height, self.width), pixels.shape[:2], strict=True)
        ]
        edges = [(each // 2, each - each // 2) for each in missing]
        padded = np.pad(pixels, [*edges, (0, 0)][: pixels.ndim])
        return CentreCrop(self.height, self.width)(padded)


@dataclass(frozen=True)
class CentreSquare:
    """Crop the largest central square."""

    def __call__(self, pixels: Pixels) -> Pixels:
        """Crop ``(H, W[, 3])`` uint8 pixels to ``(s, s[, 3])`` with ``s = min(H, W)``."""
        side = min(pixels.shape[:2])
        return CentreCrop(side, side)(pixels)


@dataclass(frozen=True)
class Geometry:
    """Steps without randomness that bring every picture to one shape.

    The key of a picture cache contains the ``repr`` of its geometry.

    Args:
        steps: functions of the pixels, applied in this order.
        height: height of every result, in pixels.
        width: width of every result, in pixels.
    """

    steps: tuple[Callable[[Pixels], Pixels], ...]
    height: int
    width: int

    def image(self, pixels: Pixels) -> Pixels:
        """Bring an ``(H, W, 3)`` uint8 image to ``(height, width, 3)``.

        Raises:
            ValueError: the steps give another height or width.
        """
        for step in self.steps:
            pixels = step(pixels)
        if pixels.shape[:2] != (self.height, self.width):
            raise InputError(
                f"the steps {self.steps} gave {pixels.shape}, not {self.height} x {self.width}: "
                "correct the steps or the size"
            )
        return pixels

    def mask(self, pixels: Pixels) -> Pixels:
        """Bring an ``(H, W)`` uint8 mask to ``(height, width)``.

        A pixel is 255 if at least half of it is foreground, else 0.
        """
        foreground: Pixels = (self.image(pixels) >= 128) * np.uint8(255)
        return foreground
