"""The cue ladder: what is removed from a picture at each rung, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from debias.audits.cues import picture_numbers as count
from debias.audits.cues import pictures as draw
from debias.audits.cues.picture_numbers import Masks, Numbers, Pixels


class Rung(NamedTuple):
    """One rung of the ladder.

    Attributes:
        words: what the class is read from, such as "the surroundings"; in sentences and titles.
        picture: pictures and masks to pictures of the same shape, in which only the cue is left.
        numbers: pictures and masks to ``(N, d)`` numbers. ``None`` if an encoder reads ``picture``.
        needs_masks: whether it needs foreground masks.
        shows_object: whether a person may still recognise the object. Such a rung is no shortcut by
            itself, however well it tells the class.
    """

    words: str
    picture: Callable[[Pixels, Masks], Pixels]
    numbers: Callable[[Pixels, Masks], Numbers] | None = None
    needs_masks: bool = False
    shows_object: bool = False


#: Source: Meister et al., "Gender Artifacts in Visual Datasets", ICCV 2023; Zeng et al.,
#: "Understanding Bias in Large-Scale Visual Datasets", NeurIPS 2024.
RUNGS: dict[str, Rung] = {
    # numbers, without a network
    "mean_colour": Rung("the mean colour", draw.one_colour, count.mean_colour),
    "gradient": Rung("the mean gradient", draw.gradient_lengths, count.gradient),
    "colours": Rung("the colours, without their places", draw.pixels, count.colours),
    "layout": Rung("4x4 pixels", draw.tiles, count.layout),
    "corners": Rung("the four corners", draw.corner_tiles, count.corners),
    "hog": Rung("directions of edges", draw.gradient_lengths, count.hog, shows_object=True),
    "statistics": Rung(
        "the numbers of the whole image", draw.untouched, count.statistics, shows_object=True
    ),
    "box": Rung(
        "place and size of the object",
        draw.white_box,
        count.box,
        needs_masks=True,
        shows_object=True,
    ),
    "background_gradient": Rung(
        "the surroundings (gradient)",
        draw.background,
        count.background_gradient,
        needs_masks=True,
    ),
    "background_statistics": Rung(
        "the surroundings (colours, gradient)",
        draw.background,
        count.background_statistics,
        needs_masks=True,
    ),
    "foreground_statistics": Rung(
        "the object (colours, gradient)",
        draw.foreground,
        count.foreground_statistics,
        needs_masks=True,
        shows_object=True,
    ),
    # pictures, for a frozen network
    "image": Rung("the whole image", draw.untouched, shows_object=True),
    "resolution_7": Rung("7x7 pixels", draw.resolution_7),
    "resolution_14": Rung("14x14 pixels", draw.resolution_14),
    "resolution_28": Rung("28x28 pixels", draw.resolution_28, shows_object=True),
    "resolution_56": Rung("56x56 pixels", draw.resolution_56, shows_object=True),
    "grey": Rung("the image without colour", draw.without_colour, shows_object=True),
    "edges": Rung("edges", draw.edges, shows_object=True),
    "low_pass": Rung("low frequencies", draw.low_pass, shows_object=True),
    "high_pass": Rung("high frequencies", draw.high_pass, shows_object=True),
    "patches": Rung("shuffled patches", draw.patches, shows_object=True),
    "pixels": Rung("shuffled pixels", draw.pixels),
    "foreground": Rung("the object alone", draw.foreground, needs_masks=True, shows_object=True),
    "background": Rung("the surroundings alone", draw.background, needs_masks=True),
    "box_background": Rung(
        "the surroundings of the object's box", draw.box_background, needs_masks=True
    ),
    "silhouette": Rung("the silhouette", draw.silhouette, needs_masks=True, shows_object=True),
}

#: The rung that the others are compared with: the first of these that was measured.
CEILINGS = ("image", "statistics")
