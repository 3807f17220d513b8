"""The colours of generated digits, and the pictures of digits in them."""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.float64]

#: Name and (red, green, blue) of ReBias' colour of each digit, from 0 to 9.
COLOURS = (
    ("red", (255, 0, 0)), ("green", (0, 255, 0)), ("blue", (0, 0, 255)),
    ("yellow", (225, 225, 0)), ("magenta", (225, 0, 225)), ("cyan", (0, 255, 255)),
    ("orange", (255, 128, 0)), ("rose", (255, 0, 128)), ("violet", (128, 0, 255)),
    ("grey", (128, 128, 128)),
)  # fmt: skip
#: Name and mean (red, green, blue) of LfF's colour of each digit, rounded to four digits.
TINTS = (
    ("vermilion", (0.9837, 0.3125, 0.1686)), ("yellow", (0.9905, 0.9156, 0.3515)),
    ("mauve", (0.6730, 0.4611, 0.5798)), ("sage", (0.7833, 0.8316, 0.6013)),
    ("azure", (0.0880, 0.7780, 0.9818)), ("green", (0.3214, 0.9611, 0.4464)),
    ("blue", (0.0246, 0.2357, 0.7587)), ("violet", (0.5552, 0.1016, 0.7618)),
    ("olive", (0.2077, 0.3929, 0.0187)), ("crimson", (0.8337, 0.2024, 0.2669)),
)  # fmt: skip
#: Standard deviation of LfF's colours, by severity from 1 to 5.
SPREADS = (0.05, 0.02, 0.01, 0.005, 0.002)


def varied(means: Numbers, severity: int, noise: Numbers) -> Numbers:
    """``(N, 3)`` colours in [0, 1]: the means plus noise of the severity's standard deviation."""
    return np.clip(means + SPREADS[severity - 1] * noise, 0, 1)


def tinted(grey: Bytes, colours: Numbers) -> Bytes:
    """``(N, H, W, 3)`` digits ``(N, H, W)`` in colours ``(N, 3)`` in [0, 1], on black ground."""
    # one image at a time: floats of all images would need gigabytes
    images = np.empty((*grey.shape, 3), np.uint8)
    for image, pixels, colour in zip(images, grey, colours, strict=True):
        image[:] = pixels[..., None] * colour
    return images


def rainbow(count: int) -> list[tuple[int, int, int]]:
    """Colours of equal distance of matplotlib's map ``hsv``, as SpuCo and Correct-n-Contrast."""
    from matplotlib import colormaps  # takes half a second, only needed here

    wheel = colormaps["hsv"]
    return [tuple(int(part * 255) for part in wheel(i / count)[:3]) for i in range(count)]  # type: ignore[misc]
