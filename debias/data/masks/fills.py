"""Backgrounds of pictures: the object is filled in here, or by another program before."""

from pathlib import Path

import cv2
import numpy as np

from debias.data.masks.grabcut import Pixels, widened
from debias.data.pictures.images import MAX_PIXELS, read_image
from debias.errors import InputError

#: Raise it whenever the fills change, so that an old cache is not read as a new one.
FILLING = 1
#: Width of the margin around the mask that is removed too, as a share of the shorter side. Masks
#: miss thin parts, and inpainting would spread a remaining part of the object over the hole.
MARGIN = 1 / 32
#: Radius in pixels of the neighbourhood from which a filled pixel is extrapolated.
NEIGHBOURHOOD = 3.0


def filled_background(image: Pixels, mask: Pixels) -> Pixels:
    """Remove the foreground of a picture by inpainting it from its surroundings.

    Source: Telea, "An Image Inpainting Technique Based on the Fast Marching Method", 2004, as in
    OpenCV.

    Args:
        image: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` uint8, foreground from 128 on.

    Returns:
        ``(H, W, 3)`` uint8. Pixels outside the mask and its margin are unchanged. If the mask is
        full or empty, the whole image is unchanged.
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
        size: height and width of the image that it belongs to, after its EXIF rotation.
        max_pixels: as in :func:`debias.data.pictures.images.read_image`.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: the file cannot be read, or the fill has another size than its image.
    """
    fill = read_image(path, max_pixels=max_pixels)
    if fill.shape[:2] != size:
        raise InputError(
            f"fill {path} has width x height {fill.shape[1]}x{fill.shape[0]}, but its image, "
            f"upright, {size[1]}x{size[0]}: resize the fill to the size of its image"
        )
    return fill
