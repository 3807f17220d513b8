"""Performance information curves: belief against the information that a map reveals."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from debias.audits.maps.deletion import Believed, Map, Picture

#: Shares of the highest pixels that are revealed.
SHARES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75)
#: Least probability of the whole picture.
LEAST = 0.8
#: Points of a curve, without the last.
POINTS = 1000


class InformationCurve(NamedTuple):
    """A curve over the share of information in [0, 1], at 1,001 points, and its area."""

    height: NDArray[np.float64]
    area: float


def information_curve(
    picture: Picture, ranked: Map, believed: Believed, seen: NDArray[np.bool_]
) -> InformationCurve | None:
    """Belief in a class while the pixels that a map ranks first appear on a blurred picture.

    The information of a partly revealed picture is the size of its lossless WebP file, between that
    of the blurred picture (0) and the whole one (1). Belief is scaled in the same way, clipped, and
    made to grow. With probabilities it is the softmax information curve (SIC), with 0 or 1 for the
    right class the accuracy information curve (AIC).

    Source: Kapishnikov et al., "XRAI: Better Attributions Through Regions", ICCV 2019; reference
    code PAIR-code/saliency, ``metrics/pic.py``.

    Args:
        picture: ``(H, W, 3)`` uint8.
        ranked: ``(H, W)`` map.
        believed: gives the belief in the explained class.
        seen: ``(H, W)`` bool, the random pixels (one in a hundred) that the blurred picture keeps.

    Returns:
        ``None`` if the belief in the whole picture is below ``LEAST`` or not above that in the
        blurred one, or if the blurred picture has as much information.
    """
    cuts = [np.quantile(ranked, 1 - share) for share in SHARES]
    revealed = [revealed_picture(picture, (ranked >= cut) | seen) for cut in cuts]
    pictures = np.stack([revealed_picture(picture, seen), *revealed, picture])
    belief = believed(pictures)
    sizes = np.array([webp_size(each) for each in pictures], np.float64)
    if belief[-1] < LEAST or belief[0] >= belief[-1] or sizes[0] >= sizes[-1]:
        return None
    share = _between(sizes)
    height = np.maximum.accumulate(_between(belief)[1:-1])
    points = [*zip(share[1:-1].tolist(), height.tolist(), strict=True), (0.0, 0.0), (1.0, 1.0)]
    return _curve(points)


def aggregated(curves: Sequence[InformationCurve]) -> InformationCurve:
    """The median of several curves, at each point."""
    height = np.median([curve.height for curve in curves], axis=0)
    return InformationCurve(height, _area(height))


def random_pixels(
    height: int, width: int, generator: np.random.Generator, *, share: float = 0.01
) -> NDArray[np.bool_]:
    """``(height, width)`` bool: a random share of the pixels."""
    seen = np.zeros(height * width, bool)
    seen[generator.choice(len(seen), int(len(seen) * share), replace=False)] = True
    return seen.reshape(height, width)


def revealed_picture(picture: Picture, seen: NDArray[np.bool_]) -> Picture:
    """The picture with unseen pixels interpolated linearly between the seen ones and the corners.

    Args:
        picture: ``(H, W, 3)`` uint8.
        seen: ``(H, W)`` bool.
    """
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import Delaunay

    known = seen.copy()
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    if known.all():
        return picture
    triangles = Delaunay(np.argwhere(known))
    result: Picture = picture.copy()
    for channel in range(3):
        between = LinearNDInterpolator(triangles, picture[known, channel].astype(np.float64))
        # float32, as in the reference: a value next to a half is rounded in the same way
        result[~known, channel] = between(np.argwhere(~known)).astype(np.float32).round()
    return result


def webp_size(picture: Picture) -> int:
    """Bytes of a picture as a lossless WebP file."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "webp", lossless=True, quality=100)
    return content.tell()


def _between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = ((values - values[0]) / (values[-1] - values[0])).clip(0, 1)
    return result


def _curve(points: Sequence[tuple[float, float]]) -> InformationCurve:
    from scipy.interpolate import interp1d

    share, height = zip(*points, strict=True)
    places = np.linspace(0, 1, POINTS, endpoint=False)
    whole = np.append(interp1d(share, height)(places), 1.0)
    return InformationCurve(whole, _area(whole))


def _area(height: NDArray[np.float64]) -> float:
    return float(np.trapezoid(height, np.linspace(0, 1, len(height))))
