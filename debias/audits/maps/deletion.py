"""Deletion and insertion: does the model's belief follow the pixels that a map ranks first?"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from debias.audits.leaning.paired import curve_area

Picture = NDArray[np.uint8]
Map = NDArray[np.float64]
#: Probabilities ``(K,)`` of one class, of ``(K, H, W, 3)`` uint8 pictures.
Believed = Callable[[Picture], NDArray[np.float64]]

#: Steps in which pixels are removed or revealed.
STEPS = 14
#: Standard deviation of the blur that removes a pixel.
SIGMA = 10.0


class Areas(NamedTuple):
    """Areas under the curves of one picture.

    Attributes:
        deletion: mean probability while pixels are removed in the order of the map; low is good.
        insertion: mean probability while they are revealed; high is good.
    """

    deletion: float
    insertion: float


def belief_area(probabilities: NDArray[np.float64]) -> float:
    """Area under K + 1 probabilities at equally spaced shares of changed pixels, from 0 to 1.

    Example:
        >>> belief_area(np.array([1.0, 0.6, 0.3, 0.1, 0.0]))  # linear, .4 .3 .2 .1, right order
        0.375
    """
    return curve_area(probabilities.tolist(), np.linspace(0, 1, len(probabilities)).tolist())


def deletion_insertion(
    picture: Picture,
    ranked: Map,
    believed: Believed,
    *,
    steps: int = STEPS,
    blank: Picture | None = None,
) -> Areas:
    """Remove and reveal the pixels of a picture in the order of a map.

    Source: Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models",
    BMVC 2018; Fong and Vedaldi, "Interpretable Explanations of Black Boxes by Meaningful
    Perturbation", ICCV 2017.

    Args:
        picture: ``(H, W, 3)`` uint8.
        ranked: ``(H, W)`` map; the greatest value first. Equal values are ranked row by row.
        believed: gives the probability of the explained class.
        steps: number of steps.
        blank: the picture without any pixel; by default the picture blurred with sigma 10.

    Differs from the reference: both curves use a blurred picture, of 14 steps.
    """
    flat = blurred(picture) if blank is None else blank
    first = _by_rank(ranked, steps)
    removed = np.where(first[..., None], flat, picture)
    revealed = np.where(first[..., None], picture, flat)
    probabilities = believed(np.concatenate([removed, revealed]))
    return Areas(belief_area(probabilities[: steps + 1]), belief_area(probabilities[steps + 1 :]))


def blurred(picture: Picture) -> Picture:
    """The picture under a Gaussian blur."""
    result: Picture = cv2.GaussianBlur(picture, (0, 0), SIGMA).astype(np.uint8)
    return result


def _by_rank(ranked: Map, steps: int) -> NDArray[np.bool_]:
    """``(steps + 1, H, W)``: the pixels that each step has changed."""
    order = (-ranked.ravel()).argsort(kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    ends = np.linspace(0, len(order), steps + 1).round()
    result: NDArray[np.bool_] = (place < ends[:, None]).reshape(steps + 1, *ranked.shape)
    return result
