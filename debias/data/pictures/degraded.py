"""Images of lower quality: noise, blur, JPEG and large pixels, the same at every reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from debias.data.pictures.image_store import ImageStore
from debias.data.tables.draws import random_key
from debias.errors import check_between, check_one_of

Pixels = NDArray[np.uint8]
#: Names and strengths of degradations, in the order in which they are applied.
Steps = tuple[tuple[str, float], ...]


def _gaussian(image: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    noisy = image + deviation * rng.standard_normal(image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _blur(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8)


def _jpeg(image: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    # OpenCV encodes blue, green, red
    code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_RGB), np.uint8)


def _pixelate(image: Pixels, side: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    small = (max(1, round(width / side)), max(1, round(height / side)))
    blocks = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    large = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(large, np.uint8)


class Degradation(NamedTuple):
    """A change of an image ``(H, W, 3)`` uint8, and the interval of its strength."""

    change: Callable[[Pixels, float, np.random.Generator], Pixels]
    interval: str


#: In the order in which a camera makes an image worse: lens, sensor, and file. The strength is a
#: standard deviation in pixels, the side of a block in pixels, a standard deviation in grey levels,
#: and a quality.
DEGRADATIONS = {
    "blur": Degradation(_blur, "[0.1, 100]"),
    "pixelate": Degradation(_pixelate, "[1, 1000]"),
    "gaussian": Degradation(_gaussian, "[0, 255]"),
    "jpeg": Degradation(_jpeg, "[1, 100]"),
}


def degradation_steps(given: Mapping[str, float]) -> Steps:
    """The steps of an option such as ``{jpeg: 10, blur: 2}``, in the order of :data:`DEGRADATIONS`.

    The order of the option does not count, as in all sections of a config.

    Raises:
        InputError: an unknown name, or a strength outside its interval in :data:`DEGRADATIONS`.
    """
    for name, strength in given.items():
        check_one_of(DEGRADATIONS, {"a name in data.image_noise": name})
        check_between(DEGRADATIONS[name].interval, {f"data.image_noise.{name}": strength})
    return tuple((name, float(given[name])) for name in DEGRADATIONS if name in given)


def degrade(image: Pixels, steps: Steps, *, seed: int, name: str) -> Pixels:
    """An image after some degradations.

    Args:
        image: ``(H, W, 3)`` uint8.
        steps: the degradations, applied one after the other.
        seed: seed of the noise.
        name: name of the image. Each name has its own noise.
    """
    rng = np.random.default_rng(int.from_bytes(random_key(seed, f"pixels {name}"), "big"))
    for kind, strength in steps:
        image = DEGRADATIONS[kind].change(image, strength, rng)
    return image


@dataclass(frozen=True)
class DegradedImages:
    """The images of another store, some of them degraded.

    Args:
        store: the images as they are.
        names: the name of each image.
        rows: ``(N,)`` bool: which images are degraded.
        steps: the degradations.
        seed: seed of the noise.
    """

    store: ImageStore
    names: Sequence[str]
    rows: Tensor
    steps: Steps
    seed: int

    def read(self, row: int) -> Pixels:
        """The image of a row; see :func:`degrade`."""
        image = self.store.read(row)
        if not bool(self.rows[row]):
            return image
        return degrade(image, self.steps, seed=self.seed, name=self.names[row])

    def fingerprint(self, row: int) -> bytes:
        """The fingerprint of the image as it is; if degraded, with all that this depends on."""
        before = self.store.fingerprint(row)
        if not bool(self.rows[row]):
            return before
        return before + f"\0{self.steps}{self.seed}{self.names[row]}".encode()
