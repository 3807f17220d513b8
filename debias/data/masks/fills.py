"""Backgrounds without their objects, which are filled in from around them, here or before."""

from pathlib import Path

import cv2
import numpy as np

from debias.data.masks.grabcut import Pixels, widened
from debias.data.pictures.images import MAX_PIXELS, read_image
from debias.errors import InputError

#: Raise it whenever fills change, so that a cache filled earlier is not taken for one filled now.
FILLING = 1
#: How far beyond its mask an object is taken out, as a share of the picture's shorter side: masks
#: miss thin parts, and whatever is left of an object would be spread over its whole place.
MARGIN = 1 / 32
#: Radius of the neighbourhood that a filled pixel is extrapolated from, in pixels.
NEIGHBOURHOOD = 3.0


def filled_background(image: Pixels, mask: Pixels) -> Pixels:
    """Take the foreground out of a picture, by inpainting inwards from its surroundings.

    Source: Telea, "An Image Inpainting Technique Based on the Fast Marching Method", 2004, as in
    OpenCV.

    Args:
        image: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` uint8, foreground from 128 on.

    Returns:
        ``(H, W, 3)`` uint8: unchanged wherever the mask with its margin is not, and where nothing
        is left to fill from (a mask that is full) or nothing to fill (an empty one).
    """
    hole = (mask >= 128).astype(np.uint8)
    wider = widened(hole, min(hole.shape) * MARGIN)
    hole = hole if wider.all() else wider
    if hole.all() or not hole.any():
        return image
    filled: Pixels = cv2.inpaint(image, hole, NEIGHBOURHOOD, cv2.INPAINT_TELEA)
    return filled


def read_fill(path: Path, size: tuple[int, ...], *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a background that another program filled in.

    Args:
        path: a picture of any format OpenCV reads.
        size: height and width of the upright image it belongs to.
        max_pixels: as in :func:`debias.data.pictures.images.read_image`.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ValueError: the file cannot be read, or the fill has another size than its image.
    """
    fill = read_image(path, max_pixels=max_pixels)
    if fill.shape[:2] != size:
        raise InputError(
            f"fill {path} has width x height {fill.shape[1]}x{fill.shape[0]}, but its image, "
            f"upright, {size[1]}x{size[0]}: fill the image at its own size, or resize the fill "
            "to it"
        )
    return fill
