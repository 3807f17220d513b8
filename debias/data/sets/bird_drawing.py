"""Draws one picture of the built-in data set, a landbird or waterbird on land or water."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

OVERSAMPLING = 4
SUBPIXEL_BITS = 4
# The usual centre crop keeps 7/8 of a picture, and no bird may be cut off.
MARGIN = 1 / 16

# Both kinds have the same colours, so that only the shape of a bird shows its class.
PLUMAGE: tuple[Colour, ...] = (
    (226, 222, 212), (58, 54, 56), (128, 92, 62), (178, 72, 56),
    (214, 168, 70), (96, 106, 124), (160, 142, 118),
)  # fmt: skip
BARE_PARTS: tuple[Colour, ...] = ((228, 148, 44), (60, 56, 58), (188, 164, 118), (204, 90, 60))
LAND: tuple[Colour, ...] = (
    (46, 76, 34), (92, 110, 48), (116, 92, 56), (70, 60, 38), (140, 134, 72), (60, 98, 58),
)  # fmt: skip
WATER: tuple[Colour, ...] = (
    (38, 76, 112), (70, 120, 152), (104, 148, 168), (54, 98, 120), (84, 108, 136), (44, 110, 128),
)  # fmt: skip


class Traits(NamedTuple):
    """Lengths, in body lengths, of the parts that distinguish landbirds from waterbirds."""

    neck: float
    bill: float
    legs: float
    tail: float


# Means of the two kinds (landbird, waterbird, as the target), and standard deviation of both.
KINDS = (
    Traits(neck=0.28, bill=0.22, legs=0.36, tail=0.58),
    Traits(neck=0.58, bill=0.42, legs=0.56, tail=0.30),
)
SPREAD = Traits(neck=0.13, bill=0.09, legs=0.12, tail=0.14)
SHORTEST = Traits(neck=0.12, bill=0.10, legs=0.15, tail=0.08)


class Part(NamedTuple):
    """One part of a bird: a filled outline in body lengths, with x forwards and y down."""

    outline: Points
    colour: Colour


def draw_bird(
    rng: np.random.Generator, *, target: int, place: int, size: int
) -> tuple[Pixels, Pixels]:
    """Draw one picture of the built-in data set, and the mask of its bird.

    Args:
        rng: generator of every random choice, in a fixed order.
        target: 0 for a landbird (short neck, bill and legs, long tail), 1 for a waterbird (the
            reverse).
        place: 0 for land, 1 for water.
        size: side of the picture, in pixels.

    Returns:
        ``(size, size, 3)`` uint8 RGB image and ``(size, size)`` uint8 mask, 0 or 255.
    """
    side = size * OVERSAMPLING
    # Each background pixel becomes a block, so that averaging below restores the same pixel.
    canvas = cv2.resize(background(rng, place, size), (side, side), interpolation=cv2.INTER_NEAREST)
    mask = np.zeros((side, side), np.uint8)
    for outline, colour in posed(rng, bird(rng, target), side):
        vertices = np.round(outline * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(canvas, [vertices], colour, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.fillPoly(mask, [vertices], 255, cv2.LINE_8, SUBPIXEL_BITS)
    image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    grain = rng.normal(0.0, 5.0, image.shape)
    covered = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
    grained = np.clip(image + grain, 0, 255).astype(np.uint8)
    return grained, (covered >= 128) * np.uint8(255)


def background(rng: np.random.Generator, place: int, side: int) -> Pixels:
    """Draw ``(side, side, 3)`` uint8 land (``place`` 0) or water (1), without a bird.

    Land has patches of green and brown, and upright stems. Water has long flat ripples.
    """
    dark, light = (np.array(colour, np.float64) for colour in _choose(rng, (LAND, WATER)[place], 2))
    coarse, fine = (((3, 3), (20, 14)), ((5, 2), (36, 6)))[place]
    blend = 0.6 * _smooth_noise(rng, coarse, side) + 0.4 * _smooth_noise(rng, fine, side)
    canvas = np.clip(dark + blend[..., None] * (light - dark), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(2, 7))):
        _stroke(rng, canvas, place)
    return canvas


def drawn_traits(rng: np.random.Generator, target: int) -> Traits:
    """Random lengths of a bird of class ``target``, the first that are drawn of a bird."""
    drawn = rng.normal(KINDS[target], SPREAD)
    return Traits(*np.maximum(drawn, SHORTEST).tolist())


def bird(rng: np.random.Generator, target: int) -> list[Part]:
    """Random parts of a bird of class ``target`` that looks forwards, from back to front."""
    traits = drawn_traits(rng, target)
    plumage, wing_colour = _choose(rng, PLUMAGE, 2)
    bare = _choose(rng, BARE_PARTS, 1)[0]
    tilt, lift, gaze, fan = np.deg2rad(rng.uniform((-18, 45, -14, -25), (6, 80, 14, 15)))
    shoulder = np.array([0.36, -0.10])
    head = shoulder + traits.neck * _direction(lift) + np.array([0.02, -0.06])
    radius = rng.uniform(0.135, 0.165)
    rump = np.array([-0.38, -0.02])
    return [
        *_legs(rng, traits.legs, bare),
        Part(_limb(rump, rump - (0.12 + traits.tail) * _direction(fan), 0.13, 0.18), wing_colour),
        Part(_ellipse(np.zeros(2), 0.5, rng.uniform(0.23, 0.30), -tilt), plumage),
        Part(_limb(shoulder - np.array([0.08, 0.0]), head, 0.28, 0.20), plumage),
        Part(_ellipse(head, radius, radius * 0.92, 0.0), plumage),
        Part(_ellipse(np.array([-0.10, -0.02]), 0.34, 0.15, -tilt), wing_colour),
        Part(_limb(head, head + (radius + traits.bill) * _direction(gaze), 0.15, 0.03), bare),
        Part(_ellipse(head + np.array([0.04, -0.03]), 0.035, 0.035, 0.0), (20, 20, 20)),
    ]


def posed(rng: np.random.Generator, parts: Sequence[Part], side: int) -> list[Part]:
    """Turn, flip, scale and move the parts at random, so that the bird fits. Returns pixels."""
    angle = np.deg2rad(rng.uniform(-12, 12))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[0] *= rng.choice((-1.0, 1.0))
    outlines = [part.outline @ turn.T for part in parts]
    low, high = (limit(np.concatenate(outlines), axis=0) for limit in (np.min, np.max))
    scale = min(side * rng.uniform(0.30, 0.46), (0.99 - 2 * MARGIN) * side / (high - low).max())
    corner = rng.uniform(MARGIN * side, (1 - MARGIN) * side - scale * (high - low))
    return [
        Part((outline - low) * scale + corner, part.colour)
        for outline, part in zip(outlines, parts, strict=True)
    ]


def _legs(rng: np.random.Generator, length: float, colour: Colour) -> list[Part]:
    parts: list[Part] = []
    for hip in ((-0.06, 0.18), (0.08, 0.18)):
        foot = np.array(hip) + length * _direction(np.deg2rad(rng.uniform(-102, -78)))
        heel, toe = foot - np.array([0.02, 0.0]), foot + np.array([0.13, 0.02])
        limbs = _limb(np.array(hip), foot, 0.06, 0.045), _limb(heel, toe, 0.05, 0.05)
        parts += [Part(limb, colour) for limb in limbs]
    return parts


def _stroke(rng: np.random.Generator, canvas: Pixels, place: int) -> None:
    side = len(canvas)
    x, y, length, slant = rng.uniform((0, 0, 0.2, -0.06), (1, 1, 0.7, 0.06)) * side
    run, rise = ((slant, length), (length, slant))[place]
    shade = rng.uniform(*((0.45, 0.8), (1.1, 1.35))[place])
    colour = np.clip(canvas.mean(axis=(0, 1)) * shade, 0, 255).tolist()
    ends = [(round(x - run / 2), round(y - rise / 2)), (round(x + run / 2), round(y + rise / 2))]
    thickness = max(1, round(side * rng.uniform(*((0.012, 0.06), (0.006, 0.02))[place])))
    cv2.line(canvas, ends[0], ends[1], colour, thickness, cv2.LINE_AA)


def _smooth_noise(
    rng: np.random.Generator, cells: tuple[int, int], side: int
) -> NDArray[np.float64]:
    grid = rng.uniform(0.0, 1.0, cells)
    smooth: NDArray[np.float64] = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    return smooth


def _choose(rng: np.random.Generator, colours: Sequence[Colour], count: int) -> list[Colour]:
    chosen = np.array(colours)[rng.permutation(len(colours))[:count]]
    chosen += rng.integers(-14, 15, (count, 3))
    red_green_blue: list[Colour] = [tuple(colour) for colour in np.clip(chosen, 0, 255).tolist()]
    return red_green_blue


def _direction(angle: float) -> Points:
    return np.array([np.cos(angle), -np.sin(angle)])


def _ellipse(centre: Points, long: float, short: float, tilt: float) -> Points:
    around = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    along, across = _direction(tilt), _direction(tilt + np.pi / 2)
    cosine, sine = np.cos(around)[:, None], np.sin(around)[:, None]
    return centre + long * cosine * along + short * sine * across


def _limb(start: Points, end: Points, start_width: float, end_width: float) -> Points:
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]]) / 2
    wide, narrow = start_width * across, end_width * across
    return np.array([start + wide, end + narrow, end - narrow, start - wide])
