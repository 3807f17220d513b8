"""Made data sets of an audit: a tree of two classes of noise, one of which may carry a cue."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
#: Writes the picture of a class: path without suffix, pixels, class.
Writer = Callable[[Path, Pixels, int], None]


def png(path: Path, pixels: Pixels, target: int) -> None:
    """Write without loss; every picture of one size has nearly the same number of bytes."""
    cv2.imwrite(f"{path}.png", pixels[..., ::-1])


def smooth_noise(generator: np.random.Generator, side: int = 48) -> Pixels:
    """A random picture with structure at several scales, such as a photo has."""
    layers = [
        cv2.resize(generator.normal(size=(size, size, 3)), (side, side)) * size**-0.5
        for size in (3, 6, 12, side)
    ]
    whole = 128 + 70 * sum(layers)
    pixels: Pixels = np.clip(whole, 0, 255).astype(np.uint8)
    return pixels


def write_tree(
    folder: Path, seed: int, write: Writer = png, *, each: int = 60, side: int = 48
) -> Path:
    """``folder/{cat,dog}/*``: ``each`` pictures per class, from one distribution."""
    generator = np.random.default_rng(seed)
    for number in range(2 * each):
        target = number % 2
        place = folder / ("cat", "dog")[target]
        place.mkdir(parents=True, exist_ok=True)
        write(place / f"{number:03}", smooth_noise(generator, side), target)
    return folder
