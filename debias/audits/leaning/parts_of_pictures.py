"""Parts of pictures that are hidden, made noisy, or taken from another picture."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Masks = NDArray[np.bool_]

#: Standard deviation of the noise of :func:`noisy`, for pixels in [0, 1].
SIGMA = 0.25
#: Width of a picture's border, as a share of its shorter side.
BORDER = 0.125
#: Standard deviation of the blur between low and high frequencies, as a share of the shorter side.
BLUR = 1 / 32


def noisy(
    pictures: Pictures,
    where: Masks,
    generator: np.random.Generator,
    *,
    sigma: float = SIGMA,
    length: float | None = None,
) -> Pictures:
    """Add Gaussian noise to a part of each picture, and clip.

    Args:
        pictures: ``(N, H, W, 3)`` uint8.
        where: ``(N, H, W)`` bool, the part.
        generator: source of the noise.
        sigma: standard deviation, for pixels in [0, 1].
        length: Euclidean norm of the whole picture's noise instead, for pixels in [0, 1]; it does
            not depend on the area of the part.

    Differs from the reference (mmoayeri/HardImageNet, ``rfs.py``): the pixels stay whole numbers.
    On the same noise, the other steps are equal, as docs/parity.md says.
    """
    noise = generator.standard_normal(pictures.shape, np.float32) * where[..., None]
    if length is None:
        noise *= sigma
    else:
        norm = np.sqrt(np.square(noise).sum(axis=(1, 2, 3), keepdims=True))
        noise *= length / np.maximum(norm, 1e-12)
    changed: Pictures = (pictures + 255 * noise).clip(0, 255).round().astype(np.uint8)
    return changed


def grey_filled(pictures: Pictures, where: Masks) -> Pictures:
    """Fill a part of each picture, ``(N, H, W)`` bool, with one grey."""
    filled: Pictures = np.where(where[..., None], np.uint8(127), pictures)
    return filled


def border_of(pictures: Pictures) -> Masks:
    """``(N, H, W)`` bool, true in a frame along the border."""
    count, height, width, _ = pictures.shape
    depth = max(1, round(BORDER * min(height, width)))
    frame = np.ones((count, height, width), bool)
    frame[:, depth : height - depth, depth : width - depth] = False
    return frame


def exchanged(pictures: Pictures, others: Pictures, where: Masks) -> Pictures:
    """Take a part of each picture, ``(N, H, W)`` bool, from another picture at the same place."""
    changed: Pictures = np.where(where[..., None], others, pictures)
    return changed


def recoloured(pictures: Pictures, others: Pictures) -> Pictures:
    """Take the colours (chroma) of each picture from another one, and keep its luminance."""
    changed = [
        np.dstack([_luma(one)[..., :1], _luma(other)[..., 1:]])
        for one, other in zip(pictures, others, strict=True)
    ]
    return np.stack([cv2.cvtColor(each, cv2.COLOR_YCrCb2RGB) for each in changed]).astype(np.uint8)


def retextured(pictures: Pictures, others: Pictures) -> Pictures:
    """Take the high frequencies of each picture from another one, and keep its blurred part."""
    sigma = BLUR * min(pictures.shape[1:3])
    changed = [
        _blurred(one, sigma) + other - _blurred(other, sigma)
        for one, other in zip(pictures, others, strict=True)
    ]
    result: Pictures = np.stack(changed).clip(0, 255).round().astype(np.uint8)
    return result


def patches_exchanged(
    pictures: Pictures,
    others: Pictures,
    generator: np.random.Generator,
    *,
    share: float,
    size: int = 16,
) -> Pictures:
    """Replace a random share of each picture's patches by those of another picture.

    Args:
        pictures: ``(N, H, W, 3)`` uint8.
        others: as many other pictures.
        generator: source of the draw of patches.
        share: share of the patches, in [0, 1]; rounded to whole patches.
        size: side of a patch in pixels. Patches at the right and the lower edge may be cut.
    """
    count, height, width, _ = pictures.shape
    rows, columns = -(-height // size), -(-width // size)
    ranks = generator.random((count, rows * columns)).argsort(axis=1).argsort(axis=1)
    taken = (ranks < round(share * rows * columns)).reshape(count, rows, columns)
    where = taken.repeat(size, axis=1).repeat(size, axis=2)[:, :height, :width]
    return exchanged(pictures, others, where)


#: Name of a part that any picture has to the function that takes it from another picture.
PARTS: dict[str, Callable[[Pictures, Pictures], Pictures]] = {
    "border": lambda one, other: exchanged(one, other, border_of(one)),
    "colour": recoloured,
    "high frequencies": retextured,
}


def _luma(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    converted: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.uint8)
    return converted


def _blurred(picture: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = cv2.GaussianBlur(
        picture.astype(np.float32), (0, 0), sigma
    ).astype(np.float32)
    return blurred
