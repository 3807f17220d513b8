"""Preprocess pictures exactly as debias does in evaluation, with NumPy and PIL.

`debias export` copies this file beside an exported model. It imports nothing of debias. Only the
step "pipeline" needs another package, albumentations. Pixels are those that OpenCV computes in
debias, to the last bit: area averages to shrink, linear to enlarge.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]


def preprocess(picture: Any, settings: Mapping[str, Any]) -> NDArray[np.float32]:
    """One picture as the model's input: a ``(3, height, width)`` array of float32.

    Args:
        picture: path of a picture, or an opened ``PIL.Image``.
        settings: contents of ``preprocessing.json``.
    """
    image = picture if isinstance(picture, Image.Image) else Image.open(picture)
    if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "1"):
        raise ValueError(f"convert the picture to 8-bit RGB first; got the mode {image.mode}")
    pixels: Pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    for step in settings["steps"]:
        options = {key: value for key, value in step.items() if key not in ("step", "meaning")}
        pixels = STEPS[step["step"]](pixels, options)
    mean, std = np.float32(settings["mean"]), np.float32(settings["std"])
    normalised = (pixels.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


def resize(pixels: Pixels, options: Mapping[str, Any]) -> Pixels:
    """Resize to ``height`` and ``width``: first shrink sides that are too long, then enlarge."""
    height, width = options["height"], options["width"]
    smaller = shrink(pixels, min(height, pixels.shape[0]), min(width, pixels.shape[1]))
    return smaller if smaller.shape[:2] == (height, width) else enlarge(smaller, height, width)


def shorter_side(pixels: Pixels, options: Mapping[str, Any]) -> Pixels:
    """Resize so that the shorter side has ``size`` pixels; the longer side is rounded down."""
    height, width = pixels.shape[:2]
    sides = (side * options["size"] // min(height, width) for side in (height, width))
    return resize(pixels, dict(zip(("height", "width"), sides, strict=True)))


def centre_crop(pixels: Pixels, options: Mapping[str, Any]) -> Pixels:
    """Crop the central ``height`` and ``width``; half a pixel is rounded to an even number."""
    height, width = options["height"], options["width"]
    top = round((pixels.shape[0] - height) / 2)
    left = round((pixels.shape[1] - width) / 2)
    return pixels[top : top + height, left : left + width]


def centre_window(pixels: Pixels, options: Mapping[str, Any]) -> Pixels:
    """Crop the central ``height`` and ``width``; a smaller picture gets a black frame first."""
    sides = zip((options["height"], options["width"]), pixels.shape[:2], strict=True)
    missing = [max(0, side - own) for side, own in sides]
    edges = [(each // 2, each - each // 2) for each in missing]
    return centre_crop(np.pad(pixels, [*edges, (0, 0)]), options)


def centre_square(pixels: Pixels, options: Mapping[str, Any]) -> Pixels:
    """Crop the largest central square."""
    side = min(pixels.shape[:2])
    return centre_crop(pixels, {"height": side, "width": side})


def pipeline(pixels: Pixels, options: Mapping[str, Any]) -> Pixels:
    """Apply a pipeline of albumentations, the only step that needs this package."""
    import albumentations

    changed: Pixels = albumentations.from_dict(options["pipeline"])(image=pixels)["image"]
    return changed


#: The function of each step in ``preprocessing.json``.
STEPS: dict[str, Callable[[Pixels, Mapping[str, Any]], Pixels]] = {
    function.__name__: function
    for function in (resize, shorter_side, centre_crop, centre_window, centre_square, pipeline)
}


def shrink(pixels: Pixels, height: int, width: int) -> Pixels:
    """Average the area that each new pixel covers; a pixel at the border counts by its share."""
    rows, columns = pixels.shape[0] / height, pixels.shape[1] / width
    if rows.is_integer() and columns.is_integer():
        blocks = pixels.reshape(height, int(rows), width, int(columns), 3)
        total = blocks.sum(axis=(1, 3), dtype=np.int64)
        if rows == columns == 2:  # OpenCV rounds a half up here, and to an even number elsewhere
            return _rounded((total + 2) // 4)
        return _rounded(total.astype(np.float32) * np.float32(1 / (rows * columns)))
    place, share = _covered(pixels.shape[1], width)
    values = pixels.astype(np.float32)
    values = sum(values[:, at] * part[:, None] for at, part in zip(place, share, strict=True))
    place, share = _covered(pixels.shape[0], height)
    each = zip(place, share, strict=True)
    return _rounded(sum(values[at] * part[:, None, None] for at, part in each))


def enlarge(pixels: Pixels, height: int, width: int) -> Pixels:
    """Interpolate linearly between pixel centres, with weights in steps of 1/2048."""
    left, right, near, far = _between(pixels.shape[1], width)
    rows = pixels[:, left] * near[:, None] + pixels[:, right] * far[:, None]
    top, bottom, near, far = _between(pixels.shape[0], height)
    above = (rows[top] >> 4) * near[:, None, None] >> 16
    below = (rows[bottom] >> 4) * far[:, None, None] >> 16
    return _rounded((above + below + 2) >> 2)


def _covered(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The old pixels that each new pixel covers, and their shares of it: ``(covered, new)``."""
    scale = old / new
    start = np.arange(new) * scale
    pixel = np.floor(start) + np.arange(int(np.ceil(scale)) + 1)[:, None]
    overlap = np.minimum(pixel + 1, start + scale) - np.maximum(pixel, start)
    overlap[overlap <= 1e-3] = 0
    share = overlap / np.minimum(scale, old - start)
    return np.minimum(pixel, old - 1).astype(np.int64), share.astype(np.float32)


def _between(old: int, new: int) -> tuple[NDArray[np.int64], ...]:
    """The two old pixels around each new pixel, and their weights of 2048 in all."""
    place = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(place)
    far = place - first
    weights = (np.rint(part * np.float32(2048)) for part in (np.float32(1) - far, far))
    pixels = (first.clip(0, old - 1), (first + 1).clip(0, old - 1))
    return tuple(values.astype(np.int64) for values in (*pixels, *weights))


def _rounded(values: Any) -> Pixels:
    rounded: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded


if __name__ == "__main__":  # python preprocess.py PICTURE...: one .npy file beside each picture
    beside = json.loads(Path(__file__).with_name("preprocessing.json").read_text(encoding="utf-8"))
    for name in sys.argv[1:]:
        np.save(f"{name}.npy", preprocess(name, beside))
