"""How to read the scores of attribution maps. Pure Python."""

from __future__ import annotations

import math

from debias.metrics.descriptions import Description, Family, lower, unranked

_SCORES = {
    "attention_iou": Description(
        "Attention-IoU",
        "How well what the model looks at agrees with the mask; 1 is the mask itself.",
    ),
    "background_attention": lower(
        "Background attention", "Share of the attribution that falls outside the foreground."
    ),
    "foreground_focus": Description(
        "Foreground focus",
        "How much more a foreground pixel counts than the average one: 1 is no preference.",
        math.nan,
    ),
    "thresholded_iou": Description(
        "Attention overlap",
        "Intersection over union of the strongly attended pixels with the foreground.",
    ),
    "rank_accuracy": Description(
        "Rank accuracy",
        "Of as many pixels as the foreground has, the most attended ones: the share inside it.",
    ),
    "pointing_game": Description(
        "Pointing game", "How often the most attended pixel lies in the foreground."
    ),
}

_PARTS = {
    f"{key}/<part of the images>": text._replace(
        meaning=f"{text.meaning} Over a group, the right, the wrong, ..."
    )
    for key, text in _SCORES.items()
}

ATTENTION = Family(
    "Attention",
    "Whether the model looks at the foreground, by its attribution maps and the masks.",
    {
        **_SCORES,
        "<score>/deviation": unranked(
            "Deviation", "Standard deviation of the mean: how far chance may have moved it."
        ),
        "<score>/undefined": lower("Without a score", "Share of images that give no score."),
        **_PARTS,
    },
    headlines=("attention_iou", "background_attention", "pointing_game"),
    needs=("run", "masks", "maps"),
    quick=False,
)
