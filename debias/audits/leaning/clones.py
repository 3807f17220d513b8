"""Gaussian clones of a data set."""

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.audits.cues.picture_numbers import averaged
from debias.audits.leaning.parts_of_pictures import Pictures

#: Side of the pictures whose pixels are drawn from a Gaussian.
SIDE = 32
#: Added to the diagonal of a covariance, for pixels in [0, 1].
RIDGE = 1e-4


def gaussian_clones(
    pictures: Pictures,
    target: NDArray[np.int64],
    generator: np.random.Generator,
    *,
    covariance: bool,
    side: int = SIDE,
) -> Pictures:
    """Replace the pictures of each class by draws of a Gaussian with their mean and covariance.

    A network that is right on the clones reads means (and covariances) of pixels, and no shapes.

    Source: Refinetti, Ingrosso and Goldt, "Neural networks trained with SGD learn distributions of
    increasing complexity", ICML 2023.

    Args:
        pictures: ``(N, H, W, 3)`` uint8.
        target: ``(N,)`` int64 classes.
        generator: source of the draws.
        covariance: whether each class has its own covariance of all pixels. If not, all classes
            have the covariance of the pictures around the mean of their class, so that only the
            means tell the classes.
        side: side of the pictures that are drawn; they are enlarged to ``(H, W)``.

    Returns:
        ``(N, H, W, 3)`` uint8, of the same classes in the same order.
    """
    size = pictures.shape[2], pictures.shape[1]
    small = averaged(pictures, side)
    flat = small.reshape(len(small), -1).astype(np.float32) / np.float32(255)
    drawn = _drawn(flat, target, generator, covariance)
    images = (drawn.clip(0, 1) * 255).round().astype(np.uint8).reshape(small.shape)
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in images])


def _drawn(
    flat: NDArray[np.float32],
    target: NDArray[np.int64],
    generator: np.random.Generator,
    covariance: bool,
) -> NDArray[np.float32]:
    """Draws for ``(N, D)`` rows: mean + centred rows' random combinations + ridge noise.

    For n centred rows X, the sum ``X^T g / sqrt(n)`` with normal g has the covariance of the rows.
    It needs neither the ``D x D`` matrix nor its factor.
    """
    classes = np.unique(target)
    means = {one: flat[target == one].mean(axis=0) for one in classes.tolist()}
    centred = flat - np.stack([means[one] for one in target.tolist()])
    drawn = np.empty_like(flat)
    for one in classes.tolist():
        rows = target == one
        source = centred[rows] if covariance else centred
        mixed = generator.standard_normal((int(rows.sum()), len(source)), np.float32)
        noise = generator.standard_normal((int(rows.sum()), flat.shape[1]), np.float32)
        drawn[rows] = means[one] + mixed @ source / np.sqrt(len(source)) + noise * RIDGE**0.5
    return drawn
